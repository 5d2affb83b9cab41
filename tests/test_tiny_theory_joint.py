"""TINY's two corollaries: old and new weights in turn or together, and neurons in turn."""

from fractions import Fraction as F

import numpy as np
import pytest
import strategies
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from tiny_problems import (
    BRUTE,
    EXACT,
    activities,
    at_angles,
    derivative_from_the_right,
    layers,
    mean_square,
    nearest,
    onto,
)

from refgrow import tiny, tiny_theory

CLEAR = 1e-3  # between numbers of order one that differ
FINE = 1e-9  # through spans with principal sines down to 1e-3
sines = st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.8, 1.0]), min_size=1, max_size=4)


def in_turn_strengths(B, B_prev, V, k):
    rest = V - B @ tiny.best_update(B, V).T
    return tiny.best_neurons(B_prev, rest, k).strengths


def joint_move(B, B_prev, V, k):
    U, fan_in, fan_out, strengths = tiny.joint_neurons(B, B_prev, V, k)
    return B @ U.T, tiny_theory.move(B_prev, fan_in, fan_out), strengths


def largest_sine(B, B_prev):
    return tiny_theory.principal_sines(B, B_prev).max(initial=0.0)


# T1: the joint optimum ------------------------------------------------------------------------


@pytest.mark.statement("TINY-joint-new", "TINY-Cor-1")
@pytest.mark.parametrize("seed", range(8))
def test_the_joint_optimum_against_a_general_optimiser(seed, evidence):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(6, 9)), 1 + seed % 2
    B, B_prev, V = (activities(n, q, rng) for q in (2, 2, 2))
    if seed > 3:
        B, B_prev = (np.column_stack([A, np.ones(n)]) for A in (B, B_prev))
    found = tiny_theory.distances(B, B_prev, V, k)
    best = nearest(B, B_prev, V, k, rng, starts=5)
    evidence(together=found.together, bfgs=best, update_first=found.update_first)
    assert abs(found.together - best) < BRUTE
    assert found.update_first > best + 1e-6  # Control: the paper's order


@pytest.mark.statement("TINY-joint-new", "TINY-Cor-1")
@settings(max_examples=60)
@given(layers(), st.data())
def test_distances_are_those_of_the_moves(evidence, problem, data):
    B, B_prev, V = problem
    k = data.draw(st.integers(1, V.shape[1]))
    found = tiny_theory.distances(B, B_prev, V, k)
    own, new, mu = joint_move(B, B_prev, V, k)
    size = 1 + mean_square(V)
    P = onto(B)
    neurons = tiny_theory.move(B_prev, *tiny.best_neurons(B_prev, V, k)[:2])
    rest = V - P @ V
    after = tiny_theory.move(B_prev, *tiny.best_neurons(B_prev, rest, k)[:2])
    direct = (
        mean_square(V),
        mean_square(rest),
        mean_square(V - neurons),
        mean_square(rest - after),
        mean_square(V - neurons - P @ (V - neurons)),
        mean_square(V - own - new),
    )
    assume(tiny_theory.least_share(B, B_prev) > 1e-4)
    evidence.worst("error", float(np.abs(np.subtract(found, direct)).max()) / size)
    assert np.abs(np.subtract(found, direct)).max() < FINE * size
    assert abs(found.update - mu @ mu - found.together) < FINE * size
    assert found.together <= min(found[:5]) + FINE * size
    # B.2's inner product is right for what the neurons do outside the span of B.
    assert abs((V * (new - P @ new)).sum() / len(V) - mu @ mu) < FINE * size
    # Old and new together are at rest: the update is the best for what the neurons leave.
    assert np.abs(P @ (V - new) - own).max() < 1e-7 * size
    lam = in_turn_strengths(B, B_prev, V, k)
    least, most = np.sqrt(tiny_theory.least_share(B, B_prev)), largest_sine(B, B_prev)
    assert (lam <= most * mu + FINE * size).all() and (lam >= least * mu - FINE * size).all()


