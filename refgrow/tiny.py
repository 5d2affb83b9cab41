"""TINY: expressivity bottlenecks, and the neurons that remove them, from first derivatives alone.

Back-propagation says how every pre-activation of a layer should change at every sample: the desired
update V, minus the gradient. A change of the layer's own weights reaches of it what lies in the
span of the layer's input B. The rest is a lack of expressivity. A new neuron in the layer before
starts from small weights and is linear there, so it adds one direction of what the layer before
that offers, B_prev: the best k neurons are a regression of the rest on B_prev, cut to rank k.

Rows are samples, the paper's columns: B (n, q) with its column of ones where the layer has a bias,
V (n, p). The paper's learning rate eta only scales V and is 1 here; its S^(1/2) is any square root,
here the Cholesky factor.

Everything rests on one regression (`least_squares`), which needs about the time of one product
B^T B and is as exact as a decomposition of B itself. `Moments` are for more batches than fit into
memory, at half the digits.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np

from refgrow import _chain, growth, kernels, least_squares, losses, networks, validation
from refgrow.networks import MLP, Shallow

EPS = least_squares.EPS
HALVINGS = 40  # of a line search
DOUBLINGS = 14  # where the loss falls for ever, as on separable classes, there is no minimum
NARROWINGS = 6  # of the bracket of a line search: the minimum to a hundredth of the size
ROUNDINGS = 64  # by which a loss must be lower to be lower
ROUNDED = 4  # of a rest V - B U, in roundings of its terms
EXPLAINED = 1e-10  # the share of B_prev's norm down to which B is taken to explain a column
FAINTEST = 1e-290  # sums of squares below have lost digits
GROSS = 1e-2  # by which moments may contradict each other, relative to the larger
EXPLAINED_MOMENTS = 1e-10  # the same for its square, which is all that moments know


# Section 3.1: the best move without new neurons -----------------------------------------------


def desired_updates(
    network: "MLP | Shallow", X: Any, Y: Any, loss: "str | losses.Loss"
) -> tuple[np.ndarray, ...]:
    """How every layer's pre-activations should change at every sample: minus the gradient.

    V_l = -d loss_i / d a_l(x_i), per sample and not divided by n; the paper's eta is 1. If the
    pre-activations followed, a -> a + t V_l, the mean loss would change by -t mean |V_l|^2.

    Parameters
    ----------
    network : MLP, or Shallow with ridge neurons
    X, Y, loss : as for `networks.check`

    Returns
    -------
    tuple of (n, p_l)
        One a layer, the last one for the output. At a kink the derivative is the one from the left.

    Raises
    ------
    ValueError, TypeError
        For what does not fit, neurons without pre-activations, and where a derivative overflows.

    Source: TINY eq 1 (TINY-Eq-1), section 2.3.
    """
    return _chain.activity(network, X, Y, loss).goals


def best_update(B: Any, V: Any, *, cutoff: float | None = None) -> np.ndarray:
    """The change of a layer's own weights that comes closest to the desired update.

    U = argmin |V - B U^T|, the one of least norm where there are several: a standard gradient
    V^T B times the pseudo-inverse of B^T B, but not computed by way of it.

    Parameters
    ----------
    B : (n, q)
        The layer's input, a column of ones included where it has a bias.
    V : (n, p)
        Its desired update.
    cutoff : float, optional
        Below 1: directions of B whose singular value is at most this part of the largest are left
        alone. The move is then no larger than |V| over the cut, and no longer the best.

    Returns
    -------
    (p, q)
        Of the shape of the layer's matrix. B @ U.T is the projection of V on the columns of B.

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, and a result that overflows.

    Source: TINY Prop 3.1, eq 3 (TINY-Prop-3.1).
    """
    B, V = _checked(B, V, "B")
    cutoff = _checked_cutoff(cutoff)
    return np.ascontiguousarray(least_squares.regress(B, V, relative=cutoff).weights.T)


# Section 3.2: the best neurons ----------------------------------------------------------------


class Neurons(NamedTuple):
    """New neurons, linear around zero: they change what reads them by B_prev fan_in^T fan_out^T.

    Attributes
    ----------
    fan_in : (k, q)
        strengths[i] times the paper's alpha_i, without which (5) is not solved.
    fan_out : (p, k)
        The paper's omega_i: orthonormal columns, the first non-negligible entry positive.
    strengths : (k,)
        The paper's lambda_i, falling: neuron i closes strengths[i]**2 of the mean of |V|^2.

    Source: TINY Prop 3.2 (TINY-Prop-3.2-weights).
    """

    fan_in: np.ndarray
    fan_out: np.ndarray
    strengths: np.ndarray


def best_neurons(B_prev: Any, V: Any, k: int, *, cutoff: float | None = None) -> Neurons:
    """The k neurons that best make up for what the layer they feed cannot do by itself.

    The rank-k matrix A that minimises |V - B_prev A|, as A = fan_in^T fan_out^T: the projection of
    V on the columns of B_prev, cut to its k largest singular values; strengths are these over
    sqrt(n). For the paper's order of things V is the rest that `best_update` leaves.

    Parameters
    ----------
    B_prev : (n, q)
        What new neurons read: the input of the layer that grows, its column of ones included.
    V : (n, p)
        Desired update of the layer that will read them.
    k : int
        1 <= k <= p. Beyond the rank, neurons are zero with strength 0.
    cutoff : float, optional
        As for `best_update`, of B_prev: a bound on the fan-ins.

    Returns
    -------
    Neurons
        (fan_in, fan_out, strengths). Where B_prev has dependent columns, fan_in has least norm.
        Strengths are exact to about the rounding times the condition number of B_prev, as those of
        a singular value decomposition are.

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, k out of range, and a result that overflows.

    Source: TINY eq 5, Prop 3.2 (TINY-Prop-3.2-weights, TINY-Prop-3.2-gain, TINY-Prop-3.2-K). The
    print forgets the factor lambda_k in alpha_k or omega_k. For relu, selu and other activations
    with a kink at zero see `decide`.
    """
    B_prev, V = _checked(B_prev, V, "B_prev")
    k = validation.as_integer(k, "k", at_least=1, at_most=V.shape[1])
    return _neurons(least_squares.regress(B_prev, V, relative=_checked_cutoff(cutoff)), k)


def best_neurons_from_moments(
    S: Any, N: Any, k: int, *, cutoff: float | None = None
) -> Neurons:  # fmt: skip
    """The best neurons, from second moments that may have been summed over many batches.

    Moments hold half the digits of the activations: strengths carry an error of the order of the
    rounding times the square of the condition number, and directions of B_prev shorter than 1e-6 of
    a column are not seen. `best_neurons` has neither fault.

    Parameters
    ----------
    S : (q, q)
        B_prev^T B_prev / n.
    N : (q, p)
        B_prev^T V / n.
    k : int
        1 <= k <= p.
    cutoff : float, optional
        As for `best_neurons`; moments tell no singular values below 1e-6 of the largest.

    Returns
    -------
    Neurons

    Raises
    ------
    ValueError, TypeError
        For an S that is not symmetric, moments that cannot be any activations', arrays that do not
        fit each other, k out of range.

    Source: TINY Prop 3.2 (TINY-Prop-3.2-weights), appendix B.3 for semi-definite S (TINY-B.3).
    """
    S = validation.as_symmetric(S, "S")
    if S.ndim != 2:
        raise ValueError(f"S must be one matrix of shape (q, q); got shape {S.shape}.")
    N = validation.as_array(N, "N", (len(S), "p"), hint="S and N have one row an input.")
    k = validation.as_integer(k, "k", at_least=1, at_most=N.shape[1])
    cutoff = _checked_cutoff(cutoff)
    regression = least_squares.regress_moments(S, N)
    norms = np.sqrt(np.maximum(S.diagonal(), 0.0))
    off = np.abs(N - S @ regression.weights) / np.where(norms, norms, 1.0)[:, None]
    own = np.abs(N) / np.where(norms, norms, 1.0)[:, None]
    if (S.diagonal() < 0).any() or off.max() > GROSS * own.max():
        raise ValueError(
            "S and N must be moments of the same activations: S positive semi-definite, N in the "
            f"span of its columns. N is off by {off.max() / (own.max() or 1):.2g} of its size."
        )
    return _neurons(regression if cutoff is None else _from_moments(S, N, cutoff), k)


def joint_neurons(
    B: Any, B_prev: Any, V: Any, k: int, *, cutoff: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Old and new weights together: the optimum of (4), which one after the other is not.

    min |V - B U^T - B_prev fan_in^T fan_out^T|. The old weights take back all of the new neurons'
    effect that they can express, so only the part of B_prev orthogonal to B counts: `best_neurons`
    on that part, and then the best update for what is left of V.

    Parameters
    ----------
    B : (n, q)
        Input of the layer that reads the new neurons.
    B_prev : (n, q_prev)
        What the new neurons read.
    V : (n, p)
    k : int
        1 <= k <= p.
    cutoff : float, optional
        As for `best_update`, of B; of what B leaves of B_prev, relative to B_prev.

    Returns
    -------
    update : (p, q)
    fan_in : (k, q_prev)
    fan_out : (p, k)
    strengths : (k,)
        The mean of |rest|^2 is lower by strengths[i]**2 than with the best update alone. They are
        at least those of one after the other.

    Raises
    ------
    ValueError, TypeError
        As `best_neurons` does.

    Source: TINY eq 4 and its first corollary (TINY-Cor-1).
    """
    B, V = _checked(B, V, "B")
    B_prev = validation.as_array(B_prev, "B_prev", (len(V), "q"), hint="One row a sample.")
    k = validation.as_integer(k, "k", at_least=1, at_most=V.shape[1])
    p = V.shape[1]
    cutoff = _checked_cutoff(cutoff)
    # What B explains is relative to each column; a cutoff, to B_prev as it is.
    scale = _norms(B_prev)
    if cutoff is not None:
        scale = np.full_like(scale, scale.max())
    scale[scale == 0] = 1.0
    A = B_prev / scale
    rest = np.column_stack([V, A])
    rest -= B @ least_squares.regress(B, rest, relative=cutoff).weights
    own = np.ascontiguousarray(rest[:, p:])
    own[:, np.linalg.norm(own, axis=0) <= EXPLAINED * np.linalg.norm(A, axis=0)] = 0.0
    least, none = EXPLAINED * float(np.linalg.norm(A)), None
    if cutoff is not None:
        least, none = max(least, cutoff * least_squares.largest(A)), 0.0
    neurons = _neurons(least_squares.regress(own, rest[:, :p], least, relative=none), k)
    left = V - (A @ neurons.fan_in.T) @ neurons.fan_out.T
    update = least_squares.regress(B, left, relative=cutoff).weights.T
    with np.errstate(over="ignore"):
        fan_in = neurons.fan_in / scale
    networks.refuse_overflow([fan_in], "the best neurons' fan-in")
    return np.ascontiguousarray(update), fan_in, neurons.fan_out, neurons.strengths


