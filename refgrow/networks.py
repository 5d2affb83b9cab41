"""Networks: `Shallow` and `MLP`, frozen records of arrays that are called like functions.

Both know three things and no more: the output at X; a forward pass that keeps what the backward
pass needs (`Trace`); and the backward pass, which returns the gradient of every array and the
sensitivities, the derivative of the loss with respect to every hidden neuron's output. The
sensitivities are the factor Phi' of S2D's splitting matrix.

`hessian_product` differentiates the backward pass once more, by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np

from refgrow import activations, losses, validation
from refgrow.neurons import Neuron

BLOCK = 512  # rows that many outputs are computed on at a time: what fits into a cache


@dataclass(frozen=True, eq=False)
class Trace:
    """What a forward pass leaves for the backward pass.

    Attributes
    ----------
    inputs : list of (n, d)
        The input of every layer, with its column of ones for an MLP.
    states : list of (n, m)
        MLP: the pre-activations of every layer, the last one being the output. Shallow: the
        neurons' outputs.
    output : (n, p)
    """

    inputs: list[np.ndarray]
    states: list[np.ndarray]
    output: np.ndarray


@dataclass(frozen=True, eq=False)
class Shallow:
    """f(x) = sum_j w_j sigma(theta_j, x): one hidden layer of any neuron family, a linear output.

    Parameters
    ----------
    theta : (m, d)
        One row a neuron; d is what the family needs (3 for the bump, d_in for ridge neurons).
    weights : (m,) or (m, p)
        Outgoing weights; (m,) means one output.
    neuron : neurons.Neuron
        ``neurons.bump``, ``neurons.ridge("tanh")``, ``neurons.particle(h)``, ...

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, are empty or not finite.

    Source: S2D section 2.1 and appendix B.1.
    """

    theta: np.ndarray
    weights: np.ndarray
    neuron: Neuron

    def __post_init__(self) -> None:
        theta = validation.as_array(
            self.theta,
            "theta",
            ("m", "d"),
            flat="Use theta[None] for one neuron, theta[:, None] for neurons of one parameter.",
        )
        one_output = np.ndim(self.weights) == 1
        weights = validation.as_array(
            self.weights,
            "weights",
            (len(theta),) if one_output else (len(theta), "p"),
            hint="One row of theta and one (row of) weights a neuron.",
        )
        if isinstance(self.neuron, type) or not callable(getattr(self.neuron, "hessian", None)):
            raise TypeError(
                "neuron must be a neuron family such as neurons.bump or neurons.ridge('tanh'); "
                f"got {self.neuron!r}."
            )
        object.__setattr__(self, "theta", validation.frozen(theta))
        object.__setattr__(self, "weights", validation.frozen(weights))

    def __reduce__(self) -> Any:
        return validation.by_constructor(self)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The parameters, (theta, weights)."""
        return self.theta, self.weights

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of neurons of every hidden layer."""
        return (len(self.theta),)

    def with_arrays(self, arrays: Sequence[np.ndarray]) -> Self:
        """The same network with other parameters."""
        return replace(self, theta=arrays[0], weights=arrays[1])

    def __call__(self, X: Any) -> np.ndarray:
        """The output at X (n, d_in): (n, p)."""
        return self.forward(X).output

    def forward(self, X: Any) -> Trace:
        """The output and what `backward` needs; X (n, d_in)."""
        return self._forward(self.check_inputs(X), self.arrays)

    def backward(self, trace: Trace, G: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Gradients of the arrays, and sensitivities (n, m), from G = d loss / d output (n, p)."""
        return self._backward(trace, _cotangent(G, trace), self.arrays)

    def check_inputs(self, X: Any) -> np.ndarray:
        """X as the formulas want it, or an error."""
        X = validation.as_array(X, "X", ("n", "d_in"))
        if self.theta.shape[1] != self.neuron.parameters(X.shape[1]):
            raise ValueError(
                f"{self.neuron.name} neurons on inputs with {X.shape[1]} columns need theta of "
                f"shape (m, {self.neuron.parameters(X.shape[1])}); got {self.theta.shape}."
            )
        return X

    # The unchecked passes take the arrays, so that training need not build a network a step.
    def _forward(self, X: np.ndarray, arrays: Sequence[np.ndarray]) -> Trace:
        theta, weights = arrays
        values = self.neuron.value(theta, X)
        return Trace([X], [values], values @ weights.reshape(len(theta), -1))

    def _backward(
        self, trace: Trace, G: np.ndarray, arrays: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        theta, weights = arrays
        sensitivity = G @ weights.reshape(len(theta), -1).T
        by_theta = self.neuron.gradient(theta, trace.inputs[0], sensitivity.T)
        by_weights = (trace.states[0].T @ G).reshape(weights.shape)
        return [by_theta, by_weights], [sensitivity]


@dataclass(frozen=True, eq=False)
class MLP:
    """A fully connected network: hidden layers that share an activation, a linear last layer.

    Parameters
    ----------
    weights : sequence of (out, in + 1)
        One matrix a layer, the bias as its last column; the rows of all but the last one are the
        hidden neurons' parameters theta.
    activation : str or activations.Activation

    Raises
    ------
    ValueError, TypeError
        For matrices that do not chain, are empty or not finite, or an unknown activation.

    Examples
    --------
    Random weights for layers of 2 inputs, 8 hidden neurons and 1 output::

        rng = np.random.default_rng(0)
        sizes = (2, 8, 1)
        weights = [rng.normal(size=(b, a + 1)) / a**0.5 for a, b in zip(sizes, sizes[1:])]
        network = MLP(weights, "tanh")

    Source: S2D section 2.2.
    """

    weights: Sequence[np.ndarray]
    activation: "str | activations.Activation" = "tanh"

    def __post_init__(self) -> None:
        if isinstance(self.weights, np.ndarray) or not isinstance(self.weights, Sequence):
            raise TypeError(
                "weights must be a list of matrices of shape (out, in + 1), one a layer; "
                f"got {type(self.weights).__name__}."
            )
        if not self.weights:
            raise ValueError("weights must hold at least one matrix; got an empty list.")
        checked = [
            validation.as_array(
                W, name := f"weights[{k}]", ("out", "in + 1"), flat=f"Use {name}[None] for one row."
            )
            for k, W in enumerate(self.weights)
        ]
        if checked[0].shape[1] < 2:
            raise ValueError(
                "weights[0] must have at least two columns, one input and the bias; "
                f"got shape {checked[0].shape}."
            )
        for k in range(1, len(checked)):
            if checked[k].shape[1] != checked[k - 1].shape[0] + 1:
                raise ValueError(
                    f"weights[{k}] must have {checked[k - 1].shape[0]} + 1 columns, one for each "
                    f"row of weights[{k - 1}] and the bias; got shape {checked[k].shape}."
                )
        object.__setattr__(self, "weights", tuple(validation.frozen(W) for W in checked))
        object.__setattr__(self, "activation", activations.get(self.activation))

    def __reduce__(self) -> Any:
        return validation.by_constructor(self)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The parameters, the weight matrices."""
        return tuple(self.weights)

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of neurons of every hidden layer."""
        return tuple(len(W) for W in self.weights[:-1])

    def with_arrays(self, arrays: Sequence[np.ndarray]) -> Self:
        """The same network with other parameters."""
        return replace(self, weights=list(arrays))

    def __call__(self, X: Any) -> np.ndarray:
        """The output at X (n, d_in): (n, p)."""
        return self.forward(X).output

    def forward(self, X: Any) -> Trace:
        """The output and what `backward` needs; X (n, d_in)."""
        return self._forward(self.check_inputs(X), self.arrays)

    def backward(self, trace: Trace, G: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Gradients of the matrices, and per hidden layer the sensitivities (n, m), from
        G = d loss / d output (n, p)."""
        return self._backward(trace, _cotangent(G, trace), self.arrays)

    def check_inputs(self, X: Any) -> np.ndarray:
        """X as the formulas want it, or an error."""
        columns = self.weights[0].shape[1] - 1
        return validation.as_array(
            X,
            "X",
            ("n", columns),
            hint="The bias is inside the network: X has no column of ones.",
            flat=f"Use X[{':, None' if columns == 1 else 'None'}] for one "
            f"{'feature' if columns == 1 else 'sample'}.",
        )

    def _forward(self, X: np.ndarray, arrays: Sequence[np.ndarray]) -> Trace:
        value = activations.get(self.activation).value
        inputs, states = [], []
        H = X
        for k, W in enumerate(arrays):
            inputs.append(np.column_stack([H, np.ones(len(H))]))
            states.append(inputs[-1] @ W.T)
            if k < len(arrays) - 1:
                H = value(states[-1])
        return Trace(inputs, states, states[-1])

    def _backward(
        self, trace: Trace, G: np.ndarray, arrays: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        derivative = activations.get(self.activation).derivative
        gradients = [G.T @ trace.inputs[-1]]
        sensitivities: list[np.ndarray] = []
        for k in range(len(arrays) - 1, 0, -1):
            sensitivities.insert(0, G @ arrays[k][:, :-1])
            G = sensitivities[0] * derivative(trace.states[k - 1])
            gradients.insert(0, G.T @ trace.inputs[k - 1])
        return gradients, sensitivities


Network = TypeVar("Network", bound=Shallow | MLP)


def check(network: Any, X: Any, Y: Any, loss: Any) -> tuple[np.ndarray, np.ndarray, losses.Loss]:
    """X, Y and the loss as the formulas want them, or an error that says what does not fit.

    Parameters
    ----------
    network : Shallow or MLP
    X : (n, d_in)
    Y : (n, p), or labels (n,) for a class loss
    loss : str or losses.Loss

    Returns
    -------
    X, Y : arrays
    loss : losses.Loss

    Raises
    ------
    ValueError, TypeError
        For a network that is none, an unknown loss, and data that fit neither.
    """
    outputs = _checked_outputs(network)
    loss = losses.get(loss)
    X = network.check_inputs(X)
    return X, loss.check(Y, len(X), outputs), loss


def loss_and_gradient(
    network: "Shallow | MLP", X: Any, Y: Any, loss: "str | losses.Loss"
) -> tuple[float, list[np.ndarray]]:
    """The mean loss and its gradient with respect to every array of the network.

    Parameters
    ----------
    network, X, Y, loss : as for `check`

    Returns
    -------
    value : float
    gradient : list of arrays of the network's shapes

    Raises
    ------
    ValueError, TypeError
        As `backpropagate` does.
    """
    X, Y, loss = check(network, X, Y, loss)
    trace, gradient, _ = backpropagate(network, X, Y, loss)
    with np.errstate(over="ignore", invalid="ignore"):
        value = loss.samples(trace.output, Y).mean()
    refuse_overflow([value], "the loss")
    return float(value), gradient


def backpropagate(
    network: "Shallow | MLP", X: Any, Y: Any, loss: "str | losses.Loss"
) -> tuple[Trace, list[np.ndarray], list[np.ndarray]]:
    """The forward and the backward pass of the mean loss: all that a decision to grow looks at.

    Parameters
    ----------
    network, X, Y, loss : as for `check`

    Returns
    -------
    trace : Trace
    gradient : list of arrays of the network's shapes
    sensitivities : list of (n, m)
        One a hidden layer: the derivative of the mean loss with respect to the neurons' outputs.

    Raises
    ------
    ValueError, TypeError
        For what does not fit, and where a derivative overflows.
    """
    X, Y, loss = check(network, X, Y, loss)
    with np.errstate(over="ignore", invalid="ignore"):
        trace = network._forward(X, network.arrays)
        G = loss.slope(trace.output, Y) / len(X)
        gradient, sensitivities = network._backward(trace, G, network.arrays)
    refuse_overflow([*gradient, *sensitivities], "the gradient of the loss")
    return trace, gradient, sensitivities


def refuse_overflow(arrays: Sequence[np.ndarray], name: str) -> None:
    """An error that names the network and the data, where what was computed from them overflowed.

    Parameters
    ----------
    arrays : sequence of arrays
    name : str
        What they are, for the error.

    Raises
    ------
    ValueError
    """
    if not all(np.isfinite(a).all() for a in arrays):
        raise ValueError(
            f"{name} overflows at this network and these data. "
            "Rescale X, Y or the network's weights."
        )


def accuracy(network: "Shallow | MLP", X: Any, labels: Any) -> float:
    """The share of samples whose largest output is that of their label.

    With a single output, as for the logistic loss, label 1 means a positive one.

    Parameters
    ----------
    network : Shallow or MLP
    X : (n, d_in)
    labels : (n,) of int

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For data that do not fit the network, and labels out of range.
    """
    classes = max(_checked_outputs(network), 2)
    X = network.check_inputs(X)
    labels = validation.as_labels(labels, "labels", classes, len(X))
    right = 0
    for rows in (slice(k, k + BLOCK) for k in range(0, len(X), BLOCK)):
        output = network._forward(X[rows], network.arrays).output
        chosen = output.argmax(axis=1) if output.shape[1] > 1 else output[:, 0] > 0
        right += int(np.count_nonzero(chosen == labels[rows]))
    return right / len(X)


def require_second_derivative(network: "Shallow | MLP", needed_by: str) -> None:
    """Nothing, or an error where the network's activation has no second derivative.

    Parameters
    ----------
    network : Shallow or MLP
    needed_by : str
        What needs it, for the error.

    Raises
    ------
    ValueError
    """
    holder = network if isinstance(network, MLP) else network.neuron
    activation = getattr(holder, "activation", None)
    if activation is not None:
        activations.second_derivative(activations.get(activation), needed_by)


def hessian_product(
    network: "Shallow | MLP",
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    direction: Sequence[np.ndarray],
) -> list[np.ndarray]:
    """The Hessian of the mean loss times a direction, without forming the Hessian.

    The forward and the backward pass are differentiated along the direction, line by line; the
    cost is that of two gradients.

    Parameters
    ----------
    network : Shallow or MLP
    X : (n, d_in)
    Y : (n, p), or labels (n,)
    loss : str or losses.Loss
    direction : sequence of arrays
        Of the shapes of ``network.arrays``.

    Returns
    -------
    list of arrays of the same shapes.

    Raises
    ------
    ValueError, TypeError
        Where the activation has no second derivative, and for arguments that do not fit.

    Source: S2D Def 2.1, where this Hessian is S + T; the method is Pearlmutter's (1994).
    """
    X, Y, loss = check(network, X, Y, loss)
    require_second_derivative(network, "a Hessian")
    direction = list(direction)
    if len(direction) != len(network.arrays):
        raise ValueError(
            f"direction must hold {len(network.arrays)} arrays, one for each of the network's; "
            f"got {len(direction)}."
        )
    V = [
        validation.as_array(v, f"direction[{k}]", a.shape)
        for k, (v, a) in enumerate(zip(direction, network.arrays, strict=True))
    ]
    trace = network._forward(X, network.arrays)
    G = loss.slope(trace.output, Y) / len(X)
    bend = loss.bend(trace.output, Y) / len(X)
    if isinstance(network, Shallow):
        return _shallow_along(network, trace, G, bend, V)
    return _mlp_along(network, trace, G, bend, V)


def _shallow_along(
    network: Shallow, trace: Trace, G: np.ndarray, bend: np.ndarray, V: list[np.ndarray]
) -> list[np.ndarray]:
    theta, X, values = network.theta, trace.inputs[0], trace.states[0]
    w, dw = (a.reshape(len(theta), -1) for a in (network.weights, V[1]))
    d_values = np.einsum("nmd,md->nm", network.neuron.jacobian(theta, X), V[0])
    dG = np.einsum("npq,nq->np", bend, d_values @ w + values @ dw)
    H = network.neuron.hessian(theta, X, (G @ w.T).T)
    by_theta = network.neuron.gradient(theta, X, (dG @ w.T + G @ dw.T).T)
    by_theta += np.einsum("mde,me->md", H, V[0])
    return [by_theta, (values.T @ dG + d_values.T @ G).reshape(network.weights.shape)]


def _mlp_along(
    network: MLP, trace: Trace, G: np.ndarray, bend: np.ndarray, V: list[np.ndarray]
) -> list[np.ndarray]:
    activation = activations.get(network.activation)
    second = activations.second_derivative(activation, "a Hessian")
    W, depth = network.arrays, len(V)
    d_inputs = [np.zeros_like(trace.inputs[0])]
    d_states = []
    for k in range(depth):
        d_states.append(trace.inputs[k] @ V[k].T + d_inputs[k] @ W[k].T)
        if k < depth - 1:
            dH = activation.derivative(trace.states[k]) * d_states[k]
            d_inputs.append(np.column_stack([dH, np.zeros(len(dH))]))
    dG = np.einsum("npq,nq->np", bend, d_states[-1])
    products = [dG.T @ trace.inputs[-1] + G.T @ d_inputs[-1]]
    for k in range(depth - 1, 0, -1):
        S, dS = G @ W[k][:, :-1], dG @ W[k][:, :-1] + G @ V[k][:, :-1]
        slope = activation.derivative(trace.states[k - 1])
        G, dG = S * slope, dS * slope + S * second(trace.states[k - 1]) * d_states[k - 1]
        products.insert(0, dG.T @ trace.inputs[k - 1] + G.T @ d_inputs[k - 1])
    return products


def _cotangent(G: Any, trace: Trace) -> np.ndarray:
    return validation.as_array(G, "G", trace.output.shape)


def _checked_outputs(network: Any) -> int:
    """How many outputs a network has, or an error for what is none."""
    if isinstance(network, MLP):
        return len(network.weights[-1])
    if isinstance(network, Shallow):
        return _outputs(network.weights)
    raise TypeError(
        f"network must be a networks.Shallow or networks.MLP; got {type(network).__name__}."
    )


def _outputs(weights: np.ndarray) -> int:
    return 1 if weights.ndim == 1 else weights.shape[1]
