"""Signed splitting schemes by brute force: nothing here knows the formulas of `refgrow.s3d`.

A scheme is fractions w (m,) that sum to one, sum_i |w_i| <= c, and directions D (m, d) of norm at
most one and of zero mean under w. Its value is sum_i w_i D_i^T S D_i.
"""

import numpy as np
from hypothesis import strategies as st
from scipy import optimize
from strategies import rotation, symmetric_matrices

GOLDEN = (1 + np.sqrt(5)) / 2

# From no negative fraction at all, over one lost in rounding, to fractions in the thousands.
CONSTANTS = (1.0, 1 + 1e-15, 1 + 1e-12, 1 + 1e-8, 1.001, 1.3, 2.0, 3.0, 2 + 5**0.5, 5.0, 30.0, 1e4)
constants = st.sampled_from(CONSTANTS) | st.floats(1, 6)

REACHED = 1e-6  # times c: where the search counts as having reached a value, SLSQP's stopping rule

KINDS = {
    "zero": [0.0, 0.0, 0.0],
    "positive definite": [0.3, 1.0],
    "negative definite": [-2.0, -1.0, -0.2],
    "positive semi-definite": [0.0, 0.0, 1.5],
    "negative semi-definite": [-1.0, 0.0],
    "indefinite": [-1.0, 0.5, 2.0],
    "indefinite and singular": [-1.0, 0.0, 0.0, 1.5],
    "ties at both ends": [-1.0, -1.0, 2.0, 2.0],
    "a multiple of the identity": [1.0, 1.0, 1.0],
    "minus the identity": [-1.0, -1.0],
    "one positive number": [2.0],
    "one negative number": [-2.0],
    "hardly negative": [-1e-9, 1.0],
    "hardly positive": [-1.0, 1e-9],
}
_eigenvalues = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0]) | st.floats(-3, 3)
_spectra = st.lists(_eigenvalues, min_size=1, max_size=4).map(sorted)
matrices = symmetric_matrices(st.sampled_from(list(KINDS.values())) | _spectra)
"""(S, spectrum): every kind of symmetric matrix, d = 1 to 4."""


def halves(c):
    return (c + 1) / 2, (c - 1) / 2


def value(S, weights, directions):
    """sum_i w_i D_i^T S D_i, number by number."""
    total, d = 0.0, len(S)
    for w, u in zip(weights, directions, strict=True):
        total += w * sum(u[k] * S[k][l] * u[l] for k in range(d) for l in range(d))
    return total


def values(S, weights, directions):
    """The values of many schemes: weights (N, m), directions (N, m, d)."""
    return (weights * ((directions @ S) * directions).sum(axis=-1)).sum(axis=-1)


def violation(weights, directions, c):
    """By how much a scheme leaves the feasible set; relative to c where numbers grow with it."""
    return max(
        abs(weights.sum() - 1) / c,
        (np.abs(weights).sum() - c) / c,
        np.abs(weights @ directions).max() / c,
        np.linalg.norm(directions, axis=1).max() - 1,
    )


def random_schemes(c, m, d, count, rng):
    """Feasible schemes, spread: any signs, unequal and vanishing fractions, at the edge and not."""
    negative = rng.random((count, m)) < rng.random((count, 1))
    negative[:, 0] = False
    parts = rng.gamma(rng.choice([0.2, 1.0, 10.0], (count, 1)), size=(count, m)) + 1e-9
    parts[:, 1:] *= rng.random((count, m - 1)) > 0.1
    negative &= parts > 0
    q = (c - 1) / 2 * rng.choice([1.0, 1.0, 0.5, 1e-3], count) * negative.any(axis=1)
    down, up = parts * negative, parts * ~negative
    lost = np.maximum(down.sum(axis=1), 1e-300)
    weights = up * ((1 + q) / up.sum(axis=1))[:, None] - down * (q / lost)[:, None]
    directions = rng.normal(size=(count, m, d)) * rng.choice([0.0, 0.3, 1.0], (count, m, 1))
    for _ in range(2):  # Twice is enough: once more for what rounding left.
        mean = np.einsum("nm,nmd->nd", weights, directions)
        directions -= weights[:, :, None] * (mean / (weights**2).sum(axis=1)[:, None])[:, None]
    longest = np.linalg.norm(directions, axis=2).max(axis=1)
    # Where nothing but rounding is left, no direction is.
    scale = np.where(longest > 1e-6, 1 / np.maximum(longest, 1e-6), 0.0)
    directions *= (scale * rng.choice([1.0, 0.7], count))[:, None, None]
    return weights, directions


