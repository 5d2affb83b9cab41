"""Benchmark: the best update and the best neurons of a layer, against inverse square roots by eigh.

Digit images come from the files of MNIST in the folder given as --data; without it they are left
out, and their claims are not judged.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from figures import style, timing
from figures.record import Claim, Setting, Settings, seed_for
from refgrow import data as problems
from refgrow import growth, least_squares, networks, tiny, train

ID = "bench_tiny"
STATEMENTS = ()
TITLE = "Benchmark: the best neurons of a layer against inverse square roots of the moments"

WIDTHS = (784, 64, 10)
SAMPLES = (300, 1000, 3000, 10000)
FASTER, SLOWER, EPOCHS, EXACT = 4.0, 1.5, 10, 1e-10
DEAD, REPEATED = 110, 10  # MNIST: about as many pixels are dead, and copies of others, at n = 10000
CONDITIONS = (1e4, 1e6, 1e7)
BATCH = 100

COLOURS = {
    "refgrow": style.BLUE,
    "inverse roots": style.ORANGE,
    "one product": style.GREY,
}


def settings(full: bool) -> Settings:
    return {
        "widths": Setting(list(WIDTHS), "ours", "tanh, softmax loss, random weights"),
        "samples": Setting(list(SAMPLES), "ours"),
        "dead": Setting([DEAD, REPEATED], "ours", "columns of the Gaussian data: zero, repeated"),
        "conditions": Setting(list(CONDITIONS), "ours", "of the columns, n = 1000; accuracy only"),
        "batch": Setting(BATCH, "paper", "of an epoch of Adam"),
        "seconds": Setting(1.0 if full else 0.4, "ours", "for each way at each size"),
        "seeds": Setting([0], "ours"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    seconds = settings["seconds"].value
    names = ["Gaussian", "dead pixels", *(["digits"] if timing.folder() else [])]
    found: dict[str, Any] = {"rate": timing.product_rate(), "times": {}, "errors": {}}
    for name in names:
        rows = {n: _layer(*_problem(name, n)) for n in SAMPLES}
        found["times"][name] = {n: timing.times(_ways(*row), seconds) for n, row in rows.items()}
        found["errors"][name] = _error(*rows[1000][1:])
    for kappa in CONDITIONS:
        found["errors"][f"condition {kappa:.0e}"] = _error(*_conditioned(kappa))
    found["fallback"] = _fallback(seconds)
    found["step"] = {name: _step(*_problem(name, SAMPLES[-1]), seconds) for name in names}
    return found


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, len(data["times"]), size=(style.PAGE, 2.8), sharey=True)
    for axis, (name, rows) in zip(np.atleast_1d(axes), data["times"].items(), strict=True):
        axis.set(title=name, xlabel="samples n", xscale="log", yscale="log")
        for way, colour in COLOURS.items():
            axis.plot(list(rows), [1e3 * row[way] for row in rows.values()],
                      marker="o", color=colour, label=way)  # fmt: skip
    axes[0].set_ylabel("milliseconds")
    style.legend(figure, axes[0], columns=3)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    rate = f"On the rate of A @ A, here {data['rate'] / 1e9:.0f} GF/s."
    judged = []
    for name, rows in data["times"].items():
        ratio = rows[1000]["inverse roots"] / rows[1000]["refgrow"]
        text = f"{name}, n = 1000: at least {FASTER:g}x as fast as inverse square roots by eigh"
        judged.append(Claim(ID, text, round(ratio, 2), None, ratio >= FASTER, rate))
        ratio = rows[10000]["refgrow"] / rows[10000]["one product"]
        text = f"{name}, n = 10000: at most {SLOWER:g} times as long as one product X.T @ X"
        judged.append(Claim(ID, text, round(ratio, 2), None, ratio <= SLOWER, rate))
        ratio = data["step"][name]["growth step"] / data["step"][name]["epoch"]
        text = f"{name}, n = 10000: a growth step takes less than {EPOCHS} epochs of training"
        judged.append(Claim(ID, text, round(ratio, 2), None, ratio < EPOCHS, rate))
    for name, error in data["errors"].items():
        text = f"{name}: strengths within {EXACT:g} of a decomposition of the activations"
        judged.append(Claim(ID, text, error, None, error <= EXACT))
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [(name, n, way, taken) for name, by_n in data["times"].items()
            for n, row in by_n.items() for way, taken in row.items()]  # fmt: skip
    steps = [(name, way, taken) for name, row in data["step"].items() for way, taken in row.items()]
    return {
        "times": (("data", "n", "way", "seconds"), rows),
        "errors": (("data", "error"), list(data["errors"].items())),
        "steps": (("data", "way", "seconds"), steps),
    }


def summary(data: dict[str, Any]) -> str:
    """Times, and what they are to each other."""
    lines = [f"A @ A at 1500: {data['rate'] / 1e9:.1f} GF/s, one thread; milliseconds",
             f"{'data':12s} {'n':>6s} {'refgrow':>9s} {'roots':>9s} {'product':>9s}"
             f" {'roots/ours':>11s} {'ours/product':>13s}"]  # fmt: skip
    for name, rows in data["times"].items():
        for n, row in rows.items():
            ours, roots, product = (row[way] for way in COLOURS)
            shown = " ".join(f"{1e3 * taken:9.2f}" for taken in (ours, roots, product))
            ratios = f"{roots / ours:10.2f}x {ours / product:12.2f}x"
            lines.append(f"{name:12s} {n:6d} {shown} {ratios}")
    for name, row in data["step"].items():
        lines.append(f"{name}: a growth step {1e3 * row['growth step']:.0f}, "
                     f"an epoch {1e3 * row['epoch']:.0f}")  # fmt: skip
    row = data["fallback"]
    lines.append(f"orthogonal factors, where moments cannot decide, n = 1000: "
                 f"{row['factors'] / row['moments']:.1f} times as long")  # fmt: skip
    if "digits" not in data["times"]:
        lines.append("digits: left out, no folder with the files of MNIST (--data DIR)")
    return "\n".join(lines)


def _problem(name: str, n: int) -> tuple[networks.MLP, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed_for(ID, name, n))
    if name == "digits":
        digits = problems.mnist(timing.folder(), samples=n)
        X, Y = digits.X, digits.Y
    else:
        X, Y = rng.normal(size=(n, WIDTHS[0])), rng.integers(WIDTHS[2], size=n)
    if name == "dead pixels":
        columns = rng.permutation(WIDTHS[0])
        X[:, columns[:DEAD]] = 0.0
        X[:, columns[-REPEATED:]] = X[:, columns[DEAD : DEAD + REPEATED]]
    weights = [rng.normal(size=(b, a + 1)) / np.sqrt(a + 1)
               for a, b in pairwise(WIDTHS)]  # fmt: skip
    return networks.MLP(weights, "tanh"), X, Y


def _layer(network: networks.MLP, X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, ...]:
    """B of the last layer, B_prev and V."""
    inputs = network.forward(X).inputs
    V = tiny.desired_updates(network, X, Y, "softmax_cross_entropy")[-1]
    return inputs[1], inputs[0], V


def _ways(B: np.ndarray, B_prev: np.ndarray, V: np.ndarray) -> dict[str, timing.Work]:
    return {
        "refgrow": lambda: _ours(B, B_prev, V),
        "inverse roots": lambda: _by_roots(B, B_prev, V),
        "one product": lambda: B_prev.T @ B_prev,
    }


def _ours(B: np.ndarray, B_prev: np.ndarray, V: np.ndarray) -> tiny.Neurons:
    """Statistics, best update and best neurons together."""
    rest = V - B @ tiny.best_update(B, V).T
    return tiny.best_neurons(B_prev, rest, V.shape[1])


def _by_roots(B: np.ndarray, B_prev: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same by S^(-1/2) of both second moments, as Prop 3.2 is usually programmed."""

    def root(A: np.ndarray) -> np.ndarray:
        values, U = np.linalg.eigh(A.T @ A / len(A))
        kept = values > values[-1] * len(values) * np.finfo(float).eps
        return (U[:, kept] / np.sqrt(values[kept])) @ U[:, kept].T

    R = root(B)
    rest = V - B @ (R @ (R @ (B.T @ V / len(V))))
    R = root(B_prev)
    U, strengths, Vt = np.linalg.svd(R @ (B_prev.T @ rest / len(V)), full_matrices=False)
    return (R @ (U * strengths)).T, Vt.T, strengths


