"""The cells of a figure: computed once, kept exactly, anew after an edit, and interrupted."""

import concurrent.futures
import io
import os
import signal
import sys
import textwrap
import time

import numpy as np
import pytest
from figure_scripts import (
    ROOT,
    command,
    computed,
    forget,
    record_of,
    separate,
    wait_for,
    wait_until_nobody_is_left,
    write_figure,
)

from figures import style
from figures.__main__ import main
from figures.cells import DAMAGED, Run, decoded, encoded
from figures.sources import sources
from figures.workers import CellError, Inline, Workers

# What is kept, and until when


def test_edits_compute_anew_what_they_may_have_changed_and_nothing_else(scripts, monkeypatch):
    # Nothing is looked at but the cells, and pictures take most of the time.
    monkeypatch.setattr(style, "rendered", lambda figure, kind, **options: b"")
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


# How they are computed


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


def test_one_job_computes_in_this_process():
    assert isinstance(Workers(1).executor, Inline)


# Ctrl-C


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
def test_ctrl_c_ends_at_once_and_running_again_resumes(scripts, monkeypatch, capsys, to_all):
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
    assert command(scripts) == 0
    assert f"{kept} of {kept + 4} cells kept from before" in capsys.readouterr().err
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
