"""SplitLBI section 2: the flow, its limits in nu and kappa, and when a weight enters."""

import numpy as np
import pytest
import splitlbi_twin as twin
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize
from strategies import generators

from refgrow import splitlbi
from refgrow import splitlbi_theory as theory

ORDER = 0.1  # What a fitted order may be off by.
SOLVER = 1e-6  # solve_ivp at rtol 1e-11; it steps over kinks without noticing: up to 1e-8 seen.
EXACT = 1e-12

# (h, beta, nu, kappa, lam, W0, V0, time); in the last Gamma changes its sign on the way.
SETTINGS = [
    (1.0, 3.0, 1.0, 1.0, 1.0, 0.0, 0.0, 3.0),
    (1.0, 3.0, 1.0, 10.0, 1.0, 0.0, 0.0, 3.0),
    (2.0, -1.0, 0.5, 3.0, 0.3, 2.0, 0.0, 4.0),
    (1.0, 0.5, 2.0, 2.0, 0.1, -6.0, 0.0, 6.0),
]


def euler(h, beta, nu, kappa, lam, W0, V0, time, steps, order="old"):
    rows = twin.iterate(
        lambda w: h * (w - beta), [W0], [V0], step=time / steps, nu=nu, kappa=kappa, steps=steps,
        prox=lambda V: twin.lasso(V, lam), order=order,
    )  # fmt: skip
    return [float(row[-1][0]) for row in rows]


def at(h, beta, nu, kappa, lam, W0, V0, time):
    point = theory.flow(h, beta, time, nu=nu, kappa=kappa, lam=lam, W0=W0, V0=V0)
    return [float(x) for x in point]


def halving(errors):
    """The order at which each error follows from the one before."""
    return np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))


# The differential inclusion ---------------------------------------------------------------------


@pytest.mark.statement("LBI-Eq-1")
@settings(max_examples=25)
@given(generators)
def test_eq_1_closed_form_solves_the_equation(evidence, rng):
    """Against a Runge-Kutta method on (W, V), which sees no pieces."""
    h, beta, W0, V0 = rng.uniform(0.1, 3), 2 * rng.normal(), 3 * rng.normal(), rng.normal()
    nu, kappa, lam, time = *10 ** rng.uniform(-0.7, 0.7, size=2), rng.uniform(0, 1.5), 3.0

    def speed(_, y):
        pull = (y[0] - kappa * twin.lasso(y[1], lam)) / nu
        return [-kappa * (h * (y[0] - beta) + pull), pull]

    found = integrate.solve_ivp(
        speed, (0, time), [W0, V0], method="DOP853", rtol=1e-11, atol=1e-12, max_step=0.05
    )
    W, Gamma, V = at(h, beta, nu, kappa, lam, W0, V0, time)
    scale = 1 + abs(W0) + abs(beta) + abs(V0)
    error = max(abs(found.y[0, -1] - W), abs(found.y[1, -1] - V)) / scale
    evidence.worst("relative difference to an integrator", error)
    assert error < SOLVER
    assert abs(Gamma - kappa * twin.lasso(V, lam)) < EXACT * kappa * scale
    # The flow from a point of the path is the rest of the path.
    half = at(h, beta, nu, kappa, lam, W0, V0, time / 3)
    again = at(h, beta, nu, kappa, lam, half[0], half[2], 2 * time / 3)
    np.testing.assert_allclose(again, [W, Gamma, V], rtol=0, atol=1e-10 * scale * max(1, kappa))


@pytest.mark.statement("LBI-Eq-1")
@pytest.mark.parametrize("setting", SETTINGS)
def test_eq_1_steps_follow_the_flow_at_first_order(evidence, setting):
    exact = at(*setting)
    errors = []
    for steps in [200 * 2**k for k in range(6)]:
        W, _, V = euler(*setting, steps)
        errors.append(max(abs(W - exact[0]), abs(V - exact[2])))
    orders = halving(np.array(errors))
    evidence(orders=np.round(orders, 3).tolist(), last_error=errors[-1])
    assert len(orders) >= 4 and np.abs(orders[-4:] - 1).max() < ORDER
    # Negative control: the flow for a kappa that is 5 per cent larger is not approached.
    wrong = at(*setting[:3], 1.05 * setting[3], *setting[4:])
    assert abs(W - wrong[0]) + abs(V - wrong[2]) > 20 * errors[-1]


