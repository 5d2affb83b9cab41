"""Theorem 2.3 of S2D, completed: the potential says which splits of any size lower the loss.

Oracles: the loss written out once more (`oracles.mean_loss`), its derivative, random clouds.
"""

import numpy as np
import oracles
import pytest
from augmented import EXACT
from by_hand import CONCAVE, parabola
from measures import PROBLEMS, loss_at, problem, random_cloud

from refgrow import networks, neurons, numerics, s2d, s2d_theory
from refgrow.networks import Shallow


@pytest.mark.statement("S2D-Thm-2.3-potential-new")
@pytest.mark.parametrize("name, d, m, loss", PROBLEMS)
def test_potential_is_the_first_variation(name, d, m, loss, evidence):
    rho, X, Y = problem(name, d, m, loss)
    psi = s2d_theory.potential(rho, X, Y, loss)
    at = np.random.default_rng(1).normal(size=(1, d))
    # Moving a little mass from atom 0 to `at`: the loss written out for complex masses.
    theta, masses = np.concatenate([rho.theta, at]), np.concatenate([rho.weights, [0.0]])
    step = np.concatenate([[-1.0], np.zeros(m - 1), [1.0]])
    slope = oracles.circle(
        lambda t: oracles.mean_loss(rho, (theta, masses + t * step), X, Y, loss), 1
    )
    variation = psi.value(at)[0] - psi.value(rho.theta)[0]
    G = numerics.complex_step(lambda t: psi.slope @ psi.neuron.value(t, psi.X)[:, 0], at)[0]
    S = numerics.central_difference(lambda t: psi.gradient(t)[0], at)[:, 0]
    evidence.worst("first variation", abs(slope - variation))
    evidence.worst("gradient", np.abs(psi.gradient(at)[0] - G).max())
    assert abs(slope - variation) < 1e-10
    assert np.abs(psi.gradient(at)[0] - G).max() < EXACT
    assert np.abs(psi.hessian(at)[0] - S).max() < 1e-8
    # Negative control: Phi' at the wrong output.
    off = s2d_theory.potential(rho.with_arrays([rho.theta + 0.3, rho.weights]), X, Y, loss)
    assert abs(slope - off.value(at)[0] + off.value(rho.theta)[0]) > 1e-4


@pytest.mark.statement("S2D-Thm-2.3-potential-new", "S2D-Thm-2.5a")
@pytest.mark.parametrize("name, d, m, loss", PROBLEMS)
def test_potential_has_the_gradient_and_splitting_matrices_of_the_network(name, d, m, loss):
    rho, X, Y = problem(name, d, m, loss)
    psi = s2d_theory.potential(rho, X, Y, loss)
    w = rho.weights[:, None]
    _, (by_theta, _) = networks.loss_and_gradient(rho, X, Y, loss)
    assert np.allclose(w * psi.gradient(rho.theta), by_theta, rtol=0, atol=EXACT)
    S = s2d.splitting_matrices(rho, X, Y, loss)[0]
    assert np.allclose(w[:, :, None] * psi.hessian(rho.theta), S, rtol=0, atol=EXACT)
    assert not np.allclose(psi.gradient(rho.theta), by_theta, rtol=0, atol=1e-3)


@pytest.mark.statement("S2D-Thm-2.3-potential-new")
@pytest.mark.parametrize("name, d, m, loss", PROBLEMS)
def test_potential_bounds_every_change_of_a_convex_loss(name, d, m, loss, evidence):
    rho, X, Y = problem(name, d, m, loss)
    psi = s2d_theory.potential(rho, X, Y, loss)
    rng, short = np.random.default_rng(2), []
    before, here = loss_at(rho, *rho.arrays, X, Y, loss), psi.value(rho.theta)
    for _ in range(100):
        theta, coupling = random_cloud(rho, 10 ** rng.uniform(-2, 0.5), rng)
        change = loss_at(rho, theta, coupling.sum(0), X, Y, loss) - before
        bound = coupling.sum(0) @ psi.value(theta) - rho.weights @ here
        short.append((change - bound) / (abs(bound) + 1e-3))
    evidence("least of (change - bound) / |bound|", min(short))
    assert min(short) > -EXACT
    # Negative control: the bound is tight to first order, so 1.01 of the least potential fails.
    theta, share = rho.theta - 1e-4 * psi.gradient(rho.theta), rho.weights
    change = loss_at(rho, theta, share, X, Y, loss) - before
    bound = share @ (psi.value(theta) - here)
    assert bound < 0 and bound <= change + 1e-15 and change < 0.99 * bound


@pytest.mark.statement("S2D-Thm-2.3-potential-new")
@pytest.mark.parametrize("seed", range(5))
def test_a_little_mass_moved_downhill_lowers_any_loss(seed, evidence):
    # At a strict local minimum in the parameters, S >= 0 or not: the sine of Thm 2.3's edge.
    X, Y = np.array([[1.0], [2.0]]), np.array([[2.0], [-1.0]])
    rho = Shallow(np.zeros((1, 1)), np.ones(1), neurons.ridge("sine"))
    size = 0.5**seed
    psi = s2d_theory.potential(rho, X, Y, "squared")
    # Psi = (-2 sin t + sin 2t) / 2 = -t^3/2 + ...: S = 0, and downhill to the right.
    assert abs(psi.hessian([[0.0]])[0, 0, 0]) == 0.0
    t = 1e-3 * size**3
    change = {
        side: loss_at(rho, np.array([[0.0], [side * size]]), np.array([1 - t, t]), X, Y, "squared")
        - 1.25
        for side in (1, -1)
    }
    evidence(f"share {t:.3g} moved by {size:.3g}", change[1])
    assert change[1] < 0 < change[-1]


@pytest.mark.statement("S2D-Thm-2.3-potential-new")
def test_the_converse_needs_a_convex_loss(evidence):
    # Phi = s - s^2, sigma = x theta + theta^2 / 2: Psi = theta^2 / 2, L = -theta^2/2 - theta^4/4.
    rho = Shallow(np.zeros((1, 1)), np.ones(1), parabola(1.0))
    X, Y = np.array([[1.0], [-1.0]]), np.zeros((2, 1))
    psi = s2d_theory.potential(rho, X, Y, CONCAVE)
    grid = np.linspace(-0.5, 0.5, 101)[:, None]
    assert np.allclose(psi.value(grid), grid[:, 0] ** 2 / 2)
    change = loss_at(rho, np.array([[0.1]]), np.ones(1), X, Y, CONCAVE)
    evidence("L(0.1) - L(0)", change)
    assert abs(change + 0.1**2 / 2 + 0.1**4 / 4) < 1e-15
    with pytest.raises(ValueError, match="convex"):
        s2d_theory.best_in_ball(rho, X, Y, CONCAVE, 0.1)
