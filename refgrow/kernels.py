"""The curvature of every neuron of a layer: weighted Gram matrices.

The splitting matrix of neuron j is a weighted Gram matrix,
S_j = sum_l C[j, l] x_l x_l^T: one symmetric product for each neuron with weights of both signs.
`np.einsum` and a loop of products `(X.T * c) @ X` compute both halves of each matrix and form the
same products x_la x_lb anew for every neuron. Here a compiled loop writes the d (d + 1) / 2
products of a block of samples once, for all neurons, and one matrix product `C_block @ products`
does the rest: half the arithmetic, at the speed of BLAS. That pays as long as there are enough
neurons to share the products; below, each neuron's samples are sorted by the sign of their weight
and given to the symmetric product of BLAS. See `weighted_grams`.

What is not here is as deliberate: matrix products, factorisations and eigenvalues are the work of
BLAS and LAPACK, and loops over layers or over neurons cost nothing beside them.

Conventions: `_name_py` is the plain function, `_name` the compiled one. A core takes C-contiguous
float64 arrays and scalars that its public function has checked, and writes to arrays it is given.
"""

from typing import Any

import numpy as np
from scipy.linalg.blas import dgemm, dsyrk

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
    n, d = X.shape
    C = validation.as_array(C, "C", ("m", n), hint=f"One column for each of the {n} rows of X.")
    m = len(C)
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
