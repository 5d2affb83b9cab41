"""Optimizers as (init, step) pairs; the state owns the parameters.

    state = init(parameters)
    state = step(state, gradient, learning_rate)

`parameters` and `gradient` are flat vectors (N,). A step changes the state's arrays in place and
returns the state with its counter advanced, so a loop over steps allocates nothing of size N but
temporaries. Hyperparameters other than the learning rate are bound with `functools.partial`.

The formulas are those of the compiled loop in `toy_training`; a test holds the two together.
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
    """An (init, step) pair.

    Attributes
    ----------
    init : callable
        ``init(parameters) -> State``
    step : callable
        ``step(state, gradient, learning_rate) -> State``
    """

    init: Callable[[Any], State]
    step: Callable[..., State]


def init(parameters: Any) -> State:
    """A state that owns a copy of the parameters (N,), with zero moments.

    Parameters
    ----------
    parameters : (N,)

    Returns
    -------
    State

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.
    """
    x = validation.as_array(parameters, "parameters", ("N",)).copy()
    return State(x, np.zeros_like(x), np.zeros_like(x))


def gd_step(state: State, gradient: Any, learning_rate: float) -> State:
    """x <- x - rate * g.

    Parameters
    ----------
    state : State
        Its arrays change in place.
    gradient : (N,)
    learning_rate : float
        > 0.

    Returns
    -------
    State
        With the same arrays, the counter advanced.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.
    """
    g, rate = _checked(state, gradient, learning_rate)
    state.parameters[:] -= rate * g
    return replace(state, count=state.count + 1)


def momentum_step(state: State, gradient: Any, learning_rate: float, beta: float = 0.9) -> State:
    """v <- beta v + g, x <- x - rate * v.

    Parameters, Returns and Raises as for `gd_step`; 0 <= beta < 1.
    """
    g, rate = _checked(state, gradient, learning_rate)
    beta = validation.as_scalar(beta, "beta", at_least=0, below=1)
    state.first[:] *= beta
    state.first[:] += g
    state.parameters[:] -= rate * state.first
    return replace(state, count=state.count + 1)


def adam_step(
    state: State,
    gradient: Any,
    learning_rate: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> State:
    """Adam with bias correction; epsilon is added to the square root.

    Parameters, Returns and Raises as for `gd_step`; 0 <= beta1, beta2 < 1, epsilon > 0.
    """
    g, rate = _checked(state, gradient, learning_rate)
    beta1 = validation.as_scalar(beta1, "beta1", at_least=0, below=1)
    beta2 = validation.as_scalar(beta2, "beta2", at_least=0, below=1)
    epsilon = validation.as_scalar(epsilon, "epsilon", above=0)
    count = state.count + 1
    state.first[:] = beta1 * state.first + (1 - beta1) * g
    state.second[:] = beta2 * state.second + (1 - beta2) * g**2
    direction = state.first / (1 - beta1**count)
    scale = np.sqrt(state.second / (1 - beta2**count)) + epsilon
    state.parameters[:] -= rate * direction / scale
    return replace(state, count=count)


def adagrad_step(
    state: State, gradient: Any, learning_rate: float, epsilon: float = 1e-10
) -> State:
    """s <- s + g^2, x <- x - rate * g / (sqrt(s) + epsilon).

    Parameters, Returns and Raises as for `gd_step`; epsilon > 0.
    """
    g, rate = _checked(state, gradient, learning_rate)
    epsilon = validation.as_scalar(epsilon, "epsilon", above=0)
    state.second[:] += g**2
    state.parameters[:] -= rate * g / (np.sqrt(state.second) + epsilon)
    return replace(state, count=state.count + 1)


def _checked(state: State, gradient: Any, learning_rate: float) -> tuple[np.ndarray, float]:
    g = validation.as_array(gradient, "gradient", state.parameters.shape)
    return g, validation.as_scalar(learning_rate, "learning_rate", above=0)


gd = Optimizer(init, gd_step)
momentum = Optimizer(init, momentum_step)
adam = Optimizer(init, adam_step)
adagrad = Optimizer(init, adagrad_step)

BY_NAME = {"gd": gd, "momentum": momentum, "adam": adam, "adagrad": adagrad}


def get(optimizer: Any) -> Optimizer:
    """An optimizer from its name, itself, or any (init, step) pair.

    Parameters
    ----------
    optimizer : str, Optimizer or pair of callables

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError, TypeError
        For an unknown name (the nearest is suggested), and for anything else.
    """
    if isinstance(optimizer, str):
        return BY_NAME[validation.one_of(optimizer, "optimizer", BY_NAME)]
    if isinstance(optimizer, tuple) and len(optimizer) == 2 and all(map(callable, optimizer)):
        return Optimizer(*optimizer)
    raise TypeError(
        f"optimizer must be one of {', '.join(sorted(BY_NAME))} or an (init, step) pair of "
        f"functions; got {optimizer!r}."
    )
