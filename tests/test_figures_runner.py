"""The command ``python -m figures``, on small figures written for the purpose."""

import concurrent.futures
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from figures import style
from figures.__main__ import main
from figures.cells import DAMAGED, Run, decoded, encoded
from figures.record import Claim, Setting, plain, seed_for, strict_json, write_whole
from figures.sources import sources
from figures.workers import CellError, Inline, Workers

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


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """An empty folder of scripts; what is imported from it is forgotten afterwards."""
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("REFGROW_DATA", "")
    modules, path = set(sys.modules), list(sys.path)
    (tmp_path / "scripts").mkdir()
    yield tmp_path / "scripts"
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
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


# The list, and what is refused before anything is computed


def test_list_reads_literals_and_imports_nothing_heavy(scripts):
    write_figure(scripts)
    write_figure(scripts, "bench_speed", "bench_speed")
    (scripts / "broken.py").write_text("ID = (\n")
    code = f"""if True:
        import sys
        from pathlib import Path
        from figures.__main__ import main
        assert main(["list"], scripts=Path({str(scripts)!r})) == 0
        heavy = {{"numpy", "scipy", "numba", "matplotlib", "refgrow", "tqdm"}} & set(sys.modules)
        assert not heavy, heavy
    """
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert shown[0] == "Walk-1       a walk  [also Walk-1-also]"
    assert shown[1].startswith("broken       BROKEN (SyntaxError")
    assert shown[2].startswith("bench_speed  a walk")
    assert computed(scripts) == 0


def test_list_of_the_project_answers_at_once():
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "figures", "list"], cwd=ROOT, check=True, capture_output=True
        )
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["wallk-1"], "unknown figure 'wallk-1'. Did you mean 'Walk-1'?"),
        (["Walk-1", "Walk-2"], "unknown figure 'Walk-2'"),
        (["lst"], "Did you mean 'list'?"),
        (["Walk-1", "bench_speed"], "benchmarks run alone"),
        (["all", "bench"], "benchmarks run alone"),
        (["--data", "no/such/folder"], "--data no/such/folder is not a folder"),
        (["--jobs", "0"], "must be a whole number of at least 1; got 0. Leave --jobs out"),
        (["--jobs", "-2"], "must be a whole number of at least 1; got -2"),
        (["--jobs", "two"], "must be a whole number of at least 1; got two"),
        (["--out", "{file}"], "cannot write to {file}"),
        (["--out", "{file}/below"], "cannot write to {file}/below"),
        (["--out", "/proc/figures"], "Choose another folder with --out."),
    ],
)
def test_wrong_use_is_refused_before_computing(scripts, capsys, arguments, message):
    write_figure(scripts)
    write_figure(scripts, "bench_speed", "bench_speed")
    out, file = scripts.parent / "out", scripts.parent / "file"
    file.write_text("in the way")
    arguments = [word.format(file=file) for word in arguments]
    if "--out" not in arguments:
        arguments += ["--out", str(out)]
    try:
        code = main(arguments, scripts=scripts)
    except SystemExit as exit:  # argparse
        code = exit.code
    assert code == 2
    assert message.format(file=file) in capsys.readouterr().err
    assert computed(scripts) == 0 and not out.exists()


def test_a_missing_library_is_told(scripts, capsys, monkeypatch):
    write_figure(scripts)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tqdm" else name)
    assert command(scripts) == 2
    assert 'tqdm is not installed. Run `python -m pip install -e ".[figures]"`' in (
        capsys.readouterr().err
    )


