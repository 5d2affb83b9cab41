"""The command ``python -m figures``: the list, what is refused, what a figure writes."""

import importlib.util
import json
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from figure_scripts import ROOT, command, computed, forget, record_of, separate, write_figure

from figures import style
from figures.__main__ import main
from figures.record import seed_for

HEAVY = {"numpy", "scipy", "numba", "matplotlib", "refgrow", "tqdm"}

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
        assert not {HEAVY} & set(sys.modules)
    """
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert shown[0] == "Walk-1       a walk  [also Walk-1-also]"
    assert shown[1].startswith("broken       BROKEN (SyntaxError")
    assert shown[2].startswith("bench_speed  a walk")
    assert computed(scripts) == 0


def test_the_project_is_listed_without_loading_what_it_computes_with():
    """It answers at once: reading the sources is all it does."""
    code = f"""if True:
        import sys
        from figures.__main__ import main
        assert main(["list"]) == 0
        assert not {HEAVY} & set(sys.modules)
    """
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "S2D-Fig-1a" in shown and "bench_tiny" in shown and "BROKEN" not in shown


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["wallk-1"], "unknown figure 'wallk-1'. Did you mean 'Walk-1'?"),
        (["Walk-1", "Walk-2"], "unknown figure 'Walk-2'"),
        (["lst"], "Did you mean 'list'?"),
        (["list", "nope"], "`list` stands alone: `python -m figures list`."),
        (["Walk-1", "list"], "`list` stands alone"),
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


@pytest.mark.parametrize("mode", [[], ["--full"]])
@pytest.mark.parametrize("folder", ["", "somewhere"])
def test_a_full_run_without_data_says_what_takes_their_place(
    scripts, capsys, monkeypatch, mode, folder
):
    write_figure(scripts)
    monkeypatch.setenv("REFGROW_DATA", folder)
    assert command(scripts, *mode) == 0
    told = "digits are rendered from fonts" in capsys.readouterr().err
    assert told == (bool(mode) and not folder)


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
    # One setting shows nothing of what a claim depends on.
    assert moved["reproduced"] is True and moved["depends_on"] == ""
    assert ended["number"] == "inf" and ended["reproduced"] is False
    assert record["measured"]["cells"] == 4 and record["measured"]["cells_kept"] == 0
    shown = capsys.readouterr()
    assert "Walk-1\n4 walks\n" in shown.out
    assert "reproduced      Walk-1: walks move (share 1.00 of 4, needed 0.80)" in shown.out
    assert "NOT reproduced  Walk-1-also: walks end [inf]" in shown.out
    assert "Walk-1 [4/4] walk(seed=3, steps=20)" in shown.err


def test_full_mode_and_a_statement_as_id(scripts):
    write_figure(scripts)
    assert command(scripts, "Walk-1-also", "--full") == 0
    assert record_of(scripts)["mode"] == "full"
    assert record_of(scripts)["settings"]["steps"]["value"] == 40
    assert record_of(scripts)["claims"][0]["depends_on"] == "the seed"


def test_same_bytes_but_for_what_is_measured(scripts, capsys):
    """Whatever the folder, the number of processes, and whether cells were kept."""
    write_figure(scripts)
    runs = [separate(scripts, "--jobs", "1", out="one"), separate(scripts, "--jobs", "2")]
    for process in runs:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert command(scripts, jobs=2) == 0
    one, two = (scripts.parent / out / "Walk-1" for out in ("one", "out"))
    assert "4 of 4 cells kept from before" in capsys.readouterr().err
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


def test_a_bar_on_a_terminal(scripts, monkeypatch, capsys):
    write_figure(scripts)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert command(scripts) == 0
    shown = capsys.readouterr().err
    assert "Walk-1: 100%" in shown or "Walk-1:   0%" in shown
    assert "[1/4]" not in shown


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
