"""SplitLBI section 2: which variables are selected, against the Lasso and plain scale space.

And what appendix B says about the number of them: how density depends on kappa and nu.
"""

import itertools

import numpy as np
import pytest
import splitlbi_twin as twin
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import generators, with_spectrum

from refgrow import sparse_steps, splitlbi
from refgrow import splitlbi_theory as theory

EXACT = 1e-9  # Events of the exact path, found through a least squares solver.
ZERO = 1e-9  # A Lasso coefficient below this is zero: coordinate descent stops at 1e-15.

TRUE = np.array([1.0, 1.0, 0.0])
SIGNS = np.ones(2)


def false_positive(path, support=(0, 1)):
    """Whether a variable outside the support is ever nonzero."""
    others = np.setdiff1d(np.arange(path.Gamma.shape[1]), support)
    return bool((np.abs(path.Gamma[:, others]) > ZERO).any())


def meets(rows, signs):
    """Whether one of the coefficient vectors has exactly these signs."""
    rows = np.where(np.abs(rows) < ZERO, 0, rows)
    return bool((np.sign(rows) == signs).all(axis=1).any())


# The exact path ---------------------------------------------------------------------------------


@pytest.mark.statement("LBI-split-hessian-new")
@settings(max_examples=150)
@given(generators, st.integers(1, 7), st.integers(1, 9), st.sampled_from([0.0, 0.1, 1.0, 100.0]))
def test_inverse_scale_space_obeys_its_inclusion(evidence, rng, p, n, nu):
    """dV/dt = A (beta - Gamma), V a subgradient of the l1 norm at Gamma, to a minimiser."""
    X = rng.normal(size=(n, p))
    Sigma, beta = X.T @ X / n, rng.normal(size=p) * rng.choice([0, 1, 10], size=p)
    path, A = theory.inverse_scale_space(Sigma, beta, nu), theory.split_hessian(Sigma, nu)
    scale = (1 + np.abs(beta).max()) * (1 + np.abs(Sigma).max())
    for k, Gamma in enumerate(path.Gamma):
        assert np.abs(path.V[k]).max() <= 1 + EXACT
        np.testing.assert_allclose(path.V[k][Gamma != 0], np.sign(Gamma[Gamma != 0]), atol=EXACT)
        # Gamma is held where it is nonzero: V does not move there, and nowhere out of the box.
        speed = A @ (beta - Gamma)
        assert np.abs(speed[Gamma != 0]).max(initial=0) < 1e-7 * scale
        # After a wait of 1e6, of a nearly singular matrix, others can be 1e-10 from the box.
        on_box = np.abs(path.V[k]) >= 1 - theory.TIE
        assert (speed * path.V[k])[on_box].max(initial=0) < 1e-7 * scale
        if k:
            moved = path.V[k] - path.V[k - 1]
            wait = path.times[k] - path.times[k - 1]
            straight = wait * (A @ (beta - path.Gamma[k - 1]))
            assert wait > 0 and np.abs(moved - straight).max() < 1e-6 * (1 + np.abs(straight).max())
    rest = np.abs(Sigma @ (beta - path.Gamma[-1])).max() / scale
    evidence.worst("gradient of the loss at the end, relative", rest)
    assert rest < 1e-7


@pytest.mark.compiled
@pytest.mark.statement("LBI-split-hessian-new", "LBI-selection")
def test_identical_columns_share_at_kappa_infinity_as_they_do_before(evidence):
    """Of many minimisers the path takes the one that the iteration tends to."""
    Sigma = np.array([[1, 1, 0.3], [1, 1, 0.3], [0.3, 0.3, 1]])
    for beta in ([1.0, 1.0, 0.0], [2.0, 0.0, 0.0], [-1.0, 0.0, 0.7]):
        path = theory.inverse_scale_space(Sigma, beta, 1.0)
        first = Sigma @ beta
        step = 0.5 * splitlbi.largest_step(2.2, 1.0, 1000.0)
        state = splitlbi.init(np.zeros(3), step=step, nu=1.0, kappa=1000.0)
        ends = np.append(path.times[1:], path.times[-1] + 1)
        for k, time in enumerate((path.times + ends) / 2):
            steps = round(time / step) - state.count
            state = splitlbi.run(state, Sigma, first, steps=steps, every=steps).state
            gap = np.abs(state.Gamma - path.Gamma[k]).max()
            evidence.worst("difference to the iteration at kappa = 1000", gap)
            assert gap < 1e-6
        assert path.complete and path.Gamma[-1][0] == pytest.approx(path.Gamma[-1][1], abs=EXACT)
        # Negative control: the minimiser that a solver happens to find is as good and not it.
        other = path.Gamma[-1] + [1.0, -1.0, 0.0]
        assert np.abs(Sigma @ (other - path.Gamma[-1])).max() < EXACT
        assert np.abs(other - state.Gamma).max() > 0.9


