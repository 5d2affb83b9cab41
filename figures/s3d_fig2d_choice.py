"""S3D Fig 2 d: which neuron S2D and S3D split at the 4th splitting step, and what comes of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import s2d_toy, s3d_toy, style
from figures.record import Claim, Setting, Settings

ID = "S3D-Fig-2d"
STATEMENTS = ("S3D-Fig-2d",)
TITLE = "Toy RBF network: what S2D and S3D (m = 2) choose at the 4th splitting step"

CHOOSERS = ("S2D", "m = 2")
# Read off the full run.
DEPENDS = {
    "output weights trained": {
        "differ": "On nothing in the grid: with 4 neurons the smallest eigenvalues still rule.",
        "negative": "On nothing in the grid: with 4 neurons the smallest eigenvalues still rule.",
        "better": "On the choice: where it is another neuron, it mostly is the better one.",
    },
    "output weights fixed": {
        "differ": "On the first output weight: with 10 on few targets, with a small one on most.",
        "negative": "On the first output weight: with 10 on few targets, with a small one on most.",
        "better": "On the choice: where it is another neuron, it nearly always is the better one.",
    },
}


def settings(full: bool) -> Settings:
    return {
        **s3d_toy.settings(full),
        "most": Setting(4, "paper", "neurons before the 4th binary split, grown by S3D, m = 2"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    asked = s3d_toy.cells(settings)
    (results,) = s2d_toy.by_setting(run(s3d_toy.look_at_choices, asked), settings)
    kept = ("chosen", "negative", "gains", "immediate", "retrained", "unsplit")
    data = {name: np.array([[r[name] for r in row] for row in results]) for name in kept}
    shown = [middle(*pair) for pair in zip(data["chosen"], data["retrained"], strict=True)]
    return {**data, "grid": settings["grid"].value,
            "shown": [row[target] for row, target in zip(results, shown, strict=True)],
            "floor": np.array([[r["floor"] for r in row] for row in results]),
            "target": [settings["seeds"].value[target] for target in shown]}  # fmt: skip


def middle(chosen: np.ndarray, retrained: np.ndarray) -> int:
    """The target that is drawn: where choices differ (if any), the one of the middle loss ratio."""
    ratio = retrained[:, 0] / retrained[:, 1]
    other = chosen[:, 0] != chosen[:, 1]
    eligible = np.flatnonzero(other) if other.any() else np.arange(len(ratio))
    return int(eligible[np.argsort(ratio[eligible])[len(eligible) // 2]])


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(2, 2, size=(style.PAGE, 5.2))
    for row, name in zip(axes, s3d_toy.QUICK, strict=True):
        g = data["grid"].index(name)
        _bars(row[0], data["shown"][g], f"{name}: target of seed {data['target'][g]}, 4 neurons")
        _curves(row[1], data["shown"][g])
    style.legend(figure, axes[0, 1], columns=3)
    return figure


def _bars(left: Any, shown: dict[str, Any], title: str) -> None:
    """Both eigenvalues of every neuron, in the order of their centres, and what is chosen."""
    theta = shown["theta"]
    centres = -theta[:, 1] / theta[:, 0]
    order = np.argsort(centres)
    for k, j in enumerate(order):
        ends = shown["lam_min"][j], shown["lam_max"][j]
        for value, colour in zip(ends, (style.VERMILION, style.BLUE), strict=True):
            left.bar(k, value, width=0.5, color=colour)
    scale = max(-shown["lam_min"].min(), shown["lam_max"].max())
    left.axhline(0, color=style.BLACK, linewidth=0.6)
    choices = zip(("S2D", "S3D, m = 2"), shown["chosen"], shown["negative"], strict=True)
    for name, j, negative in choices:
        side = -1 if name == "S2D" else 1
        if j < 0:
            left.text(0.03, 0.05, f"{name} splits nothing", transform=left.transAxes, fontsize=7)
            continue
        k, value = list(order).index(j), shown["lam_max" if negative else "lam_min"][j]
        inwards = k == (len(order) - 1 if side > 0 else 0)  # or the name would leave the panel
        left.annotate(
            name, (k + 0.12 * side, value),
            (k + 0.12 * side, value + (1 if negative else -1) * 0.35 * scale),
            ha="left" if (side > 0) != inwards else "right", va="center", fontsize=7,
            arrowprops={"arrowstyle": "->", "shrinkB": 0},
        )  # fmt: skip
    left.set_xticks(range(len(order)), [f"{centres[j]:.2g}\n({shown['weights'][j]:+.2g})"
                                        for j in order])  # fmt: skip
    left.set(
        xlabel="centre of the neuron (its output weight)",
        ylim=(-1.5 * scale, 1.5 * scale),
        ylabel=r"$\lambda_{\min}$ (red), $\lambda_{\max}$ (blue)",
        title=title,
    )


def _curves(right: Any, shown: dict[str, Any]) -> None:
    """The function before, right after and some time after the split."""
    right.plot(shown["x"], shown["target"], color=style.GREY, linewidth=3, alpha=0.5,
               label="target")  # fmt: skip
    right.plot(shown["x"], shown["before"], color=style.BLACK, linewidth=0.9, label="before")
    for k, (method, name) in enumerate(zip(CHOOSERS, ("S2D", "S3D, m = 2"), strict=True)):
        look = {**s3d_toy.LOOKS[method], "marker": ""}
        right.plot(shown["x"], shown["after"][k], **{**look, "linestyle": ":"}, linewidth=1,
                   label=f"{name}, just split")  # fmt: skip
        right.plot(shown["x"], shown["later"][k], **look, label=f"{name}, retrained")
    right.set(xlabel="x", ylabel="f(x)", title="the curve before and after the split")


def claims(data: dict[str, Any]) -> list[Claim]:
    return [
        claim
        for kind, rows in s3d_toy.readings(data["grid"]).items()
        for claim in _claims(data, kind, rows)
    ]


def _claims(data: dict[str, Any], kind: str, rows: np.ndarray) -> list[Claim]:
    """The claims under one reading, `rows` of the grid."""
    grid = [name for name, here in zip(data["grid"], rows, strict=True) if here]
    floor, retrained, depends = data["floor"][rows], data["retrained"][rows], DEPENDS[kind]
    differ = (data["chosen"][..., 0] != data["chosen"][..., 1])[rows]
    negative = data["negative"][..., 1][rows]
    better = retrained[..., 1] < retrained[..., 0]
    now = (data["immediate"][..., 1] > data["immediate"][..., 0])[rows]
    judged = [
        Claim.judged(
            ID,
            f"S2D and S3D (m = 2) choose different neurons at the 4th splitting step; {kind}",
            differ.ravel(),
            number={"share by setting": s3d_toy.shares(grid, differ, floor)},
            depends_on=depends["differ"],
        ),
        Claim.judged(
            ID,
            f"S3D splits by the largest eigenvalue, with a negative fraction; {kind}",
            negative.ravel(),
            number={"share by setting": s3d_toy.shares(grid, negative, floor)},
            depends_on=depends["negative"],
        ),
        Claim.judged(
            ID,
            f"the choice of S3D is better: retrained, the loss is lower than with S2D's; {kind}",
            better.ravel(),
            number={
                "share by setting": s3d_toy.shares(grid, better, floor),
                "share where they choose different neurons": _mean(better[differ]),
                "lower right after the split, where they choose different neurons":
                    _mean(now[differ]),
                "geometric mean of the loss ratio, S3D over S2D": float(np.exp(np.log(
                    retrained[..., 1] / retrained[..., 0]).mean())),
            },
            depends_on=depends["better"],
        ),
    ]  # fmt: skip
    if differ.any():  # The paper says that S3D can choose another and better neuron, not always.
        judged.append(
            Claim.judged(
                ID,
                "where S3D splits another neuron than S2D, or S2D none, its split is better, "
                f"retrained; {kind}",
                better[differ],
            )
        )
    return judged


def _mean(holds: np.ndarray) -> float | None:
    return float(holds.mean()) if holds.size else None


def tables(data: dict[str, Any]) -> dict[str, Any]:
    choices = [
        (setting, target, method, int(data["chosen"][g, target, k]),
         int(data["negative"][g, target, k]),
         *(data[name][g, target, k] for name in ("gains", "immediate", "retrained")))
        for g, setting in enumerate(data["grid"])
        for target in range(data["chosen"].shape[1])
        for k, method in enumerate(CHOOSERS)
    ]  # fmt: skip
    eigenvalues, curves = [], []
    for setting, shown in zip(data["grid"], data["shown"], strict=True):
        columns = [shown["weights"], shown["lam_min"], shown["lam_max"]]
        eigenvalues += [(setting, *row) for row in np.column_stack([shown["theta"], *columns])]
        columns = [shown["x"], shown["target"], shown["before"], *shown["after"], *shown["later"]]
        curves += [(setting, *row) for row in np.column_stack(columns)]
    names = [f"{m}, {when}" for when in ("just split", "retrained") for m in CHOOSERS]
    header = ("setting", "target", "method", "neuron", "negative", "predicted_gain",
              "decrease_immediate", "mse_over_variance_retrained")  # fmt: skip
    return {
        "choices": (header, choices),
        "eigenvalues": (
            ("setting", "theta_1", "theta_2", "weight", "lam_min", "lam_max"),
            eigenvalues,
        ),
        "curves": (("setting", "x", "target", "before", *names), curves),
    }
