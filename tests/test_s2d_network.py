"""S2D, section 2.2 and appendix A.1: many neurons of many layers, up to Theorem 2.4 and its proof.

Remainder slopes and the power series of the augmented loss (`augmented.py`), examples by hand, and
negative controls: the same check must fail for a formula that is deliberately wrong.
"""

import numpy as np
import pytest
import strategies
from augmented import (
    EXACT,
    SERIES,
    SLOPE,
    assert_decomposition_is_exact,
    change,
    change_series,
    close,
    grown,
    matrix_of,
    move,
    pair,
    series,
    slope,
    splitting_matrix_of,
)
from by_hand import HALF_SQUARE, LINEAR, scalar_problem
from examples import deep_problem, shallow_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from stationary import stationary_problem

from refgrow import growth, losses, networks, neurons, s2d

# Equation 5 --------------------------------------------------------------------------------------


@pytest.mark.statement("S2D-Eq-5")
@pytest.mark.parametrize("loss", strategies.LOSSES)
@pytest.mark.parametrize("widths", [(2, 2), (2, 3, 2), (1, 2, 1, 2)])
def test_eq_5_splitting_matrices_of_every_layer(widths, loss, evidence):
    activation = {"squared": "tanh", "logistic": "gelu", "exponential": "sigmoid"}.get(
        loss, "softplus"
    )
    problem = deep_problem(widths, loss, activation, n=4)
    stacks = s2d.splitting_matrices(*problem)
    parts = s2d.curvature_parts(*problem)
    assert [len(S) for S in stacks] == list(widths[1:])
    for layer, S in enumerate(stacks):
        for j in range(len(S)):
            exact = splitting_matrix_of(problem, layer, j)
            evidence.worst("error of S", np.abs(S[j] - exact).max())
            assert close(S[j], exact) and np.array_equal(S[j], S[j].T)
            u = np.arange(1.0, 1 + len(exact)) / len(exact)
            H = 2 * change_series(problem, [move(layer, j, u)], 3)[2]
            assert close(u @ parts[layer].hessian[j] @ u, H)
            # Negative controls: the Hessian, and the matrix with its sum in place of the mean.
            assert not close(parts[layer].hessian[j], exact)
            assert not close(4 * S[j], exact)


@pytest.mark.statement("S2D-Eq-5")
def test_eq_5_tied_uses(evidence):
    """One parameter used twice: S is the sum over the uses if each use averages its own copies;
    copied as a whole, the composite has cross terms. Eq 5 itself, h free of theta, fits neither."""
    x, y, theta, v = 0.7, 0.2, 0.9, 1.0

    def each_use(t):
        h = (np.tanh((theta + t * v) * x) + np.tanh((theta - t * v) * x)) / 2
        s = (np.tanh((theta + t * v) * h) + np.tanh((theta - t * v) * h)) / 2
        return (s - y) ** 2 / 2

    def as_a_whole(t):
        outer = lambda a: np.tanh(a * np.tanh(a * x))  # noqa: E731
        return ((outer(theta + t * v) + outer(theta - t * v)) / 2 - y) ** 2 / 2

    net = networks.MLP([[[theta, 0.0]], [[theta, 0.0]], [[1.0, 0.0]]], "tanh")
    S = s2d.splitting_matrices(net, [[x]], [[y]], "squared")
    uses = [stack[0, 0, 0] for stack in S]
    second = 2 * series(each_use)[2]
    evidence(each_use=second, uses=sum(uses), as_a_whole=2 * series(as_a_whole)[2])
    assert close(second, sum(uses))
    assert not close(second, uses[0]) and not close(second, uses[1])
    assert not close(2 * series(as_a_whole)[2], sum(uses))
    # By hand: theta (theta x) with linear neurons has S = 0 in either use and averages to itself;
    # as a whole it is (theta^2 + eps^2) x.
    net = networks.MLP([[[theta, 0.0]], [[theta, 0.0]], [[1.0, 0.0]]], "identity")
    both = [pair(0, 0, [1.0, 0.0]), pair(1, 0, [1.0, 0.0])]
    assert not any(S.any() for S in s2d.splitting_matrices(net, [[1.0]], [[0.0]], LINEAR))
    assert abs(change((net, np.ones((1, 1)), np.zeros((1, 1)), LINEAR), both, 0.5)) < EXACT
    assert close(((theta + 0.5) ** 2 + (theta - 0.5) ** 2) / 2, theta**2 + 0.25, EXACT)


# Theorem 2.4 -------------------------------------------------------------------------------------


