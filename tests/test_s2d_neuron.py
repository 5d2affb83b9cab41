"""S2D, introduction and section 2.1: splitting one neuron, up to Theorem 2.2.

Every test ends in negative controls: the same check must fail for a formula that is deliberately
wrong. The main oracle, the augmented loss written out literally, is `augmented.py`.
"""

from functools import partial

import numpy as np
import oracles
import pytest
import strategies
from augmented import (
    EXACT,
    SLOPE,
    assert_decomposition_is_exact,
    change,
    change_series,
    close,
    grown,
    matrix_of,
    move,
    pair,
    series,
    slope,
    splitting_matrix_of,
)
from by_hand import MINUS, polynomial, scalar_problem
from examples import deep_problem, shallow_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from stationary import stationary_problem

from refgrow import activations, growth, kernels, losses, networks, neurons, s2d

FOUND = 1e-4  # a smooth relu against the relu it tends to


# Introduction ------------------------------------------------------------------------------------


QUARTIC = polynomial([0, 0, -0.5, 0, 1])


@pytest.mark.statement("S2D-Intro")
def test_intro_steepest_descent(evidence):
    rng = np.random.default_rng(1)
    # A regular point: -G / |G| gains eps |G|, no unit direction gains more, remainder O(eps^2).
    problem = shallow_problem("bump", m=1)
    net, X, Y, loss = problem
    value, (G, _) = networks.loss_and_gradient(net, X, Y, loss)
    size = np.linalg.norm(G)
    best = [move(0, 0, -G[0] / size)]
    found = slope(lambda e: change(problem, best, e) + e * size, value)
    evidence(slope_at_regular_point=found.order)
    assert abs(found.order - 2) <= SLOPE
    gain = change(problem, best, 1e-3)
    for u in rng.normal(size=(200, 3)):
        assert change(problem, [move(0, 0, u / np.linalg.norm(u))], 1e-3) > gain
    # A saddle: +-v_min of the Hessian gains eps^2 lam_min / 2, remainder O(eps^3).
    problem = stationary_problem(-10.0)
    net, X, Y, loss = problem
    value, (G, _) = networks.loss_and_gradient(net, X, Y, loss)
    assert np.abs(G).max() < EXACT
    H = matrix_of(lambda v: 2 * change_series(problem, [move(0, 0, v)], 3)[2], 2)
    lam, V = np.linalg.eigh(H)
    assert lam[0] < 0
    for v in (V[:, 0], -V[:, 0]):
        found = slope(lambda e, v=v: change(problem, [move(0, 0, v)], e) - e**2 * lam[0] / 2, value)
        evidence(slope_at_saddle=found.order)
        assert abs(found.order - 3) <= SLOPE
    gain = change(problem, [move(0, 0, V[:, 0])], 1e-3)
    for u in rng.normal(size=(200, 2)):
        u /= np.linalg.norm(u)
        assert change(problem, [move(0, 0, u)], 1e-3) >= gain * 1.02  # 1 + O(eps)
    # Negative control: without the half the remainder is of order two.
    v = V[:, 0]
    wrong = slope(lambda e: change(problem, [move(0, 0, v)], e) - e**2 * lam[0], value)
    assert abs(wrong.order - 3) > SLOPE


@pytest.mark.statement("S2D-Intro")
def test_intro_monotone_only_for_small_steps(evidence):
    # sigma = -theta^2/2 + theta^4, Phi(s) = s, theta = 0: S = -1, L(+-eps) = -eps^2/2 + eps^4.
    problem = scalar_problem(QUARTIC, [0.0])
    plan = s2d.decide(*problem, size=1.0)
    assert plan.coefficient == -0.5
    rise = change(problem, plan.edits, 1.0)
    evidence("the optimal split with epsilon = 1 changes the loss by", rise)
    assert rise == 0.5
    # It lowers the loss for eps^2 < 1/2 and for no more.
    edge = np.sqrt(0.5)
    assert change(problem, plan.edits, 0.99 * edge) < 0 < change(problem, plan.edits, 1.01 * edge)


# Splitting one neuron ----------------------------------------------------------------------------


