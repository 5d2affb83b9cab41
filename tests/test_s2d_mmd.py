"""S2D, appendix B.5: kernel particles that approach a sample in MMD.

Oracles: the sum over pairs written out for complex sizes, features of a finite set, examples.
"""

import numpy as np
import pytest
import strategies
from augmented import EXACT, close, matrix_of, series
from hypothesis import given, settings
from hypothesis import strategies as st

from refgrow import losses, networks, numerics, s2d

FOUND = 1e-4  # constants given to four digits


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
