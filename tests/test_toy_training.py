"""The training loop of toy networks against naive NumPy twins, which share no code with it."""

import tracemalloc

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrow import toy_training

INTERPRETED = bool(numba.config.DISABLE_JIT)

# One unit in the last place is what is claimed; half of one comes from rounding the exact value.
EXP2_ULPS = 1.0
# Loss and gradient differ from the twin by the order of summation only.
GRADIENT_TOLERANCE = 1e-13
# What is promised for 2000 steps from an ordinary start; rounding grows along the path.
ITERATE_TOLERANCE = 1e-12

FAMILIES = ["bump", "particle", "ridge"]
PARAMETERS = {"bump": 3, "particle": 1, "ridge": 2}
OPTIMIZERS = ["gd", "momentum", "adam", "adagrad"]
RATES = {"gd": 0.1, "momentum": 0.02, "adam": 0.01, "adagrad": 0.02}
BANDWIDTH = 0.7

# ------------------------------------------------------------------ the exponential


def exp2_of_minus_square(v):
    """2^(-v^2) as the training loop computes it: the neurons' values it leaves behind."""
    out = np.empty(v.size)
    lines, work = np.zeros((1, 6)), np.zeros((2, toy_training._BLOCK))
    lines[0, 0] = 1.0
    with np.errstate(all="ignore"):
        for start in range(0, v.size, toy_training._BLOCK):
            part = v[start : start + toy_training._BLOCK]
            samples = np.zeros((3, part.size))
            samples[0] = part
            toy_training._sweep(samples, lines, work)
            out[start : start + part.size] = work[0, : part.size]
    return out


def assert_ulps(values, exact):
    nearest = exact.astype(float)
    assert (np.abs(values - exact) <= EXP2_ULPS * np.spacing(nearest)).all()


