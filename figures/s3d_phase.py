"""Not in the paper: which number of copies gains most per new copy, by Theorem 2.2 and in truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import s3d_toy, style
from figures.record import Claim, Setting, Settings
from refgrow import s3d

ID = "S3D-Phase-new"
STATEMENTS = ("S3D-Phase-new",)
TITLE = "Signed splits: which number of copies gains most per new copy, and which triplet"

TIE = 1e-9  # gains of order one that differ by rounding
COPIES = (2, 3, 4)
BRANCHES = ("positive", "negative", "mixed")


def settings(full: bool) -> Settings:
    toy = s3d_toy.settings(full)
    return {
        **toy,
        "grid": Setting(["base"], "ours", "real neurons are shown, the diagram needs none"),
        "ratios": Setting([0.01, 100.0, 801 if full else 401], "ours",
                          "lambda_max / |lambda_min|, on a logarithmic scale"),
        "bounds": Setting([1.02, 12.0, 601 if full else 301], "ours", "c, on a logarithmic scale"),
    }  # fmt: skip


def per_copy(ratio: Any, c: Any, *, printed: bool) -> np.ndarray:
    """What is gained for every new copy by m = 2, 3, 4, for lam_min = -1: the first axis is m."""
    gains = [s3d.best_gain(-1.0, ratio, c, m) for m in COPIES]
    if printed:
        gains[1] = s3d.printed_triplet_gain(-1.0, ratio, c)
    return np.array([-gain / (m - 1) for gain, m in zip(gains, COPIES, strict=True)])


def winner(gains: np.ndarray) -> np.ndarray:
    """The index of the largest; of equal ones the first, which has the fewest copies."""
    return np.argmax(gains >= gains.max(axis=0) - TIE, axis=0)


def branch(ratio: Any, c: Any) -> np.ndarray:
    """Which of `BRANCHES` the best triplet is."""
    a, b = (c + 1) / 2, (c - 1) / 2
    values = np.broadcast_arrays(a, b * ratio, (c + b * ratio) / a)
    return winner(np.array(values))


def triplet_window(c: Any) -> tuple[Any, Any]:
    """Between which ratios the true triplet gains more per new copy than binary splits, c < 3.

    2 max(1, b r / a) < (c + b r) / a: above r = 1/b on the left of a/b, below c/b on its right.
    """
    b = (c - 1) / 2
    return 1 / b, c / b


def inside_window(ratio: Any, c: Any) -> tuple[np.ndarray, np.ndarray]:
    """Whether ratios lie in `triplet_window`, and whether they are off its ends by more than 1e-6.

    At the ends the two gains are equal, and rounding decides.
    """
    low, high = triplet_window(c)
    off = np.minimum(np.abs(ratio / low - 1), np.abs(ratio / high - 1)) > 1e-6
    return (low < ratio) & (ratio < high), off


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    ratio, c = (np.geomspace(*settings[name].value) for name in ("ratios", "bounds"))
    R, B = np.meshgrid(ratio, c)
    window, off = inside_window(R, B)
    results = run(s3d_toy.grow, s3d_toy.cells(settings, method="m = 2"))
    pairs = [
        np.concatenate([r[f"{name}{k}"] for r in results for k in range(len(r["sizes"]))])
        for name in ("lam_min", "lam_max")
    ]
    return {
        "ratio": ratio,
        "c": c,
        "best": {name: winner(per_copy(R, B, printed=name == "printed"))
                 for name in ("printed", "true")},
        "gains": per_copy(R, B, printed=False),
        "branch": branch(R, B),
        "window": window,
        "off": off,
        "lam_min": pairs[0],
        "lam_max": pairs[1],
    }  # fmt: skip


def plot(data: dict[str, Any]) -> Any:
    figure, (*axes, counts) = style.panels(1, 4, size=(style.PAGE, 3.0))
    light = _tints(style.SKY, style.ORANGE, style.PURPLE)
    kinds = _tints(style.BLUE, style.VERMILION, style.GREEN)
    both = (data["lam_min"] < 0) & (data["lam_max"] > 0)
    real = data["lam_max"][both] / -data["lam_min"][both]
    for axis, picture, colours, names, title in (
        (axes[0], data["best"]["printed"], light, [f"m = {m}" for m in COPIES],
         "per new copy,\nTheorem 2.2 as printed"),
        (axes[1], data["best"]["true"], light, [f"m = {m}" for m in COPIES],
         "per new copy,\nthe true optimum"),
        (axes[2], data["branch"], kinds, BRANCHES, "the true triplet:\nwhich scheme"),
    ):  # fmt: skip
        axis.pcolormesh(data["ratio"], data["c"], picture, cmap=colours, vmin=0, vmax=2,
                        rasterized=True)  # fmt: skip
        for k, name in enumerate(names):
            if (picture == k).any():
                at = _inside(picture == k)
                axis.text(data["ratio"][at[1]], data["c"][at[0]], name, ha="center", va="center",
                          fontsize=7)  # fmt: skip
        axis.set(xscale="log", yscale="log", title=title,
                 xlabel=r"$\lambda_{\max}\,/\,|\lambda_{\min}|$")  # fmt: skip
        axis.axhline(3, color=style.BLACK, linewidth=0.6, linestyle=":")  # the paper's c
        axis.set_xticks([0.01, 1, 100], ["0.01", "1", "100"])
        axis.set_yticks([1.3, 2, 3, 5, 10], ["1.3", "2", "3", "5", "10"])
        axis.minorticks_off()
    axes[1].annotate("m = 3", (3.2, 2.0), (30, 1.75), fontsize=7, va="center", ha="center",
                     arrowprops={"arrowstyle": "-", "linewidth": 0.6})  # fmt: skip
    counts.hist(np.clip(real, 0.01, 100), bins=np.geomspace(0.01, 100, 41), color=style.GREY)
    counts.set(xscale="log", title="neurons of\ngrown networks", ylabel="count (ends: beyond)",
               xlabel=r"$\lambda_{\max}\,/\,|\lambda_{\min}|$")  # fmt: skip
    counts.set_xticks([0.01, 1, 100], ["0.01", "1", "100"])
    counts.minorticks_off()
    axes[0].set_ylabel("c")
    return figure


def _tints(*colours: str) -> Any:
    """A map of pale colours, on which names can be read."""
    from matplotlib.colors import ListedColormap, to_rgb

    return ListedColormap([0.5 + 0.5 * np.array(to_rgb(colour)) for colour in colours])


def _inside(mask: np.ndarray) -> tuple[int, int]:
    """The point of a region that is farthest from its edge, for its name."""
    from scipy.ndimage import distance_transform_cdt

    depth = distance_transform_cdt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(np.argmax(depth), mask.shape)
    return int(row), int(column)


def claims(data: dict[str, Any]) -> list[Claim]:
    c = data["c"][:, None] + 0 * data["ratio"]
    printed, true = data["best"]["printed"], data["best"]["true"]
    gains, low = data["gains"], c < 3
    beats = gains[1] > gains[0] + TIE
    binary = printed[c <= 2] == 0
    none = true[c > 3] != 0
    open_ = (data["window"] & data["off"]).any(axis=1)
    wins = (true == 1).any(axis=1)
    both = (data["lam_min"] < 0) & (data["lam_max"] > 0)
    ratio = data["lam_max"][both] / -data["lam_min"][both]
    inside = {
        f"c = {value:g}": float(((ratio > triplet_window(value)[0])
                                 & (ratio < triplet_window(value)[1])).sum() / both.size)
        for value in (1.3, 2.0, 2.9)
    }  # fmt: skip
    return [
        Claim.judged(
            ID,
            "by the print, binary splits are best per new copy for every c <= 2",
            binary.ravel(),
            needed=1.0,
        ),
        Claim.judged(
            ID,
            "in truth the triplet beats them exactly for 1/b < lambda_max / |lambda_min| < c/b, "
            "at every 1 < c < 3, b = (c - 1)/2",
            (beats == data["window"])[low & data["off"]],
            needed=1.0,
            number={
                "share of the rows c < 3 where the window meets the grid": float(
                    open_[data["c"] < 3].mean()
                ),
                "largest gain over binary splits per new copy": float(
                    (gains[1] / gains[0])[low].max()
                ),
                "share of neurons of real toy networks inside it": inside,
            },
        ),
        Claim.judged(
            ID,
            "and is then the best of all at every c <= 2 that the grid resolves",
            wins[(data["c"] <= 2) & open_],
            needed=1.0,
        ),
        Claim.judged(
            ID,
            "for c > 3 binary splits are never the best per new copy",
            none.ravel(),
            needed=1.0,
            number={"share of neurons with both signs of curvature": float(both.mean())},
        ),
    ]


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (c, ratio, int(data["best"]["printed"][i, k]) + 2, int(data["best"]["true"][i, k]) + 2,
         BRANCHES[data["branch"][i, k]])
        for i, c in list(enumerate(data["c"]))[::10]
        for k, ratio in list(enumerate(data["ratio"]))[::10]
    ]  # fmt: skip
    header = ("c", "lam_max_over_lam_min", "best_m_printed", "best_m_true", "triplet")
    real = list(zip(data["lam_min"], data["lam_max"], strict=True))
    return {"phases": (header, rows), "neurons": (("lam_min", "lam_max"), real)}
