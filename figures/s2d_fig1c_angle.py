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
    sizes = [{**s2d_toy.BASE, **s2d_toy.GRID[name]}["size"] for name in settings["grid"].value]
    angles = np.array(settings["angles"].value)
    return {**data, "grid": settings["grid"].value, "angles": angles, "sizes": np.array(sizes)}


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 2, size=(style.PAGE, 2.8))
    degrees = np.degrees(data["angles"])
    planes = (style.BLUE, style.ORANGE)
    for axis, kind, title in (
        (axes[0], "angle_immediate", "right after the split"),
        (axes[1], "angle_retrained", "after retraining, against no split"),
    ):
        for target in data[kind][0]:
            for plane, colour in zip(target, planes, strict=True):
                axis.plot(degrees, plane / np.abs(target).max(), color=colour, alpha=0.5,
                          marker=".", linewidth=0.8)  # fmt: skip
        axis.axhline(0, color=style.GREY, linewidth=0.6)
        axis.set(xlabel="angle to v_min (degrees)", title=title, xticks=range(0, 181, 45))
    fine = np.linspace(0, np.pi, 181)
    for target, theory in zip(data["angle_immediate"][0], _theory(data, fine), strict=True):
        axes[0].plot(np.degrees(fine), theory.T / np.abs(target).max(), color=style.BLACK,
                     linestyle=":", linewidth=0.8)  # fmt: skip
    axes[0].set_ylabel("decrease / largest |decrease|")
    axes[0].plot([], [], color=style.BLUE, label="toward the middle eigenvector")
    axes[0].plot([], [], color=style.ORANGE, label="toward the largest one")
    axes[0].plot([], [], color=style.BLACK, linestyle=":", label="second order")
    style.legend(figure, axes[0])
    return figure


def _theory(data: dict[str, Any], angles: np.ndarray) -> np.ndarray:
    """-(size^2 / 2)(lam_min cos^2 + lam_k sin^2) in the base setting: (targets, 2, angles)."""
    lam = data["spectrum"][0][:, :, None]
    along = lam[:, :1] * np.cos(angles) ** 2 + lam[:, 1:] * np.sin(angles) ** 2
    return -0.5 * data["sizes"][0] ** 2 * along


def claims(data: dict[str, Any]) -> list[Claim]:
    judged = []
    # Right after the split the claim is one about small sizes; larger ones are shown, not judged.
    limit = s2d_fig1b_eigenvalues.SMALL
    small = data["sizes"] <= limit
    for kind, text, counted, depends in (
        (
            "angle_immediate",
            f"right after a split of size at most {limit}",
            small,
            "On the size: it holds up to 0.01 and fails at 0.3.",
        ),
        (
            "angle_retrained",
            "after retraining",
            np.ones_like(small),
            "On how far retraining goes: Adam takes all directions to nearly the same minimum, "
            "slower minibatch SGD keeps most of their order.",
        ),
    ):
        # Angles 0 and 180 degrees are the same split.
        curves = data[kind]
        holds = curves[..., 0].max(axis=2) >= curves[..., 1:-1].max(axis=(2, 3))
        judged.append(
            Claim.judged(
                "S2D-Fig-1c",
                f"the decrease {text} is largest along v_min",
                holds[counted].ravel(),
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
