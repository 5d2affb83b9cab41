"""TINY Figs 5, 6, 9, 10: growth from [1, 1] against fixed widths, by the step and by the clock."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import style, tiny_digits
from figures.record import Claim, Setting, Settings

ID = "TINY-Fig-5"
STATEMENTS = ("TINY-Fig-5",)
TITLE = "Digits: growth from [1, 1] against the same widths from the start, and larger ones"

LOOKS: dict[str, Any] = {
    "growth": {"color": style.VERMILION, "linestyle": "-"},
    "same widths": {"color": style.BLUE, "linestyle": "--"},
    "large": {"color": style.GREY, "linestyle": "-."},
}
RIVALS = {"same widths": "a fixed network of its final widths", "large": "a large fixed network"}
PARTS = (0.25, 0.5, 1.0)  # of the time that all three take, at which they are compared


def settings(full: bool) -> Settings:
    shared = tiny_digits.growing(full)
    seeds = shared["seeds"].value
    # By the number of rounds: Figs 5 and 6, Fig 9, Fig 10.
    runs = {8: ([500, 500], seeds), 6: ([500, 500], seeds), 15: ([1000, 1000], seeds[:3])}
    return {
        **shared,
        "rounds": Setting(list(runs) if full else [6], "paper", "8 in Figs 5 and 6, 6 in Fig 9, "
                          "15 in Fig 10; in each both layers are extended"),
        "large": Setting([large for large, _ in runs.values()] if full else [[100, 100]],
                         "ours", "[1000, 1000] in Fig 10; not said in Fig 5, ours"),
        "longer": Setting(3 if full else 2, "ours", "times as many steps for fixed networks of "
                          "the same widths, to compare at equal time"),
        "starts": Setting([len(some) for _, some in runs.values()] if full else [len(seeds)],
                          "paper", "how many of the seeds; the paper 20, ours 3 with 15 rounds"),
    }  # fmt: skip


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    found = {}
    steps, (rate,) = settings["steps"].value, settings["rates"].value
    asked = (settings[name].value for name in ("rounds", "large", "starts"))
    for rounds, large, starts in zip(*asked, strict=True):
        growths = tiny_digits.growths(settings, rate, rounds=rounds)[:starts]
        grown = run(tiny_digits.trained, growths)
        fixed = tiny_digits.growths(settings, rate, rounds=0, interval=0)[:starts]
        same = [
            {**cell, "steps": settings["longer"].value * steps, "widths": final(result)}
            for cell, result in zip(fixed, grown, strict=True)
        ]
        found[rounds] = {
            "growth": grown,
            "same widths": run(tiny_digits.trained, same),
            "large": run(tiny_digits.trained, [{**cell, "widths": large} for cell in fixed]),
        }
    return {"found": found, "steps": steps}


def final(result: dict[str, Any]) -> list[int]:
    """The widths in the end."""
    return [int(width) for width in result["widths"][-1]]


def horizon(arms: dict[str, Any]) -> float:
    """The seconds for which all were trained."""
    return min(float(tiny_digits.clock(results)[-1]) for results in arms.values())


def plot(data: dict[str, Any]) -> Any:
    rows = len(data["found"])
    figure, axes = style.panels(rows, 2, size=(style.PAGE, 0.5 + 2.3 * rows),
                                squeeze=False, sharey="row")  # fmt: skip
    for row, (rounds, arms) in zip(axes, data["found"].items(), strict=True):
        end, widths = horizon(arms), final(arms["growth"][0])
        for name, look in LOOKS.items():
            tests, times = tiny_digits.by_seed(arms[name], "test"), tiny_digits.clock(arms[name])
            steps = arms[name][0]["steps"]
            for axis, x, most in ((row[0], steps, data["steps"]), (row[1], times, end)):
                shown = x <= most * 1.001
                middle, spread = tests.mean(axis=0)[shown], tests.std(axis=0)[shown]
                axis.plot(x[shown], middle, label=name, **look)
                axis.fill_between(x[shown], middle - spread, middle + spread, color=look["color"],
                                  alpha=0.2, linewidth=0)  # fmt: skip
        row[0].set(xlabel="steps of Adam", ylabel="accuracy on the tests",
                   title=f"{rounds} rounds, to {widths}")  # fmt: skip
        row[1].set(xlabel="seconds of one processor, growing included",
                   title=f"large: {final(arms['large'][0])}")  # fmt: skip
    style.legend(figure, axes[0, 0])
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    found = data["found"].items()
    return [claim for rounds, arms in found for claim in _claims(rounds, arms, data)]


DEPENDS = {
    "steps, same widths": "On the images that neurons are estimated on: drawn anew from 60 000, "
    "growth tests better; from all that it learns from, 20 000 or fewer, it fits them and tests "
    "no better. On the rate: at 0.0001 fixed widths are still far from trained.",
    "steps, large": "On the number of steps: growth is ahead at first, and the large network at "
    "the end of many.",
    "time, same widths": "On the clock: two thirds of growth's time go into estimating and line "
    "searches, on 20 000 images and one processor.",
    "time, large": "On the size, and on when one looks: its steps take several times as long, but "
    "growing comes first, and before that has paid the large network is ahead.",
    "large": "On the size, and on how many steps growing is spread over.",
}


def _claims(rounds: int, arms: dict[str, Any], data: dict[str, Any]) -> list[Claim]:
    end, steps, judged = horizon(arms), data["steps"], []
    now = {name: tiny_digits.at_step(results, steps) for name, results in arms.items()}
    then = {
        name: {part: tiny_digits.at_time(results, part * end) for part in PARTS}
        for name, results in arms.items()
    }
    for rival, words in RIVALS.items():
        by_step = now["growth"] - now[rival]
        by_time = {part: then["growth"][part] - then[rival][part] for part in PARTS}
        number = {
            "steps": steps,
            "accuracy, mean and spread": {name: _spread(now[name]) for name in ("growth", rival)},
            "points more, mean and spread": _points(by_step),
            "loss of images learnt from": {
                name: _spread(_loss(arms[name], steps)) for name in ("growth", rival)
            },
        }
        timed = {
            "seconds": end,
            "accuracy, mean and spread": {
                name: _spread(then[name][1.0]) for name in ("growth", rival)
            },
            "points more, mean and spread, by part of the time": {
                str(part): _points(gain) for part, gain in by_time.items()
            },
        }
        ends = f"; {rounds} rounds"
        for what, gain, seen in (("steps", by_step, number), ("time", by_time[1.0], timed)):
            depends = DEPENDS[f"{what}, {rival}"]
            judged += [
                Claim.judged(
                    ID,
                    f"at equal {what}, growth is similar to {words}: at most one point below{ends}",
                    gain >= -tiny_digits.SIMILAR,
                    number=seen,
                    depends_on=depends,
                ),
                Claim.judged(
                    ID,
                    f"at equal {what}, growth is better than {words}{ends}",
                    gain > 0,
                    number=seen,
                    depends_on=depends,
                ),
            ]
    taken = {name: _seconds(results, steps) for name, results in arms.items()}
    judged.append(
        Claim.judged(
            ID,
            "the large network takes more time than growth for as many steps, growing included; "
            f"{rounds} rounds",
            taken["large"] > taken["growth"],
            number={
                "seconds, mean": {name: float(values.mean()) for name, values in taken.items()},
                "of which growing": float((taken["growth"] - _training(arms["growth"])).mean()),
                "large": final(arms["large"][0]),
                "final widths": final(arms["growth"][0]),
            },
            depends_on=DEPENDS["large"],
        )
    )
    return judged


def _loss(results: Any, step: int) -> np.ndarray:
    here = np.flatnonzero(results[0]["steps"] <= step)[-1]
    return tiny_digits.by_seed(results, "loss")[:, here]


def _seconds(results: Any, step: int) -> np.ndarray:
    here = np.flatnonzero(results[0]["steps"] <= step)[-1]
    return tiny_digits.by_seed(results, "seconds")[:, here]


def _training(results: Any) -> np.ndarray:
    """Seconds of the stretches in which steps were taken."""
    stretches = np.diff(tiny_digits.by_seed(results, "seconds"), axis=1)
    return np.where(np.diff(results[0]["steps"]) > 0, stretches, 0.0).sum(axis=1)


def _spread(values: np.ndarray) -> list[float]:
    return [float(values.mean()), float(values.std())]


def _points(gain: np.ndarray) -> list[float]:
    return [100 * float(gain.mean()), 100 * float(gain.std())]


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (rounds, name, seed, int(step), seconds, float(loss), float(test))
        for rounds, arms in data["found"].items()
        for name, results in arms.items()
        for seed, result in enumerate(results)
        for step, seconds, loss, test in zip(
            result["steps"], tiny_digits.clock(results).tolist(), result["loss"], result["test"],
            strict=True,
        )
    ]  # fmt: skip
    header = ("rounds", "network", "seed", "step", "seconds_measured", "loss", "accuracy")
    return {"curves": (header, rows)}


def summary(data: dict[str, Any]) -> str:
    """Accuracies at equal steps and at equal time."""
    lines = []
    for rounds, arms in data["found"].items():
        end = horizon(arms)
        lines.append(f"{rounds} rounds; {data['steps']} steps; {end:.2f} s")
        for name, results in arms.items():
            by_step, by_time = (
                tiny_digits.at_step(results, data["steps"]), tiny_digits.at_time(results, end)
            )  # fmt: skip
            lines.append(
                f"{name:12s} {final(results[0])!s:11s} by step {by_step.mean():.4f}"
                f" +- {by_step.std():.4f}, by time {by_time.mean():.4f} +- {by_time.std():.4f}, "
                f"{tiny_digits.clock(results)[-1]:.2f} s"
            )
    return "\n".join(lines)
