"""Neuron families: every derivative against the value alone, in one and several dimensions."""

import copy
import pickle

import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from refgrow import activations, neurons
from refgrow.numerics import complex_step

ROUNDING = 1e-13  # Times the size of the numbers summed: a few roundings of them.
CIRCLE, RADIUS = 1e-11, 0.03  # The circle multiplies rounding by 2 / radius^2 = 2000.
WRONG = 1e-5  # What the negative controls are wrong by, relative to the largest entry.


@st.composite
def cases(draw):
    """(family, theta, X, C): 1 to 3 neurons, 1 to 5 samples, 1 to 3 dimensions."""
    net = draw(strategies.shallow_networks(most=3))
    rng = draw(strategies.generators)
    X = strategies.inputs_of(net, draw(st.integers(1, 5)), rng)
    return net.neuron, np.array(net.theta), X, rng.normal(size=(len(net.theta), len(X)))


def twin(neuron, theta, X):
    return np.array([[oracles.neuron(neuron.name, t, x) for t in theta] for x in X])


def check_value(case, value):
    neuron, theta, X, _ = case
    np.testing.assert_allclose(value(theta, X), twin(neuron, theta, X), rtol=0, atol=ROUNDING)


def check_jacobian(case, jacobian):
    neuron, theta, X, _ = case
    exact = complex_step(lambda t: twin(neuron, t, X), theta)  # (n, m, m, d)
    exact = np.einsum("njjd->njd", exact)
    size = 1 + np.abs(exact).max()
    np.testing.assert_allclose(jacobian(theta, X), exact, rtol=0, atol=ROUNDING * size)


def check_gradient(case, gradient):
    neuron, theta, X, C = case
    exact = complex_step(lambda t: (C * twin(neuron, t, X).T).sum(), theta)
    size = 1 + np.abs(C).sum() * np.abs(X).max()
    np.testing.assert_allclose(gradient(theta, X, C), exact, rtol=0, atol=ROUNDING * size)


def check_hessian(case, hessian):
    neuron, theta, X, C = case
    H = hessian(theta, X, C)
    m, d = theta.shape
    assert H.shape == (m, d, d)
    np.testing.assert_array_equal(H, H.swapaxes(1, 2))
    E = np.eye(d)
    size = 1 + np.abs(C).sum() * (1 + np.abs(X).max()) ** 2
    for j in range(m):

        def along(t, j=j):
            return (C[j] * twin(neuron, theta[j : j + 1] + t, X)[:, 0]).sum()

        exact = [[oracles.mixed(along, a, b, RADIUS) for b in E] for a in E]
        np.testing.assert_allclose(H[j], exact, rtol=0, atol=CIRCLE * size)


CHECKS = {
    "value": check_value,
    "jacobian": check_jacobian,
    "gradient": check_gradient,
    "hessian": check_hessian,
}


@settings(max_examples=80)
@given(cases())
def test_every_formula_of_every_family(case):
    for name, check in CHECKS.items():
        check(case, getattr(case[0], name))


@pytest.mark.parametrize("name", CHECKS)
@settings(max_examples=15)
@given(case=cases())
def test_small_errors_in_any_of_them_are_seen(name, case):
    right = getattr(case[0], name)

    def wrong(*arguments):
        return right(*arguments) + WRONG * (1 + np.abs(case[2]).max()) ** 2

    with pytest.raises(AssertionError):
        CHECKS[name](case, wrong)


def bump_without_its_cross_terms(theta, X, C):
    H = neurons.bump.hessian(theta, X, C)
    H[:, 2, :2] = H[:, :2, 2] = 0.0
    return H


def gauss_newton_particle(theta, X, C):
    J = neurons.particle(0.8).jacobian(theta, X)
    return np.einsum("mn,nmd,nme->mde", C, J, J)


def test_plausible_but_wrong_hessians_are_seen():
    rng = np.random.default_rng(3)
    theta, C = rng.normal(size=(2, 3)), rng.normal(size=(2, 5))
    for family, formula, d in [
        (neurons.bump, bump_without_its_cross_terms, 1),
        (neurons.particle(0.8), gauss_newton_particle, 3),
        (neurons.particle(0.8), neurons.particle(0.9).hessian, 3),
        (neurons.distance, lambda *a: -neurons.distance.hessian(*a), 3),
        (neurons.ridge("tanh"), neurons.ridge("sigmoid").hessian, 3),
    ]:
        case = family, theta, rng.normal(size=(5, d)) + 3 * (family is neurons.distance), C
        check_hessian(case, family.hessian)
        with pytest.raises(AssertionError):
            check_hessian(case, formula)


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("name", [f for f in strategies.FAMILIES if f != "bump"])
def test_families_in_several_dimensions(name, d):
    rng = np.random.default_rng(d)
    theta = rng.normal(size=(2, d))
    X = rng.normal(size=(4, d)) + 4 * (name == "distance")
    case = strategies.family(name), theta, X, rng.normal(size=(2, 4))
    for formula, check in CHECKS.items():
        check(case, getattr(case[0], formula))