@pytest.mark.statement("TINY-joint-new")
@settings(max_examples=40)
@given(sines, strategies.generators)
def test_in_turn_is_as_good_for_all_goals_only_at_right_angles(evidence, angles, rng):
    B, B_prev, V = at_angles(angles, rng, beside=1, p=2)
    found = [tiny_theory.distances(B, B_prev, V, k) for k in (1, 2)]
    gap = max(d.update_first - d.together for d in found)
    P, Q = tiny_theory.projector(B), tiny_theory.projector(B_prev)
    commute = np.abs(P @ Q - Q @ P).max() < FINE
    assert commute == (set(angles) <= {0.0, 1.0})
    evidence.worst("gap", gap)
    assert gap > -EXACT
    assert (gap < FINE) == commute  # V is generic


@pytest.mark.statement("TINY-joint-new")
def test_for_one_goal_in_turn_may_be_as_good_at_any_angle(evidence):
    """Iff the top singular vectors of R V are in the span of B_prev: here one plane of two is."""
    rng = np.random.default_rng(1)
    turn = strategies.rotation(5, rng)
    e = turn.T
    B, B_prev = turn[:, :2], np.column_stack([e[0] + e[2], e[3]])
    inside, across = np.outer(e[3], [1.0, 0.0]), np.outer(e[2], [0.0, 1.0])
    for V, k, equal in (
        (2 * inside + across, 1, True),
        (inside + 2 * across, 1, False),
        (2 * inside + across, 2, False),
    ):
        d = tiny_theory.distances(B, B_prev, V, k)
        evidence(f"gap, k = {k}, {'inside' if equal else 'across'}", d.update_first - d.together)
        assert (d.update_first - d.together < EXACT) == equal


@pytest.mark.statement("TINY-joint-new")
def test_the_ends_where_neurons_do_nothing_or_everything():
    rng = np.random.default_rng(0)
    B, V = activities(7, 3, rng), activities(7, 2, rng)
    within = B @ rng.normal(size=(3, 2))
    d = tiny_theory.distances(B, within, V, 2)
    assert max(d.update_first, d.together) - d.update < EXACT > d.update - d.together
    _, new, mu = joint_move(B, within, V, 2)
    assert (mu == 0).all() and np.abs(new).max() == 0
    apart = activities(7, 3, rng)
    apart = apart - onto(B) @ apart
    d = tiny_theory.distances(B, apart, V, 2)
    assert abs(d.update_first - d.together) < EXACT and d.together < d.update - CLEAR


@pytest.mark.statement("TINY-joint-new")
def test_alternating_converges_to_it_by_the_square_of_the_cosine(evidence):
    B, B_prev, V = at_angles([0.5, 0.5], np.random.default_rng(2), beside=1)
    best = tiny_theory.distances(B, B_prev, V, 2).together
    P, Q, new, gaps = onto(B), onto(B_prev), 0 * V, []
    for _ in range(12):
        own = P @ (V - new)
        new = Q @ (V - own)  # k = 2 is the rank: nothing is cut
        gaps.append(mean_square(V - own - new) - best)
    rates = np.array(gaps[5:11]) / np.array(gaps[4:10])
    evidence(rate=rates[-1], cos_to_the_fourth=0.75**2)
    assert np.abs(rates - 0.75**2).max() < 1e-6  # of the distance; of the moves, cos^2 = 3/4


# The angle ------------------------------------------------------------------------------------


@pytest.mark.statement("TINY-angle-new")
@settings(max_examples=40)
@given(sines, strategies.generators)
def test_the_sines_are_those_of_the_construction(evidence, angles, rng):
    B, B_prev, _ = at_angles(angles, rng, beside=2)
    found = tiny_theory.principal_sines(B, B_prev)
    evidence.worst("error", float(np.abs(np.sort(found) - np.sort(angles)).max()))
    assert np.abs(np.sort(found) - np.sort(angles)).max() < EXACT
    assert (found > 0).sum() == np.count_nonzero(angles)
    least = min((s for s in angles if s > 0), default=1.0)
    assert abs(tiny_theory.least_share(B, B_prev) - least**2) < EXACT
    # Columns count alike: the scale of a column is no angle.
    scale = np.logspace(-20, 20, B.shape[1])
    assert np.abs(tiny_theory.principal_sines(B * scale, B_prev) - found).max() < 1e-7


