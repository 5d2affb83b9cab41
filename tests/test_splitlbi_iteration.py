"""SplitLBI sections 2 and 3: one step, its equivalent forms, what it conserves, what is refused."""

import pickle
import warnings

import numpy as np
import pytest
import splitlbi_twin as twin
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from strategies import generators, with_spectrum

from refgrow import splitlbi
from refgrow import splitlbi_theory as theory

EXACT = 1e-12  # Identities over some tens of steps with numbers of order one.
OPTIMAL = 1e-6  # What Nelder-Mead finds of a minimiser, values to 1e-14: about the square root.
SLACK = 1e-12  # Rounding of an objective of order one.

logs = st.floats(-1, 1)  # of kappa, nu and lam, to base 10


@st.composite
def partitions(draw, most=8, gaps=False):
    """(n, groups): None for the lasso, or a random partition in random order."""
    n, rng = draw(st.integers(1, most)), draw(generators)
    if draw(st.booleans()):
        return n, None
    order = rng.permutation(n)
    cuts = sorted(draw(st.sets(st.integers(1, n - 1), max_size=n - 1))) if n > 1 else []
    groups = np.split(order, cuts)
    if gaps and len(groups) > 1 and draw(st.booleans()):
        groups = groups[1:]
    return n, groups


@st.composite
def problems(draw, momentum=False):
    """A state with random constants and a quadratic loss, its step inside the proven ones."""
    (n, groups), rng = draw(partitions()), draw(generators)
    nu, kappa, lam = (10 ** draw(logs) for _ in range(3))
    spectrum = rng.uniform(0.1, 3, size=n)
    tau, decay = (draw(st.sampled_from([0.0, 0.5, 0.9])), 0.01) if momentum else (0.0, 0.0)
    step = draw(st.floats(0.05, 0.95)) * splitlbi.largest_step(spectrum.max(), nu, kappa)
    state = splitlbi.init(
        3 * rng.normal(size=n), step=step, nu=nu, kappa=kappa, lam=lam, groups=groups,
        V0=lam * rng.normal(size=n), momentum=tau, decay=decay,
    )  # fmt: skip
    return state, with_spectrum(spectrum, rng), 3 * rng.normal(size=n)


def prox_of(state):
    if state.groups is None:
        return lambda V: twin.lasso(V, state.lam)
    return twin.group(state.groups, state.lam)


def walk(state, S, beta, steps):
    """The states from `step`, on the quadratic loss around beta."""
    states = [state]
    for _ in range(steps):
        states.append(splitlbi.step(states[-1], S @ (states[-1].W - beta)))
    return states


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


# The compiled run, states and shapes ------------------------------------------------------------


@settings(max_examples=40)
@given(problems(momentum=True), st.integers(1, 7))
def test_run_is_step_after_step(problem, every):
    state, S, beta = problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = splitlbi.run(state, S, S @ beta, steps=20, every=every)
    states = walk(state, S, beta, 20)
    scale = 1 + np.abs(beta).max() + max(np.abs(s.W).max() + np.abs(s.V).max() for s in states)
    recorded = splitlbi.path([states[k] for k in sorted({*range(0, 20, every), 20})])
    np.testing.assert_array_equal(found.path.steps, recorded.steps)
    for name in ("W", "Gamma", "V", "density"):
        ours, other = getattr(found.path, name), getattr(recorded, name)
        np.testing.assert_allclose(ours, other, rtol=0, atol=EXACT * scale)
    whole = splitlbi.path(states)
    # What is not recorded is not known: an entry is seen at the next record.
    for early, late in zip(whole.first_entry, recorded.first_entry, strict=True):
        assert late == -1 or (late >= early >= 0 and late in recorded.steps)
        if early >= 0 and (whole.last_exit == -1).all():
            assert late == recorded.steps[recorded.steps >= early][0]
    np.testing.assert_array_equal(found.path.first_entry, whole.first_entry)
    np.testing.assert_array_equal(found.path.last_exit, whole.last_exit)
    assert found.nit == found.state.count == 20 and found.success
    # A run in two parts is one run.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        half = splitlbi.run(state, S, S @ beta, steps=9).state
        again = splitlbi.run(half, S, S @ beta, steps=11).state
    np.testing.assert_allclose(again.W, found.state.W, rtol=0, atol=EXACT * scale)
    np.testing.assert_allclose(again.V, found.state.V, rtol=0, atol=EXACT * scale)


