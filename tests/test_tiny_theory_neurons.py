"""TINY section 3.2 and appendices A.2, B.2: the best neurons as a low-rank regression."""

from fractions import Fraction as F

import numpy as np
import oracles
import pytest
import strategies
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_problems import (
    BRUTE,
    EXACT,
    SLOPE,
    activities,
    layers,
    mean_square,
    nearest,
    onto,
    order,
    random_moves,
)

from refgrow import tiny, tiny_theory

CLEAR = 1e-3  # between numbers of order one that differ
ACTIVATIONS = {
    "tanh": (np.tanh, 1.0),
    "sin 3t": (lambda z: np.sin(3 * z), 3.0),
    "softplus - log 2": (lambda z: oracles.ACTIVATIONS["softplus"](z) - np.log(2), 0.5),
    "-tanh": (lambda z: -np.tanh(z), -1.0),
}


def strengths(B_prev, V):
    """lambda from the definition: the singular values of the projection, over sqrt(n)."""
    s = np.linalg.svd(onto(B_prev) @ V, compute_uv=False)
    return np.pad(s, (0, max(0, V.shape[1] - len(s)))) / np.sqrt(len(V))


def printed_weights(B_prev, V):
    """alpha = S^(-1/2)^T u, omega = v, as printed: without lambda."""
    L = np.linalg.cholesky(B_prev.T @ B_prev / len(V))
    u, s, vt = np.linalg.svd(np.linalg.solve(L, B_prev.T @ V / len(V)), full_matrices=False)
    return np.linalg.solve(L.T, u).T, vt.T, s


# Appendix A.2 ---------------------------------------------------------------------------------


@pytest.mark.statement("TINY-A.2")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_second_order_of_new_neurons_has_the_slope_at_zero(name, evidence):
    sigma, slope = ACTIVATIONS[name]
    rng = np.random.default_rng(0)
    B_prev, fan_in, fan_out = rng.normal(size=(5, 3)), *rng.normal(size=(2, 2, 3))
    fan_out = fan_out.T
    linear = tiny_theory.move(B_prev, fan_in, fan_out)
    assert np.abs(linear - np.einsum("iq,kq,pk->ip", B_prev, fan_in, fan_out)).max() < EXACT

    def added(a, o):
        return sigma(B_prev @ (a * fan_in).T) @ (o * fan_out).T

    sizes = 0.5 ** np.arange(6, 12)
    both = [np.linalg.norm(added(s, s) - s * s * slope * linear) for s in sizes]
    printed = [np.linalg.norm(added(s, s) - s * s * linear) for s in sizes]
    alone = [np.linalg.norm(added(s, 1) - s * slope * linear) for s in sizes]
    evidence(order_with_slope=order(both)[-1], order_printed=order(printed)[-1])
    assert order(both)[-1] > 3 - SLOPE  # o((|alpha| + |omega|)^2)
    assert order(alone)[-1] > 2 - SLOPE  # the first order for fixed omega
    assert (abs(order(printed)[-1] - 2) < SLOPE) == (slope != 1)
    # Eq 9: no first order at zero.
    assert np.linalg.norm(added(1e-4, 1e-4)) < 1e-6
    # The tangent space for given omega depends on what the omegas span, and on that alone.
    mixed = fan_out @ np.array([[1.0, 2.0], [0.5, 3.0]])
    spans = [np.kron(B_prev, o) for o in (fan_out, mixed)]
    assert np.abs(onto(spans[0]) - onto(spans[1])).max() < EXACT


@pytest.mark.statement("TINY-A.2")
def test_eq_9_needs_an_activation_that_is_zero_at_zero(evidence):
    sigmoid = oracles.ACTIVATIONS["sigmoid"]
    change = [abs(sigmoid(s * 0.7) * s) for s in 0.5 ** np.arange(8, 12)]
    evidence(order=order(change)[-1])
    assert abs(order(change)[-1] - 1) < SLOPE


# Prop 3.2 -------------------------------------------------------------------------------------


