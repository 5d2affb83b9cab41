"""S2D: growing by splitting steepest descent, section by section with the paper.

A neuron is replaced by copies close to it whose fractions sum to one. To first order the loss sees
only the copies' mean; to second order it also sees their spread, through one small matrix per
neuron, the splitting matrix S. At a local minimum, where moving no longer helps, the copies along
the eigenvector of the smallest eigenvalue of S lower the loss most, if that eigenvalue is negative.

In the paper's order:

- section 2.1, one neuron: `splitting_matrices`, `curvature_parts`, `splitting_indices`,
  `best_split`, `decompose`;
- section 2.2, many neurons: `decide`, Algorithm 1's splitting phase;
- section 2.3, the functional view: the companion module `s2d_theory`;
- appendix B.5, compressing a distribution: `mmd_squared`, `mmd_gradient`,
  `mmd_splitting_matrices`, `mmd_regression`.

The paper's symbols: S is S(theta) of eq 3 with the neuron's outgoing weight inside; v is the
splitting gradient; lam_min the splitting index; `size` is epsilon; `fractions` are the paper's
weights w_i of the off-springs, not the network's output weights.

Source: Wu, Wang and Liu, Splitting Steepest Descent for Growing Neural Architectures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from refgrow import activations, growth, kernels, losses, networks, neurons, validation
from refgrow.networks import MLP, Shallow

# An index is negative below this share of the largest entry of S, for each of its d rows: the sum
# over samples that makes S loses a few digits, and its eigenvalues about d roundings.
ROUNDING = 100 * np.finfo(float).eps

# Relative residual of the eigenpairs of large matrices: an eigenvalue errs by its square, unless
# others are as close.
EIGENPAIR_TOLERANCE = 1e-10


# Section 2.1: one neuron ----------------------------------------------------------------------


def splitting_matrices(
    network: "Shallow | MLP", X: Any, Y: Any, loss: "str | losses.Loss"
) -> list[np.ndarray]:
    """How the loss curves when a neuron is split: one matrix a neuron, for every hidden layer.

    S_j = mean over samples of Phi_j' * Hess sigma(theta_j, h), with h the neuron's input and Phi_j'
    the derivative of the loss with respect to the neuron's output; the outgoing weights are inside
    Phi_j'. A split of neuron j with fractions w and zero-mean directions delta changes the mean
    loss by (eps^2 / 2) sum_i w_i delta_i^T S_j delta_i, up to O(eps^3).

    Parameters
    ----------
    network : Shallow or MLP
    X : (n, d_in)
    Y : (n, p), or labels (n,) for a class loss
    loss : str or losses.Loss

    Returns
    -------
    list of (m, d, d)
        One stack a hidden layer, symmetric; one entry for a Shallow network, none for an MLP
        without hidden layers. In units of the loss per squared unit of theta.

    Raises
    ------
    ValueError
        For an activation without a second derivative, and for data that do not fit.

    Source: S2D Def 2.1 eq 3 (S2D-Def-2.1), eqs 5 and 7 (S2D-Eq-5, S2D-Thm-2.4). The particle
    matrix S_rho of Thm 2.5 and appendix B.5 leaves the outgoing weight out: S_rho = S_j / w_j.
    """
    return [layer.matrices() for layer in _layers(network, X, Y, loss)]


@dataclass(frozen=True, eq=False)
class CurvatureParts:
    """The Hessian of the loss in one neuron's parameters, in S2D's two parts.

    Attributes
    ----------
    splitting : (m, d, d)
        S, with the second derivative of the neuron.
    rest : (m, d, d)
        T, with the second derivative of everything behind it. Hessian = S + T.

    Source: S2D Def 2.1 (S2D-Def-2.1).
    """

    splitting: np.ndarray
    rest: np.ndarray

    @property
    def hessian(self) -> np.ndarray:
        return self.splitting + self.rest


def curvature_parts(
    network: "Shallow | MLP", X: Any, Y: Any, loss: "str | losses.Loss"
) -> list[CurvatureParts]:
    """S and T of every neuron, layer by layer: Hessian block = S + T.

    T_j = mean Phi_j'' (grad sigma)(grad sigma)^T is positive semi-definite where Phi_j is convex,
    as in a Shallow network under a convex loss; in a deeper layer of an MLP it need not be, even
    under a convex loss.

    The Hessian blocks come from `networks.hessian_product`, column by column: this is for study,
    not for growing, which needs S alone.

    Parameters and Raises as for `splitting_matrices`.

    Returns
    -------
    list of CurvatureParts

    Source: S2D Def 2.1 and the displays after it (S2D-Def-2.1, S2D-Rem-2.3).
    """
    S = splitting_matrices(network, X, Y, loss)
    parts = []
    for layer, matrices in enumerate(S):
        H = np.empty_like(matrices)
        for j, k in np.ndindex(matrices.shape[:2]):
            direction = [np.zeros_like(a) for a in network.arrays]
            direction[layer][j, k] = 1.0
            H[j, :, k] = networks.hessian_product(network, X, Y, loss, direction)[layer][j]
        parts.append(CurvatureParts(matrices, 0.5 * (H + H.swapaxes(1, 2)) - matrices))
    return parts


def splitting_indices(S: Any) -> tuple[np.ndarray, np.ndarray]:
    """The splitting index lam_min and the splitting gradient v_min of a matrix or of a stack.

    Parameters
    ----------
    S : (..., d, d)
        Symmetric.

    Returns
    -------
    lam_min : (...)
        The smallest eigenvalue.
    v_min : (..., d)
        An eigenvector of norm one whose first non-negligible entry is positive. With ties any unit
        vector of the eigenspace is as good; which one comes back is LAPACK's choice.

    Raises
    ------
    ValueError, TypeError
        For matrices that are not symmetric or not finite.

    Source: S2D Def 2.1.
    """
    S = validation.as_symmetric(S, "S")
    values, vectors = np.linalg.eigh(S)
    return values[..., 0], kernels.signed(vectors[..., 0])


class Extremes(NamedTuple):
    """The extreme eigenpairs of a layer's splitting matrices.

    Attributes
    ----------
    lam_min, lam_max : (m,)
        Zero where they cannot be told from zero by the rounding of what the matrix was summed from.
    v_min, v_max : (m, d)
        Of norm one, the first non-negligible entry positive.

    Source: S2D Def 2.1 for the smallest, S3D Thm 2.1 for the largest.
    """

    lam_min: np.ndarray
    v_min: np.ndarray
    lam_max: np.ndarray
    v_max: np.ndarray


def extremes(network: "Shallow | MLP", X: Any, Y: Any, loss: "str | losses.Loss") -> list[Extremes]:
    """How much any split of each neuron can gain: both ends of every splitting matrix's spectrum.

    What `decide` needs of the splitting matrices. Where a neuron sees its input through one inner
    product, the matrices are not formed if that is slower (`kernels.extreme_eigenpairs`).

    Parameters and Raises as for `splitting_matrices`.

    Returns
    -------
    list of Extremes
        One a hidden layer.

    Source: S2D Alg 1, S3D Alg 1 (S2D-Alg-1, S3D-Alg-1).
    """
    found = []
    for layer in _layers(network, X, Y, loss):
        rounding = layer.rounding()
        low, v_low, high, v_high = layer.extremes()
        low, high = (np.where(np.abs(lam) > rounding, lam, 0.0) for lam in (low, high))
        found.append(Extremes(low, v_low, high, v_high))
    return found


@dataclass(frozen=True, eq=False)
class Scheme:
    """How to split one neuron: the loss changes by (eps^2 / 2) * gain.

    Attributes
    ----------
    fractions : (m,)
    directions : (m, d)
    gain : float

    Source: S2D Thm 2.3 (S2D-Thm-2.3b).
    """

    fractions: np.ndarray
    directions: np.ndarray
    gain: float


def best_split(S: Any) -> Scheme:
    """The best of all splits with non-negative fractions and directions of norm at most one.

    Two equal copies along +v_min and -v_min when lam_min < 0, gain lam_min; otherwise no split, one
    copy that stays, gain zero. Where lam_min = 0 the second order is silent: no scheme gains at
    order eps^2, but one with a third moment can gain at order eps^3 (S2D-Thm-2.3-edge).

    Parameters
    ----------
    S : (d, d)
        Symmetric.

    Returns
    -------
    Scheme

    Raises
    ------
    ValueError, TypeError
        For a matrix that is not symmetric or not finite.

    Source: S2D Thm 2.3 (S2D-Thm-2.3a, S2D-Thm-2.3b).
    """
    S = validation.as_array(validation.as_symmetric(S, "S"), "S", ("d", "d"))
    lam_min, v_min = splitting_indices(S)
    if _negative(S, float(lam_min)):
        return Scheme(np.array([0.5, 0.5]), np.array([v_min, -v_min]), float(lam_min))
    return Scheme(np.ones(1), np.zeros((1, len(S))), 0.0)


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The change of the mean loss under a split, in S2D's two terms.

    Attributes
    ----------
    actual : float
        L after minus L before.
    displacement : float
        Term I: L(theta + eps mu) - L(theta), all neurons moved by the mean of their copies.
    displacement_taylor : float
        Term I to second order: eps grad L . mu + (eps^2 / 2) mu^T Hess L mu, over all neurons
        jointly.
    splitting : float
        Term II: (eps^2 / 2) sum over neurons and copies of w_i delta_i^T S delta_i, with delta the
        deviation from the mean.
    remainder : float
        actual - displacement - splitting; O(eps^3), and O(eps^4) when every split is symmetric
        about its mean and the mean is zero.

    Source: S2D Thm 2.2 eq 4, Thm 2.4 (S2D-Thm-2.2, S2D-Thm-2.4).
    """

    actual: float
    displacement: float
    displacement_taylor: float
    splitting: float

    @property
    def remainder(self) -> float:
        return self.actual - self.displacement - self.splitting


