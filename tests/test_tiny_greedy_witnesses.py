"""TINY section 5: which neurons lower the squared loss, together, alone, small, or at random.

Oracles: integers and fractions where a case can be solved by hand; `oracles.output` for networks.
Identities of polynomials in (w, b) are proven by their values on a grid larger than their degrees.
"""

from fractions import Fraction
from itertools import product

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generators

from refgrow import activations, growth, losses, tiny_greedy
from refgrow.activations import Activation
from refgrow.networks import MLP

ROUNDING = 1e-9  # Relative to the loss; amplitudes are up to 1e3 here.
SIGMAS = 5  # Standard errors of a share of random neurons.

NO_POLYNOMIALS = ("relu", "selu", "tanh", "softplus", "sine", "gelu", "gaussian", "sigmoid")
LINE = np.arange(4.0)[:, None]
THIRD_DIFFERENCE = np.array([[-1.0, 3, -3, 1]]).T
SECOND_DIFFERENCE = np.array([[1.0, -2, 1]]).T
THREE = np.array([[-1.0], [0], [1]])

hardtanh = Activation(
    "hardtanh", lambda z: np.clip(z, -1, 1), lambda z: 1.0 * (abs(z) < 1), lambda z: 0.0 * z
)


def _outside(z):
    """0 on [-1, 1], smooth everywhere."""
    beyond = np.abs(z) - 1
    return np.where(beyond > 0, np.exp(-1 / np.where(beyond > 0, beyond, 1)), 0.0)


def _flat(z):
    """Smooth, and all its derivatives at 0 vanish."""
    return np.where(z == 0, 0.0, np.exp(-1 / np.where(z == 0, 1, z * z)))


outside = Activation("outside", _outside, _outside, None)
flat = Activation("flat", _flat, _flat, None)
cubic = Activation("cubic", lambda z: z + z**3, lambda z: 1 + 3 * z**2, lambda z: 6 * z)


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


def grown(network, witness):
    plan = growth.Plan((growth.Add(0, witness.fan_in, witness.fan_out),), 1.0, 0.0, 0, 1)
    return growth.apply(network, plan)


def squared_loss(network, X, Y):
    return oracles.losses("squared", oracles.output(network, network.arrays, X), Y).mean()


@st.composite
def networks(draw, names=NO_POLYNOMIALS):
    """An MLP with one hidden layer, distinct samples and targets."""
    rng, d, p = draw(generators), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    X = rng.permutation(np.arange(n))[:, None] + rng.uniform(-0.3, 0.3, size=(n, d))
    weights = [rng.normal(size=(m, d + 1)), rng.normal(size=(p, m + 1))]
    return MLP(weights, draw(st.sampled_from(names))), X, rng.normal(size=(n, p))


# Proposition 5.1 ------------------------------------------------------------------------------


@pytest.mark.statement("TINY-Prop-5.1")
@given(networks())
def test_a_set_of_neurons_fits_any_distinct_samples(evidence, problem):
    network, X, Y = problem
    R = Y - oracles.output(network, network.arrays, X)
    witness = tiny_greedy.neuron_set(network.activation, with_ones(X), R)
    before, after = squared_loss(network, X, Y), squared_loss(grown(network, witness), X, Y)
    evidence.worst("loss left by at most n neurons, relative", after / before)
    assert len(witness.fan_in) <= len(X)
    assert after <= ROUNDING * before
    assert abs(before - after - witness.decrease) <= ROUNDING * before
    # Negative control: one neuron fewer than samples does not fit them.
    if len(X) > 1 and len(witness.fan_in) == len(X):
        H = network.activation.value(with_ones(X) @ witness.fan_in[1:].T)
        assert np.linalg.norm(R - H @ np.linalg.lstsq(H, R)[0]) > 1e-6 * np.linalg.norm(R)


@pytest.mark.statement("TINY-Prop-5.1")
@pytest.mark.parametrize(("name", "degree"), [("identity", 1), ("quadratic", 2), (cubic, 3)])
def test_polynomials_reach_polynomials_and_no_more(name, degree, evidence):
    X = np.arange(-3.0, 4)[:, None]
    R = np.random.default_rng(degree).normal(size=(7, 1))
    witness = tiny_greedy.neuron_set(name, with_ones(X), R)
    V = np.vander(X[:, 0], degree + 1)
    rest = R - V @ np.linalg.lstsq(V, R)[0]
    evidence(f"independent neurons of degree {degree} on 7 samples", len(witness.fan_in))
    assert len(witness.fan_in) == degree + 1
    decrease = ((R**2).mean() - (rest**2).mean()) / 2
    assert abs(witness.decrease - decrease) < ROUNDING
    stuck = tiny_greedy.neuron_set(name, with_ones(X), rest)
    assert stuck.decrease == 0 and not stuck.fan_out.any() and len(stuck.fan_in) == 1
    # Negative control: relu does go on.
    assert tiny_greedy.neuron_set("relu", with_ones(X), rest).decrease > 0.1 * (rest**2).mean()


