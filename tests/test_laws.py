"""The laws of `laws.py`, for every way of growing there is, each with a decider that breaks it."""

from dataclasses import replace
from functools import partial
from itertools import product

import laws
import numpy as np
import pytest
import strategies

from refgrow import activations, baselines, growth, networks, neurons, s2d, s3d, splitlbi, tiny


def budgeted(network, X, Y, loss):
    """S3D with one to four copies a neuron, three more neurons in all."""
    options = {"copies": "mixed", "budget": sum(network.widths) + 3, "c": 3.0}
    return s3d.decide(network, X, Y, loss, **options)


def random_signed_split(network, X, Y, loss, *, copies, rng=None, c=3.0):
    """One random neuron into copies with random fractions, |w| summing to at most c."""
    rng, S = np.random.default_rng(rng), s2d.splitting_matrices(network, X, Y, loss)
    layer = int(rng.integers(len(S)))
    neuron = int(rng.integers(len(S[layer])))
    negative = rng.random(copies) < 0.5
    if negative.all() or not negative.any():
        negative[0] = not negative[0]
    less = rng.random() * (c - 1) / 2
    w = rng.dirichlet(np.ones(copies))
    w[negative] *= -less / w[negative].sum()
    w[~negative] *= (1 + less) / w[~negative].sum()
    u = rng.normal(size=(copies, S[layer].shape[1]))
    u[0] -= w @ u / w[0]  # Of zero mean, then in the unit ball.
    u /= np.linalg.norm(u, axis=1).max()
    coefficient = 0.5 * s3d.scheme_gain(S[layer][neuron], w, u)
    return growth.Plan((growth.Split(layer, neuron, w, u),), 0.01, coefficient, 2, 3)


# Decides by a criterion: edits nothing where it is unmet, and beats its random competitor.
# name -> (decide, random competitor)
CRITERIA = {
    "s2d": (s2d.decide, baselines.random_split),
    "s2d, two at once": (partial(s2d.decide, most=2), partial(baselines.random_split, most=2)),
    **{
        f"s3d, {m} copies": (
            partial(s3d.decide, copies=m, c=c), partial(random_signed_split, copies=m, c=c))
        for m, c in ((2, 50.0), (3, 1.5), (4, 3.0))
    },
    "s3d, two at once": (
        partial(s3d.decide, copies=3, c=1.3, most=2), partial(baselines.random_split, most=2)),
    "s3d, mixed": (budgeted, partial(random_signed_split, copies=4, c=3.0)),
}  # fmt: skip


def hidden(network):
    return range(len(network.widths))


def random_neurons_as_far(decide, network, X, Y, loss, *, rng, anywhere=False):
    """As many random neurons as decided, that move what reads them as far, to first order.

    A layer at a time; or, where `anywhere`, in some layer.
    """
    B = network.forward(X).inputs
    edits, coefficient = [], 0.0
    for add in (edit for edit in decide(network, X, Y, loss).edits if isinstance(edit, growth.Add)):
        layer = int(rng.integers(len(network.widths))) if anywhere else add.layer
        options = {"layer": layer, "k": len(add.fan_in), "rng": rng}
        drawn = baselines.random_neurons(network, X, Y, loss, **options)
        far = np.linalg.norm(B[add.layer] @ add.fan_in.T @ add.fan_out.T)
        (other,) = drawn.edits
        far /= np.linalg.norm(B[layer] @ other.fan_in.T @ other.fan_out.T)
        edits.append(replace(other, fan_in=far * other.fan_in))
        coefficient += far * drawn.coefficient
    return growth.Plan(tuple(edits), 0.01, coefficient, 1, 2)


def random_fan_outs(decide, network, X, Y, loss, *, rng):
    """GradMax's step of gradient descent from fan-ins of zero, with other orthonormal fan-outs."""
    (add,) = decide(network, X, Y, loss).edits
    omega = np.linalg.qr(rng.normal(size=add.fan_out.shape))[0]
    bias = add.bias
    if bias is not None:
        bias = -activations.get(network.activation)(0.0) * omega.sum(axis=1)
    zero = growth.Add(add.layer, np.zeros_like(add.fan_in), omega, bias=bias)
    grown = growth.apply(network, growth.Plan((zero,), 1.0, 0.0, 1, 2))
    _, gradient = networks.loss_and_gradient(grown, X, Y, loss)
    fan_in = -gradient[add.layer][network.widths[add.layer] :]
    return growth.Plan((replace(zero, fan_in=fan_in),), 0.01, -float((fan_in**2).sum()), 1, 2)


