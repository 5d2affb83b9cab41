"""TINY section 3.4: how the estimated neurons vary with the samples, against what is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from figures import lbi_digits, style
from figures.record import Claim, Setting, Settings, seed_for
from refgrow import tiny, tiny_greedy, train

ID = "TINY-variance"
STATEMENTS = ("TINY-variance",)
TITLE = "Variance of the best neurons against the batch and the width: Gaussian data and digits"

SIDES = ("fan-in", "fan-out")
NEAR = 0.15  # how far a measured power may be from the one stated
CLOSE = 0.25  # Monte Carlo against first order in 1/n
SMALL = 0.1  # a squared sine up to which first order is all; at 1 it cannot grow further
SIGMAS = 4  # standard errors of a Monte Carlo mean


def settings(full: bool) -> Settings:
    name, content, why = lbi_digits.source(full)
    return {
        "inputs": Setting([10, 40, 160] if full else [10, 40], "ours", "q, which is n_{l-1} + 1"),
        "outputs": Setting(10, "ours", "p, which is n_{l+1}"),
        "strengths": Setting([1.0, 0.5], "ours", "the true lambdas of Gaussian data"),
        "noise": Setting(0.5, "ours", "standard deviation of each output's noise"),
        "sizes": Setting([400, 800, 1600, 3200] + [6400] * full, "ours", "samples, Gaussian data"),
        "runs": Setting(200 if full else 60, "ours", "batches drawn for each mean"),
        "data": Setting(name, "paper" if name == "MNIST" else "ours", why),
        "content": Setting(content, "ours", "which images: a hash, or the version of the drawing"),
        "samples": Setting(8000 if full else 1600, "ours", "what batches are drawn from"),
        "tests": Setting(4000 if full else 800, "ours", "images on which neurons are tried"),
        "widths": Setting([20, 20], "ours", "a network of the paper's, after a few growths"),
        "activation": Setting("selu", "paper"),
        "steps": Setting(300 if full else 100, "ours", "of Adam, before neurons are looked for"),
        "batches": Setting([100, 200, 400, 800, 1600] + [6400, 25600, 102400] * full, "ours",
                           "samples, digits, drawn with replacement; the paper starts with 100"),
        "tried": Setting([100, 400, 1600] + [6400] * full, "ours",
                         "of them, where the first layer's neurons are tried on others"),
        "seeds": Setting(list(range(5 if full else 1)), "ours"),
    }  # fmt: skip


def gaussian(
    *, q: int, outputs: int, strengths: list[float], noise: float, n: int, runs: int
) -> dict[str, Any]:
    """Mean squared sines between the best neuron and its estimates, and their standard errors."""
    rng = np.random.default_rng(seed_for(ID, "gaussian", q, n))
    sines = np.empty((runs, 2))
    r = len(strengths)
    for k in range(runs):
        Z, V = rng.normal(size=(n, q)), noise * rng.normal(size=(n, outputs))
        V[:, :r] += Z[:, :r] * strengths
        found = tiny.best_neurons(Z, V, 1)
        for side, v in enumerate((found.fan_in[0], found.fan_out[:, 0])):
            sines[k, side] = 1 - v[0] ** 2 / (v @ v)
    return {"mean": sines.mean(axis=0), "error": sines.std(axis=0) / runs**0.5}


def on_digits(
    *, seed: int, data: str, content: str, samples: int, tests: int, widths: list[int],
    activation: str, steps: int, batches: list[int], tried: list[int], runs: int,
) -> dict[str, Any]:  # fmt: skip
    """Estimates from batches, drawn from the samples with replacement, for a trained network.

    For each hidden layer (by size of the batch): the mean of |N_n - N|^2, its standard error and
    its exact value. For the second layer: the squared sines of the first neuron, in coordinates in
    which its inputs have unit covariance, and those of `direction_error`. For the first layer: the
    share of the desired update that all neurons explain, and its cosine with theirs, on the batch
    and on images not seen.
    """
    X, labels, X_test, labels_test = lbi_digits.digits(data, samples, tests)
    network = lbi_digits.start(seed, widths, activation)
    network, _ = train.fit(network, X, labels, lbi_digits.LOSS, optimizer="adam", steps=steps,
                           learning_rate=1e-3, batch_size=100,
                           rng=seed_for(ID, "batches", seed))  # fmt: skip
    rng = np.random.default_rng(seed_for(ID, "draws", seed))
    inputs = network.forward(X).inputs
    goals = tiny.desired_updates(network, X, labels, lbi_digits.LOSS)
    moments = [
        [_moments(inputs[layer], goals[layer + 1], n, runs, rng) for n in batches]
        for layer in range(2)
    ]
    B_test = network.forward(X_test).inputs[0]
    V_test = tiny.desired_updates(network, X_test, labels_test, lbi_digits.LOSS)[1]
    shares = []
    for n in tried:
        rows = rng.choice(samples, n, replace=False)
        found = tiny.best_neurons(inputs[0][rows], goals[1][rows], widths[1])
        A = found.fan_in.T @ found.fan_out.T
        pairs = ((inputs[0][rows], goals[1][rows]), (B_test, V_test))
        shares.append([share for B, V in pairs for share in _shares(B @ A, V)])
    return {
        "moments": np.array(moments),
        "sines": np.array([_sines(inputs[1], goals[2], n, runs, rng) for n in batches]),
        "shares": np.array(shares),
    }


def _shares(move: np.ndarray, V: np.ndarray) -> tuple[float, float]:
    """The share of V that a move explains at amplitude one, and the cosine between the two."""
    size = float((V**2).sum())
    cosine = float((V * move).sum()) / np.sqrt(size * float((move**2).sum()))
    return 1 - float(((V - move) ** 2).sum()) / size, cosine


def _moments(
    B: np.ndarray, V: np.ndarray, n: int, runs: int, rng: np.random.Generator
) -> list[float]:
    """The mean of |N_n - N|^2 over batches, its standard error, and what it should be."""
    N = B.T @ V / len(B)
    off = []
    for _ in range(runs):
        weights = np.bincount(rng.integers(len(B), size=n), minlength=len(B)) / n
        rows = np.flatnonzero(weights)
        off.append((((weights[rows, None] * B[rows]).T @ V[rows] - N) ** 2).sum())
    exact = tiny_greedy.moment_error(B, V, n)
    return [float(np.mean(off)), float(np.std(off)) / runs**0.5, exact]


def _sines(
    B: np.ndarray, V: np.ndarray, n: int, runs: int, rng: np.random.Generator
) -> list[list[float]]:
    """Means of the squared sines of fan-in and fan-out, and the formula of Gaussian data."""
    root = np.linalg.cholesky(B.T @ B / len(B)).T
    true = tiny.best_neurons(B, V, V.shape[1])
    rest = V - (B @ true.fan_in.T) @ true.fan_out.T
    off = []
    for _ in range(runs):
        rows = rng.integers(len(B), size=n)
        found = tiny.best_neurons(B[rows], V[rows], 1)
        pairs = ((root @ true.fan_in[0], root @ found.fan_in[0]),
                 (true.fan_out[:, 0], found.fan_out[:, 0]))  # fmt: skip
        off.append([1 - (a @ b) ** 2 / ((a @ a) * (b @ b)) for a, b in pairs])
    formula = [
        tiny_greedy.direction_error(true.strengths, 0, n, dimension=size, side=side,
                                    noise=float(np.sqrt((rest**2).mean())))
        for side, size in (("in", B.shape[1]), ("out", V.shape[1]))
    ]  # fmt: skip
    return [np.mean(off, axis=0).tolist(), formula]


def compute(settings: Settings, run: Any) -> dict[str, Any]:
    value = {name: setting.value for name, setting in settings.items()}
    base = {name: value[name] for name in ("outputs", "strengths", "noise", "runs")}
    asked = [{"q": q, "n": n, **base} for q in value["inputs"] for n in value["sizes"]]
    found = run(gaussian, asked)
    shape = (len(value["inputs"]), len(value["sizes"]), 2)
    names = ("data", "content", "samples", "tests", "widths", "activation", "steps", "batches",
             "tried", "runs")  # fmt: skip
    digits = run(
        on_digits, [{"seed": s, **{name: value[name] for name in names}} for s in value["seeds"]]
    )
    formula = [
        [
            tiny_greedy.direction_error(value["strengths"], 0, cell["n"], dimension=size,
                                        side=side, noise=value["noise"])
            for side, size in (("in", cell["q"]), ("out", value["outputs"]))
        ]
        for cell in asked
    ]  # fmt: skip
    return {
        **{name: value[name] for name in ("inputs", "sizes", "batches", "tried", "outputs")},
        "mean": np.array([result["mean"] for result in found]).reshape(shape),
        "error": np.array([result["error"] for result in found]).reshape(shape),
        "formula": np.array(formula).reshape(shape),
        **{
            name: np.array([result[name] for result in digits])
            for name in ("moments", "sines", "shares")
        },
    }


def power(x: Sequence[float] | np.ndarray, y: np.ndarray) -> float:
    """The power of x with which y grows."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def plot(data: dict[str, Any]) -> Any:
    figure, (left, middle, right) = style.panels(1, 3, size=(style.PAGE, 3.0))
    n = np.array(data["sizes"], dtype=float)
    looks = ((style.BLUE, "o", "-"), (style.ORANGE, "s", "--"))
    for i, q in enumerate(data["inputs"]):
        for side, (colour, marker, line) in enumerate(looks):
            label = f"{SIDES[side]}" if i == 0 else None
            left.plot(n, data["mean"][i, :, side], marker, color=colour, label=label)
            left.plot(n, data["formula"][i, :, side], line, color=colour, linewidth=0.8,
                      label=label and "formula")  # fmt: skip
        left.annotate(f"q = {q}", (n[0], data["mean"][i, 0, 0]), xytext=(3, 5),
                      textcoords="offset points", fontsize=6)  # fmt: skip
    start = data["mean"][-1, 0, 0]
    left.plot(n, start * np.sqrt(n[0] / n), ":", color=style.BLACK, label="print: 1/sqrt(n)")
    left.set(title="direction, Gaussian data", ylabel="mean squared sine to the truth")
    b = np.array(data["batches"], dtype=float)
    for layer, (colour, marker, line) in enumerate(looks):
        rows = data["moments"][0, layer]
        scale = rows[0, 2]
        middle.plot(b, rows[:, 0] / scale, marker, color=colour, label=f"layer {layer + 1}")
        middle.plot(b, rows[:, 2] / scale, line, color=colour, linewidth=0.8)
    middle.plot(b, np.sqrt(b[0] / b), ":", color=style.BLACK)
    middle.set(title="moment N, digits", ylabel="variance, first batch = 1")
    middle.legend(loc="lower left")
    shares = data["shares"].mean(axis=0)
    for k, (name, (colour, marker, line)) in enumerate(
        zip(("its own samples", "other images"), looks, strict=True)
    ):
        right.plot(data["tried"], np.maximum(shares[:, 2 * k], -2), marker + line, color=colour,
                   label=name)  # fmt: skip
    right.axhline(0, color=style.GREY, linewidth=0.7)
    right.legend(loc="center right")
    right.set(title="neurons of layer 1", ylim=(-2.1, 1.1),
              ylabel="share of V they explain (cut at -2)")  # fmt: skip
    for axis in (left, middle):
        axis.set(yscale="log")
    for axis, ticks in zip((left, middle, right), ("sizes", "batches", "tried"), strict=True):
        axis.set(xscale="log", xlabel="samples n")
        axis.minorticks_off()
        shown = data[ticks][:: 1 if len(data[ticks]) < 6 else 2]
        axis.set_xticks(shown, [str(tick) for tick in shown])
    style.legend(figure, left, columns=5)
    return figure


