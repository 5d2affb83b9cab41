"""TINY, sections 3.2 and 3.3: what `decide` predicts is what then happens.

The predicted first order is held against slopes for every loss and every activation that is not
flat at zero, in every hidden layer, with and without the move of the old weights; the paper's own
predictions are the negative controls.
"""

from dataclasses import replace
from itertools import pairwise

import laws
import numpy as np
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from refgrow import _chain, activations, growth, losses, networks, neurons, tiny

STEEP = ("identity", "tanh", "sigmoid", "softplus", "sine", "gelu", "relu", "selu")
KINKED = ("relu", "selu")
LOSSES = {"squared": 2, "softmax_cross_entropy": 3, "logistic": 1, "exponential": 1}
OLD_WEIGHTS = ("sequential", "joint", "fixed")
STARTS = (1e-2, 1.0, 1e-5)  # first sizes of a slope


def problem(activation, loss, seed=6, depth=2, n=25):
    """Seed 6: nothing saturates, nothing overflows, and no layer is nearly linear."""
    rng = np.random.default_rng(seed)
    p = LOSSES[loss]
    widths = (3, 4, 3)[: depth + 1]
    bent = 3.0 if activation == "sigmoid" else 1.2  # as far from linear as tanh
    weights = [bent * rng.normal(size=(b, a + 1)) for a, b in pairwise(widths)]
    weights.append(rng.normal(size=(p, widths[depth] + 1)))
    X = rng.normal(size=(n, 3))
    Y = strategies.targets_of(loss, n, p, rng)
    return networks.MLP(weights, activation), X, Y, loss


def deciding(**options):
    return lambda *case: tiny.decide(*case, **options)


def plan_and_slope(case, coefficient=None, scale=1.0, **options):
    """The plan, and the slope of its remainder with its own or another coefficient.

    Small changes drown in rounding at small sizes, and at large ones exp overflows, and the huge
    fan-ins of joint optima leave the limit: the first of a few starts that shows an order.
    """
    plan = tiny.decide(*case, **options)
    shown = plan if coefficient is None else replace(plan, coefficient=coefficient)
    for largest in STARTS:
        slope = laws.remainder_slope(shown, *case, largest * scale)
        if slope.halvings >= laws.HALVINGS:
            break
    return plan, slope


def is_right(slope):
    return slope.halvings >= laws.HALVINGS and abs(slope.order - 2) <= laws.ORDER


# The prediction ---------------------------------------------------------------------------------