@pytest.mark.statement("S2D-Eq-1")
@pytest.mark.parametrize("name", strategies.FAMILIES)
def test_eq_1_unmoved_copies_leave_the_loss(name, evidence):
    rng = np.random.default_rng(0)
    problem = shallow_problem(name, m=2)
    d = problem[0].theta.shape[1]
    for fractions in ([0.5, 0.5], [1 / 3, 1 / 3, 1 / 3], [2.0, -1.0], rng.dirichlet(np.ones(7))):
        split = growth.Split(0, 1, fractions, rng.normal(size=(len(fractions), d)))
        error = abs(change(problem, [split], 0.0))
        evidence.worst("change at size zero", error)
        assert error <= EXACT
        assert abs(change(problem, [split], 0.1)) > EXACT or name == "ridge(identity)"
    # Halves are exact in binary: not even a rounding.
    assert change(problem, [pair(0, 0, np.ones(d))], 0.0) == 0.0


@pytest.mark.statement("S2D-Eq-1")
def test_eq_1_deep_and_fractions_off_one():
    problem = deep_problem((2, 3, 3, 2))
    splits = [pair(0, 1, np.ones(3)), pair(1, 0, np.ones(4)), pair(2, 1, np.ones(4))]
    assert abs(change(problem, splits, 0.0)) <= EXACT
    # Negative control: fractions that sum to 1.1 do change it, and are refused.
    net, X, Y, loss = problem
    with pytest.raises(ValueError, match="sum to 1"):
        growth.Split(0, 1, [0.55, 0.55], np.ones((2, 3)))
    W = list(net.arrays)
    W[1] = W[1].copy()
    W[1][:, 1] *= 1.1
    scaled = losses.get(loss).value(networks.MLP(W, "tanh")(X), Y)
    assert abs(scaled - losses.get(loss).value(net(X), Y)) > 1e-4


def neuron_gradient(name, theta, x):
    """grad sigma(theta, x) of the oracles' neuron."""
    return [
        oracles.circle(lambda t, e=e: oracles.neuron(name, theta + t * e, x), 1)
        for e in np.eye(len(theta))
    ]


@pytest.mark.statement("S2D-Def-2.1")
@pytest.mark.parametrize("name", strategies.FAMILIES)
@pytest.mark.parametrize("d", [1, 2])
def test_def_2_1_splitting_matrix(name, d, evidence):
    problem = shallow_problem(name, d=d)
    net, X, *_ = problem
    [S] = s2d.splitting_matrices(*problem)
    [parts] = s2d.curvature_parts(*problem)
    assert np.array_equal(parts.splitting, S)
    for j in range(2):
        exact = splitting_matrix_of(problem, 0, j)
        H = matrix_of(lambda v, j=j: 2 * change_series(problem, [move(0, j, v)], 3)[2], len(exact))
        evidence.worst("error of S", np.abs(S[j] - exact).max())
        assert close(S[j], exact) and np.array_equal(S[j], S[j].T)
        assert close(parts.hessian[j], H)
        # T = mean Phi'' (grad sigma)(grad sigma)^T, with the outgoing weight squared.
        grad = np.array([neuron_gradient(name, net.theta[j], x) for x in X])
        T = net.weights[j] ** 2 * grad.T @ grad / len(X)
        assert close(parts.rest[j], T)
        # Negative controls: the Hessian, S without the outgoing weight, T with it only once.
        assert not close(H, exact)
        assert not close(T / net.weights[j], parts.rest[j])
        if np.abs(exact).max() > 1e-6:  # zero for the identity, and for distances on the line
            assert not close(S[j] / net.weights[j], exact)
            assert not close(2 * S[j], exact)


@pytest.mark.statement("S2D-Def-2.1")
def test_def_2_1_gradient_and_change_of_parameters(evidence):
    problem = shallow_problem("ridge(gelu)")
    net, X, Y, loss = problem
    _, (G, _) = networks.loss_and_gradient(*problem)
    u = np.array([0.6, -0.8])
    assert close(change_series(problem, [move(0, 1, u)], 2)[1], G[1] @ u)
    # theta = c eta multiplies S by c^2: an index has units, and only its sign is intrinsic.
    scaled = networks.Shallow(net.theta / 3, net.weights, net.neuron)
    [S], [S3] = s2d.splitting_matrices(*problem), s2d.splitting_matrices(scaled, 3 * X, Y, loss)
    evidence(ratio=S3[0, 0, 0] / S[0, 0, 0])
    assert close(S3, 9 * S, EXACT)
    assert not close(S3, 3 * S, EXACT)