def last(decide, network, *data, **options):
    """A decider for the network's last hidden layer."""
    return decide(network, *data, layer=len(network.widths) - 1, **options)


def two_neurons(network, X, Y, loss):
    """GradMax's in the first layer, or one where they feed no more than one."""
    p = len(network.arrays[1]) if isinstance(network, networks.MLP) else network(X).shape[1]
    options = {"layer": 0, "k": min(2, p), "fan_in": "gradient"}
    return baselines.gradmax(network, X, Y, loss, **options)


TINY = {
    f"tiny, {old_weights}, {layer}": partial(tiny.decide, old_weights=old_weights, layer=layer)
    for old_weights in ("sequential", "joint", "fixed")
    for layer in ("all", "bottleneck", 0)
}
GRADMAX = {
    "gradmax, first layer": partial(baselines.gradmax, layer=0, fan_in="gradient"),
    "gradmax, last layer": partial(last, baselines.gradmax, fan_in="gradient"),
    "gradmax, two neurons": two_neurons,
}
# The same for new neurons. Only where the old weights stay do TINY's neurons promise most: what
# they do best otherwise has a law of its own.
NEW_NEURONS = {
    **{
        name: (decide, partial(random_neurons_as_far, decide, anywhere="bottleneck" in name))
        for name, decide in TINY.items()
        if "fixed" in name
    },
    **{name: (decide, partial(random_fan_outs, decide)) for name, decide in GRADMAX.items()},
}

# Keeps the function at size zero and predicts the change, whether it is a decrease or not.
SPLITS = {
    **{name: decide for name, (decide, _) in CRITERIA.items()},
    "random split": partial(baselines.random_split, most=2, rng=3),
    "random split along its gradient": partial(baselines.random_split_along_gradient, rng=3),
}
DRAWN = {
    f"random neurons, {old_weights}": partial(
        last, baselines.random_neurons, k=2, old_weights=old_weights, rng=3)
    for old_weights in ("fixed", "sequential")
}  # fmt: skip
ADDITIONS = {**TINY, **GRADMAX, **DRAWN}


def problem(network, loss, seed):
    rng = np.random.default_rng(seed)
    p = network.arrays[-1].shape[0] if isinstance(network, networks.MLP) else (
        network.weights.reshape(len(network.theta), -1).shape[1])  # fmt: skip
    X = strategies.inputs_of(network, 12, rng)
    return network, X, strategies.targets_of(loss, 12, p, rng), loss


def problems():
    rng = np.random.default_rng(2)
    mlp = [rng.normal(size=(3, 3)), rng.normal(size=(3, 4)), rng.normal(size=(2, 4))]
    shallow = networks.Shallow
    return {
        "bump": problem(shallow(rng.normal(size=(3, 3)), np.ones(3), neurons.bump), "squared", 1),
        "tanh, three outputs": problem(
            shallow(rng.normal(size=(3, 2)), rng.normal(size=(3, 3)), neurons.ridge("tanh")),
            "softmax_cross_entropy", 2),
        "particle": problem(
            shallow(rng.normal(size=(2, 2)), np.ones(2), neurons.particle(0.8)), "squared", 3),
        "distance": problem(
            shallow(rng.normal(size=(2, 2)), [1.0, -1.0], neurons.distance), "logistic", 4),
        "MLP": problem(networks.MLP(mlp[:1] + [rng.normal(size=(1, 4))]), "exponential", 5),
        "deep MLP": problem(networks.MLP(mlp, "softplus"), "squared", 6),
        "one of everything": problem(
            shallow([[1.3]], [0.7], neurons.ridge("sine")), "squared", 11),
    }  # fmt: skip


PROBLEMS = problems()
# What has pre-activations can be given new neurons; selu has a kink at zero, softplus a value.
SMOOTH = {
    name: case
    for name, case in PROBLEMS.items()
    if isinstance(case[0], networks.MLP) or isinstance(case[0].neuron, neurons.Ridge)
}
WITHOUT = {name: case for name, case in PROBLEMS.items() if name not in SMOOTH}


def kinked():
    rng = np.random.default_rng(9)
    mlp = [1.2 * rng.normal(size=(3, 3)), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))]
    return problem(networks.MLP(mlp, "selu"), "softmax_cross_entropy", 9)


