"""growth.apply against S2D's eq 6 taken literally: the augmented network, never built, only read.

The oracle evaluates the old network layer by layer. Whoever reads a split neuron reads the sum of
its displaced copies, each times its fraction; whoever reads a pruned neuron reads zero; what new
neurons put out, and their constants, are added to the next layer's pre-activations. Moves are made
in the old matrices, before anything is read. No grown matrix is ever formed.
"""

import copy
import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from refgrow import growth, losses, neurons
from refgrow.growth import Add, Move, Plan, Prune, Split
from refgrow.networks import MLP, Shallow
from refgrow.numerics import taylor_slope

ROUNDING = 1e-12  # Relative to the size of the output: a few roundings a layer.
WRONG = 1e-6  # What the negative controls are wrong by.
ORDER = 0.1  # What DESIGN.md allows a fitted order to be off by.


def layer_outputs(value, W, edits, size, inputs, extra):
    """What the next layer reads of this one: a column an old neuron, and the new neurons' part.

    `value(theta, inputs, extra)` is one neuron at all samples, `extra` what new neurons below add
    to its pre-activation.
    """
    keep = np.prod([e.keep for e in edits if isinstance(e, Add)])
    columns = []
    for j, theta in enumerate(W):
        copies = [(1.0, 0.0 * theta)]
        for e in edits:
            if isinstance(e, Split) and e.neuron == j:
                copies = list(zip(e.fractions, e.directions, strict=True))
            if isinstance(e, Prune) and j in e.neurons:
                copies = []
        column = sum((w * value(theta + size * v, inputs, extra[:, j]) for w, v in copies),
                     start=np.zeros(len(inputs)))  # fmt: skip
        columns.append(keep * column)
    added = 0.0
    for e in edits:
        if isinstance(e, Add):
            new = [value(size * f, inputs, 0.0) for f in e.fan_in]
            added = added + np.transpose(new) @ e.fan_out.T + (0.0 if e.bias is None else e.bias)
    return np.transpose(columns), added


def moved(W, edits, layer, size):
    """A matrix of the old network after its moves."""
    return W + size * sum((e.direction for e in edits if isinstance(e, Move) and e.layer == layer),
                          start=np.zeros_like(W))  # fmt: skip


def oracle(network, plan, size, X):
    """The output (n, p) of the grown network."""
    if isinstance(network, Shallow):
        theta = moved(network.theta, plan.edits, 0, size)
        readout = moved(network.weights.reshape(len(theta), -1).T, plan.edits, 1, size)
        edits = [e for e in plan.edits if not isinstance(e, Move)]

        def value(theta, inputs, extra):
            return np.array([oracles.neuron(network.neuron.name, theta, x) for x in inputs])

        nothing = np.zeros((len(X), len(theta)))
        H, added = layer_outputs(value, theta, edits, size, X, nothing)
        return H @ readout.T + added

    def value(theta, inputs, extra):
        return oracles.ACTIVATIONS[network.activation.name](inputs @ theta + extra)

    H, added = X, np.zeros((len(X), len(network.weights[0])))
    matrices = [moved(W, plan.edits, layer, size) for layer, W in enumerate(network.weights)]
    for layer, W in enumerate(matrices[:-1]):
        here = [e for e in plan.edits if e.layer == layer]
        ones = np.column_stack([H, np.ones(len(H))])
        H, new = layer_outputs(value, W, here, size, ones, added)
        added = new + np.zeros((len(X), len(matrices[layer + 1])))
    return np.column_stack([H, np.ones(len(H))]) @ matrices[-1].T + added


def check(network, plan, size, X, grown):
    exact = oracle(network, plan, size, X)
    got = grown(X)
    assert got.shape == exact.shape
    np.testing.assert_allclose(got, exact, rtol=0, atol=ROUNDING * (1 + np.abs(exact).max()))


NETWORKS = st.one_of(
    strategies.mlps(activations=("tanh", "sine", "gelu", "gaussian"), depths=(2, 4)),
    strategies.shallow_networks(),
)


EVERY_KIND = ("split", "prune", "add", "bias", "move")


@st.composite
def edited(draw, kinds=EVERY_KIND, network=NETWORKS):
    """(network, plan, X): edits in all layers at once."""
    net = draw(network)
    X = strategies.inputs_of(net, draw(st.integers(1, 4)), draw(strategies.generators))
    return net, draw(strategies.plans_of(net, kinds)), X