@pytest.mark.statement("LBI-Eq-1")
def test_eq_1_does_not_see_the_order_of_the_updates(evidence):
    exact = at(*SETTINGS[0])
    errors = []
    for steps in (400, 800, 1600, 3200, 6400):
        W, _, V = euler(*SETTINGS[0], steps, order="new")
        errors.append(max(abs(W - exact[0]), abs(V - exact[2])))
    evidence(orders=np.round(halving(np.array(errors)), 3).tolist())
    assert np.abs(halving(np.array(errors)) - 1).max() < ORDER


def test_flow_is_coordinate_by_coordinate():
    h, beta = np.array([[1.0], [2.0]]), np.array([3.0, -1.0, 0.0])
    whole = theory.flow(h, beta, 2.0, nu=1.0, kappa=2.0, W0=1.0)
    assert whole.W.shape == (2, 3)
    one = theory.flow(2.0, -1.0, 2.0, nu=1.0, kappa=2.0, W0=1.0)
    assert whole.W[1, 1] == one.W and whole.V[1, 1] == one.V
    # At rest, on the edge of the box, and without curvature.
    still = theory.flow(1.0, 0.0, 5.0, nu=1.0, kappa=1.0)
    assert still == (0.0, 0.0, 0.0)
    edge = theory.flow(1.0, 2.0, 0.0, nu=1.0, kappa=1.0, V0=1.0)
    assert edge.Gamma == 0 and edge.V == 1
    assert theory.flow(1.0, 2.0, 1e-3, nu=1.0, kappa=1.0, V0=1.0, W0=1.0).Gamma > 0
    assert theory.flow(1.0, 2.0, 1e-3, nu=1.0, kappa=1.0, V0=1.0, W0=-1.0).Gamma == 0
    flat = theory.flow(0.0, 0.0, 50.0, nu=1.0, kappa=1.0, W0=2.0)  # W / kappa + V is kept.
    np.testing.assert_allclose([flat.W, flat.Gamma, flat.W + flat.V], [0.5, 0.5, 2.0], atol=1e-9)


@pytest.mark.parametrize(
    "h, beta, W0, V0, lam",
    [
        (2.0, -3.0, 0.0, -1.0, 1.0),  # on the edge, at rest, and pushed out
        (2.0, 3.0, 0.0, -1.0, 1.0),  # pushed in
        (1e-8, 1000.0, 0.0, 1.0, 1.0),  # by a small force to a far goal
        (2.0, -1.0, 1e-8, 3.0, 3.0),  # out, and in again a moment later
        (1.0, -3.0, 0.0, 0.0, 0.0),  # a box of width zero
        (1.0, -3.0, 1e-8, 1e-8, 1e-8),
        (1000.0, -1.0, 1e-8, 1.0, 1.0),
    ],
)
def test_flow_from_the_edge_of_the_box(h, beta, W0, V0, lam):
    """The flow depends continuously on its start: beside the edge it is the same."""
    for nu, kappa in ((0.02, 5.0), (300.0, 0.5), (1.0, 300.0)):
        for time in (0.1, 10.0):
            rows = [at(h, beta, nu, kappa, lam, W0, V0 + e, time) for e in (-1e-9, 0.0, 1e-9)]
            assert np.abs(np.array(rows) - rows[1]).max() < 1e-4


# The limits in nu -------------------------------------------------------------------------------


