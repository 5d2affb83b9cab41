"""What SplitLBI is compared with: masks keep what they say, and training leaves zeros zero."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrow import baselines, losses, networks, neurons, optimizers, splitlbi, train

# Two implementations of the same formulas over a few dozen steps.
SAME = 1e-12
# Where a run of gradient descent has come to rest: the size of its last moves.
AT_REST = 1e-9
ARRANGEMENTS = ("weight", "neuron", "input", "layer")


def mlp(seed=0, sizes=(4, 6, 5, 3)):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(b, a + 1)) / a**0.5 for a, b in pairwise(sizes)]
    return networks.MLP(weights, "tanh")


def problem(n=40, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    return X, (X[:, :3] + 0.3 * rng.normal(size=(n, 3))).argmax(axis=1)


def shallow():
    rng = np.random.default_rng(2)
    return networks.Shallow(rng.normal(size=(5, 3)), np.ones(5), neurons.bump)


def linear(seed=3, n=60):
    """Least squares as a network: y = W x, the bias included."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6))
    Y = X @ [2.0, -1.0, 0, 0, 0, 0.05] + 0.7 + 0.1 * rng.normal(size=n)
    return networks.MLP([np.zeros((1, 7))], "identity"), X, Y[:, None]


def weights_of(arrays):
    """The entries of an MLP's arrays that are no biases."""
    return np.concatenate([a[:, :-1].ravel() for a in arrays])


# Masks ------------------------------------------------------------------------------------------


@given(st.integers(0, 30), st.floats(0, 1))
def test_the_largest_weights_are_kept_whatever_their_layer(seed, density):
    network = mlp(seed)
    mask = baselines.magnitude_mask(network, density)
    size, kept = np.abs(weights_of(network.arrays)), weights_of(mask)
    assert kept.sum() == round(density * 69)
    assert size[kept].min(initial=np.inf) > size[~kept].max(initial=-np.inf)
    assert all(m[:, -1].all() and m.dtype == bool for m in mask)
    assert [m.shape for m in mask] == [a.shape for a in network.arrays]


def test_the_threshold_is_one_for_all_layers():
    network = mlp()
    small = networks.MLP([1e-3 * network.arrays[0], *network.arrays[1:]], "tanh")
    mask = baselines.magnitude_mask(small, 0.5)
    assert not mask[0][:, :-1].any() and mask[1][:, :-1].mean() > 0.5
    # With a threshold a layer it would have been half of each.
    before = baselines.magnitude_mask(network, 0.5)
    assert 0.2 < before[0][:, :-1].mean() < 0.8


def test_groups_are_ranked_by_their_root_mean_square_and_kept_as_a_whole():
    W1 = np.array([[3.0, 0, 0, 0, 9], [1, 1, 1, 1, 9]])  # norms 3 and 2, mean squares 2.25 and 1
    W2 = np.array([[2.5, 0.1, 9], [1.1, 0.1, 9]])
    network = networks.MLP([W1, W2], "relu")
    neuron = baselines.magnitude_mask(network, 0.5, by="neuron")
    # 12 weights, 6 to keep: row (2.5, 0.1) first, then (3, 0, 0, 0); the next would be the row of
    # four ones, too many by itself.
    assert [m[:, :-1].all(axis=1).tolist() for m in neuron] == [[True, False], [True, False]]
    more = baselines.magnitude_mask(network, 1.0, by="neuron")
    assert all(m.all() for m in more)
    column = baselines.magnitude_mask(network, 0.35, by="input")
    # 4 to keep: columns (2.5, 1.1) and (3, 1), then (0, 1) twice and so on, which do not fit.
    assert column[1][:, :-1].tolist() == [[True, False], [True, False]]
    assert column[0][:, :-1].tolist() == [[True, False, False, False]] * 2
    layer = baselines.magnitude_mask(network, 0.4, by="layer")
    assert [bool(m[:, :-1].any()) for m in layer] == [False, True]
    # By norm, the first layer (norm 3.6, the second's 2.7) would be first, and not fit.
    assert np.linalg.norm(W1[:, :-1]) > np.linalg.norm(W2[:, :-1])


