"""SplitLBI Fig 5: sparse networks found early, or late, against pruning after training."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import lbi_digits, lbi_fig3_convergence, style
from figures.record import Claim, Setting, Settings

ID = "LBI-Fig-5"
STATEMENTS = ("LBI-Fig-5",)
TITLE = "Digits: early and late masks of SplitLBI, retrained from the start, against other masks"

LOOKS: dict[str, Any] = {
    "SplitLBI": {"color": style.BLUE, "marker": "*", "markersize": 7},
    "its largest weights": {"color": style.ORANGE, "marker": "s"},
    "lottery ticket": {"color": style.VERMILION, "marker": "X"},
    "one-shot pruning": {"color": style.GREEN, "marker": "o"},
    "random": {"color": style.GREY, "marker": "v"},
}
LATE = "late weights"  # the name of these masks beside "weight" and "neuron", the early ones


def settings(full: bool) -> dict[str, Setting]:
    late = {"lam": 0.02, "stops": [8, 20]} if full else {"lam": 0.006, "stops": [6]}
    why = "late masks of weights: those of a larger lambda, near as dense as the early ones"
    return {**lbi_digits.ticket_settings(full), "late": Setting(late, "ours", why)}


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    late = settings["late"].value
    only = {name: Setting({"weight": value}, "ours") for name, value in late.items()}
    asked = lbi_digits.ticket_cells(settings)
    asked[LATE] = lbi_digits.ticket_cells({**settings, **only})["weight"]
    found = lbi_digits.results(run, asked, lbi_digits.tickets)
    names = ("shares", "dense", "sparse", *lbi_digits.MASKS)
    return {
        "stops": {**settings["stops"].value, LATE: late["stops"]},
        "lams": {**settings["lam"].value, LATE: late["lam"]},
        "epochs": settings["epochs"].value,
        "found": {
            by: {name: lbi_digits.stacked(rs, name) for name in names} for by, rs in found.items()
        },
    }


def plot(data: dict[str, Any]) -> Any:
    widths = [len(found["shares"].T) + 0.2 for found in data["found"].values()]
    figure, axes = style.panels(
        1, len(widths), size=(style.PAGE, 3.9), width_ratios=widths, sharey=False
    )
    for axis, (by, found) in zip(axes, data["found"].items(), strict=True):
        places = np.arange(len(data["stops"][by]))
        for name, shift in zip(LOOKS, np.linspace(-0.3, 0.3, len(LOOKS)), strict=True):
            errors = 100 * (1 - found[name])
            middle, low, high = errors.mean(axis=0), errors.min(axis=0), errors.max(axis=0)
            axis.errorbar(places + shift, middle, [middle - low, high - middle], label=name,
                          capsize=2, elinewidth=0.8, linestyle="", **LOOKS[name])  # fmt: skip
        dense = 100 * (1 - found["dense"])
        axis.axhline(dense.mean(), color=style.BLACK, linewidth=0.8, label="dense, SGD")
        for place in places[1:]:
            axis.axvline(place - 0.5, color=style.GREY, alpha=0.4, linewidth=0.6)
        seen = [100 * (1 - found[name]) for name in LOOKS] + [dense]
        lbi_fig3_convergence.percents(
            axis, 0.95 * min(e.min() for e in seen), 1.05 * max(e.max() for e in seen)
        )
        kept = zip(found["shares"].mean(axis=0), data["stops"][by], strict=True)
        axis.set_xticks(places, [f"{100 * share:.2g} %\nepoch {stop}" for share, stop in kept])
        axis.set(xlim=(-0.5, len(places) - 0.5),
                 title=f"{masks(data, by, known=False)},\n"
                       f"lambda = {data['lams'][by]:g}")  # fmt: skip
    figure.supxlabel(f"weights kept, and epoch of the mask, of {data['epochs']}", fontsize=8)
    axes[0].set_ylabel("error on the tests after retraining, %\n(logarithmic; bars: all starts)")
    style.legend(figure, axes[0], columns=6)
    return figure


def masks(data: dict[str, Any], by: str, *, known: bool = True) -> str:
    """What the masks are called; `known`: with the lambda of the late ones."""
    if by == LATE:
        return "late masks of weights" + (f", lambda = {data['lams'][by]:g}" if known else "")
    return {"weight": "early masks of weights", "neuron": "early masks of neurons"}[by]


def claims(data: dict[str, Any]) -> list[Claim]:
    return [
        claim
        for by, found in data["found"].items()
        for claim in _claims(masks(data, by), found, DEPENDS[by])
    ]


# Read off the full run.
DEPENDS = {
    "weight": {
        "its largest weights": "On lambda and the epoch: with twice the lambda, late masks are on "
        "a par. Gamma enters by the sum of W over time, and so remembers the random start longer "
        "than W does.",
        "lottery ticket": "On lambda and the epoch: with twice the lambda, late masks are better. "
        "And on how sparse the network is: with a tenth of the weights SplitLBI is less than a "
        "point below, with a hundredth it is points below.",
        "one-shot pruning": "On how sparse the network is: with a tenth of the weights SplitLBI is "
        "less than a point below, with a hundredth it is points below. One-shot pruning trains "
        "twice as long.",
        "random": "On how sparse the network is: the fewer are kept, the more a choice is worth.",
        "dense": "On how sparse the network is: within a point with a tenth of the weights only.",
    },
    "neuron": {
        "its largest weights": "On how sparse the network is: with half the weights the two are "
        "alike, with a sixteenth SplitLBI is a point below on average.",
        "lottery ticket": "On little: with half the weights all masks are alike, with a sixteenth "
        "any few dozen neurons do nearly as well.",
        "one-shot pruning": "On how sparse the network is. One-shot pruning trains twice as long.",
        "random": "On little: any few dozen neurons do nearly as well.",
        "dense": "On how sparse the network is: within a point with half the weights only.",
    },
    LATE: {
        "its largest weights": "On lambda and the epoch: the early masks of half the lambda are "
        "worse, with as many weights. Here the two are on a par, and either may be ahead.",
        "lottery ticket": "On lambda and the epoch: the early masks of half the lambda are worse, "
        "with as many weights. These come late, the last after a training as long as the ticket's.",
        "one-shot pruning": "On lambda and the epoch. One-shot pruning trains twice as long.",
        "random": "On how sparse the network is: the fewer are kept, the more a choice is worth.",
        "dense": "On lambda and the epoch: the early masks of half the lambda are two points below "
        "the dense network, with as many weights.",
    },
}


def _claims(kind: str, found: dict[str, np.ndarray], depends: dict[str, str]) -> list[Claim]:
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
                f"{kind}, retrained, are comparable to {rival}: at most one point below",
                comparable.ravel(),
                number={**number, "share by stop": comparable.mean(axis=0).tolist()},
                depends_on=depends[name],
            ),
            Claim.judged(
                ID,
                f"{kind}, retrained, are better than {rival}",
                better.ravel(),
                number={**number, "share by stop": better.mean(axis=0).tolist()},
                depends_on=depends[name],
            ),
        ]
    lost = found["dense"][:, None] - mine
    judged.append(
        Claim.judged(
            ID,
            f"{kind}, retrained, are comparable to the dense network: at most one point below",
            (lost <= lbi_digits.COMPARABLE).ravel(),
            number={
                "points lost, mean, by stop": (100 * lost.mean(axis=0)).tolist(),
                "weights kept, by stop": found["shares"].mean(axis=0).tolist(),
                "dense": [float(found["dense"].mean()), float(found["dense"].std())],
            },
            depends_on=depends["dense"],
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
        lines.append(f"{masks(data, by)}; dense {found['dense'].mean():.4f}")
        lines.append(f"{'epoch':>6s}{'kept':>8s}" + "".join(f"{n:>26s}" for n in lbi_digits.MASKS))
        for k, stop in enumerate(data["stops"][by]):
            cells = "".join(
                f"{found[n][:, k].mean():16.4f} +- {found[n][:, k].std():.4f}"
                for n in lbi_digits.MASKS
            )
            lines.append(f"{stop:6d}{found['shares'][:, k].mean():8.4f}{cells}")
    return "\n".join(lines)
