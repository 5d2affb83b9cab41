"""SplitLBI Fig 3: loss and accuracy along training, by kappa and by nu."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from figures import lbi_digits, style
from figures.record import Claim, Setting, Settings

ID = "LBI-Fig-3"
STATEMENTS = ("LBI-Fig-3", "LBI-Fig-3-kappa")
TITLE = "Digits: loss and accuracy of SplitLBI along training, by kappa and by nu"

SETTLED = 0.01  # of the fall of the loss, and of the accuracy, over the last quarter of the epochs
QUARTER = 0.75


def settings(full: bool) -> Settings:
    return {
        **lbi_digits.ablation_settings(full),
        "constant step": Setting("kappa = 1, nu = 100", "ours", "what settles without a schedule"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    asked = lbi_digits.ablations(settings)
    seeds, method = settings["seeds"].value, "SplitLBI Mom-Wd"
    asked["constant step"] = [
        lbi_digits.training(settings, method, seed, drops=[]) for seed in seeds
    ]
    largest = settings["kappas"].value[-1]
    lam = largest * settings["lam"].value
    asked["lambda instead"] = [lbi_digits.training(settings, method, seeds[0], lam=lam)]
    found = lbi_digits.results(run, asked)
    return {
        "kappas": settings["kappas"].value,
        "nus": settings["nus"].value,
        **{name: {label: lbi_digits.stacked(rs, name) for label, rs in found.items()}
           for name in ("loss", "train")},
        "as lambda": {
            name: float(np.abs(found["lambda instead"][0][name]
                               - found[f"kappa = {largest:g}"][0][name]).max())
            for name in ("loss", "density")
        },
    }  # fmt: skip


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(2, 2, size=(style.PAGE, 5.2), sharex=True)
    axes[1, 0].sharey(axes[0, 0])
    for (left, right), name, fixed in zip(
        axes, ("kappa", "nu"), ("nu = 100", "kappa = 1"), strict=True
    ):
        labels = [f"{name} = {value:g}" for value in data[f"{name}s"]]
        for label, colour in zip(labels, colours(len(labels)), strict=True):
            band(left, data["loss"][label], colour, label)
            band(right, data["train"][label], colour, label)
        for axis, what in ((left, "loss"), (right, "train")):
            band(axis, data[what]["SGD"], style.BLACK, "SGD", linestyle=":")
            if name == "kappa":
                band(axis, data[what]["constant step"], style.GREY,
                     "kappa = 1,\nconstant step", linestyle="--")  # fmt: skip
        left.set(yscale="log", ylabel="loss on the samples", title=f"by {name}, {fixed}: loss")
        right.set(ylabel="accuracy on the samples", title=f"by {name}, {fixed}: accuracy")
        # What is seen after the first quarter of the epochs: the start would hide the rest.
        late = [data["train"][n][:, data["train"][n].shape[1] // 4 :].mean(axis=0) for n in labels]
        lowest = np.floor(20 * np.min(late)) / 20
        right.set_ylim(lowest, 1 + 0.02 * (1 - lowest))
        beside(right)
    for axis in axes[-1]:
        axis.set_xlabel("epochs")
        axis.locator_params(axis="x", integer=True, nbins=5)
    return figure


def beside(axis: Any) -> None:
    """A row's legend, to the right of its last panel, where it covers nothing."""
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), borderaxespad=0)


def percents(axis: Any, low: float, high: float) -> None:
    """A logarithmic axis of errors in percent, with plain ticks."""
    wide = (1, 2, 3, 5, 7, 10, 20, 30, 50, 90)
    marks = wide if high > 8 * low else (*wide, 4, 6, 8, 15)
    ticks = [t for t in sorted(marks) if low <= t <= high]
    axis.set(yscale="log", ylim=(low, high))
    axis.minorticks_off()
    axis.set_yticks(ticks, [str(tick) for tick in ticks])
    axis.grid(axis="y", color=style.GREY, alpha=0.25, linewidth=0.5)


def colours(number: int) -> list[Any]:
    """From light to dark."""
    import matplotlib

    return [matplotlib.colormaps["viridis"](x) for x in np.linspace(0.85, 0.05, number)]