@pytest.mark.statement("TINY-Prop-5.1", "TINY-Prop-5.2")
def test_no_quadratic_neuron_sees_a_third_difference(evidence):
    """An identity in (w, b) of degree 2: nine integer points prove it."""
    values = []
    for w, b in product(range(3), repeat=2):
        g = [(w * x + b) + (w * x + b) ** 2 for x in range(4)]
        values.append(-g[0] + 3 * g[1] - 3 * g[2] + g[3])
        # Negative control: a second difference is seen.
        assert w == 0 or g[0] - 2 * g[1] + g[2] == 2 * w**2
    assert values == [0] * 9
    B = with_ones(LINE)
    assert tiny_greedy.single_neuron("quadratic", B, THIRD_DIFFERENCE).decrease == 0
    assert tiny_greedy.neuron_set("quadratic", B, THIRD_DIFFERENCE).decrease == 0
    evidence("stuck", "sigma(t) = t + t^2, x = 0, 1, 2, 3, f* - f = (-1, 3, -3, 1)")


@pytest.mark.statement("TINY-Prop-5.1", "TINY-Prop-5.2")
@pytest.mark.parametrize(
    ("name", "X", "R"),
    [("relu", [1, 2], [2, -1]), ("tanh", [-1, 1], [1, 1]), ("sine", [-1, 1], [1, 1]),
     ("tanh", [0], [1]), ("relu", [0], [1]), ("selu", [0], [1])],
)  # fmt: skip
def test_without_a_bias_there_may_be_no_neuron(name, X, R, evidence):
    X, R = np.array(X, float)[:, None], np.array(R, float)[:, None]
    assert tiny_greedy.single_neuron(name, X, R).decrease == 0
    assert tiny_greedy.neuron_set(name, X, R).decrease == 0
    # Negative control: with a bias there is.
    with_bias = tiny_greedy.neuron_set(name, with_ones(X), R)
    assert abs(with_bias.decrease - (R**2).mean() / 2) < ROUNDING
    assert tiny_greedy.single_neuron(name, with_ones(X), R).decrease > 0.01
    evidence(f"{name}, x = {X[:, 0]}, f* - f = {R[:, 0]}", "stuck without a bias")


@pytest.mark.statement("TINY-Prop-5.1")
@pytest.mark.parametrize("name", ["tanh", "softplus", "sine"])
def test_samples_next_to_each_other_are_told_apart(name):
    R = np.array([[1.0], [-1]])
    witness = tiny_greedy.neuron_set(name, [[0.5, 1], [0.5 + 1e-4, 1]], R)
    assert witness.decrease == pytest.approx(0.5) and np.abs(witness.fan_out).max() > 1e3


@pytest.mark.statement("TINY-Prop-5.1")
@pytest.mark.parametrize("name", NO_POLYNOMIALS)
def test_samples_that_contradict_each_other_leave_their_variance(name):
    X, R = np.array([[0.0], [0], [1]]), np.array([[1.0], [-1], [2]])
    witness = tiny_greedy.neuron_set(name, with_ones(X), R)
    assert abs((R**2).mean() / 2 - witness.decrease - 1 / 3) < ROUNDING
    assert tiny_greedy.neuron_set(name, with_ones(X), R * [[1], [1], [0]]).decrease == 0


# Proposition 5.2 ------------------------------------------------------------------------------


