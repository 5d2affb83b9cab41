"""Negative controls: the checks of the ledger find what they are there to find.

The first half breaks a ledger of one statement in every way it can be broken; the second runs
pytest, with this project's plugin, on a project of one test.
"""

import os
import shutil
import subprocess
import sys

import ledger
import pytest
from ledger import Ledger, Paper, Statement

GOOD = {
    "id": "P-1",
    "paper": "P",
    "place": "eq 1",
    "claim": "one is one",
    "verdict": "holds",
    "reason": "it is",
    "code": ("refgrow.validation.as_array",),
}


def ledger_with(ids=("P-1",), **changes):
    statement = Statement(**GOOD | changes)
    return Ledger({"P": Paper("A paper", "a draft", ids)}, {statement.id: statement})


def test_a_good_ledger_has_no_faults():
    assert ledger.faults(ledger_with()) == []
    assert ledger.test_faults(ledger_with(), ["P-1"]) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"paper": "Q"}, "is not an id of the paper"),
        ({"id": "P-2"}, "not in the fixed list"),
        ({"verdict": "checked"}, "verdict 'checked' is none of"),
        ({"verdict": "refuted", "corrected": "no"}, "without `counterexample`"),
        ({"verdict": "corrected", "counterexample": "1"}, "without `corrected`"),
        ({"reason": " "}, "reason must be one line"),
        ({"claim": "two\nlines"}, "claim must be one line"),
        ({"uses": ("P-3",)}, "uses P-3"),
        ({"code": ("refgrow.validation.nothing",)}, "refgrow.validation.nothing"),
        ({"code": ("refgrow.nothing",)}, "refgrow.nothing"),
        ({"ids": ("P-1", "P-2")}, "P-2: is in the fixed list"),
    ],
)
def test_each_fault_is_found(changes, words):
    assert any(words in fault for fault in ledger.faults(ledger_with(**changes)))


def test_new_ids_and_parts_of_ids_are_allowed():
    assert ledger.faults(ledger_with(id="P-fact-new", ids=())) == []
    assert ledger.faults(ledger_with(id="P-1a")) == []


@pytest.mark.parametrize(
    ("marked", "changes", "words"),
    [
        ([], {}, "no test carries it"),
        (["P-1", "P-9"], {}, "P-9: a test carries it"),
        (["P-1"], {"untested": "because"}, "says it has none"),
        (["P-1"], {"verdict": "out of scope"}, "says it has none"),
    ],
)
def test_each_fault_of_the_tests_is_found(marked, changes, words):
    assert any(words in fault for fault in ledger.test_faults(ledger_with(**changes), marked))


def test_a_reason_stands_in_for_a_test():
    for changes in ({"verdict": "planned"}, {"verdict": "out of scope"}, {"untested": "a proof"}):
        assert ledger.test_faults(ledger_with(**changes), []) == []


def test_checked_means_that_every_test_passed():
    assert ledger.status(["passed", "passed"]) == "checked"
    assert ledger.status(["passed", "failed", "skipped"]) == "failed"
    assert ledger.status(["passed", "skipped"]) == "partly run"
    assert ledger.status(["passed", "not run"]) == "partly run"
    assert ledger.status(["skipped"]) == "not run"
    assert ledger.status([]) == "no test"


def test_a_figure_is_judged_by_its_claims():
    assert ledger.verdict_of_claims([True, True]) == "reproduced"
    assert ledger.verdict_of_claims([True, False]) == "partly reproduced"
    assert ledger.verdict_of_claims([False]) == "not reproduced"


def test_an_unknown_field_is_named(tmp_path):
    path = tmp_path / "statements.toml"
    path.write_text('[papers]\n["P-1"]\npaper = "P"\nverdikt = "holds"\n')
    with pytest.raises(ValueError, match="verdikt"):
        ledger.load(path)


def test_page_shows_what_the_ledger_says():
    page = ledger.markdown(ledger_with(claim="a * b"), {"P-1": {"test_p.py"}})
    assert "| [P-1](#p-1) | eq 1 | holds | checked |" in page
    assert "a \\* b" in page
    assert "[test_p.py](../tests/test_p.py)" in page
    assert "[`validation.as_array`](../refgrow/validation.py)" in page
    assert "| holds | no test |" in ledger.markdown(ledger_with(), {})


# ---- the plugin, on a project of one test --------------------------------------------------------