def test_run_stops_where_it_is_told_to():
    state = splitlbi.init(np.zeros(3), step=0.3, nu=1.0)
    S, b = np.eye(3), np.array([3.0, 1.0, 0.2])
    half = splitlbi.run(state, S, b, steps=1000, density=0.6)
    assert half.status == splitlbi.DENSE and half.success
    assert splitlbi.density(half.state) == half.path.density[-1] == 2 / 3
    assert half.path.first_at(0.6) == len(half.path.steps) - 1 and half.path.first_at(1.0) is None
    np.testing.assert_array_equal(splitlbi.mask(half.state), [True, True, False])
    np.testing.assert_array_equal(splitlbi.project(half.state) != 0, [True, True, False])
    # Free entries do not count.
    part = splitlbi.init(np.zeros(3), step=0.3, nu=1.0, groups=[[0], [2]])
    found = splitlbi.run(part, S, b, steps=1000, density=0.5)
    assert splitlbi.density(found.state) == found.path.density[-1] == 0.5
    still = splitlbi.run(state, S, b, steps=5000, gtol=1e-10)
    assert still.status == splitlbi.STATIONARY and still.nit < 5000
    assert np.abs(still.state.W - b).max() < 1e-9
    short = splitlbi.run(state, S, b, steps=5, gtol=1e-10)
    assert short.status == splitlbi.STEPS_TAKEN and not short.success and short.nit == 5
    assert splitlbi.run(state, S, b, steps=0).path.steps.tolist() == [0]


def test_a_run_beyond_the_proven_step_warns_and_keeps_its_last_finite_state():
    state = splitlbi.init([0.0], step=0.99, nu=1.0)
    with pytest.warns(UserWarning, match=r"step = 0.99 is not below 0.763932, the largest") as seen:
        found = splitlbi.run(state, [[1.0]], [3.0], steps=10**4)
    assert seen[0].filename == __file__
    assert found.status == splitlbi.DIVERGED and not found.success and 0 < found.nit < 10**4
    assert np.isfinite(found.state.W).all() and np.isfinite(found.state.V).all()
    assert abs(found.state.W[0]) > 1e100 and found.state.count == found.path.steps[-1] == found.nit
    assert np.isfinite(found.path.W).all() and "smaller step" in found.message
    # The bound itself is not proven, the number below it is.
    bound = splitlbi.largest_step(1.0, 1.0, 1.0)
    with pytest.warns(UserWarning, match="is not below"):
        splitlbi.run(splitlbi.init([0.0], step=bound, nu=1.0), [[1.0]], [3.0], steps=1)
    below = splitlbi.init([0.0], step=np.nextafter(bound, 0), nu=1.0)
    splitlbi.run(below, [[1.0]], [3.0], steps=1)
    # Momentum halves what is proven; below it there is no warning (which would be an error here).
    for tau, decay in ((0.5, 0.0), (0.9, 0.01)):
        edge = theory.largest_momentum_step(1.0, 1.0, 1.0, tau, decay)
        for share in (0.99, 1.01):
            state = splitlbi.init([0.0], step=share * edge, nu=1.0, momentum=tau, decay=decay)
            if share < 1:
                splitlbi.run(state, [[1.0]], [3.0], steps=3)
            else:
                with pytest.warns(UserWarning, match="largest one proven"):
                    splitlbi.run(state, [[1.0]], [3.0], steps=3)


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=3),
       generators)  # fmt: skip