PLACES = {
    "same layer": ((0, 0), (0, 1)),
    "adjacent layers": ((0, 0), (1, 0)),
    "distant layers": ((0, 1), (2, 0)),
    "three layers": ((0, 0), (0, 1), (1, 0), (2, 1)),
}


def splits_at(places, problem, kind, seed=0):
    """Splits at these places: symmetric, asymmetric (zero mean), or signed with a mean."""
    rng = np.random.default_rng(seed)
    splits = []
    for layer, j in places:
        d = problem[0].arrays[layer].shape[1]
        if kind == "symmetric":
            splits.append(pair(layer, j, rng.normal(size=d)))
            continue
        w = np.array([0.2, 0.3, 0.5]) if kind == "asymmetric" else np.array([0.7, 0.7, -0.4])
        u = rng.normal(size=(3, d))
        splits.append(growth.Split(layer, j, w, u - w @ u if kind == "asymmetric" else u))
    return splits


@pytest.mark.statement("S2D-Thm-2.4")
@settings(max_examples=25)
@given(st.data())
def test_thm_2_4_coefficients(evidence, data):
    """Both orders, for any set of neurons of any layers, losses, fractions and means."""
    # Not quadratic: composed, it makes numbers so large that the series hardly converges.
    smooth = tuple(name for name in strategies.SMOOTH if name != "quadratic")
    net = strategies.mlps(smooth, depths=(2, 4), widest=2)
    problem = data.draw(strategies.problems(net, samples=(1, 4)))
    every = [(l, j) for l, width in enumerate(problem[0].widths) for j in range(width)]
    places = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=4, unique=True))
    splits = [
        data.draw(strategies.splits_of(l, j, problem[0].arrays[l].shape[1])) for l, j in places
    ]
    assert_decomposition_is_exact(problem, splits, evidence)


@pytest.mark.statement("S2D-Thm-2.4")
@pytest.mark.parametrize("kind", ["symmetric", "asymmetric", "with means"])
@pytest.mark.parametrize("where", PLACES)
def test_thm_2_4_remainder(where, kind, evidence):
    problem = deep_problem((2, 2, 2, 2), activation="tanh", outputs=2)
    splits = splits_at(PLACES[where], problem, kind)
    value = losses.squared.value(problem[0](problem[1]), problem[2])
    found = slope(lambda e: s2d.decompose(*problem, splits, e).remainder, value)
    order = 4 if kind == "symmetric" else 3
    evidence(slope=found.order, halvings=found.halvings)
    assert abs(found.order - order) <= SLOPE
    # Negative controls, all of order two: a neuron left out, and the proof's (eps^2 / 2) II with
    # the factor counted twice, which leaves next to nothing of it.
    part = slope(
        lambda e: change(problem, splits, e)
        - s2d.decompose(*problem, splits, e).displacement
        - s2d.decompose(*problem, splits[1:], e).splitting,
        value,
    )  # fmt: skip
    twice = slope(
        lambda e: (d := s2d.decompose(*problem, splits, e)).actual
        - d.displacement - 0.5 * e**2 * d.splitting,
        value,
    )  # fmt: skip
    assert abs(part.order - 2) <= SLOPE and abs(twice.order - 2) <= SLOPE


@pytest.mark.statement("S2D-Thm-2.4")
@pytest.mark.parametrize("where", PLACES)
def test_thm_2_4_no_cross_terms(where, evidence):
    problem = deep_problem((2, 2, 2, 2), activation="gelu", seed=2)
    splits = splits_at(PLACES[where], problem, "asymmetric")
    second = change_series(problem, splits, 3)[2]
    predicted = s2d.decompose(*problem, splits, 1.0).splitting
    evidence(second_order=second, predicted=predicted)
    assert close(second, predicted)
    # Negative control: the first copies of each, weighted, coupled by the joint Hessian as a move.
    net, X, Y, loss = problem
    direction = [np.zeros_like(a) for a in net.arrays]
    for s in splits:
        direction[s.layer][s.neuron] = s.directions[0]
    H = networks.hessian_product(net, X, Y, loss, direction)
    joint = sum(float(np.vdot(a, b)) for a, b in zip(H, direction, strict=True))
    parts = s2d.curvature_parts(*problem)
    own = sum(s.directions[0] @ parts[s.layer].hessian[s.neuron] @ s.directions[0] for s in splits)
    assert abs(joint - own) > 1e-4  # there is a cross term to add
    assert not close(second, predicted + (joint - own) / 2)


