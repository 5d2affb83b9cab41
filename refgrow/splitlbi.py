"""SplitLBI: sparse networks from dense training, section by section with the paper.

The weights W are coupled to a sparse twin Gamma. W follows the gradient of the loss, as in gradient
descent; Gamma starts at zero, and a group of it becomes nonzero when W's pull at it, summed over
time, exceeds a threshold. So the sparse network is there early, beside the dense one that is still
being trained: the support of Gamma is a mask for W.

In the paper's order:

- section 2, eqs 1 to 5: `prox`, `State`, `init`, `step`; eqs 1 to 3 and their limits, the model
  selection, and appendix A are pure theory, in the companion module `splitlbi_theory`;
- section 3, Theorem 1: `largest_step`, and `run`, the iteration on a quadratic loss;
- section 4, eqs 11 to 14: `optimizer`, for `train.fit`, with momentum, weight decay, minibatches;
- what the path is used for: `path`, `density`, `mask`, `project`, `groups_of`, `support`.

One step, of size alpha (eqs 4, 12 and 14), with g the gradient of the loss at W:

    v     <- momentum v + g + (W - Gamma) / nu
    W'    =  W - kappa alpha v - decay W
    V     <- V + alpha (W - Gamma) / nu            with the old W and the old Gamma
    Gamma =  kappa prox(V)

Both updates start from the old iterate. Gamma is a function of V and no variable of its own: a
state is (W, V, v). Of lambda, kappa and alpha only two numbers matter, kappa alpha, the step of W,
and kappa lambda, the threshold of kappa V.

The paper's symbols: `step` is alpha, `lam` lambda, `momentum` tau, `decay` beta; what it calls
sparsity, the share of nonzeros, is `density`.

Source: Split LBI for Deep Learning: Structural Sparsity via Differential Inclusion Paths
(SplitLBI), submission to ICLR 2020.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np

from refgrow import growth, optimizers, sparse_steps, validation
from refgrow.networks import MLP, Shallow
from refgrow.sparse_steps import (
    DENSE,
    DIVERGED,
    FREE,
    STATIONARY,
    STEPS_TAKEN,
    Arrays,
    Partition,
    flatten,
    partition,
    shaped,
)

MOST_STEPS = 2**62  # what a loop can count

_MESSAGES = {
    STATIONARY: "The gradient of the augmented loss is at most gtol.",
    STEPS_TAKEN: "All steps were taken.",
    DIVERGED: "The iterates are no longer finite; the last finite ones are kept. "
    "Use a smaller step.",
    DENSE: "The density of Gamma has reached the one asked for.",
}


# Section 2: the iteration ---------------------------------------------------------------------


def prox(V: Any, groups: Any, lam: float) -> Arrays:
    """Which groups are large enough to be kept, and what is left of them: eq 5.

    The minimiser of |G - V|^2 / 2 + lam sum_g |G_g|_2. A group of norm at most lam becomes zero, of
    any other V_g (1 - lam / |V_g|) is left. There is no kappa in it: Gamma = kappa prox(V).

    Parameters
    ----------
    V : array, any shape, or a list of arrays
    groups : None or list of index arrays
        None: every entry by itself, the lasso. Otherwise groups of indices into V flattened (a list
        flattened array after array), which cover it exactly once. A 2-D array is a group a row.
    lam : float
        >= 0.

    Returns
    -------
    array or list of arrays
        Like V.

    Raises
    ------
    ValueError, TypeError
        For groups that overlap or leave a gap, and arguments that do not fit.

    Source: SplitLBI eq 5 (LBI-Eq-5). The closed form for groups is printed for lam = 1
    (LBI-Eq-5-group).
    """
    flat, shapes = flatten(V, "V")
    lam = validation.as_scalar(lam, "lam", at_least=0)
    return shaped(sparse_steps.shrunk(flat, partition(groups, flat.size, gaps=False), lam), shapes)


@dataclass(frozen=True, eq=False)
class State:
    """Where the iteration stands, and its constants.

    `init` makes one. W, V and Gamma come in the shape of the W0 given there, as read-only views.

    Attributes
    ----------
    parameters : (N,)
        W, flattened; arrays of a list one after the other.
    dual : (N,)
        V, which Gamma is a function of; unused at entries that no group lists.
    velocity : (N,)
        v of eq 12.
    step, nu, kappa, lam, momentum, decay : float
        alpha, nu, kappa, lambda, tau and beta.
    groups : None, tuple of arrays, or 2-D array
    shapes : tuple
        The shape of W, or a list of those of its arrays.
    count : int
        Steps taken.
    W, V, Gamma : array or list of arrays

    Source: SplitLBI eqs 4, 12, 14 (LBI-Eq-4).
    """

    parameters: np.ndarray
    dual: np.ndarray
    velocity: np.ndarray
    step: float
    nu: float
    kappa: float
    lam: float
    momentum: float
    decay: float
    groups: tuple[np.ndarray, ...] | np.ndarray | None
    shapes: Any
    count: int
    _partition: Partition

    @property
    def W(self) -> Arrays:
        """The dense weights."""
        return shaped(_view(self.parameters), self.shapes)

    @property
    def V(self) -> Arrays:
        """The dual variable."""
        return shaped(_view(self.dual), self.shapes)

    @property
    def Gamma(self) -> Arrays:
        """The sparse weights, kappa prox(V); W where no group is."""
        return shaped(_view(_gamma(self, self.parameters, self.dual)), self.shapes)


def init(
    W0: Any,
    *,
    step: float,
    nu: float = 10.0,
    kappa: float = 1.0,
    lam: float = 1.0,
    groups: Any = None,
    V0: Any = None,
    momentum: float = 0.0,
    decay: float = 0.0,
) -> State:
    """The start: W = W0, V = 0, so that Gamma = 0 and no neuron is chosen yet.

    Parameters
    ----------
    W0 : array, any shape, or a list of arrays
        Copied.
    step : float
        alpha > 0; W moves by kappa alpha times a gradient. `largest_step` is the proven bound.
    nu : float
        > 0. Large: a weak coupling, and a late entry. 10 is the paper's default for small images.
    kappa : float
        > 0. Large: a path with less bias at the same time, not at the same number of steps.
    lam : float
        >= 0.
    groups : None or list of index arrays
        As for `prox`, but entries may be left out: they are free. W follows plain gradient descent
        there, with the same momentum and decay, and Gamma is W. `groups_of` leaves biases out.
    V0 : like W0, optional
        Zero by default. Any start will do: Gamma_0 = kappa prox(V0) follows from it.
    momentum, decay : float
        In [0, 1). tau and beta of eqs 12 and 14.

    Returns
    -------
    State

    Raises
    ------
    ValueError, TypeError
        For numbers out of range, groups that overlap, a V0 that does not fit W0.

    Source: SplitLBI eq 4 (LBI-Eq-4).
    """
    flat, shapes = flatten(W0, "W0")
    dual = np.zeros_like(flat)
    if V0 is not None:
        dual, given = flatten(V0, "V0")
        if given != shapes:
            raise ValueError(f"V0 must have the shape of W0, {shapes}; got {given}.")
    labels = partition(groups, flat.size, gaps=True)
    return State(
        parameters=flat.copy(),
        dual=dual.copy(),
        velocity=np.zeros_like(flat),
        groups=_own(groups),
        shapes=shapes,
        count=0,
        _partition=labels,
        **_constants(step, nu, kappa, lam, momentum, decay),
    )


def step(state: State, gradient: Any, step: float | None = None) -> State:
    """One step of SplitLBI: the dense weights learn, and pull at their sparse twin.

    Both updates start from the old iterate; the module's docstring has the formulas. Summed over
    the steps they say, without momentum and decay, that W / kappa + V + alpha sum of the gradients
    of the loss stays what it was at the start.

    Parameters
    ----------
    state : State
        Left as it is.
    gradient : array or list of arrays like W
        Of the loss at `state.W`, without the coupling, which is added here.
    step : float, optional
        alpha of this step, for schedules; the state's own by default.

    Returns
    -------
    State
        With a step that is too large its numbers may overflow, step after step, and are then
        infinite or NaN without a warning; `run` stops before.

    Raises
    ------
    ValueError, TypeError
        For a gradient that is not finite or does not fit W, and a step that is not positive.

    Source: SplitLBI eqs 4, 12, 14 (LBI-Eq-4, LBI-Eq-12, LBI-Eq-14). Eq 4a prints Gamma without its
    index; eq 16 shows that it is the old one.
    """
    state = _as_state(state)
    flat, given = flatten(gradient, "gradient")
    if given != state.shapes:
        raise ValueError(f"gradient must have the shape of W, {state.shapes}; got {given}.")
    alpha = state.step if step is None else validation.as_scalar(step, "step", above=0)
    new = replace(snapshot(state), count=state.count + 1)
    _advance(new, flat, alpha)
    return new


def _advance(state: State, gradient: np.ndarray, alpha: float) -> None:
    numbers = np.array([alpha, *_numbers(state)[1:]])
    W, V, velocity = state.parameters, state.dual, state.velocity
    sparse_steps.advance(gradient, state._partition, numbers, W, V, velocity)


# Section 3: the step that is proven -----------------------------------------------------------


def largest_step(lipschitz: float, nu: float, kappa: float) -> float:
    """The step below which the sparse twin provably comes to rest on the dense weights.

    2 / (kappa Lambda), where Lambda = (h + 2/nu + sqrt(h^2 + 4/nu^2)) / 2 is the largest curvature
    that the augmented loss L(W) + |W - Gamma|^2 / (2 nu) can have when h is the largest of L. It is
    the supremum of the steps proven to converge, itself excluded, and sharp: for a quadratic loss
    whose Gamma is nonzero along the top eigenvector, every larger step diverges.

    Parameters
    ----------
    lipschitz : float
        >= 0. The Lipschitz constant of the gradient of the loss; an upper bound of its curvature
        is enough.
    nu : float
        > 0; infinity for no coupling.
    kappa : float
        > 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For numbers out of range.

    Source: SplitLBI Thm 1 (LBI-Thm-1), which prints 2 / (kappa (lipschitz + 1/nu)). That is larger,
    by up to a factor of two, and too large: the iteration can diverge below it. It is right where W
    is updated first and Gamma then from the new W.
    """
    lipschitz = validation.as_scalar(lipschitz, "lipschitz", at_least=0)
    if nu != np.inf:
        nu = validation.as_scalar(nu, "nu", above=0)
    kappa = validation.as_scalar(kappa, "kappa", above=0)
    return _edge(lipschitz, nu, 1.0, kappa)


def _edge(h: float, nu: float, t: float, kappa: float) -> float:
    """1 / kappa of the smallest s with 2 diag(t, 1) - s [[h + b, -b], [-b, b]] singular, b = 1/nu.

    The root of s^2 b h - s c + 2 t... written without cancellation: 4 t / (c + sqrt(c^2 - 4 t b h))
    with c = h + b + t b. t = 1 is the step without momentum.
    """
    # Powers of two are taken out, which changes no bit: h, 1 / nu and 1 / kappa may overflow.
    (h, up), (kappa, down) = math.frexp(h), math.frexp(kappa)
    b, less = (0.0, 0) if nu == np.inf else math.frexp(nu)
    if b:
        top = max(up, -less) if h else -less
        h, b = math.ldexp(h, up - top), math.ldexp(1 / b, -less - top)
    else:
        top = up
    c = h + b + t * b
    bottom = c + float(np.hypot(h + (1 - t) * b, 2 * np.sqrt(t) * b))
    if not bottom:
        return np.inf
    try:
        return math.ldexp(4 * t / bottom / kappa, -top - down)
    except OverflowError:
        return np.inf


def _proven(lipschitz: float, nu: float, kappa: float, momentum: float, decay: float) -> float:
    """`largest_step` with momentum and decay: see `splitlbi_theory.largest_momentum_step`."""
    t = 1 - momentum + decay * (3 * momentum - 1) / 2
    return _edge(lipschitz, nu, t, kappa)


def _warn_beyond(step: float, lipschitz: float, state: State, stacklevel: int) -> None:
    bound = _proven(lipschitz, state.nu, state.kappa, state.momentum, state.decay)
    if not step < bound:
        warnings.warn(
            f"step = {step:.6g} is not below {bound:.6g}, the largest one proven to converge for "
            f"lipschitz = {lipschitz:.6g}, nu = {state.nu:g}, kappa = {state.kappa:g}, "
            f"momentum = {state.momentum:g} and decay = {state.decay:g}; the run may diverge.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


@dataclass(frozen=True, eq=False)
class Path:
    """How the sparse twin grew.

    Attributes
    ----------
    steps : (k,)
        The counts of the recorded states.
    W, Gamma, V : (k, N)
        Flattened.
    density : (k,)
        The share of nonzeros of Gamma, among the entries that a group lists.
    first_entry : (groups,)
        The first step after which the group is nonzero, -1 for never.
    last_exit : (groups,)
        The last step after which it is zero again, -1 for never. Supports are not nested: a group
        may enter, leave and enter again.

    Source: SplitLBI section 2 (LBI-box).
    """

    steps: np.ndarray
    W: np.ndarray
    Gamma: np.ndarray
    V: np.ndarray
    density: np.ndarray
    first_entry: np.ndarray
    last_exit: np.ndarray

    def first_at(self, density: float) -> int | None:
        """Early stopping: the first record of at least this density, None where there is none."""
        density = validation.as_scalar(density, "density", at_least=0, at_most=1)
        reached = np.flatnonzero(self.density >= density)
        return int(reached[0]) if len(reached) else None


@dataclass(frozen=True, eq=False)
class Run:
    """The outcome of `run`.

    Attributes
    ----------
    state : State
        The last one; the last finite one of a run that diverged.
    path : Path
        Entries and exits count every step, whatever was recorded.
    success : bool
        False when the run diverged, or did not reach the gtol or the density asked for.
    status : int
        0 stationary, 1 all steps taken, 2 diverged, 3 dense enough.
    message : str
    nit : int
        Steps taken.

    Source: SplitLBI eq 4 (LBI-Eq-4).
    """

    state: State
    path: Path
    success: bool
    status: int
    message: str
    nit: int


def run(
    state: State,
    S: Any,
    b: Any,
    *,
    steps: int,
    every: int = 1,
    gtol: float | None = None,
    density: float | None = None,
    schedule: Any = None,
) -> Run:
    """The path on a quadratic loss, L(W) = W S W / 2 - b W: which weights enter, and when.

    One compiled loop. For least squares, |X W - y|^2 / (2 n), S is X^T X / n and b is X^T y / n.

    Parameters
    ----------
    state : State
        From `init`, or where another run ended.
    S : (N, N)
        Symmetric.
    b : (N,)
    steps : int
        >= 0: the most to take.
    every : int
        >= 1: record every so many steps; the first and the last state always. A record is twice as
        many numbers as there are weights: many steps of many weights need a large one.
    gtol : float, optional
        Stop when the gradient of the augmented loss, both its blocks, has norm at most gtol. How
        far an iterate moved says nothing: it may stand still for long, and move on.
    density : float, optional
        Stop at the first step at which Gamma has at least this share of nonzeros.
    schedule : (steps,), optional
        > 0: alpha of each step, as in `step`; the state's own by default.

    Returns
    -------
    Run
        With status 2 and the last finite iterate where the run diverged.

    Warns
    -----
    UserWarning
        For a step that is not below the largest proven one, `largest_step` without momentum; of a
        schedule, for its largest.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    Source: SplitLBI eq 4, Thm 1 (LBI-Eq-4, LBI-Thm-1).
    """
    state = _as_state(state)
    n = state.parameters.size
    S = validation.as_array(validation.as_symmetric(S, "S"), "S", (n, n))
    b = validation.as_array(b, "b", (n,))
    steps = validation.as_integer(steps, "steps", at_least=0, at_most=MOST_STEPS)
    every = validation.as_integer(every, "every", at_least=1)
    if gtol is not None:
        gtol = validation.as_scalar(gtol, "gtol", at_least=0)
    if density is not None:
        density = validation.as_scalar(density, "density", above=0, at_most=1)
    rates = _schedule(schedule, steps)
    largest = rates.max() if len(rates) else state.step
    _warn_beyond(largest, max(float(np.linalg.eigvalsh(S)[-1]), 0.0), state, 2)

    start = np.array([state.parameters, state.dual, state.velocity])
    found = sparse_steps.descend(
        S, b, state._partition, np.array(_numbers(state)), start, rates,
        steps=steps, every=every, gtol=gtol, density=density,
    )  # fmt: skip
    recorded = Path(
        steps=state.count + found.counts,
        W=found.W,
        Gamma=_gammas(state, found.W, found.V),
        V=found.V,
        density=found.density,
        first_entry=np.where(found.first_entry < 0, -1, state.count + found.first_entry),
        last_exit=np.where(found.last_exit < 0, -1, state.count + found.last_exit),
    )
    asked = gtol is not None or density is not None
    W, V, velocity = found.now
    count = state.count + found.taken
    return Run(
        state=replace(state, parameters=W, dual=V, velocity=velocity, count=count),
        path=recorded,
        success=found.status in (STATIONARY, DENSE) or (found.status == STEPS_TAKEN and not asked),
        status=found.status,
        message=_MESSAGES[found.status],
        nit=found.taken,
    )


def _schedule(schedule: Any, steps: int) -> np.ndarray:
    if schedule is None:
        return np.empty(0)
    rates = validation.as_array(schedule, "schedule", (steps,), hint="It has a size for each step.")
    if not (rates > 0).all():
        first = int(np.argmin(rates > 0))
        raise ValueError(f"schedule must be > 0; got {rates[first]} at index {first}.")
    return rates


# Section 4: training networks -----------------------------------------------------------------


def optimizer(
    *,
    nu: float = 10.0,
    kappa: float = 1.0,
    lam: float = 1.0,
    groups: Any = None,
    momentum: float = 0.0,
    decay: float = 0.0,
    like: Any = None,
    lipschitz: float | None = None,
    watch: Callable[[State], Any] | None = None,
) -> optimizers.Optimizer:
    """SplitLBI as an (init, step) pair: a network is trained, and its sparse twin with it.

    For ``train.fit(..., optimizer=splitlbi.optimizer(...), learning_rate=alpha)``, with minibatches
    or without (eq 11). The coupling is exact in every batch.

    Parameters
    ----------
    nu, kappa, lam, groups, momentum, decay : as for `init`
    like : list of arrays, optional
        What the states' W, V and Gamma should look like, for instance `network.arrays`; the flat
        vector that is trained by default.
    lipschitz : float, optional
        Of the gradient of the loss, where it is known: a step beyond the largest proven one warns,
        once.
    watch : callable, optional
        ``watch(state)`` is called with every new state, the first included: the only way to see V
        and Gamma, since `train.fit` returns the network alone. The state's arrays change in place;
        keep a `snapshot`.

    Returns
    -------
    optimizers.Optimizer

    Raises
    ------
    ValueError, TypeError
        For numbers out of range, and a `watch` that is no function. Groups are checked when the
        training starts.

    Source: SplitLBI section 4, eqs 11 to 14 (LBI-Eq-11, LBI-Eq-12, LBI-Eq-14).
    """
    constants = _constants(1.0, nu, kappa, lam, momentum, decay)
    del constants["step"]
    if lipschitz is not None:
        lipschitz = validation.as_scalar(lipschitz, "lipschitz", at_least=0)
    if watch is not None and not callable(watch):
        raise TypeError(f"watch must be a function (state); got {watch!r}.")
    template = None if like is None else flatten(like, "like")
    warned: list[bool] = []

    def start(parameters: Any) -> State:
        state = init(parameters, step=1.0, groups=groups, **constants)
        if template is not None:
            if template[0].size != state.parameters.size:
                raise ValueError(
                    f"like must hold the {state.parameters.size} parameters that are trained; "
                    f"got shapes {template[1]}."
                )
            state = replace(state, shapes=template[1])
        if watch is not None:
            watch(state)
        return state

    def advance(state: State, gradient: Any, learning_rate: float) -> State:
        g = validation.as_array(gradient, "gradient", state.parameters.shape)
        rate = validation.as_scalar(learning_rate, "learning_rate", above=0)
        if lipschitz is not None and not warned:
            _warn_beyond(rate, lipschitz, state, 2)
            warned.append(True)
        state = replace(state, step=rate, count=state.count + 1)
        _advance(state, g, rate)
        if watch is not None:
            watch(state)
        return state

    return optimizers.Optimizer(cast(Any, start), cast(Any, advance))


def snapshot(state: State) -> State:
    """A copy of a state that later steps do not reach.

    Parameters
    ----------
    state : State

    Returns
    -------
    State

    Raises
    ------
    TypeError
        For what is not a state.

    Source: SplitLBI section 4, whose masks are taken at early epochs (LBI-Fig-5).
    """
    state = _as_state(state)
    return replace(
        state,
        parameters=state.parameters.copy(),
        dual=state.dual.copy(),
        velocity=state.velocity.copy(),
    )


def groups_of(network: "Shallow | MLP", by: str = "weight") -> list[np.ndarray] | np.ndarray:
    """Which parameters live and die together: the usual partitions, without biases.

    Parameters
    ----------
    network : MLP or Shallow
        Of an MLP all matrices, of a Shallow network theta, as `train.fit` flattens them.
    by : str
        ``weight``: each by itself, the lasso. ``neuron``: what a neuron reads, a row of its matrix.
        ``input``: what reads one input or one hidden neuron, a column; a hidden neuron whose column
        is zero is not used. ``layer``: the whole matrix.

    Returns
    -------
    list of index arrays, or one array (groups, 1) by weight
        Into the flattened parameters, for `init` and `optimizer`.

    Raises
    ------
    ValueError, TypeError
        For an unknown partition, and what is not a network.

    Source: SplitLBI section 2 (LBI-Eq-5-group).
    """
    by = validation.one_of(by, "by", ("weight", "neuron", "input", "layer"))
    if isinstance(network, MLP):
        shapes, bias = [W.shape for W in network.arrays], 1
    elif isinstance(network, Shallow):
        shapes, bias = [network.theta.shape], 0
    else:
        raise TypeError(
            f"network must be a networks.MLP or networks.Shallow; got {type(network).__name__}."
        )
    parts = []
    offset = 0
    for rows, columns in shapes:
        index = offset + np.arange(rows * columns).reshape(rows, columns)[:, : columns - bias]
        offset += rows * columns
        shape = {"weight": (-1, 1), "layer": (1, -1)}.get(by, index.shape)
        parts.append(np.ascontiguousarray(index.T if by == "input" else index.reshape(shape)))
    if by == "weight":
        return np.concatenate(parts)
    return [group for part in parts for group in part]


def density(state: State) -> float:
    """The share of weights that the sparse twin uses: the paper's "sparsity".

    Parameters
    ----------
    state : State

    Returns
    -------
    float
        Nonzeros of Gamma over all entries that a group lists.

    Raises
    ------
    TypeError
        For what is not a state.

    Source: SplitLBI section 4 (LBI-Fig-4).
    """
    used = _used(_as_state(state))
    labels = state._partition.labels
    return float((used[labels != FREE] if len(labels) else used).mean())


def mask(state: State) -> Arrays:
    """Where Gamma is nonzero: the sparse network that training has found so far.

    Parameters
    ----------
    state : State

    Returns
    -------
    bool array or list of them
        In the shape of W. True at free entries.

    Raises
    ------
    TypeError
        For what is not a state.

    Source: SplitLBI section 4 (LBI-Fig-4, LBI-Fig-5).
    """
    state = _as_state(state)
    return shaped(_used(state), state.shapes)


def project(state: State) -> Arrays:
    """The dense weights on the support of their sparse twin: W where `mask` is, zero elsewhere.

    Parameters
    ----------
    state : State

    Returns
    -------
    array or list of arrays
        In the shape of W.

    Raises
    ------
    TypeError
        For what is not a state.

    Source: SplitLBI section 4 (LBI-Fig-4).
    """
    state = _as_state(state)
    return shaped(np.where(_used(state), state.parameters, 0.0), state.shapes)


def support(state: State) -> growth.Plan:
    """Which hidden neurons the sparse network does without: a plan that removes them.

    A neuron is not used when every weight that reads it is masked, or belongs to a neuron that is
    not used itself. The function of the network with the weights `project(state)` does not change.
    A neuron whose own inputs are masked is a constant, not nothing, and stays while it is read.

    Parameters
    ----------
    state : State
        Whose W is the list of an MLP's matrices (out, in + 1), the bias last.

    Returns
    -------
    growth.Plan
        Of Prune edits, of order 0, that change the loss of the projected network by zero. At least
        one neuron a layer stays.

    Raises
    ------
    ValueError, TypeError
        For a state whose W is not such a list.

    Source: SplitLBI section 4 (LBI-Fig-4).
    """
    state = _as_state(state)
    shapes = state.shapes if isinstance(state.shapes, list) else [None]
    if any(s is None or len(s) != 2 for s in shapes) or any(
        later[1] != earlier[0] + 1 for earlier, later in pairwise(shapes)
    ):
        raise ValueError(
            "the state's W must be the list of an MLP's matrices, each with a column for every row "
            f"of the one before and the bias last; got shapes {state.shapes}. "
            "Use init(network.arrays, ...) or optimizer(like=network.arrays, ...)."
        )
    reads = [W != 0 for W in project(state)]
    edits: list[growth.Edit] = []
    needed = np.ones(len(reads[-1]), dtype=bool)
    for layer in range(len(reads) - 2, -1, -1):
        needed = reads[layer + 1][needed, :-1].any(axis=0)
        unused = np.flatnonzero(~needed)
        if len(unused) == len(needed):  # Nothing is read, but a layer keeps a neuron.
            unused = unused[1:]
        if len(unused):
            edits.insert(0, growth.Prune(layer, tuple(int(j) for j in unused)))
    widths = [len(R) for R in reads[:-1]]
    removed = sum(len(edit.neurons) for edit in edits if isinstance(edit, growth.Prune))
    return growth.Plan(
        tuple(edits), 1.0, 0.0, 0, 1, f"{removed} of {sum(widths)} hidden neurons are not used."
    )


def path(states: Any) -> Path:
    """Which groups entered, and when, from states kept during training.

    Parameters
    ----------
    states : sequence of State
        Of one training, in its order; `snapshot` keeps one. Entries and exits are known to the
        states given only. The step may change on the way.

    Returns
    -------
    Path

    Raises
    ------
    ValueError, TypeError
        For no states, and states that do not belong together or are out of order.

    Source: SplitLBI section 2 (LBI-box), Fig 1 (LBI-Fig-1).
    """
    if isinstance(states, State) or not isinstance(states, Sequence):
        raise TypeError(f"states must be a list of states; got {type(states).__name__}.")
    if not states:
        raise ValueError("states must hold at least one state; got none.")
    steps = _counts_of_one_training(states)
    active = np.array([_active(state) for state in states])
    ever, left = active.any(axis=0), active[:-1] & ~active[1:]
    last = len(left) - 1 - left[::-1].argmax(axis=0) if len(left) else np.zeros(ever.shape, int)
    return Path(
        steps=steps,
        W=np.array([state.parameters for state in states]),
        Gamma=np.array([_gamma(state, state.parameters, state.dual) for state in states]),
        V=np.array([state.dual for state in states]),
        density=np.array([density(state) for state in states]),
        first_entry=np.where(ever, steps[active.argmax(axis=0)], -1),
        last_exit=np.where(left.any(axis=0), steps[(last + 1) % len(steps)], -1),
    )


def _counts_of_one_training(states: Sequence[State]) -> np.ndarray:
    first = _as_state(states[0])
    for state in states:
        labels = _as_state(state)._partition.labels
        if not np.array_equal(labels, first._partition.labels) or (
            state.parameters.size != first.parameters.size
        ):
            raise ValueError("states must be of one training; got different groups or sizes.")
        if _numbers(state)[1:] != _numbers(first)[1:]:
            raise ValueError(
                "states must be of one training; got different nu, kappa, lam, momentum or decay."
            )
    steps = np.array([state.count for state in states])
    if (np.diff(steps) <= 0).any():
        k = int(np.argmax(np.diff(steps) <= 0))
        raise ValueError(
            f"states must be in the order of their training; got one of step {steps[k + 1]} after "
            f"one of step {steps[k]}. `snapshot` keeps a state whose arrays do not change."
        )
    return steps


# Shared -----------------------------------------------------------------------------------------


def _constants(
    step: Any, nu: Any, kappa: Any, lam: Any, momentum: Any, decay: Any
) -> dict[str, float]:
    return {
        "step": validation.as_scalar(step, "step", above=0),
        "nu": validation.as_scalar(nu, "nu", above=0),
        "kappa": validation.as_scalar(kappa, "kappa", above=0),
        "lam": validation.as_scalar(lam, "lam", at_least=0),
        "momentum": validation.as_scalar(momentum, "momentum", at_least=0, below=1),
        "decay": validation.as_scalar(decay, "decay", at_least=0, below=1),
    }


def _own(groups: Any) -> tuple[np.ndarray, ...] | np.ndarray | None:
    """The groups in memory of their own: an array of groups in the rows stays one."""
    if groups is None:
        return None
    if isinstance(groups, np.ndarray) and groups.ndim == 2:
        return np.array(groups, dtype=np.int64)
    return tuple(np.array(group, dtype=np.int64) for group in groups)


def _numbers(state: State) -> tuple[float, ...]:
    return (state.step, state.nu, state.kappa, state.lam, state.momentum, state.decay)


def _gamma(state: State, W: np.ndarray, V: np.ndarray) -> np.ndarray:
    labels = state._partition.labels
    sparse = state.kappa * sparse_steps.shrunk(V, state._partition, state.lam)
    return np.where(labels == FREE, W, sparse) if len(labels) else sparse


def _gammas(state: State, W: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Gamma of many iterates, a row each."""
    if state._partition.single:
        return _gamma(state, W, V)
    return np.array([_gamma(state, *rows) for rows in zip(W, V, strict=True)])


def _used(state: State) -> np.ndarray:
    return sparse_steps.used(state.dual, state._partition, state.lam)


def _active(state: State) -> np.ndarray:
    """Which groups are nonzero."""
    if not len(state._partition.labels):
        return _used(state)
    return sparse_steps.kept(state.dual, state._partition, state.lam) > 0


def _view(flat: np.ndarray) -> np.ndarray:
    view = flat.view()
    view.flags.writeable = False
    return view


def _as_state(state: Any) -> State:
    if not isinstance(state, State):
        raise TypeError(f"state must be a splitlbi.State from init; got {type(state).__name__}.")
    return state
