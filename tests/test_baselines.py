"""Baselines: what the papers compare with does what it says, and no more."""

from functools import partial

import numpy as np
import pytest
from scipy.optimize import minimize

from refgrow import baselines, growth, losses, networks, neurons, s2d, train

# Rounding of sums of order one.
SAME = 1e-13
RANDOM_SPLITS = (baselines.random_split, baselines.random_split_along_gradient)


def sample(rng, k):
    return rng.normal(size=(k, 3))


def toy(m=3, weights=None):
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(50, 1))
    weights = np.ones(m) if weights is None else weights
    return networks.Shallow(rng.normal(size=(m, 3)), weights, neurons.bump), X, np.sin(2 * X)


def deep():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30, 2))
    weights = [rng.normal(size=s) for s in ((3, 3), (4, 4), (2, 5))]
    return networks.MLP(weights, "tanh"), X, rng.normal(size=(30, 2))


@pytest.mark.parametrize("decide", RANDOM_SPLITS)
@pytest.mark.parametrize("problem", [toy, deep])
def test_random_splits_preserve_the_function_and_predict_their_change(decide, problem):
    network, X, Y = problem()
    plan = decide(network, X, Y, "squared", most=2, size=1e-3, rng=0)
    assert (plan.order, plan.remainder, len(plan.edits)) == (2, 4, 2)
    assert np.abs(growth.apply(network, plan, size=0.0)(X) - network(X)).max() < SAME
    before = losses.squared.value(network(X), Y)
    change = losses.squared.value(growth.apply(network, plan)(X), Y) - before
    assert change == pytest.approx(plan.predicted(), rel=1e-3)
    assert change != pytest.approx(2 * plan.predicted(), rel=1e-1)


@pytest.mark.parametrize("decide", RANDOM_SPLITS)
def test_random_splits_take_distinct_neurons_with_equal_chance(decide):
    network, X, Y = deep()
    everyone = decide(network, X, Y, "squared", most=99, rng=0)
    assert len({(e.layer, e.neuron) for e in everyone.edits}) == len(everyone.edits) == 7
    rng = np.random.default_rng(0)
    firsts = [decide(network, X, Y, "squared", rng=rng).edits[0] for _ in range(350)]
    counts = np.unique([10 * e.layer + e.neuron for e in firsts], return_counts=True)[1]
    # Fifty expected; five standard deviations of a binomial count are 33.
    assert len(counts) == 7 and counts.min() > 17 and counts.max() < 83


def test_random_directions_are_unit_vectors_all_around():
    network, X, Y = toy(m=1)
    rng = np.random.default_rng(0)
    v = np.array(
        [
            baselines.random_split(network, X, Y, "squared", rng=rng).edits[0].directions[0]
            for _ in range(400)
        ]
    )
    assert np.abs(np.linalg.norm(v, axis=1) - 1).max() < SAME
    # Each entry's mean square is 1/3; the mean of 400 has a standard deviation of 0.015.
    assert np.abs((v**2).mean(axis=0) - 1 / 3).max() < 0.08
    assert np.abs(v.mean(axis=0)).max() < 0.15


def test_the_other_random_split_goes_along_the_neurons_own_gradient():
    network, X, Y = toy()
    plan = baselines.random_split_along_gradient(network, X, Y, "squared", most=3, rng=0)
    lam, v = s2d.splitting_indices(s2d.splitting_matrices(network, X, Y, "squared")[0])
    for edit in plan.edits:
        assert np.array_equal(edit.directions, [v[edit.neuron], -v[edit.neuron]])
        assert np.array_equal(edit.fractions, [0.5, 0.5])
    assert plan.coefficient == pytest.approx(lam.sum() / 2)


@pytest.mark.parametrize("decide", RANDOM_SPLITS)
def test_a_generator_moves_on_and_a_seed_does_not(decide):
    network, X, Y = deep()
    run = partial(decide, network, X, Y, "squared", most=3)
    named = [[(e.layer, e.neuron) for e in run(rng=rng).edits] for rng in (1, 1, 2, 3, 4)]
    assert named[0] == named[1] and len({tuple(n) for n in named}) > 1
    rng = np.random.default_rng(1)
    assert len({tuple((e.layer, e.neuron) for e in run(rng=rng).edits) for _ in range(5)}) > 1