@pytest.mark.statement("LBI-selection")
@settings(max_examples=60)
@given(generators, st.integers(2, 6), st.integers(1, 4))
def test_the_least_of_many_minimisers_against_all_supports(rng, p, rank):
    """Brute force: for every support the least-norm solution there, if it has no negative entry."""
    X = rng.integers(-2, 3, size=(rank, p)).astype(float)
    x = rng.integers(0, 4, size=p) * rng.integers(0, 2, size=p).astype(float)
    found = sparse_steps.least(x, X.T @ X)
    assert (found >= 0).all() and np.abs(X @ (found - x)).max() < EXACT
    norms = []
    for support in itertools.product([False, True], repeat=p):
        y = np.zeros(p)
        if any(support):
            y[list(support)] = np.linalg.pinv(X[:, list(support)]) @ X @ x
        if np.abs(X @ (y - x)).max() < EXACT and (y > -EXACT).all():
            norms.append(np.linalg.norm(y))
    assert abs(np.linalg.norm(found) - min(norms)) < EXACT


@pytest.mark.statement("LBI-selection")
def test_the_least_of_many_minimisers_where_the_plain_one_is_negative():
    X = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    x = np.array([1.0, 0.0, 0.0])
    plain = np.linalg.pinv(X) @ X @ x
    assert plain.min() < -0.1  # cutting it off is not enough: it is no minimiser then
    np.testing.assert_allclose(sparse_steps.least(x, X.T @ X), x, atol=EXACT)
    assert sparse_steps.least(x, np.eye(3)) is x  # nothing to choose


def test_a_path_that_is_cut_says_so():
    full = theory.inverse_scale_space(twin.rho_design(0.6), TRUE, 0.0)
    assert full.complete and len(full.times) == 3
    cut = theory.inverse_scale_space(twin.rho_design(0.6), TRUE, 0.0, most=1)
    assert not cut.complete and len(cut.times) == 2
    np.testing.assert_array_equal(cut.Gamma, full.Gamma[:2])
    just = theory.inverse_scale_space(twin.rho_design(0.6), TRUE, 0.0, most=2)
    assert just.complete and len(just.times) == 3


# Irrepresentable conditions ---------------------------------------------------------------------


@pytest.mark.statement("LBI-IRR")
@settings(max_examples=30)
@given(generators, st.integers(3, 5))
def test_irr_decides_the_lasso_on_the_population(evidence, rng, p):
    """Signs right for some lam if IRR < 1, for no small one if IRR > 1."""
    Sigma = with_spectrum(np.geomspace(0.05, 2, p), rng)  # IRR is above one for every second.
    beta = np.zeros(p)
    beta[:2] = rng.choice([-1, 1], size=2) * rng.uniform(0.5, 2, size=2)
    irr = theory.irrepresentable(Sigma, [0, 1], np.sign(beta[:2]))
    if abs(irr - 1) < 0.02:
        return
    small = [twin.lasso_path(Sigma, beta, lam) for lam in (1e-2, 1e-3, 1e-4)]
    right = [meets(x[None], np.sign(beta)) for x in small]
    assert right[-1] == (irr < 1)
    if irr > 1:
        assert not any(right)
    evidence.worst("largest IRR where the Lasso is right", irr if right[-1] else 0.0)
    evidence.worst("least IRR where it is wrong, negated", -np.inf if right[-1] else -irr)


