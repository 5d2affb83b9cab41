"""S2D, appendix B.1: the toy network where it is stationary, and how it gets out."""

import numpy as np
import oracles
import pytest
import stationary
from augmented import EXACT, SLOPE
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import generators

from refgrow import networks, neurons, numerics, s2d, s2d_theory
from refgrow.networks import Shallow

# The index at stationary points ------------------------------------------------------------------


# theta, generic and in every degenerate case.
BUMPS = {
    "generic": [0.7, -0.3, 1.5],
    "negative amplitude": [-1.2, 0.4, -0.8],
    "theta_2 = 0": [1.0, 0.0, 1.0],
    "theta_1 = 0": [0.0, 0.5, 1.0],
    "theta_1 = 0, theta_2 > 1": [0.0, 2.0, -1.0],
    "theta_1 = theta_2 = 0": [0.0, 0.0, 1.3],
    "theta_3 = 0": [0.9, -0.4, 0.0],
    "theta_1 = theta_3 = 0": [0.0, 0.6, 0.0],
    "all 0": [0.0, 0.0, 0.0],
}


def bumps(theta, seed, trained, residual=1.0, weights=None):
    """A toy network, its neighbour fixed or not, stationary in the trained arrays (None: not)."""
    rng = np.random.default_rng(seed)
    theta = np.array([theta, [0.8, 1.1, 0.9]])
    network = Shallow(theta, np.ones(2) if weights is None else weights, neurons.bump)
    X = rng.uniform(-2.5, 2.5, size=(9, 1))
    r = residual * rng.normal(size=(9, 1))
    if trained is None:
        return network, X, network(X) - r
    return network, X, stationary.stationary_targets(network, X, r, trained)


@pytest.mark.statement("S2D-B.1-stationary")
@pytest.mark.parametrize("case", BUMPS)
def test_b_1_the_matrices_follow_from_five_moments(case, evidence):
    for weights in (None, np.array([-0.7, 2.0])):
        network, X, Y = bumps(BUMPS[case], 0, None, weights=weights)
        S = s2d.splitting_matrices(network, X, Y, "squared")[0]
        given_moments = s2d_theory.bump_moments(network, X, Y, "squared")
        error = np.abs(given_moments.splitting_matrices - S).max()
        evidence.worst("largest difference", error)
        assert error < EXACT and not S[:, 2, 2].any()
        # Any neuron with an amplitude has that zero: never positive definite, stationary or not.
        assert (np.linalg.eigvalsh(S)[:, 0] <= EXACT).all()


@pytest.mark.statement("S2D-B.1-stationary")
@pytest.mark.parametrize("trained", [(0,), (0, 1)], ids=["theta", "theta and weights"])
@pytest.mark.parametrize("case", BUMPS)
def test_b_1_the_index_at_stationary_points(case, trained, evidence):
    for seed in range(4):
        network, X, Y = bumps(BUMPS[case], seed, trained)
        _, gradients = networks.loss_and_gradient(network, X, Y, "squared")
        assert max(np.abs(gradients[k]).max() for k in trained) < EXACT
        moments = s2d_theory.bump_moments(network, X, Y, "squared")
        S = s2d.splitting_matrices(network, X, Y, "squared")[0]
        lam = np.linalg.eigvalsh(S)[:, 0]
        evidence.worst("closed form", np.abs(moments.indices - lam).max())
        evidence.worst("lam_min", lam.max())
        assert np.allclose(moments.indices, lam, rtol=0, atol=1e-11)
        # Not even the block of theta_1 and theta_2 is definite: its last entry is zero.
        assert np.abs(S[:, 1, 1]).max() < EXACT and (lam <= EXACT).all()
        t1, t2, t3 = BUMPS[case]
        m = moments.moments[0]
        if t1 * t3:
            assert np.abs(m[:3]).max() < 1e-11
            a, b = t3 * (t1**2 * m[4] + 2 * t1 * t2 * m[3]), t3 * t1**2 * m[3]
            assert abs((a - np.sqrt(a * a + 4 * b * b)) / 2 - lam[0]) < 1e-11 and lam[0] < -1e-6
        elif t3:
            a = t3 * (t2**2 - 1) * m[2]
            expected = min(a, 0) if t2 else (a - np.sqrt(a * a + 4 * (t3 * m[1]) ** 2)) / 2
            assert abs(m[0]) < 1e-11 and abs(expected - lam[0]) < 1e-11
        else:
            p = np.hypot(t1 * m[2] + t2 * m[1], t1 * m[1])
            assert abs(m[0]) < 1e-11 and abs(p + lam[0]) < 1e-11
    # Negative control: away from stationary points the closed form is wrong.
    network, X, Y = bumps(BUMPS[case], 0, None)
    lam = np.linalg.eigvalsh(s2d.splitting_matrices(network, X, Y, "squared")[0])[:, 0]
    assert np.abs(s2d_theory.bump_moments(network, X, Y, "squared").indices - lam).max() > 1e-4


