"""Neuron families sigma(theta, x): the value, and sums over samples of its first two derivatives.

A network that is linear in its neurons, f(x) = sum_j w_j sigma(theta_j, x), needs of a family no
more than the value, the gradient and the Hessian with respect to theta, and the last two only as
weighted sums over the samples: `gradient` and `hessian` take the weights C (m, n), one row a
neuron, and never hold an array of size n m d d.

- `ridge(activation)`: sigma(theta . x), any input dimension; append ones to X for a bias.
- `bump`: theta_3 exp(-(theta_1 x + theta_2)^2 / 2) on the line, S2D's toy neuron (appendix B.1).
- `particle(bandwidth)`: exp(-|x - theta|^2 / (2 h^2)), a point under an RBF kernel (appendix B.5).
- `distance`: |theta - x|, the distance to a prototype (appendix B.2).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from refgrow import activations, validation


class Neuron(Protocol):
    """What a neuron family provides; the arrays it is given are already checked."""

    @property
    def name(self) -> str:
        """How messages call it."""

    def parameters(self, inputs: int) -> int:
        """The number of parameters d of one neuron for an input of this dimension, or an error."""

    def value(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        """sigma(theta_j, x_l): theta (m, d), X (n, d_in) to (n, m). Complex-safe in theta."""

    def jacobian(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        """The gradient of every neuron at every sample: (n, m, d)."""

    def gradient(self, theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        """sum_l C[j, l] grad sigma(theta_j, x_l): C (m, n) to (m, d)."""

    def hessian(self, theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        """sum_l C[j, l] Hess sigma(theta_j, x_l): C (m, n) to (m, d, d), exactly symmetric."""


@dataclass(frozen=True)
class Ridge:
    """The family that `ridge` makes; `s2d` knows it by its class.

    Parameters
    ----------
    activation : activations.Activation

    Source: S2D eq 5, S3D eq 13.
    """

    activation: activations.Activation

    @property
    def name(self) -> str:
        return f"ridge({self.activation.name})"

    def parameters(self, inputs: int) -> int:
        return inputs

    def value(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        return self.activation.value(X @ theta.T)

    def jacobian(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        return self.activation.derivative(X @ theta.T)[:, :, None] * X[:, None, :]

    def gradient(self, theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        return (C * self.activation.derivative(X @ theta.T).T) @ X

    def hessian(self, theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        from refgrow import kernels  # Here, so that a network alone does not import numba.

        second = activations.second_derivative(self.activation, "the neurons' Hessian")
        return kernels.weighted_grams(C * second(X @ theta.T).T, X)


@dataclass(frozen=True)
class _Bump:
    name: str = "bump"

    def __reduce__(self) -> str:
        return self.name  # There is one bump, in every process.

    def parameters(self, inputs: int) -> int:
        if inputs != 1:
            raise ValueError(
                f"the bump lives on the line: X must have shape (n, 1); got {inputs} columns."
            )
        return 3

    def value(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        return theta[:, 2] * self._shape(theta, X)[1]

    def jacobian(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        u, g = self._shape(theta, X)
        by_u = -theta[:, 2] * u * g
        return np.stack([by_u * X, by_u, g], axis=2)

    def gradient(self, theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        u, g = self._shape(theta, X)
        weighted = C.T * g
        by_u = -theta[:, 2] * u * weighted
        return np.stack([X[:, 0] @ by_u, by_u.sum(axis=0), weighted.sum(axis=0)], axis=1)

    def hessian(self, theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        # With g = exp(-u^2/2), u = theta_1 x + theta_2: g' = -u g and g'' = (u^2 - 1) g. The entry
        # of theta_3 twice is zero: no splitting matrix of a bump is positive definite.
        x = X[:, 0]
        u, g = self._shape(theta, X)
        weighted = C.T * g
        second = theta[:, 2] * (u * u - 1.0) * weighted
        cross = -u * weighted
        H = np.zeros((len(theta), 3, 3))
        H[:, 0, 0] = (x * x) @ second
        H[:, 0, 1] = H[:, 1, 0] = x @ second
        H[:, 1, 1] = second.sum(axis=0)
        H[:, 0, 2] = H[:, 2, 0] = x @ cross
        H[:, 1, 2] = H[:, 2, 1] = cross.sum(axis=0)
        return H

    @staticmethod
    def _shape(theta: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = X * theta[:, 0] + theta[:, 1]
        return u, np.exp(-0.5 * u * u)


@dataclass(frozen=True)
class Particle:
    """The family that `particle` makes; `train.fit` knows it by its class.

    Parameters
    ----------
    bandwidth : float
        h > 0.

    Raises
    ------
    ValueError, TypeError
        For a bandwidth that is not a positive number.

    Source: S2D, appendix B.5.
    """

    bandwidth: float

    def __post_init__(self) -> None:
        bandwidth = validation.as_scalar(self.bandwidth, "bandwidth", above=0)
        object.__setattr__(self, "bandwidth", bandwidth)

    @property
    def name(self) -> str:
        return f"particle({self.bandwidth:g})"

    def parameters(self, inputs: int) -> int:
        return inputs

    def value(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        # Differences, not |x|^2 - 2 x theta + |theta|^2, which loses digits for close points.
        square = sum((X[:, [a]] - theta[:, a]) ** 2 for a in range(X.shape[1]))
        return np.exp(-0.5 * square / self.bandwidth**2)

    def jacobian(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        toward = (X[:, None, :] - theta) / self.bandwidth**2
        return self.value(theta, X)[:, :, None] * toward

    def gradient(self, theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        weighted = C * self.value(theta, X).T
        toward = [w @ (X - point) for w, point in zip(weighted, theta, strict=True)]
        return np.array(toward) / self.bandwidth**2

    def hessian(self, theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        weighted = C * self.value(theta, X).T
        outer = _weighted_outer(theta, X, weighted) / self.bandwidth**4
        diagonal = weighted.sum(axis=1) / self.bandwidth**2
        return outer - diagonal[:, None, None] * np.eye(theta.shape[1])


@dataclass(frozen=True)
class _Distance:
    name: str = "distance"

    def __reduce__(self) -> str:
        return self.name

    def parameters(self, inputs: int) -> int:
        return inputs

    def value(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        return np.sqrt(sum((X[:, [a]] - theta[:, a]) ** 2 for a in range(X.shape[1])))

    def jacobian(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        # At a sample that sits on the prototype: zero, a subgradient.
        return (theta - X[:, None, :]) * self._inverse(theta, X)[:, :, None]

    def gradient(self, theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        weighted = C * self._inverse(theta, X).T
        return np.array([w @ (point - X) for w, point in zip(weighted, theta, strict=True)])

    def hessian(self, theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
        # (I - e e^T) / r with e the unit vector from x to theta.
        inverse = self._inverse(theta, X)
        if not inverse.all():
            sample, neuron = np.argwhere(inverse == 0)[0]
            raise ValueError(
                f"the distance has no second derivative where prototype and sample coincide: "
                f"theta[{neuron}] equals X[{sample}]. Move one of them a little."
            )
        weighted = C * inverse.T
        outer = _weighted_outer(theta, X, weighted * inverse.T**2)
        return weighted.sum(axis=1)[:, None, None] * np.eye(theta.shape[1]) - outer

    def _inverse(self, theta: np.ndarray, X: np.ndarray) -> np.ndarray:
        r = self.value(theta, X)
        return np.divide(1.0, r, out=np.zeros_like(r), where=r > 0)


def _weighted_outer(theta: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
    """sum_l C[j, l] (x_l - theta_j)(x_l - theta_j)^T: (m, d, d), exactly symmetric."""
    outer = np.empty((len(theta), theta.shape[1], theta.shape[1]))
    for j, point in enumerate(theta):
        D = X - point
        G = (D.T * C[j]) @ D
        outer[j] = 0.5 * (G + G.T)
    return outer


def ridge(activation: "str | activations.Activation") -> Neuron:
    """The neuron sigma(theta . x) over any activation; theta has the dimension of x.

    Its Hessian is sigma''(theta . x) x x^T: all splitting matrices of a layer are weighted Gram
    matrices of the same inputs (`kernels.weighted_grams`).

    Parameters
    ----------
    activation : str or activations.Activation

    Returns
    -------
    Neuron

    Raises
    ------
    ValueError, TypeError
        For an unknown activation.

    Source: S2D Def 2.1 with S3D eq 13.
    """
    return Ridge(activations.get(activation))


def particle(bandwidth: float) -> Neuron:
    """A point under an RBF kernel: exp(-|x - theta|^2 / (2 h^2)), h = bandwidth > 0, any dimension.

    As a function of two points it is the kernel k(theta, x) itself; as a function on the whole
    space it is a feature map, since the integral over x of two particles of bandwidth h / sqrt(2)
    is proportional to k of bandwidth h (`s2d.mmd_regression`).

    Parameters
    ----------
    bandwidth : float
        h > 0.

    Returns
    -------
    Particle

    Raises
    ------
    ValueError, TypeError
        For a bandwidth that is not a positive number.

    Source: S2D, appendix B.5.
    """
    return Particle(bandwidth)


bump: Neuron = _Bump()

distance: Neuron = _Distance()
