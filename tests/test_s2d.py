"""S2D, in the paper's order, each statement against oracles that share no code with refgrow.

The main oracle is the augmented loss of eqs 2 and 6, written out literally for complex sizes: its
power series in epsilon, by Cauchy's integral, gives every order of a theorem to rounding. Beside
it: remainder slopes, linear programmes over all splitting schemes, exhaustive subsets, and examples
small enough to be checked by hand. Every test ends in negative controls: the same check must fail
for a formula that is deliberately wrong.
"""

from functools import partial
from itertools import combinations, pairwise

import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from stationary import full_hessian, stationary_targets

from refgrow import activations, growth, losses, networks, neurons, numerics, s2d, train

EXACT = 1e-12  # identities in float64 between numbers of order one: some thousand roundings
SERIES = 1e-8  # a coefficient of order k: eps / RADIUS^k, and what the circle cuts off
SLOPE = 0.1  # a fitted order may be off by this much
LINPROG = 1e-6  # HiGHS meets its constraints to 1e-7
FOUND = 1e-4  # relative: a random or gridded search against a bound, printed constants

RADIUS = 0.01  # far inside every radius of convergence here, of which the smallest is near 0.1
POINTS = 16


# Oracles and examples -------------------------------------------------------------------------


def augmented_loss(network, X, Y, loss, splits, size):
    """Eqs 2 and 6 as they stand: everybody reads sum_i w_i sigma(theta + size u_i, .)."""
    copies = {(s.layer, s.neuron): (s.fractions, s.directions) for s in splits}

    def layer_output(layer, rows, value):
        columns = []
        for j, theta in enumerate(rows):
            fractions, directions = copies.get((layer, j), ([1.0], [0 * theta]))
            columns.append(
                sum(w * value(theta + size * u) for w, u in zip(fractions, directions, strict=True))
            )
        return np.stack(columns, axis=1)

    if isinstance(network, networks.Shallow):
        family = network.neuron

        def value(theta):
            if isinstance(family, Scalar):
                return family.value(theta[None], X)[:, 0]
            return np.array([oracles.neuron(family.name, theta, x) for x in X])

        F = layer_output(0, network.theta, value) @ network.weights.reshape(len(network.theta), -1)
    else:
        sigma, H, ones = oracles.ACTIVATIONS[network.activation.name], X, np.ones((len(X), 1))
        for layer, W in enumerate(network.arrays[:-1]):
            inputs = np.hstack([H, ones])
            H = layer_output(layer, W, lambda theta, inputs=inputs: sigma(inputs @ theta))
        F = np.hstack([H, ones]) @ network.arrays[-1].T
    values = loss.samples(F, Y) if isinstance(loss, losses.Loss) else oracles.losses(loss, F, Y)
    return values.mean()


def series(f, orders=5):
    """The first coefficients of the power series of f at zero, by Cauchy's integral."""
    turn = np.exp(2j * np.pi * np.arange(POINTS) / POINTS)
    values = np.array([f(RADIUS * t) for t in turn])
    return np.real(np.fft.fft(values)[:orders]) / POINTS / RADIUS ** np.arange(orders)


def change_series(problem, splits, orders=5):
    """The series of the change of the loss under these splits in the size."""
    return series(lambda size: augmented_loss(*problem, splits, size), orders)


def pair(layer, neuron, v):
    return growth.Split(layer, neuron, [0.5, 0.5], [v, -np.asarray(v)])


def move(layer, neuron, u):
    return growth.Split(layer, neuron, [1.0], [u])


def matrix_of(quadratic, d):
    """The symmetric matrix of a quadratic form, by polarisation."""
    eye = np.eye(d)
    A = np.diag([quadratic(e) for e in eye])
    for k, l in combinations(range(d), 2):
        A[k, l] = A[l, k] = (quadratic(eye[k] + eye[l]) - A[k, k] - A[l, l]) / 2
    return A


def splitting_matrix_of(problem, layer, j):
    """S read off the augmented loss: it changes by (eps^2 / 2) v^T S v along (v, -v)."""
    d = problem[0].arrays[layer].shape[1]
    return matrix_of(lambda v: 2 * change_series(problem, [pair(layer, j, v)], 3)[2], d)


def neuron_gradient(name, theta, x):
    """grad sigma(theta, x) of the oracles' neuron."""
    return [
        oracles.circle(lambda t, e=e: oracles.neuron(name, theta + t * e, x), 1)
        for e in np.eye(len(theta))
    ]


def close(a, b, tolerance=SERIES):
    """Equal up to the tolerance, relative to the larger of their largest entry and one."""
    a, b = np.asarray(a), np.asarray(b)
    return bool(np.abs(a - b).max() <= tolerance * max(1, np.abs(a).max(), np.abs(b).max()))


class Scalar:
    """A neuron with one parameter, by its value and two derivatives as functions of (t, x)."""

    name = "scalar"

    def __init__(self, value, first, second):
        self.functions = value, first, second

    def parameters(self, inputs):
        return 1

    def _at(self, order, theta, X):
        return self.functions[order](theta[:, 0], X[:, :1]) + 0 * theta[:, 0] + 0 * X[:, :1]

    def value(self, theta, X):
        return self._at(0, theta, X)

    def jacobian(self, theta, X):
        return self._at(1, theta, X)[:, :, None]

    def gradient(self, theta, X, C):
        return (C * self._at(1, theta, X).T).sum(axis=1)[:, None]

    def hessian(self, theta, X, C):
        return (C * self._at(2, theta, X).T).sum(axis=1)[:, None, None]


def phi(value, slope, bend):
    """The loss Phi(s) of the output itself, the targets unused."""
    return losses.Loss(
        "phi",
        lambda F, Y: value(F)[:, 0],
        lambda F, Y: slope(F),
        lambda F, Y: bend(F)[:, :, None],
        lambda Y, n, p: np.zeros((n, p)),
    )


PLAIN = phi(lambda s: s, lambda s: 1 + 0 * s, lambda s: 0 * s)  # Phi(s) = s
MINUS = phi(lambda s: -s, lambda s: -1 + 0 * s, lambda s: 0 * s)
CONCAVE = phi(lambda s: s - s**2, lambda s: 1 - 2 * s, lambda s: -2 + 0 * s)


def scalar_problem(functions, thetas, xs=(1.0,), loss=PLAIN, weights=None):
    theta = np.array(thetas)[:, None]
    weights = np.ones(len(theta)) if weights is None else np.array(weights)
    X = np.array(xs)[:, None]
    return networks.Shallow(theta, weights, Scalar(*functions)), X, np.zeros((len(X), 1)), loss


def shallow_problem(name, loss="squared", seed=0, m=2, d=2, n=5, outputs=None):
    rng = np.random.default_rng(seed)
    d = 3 if name == "bump" else d
    weights = rng.normal(size=m if outputs is None else (m, outputs))
    net = networks.Shallow(rng.normal(size=(m, d)), weights, strategies.family(name))
    Y = strategies.targets_of(loss, n, outputs or 1, rng)
    return net, strategies.inputs_of(net, n, rng), Y, loss


def deep_problem(widths, loss="squared", activation="tanh", seed=0, n=5, outputs=None):
    """An MLP of these widths (inputs first); a class loss of two classes has one output."""
    rng = np.random.default_rng(seed)
    outputs = outputs or (1 if loss in ("logistic", "exponential") else 3)
    sizes = (*widths, outputs)
    weights = [
        rng.normal(size=(out, fan_in + 1)) / np.sqrt(fan_in) for fan_in, out in pairwise(sizes)
    ]
    net = networks.MLP(weights, activation)
    Y = strategies.targets_of(loss, n, outputs, rng)
    return net, rng.normal(size=(n, widths[0])), Y, loss


def stationary_problem(strength, seed=0, n=8):
    """One tanh neuron, exactly stationary; its S has the sign of `strength` and grows with it."""
    rng = np.random.default_rng(seed)
    net = networks.Shallow(rng.normal(size=(1, 2)), np.ones(1), neurons.ridge("tanh"))
    X = rng.normal(size=(n, 2))
    z = X @ net.theta.T
    bend = -2 * np.tanh(z) / np.cosh(z) ** 2
    residual = strength * bend * (X**2).sum(axis=1, keepdims=True)
    return net, X, stationary_targets(net, X, residual, trained=[0]), "squared"


def grown(problem, splits, size):
    net, X, Y, loss = problem
    after = growth.apply(net, growth.Plan(tuple(splits), size, 0.0, 2, 3))
    return losses.get(loss).value(after(X), Y)


def change(problem, splits, size):
    """The change of the loss under splits, through growth.apply."""
    net, X, Y, loss = problem
    return grown(problem, splits, size) - losses.get(loss).value(net(X), Y)


def slope(remainder, scale, largest=0.5):
    return numerics.taylor_slope(remainder, scale=scale, largest=largest)


def schemes(rng, count, d, most=8):
    """Random schemes with positive fractions, copies in the unit ball, zero mean or not."""
    for _ in range(count):
        m = int(rng.integers(1, most + 1))
        w = rng.dirichlet(np.full(m, rng.choice([0.3, 1.0, 10.0])))
        u = rng.normal(size=(m, d))
        u *= rng.random((m, 1)) ** rng.choice([0.0, 1.0]) / np.linalg.norm(u, axis=1, keepdims=True)
        if rng.random() < 0.5:
            u = u - w @ u
            u /= max(1.0, np.linalg.norm(u, axis=1).max())
        keep = w > 1e-6
        yield w[keep] / w[keep].sum(), u[keep]


def disc(radii=(0.0, 0.25, 0.5, 0.75, 1.0), angles=72):
    """Points of the unit disc."""
    a = 2 * np.pi * np.arange(angles) / angles
    circle = np.stack([np.cos(a), np.sin(a)], axis=1)
    return np.vstack([np.zeros((1, 2))] + [r * circle for r in radii if r > 0])