TOML = """
[papers.P]
title = "A paper"
version = "a draft"
ids = ["P-1"]

["P-1"]
paper = "P"
place = "eq 1"
claim = "one is one"
verdict = "holds"
reason = "it is"
"""
TEST = """
import pytest

@pytest.mark.statement("P-1")
def test_one(evidence):
    evidence("the number", 1.0)
    evidence.worst("error", 1e-9)
    evidence.worst("error", 1e-8)
    assert 1 == 1
"""


@pytest.fixture
def project(tmp_path):
    """A function that runs pytest on a project of one test, changed as asked."""
    here = ledger.ROOT / "tests"

    def run(*options, test=TEST, toml=TOML, environment=()):
        for folder in ("tests", "docs"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for name in ("conftest.py", "ledger.py", "test_ledger.py"):
            shutil.copy(here / name, tmp_path / "tests" / name)
        shutil.copy(ledger.ROOT / "pyproject.toml", tmp_path)
        (tmp_path / "docs" / "statements.toml").write_text(toml)
        (tmp_path / "tests" / "test_one.py").write_text(test)
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
            cwd=tmp_path,
            env=os.environ | {"NUMBA_DISABLE_JIT": "0"} | dict(environment),
            capture_output=True,
            text=True,
            check=False,
        )

    run.page = tmp_path / "docs" / "statements.md"
    return run


def test_a_green_run_shows_the_statement_checked_and_writes_the_page(project):
    done = project("--write-ledger")
    assert done.returncode == 0, done.stdout
    assert "docs/statements.md written" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.strip().startswith("P-1 "))
    assert row.split() == ["P-1", "holds", "checked", "1", "test"]
    assert "| [P-1](#p-1) | eq 1 | holds | checked |" in project.page.read_text()
    assert project().returncode == 0  # the page is up to date


def test_an_outdated_page_fails(project):
    project("--write-ledger")
    done = project(toml=TOML.replace("one is one", "one is two"))
    assert done.returncode == 1
    assert "docs/statements.md is out of date" in done.stdout


def test_a_failing_test_is_not_checked_and_writes_nothing(project):
    done = project("--write-ledger", test=TEST.replace("1 == 1", "1 == 2"))
    assert done.returncode == 1
    assert "failed      1 test" in done.stdout
    assert "1 failed" in done.stdout
    assert "not written: 1 tests did not pass" in done.stdout
    assert not project.page.exists()


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("@pytest.mark.skip", "(skipped)"),
        ("@pytest.mark.xfail(strict=False)", "(failed)"),
    ],
)
def test_a_test_that_did_not_pass_writes_nothing(project, mark, words):
    done = project("--write-ledger", test=TEST.replace("@", mark + "\n@"))
    assert done.returncode == 1
    assert words in done.stdout
    assert " checked" not in done.stdout
    assert not project.page.exists()


@pytest.mark.parametrize("part", [("tests/test_one.py",), ("-k", "one"), ("--statement", "P-1")])
def test_a_part_of_the_suite_writes_nothing(project, part):
    done = project("--write-ledger", *part)
    assert done.returncode == 1
    assert "not written: only a part of the suite was run" in done.stdout
    assert not project.page.exists()


def test_an_interpreted_run_skips_what_trains_and_writes_nothing(project):
    test = TEST.replace("@", "@pytest.mark.compiled\n@")
    done = project("--write-ledger", test=test, environment={"NUMBA_DISABLE_JIT": "1"})
    assert done.returncode == 1
    assert "trains: only compiled" in done.stdout
    assert "not run     1 test" in done.stdout
    assert "not written: the kernels were interpreted" in done.stdout
    assert not project.page.exists()


def test_an_id_without_a_test_fails(project):
    done = project(test=TEST.replace('@pytest.mark.statement("P-1")', ""))
    assert done.returncode == 1
    assert "P-1: is called holds, but no test carries it" in done.stdout


def test_a_mark_that_names_no_id_fails(project):
    done = project(test=TEST.replace("P-1", "P-7"))
    assert done.returncode == 1
    assert "P-7: a test carries it, the ledger does not know it" in done.stdout


def test_one_statement_shows_its_numbers(project):
    done = project("--statement", "P-1")
    assert done.returncode == 0
    assert "the number = 1" in done.stdout
    assert "error = 1e-08" in done.stdout
    assert "1 passed" in done.stdout


def test_an_unknown_statement_suggests_the_nearest(project):
    done = project("--statement", "P1")
    assert done.returncode == 4
    assert "Did you mean P-1?" in done.stderr