def decompose(
    network: "Shallow | MLP",
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    splits: Sequence[growth.Split],
    size: float,
) -> Decomposition:
    """What splits do to the loss, and what Theorems 2.2 and 2.4 say they do.

    Any number of neurons in any layers, any fractions that sum to one (signed ones too), any
    directions: theta_i = theta + size * (mu + delta_i), where mu is the mean of the directions,
    weighted by the fractions.

    Parameters
    ----------
    network, X, Y, loss : as for `splitting_matrices`
    splits : sequence of growth.Split
    size : float
        epsilon.

    Returns
    -------
    Decomposition

    Raises
    ------
    ValueError, TypeError
        For splits that do not fit the network, two splits of one neuron, and what
        `splitting_matrices` refuses.

    Source: S2D Thm 2.2 eq 4, Thm 2.4 (S2D-Thm-2.2, S2D-Thm-2.4); its remainder is Lemma A.1's
    for splits of zero mean (S2D-Lem-A.1).
    """
    size = validation.as_scalar(size, "size")
    S = splitting_matrices(network, X, Y, loss)
    splits = tuple(splits)
    for split in splits:
        if not isinstance(split, growth.Split):
            raise TypeError(f"splits must be growth.Split; got {type(split).__name__}.")
    before = losses.get(loss).value(network(X), Y)

    def change(edits: tuple[growth.Split, ...]) -> float:
        after = growth.apply(network, growth.Plan(edits, size, 0.0, 2, 3))
        return losses.get(loss).value(after(X), Y) - before

    actual = change(splits)  # First: it refuses splits that do not fit.
    direction = [np.zeros_like(a) for a in network.arrays]
    moves, spread = [], 0.0
    for split in splits:
        mean = split.fractions @ split.directions
        moves.append(growth.Split(split.layer, split.neuron, np.ones(1), mean[None]))
        direction[split.layer][split.neuron] = mean
        delta = split.directions - mean
        matrix = S[split.layer][split.neuron]
        spread += float(np.einsum("i,ik,kl,il->", split.fractions, delta, matrix, delta))
    _, gradient = networks.loss_and_gradient(network, X, Y, loss)
    curved = networks.hessian_product(network, X, Y, loss, direction)
    slope = sum(float(np.vdot(g, d)) for g, d in zip(gradient, direction, strict=True))
    bend = sum(float(np.vdot(h, d)) for h, d in zip(curved, direction, strict=True))
    return Decomposition(
        actual=actual,
        displacement=change(tuple(moves)),
        displacement_taylor=size * slope + 0.5 * size**2 * bend,
        splitting=0.5 * size**2 * spread,
    )


