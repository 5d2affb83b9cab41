"""S3D, section 2 and 2.1: the signed problem and the schemes that solve it.

The schemes are checked number by number by `signed_schemes.py`, which knows none of the formulas of
`refgrow.s3d`. Whether better ones exist is the subject of `test_s3d_optimum.py`. Every test of a
claim has a negative control.
"""

import numpy as np
import pytest
import strategies
from augmented import (
    EXACT,
    SLOPE,
    change,
    change_series,
    close,
    grown,
    slope,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_schemes import (
    CONSTANTS,
    KINDS,
    constants,
    matrices,
    random_schemes,
    turned,
    value,
    values,
    violation,
)
from stationary import stationary_problem

from refgrow import growth, losses, networks, neurons, s2d, s3d

GRID = 2e-3  # how far the best point of a grid over fractions may lie from the best point


def sine_problem():
    """sin(theta x), x = (1, 2), y = (2, -1), theta = 0: a strict local minimum with S = 0."""
    net = networks.Shallow([[0.0]], [1.0], neurons.ridge("sine"))
    return net, np.array([[1.0], [2.0]]), np.array([[2.0], [-1.0]]), "squared"


# Equation 3: fractions that are not negative ---------------------------------------------------


@pytest.mark.statement("S3D-Eq-3")
@settings(max_examples=60)
@given(matrices, st.integers(1, 6), strategies.generators)
def test_eq_3_gain_of_positive_fractions(evidence, drawn, m, rng):
    S, spectrum = drawn
    scale = max(1.0, np.abs(spectrum).max())
    gain = s3d.best_gain(spectrum[0], spectrum[-1], 1.0, m)
    # One copy cannot move at zero mean: the printed value needs m >= 2.
    assert abs(gain - (min(spectrum[0], 0.0) if m > 1 else 0.0)) <= EXACT * scale
    w, D, attained = s3d.best_scheme(S, 1.0, m)
    assert (w >= 0).all() and abs(value(S, w, D) - gain) <= EXACT * scale
    found = values(S, *random_schemes(1.0, m, len(S), 300, rng))
    evidence.worst("by how much a random scheme is better", gain - found.min())
    assert found.min() >= gain - EXACT * scale
    if m == 2:
        assert abs(s2d.best_split(S).gain - attained) <= EXACT * scale


@pytest.mark.statement("S3D-Eq-3")
def test_eq_3_control_and_the_edge(evidence):
    rng = np.random.default_rng(0)
    S = np.diag([-1.0, 2.0])
    # Negative controls: random schemes refuse 0.9 lam_min as the value, and signed ones lam_min.
    found = values(S, *random_schemes(1.0, 3, 2, 4000, rng)).min()
    evidence(best_of_random_schemes=found)
    assert -1 <= found < -0.9 and values(S, *random_schemes(3.0, 3, 2, 4000, rng)).min() < -1
    assert value(S, [0.5, 0.5], [[1.0, 0.0], [-1.0, 0.0]]) == -1.0
    # Unit directions: for an eigenvector of length 2 (the print only asks for one) it is -4.
    assert value(S, [0.5, 0.5], [[2.0, 0.0], [-2.0, 0.0]]) == -4.0
    # lam_min = 0, and the loss still goes down, by eps^3 / 8: no gain is a matter of order two.
    problem = sine_problem()
    [[S]] = s2d.splitting_matrices(*problem)
    assert s3d.best_gain(S[0, 0], S[0, 0], 1.0, 6) == 0
    thirds = growth.Split(0, 0, [1 / 3, 2 / 3], [[1.0], [-0.5]])
    ratio = change(problem, [thirds], 0.01) / 0.01**3
    evidence(change_over_eps_cubed=ratio)
    assert abs(ratio + 0.125) < 1e-3


# Equation 6: signed fractions ------------------------------------------------------------------


def faults(S, spectrum, c, m, scheme):
    """What is wrong with a scheme that claims to solve problem (6); empty where nothing is."""
    w, D, gain = scheme
    d, tolerance = len(S), EXACT * c * max(1.0, np.abs(spectrum).max())
    found = []
    if w.shape != (m,) or D.shape != (m, d):
        return ["shape"]
    if violation(w, D, c) > EXACT:
        found.append("infeasible")
    if abs(value(S, w, D) - gain) > tolerance:
        found.append("not its gain")
    if abs(gain - s3d.best_gain(spectrum[0], spectrum[-1], c, m)) > tolerance:
        found.append("not the best gain")
    if gain == 0 and not (np.array_equal(w, np.full(m, 1 / m)) and not D.any()):
        found.append("not at rest")
    if w[4:].any() and gain:
        found.append("more than four copies")
    return found


@pytest.mark.statement("S3D-Eq-6", "S3D-Thm-2.1", "S3D-Thm-2.2-optimum-new", "S3D-Thm-2.3")
@settings(max_examples=300)
@given(matrices, constants, st.integers(1, 6))
def test_the_scheme_is_feasible_and_attains_the_gain(evidence, drawn, c, m):
    S, spectrum = drawn
    scheme = s3d.best_scheme(S, c, m)
    evidence.worst("violation", violation(*scheme[:2], c))
    assert faults(S, spectrum, c, m, scheme) == []
    assert close(s3d.scheme_gain(S, *scheme[:2]), value(S, *scheme[:2]), EXACT * c)


@pytest.mark.statement("S3D-Eq-6", "S3D-Thm-2.1", "S3D-Thm-2.2-optimum-new", "S3D-Thm-2.3")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_matrix(kind, evidence):
    S, _ = turned(KINDS[kind], np.random.default_rng(7))
    spectrum = np.array(KINDS[kind])
    for c in CONSTANTS:
        gains = [0.0]
        for m in range(1, 7):
            scheme = s3d.best_scheme(S, c, m)
            evidence.worst("violation", violation(*scheme[:2], c))
            assert faults(S, spectrum, c, m, scheme) == []
            gains.append(scheme.gain)
        assert (np.diff(gains) <= EXACT * c).all() and gains[1] == 0
        assert max(gains[4:]) - min(gains[4:]) <= EXACT * c


@pytest.mark.statement("S3D-Eq-6", "S3D-Thm-2.2-optimum-new")
def test_schemes_where_branches_tie_in_rounding(evidence):
    """c within 1e-8 of 1: a^2 - c = b^2 is lost, so the first and the mixed triplet tie."""
    for c in 1 + np.geomspace(1e-15, 1e-6, 400):
        for spectrum in ([-1.0], [-1.0, -1.0], [-2.0, -1.0], [-1.0, 0.0], [1.0], [-1.0, 1.0]):
            S = np.diag(spectrum)
            for m in (2, 3, 4):
                scheme = s3d.best_scheme(S, c, m)
                evidence.worst("violation", violation(*scheme[:2], c))
                assert faults(S, np.array(spectrum), c, m, scheme) == []


@pytest.mark.statement("S3D-Eq-6")
def test_wrong_schemes_are_refused(evidence):
    """Negative control of `faults`: schemes off in one number each."""
    spectrum, c = np.array([-1.0, 2.0]), 3.0
    S = np.diag(spectrum)
    right = s3d.best_scheme(S, c, 3)
    assert faults(S, spectrum, c, 3, right) == []
    w, D, gain = right
    up, tilted = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]), D.copy()
    tilted[2] *= 0.99
    wrong = {
        "a fraction off": (w + [0.01, 0.0, 0.0], D, gain),
        "a fraction of the wrong sign": (np.abs(w), D, gain),
        "a mean": (w, D + [0.01, 0.0], gain),
        "a long direction": (w, 1.01 * D, gain),
        "a short direction": (w, tilted, gain),
        "a shrunk scheme": (w, 0.99 * D, 0.99**2 * gain),
        "what Theorem 2.2 prints": (w, up, -2.0),
        "a gain off": (w, D, 1.001 * gain),
        "too few copies": (w[:2], D[:2], gain),
    }
    for name, scheme in wrong.items():
        evidence(f"{name}: {faults(S, spectrum, c, 3, scheme)}")
        assert faults(S, spectrum, c, 3, scheme)
    # The constraint is the budget c itself: the scheme for 1.01 c is refused, that for 0.99 c too.
    for factor, fault in ((1.01, "infeasible"), (0.99, "not the best gain")):
        assert fault in faults(S, spectrum, c, 3, s3d.best_scheme(S, factor * c, 3))


