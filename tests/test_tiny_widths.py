"""TINY section 4 and appendix C: the widths that growth ends with, and its estimation batches.

Oracles: a schedule written out here, and the ranks of S^(-1/2) N in networks with random weights.
"""

from itertools import pairwise, product

import numpy as np
import pytest

from refgrow import losses, tiny, tiny_greedy
from refgrow.networks import MLP

PRINTED = {6: (110, 51), 8: (222, 71), 15: (929, 141)}
MNIST = 60000
ORDERS = ("forward", "backward", "together")
INPUTS = 40  # Of the networks here: more than a layer above has neurons.


def by_hand(order, rows, columns, growths=15):
    """[(h1, h2), ...]: layer 1 adds min(784 + rows, h2), layer 2 min(h1 + rows, columns)."""
    h1, h2 = 1, 1
    path = [(h1, h2)]
    for _ in range(growths):
        old1, old2 = h1, h2
        if order == "backward":
            h2 += min(h1 + rows, columns)
            h1 += min(784 + rows, h2)
        else:
            h1 += min(784 + rows, h2)
            h2 += min((old1 if order == "together" else h1) + rows, columns)
        assert h2 > old2
        path.append((h1, h2))
    return path


def a_network(h1, h2, rng, outputs=10):
    sizes = (INPUTS, h1, h2, outputs)
    weights = [rng.normal(size=(b, a + 1)) / np.sqrt(a)
               for a, b in pairwise(sizes)]  # fmt: skip
    return MLP(weights, "selu")


def moments_of(network, X, Y, layer):
    """What the layer that grows reads, and what the old weights leave of the next one's V."""
    goals = tiny.desired_updates(network, X, Y, "softmax_cross_entropy")
    inputs = network.forward(X).inputs
    B, P, V = inputs[layer], inputs[layer + 1], goals[layer + 1]
    return B, V - P @ np.linalg.lstsq(P, V)[0]


@pytest.mark.statement("TINY-arch")
def test_shapes_give_the_printed_widths(evidence):
    path = tiny_greedy.final_widths(15).widths
    assert [tuple(row) for row in path] == by_hand("forward", 1, 10)
    for growths, widths in PRINTED.items():
        evidence(f"after {growths} growths", path[growths].tolist())
        assert tuple(path[growths]) == widths
        assert np.array_equal(tiny_greedy.final_widths(growths).widths, path[: growths + 1])


@pytest.mark.statement("TINY-arch")
def test_no_other_schedule_of_its_kind_does(evidence):
    """Negative controls: the other orders, no bias column, 9 or 11 columns, ranks."""
    hits = [
        (order, rows, columns)
        for order, rows, columns in product(ORDERS, (0, 1), (9, 10, 11))
        if any(widths in by_hand(order, rows, columns, 40) for widths in PRINTED.values())
    ]  # fmt: skip
    evidence("schedules that meet any of the three prints, of 18", hits)
    assert hits == [("forward", 1, 10)]
    for order in ("backward", "together"):
        path = tiny_greedy.final_widths(15, order=order).widths
        assert [tuple(row) for row in path] == by_hand(order, 1, 10)
    without = tiny_greedy.final_widths(15, bias=False)
    assert [tuple(row) for row in without.widths] == by_hand("forward", 0, 10)
    ranks = tiny_greedy.final_widths(15, count="rank")
    assert [tuple(row) for row in ranks.widths] == by_hand("forward", 0, 9)
    assert not ranks.dead.any()


@pytest.mark.statement("TINY-dead-new", "TINY-arch")
def test_one_neuron_of_every_growth_is_dead(evidence):
    schedule, ranks = tiny_greedy.final_widths(15), tiny_greedy.final_widths(15, count="rank")
    assert schedule.dead.tolist() == [[0, t] for t in range(16)]
    for growths in PRINTED:
        dead, fewer = schedule.dead[growths], ranks.widths[growths]
        evidence(f"after {growths}: dead, widths by K* = R", f"{dead.tolist()}, {fewer.tolist()}")
    assert [tuple(ranks.widths[t]) for t in PRINTED] == [(91, 44), (188, 62), (811, 125)]


