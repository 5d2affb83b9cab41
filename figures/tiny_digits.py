"""Networks grown on digits from widths [1, 1] by TINY and by random neurons, as shared cells.

The loop of section 4: some steps of Adam, then every hidden layer in turn is extended, and so on;
the rest of the steps at the end. Digits as in `lbi_digits`; those rendered from fonts are reduced
to 14 x 14, or there would not be enough of them to estimate what 785 inputs could do.

Seconds are those of one thread's processor: the wall time of a machine that does nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np

from figures import lbi_digits
from figures.record import Setting, Settings, seed_for
from refgrow import activations, baselines, growth, losses, networks, tiny, tiny_growth

LOSS = lbi_digits.LOSS
# How much lower an accuracy on the tests may be and still count as similar, in all figures.
SIMILAR = lbi_digits.COMPARABLE
# How a layer is extended. Without another word, old weights move first, as in the paper.
BEST, JOINT, BEST_FIXED = "best", "best, jointly", "best, old weights stay"
RANDOM, RANDOM_FIXED = "random", "random, old weights stay"
CUTOFF = tiny_growth.STABLE  # of what is called best here, where nothing else is said
METHODS = (BEST, JOINT, BEST_FIXED, RANDOM, RANDOM_FIXED)
OLD_WEIGHTS = {BEST: "sequential", JOINT: "joint", BEST_FIXED: "fixed"}


def common(full: bool) -> dict[str, Setting]:
    """The settings that all of TINY's digit figures share."""
    name, content, why = lbi_digits.source(full)
    paper = name == "MNIST"
    return {
        "data": Setting(name, "paper" if paper else "ours", why),
        "content": Setting(content, "ours", "which images: a hash, or the version of the drawing"),
        "samples": Setting(60_000 if full else 1_600, "paper" if paper else "ours", "the first"),
        "tests": Setting(5_000 if full else 1_000, "ours", "images to test on, the first ones"),
        "pixels": Setting(28 if full else 14, "paper" if full else "ours",
                          "a side; 14: means of 2 x 2, for 1600 images do not tell 784 apart"),
        "activation": Setting("selu", "paper"),
        "batch_size": Setting(100, "paper"),
        "start": Setting([1, 1], "paper", "Kaiming normal, biases zero"),
        "estimation": Setting("printed", "paper", "100 images, times sqrt(max of the widths "
                              "around) at each round"),
        "limit": Setting(20_000 if full else 1_600, "ours", "images at most, drawn anew; the "
                         "printed rule is beyond all of MNIST after two rounds"),
        "neurons": Setting("rank", "ours", "of the matrix of Prop 3.2; the paper adds its smaller "
                           "side, of which one neuron in layer 2 is zero"),
    }  # fmt: skip


def growing(full: bool) -> dict[str, Setting]:
    """The settings of the figures that grow, as in section 4."""
    return {
        **common(full),
        "rounds": Setting(8 if full else 6, "paper", "Figs 5 and 6, and Figs 9 and 13; in each "
                          "round both layers are extended"),
        "interval": Setting(50 if full else 20, "ours", "steps between rounds; the paper: 0.05 s"),
        "steps": Setting(2_500 if full else 300, "ours", "in all; the paper: 50 s"),
        "rates": Setting([1e-4] if full else [1e-3], "paper" if full else "ours",
                         "of Adam; in so few steps the paper's 0.0001 does not get far"),
        "every": Setting(50 if full else 20, "ours", "steps between looks"),
        "cutoff": Setting(CUTOFF, "ours", "singular values below this part of the largest count as "
                          "zero; the paper has none, and its growth goes wrong in later rounds"),
        "seeds": Setting(list(range(20 if full else 5)), "paper" if full else "ours", "starts"),
    }  # fmt: skip


def growths(settings: Settings, rate: float, **more: Any) -> list[dict[str, Any]]:
    """The arguments of trainings that grow from [1, 1], by seed; the same in all figures."""
    names = ("rounds", "interval", "steps", "every", "cutoff")
    given = {name: settings[name].value for name in names}
    return [
        {**passed(settings), "seed": seed, "widths": settings["start"].value, "rate": rate,
         **given, **more}
        for seed in settings["seeds"].value
    ]  # fmt: skip


PASSED = ("data", "content", "samples", "tests", "pixels", "limit", "activation", "batch_size")


def passed(settings: Settings) -> dict[str, Any]:
    """The part of a cell's arguments that `common` sets."""
    return {name: settings[name].value for name in PASSED}