@pytest.mark.statement("S2D-Thm-2.4", "S2D-Thm-2.4-enlarged-new")
def test_thm_2_4_by_hand(evidence):
    # The proof's factor: sigma = theta^2/2, Phi(s) = s, copies +-eps at zero. The change is II =
    # eps^2/2 itself, and (eps^2/2) II is eps^4/4.
    problem = scalar_problem(HALF_SQUARE, [0.0])
    II = s2d.decompose(*problem, [pair(0, 0, [1.0])], 0.5).splitting
    evidence(II=II, change=change(problem, [pair(0, 0, [1.0])], 0.5), printed=0.5**2 / 2 * II)
    assert (
        change(problem, [pair(0, 0, [1.0])], 0.5) == II == 0.125 and 0.5**2 / 2 * II == 0.5**4 / 4
    )
    # Enlarged weights: f = v_1 theta_1 + v_2 theta_2, v_i = v/2, one linear neuron split into
    # theta +- eps and its reader moved by +-eps: f rises by 2 eps^2, although S = 0.
    theta, v, eps = 1.5, 2.0, 0.25
    after = (v / 2 + eps) * (theta + eps) + (v / 2 - eps) * (theta - eps)
    evidence(change_of_f=after - v * theta)
    assert after - v * theta == 2 * eps**2


@pytest.mark.statement("S2D-Thm-2.4", "S2D-Alg-1")
def test_an_activation_without_a_second_derivative_is_refused():
    for activation in ("relu", "selu"):
        problem = deep_problem((2, 2), activation=activation)
        shallow = shallow_problem("ridge(tanh)")
        kinked = networks.Shallow(shallow[0].theta, shallow[0].weights, neurons.ridge(activation))
        for p in (problem, (kinked, *shallow[1:])):
            for function in (s2d.splitting_matrices, s2d.decide, s2d.curvature_parts):
                message = f"^a splitting matrix needs a second derivative; {activation} has a kink"
                with pytest.raises(ValueError, match=message):
                    function(*p)


def enlarged_loss(problem, split, rows, fractions, size):
    """The network after the split of (0, 0) as an implementation stores it, with free weights.

    `rows[k]` (copies,) displaces the k-th copy of neuron (1, 0) on the columns that read the
    split neuron's copies; `fractions[k]` is that copy's share.
    """
    net, X, Y, _ = problem
    sigma, ones = np.tanh, np.ones((len(X), 1))
    W0, W1, W2 = net.arrays
    inputs = np.hstack([X, ones])
    H = sigma(inputs @ W0.T)
    copies = [sigma(inputs @ (W0[0] + size * u)) for u in split.directions]
    rest = [H[:, k] * W1[:, [k]] for k in range(1, len(W0))]
    Z = np.array(sum(rest) + W1[:, [-1]], dtype=complex)  # (next width, n)
    for w, h in zip(split.fractions, copies, strict=True):
        Z = Z + w * W1[:, [0]] * h
    out = sigma(Z)
    moved = [
        sigma(Z[0] + size * sum(e * h for e, h in zip(eta, copies, strict=True))) for eta in rows
    ]
    out[0] = sum(f * s for f, s in zip(fractions, moved, strict=True))
    F = out.T @ W2[:, :-1].T + W2[:, -1]
    return ((F - Y) ** 2).sum(axis=1).mean() / 2