# Where no pair of copies helps -------------------------------------------------------------------


def stuck(theta, x, nu, amplitude=True):
    """One neuron with residual times window equal to nu: (rho, X, Y)."""
    x, nu = np.asarray(x, dtype=float), np.asarray(nu, dtype=float)
    g = np.exp(-((theta[0] * x + theta[1]) ** 2) / 2)
    Y = (theta[2] * g - nu / g)[:, None]
    if amplitude:
        return Shallow(np.array([theta], dtype=float), np.ones(1), neurons.bump), x[:, None], Y
    # The same neuron with its amplitude fixed at 1.
    X = np.stack([x, np.ones_like(x)], axis=1)
    return Shallow(np.array([theta[:2]], dtype=float), np.ones(1), neurons.ridge("gaussian")), X, Y


FIVE = ([1, 0, 1], [-2, -1, 0, 1, 2], [1, -4, 6, -4, 1])


@pytest.mark.statement("S2D-B.1-stationary")
def test_b_1_five_samples_a_strict_minimum_that_no_pair_of_copies_leaves(evidence):
    rho, X, Y = stuck(*FIVE)
    S = s2d.splitting_matrices(rho, X, Y, "squared")[0][0]
    H = np.linalg.eigvalsh(stationary.full_hessian(rho, X, Y, "squared", trained=[0]))
    L, gradients = networks.loss_and_gradient(rho, X, Y, "squared")
    evidence("targets", np.round(Y[:, 0], 5).tolist())
    evidence("loss", L)
    evidence("eigenvalues of S", np.linalg.eigvalsh(S).round(6).tolist())
    evidence("eigenvalues of the Hessian", H.round(4).tolist())
    assert np.abs(gradients[0]).max() < EXACT
    assert np.allclose(S, np.diag([4.8, 0, 0]), rtol=0, atol=EXACT)
    assert np.allclose(H, [0.1765, 0.3479, 5.0710], atol=1e-4) and abs(L - 23.218) < 1e-3
    assert not s2d.decide(rho, X, Y, "squared").edits
    # Negative control: the residual of the other sign is stationary too, and splits.
    rho, X, Y = stuck(FIVE[0], FIVE[1], -np.array(FIVE[2]))
    assert abs(s2d_theory.bump_moments(rho, X, Y, "squared").indices[0] + 4.8) < EXACT


@pytest.mark.statement("S2D-B.1-stationary")
@settings(max_examples=30)
@given(rng=generators, n=st.integers(1, 5))
def test_b_1_five_inputs_are_needed_for_a_strict_minimum(rng, n, evidence):
    # m_0 = m_1 = m_2 = m_3 = 0 on n distinct inputs: a Vandermonde system of full rank for n <= 4.
    x = rng.uniform(-2, 2) + np.cumsum(rng.uniform(0.3, 1, size=n))
    values = np.linalg.svd(np.vander(x, 4, increasing=True).T, compute_uv=False)
    evidence(f"rank for {n} inputs", int((values > 1e-9 * values[0]).sum()))
    assert (values > 1e-9 * values[0]).sum() == min(n, 4)


