"""TINY section 1: a network trained by additions alone, without any step of gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import style, tiny_digits
from figures.record import Claim, Setting, Settings

ID = "TINY-nograd"
STATEMENTS = ("TINY-nograd",)
TITLE = "Digits: [1, 1] trained by additions alone, against gradient descent"

ADDED, UPDATED = tiny_digits.BEST_FIXED, tiny_digits.BEST
LOOKS: dict[str, Any] = {
    ADDED: {"color": style.ORANGE, "linestyle": "-", "marker": "s", "label": "neurons alone"},
    UPDATED: {"color": style.VERMILION, "linestyle": "--", "marker": "o",
              "label": "and the best update of old weights"},
}  # fmt: skip
TRAINED = 0.9  # of the accuracy that Adam gives the same widths


def settings(full: bool) -> Settings:
    shared = tiny_digits.growing(full)
    steps = shared["steps"].value
    return {
        **shared,
        "samples": Setting(
            shared["limit"].value, "ours", "the first; all that can be estimated on"
        ),
        "interval": Setting(0, "paper", "no training"),
        "rounds": Setting(8 if full else 6, "ours", "the paper tells of no such run"),
        "estimation": Setting("all", "ours", "so that each addition lowers the loss of all"),
        "compared": Setting(steps, "ours", "steps of Adam for the fixed network of those widths"),
        "seeds": Setting(list(range(5 if full else 2)), "ours", "starts"),
    }


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    rate = settings["rates"].value[0]
    more = {"steps": 0, "estimation": settings["estimation"].value}
    found = {
        method: run(tiny_digits.trained, tiny_digits.growths(settings, rate, method=method, **more))
        for method in LOOKS
    }
    fixed = tiny_digits.growths(settings, rate, rounds=0, steps=settings["compared"].value)
    for cell, result in zip(fixed, found[ADDED], strict=True):
        cell["widths"] = [int(w) for w in result["widths"][-1]]
    return {"found": found, "fixed": run(tiny_digits.trained, fixed), "rate": rate}


def losses(results: list[dict[str, Any]]) -> np.ndarray:
    """The loss of all images before the first addition and after each, by seed."""
    first = tiny_digits.by_seed(results, "before").reshape(len(results), -1)[:, :1]
    after = tiny_digits.by_seed(results, "after").reshape(len(results), -1)
    return np.hstack([first, after])


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 2, size=(style.PAGE, 2.7))
    for name, look in LOOKS.items():
        results = data["found"][name]
        rows = losses(results)
        for row in rows:
            axes[0].plot(np.arange(len(row)) / 2, row, **{**look, "label": None})
        for result in results:
            axes[1].plot(result["widths"].sum(axis=1), result["test"], **{**look, "label": None})
        axes[1].plot([], [], **look)
    best = tiny_digits.by_seed(data["fixed"], "test")[:, -1].mean()
    axes[1].axhline(best, color=style.BLUE, linewidth=0.8, linestyle=":",
                    label=f"{data['fixed'][0]['steps'][-1]} steps of Adam")  # fmt: skip
    axes[0].set(xlabel="rounds of additions", ylabel="loss of images learnt from", yscale="log")
    axes[1].set(xlabel="neurons", ylabel="accuracy on the tests", xscale="log", ylim=(0, 1))
    style.legend(figure, axes[1])
    return figure


DEPENDS = {
    **{f"lowers, {name}": "On nothing: the line search sees to it, where neurons are found."
       for name in LOOKS},
    **{f"trains, {name}": "On the number of images: with 1600 of them what is fitted does not "
       "carry over to the tests." for name in LOOKS},
    **{f"fits, {name}": "On the number of steps of Adam that are allowed, and on its rate."
       for name in LOOKS},
}  # fmt: skip


def claims(data: dict[str, Any]) -> list[Claim]:
    adam = tiny_digits.by_seed(data["fixed"], "test")[:, -1]
    adam_loss = tiny_digits.by_seed(data["fixed"], "loss")[:, -1]
    judged = []
    for name, words in ((ADDED, "best neurons alone"), (UPDATED, "best neurons and updates")):
        results = data["found"][name]
        rows, ends = losses(results), tiny_digits.by_seed(results, "test")[:, -1]
        learnt = {"loss, mean, start and after each addition": rows.mean(axis=0).tolist()}
        accuracy = {
            "accuracy on tests, mean and spread": [float(ends.mean()), float(ends.std())],
            "with Adam, mean and spread": [float(adam.mean()), float(adam.std())],
            "loss of 1000 images learnt from, mean": float(
                tiny_digits.by_seed(results, "loss")[:, -1].mean()
            ),
            "with Adam": float(adam_loss.mean()),
            "widths": results[0]["widths"][-1].tolist(),
        }
        judged += [
            Claim.judged(
                ID,
                f"every addition lowers the loss; {words}",
                (np.diff(rows, axis=1) < 0).ravel(),
                number=learnt,
                needed=1.0,
                depends_on=DEPENDS[f"lowers, {name}"],
            ),
            Claim.judged(
                ID,
                f"{words}, without a step of gradient descent, train the network: on tests, "
                f"{TRAINED:.0%} of the accuracy that Adam gives the same widths",
                ends >= TRAINED * adam,
                number=accuracy,
                depends_on=DEPENDS[f"trains, {name}"],
            ),
            Claim.judged(
                ID,
                f"{words}, without a step of gradient descent, fit the images learnt from at least "
                "as well as so many steps of Adam: their loss ends no higher",
                tiny_digits.by_seed(results, "loss")[:, -1] <= adam_loss,
                number=accuracy,
                depends_on=DEPENDS[f"fits, {name}"],
            ),
        ]
    return judged


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (name, seed, k / 2, float(loss))
        for name, results in data["found"].items()
        for seed, row in enumerate(losses(results))
        for k, loss in enumerate(row)
    ]
    tests = [
        (name, seed, k, *(int(w) for w in widths), float(test))
        for name, results in data["found"].items()
        for seed, result in enumerate(results)
        for k, (widths, test) in enumerate(zip(result["widths"], result["test"], strict=True))
    ]
    return {
        "losses": (("method", "seed", "rounds", "loss"), rows),
        "accuracies": (("method", "seed", "rounds", "width_1", "width_2", "accuracy"), tests),
    }


def summary(data: dict[str, Any]) -> str:
    """Loss and accuracy in the end."""
    lines = []
    for name, results in {**data["found"], "Adam, same widths": data["fixed"]}.items():
        tests, loss = (tiny_digits.by_seed(results, what)[:, -1] for what in ("test", "loss"))
        lines.append(f"{name:26s} loss {loss.mean():.3f}, tests {tests.mean():.4f}")
    return "\n".join(lines)
