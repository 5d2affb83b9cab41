"""TINY eqs 6, 7, 11 and the end of B.2: what new neurons do to the loss at first order."""

from fractions import Fraction as F

import numpy as np
import oracles
import pytest
import strategies
from examples import deep_problem, shallow_problem
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from tiny_problems import (
    EXACT,
    SLOPE,
    activities,
    at_angles,
    derivative,
    exact_derivative,
    grown_loss,
    inputs_of_layers,
    layers,
    loss_after,
    mean_square,
    onto,
    random_moves,
)

from refgrow import growth, losses, numerics, tiny, tiny_theory

CLEAR = 1e-3  # between numbers of order one that differ
DIFFERENCES = 1e-7  # error of a difference quotient between numbers of order one
CHAIN = 1e-9  # derivatives through networks drawn at random, relative to the largest in play
SMOOTH = [name for name in strategies.SMOOTH if name not in ("gaussian", "quadratic")]


def in_turn(B, B_prev, V, k):
    """The paper's order: (best update, neurons for the rest, P V, W)."""
    update = tiny.best_update(B, V)
    own = B @ update.T
    neurons = tiny.best_neurons(B_prev, V - own, k)
    return update, neurons, own, tiny_theory.move(B_prev, neurons.fan_in, neurons.fan_out)


def remainder_order(f, coefficient):
    """The order of f(s) - f(0) - coefficient s, s > 0."""
    found = numerics.taylor_slope(
        lambda s: f(s) - f(0.0) - coefficient * s, scale=max(1.0, abs(f(0.0)))
    )
    return found.order


# The first order, whatever the neurons --------------------------------------------------------


@pytest.mark.statement("TINY-first-order-new", "TINY-Eq-dev", "TINY-Ass")
@settings(max_examples=60)
@given(strategies.problems(strategies.mlps(depths=(2, 4))), strategies.generators, st.data())
def test_the_first_order_of_update_and_neurons(evidence, problem, rng, data):
    """Any smooth activation, loss and layer, with sigma(0) taken off the bias."""
    net, X, Y, _ = problem
    assume(np.abs(np.asarray(Y)).max() < 300 and np.abs(net(X)).max() < 20)
    layer, k = data.draw(st.integers(0, len(net.arrays) - 2)), data.draw(st.integers(1, 3))
    W = net.arrays[layer + 1]
    fan_in = rng.normal(size=(k, net.arrays[layer].shape[1]))
    fan_out, update = rng.normal(size=(len(W), k)), rng.normal(size=W.shape)
    inputs, V = inputs_of_layers(net, X), tiny.desired_updates(*problem)[layer + 1]
    right, left = tiny_theory.slopes_at_zero(net.activation)
    assert right == left
    loss = grown_loss(problem, layer, fan_in, fan_out, update)
    each = tiny_theory.first_order(V, inputs[layer], fan_in, fan_out, right)
    new = exact_derivative(lambda s: loss(0.0, s))
    old = exact_derivative(lambda s: loss(s, 0.0))
    scale = 1 + np.abs(V).max() * (np.abs(update).max() + np.abs(inputs[layer]).max())
    both = tiny_theory.first_order_of_update(V, inputs[layer + 1], update), each.sum()
    evidence.worst("error", max(abs(old - both[0]), abs(new - both[1])) / scale)
    assert abs(old - both[0]) < CHAIN * scale and abs(new - both[1]) < CHAIN * scale
    # First orders add up over neurons, and over both moves of one size.
    alone = exact_derivative(
        lambda s: grown_loss(problem, layer, fan_in[:1], fan_out[:, :1])(0.0, s)
    )
    assert abs(alone - each[0]) < CHAIN * scale
    assert abs(exact_derivative(lambda s: loss(s, s)) - sum(both)) < CHAIN * scale


@pytest.mark.statement("TINY-first-order-new")
@pytest.mark.parametrize("loss", strategies.LOSSES)
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "sine"])
def test_the_remainder_is_of_second_order_through_growth(name, loss, evidence):
    net, X, _, _ = problem = deep_problem((2, 3, 2), loss=loss, activation=name, seed=1, n=7)
    rng = np.random.default_rng(2)
    fan_in, fan_out, update = rng.normal(size=(2, 3)), *rng.normal(size=(2, 2, 4))
    fan_out = fan_out[:, :2]
    at_zero = float(oracles.ACTIVATIONS[name](np.zeros(1))[0])
    edits = [
        growth.Add(0, fan_in, fan_out, bias=-at_zero * fan_out.sum(axis=1)),
        growth.Move(1, update),
    ]
    V, inputs = tiny.desired_updates(*problem)[1], inputs_of_layers(net, X)
    slope, _ = tiny_theory.slopes_at_zero(name)
    new = tiny_theory.first_order(V, inputs[0], fan_in, fan_out, slope).sum()
    old = tiny_theory.first_order_of_update(V, inputs[1], update)
    f = loss_after(problem, edits)
    found = remainder_order(f, new + old)
    evidence(order=found)
    assert abs(found - 2) < SLOPE
    for wrong in (new + slope * old if slope != 1 else old, slope * new + old + CLEAR):
        assert abs(remainder_order(f, wrong) - 1) < SLOPE  # Controls: the print's slopes.
    # V of another eta: 1 / eta.
    assert abs(tiny_theory.first_order(0.1 * V, inputs[0], fan_in, fan_out, slope).sum() / 0.1
               - new) < EXACT * (1 + abs(new))  # fmt: skip


