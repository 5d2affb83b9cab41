"""Networks: output, gradients, sensitivities and Hessian products, against the value alone."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from refgrow import activations, networks, neurons
from refgrow.networks import MLP, Shallow, hessian_product, loss_and_gradient
from refgrow.numerics import central_difference, complex_step

ROUNDING = 1e-12  # Relative to the largest entry: a few roundings a layer.
# The circle multiplies rounding by 2 / radius^2 = 20000. It is as small as that because a deep
# network changes quickly: the loss must be analytic well beyond it.
CIRCLE, RADIUS = 1e-9, 0.01
WRONG = 1e-5  # What the negative controls are wrong by, relative to the largest entry.

KINDS = st.one_of(strategies.shallow_networks(), strategies.mlps())
PROBLEMS = strategies.problems(KINDS)


def close(got, exact, tolerance):
    size = 1 + np.abs(exact).max()
    np.testing.assert_allclose(got, exact, rtol=0, atol=tolerance * size)


def check_output(case, output):
    net, X, _, _ = case
    close(output(X), oracles.output(net, net.arrays, X), ROUNDING)


def check_gradient(case, gradient):
    net, X, Y, loss = case
    for k, got in enumerate(gradient(net, X, Y, loss)):

        def value(a, k=k):
            arrays = (*net.arrays[:k], a, *net.arrays[k + 1 :])
            return oracles.mean_loss(net, arrays, X, Y, loss)

        exact = complex_step(value, net.arrays[k])
        assert got.shape == net.arrays[k].shape
        close(got, exact, ROUNDING)


def check_sensitivities(case, sensitivities):
    """The derivative of the mean loss in every hidden neuron's output at every sample."""
    net, X, Y, loss = case
    none = [np.zeros((len(X), m)) for m in net.widths]
    got = sensitivities(net, X, Y, loss)
    assert [s.shape for s in got] == [a.shape for a in none]
    for k, s in enumerate(got):

        def value(a, k=k):
            added = [*none[:k], a, *none[k + 1 :]]
            return oracles.mean_loss(net, net.arrays, X, Y, loss, added)

        close(s, complex_step(value, none[k]), ROUNDING)


def check_hessian(case, product, rng):
    """u^T H v for random directions u, v through all arrays at once."""
    net, X, Y, loss = case
    u, v = ([rng.normal(size=a.shape) for a in net.arrays] for _ in range(2))
    # Of norm one together, so that the circle stays where the loss is analytic.
    u, v = ([d / np.sqrt(sum((e**2).sum() for e in w)) for d in w] for w in (u, v))

    def along(d):
        arrays = [a + e for a, e in zip(net.arrays, d, strict=True)]
        return oracles.mean_loss(net, arrays, X, Y, loss)

    def second(sign):
        line = [a + sign * b for a, b in zip(u, v, strict=True)]
        return oracles.circle(lambda t: along([t * d for d in line]), 2, RADIUS)

    Hv = product(net, X, Y, loss, v)
    assert [a.shape for a in Hv] == [a.shape for a in net.arrays]
    got = sum(np.vdot(a, b) for a, b in zip(u, Hv, strict=True))
    close(got, (second(1) - second(-1)) / 4, CIRCLE * (1 + along([0.0 * d for d in u])))


def gradient_of(net, X, Y, loss):
    return loss_and_gradient(net, X, Y, loss)[1]


def sensitivities_of(net, X, Y, loss):
    X, Y, loss = networks.check(net, X, Y, loss)
    trace = net.forward(X)
    return net.backward(trace, loss.gradient(trace.output, Y) / len(X))[1]


@settings(max_examples=80)
@given(PROBLEMS)
def test_output_gradient_and_sensitivities(case):
    net, X, Y, loss = case
    check_output(case, net)
    check_gradient(case, gradient_of)
    check_sensitivities(case, sensitivities_of)
    value, _ = loss_and_gradient(net, X, Y, loss)
    assert value == pytest.approx(oracles.mean_loss(net, net.arrays, X, Y, loss), rel=ROUNDING)


@settings(max_examples=120)
@given(PROBLEMS, strategies.generators)
def test_hessian_products(case, rng):
    check_hessian(case, hessian_product, rng)