@pytest.mark.statement("S3D-Eq-6")
@settings(max_examples=200)
@given(matrices, matrices, constants, constants, st.integers(1, 6), st.floats(0.01, 100))
def test_laws_of_the_best_gain(evidence, one, two, c, other, m, scale):
    """What holds for any minimum over a set that grows with c and m, of functions linear in S."""
    (S, s), (T, _) = one, two
    d = min(len(S), len(T))
    low, high = sorted((c, other))
    size = max(1.0, np.abs(s).max())

    def best(A, c=c, m=m):
        lam = np.linalg.eigvalsh(A)
        return s3d.best_gain(lam[0], lam[-1], c, m)

    tolerance = EXACT * high * 10 * size
    # Monotone in c and in m; scale covariance.
    assert best(S, high) <= best(S, low) + tolerance
    assert best(S, m=m + 1) <= best(S) + tolerance
    assert abs(best(scale * S) - scale * best(S)) <= tolerance * max(1, scale)
    # Lipschitz in c, with constant rho; so G tends to S2D's as c tends to 1.
    rho = np.abs(s).max()
    jump = abs(best(S, high) - best(S, low))
    assert jump <= (high - low) * rho + tolerance
    # Concave in S, and Lipschitz with constant c: sum_i |w_i| |D_i|^2 <= c.
    S, T = S[:d, :d], T[:d, :d]
    apart = np.linalg.norm(S - T, 2)
    tolerance = EXACT * c * 10 * max(1.0, np.abs(S).max(), np.abs(T).max())
    assert abs(best(S) - best(T)) <= c * apart + tolerance
    assert best((S + T) / 2) >= (best(S) + best(T)) / 2 - tolerance
    if apart > 1e-3:
        evidence.worst("change of G over c |S - T|", abs(best(S) - best(T)) / (c * apart))


