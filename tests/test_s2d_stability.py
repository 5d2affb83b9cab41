"""S2D, section 2.1 from Theorem 2.3 on: stable neurons, and that two copies are the best split.

Searches over all splits: random schemes, and linear programmes over every scheme on a grid, with
any number of copies. Each has a negative control: the same search passes a bound that is wrong.
"""

import numpy as np
import pytest
import strategies
from augmented import EXACT, SLOPE, change, close, grown, move, pair, slope
from by_hand import CONCAVE, HALF_SQUARE, parabola, scalar_problem
from examples import deep_problem
from hypothesis import given, settings
from scipy.optimize import linprog
from stationary import full_hessian, stationary_problem

from refgrow import growth, losses, networks, neurons, s2d

LINPROG = 1e-6  # HiGHS meets its constraints to 1e-7


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


# Theorem 2.3 -------------------------------------------------------------------------------------


TILTED = parabola(1.0)  # x theta + theta^2/2


@pytest.mark.statement("S2D-Thm-2.3a")
def test_thm_2_3a_hence_needs_the_paragraph_before(evidence):
    # sigma = theta^2/2, Phi(s) = s, theta = 1: S = 1, and moving without splitting lowers the loss.
    problem = scalar_problem(HALF_SQUARE, [1.0])
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
    # Negative controls: two copies on the same side are a move; lam_min without the half.
    v = plan.edits[0].directions[0]
    assert change(problem, [growth.Split(0, 0, [0.5, 0.5], [v, v])], 0.01) > 0
    wrong = slope(lambda e: change(problem, plan.edits, e) - 2 * plan.predicted(e), value)
    assert abs(wrong.order - 2) <= SLOPE


# Where the smallest eigenvalue is zero -----------------------------------------------------------


# Half the sum over the two samples, so that the numbers below are round.
_sum_of_squares = losses.Loss(
    "half the sum of two squares",
    lambda F, Y: ((F - Y) ** 2)[:, 0],
    lambda F, Y: 2 * (F - Y),
    lambda F, Y: 2 + 0 * F[:, :, None],
    lambda Y, n, p: np.asarray(Y),
)


def sine_problem():
    """sin(theta x), x = (1, 2), y = (2, -1), theta = 0: G = 0, S = 0, H = 5."""
    net = networks.Shallow([[0.0]], [1.0], neurons.ridge("sine"))
    return net, np.array([[1.0], [2.0]]), np.array([[2.0], [-1.0]]), _sum_of_squares


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


# The remark after Theorem 2.3 --------------------------------------------------------------------


@pytest.mark.statement("S2D-Rem-2.3")
def test_rem_2_3_splitting_stable_is_not_stable(evidence):
    # The example of Thm 2.3 a: S = 1 and G = 0, H = -1; Phi(s) = s - s^2 is not convex.
    problem = scalar_problem(TILTED, [0.0], (1.0, -1.0), CONCAVE)
    [parts] = s2d.curvature_parts(*problem)
    evidence(S=parts.splitting[0, 0, 0], H=parts.hessian[0, 0, 0])
    assert parts.splitting[0, 0, 0] == 1 and parts.hessian[0, 0, 0] == -1
    # "If both are positive definite, no local update helps" is about stationary points: theta^2/2
    # at theta = 1 has S = H = 1, and moving helps.
    problem = scalar_problem(HALF_SQUARE, [1.0])
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
    # The remark speaks of the joint Hessian, and that is [[1, 2], [2, 1]]: not positive definite.
    cross = (loss(eps, eps) - loss(eps, -eps)) / (2 * eps**2)
    joint = np.linalg.eigvalsh([[1.0, cross], [cross, 1.0]])
    evidence(joint_hessian=joint.tolist())
    assert np.allclose(joint, [-1, 3])


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
