"""S3D's toy regression (section 4.1, eq 14) as cells: growing by positive and by signed splits.

The scripts of Fig 2 a to d share these cells, so each network is grown once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from figures import s2d_toy, style
from figures.record import Setting, Settings, seed_for
from refgrow import data, growth, losses, networks, neurons, s2d, s3d, train

# Copies of a split neuron, by method.
COPIES = {"S2D": 2, "m = 2": 2, "m = 3": 3, "m = 4": 4, "m = 3, printed": 3}
METHODS = ("S2D", "m = 2", "m = 3", "m = 4")
SIGNED = METHODS[1:]
POINTS = 400  # of a loss curve that are kept
MOST = 13  # 1 + 12 = 1 + 6 * 2 = 1 + 4 * 3: a size that all methods can reach
RECOVERED = 0.01
LOOKS: dict[str, dict[str, str]] = {
    "S2D": {"color": style.BLUE, "linestyle": "-", "marker": "o"},
    "m = 2": {"color": style.VERMILION, "linestyle": "--", "marker": "s"},
    "m = 3": {"color": style.GREEN, "linestyle": "-.", "marker": "^"},
    "m = 4": {"color": style.PURPLE, "linestyle": ":", "marker": "D"},
}
NEURON = neurons.ridge("gaussian")

# What the paper leaves open: a base setting and one departure from it at a time.
BASE: dict[str, Any] = {
    "deviation": 3.0**0.5,
    "start_deviation": 1.0,
    "start_weight": None,
    "train_weights": True,
    "size": 0.01,
}
GRID: dict[str, dict[str, Any]] = {
    "base": {},
    "N(0, 3) by deviation": {"deviation": 3.0},
    "wide start": {"start_deviation": 3.0**0.5},
    "epsilon 0.001": {"size": 0.001},
    "epsilon 0.1": {"size": 0.1},
    "fixed output weights": {"train_weights": False},
    "fixed, N(0, 3) by deviation": {"train_weights": False, "deviation": 3.0},
    "fixed, start weight 10": {"train_weights": False, "start_weight": 10.0},
}
QUICK = ("base", "fixed output weights")


def settings(full: bool) -> Settings:
    """The settings that the toy figures share."""
    grid = "departures from the base, all of them in --full: " + ", ".join(list(GRID)[1:])
    return {
        "c": Setting(3.0, "paper"),
        "most": Setting(MOST, "ours", "neurons at the end: a size that m = 2, 3 and 4 all reach"),
        "teachers": Setting(15, "paper"),
        "samples": Setting(1000, "paper"),
        "half_width": Setting(5.0, "paper", "inputs are uniform on [-5, 5]"),
        "learning_rate": Setting(0.005, "paper", "Adam, full batch"),
        "steps": Setting(10_000 if full else 1_000, "paper" if full else "ours",
                         "times m - 1, a phase; the paper: 10 000"),
        "grid": Setting(list(GRID if full else QUICK), "ours", grid),
        "base": Setting(BASE, "ours", "N(0, 3) by variance; trained weights; epsilon of S3D 4.2"),
        "departures": Setting(GRID, "ours"),
        "recovered": Setting(RECOVERED, "ours", "MSE / variance from which a target is fitted"),
        "seeds": Setting(list(range(10)), "ours", "the targets and starts of S2D's toy figures"),
    }  # fmt: skip


PASSED = ("c", "most", "teachers", "samples", "half_width", "learning_rate", "steps")


def cells(settings: Settings, **more: Any) -> list[dict[str, Any]]:
    """One cell's arguments for every setting of the grid and every target."""
    passed = {name: settings[name].value for name in PASSED}
    return [
        {"seed": seed, **passed, **BASE, **GRID[name], **more}
        for name in settings["grid"].value
        for seed in settings["seeds"].value
    ]


def readings(grid: list[str]) -> dict[str, np.ndarray]:
    """The settings with trained and those with fixed output weights: masks of the grid.

    The paper does not say which it means, and most claims hold under one of the two only, so each
    is judged under both.
    """
    trained = np.array([{**BASE, **GRID[name]}["train_weights"] for name in grid])
    found = {"output weights trained": trained, "output weights fixed": ~trained}
    return {name: rows for name, rows in found.items() if rows.any()}