KINKED = {"selu MLP": kinked()}
RIDGES = SMOOTH | KINKED


def over(*pairs):
    """Every way of a dictionary on every problem of another: (way, case)."""
    return pytest.mark.parametrize("way, case", [
        pytest.param(way, case, id=f"{name}-{on}")
        for ways, cases in pairs
        for (name, way), (on, case) in product(ways.items(), cases.items())
    ])  # fmt: skip


every_problem = pytest.mark.parametrize("case", PROBLEMS.values(), ids=PROBLEMS)
every_ridge = pytest.mark.parametrize("case", RIDGES.values(), ids=RIDGES)
every_smooth_ridge = pytest.mark.parametrize("case", SMOOTH.values(), ids=SMOOTH)
every_way = over((SPLITS, PROBLEMS), (ADDITIONS, RIDGES))
every_criterion = over((CRITERIA, PROBLEMS), (NEW_NEURONS, SMOOTH))


def breaks(law, *arguments):
    with pytest.raises(AssertionError):
        law(*arguments)


# An edit of size zero changes nothing ------------------------------------------------------------


@every_way
def test_size_zero_changes_nothing(way, case):
    laws.unchanged_at_size_zero(way, *case)


@every_ridge
@pytest.mark.parametrize("size", [0.0, 0.3, 1e3])
def test_fan_ins_of_zero_change_nothing_at_any_size(size, case):
    laws.unchanged_at_size(size, partial(baselines.gradmax, layer=0), *case)
    if size:
        step = partial(baselines.gradmax, layer=0, fan_in="gradient")
        breaks(laws.unchanged_at_size, size, step, *case)


def moving(network, X, Y, loss):
    """Adds half of a neuron on top of everything."""
    p = len(network.arrays[1]) if isinstance(network, networks.MLP) else network(X).shape[1]
    fan_out = np.ones((p, 1))
    add = growth.Add(0, network.arrays[0][:1], fan_out, keep=0.5)
    return growth.Plan((add,), 0.1, -1.0, 1, 2)


@every_problem
def test_an_edit_that_changes_the_function_at_size_zero_is_seen(case):
    breaks(laws.unchanged_at_size_zero, moving, *case)


@pytest.mark.parametrize("decide", ADDITIONS.values(), ids=ADDITIONS)
def test_neurons_whose_value_at_zero_is_not_taken_back_are_seen(decide):
    def unmended(*case):
        plan = decide(*case)
        edits = [replace(e, bias=None) if isinstance(e, growth.Add) else e for e in plan.edits]
        return replace(plan, edits=tuple(edits))

    breaks(laws.unchanged_at_size_zero, unmended, *PROBLEMS["deep MLP"])


# The loss changes as predicted -------------------------------------------------------------------


@every_way
def test_the_loss_changes_as_predicted_at_the_predicted_order(way, case, evidence):
    plan = way(*case)
    slope = laws.remainder_slope(plan, *case)
    evidence(order=slope.order, halvings=slope.halvings)
    assert slope.halvings >= laws.HALVINGS
    assert slope.order == pytest.approx(plan.remainder, abs=laws.ORDER)


@over(({name: decide for name, (decide, _) in CRITERIA.items()}, PROBLEMS),
      (TINY | GRADMAX, RIDGES))  # fmt: skip
def test_a_criterion_promises_a_decrease_and_keeps_it(way, case):
    laws.predicts_at_its_order(way, *case)
    laws.lowers_the_loss(way, *case)


def mistaken(decide, **changes):
    return lambda *case: replace(decide(*case), **changes)


@over(({"s2d": s2d.decide}, PROBLEMS), (TINY | GRADMAX, RIDGES))
def test_wrong_predictions_are_seen(way, case):
    right = way(*case)
    for changes in (
        {"coefficient": 1.01 * right.coefficient},
        {"coefficient": 2 * right.coefficient},  # the half forgotten
        {"coefficient": -right.coefficient},
        {"remainder": right.remainder - 1} if right.order == 2 else {"remainder": 4},
        {"remainder": right.remainder + 1},
    ):
        breaks(laws.predicts_at_its_order, mistaken(way, **changes), *case)


