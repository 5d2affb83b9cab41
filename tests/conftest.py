"""Threads, Hypothesis, fixtures; the ledger's `--statement ID`, `--write-ledger` and table."""

import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.util import find_spec
from numbers import Real
from pathlib import Path

# Before numpy is imported: one thread, so that the last bits do not depend on the machine.
os.environ.update(
    OPENBLAS_NUM_THREADS="1",
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    VECLIB_MAXIMUM_THREADS="1",
    NUMBA_NUM_THREADS="1",
    MPLBACKEND="Agg",
)

import hypothesis
import ledger
import pytest

pytest.register_assert_rewrite("augmented", "figure_scripts", "laws")

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")

hypothesis.settings.register_profile(
    "refgrow",
    deadline=None,  # the first call of a compiled function takes seconds
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,  # `evidence` is meant to outlive an example
    ],
)
hypothesis.settings.load_profile("refgrow")

# The HTML build is tested where the extra `docs` is installed.
collect_ignore = [] if find_spec("sphinx") else ["test_html.py"]


@dataclass
class Run:
    """What the ledger knows about this run."""

    ledger: ledger.Ledger
    ids: dict[str, tuple[str, ...]] = field(default_factory=dict)  # nodeid -> ids it carries
    outcomes: dict[str, str] = field(default_factory=dict)  # nodeid -> passed, failed, ...
    evidence: dict[str, list[str]] = field(default_factory=dict)
    whole: bool = False  # every test of the suite was collected
    deselected: int = 0
    message: str = ""

    @property
    def marked(self) -> dict[str, set[str]]:
        """The test files that carry each id, whether they were selected or not."""
        files = defaultdict(set)
        for nodeid, ids in self.ids.items():
            for id in ids:
                files[id].add(Path(nodeid.split("::")[0]).name)
        return dict(files)

    def of(self, id: str) -> dict[str, str]:
        """The outcomes of the tests that carry this id."""
        return {n: self.outcomes[n] for n, ids in self.ids.items() if id in ids}


RUN = pytest.StashKey[Run]()


def pytest_addoption(parser):
    group = parser.getgroup("statements")
    group.addoption(
        "--statement", metavar="ID", help="run this statement's tests, show the numbers"
    )
    group.addoption(
        "--write-ledger",
        action="store_true",
        help="write docs/statements.md, after a run of the whole suite with every test green",
    )


def pytest_configure(config):
    try:
        run = Run(ledger.load())
        if config.option.statement is not None:
            ledger.find(run.ledger, config.option.statement)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[RUN] = run


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    run = config.stash[RUN]
    run.whole = _is_whole(config, items)
    for item in items:
        marks = item.iter_markers("statement")
        run.ids[item.nodeid] = tuple(id for mark in marks for id in mark.args)
        run.outcomes[item.nodeid] = "not run"
        if INTERPRETED and item.get_closest_marker("compiled"):
            item.add_marker(pytest.mark.skip(reason="trains: only compiled"))
    if wanted := config.option.statement:
        out = [item for item in items if wanted not in run.ids[item.nodeid]]
        items[:] = [item for item in items if wanted in run.ids[item.nodeid]]
        config.hook.pytest_deselected(items=out)


def _is_whole(config, items) -> bool:
    start, tests = config.invocation_params.dir, ledger.ROOT / "tests"
    if any((start / arg).resolve() not in (ledger.ROOT, tests) for arg in config.args):
        return False
    on_disk = {path.name for path in tests.glob("test_*.py")} - set(collect_ignore)
    return on_disk <= {item.path.name for item in items}


