"""S2D Fig 5: the curves fitted by every method with 3 and with 8 neurons."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import s2d_toy, style
from figures.record import Claim, Settings
from refgrow import networks, neurons

ID = "S2D-Fig-5"
STATEMENTS = ("S2D-Fig-5",)
TITLE = "Toy RBF network: curves fitted with 3 and with 8 neurons, by method"

settings = s2d_toy.settings


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    methods = list(s2d_toy.METHODS)
    asked = [cell for m in methods for cell in s2d_toy.cells(settings, method=m)]
    results = s2d_toy.by_setting(run(s2d_toy.grow, asked), settings, len(methods))
    error = np.array(
        [[[r["ends"][[m - 1 for m in s2d_toy.SHOWN]] for r in row] for row in grid]
         for grid in results]
    )  # fmt: skip
    floor = np.array([[r["floor"] for r in row] for row in results[0]])
    shown = int(np.argsort(error[0, 0, :, 1])[error.shape[2] // 2])
    x = np.linspace(-5, 5, 401)
    seed = settings["seeds"].value[shown]
    curves = [
        [networks.Shallow(r[f"theta{m}"], r[f"weights{m}"], neurons.bump)(x[:, None])[:, 0]
         for m in s2d_toy.SHOWN]
        for r in (grid[0][shown] for grid in results)
    ]  # fmt: skip
    return {
        "x": x,
        "target": s2d_toy.target_curve(settings, seed, x),
        "curves": np.array(curves),
        "seed": seed,
        "error": error,
        "floor": floor,
        "methods": methods,
        "grid": settings["grid"].value,
    }


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 2, size=(style.PAGE, 2.9), sharey=True)
    for k, (axis, m) in enumerate(zip(axes, s2d_toy.SHOWN, strict=True)):
        axis.plot(
            data["x"], data["target"], color=style.GREY, linewidth=3, alpha=0.5, label="target"
        )
        for method, curve in zip(data["methods"], data["curves"], strict=True):
            axis.plot(data["x"], curve[k], **{**style.look(method), "marker": ""})
        axis.set(xlabel="x", title=f"{m} neurons, target of seed {data['seed']}")
    axes[0].set_ylabel("f(x)")
    style.legend(figure, axes[0], columns=4)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    judged = []
    for k, m in enumerate(s2d_toy.SHOWN):
        best_other = data["error"][1:, :, :, k].min(axis=0)
        holds = data["error"][0, :, :, k] <= best_other
        judged.append(
            Claim.judged(
                "S2D-Fig-5",
                f"with {m} neurons splitting fits better than every other method",
                holds.ravel(),
                number=s2d_toy.shares(data["grid"], holds, data["floor"]),
                depends_on="On the rivals: training from scratch and new initialisation fit "
                "better, even where the target has one sign.",
            )
        )
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    names = [f"{m} neurons, {method}" for method in data["methods"] for m in s2d_toy.SHOWN]
    rows = np.column_stack([data["x"], data["target"], *data["curves"].reshape(len(names), -1)])
    error = [
        (method, setting, target, m, data["error"][i, g, target, k])
        for i, method in enumerate(data["methods"])
        for g, setting in enumerate(data["grid"])
        for target in range(data["error"].shape[2])
        for k, m in enumerate(s2d_toy.SHOWN)
    ]
    header = ("method", "setting", "target", "neurons", "mse_over_variance")
    return {"curves": (("x", "target", *names), rows), "error": (header, error)}
