"""Which figures there are: read from the scripts' literals, without running a script.

Imports the standard library only, so that ``python -m figures list`` answers at once.
"""

from __future__ import annotations

import ast
import difflib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class UsageError(Exception):
    """The command cannot be carried out as given. The message says how to mend it."""


class Script(NamedTuple):
    """One figure: its file, the folder it writes (`id`), the statements it judges, its title."""

    path: Path
    id: str
    statements: tuple[str, ...]
    title: str

    @property
    def is_bench(self) -> bool:
        return self.id.startswith("bench_")


def find(folder: Path) -> list[Script]:
    """The scripts of a folder, benchmarks last. A module without an ``ID`` is no script."""
    found = []
    for path in sorted(folder.glob("*.py")):
        try:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            named = {
                node.targets[0].id: ast.literal_eval(node.value)
                for node in body
                if isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and node.targets[0].id in ("ID", "STATEMENTS", "TITLE")
            }
            if "ID" in named:
                found.append(Script(path, named["ID"], tuple(named["STATEMENTS"]), named["TITLE"]))
        except (SyntaxError, ValueError, KeyError) as error:
            # Shown in the list, and an error of this figure alone when it is run.
            found.append(Script(path, path.stem, (), f"BROKEN ({type(error).__name__}: {error})"))
    found.sort(key=lambda script: (script.is_bench, script.id))
    for one, two in itertools.pairwise(found):
        if one.id == two.id:
            raise UsageError(f"{one.path.name} and {two.path.name} have the same ID; rename one.")
    return found


def select(scripts: list[Script], wanted: Sequence[str]) -> list[Script]:
    """The scripts asked for, each once: by ID, by a statement they judge, by ``all`` or ``bench``.

    Raises
    ------
    UsageError
        An id that no script has (the nearest is suggested), `list` together with an id, or
        benchmarks together with figures.
    """
    words = list(wanted) or ["all"]
    if "list" in words:
        raise UsageError("`list` stands alone: `python -m figures list`.")
    chosen = [s for s in scripts if any(_matches(s, word) for word in words)]
    for word in words:
        if word not in ("all", "bench") and not any(_matches(s, word) for s in scripts):
            known = {name.lower(): name for s in scripts for name in (s.id, *s.statements)}
            known |= {name: name for name in ("all", "bench", "list")}
            nearest = known[difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.0)[0]]
            raise UsageError(
                f"unknown figure {word!r}. Did you mean {nearest!r}? "
                "`python -m figures list` shows every id."
            )
    if len({s.is_bench for s in chosen}) == 2:
        raise UsageError("benchmarks run alone, or their times mean nothing. Run them separately.")
    if not chosen:
        raise UsageError(f"nothing to do: there is no script for {', '.join(words)}.")
    return chosen


def _matches(script: Script, word: str) -> bool:
    if word in ("all", "bench"):
        return script.is_bench == (word == "bench")
    return word == script.id or word in script.statements


def listing(scripts: list[Script]) -> str:
    """A line per script: id, the other statements it judges, title."""
    width = max((len(s.id) for s in scripts), default=0)
    lines = []
    for s in scripts:
        others = [name for name in s.statements if name != s.id]
        also = f"  [also {', '.join(others)}]" if others else ""
        lines.append(f"{s.id:<{width}}  {s.title}{also}")
    return "\n".join(lines)