@cache
def digits(name: str, samples: int, tests: int, pixels: int) -> tuple[np.ndarray, ...]:
    """X, labels to learn from, and X, labels to test on; images of so many pixels a side."""
    X, Y, X_test, Y_test = lbi_digits.digits(name, samples, tests)
    block = 28 // pixels
    if block == 1:
        return X, Y, X_test, Y_test

    def reduced(images: np.ndarray) -> np.ndarray:
        parts = images.reshape(-1, pixels, block, pixels, block)
        return np.ascontiguousarray(parts.mean(axis=(2, 4)).reshape(len(images), -1))

    return reduced(X), Y, reduced(X_test), Y_test


def start(seed: int, inputs: int, widths: Sequence[int], activation: str) -> networks.MLP:
    """Kaiming normal: N(0, 2 / inputs), no biases."""
    rng = np.random.default_rng(seed_for("TINY digits", "start", seed))
    sizes = (inputs, *widths, 10)
    return networks.MLP(
        [
            np.column_stack([rng.normal(scale=(2 / a) ** 0.5, size=(b, a)), np.zeros(b)])
            for a, b in pairwise(sizes)
        ],
        activation,
    )


# Extending one layer ----------------------------------------------------------------------------


def most(network: networks.MLP, layer: int) -> int:
    """How many neurons are added to a layer: the rank of the matrix of Prop 3.2.

    What old weights leave over is orthogonal to ones, and a softmax's gradients sum to zero.
    """
    around = (network.arrays[0].shape[1] - 1, *network.widths, len(network.arrays[-1]))
    return min(around[layer], around[layer + 2] - (layer == len(network.widths) - 1))


def extended(
    network: networks.MLP,
    X: np.ndarray,
    Y: np.ndarray,
    layer: int,
    method: str,
    rng: Any,
    cutoff: float | None = None,
) -> tuple[networks.MLP, growth.Plan]:
    """The network with that layer extended, and the plan that added the neurons.

    Where there are none, it is the plan of the move of old weights, without edits if they stay.

    Random neurons get the sign that lowers the loss, each, and an amplitude together: more than
    the paper gives them. For both kinds old weights move first where they do, the signs are chosen
    at the moved weights, and where no size of the neurons lowers the loss the move stays.
    """
    k = most(network, layer)
    alone = growth.Plan((), 1.0, 0.0, 1, 2, "No size lowers the loss.")
    if method in OLD_WEIGHTS:
        plan = tiny.decide(
            network, X, Y, LOSS, layer=layer, most=k, old_weights=OLD_WEIGHTS[method],
            line_search=True, size=1.0, cutoff=cutoff,
        )  # fmt: skip
        return (growth.apply(network, plan) if plan.edits else network), plan
    if method == RANDOM:
        update = best_update_plan(network, X, Y, layer + 1, cutoff)
        moved = searched(network, update, X, Y)
        if moved > 0:
            alone, network = replace(update, size=moved), growth.apply(network, update, moved)
    plan = baselines.random_neurons(network, X, Y, LOSS, layer=layer, k=k, downhill=True, rng=rng)
    size = searched(network, plan, X, Y)
    if size == 0:
        return network, alone
    return growth.apply(network, plan, size), plan


def best_update_plan(
    network: networks.MLP, X: np.ndarray, Y: np.ndarray, layer: int, cutoff: float | None = None
) -> growth.Plan:
    """The best update of one layer's weights, Prop 3.1, and nothing else."""
    V = tiny.desired_updates(network, X, Y, LOSS)[layer]
    B = network.forward(X).inputs[layer]
    update = tiny.best_update(B, V, cutoff=cutoff)
    slope = -float(np.vdot(V, B @ update.T)) / len(V)
    return growth.Plan((growth.Move(layer, update),), 1.0, slope, 1, 2)


