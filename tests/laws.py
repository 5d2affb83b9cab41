"""Laws that every way of growing obeys; `test_laws.py` plugs the chapters in.

Each law takes a `decide` function, called as `decide(network, X, Y, loss)`, and a problem, and
raises AssertionError where it is broken. Each returns the plan it looked at. SplitLBI decides by
what its training has found; its laws take a `support` function, called as `support(state)`.
"""

import numpy as np

from refgrow import growth, losses, splitlbi
from refgrow.numerics import taylor_slope

ROUNDING = 1e-12  # Relative to the output: a few roundings a layer.
ORDER = 0.1  # What DESIGN.md allows a fitted order to be off by.
HALVINGS = 4  # The fewest clean ones.
STEP = 1e-4  # Of one-sided differences: off by its square, some 1e-8, and rounding over it, 1e-12.
DIFFERENCES = 1e-6  # What they may be off by, relative.


def decided(decide, network, X, Y, loss):
    """The plan, which must edit something: a law about nothing holds of everything."""
    plan = decide(network, X, Y, loss)
    assert isinstance(plan, growth.Plan)
    assert plan.edits, f"nothing to look at: {plan.message}"
    return plan


def unchanged_at_size(size, decide, network, X, Y, loss):
    plan = decided(decide, network, X, Y, loss)
    before, after = network(X), growth.apply(network, plan, size)(X)
    np.testing.assert_allclose(after, before, rtol=0, atol=ROUNDING * (1 + np.abs(before).max()))
    return plan


def unchanged_at_size_zero(decide, network, X, Y, loss):
    return unchanged_at_size(0.0, decide, network, X, Y, loss)


def remainder_slope(plan, network, X, Y, loss, largest=1.0):
    """The order at which actual minus predicted change of the loss vanishes."""
    value = losses.get(loss).value
    before = value(network(X), Y)

    def remainder(size):
        return value(growth.apply(network, plan, size)(X), Y) - before - plan.predicted(size)

    return taylor_slope(remainder, scale=max(1.0, before), largest=largest)


def predicts_at_its_order(decide, network, X, Y, loss, largest=1.0):
    """The loss changes by coefficient * size**order, up to the promised remainder and no better."""
    plan = decided(decide, network, X, Y, loss)
    assert plan.coefficient < 0, "a plan should promise to lower the loss"
    slope = remainder_slope(plan, network, X, Y, loss, largest)
    assert slope.halvings >= HALVINGS
    assert abs(slope.order - plan.remainder) <= ORDER
    return plan


def lowers_the_loss(decide, network, X, Y, loss, size=0.01):
    plan = decided(decide, network, X, Y, loss)
    value = losses.get(loss).value
    assert value(growth.apply(network, plan, size)(X), Y) < value(network(X), Y)
    return plan


def beats(competitors, decide, network, X, Y, loss):
    """No competitor promises more; `competitors` are plans that edit at most as many neurons."""
    plan = decided(decide, network, X, Y, loss)
    for other in competitors:
        assert other.order == plan.order
        assert plan.coefficient <= other.coefficient + ROUNDING * (1 + abs(other.coefficient))
    return plan


def edits_nothing(decide, network, X, Y, loss):
    """Where the criterion is unmet: a plan without edits that says so, and changes nothing."""
    plan = decide(network, X, Y, loss)
    assert plan.edits == () and plan.message
    assert plan.predicted(0.3) == 0
    np.testing.assert_array_equal(growth.apply(network, plan)(X), network(X))
    return plan


