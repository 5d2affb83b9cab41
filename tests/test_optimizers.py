"""Optimizers: naive twins in plain Python, first steps by hand, minima reached, errors."""

import math
from functools import partial

import numpy as np
import pytest

from refgrow import optimizers

# The twins do the same operations in another order; 200 steps of rounding.
TWIN = 1e-12
NAMES = ("gd", "momentum", "adam", "adagrad")


def twin(name, x, gradients, rate):
    """One coordinate, one float at a time, as the papers of the methods print them."""
    first = second = 0.0
    for t, g in enumerate(gradients, start=1):
        if name == "gd":
            x = x - rate * g
        elif name == "momentum":
            first = 0.9 * first + g
            x = x - rate * first
        elif name == "adam":
            first = 0.9 * first + 0.1 * g
            second = 0.999 * second + 0.001 * g * g
            x = x - rate * (first / (1 - 0.9**t)) / (math.sqrt(second / (1 - 0.999**t)) + 1e-8)
        else:
            second = second + g * g
            x = x - rate * g / (math.sqrt(second) + 1e-10)
    return x


def check_twin(name, step):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=3), rng.normal(size=(200, 3))
    state = optimizers.get(name).init(start)
    for g in gradients:
        state = step(state, g, 0.05)
    exact = [twin(name, x, g, 0.05) for x, g in zip(start, gradients.T, strict=True)]
    np.testing.assert_allclose(state.parameters, exact, rtol=0, atol=TWIN)
    assert state.count == 200


@pytest.mark.parametrize("name", NAMES)
def test_the_iterates_are_those_of_a_naive_twin(name):
    step = optimizers.get(name).step
    check_twin(name, step)
    with pytest.raises(AssertionError):
        check_twin(name, lambda state, g, rate: step(state, g, rate * (1 + 1e-8)))


@pytest.mark.parametrize(
    "name, wrong",
    [
        ("adam", partial(optimizers.adam_step, beta1=0.0)),
        ("adam", partial(optimizers.adam_step, beta2=0.99)),
        ("adam", optimizers.adagrad_step),
        ("momentum", partial(optimizers.momentum_step, beta=0.89)),
        ("adagrad", partial(optimizers.adagrad_step, epsilon=1e-4)),
    ],
)
def test_the_twin_sees_other_constants(name, wrong):
    with pytest.raises(AssertionError):
        check_twin(name, wrong)


def test_first_steps_by_hand():
    g = np.array([4.0, -0.25])
    first = {"gd": -0.1 * g, "momentum": -0.1 * g}
    for name in NAMES:
        state = optimizers.get(name).init([0.0, 0.0])
        state = optimizers.get(name).step(state, g, 0.1)
        # Adam and AdaGrad start with a step of the learning rate, whatever the gradient's size.
        expected = first.get(name, -0.1 * np.sign(g))
        np.testing.assert_allclose(state.parameters, expected, rtol=1e-7)


@pytest.mark.parametrize("name, rate", [("gd", 0.3), ("momentum", 0.05), ("adam", 0.05),
                                        ("adagrad", 0.7)])  # fmt: skip
def test_a_quadratic_is_minimised(name, rate):
    curvature, target = np.array([1.0, 3.0, 0.5]), np.array([1.0, -2.0, 0.3])
    init, step = optimizers.get(name)
    state = init(np.zeros(3))
    for _ in range(2000):
        state = step(state, curvature * (state.parameters - target), rate)
    np.testing.assert_allclose(state.parameters, target, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_zero_gradient_moves_nothing_and_divides_by_nothing(name):
    state = optimizers.get(name).init([1.0])
    for _ in range(3):
        state = optimizers.get(name).step(state, np.zeros(1), 0.1)
    assert state.parameters == 1.0


def test_the_state_owns_its_parameters_and_is_stepped_in_place():
    start = np.array([1.0, 2.0])
    state = optimizers.gd.init(start)
    after = optimizers.gd.step(state, np.ones(2), 0.5)
    assert start.tolist() == [1.0, 2.0]
    assert after.parameters is state.parameters and after.parameters.tolist() == [0.5, 1.5]
    assert (state.count, after.count) == (0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_array_is_accepted_and_left_alone(name):
    init, step = optimizers.get(name)
    results = []
    for g in ([1, -2], np.array([1, -2], dtype=np.float32), np.array([1, 9, -2, 9])[::2]):
        gradient = g
        if isinstance(g, np.ndarray):
            gradient = g.view()
            gradient.flags.writeable = False
        state = step(init(np.array([3, 4])), gradient, 1)
        results.append(state.parameters.tolist())
        assert list(g) == [1, -2]
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_rates_that_do_not_fit(name):
    init, step = optimizers.get(name)
    state = init([1.0, 2.0])
    cases = [
        (([1.0], 0.1), ValueError, r"gradient must have shape \(2,\); got shape \(1,\)"),
        (([[1.0, 2.0]], 0.1), ValueError, r"gradient must be 1-D with shape \(2,\)"),
        (([1.0, np.nan], 0.1), ValueError, "gradient must be finite; got nan at index 1"),
        (([1.0, 2.0], 0.0), ValueError, "learning_rate must be a finite number > 0; got 0.0"),
        (([1.0, 2.0], "fast"), TypeError, "learning_rate must be a number > 0; got 'fast'"),
    ]
    for arguments, error, message in cases:
        with pytest.raises(error, match=message):
            step(state, *arguments)
    assert state.parameters.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"parameters must be 1-D with shape \(N,\)"):
        init([[1.0]])


@pytest.mark.parametrize(
    "step, options, message",
    [
        (optimizers.momentum_step, {"beta": 1.0}, "beta must be a finite number >= 0 and < 1"),
        (optimizers.adam_step, {"beta1": -0.1}, "beta1 must be a finite number >= 0 and < 1"),
        (optimizers.adam_step, {"beta2": 1.0}, "beta2 must be a finite number >= 0 and < 1"),
        (optimizers.adam_step, {"epsilon": 0}, "epsilon must be a finite number > 0"),
        (optimizers.adagrad_step, {"epsilon": -1}, "epsilon must be a finite number > 0"),
    ],
)
def test_constants_out_of_range(step, options, message):
    with pytest.raises(ValueError, match=message):
        step(optimizers.init([1.0]), [1.0], 0.1, **options)


def test_names_and_pairs():
    assert optimizers.get("adam") is optimizers.adam
    mine = optimizers.get((optimizers.init, partial(optimizers.adam_step, beta1=0.5)))
    assert mine.step(mine.init([1.0]), [1.0], 0.1).count == 1
    with pytest.raises(ValueError, match=r"optimizer must be one of .*Did you mean 'adam'\?"):
        optimizers.get("adams")
    for wrong in (None, (optimizers.init,), (1, 2)):
        with pytest.raises(TypeError, match=r"or an \(init, step\) pair of functions; got"):
            optimizers.get(wrong)
