"""Neurons and losses so simple that every term of a theorem is known by hand.

The formulas hold for complex parameters and outputs, so that the oracles can expand them.
"""

import numpy as np

from refgrow import losses, networks


class Plus:
    """sigma(theta, x) = slope theta . x + p(theta), p by its value and two derivatives."""

    name = "plus"

    def __init__(self, p, dp, ddp, slope=1.0):
        self.p, self.dp, self.ddp, self.slope = p, dp, ddp, slope

    def parameters(self, inputs):
        return inputs

    def value(self, theta, X):
        return self.slope * X @ theta.T + self.p(theta)

    def jacobian(self, theta, X):
        return self.slope * X[:, None, :] + self.dp(theta)

    def gradient(self, theta, X, C):
        return self.slope * C @ X + C.sum(axis=1)[:, None] * self.dp(theta)

    def hessian(self, theta, X, C):
        return C.sum(axis=1)[:, None, None] * self.ddp(theta)


def parabola(curvature, slope=1.0):
    """sigma = slope theta . x + curvature |theta|^2 / 2."""
    return Plus(
        lambda t: curvature * (t**2).sum(1) / 2,
        lambda t: curvature * t,
        lambda t: np.tile(curvature * np.eye(t.shape[1]), (len(t), 1, 1)),
        slope,
    )


def polynomial(coefficients):
    """sigma = p(theta) of one parameter, whatever the input; the constant comes first."""
    p = np.polynomial.Polynomial(coefficients)
    return Plus(
        lambda t: p(t[:, 0]), lambda t: p.deriv()(t), lambda t: p.deriv(2)(t)[:, :, None], slope=0.0
    )


HALF_SQUARE = parabola(1.0, slope=0.0)


def phi(value, slope, bend, convex=True):
    """The loss Phi(s) of the output itself; the targets are not looked at."""
    return losses.Loss(
        "phi",
        lambda F, Y: value(F)[:, 0],
        lambda F, Y: slope(F),
        lambda F, Y: bend(F)[:, :, None],
        lambda Y, n, p: np.asarray(Y, dtype=float),
        convex,
    )


# Phi(s) = s: the functional is linear, L[rho] = E Psi, and the best measure is atom by atom.
LINEAR = phi(lambda s: s, lambda s: 1 + 0 * s, lambda s: 0 * s)
MINUS = phi(lambda s: -s, lambda s: -1 + 0 * s, lambda s: 0 * s)
# Phi(s) = s - s^2: what the theorems say of convex losses only.
CONCAVE = phi(lambda s: s - s**2, lambda s: 1 - 2 * s, lambda s: -2 + 0 * s, convex=False)


def scalar_problem(neuron, thetas, xs=(1.0,), loss=LINEAR, weights=None):
    """(network, X, Y, loss) of neurons with one parameter."""
    theta = np.array(thetas)[:, None]
    weights = np.ones(len(theta)) if weights is None else np.array(weights)
    X = np.array(xs)[:, None]
    return networks.Shallow(theta, weights, neuron), X, np.zeros((len(X), 1)), loss
