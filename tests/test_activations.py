"""Activations: the derivatives against oracles that know only the value; the limits; the errors."""

import pickle

import numpy as np
import oracles
import pytest
from scipy.special import erf, log_ndtr

from refgrow import activations
from refgrow.numerics import central_difference, complex_step

# Values, and complex steps through them: a handful of roundings, of numbers up to 10 (z^2 and the
# like); the oracles' own quotients of exponentials lose a few more.
ROUNDING = 2e-14
# The circle of radius 1/4 multiplies rounding by 2 / radius^2 = 32.
CIRCLE, RADIUS = 2e-13, 0.25
# Central differences of a function of order one.
DIFFERENCE = 1e-8
# What a negative control is wrong by: the smallest error these tests must see.
WRONG = 1e-6

Z = np.linspace(-3.1, 3.1, 41)  # 0 among them
EVERY = {
    **{name: activations.get(name) for name in oracles.ACTIVATIONS if name != "softplus(3)"},
    "softplus(3)": activations.sharp_softplus(3),
}


def check_value(name, value):
    np.testing.assert_allclose(value(Z), oracles.ACTIVATIONS[name](Z), rtol=0, atol=ROUNDING)


def check_derivative(name, derivative):
    exact = [complex_step(oracles.ACTIVATIONS[name], z) for z in Z]
    np.testing.assert_allclose(derivative(Z), exact, rtol=0, atol=ROUNDING)


def check_second(name, second):
    def along(t):
        return oracles.ACTIVATIONS[name](Z + t)

    np.testing.assert_allclose(second(Z), oracles.circle(along, 2, RADIUS), rtol=0, atol=CIRCLE)


def fails(check, *arguments):
    with pytest.raises(AssertionError):
        check(*arguments)


@pytest.mark.parametrize("name", EVERY)
def test_the_value_is_the_one_written_by_hand(name):
    check_value(name, EVERY[name].value)
    fails(check_value, name, lambda z: EVERY[name].value(z) + WRONG)


@pytest.mark.parametrize("name", oracles.SMOOTH)
def test_the_derivative_is_the_complex_step_of_the_value(name):
    check_derivative(name, EVERY[name].derivative)
    fails(check_derivative, name, lambda z: EVERY[name].derivative(z) + WRONG)


@pytest.mark.parametrize("name", oracles.SMOOTH)
def test_the_second_derivative_comes_from_the_value_alone(name):
    check_second(name, EVERY[name].second)
    fails(check_second, name, lambda z: EVERY[name].second(z) + WRONG)


@pytest.mark.parametrize("name", oracles.SMOOTH)
def test_the_formulas_here_are_complex_safe(name):
    # What lets other tests step through whole networks: each formula has the next as its step.
    f = EVERY[name]
    for z in (-5.0, -0.3, 0.0, 0.7, 5.0):
        assert complex_step(f.value, z) == pytest.approx(f.derivative(z), abs=ROUNDING)
        assert complex_step(f.derivative, z) == pytest.approx(f.second(z), abs=ROUNDING)


PLAUSIBLE_BUT_WRONG = {
    "tanh": lambda z: -np.tanh(z) / np.cosh(z) ** 2,
    "gaussian": lambda z: (1 - z**2) * np.exp(-(z**2) / 2),
    "gelu": lambda z: (1 - z**2) * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    "softplus(3)": lambda z: activations.sigmoid.derivative(3 * z),
    "sigmoid": lambda z: activations.sigmoid.derivative(z) * activations.sigmoid.value(-z),
    "sine": np.sin,
    "quadratic": lambda z: np.full_like(z, 1.0),
}


@pytest.mark.parametrize("name", PLAUSIBLE_BUT_WRONG)
def test_wrong_second_derivatives_are_seen(name):
    fails(check_second, name, PLAUSIBLE_BUT_WRONG[name])