def pytest_deselected(items):
    if items:
        items[0].config.stash[RUN].deselected += len(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    run = item.config.stash[RUN]
    outcome = "failed" if hasattr(report, "wasxfail") else report.outcome
    if call.when == "call" or outcome != "passed":
        run.outcomes[item.nodeid] = outcome
    return report


class Evidence:
    """`evidence("slope", 3.01)`, `evidence(slope=3.01)`, `evidence("a line of text")`.

    The last value under a name stays; `evidence.worst(name, value)` keeps the largest.
    """

    def __init__(self):
        self.values = {}

    def __call__(self, name=None, value=None, /, **values):
        if name is not None:
            values = {name: value} | values
        self.values |= values

    def worst(self, name, value):
        self.values[name] = max(value, self.values.get(name, value))

    def lines(self):
        return [_line(*entry) for entry in self.values.items()]


def _line(name, value):
    if value is None:
        return name
    number = isinstance(value, Real) and not isinstance(value, (bool, int))
    return f"{name} = {value:.6g}" if number else f"{name} = {value}"


@pytest.fixture
def evidence(request):
    """Hand over the numbers that decide a statement, or its counterexample, for --statement."""
    handed = Evidence()
    yield handed
    request.config.stash[RUN].evidence[request.node.nodeid] = handed.lines()


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """An empty folder of figures' scripts; what is imported from it is forgotten afterwards."""
    from figures.sources import sources

    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("REFGROW_DATA", "")
    modules, path = set(sys.modules), list(sys.path)
    (tmp_path / "scripts").mkdir()
    yield tmp_path / "scripts"
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
    sources.cache_clear()


@pytest.fixture
def ledger_run(request):
    """What the ledger knows about this run."""
    return request.config.stash[RUN]


def why_not_written(config, exitstatus) -> str:
    """Why this run may not write docs/statements.md; empty where it may."""
    run = config.stash[RUN]
    short = [n for n, outcome in run.outcomes.items() if outcome != "passed"]
    if INTERPRETED:
        return "the kernels were interpreted (NUMBA_DISABLE_JIT)"
    if not run.whole or run.deselected:
        return "only a part of the suite was run"
    if short:
        first = f"{short[0]} ({run.outcomes[short[0]]})"
        return f"{len(short)} tests did not pass, the first is {first}"
    return f"the run ended with exit code {int(exitstatus)}" if exitstatus else ""


def pytest_sessionfinish(session, exitstatus):
    config = session.config
    if not config.option.write_ledger:
        return
    run = config.stash[RUN]
    if reason := why_not_written(config, exitstatus):
        run.message = f"docs/statements.md was not written: {reason}"
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return
    ledger.PAGE.write_text(ledger.markdown(run.ledger, run.marked), encoding="utf-8")
    run.message = "docs/statements.md written"


def pytest_terminal_summary(terminalreporter, config):
    run = config.stash[RUN]
    one = config.option.statement
    lines = _one(run, run.ledger.statements[one]) if one else _table(run, config.option.verbose)
    if run.message:
        lines.append((run.message, "red" if "not written" in run.message else "green"))
    if lines and not config.option.collectonly:
        terminalreporter.section("statements")
        for line, look in lines:
            terminalreporter.write_line(line, **({look: True} if look else {}))


def _one(run, statement):
    """What decides one statement: its card, its tests, and the numbers they handed over."""
    tests = run.of(statement.id)
    lines = [(line, "") for line in ledger.card(statement)]
    lines.append((f"  {'status':<15} {ledger.status(tests.values())}", "bold"))
    for nodeid, outcome in tests.items():
        lines.append((f"  {outcome:<15} {nodeid}", ""))
        lines += [(f"  {'':<15}   {line}", "") for line in run.evidence.get(nodeid, [])]
    return lines


def _table(run, verbose):
    """The table of a run; of a part of the suite, only the statements whose tests ran."""
    looks = {"checked": "green", "failed": "red", "partly run": "yellow"}
    whole = run.whole and not run.deselected
    lines = []
    for name in run.ledger.papers:
        statements = run.ledger.of(name)
        outcomes = {s.id: list(run.of(s.id).values()) for s in statements}
        statuses = {id: ledger.status(tests) for id, tests in outcomes.items()}
        if not whole:
            statements = [s for s in statements if statuses[s.id] not in ("no test", "not run")]
        begun = verbose >= 0 and any(s.verdict != "planned" for s in statements)
        if begun or not whole:
            rows = ledger.rows(statements, outcomes)
            lines += [(r, looks.get(statuses[s.id])) for s, r in zip(statements, rows, strict=True)]
        if statements:
            lines.append((f"{name:<5} {ledger.totals(statements, statuses)}", "bold"))
    return lines
