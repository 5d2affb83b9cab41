"""Laws that every way of growing obeys; `test_laws.py` plugs the chapters in.

Each law takes a `decide` function, called as `decide(network, X, Y, loss)`, and a problem, and
raises AssertionError where it is broken. Each returns the plan it looked at.
"""

import numpy as np

from refgrow import growth, losses
from refgrow.numerics import taylor_slope

ROUNDING = 1e-12  # Relative to the output: a few roundings a layer.
ORDER = 0.1  # What DESIGN.md allows a fitted order to be off by.
HALVINGS = 4  # The fewest clean ones.


def decided(decide, network, X, Y, loss):
    """The plan, which must edit something: a law about nothing holds of everything."""
    plan = decide(network, X, Y, loss)
    assert isinstance(plan, growth.Plan)
    assert plan.edits, f"nothing to look at: {plan.message}"
    return plan


def unchanged_at_size_zero(decide, network, X, Y, loss):
    plan = decided(decide, network, X, Y, loss)
    before, after = network(X), growth.apply(network, plan, 0.0)(X)
    np.testing.assert_allclose(after, before, rtol=0, atol=ROUNDING * (1 + np.abs(before).max()))
    return plan


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
        assert plan.coefficient <= other.coefficient + ROUNDING
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