@pytest.mark.statement("TINY-Prop-3.2-loss", "TINY-Eq-dev")
@pytest.mark.parametrize("old_weights", OLD_WEIGHTS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", STEEP)
def test_the_loss_changes_as_predicted(evidence, activation, loss, old_weights):
    case = problem(activation, loss)
    for layer in (0, 1, "all", "bottleneck"):
        options = {"layer": layer, "old_weights": old_weights}
        if activation == "identity" and old_weights != "fixed":
            # A linear layer: its weights do all that new neurons could.
            laws.edits_nothing(deciding(**options), *case)
            continue
        plan, slope = plan_and_slope(case, **options)
        evidence(layer=str(layer), coefficient=plan.coefficient, order=slope.order)
        assert plan.coefficient < 0 and (plan.order, plan.remainder) == (1, 2)
        assert is_right(slope)
        laws.unchanged_at_size_zero(deciding(**options), *case)
        # One per cent off, and the opposite, are seen.
        for wrong in (1.01 * plan.coefficient, -plan.coefficient):
            slope = plan_and_slope(case, wrong, **options)[1]
            assert slope.halvings >= laws.HALVINGS and abs(slope.order - 1) <= laws.ORDER


@pytest.mark.statement("TINY-Prop-3.2-loss", "TINY-Prop-3.2-sign")
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu"])
def test_without_a_move_it_is_minus_the_sum_of_squared_strengths(evidence, activation):
    case = problem(activation, "squared")
    plan, slope = plan_and_slope(case, layer=0, old_weights="fixed")
    V = tiny.desired_updates(*case)[1]
    lam = tiny.best_neurons(case[0].forward(case[1]).inputs[0], V, V.shape[1]).strengths
    evidence(coefficient=plan.coefficient, strengths=-(lam**2).sum())
    assert abs(plan.coefficient + (lam**2).sum()) <= 1e-12 * (lam**2).sum()
    assert is_right(slope)
    # The sign of the main text's formula is the opposite.
    assert not is_right(plan_and_slope(case, (lam**2).sum(), layer=0, old_weights="fixed")[1])


@pytest.mark.statement("TINY-Eq-dev", "TINY-B.2-cross")
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_the_paper_forgets_a_product_when_the_old_weights_move(evidence, activation):
    """Eq 11 and the end of B.2: -|V0|^2 / n - sum lambda^2; the term <V0, W> / n is missing."""
    case = problem(activation, "squared")
    plan, slope = plan_and_slope(case, layer=0)
    B_prev, B, *_ = case[0].forward(case[1]).inputs
    V = tiny.desired_updates(*case)[1]
    V0 = B @ tiny.best_update(B, V).T
    fan_in, fan_out, lam = tiny.best_neurons(B_prev, V - V0, V.shape[1])
    W, n = B_prev @ fan_in.T @ fan_out.T, len(V)
    printed = -(V0**2).sum() / n - (lam**2).sum()
    evidence(ours=plan.coefficient, printed=printed)
    assert abs(plan.coefficient - (printed - np.vdot(V0, W) / n)) <= 1e-12 * abs(printed)
    assert is_right(slope)
    assert not is_right(plan_and_slope(case, printed, layer=0)[1])
    # Never less than half of what is printed, nor more than half as much again.
    assert 0.5 * printed >= plan.coefficient >= 1.5 * printed


@pytest.mark.statement("TINY-Cor-1", "TINY-equivalent")
def test_together_the_first_order_is_the_square_of_the_move(evidence):
    case = problem("tanh", "squared")
    plan = tiny.decide(*case, layer=0, old_weights="joint")
    B_prev, B, *_ = case[0].forward(case[1]).inputs
    V = tiny.desired_updates(*case)[1]
    update, fan_in, fan_out, _ = tiny.joint_neurons(B, B_prev, V, V.shape[1])
    T = B @ update.T + B_prev @ fan_in.T @ fan_out.T
    evidence(coefficient=plan.coefficient, square=-(T**2).sum() / len(V))
    assert abs(plan.coefficient + (T**2).sum() / len(V)) <= 1e-10 * abs(plan.coefficient)
    in_turn = tiny.decide(*case, layer=0)
    assert plan.coefficient <= in_turn.coefficient  # it is the larger decrease here, not always


@pytest.mark.statement("TINY-Ass", "TINY-Prop-3.2-loss")
@settings(max_examples=25)
@given(st.sampled_from(KINKED), st.sampled_from(sorted(LOSSES)), st.integers(0, 10**6),
       st.sampled_from(OLD_WEIGHTS))  # fmt: skip
def test_at_a_kink_each_neuron_gets_the_better_sign(evidence, activation, loss, seed, old_weights):
    case = problem(activation, loss, seed, depth=1, n=12)
    options = {"layer": 0, "old_weights": old_weights}
    plan = tiny.decide(*case, **options)
    if not plan.edits:
        return
    *moves, add = plan.edits

    def coefficient(signs):
        other = growth.Add(0, signs[:, None] * add.fan_in, signs * add.fan_out)
        return _chain.first_order(_chain.activity(*case), (*moves, other))

    k = len(add.fan_in)
    assert coefficient(np.ones(k)) == plan.coefficient
    for i in range(k):
        flipped = np.where(np.arange(k) == i, -1.0, 1.0)
        assert plan.coefficient <= coefficient(flipped) + 1e-12 * abs(plan.coefficient)
    both = [coefficient(np.ones(k)), coefficient(-np.ones(k))]
    evidence(chosen=both[0], other=both[1])


@pytest.mark.statement("TINY-Ass", "TINY-Prop-3.2-loss")
@pytest.mark.parametrize("activation, targets, chosen, other", [
    ("relu", (1.5, 0.5), -3 / 8, 1 / 8), ("selu", (1.2, 0.8), -0.12692, 0.01456)])  # fmt: skip
def test_with_the_other_sign_a_neuron_of_the_paper_raises_the_loss(
    evidence, activation, targets, chosen, other
):
    """Two samples, b = (1, -1), no bias; the strength is 1/2 for relu, 1/5 for selu."""
    X, Y = np.array([[1.0], [-1.0]]), np.array(targets)[:, None]
    net = networks.Shallow([[0.0]], [0.0], neurons.ridge(activation))
    case = net, X, Y, "squared"
    plan = tiny.decide(*case, old_weights="fixed")
    (add,) = plan.edits
    s = _chain.slopes_at_zero(net, activations.get(activation))
    mean = (s[1] + s[2]) / 2  # decide divides fan-ins by it, the numbers above do not
    flipped = growth.Add(0, -add.fan_in, -add.fan_out)
    worse = growth.Plan((flipped,), 1.0, other / mean, 1, 2)
    evidence(chosen=plan.coefficient * mean, other=other)
    assert abs(plan.coefficient * mean - chosen) <= 1e-5
    before = losses.squared.value(net(X), Y)
    after = losses.squared.value(growth.apply(net, worse, 1e-6)(X), Y)
    assert abs((after - before) / 1e-6 - other / mean) <= 1e-4 and after > before
    # No single slope at zero, left, right or mean, predicts it.
    lam = tiny.best_neurons(X, Y, 1).strengths[0]
    assert all(abs(-slope * lam**2 - plan.coefficient * mean) > 1e-2 for slope in (*s[1:], mean))


# What is decided --------------------------------------------------------------------------------


@pytest.mark.statement("TINY-equivalent")
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "selu"])
@pytest.mark.parametrize("loss", LOSSES)
def test_random_neurons_that_move_the_layer_as_far_do_less(evidence, activation, loss):
    case = problem(activation, loss)
    plan = tiny.decide(*case, layer=0, old_weights="fixed", most=2)
    activity, (add,) = _chain.activity(*case), plan.edits
    B_prev, rng = activity.inputs[0], np.random.default_rng(0)
    far = np.linalg.norm(B_prev @ add.fan_in.T @ add.fan_out.T)
    rivals = []
    for _ in range(200):
        fan_in, fan_out = rng.normal(size=add.fan_in.shape), rng.normal(size=add.fan_out.shape)
        fan_in *= far / np.linalg.norm(B_prev @ fan_in.T @ fan_out.T)
        rivals.append(_chain.first_order(activity, (growth.Add(0, fan_in, fan_out),)))
    evidence(ours=plan.coefficient, best_rival=min(rivals))
    if activation not in KINKED:
        assert plan.coefficient <= min(rivals)
    assert plan.coefficient < np.quantile(rivals, 0.02)


