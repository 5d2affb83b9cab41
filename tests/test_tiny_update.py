"""TINY, sections 2.3 to 3.1: the desired update, the best move of a layer, what it lacks.

The regression behind them is held against projections in extended precision, on matrices chosen to
break it.
"""

from dataclasses import replace

import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_matrices import CASES, CONTRACT, conditioned, projection

from refgrow import least_squares, losses, networks, neurons, numerics, tiny

EXACT = 1e-11  # identities between numbers of order one through a few well-conditioned products
STEP = 1e-30  # of a complex step, whose error is its square

every_case = pytest.mark.parametrize("B, V, precision", CASES.values(), ids=CASES)
ACTIVATIONS = (*strategies.SMOOTH, "relu", "selu")


def size(A):
    return max(float(np.abs(A).max()), 1e-300)


# Equation 1: the desired update ----------------------------------------------------------------


def minus_gradient(network, X, Y, loss, layer):
    """A shift of a unit's bias shifts its pre-activation at every sample: a complex step each."""
    columns = []
    for unit in range(len(network.arrays[layer])):
        arrays = [W.astype(complex) for W in network.arrays]
        arrays[layer][unit, -1] += 1j * STEP
        columns.append(-oracles.losses(loss, oracles.output(network, arrays, X), Y).imag / STEP)
    return np.stack(columns, axis=1)


@pytest.mark.statement("TINY-Eq-1")
@settings(max_examples=60)
@given(strategies.problems(strategies.mlps(activations=ACTIVATIONS)))
def test_the_desired_update_is_minus_the_gradient_of_every_sample(evidence, problem):
    network = problem[0]
    found = tiny.desired_updates(*problem)
    assert len(found) == len(network.arrays)
    for layer, V in enumerate(found):
        right = minus_gradient(*problem, layer)
        error = np.abs(V - right).max() / max(1.0, size(right))
        evidence(error=error)
        assert error <= EXACT
        # A mean instead of each sample, and the other sign, are seen.
        if len(V) > 1 and size(right) > 1e-6:
            assert np.abs(V / len(V) - right).max() > EXACT * max(1.0, size(right))
            assert np.abs(-V - right).max() > EXACT * max(1.0, size(right))


@pytest.mark.statement("TINY-Eq-1")
@pytest.mark.parametrize("loss, p", [("squared", 2), ("softmax_cross_entropy", 3),
                                     ("logistic", 1), ("exponential", 1)])  # fmt: skip
def test_following_it_lowers_the_loss_by_the_mean_of_its_square(evidence, loss, p):
    rng = np.random.default_rng(p)
    network = networks.MLP([rng.normal(size=(3, 3)), rng.normal(size=(p, 4))])
    X, Y = rng.normal(size=(9, 2)), strategies.targets_of(loss, 9, p, rng)
    V, F, value = tiny.desired_updates(network, X, Y, loss)[-1], network(X), losses.get(loss).value

    def remainder(factor):
        def left(t):
            return value(F + t * V, Y) - value(F, Y) + t * factor * (V**2).sum()

        return numerics.taylor_slope(left, scale=max(1.0, value(F, Y)))

    right = remainder(1 / len(X))
    evidence(order=right.order)
    assert right.halvings >= 4 and abs(right.order - 2) <= 0.1
    assert not abs(remainder(1.01 / len(X)).order - 2) <= 0.1  # 1 per cent too much
    assert not abs(remainder(1.0).order - 2) <= 0.1  # the sum over samples in place of the mean


def test_a_shallow_network_is_an_mlp_without_biases():
    rng = np.random.default_rng(1)
    theta, weights, X = rng.normal(size=(4, 3)), rng.normal(size=(4, 2)), rng.normal(size=(9, 3))
    Y = rng.normal(size=(9, 2))
    shallow = networks.Shallow(theta, weights, neurons.ridge("tanh"))
    bias = np.zeros((4, 1)), np.zeros((2, 1))
    mlp = networks.MLP([np.hstack([theta, bias[0]]), np.hstack([weights.T, bias[1]])], "tanh")
    for a, b in zip(tiny.desired_updates(shallow, X, Y, "squared"),
                    tiny.desired_updates(mlp, X, Y, "squared"), strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, rtol=0, atol=EXACT)


def test_neurons_without_pre_activations_are_refused():
    bump = networks.Shallow(np.ones((2, 3)), np.ones(2), neurons.bump)
    with pytest.raises(ValueError, match="no pre-activations"):
        tiny.desired_updates(bump, np.zeros((3, 1)), np.zeros((3, 1)), "squared")


# Proposition 3.1: the best move of a layer ----------------------------------------------------


