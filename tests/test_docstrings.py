"""Every public function and class of refgrow says what a reader of its code needs to know.

The rule, for what stands at the top of a module and has no leading underscore:

- it has a docstring;
- a function names its parameters under `Parameters`, a class its fields under `Attributes` or
  `Parameters`: all of them, and nothing that is not there;
- a function that returns anything has `Returns`;
- what can raise has `Raises`: it holds a `raise`, or calls a function or class of refgrow that can.
  Methods of arguments (`loss.value(...)`) are not followed;
- what comes from a paper ends in `Source:` with the paper's key. In a chapter, that is everything.

A section may be another function's: "Parameters and Raises as for `decide`."
"""

import ast
import inspect
import re
from pathlib import Path

import pytest

import refgrow

SECTIONS = ("Parameters", "Attributes", "Returns", "Raises")
# Modules that serve all papers. Every other one is a chapter, or grows networks as the papers do.
GENERAL = {
    "__init__", "_chain", "_jit", "activations", "data", "kernels", "losses", "networks", "neurons",
    "numerics", "optimizers", "toy_training", "train", "validation",
}  # fmt: skip
# What comes from a paper although its module does not.
FROM_PAPERS = {
    "activations.sharp_softplus", "data.gaussian_mixture", "data.rbf_teacher", "data.ridge_teacher",
    "kernels.weighted_grams", "toy_training.gaussian_descent",
    "toy_training.gaussian_loss_and_gradient",
    "losses.with_offset", "networks.MLP", "networks.Shallow", "networks.hessian_product",
    "neurons.Particle", "neurons.Ridge", "neurons.particle", "neurons.ridge", "train.fit",
    "train.fit_and_grow",
}  # fmt: skip
PAPER = re.compile(r"^Source: (.+\n)*?.*\b(S2D|S3D|SplitLBI|TINY)\b", re.MULTILINE)
BORROWED = re.compile(r"^(\w+(?:(?:, | and )\w+)*) as for `([\w.]+)`", re.MULTILINE)
WORDS = re.compile(r"\w+")


def own_modules():
    folder = Path(refgrow.__file__).parent
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}


def definitions(modules):
    """ "module.name" to the node, for every function and class at the top of a module."""
    return {
        f"{module}.{node.name}": node
        for module, source in modules.items()
        for node in ast.parse(source).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }


def raising(modules):
    """The names of all that can raise, private ones included."""
    defined = definitions(modules)
    imported = {module: imports_of(source) for module, source in modules.items()}
    can, calls = set(), {}
    for name, node in defined.items():
        module = name.split(".")[0]
        if isinstance(node, ast.ClassDef):  # What its construction runs.
            inside = [n for n in node.body if getattr(n, "name", "") == "__post_init__"]
        else:
            inside = [node]
        nodes = [n for start in inside for n in ast.walk(start)]
        if any(isinstance(n, ast.Raise) for n in nodes):
            can.add(name)
        called = (ast.unparse(n.func) for n in nodes if isinstance(n, ast.Call))
        calls[name] = {full_name(c, module, imported[module]) for c in called}
    while more := {name for name in defined if name not in can and calls[name] & can}:
        can |= more
    return can


def imports_of(source):
    """What a module calls the modules and the names of refgrow."""
    names = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "refgrow":
            prefix = node.module.split(".")[1:]
            names |= {a.asname or a.name: ".".join([*prefix, a.name]) for a in node.names}
    return names


def full_name(called, module, imported):
    first, *rest = called.split(".")
    return ".".join([imported.get(first, f"{module}.{first}"), *rest])


def sections(doc):
    """Title to the names it lists: the entries at the margin, before their colon."""
    found = {}
    for title in SECTIONS:
        match = re.search(rf"^{title}\n-+\n((?:.+\n|\n(?! *\w+:|.*\n---))*)", doc + "\n", re.M)
        if match:
            entries = [line for line in match[1].splitlines() if line and not line.startswith(" ")]
            found[title] = {w for entry in entries for w in WORDS.findall(entry.split(" :")[0])}
    return found


def properties(node):
    """The properties of a class, which may be listed with its fields."""
    body = node.body if isinstance(node, ast.ClassDef) else []
    return {n.name for n in body if isinstance(n, ast.FunctionDef) and n.decorator_list}


def parameters(node):
    """A function's parameters, or a class's public fields."""
    if isinstance(node, ast.ClassDef):
        fields = [n.target.id for n in node.body if isinstance(n, ast.AnnAssign)]
        return {name for name in fields if not name.startswith("_")}
    a = node.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *(x for x in (a.vararg, a.kwarg) if x)]
    return {argument.arg for argument in every}