def test_nothing_is_edited_where_the_fit_is_perfect_or_the_threshold_high():
    for activation in STEEP:
        network, X, *_ = problem(activation, "squared")
        for old_weights in OLD_WEIGHTS:
            decide = deciding(old_weights=old_weights)
            laws.edits_nothing(decide, network, X, network(X), "squared")
    laws.edits_nothing(deciding(threshold=1e9), *problem("tanh", "squared"))
    with pytest.raises(AssertionError):
        laws.edits_nothing(deciding(), *problem("tanh", "squared"))


@pytest.mark.statement("TINY-keep")
def test_neurons_are_kept_by_the_square_of_their_strength(evidence):
    case = problem("tanh", "squared")
    V = tiny.desired_updates(*case)[1]
    lam = tiny.best_neurons(case[0].forward(case[1]).inputs[0], V, V.shape[1]).strengths
    for count in range(1, len(lam)):
        threshold = lam[count - 1] * lam[count]
        for old in ("fixed",):
            plan = tiny.decide(*case, layer=0, threshold=threshold, old_weights=old)
            assert sum(len(e.fan_in) for e in plan.edits if isinstance(e, growth.Add)) == count
    # The print's lambda^2 L > tau: scaling the loss by c scales the gain by c^2 and this by c^3.
    network, X, Y, _ = case
    scaled = networks.MLP([*network.arrays[:-1], 2 * network.arrays[-1]], "tanh")
    B, U = network.forward(X).inputs[0], tiny.desired_updates(network, X, Y, "squared")[-1]
    twice, once = tiny.best_neurons(B, 2 * U, 2), tiny.best_neurons(B, U, 2)
    value = losses.squared.value
    ratio = value(scaled(X), 2 * Y) / value(network(X), Y)
    evidence(gain=float((twice.strengths[0] / once.strengths[0]) ** 2), loss=ratio)
    np.testing.assert_allclose(twice.strengths, 2 * once.strengths, rtol=1e-12)
    assert abs(ratio - 4) <= 1e-12  # lambda^2 L grows by 16, lambda^2 / L not at all