@pytest.mark.statement("TINY-Prop-3.1")
@every_case
def test_the_best_update_is_the_projection_and_of_least_norm(evidence, B, V, precision):
    update = tiny.best_update(B, V)
    assert update.shape == (V.shape[1], B.shape[1])
    image, rank = projection(B, V)
    error = np.abs(B @ update.T - image).max() / size(V)
    evidence(error=error)
    assert error <= 10 * precision
    # Least norm: orthogonal to all that B does not see. The null space is B's own, scaled.
    scale = np.abs(B).max() or 1.0
    _, s, Vt = np.linalg.svd(B / scale)
    null = Vt[rank:]
    assert len(null) == B.shape[1] - rank
    if rank and s[rank - 1] > 1e-5 * s[0]:
        assert np.abs(null @ update.T).max(initial=0) <= 1e-9 * size(update)


@pytest.mark.statement("TINY-Prop-3.1")
@settings(max_examples=40)
@given(strategies.generators, st.integers(1, 30), st.integers(1, 8), st.integers(1, 4))
def test_no_other_update_comes_closer_and_the_formula_says_the_same(evidence, rng, n, q, p):
    B, V = rng.normal(size=(n, q)), rng.normal(size=(n, p))
    if q > 2:
        B[:, 0] = B[:, 1]
    update = tiny.best_update(B, V)
    printed = (V.T @ B / n) @ np.linalg.pinv(B.T @ B / n, rcond=1e-10)
    assert np.abs(update - printed).max() <= 1e-6 * max(1.0, size(printed))
    left = np.linalg.norm(V - B @ update.T)
    # The gradient of B.1, 2 (V - U B) B^T up to its sign, vanishes.
    assert np.abs(B.T @ (V - B @ update.T)).max() <= EXACT * n * max(1.0, size(update))
    for _ in range(20):
        other = update + rng.normal(size=update.shape) * 10.0 ** rng.uniform(-3, 1)
        assert np.linalg.norm(V - B @ other.T) >= left * (1 - 1e-12) - 1e-12
    gradient = V.T @ B / n
    step = np.vdot(V, B @ gradient.T) / max(np.linalg.norm(B @ gradient.T) ** 2, 1e-300)
    evidence(by_gradient=np.linalg.norm(V - step * B @ gradient.T), best=left)
    assert np.linalg.norm(V - step * B @ gradient.T) >= left * (1 - 1e-12) - 1e-12


@pytest.mark.statement("TINY-Prop-3.1")
def test_the_gradient_is_another_direction(evidence):
    rng = np.random.default_rng(0)
    B, V = rng.normal(size=(50, 3)) * [1.0, 5.0, 0.2], rng.normal(size=(50, 2))
    update, gradient = tiny.best_update(B, V), V.T @ B
    cosine = np.vdot(update, gradient) / np.linalg.norm(update) / np.linalg.norm(gradient)
    evidence(cosine=cosine)
    assert cosine < 0.9
    B = np.linalg.qr(B)[0]  # Unless B is white: then it is the same.
    np.testing.assert_allclose(tiny.best_update(B, V), V.T @ B, rtol=0, atol=EXACT)


@pytest.mark.statement("TINY-B.1-grad")
def test_the_gradient_of_the_distance_has_the_other_sign(evidence):
    """g(U) = |V - B U^T|^2 has the gradient -2 (V - B U^T)^T B; B.1 prints it without the minus."""
    rng = np.random.default_rng(3)
    B, V, U, H = (rng.normal(size=s) for s in ((9, 4), (9, 2), (2, 4), (2, 4)))
    gradient = -2 * (V - B @ U.T).T @ B
    along = ((V - B @ (U + 1j * STEP * H).T) ** 2).sum().imag / STEP
    evidence(along=along, ours=np.vdot(gradient, H), printed=-np.vdot(gradient, H))
    assert abs(along - np.vdot(gradient, H)) <= EXACT * abs(along)
    assert abs(along + np.vdot(gradient, H)) > abs(along)
    # Where it vanishes the sign is no matter: the best update is what it is.
    update = tiny.best_update(B, V)
    assert np.abs((V - B @ update.T).T @ B).max() <= EXACT


# The regression's two ways ---------------------------------------------------------------------


@every_case
def test_both_ways_of_the_regression_agree(B, V, precision):
    live = np.flatnonzero(B.any(axis=0))
    if not len(live):
        return
    slow = least_squares._by_factors(B[:, live], V, None)
    fast = least_squares._by_moments(B[:, live], V, None)
    singular = [np.linalg.svd(w[1], compute_uv=False) for w in (slow, fast) if w is not None]
    for values in singular:
        short = np.zeros(V.shape[1])
        short[: min(len(values), len(short))] = values[: len(short)]
        right = np.linalg.svd(projection(B, V)[0], compute_uv=False)
        right = np.concatenate([right, np.zeros(V.shape[1])])[: V.shape[1]]
        assert np.abs(short - right).max() <= precision * size(V) * np.sqrt(V.size)