@pytest.mark.statement("S3D-Eq-6")
def test_continuity_down_to_c_1(evidence):
    lam_min, lam_max = np.array([-1.0, -1.0, -0.01, 0.0, 0.5]), np.array([-0.5, 2.0, 50, 1.0, 1.0])
    positive = np.minimum(lam_min, 0)
    rho = np.maximum(np.abs(lam_min), np.abs(lam_max))
    for m in range(2, 7):
        assert np.array_equal(s3d.best_gain(lam_min, lam_max, 1.0, m), positive)
        for k in range(1, 50):
            c = 1 + 2.0**-k
            gap = np.abs(s3d.best_gain(lam_min, lam_max, c, m) - positive)
            evidence.worst("distance to S2D over (c - 1) rho", (gap / rho / (c - 1)).max())
            assert (gap <= (c - 1) * rho * (1 + EXACT) + EXACT).all()
    # Negative control: kappa_3 rho alone, the size Theorem 2.2's branch iii suggests, jumps at 1.
    assert np.abs(-(c - 1) / 2 * rho - positive).max() > 0.5
    # The budget is used as it is written: c = 1 allows no negative fraction, c > 1 does, but only
    # from two copies on.
    assert (random_schemes(1.0, 4, 2, 1000, np.random.default_rng(0))[0] >= 0).all()
    assert s3d.best_scheme(np.eye(2), 1.0, 4).gain == 0 > s3d.best_scheme(np.eye(2), 1.01, 4).gain
    assert s3d.best_scheme(np.eye(2), 100.0, 1).gain == 0