@pytest.mark.parametrize("by", ARRANGEMENTS)
@pytest.mark.parametrize("density", [0.0, 0.3, 0.77, 1.0])
def test_no_group_is_split_and_the_density_is_not_exceeded(by, density):
    for network in (mlp(), shallow()):
        mask = baselines.magnitude_mask(network, density, by)
        flat = np.concatenate([m.ravel() for m in mask])
        groups = splitlbi.groups_of(network, by)
        assert all(flat[g].all() or not flat[g].any() for g in groups)
        listed = np.concatenate(groups)
        assert flat[listed].sum() <= round(density * len(listed))
        assert np.delete(flat, listed).all()
        if density == 1.0:
            assert flat.all()


def test_weights_beyond_the_reach_of_squares_are_ranked():
    network = networks.MLP([[[1e-200, 3e-200, 2e-200, 0.0]], [[1e200, 0.0]]], "tanh")
    kept = [baselines.magnitude_mask(network, k / 4)[0][0, :-1].tolist() for k in (1, 2, 3)]
    assert kept == [[False] * 3, [False, True, False], [False, True, True]]


def test_random_masks_keep_as_many_in_each_layer_as_asked():
    network = mlp()
    mask = baselines.random_mask(network, 0.3, rng=0)
    assert [int(m[:, :-1].sum()) for m in mask] == [round(0.3 * k) for k in (24, 30, 15)]
    assert all(m[:, -1].all() for m in mask)
    magnitude = baselines.magnitude_mask(network, 0.3)
    for like in (magnitude, list(magnitude)):
        control = baselines.random_mask(network, like, rng=0)
        assert [m.sum() for m in control] == [m.sum() for m in magnitude]
        assert not all(np.array_equal(a, b) for a, b in zip(control, magnitude, strict=True))
    assert [m.sum() for m in mask] != [m.sum() for m in magnitude]
    again = baselines.random_mask(network, 0.3, rng=0)
    other = baselines.random_mask(network, 0.3, rng=1)
    assert all(np.array_equal(a, b) for a, b in zip(mask, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(mask, other, strict=True))


def test_random_masks_keep_every_weight_with_equal_chance():
    network, rng = mlp(sizes=(3, 2, 1)), np.random.default_rng(0)
    counts = sum(weights_of(baselines.random_mask(network, 0.5, rng=rng)) for _ in range(400))
    # 200 expected in both layers; five standard deviations of a binomial count are 50.
    assert counts.min() > 150 and counts.max() < 250


def test_masked_networks_are_zero_where_the_mask_is_false_and_the_same_elsewhere():
    for network in (mlp(), shallow()):
        mask = baselines.magnitude_mask(network, 0.4)
        pruned = baselines.masked(network, mask)
        assert type(pruned) is type(network) and pruned.widths == network.widths
        for a, b, m in zip(network.arrays, pruned.arrays, mask, strict=True):
            assert np.array_equal(b[m], a[m]) and not b[~m].any()
        assert any((a[~m] != 0).any() for a, m in zip(network.arrays, mask, strict=True))


def test_the_mask_of_a_splitlbi_state_is_one_of_these():
    network = mlp()
    state = splitlbi.init(
        network.arrays, step=0.1, lam=0.5, groups=splitlbi.groups_of(network), V0=network.arrays
    )
    pruned = baselines.masked(network, splitlbi.mask(state))
    for a, b in zip(pruned.arrays, splitlbi.project(state), strict=True):
        assert np.array_equal(a, b)
    assert 0 < (weights_of(pruned.arrays) != 0).mean() < 1


# Training what is left --------------------------------------------------------------------------

PAIRS = {
    "gd": "gd",
    "momentum": "momentum",
    "adam": "adam",
    "adagrad": "adagrad",
    "splitlbi": splitlbi.optimizer(momentum=0.9, lam=0.01, decay=1e-3),
}


def drifting(state, gradient, rate):
    """An optimizer that moves everything, whatever the gradient."""
    state = optimizers.gd_step(state, gradient, rate)
    state.parameters[:] += 0.01
    return state


PAIRS["drifting"] = (optimizers.init, drifting)


@pytest.mark.parametrize("name", PAIRS)
def test_a_masked_optimizer_keeps_zeros_and_trains_the_rest(name):
    network, (X, Y) = mlp(), problem()
    mask = baselines.magnitude_mask(network, 0.7)
    # Every hidden neuron is read, so everything that is left has a gradient.
    assert all(m[:, :-1].any(axis=0).all() for m in mask[1:])
    options = {"epochs": 5, "batch_size": 10, "learning_rate": 0.02, "rng": 0}
    pair = baselines.masked_optimizer(PAIRS[name], mask)
    # From the whole network too: what is dropped starts at zero.
    for start in (network, baselines.masked(network, mask)):
        tuned, history = train.fit_epochs(
            start, X, Y, "softmax_cross_entropy", optimizer=pair, **options
        )
        for a, b, m in zip(network.arrays, tuned.arrays, mask, strict=True):
            assert not b[~m].any() and (b[m] != a[m]).all()
        assert history.loss[0] != history.fun
    free, _ = train.fit_epochs(
        baselines.masked(network, mask), X, Y, "softmax_cross_entropy", optimizer=PAIRS[name],
        **options,
    )  # fmt: skip
    assert all(a[~m].any() for a, m in zip(free.arrays, mask, strict=True))


def test_moments_do_not_gather_where_the_mask_is_false():
    network, (X, Y) = mlp(), problem()
    mask = baselines.magnitude_mask(network, 0.7)
    flat = np.concatenate([m.ravel() for m in mask])
    states = []
    for pair in (baselines.masked_optimizer("adam", mask), "adam"):
        train.fit_epochs(
            network, X, Y, "softmax_cross_entropy", optimizer=pair, epochs=1, batch_size=10,
            watch=lambda epoch, net, state: states.append(state),
        )  # fmt: skip
    kept, free = states
    assert not kept.first[~flat].any() and not kept.second[~flat].any()
    assert kept.second[flat].all() and free.second[~flat].all()


@pytest.mark.parametrize("name", ["gd", "momentum", "adam"])
def test_masked_training_is_training_of_the_weights_that_are_left(name):
    # The same problem without the masked inputs: the smaller network's iterates.
    network, (X, Y) = mlp(sizes=(4, 3)), problem()
    mask = (np.array([[True, False, True, False, True]] * 3),)
    small = networks.MLP([network.arrays[0][:, [0, 2, 4]]], "tanh")
    options = {"epochs": 8, "batch_size": 10, "learning_rate": 0.05, "rng": 0}
    pair = baselines.masked_optimizer(name, mask)
    tuned, _ = train.fit_epochs(network, X, Y, "softmax_cross_entropy", optimizer=pair, **options)
    alone, _ = train.fit_epochs(
        small, X[:, [0, 2]], Y, "softmax_cross_entropy", optimizer=name, **options
    )
    assert np.abs(tuned.arrays[0][:, [0, 2, 4]] - alone.arrays[0]).max() < SAME
    unmasked, _ = train.fit_epochs(
        network, X, Y, "softmax_cross_entropy", optimizer=name, **options
    )
    assert np.abs(unmasked.arrays[0][:, [0, 2, 4]] - alone.arrays[0]).max() > 1e-3


def test_a_mask_for_theta_alone_or_for_all_of_a_shallow_network():
    network = shallow()
    X = np.linspace(-2, 2, 30)[:, None]
    mask = baselines.random_mask(network, 0.5, rng=0)
    for train_weights in (False, True):
        for held in (mask,) if train_weights else (mask, mask[:1]):
            pair = baselines.masked_optimizer("momentum", held)
            tuned, _ = train.fit(
                network, X, np.sin(X), "squared", optimizer=pair, steps=5,
                train_weights=train_weights,
            )  # fmt: skip
            assert not tuned.theta[~mask[0]].any() and (tuned.theta[mask[0]] != 0).all()


def test_the_lottery_ticket_starts_from_the_weights_before_training():
    start, (X, Y), loss = mlp(), problem(), "softmax_cross_entropy"
    options = {"batch_size": 10, "learning_rate": 0.1, "rng": 0}
    # As in the docstring of masked_optimizer.
    trained, _ = train.fit_epochs(start, X, Y, loss, epochs=10, **options)
    mask = baselines.magnitude_mask(trained, 0.4)
    rest = baselines.masked_optimizer("momentum", mask)
    pruned, ticket = baselines.masked(trained, mask), baselines.masked(start, mask)
    tuned, after = train.fit_epochs(pruned, X, Y, loss, optimizer=rest, epochs=10, **options)
    ticket, won = train.fit_epochs(ticket, X, Y, loss, optimizer=rest, epochs=10, **options)
    for network in (tuned, ticket):
        assert (weights_of(network.arrays) != 0).sum() == round(0.4 * 69)
    # Both are better than what they start from; and they start from different networks.
    evaluate = losses.softmax_cross_entropy.value
    assert after.fun < evaluate(pruned(X), Y)
    assert won.fun < evaluate(baselines.masked(start, mask)(X), Y)
    assert after.loss[0] < won.loss[0]


# L1 ---------------------------------------------------------------------------------------------


def penalised_slope(network, X, Y, strength, free_bias):
    """The distance of zero from the subdifferential of loss + strength |W|_1."""
    (g,) = networks.loss_and_gradient(network, X, Y, "squared")[1]
    W = network.arrays[0]
    s = np.full(W.shape, strength)
    if free_bias:
        s[:, -1] = 0.0
    slope = np.where(W != 0, g + s * np.sign(W), np.maximum(np.abs(g) - s, 0.0))
    return float(np.linalg.norm(slope))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("free_bias", [False, True])
def test_l1_comes_to_rest_where_the_penalised_loss_is_stationary(momentum, free_bias):
    network, X, Y = linear()
    pair = baselines.l1_sgd(0.3, momentum=momentum, network=network if free_bias else None)
    fitted, _ = train.fit(network, X, Y, "squared", optimizer=pair, learning_rate=0.05, steps=2000)
    assert penalised_slope(fitted, X, Y, 0.3, free_bias) < AT_REST
    W = fitted.arrays[0][0]
    # Exact zeros where the teacher has none to speak of; the bias is shrunk if it is penalised.
    assert (W[:2] != 0).all() and not W[2:6].any()
    assert penalised_slope(fitted, X, Y, 0.3, not free_bias) > 0.1
    # What a velocity that knows nothing of the threshold would lead to: see the next test.
    if momentum:
        assert penalised_slope(fitted, X, Y, 0.3 * (1 - momentum), free_bias) > 0.01


def test_a_velocity_that_knows_nothing_of_the_threshold_comes_to_rest_elsewhere():
    network, X, Y = linear()

    def naive(state, gradient, rate, beta=0.9, strength=0.3):
        state = optimizers.momentum_step(state, gradient, rate, beta)
        W = state.parameters
        W -= np.clip(W, -rate * strength, rate * strength)
        return state

    fitted, _ = train.fit(
        network, X, Y, "squared", optimizer=(optimizers.init, naive), learning_rate=0.05, steps=2000
    )
    # As the docstring of l1_sgd says: a tenth of the penalty.
    assert penalised_slope(fitted, X, Y, 0.3, False) > 0.1
    assert penalised_slope(fitted, X, Y, 0.03, False) < AT_REST


def test_l1_without_penalty_is_momentum_bit_by_bit():
    network, (X, Y) = mlp(), problem()
    options = {"epochs": 3, "batch_size": 10, "rng": 0}

    def rate(epoch):
        return 0.1 / (1 + epoch)

    def run(optimizer):
        return train.fit_epochs(
            network, X, Y, "softmax_cross_entropy", optimizer=optimizer, learning_rate=rate,
            **options,
        )[0].arrays  # fmt: skip

    def same(a, b):
        return all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))

    assert same(run(baselines.l1_sgd(0.0, momentum=0.9)), run("momentum"))
    assert same(run(baselines.l1_sgd(0.0)), run("gd"))
    assert not same(run(baselines.l1_sgd(1e-3, momentum=0.9)), run("momentum"))