@pytest.mark.statement("LBI-IRR")
def test_irr_one_design_on_both_sides(evidence):
    lams = np.array([1.1, 0.9, 0.5, 0.1, 0.01, 0.001])
    thirds = {}
    for rho in (0.45, 0.6):
        Sigma = twin.rho_design(rho)
        irr = theory.irrepresentable(Sigma, [0, 1], SIGNS)
        assert abs(irr - 2 * rho) < EXACT
        rows = np.array([twin.lasso_path(Sigma, TRUE, lam) for lam in lams])
        thirds[rho] = rows[:, 2]
        evidence(f"third coefficient of the Lasso at IRR = {irr:.2f}", rows[:, 2].round(4).tolist())
        assert (np.abs(rows[:, 2]) > ZERO).any() == (irr > 1)
    assert (thirds[0.6] > ZERO).all()  # Wrong at every lam below 1.2, down to zero.
    # Signs, not supports: the same support with another sign has another condition.
    assert theory.irrepresentable(twin.rho_design(0.6), [0, 1], [1.0, -1.0]) < EXACT
    mixed = twin.lasso_path(twin.rho_design(0.6), np.array([1.0, -1.0, 0.0]), 0.3)
    assert meets(mixed[None], [1, -1, 0])


@pytest.mark.statement("LBI-IRR")
def test_irr_is_not_the_condition_of_inverse_scale_space(evidence):
    """Its end is right even where IRR > 1; a false variable stays out iff it does on the path."""
    path = theory.inverse_scale_space(twin.rho_design(0.6), TRUE, 0.0)
    evidence(times=path.times.tolist(), Gamma=path.Gamma.tolist())
    assert false_positive(path) and meets(path.Gamma[-1:], [1, 1, 0])
    # While Gamma_c = 0, V_c is Sigma_cS Sigma_SS^-1 V_S: row sums of at most one are enough.
    for rho, expected in ((0.45, False), (0.49, False), (0.51, True)):
        path = theory.inverse_scale_space(twin.rho_design(rho), TRUE, 0.0)
        assert false_positive(path) == expected
        if not expected:
            inside = path.V[:, :2] @ np.full(2, rho)
            np.testing.assert_allclose(path.V[:, 2], inside, atol=EXACT)


@pytest.mark.statement("LBI-IRR")
@pytest.mark.statement("LBI-selection")
def test_irr_and_selection_with_noise(evidence):
    """Shares of 100 samples of 200 with unit noise whose path meets the true signed support."""
    rng = np.random.default_rng(0)
    shares, draws = {}, 100
    for rho in (0.4, 0.6):
        factor = np.linalg.cholesky(twin.rho_design(rho))
        hits = dict.fromkeys(("Lasso", 0.0, 2.0, 10.0), 0)
        for _ in range(draws):
            X = rng.normal(size=(200, 3)) @ factor.T
            S = X.T @ X / 200
            found = np.linalg.solve(S, X.T @ (X @ TRUE + rng.normal(size=200)) / 200)
            rows = [twin.lasso_path(S, found, lam, 300) for lam in np.geomspace(1.5, 0.005, 20)]
            hits["Lasso"] += meets(np.array(rows), [1, 1, 0])
            for nu in (0.0, 2.0, 10.0):
                hits[nu] += meets(theory.inverse_scale_space(S, found, nu).Gamma, [1, 1, 0])
        shares[rho] = {k: v / draws for k, v in hits.items()}
        evidence(f"IRR {2 * rho:g}", str(shares[rho]))
    # Where it is violated the Lasso is right in some half of the draws, not in none.
    assert 0.3 < shares[0.6]["Lasso"] < 0.7 and shares[0.4]["Lasso"] > 0.9
    assert abs(shares[0.6][0.0] - shares[0.6]["Lasso"]) < 0.15
    assert shares[0.6][2.0] > 0.9 and shares[0.6][10.0] >= shares[0.6][2.0]


# Splitting relaxes them, for nu large enough ----------------------------------------------------


