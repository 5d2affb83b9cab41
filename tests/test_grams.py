"""Weighted Gram matrices against the naive sum, which shares no code with them."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from refgrow import kernels

# Rounding of a sum of n terms, relative to the sum of their absolute values; n is at most 2000.
GRAM_TOLERANCE = 1e-13


def naive_grams(C, X):
    return np.einsum("jl,la,lb->jab", C, X, X)


def assert_grams(function, C, X):
    scale = naive_grams(np.abs(C), np.abs(X))
    gap = np.abs(function(C, X) - naive_grams(C, X))
    assert (gap <= GRAM_TOLERANCE * scale).all()


@st.composite
def gram_inputs(draw):
    m, n, d = (draw(st.integers(1, largest)) for largest in (9, 40, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    C, X = rng.normal(size=(m, n)), rng.normal(size=(n, d))
    sign = draw(st.sampled_from(["mixed", "positive", "negative", "zero", "often zero"]))
    if sign == "positive":
        C = np.abs(C)
    elif sign == "negative":
        C = -np.abs(C)
    elif sign == "zero":
        C = np.zeros_like(C)
    elif sign == "often zero":
        C[rng.random((m, n)) < 0.7] = 0
    return C * 10.0 ** draw(st.integers(-8, 8)), X


@given(gram_inputs())
def test_grams_agree_with_the_naive_sum(inputs):
    assert_grams(kernels.weighted_grams, *inputs)


@given(gram_inputs(), st.integers(1, 7), st.integers(7, 30), st.integers(1, 60), st.integers(1, 4))
def test_grams_do_not_depend_on_tiles_and_blocks(inputs, tile, products, sums, neurons):
    # Sizes that cut these small problems into many tiles, groups of tiles, blocks and chunks.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_TILE", tile)
        patch.setattr(kernels, "_PRODUCTS", products)
        patch.setattr(kernels, "_SUMS", sums)
        patch.setattr(kernels, "_NEURONS", neurons)
        patch.setattr(kernels, "_SCALED", products)
        assert_grams(kernels.weighted_grams, *inputs)


@given(gram_inputs())
def test_both_ways_to_the_grams_agree(inputs):
    for features_a_neuron in (0, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernels, "_FEATURES_A_NEURON", features_a_neuron)
            assert_grams(kernels.weighted_grams, *inputs)


@given(gram_inputs())
def test_grams_are_exactly_symmetric(inputs):
    S = kernels.weighted_grams(*inputs)
    assert (S == S.transpose(0, 2, 1)).all()


@pytest.mark.compiled
@pytest.mark.parametrize("m, n, d", [(3, 2000, 1), (40, 700, 33), (5, 300, 140), (2, 100, 300)])
def test_grams_of_ordinary_sizes(m, n, d):
    rng = np.random.default_rng(0)
    C, X = rng.normal(size=(m, n)), rng.normal(size=(n, d))
    assert_grams(kernels.weighted_grams, C, X)
    S = kernels.weighted_grams(C, X)
    assert (S == S.transpose(0, 2, 1)).all()


@pytest.mark.parametrize("m", [1, 3])
def test_wrong_grams_are_noticed(m):
    # Negative control: each wrong formula fails the same check, on both ways.
    rng = np.random.default_rng(1)
    C, X = rng.normal(size=(m, 20)), rng.normal(size=(20, 8))
    wrong = {
        "sign of the weights lost": lambda C, X: kernels.weighted_grams(np.abs(C), X),
        "one sample lost": lambda C, X: kernels.weighted_grams(C[:, 1:], X[1:]),
        "mean in place of the sum": lambda C, X: kernels.weighted_grams(C, X) / len(X),
        "one half only": lambda C, X: np.triu(kernels.weighted_grams(C, X)),
        "off by 1e-11": lambda C, X: kernels.weighted_grams(C, X) * (1 + 1e-11),
    }
    assert_grams(kernels.weighted_grams, C, X)
    for formula in wrong.values():
        with pytest.raises(AssertionError):
            assert_grams(formula, C, X)


def test_grams_of_one_neuron_one_sample_one_feature():
    np.testing.assert_array_equal(kernels.weighted_grams([[-4.0]], [[3.0]]), [[[-36.0]]])


@pytest.mark.parametrize("m", [1, 4])
def test_grams_accept_any_real_layout_and_change_nothing(m):
    rng = np.random.default_rng(2)
    C = rng.choice([-4.0, -1.0, 0.0, 1.0, 4.0], size=(m, 12))
    X = rng.integers(-3, 4, size=(12, 5)).astype(float)
    expected = naive_grams(C, X)  # small integers, square roots too: exact in every order
    for convert in (
        np.asfortranarray,
        lambda A: A.astype(np.float32),
        lambda A: A.astype(np.int64),
        lambda A: A.tolist(),
        lambda A: np.repeat(np.repeat(A, 2, axis=0), 3, axis=1)[::2, ::3],
        lambda A: A[::-1, ::-1].copy()[::-1, ::-1],
    ):
        given_C, given_X = convert(C), convert(X)
        for A in (given_C, given_X):
            if isinstance(A, np.ndarray):
                A.flags.writeable = False
        np.testing.assert_array_equal(kernels.weighted_grams(given_C, given_X), expected)
        np.testing.assert_array_equal(given_C, C)
        np.testing.assert_array_equal(given_X, X)


@pytest.mark.parametrize(
    "C, X, error, message",
    [
        (np.ones((2, 5)), np.ones(5), ValueError, r"X must be 2-D .*\(5,\).*X\[:, None\]"),
        (np.ones(5), np.ones((5, 2)), ValueError, r"C must be 2-D .*\(5,\)"),
        (np.ones((2, 4)), np.ones((5, 2)), ValueError, r"C must .*\(2, 4\).*5 rows of X"),
        (np.ones((5, 2)), np.ones((5, 2)), ValueError, r"C must .*\(5, 2\).*5 rows of X"),
        (np.ones((2, 0)), np.ones((0, 2)), ValueError, r"X must not be empty"),
        (np.ones((0, 3)), np.ones((3, 2)), ValueError, r"C must not be empty"),
        ([[1.0, np.nan]], np.ones((2, 2)), ValueError, r"C must be finite; got nan.*\(0, 1\)"),
        (np.ones((1, 2)), [[1.0], [np.inf]], ValueError, r"X must be finite; got inf.*\(1, 0\)"),
        (np.ones((1, 2)) * 1j, np.ones((2, 2)), TypeError, r"C must hold real numbers"),
        (np.ones((1, 2)), np.array([["a"], ["b"]]), TypeError, r"X must hold real numbers"),
        (np.ones((1, 2)), np.array([[1], [2]], dtype=object), TypeError, r"X must hold real"),
        (np.ones((1, 2)), [[1.0], [1.0, 2.0]], ValueError, r"X must be a rectangular"),
        (np.ones((1, 2)), sparse.eye(2), TypeError, r"X must be a dense array"),
    ],
)
def test_grams_refuse_wrong_input(C, X, error, message):
    with pytest.raises(error, match=message):
        kernels.weighted_grams(C, X)


@pytest.mark.compiled
@pytest.mark.parametrize(
    "m, n, d",
    [
        (64, 10_000, 64),
        (2500, 300, 40),
        (100, 100, 250),
        (700, 10, 120),  # the sums of all tiles are 41 MB, and are not held together
        (1, 200_000, 3),
        (2, 3000, 785),
    ],
)
def test_buffers_of_the_grams_stay_below_32_megabytes(m, n, d):
    rng = np.random.default_rng(3)
    C, X = rng.normal(size=(m, n)), rng.normal(size=(n, d))
    kernels.weighted_grams(C[:, :2], X[:2])  # compilation is not what is measured
    tracemalloc.start()
    try:
        S = kernels.weighted_grams(C, X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert S.nbytes < peak < S.nbytes + 32e6  # the first inequality: NumPy is traced at all
