"""Training: `fit` until stationary or for a number of steps, `fit_and_grow` for the papers' loop.

    fit -> decide -> apply -> fit -> decide -> apply -> ... -> fit

`fit` is one loop for every network, loss and optimizer. The toy networks of S2D and S3D, which
spend their time in exp and in the overhead of calls, go through one compiled loop over the whole
phase instead (`toy_training.gaussian_descent`); a test holds the two to the same iterates.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from refgrow import growth, losses, networks, neurons, optimizers, toy_training, validation
from refgrow.networks import MLP, Network, Shallow
from refgrow.toy_training import DIVERGED, STATIONARY, STEPS_TAKEN

NOTHING_TO_GROW = 3

FIT_OPTIONS = ("optimizer", "learning_rate", "steps", "gtol", "batch_size", "train_weights")

_MESSAGES = {
    STATIONARY: "The norm of the gradient is at most gtol.",
    STEPS_TAKEN: "All steps were taken.",
    DIVERGED: "The loss or its gradient is no longer finite; the last finite parameters are kept. "
    "Use a smaller learning rate.",
}


@dataclass(frozen=True, eq=False)
class History:
    """What happened during training.

    Attributes
    ----------
    loss : (k,)
        The loss at every iterate of every phase, first and last included: a phase of s steps has
        s + 1 entries. With minibatches the entries before the last are of the batch then used.
    starts : tuple of int
        Where in `loss` each phase starts: one for `fit`, one more for every growth.
    widths : tuple of tuple of int
        The hidden widths in each phase.
    plans : tuple of growth.Plan
        The plans applied, between the phases.
    seconds : tuple of float
        Wall time of each phase and the decision after it.
    nit : int
        Steps taken, all phases together.
    fun : float
        The loss at the end.
    success : bool
        False when the run diverged or gtol was asked for and not reached. That nothing was left to
        grow is a success.
    status : int
        0 stationary, 1 all steps taken, 2 diverged, 3 nothing to grow.
    message : str
    """

    loss: np.ndarray
    starts: tuple[int, ...]
    widths: tuple[tuple[int, ...], ...]
    plans: tuple[growth.Plan, ...]
    seconds: tuple[float, ...]
    nit: int
    fun: float
    success: bool
    status: int
    message: str


def fit(
    network: Network,
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    optimizer: Any = "adam",
    learning_rate: float = 0.005,
    steps: int = 1000,
    gtol: float | None = None,
    batch_size: int | None = None,
    train_weights: bool = False,
    rng: Any = None,
) -> tuple[Network, History]:
    """Train a network of fixed shape: the parametric phase of growing.

    Parameters
    ----------
    network : Shallow or MLP
    X : (n, d_in)
    Y : (n, p), or labels (n,) for a class loss
    loss : str or losses.Loss
        ``squared``, ``logistic``, ``softmax_cross_entropy`` or ``exponential``.
    optimizer : str or (init, step)
        ``gd``, ``momentum``, ``adam``, ``adagrad``, or any pair like those in `optimizers`: the
        state that both return has the flat ``parameters``.
    learning_rate : float
        > 0.
    steps : int
        >= 0. Exactly this many steps are taken unless `gtol` is given.
    gtol : float, optional
        Stop at the first iterate whose gradient, over all trained parameters, has Euclidean norm at
        most gtol. Needs the full batch.
    batch_size : int, optional
        Samples a step, drawn in a new random order each epoch; all of them by default.
    train_weights : bool
        Whether a Shallow network's output weights are trained with its theta. An MLP trains
        everything.
    rng : None, int, SeedSequence or Generator
        For the minibatches.

    Returns
    -------
    network, History
        A run that diverges ends with status 2 and the last parameters at which loss and gradient
        were finite.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range and data that do not fit the network or the loss.

    Source: S2D, Algorithm 1 step 1.
    """
    X, Y, loss = networks.check(network, X, Y, loss)
    pair = optimizers.get(optimizer)
    learning_rate = validation.as_scalar(learning_rate, "learning_rate", above=0)
    steps = validation.as_integer(steps, "steps", at_least=0)
    if gtol is not None:
        gtol = validation.as_scalar(gtol, "gtol", at_least=0)
        if batch_size is not None:
            raise ValueError(
                "gtol needs the full batch: the gradient of a minibatch does not vanish at a "
                "stationary point. Leave out batch_size or gtol."
            )
    if batch_size is not None:
        batch_size = validation.as_integer(batch_size, "batch_size", at_least=1, at_most=len(X))
    train_weights = validation.as_bool(train_weights, "train_weights")
    rng = validation.as_rng(rng)

    began = time.perf_counter()
    trained = _trained(network, train_weights)
    start = np.concatenate([network.arrays[k].ravel() for k in trained])
    compiled = _compiled_form(network, X, loss, pair) if batch_size is None else None
    if compiled is not None:
        weights = None if train_weights else network.arrays[1].ravel()
        parameters, curve, status = _compiled_loop(
            compiled, start, weights, X, Y, learning_rate, steps, gtol
        )
    else:
        evaluate = _evaluation(network, X, Y, loss, trained)
        batches = _batches(len(X), batch_size, rng)
        parameters, curve, status = _loop(
            evaluate, batches, pair, start, learning_rate, steps, gtol
        )
    fitted = cast(Network, network.with_arrays(_arrays(network, trained, parameters)))
    return fitted, History(
        loss=curve,
        starts=(0,),
        widths=(network.widths,),
        plans=(),
        seconds=(time.perf_counter() - began,),
        nit=len(curve) - 1,
        fun=float(curve[-1]),
        success=status == STATIONARY or (status == STEPS_TAKEN and gtol is None),
        status=status,
        message=_MESSAGES[status],
    )


def fit_and_grow(
    network: Network,
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    decide: Callable[..., growth.Plan],
    growths: int = 1,
    rng: Any = None,
    **options: Any,
) -> tuple[Network, History]:
    """The papers' loop: train, decide, grow, and train again.

    Parameters
    ----------
    network, X, Y, loss
        As for `fit`.
    decide : callable
        ``decide(network, X, Y, loss) -> growth.Plan``, for instance `s2d.decide`; bind options with
        `functools.partial`. A plan without edits ends the run with status 3.
    growths : int
        >= 0: how often the network grows at most. The run ends with a phase of training.
    rng
        As for `fit`, drawn from through all phases.
    **options
        Passed on to `fit`: optimizer, learning_rate, steps, gtol, batch_size, train_weights.

    Returns
    -------
    network, History

    Raises
    ------
    ValueError, TypeError
        As `fit` and `growth.apply` do, and for a `decide` that returns anything but a plan.

    Source: S2D, Algorithm 1; S3D, Algorithm 1.
    """
    growths = validation.as_integer(growths, "growths", at_least=0)
    if not callable(decide):
        raise TypeError(f"decide must be a function such as s2d.decide; got {decide!r}.")
    unknown = sorted(options.keys() - FIT_OPTIONS)
    if unknown:
        raise TypeError(
            f"fit_and_grow passes {', '.join(FIT_OPTIONS)} on to fit; got {unknown[0]!r}. "
            "Options of decide are bound with functools.partial(decide, ...)."
        )
    rng = validation.as_rng(rng)
    phases: list[History] = []
    plans: list[growth.Plan] = []
    seconds: list[float] = []
    while True:
        began = time.perf_counter()
        network, phase = fit(network, X, Y, loss, rng=rng, **options)
        phases.append(phase)
        status, message = phase.status, phase.message
        grow = status != DIVERGED and len(plans) < growths
        if grow:
            plan = decide(network, X, Y, loss)
            if not isinstance(plan, growth.Plan):
                raise TypeError(f"decide must return a growth.Plan; got {type(plan).__name__}.")
            if plan.edits:
                network = growth.apply(network, plan)
                plans.append(plan)
            else:
                grow, status, message = False, NOTHING_TO_GROW, plan.message
        seconds.append(time.perf_counter() - began)
        if not grow:
            break
    lengths = [len(phase.loss) for phase in phases]
    return network, History(
        loss=np.concatenate([phase.loss for phase in phases]),
        starts=tuple(int(s) for s in np.cumsum([0, *lengths[:-1]])),
        widths=tuple(phase.widths[0] for phase in phases),
        plans=tuple(plans),
        seconds=tuple(seconds),
        nit=sum(phase.nit for phase in phases),
        fun=phases[-1].fun,
        success=all(phase.success for phase in phases),
        status=status,
        message=message,
    )


def _trained(network: "Shallow | MLP", train_weights: bool) -> list[int]:
    """Which of the network's arrays are trained."""
    if isinstance(network, Shallow) and not train_weights:
        return [0]
    return list(range(len(network.arrays)))


