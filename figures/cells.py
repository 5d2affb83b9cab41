"""The cells of a figure: computed side by side, kept on disk.

A cell is one call of a module-level function with plain keyword arguments; its result is a dict of
arrays, numbers and strings. A finished cell is kept under a key made of all that can change it: the
function's name, the arguments, the versions of the libraries, the sources it rests on. So an
interrupted run resumes, scripts share cells, and an edit computes anew what it may have changed.
Files that a cell reads are not in the key: pass their hash as an argument.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from figures.record import plain, write_whole
from figures.sources import last_edit, sources, versions
from figures.workers import Workers

Function = Callable[..., Mapping[str, Any]]

# What reading a file that is absent, or has a wrong byte anywhere, can raise: computed again.
DAMAGED = (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Run:
    """``run(function, [kwargs, ...]) -> [result, ...]`` of one figure, in the order asked.

    Parameters
    ----------
    label : str
        The figure's id, for the progress shown.
    workers : Workers
    store : Path or None
        Folder of the finished cells; None keeps nothing (benchmarks measure afresh).
    """

    def __init__(self, label: str, workers: Workers, store: Path | None) -> None:
        self.label, self.workers, self.store = label, workers, store
        self.cells = self.kept = 0
        self.seconds = 0.0  # of all cells, kept ones included: the figure's cost from scratch

    def __call__(
        self, function: Function, cells: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        module = Path(str(sys.modules[function.__module__].__file__))
        names = [named(function, kwargs) for kwargs in cells]
        asked = dict(zip(names, cells, strict=True))
        keys = {name: cell_key(function, asked[name], sources(module)[0]) for name in asked}
        found = {name: kept for name in asked if (kept := self._read(keys[name])) is not None}
        missing = {name: (function, asked[name]) for name in asked if name not in found}
        self.cells += len(asked)
        self.kept += len(found)
        if found:
            _say(f"{self.label}: {len(found)} of {len(asked)} cells kept from before")
        with _progress(self.label, len(missing)) as tick:
            for name, blob in self.workers.as_finished(encoded, missing):
                # After an edit during the run nobody knows which version has computed this.
                if self.store is not None and last_edit(module) < self.workers.started:
                    write_whole(self.store / f"{keys[name]}.npz", blob)
                # Decoded also when fresh: a resumed run gets exactly what an unbroken one gets.
                found[name] = decoded(blob)
                tick(f"{name if len(name) < 80 else name[:77] + '...'} {found[name][1]:.1f} s")
        self.seconds += sum(seconds for _, seconds in found.values())
        return [found[name][0] for name in names]

    def _read(self, key: str) -> tuple[dict[str, Any], float] | None:
        if self.store is None:
            return None
        try:
            return decoded((self.store / f"{key}.npz").read_bytes())
        except DAMAGED:
            return None


def named(function: Function, kwargs: Mapping[str, Any]) -> str:
    """The call as one would write it."""
    listed = ", ".join(f"{name}={plain(value)!r}" for name, value in kwargs.items())
    return f"{function.__name__}({listed})"


def cell_key(function: Function, kwargs: Mapping[str, Any], sources_hash: str) -> str:
    """What the result is kept under: a hash of all it depends on.

    Raises
    ------
    TypeError
        Another process could not find the function by its name, or an argument is not plain.
    """
    name = f"{function.__module__}.{function.__qualname__}"
    if "<" in name:
        raise TypeError(f"{name}: a cell is a function at the top level of a module.")
    rests_on = [name, plain(kwargs), versions(), sources_hash]
    return hashlib.sha256(json.dumps(rests_on, sort_keys=True).encode()).hexdigest()[:32]


def encoded(function: Function, kwargs: Mapping[str, Any]) -> bytes:
    """Compute a cell, as an npz file: arrays as they are, the rest as JSON, nothing pickled.

    Raises
    ------
    TypeError
        The result is not a dict of arrays, numbers, strings and lists of these.
    """
    start = time.perf_counter()
    result = function(**kwargs)
    seconds = time.perf_counter() - start
    if not isinstance(result, Mapping):
        raise TypeError(f"a cell returns a dict of arrays and numbers; got {type(result)}.")
    arrays: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in result.items():
        (arrays if isinstance(value, np.ndarray) else rest)[name] = value
        if isinstance(value, np.ndarray) and value.dtype.hasobject:
            raise TypeError(f"{name} has dtype object; return arrays of numbers or strings.")
    head = {"order": list(result), "rest": rest, "seconds": seconds}
    text = np.array(json.dumps(head, default=_number))
    buffer = io.BytesIO()
    np.savez(buffer, head=text, **{f"array:{name}": array for name, array in arrays.items()})
    return buffer.getvalue()


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"a cell returns arrays, numbers, strings, lists; got {type(value)} inside one."
    )


def decoded(blob: bytes) -> tuple[dict[str, Any], float]:
    """The result in the bytes of `encoded`, and the seconds it took."""
    with np.load(io.BytesIO(blob), allow_pickle=False) as stored:
        head = json.loads(str(stored["head"]))
        rest, order = head["rest"], head["order"]
        result = {name: rest[name] if name in rest else stored[f"array:{name}"] for name in order}
    return result, head["seconds"]


@contextmanager
def _progress(label: str, total: int) -> Iterator[Callable[[str], object]]:
    """A bar on a terminal, a line per finished cell otherwise."""
    if sys.stderr.isatty() and total:
        from tqdm import tqdm

        with tqdm(total=total, desc=label, unit="cell", leave=False) as bar:
            yield lambda text: bar.update()
    else:
        count = itertools.count(1)
        yield lambda text: _say(f"{label} [{next(count)}/{total}] {text}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
