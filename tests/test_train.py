"""Training: the loop against a naive one, the compiled loop against the loop, every way to end."""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from refgrow import (
    baselines,
    data,
    growth,
    losses,
    networks,
    neurons,
    optimizers,
    s2d,
    toy_training,
    train,
)

# Two implementations of the same formulas differ by rounding, amplified by a few hundred steps.
SAME = 1e-11
OPTIMIZERS = ("gd", "momentum", "adam", "adagrad")


def toy(seed=0, n=40, m=2):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(n, 1))
    return networks.Shallow(rng.normal(size=(m, 3)), np.ones(m), neurons.bump), X, np.sin(2 * X)


def ridge_of(network, X):
    """The same theta_1 and theta_2 in S3D's neuron; the amplitude becomes the output weight."""
    weights = network.theta[:, 2] * network.weights
    ridges = networks.Shallow(network.theta[:, :2], weights, neurons.ridge("gaussian"))
    return ridges, np.column_stack([X, np.ones(len(X))])


def exploding():
    """A problem and settings with which gradient descent overflows at once.

    A smaller rate would not do: the first huge step throws the neuron out of the samples' reach,
    where all gradients vanish and the run survives.
    """
    network, X, Y = toy()
    return network, X, Y, {"learning_rate": 1e200, "steps": 500, "train_weights": True}


def mlp(seed=0, outputs=1):
    rng = np.random.default_rng(seed)
    return networks.MLP([rng.normal(size=(4, 3)), rng.normal(size=(outputs, 5))], "tanh")


def custom(name):
    """The same optimizer as a pair of its own, which the compiled loop does not know."""
    init, step = optimizers.get(name)
    return init, lambda *arguments: step(*arguments)


def naive_gd(network, X, Y, rate, steps):
    """Gradient descent by central differences of the loss: shares no derivative with the code."""
    theta = network.theta.copy()
    for _ in range(steps):
        gradient = np.zeros_like(theta)
        for index in np.ndindex(theta.shape):
            values = []
            for sign in (1, -1):
                moved = theta.copy()
                moved[index] += sign * 1e-5
                values.append(
                    losses.squared.value(network.with_arrays([moved, network.weights])(X), Y)
                )
            gradient[index] = (values[0] - values[1]) / 2e-5
        theta = theta - rate * gradient
    return theta


