"""The arithmetic of S2D's figures: what the verdicts are computed from."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from figures import s2d_fig1b_eigenvalues, s2d_fig1c_angle, s2d_mmd, s2d_toy
from refgrow import losses, networks, neurons, s2d

# Small problems with the settings of the figures, so that each case takes a fraction of a second.
SMALL = {"most": 3, "samples": 200, "teachers": 15, "half_width": 5.0, "steps": 300}
SEARCH = {"candidates": 8, "restarts": 2}
# Second order at size 0.001, with curvatures of the bump up to some hundreds.
SECOND_ORDER = 0.02
# Sums of 200 numbers of order one.
SAME = 1e-12


def toy(**more):
    return {**s2d_toy.BASE, **SMALL, **SEARCH, "seed": 3, **more}


def floor_by_least_squares(Y):
    """The best fit of one sign, sample by sample, by bounded least squares."""
    fits = [
        lsq_linear(np.eye(len(Y)), Y[:, 0], bounds=bounds, tol=1e-14).fun
        for bounds in ((0, np.inf), (-np.inf, 0))
    ]
    return min((r**2).mean() for r in fits) / Y.var()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_floor_of_one_sign_is_the_best_such_fit(seed):
    Y = np.random.default_rng(seed).normal(size=(12, 1)) + 0.5 * seed
    floor = s2d_toy.one_sign_floor(Y)
    assert floor == pytest.approx(floor_by_least_squares(Y), abs=1e-9)
    assert s2d_toy.one_sign_floor(-Y) == pytest.approx(floor, rel=SAME)
    # The part of the commoner sign is no floor.
    larger = max((np.maximum(Y, 0) ** 2).mean(), (np.minimum(Y, 0) ** 2).mean()) / Y.var()
    assert larger > floor + 1e-3


@pytest.mark.parametrize("method", s2d_toy.METHODS)
def test_the_errors_of_a_run_are_those_of_its_networks(method):
    result = s2d_toy.grow(method=method, **toy())
    target = s2d_toy.problem(3, toy())
    for m in (2, 3):
        if f"theta{m}" not in result:  # training from scratch has the sizes of Fig 5 only
            assert method == "from scratch" and np.isnan(result["ends"][m - 1])
            continue
        network = networks.Shallow(result[f"theta{m}"], result[f"weights{m}"], neurons.bump)
        assert len(network.theta) == m
        error = ((network(target.X) - target.Y) ** 2).mean() / target.Y.var()
        assert result["ends"][m - 1] == pytest.approx(error, rel=1e-9)
        assert result["ends"][m - 1] != pytest.approx(error / 2, rel=1e-3)
    assert result["curve"][-1] == pytest.approx(result["ends"][-1], rel=1e-9)
    assert result["steps"][0] == 0 and (np.diff(result["steps"]) > 0).all()


def test_cells_and_results_have_the_same_order():
    settings = s2d_toy.settings(True)
    asked = [
        (method, name, seed)
        for method in s2d_toy.METHODS
        for name in settings["grid"].value
        for seed in settings["seeds"].value
    ]
    cells = [c for m in s2d_toy.METHODS for c in s2d_toy.cells(settings, method=m)]
    sorted_ = s2d_toy.by_setting(list(zip(asked, cells, strict=True)), settings, 6)
    for i, method in enumerate(s2d_toy.METHODS):
        for g, name in enumerate(settings["grid"].value):
            for k, seed in enumerate(settings["seeds"].value):
                named, cell = sorted_[i][g][k]
                assert named == (method, name, seed)
                assert (cell["method"], cell["seed"]) == (method, seed)
                assert s2d_toy.GRID[name].items() <= cell.items()
    mmd = s2d_mmd.settings(True)
    cells = s2d_toy.by_setting(s2d_mmd.cells(mmd), mmd, len(s2d_mmd.METHODS))
    for i, method in enumerate(s2d_mmd.METHODS):
        for g, name in enumerate(mmd["grid"].value):
            assert [c["method"] for c in cells[i][g]] == [method] * 10
            assert [c["seed"] for c in cells[i][g]] == list(range(10))
            assert all(s2d_mmd.GRID[name].items() <= c.items() for c in cells[i][g])


def test_every_recorded_setting_reaches_the_cells():
    for module in (s2d_toy, s2d_mmd):
        settings = module.settings(False)
        cell = module.cells(settings)[0]
        elsewhere = {"grid", "base", "departures", "seeds"}
        assert settings.keys() - elsewhere <= cell.keys()
        assert all(cell[name] == settings[name].value for name in settings.keys() - elsewhere)


def test_a_split_is_looked_at_as_the_theorem_says():
    angles = [0.0, np.pi / 4, np.pi / 2, np.pi]
    seen = s2d_toy.look_at_splits(angles=angles, **toy(most=4, steps=800))
    size = toy()["size"]
    predicted = -0.5 * size**2 * seen["eigenvalues"]
    assert seen["immediate"] == pytest.approx(predicted, rel=SECOND_ORDER)
    assert seen["immediate"] != pytest.approx(predicted / 2, rel=SECOND_ORDER)
    # Index and decrease belong to the same neuron and the same loss, the MSE.
    grown = s2d_toy.grow(method="splitting", **toy(steps=800))
    network = networks.Shallow(grown["theta3"], grown["weights3"], neurons.bump)
    target = s2d_toy.problem(3, toy())
    lam, _ = s2d.splitting_indices(
        s2d.splitting_matrices(network, target.X, target.Y, losses.squared)[0]
    )
    assert seen["eigenvalues"] == pytest.approx(2 * np.sort(lam), rel=1e-9)
    data = {"spectrum": seen["spectrum"][None, None], "sizes": np.array([size])}
    theory = s2d_fig1c_angle._theory(data, np.array(angles))[0]
    largest = np.abs(theory).max()
    assert np.abs(seen["angle_immediate"] - theory).max() < SECOND_ORDER * largest
    assert np.abs(seen["angle_immediate"] + theory).max() > largest
    assert np.abs(theory[:, 0] - theory[:, 3]).max() < 1e-9 * largest


def test_correlation_is_of_the_decrease_with_minus_the_index():
    index = np.array([-3.0, -2.0, -1.0])
    assert s2d_fig1b_eigenvalues._correlation(index, -5 * index) == pytest.approx(1)
    assert s2d_fig1b_eigenvalues._correlation(index, 5 * index) == pytest.approx(-1)


def test_shares_are_by_setting_and_by_sign():
    holds = np.array([[True, False, False], [True, True, False]])
    floor = np.array([[0.0, 0.5, 0.5], [0.0, 0.0, 0.5]])
    assert s2d_toy.shares(["a", "b"], holds, floor) == {
        "a": pytest.approx(1 / 3),
        "b": pytest.approx(2 / 3),
        "targets of one sign": 1.0,
        "targets of both signs": 0.0,
    }


@pytest.mark.parametrize("method", s2d_mmd.METHODS)
def test_the_loss_of_compression_is_the_kernels(method):
    settings = s2d_mmd.settings(False)
    cell = next(c for c in s2d_mmd.cells(settings) if c["method"] == method)
    cell |= {"steps": 200, "particles": 3, "samples": 100}
    result = s2d_mmd.compress(**{**cell, "frames": 3})
    assert result["ends"][-1] == pytest.approx(result["kernel"], rel=1e-9)
    assert result["ends"][-1] != pytest.approx(2 * result["kernel"], rel=1e-3)
    # Weights stay those of a probability measure.
    weights = result["paths"][-1, 1]
    assert np.nansum(weights) == pytest.approx(1, rel=SAME)
    assert result["curve"][-1, 1] == pytest.approx(result["ends"][-1], rel=SAME)
