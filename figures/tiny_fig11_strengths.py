"""TINY Figs 11 and 12: the mean and the largest lambda^2 of the new neurons, round after round."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import style, tiny_digits
from figures.record import Claim, Setting, Settings

ID = "TINY-Fig-11"
STATEMENTS = ("TINY-Fig-11",)
TITLE = "Digits: how much the best neurons promise, round after round, by layer"

NAMES = {
    "mean": r"mean of $\lambda^2$ (Fig 11)",
    "largest": r"largest $\lambda^2$ (Fig 12)",
    "share": r"sum of $\lambda^2$ over mean $|V|^2$",
}


def settings(full: bool) -> Settings:
    shared = tiny_digits.growing(full)
    if not full:
        return {**shared, "judged": Setting(4, "ours", "rounds; the paper: 8 of 15")}
    return {
        **shared,
        "rounds": Setting(15, "paper"),
        "judged": Setting(8, "paper", "rounds after which the accuracy should stay"),
        "seeds": Setting(list(range(5)), "ours", "the paper: 20"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    rate = settings["rates"].value[0]
    results = run(tiny_digits.trained, tiny_digits.growths(settings, rate))
    by = {name: tiny_digits.by_seed(results, name) for name in ("mean", "largest", "drawn")}
    total = by["mean"] * tiny_digits.by_seed(results, "neurons")
    steps = settings["interval"].value * np.arange(1, settings["rounds"].value + 1)
    return {
        **by,  # by seed, round and layer
        "share": total / tiny_digits.by_seed(results, "desired"),
        "widths": results[0]["widths"],
        "judged": settings["judged"].value,
        "test": np.array([tiny_digits.at_step(results, int(step)) for step in steps]).T,
    }


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 3, size=(style.PAGE, 2.6))
    looks = ({"color": style.BLUE, "linestyle": "-", "marker": "o"},
             {"color": style.ORANGE, "linestyle": "--", "marker": "s"})  # fmt: skip
    for axis, (name, words) in zip(axes, NAMES.items(), strict=True):
        rounds = np.arange(1, data[name].shape[1] + 1)
        for layer, look in enumerate(looks):
            values = data[name][:, :, layer]
            middle, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
            axis.errorbar(rounds, middle, [middle - low, high - middle], capsize=2, elinewidth=0.7,
                          label=f"hidden layer {layer + 1}", **look)  # fmt: skip
        axis.set(xlabel="round", title=words, yscale="log")
    style.legend(figure, axes[0])
    return figure


DEPENDS = {
    **{f"{name}, {layer}": "On the number of rounds: they fall for eight or so. Later the inputs "
       "of a layer are nearly dependent, exact best updates are huge, and a few steps of Adam "
       "undo the network." for name in ("mean", "largest", "share") for layer in range(2)},
    "accuracy": "On the number of rounds: after ten or so it falls, for the same reason.",
}  # fmt: skip


def claims(data: dict[str, Any]) -> list[Claim]:
    judged = []
    for name in ("mean", "largest"):
        for layer in range(2):
            values = data[name][:, :, layer]
            judged.append(
                Claim.judged(
                    ID,
                    f"the {name} lambda^2 of hidden layer {layer + 1} falls over the rounds: the "
                    "last is below a tenth of the first",
                    values[:, -1] < 0.1 * values[:, 0],
                    number={
                        "mean by round": values.mean(axis=0).tolist(),
                        "images drawn, by round": data["drawn"][0, :, layer].tolist(),
                    },
                    depends_on=DEPENDS[f"{name}, {layer}"],
                )
            )
    for layer in range(2):
        share = data["share"][:, :, layer]
        judged.append(
            Claim.judged(
                ID,
                "in the end no linear correlation is left: the neurons of hidden layer "
                f"{layer + 1} reach less than a twentieth of the desired update",
                share[:, -1] < 0.05,
                number={"share of mean |V|^2, mean by round": share.mean(axis=0).tolist()},
                depends_on=DEPENDS[f"share, {layer}"],
            )
        )
    gained = data["test"][:, -1] - data["test"][:, data["judged"] - 1]
    judged.append(
        Claim.judged(
            ID,
            f"after {data['judged']} rounds the accuracy does not increase significantly: at most "
            "one point until after the last round",
            gained <= tiny_digits.SIMILAR,
            number={
                "accuracy right after each round, mean": data["test"].mean(axis=0).tolist(),
                "points gained, mean and spread": [
                    100 * float(gained.mean()), 100 * float(gained.std())
                ],
            },
            depends_on=DEPENDS["accuracy"],
        )
    )  # fmt: skip
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (seed, k + 1, layer + 1, int(data["drawn"][seed, k, layer]),
         *(float(data[name][seed, k, layer]) for name in NAMES))
        for seed in range(len(data["mean"]))
        for k in range(data["mean"].shape[1])
        for layer in range(2)
    ]  # fmt: skip
    return {"strengths": (("seed", "round", "layer", "images", *NAMES), rows)}


def summary(data: dict[str, Any]) -> str:
    """Means by round."""
    lines = []
    for layer in range(2):
        for name in NAMES:
            row = data[name][:, :, layer].mean(axis=0)
            lines.append(f"layer {layer + 1} {name:8s}" + "".join(f"{v:10.2g}" for v in row))
    return "\n".join([*lines, "widths " + str(data["widths"].tolist())])
