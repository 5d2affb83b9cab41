"""The laws of `laws.py`, for every way of growing there is, each with a decider that breaks it."""

from dataclasses import replace
from functools import partial

import laws
import numpy as np
import pytest
import strategies

from refgrow import baselines, growth, networks, neurons, s2d, s3d


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
# Keeps the function at size zero and predicts the change, whether it is a decrease or not.
SPLITS = {
    **{name: decide for name, (decide, _) in CRITERIA.items()},
    "random split": partial(baselines.random_split, most=2, rng=3),
    "random split along its gradient": partial(baselines.random_split_along_gradient, rng=3),
}


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
every_problem = pytest.mark.parametrize("case", PROBLEMS.values(), ids=PROBLEMS)
every_split = pytest.mark.parametrize("decide", SPLITS.values(), ids=SPLITS)
every_criterion = pytest.mark.parametrize("decide, rival", CRITERIA.values(), ids=CRITERIA)


def breaks(law, *arguments):
    with pytest.raises(AssertionError):
        law(*arguments)


@every_problem
@every_split
def test_size_zero_changes_nothing(decide, case):
    laws.unchanged_at_size_zero(decide, *case)


def moving(network, X, Y, loss):
    """Adds half of a neuron on top of everything."""
    p = len(network.arrays[1]) if isinstance(network, networks.MLP) else network(X).shape[1]
    fan_out = np.ones((p, 1))
    add = growth.Add(0, network.arrays[0][:1], fan_out, keep=0.5)
    return growth.Plan((add,), 0.1, -1.0, 1, 2)


@every_problem
def test_an_edit_that_changes_the_function_at_size_zero_is_seen(case):
    breaks(laws.unchanged_at_size_zero, moving, *case)


@every_problem
@every_split
def test_the_loss_changes_as_predicted_at_the_predicted_order(decide, case, evidence):
    plan = decide(*case)
    slope = laws.remainder_slope(plan, *case)
    evidence(order=slope.order, halvings=slope.halvings)
    assert slope.halvings >= laws.HALVINGS
    assert slope.order == pytest.approx(plan.remainder, abs=laws.ORDER)


@every_problem
@every_criterion
def test_a_criterion_promises_a_decrease_and_keeps_it(decide, rival, case):
    laws.predicts_at_its_order(decide, *case)
    laws.lowers_the_loss(decide, *case)


def mistaken(**changes):
    def decide(*case):
        return replace(s2d.decide(*case), **changes)

    return decide


@every_problem
def test_wrong_predictions_are_seen(case):
    right = s2d.decide(*case)
    for changes in (
        {"coefficient": 1.01 * right.coefficient},
        {"coefficient": 2 * right.coefficient},  # the half forgotten
        {"coefficient": -right.coefficient},
        {"remainder": 3},
        {"remainder": 5},
    ):
        breaks(laws.predicts_at_its_order, mistaken(**changes), *case)


@every_problem
@every_criterion
def test_random_edits_do_no_better(decide, rival, case):
    rng = np.random.default_rng(0)
    laws.beats([rival(*case, rng=rng) for _ in range(30)], decide, *case)


def test_a_worse_choice_is_seen():
    case = PROBLEMS["bump"]
    breaks(laws.beats, [s2d.decide(*case)], partial(baselines.random_split, rng=0), *case)


@every_criterion
@pytest.mark.parametrize("name", ["bump", "particle", "deep MLP", "one of everything"])
def test_nothing_is_edited_where_the_fit_is_perfect(decide, rival, name):
    network, X, *_ = PROBLEMS[name]
    laws.edits_nothing(decide, network, X, network(X), "squared")
    breaks(laws.edits_nothing, rival, network, X, network(X), "squared")


@every_problem
@every_split
def test_what_is_given_is_left_alone(decide, case):
    laws.leaves_its_input_alone(decide, *case)
    laws.does_not_depend_on_the_layout(decide, *case)


def test_a_decider_that_writes_into_its_input_is_seen():
    network, X, Y, loss = PROBLEMS["bump"]

    def careless(network, X, Y, loss):
        X += 1.0
        return s2d.decide(network, X, Y, loss)

    breaks(laws.leaves_its_input_alone, careless, network, X.copy(), Y, loss)
