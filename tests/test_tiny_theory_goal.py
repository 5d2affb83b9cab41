"""TINY section 2 and appendix A.1: what is desired of a layer, and what is assumed."""

from fractions import Fraction as F

import numpy as np
import oracles
import pytest
from examples import deep_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import linprog
from tiny_problems import (
    EXACT,
    SLOPE,
    derivative,
    derivative_from_the_right,
    inputs_of_layers,
    loss_after,
    onto,
)

from refgrow import activations, growth, losses, networks, numerics, tiny, tiny_theory

CLEAR = 1e-3  # between numbers of order one that differ
DIFFERENCES = 1e-7  # error of a difference quotient between numbers of order one


# Assumptions ----------------------------------------------------------------------------------


@pytest.mark.statement("TINY-Ass")
@pytest.mark.parametrize("name", ["relu", "selu", "tanh", "sigmoid", "softplus", "gelu", "sine"])
def test_the_slopes_at_zero_of_the_papers_selu_differ(name, evidence):
    sigma = oracles.ACTIVATIONS[name]
    found = tiny_theory.slopes_at_zero(name)
    sides = [
        derivative_from_the_right(sigma),
        -derivative_from_the_right(lambda t: sigma(-t)),
    ]
    evidence(right=found[0], left=found[1], value=float(sigma(np.zeros(1))[0]))
    assert np.abs(np.subtract(found, sides)).max() < DIFFERENCES
    assert (abs(found[0] - found[1]) > CLEAR) == (name in ("relu", "selu"))
    if name == "selu":
        assert found[0] == activations.SELU_SCALE
        assert found[1] == activations.SELU_SCALE * activations.SELU_ALPHA


@pytest.mark.statement("TINY-Ass")
@pytest.mark.parametrize("name", ["sigmoid", "softplus", "tanh"])
def test_an_activation_that_is_not_zero_at_zero_is_mended_by_the_bias(name, evidence):
    net, X, Y, loss = problem = deep_problem((2, 3, 2), activation=name)
    rng = np.random.default_rng(0)
    fan_in, fan_out = rng.normal(size=(2, 3)), rng.normal(size=(2, 2))
    at_zero = float(oracles.ACTIVATIONS[name](np.zeros(1))[0])
    before = losses.get(loss).value(net(X), Y)
    bare = loss_after(problem, [growth.Add(0, fan_in, fan_out)])
    bias = -at_zero * fan_out.sum(axis=1)
    mended = loss_after(problem, [growth.Add(0, fan_in, fan_out, bias=bias)])
    evidence(jump=bare(0.0) - before, jump_with_bias=mended(0.0) - before)
    assert abs(mended(0.0) - before) < EXACT
    assert (abs(bare(0.0) - before) > CLEAR) == (name != "tanh")
    V, [B_prev, *_] = tiny.desired_updates(*problem)[1], inputs_of_layers(net, X)
    slope = tiny_theory.first_order(V, B_prev, fan_in, fan_out, *tiny_theory.slopes_at_zero(name))
    assert abs(derivative(mended) - slope.sum()) < DIFFERENCES


@pytest.mark.statement("TINY-Ass")
def test_softmax_is_neither_elementwise_nor_zero_at_zero(evidence):
    """The paper's sigma_3; read off the gradient of the cross-entropy, softmax(F) - e_y."""

    def softmax(F):
        return losses.softmax_cross_entropy.gradient(F[None], np.array([0]))[0] + np.eye(4)[0]

    jacobian = numerics.central_difference(softmax, np.zeros(4))
    evidence(at_zero=softmax(np.zeros(4)).tolist(), off_diagonal=jacobian[0, 1])
    assert (softmax(np.zeros(4)) == 1 / 4).all()
    assert abs(jacobian[0, 1] + 1 / 16) < DIFFERENCES


