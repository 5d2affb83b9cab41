"""TINY, section 3.2: the best neurons, and the joint optimum with the old weights."""

from itertools import combinations

import numpy as np
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh
from scipy.optimize import minimize
from tiny_matrices import CASES, CONTRACT, EPS, projection, strengths

from refgrow import tiny

EXACT = 1e-11  # identities between numbers of order one through well-conditioned products
FOUND = 1e-6  # how close a numerical minimiser comes to its minimum

every_case = pytest.mark.parametrize("B, V, precision", CASES.values(), ids=CASES)
shapes = (strategies.generators, st.integers(6, 30), st.integers(1, 6), st.integers(1, 4))


def distance(V, *moves):
    return ((V - sum(moves)) ** 2).sum() / len(V)


def move(B_prev, fan_in, fan_out):
    return B_prev @ fan_in.T @ fan_out.T


# Proposition 3.2: what the neurons are ----------------------------------------------------------


@pytest.mark.statement("TINY-Prop-3.2-gain", "TINY-B.3")
@every_case
def test_strengths_are_the_singular_values_of_the_projection(evidence, B, V, precision):
    p = V.shape[1]
    right = strengths(B, V, p)
    found = tiny.best_neurons(B, V, p)
    error = np.abs(found.strengths - right).max() / max(right[0], 1e-300)
    evidence(error=error)
    assert error <= precision
    assert (np.diff(found.strengths) <= 0).all()
    # And what they make of V is the projection, as exactly as it is determined.
    image, _ = projection(B, V)
    gap = np.linalg.norm(move(B, *found[:2]) - image)
    assert gap <= 10 * precision * max(np.linalg.norm(V), 1e-300)


@pytest.mark.statement("TINY-Prop-3.2-K")
@every_case
def test_beyond_the_rank_there_are_no_neurons(evidence, B, V, precision):
    p = V.shape[1]
    found = tiny.best_neurons(B, V, p)
    image, _ = projection(B, V)
    values = np.linalg.svd(image, compute_uv=False)
    if values[0] <= 1e-6 * np.linalg.norm(V):  # Nothing to find but rounding.
        rank = 0
    else:
        rank = int((values > 1e-9 * values[0]).sum())
    evidence(rank=rank)
    assert (found.strengths[:rank] > 0).all() and (found.strengths[rank:] == 0).all()
    assert not found.fan_in[rank:].any() and not found.fan_out[:, rank:].any()
    assert found.fan_in[:rank].any(axis=1).all()


@pytest.mark.statement("TINY-Prop-3.2-weights", "TINY-Prop-3.2-gain", "TINY-orth")
@settings(max_examples=60)
@given(*shapes)
def test_neurons_are_the_best_of_their_number(evidence, rng, n, q, p):
    B, V = rng.normal(size=(n, q)), rng.normal(size=(n, p))
    for k in range(1, p + 1):
        fan_in, fan_out, lam = tiny.best_neurons(B, V, k)
        assert fan_in.shape == (k, q) and fan_out.shape == (p, k) and lam.shape == (k,)
        best = distance(V, move(B, fan_in, fan_out))
        assert abs(best - ((V**2).sum() / n - (lam**2).sum())) <= EXACT * (1 + best)  # eq 10
        kept = int((lam > 0).sum())
        gram = fan_out[:, :kept].T @ fan_out[:, :kept]
        assert np.abs(gram - np.eye(kept)).max() <= EXACT
        # Each neuron's move is orthogonal to the others', and of length sqrt(n) lambda.
        moves = [move(B, fan_in[[i]], fan_out[:, [i]]) for i in range(kept)]
        inner = np.array([[np.vdot(a, b) for b in moves] for a in moves])
        assert np.abs(inner - n * np.diag(lam[:kept] ** 2)).max(initial=0) <= EXACT * n * 10
        first = fan_out[np.abs(fan_out) > 1e-8 * np.abs(fan_out).max(axis=0)]
        assert (first[:1] != 0).all()
        for i in range(kept):
            column = fan_out[:, i]
            assert column[np.abs(column) > 1e-8 * np.abs(column).max()][0] > 0
        for _ in range(10):
            other = fan_in + rng.normal(size=fan_in.shape) * 10.0 ** rng.uniform(-4, 0)
            out = fan_out + rng.normal(size=fan_out.shape) * 10.0 ** rng.uniform(-4, 0)
            assert distance(V, move(B, other, out)) >= best * (1 - 1e-12)
    evidence(best=best)


