"""What the papers compare with: other ways to get from m neurons to m + 1.

All but `scratch` are `decide` functions for `train.fit_and_grow` and return a plan. The random
splits leave the function unchanged at size zero, as a split does. New initialisation and gradient
boosting do not: they add a neuron that is already something.

Source: S2D, Fig 1 d, appendices B.2 and B.5.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refgrow import growth, losses, networks, s2d, train, validation
from refgrow.networks import MLP, Shallow

Sampler = Callable[[np.random.Generator, int], np.ndarray]


def random_split(
    network: "Shallow | MLP",
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    most: int = 1,
    size: float = 0.01,
    rng: Any = None,
) -> growth.Plan:
    """Split distinct random neurons into two equal copies along random unit directions.

    Parameters
    ----------
    network, X, Y, loss : as for `s2d.splitting_matrices`
    most : int
        How many neurons; all of them when there are fewer.
    size : float
        epsilon > 0.
    rng : None, int, SeedSequence or Generator
        Pass a Generator when the plan is decided repeatedly, or every growth draws the same.

    Returns
    -------
    growth.Plan

    Raises
    ------
    ValueError, TypeError
        For options out of range, and as `s2d.splitting_matrices` does.

    Source: S2D, Fig 1 d ("Random Split ... with a random direction").
    """
    rng = validation.as_rng(rng)
    S = s2d.splitting_matrices(network, X, Y, loss)
    chosen = _random_neurons(S, most, rng)
    directions = []
    for layer, _ in chosen:
        v = rng.normal(size=S[layer].shape[1])
        directions.append(v / np.linalg.norm(v))
    return _split_plan(S, chosen, directions, size)


def random_split_along_gradient(
    network: "Shallow | MLP",
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    most: int = 1,
    size: float = 0.01,
    rng: Any = None,
) -> growth.Plan:
    """Split distinct random neurons into two equal copies, each along its own splitting gradient.

    Parameters, Returns and Raises as for `random_split`.

    Source: S2D, appendices B.2 and B.5 ("split it following its splitting gradient").
    """
    rng = validation.as_rng(rng)
    S = s2d.splitting_matrices(network, X, Y, loss)
    chosen = _random_neurons(S, most, rng)
    directions = [s2d.splitting_indices(S[layer][j])[1] for layer, j in chosen]
    return _split_plan(S, chosen, directions, size)


def new_initialisation(
    network: Shallow,
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    sample: Sampler,
    weighting: str = "added",
    rng: Any = None,
) -> growth.Plan:
    """Add one randomly drawn neuron, to be trained together with the old ones.

    Parameters
    ----------
    network, X, Y, loss : as for `s2d.splitting_matrices`; a Shallow network
    sample : callable
        ``sample(rng, k) -> (k, d)`` draws parameters.
    weighting : {"added", "even"}
        "added": the new neuron has outgoing weight 1 and the old ones keep theirs. "even": all
        neurons share the weight evenly, 1 / (m + 1) each if they were 1 / m before, which is what
        makes the loss jump in S2D's Fig 8.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    growth.Plan

    Raises
    ------
    ValueError, TypeError
        For another network, draws of another shape, data that do not fit.

    Source: S2D, Fig 1 d and appendix B.5 ("New Initialization").
    """
    networks.check(_shallow(network, "new_initialisation"), X, Y, loss)
    theta = _drawn(sample, validation.as_rng(rng), 1, network)
    return _add_plan(network, X, Y, loss, theta, weighting)


def gradient_boosting(
    network: Shallow,
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    sample: Sampler,
    weighting: str = "added",
    candidates: int = 256,
    restarts: int = 8,
    rng: Any = None,
    **options: Any,
) -> growth.Plan:
    """Add the neuron that lowers the loss most while the old ones stay fixed (Frank-Wolfe).

    Parameters and Raises as for `greedy_neuron`. For the paper's method, nothing else moves: call
    `train.fit_and_grow` with ``steps=0``.

    Returns
    -------
    growth.Plan

    Source: S2D, Fig 1 d and appendix B.5 ("Gradient Boosting", a.k.a. Frank-Wolfe or herding).
    """
    theta, _ = greedy_neuron(
        network, X, Y, loss, sample=sample, weighting=weighting, candidates=candidates,
        restarts=restarts, rng=rng, **options,
    )  # fmt: skip
    return _add_plan(network, X, Y, loss, theta, weighting)


def greedy_neuron(
    network: Shallow,
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    sample: Sampler,
    weighting: str = "added",
    candidates: int = 256,
    restarts: int = 8,
    rng: Any = None,
    **options: Any,
) -> tuple[np.ndarray, train.History]:
    """The search behind `gradient_boosting`: the best new neuron, and its training curve.

    Draws `candidates` neurons, trains the `restarts` of them with the lowest loss with all others
    fixed, and returns the best of the trained and the drawn: a heuristic for a problem that is not
    convex.

    Parameters
    ----------
    network, X, Y, loss : as for `s2d.splitting_matrices`; a Shallow network
    sample, weighting, rng : as for `new_initialisation`
    candidates, restarts : int
        >= 1, restarts <= candidates.
    **options
        Passed on to `train.fit`: optimizer, learning_rate, steps, gtol.

    Returns
    -------
    theta : (1, d)
    history : train.History
        Its loss is the loss of the whole network.

    Raises
    ------
    ValueError, TypeError
        For options out of range, and as `new_initialisation` and `train.fit` do.

    Source: S2D, Fig 1 d and appendix B.5; how the minimum is searched for is ours.
    """
    X, Y, loss = networks.check(_shallow(network, "gradient_boosting"), X, Y, loss)
    candidates = validation.as_integer(candidates, "candidates", at_least=1)
    restarts = validation.as_integer(restarts, "restarts", at_least=1, at_most=candidates)
    keep, weight = _weighting(network, weighting)
    offset = keep * network(X)
    if loss is losses.squared:
        residual_loss, target = loss, Y - offset
    else:
        residual_loss, target = losses.with_offset(loss, offset), Y
    outgoing = np.full((1, offset.shape[1]), weight)
    drawn = _drawn(sample, validation.as_rng(rng), candidates, network)
    alone = [Shallow(theta[None], outgoing, network.neuron) for theta in drawn]
    values = np.array([residual_loss.value(candidate(X), target) for candidate in alone])
    ranked = np.argsort(values, kind="stable")[:restarts]
    fit = partial(train.fit, X=X, Y=target, loss=residual_loss)
    trained = [fit(alone[k], **options) for k in ranked]
    # Training can make things worse: what was drawn competes too.
    drawn_best = fit(alone[ranked[0]], **{**options, "steps": 0})
    best, history = min([*trained, drawn_best], key=lambda fitted: fitted[1].fun)
    return best.theta, history


def scratch(network: Shallow, width: int, *, sample: Sampler, rng: Any = None) -> Shallow:
    """A network of the same family with `width` freshly drawn neurons of outgoing weight one.

    Parameters
    ----------
    network : Shallow
        Gives the family and the number of outputs.
    width : int
        >= 1.
    sample, rng : as for `new_initialisation`

    Returns
    -------
    Shallow

    Raises
    ------
    ValueError, TypeError
        For another network, a width below one, draws of another shape.

    Source: S2D, Fig 1 d ("Baseline (scratch)").
    """
    width = validation.as_integer(width, "width", at_least=1)
    theta = _drawn(sample, validation.as_rng(rng), width, _shallow(network, "scratch"))
    return Shallow(theta, np.ones((width, *network.weights.shape[1:])), network.neuron)


def _random_neurons(
    S: list[np.ndarray], most: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    most = validation.as_integer(most, "most", at_least=1)
    every = [(layer, j) for layer, matrices in enumerate(S) for j in range(len(matrices))]
    return [every[k] for k in rng.permutation(len(every))[:most]]


def _split_plan(
    S: list[np.ndarray],
    chosen: list[tuple[int, int]],
    directions: list[np.ndarray],
    size: float,
) -> growth.Plan:
    size = validation.as_scalar(size, "size", above=0)
    splits = tuple(
        growth.Split(layer, j, np.array([0.5, 0.5]), np.array([v, -v]))
        for (layer, j), v in zip(chosen, directions, strict=True)
    )
    gain = sum(float(v @ S[layer][j] @ v) for (layer, j), v in zip(chosen, directions, strict=True))
    message = f"{len(splits)} random neurons are split."
    return growth.Plan(splits, size, 0.5 * gain, order=2, remainder=4, message=message)


def _add_plan(
    network: Shallow, X: Any, Y: Any, loss: Any, theta: np.ndarray, weighting: str
) -> growth.Plan:
    keep, weight = _weighting(network, weighting)
    p = network.weights.reshape(len(network.theta), -1).shape[1]
    add = growth.Add(0, theta, np.full((p, 1), weight), keep)
    # Not infinitesimal, so there is nothing to expand: the coefficient is the change itself.
    after = growth.apply(network, growth.Plan((add,), 1.0, 0.0, 0, 1))
    loss = losses.get(loss)
    change = loss.value(after(X), Y) - loss.value(network(X), Y)
    effect = "lowers" if change < 0 else "does not lower"
    message = f"One neuron is added; it {effect} the loss."
    return growth.Plan((add,), 1.0, change, order=0, remainder=1, message=message)


def _weighting(network: Shallow, weighting: str) -> tuple[float, float]:
    """What the old outgoing weights are multiplied by, and the new neuron's."""
    if validation.one_of(weighting, "weighting", ("added", "even")) == "added":
        return 1.0, 1.0
    m = len(network.theta)
    return m / (m + 1), 1 / (m + 1)


def _drawn(sample: Sampler, rng: np.random.Generator, k: int, network: Shallow) -> np.ndarray:
    if not callable(sample):
        raise TypeError(f"sample must be a function (rng, k) -> (k, d); got {sample!r}.")
    return validation.as_array(sample(rng, k), "sample(rng, k)", (k, network.theta.shape[1]))


def _shallow(network: Any, method: str) -> Shallow:
    if not isinstance(network, Shallow):
        raise TypeError(f"{method} needs a networks.Shallow; got {type(network).__name__}.")
    return network