@pytest.mark.statement("TINY-Ass")
def test_the_printed_assumptions_do_not_make_the_loss_differentiable(evidence):
    """sigma(t) = t up to 1, 2 t - 1 above: fine at 0, but the layer above may stand at its kink."""
    kinked = activations.Activation(
        "kinked at 1",
        lambda t: np.where(t > 1, 2 * t - 1, t),
        lambda t: np.where(t > 1, 2.0, 1.0),
        None,
    )
    for place, expected in ((2.0, 2.0), (1.0, 1.0)):  # pre-activation 1, and 1/2 as a control
        net = networks.MLP([[[0.0, 0.5]], [[place, 0.0]], [[1.0, 0.0]]], kinked)
        problem = net, [[1.0]], [[3.0]], "squared"
        V = tiny.desired_updates(*problem)[1]
        add = growth.Add(0, [[1.0, 0.0]], [[1.0]])
        [promised] = tiny_theory.first_order(V, [[1.0, 1.0]], add.fan_in, add.fan_out, 1.0)
        happens = derivative_from_the_right(loss_after(problem, [add]))
        evidence(f"place {place}", f"promised {promised}, happens {happens:.6f}")
        assert abs(happens - expected * promised) < DIFFERENCES


# Section 2.2 ----------------------------------------------------------------------------------


def flat_outputs(network, X):
    """(f, theta): the outputs as a function of all weights in one vector."""
    shapes = [W.shape for W in network.arrays]
    cuts = np.cumsum([W.size for W in network.arrays])[:-1]

    def f(theta):
        arrays = [w.reshape(s) for w, s in zip(np.split(theta, cuts), shapes, strict=True)]
        return oracles.output(network, arrays, X).ravel()

    return f, np.concatenate([W.ravel() for W in network.arrays])


@pytest.mark.statement("TINY-GD")
@pytest.mark.parametrize("seed", range(4))
def test_gradient_descent_is_not_the_best_move(seed, evidence):
    net, X, Y, loss = problem = deep_problem((2, 2), seed=seed, n=12, outputs=2)
    f, theta = flat_outputs(net, X)
    J, v = numerics.complex_step(f, theta), tiny.desired_updates(*problem)[-1].ravel()
    # v_GD: the derivative of f along minus the gradient of the mean loss, by differences.
    gradient = numerics.complex_step(
        lambda t: oracles.losses(loss, f(t).reshape(Y.shape), Y).mean(), theta
    )
    v_gd, best = -J @ gradient, onto(J) @ v
    assert np.abs(v_gd - J @ (J.T @ v) / len(X)).max() < EXACT
    scaled = v_gd * (v_gd @ v) / (v_gd @ v_gd)
    rng = np.random.default_rng(seed)
    near = ((v - best) ** 2).sum()
    evidence(best=near, gradient_descent=((v - scaled) ** 2).sum())
    assert near + CLEAR < ((v - scaled) ** 2).sum()
    for move in rng.normal(size=(200, J.shape[1])) @ J.T:
        assert near < ((v - move * (move @ v) / (move @ move)) ** 2).sum() + EXACT
    # And it is the steepest for its norm as a function, though not for the norm of the weights.
    assert best @ v / np.linalg.norm(best) > v_gd @ v / np.linalg.norm(v_gd) + CLEAR
    weights = np.linalg.lstsq(J, v, rcond=1e-9)[0]
    assert best @ v / np.linalg.norm(weights) < v_gd @ v / np.linalg.norm(gradient) + EXACT
    # Control: where J^T J is a multiple of I the two have one direction.
    Q = 2 * np.linalg.svd(J)[0][:, :3]
    a, b = Q @ (Q.T @ v), onto(Q) @ v
    assert abs(a @ b / np.linalg.norm(a) / np.linalg.norm(b) - 1) < EXACT


def can_improve_everywhere(B, V):
    """Is there an affine update with the sign of V wherever V is not zero? By linear programming.

    max t with sign(V_i) (B u)_i >= t, |u| <= 1.
    """
    live = np.abs(V[:, 0]) > 1e-12
    A = -np.sign(V[live]) * B[live]
    A = np.column_stack([A, np.ones(len(A))])
    found = linprog([0.0] * B.shape[1] + [-1.0], A, np.zeros(len(A)), bounds=[(-1, 1)] * A.shape[1])
    return bool(-found.fun > 1e-9), found.x[:-1]


