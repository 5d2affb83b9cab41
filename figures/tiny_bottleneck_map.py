"""Not in the paper: where a growing network lacks expressivity, by layer, round after round."""

from __future__ import annotations

from typing import Any

import numpy as np

from figures import style, tiny_digits
from figures.record import Claim, Setting, Settings

ID = "TINY-Bottleneck-map-new"
STATEMENTS = ("TINY-Bottleneck-map-new",)
TITLE = "Digits: the bottleneck of each layer of a network that grows from [1, 1]"

LAYERS = ("hidden 1", "hidden 2", "output")
PARTS = ("desired", "reachable", "lack", "by neurons")


def settings(full: bool) -> Settings:
    return {
        **tiny_digits.growing(full),
        "estimation": Setting("all", "ours", "`limit` images in every round: of the 100 that the "
                              "paper starts with, 785 inputs reach all that is desired"),
        "seeds": Setting(list(range(5 if full else 2)), "ours", "starts"),
    }  # fmt: skip


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    rate = settings["rates"].value[0]
    more = {"mapped": True, "estimation": settings["estimation"].value}
    results = run(tiny_digits.trained, tiny_digits.growths(settings, rate, **more))
    return {
        "parts": tiny_digits.by_seed(results, "bottlenecks"),  # by seed, round, layer and part
        "widths": results[0]["widths"],
    }


def shares(data: dict[str, Any]) -> dict[str, np.ndarray]:
    """Parts of what is desired, by seed, round and layer: they do not see the gradient's size."""
    desired, reachable, lack, neurons = np.moveaxis(data["parts"], -1, 0)
    return {"lack": lack / desired, "reachable": reachable / desired, "neurons": neurons / desired}


def plot(data: dict[str, Any]) -> Any:
    part = shares(data)
    shown = {
        "desired: mean $|V|^2$": np.log10(data["parts"][..., 0]).mean(axis=0),
        "share the layer's own weights reach": part["reachable"].mean(axis=0),
        "share that is lacking": part["lack"].mean(axis=0),
        "share new neurons before it reach": part["neurons"].mean(axis=0),
    }
    figure, axes = style.panels(2, 2, size=(style.PAGE, 3.8), sharex=True, sharey=True)
    last = len(data["widths"]) - 1
    for axis, (title, values) in zip(axes.ravel(), shown.items(), strict=True):
        amount = title.startswith("desired")
        limits = {} if amount else {"vmin": 0, "vmax": 1}
        image = axis.imshow(values.T[::-1], aspect="auto", cmap="cividis", **limits)
        axis.set(title=title, yticks=range(3), yticklabels=LAYERS[::-1])
        for (k, layer), value in np.ndenumerate(values):
            digits = ".0f" if 10**value > 10 else ".2g"
            text = f"{10**value:{digits}}" if amount else f"{value:.2f}".lstrip("0")
            bright = image.norm(value) > 0.5
            axis.text(k, 2 - layer, text, ha="center", va="center", fontsize=5.5,
                      color=style.BLACK if bright else "white")  # fmt: skip
    for axis in axes[1]:
        axis.set(xticks=range(last + 1), xlabel="after rounds")
        axis.set_xticklabels([f"{k}\n{a}, {b}" for k, (a, b) in enumerate(data["widths"])],
                             fontsize=5.5)  # fmt: skip
    return figure


DEPENDS = {
    "output": "On nothing here: linear functions of one neuron do not fit ten classes.",
    "smaller": "On what is desired, which changes as well: the easy part of it is met first.",
    "where": "On the inputs: the images say more than the neurons of the layer below.",
    "less": "On the number of images: in-sample, neurons that fit noise count too.",
}


def claims(data: dict[str, Any]) -> list[Claim]:
    part = shares(data)

    def number(name: str, layer: int) -> dict[str, Any]:
        values = part[name][:, :, layer]
        return {"share of mean |V|^2 by round, mean": values.mean(axis=0).tolist()}

    neurons = part["neurons"]
    first = neurons[:, 0].argmax(axis=1)
    last = neurons[:, -1].argmax(axis=1)
    return [
        Claim.judged(
            ID,
            "at [1, 1] the output lacks more than half of what it desires",
            part["lack"][:, 0, 2] > 0.5,
            number=number("lack", 2),
            depends_on=DEPENDS["output"],
        ),
        Claim.judged(
            ID,
            "growth widens the output's bottleneck: a smaller share is lacking in the end",
            part["lack"][:, -1, 2] < part["lack"][:, 0, 2],
            number=number("lack", 2),
            depends_on=DEPENDS["smaller"],
        ),
        Claim.judged(
            ID,
            "new neurons promise the larger share where they feed hidden layer 2, not the output: "
            "the first layer is the one to grow, at the start and in the end",
            (first == 1) & (last == 1),
            number={
                "hidden 2": number("neurons", 1),
                "output": number("neurons", 2),
            },
            depends_on=DEPENDS["where"],
        ),
        Claim.judged(
            ID,
            "the more the network has grown, the less new neurons add: below a tenth of what is "
            "desired in the end, everywhere",
            neurons[:, -1].max(axis=1) < 0.1,
            number={name: number("neurons", k) for k, name in enumerate(LAYERS)},
            depends_on=DEPENDS["less"],
        ),
    ]


def tables(data: dict[str, Any]) -> dict[str, Any]:
    rows = [
        (seed, k, LAYERS[layer], *map(float, data["parts"][seed, k, layer]))
        for seed in range(len(data["parts"]))
        for k in range(data["parts"].shape[1])
        for layer in range(3)
    ]
    header = ("seed", "rounds", "layer", *(name.replace(" ", "_") for name in PARTS))
    return {"bottlenecks": (header, rows)}


def summary(data: dict[str, Any]) -> str:
    """Shares by round, mean over the seeds."""
    part = shares(data)
    return "\n".join(
        f"{layer:9s} {name:10s}" + "".join(f"{v:8.3f}" for v in part[name][:, :, k].mean(axis=0))
        for k, layer in enumerate(LAYERS)
        for name in ("lack", "neurons")
    )
