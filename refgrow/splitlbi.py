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

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np

from refgrow import growth, optimizers, validation
from refgrow._jit import jit
from refgrow.networks import MLP, Shallow

STATIONARY, STEPS_TAKEN, DIVERGED, DENSE = 0, 1, 2, 3

_MESSAGES = {
    STATIONARY: "The gradient of the augmented loss is at most gtol.",
    STEPS_TAKEN: "All steps were taken.",
    DIVERGED: "The iterates are no longer finite; the last finite ones are kept. "
    "Use a smaller step.",
    DENSE: "The density of Gamma has reached the one asked for.",
}

FREE = -1  # the group of an entry that no group lists

Arrays = np.ndarray | list[np.ndarray]


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
        flattened array after array), which cover it exactly once.
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
    flat, shapes = _flat(V, "V")
    labels, count = _labels(groups, flat.size, gaps=False)
    lam = validation.as_scalar(lam, "lam", at_least=0)
    return _shaped(_prox(flat, labels, count, lam), shapes)


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
    groups : None or tuple of arrays
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
    groups: tuple[np.ndarray, ...] | None
    shapes: Any
    count: int
    _labels: np.ndarray  # the group of each entry; empty for the lasso
    _groups: int  # how many groups there are

    @property
    def W(self) -> Arrays:
        """The dense weights."""
        return _shaped(_view(self.parameters), self.shapes)

    @property
    def V(self) -> Arrays:
        """The dual variable."""
        return _shaped(_view(self.dual), self.shapes)

    @property
    def Gamma(self) -> Arrays:
        """The sparse weights, kappa prox(V); W where no group is."""
        return _shaped(_view(_gamma(self)), self.shapes)


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
    flat, shapes = _flat(W0, "W0")
    dual = np.zeros_like(flat)
    if V0 is not None:
        dual, given = _flat(V0, "V0")
        if given != shapes:
            raise ValueError(f"V0 must have the shape of W0, {shapes}; got {given}.")
    labels, count = _labels(groups, flat.size, gaps=True)
    return State(
        parameters=flat.copy(),
        dual=dual.copy(),
        velocity=np.zeros_like(flat),
        groups=None if groups is None else tuple(np.array(g, dtype=np.int64) for g in groups),
        shapes=shapes,
        count=0,
        _labels=labels,
        _groups=count,
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

    Raises
    ------
    ValueError, TypeError
        For a gradient that is not finite or does not fit W, and a step that is not positive.

    Source: SplitLBI eqs 4, 12, 14 (LBI-Eq-4, LBI-Eq-12, LBI-Eq-14). Eq 4a prints Gamma without its
    index; eq 16 shows that it is the old one.
    """
    flat = _flat_like(gradient, "gradient", state.shapes)
    alpha = state.step if step is None else validation.as_scalar(step, "step", above=0)
    new = replace(
        state,
        parameters=state.parameters.copy(),
        dual=state.dual.copy(),
        velocity=state.velocity.copy(),
        count=state.count + 1,
    )
    _advance_state(new, flat, alpha)
    return new


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
    return _edge(lipschitz, nu, 1.0) / kappa


def _edge(h: float, nu: float, t: float) -> float:
    """The smallest s at which s Hbar reaches 2 diag(t, 1), Hbar = [[h + b, -b], [-b, b]], b = 1/nu.

    The root of s^2 b h - s c + 2 t... written without cancellation: 4 t / (c + sqrt(c^2 - 4 t b h))
    with c = h + b + t b. t = 1 is the step without momentum.
    """
    b = 1 / nu
    c = h + b + t * b
    bottom = c + np.hypot(h + (1 - t) * b, 2 * np.sqrt(t) * b)
    return 4 * t / bottom if bottom > 0 else np.inf


def _proven(lipschitz: float, nu: float, kappa: float, momentum: float, decay: float) -> float:
    """`largest_step` with momentum and decay: see `splitlbi_theory.largest_momentum_step`."""
    t = 1 - momentum + decay * (3 * momentum - 1) / 2
    return _edge(lipschitz, nu, t) / kappa


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
        >= 1: record every so many steps; the first and the last state always.
    gtol : float, optional
        Stop when the gradient of the augmented loss, both its blocks, has norm at most gtol. How
        far an iterate moved says nothing: it may stand still for long, and move on.
    density : float, optional
        Stop at the first step at which Gamma has at least this share of nonzeros.

    Returns
    -------
    Run
        With status 2 and the last finite iterate where the run diverged.

    Warns
    -----
    UserWarning
        For a step that is not below the largest proven one, `largest_step` without momentum.

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
    steps = validation.as_integer(steps, "steps", at_least=0)
    every = validation.as_integer(every, "every", at_least=1)
    if gtol is not None:
        gtol = validation.as_scalar(gtol, "gtol", at_least=0)
    if density is not None:
        density = validation.as_scalar(density, "density", above=0, at_most=1)
    _warn_beyond(state.step, max(float(np.linalg.eigvalsh(S)[-1]), 0.0), state, 2)

    now = np.array([state.parameters, state.dual, state.velocity])
    records = np.empty((2, steps // every + 2, n))
    densities = np.empty(steps // every + 2)
    counts = np.empty(steps // every + 2, dtype=np.int64)
    changes = np.full((2, state._groups), -1, dtype=np.int64)
    settings = np.array(
        [-1.0 if gtol is None else gtol, 2.0 if density is None else density, *_numbers(state)]
    )
    with np.errstate(over="ignore", invalid="ignore"):
        taken, kept, status = _run(
            S, b, state._labels, settings, steps, every, now, records, densities, counts, changes
        )
    recorded = Path(
        steps=state.count + counts[:kept].copy(),
        W=records[0, :kept].copy(),
        Gamma=_gammas(state, records[0, :kept], records[1, :kept]),
        V=records[1, :kept].copy(),
        density=densities[:kept].copy(),
        first_entry=np.where(changes[0] < 0, -1, state.count + changes[0]),
        last_exit=np.where(changes[1] < 0, -1, state.count + changes[1]),
    )
    asked = gtol is not None or density is not None
    return Run(
        state=replace(
            state, parameters=now[0], dual=now[1], velocity=now[2], count=state.count + taken
        ),
        path=recorded,
        success=status in (STATIONARY, DENSE) or (status == STEPS_TAKEN and not asked),
        status=status,
        message=_MESSAGES[status],
        nit=taken,
    )


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
        For numbers out of range. Groups are checked when the training starts.

    Source: SplitLBI section 4, eqs 11 to 14 (LBI-Eq-11, LBI-Eq-12, LBI-Eq-14).
    """
    constants = _constants(1.0, nu, kappa, lam, momentum, decay)
    del constants["step"]
    if lipschitz is not None:
        lipschitz = validation.as_scalar(lipschitz, "lipschitz", at_least=0)
    shapes = None if like is None else _flat(like, "like")[1]
    warned: list[bool] = []

    def start(parameters: Any) -> State:
        state = init(parameters, step=1.0, groups=groups, **constants)
        if shapes is not None:
            if sum(map(_size, _listed(shapes))) != state.parameters.size:
                raise ValueError(
                    f"like must hold the {state.parameters.size} parameters that are trained; "
                    f"got shapes {shapes}."
                )
            state = replace(state, shapes=shapes)
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
        _advance_state(state, g, rate)
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


def groups_of(network: "Shallow | MLP", by: str = "weight") -> list[np.ndarray]:
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
    list of index arrays
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
    groups: list[np.ndarray] = []
    offset = 0
    for rows, columns in shapes:
        index = offset + np.arange(rows * columns).reshape(rows, columns)[:, : columns - bias]
        offset += rows * columns
        shape = {"weight": (-1, 1), "layer": (1, -1)}.get(by, index.shape)
        groups += list(np.ascontiguousarray(index.T if by == "input" else index.reshape(shape)))
    return groups


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
    listed = state._labels != FREE if len(state._labels) else np.ones(used.size, dtype=bool)
    return float(used[listed].mean())


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
    return _shaped(_used(state), state.shapes)


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
    return _shaped(np.where(_used(state), state.parameters, 0.0), state.shapes)


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
        states given only.

    Returns
    -------
    Path

    Raises
    ------
    ValueError, TypeError
        For no states, and states that do not belong together.

    Source: SplitLBI section 2 (LBI-box), Fig 1 (LBI-Fig-1).
    """
    if isinstance(states, State) or not isinstance(states, Sequence):
        raise TypeError(f"states must be a list of states; got {type(states).__name__}.")
    if not states:
        raise ValueError("states must hold at least one state; got none.")
    first = _as_state(states[0])
    for state in states:
        if not np.array_equal(_as_state(state)._labels, first._labels) or (
            state.parameters.size != first.parameters.size
        ):
            raise ValueError("states must be of one training; got different groups or sizes.")
    steps = np.array([state.count for state in states])
    active = np.array([_active(state) for state in states])
    ever, left = active.any(axis=0), active[:-1] & ~active[1:]
    last = len(left) - 1 - left[::-1].argmax(axis=0) if len(left) else np.zeros(ever.shape, int)
    return Path(
        steps=steps,
        W=np.array([state.parameters for state in states]),
        Gamma=np.array([_gamma(state) for state in states]),
        V=np.array([state.dual for state in states]),
        density=np.array([density(state) for state in states]),
        first_entry=np.where(ever, steps[active.argmax(axis=0)], -1),
        last_exit=np.where(left.any(axis=0), steps[(last + 1) % len(steps)], -1),
    )


# The loops ------------------------------------------------------------------------------------


def _keep_py(V, labels, lam, keep):
    # keep[g] = max(0, 1 - lam / |V_g|). The norm is summed at one place for all groups.
    keep[:] = 0.0
    for i in range(V.size):
        if labels[i] >= 0:
            keep[labels[i]] += V[i] * V[i]
    for g in range(keep.size):
        norm = np.sqrt(keep[g])
        keep[g] = 1.0 - lam / norm if norm > lam else 0.0


_keep = jit(_keep_py)


def _advance_py(g, labels, numbers, W, V, v, keep):
    # One step in place. In one pass: entry i of Gamma is read off V before V moves.
    alpha, nu, kappa, lam, momentum, decay = numbers
    lasso = labels.size == 0
    if not lasso:
        _keep(V, labels, lam, keep)
    rate, inverse = kappa * alpha, 1.0 / nu
    for i in range(W.size):
        pull = 0.0
        if lasso:
            # Gamma / kappa = V - clip(V, -lam, lam)
            pull = (W[i] - kappa * (V[i] - min(max(V[i], -lam), lam))) * inverse
        elif labels[i] >= 0:
            pull = (W[i] - kappa * keep[labels[i]] * V[i]) * inverse
        v[i] = momentum * v[i] + g[i] + pull
        W[i] -= rate * v[i] + decay * W[i]
        V[i] += alpha * pull


_advance = jit(_advance_py)


def _run_py(S, b, labels, settings, steps, every, now, records, densities, counts, changes):
    gtol, dense, nu = settings[0], settings[1], settings[3]
    kappa, lam = settings[4], settings[5]
    W, V, v = now
    n, groups = W.size, changes.shape[1]
    lasso = labels.size == 0
    listed = n
    if not lasso:
        listed = 0
        for i in range(n):
            if labels[i] >= 0:
                listed += 1
    g, keep, before = np.empty(n), np.empty(groups), now.copy()
    was = np.zeros(groups, dtype=np.int64)
    kept, k, status = 0, 0, STEPS_TAKEN
    while True:
        if lasso:
            for i in range(n):
                keep[i] = max(0.0, 1.0 - lam / abs(V[i])) if abs(V[i]) > lam else 0.0
        else:
            _keep(V, labels, lam, keep)
        used, slope = 0, 0.0
        for i in range(n):
            g[i] = -b[i]
            for j in range(n):
                g[i] += S[i, j] * W[j]
            pull = 0.0
            if lasso or labels[i] >= 0:
                share = keep[i] if lasso else keep[labels[i]]
                used += 1 if share > 0.0 and V[i] != 0.0 else 0
                pull = (W[i] - kappa * share * V[i]) / nu
            slope += (g[i] + pull) ** 2 + pull * pull
        for group in range(groups):
            if keep[group] > 0.0:
                if changes[0, group] < 0:
                    changes[0, group] = k
                was[group] = 1
            elif was[group] == 1:
                changes[1, group] = k
                was[group] = 0
        share = used / max(listed, 1)
        if gtol >= 0.0 and np.sqrt(slope) <= gtol:
            status = STATIONARY
        elif share >= dense:
            status = DENSE
        done = status != STEPS_TAKEN or k == steps
        if not done:
            before[:] = now
            _advance(g, labels, settings[2:], W, V, v, keep)
            finite = 0.0
            for i in range(n):
                finite += abs(W[i]) + abs(V[i]) + abs(v[i])
            if not finite < np.inf:
                now[:] = before
                status, done = DIVERGED, True
        if done or k % every == 0:
            state = now if done else before
            records[0, kept], records[1, kept] = state[0], state[1]
            densities[kept], counts[kept] = share, k
            kept += 1
        if done:
            return k, kept, status
        k += 1


_run = jit(_run_py)


# Shapes and groups ----------------------------------------------------------------------------


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


def _numbers(state: State) -> tuple[float, ...]:
    return (state.step, state.nu, state.kappa, state.lam, state.momentum, state.decay)


def _advance_state(state: State, gradient: np.ndarray, step: float) -> None:
    numbers = np.array([step, *_numbers(state)[1:]])
    keep = np.empty(state._groups if len(state._labels) else 0)
    with np.errstate(over="ignore", invalid="ignore"):
        _advance(
            gradient, state._labels, numbers, state.parameters, state.dual, state.velocity, keep
        )


def _prox(V: np.ndarray, labels: np.ndarray, groups: int, lam: float) -> np.ndarray:
    """Zero at free entries."""
    if not len(labels):
        return V - np.clip(V, -lam, lam)
    keep = np.empty(groups)
    _keep(V, labels, lam, keep)
    return np.where(labels == FREE, 0.0, keep[labels]) * V


def _gamma(state: State) -> np.ndarray:
    return _gammas(state, state.parameters[None], state.dual[None])[0]


def _gammas(state: State, W: np.ndarray, V: np.ndarray) -> np.ndarray:
    labels = state._labels
    sparse = np.array([state.kappa * _prox(row, labels, state._groups, state.lam) for row in V])
    return np.where(labels == FREE, W, sparse) if len(labels) else sparse


def _active(state: State) -> np.ndarray:
    """Which groups are nonzero."""
    if not len(state._labels):
        return np.abs(state.dual) > state.lam
    keep = np.empty(state._groups)
    _keep(state.dual, state._labels, state.lam, keep)
    return keep > 0


def _used(state: State) -> np.ndarray:
    """Which entries are nonzero in Gamma, or free."""
    if not len(state._labels):
        return _active(state)
    return (state._labels == FREE) | (_active(state)[state._labels] & (state.dual != 0))


def _labels(groups: Any, n: int, *, gaps: bool) -> tuple[np.ndarray, int]:
    """The group of each entry, and their number; no labels for the lasso."""
    if groups is None:
        return np.empty(0, dtype=np.int64), n
    if isinstance(groups, (str, dict)) or not isinstance(groups, (Sequence, np.ndarray)):
        raise TypeError(
            "groups must be None or a list of arrays of indices into the flattened weights; "
            f"got {type(groups).__name__}."
        )
    if not len(groups):
        raise ValueError("groups must hold at least one group; got none. Use None for the lasso.")
    sizes = np.array([_group_size(group, k) for k, group in enumerate(groups)])
    index = np.concatenate([np.asarray(group) for group in groups])
    number = np.repeat(np.arange(len(groups)), sizes)
    outside = np.flatnonzero((index < 0) | (index >= n))
    if len(outside):
        raise ValueError(
            f"groups must hold indices from 0 to {n - 1}; got {index[outside[0]]} in group "
            f"{number[outside[0]]}."
        )
    labels = np.full(n, FREE, dtype=np.int64)
    labels[index] = number
    twice = np.flatnonzero(np.bincount(index, minlength=n) > 1)
    if len(twice):
        where = number[index == twice[0]]
        raise ValueError(
            f"groups must not overlap; got index {twice[0]} in group {where[0]} and in group "
            f"{where[1]}."
        )
    missing = np.flatnonzero(labels == FREE)
    if len(missing) and not gaps:
        raise ValueError(
            f"groups must cover all {n} entries; got none with index {missing[0]}"
            + (f" and {len(missing) - 1} more." if len(missing) > 1 else ".")
        )
    return labels, len(groups)


def _group_size(group: Any, k: int) -> int:
    array = np.asarray(group)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            f"groups[{k}] must be a 1-D array of integer indices; got "
            + (f"dtype {array.dtype}." if array.ndim == 1 else f"shape {array.shape}.")
        )
    if not array.size:
        raise ValueError(f"groups[{k}] must not be empty.")
    return array.size


def _flat(value: Any, name: str) -> tuple[np.ndarray, Any]:
    """All entries in a row, and the shape, or the list of shapes."""
    if isinstance(value, (list, tuple)) and any(np.ndim(part) > 0 for part in value):
        parts = [validation.as_array(part, f"{name}[{k}]", None) for k, part in enumerate(value)]
        return np.concatenate([part.ravel() for part in parts]), [part.shape for part in parts]
    array = validation.as_array(value, name, None)
    return array.ravel(), array.shape


def _flat_like(value: Any, name: str, shapes: Any) -> np.ndarray:
    flat, given = _flat(value, name)
    if given != shapes:
        raise ValueError(f"{name} must have the shape of W, {shapes}; got {given}.")
    return flat


def _listed(shapes: Any) -> list[Any]:
    return shapes if isinstance(shapes, list) else [shapes]


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _shaped(flat: np.ndarray, shapes: Any) -> Arrays:
    if not isinstance(shapes, list):
        return flat.reshape(shapes)
    ends = np.cumsum([_size(shape) for shape in shapes])
    return [
        part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)
    ]


def _view(flat: np.ndarray) -> np.ndarray:
    view = flat.view()
    view.flags.writeable = False
    return view


def _as_state(state: Any) -> State:
    if not isinstance(state, State):
        raise TypeError(f"state must be a splitlbi.State from init; got {type(state).__name__}.")
    return state
