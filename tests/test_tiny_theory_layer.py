"""TINY section 3.1 and appendix B.1: what a layer can do by itself."""

import numpy as np
import oracles
import pytest
import strategies
from examples import deep_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_problems import BRUTE, EXACT, activities, inputs_of_layers, layers, nearest, onto

from refgrow import numerics, tiny, tiny_theory

CLEAR = 1e-3  # between numbers of order one that differ


def tangent(network, X, layer):
    """(n p, weights): the pre-activations of a layer by all weights up to it, by complex steps."""
    arrays, sigma = network.arrays[: layer + 1], oracles.ACTIVATIONS[network.activation.name]
    cuts = np.cumsum([W.size for W in arrays])[:-1]

    def pre_activations(theta):
        H = X
        for W, w in zip(arrays, np.split(theta, cuts), strict=True):
            Z = H @ w.reshape(W.shape)[:, :-1].T + w.reshape(W.shape)[:, -1]
            H = sigma(Z)
        return Z.ravel()

    return numerics.complex_step(pre_activations, np.concatenate([W.ravel() for W in arrays]))


@pytest.mark.statement("TINY-Def-3.1")
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_lack_with_all_parameters_is_less_than_with_one_layers(layer, evidence):
    net, X, _, _ = problem = deep_problem((2, 3, 2), n=30, seed=2)
    V = tiny.desired_updates(*problem)[layer]
    B = inputs_of_layers(net, X)[layer]
    J, v = tangent(net, X, layer), V.ravel()
    every = ((v - onto(J) @ v) ** 2).sum()
    alone = tiny_theory.lack_of_expressivity(B, V)
    evidence(all_parameters=every, one_layer=alone, nothing=(V**2).sum())
    assert EXACT < every < alone + EXACT
    assert (alone - every > CLEAR * every) == (layer > 0)  # equal for l = 1, and only there
    assert alone < (V**2).sum() - CLEAR
    # A sum over samples: eq 10 has the mean of the same.
    assert abs(alone / len(X) - tiny_theory.distances(B, B, V, 1).update) < EXACT
    # Quadratic in eta; nothing is lacking where the goal is a move of the tangent space.
    assert abs(tiny_theory.lack_of_expressivity(B, 3 * V) - 9 * alone) < EXACT * alone * 9
    reachable = B @ np.ones((B.shape[1], V.shape[1]))
    assert tiny_theory.lack_of_expressivity(B, reachable) < EXACT


@pytest.mark.statement("TINY-Def-3.1", "TINY-Prop-3.1")
@settings(max_examples=40)
@given(layers(), strategies.generators)
def test_the_best_update_is_best_and_of_least_norm(evidence, problem, rng):
    B, _, V = problem
    (n, q), p = B.shape, V.shape[1]
    U = tiny.best_update(B, V)
    # The printed formula, with both 1/n.
    printed = V.T @ B / n @ np.linalg.pinv(B.T @ B / n, rcond=1e-12)
    evidence.worst("from the print", float(np.abs(U - printed).max()))
    assert np.abs(U - printed).max() < 1e-9
    assert np.abs(V.T @ B - U @ (B.T @ B)).max() < 1e-9  # normal equations
    lack = ((V - B @ U.T) ** 2).sum()
    assert abs(lack - tiny_theory.lack_of_expressivity(B, V)) < EXACT * (1 + (V**2).sum())
    for M in rng.normal(size=(20, p, q)):
        for size in (1e-4, 1.0):
            assert ((V - B @ (U + size * M).T) ** 2).sum() > lack - EXACT * (1 + lack)
    # Nothing of it in the null space: every other solution is longer.
    null = np.eye(q) - onto(B.T)
    assert np.abs(U @ null).max() < EXACT * (1 + np.abs(U).max())
    P = tiny_theory.projector(B)
    assert np.abs(P - onto(B)).max() < 1e-9 and np.abs(P @ P - P).max() < EXACT
    assert np.abs(P - P.T).max() < EXACT and np.abs(P @ V - B @ U.T).max() < 1e-9


@pytest.mark.statement("TINY-Prop-3.1")
def test_gradient_descent_with_its_best_step_is_worse(evidence):
    rng = np.random.default_rng(0)
    B, V = activities(8, 3, rng, [1.0, 2.0, 4.0]), rng.normal(size=(8, 2))

    def missed(B):
        gd = B @ (B.T @ V)
        step = (gd * V).sum() / (gd * gd).sum()
        return ((V - step * gd) ** 2).sum() - tiny_theory.lack_of_expressivity(B, V)

    evidence(gradient_descent_misses=missed(B))
    assert missed(B) > CLEAR
    assert abs(missed(activities(8, 3, rng, [2.0]))) < EXACT  # Control: B^T B = 4 I.
    wrong = V.T @ B / 8 @ np.linalg.pinv(B.T @ B, rcond=1e-12)  # Control: one 1/n of the two.
    assert ((V - B @ wrong.T) ** 2).sum() > tiny_theory.lack_of_expressivity(B, V) + CLEAR
    # "The" solution is one of many where columns depend on each other.
    twice = np.column_stack([B, B[:, 0] + B[:, 1]])
    U = tiny.best_update(twice, V)
    other = U + np.array([1.0, 1.0, 0.0, -1.0])
    gap = ((V - twice @ other.T) ** 2).sum() - ((V - twice @ U.T) ** 2).sum()
    evidence(norm_of_least=(U**2).sum(), of_another=(other**2).sum())
    assert abs(gap) < EXACT and (other**2).sum() > (U**2).sum() + 1


@pytest.mark.statement("TINY-Prop-3.1")
@pytest.mark.parametrize("seed", range(3))
def test_the_best_update_against_a_general_optimiser(seed, evidence):
    rng = np.random.default_rng(seed)
    B, V = activities(7, 3, rng, [0.3, 1.0, 2.0]), activities(7, 2, rng)
    best = nearest(B, np.zeros((7, 1)), V, 1, rng, starts=2)
    found = tiny_theory.lack_of_expressivity(B, V) / 7
    evidence(closed_form=found, bfgs=best)
    assert abs(found - best) < BRUTE


@pytest.mark.statement("TINY-B.1-grad")
@settings(max_examples=20)
@given(layers(), st.integers(0, 2**32 - 1))
def test_the_gradient_in_the_proof_has_the_other_sign(evidence, problem, seed):
    B, _, V = problem
    rng = np.random.default_rng(seed)
    U, H = rng.normal(size=(2, V.shape[1], B.shape[1]))

    def g(U):
        return ((V - B @ U.T) ** 2).sum()

    gradient = numerics.complex_step(g, U)
    printed = 2 * (V - B @ U.T).T @ B
    scale = 1 + np.abs(printed).max()
    evidence(printed=printed.ravel()[0], found=gradient.ravel()[0])
    assert np.abs(gradient + printed).max() < EXACT * scale
    if np.abs(printed).max() > CLEAR:  # Control: the print's own sign.
        assert np.abs(gradient - printed).max() > CLEAR
    # o(|H|) is |B H^T|^2, not a remainder: so g is convex, and where its gradient is zero is best.
    exact = g(U) + (gradient * H).sum() + ((B @ H.T) ** 2).sum()
    assert abs(g(U + H) - exact) < EXACT * (1 + abs(exact))