def cheapest_scheme(costs, points, mean):
    """The least sum_i w_i cost_i over fractions on these points with this mean: all m at once."""
    rows = np.vstack([np.ones(len(points)), points.T])
    return linprog(costs, A_eq=rows, b_eq=np.concatenate([[1.0], mean]), method="highs").fun


# Introduction ---------------------------------------------------------------------------------

QUARTIC = (lambda t, x: -(t**2) / 2 + t**4, lambda t, x: -t + 4 * t**3, lambda t, x: -1 + 12 * t**2)


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


# Section 2.1: one neuron ----------------------------------------------------------------------


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
    first = v[np.abs(v) > s2d.NEGLIGIBLE * np.abs(v).max()][0]
    assert first > 0
    stacked, vectors = s2d.splitting_indices(np.stack([S, 2 * S])[None])
    assert stacked.shape == (1, 2) and vectors.shape == (1, 2, len(S))
    assert close(stacked, [[lam, 2 * lam]], EXACT)


@pytest.mark.statement("S2D-Thm-2.2")
@settings(max_examples=40)
@given(st.data())
def test_thm_2_2_coefficients(evidence, data):
    """Both orders of eq 4, any family, loss, fractions (signed too) and directions."""
    problem = data.draw(strategies.problems(strategies.shallow_networks(most=2), samples=(1, 4)))
    d = problem[0].theta.shape[1]
    _decomposition_is_exact(problem, [data.draw(strategies.splits_of(0, 0, d))], evidence)


def _decomposition_is_exact(problem, splits, evidence):
    """Both orders of the theorem, and the actual change, against the augmented loss."""
    splits = [_of_unit_size(split) for split in splits]
    before, first, second, *_ = change_series(problem, splits)
    plus, minus = (s2d.decompose(*problem, splits, size) for size in (0.5, -0.5))
    dt, ds = (plus.displacement_taylor, minus.displacement_taylor), plus.splitting
    scale = max(1.0, abs(before), abs(first), abs(second))
    error = max(
        abs(first - (dt[0] - dt[1])),
        abs(second - (2 * (dt[0] + dt[1]) + 4 * ds)),
    )
    evidence.worst("error of a coefficient", error / scale)
    assert error <= SERIES * scale
    assert plus.splitting == minus.splitting
    moved = [move(s.layer, s.neuron, s.fractions @ s.directions) for s in splits]
    at = partial(augmented_loss, *problem)
    tolerance = EXACT * max(1.0, abs(at(splits, 0.5)), abs(before), abs(at(moved, 0.5)))
    assert abs(plus.actual - (at(splits, 0.5) - before)) <= 10 * tolerance
    assert abs(plus.displacement - (at(moved, 0.5) - before)) <= 10 * tolerance
    assert plus.remainder == plus.actual - plus.displacement - plus.splitting


def _of_unit_size(split):
    """The split with directions scaled so that the circle stays well inside convergence."""
    scale = max(1.0, np.abs(split.fractions).sum()) * max(1.0, np.abs(split.directions).max())
    return growth.Split(split.layer, split.neuron, split.fractions, split.directions / scale)


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


@pytest.mark.statement("S2D-Thm-2.2")
def test_thm_2_2_needs_a_smooth_neuron(evidence):
    # sigma = max(x + b, 0), x uniform on [-1, 1], Phi(s) = -s, b = 0: the loss is -(1 + b)^2 / 4 in
    # each copy, a polynomial of degree two, so its third derivatives are bounded. sigma'' is zero
    # but at the kink, so S = 0; yet the copies b = +-eps change the loss by -eps^2 / 4.
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


TILTED = (lambda t, x: x * t + t**2 / 2, lambda t, x: x + t, lambda t, x: 1 + 0 * t)


@pytest.mark.statement("S2D-Thm-2.3a")
def test_thm_2_3a_hence_is_too_much(evidence):
    # sigma = theta^2/2, Phi(s) = s, theta = 1: S = 1, and moving without splitting lowers the loss.
    half_square = (lambda t, x: t**2 / 2, lambda t, x: t, lambda t, x: 1 + 0 * t)
    problem = scalar_problem(half_square, [1.0])
    [[S]] = s2d.splitting_matrices(*problem)
    fall = change(problem, [move(0, 0, [-1.0])], 0.5)
    evidence(S=S[0, 0], change_of_the_move=fall)
    assert S == 1 and fall == 0.125 - 0.5
    # sigma = x theta + theta^2/2, x = +-1, Phi(s) = s - s^2, theta = 0: G = 0, S = 1, T = -2.
    problem = scalar_problem(TILTED, [0.0], (1.0, -1.0), CONCAVE)
    [parts] = s2d.curvature_parts(*problem)
    _, (G, _) = networks.loss_and_gradient(*problem)
    assert (G[0, 0], parts.splitting[0, 0, 0], parts.rest[0, 0, 0]) == (0, 1, -2)
    for eps in (0.5, 0.25):
        fall = change(problem, [move(0, 0, [1.0])], eps)
        evidence(f"S = 1, G = 0, one copy moved by {eps}", fall)
        assert close(fall, -(eps**2) / 2 - eps**4 / 4, EXACT)
        # With zero mean displacement, (i), the same point rises as S says.
        assert close(change(problem, [pair(0, 0, [1.0])], eps), eps**2 / 2 - eps**4 / 4, EXACT)
    assert s2d.best_split(parts.splitting[0]).gain == 0 and not s2d.decide(*problem).edits


@pytest.mark.statement("S2D-Thm-2.3a")
def test_thm_2_3a_stable_points(evidence):
    # (i) and (ii): S and H positive definite at a stationary point; many copies, any fractions.
    problem = stationary_problem(2.0, seed=1)
    [parts] = s2d.curvature_parts(*problem)
    _, (G, _) = networks.loss_and_gradient(*problem)
    lam_S, lam_H = (np.linalg.eigvalsh(a[0])[0] for a in (parts.splitting, parts.hessian))
    evidence(lam_min_of_S=lam_S, lam_min_of_H=lam_H)
    assert np.abs(G).max() < EXACT and lam_S > 0.01 and lam_H > 0.01
    rng = np.random.default_rng(2)
    least = np.inf
    for w, u in schemes(rng, 400, 2):
        V = w @ (u**2).sum(axis=1)
        if V < 1e-12:
            continue  # one copy that stays
        rise = change(problem, [growth.Split(0, 0, w, u)], 0.01)
        least = min(least, rise / (0.5 * 0.01**2 * min(lam_S, lam_H) * V))
    evidence(least_rise_over_its_bound=least)
    assert least > 0.9  # 1 - O(eps)
    assert not s2d.decide(*problem).edits
    # II itself: at least (eps^2 / 2) lam_min sum w |delta|^2.
    for w, u in schemes(rng, 100, 2):
        term = s2d.decompose(*problem, [growth.Split(0, 0, w, u)], 1.0).splitting
        delta = u - w @ u
        assert term >= 0.5 * lam_S * (w @ (delta**2).sum(axis=1)) - EXACT
    # Negative control: the same search does find a decrease where S is negative.
    problem = stationary_problem(-0.2)
    found = [change(problem, [growth.Split(0, 0, w, u)], 0.01) for w, u in schemes(rng, 50, 2)]
    assert min(found) < 0


@pytest.mark.statement("S2D-Thm-2.3b")
@settings(max_examples=30)
@given(strategies.symmetric_matrices(), strategies.generators)
def test_thm_2_3b_no_scheme_beats_two_copies(evidence, drawn, rng):
    S, spectrum = drawn
    best = s2d.best_split(S)
    size = np.abs(spectrum).max() + 1e-300
    least = min(spectrum[0], 0.0)
    assert abs(best.gain - least) <= 1e-10 * size
    gain = np.einsum("i,ik,kl,il->", best.fractions, best.directions, S, best.directions)
    assert abs(gain - least) <= 1e-10 * size
    assert np.abs(best.fractions @ best.directions).max() <= EXACT
    assert len(best.fractions) == (2 if best.gain < 0 else 1)
    for w, u in schemes(rng, 20, len(S)):
        delta = u - w @ u
        delta /= max(1.0, np.linalg.norm(delta, axis=1).max())
        value = np.einsum("i,ik,kl,il->", w, delta, S, delta)
        evidence.worst("share of the bound reached", value / least if least < 0 else 0.0)
        assert value >= least - EXACT * size


@pytest.mark.statement("S2D-Thm-2.3b")
@pytest.mark.parametrize("spectrum", [(-1.0, 2.0), (-1.0, -0.4), (-1.0, -1.0), (0.3, 1.0)])
def test_thm_2_3b_among_all_schemes(spectrum, evidence):
    """A linear programme over every scheme on a grid of the disc: any number of copies."""
    S = strategies.with_spectrum(spectrum, np.random.default_rng(3))
    points = disc()
    costs = np.einsum("ik,kl,il->i", points, S, points)
    least = cheapest_scheme(costs, points, np.zeros(2))
    gain = s2d.best_split(S).gain
    evidence(linear_programme=least, best_split=gain)
    assert gain - LINPROG <= least <= gain + 0.01
    # Negative control: without the zero mean nothing changes here (S is even), but with the
    # constraint on delta dropped to |delta| <= 2 the bound is passed fourfold.
    if gain < 0:
        assert cheapest_scheme(4 * costs, 2 * points, np.zeros(2)) < 2 * gain