@pytest.mark.statement("TINY-Prop-5.2")
@given(networks())
def test_a_single_neuron_lowers_the_loss(evidence, problem):
    network, X, Y = problem
    R = Y - oracles.output(network, network.arrays, X)
    witness = tiny_greedy.single_neuron(network.activation, with_ones(X), R)
    before, after = squared_loss(network, X, Y), squared_loss(grown(network, witness), X, Y)
    evidence.worst("what one neuron leaves, relative", after / before)
    assert witness.fan_in.shape[0] == 1
    assert witness.decrease > 0 and after < before
    assert abs(before - after - witness.decrease) <= ROUNDING * before
    assert abs(losses.squared.value(network(X), Y) - before) <= ROUNDING * before
    # Its amplitude is the best one; negative control: the opposite one raises the loss.
    for factor, lower in ((0.9, True), (1.1, True), (-0.5, False)):
        other = squared_loss(grown(network, witness._replace(fan_out=factor * witness.fan_out)),
                             X, Y)  # fmt: skip
        assert other > after and (other < before) == lower


@pytest.mark.statement("TINY-Prop-5.2")
@given(st.integers(1, 5), st.integers(1, 6), generators)
def test_a_set_helps_exactly_where_one_of_it_does(n, N, rng):
    """Whatever the neurons are. In integers: R orthogonal to all, or not."""
    H = rng.integers(-2, 3, size=(n, N))
    for R in (rng.integers(-2, 3, size=n), _orthogonal(H, rng)):
        alone = any(int(R @ h) for h in H.T)
        rest = R - H @ np.linalg.lstsq(H.astype(float), R.astype(float))[0]
        assert alone == (R @ R - rest @ rest > 1e-9)
        for h in H.T:  # t h lowers |R - t h|^2 by <R, h>^2 / |h|^2 at the best t.
            if R @ h:
                t = Fraction(int(R @ h), int(h @ h))
                left = sum((int(r) - t * int(v)) ** 2 for r, v in zip(R, h, strict=True))
                assert left == int(R @ R) - t * int(R @ h) < int(R @ R)


def _orthogonal(H, rng):
    """An integer vector orthogonal to all columns of H; zero where 50 draws find no other."""
    for _ in range(50):
        R = rng.integers(-2, 3, size=len(H))
        if not (R @ H).any():
            return R
    return np.zeros(len(H), dtype=int)


@pytest.mark.statement("TINY-Prop-5.2")
def test_the_printed_gradient_has_the_wrong_sign():
    """n = 1, f* - f = 1: a negative component over g = 2 (f* - f) raises the loss."""
    r, g = 1, 2 * 1
    neuron = Fraction(-1, 10)
    assert neuron * g < 0 and (r - neuron) ** 2 > r**2
    # Negative control: over the gradient 2 (f - f*) it is as the proof says.
    assert -neuron * -g < 0 and (r + neuron) ** 2 < r**2


@pytest.mark.statement("TINY-Prop-5.2-share")
def test_neurons_that_only_together_do_what_each_should_do_half_of(evidence):
    """Two relu neurons on x = 1, 2: 2x - 1 and -(5 - 2x), which fit R = (-2, 2) together."""
    h = [[max(2 * x - 1, 0), -max(5 - 2 * x, 0)] for x in (1, 2)]
    R = [-2, 2]
    assert [sum(row) for row in h] == R
    before = sum(r * r for r in R)
    alone = [before - sum((r - row[i]) ** 2 for r, row in zip(R, h, strict=True)) for i in (0, 1)]
    best = [
        Fraction(sum(r * row[i] for r, row in zip(R, h, strict=True)) ** 2,
                 sum(row[i] ** 2 for row in h)) for i in (0, 1)
    ]  # fmt: skip
    assert before == 8 and alone == [-2, -2] and best == [Fraction(8, 5)] * 2
    assert max(best) < Fraction(before, 2)
    evidence("decrease, together; each as it is; each at its best amplitude", "8; -2; 8/5 < 8/2")
    found = tiny_greedy.shares(h, R)
    assert np.allclose(4 * np.array([found.joint, found.scaled_joint]), before)
    assert np.allclose(4 * found.singles, alone)
    assert np.allclose(4 * found.scaled_singles, [float(b) for b in best])
    assert np.allclose(4 * found.bound, 8 / 5)  # Attained.
    assert found.slopes.tolist() == [2, 2]  # <R, h_i> / n: the claim, at first order.
    # Negative control: neurons that do not work against each other keep the share.
    aligned = tiny_greedy.shares(np.abs(h), np.abs(R))
    assert aligned.scaled_singles.max() >= aligned.scaled_joint / 2


@pytest.mark.statement("TINY-Prop-5.2-share")
def test_one_sample_is_enough_as_the_amplitudes_are(evidence):
    found = tiny_greedy.shares([[3.0, -2.0]], [1.0])
    assert found.joint == 0.5 and found.singles.tolist() == [-1.5, -4.0]
    assert np.allclose(found.scaled_singles, 0.5)
    evidence("x = 1, R = 1, 3 relu(x) - 2 relu(x): together, each", "1, -3 and -8")


