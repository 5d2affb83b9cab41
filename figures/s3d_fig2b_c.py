"""S3D Fig 2 b: the loss along training of signed binary splits, for several bounds c."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from figures import s2d_toy, s3d_toy, style
from figures.record import Claim, Setting, Settings

ID = "S3D-Fig-2b"
STATEMENTS = ("S3D-Fig-2b",)
TITLE = "Toy RBF network: signed binary splits (m = 2) with several c"

C = [1.0, 1.5, 2.0, 3.0, 5.0, 10.0]
COLOURS = (style.BLUE, style.SKY, style.GREEN, style.VERMILION, style.PURPLE, style.ORANGE)
LINES = ("-", "-.", ":", "--", "-", "-.")
# Read off the full run.
DEPENDS = {
    "output weights trained": "On nothing in the grid: binary splits stay positive while the "
    "target is out of reach of functions of one sign, and large c makes later training worse.",
    "output weights fixed": "Hardly on anything in the grid: positive splits have no way on.",
}


def settings(full: bool) -> Settings:
    shared = s3d_toy.settings(full)
    return {
        **{name: setting for name, setting in shared.items() if name != "c"},
        "c": Setting(C if full else C[::3] + C[-1:], "ours", "the paper prints no values but 1"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    values = settings["c"].value
    one = s3d_toy.settings(False)["c"]
    asked = s3d_toy.cells({**settings, "c": one}, method="S2D")
    for c in values:
        asked += s3d_toy.cells({**settings, "c": Setting(c, "ours")}, method="m = 2")
    results = s2d_toy.by_setting(run(s3d_toy.grow, asked), settings, 1 + len(values))
    positive, signed = results[0], results[1:]
    final = np.array([[[r["ends"][-1] for r in row] for row in grid] for grid in signed])
    differ = np.array([[[first_difference(r, p) for r, p in zip(row, other, strict=True)]
                        for row, other in zip(grid, positive, strict=True)]
                       for grid in signed])  # fmt: skip
    middle = [int(np.argsort(row)[len(row) // 2]) for row in final[0]]
    return {
        "c": values,
        "grid": settings["grid"].value,
        "final": final,
        "differ": differ,
        "same": np.array([[identical(r, p) for r, p in zip(row, other, strict=True)]
                          for row, other in zip(signed[0], positive, strict=True)]),
        "middle": middle,
        "target": [settings["seeds"].value[target] for target in middle],
        "shown": [[grid[g][target] for grid in signed] for g, target in enumerate(middle)],
    }  # fmt: skip


def first_difference(one: dict[str, Any], two: dict[str, Any]) -> int:
    """The splitting step, counted from 1, at which another split is chosen first; 0: at none."""
    other = (one["split"] != two["split"]) | (one["negative"] != two["negative"])
    other = other[:-1]  # after the last phase nothing is split
    return int(np.argmax(other)) + 1 if other.any() else 0


def identical(one: dict[str, Any], two: dict[str, Any]) -> bool:
    """Whether two runs went through the same networks to the last bit."""
    return all(
        np.array_equal(one[f"{name}{k}"], two[f"{name}{k}"])
        for k in range(len(two["sizes"]))
        for name in ("theta", "weights")
    )


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(2, 2, size=(style.PAGE, 5.0), sharey=True)
    for row, name in zip(axes, s3d_toy.QUICK, strict=True):
        _row(row, data, data["grid"].index(name))
    style.legend(figure, axes[0, 0], columns=6)
    return figure


def _row(axes: Any, data: dict[str, Any], g: int) -> None:
    """One setting: a target's curves with the first differences, and every target at the end."""
    left, right = axes
    rng = np.random.default_rng(0)
    for k, (c, result) in enumerate(zip(data["c"], data["shown"][g], strict=True)):
        colour, line = COLOURS[C.index(c)], LINES[C.index(c)]
        steps, curve = result["steps"] / 1000, result["curve"]
        name = f"c = {c:g}" + (" (S2D)" if c == 1 else "")
        left.semilogy(steps, curve, color=colour, linestyle=line, label=name)
        first = data["differ"][k, g, data["middle"][g]]
        if first:
            at = result["starts"][first] / 1000
            left.semilogy(
                at,
                np.interp(at, steps, curve),
                marker="v",
                color=colour,
                markerfacecolor="none",
                markersize=11 - k,
            )  # seen where they coincide
        base = data["final"][k, g]
        jitter = k + rng.uniform(-0.18, 0.18, len(base))
        right.semilogy(jitter, base, ".", color=colour)
        mean = np.exp(np.log(base).mean())
        right.semilogy([k - 0.3, k + 0.3], [mean] * 2, color=style.BLACK, linewidth=1.5)
    trained = s3d_toy.readings(data["grid"])["output weights trained"][g]
    left.set(
        xlabel="steps (thousands)\n(triangle: the first split that is not S2D's)",
        ylabel=f"weights {'trained' if trained else 'fixed'}\nMSE / variance",
        title=f"target of seed {data['target'][g]}",
    )
    right.set_xticks(range(len(data["c"])), [f"{c:g}" for c in data["c"]])
    right.set(xlabel="c", title=f"at the end, {data['final'].shape[2]} targets, geometric mean")


def claims(data: dict[str, Any]) -> list[Claim]:
    judged = [
        Claim.judged(
            ID,
            "c = 1 is S2D, to the last bit of every network",
            data["same"].ravel(),
            needed=1.0,
        )
    ]
    readings = s3d_toy.readings(data["grid"])
    for (kind, rows), (k, c) in itertools.product(readings.items(), enumerate(data["c"])):
        if c == 1:
            continue
        lower, steps = (data["final"][k] < data["final"][0])[rows], data["differ"][k][rows]
        grid = [name for name, here in zip(data["grid"], rows, strict=True) if here]
        judged.append(
            Claim.judged(
                ID,
                f"c = {c:g} ends lower than c = 1; {kind}",
                lower.ravel(),
                number={
                    "share by setting": s2d_toy.shares(grid, lower),
                    "geometric mean of MSE / variance":
                        float(np.exp(np.log(data["final"][k][rows]).mean())),
                    "splitting step at which choices first differ, median":
                        float(np.median(steps[steps > 0])) if (steps > 0).any() else None,
                    "share of runs in which they never differ": float((steps == 0).mean()),
                },
                depends_on=DEPENDS[kind],
            )
        )  # fmt: skip
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    curves = [
        (setting, c, int(step), float(value))
        for setting, row in zip(data["grid"], data["shown"], strict=True)
        for c, result in zip(data["c"], row, strict=True)
        for step, value in zip(result["steps"], result["curve"], strict=True)
    ]
    final = [
        (c, setting, target, data["final"][k, g, target], int(data["differ"][k, g, target]))
        for k, c in enumerate(data["c"])
        for g, setting in enumerate(data["grid"])
        for target in range(data["final"].shape[2])
    ]
    header = ("c", "setting", "target", "mse_over_variance", "first_other_split")
    line = ("setting", "c", "step", "mse_over_variance")
    return {"curves": (line, curves), "final": (header, final)}