def best_neurons_by_lobpcg(
    B_prev: Any, V: Any, k: int, *, tol: float = 1e-8, maxiter: int = 200
) -> Neurons:
    """The best neurons where B_prev has so many columns that B_prev^T B_prev is not to be formed.

    The generalised eigenproblem N N^T alpha = lambda^2 S alpha by SciPy's LOBPCG, which only
    multiplies by B_prev and its transpose; omega = N^T alpha / lambda.

    Parameters
    ----------
    B_prev, V, k : as for `best_neurons`
        B_prev of full column rank, apart from columns of zeros; so at least as many samples as
        columns. More than 5 k columns.
    tol : float
        > 0: the residual of an eigenpair, relative to the largest eigenvalue.
    maxiter : int
        >= 1.

    Returns
    -------
    Neurons
        Less exact than `best_neurons`: strengths to about tol, directions to its square root.

    Raises
    ------
    ValueError, TypeError
        As `best_neurons` does, for too few columns, fewer samples than columns, where SciPy breaks
        down, as it may on dependent columns, and where the tolerance is not reached. Dependent
        columns on which it does not break down share their weights in one of many ways.

    Source: TINY Prop 3.3 (TINY-Prop-3.3), with omega = N^T alpha where it prints N alpha.
    """
    import warnings

    from scipy.sparse.linalg import LinearOperator, lobpcg

    B_prev, V = _checked(B_prev, V, "B_prev")
    k = validation.as_integer(k, "k", at_least=1, at_most=V.shape[1])
    tol = validation.as_scalar(tol, "tol", above=0)
    maxiter = validation.as_integer(maxiter, "maxiter", at_least=1)
    n, norms = len(V), _norms(B_prev) / np.sqrt(len(V))
    live, unit = np.flatnonzero(norms), float(np.abs(V).max()) or 1.0
    if len(live) <= 5 * k:
        raise ValueError(
            f"LOBPCG needs more than 5 k = {5 * k} columns that are not zero; B_prev has "
            f"{len(live)}. Use best_neurons."
        )
    if n < len(live):
        raise ValueError(
            f"LOBPCG needs at least as many samples as columns that are not zero, or the second "
            f"moment is singular; got {n} and {len(live)}. Use best_neurons."
        )
    # Columns of norm one: the cheapest preconditioner.
    A = np.ascontiguousarray(B_prev[:, live]) / norms[live]
    N = A.T @ (V / unit) / n
    moment = LinearOperator((len(live),) * 2, matvec=lambda v: A.T @ (A @ v) / n,
                            matmat=lambda v: A.T @ (A @ v) / n, dtype=float)  # fmt: skip
    target = LinearOperator((len(live),) * 2, matvec=lambda v: N @ (N.T @ v),
                            matmat=lambda v: N @ (N.T @ v), dtype=float)  # fmt: skip
    start = np.linalg.svd(N, full_matrices=False)[0][:, :k]
    largest = float(np.linalg.norm(N, 2)) or 1.0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # What it warns of shows in the residuals.
            _, alpha, residuals = lobpcg(
                target, start, B=moment, tol=tol * largest**2, maxiter=maxiter, largest=True,
                retResidualNormsHistory=True,
            )  # fmt: skip
        apart = np.abs(alpha.T @ moment.matmat(alpha) - np.eye(k)).max()
    except (ValueError, np.linalg.LinAlgError) as error:
        raise ValueError(
            "LOBPCG broke down, as it does where columns of B_prev are dependent or nearly so. "
            "Use best_neurons."
        ) from error
    if not (residuals[-1].max() <= 10 * tol * largest**2 and apart <= np.sqrt(tol)):
        raise ValueError(
            f"LOBPCG did not reach tol = {tol:g} in {maxiter} steps; the largest residual is "
            f"{residuals[-1].max() / largest**2:.2g}. Raise maxiter or tol, or use best_neurons."
        )
    weights = np.zeros((B_prev.shape[1], V.shape[1]))
    weights[live] = (alpha @ (alpha.T @ N)) * unit / norms[live, None]
    rounding = max(*B_prev.shape, V.shape[1]) * EPS * np.sqrt(_mean_square(V / unit))
    noise = max(tol * largest, rounding)
    return _neurons(least_squares.Regression(weights, alpha.T @ N * unit, k, noise * unit), k)


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over samples of products of (B_prev, B, V): batches add up, whatever their sizes.

    All that the best update, the best neurons and what they leave need, in memory that does not
    grow with n, and in one pass: the moments of what the best update leaves follow from these.

    Attributes
    ----------
    n : int
    previous : (q', q')
        Sum of B_prev^T B_prev.
    cross : (q', q)
        Of B_prev^T B.
    own : (q, q)
        Of B^T B.
    previous_goal : (q', p)
        Of B_prev^T V.
    goal : (q, p)
        Of B^T V.
    desired : (p, p)
        Of V^T V.

    Source: TINY section 3.2, S and N (TINY-Prop-3.2-weights); appendix C, estimation batches.
    """

    n: int
    previous: np.ndarray
    cross: np.ndarray
    own: np.ndarray
    previous_goal: np.ndarray
    goal: np.ndarray
    desired: np.ndarray

    def __add__(self, other: "Moments") -> Self:
        if not isinstance(other, Moments):
            return NotImplemented
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        if any(np.shape(a) != np.shape(b) for a, b in pairs):
            raise ValueError("moments of different layers do not add up: their shapes differ.")
        with np.errstate(over="ignore"):
            total = [a + b for a, b in pairs]
        networks.refuse_overflow(total, "the sum of the moments")
        return type(self)(*total)

    def __radd__(self, other: Any) -> Self:
        """For `sum`, which starts from 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def best_update(self, *, cutoff: float | None = None) -> np.ndarray:
        """As `best_update`: (p, q)."""
        S, N = self.own / self.n, self.goal / self.n
        return np.ascontiguousarray(_from_moments(S, N, _checked_cutoff(cutoff)).weights.T)

    def lack(self, *, cutoff: float | None = None) -> float:
        """The mean of |V - B U^T|^2 that the best update U leaves, up to half the digits."""
        explained = np.vdot(self.best_update(cutoff=cutoff).T, self.goal)
        return max(float(self.desired.trace() - explained), 0.0) / self.n

    def best_neurons(self, k: int, *, cutoff: float | None = None) -> Neurons:
        """The best k neurons for what the best update leaves, as `best_neurons`.

        A cutoff is for both, as in `decide`.
        """
        N = (self.previous_goal - self.cross @ self.best_update(cutoff=cutoff).T) / self.n
        k = validation.as_integer(k, "k", at_least=1, at_most=len(self.desired))
        return _neurons(_from_moments(self.previous / self.n, N, _checked_cutoff(cutoff)), k)

    def joint_neurons(
        self, k: int, *, cutoff: float | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As `joint_neurons`: update, fan_in, fan_out, strengths."""
        k = validation.as_integer(k, "k", at_least=1, at_most=len(self.desired))
        cutoff = _checked_cutoff(cutoff)
        own, n = self.own / self.n, self.n
        explained = _from_moments(own, self.cross.T / n, cutoff).weights
        S = self.previous / n - self.cross @ explained / n
        least = EXPLAINED_MOMENTS * self.previous.diagonal() / n
        dead = S.diagonal() <= least
        S = (S + S.T) / 2
        S[dead], S[:, dead] = 0.0, 0.0
        N = self.previous_goal / n - explained.T @ self.goal / n
        N[dead] = 0.0
        # A cutoff is relative to B_prev, not to what B leaves of it.
        neurons = _neurons(_from_moments(S, N, cutoff, self.previous / n), k)
        left = self.goal / n - (self.cross.T / n) @ neurons.fan_in.T @ neurons.fan_out.T
        update = _from_moments(own, left, cutoff).weights.T
        return np.ascontiguousarray(update), *neurons


def moments(B_prev: Any, B: Any, V: Any) -> Moments:
    """The sums that one batch adds to the statistics of a layer's growth.

    Parameters
    ----------
    B_prev : (n, q')
        What new neurons read.
    B : (n, q)
        Input of the layer that will read them.
    V : (n, p)
        Its desired update.

    Returns
    -------
    Moments

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, and moments that overflow, or vanish though B_prev or
        B do not.

    Source: TINY section 3.2, S and N (TINY-Prop-3.2-weights).
    """
    B, V = _checked(B, V, "B")
    A = validation.as_array(B_prev, "B_prev", (len(B), "q"), hint="One row a sample.")
    with np.errstate(over="ignore", invalid="ignore"):
        sums = A.T @ A, A.T @ B, B.T @ B, A.T @ V, B.T @ V, V.T @ V
    networks.refuse_overflow(sums, "a second moment")
    for name, given, S in (("B_prev", A, sums[0]), ("B", B, sums[2])):
        if given.any() and S.trace() < FAINTEST:
            raise ValueError(f"the squares of {name} are too small to be summed. Rescale it.")
    return Moments(len(B), *sums)


# Section 2.3 and Definition 3.1: where the bottleneck is ----------------------------------------


class Bottleneck(NamedTuple):
    """What a layer's desired update asks for, in units of the mean over samples of |V|^2.

    Attributes
    ----------
    desired : float
        The mean of |V|^2.
    reachable : float
        Its part that the layer's own weights can follow.
    lack : float
        desired - reachable, the paper's lack of expressivity over n.
    by_neurons : float
        The part of `lack` that neurons added to the layer before would remove, the old weights
        readjusted: the joint gain of as many as there are outputs, without a cutoff. 0 for the
        first layer, which no neurons feed. ``decide(layer="bottleneck")`` ranks by the gain of its
        own options, which in the paper's order is no larger.

    Source: TINY Def 3.1, eq 2 (TINY-Def-3.1), restricted to one layer's weights as in section 3.1.
    """

    desired: float
    reachable: float
    lack: float
    by_neurons: float


def bottlenecks(
    network: "MLP | Shallow", X: Any, Y: Any, loss: "str | losses.Loss"
) -> tuple[Bottleneck, ...]:
    """Which layers cannot follow the gradient, and what new neurons would do about it.

    Parameters
    ----------
    network : MLP, or Shallow with ridge neurons
    X, Y, loss : as for `networks.check`

    Returns
    -------
    tuple of Bottleneck
        One a layer, the output last. Divide by `desired` to compare layers.

    Raises
    ------
    ValueError, TypeError
        As `desired_updates` does.

    Source: TINY Def 3.1 (TINY-Def-3.1), section 3.2.
    """
    _, inputs, _, goals, _ = _chain.activity(network, X, Y, loss)
    found = []
    for layer, (B, V) in enumerate(zip(inputs, goals, strict=True)):
        desired = _mean_square(V)
        lack = float(np.linalg.norm(V - B @ least_squares.regress(B, V).weights) ** 2) / len(V)
        gain = 0.0
        if layer > 0:
            gain = float((joint_neurons(B, inputs[layer - 1], V, V.shape[1])[3] ** 2).sum())
        found.append(Bottleneck(desired, desired - lack, lack, min(gain, lack)))
    return tuple(found)


# Sections 3.2 and 3.3: deciding ----------------------------------------------------------------


def decide(
    network: "MLP | Shallow",
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    layer: "int | str" = "all",
    most: int | None = None,
    threshold: float = 0.0,
    old_weights: str = "sequential",
    size: float = 0.01,
    line_search: bool = False,
    cutoff: float | None = None,
) -> growth.Plan:
    """The K-update: the neurons to add, and the move of the old weights that goes with them.

    The plan's coefficient is the derivative of the mean loss along all that the plan does,
    propagated forward through the network; the sum of strengths[k]**2 that the paper prints is its
    value only where nothing else moves (`old_weights="fixed"`) and the activation is smooth at
    zero. Fan-ins are divided by the slope there, the mean of both sides at a kink, so that at size
    1 the linear parts are the best fit to the desired update. A kink adds |fan_in . b| to a neuron,
    whose sign turns with the neuron's: each gets the sign that lowers the loss.

    Parameters
    ----------
    network : MLP, or Shallow with ridge neurons that are zero at zero
    X, Y, loss : as for `networks.check`
    layer : int, "all" or "bottleneck"
        The hidden layer that grows; every one; or the one whose new neurons promise most: the
        largest sum of strengths[k]**2 of those that `old_weights`, `most` and `cutoff` let in.
        That of `bottlenecks`, whose `by_neurons` is the joint gain of all, can be another one.
    most : int, optional
        k >= 1, the most neurons for one layer: as many as the rank by default.
    threshold : float
        >= 0: neuron k is added when strengths[k]**2 is above it. (The paper's tau over the loss;
        it multiplies by the loss, which asks for more the better the fit.)
    old_weights : "sequential", "joint" or "fixed"
        Move the weights of the layer that reads the new neurons by their best update, and find the
        neurons for the rest, as the paper does; find both together (`joint_neurons`); or leave them
        and find neurons for all of the desired update.
    size : float
        gamma > 0. The decrease is promised for small sizes, and what is small depends on the unit
        of the targets: see the warning.
    line_search : bool
        Choose the size, and with "sequential" first an amplitude of its own for the move, by
        `amplitude`; `size` is where the search starts. A neuron's sign at a kink is then the better
        one at the moved weights. The plan lowers the loss at its size; its coefficient, still the
        slope at zero, can be positive where the neurons help only once the old weights have moved.
        Where the neurons lower it at no size, the plan is the move alone, or has no edits.
    cutoff : float, optional
        Ours; the paper has none. As for `best_update` and `best_neurons`. Neurons of late growths
        are small, and exact solutions read them with weights of the inverse size: right as long as
        nothing below moves, which the next steps of training do, by far more than such a neuron's
        fan-in. 0.01 keeps a loop of growth stable.

    Returns
    -------
    growth.Plan
        Order 1, remainder 2, for sizes > 0. Without edits when no neuron's gain is above the
        threshold, or nothing lowers the loss, which is a result and not an error.

    Raises
    ------
    ValueError, TypeError
        For options out of range, activations that are flat at zero, Shallow networks whose neurons
        are not zero at zero, and as `desired_updates` does.

    Warning
    -------
    Not free of units. Fan-outs have length one and strengths are in the fan-ins, as in the paper.
    With targets and output weights 100 times as large, under the squared loss, the last hidden
    layer gets the same fan-outs and 100 times the fan-ins. Neurons of relu add 100 times as much;
    others saturate (one of tanh adds at most one to what reads it), and a line search, which scales
    fan-ins, is no help. Further down the desired update and the fan-ins are 10 000 times as large;
    there it is, up to 16 384 times `size`. Bring targets to size one before training.

    Source: TINY Props 3.1 and 3.2, eqs 4 to 7 (TINY-Prop-3.2-loss, TINY-Eq-dev, TINY-Eq-6,
    TINY-keep). Signs, sigma'(0) and cross terms differ from the print: see the errata.
    """
    old_weights = validation.one_of(old_weights, "old_weights", ("sequential", "joint", "fixed"))
    most = None if most is None else validation.as_integer(most, "most", at_least=1)
    threshold = validation.as_scalar(threshold, "threshold", at_least=0)
    size = validation.as_scalar(size, "size", above=0)
    line_search = validation.as_bool(line_search, "line_search")
    cutoff = _checked_cutoff(cutoff)
    activity = _chain.activity(network, X, Y, loss)
    chosen = _layers(layer, len(activity.inputs) - 1)
    slopes = _chain.slopes_at_zero(network, activity.activation)
    options = most, threshold, old_weights, cutoff
    grown = [_extension(activity, at, slopes, *options) for at in chosen]
    if layer == "bottleneck" and grown:
        grown = [max(grown, key=lambda extension: extension[0])]
    moves = [edit for _, edits in grown for edit in edits if isinstance(edit, growth.Move)]
    adds = [edit for _, edits in grown for edit in edits if isinstance(edit, growth.Add)]
    if not adds:
        return growth.Plan((), size, 0.0, 1, 2, _no_gain(activity, chosen))
    if line_search:
        X, Y, loss = networks.check(network, X, Y, loss)
        value, first = partial(_mean_loss, loss, Y), 0.0
        if old_weights == "sequential":
            first = _amplitude(activity, value, moves, [], None, size)
            if first > 0 and slopes[1] != slopes[2]:
                moved = growth.apply(network, growth.Plan(tuple(moves), first, 0.0, 1, 2))
                there = _chain.activity(moved, X, Y, loss)
                adds = [_turned(there, add.layer, add.fan_in, add.fan_out, slopes) for add in adds]
        together = None if old_weights == "joint" else first
        size = _amplitude(activity, value, moves, adds, together, size)
        if size == 0 and first == 0:
            return growth.Plan((), 1.0, 0.0, 1, 2, "No size of the new neurons lowers the loss.")
        if size == 0:
            coefficient = _chain.first_order(activity, moves)
            message = "No size of the new neurons lowers the loss: old weights move alone."
            return growth.Plan(tuple(moves), first, coefficient, 1, 2, message)
        if old_weights == "sequential":
            moves = [growth.Move(edit.layer, first / size * edit.direction) for edit in moves]
    edits: tuple[growth.Edit, ...] = (*moves, *adds)
    coefficient = _chain.first_order(activity, edits)
    if coefficient >= 0 and not line_search:
        return growth.Plan((), size, 0.0, 1, 2, "The neurons found do not lower the loss.")
    count = sum(len(edit.fan_in) for edit in adds)
    message = f"{count} neurons are added, in {len(adds)} of {len(activity.inputs) - 1} layers."
    return growth.Plan(edits, size, coefficient, 1, 2, message)


def amplitude(loss_at: Callable[[float], float], start: float = 1.0) -> float:
    """A size at which the loss is lower: the line search of eqs 6 and 7.

    From `start` the size is doubled while that lowers the loss, 14 times at most, or halved until
    it is lower than at zero, and then moved towards the minimum in between.

    Parameters
    ----------
    loss_at : callable
        The loss at a size >= 0.
    start : float
        > 0.

    Returns
    -------
    float
        0 when no size tried lowers the loss by more than rounding.

    Raises
    ------
    ValueError, TypeError
        For a start that is not positive.

    Source: TINY eqs 6 and 7 (TINY-Eq-6). The paper names no algorithm.
    """
    size = validation.as_scalar(start, "start", above=0)

    def at(size: float) -> float:
        value = loss_at(size)
        return value if np.isfinite(value) else np.inf

    before = at(0.0)
    enough, value = before - ROUNDINGS * EPS * abs(before), at(size)
    for _ in range(HALVINGS):
        if value < enough:
            break
        size, value = size / 2, at(size / 2)
    else:
        return 0.0
    for _ in range(DOUBLINGS):
        if not (further := at(2 * size)) < value:
            break
        size, value = 2 * size, further
    step = size / 2
    for _ in range(NARROWINGS):
        tried = {other: at(other) for other in (size - step, size + step)}
        best = min(tried, key=tried.__getitem__)
        if tried[best] < value:
            size, value = best, tried[best]
        step /= 2
    return size


def _amplitude(
    activity: _chain.Activity, mean_loss: Callable[[np.ndarray], float], moves: list[growth.Move],
    adds: list[growth.Add], moved: float | None, start: float,
) -> float:  # fmt: skip
    """The size of the neurons once old weights have moved so far, or (None) of both together."""
    along = _chain.outputs(activity, moves, adds)
    with np.errstate(over="ignore", invalid="ignore"):
        return amplitude(
            lambda size: mean_loss(along(size if moved is None else moved, size)), start
        )


def _mean_loss(loss: losses.Loss, Y: np.ndarray, F: np.ndarray) -> float:
    return float(loss.samples(F, Y).mean())


def _extension(
    activity: _chain.Activity, layer: int, slopes: tuple[float, float, float], most: int | None,
    threshold: float, old_weights: str, cutoff: float | None,
) -> tuple[float, list[growth.Edit]]:  # fmt: skip
    """The gain of the neurons that a layer gets, and the edits: none, or an Add behind its Move."""
    B_prev, B, V = *activity.inputs[layer : layer + 2], activity.goals[layer + 1]
    k = min(most or V.shape[1], V.shape[1])
    least = max(threshold, _mean_square(V) * EXPLAINED**2)
    update = np.zeros((V.shape[1], B.shape[1]))
    rest = V
    if old_weights == "sequential":
        update = best_update(B, V, cutoff=cutoff)
        rest = V - B @ update.T
    if old_weights == "joint":
        update, *found = joint_neurons(B, B_prev, V, k, cutoff=cutoff)
        neurons = Neurons(*found)
    else:
        neurons = best_neurons(B_prev, rest, k, cutoff=cutoff)
    # Of the rest of a rounding, no neuron comes; a large update leaves a large one.
    rounded = ROUNDED * EPS * float(np.linalg.norm(_norms(B) * _norms(update))) / np.sqrt(len(B))
    kept = int((neurons.strengths**2 > max(least, rounded**2)).sum())
    if kept == 0:
        return 0.0, []
    if old_weights == "joint" and kept < k:
        update, *found = joint_neurons(B, B_prev, V, kept, cutoff=cutoff)
        neurons = Neurons(*found)
    fan_in, fan_out = neurons.fan_in[:kept] * 2 / sum(slopes[1:]), neurons.fan_out[:, :kept]
    edits: list[growth.Edit] = [_turned(activity, layer, fan_in, fan_out, slopes)]
    if old_weights != "fixed":
        edits.insert(0, growth.Move(layer + 1, update))
    return float((neurons.strengths[:kept] ** 2).sum()), edits


def _no_gain(activity: _chain.Activity, chosen: list[int]) -> str:
    """The message of an empty plan, and whether numbers that are too small are to blame."""
    message = "No neuron's gain is above the threshold."
    for layer in chosen:
        V, norms = activity.goals[layer + 1], _norms(activity.inputs[layer])
        if V.any() and not _mean_square(V):
            return f"{message} The square of the desired update vanishes: rescale Y and weights."
        if ((norms > 0) & (norms < EPS * norms.max())).any():
            return f"{message} Some inputs are zero to rounding beside the others: rescale them."
    return message


def _turned(
    activity: _chain.Activity, layer: int, fan_in: np.ndarray, fan_out: np.ndarray,
    slopes: tuple[float, float, float],
) -> growth.Add:  # fmt: skip
    """The neurons, each with the sign that lowers the loss where the network is."""
    at_zero, left, right = slopes
    if left != right:
        # By the part that does not see the neuron's sign but for its fan-out's.
        V, z = activity.goals[layer + 1], activity.inputs[layer] @ fan_in.T
        bend = (right - left) * np.einsum("nk,nk->k", V @ fan_out, np.abs(z))
        signs = np.where(bend < 0, -1.0, 1.0)
        fan_in, fan_out = fan_in * signs[:, None], fan_out * signs
    bias = -at_zero * fan_out.sum(axis=1) if at_zero else None
    return growth.Add(layer, fan_in, fan_out, bias=bias)


def _layers(layer: Any, hidden: int) -> list[int]:
    if isinstance(layer, str):
        validation.one_of(layer, "layer", ("all", "bottleneck"))
        return list(range(hidden))
    validation.as_integer(layer, "layer", at_least=0)
    if not hidden:
        raise ValueError(f"layer {layer} cannot grow: the network has no hidden layer.")
    return [validation.as_integer(layer, "layer", at_least=0, at_most=hidden - 1)]


def _neurons(regression: least_squares.Regression, k: int) -> Neurons:
    """The projection B W, cut to rank k."""
    weights, root, rank, noise = regression
    _, values, Z = np.linalg.svd(root)
    strengths = np.zeros(k)
    strengths[: min(k, rank, len(values))] = values[: min(k, rank)]
    strengths[strengths <= noise] = 0.0
    fan_out = np.where((strengths > 0)[:, None], kernels.signed(Z[:k]), 0.0)
    fan_in = fan_out @ weights.T
    networks.refuse_overflow([fan_in], "the best neurons' fan-in")
    return Neurons(fan_in, np.ascontiguousarray(fan_out.T), strengths)


def _from_moments(
    S: np.ndarray, N: np.ndarray, cutoff: float | None, whole: np.ndarray | None = None
) -> least_squares.Regression:
    """The regression by moments, without what a cutoff leaves out: relative to `whole`, or to S."""
    if cutoff is None:
        return least_squares.regress_moments(S, N)
    squares, Q = np.linalg.eigh(S)
    largest = squares[-1] if whole is None else np.linalg.eigvalsh(whole)[-1]
    kept = squares > max(cutoff**2, least_squares.PIVOT_MOMENTS) * max(largest, 0.0)
    if not kept.any():
        return least_squares.Regression(np.zeros_like(N), np.zeros_like(N[:1]), 0, 0.0)
    squares, Q = squares[kept, None], Q[:, kept]
    root = Q.T @ N / np.sqrt(squares)
    noise = max(N.shape) * EPS * float(np.linalg.norm(root))
    return least_squares.Regression(Q @ (root / np.sqrt(squares)), root, len(squares), noise)


def _mean_square(V: np.ndarray) -> float:
    with np.errstate(over="ignore"):
        square = float(np.vdot(V, V)) / len(V)
    networks.refuse_overflow([np.array(square)], "the square of the desired update")
    return square


def _norms(A: np.ndarray) -> np.ndarray:
    """Of the columns, whose squares may overflow or vanish."""
    largest = np.abs(A).max(axis=0, initial=0.0)
    unit = np.where(largest > 0, largest, 1.0)
    norms: np.ndarray = largest * np.linalg.norm(A / unit, axis=0)
    return norms


def _checked(B: Any, V: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    B = validation.as_array(B, name, ("n", "q"), flat=f"Use {name}[:, None] for one column.")
    V = validation.as_array(
        V, "V", (len(B), "p"), hint="One row a sample.", flat="Use V[:, None] for one neuron."
    )
    return B, V


def _checked_cutoff(cutoff: Any) -> float | None:
    return None if cutoff is None else validation.as_scalar(cutoff, "cutoff", at_least=0, below=1)
