"""SplitLBI sections 2 and 3: one step, its equivalent forms, and what it conserves."""

import numpy as np
import pytest
import splitlbi_twin as twin
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from splitlbi_problems import logs, partitions, problems, prox_of, walk
from strategies import generators

from refgrow import splitlbi
from refgrow import splitlbi_theory as theory

EXACT = 1e-12  # Identities over some tens of steps with numbers of order one.
OPTIMAL = 1e-6  # What Nelder-Mead finds of a minimiser, values to 1e-14: about the square root.
SLACK = 1e-12  # Rounding of an objective of order one.


# Equations 2 to 5 -------------------------------------------------------------------------------


@pytest.mark.statement("LBI-Eq-5")
@settings(max_examples=60)
@given(partitions(), generators, logs)
def test_eq_5_prox_is_the_minimiser(evidence, drawn, rng, log):
    (n, groups), lam = drawn, 10**log
    V = 2 * lam * rng.normal(size=n)

    def objective(G):
        return 0.5 * ((G - V) ** 2).sum() + theory.penalty(G, groups, lam)

    best = splitlbi.prox(V, groups, lam)
    near = best + lam * rng.normal(size=(200, n)) * 10.0 ** rng.uniform(-6, 0, size=(200, 1))
    margins = np.array([objective(G) for G in near]) - objective(best)
    # Strong convexity: any other point is worse by half its squared distance.
    distance = 0.5 * ((near - best) ** 2).sum(axis=1)
    evidence.worst("least of margin - |G - prox|^2 / 2, negated", (distance - margins).max())
    assert (margins >= distance - SLACK * lam**2 * n**2).all()
    # Negative control: a threshold that is off by 5 per cent is beaten, where there is one.
    wrong = splitlbi.prox(V, groups, 1.05 * lam)
    if np.abs(wrong).max() > 0:
        assert objective(best) < objective(wrong)


@pytest.mark.statement("LBI-Eq-5-group")
@given(partitions(), generators, logs)
def test_eq_5_group_closed_form_needs_lambda(evidence, drawn, rng, log):
    (n, _), lam = drawn, 10**log
    V, groups = 2 * lam * rng.normal(size=n), [np.arange(n)]
    norm = np.linalg.norm(V)
    ours = splitlbi.prox(V, groups, lam)
    np.testing.assert_allclose(ours, max(0, 1 - lam / norm) * V, rtol=0, atol=EXACT * lam)
    printed = max(0, 1 - 1 / norm) * V

    def objective(G):
        return 0.5 * ((G - V) ** 2).sum() + lam * np.linalg.norm(G)

    assert objective(ours) <= objective(printed) + SLACK * lam**2
    if abs(lam - 1) > 0.1 and norm > 1.1 * min(lam, 1):
        assert objective(ours) < objective(printed)
    # Groups of one entry each are the lasso; a zero group is zero and not 0 / 0.
    singles = [[i] for i in range(n)]
    np.testing.assert_allclose(
        splitlbi.prox(V, singles, lam), splitlbi.prox(V, None, lam), rtol=0, atol=EXACT * lam
    )
    assert (splitlbi.prox(0 * V, groups, 0.0) == 0).all()


@pytest.mark.statement("LBI-Eq-5-group")
def test_eq_5_group_the_printed_formula_at_lambda_two(evidence):
    V = np.array([3.0, 4.0])
    ours, printed = splitlbi.prox(V, [[0, 1]], 2.0), (1 - 1 / 5) * V
    values = [0.5 * ((G - V) ** 2).sum() + 2 * np.linalg.norm(G) for G in (ours, printed)]
    evidence(ours=ours.tolist(), printed=printed.tolist(), objectives=values)
    np.testing.assert_allclose(ours, [1.8, 2.4], rtol=0, atol=EXACT)
    assert values[0] < values[1] - 0.4