@pytest.mark.statement("TINY-Ex")
def test_at_two_of_the_four_inputs_nothing_can_be_improved(evidence):
    net, X, Y = tiny_theory.sine_example()
    error = (Y - net(X))[:, 0]
    evidence(errors=np.round(error, 4).tolist())
    # Exact at 0 and pi, so no model improves the prediction there: not for want of lines.
    assert error[0] == 0 and abs(error[2]) < EXACT and (np.abs(error[[1, 3]]) > 1.9).all()
    # At the other two a line does.
    B = np.column_stack([X, np.ones(4)])
    after = Y[:, 0] - growth.apply(net, plan_of([[-0.1, 0.3]]))(X)[:, 0]
    evidence(errors_after=np.round(after[[1, 3]], 3).tolist())
    assert (np.abs(after[[1, 3]]) < np.abs(error[[1, 3]]) - 0.1).all()
    assert can_improve_everywhere(B, error[:, None])[0]
    # Without harm at 0 and pi: the line through two zeros is zero.
    assert np.linalg.matrix_rank(B[[0, 2]]) == 2
    # What is meant: the desired update is far from every line. The paper's loss has no 1/2.
    V = 2 * tiny.desired_updates(net, X, Y, "squared")[0]
    lack, whole = tiny_theory.lack_of_expressivity(B, V), (V**2).sum()
    evidence(lack=lack, desired=whole, share=lack / whole)
    assert abs(lack - 19.09) < 0.01 and abs(whole - 31.21) < 0.01
    brute = np.linalg.lstsq(B, V, rcond=None)[1][0]
    assert abs(lack - brute) < EXACT * whole


def plan_of(direction):
    return growth.Plan((growth.Move(0, direction),), 1.0, 0.0, 1, 2)


@pytest.mark.statement("TINY-Ex")
def test_three_inputs_that_no_line_improves_at_once(evidence):
    x = (1.5, 4.5, 7.5)
    net, X, Y = tiny_theory.sine_example(x)
    V = tiny.desired_updates(net, X, Y, "squared")[0]
    B = np.column_stack([X, np.ones(3)])
    evidence(errors=np.round(V[:, 0], 3).tolist())
    # u(4.5) = (u(1.5) + u(7.5)) / 2 for every line: positive at both ends, positive in between.
    assert np.sign(V[:, 0]).tolist() == [1, -1, 1]
    assert (np.array([1, -2, 1]) @ B == 0).all()
    assert not can_improve_everywhere(B, V)[0]
    assert can_improve_everywhere(B[:2], V[:2])[0]  # Control: any two of them.
    assert can_improve_everywhere(np.column_stack([B, X**2]), V)[0]  # And a richer space.


# Section 2.3 ----------------------------------------------------------------------------------


@pytest.mark.statement("TINY-Eq-1")
@pytest.mark.parametrize("loss", ["squared", "softmax_cross_entropy", "logistic", "exponential"])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_following_the_desired_update_of_one_layer(layer, loss, evidence):
    net, X, Y, _ = problem = deep_problem((2, 3, 2), loss=loss, seed=3, n=6)
    V, rng = tiny.desired_updates(*problem)[layer], np.random.default_rng(1)
    sigma = oracles.ACTIVATIONS[net.activation.name]

    def samples(shift):
        """Every sample's loss once the pre-activations of this layer have moved."""
        H = X
        for l, W in enumerate(net.arrays):
            Z = np.column_stack([H, np.ones(len(X))]) @ W.T + (shift if l == layer else 0)
            H = sigma(Z)
        return oracles.losses(loss, Z, Y)

    start, rate = samples(0.0), (V * V).sum() / len(X)
    found = numerics.taylor_slope(
        lambda t: samples(t * V).mean() - start.mean() + t * rate, scale=start.mean()
    )
    evidence(order=found.order, rate=rate)
    assert abs(found.order - 2) < SLOPE
    wrong = numerics.taylor_slope(  # Control: a sum instead of the mean.
        lambda t: samples(t * V).mean() - start.mean() + t * rate * len(X), scale=start.mean()
    )
    assert abs(wrong.order - 1) < SLOPE
    assert (samples(1e-3 * V) < start).all()  # every sample improves
    for _ in range(20):  # and no move of that norm is steeper
        M = rng.normal(size=V.shape)
        M *= np.linalg.norm(V) / np.linalg.norm(M)
        assert derivative(lambda t, M=M: samples(t * M).mean()) > -rate - DIFFERENCES