@pytest.mark.statement("S3D-Eq-6")
def test_best_gain_is_elementwise():
    rng = np.random.default_rng(0)
    low = rng.normal(size=(4, 1))
    high = low + rng.exponential(size=(4, 3))
    c = 1 + rng.exponential(size=3)
    for m in range(1, 7):
        gains = s3d.best_gain(low, high, c, m)
        assert gains.shape == (4, 3)
        for i, j in np.ndindex(4, 3):
            one = s3d.best_gain(low[i, 0], high[i, j], c[j], m)
            assert isinstance(one, float) and one == gains[i, j]
        assert not np.signbit(s3d.best_gain(np.zeros(2), np.zeros(2), 3.0, m)).any()
    assert s3d.best_gain(-1.0, 2.0, np.array([1.0, 3.0]), 2).tolist() == [-1.0, -1.0]
    assert s3d.best_gain(-1.0, 2.0, 3.0, 3) != s3d.best_gain(-1.0, 2.0, 3.0, 4)


# Theorem 2.1 -----------------------------------------------------------------------------------


@pytest.mark.statement("S3D-Thm-2.1")
def test_thm_2_1_value_and_cases(evidence):
    rng = np.random.default_rng(0)
    for spectrum in KINDS.values():
        S, Q = turned(spectrum, rng)
        lam_min, lam_max = min(spectrum), max(spectrum)
        for c in CONSTANTS:
            printed = min(lam_min, -(c - 1) / (c + 1) * lam_max, 0.0)
            off = abs(s3d.best_gain(lam_min, lam_max, c, 2) - printed)
            evidence.worst("distance to the print", off)
            assert off <= EXACT
            # (8) as printed is feasible and has that value, of either sign.
            v, r = Q[:, np.argmax(spectrum)], (c - 1) / (c + 1)
            w, D = np.array([(c + 1) / 2, -(c - 1) / 2]), np.array([r * v, v])
            assert violation(w, D, c) < EXACT and abs(value(S, w, D) + r * lam_max) < EXACT * c
    # Negative controls: the other eigenvalue; the negative copy at (c - 1)/(c + 1), the other at 1.
    assert abs(s3d.best_gain(-1.0, 5.0, 3.0, 2) - -1.0) > 1
    assert violation(np.array([2.0, -1.0]), np.array([[1.0], [0.5]]), 3.0) > 0.1


@pytest.mark.statement("S3D-Thm-2.1")
def test_thm_2_1_edge_between_the_two_binaries(evidence):
    # -G_2 = max(l, (b/a) u): the negative one takes over at u / l = a / b.
    for c in (1.01, 1.3, 3.0, 30.0):
        edge = (c + 1) / (c - 1)
        before = s3d.best_scheme(np.diag([-1.0, 0.99 * edge]), c, 2)
        after = s3d.best_scheme(np.diag([-1.0, 1.01 * edge]), c, 2)
        evidence(f"gains at 0.99 and 1.01 of the edge, c = {c}", (before.gain, after.gain))
        assert before.gain == -1 and (before.weights > 0).all()
        assert abs(after.gain + 1.01) < EXACT and (after.weights < 0).any()


@pytest.mark.statement("S3D-Thm-2.1")
def test_thm_2_1_appendix_at_c_1(evidence):
    """Theorem A.2's "must" and "hence lam_min = lam_max = 0" fail where G_2 = 0 and c = 1."""
    S, w, D = np.diag([1.0, 2.0]), np.array([1.0, 0.0]), np.array([[0.0, 0.0], [0.6, 0.8]])
    evidence("an optimum that is along no eigenvector", value(S, w, D))
    assert violation(w, D, 1.0) <= 0 and value(S, w, D) == s3d.best_gain(1.0, 2.0, 1.0, 2) == 0
    assert abs(D[1] @ S @ D[1] * 0.6 - (S @ D[1])[0]) > 0.1  # Not an eigenvector.
    # A.2's condition for no splitting, min(lam_min, -(c - 1)/(c + 1) lam_max) = 0, and S != 0.
    lam, c = np.linalg.eigvalsh(S), 1.0
    assert min(lam[0], -(c - 1) / (c + 1) * lam[1]) == 0 and S.any()
    c = 1 + 1e-12  # Negative control.
    assert min(lam[0], -(c - 1) / (c + 1) * lam[1]) < 0
    # For c > 1 both stand: no gain only at S = 0.
    assert s3d.best_gain(1.0, 2.0, 1 + 1e-12, 2) < 0