@pytest.mark.statement("TINY-first-order-new", "TINY-Prop-3.2-loss")
@pytest.mark.parametrize("outputs", [None, 2])
@pytest.mark.parametrize("name", ["ridge(tanh)", "ridge(sine)"])
def test_the_same_for_one_hidden_layer_without_biases(name, outputs, evidence):
    _, X, _, _ = problem = shallow_problem(name, m=2, d=3, n=6, outputs=outputs)
    V = tiny.desired_updates(*problem)[-1]
    fan_in, fan_out, lam = tiny.best_neurons(X, V, 1)
    found = derivative(loss_after(problem, [growth.Add(0, fan_in, fan_out)]))
    evidence(slope=found, predicted=-(lam[0] ** 2))
    assert abs(found + lam @ lam) < DIFFERENCES


@pytest.mark.statement("TINY-Prop-3.2-loss")
@pytest.mark.parametrize("loss", strategies.LOSSES)
@pytest.mark.parametrize("name", SMOOTH)
def test_eq_11_is_exact_for_neurons_from_the_goal_itself(name, loss, evidence):
    net, X, _, _ = problem = deep_problem((3, 3, 2), loss=loss, activation=name, seed=4, n=9)
    V, [B_prev, *_] = tiny.desired_updates(*problem)[1], inputs_of_layers(net, X)
    fan_in, fan_out, lam = tiny.best_neurons(B_prev, V, 2)
    slope, _ = tiny_theory.slopes_at_zero(name)
    found = exact_derivative(lambda s: grown_loss(problem, 0, fan_in, fan_out)(0.0, s))
    evidence(slope=found, predicted=-slope * (lam @ lam))
    assert abs(found + slope * (lam @ lam)) < EXACT
    # Control: strengths of the rest, as printed, where B does more than nothing.
    B = inputs_of_layers(net, X)[1]
    _, rest, own, W = in_turn(B, B_prev, V, 2)
    printed = exact_derivative(lambda s: grown_loss(problem, 0, rest.fan_in, rest.fan_out)(0.0, s))
    cross = tiny_theory.cross_term(B, B_prev, V, 2)
    assert abs(cross - (own * W).sum() / len(X)) < EXACT
    assert abs(printed + slope * (rest.strengths @ rest.strengths + cross)) < EXACT
    # For the identity B is in the span of B_prev, and there is none.
    assert (abs(cross) > 1e-9) == (name != "identity")


# The example ----------------------------------------------------------------------------------


def fractions(*rows):
    return [[F(v) for v in row] for row in rows]


@pytest.mark.statement("TINY-Prop-3.2-loss", "TINY-B.2-cross", "TINY-equivalent", "TINY-cross-new")
def test_the_papers_neuron_raises_the_loss_of_the_obtuse_example_in_fractions(evidence):
    x, h, one, V = fractions((-1, 0, 1), (0, 0, 1), (1, 1, 1), (0, 1, -1))

    def dot(a, b):
        return sum(s * t for s, t in zip(a, b, strict=True))

    def combine(*terms):
        return [sum(c * v[i] for c, v in terms) for i in range(3)]

    own = combine((F(-3, 2), h), (F(1, 2), one))
    rest = combine((F(1), V), (F(-1), own))
    assert dot(rest, h) == dot(rest, one) == 0  # so P V = own
    W = combine((F(1, 4), x))
    left = combine((F(1), rest), (F(-1), W))
    assert dot(left, x) == dot(left, one) == 0  # so Q (V - P V) = W, of rank one
    n_lambda_squared = dot(W, W)
    evidence("<V, W> and n lambda^2", f"{dot(V, W)} and {n_lambda_squared}")
    assert (n_lambda_squared, dot(rest, W), dot(V, W)) == (F(1, 8), F(1, 8), F(-1, 4))
    assert dot(V, W) == -dot(V, V) / 8  # the lowest there is
    # dL/dgamma = -(1/n) sigma'(0) <V, W>, sigma'(0) = 1/2.
    slope, printed = -F(1, 2) * dot(V, W) / 3, -F(1, 2) * n_lambda_squared / 3
    evidence("slope and eq 11", f"{slope} and {printed}")
    assert (slope, printed) == (F(1, 24), F(-1, 48))