def _arrays(
    network: "Shallow | MLP", trained: Sequence[int], parameters: np.ndarray
) -> list[np.ndarray]:
    """The network's arrays, the trained ones as views into the flat parameters."""
    arrays = list(network.arrays)
    offset = 0
    for k in trained:
        arrays[k] = parameters[offset : offset + arrays[k].size].reshape(arrays[k].shape)
        offset += arrays[k].size
    return arrays


Outcome = tuple[np.ndarray, np.ndarray, int]  # parameters, loss by iterate, status
Evaluation = Callable[[np.ndarray, Any], tuple[float, np.ndarray]]


def _evaluation(
    network: "Shallow | MLP", X: np.ndarray, Y: np.ndarray, loss: losses.Loss, trained: list[int]
) -> Evaluation:
    """The loss on some rows, and its gradient, as a function of the flat parameters."""

    def evaluate(parameters: np.ndarray, rows: Any) -> tuple[float, np.ndarray]:
        arrays = _arrays(network, trained, parameters)
        trace = network._forward(X[rows], arrays)
        value = float(loss.samples(trace.output, Y[rows]).mean())
        G = loss.slope(trace.output, Y[rows]) / len(trace.output)
        gradients, _ = network._backward(trace, G, arrays)
        return value, np.concatenate([gradients[k].ravel() for k in trained])

    return evaluate