# Section 2.2: many neurons --------------------------------------------------------------------


def decide(
    network: "Shallow | MLP",
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    most: int = 1,
    threshold: float = 0.0,
    size: float = 0.01,
) -> growth.Plan:
    """The splitting phase of Algorithm 1: which neurons to split, and how.

    The neurons of all hidden layers are ranked by their splitting index; up to `most` of those
    whose index is at most `threshold`, and negative, are split into two equal copies along their
    splitting gradients.

    The index has the outgoing weight inside, as in eq 7, which makes it comparable between neurons.
    Ranking particles of unequal weights by the S_rho that appendix B.5 displays, without the
    weight, can put one first that gains less.

    Parameters
    ----------
    network, X, Y, loss : as for `splitting_matrices`
    most : int
        m* >= 1.
    threshold : float
        lambda* <= 0. At zero, an index counts as negative when it is so beyond the rounding of the
        numbers its matrix was summed from: at a perfect fit, or where S cancels to zero, nothing is
        split.
    size : float
        epsilon > 0. The decrease is promised for small sizes; nothing here tries smaller ones.

    Returns
    -------
    growth.Plan
        Two copies a neuron, order 2, remainder 4; without edits when no split lowers the loss to
        second order, which is a result and not an error.

    Raises
    ------
    ValueError, TypeError
        For options out of range, and as `splitting_matrices` does.

    Source: S2D Algorithm 1 (S2D-Alg-1); the prediction is Thm 2.4 with Thm 2.3 b.
    """
    most = validation.as_integer(most, "most", at_least=1)
    threshold = validation.as_scalar(threshold, "threshold", at_most=0)
    size = validation.as_scalar(size, "size", above=0)
    found = extremes(network, X, Y, loss)
    # Sorted by index; ties go to the earlier layer and the earlier neuron.
    candidates = sorted(
        (float(lam), layer, j)
        for layer, pairs in enumerate(found)
        for j, lam in enumerate(pairs.lam_min)
        if lam < 0 and lam <= threshold
    )
    chosen = [(lam, layer, j, found[layer].v_min[j]) for lam, layer, j in candidates[:most]]
    splits = tuple(
        growth.Split(layer, j, np.array([0.5, 0.5]), np.array([v, -v])) for _, layer, j, v in chosen
    )
    if not splits:
        below = "is negative" if threshold == 0 else f"is at most {threshold:g}"
        message = f"No neuron's splitting index {below}: none is split."
    else:
        message = f"{len(splits)} of {sum(network.widths)} neurons are split."
    gain = sum(c[0] for c in chosen)
    return growth.Plan(splits, size, 0.5 * gain, order=2, remainder=4, message=message)


