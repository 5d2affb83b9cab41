"""SplitLBI Fig 8: the density of Gamma along the trainings of Fig 5."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import lbi_digits, style
from figures.record import Claim, Settings

ID = "LBI-Fig-8"
STATEMENTS = ("LBI-Fig-8",)
TITLE = "Digits: the density of Gamma along training, with the epochs of the early masks"

settings = lbi_digits.ticket_settings


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    found = lbi_digits.results(run, lbi_digits.ticket_cells(settings), lbi_digits.tickets)
    return {
        "stops": settings["stops"].value,
        "density": {by: lbi_digits.stacked(rs, "density") for by, rs in found.items()},
    }


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, len(data["density"]), size=(style.PAGE, 3.0))
    for axis, (by, rows) in zip(axes, data["density"].items(), strict=True):
        epochs = np.arange(1, rows.shape[1])
        mean, spread = rows[:, 1:].mean(axis=0), rows[:, 1:].std(axis=0)
        axis.plot(epochs, mean, color=style.BLACK, marker=".", label="density, mean of the starts")
        axis.fill_between(epochs, mean - spread, mean + spread, color=style.GREY, alpha=0.4,
                          linewidth=0, label="one standard deviation")  # fmt: skip
        drops = lbi_digits.DROPS[0] * (rows.shape[1] - 1)
        axis.axvline(drops, color=style.VERMILION, linestyle=":", label="the step falls to a tenth")
        for k, stop in enumerate(data["stops"][by]):
            axis.axvline(
                stop,
                color=style.BLUE,
                linewidth=0.8,
                linestyle="--",
                label=None if k else "early masks that Fig 5 retrains, and their density",
            )
            side = "left" if stop < drops / 2 else "right"  # of the line, where there is room
            axis.text(stop, 0.97, f" {100 * mean[stop - 1]:.2g} % ", ha=side, color=style.BLUE,
                      fontsize=7, transform=axis.get_xaxis_transform())  # fmt: skip
        ticks = [e for e in (1, 2, 3, 4, 6, 8, 10, 15, 20) if e <= epochs[-1]]
        axis.set(xscale="log", xlabel="epoch (logarithmic axis)", title=f"groups: by {by}",
                 ylim=(0, None))  # fmt: skip
        axis.set_xticks(ticks, [str(t) for t in ticks])
        axis.minorticks_off()
    axes[0].set_ylabel("density of Gamma")
    style.legend(figure, axes[0], columns=2)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    judged = []
    for by, rows in data["density"].items():
        falls = np.diff(rows, axis=1) < 0
        at = round(lbi_digits.DROPS[0] * (rows.shape[1] - 1))
        judged += [
            Claim.judged(
                ID,
                f"the density of Gamma grows during training, from epoch to epoch; by {by}",
                ~falls.any(axis=1),
                number={
                    "share of epochs in which it falls": float(falls.mean()),
                    "largest fall": float(np.maximum(-np.diff(rows, axis=1), 0).max()),
                    "mean by epoch": rows.mean(axis=0).tolist(),
                },
                depends_on="No law: groups may leave, and in the paper's Table 5 the density falls "
                "at nu = 10.",
            ),
            Claim.judged(
                ID,
                "nearly all of the growth, nine tenths of it, is made before the step falls for "
                f"the first time; by {by}",
                rows[:, at] >= 0.9 * rows[:, -1],
                number={"density there": rows[:, at].tolist(), "at the end": rows[:, -1].tolist()},
                depends_on="On the schedule: the sum of the steps bounds how far V can move.",
            ),
        ]
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (by, seed, epoch, float(value))
        for by, runs in data["density"].items()
        for seed, row in enumerate(runs)
        for epoch, value in enumerate(row)
    ]
    return {"density": (("groups", "seed", "epoch", "density"), rows)}
