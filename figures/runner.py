"""One figure, from its script to its files, and its verdicts against those committed before."""

from __future__ import annotations

import csv
import importlib
import io
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from figures import style
from figures.catalogue import Script
from figures.cells import Run
from figures.record import Claim, Settings, plain, strict_json, write_whole
from figures.sources import versions

GALLERY_BYTES = 150_000


@dataclass(frozen=True)
class Made:
    """A finished figure: the files of its folder, its record, the drawing, what to print."""

    script: Script
    files: dict[str, bytes]
    record: dict[str, Any]
    figure: Any
    claims: list[Claim]
    summary: str


def make(script: Script, run: Run, *, full: bool) -> Made:
    """Compute, draw and judge one figure. Writes nothing but finished cells."""
    module = load(script)
    start = time.perf_counter()
    settings: Settings = module.settings(full)
    data = module.compute(settings, run)
    claims = _checked(script, module.claims(data))
    if not full:  # one setting shows nothing of what a claim depends on
        claims = [replace(claim, depends_on="") for claim in claims]
    files = {f"{name}.csv": _csv(name, *table) for name, table in module.tables(data).items()}
    with style.applied():
        figure = module.plot(data)
        files["figure.svg"] = style.rendered(figure, "svg")
        files["figure.png"] = style.rendered(figure, "png")
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    record = {
        "id": script.id,
        "title": script.title,
        "statements": script.statements,
        "mode": "full" if full else "quick",
        "settings": {name: asdict(setting) for name, setting in settings.items()},
        "seeds": settings["seeds"].value if "seeds" in settings else None,
        "seed_rule": "SeedSequence(0, spawn_key=sha256(names)): figures/record.py, seed_for",
        "versions": versions(),
        "claims": [asdict(claim) for claim in claims],
        # The one entry that differs from run to run. In a benchmark the claims and tables do too.
        "measured": {
            "seconds": round(time.perf_counter() - start, 3),
            "cell_seconds": round(run.seconds, 3),
            "cells": run.cells,
            "cells_kept": run.kept,
        },
    }
    files["record.json"] = strict_json(record)
    summary = module.summary(data) if hasattr(module, "summary") else ""
    return Made(script, files, json.loads(files["record.json"]), figure, claims, summary)


def load(script: Script) -> ModuleType:
    """Import a script, by a name under which other processes find its functions."""
    folder = script.path.parent
    if folder == Path(__file__).resolve().parent:
        return importlib.import_module(f"figures.{script.path.stem}")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(script.path.stem)


def write(made: Made, folder: Path) -> None:
    """Write a figure's folder, the record last; CSVs of tables that are no more are removed."""
    for stale in folder.glob("*.csv"):
        if stale.name not in made.files:
            stale.unlink()
    for name, content in made.files.items():
        write_whole(folder / name, content)


def write_docs(made: Made, docs: Path) -> None:
    """Keep record and small picture, to be committed. No quick picture replaces a full one."""
    records, mode = docs / "records", made.record["mode"]
    write_whole(records / f"{made.script.id}.{mode}.json", made.files["record.json"])
    if mode == "full" or not (records / f"{made.script.id}.full.json").exists():
        with style.applied():
            picture = _thumbnail(made.figure)
        write_whole(docs / "gallery" / f"{made.script.id}.png", picture)


def lost(made: Made, docs: Path) -> list[str]:
    """Claims reproduced in the committed record of this mode, and not, or no longer judged, now."""
    path = docs / "records" / f"{made.script.id}.{made.record['mode']}.json"
    if not path.exists():
        return []
    now = {(c.statement, c.claim) for c in made.claims if c.reproduced}
    before = [c for c in json.loads(path.read_bytes())["claims"] if c["reproduced"]]
    named = [(c["statement"], c["claim"]) for c in before]
    return [f"{statement}: {claim}" for statement, claim in named if (statement, claim) not in now]


def _checked(script: Script, claims: Sequence[Claim]) -> list[Claim]:
    judged = {claim.statement for claim in claims}
    if not script.is_bench and judged != set(script.statements):
        raise ValueError(
            f"STATEMENTS of {script.path.name} are {sorted(script.statements)}, "
            f"but its claims are about {sorted(judged)}."
        )
    return list(claims)


def _csv(name: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"table {name!r}: a name is a file name of letters, digits, - and _.")
    for i, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"table {name!r}: row {i} has {len(row)} entries, not {len(header)}.")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(plain(list(row)) for row in rows)
    return text.getvalue().encode()


def _thumbnail(figure: Any) -> bytes:
    """The picture for the gallery, at the largest resolution that stays small."""
    picture = b""
    for dpi in (130, 100, 75, 50):
        picture = style.rendered(figure, "png", dpi=dpi)
        if len(picture) < GALLERY_BYTES:
            break
    return picture


def report(made: Sequence[Made]) -> str:
    """Summaries, then one line per claim."""
    parts: list[str] = [f"{one.script.id}\n{one.summary.rstrip()}\n" for one in made if one.summary]
    return "\n".join([*parts, *(str(claim) for one in made for claim in one.claims)])
