"""Losses: gradient and curvature against the value alone, labels and targets, extreme outputs."""

import pickle

import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from refgrow import losses
from refgrow.numerics import complex_step

ROUNDING = 1e-13  # A few roundings of exponentials of numbers up to 5.
CIRCLE, RADIUS = 2e-12, 0.25  # The circle multiplies them by 2 / radius^2.
WRONG = 1e-6  # What the negative controls are wrong by.


@st.composite
def outputs(draw, losses=strategies.LOSSES):
    """(name, F, Y) for any loss, from one sample and one output on."""
    name, n, rng = (
        draw(st.sampled_from(losses)),
        draw(st.integers(1, 5)),
        draw(strategies.generators),
    )
    p = {"squared": draw(st.integers(1, 3)), "softmax_cross_entropy": draw(st.integers(2, 4))}
    F = rng.normal(scale=1.5, size=(n, p.get(name, 1)))
    return name, F, strategies.targets_of(name, *F.shape, rng)


def check_value(name, F, Y, value):
    # Absolutely too: the oracle takes the logarithm of numbers close to one.
    exact = oracles.losses(name, F, Y).mean()
    np.testing.assert_allclose(value(F, Y), exact, rtol=ROUNDING, atol=ROUNDING)


def check_gradient(name, F, Y, gradient):
    # One sample at a time: the gradient is per sample, and no sample sees another.
    exact = [
        complex_step(lambda f, y=y: oracles.losses(name, f[None], y)[0], f)
        for f, y in zip(F, Y[:, None], strict=True)
    ]
    np.testing.assert_allclose(gradient(F, Y), exact, rtol=0, atol=ROUNDING * np.exp(abs(F).max()))


def check_curvature(name, F, Y, curvature):
    B = curvature(F, Y)
    assert B.shape == (*F.shape, F.shape[1])
    E = np.eye(F.shape[1])
    for a in E:
        for b in E:
            exact = oracles.mixed(_samples(name, F, Y), a, b, RADIUS)
            got = np.einsum("i,nij,j->n", a, B, b)
            np.testing.assert_allclose(got, exact, rtol=0, atol=CIRCLE * np.exp(abs(F).max()))


def _samples(name, F, Y):
    return lambda t: oracles.losses(name, F + t, Y)


@settings(max_examples=60)
@given(outputs())
def test_value_gradient_and_curvature_are_those_of_the_formula(case):
    name, F, Y = case
    loss = losses.get(name)
    check_value(name, F, Y, loss.value)
    check_gradient(name, F, Y, loss.gradient)
    check_curvature(name, F, Y, loss.curvature)


@settings(max_examples=20)
@given(outputs())
def test_small_errors_in_any_of_them_are_seen(case):
    name, F, Y = case
    loss = losses.get(name)
    n = len(F)
    wrong = [
        (check_value, lambda F, Y: loss.value(F, Y) + WRONG),
        (check_value, lambda F, Y: loss.value(F, Y) * (n + 1)),  # a sum for a mean
        (check_gradient, lambda F, Y: loss.gradient(F, Y) + WRONG),
        (check_gradient, lambda F, Y: loss.gradient(F, Y) / (n + 1)),  # divided by n
        (check_curvature, lambda F, Y: loss.curvature(F, Y) + WRONG),
        (check_curvature, lambda F, Y: 2 * loss.curvature(F, Y)),  # without the half
    ]
    for check, formula in wrong:
        with pytest.raises(AssertionError):
            check(name, F, Y, formula)


def test_the_cross_terms_of_the_softmax_matter():
    def diagonal_only(F, Y):
        return losses.softmax_cross_entropy.curvature(F, Y) * np.eye(F.shape[1])

    F, Y = np.array([[0.2, -0.1, 0.4]]), np.array([1])
    with pytest.raises(AssertionError):
        check_curvature("softmax_cross_entropy", F, Y, diagonal_only)


@settings(max_examples=40)
@given(outputs())
def test_losses_that_say_they_are_convex_have_positive_curvature(case):
    name, F, Y = case
    loss = losses.get(name)
    B = loss.curvature(F, Y)
    np.testing.assert_array_equal(B, B.swapaxes(1, 2))
    assert loss.convex and np.linalg.eigvalsh(B).min() >= -ROUNDING


