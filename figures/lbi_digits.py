"""Networks trained on digits by SplitLBI and by its competitors, as cells that figures share.

A network of 784, 300, 100 and 10 neurons (LeNet-3) under the cross-entropy, on digits rendered from
fonts, or on MNIST where its folder is given and sizes are full. Whatever differs between two runs
of one seed, they start from the same weights and see the same minibatches.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from figures.record import Setting, Settings, seed_for
from refgrow import baselines, data, losses, networks, optimizers, splitlbi, train

Mask = tuple[np.ndarray, ...]

MASKS = ("SplitLBI", "its largest weights", "lottery ticket", "one-shot pruning", "random")
# How much lower an accuracy on the tests may be and still count as comparable, in all figures.
COMPARABLE = 0.01
LOSS = "softmax_cross_entropy"
SHOWN = 6  # neurons at each end whose weights are kept, to be drawn
# Where the step falls to a tenth, as shares of the epochs: 80 and 120 of 160 in the ablations.
DROPS = (0.5, 0.75)


def common(full: bool, follows: Sequence[str] = (), **paper: str) -> dict[str, Setting]:
    """The settings that all digit figures share: data, network and training.

    `paper` tells what the paper has in the figure at hand, for any of data, widths, epochs, drops
    and seeds, and `follows` names those of them in which our full run has the same. The paper does
    not say what is left out.
    """
    name, content, why = source(full)

    def chosen(key: str, value: Any, why: str = "", same: bool = True) -> Setting:
        told = f"the paper: {paper[key]}" if key in paper else "not said"
        ours = "ours" if not same or key not in follows else "paper"
        return Setting(value, ours, f"{why}; {told}" if why else told)

    return {
        "data": chosen("data", name, why, name == "MNIST"),
        "content": Setting(content, "ours", "which images: a hash, or the version of the drawing"),
        "samples": Setting(10_000 if full else 1_600, "ours", "the first ones; the paper: all"),
        "probe": Setting(2_000 if full else 1_000, "ours", "samples on which the loss is followed"),
        "tests": Setting(5_000 if full else 1_000, "ours", "images to test on, the first ones"),
        "widths": chosen("widths", [300, 100], "LeNet-3"),
        "activation": Setting("relu", "ours", "not said for LeNet-3"),
        "batch_size": Setting(128 if full else 64, "paper" if full else "ours",
                              "its default for small images is 128"),
        "epochs": chosen("epochs", 20 if full else 6),
        "rate": Setting(0.1, "paper", "kappa alpha, and the step of SGD"),
        "drops": chosen("drops", list(DROPS), "to a tenth at these shares of the epochs"),
        "seeds": chosen("seeds", list(range(5 if full else 1)), "starts", full),
    }  # fmt: skip


PASSED = ("data", "content", "samples", "tests", "widths", "activation", "batch_size", "epochs")


def passed(settings: Settings) -> dict[str, Any]:
    """The part of a cell's arguments that `common` sets."""
    return {name: settings[name].value for name in PASSED}


def training(
    settings: Settings, method: str, seed: int, *, groups: str = "weight", **more: Any
) -> dict[str, Any]:
    """The arguments of `trained`; `more` are nu, kappa, lam or drops where they differ.

    The step of W is kappa alpha, so SplitLBI's alpha is the learning rate divided by kappa.
    """
    rate = 0.001 if method == "Adam" else 0.01 if method == "AdaGrad" else settings["rate"].value
    found = {
        **passed(settings),
        "method": method,
        "seed": seed,
        "probe": settings["probe"].value,
        "learning_rate": rate,
        "drops": more.pop("drops", list(DROPS)),
    }
    if method.startswith("SplitLBI"):
        constants = [name for name in ("nu", "kappa", "lam") if name not in more]
        base = {name: settings[name].value for name in constants}
        found |= {"groups": groups, **base, **more}
        found["learning_rate"] = rate / found["kappa"]
    return found


