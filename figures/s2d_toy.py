"""S2D's toy regression (appendix B.1) as cells: growing by every method, and single splits.

The scripts of Fig 1 a to d and Fig 5 share these cells, so each network is grown once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from figures.record import Setting, Settings, seed_for
from refgrow import baselines, data, growth, losses, networks, neurons, s2d, train

METHODS = (
    "splitting",
    "random split",
    "random split, gradient",
    "new initialisation",
    "gradient boosting",
    "from scratch",
)
SHOWN = (3, 8)  # the sizes of Fig 5
POINTS = 400  # of a loss curve that are kept

# What the paper leaves open: a base setting and one departure from it at a time.
BASE: dict[str, Any] = {
    "deviation": 3.0**0.5,
    "start_deviation": 1.0,
    "optimizer": "adam",
    "learning_rate": 0.005,
    "batch_size": None,
    "train_weights": False,
    "size": 0.001,
}
GRID: dict[str, dict[str, Any]] = {
    "base": {},
    "N(0, 3) by deviation": {"deviation": 3.0},
    "wide start": {"start_deviation": 3.0**0.5},
    "epsilon 0.01": {"size": 0.01},
    "epsilon 0.3": {"size": 0.3},
    "trained output weights": {"train_weights": True},
    "minibatch SGD": {"optimizer": "momentum", "learning_rate": 0.01, "batch_size": 100},
}


def settings(full: bool) -> Settings:
    """The settings that the toy figures share."""
    grid = "varied one at a time in --full: " + ", ".join(list(GRID)[1:])
    return {
        "most": Setting(8, "paper", "neurons at the end"),
        "teachers": Setting(15, "paper"),
        "samples": Setting(1000, "paper"),
        "half_width": Setting(5.0, "paper", "inputs are uniform on [-5, 5]"),
        "candidates": Setting(256, "ours", "gradient boosting: neurons drawn"),
        "restarts": Setting(8, "ours", "gradient boosting: the best of them, trained"),
        "steps": Setting(10_000 if full else 2_000, "ours", "a phase; the paper: to convergence"),
        "grid": Setting(list(GRID) if full else ["base"], "ours", grid),
        "base": Setting(BASE, "ours", "N(0, 3) by variance; Adam at 0.005 as in S3D 4.1"),
        "departures": Setting(GRID, "ours"),
        "seeds": Setting(list(range(10)), "ours", "one target and one start each"),
    }


PASSED = ("steps", "most", "teachers", "samples", "half_width", "candidates", "restarts")


def cells(settings: Settings, **more: Any) -> list[dict[str, Any]]:
    """One cell's arguments for every setting of the grid and every target."""
    passed = {name: settings[name].value for name in PASSED}
    return [
        {"seed": seed, **passed, **BASE, **GRID[name], **more}
        for name in settings["grid"].value
        for seed in settings["seeds"].value
    ]


def by_setting(results: list[Any], settings: Settings, methods: int = 1) -> list[list[list[Any]]]:
    """Results of `cells` for each method, as nested lists: method, setting of the grid, target."""
    n, g = len(settings["seeds"].value), len(settings["grid"].value)
    return [
        [results[(m * g + k) * n : (m * g + k + 1) * n] for k in range(g)] for m in range(methods)
    ]


def shares(
    grid: list[str], holds: np.ndarray, floor: np.ndarray | None = None
) -> dict[str, float | None]:
    """In which share of the targets a claim holds, setting by setting: holds (settings, targets).

    With `floor` of the same shape also for targets of one sign and of both, over all settings.
    """
    found: dict[str, float | None] = {
        name: float(row.mean()) for name, row in zip(grid, holds, strict=True)
    }
    if floor is not None:
        for name, kind in (("one sign", floor <= ONE_SIGN), ("both signs", floor > ONE_SIGN)):
            found[f"targets of {name}"] = float(holds[kind].mean()) if kind.any() else None
    return found


ONE_SIGN = 1e-3  # the floor up to which a target counts as of one sign


def one_sign_floor(Y: np.ndarray) -> float:
    """The least MSE / variance of any function that is nowhere positive, or nowhere negative.

    The best non-negative fit of y is max(y, 0): what remains is the part of the other sign.
    """
    other = min((np.maximum(Y, 0) ** 2).mean(), (np.minimum(Y, 0) ** 2).mean())
    return float(other / Y.var())


