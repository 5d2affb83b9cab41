"""The only module that changes a network's shape.

A chapter decides a `Plan`, a tuple of `Split`, `Add`, `Prune` and `Move` edits with the change of
the loss they predict; `apply` carries it out. Layers, neurons, displacements and fan-ins are named
in the network as it was before the plan, so the order of the edits does not matter:

- moves before all: the weights of the old network move, and the rest is done to the network that
  has moved, whose neurons keep their names. The copies of a neuron start where it moved to; a
  weight that reads a split neuron moves, and is shared among the copies by their fractions; new
  neurons do not move;
- rows first: copies are displaced and new neurons appended, in the old coordinates of their inputs;
- columns second: whoever reads a split neuron reads its copies, each with its fraction of the old
  weight. A displacement of a neuron in the next layer, or a new neuron's fan-in, follows its input
  through the split in the same way.

That is the augmented network of S2D eq 6: the copies of one neuron are summed with their fractions
before anyone reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from refgrow import validation
from refgrow.networks import MLP, Network, Shallow

# Fractions are divided by hand (1/3, ...): their sum may be off by rounding, not by more.
FRACTION_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Split:
    """Replace a neuron by displaced copies.

    Attributes
    ----------
    layer, neuron : int
        Hidden layer and row, counted from zero; a Shallow network has layer 0 only.
    fractions : (k,)
        Sum to one, signed or not. They multiply the outgoing weights only; copies of fraction zero
        are dropped.
    directions : (k, d)
        Copy i moves by size * directions[i].

    Raises
    ------
    ValueError, TypeError
        For fractions that do not sum to one, and arrays that do not fit each other.

    Source: S2D eq 2, S3D eq 1.
    """

    layer: int
    neuron: int
    fractions: np.ndarray
    directions: np.ndarray

    def __post_init__(self) -> None:
        _index(self, "layer")
        _index(self, "neuron")
        fractions = validation.as_array(self.fractions, "fractions", ("k",))
        if abs(fractions.sum() - 1) > FRACTION_TOLERANCE * max(1, np.abs(fractions).sum()):
            raise ValueError(
                f"fractions must sum to 1, or the split would change the function; "
                f"got a sum of {fractions.sum():.12g}."
            )
        directions = validation.as_array(
            self.directions, "directions", (len(fractions), "d"), hint="One row a copy."
        )
        object.__setattr__(self, "fractions", validation.frozen(fractions))
        object.__setattr__(self, "directions", validation.frozen(directions))

    def __reduce__(self) -> Any:
        return validation.by_constructor(self)


@dataclass(frozen=True, eq=False)
class Add:
    """Add neurons to a layer.

    Attributes
    ----------
    layer : int
    fan_in : (k, d)
        Their parameters theta; the plan's size multiplies these only.
    fan_out : (p, k)
        Their outgoing weights: p rows of the next layer, or outputs of a Shallow network.
    keep : float
        The old neurons' outgoing weights (not the bias) are multiplied by it: 1 adds to the
        function, 1 - g with fan-outs of g is the Frank-Wolfe step.
    bias : (p,), optional
        Added to the biases of the layer that reads the new neurons, whatever the plan's size. With
        -sigma(0) times the row sums of `fan_out`, neurons of size zero leave the function as it
        was. For an MLP only: the output of a Shallow network has no bias.

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other.

    Source: S2D, baselines of Fig 1 d and appendix B.5; TINY section 3.2, whose activations are zero
    at zero (TINY-Ass) and need no bias.
    """

    layer: int
    fan_in: np.ndarray
    fan_out: np.ndarray
    keep: float = 1.0
    bias: np.ndarray | None = None

    def __post_init__(self) -> None:
        _index(self, "layer")
        fan_in = validation.as_array(
            self.fan_in, "fan_in", ("k", "d"), flat="Use fan_in[None] for one new neuron."
        )
        fan_out = validation.as_array(
            self.fan_out, "fan_out", ("p", len(fan_in)), hint="One column a new neuron."
        )
        object.__setattr__(self, "fan_in", validation.frozen(fan_in))
        object.__setattr__(self, "fan_out", validation.frozen(fan_out))
        object.__setattr__(self, "keep", validation.as_scalar(self.keep, "keep"))
        if self.bias is not None:
            bias = validation.as_array(
                self.bias, "bias", (len(fan_out),), hint="One entry for each row of fan_out."
            )
            object.__setattr__(self, "bias", validation.frozen(bias))

    def __reduce__(self) -> Any:
        return validation.by_constructor(self)


@dataclass(frozen=True)
class Prune:
    """Remove neurons from a layer, at least one of which must stay.

    Attributes
    ----------
    layer : int
    neurons : tuple of int

    Raises
    ------
    ValueError, TypeError
        For what is not a tuple of neurons.

    Source: SplitLBI, which keeps the support of Gamma (LBI-Fig-4).
    """

    layer: int
    neurons: tuple[int, ...]

    def __post_init__(self) -> None:
        _index(self, "layer")
        if np.ndim(self.neurons) != 1:
            raise TypeError(f"neurons must be a tuple of integers; got {self.neurons!r}.")
        neurons = tuple(
            validation.as_integer(i, f"neurons[{k}]", at_least=0)
            for k, i in enumerate(self.neurons)
        )
        object.__setattr__(self, "neurons", neurons)


@dataclass(frozen=True, eq=False)
class Move:
    """Move the weights of a layer, whose shape stays.

    Attributes
    ----------
    layer : int
        Counted from zero, the output layer included: the matrix ``weights[layer]`` of an MLP. A
        Shallow network has layer 0, theta, and layer 1, its outgoing weights as a matrix (p, m).
    direction : (out, in)
        Of the shape of that matrix, which moves by size * direction. Several moves of one layer add
        up.

    Raises
    ------
    ValueError, TypeError
        For what is not a matrix of numbers.

    Source: TINY Prop 3.1 (TINY-Prop-3.1), the best update of a layer, and eq 6 (TINY-Eq-6).
    """

    layer: int
    direction: np.ndarray

    def __post_init__(self) -> None:
        _index(self, "layer")
        direction = validation.as_array(
            self.direction, "direction", ("out", "in"), flat="Use direction[None] for one row."
        )
        object.__setattr__(self, "direction", validation.frozen(direction))

    def __reduce__(self) -> Any:
        return validation.by_constructor(self)


Edit = Split | Add | Prune | Move


@dataclass(frozen=True, eq=False)
class Plan:
    """Edits and what they promise: the mean loss changes by coefficient * size**order, up to
    O(size**remainder).

    Attributes
    ----------
    edits : tuple of Split, Add, Prune, Move
        Empty when the criterion is not met.
    size : float
        The size `apply` uses unless told otherwise.
    coefficient, order, remainder
        The prediction. A split has order 2 and remainder 3, or 4 when it is symmetric with zero
        mean; an added neuron and a move order 1 and remainder 2. Order 0: the edits are not
        infinitesimal, and the coefficient is the change at the plan's own size.
    message : str
        What was decided, for a person.

    Raises
    ------
    ValueError, TypeError
        For edits that are none, and a remainder not above the order.

    Source: S2D Thms 2.2 and 2.4 predict at order 2, TINY Prop 3.2 at order 1.
    """

    edits: tuple[Edit, ...]
    size: float
    coefficient: float
    order: int
    remainder: int
    message: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.edits, Sequence):
            raise TypeError(
                "edits must be a tuple of Split, Add, Prune and Move; "
                f"got {type(self.edits).__name__}."
            )
        for edit in self.edits:
            if not isinstance(edit, Edit):
                raise TypeError(
                    f"edits must be Split, Add, Prune or Move; got {type(edit).__name__}."
                )
        object.__setattr__(self, "edits", tuple(self.edits))
        object.__setattr__(self, "size", validation.as_scalar(self.size, "size"))
        coefficient = validation.as_scalar(self.coefficient, "coefficient")
        object.__setattr__(self, "coefficient", coefficient)
        order = validation.as_integer(self.order, "order", at_least=0)
        validation.as_integer(self.remainder, "remainder", at_least=order + 1)

    def predicted(self, size: float | None = None) -> float:
        """The predicted change of the mean loss at this size (the plan's own by default)."""
        size = validation.as_scalar(self.size if size is None else size, "size")
        if self.order == 0 and size != self.size:
            raise ValueError(
                f"this plan predicts the change at its own size {self.size:g} only; got {size:g}. "
                "Its edits are not infinitesimal."
            )
        return self.coefficient * size**self.order


def apply(network: Network, plan: Plan, size: float | None = None) -> Network:
    """The network after the plan; the one given stays as it was.

    The first copy of a split neuron takes its place, the others follow the layer's last neuron, so
    the indices of neurons that are not pruned remain what they were.

    Parameters
    ----------
    network : Shallow or MLP
    plan : Plan
    size : float, optional
        Overrides the plan's size; at size zero a split leaves the function unchanged.

    Returns
    -------
    Shallow or MLP
        Of the kind given.

    Raises
    ------
    ValueError
        For layers or neurons that do not exist, shapes that do not fit, two splits of one neuron,
        a neuron both split and pruned, a layer pruned empty, and a bias for a Shallow network.

    Source: S2D eqs 2 and 6, Algorithm 1 step 4; TINY section 3.2.
    """
    if not isinstance(plan, Plan):
        raise TypeError(f"plan must be a growth.Plan; got {type(plan).__name__}.")
    size = validation.as_scalar(plan.size if size is None else size, "size")
    if isinstance(network, Shallow):
        # The outgoing weights, as the next layer's matrix without a bias.
        readout = network.weights.reshape(len(network.theta), -1).T
        theta, readout = _apply([network.theta, readout], plan.edits, size, biases=False)
        weights = readout[0] if network.weights.ndim == 1 else readout.T
        return network.with_arrays([theta, weights])
    if isinstance(network, MLP):
        return network.with_arrays(_apply(list(network.arrays), plan.edits, size, biases=True))
    raise TypeError(
        f"network must be a networks.Shallow or networks.MLP; got {type(network).__name__}."
    )


@dataclass(frozen=True, eq=False)
class _Member:
    """A neuron of the grown layer, told in the coordinates of the old network.

    It starts from the row `source` (None: a new neuron, from zero), moves by `shift`, and is read
    either through `share` times the source's outgoing weights or through its own `fan_out`.
    """

    source: int | None
    shift: np.ndarray
    share: float = 1.0
    fan_out: np.ndarray | None = None


def _apply(
    matrices: list[np.ndarray], edits: Sequence[Edit], size: float, *, biases: bool
) -> list[np.ndarray]:
    """Grow a chain of matrices of which all but the last hold hidden neurons."""
    _check_edits(matrices, edits, biases)
    matrices = _moved(matrices, edits, size)
    layers = [_members(k, matrices, edits, size) for k in range(len(matrices) - 1)]
    outputs, inputs = matrices[-1].shape
    layers.append([_Member(row, np.zeros(inputs)) for row in range(outputs)])
    grown = []
    for k, (W, members) in enumerate(zip(matrices, layers, strict=True)):
        rows = np.array([m.shift + (0.0 if m.source is None else W[m.source]) for m in members])
        if k > 0:
            columns = [_column(read, members, rows) for read in layers[k - 1]]
            added = [e for e in edits if isinstance(e, Add) and e.layer == k - 1]
            rows = np.column_stack(columns + ([_biases(rows, members, added)] if biases else []))
        grown.append(rows)
    return grown


def _moved(matrices: list[np.ndarray], edits: Sequence[Edit], size: float) -> list[np.ndarray]:
    moved = list(matrices)
    for edit in edits:
        if isinstance(edit, Move):
            moved[edit.layer] = moved[edit.layer] + size * edit.direction
    return moved


def _biases(rows: np.ndarray, members: list[_Member], added: Sequence[Add]) -> np.ndarray:
    """The grown layer's biases; its new neurons do not read the new ones below."""
    column = rows[:, -1]
    for edit in added:
        if edit.bias is not None:
            bias = edit.bias
            column = column + np.array([0.0 if m.source is None else bias[m.source]
                                        for m in members])  # fmt: skip
    return column


def _members(
    layer: int, matrices: list[np.ndarray], edits: Sequence[Edit], size: float
) -> list[_Member]:
    """The neurons of one grown layer: old ones in their places, then copies, then new ones."""
    here = [edit for edit in edits if edit.layer == layer]
    still = np.zeros(matrices[layer].shape[1])
    keep = float(np.prod([edit.keep for edit in here if isinstance(edit, Add)]))
    places = {j: _Member(j, still, keep) for j in range(len(matrices[layer]))}
    appended = []
    for edit in here:
        if isinstance(edit, Split):
            copies = [
                _Member(edit.neuron, size * direction, keep * fraction)
                for fraction, direction in zip(edit.fractions, edit.directions, strict=True)
                if fraction != 0
            ]
            places[edit.neuron] = copies[0]
            appended += copies[1:]
    for edit in here:
        if isinstance(edit, Add):
            appended += [
                _Member(None, size * fan_in, fan_out=fan_out)
                for fan_in, fan_out in zip(edit.fan_in, edit.fan_out.T, strict=True)
            ]
        elif isinstance(edit, Prune):
            for j in edit.neurons:
                del places[j]
    return [*places.values(), *appended]


def _column(read: _Member, members: list[_Member], rows: np.ndarray) -> np.ndarray:
    """The weights with which the grown layer's rows read one neuron of the layer below."""
    if read.source is not None:
        return read.share * rows[:, read.source]
    fan_out = cast(np.ndarray, read.fan_out)
    # New neurons of neighbouring layers do not read each other.
    return np.array([0.0 if m.source is None else fan_out[m.source] for m in members])


def _check_edits(matrices: list[np.ndarray], edits: Sequence[Edit], biases: bool) -> None:
    touched: set[tuple[int, int]] = set()
    for edit in edits:
        if isinstance(edit, Move):
            if edit.layer >= len(matrices):
                raise ValueError(
                    f"layer must be below {len(matrices)}, the number of the network's matrices; "
                    f"got {edit.layer}."
                )
            _check_shape("direction", edit.direction, matrices[edit.layer].shape)
            continue
        if edit.layer >= len(matrices) - 1:
            raise ValueError(
                f"layer must be below {len(matrices) - 1}, the number of hidden layers of the "
                f"network; got {edit.layer}."
            )
        W = matrices[edit.layer]
        if isinstance(edit, Add):
            _check_shape("fan_in", edit.fan_in, ("k", W.shape[1]))
            _check_shape("fan_out", edit.fan_out, (len(matrices[edit.layer + 1]), "k"))
            if edit.bias is not None and not biases:
                raise ValueError(
                    "bias must be None for a Shallow network, whose output has none to add to."
                )
            continue
        if isinstance(edit, Split):
            _check_shape("directions", edit.directions, ("k", W.shape[1]))
        for j in (edit.neuron,) if isinstance(edit, Split) else edit.neurons:
            if j >= len(W):
                raise ValueError(
                    f"neuron must be below {len(W)}, the width of layer {edit.layer}; got {j}."
                )
            if (edit.layer, j) in touched:
                raise ValueError(
                    f"neuron {j} of layer {edit.layer} is named twice; a plan may split or prune "
                    "it once."
                )
            touched.add((edit.layer, j))
    for layer in range(len(matrices) - 1):
        pruned = sum(len(e.neurons) for e in edits if isinstance(e, Prune) and e.layer == layer)
        if pruned == len(matrices[layer]):
            raise ValueError(f"at least one neuron of layer {layer} must stay; all are pruned.")


def _check_shape(name: str, array: np.ndarray, shape: tuple[Any, Any]) -> None:
    if any(isinstance(s, int) and a != s for a, s in zip(array.shape, shape, strict=True)):
        raise ValueError(
            f"{name} must have shape ({shape[0]}, {shape[1]}) to fit the network; "
            f"got {array.shape}."
        )


def _index(edit: Edit, name: str) -> None:
    value = validation.as_integer(getattr(edit, name), name, at_least=0)
    object.__setattr__(edit, name, value)
