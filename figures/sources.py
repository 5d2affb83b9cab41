"""What a cell's result rests on besides its arguments: versions of libraries, and source files.

The sources are the function's module and the modules of refgrow and of figures that it imports,
itself or through others, without comments, docstrings and the functions of a script that ask for
cells and look at their results.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import platform
from functools import cache
from pathlib import Path

# Functions of a script that no cell calls (else they count): editing them computes nothing anew.
AROUND_CELLS = {"settings", "compute", "plot", "claims", "tables", "summary"}
# Modules of the runner that no result rests on.
RUNNER = {"__init__", "__main__", "catalogue", "cells", "runner", "sources", "style", "workers"}


@cache
def versions() -> dict[str, str]:
    """Versions of Python and the libraries, read without importing them."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "scipy", "numba", "matplotlib", "refgrow"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def sources(module: Path) -> tuple[str, tuple[Path, ...]]:
    """Hash and paths of the sources that functions of `module` rest on, as first found."""
    texts: dict[Path, str] = {}
    trees: dict[Path, ast.Module] = {}
    waiting = [module]
    while waiting:
        path = waiting.pop()
        if path not in trees and path.stem not in RUNNER and path.is_file():
            texts[path] = path.read_text(encoding="utf-8")
            tree = _parsed(texts[path])
            trees[path] = _cells_only(tree) if path == module else tree
            waiting += _imported(trees[path], path.parent)
    digest = hashlib.sha256()
    for path in sorted(trees):
        text = ast.dump(trees[path]) if path == module else _dumped(texts[path])
        digest.update(f"{path.name}\n{text}\n".encode())
    return digest.hexdigest(), tuple(trees)


def last_edit(module: Path) -> float:
    """When one of these sources was last edited, in seconds since the epoch."""
    return max(path.stat().st_mtime for path in sources(module)[1])


@cache
def _parsed(source: str) -> ast.Module:
    """The module without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            if ast.get_docstring(node) is not None:
                del node.body[0]
    return tree


@cache
def _dumped(source: str) -> str:
    return ast.dump(_parsed(source))


def _imported(tree: ast.Module, folder: Path) -> list[Path]:
    """Files, beside the module and in our two packages, that an imported name may mean."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            dotted = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            names.update(part for name in dotted for part in name.split("."))
            if isinstance(node, ast.Import) and "refgrow" in dotted:
                names.update(path.stem for path in _refgrow().glob("*.py"))  # it may use any
    places = {folder, Path(__file__).parent, _refgrow()}
    return [place / f"{name}.py" for place in places for name in names]


def _refgrow() -> Path:
    spec = importlib.util.find_spec("refgrow")  # finds it without importing it
    return Path(str(spec.origin)).parent if spec else Path()


def _cells_only(tree: ast.Module) -> ast.Module:
    """A script without the functions of AROUND_CELLS, unless the rest mentions one of them."""
    rest = [node for node in tree.body if getattr(node, "name", None) not in AROUND_CELLS]
    inside = [part for node in rest for part in ast.walk(node)]
    mentioned = {part.id for part in inside if isinstance(part, ast.Name)}
    return tree if mentioned & AROUND_CELLS else ast.Module(rest, [])