def test_gradient_descent_follows_the_gradient_of_the_value():
    network, X, Y = toy()
    fitted, history = train.fit(
        network, X, Y, "squared", optimizer="gd", learning_rate=0.1, steps=5
    )
    # Differences of step 1e-5 are good to about 1e-10 a step.
    assert np.abs(fitted.theta - naive_gd(network, X, Y, 0.1, 5)).max() < 1e-8
    assert np.abs(fitted.theta - naive_gd(network, X, Y, 0.11, 5)).max() > 1e-3
    assert history.fun == pytest.approx(losses.squared.value(fitted(X), Y), rel=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("train_weights", [False, True])
@pytest.mark.parametrize("family", ["bump", "particle", "ridge"])
def test_the_compiled_loop_takes_the_same_steps(name, train_weights, family):
    network, X, Y = toy()
    if family == "ridge":
        network, X = ridge_of(network, X)
    if family == "particle":
        network = networks.Shallow(network.theta[:, :1], network.weights, neurons.particle(0.7))
    options = {"learning_rate": 0.01, "steps": 100, "train_weights": train_weights}
    fast, quick = train.fit(network, X, Y, "squared", optimizer=name, **options)
    slow, plain = train.fit(network, X, Y, "squared", optimizer=custom(name), **options)
    assert np.abs(fast.theta - slow.theta).max() < SAME
    assert np.abs(fast.weights - slow.weights).max() < SAME
    assert np.abs(quick.loss - plain.loss).max() < SAME
    assert (quick.nit, quick.status, quick.success) == (plain.nit, plain.status, plain.success)
    other = "gd" if name == "adam" else "adam"
    wrong, _ = train.fit(network, X, Y, "squared", optimizer=other, **options)
    assert np.abs(wrong.theta - slow.theta).max() > 1e-4


@pytest.fixture
def phases(monkeypatch):
    """The families of the phases that went through the compiled loop."""
    seen, descent = [], toy_training.gaussian_descent

    def watched(*arguments, **options):
        seen.append(options["family"])
        return descent(*arguments, **options)

    monkeypatch.setattr(toy_training, "gaussian_descent", watched)
    return seen


def test_the_compiled_loop_is_taken_for_gaussian_neurons_on_the_line_only(phases):
    network, X, Y = toy()
    ridges, ones = ridge_of(network, X)
    particles = networks.Shallow(network.theta[:, :1], network.weights, neurons.particle(0.7))
    for taken, inputs in ((network, X), (particles, X), (ridges, ones)):
        train.fit(taken, inputs, Y, "squared", steps=2)
    assert phases == ["bump", "particle", "ridge"]
    theta, weights = ridges.theta, ridges.weights
    tanh = networks.Shallow(theta, weights, neurons.ridge("tanh"))
    two = networks.Shallow(theta, np.ones((2, 2)), neurons.ridge("gaussian"))
    for other, inputs, targets, loss in (
        (ridges, ones[:, ::-1], Y, "squared"),  # the ones first
        (ridges, 2 * ones, Y, "squared"),
        (ridges, ones + [0, 1e-12], Y, "squared"),
        (networks.Shallow(theta[:, :1], weights, neurons.ridge("gaussian")), X, Y, "squared"),
        (tanh, ones, Y, "squared"),
        (two, ones, np.hstack([Y, Y]), "squared"),
        (ridges, ones, np.zeros(len(Y), dtype=int), "logistic"),
    ):
        _, history = train.fit(other, inputs, targets, loss, steps=2)
        assert history.nit == 2
    train.fit(ridges, ones, Y, "squared", steps=2, batch_size=10)
    train.fit(ridges, ones, Y, "squared", steps=2, optimizer=custom("adam"))
    assert len(phases) == 3


def test_a_network_of_several_outputs_goes_through_the_general_loop():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(30, 1))
    network = networks.Shallow(rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), neurons.bump)
    Y = np.hstack([np.sin(X), np.cos(X)])
    fitted, history = train.fit(network, X, Y, "squared", steps=50, train_weights=True)
    assert history.loss[-1] < history.loss[0]
    assert fitted.weights.shape == (3, 2)


def test_exactly_the_steps_asked_for():
    network, X, Y = toy()
    for steps in (0, 1, 7):
        _, history = train.fit(network, X, Y, "squared", steps=steps)
        assert (history.nit, len(history.loss)) == (steps, steps + 1)
        assert history.success and history.status == train.STEPS_TAKEN
    same, _ = train.fit(network, X, Y, "squared", steps=0)
    assert np.array_equal(same.theta, network.theta)


@pytest.mark.parametrize("pair", ["gd", custom("gd")], ids=["compiled", "general"])
def test_stops_at_the_first_stationary_iterate(pair):
    network, X, Y = toy()
    options = {"optimizer": pair, "learning_rate": 0.3}
    fitted, history = train.fit(network, X, Y, "squared", gtol=1e-3, steps=4000, **options)

    def norm(net):
        return np.linalg.norm(networks.loss_and_gradient(net, X, Y, "squared")[1][0])

    assert history.success and history.status == train.STATIONARY
    assert norm(fitted) <= 1e-3
    before, _ = train.fit(network, X, Y, "squared", steps=history.nit - 1, **options)
    assert norm(before) > 1e-3
    _, short = train.fit(network, X, Y, "squared", gtol=1e-3, steps=2, **options)
    assert not short.success and short.status == train.STEPS_TAKEN


@pytest.mark.parametrize("pair", ["gd", custom("gd")], ids=["compiled", "general"])
def test_a_gtol_of_zero_stops_where_the_gradient_is_exactly_zero(pair):
    # f = 1 everywhere and r = (-1, 2, -1): every derivative is a sum of small integers.
    X, Y = np.array([[-1.0], [0.0], [1.0]]), np.array([[2.0], [-1.0], [2.0]])
    network = networks.Shallow([[0.0, 0.0, 1.0]], [1.0], neurons.bump)
    _, history = train.fit(network, X, Y, "squared", optimizer=pair, gtol=0.0, steps=5)
    assert (history.status, history.nit, history.success) == (train.STATIONARY, 0, True)
    _, free = train.fit(network, X, Y, "squared", optimizer=pair, steps=5)
    assert (free.status, free.nit) == (train.STEPS_TAKEN, 5)