def test_splitting_promises_more_than_any_random_split():
    network, X, Y = toy()
    best = s2d.decide(network, X, Y, "squared", most=1).coefficient
    rng = np.random.default_rng(0)
    for decide in RANDOM_SPLITS:
        others = [decide(network, X, Y, "squared", rng=rng).coefficient for _ in range(50)]
        assert min(others) >= best - SAME
        assert max(others) > best + 1e-6


def test_a_new_neuron_is_added_as_it_was_drawn():
    network, X, Y = toy()
    plan = baselines.new_initialisation(network, X, Y, "squared", sample=sample, rng=3)
    grown = growth.apply(network, plan)
    drawn = sample(np.random.default_rng(3), 1)
    expected = network(X) + neurons.bump.value(drawn, X)
    assert np.abs(grown(X) - expected).max() < SAME
    change = losses.squared.value(grown(X), Y) - losses.squared.value(network(X), Y)
    assert plan.predicted() == pytest.approx(change, rel=1e-12)
    assert np.array_equal(grown.theta[:3], network.theta)


def test_even_weights_stay_even():
    network, X, Y = toy(m=3, weights=np.full(3, 1 / 3))
    plan = baselines.new_initialisation(
        network, X, Y, "squared", sample=sample, weighting="even", rng=3
    )
    grown = growth.apply(network, plan)
    assert np.abs(grown.weights - 0.25).max() < SAME
    # The Frank-Wolfe step: (1 - g) f + g sigma with g = 1 / (m + 1).
    drawn = neurons.bump.value(sample(np.random.default_rng(3), 1), X)
    assert np.abs(grown(X) - (0.75 * network(X) + 0.25 * drawn)).max() < SAME


