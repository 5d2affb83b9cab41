"""What the papers compare with: other ways to get from m neurons to m + 1, and to sparse networks.

Growing, for S2D and S3D. All but `scratch` are `decide` functions for `train.fit_and_grow` and
return a plan. The random splits leave the function unchanged at size zero, as a split does. New
initialisation and gradient boosting do not: they add a neuron that is already something.

Pruning, for SplitLBI. A mask is one boolean array for each of a network's arrays, true at what
stays: `magnitude_mask` and `random_mask` make one, `masked` applies it, `masked_optimizer` trains
what is left. `l1_sgd` finds zeros by itself.

Source: S2D, Fig 1 d, appendices B.2 and B.5; SplitLBI section 4.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from refgrow import growth, losses, networks, optimizers, s2d, splitlbi, train, validation
from refgrow.networks import MLP, Network, Shallow

Sampler = Callable[[np.random.Generator, int], np.ndarray]
Mask = tuple[np.ndarray, ...]


# Growing --------------------------------------------------------------------------------------


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


# Pruning --------------------------------------------------------------------------------------


def magnitude_mask(network: "Shallow | MLP", density: float, by: str = "weight") -> Mask:
    """Keep the largest weights of all layers together: one-shot magnitude pruning.

    One threshold for the whole network, so layers of small weights lose more, possibly all.
    Groups are ranked by the root mean square of their weights, whatever their sizes, and kept from
    the largest on while the share of weights kept is at most the density; by weight it is then
    the density, rounded.

    Parameters
    ----------
    network : Shallow or MLP
    density : float
        In [0, 1]: the share of weights to keep.
    by : {"weight", "neuron", "input", "layer"}
        What is kept or dropped as a whole, as for `splitlbi.groups_of`.

    Returns
    -------
    tuple of bool arrays
        Shaped like ``network.arrays``. What is in no group, biases and the outgoing weights of a
        Shallow network, is kept.

    Raises
    ------
    ValueError, TypeError
        For a density out of range, an unknown `by`, and what is not a network.

    Source: SplitLBI section 4 (LBI-Fig-5), whose masks are compared with it.
    """
    density = validation.as_scalar(density, "density", at_least=0, at_most=1)
    groups = splitlbi.groups_of(network, by)
    sizes = np.array([len(group) for group in groups])
    index = np.concatenate(groups)
    flat = np.concatenate([a.ravel() for a in network.arrays])
    # hypot, because squares underflow and overflow.
    norms = np.hypot.reduceat(np.abs(flat[index]), np.cumsum([0, *sizes[:-1]]))
    order = np.argsort(-norms / np.sqrt(sizes), kind="stable")
    number = int(np.searchsorted(np.cumsum(sizes[order]), round(density * len(index)), "right"))
    stays = np.zeros(len(groups), dtype=bool)
    stays[order[:number]] = True
    keep = np.ones(len(flat), dtype=bool)
    keep[index] = np.repeat(stays, sizes)
    return _like(network, keep)


def random_mask(
    network: "Shallow | MLP", density: "float | Sequence[np.ndarray]", *, rng: Any = None
) -> Mask:
    """Keep random weights, so many in each layer: what a mask is worth beyond its sizes.

    Parameters
    ----------
    network : Shallow or MLP
    density : float or mask
        In [0, 1]: each layer keeps this share of its weights, rounded. Of another mask, such as
        that of `magnitude_mask`, each layer keeps as many as it does.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    tuple of bool arrays
        As for `magnitude_mask`.

    Raises
    ------
    ValueError, TypeError
        For a density out of range, and a mask that does not fit the network.

    Source: SplitLBI section 4 (LBI-Fig-5), the control for a mask.
    """
    layers = splitlbi.groups_of(network, "layer")
    size = sum(a.size for a in network.arrays)
    if isinstance(density, (tuple, list)):
        given = _flat_mask(_as_mask(density, "density", network))
        numbers = [int(np.count_nonzero(given[layer])) for layer in layers]
    else:
        share = validation.as_scalar(density, "density", at_least=0, at_most=1)
        numbers = [round(share * len(layer)) for layer in layers]
    rng = validation.as_rng(rng)
    keep = np.ones(size, dtype=bool)
    for layer, number in zip(layers, numbers, strict=True):
        keep[rng.permutation(layer)[number:]] = False
    return _like(network, keep)


def masked(network: Network, mask: Sequence[np.ndarray]) -> Network:
    """The network with zeros where the mask is false; the widths stay.

    Parameters
    ----------
    network : Shallow or MLP
    mask : sequence of bool arrays
        Shaped like ``network.arrays``: of `magnitude_mask`, `random_mask`, or `splitlbi.mask`.

    Returns
    -------
    Shallow or MLP

    Raises
    ------
    ValueError, TypeError
        For a mask that is not boolean or does not fit.

    Source: SplitLBI section 4 (LBI-Fig-4).
    """
    mask = _as_mask(mask, "mask", network)
    arrays = [np.where(m, a, 0.0) for m, a in zip(mask, network.arrays, strict=True)]
    return cast(Network, network.with_arrays(arrays))


def masked_optimizer(optimizer: Any, mask: Sequence[np.ndarray]) -> optimizers.Optimizer:
    """An optimizer that keeps at zero what the mask drops: only what is left is trained.

    The gradient is zero where the mask is false, so moments do not gather there either.

    Parameters
    ----------
    optimizer : str or (init, step)
    mask : sequence of bool arrays
        For all arrays of the network that is trained, or its first one alone where only theta of a
        Shallow network is.

    Returns
    -------
    optimizers.Optimizer
        For `train.fit` and `train.fit_epochs`. What it trains starts at zero where the mask is
        false, whatever the network.

    Raises
    ------
    ValueError, TypeError
        For an unknown optimizer and a mask that is not boolean; for one of another size once the
        training starts.

    Examples
    --------
    Masked retraining, and the lottery ticket: the same from the network before training::

        trained, _ = train.fit_epochs(start, X, Y, loss, epochs=10)
        mask = magnitude_mask(trained, 0.1)
        rest = masked_optimizer("momentum", mask)
        tuned, _ = train.fit_epochs(masked(trained, mask), X, Y, loss, optimizer=rest, epochs=5)
        ticket, _ = train.fit_epochs(masked(start, mask), X, Y, loss, optimizer=rest, epochs=10)

    Source: SplitLBI section 4 (LBI-Fig-5); the lottery ticket is Frankle and Carbin's (2019).
    """
    init, step = optimizers.get(optimizer)
    parts = [m.ravel() for m in _as_mask(mask, "mask", None)]
    dropped = {part.size: ~part for part in (parts[0], np.concatenate(parts))}

    def start(parameters: Any) -> Any:
        flat = validation.as_array(parameters, "parameters", ("N",))
        if flat.size not in dropped:
            raise ValueError(
                f"mask must be for the {flat.size} parameters that are trained; got arrays of "
                f"{' + '.join(str(part.size) for part in parts)}."
            )
        return init(np.where(dropped[flat.size], 0.0, flat))

    def advance(state: Any, gradient: Any, learning_rate: float) -> Any:
        zero = dropped[state.parameters.size]
        state = step(state, np.where(zero, 0.0, gradient), learning_rate)
        np.copyto(state.parameters, 0.0, where=zero)
        return state

    return optimizers.Optimizer(start, advance)


def l1_sgd(
    strength: float, *, momentum: float = 0.0, network: "Shallow | MLP | None" = None
) -> optimizers.Optimizer:
    """Gradient descent on the loss plus strength times |W|_1, with exact zeros.

    The proximal step: with g the gradient of the loss alone,

        v <- momentum v + g,  U = W - rate v,  W <- sign(U) max(|U| - rate strength, 0),

    and then v is set to the move that was made, (old W - new W) / rate. So the run is at rest
    exactly where the penalised loss is stationary, at every momentum. Left as it is, v would come
    to rest at g / (1 - momentum), and the penalty would count 1 - momentum times. At strength zero
    this is `optimizers.momentum`, bit by bit.

    Parameters
    ----------
    strength : float
        >= 0.
    momentum : float
        In [0, 1).
    network : Shallow or MLP, optional
        Where given, what `splitlbi.groups_of` leaves out, biases above all, is not penalised. All
        is by default.

    Returns
    -------
    optimizers.Optimizer

    Raises
    ------
    ValueError, TypeError
        For numbers out of range; for a network of another size once the training starts.

    Source: SplitLBI section 4, the L1 baseline; the step with momentum is iPiano's (Ochs et al.,
    2014).
    """
    strength = validation.as_scalar(strength, "strength", at_least=0)
    momentum = validation.as_scalar(momentum, "momentum", at_least=0, below=1)
    by_size: dict[int, np.ndarray] = {}
    if network is not None:
        listed = [~m for m in magnitude_mask(network, 0.0)]
        parts = [m.ravel() for m in listed]
        by_size = {m.size: strength * m for m in (parts[0], np.concatenate(parts))}

    def start(parameters: Any) -> optimizers.State:
        state = optimizers.init(parameters)
        if by_size and state.parameters.size not in by_size:
            raise ValueError(
                f"network must have the {state.parameters.size} parameters that are trained; "
                f"got one with {max(by_size)}."
            )
        return state

    def advance(state: optimizers.State, gradient: Any, learning_rate: float) -> optimizers.State:
        g = validation.as_array(gradient, "gradient", state.parameters.shape)
        rate = validation.as_scalar(learning_rate, "learning_rate", above=0)
        W, v = state.parameters, state.first
        v *= momentum
        v += g
        W -= rate * v
        most = rate * by_size[W.size] if by_size else rate * strength
        cut = np.clip(W, -most, most)
        W -= cut
        cut /= rate
        v += cut
        return replace(state, count=state.count + 1)

    return optimizers.Optimizer(start, advance)


def _like(network: "Shallow | MLP", flat: np.ndarray) -> Mask:
    ends = np.cumsum([a.size for a in network.arrays])[:-1]
    parts = np.split(flat, ends)
    return tuple(m.reshape(a.shape) for m, a in zip(parts, network.arrays, strict=True))


def _flat_mask(mask: Mask) -> np.ndarray:
    return np.concatenate([m.ravel() for m in mask])


def _as_mask(mask: Any, name: str, network: Any) -> Mask:
    """Boolean arrays, shaped like the network's where one is given."""
    if isinstance(mask, (str, np.ndarray)) or not isinstance(mask, Sequence) or not len(mask):
        raise TypeError(
            f"{name} must be a sequence of bool arrays, one for each of the network's; "
            f"got {type(mask).__name__}."
        )
    arrays = tuple(np.asarray(m) for m in mask)
    for k, m in enumerate(arrays):
        if m.dtype != bool:
            raise TypeError(f"{name}[{k}] must be a bool array; got dtype {m.dtype}.")
    if network is not None:
        if not isinstance(network, (Shallow, MLP)):
            raise TypeError(
                f"network must be a networks.Shallow or networks.MLP; got {type(network).__name__}."
            )
        shapes, given = [a.shape for a in network.arrays], [m.shape for m in arrays]
        if given != shapes:
            raise ValueError(f"{name} must have the network's shapes {shapes}; got {given}.")
    return arrays


# Shared ---------------------------------------------------------------------------------------


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