@pytest.mark.statement("S2D-Def-2.1")
@settings(max_examples=50)
@given(strategies.symmetric_matrices())
def test_def_2_1_index_and_gradient(evidence, drawn):
    S, spectrum = drawn
    lam, v = s2d.splitting_indices(S)
    evidence.worst("error of the index", abs(lam - spectrum[0]))
    assert abs(lam - spectrum[0]) <= EXACT * max(1, np.abs(spectrum).max())
    assert close(S @ v, lam * v, EXACT) and abs(np.linalg.norm(v) - 1) <= EXACT
    first = v[np.abs(v) > kernels.NEGLIGIBLE * np.abs(v).max()][0]
    assert first > 0
    stacked, vectors = s2d.splitting_indices(np.stack([S, 2 * S])[None])
    assert stacked.shape == (1, 2) and vectors.shape == (1, 2, len(S))
    assert close(stacked, [[lam, 2 * lam]], EXACT)


def with_lowest(v, d=4):
    """A symmetric matrix whose lowest eigenvalue, -1, belongs to v; the others are one."""
    v = np.append(v, np.zeros(d - len(v)))
    return np.eye(d) - 2 * np.outer(v, v) / (v @ v)


@pytest.mark.statement("S2D-Def-2.1")
def test_def_2_1_the_sign_of_the_gradient(evidence):
    """Its first entry that is not negligible is positive: 1e-3 of the largest is, 1e-12 is not."""

    def sign(lead):
        _, v = s2d.splitting_indices(with_lowest([lead, -0.8, 0.6]))
        evidence(f"gradient for a leading entry of {lead}", v.round(12).tolist())
        # One of the two signs of the eigenvector.
        exact = np.array([lead, -0.8, 0.6, 0.0]) / np.linalg.norm([lead, -0.8, 0.6])
        assert min(np.abs(v - exact).max(), np.abs(v + exact).max()) < EXACT
        return v

    assert sign(1e-3)[0] > 0 > sign(1e-3)[1] and sign(-1e-3)[0] > 0 and sign(-1e-3)[1] > 0
    # What is below is rounding, whose sign means nothing: the second entry decides for both.
    assert sign(1e-12)[1] > 0 and sign(-1e-12)[1] > 0
    assert np.abs(sign(1e-12) - sign(-1e-12)).max() < EXACT * 10
    # Negative controls: a rule that neglects 1e-3, and one that neglects nothing.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_sign", kernels._sign_py)  # A compiled loop keeps its constants.
        patch.setattr(kernels, "NEGLIGIBLE", 1e-1)
        assert sign(1e-3)[0] < 0
        patch.setattr(kernels, "NEGLIGIBLE", 0.0)
        assert np.abs(sign(1e-12) - sign(-1e-12)).max() > 1


# Theorem 2.2 -------------------------------------------------------------------------------------


@pytest.mark.statement("S2D-Thm-2.2")
@settings(max_examples=40)
@given(st.data())
def test_thm_2_2_coefficients(evidence, data):
    """Both orders of eq 4, any family, loss, fractions (signed too) and directions."""
    problem = data.draw(strategies.problems(strategies.shallow_networks(most=2), samples=(1, 4)))
    d = problem[0].theta.shape[1]
    assert_decomposition_is_exact(problem, [data.draw(strategies.splits_of(0, 0, d))], evidence)