@pytest.mark.statement("TINY-Prop-3.2-loss", "TINY-B.2-cross")
def test_the_papers_neuron_raises_the_loss_of_the_obtuse_example(evidence):
    net, X, Y = tiny_theory.obtuse_example()
    problem = net, X, Y, "squared"
    sigma = net.activation
    for f, slope in ((sigma.value, sigma.derivative), (sigma.derivative, sigma.second)):
        by_step = [float(numerics.complex_step(f, t)) for t in (-1.0, 0.0, 2.0)]
        assert np.abs(slope(np.array([-1.0, 0.0, 2.0])) - by_step).max() < EXACT
    V = tiny.desired_updates(*problem)[1]
    B_prev = np.column_stack([X, np.ones(3)])
    B = np.column_stack([net.activation(X), np.ones(3)])
    assert (V[:, 0] == [0, 1, -1]).all()
    update, neurons, _, W = in_turn(B, B_prev, V, 1)
    assert np.abs(update - [[-1.5, 0.5]]).max() < EXACT
    assert np.abs(W[:, 0] - X[:, 0] / 4).max() < EXACT
    assert abs(neurons.strengths[0] ** 2 - 1 / 24) < EXACT
    add = growth.Add(0, neurons.fan_in, neurons.fan_out)
    alone = loss_after(problem, [add])
    evidence(slope=derivative(alone), after_one_hundredth=alone(0.01) - alone(0.0))
    assert abs(derivative(alone) - 1 / 24) < DIFFERENCES and alone(0.01) > alone(0.0)
    right = tiny_theory.slopes_at_zero(net.activation)[0]
    [promised] = tiny_theory.first_order(V, B_prev, neurons.fan_in, neurons.fan_out, right)
    assert right == 0.5 and abs(promised - 1 / 24) < EXACT
    assert abs(tiny_theory.cross_term(B, B_prev, V, 1) * 3 + 3 / 8) < EXACT
    # Once the old weights have moved, for the squared loss in the last layer, eq 11 is right.
    moved = growth.apply(net, growth.Plan((growth.Move(1, update),), 1.0, 0.0, 1, 2))
    after = derivative(loss_after((moved, X, Y, "squared"), [add]))
    evidence(slope_after_the_update=after)
    assert abs(after + 1 / 48) < DIFFERENCES
    # Both at one size lower it: the update outweighs the neuron.
    both = derivative(loss_after(problem, [add, growth.Move(1, update)]))
    assert both < -CLEAR


# Eq 11 and what stands around it --------------------------------------------------------------


@pytest.mark.statement("TINY-Prop-3.2-sign")
@pytest.mark.parametrize("name, sign", [("tanh", 1.0), ("sine", 1.0), ("-tanh", -1.0)])
def test_the_sign_of_eq_11_is_a_minus(name, sign, evidence, monkeypatch):
    monkeypatch.setitem(oracles.ACTIVATIONS, "-tanh", lambda z: -oracles.ACTIVATIONS["tanh"](z))
    problem = deep_problem((2, 2), activation=name.strip("-"), seed=6, n=8)
    net, X, Y, _ = problem
    B_prev, V = inputs_of_layers(net, X)[0], tiny.desired_updates(*problem)[1]
    fan_in, fan_out, lam = tiny.best_neurons(B_prev, V, 2)
    start, sigma = net(X), oracles.ACTIVATIONS[name]

    def loss(gamma):
        return losses.squared.value(start + sigma(B_prev @ (gamma * fan_in).T) @ fan_out.T, Y)

    found = derivative(loss)
    evidence(slope=found, main_text=sign * (lam @ lam), appendix=-sign * (lam @ lam))
    assert abs(found + sign * (lam @ lam)) < DIFFERENCES
    assert abs(found - sign * (lam @ lam)) > CLEAR  # Control: the main text's plus.
    assert (loss(1e-3) > loss(0.0)) == (sign < 0)  # For sigma'(0) < 0 it does rise.


@pytest.mark.statement("TINY-Prop-3.2-sign")
def test_the_first_order_in_eta_needs_fan_ins_that_vanish_with_eta(evidence):
    problem = deep_problem((2, 2), seed=6, n=8)
    net, X, Y, _ = problem
    B_prev, V = inputs_of_layers(net, X)[0], tiny.desired_updates(*problem)[1]
    start, ratios = net(X), {}
    for share in (0.0, 0.5, 1.0):
        for eta in (1e-2, 1e-5):
            fan_in, fan_out, lam = tiny.best_neurons(B_prev, eta * V, 1)
            a, o = fan_in / lam[0] ** (1 - share), fan_out * lam[0] ** (1 - share)
            F = start + np.tanh(B_prev @ a.T) @ o.T
            change = losses.squared.value(F, Y) - losses.squared.value(start, Y)
            ratios[share, eta] = change / (-(lam[0] ** 2) / eta)
    evidence(**{f"lambda^{share} on the fan-in": ratios[share, 1e-5] for share in (0.0, 0.5, 1.0)})
    assert abs(ratios[0.5, 1e-5] - 1) < 1e-3 and abs(ratios[1.0, 1e-5] - 1) < 1e-3
    # With lambda divided evenly |theta|^2 is of order eta: the main text's o(|theta|^2) is right.
    sizes = {eta: tiny.best_neurons(B_prev, eta * V, 1).strengths[0] for eta in (1e-2, 1e-5)}
    assert abs(sizes[1e-2] / sizes[1e-5] / 1e3 - 1) < EXACT
    assert abs(ratios[0.0, 1e-5] - 1) > 0.05  # alpha as printed does not shrink with eta
    assert abs(ratios[0.0, 1e-5] - ratios[0.0, 1e-2]) < 0.05


