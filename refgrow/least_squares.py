"""Least squares on a layer's activations: as fast as their second moments, as exact as themselves.

Normal equations cost one symmetric product and lose half the digits. One more pass over the
activations returns them: the residual V - B W is formed from B itself and solved for again, until
the correction stands (iterative refinement; Bjorck's corrected semi-normal equations). Columns are
scaled to norm one first. Dead columns are left out, dependent ones are found by pivoting, and then
put to the test on the activations, since moments cannot tell a distance of 1e-8 from none.

Where moments cannot decide - a condition number of the scaled columns of about 1e6 and more - an
orthogonal factor decides, five to ten times as slowly for tall matrices.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from refgrow import networks

EPS = float(np.finfo(float).eps)
# Square of the distance to the span of the others below which a column of norm one is taken for
# one of them, until the activations are asked: up to there refinement gains two digits a pass.
PIVOT = 1e-11
# The same where only the moments are known and nobody can be asked: some 1000 roundings.
PIVOT_MOMENTS = 1e-12
PASSES = 5  # of refinement, before it is given up
CONVERGED = 3e-14  # the error left after a pass, relative to V
ACCEPTED = 1e-11  # the same where rounding stops it
# Numbers in a block of activations, which is used twice while it is in the cache. Larger ones fit,
# too, but for few right-hand sides OpenBLAS may take half the time where matrices are small.
BLOCK = 50_000
ROWS = 1024  # a larger block, whose live columns are copied and used while in the cache
NEAR = 1e-2  # distance to the others from which on combinations lose digits that matter
FAR = 1e6  # from where on a rough estimate will do
RESOLVED = 1e-5  # singular values, relative to the norm, whose squares the moments know to 1e-6
MODERATE = 1e100  # sums of squares of numbers up to here neither overflow nor vanish


class Regression(NamedTuple):
    """The W of least norm that minimises |V - B W|, and what B W looks like.

    Attributes
    ----------
    weights : (q, p)
    root : (r, p)
        root^T root = (B W)^T (B W) / n: its singular values are those of B W over sqrt(n).
    rank : int
        No less than the rank of B W.
    noise : float
        Singular values of `root` up to here are rounding.

    Source: TINY Prop 3.1 (TINY-Prop-3.1).
    """

    weights: np.ndarray
    root: np.ndarray
    rank: int
    noise: float


def regress(
    B: np.ndarray, V: np.ndarray, cutoff: float | None = None, *, relative: float | None = None
) -> Regression:
    """Refined moments where they will do, orthogonal factors where they will not.

    A cut keeps the weights small: |W| <= |V| / cutoff, whatever the columns are.

    Parameters
    ----------
    B : (n, q)
        Finite; the callers check.
    V : (n, p)
    cutoff : float, optional
        Singular values of B up to here count as zero; by default what NumPy and SciPy take for
        rounding, max(n, q) roundings of the largest.
    relative : float, optional
        The same as a part of the largest, like NumPy's rcond; the larger of the two counts.

    Returns
    -------
    Regression

    Raises
    ------
    ValueError
        Where the weights overflow.

    Source: TINY Prop 3.1 (TINY-Prop-3.1), appendix B.3 (TINY-B.3).
    """
    found = _by_moments(B, V, cutoff) if relative is None else None
    weights, root, rank = found or _without_moments(B, V, cutoff, relative)
    networks.refuse_overflow([weights], "the regression on the activations")
    # What V itself does not have, its projection has not either, whatever rounding says.
    short = V if len(V) <= V.shape[1] else _triangle(V)
    goals = np.linalg.svd(short, compute_uv=False)
    noise = max(*B.shape, V.shape[1]) * EPS * goals[0]
    rank = min(rank, int((goals > noise).sum()))
    scale = 1 / np.sqrt(len(B))
    return Regression(weights, root * scale, rank, noise * scale)


def largest(B: np.ndarray) -> float:
    """The largest singular value.

    Parameters
    ----------
    B : (n, q)

    Returns
    -------
    float
        To half the digits where it is near the others.

    Source: TINY appendix B.3 (TINY-B.3).
    """
    from scipy.linalg import eigh

    scale = float(np.abs(B).max(initial=0.0))
    if not scale:
        return 0.0
    A = B / scale
    S = A.T @ A if len(A) > A.shape[1] else A @ A.T
    top = eigh(S, eigvals_only=True, subset_by_index=[len(S) - 1, len(S) - 1], check_finite=False)
    return scale * float(np.sqrt(top[0]))


def _without_moments(
    B: np.ndarray, V: np.ndarray, cutoff: float | None, relative: float | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """By the columns that are not dead: less to decompose."""
    weights = np.zeros((B.shape[1], V.shape[1]))
    live = _live(B)
    if not len(live):
        return weights, weights[:1], 0
    A = B if len(live) == B.shape[1] else np.take(B, live, axis=1)
    if relative is None:
        found, root, rank = _by_factors(A, V, cutoff)
    else:
        cuts = cutoff or 0.0, relative
        found, root, rank = _by_spectrum(A, V, *cuts) or _by_factors(A, V, *cuts)
    weights[live] = found
    return weights, root, rank


def _by_spectrum(
    B: np.ndarray, V: np.ndarray, cutoff: float, relative: float
) -> tuple[np.ndarray, np.ndarray, int] | None:
    """The eigenvectors of the moments above both cuts, corrected once by the activations' residual.

    None where the cut is so low that moments cannot tell what is above it.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        S, N = B.T @ B, B.T @ V
    if not 1 / MODERATE < S.trace() < MODERATE or not np.abs(N).max() < MODERATE:
        return None
    if max(cutoff, relative * np.sqrt(S.trace())) <= RESOLVED * np.sqrt(S.trace()):
        return None
    squares, Q = np.linalg.eigh(S)
    kept = squares > max(cutoff, relative * np.sqrt(squares[-1])) ** 2
    if not kept.any():
        return np.zeros_like(N), np.zeros_like(N[:1]), 0
    squares, Q = squares[kept, None], Q[:, kept]
    W = Q @ (Q.T @ N / squares)
    W += Q @ (Q.T @ (B.T @ (V - B @ W)) / squares)
    return W, np.sqrt(squares) * (Q.T @ W), int(kept.sum())