@every_smooth_ridge
def test_the_gain_is_not_the_promise_where_the_old_weights_move(case):
    """TINY prints the sum of squares of both parts, and leaves out their product."""
    network, X, *_ = case
    layer = len(network.widths) - 1
    (move, add) = tiny.decide(*case, layer=layer).edits
    parts = [laws.pull(network, X, growth.Plan((edit,), 1.0, 0.0, 1, 2), layer)
             for edit in (move, add)]  # fmt: skip
    printed = -sum(float(np.vdot(part, part)) for part in parts) / len(X)
    right = tiny.decide(*case, layer=layer).coefficient
    assert abs(printed - right) > 1e-3 * abs(right)
    wrong = mistaken(partial(tiny.decide, layer=layer), coefficient=printed)
    breaks(laws.predicts_at_its_order, wrong, *case)


# The decided edit beats random ones --------------------------------------------------------------


@every_criterion
def test_random_edits_do_no_better(way, case):
    decide, rival = way
    rng = np.random.default_rng(0)
    laws.beats([rival(*case, rng=rng) for _ in range(30)], decide, *case)


def test_a_worse_choice_is_seen():
    case = PROBLEMS["bump"]
    breaks(laws.beats, [s2d.decide(*case)], partial(baselines.random_split, rng=0), *case)


@pytest.mark.parametrize("name", ["tanh, three outputs", "MLP", "deep MLP"])
def test_neurons_for_the_wrong_goal_are_seen(name):
    """GradMax's step, as far as TINY's neurons move the layer; and TINY's, turned around."""
    network, X, *_ = case = PROBLEMS[name]
    decide = partial(tiny.decide, layer=0, most=1, old_weights="fixed")
    best = decide(*case)

    def turned(*case):
        add = replace(best.edits[0], fan_in=-best.edits[0].fan_in)
        return replace(best, edits=(add,), coefficient=-best.coefficient)

    def blind(*case):
        step = baselines.gradmax(*case, layer=0, fan_in="gradient")
        B = network.forward(X).inputs[0]
        far = [np.linalg.norm(B @ plan.edits[0].fan_in.T @ plan.edits[0].fan_out.T)
               for plan in (best, step)]  # fmt: skip
        add = replace(step.edits[0], fan_in=far[0] / far[1] * step.edits[0].fan_in)
        return replace(step, edits=(add,), coefficient=far[0] / far[1] * step.coefficient)

    laws.predicts_at_its_order(blind, *case)
    for wrong in (turned, blind):
        breaks(laws.beats, [best], wrong, *case)


def test_at_a_kink_hardly_any_random_neurons_do_better(evidence):
    """The neurons are the best of a smooth activation, with the better sign: no optimum."""
    case = KINKED["selu MLP"]
    decide = partial(tiny.decide, layer=0, old_weights="fixed", most=2)
    rng = np.random.default_rng(0)
    rivals = [random_neurons_as_far(decide, *case, rng=rng).coefficient for _ in range(200)]
    better = np.mean(np.array(rivals) < decide(*case).coefficient)
    evidence(better=better)
    assert better <= 0.02 < np.mean(np.array(rivals) < -decide(*case).coefficient)


@over((TINY, KINKED))
def test_at_a_kink_the_mirrored_neurons_do_worse(way, case):
    """The same to a smooth activation, at a kink each has a better and a worse side."""

    def mirrored(*case):
        plan = way(*case)
        edits = [replace(e, fan_in=-e.fan_in, fan_out=-e.fan_out) if isinstance(e, growth.Add)
                 else e for e in plan.edits]  # fmt: skip
        other = replace(plan, edits=tuple(edits))
        return replace(other, coefficient=laws.first_order(*case, other))

    laws.beats([mirrored(*case)], way, *case)
    breaks(laws.beats, [way(*case)], mirrored, *case)


def towards(network, X, Y, loss, layer):
    return tiny.desired_updates(network, X, Y, loss)[layer + 1]


def what_is_read(network, X, layer):
    """By a layer's matrix, columns of ones included; the output is the last layer."""
    trace = network.forward(X)
    if isinstance(network, networks.MLP):
        return trace.inputs[layer]
    return [X, trace.states[0]][layer]


def others(decide, case, layer, old_weights, number=15):
    """Plans of random neurons, and of those decided, a few per cent off."""
    rng = np.random.default_rng(1)
    options = {"layer": layer, "old_weights": old_weights, "rng": rng}
    yield from (baselines.random_neurons(*case, **options) for _ in range(number))
    plan = decide(*case)
    *moves, add = plan.edits
    for _ in range(number):
        off = [W * (1 + 0.03 * rng.normal(size=W.shape)) for W in (add.fan_in, add.fan_out)]
        yield replace(plan, edits=(*moves, growth.Add(layer, *off)))