@settings(max_examples=20)
@given(PROBLEMS, strategies.generators)
def test_small_errors_in_any_of_them_are_seen(case, rng):
    net, *_ = case

    def off(formula):
        def wrong(*arguments):
            return [a + WRONG * (1 + np.abs(a).max()) for a in formula(*arguments)]

        return wrong

    controls = [
        (check_output, lambda X: net(X) + 2 * WRONG * (1 + np.abs(net(X)).max())),
        (check_gradient, off(gradient_of)),
    ]
    if net.widths:
        controls.append((check_sensitivities, off(sensitivities_of)))
    for check, wrong in controls:
        with pytest.raises(AssertionError):
            check(case, wrong)

    def wrong_product(*arguments):
        # In the units of the check, whose tolerance grows with the loss.
        size = WRONG * (1 + oracles.mean_loss(net, net.arrays, *case[1:]))
        exact = hessian_product(*arguments)
        return [a + size * (1 + np.abs(a).max()) * rng.normal(size=a.shape) for a in exact]

    with pytest.raises(AssertionError):
        check_hessian(case, wrong_product, rng)


def without_curvature_of_the_neurons(net, X, Y, loss, v):
    """The Gauss-Newton product: what is left when sigma'' is forgotten."""
    flat = activations.Activation("tanh", np.tanh, activations.tanh.derivative, np.zeros_like)
    if isinstance(net, MLP):
        return hessian_product(MLP(net.weights, flat), X, Y, loss, v)
    return hessian_product(Shallow(net.theta, net.weights, neurons.ridge(flat)), X, Y, loss, v)


def without_curvature_of_the_loss(net, X, Y, loss, v):
    return hessian_product(net, X, net(X) - (net(X) - Y), "squared", [2 * a for a in v])


def test_forgotten_terms_of_a_hessian_are_seen():
    rng = np.random.default_rng(5)
    X, labels = rng.normal(size=(5, 2)), rng.integers(3, size=5)
    mlp = MLP([rng.normal(size=(3, 3)), rng.normal(size=(2, 4)), rng.normal(size=(3, 3))])
    shallow = Shallow(rng.normal(size=(3, 2)), rng.normal(size=(3, 3)), neurons.ridge("tanh"))
    for net in (mlp, shallow):
        case = net, X, labels, "softmax_cross_entropy"
        check_hessian(case, hessian_product, rng)
        with pytest.raises(AssertionError):
            check_hessian(case, without_curvature_of_the_neurons, rng)
        case = net, X, rng.normal(size=(5, 3)), "squared"
        check_hessian(case, hessian_product, rng)
        with pytest.raises(AssertionError):
            check_hessian(case, without_curvature_of_the_loss, rng)


@pytest.mark.parametrize("loss", strategies.LOSSES)
@pytest.mark.parametrize("family", [*strategies.FAMILIES, "MLP, 1", "MLP, 2", "MLP, 4"])
def test_every_family_with_every_loss(family, loss):
    rng = np.random.default_rng(11)
    p = 3 if loss == "softmax_cross_entropy" else 1
    if family.startswith("MLP"):
        widths = [2, 3, 2, 3, p][-1 - int(family[5:]) :]
        net = MLP([rng.normal(size=(b, a + 1)) for a, b in pairwise(widths)])
    else:
        theta = rng.normal(size=(3, 3 if family == "bump" else 2))
        net = Shallow(theta, rng.normal(size=(3, p)), strategies.family(family))
    X = strategies.inputs_of(net, 4, rng)
    case = net, X, strategies.targets_of(loss, 4, p, rng), loss
    check_gradient(case, gradient_of)
    check_hessian(case, hessian_product, rng)