@pytest.mark.statement("TINY-dead-new")
@pytest.mark.parametrize("growth", [0, 1, 2, 3])
def test_ranks_in_a_network_are_those_of_the_schedule(growth, evidence):
    rng = np.random.default_rng(growth)
    h1, h2 = tiny_greedy.final_widths(growth).widths[-1]
    shape = tiny_greedy.final_widths(1, start=(h1, h2), inputs=INPUTS)
    rank = tiny_greedy.final_widths(1, start=(h1, h2), inputs=INPUTS, count="rank")
    X, Y = rng.normal(size=(300, INPUTS)), rng.integers(10, size=300)
    for layer, start in ((0, (h1, h2)), (1, (shape.widths[1, 0], h2))):
        network = a_network(*start, rng)
        B, V = moments_of(network, X, Y, layer)
        N = B.T @ V / len(X)
        values = np.linalg.svd(N, compute_uv=False)
        counted = int((values > 1e-10 * values[0]).sum())
        added, alive = ((s.widths[1] - s.widths[0])[layer] for s in (shape, rank))
        if layer == 1:  # From the width that layer 1 has after either growth.
            alive = min(start[0], 9)
        evidence(f"layer {layer + 1} of {start}: shape, rank", f"{min(N.shape)}, {counted}")
        assert min(N.shape) == added and counted == alive
        strengths = tiny.best_neurons(B, V, min(N.shape)).strengths
        assert (strengths > 0).sum() == alive
        assert alive == added - layer  # Negative control: layer 1 has no dead neuron.
        # Without the projection of V its row is back: h1 + 1 rows instead of h1, still 9 columns.
        if layer == 1:
            raw = tiny.desired_updates(network, X, Y, "softmax_cross_entropy")[2]
            values = np.linalg.svd(B.T @ raw, compute_uv=False)
            assert (values > 1e-10 * values[0]).sum() == min(start[0] + 1, 9)
        # The bias has no row in N, what the old weights leave being orthogonal to it.
        assert np.abs(N[-1]).max() < 1e-12 < np.abs(N[:-1]).max()


@pytest.mark.statement("TINY-dead-new")
def test_a_neuron_that_feeds_all_logits_alike_changes_nothing(evidence):
    """Why 9 of 10: the gradient of a softmax sums to zero over its outputs, at any amplitude."""
    rng = np.random.default_rng(7)
    F, Y = rng.normal(size=(50, 10)), rng.integers(10, size=50)
    loss = losses.get("softmax_cross_entropy")
    assert np.abs(loss.gradient(F, Y).sum(axis=1)).max() < 1e-14
    activity = 10 * rng.normal(size=(50, 1))
    alike = loss.value(F + activity * np.ones(10) / np.sqrt(10), Y)
    evidence("change of the loss by fan-out (1, ..., 1)", alike - loss.value(F, Y))
    assert alike == pytest.approx(loss.value(F, Y), abs=1e-13)
    other = loss.value(F + activity * np.eye(10)[0], Y)  # Negative control.
    assert abs(other - alike) > 0.1
    network = a_network(17, 21, rng)
    X = rng.normal(size=(200, INPUTS))
    B, V = moments_of(network, X, rng.integers(10, size=200), 1)
    last = np.linalg.svd(B.T @ V)[2][-1]
    assert np.allclose(np.abs(last), 1 / np.sqrt(10)) and abs(last.sum()) == pytest.approx(10**0.5)


# The estimation batches -----------------------------------------------------------------------


@pytest.mark.statement("TINY-batch")
def test_the_printed_rule_compounds(evidence):
    widths = tiny_greedy.final_widths(15).widths
    sizes = tiny_greedy.batch_schedule(widths)
    assert np.array_equal(sizes[0], [100, 100])
    by_factor = 100 * 28.0 ** np.arange(16)  # sqrt(784) = 28, whatever the network.
    assert np.allclose(sizes[:, 0], by_factor, rtol=1e-12)
    second = 100.0
    for (h1, _), size in zip(widths[1:], sizes[1:, 1], strict=True):
        second *= np.sqrt(max(h1, 10))
        assert size == pytest.approx(second)
    assert sizes[1, 0] < MNIST < sizes[2, 0]
    for t in (1, 2, 8, 15):
        evidence(f"samples after {t} growths", ", ".join(f"{s:.3g}" for s in sizes[t]))
    capped = tiny_greedy.batch_schedule(widths, limit=MNIST)
    assert capped.max() == MNIST and np.array_equal(capped[:2], sizes[:2])
    assert (capped[2:, 0] == MNIST).all()


@pytest.mark.statement("TINY-batch")
def test_the_other_reading_does_not_compound(evidence):
    """The growing number is the factor: 100 sqrt(max), after every growth."""
    widths = tiny_greedy.final_widths(15).widths
    sizes = tiny_greedy.batch_schedule(widths, rule="afresh")
    assert np.array_equal(sizes[0], [100, 100])
    assert np.allclose(sizes[1:, 0], 2800) and sizes.max() < 3100 < MNIST
    assert np.allclose(sizes[1:, 1], [100 * max(h1, 10) ** 0.5 for h1, _ in widths[1:]])
    evidence("samples after 6, 8, 15 growths",
             "; ".join(f"{a:.0f}, {b:.0f}" for a, b in sizes[[6, 8, 15]]))  # fmt: skip
    assert np.allclose(sizes[[8, 15], 1], [1490, 3048], atol=0.5)
    # One growth is the same in both readings. Negative control: the second is not.
    printed = tiny_greedy.batch_schedule(widths)
    assert np.allclose(sizes[1], printed[1]) and printed[2, 0] > 20 * sizes[2, 0]