def claims(data: dict[str, Any]) -> list[Claim]:
    largest = np.array([max(q, data["outputs"]) for q in data["inputs"]], dtype=float)
    in_n = [power(data["sizes"], data["mean"][i, :, side])
            for i in range(len(largest)) for side in range(2)]  # fmt: skip
    batches, small = np.array(data["batches"]), data["sines"][:, :, 1] <= SMALL
    in_n += [power(batches[at], runs[at, 0, side])
             for runs, settled in zip(data["sines"], small, strict=True)
             for side, at in enumerate(settled.T) if at.sum() > 1]  # fmt: skip
    in_p = {name: power(largest, data["mean"][:, -1, side]) for side, name in enumerate(SIDES)}
    ratio = data["mean"] / data["formula"]
    mean, error, exact = np.moveaxis(data["moments"], -1, 0)
    measured = data["sines"][:, :, 0] / data["sines"][:, :, 1]
    shares = {str(n): row for n, row in zip(data["tried"], data["shares"].mean(axis=0).tolist(),
                                            strict=True)}  # fmt: skip
    n_powers = {"powers of n, by width and side": in_n}
    return [
        Claim.judged(
            ID,
            f"the variance of the directions falls like 1/sqrt(N): a power of N within {NEAR} of "
            "-1/2",
            np.abs(np.array(in_n) + 0.5) <= NEAR,
            number=n_powers,
            depends_on="On what varies: the standard deviation does, the variance falls like 1/N.",
        ),
        Claim.judged(
            ID,
            f"read as the standard deviation: the variance falls like 1/N, with a power within "
            f"{NEAR} of -1",
            np.abs(np.array(in_n) + 1) <= NEAR,
            number=n_powers,
            depends_on="On samples beyond the number of inputs, and on distinct strengths: with a "
            f"tie the direction does not settle at all. On digits it is judged below {SMALL}; "
            "above, where it nears 1, it falls more slowly, by any power.",
        ),
        Claim.judged(
            ID,
            "the variance of both sides grows like sqrt(p), p = max(n_{l-1}, n_{l+1}): a power "
            f"within {NEAR} of 1/2",
            [abs(value - 0.5) <= NEAR for value in in_p.values()],
            number=in_p,
            depends_on="On the side: the fan-in's grows like its own dimension q, to the power "
            "one, and the fan-out's does not see q.",
        ),
        Claim.judged(
            ID,
            f"ours: the variance is that of tiny_greedy.direction_error, within {CLOSE:.0%}",
            (np.abs(ratio - 1) <= CLOSE).ravel(),
            number={"Monte Carlo over formula, smallest and largest": [float(ratio.min()),
                                                                      float(ratio.max())]},
            depends_on="On batches so large that the first order in 1/n is all.",
        ),
        Claim.judged(
            ID,
            "ours: on digits |N_n - N|^2 has the mean (E |z|^2 |v|^2 - |N|^2) / n, within "
            f"{SIGMAS} standard errors",
            (np.abs(mean - exact) <= SIGMAS * error).ravel(),
            needed=0.9,
            number={"Monte Carlo over exact, smallest and largest": [float((mean / exact).min()),
                                                                    float((mean / exact).max())]},
            depends_on="On independent draws, and nothing else.",
        ),
        Claim.judged(
            ID,
            "ours: the formula of Gaussian data holds for the second layer on digits, within a "
            f"factor of 2, where it is below {SMALL}",
            ((measured <= 2) & (measured >= 0.5))[small] if small.any() else [False],
            number={"measured over formula, by batch, fan-in and fan-out": measured.mean(axis=0)},
            depends_on="On how far activations are from Gaussian and their noise from even.",
        ),
        Claim.judged(
            ID,
            "N = 100 is enough to start with: the first layer's neurons explain some of the "
            "desired update of images not seen",
            data["shares"][:, data["tried"].index(100), 2] > 0,
            number={"share explained and cosine, on the batch and on others, by n": shares},
            depends_on="On the number of inputs: with 785 of them 100 samples are always met "
            "exactly.",
        ),
        Claim.judged(
            ID,
            "or they lower at least the loss on images not seen, at a small amplitude",
            data["shares"][:, data["tried"].index(100), 3] > 0,
            number={"share explained and cosine, on the batch and on others, by n": shares},
            depends_on="On how alike images are: the direction carries over, its length does not.",
        ),
    ]  # fmt: skip