def _loop(
    evaluate: Evaluation,
    batches: Iterator[Any],
    optimizer: optimizers.Optimizer,
    start: np.ndarray,
    learning_rate: float,
    steps: int,
    gtol: float | None,
) -> Outcome:
    """Any network, loss and optimizer.

    A diverging run goes back to the last parameters at which all was finite, the loss on all rows
    included, or to the start.
    """
    state = optimizer.init(start)
    if getattr(getattr(state, "parameters", None), "shape", None) != start.shape:
        raise TypeError(
            f"optimizer: init must return a state with .parameters of shape {start.shape}; "
            f"got {type(state).__name__}."
        )
    finite = start.copy()
    curve: list[float] = []
    with np.errstate(over="ignore", invalid="ignore"):
        while True:
            last = len(curve) == steps
            rows = slice(None) if last else next(batches)
            value, gradient = evaluate(state.parameters, rows)
            if not all(np.isfinite(a).all() for a in (value, gradient, state.parameters)):
                _refuse_start(bool(curve))
                # A minibatch can look well where the whole does not.
                for parameters, taken in ((finite, len(curve)), (start, 1)):
                    whole, _ = evaluate(parameters, slice(None))
                    if np.isfinite(whole):
                        return parameters, np.array([*curve[: taken - 1], whole]), DIVERGED
                _refuse_start(False)
            curve.append(value)
            if gtol is not None and np.linalg.norm(gradient) <= gtol:
                return state.parameters, np.array(curve), STATIONARY
            if last:
                return state.parameters, np.array(curve), STEPS_TAKEN
            finite[:] = state.parameters
            state = optimizer.step(state, gradient, learning_rate)


def _batches(n: int, batch_size: int | None, rng: np.random.Generator) -> Iterator[Any]:
    """The rows of each step: all of them, or whole batches in a new random order each epoch."""
    while batch_size is None:
        yield slice(None)
    while True:
        order = rng.permutation(n)
        for start in range(0, n - batch_size + 1, batch_size):
            yield order[start : start + batch_size]


_GAUSSIAN_RIDGE = neurons.ridge("gaussian")


@dataclass(frozen=True)
class _CompiledForm:
    """What `toy_training.gaussian_descent` calls a network and an optimizer."""

    family: str
    bandwidth: float
    optimizer: str


def _compiled_form(
    network: "Shallow | MLP", X: np.ndarray, loss: losses.Loss, optimizer: optimizers.Optimizer
) -> _CompiledForm | None:
    """Gaussian neurons on the line with one output under the squared loss; None for all else.

    A ridge needs a column of ones after the inputs to lie anywhere on the line.
    """
    name = next((name for name, pair in optimizers.BY_NAME.items() if pair == optimizer), None)
    if not isinstance(network, Shallow) or network.weights.size != len(network.theta):
        return None
    if loss is not losses.squared or name is None:
        return None
    if X.shape[1] == 2 and network.neuron == _GAUSSIAN_RIDGE and (X[:, 1] == 1).all():
        return _CompiledForm("ridge", 1.0, name)
    if X.shape[1] != 1:
        return None
    if network.neuron is neurons.bump:
        return _CompiledForm("bump", 1.0, name)
    if isinstance(network.neuron, neurons.Particle):
        return _CompiledForm("particle", network.neuron.bandwidth, name)
    return None


def _compiled_loop(
    form: _CompiledForm,
    start: np.ndarray,
    weights: np.ndarray | None,
    X: np.ndarray,
    Y: np.ndarray,
    learning_rate: float,
    steps: int,
    gtol: float | None,
) -> Outcome:
    """A whole phase in one compiled loop."""
    problem = (start, weights, X[:, 0], Y[:, 0])
    family: Any = {"family": form.family, "bandwidth": form.bandwidth}
    descent = toy_training.gaussian_descent(
        *problem,
        **family,
        optimizer=form.optimizer,
        learning_rate=learning_rate,
        steps=steps,
        # The kernel takes zero for "never"; here it means a gradient of exactly zero.
        gtol=0.0 if gtol is None else max(gtol, np.finfo(float).smallest_subnormal),
    )
    if descent.status == DIVERGED and descent.count == 0:  # at the start, or after one step
        value, gradient = toy_training.gaussian_loss_and_gradient(*problem, **family)
        _refuse_start(bool(np.isfinite(value) and np.isfinite(gradient).all()))
    return descent.parameters, descent.losses, descent.status


def _refuse_start(finite: bool) -> None:
    if not finite:
        raise ValueError(
            "the loss or its gradient is not finite at the network to start from; "
            "rescale X, Y or the weights."
        )
