"""Every compiled loop: weighted Gram matrices, and the training of toy networks.

NumPy is fast where the work of an algorithm is the work of a few calls on large arrays. Growing
networks needs two things that are not of that kind.

**Curvature of every neuron.** The splitting matrix of neuron j is a weighted Gram matrix,
S_j = sum_l C[j, l] x_l x_l^T: one symmetric product for each neuron with weights of both signs.
`np.einsum` and a loop of products `(X.T * c) @ X` compute both halves of each matrix and form the
same products x_la x_lb anew for every neuron. Here a compiled loop writes the d (d + 1) / 2
products of a block of samples once, for all neurons, and one matrix product `C_block @ products`
does the rest: half the arithmetic, at the speed of BLAS. That pays as long as there are enough
neurons to share the products; below, each neuron's samples are sorted by the sign of their weight
and given to the symmetric product of BLAS. See `weighted_grams`.

**Toy training.** A full-batch step of a network of eight bumps on a thousand samples is eight
thousand exponentials, a few microseconds of arithmetic. Written in NumPy it is some twenty calls,
each of which costs a microsecond before it starts and carries its intermediate array through
memory. The compiled loop runs a whole training phase, block of samples by block of samples, and
evaluates the exponential in the processor's vector registers. See `gaussian_descent`.

What is not here is as deliberate: matrix products, factorisations and eigenvalues are the work of
BLAS and LAPACK, and loops over layers or over neurons cost nothing beside them.

Conventions: `_name_py` is the plain function, `_name` the compiled one. A core takes C-contiguous
float64 arrays and scalars that its public function has checked, and writes to arrays it is given.
"""

from dataclasses import dataclass
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

# ------------------------------------------------------------------ networks of Gaussian neurons

BUMP, PARTICLE = 0, 1
_FAMILIES = {"bump": BUMP, "particle": PARTICLE}
_NEURON_PARAMETERS = {"bump": 3, "particle": 1}

GD, MOMENTUM, ADAM, ADAGRAD = 0, 1, 2, 3
_OPTIMIZERS = {"gd": GD, "momentum": MOMENTUM, "adam": ADAM, "adagrad": ADAGRAD}

STATIONARY, STEPS_TAKEN, DIVERGED = 0, 1, 2

_BLOCK = 512  # samples whose exponentials, of some ten neurons, stay in the first-level cache
_VECTOR = 32  # samples are padded to a multiple: no loop ends on a rest that is not a full vector

# exp(-u^2/2) = 2^(-v^2) with v = _TO_BASE_2 * u: to base 2 an exponential is its integer part, the
# exponent of a float64, times a polynomial, with no reduction by multiples of ln 2.
_TO_BASE_2 = 0.8493218002880191  # sqrt(log2(e) / 2)
# 1.5 * 2^52: a number added to it is rounded to an integer, found in the last bits of the sum.
_ROUND = 6755399441055744.0
_SMALLEST = -1022.0  # the smallest exponent of a normal number


def _exp2_py(z):
    # 2^z for z <= 0 to one unit in the last place; zero below -1022, where 2^z < 2.3e-308; NaN for
    # NaN. No branch and no call, so that LLVM turns a loop over it into vector instructions: the
    # power of two is put together from its bits. With k the integer nearest to z and |r| <= 1/2,
    # 2^z = 2^k 2^r. The polynomial is 1 + r ln 2 + r^2 q(r), where q interpolates
    # (2^r - 1 - r ln 2) / r^2 at the ten Chebyshev nodes of |r| <= 1/2: relative error 2.7e-17.
    shifted = z + _ROUND
    r = z - (shifted - _ROUND)
    p = 4.45410341058704e-10
    p = p * r + 7.070977866508138e-09
    p = p * r + 1.0178067267449427e-07
    p = p * r + 1.3215451633221434e-06
    p = p * r + 1.5252733820795803e-05
    p = p * r + 1.5403530424776529e-04
    p = p * r + 1.3333558146423213e-03
    p = p * r + 9.618129107618665e-03
    p = p * r + 5.550410866482158e-02
    p = p * r + 2.4022650695910075e-01
    p = p * r + 6.931471805599453e-01
    p = p * r + 1.0
    bits = np.float64(shifted).view(np.int64)
    power = np.int64((bits + 1023) << 52).view(np.float64)
    return 0.0 if z < _SMALLEST else p * power