def test_layers_and_how_many():
    case = problem("tanh", "softmax_cross_entropy")
    every = tiny.decide(*case)
    assert {e.layer for e in every.edits if isinstance(e, growth.Add)} == {0, 1}
    assert {e.layer for e in every.edits if isinstance(e, growth.Move)} == {1, 2}
    grown = growth.apply(case[0], every)
    # Softmax outputs' desired updates sum to zero: one neuron less than outputs.
    assert grown.widths == (4 + 3, 3 + 2)
    assert growth.apply(case[0], tiny.decide(*case, most=1)).widths == (5, 4)
    narrow = [tiny.decide(*case, layer=layer) for layer in (0, 1)]
    gains = [row.by_neurons for row in tiny.bottlenecks(*case)[1:]]
    one = tiny.decide(*case, layer="bottleneck", old_weights="joint")
    assert one.edits[-1].layer == int(np.argmax(gains))
    assert abs(sum(plan.coefficient for plan in narrow) - every.coefficient) <= 1e-12
    linear = networks.MLP([np.ones((1, 3))])
    for layer in ("all", "bottleneck"):
        nothing = linear, np.ones((4, 2)), np.zeros((4, 1)), "squared"
        laws.edits_nothing(deciding(layer=layer), *nothing)


@pytest.mark.parametrize("old_weights", OLD_WEIGHTS)
@pytest.mark.parametrize("outputs", [None, 2])
def test_shallow_networks_grow(old_weights, outputs):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=3 if outputs is None else (3, outputs))
    net = networks.Shallow(1.5 * rng.normal(size=(3, 2)), weights, neurons.ridge("tanh"))
    case = net, rng.normal(size=(20, 2)), rng.normal(size=(20, outputs or 1)), "squared"
    plan, slope = plan_and_slope(case, old_weights=old_weights)
    assert is_right(slope) and plan.coefficient < 0
    laws.unchanged_at_size_zero(deciding(old_weights=old_weights), *case)
    laws.lowers_the_loss(deciding(old_weights=old_weights), *case)
    laws.leaves_its_input_alone(deciding(old_weights=old_weights), *case)
    laws.does_not_depend_on_the_layout(deciding(old_weights=old_weights), *case)


def test_a_kink_at_a_sample_is_seen():
    """A relu whose pre-activation is zero: the slope to the side where the plan moves it."""
    net = networks.MLP([[[1.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]]], "relu")
    X, Y = np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [-1.0], [4.0]])
    case = net, X, Y, "squared"
    rng = np.random.default_rng(0)
    for _ in range(20):
        edits = (growth.Move(0, rng.normal(size=(1, 2))), growth.Move(1, rng.normal(size=(1, 2))))
        coefficient = _chain.first_order(_chain.activity(*case), edits)
        plan = growth.Plan(edits, 1.0, coefficient, 1, 2)
        value = losses.squared.value
        size = 1e-7
        change = value(growth.apply(net, plan, size)(X), Y) - value(net(X), Y)
        assert abs(change / size - coefficient) <= 1e-5 * (1 + abs(coefficient))