@pytest.mark.statement("TINY-Prop-5.2-share", "TINY-share-new")
@given(st.integers(1, 6), st.integers(1, 5), generators)
def test_what_holds_of_the_share(evidence, n, N, rng):
    H, R = rng.normal(size=(n, N)), rng.normal(size=n)
    R = R if rng.random() < 0.5 else H.sum(axis=1)
    found, slack = tiny_greedy.shares(H, R), 1e-12 * (R @ R + (H**2).sum())
    assert found.slopes.max() >= found.slopes.sum() / N - slack
    assert found.scaled_singles.max() >= found.bound - slack
    norms = np.linalg.norm(H, axis=0)
    least = np.linalg.eigvalsh((H / norms).T @ (H / norms))[0]
    refitted = H @ np.linalg.lstsq(H, R)[0]
    assert found.scaled_singles.max() >= least / N * (refitted @ refitted) / (2 * n) - slack
    positive = tiny_greedy.shares(np.abs(H), R)
    assert positive.scaled_singles.max() >= positive.scaled_joint / N - slack
    # The decreases themselves, by the loss.
    loss = ((R - H.sum(axis=1)) ** 2).mean() / 2
    assert abs((R**2).mean() / 2 - loss - found.joint) <= slack
    evidence.worst("joint decrease over the best single one and N", _excess(found, N))


def _excess(found, N):
    return found.scaled_joint / N / max(found.scaled_singles.max(), 1e-300)


# Proposition 5.3 ------------------------------------------------------------------------------


@pytest.mark.statement("TINY-Prop-5.3")
@pytest.mark.parametrize("name", [*NO_POLYNOMIALS, "quadratic", flat])
def test_small_neurons_lower_the_loss(name, evidence):
    for reach in (1.0, 0.1, 0.05 if name is flat else 0.01):
        witness = tiny_greedy.single_neuron(name, with_ones(THREE), SECOND_DIFFERENCE, reach=reach)
        label = getattr(name, "name", name)
        evidence(f"share of the loss, {label}, weights below {reach}", witness.decrease)
        assert np.abs(witness.fan_in).max() <= reach
        assert witness.decrease > 0
        H = activations.get(name).value(with_ones(THREE) @ witness.fan_in.T)
        after = ((SECOND_DIFFERENCE - H @ witness.fan_out.T) ** 2).mean() / 2
        assert after == pytest.approx(1 - witness.decrease, abs=1e-14)  # 1: the loss before.
        along = (SECOND_DIFFERENCE * H).sum() / np.linalg.norm(H)
        assert witness.decrease == pytest.approx(along**2 / 6, rel=1e-6)
        # Negative control: what all these neurons share at small weights, lines, sees nothing.
        assert tiny_greedy.single_neuron("identity", with_ones(THREE), SECOND_DIFFERENCE,
                                         reach=reach).decrease == 0  # fmt: skip


@pytest.mark.statement("TINY-Prop-5.3")
def test_an_activation_may_be_linear_near_zero_without_being_a_polynomial(evidence):
    B = with_ones(THREE)
    # In fractions: hardtanh is the identity as long as |w| + |b| <= 1.
    grid = [Fraction(k, 10) for k in range(-10, 11)]
    for w, b in product(grid, repeat=2):
        g = [min(max(w * x + b, -1), 1) for x in (-1, 0, 1)]
        if abs(w) + abs(b) <= 1:
            assert g[0] - 2 * g[1] + g[2] == 0
    clipped = [min(max(2 * x - 1, -1), 1) for x in (-1, 0, 1)]
    assert clipped[0] - 2 * clipped[1] + clipped[2] == 2
    assert tiny_greedy.single_neuron(hardtanh, B, SECOND_DIFFERENCE, reach=0.5).decrease == 0
    assert tiny_greedy.single_neuron(hardtanh, B, SECOND_DIFFERENCE, reach=2).decrease > 0.01
    # Small weights and any bias will do.
    bent = tiny_greedy.single_neuron(hardtanh, B, SECOND_DIFFERENCE, reach=[0.01, 2])
    assert bent.decrease > 0 and abs(bent.fan_in[0, 0]) <= 0.01
    evidence("hardtanh, x = -1, 0, 1, f* - f = (1, -2, 1)", "nothing below |w| + |b| = 1")
    # Smooth, and nothing at all near zero, for a single sample.
    one = np.ones((1, 1))
    assert tiny_greedy.single_neuron(outside, with_ones(one), one, reach=0.5).decrease == 0
    assert tiny_greedy.single_neuron(outside, with_ones(one), one, reach=3).decrease == 0.5


