"""The ledger of statements: what it holds, what would make it dishonest, and how it is shown.

Plain functions over `docs/statements.toml`; the pytest hooks that feed them are in `conftest.py`.
A status is never typed. It is computed from the outcomes of the tests that carry the id::

    checked      at least one test carries it, and all of them passed in this run
    failed       one of them failed
    partly run   one of them was skipped or not selected
    no test      none carries it: the verdict or the ledger says why
"""

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "docs" / "statements.toml"
PAGE = ROOT / "docs" / "statements.md"

PROVEN = ("holds", "corrected", "refuted", "ambiguous", "definition")
FIGURES = ("reproduced", "partly reproduced", "not reproduced")
OPEN = ("planned", "out of scope")
VERDICTS = PROVEN + FIGURES + OPEN


@dataclass(frozen=True)
class Statement:
    """One table of the ledger."""

    id: str
    paper: str
    place: str
    claim: str
    verdict: str
    reason: str
    uses: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    corrected: str = ""
    counterexample: str = ""
    untested: str = ""


@dataclass(frozen=True)
class Paper:
    """One paper, with the fixed list of the ids it must have."""

    title: str
    version: str
    ids: tuple[str, ...]
    chapter: str = ""


@dataclass(frozen=True)
class Ledger:
    papers: Mapping[str, Paper]
    statements: Mapping[str, Statement]

    def of(self, paper: str) -> list[Statement]:
        """The statements of one paper, in the ledger's order."""
        return [s for s in self.statements.values() if s.paper == paper]


def load(path: Path = SOURCE) -> Ledger:
    """Read the ledger. An unknown or missing field is an error that names the table."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    papers = {name: _record(Paper, name, table) for name, table in tables.pop("papers").items()}
    statements = {id: _record(Statement, id, table | {"id": id}) for id, table in tables.items()}
    return Ledger(papers, statements)


def _record(kind, name, table):
    known = {f.name for f in fields(kind)}
    required = {f.name for f in fields(kind) if f.default is MISSING}
    if wrong := sorted((required - table.keys()) | (table.keys() - known)):
        raise ValueError(f"[{name}] of the ledger: missing or unknown fields {wrong}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})


def find(ledger: Ledger, id: str) -> Statement:
    """The statement with this id; a ValueError that suggests the nearest where there is none."""
    if id in ledger.statements:
        return ledger.statements[id]
    near = get_close_matches(id, ledger.statements, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"no statement {id!r} in the ledger.{hint}")


# ---- what would make it dishonest ----------------------------------------------------------------


def faults(ledger: Ledger) -> list[str]:
    """What is wrong with the ledger by itself, before any test has been looked at."""
    found = []
    for s in ledger.statements.values():

        def fault(text, id=s.id):
            found.append(f"{id}: {text}")

        paper = ledger.papers.get(s.paper)
        if paper is None or not s.id.startswith(f"{s.paper}-"):
            fault(f"is not an id of the paper {s.paper!r}")
        elif not (s.id in paper.ids or _is_part(s.id, paper.ids) or s.id.endswith("-new")):
            fault("is not in the fixed list, not a part of an id in it, and does not end in -new")
        if s.verdict not in VERDICTS:
            fault(f"verdict {s.verdict!r} is none of {', '.join(VERDICTS)}")
        for name in ("place", "claim", "reason"):
            if not getattr(s, name).strip() or "\n" in getattr(s, name):
                fault(f"{name} must be one line")
        for name in ("corrected", "counterexample"):
            if s.verdict in ("corrected", "refuted") and not getattr(s, name).strip():
                fault(f"is {s.verdict} without `{name}`")
        for used in s.uses:
            if used.split("-")[0] in ledger.papers and used not in ledger.statements:
                fault(f"uses {used}, which is not in the ledger")
        for name in s.code:
            if not exists(name):
                fault(f"names {name}, which does not exist")
    for paper in ledger.papers.values():
        for id in paper.ids:
            parts = [part for part in ledger.statements if _is_part(part, [id])]
            if id not in ledger.statements and not parts:
                found.append(f"{id}: is in the fixed list, but has neither a table nor parts")
    return found


def test_faults(ledger: Ledger, marked: Iterable[str]) -> list[str]:
    """What is wrong between the ledger and the ids its tests carry (all tests, not a selection)."""
    marked = set(marked)
    found = [
        f"{id}: a test carries it, the ledger does not know it"
        for id in sorted(marked - ledger.statements.keys())
    ]
    for s in ledger.statements.values():
        excused = s.verdict in OPEN or s.untested.strip()
        if s.id not in marked and not excused:
            found.append(
                f"{s.id}: is called {s.verdict}, but no test carries it and no `untested` says why"
            )
        if s.id in marked and (s.untested or s.verdict == "out of scope"):
            found.append(f"{s.id}: a test carries it, but the ledger says it has none")
    return found


test_faults.__test__ = False  # a function about tests, not a test


def _is_part(id: str, whole: Iterable[str]) -> bool:
    return id[-1:].islower() and id[:-1] in whole


def exists(name: str) -> bool:
    """Does the dotted name lead to something that can be imported?"""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        try:
            for part in parts[n:]:
                found = getattr(found, part)
        except AttributeError:
            return False
        return True
    return False


# ---- status --------------------------------------------------------------------------------------


def status(outcomes: Iterable[str]) -> str:
    """The status of a statement from its tests' outcomes: passed, failed, skipped or not run."""
    seen = set(outcomes)
    if not seen:
        return "no test"
    if "failed" in seen:
        return "failed"
    if seen == {"passed"}:
        return "checked"
    return "partly run" if "passed" in seen else "not run"