@pytest.mark.statement("LBI-selection")
@settings(max_examples=50)
@given(generators, st.integers(3, 6))
def test_selection_condition_of_the_split_hessian(evidence, rng, p):
    Sigma = with_spectrum(rng.uniform(0.1, 2, size=p), rng)
    K = np.linalg.inv(Sigma)
    S, c, s = np.arange(2), np.arange(2, p), rng.choice([-1.0, 1.0], size=2)
    for nu in (0.0, 0.3, 3.0, 300.0):
        block = np.abs(np.linalg.solve(K[np.ix_(c, c)] + nu * np.eye(p - 2), K[np.ix_(c, S)] @ s))
        assert abs(theory.irrepresentable(Sigma, S, s, nu) - block.max()) < EXACT * 10
    # From this nu on it holds; it falls like 1 / nu; the path then makes no mistake.
    push = np.linalg.norm(K[np.ix_(c, S)] @ s)
    enough = max(push - np.linalg.eigvalsh(K[np.ix_(c, c)])[0], 0.0)
    evidence.worst("IRR at the sufficient nu", theory.irrepresentable(Sigma, S, s, enough))
    assert theory.irrepresentable(Sigma, S, s, enough) <= 1 + EXACT
    far = [nu * theory.irrepresentable(Sigma, S, s, nu) for nu in (1e4, 1e5)]
    assert abs(far[1] / far[0] - 1) < 0.01
    beta = np.zeros(p)
    beta[S] = s * rng.uniform(0.5, 2, size=2)
    # Over the path V_S moves anywhere in the box: the sum over S of the moduli.
    always = np.abs(K[np.ix_(c, S)]).sum() + 1e-6
    assert not false_positive(theory.inverse_scale_space(Sigma, beta, always))


@pytest.mark.statement("LBI-selection")
@pytest.mark.parametrize("rho", [0.55, 0.6, 0.65, 0.7])
def test_selection_from_which_nu(evidence, rho):
    Sigma, edge = twin.rho_design(rho), (2 * rho - 1) / (1 - 2 * rho**2)
    evidence(rho=rho, right_from_nu=edge)
    for share in (0.0, 0.5, 0.99, 1.01, 3.0):
        nu = share * edge
        irr = theory.irrepresentable(Sigma, [0, 1], SIGNS, nu)
        assert abs(irr - 2 * rho / (1 + nu * (1 - 2 * rho**2))) < EXACT
        assert (
            (irr > 1) == (share < 1) == false_positive(theory.inverse_scale_space(Sigma, TRUE, nu))
        )


@pytest.mark.compiled
@pytest.mark.statement("LBI-selection")
@pytest.mark.parametrize("kappa", [5.0, 10.0, 100.0])
def test_selection_at_finite_kappa_for_the_iteration(evidence, kappa):
    """nu* = (2 rho (1 + 2 / kappa) - 1) / (1 - 2 rho^2), and where V ends, exactly."""
    rho, Sigma = 0.6, twin.rho_design(0.6)
    edge = (2 * rho * (1 + 2 / kappa) - 1) / (1 - 2 * rho**2)
    ever, ends = [], []
    for share in (0.97, 1.03):
        nu = share * edge
        step = 0.5 * splitlbi.largest_step(1 + rho * 2**0.5, nu, kappa)
        state = splitlbi.init(np.zeros(3), step=step, nu=nu, kappa=kappa)
        steps = int(60 * (1 + nu) / step)
        run = splitlbi.run(state, Sigma, Sigma @ TRUE, steps=steps, every=steps)
        condition = theory.irrepresentable(Sigma, [0, 1], SIGNS, nu, kappa=kappa, magnitudes=[1, 1])
        assert (condition > 1) == (share < 1)
        ever.append(run.path.first_entry[2] >= 0)
        ends.append((run.state.V[2], condition))
    evidence(kappa=kappa, right_from_nu=edge, V_3_and_formula=ends[1])
    assert ever == [True, False]
    assert abs(ends[1][0] - ends[1][1]) < 1e-7


