"""Claims, settings, seeds, JSON, files and style of the figures."""

import json
import os

import numpy as np
import pytest

from figures import style
from figures.record import Claim, Setting, plain, seed_for, strict_json, write_whole


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
