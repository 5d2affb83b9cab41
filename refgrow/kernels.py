"""The curvature of every neuron of a layer: weighted Gram matrices, and the ends of their spectra.

The splitting matrix of neuron j is a weighted Gram matrix,
S_j = sum_l C[j, l] x_l x_l^T: one symmetric product for each neuron with weights of both signs.
`np.einsum` and a loop of products `(X.T * c) @ X` compute both halves of each matrix and form the
same products x_la x_lb anew for every neuron. Here a compiled loop writes the d (d + 1) / 2
products of a block of samples once, for all neurons, and one matrix product `C_block @ products`
does the rest: half the arithmetic, at the speed of BLAS. That pays as long as there are enough
neurons to share the products; below, each neuron's samples are sorted by the sign of their weight
and given to the symmetric product of BLAS. See `weighted_grams`.

Of these matrices growing needs the lowest eigenpair, and for signed splits the highest. At the size
of images they are found without a matrix, from products S_j v = X^T (C[j] * (X v)) with a vector
for each neuron: two matrix products for all. The bookkeeping between the products, vectors against
a growing basis and the ends of small tridiagonal matrices, is compiled; for small d matrices are
formed and LAPACK finds the rest. See `extreme_eigenpairs`.

What is not here is as deliberate: matrix products and factorisations are the work of BLAS and
LAPACK, and loops over layers or over neurons cost nothing beside them.

Conventions: `_name_py` is the plain function, `_name` the compiled one. A core takes C-contiguous
float64 arrays and scalars that its public function has checked, and writes to arrays it is given.
"""

from typing import Any

import numpy as np
from scipy.linalg.blas import dgemm, dsyrk
from scipy.linalg.lapack import dormqr, dsytrd

from refgrow import validation
from refgrow._jit import jit

# ------------------------------------------------------------------ weighted Gram matrices

# Sizes in numbers of float64, found by timing powers of two on a core with 1 MB of second-level
# cache; around these values the times are flat. Together the buffers stay below 32 MB.
_TILE = 512  # pairs of features in a tile of products ...
_PRODUCTS = 2**16  # ... of 512 kB, which fixes the samples of a block
_SUMS = 2**20  # sums over samples held at a time, 8 MB
_NEURONS = 2**11  # rows of C at a time, so that the sums of one tile are no more than that
_SCALED = 2**19  # scaled samples of one neuron, 4 MB

# Writing a product costs as much as the arithmetic of about ten neurons on it, and the symmetric
# product of BLAS loses half its speed at small d. Timed over m in 1, 2, 4, ..., 64 and d in 4, 8,
# ..., 785, with the AVX2 and the AVX-512 loops of OpenBLAS, the times cross near m = 2, 3, 5, 8,
# 17, 26, 35, 55 neurons at d = 4, 8, 16, 32, 64, 100, 128, 200: about d / 4.
_FEATURES_A_NEURON = 4


def weighted_grams(C: Any, X: Any) -> np.ndarray:
    """The matrices out[j] = Σ_l C[j, l] x_l x_l^T, one for each neuron.

    With C the second derivatives of the loss along the neurons these are the splitting matrices:
    their lowest eigenvalues say which neurons to split, the eigenvectors where to.

    Parameters
    ----------
    C : (m, n) array_like
        A weight of any sign for each neuron and sample.
    X : (n, d) array_like
        Samples in rows, as the neurons see them.

    Returns
    -------
    (m, d, d) ndarray
        Exactly symmetric.

    Raises
    ------
    TypeError, ValueError
        For input that is not a finite real matrix, or sizes that do not match.

    Notes
    -----
    m n d (d + 1) operations. With m >= d / 4 neurons the products of features are shared among
    them; with fewer, each matrix is a difference of two symmetric products, over the samples of
    positive and of negative weight. Below 32 MB beside the result.

    Source: S2D-Def-2.1 and S2D-Eq-5, for neurons sigma(theta · x).
    """
    X = validation.as_array(X, "X", ("n", "d"))
    hint = f"One column for each of the {len(X)} rows of X."
    return _grams(validation.as_array(C, "C", ("m", len(X)), hint=hint), X)