@pytest.mark.statement("TINY-Prop-3.2-weights", "TINY-Prop-3.2-loss")
def test_with_the_printed_weights_the_slope_is_the_sum_of_lambda(evidence):
    problem = deep_problem((2, 2), seed=6, n=8)
    net, X, _, _ = problem
    B_prev, V = inputs_of_layers(net, X)[0], tiny.desired_updates(*problem)[1]
    fan_in, fan_out, lam = tiny.best_neurons(B_prev, V, 2)
    printed = fan_in / lam[:, None]
    slope = tiny_theory.first_order(V, B_prev, printed, fan_out, 1.0).sum()
    found = derivative(loss_after(problem, [growth.Add(0, printed, fan_out)]))
    evidence(slope=found, sum_of_lambda=lam.sum(), eq_11=-(lam @ lam))
    assert abs(found - slope) < DIFFERENCES and abs(slope + lam.sum()) < EXACT
    assert abs(found + lam @ lam) > CLEAR


@pytest.mark.statement("TINY-Eq-dev")
def test_the_printed_developments_with_a_slope_of_three(evidence):
    """sigma = sin 3t, one layer and the squared loss: the faults of the two displays, one by one.

    Before section 3.3: sigma'(0) twice, and the rest for V. At the end of B.2: the cross term, and
    sigma'(0) on gamma_0.
    """
    rng = np.random.default_rng(8)
    B, B_prev, V = activities(9, 2, rng), activities(9, 3, rng), activities(9, 2, rng)
    update, neurons, own, W = in_turn(B, B_prev, V, 2)
    lam = neurons.strengths

    def loss(old, new):
        moved = old * own + np.sin(3 * B_prev @ (new * neurons.fan_in).T) @ neurons.fan_out.T
        return mean_square(V - moved) / 2

    by_old, by_new = derivative(lambda s: loss(s, 0.0)), derivative(lambda s: loss(0.0, s), 1e-5)
    new = tiny_theory.first_order(V, B_prev, neurons.fan_in, neurons.fan_out, 3.0).sum()
    old = tiny_theory.first_order_of_update(V, B, update)
    evidence(gamma=by_new, gamma_0=by_old, printed_gamma_0=3 * old)
    assert abs(by_new - new) < 1e-6 and abs(by_old - old) < DIFFERENCES
    assert abs(old + mean_square(own)) < EXACT
    inner = (V * W).sum() / 9
    evidence(printed_slope_twice=-9 * inner, printed_without_cross=-3 * (lam @ lam))
    assert abs(new + 3 * inner) < EXACT
    assert abs(by_new + 9 * inner) > CLEAR  # (a) sigma'(0) twice
    assert abs(by_old - 3 * old) > CLEAR  # (b) sigma'(0) where no new neuron is passed
    assert abs(by_new + 3 * (lam @ lam)) > CLEAR  # (c) the cross term
    # Without "proj" V_goal(dW) may be the goal after the move, which for the squared loss in the
    # last layer is the rest: then it is the slope there, with sigma'(0) once.
    there = derivative(lambda s: loss(1.0, s), 1e-5)
    assert abs(there + 3 * ((V - own) * W).sum() / 9) < 1e-6
    # (d) o(|V(theta)|) is o(gamma) for the best neurons, scaled. Not for any: two whose moves
    # cancel, and whose bends do not.
    best = [np.linalg.norm(np.sin(3 * B_prev @ (s * neurons.fan_in).T) @ neurons.fan_out.T
                           - 3 * s * W) / np.linalg.norm(s * W) for s in (1e-2, 1e-3)]  # fmt: skip
    assert best[1] < best[0] / 50
    b = np.array([[0.5], [1.0], [2.0]])
    assert (tiny_theory.move(b, [[1.0], [2.0]], [[1.0, -0.5]]) == 0).all()
    assert np.abs(np.tanh(b) - np.tanh(2 * b) / 2).max() > 0.1


@pytest.mark.statement("TINY-B.2-cross", "TINY-cross-new")
@settings(max_examples=60)
@given(layers(), st.data())
def test_the_inner_product_that_the_proof_sets_to_zero(evidence, problem, data):
    B, B_prev, V = problem
    k = data.draw(st.integers(1, V.shape[1]))
    _, neurons, own, W = in_turn(B, B_prev, V, k)
    cross, gain = tiny_theory.cross_term(B, B_prev, V, k), neurons.strengths @ neurons.strengths
    size = mean_square(V)
    assert abs(cross - (own * W).sum() / len(V)) < 1e-9 * (1 + size)
    assert abs(mean_square(W) - gain) < 1e-9 * (1 + size)
    share = (V * W).sum() / (V * V).sum()
    evidence("share", share)
    assert -1 / 8 - EXACT <= share <= 1 + EXACT
    # Sharper, with s = |W| / |V - P V|: at least s (s - 1) / 2.
    rest = mean_square(V - own)
    if rest > 1e-6:
        s = np.sqrt(gain / rest)
        assert share >= s * (s - 1) / 2 - 1e-9
    # Where the layer is stationary there is nothing to drop.
    assert abs(tiny_theory.cross_term(B, B_prev, V - own, k)) < 1e-9 * (1 + size)