@pytest.mark.statement("TINY-angle-new")
def test_small_sines_are_angles_and_rounding_is_not():
    rng = np.random.default_rng(4)
    for sine in (1e-4, 1e-7):
        least = tiny_theory.principal_sines(*at_angles([sine, 1.0], rng)[:2]).min()
        assert abs(least - sine) < 1e-13
    B = activities(9, 3, rng, [1.0, 1e-3, 1e3])
    assert (tiny_theory.principal_sines(B, B @ rng.normal(size=(3, 3))) == 0).all()


@pytest.mark.statement("TINY-angle-new")
@pytest.mark.parametrize(("sine", "most"), [(1e-3, 1.0), (0.1, 0.7), (0.6, 0.9)])
def test_both_ends_of_the_angle_bound_are_attained(sine, most, evidence):
    """sin(t) mu_j and sin(T) mu_j, t and T the smallest and the largest angle of given spans."""
    rng = np.random.default_rng(3)
    B, B_prev, _ = at_angles([sine, most], rng)
    share = tiny_theory.least_share(B, B_prev)
    assert abs(share - sine**2) < EXACT and abs(largest_sine(B, B_prev) - most) < EXACT
    # The part of B_prev outside the span of B, direction by direction.
    P, Q = onto(B), onto(B_prev)
    R = onto(B_prev - P @ B_prev)
    lifts, directions = np.linalg.svd(Q @ R)[1:]
    assert np.abs(lifts[:2] - [most, sine]).max() < FINE
    for end, direction in zip((most, sine), directions[:2], strict=True):
        V = direction[:, None]
        lam, [mu] = in_turn_strengths(B, B_prev, V, 1), joint_move(B, B_prev, V, 1)[2]
        ratio = lam[0] ** 2 / mu**2
        evidence(f"ratio at sine {end:.3g}", ratio)
        assert abs(ratio - end**2) < 1e-8
        # No smaller factor for the largest angle, no larger one for the smallest, would do.
        assert (ratio < 1.01 * share) == (end == sine)
        assert (ratio > 0.99 * most**2) == (end == most)
    assert np.abs(P @ directions[:2].T).max() < FINE


@pytest.mark.statement("TINY-angle-new")
@settings(max_examples=20)
@given(strategies.generators, st.sampled_from([0.3, 0.5, 0.9]))
def test_with_one_angle_the_share_is_its_square_for_every_goal(rng, sine):
    """So the two steps do not come near all of the joint gain where no angle is near 90."""
    B, B_prev, V = at_angles([0.0, sine], rng, p=3)
    lam, mu = in_turn_strengths(B, B_prev, V, 1), joint_move(B, B_prev, V, 1)[2]
    assume(mu[0] > 1e-3)
    assert abs(lam[0] / mu[0] - sine) < 1e-8
    assert lam[0] < 0.99 * mu[0]  # Control: all of it.


@pytest.mark.statement("TINY-angle-new")
def test_a_nearly_linear_layer_leaves_the_two_steps_nothing(evidence):
    """What this paper's neurons are right after they were added; the joint fan-in is then huge.

    New neurons read the pre-activation alone, not both inputs.
    """
    X = np.random.default_rng(1).normal(size=(50, 2))
    goal = np.sin(2 * X[:, :1]) + X[:, 1:] ** 2
    shares, fan_ins = [], []
    for size in (1.0, 0.3, 0.1):
        Z = X @ [[size], [size / 2]]
        B, B_prev = (np.column_stack([A, np.ones(50)]) for A in (np.tanh(Z + 0.3 * size), Z))
        d = tiny_theory.distances(B, B_prev, goal, 1)
        shares.append((d.update - d.update_first) / (d.update - d.together))
        fan_ins.append(float(np.abs(tiny.joint_neurons(B, B_prev, goal, 1)[1]).max()))
        assert shares[-1] > tiny_theory.least_share(B, B_prev) * (1 - 1e-6)
    evidence(share_of_the_joint_gain=shares, largest_joint_fan_in=fan_ins)
    assert shares[0] < 0.2 and shares[1] < 0.05 and shares[2] < shares[1] / 5
    assert fan_ins[2] > 10 * fan_ins[0]


# First corollary ------------------------------------------------------------------------------