@pytest.mark.statement("S3D-Thm-2.1-after")
@pytest.mark.parametrize("seed", [31, 36, 54, 77])  # Of the first hundred: S far from singular.
@pytest.mark.parametrize("c", [1.05, 1.3, 3.0])
def test_thm_2_1_after_a_split_escapes_positive_curvature(c, seed, evidence):
    """A stationary tanh neuron with positive definite S: S2D is stuck, a signed pair is not."""
    problem = stationary_problem(3.0, seed)
    net, X, Y, _ = problem
    _, (G, _) = networks.loss_and_gradient(*problem)
    [[S]] = s2d.splitting_matrices(*problem)
    lam = np.linalg.eigvalsh(S)
    assert np.abs(G).max() < EXACT and lam[0] > 0
    assert not s2d.decide(*problem).edits and not s3d.decide(*problem, c=1.0).edits
    plan = s3d.decide(*problem, c=c, copies=2)
    gain = s3d.best_gain(lam[0], lam[1], c, 2)
    assert abs(plan.coefficient - gain / 2) < EXACT and gain < 0
    before = losses.squared.value(net(X), Y)
    found = slope(lambda e: change(problem, plan.edits, e) - plan.coefficient * e**2, before)
    sizes = 0.5 ** np.arange(3, 9)
    actual = np.array([change(problem, plan.edits, e) for e in sizes])
    ratios = actual / (plan.coefficient * sizes**2)
    evidence(slope=found.order, actual_over_predicted=ratios.round(4).tolist())
    assert abs(found.order - 3) <= SLOPE
    assert (actual < 0).all() and np.abs(ratios[-1] - 1) < 0.1
    # Negative control: positive pairs, of any direction, raise it.
    for v in np.random.default_rng(seed).normal(size=(50, 2)):
        v /= np.linalg.norm(v)
        raised = change(problem, [growth.Split(0, 0, [0.5, 0.5], [v, -v])], 2.0**-8)
        assert raised > 0


@pytest.mark.statement("S3D-Thm-2.1-after")
def test_thm_2_1_after_needs_c_above_one(evidence):
    for c in (1.0, 1.001):
        evidence(f"gain for S = 1, c = {c}", s3d.best_gain(1.0, 1.0, c, 2))
    assert s3d.best_gain(1.0, 1.0, 1.0, 2) == 0 > s3d.best_gain(1.0, 1.0, 1.001, 2)
    w, D = random_schemes(1.0, 2, 1, 500, np.random.default_rng(0))
    assert values(np.eye(1), w, D).min() >= -EXACT


# Theorem 2.3 -----------------------------------------------------------------------------------


@pytest.mark.statement("S3D-Thm-2.3")
@settings(max_examples=60)
@given(matrices, constants, st.integers(1, 8), strategies.generators)
def test_thm_2_3_bound_and_scheme(evidence, drawn, c, m, rng):
    S, spectrum = drawn
    low, high = min(spectrum[0], 0.0), max(spectrum[-1], 0.0)
    printed = (c + 1) / 2 * low - (c - 1) / 2 * high
    tolerance = EXACT * c * max(1.0, np.abs(spectrum).max())
    # Theorem A.8's bound: for every m.
    w, D = random_schemes(c, m, len(S), 200, rng)
    evidence.worst("by how much the bound is passed", printed - values(S, w, D).min())
    assert values(S, w, D).min() >= printed - tolerance
    if m >= 4:
        assert abs(s3d.best_gain(spectrum[0], spectrum[-1], c, m) - printed) <= tolerance
    # (11) as printed.
    _, V = np.linalg.eigh(S)
    down, up = (low < 0) * V[:, 0], (high > 0) * V[:, -1]
    w = np.array([c + 1, c + 1, 1 - c, 1 - c]) / 4
    D = np.array([down, -down, up, -up])
    assert violation(w, D, c) < EXACT and abs(value(S, w, D) - printed) <= tolerance


