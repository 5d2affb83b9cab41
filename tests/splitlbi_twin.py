"""SplitLBI once more, from the paper's equations in NumPy: the oracle of its tests.

Nothing here imports refgrow. `order` tells the two readings of eq 4 apart: "old" updates both
blocks from the old iterate, "new" updates W first and Gamma from the new W.
"""

import numpy as np


def lasso(V, lam=1.0):
    return np.sign(V) * np.maximum(np.abs(V) - lam, 0)


def group(groups, lam=1.0):
    """The proximal map of the group lasso, from its definition case by case."""

    def prox(V):
        out = np.zeros_like(V)
        for g in groups:
            norm = np.linalg.norm(V[g])
            if norm > lam:
                out[g] = (1 - lam / norm) * V[g]
        return out

    return prox


def iterate(slope, W, V, *, step, nu=1.0, kappa=1.0, steps=100, prox=lasso, order="old",
            Gamma=None, momentum=0.0, decay=0.0, cap=1e12):  # fmt: skip
    """All iterates: arrays W, Gamma, V of shape (k, p); ends early beyond `cap`."""
    W, V = np.array(W, dtype=float), np.array(V, dtype=float)
    Gamma = kappa * prox(V) if Gamma is None else np.array(Gamma, dtype=float)
    v = np.zeros_like(W)
    rows = [(W, Gamma, V)]
    for _ in range(steps):
        v = momentum * v + slope(W) + (W - Gamma) / nu
        new = W - kappa * step * v - decay * W
        V = V - step * (Gamma - (W if order == "old" else new)) / nu
        W, Gamma = new, kappa * prox(V)
        rows.append((W, Gamma, V))
        if not np.abs(W).max() < cap:
            break
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def top(h, nu):
    """The larger eigenvalue of [[h + 1/nu, -1/nu], [-1/nu, 1/nu]], by LAPACK."""
    b = 1 / nu
    return np.linalg.eigvalsh(np.array([[h + b, -b], [-b, b]]))[-1]


def rho_design(rho):
    """Two true variables and a false one, correlated with both."""
    return np.array([[1, 0, rho], [0, 1, rho], [rho, rho, 1.0]])


def lasso_path(Sigma, beta, lam, sweeps=20000):
    """The Lasso's solution by coordinate descent."""
    x, c = np.zeros(len(beta)), Sigma @ beta
    for _ in range(sweeps):
        before = x.copy()
        for j in range(len(beta)):
            r = c[j] - Sigma[j] @ x + Sigma[j, j] * x[j]
            x[j] = np.sign(r) * max(abs(r) - lam, 0) / Sigma[j, j]
        if np.abs(x - before).max() < 1e-15:
            break
    return x