# Equations 6 and 7: amplitudes ------------------------------------------------------------------


@pytest.mark.statement("TINY-Eq-6")
@pytest.mark.parametrize("old_weights", OLD_WEIGHTS)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "selu"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_line_search_finds_a_size_that_lowers_the_loss(evidence, activation, loss, old_weights):
    case = problem(activation, loss)
    options = {"layer": 0, "old_weights": old_weights, "line_search": True}
    plan = tiny.decide(*case, **options)
    value, (net, X, Y, _) = losses.get(loss).value, case
    if not plan.edits:
        assert "No size" in plan.message
        return
    before, after = value(net(X), Y), value(growth.apply(net, plan)(X), Y)
    evidence(size=plan.size, before=before, after=after)
    assert after < before
    if not isinstance(plan.edits[-1], growth.Add):
        assert old_weights == "sequential" and "alone" in plan.message
        assert plan.coefficient < 0 and is_right(laws.remainder_slope(plan, *case, plan.size))
        return
    # A minimum, if only a local one, along the neurons' amplitude, or the end of the search.
    for factor in (0.5, 2.0) if plan.size < 100 else ():
        moves = [growth.Move(e.layer, e.direction / factor if old_weights == "sequential" else
                             e.direction) for e in plan.edits[:-1]]  # fmt: skip
        other = growth.Plan((*moves, plan.edits[-1]), plan.size * factor, 0.0, 1, 2)
        assert after <= value(growth.apply(net, other)(X), Y)
    assert is_right(plan_and_slope(case, scale=plan.size, **options)[1])


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("depth", [1, 2])
def test_the_search_looks_at_the_networks_that_apply_makes(activation, depth):
    case = problem(activation, "squared", depth=depth)
    *moves, add = tiny.decide(*case, layer=depth - 1).edits
    edits = tiny.decide(*case).edits
    for some in (edits, (*moves, add)):
        moves = [e for e in some if isinstance(e, growth.Move)]
        adds = [e for e in some if isinstance(e, growth.Add)]
        along = _chain.outputs(_chain.activity(*case), moves, adds)
        for moved, size in ((0.0, 0.0), (0.3, 0.7), (2.0, 0.1), (0.3, 0.0)):
            shifted = growth.apply(case[0], growth.Plan(tuple(moves), moved, 0.0, 1, 2))
            right = growth.apply(shifted, growth.Plan(tuple(adds), size, 0.0, 1, 2))(case[1])
            np.testing.assert_allclose(along(moved, size), right, rtol=0, atol=1e-12)


@pytest.mark.statement("TINY-Eq-6")
def test_the_amplitude_is_a_local_minimum_or_nothing(evidence):
    assert abs(tiny.amplitude(lambda s: (s - 3.0) ** 2) - 3.0) <= 0.1
    assert abs(tiny.amplitude(lambda s: (s - 3e-4) ** 2) - 3e-4) <= 1e-5
    assert abs(tiny.amplitude(lambda s: (s - 1e2) ** 2, 0.01) - 1e2) <= 3
    assert tiny.amplitude(lambda s: -s, 0.01) <= 0.01 * 2**15  # no minimum: it ends
    for rising in (lambda s: 1 + s, lambda s: 1.0, lambda s: 1 - 1e-15 * s / (1 + s),
                   lambda s: np.inf if s else 1.0, lambda s: np.nan if s else 1.0):  # fmt: skip
        assert tiny.amplitude(rising) == 0.0
    found = tiny.amplitude(lambda s: np.inf if s > 0.3 else -s)
    evidence(before_a_wall=found)
    assert 0.15 <= found <= 0.3
    with pytest.raises(ValueError, match="start"):
        tiny.amplitude(lambda s: s, 0.0)