@pytest.mark.statement("S3D-Thm-2.3")
def test_thm_2_3_the_bound_at_its_edge(evidence):
    S, c = np.diag([-1.0, 2.0]), 3.0
    w, D, gain = s3d.best_scheme(S, c, 4)
    evidence(gain=gain)
    assert value(S, w, D) < 0.99 * -(2 * 1 + 1 * 2) and value(S, w, D) >= 1.01 * -4.0
    # Three copies do not reach it unless S is semi-definite or c = 1.
    for l, u, c in [(1.0, 2.0, 3.0), (0.2, 1.0, 1.3), (1.0, 5.0, 9.0)]:
        a, b = (c + 1) / 2, (c - 1) / 2
        short = s3d.best_gain(-l, u, c, 3) - s3d.best_gain(-l, u, c, 4)
        evidence(f"quartet beyond triplet, spectrum {-l}, {u}, c = {c}", short)
        assert abs(short - min(a * l, b * u, b**2 * (l + u) / a)) < EXACT and short > 1e-3
    for lam_min, lam_max in [(0.0, 2.0), (-1.0, 0.0), (0.5, 1.0), (-2.0, -1.0)]:
        assert s3d.best_gain(lam_min, lam_max, 3.0, 3) == s3d.best_gain(lam_min, lam_max, 3.0, 4)


@pytest.mark.statement("S3D-Thm-2.3")
def test_thm_2_3_no_gain_at_zero_is_a_matter_of_order_two(evidence):
    """S = 0 and a strict local minimum; printed is that no split lowers the loss."""
    problem = sine_problem()
    [parts] = s2d.curvature_parts(*problem)
    assert parts.splitting[0, 0, 0] == 0 and parts.hessian[0, 0, 0] == 2.5
    for c in CONSTANTS:
        for m in range(1, 7):
            assert s3d.best_gain(0.0, 0.0, c, m) == 0
    # (8) with c = 3 has third moment -b c / a^2 = -3/4 along v_max, three times the best of
    # positive fractions; downwards, with A_3 = -3, it changes the loss by -(3/8) eps^3.
    split = growth.Split(0, 0, [2.0, -1.0], [[-0.5], [-1.0]])
    third = change_series(problem, [split])[3]
    found = slope(lambda e: change(problem, [split], e), 1.25)
    evidence(slope=found.order, third_order=third, loss_at_a_half=grown(problem, [split], 0.5))
    assert abs(third + 0.375) < 1e-8 and abs(found.order - 3) <= SLOPE
    assert change(problem, [split], 0.5) < -0.025
    # Negative control: the even schemes do nothing, sin being odd.
    quartet = growth.Split(0, 0, [1.0, 1.0, -0.5, -0.5], [[1.0], [-1.0], [1.0], [-1.0]])
    assert abs(change(problem, [quartet], 0.5)) < EXACT