@pytest.mark.statement("S2D-B.1-stationary", "S2D-Thm-2.3-potential-new")
def test_b_1_three_samples_where_no_splitting_whatever_helps(evidence):
    rho, X, Y = stuck([0, 0, 1], [-1, 0, 1], [-1, 2, -1])
    assert np.array_equal(Y[:, 0], [2, -1, 2])
    S = s2d.splitting_matrices(rho, X, Y, "squared")[0][0]
    H = stationary.full_hessian(rho, X, Y, "squared", trained=[0])
    assert np.allclose(S, np.diag([2 / 3, 0, 0])) and np.allclose(H, np.diag([2 / 3, 0, 1]))
    psi = s2d_theory.potential(rho, X, Y, "squared")
    radius, rng = np.sqrt(0.5), np.random.default_rng(0)
    ball = rng.normal(size=(20000, 3))
    ball *= radius * rng.random((20000, 1)) ** (1 / 3) / np.linalg.norm(ball, axis=1, keepdims=True)
    values = psi.value(rho.theta + ball)
    best = s2d_theory.best_in_ball(rho, X, Y, "squared", radius)
    far = s2d_theory.best_in_ball(rho, X, Y, "squared", 2.0)
    evidence("least potential in the ball of radius 1/sqrt(2)", values.min())
    evidence("best change in that ball", best.change)
    evidence("best change in the ball of radius 2", far.change)
    assert psi.value(rho.theta)[0] == 0 and values.min() >= 0
    # The bound that proves it: |a| + |b| <= 1, where exp(-z^2/2) is concave.
    a, b = ball[:, 0], ball[:, 1]
    gauss = [np.exp(-(z**2) / 2) for z in (b, b + a, b - a)]
    assert np.allclose(values, (1 + ball[:, 2]) / 3 * (2 * gauss[0] - gauss[1] - gauss[2]))
    assert best.change == 0 and best.gap < 1e-14
    assert far.change < -0.1


@pytest.mark.statement("S2D-B.1-stationary")
@pytest.mark.parametrize(
    "x, nu, eigenvalues",
    [([-0.5, 1, 2], np.array([-8, -10, 3]) / 15, [1 / 6, 1.0]), ([-2, -1, 1, 2], [1, -4, -4, 1],
     [1.5, 6.0])],
)  # fmt: skip
def test_b_1_with_the_amplitude_fixed_positive_definite_is_possible(x, nu, eigenvalues, evidence):
    rho, X, Y = stuck([1, 0, 1], x, nu, amplitude=False)
    _, gradients = networks.loss_and_gradient(rho, X, Y, "squared")
    assert np.abs(gradients[0]).max() < EXACT
    S = s2d.splitting_matrices(rho, X, Y, "squared")[0][0]
    H = stationary.full_hessian(rho, X, Y, "squared", trained=[0])
    evidence("eigenvalues of S", np.linalg.eigvalsh(S).tolist())
    evidence("eigenvalues of the Hessian", np.linalg.eigvalsh(H).tolist())
    assert np.allclose(np.linalg.eigvalsh(S), eigenvalues) and np.linalg.eigvalsh(H)[0] > 0
    best = s2d_theory.best_in_ball(rho, X, Y, "squared", 0.05)
    assert best.change == 0 and best.gap < 1e-14
    # Strict: it survives small changes of the targets followed by training, here in one step.
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = Y * rng.uniform(0.99, 1.01, size=Y.shape)
        theta = rho.theta
        for _ in range(20):
            moved = rho.with_arrays([theta, rho.weights])
            _, (gradient, _) = networks.loss_and_gradient(moved, X, other, "squared")
            H = stationary.full_hessian(moved, X, other, "squared", trained=[0])
            theta = theta - np.linalg.solve(H, gradient[0])
        assert np.abs(gradient).max() < EXACT
        assert np.linalg.eigvalsh(s2d.splitting_matrices(moved, X, other, "squared")[0])[0, 0] > 0
    # With the amplitude trained the point is not stationary: m_0 is not zero.
    bump, x1, _ = stuck([1, 0, 1], x, nu)
    moments = s2d_theory.bump_moments(bump, x1, Y, "squared").moments[0]
    assert np.abs(moments[1:3]).max() < EXACT < 0.1 < abs(moments[0])