@pytest.mark.statement("LBI-large-nu")
def test_large_nu_is_gradient_descent_up_to_one_over_nu(evidence):
    h, beta, W0, time, nus = 1.0, 2.0, -1.0, 3.0, (20, 40, 80, 160, 320)
    descent = beta + (W0 - beta) * np.exp(-h * time)
    points = [at(h, beta, nu, 1.0, 1.0, W0, 0.0, time) for nu in nus]
    errors = np.array([W - descent for W, _, _ in points])
    evidence(errors=errors.tolist(), orders=np.round(halving(errors), 3).tolist())
    assert np.abs(halving(errors) - 1).max() < ORDER
    assert np.abs(errors).min() > 1e-3  # No finite nu is large enough.
    # Gronwall's bound, with the largest |W - Gamma| of the path.
    for nu, error in zip(nus, errors, strict=True):
        gap = max(
            abs(W - G) for W, G, _ in (at(h, beta, nu, 1.0, 1.0, W0, 0.0, t)
                                       for t in np.linspace(0, time, 50))
        )  # fmt: skip
        assert abs(error) <= np.expm1(h * time) / h * gap / nu
    # Gamma does not move on this horizon, but on the time nu lam / |beta|.
    assert all(G == 0 for _, G, _ in points)
    for nu in (100.0, 1000.0):
        entry = (1 / h + nu) / beta
        before, after = (at(h, beta, nu, 1.0, 1.0, 0.0, 0.0, f * entry)[1] for f in (0.98, 1.02))
        assert before == 0 < after


@pytest.mark.statement("LBI-small-nu")
@pytest.mark.parametrize("W0", [0.0, 0.5, 3.0, -3.0])
def test_small_nu_is_mirror_descent_with_half_the_kappa(evidence, W0):
    h, beta, kappa, time = 1.0, 2.0, 2.0, 1.6
    limit = float(theory.mirror_limit(h, beta, time, kappa=kappa, W0=W0))
    points = [at(h, beta, 0.1 / 2**k, kappa, 1.0, W0, 0.0, time) for k in range(6)]
    errors = np.array([G - limit for _, G, _ in points])
    evidence(limit=limit, errors=errors.tolist(), orders=np.round(halving(errors), 3).tolist())
    if limit:
        assert np.abs(halving(errors)[-4:] - 1).max() < ORDER
        # Negative control, the print's reading: the potential of eq 1, with kappa and not half.
        printed = float(theory.mirror_limit(h, beta, time, kappa=2 * kappa, W0=2 * W0))
        assert abs(points[-1][1] - printed) > 20 * abs(errors[-1])
        # And W0 is not forgotten.
        if W0:
            forgotten = float(theory.mirror_limit(h, beta, time, kappa=kappa))
            assert abs(points[-1][1] - forgotten) > 20 * abs(errors[-1])
    assert abs(points[-1][0] - points[-1][1]) < 0.1  # W and Gamma meet.


@pytest.mark.statement("LBI-small-nu")
@settings(max_examples=25)
@given(generators)
def test_small_nu_limit_solves_its_equation(evidence, rng):
    """d/dt (g + 2 Gamma / kappa) = -grad L, from V0 + W0 / kappa: against an integrator."""
    h, beta, W0, V0 = rng.uniform(0.1, 3), 2 * rng.normal(), 3 * rng.normal(), rng.normal()
    kappa, lam, time = 10 ** rng.uniform(-0.7, 0.7), rng.uniform(0, 1.5), 2.0
    found = integrate.solve_ivp(
        lambda _, U: -h * (kappa / 2 * twin.lasso(U, lam) - beta), (0, time), [V0 + W0 / kappa],
        method="DOP853", rtol=1e-11, atol=1e-12, max_step=0.02,
    )  # fmt: skip
    expected = kappa / 2 * twin.lasso(found.y[0, -1], lam)
    limit = theory.mirror_limit(h, beta, time, kappa=kappa, lam=lam, W0=W0, V0=V0)
    error = abs(limit - expected) / (1 + abs(W0) + abs(beta) + kappa * abs(V0))
    evidence.worst("relative difference to an integrator", error)
    assert error < SOLVER


@pytest.mark.statement("LBI-small-nu")
def test_small_nu_has_no_limit_at_a_fixed_step(evidence):
    bounds = [splitlbi.largest_step(1.0, nu, 2.0) / nu for nu in (1.0, 0.1, 0.01, 0.001)]
    evidence("largest step over nu", bounds)
    assert max(bounds) < 1 / 2 and abs(bounds[-1] - 1 / 2) < 1e-3