@pytest.mark.statement("S3D-Thm-2.3-labels")
@pytest.mark.parametrize("c", [1.3, 3.0, 9.0])
def test_thm_2_3_labels_are_swapped(c, evidence):
    """Where S is positive definite (11) is the triplet of two negative fractions, eq 10."""
    a, b = (c + 1) / 2, (c - 1) / 2
    for spectrum, negatives, weights in [
        ([0.5, 1.0], 2, [-b / 2, -b / 2, a]),  # eq 10, the paper's "negative" triplet
        ([-1.0, -0.5], 1, [a / 2, a / 2, -b]),  # eq 9, its "positive" one
    ]:
        low, high = spectrum[0] < 0, spectrum[1] > 0
        quartet = np.array([a / 2, a / 2, -b / 2, -b / 2])
        moves = np.array([low, low, high, high])
        merged = np.append(quartet[moves], quartet[~moves].sum())
        scheme = s3d.best_scheme(np.diag(spectrum), c, 3)
        evidence(f"negative fractions for {spectrum}", int((merged < 0).sum()))
        assert close(merged, weights, EXACT) and close(scheme.weights, merged, EXACT)
        assert (merged < 0).sum() == (scheme.weights < 0).sum() == negatives
        # What is right: the fourth copy adds nothing.
        assert s3d.best_scheme(np.diag(spectrum), c, 4).gain == scheme.gain


# Lemmas A.3, A.4, A.6, A.7 ---------------------------------------------------------------------


@pytest.mark.statement("S3D-Lem-A.3")
@pytest.mark.parametrize("c", [1.0, 1.01, 1.3, 3.0, 20.0])
def test_lem_a_3_and_a_4_by_a_grid(c, evidence):
    a, b = (c + 1) / 2, (c - 1) / 2
    # Every feasible (w, r): w_1 = w, w_2 = 1 - w with -b <= w <= a; r along the null space.
    w = np.linspace(-b, a, 2001)[:, None]
    t = np.linspace(-1, 1, 201)
    longest = np.maximum(np.abs(w), np.abs(1 - w))
    r1, r2 = (1 - w) * t / longest, -w * t / longest
    assert np.abs(w * r1 + (1 - w) * r2).max() < EXACT * c
    found = w * r1**2 + (1 - w) * r2**2
    evidence(least=found.min(), printed_least=-b / a, largest=found.max())
    assert -b / a - EXACT <= found.min() <= -b / a + EXACT  # The corner is on the grid.
    assert 1 - GRID <= found.max() <= 1 + EXACT
    # The printed schemes, and nothing else on the grid comes near them but their mirror images.
    assert abs(-b * 1 + a * (b / a) ** 2 + b / a) < EXACT
    near = found <= found.min() + 1e-9
    assert set(np.flatnonzero(near.any(axis=1))) <= ({0, 2000} if c > 1 else set(range(2001)))
    # Negative controls: 0.99 and 1.01 of the values.
    if c > 1:
        assert found.min() < 0.99 * -b / a and found.min() > 1.01 * -b / a
    assert found.max() > 0.99 and found.max() < 1.01


@pytest.mark.statement("S3D-Lem-A.6")
@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("c", [1.0, 1.3, 3.0, 20.0])
def test_lem_a_6_and_a_7_in_one_eigenspace(c, d, evidence):
    a, b = (c + 1) / 2, (c - 1) / 2
    e = turned(np.ones(d), np.random.default_rng(d))[1][0]
    up = np.array([a / 2, a / 2, -b]), np.array([e, -e, 0 * e])
    down = np.array([-b / 2, -b / 2, a]), np.array([e, -e, 0 * e])
    for (w, D), exact in ((up, a), (down, -b)):
        assert violation(w, D, c) < EXACT and abs(value(np.eye(d), w, D) - exact) < EXACT * c
    w, D = random_schemes(c, 3, d, 20000, np.random.default_rng(d))
    found = values(np.eye(d), w, D)
    evidence(least=found.min(), largest=found.max(), printed=(-b, a))
    assert found.min() >= -b - EXACT * c and found.max() <= a + EXACT * c
    # On a line, a grid over all directions and shares of two copies of one sign.
    if d == 1 and c > 1:
        shares = np.linspace(0, 1, 101)[:, None, None]
        x, y = np.meshgrid(np.linspace(-1, 1, 101), np.linspace(-1, 1, 101))
        for two, extreme in ((a, np.max), (-b, np.min)):
            third = -two * (shares * x + (1 - shares) * y) / (1 - two)
            total = two * (shares * x**2 + (1 - shares) * y**2) + (1 - two) * third**2
            total = np.where(np.abs(third) <= 1, total, 0.0)
            evidence(f"extreme of the grid, {two:g} on two copies", extreme(total))
            assert abs(extreme(total) - two) < EXACT * c
            assert total.min() >= -b - EXACT * c and total.max() <= a + EXACT * c
    # Negative control: copies in different eigenspaces are not covered: with eigenvalues -1 and
    # 2 three copies of c = 3 reach -2.5, below min(a lam_min, -b lam_max) = -2.
    assert s3d.best_gain(-1.0, 2.0, 3.0, 3) < -2.4


