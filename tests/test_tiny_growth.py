"""TINY section 4 and appendix C: the loop that grows a network while it trains."""

from itertools import count, pairwise

import numpy as np
import pytest

from refgrow import (
    baselines,
    growth,
    losses,
    networks,
    neurons,
    tiny,
    tiny_greedy,
    tiny_growth,
    train,
)

INPUTS, CLASSES = 12, 4
LOSS = "softmax_cross_entropy"
FAST = {"steps": 5, "learning_rate": 3e-3, "batch_size": 20, "first": 40}
ROUNDING = 1e-12  # sums in another order


def problem(n=300, seed=0):
    """Classes that no linear function tells apart."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, INPUTS))
    Y = 2 * (X[:, 0] * X[:, 1] > 0) + (X[:, 2] ** 2 > 0.5)
    return X, Y


def start(widths=(1, 1), seed=0, activation="selu"):
    rng = np.random.default_rng(seed)
    sizes = (INPUTS, *widths, CLASSES)
    weights = [
        np.column_stack([rng.normal(scale=(2 / a) ** 0.5, size=(b, a)), np.zeros(b)])
        for a, b in pairwise(sizes)
    ]
    return networks.MLP(weights, activation)


def grown(widths=(1, 1), rounds=3, rng=0, network=None, **options):
    network = start(widths) if network is None else network
    return tiny_growth.grow(network, *problem(), LOSS, rounds=rounds, rng=rng, **FAST | options)


def value(network, X, Y):
    return float(losses.get(LOSS).samples(network(X), Y).mean())


def same(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one.arrays, two.arrays, strict=True))


@pytest.mark.compiled
@pytest.mark.statement("TINY-arch", "TINY-Eq-6")
@pytest.mark.parametrize("old_weights", ["sequential", "joint", "fixed"])
def test_widths_grow_by_the_rank_and_every_update_lowers_the_loss(evidence, old_weights):
    network, record = grown((2, 2), rounds=3, old_weights=old_weights, estimation="all")
    evidence(widths=record.widths.tolist(), after=record.after.tolist())
    ranks = tiny_greedy.final_widths(3, start=(2, 2), inputs=INPUTS, outputs=CLASSES, count="rank")
    added = np.array([[len(lam) for lam in row] for row in record.strengths])
    np.testing.assert_array_equal(np.diff(record.widths, axis=0), added)
    assert network.widths == tuple(record.widths[-1])
    passed_over = added == 0
    assert (record.after[~passed_over] < record.before[~passed_over]).all()
    assert (record.after <= record.before).all()  # old weights may move alone
    if old_weights != "sequential":
        np.testing.assert_array_equal(record.after[passed_over], record.before[passed_over])
    if not passed_over.any() and old_weights == "sequential":
        np.testing.assert_array_equal(record.widths, ranks.widths)
    assert record.success and record.status == 1 and record.after[-1, -1] < record.before[0, 0]


@pytest.mark.compiled
def test_it_is_fit_and_decide_in_turn():
    """By hand: the same minibatches, the same samples, the same plans."""
    (X, Y), network, rng = problem(), start((2, 3)), np.random.default_rng(5)
    widths, drawn = [network.widths], []
    for number in range(3):
        network, _ = train.fit(network, X, Y, LOSS, steps=5, learning_rate=3e-3, batch_size=20,
                               rng=rng)  # fmt: skip
        if number == 2:
            break
        sizes = tiny_greedy.batch_schedule(widths, inputs=INPUTS, outputs=CLASSES, start=40,
                                           limit=150)[-1].astype(int)  # fmt: skip
        for layer in range(2):
            rows = np.sort(rng.permutation(len(X))[: sizes[layer]])
            drawn.append(len(rows))
            plan = tiny.decide(network, X[rows], Y[rows], LOSS, layer=layer, most=2, cutoff=0.02,
                               line_search=True, size=1.0)  # fmt: skip
            network = growth.apply(network, plan) if plan.edits else network
        widths.append(network.widths)
    options = {"most": 2, "cutoff": 0.02, "limit": 150, "rng": np.random.default_rng(5)}
    found, record = grown((2, 3), rounds=2, **options)
    assert same(found, network) and record.drawn.ravel().tolist() == drawn
    # Negative control: another cutoff is another network.
    other, _ = grown((2, 3), rounds=2, **options | {"cutoff": None, "rng": 5})
    assert not same(found, other)


@pytest.mark.compiled
def test_estimates_follow_the_rule_up_to_all_samples():
    printed = grown(limit=200)[1]
    expected = tiny_greedy.batch_schedule(printed.widths[:-1], inputs=INPUTS, outputs=CLASSES,
                                          start=40, limit=200)  # fmt: skip
    np.testing.assert_array_equal(printed.drawn, expected.astype(int))
    assert printed.drawn[0].tolist() == [40, 40] and printed.drawn[-1].max() == 200
    assert (grown(estimation="all", rounds=1)[1].drawn == 300).all()
    assert (grown(first=10**6, rounds=1)[1].drawn == 300).all()
    assert grown(estimation="proportional")[1].drawn[-1].max() < printed.drawn[-1].max()


@pytest.mark.compiled
def test_the_seed_decides_everything_and_a_run_can_be_continued():
    network, record = grown(rng=3)
    assert same(network, grown(rng=3)[0]) and not same(network, grown(rng=4)[0])
    assert not same(network, grown(rng=3, estimation_rng=1)[0])
    rng = np.random.default_rng(3)
    half, first = grown(rounds=2, rng=rng, steps=lambda phase: 0 if phase == 2 else 5)
    whole, rest = grown(rounds=1, rng=rng, network=half, earlier=first)
    assert same(whole, network)
    np.testing.assert_array_equal(rest.widths, record.widths)
    np.testing.assert_array_equal(np.vstack([first.drawn, rest.drawn]), record.drawn)
    # Negative control: without the record the estimates start small again.
    assert not np.array_equal(grown(rounds=1, network=half)[1].drawn, rest.drawn)


@pytest.mark.compiled
def test_the_record_says_what_happened():
    X, Y = problem()
    ticks, looks = count(), []
    steps = [4, 0, 7]
    network, record = grown(rounds=2, steps=steps.__getitem__, map_bottlenecks=True,
                            watch=lambda *seen: looks.append(seen), watch_every=2,
                            clock=lambda: float(next(ticks)))  # fmt: skip
    assert record.nit == 11 and len(record.loss) == 11 + 3
    assert record.loss[-1] == pytest.approx(value(network, X, Y), rel=ROUNDING)
    assert [step for step, *_ in looks] == [0, 2, 4, 4, 4, 6, 8, 10, 11]
    assert [net.widths for _, net, _ in looks][3:5] == [tuple(w) for w in record.widths[1:]]
    seconds = [second for *_, second in looks]
    assert (np.diff(seconds) > 0).all()
    assert len(record.training) == 3 and len(record.deciding) == 2
    assert (
        sum(record.training) + sum(record.deciding) == seconds[-1] + 1
    )  # the last look to the end
    assert len(record.bottlenecks) == 3 and len(record.bottlenecks[0]) == 3
    assert all(b.desired > 0 for row in record.bottlenecks for b in row)
    assert (record.desired > 0).all()


@pytest.mark.compiled
def test_a_layer_with_nothing_to_add_is_passed_over():
    network, record = grown((3, 3), threshold=1e6, steps=0)
    assert same(network, start((3, 3))) and record.success
    assert (record.widths == 3).all() and all(not len(s) for row in record.strengths for s in row)


@pytest.mark.compiled
def test_layers_may_be_extended_by_other_means():
    asked = []

    def extend(network, X, Y, layer, rng):
        asked.append((len(X), layer))
        plan = baselines.random_neurons(network, X, Y, LOSS, layer=layer, k=2, rng=rng)
        return growth.apply(network, plan, 0.01), plan

    _, record = grown(rounds=2, extend=extend)
    assert record.widths.tolist() == [[1, 1], [3, 3], [5, 5]]
    assert asked == [(n, layer) for row in record.drawn.tolist() for layer, n in enumerate(row)]
    capped, _ = grown(rounds=2, most=lambda network, layer: 1)
    assert capped.widths == (3, 3)


@pytest.mark.compiled
def test_a_run_that_diverges_keeps_the_last_finite_network():
    # Weights of 1e80 a step: their products overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        network, record = grown((3, 3), rounds=5, learning_rate=1e120, optimizer="gd")
    assert not record.success and record.status == 2 and "diverged" in record.message
    assert all(np.isfinite(a).all() for a in network.arrays)
    assert len(record.deciding) < 5 and len(record.after) < 5
    assert grown((3, 3), rounds=1)[1].success  # Negative control.


@pytest.mark.compiled
@pytest.mark.parametrize("broken", [0, 1])
def test_a_round_that_is_broken_off_leaves_the_network_that_it_began_with(broken):
    """Weights that are finite, as is the output, but not the derivatives of the next layer."""
    X = np.random.default_rng(0).normal(size=(100, INPUTS))
    Y = np.random.default_rng(1).normal(size=(100, CLASSES))
    rounds = [0]

    def extend(network, X, Y, layer, rng):
        if layer == 1:
            rounds[0] += 1
            return network, growth.Plan((), 1.0, 0.0, 1, 2)
        size = 1e160 if rounds[0] == broken else 1e-3
        fan_in, fan_out = np.full((1, INPUTS + 1), size), np.full((2, 1), size)
        plan = growth.Plan((growth.Add(0, fan_in, fan_out),), 1.0, 0.0, 1, 2)
        return growth.apply(network, plan), plan

    with np.errstate(over="ignore", invalid="ignore"):
        network, record = tiny_growth.grow(start((1, 2)), X, Y, "squared", rounds=3, steps=0,
                                           batch_size=None, extend=extend)  # fmt: skip
    assert record.status == 2 and record.widths.tolist() == [[1 + k, 2] for k in range(broken + 1)]
    assert network.widths == tuple(record.widths[-1])
    assert len(record.deciding) == len(record.after) == len(record.strengths) == broken
    assert np.isfinite(network(X)).all()


@pytest.mark.compiled
@pytest.mark.parametrize("layer", [0, 1])
def test_desired_is_of_the_layer_that_reads_the_new_neurons(layer):
    seen = []

    def extend(network, X, Y, layer, rng):
        squares = [(V**2).sum() / len(V) for V in tiny.desired_updates(network, X, Y, LOSS)]
        seen.append(squares)
        plan = baselines.random_neurons(network, X, Y, LOSS, layer=layer, k=2, rng=rng)
        return growth.apply(network, plan, 0.01), plan

    _, record = grown((3, 2), rounds=2, extend=extend)
    found = record.desired[:, layer]
    expected = np.array(seen)[layer::2]
    np.testing.assert_allclose(found, expected[:, layer + 1], rtol=ROUNDING)
    # Negative control: of the layer that grows.
    assert not np.isclose(found, expected[:, layer], rtol=0.01).any()


@pytest.mark.compiled
@pytest.mark.statement("TINY-cutoff-new")
def test_many_rounds_need_a_cutoff():
    """What the print leaves out: exact solutions end in large weights."""
    options = {"rounds": 9, "estimation": "all", "steps": 20, "learning_rate": 1e-3}
    exact, cut = (grown(cutoff=cutoff, **options) for cutoff in (None, tiny_growth.STABLE))
    norms = [max(np.linalg.norm(W) for W in network.arrays) for network, _ in (exact, cut)]
    # By K-updates alone both go down ...
    for _, record in (exact, cut):
        assert (record.after <= record.before).all()
    assert norms[0] > 100 * norms[1]
    # ... but what training makes of it in between is another matter.
    lost = [(record.before[1:, 0] - record.after[:-1, -1]).max() for _, record in (exact, cut)]
    assert lost[0] > 10 * max(lost[1], 0.01)


def test_strengths_of_no_neurons_are_none():
    X, Y = problem()
    net = start((3, 4))
    assert tiny_growth.strengths(net, growth.Plan((), 1.0, 0.0, 1, 2), X).size == 0
    V = tiny.desired_updates(net, X, Y, LOSS)[1]
    plan = tiny.decide(net, X, Y, LOSS, layer=0, old_weights="fixed")
    found = tiny_growth.strengths(net, plan, X)
    expected = tiny.best_neurons(net.forward(X).inputs[0], V, len(found)).strengths
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_strengths_are_of_this_network_and_of_one_layer():
    X, Y = problem()
    net = start((3, 4))
    plan = tiny.decide(net, X, Y, LOSS, layer=1)
    for other in (start((3,)), start((2, 4)), start((3, 5))):
        with pytest.raises(ValueError, match="must"):
            tiny_growth.strengths(other, plan, X)
    with pytest.raises(ValueError, match="one addition, or none; got 2"):
        tiny_growth.strengths(net, tiny.decide(net, X, Y, LOSS), X)
    with pytest.raises(TypeError, match=r"plan must be a growth\.Plan"):
        tiny_growth.strengths(net, None, X)
    shallow = networks.Shallow(np.ones((2, INPUTS)), np.ones(2), neurons.ridge("tanh"))
    with pytest.raises(TypeError, match="network must be an MLP"):
        tiny_growth.strengths(shallow, plan, X)
    assert len(tiny_growth.strengths(net, plan, X)) == 3  # Negative control.


@pytest.mark.parametrize("watch", [None, lambda *_: None])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"watch_every": 0}, "watch_every must"),
        ({"watch_every": 1.5}, "watch_every must"),
        ({"steps": lambda phase: 5 if phase < 2 else 0.5}, r"steps\(2\) must be an integer"),
        ({"steps": lambda phase: 1 - phase}, r"steps\(2\) must be an integer >= 0"),
        ({"steps": lambda phase: None}, r"steps\(0\) must"),
        ({"steps": 2.5}, "steps must"),
    ],
)
def test_no_training_is_lost_to_a_wrong_option(monkeypatch, watch, options, message):
    """Not even the first phase begins."""

    def fit(*args, **options):
        raise AssertionError("trained")

    monkeypatch.setattr(train, "fit", fit)
    with pytest.raises((ValueError, TypeError), match=message):
        grown(rounds=2, watch=watch, **options)
    with pytest.raises(AssertionError, match="trained"):  # Negative control.
        grown(rounds=2, watch=watch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": -1}, "rounds must"),
        ({"limit": 0}, "limit must"),
        ({"first": 0}, "first must"),
        ({"estimation": "print"}, "printed"),
        ({"cutoff": 2}, "cutoff must"),
        ({"old_weights": "moved"}, "old_weights"),
        ({"steps": -1}, "steps must"),
        ({"network": networks.MLP([np.ones((4, 13))], "selu")}, "hidden layer"),
        ({"network": start(activation="quadratic")}, "flat"),
        ({"threshold": -1.0}, "threshold must"),
        ({"most": 0}, "most must"),
        ({"map_bottlenecks": "yes"}, "map_bottlenecks must"),
        ({"earlier": 3}, "earlier must be a Growth"),
        ({"clock": 3}, "clock must"),
        ({"watch": 3}, "watch must"),
        ({"extend": 3}, "extend must"),
    ],
)
@pytest.mark.parametrize("rounds", [0, 1])
def test_refusals(options, message, rounds):
    with pytest.raises((ValueError, TypeError), match=message):
        grown(**{"rounds": rounds, "steps": 0} | options)


def test_options_are_looked_at_whoever_extends():
    def extend(network, X, Y, layer, rng):
        return network, growth.Plan((), 1.0, 0.0, 1, 2)

    for options in ({"cutoff": 2}, {"old_weights": "moved"}, {"threshold": -1.0}, {"most": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            grown(extend=extend, steps=0, **options)


@pytest.mark.compiled
def test_an_earlier_record_of_another_network_is_refused():
    _, earlier = grown(rounds=1, steps=0)
    with pytest.raises(ValueError, match="ends with"):
        grown(earlier=earlier, network=start((30, 2)), steps=0)


@pytest.mark.compiled
def test_bottlenecks_are_estimated_on_as_many_samples_as_the_widest_layer(monkeypatch):
    seen, map_of = [], tiny.bottlenecks

    def looked(network, X, Y, loss):
        seen.append(len(X))
        return map_of(network, X, Y, loss)

    monkeypatch.setattr(tiny, "bottlenecks", looked)
    record = grown((1, 6), rounds=2, map_bottlenecks=True, estimation="proportional")[1]
    assert seen[:2] == record.drawn.max(axis=1).tolist() and len(seen) == 3
    assert seen[1] > record.drawn[1].min()  # Negative control: the layers differ.
