"""SplitLBI Fig 5: sparse networks found early, retrained, against pruning after training."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import lbi_digits, style
from figures.record import Claim, Settings

ID = "LBI-Fig-5"
STATEMENTS = ("LBI-Fig-5",)
TITLE = "Digits: early masks of SplitLBI, retrained from the start, against other masks"

LOOKS: dict[str, Any] = {
    "SplitLBI": {"color": style.BLUE, "marker": "*", "linestyle": "-", "markersize": 7},
    "its largest weights": {"color": style.ORANGE, "marker": "s", "linestyle": "--"},
    "lottery ticket": {"color": style.VERMILION, "marker": "X", "linestyle": "-."},
    "one-shot pruning": {"color": style.GREEN, "marker": "o", "linestyle": "-"},
    "random": {"color": style.GREY, "marker": "v", "linestyle": ":"},
}
KINDS = {"weight": "weights", "neuron": "neurons"}

settings = lbi_digits.ticket_settings


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    asked = lbi_digits.ticket_cells(settings)
    found = lbi_digits.results(run, asked, lbi_digits.tickets)
    names = ("shares", "dense", "sparse", *lbi_digits.MASKS)
    return {
        "stops": settings["stops"].value,
        "epochs": settings["epochs"].value,
        "found": {
            by: {name: lbi_digits.stacked(rs, name) for name in names} for by, rs in found.items()
        },
    }


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, len(data["found"]), size=(style.PAGE, 3.0))
    for axis, (by, found) in zip(axes, data["found"].items(), strict=True):
        for name, look in LOOKS.items():
            rows = found[name]
            middle, low, high = rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0)
            axis.errorbar(found["shares"].mean(axis=0), middle, [middle - low, high - middle],
                          label=name, capsize=2, elinewidth=0.7, **look)  # fmt: skip
        axis.axhline(found["dense"].mean(), color=style.BLACK, linewidth=0.8, label="dense, SGD")
        axis.set(xscale="log", xlabel="share of weights kept",
                 title=f"{KINDS[by]}, masks of epochs {', '.join(map(str, data['stops'][by]))} "
                       f"of {data['epochs']}")  # fmt: skip
        ticks = found["shares"].mean(axis=0)
        axis.minorticks_off()
        axis.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axes[0].set_ylabel("accuracy after retraining")
    style.legend(figure, axes[0], columns=6)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    return [claim for by, found in data["found"].items() for claim in _claims(by, found)]


# Read off the full run.
DEPENDS = {
    "lottery ticket": "On how sparse the network is: with a tenth of the weights all are within a "
    "point, with a hundredth SplitLBI is points below.",
    "one-shot pruning": "On how sparse the network is. It trains twice as long.",
    "its largest weights": "On how sparse the network is. Gamma enters by the sum of W over time, "
    "and so remembers the random start longer than W does.",
    "random": "On how sparse the network is, and on the groups: any few dozen neurons do nearly as "
    "well.",
    "dense": "On how sparse the network is.",
}


def _claims(by: str, found: dict[str, np.ndarray]) -> list[Claim]:
    mine = found["SplitLBI"]
    judged = []
    for name in lbi_digits.MASKS[1:]:
        gain = mine - found[name]
        number = {
            "points more, mean and spread, by stop": [
                [100 * float(g.mean()), 100 * float(g.std())] for g in gain.T
            ],
            "weights kept, by stop": found["shares"].mean(axis=0).tolist(),
        }
        rival = {
            "its largest weights": "the largest weights of the same run at the same epoch",
            "lottery ticket": "the largest weights after a whole training by SGD, retrained alike",
            "one-shot pruning": "those weights tuned from where training had left them",
            "random": "as many random ones in each layer",
        }[name]
        comparable, better = gain >= -lbi_digits.COMPARABLE, gain > 0
        judged += [
            Claim.judged(
                ID,
                f"early masks of {KINDS[by]}, retrained, are comparable to {rival}: at most one "
                "point below",
                comparable.ravel(),
                number={**number, "share by stop": comparable.mean(axis=0).tolist()},
                depends_on=DEPENDS[name],
            ),
            Claim.judged(
                ID,
                f"early masks of {KINDS[by]}, retrained, are better than {rival}",
                better.ravel(),
                number={**number, "share by stop": better.mean(axis=0).tolist()},
                depends_on=DEPENDS[name],
            ),
        ]
    lost = found["dense"][:, None] - mine
    judged.append(
        Claim.judged(
            ID,
            f"early masks of {KINDS[by]}, retrained, are comparable to the dense network: at most "
            "one point below",
            (lost <= lbi_digits.COMPARABLE).ravel(),
            number={
                "points lost, mean, by stop": (100 * lost.mean(axis=0)).tolist(),
                "weights kept, by stop": found["shares"].mean(axis=0).tolist(),
                "dense": [float(found["dense"].mean()), float(found["dense"].std())],
            },
            depends_on=DEPENDS["dense"],
        )
    )
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (by, seed, stop, float(found["shares"][seed, k]), name, float(found[name][seed, k]),
         float(found["dense"][seed]))
        for by, found in data["found"].items()
        for k, stop in enumerate(data["stops"][by])
        for seed in range(len(found["dense"]))
        for name in lbi_digits.MASKS
    ]  # fmt: skip
    header = ("groups", "seed", "epoch", "share_kept", "mask", "accuracy", "accuracy_dense")
    return {"retrained": (header, rows)}


def summary(data: dict[str, Any]) -> str:
    """Means and spreads."""
    lines = []
    for by, found in data["found"].items():
        lines.append(f"{KINDS[by]}; dense {found['dense'].mean():.4f}")
        lines.append(f"{'epoch':>6s}{'kept':>8s}" + "".join(f"{n:>26s}" for n in lbi_digits.MASKS))
        for k, stop in enumerate(data["stops"][by]):
            cells = "".join(
                f"{found[n][:, k].mean():16.4f} +- {found[n][:, k].std():.4f}"
                for n in lbi_digits.MASKS
            )
            lines.append(f"{stop:6d}{found['shares'][:, k].mean():8.4f}{cells}")
    return "\n".join(lines)