@pytest.mark.statement("LBI-Eq-5-group")
@pytest.mark.parametrize(
    "V, lam, expected",
    [
        ([1e200, 1e200], 1.0, [1e200, 1e200]),
        ([3e200, 4e200], 1e200, [2.4e200, 3.2e200]),
        ([1.5e308, 1.5e308], 0.0, [1.5e308, 1.5e308]),
        ([1e-200, 1e-200], 0.0, [1e-200, 1e-200]),
        ([3e-200, 4e-200], 1e-200, [2.4e-200, 3.2e-200]),
        ([3e-200, 4e-200], 6e-200, [0.0, 0.0]),
        ([5e-324, 0.0], 0.0, [5e-324, 0.0]),
        ([3e-170, 4e-170], 1.0, [0.0, 0.0]),
    ],
)
def test_eq_5_group_at_the_ends_of_the_range_of_numbers(V, lam, expected):
    """Squares over- or underflow there; a group of ordinary size beside is the same to the bit."""
    beside = [2.0, 0.5]
    found = splitlbi.prox([*V, *beside], [[2, 3], [1, 0]], lam)
    np.testing.assert_allclose(found[:2], expected, rtol=EXACT, atol=0)
    np.testing.assert_array_equal(found[2:], splitlbi.prox(beside, [[0, 1]], lam))
    with np.errstate(over="ignore"):
        plain = np.hypot(*V)  # which scales, too
    if np.isfinite(plain):
        assert theory.penalty(V, [[0, 1]], 1.0) == pytest.approx(plain, rel=EXACT, abs=0)
        inside = [np.nextafter(plain, 0) * (1 - 1e-8), plain * (1 + 1e-8)]
        if plain > 1e-300:
            limits = [theory.conjugate(V, [[0, 1]], bound) for bound in inside]
            assert limits == [np.inf, 0.0]
    else:
        assert theory.penalty(V, [[0, 1]], 1.0) == np.inf
    # A step sees the same Gamma, and free entries are left alone.
    state = splitlbi.init([0.0] * 3, step=1.0, nu=1.0, lam=lam, V0=[*V, 7.0], groups=[[0, 1]])
    moved = splitlbi.step(state, np.zeros(3))
    np.testing.assert_allclose(moved.W[:2], state.Gamma[:2], rtol=EXACT, atol=0)
    np.testing.assert_allclose(state.Gamma[:2], expected, rtol=EXACT, atol=0)
    assert state.Gamma[2] == moved.W[2] == 0


@pytest.mark.statement("LBI-Eq-5-group")
@given(partitions(), generators, st.floats(-100, 100))
def test_eq_5_group_penalty_takes_no_bit_from_the_plain_norm(drawn, rng, log):
    n, groups = drawn
    V = rng.normal(size=n) * 10**log
    expected = np.abs(V).sum()
    if groups is not None:
        labels = np.empty(n, int)
        for k, group in enumerate(groups):
            labels[group] = k
        expected = np.sqrt(np.bincount(labels, V**2)).sum()
    assert theory.penalty(V, groups, 1.0) == expected
    assert theory.penalty(V, groups, 1.0) != np.nextafter(expected, np.inf)


@pytest.mark.statement("LBI-Eq-2", "LBI-Eq-4")
@settings(max_examples=60)
@given(problems())
def test_eqs_2_and_4_step_is_the_papers_iteration(evidence, problem):
    state, S, beta = problem
    states = walk(state, S, beta, 30)
    constants = dict(step=state.step, nu=state.nu, kappa=state.kappa, steps=30)
    W, Gamma, V = twin.iterate(
        lambda w: S @ (w - beta), state.W, state.V, prox=prox_of(state), **constants
    )
    for name, other in (("W", W), ("Gamma", Gamma), ("V", V)):
        ours = np.array([getattr(s, name) for s in states])
        scale = 1 + np.abs(other).max()
        evidence.worst(f"relative difference of {name}", np.abs(ours - other).max() / scale)
        np.testing.assert_allclose(ours, other, rtol=0, atol=EXACT * scale)
    # Eq 2: each block moves along the gradient of the augmented loss at the old iterate.
    i = len(W) // 2
    pull = (W[i] - Gamma[i]) / state.nu
    s = state.kappa * state.step

    def value(w, gamma):
        gap = w - gamma
        return 0.5 * (w - beta) @ S @ (w - beta) + gap @ gap / (2 * state.nu)

    for k, row in enumerate(np.eye(len(beta))):  # Exact central differences: a quadratic.
        dW = (value(W[i] + row, Gamma[i]) - value(W[i] - row, Gamma[i])) / 2
        dG = (value(W[i], Gamma[i] + row) - value(W[i], Gamma[i] - row)) / 2
        size = 1 + abs(value(W[i], Gamma[i])) + 1 / state.nu
        assert abs(W[i + 1][k] - W[i][k] + s * dW) < EXACT * (1 + s) * size * 10
        assert abs(dG + pull[k]) < EXACT * size * 10
    middle = states[i]
    assert abs(theory.augmented(middle, value(W[i], W[i])) - value(W[i], Gamma[i])) < EXACT * size


@pytest.mark.statement("LBI-Eq-4")
def test_eq_4_the_order_of_the_updates_can_be_seen():
    """Negative control of the twin: one after the other is another algorithm."""
    state = splitlbi.init([1.0, -2.0], step=0.1, nu=1.0)
    states = walk(state, np.diag([1.0, 2.0]), np.array([3.0, 1.0]), 20)
    W, _, V = twin.iterate(
        lambda w: np.array([1.0, 2.0]) * (w - [3.0, 1.0]), [1.0, -2.0], [0.0, 0.0],
        step=0.1, steps=20, order="new",
    )  # fmt: skip
    assert np.abs(states[1].V - V[1]).max() > 0.01 and np.abs(states[-1].W - W[-1]).max() > 0.01


