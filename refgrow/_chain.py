"""A network as a chain of matrices, moved and extended without being built anew.

What the chapter on TINY computes with: every layer's input, pre-activation and desired update, the
output when edits have a given size, and the derivative of the loss in that size.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from refgrow import activations, growth, networks
from refgrow.networks import MLP, Shallow
from refgrow.neurons import Ridge

EPS = float(np.finfo(float).eps)


class Activity(NamedTuple):
    """A network as a chain of matrices, and what it makes of some samples.

    Attributes
    ----------
    activation : activations.Activation
    inputs : list of (n, q)
        Of every layer, with the columns of ones.
    states : list of (n, p)
        Before the activation, the output last.
    goals : tuple of (n, p)
        The desired updates.
    matrices : list of (p, q)
    """

    activation: activations.Activation
    inputs: list[np.ndarray]
    states: list[np.ndarray]
    goals: tuple[np.ndarray, ...]
    matrices: list[np.ndarray]


def activity(network: Any, X: Any, Y: Any, loss: Any) -> Activity:
    """Forward and backward once, sample by sample.

    Parameters
    ----------
    network : MLP, or Shallow with ridge neurons
    X, Y, loss : as for `networks.check`

    Returns
    -------
    Activity

    Raises
    ------
    ValueError, TypeError
        For what does not fit, neurons without pre-activations, and where a derivative overflows.
    """
    X, Y, loss = networks.check(network, X, Y, loss)
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(network, MLP):
            activation, matrices = activations.get(network.activation), list(network.arrays)
            trace = network._forward(X, network.arrays)
            inputs, states = trace.inputs, trace.states
        elif isinstance(network.neuron, Ridge):
            activation = network.neuron.activation
            matrices = [network.theta, network.weights.reshape(len(network.theta), -1).T]
            inputs, states = [X], [X @ network.theta.T]
            inputs.append(activation.value(states[0]))
            states.append(inputs[1] @ matrices[1].T)
        else:
            raise ValueError(
                f"{network.neuron.name} neurons have no pre-activations. Use ridge neurons or an "
                "MLP."
            )
        goals = [-loss.slope(states[-1], Y)]
        for k in range(len(matrices) - 1, 0, -1):
            back = goals[0] @ matrices[k][:, : states[k - 1].shape[1]]
            goals.insert(0, back * activation.derivative(states[k - 1]))
    networks.refuse_overflow(goals, "the gradient of the loss")
    return Activity(activation, inputs, states, tuple(goals), matrices)


def first_order(given: Activity, edits: Sequence[growth.Edit]) -> float:
    """The derivative of the mean loss in the plan's size at 0+, kinks of the network included.

    Parameters
    ----------
    given : Activity
    edits : sequence of growth.Edit
        Moves and additions.

    Returns
    -------
    float
    """
    activation, inputs, states, goals, matrices = given
    right = activation.derivative(np.nextafter(0.0, 1.0) * np.ones(1))[0]

    def along(state: np.ndarray, change: np.ndarray) -> np.ndarray:
        at_kink = (state == 0) & (change > 0)
        return np.where(at_kink, right, activation.derivative(state)) * change

    below = np.zeros_like(states[0][:, :0])
    for k, W in enumerate(matrices):
        change = below @ W[:, : below.shape[1]].T
        for edit in edits:
            if isinstance(edit, growth.Move) and edit.layer == k:
                change += inputs[k] @ edit.direction.T
            if isinstance(edit, growth.Add) and edit.layer == k - 1:
                start = inputs[k - 1] @ edit.fan_in.T
                change += along(np.zeros_like(start), start) @ edit.fan_out.T
        below = along(states[k], change)
    return -float(np.vdot(goals[-1], change)) / len(change)


def slopes_at_zero(
    network: "MLP | Shallow", activation: activations.Activation
) -> tuple[float, float, float]:
    """The activation at zero, and its slopes to the left and to the right of it.

    Parameters
    ----------
    network : MLP or Shallow
    activation : activations.Activation

    Returns
    -------
    at_zero, left, right : float

    Raises
    ------
    ValueError
        Where neurons of size zero do nothing at first order, or something that stays.
    """

    def around_zero(given: activations.Activation) -> tuple[float, float, float]:
        left, right = given.derivative(np.array([0.0, np.nextafter(0.0, 1.0)]))
        return float(given.value(np.zeros(1))[0]), float(left), float(right)

    at_zero, left, right = around_zero(activation)
    if abs(left + right) <= EPS:
        every = activations._BY_NAME.values()
        steep = [a.name for a in every if abs(sum(around_zero(a)[1:])) > EPS]
        raise ValueError(
            f"new neurons start at zero, where {activation.name} is flat: to first order they do "
            f"nothing. Use one of {', '.join(steep)}, or add random neurons."
        )
    if at_zero and isinstance(network, Shallow):
        raise ValueError(
            f"new neurons of size zero have the value {activation.name}(0) = {at_zero:g}, which a "
            "Shallow network has no bias to take back. Use an MLP."
        )
    return at_zero, left, right


def outputs(
    given: Activity, moves: list[growth.Move], adds: list[growth.Add]
) -> Callable[[float, float], np.ndarray]:
    """The output with the moves and the neurons at given sizes; the first layer is not redone.

    Parameters
    ----------
    given : Activity
    moves, adds : list of growth.Move, list of growth.Add

    Returns
    -------
    callable
        The output (n, p) as a function of the moves' size and the neurons'.
    """
    activation, inputs, _, _, matrices = given
    first = {add.layer: inputs[0] @ add.fan_in.T for add in adds if add.layer == 0}

    def along(moved: float, size: float) -> np.ndarray:
        below, H = inputs[0], inputs[1]
        for k in range(1, len(matrices)):
            W = matrices[k] + moved * sum(m.direction for m in moves if m.layer == k)
            A = H @ W.T
            for add in adds:
                if add.layer == k - 1:
                    z = first[0] if k == 1 else below @ add.fan_in.T
                    A += activation.value(size * z) @ add.fan_out.T
                    A += 0.0 if add.bias is None else add.bias
            below, H = H, activation.value(A)
            if k + 1 < len(matrices):
                H = np.column_stack([H, np.ones(len(H))])
        return A

    return along