@settings(max_examples=40)
@given(PROBLEMS, strategies.generators)
def test_the_hessian_is_symmetric_and_linear(case, rng):
    net, X, Y, loss = case
    u, v = ([rng.normal(size=a.shape) for a in net.arrays] for _ in range(2))

    def product(d):
        return hessian_product(net, X, Y, loss, d)

    def dot(a, b):
        return sum(np.vdot(x, y) for x, y in zip(a, b, strict=True))

    size = 1 + max(np.abs(a).max() for a in (*product(u), *product(v)))
    assert dot(u, product(v)) == pytest.approx(dot(v, product(u)), abs=100 * ROUNDING * size)
    both = product([2 * a - 3 * b for a, b in zip(u, v, strict=True)])
    for got, Hu, Hv in zip(both, product(u), product(v), strict=True):
        np.testing.assert_allclose(got, 2 * Hu - 3 * Hv, rtol=0, atol=100 * ROUNDING * size)


def test_a_trace_keeps_what_its_docstring_says():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5, 2))
    mlp = MLP([rng.normal(size=(3, 3)), rng.normal(size=(1, 4))])
    trace = mlp.forward(X)
    np.testing.assert_array_equal(trace.inputs[0], np.column_stack([X, np.ones(5)]))
    np.testing.assert_allclose(trace.inputs[1][:, :3], np.tanh(trace.states[0]))
    np.testing.assert_array_equal(trace.output, trace.states[-1])
    shallow = Shallow(rng.normal(size=(3, 2)), np.ones(3), neurons.ridge("sine"))
    trace = shallow.forward(X)
    np.testing.assert_allclose(trace.states[0], np.sin(X @ shallow.theta.T))
    np.testing.assert_allclose(trace.output[:, 0], trace.states[0].sum(axis=1))


def test_shapes_widths_and_one_of_everything():
    one = Shallow([[2.0]], [3.0], neurons.ridge("identity"))
    assert one([[5.0]]).tolist() == [[30.0]] and one.widths == (1,)
    assert Shallow([[2.0]], [[3.0, 4.0]], neurons.ridge("identity"))([[5.0]]).shape == (1, 2)
    linear = MLP([[[2.0, 1.0]]])
    assert linear([[3.0]]).tolist() == [[7.0]] and linear.widths == ()
    assert sensitivities_of(linear, [[3.0]], [[0.0]], "squared") == []
    assert hessian_product(linear, [[3.0]], [[0.0]], "squared", [[[1.0, 0.0]]])[0].tolist() == [
        [9.0, 3.0]
    ]
    deep = MLP([np.ones((4, 3)), np.ones((5, 5)), np.ones((2, 6))], activation="relu")
    assert deep.widths == (4, 5) and deep(np.zeros((3, 2))).shape == (3, 2)


def test_both_shapes_of_outgoing_weights_are_the_same_network():
    rng = np.random.default_rng(2)
    theta, w, X = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(6, 1))
    Y, V = rng.normal(size=(6, 1)), [rng.normal(size=(4, 3)), rng.normal(size=4)]
    flat, column = Shallow(theta, w, neurons.bump), Shallow(theta, w[:, None], neurons.bump)
    np.testing.assert_array_equal(flat(X), column(X))
    for a, b in zip(
        hessian_product(flat, X, Y, "squared", V),
        hessian_product(column, X, Y, "squared", [V[0], V[1][:, None]]),
        strict=True,
    ):
        np.testing.assert_array_equal(a.ravel(), b.ravel())


def test_a_network_owns_read_only_copies():
    theta, W = np.ones((2, 3)), [np.ones((2, 2)), np.ones((1, 3))]
    shallow, mlp = Shallow(theta, np.ones(2), neurons.bump), MLP(W)
    theta[:] = 0
    W[0][:] = 0
    assert shallow.theta.all() and mlp.weights[0].all()
    for array in (*shallow.arrays, *mlp.arrays):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5.0
    with pytest.raises(AttributeError):
        shallow.theta = theta
    other = shallow.with_arrays([2 * a for a in shallow.arrays])
    assert isinstance(other, Shallow) and other.neuron is neurons.bump and other.theta[0, 0] == 2
    assert mlp.with_arrays(mlp.arrays).activation is activations.tanh


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_networks_survive_pickling(activation):
    X = np.linspace(-1, 1, 5)[:, None]
    for net in (
        MLP([np.ones((2, 2)), np.ones((1, 3))], activation),
        Shallow(np.ones((2, 1)), np.ones(2), neurons.ridge(activation)),
    ):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(net))(X), net(X))


