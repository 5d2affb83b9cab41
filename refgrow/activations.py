"""Activations: the value and the first two derivatives, by hand.

Splitting needs the second derivative: sigma'' is what makes two displaced copies differ, on
average, from the neuron they replace. An activation with a kink (relu, selu) has none, says so,
and is refused where one is needed; S2D's appendix B.3 replaces relu by softplus for this reason.

Calling an activation checks its argument. `value`, `derivative` and `second` are the bare formulas,
which networks call at every step; they also hold for complex arguments close to the real axis, so
that the complex step can prove the derivatives (`numerics.complex_step`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

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
        Arrays of any shape to arrays of the same shape. At a kink, the derivative from the left.
    second : callable or None
        The second derivative; None where the activation has a kink.
    """

    name: str
    value: Function
    derivative: Function
    second: Function | None

    def __call__(self, z: Any) -> np.ndarray:
        """The value at finite real z, any shape."""
        return self.value(validation.as_array(z, "z", None))

    def __repr__(self) -> str:
        return f"<activation {self.name}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        # The named ones are pickled by name: a network can be sent to another process.
        return self.name if _BY_NAME.get(self.name) is self else super().__reduce_ex__(protocol)


def second_derivative(activation: Activation, needed_by: str) -> Function:
    """The activation's second derivative, or an error that says which activations have one.

    Parameters
    ----------
    activation : Activation
    needed_by : str
        What needs it, for the error: "a splitting matrix".

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        For an activation with a kink.
    """
    if activation.second is None:
        smooth = sorted(a.name for a in _BY_NAME.values() if a.second is not None)
        raise ValueError(
            f"{needed_by} needs a second derivative; {activation.name} has a kink and only a "
            f"first one, enough for outputs, gradients and training. Use one of "
            f"{', '.join(smooth)} (softplus is a smooth relu)."
        )
    return activation.second


def sharp_softplus(sharpness: float) -> Activation:
    """Softplus log(1 + exp(k z)) / k; with growing sharpness k it tends to relu.

    Parameters
    ----------
    sharpness : float
        k > 0; the curvature at zero is k / 4.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError, TypeError
        For a sharpness that is not positive and finite.

    Source: S2D, appendix B.3 (softplus in place of relu).
    """
    k = validation.as_scalar(sharpness, "sharpness", above=0)
    return Activation(
        "softplus" if k == 1 else f"softplus({k:g})",
        partial(_softplus, k),
        partial(_softplus_derivative, k),
        partial(_softplus_second, k),
    )


def get(activation: "str | Activation") -> Activation:
    """An activation from itself or its name.

    Parameters
    ----------
    activation : str or Activation

    Returns
    -------
    Activation

    Raises
    ------
    ValueError, TypeError
        For an unknown name (the nearest is suggested), and for anything else.
    """
    if isinstance(activation, Activation):
        return activation
    return _BY_NAME[validation.one_of(activation, "activation", _BY_NAME)]


def _fold(z: np.ndarray) -> np.ndarray:
    """-|z|, analytic on either side: exp of it cannot overflow."""
    return np.where(np.real(z) > 0, -1.0, 1.0) * z


def _softplus(k: float, z: np.ndarray) -> np.ndarray:
    return np.where(np.real(z) > 0, z, 0.0) + np.log1p(np.exp(_fold(k * z))) / k


def _softplus_derivative(k: float, z: np.ndarray) -> np.ndarray:
    return _sigmoid(k * z)


def _softplus_second(k: float, z: np.ndarray) -> np.ndarray:
    return k * _sigmoid_slope(k * z)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    # Not 1/2 + tanh(z/2)/2, which is zero from z = -37 on.
    decay = np.exp(_fold(z))
    return np.where(np.real(z) > 0, 1.0, decay) / (1.0 + decay)


def _sigmoid_slope(z: np.ndarray) -> np.ndarray:
    decay = np.exp(_fold(z))
    return decay / (1.0 + decay) ** 2


def _sech2(z: np.ndarray) -> np.ndarray:
    # 1 - tanh^2 loses all digits where tanh is close to one; this form does not.
    return 4.0 * _sigmoid_slope(2.0 * z)


def _normal_density(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)


def _normal_distribution(z: np.ndarray) -> np.ndarray:
    from scipy.special import erfc  # Here, because importing it takes longer than all of refgrow.

    # Not (1 + erf) / 2, which loses all digits at z = -8.
    return 0.5 * erfc(-z / np.sqrt(2.0))


def _relu(z: np.ndarray) -> np.ndarray:
    # Complex numbers `maximum` orders by their imaginary parts where the real ones are equal. It is
    # faster, and NaN stays NaN, so that a network which overflowed cannot look like a finite one.
    return np.maximum(z, 0.0) if np.isrealobj(z) else np.where(np.real(z) > 0, z, 0.0)


def _selu(z: np.ndarray) -> np.ndarray:
    positive = np.real(z) > 0
    return SELU_SCALE * np.where(positive, z, SELU_ALPHA * np.expm1(np.where(positive, 0.0, z)))


def _selu_derivative(z: np.ndarray) -> np.ndarray:
    positive = np.real(z) > 0
    return SELU_SCALE * np.where(positive, 1.0, SELU_ALPHA * np.exp(np.where(positive, 0.0, z)))


identity = Activation("identity", lambda z: 1.0 * z, lambda z: 1.0 + 0.0 * z, lambda z: 0.0 * z)

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
    "quadratic", lambda z: 1.0 * z * z, lambda z: 2.0 * z, lambda z: 2.0 + 0.0 * z
)

gelu = Activation(
    "gelu",
    lambda z: z * _normal_distribution(z),
    lambda z: _normal_distribution(z) + z * _normal_density(z),
    lambda z: (2.0 - z * z) * _normal_density(z),
)

relu = Activation(
    "relu",
    _relu,
    lambda z: np.where(np.real(z) > 0, 1.0, 0.0),
    None,
)

selu = Activation("selu", _selu, _selu_derivative, None)

_BY_NAME = {
    a.name: a
    for a in (
        identity, tanh, sigmoid, softplus, gaussian, sine, quadratic, gelu, selu, relu
    )
}  # fmt: skip
