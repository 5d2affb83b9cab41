"""Losses: value, gradient and curvature with respect to the network's output.

`value` is the mean over samples; `gradient` and `curvature` are per sample and not divided by n:
1/n enters once, where samples are summed (parameter gradients, splitting matrices). `squared` has
the factor 1/2 that S2D's appendices B.1 and B.5 print without; `docs/notation.md` has the table.

Regression targets have the shape of the output, (n, p). Class losses take integer labels (n,): 0 or
1 for a single output (logistic, exponential), 0 .. p - 1 for p outputs (softmax cross-entropy).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrow import validation
from refgrow.activations import sigmoid, softplus

ArrayFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Loss:
    """A loss of an output F (n, p) and targets Y, with its first two derivatives in F.

    Attributes
    ----------
    name : str
    samples, slope, bend : callable
        The formulas, per sample and unchecked: values (n,), gradient (n, p), curvature (n, p, p).
        They hold for complex F near the real axis.
    check : callable
        `check(Y, n, p)` returns the targets in the form the formulas want, or raises.
    convex : bool
        Whether the loss is convex in F: with a convex loss and a linear output layer, a neuron that
        no split improves is also a local minimum (S2D, remark after Thm 2.3).
    """

    name: str
    samples: ArrayFunction
    slope: ArrayFunction
    bend: ArrayFunction
    check: Callable[[Any, int, int], np.ndarray]
    convex: bool = True

    def value(self, F: Any, Y: Any) -> float:
        """The mean loss over the samples; F (n, p)."""
        F, Y = self._checked(F, Y)
        return float(self.samples(F, Y).mean())

    def gradient(self, F: Any, Y: Any) -> np.ndarray:
        """Per sample, not divided by n: (n, p)."""
        return self.slope(*self._checked(F, Y))

    def curvature(self, F: Any, Y: Any) -> np.ndarray:
        """Per sample, not divided by n: (n, p, p), symmetric."""
        return self.bend(*self._checked(F, Y))

    def _checked(self, F: Any, Y: Any) -> tuple[np.ndarray, np.ndarray]:
        F = validation.as_array(F, "F", ("n", "p"), flat="Use F[:, None] for one output.")
        return F, self.check(Y, *F.shape)

    def __repr__(self) -> str:
        return f"<loss {self.name}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        # The named ones are pickled by name, as activations are.
        return self.name if _BY_NAME.get(self.name) is self else super().__reduce_ex__(protocol)


def get(loss: "str | Loss") -> Loss:
    """A loss from itself or its name.

    Parameters
    ----------
    loss : str or Loss

    Returns
    -------
    Loss

    Raises
    ------
    ValueError, TypeError
        For an unknown name (the nearest is suggested), and for anything else.
    """
    if isinstance(loss, Loss):
        return loss
    return _BY_NAME[validation.one_of(loss, "loss", _BY_NAME)]


def with_offset(loss: "str | Loss", offset: Any) -> Loss:
    """The loss of `offset + F`: what a new neuron sees when the others are fixed.

    Parameters
    ----------
    loss : str or Loss
    offset : (n, p)
        The output of the part of the network that does not move, at all samples: this loss cannot
        be trained in minibatches.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError, TypeError
        For an unknown loss; and once it is used on an output of another shape.

    Source: S2D, gradient boosting (Frank-Wolfe) as the baseline of Fig 1 d.
    """
    loss = get(loss)
    offset = validation.as_array(
        offset, "offset", ("n", "p"), flat="Use offset[:, None] for one output."
    )
    offset = validation.frozen(offset)

    def moved(F: np.ndarray) -> np.ndarray:
        if F.shape != offset.shape:
            raise ValueError(
                f"offset must have the output's shape {F.shape}; got {offset.shape}. "
                "It belongs to the full batch."
            )
        return offset + F

    def check(Y: Any, n: int, p: int) -> np.ndarray:
        moved(np.zeros((n, p)))
        return loss.check(Y, n, p)

    return Loss(
        f"{loss.name} with offset",
        lambda F, Y: loss.samples(moved(F), Y),
        lambda F, Y: loss.slope(moved(F), Y),
        lambda F, Y: loss.bend(moved(F), Y),
        check,
        loss.convex,
    )


def _regression_targets(Y: Any, n: int, p: int) -> np.ndarray:
    flat = "Use Y[:, None] for one output." if p == 1 else ""
    return validation.as_array(Y, "Y", (n, p), flat=flat)


def _binary_labels(Y: Any, n: int, p: int) -> np.ndarray:
    if p != 1:
        raise ValueError(
            f"a loss for two classes needs one output; the network has {p}. "
            "Use softmax_cross_entropy."
        )
    return validation.as_labels(Y, "Y", 2, n)


def _class_labels(Y: Any, n: int, p: int) -> np.ndarray:
    if p < 2:
        raise ValueError(
            "softmax_cross_entropy needs one output a class; the network has 1. Use logistic."
        )
    return validation.as_labels(Y, "Y", p, n)


def _sign(Y: np.ndarray) -> np.ndarray:
    return (2.0 * Y - 1.0)[:, None]


def _softmax(F: np.ndarray) -> np.ndarray:
    E = np.exp(F - np.real(F).max(axis=1, keepdims=True))
    return E / E.sum(axis=1, keepdims=True)


def _cross_entropy(F: np.ndarray, Y: np.ndarray) -> np.ndarray:
    G = F - np.real(F).max(axis=1, keepdims=True)
    return np.log(np.exp(G).sum(axis=1)) - G[np.arange(len(Y)), Y]


def _cross_entropy_slope(F: np.ndarray, Y: np.ndarray) -> np.ndarray:
    P = _softmax(F)
    P[np.arange(len(Y)), Y] -= 1.0
    return P


def _cross_entropy_bend(F: np.ndarray, Y: np.ndarray) -> np.ndarray:
    P = _softmax(F)
    return P[:, :, None] * np.eye(F.shape[1]) - P[:, :, None] * P[:, None, :]


squared = Loss(
    "squared",
    lambda F, Y: 0.5 * ((F - Y) ** 2).sum(axis=1),
    lambda F, Y: F - Y,
    lambda F, Y: np.broadcast_to(np.eye(F.shape[1]), (*F.shape, F.shape[1])).copy(),
    _regression_targets,
)

logistic = Loss(
    "logistic",
    lambda F, Y: softplus.value(-_sign(Y) * F)[:, 0],
    lambda F, Y: -_sign(Y) * sigmoid.value(-_sign(Y) * F),
    lambda F, Y: sigmoid.derivative(F)[:, :, None],
    _binary_labels,
)

softmax_cross_entropy = Loss(
    "softmax_cross_entropy",
    _cross_entropy,
    _cross_entropy_slope,
    _cross_entropy_bend,
    _class_labels,
)

exponential = Loss(
    "exponential",
    lambda F, Y: np.exp(-_sign(Y) * F)[:, 0],
    lambda F, Y: -_sign(Y) * np.exp(-_sign(Y) * F),
    lambda F, Y: np.exp(-_sign(Y) * F)[:, :, None],
    _binary_labels,
)

_BY_NAME = {loss.name: loss for loss in (squared, logistic, softmax_cross_entropy, exponential)}
