"""S3D, equation 1: what a split with signed fractions does to the loss of real networks.

Remainder slopes and the power series of the augmented loss (`augmented.py`), for the scheme of
every branch of the best gain, and the third moment that decides the order of the remainder.
"""

import numpy as np
import pytest
import strategies
from augmented import (
    EXACT,
    SLOPE,
    assert_decomposition_is_exact,
    change,
    change_series,
    close,
    grown,
    slope,
)
from examples import deep_problem, shallow_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_schemes import (
    constants,
    random_schemes,
    turned,
    value,
)

from refgrow import growth, losses, s2d, s3d

BRANCHES = {  # name: spectrum, c, m, and the order of the remainder at zero mean
    "binary, positive": ([-1.0, 0.3], 3.0, 2, 4),
    "binary, negative": ([0.2, 1.0], 3.0, 2, 3),
    "triplet, positive": ([-1.0, 0.1], 3.0, 3, 4),
    "triplet, negative": ([0.1, 1.0], 3.0, 3, 4),
    "triplet, mixed": ([-1.0, 2.0], 3.0, 3, 3),
    "quartet": ([-1.0, 2.0], 1.3, 4, 4),
}


PLACES = ("kln", "lkn", "nkl")  # Where the one v_max of a product with two v_min can stand.


def split_of(branch, problem, mean=0.0):
    """This branch's scheme, turned so that the first term of its remainder is not by luck small."""
    spectrum, c, m, order = BRANCHES[branch]
    d = problem[0].theta.shape[1]
    splits = []
    for seed in range(8):
        S, _ = turned(np.append(spectrum, [spectrum[0]] * (d - 2)), np.random.default_rng(seed))
        scheme = s3d.best_scheme(S, c, m)
        splits.append(growth.Split(0, 0, scheme.weights, scheme.directions + mean))
    order = 3 if mean else order
    return max(splits, key=lambda split: abs(change_series(problem, [split])[order]))


@pytest.mark.statement("S3D-Eq-1")
@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("name", ["ridge(tanh)", "ridge(gaussian)", "bump"])
def test_eq_1_remainder_under_signed_fractions(name, branch, evidence):
    problem = shallow_problem(name, m=2, seed=3)
    split = split_of(branch, problem)
    before = losses.squared.value(problem[0](problem[1]), problem[2])
    found = slope(lambda e: s2d.decompose(*problem, [split], e).remainder, before)
    evidence(slope=found.order, halvings=found.halvings)
    assert abs(found.order - BRANCHES[branch][3]) <= SLOPE
    # With a mean the remainder is of order three, whatever the symmetry of the scheme.
    shifted = split_of(branch, problem, mean=0.4)
    found = slope(lambda e: s2d.decompose(*problem, [shifted], e).remainder, before)
    evidence(slope_with_a_mean=found.order)
    assert abs(found.order - 3) <= SLOPE
    # Negative controls: the signs of the fractions lost; the half lost; no splitting term at all.
    [S] = s2d.splitting_matrices(*problem)
    gain = s3d.scheme_gain(S[0], split.fractions, split.directions)
    unsigned = s3d.scheme_gain(S[0], np.abs(split.fractions), split.directions)
    wrongs = [2 * gain, 0.0] + ([unsigned] if branch not in ("binary, positive",) else [])
    for wrong in wrongs:
        if abs(wrong - gain) > 1e-3 * abs(gain):  # A resting negative copy has no sign to lose.
            off = slope(lambda e, g=wrong: change(problem, [split], e) - e**2 / 2 * g, before)
            assert abs(off.order - 2) <= SLOPE


@pytest.mark.statement("S3D-Eq-1")
@settings(max_examples=30)
@given(st.data(), constants.filter(lambda c: c < 100), st.integers(2, 5))
def test_eq_1_coefficients_under_signed_fractions(evidence, data, c, m):
    """Both orders, any family and loss, and Pi_m itself, for any feasible scheme with a mean."""
    problem = data.draw(strategies.problems(strategies.shallow_networks(most=2), samples=(1, 4)))
    rng, d = data.draw(strategies.generators), problem[0].theta.shape[1]
    [w], [D] = random_schemes(c, m, d, 1, rng)
    split = growth.Split(0, 0, w, D + data.draw(st.sampled_from([0.0, 0.5])))
    assert_decomposition_is_exact(problem, [split], evidence)
    [S] = s2d.splitting_matrices(*problem)
    assert close(s3d.scheme_gain(S[0], w, D), value(S[0], w, D), EXACT * c)