@pytest.mark.statement("S2D-B.1-stationary")
def test_b_1_with_the_amplitude_fixed_two_inputs_suffice_at_the_peak(evidence):
    # theta = (0, 0): z = 0 at every input, so nothing is asked of the residual, and S = -E[r (x, 1)
    # (x, 1)^T]. One input gives rank one.
    rho, X, Y = stuck([0, 0, 1], [-1, 1], [-1, -1], amplitude=False)
    assert np.array_equal(Y, [[2.0], [2.0]])
    _, gradients = networks.loss_and_gradient(rho, X, Y, "squared")
    S = s2d.splitting_matrices(rho, X, Y, "squared")[0][0]
    best = s2d_theory.best_in_ball(rho, X, Y, "squared", 0.3)
    evidence("S", S.tolist())
    assert not gradients[0].any() and np.allclose(S, np.eye(2), rtol=0, atol=EXACT)
    assert best.change == 0 and best.gap < 1e-14


@pytest.mark.statement("S2D-B.1-stationary")
@pytest.mark.parametrize("seed", range(5))
def test_b_1_with_the_amplitude_fixed_two_inputs_do_not_suffice_off_it(seed, evidence):
    # Stationary: z nu x and z nu sum to zero, a system of determinant z_1 z_2 (x_1 - x_2). So nu
    # lives where z = 0, for theta_1 not 0 on one input, and S = -nu (x, 1)(x, 1)^T / 2 has rank 1.
    rng = np.random.default_rng(seed)
    x, theta = rng.normal(size=2), np.append(rng.normal(size=2), 1.0)
    z = theta[0] * x + theta[1]
    system = np.stack([z * x, z])
    assert abs(np.linalg.det(system) - z[0] * z[1] * (x[0] - x[1])) < EXACT
    theta[1] = -theta[0] * x[0]
    rho, X, Y = stuck(theta, x, [-1.0, 0.0], amplitude=False)
    _, gradients = networks.loss_and_gradient(rho, X, Y, "squared")
    lam = np.linalg.eigvalsh(s2d.splitting_matrices(rho, X, Y, "squared")[0][0])
    evidence("eigenvalues of S", lam.tolist())
    assert np.abs(gradients[0]).max() < EXACT and abs(lam[0]) < EXACT < lam[1]


# Other families with an amplitude ----------------------------------------------------------------


class Amplitude:
    """sigma = theta_1 g(theta_2, x): families with an amplitude that are not the bump."""

    name = "amplitude"

    def __init__(self, g, dg, ddg):
        self.g, self.dg, self.ddg = g, dg, ddg

    def parameters(self, inputs):
        return 2

    def value(self, theta, X):
        return theta[:, 0] * self.g(theta[:, 1], X)

    def jacobian(self, theta, X):
        return np.stack([self.g(theta[:, 1], X), theta[:, 0] * self.dg(theta[:, 1], X)], axis=2)

    def gradient(self, theta, X, C):
        return np.einsum("mn,nmd->md", C, self.jacobian(theta, X))

    def hessian(self, theta, X, C):
        off = np.einsum("mn,nm->m", C, self.dg(theta[:, 1], X))
        last = np.einsum("mn,nm->m", C, theta[:, 0] * self.ddg(theta[:, 1], X))
        return np.array([[0 * off, off], [off, last]]).transpose(2, 0, 1)


def window(c, x):
    return np.exp(-((x - c) ** 2) / 2)


OTHERS = {
    "tanh(w x) at w = 1": (
        Amplitude(
            lambda w, x: np.tanh(w * x),
            lambda w, x: x * (1 - np.tanh(w * x) ** 2),
            lambda w, x: -2 * x**2 * np.tanh(w * x) * (1 - np.tanh(w * x) ** 2),
        ),
        1.0,
        [1.0, 2, 3],
        0.0769,
    ),
    "a window of fixed width at c = 0": (
        Amplitude(
            window,
            lambda c, x: (x - c) * window(c, x),
            lambda c, x: ((x - c) ** 2 - 1) * window(c, x),
        ),
        0.0,
        [-1.0, 0, 1],
        # r = (e^(1/2), -2, e^(1/2)) / 2: the mean of r g x^2 is 1/3.
        1 / 3,
    ),
}


