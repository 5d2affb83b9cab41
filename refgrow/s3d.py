"""S3D: splitting with fractions of both signs, section by section with the paper.

S2D's splits have fractions that are positive, so they gain only along negative curvature: where
every splitting matrix is positive semi-definite they are stuck. A copy with a negative fraction
gains along positive curvature as well. How much is bounded by the constraint sum_i |w_i| <= c on
the fractions: c = 1 is S2D, and every c > 1 lowers the loss unless the splitting matrix is zero.

In the paper's order:

- section 2, one neuron: `scheme_gain`, the quadratic form of eq 2;
- section 2.1, the best schemes: `best_gain`, `best_scheme`, and `printed_triplet_gain`, which is
  what Theorem 2.2 prints and is not the optimum;
- section 2.1, many neurons: `decide`, Algorithm 1's splitting phase;
- section 3, the convergence analysis: the companion module `s3d_theory`;
- appendix C.1, how many copies each neuron gets: `allocate`, `allocate_relaxed`;
- appendix C.3, eigenpairs by products with a vector: `splitting_products`, `rayleigh_descent`,
  `largest_rayleigh_step`. What growing uses is `kernels.extreme_eigenpairs`, which is faster.

The best schemes in one place. With a = (c + 1) / 2 the most that positive fractions can sum to,
b = (c - 1) / 2 the most that negative ones can, l = max(-lam_min, 0) and u = max(lam_max, 0):

    G_1 = 0
    G_2 = -max(l, (b / a) u)
    G_3 = -max(a l, b u, (c l + b u) / a)
    G_m = -(a l + b u)                      m >= 4

The third branch of G_3 is not in the paper: a triplet of which one copy moves along v_max and two
along mixtures of v_min and v_max. docs/s3d.md has the proof.

The paper's symbols: S is the splitting matrix with the outgoing weight inside; w are the fractions
of the copies, not the network's output weights; `copies` is the paper's m, `size` its epsilon.

Source: Wu, Ye, Lei, Lee and Liu, Steepest Descent Neural Architecture Optimization: Escaping Local
Optimum with Signed Neural Splitting (S3D).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, sparse

from refgrow import growth, kernels, losses, s2d, validation
from refgrow.networks import MLP, Shallow

# States of the knapsack's table, of 1 byte each, up to which it is solved by dynamic programming.
LARGEST_TABLE = 10**8
# Sums in the list that stands in for a table too large: seconds, and some 100 MB.
LARGEST_LIST = 10**6


# Sections 2 and 2.1: one neuron ---------------------------------------------------------------


def scheme_gain(S: Any, weights: Any, directions: Any) -> float:
    """What a split does to the loss at second order: Pi_m = sum_i w_i delta_i^T S delta_i.

    The mean loss changes by (eps^2 / 2) Pi_m, for fractions that sum to one and directions of zero
    weighted mean. Nothing of that is checked here, so that the form can be studied everywhere; a
    scheme of problem (6) has sum(w) = 1, sum(|w|) <= c, w @ directions = 0 and norms of at most 1.

    Parameters
    ----------
    S : (d, d)
        Symmetric.
    weights : (m,)
    directions : (m, d)

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For a matrix that is not symmetric, arrays that do not fit each other, and a gain that
        overflows.

    Source: S3D eq 2 (S3D-Eq-1).
    """
    S = _matrix(S)
    weights = validation.as_array(weights, "weights", ("m",))
    directions = validation.as_array(directions, "directions", (len(weights), len(S)))
    with np.errstate(over="ignore", invalid="ignore"):
        gain = weights @ np.einsum("ia,ab,ib->i", directions, S, directions)
    if not np.isfinite(gain):
        raise ValueError("S, weights and directions are too large: the gain overflows.")
    return float(gain)


def best_gain(lam_min: Any, lam_max: Any, c: Any, m: int) -> Any:
    """The most a signed split into m copies can gain: the optimum of problem (6).

    G_2 = -max(l, (b/a) u), G_3 = -max(a l, b u, (c l + b u) / a), G_m = -(a l + b u) for m >= 4,
    with a = (c + 1) / 2, b = (c - 1) / 2, l = max(-lam_min, 0), u = max(lam_max, 0).

    Parameters
    ----------
    lam_min, lam_max : array_like
        Extreme eigenvalues of splitting matrices, lam_min <= lam_max.
    c : array_like
        >= 1: the bound on sum_i |w_i|. The three broadcast against each other.
    m : int
        Copies, >= 1.

    Returns
    -------
    float, or ndarray of the shape they broadcast to
        <= 0. The mean loss changes by (eps^2 / 2) times it.

    Raises
    ------
    ValueError, TypeError
        For c < 1, m < 1, lam_min > lam_max and numbers that are not finite.

    Source: S3D eq 6, Thms 2.1 to 2.3 (S3D-Thm-2.1, S3D-Thm-2.2, S3D-Thm-2.3). Theorem 2.2 prints
    G_3 without its third branch: see `printed_triplet_gain`.
    """
    m = validation.as_integer(m, "m", at_least=1)
    c, low, high = _extremes(lam_min, lam_max, c)
    a, b = (c + 1) / 2, (c - 1) / 2
    if m == 1:
        best = np.zeros(np.broadcast_shapes(c.shape, low.shape, high.shape))
    elif m == 2:
        best = np.maximum(low, b / a * high)
    elif m == 3:
        best = np.maximum(np.maximum(a * low, b * high), (c * low + b * high) / a)
    else:
        best = a * low + b * high
    return _number_or_array(0.0 - best)  # Not -best: no gain is 0, not -0.


def printed_triplet_gain(lam_min: Any, lam_max: Any, c: Any) -> Any:
    """Theorem 2.2 as printed: min((c + 1)/2 lam_min, -(c - 1)/2 lam_max, 0), for comparison.

    It is attained by a feasible scheme but is not the optimum: for lam_min < 0 < lam_max and c
    below 2 + sqrt(5) there are spectra where `best_gain` with m = 3 is lower, by a factor of up to
    (3 a - 1) / a^2, which tends to 2 as c tends to 1.

    Parameters, Returns and Raises as for `best_gain`, without m.

    Source: S3D Thm 2.2 (S3D-Thm-2.2).
    """
    c, low, high = _extremes(lam_min, lam_max, c)
    return _number_or_array(0.0 - np.maximum((c + 1) / 2 * low, (c - 1) / 2 * high))


class Scheme(NamedTuple):
    """How to split one neuron: the loss changes by (eps^2 / 2) * gain.

    Attributes
    ----------
    weights : (m,)
        The fractions: they sum to one, their absolute values to at most c.
    directions : (m, d)
        Of norm at most one; their mean under the weights is zero.
    gain : float

    Source: S3D eq 6 (S3D-Eq-6).
    """

    weights: np.ndarray
    directions: np.ndarray
    gain: float


def best_scheme(S: Any, c: float, m: int) -> Scheme:
    """The best signed split of one neuron into at most m copies: attains `best_gain`.

    Which scheme it is depends on the branch of `best_gain` that wins, ties going to the first:

    - m = 2: halves along +v_min and -v_min (eq 5), or fractions -b and a along v_max and
      (b/a) v_max (eq 8);
    - m = 3: a/2, a/2 along +-v_min and -b at rest (eq 9); -b/2, -b/2 along +-v_max and a at rest
      (eq 10); or a/2, a/2 along +-sqrt(c)/a v_min + (b/a) v_max and -b along v_max, which is not in
      the paper;
    - m >= 4: a/2, a/2 along +-v_min and -b/2, -b/2 along +-v_max (eq 11), or a triplet where only
      one of the two gains. Further copies have weight zero.

    Parameters
    ----------
    S : (d, d)
        Symmetric.
    c : float
        >= 1. At c = 1 no copy has a negative fraction, and the scheme is S2D's.
    m : int
        Copies, >= 1.

    Returns
    -------
    Scheme
        Without gain, weights 1/m and directions 0.

    Raises
    ------
    ValueError, TypeError
        For a matrix that is not symmetric or not finite, c < 1, m < 1.

    Source: S3D Thms 2.1 to 2.3, eqs 8 to 11 (S3D-Thm-2.1, S3D-Thm-2.2, S3D-Thm-2.3).
    """
    S = _matrix(S)
    c = validation.as_scalar(c, "c", at_least=1)
    m = validation.as_integer(m, "m", at_least=1)
    values, vectors = np.linalg.eigh(S)
    v_min, v_max = kernels.signed(vectors.T[[0, -1]])
    return _scheme(float(values[0]), v_min, float(values[-1]), v_max, c, m)


def _scheme(
    lam_min: float, v_min: np.ndarray, lam_max: float, v_max: np.ndarray, c: float, m: int
) -> Scheme:
    """The scheme that attains the best gain, from the extreme eigenpairs."""
    a, b = (c + 1) / 2, (c - 1) / 2
    low, high = max(-lam_min, 0.0), max(lam_max, 0.0)
    gain = best_gain(lam_min, lam_max, c, m)
    rest = np.zeros_like(v_min)
    if gain == 0:
        return Scheme(np.full(m, 1 / m), np.zeros((m, len(rest))), 0.0)
    binary = [
        (low, [0.5, 0.5], [v_min, -v_min]),
        (b / a * high, [-b, a], [v_max, b / a * v_max]),
    ]
    along, across = b / a * v_max, np.sqrt(c) / a * v_min
    # Not where it can only tie: rounding may prefer it, and v_min need not be orthogonal to v_max.
    mixed = (c * low + b * high) / a if high > 0 else 0.0
    triplets = [
        (a * low, [a / 2, a / 2, -b], [v_min, -v_min, rest]),
        (b * high, [-b / 2, -b / 2, a], [v_max, -v_max, rest]),
        (mixed, [a / 2, a / 2, -b], [along + across, along - across, v_max]),
    ]
    quartets = [
        *triplets[:2],
        (
            a * low + b * high,
            [a / 2, a / 2, -b / 2, -b / 2],
            [v_min, -v_min, v_max, -v_max],
        ),
    ]
    # The first of equal ones: the fewest copies, and of those S2D's direction.
    _, weights, directions = max({2: binary, 3: triplets}.get(m, quartets), key=lambda s: s[0])
    padding = m - len(weights)
    return Scheme(
        np.array([*weights, *[0.0] * padding]) + 0.0,  # At c = 1, -b is -0.
        np.array([*directions, *[rest] * padding]),
        gain,
    )


# Section 2.1: many neurons --------------------------------------------------------------------


def decide(
    network: "Shallow | MLP",
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    c: float = 3.0,
    copies: "int | str" = 2,
    most: int | None = None,
    share: float | None = None,
    threshold: float = 0.0,
    budget: float | None = None,
    costs: Any = None,
    size: float = 0.01,
) -> growth.Plan:
    """The splitting phase of Algorithm 1: which neurons to split, into how many copies, and how.

    Every neuron of every hidden layer has a gain G_m for each number m of copies, from the extreme
    eigenvalues of its splitting matrix. The paper leaves the rule by which neurons are chosen to
    the user; here are those it mentions. By rank: the neurons of lowest gain, at most `most` of
    them or the `share` of all, whose gain is at most `threshold`. By knapsack: the copies that
    lower the loss most under a `budget` (`allocate`).

    Parameters
    ----------
    network, X, Y, loss : as for `s2d.splitting_matrices`
    c : float
        >= 1; the paper uses 3 in its toy experiment and 1.3 for images. At 1 this is S2D.
    copies : int or "mixed"
        m >= 2, the most for every neuron: where fewer gain as much, the others have fraction zero
        and are not made. Or "mixed": 1, 2, 3 or 4 for each neuron; that needs a `budget`.
    most : int, optional
        k >= 1, the number of neurons to split; one, unless `share` or `budget` is given.
    share : float, optional
        The share of all neurons to split, in (0, 1], rounded up: 0.35 is the paper's top 35 %.
    threshold : float
        <= 0, the paper's -eta: a neuron of higher gain is left alone. At zero, a gain counts when
        it is beyond the rounding of the numbers its matrix was summed from.
    budget : float, optional
        Neurons after splitting, all hidden layers together, or the sum of their costs.
    costs : (N,), optional
        What one copy of each neuron costs, all hidden layers one after the other; needs a
        `budget`. One each by default.
    size : float
        epsilon > 0. The decrease is promised for small sizes; nothing here tries smaller ones.

    Returns
    -------
    growth.Plan
        Order 2; remainder 4 where all schemes are symmetric, 3 otherwise. Without edits when no
        split lowers the loss to second order, which is a result and not an error.

    Raises
    ------
    ValueError, TypeError
        For options out of range or that exclude each other, and as `s2d.splitting_matrices` does.

    Source: S3D Algorithm 1 (S3D-Alg-1); the rules are those of section 2.1 (top k, threshold),
    section 4 (top share, energy-aware) and appendix C.1 (knapsack).
    """
    c = validation.as_scalar(c, "c", at_least=1)
    sizes = _sizes(copies, budget)
    most, share, costs = _rule(most, share, budget, costs)
    threshold = validation.as_scalar(threshold, "threshold", at_most=0)
    size = validation.as_scalar(size, "size", above=0)

    layers = s2d.extremes(network, X, Y, loss)
    where = [(layer, j) for layer, pairs in enumerate(layers) for j in range(len(pairs.lam_min))]
    low = np.concatenate([np.zeros(0), *(pairs.lam_min for pairs in layers)])
    high = np.concatenate([np.zeros(0), *(pairs.lam_max for pairs in layers)])
    gains = np.zeros((len(where), max(sizes)))
    for m in sizes if where else ():
        gains[:, m - 1] = best_gain(low, high, c, m)
    gains[gains > threshold] = 0.0
    if budget is not None and where:
        chosen_sizes = allocate(gains, budget, costs).sizes
    else:
        # Less a rounding: a share of 0.07 of 100 neurons is 7, and not 8.
        limit = most if share is None else int(np.ceil(share * len(where) * (1 - 1e-12)))
        chosen_sizes = np.ones(len(where), dtype=int)
        # Stable: ties go to the earlier layer and the earlier neuron.
        chosen_sizes[np.argsort(gains[:, -1], kind="stable")[:limit]] = max(sizes)
    splits, total, remainder = [], 0.0, 4
    attained = gains[np.arange(len(where)), chosen_sizes - 1]
    for index in np.argsort(attained, kind="stable"):  # As S2D lists them: the best first.
        if attained[index] == 0:
            break
        layer, j = where[index]
        lam_min, v_min, lam_max, v_max = (values[j] for values in layers[layer])
        m = int(chosen_sizes[index])
        scheme = _scheme(float(lam_min), v_min, float(lam_max), v_max, c, m)
        splits.append(growth.Split(layer, j, scheme.weights, scheme.directions))
        total += scheme.gain
        if not _symmetric(scheme):
            remainder = 3
    if splits:
        message = f"{len(splits)} of {len(where)} neurons are split."
    else:
        below = "negative" if threshold == 0 else f"at most {threshold:g}"
        message = f"No neuron's gain is {below}: none is split."
        if gains.any():
            message = f"A budget of {budget:g} leaves no room for a split: none is split."
    return growth.Plan(tuple(splits), size, 0.5 * total, 2, remainder, message)


def _sizes(copies: "int | str", budget: float | None) -> tuple[int, ...]:
    """The numbers of copies a neuron may be split into."""
    if isinstance(copies, str) and copies != "mixed":
        raise ValueError(f'copies must be an integer >= 2 or "mixed"; got {copies!r}.')
    if isinstance(copies, str):
        if budget is None:
            raise ValueError(
                'copies="mixed" needs a budget, the number of neurons after splitting; '
                "without one every neuron would get four copies. Use copies=4."
            )
        return (2, 3, 4)
    return (validation.as_integer(copies, "copies", at_least=2),)


def _rule(most: Any, share: Any, budget: Any, costs: Any) -> tuple[Any, Any, Any]:
    """The one rule that was asked for, checked."""
    given = [
        name
        for name, value in (("most", most), ("share", share), ("budget", budget))
        if value is not None
    ]
    if len(given) > 1:
        raise ValueError(f"give one of most, share and budget; got {' and '.join(given)}.")
    if costs is not None and budget is None:
        raise ValueError("costs needs a budget, the most that the neurons may cost together.")
    if share is not None:
        share = validation.as_scalar(share, "share", above=0, at_most=1)
    most = validation.as_integer(1 if most is None else most, "most", at_least=1)
    return most, share, costs


def _symmetric(scheme: Scheme) -> bool:
    """Whether the terms of third order cancel: every copy has its mirror image or rests."""
    copies = {(w, *d) for w, d in zip(scheme.weights, scheme.directions + 0.0, strict=True) if w}
    return copies == {(w, *(0.0 - x for x in d)) for w, *d in copies}


# Appendix C.1: how many copies each neuron gets ------------------------------------------------


class Allocation(NamedTuple):
    """How many copies each neuron is split into.

    Attributes
    ----------
    sizes : (N,) of int
        m_l >= 1; 1 leaves the neuron as it is.
    value : float
        The sum of the gains, the least possible within the budget.

    Source: S3D C.1 (S3D-C.1-IP).
    """

    sizes: np.ndarray
    value: float


def allocate(gains: Any, budget: float, costs: Any = None) -> Allocation:
    """Which neurons to split and into how many copies, for the lowest loss within a budget.

    min sum_l G[l, m_l] subject to sum_l costs[l] m_l <= budget: a knapsack with one choice a
    neuron, solved exactly. With whole costs by dynamic programming over what is left of the budget
    once every neuron has its one copy, in a table or, where that would be too large, in a list of
    the sums that occur. With other costs by that list too: an integer programme by
    `scipy.optimize.milp` holds budgets to a tolerance of a millionth only. Hundreds of neurons take
    a fraction of a second; but where gains are nearly proportional to costs that are not whole, the
    list can double with every neuron, and is given up at a million sums.

    Parameters
    ----------
    gains : (N, M)
        Column m - 1 is G_m, the gain of m copies; column 0 is zero.
    budget : float
        The number of neurons after splitting, at least N; with costs, the most that all copies
        together may cost, at least the sum of the costs.
    costs : (N,), optional
        What one copy of each neuron costs, above zero; one each by default.

    Returns
    -------
    Allocation
        With ties, fewer copies are preferred by the dynamic programme. Sums of costs that are not
        whole, 0.1 for instance, or beyond 2^53 are held to the budget up to their rounding.

    Raises
    ------
    ValueError, TypeError
        For gains whose first column is not zero, costs that are not positive, a budget that does
        not pay for the neurons there are, and a list of sums that grows too long.

    Source: S3D C.1 (S3D-C.1-IP); the costs are section 4's energy-aware variant.
    """
    gains, slack, costs = _knapsack(gains, budget, costs)
    # Sums are exact as long as what splitting all would cost is below 2^53.
    whole = bool((costs == np.round(costs)).all() and costs.sum() * gains.shape[1] < 2.0**53)
    if whole:
        unit = np.gcd.reduce(costs.astype(np.int64))
        steps = (costs / unit).astype(np.int64)
        most = int(steps.sum()) * (gains.shape[1] - 1)  # What splitting all costs: no more is used.
        room = min(int(slack // unit), most)
        if len(gains) * (room + 1) <= LARGEST_TABLE:
            sizes = _dynamic_programme(gains, steps, room)
            return Allocation(sizes, _value(gains, sizes))
    else:  # Sums of costs such as 0.1 are off by rounding.
        slack += len(gains) * np.finfo(float).eps * float(budget)
    sizes = _sparse_dynamic_programme(gains, costs, slack)
    return Allocation(sizes, _value(gains, sizes))


def _dynamic_programme(gains: np.ndarray, steps: np.ndarray, room: int) -> np.ndarray:
    """best[r] is the least sum of gains of the neurons so far with r of the budget to spend."""
    N, M = gains.shape
    best = np.zeros(room + 1)
    choice = np.zeros((N, room + 1), dtype=np.min_scalar_type(M))
    for j in range(N):
        previous = best.copy()
        for extra in range(1, M):
            spent = extra * steps[j]
            if spent > room:
                break
            candidate = previous[: room + 1 - spent] + gains[j, extra]
            better = candidate < best[spent:]
            best[spent:][better] = candidate[better]
            choice[j, spent:][better] = extra
    sizes, left = np.ones(N, dtype=int), room
    for j in range(N - 1, -1, -1):
        sizes[j] += choice[j, left]
        left -= choice[j, left] * steps[j]
    return sizes


def _sparse_dynamic_programme(gains: np.ndarray, costs: np.ndarray, slack: float) -> np.ndarray:
    """The same for costs of any size: a list of what is spent and gained in place of a table.

    Dropped are states that spend no less than another and gain no more, and those that fall short
    of an allocation that is known even with all that the linear relaxation could still add.
    """
    N, M = gains.shape
    hulls = [_hull(gains[j], costs[j]) for j in range(N)]
    # The neurons about whom the relaxation is least sure come last, when the bound is sharp.
    every = np.concatenate([np.zeros((2, 0)), *hulls], axis=1)
    every = every[:, np.argsort(every[1] / every[0], kind="stable")]
    fits = np.cumsum(every[0]) <= slack
    known = every[1, : int(np.argmin(fits)) if not fits.all() else None].sum()
    critical = 0.0 if fits.all() else every[1, np.argmin(fits)] / every[0, np.argmin(fits)]
    sure = [np.abs(h[1] / h[0] - critical).min(initial=np.inf) for h in hulls]
    order = np.argsort(-np.array(sure), kind="stable")
    spent, gained = np.zeros(1), np.zeros(1)
    margin = 1e-12 * np.abs(gains).max(initial=0.0)
    steps = []
    for k, j in enumerate(order):
        size = np.repeat(np.arange(M), len(spent))
        parent = np.tile(np.arange(len(spent)), M)
        spent, gained = spent[parent] + costs[j] * size, gained[parent] + gains[j, size]
        keep = np.lexsort((gained, spent))
        keep = keep[spent[keep] <= slack]
        best = np.minimum.accumulate(gained[keep])
        keep = keep[np.append(True, gained[keep][1:] < best[:-1])]
        rest = np.concatenate([np.zeros((2, 1)), *(hulls[i] for i in order[k + 1 :])], axis=1)
        rest[:, 1:] = rest[:, 1 + np.argsort(rest[1, 1:] / rest[0, 1:], kind="stable")]
        bound = gained[keep] + np.interp(slack - spent[keep], *np.cumsum(rest, axis=1))
        known = min(known, gained[keep].min())
        keep = keep[bound <= known + margin]
        if len(keep) > LARGEST_LIST:
            raise ValueError(
                f"costs and gains leave more than {LARGEST_LIST} sums to compare, for they are "
                "nearly proportional. Round the costs to whole multiples of a larger unit."
            )
        spent, gained = spent[keep], gained[keep]
        steps.append((parent[keep], size[keep]))
    sizes, state = np.ones(N, dtype=int), int(np.argmin(gained))
    for j, (parent, size) in zip(order[::-1], steps[::-1], strict=True):
        sizes[j] += size[state]
        state = parent[state]
    return sizes


def _hull(gains: np.ndarray, cost: float) -> np.ndarray:
    """The edges of the lower convex hull of a neuron's gains: costs and (falling) gains (2, k)."""
    corners = [0]
    for m in range(1, len(gains)):
        if gains[m] >= gains[corners[-1]]:
            continue
        while len(corners) > 1:
            a, b = corners[-2:]
            if (gains[b] - gains[a]) * (m - b) < (gains[m] - gains[b]) * (b - a):
                break
            corners.pop()
        corners.append(m)
    return np.array([cost * np.diff(corners), np.diff(gains[corners])])


