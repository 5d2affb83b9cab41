"""Splits into two, three and four copies on digits: that it is fair, and what verdicts rest on."""

import numpy as np
import pytest

from figures import s3d_m2_digits as figure
from figures import style, tiny_digits
from refgrow import growth, s3d, tiny

SMALL = {"data": "rendered digits", "samples": 150, "tests": 80, "pixels": 14, "start": [6, 5],
         "content": "", "activation": "tanh", "growths": 2, "steps": 15, "rate": 0.01,
         "batch_size": 50, "c": 3.0, "size": None, "seed": 1}  # fmt: skip
# What each number of copies is to split so that all add six neurons.
SPLITS = {2: 6, 3: 3, 4: 2}


def images():
    return tiny_digits.digits("rendered digits", 150, 80, 14)


def network(seed=1):
    return tiny_digits.start(seed, 196, [6, 5], "tanh")


# ---- what is compared ----------------------------------------------------------------------------


@pytest.mark.parametrize("full", [False, True])
def test_growths_add_as_many_neurons_or_split_as_many(full):
    asked = []
    settings = figure.settings(full)

    def run(function, cells):
        assert function is figure.grown
        asked.extend(cells)
        return [{name: np.arange(3.0) for name in figure.COLUMNS} for _ in cells]

    data = figure.compute(settings, run)
    grid, seeds, added = (settings[name].value for name in ("grid", "seeds", "added"))
    assert data["loss"].shape == (len(grid), 2, 3, len(seeds), 3)
    half = len(seeds) * 3
    for given, cells in zip(grid.values(), np.split(np.array(asked), len(grid)), strict=True):
        assert {(cell["c"], cell["size"]) for cell in cells} == {(given["c"], given["size"])}
        assert {cell["splits"] * (cell["copies"] - 1) for cell in cells[:half]} == {added}
        assert {cell["splits"] for cell in cells[half:]} == {added}
    assert all(set(cell) == set(SMALL) | {"copies", "splits"} for cell in asked)
    # There are neurons enough to split, from the first growth on.
    assert added <= sum(settings["start"].value)
    # Settings that reach no cell stand only for what cells have written into them.
    written = {"added", "grid", "comparable", "seeds"}
    assert set(settings) == written | set(figure.PASSED)


@pytest.mark.compiled
def test_all_start_alike_and_grow_by_what_is_asked_for():
    found = {m: figure.grown(**SMALL, copies=m, splits=k) for m, k in SPLITS.items()}
    more = {m: figure.grown(**SMALL, copies=m, splits=4) for m in SPLITS}
    for m in SPLITS:
        assert found[m]["neurons"].tolist() == [11, 17, 23]
        assert more[m]["neurons"].tolist() == [11, 11 + 4 * (m - 1), 11 + 8 * (m - 1)]
        for name in figure.COLUMNS:
            assert found[m][name][0] == more[m][name][0] == found[2][name][0]
        # A copy in layer 2, the smaller of the two, has 7 weights in or more, and 10 out.
        assert (np.diff(more[m]["parameters"]) >= 4 * (m - 1) * (7 + 10)).all()
    ends = [one["loss"][-1] for found in (found, more) for one in found.values()]
    assert len(set(ends)) == 6
    small = figure.grown(**{**SMALL, "size": 0.01}, copies=4, splits=2)
    assert small["neurons"].tolist() == [11, 17, 23] and small["loss"][0] == found[4]["loss"][0]
    assert small["loss"][-1] != found[4]["loss"][-1]
    again, other = (figure.grown(**{**SMALL, "seed": seed}, copies=3, splits=3) for seed in (1, 2))
    np.testing.assert_array_equal(again["loss"], found[3]["loss"])
    assert other["loss"][0] != again["loss"][0]


@pytest.mark.compiled
def test_looks_are_at_the_trained_network(monkeypatch):
    networks = []
    fit = figure.train.fit

    def kept(*arguments, **options):
        networks.append(fit(*arguments, **options)[0])
        return networks[-1], None

    monkeypatch.setattr(figure.train, "fit", kept)
    found = figure.grown(**SMALL, copies=4, splits=2)
    X, Y, X_test, Y_test = images()
    assert len(networks) == 3
    for k, trained in enumerate(networks):
        assert found["loss"][k] == tiny_digits.mean_loss(trained, X, Y)
        assert found["test loss"][k] == tiny_digits.mean_loss(trained, X_test, Y_test)
        assert found["accuracy"][k] == (trained(X_test).argmax(axis=1) == Y_test).mean()
        assert found["parameters"][k] == sum(W.size for W in trained.arrays)


# ---- one growth ----------------------------------------------------------------------------------


