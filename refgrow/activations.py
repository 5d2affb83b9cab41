"""Activations: the value and the first two derivatives, by hand.

Splitting needs the second derivative: sigma'' is what makes two displaced copies differ, on
average, from the neuron they replace. An activation with a kink (relu, selu) has none, says so,
and is refused where one is needed; S2D's appendix B.3 replaces relu by softplus for this reason.

The formulas hold for complex arguments close to the real axis, so that the complex step can prove
the derivatives (`numerics.complex_step`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from refgrow import validation

Function = Callable[[np.ndarray], np.ndarray]

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


@dataclass(frozen=True)
class Activation:
    """A scalar function with its derivatives, applied elementwise.

    Attributes
    ----------
    name : str
    value, derivative : callable
        Arrays of any shape to arrays of the same shape. At a kink `derivative` is the one from
        the left for relu (zero) and for selu.
    second : callable or None
        The second derivative; None where the activation has a kink.
    """

    name: str
    value: Function
    derivative: Function
    second: Function | None

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return self.value(z)

    def __repr__(self) -> str:
        return f"<activation {self.name}>"


def second_derivative(activation: Activation, needed_by: str) -> Function:
    """The activation's second derivative, or an error that says which activations have one."""
    if activation.second is None:
        smooth = sorted(a.name for a in _BY_NAME.values() if a.second is not None)
        raise ValueError(
            f"{needed_by} needs a second derivative; {activation.name} has a kink and only a "
            f"first one. Use one of {', '.join(smooth)} (softplus is a smooth relu)."
        )
    return activation.second


def sharp_softplus(sharpness: float) -> Activation:
    """Softplus log(1 + exp(k z)) / k; with growing sharpness k it tends to relu.

    Parameters
    ----------
    sharpness : float
        k > 0; the curvature at zero is k / 4.

    Raises
    ------
    ValueError
        For a sharpness that is not positive and finite.

    Source: S2D, appendix B.3 (softplus in place of relu).
    """
    k = validation.as_scalar(sharpness, "sharpness", above=0)
    return Activation(
        "softplus" if k == 1 else f"softplus({k:g})",
        lambda z: _softplus(k * z) / k,
        lambda z: _sigmoid(k * z),
        lambda z: k * _sigmoid_slope(k * z),
    )


def get(activation: "str | Activation") -> Activation:
    """An activation from itself or its name."""
    if isinstance(activation, Activation):
        return activation
    return _BY_NAME[validation.one_of(activation, "activation", _BY_NAME)]


def _softplus(z: np.ndarray) -> np.ndarray:
    # exp of a number with negative real part only: no overflow on either side.
    folded = np.where(np.real(z) > 0, -z, z)
    return np.where(np.real(z) > 0, z, 0.0) + np.log1p(np.exp(folded))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def _sigmoid_slope(z: np.ndarray) -> np.ndarray:
    return 0.25 * _sech2(0.5 * z)


def _sech2(z: np.ndarray) -> np.ndarray:
    # 1 - tanh^2 loses all digits where tanh is close to one; this form does not.
    decay = np.exp(np.where(np.real(z) > 0, -2.0 * z, 2.0 * z))
    return 4.0 * decay / (1.0 + decay) ** 2


def _normal_density(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)


def _normal_distribution(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + erf(z / np.sqrt(2.0)))


identity = Activation("identity", lambda z: 1.0 * z, np.ones_like, np.zeros_like)

tanh = Activation("tanh", np.tanh, _sech2, lambda z: -2.0 * np.tanh(z) * _sech2(z))

sigmoid = Activation(
    "sigmoid",
    _sigmoid,
    _sigmoid_slope,
    lambda z: -np.tanh(0.5 * z) * _sigmoid_slope(z),
)

softplus = sharp_softplus(1.0)

gaussian = Activation(
    "gaussian",
    lambda z: np.exp(-0.5 * z * z),
    lambda z: -z * np.exp(-0.5 * z * z),
    lambda z: (z * z - 1.0) * np.exp(-0.5 * z * z),
)

sine = Activation("sine", np.sin, np.cos, lambda z: -np.sin(z))

quadratic = Activation(
    "quadratic", lambda z: z * z, lambda z: 2.0 * z, lambda z: np.full_like(z, 2.0)
)

gelu = Activation(
    "gelu",
    lambda z: z * _normal_distribution(z),
    lambda z: _normal_distribution(z) + z * _normal_density(z),
    lambda z: (2.0 - z * z) * _normal_density(z),
)

relu = Activation(
    "relu",
    lambda z: np.where(np.real(z) > 0, z, 0.0),
    lambda z: np.where(np.real(z) > 0, 1.0, 0.0),
    None,
)

selu = Activation(
    "selu",
    lambda z: SELU_SCALE
    * np.where(np.real(z) > 0, z, SELU_ALPHA * np.expm1(np.where(np.real(z) > 0, 0.0, z))),
    lambda z: SELU_SCALE
    * np.where(np.real(z) > 0, 1.0, SELU_ALPHA * np.exp(np.where(np.real(z) > 0, 0.0, z))),
    None,
)

_BY_NAME = {
    a.name: a
    for a in (
        identity, tanh, sigmoid, softplus, gaussian, sine, quadratic, gelu, selu, relu
    )
}  # fmt: skip