def test_one_number_by_hand():
    F, Y = np.array([[1.0], [2.0]]), np.array([[0.0], [5.0]])
    assert losses.squared.value(F, Y) == (0.5 * 1 + 0.5 * 9) / 2
    assert losses.squared.gradient(F, Y).tolist() == [[1.0], [-3.0]]
    assert losses.squared.curvature(F, Y).tolist() == [[[1.0]], [[1.0]]]
    assert losses.logistic.value([[0.0]], [1]) == pytest.approx(np.log(2))
    assert losses.logistic.gradient([[0.0]], [1]) == -0.5  # label 1 wants a larger output
    assert losses.exponential.value([[-2.0]], [0]) == pytest.approx(np.exp(-2))
    assert losses.softmax_cross_entropy.gradient([[0.0, 0.0]], [1]).tolist() == [[0.5, -0.5]]


def test_two_classes_by_softmax_are_one_output_by_logistic():
    rng = np.random.default_rng(0)
    f, Y = rng.normal(size=(7, 1)), rng.integers(2, size=7)
    two = np.hstack([np.zeros_like(f), f])
    value = losses.logistic.value(f, Y)
    assert losses.softmax_cross_entropy.value(two, Y) == pytest.approx(value, rel=ROUNDING)


def test_a_shift_of_all_outputs_is_invisible_to_the_softmax():
    F, Y = np.array([[0.3, -1.0, 2.0]]), np.array([0])
    loss = losses.softmax_cross_entropy
    assert loss.value(F + 1000, Y) == pytest.approx(loss.value(F, Y), rel=1e-12)
    np.testing.assert_allclose(loss.gradient(F, Y).sum(axis=1), 0, atol=ROUNDING)
    np.testing.assert_allclose(loss.curvature(F, Y).sum(axis=2), 0, atol=ROUNDING)


def test_extreme_outputs_without_a_warning():
    for f, y, value, gradient in [
        (800.0, 1, 0.0, 0.0), (800.0, 0, 800.0, 1.0), (-800.0, 1, 800.0, -1.0), (-800.0, 0, 0, 0)
    ]:  # fmt: skip
        assert losses.logistic.value([[f]], [y]) == value
        assert losses.logistic.gradient([[f]], [y]) == gradient
        assert losses.logistic.curvature([[f]], [y]) == 0
        F = [[-f / 2, f / 2]]
        assert losses.softmax_cross_entropy.value(F, [y]) == value
        assert losses.softmax_cross_entropy.gradient(F, [y])[0, 1] == gradient
        assert not losses.softmax_cross_entropy.curvature(F, [y]).any()
    # A sample that is right by a wide margin still pulls, a little.
    gradient = losses.logistic.gradient([[40.0]], [1])[0, 0]
    assert gradient == pytest.approx(-np.exp(-40), rel=1e-12, abs=0)
    assert losses.exponential.value([[-800.0]], [0]) == 0


@settings(max_examples=30)
@given(outputs(), strategies.generators)
def test_an_offset_moves_the_output_and_nothing_else(case, rng):
    name, F, Y = case
    offset = rng.normal(size=F.shape)
    moved, loss = losses.with_offset(name, offset), losses.get(name)
    assert moved.value(F, Y) == loss.value(F + offset, Y)
    np.testing.assert_array_equal(moved.gradient(F, Y), loss.gradient(offset + F, Y))
    np.testing.assert_array_equal(moved.curvature(F, Y), loss.curvature(offset + F, Y))
    assert moved.convex == loss.convex and moved.name == f"{name} with offset"


def test_an_offset_belongs_to_all_samples():
    offset = np.zeros((3, 1))
    loss = losses.with_offset(losses.squared, offset)
    offset[:] = 7.0
    assert loss.value(np.zeros((3, 1)), np.zeros((3, 1))) == 0  # its own copy
    for call in (loss.value, loss.samples):
        with pytest.raises(ValueError, match=r"shape \(1, 1\); got \(3, 1\). .* the full batch"):
            call(np.zeros((1, 1)), np.zeros((1, 1)))
    with pytest.raises(ValueError, match=r"offset must be 2-D .* Use offset\[:, None\] for"):
        losses.with_offset("squared", np.zeros(3))
    with pytest.raises(ValueError, match="loss must be one of"):
        losses.with_offset("square", np.zeros((3, 1)))


F1, F3 = np.zeros((2, 1)), np.zeros((2, 3))