SPLITS = {  # name: fractions, directions, order of the remainder
    "symmetric, zero mean": ([0.5, 0.5], [[0.6, 0.8], [-0.6, -0.8]], 4),
    "symmetric, four copies": ([0.3, 0.3, 0.2, 0.2], [[1, 0], [-1, 0], [0, 0.5], [0, -0.5]], 4),
    "asymmetric": ([0.25, 0.75], [[0.9, -0.3], [-0.3, 0.1]], 3),
    "signed": ([2.0, -1.0], [[0.4, 0.3], [0.8, 0.6]], 3),
    "symmetric about a mean": ([0.5, 0.5], [[0.9, 0.4], [-0.1, 0.2]], 3),
    "three copies and a mean": ([0.2, 0.3, 0.5], [[0.5, 0.5], [-0.5, 0.7], [0.6, 0.1]], 3),
}


@pytest.mark.statement("S2D-Thm-2.2")
@pytest.mark.parametrize("scheme", SPLITS)
@pytest.mark.parametrize("name", ["ridge(tanh)", "ridge(gaussian)", "particle(0.8)", "distance"])
def test_thm_2_2_remainder(name, scheme, evidence):
    fractions, directions, order = SPLITS[scheme]
    problem = shallow_problem(name, m=1, seed=3)
    split = growth.Split(0, 0, fractions, directions)
    value = losses.squared.value(problem[0](problem[1]), problem[2])
    found = slope(lambda e: s2d.decompose(*problem, [split], e).remainder, value)
    evidence(slope=found.order, halvings=found.halvings)
    assert abs(found.order - order) <= SLOPE
    if scheme == "symmetric about a mean":
        # With S at theta + eps mu in place of theta the remainder is of order four.
        net, X, Y, loss = problem

        def sharper(e):
            there = net.with_arrays([net.theta + e * np.array([0.4, 0.3]), net.weights])
            [[S]] = s2d.splitting_matrices(there, X, Y, loss)
            v = np.array([0.5, 0.1])
            moved = losses.squared.value(there(X), Y)
            return grown(problem, [split], e) - moved - e**2 / 2 * v @ S @ v

        found = slope(sharper, value)
        evidence(slope_with_S_at_the_mean=found.order)
        assert abs(found.order - 4) <= SLOPE


@pytest.mark.statement("S2D-Thm-2.2")
@pytest.mark.parametrize("name", ["bump", "ridge(sigmoid)", "particle(0.8)"])
def test_thm_2_2_next_term_and_wrong_formulas(name, evidence):
    problem = shallow_problem(name, m=2, loss="logistic")
    net, X, Y, _ = problem
    d = net.theta.shape[1]
    rng = np.random.default_rng(5)
    w = np.array([0.2, 0.3, 0.5])
    u = rng.normal(size=(3, d)) / 2
    mean = w @ u
    delta = u - mean
    _, _, second, third, _ = change_series(problem, [growth.Split(0, 0, w, delta)])
    # At zero mean the next term is the third moment in A_3, the third derivative of the potential
    # Psi(t) = mean Phi'(f) w_j sigma(t, x): its size does not grow with the number of copies.
    slopes = losses.logistic.gradient(net(X), Y)[:, 0] * net.weights[0]

    def potential(direction, size):
        at = net.theta[0] + size * direction
        return np.mean([c * oracles.neuron(name, at, x) for c, x in zip(slopes, X, strict=True)])

    cubic = [series(partial(potential, v), 4)[3] for v in delta]
    evidence(third_order=third, predicted=w @ cubic)
    assert close(third, w @ cubic, 1e-6)
    assert not close(third, 0.0, 1e-6)
    # Wrong formulas for the second order, each refused by the check the right one passes.
    full = change_series(problem, [growth.Split(0, 0, w, u)])[2]
    [parts] = s2d.curvature_parts(*problem)
    S, T, H = parts.splitting[0], parts.rest[0], parts.hessian[0]
    spread = np.einsum("ik,kl,il->i", delta, S, delta)
    assert close(second, w @ spread / 2)
    assert close(full, (mean @ H @ mean + w @ spread) / 2)
    assert not close(second, w @ spread)  # the half lost
    assert not close(second, spread.sum() / 2)  # the fractions lost
    assert not close(second, w @ np.einsum("ik,kl,il->i", delta, H, delta) / 2)  # H for S
    assert not close(second, w @ spread / 2 / net.weights[0])  # the outgoing weight lost
    assert not close(full, (mean @ S @ mean + w @ spread) / 2)  # S for H
    assert not close(full, (mean @ T @ mean + w @ spread) / 2)  # T for H
    around_theta = w @ np.einsum("ik,kl,il->i", u, S, u)
    assert not close(full, (mean @ H @ mean + around_theta) / 2)  # u for delta