@pytest.mark.statement("S2D-Thm-2.3b")
@pytest.mark.parametrize(
    "spectrum_S, spectrum_H", [((-1, 1), (0.5, 2)), ((-1, 1), (-3, 0.5)), ((0.2, 1), (-1, 2)),
                               ((0.2, 1), (0.1, 1)), ((-1, 0.5), (0, 1))]
)  # fmt: skip
def test_thm_2_3b_with_displacement(spectrum_S, spectrum_H, evidence):
    """Copies in the ball, mean and spread together, G = 0: the least is min(0, lam_S, lam_H)."""
    rng = np.random.default_rng(4)
    S, H = (strategies.with_spectrum(s, rng) for s in (spectrum_S, spectrum_H))
    points = disc((0.0, 0.5, 1.0), 48)
    costs = np.einsum("ik,kl,il->i", points, S, points)
    least = min(
        cheapest_scheme(costs, points, mu) + mu @ (H - S) @ mu for mu in disc((0.0, 0.5, 0.999), 24)
    )
    expected = min(0, spectrum_S[0], spectrum_H[0])
    evidence(linear_programme=least, expected=expected)
    assert expected - LINPROG <= least <= expected + 0.05
    # So two copies are optimal in the ball if lam_S <= lam_H, and not if lam_H < lam_S.
    two = min(0, spectrum_S[0])
    assert (least < two - 0.5) == (spectrum_H[0] < two - 0.5)


@pytest.mark.statement("S2D-Thm-2.3b")
def test_thm_2_3b_on_the_loss(evidence):
    problem = stationary_problem(-0.2)
    [parts] = s2d.curvature_parts(*problem)
    assert np.linalg.eigvalsh(parts.splitting[0])[0] < 0 < np.linalg.eigvalsh(parts.hessian[0])[0]
    plan = s2d.decide(*problem, size=0.01)
    value = losses.squared.value(problem[0](problem[1]), problem[2])
    found = slope(lambda e: change(problem, plan.edits, e) - plan.predicted(e), value)
    fall = change(problem, plan.edits, 0.01)
    evidence(slope=found.order, predicted=plan.predicted(), actual=fall)
    assert abs(found.order - 4) <= SLOPE
    best = min(
        change(problem, [growth.Split(0, 0, w, u)], 0.01)
        for w, u in schemes(np.random.default_rng(6), 500, 2)
    )
    evidence(best_of_random_schemes=best / fall)
    assert fall < 0 and best > fall * (1 + 1e-3)
    # Negative controls: the print's {delta_1, delta_1} is a move, and lam_min without the half.
    v = plan.edits[0].directions[0]
    assert change(problem, [growth.Split(0, 0, [0.5, 0.5], [v, v])], 0.01) > 0
    wrong = slope(lambda e: change(problem, plan.edits, e) - 2 * plan.predicted(e), value)
    assert abs(wrong.order - 2) <= SLOPE


def sine_problem():
    """sin(theta x), x = (1, 2), y = (2, -1), theta = 0: G = 0, S = 0, H = 5."""
    net = networks.Shallow([[0.0]], [1.0], neurons.ridge("sine"))
    return net, np.array([[1.0], [2.0]]), np.array([[2.0], [-1.0]]), _sum_of_squares


# Half the sum over the two samples, so that the numbers below are round.
_sum_of_squares = losses.Loss(
    "half the sum of two squares",
    lambda F, Y: ((F - Y) ** 2)[:, 0],
    lambda F, Y: 2 * (F - Y),
    lambda F, Y: 2 + 0 * F[:, :, None],
    lambda Y, n, p: np.asarray(Y),
)
THIRDS = growth.Split(0, 0, [1 / 3, 2 / 3], [[1.0], [-0.5]])


@pytest.mark.statement("S2D-Thm-2.3-edge")
def test_thm_2_3_edge_a_third_moment_gains(evidence):
    problem = sine_problem()
    value, (G, _) = networks.loss_and_gradient(*problem)
    [parts] = s2d.curvature_parts(*problem)
    assert value == 2.5 and G[0, 0] == 0
    assert parts.splitting[0, 0, 0] == 0 and parts.hessian[0, 0, 0] == 5
    # A strict local minimum: no move helps. A symmetric pair does nothing at all, sin being odd.
    sizes = np.linspace(-0.5, 0.5, 101)
    assert all(change(problem, [move(0, 0, [1.0])], e) > 0 for e in sizes if abs(e) > 1e-9)
    assert all(change(problem, [pair(0, 0, [1.0])], e) == 0 for e in sizes)
    # Two copies with fractions 1/3 and 2/3 and mean zero: -eps^3/4.
    found = slope(lambda e: change(problem, [THIRDS], e), value)
    ratio = change(problem, [THIRDS], 0.01) / 0.01**3
    evidence(slope=found.order, ratio=ratio, loss_at_half=grown(problem, [THIRDS], 0.5))
    assert abs(found.order - 3) <= SLOPE and abs(ratio + 0.25) < 1e-3
    assert close(grown(problem, [THIRDS], 0.5), 2.47191, 1e-5)
    # S2D promises nothing here, and does nothing.
    assert not s2d.decide(*problem).edits and s2d.best_split(parts.splitting[0]).gain == 0


@pytest.mark.statement("S2D-Thm-2.3-edge")
def test_thm_2_3_edge_largest_third_moments(evidence):
    # On a line 1/4 is the largest third moment of a zero-mean scheme on [-1, 1] ...
    points = np.linspace(-1, 1, 81)[:, None]
    line = -cheapest_scheme(-(points[:, 0] ** 3), points, np.zeros(1))
    # ... in the plane three copies reach 1 of Re (a + ib)^3.
    points = disc(angles=72)
    plane = -cheapest_scheme(-np.real((points[:, 0] + 1j * points[:, 1]) ** 3), points, np.zeros(2))
    evidence(line=line, plane=plane)
    assert abs(line - 0.25) < LINPROG and abs(plane - 1) < LINPROG


@pytest.mark.statement("S2D-2.1-m-new")
def test_2_1_two_uniform_copies_are_not_always_best(evidence):
    # lam_min = 0: the sine neuron. A single copy gains nothing, two with halves and the best mean
    # 0.9 eps^4, and thirds eps^3 / 4.
    problem = sine_problem()
    eps = 0.1
    grid = np.linspace(-1, 1, 41)
    one = min(change(problem, [move(0, 0, [a])], eps) for a in grid)
    two = min(
        change(problem, [growth.Split(0, 0, [0.5, 0.5], [[a], [b]])], eps)
        for a in grid for b in grid
    )  # fmt: skip
    thirds = change(problem, [THIRDS], eps)
    evidence(one_copy=one, two_halves=two, thirds=thirds)
    assert one == 0 and -(eps**4) < two < 0 and abs(thirds / eps**3 + 0.25) < 0.01

    # A tie: sigma = x . t + p(t) with p = -|t|^2/2 - Re t^3, x = (+-2, 0), (0, +-2) and Phi(s) =
    # s + s^2/2, so that L = P + |mean|^2 + P^2/2 with P the mean of p: S = -I, H = I at zero. Three
    # equal copies gain eps^3 more than any pair, symmetric or not.
    def loss(copies):
        P = np.mean(-(np.abs(copies) ** 2) / 2 - np.real(copies**3), axis=-1)
        return P + np.abs(np.mean(copies, axis=-1)) ** 2 + P**2 / 2

    eps = 0.02
    points = eps * (disc((0.0, 0.5, 0.9, 1.0), 36) @ [1, 1j])
    pairs = loss(np.stack(np.meshgrid(points, points), axis=-1)).min()
    three = loss(eps * np.exp(2j * np.pi * np.arange(3) / 3))
    evidence(best_pair=pairs, three=three, gain_over_eps_cubed=(three - pairs) / eps**3)
    assert abs(pairs / eps**2 + 0.5) < 0.01 and abs((three - pairs) / eps**3 + 1) < 0.03


@pytest.mark.statement("S2D-Rem-2.3")
def test_rem_2_3_splitting_stable_is_not_stable(evidence):
    # The example of Thm 2.3 a: S = 1 and G = 0, H = -1; Phi(s) = s - s^2 is not convex.
    problem = scalar_problem(TILTED, [0.0], (1.0, -1.0), CONCAVE)
    [parts] = s2d.curvature_parts(*problem)
    evidence(S=parts.splitting[0, 0, 0], H=parts.hessian[0, 0, 0])
    assert parts.splitting[0, 0, 0] == 1 and parts.hessian[0, 0, 0] == -1
    # "If both are positive definite, no local update helps" is about stationary points: theta^2/2
    # at theta = 1 has S = H = 1, and moving helps.
    half_square = (lambda t, x: t**2 / 2, lambda t, x: t, lambda t, x: 1 + 0 * t)
    problem = scalar_problem(half_square, [1.0])
    [parts] = s2d.curvature_parts(*problem)
    assert parts.splitting[0, 0, 0] == parts.hessian[0, 0, 0] == 1
    assert change(problem, [move(0, 0, [-1.0])], 0.01) < 0


@pytest.mark.statement("S2D-Rem-2.3")
@settings(max_examples=25)
@given(strategies.problems(strategies.shallow_networks(most=3), samples=(1, 5)))
def test_rem_2_3_convex_loss(evidence, problem):
    """Under a convex loss T is positive semi-definite: a stable S makes a stable H."""
    [parts] = s2d.curvature_parts(*problem)
    lam = np.linalg.eigvalsh(parts.rest).min() / max(1.0, np.abs(parts.rest).max())
    evidence.worst("most negative eigenvalue of T", -lam)
    assert lam >= -EXACT
    # And for all neurons of the layer together: Hess L - diag(S_j) is positive semi-definite.
    H = full_hessian(*problem, trained=[0])
    d = problem[0].theta.shape[1]
    for j, S in enumerate(parts.splitting):
        H[j * d : (j + 1) * d, j * d : (j + 1) * d] -= S
    assert np.linalg.eigvalsh((H + H.T) / 2).min() >= -EXACT * max(1.0, np.abs(H).max())


