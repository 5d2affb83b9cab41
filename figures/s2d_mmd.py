"""S2D's data compression by MMD (appendix B.5) as cells, shared by Figs 7 and 8."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from figures.record import Setting, Settings, seed_for
from refgrow import baselines, data, growth, losses, networks, s2d, train

METHODS = ("splitting", "random split, gradient", "new initialisation", "gradient boosting")
FRAMES = 25  # positions kept in a phase

# What the paper leaves open: a base setting and one departure from it at a time.
BASE: dict[str, Any] = {"bandwidth": 1.0, "deviation": 0.5**0.5, "size": 0.01}
GRID: dict[str, dict[str, Any]] = {
    "base": {},
    "narrow kernel": {"bandwidth": 0.5},
    "wide kernel": {"bandwidth": 2.0},
    "N(., 0.5) by deviation": {"deviation": 0.5},
    "large epsilon": {"size": 0.3},
    "short phases": {"steps": 1_000},
}


def settings(full: bool) -> Settings:
    """The settings that Figs 7 and 8 share."""
    return {
        "samples": Setting(1000, "paper"),
        "shares": Setting([0.2, 0.3, 0.5], "paper"),
        "means": Setting([-2.0, 1.0, 3.0], "paper"),
        "start": Setting([-5.0, -3.0], "paper", "one point, uniform"),
        "optimizer": Setting("adagrad", "paper"),
        "learning_rate": Setting(0.01, "paper"),
        "particles": Setting(8, "ours", "the paper does not say where it stops"),
        "span": Setting([-7.0, 8.0], "ours", "where particles may go"),
        "drawn": Setting([-5.0, 6.0], "ours", "where new ones are drawn, uniform"),
        "search": Setting(
            {
                "candidates": 512, "restarts": 4, "steps": 500,
                "optimizer": "adam", "learning_rate": 0.01,
            },
            "ours", "of gradient boosting for its next point",
        ),
        "steps": Setting(50_000 if full else 10_000, "ours", "a phase"),
        "grid": Setting(list(GRID) if full else ["base"], "ours", "varied one at a time in --full"),
        "base": Setting(BASE, "ours", "the paper names neither kernel nor bandwidth"),
        "departures": Setting(GRID, "ours"),
        "seeds": Setting(list(range(10)), "ours", "one sample and one start each"),
    }  # fmt: skip


PASSED = (
    "samples", "shares", "means", "start", "optimizer", "learning_rate", "particles", "span",
    "drawn", "search", "steps",
)  # fmt: skip


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell's arguments for every method, setting of the grid and seed.

    The first one of each method keeps the particles' paths, to be drawn.
    """
    passed = {name: settings[name].value for name in PASSED}
    first = settings["grid"].value[0], settings["seeds"].value[0]
    return [
        {
            "method": method,
            "seed": seed,
            "frames": FRAMES if (name, seed) == first else 2,
            **{**passed, **BASE, **GRID[name]},
        }
        for method in METHODS
        for name in settings["grid"].value
        for seed in settings["seeds"].value
    ]


def compress(*, method: str, seed: int, frames: int, **setting: Any) -> dict[str, Any]:
    """Compress one sample by one method, from one particle to eight.

    `setting` holds the other keys of `cells`. Returns MMD squared along the steps and at the end of
    every phase, and the particles' paths.
    """
    mixture = {name: setting[name] for name in ("samples", "shares", "means", "deviation")}
    points = data.gaussian_mixture(**mixture, rng=np.random.default_rng(seed_for("mmd", seed)))
    first = np.random.default_rng(seed_for("mmd", seed, "start"))
    lowest, highest = setting["span"]
    problem = s2d.mmd_regression(points, setting["bandwidth"], lowest=lowest, highest=highest)
    start = _sample(first, 1, span=setting["start"])
    network = networks.Shallow(start, np.ones(1), problem.neuron)
    fit = partial(
        train.fit, X=problem.X, Y=problem.Y, loss=losses.squared,
        optimizer=setting["optimizer"], learning_rate=setting["learning_rate"],
    )  # fmt: skip
    decide = _decide(method, setting, np.random.default_rng(seed_for("mmd", seed, method)))
    steps, particles = setting["steps"], setting["particles"]
    curves, paths, times, ends = [], [], [], []
    for phase in range(particles):
        # Herding moves no particle after it is placed.
        taken = steps if method != "gradient boosting" or phase == 0 else 0
        # The path of a phase, by running its first steps again: the run is deterministic.
        for k in np.linspace(0, steps, frames).astype(int):
            paths.append(_padded(fit(network, steps=min(int(k), taken))[0], particles))
            times.append(phase * steps + k)
        network, history = fit(network, steps=taken)
        kept = np.linspace(0, taken, 100).astype(int)
        at = phase * steps + np.linspace(0, steps, 100).astype(int)
        curves.append(np.column_stack([at, problem.factor * history.loss[kept]]))
        ends.append(problem.factor * history.fun)
        if phase < particles - 1:
            plan = decide(network, problem.X, problem.Y, losses.squared)
            network = growth.apply(network, plan)
    return {
        "curve": np.concatenate(curves),
        "ends": np.array(ends),
        "starts": np.array([curve[0, 1] for curve in curves]),
        "times": np.array(times),
        "paths": np.array(paths),  # (times, 2, particles): positions and weights
        "points": points[:, 0],
        "kernel": s2d.mmd_squared(network.theta, network.weights, points, setting["bandwidth"]),
    }


def _padded(network: networks.Shallow, particles: int) -> np.ndarray:
    """Positions and weights (2, particles), NaN where there is no particle yet."""
    both = np.stack([network.theta[:, 0], network.weights])
    return np.pad(both, ((0, 0), (0, particles - both.shape[1])), constant_values=np.nan)


def _decide(
    method: str, setting: dict[str, Any], rng: np.random.Generator
) -> Callable[..., growth.Plan]:
    sample = partial(_sample, span=setting["drawn"])
    if method == "splitting":
        return partial(s2d.decide, size=setting["size"])
    if method == "random split, gradient":
        return partial(baselines.random_split_along_gradient, size=setting["size"], rng=rng)
    if method == "new initialisation":
        return partial(baselines.new_initialisation, sample=sample, weighting="even", rng=rng)
    return partial(
        baselines.gradient_boosting, sample=sample, weighting="even", rng=rng, **setting["search"]
    )


def _sample(rng: np.random.Generator, k: int, *, span: tuple[float, float]) -> np.ndarray:
    return rng.uniform(span[0], span[1], size=(k, 1))
