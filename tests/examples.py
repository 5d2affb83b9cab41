"""Small random problems (network, X, Y, loss), the same in every run."""

from itertools import pairwise

import numpy as np
import strategies

from refgrow import networks


def shallow_problem(name, loss="squared", seed=0, m=2, d=2, n=5, outputs=None):
    rng = np.random.default_rng(seed)
    d = 3 if name == "bump" else d
    weights = rng.normal(size=m if outputs is None else (m, outputs))
    net = networks.Shallow(rng.normal(size=(m, d)), weights, strategies.family(name))
    Y = strategies.targets_of(loss, n, outputs or 1, rng)
    return net, strategies.inputs_of(net, n, rng), Y, loss


def deep_problem(widths, loss="squared", activation="tanh", seed=0, n=5, outputs=None):
    """An MLP of these widths (inputs first); a class loss of two classes has one output."""
    rng = np.random.default_rng(seed)
    outputs = outputs or (1 if loss in ("logistic", "exponential") else 3)
    sizes = (*widths, outputs)
    weights = [
        rng.normal(size=(out, fan_in + 1)) / np.sqrt(fan_in) for fan_in, out in pairwise(sizes)
    ]
    net = networks.MLP(weights, activation)
    Y = strategies.targets_of(loss, n, outputs, rng)
    return net, rng.normal(size=(n, widths[0])), Y, loss