def searched(network: networks.MLP, plan: growth.Plan, X: np.ndarray, Y: np.ndarray) -> float:
    """The size of a plan of one edit by line search; 0 where none lowers the loss.

    As in `tiny.decide`, what does not change with the size is computed once.
    """
    (edit,), trace = plan.edits, network.forward(X)
    sigma = activations.get(network.activation).value
    loss = losses.get(LOSS)
    fan_out: np.ndarray | None = None
    if isinstance(edit, growth.Move):
        reader, fed = edit.layer, trace.inputs[edit.layer] @ edit.direction.T
    elif isinstance(edit, growth.Add):
        reader, fed = edit.layer + 1, trace.inputs[edit.layer] @ edit.fan_in.T
        fan_out = edit.fan_out.T
    else:
        raise TypeError(f"searched takes a plan of one Move or one Add; got {edit!r}.")

    def loss_at(size: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            A = size * fed if fan_out is None else sigma(size * fed) @ fan_out
            A += trace.states[reader]
            for W in network.arrays[reader + 1 :]:
                A = sigma(A) @ W[:, :-1].T + W[:, -1]
            return float(loss.samples(A, Y).mean())

    return tiny.amplitude(loss_at)


def mean_loss(network: networks.MLP, X: np.ndarray, Y: np.ndarray) -> float:
    return float(losses.get(LOSS).samples(network(X), Y).mean())


# Cells ------------------------------------------------------------------------------------------


def trained(
    *,
    seed: int,
    widths: list[int],
    steps: int,
    rate: float,
    every: int,
    rounds: int = 0,
    interval: int = 0,
    method: str = BEST,
    estimation: str = "printed",
    cutoff: float | None = None,
    mapped: bool = False,
    **setting: Any,
) -> dict[str, Any]:
    """One training from the given widths, in which every layer is extended `rounds` times.

    Each round, after `interval` steps, estimates layer after layer on images drawn anew, `limit` at
    most; what is left of the steps comes at the end. Without rounds, a training of fixed widths.

    Returns, by look (after every `every` steps, and before and after each round): steps, seconds,
    the loss of up to 1000 of the images to learn from, the accuracy on the tests. By round, the
    start included: widths. By round and layer: the images that were drawn, the loss on them before
    and after, the number of neurons, the mean and the largest of lambda^2, the desired update
    mean |V|^2 of the layer that reads the neurons. If `mapped`, by round and layer, the output
    included: the four parts of its bottleneck on those images, before the round and at the end.

    Raises FloatingPointError where the training diverges: there is no figure then, and it is said
    of which training.
    """
    X, Y, *tests = digits(*(setting[name] for name in ("data", "samples", "tests", "pixels")))
    batches, drawn = (np.random.default_rng(seed_for("TINY digits", name, seed))
                      for name in ("batches", "estimation"))  # fmt: skip
    looks: dict[str, list[float]] = {"steps": [], "seconds": [], "loss": [], "test": []}

    def look(step: int, network: networks.MLP, seconds: float) -> None:
        seen = mean_loss(network, X[:1000], Y[:1000]), networks.accuracy(network, *tests)
        for values, value in zip(looks.values(), (step, seconds, *seen), strict=True):
            values.append(value)

    _, record = tiny_growth.grow(
        start(seed, X.shape[1], widths, setting["activation"]), X, Y, LOSS, rounds=rounds,
        steps=lambda phase: interval if phase < rounds else steps - rounds * interval,
        learning_rate=rate, batch_size=setting["batch_size"],
        estimation=estimation, limit=setting["limit"], map_bottlenecks=mapped,
        extend=partial(_extend, method=method, cutoff=cutoff),
        watch=look, watch_every=every, clock=time.process_time, rng=batches, estimation_rng=drawn,
    )  # fmt: skip
    if not record.success:
        raise FloatingPointError(record.message)
    squares = [[lam**2 for lam in row] for row in record.strengths]
    by_layer = {
        "neurons": [[len(s) for s in row] for row in squares],
        "mean": [[s.mean() if len(s) else 0.0 for s in row] for row in squares],
        "largest": [[s.max(initial=0.0) for s in row] for row in squares],
        **{name: getattr(record, name) for name in ("drawn", "before", "after", "desired")},
    }
    result = {
        **looks,
        "widths": record.widths,
        **{name: np.reshape(values, (rounds, len(widths))) for name, values in by_layer.items()},
    }
    if mapped:
        result["bottlenecks"] = record.bottlenecks
    return {name: np.array(values) for name, values in result.items()}  # fmt: skip


def _extend(
    network: networks.MLP, X: np.ndarray, Y: np.ndarray, layer: int, rng: Any, *, method: str,
    cutoff: float | None,
) -> tuple[networks.MLP, growth.Plan]:  # fmt: skip
    return extended(network, X, Y, layer, method, rng, cutoff)


def by_seed(results: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    """One quantity, by seed and look."""
    return np.array([result[name] for result in results])


def clock(results: Sequence[dict[str, Any]]) -> np.ndarray:
    """Seconds by look: the median over the seeds of what each stretch between two looks took.

    The paper averages them; what disturbs the machine once should not count.
    """
    stretches = np.diff(by_seed(results, "seconds"), axis=1, prepend=0.0)
    return np.cumsum(np.median(stretches, axis=0))


def at_time(results: Sequence[dict[str, Any]], seconds: float) -> np.ndarray:
    """Accuracy on the tests by seed at a time, between looks on the straight line."""
    times = clock(results)
    return np.array([np.interp(seconds, times, row) for row in by_seed(results, "test")])


def at_step(results: Sequence[dict[str, Any]], step: int) -> np.ndarray:
    """Accuracy on the tests by seed at the last look not after a step."""
    steps = by_seed(results, "steps")[0]
    return by_seed(results, "test")[:, np.flatnonzero(steps <= step)[-1]]
