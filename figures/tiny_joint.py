"""Not in the paper: what its order, old weights first and then neurons, loses to both together."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from figures import lbi_digits, style
from figures.record import Claim, Setting, Settings, seed_for
from refgrow import growth, losses, networks, tiny, tiny_theory, train

ID = "TINY-joint-new"
STATEMENTS = ("TINY-joint-new",)
TITLE = "Digits: old weights first, then neurons, against the joint optimum, while networks grow"

ORDERS = ("sequential", "joint")
ROUNDING = 1e-8  # a joint gain below the other one by this share is rounding
MEDIANS = "share of the loss, medians: one after the other, joint, the first with two amplitudes"
LOOKS = {"tanh": (style.BLUE, "o"), "selu": (style.ORANGE, "s")}


def settings(full: bool) -> Settings:
    name, content, why = lbi_digits.source(full)
    return {
        "data": Setting(name, "paper" if name == "MNIST" else "ours", why),
        "content": Setting(content, "ours", "which images: a hash, or the version of the drawing"),
        "samples": Setting(4000 if full else 800, "ours", "for estimates and training"),
        "tests": Setting(2000 if full else 500, "ours", "images on which decreases are looked at"),
        "start": Setting([1, 1], "paper"),
        "activations": Setting(["tanh", "selu"], "ours", "the paper: selu, which has a kink"),
        "growths": Setting(8 if full else 3, "ours", "of each layer; the paper: 8 and 15"),
        "most": Setting(5, "ours", "neurons for a layer at a time"),
        "steps": Setting(100 if full else 30, "ours", "between growths; the paper: 0.05 seconds"),
        "optimizer": Setting("adam", "paper"),
        "learning_rate": Setting(1e-3, "ours", "the paper: 1e-4, with more steps in all"),
        "batch_size": Setting(100, "paper"),
        "seeds": Setting(list(range(5 if full else 1)), "ours"),
    }


def compared(
    *, seed: int, data: str, content: str, samples: int, tests: int, start: list[int],
    activation: str, growths: int, most: int, steps: int, **setting: Any,
) -> dict[str, Any]:  # fmt: skip
    """Growth in the paper's order, and before each growth both orders side by side.

    By growth, layer and order: the gain sum strengths^2 relative to the mean of |V|^2; the largest
    root mean square of what a new neuron's fan-in makes of its inputs, at amplitude one; and the
    share of the loss that goes when neurons and move are added at one amplitude of the line search,
    on the samples and on other images; in the paper's order also with its two amplitudes. For the
    second layer the smallest sine between the spans of B_prev and B that is not zero.
    """
    X, labels, X_test, labels_test = lbi_digits.digits(data, samples, tests)
    network = lbi_digits.start(seed, start, activation)
    layers = itertools.cycle((0, 1))
    found: dict[str, list[Any]] = {"gains": [], "sizes": [], "decreases": [], "sines": []}
    loss = losses.get(lbi_digits.LOSS)

    def decide(network: networks.MLP, X: Any, Y: Any, loss: Any) -> growth.Plan:
        layer = next(layers)
        trace = network.forward(X)
        V = tiny.desired_updates(network, X, Y, loss)[layer + 1]
        B_prev, B = trace.inputs[layer], trace.inputs[layer + 1]
        gains, sizes = both(B, B_prev, V, min(most, V.shape[1]))
        found["gains"].append(gains)
        found["sizes"].append(sizes)
        if layer == 1:
            sines = tiny_theory.principal_sines(B, B_prev)
            found["sines"].append(float(sines[sines > 0].min(initial=1.0)))
        plans = [
            tiny.decide(network, X, Y, loss, layer=layer, most=most, old_weights=order)
            for order in ORDERS
        ]
        two = tiny.decide(network, X, Y, loss, layer=layer, most=most, line_search=True)
        grown = [*(searched(network, plan) for plan in plans), growth.apply(network, two)]
        found["decreases"].append([decreases(network, other) for other in grown])
        return two

    def searched(network: networks.MLP, plan: growth.Plan) -> networks.MLP:
        def loss_at(size: float) -> float:
            return loss.value(growth.apply(network, plan, size)(X), labels)

        return growth.apply(network, plan, tiny.amplitude(loss_at))

    def decreases(network: networks.MLP, grown: networks.MLP) -> list[float]:
        pairs = ((X, labels), (X_test, labels_test))
        return [1 - loss.value(grown(x), y) / loss.value(network(x), y) for x, y in pairs]

    train.fit_and_grow(
        network, X, labels, loss, decide=decide, growths=2 * growths,
        steps=lambda phase: 0 if phase % 2 else steps, rng=seed_for(ID, seed), **setting,
    )  # fmt: skip
    return {name: np.array(values) for name, values in found.items()}


def both(
    B: np.ndarray, B_prev: np.ndarray, V: np.ndarray, k: int
) -> tuple[list[float], list[float]]:
    """Gains and sizes of the best k neurons, in the paper's order and together."""
    rest = V - B @ tiny.best_update(B, V).T
    first = tiny.best_neurons(B_prev, rest, k)
    _, *joint = tiny.joint_neurons(B, B_prev, V, k)
    wanted = float((V**2).sum()) / len(V)
    return (
        [float((strengths**2).sum()) / wanted for _, _, strengths in (first, joint)],
        [
            float(np.sqrt(((B_prev @ fan_in.T) ** 2).mean(axis=0).max()))
            for fan_in, _, _ in (first, joint)
        ],
    )


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    value = {name: setting.value for name, setting in settings.items()}
    names, seeds = value.pop("activations"), value.pop("seeds")
    asked = {name: [{**value, "activation": name, "seed": seed} for seed in seeds]
             for name in names}  # fmt: skip
    results = lbi_digits.results(run, asked, compared)
    return {
        name: {key: lbi_digits.stacked(rows, key) for key in rows[0]}
        for name, rows in results.items()
    }