@pytest.mark.statement("TINY-B.2-cross", "TINY-cross-new")
@pytest.mark.parametrize("sine", [0.2, 0.5, 0.9])
def test_the_bound_on_the_inner_product_is_attained(sine, evidence):
    """In one plane the least share is s (s - 1) / 2, and -1/8 at 30 degrees."""
    c = np.sqrt(1 - sine**2)
    B, B_prev = np.array([[1.0], [0.0]]), np.array([[c], [sine]])
    form = np.array([[0.0, sine * c / 2], [sine * c / 2, sine**2]])
    worst = np.linalg.eigh(form)[1][:, [0]]
    gain = tiny.best_neurons(B_prev, worst - onto(B) @ worst, 1).strengths[0] ** 2
    share = 2 * (gain + tiny_theory.cross_term(B, B_prev, worst, 1))
    evidence(share=share)
    edge = sine * (sine - 1) / 2
    assert abs(share - edge) < EXACT and share > 1.01 * edge and share < 0.99 * edge
    assert (share < -0.99 / 8) == (sine == 0.5)


@pytest.mark.statement("TINY-B.2-cross", "TINY-Prop-3.2-loss")
def test_where_the_projectors_commute_eq_11_is_right(evidence):
    rng = np.random.default_rng(0)
    B, B_prev, V = at_angles([0.0, 1.0, 1.0], rng)
    cross = tiny_theory.cross_term(B, B_prev, V, 2)
    evidence(cross=cross)
    assert abs(cross) < EXACT
    slanted = at_angles([0.0, 0.7, 1.0], rng)
    assert abs(tiny_theory.cross_term(*slanted, 2)) > CLEAR  # Control
    # n = 2, V = (1, 0), B_prev = (0, 1), B = (1, 1): 0 where the print says n lambda^2 = 1/4.
    V, B_prev, B = np.array([[1.0], [0]]), np.array([[0.0], [1]]), np.ones((2, 1))
    _, neurons, _, W = in_turn(B, B_prev, V, 1)
    assert abs((V * W).sum()) < EXACT and abs(2 * neurons.strengths[0] ** 2 - 1 / 4) < EXACT


@pytest.mark.statement("TINY-equivalent")
@settings(max_examples=30)
@given(layers(), strategies.generators, st.data())
def test_among_moves_of_one_norm_the_best_neurons_are_steepest(evidence, problem, rng, data):
    _, B_prev, V = problem
    k = data.draw(st.integers(1, V.shape[1]))
    fan_in, fan_out, lam = tiny.best_neurons(B_prev, V, k)
    assume(lam[0] > 1e-3)
    W = tiny_theory.move(B_prev, fan_in, fan_out)
    steepness = (V * W).sum() / np.linalg.norm(W)
    assert abs(steepness - np.sqrt(len(V) * lam @ lam)) < EXACT * (1 + steepness)
    for M in random_moves(B_prev, V, k, rng, count=20):
        if np.linalg.norm(M) > 1e-6:
            assert (V * M).sum() / np.linalg.norm(M) < steepness + EXACT * (1 + steepness)
    # But the first order is linear: without a norm it is unbounded.
    each = tiny_theory.first_order(V, B_prev, fan_in, fan_out, 1.0).sum()
    ten = tiny_theory.first_order(V, B_prev, 10 * fan_in, fan_out, 1.0).sum()
    assert abs(ten - 10 * each) < EXACT * (1 + abs(ten))
    # Of fan-ins and fan-outs of one norm others are steeper, which is GradMax's question.
    a, o = fan_in[0] / np.linalg.norm(fan_in[0]), fan_out[:, 0]
    by_weights = np.linalg.norm(B_prev.T @ V, 2)
    evidence(of_this_neuron=float(a @ B_prev.T @ V @ o), of_gradmax=float(by_weights))
    assert a @ B_prev.T @ V @ o < by_weights * (1 + EXACT)


# One plan for both ----------------------------------------------------------------------------


@pytest.mark.statement("TINY-descent-new")
@settings(max_examples=60)
@given(layers(), st.data())
def test_update_and_neurons_of_one_size_always_descend(evidence, problem, data):
    B, B_prev, V = problem
    k = data.draw(st.integers(1, V.shape[1]))
    update, neurons, own, W = in_turn(B, B_prev, V, k)
    slope = tiny_theory.first_order_of_update(V, B, update)
    slope += tiny_theory.first_order(V, B_prev, neurons.fan_in, neurons.fan_out, 1.0).sum()
    total = mean_square(own) + mean_square(W)
    if total > 1e-6:
        evidence("ratio", -slope / total)
        half = np.sqrt(1 - tiny_theory.least_share(B, B_prev)) / 2
        assert abs(-slope / total - 1) <= half + 1e-9 < 1 / 2 + 1e-9
    # The joint move is a nearest point of a cone: <V, T> = |T|^2.
    U, fan_in, fan_out, _ = tiny.joint_neurons(B, B_prev, V, k)
    T = B @ U.T + tiny_theory.move(B_prev, fan_in, fan_out)
    slope = tiny_theory.first_order_of_update(V, B, U)
    slope += tiny_theory.first_order(V, B_prev, fan_in, fan_out, 1.0).sum()
    assert abs(slope + mean_square(T)) < 1e-8 * (1 + mean_square(V))