# Appendix B.5: minimising the maximum mean discrepancy ----------------------------------------


def mmd_squared(theta: Any, weights: Any, points: Any, bandwidth: float) -> float:
    """The squared maximum mean discrepancy between weighted particles and a sample, RBF kernel.

    sum_ij w_i w_j k(theta_i, theta_j) - 2 mean_l sum_i w_i k(theta_i, x_l) + mean_ll' k(x_l, x_l'),
    with all diagonal terms: the V-statistic, a squared norm in the kernel's space and so never
    negative but for rounding.

    Parameters
    ----------
    theta : (m, d)
    weights : (m,)
    points : (n, d)
    bandwidth : float
        h > 0 of k(a, b) = exp(-|a - b|^2 / (2 h^2)).

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, and a bandwidth that is not positive.

    Source: S2D eq 17 (S2D-Eq-17), which calls it MMD.
    """
    theta, weights, points, kernel = _check_particles(theta, weights, points, bandwidth)
    among = weights @ kernel.value(theta, theta) @ weights
    across = weights @ kernel.value(theta, points).mean(axis=0)
    return float(among - 2 * across + kernel.value(points, points).mean())


def mmd_gradient(theta: Any, weights: Any, points: Any, bandwidth: float) -> np.ndarray:
    """The gradient of `mmd_squared` with respect to theta: w_j G_rho(theta_j).

    Parameters and Raises as for `mmd_squared`.

    Returns
    -------
    (m, d)

    Source: S2D appendix B.5 with Thm 2.5.
    """
    theta, weights, points, kernel = _check_particles(theta, weights, points, bandwidth)
    among = kernel.gradient(theta, theta, np.tile(weights, (len(theta), 1)))
    across = kernel.gradient(theta, points, np.full((len(theta), len(points)), 1 / len(points)))
    return 2 * weights[:, None] * (among - across)


