"""TINY, sections 3.4, 5 and appendix C: what greedy growth can reach, and what it costs to see it.

TINY adds neurons that are best at first order. Section 5 asks whether that can get stuck: whether a
set of neurons, a single one, or one with small weights always lowers the loss, and what to do where
no linear correlation is left. Everything there rests on one lemma. With R = Y - f(X) what the
squared loss still asks for, adding g lowers |R - g|^2 for a small multiple of g if and only if
<R, g> is not 0 (or its negative is). So

- a set of neurons lowers the loss if and only if one of its neurons does, at some amplitude;
- nothing lowers it if and only if R is orthogonal to every neuron.

And if R, not 0, on distinct samples is orthogonal to every sigma(w . x + b) with (w, b) near
(0, c), then sigma is near c a polynomial, of degree at most n - 2, and R is orthogonal to all
polynomials of its degree: take w = t u, smooth sigma by averaging over b, and differentiate k times
in t at 0. Then (sum_i R_i (u . x_i)^k) times the k-th derivative is 0 for all b near c. With the
u . x_i distinct the first factor is not 0 for some k < n (Vandermonde), so that derivative vanishes
near c, whatever the averaging was: sigma is a polynomial there. Up to its degree the derivatives do
not vanish, so the first factor does, for every u.

In the paper's order:

- section 3.4: `moment_error`, `direction_error`, `update_variance`;
- section 5: `neuron_set`, `single_neuron` (small weights included), `shares`; where nothing linear
  is left `second_order_neuron` and `second_order_plan`; random neurons: `lowering_shares`;
- appendix C: `batch_schedule`, `final_widths`; section 1: `growth_cost`.

Rows are samples; B (n, q) is what new neurons read, a column of ones included where they have a
bias. `losses.squared` has a 1/2, and so have the decreases here.

Source: TINY sections 3.4 and 5, appendices B.5 and C.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np

from refgrow import activations, growth, kernels, tiny, validation
from refgrow.activations import Activation
from refgrow.networks import MLP, Shallow
from refgrow.neurons import Ridge

# A correlation with the residual below this, relative to both norms, is rounding.
ROUNDING = 1e-13
# The distance to the span of others, relative to its norm, from which on a neuron counts as
# independent of them: amplitudes stay below its inverse, and what rounding makes of them small.
INDEPENDENT = 1e-9
FAINTEST = 1e-150  # outputs whose squares vanish
CANDIDATES = 2000  # neurons that are tried at a time
ALTERNATIONS = 500
WIDEST = 10**15  # beyond it integers are no floats


# Section 3.4: how exact an estimate is --------------------------------------------------------


def moment_error(B: Any, V: Any, n: int) -> float:
    """How far the moment N = E z v^T, estimated on n samples, is from the true one.

    E |N_n - N|_F^2 = (E |z|^2 |v|^2 - |N|_F^2) / n, exactly, for n independent draws: a variance
    that falls like 1/n. Its square root is the error, which falls like 1/sqrt(n).

    Parameters
    ----------
    B : (m, q)
        The population, one z a row, each of probability 1/m.
    V : (m, p)
        Its v.
    n : int
        >= 1: the size of the batch, drawn with replacement.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, and n below one.

    Source: TINY section 3.4 (TINY-variance), which prints that "the variance decreases in sqrt(N)".
    """
    B, V = _samples(B, V)
    n = validation.as_integer(n, "n", at_least=1)
    N = B.T @ V / len(B)
    return float(((B * B).sum(axis=1) @ (V * V).sum(axis=1) / len(B) - (N * N).sum()) / n)


def direction_error(
    strengths: Any, k: int, n: int, *, dimension: int, side: str, noise: float = 0.0
) -> float:
    """How far the k-th best neuron, estimated on n samples, turns away from the true one.

    The expected squared sine of the angle between estimate and truth, to first order in 1/n, for
    Gaussian inputs z with E z z^T = I and v = M^T z + independent noise, where M has the singular
    values lambda:

        fan-in   1/n sum_j (s^2 (l_k^2 + l_j^2) + l_j^4) / (l_k^2 - l_j^2)^2,        j <= q
        fan-out  1/n sum_j (s^2 (l_k^2 + l_j^2) + l_j^2 l_k^2) / (l_k^2 - l_j^2)^2,  j <= p

    over j != k, with lambda_j = 0 beyond the rank. So the fan-in's error grows with q alone and the
    fan-out's with p alone. The terms without s^2 come from the estimate of S: directions vary even
    where v is a linear function of z. With a tie there is no true direction to converge to.

    Parameters
    ----------
    strengths : (r,)
        The true lambda_j, >= 0 and falling.
    k : int
        0 <= k < r, counted from zero; lambda_k must differ from all others.
    n : int
        >= 1: samples.
    dimension : int
        >= r: q for the fan-in, p for the fan-out.
    side : {"in", "out"}
        In the coordinates in which z has unit covariance.
    noise : float
        s >= 0, the standard deviation of each output's noise.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arguments out of range, and a tie.

    Source: TINY section 3.4 (TINY-variance), which prints max(q, p) for both sides.
    """
    values = validation.as_array(strengths, "strengths", ("r",))
    if (np.diff(values) > 0).any() or (values < 0).any():
        raise ValueError("strengths must be falling and not negative.")
    k = validation.as_integer(k, "k", at_least=0, at_most=len(values) - 1)
    n = validation.as_integer(n, "n", at_least=1)
    dimension = validation.as_integer(dimension, "dimension", at_least=len(values))
    side = validation.one_of(side, "side", ("in", "out"))
    noise = validation.as_scalar(noise, "noise", at_least=0)
    squares = np.zeros(dimension)
    squares[: len(values)] = values**2
    own, others = squares[k], np.delete(squares, k)
    if (others == own).any():
        raise ValueError(
            f"strengths[{k}] must differ from all others and from 0; with a tie the direction is "
            "not defined and its error does not fall with n."
        )
    from_S = others * (others if side == "in" else own)
    return float(((noise**2 * (own + others) + from_S) / (own - others) ** 2).sum() / n)


def update_variance(n: int, q: int, noise: float = 1.0) -> float:
    """The variance that noise gives a regression on q inputs: it rises with n up to n = q.

    For q Gaussian inputs of unit covariance, v = w . z + noise of standard deviation s, and the
    solution of least norm, the expected squared norm of its part that comes from the noise:
    s^2 q / (n - q - 1) above n = q + 1, s^2 n / (q - n - 1) below n = q - 1, infinite between.

    Parameters
    ----------
    n, q : int
        >= 1.
    noise : float
        s >= 0.

    Returns
    -------
    float
        Infinite for |n - q| <= 1 and noise.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Source: TINY section 3.4 (TINY-variance). It is the best update with the m columns of B for q,
    and the new fan-ins, before they are cut to low rank, with those of B_prev. The paper starts
    with n = 100: few for the fan-ins of layer 1, q = 785, and many for the update that goes with
    them, m = 2.
    """
    n, q = validation.as_integer(n, "n", at_least=1), validation.as_integer(q, "q", at_least=1)
    power = validation.as_scalar(noise, "noise", at_least=0) ** 2
    if power == 0:
        return 0.0
    return power * min(n, q) / (abs(n - q) - 1) if abs(n - q) > 1 else float("inf")


# Section 5: neurons that lower the loss -------------------------------------------------------


class Witness(NamedTuple):
    """Neurons, and the decrease of the squared loss that proves them.

    Attributes
    ----------
    fan_in : (k, q)
    fan_out : (p, k)
        As `growth.Add` takes them, at size 1.
    decrease : float
        Of `losses.squared`. Zero, and one neuron of fan-out zero, where none was found.

    Source: TINY Props 5.1, 5.2 and 5.3 (TINY-Prop-5.1, TINY-Prop-5.2, TINY-Prop-5.3).
    """

    fan_in: np.ndarray
    fan_out: np.ndarray
    decrease: float


def neuron_set(activation: "str | Activation", B: Any, R: Any, *, rng: Any = 0) -> Witness:
    """A set of neurons that makes the squared loss as small as neurons of this kind can.

    Random neurons, of which a pivoted QR keeps as many as are independent on the samples (up to
    1e-9): never more than n. Where the activation is continuous and no polynomial, and B holds a
    column of ones, there are n of them on n distinct samples, and the loss falls to zero. A
    polynomial of degree d spans the polynomials of degree d of the samples (d + 1 dimensions in one
    variable).

    Parameters
    ----------
    activation : str or activations.Activation
    B : (n, q)
    R : (n, p)
        Y - f(X), for a linear output layer.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    Witness

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other.

    Source: TINY Prop 5.1 (TINY-Prop-5.1), proven there by universal approximation; that the
    activation is continuous and no polynomial is said in the proof only. The bias is that of
    section 2.1, and it is needed.
    """
    from scipy.linalg import qr

    sigma = activations.get(activation).value
    B, R = _samples(B, R, "R")
    fan_in = _drawn(B, _box(B, None), validation.as_rng(rng))
    unit, norms = _unit(sigma(B @ fan_in.T))
    _, triangle, order = qr(unit, mode="economic", pivoting=True)
    kept = order[: int((np.abs(np.diag(triangle)) > INDEPENDENT).sum())]
    fan_out = np.linalg.lstsq(unit[:, kept], R)[0]
    decrease = _decrease(R, unit[:, kept] @ fan_out)
    if decrease <= ROUNDING * (R * R).mean():
        return _nothing(B, R)
    return Witness(fan_in[kept], (fan_out / norms[kept, None]).T, decrease)


def single_neuron(
    activation: "str | Activation", B: Any, R: Any, *, reach: Any = None, rng: Any = 0
) -> Witness:
    """One neuron that lowers the squared loss, of weights as small as you like.

    The best of many random neurons within reach, with the output weights that suit it best,
    <R, g> / |g|^2; the decrease is |<R, g>|^2 / (2 n |g|^2). One exists, for n distinct samples, a
    bias and R not 0,

    - without a bound if the activation is continuous and no polynomial (Prop 5.2);
    - with weights and bias below any bound if it is no polynomial on any neighbourhood of 0, and
      for a polynomial of degree d near 0 exactly when R is not orthogonal to all polynomials of
      degree d (Prop 5.3);
    - with weights below any bound and a free bias as soon as it is no polynomial: Prop 5.3 as
      printed, if the bias is not counted among the input weights.

    The search proves what it finds. That there is none it does not prove.

    Parameters
    ----------
    activation : str or activations.Activation
    B : (n, q)
    R : (n, p)
        Y - f(X), for a linear output layer.
    reach : float or (q,), optional
        > 0: bounds for the entries of the fan-in. Without, pre-activations of order one.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    Witness

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, and a reach out of range.

    Source: TINY Props 5.2 and 5.3 (TINY-Prop-5.2, TINY-Prop-5.3).
    """
    sigma = activations.get(activation).value
    B, R = _samples(B, R, "R")
    fan_in = _drawn(B, _box(B, reach), validation.as_rng(rng))
    unit, norms = _unit(sigma(B @ fan_in.T))
    along = np.linalg.norm(R.T @ unit, axis=0)
    best = int(along.argmax())
    if along[best] <= ROUNDING * np.linalg.norm(R):
        return _nothing(B, R)
    fan_out = R.T @ unit[:, [best]]
    return Witness(fan_in[[best]], fan_out / norms[best], _decrease(R, unit[:, [best]] @ fan_out.T))


class Shares(NamedTuple):
    """What neurons do to the squared loss together, and one at a time; 1/2 and 1/n as in `losses`.

    Attributes
    ----------
    joint, singles : float, (N,)
        Decreases with the amplitudes as they are; negative where the loss rises.
    scaled_joint, scaled_singles : float, (N,)
        Decreases with the best common amplitude, and with the best one of each neuron.
    slopes : (N,)
        The first-order decrease of each; their sum is that of all.
    bound : float
        scaled_joint (|h| / sum_i |h_i|)^2, which the best of scaled_singles never falls below.

    Source: TINY proof of Prop B.2 (TINY-Prop-5.2-share).
    """

    joint: float
    singles: np.ndarray
    scaled_joint: float
    scaled_singles: np.ndarray
    slopes: np.ndarray
    bound: float


def shares(H: Any, R: Any) -> Shares:
    """How much of what N neurons do together the best of them does alone: less than 1/N, at times.

    The largest slope is at least 1/N of their sum. The decreases of the loss are not so: neurons
    that lower it together may each raise it, and keep less than 1/N at their best amplitudes. What
    holds: with h = sum h_i, |<R, h>| <= max_i (|<R, h_i>| / |h_i|) sum_i |h_i|, whence `bound`; it
    is at least 1/N of the joint decrease where no two neurons have a negative inner product.

    Parameters
    ----------
    H : (n, N)
        What each neuron adds to the output, its amplitude included.
    R : (n,)
        Y - f(X).

    Returns
    -------
    Shares

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, and a neuron that is zero on all samples.

    Source: TINY proof of Prop B.2 (TINY-Prop-5.2-share).
    """
    H = validation.as_array(H, "H", ("n", "N"), flat="Use H[:, None] for one neuron.")
    R = validation.as_array(R, "R", (len(H),), hint="One entry a sample.")
    squares, inner = (H * H).sum(axis=0), R @ H
    if not squares.all():
        raise ValueError(f"neuron {int(squares.argmin())} is zero on all samples. Leave it out.")
    h, half = H.sum(axis=1), 1 / (2 * len(H))
    scaled_joint = half * inner.sum() ** 2 / (h @ h) if h.any() else 0.0
    bound = scaled_joint * (h @ h) / np.sqrt(squares).sum() ** 2
    return Shares(
        float(half * (2 * inner.sum() - h @ h)),
        half * (2 * inner - squares),
        float(scaled_joint),
        half * inner**2 / squares,
        2 * half * inner,
        float(bound),
    )


# Section 5: where no linear correlation is left -----------------------------------------------


class SecondOrder(NamedTuple):
    """The best neuron at second order.

    Attributes
    ----------
    fan_in : (q,)
        alpha, with E (alpha . b)^2 = 1; zero where nothing of second order is left.
    fan_out : (p,)
        omega of norm 1.
    value : float
        E (v . omega) (alpha . b)^2 >= 0.
    bound : float
        No neuron has a larger value; the value itself for p = 1.

    Source: TINY section 5 (TINY-higher, TINY-second-order-new).
    """

    fan_in: np.ndarray
    fan_out: np.ndarray
    value: float
    bound: float


def second_order_neuron(B: Any, V: Any, *, restarts: int = 10, rng: Any = 0) -> SecondOrder:
    """The neuron whose square correlates best with the desired update, where no line does.

        max |E (v . omega) (alpha . b)^2|   over  |omega| = 1,  E (alpha . b)^2 = 1.

    With one output this is the generalised eigenproblem E[v b b^T] alpha = mu E[b b^T] alpha, the
    largest |mu|, and exact. With more it is the best rank-one approximation of a tensor, hard in
    general: alternate between alpha, an extreme eigenvector given omega, and omega, proportional to
    E v (alpha . b)^2 given alpha. The value rises from step to step; the best of several starts is
    returned, with an upper bound beside it.

    Parameters
    ----------
    B : (n, q)
        What new neurons read, a column of ones included where they have a bias.
    V : (n, p)
        Desired update of the layer that will read them.
    restarts : int
        >= 0: random starts, beside the p singular vectors of the tensor; without use for p = 1.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    SecondOrder
        Of the least norm where B has dependent columns.

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other.

    Source: TINY section 5 (TINY-higher): "increasing accordingly the power of (alpha . x)".
    """
    B, V = _samples(B, V)
    (n, q), p = B.shape, V.shape[1]
    restarts = validation.as_integer(restarts, "restarts", at_least=0)
    rng = validation.as_rng(rng)
    U, s, Wt = np.linalg.svd(B, full_matrices=False)
    live = s > max(n, q) * np.finfo(float).eps * s[0]
    nothing = SecondOrder(np.zeros(q), np.eye(p)[0], 0.0, 0.0)
    if not live.any():
        return nothing
    white, back = np.sqrt(n) * U[:, live], np.sqrt(n) * Wt[live].T / s[live]
    T = kernels.weighted_grams(V.T / n, white)
    left, singular, _ = np.linalg.svd(T.reshape(p, -1), full_matrices=False)
    if singular[0] <= ROUNDING * n * np.sqrt((V * V).sum() / n):
        return nothing
    starts = [*left.T, *rng.normal(size=(restarts if p > 1 else 0, p))]
    value, beta, omega = max((_alternate(T, start) for start in starts), key=lambda found: found[0])
    alpha = kernels.signed((back @ beta)[None])[0]
    return SecondOrder(alpha, omega, value, value if p == 1 else float(singular[0]))


def second_order_plan(
    network: "MLP | Shallow",
    X: Any,
    Y: Any,
    loss: Any,
    *,
    layer: int,
    size: float = 0.1,
    restarts: int = 10,
    rng: Any = 0,
) -> growth.Plan:
    """Grow where linear correlations are used up: the best pair of mirrored neurons.

    sigma(eps t) + sigma(-eps t) - 2 sigma(0) = sigma''(0) eps^2 t^2 + O(eps^4). In a pair with
    fan-ins alpha and -alpha and one fan-out omega the linear parts cancel, and the mean loss
    changes by

        -eps^2 sigma''(0) E (v . omega) (alpha . b)^2 + O(eps^4),

    made most negative by `second_order_neuron` and the sign of omega. A single neuron of fan-out
    c omega, without linear correlation, changes a squared loss by

        eps^2 (-c sigma''(0) E (v . omega) t^2 + c^2 sigma'(0)^2 E t^2) / 2 + O(eps^3):

    its linear part costs at the order at which its square gains, and only a small c lowers the
    loss. Where sigma'(0) = 0 one neuron does, and the plan holds one.

    Parameters
    ----------
    network : MLP, or Shallow with ridge neurons
    X, Y, loss : as for `networks.check`
    layer : int
        The hidden layer that grows, counted from zero.
    size : float
        > 0: eps, the root mean square of the new neurons' pre-activations.
    restarts, rng : as for `second_order_neuron`

    Returns
    -------
    growth.Plan
        Of order 2; remainder 4 for a pair, 3 for one neuron. Without edits where nothing of second
        order is left.

    Raises
    ------
    ValueError, TypeError
        For data that do not fit, an activation with a kink at 0 or with sigma''(0) = 0, and for a
        Shallow network whose activation is not zero at zero: it has no bias to make up for it.

    Source: TINY section 5 (TINY-higher, TINY-second-order-new).
    """
    goals = tiny.desired_updates(network, X, Y, loss)
    hidden = len(goals) - 1
    if hidden == 0:
        raise ValueError("second_order_plan needs a network with a hidden layer; got none.")
    layer = validation.as_integer(layer, "layer", at_least=0, at_most=hidden - 1)
    size = validation.as_scalar(size, "size", above=0)
    activation = _activation(network)
    zero = np.zeros(1)
    bend = float(activations.second_derivative(activation, "a second-order neuron")(zero)[0])
    slope, level = float(activation.derivative(zero)[0]), float(activation.value(zero)[0])
    if bend == 0:
        raise ValueError(
            f"a second-order neuron needs sigma''(0) other than 0; {activation.name} has none. "
            "Use softplus, gelu, gaussian or quadratic, or random neurons with a bias."
        )
    if isinstance(network, Shallow) and level != 0:
        raise ValueError(
            "second_order_plan needs an activation that is zero at zero for a Shallow network, "
            f"which has no bias to make up for it; got {activation.name}. Use gelu or an MLP."
        )
    B = network.forward(X).inputs[layer]
    found = second_order_neuron(B, goals[layer + 1], restarts=restarts, rng=rng)
    remainder = 3 if slope == 0 else 4
    if found.value == 0:
        message = f"Nothing of second order is left for layer {layer}; random neurons remain."
        return growth.Plan((), size, 0.0, 2, remainder, message)
    signs = np.array([1.0]) if slope == 0 else np.array([1.0, -1.0])
    fan_in = np.outer(signs, found.fan_in)
    fan_out = np.outer(np.sign(bend) * found.fan_out, np.ones(len(signs)))
    bias = None if isinstance(network, Shallow) else -level * fan_out.sum(axis=1)
    coefficient = -abs(bend) * found.value * len(signs) / 2
    message = f"{len(signs)} neurons of second order are added to layer {layer}."
    edits = (growth.Add(layer, fan_in, fan_out, bias=bias),)
    return growth.Plan(edits, size, coefficient, 2, remainder, message)


class LoweringShares(NamedTuple):
    """The shares of random neurons that lower the squared loss at a small amplitude.

    Attributes
    ----------
    free : float
        With an output weight of the better sign: the neuron correlates with the residual at all.
    fixed : float
        With an output weight of random sign and a positive amplitude, as the paper has it.

    Source: TINY section 5 (TINY-random).
    """

    free: float
    fixed: float


def lowering_shares(
    activation: "str | Activation",
    B: Any,
    R: Any,
    *,
    draws: int = 10000,
    scale: float = 1.0,
    rng: Any = 0,
) -> LoweringShares:
    """How many random neurons lower the loss at a small amplitude: almost all, half, or fewer.

    For an activation that is analytic and no polynomial, R not 0 on distinct samples, and normal
    weights and biases, `free` is 1: the correlation is an analytic function of the weights, not
    zero everywhere. `fixed` is then 1/2. Where neurons can be dead, linear or saturated on all
    samples, `free` is below 1: 1/2 for relu and 3/4 for selu on x = -1, -1/2, 1/2, 1 and
    R = (1, -1, -1, 1).

    The amplitude is a factor on the fan-out. With one on the fan-in, as in eq 7, and a fan-out that
    stays, a neuron without correlation of first order raises the squared loss by
    (sigma'(0)^2 / 2) E (alpha . b)^2 times the amplitude squared, before the order at which it
    correlates is felt: at a small amplitude none lowers it, unless that order is the second.

    Parameters
    ----------
    activation : str or activations.Activation
    B : (n, q)
        What they read; without a column of ones they have no bias.
    R : (n,)
        Y - f(X).
    draws : int
        >= 1: neurons drawn.
    scale : float
        > 0: the standard deviation of weights and biases.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    LoweringShares

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, and options out of range.

    Source: TINY section 5 (TINY-random).
    """
    sigma = activations.get(activation).value
    B = validation.as_array(B, "B", ("n", "q"), flat="Use B[:, None] for one column.")
    R = validation.as_array(R, "R", (len(B),), hint="One entry a sample.")
    draws = validation.as_integer(draws, "draws", at_least=1)
    scale = validation.as_scalar(scale, "scale", above=0)
    rng = validation.as_rng(rng)
    along = R @ _unit(sigma(B @ (scale * rng.normal(size=(draws, B.shape[1]))).T))[0]
    live = np.abs(along) > ROUNDING * np.linalg.norm(R)
    downhill = along * rng.choice([-1.0, 1.0], size=draws) > 0
    return LoweringShares(float(live.mean()), float((live & downhill).mean()))


# Appendix C: the batches and the widths -------------------------------------------------------


def batch_schedule(
    widths: Any,
    *,
    inputs: int = 784,
    outputs: int = 10,
    start: float = 100.0,
    rule: str = "printed",
    limit: float | None = None,
) -> np.ndarray:
    """The samples on which each layer's neurons are estimated, growth after growth.

    "printed": n_l is multiplied by sqrt(max(width_{l-1}, width_{l+1})) after every growth. The
    factor compounds: 28 a growth for a layer that reads 784 inputs, beyond all of MNIST after two.
    "afresh": start times that factor of the present widths, after every growth; the other reading,
    which stays below 3100 for the paper's networks.
    "proportional": start max / max at the start, which keeps the error of the moment, of order
    sqrt(max / n), where it was.

    Parameters
    ----------
    widths : (t + 1, L)
        Of the hidden layers, the start included; `final_widths` returns them.
    inputs, outputs : int
        >= 1: the widths around them.
    start : float
        > 0: the first batch.
    rule : {"printed", "afresh", "proportional"}
    limit : float, optional
        The size of the data set, which no batch exceeds.

    Returns
    -------
    (t + 1, L)
        Not rounded to integers. Without a limit, infinite from where floats do not reach: after
        some 200 growths by the printed rule.

    Raises
    ------
    ValueError, TypeError
        For widths below one and options out of range.

    Source: TINY appendix C (TINY-batch).
    """
    table = validation.as_array(widths, "widths", ("t + 1", "L"))
    if (table < 1).any():
        raise ValueError(f"widths must be at least 1; got {table.min():g}.")
    inputs = validation.as_integer(inputs, "inputs", at_least=1, at_most=WIDEST)
    outputs = validation.as_integer(outputs, "outputs", at_least=1, at_most=WIDEST)
    start = validation.as_scalar(start, "start", above=0)
    rule = validation.one_of(rule, "rule", ("printed", "afresh", "proportional"))
    ends = np.ones((len(table), 1))
    around = np.column_stack([inputs * ends, table, outputs * ends])
    largest = np.maximum(around[:, :-2], around[:, 2:])
    factors = np.vstack([np.ones(table.shape[1]), np.sqrt(largest[1:])])
    with np.errstate(over="ignore"):
        if rule == "printed":
            sizes = start * np.cumprod(factors, axis=0)
        elif rule == "afresh":
            sizes = start * factors
        else:
            sizes = start * largest / largest[0]
    most = np.inf if limit is None else validation.as_scalar(limit, "limit", above=0)
    return np.minimum(sizes, most)


class WidthSchedule(NamedTuple):
    """The widths of the hidden layers, growth after growth.

    Attributes
    ----------
    widths : (t + 1, L)
        Row 0 is the start.
    dead : (t + 1, L)
        How many neurons so far had strength 0 when they were added.

    Source: TINY section 4, appendix C (TINY-arch, TINY-dead-new).
    """

    widths: np.ndarray
    dead: np.ndarray


def final_widths(
    growths: int,
    *,
    start: Sequence[int] = (1, 1),
    inputs: int = 784,
    outputs: int = 10,
    order: str = "forward",
    count: str = "shape",
    bias: bool = True,
) -> WidthSchedule:
    """The widths that growth ends with, before it has seen a sample: ranks decide them.

    The matrix S^(-1/2) N of layer l has width_{l-1} + 1 rows, the bias among them, and width_{l+1}
    columns. A growth adds as many neurons as the smaller of the two: that is the rule behind the
    printed widths [110, 51], [222, 71], [929, 141], after 6, 8 and 15 growths from [1, 1]. Prop
    3.2 says to add as many as the rank, which is smaller for the last hidden layer. What old
    weights leave over is orthogonal to the column of ones, so the bias has no row in N; and the
    gradients of a softmax sum to zero over the outputs, so it grows by 9 classes, not 10.

    Parameters
    ----------
    growths : int
        >= 0: each grows every hidden layer once.
    start : sequence of int
        The widths at the start, >= 1.
    inputs, outputs : int
        >= 1, outputs of a softmax.
    order : {"forward", "backward", "together"}
        Whether a layer grows with the new width of the layer below, of the layer above, or neither.
    count : {"shape", "rank"}
        How many neurons are added: the smaller side of the matrix, or its rank for data in general
        position.
    bias : bool
        Whether layers have a bias.

    Returns
    -------
    WidthSchedule

    Raises
    ------
    ValueError, TypeError
        For widths below one and unknown options.

    Source: TINY section 4, appendix C (TINY-arch), Prop 3.2 (TINY-Prop-3.2-K, TINY-dead-new).
    """
    growths = validation.as_integer(growths, "growths", at_least=0)
    inputs = validation.as_integer(inputs, "inputs", at_least=1, at_most=WIDEST)
    outputs = validation.as_integer(outputs, "outputs", at_least=1, at_most=WIDEST)
    now = _hidden(start, "start")
    order = validation.one_of(order, "order", ("forward", "backward", "together"))
    count = validation.one_of(count, "count", ("shape", "rank"))
    rows_of_ones = int(validation.as_bool(bias, "bias"))
    layers = range(len(now) - 1, -1, -1) if order == "backward" else range(len(now))
    dead = [0] * len(now)
    widths, deaths = [list(now)], [list(dead)]
    for _ in range(growths):
        before = list(now)
        for l in layers:
            around = [inputs, *(before if order == "together" else now), outputs]
            shape = min(around[l] + rows_of_ones, around[l + 2])
            rank = min(around[l], around[l + 2] - (l == len(now) - 1))
            now[l] += shape if count == "shape" else rank
            dead[l] += shape - rank if count == "shape" else 0
        widths.append(list(now))
        deaths.append(list(dead))
    return WidthSchedule(np.array(widths), np.array(deaths))


class GrowthCost(NamedTuple):
    """Operations, a multiplication and an addition counted as two.

    Attributes
    ----------
    growth : (L,)
        Of the growth of each hidden layer.
    training : float
        Of a step of gradient descent on one batch.
    batches : float
        sum(growth) / training: a growth of all layers, in steps of training.

    Source: TINY section 1 (TINY-cost).
    """

    growth: np.ndarray
    training: float
    batches: float


def growth_cost(
    widths: Sequence[int], n: float, *, inputs: int = 784, outputs: int = 10, batch: int = 100
) -> GrowthCost:
    """What a growth costs, counted: the moments of a large layer are dear, whatever is added.

    For one regression of p desired columns on q inputs by the moments of n samples

        n q^2 + 2 n q p + q^3 / 3 + 2 q^2 p:

    S (half of it, being symmetric), N, the Cholesky factor, and two triangular solutions. Layer l
    takes two of them at the widths before the growth: of V on B, the best update, with
    q = width_l + 1, and of what it leaves on B_prev, the best neurons, with q = width_{l-1} + 1;
    p = width_{l+1} in both. The rest, V less B times the update, is 2 n q p more, and the singular
    value decomposition of the (q, p) matrix 6 a b^2 + 20 b^3, b the smaller of q and p, a the
    larger. A step of training is 6 operations a sample and weight, forward and backward. The line
    search and the activations are not counted.

    Parameters
    ----------
    widths : sequence of int
        Of the hidden layers, >= 1.
    n : float
        > 0: samples of the estimate.
    inputs, outputs : int
        >= 1.
    batch : int
        >= 1: samples of a training step.

    Returns
    -------
    GrowthCost

    Raises
    ------
    ValueError, TypeError
        For widths below one and options out of range.

    Source: TINY section 1 (TINY-cost), which claims that the complexity is competitive.
    """
    inputs = validation.as_integer(inputs, "inputs", at_least=1, at_most=WIDEST)
    outputs = validation.as_integer(outputs, "outputs", at_least=1, at_most=WIDEST)
    sizes = [inputs, *_hidden(widths, "widths"), outputs]
    n = validation.as_scalar(n, "n", above=0)
    batch = validation.as_integer(batch, "batch", at_least=1, at_most=WIDEST)
    costs = []
    for before, own, p in zip(sizes, sizes[1:], sizes[2:], strict=False):
        solved = sum(
            n * q**2 + 2 * n * q * p + q**3 / 3 + 2 * q**2 * p for q in (before + 1, own + 1)
        )
        small, large = sorted((before + 1, p))
        costs.append(solved + 2 * n * (own + 1) * p + 6 * large * small**2 + 20 * small**3)
    weights = sum((a + 1) * b for a, b in pairwise(sizes))
    training = 6.0 * batch * weights
    return GrowthCost(np.array(costs), training, sum(costs) / training)


# Helpers --------------------------------------------------------------------------------------


def _hidden(widths: Any, name: str) -> list[int]:
    if np.ndim(widths) != 1 or not len(widths):
        raise ValueError(f"{name} must be one width for each hidden layer; got {widths!r}.")
    return [
        validation.as_integer(w, f"{name}[{i}]", at_least=1, at_most=WIDEST)
        for i, w in enumerate(widths)
    ]


def _samples(B: Any, V: Any, name: str = "V") -> tuple[np.ndarray, np.ndarray]:
    B = validation.as_array(B, "B", ("n", "q"), flat="Use B[:, None] for one column.")
    V = validation.as_array(
        V, name, (len(B), "p"), hint="One row a sample.", flat=f"Use {name}[:, None]."
    )
    return B, V


def _box(B: np.ndarray, reach: Any) -> np.ndarray:
    """Bounds for the entries of a fan-in."""
    q = B.shape[1]
    if reach is None:
        sizes = np.sqrt((B * B).mean(axis=0))
        return 4 / np.sqrt(q) / np.where(sizes > 0, sizes, 1.0)
    shape = () if np.ndim(reach) == 0 else (q,)
    bounds = validation.as_array(reach, "reach", shape, hint="One bound, or one a column of B.")
    if (bounds <= 0).any():
        raise ValueError(f"reach must be above 0; got {bounds.min():g}.")
    return np.broadcast_to(bounds, (q,))


def _drawn(B: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    draws = max(CANDIDATES, 4 * len(B))
    return np.asarray(rng.uniform(-1, 1, size=(draws, B.shape[1])) * box)


def _unit(H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neurons scaled to norm one, and their norms; dead ones stay zero, and so do those whose
    output weights would be of no use."""
    largest = np.abs(H).max(axis=0)
    H = np.divide(H, largest, out=np.zeros_like(H), where=largest > FAINTEST)
    norms = np.linalg.norm(H, axis=0)
    return np.divide(H, norms, out=H, where=norms > 0), norms * largest


def _decrease(R: np.ndarray, moved: np.ndarray) -> float:
    """Of the mean of |R|^2 / 2 when `moved` is added to the output."""
    return float((moved * (2 * R - moved)).sum() / (2 * len(R)))


def _nothing(B: np.ndarray, R: np.ndarray) -> Witness:
    return Witness(np.zeros((1, B.shape[1])), np.zeros((R.shape[1], 1)), 0.0)


def _alternate(T: np.ndarray, omega: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Raise |sum_p omega_p beta^T T_p beta| over unit vectors beta and omega in turn."""
    beta, value = np.zeros(T.shape[1]), 0.0
    for _ in range(ALTERNATIONS):
        mu, vectors = np.linalg.eigh(np.tensordot(omega, T, axes=1))
        found = vectors[:, np.abs(mu).argmax()]
        image = (T @ found) @ found
        reached = float(np.linalg.norm(image))
        if reached <= value * (1 + 1e-15):
            break
        beta, omega, gained = found, image / reached, reached - value
        value = reached
        if gained <= 1e-14 * value:
            break
    return value, beta, omega


def _activation(network: "MLP | Shallow") -> Activation:
    if isinstance(network, MLP):
        return activations.get(network.activation)
    return cast(Ridge, network.neuron).activation  # `desired_updates` refuses other neurons
