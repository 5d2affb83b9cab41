"""The HTML build: `python -m sphinx -W docs docs/_build`.

The pages are plain Markdown that GitHub renders as it is. Two things are done for HTML: formulas
become MathML here, by the converter that docutils has, so that no page needs a network; and a link
to a Python file of the repository, which on GitHub opens that file, leads to its highlighted
source, at the function that the link's text names.
"""

import ast
import re
from functools import cache
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx import addnodes
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[1]
logger = logging.getLogger(__name__)

project = "refgrow"
author = "The refgrow authors"
copyright = "2026, The refgrow authors"
extensions = ["myst_parser"]
exclude_patterns = ["_build", "records"]
html_theme = "furo"
html_title = "refgrow"
html_copy_source = False
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("doctree-read", link_to_sources, priority=400)  # before downloads are collected
    app.connect("html-collect-pages", source_pages)


# ---- formulas ------------------------------------------------------------------------------------


def visit_inline(writer, node):
    writer.body.append(mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_block(writer, node):
    writer.body.append(f'<div class="math">{mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def mathml(node, as_block):
    try:
        return tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        return f"<code>{escape(node.astext())}</code>"


# ---- sources -------------------------------------------------------------------------------------


def link_to_sources(app, doctree):
    """Turn links to Python files of the repository into links to their source pages."""
    for node in list(doctree.findall(addnodes.download_reference)):
        path = (Path(app.srcdir) / app.env.docname).parent.joinpath(node["reftarget"]).resolve()
        if path.suffix != ".py" or not path.is_relative_to(ROOT):
            continue
        uri = app.builder.get_relative_uri(app.env.docname, page_name(path))
        name = re.sub(r"^(refgrow\.)?" + path.stem + r"(\.|$)", "", node.astext())
        if name in definitions(path):
            uri += f"#{name}"
        node.replace_self(nodes.reference("", "", *node.children, refuri=uri, internal=True))


def source_pages(app):
    """Yield a page with the highlighted source of every Python file that pages may link to."""
    for folder in ("refgrow", "tests", "figures"):
        for path in sorted((ROOT / folder).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            html = app.builder.highlighter.highlight_block(text, "python")
            before, lines, after = re.fullmatch(r"(.*<pre>)(.*)(</pre>.*)", html, re.S).groups()
            lines = lines.split("\n")
            for name, number in definitions(path).items():
                lines[number - 1] = f'<span id="{name}"></span>{lines[number - 1]}'
            title = path.relative_to(ROOT).as_posix()
            source = before + "\n".join(lines) + after
            body = f"<h1>{title}</h1>\n{source}"
            yield page_name(path), {"title": title, "body": body}, "page.html"


def page_name(path):
    return "source/" + path.relative_to(ROOT).with_suffix("").as_posix()


@cache
def definitions(path):
    """Line numbers by name, of everything defined at the top of a file and of methods."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node.lineno
            for child in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(child, ast.FunctionDef):
                    found[f"{node.name}.{child.name}"] = child.lineno
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in getattr(node, "targets", None) or [node.target]:
                if isinstance(target, ast.Name):
                    found[target.id] = node.lineno
    return found