@pytest.mark.statement("S2D-B.1-stationary", "S2D-B.1-escape-new")
@pytest.mark.parametrize("case", OTHERS)
def test_b_1_other_families_with_an_amplitude(case, evidence):
    # Amplitude 1, the residual orthogonal to both derivatives on three inputs.
    neuron, parameter, x, entry = OTHERS[case]
    X = np.array(x)[:, None]
    rho = Shallow(np.array([[1.0, parameter]]), np.ones(1), neuron)
    r = np.cross(*rho.neuron.jacobian(rho.theta, X)[:, 0].T)
    r = -r / r[1]
    Y = rho(X) - r[:, None]
    S = s2d.splitting_matrices(rho, X, Y, "squared")[0][0]
    H = np.linalg.eigvalsh(stationary.full_hessian(rho, X, Y, "squared", trained=[0]))
    best = s2d_theory.best_in_ball(rho, X, Y, "squared", 0.1)
    evidence("residual", r.round(6).tolist())
    evidence("S", S.round(6).tolist())
    evidence("eigenvalues of the Hessian", H.round(4).tolist())
    evidence("best change", best.change)
    assert np.allclose(S, np.diag([0, entry]), atol=1e-4) and H[0] > 0.1
    # Semidefinite as for the bump, but here truly stuck.
    assert abs(best.change) < 1e-15 and best.gap < 1e-14


# The way out -------------------------------------------------------------------------------------


@pytest.mark.statement("S2D-B.1-escape-new")
def test_b_1_escape_the_windows_solve_the_heat_equation(evidence):
    # h = E[r N(x; mu, s)] has the sign of Psi / theta_3, and dh/ds = (1/2) d^2 h / dmu^2.
    rng = np.random.default_rng(0)
    rho, X, Y = stuck([0.8, -0.5, 1.2], rng.uniform(-2, 2, 6), rng.normal(size=6))
    psi = s2d_theory.potential(rho, X, Y, "squared")

    def h(mu, s):
        theta = np.array([[1 / np.sqrt(s), -mu / np.sqrt(s), 1.0]])
        return psi.slope @ neurons.bump.value(theta, X)[:, 0] / np.sqrt(2 * np.pi * s)

    for _ in range(20):
        mu, s = rng.normal(), rng.uniform(0.5, 2)
        by_s = oracles.circle(lambda t, mu=mu, s=s: h(mu, s + t), 1)
        by_mu = oracles.circle(lambda t, mu=mu, s=s: h(mu + t, s), 2)
        evidence.worst("residual of the heat equation", abs(by_s - by_mu / 2))
        assert abs(by_s - by_mu / 2) < 1e-9
        theta = [[1 / np.sqrt(s), -mu / np.sqrt(s), 1.2]]
        assert np.sign(psi.value(theta)[0]) == np.sign(h(mu, s))


def change_of_copies(rho, X, Y, theta, masses):
    """L after minus L before for the squared loss, from the step alone: no cancellation."""
    step = rho.neuron.value(np.asarray(theta), X) @ masses - rho(X)[:, 0]
    return (step * ((rho(X) - Y)[:, 0] + step / 2)).mean()


def mehler(nodes, size):
    """Copies whose means are the nodes times size, in x, and whose variance is less by size^2."""
    k = np.full(len(nodes), 1 / np.sqrt(1 - size**2))
    return np.stack([k, -size * k * nodes, k], axis=1)