@pytest.mark.statement("TINY-Prop-5.3")
@given(generators, st.sampled_from([1, 2, 3]))
def test_near_zero_a_polynomial_sees_polynomials_of_its_degree(rng, degree):
    name = {1: hardtanh, 2: "quadratic", 3: cubic}[degree]
    X = np.sort(rng.uniform(-1, 1, size=6))[:, None] + np.arange(6)[:, None] / 5
    X /= np.abs(X).max()
    V = np.vander(X[:, 0], degree + 1)
    R = rng.normal(size=(6, 1))
    blind = R - V @ np.linalg.lstsq(V, R)[0]
    blind -= V @ np.linalg.lstsq(V, blind)[0]
    assert tiny_greedy.single_neuron(name, with_ones(X), blind, reach=0.5).decrease == 0
    seen = blind + V[:, :1] * np.abs(blind).max()
    assert tiny_greedy.single_neuron(name, with_ones(X), seen, reach=0.5).decrease > 0


@pytest.mark.statement("TINY-Prop-5.3")
def test_a_small_neuron_gains_little(evidence):
    """x^2 less its mean: the linear part fills the neuron's norm unless a kink is in reach."""
    X = np.linspace(-1, 1, 9)[:, None]
    R = X**2 - (X**2).mean()
    gains = {}
    for name in ("softplus", "relu"):
        # sigma(0) = log 2 is taken off: a constant that the next bias makes up for.
        plain = activations.get(name)
        centred = Activation(name, lambda z, f=plain.value: f(z) - f(0 * z), plain.derivative, None)
        gains[name] = [tiny_greedy.single_neuron(centred, with_ones(X), R, reach=eps).decrease
                       / (R**2).mean() * 2 for eps in (0.1, 0.01, 0.001)]  # fmt: skip
        evidence(f"share of the loss, {name}, weights below .1, .01, .001",
                 ", ".join(f"{g:.2g}" for g in gains[name]))  # fmt: skip
    rates = np.diff(np.log10(gains["softplus"]))
    assert np.allclose(rates, -2, atol=0.1)
    assert np.allclose(np.diff(np.log10(gains["relu"])), 0, atol=1e-6)  # Negative control.


# Random neurons -------------------------------------------------------------------------------

FOUR = np.array([[-1.0], [-0.5], [0.5], [1.0]])
EVEN = np.array([1.0, -1, -1, 1])


@pytest.mark.statement("TINY-random")
@pytest.mark.parametrize(
    ("name", "bias", "share"),
    [("tanh", True, 1), ("sine", True, 1), ("softplus", True, 1), ("selu", True, 3 / 4),
     ("relu", True, 1 / 2), ("tanh", False, 0), ("sine", False, 0), ("identity", True, 0)],
)  # fmt: skip
def test_shares_of_random_neurons_that_help(name, bias, share, evidence):
    """Normal weight and bias. selu is affine on all samples with probability P(b > |w|) = 1/4,
    relu dead as often again."""
    draws = 20000
    B = with_ones(FOUR) if bias else FOUR
    found = tiny_greedy.lowering_shares(name, B, EVEN, draws=draws, rng=1)
    evidence(f"{name}, {'' if bias else 'no '}bias: sign free, sign fixed",
             f"{found.free:.4f}, {found.fixed:.4f}")  # fmt: skip
    for value, expected in ((found.free, share), (found.fixed, share / 2)):
        error = np.sqrt(expected * (1 - expected) / draws)
        assert abs(value - expected) <= SIGMAS * error + 1e-3 * (expected > 0)
    # Negative control: the print's probability one, of a neuron with random signs.
    assert found.fixed < 0.6


@pytest.mark.statement("TINY-random")
def test_small_random_neurons_of_a_locally_linear_activation_never_help(evidence):
    at = {scale: tiny_greedy.lowering_shares(hardtanh, with_ones(FOUR), EVEN, scale=scale)
          for scale in (0.1, 1.0)}  # fmt: skip
    evidence("hardtanh, scale 0.1 and 1: sign free", f"{at[0.1].free}, {at[1.0].free:.3f}")
    assert at[0.1].free == 0 and 0.5 < at[1.0].free < 0.7


