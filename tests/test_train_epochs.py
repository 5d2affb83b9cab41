"""Training by epochs: the same steps as `fit`, a rate by epoch, and a look after each of them."""

from itertools import pairwise

import numpy as np
import pytest

from refgrow import losses, networks, neurons, optimizers, splitlbi, train

# Sums of order one in another order.
ROUNDING = 1e-13
# Two implementations of the same formulas over a few dozen steps.
SAME = 1e-12


def classes(n=50, outputs=3, seed=0, activation="tanh"):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    sizes = (4, 6, 5, outputs)
    weights = [rng.normal(size=(b, a + 1)) / a**0.5 for a, b in pairwise(sizes)]
    return networks.MLP(weights, activation), X, rng.integers(max(outputs, 2), size=n)


def equal(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a.arrays, b.arrays, strict=True))


def by_hand(network, X, Y, rates, batch_size, seed, beta=0.9):
    """Minibatch momentum with softmax cross-entropy and tanh, formulas and loop its own."""
    W, V = [w.copy() for w in network.arrays], [np.zeros_like(w) for w in network.arrays]
    rng, curve = np.random.default_rng(seed), []
    for rate in rates:
        order = rng.permutation(len(X))
        for k in range(len(X) // batch_size):
            rows = order[k * batch_size : (k + 1) * batch_size]
            H = [X[rows]]
            for w in W[:-1]:
                H.append(np.tanh(H[-1] @ w[:, :-1].T + w[:, -1]))
            F = H[-1] @ W[-1][:, :-1].T + W[-1][:, -1]
            P = np.exp(F) / np.exp(F).sum(axis=1, keepdims=True)
            curve.append(-np.log(P[np.arange(batch_size), Y[rows]]).mean())
            G = (P - np.eye(P.shape[1])[Y[rows]]) / batch_size
            gradients = []
            for layer in (2, 1, 0):
                gradients.insert(0, np.column_stack([G.T @ H[layer], G.sum(axis=0)]))
                G = (G @ W[layer][:, :-1]) * (1 - H[layer] ** 2)
            for w, v, g in zip(W, V, gradients, strict=True):
                v[:] = beta * v + g
                w -= rate * v
    return W, np.array(curve)


def test_the_steps_are_those_of_a_loop_written_by_hand():
    network, X, Y = classes()
    rates = [0.3, 0.1, 0.2]
    options = {"epochs": 3, "batch_size": 8, "rng": 5}
    fitted, history = train.fit_epochs(
        network, X, Y, "softmax_cross_entropy", learning_rate=lambda e: rates[e], **options
    )
    W, curve = by_hand(network, X, Y, rates, 8, 5)
    assert max(np.abs(a - b).max() for a, b in zip(fitted.arrays, W, strict=True)) < SAME
    assert np.abs(history.loss[:-1] - curve).max() < SAME
    assert len(curve) == 3 * (50 // 8)
    # The rates in another order, and another seed, are seen.
    for wrong in (by_hand(network, X, Y, rates[::-1], 8, 5), by_hand(network, X, Y, rates, 8, 6)):
        assert np.abs(fitted.arrays[0] - wrong[0][0]).max() > 1e-3


@pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam", "adagrad"])
@pytest.mark.parametrize("batch_size", [7, 50, None])
def test_with_a_constant_rate_the_iterates_are_those_of_fit(optimizer, batch_size):
    network, X, Y = classes()
    options = {"optimizer": optimizer, "learning_rate": 0.02, "batch_size": batch_size, "rng": 3}
    a, first = train.fit_epochs(network, X, Y, "softmax_cross_entropy", epochs=4, **options)
    steps = 4 * (1 if batch_size is None else 50 // batch_size)
    b, second = train.fit(network, X, Y, "softmax_cross_entropy", steps=steps, **options)
    assert equal(a, b) and np.array_equal(first.loss, second.loss)
    assert (first.nit, first.status, first.success) == (steps, train.STEPS_TAKEN, True)
    assert (first.widths, first.starts, first.plans) == (((6, 5),), (0,), ())
    fewer, _ = train.fit(network, X, Y, "softmax_cross_entropy", steps=steps - 1, **options)
    assert not equal(a, fewer)


def test_a_shallow_network_trains_theta_and_its_weights_if_asked():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(40, 1))
    network = networks.Shallow(rng.normal(size=(3, 3)), np.ones(3), neurons.bump)
    for train_weights in (False, True):
        fitted, history = train.fit_epochs(
            network, X, np.sin(X), "squared", epochs=5, batch_size=10, rng=0,
            train_weights=train_weights,
        )  # fmt: skip
        assert np.array_equal(fitted.weights, network.weights) != train_weights
        assert history.fun < losses.squared.value(network(X), np.sin(X))


def test_the_optimizer_keeps_its_state_over_the_epochs():
    network, X, Y = classes()
    options = {"optimizer": "momentum", "learning_rate": 0.05, "batch_size": 10}
    rng = np.random.default_rng(1)
    once, _ = train.fit_epochs(network, X, Y, "softmax_cross_entropy", epochs=2, rng=1, **options)
    half, _ = train.fit_epochs(network, X, Y, "softmax_cross_entropy", epochs=1, rng=rng, **options)
    twice, _ = train.fit_epochs(half, X, Y, "softmax_cross_entropy", epochs=1, rng=rng, **options)
    # The same batches; only the velocity was lost in between.
    assert np.abs(once.arrays[0] - twice.arrays[0]).max() > 1e-4
    plain = {**options, "optimizer": "gd"}
    rng = np.random.default_rng(1)
    once, _ = train.fit_epochs(network, X, Y, "softmax_cross_entropy", epochs=2, rng=1, **plain)
    half, _ = train.fit_epochs(network, X, Y, "softmax_cross_entropy", epochs=1, rng=rng, **plain)
    twice, _ = train.fit_epochs(half, X, Y, "softmax_cross_entropy", epochs=1, rng=rng, **plain)
    assert equal(once, twice)


def test_watch_sees_every_epoch_and_what_it_keeps_stays():
    network, X, Y = classes()
    seen = []

    def watch(epoch, present, state):
        seen.append((epoch, present, [a.copy() for a in present.arrays], state.count, state))

    options = {"batch_size": 10, "rng": 2}
    fitted, _ = train.fit_epochs(
        network, X, Y, "softmax_cross_entropy", epochs=3, watch=watch, **options
    )
    assert [row[0] for row in seen] == [1, 2, 3] and [row[3] for row in seen] == [5, 10, 15]
    for epoch, present, arrays, _, _ in seen:
        assert all(np.array_equal(a, b) for a, b in zip(present.arrays, arrays, strict=True))
        alone, _ = train.fit_epochs(network, X, Y, "softmax_cross_entropy", epochs=epoch, **options)
        assert equal(present, alone)
    assert equal(seen[-1][1], fitted) and not equal(seen[0][1], fitted)
    # The state's arrays did change: all three are the last one.
    assert np.array_equal(seen[0][4].parameters[:30], fitted.arrays[0].ravel())


def test_watch_hands_out_the_states_of_any_pair():
    network, X, Y = classes()
    by_epoch, by_step = [], []
    options = {"nu": 1.0, "lam": 0.1, "groups": splitlbi.groups_of(network)}
    pair = splitlbi.optimizer(
        watch=lambda state: by_step.append(splitlbi.density(state)), **options
    )
    train.fit_epochs(
        network, X, Y, "softmax_cross_entropy", optimizer=pair, learning_rate=0.05, epochs=6,
        batch_size=10, watch=lambda e, net, state: by_epoch.append(splitlbi.density(state)), rng=0,
    )  # fmt: skip
    # by_step begins with the state before the first step.
    assert by_epoch == by_step[5::5] and len(by_epoch) == 6
    assert by_epoch != by_step[:-1:5] and len(set(by_epoch)) > 2


@pytest.mark.parametrize("yes", [True, np.True_])
def test_watch_can_stop_a_run(yes):
    network, X, Y = classes()
    options = {"batch_size": 10, "rng": 2}
    fitted, history = train.fit_epochs(
        network, X, Y, "softmax_cross_entropy", epochs=50, watch=lambda e, n, s: e == 3 and yes,
        **options,
    )  # fmt: skip
    assert (history.status, history.success, history.nit) == (train.STOPPED, True, 15)
    assert "watch" in history.message
    short, plain = train.fit_epochs(network, X, Y, "softmax_cross_entropy", epochs=3, **options)
    assert equal(fitted, short) and np.array_equal(history.loss, plain.loss)
    # What else a function returns is no answer, and False goes on.
    for answer in (False, 1, "yes", np.ones(2), None):
        _, history = train.fit_epochs(
            network, X, Y, "softmax_cross_entropy", epochs=4, watch=lambda *_, a=answer: a,
            **options,
        )  # fmt: skip
        assert (history.status, history.nit) == (train.STEPS_TAKEN, 20)


def test_watch_stops_by_density():
    network, X, Y = classes()
    pair = splitlbi.optimizer(nu=1.0, lam=0.3, groups=splitlbi.groups_of(network))
    seen = []

    def watch(epoch, present, state):
        seen.append(splitlbi.density(state))
        return seen[-1] >= 0.3

    _, history = train.fit_epochs(
        network, X, Y, "softmax_cross_entropy", optimizer=pair, learning_rate=0.05, epochs=200,
        batch_size=10, watch=watch, rng=0,
    )  # fmt: skip
    assert history.status == train.STOPPED and history.nit == 5 * len(seen) < 1000
    assert len(seen) > 1 and max(seen[:-1]) < 0.3 <= seen[-1]


def test_the_samples_left_out_change_from_epoch_to_epoch():
    network, X, _ = classes(n=50)
    seen = []

    def check(Y, n, p):
        return np.asarray(Y)

    def slope(F, rows):
        seen.append(rows)
        return np.zeros_like(F)

    spy = losses.Loss("spy", lambda F, rows: np.zeros(len(F)), slope, None, check)
    train.fit_epochs(network, X, np.arange(50), spy, epochs=3, batch_size=8, rng=0)
    epochs = [np.concatenate(seen[k : k + 6]) for k in (0, 6, 12)]
    assert len(seen) == 18 and all(len(set(epoch)) == 48 for epoch in epochs)
    assert len({tuple(sorted(set(range(50)) - set(epoch))) for epoch in epochs}) == 3


def test_the_last_loss_is_that_of_all_samples_in_blocks(monkeypatch):
    network, X, Y = classes(n=50)
    exact = losses.softmax_cross_entropy.value(network(X), Y)
    for block in (7, 50, 4096):  # 7 does not divide 50: a mean of means would be wrong
        monkeypatch.setattr(networks, "BLOCK", block)
        _, history = train.fit_epochs(
            network, X, Y, "softmax_cross_entropy", epochs=0, batch_size=8
        )
        assert history.nit == 0 and history.fun == pytest.approx(exact, rel=ROUNDING)
    rows = [slice(k, k + 7) for k in range(0, 50, 7)]
    means = [losses.softmax_cross_entropy.value(network(X[r]), Y[r]) for r in rows]
    assert abs(np.mean(means) - exact) > 1e-6


def test_a_loss_that_belongs_to_all_samples_takes_the_full_batch(monkeypatch):
    monkeypatch.setattr(networks, "BLOCK", 7)
    network, X, _ = classes(outputs=1)
    Y = X[:, :1]
    moved = losses.with_offset("squared", 0.5 * np.ones((50, 1)))
    _, history = train.fit_epochs(network, X, Y, moved, epochs=2, batch_size=None)
    assert history.loss[0] == pytest.approx(losses.squared.value(network(X) + 0.5, Y), rel=ROUNDING)
    # One that diverges looks at all samples too, for where to go back to.
    quadratic, *_ = classes(outputs=1, activation="quadratic")
    fitted, history = train.fit_epochs(
        quadratic, X, Y, moved, epochs=50, batch_size=None, learning_rate=10.0
    )
    assert history.status == train.DIVERGED
    assert history.fun == pytest.approx(losses.squared.value(fitted(X) + 0.5, Y), rel=1e-12)
    with pytest.raises(ValueError, match="It belongs to the full batch"):
        train.fit_epochs(network, X, Y, moved, epochs=2, batch_size=10)


def test_a_gradient_that_the_optimizer_keeps_is_not_overwritten():
    network, X, Y = classes()
    kept = []

    def step(state, gradient, rate):
        kept.append((gradient, gradient.copy()))
        return optimizers.gd_step(state, gradient, rate)

    train.fit_epochs(
        network, X, Y, "softmax_cross_entropy", optimizer=(optimizers.init, step), epochs=2,
        batch_size=10,
    )  # fmt: skip
    assert len(kept) == 10
    assert all(np.array_equal(gradient, copy) for gradient, copy in kept)


def test_a_diverging_run_stops_and_keeps_the_last_finite_network():
    network, X, _ = classes(outputs=1, activation="quadratic")
    Y, seen = X[:, :1], []
    fitted, history = train.fit_epochs(
        network, X, Y, "squared", optimizer="gd", learning_rate=lambda e: (1e-4, 1e-4, 10.0)[e],
        epochs=3, batch_size=5, watch=lambda epoch, net, state: seen.append(epoch), rng=0,
    )  # fmt: skip
    assert seen == [1, 2]
    assert (history.status, history.success) == (train.DIVERGED, False)
    assert 20 <= history.nit == len(history.loss) - 1 < 30
    assert np.isfinite(history.loss).all()
    assert history.fun == pytest.approx(losses.squared.value(fitted(X), Y), rel=1e-12)
    _, history = train.fit_epochs(
        network, X, Y, "squared", optimizer="gd", learning_rate=1e-4, epochs=3, batch_size=5
    )
    assert history.success and history.nit == 30


def test_parameters_that_overflow_in_the_last_step_of_an_epoch_are_not_watched():
    huge = networks.Shallow([[-1e308]], [1e10], neurons.ridge("sine"))
    seen = []
    fitted, history = train.fit_epochs(
        huge, [[1.0]], [[0.0]], "squared", learning_rate=1e308, epochs=50, batch_size=1,
        watch=lambda epoch, net, state: seen.append(net),
    )  # fmt: skip
    assert history.status == train.DIVERGED and np.isfinite(fitted.theta).all()
    assert len(seen) < 50 and all(np.isfinite(net.theta).all() for net in seen)


def test_a_start_that_is_not_finite_is_refused():
    loss_overflows = networks.Shallow([[0.0, 0.0, 1e200]], [1e200], neurons.bump)
    # f = 1e150: the square is finite, the gradient 1e150 * 1e200 is not.
    gradient_overflows = networks.Shallow([[0.0, 0.0, 1e-50]], [1e200], neurons.bump)
    for network, epochs in ((loss_overflows, 0), (loss_overflows, 2), (gradient_overflows, 2)):
        with pytest.raises(ValueError, match="not finite at the network to start from"):
            train.fit_epochs(network, [[0.0]], [[1.0]], "squared", epochs=epochs, batch_size=1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "epochs must be an integer >= 0; got -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer"),
        ({"batch_size": 51}, ValueError, "batch_size must be an integer >= 1 and <= 50; got 51"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer >= 1"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a finite number > 0; got 0"),
        ({"learning_rate": lambda e: 1 - e}, ValueError, r"learning_rate\(1\) must be .* got 0"),
        ({"learning_rate": lambda e: "x"}, TypeError, r"learning_rate\(0\)"),
        ({"optimizer": "adma"}, ValueError, "Did you mean 'adam'"),
        ({"optimizer": (lambda x: {}, len)}, TypeError, "init must return a state"),
        ({"watch": 3}, TypeError, r"watch must be a function \(epoch, network, state\); got 3"),
        ({"train_weights": 1}, TypeError, "train_weights must be True or False"),
        ({"rng": "seed"}, TypeError, "rng must be"),
    ],
)
def test_options_are_checked(options, error, message):
    network, X, Y = classes()
    good = {"epochs": 2, "batch_size": 10}
    with pytest.raises(error, match=message):
        train.fit_epochs(network, X, Y, "softmax_cross_entropy", **{**good, **options})