@pytest.mark.statement("LBI-Eq-4")
def test_eq_4_needs_a_penalty_that_scales(evidence):
    """kappa prox_Omega(V) is prox_(kappa Omega)(kappa V) for norms, not for every convex Omega."""
    V, kappa = np.array([3.0, -0.5]), 2.0
    for groups in (None, [[0, 1]]):
        ours = kappa * splitlbi.prox(V, groups, 1.0)
        np.testing.assert_allclose(ours, splitlbi.prox(kappa * V, groups, kappa), atol=EXACT)
    # Omega = x^2 / 2: prox(V) = V / 2, and prox of kappa Omega is x / (1 + kappa).
    evidence("kappa prox(3), prox of kappa Omega at 6", [kappa * 3 / 2, 6 / (1 + kappa)])
    assert kappa * 3 / 2 == 3.0 and 6 / (1 + kappa) == 2.0
    squares = [optimize.minimize_scalar(lambda x, k=k: (x - 6) ** 2 / 2 + k * x * x / 2).x
               for k in (kappa, 1 / kappa)]  # fmt: skip
    # Eq 4c runs with kappa Omega(. / kappa) = x^2 / (2 kappa) instead.
    np.testing.assert_allclose(squares, [2.0, 4.0], atol=OPTIMAL)


@pytest.mark.statement("LBI-Eq-3")
def test_eq_3_is_another_problem(evidence):
    """SplitLBI does not end at the minimiser of L + lam |W|_1, but at that of L."""
    beta, lam = np.array([3.0, -0.5]), 1.0
    run = splitlbi.run(
        splitlbi.init(np.zeros(2), step=0.5, nu=1.0, lam=lam), np.eye(2), beta, steps=2000
    )
    penalised = splitlbi.prox(beta, None, lam)  # The Hessian is the identity.
    evidence(end=run.state.W.tolist(), minimiser_of_eq_3=penalised.tolist())
    np.testing.assert_allclose(run.state.W, beta, atol=1e-9)
    np.testing.assert_allclose(run.state.Gamma, beta, atol=1e-9)
    assert np.abs(penalised - beta).max() == 1.0


# Equivalent forms -------------------------------------------------------------------------------


@pytest.mark.statement("LBI-Eq-6")
@settings(max_examples=60)
@given(problems(), generators)
def test_eq_6_linearised_bregman_iteration(evidence, problem, rng):
    start, S, beta = problem
    for state in walk(start, S, beta, 10)[::5]:
        gradient = S @ (state.W - beta)
        after = splitlbi.step(state, gradient)
        W, Gamma = theory.bregman_step(state, gradient)
        scale = 1 + np.abs(W).max() + np.abs(Gamma).max()
        worst = max(np.abs(after.W - W).max(), np.abs(after.Gamma - Gamma).max())
        evidence.worst("difference to step", worst / scale)
        np.testing.assert_allclose(after.W, W, rtol=0, atol=EXACT * scale)
        np.testing.assert_allclose(after.Gamma, Gamma, rtol=0, atol=EXACT * scale)
        # It is the minimiser of (6): strongly convex with modulus 1 / kappa.
        best = theory.bregman_objective(state, gradient, W, Gamma)
        for size in (1e-3, 0.1, 3.0):
            dW, dG = size * rng.normal(size=(2, len(W)))
            other = theory.bregman_objective(state, gradient, W + dW, Gamma + dG)
            least = (dW @ dW + dG @ dG) / (2 * state.kappa)
            weight = (1 + 1 / state.kappa) * (scale + size) ** 2 * (1 + 1 / state.nu + state.lam)
            assert other - best >= least - SLACK * 100 * weight * len(W)


@pytest.mark.statement("LBI-Eq-6")
def test_eq_6_by_a_solver_that_knows_nothing(evidence):
    rng = np.random.default_rng(5)
    state = splitlbi.init(
        rng.normal(size=2), step=0.1, nu=1.0, kappa=2.0, groups=[[0, 1]], V0=[1.5, -1.0]
    )
    gradient = rng.normal(size=2)
    found = optimize.minimize(
        lambda P: theory.bregman_objective(state, gradient, P[:2], P[2:]), np.ones(4),
        method="Nelder-Mead", options=dict(xatol=1e-11, fatol=1e-15, maxiter=20000, maxfev=20000),
    )  # fmt: skip
    after = splitlbi.step(state, gradient)
    error = np.abs(found.x - np.concatenate([after.W, after.Gamma])).max()
    evidence(error=error)
    assert error < OPTIMAL
    # Updated one after the other it is not of this form.
    late = state.V - state.step * (state.Gamma - after.W) / state.nu
    assert np.abs(found.x[2:] - 2 * splitlbi.prox(late, [[0, 1]], 1.0)).max() > 0.01


