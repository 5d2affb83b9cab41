"""S2D's data compression by MMD (appendix B.5) as cells, shared by Figs 7 and 8."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from figures.record import Setting, Settings, seed_for
from refgrow import baselines, data, growth, losses, networks, s2d, train

METHODS = ("splitting", "random split, gradient", "new initialisation", "gradient boosting")
START = (-5.0, -3.0)
SPAN = (-7.0, 8.0)  # where particles may go; new ones are drawn from the middle of it
PARTICLES = 8
FRAMES = 25  # positions kept in a phase

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
        "points": Setting(1000, "paper"),
        "mixture": Setting("0.2 N(-2, 0.5) + 0.3 N(1, 0.5) + 0.5 N(3, 0.5)", "paper"),
        "start": Setting(list(START), "paper", "one point, uniform"),
        "optimizer": Setting("adagrad", "paper"),
        "learning_rate": Setting(0.01, "paper"),
        "particles": Setting(PARTICLES, "ours", "the paper does not say where it stops"),
        "steps": Setting(50_000 if full else 10_000, "ours", "a phase"),
        "grid": Setting(list(GRID) if full else ["base"], "ours", "varied one at a time in --full"),
        "base": Setting(BASE, "ours", "the paper names neither kernel nor bandwidth"),
        "departures": Setting(GRID, "ours"),
        "seeds": Setting(list(range(10)), "ours", "one sample and one start each"),
    }


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell's arguments for every method, setting of the grid and seed.

    The first one of each method keeps the particles' paths, to be drawn.
    """
    first = settings["grid"].value[0], settings["seeds"].value[0]
    return [
        {
            "method": method,
            "seed": seed,
            "frames": FRAMES if (name, seed) == first else 2,
            **{"steps": settings["steps"].value, **BASE, **GRID[name]},
        }
        for method in METHODS
        for name in settings["grid"].value
        for seed in settings["seeds"].value
    ]


def compress(
    *,
    method: str,
    seed: int,
    frames: int,
    steps: int,
    bandwidth: float,
    deviation: float,
    size: float,
) -> dict[str, Any]:
    """Compress one sample by one method, from one particle to eight.

    Returns MMD squared along the steps and at the end of every phase, and the particles' paths.
    """
    points = data.gaussian_mixture(
        deviation=deviation, rng=np.random.default_rng(seed_for("mmd", seed))
    )
    start = np.random.default_rng(seed_for("mmd", seed, "start")).uniform(*START, size=(1, 1))
    problem = s2d.mmd_regression(points, bandwidth, lowest=SPAN[0], highest=SPAN[1])
    network = networks.Shallow(start, np.ones(1), problem.neuron)
    rng = np.random.default_rng(seed_for("mmd", seed, method))
    fit = partial(
        train.fit, X=problem.X, Y=problem.Y, loss=losses.squared,
        optimizer="adagrad", learning_rate=0.01,
    )  # fmt: skip
    decide = _decide(method, size, rng)
    curves, paths, times, ends = [], [], [], []
    for phase in range(PARTICLES):
        # Herding moves no particle after it is placed.
        taken = steps if method != "gradient boosting" or phase == 0 else 0
        # The path of a phase, by running its first steps again: the run is deterministic.
        for k in np.linspace(0, steps, frames).astype(int):
            paths.append(_padded(fit(network, steps=min(int(k), taken))[0]))
            times.append(phase * steps + k)
        network, history = fit(network, steps=taken)
        kept = np.linspace(0, taken, 100).astype(int)
        at = phase * steps + np.linspace(0, steps, 100).astype(int)
        curves.append(np.column_stack([at, problem.factor * history.loss[kept]]))
        ends.append(problem.factor * history.fun)
        if phase < PARTICLES - 1:
            plan = decide(network, problem.X, problem.Y, losses.squared)
            network = growth.apply(network, plan)
    return {
        "curve": np.concatenate(curves),
        "ends": np.array(ends),
        "starts": np.array([curve[0, 1] for curve in curves]),
        "times": np.array(times),
        "paths": np.array(paths),  # (times, 2, particles): positions and weights
        "points": points[:, 0],
        "kernel": s2d.mmd_squared(network.theta, network.weights, points, bandwidth),
    }


def _padded(network: networks.Shallow) -> np.ndarray:
    """Positions and weights (2, PARTICLES), NaN where there is no particle yet."""
    both = np.stack([network.theta[:, 0], network.weights])
    return np.pad(both, ((0, 0), (0, PARTICLES - both.shape[1])), constant_values=np.nan)


def _decide(method: str, size: float, rng: np.random.Generator) -> Callable[..., growth.Plan]:
    if method == "splitting":
        return partial(s2d.decide, size=size)
    if method == "random split, gradient":
        return partial(baselines.random_split_along_gradient, size=size, rng=rng)
    if method == "new initialisation":
        return partial(baselines.new_initialisation, sample=_sample, weighting="even", rng=rng)
    return partial(
        baselines.gradient_boosting, sample=_sample, weighting="even", rng=rng,
        candidates=512, restarts=4, optimizer="adam", learning_rate=0.01, steps=500,
    )  # fmt: skip


def _sample(rng: np.random.Generator, k: int) -> np.ndarray:
    return rng.uniform(-5.0, 6.0, size=(k, 1))
