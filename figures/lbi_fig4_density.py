"""SplitLBI Figs 4 and 6, Tables 2 to 5: density and accuracy by kappa and by nu."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from figures import lbi_digits, lbi_fig3_convergence, style
from figures.record import Claim, Settings

ID = "LBI-Fig-4"
STATEMENTS = (
    "LBI-Fig-4",
    "LBI-Fig-6",
    "LBI-Tab-2",
    "LBI-Tab-4-SGD",
    "LBI-sparsity-trend",
)
TITLE = "Digits: density of Gamma, accuracy of W and of W on the support, by kappa and by nu"

MODERATE = 0.5  # the largest density that we call moderately sparse

WHATS = {
    "density": "density of Gamma",
    "sparse": "accuracy on the support",
    "test": "accuracy of W",
}


def settings(full: bool) -> Settings:
    return lbi_digits.ablation_settings(full)


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    found = lbi_digits.results(run, lbi_digits.ablations(settings))
    data: dict[str, Any] = {name: settings[name].value for name in ("kappas", "nus")}
    data["SGD"] = lbi_digits.stacked(found.pop("SGD"), "test")
    for what in WHATS:
        data[what] = {label: lbi_digits.stacked(rs, what) for label, rs in found.items()}
    return data


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(2, 3, size=(style.PAGE, 5.0), sharex=True)
    best = 95 * (1 - data["SGD"].max())
    for row, name, fixed in zip(axes, ("kappa", "nu"), ("nu = 100", "kappa = 1"), strict=True):
        labels = [f"{name} = {value:g}" for value in data[f"{name}s"]]
        shades = lbi_fig3_convergence.colours(len(labels))
        for axis, (what, title) in zip(row, WHATS.items(), strict=True):
            for label, colour in zip(labels, shades, strict=True):
                rows = data[what][label]
                shown = rows if what == "density" else 100 * (1 - rows)
                lbi_fig3_convergence.band(axis, shown, colour, label)
            if what != "density":
                sgd = 100 * (1 - data["SGD"])
                lbi_fig3_convergence.band(axis, sgd, style.BLACK, "SGD", linestyle=":")
            axis.set_title(title.replace("accuracy", "error") + (", %" if "acc" in title else ""))
        # W: from the first quarter of the epochs on, so that its ends can be told apart.
        late = [100 * (1 - data["test"][label][:, rows.shape[1] // 4 :]).max() for label in labels]
        lbi_fig3_convergence.percents(row[1], best, 100)
        lbi_fig3_convergence.percents(row[2], best, 1.05 * max(late))
        lbi_fig3_convergence.beside(row[2])
        row[0].set_ylabel(f"by {name}, {fixed}")
        row[0].set_ylim(0, None)
    for axis in axes[-1]:
        axis.set_xlabel("epochs")
        axis.locator_params(axis="x", integer=True, nbins=5)
    return figure


def last(data: dict[str, Any], what: str, name: str) -> np.ndarray:
    """What is measured at the end, by value of kappa or nu and seed."""
    return np.array([data[what][f"{name} = {value:g}"][:, -1] for value in data[f"{name}s"]])


def rising(rows: np.ndarray) -> np.ndarray:
    """Whether what is measured rises strictly from one value to the next, (pairs, seeds)."""
    return np.diff(rows, axis=0) > 0


def claims(data: dict[str, Any]) -> list[Claim]:
    return [*_sparse(data), *_trend(data), *_accuracy(data), *_robust(data)]


def by_setting(data: dict[str, Any], what: str) -> dict[str, list[float]]:
    """Means over the starts at an eighth, a quarter, a half of the epochs and the end."""
    return {
        label: [float(rows[:, round(share * (rows.shape[1] - 1))].mean())
                for share in (0.125, 0.25, 0.5, 1)]
        for label, rows in data[what].items()
    }  # fmt: skip


def _sparse(data: dict[str, Any]) -> list[Claim]:
    labels = lbi_fig3_convergence.labels(data)
    loss = {n: data["test"][n][:, -1] - data["sparse"][n][:, -1] for n in labels}
    close = {n: row <= lbi_digits.COMPARABLE for n, row in loss.items()}
    sgd = data["SGD"][:, -1]
    moderate = np.array(
        [np.where(data["density"][n][:, -1] <= MODERATE, data["sparse"][n][:, -1], 0.0)
         for n in labels]
    ).max(axis=0)  # fmt: skip
    return [
        Claim.judged(
            "LBI-Fig-4",
            "W on the support of Gamma, not retrained, is at most one point below W, in every "
            "setting of kappa and nu",
            np.concatenate(list(close.values())),
            number={
                "share by setting": {n: float(row.mean()) for n, row in close.items()},
                "points lost, mean": {n: 100 * float(row.mean()) for n, row in loss.items()},
                "density at 1/8, 1/4, 1/2 and all of the epochs": by_setting(data, "density"),
                "accuracy on the support, likewise": by_setting(data, "sparse"),
            },
            depends_on="On kappa lambda and nu: where few weights have entered, the network on the "
            "support guesses.",
        ),
        Claim.judged(
            "LBI-Fig-4",
            "some moderately sparse network, of density at most one half, is comparable to W "
            "trained by SGD: at most one point below it without retraining",
            moderate >= sgd - lbi_digits.COMPARABLE,
            number={
                "best accuracy on a support of density at most one half": moderate.tolist(),
                "SGD": sgd.tolist(),
            },
            depends_on="On lambda and on how long W and Gamma are trained.",
        ),
    ]


def _trend(data: dict[str, Any]) -> list[Claim]:
    judged = []
    for name in ("kappa", "nu"):
        rows = last(data, "density", name)
        number = {
            "density at the end": dict(
                zip((f"{v:g}" for v in data[f"{name}s"]), rows.mean(axis=1).tolist(), strict=True)
            ),
            "share by pair": {
                f"{a:g} to {b:g}": float(up.mean())
                for (a, b), up in zip(pairwise(data[f"{name}s"]), rising(-rows), strict=True)
            },
        }
        for way, sign in (("grows", 1), ("falls", -1)):
            judged.append(
                Claim.judged(
                    "LBI-sparsity-trend",
                    f"the share of nonzeros of Gamma at the end {way} with {name}"
                    + (", as printed" if sign > 0 else ""),
                    rising(sign * rows).ravel(),
                    number=number,
                    depends_on="On nothing in the grid; elsewhere it can go either way.",
                )
            )
    return judged


def _accuracy(data: dict[str, Any]) -> list[Claim]:
    judged = []
    for what, whose in (("test", "W"), ("sparse", "W on the support")):
        rows = last(data, what, "kappa")
        number = dict(
            zip((f"{k:g}" for k in data["kappas"]), rows.mean(axis=1).tolist(), strict=True)
        )
        judged += [
            Claim.judged(
                "LBI-Tab-2",
                f"kappa = 1 has the best accuracy of {whose}",
                rows[0] >= rows.max(axis=0),
                number=number,
                depends_on="On lambda: kappa lambda is what counts.",
            ),
            Claim.judged(
                "LBI-Tab-2",
                f"the accuracy of {whose} falls, or stays, from one kappa to the next larger one",
                ~rising(rows).ravel(),
                number=number,
                depends_on="On lambda: kappa lambda is what counts.",
            ),
        ]
    sparse, sgd = last(data, "sparse", "nu"), data["SGD"][:, -1]
    judged.append(
        Claim.judged(
            "LBI-Tab-4-SGD",
            "at some nu a sparse network is better than SGD",
            sparse.max(axis=0) > sgd,
            number={
                "accuracy on the support by nu": dict(
                    zip((f"{n:g}" for n in data["nus"]), sparse.mean(axis=1).tolist(), strict=True)
                ),
                "SGD": float(sgd.mean()),
                "the paper's best sparse ones and SGD": {
                    "VGG-16": [93.42, 93.57],
                    "ResNet-56": [92.84, 93.08],
                },
            },
            depends_on="On lambda and on how long W and Gamma are trained.",
        )
    )
    return judged


# Read off the full run.
ROBUST = {
    "kappa": "On nu: at 100 the coupling costs W two points at any kappa, whatever has entered.",
    "nu": "On the number of steps that Gamma has to catch up with W: until then the coupling is "
    "weight decay of strength 1 / nu.",
}


def _robust(data: dict[str, Any]) -> list[Claim]:
    spread = {name: np.ptp(last(data, "test", name), axis=0) for name in ("kappa", "nu")}
    paper = {
        "nu": {"VGG-16": 0.31, "ResNet-56": 0.86},
        "kappa": {"VGG-16": 1.43, "ResNet-56": 1.79},
    }
    judged = [
        Claim.judged(
            "LBI-Fig-6",
            f"the accuracy of W is robust to {name}: it varies by at most one point",
            spread[name] <= lbi_digits.COMPARABLE,
            number={
                "points between the best and the worst": (100 * spread[name]).tolist(),
                "in the paper": paper[name],
                "accuracy of W": {
                    f"{value:g}": float(row.mean())
                    for value, row in zip(data[f"{name}s"], last(data, "test", name), strict=True)
                },
            },
            depends_on=ROBUST[name],
        )
        for name in ("kappa", "nu")
    ]
    judged.append(
        Claim.judged(
            "LBI-Fig-6",
            "nu has less effect on the accuracy of W than kappa",
            spread["nu"] < spread["kappa"],
            number={name: (100 * row).tolist() for name, row in spread.items()},
            depends_on="On the number of steps: small nu costs most in short trainings.",
        )
    )
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (label, seed, epoch, *(float(data[what][label][seed, epoch]) for what in WHATS))
        for label, runs in data["density"].items()
        for seed, row in enumerate(runs)
        for epoch in range(len(row))
    ]
    sgd = [(seed, epoch, float(value)) for seed, row in enumerate(data["SGD"])
           for epoch, value in enumerate(row)]  # fmt: skip
    header = ("setting", "seed", "epoch", "density", "accuracy_on_support", "accuracy")
    return {"curves": (header, rows), "sgd": (("seed", "epoch", "accuracy"), sgd)}


def summary(data: dict[str, Any]) -> str:
    """The end of every setting."""
    lines = [f"SGD {data['SGD'][:, -1].mean():.4f}", "setting          density  support        W"]
    for label in data["density"]:
        values = "".join(f"{data[what][label][:, -1].mean():9.4f}" for what in WHATS)
        lines.append(f"{label:15s}{values}")
    return "\n".join(lines)