def kinds_of(array):
    """The same numbers in every form that is accepted."""
    read_only = array.copy()
    read_only.flags.writeable = False
    return [
        read_only,
        np.asfortranarray(array),
        np.repeat(array, 2, axis=0)[::2],
        array.astype(np.float32),
        array.astype(int),
        array.tolist(),
    ]


def test_every_kind_of_array_is_accepted_and_left_alone():
    rng = np.random.default_rng(4)

    def integers(*shape):
        return rng.integers(-2, 3, size=shape).astype(float)

    theta, w, W1, W2 = integers(3, 2), integers(3, 1), integers(3, 3), integers(1, 4)
    X, Y, V = integers(5, 2), integers(5, 1), [integers(3, 2), integers(3, 1)]
    expected = None
    for forms in zip(*map(kinds_of, (theta, w, W1, W2, X, Y, *V)), strict=True):
        before = [np.array(a) for a in forms]
        t, ww, A, B, x, y, *v = forms
        shallow, mlp = Shallow(t, ww, neurons.ridge("tanh")), MLP([A, B])
        results = [
            shallow(x),
            mlp(x),
            *loss_and_gradient(shallow, x, y, "squared")[1],
            *loss_and_gradient(mlp, x, y, "squared")[1],
            *hessian_product(shallow, x, y, "squared", v),
        ]
        expected = expected or results
        for got, want in zip(results, expected, strict=True):
            np.testing.assert_array_equal(got, want)
        for a, b in zip(forms, before, strict=True):
            np.testing.assert_array_equal(a, b)


RIDGE = neurons.ridge("tanh")


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Shallow(np.ones(3), np.ones(3), RIDGE),
         "ValueError: theta must be 2-D with shape (m, d); got shape (3,). "
         "Use theta[None] for one neuron, theta[:, None] for neurons of one parameter."),
        (lambda: Shallow(np.ones((3, 2)), np.ones(2), RIDGE),
         "ValueError: weights must have shape (3,); got shape (2,), where axis 0 should be 3. "
         "One row of theta and one (row of) weights a neuron."),
        (lambda: Shallow(np.ones((3, 2)), np.ones((2, 2)), RIDGE),
         "ValueError: weights must have shape (3, p); got shape (2, 2), where axis 0 should be 3. "
         "One row of theta and one (row of) weights a neuron."),
        (lambda: Shallow(np.ones((3, 2)), 1.0, RIDGE),
         "ValueError: weights must be 2-D with shape (3, p); got shape (). "
         "One row of theta and one (row of) weights a neuron."),
        (lambda: Shallow(np.zeros((0, 2)), np.zeros(0), RIDGE),
         "ValueError: theta must not be empty; got shape (0, 2)."),
        (lambda: Shallow([[np.nan]], [1.0], RIDGE),
         "ValueError: theta must be finite; got nan at index (0, 0)."),
        (lambda: Shallow([[1.0]], [np.inf], RIDGE),
         "ValueError: weights must be finite; got inf at index 0."),
        (lambda: Shallow([[1.0]], [1.0], "bump"),
         "TypeError: neuron must be a neuron family such as neurons.bump or "
         "neurons.ridge('tanh'); got 'bump'."),
        (lambda: Shallow([[0.3]], [1.0], neurons.Particle),
         "TypeError: neuron must be a neuron family such as neurons.bump or "
         "neurons.ridge('tanh'); got <class 'refgrow.neurons.Particle'>."),
        (lambda: MLP(np.ones((2, 2))),
         "TypeError: weights must be a list of matrices of shape (out, in + 1), one a layer; "
         "got ndarray."),
        (lambda: MLP([]), "ValueError: weights must hold at least one matrix; got an empty list."),
        (lambda: MLP([np.ones(3)]),
         "ValueError: weights[0] must be 2-D with shape (out, in + 1); got shape (3,). "
         "Use weights[0][None] for one row."),
        (lambda: MLP([np.ones((3, 1))]),
         "ValueError: weights[0] must have at least two columns, one input and the bias; "
         "got shape (3, 1)."),
        (lambda: MLP([np.ones((3, 2)), np.ones((1, 3))]),
         "ValueError: weights[1] must have 3 + 1 columns, one for each row of weights[0] and the "
         "bias; got shape (1, 3)."),
        (lambda: MLP([np.ones((3, 2)), np.full((1, 4), np.nan)]),
         "ValueError: weights[1] must be finite; got nan at index (0, 0) and at 3 more."),
        (lambda: MLP([np.ones((1, 2))], "rulu"),
         "ValueError: activation must be one of gaussian, gelu, identity, quadratic, relu, selu, "
         "sigmoid, sine, softplus, tanh; got 'rulu'. Did you mean 'relu'?"),
        (lambda: MLP([np.ones((1, 2))], None),
         "TypeError: activation must be one of gaussian, gelu, identity, quadratic, relu, selu, "
         "sigmoid, sine, softplus, tanh; got None."),
    ],
)  # fmt: skip
def test_networks_that_do_not_fit_together(build, message):
    with pytest.raises((TypeError, ValueError)) as error:
        build()
    assert f"{error.type.__name__}: {error.value}" == message


