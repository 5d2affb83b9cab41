"""S3D Fig 1: the splitting schemes, drawn from `s3d.best_scheme`, and the one the paper lacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import style
from figures.record import Claim, Setting, Settings
from refgrow import s3d

ID = "S3D-Fig-1"
STATEMENTS = ("S3D-Fig-1",)
TITLE = "The splitting schemes, and the triplet that the paper lacks"

C = 3.0
# Panel: name, spectrum (lam_min, lam_max), copies, the equation of the paper.
PANELS = (
    ("(a) positive binary", (-1.0, 0.5), 2, "eq 5"),
    ("(b) negative binary", (-0.25, 1.0), 2, "eq 8"),
    ("(c) positive triplet", (-1.0, 0.5), 3, "eq 9"),
    ("(d) negative triplet", (-0.25, 1.0), 3, "eq 10"),
    ("(e) quartet", (-1.0, 1.5), 4, "eq 11"),
    ("(f) mixed triplet", (-1.0, 1.5), 3, "not in the paper"),
)
# Sums of a few products of numbers of order one.
SAME = 1e-12


def settings(full: bool) -> Settings:
    return {
        "c": Setting(C, "ours", "the paper's toy value; Fig 1 names none"),
        "spectra": Setting([list(p[1]) for p in PANELS], "ours", "on which the scheme is the best"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    c, panels = settings["c"].value, []
    for (name, spectrum, m, equation), lam in zip(PANELS, settings["spectra"].value, strict=True):
        S = np.diag(lam)  # v_min is the first axis, v_max the second
        scheme = s3d.best_scheme(S, c, m)
        gain = s3d.scheme_gain(S, scheme.weights, scheme.directions)
        panels.append({"name": name, "lam": spectrum, "m": m, "equation": equation, "gain": gain,
                       "weights": scheme.weights, "directions": scheme.directions})  # fmt: skip
    return {"c": c, "panels": panels}


def printed(c: float) -> list[tuple[list[float], list[tuple[float, float]]]]:
    """Weights and directions, in the axes (v_min, v_max), of eqs 5 and 8 to 11 as printed."""
    low, high, rest = (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)
    back, down, part = (-1.0, 0.0), (0.0, -1.0), (0.0, (c - 1) / (c + 1))
    p, n = (c + 1) / 4, -(c - 1) / 4
    return [
        ([0.5, 0.5], [low, back]),
        ([2 * p, 2 * n], [part, high]),
        ([p, p, 2 * n], [low, back, rest]),
        ([n, n, 2 * p], [high, down, rest]),
        ([p, p, n, n], [low, back, high, down]),
    ]


def as_printed(panel: dict[str, Any], weights: Any, directions: Any) -> bool:
    """Whether the copies drawn are those printed, in any order."""

    def copies(w: Any, d: Any) -> np.ndarray:
        rows = np.column_stack([w, d]) + 0.0
        return rows[np.lexsort(rows.round(9).T)]

    drawn, expected = copies(panel["weights"], panel["directions"]), copies(weights, directions)
    return drawn.shape == expected.shape and bool(np.abs(drawn - expected).max() < SAME)


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(2, 3, size=(style.PAGE, 4.9))
    for axis, panel in zip(axes.flat, data["panels"], strict=True):
        angle = np.linspace(0, 2 * np.pi, 200)
        axis.plot(np.cos(angle), np.sin(angle), color=style.GREY, linewidth=0.6, linestyle=":")
        axis.plot(0, 0, marker="o", markersize=9, markerfacecolor="white", color=style.BLACK)
        for w, d in zip(panel["weights"], panel["directions"], strict=True):
            colour = style.BLUE if w > 0 else style.VERMILION
            if np.abs(d).max() > 0:
                axis.annotate("", d, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour})
            axis.plot(*d, marker="o" if w > 0 else "s", color=colour, markersize=5)
            # Beside the tip, on the outer side.
            side = -1 if d[0] < -0.1 else 1
            axis.annotate(
                f"{w:+.2g}", d, (7 * side, 5), textcoords="offset points", color=colour,
                ha="left" if side > 0 else "right",
            )  # fmt: skip
        low, high = panel["lam"]
        axis.set(
            xlim=(-1.75, 1.75), ylim=(-1.3, 1.35), aspect="equal", xticks=[], yticks=[],
            xlabel=rf"$v_{{\min}}$ ({low:g})", ylabel=rf"$v_{{\max}}$ ({high:g})",
            title=f"{panel['name']}, {panel['equation']}\ngain {panel['gain']:.4g}",
        )  # fmt: skip
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    c, panels = data["c"], data["panels"]
    same = [as_printed(p, *q) for p, q in zip(panels, printed(c), strict=False)]
    gains = [s3d.best_gain(p["lam"][0], p["lam"][1], c, p["m"]) for p in panels]
    best = [bool(abs(p["gain"] - gain) < SAME) for p, gain in zip(panels, gains, strict=True)]
    mixed = panels[-1]
    print_ = float(s3d.printed_triplet_gain(mixed["lam"][0], mixed["lam"][1], c))
    return [
        Claim.judged("S3D-Fig-1", "schemes (a) to (e) are those of eqs 5 and 8 to 11", same,
                     needed=1.0),
        Claim.judged("S3D-Fig-1", "every scheme drawn attains the optimum for its spectrum", best,
                     needed=1.0),
        Claim(
            "S3D-Fig-1",
            "a triplet that the paper lacks, (f), gains more than any of the paper's triplets",
            {"spectrum": list(mixed["lam"]), "mixed triplet": mixed["gain"],
             "best of the printed triplets": print_},
            None,
            mixed["gain"] < print_ - SAME,
        ),
    ]  # fmt: skip


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (panel["name"], *panel["lam"], float(w), *map(float, d), panel["gain"])
        for panel in data["panels"]
        for w, d in zip(panel["weights"], panel["directions"], strict=True)
    ]
    header = ("scheme", "lam_min", "lam_max", "weight", "along_v_min", "along_v_max", "gain")
    return {"schemes": (header, rows)}
