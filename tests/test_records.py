"""The verdicts on the papers' figures are those of the committed records of `--full` runs."""

import json

import ledger
import pytest

LEDGER = ledger.load()
RECORDS = ledger.ROOT / "docs" / "records"
JUDGED = [id for id, s in LEDGER.statements.items() if s.verdict in ledger.FIGURES]


@pytest.mark.parametrize("id", [pytest.param(i, marks=pytest.mark.statement(i)) for i in JUDGED])
def test_verdict_of_a_figure_is_that_of_its_committed_record(id, evidence):
    records = [json.loads(p.read_text()) for p in RECORDS.glob("*.full.json")]
    claims = [c for record in records for c in record["claims"] if c["statement"] == id]
    for claim in claims:
        word = "reproduced" if claim["reproduced"] else "not reproduced"
        evidence(f"{claim['claim']} [{word}]", claim["number"])
    assert claims, f"no docs/records/*.full.json judges {id}"
    found = ledger.verdict_of_claims(claim["reproduced"] for claim in claims)
    assert LEDGER.statements[id].verdict == found