@pytest.mark.statement("S3D-Eq-1", "S3D-Thm-2.2-optimum-new")
@pytest.mark.parametrize("branch", BRANCHES)
def test_eq_1_third_moments_of_the_schemes(branch, evidence):
    """What is left of order three: sum_i w_i D_i (x) D_i (x) D_i, and its sign is that of v_max."""
    spectrum, c, m, order = BRANCHES[branch]
    a, b = (c + 1) / 2, (c - 1) / 2
    w, D, _ = s3d.best_scheme(np.diag(spectrum), c, m)
    third = np.einsum("i,ik,il,in->kln", w, D, D, D)
    down, up = np.eye(2)
    cube = np.einsum("k,l,n->kln", up, up, up)
    across = sum(np.einsum(f"{at[0]},{at[1]},{at[2]}->kln", up, down, down) for at in PLACES)
    factor = {"binary, negative": (-1, 0), "triplet, mixed": (-1, 1)}.get(branch, (0, 0))
    exact = b * c / a**2 * (factor[0] * cube + factor[1] * across)
    evidence("largest entry of the third moment", np.abs(third).max())
    assert np.abs(third - exact).max() < EXACT
    assert (np.abs(third).max() > EXACT) == (order == 3)


@pytest.mark.statement("S3D-Eq-1")
def test_eq_1_signed_splits_of_a_deep_network(evidence):
    problem = deep_problem((2, 2, 2, 2), activation="tanh", outputs=2)
    scheme = s3d.best_scheme(np.diag([-1.0, 2.0, 0.5]), 3.0, 3)
    splits = [growth.Split(layer, 0, *scheme[:2]) for layer in (0, 1, 2)]
    before = losses.squared.value(problem[0](problem[1]), problem[2])
    found = slope(lambda e: s2d.decompose(*problem, splits, e).remainder, before)
    evidence(slope=found.order)
    assert abs(found.order - 3) <= SLOPE
    part = slope(
        lambda e: change(problem, splits, e) - s2d.decompose(*problem, splits[:2], e).splitting,
        before,
    )
    assert abs(part.order - 2) <= SLOPE  # Negative control: the third neuron left out.


@pytest.mark.statement("S3D-Eq-1")
def test_eq_1_the_average_displacement_misses_a_factor(evidence):
    """Printed: delta_0 = sum_i w_i theta_i - theta, and theta_i = theta + eps (delta_0 + delta_i).

    The two agree with sum_i w_i delta_i = 0 only for delta_0 = (sum_i w_i theta_i - theta) / eps.
    """
    rng = np.random.default_rng(4)
    problem = shallow_problem("ridge(tanh)", m=1, seed=3)
    net, X, Y, _ = problem
    w, u = np.array([1.2, 0.6, -0.8]), rng.normal(size=(3, 2))
    before = losses.squared.value(net(X), Y)

    def remainder(eps, divisor):
        copies = net.theta[0] + eps * u
        delta_0 = (w @ copies - net.theta[0]) / divisor
        delta = (copies - net.theta[0]) / eps - delta_0
        moved = net.with_arrays([net.theta + eps * delta_0, net.weights])
        [[S]] = s2d.splitting_matrices(*problem)
        predicted = losses.squared.value(moved(X), Y) + eps**2 / 2 * value(S, w, delta)
        return grown(problem, [growth.Split(0, 0, w, u)], eps) - predicted, w @ delta

    right = slope(lambda e: remainder(e, e)[0], before)
    printed = slope(lambda e: remainder(e, 1.0)[0], before)
    evidence(order_with_1_over_eps=right.order, order_as_printed=printed.order)
    assert abs(right.order - 3) <= SLOPE and np.abs(remainder(0.1, 0.1)[1]).max() < EXACT
    assert abs(printed.order - 1) <= SLOPE and np.abs(remainder(0.1, 1.0)[1]).max() > 0.1
