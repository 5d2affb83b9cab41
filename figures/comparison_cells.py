"""Growing, pruning and fixed networks on the same tasks: the runs of `comparison`.

One hidden layer of tanh, which all methods accept: splits need two derivatives, TINY and GradMax a
slope at zero. All runs of a seed that grow start from the same network; all train by Adam, on the
same minibatches, for the same number of steps in all. A growth adds the same number of neurons; its
size comes from the same line search for all, on the samples trained on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from figures import lbi_digits
from figures.record import seed_for
from refgrow import (
    baselines,
    data,
    growth,
    losses,
    networks,
    s2d,
    s3d,
    splitlbi,
    tiny,
    tiny_growth,
    train,
)

GROWING = ("S2D", "S3D", "TINY", "TINY, cutoff", "GradMax", "random", "random, with update")
PRUNING, FIXED = "SplitLBI", "fixed"
METHODS = (*GROWING, PRUNING, FIXED)
COLUMNS = ("width", "parameters", "loss", "test loss", "accuracy", "largest weight", "seconds",
           "deciding")  # fmt: skip

CUTOFFS = {"TINY": None, "TINY, cutoff": tiny_growth.STABLE}  # None: exact solutions, as the paper

Task = Mapping[str, Any]


@cache
def _problem(name: str, seed: int, samples: int, tests: int, pooled: int) -> tuple[np.ndarray, ...]:
    """X and Y to learn from, X and Y to test on."""
    if name == "RBF":
        rng = np.random.default_rng(seed_for("comparison", "problem", seed))
        drawn = data.rbf_teacher(samples=samples + tests, rng=rng)
        X = drawn.X / drawn.X.std()
        Y = (drawn.Y - drawn.Y.mean()) / drawn.Y.std()
        return X[:samples], Y[:samples], X[samples:], Y[samples:]
    X, labels, X_test, labels_test = lbi_digits.digits(name, samples, tests)
    return _pooled(X, pooled), labels, _pooled(X_test, pooled), labels_test


def _pooled(X: np.ndarray, by: int) -> np.ndarray:
    """Means over squares of `by` times `by` pixels."""
    side = data.SIDE // by
    return X.reshape(len(X), side, by, side, by).mean(axis=(2, 4)).reshape(len(X), -1)


def problem(task: Task, seed: int) -> tuple[np.ndarray, ...]:
    """The data of a task; those of digits are the same for all seeds."""
    return _problem(
        task["data"],
        seed if task["data"] == "RBF" else 0,
        task["samples"],
        task["tests"],
        task.get("pooled", 1),
    )


def start(task: Task, seed: int, width: int) -> networks.MLP:
    """A random network of this width: normal weights, spread by task["spread"] over sqrt(inputs).

    Fan-ins have biases of the same spread where the task says so; the output has none.
    """
    X, Y, *_ = problem(task, seed)
    rng = np.random.default_rng(seed_for("comparison", "start", task["data"], seed, width))
    outputs = 1 if Y.ndim == 2 else 10
    scale = task["spread"] / X.shape[1] ** 0.5
    hidden = rng.normal(scale=scale, size=(width, X.shape[1]))
    biases = rng.normal(scale=task["biases"], size=width)
    out = rng.normal(scale=width**-0.5, size=(outputs, width))
    return networks.MLP(
        [np.column_stack([hidden, biases]), np.column_stack([out, np.zeros(outputs)])], "tanh"
    )


def decision(method: str, k: int, rng: np.random.Generator) -> Callable[..., growth.Plan]:
    """How a method chooses k new neurons, with its own size where it has one."""
    drawn: dict[str, Any] = {"layer": 0, "k": k, "downhill": True, "rng": rng}
    found: dict[str, Callable[..., growth.Plan]] = {
        "S2D": _searched(partial(s2d.decide, most=k)),
        "S3D": _searched(partial(s3d.decide, most=k, c=3.0, copies=2)),
        "GradMax": partial(baselines.gradmax, layer=0, k=k),
        "random": _searched(partial(baselines.random_neurons, **drawn)),
        "random, with update": _searched(
            partial(baselines.random_neurons, old_weights="sequential", **drawn)
        ),
    }
    for name, cutoff in CUTOFFS.items():
        found[name] = _always(partial(tiny.decide, layer=0, most=k, cutoff=cutoff))
    return found[method]


def _searched(decide: Callable[..., growth.Plan]) -> Callable[..., growth.Plan]:
    """The same decision, with the size of the line search.

    Where none helps, the neurons are added with their own small size, and old weights stay: where
    neurons are nearly dependent a best update is as large as they are alike.
    """

    def inner(network: Any, X: Any, Y: Any, loss: Any) -> growth.Plan:
        plan = decide(network, X, Y, loss)
        if not plan.edits:
            return plan

        def loss_at(size: float) -> float:
            return loss.value(growth.apply(network, plan, size)(X), Y)

        edits, size = plan.edits, tiny.amplitude(loss_at, 0.1)
        if size == 0:
            edits = tuple(edit for edit in edits if not isinstance(edit, growth.Move))
        return growth.Plan(edits, size or plan.size, plan.coefficient, plan.order, plan.remainder)

    return inner


def _always(decide: Callable[..., growth.Plan]) -> Callable[..., growth.Plan]:
    """TINY with its two amplitudes; where none helps small neurons and no move, as for the rest."""

    def inner(network: Any, X: Any, Y: Any, loss: Any) -> growth.Plan:
        plan = decide(network, X, Y, loss, line_search=True)
        grows = any(isinstance(edit, growth.Add) for edit in plan.edits)
        return plan if grows else decide(network, X, Y, loss, old_weights="fixed")

    return inner


class _Recorder:
    """What is kept of a run: a row each time a network of some width has been trained."""

    def __init__(self, task: Task, seed: int) -> None:
        self.X, self.Y, self.X_test, self.Y_test = problem(task, seed)
        self.loss = losses.get(task["loss"])
        self.rows: dict[str, list[float]] = {name: [] for name in COLUMNS}

    def look(self, network: networks.MLP, seconds: float, deciding: float = 0.0) -> None:
        outputs = network(self.X_test)
        row = {
            "width": network.widths[0],
            "parameters": sum(W.size for W in network.arrays),
            "loss": self.loss.value(network(self.X), self.Y),
            "test loss": self.loss.value(outputs, self.Y_test),
            "accuracy": float((outputs.argmax(axis=1) == self.Y_test).mean())
            if self.Y_test.ndim == 1
            else np.nan,
            "largest weight": max(float(np.abs(W).max()) for W in network.arrays),
            "seconds": seconds,
            "deciding": deciding,
        }
        for name, value in row.items():
            self.rows[name].append(float(value))

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: np.array(values) for name, values in self.rows.items()}


def run(*, task: dict[str, Any], method: str, seed: int, learning_rate: float) -> dict[str, Any]:
    """One run: by width, parameters, losses, accuracy, and seconds of one core (measured).

    The seconds are those of the process, in one thread: what a clock shows where the core is free.
    Looking at the network is not in them.
    """
    kept = _Recorder(task, seed)
    batches = seed_for("comparison", "batches", task["data"], seed)
    fit = partial(
        train.fit, X=kept.X, Y=kept.Y, loss=kept.loss, optimizer="adam",
        learning_rate=learning_rate, batch_size=task["batch_size"],
        rng=np.random.default_rng(batches),
    )  # fmt: skip
    fit(start(task, seed, task["widths"][0]), steps=1, rng=0)  # loads compiled loops, untimed
    if method == PRUNING:
        _selected(task, seed, fit, kept)
    elif method == FIXED:
        began = time.process_time()
        network = start(task, seed, task["widths"][-1])
        network, _ = fit(network, steps=task["steps"] * len(task["widths"]))
        kept.look(network, time.process_time() - began)
    else:
        _grown(task, seed, method, fit, kept)
    return kept.arrays()


def _grown(task: Task, seed: int, method: str, fit: Any, kept: _Recorder) -> None:
    widths: Sequence[int] = task["widths"]
    rng = np.random.default_rng(seed_for("comparison", "drawn", task["data"], seed))
    decide = decision(method, widths[1] - widths[0], rng)
    network, seconds, deciding = start(task, seed, widths[0]), 0.0, 0.0
    warm = decision(method, widths[1] - widths[0], np.random.default_rng(0))
    warm(network, kept.X, kept.Y, kept.loss)  # untimed, as above
    for phase in range(len(widths)):
        began = time.process_time()
        if phase > 0:
            network = growth.apply(network, decide(network, kept.X, kept.Y, kept.loss))
            deciding = time.process_time() - began
        network, _ = fit(network, steps=task["steps"])
        seconds += time.process_time() - began
        kept.look(network, seconds, deciding)


def _selected(task: Task, seed: int, fit: Any, kept: _Recorder) -> None:
    """SplitLBI on a wide network, its supports of these widths or fewer, trained further."""
    total, path = task["steps"] * len(task["widths"]), task["path"]
    network = start(task, seed, path["width"])
    groups = splitlbi.groups_of(network, by="input")[-path["width"] :]
    found: dict[int, tuple[int, float, splitlbi.State]] = {}
    steps, looking, began = -1, 0.0, time.process_time()

    def watch(state: splitlbi.State) -> None:
        nonlocal steps, looking
        looked = time.process_time()
        steps += 1
        used = _used(state)
        for width in path["targets"]:
            if used <= width and used > (_used(found[width][2]) if width in found else 0):
                found[width] = steps, looked - began - looking, splitlbi.snapshot(state)
        looking += time.process_time() - looked

    pair = splitlbi.optimizer(nu=path["nu"], kappa=1.0, lam=path["lam"], groups=groups,
                              momentum=0.9, like=network.arrays, watch=watch)  # fmt: skip
    fit(network, optimizer=pair, learning_rate=path["step"], steps=path["steps"])
    for width in path["targets"]:
        if width in found:
            taken, seconds, state = found[width]
            began = time.process_time()
            sparse = network.with_arrays(list(splitlbi.project(state)))
            sparse = growth.apply(sparse, splitlbi.support(state))
            sparse, _ = fit(sparse, steps=total - taken)
            kept.look(sparse, seconds + time.process_time() - began)


def _used(state: splitlbi.State) -> int:
    return int(splitlbi.mask(state)[-1][:, :-1].any(axis=0).sum())