@pytest.mark.statement("TINY-Cor-1", "TINY-joint-new")
def test_the_first_corollary_fails_on_the_obtuse_example_in_fractions(evidence):
    """x = (-1, 0, 1), h = (0, 0, 1), a bias, V = (0, 1, -1)."""
    x, h, V = ([F(v) for v in row] for row in ((-1, 0, 1), (0, 0, 1), (0, 1, -1)))

    def left(a, b, c, d):
        """|V - (a h + b) - (c x + d)|^2."""
        return sum((v - a * s - b - c * t - d) ** 2 for v, s, t in zip(V, h, x, strict=True))

    two_step = left(F(-3, 2), F(1, 2), F(1, 4), 0)
    together = left(F(-3), F(1), F(1), 0)
    evidence("in turn and together", f"{two_step} and {together}")
    assert (two_step, together) == (F(3, 8), 0)
    net, X, Y = tiny_theory.obtuse_example()
    B, B_prev = (np.column_stack([A, np.ones(3)]) for A in (net.activation(X), X))
    goal = tiny.desired_updates(net, X, Y, "squared")[1]
    d = tiny_theory.distances(B, B_prev, goal, 1)
    assert abs(d.update_first - 1 / 8) < EXACT and abs(d.together) < EXACT
    U, fan_in, fan_out, _ = tiny.joint_neurons(B, B_prev, goal, 1)
    # B and B_prev share the bias, so only the sum of the two constants is determined.
    M = fan_out @ fan_in
    assert np.abs([U[0, 0] + 3, M[0, 0] - 1, U[0, 1] + M[0, 1] - 1]).max() < EXACT
    assert abs(tiny_theory.least_share(B, B_prev) - 1 / 4) < EXACT  # 30 degrees


@pytest.mark.statement("TINY-Cor-1")
def test_the_first_corollary_word_for_word(evidence):
    """The matrix that minimises eq 10, through its impact on the rest: 0, and 1/8 at dW*."""
    net, X, Y = tiny_theory.obtuse_example()
    B, B_prev = (np.column_stack([A, np.ones(3)]) for A in (net.activation(X), X))

    def eq_10(w):
        rest = Y - B @ np.reshape(w, (2, 1))
        return mean_square(rest) - tiny.best_neurons(B_prev, rest, 1).strengths[0] ** 2

    def gain(t):
        return tiny.best_neurons(B_prev, Y - B @ [[t], [0.0]], 1).strengths[0] ** 2

    star = tiny.best_update(B, Y)[0]
    best = minimize(eq_10, star, method="Nelder-Mead", options={"maxiter": 500, "fatol": 1e-12})
    evidence(at_dW=eq_10(star), lowest=best.fun, gains=[gain(t) for t in (0.0, 10.0, 100.0)])
    assert abs(eq_10(star) - 1 / 8) < EXACT and best.fun < 1e-8
    # "Orders zero and one": L - (gamma sigma'(0) / eta) sum lambda_k^2 has no minimum.
    assert gain(10.0) > 10 and gain(100.0) > 50 * gain(10.0)
    # What dW* does minimise is order zero, the distance without neurons.
    lowest = minimize(lambda w: mean_square(Y - B @ w.reshape(2, 1)), np.zeros(2))
    assert np.abs(lowest.x - star).max() < 1e-5


@pytest.mark.statement("TINY-Cor-1")
def test_neither_order_of_the_two_steps_is_better_than_the_other(evidence):
    B, B_prev = np.array([[1.0], [0.0]]), np.array([[0.8], [0.6]])
    for V, first in ((B, "update"), (B_prev, "neurons")):
        d = tiny_theory.distances(B, B_prev, V, 1)
        evidence(f"{first} first", f"{d.update_first:.3g}, {d.neurons_first:.3g}")
        assert (d.update_first < d.neurons_first) == (first == "update")
        assert (d.update_first < d.neurons) == (first == "update")
        assert d.together < EXACT


# Second corollary -----------------------------------------------------------------------------


def one_more(B, B_prev, fan_in):
    """The layer's input once neurons were added, in the limit of small ones: they are linear."""
    return np.column_stack([B, B_prev @ fan_in.T])


