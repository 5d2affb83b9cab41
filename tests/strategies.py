"""Hypothesis strategies shared by all tests: matrices, networks, data, plans.

Hypothesis draws the sizes, the families and a seed; NumPy draws the numbers from the seed. Sizes
shrink, and numbers stay of order one: a matrix drawn entry by entry is mostly zeros and 1e308.
"""

from itertools import pairwise

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from refgrow import growth, networks, neurons

LOSSES = ("squared", "logistic", "softmax_cross_entropy", "exponential")
SMOOTH = ("tanh", "sigmoid", "softplus", "gaussian", "sine", "quadratic", "gelu", "identity")
RIDGES = tuple(f"ridge({name})" for name in SMOOTH)
FAMILIES = ("bump", "particle(0.8)", "distance", *RIDGES)

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
"""A seeded NumPy generator."""


def family(name):
    """The neuron family of this name, as its `name` says it."""
    kind, _, inside = name.rstrip(")").partition("(")
    if kind == "ridge":
        return neurons.ridge(inside)
    return neurons.particle(float(inside)) if kind == "particle" else getattr(neurons, kind)


def rotation(d, rng):
    """A random orthogonal matrix, uniformly distributed."""
    Q, R = np.linalg.qr(rng.normal(size=(d, d)))
    return Q * np.sign(np.diag(R))


def with_spectrum(spectrum, rng):
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    Q = rotation(len(spectrum), rng)
    S = (Q * np.asarray(spectrum)) @ Q.T
    return (S + S.T) / 2


def spectra(largest=6, values=None):
    """Eigenvalues, sorted: of both signs, with zeros and ties now and then."""
    values = values or st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0]) | st.floats(-3, 3)
    return st.lists(values, min_size=1, max_size=largest).map(sorted)


@st.composite
def symmetric_matrices(draw, spectrum=None):
    """(S, spectrum): a symmetric matrix and its sorted eigenvalues."""
    values = draw(spectra() if spectrum is None else spectrum)
    return with_spectrum(values, draw(generators)), np.array(values)


@st.composite
def shallow_networks(draw, families=FAMILIES, most=4, outputs=None):
    """A Shallow network of 1 to `most` neurons with weights (m,) or (m, p)."""
    name, m, rng = draw(st.sampled_from(families)), draw(st.integers(1, most)), draw(generators)
    d = 3 if name == "bump" else draw(st.integers(1, 3))
    p = draw(st.sampled_from([None, 1, 2, 3])) if outputs is None else outputs
    weights = rng.normal(size=m if p is None else (m, p))
    return networks.Shallow(rng.normal(size=(m, d)), weights, family(name))


@st.composite
def mlps(draw, activations=SMOOTH, depths=(1, 4), widest=4, outputs=None):
    """An MLP with this least and largest number of matrices; one matrix is a linear model."""
    depth, rng = draw(st.integers(*depths)), draw(generators)
    widths = draw(st.lists(st.integers(1, widest), min_size=depth, max_size=depth))
    widths.append(draw(st.integers(1, 3)) if outputs is None else outputs)
    # Of order one at every layer, so that quadratic activations do not explode with depth.
    weights = [
        rng.normal(size=(out, fan_in + 1)) / np.sqrt(fan_in + 1) for fan_in, out in pairwise(widths)
    ]
    return networks.MLP(weights, draw(st.sampled_from(activations)))


def inputs_of(network, n, rng):
    """Inputs (n, d_in) for a network; for prototypes, none of them close to one."""
    if isinstance(network, networks.MLP):
        return rng.normal(size=(n, network.weights[0].shape[1] - 1))
    d = 1 if network.neuron.name == "bump" else network.theta.shape[1]
    X = rng.normal(size=(n, d))
    if network.neuron.name == "distance":
        # The second derivative grows like 1 / distance; half a unit keeps it of order one.
        gap = X[:, None, :] - network.theta
        X += 10.0 * (np.linalg.norm(gap, axis=2).min(axis=1, keepdims=True) < 0.5)
    return X


def targets_of(loss, n, p, rng):
    """Targets (n, p) or labels (n,) for a loss."""
    if loss == "squared":
        return rng.normal(size=(n, p))
    return rng.integers(2 if p == 1 else p, size=n)


@st.composite
def problems(draw, network, losses=LOSSES, samples=(1, 6)):
    """(network, X, Y, loss): `network` a strategy; a loss that suits the number of outputs."""
    net, n, rng = draw(network), draw(st.integers(*samples)), draw(generators)
    p = len(net.arrays[-1]) if isinstance(net, networks.MLP) else net.weights.reshape(
        len(net.theta), -1).shape[1]  # fmt: skip
    suits = [name for name in losses if name == "squared" or (name[:7] == "softmax") == (p > 1)]
    loss = draw(st.sampled_from(suits))
    X = inputs_of(net, n, rng)
    # Squares of squares grow: where exp of an output overflows, refgrow refuses and oracles cannot.
    assume(np.abs(net(X)).max() < 300)
    return net, X, targets_of(loss, n, p, rng), loss


@st.composite
def splits_of(draw, layer, neuron, d, most=4):
    """A split with signed fractions that sum to one, some of them zero, and any directions."""
    k, rng = draw(st.integers(1, most)), draw(generators)
    fractions = rng.normal(size=k)
    fractions[1:][rng.random(k - 1) < 0.2] = 0.0
    fractions[0] = 1.0 - fractions[1:].sum()
    return growth.Split(layer, neuron, fractions, rng.normal(size=(k, d)))


@st.composite
def plans_of(draw, network, kinds=("split", "prune", "add"), size=0.3):
    """A plan of any edits that fit the network, in several layers at once.

    Kinds: split, prune, add, bias (an MLP's additions may come with one), move.
    """
    mlp = isinstance(network, networks.MLP)
    if mlp:
        matrices = network.arrays
    else:
        matrices = [network.theta, network.weights.reshape(len(network.theta), -1).T]
    edits, rng = [], draw(generators)
    for layer, (W, read) in enumerate(pairwise(matrices)):
        fates = draw(st.lists(st.sampled_from((None, *kinds)), min_size=len(W), max_size=len(W)))
        pruned = tuple(j for j, fate in enumerate(fates) if fate == "prune")
        if pruned and len(pruned) < len(W):
            edits.append(growth.Prune(layer, pruned))
        for j, fate in enumerate(fates):
            if fate == "split":
                edits.append(draw(splits_of(layer, j, W.shape[1])))
        if "add" in kinds and draw(st.booleans()):
            k, keep = draw(st.integers(1, 2)), draw(st.sampled_from([1.0, 0.7]))
            fan_in, fan_out = rng.normal(size=(k, W.shape[1])), rng.normal(size=(len(read), k))
            with_bias = mlp and "bias" in kinds and draw(st.booleans())
            bias = rng.normal(size=len(read)) if with_bias else None
            edits.append(growth.Add(layer, fan_in, fan_out, keep, bias))
    if "move" in kinds:
        for layer in draw(st.lists(st.integers(0, len(matrices) - 1), max_size=3)):
            edits.append(growth.Move(layer, rng.normal(size=matrices[layer].shape)))
    return growth.Plan(tuple(edits), size, 0.0, 2, 3)