def problem(seed: int, setting: Mapping[str, Any]) -> data.Problem:
    """The target and its samples."""
    named = {name: setting[name] for name in ("deviation", "teachers", "samples", "half_width")}
    return data.rbf_teacher(**named, rng=np.random.default_rng(seed_for("toy", seed)))


def target_curve(settings: Settings, seed: int, x: np.ndarray) -> np.ndarray:
    """The target in the base setting on the points x (k,)."""
    base = next(cell for cell in cells(settings) if cell["seed"] == seed)
    teacher = problem(seed, base).teacher
    if teacher is None:
        raise ValueError("this problem was not made by a network.")
    return teacher(x[:, None])[:, 0]


@dataclass(frozen=True, eq=False)
class Grown:
    """The networks of every size that a method went through, and the loss along its steps."""

    sizes: dict[int, networks.Shallow]
    curve: np.ndarray


def grow(*, method: str, seed: int, most: int, **setting: Any) -> dict[str, Any]:
    """One target fitted by one method, from one neuron to `most`.

    `setting` holds the other keys of `cells`. Returns the relative MSE (MSE without the 1/2,
    over the variance of the target) along the steps, at the end of every phase, and the networks
    of every size.
    """
    target = problem(seed, setting)
    X, Y = target.X, target.Y
    sample = partial(_sample, deviation=setting["start_deviation"])
    rng = np.random.default_rng(seed_for("toy", seed, method))
    first = sample(np.random.default_rng(seed_for("toy", seed, "start")), 1)
    start = networks.Shallow(first, np.ones(1), neurons.bump)
    fit = {name: setting[name] for name in ("optimizer", "learning_rate", "batch_size", "steps")}
    weights = setting["train_weights"]
    if method == "from scratch":
        grown = _from_scratch(start, X, Y, most, sample, rng, {**fit, "train_weights": weights})
    elif method == "gradient boosting":
        search = {name: setting[name] for name in ("candidates", "restarts")}
        grown = _boost(start, X, Y, most, sample, rng, fit, search)
    else:
        decide = _decide(method, setting["size"], sample, rng)
        sizes: dict[int, networks.Shallow] = {}
        last, history = train.fit_and_grow(
            start, X, Y, losses.squared, decide=_remembering(decide, sizes), growths=most - 1,
            train_weights=weights, rng=rng, **fit,
        )  # fmt: skip
        grown = Grown(sizes | {len(last.theta): last}, history.loss)
    variance = float(Y.var())
    ends = np.full(most, np.nan)
    for m, network in grown.sizes.items():
        ends[m - 1] = 2 * losses.squared.value(network(X), Y) / variance
    kept = np.unique(np.linspace(0, len(grown.curve) - 1, POINTS).astype(int))
    return {
        "steps": kept,
        "curve": 2 * grown.curve[kept] / variance,
        "ends": ends,
        "variance": variance,
        "floor": one_sign_floor(Y),
        **{f"theta{m}": network.theta for m, network in grown.sizes.items()},
        **{f"weights{m}": network.weights for m, network in grown.sizes.items()},
    }


def _decide(
    method: str, size: float, sample: baselines.Sampler, rng: np.random.Generator
) -> Callable[..., growth.Plan]:
    """How a method that trains all neurons gets its next one."""
    return {
        "splitting": partial(s2d.decide, size=size),
        "random split": partial(baselines.random_split, size=size, rng=rng),
        "random split, gradient": partial(
            baselines.random_split_along_gradient, size=size, rng=rng
        ),
        "new initialisation": partial(baselines.new_initialisation, sample=sample, rng=rng),
    }[method]


def _from_scratch(
    start: networks.Shallow, X: Any, Y: Any, most: int, sample: Any, rng: Any, fit: dict[str, Any]
) -> Grown:
    """A network of the final size, with as many steps as all phases of growing together."""
    sizes, curve = {}, np.empty(0)
    for m in sorted({m for m in SHOWN if m < most} | {most}):
        fresh = baselines.scratch(start, m, sample=sample, rng=rng)
        budget = {**fit, "steps": m * fit["steps"]}
        sizes[m], history = train.fit(fresh, X, Y, losses.squared, rng=rng, **budget)
        curve = history.loss
    return Grown(sizes, curve)


