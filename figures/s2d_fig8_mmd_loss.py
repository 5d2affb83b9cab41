"""S2D Fig 8: MMD along training, by method."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import s2d_fig7_mmd_paths, s2d_mmd, s2d_toy, style
from figures.record import Claim, Settings

ID = "S2D-Fig-8"
STATEMENTS = ("S2D-Fig-7",)
TITLE = "MMD compression: the loss along training, by method"

settings = s2d_mmd.settings


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    return s2d_fig7_mmd_paths.compute(settings, run)


def plot(data: dict[str, Any]) -> Any:
    figure, (left, right) = style.panels(1, 2, size=(style.PAGE, 2.7))
    for k, (method, result) in enumerate(zip(data["methods"], data["shown"], strict=True)):
        look = {**style.look(method), "marker": ""}
        steps, value = result["curve"].T
        left.semilogy(steps / 1000, value, **look)
        m = np.arange(1, data["ends"].shape[-1] + 1)
        mean = np.exp(np.log(data["ends"][k, 0]).mean(axis=0))
        right.semilogy(m, mean, **style.look(method))
    left.set(xlabel="steps (thousands)", ylabel="MMD²", title=f"sample of seed {data['seed']}")
    right.set(
        xlabel="particles",
        ylabel="MMD² at the end of the phase",
        title=f"{data['ends'].shape[2]} samples, geometric mean",
    )
    style.legend(figure, left, columns=4)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    ends, starts = data["ends"], data["starts"]
    # "In general": at most sizes from two particles on, where the methods begin to differ.
    lowest = (ends[0] <= ends[1:].min(axis=0))[..., 1:].mean(axis=-1) > 0.5
    judged = [
        Claim.judged(
            "S2D-Fig-7",
            "splitting has the lowest loss in general (of all methods, at most sizes)",
            lowest.ravel(),
            number=s2d_toy.shares(data["grid"], lowest),
            depends_on="On the bandwidth and on long phases: with a narrow kernel or short phases "
            "the copies, which all start outside the data, stay behind particles placed in it.",
        )
    ]
    for k in (2, 3):
        kicks = (starts[k, ..., 1:] > ends[k, ..., :-1]).mean(axis=-1) > 0.5
        judged.append(
            Claim.judged(
                "S2D-Fig-7",
                f"reweighting kicks the loss of {data['methods'][k]} up at most growths",
                kicks.ravel(),
                number=s2d_toy.shares(data["grid"], kicks),
                depends_on="On where the new point is put: a random one cannot make up for the "
                "reweighting, a greedy one mostly does.",
            )
        )
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (method, int(step), value)
        for method, result in zip(data["methods"], data["shown"], strict=True)
        for step, value in result["curve"]
    ]
    return {"curves": (("method", "step", "mmd_squared"), rows)}


def summary(data: dict[str, Any]) -> str:
    """MMD squared with 8 particles: geometric mean over samples, and its spread as a factor."""
    lines = [f"MMD² with {data['ends'].shape[-1]} particles, setting {data['grid'][0]!r}"]
    for k, method in enumerate(data["methods"]):
        log = np.log(data["ends"][k, 0, :, -1])
        lines.append(f"{method:24s} {np.exp(log.mean()):.2e} x/ {np.exp(log.std()):.1f}")
    return "\n".join(lines)