def test_a_read_only_folder_is_found_before_computing(scripts, capsys, monkeypatch):
    """Simulated, since the superuser writes everywhere."""
    write_figure(scripts)

    def refuse(dir):
        raise PermissionError(13, "Permission denied", dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert command(scripts) == 2
    assert "(Permission denied). Choose another folder" in capsys.readouterr().err
    assert computed(scripts) == 0


def test_two_scripts_with_one_id_are_refused(scripts, capsys):
    write_figure(scripts)
    write_figure(scripts, "walks_again")
    assert command(scripts) == 2
    assert "walks.py and walks_again.py have the same ID" in capsys.readouterr().err


# What a figure writes


def test_a_figure_writes_its_files_and_its_verdicts(scripts, capsys):
    write_figure(scripts, also=False)
    write_figure(scripts, "bench_speed", "bench_speed")
    assert command(scripts) == 0
    folder = scripts.parent / "out" / "Walk-1"
    names = ["figure.png", "figure.svg", "record.json", "walks.csv"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert not (scripts.parent / "out" / "bench_speed").exists()
    rows = (folder / "walks.csv").read_text().splitlines()
    assert rows[0] == "step,0,1,2,3" and len(rows) == 21
    first = np.random.default_rng(seed_for("Walk-1", 0)).normal(size=20).cumsum() + 1
    assert [float(row.split(",")[1]) for row in rows[1:]] == first.tolist()
    record = record_of(scripts)
    assert record["mode"] == "quick" and record["seeds"] == [0, 1, 2, 3]
    assert record["settings"]["steps"] == {"value": 20, "source": "paper", "why": ""}
    assert set(record["versions"]) == {
        *("python", "numpy", "scipy", "numba", "matplotlib", "refgrow")
    }
    moved, ended = record["claims"]
    assert moved["statement"] == "Walk-1" and moved["claim"] == "walks move"
    assert (moved["share"], moved["needed"], moved["cases"]) == (1.0, 0.8, 4)
    assert moved["reproduced"] is True and moved["depends_on"] == "the seed"
    assert ended["number"] == "inf" and ended["reproduced"] is False
    assert record["measured"]["cells"] == 4 and record["measured"]["cells_kept"] == 0
    shown = capsys.readouterr()
    assert "Walk-1\n4 walks\n" in shown.out
    assert "reproduced      Walk-1: walks move (share 1.00 of 4, needed 0.80)" in shown.out
    assert 'NOT reproduced  Walk-1-also: walks end ["inf"]' in shown.out
    assert "Walk-1 [4/4] walk(seed=3, steps=20)" in shown.err


def test_full_mode_and_a_statement_as_id(scripts):
    write_figure(scripts)
    assert command(scripts, "Walk-1-also", "--full") == 0
    assert record_of(scripts)["mode"] == "full"
    assert record_of(scripts)["settings"]["steps"]["value"] == 40


def test_same_bytes_but_for_what_is_measured(scripts):
    """Whatever the folder, the number of processes, and whether cells were kept."""
    write_figure(scripts)
    for out, jobs in (("one", "1"), ("two", "2"), ("two", "2")):
        process = separate(scripts, "--jobs", jobs, out=out)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    one, two = (scripts.parent / out / "Walk-1" for out in ("one", "two"))
    assert "4 of 4 cells kept from before" in errors
    assert computed(scripts) == 8
    for path in one.iterdir():
        if path.name != "record.json":
            assert path.read_bytes() == (two / path.name).read_bytes(), path.name
    records = [json.loads((folder / "record.json").read_text()) for folder in (one, two)]
    measured = [record.pop("measured") for record in records]
    assert records[0] == records[1]
    assert measured[0]["cells_kept"] == 0 and measured[1]["cells_kept"] == 4
    assert b"<dc:date>" not in (one / "figure.svg").read_bytes()


def test_a_failing_plot_leaves_the_former_files_as_they_were(scripts, capsys):
    path = write_figure(scripts)
    assert command(scripts) == 0
    folder = scripts.parent / "out" / "Walk-1"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    path.write_text(path.read_text().replace("def plot(data):", "def plot(data):\n    1 / 0"))
    forget(path)
    assert command(scripts) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    shown = capsys.readouterr().err
    assert "Walk-1: FAILED" in shown and "ZeroDivisionError" in shown


def test_tables_that_are_no_more_are_removed(scripts):
    path = write_figure(scripts)
    assert command(scripts) == 0
    path.write_text(path.read_text().replace('{"walks": ([', '{"paths": (['))
    forget(path)
    assert command(scripts) == 0
    names = {path.name for path in (scripts.parent / "out" / "Walk-1").glob("*.csv")}
    assert names == {"paths.csv"}


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('ID + "-also"', "ID", "but its claims are about ['Walk-1']"),
        ('{"walks": ([', '{"../walks": ([', "a name is a file name"),
        ('["step", *', "[*", "row 0 has 5 entries, not 4"),
        ('"paper"', '"guess"', 'source must be "paper" or "ours"'),
    ],
)
def test_a_wrong_script_is_told(scripts, capsys, old, new, message):
    path = write_figure(scripts)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert command(scripts) == 1
    assert message in capsys.readouterr().err