def verdict_of_claims(reproduced: Iterable[bool]) -> str:
    """The verdict of a figure from the verdicts of its claims."""
    seen = set(map(bool, reproduced))
    if seen == {True}:
        return "reproduced"
    return "partly reproduced" if True in seen else "not reproduced"


# ---- how it is shown -----------------------------------------------------------------------------


def totals(statements: Iterable[Statement], statuses: Mapping[str, str]) -> str:
    """For example `39 statements: 30 checked, 7 planned, 2 out of scope`."""
    count = Counter(
        s.verdict if s.verdict in OPEN and statuses[s.id] == "no test" else statuses[s.id]
        for s in statements
    )
    noun = "statement" if count.total() == 1 else "statements"
    return f"{count.total()} {noun}: " + ", ".join(f"{n} {w}" for w, n in count.most_common())


def rows(statements: Iterable[Statement], outcomes: Mapping[str, list[str]]) -> list[str]:
    """Aligned lines: id, verdict, status, number of tests."""
    lines = []
    for s in statements:
        tests = outcomes.get(s.id, [])
        number = f"{len(tests)} test{'s' * (len(tests) != 1)}" if tests else s.untested or s.reason
        lines.append(f"  {s.id:<25} {s.verdict:<18} {status(tests):<11} {number}".rstrip())
    return lines


def card(s: Statement) -> list[str]:
    """Everything the ledger says about one statement."""
    entries = {
        "claim": s.claim,
        "verdict": s.verdict,
        "reason": s.reason,
        "corrected": s.corrected,
        "counterexample": s.counterexample,
        "untested": s.untested,
        "uses": ", ".join(s.uses),
        "code": ", ".join(s.code),
    }
    return [f"{s.id}  ({s.place})"] + [f"  {k:<15} {v}" for k, v in entries.items() if v]


def markdown(ledger: Ledger, marked: Mapping[str, Iterable[str]]) -> str:
    """`docs/statements.md` as it stands after a run of the whole suite in which all was green.

    After such a run the statuses follow from which ids have tests, and in which files, so that an
    outdated page shows by comparing, without a record of the run.
    """
    done = {s.id: "checked" if s.id in marked else "no test" for s in ledger.statements.values()}
    out = [
        "# Statements",
        "",
        "<!-- Written by `python -m pytest --write-ledger` from docs/statements.toml. "
        "Do not edit. -->",
        "",
        "What each statement of the papers says, what is true, and whether its tests pass. The",
        "table is written only after a run of the whole suite in which every test passed;",
        "*checked* means that the tests that carry the id were among them.",
        "[What the verdicts mean](index.md).",
        "Run one statement's tests, and see the numbers that decide it, with",
        "`python -m pytest --statement ID`.",
        "",
        "| paper | version | statements |",
        "| --- | --- | --- |",
    ]
    for name, paper in ledger.papers.items():
        line = totals(ledger.of(name), done)
        out.append(f"| [{name}](#{name.lower()}): {paper.title} | {paper.version} | {line} |")
    for name, paper in ledger.papers.items():
        out += ["", f"## {name}", "", f"{paper.title}, {paper.version}."]
        statements = ledger.of(name)
        if any(s.verdict != "planned" for s in statements):
            out += ["", "| statement | place | verdict | status |", "| --- | --- | --- | --- |"]
            out += [
                f"| [{s.id}](#{anchor(s.id)}) | {_text(s.place)} | {s.verdict} | {done[s.id]} |"
                for s in statements
            ]
            for s in statements:
                out += ["", f"### {s.id}", "", *_section(s, sorted(marked.get(s.id, ())))]
        else:
            out += ["", f"All planned: {statements[0].reason if statements else 'no ids.'}"]
            out += ["", "| statement | place | claim |", "| --- | --- | --- |"]
            out += [f"| {s.id} | {_text(s.place)} | {_text(s.claim)} |" for s in statements]
    return "\n".join(out) + "\n"


def _section(s: Statement, files: list[str]) -> list[str]:
    said = _text(f"{s.place[:1].upper()}{s.place[1:]}: {s.claim}")
    lines = [said if said.endswith((".", "?")) else f"{said}.", ""]
    lines.append(f"- **{s.verdict}**: {_text(s.reason)}")
    if s.corrected:
        lines.append(f"- what is true: {_text(s.corrected)}")
    if s.counterexample:
        lines.append(f"- counterexample: {_text(s.counterexample)}")
    if s.uses:
        lines.append(
            "- uses "
            + ", ".join(
                f"[{u}](#{anchor(u)})" if u.startswith(f"{s.paper}-") else _text(u) for u in s.uses
            )
        )
    if s.code:
        lines.append("- code: " + ", ".join(_code_link(name) for name in s.code))
    if files:
        lines.append("- tests: " + ", ".join(f"[{f}](../tests/{f})" for f in files))
    elif s.untested:
        lines.append(f"- no test: {_text(s.untested)}")
    return lines


def _code_link(name: str) -> str:
    package, module, *rest = name.split(".")
    return f"[`{'.'.join([module, *rest])}`](../{package}/{module}.py)"


def anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    kept = "".join(c for c in heading.strip().lower() if c.isalnum() or c in "-_ ")
    return kept.replace(" ", "-")


def _text(plain: str) -> str:
    """Plain text as Markdown: nothing in it is taken for markup, except code in backticks."""
    parts = plain.rstrip().split("`")
    for i in range(0, len(parts), 2):
        for c in "*_|[]<$":
            parts[i] = parts[i].replace(c, "\\" + c)
    return "`".join(parts)