@every_smooth_ridge
@pytest.mark.parametrize("old_weights", ["sequential", "joint", "fixed"])
def test_no_random_neurons_come_closer_to_the_desired_update(old_weights, case):
    network, X, *_ = case
    for layer in hidden(network):
        goal = towards(*case, layer), layer
        decide = partial(tiny.decide, layer=layer, most=1, old_weights=old_weights)
        known = "fixed" if old_weights == "fixed" else "sequential"
        H = what_is_read(network, X, layer + 1) if old_weights == "joint" else None
        rivals = list(others(decide, case, layer, known))
        laws.comes_closest(rivals, *goal, decide, *case, reached=H)

        def tripled(*case, decide=decide):
            """The best neurons, three times too strong: as if sigma'(0) were a third."""
            plan = decide(*case)
            add = replace(plan.edits[-1], fan_in=3 * plan.edits[-1].fan_in)
            return replace(plan, edits=(*plan.edits[:-1], add))

        breaks(laws.comes_closest, [decide(*case)], *goal, tripled, *case)


@pytest.mark.parametrize("name", ["tanh, three outputs", "MLP", "deep MLP"])
def test_one_after_the_other_does_not_come_closest(name):
    """The old weights could take back part of what the new neurons do, and these then do more."""
    case = PROBLEMS[name]
    goal = towards(*case, 0), 0
    together = partial(tiny.decide, layer=0, most=1, old_weights="joint")
    breaks(laws.comes_closest, [together(*case)], *goal, partial(tiny.decide, layer=0, most=1),
           *case)  # fmt: skip


@pytest.mark.parametrize("name", ["tanh, three outputs", "MLP"])
def test_neurons_for_what_the_old_weights_leave_do_not_promise_most(name):
    """With the same move, neurons for all of the update lower the loss more, to first order."""
    case = PROBLEMS[name]
    network, X, *_ = case
    decide = partial(tiny.decide, layer=0, most=1)
    plan, fixed = decide(*case), decide(*case, old_weights="fixed")
    B, H = what_is_read(network, X, 0), what_is_read(network, X, 1)
    far = [np.linalg.norm(B @ add.fan_in.T @ add.fan_out.T)
           for add in (plan.edits[-1], fixed.edits[-1])]  # fmt: skip
    other = replace(fixed.edits[0], fan_in=far[0] / far[1] * fixed.edits[0].fan_in)
    moved = -float(np.vdot(towards(*case, 0), H @ plan.edits[0].direction.T)) / len(X)
    coefficient = moved + far[0] / far[1] * fixed.coefficient
    rival = replace(plan, edits=(plan.edits[0], other), coefficient=coefficient)
    laws.predicts_at_its_order(lambda *case: rival, *case)
    breaks(laws.beats, [rival], decide, *case)


# Nothing is edited when the criterion is unmet ---------------------------------------------------


@over((CRITERIA, {name: PROBLEMS[name] for name in ("bump", "particle", "deep MLP",
                                                    "one of everything")}))  # fmt: skip
def test_nothing_is_split_where_the_fit_is_perfect(way, case):
    (decide, rival), (network, X, *_) = way, case
    laws.edits_nothing(decide, network, X, network(X), "squared")
    breaks(laws.edits_nothing, rival, network, X, network(X), "squared")


@over((TINY | GRADMAX, RIDGES))
def test_no_neurons_are_added_where_there_is_no_gradient(way, case):
    network, X, *_ = case
    laws.edits_nothing(way, network, X, network(X), "squared")
    for drawn in DRAWN.values():
        breaks(laws.edits_nothing, drawn, network, X, network(X), "squared")


@every_ridge
def test_no_neurons_are_added_for_what_the_old_weights_can_do(case):
    """The desired update lies in the span of what the last hidden layer puts out."""
    network, X, *_ = case
    H = what_is_read(network, X, len(network.widths))
    F = network(X)
    data = X, F + H @ np.random.default_rng(0).normal(size=(H.shape[1], F.shape[1])), "squared"
    for old_weights in ("sequential", "joint"):
        laws.edits_nothing(partial(last, tiny.decide, old_weights=old_weights), network, *data)
    # Who may not move the old weights, or does not see them, adds neurons.
    for blind in (partial(tiny.decide, old_weights="fixed"), baselines.gradmax):
        breaks(laws.edits_nothing, partial(last, blind), network, *data)


