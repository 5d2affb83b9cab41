"""TINY, section 3.2 from streamed second moments: the same answers, at half the digits."""

from itertools import pairwise

import numpy as np
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_matrices import CASES, EPS, conditioned, strengths

from refgrow import tiny

EXACT = 1e-9  # well-conditioned problems, whose condition number is squared
BATCHES = (7, 30, 1, 22)


def halves(B, V):
    return B.T @ B / len(B), B.T @ V / len(B)


@pytest.mark.statement("TINY-Prop-3.2-weights", "TINY-B.3")
@settings(max_examples=40)
@given(strategies.generators, st.integers(8, 30), st.integers(1, 6), st.integers(1, 4))
def test_moments_give_the_neurons_of_the_activations(evidence, rng, n, q, p):
    B, V = rng.normal(size=(n, q)), rng.normal(size=(n, p))
    if q > 2:
        B[:, 0], B[:, 1] = 0.0, 2 * B[:, 2]  # S is semi-definite
    for k in range(1, p + 1):
        right, found = tiny.best_neurons(B, V, k), tiny.best_neurons_from_moments(*halves(B, V), k)
        error = np.abs(found.strengths - right.strengths).max()
        assert error <= EXACT * (1 + right.strengths[0])
        assert ((found.strengths > 0) == (right.strengths > 0)).all()
        apart = B @ (found.fan_in.T @ found.fan_out.T - right.fan_in.T @ right.fan_out.T)
        gap = np.diff(np.concatenate([right.strengths, [0.0]]))[-1]
        if k == p or abs(gap) > 1e-3:
            assert np.abs(apart).max() <= 1e-6
    evidence(error=error)


@pytest.mark.parametrize("name", [
    "plain", "condition 1e2", "columns of 1e-9", "dead, constant, repeated, combined", "rank 3",
    "rank 3 of 4 targets", "fewer samples than columns", "repeated samples", "one sample",
    "nothing alive", "within the span", "targets that sum to zero", "targets of rank one",
    "no targets",
])  # fmt: skip
def test_hard_moments(name):
    B, V, _ = CASES[name]
    right = strengths(B, V, V.shape[1])
    found = tiny.best_neurons_from_moments(*halves(B, V), V.shape[1])
    assert np.abs(found.strengths - right).max() <= EXACT * max(right[0], 1e-300)
    assert ((found.strengths > 0) == (right > 1e-9 * max(right[0], 1e-300))).all()


@pytest.mark.statement("TINY-B.3")
def test_half_the_digits_are_gone(evidence):
    """Errors of about eps kappa^2: why `best_neurons` looks at the activations."""
    rng = np.random.default_rng(0)
    V = rng.normal(size=(80, 3))
    for power in (2, 3, 4):
        B = conditioned(80, 8, 10.0**power, rng)
        right = strengths(B, V, 3)
        by_moments = np.abs(tiny.best_neurons_from_moments(*halves(B, V), 3).strengths - right)
        by_data = np.abs(tiny.best_neurons(B, V, 3).strengths - right)
        evidence(condition=10.0**power, moments=by_moments.max(), data=by_data.max())
        assert by_moments.max() <= 1e3 * EPS * 10.0 ** (2 * power)
        assert by_data.max() <= 1e2 * EPS * 10.0**power
    assert by_moments.max() > 1e2 * by_data.max()


def layer(rng, n=60, q=4, q_prev=5, p=3):
    B_prev = np.hstack([rng.normal(size=(n, q_prev - 1)), np.ones((n, 1))])
    B = np.hstack([np.tanh(B_prev @ rng.normal(size=(q_prev, q - 1))), np.ones((n, 1))])
    return B_prev, B, rng.normal(size=(n, p)) + B_prev[:, :p]


