"""The HTML build passes with warnings as errors and needs no network. (Needs the extra `docs`.)"""

import re
import shutil
import subprocess
import sys

import ledger
import pytest

ROOT = ledger.ROOT
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc="([^"]+)"
      | <link\b(?=[^>]*\brel="(?:stylesheet|pre\w+|modulepreload|icon)")[^>]*\bhref="([^"]+)"
      | @import\s+(?:url\()?["']?([^"')\s;]+)
      | \burl\(\s*["']?((?:https?:)?//[^"')]+)""",
    re.X,
)


def build(source, out):
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", source, out],
        capture_output=True,
        text=True,
        check=False,
    )


def loaded_from_network(folder):
    """What the pages and style sheets of a build load from elsewhere."""
    found = set()
    for path in [*folder.glob("**/*.html"), *folder.glob("**/*.css")]:
        text = re.sub(r"<pre>.*?</pre>", "", path.read_text(encoding="utf-8"), flags=re.S)
        for match in LOADED.findall(text):
            found |= {link for link in match if re.match(r"(https?:)?//", link)}
    return found


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    out = tmp_path_factory.mktemp("html")
    done = build(ROOT / "docs", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def small(tmp_path):
    """A function that builds one page with this project's configuration."""

    def run(page):
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "refgrow").mkdir(exist_ok=True)
        shutil.copy(ROOT / "docs" / "conf.py", tmp_path / "docs")
        (tmp_path / "refgrow" / "tiny.py").write_text('"""A module."""\n\ndef grow():\n    pass\n')
        (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{page}\n")
        return build(tmp_path / "docs", tmp_path / "html")

    run.out = tmp_path / "html"
    return run


def test_pages_load_nothing_from_the_network(html):
    assert loaded_from_network(html) == set()


def test_every_module_has_its_source_page(html):
    for path in (ROOT / "refgrow").glob("*.py"):
        assert (html / "source" / "refgrow" / f"{path.stem}.html").exists()


def test_formulas_become_mathml_and_links_lead_to_the_function(small):
    done = small(
        "$\\lambda_{\\min} < 0$\n\n```math\na \\\\ b\n```\n\n[`tiny.grow`](../refgrow/tiny.py)"
    )
    assert done.returncode == 0, done.stderr
    page = (small.out / "index.html").read_text()
    assert page.count("<math ") == 2
    assert 'display="block"' in page
    assert "mathjax" not in re.sub(r'class="[^"]*"', "", page).lower()
    assert 'href="source/refgrow/tiny.html#grow"' in page
    assert '<span id="grow"></span>' in (small.out / "source/refgrow/tiny.html").read_text()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("$\\nonsense{a}$", "formula"),
        ("[a](missing.md)", "cross-reference target not found"),
        ("[a](#missing)", "cross-reference target not found"),
    ],
)
def test_a_broken_page_fails(small, page, words):
    done = small(page)
    assert done.returncode != 0
    assert words in done.stderr


def test_what_is_loaded_from_the_network_is_found(tmp_path):
    for bad in (
        '<script async src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//cdn.example/x.css">',
        "<style>@import url(https://cdn.example/x.css)</style>",
        "<style>a { background: url('https://cdn.example/x.png') }</style>",
    ):
        (tmp_path / "page.html").write_text(bad)
        assert len(loaded_from_network(tmp_path)) == 1, bad
    (tmp_path / "page.html").write_text('<a href="https://example.org">a link</a>')
    assert loaded_from_network(tmp_path) == set()
