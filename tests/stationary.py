"""Exact stationary points without training: choose the targets, not the parameters.

Under the squared loss the gradient is J^T r / n with r = f - y. So y = f - r with r orthogonal to
the columns of J makes any parameters stationary, exactly, and a small r makes them a strict local
minimum: the Hessian is J^T J / n + O(r).
"""

import numpy as np

from refgrow import networks, neurons


def jacobian(network, X, trained=None):
    """The Jacobian of the outputs (n p, N) with respect to the trained arrays (all by default)."""
    trace = network.forward(X)
    rows = []
    for index in np.ndindex(trace.output.shape):
        G = np.zeros_like(trace.output)
        G[index] = 1.0
        gradients, _ = network.backward(trace, G)
        kept = gradients if trained is None else [gradients[k] for k in trained]
        rows.append(np.concatenate([g.ravel() for g in kept]))
    return np.array(rows)


def stationary_targets(network, X, residual, trained=None):
    """Targets Y for which `network` is stationary in the trained arrays under the squared loss.

    `residual` (n, p) is projected on the complement of the Jacobian's columns.
    """
    J = jacobian(network, X, trained)
    basis, values, _ = np.linalg.svd(J, full_matrices=False)
    basis = basis[:, values > 1e-12 * values[0]]
    r = residual.ravel()
    for _ in range(2):  # Twice is enough: once more for what rounding left.
        r = r - basis @ (basis.T @ r)
    return network(X) - r.reshape(residual.shape)


def stationary_problem(strength, seed=0, n=8):
    """One tanh neuron, exactly stationary; its S has the sign of `strength` and grows with it."""
    rng = np.random.default_rng(seed)
    net = networks.Shallow(rng.normal(size=(1, 2)), np.ones(1), neurons.ridge("tanh"))
    X = rng.normal(size=(n, 2))
    z = X @ net.theta.T
    bend = -2 * np.tanh(z) / np.cosh(z) ** 2
    residual = strength * bend * (X**2).sum(axis=1, keepdims=True)
    return net, X, stationary_targets(net, X, residual, trained=[0]), "squared"


def full_hessian(network, X, Y, loss, trained=None):
    """The Hessian of the loss in the trained arrays, column by column: (N, N)."""
    arrays = network.arrays
    chosen = range(len(arrays)) if trained is None else trained
    columns = []
    for k in chosen:
        for index in np.ndindex(arrays[k].shape):
            direction = [np.zeros_like(a) for a in arrays]
            direction[k][index] = 1.0
            product = networks.hessian_product(network, X, Y, loss, direction)
            columns.append(np.concatenate([product[c].ravel() for c in chosen]))
    return np.array(columns)
