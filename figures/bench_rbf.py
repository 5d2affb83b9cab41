"""Benchmark: a step of full-batch Adam on the toy network, against a vectorised NumPy step."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from figures import style, timing
from figures.record import Claim, Setting, Settings
from refgrow import data as problems
from refgrow import networks, neurons, s2d, toy_training, train

ID = "bench_rbf"
STATEMENTS = ()
TITLE = "Benchmark: training the toy RBF network against vectorised NumPy"

TARGETS = {1: 20.0, 8: 6.0}
STEPS = 2000
RATE = 0.005


def settings(full: bool) -> Settings:
    return {
        "samples": Setting([125, 250, 500, 1000, 2000, 4000, 8000], "ours"),
        "neurons": Setting([1, 2, 3, 4, 6, 8, 12, 16], "ours"),
        "steps": Setting(STEPS, "ours", "a run; times are for one step"),
        "seconds": Setting(1.0 if full else 0.4, "ours", "for each way at each size"),
        "seeds": Setting([0], "ours"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    seconds = settings["seconds"].value
    by_m = [_measure(m, 1000, seconds) for m in settings["neurons"].value]
    by_n = [_measure(8, n, seconds / 2) for n in settings["samples"].value]
    target = problems.rbf_teacher(rng=0)
    start = networks.Shallow(np.random.default_rng(0).normal(size=(1, 3)), np.ones(1), neurons.bump)
    grow = partial(train.fit_and_grow, start, target.X, target.Y, "squared",
                   decide=s2d.decide, growths=7, steps=10_000, learning_rate=RATE)  # fmt: skip
    return {
        "neurons": settings["neurons"].value,
        "samples": settings["samples"].value,
        "by_m": by_m,
        "by_n": by_n,
        "gap": {m: _gap(m) for m in TARGETS},
        "rate": timing.product_rate(),
        "whole": timing.times({"S2D": grow}, seconds)["S2D"],
    }


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 2, size=(style.PAGE, 2.6), sharey=True)
    for axis, sizes, rows, label in (
        (axes[0], data["neurons"], data["by_m"], "neurons m, n = 1000"),
        (axes[1], data["samples"], data["by_n"], "samples n, m = 8"),
    ):
        for way, colour in (("refgrow", style.BLUE), ("NumPy", style.ORANGE)):
            taken = np.array([row[way] for row in rows])
            power = timing.slope(np.array(sizes), taken)
            axis.loglog(sizes, 1e6 * taken, marker="o", color=colour,
                        label=f"{way}, power {power:.1f}")  # fmt: skip
        axis.set_xlabel(label)
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.xaxis.set_minor_formatter("")
        axis.legend(loc="upper left")
    axes[0].set_ylabel("microseconds a step of Adam")
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    judged = []
    for m, factor in TARGETS.items():
        row = data["by_m"][data["neurons"].index(m)]
        ratio = row["NumPy"] / row["refgrow"]
        text = f"at least {factor:g} times a NumPy step with {_neurons(m)}, n = 1000"
        judged.append(Claim(ID, text, round(ratio, 2), None, ratio >= factor))
        gap = data["gap"][m]
        text = f"iterates within 1e-12 of NumPy's after {STEPS} steps with {_neurons(m)}"
        judged.append(Claim(ID, text, gap, None, gap <= 1e-12))
    text = "a run of S2D from 1 to 8 neurons, 10 000 steps each, within a second"
    judged.append(Claim(ID, text, round(data["whole"], 3), None, data["whole"] <= 1.0))
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (m, 1000, way, taken)
        for m, row in zip(data["neurons"], data["by_m"], strict=True)
        for way, taken in row.items()
    ] + [
        (8, n, way, taken)
        for n, row in zip(data["samples"], data["by_n"], strict=True)
        for way, taken in row.items()
    ]
    return {"steps": (("neurons", "samples", "way", "seconds_a_step"), rows)}


def summary(data: dict[str, Any]) -> str:
    """Microseconds a step at n = 1000, and the ratio."""
    rate = f"A @ A at 1500: {data['rate'] / 1e9:.1f} GF/s, one thread"
    lines = [rate, f"{'neurons':>7s} {'refgrow':>10s} {'NumPy':>10s} {'ratio':>6s}"]
    for m, row in zip(data["neurons"], data["by_m"], strict=True):
        us, base = 1e6 * row["refgrow"], 1e6 * row["NumPy"]
        lines.append(f"{m:7d} {us:7.2f} us {base:7.2f} us {base / us:6.1f}")
    lines.append(f"S2D from 1 to 8 neurons, 10 000 steps each: {data['whole']:.2f} s")
    return "\n".join(lines)


def _neurons(m: int) -> str:
    return f"{m} neuron" + ("s" if m > 1 else "")


def _problem(m: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    target = problems.rbf_teacher(samples=n, rng=0)
    theta = np.random.default_rng(1).normal(size=3 * m)
    return theta, np.ones(m), target.X[:, 0], target.Y[:, 0]


def _measure(m: int, n: int, seconds: float) -> dict[str, float]:
    arguments = _problem(m, n)
    ways: dict[str, timing.Work] = {
        "refgrow": lambda: toy_training.gaussian_descent(
            *arguments, learning_rate=RATE, steps=STEPS
        ),
        "NumPy": lambda: adam_in_numpy(*arguments, RATE, STEPS),
    }
    return {way: t / STEPS for way, t in timing.times(ways, seconds).items()}


def _gap(m: int) -> float:
    arguments = _problem(m, 1000)
    ours = toy_training.gaussian_descent(*arguments, learning_rate=RATE, steps=STEPS).parameters
    return float(np.abs(ours - adam_in_numpy(*arguments, RATE, STEPS)).max())


def adam_in_numpy(
    start: np.ndarray, w: np.ndarray, x: np.ndarray, y: np.ndarray, rate: float, steps: int
) -> np.ndarray:
    """What one would write in NumPy for speed: whole arrays, in place, nothing computed twice."""
    p, m, n = start.copy(), len(w), len(x)
    first, second = np.zeros_like(p), np.zeros_like(p)
    u, e, g = np.empty((m, n)), np.empty((m, n)), np.empty((m, 3))
    for count in range(1, steps + 1):
        theta = p.reshape(m, 3)
        np.multiply(theta[:, :1], x, out=u)
        u += theta[:, 1:2]
        np.multiply(u, u, out=e)
        e *= -0.5
        np.exp(e, out=e)
        amplitude = w * theta[:, 2]
        residual = amplitude @ e
        residual -= y
        residual /= n
        e *= residual
        g[:, 2] = w * e.sum(axis=1)
        e *= u
        g[:, 1] = -amplitude * e.sum(axis=1)
        g[:, 0] = -amplitude * (e @ x)
        gradient = g.ravel()
        first *= 0.9
        first += (1 - 0.9) * gradient
        second *= 0.999
        second += (1 - 0.999) * gradient * gradient
        scale = np.sqrt(second / (1 - 0.999**count)) + 1e-8
        p -= rate * (first / (1 - 0.9**count)) / scale
    return p