@pytest.mark.statement("TINY-descent-new")
@pytest.mark.parametrize("sine", [0.05, 0.5, 0.95])
def test_the_bounds_on_the_slope_of_both_are_attained(sine, evidence):
    c = np.sqrt(1 - sine**2)
    B, B_prev = np.array([[1.0], [0.0]]), np.array([[c], [sine]])
    for sign in (1, -1):
        V = np.array([[sign * sine], [1.0]])  # |P V| = |W|
        _, _, own, W = in_turn(B, B_prev, V, 1)
        ratio = (V * (own + W)).sum() / ((own**2).sum() + (W**2).sum())
        evidence(f"ratio, sign {sign}", ratio)
        assert abs(ratio - (1 + sign * c / 2)) < EXACT
        excess = sign * (ratio - 1)
        assert 0.99 * c / 2 < excess < 1.01 * c / 2


# Kinks ----------------------------------------------------------------------------------------


@pytest.mark.statement("TINY-kink-new", "TINY-Ass")
@settings(max_examples=40)
@given(
    strategies.problems(strategies.mlps(activations=("relu", "selu"), depths=(2, 3)),
                        samples=(2, 6)),
    st.data(),
)  # fmt: skip
def test_the_first_order_at_a_kink(evidence, problem, data):
    net, X, _, _ = problem
    layer = data.draw(st.integers(0, len(net.arrays) - 2))
    name = net.activation.name
    inputs, V = inputs_of_layers(net, X)[layer], tiny.desired_updates(*problem)[layer + 1]
    assume(np.abs(V).max() < 20)
    # Layers above must not stand at their own kink: relu kills units at exactly zero.
    Z = [B @ W.T for B, W in zip(inputs_of_layers(net, X), net.arrays, strict=True)]
    assume(all(np.abs(z).min() > 1e-3 for z in Z[:-1]))
    fan_in, fan_out, lam = tiny.best_neurons(inputs, V, 1)
    right, left = tiny_theory.slopes_at_zero(name)
    mean, slopes = (right + left) / 2, []
    for sign in (1, -1):
        [slope] = tiny_theory.first_order(V, inputs, sign * fan_in, sign * fan_out, right, left)
        f = loss_after(problem, [growth.Add(layer, sign * fan_in, sign * fan_out)])
        step = 1e-6
        found = (f(step) - f(0.0)) / step
        scale = 1 + abs(slope) + lam @ lam * (1 + np.abs(net.arrays[-1]).max() ** 2) * 100
        evidence.worst("error", abs(found - slope) / scale)
        assert abs(found - slope) < 1e-4 * scale
        slopes.append(slope)
    assert abs(np.mean(slopes) + mean * (lam @ lam)) < EXACT * (1 + lam @ lam)
    assert min(slopes) <= -mean * (lam @ lam) + EXACT * (1 + lam @ lam)


@pytest.mark.statement("TINY-kink-new", "TINY-Prop-3.2-loss", "TINY-Ass")
@pytest.mark.parametrize(
    "name, expected",
    [("relu", (F(-4, 21), F(5, 42))), ("selu", (-0.20979, 0.00916))],
)
def test_with_a_kink_and_a_bias_one_of_the_two_raises_the_loss(name, expected, evidence):
    """x = (-2, -1, 1) and the ones, V = (3, -4, 1): QV = (2/7, 1/14, -5/14), lambda^2 = 1/14."""
    x, V = [F(v) for v in (-2, -1, 1)], [F(v) for v in (3, -4, 1)]
    z = [-F(3, 14) * t - F(1, 7) for t in x]
    assert z == [F(2, 7), F(1, 14), F(-5, 14)]
    left = [v - t for v, t in zip(V, z, strict=True)]
    assert sum(left) == sum(t * r for t, r in zip(x, left, strict=True)) == 0  # so QV = z
    square = sum(t * t for t in z) / 3
    assert square == F(1, 14)
    right_left = tiny_theory.slopes_at_zero(name)
    slopes = []
    for sign in (1, -1):
        bent = [sign * t * F(right_left[0] if sign * t > 0 else right_left[1]) for t in z]
        slopes.append(-sum(v * sign * b for v, b in zip(V, bent, strict=True)) / 3)
    slopes.sort()
    evidence(slopes=[float(s) for s in slopes], lambda_squared=float(square))
    assert np.abs(np.array([float(s) for s in slopes]) - np.array(expected, float)).max() < 1e-5
    if name == "relu":
        assert slopes == list(expected) and sum(slopes) / 2 == F(-1, 28)
    # No number for sigma'(0), between the two sides, makes eq 11 right for both.
    assert slopes[0] < -F(max(right_left)) * square < -F(min(right_left)) * square < slopes[1]
    # The network: weights of the output layer zero, targets V.
    X, goal = np.array([[-2.0], [-1], [1]]), np.array([[3.0], [-4], [1]])
    fan_in, fan_out, lam = tiny.best_neurons(np.column_stack([X, np.ones(3)]), goal, 1)
    assert abs(lam[0] ** 2 - 1 / 14) < EXACT
    found = []
    for sign in (1, -1):
        sigma = oracles.ACTIVATIONS[name]

        def loss(gamma, a=sign * fan_in, o=sign * fan_out, sigma=sigma):
            moved = sigma(np.column_stack([X, np.ones(3)]) @ (gamma * a).T) @ o.T
            return losses.squared.value(moved, goal)

        found.append((loss(1e-7) - loss(0.0)) / 1e-7)
    assert np.abs(np.sort(found) - np.array(expected, float)).max() < 1e-5
    # Along (2, -3, 1), orthogonal to x and the ones, V grows, lambda stays, the rise is any size.
    ones = np.column_stack([X, np.ones(3)])
    for c in (10.0, 1000.0):
        V = goal + c * np.array([[2.0], [-3], [1]])
        best = tiny.best_neurons(ones, V, 1)
        assert abs(best.strengths[0] ** 2 - 1 / 14) < 1e-9
        rises = [tiny_theory.first_order(V, ones, s * best.fan_in, s * best.fan_out, 1.0, 0.0)[0]
                 for s in (1, -1)]  # fmt: skip
        assert abs(max(rises) - 5 / 42 * (1 + c)) < 1e-9 * c