@pytest.mark.statement("TINY-Prop-3.2-gain", "TINY-Prop-3.2-weights", "TINY-orth")
@settings(max_examples=50)
@given(layers(), strategies.generators, st.data())
def test_eq_10_for_any_rank_and_its_orthogonality(evidence, problem, rng, data):
    B, B_prev, V = problem
    V = V - onto(B) @ V if data.draw(st.booleans()) else V
    assume(np.abs(V).max() > 1e-3)
    n, p = V.shape
    k = data.draw(st.integers(1, p))
    fan_in, fan_out, lam = tiny.best_neurons(B_prev, V, k)
    assert np.abs(lam - strengths(B_prev, V)[:k]).max() < EXACT
    direct = mean_square(V - tiny_theory.move(B_prev, fan_in, fan_out))
    error = abs(direct - (mean_square(V) - lam @ lam))
    evidence.worst("error of eq 10", error)
    assert error < EXACT * (1 + mean_square(V))
    for M in random_moves(B_prev, V, k, rng, count=10):
        assert mean_square(V - M) > direct - EXACT * (1 + mean_square(V))
    # One by one they gain lambda_k^2 each, and do not see each other.
    moves = [tiny_theory.move(B_prev, fan_in[[j]], fan_out[:, [j]]).ravel() for j in range(k)]
    gram = np.array(moves) @ np.array(moves).T / n
    assert np.abs(gram - np.diag(lam**2)).max() < EXACT * (1 + mean_square(V))
    # The gauge that the norm of a neuron leaves open changes nothing: (C alpha, C^-T omega).
    C = rng.normal(size=(k, k)) + 3 * np.eye(k)
    other = tiny_theory.move(B_prev, C @ fan_in, fan_out @ np.linalg.inv(C))
    assert np.abs(other.ravel() - sum(moves)).max() < 1e-9 * (1 + np.abs(V).max())


@pytest.mark.statement("TINY-Prop-3.2-gain", "TINY-Prop-3.2-weights")
@pytest.mark.parametrize("k", [1, 2, 3])
def test_eq_10_against_a_general_optimiser_and_the_printed_weights(k, evidence):
    rng = np.random.default_rng(k)
    B_prev, V = activities(7, 3, rng, [0.5, 1.0, 2.0]), activities(7, 3, rng)
    best = nearest(np.zeros((7, 1)), B_prev, V, k, rng)
    lam = tiny.best_neurons(B_prev, V, k).strengths
    evidence(eq_10=mean_square(V) - lam @ lam, bfgs=best)
    assert abs(mean_square(V) - lam @ lam - best) < BRUTE
    # Controls: strengths without 1 / sqrt(n); strengths of another V; the printed weights.
    assert abs(mean_square(V) - 7 * lam @ lam - best) > CLEAR
    rest = V - onto(activities(7, 2, rng)) @ V
    direct = mean_square(rest - tiny_theory.move(B_prev, *tiny.best_neurons(B_prev, rest, k)[:2]))
    assert abs(mean_square(rest) - lam @ lam - direct) > CLEAR
    alpha, omega, s = printed_weights(B_prev, V)
    printed = mean_square(V - tiny_theory.move(B_prev, alpha[:k], omega[:, :k]))
    evidence(printed_weights=printed)
    assert np.abs(s[:k] - lam).max() < EXACT
    assert abs(printed - (mean_square(V) - (2 * s[:k] - 1).sum())) < EXACT
    assert printed > best + CLEAR
    scaled = mean_square(V - tiny_theory.move(B_prev, alpha[:k], omega[:, :k] * s[:k]))
    assert abs(scaled - best) < BRUTE


@pytest.mark.statement("TINY-Prop-3.2-weights")
def test_the_printed_weights_make_it_worse(evidence):
    """n = q = p = 1, b = 1, V = 1/4: S = 1, N = 1/4, so alpha = 1 and omega = 1 as printed."""
    V = F(1, 4)
    printed, nothing = (V - 1) ** 2, V**2
    evidence("printed, nothing, with lambda", f"{printed}, {nothing}, {(V - V * 1) ** 2}")
    assert (printed, nothing) == (F(9, 16), F(1, 16))
    alpha, omega, s = printed_weights(np.ones((1, 1)), np.array([[0.25]]))
    assert abs(alpha[0, 0] * omega[0, 0]) == 1 and s[0] == 0.25
    fan_in, fan_out, lam = tiny.best_neurons([[1.0]], [[0.25]], 1)
    assert lam[0] == 0.25 and fan_in[0, 0] * fan_out[0, 0] == 0.25


@pytest.mark.statement("TINY-Prop-3.2-weights")
def test_one_amplitude_for_all_does_not_mend_the_printed_weights(evidence):
    """lambda = 2 and 1/10. Eq 7's gamma restores lambda for K = 1, not for two that differ."""
    B_prev, V = np.sqrt(2) * np.eye(2), np.sqrt(2) * np.diag([2.0, 0.1])
    alpha, omega, s = printed_weights(B_prev, V)
    assert np.abs(s - [2, 0.1]).max() < EXACT

    def left(gamma, k):
        return mean_square(V - gamma * tiny_theory.move(B_prev, alpha[:k], omega[:, :k]))

    # (2 - gamma)^2 + (1/10 - gamma)^2 is least at 21/20.
    both, first = left(1.05, 2), left(2.0, 1)
    evidence(nothing=mean_square(V), printed_two=both, first_alone=first)
    assert abs(mean_square(V) - 4.01) < EXACT
    assert abs(both - 1.805) < EXACT and both < min(left(1.04, 2), left(1.06, 2))
    assert abs(first - 0.01) < EXACT  # one neuron: the amplitude restores lambda
    a, o, _ = tiny.best_neurons(B_prev, V, 2)
    assert mean_square(V - tiny_theory.move(B_prev, a, o)) < EXACT  # with lambda: all of it