@pytest.mark.statement("LBI-Eq-15")
@settings(max_examples=60)
@given(problems())
def test_eq_15_and_16_are_the_same_iteration(evidence, problem):
    start, S, beta = problem
    for state in walk(start, S, beta, 20):
        gradient = S @ (state.W - beta)
        W, Gamma, g = theory.prox_step(state, gradient)
        after = splitlbi.step(state, gradient)
        scale = 1 + np.abs(W).max() + np.abs(Gamma).max() + np.abs(after.V).max()
        worst = max(
            np.abs(after.W - W).max(), np.abs(after.Gamma - Gamma).max(),
            np.abs(theory.subgradient(after) - g).max(),
        ) / (scale * max(1, 1 / state.kappa))  # fmt: skip
        evidence.worst("difference", worst)
        assert worst < EXACT
        # (15): g is a subgradient at the new Gamma.
        assert theory.conjugate(g, state.groups, state.lam) == 0
        fenchel = theory.penalty(Gamma, state.groups, state.lam) - Gamma @ g
        assert abs(fenchel) < EXACT * scale**2 * max(1, 1 / state.kappa)


# What only three numbers decide, and what is conserved ------------------------------------------


@pytest.mark.statement("LBI-rescaling-new")
@settings(max_examples=60)
@given(problems(), logs)
def test_rescaling_lambda_kappa_and_the_step(evidence, problem, log):
    state, S, beta = problem
    c = 10**log

    def other(**changes):
        constants = dict(step=state.step, nu=state.nu, kappa=state.kappa, lam=state.lam)
        V0 = state.V * changes.pop("V0", 1.0)
        return splitlbi.init(state.W, V0=V0, groups=state.groups, **(constants | changes))

    # (lam, kappa, alpha) and (lam c, kappa / c, alpha c), V times c: the same W and Gamma.
    same = other(lam=state.lam * c, kappa=state.kappa / c, step=state.step * c, V0=c)
    wrong = other(lam=state.lam * c, kappa=state.kappa / c, V0=c)
    one, two, three = (walk(s, S, beta, 30) for s in (state, same, wrong))
    scale = 1 + max(np.abs(s.W).max() + np.abs(s.Gamma).max() for s in one)
    worst = max(
        max(np.abs(a.W - b.W).max(), np.abs(a.Gamma - b.Gamma).max())
        for a, b in zip(one, two, strict=True)
    )
    evidence.worst("difference", worst / scale)
    assert worst < EXACT * scale
    if abs(log) > 0.1:
        assert max(np.abs(a.W - b.W).max() for a, b in zip(one, three, strict=True)) > EXACT * scale


@pytest.mark.statement("LBI-conservation-new")
@settings(max_examples=60)
@given(problems())
def test_conservation(evidence, problem):
    """W / kappa + V + alpha sum of gradients is constant: the coupling cancels."""
    state, S, beta = problem
    steps, total, start = 40, np.zeros(len(beta)), state.W / state.kappa + state.V
    size = np.abs(start).max()
    for _ in range(steps):
        gradient = S @ (state.W - beta)
        total += state.step * gradient
        state = splitlbi.step(state, gradient)
        size = max(size, np.abs(state.W / state.kappa).max(), np.abs(state.V).max())
    drift = np.abs(state.W / state.kappa + state.V + total - start).max() / (1 + size)
    evidence.worst("drift", drift)
    assert drift < EXACT


@pytest.mark.statement("LBI-conservation-new")
def test_conservation_tells_the_orders_apart(evidence):
    H, b = np.array([1.0, 2.0, 0.5]), np.array([3.0, -2.0, 4.0])
    drift = {}
    for order in ("old", "new"):
        W, _, V = twin.iterate(
            lambda w: H * (w - b), np.ones(3), np.zeros(3), step=0.05, kappa=2.0, order=order
        )
        total = W / 2 + V + 0.05 * np.cumsum([0 * b, *(H * (w - b) for w in W[:-1])], axis=0)
        drift[order] = np.abs(total - total[0]).max()
    evidence(drift_by_order=str(drift))
    assert drift["old"] < EXACT and drift["new"] > 0.05
    # In general: any loss, with a schedule of steps.
    rng, state, total = np.random.default_rng(0), splitlbi.init(np.ones(4), step=1.0), 0.0
    for k in range(50):
        g, alpha = rng.standard_cauchy(size=4), 0.1 / (1 + k)
        state, total = splitlbi.step(state, g, alpha), total + alpha * g
    np.testing.assert_allclose(state.W + state.V + total, np.ones(4), rtol=0, atol=1e-11)