# Contracted to fused multiply-adds, faster and more exact; but not reassociated: adding and
# subtracting _ROUND would cancel.
_exp2 = jit(_exp2_py, fastmath={"contract"})


def _sweep_py(samples, lines, work):
    # One pass over the samples. Neuron j is amplitude * e with e = 2^(-v^2) and v = slope * x +
    # offset. Its row of `lines` holds slope, offset and amplitude, and receives the sums over
    # samples of r e, r e v and r e v x, with r the weighted residual: all gradients are made of
    # these. Returns the loss. `samples` has the rows x, y and weight, `work` one for each neuron
    # and one for r.
    m = lines.shape[0]
    loss = 0.0
    for j in range(m):
        for s in range(3, 6):
            lines[j, s] = 0.0
    residual = work[m]
    for start in range(0, samples.shape[1], _BLOCK):
        size = min(_BLOCK, samples.shape[1] - start)
        x = samples[0, start : start + size]
        y = samples[1, start : start + size]
        weight = samples[2, start : start + size]
        for i in range(size):
            residual[i] = -y[i]
        for j in range(m):
            slope, offset, amplitude = lines[j, 0], lines[j, 1], lines[j, 2]
            e = work[j]
            for i in range(size):
                v = slope * x[i] + offset
                e[i] = _exp2(-v * v)
                residual[i] += amplitude * e[i]
        for i in range(size):
            weighted = weight[i] * residual[i]
            loss += 0.5 * weighted * residual[i]
            residual[i] = weighted
        for j in range(m):
            slope, offset, e = lines[j, 0], lines[j, 1], work[j]
            re = rev = revx = 0.0
            for i in range(size):
                term = residual[i] * e[i]
                re += term
                term *= slope * x[i] + offset
                rev += term
                revx += term * x[i]
            lines[j, 3] += re
            lines[j, 4] += rev
            lines[j, 5] += revx
    return loss


# Reassociated: a sum over samples may only run in vector registers when its order is free.
_sweep = jit(_sweep_py, fastmath={"reassoc", "contract"})


def _loss_and_gradient_py(samples, theta, weights, family, bandwidth, lines, work, gradient):
    # theta is flat. The gradient with respect to the weights follows when `gradient` has room.
    m = weights.size
    for j in range(m):
        if family == BUMP:
            lines[j, 0] = _TO_BASE_2 * theta[3 * j]
            lines[j, 1] = _TO_BASE_2 * theta[3 * j + 1]
            lines[j, 2] = weights[j] * theta[3 * j + 2]
        else:
            lines[j, 0] = _TO_BASE_2 / bandwidth
            lines[j, 1] = -_TO_BASE_2 * theta[j] / bandwidth
            lines[j, 2] = weights[j]
    loss = _sweep(samples, lines, work)
    with_weights = gradient.size > theta.size
    for j in range(m):
        re = lines[j, 3]
        reu = lines[j, 4] / _TO_BASE_2  # u = v / _TO_BASE_2, and d exp(-u^2/2) = -u exp(-u^2/2) du
        reux = lines[j, 5] / _TO_BASE_2
        amplitude = lines[j, 2]
        if family == BUMP:
            gradient[3 * j] = -amplitude * reux
            gradient[3 * j + 1] = -amplitude * reu
            gradient[3 * j + 2] = weights[j] * re
            if with_weights:
                gradient[3 * m + j] = theta[3 * j + 2] * re
        else:
            gradient[j] = amplitude * reu / bandwidth
            if with_weights:
                gradient[m + j] = re
    return loss


_loss_and_gradient = jit(_loss_and_gradient_py)


def _step_py(optimizer, rate, count, gradient, state):
    # The formulas of `optimizers`; the rows of `state` are parameters, first and second moments.
    x, first, second = state[0], state[1], state[2]
    if optimizer == GD:
        for i in range(x.size):
            x[i] -= rate * gradient[i]
    elif optimizer == MOMENTUM:
        for i in range(x.size):
            first[i] = 0.9 * first[i] + gradient[i]
            x[i] -= rate * first[i]
    elif optimizer == ADAM:
        correction1, correction2 = 1.0 - 0.9**count, 1.0 - 0.999**count
        for i in range(x.size):
            first[i] = 0.9 * first[i] + (1.0 - 0.9) * gradient[i]
            second[i] = 0.999 * second[i] + (1.0 - 0.999) * gradient[i] ** 2
            scale = np.sqrt(second[i] / correction2) + 1e-8
            x[i] -= rate * (first[i] / correction1) / scale
    else:
        for i in range(x.size):
            second[i] += gradient[i] ** 2
            x[i] -= rate * gradient[i] / (np.sqrt(second[i]) + 1e-10)


