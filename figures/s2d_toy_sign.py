"""Not in the paper: why splitting fits some toy targets and not others."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import s2d_toy, style
from figures.record import Claim, Setting, Settings

ID = "S2D-Toy-sign-new"
STATEMENTS = ("S2D-Toy-sign-new",)
TITLE = "Toy RBF network: splitting keeps the sign of the first neuron"

RECOVERED = 0.01


def settings(full: bool) -> Settings:
    return {
        **s2d_toy.settings(full),
        "seeds": Setting(list(range(50 if full else 30)), "ours", "one target and one start each"),
        "recovered": Setting(RECOVERED, "ours", "MSE / variance from which a target is recovered"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    asked = s2d_toy.cells(settings, method="splitting")
    (results,) = s2d_toy.by_setting(run(s2d_toy.grow, asked), settings)
    return {
        "grid": settings["grid"].value,
        "final": np.array([[r["ends"][-1] for r in row] for row in results]),
        "floor": np.array([[r["floor"] for r in row] for row in results]),
        # The neurons whose amplitude (times outgoing weight) has the rarer sign.
        "odd": np.array([[_rarer(r["theta8"][:, 2] * r["weights8"]) for r in row]
                         for row in results]),
    }  # fmt: skip


def plot(data: dict[str, Any]) -> Any:
    figure, axis = style.panels(size=(style.COLUMN, 3.0))
    shown = np.maximum(data["floor"][0], 1e-7)
    mixed = data["odd"][0] > 0
    for kind, colour, marker, name in (
        (~mixed, style.BLUE, "o", "8 amplitudes of one sign"),
        (mixed, style.VERMILION, "X", "amplitudes of both signs"),
    ):
        if not kind.any():
            continue
        axis.loglog(shown[kind], data["final"][0][kind], linestyle="", color=colour, marker=marker,
                    alpha=0.7, label=name)  # fmt: skip
    line = np.array([1e-7, 1.0])
    axis.loglog(line, line, color=style.BLACK, linewidth=0.8, label="floor for one sign")
    axis.set(
        xlabel="part of the target of the rarer sign / variance\n(at the left edge: none)",
        ylabel="MSE / variance at 8 neurons, splitting",
    )
    style.legend(figure, axis, columns=1)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    one = data["floor"] <= s2d_toy.ONE_SIGN
    mixed = data["floor"] > RECOVERED
    recovered = data["final"] <= RECOVERED
    alike = data["odd"] == 0
    statement = "S2D-Toy-sign-new"
    return [
        Claim.judged(
            statement,
            "all 8 neurons grown by splitting have the amplitude's sign of the first",
            alike.ravel(),
            number=s2d_toy.shares(data["grid"], alike),
            depends_on="On nothing in the grid: training took no amplitude through zero.",
        ),
        Claim.judged(
            statement,
            "a target of one sign is recovered",
            recovered[one],
            number={
                "median of MSE / variance": float(np.median(data["final"][one])),
                "share of such targets": {
                    name: float(row.mean()) for name, row in zip(data["grid"], one, strict=True)
                },
            },
            depends_on="On enough steps: minibatch SGD recovers fewer.",
        ),
        Claim.judged(
            statement,
            f"a target whose rarer sign makes up more than {RECOVERED} is not recovered",
            ~recovered[mixed],
            number={
                "median of MSE / variance": float(np.median(data["final"][mixed])),
                "median of MSE over the floor": float(
                    np.median(data["final"][mixed] / data["floor"][mixed])
                ),
            },
            depends_on="On the first claim: with one sign the floor is exact.",
        ),
    ]


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (setting, target, data["floor"][g, target], data["final"][g, target],
         int(data["odd"][g, target]))
        for g, setting in enumerate(data["grid"])
        for target in range(data["floor"].shape[1])
    ]  # fmt: skip
    header = ("setting", "target", "floor", "mse_over_variance", "neurons_of_the_rarer_sign")
    return {"targets": (header, rows)}


def _rarer(amplitudes: np.ndarray) -> int:
    return int(min((amplitudes > 0).sum(), (amplitudes < 0).sum()))