# Cells


def forget(*paths):
    """As in a new process: imports, and the hash of the sources, are made anew."""
    for path in paths:
        sys.modules.pop(path.stem, None)
    for cached in paths[0].parent.glob("__pycache__/*"):
        cached.unlink()  # an edit within one second and of equal length would go unnoticed
    sources.cache_clear()


def test_edits_compute_anew_what_they_may_have_changed_and_nothing_else(scripts):
    path = write_figure(scripts)
    helper = path.with_name("helper_walks.py")

    def cells_after(path, old, new):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        time.sleep(0.02)  # an edit after the start would not be kept
        forget(path, helper)
        before = computed(scripts)
        assert command(scripts) == 0
        return computed(scripts) - before

    assert cells_after(path, "a walk", "a walk") == 4
    assert cells_after(path, "a walk", "a walk") == 0
    assert cells_after(path, "'''A cell.'''", "'''Words.'''  # and a comment") == 0
    assert cells_after(path, 'xlabel="step"', 'xlabel="time"') == 0
    assert cells_after(path, "range(4)", "range(6)") == 2
    assert cells_after(path, "time.sleep(0)", "time.sleep(0.0)") == 6
    assert cells_after(helper, "x + 1", "x + 2") == 6
    # A cell that uses claims() makes claims() one of its sources.
    assert cells_after(path, "time.sleep(0.0)", "assert claims") == 6
    assert cells_after(path, '"walks move"', '"walks go"') == 6


def test_the_sources_are_those_of_refgrow_that_are_imported(tmp_path):
    def names(text):
        module = tmp_path / "module.py"
        module.write_text(text)
        sources.cache_clear()
        return {path.name for path in sources(module)[1]}

    assert names("from figures import style, record") == {"module.py", "record.py"}
    assert names("from refgrow.activations import tanh") >= {"activations.py", "validation.py"}
    assert "train.py" not in names("from refgrow.activations import tanh")
    assert "train.py" in names("def f():\n    from refgrow import train")
    assert {"train.py", "s2d.py"} <= names("import refgrow")
    sources.cache_clear()


def test_an_edit_during_the_run_is_not_kept(scripts):
    path = write_figure(scripts)
    os.utime(path, (time.time() + 60, time.time() + 60))
    assert command(scripts) == 0
    assert not list((scripts.parent / "out" / ".cells").iterdir())


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign"])
def test_a_damaged_cell_is_computed_again(scripts, damage):
    write_figure(scripts)
    assert command(scripts) == 0
    before = (scripts.parent / "out" / "Walk-1" / "walks.csv").read_bytes()
    cell = sorted((scripts.parent / "out" / ".cells").iterdir())[0]
    good = cell.read_bytes()
    with np.load(cell) as stored:
        assert stored["array:walk"].shape == (20,)
    place = good.index(np.load(cell)["array:walk"].tobytes())
    foreign = io.BytesIO()
    np.savez(foreign, x=np.zeros(3))
    cell.write_bytes({
        "flip": good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :],
        "cut": good[: len(good) // 2],
        "empty": b"",
        "foreign": foreign.getvalue(),
    }[damage])  # fmt: skip
    assert command(scripts) == 0
    assert computed(scripts) == 5
    assert decoded(cell.read_bytes())[0]["name"] == decoded(good)[0]["name"]
    assert (scripts.parent / "out" / "Walk-1" / "walks.csv").read_bytes() == before


@pytest.mark.filterwarnings("ignore")
def test_no_flipped_bit_goes_unnoticed():
    good = encoded(dict, {"x": np.arange(3.0), "name": "a"})
    flipped = np.unpackbits(np.frombuffer(good, dtype=np.uint8))
    for i in range(flipped.size):
        flipped[i] ^= 1
        try:
            result, _ = decoded(np.packbits(flipped).tobytes())
        except DAMAGED:
            pass
        else:
            assert result["x"].tolist() == [0, 1, 2] and result["name"] == "a"
        flipped[i] ^= 1


