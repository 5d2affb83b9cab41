"""The arithmetic of S3D's figures: what the verdicts are computed from."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from figures import (
    s2d_toy,
    s3d_fig1_schemes,
    s3d_fig2a_methods,
    s3d_fig2b_c,
    s3d_fig2d_choice,
    s3d_phase,
    s3d_toy,
    s3d_triplets,
)
from figures.record import Setting
from refgrow import losses, networks, neurons, s2d, s3d, s3d_theory

# Small problems with the settings of the figures, so that each case takes a fraction of a second.
SMALL = {"c": 3.0, "most": 5, "samples": 200, "teachers": 15, "half_width": 5.0}
SMALL |= {"learning_rate": 0.005, "steps": 300}
# Second order at size 0.001, with curvatures of order ten; the third order is not zero.
SECOND_ORDER = 0.02
# Sums of 200 numbers of order one.
SAME = 1e-12
# What a local search leaves of an optimum of order one.
FOUND = 1e-6


def toy(**more):
    return {**s3d_toy.BASE, **SMALL, "seed": 3, **more}


def network_at(result, phase):
    return networks.Shallow(result[f"theta{phase}"], result[f"weights{phase}"], s3d_toy.NEURON)


def grown(seed=6, phase=3, **more):
    """A network with curvature of both signs, its data, and the run it comes from."""
    result = s3d_toy.grow(method="m = 2", **toy(seed=seed, **more))
    target = s3d_toy.problem(seed, toy(seed=seed, **more))
    return network_at(result, phase), target.X, target.Y, result


@pytest.mark.statement("S3D-Eq-14")
def test_targets_and_starts_are_those_of_the_toy_figures_of_s2d():
    setting = {**s2d_toy.BASE, **toy()}
    bumps, ridges = s2d_toy.problem(3, setting), s3d_toy.problem(3, setting)
    np.testing.assert_array_equal(ridges.X[:, :1], bumps.X)
    assert (ridges.X[:, 1] == 1).all()
    np.testing.assert_allclose(ridges.Y, bumps.Y, rtol=0, atol=SAME)
    bump = s2d_toy.grow(
        method="splitting", seed=3, most=1, steps=0, **s2d_toy.BASE,
        samples=200, teachers=15, half_width=5.0, candidates=1, restarts=1,
    )  # fmt: skip
    start = s3d_toy.start(3, setting)
    np.testing.assert_array_equal([*start.theta[0], start.weights[0]], bump["theta1"][0])
    strong = s3d_toy.start(3, toy(start_weight=10.0))
    np.testing.assert_array_equal(strong.theta, start.theta)
    assert strong.weights[0] == 10 * np.sign(start.weights[0])


@pytest.mark.compiled
@pytest.mark.parametrize("method", s3d_toy.COPIES)
@pytest.mark.parametrize("trained", [True, False])
def test_the_errors_of_a_run_are_those_of_its_networks(method, trained):
    result = s3d_toy.grow(method=method, **toy(train_weights=trained))
    target = s3d_toy.problem(3, toy())
    added = s3d_toy.COPIES[method] - 1
    assert len(result["sizes"]) == len(result["ends"]) == 1 + (5 - 1) // added
    for phase, (size, end) in enumerate(zip(result["sizes"], result["ends"], strict=True)):
        network = network_at(result, phase)
        assert len(network.theta) == size <= 1 + phase * added
        error = ((network(target.X) - target.Y) ** 2).mean() / target.Y.var()
        assert end == pytest.approx(error, rel=1e-9) and end != pytest.approx(error / 2, rel=1e-3)
        S = s2d.splitting_matrices(network, target.X, target.Y, losses.squared)[0]
        values = np.linalg.eigvalsh(S)
        assert result[f"lam_min{phase}"] == pytest.approx(values[:, 0], abs=1e-9)
        assert result[f"lam_max{phase}"] == pytest.approx(values[:, -1], abs=1e-9)
    assert result["curve"][-1] == pytest.approx(result["ends"][-1], rel=1e-9)
    assert result["steps"][0] == 0 and (np.diff(result["steps"]) > 0).all()
    np.testing.assert_array_equal(np.diff(result["starts"]), added * 300 + 1)
    # Splits, positive or signed, keep the sum of the output weights where these are fixed.
    sums = [result[f"weights{k}"].sum() for k in range(len(result["sizes"]))]
    assert (np.ptp(sums) < SAME) == (not trained)


@pytest.mark.compiled
def test_a_method_that_splits_nothing_trains_on():
    # S2D on a target that its first neuron is as far from as it can get.
    result = s3d_toy.grow(method="S2D", **toy(seed=0, train_weights=False, steps=1500))
    idle = np.flatnonzero(result["split"][:-1] == -1)
    assert idle.size  # otherwise the test shows nothing
    for phase in idle:
        assert result["sizes"][phase + 1] == result["sizes"][phase]
        assert result[f"lam_min{phase}"].min() >= 0
    assert s3d_fig2a_methods.lowest(result) == result["lam_min4"].min()
    assert s3d_fig2a_methods.highest(result) == result["lam_max4"].max()


@pytest.mark.statement("S3D-Eq-14")
@pytest.mark.parametrize("weight", [0.7, -1.3, None])
def test_the_floor_of_positive_splits_is_the_best_fit_within_their_reach(weight):
    Y = np.random.default_rng(0).normal(size=(12, 1)) + 0.2
    floor = s3d_toy.positive_floor(Y, weight)
    reach = [(0, weight)] if weight else [(0, np.inf), (-np.inf, 0)]
    fits = [
        lsq_linear(np.eye(len(Y)), Y[:, 0], bounds=(min(ends), max(ends)), tol=1e-14).fun
        for ends in reach
    ]
    assert floor == pytest.approx(min((r**2).mean() for r in fits) / Y.var(), abs=1e-9)
    if weight:
        assert s3d_toy.positive_floor(Y, weight / 2) > floor + 1e-3
        assert s3d_toy.positive_floor(Y, -weight) != pytest.approx(floor, abs=1e-3)


@pytest.mark.compiled
@pytest.mark.parametrize("weight", [None, 2.0])
def test_positive_splits_stay_above_their_floor_and_signed_ones_do_not(weight):
    setting = toy(seed=0, train_weights=False, start_weight=weight, most=9, steps=1000)
    positive = s3d_toy.grow(method="S2D", **setting)
    signed = s3d_toy.grow(method="m = 2", **setting)
    assert (positive["ends"] >= positive["floor"] * (1 - SAME)).all()
    assert signed["ends"][-1] < signed["floor"]


@pytest.mark.statement("S3D-Eq-14")
def test_section_3_does_not_cover_the_toy(evidence):
    """A thousand samples of two parameters, sigma'' of both signs: lambda_X = 0, alpha = inf."""
    settings = s3d_toy.settings(True)
    (setting,) = [cell for cell in s3d_toy.cells({**settings, "grid": Setting(["base"], "ours")})
                  if cell["seed"] == 3]  # fmt: skip
    X, network = s3d_toy.problem(3, setting).X, s3d_toy.start(3, setting)
    known = s3d_theory.constants(network, X)
    evidence("n, d", (known.samples, known.inputs))
    evidence("lambda_X, h", (known.lambda_X, known.bend))
    assert X.shape == (1000, 2) and known.lambda_X == 0 and known.alpha == np.inf
    assert "= 3 dimensions" in known.message
    # It is the samples that are too many: three of them would do.
    assert s3d_theory.constants(network, X[:3]).lambda_X > 0
    second = s3d_toy.NEURON.activation.second(X @ network.theta[0])
    assert second.min() < 0 < second.max()


@pytest.mark.compiled
@pytest.mark.statement("S3D-Eq-14")
def test_seven_neurons_have_had_different_numbers_of_steps(evidence):
    """(m - 1) x 10k steps a phase: 70k, 80k and 90k; here with 10 for 10k."""
    assert s3d_toy.settings(True)["steps"].value == 10_000
    assert s3d_toy.settings(True)["most"].value == s3d_toy.MOST == 13
    had = {}
    for method in s3d_toy.SIGNED:
        result = s3d_toy.grow(method=method, **toy(seed=6, most=7, steps=10))
        phases = int(np.flatnonzero(result["sizes"] == 7)[0]) + 1
        assert phases == len(result["sizes"])
        # The losses of a phase are those before its first step and after each of its steps.
        had[method] = int(result["steps"][-1]) + 1 - phases
    evidence("steps at seven neurons, a thousandth of the paper's", had)
    assert had == {"m = 2": 70, "m = 3": 80, "m = 4": 90}


def test_results_by_size():
    result = {"sizes": np.array([1, 3, 3, 5]), "ends": np.array([4.0, 3.0, 2.0, 1.0])}
    result |= {f"theta{k}": k for k in range(4)} | {f"weights{k}": -k for k in range(4)}
    assert [s3d_toy.by_size(result, k) for k in (1, 2, 3, 4, 5, 9)] == [4, 4, 2, 2, 1, 1]
    assert [s3d_toy.network_of(result, k) for k in (2, 4, 5)] == [(0, 0), (2, -2), (3, -3)]


@pytest.mark.statement("S3D-Eq-14")
def test_cells_have_the_settings_that_are_recorded_and_the_order_of_the_readings():
    settings = s3d_toy.settings(True)
    cells = s3d_toy.cells(settings, method="S2D")
    (sorted_,) = s2d_toy.by_setting(cells, settings)
    for name, row in zip(settings["grid"].value, sorted_, strict=True):
        assert [cell["seed"] for cell in row] == list(range(10))
        assert all(s3d_toy.GRID[name].items() <= cell.items() for cell in row)
    elsewhere = {"grid", "base", "departures", "seeds", "recovered"}
    assert all(cells[0][name] == settings[name].value for name in settings.keys() - elsewhere)
    readings = s3d_toy.readings(settings["grid"].value)
    masks = np.array(list(readings.values()))
    assert (masks.sum(axis=0) == 1).all()
    for name, row in zip(readings, masks, strict=True):
        trained = name == "output weights trained"
        assert [cell[0]["train_weights"] == trained for cell in sorted_] == row.tolist()
    assert s3d_toy.readings(["base"]).keys() == {"output weights trained"}
    quick = s3d_toy.readings(list(s3d_toy.QUICK))
    assert [mask.tolist() for mask in quick.values()] == [[True, False], [False, True]]


def test_shares_are_by_setting_and_by_what_positive_splits_can_fit():
    holds = np.array([[True, False, False], [True, True, False]])
    floor = np.array([[0.0, 0.5, 0.5], [0.0, 0.0, 0.5]])
    found = s3d_toy.shares(["a", "b"], holds, floor)
    assert found == {
        "a": pytest.approx(1 / 3),
        "b": pytest.approx(2 / 3),
        "positive splits can fit": 1.0,
        "positive splits cannot": 0.0,
    }
    assert s3d_toy.shares(["a", "b"], holds, 0 * floor)["positive splits cannot"] is None


@pytest.mark.compiled
def test_the_printed_triplet_is_feasible_and_gains_what_is_printed():
    rng = np.random.default_rng(0)
    c = 3.0
    for _ in range(20):
        A = rng.normal(size=(2, 2))
        S = A + A.T
        weights, directions = s3d_toy.printed_scheme(S, c)
        lam = np.linalg.eigvalsh(S)
        printed = s3d.printed_triplet_gain(lam[0], lam[-1], c)
        assert s3d.scheme_gain(S, weights, directions) == pytest.approx(printed, abs=SAME)
        assert weights.sum() == pytest.approx(1) and np.abs(weights).sum() == pytest.approx(c)
        assert np.abs(weights @ directions).max() < SAME
    network, X, Y, _ = grown()
    plan = s3d_toy.printed_triplet(network, X, Y, losses.squared, c=c, size=0.01)
    pairs = s2d.extremes(network, X, Y, losses.squared)[0]
    gains = s3d.printed_triplet_gain(pairs.lam_min, pairs.lam_max, c)
    assert plan.edits[0].neuron == np.argmin(gains)
    assert plan.coefficient == pytest.approx(gains.min() / 2)
    true = s3d.decide(network, X, Y, losses.squared, c=c, copies=3)
    assert true.coefficient <= plan.coefficient < 0
    fitted = network(X)
    nothing = s3d_toy.printed_triplet(network, X, fitted, losses.squared, c=c, size=0.01)
    assert not nothing.edits


@pytest.mark.compiled
def test_what_is_chosen_and_what_comes_of_it():
    setting = toy(seed=6, most=4, size=1e-3)
    seen = s3d_toy.look_at_choices(**setting)
    network, X, Y, _ = grown(most=4, size=1e-3)
    S = s2d.splitting_matrices(network, X, Y, losses.squared)[0]
    lam = np.linalg.eigvalsh(S)
    gains = s3d.best_gain(lam[:, 0], lam[:, -1], 3.0, 2)
    np.testing.assert_array_equal(seen["chosen"], [np.argmin(lam[:, 0]), np.argmin(gains)])
    expected = -np.array([lam[:, 0].min(), gains.min()]) * 1e-6 / Y.var()
    assert seen["gains"] == pytest.approx(expected, rel=1e-9)
    assert seen["immediate"] == pytest.approx(expected, rel=SECOND_ORDER)
    assert seen["immediate"] != pytest.approx(expected / 2, rel=SECOND_ORDER)
    at = gains.argmin()
    assert seen["negative"].tolist() == [False, bool(gains[at] < lam[at, 0])]
    target = s3d_toy.problem(6, setting)
    np.testing.assert_allclose(
        np.interp(X[:, 0], seen["x"], seen["target"]), target.Y[:, 0], atol=2e-2
    )
    assert (seen["retrained"] > 0).all() and seen["unsplit"] > 0


def test_the_target_drawn_is_the_middle_one_of_those_with_different_choices():
    chosen = np.array([[0, 0], [1, 2], [0, 3], [1, 0], [2, 2]])
    retrained = np.array([[9.0, 1], [3, 1], [1, 1], [2, 1], [5, 1]])
    assert s3d_fig2d_choice.middle(chosen, retrained) == 3
    assert s3d_fig2d_choice.middle(chosen[:, [0, 0]], retrained) == 1


def test_runs_are_compared_split_by_split_and_bit_by_bit():
    def run(split, negative, theta=0.0):
        networks_ = {f"{name}{k}": np.array([theta]) for name in ("theta", "weights")
                     for k in range(3)}  # fmt: skip
        return {"split": np.array(split), "negative": np.array(negative), "sizes": np.arange(3),
                **networks_}  # fmt: skip

    base = run([0, 1, 0], [False, False, False])
    assert s3d_fig2b_c.first_difference(base, base) == 0 and s3d_fig2b_c.identical(base, base)
    assert s3d_fig2b_c.first_difference(run([0, 0, 0], [False] * 3), base) == 2
    assert s3d_fig2b_c.first_difference(run([0, 1, 0], [True, False, False]), base) == 1
    # What would be split after the last phase is not split.
    assert s3d_fig2b_c.first_difference(run([0, 1, 2], [False] * 3), base) == 0
    assert not s3d_fig2b_c.identical(run([0, 1, 0], [False] * 3, 1e-300), base)


@pytest.mark.compiled
def test_c_of_one_is_s2d_to_the_bit_and_another_c_is_not():
    positive = s3d_toy.grow(method="S2D", **toy())
    assert s3d_fig2b_c.identical(s3d_toy.grow(method="m = 2", **toy(c=1.0)), positive)
    assert not s3d_fig2b_c.identical(s3d_toy.grow(method="m = 2", **toy(c=3.0)), positive)


def test_weights_of_the_rarer_sign_are_counted():
    result = {"sizes": np.arange(2), "weights1": np.array([1.0, -2.0, -3.0, -0.5])}
    assert s3d_fig2a_methods.rarer(result) == 1
    result["weights1"] = -result["weights1"][1:]
    assert s3d_fig2a_methods.rarer(result) == 0


def test_signed_splits_are_counted_among_those_made():
    result = {"split": np.array([0, 1, -1, 2, 0]), "negative": np.array([1, 0, 0, 1, 1], bool)}
    assert s3d_fig2a_methods.signed(result) == pytest.approx(2 / 3)
    idle = {"split": np.array([-1, 0]), "negative": np.array([False, True])}
    assert s3d_fig2a_methods.signed(idle) == 0


@pytest.mark.parametrize("c", [1.5, 3.0, 6.0])
def test_drawn_schemes_are_compared_with_the_printed_ones(c):
    for weights, directions in s3d_fig1_schemes.printed(c):
        w, d = np.array(weights), np.array(directions)
        assert w.sum() == pytest.approx(1) and np.abs(w).sum() <= c + SAME
        assert np.abs(w @ d).max() < SAME and (np.linalg.norm(d, axis=1) <= 1 + SAME).all()
        order = np.random.default_rng(0).permutation(len(w))
        panel = {"weights": w[order], "directions": d[order]}
        assert s3d_fig1_schemes.as_printed(panel, weights, directions)
        for wrong in (
            {"weights": w, "directions": d[:, ::-1]},
            {"weights": w[order] * (1 + 1e-9), "directions": d[order]},
            {"weights": w[:-1], "directions": d[:-1]},
        ):
            assert not s3d_fig1_schemes.as_printed(wrong, weights, directions)


def test_figure_1_draws_every_scheme_where_it_is_the_best():
    settings = s3d_fig1_schemes.settings(False)
    panels = s3d_fig1_schemes.compute(settings, None)["panels"]
    assert [len(panel["weights"]) for panel in panels] == [2, 2, 3, 3, 4, 3]
    assert [panel["gain"] for panel in panels] == pytest.approx([-1, -0.5, -2, -1, -3.5, -2.25])


def test_the_winner_is_the_first_of_equal_ones():
    gains = np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 1.0 + 1e-12], [0.5, 2.0, 3.0]])
    assert s3d_phase.winner(gains).tolist() == [0, 1, 2]


@pytest.mark.parametrize("c", [1.2, 2.0, 2.9])
def test_the_window_of_the_triplet_is_where_it_beats_binary_splits_per_copy(c):
    ratio = np.geomspace(1e-2, 1e3, 2001)
    binary, triplet, _ = s3d_phase.per_copy(ratio, c, printed=False)
    a, b = (c + 1) / 2, (c - 1) / 2
    np.testing.assert_allclose(binary, np.maximum(1, b / a * ratio), rtol=SAME)
    low, high = s3d_phase.triplet_window(c)
    inside, off = s3d_phase.inside_window(ratio, c)
    np.testing.assert_array_equal((triplet > binary)[off], inside[off])
    assert ((low * (1 + 1e-5) < ratio) & (ratio < high) & inside).any()
    # At the ends the two are equal, and nearer to a / b the triplet is ahead.
    for end in (low, high):
        two, three, _ = s3d_phase.per_copy(end, c, printed=False)
        assert two == pytest.approx(three, rel=SAME)
    two, three, _ = s3d_phase.per_copy(a / b, c, printed=False)
    assert three / two == pytest.approx((3 * a - 1) / (2 * a), rel=SAME)
    # By the print it is never ahead.
    two, three, _ = s3d_phase.per_copy(ratio, c, printed=True)
    assert (three <= two).all()


def test_the_branch_is_that_of_the_best_scheme():
    for c, ratio, name in (
        (3.0, 0.5, "positive"), (3.0, 1.5, "mixed"), (3.0, 4.0, "negative"), (6.0, 1.0, "positive"),
    ):  # fmt: skip
        assert s3d_phase.BRANCHES[s3d_phase.branch(ratio, c)] == name
        weights = s3d.best_scheme(np.diag([-1.0, ratio]), c, 3).weights
        assert (weights < 0).sum() == (2 if name == "negative" else 1)


@pytest.mark.parametrize("c, ratio, d", [(3.0, 1.5, 2), (1.5, 5.0, 2), (4.0, 0.3, 2)])
def test_the_search_finds_the_optimum_and_stays_feasible(c, ratio, d):
    found = s3d_triplets.search(c=c, ratio=ratio, d=d, tries=8)["gain"]
    true = s3d.best_gain(-1.0, ratio, c, 3)
    assert found == pytest.approx(true, rel=FOUND)
    assert true * (1 + FOUND) <= found
    printed = s3d.printed_triplet_gain(-1.0, ratio, c)
    assert (found < printed - 1e-3) == (ratio != 0.3)


@pytest.mark.compiled
def test_both_triplets_are_measured_on_one_neuron():
    sizes = [1e-3, 1e-2]
    seen = s3d_triplets.measure(sizes=sizes, **toy(seed=6, most=5))
    assert seen["factor"] > 1  # otherwise the test shows nothing
    assert seen["gains"][0] / seen["gains"][1] == pytest.approx(seen["factor"], rel=1e-9)
    assert seen["measured"][:, 0] == pytest.approx(seen["gains"], rel=SECOND_ORDER)
    assert seen["measured"][0, 0] != pytest.approx(seen["gains"][1], rel=SECOND_ORDER)


def test_the_neuron_is_the_one_that_the_compiled_loop_knows():
    assert s3d_toy.NEURON == neurons.ridge("gaussian")
