"""GradMax and random neurons: what the new neurons promise, against brute force and the network.

The gradient of the new weights is read off the grown network, by its own backward pass, and never
from the formula that chose them.
"""

from dataclasses import replace
from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize

from refgrow import activations, baselines, growth, losses, networks, neurons, tiny, train
from refgrow.numerics import taylor_slope

SAME = 1e-12  # Rounding of sums of order one over a few layers.
FOUND = 1e-6  # What a descent without derivatives of its own leaves of an optimum, relative.
ORDER = 0.1  # What DESIGN.md allows a fitted order to be off by.
LOSSES = ("squared", "logistic", "softmax_cross_entropy", "exponential")
ACTIVATIONS = (
    "identity", "tanh", "sigmoid", "softplus", "gaussian", "sine", "quadratic", "gelu", "relu",
    "selu",
)  # fmt: skip
SLOPED = tuple(name for name in ACTIVATIONS if name not in ("gaussian", "quadratic", "relu"))


def problem(activation="tanh", loss="squared", p=3, n=25, seed=0):
    """(network, X, Y, loss): an MLP with hidden layers of 4 and 5."""
    rng = np.random.default_rng(seed)
    p = {"logistic": 1, "exponential": 1}.get(loss, p)
    sizes = (3, 4, 5, p)
    scale = 0.4 if activation == "quadratic" else 1.0  # Its outputs are of degree four.
    weights = [scale * rng.normal(size=(b, a + 1)) / np.sqrt(a + 1) for a, b in pairwise(sizes)]
    X = rng.normal(size=(n, 3))
    Y = rng.normal(size=(n, p)) if loss == "squared" else rng.integers(max(p, 2), size=n)
    return networks.MLP(weights, activation), X, Y, loss


def shallow(activation="tanh", weights=(4, 3), seed=0):
    rng = np.random.default_rng(seed)
    network = networks.Shallow(
        rng.normal(size=(weights[0], 2)), rng.normal(size=weights), neurons.ridge(activation)
    )
    p = network(np.zeros((1, 2))).shape[1]
    return network, rng.normal(size=(20, 2)), rng.normal(size=(20, p)), "squared"


def cases():
    for layer in (0, 1):
        yield f"MLP, layer {layer}", problem(), layer
        yield f"selu, layer {layer}", problem("selu", "softmax_cross_entropy"), layer
        yield f"sigmoid, layer {layer}", problem("sigmoid", "logistic"), layer
    yield "Shallow, three outputs", shallow(), 0
    yield "Shallow, weights (m,)", shallow(weights=(4,)), 0


every_case = pytest.mark.parametrize(
    "case, layer", [pytest.param(case, layer, id=name) for name, case, layer in cases()]
)


def new_gradient(case, layer, add):
    """The gradient of the loss with respect to the new neurons' fan-ins (k, q)."""
    network, *data = case
    grown = growth.apply(network, growth.Plan((add,), 1.0, 0.0, 1, 2))
    _, gradient = networks.loss_and_gradient(grown, *data)
    return gradient[layer][network.widths[layer] :]


def with_fan_outs(case, plan, omega):
    """The plan's addition with other fan-outs, and fan-ins of zero."""
    add, network = plan.edits[0], case[0]
    zero, bias = np.zeros((omega.shape[1], add.fan_in.shape[1])), None
    if isinstance(network, networks.MLP):
        bias = -activations.get(network.activation)(0.0) * omega.sum(axis=1)
    return growth.Add(add.layer, zero, omega, bias=bias)


def orthogonal(rng, p, k):
    return np.linalg.qr(rng.normal(size=(p, k)))[0]


def square(gradient):
    return float((gradient**2).sum())


# GradMax ----------------------------------------------------------------------------------------


@every_case
def test_gradmax_leaves_the_function_as_it_was_at_any_size(case, layer):
    network, X, _, _ = case
    plan = baselines.gradmax(*case, layer=layer)
    assert (plan.coefficient, plan.order, plan.remainder) == (0.0, 1, 2)
    for size in (0.0, 1.0, 1e3):
        assert np.abs(growth.apply(network, plan, size)(X) - network(X)).max() < SAME
    other = replace(plan.edits[0], fan_in=np.ones_like(plan.edits[0].fan_in))
    changed = growth.apply(network, replace(plan, edits=(other,)))
    assert np.abs(changed(X) - network(X)).max() > 1e-3