def test_any_executor_is_accepted(scripts):
    write_figure(scripts)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        out = str(scripts.parent / "out")
        assert main(["--out", out], scripts=scripts, executor=threads) == 0
        assert threads.submit(int, 3).result() == 3  # still open: it is not ours to end
    assert computed(scripts) == 4


def double(x):
    return {"x": 2 * x, "array": np.full(2, x, dtype=np.float32), "flag": np.bool_(True)}


def late(x):
    time.sleep(0.05 * (3 - x))
    return {"x": x}


def wrong(x):
    if x == "exit":
        sys.exit(3)
    return {"list": [1], "object": {"x": np.array([None])}, "nested": {"x": [np.zeros(2)]}}[x]


def pair(x):
    return {"nested": [np.zeros(2)]} if x else {"object": np.array([None])}


def test_results_come_in_the_order_asked_and_equal_cells_once():
    run = Run("test", Workers(1), None)
    results = run(double, [{"x": 3}, {"x": 1.5}, {"x": 3}])
    assert [r["x"] for r in results] == [6, 3.0, 6] and run.cells == 2
    assert type(results[0]["x"]) is int and type(results[1]["x"]) is float
    assert list(results[0]) == ["x", "array", "flag"]
    assert results[0]["array"].dtype == np.float32 and results[0]["flag"] is True
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        run = Run("test", Workers(2, threads), None)
        assert [r["x"] for r in run(late, [{"x": x} for x in range(4)])] == [0, 1, 2, 3]


def test_a_kept_result_is_exact():
    result = {"x": 0.1 + 0.2, "nan": float("nan"), "n": np.int64(3), "list": [1, 2.5], "none": None}
    back, seconds = decoded(encoded(dict, result))
    assert back["x"] == result["x"] and np.isnan(back["nan"]) and seconds >= 0
    assert back["n"] == 3 and back["list"] == [1, 2.5] and back["none"] is None


@pytest.mark.parametrize(
    "function, kwargs, error, message",
    [
        (lambda x: x, {"x": 1}, TypeError, "at the top level of a module"),
        (double, {"x": object()}, TypeError, "object has no place in a record"),
        (wrong, {"x": "list"}, CellError, "cell wrong(x='list'):"),
        (wrong, {"x": "exit"}, CellError, "SystemExit: 3"),
        (pair, {"x": 0}, CellError, "object has dtype object"),
        (pair, {"x": 1}, CellError, "inside one"),
    ],
)
def test_wrong_cells_are_told(function, kwargs, error, message):
    with pytest.raises(error) as caught:
        Run("test", Workers(1), None)(function, [kwargs])
    assert message in str(caught.value)


def test_a_failing_cell_is_named_and_the_other_figures_go_on(scripts):
    """Also when the process dies at once. The cells that finished are kept."""
    for number, failure in enumerate(("raise ValueError('no luck')", "os._exit(1)")):
        path = write_figure(scripts, f"a{number}", f"Bad-{number}")
        text = path.read_text().replace("time.sleep(0)", f"if seed == 2:\n        {failure}")
        path.write_text(text)
    write_figure(scripts, "walks", "Walk-1")
    process = separate(scripts, "--jobs", "2")
    shown, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Bad-0: FAILED: cell walk(seed=2, steps=20):\nTraceback" in errors
    assert "ValueError: no luck" in errors
    assert "Bad-1: FAILED: a process died" in errors and "\n  walk(seed=2, steps=20)" in errors
    assert "figures: failed: Bad-0, Bad-1" in errors
    assert "reproduced      Walk-1" in shown and record_of(scripts)["measured"]["cells"] == 4
    assert not (scripts.parent / "out" / "Bad-0" / "record.json").exists()


# An import that is interrupted leaves its file to the garbage collector, which warns.
APART = {"start_new_session": True, "warnings": "default::DeprecationWarning"}


def interrupt(process, to_all):
    """As Ctrl-C on a terminal, which reaches the children as well, or as `kill -INT`."""
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    start = time.monotonic()
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - start < 5  # a cell takes 20
    assert process.returncode == 130, errors
    assert "Finished cells are kept: the same command resumes." in errors
    assert not [word for word in ("Traceback", "KeyboardInterrupt", "leak") if word in errors], (
        errors
    )
    wait_until_nobody_is_left(process)