@settings(max_examples=300)
@given(edited(), st.sampled_from([0.0, 0.3, -0.7]))
def test_a_grown_network_is_the_augmented_one(case, size):
    net, plan, X = case
    before = [a.copy() for a in net.arrays], pickle.dumps(plan)
    grown = growth.apply(net, plan, size)
    check(net, plan, size, X, grown)
    for a, b in zip(net.arrays, before[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert pickle.dumps(plan) == before[1]
    assert type(grown) is type(net) and grown.arrays[-1].ndim == net.arrays[-1].ndim


@settings(max_examples=60)
@given(edited())
def test_widths_are_counted(case):
    net, plan, _ = case
    expected = list(net.widths)
    for e in plan.edits:
        if isinstance(e, Split):
            expected[e.layer] += np.count_nonzero(e.fractions) - 1
        elif isinstance(e, Add):
            expected[e.layer] += len(e.fan_in)
        elif isinstance(e, Prune):
            expected[e.layer] -= len(e.neurons)
    assert growth.apply(net, plan).widths == tuple(expected)


def wrong_displacements(plan):
    return replace(plan, edits=tuple(
        replace(e, directions=e.directions + WRONG) if isinstance(e, Split) else e
        for e in plan.edits
    ))  # fmt: skip


def wrong_fractions(plan):
    return replace(plan, edits=tuple(
        replace(e, fractions=e.fractions[::-1]) if isinstance(e, Split) else e
        for e in plan.edits
    ))  # fmt: skip


def wrong_fan_outs(plan):
    return replace(plan, edits=tuple(
        replace(e, fan_out=e.fan_out + WRONG) if isinstance(e, Add) else e for e in plan.edits
    ))  # fmt: skip


def wrong_moves(plan):
    return replace(plan, edits=tuple(
        replace(e, direction=e.direction + WRONG) if isinstance(e, Move) else e for e in plan.edits
    ))  # fmt: skip


def wrong_biases(plan):
    return replace(plan, edits=tuple(
        replace(e, bias=e.bias + WRONG) if isinstance(e, Add) and e.bias is not None else e
        for e in plan.edits
    ))  # fmt: skip


def without_moves(plan):
    return replace(plan, edits=tuple(e for e in plan.edits if not isinstance(e, Move)))


def small_mlp(*widths, activation="tanh", seed=0):
    rng = np.random.default_rng(seed)
    return MLP([rng.normal(size=(b, a + 1)) for a, b in pairwise(widths)], activation)


def adjacent():
    """Splits with displacements in two neighbouring layers and in a distant one, Add and Prune,
    and moves of layers that are all edited otherwise, and of the last."""
    rng = np.random.default_rng(1)
    net = small_mlp(2, 3, 3, 3, 2, seed=1)
    edits = (
        Split(0, 1, [0.3, 0.9, -0.2], rng.normal(size=(3, 3))),
        Split(0, 2, [0.5, 0.5], rng.normal(size=(2, 3))),
        Split(1, 0, [1.5, -0.5], rng.normal(size=(2, 4))),
        Add(0, rng.normal(size=(2, 3)), rng.normal(size=(3, 2)), keep=0.8),
        Add(1, rng.normal(size=(1, 4)), rng.normal(size=(3, 1))),
        Prune(1, (2,)),
        Split(2, 2, [0.25, 0.75], rng.normal(size=(2, 4))),
        Add(1, rng.normal(size=(1, 4)), rng.normal(size=(3, 1)), bias=rng.normal(size=3)),
        Add(0, rng.normal(size=(1, 3)), rng.normal(size=(3, 1)), bias=rng.normal(size=3)),
        Move(1, rng.normal(size=(3, 4))),
        Move(0, rng.normal(size=(3, 3))),
        Move(3, rng.normal(size=(2, 4))),
        Move(1, rng.normal(size=(3, 4))),
    )
    return net, Plan(edits, 0.4, 0.0, 2, 3), rng.normal(size=(5, 2))


def test_splits_additions_and_prunings_in_neighbouring_and_distant_layers():
    net, plan, X = adjacent()
    check(net, plan, plan.size, X, growth.apply(net, plan))
    assert growth.apply(net, plan).widths == (3 + 2 + 1 + 3, 3 + 1 + 2 - 1, 3 + 1)


@pytest.mark.parametrize(
    "mistake",
    [
        wrong_displacements,
        wrong_fractions,
        wrong_fan_outs,
        wrong_moves,
        wrong_biases,
        without_moves,
    ],
)
def test_mistakes_in_an_edit_are_seen(mistake):
    net, plan, X = adjacent()
    with pytest.raises(AssertionError):
        check(net, plan, plan.size, X, growth.apply(net, mistake(plan)))


def one_after_the_other(net, plan):
    """Wrong where layers are neighbours: the second edit does not follow the first one's copies."""
    W = [w.copy() for w in net.weights]
    for e in plan.edits:
        j = e.neuron
        moved = [W[e.layer][j, : e.directions.shape[1]] + plan.size * v for v in e.directions]
        rest = W[e.layer][j, e.directions.shape[1] :]
        rows = [np.append(m, rest) for m in moved]
        column = W[e.layer + 1][:, j]
        W[e.layer] = np.vstack([np.delete(W[e.layer], j, 0), rows])
        old = np.delete(W[e.layer + 1], j, 1)
        copies = np.outer(column, e.fractions)
        W[e.layer + 1] = np.column_stack([old[:, :-1], copies, old[:, -1]])
    return MLP(W, net.activation)


def test_a_displacement_follows_the_split_of_its_input():
    # Row 0 of layer 1 moves along its weight of neuron 0, which is split at the same time.
    net, X = small_mlp(1, 2, 1, 1), np.linspace(-1, 1, 5)[:, None]
    plan = Plan(
        (Split(0, 0, [0.5, 0.5], [[1.0, 0.0], [-1.0, 0.0]]), Split(1, 0, [1.0], [[2.0, 1.0, 0.5]])),
        0.5, 0.0, 2, 3,
    )  # fmt: skip
    check(net, plan, 0.5, X, growth.apply(net, plan))
    with pytest.raises(AssertionError):
        check(net, plan, 0.5, X, one_after_the_other(net, plan))


def moves_of(plan):
    return replace(plan, edits=tuple(e for e in plan.edits if isinstance(e, Move)))


@settings(max_examples=100)
@given(edited(), st.sampled_from([0.3, -0.7]))
def test_a_plan_with_moves_is_the_moves_and_then_the_rest(case, size):
    net, plan, _ = case
    at_once = growth.apply(net, plan, size)
    after = growth.apply(growth.apply(net, moves_of(plan), size), without_moves(plan), size)
    for a, b in zip(at_once.arrays, after.arrays, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_rest_and_then_the_moves_is_something_else():
    # What the addition keeps of an old weight, it keeps of the moved one.
    net, X = small_mlp(1, 1, 1), np.linspace(-1, 1, 5)[:, None]
    split, move = Split(0, 0, [1.0], [[1.0, 0.0]]), Move(1, [[2.0, 0.0]])
    add = Add(0, [[1.0, 1.0]], [[1.0]], keep=0.5)
    plan = Plan((split, move, add), 0.5, 0.0, 1, 2)
    check(net, plan, 0.5, X, growth.apply(net, plan))
    rest = growth.apply(net, without_moves(plan))
    late = growth.apply(rest, Plan((Move(1, [[2.0, 0.0, 0.0]]),), 0.5, 0.0, 1, 2))
    with pytest.raises(AssertionError):
        check(net, plan, 0.5, X, late)


def test_a_move_by_hand():
    net = MLP([[[1.0, 2.0]], [[3.0, 4.0]]])
    edits = (
        Move(0, [[1.0, 10.0]]),
        Move(1, [[100.0, 1000.0]]),
        Split(0, 0, [0.25, 0.75], [[1.0, 0.0], [0.0, 0.0]]),
    )
    grown = growth.apply(net, Plan(edits, 2.0, 0.0, 1, 2))
    # Both copies move along with the neuron; both share the moved weight; the bias moves once.
    assert grown.weights[0].tolist() == [[5.0, 22.0], [3.0, 22.0]]
    assert grown.weights[1].tolist() == [[0.25 * 203.0, 0.75 * 203.0, 2004.0]]


@pytest.mark.parametrize("weights", [(), (1,), (3,)])
def test_the_outgoing_weights_of_a_shallow_network_move_as_a_matrix(weights):
    w = np.arange(1.0, 1.0 + 2 * np.prod(weights, dtype=int)).reshape(2, *weights)
    net = Shallow([[1.0], [2.0]], w, neurons.ridge("tanh"))
    V = np.arange(2.0 * np.prod(weights, dtype=int)).reshape(-1, 2)
    plan = Plan((Move(0, [[1.0], [-1.0]]), Move(1, V)), 0.5, 0.0, 1, 2)
    grown = growth.apply(net, plan)
    assert grown.theta.tolist() == [[1.5], [1.5]] and grown.weights.shape == w.shape
    np.testing.assert_array_equal(grown.weights, w + 0.5 * V.T.reshape(w.shape))


def test_a_linear_model_can_be_moved():
    grown = growth.apply(small_mlp(2, 1), Plan((Move(0, np.ones((1, 3))),), 2.0, 0.0, 1, 2))
    np.testing.assert_array_equal(grown.weights[0], small_mlp(2, 1).weights[0] + 2)


def test_a_bias_keeps_new_neurons_of_size_zero_from_changing_the_function():
    # softplus(0) = log 2: without the bias the network would change at size zero already.
    net, X = small_mlp(2, 3, 3, 2, activation="softplus", seed=3), np.ones((4, 2))
    fan_in, fan_out = np.ones((2, 3)), np.array([[1.0, 2.0], [0.5, 0.0], [-1.0, 1.0]])
    bias = -np.log(2.0) * fan_out.sum(axis=1)
    for add, same in ((Add(0, fan_in, fan_out, bias=bias), True), (Add(0, fan_in, fan_out), False)):
        grown = growth.apply(net, Plan((add,), 1.0, 0.0, 1, 2), 0.0)
        assert (np.abs(grown(X) - net(X)).max() < ROUNDING) == same
    # The bias is not multiplied by the size, the fan-in is.
    add = Add(0, fan_in, fan_out, bias=bias)
    for size in (0.0, 3.0):
        grown = growth.apply(net, Plan((add,), size, 0.0, 1, 2))
        np.testing.assert_array_equal(grown.weights[1][:, -1], net.weights[1][:, -1] + bias)
        np.testing.assert_array_equal(grown.weights[0][3:], size * fan_in)


def test_new_neurons_of_the_next_layer_do_not_get_the_bias():
    net, X = small_mlp(1, 2, 2, 1), np.linspace(-1, 1, 4)[:, None]
    below = Add(0, [[0.3, 0.1]], [[1.0], [2.0]], bias=[5.0, 6.0])
    above = Add(1, [[0.1, 0.2, 0.7]], [[1.0]])
    plan = Plan((below, above, Split(1, 1, [0.5, 0.5], np.zeros((2, 3)))), 1.0, 0.0, 1, 2)
    check(net, plan, 1.0, X, growth.apply(net, plan))
    grown, old = growth.apply(net, plan).weights[1][:, -1], net.weights[1][:, -1]
    np.testing.assert_array_equal(grown, [old[0] + 5, old[1] + 6, old[1] + 6, 0.7])


@pytest.mark.parametrize("weights", [(), (1,), (3,)])
def test_a_split_by_hand(weights):
    w = np.arange(1.0, 1.0 + 2 * np.prod(weights, dtype=int)).reshape(2, *weights)
    net = Shallow([[1.0], [2.0]], w, neurons.ridge("tanh"))
    split = Split(0, 0, [0.25, 0.0, 0.75], [[1.0], [9.0], [-1.0]])
    grown = growth.apply(net, Plan((split,), 0.5, 0.0, 2, 3))
    # The first copy in its place, the other behind; the copy of fraction zero is gone.
    assert grown.theta.tolist() == [[1.5], [2.0], [0.5]]
    np.testing.assert_array_equal(grown.weights, [0.25 * w[0], w[1], 0.75 * w[0]])


def test_an_addition_by_hand():
    net = MLP([[[1.0, 2.0]], [[3.0, 4.0]]])
    add = Add(0, [[5.0, 6.0]], [[7.0]], keep=0.5)
    grown = growth.apply(net, Plan((add,), 2.0, 0.0, 1, 2))
    # The size multiplies the fan-in alone; `keep` the old neurons' weights and not the bias.
    assert grown.weights[0].tolist() == [[1.0, 2.0], [10.0, 12.0]]
    assert grown.weights[1].tolist() == [[1.5, 7.0, 4.0]]


def test_a_pruning_by_hand():
    net = Shallow([[1.0], [2.0], [3.0]], [4.0, 5.0, 6.0], neurons.ridge("tanh"))
    grown = growth.apply(net, Plan((Prune(0, (0, 2)),), 1.0, 0.0, 0, 1))
    assert grown.theta.tolist() == [[2.0]] and grown.weights.tolist() == [5.0]


@pytest.mark.statement("S2D-Eq-1")
@settings(max_examples=100)
@given(case=edited(kinds=("split",)))
def test_splits_of_size_zero_leave_the_function_as_it_was(case, evidence):
    net, plan, X = case
    before, after = net(X), growth.apply(net, plan, 0.0)(X)
    evidence.worst("change of the function", np.abs(after - before).max())
    np.testing.assert_allclose(after, before, rtol=0, atol=ROUNDING * (1 + np.abs(before).max()))


@pytest.mark.statement("S2D-Eq-1")
def test_fractions_that_do_not_sum_to_one_would_change_the_function():
    net, X = small_mlp(2, 2, 1), np.ones((1, 2))
    split = Split(0, 0, [0.5, 0.5], np.zeros((2, 3)))
    object.__setattr__(split, "fractions", np.array([0.5, 0.6]))  # past the check
    after = growth.apply(net, Plan((split,), 0.0, 0.0, 2, 3))(X)
    assert np.abs(after - net(X)).max() > ROUNDING


@settings(max_examples=60)
@given(edited(), st.randoms(use_true_random=False))
def test_the_order_of_the_edits_is_irrelevant(case, random):
    net, plan, X = case
    shuffled = list(plan.edits)
    random.shuffle(shuffled)
    a, b = growth.apply(net, plan)(X), growth.apply(net, replace(plan, edits=tuple(shuffled)))(X)
    np.testing.assert_allclose(a, b, rtol=0, atol=ROUNDING * (1 + np.abs(a).max()))


def test_indices_of_neurons_that_stay_remain_what_they_were():
    net, plan, _ = adjacent()
    splits = replace(plan, edits=tuple(e for e in plan.edits if isinstance(e, Split)))
    grown = growth.apply(net, splits)
    for j in range(3):
        copy = next((e for e in splits.edits if (e.layer, e.neuron) == (0, j)), None)
        shift = 0 if copy is None else splits.size * copy.directions[0]
        np.testing.assert_allclose(grown.weights[0][j], net.weights[0][j] + shift, rtol=1e-15)


def test_an_empty_plan_returns_an_equal_network():
    net, _, _ = adjacent()
    grown = growth.apply(net, Plan((), 0.1, 0.0, 2, 4))
    for a, b in zip(grown.arrays, net.arrays, strict=True):
        np.testing.assert_array_equal(a, b)
    assert Plan((), 0.1, 0.0, 2, 4).predicted() == 0


def test_a_pruned_neuron_and_one_of_weight_zero_are_the_same():
    net, _, X = adjacent()
    W = [w.copy() for w in net.weights]
    W[1][:, 1] = 0.0
    pruned = growth.apply(net, Plan((Prune(0, (1,)),), 1.0, 0.0, 0, 1))
    np.testing.assert_allclose(pruned(X), MLP(W)(X), atol=ROUNDING)


def test_two_additions_to_one_layer_multiply_what_they_keep():
    net, X = small_mlp(1, 2, 1), np.linspace(-1, 1, 4)[:, None]
    adds = tuple(Add(0, [[1.0, s]], [[0.3]], keep=0.5) for s in (0.2, 0.4))
    plan = Plan(adds, 1.0, 0.0, 0, 1)
    check(net, plan, 1.0, X, growth.apply(net, plan))
    assert growth.apply(net, plan).weights[1][0, 0] == 0.25 * net.weights[1][0, 0]


# The orders a plan promises, on coefficients found without any splitting matrix: a difference
# quotient of the loss under the same edits, by Cauchy's integral over the size.


def loss_after(net, plan, X, Y, size):
    grown = oracle(net, plan, size, X)
    return oracles.losses("squared", grown, Y).mean()


def promised(net, edits, X, Y, order, remainder):
    draft = Plan(edits, 0.1, 0.0, order, remainder)
    coefficient = oracles.circle(lambda s: loss_after(net, draft, X, Y, s), order, 0.05) / order
    return replace(draft, coefficient=coefficient)


def check_order(net, plan, X, Y):
    before = losses.squared.value(net(X), Y)

    def remainder(size):
        after = losses.squared.value(growth.apply(net, plan, size)(X), Y)
        return after - before - plan.predicted(size)

    slope = taylor_slope(remainder, scale=max(before, 1.0))
    assert slope.halvings >= 4
    assert slope.order == pytest.approx(plan.remainder, abs=ORDER)


def cases_of_order():
    rng = np.random.default_rng(7)
    net, X = small_mlp(2, 3, 3, 2, seed=7), rng.normal(size=(6, 2))
    v, w = rng.normal(size=3), rng.normal(size=4)
    symmetric = (Split(0, 1, [0.5, 0.5], [v, -v]), Split(1, 0, [0.5, 0.5], [w, -w]))
    zero_mean = (Split(0, 1, [0.2, 0.8], [4 * v, -v]),)
    signed = (Split(0, 1, [2.0, -1.0], [v, 2 * v]), Split(1, 2, [1.0], [0 * w]))
    add = (Add(0, rng.normal(size=(1, 3)), rng.normal(size=(3, 1))),)
    move = (Move(0, rng.normal(size=(3, 3))), Move(2, rng.normal(size=(2, 4))))
    return net, X, rng.normal(size=(6, 2)), {
        "symmetric": (symmetric, 2, 4),
        "zero mean": (zero_mean, 2, 3),
        "signed": (signed, 2, 3),
        "added": (add, 1, 2),
        "moved": (move, 1, 2),
        "moved and added": (move + add, 1, 2),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["symmetric", "zero mean", "signed", "added", "moved", "moved and added"]
)
def test_plans_hold_at_the_order_they_promise(name):
    net, X, Y, cases = cases_of_order()
    edits, order, remainder = cases[name]
    plan = promised(net, edits, X, Y, order, remainder)
    check_order(net, plan, X, Y)
    for wrong in (
        replace(plan, coefficient=plan.coefficient * (1 + 1e-3)),
        replace(plan, remainder=remainder + 1),
        replace(plan, edits=(*plan.edits, Prune(0, (0,)))),
    ):
        with pytest.raises(AssertionError):
            check_order(net, wrong, X, Y)


def test_a_plan_predicts_at_its_own_size_or_another():
    plan = Plan((), 0.1, -3.0, 2, 4)
    assert plan.predicted() == pytest.approx(-0.03) and plan.predicted(2) == -12.0
    # Order 0: not infinitesimal, so nothing is known of other sizes.
    assert Plan((), 0.1, -3.0, 0, 1).predicted() == -3.0
    with pytest.raises(ValueError, match=r"predicts the change at its own size 0\.1 only; got 5"):
        Plan((), 0.1, -3.0, 0, 1).predicted(5.0)
    with pytest.raises(ValueError, match="size must be a finite number; got nan"):
        plan.predicted(np.nan)


def test_every_kind_of_array_makes_the_same_edit_and_is_left_alone():
    net, _, X = adjacent()
    fractions, directions = np.array([3.0, -2.0]), np.arange(6.0).reshape(2, 3)
    fan_out = np.arange(3.0)[:, None]
    expected = None
    for form in (
        np.array,
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a.astype(np.float32),
        lambda a: a.astype(int),
        lambda a: np.broadcast_to(a, a.shape),  # read-only
        np.ndarray.tolist,
    ):
        given = [form(a) for a in (fractions, directions, directions[:1], fan_out)]
        bias, move = form(fan_out[:, 0]), form(np.arange(9.0).reshape(3, 3))
        edits = (Split(0, 0, *given[:2]), Add(0, *given[2:], bias=bias), Prune(1, np.array([2])),
                 Move(0, move))  # fmt: skip
        output = growth.apply(net, Plan(edits, 0.5, 0.0, 2, 3))(X)
        expected = output if expected is None else expected
        np.testing.assert_array_equal(output, expected)
        for a, b in zip(given, (fractions, directions, directions[:1], fan_out), strict=True):
            np.testing.assert_array_equal(a, b)


def test_records_keep_read_only_copies():
    fractions, directions = np.array([0.5, 0.5]), np.ones((2, 3))
    split = Split(np.int64(0), 0, fractions, directions)
    add = Add(0, directions, np.ones((1, 2)), bias=fractions[:1])
    move = Move(np.int64(1), directions)
    fractions[:] = directions[:] = 7.0
    assert split.fractions.tolist() == [0.5, 0.5] and (split.directions == 1).all()
    assert (add.fan_in == 1).all() and add.bias.tolist() == [0.5] and (move.direction == 1).all()
    assert Add(0, directions, np.ones((1, 2))).bias is None
    for one in (split, add, move, *(copy.deepcopy(e) for e in (split, add, move))):
        for array in (a for a in vars(one).values() if isinstance(a, np.ndarray)):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
    assert Prune(0, [np.int64(1), 2]).neurons == (1, 2)
    assert Plan([split], 1, 0, 2, 3).edits == (split,)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Split(0, 0, [0.5, 0.6], np.ones((2, 3))),
         "ValueError: fractions must sum to 1, or the split would change the function; "
         "got a sum of 1.1."),
        (lambda: Split(0, 0, [0.5, 0.5], np.ones((3, 3))),
         "ValueError: directions must have shape (2, d); got shape (3, 3), where axis 0 should be "
         "2. One row a copy."),
        (lambda: Split(0, 0, [[1.0]], np.ones((1, 3))),
         "ValueError: fractions must be 1-D with shape (k,); got shape (1, 1)."),
        (lambda: Split(0, 0, [1.0], [[np.nan]]),
         "ValueError: directions must be finite; got nan at index (0, 0)."),
        (lambda: Split(-1, 0, [1.0], [[1.0]]),
         "ValueError: layer must be an integer >= 0; got -1."),
        (lambda: Split(0, 1.0, [1.0], [[1.0]]),
         "TypeError: neuron must be an integer >= 0; got 1.0."),
        (lambda: Add(0, np.ones(3), np.ones((1, 1))),
         "ValueError: fan_in must be 2-D with shape (k, d); got shape (3,). "
         "Use fan_in[None] for one new neuron."),
        (lambda: Add(0, np.ones((2, 3)), np.ones((2, 1))),
         "ValueError: fan_out must have shape (p, 2); got shape (2, 1), where axis 1 should be 2. "
         "One column a new neuron."),
        (lambda: Add(0, np.ones((1, 3)), np.ones((1, 1)), keep=np.inf),
         "ValueError: keep must be a finite number; got inf."),
        (lambda: Add(0, np.ones((1, 3)), np.ones((2, 1)), bias=np.ones(3)),
         "ValueError: bias must have shape (2,); got shape (3,), where axis 0 should be 2. "
         "One entry for each row of fan_out."),
        (lambda: Add(0, np.ones((1, 3)), np.ones((1, 1)), bias=[np.nan]),
         "ValueError: bias must be finite; got nan at index 0."),
        (lambda: Move(0, np.ones(3)),
         "ValueError: direction must be 2-D with shape (out, in); got shape (3,). "
         "Use direction[None] for one row."),
        (lambda: Move(0, [[np.inf]]),
         "ValueError: direction must be finite; got inf at index (0, 0)."),
        (lambda: Move(1.0, [[1.0]]), "TypeError: layer must be an integer >= 0; got 1.0."),
        (lambda: Prune(0, 3), "TypeError: neurons must be a tuple of integers; got 3."),
        (lambda: Prune(0, "01"), "TypeError: neurons must be a tuple of integers; got '01'."),
        (lambda: Prune(0, (1.5,)), "TypeError: neurons[0] must be an integer >= 0; got 1.5."),
        (lambda: Prune(0, (0, -1)), "ValueError: neurons[1] must be an integer >= 0; got -1."),
        (lambda: Plan(Prune(0, (0,)), 1.0, 0.0, 2, 3),
         "TypeError: edits must be a tuple of Split, Add, Prune and Move; got Prune."),
        (lambda: Plan(("split",), 1.0, 0.0, 2, 3),
         "TypeError: edits must be Split, Add, Prune or Move; got str."),
        (lambda: Plan((), "1", 0.0, 2, 3), "TypeError: size must be a number; got '1'."),
        (lambda: Plan((), 1.0, np.nan, 2, 3),
         "ValueError: coefficient must be a finite number; got nan."),
        (lambda: Plan((), 1.0, 0.0, 2.0, 3), "TypeError: order must be an integer >= 0; got 2.0."),
        (lambda: Plan((), 1.0, 0.0, 2, 2), "ValueError: remainder must be an integer >= 3; got 2."),
    ],
)  # fmt: skip
def test_edits_and_plans_that_make_no_sense(build, message):
    with pytest.raises((TypeError, ValueError)) as error:
        build()
    assert f"{error.type.__name__}: {error.value}" == message


