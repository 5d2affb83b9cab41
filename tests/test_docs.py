"""The pages say nothing that is not there: links, anchors, ids, named objects, examples, commands.

Every check is a function from a page's text to a list of faults, with a negative control below.
"""

import re
import subprocess
from collections import Counter
from pathlib import Path

import ledger
import pytest

from figures import catalogue

ROOT = ledger.ROOT
LEDGER = ledger.load()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
SOURCES = [p for d in ("refgrow", "figures", "tests") for p in sorted((ROOT / d).glob("*.py"))]
RECORDS = sorted((ROOT / "docs" / "records").glob("*.json"))
SCRIPTS = {script.id for script in catalogue.find(ROOT / "figures")}
NAMESPACES = {path.stem for path in (ROOT / "refgrow").glob("[a-z]*.py")}

FIGURES = (
    'python3 -m venv .venv && .venv/bin/python -m pip install -e ".[figures]" '
    "&& .venv/bin/python -m figures"
)
TESTS = (
    'python3 -m venv .venv && .venv/bin/python -m pip install -e ".[test]" '
    "&& .venv/bin/python -m pytest"
)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


# ---- the checks ----------------------------------------------------------------------------------

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
CODE = re.compile(r"`([^`\n]+)`")
MATH = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.S)


def blocks(text, language):
    """The fenced blocks in a language."""
    return [body for word, body in FENCE.findall(text) if word == language]


def prose(text):
    """A page without fenced blocks, code, formulas and comments."""
    for pattern in (FENCE, CODE, MATH, re.compile(r"<!--.*?-->", re.S)):
        text = pattern.sub("", text)
    return text


def anchors(text):
    """The anchors that GitHub gives to a page's headings."""
    seen = Counter()
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *$", FENCE.sub("", text), re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = ledger.anchor(plain)
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def link_faults(page, text):
    """Relative links that lead nowhere."""
    found = []
    links = re.findall(r"\]\(<?([^)\s>]*)>?(?: \"[^\"]*\")?\)", prose(text))
    links += re.findall(r'\b(?:href|src)="([^"]+)"', prose(text))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, fragment = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not link or not target.exists():
            found.append(f"{link!r} leads to no file")
        elif fragment and target.suffix == ".md":
            there = text if target == page else target.read_text(encoding="utf-8")
            if fragment not in anchors(there):
                found.append(f"{link!r} leads to no heading")
    return found


def id_faults(text):
    """Statement ids that are not in the ledger, nor the ids of figures."""
    ids = re.findall(rf"(?<![\w.-])(?:{'|'.join(LEDGER.papers)})-\w[\w.-]*", text)
    ids = {id.removesuffix(".png").rstrip(".-") for id in ids} - {
        f"{paper}-ID" for paper in LEDGER.papers
    }
    return sorted(ids - LEDGER.statements.keys() - SCRIPTS)


def object_faults(text):
    """Dotted names in backticks that lead to nothing: `s2d.decide`, `refgrow.s2d.decide`."""
    found = []
    for code in CODE.findall(FENCE.sub("", text)):
        match = re.match(r"(refgrow\.|figures\.)?([a-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\(.*)?$", code)
        if not match or code.endswith((".py", ".md", ".toml", ".json", ".csv", ".svg", ".png")):
            continue
        package, name = match.groups()
        if not package and ("." not in name or name.split(".")[0] not in NAMESPACES):
            continue
        if not ledger.exists((package or "refgrow.") + name):
            found.append(code)
    return found


def path_faults(text):
    """Absolute paths of somebody's machine."""
    return re.findall(r"(?<![\w.~$}>/-])/(?:home|root|tmp|work|Users|mnt|opt)/[\w./-]*", text)


def formula_faults(text):
    """What GitHub, which reads Markdown before formulas, or the MathML converter gets wrong."""
    found = []
    for formula in MATH.findall(CODE.sub("", FENCE.sub("", text))):
        if re.search(r"\\[^A-Za-z\s]", formula):
            found.append(
                f"{formula}: a backslash before punctuation; use \\lbrace, a ```math block"
            )
        if re.search(r"<\w", formula) or "](" in formula:
            found.append(f"{formula}: reads as a tag or as a link; use spaces")
        if "\n\n" in formula:
            found.append(f"{formula}: an unpaired dollar sign")
    for formula in MATH.findall(text) + blocks(text, "math"):
        if "\\operatorname*" in formula:
            found.append(f"{formula}: \\operatorname* is not converted")
    return found