@pytest.mark.parametrize("name", ["relu", "selu"])
def test_a_kink_has_the_derivative_from_the_left_and_no_second(name):
    f = EVERY[name]
    away = Z[np.abs(Z) > 0.01]
    exact = np.diagonal(central_difference(f.value, away))
    np.testing.assert_allclose(f.derivative(away), exact, rtol=0, atol=DIFFERENCE)
    from_the_left = (f.value(np.array(0.0)) - f.value(np.array(-1e-9))) / 1e-9
    assert f.derivative(np.array(0.0)) == pytest.approx(from_the_left, abs=1e-6)
    assert f.second is None
    with pytest.raises(ValueError) as error:
        activations.second_derivative(f, "a splitting matrix")
    assert str(error.value) == (
        f"a splitting matrix needs a second derivative; {name} has a kink and only a first one, "
        "enough for outputs, gradients and training. Use one of gaussian, gelu, identity, "
        "quadratic, sigmoid, sine, softplus, tanh (softplus is a smooth relu)."
    )


def check_nan_stays(value):
    assert np.isnan(value(np.array([np.nan]))).all()


def test_relu_hides_no_overflow_and_takes_complex_numbers():
    relu = activations.relu.value
    check_nan_stays(relu)
    fails(check_nan_stays, lambda z: np.where(z > 0, z, 0.0))
    # To the left, at and to the right of the kink; `maximum` keeps the imaginary part of the second
    z = np.array([-1 + 1e-20j, 1e-20j, 1 + 1e-20j])
    np.testing.assert_array_equal(relu(z), [0, 0, 1 + 1e-20j])
    assert np.maximum(z, 0.0)[1] != 0


SELU_LEFT = -1.0507009873554805 * 1.6732632423543772
# Value and derivatives at -800 and at 800.
LIMITS = {
    "tanh": ((-1, 0, 0), (1, 0, 0)),
    "sigmoid": ((0, 0, 0), (1, 0, 0)),
    "softplus": ((0, 0, 0), (800, 1, 0)),
    "softplus(3)": ((0, 0, 0), (800, 1, 0)),
    "gaussian": ((0, 0, 0), (0, 0, 0)),
    "gelu": ((0, 0, 0), (800, 1, 0)),
    "relu": ((0, 0), (800, 1)),
    "selu": ((SELU_LEFT, 0), (1.0507009873554805 * 800, 1.0507009873554805)),
    "quadratic": ((640_000, -1600, 2), (640_000, 1600, 2)),
    "identity": ((-800, 1, 0), (800, 1, 0)),
}


@pytest.mark.parametrize("name", LIMITS)
def test_extreme_arguments_give_the_limits_without_a_warning(name):
    f = EVERY[name]
    formulas = [g for g in (f.value, f.derivative, f.second) if g is not None]
    for z, limits in zip((-800.0, 800.0), LIMITS[name], strict=True):
        got = [float(g(np.array(z))) for g in formulas]
        np.testing.assert_allclose(got, limits, rtol=1e-15, atol=1e-300)
        assert all(np.isfinite(np.real(g(np.array(z + 0j)))) for g in formulas)


def plain_normal(z):
    return (1 + erf(z / np.sqrt(2))) / 2