_step = jit(_step_py)


def _descend_py(samples, weights, family, bandwidth, optimizer, rate, gtol, count, state, losses):
    # At most losses.size - 1 steps. Returns the status and the number of steps taken; `state` and
    # `losses` up to that number are finite, unless the first iterate is not.
    m = weights.size
    d = 3 if family == BUMP else 1
    theta = state[0, : m * d]
    if state.shape[1] > m * d:
        weights = state[0, m * d :]
    gradient = np.empty(state.shape[1])
    lines = np.empty((m, 6))
    work = np.empty((m + 1, _BLOCK))
    previous = np.empty_like(state)
    for k in range(losses.size):
        loss = _loss_and_gradient(samples, theta, weights, family, bandwidth, lines, work, gradient)
        finite = np.isfinite(loss)
        square = 0.0
        for i in range(gradient.size):
            finite = finite and np.isfinite(gradient[i])
            square += gradient[i] ** 2
        if not finite:
            if k == 0:
                losses[0] = loss
                return DIVERGED, 0
            state[:] = previous
            return DIVERGED, k - 1
        losses[k] = loss
        if gtol > 0.0 and np.sqrt(square) <= gtol:
            return STATIONARY, k
        if k + 1 < losses.size:
            previous[:] = state
            _step(optimizer, rate, count + k + 1, gradient, state)
    return STEPS_TAKEN, losses.size - 1


_descend = jit(_descend_py)


@dataclass(frozen=True, eq=False)
class Descent:
    """Where a phase of training ended.

    Attributes
    ----------
    parameters, first, second : (N,)
        The parameters and the optimizer's moments: what the next phase starts from.
    count : int
        Steps taken since the moments were zero.
    losses : (steps taken + 1,)
        The loss at every iterate, first and last included.
    status : int
        STATIONARY (0) when the gradient's norm is at most gtol, STEPS_TAKEN (1), DIVERGED (2) when
        the loss or the gradient ceased to be finite: all else is then of the last finite iterate.
    """

    parameters: np.ndarray
    first: np.ndarray
    second: np.ndarray
    count: int
    losses: np.ndarray
    status: int


def gaussian_descent(
    parameters: Any,
    weights: Any,
    x: Any,
    y: Any,
    *,
    family: str = "bump",
    bandwidth: float = 1.0,
    optimizer: str = "adam",
    learning_rate: float,
    steps: int,
    gtol: float = 0.0,
    first: Any = None,
    second: Any = None,
    count: int = 0,
) -> Descent:
    """A phase of training between two splits: full-batch steps on a sum of Gaussian neurons.

    Minimises (1/n) Σ_l (f(x_l) - y_l)^2 / 2 for f(x) = Σ_j w_j sigma(theta_j, x) over theta, and
    over the weights w when these are not given.

    Parameters
    ----------
    parameters : (m d,) or (m d + m,) array_like
        theta.ravel(), followed by the output weights when those are trained.
    weights : (m,) array_like, or None
        The output weights when they are fixed, None when they are trained.
    x, y : (n,) array_like
        Inputs and targets on the line.
    family : {"bump", "particle"}
        sigma(theta, x) = theta_3 exp(-(theta_1 x + theta_2)^2 / 2) with d = 3, or
        exp(-(x - theta)^2 / (2 h^2)) with d = 1 and h the bandwidth.
    bandwidth : float
        h, above zero; of no meaning for bumps.
    optimizer : {"gd", "momentum", "adam", "adagrad"}
        As in `optimizers`, with the constants that are the defaults there.
    learning_rate : float
    steps : int
        At most this many steps; 0 evaluates the loss only.
    gtol : float
        Stops at the first iterate whose gradient has a Euclidean norm of at most this; 0 never.
    first, second : arrays like parameters, or None for zeros
        The optimizer's moments.
    count : int
        Steps taken since the moments were zero. A phase cut in two by `steps` and resumed with
        what `Descent` holds ends at the same bits.

    Returns
    -------
    Descent

    Raises
    ------
    TypeError, ValueError
        For wrong sizes, NaN, infinities, unknown names, a learning rate that is not positive.

    Source: S2D-Alg-1, its first phase; appendix B.1 (bumps) and B.5 (particles).
    """
    theta, fixed, samples = _network(parameters, weights, x, y, family)
    bandwidth = validation.as_scalar(bandwidth, "bandwidth", above=0)
    validation.one_of(optimizer, "optimizer", _OPTIMIZERS)
    rate = validation.as_scalar(learning_rate, "learning_rate", above=0)
    gtol = validation.as_scalar(gtol, "gtol", at_least=0)
    count = validation.as_integer(count, "count", at_least=0)
    losses = np.empty(validation.as_integer(steps, "steps", at_least=0) + 1)
    state = np.zeros((3, theta.size))
    state[0] = theta
    if first is not None:
        state[1] = validation.as_array(first, "first", (theta.size,))
    if second is not None:
        state[2] = validation.as_array(second, "second", (theta.size,))
        if state[2].min() < 0:
            raise ValueError(f"second must not be negative; got {state[2].min()}.")
    # Divergence is a status, also for the plain functions, where NumPy would warn of it.
    with np.errstate(all="ignore"):
        status, taken = _descend(
            samples, fixed, _FAMILIES[family], bandwidth, _OPTIMIZERS[optimizer], rate, gtol,
            count, state, losses,
        )  # fmt: skip
    x, first, second = state
    return Descent(x, first, second, count + taken, losses[: taken + 1], status)