@every_case
@pytest.mark.parametrize("norm", [1.0, 0.3])
def test_no_other_fan_outs_have_a_larger_gradient(case, layer, norm):
    network, *_ = case
    p = len(network.weights[layer + 1]) if isinstance(network, networks.MLP) else case[2].shape[1]
    rng = np.random.default_rng(1)
    for k in range(1, p + 1):
        plan = baselines.gradmax(*case, layer=layer, k=k, norm=norm)
        omega = plan.edits[0].fan_out
        k = omega.shape[1]  # Fewer where the gradient is of lower rank.
        np.testing.assert_allclose(omega.T @ omega, norm**2 * np.eye(k), atol=SAME)
        best = square(new_gradient(case, layer, plan.edits[0]))
        others = [
            square(
                new_gradient(case, layer, with_fan_outs(case, plan, norm * orthogonal(rng, p, k)))
            )
            for _ in range(30)
        ]
        assert max(others) <= best * (1 + SAME)
        if k < p:
            assert max(others) < best * (1 - FOUND), "random fan-outs should not do as well"
        assert f"has norm {best**0.5:.3g}" in plan.message


def test_a_search_over_orthogonal_fan_outs_finds_gradmax():
    case, layer = problem(), 0
    p = len(case[0].weights[1])
    for k in (1, 2):
        plan = baselines.gradmax(*case, layer=layer, k=k)
        best = square(new_gradient(case, layer, plan.edits[0]))

        def lack(flat, k=k, plan=plan):
            omega = np.linalg.qr(flat.reshape(p, k))[0]
            return -square(new_gradient(case, layer, with_fan_outs(case, plan, omega)))

        rng = np.random.default_rng(k)
        found = max(-minimize(lack, rng.normal(size=p * k)).fun for _ in range(4))
        assert found == pytest.approx(best, rel=FOUND)
        # The second and third are not the best two.
        more = baselines.gradmax(*case, layer=layer, k=k + 1).edits[0].fan_out
        wrong = square(new_gradient(case, layer, with_fan_outs(case, plan, more[:, 1:])))
        assert wrong < 0.99 * found


def test_a_scan_of_the_circle_finds_gradmax():
    case = problem(p=2)
    plan = baselines.gradmax(*case, layer=1)
    best = square(new_gradient(case, 1, plan.edits[0]))
    angles = np.linspace(0, np.pi, 721)
    around = [
        square(
            new_gradient(case, 1, with_fan_outs(case, plan, np.array([[np.cos(a)], [np.sin(a)]])))
        )
        for a in angles
    ]
    assert best * (1 - 1e-4) < max(around) <= best * (1 + SAME)
    angle = np.arctan2(*plan.edits[0].fan_out[::-1, 0]) % np.pi
    assert abs(angles[np.argmax(around)] - angle) <= np.pi / 720
    assert min(around) < 0.8 * best


def test_without_orthogonality_copies_of_the_first_neuron_would_win():
    case = problem()
    plan = baselines.gradmax(*case, layer=1, k=2)
    first = plan.edits[0].fan_out[:, :1]
    copies = square(new_gradient(case, 1, with_fan_outs(case, plan, np.hstack([first, first]))))
    assert copies > 1.01 * square(new_gradient(case, 1, plan.edits[0]))


@every_case
def test_fan_ins_along_the_gradient_are_a_step_of_gradient_descent(case, layer):
    network, *_ = case
    zero = baselines.gradmax(*case, layer=layer, k=1)
    step = baselines.gradmax(*case, layer=layer, k=1, fan_in="gradient")
    np.testing.assert_array_equal(zero.edits[0].fan_out, step.edits[0].fan_out)
    gradient = new_gradient(case, layer, zero.edits[0])
    np.testing.assert_allclose(step.edits[0].fan_in, -gradient, rtol=0, atol=SAME)
    if "selu" in repr(getattr(network, "activation", "")):
        # The gradient is the one from the left, where selu is steeper than from the right.
        assert -square(gradient) * (1 + SAME) <= step.coefficient < 0
    else:
        assert step.coefficient == pytest.approx(-square(gradient))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", SLOPED)