@pytest.mark.statement("TINY-Eq-6")
def test_after_the_old_weights_the_neurons_may_not_help(evidence):
    """They were found for the desired update before: after the move their slope can be positive."""
    lost, slopes = 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        net = networks.MLP([2 * rng.normal(size=(1, 2)), 2 * rng.normal(size=(1, 2))])
        case = net, rng.normal(size=(4, 1)), rng.integers(2, size=4), "logistic"
        plan = tiny.decide(*case)
        found = tiny.decide(*case, line_search=True)
        if not plan.edits or any(isinstance(edit, growth.Add) for edit in found.edits):
            continue
        lost += 1
        move, add = plan.edits

        def moved(size, net=net, move=move):
            return growth.apply(net, growth.Plan((move,), size, 0.0, 1, 2))

        def loss_at(size, moved=moved, case=case):
            return losses.logistic.value(moved(size)(case[1]), case[2])

        # Equation 6 holds without equation 7: the old weights move alone.
        after = moved(tiny.amplitude(loss_at, 0.01))
        (alone,) = found.edits
        np.testing.assert_array_equal(alone.direction, move.direction)
        assert found.size == pytest.approx(tiny.amplitude(loss_at, 0.01), rel=1e-9)
        assert (found.order, found.remainder) == (1, 2) and "alone" in found.message
        expected = _chain.first_order(_chain.activity(*case), (move,))
        assert found.coefficient == expected < 0
        assert found.coefficient != plan.coefficient  # that is with the neurons
        laws.lowers_the_loss(lambda *_, plan=found: plan, *case)
        if losses.logistic.value(after(case[1]), case[2]) > 0.1:
            slopes.append(_chain.first_order(_chain.activity(after, *case[1:]), (add,)))
    evidence(lost=lost, worst_slope=max(slopes))
    assert 1e-4 < max(slopes) and min(slopes) > -1e-12
    # With the squared loss the last layer's new desired update is the rest itself: they help.
    rng = np.random.default_rng(0)
    net = networks.MLP([2 * rng.normal(size=(2, 2)), 2 * rng.normal(size=(1, 3))])
    plan = tiny.decide(net, rng.normal(size=(9, 1)), rng.normal(size=(9, 1)), "squared",
                       line_search=True)  # fmt: skip
    assert plan.edits


@pytest.mark.statement("TINY-Eq-6", "TINY-Ass")
@pytest.mark.parametrize("loss", ["squared", "softmax_cross_entropy"])
@pytest.mark.parametrize("activation", KINKED)
def test_signs_at_a_kink_are_chosen_where_the_old_weights_have_moved_to(evidence, activation, loss):
    turned, alone = 0, 0
    for seed in range(12):
        case = problem(activation, loss, seed, n=30)
        for layer in (0, 1, "all"):
            options = {"layer": layer, "line_search": True, "size": 1.0}
            plan = tiny.decide(*case, **options)
            moves = tuple(e for e in plan.edits if isinstance(e, growth.Move))
            adds = [e for e in plan.edits if isinstance(e, growth.Add)]
            if not adds:
                alone += bool(moves)
                continue
            moved = growth.apply(case[0], growth.Plan(moves, plan.size, 0.0, 1, 2))
            there, here = (_chain.activity(net, *case[1:]) for net in (moved, case[0]))
            for add in adds:
                slope = _chain.first_order(there, (add,))
                for i in range(len(add.fan_in)):
                    signs = np.where(np.arange(len(add.fan_in)) == i, -1.0, 1.0)
                    other = growth.Add(add.layer, signs[:, None] * add.fan_in, signs * add.fan_out)
                    assert slope <= _chain.first_order(there, (other,)) + 1e-12 * abs(slope)
                    # Negative control: at the old weights the other sign would have been chosen.
                    at_old = [_chain.first_order(here, (edit,)) for edit in (other, add)]
                    turned += at_old[0] < at_old[1] - 1e-9 * abs(at_old[1])
    evidence(turned=turned, alone=alone)
    assert turned > 0


# What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gaussian", "quadratic"])
def test_activations_that_are_flat_at_zero_are_refused(name):
    with pytest.raises(ValueError, match=r"flat.*tanh.*selu"):
        tiny.decide(*problem(name, "squared"))