def polish(S, c, signs, weights, directions, steps=100):
    """The nearest local minimum of the value over fractions of these signs and directions: SLSQP.

    Returns (value, weights, directions); the value is infinite where no feasible point was found.
    """
    (m, d), signs = directions.shape, np.asarray(signs, dtype=float)
    eye = np.eye(d)

    def parts(z):
        return signs * z[:m], z[m:].reshape(m, d)

    def objective(z):
        w, D = parts(z)
        DS = D @ S
        quadratic = (DS * D).sum(axis=1)
        return w @ quadratic, np.concatenate([signs * quadratic, (2 * w[:, None] * DS).ravel()])

    def equal(z):
        w, D = parts(z)
        return np.append(w @ D, w.sum() - 1)

    def equal_jacobian(z):
        w, D = parts(z)
        J = np.zeros((d + 1, m + m * d))
        J[:d, :m], J[:d, m:], J[d, :m] = (signs[:, None] * D).T, np.kron(w, eye), signs
        return J

    def inside(z):
        return 1 - (z[m:].reshape(m, d) ** 2).sum(axis=1)

    def inside_jacobian(z):
        J = np.zeros((m, m + m * d))
        for i in range(m):
            J[i, m + i * d : m + (i + 1) * d] = -2 * z[m + i * d : m + (i + 1) * d]
        return J

    constraints = [
        {"type": "eq", "fun": equal, "jac": equal_jacobian},
        {"type": "ineq", "fun": inside, "jac": inside_jacobian},
    ]
    if (signs < 0).any():  # Otherwise it says what the sum of one says already.
        budget = np.repeat([-1.0, 0.0], [m, m * d])
        constraints.append(
            {"type": "ineq", "fun": lambda z: c - z[:m].sum(), "jac": lambda z: budget}
        )
    found = optimize.minimize(
        objective,
        np.concatenate([np.abs(weights), directions.ravel()]),
        jac=True,
        method="SLSQP",
        bounds=[(0, c)] * m + [(-1, 1)] * (m * d),
        constraints=constraints,
        options={"maxiter": steps, "ftol": 1e-13},
    )
    w, D = parts(found.x)
    ok = violation(w, D, c) < 1e-9
    return (value(S, w, D) if ok else np.inf), w, D


def search(S, c, m, rng, starts):
    """The best scheme found from random starts with every number of negative fractions."""
    best = (np.inf, None, None)
    d = len(S)
    for negatives in range(m if c > 1 else 1):
        signs = np.where(np.arange(m) < m - negatives, 1.0, -1.0)
        for _ in range(starts):
            w, D = rng.random(m) * (c + 1) / 2, rng.normal(size=(m, d)) * rng.choice([0.3, 1.0])
            best = min(best, polish(S, c, signs, w, D), key=lambda found: found[0])
    return best


def found_by_search(S, c, m, goal, rng, rounds=30):
    """The best of two starts a sign pattern, and of more until the goal is reached."""
    best = (np.inf, None, None)
    for _ in range(rounds):
        best = min(best, search(S, c, m, rng, starts=2), key=lambda scheme: scheme[0])
        if best[0] <= goal + REACHED * c:
            break
    return best


def turned(spectrum, rng):
    """A symmetric matrix of this spectrum, its eigenvectors, and nothing rounded to symmetry."""
    Q = rotation(len(spectrum), rng)
    S = (Q * np.asarray(spectrum, dtype=float)) @ Q.T
    return (S + S.T) / 2, Q