@pytest.mark.statement("S2D-Rem-2.3", "S2D-Rem-2.3-deep-new")
def test_rem_2_3_deep(evidence):
    """Below the last hidden layer T may be indefinite, and neuron by neuron is not enough."""
    lowest = []
    for seed in range(5):
        parts = s2d.curvature_parts(*deep_problem((2, 3, 3), seed=seed))
        lowest.append([np.linalg.eigvalsh(layer.rest).min() for layer in parts])
    evidence(T_of_the_first_layer=min(l[0] for l in lowest), of_the_last=min(l[1] for l in lowest))
    assert min(l[0] for l in lowest) < -0.01 and min(l[1] for l in lowest) > -EXACT
    # h = x a + a^2/2 read by s = b^2/2 + h + 2 b x h, Phi(s) = s, x = +-1: at a = b = 0 the
    # gradient is 0 and S_a = H_a = S_b = H_b = 1, but L = a^2/2 + b^2/2 + 2ab falls along (1, -1).
    x = np.array([1.0, -1.0])

    def loss(a, b):
        h = np.mean([x * t + t**2 / 2 for t in np.atleast_1d(a)], axis=0)
        return np.mean(np.mean([t**2 / 2 + h + 2 * t * x * h for t in np.atleast_1d(b)], axis=0))

    eps = 0.5
    for first in (loss(eps, 0.0), loss(0.0, eps), loss([eps, -eps], 0.0), loss(0.0, [eps, -eps])):
        assert first == eps**2 / 2
    evidence(joint_move=loss(eps, -eps))
    assert loss(eps, -eps) == -(eps**2)


@pytest.mark.statement("S2D-Rem-2.3-S")
def test_rem_2_3_s_identical_copies_stay_identical(evidence):
    """Gradient steps, minibatches too, treat identical copies alike: no escape, although S < 0."""
    net, X, Y, loss = problem = stationary_problem(-1.0)
    [parts] = s2d.curvature_parts(*problem)
    assert np.linalg.eigvalsh(parts.splitting[0])[0] < 0 < np.linalg.eigvalsh(parts.hessian[0])[0]
    clone = growth.apply(net, growth.Plan((pair(0, 0, [1.0, 0.0]),), 0.0, 0.0, 2, 3))
    v_min = s2d.splitting_indices(parts.splitting[0])[1]

    def gap(shift, batch, steps):
        rng = np.random.default_rng(0)
        theta = clone.theta + shift * np.array([v_min, -v_min])
        for _ in range(steps):
            rows = rng.permutation(len(X))[:batch]
            at = clone.with_arrays([theta, clone.weights])
            _, (G, _) = networks.loss_and_gradient(at, X[rows], Y[rows], loss)
            theta = theta - 0.5 * G
        return np.abs(theta[0] - theta[1]).max()

    # The full batch is the stationary point itself; with batches of two the parameters wander.
    still, wandering, noisy = gap(0, 8, 150), gap(0, 2, 150), gap(1e-6, 8, 150)
    evidence(full_batch=still, batches_of_two=wandering, with_noise=noisy)
    assert still < 1e-9 and wandering < 1e-9
    # Negative control: noise that tells the copies apart grows.
    assert noisy > 1e2 * 1e-6


# Section 2.2: many neurons --------------------------------------------------------------------


@pytest.mark.statement("S2D-Eq-5")
@pytest.mark.parametrize("loss", strategies.LOSSES)
@pytest.mark.parametrize("widths", [(2, 2), (2, 3, 2), (1, 2, 1, 2)])
def test_eq_5_splitting_matrices_of_every_layer(widths, loss, evidence):
    activation = {"squared": "tanh", "logistic": "gelu", "exponential": "sigmoid"}.get(
        loss, "softplus"
    )
    problem = deep_problem(widths, loss, activation, n=4)
    stacks = s2d.splitting_matrices(*problem)
    parts = s2d.curvature_parts(*problem)
    assert [len(S) for S in stacks] == list(widths[1:])
    for layer, S in enumerate(stacks):
        for j in range(len(S)):
            exact = splitting_matrix_of(problem, layer, j)
            evidence.worst("error of S", np.abs(S[j] - exact).max())
            assert close(S[j], exact) and np.array_equal(S[j], S[j].T)
            u = np.arange(1.0, 1 + len(exact)) / len(exact)
            H = 2 * change_series(problem, [move(layer, j, u)], 3)[2]
            assert close(u @ parts[layer].hessian[j] @ u, H)
            # Negative controls: the Hessian, and the matrix with its sum in place of the mean.
            assert not close(parts[layer].hessian[j], exact)
            assert not close(4 * S[j], exact)


@pytest.mark.statement("S2D-Eq-5")
def test_eq_5_tied_uses(evidence):
    """One parameter used twice: S is the sum over the uses if each use averages its own copies;
    copied as a whole, the composite has cross terms. Eq 5 itself, h free of theta, fits neither."""
    x, y, theta, v = 0.7, 0.2, 0.9, 1.0

    def each_use(t):
        h = (np.tanh((theta + t * v) * x) + np.tanh((theta - t * v) * x)) / 2
        s = (np.tanh((theta + t * v) * h) + np.tanh((theta - t * v) * h)) / 2
        return (s - y) ** 2 / 2

    def as_a_whole(t):
        outer = lambda a: np.tanh(a * np.tanh(a * x))  # noqa: E731
        return ((outer(theta + t * v) + outer(theta - t * v)) / 2 - y) ** 2 / 2

    net = networks.MLP([[[theta, 0.0]], [[theta, 0.0]], [[1.0, 0.0]]], "tanh")
    S = s2d.splitting_matrices(net, [[x]], [[y]], "squared")
    uses = [stack[0, 0, 0] for stack in S]
    second = 2 * series(each_use)[2]
    evidence(each_use=second, uses=sum(uses), as_a_whole=2 * series(as_a_whole)[2])
    assert close(second, sum(uses))
    assert not close(second, uses[0]) and not close(second, uses[1])
    assert not close(2 * series(as_a_whole)[2], sum(uses))
    # By hand: theta (theta x) with linear neurons has S = 0 in either use and averages to itself;
    # as a whole it is (theta^2 + eps^2) x.
    net = networks.MLP([[[theta, 0.0]], [[theta, 0.0]], [[1.0, 0.0]]], "identity")
    both = [pair(0, 0, [1.0, 0.0]), pair(1, 0, [1.0, 0.0])]
    assert not any(S.any() for S in s2d.splitting_matrices(net, [[1.0]], [[0.0]], PLAIN))
    assert abs(change((net, np.ones((1, 1)), np.zeros((1, 1)), PLAIN), both, 0.5)) < EXACT
    assert close(((theta + 0.5) ** 2 + (theta - 0.5) ** 2) / 2, theta**2 + 0.25, EXACT)


PLACES = {
    "same layer": ((0, 0), (0, 1)),
    "adjacent layers": ((0, 0), (1, 0)),
    "distant layers": ((0, 1), (2, 0)),
    "three layers": ((0, 0), (0, 1), (1, 0), (2, 1)),
}


def splits_at(places, problem, kind, seed=0):
    """Splits at these places: symmetric, asymmetric (zero mean), or signed with a mean."""
    rng = np.random.default_rng(seed)
    splits = []
    for layer, j in places:
        d = problem[0].arrays[layer].shape[1]
        if kind == "symmetric":
            splits.append(pair(layer, j, rng.normal(size=d)))
            continue
        w = np.array([0.2, 0.3, 0.5]) if kind == "asymmetric" else np.array([0.7, 0.7, -0.4])
        u = rng.normal(size=(3, d))
        splits.append(growth.Split(layer, j, w, u - w @ u if kind == "asymmetric" else u))
    return splits


@pytest.mark.statement("S2D-Thm-2.4")
@settings(max_examples=25)
@given(st.data())
def test_thm_2_4_coefficients(evidence, data):
    """Both orders, for any set of neurons of any layers, losses, fractions and means."""
    # Not quadratic: composed, it makes numbers so large that the series hardly converges.
    smooth = tuple(name for name in strategies.SMOOTH if name != "quadratic")
    net = strategies.mlps(smooth, depths=(2, 4), widest=2)
    problem = data.draw(strategies.problems(net, samples=(1, 4)))
    every = [(l, j) for l, width in enumerate(problem[0].widths) for j in range(width)]
    places = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=4, unique=True))
    splits = [
        data.draw(strategies.splits_of(l, j, problem[0].arrays[l].shape[1])) for l, j in places
    ]
    _decomposition_is_exact(problem, splits, evidence)


@pytest.mark.statement("S2D-Thm-2.4")
@pytest.mark.parametrize("kind", ["symmetric", "asymmetric", "with means"])
@pytest.mark.parametrize("where", PLACES)
def test_thm_2_4_remainder(where, kind, evidence):
    problem = deep_problem((2, 2, 2, 2), activation="tanh", outputs=2)
    splits = splits_at(PLACES[where], problem, kind)
    value = losses.squared.value(problem[0](problem[1]), problem[2])
    found = slope(lambda e: s2d.decompose(*problem, splits, e).remainder, value)
    order = 4 if kind == "symmetric" else 3
    evidence(slope=found.order, halvings=found.halvings)
    assert abs(found.order - order) <= SLOPE
    # Negative controls, all of order two: a neuron left out, and the proof's (eps^2 / 2) II with
    # the factor counted twice, which leaves next to nothing of it.
    part = slope(
        lambda e: change(problem, splits, e)
        - s2d.decompose(*problem, splits, e).displacement
        - s2d.decompose(*problem, splits[1:], e).splitting,
        value,
    )  # fmt: skip
    twice = slope(
        lambda e: (d := s2d.decompose(*problem, splits, e)).actual
        - d.displacement - 0.5 * e**2 * d.splitting,
        value,
    )  # fmt: skip
    assert abs(part.order - 2) <= SLOPE and abs(twice.order - 2) <= SLOPE