# The limit in kappa -----------------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.statement("LBI-split-hessian-new")
@pytest.mark.parametrize("nu", [0.3, 0.9])
def test_large_kappa_is_inverse_scale_space_with_the_split_hessian(evidence, nu):
    """Between its events the iteration is at distance O(1 / kappa) from the exact path."""
    Sigma, beta = twin.rho_design(0.6), np.array([1.0, 0.8, 0.0])
    exact = theory.inverse_scale_space(Sigma, beta, nu)
    ends = np.append(exact.times[1:], exact.times[-1] + 1)
    middles = (exact.times + ends) / 2
    errors = []
    for kappa in (500.0, 1000.0, 2000.0, 4000.0):
        step = 0.2 * splitlbi.largest_step(1.85, nu, kappa)
        state = splitlbi.init(np.zeros(3), step=step, nu=nu, kappa=kappa)
        worst = 0.0
        for k, t in enumerate(middles):
            more = round(t / step) - state.count
            state = splitlbi.run(state, Sigma, Sigma @ beta, steps=more, every=more).state
            wait = state.count * step - exact.times[k]
            V = exact.V[k] + wait * theory.split_hessian(Sigma, nu) @ (beta - exact.Gamma[k])
            worst = max(
                worst, np.abs(state.V - V).max(), np.abs(state.Gamma - exact.Gamma[k]).max()
            )
        errors.append(worst)
    evidence(events=exact.times.tolist(), errors=errors)
    assert len(exact.times) >= 3 and np.abs(halving(np.array(errors)) - 1).max() < ORDER
    # Negative control: plain inverse scale space, with Sigma, is another path.
    plain = theory.inverse_scale_space(Sigma, beta, 0.0)
    assert abs(plain.times[1] - exact.times[1]) > 10 * errors[-1]


# Entering and after -----------------------------------------------------------------------------


@pytest.mark.statement("LBI-box")
@settings(max_examples=50)
@given(generators)
def test_box_gamma_is_zero_until_v_leaves_it(evidence, rng):
    """An identity at every finite kappa: Gamma_j != 0 exactly where |V_j| > lam, and group-wise."""
    p, lam = 6, rng.uniform(0.1, 2)
    groups = None if rng.random() < 0.5 else [[0, 3], [1, 2, 5], [4]]
    state = splitlbi.init(
        3 * rng.normal(size=p), step=0.05, nu=1.0, kappa=10 ** rng.uniform(-1, 2), lam=lam,
        groups=groups,
    )  # fmt: skip
    for _ in range(30):
        state = splitlbi.step(state, rng.normal(size=p) - 3)
        for g in groups or np.arange(p)[:, None]:
            size = np.linalg.norm(state.V[g])
            assert (size > lam) == bool(np.any(state.Gamma[g])) or abs(size - lam) < EXACT
    found = theory.flow(1.0, [1.0, 2.0, 3.0], 1.2, nu=1.0, kappa=5.0)
    evidence(V=found.V.tolist(), Gamma=found.Gamma.tolist())
    np.testing.assert_array_equal(found.Gamma != 0, np.abs(found.V) > 1)


@pytest.mark.statement("LBI-box")
def test_box_at_kappa_infinity_ties_and_exits(evidence):
    """A coordinate on the box can stay zero, and one that entered can leave."""
    beta = np.array([1.0, 1.0, 0.0])
    tie = theory.inverse_scale_space(twin.rho_design(0.6), beta, 5 / 7)
    evidence(tie_at=tie.times[1], Gamma=tie.Gamma[-1].tolist(), V=tie.V[-1].tolist())
    assert abs(tie.times[1] - 15 / 7) < EXACT
    np.testing.assert_allclose(tie.V[-1], 1, atol=1e-9)
    np.testing.assert_allclose(tie.Gamma[-1], beta, atol=1e-9)
    plain = theory.inverse_scale_space(twin.rho_design(0.6), beta, 0.0)
    evidence(enters_and_leaves_at=plain.times[1:].tolist())
    np.testing.assert_allclose(plain.times, [0, 5 / 6, 10 / 7], atol=EXACT)
    np.testing.assert_allclose(plain.Gamma, [[0, 0, 0], [0, 0, 1.2], [1, 1, 0]], atol=1e-9)


