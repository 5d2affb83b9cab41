"""What the papers compare with: other ways to get from m neurons to m + 1, and to sparse networks.

Growing, for S2D, S3D and TINY. All but `scratch` are `decide` functions for `train.fit_and_grow`
and return a plan. The random splits leave the function unchanged at size zero, as a split does, and
so do the neurons that `gradmax` and `random_neurons` add. New initialisation and gradient boosting
do not: they add a neuron that is already something.

Pruning, for SplitLBI. A mask is one boolean array for each of a network's arrays, true at what
stays: `magnitude_mask` and `random_mask` make one, `masked` applies it, `masked_optimizer` trains
what is left. `l1_sgd` finds zeros by itself.

Source: S2D, Fig 1 d, appendices B.2 and B.5; SplitLBI section 4; TINY sections 1, 3.2 and 5.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from refgrow import (
    _chain,
    activations,
    growth,
    kernels,
    losses,
    networks,
    neurons,
    optimizers,
    s2d,
    splitlbi,
    tiny,
    train,
    validation,
)
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


def gradmax(
    network: "Shallow | MLP",
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    layer: int,
    k: int = 1,
    fan_in: str = "zero",
    norm: float = 1.0,
    size: float = 0.01,
) -> growth.Plan:
    """Add the neurons that change nothing yet and learn fastest: GradMax.

    New neurons with fan-in zero leave the function as it was, whatever their fan-outs omega_k. The
    gradient of the mean loss with respect to their fan-ins is then

        sigma'(0) M omega_k,  M = B^T G / n  (q, p),

    with B (n, q) what the layer reads and G (n, p) the gradient of the loss, per sample, with
    respect to the pre-activations that the new neurons feed. Over fan-outs that are orthogonal to
    each other and of the same norm, the right singular vectors of M make the norm of all these
    gradients together largest: its square is (norm sigma'(0))^2 times the sum of the k largest
    singular values squared. A bound on the norm alone would be met best by k copies of the first
    neuron, which are one neuron.

    GradMax does not see redundancy: M weighs the inputs by their size, where TINY's neurons have
    the inverse square root of their second moment, and what the old weights could do as well is not
    taken out of G. With fan-outs of zero instead, the best fan-ins have a closed form for linear
    neurons only.

    Parameters
    ----------
    network : Shallow or MLP
        A Shallow network of ridge neurons.
    X, Y, loss : as for `networks.check`
    layer : int
        The hidden layer that grows, counted from zero.
    k : int
        How many neurons, at most as many as the outputs p of the layer that reads them. Neurons
        without any gradient are left out.
    fan_in : {"zero", "gradient"}
        "zero": the published method; training does the rest. "gradient": minus the gradient, so
        that the plan is a step of gradient descent on the new weights, its size the learning rate.
    norm : float
        > 0, of every fan-out.
    size : float
        > 0; without meaning for fan-ins of zero.

    Returns
    -------
    growth.Plan
        Of order 1 and remainder 2. The coefficient is zero for fan-ins of zero, which change the
        loss at no size. At a kink the gradient is the one from the left, and the coefficient the
        slope along the plan: it may be positive. Without edits where there is no gradient at all.

    Raises
    ------
    ValueError, TypeError
        For options out of range and data that do not fit; for an activation that is flat at zero,
        as relu is from the left, with which neurons of fan-in zero never learn; for other neurons
        than ridges; for a Shallow network whose activation is not zero at zero. An MLP's biases are
        mended.

    Source: TINY section 1 and section 3.2 ("set either input weights or output weights to 0"); the
    method is Evci et al.'s (GradMax, 2022).
    """
    activation = _grown_activation(network, layer, "gradmax")
    X, Y, loss = networks.check(network, X, Y, loss)
    activity = _chain.activity(network, X, Y, loss)
    B, G = activity.inputs[layer], -activity.goals[layer + 1]
    k = validation.as_integer(k, "k", at_least=1, at_most=G.shape[1])
    step = validation.one_of(fan_in, "fan_in", ("zero", "gradient"))
    norm = validation.as_scalar(norm, "norm", above=0)
    size = validation.as_scalar(size, "size", above=0)
    slope = float(activation.derivative(np.zeros(1))[0])
    if slope == 0:
        raise ValueError(
            f"gradmax needs an activation with a slope at zero, or neurons of fan-in zero never "
            f"learn; got {activation.name}. Use tanh, gelu, selu or another that is not flat there."
        )
    M = B.T @ G / len(B)
    _, strengths, right = np.linalg.svd(M, full_matrices=False)
    # What rounding of the sum over the samples can leave of a singular value that is zero.
    rounding = np.finfo(float).eps * max(M.shape) * np.linalg.norm(B) * np.linalg.norm(G) / len(B)
    k = min(k, int(np.count_nonzero(strengths > rounding)))
    if k == 0:
        message = f"No new neuron of layer {layer} would have a gradient."
        return growth.Plan((), size, 0.0, 1, 2, message)
    omega = norm * kernels.signed(right[:k]).T
    toward = -slope * (M @ omega).T
    alpha = toward if step == "gradient" else np.zeros_like(toward)
    message = (
        f"{k} neurons are added to layer {layer}; the gradient of their weights has norm "
        f"{np.linalg.norm(toward):.3g}."
    )
    add = _unchanged_at_zero(network, layer, alpha, omega, activation)
    coefficient = _chain.first_order(activity, (add,)) if step == "gradient" else 0.0
    return growth.Plan((add,), size, coefficient, 1, 2, message)


def random_neurons(
    network: "Shallow | MLP",
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    layer: int,
    k: int = 1,
    sample: Sampler | None = None,
    downhill: bool = False,
    old_weights: str = "fixed",
    size: float = 0.01,
    rng: Any = None,
) -> growth.Plan:
    """Add neurons with random weights, of which a line search finds the amplitude.

    Fan-outs are random unit vectors, and fan-ins are scaled to a pre-activation of mean square one,
    so that the size is the root mean square of what each neuron feeds forward, to first order and
    over sigma'(0), however the draws are scaled.

    Parameters
    ----------
    network : Shallow or MLP
        A Shallow network of ridge neurons.
    X, Y, loss : as for `networks.check`
    layer : int
        The hidden layer that grows, counted from zero.
    k : int
        >= 1: how many neurons.
    sample : callable, optional
        ``sample(rng, k) -> (k, q)`` draws fan-ins, an MLP's biases last; normal and independent by
        default. Only their directions count.
    downhill : bool
        Whether every neuron whose first-order effect is to raise the loss has its fan-out turned
        around. Where a pre-activation above is exactly at a kink, both ways may raise it: the
        neuron gets the one that does less, taken by itself.
    old_weights : {"fixed", "sequential"}
        "sequential": the weights that read the layer make their best update too, that of TINY's
        Prop 3.1, by the same size.
    size : float
        > 0.
    rng : None, int, SeedSequence or Generator
        Pass a Generator when the plan is decided repeatedly, or every growth draws the same.

    Returns
    -------
    growth.Plan
        Of order 1 and remainder 2; the coefficient has any sign, unless `downhill`. It is the slope
        along all that the plan does, kinks included.

    Raises
    ------
    ValueError, TypeError
        For options out of range, draws of another shape and data that do not fit; for other neurons
        than ridges; for a Shallow network whose activation is not zero at zero.

    Source: TINY Fig 13 (TINY-Fig-13) and section 5 (TINY-random).
    """
    activation = _grown_activation(network, layer, "random_neurons")
    X, Y, loss = networks.check(network, X, Y, loss)
    activity = _chain.activity(network, X, Y, loss)
    B, H, V = *activity.inputs[layer : layer + 2], activity.goals[layer + 1]
    k = validation.as_integer(k, "k", at_least=1)
    downhill = validation.as_bool(downhill, "downhill")
    update = validation.one_of(old_weights, "old_weights", ("fixed", "sequential"))
    size = validation.as_scalar(size, "size", above=0)
    rng = validation.as_rng(rng)
    alpha = _draws(sample or _normal(B.shape[1]), rng, k, B.shape[1])
    scale = np.sqrt(np.mean((B @ alpha.T) ** 2, axis=0))[:, None]
    alpha = np.divide(alpha, scale, out=alpha.copy(), where=scale > 0)
    omega = rng.normal(size=(V.shape[1], k))
    omega /= np.linalg.norm(omega, axis=0)
    if downhill:
        omega = np.where(_uphill(activity, layer, alpha, omega), -omega, omega)
    edits: tuple[growth.Edit, ...] = (_unchanged_at_zero(network, layer, alpha, omega, activation),)
    if update == "sequential":
        edits += (growth.Move(layer + 1, tiny.best_update(H, V)),)
    coefficient = _chain.first_order(activity, edits)
    message = f"{k} random neurons are added to layer {layer}."
    return growth.Plan(edits, size, coefficient, 1, 2, message)


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


def _grown_activation(network: Any, layer: Any, method: str) -> activations.Activation:
    """The activation of the hidden layer that grows, or an error where it cannot."""
    if not isinstance(network, (Shallow, MLP)):
        raise TypeError(
            f"network must be a networks.Shallow or networks.MLP; got {type(network).__name__}."
        )
    if not network.widths:
        raise ValueError(f"{method} needs a network with a hidden layer; got a linear model.")
    validation.as_integer(layer, "layer", at_least=0, at_most=len(network.widths) - 1)
    if isinstance(network, MLP):
        return activations.get(network.activation)
    if not isinstance(network.neuron, neurons.Ridge):
        raise ValueError(
            f"{method} needs neurons sigma(theta . x), those of an MLP or of neurons.ridge; "
            f"got {network.neuron.name}."
        )
    activation = network.neuron.activation
    if _at_zero(activation) != 0:
        raise ValueError(
            f"{method} needs an activation that is zero at zero for a Shallow network, which has "
            f"no bias to make up for it; got {activation.name}. Use tanh, gelu, selu or another "
            "that is, or an MLP."
        )
    return activation


def _at_zero(activation: activations.Activation) -> float:
    return float(activation.value(np.zeros(1))[0])


def _uphill(
    activity: _chain.Activity, layer: int, fan_in: np.ndarray, fan_out: np.ndarray
) -> np.ndarray:
    """Which new neurons, each by itself, do better with their fan-outs turned around: (k,)."""
    left, right = activity.activation.derivative(np.array([0.0, np.nextafter(0.0, 1.0)]))
    if left != right and any((state == 0).any() for state in activity.states[layer + 1 : -1]):
        # What is at a kink does not turn its slope with the neuron.
        def effects(sign: float) -> np.ndarray:
            alone = [growth.Add(layer, a[None], sign * omega[:, None])
                     for a, omega in zip(fan_in, fan_out.T, strict=True)]  # fmt: skip
            return np.array([_chain.first_order(activity, (add,)) for add in alone])

        return effects(1.0) > effects(-1.0)
    Z = activity.inputs[layer] @ fan_in.T
    slopes = np.where(Z > 0, right, left)
    found: np.ndarray = (slopes * Z * (activity.goals[layer + 1] @ fan_out)).mean(axis=0) < 0
    return found


def _unchanged_at_zero(
    network: "Shallow | MLP",
    layer: int,
    fan_in: np.ndarray,
    fan_out: np.ndarray,
    activation: activations.Activation,
) -> growth.Add:
    value = _at_zero(activation)
    bias = -value * fan_out.sum(axis=1) if isinstance(network, MLP) and value != 0 else None
    return growth.Add(layer, fan_in, fan_out, bias=bias)


def _normal(d: int) -> Sampler:
    return lambda rng, k: rng.normal(size=(k, d))


def _drawn(sample: Sampler, rng: np.random.Generator, k: int, network: Shallow) -> np.ndarray:
    return _draws(sample, rng, k, network.theta.shape[1])


def _draws(sample: Sampler, rng: np.random.Generator, k: int, d: int) -> np.ndarray:
    if not callable(sample):
        raise TypeError(f"sample must be a function (rng, k) -> (k, d); got {sample!r}.")
    return validation.as_array(sample(rng, k), "sample(rng, k)", (k, d))


def _shallow(network: Any, method: str) -> Shallow:
    if not isinstance(network, Shallow):
        raise TypeError(f"{method} needs a networks.Shallow; got {type(network).__name__}.")
    return network
