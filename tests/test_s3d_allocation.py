"""S3D, appendix C.1: how many copies each neuron gets, and when a linear programme may decide it.

Oracles: every allocation of few neurons, and an integer programme for many, which meets a budget
to 1e-6 only: it is asked where no sum of costs lies that close to the budget. In the linear
relaxation, what matters is whether each neuron's gains are convex in the number of copies; for the
signed gains the exact condition is derived at `convex`.
"""

import itertools
import time
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import optimize

from refgrow import s3d

EXACT = 1e-12  # sums of at most a few hundred gains of order one
LINPROG = 1e-6  # HiGHS meets its constraints to 1e-7, and so its values to that times the gains
MILP = 1e-9  # the integer programme stops within 1e-10 of the largest gain, where costs are apart
EDGE = 1e-9  # how close to its own edge an inequality is not asked about


def spent(sizes, costs=None):
    return float(np.sum(sizes if costs is None else sizes * np.asarray(costs)))


def within(total, budget):
    """At most the budget, up to the rounding of a sum of numbers such as 0.1."""
    return total <= budget * (1 + 1e-14)


def every_allocation(gains, costs=None):
    """(sizes, value, cost) of all M^N of them."""
    N, M = gains.shape
    sizes = np.array(list(itertools.product(range(1, M + 1), repeat=N)))
    values = gains[np.arange(N), sizes - 1].sum(axis=1)
    return sizes, values, sizes @ (np.ones(N) if costs is None else np.asarray(costs))


def brute(gains, budget, costs=None):
    _, values, totals = every_allocation(gains, costs)
    return values[within(totals, budget)].min()


def integer_programme(gains, budget, costs=None):
    """The paper's display as it stands: a binary p[l, m] for every size, one included."""
    N, M = gains.shape
    costs = np.ones(N) if costs is None else np.asarray(costs)
    one_each = optimize.LinearConstraint(np.kron(np.eye(N), np.ones(M)), 1, 1)
    paid = optimize.LinearConstraint(np.outer(costs, np.arange(1, M + 1)).ravel(), -np.inf, budget)
    found = optimize.milp(
        1e4 * gains.ravel(), constraints=[one_each, paid], integrality=1,
        bounds=optimize.Bounds(0, 1), options={"mip_rel_gap": 0.0},
    )  # fmt: skip
    return found.fun / 1e4


def greedy(gains, budget):
    """Copy by copy, the one that gains most: a plan, and for convex gains the best one."""
    N, M = gains.shape
    sizes = np.ones(N, dtype=int)
    for _ in range(int(budget) - N):
        following = gains[np.arange(N), np.minimum(sizes, M - 1)]
        step = np.where(sizes < M, following - gains[np.arange(N), sizes - 1], np.inf)
        if step.min() >= 0:
            break
        sizes[np.argmin(step)] += 1
    return float(gains[np.arange(N), sizes - 1].sum())


def consistent(allocation, gains, budget, costs=None):
    sizes, value = allocation
    N, M = gains.shape
    assert sizes.shape == (N,) and sizes.dtype.kind == "i" and sizes.min() >= 1 and sizes.max() <= M
    assert abs(value - gains[np.arange(N), sizes - 1].sum()) <= EXACT * max(1, abs(value))
    assert within(spent(sizes, costs), budget)


KINDS = ("convex", "concave", "ties", "zeros", "positive", "any", "signed")


def gains_of(kind, N, M, rng):
    """Gains of each shape a neuron's may have; column 0 is zero."""
    steps = -rng.random((N, M - 1))
    if kind == "convex":
        steps = np.sort(steps, axis=1)
    elif kind == "concave":
        steps = np.sort(steps, axis=1)[:, ::-1]
    elif kind == "ties":
        steps = np.round(steps)
    elif kind == "zeros":
        steps *= rng.random((N, 1)) < 0.5
    elif kind == "positive":
        steps = -steps
    elif kind == "any":
        steps = rng.normal(size=(N, M - 1))
    if kind == "signed":
        low, high = np.sort(rng.normal(size=(2, N)), axis=0)
        c = 1 + rng.exponential(2, size=N)
        return np.column_stack([s3d.best_gain(low, high, c, m) for m in range(1, M + 1)])
    return np.column_stack([np.zeros(N), np.cumsum(steps, axis=1)])