def complaints(modules):
    """Everything the rule asks for and does not find, one line each."""
    defined, can = definitions(modules), raising(modules)
    docs = {name: ast.get_docstring(node) or "" for name, node in defined.items()}
    found = []
    for name, node in defined.items():
        module, short = name.split(".")
        if short.startswith("_"):
            continue
        if not docs[name]:
            found.append(f"{name}: no docstring")
            continue
        has = sections(docs[name])
        for titles, other in BORROWED.findall(docs[name]):
            lender = other if "." in other else f"{module}.{other}"
            lent = sections(docs.get(lender, ""))
            for title in set(WORDS.findall(titles)) & set(SECTIONS):
                if title not in lent:
                    found.append(f"{name}: {title} of {other}, which has none")
                mentioned = set(WORDS.findall(docs[name]))
                has[title] = (lent.get(title, set()) | mentioned) & parameters(node)
        is_class = isinstance(node, ast.ClassDef)
        listed = has.get("Parameters", set()) | (
            has.get("Attributes", set()) if is_class else set()
        )
        found += [f"{name}: {p} is not described" for p in sorted(parameters(node) - listed)]
        found += [
            f"{name}: {p} does not exist"
            for p in sorted(listed - parameters(node) - properties(node))
        ]
        returns = None if is_class else node.returns
        if returns is not None and ast.unparse(returns) != "None" and "Returns" not in has:
            found.append(f"{name}: no Returns")
        if name in can and "Raises" not in has:
            found.append(f"{name}: no Raises")
        if (module not in GENERAL or name in FROM_PAPERS) and not PAPER.search(docs[name]):
            found.append(f"{name}: no Source")
    return found


def test_every_public_name_says_what_applies_to_it():
    assert complaints(own_modules()) == []


def test_the_names_the_rule_mentions_exist():
    modules = own_modules()
    assert set(modules) >= GENERAL
    assert set(definitions(modules)) >= FROM_PAPERS
    can = raising(modules)
    # Directly; by a call; by calls through other modules; by building a record. And not.
    for name in ("losses._class_labels", "optimizers.init", "s2d.decide", "baselines.scratch"):
        assert name in can
    assert not can & {"activations._sigmoid", "validation.frozen", "kernels.signed"}


WELL = {
    "tool": '''
def check(x):
    """Refuse it.

    Parameters
    ----------
    x : float

    Raises
    ------
    ValueError
    """
    raise ValueError
''',
    "chapter": '''
from refgrow import tool

@dataclass
class Record:
    """A record.

    Attributes
    ----------
    size, name
        Two fields.

    Source: S2D eq 1.
    """
    size: float
    name: str

def decide(network, *, size=1.0, **options) -> Record:
    """Decide.

    Parameters
    ----------
    network : Shallow
        A network: any.
    size : float
    **options
        Passed on.

    Returns
    -------
    Record

    Raises
    ------
    ValueError

    Source: the method of
    S2D eq 1.
    """
    return _decide(network)

def again(network, extra) -> Record:
    """Parameters, Returns and

    Parameters, Returns and Raises as for `decide`, with one more, extra.

    Source: S2D eq 2.
    """
    return decide(network)

def _decide(network):
    return tool.check(network)
''',
}


@pytest.mark.parametrize(
    "module, old, new, message",
    [
        ("tool", '"""Refuse it.', 'f"""Refuse it.', "tool.check: no docstring"),
        ("tool", "    x : float", "    y : float", "tool.check: x is not described"),
        ("tool", "x : float", "x, y : float", "tool.check: y does not exist"),
        ("tool", "    Raises\n    ------\n    ValueError\n", "", "tool.check: no Raises"),
        ("chapter", "size, name\n", "size\n", "chapter.Record: name is not described"),
        ("chapter", "    **options\n", "", "chapter.decide: options is not described"),
        ("chapter", "    Returns\n    -------\n    Record\n", "", "chapter.decide: no Returns"),
        ("chapter", "    Raises\n    ------\n", "", "chapter.decide: no Raises"),
        ("chapter", ", Returns and Raises as", " as", "chapter.again: no Raises"),
        ("chapter", " with one more, extra.", "", "chapter.again: extra is not described"),
        ("chapter", "as for `decide`", "as for `tool.check`",
         "chapter.again: Returns of tool.check, which has none"),
        ("chapter", "Source: S2D eq 2.", "", "chapter.again: no Source"),
        ("chapter", "    S2D eq 1.\n", "    somebody.\n", "chapter.decide: no Source"),
    ],
)  # fmt: skip
def test_what_is_missing_is_seen(module, old, new, message, monkeypatch):
    monkeypatch.setitem(globals(), "GENERAL", {"tool"})
    assert complaints(WELL) == []
    assert old in WELL[module]
    assert message in complaints({**WELL, module: WELL[module].replace(old, new)})


def test_the_text_is_read_as_python_does():
    # get_docstring and the module agree, so what is checked is what help() shows.
    from refgrow import s2d

    tree = {n.name: n for n in ast.parse(own_modules()["s2d"]).body if hasattr(n, "name")}
    assert ast.get_docstring(tree["decide"]) == inspect.getdoc(s2d.decide)