def _constraints(spent: np.ndarray, slack: float) -> tuple[Any, np.ndarray]:
    """At most one size for each neuron, and the budget, in units of the budget."""
    N, choices = spent.shape
    unit = max(slack, float(spent.max()))
    one_each = sparse.kron(sparse.eye_array(N), np.ones((1, choices)))
    rows = sparse.vstack([one_each, sparse.csr_array(spent.reshape(1, -1) / unit)], format="csr")
    return rows, np.array([*[1.0] * N, max(slack, 0.0) / unit])


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The linear relaxation of `allocate`.

    Attributes
    ----------
    shares : (N, M)
        p[l, m - 1], the paper's probability of splitting neuron l into m copies; rows sum to one.
    value : float
        A lower bound on what `allocate` attains.
    integral : bool
        Whether all shares are zero or one: then they are an optimal allocation.

    Source: S3D C.1 (S3D-C.1-LP).
    """

    shares: np.ndarray
    value: float
    integral: bool


def allocate_relaxed(gains: Any, budget: float, costs: Any = None) -> Relaxation:
    """The knapsack with shares of copies in place of whole ones: a bound, not always a plan.

    min sum p[l, m] G[l, m] subject to sum costs[l] m p[l, m] <= budget, rows of p summing to one.
    For unit costs and a whole budget its value is that of `allocate` whenever every neuron's gains
    are convex in m, each further copy gaining no more than the one before; otherwise it can be
    lower, and then its solution is no way to split.

    Parameters and Raises as for `allocate`.

    Returns
    -------
    Relaxation

    Source: S3D C.1 (S3D-C.1-LP), which solves the knapsack this way "in practice".
    """
    gains, slack, costs = _knapsack(gains, budget, costs)
    N, M = gains.shape
    if M == 1:
        return Relaxation(np.ones((N, 1)), 0.0, True)
    rows, limits = _constraints(np.outer(costs, np.arange(1, M)), slack)
    scale = max(float(np.abs(gains).max()), np.finfo(float).tiny)
    found = optimize.linprog(gains[:, 1:].ravel() / scale, A_ub=rows, b_ub=limits, bounds=(0, 1))
    shares = np.clip(found.x.reshape(N, M - 1), 0.0, 1.0)
    shares = np.column_stack([np.maximum(1 - shares.sum(axis=1), 0.0), shares])
    integral = bool(np.abs(shares - np.round(shares)).max() < 1e-7)  # The solver's tolerance.
    return Relaxation(shares, float((shares * gains).sum()), integral)


def _knapsack(gains: Any, budget: Any, costs: Any) -> tuple[np.ndarray, float, np.ndarray]:
    """Gains, what the budget leaves for further copies, and costs, checked."""
    gains = validation.as_array(gains, "gains", ("N", "M"))
    if gains[:, 0].any():
        j = int(np.flatnonzero(gains[:, 0])[0])
        raise ValueError(
            f"gains[:, 0] must be zero, the gain of one copy; got {gains[j, 0]:g} for neuron {j}."
        )
    budget = validation.as_scalar(budget, "budget")
    rounding = len(gains) * np.finfo(float).eps * budget
    costs = np.ones(len(gains)) if costs is None else costs
    costs = validation.as_array(costs, "costs", (len(gains),), hint="One for each row of gains.")
    if costs.min() <= 0:
        j = int(np.argmin(costs))
        raise ValueError(f"costs must be above 0; got {costs[j]:g} for neuron {j}.")
    if budget + rounding < costs.sum():
        raise ValueError(
            f"budget must be at least {costs.sum():.15g}, what the {len(gains)} neurons cost "
            f"before splitting; got {budget:.15g}."
        )
    return gains, max(budget - float(costs.sum()), 0.0), costs


def _value(gains: np.ndarray, sizes: np.ndarray) -> float:
    return float(gains[np.arange(len(gains)), sizes - 1].sum())


# Appendix C.3: eigenpairs by products with a vector ---------------------------------------------


def splitting_products(C: Any, X: Any, V: Any) -> np.ndarray:
    """Every neuron's splitting matrix times a vector, without forming it: X^T (c_j * (X v_j)).

    4 m n d operations and no array of d^2 numbers. With C the weights that `kernels.weighted_grams`
    takes this is S_j v_j.

    Parameters
    ----------
    C : (m, n)
    X : (n, d)
    V : (m, d)
        One vector a neuron.

    Returns
    -------
    (m, d)

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other.

    Source: S3D C.3 (S3D-C.3-Sv), which has it by automatic differentiation.
    """
    X = validation.as_array(X, "X", ("n", "d"))
    C = validation.as_array(C, "C", ("m", len(X)))
    V = validation.as_array(V, "V", (len(C), X.shape[1]))
    return (C * (V @ X.T)) @ X


def largest_rayleigh_step(lam_min: Any, lam_max: Any) -> Any:
    """The supremum of the steps for which `rayleigh_descent` converges at a linear rate.

    1 / (lam_max - lam_min). Below it the share of every eigenvector but the wanted one shrinks from
    any start that has some of the wanted one; at it, as slowly as 1 / sqrt(k); above it the wanted
    one repels. Ascent has the same.

    Parameters
    ----------
    lam_min, lam_max : array_like
        The extreme eigenvalues.

    Returns
    -------
    float, or ndarray of the shape they broadcast to
        inf where all eigenvalues are equal: every vector is an eigenvector.

    Raises
    ------
    ValueError, TypeError
        For lam_min > lam_max and numbers that are not finite.

    Source: S3D C.3 (S3D-C.3-RQ), where no step is given.
    """
    lam_min, lam_max = _ordered(lam_min, lam_max)
    with np.errstate(divide="ignore", over="ignore"):
        return _number_or_array(0.5 / (0.5 * lam_max - 0.5 * lam_min))  # Halves do not overflow.


@dataclass(frozen=True, eq=False)
class RayleighDescent:
    """Where gradient descent on the Rayleigh quotients ended.

    Attributes
    ----------
    eigenvalues : (m,)
        The Rayleigh quotients.
    vectors : (m, d)
        Of norm one.
    residuals : (m,)
        |S v - lam v|.
    history : (nit + 1, m)
        The quotients at every iterate.
    nit : int
    success : bool
        Whether every residual is at most tol times the largest |quotient| seen.
    status : int
        0 converged, 1 all steps taken.
    message : str

    Source: S3D C.3 (S3D-C.3-RQ).
    """

    eigenvalues: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    history: np.ndarray
    nit: int
    success: bool
    status: int
    message: str


def rayleigh_descent(
    product: Callable[[np.ndarray], np.ndarray],
    start: Any,
    step: Any,
    *,
    steps: int = 1000,
    tol: float = 1e-8,
    ascent: bool = False,
    normalise: bool = True,
) -> RayleighDescent:
    """The smallest eigenvalue of every neuron by gradient descent on R(v) = v^T S v / v^T v.

    v <- v - step * 2 (S v - R(v) v) / |v|^2 for all neurons at once, then v <- v / |v|. With the
    normalisation it converges for steps below `largest_rayleigh_step`. Without it, the gradient is
    orthogonal to v, |v| grows, and the steps shorten by themselves.

    Parameters
    ----------
    product : callable
        V (m, d) to the rows S_j v_j, for instance
        ``lambda V: splitting_products(C, X, V)``.
    start : (m, d)
        No row zero.
    step : float or (m,)
        > 0.
    steps : int
        At most this many.
    tol : float
        >= 0. Stops when every residual is at most tol times the largest |quotient| of its neuron
        so far; zero never stops early.
    ascent : bool
        Towards the largest eigenvalue instead.
    normalise : bool

    Returns
    -------
    RayleighDescent

    Raises
    ------
    ValueError, TypeError
        For steps that are not positive, a row of zeros, a product of another shape or not finite.

    Source: S3D C.3 (S3D-C.3-RQ).
    """
    V = validation.as_array(start, "start", ("m", "d")).copy()
    if not V.any(axis=1).all():
        row = int(np.flatnonzero(~V.any(axis=1))[0])
        raise ValueError(f"start must have no row of zeros; row {row} is zero.")
    step = validation.as_array(step, "step", None)
    if step.shape not in ((), (len(V),)):
        raise ValueError(f"step must be a number or one a row of start; got shape {step.shape}.")
    step = np.broadcast_to(step, len(V))
    if step.min() <= 0:
        raise ValueError(f"step must be above 0; got {step.min():g}.")
    steps = validation.as_integer(steps, "steps", at_least=0)
    tol = validation.as_scalar(tol, "tol", at_least=0)
    sign = -1.0 if validation.as_bool(ascent, "ascent") else 1.0
    if validation.as_bool(normalise, "normalise"):
        V /= np.linalg.norm(V, axis=1, keepdims=True)
    history: list[np.ndarray] = []
    largest = np.zeros(len(V))
    while True:
        SV = validation.as_array(product(V), "product(V)", V.shape)
        square = (V * V).sum(axis=1)
        quotients = (V * SV).sum(axis=1) / square
        deviation = SV - quotients[:, None] * V
        residuals = np.linalg.norm(deviation, axis=1) / np.sqrt(square)
        history.append(quotients)
        largest = np.maximum(largest, np.abs(quotients))
        converged = bool((residuals <= tol * largest).all())
        if converged or len(history) > steps:
            break
        V = V - sign * (2 * step / square)[:, None] * deviation
        if normalise:
            V /= np.linalg.norm(V, axis=1, keepdims=True)
    return RayleighDescent(
        eigenvalues=quotients,
        vectors=kernels.signed(V / np.sqrt(square)[:, None]),
        residuals=residuals,
        history=np.array(history),
        nit=len(history) - 1,
        success=converged,
        status=0 if converged else 1,
        message="Every residual is at most tol." if converged else "All steps were taken.",
    )


# Small helpers --------------------------------------------------------------------------------


def _matrix(S: Any) -> np.ndarray:
    """One symmetric matrix; `validation.as_symmetric` takes stacks as well."""
    S = validation.as_array(S, "S", ("d", "d"))
    return validation.as_symmetric(validation.as_array(S, "S", ("d", len(S))), "S")


def _extremes(lam_min: Any, lam_max: Any, c: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """c, max(-lam_min, 0) and max(lam_max, 0), checked."""
    lam_min, lam_max = _ordered(lam_min, lam_max)
    c = validation.as_array(c, "c", None)
    if c.min() < 1:
        raise ValueError(f"c must be at least 1; got {c.min():g}.")
    low, high = np.maximum(-lam_min, 0.0), np.maximum(lam_max, 0.0)
    with np.errstate(over="ignore"):
        if not np.isfinite(c * (low + high)).all():
            raise ValueError("lam_min, lam_max and c are too large: a gain overflows.")
    return c, low, high


def _ordered(lam_min: Any, lam_max: Any) -> tuple[np.ndarray, np.ndarray]:
    lam_min = validation.as_array(lam_min, "lam_min", None)
    lam_max = validation.as_array(lam_max, "lam_max", None)
    wrong = lam_min > lam_max
    if wrong.any():
        raise ValueError(
            "lam_min must not be above lam_max; got "
            f"{np.broadcast_to(lam_min, wrong.shape)[wrong].flat[0]:g} and "
            f"{np.broadcast_to(lam_max, wrong.shape)[wrong].flat[0]:g}."
        )
    return lam_min, lam_max


def _number_or_array(values: np.ndarray) -> Any:
    return float(values) if np.ndim(values) == 0 else values