@pytest.mark.statement("TINY-Prop-3.2-weights", "TINY-Prop-3.2-gain")
def test_a_minimiser_finds_nothing_better_and_the_printed_weights_are_worse(evidence):
    rng = np.random.default_rng(1)
    B, V, k = rng.normal(size=(20, 4)), rng.normal(size=(20, 3)), 2
    fan_in, fan_out, lam = tiny.best_neurons(B, V, k)
    best = distance(V, move(B, fan_in, fan_out))

    def loss(z):
        return distance(V, move(B, z[: 4 * k].reshape(k, 4), z[4 * k :].reshape(3, k)))

    found = min(minimize(loss, rng.normal(size=7 * k)).fun for _ in range(6))
    printed = distance(V, move(B, fan_in / lam[:, None], fan_out))  # (alpha_k, omega_k) of Prop 3.2
    evidence(ours=best, minimiser=found, printed=printed)
    assert abs(found - best) <= FOUND * best
    assert printed > best * (1 + 1e-3)
    assert abs(printed - ((V**2).sum() / 20 - (2 * lam - 1).sum())) <= EXACT


@pytest.mark.statement("TINY-Prop-3.2-weights")
def test_one_number_already_refutes_the_printed_weights(evidence):
    """n = q = p = 1, b = 1, V = 1/4: alpha = omega = 1 moves by 1."""
    fan_in, fan_out, lam = tiny.best_neurons([[1.0]], [[0.25]], 1)
    assert lam[0] == 0.25 and fan_in[0, 0] == 0.25 and fan_out[0, 0] == 1.0
    alpha, omega = fan_in[0, 0] / lam[0], fan_out[0, 0]
    evidence(printed=(0.25 - alpha * omega) ** 2, nothing=0.25**2)
    assert (0.25 - alpha * omega) ** 2 == 9 / 16


@pytest.mark.statement("TINY-orth")
def test_other_minimisers_need_not_be_orthogonal(evidence):
    rng = np.random.default_rng(1)
    B, V = rng.normal(size=(20, 4)), rng.normal(size=(20, 3))
    fan_in, fan_out, lam = tiny.best_neurons(B, V, 2)
    mixed_in, mixed_out = fan_in + [0 * fan_in[0], fan_in[0]], fan_out.copy()
    mixed_out[:, 0] -= fan_out[:, 1]
    np.testing.assert_allclose(move(B, mixed_in, mixed_out), move(B, fan_in, fan_out), atol=EXACT)
    inner = np.vdot(*(move(B, mixed_in[[i]], mixed_out[:, [i]]) for i in (0, 1)))
    evidence(inner=inner)
    assert abs(inner) > 0.1 * lam[1] ** 2


def test_fan_in_has_least_norm_where_it_is_not_unique():
    B, V, _ = CASES["dead, constant, repeated, combined"]
    found = tiny.best_neurons(B, V, 2)
    null = np.linalg.svd(B)[2][projection(B, V)[1] :]
    assert len(null) == 5 and np.abs(null @ found.fan_in.T).max() <= EXACT
    # The control: any other solution has a larger norm.
    other = found.fan_in + null[0]
    assert np.abs(B @ (other - found.fan_in).T).max() <= EXACT