@pytest.mark.statement("S2D-Thm-2.4-enlarged-new")
def test_thm_2_4_enlarged_next_layer(evidence):
    net, X, Y, _ = problem = deep_problem((2, 2, 2), outputs=2, seed=3)
    w, u = np.array([0.4, 0.6]), np.array([[0.6, 0.3, -0.2], [-0.4, -0.2, 0.4 / 3]])
    split = growth.Split(0, 0, w, u)
    zero = np.zeros(2)

    def coefficients(rows, fractions=(1.0,)):
        return series(lambda e: enlarged_loss(problem, split, rows, fractions, e))

    alone = coefficients([zero])
    assert close(alone, change_series(problem, [split]), 1e-6)
    # (1) A displacement of the old weight, spread by the fractions: eq 6, and growth.apply.
    step = np.array([0.8, 0.0, 0.0])
    joint = coefficients([0.8 * w])
    assert close(joint, change_series(problem, [split, move(1, 0, step)]), 1e-6)
    assert close(
        grown(problem, [split, move(1, 0, step)], 0.3),
        np.real(enlarged_loss(problem, split, [0.8 * w], (1.0,), 0.3)), EXACT,
    )  # fmt: skip
    # (2) The next neuron split unevenly over the enlarged weights: no interaction at eps^2.
    uneven = ([np.array([0.9, -0.2]), np.array([-0.9, 0.2])], (0.5, 0.5))
    net_alone = series(lambda e: enlarged_loss(problem, growth.Split(0, 0, w, 0 * u), *uneven, e))
    interaction = coefficients(*uneven) - alone - net_alone
    evidence(interaction_2=interaction[2], interaction_3=interaction[3])
    assert abs(interaction[2]) < SERIES and abs(interaction[3]) > 1e-4
    # (3) A displacement that is not proportional to the fractions: a cross term at eps^2.
    eta = np.array([1.0, -1.0])
    cross = coefficients([eta])[2] - alone[2]
    trace = net.forward(X)
    _, sensitivities = net.backward(trace, (trace.output - Y) / len(X))
    slopes = [1 / np.cosh(trace.states[l][:, 0]) ** 2 for l in (0, 1)]
    expected = np.sum(
        sensitivities[1][:, 0] * slopes[1] * slopes[0] * (trace.inputs[0] @ (eta @ u))
    )
    evidence(cross_term=cross, predicted=expected)
    assert close(cross, expected) and abs(cross) > 1e-3
    # An index is not invariant: widening the layer below doubles S where the copies are read.
    before = s2d.splitting_matrices(*problem)[1][0]
    wide = growth.apply(net, growth.Plan((pair(0, 0, u[0]),), 0.0, 0.0, 2, 3))
    after = s2d.splitting_matrices(wide, *problem[1:])[1][0]
    assert close(after[np.ix_([0, 2], [0, 2])], before[0, 0] * np.ones((2, 2)), EXACT)


# Appendix A.1 ------------------------------------------------------------------------------------


def cloned_hessian(problem, layer, j, fractions):
    """The Hessian of the loss in the copies of one neuron, all at theta, from the loss alone."""
    d = problem[0].arrays[layer].shape[1]
    m = len(fractions)

    def quadratic(direction):
        split = growth.Split(layer, j, fractions, direction.reshape(m, d))
        return 2 * change_series(problem, [split], 3)[2]

    return matrix_of(quadratic, m * d)


@pytest.mark.statement("S2D-A.1-derivatives")
@pytest.mark.parametrize(
    "problem, layer",
    [(shallow_problem("ridge(gelu)", loss="logistic"), 0), (shallow_problem("distance"), 0),
     (deep_problem((1, 2, 2)), 0), (deep_problem((1, 2, 2)), 1)],
    ids=["gelu", "distance", "first layer", "second layer"],
)  # fmt: skip
def test_a_1_derivatives(problem, layer, evidence):
    w = np.array([0.2, 0.5, 0.3])
    parts = s2d.curvature_parts(*problem)[layer]
    S, T = parts.splitting[1], parts.rest[1]
    H = cloned_hessian(problem, layer, 1, w)
    block = np.kron(np.diag(w), S) + np.kron(np.outer(w, w), T)
    evidence(error=np.abs(H - block).max())
    assert close(H, block)
    # The first derivatives: w_i times the neuron's gradient.
    _, gradients = networks.loss_and_gradient(*problem)
    u = np.arange(1.0, 1 + 3 * len(S)).reshape(3, -1) / 10
    first = change_series(problem, [growth.Split(layer, 1, w, u)], 2)[1]
    assert close(first, w @ u @ gradients[layer][1])
    # Negative controls: the copies' own weights lost in either part, T left out between copies.
    assert not close(H, np.kron(np.eye(3), S) + np.kron(np.outer(w, w), T))
    assert not close(H, np.kron(np.diag(w), S) + np.kron(np.diag(w), T))
    assert not close(H, np.kron(np.diag(w), S) + np.kron(np.diag(w**2), T))
    assert not close(first, u.sum(axis=0) @ gradients[layer][1])