def test_shallow_networks_have_no_bias_to_take_a_value_at_zero_back():
    net = networks.Shallow(np.ones((2, 2)), np.ones(2), neurons.ridge("sigmoid"))
    with pytest.raises(ValueError, match=r"sigmoid\(0\) = 0.5"):
        tiny.decide(net, np.ones((3, 2)), np.ones((3, 1)), "squared")


@pytest.mark.parametrize("options, words", [
    ({"old_weights": "joined"}, "joint"), ({"layer": "first"}, "bottleneck"),
    ({"layer": 2}, "layer must be"), ({"most": 0}, "most"), ({"threshold": -1.0}, "threshold"),
    ({"size": 0.0}, "size"),
])  # fmt: skip
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        tiny.decide(*problem("tanh", "squared"), **options)


@pytest.mark.parametrize("old_weights", OLD_WEIGHTS)
@pytest.mark.parametrize("line_search", [False, True])
def test_desired_updates_whose_squares_overflow_are_refused(old_weights, line_search):
    network, X, Y, loss = problem("tanh", "squared")
    options = {"old_weights": old_weights, "line_search": line_search}
    for layer in (0, "all", "bottleneck"):
        with pytest.raises(ValueError, match=r"square of the desired update overflows"):
            tiny.decide(network, X, 1e160 * Y, loss, layer=layer, **options)
    with pytest.raises(ValueError, match="overflows"):
        tiny.bottlenecks(network, X, 1e160 * Y, loss)
    del options["line_search"]  # such neurons saturate at every size it tries
    assert tiny.decide(network, X, 1e140 * Y, loss, layer=0, **options).edits  # Negative control.
    assert all(np.isfinite(tiny.bottlenecks(network, X, 1e140 * Y, loss)).ravel())


def test_types_are_refused():
    with pytest.raises(TypeError, match="line_search"):
        tiny.decide(*problem("tanh", "squared"), line_search=1)
    with pytest.raises(TypeError, match="layer"):
        tiny.decide(*problem("tanh", "squared"), layer=1.0)


# Units ------------------------------------------------------------------------------------------


def in_other_units(activation, c, seed=3):
    """One hidden layer and the squared loss; targets and output weights c times as large."""
    network, X, Y, loss = problem(activation, "squared", seed=seed, depth=1)
    return networks.MLP([network.arrays[0], c * network.arrays[1]], activation), X, c * Y, loss