@pytest.mark.statement("TINY-random")
@pytest.mark.parametrize("eps", [0.1, 0.01])
def test_small_random_neurons_raise_the_loss_where_they_do_not_correlate(eps, evidence):
    """XOR, tanh, fan-outs +-1: no first and no second order, and every one does harm."""
    bits = np.array(list(product([-1.0, 1.0], repeat=2)))
    v, rng = bits.prod(axis=1), np.random.default_rng(1)
    for B in (bits, with_ones(bits)):
        alpha = rng.normal(size=(B.shape[1], 5000))
        H = rng.choice([-1.0, 1.0], size=5000) * np.tanh(eps * B @ alpha)
        changes = ((v[:, None] - H) ** 2).mean(axis=0) / 2 - 1 / 2
        expected = eps**2 / 2 * (alpha**2).sum(axis=0)  # (sigma'(0)^2 / 2) E (alpha . b)^2
        evidence(f"mean change over eps^2, eps = {eps}, {B.shape[1]} columns",
                 changes.mean() / eps**2)  # fmt: skip
        assert (changes > 0).all()
        # Relative: order three, where there is a bias, or four.
        assert abs(changes.sum() / expected.sum() - 1) < 10 * eps
        assert np.abs(v @ (B @ alpha)).max() < 1e-12
    # With an amplitude on the fan-out, of the better sign, they do lower it.
    along = v @ H
    best = ((v[:, None] - H * (along / (H * H).sum(axis=0))) ** 2).mean(axis=0) / 2
    assert (best < 1 / 2).mean() > 0.95 and best.min() > 1 / 2 - eps  # by little


@pytest.mark.statement("TINY-random")
def test_one_relu_neuron_may_be_dead(evidence):
    found = tiny_greedy.lowering_shares("relu", [[1.0]], [1.0], draws=20000, rng=2)
    evidence("relu at x = 1 without a bias: sign free, sign fixed", f"{found.free}, {found.fixed}")
    assert abs(found.free - 0.5) < 0.02 and abs(found.fixed - 0.25) < 0.02


@pytest.mark.statement("TINY-random")
def test_the_next_order_may_vanish_as_well(evidence):
    """Parity of three bits: orders 1 and 2 vanish. The third does not, but softplus has none."""
    X = np.array(list(product([-1.0, 1.0], repeat=3)))
    v, B = X.prod(axis=1), with_ones(X)
    alpha = np.array([0.7, -0.4, 0.9, 0.3])
    moments = [v @ (B @ alpha) ** k / 8 for k in (1, 2, 3, 4)]
    assert np.allclose(moments[:2], 0) and min(np.abs(moments[2:])) > 0.5
    series = [oracles.circle(lambda t: oracles.ACTIVATIONS["softplus"](t), k) for k in (1, 2)]
    assert np.allclose(series, [0.5, 0.25])
    # sigma''' of softplus is sigmoid'', zero at zero.
    assert oracles.circle(oracles.ACTIVATIONS["sigmoid"], 2) == pytest.approx(0, abs=1e-12)
    for eps in (0.1, 0.05):
        correlation = v @ oracles.ACTIVATIONS["softplus"](eps * (B @ alpha)) / 8
        fourth = -1 / 8 * eps**4 * moments[3] / 24
        assert correlation == pytest.approx(fourth, rel=0.05)
        sine = v @ np.sin(eps * (B @ alpha)) / 8  # Negative control: here the third does it.
        assert sine == pytest.approx(-(eps**3) * moments[2] / 6, rel=0.05)
    evidence("E v (alpha . x)^k, k = 1 .. 4", ", ".join(f"{m:.3g}" for m in moments))


# What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tiny_greedy.single_neuron("relu", [[1.0]], [[1.0]], reach=0), "reach must be abo"),
        (lambda: tiny_greedy.single_neuron("relu", [[1.0]], [[1.0]], reach=[1, 2.0]), "reach must"),
        (lambda: tiny_greedy.single_neuron("rela", [[1.0]], [[1.0]]), "relu"),
        (lambda: tiny_greedy.neuron_set("relu", [[1.0]], [1.0]), "R must"),
        (lambda: tiny_greedy.shares([[0.0, 1]], [1.0]), "neuron 0 is zero"),
        (lambda: tiny_greedy.lowering_shares("relu", [[1.0]], [1.0], draws=0), "draws must"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