# Wrong input -----------------------------------------------------------------------------------


def test_refusals():
    for call, message in (
        (lambda: s3d.best_gain(1.0, -1.0, 3.0, 2), "lam_min must not be above lam_max; got 1 and"),
        (lambda: s3d.best_gain(-1.0, 1.0, 0.5, 2), "c must be at least 1; got 0.5"),
        (lambda: s3d.best_gain(-1.0, np.nan, 3.0, 2), "lam_max must be finite"),
        (lambda: s3d.best_gain(-1.0, 1.0, 3.0, 0), "m must be an integer >= 1"),
        (
            lambda: s3d.best_scheme([1.0, 2.0], 3.0, 2),
            r"S must be 2-D with shape \(d, d\); got shap",
        ),
        (lambda: s3d.best_scheme(np.ones((2, 2, 2)), 3.0, 2), r"S must be 2-D with shape \(d, d\)"),
        (
            lambda: s3d.best_scheme(np.ones((2, 3)), 3.0, 2),
            r"got shape \(2, 3\), where axis 1 shou",
        ),
        (lambda: s3d.best_scheme([[0.0, 1.0], [0.0, 0.0]], 3.0, 2), "S must be symmetric"),
        (lambda: s3d.best_scheme(np.eye(2), 0.9, 2), "c must be a finite number >= 1"),
        (lambda: s3d.scheme_gain([1.0], [1.0], [[0.0]]), r"S must be 2-D with shape \(d, d\)"),
        (
            lambda: s3d.scheme_gain(np.eye(2), [1.0], [[0.0]]),
            r"directions must have shape \(1, 2\)",
        ),
        (lambda: s3d.scheme_gain(np.eye(1), [1.0], [[0.0], [1.0]]), r"directions must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("m", range(1, 7))
def test_a_gain_that_overflows_is_refused(m):
    for low, high, c in ((-1e308, 1e308, 1.0), (-1e308, 0.0, 3.0), (0.0, 1e300, 1e10)):
        for gain in (lambda *a: s3d.best_gain(*a, m), s3d.printed_triplet_gain):
            with pytest.raises(ValueError, match="and c are too large: a gain overflows"):
                gain(low, high, c)
    # Of several, one is enough; and what does not overflow is answered.
    with pytest.raises(ValueError, match="overflows"):
        s3d.best_gain([-1.0, -1e308], 0.0, 3.0, m)
    assert s3d.best_gain(-1e307, 0.0, 3.0, m) == {1: 0.0, 2: -1e307}.get(m, -2e307)
    with pytest.raises(ValueError, match="overflows"):
        s3d.best_scheme(np.diag([-1e308, 1e308]), 3.0, m)


def test_the_gain_of_a_given_scheme_does_not_overflow_in_silence():
    for S, w, D in (
        (1e308 * np.eye(1), [2.0, -1.0], [[1.0], [2.0]]),
        (np.eye(1), [1.0, -1.0], [[1e200], [1e200]]),  # inf - inf
        (np.eye(2), [1e308, 1e308], np.eye(2)),
    ):
        with pytest.raises(ValueError, match="too large: the gain overflows"):
            s3d.scheme_gain(S, w, D)
    assert s3d.scheme_gain(1e308 * np.eye(1), [1.0], [[1.0]]) == 1e308