def test_signs_do_not_depend_on_rounding_or_order():
    rng = np.random.default_rng(3)
    B, V = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    found = tiny.best_neurons(B, V, 3)
    turned = rng.permutation(40)
    for other in (tiny.best_neurons(B[turned], V[turned], 3), tiny.best_neurons(2 * B, V, 3)):
        np.testing.assert_allclose(other.fan_out, found.fan_out, rtol=0, atol=1e-10)
    again = tiny.best_neurons(B, V, 3)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_what_is_given_is_left_alone_and_any_layout_is_taken():
    rng = np.random.default_rng(3)
    B, V = rng.normal(size=(20, 5)), rng.normal(size=(20, 3))
    B[:, 1] = 0.0
    before = B.copy(), V.copy()
    for array in (B, V):
        array.flags.writeable = False
    found = tiny.best_neurons(B, V, 2)
    np.testing.assert_array_equal(B, before[0])
    np.testing.assert_array_equal(V, before[1])
    same = tiny.best_neurons(np.asfortranarray(B), np.repeat(V, 2, axis=0)[::2], 2)
    assert all(np.array_equal(a, b) for a, b in zip(found, same, strict=True))
    coarse = tiny.best_neurons(B.astype(np.float32), V, 2)
    assert np.abs(coarse.strengths - found.strengths).max() <= 1e-6