def tables(data: dict[str, Any]) -> dict[str, Any]:
    directions = [
        (q, n, SIDES[side], *(float(data[name][i, k, side]) for name in ("mean", "error",
                                                                         "formula")))
        for i, q in enumerate(data["inputs"])
        for k, n in enumerate(data["sizes"])
        for side in (0, 1)
    ]  # fmt: skip
    moments = [
        (seed, layer + 1, n, *map(float, row))
        for seed, runs in enumerate(data["moments"])
        for layer, rows in enumerate(runs)
        for n, row in zip(data["batches"], rows, strict=True)
    ]
    sines = [
        (seed, n, SIDES[side], float(row[0, side]), float(row[1, side]))
        for seed, rows in enumerate(data["sines"])
        for n, row in zip(data["batches"], rows, strict=True)
        for side in (0, 1)
    ]
    shares = [
        (seed, n, *map(float, row))
        for seed, rows in enumerate(data["shares"])
        for n, row in zip(data["tried"], rows, strict=True)
    ]
    return {
        "gaussian": (("q", "n", "side", "squared_sine", "standard_error", "formula"), directions),
        "moments": (("seed", "layer", "n", "variance", "standard_error", "exact"), moments),
        "digits": (("seed", "n", "side", "squared_sine", "gaussian_formula"), sines),
        "shares": (
            ("seed", "n", "on_the_batch", "cosine", "on_others", "cosine_on_others"),
            shares,
        ),
    }