@pytest.mark.statement("S2D-Thm-2.4")
@pytest.mark.parametrize("where", PLACES)
def test_thm_2_4_no_cross_terms(where, evidence):
    problem = deep_problem((2, 2, 2, 2), activation="gelu", seed=2)
    splits = splits_at(PLACES[where], problem, "asymmetric")
    second = change_series(problem, splits, 3)[2]
    predicted = s2d.decompose(*problem, splits, 1.0).splitting
    evidence(second_order=second, predicted=predicted)
    assert close(second, predicted)
    # Negative control: the first copies of each, weighted, coupled by the joint Hessian as a move.
    net, X, Y, loss = problem
    direction = [np.zeros_like(a) for a in net.arrays]
    for s in splits:
        direction[s.layer][s.neuron] = s.directions[0]
    H = networks.hessian_product(net, X, Y, loss, direction)
    joint = sum(float(np.vdot(a, b)) for a, b in zip(H, direction, strict=True))
    parts = s2d.curvature_parts(*problem)
    own = sum(s.directions[0] @ parts[s.layer].hessian[s.neuron] @ s.directions[0] for s in splits)
    assert abs(joint - own) > 1e-4  # there is a cross term to add
    assert not close(second, predicted + (joint - own) / 2)


@pytest.mark.statement("S2D-Thm-2.4", "S2D-Thm-2.4-enlarged-new")
def test_thm_2_4_by_hand(evidence):
    # The proof's factor: sigma = theta^2/2, Phi(s) = s, copies +-eps at zero. The change is II =
    # eps^2/2 itself, and (eps^2/2) II is eps^4/4.
    half_square = (lambda t, x: t**2 / 2, lambda t, x: t, lambda t, x: 1 + 0 * t)
    problem = scalar_problem(half_square, [0.0])
    II = s2d.decompose(*problem, [pair(0, 0, [1.0])], 0.5).splitting
    evidence(II=II, change=change(problem, [pair(0, 0, [1.0])], 0.5), printed=0.5**2 / 2 * II)
    assert (
        change(problem, [pair(0, 0, [1.0])], 0.5) == II == 0.125 and 0.5**2 / 2 * II == 0.5**4 / 4
    )
    # Enlarged weights: f = v_1 theta_1 + v_2 theta_2, v_i = v/2, one linear neuron split into
    # theta +- eps and its reader moved by +-eps: f rises by 2 eps^2, although S = 0.
    theta, v, eps = 1.5, 2.0, 0.25
    after = (v / 2 + eps) * (theta + eps) + (v / 2 - eps) * (theta - eps)
    evidence(change_of_f=after - v * theta)
    assert after - v * theta == 2 * eps**2


@pytest.mark.statement("S2D-Thm-2.4", "S2D-Alg-1")
def test_an_activation_without_a_second_derivative_is_refused():
    for activation in ("relu", "selu"):
        problem = deep_problem((2, 2), activation=activation)
        shallow = shallow_problem("ridge(tanh)")
        kinked = networks.Shallow(shallow[0].theta, shallow[0].weights, neurons.ridge(activation))
        for p in (problem, (kinked, *shallow[1:])):
            for function in (s2d.splitting_matrices, s2d.decide, s2d.curvature_parts):
                with pytest.raises(ValueError, match=f"second derivative; {activation} has a kink"):
                    function(*p)


def enlarged_loss(problem, split, rows, fractions, size):
    """The network after the split of (0, 0) as an implementation stores it, with free weights.

    `rows[k]` (copies,) displaces the k-th copy of neuron (1, 0) on the columns that read the
    split neuron's copies; `fractions[k]` is that copy's share.
    """
    net, X, Y, _ = problem
    sigma, ones = np.tanh, np.ones((len(X), 1))
    W0, W1, W2 = net.arrays
    inputs = np.hstack([X, ones])
    H = sigma(inputs @ W0.T)
    copies = [sigma(inputs @ (W0[0] + size * u)) for u in split.directions]
    rest = [H[:, k] * W1[:, [k]] for k in range(1, len(W0))]
    Z = np.array(sum(rest) + W1[:, [-1]], dtype=complex)  # (next width, n)
    for w, h in zip(split.fractions, copies, strict=True):
        Z = Z + w * W1[:, [0]] * h
    out = sigma(Z)
    moved = [
        sigma(Z[0] + size * sum(e * h for e, h in zip(eta, copies, strict=True))) for eta in rows
    ]
    out[0] = sum(f * s for f, s in zip(fractions, moved, strict=True))
    F = out.T @ W2[:, :-1].T + W2[:, -1]
    return ((F - Y) ** 2).sum(axis=1).mean() / 2


@pytest.mark.statement("S2D-Thm-2.4-enlarged-new")
def test_thm_2_4_enlarged_next_layer(evidence):
    net, X, Y, _ = problem = deep_problem((2, 2, 2), outputs=2, seed=3)
    w, u = np.array([0.4, 0.6]), np.array([[0.6, 0.3, -0.2], [-0.4, -0.2, 0.4 / 3]])
    split = growth.Split(0, 0, w, u)
    zero = np.zeros(2)

    def coefficients(rows, fractions=(1.0,)):
        return series(lambda e: enlarged_loss(problem, split, rows, fractions, e))

    alone = coefficients([zero])
    assert close(alone, change_series(problem, [split]), 1e-6)
    # (1) A displacement of the old weight, spread by the fractions: eq 6, and growth.apply.
    step = np.array([0.8, 0.0, 0.0])
    joint = coefficients([0.8 * w])
    assert close(joint, change_series(problem, [split, move(1, 0, step)]), 1e-6)
    assert close(
        grown(problem, [split, move(1, 0, step)], 0.3),
        np.real(enlarged_loss(problem, split, [0.8 * w], (1.0,), 0.3)), EXACT,
    )  # fmt: skip
    # (2) The next neuron split unevenly over the enlarged weights: no interaction at eps^2.
    uneven = ([np.array([0.9, -0.2]), np.array([-0.9, 0.2])], (0.5, 0.5))
    net_alone = series(lambda e: enlarged_loss(problem, growth.Split(0, 0, w, 0 * u), *uneven, e))
    interaction = coefficients(*uneven) - alone - net_alone
    evidence(interaction_2=interaction[2], interaction_3=interaction[3])
    assert abs(interaction[2]) < SERIES and abs(interaction[3]) > 1e-4
    # (3) A displacement that is not proportional to the fractions: a cross term at eps^2.
    eta = np.array([1.0, -1.0])
    cross = coefficients([eta])[2] - alone[2]
    trace = net.forward(X)
    _, sensitivities = net.backward(trace, (trace.output - Y) / len(X))
    slopes = [1 / np.cosh(trace.states[l][:, 0]) ** 2 for l in (0, 1)]
    expected = np.sum(
        sensitivities[1][:, 0] * slopes[1] * slopes[0] * (trace.inputs[0] @ (eta @ u))
    )
    evidence(cross_term=cross, predicted=expected)
    assert close(cross, expected) and abs(cross) > 1e-3
    # An index is not invariant: widening the layer below doubles S where the copies are read.
    before = s2d.splitting_matrices(*problem)[1][0]
    wide = growth.apply(net, growth.Plan((pair(0, 0, u[0]),), 0.0, 0.0, 2, 3))
    after = s2d.splitting_matrices(wide, *problem[1:])[1][0]
    assert close(after[np.ix_([0, 2], [0, 2])], before[0, 0] * np.ones((2, 2)), EXACT)


@pytest.mark.statement("S2D-Alg-1")
@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_alg_1_chooses_the_best_subset(seed, most, evidence):
    """Exhaustive: every set of at most m* neurons, each split along its own gradient or not."""
    problem = deep_problem((2, 3, 3), seed=seed, outputs=2)
    eps = 1e-3
    indices = [s2d.splitting_indices(S) for S in s2d.splitting_matrices(*problem)]
    every = [(l, j) for l, (lam, _) in enumerate(indices) for j in range(len(lam))]
    own = {(l, j): pair(l, j, indices[l][1][j]) for l, j in every}
    subsets = [c for k in range(most + 1) for c in combinations(every, k)]
    changes = {c: change(problem, [own[n] for n in c], eps) for c in subsets}
    best = min(changes, key=changes.get)
    plan = s2d.decide(*problem, most=most, size=eps)
    chosen = tuple(sorted((e.layer, e.neuron) for e in plan.edits))
    evidence(best=str(best), change=changes[best], predicted=plan.predicted())
    assert chosen == best and plan.order == 2 and plan.remainder == 4
    assert abs(plan.predicted() - changes[best]) < 1e-3 * abs(changes[best])
    # Random directions and neurons do no better.
    rng = np.random.default_rng(0)
    for _ in range(50):
        picked = rng.permutation(len(every))[:most]
        splits = []
        for l, j in (every[k] for k in picked):
            v = rng.normal(size=problem[0].arrays[l].shape[1])
            splits.append(pair(l, j, v / np.linalg.norm(v)))
        assert change(problem, splits, eps) > changes[best]
    # Negative control: the neurons with the largest indices are another set.
    worst = sorted(every, key=lambda n: -indices[n[0]][0][n[1]])[:most]
    assert changes[tuple(sorted(worst))] > changes[best]


