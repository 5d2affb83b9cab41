"""SplitLBI Fig 1: norms of neurons along training, inside and outside the support of Gamma."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from figures import lbi_digits, style
from figures.record import Claim, Setting, Settings

ID = "LBI-Fig-1"
STATEMENTS = ("LBI-Fig-1",)
TITLE = "Digits: norms of the first layer's neurons along SplitLBI, selected and not, beside SGD"

# Selected before half of the epochs, where the step falls for the first time.
EARLY = lbi_digits.DROPS[0]
DRAWN = 3  # every third neuron has a line in the picture
APART = 0.9  # the share of pairs, one selected and one not, in which the selected one is larger


def settings(full: bool) -> Settings:
    return {
        **lbi_digits.common(full),
        "nu": Setting(100.0, "ours", "not said; that of the paper's ablations"),
        "kappa": Setting(10.0, "paper"),
        "lam": Setting(0.02 if full else 0.0085, "ours",
                       "the paper: 1; some neurons enter, others do not"),
        "groups": Setting("neuron", "ours", "the weights that a hidden neuron reads"),
        "method": Setting("SplitLBI Mom-Wd", "ours", "which variant is not said"),
    }  # fmt: skip


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    seeds, method = settings["seeds"].value, settings["method"].value
    asked = {
        "SplitLBI": [lbi_digits.training(settings, method, seed, groups="neuron")
                     for seed in seeds],
        "SGD": [lbi_digits.training(settings, "SGD Mom-Wd", seed) for seed in seeds],
    }  # fmt: skip
    return lbi_digits.results(run, asked)


def apart(norms: np.ndarray, selected: np.ndarray) -> float | None:
    """The share of pairs in which the selected neuron is the larger: the area under the ROC."""
    inside = int(selected.sum())
    outside = len(selected) - inside
    if not inside or not outside:
        return None
    ranks = rankdata(norms)[selected].sum() - inside * (inside + 1) / 2
    return float(ranks / (inside * outside))


def plot(data: dict[str, Any]) -> Any:
    from matplotlib.lines import Line2D

    figure, axes = style.panels(2, 2, size=(style.PAGE, 5.6), height_ratios=(1.7, 1))
    one, other = data["SplitLBI"][0], data["SGD"][0]
    last = one["selected"][-1]
    most = 1.05 * max(result["norms"].max() for result in (one, other))
    for axis, result, title in ((axes[0, 0], one, "SplitLBI"), (axes[0, 1], other, "SGD")):
        for chosen, colour in ((True, style.BLUE), (False, style.VERMILION)):
            lines = result["norms"][:, last == chosen][:, ::DRAWN]
            axis.plot(np.arange(len(lines)), lines, color=colour, linewidth=0.4)
        axis.set(xlabel="epochs", title=title, ylim=(0, most))
        axis.locator_params(axis="x", integer=True, nbins=5)
    axes[0, 0].set_ylabel("norm of the weights of a neuron of layer 1")
    axes[0, 1].set_ylabel("likewise, same range")
    handles = [Line2D([], [], color=style.BLUE), Line2D([], [], color=style.VERMILION)]
    names = [
        f"{int(last.sum())} neurons in the support of SplitLBI's Gamma at the end",
        f"{int((~last).sum())} neurons whose Gamma is zero at the end",
    ]
    figure.legend(handles, names, loc="outside upper center", ncols=2,
                  title=f"the same neurons on both sides, one in {DRAWN} is drawn")  # fmt: skip
    for axis, result, title in ((axes[1, 0], one, "SplitLBI"), (axes[1, 1], other, "SGD")):
        _filters(axis, result, title == "SplitLBI")
        axis.set_title(f"{title}: what neurons of layer 1 read, at the end")
    return figure


def _filters(axis: Any, result: dict[str, Any], sparse: bool) -> None:
    """Weights as images: the largest norms above, the smallest below; one scale for all."""
    import matplotlib

    images = result["filters"].reshape(2, lbi_digits.SHOWN, 28, 28)
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in framed])
    most = np.nanmax(np.abs(sheet))
    few = matplotlib.colormaps["RdBu_r"].resampled(15)  # colours: noise makes a large file else
    axis.imshow(sheet, cmap=few, vmin=-most, vmax=most, interpolation="nearest")
    for side in axis.spines.values():
        side.set_visible(False)
    axis.set_xticks([])
    axis.set_yticks([15, 45], ["largest\nnorms", "smallest"])
    axis.tick_params(length=0)
    ends = result["norms"][-1][result["shown"]]
    note = f"norms {ends[0]:.2g} ... {ends[-1]:.2g}; red above zero, blue below"
    if sparse:
        out = int((~result["selected"][-1][result["shown"][lbi_digits.SHOWN :]]).sum())
        gone = f"Gamma is zero for {out} of the {lbi_digits.SHOWN} smallest: the coupling"
        note += f"\n{gone} pulls W to zero"
    axis.set_xlabel(note, fontsize=7)


def claims(data: dict[str, Any]) -> list[Claim]:
    runs, sgd = data["SplitLBI"], data["SGD"]
    ends = [apart(r["norms"][-1], r["selected"][-1]) for r in runs]
    at_start = [apart(r["norms"][0], r["selected"][-1]) for r in runs]
    same = [apart(s["norms"][-1], r["selected"][-1]) for r, s in zip(runs, sgd, strict=True)]
    shares = [float(r["selected"][-1].mean()) for r in runs]
    early = [_early(r) for r in runs]
    differences = [
        float(r["test"][-1] - s["test"][-1]) for r, s in zip(runs, sgd, strict=True)
    ]  # fmt: skip
    return [
        Claim.judged(
            ID,
            "SplitLBI selects some of the neurons, and not all of them",
            [0 < share < 1 for share in shares],
            number={"share of the first layer": shares, "share under SGD": [1.0] * len(sgd)},
            depends_on="On lambda: with half of it nearly all neurons enter, with twice it few. "
            "That SGD's neurons are all nonzero holds of every SGD.",
        ),
        Claim.judged(
            ID,
            "the selected neurons are the ones of large norm: a selected one is larger than one "
            f"that is not in more than {APART:.0%} of pairs",
            [end is not None and end > APART for end in ends],
            number={
                "at the end": ends,
                "by the norms at the start": at_start,
                "by the norms of SGD from the same start": same,
            },
            depends_on="On nothing much: Gamma enters where W was large for long, and keeps it "
            "large. The same neurons are the large ones of SGD, in nine tenths of pairs.",
        ),
        Claim.judged(
            ID,
            "the selection is made in early epochs: more than half of the neurons selected at the "
            f"end are in the support after {EARLY:.0%} of the epochs",
            [share is not None and share > 0.5 for share in early],
            number={"share selected early": early},
            depends_on="On the schedule: once the step has fallen to a tenth, V moves a tenth as "
            "far, and few neurons can still enter.",
        ),
        Claim.judged(
            ID,
            "without sacrificing accuracy: W is at most one point below SGD on the tests",
            [difference >= -lbi_digits.COMPARABLE for difference in differences],
            number={
                "accuracy minus SGD's": differences,
                "accuracy of W on the support, minus SGD's": [
                    float(r["sparse"][-1] - s["test"][-1])
                    for r, s in zip(runs, sgd, strict=True)
                ],
            },
            depends_on="On nu: the coupling to neurons that are not selected is weight decay of "
            "strength 1 / nu.",
        ),
    ]  # fmt: skip


def _early(result: dict[str, Any]) -> float | None:
    last = result["selected"][-1]
    at = round(EARLY * (len(result["selected"]) - 1))
    return float(result["selected"][at][last].mean()) if last.any() else None


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (method, seed, epoch, neuron, float(norm), bool(result["selected"][epoch][neuron]))
        for method, runs in data.items()
        for seed, result in enumerate(runs[:1])
        for epoch, norms in enumerate(result["norms"])
        for neuron, norm in enumerate(norms)
    ]
    return {"norms": (("method", "seed", "epoch", "neuron", "norm", "selected"), rows)}


def summary(data: dict[str, Any]) -> str:
    """Selected neurons by epoch."""
    lines = ["epoch: selected of the first layer's neurons, mean over the starts"]
    counts = lbi_digits.stacked(data["SplitLBI"], "selected").sum(axis=2).mean(axis=0)
    return "\n".join([*lines, "  ".join(f"{e}: {c:.0f}" for e, c in enumerate(counts))])
