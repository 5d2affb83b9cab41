"""TINY, ours: a cutoff keeps exact solutions from being large weights that cancel.

Oracle: the singular value decomposition of the activations themselves, cut by hand.
"""

import laws
import numpy as np
import pytest

from refgrow import growth, least_squares, losses, networks, tiny, train

# A cut through moments knows singular values at the cut to rounding over its square.
CLOSE = {0.3: 1e-11, 0.01: 1e-9, 1e-3: 1e-7, 1e-8: 1e-5}
SHAKES = 1e-3  # a few steps of Adam at the usual rate


def graded(n=60, spectrum=(5.0, 2.0, 0.4, 0.02, 2e-3, 1e-5), seed=0, p=3):
    """Activations of known singular values, no two near a cut, and what is desired of them."""
    rng = np.random.default_rng(seed)
    q = len(spectrum)
    U, R = np.linalg.qr(rng.normal(size=(n, q)))[0], np.linalg.qr(rng.normal(size=(q, q)))[0]
    return U * np.array(spectrum) @ R.T, rng.normal(size=(n, p))


def cut(B, V, least):
    """Weights and projection by the singular values above `least`."""
    U, s, Vt = np.linalg.svd(B, full_matrices=False)
    kept = s > least
    U, s, Vt = U[:, kept], s[kept], Vt[kept]
    return Vt.T @ (U.T @ V / s[:, None]), U @ (U.T @ V)


@pytest.mark.parametrize("cutoff", CLOSE)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [60, 4])
def test_singular_values_below_the_cutoff_count_as_zero(evidence, cutoff, seed, n):
    B, V = graded(n, (5.0, 2.0, 0.4) if n == 4 else (5.0, 2.0, 0.4, 0.02, 2e-3, 1e-5), seed)
    weights, image = cut(B, V, cutoff * np.linalg.norm(B, 2))
    update = tiny.best_update(B, V, cutoff=cutoff)
    error = np.abs(update - weights.T).max() / np.abs(weights).max()
    evidence(cutoff=cutoff, error=error)
    assert error <= CLOSE[cutoff]
    strengths = tiny.best_neurons(B, V, 3, cutoff=cutoff).strengths
    right = np.linalg.svd(image, compute_uv=False)[:3] / np.sqrt(n)
    np.testing.assert_allclose(strengths, right, rtol=0, atol=CLOSE[cutoff] * right[0])
    if n == 60 and cutoff >= 1e-3:  # Negative control: the paper's solution is another.
        exact = tiny.best_update(B, V)
        assert np.linalg.norm(exact) > 5 * np.linalg.norm(update)


@pytest.mark.statement("TINY-cutoff-new")
@pytest.mark.parametrize("cutoff", [0.3, 0.01, 1e-3])
def test_the_cutoff_bounds_the_weights(cutoff):
    B, V = graded()
    bound = np.linalg.norm(V) / (cutoff * np.linalg.norm(B, 2))
    assert np.linalg.norm(tiny.best_update(B, V, cutoff=cutoff)) <= bound
    assert np.linalg.norm(tiny.best_neurons(B, V, 3, cutoff=cutoff).fan_in) <= bound
    assert np.linalg.norm(tiny.best_update(B, V)) > bound  # Negative control.


def test_without_a_cutoff_it_is_the_papers_solution():
    B, V = graded()
    np.testing.assert_array_equal(tiny.best_update(B, V, cutoff=None), tiny.best_update(B, V))
    near = tiny.best_update(B, V, cutoff=0)
    np.testing.assert_allclose(near, tiny.best_update(B, V), rtol=1e-8)
    assert not tiny.best_update(np.zeros((5, 2)), V[:5], cutoff=0.1).any()


def test_the_two_ways_of_cutting_agree():
    B, V = graded()
    for cuts in ((0.0, 0.01), (0.1, 0.0), (0.1, 0.5)):
        fast, slow = least_squares._by_spectrum(B, V, *cuts), least_squares._by_factors(B, V, *cuts)
        assert fast is not None and fast[2] == slow[2]
        np.testing.assert_allclose(fast[0], slow[0], rtol=0, atol=1e-8 * np.abs(slow[0]).max())
        singular = [np.linalg.svd(way[1], compute_uv=False) for way in (fast, slow)]
        np.testing.assert_allclose(*singular, rtol=1e-9)
    assert least_squares._by_spectrum(B, V, 0.0, 1e-6) is None
    assert least_squares._by_spectrum(B, V, 100.0, 0.0)[2] == 0  # All is cut.
    assert least_squares.largest(B) == pytest.approx(5.0, rel=1e-12)
    assert least_squares.largest(np.zeros((3, 2))) == 0


