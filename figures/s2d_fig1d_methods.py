"""S2D Fig 1 d: the loss along training, splitting against the other ways to grow."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import s2d_toy, style
from figures.record import Claim, Settings

ID = "S2D-Fig-1d"
STATEMENTS = ("S2D-Fig-1d",)
TITLE = "Toy RBF network: the loss along training, by method of growing"

settings = s2d_toy.settings

# By rival, read off the shares of the full run; the sign is explained by figure S2D-Toy-sign-new.
DEPENDS = {
    "random split": "On the sign of the target: splitting wins mostly where it has one sign; where "
    "it has both, all splits are stuck at the same loss and chance decides.",
    "random split, gradient": "On the sign of the target: splitting wins mostly where it has one "
    "sign; where it has both, all splits are stuck at the same loss and chance decides.",
    "new initialisation": "On the sign of the target: where it has both, splitting never wins, for "
    "a new neuron can have the other sign; where it has one, it wins in the minority.",
    "gradient boosting": "On the sign of the target, and on training: splitting wins mostly where "
    "it has one sign, never where it has both, and seldom under minibatch SGD.",
    "from scratch": "On the sign of the target: where it has both, splitting never wins, and where "
    "it has one, in the minority.",
}


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    methods = list(s2d_toy.METHODS)
    asked = [cell for m in methods for cell in s2d_toy.cells(settings, method=m)]
    results = s2d_toy.by_setting(run(s2d_toy.grow, asked), settings, len(methods))
    final = np.array([[[r["ends"][-1] for r in row] for row in grid] for grid in results])
    floor = np.array([[r["floor"] for r in row] for row in results[0]])
    # The target that is drawn: the one on which splitting does neither well nor badly.
    shown = int(np.argsort(final[0, 0])[final.shape[2] // 2])
    return {
        "methods": methods,
        "grid": settings["grid"].value,
        "final": final,
        "floor": floor,
        "target": settings["seeds"].value[shown],
        "shown": [grid[0][shown] for grid in results],
    }


def plot(data: dict[str, Any]) -> Any:
    figure, (left, right) = style.panels(1, 2, size=(style.PAGE, 2.7))
    for method, result in zip(data["methods"], data["shown"], strict=True):
        look = {**style.look(method), "marker": ""}
        left.semilogy(result["steps"] / 1000, result["curve"], **look)
    left.set(
        xlabel="steps (thousands)",
        ylabel="MSE / variance",
        title=f"target of seed {data['target']}",
    )
    rng = np.random.default_rng(0)
    for k, method in enumerate(data["methods"]):
        values = data["final"][k, 0]
        look = {**style.look(method), "linestyle": ""}
        right.semilogy(k + rng.uniform(-0.18, 0.18, len(values)), values, **look, alpha=0.7)
        right.semilogy(
            [k - 0.3, k + 0.3], [_mean_and_spread(values)[0]] * 2, color=style.BLACK, linewidth=1.5
        )
    right.set_xticks(range(len(data["methods"])), [m.replace(" ", "\n") for m in data["methods"]])
    right.tick_params(axis="x", labelsize=5.5)
    right.set(
        ylabel="MSE / variance at 8 neurons",
        title=f"{data['final'].shape[2]} targets, bar: geometric mean",
    )
    style.legend(figure, left)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    final = data["final"]
    judged = []
    for k, method in enumerate(data["methods"][1:], start=1):
        wins = final[0] < final[k]
        judged.append(
            Claim.judged(
                "S2D-Fig-1d",
                f"splitting ends with a lower loss than {method}",
                wins.ravel(),
                number={
                    "share by setting": s2d_toy.shares(data["grid"], wins, data["floor"]),
                    "geometric mean and spread": {
                        "splitting": _mean_and_spread(final[0, 0]),
                        method: _mean_and_spread(final[k, 0]),
                    },
                },
                depends_on=DEPENDS[method],
            )
        )
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    curves = [
        (method, int(step), float(value))
        for method, result in zip(data["methods"], data["shown"], strict=True)
        for step, value in zip(result["steps"], result["curve"], strict=True)
    ]
    final = [
        (method, setting, seed, float(data["final"][i, g, seed]))
        for i, method in enumerate(data["methods"])
        for g, setting in enumerate(data["grid"])
        for seed in range(data["final"].shape[2])
    ]
    return {
        "curves": (("method", "step", "mse_over_variance"), curves),
        "final": (("method", "setting", "target", "mse_over_variance"), final),
    }


def summary(data: dict[str, Any]) -> str:
    """MSE / variance at 8 neurons: geometric mean over targets, and its spread as a factor."""
    lines = [
        f"MSE / variance at 8 neurons, {data['final'].shape[2]} targets, {data['grid'][0]} setting",
        f"{'method':24s} {'geometric mean':>14s} {'spread':>8s} {'splitting wins':>15s}",
    ]
    for k, method in enumerate(data["methods"]):
        values = data["final"][k, 0]
        mean, spread = _mean_and_spread(values)
        wins = "" if k == 0 else f"{int((data['final'][0, 0] < values).sum())} of {len(values)}"
        lines.append(f"{method:24s} {mean:14.1e} {f'x/ {spread:.1f}':>8s} {wins:>15s}")
    return "\n".join(lines)


def _mean_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Geometric mean, and the factor of one geometric standard deviation."""
    log = np.log(values)
    return float(np.exp(log.mean())), float(np.exp(log.std()))
