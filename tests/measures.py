"""Measures over neurons: random ones, stationary ones, clouds around them, and their loss."""

import numpy as np
import oracles
import stationary
from by_hand import Plus
from strategies import family, inputs_of, targets_of

from refgrow import losses
from refgrow.networks import Shallow

PROBLEMS = [
    ("ridge(tanh)", 1, 2, "squared"),
    ("ridge(gelu)", 2, 2, "logistic"),
    ("ridge(gaussian)", 3, 2, "exponential"),
    ("particle(0.8)", 2, 3, "squared"),
    ("bump", 3, 2, "squared"),
]


def measure_and_inputs(name, d, m, seed, n):
    """A probability of m atoms, inputs, and the generator that drew them."""
    rng = np.random.default_rng([seed, d, m])
    rho = Shallow(rng.normal(size=(m, d)), rng.dirichlet(np.full(m, 4.0)), family(name))
    return rho, inputs_of(rho, n, rng), rng


def problem(name, d, m, loss, seed=0, n=10):
    """A probability of m atoms, and data."""
    rho, X, rng = measure_and_inputs(name, d, m, seed, n)
    return rho, X, targets_of(loss, n, 1, rng)


def local_minimum(name, d, m, seed=0, n=14, residual=0.1):
    """A measure whose atoms are a local minimum under the squared loss (weights fixed)."""
    rho, X, rng = measure_and_inputs(name, d, m, seed, n)
    Y = stationary.stationary_targets(rho, X, residual * rng.normal(size=(n, 1)), trained=[0])
    return rho, X, Y


def random_cloud(rho, size, rng, copies=4):
    """A measure in the ball and its coupling with rho: (theta', coupling)."""
    m, d = rho.theta.shape
    k = int(rng.integers(1, copies + 1))
    step = rng.normal(size=(m, k, d))
    step *= size * rng.random((m, k, 1)) ** (1 / d) / np.linalg.norm(step, axis=2, keepdims=True)
    coupling = np.zeros((m, m * k))
    for j in range(m):
        coupling[j, j * k : (j + 1) * k] = rho.weights[j] * rng.dirichlet(np.ones(k))
    return (rho.theta[:, None] + step).reshape(m * k, d), coupling


def loss_at(rho, theta, masses, X, Y, loss):
    """L of a measure, written out once more for the library's neurons."""
    if isinstance(loss, str) and not isinstance(rho.neuron, Plus):
        return oracles.mean_loss(rho, (theta, masses), X, Y, loss)
    return losses.get(loss).samples((rho.neuron.value(theta, X) @ masses)[:, None], Y).mean()
