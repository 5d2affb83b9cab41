"""S2D Fig 1 c: the decrease of the loss against the angle of the split to v_min."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import s2d_fig1b_eigenvalues, s2d_toy, style
from figures.record import Claim, Settings

ID = "S2D-Fig-1c"
STATEMENTS = ("S2D-Fig-1c",)
TITLE = "Toy RBF network: decrease of the loss against the angle of the split to v_min"

settings = s2d_fig1b_eigenvalues.settings


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    asked = s2d_toy.cells(settings, angles=settings["angles"].value)
    (results,) = s2d_toy.by_setting(run(s2d_toy.look_at_splits, asked), settings)
    kept = ("angle_immediate", "angle_retrained", "spectrum")
    data = {name: np.array([[r[name] for r in row] for row in results]) for name in kept}
    return {
        **data,
        "grid": settings["grid"].value,
        "angles": np.array(settings["angles"].value),
        "size": s2d_toy.BASE["size"],
    }


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 2, size=(style.PAGE, 2.6))
    degrees = np.degrees(data["angles"])
    for axis, kind, title in (
        (axes[0], "angle_immediate", "right after the split"),
        (axes[1], "angle_retrained", "after retraining, beyond training without a split"),
    ):
        for target in data[kind][0]:
            for plane, colour in zip(target, (style.BLUE, style.ORANGE), strict=True):
                axis.plot(degrees, plane / np.abs(target).max(), color=colour, alpha=0.5,
                          linewidth=0.8)  # fmt: skip
        axis.axhline(0, color=style.GREY, linewidth=0.6)
        axis.set(xlabel="angle to v_min (degrees)", title=title, xticks=range(0, 181, 45))
    axes[0].set_ylabel("decrease / largest |decrease|")
    for colour, name in ((style.BLUE, "toward the middle eigenvector"),
                         (style.ORANGE, "toward the largest one")):  # fmt: skip
        axes[0].plot([], [], color=colour, label=name)
    style.legend(figure, axes[0])
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    judged = []
    for kind, text, depends in (
        (
            "angle_immediate",
            "right after the split",
            "On a size small enough for the second order.",
        ),
        (
            "angle_retrained",
            "after retraining",
            "Retraining pulls most directions to the same minimum, to within small differences.",
        ),
    ):
        curves = data[kind]
        # Angles 0 and 180 degrees are the same split.
        aligned = curves[..., 0].max(axis=2)
        holds = aligned >= curves[..., 1:-1].max(axis=(2, 3))
        judged.append(
            Claim.judged(
                "S2D-Fig-1c",
                f"the decrease {text} is largest along v_min",
                holds.ravel(),
                number=s2d_toy.shares(data["grid"], holds),
                depends_on=depends,
            )
        )
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (setting, target, plane, angle, *(data[k][g, target, plane, a] for k in
         ("angle_immediate", "angle_retrained")))
        for g, setting in enumerate(data["grid"])
        for target in range(data["spectrum"].shape[1])
        for plane in range(2)
        for a, angle in enumerate(data["angles"])
    ]  # fmt: skip
    header = ("setting", "target", "plane", "angle", "decrease_immediate", "decrease_retrained")
    return {"angles": (header, rows)}