def _boost(
    start: networks.Shallow,
    X: Any,
    Y: Any,
    most: int,
    sample: Any,
    rng: Any,
    fit: dict[str, Any],
    search: dict[str, Any],
) -> Grown:
    """Frank-Wolfe: a phase trains the new neuron alone, and its curve is the best restart's."""
    network, history = train.fit(start, X, Y, losses.squared, rng=rng, **fit)
    sizes, curves = {1: network}, [history.loss]
    for m in range(2, most + 1):
        theta, history = baselines.greedy_neuron(
            network, X, Y, losses.squared, sample=sample, rng=rng, **search, **fit
        )
        add = growth.Add(0, theta, np.ones((1, 1)))
        network = growth.apply(network, growth.Plan((add,), 1.0, 0.0, 0, 1))
        sizes[m] = network
        curves.append(history.loss)
    return Grown(sizes, np.concatenate(curves))


def look_at_splits(*, seed: int, angles: list[float], most: int, **setting: Any) -> dict[str, Any]:
    """Grow to one neuron less than `most` by splitting, then try other splits of that network.

    Returns, for the five neurons of lowest splitting index, the decrease of the MSE right after the
    split and after retraining; and for the first of them the same along directions at the given
    angles from v_min, in the planes of v_min and each other eigenvector. Retraining is compared
    with as many further steps without a split.
    """
    at = most - 1
    grown = grow(method="splitting", seed=seed, most=at, **setting)
    target = problem(seed, setting)
    X, Y = target.X, target.Y
    network = networks.Shallow(grown[f"theta{at}"], grown[f"weights{at}"], neurons.bump)
    size = setting["size"]
    fit = partial(
        train.fit, X=X, Y=Y, loss=losses.squared, steps=setting["steps"],
        optimizer=setting["optimizer"], learning_rate=setting["learning_rate"],
        batch_size=setting["batch_size"], train_weights=setting["train_weights"],
        rng=seed_for("toy", seed, "retrain"),
    )  # fmt: skip
    unsplit = 2 * fit(network)[1].fun
    before = 2 * losses.squared.value(network(X), Y)

    def decreases(neuron: int, direction: np.ndarray) -> tuple[float, float]:
        pair = np.array([direction, -direction])
        split = growth.Split(0, neuron, np.array([0.5, 0.5]), pair)
        after = growth.apply(network, growth.Plan((split,), size, 0.0, 2, 4))
        now = 2 * losses.squared.value(after(X), Y)
        return before - now, unsplit - 2 * fit(after)[1].fun

    S = s2d.splitting_matrices(network, X, Y, losses.squared)[0]
    lam, v = s2d.splitting_indices(S)
    ranked = np.argsort(lam)[:5]
    by_neuron = np.array([decreases(j, v[j]) for j in ranked])
    top = ranked[0]
    vectors = np.linalg.eigh(S[top])[1]
    by_angle = np.array(
        [
            [decreases(top, np.cos(a) * vectors[:, 0] + np.sin(a) * vectors[:, k]) for a in angles]
            for k in (1, 2)
        ]
    )
    return {
        # Eigenvalues of the MSE: twice those of the squared loss with its half.
        "eigenvalues": 2 * lam[ranked],
        "spectrum": 2 * np.linalg.eigvalsh(S[top]),
        "immediate": by_neuron[:, 0],
        "retrained": by_neuron[:, 1],
        "angle_immediate": by_angle[:, :, 0],
        "angle_retrained": by_angle[:, :, 1],
        "before": before,
        "unsplit": unsplit,
        "variance": grown["variance"],
    }


def _sample(rng: np.random.Generator, k: int, *, deviation: float) -> np.ndarray:
    return rng.normal(scale=deviation, size=(k, 3))


def _remembering(
    decide: Callable[..., growth.Plan], sizes: dict[int, networks.Shallow]
) -> Callable[..., growth.Plan]:
    """The same decision, keeping the network it was asked about under its size."""

    def inner(network: networks.Shallow, X: Any, Y: Any, loss: Any) -> growth.Plan:
        sizes[len(network.theta)] = network
        return decide(network, X, Y, loss)

    return inner
