"""SplitLBI Table 6: the time of a batch, by optimizer, as ratios within one run."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from figures import lbi_digits, style, timing
from figures.record import Claim, Setting, Settings
from refgrow import train

ID = "LBI-Tab-6"
STATEMENTS = ("LBI-Tab-6",)
TITLE = "Digits: time of a batch under SplitLBI and Adam, relative to SGD with momentum"

METHODS = ("SGD Mom", "SplitLBI Mom", "Adam")
PAPER = {"SGD Mom": 0.0197, "SplitLBI Mom": 0.0221, "Adam": 0.0210}
# Arrays of the size of W that each keeps: W and v; W, v and V, from which Gamma follows; W and two
# moments.
ARRAYS = {"SGD Mom": 2, "SplitLBI Mom": 3, "Adam": 3}
BATCHES = 10  # in an epoch; few, so that the ways take turns often


def settings(full: bool) -> Settings:
    shared = lbi_digits.common(full, widths="VGG-16")
    names = ("widths", "activation", "rate")
    return {
        **{name: shared[name] for name in names},
        "batch_sizes": Setting(
            [32, 64, 128] if full else [64], "ours", "the paper: 64, a VGG-16 on a GPU"
        ),
        "epochs": Setting(3, "ours", f"of {BATCHES} batches"),
        "seconds": Setting(2.0 if full else 0.1, "ours", "for each way at each size"),
        "seeds": Setting([0], "ours"),
    }  # fmt: skip


def cost(*, batch_size: int, seconds: float, epochs: int, **setting: Any) -> dict[str, Any]:
    """Seconds a batch, by method: a training less the same one of no epochs."""
    rng = np.random.default_rng(0)
    n = BATCHES * batch_size
    X, labels = rng.uniform(size=(n, 784)), rng.integers(10, size=n)
    network = lbi_digits.start(0, setting["widths"], setting["activation"])
    sparse = {"nu": 100.0, "kappa": 1.0, "lam": 0.002, "groups": "weight"}
    pairs = {m: lbi_digits.optimizer(network, m, sparse) for m in METHODS}
    ways: dict[str, timing.Work] = {}
    for method, pair in pairs.items():
        for name, number in ((method, epochs), (f"{method}, none", 0)):
            ways[name] = partial(
                train.fit_epochs, network, X, labels, lbi_digits.LOSS, optimizer=pair,
                learning_rate=1e-4, epochs=number, batch_size=batch_size, rng=0,
            )  # fmt: skip
    taken = timing.times(ways, seconds)
    return {m: (taken[m] - taken[f"{m}, none"]) / (epochs * BATCHES) for m in METHODS}


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    more = {name: settings[name].value for name in ("epochs", "seconds", "widths", "activation")}
    sizes = settings["batch_sizes"].value
    found = [run(cost, [{"batch_size": size, **more}])[0] for size in sizes]  # one after another
    return {"sizes": sizes, "seconds": {m: [row[m] for row in found] for m in METHODS}}


def ratio(data: dict[str, Any], method: str) -> np.ndarray:
    """The time of a batch over that of SGD, by batch size."""
    return np.array(data["seconds"][method]) / np.array(data["seconds"]["SGD Mom"])


def plot(data: dict[str, Any]) -> Any:
    figure, axis = style.panels(1, 1, size=(style.COLUMN, 2.5))
    colours = {"SplitLBI Mom": style.BLUE, "Adam": style.ORANGE}
    places = np.arange(len(data["sizes"]) + 1)
    for k, (method, colour) in enumerate(colours.items()):
        paper = PAPER[method] / PAPER["SGD Mom"]
        values = [*ratio(data, method), paper]
        bars = axis.bar(places + 0.36 * (k - 0.5), values, 0.34, color=colour, label=method)
        axis.bar_label(bars, fmt="%.2f", fontsize=6)
    axis.axhline(1, color=style.BLACK, linewidth=0.8)
    axis.set_xticks(places, [*(f"batch {size}" for size in data["sizes"]), "paper"])
    axis.set(ylabel="time of a batch over that of SGD")
    style.legend(figure, axis, columns=2)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    lbi, adam = ratio(data, "SplitLBI Mom"), ratio(data, "Adam")
    sizes = [str(size) for size in data["sizes"]]
    number = {
        "SplitLBI over SGD, by batch size": dict(zip(sizes, lbi.tolist(), strict=True)),
        "Adam over SGD, by batch size": dict(zip(sizes, adam.tolist(), strict=True)),
        "the paper's, SplitLBI and Adam over SGD": [0.0221 / 0.0197, 0.0210 / 0.0197],
        "arrays of the size of W that are kept": ARRAYS,
    }
    return [
        Claim.judged(
            ID,
            "a batch under SplitLBI takes longer than under SGD",
            lbi > 1,
            number=number,
            depends_on="On the batch: the gradient grows with it, the step does not.",
        ),
        Claim.judged(
            ID,
            "it takes at most a quarter longer than under SGD",
            lbi <= 1.25,
            number=number,
            depends_on="On the batch: the gradient grows with it, the step does not. The paper's "
            "network shares its weights over an image, and so spends less of its time on steps.",
        ),
        Claim.judged(
            ID,
            "a batch under SplitLBI takes longer than under Adam",
            lbi > adam,
            number=number,
            depends_on="On how they are written: SplitLBI's step is one compiled loop, Adam's a "
            "dozen operations on whole arrays.",
        ),
    ]


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (method, size, taken)
        for method, row in data["seconds"].items()
        for size, taken in zip(data["sizes"], row, strict=True)
    ]
    return {"seconds": (("method", "batch_size", "seconds_a_batch"), rows)}


def summary(data: dict[str, Any]) -> str:
    """Milliseconds a batch."""
    return "\n".join(
        f"{method:14s}" + "".join(f"{1e3 * taken:8.2f} ms" for taken in row)
        for method, row in data["seconds"].items()
    )