def test_accuracy_counts_the_largest_outputs(monkeypatch):
    network, X, Y = classes()
    count = sum(int(np.argmax(network(x[None])[0]) == y) for x, y in zip(X, Y, strict=True))
    for block in (7, 4096):
        monkeypatch.setattr(networks, "BLOCK", block)
        assert networks.accuracy(network, X, Y) == count / 50
    assert networks.accuracy(network, X, network(X).argmax(axis=1)) == 1.0
    assert networks.accuracy(network, X, network(X).argmin(axis=1)) == 0.0


def test_accuracy_of_one_output_is_its_sign():
    network, X, _ = classes(outputs=1, seed=3)
    signs = (network(X)[:, 0] > 0).astype(int)
    assert 0 < signs.mean() < 1  # both classes
    assert networks.accuracy(network, X, signs) == 1.0
    assert networks.accuracy(network, X, 1 - signs) == 0.0
    flat = networks.Shallow([[0.5]], [2.0], neurons.ridge("identity"))
    assert networks.accuracy(flat, [[1.0], [-1.0], [3.0]], [1, 1, 1]) == 2 / 3


def test_accuracy_checks_its_arguments():
    network, X, Y = classes()
    with pytest.raises(ValueError, match="labels must hold labels from 0 to 2"):
        networks.accuracy(network, X, Y + 1)
    with pytest.raises(TypeError, match="labels must hold integer labels"):
        networks.accuracy(network, X, Y.astype(float))
    with pytest.raises(TypeError, match="network must be"):
        networks.accuracy("network", X, Y)
    with pytest.raises(ValueError, match="X must"):
        networks.accuracy(network, X[:, :2], Y)