def first_entry(h, beta, nu, kappa, W0=0.0):
    """When Gamma becomes nonzero, by bisection on the closed form."""

    def outside(t):
        return float(theory.flow(h, beta, t, nu=nu, kappa=kappa, W0=W0).V) - 1

    return optimize.brentq(outside, 0, 10 * (1 / h + nu) / beta + 10 / kappa, xtol=1e-14)


@pytest.mark.statement("LBI-box")
def test_box_when_it_is_reached(evidence):
    h, beta, nu = 1.0, 2.0, 1.0
    delays = []
    for kappa in (10.0, 100.0, 1000.0):
        delays.append(kappa * (first_entry(h, beta, nu, kappa) - (1 / h + nu) / beta))
    evidence("kappa times the delay, against 1 / (h + 1 / nu) = 0.5", delays)
    assert abs(delays[0] - 0.5) < 1e-4
    assert max(abs(d - 0.5) for d in delays[1:]) < 1e-8
    # V sums W over time; it follows no gradient flow of its own: V' is W / nu.
    t, dt = 0.3, 1e-6
    W, _, V = at(h, beta, nu, 1.0, 1.0, 0.0, 0.0, t)
    V2 = at(h, beta, nu, 1.0, 1.0, 0.0, 0.0, t + dt)[2]
    assert abs((V2 - V) / dt - W / nu) < 1e-5


@pytest.mark.statement("LBI-evolves")
@pytest.mark.parametrize("h, nu", [(1.0, 1.0), (1.0, 0.01), (1.0, 100.0), (4.0, 0.5)])
def test_evolves_at_the_rate_of_the_augmented_loss(evidence, h, nu):
    beta, kappa, b = 2.0, 5.0, 1 / nu
    rate = (h + 2 * b - np.hypot(h, 2 * b)) / 2
    start = first_entry(h, beta, nu, kappa)
    times = start + np.array([6.0, 8.0]) / (kappa * rate)
    gaps = [abs(beta - at(h, beta, nu, kappa, 1.0, 0.0, 0.0, t)[1]) for t in times]
    measured = np.log(gaps[0] / gaps[1]) / (times[1] - times[0])
    evidence(rate_over_kappa=measured / kappa, predicted=rate, half_of_h=h / 2, one_over_nu=b)
    assert abs(measured / (kappa * rate) - 1) < 1e-3
    if nu < 0.1:
        assert abs(rate / (h / 2) - 1) < 0.01
    if nu > 10:
        assert abs(rate / b - 1) < 0.01
        # "W closely follows Gamma" is false before the entry: W is at beta and Gamma at zero.
        W, Gamma, _ = at(h, beta, nu, kappa, 1.0, 0.0, 0.0, 0.9 * start)
        evidence(before_entry=[W, Gamma])
        assert abs(W - beta) < 0.03 and Gamma == 0
    # Larger kappa: Gamma jumps to the minimiser.
    t = (1 / h + nu) / beta * 1.05 + 0.01
    assert abs(at(h, beta, nu, 1e5, 1.0, 0.0, 0.0, t)[1] - beta) < 1e-6


@pytest.mark.statement("LBI-bias")
def test_bias_falls_with_kappa_at_a_fixed_time_and_not_at_a_fixed_number_of_steps(evidence):
    h, beta, nu, kappas = 1.0, 2.0, 1.0, np.array([0.5, 1, 2, 5, 10, 50])

    def bias(time, W0):
        return np.array([beta - at(h, beta, nu, k, 1.0, W0, 0.0, t)[1]
                         for k, t in zip(kappas, time, strict=True)])  # fmt: skip

    fixed_time = bias(1.5 + 0 * kappas, 0.0)
    fixed_steps = bias(4 / kappas, 0.0)
    far_start = bias(0.8 + 0 * kappas, 6.0)
    evidence(kappa=kappas.tolist(), at_fixed_time=fixed_time.round(4).tolist(),
             at_fixed_kappa_alpha_and_steps=fixed_steps.round(4).tolist(),
             at_fixed_time_from_W0_6=far_start.round(4).tolist())  # fmt: skip
    assert (np.diff(fixed_time) <= 0).all() and fixed_time[-1] < 1e-3
    assert (np.diff(fixed_steps) >= 0).all() and fixed_steps[-1] == 2 > fixed_steps[0]
    assert (np.diff(far_start)[:1] < 0).all() and (np.diff(far_start)[1:] > 0).all()
    # At kappa = infinity there is none after entry; the Lasso keeps lam / h.
    assert theory.inverse_scale_space([[h]], [beta], nu).Gamma[-1, 0] == pytest.approx(beta)
    assert abs(twin.lasso_path(np.eye(1), np.array([beta]), 0.5)[0] - (beta - 0.5)) < EXACT