@pytest.mark.statement("LBI-selection")
def test_selection_is_not_weaker_at_every_nu(evidence):
    """The Lasso is right at every lam here; splitting with nu = 0.1 selects a false variable."""
    u1, u2 = np.array([2, -1]) / 5**0.5, np.array([1, 2]) / 5**0.5
    inner = 0.01 * np.outer(u1, u1) + 10 * np.outer(u2, u2)
    across = -inner @ np.array([0.95, 0.9])
    K = np.zeros((3, 3))
    K[0, 0] = across @ np.linalg.solve(inner, across) + 1
    K[1:, 0] = K[0, 1:] = across
    K[1:, 1:] = inner
    Sigma = np.linalg.inv(K)
    Sigma, beta = (Sigma + Sigma.T) / 2, np.array([1.0, 0.0, 0.0])
    irr = {nu: theory.irrepresentable(Sigma, [0], [1.0], nu) for nu in (0.0, 0.1, 1.5, 10.0)}
    wrong = {nu: false_positive(theory.inverse_scale_space(Sigma, beta, nu), [0]) for nu in irr}
    evidence("IRR by nu", str({nu: round(x, 4) for nu, x in irr.items()}))
    assert irr[0.0] < 1 < irr[0.1] and irr[10.0] < irr[1.5] < 1
    assert wrong == {0.0: False, 0.1: True, 1.5: False, 10.0: False}
    for lam in (0.5, 0.1, 0.01):
        assert meets(twin.lasso_path(Sigma, beta, lam * Sigma[0, 0])[None], [1, 0, 0])


