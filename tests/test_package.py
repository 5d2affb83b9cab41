"""The package as a whole: what importing it costs, and the order in which it is read."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import refgrow

FOLDER = Path(refgrow.__file__).parent
# Reading order is import order (DESIGN.md section 1). A chapter's companion stands below it.
ORDER = re.findall(r"^- ``(\w+)``", refgrow.__doc__, re.MULTILINE)


def loaded_by(statement):
    """The modules in memory after a statement, in a fresh interpreter."""
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(FOLDER.parent)},
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_none_of_its_modules_and_nothing_heavy():
    loaded = loaded_by("import refgrow")
    assert not loaded & {"numba", "matplotlib", "scipy", "numpy", "refgrow.validation"}


def test_networks_and_growth_need_neither_numba_nor_scipy():
    loaded = loaded_by(
        "from refgrow import networks, growth; networks.MLP([[[1.0, 2.0]]])([[1.0]])"
    )
    assert "refgrow.growth" in loaded
    assert not loaded & {"numba", "matplotlib", "scipy.special", "refgrow.kernels"}


def test_the_whole_package_does_without_matplotlib():
    every = ", ".join(name for name in refgrow.__all__ if (FOLDER / f"{name}.py").exists())
    assert "matplotlib" not in loaded_by(f"from refgrow import {every}")


@pytest.mark.parametrize("name", refgrow.__all__)
def test_modules_load_on_first_use(name):
    assert getattr(refgrow, name).__name__ == f"refgrow.{name}"
    assert name in dir(refgrow)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'refgrow' has no attribute 's2e'"):
        refgrow.s2e  # noqa: B018


def imported_at_the_top(path):
    """The modules of ours that a module imports when it is imported itself."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module == "refgrow":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("refgrow."):
            names.add(node.module.split(".")[1])
    return names


def out_of_order(imports, order):
    """(module, import) where a module imports what stands below it."""
    place = {name: k for k, name in enumerate(order)}
    return [(m, i) for m in imports for i in imports[m] if place[i] >= place[m]]


def test_a_module_imports_only_what_stands_above_it():
    files = {p.stem: p for p in FOLDER.glob("*.py") if p.stem != "__init__"}
    order = ["_jit"]
    for name in ORDER:
        order += ["_chain"] * (name == "tiny")
        order += [name] + [f"{name}_theory"] * (f"{name}_theory" in files)
    assert set(files) <= set(order), "a module is missing from the package's docstring"
    assert set(refgrow.__all__) == set(order) - {"_jit", "_chain"}
    imports = {name: imported_at_the_top(path) for name, path in files.items()}
    assert out_of_order(imports, order) == []
    assert out_of_order(imports, order[::-1]) != []