def ablations(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The trainings of Figs 3, 4 and 6: by name, one for each seed."""
    seeds, method = settings["seeds"].value, "SplitLBI Mom-Wd"
    found = {"SGD": [training(settings, "SGD Mom-Wd", seed) for seed in seeds]}
    for name in ("kappa", "nu"):
        for value in settings[f"{name}s"].value:
            found[f"{name} = {value:g}"] = [
                training(settings, method, seed, **{name: value}) for seed in seeds
            ]
    return found


def ablation_settings(full: bool) -> dict[str, Setting]:
    """What Figs 3, 4 and 6 share."""
    paper = {"data": "Cifar-10", "widths": "VGG-16 and ResNet-56", "epochs": "160"}
    paper |= {"drops": "at 80 and 120 of 160 epochs", "seeds": "5"}
    kappas, nus = [1.0, 2.0, 5.0, 10.0], [10.0, 50.0, 100.0, 200.0, 500.0, 1000.0]
    return {
        **common(full, ("drops", "seeds"), **paper),
        "kappas": Setting(kappas if full else [1.0, 10.0], "paper", "at nu = 100"),
        "nus": Setting(nus if full else [10.0, 100.0, 1000.0], "paper",
                       "at kappa = 1; without its 20 and 2000"),
        "nu": Setting(100.0, "paper"),
        "kappa": Setting(1.0, "paper"),
        "lam": Setting(0.005 if full else 0.002, "ours",
                       "the paper: 1, with 40 times as many steps; groups are weights here"),
        "groups": Setting("weight", "paper", "for fully connected layers"),
    }  # fmt: skip


def ticket_cells(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The arguments of `tickets`, by groups and seed."""
    more = {name: settings[name].value for name in ("nu", "kappa")}
    return {
        by: [
            {
                **passed(settings),
                **more,
                "method": "SplitLBI Mom-Wd",
                "seed": seed,
                "learning_rate": settings["rate"].value,
                "groups": by,
                "lam": settings["lam"].value[by],
                "stops": settings["stops"].value[by],
            }
            for seed in settings["seeds"].value
        ]
        for by in settings["lam"].value
    }


def ticket_settings(full: bool) -> dict[str, Setting]:
    """What Figs 5 and 8 share."""
    paper = {"data": "Cifar-10", "widths": "VGG-16, ResNet-50 and ResNet-56", "epochs": "160"}
    paper |= {"drops": "every 30 epochs by default, not said here", "seeds": "5"}
    return {
        **common(full, ("seeds",), **paper),
        "nu": Setting(100.0, "paper", "Table 10, where it can be read"),
        "kappa": Setting(1.0, "paper"),
        "lam": Setting({"weight": 0.01, "neuron": 0.2} if full
                       else {"weight": 0.005, "neuron": 0.085}, "ours",
                       "the paper: 0.03 to 0.1 for other networks and 40 times as many steps"),
        "stops": Setting({"weight": [1, 2, 4], "neuron": [4, 8]} if full
                         else {"weight": [2, 3], "neuron": [4]}, "ours",
                         "epochs whose masks are retrained; the paper's: the first eighth"),
        "groups": Setting(["weight", "neuron"], "ours",
                          "the paper: the lasso, and filters, here what a hidden neuron reads; "
                          "then all masks keep as many neurons, and not as many weights"),
        "retraining": Setting("SGD Mom-Wd, as the dense network", "ours",
                              "the paper: from the start, for as many epochs; by what is not said"),
    }  # fmt: skip


def results(
    run: Any, asked: Mapping[str, Sequence[Mapping[str, Any]]], function: Any = None
) -> dict[str, list[Any]]:
    """The results of many cells, trainings by default, by name and seed; `run` is the figure's."""
    found = run(function or trained, [cell for cells in asked.values() for cell in cells])
    ends = np.cumsum([0, *(len(cells) for cells in asked.values())])
    return {name: found[a:b] for name, (a, b) in zip(asked, pairwise(ends), strict=True)}


def stacked(results: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """One quantity of all seeds, by seed and epoch."""
    return np.array([result[name] for result in results])


def source(full: bool) -> tuple[str, str, str]:
    """Which digits, what identifies them, and why these."""
    if full and os.environ.get("REFGROW_DATA"):
        checksums = "".join(data.MNIST_CHECKSUMS.values())
        return "MNIST", hashlib.sha256(checksums.encode()).hexdigest()[:16], ""
    why = "no folder of MNIST was given" if full else "needs no files"
    return "rendered digits", "SeedSequence(0), difficulty 1", why


@cache
def digits(name: str, samples: int, tests: int) -> tuple[np.ndarray, ...]:
    """X, labels to learn from, and X, labels to test on."""
    if name == "MNIST":  # its checksums are verified
        parts = [data.mnist(samples=n, part=p) for n, p in ((samples, "train"), (tests, "t10k"))]
    else:
        seeds = np.random.SeedSequence(0).spawn(2)
        sizes = (samples, tests)
        parts = [
            data.rendered_digits(samples=n, rng=rng) for n, rng in zip(sizes, seeds, strict=True)
        ]
    return tuple(array for part in parts for array in (part.X, part.Y))


def start(seed: int, widths: Sequence[int], activation: str) -> networks.MLP:
    """The network at its random start, after He et al. (2015): N(0, 2 / inputs), no biases."""
    rng = np.random.default_rng(seed_for("digits", "start", seed))
    sizes = (784, *widths, 10)
    return networks.MLP(
        [
            np.column_stack([rng.normal(scale=(2 / a) ** 0.5, size=(b, a)), np.zeros(b)])
            for a, b in pairwise(sizes)
        ],
        activation,
    )


def schedule(learning_rate: float, epochs: int, drops: Sequence[float] = DROPS) -> Any:
    """The step by epoch: a tenth from each of the drops on, which are shares of the epochs."""

    def rate(epoch: int) -> float:
        return learning_rate * 0.1 ** sum(epoch >= drop * epochs for drop in drops)

    return rate


def with_decay(pair: optimizers.Optimizer, decay: float) -> optimizers.Optimizer:
    """The usual weight decay of SGD: decay W is part of the gradient."""

    def step(state: Any, gradient: Any, learning_rate: float) -> Any:
        return pair.step(state, gradient + decay * state.parameters, learning_rate)

    return optimizers.Optimizer(pair.init, step)


def groups(network: networks.MLP, by: str) -> list[np.ndarray] | np.ndarray:
    """By weight: all of them. By neuron: what each hidden neuron reads; the last layer is free."""
    found = splitlbi.groups_of(network, by=by)
    return found[: sum(network.widths)] if by == "neuron" else found


def optimizer(network: networks.MLP, method: str, setting: Mapping[str, Any]) -> Any:
    """The (init, step) pair of a method's name."""
    if method.startswith("SplitLBI"):
        return splitlbi.optimizer(
            nu=setting["nu"],
            kappa=setting["kappa"],
            lam=setting["lam"],
            groups=groups(network, setting["groups"]),
            momentum=0.9 if "Mom" in method else 0.0,
            decay=1e-4 if "Wd" in method else 0.0,
            like=network.arrays,
        )
    if method == "SGD l1":
        return baselines.l1_sgd(1e-3, network=network)
    return {
        "SGD": optimizers.gd,
        "SGD Mom": optimizers.momentum,
        "SGD Mom-Wd": with_decay(optimizers.momentum, 1e-4),
        "Adam": optimizers.adam,
        "AdaGrad": optimizers.adagrad,
    }[method]


def trained(
    *,
    method: str,
    seed: int,
    epochs: int,
    learning_rate: float,
    probe: int,
    drops: list[float],
    **setting: Any,
) -> dict[str, Any]:
    """One training, looked at before it and after every epoch.

    Returns, by epoch 0, 1, ...: loss and accuracy on the first `probe` samples, accuracy on the
    tests, the density (of Gamma under SplitLBI, of W otherwise, biases apart), the norm of every
    neuron of the first layer and whether a weight of it is in the support; under SplitLBI also the
    accuracy on the tests of W on the support of Gamma, and the density by layer. At the end the
    neurons of the first layer of largest and of smallest norm.
    """
    X, labels, X_test, labels_test = digits(setting["data"], setting["samples"], setting["tests"])
    network = start(seed, setting["widths"], setting["activation"])
    found: dict[str, list[Any]] = {}

    def watch(epoch: int, network: networks.MLP, state: Any) -> None:
        sparse = isinstance(state, splitlbi.State)
        mask: Mask = tuple(splitlbi.mask(state) if sparse else [W != 0 for W in network.arrays])
        outputs = network(X[:probe])
        seen = {
            "loss": float(losses.get(LOSS).samples(outputs, labels[:probe]).mean()),
            "train": float((outputs.argmax(axis=1) == labels[:probe]).mean()),
            "test": networks.accuracy(network, X_test, labels_test),
            "density": splitlbi.density(state) if sparse else share(mask),
            "layers": np.array([part[:, :-1].mean() for part in mask]),
            "norms": np.linalg.norm(network.arrays[0][:, :-1], axis=1),
            "selected": mask[0][:, :-1].any(axis=1),
        }
        if sparse:
            masked = baselines.masked(network, mask)
            seen["sparse"] = networks.accuracy(masked, X_test, labels_test)
        for name, value in seen.items():
            found.setdefault(name, []).append(value)

    pair = optimizer(network, method, setting)
    watch(0, network, pair.init(flat(network)))
    network, _ = train.fit_epochs(
        network, X, labels, LOSS, optimizer=pair, epochs=epochs,
        learning_rate=schedule(learning_rate, epochs, drops), batch_size=setting["batch_size"],
        watch=watch, rng=seed_for("digits", "batches", seed),
    )  # fmt: skip
    order = np.argsort(-found["norms"][-1])
    shown = np.concatenate([order[:SHOWN], order[-SHOWN:]])
    return {
        **{name: np.array(values) for name, values in found.items()},
        "shown": shown,
        "filters": network.arrays[0][shown, :-1].astype(np.float32),
    }


def flat(network: networks.MLP) -> np.ndarray:
    """All parameters, as they are trained."""
    return np.concatenate([W.ravel() for W in network.arrays])


def share(mask: Sequence[np.ndarray]) -> float:
    """The share of weights that a mask keeps, biases apart."""
    parts = [part[:, :-1] for part in mask]
    return sum(int(part.sum()) for part in parts) / sum(part.size for part in parts)


# Masks, and what retraining makes of them -----------------------------------------------------


def tickets(
    *, seed: int, epochs: int, learning_rate: float, stops: list[int], **setting: Any
) -> dict[str, Any]:
    """Sparse networks found early by SplitLBI, against others of the same size, retrained.

    The masks at each epoch of `stops`, all with as many weights as SplitLBI's. Where neurons are
    the groups, with as many hidden neurons in all: the largest may be spread over the layers in
    another way, and so keep another number of weights (a neuron of layer 1 reads 784, one of layer
    2 reads 300); the random ones keep as many. They are SplitLBI's; the largest weights of the same
    run at the same epoch; the largest after a whole training by SGD; random ones, as many a layer
    as SplitLBI's. Every network goes back to its start, and is retrained as SGD trains the dense
    one; with the largest after training that is a lottery ticket. One-shot pruning keeps the same
    weights as the ticket, and tunes them from where training had left them: twice the training of
    the others.

    Returns the density by epoch, the shares of weights that SplitLBI's masks keep, the accuracies
    on the tests: of the dense networks at the end, and by mask and stop.
    """
    X, labels, X_test, labels_test = digits(setting["data"], setting["samples"], setting["tests"])
    first = start(seed, setting["widths"], setting["activation"])
    by = setting["groups"]
    density, kept = [0.0], {}

    def watch(epoch: int, network: networks.MLP, state: Any) -> None:
        density.append(splitlbi.density(state))
        if epoch in stops:
            kept[epoch] = tuple(splitlbi.mask(state)), network

    def fitted(pair: Any, network: networks.MLP, **more: Any) -> networks.MLP:
        return train.fit_epochs(
            network, X, labels, LOSS, optimizer=pair, epochs=epochs,
            learning_rate=schedule(learning_rate, epochs), batch_size=setting["batch_size"],
            rng=seed_for("digits", "batches", seed), **more,
        )[0]  # fmt: skip

    def accuracy(network: networks.MLP) -> float:
        return float(networks.accuracy(network, X_test, labels_test))

    sparse = fitted(optimizer(first, setting["method"], setting), first, watch=watch)
    dense = fitted(optimizer(first, "SGD Mom-Wd", setting), first)
    shares: list[float] = []
    found: dict[str, list[float]] = {name: [] for name in MASKS}
    for stop in stops:
        mask, there = kept[stop]
        trained = largest(dense, mask, by)
        drawn = at_random(first, mask, by, seed_for("digits", "random mask", seed, stop))
        sparse_from = {
            "SplitLBI": (mask, first),
            "its largest weights": (largest(there, mask, by), first),
            "lottery ticket": (trained, first),
            "one-shot pruning": (trained, dense),
            "random": (drawn, first),
        }
        shares.append(share(mask))
        for name, (one, origin) in sparse_from.items():
            pair = baselines.masked_optimizer(optimizer(first, "SGD Mom-Wd", setting), one)
            found[name].append(accuracy(fitted(pair, baselines.masked(origin, one))))
    return {
        "density": np.array(density),
        "shares": np.array(shares),
        "dense": accuracy(dense),
        "sparse": accuracy(sparse),
        **{name: np.array(values) for name, values in found.items()},
    }


def largest(network: networks.MLP, like: Mask, by: str) -> Mask:
    """The largest weights of a network, as many as a mask keeps; or its hidden neurons."""
    if by == "weight":
        return tuple(baselines.magnitude_mask(network, share(like)))
    norms = [np.linalg.norm(W[:, :-1], axis=1) for W in network.arrays[:-1]]
    kept = sum(int(part[:, :-1].any(axis=1).sum()) for part in like[:-1])
    ranked = np.sort(np.concatenate(norms))[::-1]
    bound = ranked[kept - 1] if kept else np.inf
    return of_neurons(like, [norm >= bound for norm in norms])


def largest_by_layer(network: networks.MLP, like: Mask) -> Mask:
    """The largest weights of each layer, as many there as a mask keeps."""
    parts = []
    for W, part in zip(network.arrays, like, strict=True):
        kept, sizes = int(part[:, :-1].sum()), np.abs(W[:, :-1])
        bound = np.sort(sizes.ravel())[::-1][kept - 1] if kept else np.inf
        parts.append(np.column_stack([sizes >= bound, np.ones(len(W), dtype=bool)]))
    return tuple(parts)


def at_random(network: networks.MLP, like: Mask, by: str, seed: Any) -> Mask:
    """As many weights of each layer as a mask keeps, or neurons, drawn at random."""
    if by == "weight":
        return tuple(baselines.random_mask(network, like, rng=np.random.default_rng(seed)))
    rng = np.random.default_rng(seed)
    kept = [part[:, :-1].any(axis=1) for part in like[:-1]]
    return of_neurons(like, [rng.permutation(rows) for rows in kept])


def of_neurons(like: Mask, kept: Sequence[np.ndarray]) -> Mask:
    """The mask that keeps all weights of some hidden neurons; biases and the last layer stay."""
    parts = [np.repeat(rows[:, None], part.shape[1], axis=1)
             for rows, part in zip(kept, like[:-1], strict=True)]  # fmt: skip
    for part in parts:
        part[:, -1] = True
    return (*parts, np.ones_like(like[-1]))


def rewind(
    *, seed: int, epochs: int, learning_rate: float, starts: list[int], **setting: Any
) -> dict[str, Any]:
    """The support at the end of SplitLBI, fine-tuned from its weights at several epochs.

    Fine-tuned by SplitLBI with momentum and decay, as it was trained; the last support of SGD, the
    largest weights of each layer, as many as SplitLBI's, is retrained by SGD from the start.

    Returns the density by layer, and accuracies on the tests: of the dense networks, of the sparse
    network as it is, by epoch of `starts`, and of SGD's.
    """
    X, labels, X_test, labels_test = digits(setting["data"], setting["samples"], setting["tests"])
    first = start(seed, setting["widths"], setting["activation"])
    along, masks = {0: first}, {}

    def watch(epoch: int, network: networks.MLP, state: Any) -> None:
        if epoch in starts:
            along[epoch] = network
        if epoch == epochs:
            masks["SplitLBI"] = tuple(splitlbi.mask(state))

    def fitted(pair: Any, network: networks.MLP, **more: Any) -> networks.MLP:
        return train.fit_epochs(
            network, X, labels, LOSS, optimizer=pair, epochs=epochs,
            learning_rate=schedule(learning_rate, epochs), batch_size=setting["batch_size"],
            rng=seed_for("digits", "batches", seed), **more,
        )[0]  # fmt: skip

    def accuracy(network: networks.MLP) -> float:
        return float(networks.accuracy(network, X_test, labels_test))

    def tuned(method: str, mask: Mask, network: networks.MLP) -> float:
        pair = baselines.masked_optimizer(optimizer(first, method, setting), mask)
        return accuracy(fitted(pair, baselines.masked(network, mask)))

    last = fitted(optimizer(first, "SplitLBI Mom-Wd", setting), first, watch=watch)
    dense = fitted(optimizer(first, "SGD Mom-Wd", setting), first)
    mask = masks["SplitLBI"]
    return {
        "layers": np.array([part[:, :-1].mean() for part in mask]),
        "share": share(mask),
        "full": accuracy(last),
        "dense": accuracy(dense),
        "projected": accuracy(baselines.masked(last, mask)),
        "tuned": np.array([tuned("SplitLBI Mom-Wd", mask, along[epoch]) for epoch in starts]),
        "tuned by SGD": np.array([tuned("SGD Mom-Wd", mask, along[epoch]) for epoch in starts]),
        "SGD lottery": tuned("SGD Mom-Wd", largest_by_layer(dense, mask), first),
    }
