"""The main oracle of S2D: the augmented loss of eqs 2 and 6, and what is read off it.

The loss is written out literally, for complex sizes: its power series in epsilon, by Cauchy's
integral, gives every order of a theorem to rounding. A problem is (network, X, Y, loss).
"""

from functools import partial
from itertools import combinations

import numpy as np
import oracles
from by_hand import Plus

from refgrow import growth, losses, networks, numerics, s2d

EXACT = 1e-12  # identities in float64 between numbers of order one: some thousand roundings
SERIES = 1e-8  # a coefficient of order k: eps / RADIUS^k, and what the circle cuts off
SLOPE = 0.1  # a fitted order may be off by this much

RADIUS = 0.01  # far inside every radius of convergence here, of which the smallest is near 0.1
POINTS = 16


def augmented_loss(network, X, Y, loss, splits, size):
    """Eqs 2 and 6 as they stand: everybody reads sum_i w_i sigma(theta + size u_i, .)."""
    copies = {(s.layer, s.neuron): (s.fractions, s.directions) for s in splits}

    def layer_output(layer, rows, value):
        columns = []
        for j, theta in enumerate(rows):
            fractions, directions = copies.get((layer, j), ([1.0], [0 * theta]))
            columns.append(
                sum(w * value(theta + size * u) for w, u in zip(fractions, directions, strict=True))
            )
        return np.stack(columns, axis=1)

    if isinstance(network, networks.Shallow):
        family = network.neuron

        def value(theta):
            if isinstance(family, Plus):
                return family.value(theta[None], X)[:, 0]
            return np.array([oracles.neuron(family.name, theta, x) for x in X])

        F = layer_output(0, network.theta, value) @ network.weights.reshape(len(network.theta), -1)
    else:
        sigma, H, ones = oracles.ACTIVATIONS[network.activation.name], X, np.ones((len(X), 1))
        for layer, W in enumerate(network.arrays[:-1]):
            inputs = np.hstack([H, ones])
            H = layer_output(layer, W, lambda theta, inputs=inputs: sigma(inputs @ theta))
        F = np.hstack([H, ones]) @ network.arrays[-1].T
    values = loss.samples(F, Y) if isinstance(loss, losses.Loss) else oracles.losses(loss, F, Y)
    return values.mean()


def series(f, orders=5):
    """The first coefficients of the power series of f at zero, by Cauchy's integral."""
    turn = np.exp(2j * np.pi * np.arange(POINTS) / POINTS)
    values = np.array([f(RADIUS * t) for t in turn])
    return np.real(np.fft.fft(values)[:orders]) / POINTS / RADIUS ** np.arange(orders)


def change_series(problem, splits, orders=5):
    """The series of the change of the loss under these splits in the size."""
    return series(lambda size: augmented_loss(*problem, splits, size), orders)


def pair(layer, neuron, v):
    return growth.Split(layer, neuron, [0.5, 0.5], [v, -np.asarray(v)])


def move(layer, neuron, u):
    return growth.Split(layer, neuron, [1.0], [u])


def matrix_of(quadratic, d):
    """The symmetric matrix of a quadratic form, by polarisation."""
    eye = np.eye(d)
    A = np.diag([quadratic(e) for e in eye])
    for k, l in combinations(range(d), 2):
        A[k, l] = A[l, k] = (quadratic(eye[k] + eye[l]) - A[k, k] - A[l, l]) / 2
    return A


def splitting_matrix_of(problem, layer, j):
    """S read off the augmented loss: it changes by (eps^2 / 2) v^T S v along (v, -v)."""
    d = problem[0].arrays[layer].shape[1]
    return matrix_of(lambda v: 2 * change_series(problem, [pair(layer, j, v)], 3)[2], d)


def grown(problem, splits, size):
    net, X, Y, loss = problem
    after = growth.apply(net, growth.Plan(tuple(splits), size, 0.0, 2, 3))
    return losses.get(loss).value(after(X), Y)


def change(problem, splits, size):
    """The change of the loss under splits, through growth.apply."""
    net, X, Y, loss = problem
    return grown(problem, splits, size) - losses.get(loss).value(net(X), Y)


def slope(remainder, scale, largest=0.5):
    return numerics.taylor_slope(remainder, scale=scale, largest=largest)


def close(a, b, tolerance=SERIES):
    """Equal up to the tolerance, relative to the larger of their largest entry and one."""
    a, b = np.asarray(a), np.asarray(b)
    return bool(np.abs(a - b).max() <= tolerance * max(1, np.abs(a).max(), np.abs(b).max()))


def assert_decomposition_is_exact(problem, splits, evidence):
    """Both orders of the theorem, and the actual change, against the augmented loss."""
    splits = [_of_unit_size(split) for split in splits]
    before, first, second, *_ = change_series(problem, splits)
    plus, minus = (s2d.decompose(*problem, splits, size) for size in (0.5, -0.5))
    dt, ds = (plus.displacement_taylor, minus.displacement_taylor), plus.splitting
    scale = max(1.0, abs(before), abs(first), abs(second))
    error = max(
        abs(first - (dt[0] - dt[1])),
        abs(second - (2 * (dt[0] + dt[1]) + 4 * ds)),
    )
    evidence.worst("error of a coefficient", error / scale)
    assert error <= SERIES * scale
    assert plus.splitting == minus.splitting
    moved = [move(s.layer, s.neuron, s.fractions @ s.directions) for s in splits]
    at = partial(augmented_loss, *problem)
    tolerance = EXACT * max(1.0, abs(at(splits, 0.5)), abs(before), abs(at(moved, 0.5)))
    assert abs(plus.actual - (at(splits, 0.5) - before)) <= 10 * tolerance
    assert abs(plus.displacement - (at(moved, 0.5) - before)) <= 10 * tolerance
    assert plus.remainder == plus.actual - plus.displacement - plus.splitting


def _of_unit_size(split):
    """The split with directions scaled so that the circle stays well inside convergence."""
    scale = max(1.0, np.abs(split.fractions).sum()) * max(1.0, np.abs(split.directions).max())
    return growth.Split(split.layer, split.neuron, split.fractions, split.directions / scale)