@pytest.mark.parametrize("weighting", ["added", "even"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_the_greedy_neuron_is_as_good_as_brute_force(weighting, loss):
    network, X, Y = toy(m=2, weights=np.array([0.5, 0.5]))
    if loss == "logistic":
        Y = (Y[:, 0] + np.random.default_rng(1).normal(size=len(Y)) > 0).astype(int)
    search = partial(
        baselines.gradient_boosting, network, X, Y, loss, sample=sample, weighting=weighting
    )
    plan = search(rng=0, steps=1500, learning_rate=0.02, restarts=6)
    keep, weight = (1.0, 1.0) if weighting == "added" else (2 / 3, 1 / 3)

    def value(theta):
        F = keep * network(X) + weight * neurons.bump.value(theta[None], X)
        return losses.get(loss).value(F, Y)

    rng = np.random.default_rng(7)
    starts = rng.normal(size=(40, 3))
    # In a box, since the best logistic amplitude is infinite.
    box = [(-10, 10)] * 3
    best = min(minimize(value, start, method="L-BFGS-B", bounds=box).fun for start in starts)
    reached = value(plan.edits[0].fan_in[0])
    before = losses.get(loss).value(network(X), Y)
    assert plan.predicted() == pytest.approx(reached - before, rel=1e-9)
    # The greedy neuron finds at least 99 % of the decrease that a longer search finds.
    assert before - reached > 0.99 * (before - best)
    # One candidate, not trained, does not.
    lazy = search(rng=0, candidates=1, restarts=1, steps=0)
    assert before - value(lazy.edits[0].fan_in[0]) < 0.99 * (before - best)


def test_the_greedy_search_reports_the_whole_networks_loss():
    network, X, Y = toy()
    theta, history = baselines.greedy_neuron(
        network, X, Y, "squared", sample=sample, rng=0, steps=20
    )
    add = growth.Add(0, theta, np.ones((1, 1)))
    grown = growth.apply(network, growth.Plan((add,), 1.0, 0.0, 0, 1))
    assert history.fun == pytest.approx(losses.squared.value(grown(X), Y), rel=1e-12)


def test_training_that_makes_things_worse_does_not_win():
    network, X, Y = toy(m=2)
    search = partial(
        baselines.greedy_neuron, network, X, Y, "squared", sample=sample, rng=0, candidates=32
    )
    drawn = min(
        losses.squared.value(network(X) + neurons.bump.value(theta[None], X), Y)
        for theta in sample(np.random.default_rng(0), 32)
    )
    _, history = search(optimizer="gd", learning_rate=50.0, steps=3)
    assert history.fun <= drawn + SAME
    _, better = search(steps=200)
    assert better.fun < drawn - 1e-3


def test_the_plan_says_when_a_new_neuron_does_not_help():
    network, X, _ = toy()
    plan = baselines.new_initialisation(network, X, network(X), "squared", sample=sample, rng=0)
    assert plan.coefficient > 0 and "does not lower the loss" in plan.message
    with pytest.raises(ValueError, match=r"at its own size 1 only"):
        plan.predicted(0.5)


def test_boosting_leaves_the_old_neurons_where_they_are():
    network, X, Y = toy()
    decide = partial(
        baselines.gradient_boosting,
        sample=sample,
        candidates=8,
        restarts=1,
        rng=np.random.default_rng(0),
    )
    grown, history = train.fit_and_grow(network, X, Y, "squared", decide=decide, growths=2, steps=0)
    assert np.array_equal(grown.theta[:3], network.theta) and len(grown.theta) == 5
    assert history.nit == 0


def test_scratch_draws_a_network_of_its_own():
    network, _, _ = toy()
    fresh = baselines.scratch(network, 6, sample=sample, rng=5)
    assert np.array_equal(fresh.theta, sample(np.random.default_rng(5), 6))
    assert np.array_equal(fresh.weights, np.ones(6)) and fresh.neuron is network.neuron
    two = networks.Shallow(network.theta, np.ones((3, 2)), neurons.bump)
    assert baselines.scratch(two, 4, sample=sample).weights.shape == (4, 2)


def test_input_is_checked():
    network, X, Y = toy()
    mlp, XX, YY = deep()
    new = partial(baselines.new_initialisation, network, X, Y, "squared")
    with pytest.raises(TypeError, match=r"new_initialisation needs a networks.Shallow; got MLP"):
        baselines.new_initialisation(mlp, XX, YY, "squared", sample=sample)
    with pytest.raises(TypeError, match=r"gradient_boosting needs a networks.Shallow"):
        baselines.gradient_boosting(mlp, XX, YY, "squared", sample=sample)
    with pytest.raises(TypeError, match=r"scratch needs a networks.Shallow"):
        baselines.scratch(mlp, 3, sample=sample)
    with pytest.raises(TypeError, match=r"sample must be a function \(rng, k\) -> \(k, d\)"):
        new(sample=3)
    with pytest.raises(ValueError, match=r"sample\(rng, k\) must have shape \(1, 3\)"):
        new(sample=lambda rng, k: np.ones((k, 2)))
    with pytest.raises(ValueError, match=r"weighting must be one of added, even; got 'evn'"):
        new(sample=sample, weighting="evn")
    with pytest.raises(ValueError, match=r"restarts must be an integer >= 1 and <= 4; got 5"):
        baselines.greedy_neuron(network, X, Y, "squared", sample=sample, candidates=4, restarts=5)
    with pytest.raises(ValueError, match=r"width must be an integer >= 1"):
        baselines.scratch(network, 0, sample=sample)
    for decide in RANDOM_SPLITS:
        with pytest.raises(ValueError, match=r"most must be an integer >= 1; got 0"):
            decide(network, X, Y, "squared", most=0)
        with pytest.raises(ValueError, match=r"size must be a finite number > 0; got 0"):
            decide(network, X, Y, "squared", size=0)
        with pytest.raises(TypeError, match=r"rng must be"):
            decide(network, X, Y, "squared", rng="0")