@pytest.mark.statement("LBI-selection")
def test_selection_in_over_parameterised_models(evidence):
    """nu A tends to the projector on the range of Sigma there, and not to the identity."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4, 6))
    A = 1e8 * theory.split_hessian(X.T @ X, 1e8)
    projector = np.linalg.pinv(X) @ X
    np.testing.assert_allclose(A, projector, atol=1e-6)
    assert np.abs(A - np.eye(6)).max() > 0.1
    # Perfectly correlated parameters are not told apart, at any nu.
    same = splitlbi.init(np.zeros(2), step=0.1, nu=10.0)
    end = splitlbi.run(same, np.ones((2, 2)), np.ones(2), steps=4000).state
    evidence(identical_columns=end.Gamma.tolist())
    assert end.Gamma[0] == end.Gamma[1] and abs(end.Gamma[0] - 0.5) < 1e-3
    # The projector repairs the Lasso's condition in some designs and spoils it in others.
    repaired = spoiled = 0
    for _ in range(2000):
        X = rng.normal(size=(4, 6))
        P = np.linalg.pinv(X) @ X
        before, after = (
            np.abs(B[2:, :2] @ np.linalg.solve(B[:2, :2], np.ones(2))).max() for B in (X.T @ X, P)
        )
        repaired += before > 1 > after
        spoiled += before < 1 < after
    evidence(repaired_of_2000=repaired, spoiled_of_2000=spoiled)
    assert repaired > 300 and spoiled > 0


# How many are selected --------------------------------------------------------------------------


@pytest.mark.statement("LBI-boost")
def test_boost_supports_are_not_nested(evidence):
    """ "Growing" by the support of Gamma is not monotone: a variable enters and leaves."""
    Sigma, beta = twin.rho_design(0.6), np.array([1.0, 1.0, -0.02])
    step = 0.5 * splitlbi.largest_step(1.85, 0.3, 20.0)
    state = splitlbi.init(np.zeros(3), nu=0.3, kappa=20.0, step=step)
    run = splitlbi.run(state, Sigma, Sigma @ beta, steps=4000)
    evidence(first_entry=run.path.first_entry.tolist(), last_exit=run.path.last_exit.tolist())
    assert 0 < run.path.first_entry[2] < run.path.first_entry[0]
    assert run.path.last_exit[2] > run.path.first_entry[2] and run.path.last_exit[0] == -1
    assert (np.diff(run.path.density) < 0).any()


def count(Sigma, beta, W0, nu, kappa, s, steps):
    """Nonzeros of Gamma after so many steps with kappa alpha = s."""
    state = splitlbi.init(W0, step=s / kappa, nu=nu, kappa=kappa)
    run = splitlbi.run(state, Sigma, Sigma @ np.asarray(beta), steps=steps, every=steps)
    return int((run.state.Gamma != 0).sum())


@pytest.mark.statement("LBI-sparsity-trend")
def test_sparsity_trend_one_weight_from_zero(evidence):
    """There the entry is later for larger kappa lam, at fixed kappa alpha, and for larger nu."""
    entries = {}
    for name, values in (("kappa", [1, 2, 5, 10]), ("nu", [1, 2, 5, 10])):
        found = []
        for x in values:
            nu, kappa = (1.0, x) if name == "kappa" else (x, 1.0)
            state = splitlbi.init([0.0], step=0.05 / kappa, nu=nu, kappa=kappa)
            run = splitlbi.run(state, [[1.0]], [2.0], steps=4000)
            found.append(int(run.path.first_entry[0]))
        entries[name] = found
        evidence(f"first step of entry for {name} = {values}", found)
        assert (np.diff(found) > 0).all()
    # For nu it is t = (1 / h + nu) lam / beta, up to the time W needs to rise.
    assert abs(0.05 * entries["nu"][-1] - 11 / 2 - 1 / 1.1) < 0.1


@pytest.mark.compiled
@pytest.mark.statement("LBI-sparsity-trend")
def test_sparsity_trend_is_not_monotone(evidence):
    by_nu = [count([[1.0]], [1.0], [-10.0], nu, 0.25, 0.02, 244)
             for nu in (0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 4.0)]  # fmt: skip
    evidence("one weight, nonzeros by nu = .2 ... 4", by_nu)
    assert by_nu == [1, 1, 1, 0, 0, 0, 1, 1]
    Sigma = np.array([[1.0, 2.0], [2.0, 5.0]])
    by_kappa = [count(Sigma, [1.0, -0.1], [0.0, 0.0], 0.5, kappa, 0.02, 1513)
                for kappa in (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)]  # fmt: skip
    evidence("two weights, nonzeros by kappa = .25 ... 8", by_kappa)
    assert by_kappa == [2, 1, 1, 1, 1, 1, 2, 2]
    # At the end of time there is no trend at all: Gamma becomes the dense minimiser.
    assert count(Sigma, [1.0, -0.1], [0.0, 0.0], 0.5, 1.0, 0.2, 100000) == 2


@pytest.mark.compiled
@pytest.mark.statement("LBI-Fig-3-kappa")
def test_fig_3_kappa_slower_because_the_threshold_is_higher(evidence):
    """Steps to a small gradient by kappa: more at fixed kappa alpha, fewer at fixed alpha."""

    def steps(kappa, lam=1.0, step=None):
        alpha = 0.1 / kappa if step is None else step
        state = splitlbi.init([0.0], step=alpha, nu=10.0, kappa=kappa, lam=lam)
        path = splitlbi.run(state, [[1.0]], [3.0], steps=8000).path
        slope = np.maximum(np.abs(path.W - 3.0), np.abs(path.W - path.Gamma) / 10.0)[:, 0]
        return int(np.flatnonzero(slope > 1e-3)[-1]) + 1

    kappas = (1.0, 2.0, 5.0, 10.0)
    fixed_product = [steps(kappa) for kappa in kappas]
    fixed_threshold = [steps(kappa, lam=1 / kappa) for kappa in kappas]
    fixed_alpha = [steps(kappa, step=0.02) for kappa in kappas]
    bound = []
    for kappa in kappas:
        alpha = 0.1 / kappa
        rho = theory.descent_rate(alpha, 1.0, 10.0, kappa)
        bound.append(alpha * theory.error_bound(alpha, 1.0, 10.0, kappa)[0] ** 2 / rho)
    evidence(fixed_kappa_alpha=fixed_product, and_fixed_kappa_lambda=fixed_threshold,
             fixed_alpha=fixed_alpha, bound_of_lemma_A_5=np.round(bound, 3).tolist())  # fmt: skip
    assert (np.diff(fixed_product) > 0).all() and (np.diff(fixed_alpha) < 0).all()
    assert len(set(fixed_threshold)) == 1  # The threshold was the reason.
    assert (np.diff(bound) < 0).all()  # The lemma's bound goes the other way.