@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "parent only"])
def test_ctrl_c_ends_at_once_and_running_again_resumes(scripts, monkeypatch, to_all):
    path = write_figure(scripts, cells=30, sleep="0.1 if seed < 4 else float(os.environ['REST'])")
    monkeypatch.setenv("REST", "20")
    process = separate(scripts, "--jobs", "2", **APART)
    store = scripts.parent / "out" / ".cells"
    wait_for(lambda: len(list(store.glob("*.npz"))) >= 3)
    interrupt(process, to_all)
    kept, begun = len(list(store.glob("*.npz"))), computed(scripts)
    assert 3 <= kept < 30 and begun <= kept + 2 + 2
    assert not list(store.glob("*.tmp"))
    path.write_text(path.read_text().replace("range(30)", f"range({kept + 4})"))
    monkeypatch.setenv("REST", "0")
    process = separate(scripts, "--jobs", "2")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert f"{kept} of {kept + 4} cells kept from before" in errors
    assert computed(scripts) == begun + 4


@pytest.mark.parametrize("delay", [0, 0.3, 0.6])
def test_ctrl_c_while_libraries_load_and_processes_start(scripts, delay):
    write_figure(scripts, cells=30, sleep=20)
    process = separate(scripts, "--jobs", "2", **APART)
    wait_for((scripts.parent / "out" / ".cells").exists)
    time.sleep(delay)
    interrupt(process, to_all=True)


def test_killed_parent_leaves_no_children(scripts):
    write_figure(scripts, cells=30, sleep=5)
    process = separate(scripts, "--jobs", "2", **APART)
    wait_for(lambda: computed(scripts) >= 2)
    process.kill()
    process.communicate(timeout=20)
    wait_until_nobody_is_left(process)


def test_benchmarks_run_here_and_measure_afresh(scripts, monkeypatch):
    path = write_figure(scripts, "bench_speed", "bench_speed")
    text = path.read_text().replace("time.sleep(0)", 'assert os.getpid() == int(os.environ["PID"])')
    path.write_text(text)
    monkeypatch.setenv("PID", str(os.getpid()))
    for _ in range(2):
        assert command(scripts, "bench", jobs=2) == 0
    assert computed(scripts) == 8
    assert not list((scripts.parent / "out" / ".cells").iterdir())


def test_data_folder_and_pinned_threads_reach_the_cells_and_ctrl_c_does_not(scripts):
    path = write_figure(scripts)
    path.write_text(path.read_text().replace("time.sleep(0)", textwrap.dedent("""\
        assert os.environ["REFGROW_DATA"] == os.environ["EXPECTED"]
            import signal
            assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
            for name in ("OPENBLAS", "OMP", "MKL", "NUMBA"):
                assert os.environ[f"{name}_NUM_THREADS"] == "1"
    """)))  # fmt: skip
    env = {name: value for name, value in os.environ.items() if "THREADS" not in name}
    env["EXPECTED"] = str(scripts)
    relative = os.path.relpath(scripts, ROOT)
    process = separate(scripts, "--jobs", "2", "--data", relative, env=env)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_a_bar_on_a_terminal(scripts, monkeypatch, capsys):
    write_figure(scripts)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert command(scripts) == 0
    shown = capsys.readouterr().err
    assert "Walk-1: 100%" in shown or "Walk-1:   0%" in shown
    assert "[1/4]" not in shown


def test_one_job_computes_in_this_process():
    assert isinstance(Workers(1).executor, Inline)


# Committed records


def test_a_claim_that_is_lost_gives_exit_code_3(scripts, capsys):
    path = write_figure(scripts)
    docs = scripts.parent / "docs"
    assert command(scripts, "--write-docs") == 0
    assert json.loads((docs / "records" / "Walk-1.quick.json").read_text()) == record_of(scripts)
    assert (docs / "gallery" / "Walk-1.png").stat().st_size < 150_000
    assert command(scripts) == 0
    committed = {path: path.read_bytes() for path in docs.rglob("*.*")}
    path.write_text(path.read_text().replace("None, True)", "None, False)"))
    forget(path)
    capsys.readouterr()
    assert command(scripts) == 3
    assert "no longer: Walk-1-also: walks end" in capsys.readouterr().err
    assert command(scripts, "--full") == 0  # judged against full records alone
    assert {path: path.read_bytes() for path in docs.rglob("*.*")} == committed
    path.write_text(path.read_text().replace('"walks end", ', '"walks halt", '))
    forget(path)
    assert command(scripts, "--write-docs") == 3  # no longer judged is no longer reproduced
    assert command(scripts) == 0


