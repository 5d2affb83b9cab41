"""Training: `fit` until stationary or for a number of steps, `fit_and_grow` for the papers' loop.

    fit -> decide -> apply -> fit -> decide -> apply -> ... -> fit

`fit_epochs` is `fit` with a learning rate by epoch and a look at the network after each of them.

Both are one loop for every network, loss and optimizer. The toy networks of S2D and S3D, which
spend their time in exp and in the overhead of calls, go through one compiled loop over the whole
phase instead (`toy_training.gaussian_descent`); a test holds the two to the same iterates.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import numpy as np

from refgrow import growth, losses, networks, neurons, optimizers, toy_training, validation
from refgrow.networks import MLP, Network, Shallow
from refgrow.toy_training import DIVERGED, STATIONARY, STEPS_TAKEN

NOTHING_TO_GROW, STOPPED = 3, 4

FIT_OPTIONS = ("optimizer", "learning_rate", "gtol", "batch_size", "train_weights")

Watch = Callable[[int, Any, float], Any]

_MESSAGES = {
    STATIONARY: "The norm of the gradient is at most gtol.",
    STEPS_TAKEN: "All steps were taken.",
    STOPPED: "`watch` returned True.",
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
        Wall time of each phase and the decision after it, without what `watch` took.
    nit : int
        Steps taken, all phases together.
    fun : float
        The loss at the end.
    success : bool
        False when the run diverged or gtol was asked for and not reached. That nothing was left to
        grow is a success.
    status : int
        0 stationary, 1 all steps taken, 2 diverged, 3 nothing to grow, 4 stopped by `watch`.
    message : str
    deciding : tuple of float
        The part of `seconds` that went into deciding and growing after each phase, 0 where nothing
        was decided.
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
    deciding: tuple[float, ...] = (0.0,)


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
    watch: Watch | None = None,
    watch_every: int = 100,
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
    watch : callable, optional
        ``watch(step, network, seconds)`` is called at the start, after every `watch_every` steps
        and at the end, unless the run has diverged, with the present network and the wall time of
        the steps so far; what it does itself is not counted. A watched phase does not go through
        the compiled loop.
    watch_every : int
        >= 1.
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
    _check_watch(watch, "watch must be a function (step, network, seconds)")
    watch_every = validation.as_integer(watch_every, "watch_every", at_least=1)
    rng = validation.as_rng(rng)

    began = time.perf_counter()
    trained = _trained(network, train_weights)
    start = np.concatenate([network.arrays[k].ravel() for k in trained])
    plain = batch_size is None and watch is None
    compiled = _compiled_form(network, X, loss, pair) if plain else None
    if compiled is not None:
        weights = None if train_weights else network.arrays[1].ravel()
        parameters, curve, status = _compiled_loop(
            compiled, start, weights, X, Y, learning_rate, steps, gtol
        )
    else:
        objective = _Objective(network, X, Y, loss, trained, batch_size)
        descent = _Descent(objective, pair, start)
        batches = _batches(len(X), batch_size, rng)
        if watch is None:
            descent.take(islice(batches, steps), learning_rate, gtol)
        else:

            def look(step: int, seconds: float) -> None:
                arrays = _arrays(network, trained, descent.state.parameters)
                watch(step, network.with_arrays(arrays), seconds)

            lengths = _chunks(steps, watch_every)
            began += _take_and_look(descent, batches, lengths, learning_rate, gtol, look)
        parameters, curve, status = descent.finish(gtol)
    return _result(network, trained, parameters, curve, status, began, gtol is not None)


def fit_epochs(
    network: Network,
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    optimizer: Any = "momentum",
    learning_rate: "float | Callable[[int], float]" = 0.05,
    epochs: int,
    batch_size: int | None = 128,
    watch: Callable[[int, Any, Any], Any] | None = None,
    train_weights: bool = False,
    rng: Any = None,
) -> tuple[Network, History]:
    """Train a network of fixed shape by passes over the data: what is pruned while it learns.

    An epoch is ``n // batch_size`` steps on whole batches in a new random order; the samples of the
    incomplete one are left out, others in every epoch. With a constant learning rate the iterates
    are those of `fit` with as many steps.

    Parameters
    ----------
    network : Shallow or MLP
    X : (n, d_in)
    Y : (n, p), or labels (n,) for a class loss
    loss : str or losses.Loss
    optimizer : str or (init, step)
        As for `fit`. Its state lasts for all epochs.
    learning_rate : float or callable
        > 0, or a function of the epoch, counted from 0: ``lambda epoch: 0.1 * 0.5 ** epoch``.
    epochs : int
        >= 0.
    batch_size : int, optional
        At most n; None for all samples, one step an epoch.
    watch : callable, optional
        ``watch(epoch, network, state)`` is called after every epoch, counted from 1, with the
        present network, which is the caller's to keep, and the optimizer's state, whose arrays
        later steps change in place. Where it returns True the run ends, with status 4: early
        stopping, for instance at ``splitlbi.density(state) >= 0.1``.
    train_weights : bool
        As for `fit`.
    rng : None, int, SeedSequence or Generator
        For the minibatches.

    Returns
    -------
    network, History
        The loss is that of the batch before each step, and at the end that of all samples. A run
        that diverges ends with status 2, and `watch` is not called again.

    Raises
    ------
    ValueError, TypeError
        As `fit` does, and for a learning rate of an epoch that is not positive.

    Source: SplitLBI section 4, eq 11 (LBI-Eq-11).
    """
    X, Y, loss = networks.check(network, X, Y, loss)
    pair = optimizers.get(optimizer)
    if not callable(learning_rate):
        learning_rate = validation.as_scalar(learning_rate, "learning_rate", above=0)
    epochs = validation.as_integer(epochs, "epochs", at_least=0)
    if batch_size is not None:
        batch_size = validation.as_integer(batch_size, "batch_size", at_least=1, at_most=len(X))
    _check_watch(watch, "watch must be a function (epoch, network, state)")
    train_weights = validation.as_bool(train_weights, "train_weights")
    rng = validation.as_rng(rng)

    began = time.perf_counter()
    trained = _trained(network, train_weights)
    start = np.concatenate([network.arrays[k].ravel() for k in trained])
    descent = _Descent(_Objective(network, X, Y, loss, trained, batch_size), pair, start)
    batches = _batches(len(X), batch_size, rng)
    steps, stopped = 1 if batch_size is None else len(X) // batch_size, False
    for epoch in range(epochs):
        rate = learning_rate
        if callable(rate):
            rate = validation.as_scalar(rate(epoch), f"learning_rate({epoch})", above=0)
        descent.take(islice(batches, steps), rate)
        parameters = descent.state.parameters
        if descent.status == DIVERGED or not _all_finite(parameters):
            break
        if watch is not None:
            present = network.with_arrays(_arrays(network, trained, parameters))
            answer = watch(epoch + 1, present, descent.state)
            # What a function happens to return is no wish to stop.
            stopped = isinstance(answer, (bool, np.bool_)) and bool(answer)
        if stopped:
            break
    parameters, curve, status = descent.finish()
    if stopped and status == STEPS_TAKEN:
        status = STOPPED
    return _result(network, trained, parameters, curve, status, began, False)


def fit_and_grow(
    network: Network,
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    decide: Callable[..., growth.Plan],
    growths: int = 1,
    steps: "int | Callable[[int], int]" = 1000,
    watch: Watch | None = None,
    watch_every: int = 100,
    rng: Any = None,
    **options: Any,
) -> tuple[Network, History]:
    """The papers' loop: train, decide, grow, and train again.

    The optimizer starts anew in every phase: what it remembers of the old weights does not fit the
    new ones.

    Parameters
    ----------
    network, X, Y, loss
        As for `fit`.
    decide : callable
        ``decide(network, X, Y, loss) -> growth.Plan``, for instance `s2d.decide`; bind options with
        `functools.partial`. A plan without edits ends the run with status 3. It is given all
        samples; to estimate from a part of them, draw it there::

            def decide(network, X, Y, loss):
                rows = rng.choice(len(X), 100, replace=False)
                return s2d.decide(network, X[rows], Y[rows], loss)

    growths : int
        >= 0: how often the network grows at most. The run ends with a phase of training.
    steps : int or callable
        As for `fit`, or a function of the phase, counted from 0, of which there is one more than
        growths: ``lambda phase: 1000 if phase == growths else 50``. A phase of no steps lets one
        growth follow another.
    watch, watch_every
        As for `fit`, with the steps of all phases so far and the seconds of all steps, decisions
        and growths. Where a phase starts, the network has just grown: the same step, more seconds.
    rng
        As for `fit`, drawn from through all phases.
    **options
        Passed on to `fit`: optimizer, learning_rate, gtol, batch_size, train_weights.

    Returns
    -------
    network, History

    Raises
    ------
    ValueError, TypeError
        As `fit` and `growth.apply` do, for a `decide` that returns anything but a plan, and for
        `steps` that returns no number of steps, at the phase where it does.

    Source: S2D, Algorithm 1; S3D, Algorithm 1; TINY section 4.
    """
    growths = validation.as_integer(growths, "growths", at_least=0)
    watch_every = validation.as_integer(watch_every, "watch_every", at_least=1)
    if not callable(decide):
        raise TypeError(f"decide must be a function such as s2d.decide; got {decide!r}.")
    unknown = sorted(options.keys() - FIT_OPTIONS)
    if unknown:
        raise TypeError(
            f"fit_and_grow passes {', '.join(FIT_OPTIONS)} on to fit; got {unknown[0]!r}. "
            "Options of decide are bound with functools.partial(decide, ...)."
        )
    _check_watch(watch, "watch must be a function (step, network, seconds)")
    clock = _Clock(watch)
    options |= {"rng": validation.as_rng(rng), "watch_every": watch_every}
    options["watch"] = None if watch is None else clock.look
    phases: list[History] = []
    plans: list[growth.Plan] = []
    deciding: list[float] = []
    while True:
        number: Any = steps
        if callable(steps):
            name = f"steps({len(phases)})"
            number = validation.as_integer(steps(len(phases)), name, at_least=0)
        network, phase = fit(network, X, Y, loss, steps=number, **options)
        began = time.perf_counter()
        phases.append(phase)
        status, message = phase.status, phase.message
        grow = decided = status != DIVERGED and len(plans) < growths
        if grow:
            plan = _decided(decide, network, X, Y, loss)
            if plan.edits:
                network = growth.apply(network, plan)
                plans.append(plan)
            else:
                grow, status, message = False, NOTHING_TO_GROW, plan.message
        deciding.append(time.perf_counter() - began if decided else 0.0)
        clock.next_phase(phase.nit, deciding[-1])
        if not grow:
            break
    lengths = [len(phase.loss) for phase in phases]
    return network, History(
        loss=np.concatenate([phase.loss for phase in phases]),
        starts=tuple(int(s) for s in np.cumsum([0, *lengths[:-1]])),
        widths=tuple(phase.widths[0] for phase in phases),
        plans=tuple(plans),
        seconds=tuple(p.seconds[0] + s for p, s in zip(phases, deciding, strict=True)),
        nit=sum(phase.nit for phase in phases),
        fun=phases[-1].fun,
        success=all(phase.success for phase in phases),
        status=status,
        message=message,
        deciding=tuple(deciding),
    )


def _decided(decide: Callable[..., Any], *problem: Any) -> growth.Plan:
    plan = decide(*problem)
    if not isinstance(plan, growth.Plan):
        raise TypeError(f"decide must return a growth.Plan; got {type(plan).__name__}.")
    return plan


def _check_watch(watch: Any, wanted: str) -> None:
    if watch is not None and not callable(watch):
        raise TypeError(f"{wanted}; got {watch!r}.")


class _Clock:
    """Counts steps and seconds through the phases of `fit_and_grow`, for its `watch`."""

    def __init__(self, watch: Watch | None) -> None:
        self._watch = watch
        self._steps, self._seconds, self._phase = 0, 0.0, 0.0

    def look(self, step: int, network: Any, seconds: float) -> None:
        self._phase = seconds
        if self._watch is not None:
            self._watch(self._steps + step, network, self._seconds + seconds)

    def next_phase(self, steps: int, deciding: float) -> None:
        self._steps += steps
        self._seconds += self._phase + deciding
        self._phase = 0.0


def _chunks(steps: int, every: int) -> list[int]:
    return [min(every, steps - k) for k in range(0, steps, every)]


def _take_and_look(
    descent: "_Descent",
    batches: Iterator[Any],
    lengths: Sequence[int],
    learning_rate: float,
    gtol: float | None,
    look: Callable[[int, float], None],
) -> float:
    """The steps in chunks, with a look before them and after each: the seconds spent looking."""
    began, stepping, looked = time.perf_counter(), 0.0, 0
    look(0, 0.0)
    for length in lengths:
        started = time.perf_counter()
        descent.take(islice(batches, length), learning_rate, gtol)
        stepping += time.perf_counter() - started
        if descent.status == DIVERGED or not _all_finite(descent.state.parameters):
            break
        if descent.taken > looked:  # Not where it found itself stationary at once.
            looked = descent.taken
            look(looked, stepping)
        if descent.status != STEPS_TAKEN:
            break
    return time.perf_counter() - began - stepping


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


class _Objective:
    """The loss and its gradient as functions of the flat parameters."""

    def __init__(
        self,
        network: "Shallow | MLP",
        X: np.ndarray,
        Y: np.ndarray,
        loss: losses.Loss,
        trained: list[int],
        batch_size: int | None,
    ) -> None:
        self._network, self._trained = network, trained
        self._X, self._Y, self._loss = X, Y, loss
        self.batched = batch_size is not None

    def on(self, parameters: np.ndarray, rows: Any) -> tuple[float, np.ndarray]:
        """The mean loss of some rows, and its gradient in an array of its own."""
        arrays, Y = _arrays(self._network, self._trained, parameters), self._Y[rows]
        trace = self._network._forward(self._X[rows], arrays)
        value = float(self._loss.samples(trace.output, Y).mean())
        G = self._loss.slope(trace.output, Y) / len(trace.output)
        gradients, _ = self._network._backward(trace, G, arrays)
        return value, np.concatenate([gradients[k].ravel() for k in self._trained])

    def whole(self, parameters: np.ndarray) -> float:
        """The mean loss of all rows, in blocks where the loss is known to take batches."""
        arrays, n = _arrays(self._network, self._trained, parameters), len(self._X)
        size = networks.BLOCK if self.batched else n
        total = 0.0
        for rows in (slice(k, k + size) for k in range(0, n, size)):
            output = self._network._forward(self._X[rows], arrays).output
            total += float(self._loss.samples(output, self._Y[rows]).sum())
        return total / n


class _Descent:
    """A descent on its way, for any network, loss and optimizer: `fit` and `fit_epochs`.

    A diverging run goes back to the last parameters at which all was finite, the loss on all rows
    included, or to the start.
    """

    def __init__(
        self, objective: _Objective, optimizer: optimizers.Optimizer, start: np.ndarray
    ) -> None:
        self.state = optimizer.init(start)
        self.status = STEPS_TAKEN
        self._objective, self._step = objective, optimizer.step
        self._start, self._finite = start, start.copy()
        self._curve: list[float] = []
        if getattr(getattr(self.state, "parameters", None), "shape", None) != start.shape:
            raise TypeError(
                f"optimizer: init must return a state with .parameters of shape {start.shape}; "
                f"got {type(self.state).__name__}."
            )

    @property
    def taken(self) -> int:
        """Steps so far: a stationary run has recorded the iterate at which it stopped."""
        return len(self._curve) - (self.status == STATIONARY)

    def take(self, batches: Iterator[Any], rate: float, gtol: float | None = None) -> None:
        """One step a batch, unless the run diverges or is stationary."""
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in batches:
                parameters = self.state.parameters
                value, gradient = self._objective.on(parameters, rows)
                self._record(value, gradient, gtol)
                if self.status != STEPS_TAKEN:
                    return
                self._finite[:] = parameters
                self.state = self._step(self.state, gradient, rate)

    def finish(self, gtol: float | None = None) -> Outcome:
        """Where the run ended, with the loss on all rows."""
        parameters, objective = self.state.parameters, self._objective
        with np.errstate(over="ignore", invalid="ignore"):
            if self.status == STEPS_TAKEN:
                if objective.batched:
                    self._record(objective.whole(parameters), parameters, None)
                else:
                    self._record(*objective.on(parameters, slice(None)), gtol)
            if self.status == DIVERGED:
                return self._last_finite()
        return parameters, np.array(self._curve), self.status

    def _record(self, value: float, gradient: np.ndarray, gtol: float | None) -> None:
        parameters = self.state.parameters
        if not (np.isfinite(value) and _all_finite(gradient) and _all_finite(parameters)):
            _refuse_start(bool(self._curve))
            self.status = DIVERGED
            return
        self._curve.append(value)
        if gtol is not None and np.linalg.norm(gradient) <= gtol:
            self.status = STATIONARY

    def _last_finite(self) -> Outcome:
        # A minibatch can look well where the whole does not.
        for parameters, taken in ((self._finite, len(self._curve)), (self._start, 1)):
            value = self._objective.whole(parameters)
            if np.isfinite(value):
                return parameters, np.array([*self._curve[: taken - 1], value]), DIVERGED
        raise _not_finite()


def _all_finite(array: np.ndarray) -> bool:
    # The sum is finite when every entry is: one pass without a temporary, the usual case.
    return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def _result(
    network: Network,
    trained: list[int],
    parameters: np.ndarray,
    curve: np.ndarray,
    status: int,
    began: float,
    until_stationary: bool,
) -> tuple[Network, History]:
    fitted = cast(Network, network.with_arrays(_arrays(network, trained, parameters)))
    return fitted, History(
        loss=curve,
        starts=(0,),
        widths=(network.widths,),
        plans=(),
        seconds=(time.perf_counter() - began,),
        nit=len(curve) - 1,
        fun=float(curve[-1]),
        success=status in (STATIONARY, STOPPED) or (status == STEPS_TAKEN and not until_stationary),
        status=status,
        message=_MESSAGES[status],
    )


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
        raise _not_finite()


def _not_finite() -> ValueError:
    return ValueError(
        "the loss or its gradient is not finite at the network to start from; "
        "rescale X, Y or the weights."
    )