def _grams(C: np.ndarray, X: np.ndarray) -> np.ndarray:
    m, d = len(C), X.shape[1]
    out = np.zeros((m, d, d))
    if 1 < m and d <= _FEATURES_A_NEURON * m:
        for first in range(0, m, _NEURONS):
            _grams_shared(C[first : first + _NEURONS], X, out[first : first + _NEURONS])
    else:
        for c, S in zip(C, out, strict=True):
            _gram_by_sign(c, X, S)
    return out


def _grams_shared(C: np.ndarray, X: np.ndarray, out: np.ndarray) -> None:
    """All matrices at once: the pairs (a, b), a <= b, of features are the columns of one product.

    The pairs are cut in tiles and the samples in blocks, such that a tile of products stays in the
    cache between the loop that writes it and the matrix product that reads it.
    """
    (m, n), d = C.shape, X.shape[1]
    pairs = d * (d + 1) // 2
    tiles, width = _even_parts(pairs, _TILE)
    _, block = _even_parts(n, _PRODUCTS // width)
    together = min(tiles, max(1, _SUMS // (m * width)))  # tiles whose sums are held at a time
    buffer = np.zeros(width * block)
    sums = np.empty((together, m, width))
    a = b = next_a = next_b = 0
    for first in range(0, tiles, together):
        held = sums[: tiles - first]
        held[:] = 0.0
        for start in range(0, n, block):
            weights = np.ascontiguousarray(C[:, start : start + block])
            features = np.ascontiguousarray(X[start : start + block].T)
            products = buffer[: width * features.shape[1]].reshape(width, -1)
            next_a, next_b = a, b
            for total in held:
                next_a, next_b = _products(features, next_a, next_b, products)
                # total += weights @ products.T; BLAS counts columns first, so all are transposed.
                dgemm(1.0, products.T, weights.T, 1.0, total.T, trans_a=1, overwrite_c=1)
        _unpack(held, a, b, out)
        a, b = next_a, next_b


def _even_parts(size: int, largest: int) -> tuple[int, int]:
    """The number of parts of a range, and their size, nearly equal and at most the largest."""
    count = -(-size // largest)
    return count, -(-size // count)


def _products_py(features, a, b, out):
    # Row by row the products of the pair (a, b) of features and of those that follow it in the
    # order (0,0) (0,1) ... (0,d-1) (1,1) ...; returns the pair that comes next. Rows beyond the
    # last pair are left as they are. Samples run along the rows: the inner loop is long for any d.
    d, n = features.shape
    for row in range(out.shape[0]):
        if a == d:
            break
        for i in range(n):
            out[row, i] = features[a, i] * features[b, i]
        b += 1
        if b == d:
            a += 1
            b = a
    return a, b


_products = jit(_products_py)


def _unpack_py(sums, a, b, out):
    # Tiles of sums, of which the first begins at the pair (a, b), into both halves of the matrices.
    d = out.shape[1]
    first_a, first_b = a, b
    for j in range(out.shape[0]):
        a, b = first_a, first_b
        for tile in range(sums.shape[0]):
            for pair in range(sums.shape[2]):
                if a == d:
                    break
                out[j, a, b] = sums[tile, j, pair]
                out[j, b, a] = sums[tile, j, pair]
                b += 1
                if b == d:
                    a += 1
                    b = a


_unpack = jit(_unpack_py)


def _gram_by_sign(c: np.ndarray, X: np.ndarray, out: np.ndarray) -> None:
    """One matrix: Σ_{c>0} z z^T - Σ_{c<0} z z^T with z = sqrt|c| x, a symmetric product each."""
    n, d = X.shape
    block = min(n, max(_SCALED // d, 1))
    Z = np.empty((block, d))
    S = out.T  # BLAS counts columns first: it fills the lower half of `out`
    for start in range(0, n, block):
        part = c[start : start + block]
        positive, negative = _scale_by_sign(part, X[start : start + block], Z)
        if positive:
            dsyrk(1.0, Z[:positive].T, beta=1.0, c=S, overwrite_c=1)
        if negative < len(part):
            dsyrk(-1.0, Z[negative : len(part)].T, beta=1.0, c=S, overwrite_c=1)
    _mirror(out)


def _scale_by_sign_py(c, X, out):
    # Rows sqrt|c_l| x_l: those of positive weight from the top of the c.size rows down, those of
    # negative weight from the bottom up. Returns the end of the former and the start of the latter.
    positive, negative = 0, c.size
    for i in range(c.size):
        if c[i] == 0.0:
            continue
        if c[i] > 0.0:
            row = positive
            positive += 1
        else:
            negative -= 1
            row = negative
        scale = np.sqrt(abs(c[i]))
        for a in range(X.shape[1]):
            out[row, a] = scale * X[i, a]
    return positive, negative


_scale_by_sign = jit(_scale_by_sign_py)


def _mirror_py(S):
    # The lower half of a matrix onto the upper.
    for a in range(S.shape[0]):
        for b in range(a):
            S[b, a] = S[a, b]


_mirror = jit(_mirror_py)


# ------------------------------------------------------------------ extreme eigenpairs

# Entries of a unit vector below this share of its largest are rounding: no sign is read from them.
NEGLIGIBLE = 1e-8
# Eigenvectors of a formed matrix leave residuals of some 1e-14 spectral radii; no less is promised.
LEAST_TOLERANCE = 1e-13

# The start of Lanczos' method has 1 / sqrt(d) of a typical direction, and of one in a hundred less
# than a hundredth of that. See `extreme_eigenpairs`.
_OVERLAP = 0.01
_EXHAUSTED = 1e-14  # a next direction this small, against the spectral radius, is rounding
_ORTHOGONAL = 1e-8  # v_min against v_max; rounding leaves less unless the spectrum is a point
_BACKWARD = 2e-14  # spectral radii; residuals by reduction are smaller, at d = 785 too

_BASIS = 2**22  # numbers in the Lanczos vectors of the neurons worked on together, 32 MB
_MATRICES = 2**21  # numbers in the matrices formed together, 16 MB
_SAMPLES = 2**17  # numbers in a block of samples, 1 MB: read twice, once of that from memory
_STACKED = 24  # up to this d the calls of a reduction cost more than it saves
_LAPACK_BLOCK = 64  # columns at a time, as LAPACK's own query answers
_LOOPED = 14  # up to so many vectors a compiled loop is faster than BLAS, which packs X

_TINY = 1e-300  # in place of a pivot that is zero
_MODERATE = 2.0**80  # sizes from its inverse on to it, squared and squared again, are in range

# Columns of zeros (the margins of images) are left out when they are one in twenty.
_NONZERO = 0.95

# Cost of both ways in units of a flop of `A @ A`, to a fifth for n = 500 and 5000, m = 1 to 32 and
# d = 64 to 785. A product S v is 4 n d; BLAS packs X once for all, at the price of fourteen more
# vectors. The loop for a few runs at half that rate. A matrix is n d^2 to form, and its reduction
# 4/3 d^3, half of them at the speed of memory.
_PACKING = 14
_LOOP = 2
_FORMING = 1.3
_REDUCTION = 2.3
_REDUCTION_SQUARE = 700

# Matrix-free where so many steps or more cost less than the matrices. Twenty to forty suffice for
# digits and for features with a decaying scale, fifty to eighty for white noise.
_LEAST_STEPS = 48
_MOST_STEPS = 160
_JUDGED = 8  # steps after which it can be seen how many more it will take, to a third


def extreme_eigenpairs(
    C: Any, X: Any, tol: float = 1e-8
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both ends of the spectrum of every neuron's S_j = Σ_l C[j, l] x_l x_l^T.

    The lowest eigenvalue of a splitting matrix says what a split with non-negative fractions gains,
    both ends what a signed one does; the eigenvectors say where to.

    Parameters
    ----------
    C : (m, n) array_like
        A weight of any sign for each neuron and sample.
    X : (n, d) array_like
        Samples in rows, as the neurons see them.
    tol : float
        Largest residual |S v - lam v|, in units of the spectral radius max(|lam_min|, |lam_max|);
        from 1e-13 to below 1.

    Returns
    -------
    lam_min : (m,) ndarray
    v_min : (m, d) ndarray
        Norm one, first non-negligible entry positive. With ties any unit vector of the eigenspace
        is as good.
    lam_max : (m,) ndarray
    v_max : (m, d) ndarray
        As v_min, and orthogonal to it within 1e-8, for d > 1.

    Raises
    ------
    TypeError, ValueError
        For input that is not a finite real matrix, sizes that do not match, a `tol` out of range,
        and eigenvalues beyond the largest float.

    Notes
    -----
    Where it is cheaper, that is for d of two hundred and more, no matrix is formed: Lanczos' method
    with full reorthogonalisation runs for all neurons at once, at two matrix products or 4 m n d
    operations a step. Otherwise, and for neurons that do not get there in as many steps as their
    matrix is worth, matrices are formed a few at a time and reduced to tridiagonal form. The
    residual of every pair found without a matrix is computed anew at the end, and what fails is
    redone densely; `tol` does not bind the dense way, whose residuals are rounding. The rounding of
    the sums over samples, up to eps Σ_l |C[j, l]| |x_l|^2, is no part of a residual: where terms
    cancel to less, S_j itself is not known better.

    A small residual proves an eigenpair, not that it is the extreme one. Every Lanczos run starts
    from the same fixed unit vector b. Let q be the extreme eigenvector, gamma = |q · b|, and r the
    residual of the extreme Ritz pair (theta, y). Then |theta - lam| <= r |y · b| / gamma: y is a
    polynomial in S times b with its zeros at the other Ritz values, so q has no less of y than
    gamma / |y · b|, and q · (S y - theta y) = (lam - theta) q · y. The iteration goes on until
    r |y · b| sqrt(d) / 0.01 too is within `tol`. Hence an eigenvalue is off by more than `tol`
    spectral radii only where the start is nearly orthogonal to what is sought, gamma below
    0.01 / sqrt(d): one direction in a hundred is. That cannot be excluded without the matrix. No
    single feature is hidden so: the entries of b are within a factor two of each other.

    Buffers stay below 50 MB, up to d = 1000 and beside copies of C, and of X where columns of zeros
    are left out or its entries are of no moderate size.

    Source: S3D section 2.3, computational cost (S3D-Cost), and appendix C.3, products without the
    matrix (S3D-C.3-Sv). The print descends on the Rayleigh quotient; Lanczos' method takes the
    least quotient over all that such a descent can reach in as many products.
    """
    X = validation.as_array(X, "X", ("n", "d"))
    n, d = X.shape
    C = validation.as_array(C, "C", ("m", n), hint=f"One column for each of the {n} rows of X.")
    tol = validation.as_scalar(tol, "tol", at_least=LEAST_TOLERANCE, below=1)
    lam, v = np.zeros((2, len(C))), np.zeros((2, len(C), d))
    if d > _STACKED or not _by_stack(C, X, lam, v):
        _by_neuron(C, X, tol, lam, v)
        if not np.isfinite(lam).all():
            raise ValueError(
                "C and X are too large: an eigenvalue is beyond the largest float. Scale them down."
            )
    _sign(v.reshape(-1, d))
    return lam[0], v[0], lam[1], v[1]


def signed(vectors: np.ndarray) -> np.ndarray:
    """Vectors with their first non-negligible entry positive: one sign for a direction to split in.

    Parameters
    ----------
    vectors : (..., d) ndarray

    Returns
    -------
    (..., d) ndarray
        Entries up to 1e-8 of a vector's largest are negligible.
    """
    vectors = np.array(vectors, dtype=float, order="C")
    _sign(vectors.reshape(-1, vectors.shape[-1]))
    return vectors


def _sign_py(vectors):
    for i in range(vectors.shape[0]):
        largest = 0.0
        for a in range(vectors.shape[1]):
            largest = max(largest, abs(vectors[i, a]))
        for a in range(vectors.shape[1]):
            if abs(vectors[i, a]) > NEGLIGIBLE * largest:
                if vectors[i, a] < 0.0:
                    for b in range(vectors.shape[1]):
                        vectors[i, b] = -vectors[i, b]
                break


_sign = jit(_sign_py)


def _by_stack(C: np.ndarray, X: np.ndarray, lam: np.ndarray, v: np.ndarray) -> bool:
    """Small matrices, in few calls; whether they were of moderate size, so that this was exact."""
    if not 1 / _MODERATE < max(X.max(), -X.min()) < _MODERATE:
        return False
    together = _MATRICES // X.shape[1] ** 2
    for first in range(0, len(C), together):
        rows = slice(first, first + together)
        S = _grams(C[rows], X)
        if not np.isfinite(S).all():
            return False
        values, vectors = np.linalg.eigh(S)
        for end in (0, -1):
            lam[end, rows], v[end, rows] = values[:, end], vectors[:, :, end]
    size, limit = np.maximum(-lam[0], lam[1]), _MODERATE**4
    if 1 / limit < size.min() and size.max() < limit:
        return True
    return not C[(size <= 1 / limit) | (size >= limit)].any()


def _by_neuron(C: np.ndarray, X: np.ndarray, tol: float, lam: np.ndarray, v: np.ndarray) -> None:
    """Matrices of any size and scale, one by one where they are formed at all."""
    of_X = int(_exponent(X))
    of_rows = _exponent(C, axis=1)
    # Over powers of two no bit of a result changes, and sums neither overflow nor vanish.
    X = np.ldexp(X, -of_X) if of_X else X
    C = np.ldexp(C, -of_rows[:, None]) if of_rows.any() else C
    columns = np.flatnonzero(X.any(axis=0))
    if 0 < len(columns) <= _NONZERO * X.shape[1]:
        X = np.ascontiguousarray(X[:, columns])
    else:
        columns = np.arange(X.shape[1])
    n, d = X.shape
    v[0, :, 0] = v[1, :, -1] = 1.0  # the answer for S_j = 0
    left = np.flatnonzero(C.any(axis=1))
    if len(left) and _worthwhile_steps(len(left), n, d) >= _LEAST_STEPS:
        failed = []
        for rows in _parts(left, max(8, _BASIS // (min(_MOST_STEPS, d) * d))):
            values, pair, there = _by_lanczos(C[rows], X, tol)
            _place(values[:, there], pair[:, there], rows[there], columns, lam, v)
            failed.append(rows[~there])
        left = np.concatenate(failed)
    for rows in _parts(left, max(1, _MATRICES // d**2)):
        _place(*_by_forming(C[rows], X), rows, columns, lam, v)
    with np.errstate(over="ignore"):
        lam[:] = np.ldexp(lam, of_rows + 2 * of_X)


def _exponent(A: np.ndarray, axis: int | None = None) -> np.ndarray:
    """The powers of two to divide by; zero for moderate sizes, so that most need no copy."""
    size = np.maximum(A.max(axis=axis), -A.min(axis=axis))
    moderate = (size > 1 / _MODERATE) & (size < _MODERATE)
    return np.where(moderate, 0, np.frexp(size)[1])


def _worthwhile_steps(m: int, n: int, d: int) -> float:
    """How many steps of Lanczos' method for m neurons cost as much as their matrices."""
    matrix = d**2 * (_FORMING * n + _REDUCTION * d + _REDUCTION_SQUARE)
    step = 4 * n * d * min(m + _PACKING, m * _LOOP)
    return m * matrix / step


def _parts(rows: np.ndarray, largest: int) -> list[np.ndarray]:
    """The rows in parts of nearly equal size, at most the largest."""
    return np.array_split(rows, -(-len(rows) // largest)) if len(rows) else []


def _place(
    values: np.ndarray,
    pair: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    lam: np.ndarray,
    v: np.ndarray,
) -> None:
    """Eigenpairs of S_j[columns, columns] as those of S_j, whose other entries are zero."""
    lam[:, rows] = values
    v[:, rows] = 0.0
    v[:, rows[:, None], columns] = pair
    d = v.shape[2]
    if len(columns) < d:  # zero is an eigenvalue, and an end where the others are on one side of it
        unit = np.zeros(d)
        unit[np.setdiff1d(np.arange(d), columns)[0]] = 1.0
        for end, beyond in ((0, lam[0, rows] >= 0), (1, lam[1, rows] < 0)):
            lam[end, rows[beyond]] = 0.0
            v[end, rows[beyond]] = unit


# -------------------------------------------------- with the matrices


def _by_forming(C: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Extreme eigenvalues (2, m) and eigenvectors (2, m, d) of the matrices."""
    S = _grams(C, X)
    values, pair = np.empty((2, len(S))), np.empty((2, len(S), S.shape[1]))
    for j, matrix in enumerate(S):
        found = _by_reduction(matrix) if len(matrix) > _STACKED else None
        if found is None:
            every, vectors = np.linalg.eigh(matrix)
            found = every[[0, -1]], vectors.T[[0, -1]]
        values[:, j], pair[:, j] = found
    return values, pair


def _by_reduction(S: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Extreme eigenvalues (2,) and eigenvectors (2, d) by way of a tridiagonal matrix T = Q^T S Q.

    A third of the work of a decomposition. None where rounding spoils it: a multiple eigenvalue
    leaves T in pieces, and both ends may be looked for in the same.
    """
    d = len(S)
    reflectors, diagonal, beside, tau, _ = dsytrd(S.T, lower=1, lwork=_LAPACK_BLOCK * d)
    lam, z = np.empty((1, 2)), np.zeros((1, 2, d))
    beside = np.append(beside, 0.0)[None]
    _ends_of_tridiagonals(diagonal[None], beside, np.zeros(1, np.int64), d, lam, z)
    lam, z = lam[0], z[0]
    # Q is a product of reflections that leave the first entry alone.
    below = np.asfortranarray(reflectors[1:, :-1])
    z[:, 1:] = dormqr("L", "N", below, tau, z[:, 1:].T, _LAPACK_BLOCK * d)[0].T
    z /= np.linalg.norm(z, axis=1)[:, None]
    residual = np.linalg.norm(z @ S - lam[:, None] * z, axis=1).max()
    good = residual <= _BACKWARD * np.abs(lam).max() and abs(z[0] @ z[1]) <= _ORTHOGONAL
    return (lam, z) if good else None


# -------------------------------------------------- without them


def _by_lanczos(
    C: np.ndarray, X: np.ndarray, tol: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Extreme eigenvalues (2, m), eigenvectors (2, m, d), and for whom they are within `tol` (m,).

    Lanczos' method: S_j Q = Q T + beta q e^T with Q orthonormal from the start on and T
    tridiagonal. An eigenpair (theta, z) of T is one of S_j, (theta, Q z), up to beta |z_last|.
    """
    (m, n), d = C.shape, X.shape[1]
    steps = min(_MOST_STEPS, d)
    Q = np.empty((m, steps, d))
    Q[:, 0] = _start(d)
    alpha, beta, theta = np.zeros((m, steps)), np.zeros((m, steps)), np.zeros((m, 2))
    z, pair, there = np.zeros((m, 2, steps)), np.zeros((2, m, d)), np.zeros(m, bool)
    decades = np.zeros((steps, m))  # how far the error is from the aim
    active, weights = np.arange(m), C
    for k in range(steps):
        W = _products_with(weights, X, Q[active, k])
        _lanczos_step(W, active, k, Q, alpha, beta)
        _ends_of_tridiagonals(alpha, beta, active, k + 1, theta, z)
        radius = np.maximum(np.abs(theta[active]).max(axis=1), _TINY)
        rest = beta[active, k] * (beta[active, k] > _EXHAUSTED * radius)
        ends = np.abs(z[active])
        missed = np.maximum(1.0, ends[:, :, 0] * (np.sqrt(d) / _OVERLAP))
        error = rest * (ends[:, :, k] * missed).max(axis=1) / (0.5 * tol * radius)
        for j in active[error <= 1.0]:
            there[j], pair[:, j] = True, z[j, :, : k + 1] @ Q[j, : k + 1]
        if there[active].any():
            active = np.flatnonzero(~there)
            weights = C[active]
        decades[k, active] = np.log10(error[~(error <= 1.0)])
        if not len(active) or _too_slow(decades[: k + 1, active], n, d):
            break
    values = _verify(C, X, tol, pair, there)
    return values, pair, there


def _too_slow(decades: np.ndarray, n: int, d: int) -> bool:
    """Whether to give up: the steps still to come cost more than the matrices, or do not fit.

    Judged by the progress in the second half of the steps taken. Where the ends of the spectrum
    stand apart progress grows with the steps; where they are crowded it dwindles.
    """
    taken, m = decades.shape
    if taken < _JUDGED:
        return False
    left, half = decades[-1].mean(), taken // 2
    progress = (decades[half] - decades[-1]).mean() / (taken - 1 - half)
    return bool(left > progress * min(_worthwhile_steps(m, n, d), _MOST_STEPS - taken))


def _start(d: int) -> np.ndarray:
    """A fixed unit vector like nothing in nature: its entries are within a factor two, any sign.

    Signs and sizes are fractional parts of multiples of k^2, which are spread like random ones and
    without a period. They are those of no smooth, sparse or constant vector.
    """
    square = np.arange(1.0, d + 1.0) ** 2
    sign = np.where((square * np.sqrt(2.0)) % 1.0 < 0.5, -1.0, 1.0)
    start = sign * (1.0 + (square * np.sqrt(3.0)) % 1.0)
    return start / np.linalg.norm(start)


def _products_with(C: np.ndarray, X: np.ndarray, V: np.ndarray) -> np.ndarray:
    """The vectors S_j V[j] = X^T (C[j] * (X V[j])), by blocks of samples that stay in the cache."""
    out = np.zeros_like(V)
    if len(V) <= _LOOPED:
        _few_products(C, X, V, out)
        return out
    block = max(_SAMPLES // X.shape[1], 1)
    for first in range(0, len(X), block):
        features, weights = X[first : first + block], C[:, first : first + block]
        out += (weights * (V @ features.T)) @ features
    return out


def _few_products_py(C, X, V, out):
    # out[j] += X^T (C[j] * (X V[j])), four samples at a time: they are read from memory once for
    # all neurons, and the entries of V and of out once for four samples.
    n, d = X.shape
    fours = n - n % 4
    for l in range(0, fours, 4):
        for j in range(V.shape[0]):
            y0 = y1 = y2 = y3 = 0.0
            for a in range(d):
                v = V[j, a]
                y0 += X[l, a] * v
                y1 += X[l + 1, a] * v
                y2 += X[l + 2, a] * v
                y3 += X[l + 3, a] * v
            y0 *= C[j, l]
            y1 *= C[j, l + 1]
            y2 *= C[j, l + 2]
            y3 *= C[j, l + 3]
            for a in range(d):
                out[j, a] += y0 * X[l, a] + y1 * X[l + 1, a] + y2 * X[l + 2, a] + y3 * X[l + 3, a]
    for l in range(fours, n):
        for j in range(V.shape[0]):
            y0 = 0.0
            for a in range(d):
                y0 += X[l, a] * V[j, a]
            for a in range(d):
                out[j, a] += C[j, l] * y0 * X[l, a]


# A product is a sum over samples, in any order.
_few_products = jit(_few_products_py, fastmath={"reassoc", "contract"})


def _verify(
    C: np.ndarray,
    X: np.ndarray,
    tol: float,
    pair: np.ndarray,
    there: np.ndarray,
) -> np.ndarray:
    """Rayleigh quotients (2, m); who is `there` stays so if the residuals say so."""
    values, rows = np.zeros(pair.shape[:2]), np.flatnonzero(there)
    if not len(rows):
        return values
    V = pair[:, rows] / np.linalg.norm(pair[:, rows], axis=2)[..., None]
    W = _products_with(np.tile(C[rows], (2, 1)), X, V.reshape(-1, X.shape[1])).reshape(V.shape)
    lam = (V * W).sum(axis=2)
    residual = np.linalg.norm(W - lam[..., None] * V, axis=2).max(axis=0)
    parallel = np.abs((V[0] * V[1]).sum(axis=1))
    there[rows] = (residual <= tol * np.abs(lam).max(axis=0)) & (parallel <= _ORTHOGONAL)
    values[:, rows], pair[:, rows] = lam, V
    return values


def _lanczos_step_py(W, rows, k, Q, alpha, beta):
    # W[i] = S_j Q[j, k] for j = rows[i], less its share of the basis Q[j, :k + 1]: coefficients of
    # the tridiagonal matrix, and the next basis vector. Once is not enough against rounding; twice
    # is.
    d = W.shape[1]
    for i in range(rows.size):
        j = rows[i]
        alpha[j, k] = 0.0
        for _ in range(2):
            for l in range(k, -1, -1):
                share = 0.0
                for a in range(d):
                    share += Q[j, l, a] * W[i, a]
                for a in range(d):
                    W[i, a] -= share * Q[j, l, a]
                if l == k:
                    alpha[j, k] += share
        square = 0.0
        for a in range(d):
            square += W[i, a] * W[i, a]
        beta[j, k] = np.sqrt(square)
        if k + 1 < Q.shape[1] and square > 0.0:
            for a in range(d):
                Q[j, k + 1, a] = W[i, a] / beta[j, k]


# Sums of products may be taken in any order: the basis is orthogonalised twice.
_lanczos_step = jit(_lanczos_step_py, fastmath={"reassoc", "contract"})


# -------------------------------------------------- tridiagonal matrices


def _bound_of_tridiagonal_py(alpha, beta, sign, k):
    # The largest number found for which all pivots of sign T - number are positive: the lowest
    # eigenvalue of sign T to rounding, from below. Sylvester's law of inertia and bisection.
    low, high, size = np.inf, np.inf, 0.0
    before = 0.0
    for i in range(k):
        after = abs(beta[i]) if i + 1 < k else 0.0
        low = min(low, sign * alpha[i] - before - after)
        high = min(high, sign * alpha[i])
        size = max(size, abs(alpha[i]) + before + after)
        before = after
    low -= 2.0**-50 * size + _TINY  # strict although rounded, and where T = 0
    for _ in range(60):
        if high - low <= 2.0**-52 * size:
            break
        middle = 0.5 * (low + high)
        pivot = sign * alpha[0] - middle
        for i in range(1, k):
            if pivot <= 0.0:
                break
            pivot = sign * alpha[i] - middle - beta[i - 1] * beta[i - 1] / pivot
        if pivot > 0.0:
            low = middle
        else:
            high = middle
    return low


_bound_of_tridiagonal = jit(_bound_of_tridiagonal_py)


def _ends_of_tridiagonals_py(alpha, beta, rows, k, theta, z):
    # Lowest and highest eigenvalue theta[j] and unit eigenvectors z[j, :, :k] of the tridiagonal
    # matrices with diagonal alpha[j, :k] beside beta[j, :k - 1], for j in rows. M = sign T - number
    # is eliminated from above (pivots down) and from below (pivots up); the vector solves M v = 0
    # but for the row where both meet, chosen where they miss least. No component is a difference,
    # so that the smallest, which tell the residual, are as exact as the largest.
    up, down = np.empty(k), np.empty(k)
    for i in range(rows.size):
        j = rows[i]
        for end in range(2):
            sign = 1.0 - 2.0 * end
            number = _bound_of_tridiagonal(alpha[j], beta[j], sign, k)
            theta[j, end] = sign * number
            for l in range(k):
                down[l] = sign * alpha[j, l] - number
                if l > 0:
                    down[l] -= beta[j, l - 1] ** 2 / down[l - 1]
                if down[l] == 0.0:
                    down[l] = _TINY
            meeting, least = k - 1, np.inf
            for l in range(k - 1, -1, -1):
                up[l] = sign * alpha[j, l] - number
                missed = abs(down[l])
                if l < k - 1:
                    missed = abs(down[l] - beta[j, l] ** 2 / up[l + 1])
                    up[l] -= beta[j, l] ** 2 / up[l + 1]
                if up[l] == 0.0:
                    up[l] = _TINY
                if missed < least:
                    meeting, least = l, missed
            z[j, end, meeting] = 1.0
            square = 1.0
            for l in range(meeting - 1, -1, -1):
                z[j, end, l] = -sign * beta[j, l] / down[l] * z[j, end, l + 1]
                square += z[j, end, l] ** 2
            for l in range(meeting + 1, k):
                z[j, end, l] = -sign * beta[j, l - 1] / up[l] * z[j, end, l - 1]
                square += z[j, end, l] ** 2
            for l in range(k):
                z[j, end, l] /= np.sqrt(square)


_ends_of_tridiagonals = jit(_ends_of_tridiagonals_py)