def band(axis: Any, rows: np.ndarray, colour: Any, label: str, **more: Any) -> None:
    """The mean over the starts, and between which values they lie."""
    epochs = np.arange(rows.shape[1])
    axis.plot(epochs, rows.mean(axis=0), color=colour, label=label, **more)
    if len(rows) > 1:
        axis.fill_between(epochs, rows.min(axis=0), rows.max(axis=0), color=colour, alpha=0.2,
                          linewidth=0)  # fmt: skip


def labels(data: dict[str, Any]) -> list[str]:
    """The settings of the ablations, each once: kappa = 1 is among those of nu."""
    return [f"kappa = {k:g}" for k in data["kappas"] if k != 1] + [
        f"nu = {n:g}" for n in data["nus"]
    ]


def settles(loss: np.ndarray) -> np.ndarray:
    """Whether the loss (seeds, epochs) moves little over the last quarter, against its fall."""
    at = round(QUARTER * (loss.shape[1] - 1))
    moves = np.ptp(loss[:, at:], axis=1)
    return moves <= SETTLED * (loss[:, 0] - loss[:, at:].min(axis=1))


def claims(data: dict[str, Any]) -> list[Claim]:
    names = labels(data)
    at = round(QUARTER * (data["loss"]["SGD"].shape[1] - 1))
    rises = {name: float((data["loss"][name][:, -1] > data["loss"][name][:, at]).mean())
             for name in [*names, "SGD"]}  # fmt: skip
    held = {name: settles(data["loss"][name]) for name in names}
    accuracy = {name: np.ptp(data["train"][name][:, at:], axis=1) <= SETTLED for name in names}
    constant = settles(data["loss"]["constant step"])
    return [
        Claim.judged(
            ID,
            "the training loss converges: over the last quarter of the epochs it moves by at most "
            "1 % of its fall",
            np.concatenate(list(held.values())),
            number={
                "share by setting": {name: float(row.mean()) for name, row in held.items()},
                "share whose loss is higher at the end than a quarter before": rises,
            },
            depends_on="On the schedule, which leaves the last quarter a hundredth of the step: "
            "with it anything settles. With eq 14's decay it even rises there, a little.",
        ),
        Claim.judged(
            ID,
            "the training accuracy converges: it moves by at most one point over the last quarter",
            np.concatenate(list(accuracy.values())),
            number={name: float(row.mean()) for name, row in accuracy.items()},
            depends_on="On the schedule, as the loss.",
        ),
        Claim.judged(
            ID,
            "the training loss also settles where the step is constant, the case of Theorem 1",
            constant,
            number={
                "change over the last quarter, as a share of the fall": [
                    float(np.ptp(row[at:]) / (row[0] - row.min()))
                    for row in data["loss"]["constant step"]
                ],
            },
            depends_on="Minibatches keep it moving; the theorem has none.",
        ),
        _slower(data),
    ]  # fmt: skip


def _slower(data: dict[str, Any]) -> Claim:
    means = {k: data["loss"][f"kappa = {k:g}"][:, 1:].mean(axis=1) for k in data["kappas"]}
    pairs = list(pairwise(data["kappas"]))
    return Claim.judged(
        "LBI-Fig-3-kappa",
        "larger kappa converges more slowly at the same kappa alpha: the loss, averaged over the "
        "epochs, is higher",
        np.concatenate([means[b] > means[a] for a, b in pairs]),
        number={
            "share by pair": {f"{a:g} to {b:g}": float((means[b] > means[a]).mean())
                              for a, b in pairs},
            "mean loss over the epochs": {f"{k:g}": float(m.mean()) for k, m in means.items()},
            "at the end": {
                f"{k:g}": float(data["loss"][f"kappa = {k:g}"][:, -1].mean())
                for k in data["kappas"]
            },
            "largest difference from a run with lambda times kappa in place of kappa":
                data["as lambda"],
        },
        depends_on="On lambda kappa alone, the threshold: where Gamma enters later, W is pulled to "
        "zero for longer.",
    )  # fmt: skip


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (label, seed, epoch, float(loss), float(data["train"][label][seed, epoch]))
        for label, runs in data["loss"].items()
        for seed, row in enumerate(runs)
        for epoch, loss in enumerate(row)
    ]
    return {"curves": (("setting", "seed", "epoch", "loss", "accuracy"), rows)}