@pytest.mark.parametrize("pair", ["gd", custom("gd")], ids=["compiled", "general"])
def test_a_diverging_run_ends_with_its_last_finite_state(pair):
    network, X, Y, options = exploding()
    fitted, history = train.fit(network, X, Y, "squared", optimizer=pair, **options)
    assert history.status == train.DIVERGED and not history.success
    assert "smaller learning rate" in history.message
    assert np.isfinite(history.loss).all() and np.isfinite(fitted.theta).all()
    assert history.nit == len(history.loss) - 1 < 500
    # The state belongs to the last recorded loss.
    assert losses.squared.value(fitted(X), Y) == pytest.approx(history.fun, rel=1e-12)


def test_a_diverging_mlp_ends_with_its_last_finite_state():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2))
    network = networks.MLP([rng.normal(size=(4, 3)), rng.normal(size=(1, 5))], "quadratic")
    fitted, history = train.fit(
        network, X, X[:, :1], "squared", optimizer="gd", learning_rate=10.0, steps=100
    )
    assert history.status == train.DIVERGED
    assert all(np.isfinite(W).all() for W in fitted.weights)


def test_a_diverging_minibatch_run_ends_where_the_whole_loss_is_finite():
    network = networks.Shallow([[0.3]], [1.0], neurons.ridge("identity"))
    X, Y = np.array([[1.0], [-2.0], [3.0]]), np.array([1, 0, 0])
    diverged = 0
    for seed in range(20):
        fitted, history = train.fit(
            network, X, Y, "exponential", optimizer="gd", learning_rate=10.0, steps=50,
            batch_size=1, train_weights=True, rng=seed,
        )  # fmt: skip
        diverged += history.status == train.DIVERGED
        assert np.isfinite(history.loss).all() and history.nit == len(history.loss) - 1
        assert history.fun == pytest.approx(losses.exponential.value(fitted(X), Y), rel=1e-12)
    assert diverged > 10


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_parameters_that_overflow_under_a_finite_loss_are_a_divergence(name):
    network = networks.Shallow([[0.3]], [1.0], neurons.ridge("tanh"))
    fitted, history = train.fit(
        network, [[1.0]], [[3.0]], "squared", optimizer=name, learning_rate=1e308, steps=50
    )
    assert np.isfinite(fitted.theta).all() and np.isfinite(history.loss).all()
    assert history.status in (train.DIVERGED, train.STEPS_TAKEN)
    # The same from a network so large that the next step overflows for sure.
    huge = networks.Shallow([[-1e308]], [1e10], neurons.ridge("sine"))
    fitted, history = train.fit(
        huge, [[1.0]], [[0.0]], "squared", optimizer=name, learning_rate=1e308, steps=50
    )
    assert history.status == train.DIVERGED and np.isfinite(fitted.theta).all()


def test_any_pair_is_an_optimizer_if_its_state_has_parameters():
    network, X, Y = toy()

    @dataclass
    class Step:  # not hashable
        rate: float

        def __call__(self, state, gradient, learning_rate):
            return optimizers.gd.step(state, gradient, self.rate)

    mine, _ = train.fit(network, X, Y, "squared", optimizer=(optimizers.init, Step(0.1)), steps=9)
    gd, _ = train.fit(network, X, Y, "squared", optimizer="gd", learning_rate=0.1, steps=9)
    assert np.abs(mine.theta - gd.theta).max() < SAME
    with pytest.raises(TypeError, match=r"init must return a state with \.parameters"):
        train.fit(network, X, Y, "squared", optimizer=(lambda x: {"x": x}, Step(0.1)))