def test_one_neuron_one_sample_one_dimension_by_hand():
    theta, X, C = np.array([[0.5]]), np.array([[2.0]]), np.array([[3.0]])
    t = np.tanh(1.0)
    tanh = neurons.ridge("tanh")
    assert tanh.value(theta, X) == t
    assert tanh.gradient(theta, X, C) == pytest.approx(3 * 2 * (1 - t**2))
    assert tanh.hessian(theta, X, C) == pytest.approx(3 * 4 * -2 * t * (1 - t**2))
    assert neurons.distance.value(theta, X) == 1.5
    assert neurons.distance.gradient(theta, X, C) == -3.0
    assert neurons.distance.hessian(theta, X, C) == pytest.approx(0.0, abs=1e-15)
    bump = np.array([[0.5, -1.0, 2.0]])  # u = 0: the top of the bump
    assert neurons.bump.value(bump, X) == 2.0
    H = neurons.bump.hessian(bump, X, C)[0]
    np.testing.assert_allclose(H, 3 * np.array([[-8, -4, 0], [-4, -2, 0], [0, 0, 0]]), atol=1e-15)


def test_no_splitting_matrix_of_a_bump_is_positive_definite():
    # The amplitude enters linearly: its second derivative is exactly zero.
    rng = np.random.default_rng(0)
    H = neurons.bump.hessian(
        rng.normal(size=(20, 3)), rng.normal(size=(9, 1)), rng.normal(size=(20, 9))
    )
    np.testing.assert_array_equal(H[:, 2, 2], 0.0)
    assert (np.linalg.eigvalsh(H)[:, 0] <= 0).all()


def test_a_prototype_on_a_sample_has_a_subgradient_and_no_curvature():
    theta, X = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [3.0, 1.0]])
    C = np.ones((2, 2))
    assert neurons.distance.value(theta, X)[0, 1] == 0
    assert not neurons.distance.jacobian(theta, X)[0, 1].any()
    assert np.isfinite(neurons.distance.gradient(theta, X, C)).all()
    with pytest.raises(ValueError) as error:
        neurons.distance.hessian(theta, X, C)
    assert str(error.value) == (
        "the distance has no second derivative where prototype and sample coincide: theta[1] "
        "equals X[0]. Move one of them a little."
    )


def test_close_points_lose_no_digits():
    # |x|^2 - 2 x theta + |theta|^2 would give 0 or noise here.
    theta, X = np.array([[1e4]]), np.array([[1e4 + 2.0**-20]])
    assert neurons.distance.value(theta, X) == 2.0**-20
    assert neurons.particle(2.0**-20).value(theta, X) == pytest.approx(np.exp(-0.5), rel=1e-14)


def test_far_samples_give_zero_without_a_warning():
    X = np.array([[800.0], [-800.0]])
    bump = np.array([[1.0, 0.0, 1.0]])
    assert not neurons.bump.value(bump, X).any()
    assert not neurons.bump.hessian(bump, X, np.ones((1, 2))).any()
    assert not neurons.particle(1.0).hessian(np.zeros((1, 1)), X, np.ones((1, 2))).any()


def test_relu_neurons_have_no_hessian_and_say_which_have_one():
    relu = neurons.ridge(activations.relu)
    theta, X, C = np.ones((1, 2)), np.ones((3, 2)), np.ones((1, 3))
    assert relu.gradient(theta, X, C).tolist() == [[3.0, 3.0]]
    with pytest.raises(ValueError) as error:
        relu.hessian(theta, X, C)
    assert str(error.value).startswith(
        "the neurons' Hessian needs a second derivative; relu has a kink and only a first one"
    )
    assert "softplus" in str(error.value)


def test_names_parameters_and_errors():
    assert neurons.ridge("tanh").name == "ridge(tanh)" and neurons.ridge("tanh").parameters(5) == 5
    assert neurons.particle(0.25).name == "particle(0.25)"
    assert neurons.bump.parameters(1) == 3
    with pytest.raises(ValueError, match=r"X must have shape \(n, 1\); got 2 columns"):
        neurons.bump.parameters(2)
    with pytest.raises(ValueError, match="bandwidth must be a finite number > 0; got 0"):
        neurons.particle(0)
    with pytest.raises(TypeError, match="bandwidth must be a number > 0; got '1'"):
        neurons.particle("1")
    for bandwidth in (-1.0, 0.0):
        with pytest.raises(ValueError, match="bandwidth must be a finite number > 0; got"):
            neurons.Particle(bandwidth)
    assert neurons.Particle(np.float32(0.5)).bandwidth == 0.5
    with pytest.raises(ValueError, match=r"Did you mean 'tanh'\?"):
        neurons.ridge("tan")


def test_families_are_values_equal_and_picklable():
    assert neurons.ridge("tanh") == neurons.ridge(activations.tanh)
    assert neurons.particle(1) == neurons.particle(1.0) != neurons.particle(2.0)
    for family in (neurons.ridge("gelu"), neurons.particle(0.5)):
        assert pickle.loads(pickle.dumps(family)) == family
    for family in (neurons.bump, neurons.distance):
        assert pickle.loads(pickle.dumps(family)) is copy.deepcopy(family) is family