@pytest.mark.parametrize("line_search", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh", "selu"])
def test_the_unit_of_the_targets_is_in_the_fan_ins(evidence, activation, line_search):
    """What the warning of `decide` says: piecewise linear neurons do not mind, others saturate."""
    size = 1.0 if line_search else 0.1
    results, adds, coefficients, kept = {}, {}, {}, {}
    for c in (0.01, 1.0, 100.0):
        network, X, *_ = case = in_other_units(activation, c)
        plan = tiny.decide(*case, layer=0, size=size, line_search=line_search)
        results[c] = growth.apply(network, plan)(X) / c
        adds[c] = next(edit for edit in plan.edits if isinstance(edit, growth.Add))
        coefficients[c] = plan.coefficient / c**2
        z = plan.size * np.column_stack([X, np.ones(len(X))]) @ adds[c].fan_in.T
        added = activations.get(activation).value(z) @ adds[c].fan_out.T
        kept[c] = np.abs(added).max() / np.abs(z @ adds[c].fan_out.T).max()
    for c in (0.01, 100.0):
        signs = np.sign((adds[c].fan_out * adds[1.0].fan_out).sum(axis=0))  # At a kink.
        assert line_search or (signs == 1).all()
        right = signs[:, None] * adds[1.0].fan_in
        np.testing.assert_allclose(adds[c].fan_out, signs * adds[1.0].fan_out, atol=1e-9)
        np.testing.assert_allclose(adds[c].fan_in / c, right, atol=1e-9)
        if not line_search:
            assert coefficients[c] == pytest.approx(coefficients[1.0], rel=1e-9)
    apart = {c: np.abs(results[c] - results[1.0]).max() for c in (0.01, 100.0)}
    evidence(**{f"{c:g}": apart[c] for c in apart})
    if activation == "relu":
        assert max(apart.values()) <= 1e-9
    else:
        assert apart[100.0] > 1e-3
    if activation == "tanh":
        # Nearly linear in small units, a fraction of what is wanted in large ones.
        assert kept[0.01] > 0.99 and kept[100.0] < 0.5


# Which layer ------------------------------------------------------------------------------------


def test_the_bottleneck_depends_on_what_the_old_weights_do():
    """`bottlenecks` has the joint gain; the paper's order gains most somewhere else."""
    case = problem("tanh", "squared", seed=29)
    joint = [found.by_neurons for found in tiny.bottlenecks(*case)[1:]]
    V, inputs = tiny.desired_updates(*case), case[0].forward(case[1]).inputs
    in_turn = []
    for layer in (0, 1):
        B, wanted = inputs[layer + 1], V[layer + 1]
        rest = wanted - B @ tiny.best_update(B, wanted).T
        strengths = tiny.best_neurons(inputs[layer], rest, rest.shape[1]).strengths
        in_turn.append((strengths**2).sum())
    assert joint[0] > 1.1 * joint[1] and in_turn[1] > 1.1 * in_turn[0]
    for old_weights, layer in (("sequential", 1), ("joint", 0)):
        plan = tiny.decide(*case, layer="bottleneck", old_weights=old_weights)
        assert {edit.layer for edit in plan.edits if isinstance(edit, growth.Add)} == {layer}


# Numbers too small to be squared ------------------------------------------------------------------


@pytest.mark.parametrize("line_search", [False, True])
def test_numbers_that_are_too_small_are_named(line_search):
    options = {"layer": 0, "line_search": line_search}
    network, X, Y, loss = problem("tanh", "squared", depth=1)
    W = network.arrays
    for c in (1e-170, 1e-200, 1e-300):
        small = networks.MLP([W[0], c * W[1]], "tanh")
        plan = tiny.decide(small, X, c * Y, loss, **options)
        assert not plan.edits and "square of the desired update vanishes" in plan.message
        # Of inputs beside a column of ones, and of a hidden layer, which does not matter.
        plan = tiny.decide(network, c * X, Y, loss, **options)
        assert not plan.edits and "inputs are zero to rounding" in plan.message
        hidden = networks.MLP([c * W[0], W[1]], "tanh")
        assert tiny.decide(hidden, X, Y, loss, **options).edits
    # Negative controls.
    assert tiny.decide(networks.MLP([W[0], 1e-140 * W[1]], "tanh"), X, 1e-140 * Y, loss,
                       **options).edits  # fmt: skip
    plan = tiny.decide(network, X, Y, loss, threshold=1e9, **options)
    assert plan.message == "No neuron's gain is above the threshold."


# ---- what an update leaves of rounding -----------------------------------------------------------


@pytest.mark.statement("TINY-dead-new")
@pytest.mark.parametrize("old_weights", ["sequential", "joint"])
def test_where_the_update_cancels_its_rounding_gets_no_neuron(old_weights, monkeypatch):
    """Two neurons nearly alike: weights of 1e6 and more. Three classes leave two neurons."""

    def counts():
        rng, found = np.random.default_rng(0), []
        X, Y = rng.normal(size=(60, 12)), rng.integers(0, 3, size=60)
        for apart in (1e-2, 1e-8, 1e-9, 1e-10):
            hidden, way = rng.normal(size=(6, 13)), rng.normal(size=13)
            hidden[1] = hidden[0] + apart * way
            out = np.column_stack([rng.normal(size=(3, 6)), np.zeros(3)])
            network = networks.MLP([hidden, out], "tanh")
            plan = tiny.decide(network, X, Y, "softmax_cross_entropy", old_weights=old_weights)
            found.append(len(plan.edits[-1].fan_in))
        return found

    assert counts() == [2, 2, 2, 2]
    if old_weights == "sequential":
        monkeypatch.setattr(tiny, "ROUNDED", 0)
        assert counts() != [2, 2, 2, 2]