@pytest.mark.statement("S2D-B.1-escape-new")
def test_b_1_escape_from_the_five_samples_by_two_copies(evidence):
    rho, X, Y = stuck(*FIVE)
    nodes, masses = np.array([-1.0, 1.0]), np.array([0.5, 0.5])

    def escape(size):
        return change_of_copies(rho, X, Y, mehler(nodes, size), masses)

    slope = numerics.taylor_slope(escape, scale=1.0, largest=0.2)
    plain = change_of_copies(rho, X, Y, [[1, 0.01, 1], [1, -0.01, 1]], masses)
    best = s2d_theory.best_in_ball(rho, X, Y, "squared", 0.1)
    evidence("order", slope.order)
    evidence("change / eps^4 at 0.01", escape(0.01) / 0.01**4)
    evidence("the same without moving the mean", plain / 0.01**4)
    evidence("best measure within 0.1, / 0.1^4", best.change / 0.1**4)
    assert abs(slope.order - 4) < SLOPE and abs(escape(0.01) / 0.01**4 + 0.4) < 1e-3
    # Negative control: the plain pair along theta_2 raises the loss, at the same order.
    assert abs(plain / 0.01**4 - 0.2333) < 1e-3
    assert best.change < -0.39 * 0.1**4


@pytest.mark.statement("S2D-B.1-escape-new")
def test_b_1_escape_by_three_gauss_hermite_copies(evidence):
    # Seven inputs, nu the alternating binomials: m_0 = ... = m_5 = 0, and n = 3 copies at the
    # nodes of Gauss and Hermite change the loss by -n!/(2n)! m_2n size^2n, here -m_6 size^6 / 120.
    rho, X, Y = stuck([1, 0, 1], np.arange(-3, 4) / 2, [1, -6, 15, -20, 15, -6, 1])
    m = s2d_theory.bump_moments(rho, X, Y, "squared").moments[0]
    assert np.abs(m).max() < EXACT
    m6 = np.mean(np.array([1, -6, 15, -20, 15, -6, 1]) * (np.arange(-3, 4) / 2) ** 6)
    nodes, masses = np.sqrt(3) * np.array([-1.0, 0, 1]), np.array([1, 4, 1]) / 6
    ratio = {
        size: change_of_copies(rho, X, Y, mehler(nodes, size), masses) / (-m6 / 120 * size**6)
        for size in (1 / 16, 1 / 32, 1 / 64)
    }
    two = change_of_copies(rho, X, Y, mehler(np.array([-1.0, 1]), 1 / 32), np.array([0.5, 0.5]))
    for size, value in ratio.items():
        evidence(f"change / predicted at {size}", value)
    # The error of the leading term falls with size^2: 2.6%, 0.6%, 0.2% and rounding.
    assert abs(ratio[1 / 16] - 1) < 0.03 and abs(ratio[1 / 32] - 1) < 0.01
    # Negative control: two copies are not the quadrature rule; they do not keep the coefficient.
    assert abs(two / (-m6 / 120 / 32**6) - 1) > 0.3


@pytest.mark.statement("S2D-B.1-escape-new")
@pytest.mark.parametrize("seed", range(6))
def test_b_1_escape_wherever_the_second_order_is_stuck(seed, evidence):
    # Stationary, S >= 0, theta_1 and theta_3 not zero: m_0 = ... = m_3 = 0, theta_3 m_4 > 0.
    rng = np.random.default_rng(seed)
    theta = np.array([rng.uniform(0.6, 1.4), rng.normal() / 2, rng.choice([-1, 1]) * 1.2])
    x = np.sort(rng.uniform(-2, 2, size=7))
    basis = np.linalg.qr(np.vander(x, 4, increasing=True))[0]
    nu = rng.normal(size=7)
    for _ in range(2):
        nu = nu - basis @ (basis.T @ nu)
    nu *= np.sign(theta[2] * (nu @ x**4))
    rho, X, Y = stuck(theta, x, 0.1 * nu)
    moments = s2d_theory.bump_moments(rho, X, Y, "squared")
    assert np.abs(moments.moments[0, :4]).max() < EXACT and abs(moments.indices[0]) < EXACT
    for size in (0.4, 0.2):
        best = s2d_theory.best_in_ball(rho, X, Y, "squared", size)
        evidence(f"least change in the ball of radius {size}", best.change)
        assert best.change < -1e-8 and best.change + best.gap < 0
    # Negative control: without residual there is nothing to gain.
    assert s2d_theory.best_in_ball(rho, X, rho(X), "squared", 0.4).change == 0