@pytest.mark.parametrize("arguments, words", [
    ((np.ones((4, 2)), np.ones((3, 2)), 1), r"V must have shape \(4, p\)"),
    ((np.ones(4), np.ones((4, 2)), 1), r"B_prev\[:, None\]"),
    ((np.ones((4, 2)), np.ones(4), 1), r"V\[:, None\]"),
    ((np.ones((4, 2)), np.ones((4, 2)), 3), "k must be an integer >= 1 and <= 2"),
    ((np.ones((4, 2)), np.ones((4, 2)), 0), "k must be"),
    ((np.full((4, 2), np.nan), np.ones((4, 2)), 1), "finite"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        tiny.best_neurons(*arguments)


# Proposition 3.3: the generalised eigenproblem ---------------------------------------------------


@pytest.mark.statement("TINY-Prop-3.3")
def test_the_eigenproblem_gives_the_same_neurons(evidence):
    rng = np.random.default_rng(4)
    n, q, p, k = 200, 40, 5, 4
    B, V = rng.normal(size=(n, q)) * np.geomspace(1, 20, q), rng.normal(size=(n, p))
    V += B[:, :p]
    S, N = B.T @ B / n, B.T @ V / n
    values, vectors = eigh(N @ N.T, S)
    right = tiny.best_neurons(B, V, k)
    error = np.abs(np.sqrt(values[::-1][:k]) - right.strengths).max()
    alpha = vectors[:, ::-1][:, :k]  # S-orthonormal, as LAPACK normalises them
    omega = N.T @ alpha
    apart = np.abs(B @ alpha @ omega.T - move(B, *right[:2])).max()
    evidence(error=error, apart=apart)
    assert error <= 1e-9 and apart <= 1e-8
    # The control: vectors of Euclidean norm one, as the print leaves open.
    unit = alpha / np.linalg.norm(alpha, axis=0)
    assert np.abs(B @ unit @ (N.T @ unit).T - move(B, *right[:2])).max() > 0.1


@pytest.mark.statement("TINY-Prop-3.3")
def test_lobpcg_gives_the_same_neurons(evidence):
    rng = np.random.default_rng(4)
    n, q, p, k = 300, 60, 5, 3
    B, V = rng.normal(size=(n, q)) * np.geomspace(1, 20, q), rng.normal(size=(n, p))
    B[:, [3, 8]] = 0.0
    V += B[:, 10 : 10 + p] * [3, 2, 1, 0.5, 0.2]
    right = tiny.best_neurons(B, V, k)
    found = tiny.best_neurons_by_lobpcg(B, V, k)
    error = np.abs(found.strengths - right.strengths).max() / right.strengths[0]
    apart = np.linalg.norm(move(B, *found[:2]) - move(B, *right[:2])) / np.linalg.norm(V)
    evidence(error=error, apart=apart)
    assert error <= 1e-8 and apart <= 1e-5
    assert not found.fan_in[:, [3, 8]].any()
    with pytest.raises(ValueError, match="did not reach"):
        tiny.best_neurons_by_lobpcg(B, V, k, maxiter=1)
    with pytest.raises(ValueError, match="more than 5 k"):
        tiny.best_neurons_by_lobpcg(B[:, :6], V, 2)


def test_lobpcg_says_what_it_cannot_do():
    rng = np.random.default_rng(5)
    B, V = rng.normal(size=(200, 30)), rng.normal(size=(200, 4))
    with pytest.raises(ValueError, match=r"as many samples as columns.*Use best_neurons"):
        tiny.best_neurons_by_lobpcg(B[:29], V[:29], 3)
    assert tiny.best_neurons_by_lobpcg(B[:31], V[:31], 3).strengths.all()  # Negative control.
    with pytest.raises(ValueError, match=r"broke down.*Use best_neurons"):
        tiny.best_neurons_by_lobpcg(np.repeat(B[:, :2], 20, axis=1), V, 3)


def test_lobpcg_where_little_is_there_to_find():
    rng = np.random.default_rng(5)
    B, V = rng.normal(size=(200, 30)), rng.normal(size=(200, 4))
    for nothing in (0 * V, V - B @ np.linalg.lstsq(B, V)[0]):
        found = tiny.best_neurons_by_lobpcg(B, nothing, 3)
        assert not found.fan_in.any() and not found.fan_out.any() and not found.strengths.any()
    B[:, 7] = B[:, 8]  # It does not break down on these: the move is right.
    right, found = tiny.best_neurons(B, V, 3), tiny.best_neurons_by_lobpcg(B, V, 3)
    np.testing.assert_allclose(found.strengths, right.strengths, rtol=1e-8)
    assert np.abs(move(B, *found[:2]) - move(B, *right[:2])).max() <= 1e-5


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_lobpcg_does_not_depend_on_units(scale):
    rng = np.random.default_rng(5)
    B, V = rng.normal(size=(200, 30)), rng.normal(size=(200, 4))
    right = tiny.best_neurons_by_lobpcg(B, V, 3)
    found = tiny.best_neurons_by_lobpcg(scale * B, V, 3)
    np.testing.assert_allclose(found.strengths, right.strengths, rtol=1e-8)
    np.testing.assert_allclose(found.fan_in * scale, right.fan_in, rtol=0, atol=1e-5)
    found = tiny.best_neurons_by_lobpcg(B, scale * V, 3)
    np.testing.assert_allclose(found.strengths, scale * right.strengths, rtol=1e-8)
    np.testing.assert_allclose(found.fan_in / scale, right.fan_in, rtol=0, atol=1e-5)


# Problem (4): old and new weights together -------------------------------------------------------


@pytest.mark.statement("TINY-Cor-1")
@settings(max_examples=30)
@given(*shapes, st.integers(1, 5), st.booleans())
def test_together_is_at_least_as_good_and_random_pairs_are_no_better(
    evidence, rng, n, q, p, q_prev, biases
):
    B, B_prev, V = (rng.normal(size=(n, w)) for w in (q, q_prev, p))
    if biases:
        B[:, -1] = B_prev[:, -1] = 1.0
    rest = V - B @ tiny.best_update(B, V).T
    for k in range(1, p + 1):
        update, fan_in, fan_out, mu = tiny.joint_neurons(B, B_prev, V, k)
        together = distance(V, B @ update.T, move(B_prev, fan_in, fan_out))
        assert abs(together - ((rest**2).sum() / n - (mu**2).sum())) <= 1e-9 * (1 + together)
        in_turn = tiny.best_neurons(B_prev, rest, k)
        assert (in_turn.strengths <= mu + 1e-9).all()
        assert together <= distance(rest, move(B_prev, *in_turn[:2])) * (1 + 1e-9) + 1e-12
        for _ in range(5):
            wiggle = 10.0 ** rng.uniform(-4, 0)
            other = (a + wiggle * rng.normal(size=a.shape) for a in (update, fan_in, fan_out))
            U, a, o = other
            assert distance(V, B @ U.T, move(B_prev, a, o)) >= together * (1 - 1e-9) - 1e-12
    evidence(together=together, in_turn=distance(rest, move(B_prev, *in_turn[:2])))


@pytest.mark.statement("TINY-Cor-1")
def test_a_minimiser_finds_the_joint_optimum_and_not_the_papers(evidence):
    rng = np.random.default_rng(2)
    B, B_prev, V, k = *(rng.normal(size=(15, w)) for w in (3, 3, 2)), 1
    B_prev += 2 * B
    update, fan_in, fan_out, _ = tiny.joint_neurons(B, B_prev, V, k)
    ours = distance(V, B @ update.T, move(B_prev, fan_in, fan_out))
    rest = V - B @ tiny.best_update(B, V).T
    paper = distance(rest, move(B_prev, *tiny.best_neurons(B_prev, rest, k)[:2]))

    def loss(z):
        U, a, o = z[:6].reshape(2, 3), z[6:9].reshape(1, 3), z[9:].reshape(2, 1)
        return distance(V, B @ U.T, move(B_prev, a, o))

    found = min(minimize(loss, rng.normal(size=11), tol=1e-10).fun for _ in range(8))
    evidence(ours=ours, minimiser=found, paper=paper)
    assert abs(found - ours) <= FOUND * ours
    assert paper > ours * (1 + 1e-3)


@pytest.mark.statement("TINY-Cor-1")
def test_three_samples_where_together_does_all_and_in_turn_half(evidence):
    """x = (-1, 0, 1), one hidden unit with outputs (0, 0, 1), V = (0, 1, -1)."""
    x = np.array([-1.0, 0.0, 1.0])
    B, B_prev = np.stack([[0.0, 0, 1], np.ones(3)], axis=1), np.stack([x, np.ones(3)], axis=1)
    V = np.array([[0.0], [1.0], [-1.0]])
    update = tiny.best_update(B, V)
    np.testing.assert_allclose(update, [[-1.5, 0.5]], atol=EXACT)
    rest = V - B @ update.T
    in_turn = tiny.best_neurons(B_prev, rest, 1)
    assert abs(in_turn.strengths[0] ** 2 - 1 / 24) <= EXACT
    paper = distance(rest, move(B_prev, *in_turn[:2]))
    joint = tiny.joint_neurons(B, B_prev, V, 1)
    ours = distance(V, B @ joint[0].T, move(B_prev, *joint[1:3]))
    evidence(together=ours, in_turn=paper)
    assert ours <= EXACT and abs(paper - 3 / 8 / 3) <= EXACT


def test_together_knows_what_the_old_weights_can_do_themselves():
    rng = np.random.default_rng(6)
    B_prev = np.hstack([rng.normal(size=(30, 3)), np.ones((30, 1))])
    B = np.hstack([B_prev @ rng.normal(size=(4, 6)), np.ones((30, 1))])  # a linear layer
    V = rng.normal(size=(30, 2))
    update, fan_in, fan_out, mu = tiny.joint_neurons(B, B_prev, V, 2)
    assert not mu.any() and not fan_in.any() and not fan_out.any()
    np.testing.assert_allclose(update, tiny.best_update(B, V), rtol=0, atol=1e-9)


@pytest.mark.statement("TINY-Cor-2")
@settings(max_examples=30)
@given(*shapes)
def test_many_at_once_or_one_after_the_other_on_what_is_left(evidence, rng, n, q, p):
    B, V = rng.normal(size=(n, q)), rng.normal(size=(n, p))
    at_once = tiny.best_neurons(B, V, p)
    for m in range(1, p):
        first = tiny.best_neurons(B, V, m)
        second = tiny.best_neurons(B, V - move(B, *first[:2]), p - m)
        both = np.concatenate([first.strengths, second.strengths])
        assert np.abs(both - at_once.strengths).max() <= 1e-10 * (1 + at_once.strengths[0])
        # The printed proof subtracts nothing in the limit, and finds the first neurons again.
        again = tiny.best_neurons(B, V, p - m)
        found = np.concatenate([first.strengths, again.strengths])
        if at_once.strengths[0] > 1.1 * at_once.strengths[-1]:
            assert np.abs(np.sort(found) - np.sort(at_once.strengths)).max() > 1e-6
    evidence(strengths=at_once.strengths.tolist() if p < 2 else float(at_once.strengths[0]))


@pytest.mark.statement("TINY-Spd")
def test_second_moments_are_singular_more_often_than_at_the_input(evidence):
    """A batch of 100 and 141 units; and units grown small, which are linear to rounding."""
    rng = np.random.default_rng(0)
    wide = np.hstack([np.tanh(rng.normal(size=(100, 141))), np.ones((100, 1))])
    assert np.linalg.matrix_rank(wide.T @ wide) <= 100
    X = np.hstack([rng.normal(size=(500, 4)), np.ones((500, 1))])
    conditions = []
    for shrink in (1.0, 1e-1, 1e-2):
        H = np.hstack([np.tanh(shrink * X @ rng.normal(size=(5, 7))), np.ones((500, 1))])
        conditions.append(float(np.linalg.cond(H.T @ H)))
    evidence(conditions=str([f"{c:.1e}" for c in conditions]))
    assert conditions[0] < 1e4 and conditions[2] > 1e9
    # Neither stops the neurons from being found.
    for B in (wide, H):
        V = rng.normal(size=(len(B), 3))
        error = np.abs(tiny.best_neurons(B, V, 3).strengths - strengths(B, V, 3)).max()
        assert error <= max(CONTRACT, 100 * EPS * np.linalg.cond(H))


def test_every_pair_of_columns_may_repeat():
    rng = np.random.default_rng(8)
    B, V = rng.normal(size=(25, 6)), rng.normal(size=(25, 2))
    for a, b in combinations(range(6), 2):
        A = B.copy()
        A[:, a] = -2 * A[:, b]
        fan_in = tiny.best_neurons(A, V, 2).fan_in
        np.testing.assert_allclose(fan_in[:, a], -2 * fan_in[:, b], rtol=0, atol=1e-10)


# Scales -----------------------------------------------------------------------------------------


@pytest.mark.statement("TINY-Cor-1")
@pytest.mark.parametrize("scale", [1e6, 1e9, 1e12, 1e150])
@pytest.mark.parametrize("small", [False, True])
def test_joint_neurons_do_not_depend_on_the_units_of_single_inputs(evidence, scale, small):
    rng = np.random.default_rng(7)
    B_prev, B, V = (rng.normal(size=(40, q)) for q in (3, 4, 2))
    units = np.array([1.0, 1.0, 1 / scale if small else scale])
    right, found = tiny.joint_neurons(B, B_prev, V, 2), tiny.joint_neurons(B, B_prev * units, V, 2)
    evidence(strengths=found[3].tolist())
    np.testing.assert_allclose(found[3], right[3], rtol=1e-9)
    np.testing.assert_allclose(found[0], right[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found[1] * units, right[1], rtol=0, atol=1e-9)
    # Negative control: two of the three inputs give less.
    two = tiny.joint_neurons(B, B_prev[:, :2], V, 2)[3]
    assert np.abs(two / right[3] - 1).max() > 0.01


@pytest.mark.parametrize("cutoff", [None, 0.01, 0.3])
@pytest.mark.parametrize("scale", [100.0, 0.01, 1e155, 1e-170])
def test_joint_neurons_do_not_depend_on_the_unit_of_all_inputs(cutoff, scale):
    """The cutoff is relative to B_prev, so its unit does not matter either."""
    rng = np.random.default_rng(8)
    B, V = rng.normal(size=(40, 4)), rng.normal(size=(40, 2))
    B_prev = rng.normal(size=(40, 4)) * [3.0, 1.0, 0.3, 0.003]
    right = tiny.joint_neurons(B, B_prev, V, 2, cutoff=cutoff)
    found = tiny.joint_neurons(B, scale * B_prev, V, 2, cutoff=cutoff)
    np.testing.assert_allclose(found[3], right[3], rtol=1e-9)
    np.testing.assert_allclose(found[0], right[0], rtol=0, atol=1e-9)
    largest = np.abs(right[1]).max()
    np.testing.assert_allclose(found[1] * scale, right[1], rtol=0, atol=1e-9 * largest)
    if cutoff:  # Negative control: it is not idle.
        exact = tiny.joint_neurons(B, B_prev, V, 2)[3]
        assert np.abs(right[3] / exact - 1).max() > 0.001