@pytest.mark.statement("LBI-order")
def test_order_the_zero_coefficient_can_enter_first(evidence):
    beta = np.array([1.0, 1.0, 0.0])
    firsts = {}
    for nu in (0.0, 0.3, 0.7, 5 / 7 * 1.01, 1.0, 10.0):
        path = theory.inverse_scale_space(twin.rho_design(0.6), beta, nu)
        firsts[round(nu, 4)] = np.flatnonzero(path.Gamma[1]).tolist()
    evidence(first_to_enter_by_nu=str(firsts))
    assert [f == [2] for f in firsts.values()] == [True] * 3 + [False] * 3
    assert all(f == [0, 1] for f in list(firsts.values())[3:])
    # And it does so at finite kappa: the iteration itself.
    Sigma = twin.rho_design(0.6)
    state = splitlbi.init(
        np.zeros(3), nu=0.3, kappa=50.0, step=0.5 * splitlbi.largest_step(1.85, 0.3, 50.0)
    )
    entry = splitlbi.run(state, Sigma, Sigma @ beta, steps=2000).path.first_entry
    evidence(entry_of_each_at_kappa_50=entry.tolist())
    assert 0 < entry[2] < entry[0] == entry[1]


@pytest.mark.statement("LBI-order", "LBI-split-hessian-new")
@settings(max_examples=40)
@given(generators, st.integers(2, 5))
def test_order_is_that_of_the_split_hessian_and_of_size_for_large_nu(evidence, rng, p):
    beta = rng.normal(size=p)
    beta *= np.where(np.abs(beta) < 0.2, 5, 1)
    Q = np.linalg.qr(rng.normal(size=(p, p)))[0]
    Sigma = (Q * rng.uniform(0.2, 2, size=p)) @ Q.T
    for nu in (0.0, 0.5, 5.0):
        A = theory.split_hessian((Sigma + Sigma.T) / 2, nu)
        K = np.linalg.inv(Sigma) + nu * np.eye(p)  # A_nu is its inverse.
        np.testing.assert_allclose(A @ K, np.eye(p), atol=1e-9)
        path = theory.inverse_scale_space((Sigma + Sigma.T) / 2, beta, nu)
        push = np.abs(A @ beta)
        assert abs(path.times[1] - 1 / push.max()) < 1e-9 * path.times[1]
        assert abs(path.V[1][push.argmax()]) == 1
    # nu A tends to the identity, at the order 1 / nu.
    order = np.argsort(-np.abs(beta))
    gaps = np.abs(np.diff(np.abs(beta[order]))).min()
    far = theory.inverse_scale_space((Sigma + Sigma.T) / 2, beta, 1e6)
    entered = [int(np.argmax(far.Gamma[:, j] != 0)) for j in order]
    if gaps > 0.01:
        assert entered == sorted(entered)


@pytest.mark.statement("LBI-order")
def test_order_of_a_diagonal_loss(evidence):
    """h = (1, 0.01), beta = (1, 2): the larger weight enters last until nu = 98."""
    h, beta = np.array([1.0, 0.01]), np.array([1.0, 2.0])
    for nu, small_first in ((1.0, True), (97.0, True), (99.0, False), (1000.0, False)):
        path = theory.inverse_scale_space(np.diag(h), beta, nu)
        entries = [path.times[np.argmax(path.Gamma[:, j] != 0)] for j in (0, 1)]
        evidence(f"entry times at nu = {nu:g}", [round(float(t), 4) for t in entries])
        np.testing.assert_allclose(entries, (1 / h + nu) / beta, rtol=1e-9)
        assert (entries[0] < entries[1]) == small_first
