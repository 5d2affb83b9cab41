"""The benchmark of TINY's regression: both ways do the same work, and verdicts on made-up data."""

import numpy as np
import pytest

from figures import bench_tiny
from refgrow import tiny

# Rounding times the square of the condition number, here below 3 for both inputs, over gaps of a
# tenth between the strengths: some 1e-14.
BY_ROOTS = 1e-13
RATE = 3e10


# The two ways ------------------------------------------------------------------------------------


def layer(n=50, q=8, q_prev=8, p=3, dead=0, seed=0):
    """B with its column of ones, B_prev with columns of zeros and repeated ones, and V."""
    rng = np.random.default_rng(seed)
    B = np.column_stack([rng.normal(size=(n, q - 1)), np.ones(n)])
    B_prev = np.column_stack([rng.normal(size=(n, q_prev - 1)), np.ones(n)])
    if dead:
        B_prev[:, :dead] = 0.0
        B_prev[:, dead] = B_prev[:, dead + 1]
    return B, B_prev, rng.normal(size=(n, p))


@pytest.mark.parametrize("dead", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_both_ways_find_the_same_neurons(dead, seed):
    given = layer(dead=dead, seed=seed)
    ours = bench_tiny._ours(*given)
    fan_in, fan_out, strengths = bench_tiny._by_roots(*given)
    np.testing.assert_allclose(strengths, ours.strengths, rtol=0, atol=BY_ROOTS)
    assert (ours.strengths[:-1] > 1.1 * ours.strengths[1:]).all()  # so that each is one direction
    signs = np.sign((fan_out * ours.fan_out).sum(axis=0))
    np.testing.assert_allclose(fan_out * signs, ours.fan_out, rtol=0, atol=BY_ROOTS)
    np.testing.assert_allclose(fan_in * signs[:, None], ours.fan_in, rtol=0, atol=BY_ROOTS)
    # Negative control: neurons for all that is desired, not for what the old weights leave.
    B, B_prev, V = given
    whole = tiny.best_neurons(B_prev, V, V.shape[1]).strengths
    assert np.abs(whole - strengths).max() > 0.01 * strengths[0]
    # And by neither way: the projection by QR, of the rest after the other's.
    rest = V - np.linalg.qr(B)[0] @ (np.linalg.qr(B)[0].T @ V)
    U, s, _ = np.linalg.svd(B_prev, full_matrices=False)
    right = np.linalg.svd(U[:, s > 1e-9].T @ rest, compute_uv=False) / np.sqrt(len(V))
    np.testing.assert_allclose(ours.strengths, right, rtol=0, atol=BY_ROOTS)


def test_what_is_timed_is_what_is_said():
    B, B_prev, V = layer()
    ways = bench_tiny._ways(B, B_prev, V)
    assert set(ways) == set(bench_tiny.COLOURS)
    np.testing.assert_array_equal(ways["one product"](), B_prev.T @ B_prev)
    np.testing.assert_array_equal(ways["refgrow"]().strengths, bench_tiny._ours(B, B_prev, V)[2])
    roots = bench_tiny._by_roots(B, B_prev, V)[2]
    np.testing.assert_array_equal(ways["inverse roots"]()[2], roots)


def test_errors_are_of_strengths_and_relative_to_the_largest(monkeypatch):
    _, B_prev, V = layer(dead=2)
    assert bench_tiny._error(B_prev, V) < 1e-14 and bench_tiny._error(B_prev, 1e6 * V) < 1e-14
    exact = tiny.best_neurons

    def off(*args):
        found = exact(*args)
        return found._replace(strengths=found.strengths + [0, 0, 1e-3 * found.strengths[0]])

    monkeypatch.setattr(tiny, "best_neurons", off)
    for scale in (1.0, 1e6):
        assert bench_tiny._error(B_prev, scale * V) == pytest.approx(1e-3, rel=1e-9)


@pytest.mark.parametrize("kappa", [1e4, 1e7])
def test_columns_have_the_condition_that_is_said(kappa):
    assert np.linalg.cond(bench_tiny._conditioned(kappa)[0]) == pytest.approx(kappa, rel=1e-6)


# Verdicts ----------------------------------------------------------------------------------------


def measured(roots=5.0, ours=1.2, step=3.0, error=1e-12, names=("Gaussian", "digits")):
    """How many times the other's time ours takes, each at the size where it is judged."""
    times = {
        n: {"refgrow": 2.0, "inverse roots": 2.0, "one product": 2.0} for n in bench_tiny.SAMPLES
    }
    times[1000]["inverse roots"] = 2.0 * roots
    times[10000]["refgrow"] = 2.0 * ours
    return {
        "rate": RATE,
        "times": {name: times for name in names},
        "errors": {name: error for name in (*names, "condition 1e+04")},
        "step": {name: {"growth step": 0.5 * step, "epoch": 0.5} for name in names},
    }


def refused(data):
    return [claim.claim for claim in bench_tiny.claims(data) if not claim.reproduced]


@pytest.mark.parametrize(
    "good, bad, words",
    [
        ({"roots": 4.0}, {"roots": 3.9}, "n = 1000: at least 4x as fast as inverse"),
        ({"ours": 1.5}, {"ours": 1.6}, "n = 10000: at most 1.5 times as long as one product"),
        ({"step": 9.9}, {"step": 10.0}, "growth step takes less than 10 epochs"),
        ({"error": 1e-10}, {"error": 1.1e-10}, "strengths within 1e-10 of a decomposition"),
    ],
)
def test_verdicts_on_both_sides_of_each_bar(good, bad, words):
    assert len(bench_tiny.claims(measured())) == 9 and refused(measured()) == []
    assert refused(measured(**good)) == []
    found = refused(measured(**bad))
    assert len(found) == (3 if "error" in bad else 2)  # By kind of data; errors of one more.
    assert all(words in text for text in found)


def test_each_kind_of_data_has_its_own_verdict():
    data = measured()
    data["times"]["digits"] = measured(roots=3.9)["times"]["digits"]
    data["step"]["Gaussian"] = measured(step=11.0)["step"]["Gaussian"]
    data["errors"]["condition 1e+04"] = 1e-9
    found = refused(data)
    assert [text.split(",")[0].split(":")[0] for text in found] == [
        "Gaussian", "digits", "condition 1e+04"
    ]  # fmt: skip
    numbers = [claim.number for claim in bench_tiny.claims(measured())]
    assert numbers == [5.0, 1.2, 3.0] * 2 + [1e-12] * 3


def test_only_the_sizes_that_are_named_are_judged():
    data = measured()
    for n in set(bench_tiny.SAMPLES) - {1000, 10000}:
        data["times"]["Gaussian"][n] = {way: 1e3 for way in bench_tiny.COLOURS}
        data["times"]["Gaussian"][n]["refgrow"] = 1e6
    assert refused(data) == []