@pytest.mark.parametrize(
    "loss, F, Y, message",
    [
        ("squared", F1, [1.0, 2.0], "Y must be 2-D with shape (2, 1); got shape (2,). "
                                    "Use Y[:, None] for one output."),
        ("squared", F3, np.zeros((2, 1)), "Y must have shape (2, 3); got shape (2, 1), where axis "
                                          "1 should be 3."),
        ("squared", F1, np.zeros((3, 1)), "Y must have shape (2, 1); got shape (3, 1), where axis "
                                          "0 should be 2."),
        ("squared", F1, [[0.0], [np.nan]], "Y must be finite; got nan at index (1, 0)."),
        ("squared", [1.0], [[1.0]], "F must be 2-D with shape (n, p); got shape (1,). "
                                    "Use F[:, None] for one output."),
        ("squared", np.zeros((1, 1, 1)), [[1.0]], "F must be 2-D with shape (n, p); got shape "
                                                  "(1, 1, 1)."),
        ("squared", F3, [0.0] * 3, "Y must be 2-D with shape (2, 3); got shape (3,)."),
        ("squared", [[np.inf]], [[1.0]], "F must be finite; got inf at index (0, 0)."),
        ("logistic", F1, [0, 2], "Y must hold labels from 0 to 1, one for each of the 2 classes; "
                                 "got 2 at index 1."),
        ("logistic", F1, [1, -1], "Y must hold labels from 0 to 1, one for each of the 2 classes; "
                                  "got -1 at index 1."),
        ("exponential", F1, [[0], [1]], "Y must have shape (2,), one label a sample; got shape "
                                        "(2, 1). Use Y[:, 0]."),
        ("logistic", F3, [0, 1], "a loss for two classes needs one output; the network has 3. "
                                 "Use softmax_cross_entropy."),
        ("softmax_cross_entropy", F1, [0, 0], "softmax_cross_entropy needs one output a class; the "
                                              "network has 1. Use logistic."),
        ("softmax_cross_entropy", F3, [0, 3], "Y must hold labels from 0 to 2, one for each of the "
                                              "3 classes; got 3 at index 1."),
        ("softmax_cross_entropy", F3, [0, 1, 2], "Y must have shape (2,), one label a sample; got "
                                                 "shape (3,)."),
    ],
)  # fmt: skip
def test_outputs_and_targets_that_do_not_fit(loss, F, Y, message):
    for call in (losses.get(loss).value, losses.get(loss).gradient, losses.get(loss).curvature):
        with pytest.raises(ValueError) as error:
            call(F, Y)
        assert str(error.value) == message


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
@pytest.mark.parametrize("Y", [[0.0, 1.0], [True, False], ["a", "b"], [1j, 0j]])
def test_labels_are_integers(loss, Y):
    with pytest.raises(TypeError, match="Y must hold integer labels; got dtype"):
        losses.get(loss).value(F1, Y)


@pytest.mark.parametrize("loss", strategies.LOSSES)
def test_every_kind_of_array_is_accepted_and_left_alone(loss):
    rng = np.random.default_rng(1)
    p = 3 if loss == "softmax_cross_entropy" else 1
    F = rng.integers(-2, 3, size=(4, p))
    Y = strategies.targets_of(loss, 4, p, rng)
    Y = Y.astype(np.float32) if loss == "squared" else Y.astype(np.uint8)
    wide = np.repeat(F, 2, axis=0)
    kinds = [F, F.astype(np.float32), np.asfortranarray(F), wide[::2], F.tolist()]
    for array in (*kinds[:-1], Y):
        array.flags.writeable = False
    got = [losses.get(loss).value(kind, Y) for kind in kinds]
    assert len(set(got)) == 1
    np.testing.assert_array_equal(wide[::2], F)


def test_the_curvature_returned_may_be_written_to():
    B = losses.squared.curvature(F3, F3)
    B[0] = 7.0
    np.testing.assert_array_equal(B[1], np.eye(3))


def test_names_and_pickles():
    assert (
        losses.get("squared") is losses.squared and losses.get(losses.logistic).name == "logistic"
    )
    with pytest.raises(ValueError, match=r"loss must be one of .*; got 'mse'"):
        losses.get("mse")
    with pytest.raises(ValueError, match=r"Did you mean 'softmax_cross_entropy'\?"):
        losses.get("cross_entropy")
    with pytest.raises(TypeError, match="loss must be one of"):
        losses.get(None)
    for name in strategies.LOSSES:
        assert pickle.loads(pickle.dumps(losses.get(name))) is losses.get(name)
