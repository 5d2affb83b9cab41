"""TINY Fig 3: a line that is to become a sine, at the paper's inputs and at three others."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linprog

from figures import style
from figures.record import Claim, Setting, Settings
from refgrow import tiny, tiny_theory

ID = "TINY-Ex"
STATEMENTS = ("TINY-Ex",)
TITLE = "The sine example: which inputs a change of the line improves, and which nothing can"

EXACT = 1e-12  # an error below this is rounding: there is nothing to improve
ANGLES = 720  # directions of (delta a, delta b) that are drawn
LINE = (-0.6, 8.1)


def settings(full: bool) -> Settings:
    return {
        "printed": Setting(list(tiny_theory.SINE_INPUTS), "paper", "0, 1.5, pi, 4.5"),
        "repaired": Setting([1.5, 4.5, 7.5], "ours", "errors +, -, +, which no line has"),
        "eta": Setting(1.0, "ours", "the paper leaves it open; all desired updates scale with it"),
    }


def improvement(x: np.ndarray, errors: np.ndarray) -> tuple[float, np.ndarray]:
    """The largest improvement, to first order, that a small (delta a, delta b) makes everywhere.

    max t over |delta a|, |delta b| <= 1 with sign(error_i) (delta a x_i + delta b) >= t. An error
    of zero can only grow, whatever the change: then t <= 0.
    """
    signs = np.sign(np.where(np.abs(errors) < EXACT, 0.0, errors))
    rows = np.column_stack([-signs * x, -signs, np.ones_like(x)])
    found = linprog([0, 0, -1], A_ub=rows, b_ub=np.zeros(len(x)),
                    bounds=[(-1, 1), (-1, 1), (None, None)])  # fmt: skip
    return max(float(found.x[2]), 0.0), found.x[:2]


def example(x: list[float], eta: float) -> dict[str, Any]:
    """What is wanted at these inputs, what the line can do, and in which directions it improves."""
    network, X, Y = tiny_theory.sine_example(x)
    V = 2 * eta * tiny.desired_updates(network, X, Y, "squared")[0]  # the print has no 1/2
    B = np.column_stack([X, np.ones(len(X))])
    update = tiny.best_update(B, V)
    errors, inputs = (Y - X)[:, 0], X[:, 0]
    wrong = np.abs(errors) >= EXACT
    everywhere, direction = improvement(inputs, errors)
    angles = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    moved = B @ np.array([np.cos(angles), np.sin(angles)])
    return {
        "x": inputs,
        "errors": np.where(wrong, errors, 0.0),
        "desired": V[:, 0],
        "best": (B @ update.T)[:, 0],
        "lack": tiny_theory.lack_of_expressivity(B, V),
        "wanted": float((V**2).sum()),
        "everywhere": everywhere,
        "where wrong": improvement(inputs[wrong], errors[wrong])[0],
        "direction": direction,
        "angles": angles,
        "improves": wrong[:, None] & (moved * np.sign(errors)[:, None] > 0),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    eta = settings["eta"].value
    return {name: example(settings[name].value, eta) for name in ("printed", "repaired")}


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 3, size=(style.PAGE, 2.9), width_ratios=[1, 1, 1])
    t = np.linspace(*LINE, 300)
    names = {"printed": "the paper's inputs", "repaired": "repaired: errors +, -, +"}
    for axis, (name, title) in zip(axes[:2], names.items(), strict=True):
        found = data[name]
        x = found["x"]
        axis.plot(t, t + 2 * np.sin(t), color=style.BLACK, label="wanted: x + 2 sin x")
        axis.plot(t, t, color=style.GREY, linestyle="--", label="the line: x")
        arrows = {"angles": "xy", "scale_units": "xy", "scale": 2, "width": 0.012}
        axis.quiver(x - 0.07, x, 0 * x, found["desired"], color=style.BLUE,
                    label="desired update, halved", **arrows)  # fmt: skip
        axis.quiver(x + 0.13, x, 0 * x, found["best"], color=style.VERMILION,
                    label="best update of the line, halved", **arrows)  # fmt: skip
        axis.plot(x, x, "o", color=style.BLACK)
        share = found["lack"] / found["wanted"]
        axis.set(xlabel="x", title=f"{title}\nlack of expressivity {share:.0%}", ylim=(-1.5, 10.5))
    axes[0].set_ylabel("y")
    rows = [(name, i) for name in names for i in range(len(data[name]["x"]))]
    for k, (name, i) in enumerate(rows):
        at = np.degrees(data[name]["angles"][data[name]["improves"][i]])
        colour = style.BLUE if name == "printed" else style.GREEN
        axes[2].plot(at, np.full(len(at), -k), ".", color=colour, markersize=3)
        if not len(at):
            axes[2].text(180, -k, "none: exact already", ha="center", va="center", fontsize=7)
    axes[2].axhline(0.5 - len(data["printed"]["x"]), color=style.GREY, linewidth=0.7)
    axes[2].set_yticks(
        [-k for k in range(len(rows))], [f"x = {data[name]['x'][i]:.3g}" for name, i in rows]
    )
    axes[2].set_xticks([0, 90, 180, 270, 360])
    axes[2].set(xlabel=r"angle of $(\delta a, \delta b)$, degrees", xlim=(0, 360),
                ylim=(0.5 - len(rows), 0.5),
                title="which changes of the line\nimprove which input")  # fmt: skip
    style.legend(figure, axes[0], columns=4)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    printed, repaired = data["printed"], data["repaired"]
    exact = int((printed["errors"] == 0).sum())
    number = {
        "errors": printed["errors"].tolist(),
        "inputs where the prediction is exact already": exact,
        "largest common improvement where it is not": printed["where wrong"],
        "lack of expressivity, of": [printed["lack"], printed["wanted"]],
    }
    return [
        Claim.judged(
            ID,
            "no update of the line improves the predictions at the four inputs simultaneously",
            [printed["everywhere"] == 0],
            number=number,
            depends_on="True, but of every model: at 0 and pi the line is exact, and nothing can "
            "improve it there.",
        ),
        Claim.judged(
            ID,
            "it is the lack of expressivity of lines that prevents it: another model could improve "
            "all four",
            [exact == 0],
            number=number,
            depends_on="At 0 and pi nothing is left to improve, for any model.",
        ),
        Claim.judged(
            ID,
            "nor does a line improve the predictions at the inputs where they are wrong",
            [printed["where wrong"] == 0],
            number=number,
            depends_on="On the number of inputs: any two can be improved together.",
        ),
        Claim.judged(
            ID,
            "the best update of the line is not the desired one: a lack of expressivity above zero",
            [printed["lack"] > EXACT * printed["wanted"]],
            number=number,
            depends_on="On nothing: the desired update is no affine function of x.",
        ),
        Claim.judged(
            ID,
            "ours: at 1.5, 4.5 and 7.5, where no prediction is exact, no update of the line "
            "improves all three",
            [repaired["everywhere"] == 0 and bool((repaired["errors"] != 0).all())],
            number={
                "errors": repaired["errors"].tolist(),
                "lack of expressivity, of": [repaired["lack"], repaired["wanted"]],
            },
            depends_on="On the signs of the errors: +, -, + at inputs in a row, and a line's value "
            "at the middle one is the mean of the others.",
        ),
    ]


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (name, *values)
        for name, found in data.items()
        for values in zip(found["x"], found["errors"], found["desired"], found["best"], strict=True)
    ]
    return {"updates": (("inputs", "x", "error", "desired_update", "best_update"), rows)}
