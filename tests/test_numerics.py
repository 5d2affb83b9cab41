"""The proof tools prove things of which the answer is known, and refuse to prove anything else."""

import numpy as np
import pytest

from refgrow.numerics import central_difference, complex_step, taylor_slope

ROUNDING = 1e-14  # A few roundings of numbers of order one.
DIFFERENCE = 1e-9  # step^2 + eps / step at the default step, times ten.
ORDER = 0.1  # What DESIGN.md allows a fitted order to be off by.

X = np.array([[0.3, -1.2, 2.0], [0.1, 0.0, -0.7]])


def field(x):
    """Five numbers of six arguments, with a Jacobian known by hand."""
    return np.array([x[0, 0] * x[1, 2], np.exp(x[0, 1]), np.sin(x[1, 0]) ** 2, x[0, 2] ** 3, 2.0])


def jacobian(x):
    J = np.zeros((5, 2, 3))
    J[0, 0, 0], J[0, 1, 2] = x[1, 2], x[0, 0]
    J[1, 0, 1] = np.exp(x[0, 1])
    J[2, 1, 0] = np.sin(2 * x[1, 0])
    J[3, 0, 2] = 3 * x[0, 2] ** 2
    return J


@pytest.mark.parametrize("tool, tolerance", [(complex_step, 0), (central_difference, DIFFERENCE)])
def test_a_jacobian_known_by_hand(tool, tolerance):
    assert tool(field, X).shape == (5, 2, 3)
    np.testing.assert_allclose(tool(field, X), jacobian(X), rtol=ROUNDING, atol=tolerance)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(tool(field, X), 1.001 * jacobian(X), rtol=0, atol=1e-4)