def gaussian_loss_and_gradient(
    parameters: Any,
    weights: Any,
    x: Any,
    y: Any,
    *,
    family: str = "bump",
    bandwidth: float = 1.0,
) -> tuple[float, np.ndarray]:
    """The loss that `gaussian_descent` descends, and its gradient, laid out like the parameters.

    Parameters and Raises as for `gaussian_descent`.

    Returns
    -------
    loss : float
    gradient : array of the shape of `parameters`
        Where the network overflows, entries are inf or NaN.

    Source: S2D, appendices B.1 and B.5 (the paper prints the squared loss without the 1/2).
    """
    theta, fixed, samples = _network(parameters, weights, x, y, family)
    bandwidth = validation.as_scalar(bandwidth, "bandwidth", above=0)
    m = fixed.size
    lines, work, gradient = np.empty((m, 6)), np.empty((m + 1, _BLOCK)), np.empty(theta.size)
    if weights is None:
        theta, fixed = theta[:-m], theta[-m:]
    with np.errstate(all="ignore"):
        loss = _loss_and_gradient(
            samples, theta, fixed, _FAMILIES[family], bandwidth, lines, work, gradient
        )
    return float(loss), gradient


def _network(parameters, weights, x, y, family):
    """Parameters, output weights (those to be trained are zeros) and padded samples, checked."""
    d = _NEURON_PARAMETERS[validation.one_of(family, "family", _FAMILIES)]
    parameters = validation.as_array(parameters, "parameters", ("N",))
    if weights is None:
        m, rest = divmod(parameters.size, d + 1)
        if rest:
            raise ValueError(
                f"parameters must hold {d} number{'s' * (d > 1)} for each {family}, then a weight "
                f"for each, shape ({d + 1} m,); got shape {parameters.shape}. "
                f"Give weights=... when they are fixed."
            )
        weights = np.zeros(m)
    else:
        weights = validation.as_array(weights, "weights", ("m",))
        if parameters.size != d * weights.size:
            raise ValueError(
                f"parameters must hold {d} numbers for each of the {weights.size} weights, shape "
                f"({d * weights.size},); got shape {parameters.shape}. Use theta.ravel(), and "
                f"weights=None when the weights are trained."
            )
    x = validation.as_array(x, "x", ("n",), hint="Use X[:, 0].")
    y = validation.as_array(y, "y", (x.size,), hint="One target for each entry of x.")
    samples = np.zeros((3, -(-x.size // _VECTOR) * _VECTOR))  # x, y, weight; the padding weighs 0
    samples[:, : x.size] = x, y, np.full(x.size, 1 / x.size)
    return parameters, weights, samples