@pytest.mark.statement("TINY-Cor-2")
@settings(max_examples=40)
@given(layers(st.sampled_from([0.5, 1.0, 2.0])), st.data())
def test_m_neurons_and_then_more(evidence, problem, data):
    B, B_prev, V = problem
    p = V.shape[1]
    assume(p > 1 and tiny_theory.least_share(B, B_prev) > 1e-2)
    m = data.draw(st.integers(1, p - 1))
    rest = V - onto(B) @ V
    lam = tiny.best_neurons(B_prev, rest, p).strengths
    size = 1 + mean_square(V)
    # (a) For the rest that the first leave, at the same point: the same neurons.
    a, o, first = tiny.best_neurons(B_prev, rest, m)
    then = tiny.best_neurons(B_prev, rest - tiny_theory.move(B_prev, a, o), p - m).strengths
    evidence.worst("(a)", float(np.abs(np.append(first, then) - lam).max()))
    assert np.abs(np.append(first, then) - lam).max() < FINE * size
    # (c) The method twice, the old weights refitted: at least that, by Weyl.
    live = a[first > 1e-6]
    B2 = one_more(B, B_prev, live)
    twice = in_turn_strengths(B2, B_prev, V, p - m)
    assert (twice >= lam[m:] - FINE * size).all()
    # (d) Together, refitted: the remaining ones exactly.
    _, a, o, mu_first = tiny.joint_neurons(B, B_prev, V, m)
    assume(mu_first[-1] > 1e-3)
    mu = tiny.joint_neurons(B, B_prev, V, p)[3]
    rest_of_them = tiny.joint_neurons(one_more(B, B_prev, a), B_prev, V, p - m)[3]
    evidence.worst("(d)", float(np.abs(np.append(mu_first, rest_of_them) - mu).max()))
    assert np.abs(np.append(mu_first, rest_of_them) - mu).max() < 1e-7 * size


@pytest.mark.statement("TINY-Cor-2")
def test_the_method_twice_gains_more_than_at_once(evidence):
    B, B_prev, V = at_angles([0.4, 0.7, 0.9], np.random.default_rng(0), beside=1)
    lam = in_turn_strengths(B, B_prev, V, 2)
    a = tiny.best_neurons(B_prev, V - onto(B) @ V, 1).fan_in
    second = in_turn_strengths(one_more(B, B_prev, a), B_prev, V, 1)[0]
    evidence(lambda_2=lam[1], lambda_1_of_the_second_step=second)
    assert second > lam[1] + CLEAR
    B, B_prev, V = at_angles([0.0, 1.0, 1.0], np.random.default_rng(0), beside=1)  # Control
    lam = in_turn_strengths(B, B_prev, V, 2)
    a = tiny.best_neurons(B_prev, V - onto(B) @ V, 1).fan_in
    assert abs(in_turn_strengths(one_more(B, B_prev, a), B_prev, V, 1)[0] - lam[1]) < FINE


@pytest.mark.statement("TINY-Cor-2")
def test_by_the_printed_proof_the_second_neuron_is_the_first_again(evidence):
    """V = sqrt(2) diag(2, 1), B_prev = sqrt(2) I: -5 at once, -8 one after the other."""
    B_prev, V = np.sqrt(2) * np.eye(2), np.sqrt(2) * np.diag([2.0, 1.0])

    def grow(start, k, gamma):
        a, o, _ = tiny.best_neurons(B_prev, V - start, k)
        return start + np.tanh(B_prev @ (gamma * a).T) @ o.T, a

    def loss(F):
        return mean_square(V - F) / 2

    zero = np.zeros((2, 2))
    at_once = derivative_from_the_right(lambda g: loss(grow(zero, 2, g)[0]))
    in_turn = derivative_from_the_right(lambda g: loss(grow(grow(zero, 1, g)[0], 1, g)[0]))
    evidence(at_once=at_once, in_turn=in_turn)
    assert abs(at_once + 5) < 1e-4 and abs(in_turn + 8) < 1e-4
    first, a = grow(zero, 1, 1e-6)
    again = grow(first, 1, 1e-6)[1]
    assert np.abs(again - a).max() < 1e-5
    # With amplitude one, the identity and the squared loss, it is lambda_2 that is left.
    a, o, lam = tiny.best_neurons(B_prev, V, 2)
    left = V - tiny_theory.move(B_prev, a[:1], o[:, :1])
    assert abs(tiny.best_neurons(B_prev, left, 1).strengths[0] - lam[1]) < EXACT