@pytest.mark.statement("TINY-Prop-3.2-K")
@settings(max_examples=30)
@given(strategies.generators, st.integers(1, 3), st.integers(0, 2))
def test_R_is_the_least_optimal_number_of_neurons(evidence, rng, rank, more):
    p = rank + more
    B_prev = activities(9, 4, rng, [1.0, 2.0, 0.5, 0.7])
    V = activities(9, rank, rng) @ activities(rank, p, rng)
    N = B_prev.T @ V / 9
    assert np.linalg.matrix_rank(N, 1e-9) == rank
    lowest = mean_square(V - onto(B_prev) @ V)
    at = [tiny_theory.distances(np.zeros((9, 1)), B_prev, V, k).neurons for k in range(1, p + 1)]
    evidence(distances=at, infimum=lowest, R=rank)
    assert all(abs(d - lowest) < EXACT for d in at[rank - 1 :])  # R, and every number beyond
    below = at[rank - 2] if rank > 1 else mean_square(V)
    lam = tiny.best_neurons(B_prev, V, p).strengths
    assert abs(below - lowest - lam[rank - 1] ** 2) < EXACT and lam[rank - 1] > 1e-6
    assert (lam[rank:] == 0).all()
    # A neuron split in two, or one of size zero: more neurons, and as good.
    fan_in, fan_out, _ = tiny.best_neurons(B_prev, V, rank)
    halves = tiny_theory.move(
        B_prev,
        np.vstack([fan_in, fan_in[:1], np.zeros((1, 4))]),
        np.column_stack([fan_out[:, :1] / 2, fan_out[:, 1:], fan_out[:, :1] / 2, fan_out[:, :1]]),
    )
    assert abs(mean_square(V - halves) - lowest) < EXACT
    # Control: B.2's ascending order would keep the worst.
    if rank > 1 and lam[0] > lam[rank - 1] + 1e-6:
        worst = mean_square(V) - lam[rank - 1] ** 2
        assert worst > at[0] + 1e-9


@pytest.mark.statement("TINY-Prop-3.2-K")
def test_without_a_correlation_no_neuron_is_wanted():
    B_prev, V = np.array([[1.0], [1.0]]), np.array([[1.0], [-1.0]])
    fan_in, fan_out, lam = tiny.best_neurons(B_prev, V, 1)
    assert lam[0] == 0 and (fan_in == 0).all() and (fan_out == 0).all()


@pytest.mark.statement("TINY-Prop-3.2-gain")
def test_strengths_of_the_goal_and_of_the_rest_are_not_ordered(evidence):
    """n = 2, V = (1, 0), B_prev = (0, 1), B = (1, 1): 0 for V, 1/8 for what B leaves."""
    V, B_prev, B = np.array([[1.0], [0]]), np.array([[0.0], [1]]), np.ones((2, 1))
    rest = V - B @ tiny.best_update(B, V).T
    whole, left = (tiny.best_neurons(B_prev, A, 1).strengths[0] ** 2 for A in (V, rest))
    evidence(of_V=whole, of_the_rest=left)
    assert whole == 0 and abs(left - 1 / 8) < EXACT
    assert tiny.best_neurons(B, V, 1).strengths[0] > 0.1  # Control: B for B_prev,
    assert tiny.best_neurons(B, rest, 1).strengths[0] < EXACT  # where the rest has nothing left.


@pytest.mark.statement("TINY-Prop-3.2-gain")
@settings(max_examples=20)
@given(strategies.generators)
def test_the_second_moment_is_not_centred(evidence, rng):
    """A centred S without bias gives the same only where V has mean zero, as the rest has."""
    X = rng.normal(size=(9, 2)) + 1
    B_prev, centred = np.column_stack([X, np.ones(9)]), X - X.mean(axis=0)
    V = rng.normal(size=(9, 2)) + 1
    rest = V - V.mean(axis=0)  # what any B with a bias column leaves has mean zero
    a, b = (tiny.best_neurons(A, rest, 2).strengths for A in (B_prev, centred))
    assert np.abs(a - b).max() < EXACT
    a, b = (tiny.best_neurons(A, V, 2).strengths for A in (B_prev, centred))
    evidence(uncentred=a[0], centred=b[0])
    assert a[0] > b[0] + CLEAR  # Control


