"""Layers with known angles, and second ways to what TINY states: nothing here imports `tiny`."""

from itertools import pairwise

import numpy as np
import oracles
import strategies
from hypothesis import strategies as st
from scipy.optimize import minimize

from refgrow import growth, losses

EXACT = 1e-11  # identities in float64 between numbers of order one, through two decompositions
SLOPE = 0.1  # a fitted order may be off by this much
BRUTE = 1e-7  # BFGS stops when its gradient is 1e-9; the value is then off by less than this

values = st.sampled_from([0.0, 0.3, 1.0, 2.0])
"""Singular values: some zero, some equal."""


def activities(n, q, rng, spectrum=None):
    """(n, q) with these singular values (zeros beyond) and random singular vectors."""
    r = min(n, q)
    s = np.zeros(r)
    s[:] = rng.uniform(0.5, 2, r) if spectrum is None else np.resize(spectrum, r)
    return strategies.rotation(n, rng)[:, :r] * s @ strategies.rotation(q, rng)[:r]


@st.composite
def layers(draw, spectrum=values):
    """(B, B_prev, V): small, of any rank; B and B_prev share a column of ones now and then."""
    rng, n = draw(strategies.generators), draw(st.integers(2, 8))
    A = [
        activities(n, q, rng, draw(st.lists(spectrum, min_size=q, max_size=q)))
        for q in draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    ]
    if draw(st.booleans()):
        A = [np.column_stack([each, np.ones(n)]) for each in A]
    p = draw(st.integers(1, 3))
    return (*A, activities(n, p, rng))


def at_angles(sines, rng, beside=0, p=2):
    """(B, B_prev, V): one plane a sine, `beside` dimensions more, bases mixed and turned."""
    r = len(sines)
    n = 2 * r + beside
    turn, own, before = strategies.rotation(n, rng), np.zeros((n, r)), np.zeros((n, r))
    for i, sine in enumerate(sines):
        own[2 * i, i], before[2 * i, i] = 1, np.sqrt(1 - sine**2)
        before[2 * i + 1, i] = sine
    mix = [activities(r, r, rng) for _ in range(2)]
    return turn @ own @ mix[0], turn @ before @ mix[1], activities(n, p, rng)


def onto(B):
    """The projector, by the pseudo-inverse; `tiny` decomposes otherwise."""
    return B @ np.linalg.pinv(B, rcond=1e-9)


def mean_square(A):
    return float((A * A).sum()) / len(A)


def nearest(B, B_prev, V, k, rng, starts=4):
    """min (1/n) |V - B U^T - B_prev A^T O^T|^2 over U, A (k, .), O by BFGS from random starts."""
    (n, q), r, p = B.shape, B_prev.shape[1], V.shape[1]
    cuts = np.cumsum([p * q, k * r])

    def value_and_gradient(x):
        U, A, O = np.split(x, cuts)
        U, A, O = U.reshape(p, q), A.reshape(k, r), O.reshape(p, k)
        Z = B_prev @ A.T
        R = V - B @ U.T - Z @ O.T
        gradient = [R.T @ B, (R @ O).T @ B_prev, R.T @ Z]
        return (R * R).sum() / n, -2 / n * np.concatenate([g.ravel() for g in gradient])

    size = cuts[-1] + p * k
    return min(
        minimize(value_and_gradient, rng.normal(size=size), jac=True, options={"gtol": 1e-9}).fun
        for _ in range(starts)
    )


def random_moves(B_prev, V, k, rng, count=50):
    """Moves of rank k: random fan-ins, each with the fan-outs that suit it best."""
    for _ in range(count):
        Z = B_prev @ rng.normal(size=(B_prev.shape[1], k))
        yield Z @ np.linalg.lstsq(Z, V, rcond=1e-9)[0]


def inputs_of_layers(network, X):
    """What every matrix of an MLP reads, its column of ones included, by hand."""
    sigma, inputs = oracles.ACTIVATIONS[network.activation.name], []
    for W in network.arrays:
        inputs.append(np.column_stack([X, np.ones(len(X))]))
        X = sigma(inputs[-1] @ W.T)
    return inputs


def grown_loss(problem, layer, fan_in, fan_out, update=0.0):
    """(size_of_update, size) -> mean loss, for complex sizes: the grown matrices by hand.

    New neurons of size zero change nothing: sigma(0) times their fan-out is taken off the bias.
    """
    net, X, Y, loss = problem
    at_zero = oracles.ACTIVATIONS[net.activation.name](np.zeros(1))[0]

    def value(size_of_update, size):
        arrays = list(net.arrays)
        read = arrays[layer + 1] + size_of_update * update
        bias = read[:, -1] - at_zero * fan_out.sum(axis=1)
        arrays[layer] = np.vstack([arrays[layer], size * fan_in])
        arrays[layer + 1] = np.column_stack([read[:, :-1], fan_out, bias])
        return oracles.mean_loss(net, arrays, X, Y, loss)

    return value


def exact_derivative(f):
    """f'(0) by the complex step."""
    return float(np.imag(f(1e-30j)) / 1e-30)


def loss_after(problem, edits):
    """size -> the mean loss after a plan of these edits, through growth.apply."""
    net, X, Y, loss = problem
    plan = growth.Plan(tuple(edits), 1.0, 0.0, 1, 2)
    return lambda size: losses.get(loss).value(growth.apply(net, plan, size)(X), Y)


def derivative(f, step=1e-4):
    """f'(0) by central differences of fourth order."""
    near, far = (f(step) - f(-step)) / 2, (f(2 * step) - f(-2 * step)) / 4
    return (4 * near - far) / 3 / step


def derivative_from_the_right(f, step=1e-3):
    """f'(0+), by one-sided differences of third order."""
    a, b, c = ((f(s) - f(0.0)) / s for s in (step, step / 2, step / 4))
    return (8 * c - 6 * b + a) / 3


def order(values):
    """The orders between successive halvings, of which the last is nearest to the limit."""
    return [float(np.log2(abs(a / b))) for a, b in pairwise(values)]
