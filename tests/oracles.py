"""Naive twins and exact derivatives for the tests: nothing here imports refgrow.

Every formula is written out once more, from the paper, for complex arguments, so that two methods
get derivatives to rounding from the value alone: the complex step the first, `circle` any.
"""

import numpy as np
from scipy.special import erf

ACTIVATIONS = {
    "identity": lambda z: z,
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "softplus(3)": lambda z: np.log(1 + np.exp(3 * z)) / 3,
    "gaussian": lambda z: np.exp(-(z**2) / 2),
    "sine": np.sin,
    "quadratic": lambda z: z**2,
    "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
    "relu": lambda z: np.maximum(z, 0),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * (np.exp(z) - 1)),
}

SMOOTH = [name for name in ACTIVATIONS if name not in ("relu", "selu")]


def circle(f, order, radius=0.1, points=32):
    """The derivative of this order of t -> f(t) at 0 by Cauchy's integral over a circle.

    The trapezoid rule converges geometrically for a function analytic beyond the circle; rounding
    is about eps max|f| / radius^order.
    """
    turn = np.exp(2j * np.pi * np.arange(points) / points)
    values = [f(radius * t) * t**-order for t in turn]
    factorial = (1, 1, 2)[order]
    return factorial / radius**order * np.real(np.mean(values, axis=0))


def mixed(f, a, b, radius=0.1):
    """a^T Hess f b at zero by polarisation, f a function of an array of a's shape."""
    plus = circle(lambda t: f(t * (a + b)), 2, radius)
    minus = circle(lambda t: f(t * (a - b)), 2, radius)
    return (plus - minus) / 4


def neuron(name, theta, x):
    """One neuron at one sample: theta (d,), x (d_in,)."""
    if name == "bump":
        return theta[2] * np.exp(-((theta[0] * x[0] + theta[1]) ** 2) / 2)
    if name == "distance":
        return np.sqrt(((theta - x) ** 2).sum())
    if name.startswith("particle("):
        return np.exp(-((theta - x) ** 2).sum() / 2 / float(name[9:-1]) ** 2)
    return ACTIVATIONS[name[len("ridge(") : -1]]((theta * x).sum())


def output(network, arrays, X, added=None):
    """The output (n, p) with these arrays; `added[layer]` (n, m) is added to hidden outputs."""
    if hasattr(network, "theta"):
        theta, weights = arrays
        hidden = np.array([[neuron(network.neuron.name, t, x) for t in theta] for x in X])
        hidden = hidden if added is None else hidden + added[0]
        return hidden @ (weights[:, None] if weights.ndim == 1 else weights)
    H = X
    for layer, W in enumerate(arrays):
        Z = H @ W[:, :-1].T + W[:, -1]
        if layer < len(arrays) - 1:
            H = ACTIVATIONS[network.activation.name](Z)
            H = H if added is None else H + added[layer]
    return Z


def losses(name, F, Y):
    """The loss of every sample: F (n, p) to (n,)."""
    if name == "squared":
        return ((F - Y) ** 2).sum(axis=1) / 2
    if name == "softmax_cross_entropy":
        return np.array([np.log(np.exp(f).sum()) - f[y] for f, y in zip(F, Y, strict=True)])
    margin = np.where(Y == 1, 1.0, -1.0) * F[:, 0]
    return np.exp(-margin) if name == "exponential" else np.log(1 + np.exp(-margin))


def mean_loss(network, arrays, X, Y, loss, added=None):
    return losses(loss, output(network, arrays, X, added), Y).mean()