@pytest.mark.parametrize("layer", [0, 1])
def test_a_step_of_gradmax_changes_the_loss_as_predicted(loss, activation, layer):
    case = problem(activation, loss)
    holds_at_order_two(case, partial(baselines.gradmax, layer=layer, fan_in="gradient"))


def test_where_there_is_no_gradient_nothing_is_added():
    network, X, _, loss = problem()
    plan = baselines.gradmax(network, X, network(X), loss, layer=0, k=2)
    assert plan.edits == () and plan.message == "No new neuron of layer 0 would have a gradient."
    # Two of three outputs are fitted: one direction is left, and one neuron is added for it.
    Y = network(X)
    Y[:, 1] += X[:, 0]
    plan = baselines.gradmax(network, X, Y, loss, layer=1, k=3)
    np.testing.assert_allclose(plan.edits[0].fan_out, [[0.0], [1.0], [0.0]], atol=SAME)
    assert "1 neurons are added" in plan.message


@pytest.mark.parametrize("p", [2, 3, 5])
def test_what_rounding_leaves_of_a_direction_gets_no_neuron(p):
    """The gradients of softmax add up to zero over the classes: M has rank p - 1, to rounding."""
    case = problem(loss="softmax_cross_entropy", p=p)
    omega = baselines.gradmax(*case, layer=1, k=p).edits[0].fan_out
    assert omega.shape == (p, p - 1)
    assert np.abs(omega.sum(axis=0)).max() < SAME
    # Negative control: with the squared loss nothing is left out.
    assert baselines.gradmax(*problem(p=p), layer=1, k=p).edits[0].fan_out.shape == (p, p)


