"""Benchmark: both ends of every neuron's spectrum, against forming matrices and LAPACK or ARPACK.

Digit images come from the files of MNIST in the folder given as --data; without it they are left
out, and their claims are not judged.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from scipy.sparse.linalg import eigsh

from figures import style, timing
from figures.record import Claim, Setting, Settings, seed_for
from refgrow import activations, kernels, networks, train
from refgrow import data as problems

ID = "bench_eigen"
STATEMENTS = ()
TITLE = "Benchmark: extreme eigenpairs of all neurons against forming their matrices"

NEURONS, SAMPLES, FULL, TOL = 32, 5000, 785, 1e-6
TARGETS = {"digits": 6.0, "Gaussian": 2.5}  # times the best of the others, at d = 785
NEVER = 1.25  # times as slow as the best of the others, at these d
EVERYWHERE = (3, 32, 64, 256)
SIZES = (3, 8, 16, 32, 64, 128, 256, 512, FULL)
DECAY = 0.5
OTHERS = (0.0, 0.25, 1.0)
STEPS = 100
LOOP_UP_TO = 256  # beyond, a loop of products is no rival: bench_grams

COLOURS = {
    "refgrow": style.BLUE,
    "matrices + eigh": style.ORANGE,
    "matrices + eigsh": style.PURPLE,
    "matrices alone": style.GREY,
}


def settings(full: bool) -> Settings:
    return {
        "shape": Setting([NEURONS, SAMPLES, FULL], "ours", "(m, n, d): a layer of 32 on images"),
        "sizes": Setting(list(SIZES), "ours", "d; digits: the pixels that vary most, and a one"),
        "tol": Setting(TOL, "ours", "also given to eigsh"),
        "decay": Setting(DECAY, "ours", "feature k is k^-decay times a normal number; C normal"),
        "decays": Setting(list(OTHERS), "ours", "measured at d = 785, not judged"),
        "digits": Setting(
            f"tanh, softmax loss, {STEPS} steps of Adam at 0.001", "ours", "where C is from"
        ),
        "seconds": Setting(1.0 if full else 0.2, "ours", "for each way at each size"),
        "seeds": Setting([0], "ours"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    seconds = settings["seconds"].value
    found: dict[str, Any] = {"rate": timing.product_rate(), "grows": {}, "decays": {}, "worst": {}}
    for name in TARGETS if timing.folder() else ("Gaussian",):
        found["grows"][name] = {d: _times(*_layer(name, d), seconds) for d in SIZES}
        found["worst"][name] = _worst_residual(*_layer(name, FULL))
    for decay in OTHERS:
        found["decays"][decay] = _times(*_gaussian(FULL, decay), seconds)
    return found


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 2, size=(style.PAGE, 2.8), sharey=True)
    for axis, name in zip(axes, reversed(TARGETS), strict=True):
        axis.set(title=name, xlabel=f"parameters d (m = {NEURONS}, n = {SAMPLES})")
        axis.set(xscale="log", yscale="log")
        for way, colour in COLOURS.items():
            rows = data["grows"].get(name, {})
            axis.plot(list(rows), [1e3 * _taken(row)[way] for row in rows.values()],
                      marker="o", color=colour, label=way)  # fmt: skip
        if name not in data["grows"]:
            axis.text(0.5, 0.5, "no data folder given", ha="center", transform=axis.transAxes)
    axes[0].set_ylabel("milliseconds")
    style.legend(figure, axes[0], columns=4)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    rate = f"On the rate of A @ A, here {data['rate'] / 1e9:.0f} GF/s."
    judged = []
    for name, rows in data["grows"].items():
        for factor, d in [(TARGETS[name], FULL), *((1 / NEVER, d) for d in EVERYWHERE)]:
            speed = _speed(rows[d])
            slower = f"at most {NEVER} times as slow as" if factor < 1 else f"at least {factor:g}x"
            claim = f"{name}, d = {d}: {slower} the best of the others"
            number = round(speed if factor >= 1 else 1 / speed, 2)
            judged.append(Claim(ID, claim, number, None, speed >= factor, rate))
        worst = data["worst"][name]
        claim = f"{name}, d = {FULL}: no residual, no eigenvalue off by more than {TOL:g} radii"
        judged.append(Claim(ID, claim, worst, None, worst <= TOL))
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    grows = [
        (name, d, way, taken)
        for name, rows in data["grows"].items()
        for d, row in rows.items()
        for way, taken in row.items()
    ]
    decays = [(f, way, taken) for f, row in data["decays"].items() for way, taken in row.items()]
    return {
        "growth": (("data", "d", "way", "seconds"), grows),
        "decays": (("decay", "way", "seconds"), decays),
    }


def summary(data: dict[str, Any]) -> str:
    """Times, and how many times as fast as the best of the others."""
    cases = {(name, d): row for name, rows in data["grows"].items() for d, row in rows.items()}
    cases |= {(f"decay {decay:g}", FULL): row for decay, row in data["decays"].items()}
    lines = [
        f"A @ A at 1500: {data['rate'] / 1e9:.1f} GF/s, one thread; milliseconds",
        f"{'data':10s} {'d':>4s} {'refgrow':>9s} {'forming':>9s} {'+ eigh':>9s} {'+ eigsh':>9s}"
        f" {'speed':>7s}",
    ]
    for (name, d), row in cases.items():
        taken = _taken(row)
        shown = [taken[way] for way in ("refgrow", "matrices alone", "matrices + eigh",
                                        "matrices + eigsh")]  # fmt: skip
        numbers = " ".join(f"{1e3 * t:9.2f}" for t in shown)
        lines.append(f"{name:10s} {d:4d} {numbers} {_speed(row):6.2f}x")
    if "digits" not in data["grows"]:
        lines.append("digits: left out, no folder with the files of MNIST (--data DIR)")
    return "\n".join(lines)


def _taken(row: dict[str, float]) -> dict[str, float]:
    """Seconds of a whole way: the fastest way to form the matrices, and what comes after."""
    forming = min(row[way] for way in ("weighted_grams", "loop") if way in row)
    return {
        "refgrow": row["refgrow"],
        "matrices alone": forming,
        "matrices + eigh": forming + row["eigh"],
        "matrices + eigsh": forming + row["eigsh"],
    }


def _speed(row: dict[str, float]) -> float:
    taken = _taken(row)
    return min(taken["matrices + eigh"], taken["matrices + eigsh"]) / taken["refgrow"]


def _times(C: np.ndarray, X: np.ndarray, seconds: float) -> dict[str, float]:
    d = X.shape[1]
    S = kernels.weighted_grams(C, X)
    start = np.random.default_rng(seed_for(ID, "start")).normal(size=d)
    ways: dict[str, timing.Work] = {
        "refgrow": lambda: kernels.extreme_eigenpairs(C, X, TOL),
        "weighted_grams": lambda: kernels.weighted_grams(C, X),
        "eigh": lambda: np.linalg.eigh(S),
        "eigsh": lambda: [eigsh(A, k=2, which="BE", tol=TOL, v0=start) for A in S],
    }
    if d <= LOOP_UP_TO:
        ways["loop"] = lambda: np.stack([(X.T * c) @ X for c in C])
    return timing.times(ways, seconds, least=2)


def _worst_residual(C: np.ndarray, X: np.ndarray) -> float:
    """The largest residual and error of an eigenvalue, in spectral radii."""
    lam_min, v_min, lam_max, v_max = kernels.extreme_eigenpairs(C, X, TOL)
    S = kernels.weighted_grams(C, X)
    values = np.linalg.eigvalsh(S)
    worst = [np.abs(lam_min - values[:, 0]), np.abs(lam_max - values[:, -1])]
    for lam, v in ((lam_min, v_min), (lam_max, v_max)):
        worst.append(np.linalg.norm((S @ v[..., None])[..., 0] - lam[:, None] * v, axis=1))
    return float((np.array(worst) / np.abs(values).max(axis=1)).max())


def _layer(name: str, d: int) -> tuple[np.ndarray, np.ndarray]:
    if name == "Gaussian":
        return _gaussian(d, DECAY)
    C, X = _digits()
    varying = np.argsort(-X[:, :-1].var(axis=0), kind="stable")[: d - 1]
    return C, np.ascontiguousarray(X[:, [*np.sort(varying), FULL - 1]])


def _gaussian(d: int, decay: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed_for(ID, "Gaussian", d))
    X = rng.normal(size=(SAMPLES, d)) * np.arange(1.0, d + 1.0) ** -decay
    return rng.normal(size=(NEURONS, SAMPLES)), X


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """C and X of the splitting matrices of a layer after a short training, as S2D has them."""
    digits = problems.mnist(timing.folder(), samples=SAMPLES)
    rng = np.random.default_rng(seed_for(ID, "network"))
    weights = [
        rng.normal(size=(NEURONS, FULL)) / np.sqrt(FULL),
        rng.normal(size=(10, NEURONS + 1)) / np.sqrt(NEURONS + 1),
    ]
    network, _ = train.fit(
        networks.MLP(weights, "tanh"), digits.X, digits.Y, "softmax_cross_entropy",
        optimizer="adam", learning_rate=1e-3, steps=STEPS,
    )  # fmt: skip
    trace, _, sensitivities = networks.backpropagate(
        network, digits.X, digits.Y, "softmax_cross_entropy"
    )
    second = activations.second_derivative(activations.get("tanh"), "a splitting matrix")
    C = (sensitivities[0] * second(trace.states[0])).T
    return np.ascontiguousarray(C), np.ascontiguousarray(trace.inputs[0])
