"""TINY Fig 13: a network of the best neurons against one of random neurons, trained afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import style, tiny_digits
from figures.record import Claim, Setting, Settings

ID = "TINY-Fig-13"
STATEMENTS = ("TINY-Fig-13",)
TITLE = "Digits: [1, 1] extended without training, by the best neurons or by random ones"

LOOKS: dict[str, Any] = {
    tiny_digits.BEST: {"color": style.VERMILION, "linestyle": "-", "marker": "o"},
    tiny_digits.BEST_FIXED: {"color": style.ORANGE, "linestyle": "--", "marker": "s"},
    tiny_digits.JOINT: {"color": style.PURPLE, "linestyle": "-.", "marker": "D"},
    tiny_digits.RANDOM: {"color": style.GREEN, "linestyle": "-", "marker": "^"},
    tiny_digits.RANDOM_FIXED: {"color": style.BLUE, "linestyle": "--", "marker": "v"},
}


def settings(full: bool) -> Settings:
    shared = tiny_digits.growing(full)
    return {
        **shared,
        "rounds": Setting(6, "paper", "to the widths of Figs 9 and 13"),
        "interval": Setting(0, "paper", "no training between the rounds"),
        "steps": Setting(1_000 if full else 100, "ours", "after the last round; the paper: 5 s"),
        "every": Setting(50 if full else 20, "ours", "steps between looks"),
        "methods": Setting(list(tiny_digits.METHODS), "ours", "the paper: the first and a random "
                           "one; random neurons get the sign that lowers the loss, each"),
        "seeds": Setting(list(range(20 if full else 2)), "paper" if full else "ours", "starts"),
    }  # fmt: skip


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    rate = settings["rates"].value[0]
    found = {}
    for method in settings["methods"].value:
        cells = tiny_digits.growths(settings, rate, method=method)
        results = run(tiny_digits.trained, cells)
        # Looks: one before each round, and those of the training after the last.
        found[method] = {"results": results, "rounds": settings["rounds"].value}
    return {"found": found, "rate": rate}


def grown(arm: dict[str, Any], name: str) -> np.ndarray:
    """A quantity right after the last round, by seed."""
    return tiny_digits.by_seed(arm["results"], name)[:, arm["rounds"]]


def end(arm: dict[str, Any], name: str) -> np.ndarray:
    return tiny_digits.by_seed(arm["results"], name)[:, -1]


def at_equal_time(data: dict[str, Any], one: str, two: str) -> tuple[np.ndarray, np.ndarray]:
    """Accuracies when the faster of the two has taken all its steps."""
    arms = [data["found"][name]["results"] for name in (one, two)]
    seconds = min(float(tiny_digits.clock(results)[-1]) for results in arms)
    first, second = (tiny_digits.at_time(results, seconds) for results in arms)
    return first, second


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 3, size=(style.PAGE, 2.9))
    for name, look in LOOKS.items():
        arm = data["found"][name]
        results, rounds = arm["results"], arm["rounds"]
        loss = tiny_digits.by_seed(results, "loss")[:, : rounds + 1]
        tests = tiny_digits.by_seed(results, "test")
        axes[0].plot(np.arange(rounds + 1), loss.mean(axis=0), label=name, **look)
        bare = {**look, "marker": ""}
        axes[1].plot(results[0]["steps"][rounds:], tests[:, rounds:].mean(axis=0), **bare)
        times = tiny_digits.clock(results)
        axes[2].plot(times[: rounds + 1], tests[:, : rounds + 1].mean(axis=0), **look)
        axes[2].plot(times[rounds:], tests[:, rounds:].mean(axis=0), **bare)
    axes[0].set(xlabel="round, no training", ylabel="loss of images learnt from", yscale="log")
    axes[1].set(xlabel="steps of Adam afterwards", ylabel="accuracy on the tests")
    axes[2].set(xlabel="seconds of one processor")
    style.legend(figure, axes[0], columns=3)
    return figure


# By a piece of the claim.
DEPENDS = {
    "before training": "On nothing here, but for the update of old weights: without it random "
    "neurons do little.",
    "as many steps": "On the images. Estimated on 20 000 of 60 000, and at a rate of 0.0001, the "
    "better start lasts; on 1600, at 0.001, best neurons fit those and test worse.",
    "at equal time": "As by steps; and on the clock: estimates are most of the time, for random "
    "neurons too where a line search is run for them.",
    "best update of old weights": "On the start: neurons for what is left over may raise the loss.",
    "found together": "On the cutoff: without one inputs that are nearly dependent make the joint "
    "solution huge. It takes twice as long.",
}


def claims(data: dict[str, Any]) -> list[Claim]:
    judged = []
    for best, random, words in (
        (tiny_digits.BEST, tiny_digits.RANDOM, "old weights moved by their best update in both"),
        (tiny_digits.BEST_FIXED, tiny_digits.RANDOM_FIXED, "old weights left in both"),
    ):
        a, b = data["found"][best], data["found"][random]
        before, after = ((f(a, name), f(b, name)) for f, name in ((grown, "test"), (end, "test")))
        loss, timed = (grown(a, "loss"), grown(b, "loss")), at_equal_time(data, best, random)
        for what, lower, pair in (
            ("have a lower loss than random ones before training", True, loss),
            ("are more accurate on tests than random ones before training", False, before),
            ("are more accurate on tests than random ones after as many steps", False, after),
            ("are more accurate on tests than random ones at equal time, growing included", False,
             timed),
        ):  # fmt: skip
            holds = pair[0] < pair[1] if lower else pair[0] > pair[1]
            judged.append(_claim(f"the best neurons {what}; {words}", holds, pair))
    paper, joint, fixed = (data["found"][method] for method in tiny_digits.METHODS[:3])
    before, after = (grown(paper, "loss"), grown(fixed, "loss")), (end(joint, "test"),
                                                                   end(paper, "test"))  # fmt: skip
    words = "the best update of old weights makes the loss before training lower than without"
    judged.append(_claim(words, before[0] < before[1], before))
    words = ("old and new weights found together (not in the paper) are more accurate on tests "
             "after training than one after the other")  # fmt: skip
    judged.append(_claim(words, after[0] > after[1], after))
    return judged


def _claim(words: str, holds: np.ndarray, pair: tuple[np.ndarray, np.ndarray]) -> Claim:
    number = {
        name: [float(values.mean()), float(values.std())]
        for name, values in zip(("first, mean and spread", "second"), pair, strict=True)
    }
    depends = next(text for piece, text in reversed(DEPENDS.items()) if piece in words)
    return Claim.judged(ID, words, holds, number=number, depends_on=depends)


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (method, seed, look - arm["rounds"], int(step), seconds, float(loss), float(test))
        for method, arm in data["found"].items()
        for seed, result in enumerate(arm["results"])
        for look, (step, seconds, loss, test) in enumerate(
            zip(result["steps"], tiny_digits.clock(arm["results"]).tolist(), result["loss"],
                result["test"], strict=True)
        )
    ]  # fmt: skip
    header = ("neurons", "seed", "look", "step", "seconds_measured", "loss", "accuracy")
    return {"curves": (header, rows)}


def summary(data: dict[str, Any]) -> str:
    """Before and after training."""
    return "\n".join(
        f"{name:26s} {arm['results'][0]['widths'][-1].tolist()!s:10s} before: loss "
        f"{grown(arm, 'loss').mean():.3f}, tests {grown(arm, 'test').mean():.4f}; after: "
        f"{end(arm, 'test').mean():.4f} +- {end(arm, 'test').std():.4f}, "
        f"{tiny_digits.clock(arm['results'])[-1]:.2f} s"
        for name, arm in data["found"].items()
    )