@pytest.mark.statement("TINY-orth")
def test_other_minimisers_of_the_same_problem_are_not_orthogonal(evidence):
    rng = np.random.default_rng(5)
    B_prev, V = activities(7, 3, rng), activities(7, 2, rng)
    a, o, lam = tiny.best_neurons(B_prev, V, 2)
    a2 = np.array([a[0], a[0] + a[1]])
    o2 = np.column_stack([o[:, 0] - o[:, 1], o[:, 1]])
    same = tiny_theory.move(B_prev, a2, o2) - tiny_theory.move(B_prev, a, o)
    first, second = (tiny_theory.move(B_prev, a2[[j]], o2[:, [j]]) for j in (0, 1))
    inner = (first * second).sum() / 7
    evidence(inner_product=inner, minus_lambda_1_squared=-(lam[0] ** 2))
    assert np.abs(same).max() < EXACT
    assert abs(inner + lam[0] ** 2) < EXACT and lam[0] ** 2 > CLEAR


@pytest.mark.statement("TINY-orth")
def test_new_neurons_are_not_orthogonal_to_the_best_update_nor_once_bent(evidence):
    rng = np.random.default_rng(5)
    B, B_prev, V = (activities(7, q, rng) for q in (2, 3, 2))
    own = B @ tiny.best_update(B, V).T
    a, o, _ = tiny.best_neurons(B_prev, V - own, 2)
    inner = (own * tiny_theory.move(B_prev, a[:1], o[:, :1])).sum() / 7
    bent = [np.maximum(B_prev @ a[[j]].T, 0) for j in (0, 1)]
    evidence(with_best_update=inner, after_relu=float((bent[0] * bent[1]).sum()) / 7)
    assert abs(inner) > CLEAR and abs((bent[0] * bent[1]).sum() / 7) > CLEAR


# The criterion ---------------------------------------------------------------------------------


@pytest.mark.statement("TINY-keep")
@pytest.mark.parametrize("c", [0.1, 10.0])
def test_the_criterion_to_keep_a_neuron_has_a_scale(c, evidence):
    rng = np.random.default_rng(1)
    B_prev, V, loss = activities(9, 3, rng), activities(9, 2, rng), 0.7
    lam, scaled = (tiny.best_neurons(B_prev, A, 2).strengths for A in (V, c * V))
    # c times the loss: gradients, so V, take c; the printed lambda^2 L takes c^3.
    ratio = (scaled**2 * c * loss) / (lam**2 * loss)
    evidence(c=c, printed_criterion_takes=ratio[0])
    assert np.abs(ratio / c**3 - 1).max() < EXACT
    # lambda^2 / (eta L) takes c at the same eta, and 1 if eta is divided by c.
    assert np.abs((scaled**2 / (c * loss)) / (lam**2 / loss) / c - 1).max() < EXACT
    unscaled = tiny.best_neurons(B_prev, (1 / c) * (c * V), 2).strengths  # eta = 1 / c, loss c L
    assert np.abs(unscaled**2 / ((1 / c) * c * loss) / (lam**2 / loss) - 1).max() < EXACT
    # The move is of order lambda, the change of the loss of order lambda^2.
    a, o, _ = tiny.best_neurons(B_prev, V, 2)
    for j in (0, 1):
        M = tiny_theory.move(B_prev, a[[j]], o[:, [j]])
        assert abs(mean_square(M) - lam[j] ** 2) < EXACT
        slope = tiny_theory.first_order(V, B_prev, a[[j]], o[:, [j]], 1.0)[0]
        assert abs(slope + lam[j] ** 2) < EXACT


@pytest.mark.statement("TINY-keep")
def test_the_printed_criterion_keeps_more_while_the_loss_is_high(evidence):
    """Squared loss, V = y - f: halfway to the target, lambda^2 L is 1/16, lambda^2 / L the same."""
    rng = np.random.default_rng(2)
    B_prev, gap = activities(9, 3, rng), activities(9, 1, rng)
    at = []
    for share in (1.0, 0.5):
        lam = tiny.best_neurons(B_prev, share * gap, 1).strengths[0]
        loss = mean_square(share * gap) / 2
        at.append((lam**2 * loss, lam**2 / loss))
        for eta in (1.0, 0.1):  # lambda^2 / (eta L) is at most 2 eta, with the 1/2 in the loss
            strength = tiny.best_neurons(B_prev, eta * share * gap, 1).strengths[0]
            assert strength**2 / (eta * loss) < 2 * eta + EXACT
    evidence(printed=at[1][0] / at[0][0], ratio=at[1][1] / at[0][1])
    assert abs(at[1][0] / at[0][0] - 1 / 16) < EXACT
    assert abs(at[1][1] / at[0][1] - 1) < EXACT