def _triangle(A: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.qr(A, mode="r"))


def _live(B: np.ndarray) -> np.ndarray:
    """The columns that are not zero throughout; most often the first rows show that all are."""
    live = np.asarray(B[:ROWS].any(axis=0))
    return np.flatnonzero(live if live.all() else live | B[ROWS:].any(axis=0))


def _products(B: np.ndarray, live: np.ndarray) -> np.ndarray:
    """The lower triangle of B^T B for the columns `live`.

    Which are copied if others are dead, in blocks of rows: a copy of all costs as much as it saves.
    """
    from scipy.linalg import blas

    S = np.zeros((len(live), len(live)), order="F")
    whole = len(live) == B.shape[1]
    length = len(B) if whole else ROWS
    for rows in (slice(a, a + length) for a in range(0, len(B), length)):
        A = B[rows] if whole else np.take(B[rows], live, axis=1)
        S = blas.dsyrk(1.0, A.T, beta=1.0, c=S, overwrite_c=1)
    return np.asarray(S.T)


def _by_factors(
    B: np.ndarray, V: np.ndarray, cutoff: float | None, relative: float = 0.0
) -> tuple[np.ndarray, np.ndarray, int]:
    """R of [B V] = Q R, then the singular value decomposition of B's part: always right."""
    (n, q), root = B.shape, np.column_stack([B, V])
    if n > q:
        root = _triangle(root)[:q]
    U, s, Vt = np.linalg.svd(root[:, :q], full_matrices=False)
    lowest = max(n, q) * EPS * s[0] if not cutoff else cutoff
    rank = int((s > max(lowest, relative * s[0])).sum())
    image = U[:, :rank].T @ root[:, q:]
    with np.errstate(over="ignore", invalid="ignore"):  # Refused by the caller.
        return Vt[:rank].T @ (image / s[:rank, None]), image, rank