def test_which_way_is_taken():
    """Fast where it can be trusted, which the case names say; a faster wrong answer is no use."""
    expected = {
        "plain": True, "condition 1e4": True, "condition 1e5": True, "condition 1e8": False,
        "columns of 1e-6": True, "nearly repeated, 1e-3": True, "nearly repeated, 1e-7": False,
        "dead, constant, repeated, combined": True, "rank 3": True,
        "fewer samples than columns": True, "repeated samples": True, "huge": False,
    }  # fmt: skip
    for name, fast in expected.items():
        B, V, _ = CASES[name]
        live = B.any(axis=0)
        assert (least_squares._by_moments(B[:, live], V, None) is not None) == fast, name


def test_moments_without_the_correction_would_not_do(monkeypatch):
    """The negative control of the accuracy tests: the normal equations as they are."""
    B, V, _ = CASES["condition 1e6"]
    right = np.linalg.svd(projection(B, V)[0], compute_uv=False) / np.sqrt(len(B))
    refined = tiny.best_neurons(B, V, V.shape[1]).strengths
    assert np.abs(refined - right).max() <= CONTRACT * right[0]
    monkeypatch.setattr(least_squares, "_refine", lambda B, goals, W, normal, sizes: B @ W)
    plain = tiny.best_neurons(B, V, V.shape[1]).strengths
    assert np.abs(plain - right).max() > 100 * CONTRACT * right[0]


def test_columns_taken_for_combinations_are_put_to_the_test():
    """At a distance of 1e-7, a square of 1e-14: pivoting cannot tell it from none."""
    rng = np.random.default_rng(2)
    B = rng.normal(size=(60, 5))
    B[:, 4] = B[:, 3] + 1e-7 * rng.normal(size=60)
    V = (B[:, 4:] - B[:, 3:4]) * 1e7
    normal = least_squares._Normal.of(B.T @ B, 1e-12, least_squares.PIVOT)
    assert list(normal.rest) in ([3], [4])
    assert least_squares._by_moments(B, V, None) is None
    np.testing.assert_allclose(tiny.best_neurons(B, V, 1).strengths[0],
                               np.linalg.norm(V) / np.sqrt(60), rtol=1e-12)  # fmt: skip


@pytest.mark.parametrize("n, q", [(300, 40), (50, 40), (30, 40)])
def test_larger_layers_with_many_dependent_columns(n, q):
    rng = np.random.default_rng(n)
    B = conditioned(n, min(n, q) - 10, 1e3, rng)
    B = np.hstack([B, B @ rng.normal(size=(B.shape[1], q - B.shape[1]))])[:, rng.permutation(q)]
    V = rng.normal(size=(n, 6))
    update = tiny.best_update(B, V)
    right = np.linalg.lstsq(B, V, rcond=1e-12)[0].T
    assert np.abs(update - right).max() <= 1e-9 * size(right)


def test_least_norm_does_not_lose_half_the_digits(monkeypatch):
    """Fewer samples than columns, nearly dependent: the combinations need the activations too."""
    rng = np.random.default_rng(4)
    B, V = conditioned(9, 9, 1e5, rng), rng.normal(size=(9, 2))
    B = np.hstack([B, B @ rng.normal(size=(9, 6))])

    def error():
        fast = least_squares._by_moments(B, V, None)
        right = least_squares._by_factors(B, V, None)
        return np.abs(fast[0] - right[0]).max() / size(right[0])

    assert error() <= 1e-9
    with monkeypatch.context() as patch:
        patch.setattr(least_squares, "NEAR", 0.0)
        assert error() > 1e-8
    moves_of_kept_columns_only(monkeypatch)
    assert error() > 1e-8


def moves_of_kept_columns_only(monkeypatch):
    """Negative control: the refinement corrects B W, but not by weights of least norm."""
    refine = least_squares._refine

    def alone(B, goals, W, normal, sizes):
        nothing = replace(normal, combination=normal.combination[:, :0])
        return refine(B, goals, W, nothing, sizes)

    monkeypatch.setattr(least_squares, "_refine", alone)


@pytest.mark.parametrize("rank", [9, 6])
def test_the_smallest_singular_value_is_estimated(rank):
    """Of the columns kept, all of them or the first ones of what LAPACK factored."""
    rng = np.random.default_rng(rank)
    B = rng.normal(size=(30, rank)) * np.geomspace(1, 1e-3, rank)
    B = np.hstack([B, B @ rng.normal(size=(rank, 9 - rank))])
    normal = least_squares._Normal.of(B.T @ B, 1e-12, least_squares.PIVOT)
    assert normal.rank == rank
    kept = B[:, normal.kept]
    right = np.linalg.svd(kept / normal.norms[normal.kept], compute_uv=False)[-1]
    right *= normal.norms[normal.kept].min()
    for lowest in (1e-3 * right, 1e-30):  # LAPACK's estimate, the rough one
        assert right / rank <= normal.smallest(lowest) <= 10 * right