@pytest.mark.parametrize("tool", [complex_step, central_difference])
def test_numbers_lists_and_read_only_arrays(tool):
    assert tool(lambda x: x**2, 3.0) == pytest.approx(6.0)
    assert tool(lambda x: x**2, 3.0).shape == ()
    assert tool(lambda x: x.sum(), [1, 2]) == pytest.approx([1.0, 1.0])
    assert tool(lambda x: np.array([[x[0], x[0]]]), np.array([2.0])).shape == (1, 2, 1)
    x = np.asfortranarray(X, dtype=np.float32)
    x.flags.writeable = False
    np.testing.assert_allclose(tool(field, x), jacobian(x.astype(float)), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("tool", [complex_step, central_difference])
def test_what_has_no_derivative_is_refused(tool):
    with pytest.raises(TypeError, match="x must hold real numbers; got dtype complex128"):
        tool(field, X + 0j)
    with pytest.raises(ValueError, match="x must be finite; got nan at index 0"):
        tool(np.sum, [np.nan])
    with pytest.raises(ValueError, match="x must not be empty"):
        tool(np.sum, [])


def test_the_complex_step_has_no_cancellation():
    # A central difference of this function loses twelve digits.
    def f(x):
        return 1e6 + 1e-6 * np.exp(x)

    assert complex_step(f, 0.0) == pytest.approx(1e-6, rel=ROUNDING)
    assert central_difference(f, 0.0) != pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize("f", [lambda x: np.abs(x), lambda x: np.real(x) ** 2])
def test_a_formula_that_is_not_complex_safe_is_refused(f):
    # Its imaginary part is gone; a silent zero would pass for a derivative.
    with pytest.raises(TypeError, match=r"got dtype float64. Use central_difference"):
        complex_step(f, 1.0)


def test_a_difference_of_nothing_is_refused():
    with pytest.raises(ValueError, match="step must be large enough to change x; got 6e-06"):
        central_difference(np.sum, [1e20])
    with pytest.raises(ValueError, match="step must be a finite number > 0; got 0"):
        central_difference(np.sum, [1.0], step=0)


def noisy(remainder, scale=1.0, seed=0):
    """The remainder as a program sees it: a difference of numbers of size `scale`."""
    noise = np.random.default_rng(seed)
    return lambda s: remainder(s) + 2 * np.finfo(float).eps * scale * noise.normal()


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("next_term", [0.0, 1.0, -3.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_known_order_is_found_above_its_rounding(order, next_term, seed):
    slope = taylor_slope(
        noisy(lambda s: 0.7 * s**order + next_term * s ** (order + 1), seed=seed), scale=1.0
    )
    assert slope.order == pytest.approx(order, abs=ORDER)
    assert slope.halvings >= 4
    assert len(slope.sizes) == len(slope.remainders) == slope.halvings + 1
    np.testing.assert_allclose(slope.sizes[:-1], 2 * slope.sizes[1:])
    assert slope.remainders.min() > 100 * np.finfo(float).eps
    for wrong in {1, 2, 3, 4} - {order}:
        assert slope.order != pytest.approx(wrong, abs=ORDER)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e6])
def test_the_scale_moves_the_rounding_and_not_the_order(scale):
    slope = taylor_slope(noisy(lambda s: scale * s**3, scale), scale=scale)
    assert slope.order == pytest.approx(3, abs=ORDER)


@pytest.mark.parametrize(
    "remainder",
    [
        lambda s: 0.0,
        noisy(lambda s: 0.0),
        lambda s: np.nan,
        lambda s: 1e-14 * s**2,
        lambda s: s**2 if s > 0.1 else 0.0,  # two clean halvings are no evidence
    ],
)
def test_where_there_is_no_order_none_is_invented(remainder):
    slope = taylor_slope(remainder, scale=1.0)
    assert np.isnan(slope.order) and slope.halvings == 0
    assert slope.sizes.size == slope.remainders.size == 0


def test_rounding_taken_too_small_gives_no_order_rather_than_a_wrong_one():
    slope = taylor_slope(noisy(lambda s: s**3, scale=1e4), scale=1.0)
    assert np.isnan(slope.order)


@pytest.mark.parametrize(
    "order, small",
    [(1, 1e-1), (1, 1e-3), (1, 1e-5), (2, 1e-1), (2, 1e-3), (2, 1e-4), (3, 1e-1), (3, 1e-3)],
)
def test_a_small_leading_term_is_not_hidden_by_a_large_next_one(order, small):
    # A prediction with a coefficient slightly wrong leaves such a remainder: it looks like the next
    # order over most halvings. It may be called unclear, never the next order.
    slope = taylor_slope(noisy(lambda s: small * s**order + s ** (order + 1)), scale=1.0)
    assert not slope.order > order + 1 - ORDER


def test_a_term_below_rounding_cannot_be_seen_and_that_is_the_limit():
    slope = taylor_slope(lambda s: 1e-9 * s**3 + s**4, scale=1.0)
    assert slope.order == pytest.approx(4, abs=ORDER)


def test_a_constant_remainder_has_order_zero():
    # What a function that is changed at size zero shows.
    assert taylor_slope(lambda s: 0.3 + s**2, scale=1.0).order == pytest.approx(0, abs=0.01)


def test_a_change_of_sign_does_not_break_the_window():
    slope = taylor_slope(noisy(lambda s: s**3 - 8 * s**4), scale=1.0)  # zero at s = 1/8
    assert slope.order == pytest.approx(3, abs=ORDER)
    assert slope.sizes[0] < 1 / 8


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"scale": 0.0}, "scale must be a finite number > 0; got 0.0"),
        ({"scale": np.inf}, "scale must be a finite number > 0; got inf"),
        ({"scale": 1.0, "largest": -1}, "largest must be a finite number > 0; got -1"),
        ({"scale": 1.0, "halvings": 3}, "halvings must be an integer >= 4; got 3"),
        ({"scale": 1.0, "flatness": 0}, "flatness must be a finite number > 0; got 0"),
    ],
)
def test_arguments_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError) as error:
        taylor_slope(lambda s: s**2, **wrong)
    assert str(error.value) == message + "."