def test_minibatches_are_drawn_from_rng_and_cover_every_epoch():
    network, (X, Y) = mlp(), (np.eye(2)[[0, 1] * 5], np.ones((10, 1)))
    options = {"batch_size": 4, "steps": 6}
    a, first = train.fit(network, X, Y, "squared", rng=1, **options)
    b, second = train.fit(network, X, Y, "squared", rng=1, **options)
    c, _ = train.fit(network, X, Y, "squared", rng=2, **options)
    assert np.array_equal(first.loss, second.loss)
    assert all(np.array_equal(p, q) for p, q in zip(a.weights, b.weights, strict=True))
    assert not np.array_equal(a.weights[0], c.weights[0])
    batches = train._batches(10, 4, np.random.default_rng(0))
    epoch = np.concatenate([next(batches), next(batches)])
    assert len(set(epoch)) == 8  # No sample twice in an epoch; the incomplete batch is left out.


@pytest.mark.parametrize("loss", ["logistic", "exponential", "softmax_cross_entropy"])
def test_class_losses_train(loss):
    problem = data.xor(rng=0)
    network = mlp(outputs=2 if loss == "softmax_cross_entropy" else 1)
    _, history = train.fit(network, problem.X, problem.Y, loss, steps=60, learning_rate=0.05)
    assert history.fun < 0.9 * history.loss[0]


def test_xor_is_learnt():
    problem = data.xor(rng=0)
    fitted, _ = train.fit(mlp(), problem.X, problem.Y, "logistic", steps=500, learning_rate=0.05)
    assert ((fitted(problem.X)[:, 0] > 0) == problem.Y).mean() > 0.97


def test_one_sample_one_neuron_one_dimension():
    network = networks.Shallow([[1.0]], [1.0], neurons.ridge("tanh"))
    fitted, history = train.fit(network, [[1.0]], [[0.5]], "squared", steps=400, learning_rate=0.01)
    assert history.fun < 1e-6
    assert fitted.theta[0, 0] == pytest.approx(np.arctanh(0.5), abs=1e-2)


def test_the_loop_trains_decides_applies_and_trains():
    network, X, Y = toy(m=1)
    seen = []

    def decide(net, X, Y, loss):
        seen.append(net)
        return s2d.decide(net, X, Y, loss, size=0.05)

    grown, history = train.fit_and_grow(
        network, X, Y, "squared", decide=decide, growths=3, steps=40, learning_rate=0.02
    )
    assert history.widths == ((1,), (2,), (3,), (4,)) and len(grown.theta) == 4
    assert history.starts == (0, 41, 82, 123) and len(history.loss) == 164 and history.nit == 160
    assert len(history.plans) == 3 and len(history.seconds) == 4
    assert history.success and history.status == train.STEPS_TAKEN
    # The same by hand.
    for _ in range(3):
        network, _ = train.fit(network, X, Y, "squared", steps=40, learning_rate=0.02)
        network = growth.apply(network, s2d.decide(network, X, Y, "squared", size=0.05))
    network, _ = train.fit(network, X, Y, "squared", steps=40, learning_rate=0.02)
    assert np.array_equal(network.theta, grown.theta)
    # What a plan promises is what happens between the phases.
    for plan, start in zip(history.plans, history.starts[1:], strict=True):
        change = history.loss[start] - history.loss[start - 1]
        assert change == pytest.approx(plan.predicted(), rel=0.2)


def test_a_stationary_point_where_no_split_helps_is_a_status():
    # Three samples, f = 1 everywhere, S = diag(2/3, 0, 0) (S2D-B.1-stationary in docs/errata.md).
    X, Y = np.array([[-1.0], [0.0], [1.0]]), np.array([[2.0], [-1.0], [2.0]])
    network = networks.Shallow([[0.0, 0.0, 1.0]], [1.0], neurons.bump)
    same, history = train.fit_and_grow(
        network, X, Y, "squared", decide=s2d.decide, growths=5, steps=3, optimizer="gd"
    )
    assert history.status == train.NOTHING_TO_GROW and history.success
    assert history.message and history.widths == ((1,),) and not history.plans
    assert np.array_equal(same.theta, network.theta)


def test_growing_stops_when_training_diverges():
    network, X, Y, options = exploding()
    _, history = train.fit_and_grow(
        network, X, Y, "squared", decide=s2d.decide, growths=2, optimizer="gd", **options
    )
    assert history.status == train.DIVERGED and history.widths == ((2,),)


