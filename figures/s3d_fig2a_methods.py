"""S3D Fig 2 a: the loss along training, positive splits against signed ones with c = 3."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import s2d_toy, s3d_toy, style
from figures.record import Claim, Settings

ID = "S3D-Fig-2a"
STATEMENTS = ("S3D-Fig-2a",)
TITLE = "Toy RBF network: the loss along training, S2D against S3D with m = 2, 3, 4 (c = 3)"

settings = s3d_toy.settings
RECOVERED = s3d_toy.RECOVERED
# Read off the shares of the full run.
DEPENDS = {
    "output weights trained": {
        "stuck": "On the target: stuck on all that take both signs and on none of one sign, for "
        "positive splits keep the sign of the first output weight.",
        "definite": "On nothing in the grid: eigenvalues stay negative, but splitting along them "
        "only refines a function of one sign.",
        "m = 2": "On the target: while |lambda_min| is above (b/a) lambda_max it splits as S2D "
        "does, and is stuck where S2D is.",
        "m = 3": "It fits in every setting. It ends lower than S2D on every target on which S2D "
        "is stuck, and on a minority of the others.",
        "m = 4": "It fits in every setting. It ends lower than S2D on every target on which S2D "
        "is stuck, and on a minority of the others.",
    },
    "output weights fixed": {
        "stuck": "On the first output weight, between which and zero the function stays: with 10 "
        "one target in ten is fitted.",
        "definite": "On the first output weight: with 10 it holds on fewer targets.",
        "m = 2": "On the first output weight: with 10 it fits fewer targets.",
        "m = 3": "On the reading of N(0, 3): with 3 the deviation it fits fewer targets.",
        "m = 4": "On the first output weight: it fits nearly all targets with 10, few with a "
        "small one, for it has four splits to make the weights large.",
    },
}


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    methods, most = list(s3d_toy.METHODS), settings["most"].value
    asked = [cell for m in methods for cell in s3d_toy.cells(settings, method=m)]
    results = s2d_toy.by_setting(run(s3d_toy.grow, asked), settings, len(methods))
    sized = np.array([[[[s3d_toy.by_size(r, k) for k in range(1, most + 1)] for r in row]
                       for row in grid] for grid in results])  # fmt: skip
    lam_min, lam_max, odd = (
        np.array([[f(r) for r in row] for row in results[0]]) for f in (lowest, highest, rarer)
    )
    shown = [int(np.argsort(row[:, -1])[len(row) // 2]) for row in sized[0]]
    return {
        "methods": methods,
        "grid": settings["grid"].value,
        "sized": sized,  # method, setting, target, neurons
        "floor": np.array([[r["floor"] for r in row] for row in results[0]]),
        "lam_min": lam_min,
        "lam_max": lam_max,
        "odd": odd,
        "signed": np.array([[[signed(r) for r in row] for row in grid] for grid in results]),
        "target": [settings["seeds"].value[target] for target in shown],
        "shown": [[grid[g][target] for grid in results] for g, target in enumerate(shown)],
    }


def lowest(result: dict[str, Any]) -> float:
    """The lowest eigenvalue of all splitting matrices at the end."""
    return float(result[f"lam_min{len(result['sizes']) - 1}"].min())


def highest(result: dict[str, Any]) -> float:
    """The highest eigenvalue of all splitting matrices at the end."""
    return float(result[f"lam_max{len(result['sizes']) - 1}"].max())


def signed(result: dict[str, Any]) -> float:
    """The share of the splits with a negative fraction."""
    made = result["split"][:-1] >= 0  # after the last phase nothing is split
    return float(result["negative"][:-1][made].mean()) if made.any() else 0.0


def rarer(result: dict[str, Any]) -> int:
    """How many output weights have the rarer sign at the end."""
    weights = result[f"weights{len(result['sizes']) - 1}"]
    return int(min((weights > 0).sum(), (weights < 0).sum()))


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(2, 3, size=(style.PAGE, 4.6), sharey=True)
    for row, name in zip(axes, s3d_toy.QUICK, strict=True):
        _row(row, data, data["grid"].index(name))
    style.legend(figure, axes[0, 0], columns=4)
    return figure


def _row(axes: Any, data: dict[str, Any], g: int) -> None:
    """One setting: a target's curves, means by size, every target at the end."""
    left, middle, right = axes
    rng = np.random.default_rng(0)
    for k, (method, result) in enumerate(zip(data["methods"], data["shown"][g], strict=True)):
        look = s3d_toy.LOOKS[method]
        line = {**look, "marker": ""}
        left.semilogy(result["steps"] / 1000, result["curve"], **line, label=method)
        base = data["sized"][k, g]
        mean = np.exp(np.log(base).mean(axis=0))
        middle.semilogy(1 + np.arange(len(mean)), mean, **line)
        jitter = k + rng.uniform(-0.18, 0.18, len(base))
        right.semilogy(jitter, base[:, -1], **{**look, "linestyle": ""}, alpha=0.7)
        right.semilogy([k - 0.3, k + 0.3], [mean[-1]] * 2, color=style.BLACK, linewidth=1.5)
    floor = data["shown"][g][0]["floor"]
    if floor > RECOVERED:
        left.axhline(floor, color=style.BLUE, linewidth=0.8, linestyle=":")
    for axis in axes:
        axis.axhline(RECOVERED, color=style.GREY, linewidth=0.6, linestyle=":")
    targets, most = data["sized"].shape[2:]
    trained = s3d_toy.readings(data["grid"])["output weights trained"][g]
    left.set(xlabel="steps (thousands)", title=f"target of seed {data['target'][g]}",
             ylabel=f"weights {'trained' if trained else 'fixed'}\nMSE / variance")  # fmt: skip
    middle.set(
        xlabel="at most so many neurons",
        xticks=[1, 3, 5, 7, 9, 11, 13],
        title=f"geometric mean, {targets} targets",
    )
    right.set_xticks(range(len(data["methods"])), data["methods"])
    right.set(title=f"at {most} neurons, every target")