@st.composite
def knapsacks(draw, most=5):
    N, M = draw(st.integers(1, most)), draw(st.integers(1, 5 if most < 5 else 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gains = gains_of(draw(st.sampled_from(KINDS)), N, M, rng)
    costs = draw(st.sampled_from(["none", "whole", "common factor", "tenths", "real"]))
    costs = {
        "none": None,
        "whole": rng.integers(1, 9, N),
        "common factor": 6 * rng.integers(1, 9, N),
        "tenths": rng.integers(1, 9, N) / 10,
        "real": rng.random(N) + 0.05,
    }[costs]
    least = spent(np.ones(N), costs)
    if draw(st.booleans()):  # What some allocation costs, to the last bit.
        budget = spent(rng.integers(1, M + 1, N), costs)
    else:
        budget = least * (1 + draw(st.floats(0, M)))
    return gains, max(budget, least), costs


# The knapsack ------------------------------------------------------------------------------------


@pytest.mark.statement("S3D-C.1-IP")
@settings(max_examples=100)
@given(knapsacks())
@example((np.array([[0, -1.0, -1.5, -1.6]] * 3), 0.4, [0.1] * 3))  # 0.1 + 0.1 + 0.1 > 0.3
@example((np.array([[0, -1.0]] * 3), 5 * np.pi * (1 - 1e-13), [np.pi] * 3))  # over by 1e-13
@example((np.array([[0, -1.0]] * 3), 3e20, [1e20] * 3))  # beyond the integers
def test_c_1_against_every_allocation(evidence, knapsack):
    gains, budget, costs = knapsack
    found = s3d.allocate(gains, budget, costs)
    consistent(found, gains, budget, costs)
    error = abs(found.value - brute(gains, budget, costs))
    evidence.worst("largest error against every allocation", error)
    assert error <= EXACT * max(1, np.abs(gains).sum())


@pytest.mark.statement("S3D-C.1-IP")
def test_c_1_six_neurons_at_every_budget(evidence):
    rng = np.random.default_rng(0)
    missed = 0
    for kind in KINDS:
        gains = gains_of(kind, 6, 4, rng)
        _, values, totals = every_allocation(gains)
        for budget in range(6, 26):
            found = s3d.allocate(gains, budget)
            consistent(found, gains, budget)
            best = values[totals <= budget].min()
            assert abs(found.value - best) <= EXACT
            # Negative controls: copy by copy, and with one copy too many.
            missed += greedy(gains, budget) > best + EXACT
            assert kind != "convex" or greedy(gains, budget) <= best + EXACT
        assert values[totals <= 12].min() > values[totals <= 13].min() or kind in ("zeros",
               "positive", "ties")  # fmt: skip
    evidence(budgets_at_which_copy_by_copy_is_not_best=missed)
    assert missed > 10


@pytest.mark.statement("S3D-C.1-IP")
@pytest.mark.parametrize("kind", KINDS)
def test_c_1_forty_neurons_against_an_integer_programme(kind, evidence):
    rng = np.random.default_rng(1)
    gains, worst = gains_of(kind, 40, 4, rng), 0.0
    # Hundredths, and a budget between two of them: the integer programme's tolerance is harmless.
    for costs in (None, rng.integers(1, 30, 40), rng.integers(10, 110, 40) / 100):
        budget = np.floor(140 * spent(np.ones(40), costs)) / 100 + 0.005
        found = s3d.allocate(gains, budget, costs)
        consistent(found, gains, budget, costs)
        worst = max(worst, abs(found.value - integer_programme(gains, budget, costs)))
    evidence(largest_difference=worst)
    assert worst <= MILP * np.abs(gains).max() * 40


@pytest.mark.statement("S3D-C.1-IP")
def test_c_1_hundreds_of_neurons(evidence):
    rng = np.random.default_rng(2)
    gains = gains_of("signed", 500, 4, rng)
    begun = time.perf_counter()
    found = s3d.allocate(gains, 900)
    evidence(milliseconds=1e3 * (time.perf_counter() - begun))
    consistent(found, gains, 900)
    assert spent(found.sizes) == 900
    reference = integer_programme(gains, 900)
    evidence(dynamic_programme=found.value, integer_programme=reference)
    assert abs(found.value - reference) <= MILP * np.abs(gains).sum()
    # Convex gains: copy by copy is optimal, and an oracle for any size.
    gains = gains_of("convex", 500, 4, rng)
    assert abs(s3d.allocate(gains, 900).value - greedy(gains, 900)) <= EXACT * 500
    # Where only one size may be chosen (`decide` with copies=3) it is the best few neurons.
    only = gains * [0, 0, 1, 0]
    best = np.sort(only[:, 2])[:200].sum()
    assert abs(s3d.allocate(only, 901).value - best) <= EXACT * 500


@pytest.mark.statement("S3D-C.1-IP")
def test_c_1_both_ways_of_solving_agree(monkeypatch, evidence):
    rng = np.random.default_rng(3)
    problems = []
    for kind in KINDS:
        for costs in (None, rng.integers(1, 20, 12), 7 * rng.integers(1, 20, 12)):
            gains = gains_of(kind, 12, 4, rng)
            problems.append((gains, np.ceil(1.7 * spent(np.ones(12), costs)), costs))
    by_table = [s3d.allocate(*problem) for problem in problems]

    def refuse(*arguments):
        raise AssertionError("the other way was asked for")

    monkeypatch.setattr(s3d, "LARGEST_TABLE", 0)
    monkeypatch.setattr(s3d, "_dynamic_programme", refuse)
    worst = 0.0
    for problem, expected in zip(problems, by_table, strict=True):
        found = s3d.allocate(*problem)
        consistent(found, *problem)
        worst = max(worst, abs(found.value - expected.value))
        # What is dropped does not depend on the unit of the gains.
        for unit in (1e-9, 1e-3, 1e6):
            scaled = s3d.allocate(unit * problem[0], *problem[1:])
            assert abs(scaled.value - unit * expected.value) <= EXACT * 12 * unit
    evidence(largest_difference=worst)
    assert worst <= EXACT * 12
    # Differences of 1e-9 of a gain are not lost among the states that are dropped.
    close = np.array([[0, -1.0], [0, -1 - 1e-9], [0, -1 + 1e-9]] * 5)
    assert abs(s3d.allocate(close, 20).value + 5 + 5e-9) <= 1e-11


@pytest.mark.statement("S3D-C.1-IP")
def test_c_1_the_table_is_used_where_it_fits(monkeypatch):
    called = []
    monkeypatch.setattr(s3d, "_sparse_dynamic_programme", lambda gains, *_: called.append(1) or
                        np.ones(len(gains), dtype=int))  # fmt: skip
    gains = np.array([[0, -1.0, -1.5]] * 4)
    for budget, costs in ((6, None), (6.5, None), (6e9, [1e9] * 4), (1e300, None), (50, [6] * 4)):
        s3d.allocate(gains, budget, costs)
    assert not called  # a large common factor, and a budget nobody can spend, cost nothing
    for k, costs in enumerate(([0.5] * 4, [1e8 + 1, 1e8, 1e8, 1e8], [2.0**52] * 4)):
        s3d.allocate(gains, 2 * np.sum(costs), costs)
        assert len(called) == k + 1


def every_pair_and_triple(base, rng):
    """Neurons whose costs are nearly equal, their every allocation, and budgets at the edges."""
    for N, M in ((12, 2), (7, 3)):
        costs = base + rng.integers(0, 40, N)
        gains = gains_of("any" if M == 2 else "concave", N, M, rng)
        # Half of the time, a dearer copy gains more: what fits decides, and not what is best.
        gains[:, 1:] -= rng.integers(0, 2) * (costs - base)[:, None] * np.arange(1, M)
        every = every_allocation(gains, costs)
        for extra in (0, 1, 60, 119, 140, 39 * 6):
            yield gains, int(costs.sum()) + N // 2 * base + extra, costs, every


@pytest.mark.statement("S3D-C.1-IP")
@pytest.mark.parametrize("power", [4, 5, 7, 8, 9, 10, 11, 12, 14])
def test_c_1_whole_costs_that_are_nearly_equal(power, evidence):
    """A budget that is missed by one part in 1e12 is missed; a tolerance would not see it."""
    rng, tolerant = np.random.default_rng(power), 0
    for _ in range(2):
        for gains, budget, costs, (_, values, totals) in every_pair_and_triple(10**power, rng):
            found = s3d.allocate(gains, budget, costs)
            assert int(found.sizes @ costs) <= budget
            best = values[totals <= budget].min()
            assert abs(found.value - best) <= EXACT * np.abs(gains).sum()
            # Negative control: with a tolerance of 1e-6 of the budget more is bought than there is.
            tolerant += values[totals <= budget * (1 + 1e-6)].min() < best - EXACT
    evidence(f"allocations that a tolerance of 1e-6 spoils, base 1e{power}, of 24", int(tolerant))
    assert power < 7 or tolerant > 0


@pytest.mark.statement("S3D-C.1-IP")
def test_c_1_a_budget_missed_by_one_is_missed():
    gains = [[0, -1], [0, -1.2], [0, -1.3], [0, -1.5]]
    costs = np.array([100_000_000, 100_000_002, 100_000_003, 100_000_005])
    sizes, value = s3d.allocate(gains, 600_000_016, costs)
    assert sizes @ costs <= 600_000_016 and value == -2.5
    # Three more and the best pair fits; one less than that and it does not.
    assert s3d.allocate(gains, 600_000_018, costs).value == -2.8
    assert s3d.allocate(gains, 600_000_017, costs).value == -2.7


@pytest.mark.statement("S3D-C.1-IP")
def test_c_1_whole_costs_never_exceed_the_budget(evidence):
    rng, nearest = np.random.default_rng(11), 0.0
    for k in range(60):
        base = 10.0 ** rng.integers(0, 13)
        N, M = rng.integers(2, 12), rng.integers(2, 5)
        gains = gains_of(KINDS[k % len(KINDS)], N, M, rng)
        costs = np.floor(base * (1 + rng.random(N)))
        budget = np.floor(costs.sum() * rng.uniform(1, M))
        found = s3d.allocate(gains, budget, costs)
        total = int(found.sizes @ costs.astype(np.int64))
        assert total <= budget
        nearest = max(nearest, total / budget)
    evidence(largest_share_of_the_budget=nearest)
    assert nearest > 0.99


@pytest.mark.statement("S3D-C.1-IP")
@pytest.mark.parametrize("M", [130, 256, 257])
@pytest.mark.parametrize("costs", [None, [0.7, 0.7, 0.7]])
def test_c_1_more_sizes_than_a_byte_counts(M, costs, evidence):
    gains = gains_of("convex", 3, M, np.random.default_rng(M))
    for budget in (M + 50, 2 * M + 7, 3 * M - 1, 3 * M):
        found = s3d.allocate(gains, budget * (1 if costs is None else 0.7), costs)
        assert found.sizes.sum() == budget
        assert abs(found.value - greedy(gains, budget)) <= EXACT * M
    assert found.sizes.tolist() == [M, M, M]


@pytest.mark.statement("S3D-C.1-IP")
def test_c_1_edges():
    gains = np.array([[0, -1.0, -1.0, -5.0], [0, -1.0, -2.1, -2.5]])
    for budget, sizes in ((2, [1, 1]), (2.99, [1, 1]), (3, [2, 1]), (4, [1, 3]), (5, [4, 1]),
                          (6, [4, 2]), (8, [4, 4]), (99, [4, 4])):  # fmt: skip
        assert s3d.allocate(gains, budget).sizes.tolist() == sizes
    # The same prices in tenths; and a thousandth less than the third copy costs.
    assert sorted(s3d.allocate(gains, 0.3, [0.1, 0.1]).sizes) == [1, 2]  # A tie.
    assert s3d.allocate(gains, 0.2999, [0.1, 0.1]).sizes.tolist() == [1, 1]
    # 0.1 + 0.1 + 0.1 is above 0.3 by a rounding, and still what three tenths pay for.
    assert s3d.allocate([[0, -1.0]] * 3, 0.3, [0.1] * 3).sizes.tolist() == [1, 1, 1]
    assert s3d.allocate_relaxed([[0, -1.0]] * 3, 0.3, [0.1] * 3).value == 0
    # Nothing that loses is bought, whatever the budget; nor what gains nothing.
    assert s3d.allocate([[0, 1.0], [0, 0.0]], 99).sizes.tolist() == [1, 1]
    assert s3d.allocate([[0.0]], 1).sizes.tolist() == [1]
    assert s3d.allocate([[0.0]], 2.5, [2.5]).sizes.tolist() == [1]
    # Many allocations dearer than the budget by a billionth: none is taken, and it ends.
    dear = s3d.allocate([[0, -1.0]] * 20, 30 * np.pi * (1 - 1e-9), [np.pi] * 20)
    assert dear.value == -9
    sizes, value = s3d.allocate(gains, 5)
    assert value == -5 and sizes.sum() == 5


@pytest.mark.statement("S3D-C.1-IP")
def test_c_1_real_costs_never_exceed_the_budget(evidence):
    rng, nearest = np.random.default_rng(5), 0.0
    for _ in range(20):
        gains, costs = gains_of("any", 20, 4, rng), rng.random(20) + 0.01
        budget = 1.5 * costs.sum()
        total = spent(s3d.allocate(gains, budget, costs).sizes, costs)
        nearest = max(nearest, total / budget)
        assert within(total, budget)
    evidence(largest_share_of_the_budget=nearest)
    assert nearest > 0.99


@pytest.mark.parametrize("solve", [s3d.allocate, s3d.allocate_relaxed])
def test_refusals(solve):
    gains = np.array([[0, -1.0], [0, -2.0]])
    for arguments, message in (
        ((gains, 1), r"budget must be at least 2, what the 2 neurons cost before splitting; got 1"),
        ((gains, 6.9, [3, 4]), r"budget must be at least 7, what the 2 neurons cost"),
        ((gains, 600_000_015, [3e8, 3e8 + 16]), "at least 600000016, .*; got 600000015"),
        ((gains + 1.0, 4), r"gains\[:, 0\] must be zero, the gain of one copy; got 1 for neuron 0"),
        ((gains, 4, [1, 0]), "costs must be above 0; got 0 for neuron 1"),
        ((gains, 4, [1, -1]), "costs must be above 0; got -1 for neuron 1"),
        ((gains, 4, [1.0]), r"costs must have shape \(2,\).*One for each row of gains"),
        ((gains[0], 4), r"gains must be 2-D with shape \(N, M\)"),
        ((gains, np.inf), "budget must be a finite number"),
        ((gains * np.nan, 4), "gains must be finite"),
        ((np.zeros((0, 4)), 4), "gains must not be empty"),
    ):
        with pytest.raises(ValueError, match=message):
            solve(*arguments)
    with pytest.raises(TypeError, match="budget must be a number; got 'many'"):
        solve(gains, "many")
    # NumPy has no integers that large; as floats they are taken.
    with pytest.raises(TypeError, match=r"costs must hold real numbers; got dtype object. Use .*f"):
        solve(gains, 10**21, [10**20, 10**20])
    assert solve(gains, 10**21, [1e20, 1e20]).value == pytest.approx(-3)


# The linear relaxation ---------------------------------------------------------------------------


@pytest.mark.statement("S3D-C.1-LP")
@settings(max_examples=60)
@given(knapsacks())
def test_c_1_relaxation_is_a_bound(evidence, knapsack):
    gains, budget, costs = knapsack
    relaxed, exact = s3d.allocate_relaxed(*knapsack), s3d.allocate(*knapsack)
    scale = max(1, np.abs(gains).sum())
    p, copies = relaxed.shares, np.arange(1, gains.shape[1] + 1)
    assert p.shape == gains.shape and p.min() >= 0
    assert np.abs(p.sum(axis=1) - 1).max() <= LINPROG
    prices = np.ones(len(gains)) if costs is None else np.asarray(costs)
    assert prices @ p @ copies <= budget * (1 + LINPROG)
    assert abs(relaxed.value - (p * gains).sum()) <= EXACT * scale
    evidence.worst("by how much it lies above the optimum", relaxed.value - exact.value)
    assert relaxed.value <= exact.value + LINPROG * scale
    # A vertex has one fractional neuron at most; with it left at its smaller size the rest is a
    # plan, so that the optimum is at most one neuron's gain above the bound.
    fractional = (np.abs(p - np.round(p)) > LINPROG).any(axis=1)
    assert fractional.sum() <= 1 and not (relaxed.integral and fractional.any())
    room = np.ptp(gains, axis=1).max()
    assert exact.value <= relaxed.value + room + LINPROG * scale
    if relaxed.integral:
        assert abs(relaxed.value - exact.value) <= LINPROG * scale


@pytest.mark.statement("S3D-C.1-LP")
def test_c_1_a_linear_programme_does_not_solve_it(evidence):
    # One neuron, S = (1), c = 5, and one more copy: G = (0, -2/3, -2, -2).
    gains = np.array([[s3d.best_gain(1.0, 1.0, 5.0, m) for m in range(1, 5)]])
    assert np.allclose(gains, [[0, -2 / 3, -2, -2]], rtol=0, atol=EXACT)
    exact, relaxed = s3d.allocate(gains, 2), s3d.allocate_relaxed(gains, 2)
    evidence(gains=gains[0].round(4).tolist(), integer=exact.value, relaxed=relaxed.value,
             shares=relaxed.shares[0].round(6).tolist())  # fmt: skip
    assert exact.sizes.tolist() == [2] and abs(exact.value + 2 / 3) <= EXACT
    assert abs(relaxed.value + 1) <= LINPROG and not relaxed.integral
    assert np.abs(relaxed.shares - [[0.5, 0, 0.5, 0]]).max() <= LINPROG
    # Neither way of rounding its shares helps: no split at all, or a copy that is not paid for.
    fewer, more = 1 + np.flatnonzero(relaxed.shares[0] > LINPROG)
    assert gains[0, fewer - 1] > exact.value and more > 2
    # At the paper's c = 3 it takes eigenvalues of both signs: diag(-1, 2), G = (0, -1, -5/2, -4).
    gains = np.array([[s3d.best_gain(-1.0, 2.0, 3.0, m) for m in range(1, 5)]])
    for budget, exact, bound in ((2, -1, -4 / 3), (3, -2.5, -8 / 3), (4, -4, -4)):
        assert abs(s3d.allocate(gains, budget).value - exact) <= EXACT
        assert abs(s3d.allocate_relaxed(gains, budget).value - bound) <= LINPROG
    # Among several neurons it need not show: here the other one's copies are never better or worse.
    others = [s3d.best_gain(-4 / 3, 4 / 3, 3.0, m) for m in range(1, 5)]
    assert np.abs(np.diff(others) + 4 / 3).max() <= EXACT
    for budget in range(2, 9):
        both = np.vstack([gains, others])
        gap = s3d.allocate(both, budget).value - s3d.allocate_relaxed(both, budget).value
        assert abs(gap) <= LINPROG
    # At c = 3 the first neuron has G = (0, -1/2, -1, -1), convex, and the two agree.
    gains = np.array([[s3d.best_gain(1.0, 1.0, 3.0, m) for m in range(1, 5)]])
    for budget in (1, 2, 3, 4):
        value = s3d.allocate(gains, budget).value
        assert abs(s3d.allocate_relaxed(gains, budget).value - value) <= LINPROG
    # Convex gains are not enough with costs, nor with a budget that is not whole.
    for budget, costs in ((3.0, [2.0]), (1.5, None)):
        assert s3d.allocate(gains, budget, costs).value == 0
        assert s3d.allocate_relaxed(gains, budget, costs).value == pytest.approx(-0.25)


@pytest.mark.statement("S3D-C.1-LP")
@pytest.mark.parametrize("kind", ["convex", "concave"])
def test_c_1_convex_gains_make_it_exact(kind, evidence):
    rng, gaps = np.random.default_rng(6), []
    for _ in range(5):
        gains = gains_of(kind, 12, 4, rng)
        for budget in range(12, 50, 4):
            exact, relaxed = s3d.allocate(gains, budget), s3d.allocate_relaxed(gains, budget)
            gaps.append(exact.value - relaxed.value)
    evidence(largest_gap=max(gaps), budgets_with_a_gap=sum(g > LINPROG for g in gaps))
    # The negative control is the other kind: a gap at most budgets.
    assert (max(gaps) <= LINPROG) == (kind == "convex")
    assert kind == "convex" or np.mean(np.array(gaps) > LINPROG) > 0.5


def convex(low, high, c):
    """Whether 0, G_2, G_3, G_4 is a convex sequence: no copy gains more than the one before it.

    With l = max(-lam_min, 0), u = max(lam_max, 0), a and b as in `s3d`, and g = -G: the conditions
    are g3 <= 2 g2 and g2 + g4 <= 2 g3. Let l = 1 and s = b u.

    g3 <= 2 g2. Where s <= a, g2 = 1 and both a <= 2, that is c <= 3, and (c + s) / a <= 2, that is
    s <= 2 a - c = 1, are needed; s itself is then below 2. Where s >= a, g2 = s / a, and s <= 2 s/a
    needs a <= 2, (c + s) / a <= 2 s / a needs s >= c; a <= 2 s / a follows. So: c <= 3, and s <= 1
    or s >= c. (The print, without the mixed triplet, needs c <= 3 alone.)

    g2 + g4 <= 2 g3, with g4 = a + s. Where s <= 1: a (1 + a + s) <= 2 (c + s) is
    -(2 - a) s <= (a - 1) (2 - a), which holds. Where s >= c, g2 = s / a, and either the negative
    triplet, s (1 - 1/a) >= a, that is s >= a^2 / b, or the mixed one,
    s (a - 1) <= 2 c - a^2, that is s <= (4 a - 2 - a^2) / b, must do.

    So: c = 1, or c <= 3 and one of u <= l / b, u >= (a / b)^2 l, and
    c l / b <= u <= (4 a - 2 - a^2) l / b^2, which is possible for c <= (4 + sqrt(13)) / 3 = 2.535.
    Positive and negative semi-definite matrices are the two ends, u and l zero: c <= 3 is all.
    """
    a, b = (c + 1) / 2, (c - 1) / 2
    l, s = np.maximum(-low, 0), b * np.maximum(high, 0)
    least, most = c * l, (4 * a - 2 - a**2) * l
    between = (s >= least) & (b * s <= most)
    return (c == 1) | ((c <= 3) & ((s <= l) | between | (b * s >= a**2 * l)))


def steps(low, high, c, triplet):
    g = [np.zeros_like(low), *(s3d.best_gain(low, high, c, m) for m in (2, 3, 4))]
    g[2] = triplet(low, high, c)
    return np.diff(g, axis=0)


@pytest.mark.statement("S3D-C.1-LP")
def test_c_1_when_the_signed_gains_are_convex(evidence):
    rng = np.random.default_rng(7)
    n = 40_000
    low, high = -(10.0 ** rng.uniform(-3, 3, n)), 10.0 ** rng.uniform(-3, 3, n)
    low[:2000], high[2000:4000] = rng.random(2000) * high[:2000], -rng.random(2000)
    high[2000:4000] *= -low[2000:4000]
    c = np.where(rng.random(n) < 0.1, 1.0, 1 + 10.0 ** rng.uniform(-2, 1, n))
    true, printed = (
        np.diff(steps(low, high, c, g), axis=0).min(axis=0) / (np.abs(low) + np.abs(high))
        for g in (partial(s3d.best_gain, m=3), s3d.printed_triplet_gain)
    )
    clear = np.abs(true) > EDGE
    found = true >= -EDGE
    evidence(share_convex=found.mean(), of_the_printed_gains=(printed >= -EDGE).mean())
    predicted = convex(low, high, c)
    assert (predicted == found)[clear].all()
    assert (found[predicted]).all() and 0.1 < found.mean() < 0.9
    # Negative control: the condition that the printed G_3 would give is not it.
    wrong = (c <= 3) & ((high <= -low) | ((c - 1) ** 2 * high >= -((c + 1) ** 2) * low))
    assert np.mean(wrong != found) > 0.01 and np.mean(printed >= -EDGE) < found.mean()
    # The region between, for c below 2.535: u between (c / b) l and (4 a - 2 - a^2) l / b^2.
    last = (4 + np.sqrt(13)) / 3
    for c, inside in ((last * 0.99, True), (last * 1.01, False)):
        a, b = (c + 1) / 2, (c - 1) / 2
        u = (c / b + (4 * a - 2 - a**2) / b**2) / 2
        assert convex(-1.0, u, c) == inside
        d = np.diff(steps(np.array(-1.0), np.array(u), c, partial(s3d.best_gain, m=3)))
        assert (d.min() >= 0) == inside
    # S = diag(-1, 3/2) and c = 3: (0, -1, -9/4, -7/2) is not convex, and S = (1) is up to c = 3.
    assert not convex(-1.0, 1.5, 3.0) and convex(1.0, 1.0, 3.0) and not convex(1.0, 1.0, 3.01)


@pytest.mark.statement("S3D-C.1-LP")
def test_c_1_one_neuron_agrees_at_all_budgets_just_where_its_gains_are_convex(evidence):
    rng, agree, gap = np.random.default_rng(8), {True: 0, False: 0}, 0.0
    while min(agree.values()) < 15:
        low, high, c = -rng.random(), rng.random(), 1 + 4 * rng.random()
        gains = np.array([[s3d.best_gain(low, high, c, m) for m in range(1, 5)]])
        bend = np.diff(gains[0], n=2).min()
        if abs(bend) < 1e-3 or agree[kind := bool(convex(low, high, c))] >= 15:
            continue
        gaps = [
            s3d.allocate(gains, b).value - s3d.allocate_relaxed(gains, b).value for b in (2, 3, 4)
        ]
        assert (max(gaps) <= LINPROG) == kind
        agree[kind] += 1
        gap = max(gap, max(gaps) / -gains[0, 3])
    evidence("largest gap, as a share of the quartet's gain", gap)
    assert gap > 0.05


@pytest.mark.statement("S3D-C.1-IP")
def test_c_1_a_list_that_grows_too_long_is_given_up(monkeypatch):
    # Gains nearly proportional to costs: no allocation is known to be worse than another.
    rng = np.random.default_rng(1)
    costs = rng.uniform(0.5, 2, 12)
    gains = -np.outer(costs, np.arange(4)) * (1 + 1e-4 * rng.normal(size=(12, 4)))
    gains[:, 0] = 0
    budget = 2.37 * costs.sum()
    found = s3d.allocate(gains, budget, costs)
    assert costs @ found.sizes <= budget * (1 + 1e-12) and found.value < 0
    monkeypatch.setattr(s3d, "LARGEST_LIST", 100)
    with pytest.raises(ValueError, match=r"more than 100 sums .* Round the costs"):
        s3d.allocate(gains, budget, costs)
    # As the error says: with whole costs the table takes over.
    whole = np.ceil(20 * costs)
    assert whole @ s3d.allocate(gains, 20 * budget, whole).sizes <= 20 * budget