# ---- the pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_page(page):
    text = page.read_text(encoding="utf-8")
    assert link_faults(page, text) == []
    assert object_faults(text) == []
    assert formula_faults(text) == []


@pytest.mark.parametrize("page", [*PAGES, *SOURCES, *RECORDS, ledger.SOURCE], ids=name_of)
def test_ids_and_paths(page):
    text = page.read_text(encoding="utf-8")
    if page != Path(__file__):  # the negative controls below
        assert id_faults(text) == []
        assert path_faults(text) == []


@pytest.mark.compiled
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_run(page):
    namespace = {}
    for number, example in enumerate(blocks(page.read_text(encoding="utf-8"), "python"), 1):
        exec(compile(example, f"{name_of(page)}, example {number}", "exec"), namespace)


def test_readme_has_the_two_commands_under_the_first_heading():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.split(r"^## .*$", text, maxsplit=2, flags=re.M)[1]
    assert [command.strip() for command in blocks(first, "sh")] == [FIGURES, TESTS]


def test_ci_runs_the_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme\(\) \{.*?^\}$", script, re.M | re.S).group()
    for name, command in (("pytest", TESTS), ("figures", FIGURES)):
        run = subprocess.run(
            ["bash", "-c", f"{function}\nreadme {name} python3 .venv"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout == command
    assert "command=$(readme pytest python3 " in script


def test_index_lists_every_page():
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^[\w-]+$", text.split("```{toctree}")[1], re.M))
    assert listed == {page.stem for page in PAGES if page.parent.name == "docs"} - {"index"}


# ---- negative controls ---------------------------------------------------------------------------


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# Here\n\n## A `b` c, d\n\n## Here\n")
    page = tmp_path / "page.md"
    page.touch()
    text = "# Top\n[1](other.md#here) [2](other.md#a-b-c-d) [3](#top) [4](other.md#here-1)\n"
    assert link_faults(page, text) == []
    assert link_faults(page, "[1](missing.md)") == ["'missing.md' leads to no file"]
    assert link_faults(page, "[1](other.md#there)") == ["'other.md#there' leads to no heading"]
    assert link_faults(page, "# Top\n[1](#bottom)") == ["'#bottom' leads to no heading"]
    assert link_faults(page, '<img src="missing.svg">') == ["'missing.svg' leads to no file"]


def test_an_unknown_id_is_found():
    assert id_faults("see S2D-Thm-2.2, S2D-A.1-lines and s2d-nothing.") == []
    assert id_faults("see S2D-Thm-9.9.") == ["S2D-Thm-9.9"]


def test_an_unknown_object_is_found():
    good = "`validation.as_array` `refgrow.validation` `validation.as_scalar(x, above=0)` `a.b`"
    assert object_faults(good) == []
    bad = "`validation.nothing` `refgrow.nothing` `validation.nothing(x)`"
    assert object_faults(bad) == ["validation.nothing", "refgrow.nothing", "validation.nothing(x)"]


def test_a_machine_path_is_found():
    assert path_faults("`../refgrow/s2d.py` or https://example.org/home/page") == []
    assert path_faults("run /home/me/refgrow") == ["/home/me/refgrow"]


def test_a_fragile_formula_is_found():
    assert formula_faults("$a_1 < b$ costs `$5`\n```math\na \\, b \\\\ \\{\n```\n") == []
    for bad in ("$\\{a\\}$", "$a\\,b$", "$a <b$", "$[a](b)$", "$\\operatorname*{f}$"):
        assert len(formula_faults(bad)) == 1, bad


# ---- the errata ----------------------------------------------------------------------------------


def without_erratum(text, verdicts):
    """Ids whose print is wrong and that the page of errata does not name."""
    wrong = {"corrected", "refuted", "ambiguous"}
    return [id for id, verdict in verdicts.items() if verdict in wrong and id not in text]


def test_every_wrong_print_has_its_erratum():
    verdicts = {id: s.verdict for id, s in LEDGER.statements.items()}
    page = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")
    assert not without_erratum(page, verdicts)
    assert without_erratum(page, {"S2D-Eq-99": "refuted", "S2D-Eq-1": "holds"}) == ["S2D-Eq-99"]