def claims(data: dict[str, Any]) -> list[Claim]:
    return [
        claim
        for kind, rows in s3d_toy.readings(data["grid"]).items()
        for claim in _claims(data, kind, rows)
    ]


def _claims(data: dict[str, Any], kind: str, rows: np.ndarray) -> list[Claim]:
    """The claims under one reading, `rows` of the grid."""
    grid = [name for name, here in zip(data["grid"], rows, strict=True) if here]
    sized, floor = data["sized"][:, rows], data["floor"][rows]
    lam_min, lam_max, odd = (data[name][rows] for name in ("lam_min", "lam_max", "odd"))
    most = sized.shape[3]
    final = sized[..., -1]
    stuck = final[0] > RECOVERED
    definite, bound = lam_min >= 0, stuck & (floor > s2d_toy.ONE_SIGN)
    depends = DEPENDS[kind]
    judged = [
        Claim.judged(
            ID,
            f"S2D gets stuck, MSE / variance above {RECOVERED} up to {most} neurons; {kind}",
            stuck.ravel(),
            number={
                "share by setting": s3d_toy.shares(grid, stuck, floor),
                "share of the stuck that cannot fit: the floor is above it":
                    _mean((floor > RECOVERED)[stuck]),
                "median of MSE over the floor there":
                    float(np.median(final[0][bound] / floor[bound])) if bound.any() else None,
                "all output weights have one sign at the end":
                    s2d_toy.shares(grid, odd == 0),
            },
            depends_on=depends["stuck"],
        )
    ]  # fmt: skip
    if stuck.any():
        ratio = -lam_min[stuck] / lam_max[stuck]
        judged.append(
            Claim.judged(
                ID,
                f"where S2D is stuck, all splitting matrices are positive semi-definite; {kind}",
                definite[stuck],
                number={
                    "share by setting": {
                        name: _mean(row[here])
                        for name, row, here in zip(grid, definite, stuck, strict=True)
                    },
                    "median of |lowest| over highest eigenvalue": float(np.median(ratio)),
                },
                depends_on=depends["definite"],
            )
        )
    for k, method in enumerate(data["methods"][1:], start=1):
        fits, escapes = final[k] <= RECOVERED, (final[k] <= RECOVERED)[stuck]
        negative = data["signed"][k][rows]
        lower = {size: sized[k, :, :, size - 1] < sized[0, :, :, size - 1] for size in (7, most)}
        judged += [
            Claim.judged(
                ID,
                f"signed splits, {method}, fit the curve in the end; {kind}",
                fits.ravel(),
                number={
                    "share by setting": s3d_toy.shares(grid, fits, floor),
                    "share where S2D is stuck": _mean(escapes),
                    "share of splits with a negative fraction, where it fits and where not": [
                        _mean(negative[fits]),
                        _mean(negative[~fits]),
                    ],
                    "geometric mean of MSE / variance": float(np.exp(np.log(final[k]).mean())),
                },
                depends_on=depends[method],
            ),
            Claim.judged(
                ID,
                f"signed splits, {method}, end lower than S2D at {most} neurons; {kind}",
                lower[most].ravel(),
                number={
                    **{
                        f"share by setting, {size} neurons": s3d_toy.shares(grid, holds, floor)
                        for size, holds in lower.items()
                    },
                    "geometric mean and spread": {
                        name: _spread(final[k, g]) for g, name in enumerate(grid)
                    },
                    "geometric mean and spread of S2D": {
                        name: _spread(final[0, g]) for g, name in enumerate(grid)
                    },
                },
                depends_on=depends[method],
            ),
        ]
    return judged