def mmd_splitting_matrices(theta: Any, weights: Any, points: Any, bandwidth: float) -> np.ndarray:
    """The splitting matrices of `mmd_squared`, outgoing weights included: w_j S_rho(theta_j).

    S_rho(theta) = 2 E[Hess_theta k(theta, theta') - Hess_theta k(theta, x)], where Hess_theta acts
    on the first argument only and theta' runs over all particles, theta itself included: its own
    term, -I / h^2 times its weight, is not zero.

    Parameters and Raises as for `mmd_squared`.

    Returns
    -------
    (m, d, d)
        A split of particle j changes mmd_squared by (eps^2 / 2) sum_i w_i delta_i^T S_j delta_i.

    Source: S2D appendix B.5 (S2D-B.5-S), where the weight is left out.
    """
    theta, weights, points, kernel = _check_particles(theta, weights, points, bandwidth)
    among = kernel.hessian(theta, theta, np.tile(weights, (len(theta), 1)))
    across = kernel.hessian(theta, points, np.full((len(theta), len(points)), 1 / len(points)))
    return 2 * weights[:, None, None] * (among - across)


@dataclass(frozen=True, eq=False)
class MMDRegression:
    """MMD on the line as a regression problem: mmd_squared = factor * (mean of squared loss).

    Attributes
    ----------
    X, Y : (g, 1)
        A uniform grid and the smoothed sample on it, the targets.
    neuron : neurons.Neuron
        The feature map; ``Shallow(theta, weights, neuron)`` is the smoothed compression.
    factor : float

    Source: S2D eq 17 (S2D-Eq-17).
    """

    X: np.ndarray
    Y: np.ndarray
    neuron: neurons.Neuron
    factor: float


def mmd_regression(
    points: Any, bandwidth: float, *, lowest: float, highest: float
) -> MMDRegression:
    """Minimising MMD as fitting a one-hidden-layer network, so that `train.fit` can do it.

    The RBF kernel is an integral of features: with phi_t(x) = exp(-(x - t)^2 / h^2), a particle of
    bandwidth h / sqrt(2), the integral of phi_s phi_t over the line is h sqrt(pi / 2) k(s, t). On a
    uniform grid of spacing h / 4 the trapezoid rule gives it to rounding: for a Gaussian its error
    falls like exp(-2 pi^2 h^2 / (4 spacing^2)) = exp(-8 pi^2).

    Parameters
    ----------
    points : (n, 1)
    bandwidth : float
        h > 0.
    lowest, highest : float
        Particles must stay in this interval; the grid reaches six bandwidths beyond it and the
        points.

    Returns
    -------
    MMDRegression

    Raises
    ------
    ValueError, TypeError
        For points that are not on the line, a bandwidth that is not positive, an empty interval.

    Source: S2D eq 17 (S2D-Eq-17), with a grid in place of random features.
    """
    points = validation.as_array(points, "points", ("n", 1), hint="Use points[:, None].")
    h = validation.as_scalar(bandwidth, "bandwidth", above=0)
    lowest = validation.as_scalar(lowest, "lowest")
    highest = validation.as_scalar(highest, "highest", above=lowest)
    lowest, highest = min(lowest, points.min()), max(highest, points.max())
    feature = neurons.particle(h / np.sqrt(2))
    X = np.arange(lowest - 6 * h, highest + 6 * h, h / 4)[:, None]
    Y = feature.value(points, X).mean(axis=1, keepdims=True)
    # The squared loss has a half and a mean over the grid; both are undone.
    factor = 2 * len(X) * (h / 4) / (h * np.sqrt(np.pi / 2))
    return MMDRegression(X, Y, feature, factor)


# Small helpers --------------------------------------------------------------------------------