def _by_moments(
    B: np.ndarray, V: np.ndarray, cutoff: float | None
) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Normal equations, corrected by the activations' own residual; None where they cannot decide.

    The columns that pivoting takes for combinations of the others are put to the test: random sums
    of them, less what the others make of these sums, must vanish in the activations.
    """
    live, (n, q), p = _live(B), B.shape, V.shape[1]
    if not len(live):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        # V.T @ B takes two thirds of the time of B.T @ V, and so with W.T @ B.T below.
        S, N = _products(B, live), (V.T @ B).T
        total = S.trace()
    if not 1 / MODERATE < total < MODERATE or not np.abs(N).max() < MODERATE:
        return None
    rounding = max(n, len(live)) * EPS
    lowest = rounding * np.sqrt(total) if cutoff is None else cutoff
    dead = EPS * np.sqrt(total) if cutoff is None else cutoff
    normal = _Normal.of(S, dead, PIVOT).among(live, q)
    if normal.smallest(lowest) <= lowest:
        return None
    if len(normal.rest) and normal.factor.diagonal().min() < NEAR:
        normal = normal.corrected(B)
    kept, rest = normal.kept, normal.rest
    goals = V
    W = np.zeros((q, p + 3 * (len(rest) > 0)))
    normal.solve(N, W[:, :p])
    if len(rest):
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(len(rest), 3))
        W[rest, p:] = signs / normal.norms[rest, None]
        W[kept, p:] = -normal.combination @ W[rest, p:]
        goals = np.column_stack([V, np.zeros((n, 3))])
    sizes = np.sqrt(np.einsum("ij,ij->j", goals, goals))
    sizes[p:] = np.sqrt(len(rest))
    image = _refine(B, goals, W, normal, sizes)
    if image is None:
        return None
    left = np.linalg.norm(image[:, p:], axis=0)
    if (left > 4 * rounding * sizes[p:]).any():
        return None
    root: np.ndarray = image[:, :p]
    if n > p:
        root = _triangle(root)
    return W[:, :p], root, normal.rank


def _refine(
    B: np.ndarray, goals: np.ndarray, W: np.ndarray, normal: "_Normal", sizes: np.ndarray
) -> np.ndarray | None:
    """Corrects W in place by the residual of the activations, until it stands; B W, or None.

    Its moves are of least norm, so W remains what it was in this respect.
    """
    before, image = sizes, np.zeros_like(goals)
    for _ in range(PASSES if normal.rank else 0):
        step = normal.half(_gradient(B, goals, W, image))
        moved = np.linalg.norm(step, axis=0)
        move = np.zeros_like(W)
        move[normal.kept] = normal.other_half(step)
        normal.spread(move)
        W += move
        # It falls by the same factor a pass, so this is what the next one would move.
        if (moved * moved <= CONVERGED * sizes * before).all():
            return image if (moved <= CONVERGED * sizes).all() else (W.T @ B.T).T
        before = moved
    return (W.T @ B.T).T if (before <= ACCEPTED * sizes).all() else None


def _gradient(B: np.ndarray, goals: np.ndarray, W: np.ndarray, image: np.ndarray) -> np.ndarray:
    """B^T (goals - B W), and B W into image."""
    gradient = np.zeros_like(W)
    length = max(BLOCK // B.shape[1], W.shape[1])
    for rows in (slice(a, a + length) for a in range(0, len(B), length)):
        image[rows] = B[rows] @ W
        gradient += B[rows].T @ (goals[rows] - image[rows])
    return gradient


@dataclass(frozen=True, eq=False)
class _Normal:
    """Pivoted Cholesky factor of a Gram matrix, overwritten, whose columns are scaled to norm one.

    The columns `kept` are independent, `rest` is B[:, kept] @ combination up to the tolerance, and
    columns in neither are dead. Of the Gram matrix only the lower triangle is read.
    """

    factor: np.ndarray
    kept: np.ndarray
    rest: np.ndarray
    norms: np.ndarray
    combination: np.ndarray

    @classmethod
    def of(cls, S: np.ndarray, dead: float, tolerance: float) -> Self:
        from scipy.linalg import lapack

        norms = np.sqrt(np.maximum(S.diagonal(), 0.0))
        live = np.flatnonzero(norms > dead)
        if not len(live):
            none = np.zeros((0, 0))
            return cls(none, live, live, norms, none)
        scaled = S[np.ix_(live, live)] if len(live) < len(S) else S
        scaled *= 1 / norms[live]
        scaled *= 1 / norms[live, None]
        # The transpose is what Fortran expects; no copy is made.
        factor, order, rank, _ = lapack.dpstrf(scaled.T, tol=tolerance, overwrite_a=1)
        places = live[order - 1]
        kept, rest = places[:rank], places[rank:]
        R = np.asfortranarray(factor[:rank, :rank])
        combination = lapack.dtrtrs(R, factor[:rank, rank:])[0]
        combination *= norms[rest] / norms[kept, None]
        return cls(R, kept, rest, norms, combination)

    def among(self, places: np.ndarray, q: int) -> Self:
        """The same of q columns, of which those at other places are dead."""
        norms = np.zeros(q)
        norms[places] = self.norms
        return replace(self, kept=places[self.kept], rest=places[self.rest], norms=norms)

    def corrected(self, B: np.ndarray) -> Self:
        """With the combinations refined by the activations: least norm rests on them."""
        W = np.zeros((B.shape[1], len(self.rest)))
        W[self.rest], W[self.kept] = -np.eye(len(self.rest)), self.combination
        nothing = np.zeros((len(B), len(self.rest)))
        gradient = _gradient(B, nothing, W, nothing.copy())
        return replace(self, combination=self.combination + self.other_half(self.half(gradient)))

    @property
    def rank(self) -> int:
        return len(self.kept)

    def smallest(self, lowest: float) -> float:
        """An estimate of the smallest singular value of the columns kept; rough far above lowest.

        The last pivot is within a factor of ten or so of it, and no proof says better than 2^q.
        """
        from scipy.linalg import lapack

        if not self.rank:
            return np.inf
        rough = float(self.factor.diagonal().min() * self.norms[self.kept].min())
        if rough > FAR * lowest:
            return rough
        reciprocal, _ = lapack.dtrcon(self.factor)
        return float(reciprocal * self.norms[self.kept].min())

    def half(self, N: np.ndarray) -> np.ndarray:
        """R^-T N: of the norm of the move of the activations, column by column."""
        from scipy.linalg import lapack

        scaled = N[self.kept] / self.norms[self.kept, None]
        return lapack.dtrtrs(self.factor, scaled, trans=1)[0]

    def other_half(self, M: np.ndarray) -> np.ndarray:
        """R^-1 M: weights of the columns kept."""
        from scipy.linalg import lapack

        return lapack.dtrtrs(self.factor, M)[0] / self.norms[self.kept, None]

    def solve(self, N: np.ndarray, W: np.ndarray) -> None:
        """Into W, the solution of S W = N of least norm."""
        if self.rank:
            W[self.kept] = self.other_half(self.half(N))
            self.spread(W)

    def spread(self, W: np.ndarray) -> None:
        """Share the weights with the dependent columns: the same B W, of least norm."""
        C = self.combination
        if C.size == 0:
            return
        alone = W[self.kept] + C @ W[self.rest]
        if C.shape[1] < C.shape[0]:
            W[self.rest] = np.linalg.solve(C.T @ C + np.eye(C.shape[1]), C.T @ alone)
            W[self.kept] = alone - C @ W[self.rest]
        else:
            W[self.kept] = np.linalg.solve(C @ C.T + np.eye(C.shape[0]), alone)
            W[self.rest] = C.T @ W[self.kept]


def regress_moments(S: np.ndarray, N: np.ndarray) -> Regression:
    """The same from second moments alone, at half the digits.

    Parameters
    ----------
    S : (q, q)
        B^T B / n, symmetric.
    N : (q, p)
        B^T V / n.

    Returns
    -------
    Regression

    Raises
    ------
    ValueError
        For numbers too large to be multiplied.

    Source: TINY Prop 3.2 (TINY-Prop-3.2-weights), appendix B.3 (TINY-B.3).
    """
    if not S.trace() < MODERATE or not np.abs(N).max() < MODERATE:
        raise ValueError("the moments are too large to be factored. Rescale the activations.")
    normal = _Normal.of(S.copy(), EPS * np.sqrt(max(S.trace(), 0.0)), PIVOT_MOMENTS)
    weights = np.zeros_like(N)
    normal.solve(N, weights)
    root = normal.half(N) if normal.rank else np.zeros((1, N.shape[1]))
    goals = np.linalg.svd(N, compute_uv=False)
    rank = min(normal.rank, int((goals > max(N.shape) * EPS * goals[0]).sum()))
    return Regression(weights, root, rank, max(N.shape) * EPS * float(np.linalg.norm(root)))