def test_lists_of_arrays_are_one_vector(shapes, rng):
    parts = [rng.normal(size=shape) for shape in shapes if shape] or [rng.normal(size=2)]
    grads = [rng.normal(size=part.shape) for part in parts]
    flat = np.concatenate([p.ravel() for p in parts])
    groups = [np.arange(len(flat))[::2]] if len(flat) > 1 else None
    state = splitlbi.init(parts, step=0.1, groups=groups, V0=[3 * p for p in parts], momentum=0.5)
    plain = splitlbi.init(flat, step=0.1, groups=groups, V0=3 * flat, momentum=0.5)
    for _ in range(3):
        state = splitlbi.step(state, grads)
        plain = splitlbi.step(plain, np.concatenate([g.ravel() for g in grads]))
    for name in ("W", "V", "Gamma"):
        arrays = getattr(state, name)
        assert [a.shape for a in arrays] == [p.shape for p in parts]
        np.testing.assert_array_equal(
            np.concatenate([a.ravel() for a in arrays]), getattr(plain, name)
        )
    assert [m.dtype for m in splitlbi.mask(state)] == [bool] * len(parts)
    if groups is not None:  # Free entries: momentum descent, no coupling, Gamma = W.
        free = np.setdiff1d(np.arange(len(flat)), groups[0])
        g = np.concatenate([g.ravel() for g in grads])[free]
        expected = flat[free] - 0.1 * (g + 1.5 * g + 1.75 * g)
        np.testing.assert_allclose(plain.W[free], expected, rtol=0, atol=EXACT)
        np.testing.assert_array_equal(plain.Gamma[free], plain.W[free])
        assert splitlbi.mask(plain)[free].all()