@pytest.mark.parametrize("m", SPLITS)
def test_a_growth_is_that_of_decide_with_a_size_that_lowers_the_loss(m):
    (X, Y, *_), before = images(), network()
    options = {"copies": m, "most": SPLITS[m], "c": 3.0}
    after = figure.split(before, X, Y, **options)
    plan = s3d.decide(before, X, Y, tiny_digits.LOSS, **options)
    assert [len(edit.fractions) for edit in plan.edits] == [m] * SPLITS[m]
    assert sum(after.widths) == 17
    assert tiny_digits.mean_loss(after, X, Y) < tiny_digits.mean_loss(before, X, Y)
    # No other size does much better: the search is meant to compare the schemes, not their sizes.
    sizes = np.geomspace(1e-3, 30, 60)
    tried = [tiny_digits.mean_loss(growth.apply(before, plan, s), X, Y) for s in sizes]
    start = tiny_digits.mean_loss(before, X, Y)
    assert start - tiny_digits.mean_loss(after, X, Y) > 0.9 * (start - min(tried))


@pytest.mark.parametrize(("size", "expected"), [(None, 0.01), (0.2, 0.2)])
def test_a_given_size_is_taken_and_where_none_helps_copies_are_small(monkeypatch, size, expected):
    (X, Y, *_), before = images(), network()
    options = {"copies": 3, "most": 2, "c": 3.0}
    monkeypatch.setattr(tiny, "amplitude", lambda loss_at, start: 0.0)
    after = figure.split(before, X, Y, size=size, **options)
    plan = s3d.decide(before, X, Y, tiny_digits.LOSS, **options)
    for one, two in zip(after.arrays, growth.apply(before, plan, expected).arrays, strict=True):
        np.testing.assert_array_equal(one, two)
    assert sum(after.widths) == 15


# ---- verdicts ------------------------------------------------------------------------------------


def compared(loss, accuracy, parameters=(100, 150, 200), settings=2):
    """Ends by rule and m, the same for all seeds and settings."""
    shape = (settings, 2, 3, 4, 2)
    made = {"grid": ["c = 3", "c = 1.3"][:settings]}
    for name, ends in (("loss", loss), ("accuracy", accuracy)):
        made[name] = np.full(shape, 0.5)
        made[name][..., -1] = np.array(ends)[None, :, :, None]
    made["parameters"] = np.full(shape, 50.0)
    made["parameters"][..., 1] = np.array([[100] * 3, parameters])[None, :, :, None]
    made["neurons"] = made["parameters"] / 10
    made["test loss"] = made["loss"] + 1
    return made


def shares(data):
    return [claim.share for claim in figure.claims(data)]


def test_verdicts():
    # Equal neurons, then equal splits, at which only accuracies count.
    best = compared([[0.1, 0.2, 0.3], [0.1, 0.0, 0.0]], [[0.9, 0.8, 0.7], [0.9, 0.905, 0.9]])
    assert shares(best) == [1] * 8
    # Negative control: all turned.
    worst = compared([[0.3, 0.2, 0.1], [0.3, 0.4, 0.5]], [[0.7, 0.8, 0.9], [0.7, 0.715, 0.9]],
                     parameters=(100, 100, 90))  # fmt: skip
    assert shares(worst) == [0] * 8
    ties = compared([[0.1] * 3] * 2, [[0.9] * 3] * 2)
    assert shares(ties) == [0, 0, 1, 1] * 2
    only_4 = compared([[0.1, 0.0, 0.2], [0.1] * 3], [[0.9, 0.8, 0.9], [0.8, 0.82, 0.8]])
    assert shares(only_4) == [0, 1, 1, 0, 1, 0, 1, 1]
    assert {claim.statement for claim in figure.claims(best)} == set(figure.STATEMENTS)


def test_cases_are_seeds_and_settings_and_only_ends_count():
    data = compared([[0.1, 0.2, 0.3], [0.1] * 3], [[0.9, 0.8, 0.7], [0.9] * 3])
    data["loss"][1, 0, 1, :3, -1] = 0.0  # m = 3 is ahead for three seeds of the second setting
    data["loss"][:, 0, 0, :, 0] = 9.0
    claim = figure.claims(data)[0]
    assert claim.cases == 8 and claim.share == 5 / 8
    assert claim.number["share by setting"] == {"c = 3": 1.0, "c = 1.3": 0.25}
    assert claim.number["mean and spread, m = 2 and m = 3, c = 3"] == [
        pytest.approx([0.1, 0], abs=1e-12), pytest.approx([0.2, 0], abs=1e-12)
    ]  # fmt: skip


# ---- looks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [1, 2])
def test_every_m_is_drawn_in_every_panel_and_every_network_is_listed(settings):
    data = compared([[0.1, 0.2, 0.3]] * 2, [[0.9, 0.8, 0.7]] * 2, settings=settings)
    with style.applied():
        drawn = figure.plot(data).axes
    assert len(drawn) == 3 * settings
    for axis in drawn:
        assert [line.get_label() for line in axis.get_lines()] == ["m = 2", "m = 3", "m = 4"]
    assert [line.get_ydata()[-1] for line in drawn[0].get_lines()] == pytest.approx([0.1, 0.2, 0.3])
    header, rows = figure.tables(data)["networks"]
    assert len(rows) == settings * 2 * 3 * 4 * 2 and {len(row) for row in rows} == {len(header)}
    assert rows[-1][:5] == (data["grid"][-1], figure.SPLITS, 4, 3, 1)
    assert len(figure.summary(data).splitlines()) == 1 + 6 * settings