def shares(grid: list[str], holds: np.ndarray, floor: np.ndarray) -> dict[str, float | None]:
    """In which share of the targets a claim holds: by setting, and by the floor of positive splits.

    `holds` and `floor` have the shape (settings, targets).
    """
    found = s2d_toy.shares(grid, holds)
    for name, kind in (
        ("positive splits can fit", floor <= s2d_toy.ONE_SIGN),
        ("positive splits cannot", floor > s2d_toy.ONE_SIGN),
    ):
        found[name] = float(holds[kind].mean()) if kind.any() else None
    return found


def problem(seed: int, setting: Mapping[str, Any]) -> data.Problem:
    """The target and its samples: those of `s2d_toy`, with a column of ones."""
    named = {name: setting[name] for name in ("deviation", "teachers", "samples", "half_width")}
    return data.ridge_teacher(**named, rng=np.random.default_rng(seed_for("toy", seed)))


def by_size(result: Mapping[str, Any], k: int) -> float:
    """The relative MSE at the end of the last phase with at most k neurons."""
    return float(result["ends"][result["sizes"] <= k][-1])


def network_of(result: Mapping[str, Any], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Theta and output weights at the end of the last phase with at most k neurons."""
    phase = int(np.flatnonzero(result["sizes"] <= k)[-1])
    return result[f"theta{phase}"], result[f"weights{phase}"]


def positive_floor(Y: np.ndarray, weight: float | None) -> float:
    """The least MSE / variance that positive splits can reach.

    The fractions of all copies of the first neuron are positive and sum to one, and the Gaussian
    lies between 0 and 1: with fixed output weights the network's function stays between 0 and the
    first neuron's weight. Where the weights are trained (None) it keeps one sign, as long as none
    of them is trained through zero.
    """
    if weight is None:
        return s2d_toy.one_sign_floor(Y)
    low, high = min(weight, 0.0), max(weight, 0.0)
    return float(((Y - np.clip(Y, low, high)) ** 2).mean() / Y.var())


def start(seed: int, setting: Mapping[str, Any]) -> networks.Shallow:
    """The first neuron: the first bump of `s2d_toy`, its amplitude as the output weight."""
    rng = np.random.default_rng(seed_for("toy", seed, "start"))
    a, b, w = rng.normal(scale=setting["start_deviation"], size=3)
    if setting["start_weight"] is not None:
        w = np.copysign(setting["start_weight"], w)
    return networks.Shallow(np.array([[a, b]]), np.array([w]), NEURON)


def curve(theta: np.ndarray, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The function of a grown network on the points x (k,)."""
    X = np.column_stack([x, np.ones(len(x))])
    return networks.Shallow(theta, weights, NEURON)(X)[:, 0]


def grow(*, method: str, seed: int, most: int, **setting: Any) -> dict[str, Any]:
    """One target fitted by one method, from one neuron to `most`.

    `setting` holds the other keys of `cells`. A method that finds nothing to split trains on, and
    is asked again after each phase: all methods of m copies take the same number of steps. Returns
    the relative MSE (MSE without the 1/2, over the variance of the target) along the steps and by
    phase, what was split, and the networks.
    """
    target, network = problem(seed, setting), start(seed, setting)
    X, Y, variance = target.X, target.Y, float(target.Y.var())
    fixed = None if setting["train_weights"] else float(network.weights[0])
    decide = _decide(method, setting["c"], setting["size"])
    added = COPIES[method] - 1
    fit = partial(
        train.fit, X=X, Y=Y, loss=losses.squared, steps=added * setting["steps"],
        learning_rate=setting["learning_rate"], train_weights=setting["train_weights"],
    )  # fmt: skip
    found: dict[str, Any] = {}
    losses_, sizes, ends, split, negative = [], [], [], [], []
    for phase in range(1 + (most - 1) // added):
        network, history = fit(network)
        pairs = s2d.extremes(network, X, Y, losses.squared)[0]
        losses_.append(history.loss)
        sizes.append(len(network.theta))
        ends.append(2 * history.fun / variance)
        found |= {f"theta{phase}": network.theta, f"weights{phase}": network.weights,
                  f"lam_min{phase}": pairs.lam_min, f"lam_max{phase}": pairs.lam_max}  # fmt: skip
        plan = decide(network, X, Y, losses.squared)
        neuron, signed = chosen(plan)
        split.append(neuron)
        negative.append(signed)
        if phase < (most - 1) // added:
            network = growth.apply(network, plan)
    whole = np.concatenate(losses_)
    kept = np.unique(np.linspace(0, len(whole) - 1, POINTS).astype(int))
    return {
        "steps": kept,
        "curve": 2 * whole[kept] / variance,
        "starts": np.cumsum([0] + [len(part) for part in losses_[:-1]]),
        "sizes": np.array(sizes),
        "ends": np.array(ends),
        "split": np.array(split),
        "negative": np.array(negative),
        "variance": variance,
        "floor": positive_floor(Y, fixed),
        **found,
    }


def chosen(plan: growth.Plan) -> tuple[int, bool]:
    """The one neuron that is split, -1 for none, and whether a copy has a negative fraction."""
    for edit in plan.edits:
        if isinstance(edit, growth.Split):
            return edit.neuron, bool(edit.fractions.min() < 0)
    return -1, False


def _decide(method: str, c: float, size: float) -> Callable[..., growth.Plan]:
    if method == "S2D":
        return partial(s2d.decide, size=size)
    if method == "m = 3, printed":
        return partial(printed_triplet, c=c, size=size)
    return partial(s3d.decide, c=c, copies=COPIES[method], size=size)


def printed_scheme(S: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and directions of the triplet of Theorem 2.2, eq 9 or 10, whichever gains more."""
    values, vectors = np.linalg.eigh(S)
    a, b = (c + 1) / 2, (c - 1) / 2
    if -a * values[0] >= b * values[-1]:
        v, w = vectors[:, 0], [a / 2, a / 2, -b]
    else:
        v, w = vectors[:, -1], [-b / 2, -b / 2, a]
    return np.array(w), np.array([v, -v, 0 * v])


def printed_triplet(
    network: networks.Shallow, X: Any, Y: Any, loss: Any, *, c: float, size: float
) -> growth.Plan:
    """`s3d.decide` with three copies, by Theorem 2.2 as printed."""
    pairs = s2d.extremes(network, X, Y, loss)[0]
    gains = s3d.printed_triplet_gain(pairs.lam_min, pairs.lam_max, c)
    j = int(np.argmin(gains))
    if gains[j] == 0:
        return growth.Plan((), size, 0.0, 2, 4)
    S = s2d.splitting_matrices(network, X, Y, loss)[0][j]
    split = growth.Split(0, j, *printed_scheme(S, c))
    return growth.Plan((split,), size, 0.5 * float(gains[j]), 2, 4)


def look_at_choices(*, seed: int, most: int, **setting: Any) -> dict[str, Any]:
    """Grow to `most` neurons by S3D, m = 2, then split as S2D and as S3D would, and retrain.

    Decreases and losses are relative MSEs; `gains` the predicted decreases.
    """
    grown = grow(method="m = 2", seed=seed, most=most, **setting)
    target = problem(seed, setting)
    X, Y, variance = target.X, target.Y, grown["variance"]
    phase = most - 1
    network = networks.Shallow(grown[f"theta{phase}"], grown[f"weights{phase}"], NEURON)
    fit = partial(
        train.fit, X=X, Y=Y, loss=losses.squared, steps=setting["steps"],
        learning_rate=setting["learning_rate"], train_weights=setting["train_weights"],
    )  # fmt: skip
    x = np.linspace(-5, 5, 401)
    before = 2 * losses.squared.value(network(X), Y) / variance
    found: dict[str, list[Any]] = {
        name: [] for name in
        ("chosen", "negative", "gains", "immediate", "retrained", "after", "later")
    }  # fmt: skip
    for method in ("S2D", "m = 2"):
        plan = _decide(method, setting["c"], setting["size"])(network, X, Y, losses.squared)
        after = growth.apply(network, plan)
        later, history = fit(after)
        neuron, signed = chosen(plan)
        for name, value in (
            ("chosen", neuron),
            ("negative", signed),
            ("gains", -2 * plan.predicted() / variance),
            ("immediate", before - 2 * losses.squared.value(after(X), Y) / variance),
            ("retrained", 2 * history.fun / variance),
            ("after", curve(after.theta, after.weights, x)),
            ("later", curve(later.theta, later.weights, x)),
        ):
            found[name].append(value)
    teacher = target.teacher
    assert teacher is not None  # this problem is made by a network
    return {
        **{name: np.array(values) for name, values in found.items()},
        "unsplit": 2 * fit(network)[1].fun / variance,
        "x": x,
        "target": curve(teacher.theta, teacher.weights, x),
        "before": curve(network.theta, network.weights, x),
        "theta": network.theta,
        "weights": network.weights,
        "lam_min": grown[f"lam_min{phase}"],
        "lam_max": grown[f"lam_max{phase}"],
        "floor": grown["floor"],
    }