def test_states_are_records():
    W0 = np.array([1.0, 2.0])
    state = splitlbi.init(W0, step=0.1, groups=[[1, 0]])
    W0[:] = 9
    np.testing.assert_array_equal(state.W, [1, 2])
    after = splitlbi.step(state, np.ones(2))
    np.testing.assert_array_equal(state.W, [1, 2])
    assert state.count == 0 and after.count == 1
    with pytest.raises(ValueError, match="read-only"):
        after.W[0] = 1
    copy = pickle.loads(pickle.dumps(after))
    np.testing.assert_array_equal(copy.W, after.W)
    np.testing.assert_array_equal(splitlbi.step(copy, np.ones(2)).V,
                                  splitlbi.step(after, np.ones(2)).V)  # fmt: skip
    kept = splitlbi.snapshot(after)
    after.parameters[:] = 0
    assert (kept.W != 0).all()
    # Nested lists of numbers are an array.
    assert splitlbi.init([[1, 2], [3, 4]], step=1).W.shape == (2, 2)
    assert len(splitlbi.init([np.ones(2), [3.0, 4.0]], step=1).W) == 2
    # Float32, integers, Fortran order and read-only input are accepted.
    odd = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    odd.flags.writeable = False
    np.testing.assert_array_equal(splitlbi.init(odd, step=1).W, odd)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: splitlbi.prox([1.0, 2.0], [[0]], 1.0), ValueError, "cover all 2 .* index 1"),
        (lambda: splitlbi.prox([1.0, 2.0], [[0, 1], [1]], 1.0), ValueError, "overlap; .* index 1"),
        (lambda: splitlbi.prox([1.0, 2.0], [[0, 0], [1]], 1.0), ValueError, "overlap"),
        (lambda: splitlbi.prox([1.0, 2.0], [[0, 2]], 1.0), ValueError, "0 to 1; got 2 in group 0"),
        (lambda: splitlbi.prox([1.0, 2.0], [[0, -1]], 1.0), ValueError, "got -1"),
        (lambda: splitlbi.prox([1.0, 2.0], [[0, 1], []], 1.0), TypeError, r"groups\[1\] .* dtype"),
        (lambda: splitlbi.prox([1.0], [], 1.0), ValueError, "at least one group"),
        (lambda: splitlbi.prox([1.0], "lasso", 1.0), TypeError, "None or a list"),
        (lambda: splitlbi.prox([1.0], [[0.0]], 1.0), TypeError, "integer indices; got dtype"),
        (lambda: splitlbi.prox([1.0], 3, 1.0), TypeError, "None or a list of arrays"),
        (lambda: splitlbi.prox([np.nan], None, 1.0), ValueError, "V must be finite"),
        (lambda: splitlbi.prox([1.0], None, -1.0), ValueError, "lam must be .* >= 0"),
        (lambda: splitlbi.init([1.0], step=0.0), ValueError, "step must be .* > 0"),
        (lambda: splitlbi.init([1.0], step=1.0, nu=0.0), ValueError, "nu must be .* > 0"),
        (lambda: splitlbi.init([1.0], step=1.0, kappa=-1.0), ValueError, "kappa must be .* > 0"),
        (lambda: splitlbi.init([1.0], step=1.0, momentum=1.0), ValueError, "momentum .* < 1"),
        (lambda: splitlbi.init([1.0], step=1.0, decay=1.0), ValueError, "decay .* < 1"),
        (lambda: splitlbi.init([1j], step=1.0), TypeError, "real numbers"),
        (lambda: splitlbi.init([], step=1.0), ValueError, "W0 must not be empty"),
        (lambda: splitlbi.init([[1.0], [1.0, 2.0]], step=1.0), ValueError, "rectangular"),
        (lambda: splitlbi.init([1.0], step=1.0, V0=[1.0, 2.0]), ValueError, "V0 must have"),
        (lambda: splitlbi.step(splitlbi.init([1.0], step=1.0), [1.0, 2.0]), ValueError, "gradient"),
        (lambda: splitlbi.step(splitlbi.init([1.0], step=1.0), [np.inf]), ValueError, "finite"),
        (lambda: splitlbi.step(splitlbi.init([1.0], step=1.0), [1.0], 0.0), ValueError, "step"),
        (lambda: splitlbi.step([1.0], [1.0]), TypeError, "splitlbi.State"),
        (lambda: splitlbi.mask(3), TypeError, "splitlbi.State"),
        (lambda: splitlbi.path([]), ValueError, "at least one"),
        (lambda: splitlbi.path(3), TypeError, "list of states"),
        (lambda: splitlbi.path([splitlbi.init([1.0], step=1.0), splitlbi.init([1.0, 2], step=1)]),
         ValueError, "one training"),
        (lambda: splitlbi.largest_step(-1.0, 1.0, 1.0), ValueError, "lipschitz"),
        (lambda: splitlbi.largest_step(1.0, 0.0, 1.0), ValueError, "nu must be"),
        (lambda: splitlbi.largest_step(1.0, np.nan, 1.0), ValueError, "nu must be"),
        (lambda: splitlbi.largest_step(1.0, 1.0, 0.0), ValueError, "kappa must be"),
        (lambda: splitlbi.run(splitlbi.init([1.0], step=0.1), [[1.0, 0], [0, 1]], [1.0], steps=1),
         ValueError, "S must have shape"),
        (lambda: splitlbi.run(splitlbi.init([1.0], step=0.1), [[1.0]], [1.0], steps=1, density=0),
         ValueError, "density"),
        (lambda: theory.flow(-1.0, 1.0, 1.0, nu=1.0, kappa=1.0), ValueError, "h must be >= 0"),
        (lambda: theory.irrepresentable(np.eye(2), [0], [2.0]), ValueError, "signs must be"),
        (lambda: theory.irrepresentable(np.eye(2), [0], [1.0], kappa=2.0), ValueError, "magnitud"),
        (lambda: theory.subgradient(splitlbi.init([1.0, 2], step=1, groups=[[0]])), ValueError,
         "free entries"),
        (lambda: theory.prox_step(splitlbi.init([1.0], step=1, momentum=0.5), [1.0]), ValueError,
         "without momentum"),
        (lambda: theory.limit_problem([[1.0], [1.0]], [1.0, 2.0], splitlbi.init([1.0], step=1)),
         ValueError, "full row rank"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
