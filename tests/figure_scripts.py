"""Small figures written for the tests of `python -m figures`, and ways to run the command."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from figures.__main__ import main
from figures.sources import sources

ROOT = Path(__file__).resolve().parent.parent


# A figure whose cells write one line each to the file LOG when they are computed.
FIGURE = """
import os
import time

import numpy as np

from figures.record import Claim, Setting, seed_for
from helper_{stem} import shifted

ID = "{id}"
STATEMENTS = ("{id}", "{id}-also")
TITLE = "a walk"


def walk(seed, steps):
    '''A cell.'''
    with open(os.environ["LOG"], "a") as log:
        log.write(f"{{seed}}\\n")
    time.sleep({sleep})
    steps = np.random.default_rng(seed_for(ID, seed)).normal(size=steps)
    return {{"walk": shifted(steps.cumsum()), "name": f"walk {{seed}}", "worst": float("inf")}}


def settings(full):
    return {{
        "steps": Setting(40 if full else 20, "paper"),
        "seeds": Setting(list(range({cells})), "ours", "the paper gives none"),
    }}


def compute(settings, run):
    steps = settings["steps"].value
    walks = run(walk, [{{"seed": s, "steps": steps}} for s in settings["seeds"].value])
    return {{"walks": np.array([w["walk"] for w in walks]), "worst": walks[0]["worst"]}}


def plot(data):
    from figures import style

    figure, axes = style.panels()
    for method, walk in zip(list(style.METHODS)[2:], data["walks"]):
        axes.plot(walk, **style.look(method))
    axes.set(xlabel="step", ylabel=r"$\\lambda$")
    style.legend(figure, axes)
    return figure


def claims(data):
    return [
        Claim.judged(ID, "walks move", np.ptp(data["walks"], axis=1) > 0, depends_on="the seed"),
        Claim(ID + "-also", "walks end", data["worst"], None, {also}),
    ]


def tables(data):
    return {{"walks": (["step", *map(str, range(len(data["walks"])))],
                      [(i, *row) for i, row in enumerate(data["walks"].T)])}}


def summary(data):
    return f"{{len(data['walks'])}} walks"
"""


def write_figure(folder, stem="walks", id="Walk-1", cells=4, sleep=0, also=True):
    folder.mkdir(exist_ok=True)
    (folder / f"helper_{stem}.py").write_text("def shifted(x):\n    return x + 1\n")
    path = folder / f"{stem}.py"
    path.write_text(FIGURE.format(stem=stem, id=id, cells=cells, sleep=sleep, also=also))
    return path


def forget(*paths):
    """As in a new process: imports, and the hash of the sources, are made anew."""
    for path in paths:
        sys.modules.pop(path.stem, None)
    for cached in paths[0].parent.glob("__pycache__/*"):
        cached.unlink()  # an edit within one second and of equal length would go unnoticed
    sources.cache_clear()


def command(scripts, *arguments, jobs=1):
    """Run the command in this process, into the folder `out` beside the scripts."""
    out = scripts.parent / "out"
    words = [*arguments, "--jobs", str(jobs), "--out", str(out)]
    return main(words, scripts=scripts, docs=scripts.parent / "docs")


def separate(scripts, *arguments, out="out", warnings="error", **options):
    """Start the command in a process of its own."""
    code = f"""
        import sys
        from pathlib import Path
        from figures.__main__ import main
        here = Path({str(scripts.parent)!r})
        sys.exit(main(sys.argv[1:], scripts=Path({str(scripts)!r}), docs=here / "docs"))
    """
    return subprocess.Popen(
        [sys.executable, "-W", warnings, "-c", textwrap.dedent(code), *arguments]
        + ["--out", str(scripts.parent / out)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_nobody_is_left(process):
    """No child in the session that the process began; Python's own helper takes a moment to go."""

    def gone():
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(gone, seconds=4)  # a cell takes at least 5


def computed(scripts):
    """How many cells have been computed so far."""
    log = scripts.parent / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def record_of(scripts, id="Walk-1"):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = (scripts.parent / "out" / id / "record.json").read_text()
    return json.loads(text, parse_constant=refuse)
