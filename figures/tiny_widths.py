"""TINY section 4 and appendix C: the printed widths, explained by shapes; ranks are smaller."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from figures import lbi_digits, style
from figures.record import Claim, Setting, Settings, seed_for
from refgrow import growth, networks, tiny, tiny_greedy, train

ID = "TINY-arch"
STATEMENTS = ("TINY-arch",)
TITLE = "Digits: the printed widths follow from the shapes of N, not from its rank"

PRINTED = {6: (110, 51), 8: (222, 71), 15: (929, 141)}
OTHERS: dict[str, dict[str, Any]] = {
    "layer 2 first": {"order": "backward"},
    "both at once": {"order": "together"},
    "no bias": {"bias": False},
    "9 outputs": {"outputs": 9},
    "by rank": {"count": "rank"},
}
# A strength this small, relative to the desired update, is rounding, times the condition number of
# late growths: those that live are above 1e-4.
DEAD = 1e-8


def settings(full: bool) -> Settings:
    name, content, why = lbi_digits.source(full)
    return {
        "data": Setting(name, "paper" if name == "MNIST" else "ours", why),
        "content": Setting(content, "ours", "which images: a hash, or the version of the drawing"),
        "samples": Setting(3000 if full else 500, "ours", "for the estimates and the training"),
        "growths": Setting(15 if full else 4, "paper", "6, 8 and 15; every layer once each"),
        "start": Setting([1, 1], "paper"),
        "activation": Setting("selu", "paper"),
        "steps": Setting(20, "ours", "between growths; the paper: 0.05 seconds"),
        "optimizer": Setting("adam", "paper"),
        "learning_rate": Setting(1e-3, "ours", "the paper: 1e-4, with more steps in all"),
        "batch_size": Setting(100, "paper"),
        "size": Setting(0.1, "ours", "of the new neurons; only ranks are looked at"),
        "seeds": Setting(list(range(3 if full else 1)), "ours"),
    }


def grown(
    *, seed: int, data: str, content: str, samples: int, growths: int, start: list[int],
    size: float, steps: int, **setting: Any,
) -> dict[str, Any]:  # fmt: skip
    """Growth by rank: the widths, and how small the strengths of layer 2 are where N is square.

    Each growth extends layer 1, then layer 2, by as many neurons as have a strength above rounding.
    Returns the widths after each growth, and before each growth of layer 2 the strengths of as many
    neurons as the shape of N allows, relative to the desired update.
    """
    X, labels, *_ = lbi_digits.digits(data, samples, 1)
    network = lbi_digits.start(seed, start, setting.pop("activation"))
    layers, strengths = itertools.cycle((0, 1)), []

    def decide(network: networks.MLP, X: Any, Y: Any, loss: Any) -> growth.Plan:
        layer = next(layers)
        if layer == 1:
            strengths.append(_strengths(network, X, Y, loss))
        return tiny.decide(network, X, Y, loss, layer=layer, size=size)

    _, history = train.fit_and_grow(
        network, X, labels, lbi_digits.LOSS, decide=decide, growths=2 * growths,
        steps=lambda phase: 0 if phase % 2 else steps, rng=seed_for(ID, seed), **setting,
    )  # fmt: skip
    return {"widths": np.array(history.widths[::2]), "strengths": np.array(strengths)}


def _strengths(network: networks.MLP, X: Any, Y: Any, loss: Any) -> np.ndarray:
    """Of ten neurons for layer 2, relative to the desired update of the output."""
    trace = network.forward(X)
    V = tiny.desired_updates(network, X, Y, loss)[2]
    rest = V - trace.inputs[2] @ tiny.best_update(trace.inputs[2], V).T
    found = tiny.best_neurons(trace.inputs[1], rest, V.shape[1]).strengths
    return found / np.sqrt((V**2).sum() / len(V))


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    names = [name for name in settings if name != "seeds"]
    base = {name: settings[name].value for name in names}
    found = run(grown, [{**base, "seed": seed} for seed in settings["seeds"].value])
    most, growths = max(PRINTED), settings["growths"].value
    rank = tiny_greedy.final_widths(growths, count="rank").widths
    return {
        "growths": growths,
        "shape": tiny_greedy.final_widths(most),
        "others": {name: tiny_greedy.final_widths(most, **how).widths
                   for name, how in OTHERS.items()},
        "rank": rank,
        "widths": np.array([result["widths"] for result in found]),
        "strengths": np.array([result["strengths"] for result in found]),
    }  # fmt: skip


def plot(data: dict[str, Any]) -> Any:
    figure, (left, right) = style.panels(1, 2, size=(style.PAGE, 3.0))
    for layer, colour in ((0, style.BLUE), (1, style.ORANGE)):
        shape = data["shape"].widths[:, layer]
        at = np.arange(len(shape))
        left.plot(at, shape, color=colour, label=f"layer {layer + 1}: shape of N")
        measured = data["widths"][0, :, layer]
        left.plot(np.arange(len(measured)), measured, "x", color=colour,
                  label=f"layer {layer + 1}: grown by rank")  # fmt: skip
        left.plot(at, data["others"]["by rank"][:, layer], ":", color=colour,
                  label=f"layer {layer + 1}: rank of N")  # fmt: skip
    for growths, pair in PRINTED.items():
        left.plot([growths] * 2, pair, "o", color=style.BLACK, markerfacecolor="none",
                  markersize=7, label="printed" if growths == 6 else None)  # fmt: skip
        left.annotate(f"[{pair[0]}, {pair[1]}]", (growths, pair[0]), xytext=(-4, 6),
                      textcoords="offset points", ha="right", fontsize=7)  # fmt: skip
    left.set(yscale="log", xlabel="growths of each layer", ylabel="width", ylim=(0.8, 2000))
    style.legend(figure, left, columns=4)
    rows = data["strengths"][0]
    for k in range(rows.shape[1]):
        right.semilogy(np.arange(1, len(rows) + 1), np.maximum(rows[:, k], 1e-18), ".",
                       color=style.VERMILION if k == rows.shape[1] - 1 else style.GREY)  # fmt: skip
    right.text(1, 1e-17, "zero", color=style.VERMILION, fontsize=7)
    right.set_xticks(np.arange(1, len(rows) + 1))
    right.axhline(DEAD, color=style.BLACK, linewidth=0.7, linestyle="--")
    right.set(xlabel="growth", ylabel="strength over desired update",
              title="ten new neurons of layer 2:\none at least is rounding")  # fmt: skip
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    shape, rank = data["shape"], data["others"]["by rank"]

    def met(widths: np.ndarray) -> list[bool]:
        return [tuple(widths[growths]) == pair for growths, pair in PRINTED.items()]

    others = {name: int(sum(met(widths))) for name, widths in data["others"].items()}
    dead = {str(g): shape.dead[g].tolist() for g in PRINTED}
    measured = data["widths"]
    # What `tiny.decide` adds: it knows how much rounding an update that cancels leaves.
    alive = np.diff(measured[:, :, 1], axis=1)
    return [
        Claim.judged(
            ID,
            "growth from [1, 1] ends at [110, 51], [222, 71] and [929, 141] after 6, 8 and 15 "
            "growths, if each adds as many neurons as the smaller side of N",
            met(shape.widths),
            number={"printed widths met by other rules, of 3": others},
            needed=1.0,
            depends_on="On the order, the bias and the ten outputs: no other rule meets any.",
        ),
        Claim.judged(
            ID,
            "these are the widths of the optimal number of neurons, the rank of N",
            met(rank),
            number={str(g): rank[g].tolist() for g in PRINTED},
            needed=1.0,
            depends_on="The bias has no row in N once the best update is taken off, and the "
            "gradients of a softmax sum to zero: the rank is smaller than the smaller side.",
        ),
        Claim.judged(
            ID,
            "ours: grown by rank on digits, the widths after each growth are those that the ranks "
            "of matrices in general position give",
            (measured == data["rank"]).all(axis=2)[:, 1:].ravel(),
            number={"grown": measured[0].tolist(), "predicted": data["rank"].tolist()},
            depends_on="On how many: in the last growth old weights are large and cancel, and of "
            "116 neurons for layer 1 one to four are no more than the rounding that they leave.",
        ),
        Claim.judged(
            ID,
            "ours: of the ten neurons that layer 2 would get, one at least is rounding",
            (alive <= 9).ravel(),
            number={
                "above rounding, by growth": alive[0].tolist(),
                "dead neurons by the rule of the print, by layer": dead,
            },
            needed=1.0,
            depends_on="On the softmax: its gradients sum to zero over the outputs.",
        ),
    ]


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        ("shape", growths, *map(int, pair)) for growths, pair in enumerate(data["shape"].widths)
    ]
    rows += [
        (name, growths, *map(int, pair))
        for name, widths in data["others"].items()
        for growths, pair in enumerate(widths)
    ]
    rows += [("grown", g, *map(int, pair)) for g, pair in enumerate(data["widths"][0])]
    strengths = [
        (growth + 1, k + 1, value)
        for growth, row in enumerate(data["strengths"][0])
        for k, value in enumerate(row)
    ]
    return {
        "widths": (("rule", "growths", "layer_1", "layer_2"), rows),
        "strengths": (("growth", "neuron", "strength_over_desired"), strengths),
    }
