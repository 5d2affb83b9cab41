"""The inner loops of SplitLBI, and the partition of weights into groups that they work on.

`splitlbi` has the method; here is what it rests on and a reader of the paper may skip. Weights that
come as a list of arrays are one flat vector, groups are a label for every entry of it, and a step
passes once over the entries, in place, without a temporary.

Conventions as in `kernels`: `_name_py` is the plain function, `_name` the compiled one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from refgrow import validation
from refgrow._jit import jit

STATIONARY, STEPS_TAKEN, DIVERGED, DENSE = 0, 1, 2, 3
FULL = 4  # of the room for records, inside a run

FREE = -1  # the label of an entry that no group lists
LABEL = np.int32  # half the memory that a step reads of a label

# The squares of a norm below it have lost digits, or all, to underflow.
TINY_NORM = 1e-140

# Eigenvalues below it, relative to the largest, are zero up to rounding.
KERNEL = 1e-13

# Numbers of W that a run makes room for at first: the iterates of few runs need more.
RECORDS = 2**22

Arrays = np.ndarray | list[np.ndarray]


class Partition(NamedTuple):
    """Which group each weight belongs to.

    Attributes
    ----------
    labels : (n,) of int
        FREE where no group lists the entry; of length zero for the lasso, one entry a group.
    number : int
        How many groups there are.
    single : bool
        Whether each of them is a single entry.

    Source: SplitLBI section 2 (LBI-Eq-5-group).
    """

    labels: np.ndarray
    number: int
    single: bool


def partition(groups: Any, n: int, *, gaps: bool) -> Partition:
    """The groups of weights that enter together, as one label an entry.

    Parameters
    ----------
    groups : None, list of index arrays, or 2-D array
        None for the lasso. Of a 2-D array each row is a group.
    n : int
        Entries in all.
    gaps : bool
        Whether entries may be left out.

    Returns
    -------
    Partition

    Raises
    ------
    ValueError, TypeError
        For groups that overlap, are empty, name no entry or leave one out.

    Source: SplitLBI section 2 (LBI-Eq-5-group).
    """
    if groups is None:
        return Partition(np.empty(0, dtype=LABEL), n, True)
    if isinstance(groups, (str, dict)) or not isinstance(groups, (Sequence, np.ndarray)):
        raise TypeError(
            "groups must be None or a list of arrays of indices into the flattened weights; "
            f"got {type(groups).__name__}."
        )
    if not len(groups):
        raise ValueError("groups must hold at least one group; got none. Use None for the lasso.")
    index, sizes = _listed(groups)
    number = np.repeat(np.arange(len(groups)), sizes)
    outside = np.flatnonzero((index < 0) | (index >= n))
    if len(outside):
        raise ValueError(
            f"groups must hold indices from 0 to {n - 1}; got {index[outside[0]]} in group "
            f"{number[outside[0]]}."
        )
    labels = np.full(n, FREE, dtype=LABEL)
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
    return Partition(labels, len(groups), len(index) == len(groups))


def _listed(groups: Any) -> tuple[np.ndarray, np.ndarray]:
    """The indices of all groups, one group after the other, and how many each holds."""
    if isinstance(groups, np.ndarray) and groups.ndim == 2:
        # A network has as many single weights as entries: they are not looked at one by one.
        return groups.ravel(), np.full(len(groups), _group_size(groups[0], 0))
    sizes = np.array([_group_size(group, k) for k, group in enumerate(groups)])
    return np.concatenate([np.asarray(group) for group in groups]), sizes


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


def flatten(value: Any, name: str) -> tuple[np.ndarray, Any]:
    """Weights as one vector, whatever the number of layers.

    Parameters
    ----------
    value : array, any shape, or a list of arrays
    name : str
        For the error.

    Returns
    -------
    flat, shapes
        A vector, and the shape or the list of shapes that `shaped` takes.

    Raises
    ------
    ValueError, TypeError
        For arrays that are empty or not finite.

    Source: SplitLBI section 2, W = {W_i}.
    """
    # Lists of numbers, however nested, are one array; a list that holds arrays is many.
    if isinstance(value, (list, tuple)) and any(
        isinstance(part, np.ndarray) and part.ndim for part in value
    ):
        parts = [validation.as_array(part, f"{name}[{k}]", None) for k, part in enumerate(value)]
        return np.concatenate([part.ravel() for part in parts]), [part.shape for part in parts]
    array = validation.as_array(value, name, None)
    return array.ravel(), array.shape


def shaped(flat: np.ndarray, shapes: Any) -> Arrays:
    """The inverse of `flatten`: weights layer by layer, as views.

    Parameters
    ----------
    flat : (n,)
    shapes : tuple, or list of tuples

    Returns
    -------
    array or list of arrays

    Source: SplitLBI section 2, W = {W_i}.
    """
    if not isinstance(shapes, list):
        return flat.reshape(shapes)
    ends = np.cumsum([_size(shape) for shape in shapes])
    return [
        part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)
    ]


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def kept(V: np.ndarray, groups: Partition, lam: float) -> np.ndarray:
    """How much of each group's V is left, max(0, 1 - lam / |V_g|): zero for what is not used yet.

    Parameters
    ----------
    V : (n,)
    groups : Partition
    lam : float

    Returns
    -------
    (groups,)

    Source: SplitLBI section 2 (LBI-Eq-5-group).
    """
    keep = np.empty(groups.number)
    with np.errstate(over="ignore", invalid="ignore"):
        _keep(V, groups.labels, lam, keep)
    return keep


def norms(V: np.ndarray, groups: Partition) -> np.ndarray:
    """How large each group is: sums of squares that neither over- nor underflow.

    Parameters
    ----------
    V : (n,)
    groups : Partition
        That covers all entries.

    Returns
    -------
    (groups,)
        Infinite where the norm itself is too large for a number.

    Source: SplitLBI section 2 (LBI-Eq-5-group).
    """
    if not len(groups.labels):
        return np.abs(V)
    largest = np.zeros(groups.number)
    np.maximum.at(largest, groups.labels, np.abs(V))
    # Powers of two are taken out, which changes no bit.
    power = np.frexp(largest)[1]
    squares = np.ldexp(V, -power[groups.labels]) ** 2
    with np.errstate(over="ignore"):
        return np.ldexp(np.sqrt(np.bincount(groups.labels, squares, groups.number)), power)


def least(x: np.ndarray, Sigma: np.ndarray) -> np.ndarray:
    """Of many minimisers the one of least norm: what the sparse twin jumps to, seen from zero.

    Parameters
    ----------
    x : (n,)
        >= 0.
    Sigma : (n, n)
        Positive semi-definite.

    Returns
    -------
    (n,)
        The y >= 0 with Sigma y = Sigma x whose norm is least; x itself where it is the only one.

    Source: SplitLBI section 2 (LBI-selection); not in the paper, which has no singular Sigma.
    """
    values, vectors = np.linalg.eigh(Sigma)
    N = vectors[:, values <= KERNEL * values[-1]]
    if not N.shape[1]:
        return x
    y = x - N @ (N.T @ x)
    if (y >= 0).all():
        return y
    # Least distance programming (Lawson and Hanson, chapter 23): |z| least with y + N z >= 0.
    goal = np.append(np.zeros(N.shape[1]), 1.0)
    E = np.vstack([N.T, -y])
    residual = E @ optimize.nnls(E, goal)[0] - goal
    return np.maximum(y - N @ (residual[:-1] / residual[-1]), 0.0)


def shrunk(V: np.ndarray, groups: Partition, lam: float) -> np.ndarray:
    """The groups of V that are large enough, with their norms less lam; zero at free entries.

    Parameters
    ----------
    V : (n,), or (k, n) where every group is a single entry
    groups : Partition
    lam : float

    Returns
    -------
    array like V

    Source: SplitLBI eq 5 (LBI-Eq-5).
    """
    labels = groups.labels
    if not groups.single:
        return np.where(labels == FREE, 0.0, kept(V, groups, lam)[labels]) * V
    sparse = V - np.clip(V, -lam, lam)  # as a step has it
    return np.where(labels == FREE, 0.0, sparse) if len(labels) else sparse


def used(V: np.ndarray, groups: Partition, lam: float) -> np.ndarray:
    """Which weights the sparse twin uses, free ones included.

    Parameters
    ----------
    V : (n,)
    groups : Partition
    lam : float

    Returns
    -------
    (n,) of bool

    Source: SplitLBI section 4 (LBI-Fig-4).
    """
    labels = groups.labels
    if not groups.single:
        return (labels == FREE) | ((kept(V, groups, lam) > 0)[labels] & (V != 0))
    large = np.abs(V) > lam
    return (labels == FREE) | large if len(labels) else large


def advance(
    gradient: np.ndarray,
    groups: Partition,
    numbers: np.ndarray,
    W: np.ndarray,
    V: np.ndarray,
    velocity: np.ndarray,
) -> None:
    """One step of training and of its sparse twin, in place.

    Parameters
    ----------
    gradient : (n,)
        Of the loss, without the coupling.
    groups : Partition
    numbers : (6,)
        alpha, nu, kappa, lambda, tau, beta.
    W, V, velocity : (n,)
        Changed.

    Source: SplitLBI eqs 4, 12, 14 (LBI-Eq-4).
    """
    keep = np.empty(0 if groups.single else groups.number)
    with np.errstate(over="ignore", invalid="ignore"):
        _advance(gradient, groups.labels, numbers, W, V, velocity, keep)


class Descent(NamedTuple):
    """What a run on a quadratic loss leaves.

    Attributes
    ----------
    now : (3, n)
        The last finite W, V and velocity.
    W, V : (k, n)
        Recorded.
    density, counts : (k,)
    first_entry, last_exit : (groups,)
        -1 for never.
    taken : int
    status : int
        STATIONARY, STEPS_TAKEN, DIVERGED or DENSE.

    Source: SplitLBI eq 4 (LBI-Eq-4).
    """

    now: np.ndarray
    W: np.ndarray
    V: np.ndarray
    density: np.ndarray
    counts: np.ndarray
    first_entry: np.ndarray
    last_exit: np.ndarray
    taken: int
    status: int


def descend(
    S: np.ndarray,
    b: np.ndarray,
    groups: Partition,
    numbers: np.ndarray,
    start: np.ndarray,
    rates: np.ndarray,
    *,
    steps: int,
    every: int,
    gtol: float | None,
    density: float | None,
) -> Descent:
    """A whole run on L(W) = W S W / 2 - b W, in one compiled loop: which groups enter, and when.

    Parameters
    ----------
    S : (n, n)
    b : (n,)
    groups : Partition
    numbers : (6,)
        alpha, nu, kappa, lambda, tau, beta.
    start : (3, n)
        W, V and the velocity.
    rates : (steps,), or of length zero
        alpha step by step, where it is not that of `numbers`.
    steps, every : int
        How many at most, and how often to record.
    gtol, density : float, optional
        When to stop.

    Returns
    -------
    Descent

    Source: SplitLBI eq 4 (LBI-Eq-4).
    """
    now, every = start.copy(), min(every, steps + 1)
    all_rows = steps // every + 2
    room = min(all_rows, RECORDS // len(b) + 1)
    changes = np.full((3, groups.number), -1, dtype=np.int64)
    limits = [-1.0 if gtol is None else gtol, 2.0 if density is None else density]
    listed = np.count_nonzero(groups.labels != FREE) if len(groups.labels) else len(b)
    settings = np.array([*limits, listed, *numbers])
    taken, status, pieces = 0, FULL, []
    while status == FULL:
        records, densities = np.empty((2, room, len(b))), np.empty(room)
        counts = np.empty(room, dtype=np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            taken, kept, status = _run(
                S, b, groups.labels, settings, rates, (taken, steps, every), now,
                records, densities, counts, changes,
            )  # fmt: skip
        pieces.append((records[0, :kept], records[1, :kept], densities[:kept], counts[:kept]))
        room = min(all_rows, 2 * room)
    W, V, densities, counts = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return Descent(
        now=now,
        W=W,
        V=V,
        density=densities,
        counts=counts,
        first_entry=changes[0],
        last_exit=changes[1],
        taken=int(taken),
        status=int(status),
    )


# The loops ------------------------------------------------------------------------------------


def _keep_py(V, labels, lam, keep):
    # keep[g] = max(0, 1 - lam / |V_g|). Entries of a group that follow each other are summed in a
    # register: adding each to keep[g] would wait for the memory every time.
    keep[:] = 0.0
    group, total = labels[0], 0.0
    for i in range(V.size):
        if labels[i] != group:
            if group >= 0:
                keep[group] += total
            group, total = labels[i], 0.0
        total += V[i] * V[i]
    if group >= 0:
        keep[group] += total
    least, extreme = TINY_NORM if lam < TINY_NORM else 0.0, False
    for g in range(keep.size):
        norm = np.sqrt(keep[g])
        if not least <= norm < np.inf:
            keep[g], extreme = -1.0, True
        else:
            # Not 1 - lam / norm, which may round to zero above lam. At lam = 0, 0 stays 0.
            keep[g] = (norm - lam) / norm if norm > lam else 0.0
    if extreme:
        _keep_extreme(V, labels, lam, keep)


def _keep_extreme_py(V, labels, lam, keep):
    # The same for the groups marked by -1, whose squares over- or underflow: relative to the
    # largest entry they do neither.
    largest, total = np.zeros(keep.size), np.zeros(keep.size)
    for i in range(V.size):
        if labels[i] >= 0 and keep[labels[i]] < 0.0:
            largest[labels[i]] = max(largest[labels[i]], abs(V[i]))
    for i in range(V.size):
        g = labels[i]
        if g >= 0 and keep[g] < 0.0 and largest[g] > 0.0:
            total[g] += (V[i] / largest[g]) ** 2
    for g in range(keep.size):
        if keep[g] < 0.0:
            norm, bound = np.sqrt(total[g]), lam / largest[g] if largest[g] > 0.0 else np.inf
            keep[g] = 0.0 if norm <= bound else (norm - bound) / norm


_keep_extreme = jit(_keep_extreme_py)
_keep = jit(_keep_py)


def _advance_py(g, labels, numbers, W, V, v, keep):
    # One step in place. In one pass: entry i of Gamma is read off V before V moves.
    # No room in `keep` says that every group is a single entry.
    alpha, nu, kappa, lam, momentum, decay = numbers
    single, all_listed = keep.size == 0, labels.size == 0
    if not single:
        _keep(V, labels, lam, keep)
    rate, inverse = kappa * alpha, 1.0 / nu
    for i in range(W.size):
        pull = 0.0
        if all_listed or labels[i] >= 0:
            if single:
                sparse = V[i] - min(max(V[i], -lam), lam)
            else:
                sparse = keep[labels[i]] * V[i]
            pull = (W[i] - kappa * sparse) * inverse
        v[i] = momentum * v[i] + g[i] + pull
        W[i] -= rate * v[i] + decay * W[i]
        V[i] += alpha * pull


_advance = jit(_advance_py)


def _look_py(S, b, labels, nu, kappa, W, V, keep, g):
    # The gradient of the loss into g; how many entries are used; |grad Lbar|^2.
    lasso = labels.size == 0
    used, slope = 0, 0.0
    for i in range(W.size):
        g[i] = -b[i]
        for j in range(W.size):
            g[i] += S[i, j] * W[j]
        pull = 0.0
        if lasso or labels[i] >= 0:
            share = keep[i] if lasso else keep[labels[i]]
            used += 1 if share > 0.0 and V[i] != 0.0 else 0
            pull = (W[i] - kappa * share * V[i]) / nu
        slope += (g[i] + pull) ** 2 + pull * pull
    return used, slope


_look = jit(_look_py)


def _note_py(keep, k, changes):
    # First entry and last exit of every group; the third row says whether it is in.
    for group in range(keep.size):
        if keep[group] > 0.0:
            if changes[0, group] < 0:
                changes[0, group] = k
            changes[2, group] = 1
        elif changes[2, group] == 1:
            changes[1, group] = k
            changes[2, group] = 0


_note = jit(_note_py)


def _run_py(S, b, labels, settings, rates, span, now, records, densities, counts, changes):
    # From step k on, until it ends or the room for records is full: then call it again.
    gtol, dense, listed = settings[:3]
    nu, kappa, lam = settings[4:7]
    k, steps, every = span
    W, V, v = now
    n, groups = W.size, changes.shape[1]
    lasso = labels.size == 0
    g, keep, none, before = np.empty(n), np.empty(groups), np.empty(0), now.copy()
    kept, status = 0, STEPS_TAKEN
    while kept < densities.size:
        if lasso:
            for i in range(n):
                keep[i] = (abs(V[i]) - lam) / abs(V[i]) if abs(V[i]) > lam else 0.0
        else:
            _keep(V, labels, lam, keep)
        used, slope = _look(S, b, labels, nu, kappa, W, V, keep, g)
        _note(keep, k, changes)
        share = used / listed
        if gtol >= 0.0 and np.sqrt(slope) <= gtol:
            status = STATIONARY
        elif share >= dense:
            status = DENSE
        done = status != STEPS_TAKEN or k == steps
        if not done:
            before[:] = now
            if rates.size:
                settings[3] = rates[k]
            _advance(g, labels, settings[3:], W, V, v, none if lasso else keep)
            finite = 0.0
            for i in range(n):  # of Gamma, at most kappa |V|, as well
                finite += abs(W[i]) + (1.0 + kappa) * abs(V[i]) + abs(v[i])
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
    return k, kept, FULL


_run = jit(_run_py)
