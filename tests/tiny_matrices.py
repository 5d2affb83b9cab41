"""Activations that are hard to regress on, and projections on them in extended precision.

Nothing here imports refgrow. Every case says to what relative precision its projection is
determined at all: perturbing the activations by a rounding turns their span by a rounding times the
condition number of the columns scaled to norm one, so nobody can promise more.
"""

import numpy as np
import strategies

CONTRACT = 1e-10  # what is promised, relative to the largest singular value
EPS = np.finfo(float).eps


def projection(B, V, least=1e-14):
    """V projected on the columns of B: Gram-Schmidt, three times over, in extended precision.

    Columns whose distance to those before is up to `least` of their length are combinations.
    """
    basis = np.zeros((len(B), 0), dtype=np.longdouble)
    norms = np.linalg.norm(B / max(np.abs(B).max(), 1e-300), axis=0)
    for j in np.argsort(-norms, kind="stable"):
        if norms[j] <= EPS * norms.max():
            continue
        v = B[:, j].astype(np.longdouble) / np.abs(B[:, j]).max()
        v /= np.sqrt(v @ v)
        rest = v
        for _ in range(3):
            rest = rest - basis @ (basis.T @ rest)
        length = np.sqrt(rest @ rest)
        if length > least:
            rest = rest / length
            for _ in range(2):
                rest = rest - basis @ (basis.T @ rest)
            basis = np.column_stack([basis, rest / np.sqrt(rest @ rest)])
    return (basis @ (basis.T @ V.astype(np.longdouble))).astype(float), basis.shape[1]


def strengths(B, V, k):
    image, _ = projection(B, V)
    found = np.linalg.svd(image, compute_uv=False) / np.sqrt(len(B))
    return np.concatenate([found, np.zeros(k)])[:k]


def conditioned(n, q, kappa, rng):
    """Columns that are all of order one, and ill-conditioned together."""
    U = np.linalg.qr(rng.normal(size=(n, q)))[0]
    return (U * np.geomspace(1, 1 / kappa, q)) @ strategies.rotation(q, rng).T


def cases():
    """name -> (B, V, to what it is determined)."""
    rng = np.random.default_rng(5)
    n, q, p = 90, 12, 4
    V = rng.normal(size=(n, p))
    B = rng.normal(size=(n, q))
    B[:, -1] = 1.0
    found = {"plain": (B, V, CONTRACT)}
    for power in (2, 4, 5, 6, 7):
        found[f"condition 1e{power}"] = conditioned(n, q, 10.0**power, rng), V, CONTRACT
    found["condition 1e8"] = conditioned(n, q, 1e8, rng), V, 1e8 * EPS
    found["condition 1e10"] = conditioned(n, q, 1e10, rng), V, 1e10 * EPS
    for power in (3, 6, 9, 12):
        scaled = B.copy()
        scaled[:, 2] *= 10.0**-power
        scaled[:, 5] *= 10.0 ** (-power / 2)
        found[f"columns of 1e-{power}"] = scaled, V, CONTRACT
    dependent = B.copy()
    dependent[:, [0, 4]] = 0.0
    dependent[:, 6] = 0.7
    dependent[:, 7] = dependent[:, 8]
    dependent[:, 9] = 3 * dependent[:, 10] - dependent[:, 2]
    found["dead, constant, repeated, combined"] = dependent, V, CONTRACT
    for power in (3, 5, 7):
        near = B.copy()
        near[:, 7] = near[:, 8] + 10.0**-power * rng.normal(size=n)
        found[f"nearly repeated, 1e-{power}"] = near, V, max(CONTRACT, 10.0**power * EPS * 10)
    found["rank 3"] = rng.normal(size=(n, 3)) @ rng.normal(size=(3, q)), V, CONTRACT
    found["rank 3 of 4 targets"] = B[:, [0, 1, 11]], V, CONTRACT
    found["fewer samples than columns"] = B[:7], V[:7], CONTRACT
    found["repeated samples"] = np.repeat(B[:4], 2, axis=0), V[:8], CONTRACT
    found["as many samples as columns"] = B[:q], V[:q], CONTRACT
    found["one sample"] = B[:1], V[:1], CONTRACT
    found["one column"] = B[:, -1:], V, CONTRACT
    found["nothing alive"] = 0 * B, V, CONTRACT
    found["within the span"] = B, B @ rng.normal(size=(q, p)), CONTRACT
    ill = conditioned(n, q, 1e9, rng)
    found["within an ill-conditioned span"] = ill, ill @ rng.normal(size=(q, p)), CONTRACT
    found["targets that sum to zero"] = B, V - V.mean(axis=1, keepdims=True), CONTRACT
    found["targets of rank one"] = B, V[:, :1] * np.arange(1.0, 1 + p), CONTRACT
    found["no targets"] = B, 0 * V, CONTRACT
    found["huge"] = 1e150 * B, V, CONTRACT
    found["tiny"] = 1e-150 * dependent, 1e-100 * V, CONTRACT
    return found


CASES = cases()
