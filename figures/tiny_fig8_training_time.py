"""TINY Fig 8: growth from [1, 1] with more or less training between the rounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import style, tiny_digits
from figures.record import Claim, Setting, Settings

ID = "TINY-Fig-8"
STATEMENTS = ("TINY-Fig-8",)
TITLE = "Digits: growth from [1, 1] with more or less training between the rounds"


def settings(full: bool) -> Settings:
    return {
        **tiny_digits.growing(full),
        "intervals": Setting([10, 50, 200] if full else [5, 20, 40], "ours",
                             "steps between rounds; the paper: seconds, not said which"),
        "seeds": Setting(list(range(10 if full else 2)), "ours", "the paper: 20"),
    }  # fmt: skip


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    rate = settings["rates"].value[0]
    found = {}
    for interval in settings["intervals"].value:
        cells = tiny_digits.growths(settings, rate, interval=interval)
        found[interval] = run(tiny_digits.trained, cells)
    return {"found": found, "rate": rate, "rounds": settings["rounds"].value}


def ends(data: dict[str, Any]) -> np.ndarray:
    """Accuracy on the tests at the end, by interval and seed."""
    return np.array([tiny_digits.by_seed(rs, "test")[:, -1] for rs in data["found"].values()])


def grown(data: dict[str, Any]) -> np.ndarray:
    """The same right after the last round."""
    rounds, found = data["rounds"], []
    for interval, results in data["found"].items():
        found.append(tiny_digits.at_step(results, rounds * interval))
    return np.array(found)


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 2, size=(style.PAGE, 2.7), sharey=True)
    shades = ("#F4A582", style.VERMILION, "#67001F")
    lines = ("-", "--", "-.")
    for (interval, results), shade, line in zip(data["found"].items(), shades, lines, strict=False):
        tests = tiny_digits.by_seed(results, "test")
        middle, spread = tests.mean(axis=0), tests.std(axis=0)
        for axis, x in ((axes[0], results[0]["steps"]), (axes[1], tiny_digits.clock(results))):
            axis.plot(x, middle, color=shade, linestyle=line, label=f"{interval} steps between")
            axis.fill_between(x, middle - spread, middle + spread, color=shade, alpha=0.2,
                              linewidth=0)  # fmt: skip
    axes[0].set(xlabel="steps of Adam", ylabel="accuracy on the tests")
    axes[1].set(xlabel="seconds of one processor, growing included")
    style.legend(figure, axes[0])
    return figure


DEPENDS = {
    "end": "On the number of steps at the end, which make up for what was not done between.",
    "grown": "On the rate: after many steps at a large one, what grows later adds less.",
    "widths": "On line searches that find no size: the layer is then passed over.",
}


def claims(data: dict[str, Any]) -> list[Claim]:
    final, right_after = ends(data), grown(data)
    intervals = list(data["found"])
    widths = [[tuple(r["widths"][-1].tolist()) for r in rs] for rs in data["found"].values()]
    number = {
        "accuracy at the end, mean and spread, by interval": {
            str(k): [float(row.mean()), float(row.std())]
            for k, row in zip(intervals, final, strict=True)
        },
        "accuracy after the last round, mean, by interval": {
            str(k): float(row.mean()) for k, row in zip(intervals, right_after, strict=True)
        },
        "seconds, by interval": {
            str(k): float(tiny_digits.clock(rs)[-1]) for k, rs in data["found"].items()
        },
    }
    return [
        Claim.judged(
            ID,
            "the time between the rounds hardly matters: with as many steps in all, the best and "
            "the worst end at most two points apart (the paper shows curves, and says nothing)",
            np.ptp(final, axis=0) <= 0.02,
            number=number,
            depends_on=DEPENDS["end"],
        ),
        Claim.judged(
            ID,
            "the longer the training between the rounds, the better the network after the last one",
            np.diff(right_after, axis=0).min(axis=0) > 0,
            number=number,
            depends_on=DEPENDS["grown"],
        ),
        Claim.judged(
            ID,
            "the final widths do not depend on it",
            np.array([len(set(by_seed)) == 1 for by_seed in zip(*widths, strict=True)]),
            number={"widths": sorted({str(list(w)) for row in widths for w in row})},
            depends_on=DEPENDS["widths"],
        ),
    ]


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (interval, seed, int(step), seconds, float(test))
        for interval, results in data["found"].items()
        for seed, result in enumerate(results)
        for step, seconds, test in zip(
            result["steps"], tiny_digits.clock(results).tolist(), result["test"], strict=True
        )
    ]
    header = ("interval", "seed", "step", "seconds_measured", "accuracy")
    return {"curves": (header, rows)}


def summary(data: dict[str, Any]) -> str:
    """Accuracies at the end and after the last round."""
    return "\n".join(
        f"{interval:4d} steps between: after the last round {after.mean():.4f}, at the end "
        f"{end.mean():.4f} +- {end.std():.4f}"
        for interval, after, end in zip(data["found"], grown(data), ends(data), strict=True)
    )