@every_ridge
def test_no_neurons_are_added_for_what_none_can_do(case):
    """The desired update is orthogonal to all that the last hidden layer reads."""
    network, X, *_ = case
    B = what_is_read(network, X, len(network.widths) - 1)
    F = network(X)
    V = np.random.default_rng(0).normal(size=F.shape)
    for _ in range(2):  # What one projection leaves is rounding, but more than the sums' own.
        V -= B @ np.linalg.lstsq(B, V)[0]
    for ways in (partial(tiny.decide, old_weights="fixed"), baselines.gradmax):
        laws.edits_nothing(partial(last, ways), network, X, F + V, "squared")
    # What the old weights leave of it is not orthogonal any more.
    breaks(laws.edits_nothing, partial(last, tiny.decide), network, X, F + V, "squared")


@over((TINY, RIDGES))
def test_no_neurons_are_added_below_the_threshold(way, case):
    laws.edits_nothing(partial(way, threshold=1e12), *case)
    breaks(laws.edits_nothing, partial(way, threshold=1e-12), *case)


@pytest.mark.parametrize("activation", ["gaussian", "quadratic"])
def test_where_new_neurons_do_nothing_to_first_order_they_are_refused(activation):
    network, *data = PROBLEMS["deep MLP"]
    flat = networks.MLP(network.arrays, activation), *data
    for decide in (TINY | GRADMAX).values():
        with pytest.raises(ValueError, match=r"slope at zero|flat"):
            decide(*flat)
    # Random ones, which are not, promise nothing and do nothing to first order.
    plan = last(baselines.random_neurons, *flat, rng=0)
    assert plan.edits and abs(plan.coefficient) < 1e-300


@over((ADDITIONS, WITHOUT))
def test_networks_without_pre_activations_are_refused(way, case):
    name = case[0].neuron.name.partition("(")[0]
    with pytest.raises(ValueError, match=rf"{name}.* have no pre-activations|sigma.*got {name}"):
        way(*case)


# What is given is left alone ---------------------------------------------------------------------


@every_way
def test_what_is_given_is_left_alone(way, case):
    laws.leaves_its_input_alone(way, *case)
    laws.does_not_depend_on_the_layout(way, *case)


def test_a_decider_that_writes_into_its_input_is_seen():
    network, X, Y, loss = PROBLEMS["bump"]

    def careless(network, X, Y, loss):
        X += 1.0
        return s2d.decide(network, X, Y, loss)

    breaks(laws.leaves_its_input_alone, careless, network, X.copy(), Y, loss)


# Pruning -----------------------------------------------------------------------------------------


def twins():
    """name -> (network, state, X): trained for some steps, so that part of Gamma has entered."""
    found = {}
    for by, activation, seed in KINDS:
        rng = np.random.default_rng(seed)
        arrays = [rng.normal(size=size) for size in ((7, 4), (6, 8), (2, 7))]
        # Three in five are small: these enter late.
        for W in arrays:
            W *= np.where(rng.random(W.shape if by == "weight" else W.shape[1]) < 0.6, 0.1, 1.0)
        network, X = networks.MLP(arrays, activation), rng.normal(size=(15, 3))
        Y, groups = network(X) + 0.1 * rng.normal(size=(15, 2)), splitlbi.groups_of(network, by)
        state = splitlbi.init(network.arrays, step=0.05, nu=1.0, groups=groups)
        for _ in range(60):
            _, gradient = networks.loss_and_gradient(network.with_arrays(state.W), X, Y, "squared")
            state = splitlbi.step(state, gradient)
        found[f"{by}, {activation}"] = network, state, X
    return found


# Seeds for which some neurons, not all, are used.
KINDS = (
    ("weight", "tanh", 4),
    ("weight", "gelu", 5),
    ("input", "softplus", 0),
    ("input", "selu", 10),
)
TWINS = twins()
every_twin = pytest.mark.parametrize("network, state, X", TWINS.values(), ids=TWINS)


def random_pruning(state, rng):
    """As many neurons of each layer, drawn by lot."""
    plan = splitlbi.support(state)
    edits = tuple(
        replace(e, neurons=tuple(rng.permutation(len(state.W[e.layer]))[: len(e.neurons)]))
        for e in plan.edits
    )
    return replace(plan, edits=edits)