@pytest.mark.statement("TINY-cost")
def test_the_cost_of_a_growth_counted(evidence):
    """At [2, 3] of 4 inputs and 2 outputs by hand, and the paper's networks."""

    def regression(n, q, p):
        return n * q * q + 2 * n * q * p + q**3 / 3 + 2 * q * q * p

    n = 7
    by_hand = [
        regression(n, 5, 3) + regression(n, 3, 3) + 2 * n * 3 * 3 + 6 * 5 * 3**2 + 20 * 3**3,
        regression(n, 3, 2) + regression(n, 4, 2) + 2 * n * 4 * 2 + 6 * 3 * 2**2 + 20 * 2**3,
    ]
    found = tiny_greedy.growth_cost([2, 3], n, inputs=4, outputs=2, batch=10)
    assert np.allclose(found.growth, by_hand)
    assert found.training == 6 * 10 * (5 * 2 + 3 * 3 + 4 * 2)
    assert found.batches == pytest.approx(sum(by_hand) / found.training)
    counts = {}
    for widths in ((1, 1), *PRINTED.values()):
        counts[widths] = [tiny_greedy.growth_cost(widths, n).batches for n in (100, 2800, MNIST)]
        evidence(f"batches a growth at {widths}, n = 100, 2800, 60000",
                 ", ".join(f"{c:.3g}" for c in counts[widths]))  # fmt: skip
    # 785^3 / 3 does not depend on the width; a wide network trains longer.
    assert counts[1, 1][0] > 400 and all(c[0] < 6 for w, c in counts.items() if w != (1, 1))
    assert all(a < b < c for a, b, c in counts.values())


@pytest.mark.statement("TINY-batch")
def test_what_keeps_the_error_where_it_was(evidence):
    widths = tiny_greedy.final_widths(15).widths
    largest = np.column_stack([np.full(16, 784), np.maximum(widths[:, 0], 10)])
    sizes = tiny_greedy.batch_schedule(widths, rule="proportional")
    ratio = largest / sizes
    evidence("samples after 15 growths", ", ".join(f"{s:.0f}" for s in sizes[-1]))
    assert np.allclose(ratio, ratio[0])
    assert np.allclose(sizes[-1], [100, 9290])
    printed = largest / tiny_greedy.batch_schedule(widths)  # Negative control.
    assert (printed[-1] < 1e-6 * printed[0]).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: tiny_greedy.final_widths(-1),
        lambda: tiny_greedy.final_widths(1, start=(0, 1)),
        lambda: tiny_greedy.final_widths(1, order="up"),
        lambda: tiny_greedy.final_widths(1, count="none"),
        lambda: tiny_greedy.final_widths(1, inputs=0),
        lambda: tiny_greedy.batch_schedule([[0.0, 1]]),
        lambda: tiny_greedy.batch_schedule([[1.0, 1]], rule="sqrt"),
        lambda: tiny_greedy.batch_schedule([[1.0, 1]], start=0),
        lambda: tiny_greedy.batch_schedule([[1.0, 1]], limit=0),
        lambda: tiny_greedy.growth_cost([0], 10),
        lambda: tiny_greedy.growth_cost([1], 0),
        lambda: tiny_greedy.growth_cost([], 10),
        lambda: tiny_greedy.growth_cost(5, 10),
        lambda: tiny_greedy.growth_cost([10**200], 10),
        lambda: tiny_greedy.growth_cost([1], 10, inputs=10**400),
        lambda: tiny_greedy.growth_cost([1], 10, batch=10**400),
        lambda: tiny_greedy.final_widths(1, start=3),
        lambda: tiny_greedy.final_widths(1, start=()),
        lambda: tiny_greedy.final_widths(1, start=(10**30, 1)),
        lambda: tiny_greedy.batch_schedule([[1.0, 1]], inputs=10**400),
    ],
)
def test_refusals(call):
    with pytest.raises(ValueError, match=r"must (be|differ)|widths must"):
        call()


@pytest.mark.parametrize("rule", ["printed", "afresh", "proportional"])
def test_batches_beyond_all_floats_are_no_warning(rule):
    """The printed factor is 28 a growth: after 212 there is no float for it."""
    rounds = np.ones((300, 2))
    sizes = tiny_greedy.batch_schedule(rounds, rule=rule)
    assert np.isinf(sizes[-1, 0]) == (rule == "printed")
    if rule == "printed":
        assert np.isfinite(sizes[211]).all() and np.isinf(sizes[213, 0])
    assert (tiny_greedy.batch_schedule(rounds, rule=rule, limit=5.0)[1:] == 5.0).all()
    wide = tiny_greedy.batch_schedule([[1, 1], [1e300, 1e300]], start=1e300, rule=rule, limit=7)
    assert (wide == 7).all()
