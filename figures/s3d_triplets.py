"""S3D's triplets as cells: the best found by search, and both schemes on a neuron of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import optimize

from figures import s3d_toy
from figures.record import seed_for
from refgrow import growth, losses, networks, s2d, s3d


def search(*, c: float, ratio: float, d: int, tries: int) -> dict[str, Any]:
    """The least gain of three copies found by local search from random starts, without theory.

    Over weights and directions together, with lam_min = -1, lam_max = ratio, and the eigenvalues in
    between spread evenly. For each pattern of signs of the weights the feasible set is smooth.
    """
    lam = np.linspace(-1.0, ratio, d)
    rng = np.random.default_rng(seed_for("triplets", "search", str(c), str(ratio), d))

    def parts(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return p[:3], p[3:].reshape(3, d)

    def value(p: np.ndarray) -> float:
        w, D = parts(p)
        return float(w @ (D**2 @ lam))

    def slope(p: np.ndarray) -> np.ndarray:
        w, D = parts(p)
        return np.concatenate([D**2 @ lam, (2 * w[:, None] * D * lam).ravel()])

    def mean(p: np.ndarray) -> np.ndarray:
        w, D = parts(p)
        return np.concatenate([[w.sum() - 1], w @ D])

    def mean_slope(p: np.ndarray) -> np.ndarray:
        w, D = parts(p)
        by_w = np.vstack([np.ones(3), D.T])
        by_D = np.vstack([np.zeros(3 * d), np.hstack([v * np.eye(d) for v in w])])
        return np.hstack([by_w, by_D])

    best = 0.0
    for signs in np.array([[1, 1, 1], [1, 1, -1], [1, -1, -1]], dtype=float):

        def room(p: np.ndarray, signs: np.ndarray = signs) -> np.ndarray:
            w, D = parts(p)
            return np.concatenate([1 - (D**2).sum(axis=1), [c - signs @ w]])

        def room_slope(p: np.ndarray, signs: np.ndarray = signs) -> np.ndarray:
            D = parts(p)[1]
            rows = np.zeros((4, 3 + 3 * d))
            for i in range(3):
                rows[i, 3 + i * d : 3 + (i + 1) * d] = -2 * D[i]
            rows[3, :3] = -signs
            return rows

        bounds = [(0, None) if s > 0 else (None, 0) for s in signs] + [(-1, 1)] * (3 * d)
        for _ in range(tries):
            w = signs * rng.uniform(0, (c + 1) / 2, size=3)
            start = np.concatenate([w, rng.normal(size=3 * d) / np.sqrt(d)])
            found = optimize.minimize(
                value, start, jac=slope, bounds=bounds, method="SLSQP",
                constraints=[{"type": "eq", "fun": mean, "jac": mean_slope},
                             {"type": "ineq", "fun": room, "jac": room_slope}],
                options={"maxiter": 300, "ftol": 1e-13},
            )  # fmt: skip
            feasible = np.abs(mean(found.x)).max() < 1e-9 and room(found.x).min() > -1e-9
            if feasible:
                best = min(best, float(found.fun))
    return {"gain": best}


def measure(*, seed: int, sizes: list[float], **setting: Any) -> dict[str, Any]:
    """Both triplets on the neuron of a grown network where the true one gains most over the other.

    Of all phases of growing with m = 2, and by the difference of the gains. Returns the change of
    the MSE by size, in units of size^2 / 2, and what theory says; nothing was found where `factor`
    is 1.
    """
    grown = s3d_toy.grow(method="m = 2", seed=seed, **setting)
    target, c = s3d_toy.problem(seed, setting), setting["c"]
    most = 0.0
    found = {"factor": 1.0, "measured": np.zeros((2, len(sizes))), "gains": np.zeros(2)}
    for k in range(len(grown["sizes"])):
        low, high = grown[f"lam_min{k}"], grown[f"lam_max{k}"]
        printed = s3d.printed_triplet_gain(low, high, c)
        surplus = printed - s3d.best_gain(low, high, c, 3)
        j = int(np.argmax(surplus))
        if surplus[j] <= most:
            continue
        most = surplus[j]
        network = networks.Shallow(grown[f"theta{k}"], grown[f"weights{k}"], s3d_toy.NEURON)
        S = s2d.splitting_matrices(network, target.X, target.Y, losses.squared)[0][j]
        true = s3d.best_scheme(S, c, 3)
        plain = s3d_toy.printed_scheme(S, c)
        before = losses.squared.value(network(target.X), target.Y)
        rows = []
        for weights, directions in ((true.weights, true.directions), plain):
            split = growth.Split(0, j, weights, directions)
            plan = growth.Plan((split,), 1.0, 0.0, 2, 3)
            after = [
                losses.squared.value(growth.apply(network, plan, size)(target.X), target.Y)
                for size in sizes
            ]
            rows.append(2 * (np.array(after) - before) / (np.array(sizes) ** 2 / 2))
        found = {"factor": float(1 - surplus[j] / printed[j]), "measured": np.array(rows),
                 "gains": 2 * np.array([true.gain, float(printed[j])])}  # fmt: skip
    return found
