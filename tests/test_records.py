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


# ---- what the pages say of the records -----------------------------------------------------------


def full_records():
    return [json.loads(path.read_text()) for path in sorted(RECORDS.glob("[!b]*.full.json"))]


def verdict_line(claim):
    """A claim as the gallery lists it."""
    word = "Reproduced" if claim["reproduced"] else "Not reproduced"
    share = "" if claim["share"] is None else f" ({claim['share']:.0%} of {claim['cases']})"
    return f"- {word}{share}: {claim['claim']}."


def missing_verdicts(page, records):
    """Claims that the page does not list with the verdict and the share of their record."""
    flat = " ".join(page.split())
    lines = [verdict_line(claim) for record in records for claim in record["claims"]]
    return [line for line in lines if " ".join(line.split()) not in flat]


def table_rows(record):
    """The rows of the README's table: method, geometric mean, spread, share of the base setting."""
    rows = {}
    for claim in record["claims"]:
        number = claim["number"]
        for method, (mean, spread) in number["geometric mean and spread"].items():
            wins = "" if method == "splitting" else f"{number['share by setting']['base']:.0%}"
            rows[method] = f"| {method} | {mean:.1e} | {spread:.0f} | {wins} |".replace("  ", " ")
    return rows


def signed_rows(record):
    """The rows of the README's table of signed splits: both readings of what is trained."""
    readings = {"output weights trained": "base", "output weights fixed": "fixed output weights"}
    rows = {}
    for claim in record["claims"]:
        number = claim["number"]
        if "geometric mean and spread" not in number:
            continue
        _, method, rest = claim["claim"].split(", ")
        setting = readings[rest.split("; ")[1]]
        share = number["share by setting, 13 neurons"][setting]
        for name, key, wins in (
            ("S2D", "geometric mean and spread of S2D", ""),
            (f"S3D, {method}", "geometric mean and spread", f"{share:.0%}"),
        ):
            mean, spread = number[key][setting]
            rows.setdefault(name, {})[setting] = f" | {mean:.1e} | {spread:.0f} | {wins}"
    both = {name: "".join(row[s] for s in readings.values()) for name, row in rows.items()}
    return [f"| {name}{row} |".replace("  ", " ") for name, row in both.items()]


def missing_measures(page, records):
    """Benchmarked claims that the page does not list with the number of their record."""
    flat = " ".join(page.split())
    lines = [f"| {c['claim']} | {c['number']:.3g} |" for r in records for c in r["claims"]]
    return [line for line in lines if line not in flat]


def test_the_benchmarks_are_those_of_the_record():
    page = (ledger.ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    records = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("bench_*.full.json"))]
    assert len(records) == 4 and not missing_measures(page, records)
    records[0]["claims"][0]["number"] *= 2
    assert len(missing_measures(page, records)) == 1


def test_the_gallery_lists_every_claim_with_its_verdict():
    page = (ledger.ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    records = full_records()
    assert records and not missing_verdicts(page, records)
    turned = json.loads(json.dumps(records))
    turned[0]["claims"][0]["reproduced"] ^= True
    assert len(missing_verdicts(page, turned)) == 1


def test_the_table_of_methods_is_that_of_the_full_run():
    page = (ledger.ROOT / "README.md").read_text(encoding="utf-8")
    [record] = [r for r in full_records() if r["id"] == "S2D-Fig-1d"]
    rows = table_rows(record)
    assert len(rows) == 6
    assert not [row for row in rows.values() if row not in page]


def test_the_table_of_signed_splits_is_that_of_the_full_run():
    page = (ledger.ROOT / "README.md").read_text(encoding="utf-8")
    [record] = [r for r in full_records() if r["id"] == "S3D-Fig-2a"]
    rows = signed_rows(record)
    assert len(rows) == 4
    assert not [row for row in rows if row not in page]