@pytest.mark.statement("TINY-Prop-3.2-weights")
@settings(max_examples=20)
@given(strategies.generators, st.integers(1, 3))
def test_batches_add_up_to_the_whole(evidence, rng, k):
    B_prev, B, V = layer(rng)
    cuts = np.cumsum((0, *BATCHES))
    parts = [tiny.moments(B_prev[a:b], B[a:b], V[a:b])
             for a, b in pairwise(cuts)]  # fmt: skip
    total = sum(parts)
    np.testing.assert_array_equal((parts[0] + parts[1] + parts[2] + parts[3]).own, total.own)
    assert total.n == 60
    update = tiny.best_update(B, V)
    np.testing.assert_allclose(total.best_update(), update, rtol=0, atol=EXACT)
    rest = V - B @ update.T
    assert abs(total.lack() - (rest**2).sum() / 60) <= EXACT * (1 + total.lack())
    right, found = tiny.best_neurons(B_prev, rest, k), total.best_neurons(k)
    for a, b in zip(found, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    for a, b in zip(total.joint_neurons(k), tiny.joint_neurons(B, B_prev, V, k), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * (1 + np.abs(b).max()))
    evidence(strengths=float(found.strengths[0]))
    # The mean of the batches' neurons is none of it: the control.
    apart = sum(part.best_update() for part in parts) / len(parts)
    assert np.abs(apart - update).max() > 1e-3


def test_moments_do_not_grow_with_the_samples():
    rng = np.random.default_rng(0)
    sizes = []
    for n in (10, 1000):
        found = tiny.moments(*layer(rng, n))
        sizes.append(sum(np.size(getattr(found, name)) for name in found.__dataclass_fields__))
    assert sizes[0] == sizes[1]


def test_together_on_a_linear_layer():
    rng = np.random.default_rng(1)
    B_prev = np.hstack([rng.normal(size=(40, 3)), np.ones((40, 1))])
    B = np.hstack([B_prev @ rng.normal(size=(4, 5)), np.ones((40, 1))])
    update, fan_in, _, mu = tiny.moments(B_prev, B, rng.normal(size=(40, 2))).joint_neurons(2)
    assert not mu.any() and not fan_in.any() and update.shape == (2, 6)


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(0)
    S, N = halves(rng.normal(size=(9, 3)), rng.normal(size=(9, 2)))
    with pytest.raises(ValueError, match="symmetric"):
        tiny.best_neurons_from_moments(S + np.triu(S), N, 1)
    with pytest.raises(ValueError, match="one row an input"):
        tiny.best_neurons_from_moments(S, N[:2], 1)
    with pytest.raises(ValueError, match="k must be"):
        tiny.best_neurons_from_moments(S, N, 3)
    with pytest.raises(ValueError, match="one matrix"):
        tiny.best_neurons_from_moments(S[None], N, 1)
    with pytest.raises(ValueError, match="too large"):
        tiny.best_neurons_from_moments(1e200 * S, N, 1)
    with pytest.raises(ValueError, match="semi-definite"):
        tiny.best_neurons_from_moments(S - 2 * np.eye(3) * S.diagonal(), N, 1)
    with pytest.raises(ValueError, match="span"):
        tiny.best_neurons_from_moments(np.ones((3, 3)), N, 1)
    with pytest.raises(ValueError, match="do not add up"):
        _ = tiny.moments(*layer(rng)) + tiny.moments(*layer(rng, q=3))
    with pytest.raises(TypeError):
        _ = tiny.moments(*layer(rng)) + 1
    with pytest.raises(TypeError):
        _ = sum([tiny.moments(*layer(rng))], 1)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_moments_that_overflow_are_refused(which):
    arrays = list(layer(np.random.default_rng(0)))
    arrays[which] = 1e160 * arrays[which]
    with pytest.raises(ValueError, match="second moment overflows"):
        tiny.moments(*arrays)
    arrays[which] = arrays[which] / np.abs(arrays[which]).max() * 5e152
    assert np.isfinite(tiny.moments(*arrays).own).all()  # Negative control.
    huge = tiny.moments(*arrays)
    with pytest.raises(ValueError, match="sum of the moments overflows"):
        sum([huge] * 10_000)


@pytest.mark.parametrize("place", [0, 1])
def test_squares_that_vanish_are_refused(place):
    rng = np.random.default_rng(0)
    arrays = list(layer(rng))
    right = tiny.moments(*arrays).best_neurons(2).strengths
    for scale in (1e-200, 1e-300):
        small = [scale * A if k == place else A for k, A in enumerate(arrays)]
        with pytest.raises(ValueError, match="too small to be summed"):
            tiny.moments(*small)
    # Negative controls: half of it does, and zero is not small.
    small = [1e-100 * A if k == place else A for k, A in enumerate(arrays)]
    np.testing.assert_allclose(tiny.moments(*small).best_neurons(2).strengths, right, rtol=1e-9)
    arrays[place] = np.zeros_like(arrays[place])
    assert tiny.moments(*arrays).n == 60


@pytest.mark.parametrize("scale", [1e-100, 1e-200, 1e-300, 1e300])
@pytest.mark.parametrize("cutoff", [None, 0.01])
def test_the_activations_need_no_unit(scale, cutoff):
    """Where moments give up, the regression on the activations does not."""
    rng = np.random.default_rng(1)
    B, V = rng.normal(size=(50, 5)), rng.normal(size=(50, 3))
    right = tiny.best_neurons(B, V, 3, cutoff=cutoff)
    for A, W, size in ((scale * B, V, 1.0), (B, scale * V, scale)):
        found = tiny.best_neurons(A, W, 3, cutoff=cutoff)
        np.testing.assert_allclose(found.strengths / size, right.strengths, rtol=1e-9)