@pytest.mark.parametrize("cutoff", [0.01, 1e-3])
def test_joint_strengths_are_what_the_rest_loses(cutoff):
    rng = np.random.default_rng(4)
    (B, V), B_prev = graded(), rng.normal(size=(60, 4))
    update, fan_in, fan_out, strengths = tiny.joint_neurons(B, B_prev, V, 3, cutoff=cutoff)
    before = V - cut(B, V, cutoff * np.linalg.norm(B, 2))[1]
    after = V - B @ update.T - B_prev @ fan_in.T @ fan_out.T
    gain = ((before**2).sum() - (after**2).sum()) / len(V)
    assert gain == pytest.approx((strengths**2).sum(), rel=1e-7)
    exact = tiny.joint_neurons(B, B_prev, V, 3)[0]
    assert np.linalg.norm(exact) > 10 * np.linalg.norm(update)  # Negative control.


def nearly_linear(n=200, seed=0):
    """A network whose hidden neurons are so small that they are nearly linear in four inputs."""
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(n, 4)), rng.integers(0, 3, size=n)
    sizes = np.repeat([0.5, 1e-3], [4, 5])
    fan_in = np.column_stack([sizes[:, None] * rng.normal(size=(9, 4)), np.zeros(9)])
    return networks.MLP([fan_in, rng.normal(size=(3, 10)) / 3], "tanh"), X, Y


def mean_loss(network, X, Y):
    return float(losses.get("softmax_cross_entropy").samples(network(X), Y).mean())


@pytest.mark.statement("TINY-cutoff-new")
def test_exact_updates_of_nearly_dependent_inputs_do_not_survive_a_few_steps(evidence):
    """Both lower the loss, on new samples too; then the layer below moves a little."""
    network, X, Y = nearly_linear()
    found = {}
    for name, cutoff in (("exact", None), ("cut", 0.01)):
        plan = tiny.decide(network, X, Y, "softmax_cross_entropy", layer=0, line_search=True,
                           size=1.0, cutoff=cutoff)  # fmt: skip
        grown = growth.apply(network, plan)
        shaken = list(grown.arrays)
        rng = np.random.default_rng(1)
        shaken[0] = shaken[0] + SHAKES * rng.choice([-1.0, 1.0], size=shaken[0].shape)
        moved = networks.MLP(shaken, "tanh")
        found[name] = (
            mean_loss(network, X, Y) - mean_loss(grown, X, Y),
            mean_loss(moved, X, Y) - mean_loss(grown, X, Y),
            np.linalg.norm(grown.arrays[1]),
        )
    evidence(**{f"{name}: gained, lost again, weights": list(f) for name, f in found.items()})
    assert found["exact"][0] > found["cut"][0] > 0
    assert found["exact"][1] > 10 * found["exact"][0]  # More is lost than was gained.
    assert abs(found["cut"][1]) < 0.1 * found["cut"][0]
    assert found["exact"][2] > 100 * found["cut"][2]


def short_columns(activation, seed, n=300):
    """Three neurons of usual size and three small ones, fewer than inputs, bent at the mean."""
    rng = np.random.default_rng(seed)
    X, Y = rng.uniform(size=(n, 8)), rng.integers(0, 3, size=n)
    W = rng.normal(size=(6, 8)) * np.repeat([1.0, 1e-6], 3)[:, None]
    fan_in = np.column_stack([W, -W @ X.mean(axis=0)])
    return networks.MLP([fan_in, rng.normal(size=(3, 7)) / 3], activation), X, Y