def deaf(state):
    """Removes neurons whose inputs are masked, which are constants and not nothing."""
    deaf = [np.flatnonzero(~(W[:, :-1] != 0).any(axis=1)) for W in splitlbi.project(state)[:-1]]
    edits = [growth.Prune(layer, tuple(map(int, some))) for layer, some in enumerate(deaf)
             if 0 < len(some) < len(state.W[layer])]  # fmt: skip
    return growth.Plan(tuple(edits), 1.0, 0.0, 0, 1, "deaf")


def near_sighted(state):
    """Looks at who reads a neuron, not at whether the reader is read."""
    reads = [(W[:, :-1] != 0).any(axis=0) for W in splitlbi.project(state)[1:]]
    edits = [growth.Prune(layer, tuple(int(j) for j in np.flatnonzero(~some)))
             for layer, some in enumerate(reads) if 0 < (~some).sum() < len(some)]  # fmt: skip
    return growth.Plan(tuple(edits), 1.0, 0.0, 0, 1, "near-sighted")


def one_too_many(state):
    """Removes a neuron that is used, besides, from a layer that keeps another."""
    plan = splitlbi.support(state)
    gone = [set() for _ in state.W[:-1]]
    for edit in plan.edits:
        gone[edit.layer] |= set(edit.neurons)
    kept = [sorted(set(range(len(W))) - some) for W, some in zip(state.W[:-1], gone, strict=True)]
    layer = max(range(len(kept)), key=lambda layer: len(kept[layer]))
    gone[layer].add(kept[layer][0])
    edits = [growth.Prune(layer, tuple(some)) for layer, some in enumerate(gone) if some]
    return replace(plan, edits=tuple(edits))


def hesitant(state):
    """Keeps one of the neurons that are not used."""
    plan = splitlbi.support(state)
    *edits, edit = plan.edits
    return replace(plan, edits=(*edits, replace(edit, neurons=edit.neurons[1:])))


@every_twin
def test_pruning_what_the_sparse_twin_does_not_use_changes_nothing(network, state, X, evidence):
    plan = laws.prunes_only_what_is_not_used(splitlbi.support, network, state, X)
    evidence(pruned=sum(laws.pruned(plan).values()), of=sum(network.widths))
    breaks(laws.prunes_only_what_is_not_used, one_too_many, network, state, X)
    if deaf(state).edits:
        breaks(laws.prunes_only_what_is_not_used, deaf, network, state, X)
    # Of the dense weights it is not true.
    dense = growth.apply(network.with_arrays(state.W), plan)
    assert np.abs(dense(X) - network.with_arrays(state.W)(X)).max() > 1e-3


@every_twin
def test_all_that_is_not_used_is_pruned_at_once(network, state, X):
    laws.prunes_all_that_is_not_used(splitlbi.support, network, state, X)
    laws.prunes_nothing_twice(splitlbi.support, network, state)
    breaks(laws.prunes_all_that_is_not_used, hesitant, network, state, X)
    breaks(laws.prunes_nothing_twice, hesitant, network, state)


def test_who_forgets_that_the_reader_must_be_read_prunes_too_little():
    network, state, X = TWINS["weight, tanh"]
    laws.prunes_only_what_is_not_used(near_sighted, network, state, X)
    breaks(laws.prunes_all_that_is_not_used, near_sighted, network, state, X)


@every_twin
def test_as_many_random_neurons_are_used(network, state, X):
    """Removing them changes the function, but for the draws that hit those not used."""
    rng, right = np.random.default_rng(0), splitlbi.support(state)
    sets = [set(edit.neurons) for edit in right.edits]
    for _ in range(30):
        plan = random_pruning(state, rng)
        if [set(e.neurons) for e in plan.edits] != sets:
            breaks(laws.prunes_only_what_is_not_used, lambda state, p=plan: p, network, state, X)


@every_twin
def test_where_all_is_used_nothing_is_pruned(network, state, X):
    laws.prunes_nothing(splitlbi.support, laws.in_use(network))
    breaks(laws.prunes_nothing, splitlbi.support, state)


@every_twin
def test_a_higher_threshold_prunes_no_fewer(network, state, X):
    counts = [
        sum(laws.pruned(splitlbi.support(replace(state, lam=lam))).values())
        for lam in (0.0, 0.3, 1.0, 2.0, 1e6)
    ]
    assert counts == sorted(counts)
    assert counts[0] == 0 and counts[-1] == sum(network.widths) - len(network.widths)
