"""Growing neural networks, written out so that a paper and its code can be read side by side.

The modules in reading order; each imports only what stands above it:

- ``validation``   input is checked and errors are worded here
- ``kernels``      the curvature of every neuron of a layer, compiled
- ``toy_training`` a phase of training on Gaussian neurons, compiled
- ``sparse_steps`` groups of weights and the steps of SplitLBI, compiled
- ``numerics``     proof tools: complex step, central differences, Taylor slopes
- ``activations``  value and first two derivatives
- ``losses``       value, gradient and curvature with respect to the output
- ``neurons``      neuron families sigma(theta, x)
- ``networks``     ``Shallow`` and ``MLP``
- ``least_squares`` regressions on a layer's activations
- ``data``         toy problems and digits
- ``optimizers``   gd, momentum, adam, adagrad
- ``growth``       ``Split``, ``Add``, ``Prune``, ``Move``, ``Plan``, ``apply``
- ``train``        ``fit`` and ``fit_and_grow``
- ``s2d``          splitting steepest descent; ``s2d_theory``: its functional view
- ``s3d``          splitting with fractions of both signs; ``s3d_theory``: its convergence
- ``splitlbi``     sparse networks from dense training; ``splitlbi_theory``: its flow and limits
- ``tiny``         bottlenecks and the best neurons; ``tiny_theory``: what they do to the loss
- ``tiny_greedy``  whether growing neuron by neuron can get stuck; sizes of layers and batches
- ``tiny_growth``  training with growth in between, from widths [1, 1]
- ``baselines``    what the papers compare with

Modules load on first use: importing the package imports neither numba nor matplotlib.
"""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

__all__ = [
    "activations",
    "baselines",
    "data",
    "growth",
    "kernels",
    "least_squares",
    "losses",
    "networks",
    "neurons",
    "numerics",
    "optimizers",
    "s2d",
    "s2d_theory",
    "s3d",
    "s3d_theory",
    "sparse_steps",
    "splitlbi",
    "splitlbi_theory",
    "tiny",
    "tiny_greedy",
    "tiny_growth",
    "tiny_theory",
    "toy_training",
    "train",
    "validation",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
