"""Optimizers as (init, step) pairs; the state owns the parameters.

    state = init(parameters)
    state = step(state, gradient, learning_rate)

`parameters` and `gradient` are flat vectors (N,). A step changes the state's arrays in place and
returns the state with its counter advanced, so a loop over steps allocates nothing of size N but
temporaries.
The formulas are those of the compiled loop in `kernels`; a test holds the two together.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from refgrow import validation


@dataclass(frozen=True, eq=False)
class State:
    """Parameters and moments.

    Attributes
    ----------
    parameters : (N,)
    first : (N,)
        Velocity of momentum, first moment of Adam; unused otherwise.
    second : (N,)
        Second moment of Adam, sum of squares of AdaGrad; unused otherwise.
    count : int
        Steps taken.
    """

    parameters: np.ndarray
    first: np.ndarray
    second: np.ndarray
    count: int = 0


class Optimizer(NamedTuple):
    """An (init, step) pair."""

    init: Callable[[Any], State]
    step: Callable[..., State]


def init(parameters: Any) -> State:
    """A state that owns a copy of the parameters (N,), with zero moments."""
    x = validation.as_array(parameters, "parameters", ("N",)).copy()
    return State(x, np.zeros_like(x), np.zeros_like(x))


def gd_step(state: State, gradient: np.ndarray, learning_rate: float) -> State:
    """x <- x - rate * g."""
    state.parameters[:] -= learning_rate * gradient
    return replace(state, count=state.count + 1)


def momentum_step(
    state: State, gradient: np.ndarray, learning_rate: float, beta: float = 0.9
) -> State:
    """v <- beta v + g, x <- x - rate * v."""
    state.first[:] = beta * state.first + gradient
    state.parameters[:] -= learning_rate * state.first
    return replace(state, count=state.count + 1)


def adam_step(
    state: State,
    gradient: np.ndarray,
    learning_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> State:
    """Adam with bias correction; epsilon is added to the square root."""
    count = state.count + 1
    state.first[:] = beta1 * state.first + (1 - beta1) * gradient
    state.second[:] = beta2 * state.second + (1 - beta2) * gradient**2
    direction = state.first / (1 - beta1**count)
    scale = np.sqrt(state.second / (1 - beta2**count)) + epsilon
    state.parameters[:] -= learning_rate * direction / scale
    return replace(state, count=count)


def adagrad_step(
    state: State, gradient: np.ndarray, learning_rate: float, epsilon: float = 1e-10
) -> State:
    """s <- s + g^2, x <- x - rate * g / (sqrt(s) + epsilon)."""
    state.second[:] += gradient**2
    state.parameters[:] -= learning_rate * gradient / (np.sqrt(state.second) + epsilon)
    return replace(state, count=state.count + 1)


gd = Optimizer(init, gd_step)
momentum = Optimizer(init, momentum_step)
adam = Optimizer(init, adam_step)
adagrad = Optimizer(init, adagrad_step)

BY_NAME = {"gd": gd, "momentum": momentum, "adam": adam, "adagrad": adagrad}


def get(optimizer: Any) -> Optimizer:
    """An optimizer from its name, itself, or any (init, step) pair."""
    if isinstance(optimizer, str):
        return BY_NAME[validation.one_of(optimizer, "optimizer", BY_NAME)]
    if isinstance(optimizer, tuple) and len(optimizer) == 2 and all(map(callable, optimizer)):
        return Optimizer(*optimizer)
    raise TypeError(
        f"optimizer must be one of {', '.join(sorted(BY_NAME))} or an (init, step) pair of "
        f"functions; got {optimizer!r}."
    )