def test_gradmax_is_blind_to_redundancy():
    """One linear neuron reads x_1. What the target has of x_1, which the old weights can learn, is
    what GradMax adds a neuron for; TINY's best neuron adds what they cannot learn."""
    rng = np.random.default_rng(0)
    X = np.linalg.qr(rng.normal(size=(200, 2)))[0] * np.sqrt(200) * [2.0, 0.5]
    network = networks.MLP([[[1.0, 0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]], "identity")
    Y = np.column_stack([X[:, 0], X[:, 1]])
    omega = baselines.gradmax(network, X, Y, "squared", layer=0).edits[0].fan_out[:, 0]
    # TINY: the residual after the best update of the old weights, inputs weighed by S^(-1/2).
    V = Y - network(X)
    H = network.forward(X).inputs[1]
    B = network.forward(X).inputs[0]
    residual = V - H @ np.linalg.lstsq(H, V)[0]
    Q = np.linalg.qr(B)[0]
    best = np.linalg.svd(Q.T @ residual)[2][0]
    assert abs(omega[0]) > 0.99 and abs(best[1]) > 0.99
    # GradMax's neuron explains nothing of what is lacking, TINY's all of it.
    lacking = square(residual)
    assert square(Q.T @ (residual @ omega)) < 0.01 * lacking
    assert square(Q.T @ (residual @ best)) > 0.99 * lacking


@pytest.mark.compiled
def test_a_network_learns_what_gradmax_prepared():
    case = problem(seed=3)
    decide = partial(baselines.gradmax, layer=1, k=2)
    grown, history = train.fit_and_grow(
        *case, decide=decide, growths=2, optimizer="gd", learning_rate=0.05, steps=40
    )
    assert grown.widths == (4, 9) and history.status == 1
    assert np.abs(grown.weights[1][5:]).min() > 0, "the new fan-ins have moved"
    assert (np.diff(history.loss) <= SAME).all()  # Through both growths.


# Random neurons ---------------------------------------------------------------------------------


def holds_at_order_two(case, decide):
    """The remainder has the promised order, and a wrong coefficient is seen."""
    network, X, Y, loss = case
    plan = decide(network, X, Y, loss)
    assert (plan.order, plan.remainder) == (1, 2)
    value = losses.get(loss).value
    before = value(network(X), Y)

    @cache
    def change(size):
        return value(growth.apply(network, plan, size)(X), Y) - before

    def slope(coefficient):
        def remainder(size):
            return change(size) - coefficient * size

        return taylor_slope(remainder, scale=max(1.0, before), largest=0.1).order

    assert slope(plan.coefficient) == pytest.approx(2, abs=ORDER)
    for wrong in (1.01 * plan.coefficient + 1e-3, plan.coefficient - 1e-2):
        assert slope(wrong) != pytest.approx(2, abs=ORDER)
    return plan


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layer", [0, 1])
def test_random_neurons_change_the_loss_as_predicted(loss, activation, layer):
    case = problem(activation, loss)
    for old_weights in ("fixed", "sequential"):
        decide = partial(baselines.random_neurons, layer=layer, k=2, rng=5, old_weights=old_weights)
        plan = holds_at_order_two(case, decide)
        assert len(plan.edits) == 1 + (old_weights == "sequential")


@pytest.mark.parametrize("activation", ["identity", "tanh", "sine", "gelu", "relu", "selu"])
@pytest.mark.parametrize("weights", [(4,), (4, 1), (4, 3)])
def test_random_neurons_of_a_shallow_network(activation, weights):
    case = shallow(activation, weights)
    for old_weights in ("fixed", "sequential"):
        options = {"layer": 0, "k": 3, "rng": 0, "old_weights": old_weights}
        plan = holds_at_order_two(case, partial(baselines.random_neurons, **options))
        grown = growth.apply(case[0], plan, 0.0)
        np.testing.assert_allclose(grown(case[1]), case[0](case[1]), rtol=0, atol=SAME)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_random_neurons_of_size_zero_change_nothing(activation):
    case = problem(activation)
    plan = baselines.random_neurons(*case, layer=0, k=3, rng=0)
    before, add = case[0](case[1]), plan.edits[0]
    assert np.abs(growth.apply(case[0], plan, 0.0)(case[1]) - before).max() < SAME
    at_zero = activations.get(activation)(0.0)
    assert (add.bias is None) == (at_zero == 0)
    if at_zero != 0:
        unmended = replace(plan, edits=(replace(add, bias=None),))
        assert np.abs(growth.apply(case[0], unmended, 0.0)(case[1]) - before).max() > 1e-3


@every_case
def test_random_neurons_are_of_unit_size(case, layer):
    network, X, _, _ = case
    plan = baselines.random_neurons(*case, layer=layer, k=5, rng=0)
    add = plan.edits[0]
    B = network.forward(X).inputs[layer]
    np.testing.assert_allclose(((B @ add.fan_in.T) ** 2).mean(axis=0), 1.0, rtol=SAME)
    np.testing.assert_allclose(np.linalg.norm(add.fan_out, axis=0), 1.0, rtol=SAME)

    def scaled(rng, k):
        return 1e6 * rng.normal(size=(k, B.shape[1]))

    other = baselines.random_neurons(*case, layer=layer, k=5, rng=0, sample=scaled)
    np.testing.assert_allclose(other.edits[0].fan_in, add.fan_in, rtol=1e-12)
    one_sided = baselines.random_neurons(*case, layer=layer, k=5, rng=0, sample=lambda rng, k: (
        np.abs(rng.normal(size=(k, B.shape[1])))))  # fmt: skip
    assert (one_sided.edits[0].fan_in > 0).all() and (add.fan_in < 0).any()


def test_directions_are_random_all_around():
    case = problem()
    rng = np.random.default_rng(0)
    plans = [baselines.random_neurons(*case, layer=1, k=4, rng=rng) for _ in range(150)]
    omega = np.hstack([plan.edits[0].fan_out for plan in plans])
    # Each entry's mean square is 1/3; the mean of 600 has a standard deviation of 0.012.
    assert np.abs((omega**2).mean(axis=1) - 1 / 3).max() < 0.06
    assert np.abs(omega.mean(axis=1)).max() < 0.12
    raised = np.mean([plan.coefficient > 0 for plan in plans])
    assert 0.3 < raised < 0.7


@every_case
def test_downhill_turns_the_fan_outs_that_would_raise_the_loss(case, layer):
    turned = 0
    for seed in range(5):
        options = {"layer": layer, "k": 4, "rng": seed}
        plain = baselines.random_neurons(*case, **options)
        down = baselines.random_neurons(*case, downhill=True, **options)
        signs = (down.edits[0].fan_out / plain.edits[0].fan_out)[0]
        turned += np.count_nonzero(signs < 0)
        np.testing.assert_array_equal(down.edits[0].fan_out, plain.edits[0].fan_out * signs)
        np.testing.assert_array_equal(down.edits[0].fan_in, plain.edits[0].fan_in)
        assert down.coefficient < 0 and down.coefficient <= plain.coefficient
        # One neuron at a time: each lowers the loss.
        value = losses.get(case[3]).value
        before = value(case[0](case[1]), case[2])
        for j in range(4):
            add = with_fan_outs(case, down, down.edits[0].fan_out[:, [j]])
            add = replace(add, fan_in=down.edits[0].fan_in[[j]])
            plan = growth.Plan((add,), 1e-5, 0.0, 1, 2)
            assert value(growth.apply(case[0], plan)(case[1]), case[2]) < before
    assert 0 < turned < 20


@every_case
def test_the_old_weights_make_their_best_update(case, layer):
    network, X, Y, loss = case
    options = {"layer": layer, "k": 2, "rng": 0}
    fixed = baselines.random_neurons(*case, **options)
    plan = baselines.random_neurons(*case, old_weights="sequential", **options)
    add, move = plan.edits
    np.testing.assert_array_equal(add.fan_in, fixed.edits[0].fan_in)
    assert move.layer == layer + 1
    # The normal equations of |V - H D^T|, V minus the gradient: found on the network by moving its
    # last matrix, whose gradient is -V^T H / n; a hidden one's the same.
    _, gradient = networks.loss_and_gradient(network, X, Y, loss)
    trace = network.forward(X)
    H = trace.inputs[layer + 1] if isinstance(network, networks.MLP) else trace.states[0]
    wanted = gradient[layer + 1]
    if not isinstance(network, networks.MLP):
        wanted = wanted.reshape(len(network.theta), -1).T
    residual = move.direction @ (H.T @ H) / len(X) + wanted
    assert np.abs(residual).max() < 1e-10
    assert np.abs(move.direction).max() > 1e-3
    reached = plan.coefficient - fixed.coefficient
    assert reached == pytest.approx(float(np.vdot(wanted, move.direction)), rel=1e-9)
    assert reached < 0


def test_a_seed_repeats_and_a_generator_moves_on():
    case = problem()
    draw = partial(baselines.random_neurons, *case, layer=0)
    assert np.array_equal(draw(rng=1).edits[0].fan_in, draw(rng=1).edits[0].fan_in)
    rng = np.random.default_rng(1)
    assert not np.array_equal(draw(rng=rng).edits[0].fan_in, draw(rng=rng).edits[0].fan_in)


def right_slope(case, plan, size=1e-5):
    """The derivative of the loss in the size at 0+, by two secants: what is left is of the order of
    the third derivative times size**2, some 1e-8, and rounding over the size, some 1e-9."""
    network, X, Y, loss = case
    value = losses.get(loss).value
    start = value(network(X), Y)
    whole, half = [
        (value(growth.apply(network, plan, s)(X), Y) - start) / s for s in (size, size / 2)
    ]
    return 2 * half - whole


def by_the_gradient(case, plan):
    """What the gradient of what is moved and added says: for pre-activations above that are at a
    kink, the slope from the left. It is wrong where a plan moves them to the right."""
    network, X, Y, loss = case
    sigma, inputs = activations.get(network.activation), network.forward(X).inputs
    total, V = 0.0, tiny.desired_updates(network, X, Y, loss)[1:]
    for edit in plan.edits:
        if isinstance(edit, growth.Add):
            Z = inputs[edit.layer] @ edit.fan_in.T
            change = sigma.derivative(np.where(Z > 0, 1e-300, 0.0)) * Z @ edit.fan_out.T
            total -= np.vdot(V[edit.layer], change) / len(X)
        else:
            total -= np.vdot(V[edit.layer - 1], inputs[edit.layer] @ edit.direction.T) / len(X)
    return total


def at_kinks(activation, seed):
    """Integers: many pre-activations are exactly zero."""
    rng = np.random.default_rng(seed)
    sizes = pairwise((2, 3, 3, 2))
    weights = [rng.integers(-1, 2, size=(b, a + 1)).astype(float) for a, b in sizes]
    X, Y = (rng.integers(-2, 3, size=(8, 2)).astype(float) for _ in range(2))
    return networks.MLP(weights, activation), X, Y, "squared"


@pytest.mark.parametrize(
    "activation, decide",
    [
        ("relu", partial(baselines.random_neurons, k=2)),
        ("relu", partial(baselines.random_neurons, k=2, old_weights="sequential", downhill=True)),
        ("selu", partial(baselines.random_neurons, k=2)),
        ("selu", partial(baselines.random_neurons, k=2, old_weights="sequential", downhill=True)),
        ("selu", partial(baselines.gradmax, fan_in="gradient")),
    ],
)
def test_pre_activations_above_that_are_at_a_kink_are_seen(activation, decide):
    wrong = 0
    for seed in range(25):
        case = at_kinks(activation, seed)
        more = {"rng": seed} if decide.func is baselines.random_neurons else {}
        plan = decide(*case, layer=0, **more)
        slope = right_slope(case, plan)
        assert plan.coefficient == pytest.approx(slope, rel=1e-5, abs=1e-5), seed
        wrong += abs(by_the_gradient(case, plan) - slope) > 0.01 * (1 + abs(slope))
    assert wrong >= 2, "kinks should matter"
    # Weights of all sizes: no kink, and the gradient is right.
    case = problem(activation)
    plan = decide(*case, layer=0, **more)
    assert by_the_gradient(case, plan) == pytest.approx(plan.coefficient, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_the_smallest_network_at_a_kink(seed):
    """relu, and a second layer at zero everywhere: only what raises its pre-activation passes."""
    network = networks.MLP([[[1.0, 0.0]], [[0.0, 0.0]], [[1.0, 0.0]]], "relu")
    X = Y = np.array([[1.0], [2.0]])
    case = network, X, Y, "squared"
    for downhill in (False, True):
        plan = baselines.random_neurons(*case, layer=0, rng=seed, downhill=downhill)
        (add,) = plan.edits
        change = np.maximum(np.column_stack([X, np.ones(2)]) @ add.fan_in.T, 0.0) @ add.fan_out.T
        expected = -float((Y * np.maximum(change, 0.0)).mean())
        assert plan.coefficient == pytest.approx(expected, abs=SAME)
        assert right_slope(case, plan) == pytest.approx(expected, abs=1e-8)
        assert by_the_gradient(case, plan) == 0
        # Every neuron that any sample reaches can help here, with a fan-out of one sign.
        assert not downhill or expected < 0 or not change.any()


def test_where_both_ways_lead_up_downhill_takes_the_lower():
    """What comes off its kink above, in either direction of the fan-out, leads from the target."""
    network = networks.MLP([[[1.0, 0.0]], [[0.0, 0.0]] * 2, [[1.0, 3.0, 0.0]]], "relu")
    X, Y = np.array([[1.0], [2.0]]), np.array([[-1.0], [-1.0]])
    case, turned = (network, X, Y, "squared"), 0
    for seed in range(20):
        plain, down = [
            baselines.random_neurons(*case, layer=0, rng=seed, downhill=downhill)
            for downhill in (False, True)
        ]
        add = plain.edits[0]
        both = [
            growth.Plan((replace(add, fan_out=sign * add.fan_out),), 1.0, 0.0, 1, 2)
            for sign in (1, -1)
        ]
        slopes = [right_slope(case, plan) for plan in both]
        assert min(slopes) >= -1e-8
        turned += slopes[1] < slopes[0]
        assert down.coefficient == pytest.approx(min(slopes), abs=1e-8)
        np.testing.assert_array_equal(
            down.edits[0].fan_out, both[int(slopes[1] < slopes[0])].edits[0].fan_out
        )
    assert 0 < turned < 20


def test_gradmax_beats_random_fan_outs_of_the_same_size():
    # Two competitors of the same kind: a step of gradient descent from fan-ins of zero.
    case = problem()
    step = baselines.gradmax(*case, layer=1, fan_in="gradient").coefficient
    rng = np.random.default_rng(2)
    for _ in range(30):
        omega = rng.normal(size=(3, 1))
        omega /= np.linalg.norm(omega)
        zero = growth.Add(1, np.zeros((1, 5)), omega)
        assert -square(new_gradient(case, 1, zero)) >= step - SAME


def test_a_neuron_that_no_sample_reaches_is_left_as_drawn():
    network, X, Y, loss = shallow()
    plan = baselines.random_neurons(network, np.zeros_like(X), Y, loss, layer=0, rng=0)
    assert np.isfinite(plan.edits[0].fan_in).all() and plan.coefficient == 0


def test_input_is_checked():
    case = problem()
    toy = networks.Shallow(np.ones((2, 3)), np.ones(2), neurons.bump)
    X, Y = np.ones((4, 1)), np.ones((4, 1))
    both = (baselines.gradmax, baselines.random_neurons)
    for method in both:
        name = method.__name__
        with pytest.raises(ValueError, match=r"layer must be an integer >= 0 and <= 1; got 2"):
            method(*case, layer=2)
        with pytest.raises(TypeError, match=r"layer must be an integer"):
            method(*case, layer="all")
        with pytest.raises(ValueError, match=rf"{name} needs neurons sigma\(theta . x\).*got bump"):
            method(toy, X, Y, "squared", layer=0)
        with pytest.raises(ValueError, match=rf"{name} needs an activation that is zero at zero"):
            method(*shallow("sigmoid"), layer=0)
        with pytest.raises(ValueError, match=rf"{name} needs a network with a hidden layer"):
            method(networks.MLP([np.ones((1, 2))]), X, Y, "squared", layer=0)
        with pytest.raises(TypeError, match=r"network must be a networks.Shallow or networks.MLP"):
            method(None, X, Y, "squared", layer=0)
        with pytest.raises(ValueError, match=r"size must be a finite number > 0; got 0"):
            method(*case, layer=0, size=0)
        with pytest.raises(ValueError, match=r"k must be an integer >= 1"):
            method(*case, layer=0, k=0)
    with pytest.raises(ValueError, match=r"k must be an integer >= 1 and <= 3; got 4"):
        baselines.gradmax(*case, layer=1, k=4)
    with pytest.raises(ValueError, match=r"norm must be a finite number > 0"):
        baselines.gradmax(*case, layer=1, norm=0)
    with pytest.raises(ValueError, match=r"fan_in must be one of gradient, zero; got 'zeros'"):
        baselines.gradmax(*case, layer=1, fan_in="zeros")
    for flat in ("relu", "quadratic", "gaussian"):
        with pytest.raises(ValueError, match=rf"a slope at zero.*; got {flat}\."):
            baselines.gradmax(*problem(flat), layer=1)
    draw = partial(baselines.random_neurons, *case, layer=0)
    with pytest.raises(TypeError, match=r"sample must be a function \(rng, k\) -> \(k, d\)"):
        draw(sample=3)
    with pytest.raises(ValueError, match=r"sample\(rng, k\) must have shape \(1, 4\)"):
        draw(sample=lambda rng, k: np.ones((k, 3)))
    with pytest.raises(TypeError, match=r"downhill must be True or False; got 1"):
        draw(downhill=1)
    with pytest.raises(ValueError, match=r"old_weights must be one of fixed, sequential"):
        draw(old_weights="best")
