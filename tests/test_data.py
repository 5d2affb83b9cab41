"""Toy problems: what their docstrings promise, the same for the same seed, errors."""

from functools import partial

import numpy as np
import pytest

from refgrow import data, neurons

# Moments of 40 000 samples: four standard errors of a number of order one, and then some.
MANY, SAMPLING = 40_000, 0.03

PROBLEMS = {
    "rbf_teacher": partial(data.rbf_teacher, samples=20, teachers=4),
    "ridge_teacher": partial(data.ridge_teacher, samples=20, teachers=4),
    "gaussian_mixture": partial(data.gaussian_mixture, samples=20),
    "xor": partial(data.xor, samples=20),
}


def arrays_of(result):
    return [result] if isinstance(result, np.ndarray) else [result.X, result.Y]


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_same_seed_gives_the_same_problem_and_another_another(name):
    make = PROBLEMS[name]
    first, again, other = (arrays_of(make(rng=seed)) for seed in (3, np.random.SeedSequence(3), 4))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(arrays_of(make(rng=rng))[0], first[0])
    assert not np.array_equal(arrays_of(make(rng=rng))[0], first[0])  # the generator moved on


def test_the_rbf_teacher_is_a_sum_of_bumps_without_noise():
    problem = data.rbf_teacher(samples=50, teachers=7, half_width=2.0, rng=0)
    assert problem.X.shape == problem.Y.shape == (50, 1)
    assert np.abs(problem.X).max() <= 2.0
    assert problem.teacher.neuron is neurons.bump and problem.teacher.theta.shape == (7, 3)
    a, b, c = problem.teacher.theta.T
    by_hand = (c * np.exp(-((problem.X * a + b) ** 2) / 2)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(problem.Y, by_hand, rtol=0, atol=1e-13)


def test_the_ridge_teacher_draws_the_bumps_targets():
    options = {"samples": 50, "teachers": 7, "half_width": 2.0, "deviation": 1.5}
    bumps, ridges = data.rbf_teacher(rng=4, **options), data.ridge_teacher(rng=4, **options)
    assert ridges.X.shape == (50, 2) and ridges.teacher.theta.shape == (7, 2)
    np.testing.assert_array_equal(ridges.X, np.hstack([bumps.X, np.ones((50, 1))]))
    np.testing.assert_allclose(ridges.Y, bumps.Y, rtol=0, atol=1e-13)
    (a, b), w = ridges.teacher.theta.T, ridges.teacher.weights
    by_hand = (w * np.exp(-((bumps.X * a + b) ** 2) / 2)).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ridges.Y, by_hand, rtol=0, atol=1e-13)
    assert np.abs(ridges.Y - data.ridge_teacher(rng=5, **options).Y).max() > 0.1


def test_the_deviation_is_a_standard_deviation():
    # The paper's N(0, 3) with 3 a variance is the default.
    for options, deviation in [({}, np.sqrt(3)), ({"deviation": 3.0}, 3.0)]:
        problem = data.rbf_teacher(samples=1, teachers=MANY, rng=1, **options)
        assert problem.teacher.theta.std() == pytest.approx(deviation, rel=SAMPLING)


def test_the_mixture_has_its_shares_means_and_deviation():
    points = data.gaussian_mixture(
        samples=MANY, shares=[0.25, 0.75], means=[-50, 50], deviation=2, rng=2
    )
    assert points.shape == (MANY, 1)
    left, right = points[points < 0], points[points > 0]
    assert left.size / MANY == pytest.approx(0.25, abs=SAMPLING)
    assert (left.mean(), right.mean()) == pytest.approx((-50, 50), abs=4 * SAMPLING)
    assert (left.std(), right.std()) == pytest.approx((2, 2), rel=SAMPLING)


def test_thirds_sum_to_one_and_halves_of_something_else_do_not():
    assert data.gaussian_mixture(samples=3, shares=[1 / 3] * 3, rng=0).shape == (3, 1)
    assert data.gaussian_mixture(samples=1, shares=[1], means=[7], deviation=1e-9, rng=0) == (
        pytest.approx(7)
    )


def test_xor_is_what_no_linear_model_separates():
    problem = data.xor(samples=MANY, deviation=0.0, rng=3)
    assert problem.X.shape == (MANY, 2) and problem.Y.shape == (MANY,)
    assert problem.Y.dtype == np.int64 and set(problem.Y) == {0, 1}
    np.testing.assert_array_equal(problem.Y, problem.X[:, 0] * problem.X[:, 1] < 0)
    assert np.abs(problem.X).min() == np.abs(problem.X).max() == 1.0
    # The class means coincide: a linear model sees nothing.
    means = [problem.X[problem.Y == k].mean(axis=0) for k in (0, 1)]
    np.testing.assert_allclose(means[0], means[1], atol=2 * SAMPLING)
    noisy = data.xor(samples=MANY, deviation=0.5, rng=3)
    assert (np.abs(noisy.X) != 1).all() and problem.teacher is None


@pytest.mark.parametrize(
    "call, error, message",
    [
        (partial(data.rbf_teacher, samples=0), ValueError, "samples must be an integer >= 1"),
        (partial(data.ridge_teacher, samples=0), ValueError, "samples must be an integer >= 1"),
        (partial(data.rbf_teacher, samples=1.0), TypeError, "samples must be an integer >= 1"),
        (partial(data.rbf_teacher, teachers=0), ValueError, "teachers must be an integer >= 1"),
        (partial(data.rbf_teacher, deviation=0), ValueError, "deviation must be a finite number"),
        (partial(data.rbf_teacher, half_width=-1), ValueError, "half_width must be a finite"),
        (partial(data.rbf_teacher, rng="0"), TypeError, "rng must be None, an int"),
        (partial(data.gaussian_mixture, shares=[0.5, 0.4, 0.2]), ValueError,
         r"shares must be non-negative and sum to 1; got \[0.5, 0.4, 0.2\]"),
        (partial(data.gaussian_mixture, shares=[1.5, -0.5, 0]), ValueError, "non-negative"),
        (partial(data.gaussian_mixture, means=[0.0]), ValueError,
         r"means must have shape \(3,\); got shape \(1,\), .* One mean a share."),
        (partial(data.gaussian_mixture, shares=[[1.0]]), ValueError, "shares must be 1-D"),
        (partial(data.gaussian_mixture, deviation=-1), ValueError, "deviation must be"),
        (partial(data.xor, deviation=-1), ValueError, "deviation must be a finite number >= 0"),
        (partial(data.xor, samples=0), ValueError, "samples must be an integer >= 1"),
    ],
)  # fmt: skip
def test_arguments_out_of_range(call, error, message):
    with pytest.raises(error, match=message):
        call()