def test_activations_are_passed_over_in_blocks(monkeypatch):
    rng = np.random.default_rng(5)
    B, V, W = rng.normal(size=(50, 7)), rng.normal(size=(50, 3)), rng.normal(size=(7, 3))
    for numbers in (1, 7 * 8, 7 * 50, 10**6):  # blocks of 3, 8, 50 rows and one that is too long
        monkeypatch.setattr(least_squares, "BLOCK", numbers)
        image = np.full_like(V, np.nan)
        gradient = least_squares._gradient(B, V, W, image)
        np.testing.assert_allclose(image, B @ W, rtol=0, atol=1e-13)
        np.testing.assert_allclose(gradient, B.T @ (V - B @ W), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dead", [[], [2, 5]])
def test_products_of_the_columns_that_are_not_dead(monkeypatch, dead):
    monkeypatch.setattr(least_squares, "ROWS", 16)  # blocks, the last one shorter
    B = np.random.default_rng(7).normal(size=(50, 7))
    B[:20, 0] = 0.0  # longer than a block, and not dead
    B[:, dead] = 0.0
    live = least_squares._live(B)
    assert list(live) == [column for column in range(7) if column not in dead]
    right = np.tril(B[:, live].T @ B[:, live])
    found = np.tril(least_squares._products(B, live))
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-12)


def test_a_column_that_is_not_zero_once_is_not_dead():
    rng = np.random.default_rng(6)
    B, V = np.zeros((2000, 3)), rng.normal(size=(2000, 1))
    B[:, 0], B[-1, 1] = 1.0, 1e-3
    update = tiny.best_update(B, V)
    np.testing.assert_allclose((B @ update.T)[-1], V[-1], rtol=1e-12)
    assert update[0, 2] == 0


# Definition 3.1: the lack of expressivity -------------------------------------------------------


# Singular values of columns of norm one: below, zero but for rounding; above, not zero.
ROUNDED, TOLD = 1e-14, 1e-6


@pytest.mark.statement("TINY-Def-3.1")
@settings(max_examples=40)
@given(strategies.problems(strategies.mlps(depths=(1, 3)), samples=(4, 12)))
def test_bottlenecks_measure_what_a_layer_cannot_do(evidence, problem):
    network, X, *_ = problem
    found = tiny.bottlenecks(*problem)
    inputs = network.forward(X).inputs
    for layer, V in enumerate(tiny.desired_updates(*problem)):
        n, row = len(V), found[layer]
        image, _ = projection(inputs[layer], V)
        scale = max(1.0, (V**2).sum() / n)
        assert abs(row.desired - (V**2).sum() / n) <= EXACT * scale
        both = np.hstack(inputs[max(layer - 1, 0) : layer + 1][::-1])
        lengths = np.linalg.norm(both, axis=0)
        values = np.linalg.svd(both / np.where(lengths > 0, lengths, 1.0), compute_uv=False)
        if ((values > ROUNDED) & (values < TOLD)).any():
            continue  # The answer depends on where inputs are taken for dependent.
        assert abs(row.lack - ((V - image) ** 2).sum() / n) <= 1e-8 * scale
        assert abs(row.reachable - (image**2).sum() / n) <= 1e-8 * scale
        assert 0 <= row.by_neurons <= row.lack * (1 + EXACT) + EXACT * scale
        if layer == 0:
            assert row.by_neurons == 0
            continue
        together = ((projection(both, V, 1e-9)[0]) ** 2).sum() / n
        evidence(lack=row.lack, by_neurons=row.by_neurons)
        assert abs(row.by_neurons - (together - row.reachable)) <= 1e-6 * scale
        # One layer alone, and without what neurons add, is less than all parameters.
        assert row.reachable <= together + 1e-8 * scale


@pytest.mark.statement("TINY-Def-3.1")
def test_a_layer_that_can_do_everything_has_no_bottleneck():
    rng = np.random.default_rng(0)
    network = networks.MLP([rng.normal(size=(8, 3)), rng.normal(size=(2, 9))])
    X = rng.normal(size=(6, 2))  # fewer samples than the last layer has inputs
    first, last = tiny.bottlenecks(network, X, rng.normal(size=(6, 2)), "squared")
    assert last.lack <= 1e-12 * last.desired and last.by_neurons <= 1e-12 * last.desired
    assert first.lack > 0.1 * first.desired