def _spread(errors: np.ndarray) -> list[float]:
    """The geometric mean, and the factor of one standard deviation of the logarithm."""
    logs = np.log(errors)
    return [float(np.exp(logs.mean())), float(np.exp(logs.std()))]


def _mean(holds: np.ndarray) -> float | None:
    return float(holds.mean()) if holds.size else None


def tables(data: dict[str, Any]) -> dict[str, Any]:
    curves = [
        (setting, method, int(step), float(value))
        for setting, row in zip(data["grid"], data["shown"], strict=True)
        for method, result in zip(data["methods"], row, strict=True)
        for step, value in zip(result["steps"], result["curve"], strict=True)
    ]
    sized = [
        (method, setting, target, size + 1, value, data["floor"][g, target])
        for i, method in enumerate(data["methods"])
        for g, setting in enumerate(data["grid"])
        for target, row in enumerate(data["sized"][i, g])
        for size, value in enumerate(row)
    ]
    header = ("method", "setting", "target", "neurons", "mse_over_variance", "floor_of_S2D")
    line = ("setting", "method", "step", "mse_over_variance")
    return {"curves": (line, curves), "sizes": (header, sized)}


def summary(data: dict[str, Any]) -> str:
    """Geometric means at a few sizes, and how many targets are fitted."""
    sizes, lines = (3, 5, 7, data["sized"].shape[3]), []
    for name in s3d_toy.QUICK:
        lines += [
            f"MSE / variance, {data['sized'].shape[2]} targets, {name}",
            f"{'method':8s}" + "".join(f"{size:>6d} neurons" for size in sizes) + "    fitted",
        ]
        for k, method in enumerate(data["methods"]):
            rows = data["sized"][k, data["grid"].index(name)]
            means = "".join(f"{np.exp(np.log(rows[:, s - 1]).mean()):14.1e}" for s in sizes)
            lines.append(f"{method:8s}{means}{int((rows[:, -1] <= RECOVERED).sum()):10d}")
    return "\n".join(lines)
