"""Benchmark: the splitting matrices of a layer, against the best NumPy forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import style, timing
from figures.record import Claim, Setting, Settings
from refgrow import kernels

ID = "bench_grams"
STATEMENTS = ()
TITLE = "Benchmark: weighted Gram matrices against einsum and a loop of products"

# (m, n, d): what is asked of the kernel there, as factors over a way, or share of the limit.
TARGETS: dict[tuple[int, int, int], dict[str, float]] = {
    (64, 10000, 64): {"einsum": 15, "loop": 2, "limit": 0.55},
    (256, 5000, 20): {"einsum": 15, "loop": 2, "limit": 0.55},
    (8, 1000, 3): {"einsum": 5},
    (32, 5000, 785): {"loop": 1.5},
}
BASE = {"m": 32, "n": 4000, "d": 32}
GROWTH = {
    "m": [1, 2, 4, 8, 16, 32, 64, 128, 256],
    "n": [125, 250, 500, 1000, 2000, 4000, 8000, 16000],
    "d": [1, 2, 4, 8, 16, 32, 64, 128, 256],
}
COLOURS = {
    "refgrow": style.BLUE,
    "loop": style.ORANGE,
    "einsum": style.PURPLE,
    "eigenvalues": style.GREY,
}


def settings(full: bool) -> Settings:
    return {
        "targets": Setting([list(shape) for shape in TARGETS], "ours", "(m, n, d)"),
        "base": Setting(BASE, "ours", "two are fixed while the third grows"),
        "growth": Setting(GROWTH, "ours"),
        "seconds": Setting(1.0 if full else 0.4, "ours", "for each way at each size"),
        "seeds": Setting([0], "ours"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    seconds = settings["seconds"].value
    rate = timing.product_rate()
    targets = {shape: timing.times(_ways(*shape, einsum=shape[2] < 300), seconds, least=2)
               for shape in TARGETS}  # fmt: skip
    growth = {
        name: [timing.times(_ways(*_shape(name, size), eigenvalues=True), seconds / 4)
               for size in sizes]
        for name, sizes in GROWTH.items()
    }  # fmt: skip
    return {"rate": rate, "targets": targets, "growth": growth}


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 3, size=(style.PAGE, 2.6), sharey=True)
    labels = {
        "m": f"neurons m (n = {BASE['n']}, d = {BASE['d']})",
        "n": f"samples n (m = {BASE['m']}, d = {BASE['d']})",
        "d": f"parameters d (m = {BASE['m']}, n = {BASE['n']})",
    }
    for axis, (name, sizes) in zip(axes, GROWTH.items(), strict=True):
        for way, colour in COLOURS.items():
            taken = np.array([t[way] for t in data["growth"][name]])
            axis.loglog(sizes, 1e3 * taken, marker="o", color=colour, label=way)
        power = timing.slope(
            np.array(sizes), np.array([t["refgrow"] for t in data["growth"][name]])
        )
        axis.set(xlabel=labels[name], title=f"refgrow grows as ${name}^{{{power:.1f}}}$")
    axes[0].set_ylabel("milliseconds")
    style.legend(figure, axes[0], columns=4)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    judged = []
    for shape, wanted in TARGETS.items():
        for way, factor in wanted.items():
            ratio = _ratio(data, shape, way)
            of = "the limit of A @ A" if way == "limit" else f"the speed of {way}"
            judged.append(
                Claim(
                    ID,
                    f"at (m, n, d) = {shape} at least {factor} times {of}",
                    round(ratio, 2),
                    None,
                    ratio >= factor,
                    f"On the rate of A @ A, here {data['rate'] / 1e9:.0f} GF/s.",
                )
            )
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    growth = [
        (name, size, way, taken)
        for name, rows in data["growth"].items()
        for size, row in zip(GROWTH[name], rows, strict=True)
        for way, taken in row.items()
    ]
    targets = [(*shape, way, t) for shape, row in data["targets"].items() for way, t in row.items()]
    return {
        "growth": (("grows", "size", "way", "seconds"), growth),
        "targets": (("m", "n", "d", "way", "seconds"), targets),
    }


def summary(data: dict[str, Any]) -> str:
    """Times and ratios at the sizes of the targets."""
    lines = [
        f"A @ A at 1500: {data['rate'] / 1e9:.1f} GF/s, one thread",
        f"{'(m, n, d)':18s} {'refgrow':>10s} {'x loop':>8s} {'x einsum':>9s} {'of limit':>9s}",
    ]
    for shape in TARGETS:
        row = data["targets"][shape]
        ratios = [f"{_ratio(data, shape, w):.2f}" if w in row or w == "limit" else "-"
                  for w in ("loop", "einsum", "limit")]  # fmt: skip
        lines.append(
            f"{shape!s:18s} {1e3 * row['refgrow']:7.2f} ms {ratios[0]:>8s} {ratios[1]:>9s} "
            f"{ratios[2]:>9s}"
        )
    return "\n".join(lines)


def _ratio(data: dict[str, Any], shape: tuple[int, int, int], way: str) -> float:
    row = data["targets"][shape]
    if way == "limit":
        m, n, d = shape
        return m * n * d * (d + 1) / data["rate"] / row["refgrow"]
    return row[way] / row["refgrow"]


def _shape(name: str, size: int) -> tuple[int, int, int]:
    sizes = {**BASE, name: size}
    return sizes["m"], sizes["n"], sizes["d"]


def _ways(
    m: int, n: int, d: int, *, einsum: bool = True, eigenvalues: bool = False
) -> dict[str, timing.Work]:
    rng = np.random.default_rng(0)
    C, X = rng.normal(size=(m, n)), rng.normal(size=(n, d))
    ways: dict[str, timing.Work] = {
        "refgrow": lambda: kernels.weighted_grams(C, X),
        "loop": lambda: np.stack([(X.T * c) @ X for c in C]),
    }
    if einsum:
        ways["einsum"] = lambda: np.einsum("jl,la,lb->jab", C, X, X, optimize=True)
    if eigenvalues:
        S = kernels.weighted_grams(C, X)
        ways["eigenvalues"] = lambda: np.linalg.eigh(S)
    return ways