def plain_gelu_slope(z):
    return plain_normal(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


# Where the function is within rounding of its limit: what is left of it, to a few roundings (gelu's
# are those of erfc). The control is the form that subtracts two numbers close to each other.
TAIL = 1e-13
LEFT = np.exp(log_ndtr(-10.0))  # of the normal distribution
DENSITY = np.exp(-50.0) / np.sqrt(2 * np.pi)
TAILS = {
    "sigmoid left": (activations.sigmoid.value, lambda z: (1 + np.tanh(z / 2)) / 2, -40,
                     np.exp(-40.0)),
    "sigmoid' right": (activations.sigmoid.derivative, lambda z: (1 - np.tanh(z / 2) ** 2) / 4, 40,
                       np.exp(-40.0)),
    "sigmoid' left": (activations.sigmoid.derivative, lambda z: (1 - np.tanh(z / 2) ** 2) / 4, -40,
                      np.exp(-40.0)),
    "sigmoid'' right": (activations.sigmoid.second, lambda z: np.tanh(z / 2) ** 3 - np.tanh(z / 2),
                        40, -np.exp(-40.0)),
    "sigmoid'' left": (activations.sigmoid.second, lambda z: np.tanh(z / 2) ** 3 - np.tanh(z / 2),
                       -40, np.exp(-40.0)),
    "softplus left": (activations.softplus.value, lambda z: np.log(1 + np.exp(z)), -40,
                      np.exp(-40.0)),
    "tanh' right": (activations.tanh.derivative, lambda z: 1 - np.tanh(z) ** 2, 20,
                    4 * np.exp(-40.0)),
    "tanh' left": (activations.tanh.derivative, lambda z: 1 - np.tanh(z) ** 2, -20,
                   4 * np.exp(-40.0)),
    "tanh'' right": (activations.tanh.second, lambda z: 2 * (np.tanh(z) ** 3 - np.tanh(z)), 20,
                     -8 * np.exp(-40.0)),
    "tanh'' left": (activations.tanh.second, lambda z: 2 * (np.tanh(z) ** 3 - np.tanh(z)), -20,
                    8 * np.exp(-40.0)),
    "gelu left": (activations.gelu.value, lambda z: z * plain_normal(z), -10, -10 * LEFT),
    "gelu' left": (activations.gelu.derivative, plain_gelu_slope, -10,
                   LEFT - 10 * DENSITY),
    "gelu'' left": (activations.gelu.second,
                    lambda z: (plain_gelu_slope(z + 1e-4) - plain_gelu_slope(z - 1e-4)) / 2e-4,
                    -10, -98 * DENSITY),
    "gelu'' right": (activations.gelu.second,
                     lambda z: (plain_gelu_slope(z + 1e-4) - plain_gelu_slope(z - 1e-4)) / 2e-4,
                     10, -98 * DENSITY),
}  # fmt: skip


@pytest.mark.parametrize("name", TAILS)
def test_tails_keep_their_relative_accuracy(name):
    # A gradient that rounds to zero in the tail stops a sample from ever being learnt.
    formula, cancels, z, exact = TAILS[name]
    z = np.array(float(z))
    # Without abs=0, approx would take any number below 1e-12 for this one.
    assert formula(z) == pytest.approx(exact, rel=TAIL, abs=0)
    assert cancels(z) != pytest.approx(exact, rel=1e-3, abs=0)


def test_softplus_tends_to_relu_and_curves_by_a_quarter_of_its_sharpness():
    for k in (0.5, 10.0, 1e4):
        f = activations.sharp_softplus(k)
        assert f.second(np.array(0.0)) == pytest.approx(k / 4)
        assert np.abs(f.value(Z) - activations.relu.value(Z)).max() == pytest.approx(np.log(2) / k)
    assert activations.sharp_softplus(2.5).name == "softplus(2.5)"
    assert activations.sharp_softplus(1).name == "softplus"


@pytest.mark.parametrize("sharpness, error", [(0, ValueError), (-1, ValueError), ("1", TypeError)])
def test_softplus_refuses_a_sharpness_that_is_not_positive(sharpness, error):
    with pytest.raises(error, match="sharpness must be a"):
        activations.sharp_softplus(sharpness)


def test_a_call_checks_what_the_formulas_do_not():
    z = np.arange(-2, 3, dtype=np.float32)
    z.flags.writeable = False
    np.testing.assert_allclose(activations.tanh(z), np.tanh(np.arange(-2.0, 3.0)), rtol=1e-15)
    assert activations.tanh([[0, 1]]).shape == (1, 2)
    assert activations.tanh(0.0) == 0
    with pytest.raises(TypeError, match="z must hold real numbers; got dtype complex128"):
        activations.tanh(1j)
    with pytest.raises(ValueError, match="z must be finite; got nan at index 1"):
        activations.tanh([0, np.nan])


@pytest.mark.parametrize("name", oracles.SMOOTH)
def test_formulas_accept_integers_and_give_floats(name):
    z = np.array([-1, 0, 2])
    for g in (EVERY[name].value, EVERY[name].derivative, EVERY[name].second):
        np.testing.assert_allclose(g(z), g(z.astype(float)), rtol=1e-15)
        assert g(z).dtype == np.float64 and g(z).shape == z.shape


def test_names():
    assert activations.get("gelu") is activations.gelu
    assert activations.get(activations.sine) is activations.sine
    with pytest.raises(ValueError, match=r"activation must be one of .*; got 'rleu'. .* 'relu'\?"):
        activations.get("rleu")
    with pytest.raises(TypeError, match=r"activation must be one of gaussian, gelu, .*; got 3"):
        activations.get(3)


def test_activations_survive_pickling():
    for f in EVERY.values():
        copy = pickle.loads(pickle.dumps(f))
        np.testing.assert_array_equal(copy.value(Z), f.value(Z))
        assert f.name == "softplus(3)" or copy is f