def test_l1_prunes_more_with_more_strength_and_leaves_biases():
    network, (X, Y) = mlp(), problem()
    shares = []
    for strength in (0.001, 0.02, 10.0):
        fitted, _ = train.fit_epochs(
            network, X, Y, "softmax_cross_entropy", epochs=60, batch_size=10, learning_rate=0.1,
            optimizer=baselines.l1_sgd(strength, momentum=0.5, network=network), rng=0,
        )  # fmt: skip
        shares.append((weights_of(fitted.arrays) != 0).mean())
        assert fitted.arrays[-1][:, -1].all()
    assert shares[0] > shares[1] > shares[2] == 0


def test_l1_of_a_shallow_network_penalises_theta():
    network = shallow()
    X = np.linspace(-2, 2, 30)[:, None]
    pair = baselines.l1_sgd(1e3, network=network)
    for train_weights in (False, True):
        fitted, _ = train.fit(
            network, X, np.sin(X), "squared", optimizer=pair, learning_rate=0.01, steps=1,
            train_weights=train_weights,
        )  # fmt: skip
        assert not fitted.theta.any() and fitted.weights.all()


# Errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n: baselines.magnitude_mask(n, 1.1), ValueError, "density must be .*got 1.1"),
        (lambda n: baselines.magnitude_mask(n, -0.1), ValueError, "density must be"),
        (lambda n: baselines.magnitude_mask(n, "x"), TypeError, "density"),
        (lambda n: baselines.magnitude_mask(n, 0.5, "neurons"), ValueError, "'neuron'"),
        (lambda n: baselines.magnitude_mask("n", 0.5), TypeError, "network must be"),
        (lambda n: baselines.random_mask(n, 1.1), ValueError, "density must be"),
        (lambda n: baselines.random_mask("n", 0.1), TypeError, "network must be"),
        (lambda n: baselines.random_mask(n, (np.ones((6, 5), bool),)), ValueError,
         r"density must have the network's shapes \[\(6, 5\), \(5, 7\), \(3, 6\)\]"),
        (lambda n: baselines.random_mask(n, 0.1, rng="x"), TypeError, "rng must be"),
        (lambda n: baselines.masked(n, n.arrays), TypeError,
         r"mask\[0\] must be a bool array; got dtype float64"),
        (lambda n: baselines.masked(n, np.ones(3, bool)), TypeError, "mask must be a sequence"),
        (lambda n: baselines.masked(n, ()), TypeError, "mask must be a sequence"),
        (lambda n: baselines.masked(n, (np.ones((6, 5), bool),)), ValueError, "mask must have the"),
        (lambda n: baselines.masked("n", (np.ones(2, bool),)), TypeError, "network must be"),
        (lambda n: baselines.masked_optimizer("adma", (np.ones(2, bool),)), ValueError, "'adam'"),
        (lambda n: baselines.masked_optimizer("gd", np.ones(2, bool)), TypeError, "mask must be"),
        (lambda n: baselines.l1_sgd(-1.0), ValueError, "strength must be"),
        (lambda n: baselines.l1_sgd(1.0, momentum=1.0), ValueError, "momentum must be"),
        (lambda n: baselines.l1_sgd(1.0, network="n"), TypeError, "network must be"),
    ],
)  # fmt: skip
def test_arguments_are_checked(call, error, message):
    with pytest.raises(error, match=message):
        call(mlp())


def test_masks_and_networks_of_another_size_are_refused_when_training_starts():
    network, (X, Y) = mlp(), problem()
    other = mlp(sizes=(4, 3, 3))
    mask = baselines.magnitude_mask(other, 0.5)
    wrong = {
        r"mask must be for the 83 parameters .* got arrays of 15 \+ 12": (
            baselines.masked_optimizer("gd", mask)
        ),
        "network must have the 83 parameters that are trained; got one with 27": (
            baselines.l1_sgd(0.1, network=other)
        ),
    }
    for message, pair in wrong.items():
        with pytest.raises(ValueError, match=message):
            train.fit(network, X, Y, "softmax_cross_entropy", optimizer=pair, steps=1)