@pytest.mark.statement("S2D-Thm-2.2", "S2D-Thm-2.4")
def test_thm_2_2_needs_an_exchange_of_expectation_and_derivative(evidence):
    # sigma = (1 + x)^2 t^4 exp(-t^2 x), x > 0 of density (1 + x)^-2, Phi(s) = s, t = 0: for every x
    # smooth in t with sigma'' = 0, so S = 0; but E sigma = t^2, so L = sum w_i t_i^2.
    def sigma(t, x):
        return (1 + x) ** 2 * t**4 * np.exp(-(t**2) * x)

    for x in (0.0, 1.0, 100.0):
        evidence.worst("second derivative at 0", abs(oracles.circle(lambda t, x=x: sigma(t, x), 2)))
        assert abs(oracles.circle(lambda t, x=x: sigma(t, x), 2)) < EXACT * (1 + x) ** 2
    for eps in (1.0, 0.5, 0.1):
        change = quad(lambda x, e=eps: (sigma(e, x) + sigma(-e, x)) / 2 / (1 + x) ** 2, 0, np.inf)
        evidence(f"change under +-{eps}, divided by eps^2", change[0] / eps**2)
        assert abs(change[0] - eps**2) < FOUND * eps**2
        # Negative control: where x is bounded the two commute, and the change is of order four.
        bounded = quad(lambda x, e=eps: sigma(e, x) / (1 + x) ** 2, 0, 2)[0]
        assert bounded <= 2 * eps**4


@pytest.mark.statement("S2D-Thm-2.2")
def test_thm_2_2_order_four_needs_a_fourth_derivative(evidence):
    # sigma = |t|^3.5, Phi(s) = s, t = 0: three bounded derivatives, S = 0, A_3 = 0, pair eps^3.5.
    found = slope(lambda e: np.mean(np.abs([e, -e]) ** 3.5), 1.0)
    evidence(slope=found.order)
    assert abs(found.order - 3.5) <= SLOPE


@pytest.mark.statement("S2D-Thm-2.2")
def test_thm_2_2_and_the_relu(evidence):
    # The paper itself excludes it (B.3). sigma = max(x + b, 0), x uniform on [-1, 1], Phi(s) = -s,
    # b = 0: the loss is -(1 + b)^2 / 4 in each copy, a polynomial of degree two, so its third
    # derivatives are bounded. sigma'' is zero but at the kink, so S = 0; yet the copies b = +-eps
    # change the loss by -eps^2 / 4.
    def loss(*biases):
        x = np.unique(np.concatenate([[-1, 1], -np.array(biases)]))  # exact for piecewise linear
        s = np.mean([np.maximum(x + b, 0) for b in biases], axis=0)
        return -np.sum(np.diff(x) * (s[1:] + s[:-1])) / 4  # half the trapezoid sum: the mean

    assert loss(0.0) == -0.25 and close(loss(0.5), -(1.5**2) / 4, EXACT)
    for eps in (0.5, 0.25):
        evidence(f"change at eps = {eps}", loss(eps, -eps) - loss(0.0))
        assert close(loss(eps, -eps) - loss(0.0), -(eps**2) / 4, EXACT)
    # A smooth relu finds what the kink hides: S tends to -1/2, minus the density on the kink.
    X = np.column_stack([(np.arange(2000) + 0.5) / 1000 - 1, np.ones(2000)])
    net = networks.Shallow([[1.0, 0.0]], [1.0], neurons.ridge(activations.sharp_softplus(100.0)))
    [[S]] = s2d.splitting_matrices(net, X, np.zeros((2000, 1)), MINUS)
    evidence(S_of_the_bias_under_softplus=S[1, 1])
    assert abs(S[1, 1] + 0.5) < FOUND
    # One sample on the kink: the change is eps / 2, of order one.
    assert np.mean(np.maximum([0.1, -0.1], 0)) == 0.05
