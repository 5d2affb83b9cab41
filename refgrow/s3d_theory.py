"""S3D section 3: when signed splitting provably fits the data, and after how many splits.

For a one-hidden-layer network f(x) = sum_i w_i sigma(theta_i . x) under the mean square loss the
argument has three steps. The matrices x x^T of the samples are linearly independent and sigma'' is
bounded away from zero, so a splitting matrix cannot be small unless the loss is (Lemma 3.2). A
signed split gains at least kappa times the spectral radius at second order (eq 12). Small sizes
keep the third order below half of that (Assumption 3.3), so every split lowers the loss by a fixed
amount until it is below eta (Theorem 3.4).

Here every constant of the argument is a number that can be measured on a network, and every bound a
function of them, so that a run can be held against the theorem it is an instance of. In the paper's
order:

- Assumption 3.1: `feature_gram`, `constants`; Lemma 3.2: `loss_bounds`;
- eq 12: `kappa`; the third derivative along a split: `loss_jet`, `split_constant`,
  `even_constant`, `constant_bound`;
- Assumption 3.3: `largest_size`, and Algorithm 1 run under it: `descend`;
- Theorem 3.4: `splits_needed`; what the same argument gives without waste:
  `sharper_splits_needed`, `adaptive_splits_needed`, `even_splits_needed`;
- Theorem B.1: `printed_binary_splits`, whose constant is not the one its proof gives;
- Lemma B.2: `initial_loss_bound`, `initial_neurons`, and both as printed.

The loss is `losses.squared` with its 1/2, L = E (f - y)^2 / 2; Lemma 3.2 bounds E (f - y)^2 = 2 L.

Source: S3D section 3, appendix B.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrow import activations, growth, losses, s2d, s3d, validation
from refgrow.activations import sigmoid, tanh
from refgrow.networks import Shallow
from refgrow.neurons import Ridge

# Beyond this loss a run is called diverged, before products of two such numbers overflow.
DIVERGED = 1e100

# A weight that is one on paper, such as 1.3 * (1 / 1.3), may miss it by a rounding.
UNIT_TOLERANCE = 1e-12


def _third_of_tanh(z: np.ndarray) -> np.ndarray:
    s = tanh.derivative(z)
    return s * (4 * tanh.value(z) ** 2 - 2 * s)


def _third_of_sigmoid(z: np.ndarray) -> np.ndarray:
    s = sigmoid.derivative(z)
    return s * (np.tanh(0.5 * z) ** 2 - 2 * s)


def _third_of_gelu(z: np.ndarray) -> np.ndarray:
    return (z**3 - 4 * z) * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)


# sigma''' by the activation's name: nothing else in refgrow needs a third derivative.
THIRD_DERIVATIVES: dict[str, activations.Function] = {
    "identity": lambda z: 0.0 * z,
    "quadratic": lambda z: 0.0 * z,
    "softplus": activations.second_derivative(sigmoid, "the third derivative of softplus"),
    "sigmoid": _third_of_sigmoid,
    "tanh": _third_of_tanh,
    "gaussian": lambda z: (3 * z - z**3) * np.exp(-0.5 * z * z),
    "sine": lambda z: -np.cos(z),
    "gelu": _third_of_gelu,
}


# Assumption 3.1 and Lemma 3.2 -----------------------------------------------------------------


def feature_gram(X: Any) -> np.ndarray:
    """How independent the samples' x x^T are: the matrix X^T X / d^2 of Assumption 3.1.

    Its entries are <x_l x_l^T, x_k x_k^T> / d^2 = (x_l . x_k)^2 / d^2. Where it is singular, errors
    can hide from every splitting matrix.

    Parameters
    ----------
    X : (n, d)

    Returns
    -------
    (n, n)
        Symmetric positive semi-definite, of rank at most d (d + 1) / 2.

    Raises
    ------
    ValueError, TypeError
        For an X that is not a finite matrix.

    Source: S3D Assumption 3.1 (S3D-Ass-3.1).
    """
    X = validation.as_array(X, "X", ("n", "d"))
    G = X @ X.T
    return G * G / X.shape[1] ** 2


@dataclass(frozen=True)
class Constants:
    """The constants of Assumption 3.1, measured.

    Attributes
    ----------
    samples, inputs : int
        n and d.
    bend : float
        h, the least |sigma''(theta_i . x_l)| over neurons and samples.
    lambda_X : float
        The least eigenvalue of `feature_gram`; zero below its rounding.
    message : str
        Whether the assumption can hold, for a person.

    Source: S3D Assumption 3.1 (S3D-Ass-3.1), Lemma 3.2 (S3D-Lem-3.2), Assumption 3.3 (S3D-Ass-3.3).
    """

    samples: int
    inputs: int
    bend: float
    lambda_X: float
    message: str = ""

    @property
    def alpha(self) -> float:
        """n / (d h^2 lambda_X); infinite where h or lambda_X is zero."""
        below = self.inputs * self.bend**2 * self.lambda_X
        return self.samples / below if below > 0 else np.inf

    def rho_0(self, eta: float) -> float:
        """(eta / alpha)^(1/2): above the loss eta, a neuron with |w| >= 1 has a larger radius."""
        eta = validation.as_scalar(eta, "eta", above=0)
        return float(np.sqrt(eta / self.alpha))


def constants(network: Shallow, X: Any, bend: float | None = None) -> Constants:
    """What Assumption 3.1 asks of data and network, in numbers.

    lambda_X > 0 needs n <= d (d + 1) / 2 samples, no two of them on one line through the origin.
    h > 0 needs sigma'' of one sign on the data, which of the activations here only the quadratic
    and softplus have everywhere, and only the quadratic with an h that does not depend on theta.

    Parameters
    ----------
    network : Shallow
        Of ridge neurons, with one output.
    X : (n, d)
    bend : float, optional
        h > 0 to use in place of the network's own, for a bound over a whole run.

    Returns
    -------
    Constants

    Raises
    ------
    ValueError, TypeError
        For another network, an activation without a second derivative, data that do not fit.

    Source: S3D Assumption 3.1 (S3D-Ass-3.1), Lemma 3.2 (S3D-Lem-3.2).
    """
    X = _inputs(network, X)
    n, d = X.shape
    most = d * (d + 1) // 2
    if bend is None:
        bend = float(np.abs(_second(network, X)).min())
    else:
        bend = validation.as_scalar(bend, "bend", above=0)
    values = np.linalg.eigvalsh(feature_gram(X))
    rounding = n * np.finfo(float).eps * values[-1]
    least = float(values[0]) if n <= most and values[0] > rounding else 0.0
    if n > most:
        message = (
            f"lambda_X is zero: {n} matrices x x^T lie in a space of d (d + 1) / 2 = {most} "
            "dimensions, so some errors leave every splitting matrix zero."
        )
    elif least == 0:
        message = "lambda_X is zero: the matrices x x^T of these samples are linearly dependent."
    elif bend == 0:
        message = "h is zero: sigma'' vanishes at a sample, whose error that neuron does not see."
    else:
        message = "Assumption 3.1 holds at this network."
    return Constants(n, d, bend, least, message)


@dataclass(frozen=True, eq=False)
class LossBounds:
    """What each neuron's splitting matrix says about the loss: 2 L is at most every one of these.

    Attributes
    ----------
    twice_loss : float
        E (f - y)^2.
    printed : (m,)
        alpha (rho(S_i) / w_i)^2, with one h for all neurons.
    frobenius : (m,)
        The same with the Frobenius norm, |S_i|_F^2 / d in place of rho^2, and the neuron's own h_i.
    weighted : (m,)
        With the least eigenvalue of D_i (X^T X / d^2) D_i, D_i = diag(sigma''(theta_i . x_l)), in
        place of h_i^2 lambda_X: the best bound there is from |S_i|_F and |w_i|.

    Source: S3D Lemma 3.2, B.1 (S3D-Lem-3.2). printed >= frobenius >= weighted >= twice_loss.
    """

    twice_loss: float
    printed: np.ndarray
    frobenius: np.ndarray
    weighted: np.ndarray


def loss_bounds(network: Shallow, X: Any, Y: Any) -> LossBounds:
    """How small the loss must be because a splitting matrix is: Lemma 3.2 and its sharper forms.

    E (f - y)^2 <= alpha (rho(S_i) / w_i)^2 for every neuron i. Attained for one sample, for n = d
    orthonormal samples with errors of equal size, and for three samples in the plane at 120
    degrees with errors that sum to zero; always when |sigma''| = h, the errors are an eigenvector
    of lambda_X and all eigenvalues of S_i have the same modulus.

    Parameters
    ----------
    network : Shallow
        Of ridge neurons, with one output.
    X : (n, d)
    Y : (n, 1)

    Returns
    -------
    LossBounds
        Infinite where lambda_X, h or w_i is zero.

    Raises
    ------
    ValueError, TypeError
        As for `constants`.

    Source: S3D Lemma 3.2 (S3D-Lem-3.2); its proof gives the two sharper forms on the way.
    """
    X, known = _inputs(network, X), constants(network, X)
    error = network(X) - validation.as_array(Y, "Y", (len(X), 1))
    S = s2d.splitting_matrices(network, X, Y, "squared")[0]
    square, d = network.weights.ravel() ** 2, known.inputs
    per_dimension = (S * S).sum(axis=(1, 2)) / d
    second, gram = _second(network, X), feature_gram(X)
    own = np.array([np.linalg.eigvalsh(h[:, None] * gram * h)[0] for h in second.T])
    least = known.lambda_X * (np.abs(second).min(axis=0)) ** 2
    if known.lambda_X == 0:
        own = np.zeros(len(own))
    return LossBounds(
        float((error * error).mean()),
        _bound(_radii(S) ** 2, square * known.bend**2 * known.lambda_X, known),
        _bound(per_dimension, square * least, known),
        _bound(per_dimension, square * own, known),
    )


def _bound(radius: np.ndarray, below: np.ndarray, known: Constants) -> np.ndarray:
    """n radius / (d below), infinite where nothing is below."""
    tiny = np.finfo(float).tiny
    share = known.samples / known.inputs * radius / np.maximum(below, tiny)
    return np.where(below > 0, share, np.inf)


# Eq 12 and the third derivative along a split --------------------------------------------------


def kappa(c: float, copies: int) -> float:
    """The least gain of the best split per unit of spectral radius: G_m <= -kappa_m rho(S).

    kappa_2 = (c - 1) / (c + 1) and kappa_m = (c - 1) / 2 for m >= 3: attained by every positive
    semi-definite S, so the best constant there is. Zero at c = 1, where such an S has no gain.

    Parameters
    ----------
    c : float
        >= 1.
    copies : int
        m >= 2.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For c < 1 or m < 2.

    Source: S3D eq 12 (S3D-Eq-12).
    """
    c = validation.as_scalar(c, "c", at_least=1)
    copies = validation.as_integer(copies, "copies", at_least=2)
    return (c - 1) / (c + 1) if copies == 2 else (c - 1) / 2


def loss_jet(network: Shallow, split: growth.Split, X: Any, Y: Any, sizes: Any) -> np.ndarray:
    """The loss along a split, g(s) = L with the copies at theta + s delta_k, and g', g'', g'''.

    With f^(r) = w sum_k fraction_k sigma^(r)(z_k) (delta_k . x)^r, r >= 1, and e = f - y:
    g' = E e f', g'' = E (f'^2 + e f''), g''' = E (3 f' f'' + e f''').

    Parameters
    ----------
    network : Shallow
        Of ridge neurons, with one output.
    split : growth.Split
    X : (n, d)
    Y : (n, 1)
    sizes : (k,)
        The values of s.

    Returns
    -------
    (4, k)

    Raises
    ------
    ValueError, TypeError
        For another network, an activation whose third derivative is not known here, and what does
        not fit.

    Source: the Taylor expansion in the proof of S3D Thm 3.4, B.2 (S3D-Thm-3.4).
    """
    X = _inputs(network, X)
    Y = validation.as_array(Y, "Y", (len(X), 1))[:, 0]
    sizes = validation.as_array(sizes, "sizes", ("k",))
    growth.apply(network, growth.Plan((split,), 0.0, 0.0, 2, 3))  # It refuses what does not fit.
    sigma = _activation(network)
    if sigma.name not in THIRD_DERIVATIVES:
        raise ValueError(
            f"the third derivative of {sigma.name} is not known here; it is for "
            f"{', '.join(sorted(THIRD_DERIVATIVES))}."
        )
    second = activations.second_derivative(sigma, "the loss along a split")
    orders = (sigma.value, sigma.derivative, second, THIRD_DERIVATIVES[sigma.name])
    theta, weight = network.theta[split.neuron], float(network.weights.ravel()[split.neuron])
    slope = X @ split.directions.T  # (n, copies)
    z = (X @ theta)[:, None] + sizes[:, None, None] * slope  # (k, n, copies)
    f = [weight * (order(z) * slope**r) @ split.fractions for r, order in enumerate(orders)]
    e = f[0] + (network(X)[:, 0] - weight * sigma.value(X @ theta) - Y)
    jet = (0.5 * e * e, e * f[1], f[1] ** 2 + e * f[2], 3 * f[1] * f[2] + e * f[3])
    return np.array([part.mean(axis=1) for part in jet])


def split_constant(
    network: Shallow, split: growth.Split, X: Any, Y: Any, size: float, *, points: int = 17
) -> float:
    """C, measured: the largest |g'''(s)| / 6 of the loss along a split, for s in [0, size].

    It is what the proof of Theorem 3.4 needs of Assumption 3.1's third derivative, and all it
    needs: then the loss after the split is at most L + (size^2 / 2) gain + C size^3. The largest
    *entry* of the derivative's tensor, another reading of its norm in the print, can be smaller
    and is not enough.

    Parameters
    ----------
    network, split, X, Y : as for `loss_jet`
    size : float
        > 0.
    points : int
        >= 2 values of s, both ends among them. For the quadratic activation g''' is linear in s
        and the ends are enough; for others this is the largest of a sample.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As for `loss_jet`, and for a size that is not positive.

    Source: S3D Assumption 3.1 (S3D-Ass-3.1), proof of Thm 3.4, B.2 (S3D-Thm-3.4).
    """
    size = validation.as_scalar(size, "size", above=0)
    points = validation.as_integer(points, "points", at_least=2)
    jet = loss_jet(network, split, X, Y, np.linspace(0, size, points))
    return float(np.abs(jet[3]).max()) / 6


def even_constant(
    network: Shallow, split: growth.Split, X: Any, Y: Any, size: float, *, points: int = 17
) -> float:
    """C_4, measured: the largest |g'''(s)| / (24 s) of the loss along an even split, 0 < s <= size.

    Then the loss after the split is at most L + (size^2 / 2) gain + C_4 size^4: the remainder is
    the integral of g'''(s) (size - s)^2 / 2.

    Parameters
    ----------
    network, split, X, Y, size, points : as for `split_constant`
        The largest of a sample that leaves zero out, so it can fall short by a little; for an
        uneven split it is not bounded as the points crowd at zero.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As for `split_constant`.

    Source: not in the paper; the argument of S3D Thm 3.4, B.2 (S3D-Thm-3.4).
    """
    size = validation.as_scalar(size, "size", above=0)
    points = validation.as_integer(points, "points", at_least=2)
    sizes = np.linspace(0, size, points)[1:]
    jet = loss_jet(network, split, X, Y, sizes)
    return float(np.abs(jet[3] / sizes).max()) / 24


def constant_bound(
    X: Any, loss: float, weight: float, size: float, c: float, second: float, third: float
) -> float:
    """C before the run: a bound for every split of a neuron of this weight at no larger loss.

    Along a split |f''| <= c |w| B |x|^2, |f'| <= s times that, and |f'''| <= c |w| B_3 |x|^3, with
    B and B_3 the largest |sigma''| and |sigma'''|; e by its mean square. So C depends on the rest
    of the network through the loss alone, but it grows with the weight like w^2, and a signed split
    can multiply a weight by (c + 1) / 2: no C holds for all that Assumption 3.1 calls reachable
    unless the weights of the neurons that are split stay bounded.

    Parameters
    ----------
    X : (n, d)
    loss : float
        >= 0, before the split.
    weight : float
        >= 0, |w_i| of the neuron split.
    size : float
        > 0.
    c : float
        >= 1.
    second, third : float
        >= 0: bounds on |sigma''| and |sigma'''| where theta . x can be.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Source: not in the paper; what S3D Assumption 3.1 assumes (S3D-Ass-3.1, S3D-Lem-B.2).
    """
    norms = np.linalg.norm(validation.as_array(X, "X", ("n", "d")), axis=1)
    loss = validation.as_scalar(loss, "loss", at_least=0)
    size = validation.as_scalar(size, "size", above=0)
    second = validation.as_scalar(second, "second", at_least=0)
    third = validation.as_scalar(third, "third", at_least=0)
    scale = validation.as_scalar(c, "c", at_least=1) * abs(validation.as_scalar(weight, "weight"))
    bent = scale * second * float(np.sqrt((norms**4).mean()))  # (E f''^2)^(1/2) at most.
    error = np.sqrt(2 * loss) + 0.5 * size**2 * bent
    skew = scale * third * float(np.sqrt((norms**6).mean()))
    return float(3 * size * bent**2 + error * skew) / 6


# Assumption 3.3 and Theorem 3.4 ----------------------------------------------------------------


def largest_size(known: Constants, eta: float, C: float, c: float, copies: int) -> float:
    """The largest epsilon of Assumption 3.3: kappa_m rho_0 / (4 C).

    At it the third order takes at most half of what the second order gains. The decrease that is
    then certain, eps^2 kappa rho_0 / 4, would be larger by 32/27 at kappa rho_0 / (3 C).

    Parameters
    ----------
    known : Constants
    eta : float
        > 0, the loss that is aimed at.
    C : float
        >= 0; infinite size at zero.
    c, copies : as for `kappa`

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Source: S3D Assumption 3.3 (S3D-Ass-3.3).
    """
    C = validation.as_scalar(C, "C", at_least=0)
    gain = kappa(c, copies) * _checked(known, eta).rho_0(eta)
    return gain / (4 * C) if C > 0 else np.inf


def splits_needed(
    known: Constants, loss: float, eta: float, size: float, c: float, copies: int
) -> float:
    """T: after this many splits under Assumption 3.3 the loss is at most eta.

    T = ceil(4 (L_0 - eta) / (eps^2 kappa_m rho_0)), zero if L_0 <= eta. For m = 3, 4 and c >= 3 it
    is enough to start from one neuron of |w| >= 1, and the network ends with at most (m - 1) T + 1
    neurons; for m = 2 (c > 1), or m = 3, 4 with 1 < c < 3, from T such neurons.

    Parameters
    ----------
    known : Constants
    loss : float
        L_0 >= 0, with the 1/2.
    eta : float
        > 0.
    size : float
        > 0, not above `largest_size`.
    c, copies : as for `kappa`

    Returns
    -------
    float
        A whole number; infinite at c = 1 and where lambda_X or h is zero.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Source: S3D Thm 3.4 (S3D-Thm-3.4); Thm B.1 with the constant that its proof gives
    (S3D-Thm-B.1, S3D-B.1-remark).
    """
    loss = validation.as_scalar(loss, "loss", at_least=0)
    size = validation.as_scalar(size, "size", above=0)
    certain = size**2 * kappa(c, copies) * _checked(known, eta).rho_0(eta)
    return _whole(4 * max(loss - eta, 0.0), certain)


def sharper_splits_needed(
    known: Constants, loss: float, eta: float, size: float, c: float, copies: int
) -> float:
    """T without waste: the radius is above rho_0 as long as the loss is above eta.

    At loss L a neuron with |w| >= 1 has rho >= (2 L / alpha)^(1/2) = sqrt(2 L / eta) rho_0, with
    the 1/2 of the loss, and the third order takes at most eps^2 kappa rho_0 / 4. So a split gains
    k L^(1/2), k = (1/sqrt(2) - 1/4) eps^2 kappa rho_0 / sqrt(eta), and sqrt(L - k sqrt(L)) <=
    sqrt(L) - k/2: T = ceil(2 (sqrt(L_0) - sqrt(eta)) / k). It is below `splits_needed` by the
    factor 2 sqrt(eta) / ((2 sqrt(2) - 1) (sqrt(L_0) + sqrt(eta))), at most 1/1.83.

    Parameters, Returns and Raises as for `splits_needed`.

    Source: not in the paper; the argument of S3D Thm 3.4, B.2 (S3D-Thm-3.4, S3D-rate).
    """
    loss = validation.as_scalar(loss, "loss", at_least=0)
    size = validation.as_scalar(size, "size", above=0)
    gain = (np.sqrt(0.5) - 0.25) * size**2 * kappa(c, copies)
    k = gain * _checked(known, eta).rho_0(eta) / np.sqrt(eta)
    return _whole(2 * max(np.sqrt(loss) - np.sqrt(eta), 0.0), k)


def adaptive_splits_needed(
    known: Constants, loss: float, eta: float, C: float, c: float, copies: int
) -> float:
    """T when every split takes the size kappa rho(S_i) / (4 C) that its own radius allows.

    A split then gains (kappa rho)^3 / (64 C^2) >= k L^(3/2), k = kappa^3 (2 / alpha)^(3/2) /
    (64 C^2), and L^(-1/2) grows by k/2: T = ceil(2 (eta^(-1/2) - L_0^(-1/2)) / k). So the number
    of splits is of order (n / d)^(3/2) eta^(-1/2), not (n / (d eta))^(3/2).

    Parameters
    ----------
    known, loss, eta, c, copies : as for `splits_needed`
    C : float
        > 0, for all splits of the run.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Source: not in the paper; the argument of S3D Thm 3.4, B.2 (S3D-Thm-3.4, S3D-rate).
    """
    loss = validation.as_scalar(loss, "loss", at_least=0)
    C = validation.as_scalar(C, "C", above=0)
    radius = np.sqrt(2.0) * _checked(known, eta).rho_0(eta)
    k = (kappa(c, copies) * radius) ** 3 / (64 * C**2 * eta**1.5)
    if loss <= eta:
        return 0.0
    return _whole(2 * (1 / np.sqrt(eta) - 1 / np.sqrt(loss)), k)


def even_splits_needed(
    known: Constants, loss: float, eta: float, C: float, c: float, copies: int
) -> float:
    """T for quartets, which have no third order: the loss falls by a fixed share at every split.

    The best splits into four copies or more, quartets and the triplets of eqs 9 and 10, are even
    in s, so g'''(0) = 0 and the loss after a split is at most L + (eps^2 / 2) gain + C_4 eps^4. The
    best pair (eq 8) and the best triplet (the mixed one) may be uneven, and have no such C_4. At
    eps^2 = kappa rho(S_i) / (4 C_4) the split gains (kappa rho)^2 / (16 C_4) >=
    kappa^2 L / (8 alpha C_4): a number of splits of order (n / d) log(L_0 / eta),
    T = ceil(log(L_0 / eta) / -log(1 - kappa^2 / (8 alpha C_4))).

    Parameters
    ----------
    known, loss, eta, c : as for `splits_needed`
    C : float
        > 0: C_4, `even_constant`, for all splits of the run.
    copies : int
        m >= 4.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Source: not in the paper; the argument of S3D Thm 3.4, B.2 (S3D-rate-even-new).
    """
    loss = validation.as_scalar(loss, "loss", at_least=0)
    C = validation.as_scalar(C, "C", above=0)
    if validation.as_integer(copies, "copies", at_least=2) < 4:
        raise ValueError(
            f"copies must be at least 4: the best split into {copies} may be uneven, and then its "
            "third order is not zero. Use splits_needed."
        )
    share = (kappa(c, copies) * _checked(known, eta).rho_0(eta)) ** 2 / (8 * C * eta)
    if loss <= eta:
        return 0.0
    if share >= 1:
        return 1.0
    return _whole(float(np.log(loss / eta)), -float(np.log1p(-share)))


def _whole(above: float, below: float) -> float:
    if above == 0:
        return 0.0
    return float(np.ceil(above / below)) if below > 0 else np.inf


@dataclass(frozen=True, eq=False)
class Descent:
    """A run of Algorithm 1 under Assumption 3.3, with what the theorem speaks of at every split.

    Attributes
    ----------
    network : Shallow
    loss : (nit + 1,)
        Before the first split and after every split (and parametric phase).
    bend : (nit + 1,)
        h of the network at the same times; of before and after a parametric phase the smaller.
    weight, radius, gain, constant : (nit,)
        |w_i|, rho(S_i), the scheme's gain and the measured C of the neuron split.
    nit : int
        Splits.
    fun : float
        The last loss.
    success : bool
        Whether the loss is at most eta.
    status : int
        0 the loss is at most eta, 1 all splits were taken, 2 no neuron has |w| >= 1 and
        rho >= rho_0, 3 the next split would make the loss exceed all bounds: this is the last state
        before it.
    message : str

    Source: S3D Algorithm 1 under Assumption 3.3 (S3D-Ass-3.3, S3D-Thm-3.4).
    """

    network: Shallow
    loss: np.ndarray
    bend: np.ndarray
    weight: np.ndarray
    radius: np.ndarray
    gain: np.ndarray
    constant: np.ndarray
    nit: int
    fun: float
    success: bool
    status: int
    message: str


_MESSAGES = (
    "The loss is at most eta.",
    "All splits were taken.",
    "No neuron has |w| >= 1 and rho(S) >= rho_0.",
    "The loss diverged.",
)


def descend(
    network: Shallow,
    X: Any,
    Y: Any,
    *,
    eta: float,
    size: float,
    c: float = 3.0,
    copies: int = 3,
    bend: float | None = None,
    most: int = 1000,
    pick: str = "largest",
    parametric: Callable[[Shallow], Shallow] | None = None,
) -> Descent:
    """Algorithm 1 as section 3 analyses it: split one neuron at a time until the loss is eta.

    Each time any neuron with w_i^2 >= 1 and rho(S_i) >= rho_0 is split by the best scheme. Whether
    the size was allowed is seen afterwards: size <= `largest_size` at the largest `constant` and
    the least `bend` of the run.

    Parameters
    ----------
    network : Shallow
        Of ridge neurons, with one output.
    X : (n, d)
    Y : (n, 1)
    eta : float
        > 0.
    size : float
        epsilon > 0, the same for all splits.
    c, copies : as for `kappa`
    bend : float, optional
        The h that makes rho_0; the network's own by default.
    most : int
        At most this many splits.
    pick : str
        The theorem says "any neuron": "largest" or "smallest" radius, or "lightest", least |w|.
    parametric : callable, optional
        The parametric phase, before every split: a network to one of the same weights and no larger
        loss.

    Returns
    -------
    Descent

    Raises
    ------
    ValueError, TypeError
        For arguments out of range, and a parametric phase that changes the weights or raises the
        loss.

    Source: S3D Algorithm 1 under Assumption 3.3 (S3D-Alg-1, S3D-Ass-3.3).
    """
    X = _inputs(network, X)
    most = validation.as_integer(most, "most", at_least=0)
    size = validation.as_scalar(size, "size", above=0)
    pick = validation.one_of(pick, "pick", ("largest", "smallest", "lightest"))
    if parametric is not None and not callable(parametric):
        raise TypeError(f"parametric must be a function of a network; got {parametric!r}.")
    rho_0 = constants(network, X, bend).rho_0(eta)
    kappa(c, copies)  # It refuses what is out of range.
    values, bends = [_loss(network, X, Y)], [_bend(network, X)]
    rows: list[tuple[float, float, float, float]] = []
    status = 1
    while True:
        if parametric is not None and values[-1] > eta:
            network = _updated(network, parametric(network), X, Y)
            values[-1], bends[-1] = _loss(network, X, Y), min(bends[-1], _bend(network, X))
        if values[-1] <= eta:
            status = 0
            break
        if len(rows) == most:
            break
        found = _eligible(network, X, Y, rho_0, pick)
        if found is None:
            status = 2
            break
        j, S = found
        scheme = s3d.best_scheme(S, c, copies)
        split = growth.Split(0, j, scheme.weights, scheme.directions)
        plan = growth.Plan((split,), size, 0.5 * scheme.gain, 2, 3)
        after = growth.apply(network, plan)
        loss = _loss(after, X, Y)
        if not loss <= DIVERGED:
            status = 3
            break
        C = split_constant(network, split, X, Y, size)
        rows.append((abs(float(network.weights.flat[j])), _radii(S[None])[0], scheme.gain, C))
        network = after
        values.append(loss)
        bends.append(_bend(network, X))
    weight, radius, gain, constant = np.array(rows).reshape(-1, 4).T
    return Descent(
        network, np.array(values), np.array(bends), weight, radius, gain, constant, len(rows),
        values[-1], status == 0, status, _MESSAGES[status],
    )  # fmt: skip


def _eligible(
    network: Shallow, X: np.ndarray, Y: Any, rho_0: float, pick: str
) -> "tuple[int, np.ndarray] | None":
    """A neuron that Assumption 3.3 allows to split, and its splitting matrix."""
    S = s2d.splitting_matrices(network, X, Y, "squared")[0]
    radii, weights = _radii(S), np.abs(network.weights.ravel())
    enough = (radii >= rho_0) & (radii > 0)
    candidates = np.flatnonzero((weights >= 1 - UNIT_TOLERANCE) & enough)
    if len(candidates) == 0:
        return None
    order = {"largest": -radii, "smallest": radii, "lightest": weights}[pick]
    j = int(candidates[np.argmin(order[candidates])])
    return j, S[j]


def _updated(before: Shallow, after: Any, X: np.ndarray, Y: Any) -> Shallow:
    """What the parametric phase returned, if Assumption 3.3 allows it."""
    if not isinstance(after, Shallow) or not np.array_equal(before.weights, after.weights):
        raise ValueError("parametric must return a network with the same outgoing weights.")
    old, new = _loss(before, X, Y), _loss(after, X, Y)
    if new > old:
        raise ValueError(f"parametric must not raise the loss; it went from {old:g} to {new:g}.")
    return after


# Appendix B.3: binary splittings ----------------------------------------------------------------


def printed_binary_splits(
    known: Constants, loss: float, eta: float, size: float, c: float
) -> float:
    """Theorem B.1's T as printed, for comparison with `splits_needed` at two copies.

    It has h^2 lambda_X^2 in beta where the proof gives h lambda_X^(1/2), so it is off by the factor
    1 / (h lambda_X^(3/2)): too small where that is below one, and needlessly large where above.

    Parameters
    ----------
    known, loss, eta, size : as for `splits_needed`
    c : float
        >= 1; infinite at one, which the theorem allows.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Source: S3D Thm B.1 (S3D-Thm-B.1).
    """
    loss = validation.as_scalar(loss, "loss", at_least=0)
    known = _checked(known, eta)
    size = validation.as_scalar(size, "size", above=0)
    scale = np.sqrt(known.inputs * eta / known.samples) * known.bend**2 * known.lambda_X**2
    return _whole(4 * max(loss - eta, 0.0), size**2 * kappa(c, 2) * float(scale))


def initial_loss_bound(X: Any, Y: Any, lipschitz: float, radius: float) -> float:
    """How large the loss can be at an initialisation of Lemma B.2: r_D^2 (1 + r Lip)^2 / 2.

    With sigma(0) = 0, m_0 neurons of |w| = 1 and |theta| <= r / m_0, |f(x)| <= r Lip |x|. Here
    r_D is the largest |x| or |y|.

    Parameters
    ----------
    X : (n, d)
    Y : (n, 1)
    lipschitz : float
        Lip >= 0, of sigma where theta . x can be: |z| <= r r_D / m_0.
    radius : float
        r > 0.

    Returns
    -------
    float
        With the 1/2 of the loss.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Source: S3D Lemma B.2 (S3D-Lem-B.2); see `printed_initial_loss_bound`.
    """
    largest, reach = _reach(X, Y, lipschitz, radius)
    return 0.5 * (largest * reach) ** 2


def printed_initial_loss_bound(X: Any, Y: Any, lipschitz: float, radius: float) -> float:
    """Lemma B.2's ell_0 as printed, r_D (1 + r Lip): the square of the last step is missing.

    Parameters, Returns and Raises as for `initial_loss_bound`.

    Source: S3D Lemma B.2 (S3D-Lem-B.2).
    """
    largest, reach = _reach(X, Y, lipschitz, radius)
    return largest * reach


def initial_neurons(
    known: Constants, loss_bound: float, eta: float, size: float, c: float, copies: int = 2
) -> float:
    """m_0: with this many neurons of |w| = 1, each split at most once, Theorem B.1 goes through.

    `splits_needed` at a bound on the loss that does not depend on m_0. The size must be allowed
    for the network of m_0 neurons; since a split of a neuron with |w| = 1 meets a C that depends
    on the other neurons only through their loss, that is no circle if such neurons are the ones
    that are split.

    Parameters
    ----------
    known : Constants
    loss_bound : float
        >= L_0: `initial_loss_bound`.
    eta, size : as for `splits_needed`
    c, copies : as for `kappa`

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Source: S3D Lemma B.2 (S3D-Lem-B.2), Remark after Thm B.1 (S3D-B.1-remark).
    """
    loss_bound = validation.as_scalar(loss_bound, "loss_bound", at_least=0)
    return splits_needed(known, loss_bound, eta, size, c, copies)


def printed_initial_neurons(
    known: Constants, loss_bound: float, eta: float, size: float, c: float
) -> float:
    """Lemma B.2's m_0 as printed, with the 4 on the wrong side: a sixteenth of `initial_neurons`.

    Parameters and Raises as for `initial_neurons`, without copies, which are two.

    Returns
    -------
    float

    Source: S3D Lemma B.2 (S3D-Lem-B.2).
    """
    loss_bound = validation.as_scalar(loss_bound, "loss_bound", at_least=0)
    size = validation.as_scalar(size, "size", above=0)
    certain = size**2 * kappa(c, 2) * _checked(known, eta).rho_0(eta)
    return _whole(max(loss_bound - eta, 0.0), 4 * certain)


def _reach(X: Any, Y: Any, lipschitz: float, radius: float) -> tuple[float, float]:
    X = validation.as_array(X, "X", ("n", "d"))
    Y = validation.as_array(Y, "Y", (len(X), 1))
    lipschitz = validation.as_scalar(lipschitz, "lipschitz", at_least=0)
    radius = validation.as_scalar(radius, "radius", above=0)
    largest = max(float(np.linalg.norm(X, axis=1).max()), float(np.abs(Y).max()))
    return largest, 1 + radius * lipschitz


# Small helpers --------------------------------------------------------------------------------


def _checked(known: Any, eta: Any) -> Constants:
    """The constants, if they are some, and eta is a loss that can be aimed at."""
    if not isinstance(known, Constants):
        raise TypeError(f"known must be what constants(network, X) returns; got {known!r}.")
    validation.as_scalar(eta, "eta", above=0)
    return known


def _inputs(network: Any, X: Any) -> np.ndarray:
    """X, if the network is the one of eq 13."""
    if not isinstance(network, Shallow) or not isinstance(network.neuron, Ridge):
        raise TypeError(
            "section 3 is about networks of one hidden layer: network must be a Shallow network "
            "of neurons.ridge(...)."
        )
    if network.weights.size != len(network.theta):
        raise ValueError(
            f"network must have one output; got weights of shape {network.weights.shape}."
        )
    return network.check_inputs(X)


def _activation(network: Shallow) -> activations.Activation:
    assert isinstance(network.neuron, Ridge)  # `_inputs` has seen to it.
    return network.neuron.activation


def _second(network: Shallow, X: np.ndarray) -> np.ndarray:
    second = activations.second_derivative(_activation(network), "Assumption 3.1")
    return second(X @ network.theta.T)


def _bend(network: Shallow, X: np.ndarray) -> float:
    return float(np.abs(_second(network, X)).min())


def _loss(network: Shallow, X: np.ndarray, Y: Any) -> float:
    return losses.get("squared").value(network(X), Y)


def _radii(S: np.ndarray) -> np.ndarray:
    return np.abs(np.linalg.eigvalsh(S)[:, [0, -1]]).max(axis=1)