SHALLOW = Shallow(np.ones((3, 2)), np.ones((3, 2)), RIDGE)
BUMPS = Shallow(np.ones((2, 3)), np.ones(2), neurons.bump)
DEEP = MLP([np.ones((3, 3)), np.ones((1, 4))])


@pytest.mark.parametrize(
    "net, X, message",
    [
        (SHALLOW, np.ones(4), "X must be 2-D with shape (n, d_in); got shape (4,). "
                              "Use X[:, None] for one feature."),
        (SHALLOW, np.ones((4, 3)), "ridge(tanh) neurons on inputs with 3 columns need theta of "
                                   "shape (m, 3); got (3, 2)."),
        (BUMPS, np.ones((4, 2)), "the bump lives on the line: X must have shape (n, 1); "
                                 "got 2 columns."),
        (Shallow(np.ones((2, 2)), np.ones(2), neurons.bump), np.ones((4, 1)),
         "bump neurons on inputs with 1 columns need theta of shape (m, 3); got (2, 2)."),
        (DEEP, np.ones((4, 3)), "X must have shape (n, 2); got shape (4, 3), where axis 1 should "
                                "be 2. The bias is inside the network: X has no column of ones."),
        (DEEP, np.ones(2), "X must be 2-D with shape (n, 2); got shape (2,). "
                           "Use X[None] for one sample."),
        (MLP([np.ones((1, 2))]), np.ones(4), "X must be 2-D with shape (n, 1); got shape (4,). "
                                             "Use X[:, None] for one feature."),
        (DEEP, [[1.0, np.nan]], "X must be finite; got nan at index (0, 1)."),
        (DEEP, np.zeros((0, 2)), "X must not be empty; got shape (0, 2)."),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_the_network(net, X, message):
    Y = np.ones((4, 1))
    for call in (net, net.forward, lambda X: loss_and_gradient(net, X, Y, "squared")):
        with pytest.raises(ValueError) as error:
            call(X)
        assert str(error.value) == message


def test_targets_losses_and_directions_that_do_not_fit():
    X, Y = np.ones((4, 2)), np.ones((4, 1))
    with pytest.raises(ValueError, match=r"Y must be 2-D .* Use Y\[:, None\] for one output"):
        loss_and_gradient(DEEP, X, np.ones(4), "squared")
    with pytest.raises(ValueError, match=r"Y must have shape \(4, 2\); got shape \(4, 1\)"):
        loss_and_gradient(SHALLOW, X, Y, "squared")
    with pytest.raises(ValueError, match=r"Did you mean 'logistic'\?"):
        loss_and_gradient(DEEP, X, Y, "logistics")
    with pytest.raises(TypeError, match=r"network must be a networks.Shallow or .*; got ndarray"):
        loss_and_gradient(X, X, Y, "squared")
    with pytest.raises(ValueError, match="direction must hold 2 arrays"):
        hessian_product(DEEP, X, Y, "squared", [np.ones((3, 3))])
    with pytest.raises(ValueError, match=r"direction\[1\] must have shape \(1, 4\)"):
        hessian_product(DEEP, X, Y, "squared", [np.ones((3, 3)), np.ones((4, 1))])
    with pytest.raises(ValueError, match=r"G must have shape \(4, 1\); got shape \(4, 2\)"):
        DEEP.backward(DEEP.forward(X), np.ones((4, 2)))


@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax_cross_entropy"])
@pytest.mark.parametrize("activation", [a for a in strategies.SMOOTH if a != "quadratic"])
def test_saturated_networks_give_finite_numbers_without_a_warning(activation, loss):
    X = np.array([[800.0], [-800.0]])
    p = 2 if loss == "softmax_cross_entropy" else 1
    Y = np.zeros((2, 1)) if loss == "squared" else np.array([0, 1])
    mlp = MLP([np.ones((2, 2)), np.full((p, 3), -1.0)], activation)
    shallow = Shallow([[1.0], [-1.0]], np.ones((2, p)), neurons.ridge(activation))
    for net in (mlp, shallow):
        value, gradient = loss_and_gradient(net, X, Y, loss)
        product = hessian_product(net, X, Y, loss, net.arrays)
        assert all(np.isfinite(a).all() for a in (value, *gradient, *product))


@pytest.mark.parametrize("activation", ["relu", "selu"])
def test_a_hessian_needs_a_second_derivative_and_a_gradient_does_not(activation):
    X, Y = np.ones((4, 2)), np.ones((4, 1))
    mlp = MLP([np.ones((3, 3)), np.ones((1, 4))], activation)
    shallow = Shallow(np.ones((3, 2)), np.ones(3), neurons.ridge(activation))
    for net in (mlp, shallow):
        loss_and_gradient(net, X, Y, "squared")
        message = f"a Hessian needs a second derivative; {activation} "
        with pytest.raises(ValueError, match=message):
            hessian_product(net, X, Y, "squared", net.arrays)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_the_gradient_of_relu_networks_away_from_the_kink(loss):
    rng = np.random.default_rng(6)
    net = MLP([rng.normal(size=(3, 3)), rng.normal(size=(1, 4))], "relu")
    X = rng.normal(size=(5, 2))
    Y = strategies.targets_of(loss, 5, 1, rng)
    assert np.abs(net.forward(X).states[0]).min() > 1e-3
    for k, got in enumerate(gradient_of(net, X, Y, loss)):

        def value(a, k=k):
            arrays = (*net.arrays[:k], a, *net.arrays[k + 1 :])
            return oracles.mean_loss(net, arrays, X, Y, loss)

        np.testing.assert_allclose(got, central_difference(value, net.arrays[k]), atol=1e-9)


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))]
)
@pytest.mark.parametrize("net", [SHALLOW, BUMPS, DEEP, MLP([np.ones((1, 2))], "gelu")])
def test_copies_and_pickles_are_the_same_network_and_read_only_too(net, again):
    twin = again(net)
    assert type(twin) is type(net) and type(twin.weights) is type(net.weights)
    for mine, theirs in zip(twin.arrays, net.arrays, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        with pytest.raises(ValueError, match="read-only"):
            mine[0] = 7.0
    X = np.ones((1, 1 if net is BUMPS else net.arrays[0].shape[1] - isinstance(net, MLP)))
    np.testing.assert_array_equal(twin(X), net(X))
    # The control: NumPy's own copies are writable.
    copy.deepcopy(net.arrays[0])[0] = 7.0


@pytest.mark.parametrize("net", [SHALLOW, DEEP])
@pytest.mark.parametrize(
    "scale, target, what",
    [(1e308, 0, "the gradient of the loss"), (1.0, 1e155, "the loss"), (1e152, 1e153, None)],
)
def test_what_overflows_is_laid_to_the_network_and_the_data(net, scale, target, what):
    steep = net.with_arrays([*net.arrays[:-1], np.full_like(net.arrays[-1], scale)])
    X = np.full((4, 2), 1e-5)
    args = (steep, X, np.full(net(X).shape, float(target)), "squared")
    if what is None:
        assert np.isfinite(loss_and_gradient(*args)[0])
        return
    with pytest.raises(ValueError) as error:
        loss_and_gradient(*args)
    assert str(error.value) == (
        f"{what} overflows at this network and these data. Rescale X, Y or the network's weights."
    )