@pytest.mark.statement("TINY-cutoff-new")
@pytest.mark.parametrize("activation", ["selu", "tanh"])
@pytest.mark.parametrize("seed", range(2))
def test_small_neurons_are_read_with_large_weights_that_need_not_cancel(evidence, activation, seed):
    """Short columns, not dependent ones: the weights survive what is small beside the neurons."""
    network, X, Y = short_columns(activation, seed)
    B = network.forward(X).inputs[1]
    singular = np.linalg.svd(B / np.linalg.norm(B, axis=0), compute_uv=False)
    assert singular[-1] > 0.1 * singular[0] and np.linalg.cond(B) > 1e6
    found = {}
    for name, cutoff in (("exact", None), ("cut", 0.01)):
        plan = tiny.decide(network, X, Y, "softmax_cross_entropy", layer=0, line_search=True,
                           size=1.0, cutoff=cutoff)  # fmt: skip
        grown = growth.apply(network, plan)
        (U,) = (edit.direction for edit in plan.edits if isinstance(edit, growth.Move))
        parts = np.sqrt(((np.linalg.norm(B, axis=0) * U) ** 2).sum())
        first = grown.arrays[0]
        signs = np.random.default_rng(1).choice([-1.0, 1.0], size=first.shape)
        own = np.linalg.norm(first, axis=1, keepdims=True) / np.sqrt(first.shape[1])
        moved, _ = train.fit(grown, X, Y, "softmax_cross_entropy", steps=20, learning_rate=1e-3,
                             batch_size=100, rng=0)  # fmt: skip
        steps = np.linalg.norm(moved.arrays[0] - first, axis=1) / np.linalg.norm(first, axis=1)
        assert steps[:3].max() < 0.1 and steps[3:6].min() > 100
        after = mean_loss(grown, X, Y)
        found[name] = {
            "gained": mean_loss(network, X, Y) - after,
            "parts over the whole": parts / np.linalg.norm(B @ U.T),
            "weights": np.abs(grown.arrays[1]).max(),
            "lost where neurons move by 1 %": mean_loss(
                networks.MLP([first + 0.01 * own * signs, grown.arrays[1]], activation), X, Y
            ) - after,
            "lost where weights move by 0.001": mean_loss(
                networks.MLP([first + SHAKES * signs, grown.arrays[1]], activation), X, Y
            ) - after,
            "lost by training": mean_loss(moved, X, Y) - after,
        }  # fmt: skip
    evidence(**{name: list(numbers.values()) for name, numbers in found.items()})
    exact, cut = found["exact"], found["cut"]
    assert exact["weights"] > 1e4 and exact["parts over the whole"] < 2  # Nothing cancels.
    assert abs(exact["lost where neurons move by 1 %"]) < 0.1 * exact["gained"]
    assert exact["lost where weights move by 0.001"] > 10 * exact["gained"]
    assert exact["lost by training"] > 10 * exact["gained"]
    # Negative control: small weights do not mind, though the small neurons move as far.
    assert cut["weights"] < 10 and cut["gained"] > 0.5 * exact["gained"]
    assert abs(cut["lost where weights move by 0.001"]) < 0.1 * cut["gained"]
    assert cut["lost by training"] < 0.1 * cut["gained"]


@pytest.mark.parametrize("old_weights", ["sequential", "joint", "fixed"])
def test_the_prediction_holds_with_a_cutoff(old_weights):
    network, X, Y = nearly_linear()
    case = network, X, Y, "softmax_cross_entropy"
    plan = tiny.decide(*case, layer=0, old_weights=old_weights, cutoff=0.01)
    slope = laws.remainder_slope(plan, *case, 1e-2)
    assert plan.coefficient < 0 and slope.halvings >= laws.HALVINGS
    assert abs(slope.order - 2) <= laws.ORDER


@pytest.mark.parametrize("cutoff", [-0.1, 1.0, "a", np.nan])
def test_a_cutoff_is_a_part_of_the_largest(cutoff):
    B, V = graded()
    network, X, Y = nearly_linear()
    for call in (
        lambda: tiny.best_update(B, V, cutoff=cutoff),
        lambda: tiny.best_neurons(B, V, 1, cutoff=cutoff),
        lambda: tiny.joint_neurons(B, B, V, 1, cutoff=cutoff),
        lambda: tiny.decide(network, X, Y, "softmax_cross_entropy", cutoff=cutoff),
    ):
        with pytest.raises((ValueError, TypeError), match="cutoff must"):
            call()


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_joint_cutoff_is_a_part_of_the_largest_singular_value(scale):
    """Of B_prev before B is taken out of it: 6 here, where no column is longer than 2.2."""
    rng = np.random.default_rng(3)
    Q, R = np.linalg.qr(rng.normal(size=(60, 12)))[0], rng.normal(size=(9, 9))
    B, V = Q[:, :3], rng.normal(size=(60, 3))
    # 6 along B's first column, the rest orthogonal to B; all rows of the first are alike.
    R[0] = 1.0
    R = np.linalg.qr(R.T)[0].T
    values = np.array([6.0, 1.0, 0.8, 0.6, 0.3, 0.25, 0.1, 0.04, 0.03])
    B_prev = np.column_stack([Q[:, 0], Q[:, 4:]]) * values @ R
    assert np.linalg.norm(B_prev, axis=0).max() < 2.3
    for cutoff in (0.045, 0.02):
        kept = values[1:] > cutoff * 6.0
        right = np.linalg.svd(Q[:, 4:][:, kept].T @ V, compute_uv=False) / np.sqrt(60)
        found = tiny.joint_neurons(B, scale * B_prev, V, 3, cutoff=cutoff)[3]
        np.testing.assert_allclose(found, right[:3], rtol=1e-9)
        total = tiny.moments(scale * B_prev, B, V)
        streamed = total.joint_neurons(3, cutoff=cutoff)[3]
        np.testing.assert_allclose(streamed, right[:3], rtol=1e-9)
        # Negative control: relative to a column, or to what B leaves, more are kept.
        for other in (cutoff * 2.3, cutoff):
            more = values[1:] > other
            wrong = np.linalg.svd(Q[:, 4:][:, more].T @ V, compute_uv=False) / np.sqrt(60)
            assert np.abs(wrong[:3] / found - 1).max() > 1e-3