def leaves_its_input_alone(decide, network, X, Y, loss):
    before = [np.array(a) for a in (*network.arrays, X, Y)]
    decide(network, X, Y, loss)
    for array, copy in zip((*network.arrays, X, Y), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def does_not_depend_on_the_layout(decide, network, X, Y, loss):
    """Read-only, Fortran-ordered and float32 input gives the plan that plain input gives."""
    plan = decided(decide, network, X, Y, loss)
    X32 = np.asarray(X, dtype=np.float32)
    pairs = [(np.asfortranarray(X), Y), (np.repeat(X, 2, axis=0)[::2], Y)]
    same = [decide(network, *pair, loss) for pair in pairs]
    X32.flags.writeable = False
    exact = decide(network, X32.astype(float), Y, loss)
    for other, reference in [*((p, plan) for p in same), (decide(network, X32, Y, loss), exact)]:
        assert other.coefficient == reference.coefficient
        assert len(other.edits) == len(reference.edits)


# New neurons: what reads them is pulled towards its desired update -------------------------------


def pull(network, X, plan, layer):
    """How the pre-activations that read a hidden layer move, per unit of size, at size 0+."""

    def states(size):
        grown = growth.apply(network, plan, size)
        last = layer + 1 == len(network.widths)
        return grown(X) if last else grown.forward(X).states[layer + 1]

    return (4 * states(STEP / 2) - states(STEP) - 3 * states(0.0)) / STEP


def first_order(network, X, Y, loss, plan):
    """The derivative of the mean loss in the plan's size at 0+, off by some DIFFERENCES."""

    def value(size):
        return losses.get(loss).value(growth.apply(network, plan, size)(X), Y)

    return (4 * value(STEP / 2) - value(STEP) - 3 * value(0.0)) / STEP


def comes_closest(rivals, desired, layer, decide, network, X, Y, loss, reached=None):
    """No rival brings a layer's pre-activations closer to their desired update than the plan does.

    `rivals` are plans of an Add, and a Move or none. Their new neurons may take the amplitude that
    suits them best, and, where `reached` is given, what the layer reads, the old weights may do
    their best for them; the plan has to do at size 1.
    """
    plan = decided(decide, network, X, Y, loss)
    ours = np.linalg.norm(desired - pull(network, X, plan, layer))
    for rival in rivals:
        rest, move = desired, None
        for edit in rival.edits:
            part = pull(network, X, growth.Plan((edit,), 1.0, 0.0, 1, 2), layer)
            if isinstance(edit, growth.Add):
                move = part
            elif reached is None:
                rest = rest - part
        if reached is not None:
            both = np.hstack([rest, move])
            rest, move = np.hsplit(both - reached @ np.linalg.lstsq(reached, both)[0], 2)
        square = np.vdot(move, move)
        theirs = np.linalg.norm(rest - (np.vdot(move, rest) / square if square else 0.0) * move)
        assert ours <= theirs + DIFFERENCES * np.linalg.norm(desired)
    return plan


# Pruning to the support of a sparse twin ---------------------------------------------------------


def projected(network, state):
    """The network with the weights that its sparse twin uses, and zeros."""
    return network.with_arrays(splitlbi.project(state))


def prunes_only_what_is_not_used(support, network, state, X):
    """Plans of Prune edits alone, after which the projected network computes what it did."""
    plan = support(state)
    assert plan.edits, f"nothing to look at: {plan.message}"
    assert all(isinstance(edit, growth.Prune) for edit in plan.edits)
    assert (plan.order, plan.predicted()) == (0, 0.0)
    sparse = projected(network, state)
    before, after = sparse(X), growth.apply(sparse, plan)(X)
    np.testing.assert_allclose(after, before, rtol=0, atol=ROUNDING * (1 + np.abs(before).max()))
    return plan


def prunes_all_that_is_not_used(support, network, state, X):
    """Without any of the neurons that stay, the projected network computes something else.

    Each is removed alone, from a layer that would keep another one.
    """
    plan = support(state)
    smaller = growth.apply(projected(network, state), plan)
    before = smaller(X)
    for layer, width in enumerate(smaller.widths):
        for neuron in range(width if width > 1 else 0):
            without = growth.Plan((growth.Prune(layer, (neuron,)),), 1.0, 0.0, 0, 1)
            change = np.abs(growth.apply(smaller, without)(X) - before).max()
            assert change > ROUNDING * (1 + np.abs(before).max())
    return plan


def prunes_nothing_twice(support, network, state):
    """The pruned network's own state has nothing left to prune."""
    plan = support(state)
    smaller = growth.apply(projected(network, state), plan)
    prunes_nothing(support, in_use(smaller))
    return plan


def prunes_nothing(support, state):
    plan = support(state)
    assert plan.edits == () and plan.message and plan.predicted() == 0
    return plan


def in_use(network):
    """A state whose sparse twin is nonzero just where the network is, biases apart."""
    return splitlbi.init(
        network.arrays, step=0.1, lam=0.5, groups=splitlbi.groups_of(network),
        V0=[(W != 0).astype(float) for W in network.arrays],
    )  # fmt: skip


def pruned(plan):
    """How many neurons a plan removes from each layer."""
    return {edit.layer: len(edit.neurons) for edit in plan.edits}