@pytest.mark.statement("S2D-Alg-1")
@pytest.mark.parametrize("hidden", ["deep", "one layer, indices of both signs"])
def test_alg_1_threshold_and_budget(hidden, evidence):
    problem = deep_problem((2, 3, 3), seed=0, outputs=2)
    if hidden != "deep":
        problem = shallow_problem("ridge(gaussian)", m=6, d=1, loss="exponential")
    stacks = s2d.splitting_matrices(*problem)
    lam = np.sort(np.concatenate([s2d.splitting_indices(S)[0] for S in stacks]))
    negative = lam[lam < 0]
    everyone = s2d.decide(*problem, most=99)
    evidence(negative_indices=len(negative), neurons=len(lam))
    assert len(everyone.edits) == len(negative) > 2
    assert (len(negative) == len(lam)) == (hidden == "deep")
    assert abs(everyone.coefficient - negative.sum() / 2) < EXACT
    # "Smaller than" in the text, "at most" in the algorithm: at the edge itself, and beside it.
    for threshold, count in ((lam[1], 2), (lam[1] * 1.01, 1), (lam[1] * 0.99, 2), (2 * lam[0], 0)):
        assert len(s2d.decide(*problem, most=99, threshold=threshold).edits) == count
    assert "at most" in s2d.decide(*problem, threshold=2 * lam[0]).message
    for edit in everyone.edits:
        v = edit.directions[0]
        assert np.array_equal(edit.fractions, [0.5, 0.5])
        assert np.array_equal(edit.directions[1], -v) and abs(np.linalg.norm(v) - 1) < EXACT
        Sv = stacks[edit.layer][edit.neuron] @ v
        assert close(Sv, (v @ Sv) * v, EXACT)


@pytest.mark.statement("S2D-Alg-1")
def test_alg_1_an_index_of_zero_is_not_split(evidence):
    # With lambda* = 0 the print splits at lam_min = 0, for nothing: here the fit is perfect, S = 0.
    net, X, _, loss = shallow_problem("bump")
    plan = s2d.decide(net, X, net(X), loss, most=2)
    evidence("message of the plan", plan.message)
    assert plan.edits == () and plan.coefficient == 0 and plan.predicted() == 0
    assert plan.message == "No neuron's splitting index is negative: none is split."
    [S] = s2d.splitting_matrices(net, X, net(X), loss)
    assert not S.any()
    # A fit perfect but for rounding: S is rounding throughout, which only a threshold can tell.
    nearly = net(X) * (1 + 1e-15)
    assert s2d.decide(net, X, nearly, loss, threshold=-1e-12).edits == ()
    # Zero up to the rounding of an eigenvalue; and negative, however little.
    rng = np.random.default_rng(0)
    for d in (2, 5, 40):
        for _ in range(20):
            spectrum = np.concatenate([[0.0], rng.random(d - 1)])
            assert s2d.best_split(strategies.with_spectrum(spectrum, rng)).gain == 0
            spectrum[0] = -1e-9
            gain = s2d.best_split(strategies.with_spectrum(spectrum, rng)).gain
            assert abs(gain + 1e-9) < 1e-14
    # The bump's five-sample minimum: S = diag(4.8, 0, 0), the zeros being sums that cancel.
    x = np.arange(-2.0, 3.0)
    y = np.exp(-(x**2) / 2) - np.array([1, -4, 6, -4, 1]) * np.exp(x**2 / 2)
    stuck = networks.Shallow([[1.0, 0.0, 1.0]], [1.0], neurons.bump)
    [[S]] = s2d.splitting_matrices(stuck, x[:, None], y[:, None], "squared")
    assert close(S, np.diag([4.8, 0, 0]), EXACT)
    assert s2d.decide(stuck, x[:, None], y[:, None], "squared").edits == ()
    # And so the loop of growing ends with a status, not with an error.
    _, history = train.fit_and_grow(net, X, net(X), loss, decide=s2d.decide, growths=3, steps=0)
    assert history.status == train.NOTHING_TO_GROW and history.plans == ()
    assert history.message == plan.message


@pytest.mark.statement("S2D-Alg-1")
def test_alg_1_ties_and_smallest_sizes():
    # Equal neurons: the first is split, and the last may take its place without loss or gain.
    net, X, Y, loss = shallow_problem("ridge(tanh)", m=1, seed=1)
    twins = networks.Shallow(np.tile(net.theta, (3, 1)), np.full(3, net.weights[0] / 3), net.neuron)
    lam, v = s2d.splitting_indices(s2d.splitting_matrices(twins, X, Y, loss)[0])
    assert close(lam[0], lam[2], EXACT) and lam[0] < 0
    changes = [change((twins, X, Y, loss), [pair(0, j, v[j])], 0.01) for j in range(3)]
    assert close(changes[0], changes[2], EXACT)
    # An exact tie of indices, Phi(s) = s and the same parameter twice: the earlier one.
    fall = (lambda t, x: -(t**2) / 2, lambda t, x: -t, lambda t, x: -1 + 0 * t)
    tied = s2d.decide(*scalar_problem(fall, [0.5, 0.5, 0.5]), most=2)
    assert [e.neuron for e in tied.edits] == [0, 1]
    # A tie within a neuron, S = -I: any unit direction has the same gain.
    best = s2d.best_split(-np.eye(3))
    assert best.gain == -1 and abs(np.linalg.norm(best.directions[0]) - 1) < EXACT
    # One neuron, one sample, one dimension.
    one = networks.Shallow([[0.5]], [1.0], neurons.ridge("quadratic"))
    plan = s2d.decide(one, [[1.0]], [[1.0]], "squared")
    assert plan.edits[0].directions.tolist() == [[1.0], [-1.0]]
    assert close(plan.coefficient, 0.5 * (0.25 - 1.0) * 2.0, EXACT)
    # No hidden layer: nothing to split, which is an answer.
    assert s2d.decide(networks.MLP([np.ones((1, 3))]), np.ones((2, 2)), np.ones((2, 1)),
                      "squared").edits == ()  # fmt: skip


@pytest.mark.statement("S2D-Alg-1")
def test_alg_1_unequal_weights(evidence):
    # sigma = theta^3/6, Phi(s) = s: S_rho = theta exactly. Particles at -1 and -2 of weights 0.9
    # and 0.1: the printed index ranks the second first, the gains are 0.45 and 0.1 eps^2.
    cubic = (lambda t, x: t**3 / 6, lambda t, x: t**2 / 2, lambda t, x: t)
    problem = scalar_problem(cubic, [-1.0, -2.0], weights=[0.9, 0.1])
    [S] = s2d.splitting_matrices(*problem)
    printed = S[:, 0, 0] / problem[0].weights
    changes = [change(problem, [pair(0, j, [1.0])], 0.1) for j in (0, 1)]
    evidence(printed_indices=printed, changes=changes)
    assert close(printed, [-1, -2], EXACT) and close(changes, [-0.0045, -0.001], EXACT)
    [edit] = s2d.decide(*problem).edits
    assert edit.neuron == 0 and printed[0] > printed[1]
    # The same in MMD, at a stable point: 3/8 of the sample at each of +-0.45, 1/8 at 100 +- 0.9.
    points = np.array([0.45] * 3 + [-0.45] * 3 + [100.9, 99.1])[:, None]
    theta, weights = np.array([[0.0], [100.0]]), np.array([0.75, 0.25])
    assert np.abs(s2d.mmd_gradient(theta, weights, points, 1.0)).max() < EXACT
    matrices = s2d.mmd_splitting_matrices(theta, weights, points, 1.0)[:, 0, 0]
    printed = matrices / weights
    before = s2d.mmd_squared(theta, weights, points, 1.0)
    changes = []
    for j in (0, 1):
        copies = np.vstack([theta, theta[[j]] - 0.05])
        copies[j] += 0.05
        shared = np.append(weights, weights[j] / 2)
        shared[j] /= 2
        changes.append(s2d.mmd_squared(copies, shared, points, 1.0) - before)
    evidence(printed_indices=printed, changes=changes)
    assert np.abs(printed - [-0.4189, -0.4366]).max() < FOUND
    # Stable: the second derivatives 2 w^2 + w lam, the self term being constant, are positive.
    assert np.abs(2 * weights**2 + matrices - [0.811, 0.0158]).max() < 1e-3
    assert np.abs(np.array(changes) - [-3.90e-4, -1.36e-4]).max() < 1e-6
    problem = s2d.mmd_regression(points, 1.0, lowest=-1, highest=101)
    net = networks.Shallow(theta, weights, problem.neuron)
    [edit] = s2d.decide(net, problem.X, problem.Y, "squared").edits
    assert edit.neuron == 0