@pytest.mark.compiled
@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("steps", [0, 7, 30, 65])
def test_a_watched_run_shows_what_shorter_runs_end_with(batch_size, steps):
    network, (X, Y) = mlp(), mlp_data()
    options = {"learning_rate": 0.02, "batch_size": batch_size}
    seen = []
    fit = partial(train.fit, network, X, Y, "squared", **options)
    end, history = fit(steps=steps, rng=3, watch=lambda *now: seen.append(now), watch_every=30)
    expected = [*range(0, steps + 1, 30)] + [steps] * (steps % 30 > 0)
    assert [step for step, _, _ in seen] == expected
    for step, present, _ in seen:
        shorter, _ = fit(steps=step, rng=3)
        for a, b in zip(present.arrays, shorter.arrays, strict=True):
            np.testing.assert_array_equal(a, b)
    seconds = [s for _, _, s in seen]
    assert seconds[0] == 0 and seconds == sorted(seconds)
    assert seconds[-1] <= history.seconds[0] and history.deciding == (0.0,)
    unwatched, plain = fit(steps=steps, rng=3)
    np.testing.assert_array_equal(end.arrays[0], unwatched.arrays[0])
    np.testing.assert_array_equal(history.loss, plain.loss)


@pytest.mark.compiled
def test_a_watched_toy_does_without_the_compiled_loop(phases):
    network, X, Y = toy()
    seen = []
    fit = partial(train.fit, network, X, Y, "squared", steps=50)
    watched, _ = fit(watch=lambda *now: seen.append(now[0]), watch_every=20)
    assert seen == [0, 20, 40, 50] and phases == []
    compiled, _ = fit()
    assert np.abs(watched.theta - compiled.theta).max() < SAME and phases == ["bump"]


def mlp_data(n=40):
    rng = np.random.default_rng(8)
    X = rng.normal(size=(n, 2))
    return X, X[:, :1] * X[:, 1:]


def test_what_a_watcher_takes_is_not_counted():
    network, (X, Y) = mlp(), mlp_data()
    seen = []

    def slow(step, network, seconds):
        time.sleep(0.05)
        seen.append(seconds)

    began = time.perf_counter()
    _, history = train.fit_and_grow(
        network, X, Y, "squared", decide=splitting, growths=2, steps=2, watch=slow, watch_every=1
    )
    rest = time.perf_counter() - began - 9 * 0.05
    assert len(seen) == 9
    # Holds on however busy a machine, and fails where a single look is counted.
    assert seen[-1] <= sum(history.seconds) <= rest


def splitting(network, X, Y, loss):
    """Two copies of the first neuron: a growth that needs no look at the data."""
    width = network.weights[0].shape[1]
    split = growth.Split(0, 0, [0.5, 0.5], 0.1 * np.eye(2, width))
    return growth.Plan((split,), 1.0, 0.0, 2, 3)


@pytest.mark.compiled
def test_a_watcher_counts_steps_and_seconds_through_all_phases():
    network, (X, Y) = mlp(), mlp_data()
    seen = []
    lengths = (4, 0, 5)
    grown, history = train.fit_and_grow(
        network, X, Y, "squared", decide=splitting, growths=2, steps=lambda phase: lengths[phase],
        watch=lambda *now: seen.append(now), watch_every=3,
    )  # fmt: skip
    steps = [step for step, _, _ in seen]
    widths = [present.widths[0] for _, present, _ in seen]
    assert steps == [0, 3, 4, 4, 4, 7, 9] and widths == [4, 4, 4, 5, 6, 6, 6]
    assert history.nit == 9 and [len(w) for w in history.widths] == [1, 1, 1]
    seconds = [s for _, _, s in seen]
    assert seconds == sorted(seconds) and seconds[3] > seconds[2], "a decision takes time"
    assert seconds[-1] <= sum(history.seconds)
    np.testing.assert_array_equal(seen[-1][1].weights[0], grown.weights[0])
    assert len(history.deciding) == 3 and history.deciding[2] == 0
    assert all(0 < d <= s for d, s in zip(history.deciding[:2], history.seconds, strict=False))
    # Without a watcher, the same network.
    plain, _ = train.fit_and_grow(
        network, X, Y, "squared", decide=splitting, growths=2, steps=lambda phase: lengths[phase]
    )
    np.testing.assert_array_equal(plain.weights[0], grown.weights[0])