@pytest.mark.statement("S2D-A.1-spectrum-new")
@pytest.mark.parametrize("name", ["bump", "ridge(tanh)", "particle(0.8)", "distance"])
@pytest.mark.parametrize("m", [2, 3])
def test_a_1_spectrum(name, m, evidence):
    """With equal fractions: the spectrum of H once and that of S m - 1 times, divided by m."""
    problem = shallow_problem(name, seed=2)
    [parts] = s2d.curvature_parts(*problem)
    spectrum = np.linalg.eigvalsh(cloned_hessian(problem, 0, 0, np.full(m, 1 / m)))
    lam_S, lam_H = (np.linalg.eigvalsh(a[0]) for a in (parts.splitting, parts.hessian))
    expected = np.sort(np.concatenate([lam_H, *[lam_S] * (m - 1)])) / m
    evidence(error=np.abs(spectrum - expected).max())
    assert close(spectrum, expected)
    assert not close(spectrum, np.sort(np.concatenate([lam_S] * m)) / m)  # S alone
    assert not close(spectrum, expected * m)
    # Unequal fractions: positive definite exactly where S and H are.
    w = np.array([0.1, 0.9]) if m == 2 else np.array([0.1, 0.2, 0.7])
    for strength, seed in ((2.0, 1), (-1.0, 0), (-10.0, 0)):
        point = stationary_problem(strength, seed)
        [[S]], [parts] = s2d.splitting_matrices(*point), s2d.curvature_parts(*point)
        stable = min(np.linalg.eigvalsh(S)[0], np.linalg.eigvalsh(parts.hessian[0])[0]) > 0
        lowest = np.linalg.eigvalsh(cloned_hessian(point, 0, 0, w))[0]
        assert (lowest > 0) == stable


@pytest.mark.statement("S2D-A.1-lines")
def test_a_1_lines_lack_the_weights(evidence):
    # The printed sums, sum (d A d - dbar A dbar) and sum (d - dbar) A (d - dbar), for A = 1,
    # against the true second-order term, sum w d A d - dbar A dbar.
    for w, delta, true, first, second in (
        ([0.5, 0.5], [1.0, -1.0], 1.0, 2.0, 2.0),
        ([0.25, 0.75], [3.0, -1.0], 3.0, 10.0, 10.0),
        ([0.25, 0.75], [1.0, 0.0], 3 / 16, 7 / 8, 5 / 8),
    ):
        w, delta = np.array(w), np.array(delta)
        mean = w @ delta
        value = w @ delta**2 - mean**2
        printed = np.sum(delta**2 - mean**2), np.sum((delta - mean) ** 2)
        evidence(true=value, printed=printed)
        assert value == true == w @ (delta - mean) ** 2 == w @ (delta**2 - mean**2)
        assert printed == (first, second)
        # The true line in the loss: Phi(s) = s, sigma = theta^2/2, where A = 1.
        problem = scalar_problem(HALF_SQUARE, [0.0])
        split = growth.Split(0, 0, w, delta[:, None])
        assert s2d.decompose(*problem, [split], 1.0).splitting == true / 2


@pytest.mark.statement("S2D-Lem-A.1", "S2D-Lem-A.1-sharp-new")
@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("where", PLACES)
def test_lem_a_1_additivity(where, kind, evidence):
    problem = deep_problem((2, 2, 2, 2), activation="tanh", outputs=2)
    splits = splits_at(PLACES[where], problem, kind)
    value = losses.squared.value(problem[0](problem[1]), problem[2])

    def interaction(e, of=change):
        return of(problem, splits, e) - sum(of(problem, [s], e) for s in splits)

    found = slope(interaction, value)
    evidence(slope=found.order, halvings=found.halvings)
    assert abs(found.order - 4) <= SLOPE
    # Every order below the fourth is zero, not only small: F = O(eps^4), better than the print.
    coefficients = change_series(problem, splits) - sum(change_series(problem, [s]) for s in splits)
    coefficients[0] = 0  # the loss itself, counted too often
    evidence(third=coefficients[3], fourth=coefficients[4])
    assert np.abs(coefficients[:3]).max() < SERIES and abs(coefficients[3]) < 1e-7
    assert abs(coefficients[4]) > 1e-5
    # Negative control: with means that are not zero, measured from the unmoved network, order two.
    splits = splits_at(PLACES[where], problem, "with means")
    found = slope(interaction, value)
    assert abs(found.order - 2) <= SLOPE


@pytest.mark.statement("S2D-Lem-A.1")
def test_lem_a_1_needs_zero_means(evidence):
    # Two linear neurons in a chain, f = theta_1 theta_2, x = 1, Phi(s) = s, both moved by eps.
    zero = [[[0.0, 0.0]], [[0.0, 0.0]], [[1.0, 0.0]]]
    problem = networks.MLP(zero, "identity"), np.ones((1, 1)), np.zeros((1, 1)), LINEAR
    both = [move(0, 0, [1.0, 0.0]), move(1, 0, [1.0, 0.0])]
    F = change(problem, both, 0.5) - sum(change(problem, [s], 0.5) for s in both)
    evidence("F at eps = 1/2", F)
    assert F == 0.25
    split = [pair(0, 0, [1.0, 0.0]), pair(1, 0, [1.0, 0.0])]
    assert change(problem, split, 0.5) == 0