def exp2_arguments(count):
    grid = np.linspace(-1022.0, 0.0, count)
    halves = np.arange(-1021.5, 0.0, max(1.0, 1e5 // count))  # where the rounding of k flips
    small = -np.logspace(-300, 3, count // 10)
    return np.concatenate(
        [grid, halves, np.nextafter(halves, 0), np.nextafter(halves, -np.inf), small]
    )


def test_exp2_is_accurate_to_one_ulp():
    z = exp2_arguments(600 if INTERPRETED else 100_000)
    values = np.array([toy_training._exp2(x) for x in z])
    assert_ulps(values, np.exp2(z.astype(np.longdouble)))


def test_exp2_in_the_training_loop_is_as_accurate_as_its_argument():
    # The vector instructions, not the scalar function. The square is rounded by half an ulp, which
    # moves the result by up to log(2) v^2 ulps; |v| as far as 2^(-v^2) is a normal number.
    v = np.linspace(-31.96, 31.96, 600 if INTERPRETED else 1_000_001)
    exact = np.exp2(-(v.astype(np.longdouble) ** 2))
    ulps = np.abs(exp2_of_minus_square(v) - exact) / np.spacing(exact.astype(float))
    assert (ulps <= EXP2_ULPS + np.log(2) * v**2).all()


def test_exp2_at_the_ends_of_its_range():
    cases = {
        0.0: 1.0,
        -1.0: 0.5,
        -1022.0: 2.0**-1022,
        np.nextafter(-1022.0, -2000): 0.0,
        -1e5: 0.0,
        -1e300: 0.0,
        -np.inf: 0.0,
    }
    with np.errstate(invalid="ignore"):
        for z, value in cases.items():
            assert toy_training._exp2(np.float64(z)) == value
        assert np.isnan(toy_training._exp2(np.float64("nan")))
    powers = np.arange(-1022.0, 1.0)
    np.testing.assert_array_equal([toy_training._exp2(z) for z in powers], np.exp2(powers))


def test_exp2_in_the_training_loop_underflows_and_keeps_nan():
    v = np.array([0.0, np.nan, 40.0, -40.0, 1e8, 1e200, np.inf, -np.inf])
    values = exp2_of_minus_square(v)
    np.testing.assert_array_equal(values[[0, 2, 3, 4, 5]], [1.0, 0, 0, 0, 0])
    assert np.isnan(values[1])
    assert not (values[6:] > 0).any()  # 0 or NaN: inf * x + 0 * inf is no number


def test_wrong_exponentials_are_noticed():
    z = exp2_arguments(600)
    exact = np.exp2(z.astype(np.longdouble))
    assert_ulps(np.exp2(z), exact)
    for wrong in (np.exp2(z) * (1 + 1e-15), np.exp2(np.nextafter(z, -np.inf))):
        with pytest.raises(AssertionError):
            assert_ulps(wrong, exact)


# ------------------------------------------------------------------ loss and gradient


def naive_values(theta, x, family):
    """Values (n, m) and derivatives (n, m, d) of all neurons."""
    if family == "bump":
        u = np.multiply.outer(x, theta[:, 0]) + theta[:, 1]
        e = np.exp(-(u**2) / 2)
        by_u = -theta[:, 2] * u * e
        return theta[:, 2] * e, np.stack([by_u * x[:, None], by_u, e], axis=2)
    if family == "ridge":
        u = np.multiply.outer(x, theta[:, 0]) + theta[:, 1]
        e = np.exp(-(u**2) / 2)
        return e, np.stack([-u * e * x[:, None], -u * e], axis=2)
    gap = x[:, None] - theta[:, 0]
    e = np.exp(-(gap**2) / (2 * BANDWIDTH**2))
    return e, (e * gap / BANDWIDTH**2)[:, :, None]


def naive_loss_and_gradient(parameters, weights, x, y, family):
    d = PARAMETERS[family]
    m = parameters.size // (d + 1) if weights is None else weights.size
    theta, w = parameters[: m * d].reshape(m, d), weights
    if weights is None:
        w = parameters[m * d :]
    values, derivatives = naive_values(theta, x, family)
    residual = values @ w - y
    by_theta = np.einsum("n,nmd,m->md", residual, derivatives, w) / x.size
    gradient = by_theta.ravel()
    if weights is None:
        gradient = np.concatenate([gradient, residual @ values / x.size])
    return np.mean(residual**2) / 2, gradient


def problem(family, trained, m=3, n=37, seed=4):
    rng = np.random.default_rng(seed)
    d = PARAMETERS[family]
    theta = rng.normal(size=m * d)
    weights = rng.uniform(0.5, 1.5, size=m) * rng.choice([-1, 1], size=m)
    x = rng.uniform(-3, 3, size=n)
    y = np.sin(2 * x) + 0.1 * rng.normal(size=n)
    if trained:
        return np.concatenate([theta, weights]), None, x, y
    return theta, weights, x, y


def assert_loss_and_gradient(function, arguments, family):
    loss, gradient = function(*arguments, family=family, bandwidth=BANDWIDTH)
    expected_loss, expected_gradient = naive_loss_and_gradient(*arguments, family)
    scale = 1 + np.abs(expected_gradient).max() + expected_loss  # 1: the size of the targets
    assert abs(loss - expected_loss) <= GRADIENT_TOLERANCE * scale
    assert gradient.shape == expected_gradient.shape
    assert (np.abs(gradient - expected_gradient) <= GRADIENT_TOLERANCE * scale).all()


@given(
    st.sampled_from(FAMILIES),
    st.booleans(),
    st.integers(1, 5),
    st.integers(1, 70),
    st.integers(0, 2**32),
)
def test_loss_and_gradient_agree_with_the_twin(family, trained, m, n, seed):
    arguments = problem(family, trained, m, n, seed)
    assert_loss_and_gradient(toy_training.gaussian_loss_and_gradient, arguments, family)


@pytest.mark.compiled
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n", [31, 32, 33, 511, 512, 513, 1000, 1500])
def test_loss_and_gradient_at_the_edges_of_blocks(family, n):
    arguments = problem(family, True, 4, n)
    assert_loss_and_gradient(toy_training.gaussian_loss_and_gradient, arguments, family)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("trained", [False, True])
def test_gradient_is_the_derivative_of_the_loss(family, trained):
    # Central differences, whose error here is about 1e-9: an oracle without a formula.
    parameters, weights, x, y = problem(family, trained)

    def loss(p):
        return toy_training.gaussian_loss_and_gradient(
            p, weights, x, y, family=family, bandwidth=BANDWIDTH
        )[0]

    step = 1e-5
    units = step * np.eye(parameters.size)
    slopes = [(loss(parameters + e) - loss(parameters - e)) / (2 * step) for e in units]
    gradient = toy_training.gaussian_loss_and_gradient(
        parameters, weights, x, y, family=family, bandwidth=BANDWIDTH
    )[1]
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_gradients_are_noticed(family):
    arguments = problem(family, True)
    right = toy_training.gaussian_loss_and_gradient

    def wrong(change):
        return lambda *args, **options: change(*right(*args, **options))

    assert_loss_and_gradient(right, arguments, family)
    for change in (
        lambda loss, gradient: (2 * loss, gradient),  # without the 1/2
        lambda loss, gradient: (loss, gradient * arguments[2].size),  # sum in place of the mean
        lambda loss, gradient: (loss, -gradient),
        lambda loss, gradient: (loss, np.roll(gradient, 1)),  # another layout
        lambda loss, gradient: (loss, gradient * (1 + 1e-11)),
    ):
        with pytest.raises(AssertionError):
            assert_loss_and_gradient(wrong(change), arguments, family)


@pytest.mark.parametrize("trained", [False, True])
def test_a_ridge_is_a_bump_whose_amplitude_is_its_output_weight(trained):
    parameters, weights, x, y = problem("ridge", trained)
    theta = parameters[:6].reshape(3, 2)
    amplitudes = parameters[6:] if trained else weights
    bumps = np.column_stack([theta, amplitudes]).ravel()
    loss, gradient = toy_training.gaussian_loss_and_gradient(bumps, np.ones(3), x, y)
    by_bump = gradient.reshape(3, 3)
    expected = by_bump[:, :2].ravel()
    if trained:
        expected = np.concatenate([expected, by_bump[:, 2]])
    same = toy_training.gaussian_loss_and_gradient(parameters, weights, x, y, family="ridge")
    assert same[0] == loss
    np.testing.assert_array_equal(same[1], expected)


def test_overflow_of_the_network_is_seen_in_the_loss():
    loss, gradient = toy_training.gaussian_loss_and_gradient([0, 0, 1e200], [1.0], [0.0], [0.0])
    assert loss == np.inf and gradient.shape == (3,)


# ------------------------------------------------------------------ descent


def naive_descent(arguments, family, optimizer, steps):
    p, weights, x, y = arguments
    p = p.copy()
    first, second, losses = np.zeros_like(p), np.zeros_like(p), []
    rate = RATES[optimizer]
    for t in range(1, steps + 1):
        loss, g = naive_loss_and_gradient(p, weights, x, y, family)
        losses.append(loss)
        if optimizer == "gd":
            p -= rate * g
        elif optimizer == "momentum":
            first = 0.9 * first + g
            p -= rate * first
        elif optimizer == "adam":
            first = 0.9 * first + (1 - 0.9) * g
            second = 0.999 * second + (1 - 0.999) * g**2
            p -= rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        else:
            second = second + g**2
            p -= rate * g / (np.sqrt(second) + 1e-10)
    losses.append(naive_loss_and_gradient(p, weights, x, y, family)[0])
    return p, first, second, np.array(losses)


def descend(arguments, family, optimizer, steps, **options):
    settings = {
        "family": family,
        "bandwidth": BANDWIDTH,
        "optimizer": optimizer,
        "learning_rate": RATES.get(optimizer),
        "steps": steps,
    }
    return toy_training.gaussian_descent(*arguments, **(settings | options))


def assert_descent(result, expected):
    names = ("parameters", "first", "second", "losses")
    for name, value in zip(names, expected, strict=True):
        assert np.abs(getattr(result, name) - value).max() <= ITERATE_TOLERANCE, name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("trained", [False, True])
def test_descent_agrees_with_the_twin(family, optimizer, trained):
    arguments = problem(family, trained)
    result = descend(arguments, family, optimizer, 12)
    assert_descent(result, naive_descent(arguments, family, optimizer, 12))
    assert result.status == toy_training.STEPS_TAKEN
    assert result.count == 12 and result.losses.shape == (13,)
    assert result.losses[-1] < result.losses[0]


@pytest.mark.compiled
@pytest.mark.parametrize("m", [1, 8])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_2000_steps_agree_with_the_twin(m, optimizer):
    arguments = problem("bump", False, m=m, n=1000, seed=5)
    result = descend(arguments, "bump", optimizer, 2000)
    assert_descent(result, naive_descent(arguments, "bump", optimizer, 2000))


def test_wrong_optimizers_are_noticed():
    arguments = problem("bump", False)
    expected = naive_descent(arguments, "bump", "adam", 12)
    assert_descent(descend(arguments, "bump", "adam", 12), expected)
    for wrong in (
        descend(arguments, "bump", "adam", 12, count=1),  # another bias correction
        descend(arguments, "bump", "adam", 12, learning_rate=RATES["adam"] * (1 + 1e-9)),
        descend(arguments, "bump", "gd", 12),
    ):
        with pytest.raises(AssertionError):
            assert_descent(wrong, expected)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_phase_cut_in_two_ends_at_the_same_bits(family, optimizer):
    parameters, _, x, y = problem(family, True)
    whole = descend((parameters, None, x, y), family, optimizer, 9)
    half = descend((parameters, None, x, y), family, optimizer, 4)
    rest = descend(
        (half.parameters, None, x, y), family, optimizer, 5,
        first=half.first, second=half.second, count=half.count,
    )  # fmt: skip
    np.testing.assert_array_equal(rest.parameters, whole.parameters)
    np.testing.assert_array_equal(rest.first, whole.first)
    np.testing.assert_array_equal(rest.second, whole.second)
    np.testing.assert_array_equal(np.concatenate([half.losses, rest.losses[1:]]), whole.losses)
    assert rest.count == whole.count == 9


def test_no_steps_evaluate_the_loss_only():
    arguments = problem("bump", False)
    result = descend(arguments, "bump", "adam", 0)
    np.testing.assert_array_equal(result.parameters, arguments[0])
    loss = toy_training.gaussian_loss_and_gradient(*arguments)[0]
    np.testing.assert_array_equal(result.losses, [loss])
    assert result.status == toy_training.STEPS_TAKEN and result.count == 0


def test_descent_stops_where_the_gradient_is_small():
    arguments = problem("bump", False, m=1)
    _, weights, x, y = arguments
    free = descend(arguments, "bump", "gd", 40)
    norms = []
    for steps in range(41):
        at = descend(arguments, "bump", "gd", steps).parameters
        norms.append(np.linalg.norm(naive_loss_and_gradient(at, weights, x, y, "bump")[1]))
    gtol = 0.5 * (min(norms[:20]) + norms[20])
    first = int(np.argmax(np.array(norms) <= gtol))
    assert 0 < first < 40  # otherwise the test shows nothing
    result = descend(arguments, "bump", "gd", 40, gtol=gtol)
    assert result.status == toy_training.STATIONARY
    assert result.count == first
    np.testing.assert_array_equal(result.losses, free.losses[: first + 1])
    # At the last iterate it counts as well, and one step earlier it does not.
    assert descend(arguments, "bump", "gd", first, gtol=gtol).status == toy_training.STATIONARY
    assert descend(arguments, "bump", "gd", first - 1, gtol=gtol).status == toy_training.STEPS_TAKEN


def test_a_stationary_start_stops_at_once_only_when_asked_to():
    arguments = ([1.0, 0.0, 0.0], [0.0], [0.5, 1.0], [0.0, 0.0])  # output and weight are zero
    assert descend(arguments, "bump", "adam", 5).status == toy_training.STEPS_TAKEN
    result = descend(arguments, "bump", "adam", 5, gtol=1e-12)
    assert result.status == toy_training.STATIONARY and result.count == 0
    assert result.losses.shape == (1,)


def diverging(family):
    """A constant network on a constant target, far from which it is pulled by too large steps."""
    if family == "bump":
        return [0.0, 0.0, 1.0, 0.0, 0.0, -0.5], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]
    if family == "ridge":
        return [0.0, 0.0, 0.0, 0.0, 1.0, 0.5], None, [0.0, 0.0], [0.0, 0.0]
    return [0.0, 0.0, 1.0, 0.5], None, [0.0, 0.0], [0.0, 0.0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("optimizer", ["gd", "momentum"])
def test_divergence_is_a_status_and_keeps_the_last_finite_state(family, optimizer):
    arguments = diverging(family)
    options = {"learning_rate": 1e20}
    result = descend(arguments, family, optimizer, 50, **options)
    assert result.status == toy_training.DIVERGED
    assert 0 < result.count < 50 and result.losses.shape == (result.count + 1,)
    for value in (result.parameters, result.first, result.second, result.losses):
        assert np.isfinite(value).all()
    loss, gradient = toy_training.gaussian_loss_and_gradient(
        result.parameters, *arguments[1:], family=family, bandwidth=BANDWIDTH
    )
    assert loss == result.losses[-1] and np.isfinite(gradient).all()
    # It is the iterate that a run of so many steps ends at, and the next one is not finite.
    short = descend(arguments, family, optimizer, result.count, **options)
    np.testing.assert_array_equal(short.parameters, result.parameters)
    np.testing.assert_array_equal(short.first, result.first)
    assert short.status == toy_training.STEPS_TAKEN
    longer = descend(arguments, family, optimizer, result.count + 1, **options)
    assert longer.status == toy_training.DIVERGED and longer.count == result.count


def test_divergence_is_noticed_at_the_first_iterate_that_overflows():
    # x <- x - 3 x: after k steps x = (-2)^k and the loss 2^(2 k - 1), an overflow at k = 513.
    result = descend(([0.0, 0.0, 1.0], [1.0], [0.0], [0.0]), "bump", "gd", 600, learning_rate=3.0)
    assert result.status == toy_training.DIVERGED
    assert result.losses.size == result.count + 1 == 513
    assert result.parameters[2] == 2.0**512


def test_a_start_that_is_not_finite_diverges_without_a_step():
    result = descend(([0.0, 0.0, 1e200], [1.0], [0.0], [0.0]), "bump", "adam", 7)
    assert result.status == toy_training.DIVERGED and result.count == 0
    np.testing.assert_array_equal(result.parameters, [0.0, 0.0, 1e200])
    np.testing.assert_array_equal(result.losses, [np.inf])


def test_descent_accepts_any_real_layout_and_changes_nothing():
    parameters, weights, x, y = (2 * A.round() for A in problem("bump", False))
    expected = descend((parameters, weights, x, y), "bump", "adam", 3)
    for convert in (
        lambda A: A.astype(np.float32),
        lambda A: A.astype(int),
        lambda A: A[::-1][::-1],
    ):
        inputs = [convert(A) for A in (parameters, weights, x, y)]
        moments = [np.zeros(9), np.zeros(9)]
        for A in inputs + moments:
            A.flags.writeable = False
        result = descend(inputs, "bump", "adam", 3, first=moments[0], second=moments[1])
        np.testing.assert_array_equal(result.parameters, expected.parameters)
        for A, B in zip(inputs, (parameters, weights, x, y), strict=True):
            np.testing.assert_array_equal(A, B)
        assert not moments[0].any() and not moments[1].any()


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"parameters": np.ones(5)}, ValueError, r"parameters must hold 3 numbers .*\(5,\)"),
        ({"parameters": np.ones((2, 3))}, ValueError, r"parameters must be 1-D .*\(2, 3\)"),
        (
            {"weights": None},
            ValueError,
            r"then a weight for each, shape \(4 m,\); got shape \(6,\)",
        ),
        ({"weights": [1.0, np.nan]}, ValueError, r"weights must be finite; got nan at index 1"),
        (
            {"weights": None, "family": "ridge", "parameters": np.ones(7)},
            ValueError,
            r"parameters must hold 2 numbers for each ridge, .*\(3 m,\); got shape \(7,\)",
        ),
        ({"x": np.ones((4, 1))}, ValueError, r"x must be 1-D .*Use X\[:, 0\]"),
        ({"y": np.ones(3)}, ValueError, r"y must have shape \(4,\); got shape \(3,\).*each entry"),
        ({"y": np.ones((4, 1))}, ValueError, r"y must be 1-D .*\(4, 1\)"),
        ({"x": []}, ValueError, r"x must not be empty"),
        ({"family": "bumb"}, ValueError, r"family must be one of .*Did you mean 'bump'"),
        ({"optimizer": "adams"}, ValueError, r"optimizer must be one of .*'adam'"),
        ({"optimizer": 3}, TypeError, r"optimizer must be one of"),
        ({"bandwidth": 0.0}, ValueError, r"bandwidth must be a finite number > 0; got 0.0"),
        ({"learning_rate": -1.0}, ValueError, r"learning_rate must be a finite number > 0"),
        ({"learning_rate": "fast"}, TypeError, r"learning_rate must be a number"),
        ({"gtol": -1e-3}, ValueError, r"gtol must be a finite number >= 0"),
        ({"steps": -1}, ValueError, r"steps must be an integer >= 0; got -1"),
        ({"steps": 2.5}, TypeError, r"steps must be an integer >= 0; got 2.5"),
        ({"count": -1}, ValueError, r"count must be an integer >= 0"),
        ({"first": np.zeros(2)}, ValueError, r"first must have shape \(6,\)"),
        ({"second": -np.ones(6)}, ValueError, r"second must not be negative; got -1.0"),
    ],
)
def test_descent_refuses_wrong_input(change, error, message):
    arguments = {
        "parameters": np.ones(6),
        "weights": np.ones(2),
        "x": np.arange(4.0),
        "y": np.ones(4),
        "learning_rate": 0.1,
        "steps": 2,
    }
    with pytest.raises(error, match=message):
        toy_training.gaussian_descent(**(arguments | change))


@pytest.mark.compiled
def test_long_phases_hold_no_more_than_their_losses():
    arguments = problem("bump", False, m=8, n=1000)
    descend(arguments, "bump", "adam", 1)
    tracemalloc.start()
    try:
        result = descend(arguments, "bump", "adam", 5000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.losses.nbytes < peak < result.losses.nbytes + 1e6