@pytest.mark.compiled
def test_a_stationary_and_a_diverging_run_are_watched_up_to_their_end():
    network, (X, Y) = mlp(), mlp_data()
    seen = []

    def watch(step, network, seconds):
        seen.append(step)

    options = {"optimizer": "gd", "watch": watch, "watch_every": 10}
    run = partial(train.fit, network, X, Y, "squared", **options)
    _, plain = train.fit(network, X, Y, "squared", optimizer="gd", steps=400, learning_rate=0.05)
    _, gradient = networks.loss_and_gradient(network, X, Y, "squared")
    gtol = 0.3 * np.sqrt(sum((g**2).sum() for g in gradient))
    _, history = run(steps=400, learning_rate=0.05, gtol=gtol)
    assert history.status == train.STATIONARY and 0 < history.nit < plain.nit
    assert seen == [*range(0, history.nit, 10), history.nit]
    # Stationary at the start: one look.
    seen.clear()
    assert run(steps=400, gtol=1e9)[1].nit == 0 and seen == [0]
    seen.clear()
    assert run(steps=400, learning_rate=1e200)[1].status == train.DIVERGED
    assert seen == [0]


@pytest.mark.compiled
def test_growth_from_one_neuron_a_layer_in_minibatches():
    """TINY's loop, with random neurons: both layers grow in turn, without steps between the two,
    from estimates on a part of the samples that grows; the test accuracy is watched."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    labels = (X[:, 0] * X[:, 1] > 0).astype(int) + 2 * (X[:, 2] > 0)
    start = networks.MLP([rng.normal(size=s) for s in ((1, 5), (1, 2), (4, 2))], "selu")
    turns, sizes, curve = [], [], []

    def decide(network, X, Y, loss):
        layer, size = len(turns) % 2, 100 + 50 * (len(turns) // 2)
        turns.append(layer)
        rows = rng.choice(len(X), size, replace=False)
        sizes.append(len(rows))
        draw = partial(baselines.random_neurons, layer=layer, k=4, downhill=True, rng=rng)
        return draw(network, X[rows], Y[rows], loss)

    def watch(step, network, seconds):
        curve.append((step, networks.accuracy(network, X[500:], labels[500:])))

    grown, history = train.fit_and_grow(
        start, X[:500], labels[:500], "softmax_cross_entropy", decide=decide, growths=6,
        steps=lambda phase: 0 if phase % 2 else 60 + 400 * (phase == 6), batch_size=100,
        learning_rate=0.01, rng=1, watch=watch, watch_every=20,
    )  # fmt: skip
    assert grown.widths == (13, 13) and history.nit == 4 * 60 + 400
    assert turns == [0, 1] * 3 and sizes == [100, 100, 150, 150, 200, 200]
    assert curve[-1][0] == history.nit and curve[-1][1] > curve[0][1] + 0.3
    fixed, _ = train.fit(
        start, X[:500], labels[:500], "softmax_cross_entropy", steps=640, batch_size=100,
        learning_rate=0.01, rng=1,
    )  # fmt: skip
    assert networks.accuracy(fixed, X[500:], labels[500:]) < curve[-1][1] - 0.1


def test_input_is_not_changed_and_may_be_read_only_or_of_other_types():
    network, X, Y = toy()
    for array in (X, Y):
        array.flags.writeable = False
    kept = network.theta.copy()
    a, _ = train.fit(network, X, Y, "squared", steps=3)
    b, _ = train.fit(network, np.asfortranarray(X), [list(row) for row in Y], "squared", steps=3)
    train.fit(network, X.astype(np.float32), Y, losses.squared, steps=3)
    assert np.array_equal(network.theta, kept) and np.array_equal(a.theta, b.theta)


GOOD = {"steps": 3}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": -1}, ValueError, "steps must be an integer >= 0; got -1"),
        ({"steps": 2.5}, TypeError, "steps must be an integer"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a finite number > 0; got 0"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate"),
        ({"optimizer": "adma"}, ValueError, "Did you mean 'adam'"),
        ({"optimizer": 3}, TypeError, "pair of functions"),
        ({"gtol": -1.0}, ValueError, "gtol must be a finite number >= 0"),
        ({"gtol": 0.1, "batch_size": 2}, ValueError, "gtol needs the full batch"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer >= 1"),
        ({"batch_size": 41}, ValueError, "batch_size must be an integer >= 1 and <= 40; got 41"),
        ({"train_weights": "no"}, TypeError, "train_weights must be True or False; got 'no'"),
        ({"rng": "seed"}, TypeError, "rng must be"),
        ({"watch": 3}, TypeError, "watch must be a function (step, network"),
        ({"watch_every": 0}, ValueError, "watch_every must be an integer >= 1; got 0"),
    ],
)
def test_options_are_checked(options, error, message):
    network, X, Y = toy()
    with pytest.raises(error, match=message.replace("(", r"\(")):
        train.fit(network, X, Y, "squared", **{**GOOD, **options})


def test_data_and_decisions_are_checked():
    network, X, Y = toy()
    with pytest.raises(ValueError, match=r"Y must be 2-D .* Use Y\[:, None\] for one output"):
        train.fit(network, X, Y[:, 0], "squared")
    with pytest.raises(ValueError, match=r"X must be 2-D .* Use X\[:, None\] for one feature"):
        train.fit(network, X[:, 0], Y, "squared")
    with pytest.raises(ValueError, match="Did you mean 'squared'"):
        train.fit(network, X, Y, "square")
    with pytest.raises(TypeError, match="network must be"):
        train.fit("network", X, Y, "squared")
    with pytest.raises(TypeError, match="decide must be a function"):
        train.fit_and_grow(network, X, Y, "squared", decide=None, growths=1)
    with pytest.raises(TypeError, match=r"must return a growth\.Plan"):
        decide = lambda *arguments: None  # noqa: E731
        train.fit_and_grow(network, X, Y, "squared", decide=decide, growths=1, steps=1)
    with pytest.raises(TypeError, match=r"got 'size'\. Options of decide are bound with"):
        train.fit_and_grow(network, X, Y, "squared", decide=s2d.decide, size=0.1)
    with pytest.raises(ValueError, match="growths must be an integer >= 0"):
        train.fit_and_grow(network, X, Y, "squared", decide=s2d.decide, growths=-1)
    with pytest.raises(TypeError, match=r"watch must be a function \(step, network, seconds\)"):
        train.fit_and_grow(network, X, Y, "squared", decide=s2d.decide, watch="loss")
    for bad in (lambda phase: 2.5, lambda phase: -1, lambda phase: None):
        with pytest.raises((TypeError, ValueError), match=r"steps\(0\) must be an integer >= 0"):
            train.fit_and_grow(network, X, Y, "squared", decide=s2d.decide, steps=bad)
    with pytest.raises(ValueError, match=r"watch_every must be an integer >= 1"):
        train.fit_and_grow(network, X, Y, "squared", decide=s2d.decide, watch_every=0)


@pytest.mark.parametrize("pair", ["gd", custom("gd")], ids=["compiled", "general"])
def test_a_start_that_is_not_finite_is_refused(pair):
    loss_overflows = networks.Shallow([[0.0, 0.0, 1e200]], [1e200], neurons.bump)
    # f = 1e150: the square is finite, the gradient 1e150 * 1e200 is not.
    gradient_overflows = networks.Shallow([[0.0, 0.0, 1e-50]], [1e200], neurons.bump)
    for network in (loss_overflows, gradient_overflows):
        with pytest.raises(ValueError, match="not finite at the network to start from"):
            train.fit(network, [[0.0]], [[1.0]], "squared", optimizer=pair, steps=3)


@pytest.mark.compiled
@pytest.mark.parametrize("family", ["bump", "ridge"])
def test_iterates_agree_after_two_thousand_steps(family, evidence):
    problem = data.rbf_teacher(rng=0) if family == "bump" else data.ridge_teacher(rng=0)
    rng = np.random.default_rng(1)
    network = networks.Shallow(rng.normal(size=(8, 3)), np.ones(8), neurons.bump)
    if family == "ridge":
        network, _ = ridge_of(network, problem.X[:, :1])
    run = partial(train.fit, network, problem.X, problem.Y, "squared", steps=2000)
    fast, slow = run(optimizer="adam")[0], run(optimizer=custom("adam"))[0]
    gap = np.abs(fast.theta - slow.theta).max()
    evidence(largest_difference=gap)
    assert gap < 1e-12
