"""Training networks of Gaussian neurons: one compiled loop over a whole phase.

A full-batch step of a network of eight bumps on a thousand samples is eight thousand exponentials,
a few microseconds of arithmetic. Written in NumPy it is some twenty calls, each of which costs a
microsecond before it starts and carries its intermediate array through memory. The compiled loop
runs a whole training phase, block of samples by block of samples, and evaluates the exponential in
the processor's vector registers. See `gaussian_descent`.

Conventions as in `kernels`: `_name_py` is the plain function, `_name` the compiled one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrow import validation
from refgrow._jit import jit

BUMP, PARTICLE, RIDGE = 0, 1, 2
_FAMILIES = {"bump": BUMP, "particle": PARTICLE, "ridge": RIDGE}
_NEURON_PARAMETERS = {"bump": 3, "particle": 1, "ridge": 2}

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
        elif family == RIDGE:
            lines[j, 0] = _TO_BASE_2 * theta[2 * j]
            lines[j, 1] = _TO_BASE_2 * theta[2 * j + 1]
            lines[j, 2] = weights[j]
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
        elif family == RIDGE:
            gradient[2 * j] = -amplitude * reux
            gradient[2 * j + 1] = -amplitude * reu
            if with_weights:
                gradient[2 * m + j] = re
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
    d = 3 if family == BUMP else 2 if family == RIDGE else 1
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
    family : {"bump", "particle", "ridge"}
        sigma(theta, x) = theta_3 exp(-(theta_1 x + theta_2)^2 / 2) with d = 3,
        exp(-(x - theta)^2 / (2 h^2)) with d = 1 and h the bandwidth, or
        exp(-(theta_1 x + theta_2)^2 / 2) with d = 2: the Gaussian ridge on the inputs [x, 1].
    bandwidth : float
        h, above zero; of meaning for particles only.
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

    Source: S2D-Alg-1, its first phase; S2D appendix B.1 (bumps) and B.5 (particles); S3D eq 14
    (ridges).
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

    Source: S2D, appendices B.1 and B.5 (the paper prints the squared loss without the 1/2); S3D
    eq 14.
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
