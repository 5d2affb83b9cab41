"""The ledger is honest: each id has a test or a reason, each name exists, no page is old."""

import ledger
import pytest

LEDGER = ledger.load()


@pytest.fixture
def whole(ledger_run):
    if not ledger_run.whole:
        pytest.skip("needs the markers of the whole suite; a part of it was collected")
    return ledger_run


def test_ledger_has_no_faults():
    assert ledger.faults(LEDGER) == []


def test_every_id_has_a_test_or_a_reason(whole):
    assert ledger.test_faults(LEDGER, whole.marked) == []


def test_committed_page_is_up_to_date(whole, request):
    if request.config.option.write_ledger:
        return  # this run is about to write it
    assert ledger.PAGE.read_text(encoding="utf-8") == ledger.markdown(LEDGER, whole.marked), (
        "docs/statements.md is out of date; run `python -m pytest --write-ledger`"
    )