def test_thirds_are_fractions():
    Split(0, 0, [1 / 3] * 3, np.zeros((3, 1)))
    Split(0, 0, [1e6, -1e6, 1.0 + 1e-12], np.zeros((3, 1)))  # rounding of the large ones


NET = small_mlp(2, 3, 4, 1)
SHALLOW = Shallow(np.ones((3, 2)), np.ones(3), neurons.ridge("tanh"))


@pytest.mark.parametrize(
    "net, edits, message",
    [
        (NET, (Split(2, 0, [1.0], np.ones((1, 5))),),
         "layer must be below 2, the number of hidden layers of the network; got 2."),
        (SHALLOW, (Prune(1, (0,)),),
         "layer must be below 1, the number of hidden layers of the network; got 1."),
        (small_mlp(2, 1), (Prune(0, (0,)),),
         "layer must be below 0, the number of hidden layers of the network; got 0."),
        (NET, (Split(1, 4, [1.0], np.ones((1, 4))),),
         "neuron must be below 4, the width of layer 1; got 4."),
        (NET, (Prune(0, (3,)),), "neuron must be below 3, the width of layer 0; got 3."),
        (NET, (Split(1, 0, [1.0], np.ones((1, 3))),),
         "directions must have shape (k, 4) to fit the network; got (1, 3)."),
        (SHALLOW, (Split(0, 0, [1.0], np.ones((1, 3))),),
         "directions must have shape (k, 2) to fit the network; got (1, 3)."),
        (NET, (Add(0, np.ones((2, 4)), np.ones((4, 2))),),
         "fan_in must have shape (k, 3) to fit the network; got (2, 4)."),
        (NET, (Add(0, np.ones((2, 3)), np.ones((1, 2))),),
         "fan_out must have shape (4, k) to fit the network; got (1, 2)."),
        (SHALLOW, (Add(0, np.ones((1, 2)), np.ones((2, 1))),),
         "fan_out must have shape (1, k) to fit the network; got (2, 1)."),
        (SHALLOW, (Add(0, np.ones((1, 2)), np.ones((1, 1)), bias=[0.0]),),
         "bias must be None for a Shallow network, whose output has none to add to."),
        (NET, (Move(3, np.ones((1, 5))),),
         "layer must be below 3, the number of the network's matrices; got 3."),
        (SHALLOW, (Move(2, np.ones((1, 3))),),
         "layer must be below 2, the number of the network's matrices; got 2."),
        (NET, (Move(2, np.ones((1, 4))),),
         "direction must have shape (1, 5) to fit the network; got (1, 4)."),
        (SHALLOW, (Move(1, np.ones((3, 1))),),
         "direction must have shape (1, 3) to fit the network; got (3, 1)."),
        (NET, (Split(0, 0, [1.0], np.ones((1, 3))), Split(0, 0, [1.0], np.ones((1, 3)))),
         "neuron 0 of layer 0 is named twice; a plan may split or prune it once."),
        (NET, (Split(0, 0, [1.0], np.ones((1, 3))), Prune(0, (0,))),
         "neuron 0 of layer 0 is named twice; a plan may split or prune it once."),
        (NET, (Prune(0, (1, 1)),),
         "neuron 1 of layer 0 is named twice; a plan may split or prune it once."),
        (NET, (Prune(0, (0, 1)), Prune(0, (2,))),
         "at least one neuron of layer 0 must stay; all are pruned."),
    ],
)  # fmt: skip
def test_plans_that_do_not_fit_the_network(net, edits, message):
    with pytest.raises(ValueError) as error:
        growth.apply(net, Plan(edits, 0.1, 0.0, 2, 3))
    assert str(error.value) == message


def test_only_networks_are_grown_and_only_by_plans():
    plan = Plan((), 0.1, 0.0, 2, 3)
    with pytest.raises(TypeError, match=r"network must be a networks.Shallow or .*; got list"):
        growth.apply([np.ones((1, 2))], plan)
    with pytest.raises(TypeError, match=r"plan must be a growth.Plan; got tuple"):
        growth.apply(NET, ())
    with pytest.raises(ValueError, match="size must be a finite number; got inf"):
        growth.apply(NET, plan, np.inf)