def _negative(S: np.ndarray, lam_min: float) -> bool:
    """Whether the smallest eigenvalue is negative beyond the rounding of S and its eigenvalues."""
    return bool(lam_min < -len(S) * ROUNDING * np.abs(S).max())


@dataclass(frozen=True, eq=False)
class _Layer:
    """A hidden layer's splitting matrices, formed only when asked for.

    `sensitivity` is Phi_j' / n and `weight` how much it can err by rounding, in units of it: its
    size, and that of the terms that were summed to the slope of the loss. A splitting matrix errs
    by the same sum as itself over absolute values.
    """

    network: "Shallow | MLP"
    states: np.ndarray  # (n, m)
    inputs: np.ndarray  # (n, d)
    sensitivity: np.ndarray  # (n, m)
    weight: np.ndarray  # (n, m)

    @property
    def bend(self) -> np.ndarray | None:
        """sigma'' (n, m) of neurons sigma(theta . h), whose Hessian is sigma'' h h^T."""
        if isinstance(self.network, MLP):
            activation = activations.get(self.network.activation)
            Z = self.states
        elif isinstance(self.network.neuron, neurons.Ridge):
            activation = self.network.neuron.activation
            Z = self.inputs @ self.network.theta.T
        else:
            return None
        return activations.second_derivative(activation, "a splitting matrix")(Z)

    def matrices(self) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            bend = self.bend
            if bend is None:
                shallow = cast(Shallow, self.network)
                S = shallow.neuron.hessian(shallow.theta, self.inputs, self.sensitivity.T)
            else:
                weights = (self.sensitivity * bend).T
                S = kernels.weighted_grams(weights, self.inputs)
        networks.refuse_overflow([S], "a splitting matrix")
        return S

    def extremes(self) -> Extremes:
        bend = self.bend
        if bend is None:
            values, vectors = np.linalg.eigh(self.matrices())
            v_low, v_high = kernels.signed(vectors[:, :, 0]), kernels.signed(vectors[:, :, -1])
            return Extremes(values[:, 0], v_low, values[:, -1], v_high)
        weights = (self.sensitivity * bend).T
        return Extremes(*kernels.extreme_eigenpairs(weights, self.inputs, EIGENPAIR_TOLERANCE))

    def rounding(self) -> np.ndarray:
        """How large each neuron's eigenvalues can be by rounding alone, on the safe side: (m,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            bend = self.bend
            if bend is None:
                shallow = cast(Shallow, self.network)
                summed = shallow.neuron.hessian(shallow.theta, self.inputs, self.weight.T)
                d, largest = summed.shape[1], np.abs(summed).max(axis=(1, 2))
            else:
                # A sum of h h^T with positive weights has its largest entry on the diagonal.
                d = self.inputs.shape[1]
                largest = ((self.weight * np.abs(bend)).T @ self.inputs**2).max(axis=1)
        networks.refuse_overflow([largest], "a splitting matrix")
        return d * ROUNDING * largest


def _layers(network: "Shallow | MLP", X: Any, Y: Any, loss: "str | losses.Loss") -> list[_Layer]:
    X, Y, loss = networks.check(network, X, Y, loss)
    networks.require_second_derivative(network, "a splitting matrix")
    trace, _, of_slope = networks.backpropagate(network, X, Y, loss)
    if isinstance(network, Shallow):
        readout, read = network.weights.reshape(len(network.theta), -1).T, trace.states[0]
    else:
        readout, read = network.arrays[-1], trace.inputs[-1]
    terms = np.abs(read) @ np.abs(readout).T / len(read)
    _, of_terms = network.backward(trace, terms)
    return [
        _Layer(network, Z, H, slope, np.abs(slope) + np.abs(term))
        for Z, H, slope, term in zip(trace.states, trace.inputs, of_slope, of_terms, strict=False)
    ]


def _check_particles(
    theta: Any, weights: Any, points: Any, bandwidth: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, neurons.Neuron]:
    theta = validation.as_array(theta, "theta", ("m", "d"))
    weights = validation.as_array(weights, "weights", (len(theta),))
    points = validation.as_array(points, "points", ("n", theta.shape[1]))
    return theta, weights, points, neurons.particle(bandwidth)