@pytest.mark.statement("TINY-kink-new", "TINY-Prop-3.2-loss", "TINY-Ass")
@pytest.mark.parametrize(
    "name, V, expected",
    [
        ("relu", (F(3, 2), F(1, 2)), (F(-3, 8), F(1, 8))),
        ("selu", (F(6, 5), F(4, 5)), (-0.12692, 0.01456)),
    ],
)
def test_with_a_kink_the_paper_neuron_or_its_mirror_image_raises_the_loss(
    name, V, expected, evidence
):
    """The smallest, without the paper's bias: n = 2, b = (1, -1); one move, and two slopes."""
    b, right_left = (F(1), F(-1)), tiny_theory.slopes_at_zero(name)
    lam = (V[0] * b[0] + V[1] * b[1]) / 2
    slopes = []
    for sign in (1, -1):
        z, o = [sign * each for each in b], sign * lam
        bent = [each * (F(right_left[0]) if each > 0 else F(right_left[1])) for each in z]
        slopes.append(-sum(v * o * t for v, t in zip(V, bent, strict=True)) / 2)
    evidence(slopes=[float(s) for s in slopes], lambda_squared=float(lam**2))
    if name == "relu":
        assert sorted(slopes) == list(expected)
    assert np.abs(np.array(sorted(map(float, slopes))) - np.array(expected, float)).max() < 1e-4
    assert abs(sum(slopes) / 2 + lam**2 * F(sum(right_left)) / 2) < F(1, 10**15)
    # No number for sigma'(0), between the two sides, makes eq 11 right for both.
    assert min(slopes) < -F(max(right_left)) * lam**2 < -F(min(right_left)) * lam**2 < max(slopes)
    goal, column = np.array([[float(v)] for v in V]), np.array([[1.0], [-1.0]])
    ours = [
        tiny_theory.first_order(goal, column, [[sign]], [[sign * float(lam)]], *right_left)[0]
        for sign in (1.0, -1.0)
    ]
    assert np.abs(np.subtract(ours, [float(s) for s in slopes])).max() < EXACT


@pytest.mark.statement("TINY-kink-new")
def test_the_worse_sign_raises_the_loss_by_any_multiple(evidence):
    """relu, b = (1, -1), V = (c + 1/2, c - 1/2): lambda stays 1/2, the rise is (c - 1/2) / 4."""
    b, rises = np.array([[1.0], [-1.0]]), []
    for c in (1.0, 10.0, 100.0):
        V = c + b / 2
        assert abs(tiny.best_neurons(b, V, 1).strengths[0] - 1 / 2) < EXACT
        [rise] = tiny_theory.first_order(V, b, [[-1.0]], [[-0.5]], 1.0, 0.0)
        [twin] = tiny_theory.first_order(V, b, [[1.0]], [[0.5]], 1.0, 0.0)
        assert abs(rise - (c - 0.5) / 4) < EXACT * c
        # Both signs together are exactly linear for relu: -2 (1/2) lambda^2.
        assert abs(rise + twin + 1 / 4) < EXACT * c
        rises.append(rise / 0.25)
    evidence(rise_over_lambda_squared=rises)
    relu = oracles.ACTIVATIONS["relu"]
    assert (relu(b) - relu(-b) == b).all()
    # Control: with one slope on both sides the mirror image is the same neuron.
    same = [tiny_theory.first_order(V, b, [[s]], [[s]], 0.7)[0] for s in (1.0, -1.0)]
    assert same[0] == same[1]


# Amplitudes -----------------------------------------------------------------------------------