def _error(B_prev: np.ndarray, V: np.ndarray) -> float:
    """Of the strengths, against the singular value decomposition of the activations."""
    U, s, _ = np.linalg.svd(B_prev, full_matrices=False)
    U = U[:, s > s[0] * max(B_prev.shape) * np.finfo(float).eps]
    right = np.linalg.svd(U.T @ V, compute_uv=False) / np.sqrt(len(V))
    found = tiny.best_neurons(B_prev, V, V.shape[1]).strengths
    return float(np.abs(found - right).max() / right[0])


def _conditioned(kappa: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed_for(ID, "conditioned"))
    n, q = 1000, WIDTHS[0] // 4
    U, Q = (np.linalg.qr(rng.normal(size=(m, q)))[0] for m in (n, q))
    return (U * np.geomspace(1, 1 / kappa, q)) @ Q.T, rng.normal(size=(n, WIDTHS[2]))


def _fallback(seconds: float) -> dict[str, float]:
    _, B_prev, V = _layer(*_problem("Gaussian", 1000))
    return timing.times(
        {
            "factors": lambda: least_squares._by_factors(B_prev, V, None),
            "moments": lambda: least_squares._by_moments(B_prev, V, None),
        },
        seconds,
        least=2,
    )


def _step(network: networks.MLP, X: np.ndarray, Y: np.ndarray, seconds: float) -> dict[str, float]:
    """Growth with its line search, and what training takes for one look at every sample."""
    decide = partial(tiny.decide, layer=0, line_search=True)
    epoch = partial(train.fit, network, X, Y, "softmax_cross_entropy", learning_rate=1e-4,
                    steps=len(X) // BATCH, batch_size=BATCH, rng=0)  # fmt: skip

    def grow() -> networks.MLP:
        return growth.apply(network, decide(network, X, Y, "softmax_cross_entropy"))

    return timing.times({"growth step": grow, "epoch": epoch}, seconds, least=2)