@pytest.mark.statement("TINY-samples")
def test_gradient_descent_lowers_the_mean_and_raises_a_sample(evidence):
    """f = a x, x = (1, 1), y = (3, -1), a = 0, learning rate 1/10: in fractions."""
    y, a, rate = [F(3), F(-1)], F(0), F(1, 10)

    def each(outputs):
        return [(f - t) ** 2 / 2 for f, t in zip(outputs, y, strict=True)]

    after = a - rate * sum(a - t for t in y) / 2
    before, gd = each([a, a]), each([after, after])
    ideal = each([a - rate * (a - t) for t in y])
    evidence(before=[str(v) for v in before], gradient_descent=[str(v) for v in gd])
    assert gd[1] > before[1] and sum(gd) < sum(before)
    assert gd == [F(841, 200), F(121, 200)]
    assert all(i < b for i, b in zip(ideal, before, strict=True))  # Control: eq 1.
    net = networks.MLP([[[0.0, 0.0]]])
    V = tiny.desired_updates(net, [[1.0], [1.0]], [[3.0], [-1.0]], "squared")[0]
    assert (V[:, 0] == [3, -1]).all()


@pytest.mark.statement("TINY-Rem-1")
@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_the_best_moves_for_activities_and_for_pre_activations_differ(evidence, seed):
    rng = np.random.default_rng(seed)
    B, a = np.column_stack([rng.normal(size=6), np.ones(6)]), rng.normal(size=(6, 1))
    bend = 1 - np.tanh(a) ** 2  # b = tanh(a): a move of the weights moves b by bend * B u
    desired_b = rng.normal(size=(6, 1))
    desired_a = bend * desired_b  # the chain rule
    for_a, for_b = tiny.best_update(B, desired_a), tiny.best_update(bend * B, desired_b)
    distances = [((desired_b - bend * (B @ u.T)) ** 2).sum() for u in (for_a, for_b)]
    evidence(distance_of_b=distances)
    assert distances[0] > distances[1] - EXACT
    assert np.abs(for_a - for_b).max() > 1e-6
    # Control: for b = -a the two are one.
    gap = tiny.best_update(B, -desired_b) - tiny.best_update(-B, desired_b)
    assert np.abs(gap).max() < EXACT * (1 + np.abs(for_b).max())
    # A unit of its own has its own weights in the regression, so there is no common projector.
    two = np.column_stack([bend, 1 - np.tanh(a[::-1]) ** 2])
    P = [onto(two[:, [j]] * B) for j in (0, 1)]
    assert np.abs(P[0] - P[1]).max() > 1e-6


# Appendix A.1 ---------------------------------------------------------------------------------


@pytest.mark.statement("TINY-A.1")
def test_without_domination_the_derivative_of_the_mean_is_another(evidence):
    """f = x^3 / w^2 exp(-x^2 / w) on (0, 1): its integral is x exp(-x^2), f_x is 0 at x = 0."""

    def integral(x):
        return quad(lambda w: x**3 / w**2 * np.exp(-x * x / w), 0, 1, limit=200)[0]

    for x in (0.5, 0.1):
        assert abs(integral(x) - x * np.exp(-x * x)) < 1e-9
    slope = integral(0.01) / 0.01
    evidence(derivative_of_the_integral=slope, integral_of_the_derivative=0.0)
    assert abs(slope - 1) < CLEAR  # while d/dx x^3 / w^2 exp(...) at x = 0 is 0 for every w
    # No integrable bound: the largest |f_x| over 0 < x < 1 grows like 1/w.
    x = np.linspace(1e-6, 1, 20001)
    tops = [np.abs((3 * x**2 / w**2 - 2 * x**4 / w**3) * np.exp(-x * x / w)).max() for w in
            (1e-2, 1e-3)]  # fmt: skip
    assert abs(tops[1] / tops[0] - 10) < 0.1


@pytest.mark.statement("TINY-A.1")
def test_with_domination_mean_and_derivative_commute(evidence):
    """|d/dt log(1 + exp(t w))| <= |w|, integrable under the normal distribution."""

    def mean(g):
        return quad(lambda w: g(w) * np.exp(-w * w / 2) / np.sqrt(2 * np.pi), -9, 9)[0]

    t = 0.7
    by_difference = derivative(lambda s: mean(lambda w: np.log1p(np.exp((t + s) * w))), step=1e-2)
    inside = mean(lambda w: w / (1 + np.exp(-t * w)))
    evidence(difference=abs(by_difference - inside))
    assert abs(by_difference - inside) < 1e-6
    # On a finite data set at a kink there is nothing to commute: relu(t - 1) at t = 1.
    relu = oracles.ACTIVATIONS["relu"]
    assert derivative_from_the_right(lambda s: relu(s)) == 1
    assert derivative_from_the_right(lambda s: relu(-s)) == 0