def kept(found: dict[str, np.ndarray]) -> np.ndarray:
    """The share of the joint gain that the paper's order has, by seed and step."""
    gains = found["gains"]
    return np.divide(gains[..., 0], gains[..., 1], out=np.ones(gains.shape[:-1]),
                     where=gains[..., 1] > 0)  # fmt: skip


def plot(data: dict[str, Any]) -> Any:
    figure, axes = style.panels(1, 3, size=(style.PAGE, 2.9))
    for name, found in data.items():
        colour, marker = LOOKS[name]
        for layer, (line, fill) in enumerate((("-", colour), ("--", "none"))):
            look = {"color": colour, "marker": marker, "linestyle": line, "markerfacecolor": fill,
                    "label": f"{name}, layer {layer + 1}"}  # fmt: skip
            at = slice(layer, None, 2)
            share = kept(found)[:, at].mean(axis=0)
            steps = np.arange(1, len(share) + 1)
            axes[0].plot(steps, share, **look)
            ratio = found["sizes"][:, at, 1] / found["sizes"][:, at, 0]
            axes[1].plot(steps, np.exp(np.log(ratio).mean(axis=0)), **look)
            taken = found["decreases"][:, at, :, 0]
            more = taken[:, :, 1] - taken[:, :, 0]
            axes[2].plot(steps, more.mean(axis=0), **look)
    axes[0].set(ylim=(0, 1.05), ylabel="gain: old weights first, over joint")
    axes[1].set(yscale="log", ylabel="fan-ins: joint, over old weights first")
    ticks = [tick for tick in (1, 3, 10, 30, 100, 300) if tick <= axes[1].get_ylim()[1]]
    axes[1].set_yticks(ticks, [str(tick) for tick in ticks])
    axes[1].minorticks_off()
    axes[2].axhline(0, color=style.GREY, linewidth=0.7)
    axes[2].set(ylabel="share of the loss that the joint\nplan takes off more, after line search")
    for axis in axes:
        axis.axhline(1, color=style.GREY, linewidth=0.7) if axis is not axes[2] else None
        axis.set(xlabel="growth")
        axis.set_xticks(steps)
    style.legend(figure, axes[0], columns=4)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    share = np.concatenate([kept(found).ravel() for found in data.values()])
    ratio = np.concatenate([(f["sizes"][..., 1] / f["sizes"][..., 0]).ravel()
                            for f in data.values()])  # fmt: skip
    largest = np.concatenate([f["sizes"][..., 1].ravel() for f in data.values()])
    taken = np.concatenate([f["decreases"].reshape(-1, 3, 2) for f in data.values()])
    sines = np.concatenate([f["sines"].ravel() for f in data.values()])
    gains = {
        "share of the joint gain, least, median, largest": _spread(share),
        "smallest sine between the spans, layer 2, least and median": _spread(sines)[:2],
    }
    return [
        Claim.judged(
            ID,
            "old weights and neurons together close at least as much of the gap as one after the "
            "other",
            share <= 1 + ROUNDING,
            number=gains,
            needed=1.0,
            depends_on="On nothing: it is the optimum of (4).",
        ),
        Claim.judged(
            ID,
            "one after the other keeps at least half of the joint gain",
            share >= 0.5,
            number=gains,
            depends_on="On how linear a layer's neurons are: small ones of tanh nearly, those of "
            "selu at any size to some 15 %, and where one is, the spans of B_prev and B nearly "
            "meet.",
        ),
        Claim.judged(
            ID,
            "the joint neurons have the larger fan-ins",
            ratio > 1,
            number={"ratio, least, median, largest": _spread(ratio),
                    "root mean square of their pre-activations, least, median, largest":
                        _spread(largest)},
            depends_on="On the same angle: what the old weights take back must be made first.",
        ),
        Claim.judged(
            ID,
            "with one amplitude each from the line search, the joint plan takes off at least as "
            "much of the loss",
            taken[:, 1, 0] >= taken[:, 0, 0],
            number={MEDIANS: np.median(taken[:, :, 0], axis=0)},
            depends_on="On the range in which neurons are linear.",
        ),
        Claim.judged(
            ID,
            "also as the paper's order with its two amplitudes",
            taken[:, 1, 0] >= taken[:, 2, 0],
            number={MEDIANS: np.median(taken[:, :, 0], axis=0)},
            depends_on="On the old weights, whose best update alone may take off most.",
        ),
        Claim.judged(
            ID,
            "with one amplitude each, it takes off at least as much of the loss on images not seen",
            taken[:, 1, 1] >= taken[:, 0, 1],
            number={MEDIANS: np.median(taken[:, :, 1], axis=0)},
            depends_on="On the samples behind the estimate.",
        ),
    ]  # fmt: skip


def _spread(values: np.ndarray) -> list[float]:
    return [float(values.min()), float(np.median(values)), float(values.max())]


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (name, seed, step // 2 + 1, step % 2 + 1, order, float(found["gains"][seed, step, k % 2]),
         float(found["sizes"][seed, step, k % 2]), *map(float, found["decreases"][seed, step, k]))
        for name, found in data.items()
        for seed in range(len(found["gains"]))
        for step in range(found["gains"].shape[1])
        for k, order in enumerate((*ORDERS, "sequential, two amplitudes"))
    ]  # fmt: skip
    header = ("activation", "seed", "growth", "layer", "order", "gain_over_desired",
              "largest_pre_activation", "share_of_loss", "share_of_loss_on_others")  # fmt: skip
    return {"orders": (header, rows)}
