"""What a figure states: its settings, seeds and verdicts, and the strict JSON that keeps them."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Setting:
    """A number (or word, or list) a figure depends on, and who chose it: "paper" or "ours".

    `why` says in a few words why we chose it, or what the paper leaves open.
    """

    value: Any
    source: str
    why: str = ""

    def __post_init__(self) -> None:
        if self.source not in ("paper", "ours"):
            raise ValueError(f'source must be "paper" or "ours"; got {self.source!r}.')


Settings = Mapping[str, Setting]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper's figure and our verdict.

    Attributes
    ----------
    statement : str
        Id of the statement, one of the script's ``STATEMENTS``.
    claim : str
        What the paper says, in one sentence. The committed record knows the claim by this sentence.
    number : number, string, list, dict or None
        What we measured.
    share : float or None
        Share of the cases (targets, seeds, settings) in which the claim holds.
    reproduced : bool
    depends_on : str
        What it depends on, in one sentence.
    needed : float or None
        The share from which on we call it reproduced.
    cases : int or None
        Number of cases behind `share`.
    """

    statement: str
    claim: str
    number: Any
    share: float | None
    reproduced: bool
    depends_on: str = ""
    needed: float | None = None
    cases: int | None = None

    @classmethod
    def judged(
        cls,
        statement: str,
        claim: str,
        holds: Sequence[bool] | np.ndarray,
        *,
        number: Any = None,
        needed: float = 0.8,
        depends_on: str = "",
    ) -> Claim:
        """Judge a claim over many cases: reproduced when the share `needed` of them holds.

        Parameters
        ----------
        holds : sequence of bool, shape (cases,)
            Whether the claim holds, case by case.

        Raises
        ------
        ValueError
            No case at all, `holds` is no flat sequence of booleans, `needed` not in (0, 1].
        """
        cases = np.asarray(holds)
        if cases.ndim != 1 or cases.size == 0 or cases.dtype != bool:
            raise ValueError(
                f"holds must be a non-empty flat sequence of booleans, one per case; "
                f"got shape {cases.shape}, {cases.dtype}."
            )
        if not 0 < needed <= 1:
            raise ValueError(f"needed must be in (0, 1]; got {needed}.")
        share = int(cases.sum()) / cases.size
        return cls(statement, claim, number, share, share >= needed, depends_on, needed, cases.size)

    def __str__(self) -> str:
        verdict = "reproduced    " if self.reproduced else "NOT reproduced"
        # Tables of numbers are for the record; a line has room for one.
        single = isinstance(self.number, (int, float, str))
        number = f" [{self.number}]" if single else ""
        share = "" if self.share is None else f" (share {self.share:.2f}"
        share += f" of {self.cases}" if share and self.cases is not None else ""
        share += f", needed {self.needed:.2f}" if share and self.needed is not None else ""
        return f"{verdict}  {self.statement}: {self.claim}{number}" + (share and share + ")")


def seed_for(*names: str | int) -> np.random.SeedSequence:
    """A seed spawned by name: ``seed_for("S2D-Fig-1a", "target", 3)`` is the same everywhere.

    Different names give independent streams: ``np.random.default_rng(seed_for(...))``.
    """
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    words = [int(word) for word in np.frombuffer(digest, dtype="<u4")]
    # entropy=None would draw fresh entropy from the operating system.
    return np.random.SeedSequence(entropy=0, spawn_key=words)


def plain(value: Any) -> Any:
    """The value in JSON's own types: arrays as lists, non-finite numbers as "nan" or "inf".

    Raises
    ------
    TypeError
        Anything but numbers, strings, booleans, None, and lists, dicts and arrays of these.
    """
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    raise TypeError(
        f"{type(value).__name__} has no place in a record; give numbers, strings, lists or arrays."
    )


def strict_json(value: Any) -> bytes:
    """Strict, readable JSON; the same value gives the same bytes."""
    return (json.dumps(plain(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