def test_a_quick_picture_never_replaces_a_full_one(scripts):
    write_figure(scripts)
    picture = scripts.parent / "docs" / "gallery" / "Walk-1.png"
    assert command(scripts, "--write-docs") == 0
    quick = picture.read_bytes()
    assert command(scripts, "--write-docs", "--full") == 0
    full = picture.read_bytes()
    assert full != quick
    assert command(scripts, "--write-docs") == 0
    assert picture.read_bytes() == full


def test_gallery_pictures_stay_small():
    from figures.runner import GALLERY_BYTES, _thumbnail

    with style.applied():
        figure, axes = style.panels(2, 2, size=(7.0, 7.0))
        for part in axes.flat:
            part.imshow(np.random.default_rng(0).random((110, 110)), cmap="viridis")
        assert len(style.rendered(figure, "png")) > GALLERY_BYTES > len(_thumbnail(figure))


# Claims, settings, seeds, JSON, files, style


def test_claims_are_judged_by_their_share():
    edge = Claim.judged("A", "b", [True] * 4 + [False], needed=0.8)
    assert edge.reproduced and edge.share == 0.8 and edge.cases == 5
    assert not Claim.judged("A", "b", [True] * 3 + [False] * 2, needed=0.8).reproduced
    assert Claim.judged("A", "b", np.array([True, False]), needed=0.5).reproduced
    line = "NOT reproduced  A: b [0.25] (share 0.50 of 2, needed 0.80)"
    assert str(Claim.judged("A", "b", [True, False], number=np.float64(0.25))) == line
    for holds in ([], [1, 0], [0.5], [[True]]):
        with pytest.raises(ValueError, match="flat sequence of booleans"):
            Claim.judged("A", "b", holds)
    for needed in (0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="needed must be in"):
            Claim.judged("A", "b", [True], needed=needed)


def test_seeds_are_spawned_by_name():
    def draw(*names):
        return np.random.default_rng(seed_for(*names)).integers(10**9)

    assert draw("S2D-Fig-1a", "target", 3) == 517393288  # the same for ever
    names = [("a", "b"), ("ab",), ("a,b",), ("a", "b", 0), ("a", "b", 1), ("a", "b", "1")]
    assert len({draw(*name) for name in names}) == len(names)


def test_json_is_strict():
    value = {"x": np.array([1.0, np.nan]), "y": (-np.inf, np.float32(0.5), np.int64(3), True, None)}
    assert plain(value) == {"x": [1.0, "nan"], "y": ["-inf", 0.5, 3, True, None]}
    assert json.loads(strict_json(value)) == plain(value)
    with pytest.raises(TypeError, match="no place in a record"):
        plain({1, 2})


def test_files_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file"
    write_whole(path, b"one")

    def fail(*names):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, b"two")
    assert path.read_bytes() == b"one" and [p.name for p in path.parent.iterdir()] == ["file"]


def test_settings_are_the_papers_or_ours():
    assert Setting(3, "paper").source == "paper"
    with pytest.raises(ValueError, match=r"must be \"paper\" or \"ours\"; got 'mine'"):
        Setting(3, "mine")


def test_every_method_has_a_look_of_its_own():
    assert len(set(style.METHODS.values())) == len(style.METHODS)
    assert len({colour for colour, _, _ in style.METHODS.values()}) == len(style.METHODS)
    assert style.colour("splitting") == style.look("splitting")["color"]
    with pytest.raises(ValueError, match="Did you mean 'random split'"):
        style.look("random splits")


def test_the_users_own_style_changes_nothing():
    import matplotlib

    def picture():
        with style.applied():
            figure, axes = style.panels()
            axes.plot([0, 1])
            return style.rendered(figure, "svg")

    before = picture()
    with matplotlib.rc_context({"lines.linewidth": 9, "svg.hashsalt": "other"}):
        assert picture() == before
        assert matplotlib.rcParams["lines.linewidth"] == 9