@pytest.mark.statement("TINY-Eq-6")
@settings(max_examples=30)
@given(layers(), st.data())
def test_eq_6_for_the_squared_loss_in_the_last_layer(evidence, problem, data):
    """gamma_0* = 1 (eta = 1), and from there the slope in gamma is eq 11's."""
    B, B_prev, V = problem
    k = data.draw(st.integers(1, V.shape[1]))
    update, neurons, own, _ = in_turn(B, B_prev, V, k)
    assume(mean_square(own) > 1e-3)
    downhill = tiny_theory.first_order_of_update(V, B, update)
    assert abs(downhill + mean_square(own)) < 1e-9 * (1 + mean_square(V))
    best = (V * own).sum() / (own * own).sum()
    after = tiny_theory.first_order(V - best * own, B_prev, *neurons[:2], 1.0).sum()
    evidence(gamma_0=best)
    assert abs(best - 1) < EXACT / mean_square(own)
    gain = neurons.strengths @ neurons.strengths
    assert abs(after + gain) < 1e-9 * (1 + mean_square(V)) / mean_square(own)
    # Before that line search the slope in gamma has the cross term too.
    before = tiny_theory.first_order(V, B_prev, *neurons[:2], 1.0).sum()
    assert abs(before + gain + tiny_theory.cross_term(B, B_prev, V, k)) < 1e-9 * (1 + gain)


@pytest.mark.statement("TINY-Eq-6")
def test_eq_7_may_have_no_positive_solution(evidence):
    """Logistic loss, three samples: after the best gamma_0 the neuron for the old rest is wrong."""
    x, h, y = np.array([[1.0, -1, -2], [2, 1, 0], [-1, -1, 1]])
    B, B_prev = (np.column_stack([each, np.ones(3)]) for each in (h, x))
    start, labels = B @ [[-2.0], [2.0]], (y > 0).astype(int)

    def goal(f):
        return -losses.logistic.gradient(f, labels)

    _, neurons, own, W = in_turn(B, B_prev, goal(start), 1)
    best = brentq(lambda g: (goal(start + g * own) * own).sum(), 0, 60, xtol=1e-12)
    after = tiny_theory.first_order(goal(start + best * own), B_prev, *neurons[:2], 1.0)[0]

    def loss(gamma):
        f = start + best * own + np.tanh(B_prev @ (gamma * neurons.fan_in).T) @ neurons.fan_out.T
        return losses.logistic.value(f, labels)

    lam = neurons.strengths[0]
    evidence(gamma_0=best, slope_over_lambda_squared=after / lam**2)
    assert abs(derivative(loss) - after) < DIFFERENCES and after > lam**2
    assert loss(0.1) > loss(0.0)
    # Neurons for the rest at gamma_0* instead descend: the update has nothing left there.
    new = goal(start + best * own)
    again = tiny.best_neurons(B_prev, new, 1)
    assert tiny_theory.first_order(new, B_prev, *again[:2], 1.0)[0] < 0
    assert np.abs(W).max() > CLEAR


@pytest.mark.statement("TINY-amplitude")
@pytest.mark.parametrize("name", ["softplus", "tanh"])
def test_amplitudes_on_the_fan_in_on_both_and_on_the_fan_out(name, evidence):
    net, X, Y, _ = problem = deep_problem((2, 2), activation=name, seed=6, n=8)
    B_prev, V = inputs_of_layers(net, X)[0], tiny.desired_updates(*problem)[1]
    fan_in, fan_out, lam = tiny.best_neurons(B_prev, V, 2)
    start, sigma = net(X), oracles.ACTIVATIONS[name]
    slope, _ = tiny_theory.slopes_at_zero(name)

    def loss(a, o):
        H = sigma(B_prev @ (a * fan_in).T) - sigma(np.zeros(1))
        return losses.squared.value(start + H @ (o * fan_out).T, Y)

    found = [
        remainder_order(f, -slope * (lam @ lam))
        for f in (
            lambda g: loss(g, 1.0),
            lambda g: loss(np.sqrt(g), np.sqrt(g)),
            lambda g: loss(1.0, g),
        )
    ]
    evidence(fan_in=found[0], both=found[1], fan_out=found[2])
    assert abs(found[0] - 2) < SLOPE
    assert abs(found[1] - (1.5 if name == "softplus" else 2)) < SLOPE  # sigma''(0)
    assert abs(found[2] - 1) < SLOPE  # Control: not an expansion at all
    # gamma_1 and gamma_2 apart: sqrt(gamma_1 gamma_2).
    f = derivative(lambda s: loss(2 * s, 1.0) - loss(s, 1.0))
    assert abs(f + slope * (lam @ lam)) < DIFFERENCES
    g = 1e-6
    mixed = (loss(np.sqrt(4 * g), np.sqrt(9 * g)) - loss(0.0, 0.0)) / g
    assert abs(mixed + 6 * slope * (lam @ lam)) < 0.05 * (1 + lam @ lam)


@pytest.mark.statement("TINY-amplitude")
def test_relu_knows_the_product_of_the_amplitudes_only():
    rng = np.random.default_rng(0)
    B_prev, a, o = rng.normal(size=(5, 3)), *rng.normal(size=(2, 2, 3))
    relu = oracles.ACTIVATIONS["relu"]
    once = relu(B_prev @ (2 * a).T) @ (3 * o[:, :2]).T
    assert np.abs(once - relu(B_prev @ (6 * a).T) @ o[:, :2].T).max() < EXACT
