"""S3D Fig 2 c: the curves fitted with 5 neurons, by positive and by signed splits."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from figures import s2d_toy, s3d_toy, style
from figures.record import Claim, Setting, Settings

ID = "S3D-Fig-2c"
STATEMENTS = ("S3D-Fig-2c",)
TITLE = "Toy RBF network: curves fitted with 5 neurons, S2D against S3D (c = 3)"

# Read off the full run.
DEPENDS = {
    "output weights trained": {
        "m = 2": "On the target hardly: with 5 neurons it has mostly split as S2D has.",
        "m = 3": "On the target: on all that positive splits cannot fit, on half of the others.",
        "m = 4": "On the target: on nearly all that positive splits cannot fit, on fewer than half "
        "of the others.",
    },
    "output weights fixed": {
        "m = 2": "On the first output weight: with 10 on half of the targets.",
        "m = 3": "On the first output weight: with 10 on fewer targets.",
        "m = 4": "On the first output weight: with 10 on fewer targets.",
    },
}


def settings(full: bool) -> Settings:
    return {
        **s3d_toy.settings(full),
        "shown": Setting(5, "paper", "neurons; m = 4 has no 5 but 4 after its first split"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    methods, size = list(s3d_toy.METHODS), settings["shown"].value
    asked = [cell for m in methods for cell in s3d_toy.cells(settings, method=m)]
    results = s2d_toy.by_setting(run(s3d_toy.grow, asked), settings, len(methods))
    error = np.array([[[s3d_toy.by_size(r, size) for r in row] for row in grid]
                      for grid in results])  # fmt: skip
    x = np.linspace(-5, 5, 401)
    curves, names = [], []
    for g, setting in [(settings["grid"].value.index(name), name) for name in s3d_toy.QUICK]:
        order = np.argsort(error[0, g])
        for kind, rank in (("best", 0), ("median", len(order) // 2), ("worst", -1)):
            target = order[rank]
            seed = settings["seeds"].value[target]
            base = next(cell for cell in s3d_toy.cells(settings) if cell["seed"] == seed)
            teacher = s3d_toy.problem(seed, base).teacher
            assert teacher is not None  # this problem is made by a network
            fits = [s3d_toy.network_of(grid[g][target], size) for grid in results]
            shown = [(teacher.theta, teacher.weights), *fits]
            curves.append([s3d_toy.curve(*network, x) for network in shown])
            names.append((setting, f"{kind} of S2D: target of seed {seed}"))
    return {
        "x": x,
        "curves": np.array(curves),
        "names": names,
        "methods": methods,
        "error": error,
        "floor": np.array([[r["floor"] for r in row] for row in results[0]]),
        "grid": settings["grid"].value,
        "size": size,
    }


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(2, 3, size=(style.PAGE, 4.6))
    for axis, curves, (setting, name) in zip(axes.flat, data["curves"], data["names"], strict=True):
        axis.plot(data["x"], curves[0], color=style.GREY, linewidth=3, alpha=0.5, label="target")
        for method, curve in zip(data["methods"], curves[1:], strict=True):
            label = f"{method}, 4 neurons" if method == "m = 4" else method
            axis.plot(data["x"], curve, **{**s3d_toy.LOOKS[method], "marker": ""}, label=label)
        axis.set(xlabel="x", title=name)
        if axis.get_subplotspec().is_first_col():
            axis.set_ylabel(f"{setting}\nf(x)")
    style.legend(figure, axes[0, 0], columns=5)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    judged = []
    readings = s3d_toy.readings(data["grid"])
    signed = enumerate(data["methods"][1:], start=1)
    for (kind, rows), (k, method) in itertools.product(readings.items(), signed):
        error, floor = data["error"][:, rows], data["floor"][rows]
        grid = [name for name, here in zip(data["grid"], rows, strict=True) if here]
        holds = error[k] < error[0]
        size = 4 if method == "m = 4" else data["size"]
        judged.append(
            Claim.judged(
                ID,
                f"signed splits, {method}, fit better with {size} neurons than S2D with 5; {kind}",
                holds.ravel(),
                number={
                    "share by setting": s3d_toy.shares(grid, holds, floor),
                    "geometric mean of MSE / variance": {
                        name: float(np.exp(np.log(error[i]).mean()))
                        for i, name in ((0, "S2D"), (k, method))
                    },
                },
                depends_on=DEPENDS[kind][method],
            )
        )
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    names = [f"{setting}, {kind.split(' ')[0]}, {name}" for setting, kind in data["names"]
             for name in ("target", *data["methods"])]  # fmt: skip
    rows = np.column_stack([data["x"], *data["curves"].reshape(len(names), -1)])
    error = [
        (method, setting, target, value)
        for i, method in enumerate(data["methods"])
        for g, setting in enumerate(data["grid"])
        for target, value in enumerate(data["error"][i, g])
    ]
    header = ("method", "setting", "target", "mse_over_variance")
    return {"curves": (("x", *names), rows), "error": (header, error)}