def test_refusals():
    problem = shallow_problem("bump")
    net, X, Y, loss = problem
    for options, message in (
        ({"most": 0}, "most must be an integer >= 1"),
        ({"threshold": 0.1}, "threshold must be a finite number <= 0"),
        ({"size": 0.0}, "size must be a finite number > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            s2d.decide(*problem, **options)
    with pytest.raises(TypeError, match=r"networks\.Shallow or networks\.MLP"):
        s2d.decide(None, X, Y, loss)
    with pytest.raises(ValueError, match="Y"):
        s2d.splitting_matrices(net, X, Y[:, 0], loss)
    with pytest.raises(ValueError, match="symmetric"):
        s2d.splitting_indices([[0.0, 1.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="S must"):
        s2d.best_split(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="layer must be below 1"):
        s2d.decompose(*problem, [pair(1, 0, np.ones(3))], 0.1)
    with pytest.raises(ValueError, match="neuron must be below 2"):
        s2d.decompose(*problem, [pair(0, 2, np.ones(3))], 0.1)
    with pytest.raises(ValueError, match="named twice"):
        s2d.decompose(*problem, [pair(0, 0, np.ones(3))] * 2, 0.1)
    with pytest.raises(TypeError, match=r"growth\.Split; got Prune"):
        s2d.decompose(*problem, [growth.Prune(0, (0,))], 0.1)
    with pytest.raises(ValueError, match="weights"):
        s2d.mmd_squared([[0.0]], [1.0, 2.0], [[0.0]], 1.0)
    with pytest.raises(ValueError, match="points must"):
        s2d.mmd_squared([[0.0]], [1.0], [[0.0, 1.0]], 1.0)
    with pytest.raises(ValueError, match="bandwidth must be a finite number > 0"):
        s2d.mmd_splitting_matrices([[0.0]], [1.0], [[0.0]], 0.0)
    with pytest.raises(ValueError, match="highest must be a finite number > 5"):
        s2d.mmd_regression([[0.0]], 1.0, lowest=5, highest=3)


class Counted:
    """A number that counts the multiplications it takes part in."""

    count = 0

    def __init__(self, value):
        self.value = float(value)

    def __float__(self):
        return self.value

    def _with(self, other, operation, products=0):
        Counted.count += products
        return Counted(operation(self.value, float(other)))

    def __add__(self, other):
        return self._with(other, float.__add__)

    def __sub__(self, other):
        return self._with(other, float.__sub__)

    def __mul__(self, other):
        return self._with(other, float.__mul__, 1)

    def __truediv__(self, other):
        return self._with(other, float.__truediv__, 1)

    def __pow__(self, other):
        return self._with(other, float.__pow__, 1)

    def exp(self):
        return Counted(np.exp(self.value))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other):
        return Counted(float(other) - self.value)


def counted(array):
    return np.vectorize(Counted, otypes=[object])(array)


def products_to_form(m, n, d):
    """Multiplications of refgrow's own formula for m particles' matrices over n samples."""
    rng = np.random.default_rng(0)
    theta, X, C = (counted(rng.normal(size=s)) for s in ((m, d), (n, d), (m, n)))
    Counted.count = 0
    neurons.particle(1.0).hessian(theta, X, C)
    return Counted.count


def products_to_reduce(d):
    """Multiplications of Householder's tridiagonalisation, the bulk of an eigenproblem."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(d, d))
    A = counted(A + A.T)
    Counted.count = 0
    for k in range(d - 2):
        x = A[k + 1 :, k]
        v = x.copy()
        norm = np.sqrt(float((x * x).sum()))
        v[0] = v[0] + np.copysign(norm, float(v[0]))
        v = v * (1 / np.sqrt(float((v * v).sum())))
        p = A[k + 1 :, k + 1 :] @ v
        q = (p - v * (v * p).sum()) * 2.0
        A[k + 1 :, k + 1 :] = A[k + 1 :, k + 1 :] - np.outer(v, q) - np.outer(q, v)
    return Counted.count


@pytest.mark.statement("S2D-Cost")
def test_cost_is_dominated_by_the_data(evidence):
    # Forming: m n d^2, linear in neurons and in samples, quadratic in parameters.
    assert products_to_form(4, 4, 8) == 2 * products_to_form(2, 4, 8)
    four, eight, twelve = (products_to_form(1, n, 8) for n in (4, 8, 12))
    order = np.log2(products_to_form(1, 2, 48) / products_to_form(1, 2, 24))
    evidence(products_a_sample=(eight - four) / 4, order_in_d_of_forming=order)
    assert twelve - eight == eight - four and 8**2 <= (eight - four) / 4 <= 8**2 + 3 * 8
    assert abs(order - 2) < SLOPE
    # The eigenproblem: d^3, once, whatever the number of samples.
    order = np.log2(products_to_reduce(48) / products_to_reduce(24))
    evidence(order_in_d_of_the_eigenproblem=order)
    assert abs(order - 3) < SLOPE
    # So "n d^3" leaves out what costs most as soon as there are more samples than parameters: one
    # neuron of one parameter has no eigenproblem at all, and n products at least.
    assert products_to_form(1, 100, 1) >= 100 and products_to_reduce(1) == 0
    forming, reducing = products_to_form(1, 64, 8), products_to_reduce(8)
    evidence(forming_64_samples_of_8=forming, reducing_8=reducing)
    assert forming > 4 * reducing
    # The eigenproblem of the whole Hessian, N = 4 neurons x 8: about 4^2 times the four small ones.
    ratio = products_to_reduce(32) / (4 * reducing)
    evidence(whole_over_small=ratio)
    assert 12 < ratio < 24


# Appendix A.1 ---------------------------------------------------------------------------------


def cloned_hessian(problem, layer, j, fractions):
    """The Hessian of the loss in the copies of one neuron, all at theta, from the loss alone."""
    d = problem[0].arrays[layer].shape[1]
    m = len(fractions)

    def quadratic(direction):
        split = growth.Split(layer, j, fractions, direction.reshape(m, d))
        return 2 * change_series(problem, [split], 3)[2]

    return matrix_of(quadratic, m * d)


@pytest.mark.statement("S2D-A.1-derivatives")
@pytest.mark.parametrize(
    "problem, layer",
    [(shallow_problem("ridge(gelu)", loss="logistic"), 0), (shallow_problem("distance"), 0),
     (deep_problem((1, 2, 2)), 0), (deep_problem((1, 2, 2)), 1)],
    ids=["gelu", "distance", "first layer", "second layer"],
)  # fmt: skip
def test_a_1_derivatives(problem, layer, evidence):
    w = np.array([0.2, 0.5, 0.3])
    parts = s2d.curvature_parts(*problem)[layer]
    S, T = parts.splitting[1], parts.rest[1]
    H = cloned_hessian(problem, layer, 1, w)
    block = np.kron(np.diag(w), S) + np.kron(np.outer(w, w), T)
    evidence(error=np.abs(H - block).max())
    assert close(H, block)
    # The first derivatives: w_i times the neuron's gradient.
    _, gradients = networks.loss_and_gradient(*problem)
    u = np.arange(1.0, 1 + 3 * len(S)).reshape(3, -1) / 10
    first = change_series(problem, [growth.Split(layer, 1, w, u)], 2)[1]
    assert close(first, w @ u @ gradients[layer][1])
    # Negative controls: the copies' own weights lost in either part, T left out between copies.
    assert not close(H, np.kron(np.eye(3), S) + np.kron(np.outer(w, w), T))
    assert not close(H, np.kron(np.diag(w), S) + np.kron(np.diag(w), T))
    assert not close(H, np.kron(np.diag(w), S) + np.kron(np.diag(w**2), T))
    assert not close(first, u.sum(axis=0) @ gradients[layer][1])


@pytest.mark.statement("S2D-A.1-spectrum-new")
@pytest.mark.parametrize("name", ["bump", "ridge(tanh)", "particle(0.8)", "distance"])
@pytest.mark.parametrize("m", [2, 3])
def test_a_1_spectrum(name, m, evidence):
    """With equal fractions: the spectrum of H once and that of S m - 1 times, divided by m."""
    problem = shallow_problem(name, seed=2)
    [parts] = s2d.curvature_parts(*problem)
    spectrum = np.linalg.eigvalsh(cloned_hessian(problem, 0, 0, np.full(m, 1 / m)))
    lam_S, lam_H = (np.linalg.eigvalsh(a[0]) for a in (parts.splitting, parts.hessian))
    expected = np.sort(np.concatenate([lam_H, *[lam_S] * (m - 1)])) / m
    evidence(error=np.abs(spectrum - expected).max())
    assert close(spectrum, expected)
    assert not close(spectrum, np.sort(np.concatenate([lam_S] * m)) / m)  # S alone
    assert not close(spectrum, expected * m)
    # Unequal fractions: positive definite exactly where S and H are.
    w = np.array([0.1, 0.9]) if m == 2 else np.array([0.1, 0.2, 0.7])
    for strength, seed in ((2.0, 1), (-1.0, 0), (-10.0, 0)):
        point = stationary_problem(strength, seed)
        [[S]], [parts] = s2d.splitting_matrices(*point), s2d.curvature_parts(*point)
        stable = min(np.linalg.eigvalsh(S)[0], np.linalg.eigvalsh(parts.hessian[0])[0]) > 0
        lowest = np.linalg.eigvalsh(cloned_hessian(point, 0, 0, w))[0]
        assert (lowest > 0) == stable


@pytest.mark.statement("S2D-A.1-lines")
def test_a_1_lines_lack_the_weights(evidence):
    # The printed sums, sum (d A d - dbar A dbar) and sum (d - dbar) A (d - dbar), for A = 1,
    # against the true second-order term, sum w d A d - dbar A dbar.
    for w, delta, true, first, second in (
        ([0.5, 0.5], [1.0, -1.0], 1.0, 2.0, 2.0),
        ([0.25, 0.75], [3.0, -1.0], 3.0, 10.0, 10.0),
        ([0.25, 0.75], [1.0, 0.0], 3 / 16, 7 / 8, 5 / 8),
    ):
        w, delta = np.array(w), np.array(delta)
        mean = w @ delta
        value = w @ delta**2 - mean**2
        printed = np.sum(delta**2 - mean**2), np.sum((delta - mean) ** 2)
        evidence(true=value, printed=printed)
        assert value == true == w @ (delta - mean) ** 2 == w @ (delta**2 - mean**2)
        assert printed == (first, second)
        # The true line in the loss: Phi(s) = s, sigma = theta^2/2, where A = 1.
        half_square = (lambda t, x: t**2 / 2, lambda t, x: t, lambda t, x: 1 + 0 * t)
        problem = scalar_problem(half_square, [0.0])
        split = growth.Split(0, 0, w, delta[:, None])
        assert s2d.decompose(*problem, [split], 1.0).splitting == true / 2


@pytest.mark.statement("S2D-Lem-A.1", "S2D-Lem-A.1-sharp-new")
@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("where", PLACES)
def test_lem_a_1_additivity(where, kind, evidence):
    problem = deep_problem((2, 2, 2, 2), activation="tanh", outputs=2)
    splits = splits_at(PLACES[where], problem, kind)
    value = losses.squared.value(problem[0](problem[1]), problem[2])

    def interaction(e, of=change):
        return of(problem, splits, e) - sum(of(problem, [s], e) for s in splits)

    found = slope(interaction, value)
    evidence(slope=found.order, halvings=found.halvings)
    assert abs(found.order - 4) <= SLOPE
    # Every order below the fourth is zero, not only small: F = O(eps^4), better than the print.
    coefficients = change_series(problem, splits) - sum(change_series(problem, [s]) for s in splits)
    coefficients[0] = 0  # the loss itself, counted too often
    evidence(third=coefficients[3], fourth=coefficients[4])
    assert np.abs(coefficients[:3]).max() < SERIES and abs(coefficients[3]) < 1e-7
    assert abs(coefficients[4]) > 1e-5
    # Negative control: with means that are not zero, measured from the unmoved network, order two.
    splits = splits_at(PLACES[where], problem, "with means")
    found = slope(interaction, value)
    assert abs(found.order - 2) <= SLOPE


@pytest.mark.statement("S2D-Lem-A.1")
def test_lem_a_1_needs_zero_means(evidence):
    # Two linear neurons in a chain, f = theta_1 theta_2, x = 1, Phi(s) = s, both moved by eps.
    zero = [[[0.0, 0.0]], [[0.0, 0.0]], [[1.0, 0.0]]]
    problem = networks.MLP(zero, "identity"), np.ones((1, 1)), np.zeros((1, 1)), PLAIN
    both = [move(0, 0, [1.0, 0.0]), move(1, 0, [1.0, 0.0])]
    F = change(problem, both, 0.5) - sum(change(problem, [s], 0.5) for s in both)
    evidence("F at eps = 1/2", F)
    assert F == 0.25
    split = [pair(0, 0, [1.0, 0.0]), pair(1, 0, [1.0, 0.0])]
    assert change(problem, split, 0.5) == 0


# Appendix B.5 ---------------------------------------------------------------------------------


def kernel(a, b, h):
    return np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / 2 / h**2)


def mmd_problem(d, seed=0, m=3):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(m))
    return rng.normal(size=(m, d)), weights, rng.normal(size=(9, d)) + 0.5, 0.8


def mmd_after(problem, j, fractions, directions, size):
    """Eq 17's first line for the measure after a split, complex-safe, diagonal included."""
    theta, weights, points, h = problem
    theta = np.vstack([np.delete(theta, j, axis=0), theta[j] + size * np.asarray(directions)])
    weights = np.concatenate([np.delete(weights, j), weights[j] * np.asarray(fractions)])
    return (
        weights @ kernel(theta, theta, h) @ weights
        - 2 * weights @ kernel(theta, points, h).mean(axis=1)
        + kernel(points, points, h).mean()
    )


@pytest.mark.statement("S2D-Eq-17")
def test_eq_17_is_the_square_of_mmd(evidence):
    theta, weights, points = np.zeros((1, 1)), np.ones(1), np.ones((1, 1))
    value = s2d.mmd_squared(theta, weights, points, 1.0)
    evidence(printed=value, mmd=np.sqrt(value))
    assert close(value, 2 - 2 * np.exp(-0.5), EXACT)
    assert abs(value - 0.7869) < FOUND and abs(np.sqrt(value) - 0.8871) < FOUND
    # MMD is a norm and scales with its argument; the printed value scales with the square: half
    # the mass moved from 0 to 1 has a quarter of it.
    half = s2d.mmd_squared([[0.0], [1.0]], [0.5, 0.5], points, 1.0)
    assert close(half, value / 4, EXACT) and not close(half, value / 2, EXACT)
    # The diagonal belongs to it: without it, the distance of a measure to itself is negative.
    two = np.array([[0.0], [1.0]])
    assert abs(s2d.mmd_squared(two, [0.5, 0.5], two, 1.0)) < EXACT
    without = np.exp(-0.5) - (1 + np.exp(-0.5)) + np.exp(-0.5)
    evidence(without_the_diagonal=without)
    assert without < -0.39


@pytest.mark.statement("S2D-Eq-17")
@pytest.mark.parametrize("d", [1, 2, 3])
def test_eq_17_two_lines_agree(d, evidence):
    problem = mmd_problem(d)
    theta, weights, points, h = problem
    value = s2d.mmd_squared(*problem)
    assert close(value, mmd_after(problem, 0, [1.0], [np.zeros(d)], 0.0), EXACT)
    # Second line: features of a finite set, here the columns of a root of the Gram matrix.
    every = np.vstack([theta, points])
    lam, V = np.linalg.eigh(kernel(every, every, h))
    features = V * np.sqrt(np.maximum(lam, 0))
    gap = weights @ features[: len(theta)] - features[len(theta) :].mean(axis=0)
    evidence(kernels=value, features=gap @ gap)
    assert close(value, gap @ gap, EXACT)
    # The gradient, by the complex step on the naive sum.
    G = numerics.complex_step(
        lambda t: mmd_after((t, weights, points, h), 0, [1.0], [np.zeros(d)], 0.0), theta
    )
    assert close(s2d.mmd_gradient(*problem), G, EXACT)
    assert not close(s2d.mmd_gradient(*problem) / weights[:, None], G, EXACT)


@pytest.mark.statement("S2D-Eq-17")
@pytest.mark.parametrize("h", [0.3, 1.0, 2.5])
def test_eq_17_as_a_regression(h, evidence):
    theta, weights, points, _ = mmd_problem(1, seed=1)
    points = 4 * points
    problem = s2d.mmd_regression(points, h, lowest=-3, highest=3)
    net = networks.Shallow(theta, weights, problem.neuron)
    value = problem.factor * losses.squared.value(net(problem.X), problem.Y)
    exact = s2d.mmd_squared(theta, weights, points, h)
    evidence(regression=value, kernels=exact)
    assert close(value, exact, EXACT)
    _, (G, _) = networks.loss_and_gradient(net, problem.X, problem.Y, "squared")
    [S] = s2d.splitting_matrices(net, problem.X, problem.Y, "squared")
    assert close(problem.factor * G, s2d.mmd_gradient(theta, weights, points, h), EXACT)
    assert close(problem.factor * S, s2d.mmd_splitting_matrices(theta, weights, points, h), 1e-11)
    # At the ends of the stated interval, and where the points reach beyond it.
    inside = s2d.mmd_regression(points, h, lowest=-0.1, highest=0.1)
    value = inside.factor * losses.squared.value(net(inside.X), inside.Y)
    assert np.ptp(points) > 0.5 and close(value, exact, EXACT)
    for at in (-3.0, 3.0):
        far = net.with_arrays([[[at]] * 3, weights])
        value = problem.factor * losses.squared.value(far(problem.X), problem.Y)
        assert close(value, s2d.mmd_squared([[at]] * 3, weights, points, h), EXACT)
    # Negative control: a grid of twice the spacing is not exact any more.
    coarse = losses.squared.value(net(problem.X[::2]), problem.Y[::2]) * problem.factor
    assert not close(coarse, exact, EXACT)


@pytest.mark.statement("S2D-B.5-S")
@pytest.mark.parametrize("d", [1, 2, 3])
def test_b_5_splitting_matrices(d, evidence):
    problem = mmd_problem(d)
    theta, weights, _, h = problem
    matrices = s2d.mmd_splitting_matrices(*problem)
    for j in range(len(theta)):
        exact = matrix_of(
            lambda v, j=j: (
                2 * series(lambda e: mmd_after(problem, j, [0.5, 0.5], [v, -v], e), 3)[2]
            ),
            d,
        )
        evidence.worst("error", np.abs(matrices[j] - exact).max())
        assert close(matrices[j], exact)
        # Negative controls: the printed S_rho for the change, the self term dropped, the Hessian.
        self_term = -2 * weights[j] ** 2 / h**2 * np.eye(d)
        H = matrix_of(
            lambda v, j=j: 2 * series(lambda e: mmd_after(problem, j, [1.0], [v], e), 3)[2], d
        )
        assert not close(matrices[j] / weights[j], exact)
        assert not close(matrices[j] - self_term, exact)
        assert not close(H, exact)
        # T = 2 w^2 grad_1 grad_2 k(theta, theta) = 2 w^2 I / h^2.
        assert close(H - exact, -self_term)


@pytest.mark.statement("S2D-B.5-S")
def test_b_5_without_the_self_term_nothing_splits(evidence):
    points = np.array([0.45] * 3 + [-0.45] * 3 + [100.9, 99.1])[:, None]
    theta, weights = np.array([[0.0], [100.0]]), np.array([0.75, 0.25])
    printed = s2d.mmd_splitting_matrices(theta, weights, points, 1.0)[:, 0, 0] / weights
    without = printed + 2 * weights
    evidence(with_self_term=printed, without=without)
    assert np.abs(printed - [-0.42, -0.44]).max() < 0.01
    assert np.abs(without - [1.08, 0.063]).max() < 0.01


@pytest.mark.statement("S2D-B.5-single-new")
@settings(max_examples=40)
@given(strategies.generators, st.integers(1, 3), st.floats(0.2, 5.0))
def test_b_5_one_particle_can_always_be_split(evidence, rng, d, h):
    """One particle, stationary or not: S is negative definite unless the sample is the particle."""
    theta, points = rng.normal(size=(1, d)), rng.normal(size=(int(rng.integers(1, 6)), d))
    [S] = s2d.mmd_splitting_matrices(theta, [1.0], points, h)
    largest = np.linalg.eigvalsh(S)[-1] * h**2  # in units of the kernel's curvature
    evidence.worst("largest eigenvalue", largest)
    assert largest < 0
    # At distance z along v it is 2 (-1 + (1 - z^2) exp(-z^2 / 2)): of order -3 z^2 for small z.
    [S] = s2d.mmd_splitting_matrices(theta, [1.0], theta, h)
    assert np.abs(S).max() * h**2 < EXACT


@pytest.mark.statement("S2D-B.5-single-new")
def test_b_5_two_particles_may_resist(evidence):
    # Negative control: of two particles, the one that sits where the whole sample is has S > 0:
    # 2 (1/2) (-1/2 + 3 exp(-2) / 2 + 1).
    S = s2d.mmd_splitting_matrices([[0.0], [2.0]], [0.5, 0.5], [[0.0]], 1.0)
    evidence(S=S[:, 0, 0])
    assert close(S[0, 0, 0], 0.5 + 1.5 * np.exp(-2), EXACT)