# From moments -----------------------------------------------------------------------------------


def in_batches(seed, n=60):
    """Two layers of graded singular values, and their moments in three batches."""
    B, V = graded(n, seed=seed)
    B_prev = graded(n, (3.0, 1.0, 0.5, 0.04, 1e-4), seed + 100)[0]
    cuts = ((0, 7), (7, 40), (40, n))
    return B_prev, B, V, sum(tiny.moments(B_prev[a:b], B[a:b], V[a:b]) for a, b in cuts)


@pytest.mark.statement("TINY-cutoff-new")
@pytest.mark.parametrize("cutoff", [0.3, 0.05, 0.01, 1e-3])
@pytest.mark.parametrize("seed", range(3))
def test_moments_are_cut_where_the_activations_are(evidence, cutoff, seed):
    """Moments know a singular value at the cut to a rounding over its square."""
    B_prev, B, V, total = in_batches(seed)
    close = 1e4 * np.finfo(float).eps / cutoff**2
    update = tiny.best_update(B, V, cutoff=cutoff)
    rest = V - B @ update.T
    right = tiny.best_neurons(B_prev, rest, 2, cutoff=cutoff)
    found = {
        "update": (total.best_update(cutoff=cutoff), update),
        "lack": (total.lack(cutoff=cutoff), (rest**2).sum() / len(V)),
        "neurons": (total.best_neurons(2, cutoff=cutoff).fan_in, right.fan_in),
        "strengths": (total.best_neurons(2, cutoff=cutoff).strengths, right.strengths),
    }
    n, N = len(V), B_prev.T @ rest / len(V)
    alone = tiny.best_neurons_from_moments(B_prev.T @ B_prev / n, N, 2, cutoff=cutoff)
    found["alone"] = alone.fan_in, right.fan_in
    names = ("update, joint", "fan-in, joint", "fan-out, joint", "strengths, joint")
    pairs = zip(
        total.joint_neurons(2, cutoff=cutoff),
        tiny.joint_neurons(B, B_prev, V, 2, cutoff=cutoff),
        strict=True,
    )
    found |= dict(zip(names, pairs, strict=True))
    errors = {
        name: float(np.abs(a - b).max() / np.abs(b).max()) for name, (a, b) in found.items()
    }
    evidence(**errors)
    assert max(errors.values()) <= close
    # Negative control: without a cutoff, and with another one, it is something else.
    for other in (None, 1e-4 if cutoff < 0.1 else 0.01):
        apart = np.abs(total.best_update(cutoff=other) - update).max()
        assert apart > 0.1 * np.abs(update).max()
        apart = np.abs(total.joint_neurons(2, cutoff=other)[0] - found["update, joint"][1]).max()
        assert apart > 0.1 * np.abs(found["update, joint"][1]).max()


def test_moments_tell_nothing_below_a_millionth():
    B, V = graded(spectrum=(1.0, 0.1, 1e-5, 1e-7))
    S, N = B.T @ B / len(B), B.T @ V / len(B)
    found = tiny.best_neurons_from_moments(S, N, 3, cutoff=1e-8)
    right = tiny.best_neurons(B, V, 3, cutoff=1e-6)
    np.testing.assert_allclose(found.strengths, right.strengths, rtol=1e-4)
    none = tiny.best_neurons_from_moments(np.zeros((2, 2)), np.zeros((2, 3)), 2, cutoff=0.1)
    assert not none.fan_in.any() and not none.strengths.any()


@pytest.mark.parametrize("cutoff", [-0.1, 1.0, "a"])
def test_a_cutoff_of_moments_is_looked_at(cutoff):
    B_prev, _, V, total = in_batches(0)
    S, N = B_prev.T @ B_prev, B_prev.T @ V
    for call in (
        lambda: total.best_update(cutoff=cutoff),
        lambda: total.lack(cutoff=cutoff),
        lambda: total.best_neurons(1, cutoff=cutoff),
        lambda: total.joint_neurons(1, cutoff=cutoff),
        lambda: tiny.best_neurons_from_moments(S, N, 1, cutoff=cutoff),
    ):
        with pytest.raises((ValueError, TypeError), match="cutoff must"):
            call()
