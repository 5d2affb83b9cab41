"""SplitLBI appendix A: the Lyapunov function, every inequality of the proof, and eq 19.

A trail is a run on a random non-convex loss, with the quantities of the proof worked out from its
iterates: the increments, the subgradients g_k = V_k - Gamma_k / kappa, and the Bregman distances.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import splitlbi_twin as twin
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from strategies import generators, with_spectrum

from refgrow import splitlbi
from refgrow import splitlbi_theory as theory

EXACT = 1e-12
ROUNDING = 1e-10  # Inequalities over differences of numbers that are summed a few hundred times.


def trail(rng, lasso, order="old", share=None, steps=60):
    """A run inside the proven step (for its order), and what the proof speaks of."""
    p, c = int(rng.integers(1, 5)), rng.uniform(0, 2)
    a, D = 3 * rng.uniform(-1, 1, size=p), rng.uniform(0.2, 2, size=p)
    H, lip = with_spectrum(D, rng), D.max() + c
    nu, kappa = 10 ** rng.uniform(-1, 1.5), 10 ** rng.uniform(-1, 1)
    groups = [np.arange(p)[::2], np.arange(p)[1::2]][: min(p, 2)]
    share = rng.uniform(0.3, 0.999) if share is None else share
    edge = splitlbi.largest_step if order == "old" else theory.printed_largest_step
    t = SimpleNamespace(
        p=p, nu=nu, kappa=kappa, lip=lip, step=share * edge(lip, nu, kappa),
        groups=None if lasso else groups,
    )  # fmt: skip

    def value(w):
        return 0.5 * (w - a) @ H @ (w - a) + c * np.cos(w).sum() + c * p

    def slope(w):
        return H @ (w - a) - c * np.sin(w)

    def omega(G):
        return np.abs(G).sum() if lasso else sum(np.linalg.norm(G[i]) for i in groups)

    def bregman(g, X, Y):
        return omega(X) - omega(Y) - g @ (X - Y)

    W, G, V = twin.iterate(
        slope, 3 * rng.normal(size=p), 2 * rng.normal(size=p), step=t.step, nu=nu, kappa=kappa,
        prox=twin.lasso if lasso else twin.group(groups), steps=steps, order=order,
    )  # fmt: skip
    g = V - G / kappa
    pull = (W - G) / nu
    t.W, t.G, t.V, t.g, t.omega, t.bregman, t.value, t.slope = (
        W,
        G,
        V,
        g,
        omega,
        bregman,
        value,
        slope,
    )
    t.loss = np.array(
        [value(w) + ((w - x) ** 2).sum() / (2 * nu) for w, x in zip(W, G, strict=True)]
    )
    t.grad = np.hstack([np.array([slope(w) for w in W]) + pull, -pull])
    t.dP = np.hstack([np.diff(W, axis=0), np.diff(G, axis=0)])
    t.d2 = (t.dP**2).sum(axis=1)
    t.D = (np.diff(g, axis=0) * np.diff(G, axis=0)).sum(axis=1)
    # F(Q_k), Q_k = (P_k, g_(k-1)), for k >= 1.
    t.F = t.step * t.loss[1:] + [omega(G[k]) - G[k] @ g[k - 1] for k in range(1, len(G))]
    # Both are sharp for their order: Lambda from the old iterate, the print's constant otherwise.
    top = theory.augmented_lipschitz(lip, nu) if order == "old" else lip + 1 / nu
    t.rho = 1 / kappa - t.step * top / 2
    t.scale = 1 + np.abs(t.F).max() + t.step * np.abs(t.loss).max() + t.d2.max() / kappa
    return t


trails = given(generators, st.booleans())


# The Lyapunov function --------------------------------------------------------------------------


@pytest.mark.statement("LBI-Eq-9")
@settings(max_examples=60)
@trails
def test_eqs_9_and_10_agree(evidence, rng, lasso):
    t = trail(rng, lasso, steps=15)
    for k in range(1, 15):

        def state(j, t=t):
            return splitlbi.init(t.W[j], step=t.step, nu=t.nu, kappa=t.kappa, groups=t.groups,
                                 V0=t.V[j])  # fmt: skip

        by_ten = theory.lyapunov(state(k - 1), state(k), t.value(t.W[k]))
        # (9): the Bregman distance, whatever element of the conjugate's subdifferential one takes.
        by_nine = t.step * t.loss[k] + t.bregman(t.g[k - 1], t.G[k], t.G[k - 1])
        evidence.worst("difference of (9) and (10)", abs(by_nine - by_ten) / t.scale)
        assert abs(by_nine - by_ten) < ROUNDING * t.scale
        assert abs(by_ten - t.F[k - 1]) < ROUNDING * t.scale
        assert by_ten >= t.step * t.loss[k] - ROUNDING * t.scale
        # With the printed conjugate, the dual norm, they differ by it.
        norms = [np.linalg.norm(t.g[k - 1][i]) for i in t.groups or np.arange(t.p)[:, None]]
        printed = by_ten + max(norms)
        if max(norms) > 0.1:
            assert abs(printed - by_nine) > 0.05
    # Outside the dual ball F is infinite.
    inside = splitlbi.init(t.W[0], step=t.step, nu=t.nu, kappa=t.kappa, V0=0 * t.V[0])
    assert np.isfinite(theory.lyapunov(inside, inside, 0.0))


@pytest.mark.statement("LBI-conjugate")
@settings(max_examples=60)
@given(generators, st.integers(1, 4), st.booleans())
def test_conjugate_is_an_indicator(evidence, rng, p, lasso):
    """sup_U <U, g> - Omega(U): 0 in the dual ball, infinite outside, by its rays."""
    lam, groups = rng.uniform(0.3, 2), None if lasso else [np.arange(p)[::-1]]
    g = 2 * lam * rng.normal(size=p) / np.sqrt(p)
    rays = np.vstack(
        [rng.normal(size=(200, p)), g[None], np.sign(g) * (np.abs(g) >= np.abs(g).max())]
    )
    sup = max(U @ g - theory.penalty(U, groups, lam) for U in rays)
    found = theory.conjugate(g, groups, lam)
    evidence.worst("largest value on a ray where it is zero", sup if found == 0 else -np.inf)
    assert (found == 0) == (sup <= EXACT)
    assert found in (0.0, np.inf)


@pytest.mark.statement("LBI-conjugate")
def test_conjugate_printed_is_the_dual_norm(evidence):
    grid = np.linspace(-50, 50, 100001)
    sups = {g: float((grid * g - np.abs(grid)).max()) for g in (0.0, 0.5, 0.99, 1.0, 2.0)}
    ours = {g: theory.conjugate([g], None, 1.0) for g in sups}
    evidence(sup_over_a_grid_up_to_50=str(sups), printed=str({g: abs(g) for g in sups}))
    assert all(sups[g] == 0 and ours[g] == 0 for g in (0.0, 0.5, 0.99, 1.0))
    assert sups[2.0] == 50 and ours[2.0] == np.inf
    # If Omega includes |x|^2 / (2 kappa), as in eq 1, it is finite: kappa (|V| - lam)_+^2 / 2.
    wide = float((grid * 3.0 - np.abs(grid) - grid**2 / (2 * 2.0)).max())
    assert abs(wide - 2.0 / 2 * (3 - 1) ** 2) < 1e-6


# The proof, inequality by inequality ------------------------------------------------------------


@pytest.mark.statement("LBI-Eq-20")
@settings(max_examples=60)
@trails
def test_eq_20_optimality_identity(evidence, rng, lasso):
    t = trail(rng, lasso)
    left = -t.step * (t.grad[:-1] * t.dP).sum(axis=1)
    right = t.d2 / t.kappa + t.D
    evidence.worst("relative difference", np.abs(left - right).max() / t.scale)
    assert np.abs(left - right).max() < ROUNDING * t.scale
    assert t.D.min() > -ROUNDING * t.scale


@pytest.mark.statement("LBI-Eq-20")
def test_eq_20_is_false_one_after_the_other():
    late = trail(np.random.default_rng(0), True, order="new")
    left = -late.step * (late.grad[:-1] * late.dP).sum(axis=1)
    assert np.abs(left - late.d2 / late.kappa - late.D).max() > 1e4 * ROUNDING * late.scale


@pytest.mark.statement("LBI-Eq-21")
@settings(max_examples=60)
@trails
def test_eq_21_descent_with_the_corrected_rho(evidence, rng, lasso):
    t = trail(rng, lasso)
    slack = t.step * (t.loss[:-1] - t.loss[1:]) - t.D - t.rho * t.d2
    evidence.worst("violation", -slack.min() / t.scale)
    assert slack.min() > -ROUNDING * t.scale


@pytest.mark.statement("LBI-Eq-21", "LBI-Lem-A.4")
def test_lemma_a_4_the_constant_is_sharp_and_the_print_too_large(evidence):
    """One step along the top eigenvector, Gamma nonzero: equality in (21) with Lambda."""
    vectors = np.linalg.eigh(np.array([[2.0, -1.0], [-1.0, 1.0]]))[1]
    e = vectors[:, 1] * np.sign(vectors[1, 1])
    W, Gamma, _ = twin.iterate(
        lambda w: w - 3.0, [3 + e[0] / 2], [3 + e[1] / 2 + 1], step=0.9, steps=1
    )
    augmented = 0.9 * ((W - 3) ** 2 / 2 + (W - Gamma) ** 2 / 2)[:, 0]
    moved = ((W[1] - W[0]) ** 2 + (Gamma[1] - Gamma[0]) ** 2)[0]
    measured = (augmented[0] - augmented[1]) / moved
    ours, printed = theory.descent_rate(0.9, 1.0, 1.0, 1.0), 1 - 0.9 * (1 + 1) / 2
    evidence(alpha_L=augmented.tolist(), decrease_over_square=measured, ours=ours, printed=printed)
    assert abs(measured - ours) < EXACT and ours < 0 < printed
    assert (Gamma > 0).all() and augmented[1] > augmented[0]


@pytest.mark.statement("LBI-Lem-A.4", "LBI-Eq-22")
@settings(max_examples=100)
@trails
def test_lemma_a_4_sufficient_descent_in_the_norm_of_p(evidence, rng, lasso):
    """With both Bregman distances of the corrected (23)."""
    t = trail(rng, lasso)
    for k in range(1, len(t.F)):
        kept = t.bregman(t.g[k + 1], t.G[k], t.G[k + 1]) + t.bregman(t.g[k - 1], t.G[k], t.G[k - 1])
        slack = t.F[k - 1] - t.F[k] - t.rho * t.d2[k] - kept
        evidence.worst("violation", -slack / t.scale)
        assert slack > -ROUNDING * t.scale and kept > -ROUNDING * t.scale
    assert (np.diff(t.F) <= ROUNDING * t.scale).all()
    # Updated one after the other, the printed rho holds.
    late = trail(rng, lasso, order="new")
    slack = late.F[:-1] - late.F[1:] - late.rho * late.d2[1:]
    evidence.worst("violation of the print, one after the other", -slack.min() / late.scale)
    assert slack.min() > -ROUNDING * late.scale


@pytest.mark.statement("LBI-Lem-A.4")
def test_lemma_a_4_no_rate_in_the_norm_of_q(evidence):
    """W and Gamma stand still and F is constant, while the subgradient moves for six steps."""
    W, Gamma, V = twin.iterate(lambda w: w - 3.0, [1.5], [0.0], step=0.1, steps=6)
    g = (V - Gamma)[:, 0]
    F = 0.1 * ((W - 3) ** 2 / 2 + (W - Gamma) ** 2 / 2)[:, 0]
    evidence(W=W[:, 0].tolist(), Gamma=Gamma[:, 0].tolist(), g=g.round(3).tolist())
    assert np.ptp(W) < EXACT and not Gamma.any() and np.ptp(F) < EXACT
    np.testing.assert_allclose(np.diff(g), 0.15, atol=EXACT)


@pytest.mark.statement("LBI-Eq-22")
@settings(max_examples=60)
@trails
def test_eq_22_the_bregman_identity(evidence, rng, lasso):
    t = trail(rng, lasso)
    for k in range(1, len(t.F)):
        left = t.D[k] - t.bregman(t.g[k], t.G[k + 1], t.G[k])
        right = t.bregman(t.g[k + 1], t.G[k], t.G[k + 1])
        evidence.worst("relative difference", abs(left - right) / t.scale)
        assert abs(left - right) < ROUNDING * t.scale


@pytest.mark.statement("LBI-Eq-22")
def test_eq_22_what_is_printed_may_be_negative(evidence):
    """B^(g_(k+1))(Gamma_k, Gamma_(k-1)) is no Bregman distance: lam = 1/2, step 23."""
    _, Gamma, V = twin.iterate(
        lambda w: w - 3.0, [-10.0], [0.0], step=0.1, steps=30, prox=lambda V: twin.lasso(V, 0.5)
    )
    g, Gamma = (V - Gamma)[:, 0], Gamma[:, 0]
    a, b, c = Gamma[22:25]

    def bregman(s, x, y):
        return (abs(x) - abs(y)) / 2 - s * (x - y)

    left = (g[24] - g[23]) * (c - b) - bregman(g[23], c, b)
    evidence(Gamma=[a, b, c], left_side=left, ours=bregman(g[24], b, c),
             printed=bregman(g[24], b, a))  # fmt: skip
    assert abs(left - bregman(g[24], b, c)) < EXACT
    assert bregman(g[24], b, a) < -1e-3 < 1e-3 < left


@pytest.mark.statement("LBI-Lem-1")
@settings(max_examples=60)
@trails
def test_lemma_1_monotone_bounded_summable(evidence, rng, lasso):
    t = trail(rng, lasso, steps=400)
    assert (np.diff(t.loss) <= ROUNDING * t.scale / t.step).all()  # (i), and F in Lemma A.4.
    gap = t.F - t.step * t.loss[1:]
    assert gap.min() > -ROUNDING * t.scale
    evidence.worst("F - alpha L at the end, over the start", gap[-1] / t.scale)
    assert (gap[:-1] <= t.F[:-1] - t.F[1:] + ROUNDING * t.scale).all()  # So it vanishes.
    # (ii): the level set of the start, and the dual ball.
    assert (np.linalg.norm(t.W - t.G, axis=1) ** 2 <= 2 * t.nu * t.loss[0] * (1 + ROUNDING)).all()
    norms = (
        np.abs(t.g) if lasso else np.array([[np.linalg.norm(g[i]) for i in t.groups] for g in t.g])
    )
    assert norms.max() <= 1 + ROUNDING * (1 + np.abs(t.V).max())
    # (25): summable, so (iii) and (iv); and better than printed, o(1 / K) for the least.
    total = np.cumsum(t.rho * t.d2 + t.D)
    evidence.worst("sum over its bound", total[-1] / (t.step * t.loss[0]))
    assert total[-1] <= t.step * t.loss[0] * (1 + ROUNDING) + ROUNDING * t.scale
    K = np.arange(1, len(t.d2) + 1)
    assert (np.cumsum(t.d2) / K <= t.step * t.loss[0] / (t.rho * K) * (1 + 1e-6) + ROUNDING).all()


@pytest.mark.statement("LBI-Lem-1")
def test_lemma_1_small_steps_certify_nothing(evidence):
    """The mean of |P_k+1 - P_k|^2 is bounded; a single one can be zero far from the end."""
    W, Gamma, _ = twin.iterate(lambda w: w - 3.0, [1.5], [0.0], step=0.1, steps=2000)
    moved = np.abs(np.diff(W[:, 0])) + np.abs(np.diff(Gamma[:, 0]))
    evidence(steps_of_zero_length=int((moved < EXACT).sum()), W_there=1.5, end=W[-1, 0])
    assert (moved[:5] < EXACT).all() and abs(W[-1, 0] - 3) < 1e-6


@pytest.mark.statement("LBI-Eq-26", "LBI-Lem-A.5")
@settings(max_examples=100)
@trails
def test_eq_26_and_lemma_a_5_relative_error(evidence, rng, lasso):
    t = trail(rng, lasso)
    printed, sharper = theory.error_bound(t.step, t.lip, t.nu, t.kappa)
    p = t.p
    for k in range(1, len(t.d2)):
        H = np.concatenate([
            t.step * t.grad[k + 1, :p],
            t.step * t.grad[k + 1, p:] + t.g[k + 1] - t.g[k],
            t.G[k] - t.G[k + 1],
        ])  # fmt: skip
        # (26): an element of dF, F = alpha L + Omega + Omega* - <., .>: the convex part lies above.
        for _ in range(2):
            dG, g = rng.normal(size=p), t.g[k] * rng.uniform(0, 1)
            G1 = t.G[k + 1]
            gain = (t.omega(G1 + dG) - (G1 + dG) @ t.g[k]) - (t.omega(G1) - G1 @ t.g[k])
            assert gain >= (t.g[k + 1] - t.g[k]) @ dG - ROUNDING * t.scale * (1 + np.abs(G1).max())
            # Third block: Omega* is 0 on the ball, and -<Gamma_(k+1), g> is linear.
            assert -G1 @ (g - t.g[k]) >= H[2 * p :] @ (g - t.g[k]) - ROUNDING * t.scale * 10
        size = np.sqrt(t.d2[k])
        if size < 1e-7:
            continue
        evidence.worst("|H| over rho_1 |dP|, printed", np.linalg.norm(H) / size / printed)
        evidence.worst("|H| over rho_1 |dP|, sharper", np.linalg.norm(H) / size / sharper)
        assert np.linalg.norm(H) <= printed * size + ROUNDING * t.scale
        assert np.linalg.norm(H) <= sharper * size + ROUNDING * t.scale
    assert sharper < printed
    # The printed proof needs 1 / kappa > alpha / nu. The corrected step implies it.
    assert 1 / t.kappa > t.step / t.nu


@pytest.mark.statement("LBI-Lem-A.5")
def test_lemma_a_5_a_step_of_its_proof_is_not_given(evidence):
    printed = theory.printed_largest_step(0.1, 1.0, 1.0)
    evidence(printed_edge=printed, alpha=1.8, nu_over_kappa=1.0)
    assert 1.0 < 1.8 < printed and splitlbi.largest_step(0.1, 1.0, 1.0) < 1.0
    # The bound itself survives there: x = 1 / kappa, alpha / nu = t x, 1 < t < 2.
    x, t = np.meshgrid(np.geomspace(1e-3, 1e3, 61), np.linspace(1, 2, 41))
    for c in (2 * t * x - x + 1,):
        a = x + 2 * t * x
        assert ((a + x + 1) ** 2 - a**2 - c**2 > 0).all()


# Critical points --------------------------------------------------------------------------------


@pytest.mark.statement("LBI-Eq-19")
def test_eq_19_critical_for_f_is_not_critical_for_the_loss(evidence):
    """L = (w - 1)^2 / 2, nu = 1, alpha = 0.1: (W, Gamma, g) = (1/2, 0, 0)."""
    W, G, g, alpha, nu = 0.5, 0.0, 0.0, 0.1, 1.0
    blocks = [alpha * ((W - 1) + (W - G) / nu), g - alpha * (G - W) / nu]
    evidence(grad_W_of_F=blocks[0], must_lie_in_the_unit_interval=blocks[1], grad_L=W - 1)
    assert blocks[0] == 0  # The first row of (19);
    assert abs(blocks[1]) <= 1 and theory.conjugate([g], None, 1.0) == 0  # the second and third.
    assert W - 1 == -0.5 and (W - G) / nu == 0.5  # No critical point of L or Lbar.

    # By values alone: F does not fall to first order in any direction.
    def F(w, x, s):
        inside = 0.0 if abs(s) <= 1 else np.inf
        return alpha * ((w - 1) ** 2 / 2 + (w - x) ** 2 / 2) + abs(x) + inside - x * s

    rng, least = np.random.default_rng(0), np.inf
    for size in (1e-3, 1e-4, 1e-5):
        for d in rng.normal(size=(200, 3)):
            d = size * d / np.linalg.norm(d)
            least = min(least, (F(W + d[0], G + d[1], g + d[2]) - F(W, G, g)) / size)
    evidence(steepest_descent_of_F_there=least)
    assert least > -1e-2
    # The iteration does not stay there: V moves, and Gamma enters later.
    rows = twin.iterate(lambda w: w - 1, [W], [g], step=alpha, steps=1000)
    assert rows[2][1, 0] != 0 and abs(rows[0][-1, 0] - 1) < 1e-6
    # How many there are grows as alpha falls: |W| <= 2 lam nu / alpha.
    for alpha in (0.1, 0.01):
        edge = 2 * nu / alpha
        assert [bool(abs(-1 + alpha * w / nu) <= 1) for w in (0.99 * edge, 1.01 * edge)] == [
            True,
            False,
        ]


@pytest.mark.statement("LBI-Eq-19", "LBI-Thm-2")
def test_eq_19_what_replaces_it(evidence):
    """If grad_Gamma Lbar does not vanish at the limit, V grows linearly; but V is bounded."""
    _, Gamma, V = twin.iterate(lambda w: 0 * w, [5.0], [0.0], step=0.1, steps=3000)
    bound = 1 + np.abs(Gamma).max()
    evidence(largest_V=np.abs(V).max(), lam_plus_Gamma_over_kappa=bound)
    assert np.abs(V).max() <= bound + EXACT and abs(V[-1, 0] - V[-2, 0]) < 1e-9


# Definitions 1 to 5 -----------------------------------------------------------------------------


@pytest.mark.statement("LBI-Def-1")
def test_def_1_functions_that_have_the_property(evidence):
    u = np.geomspace(1e-2, 0.5, 20)
    # |u|^p with phi(s) = s^(1/p); exp(-1 / u^2), flat, with phi(s) = log(1/s)^(-1/2): product 1.
    for p in (1.0, 2.0, 5.0):
        s = u**p
        product = s ** (1 / p - 1) / p * p * u ** (p - 1)
        np.testing.assert_allclose(product, 1, rtol=1e-9)
    s = np.exp(-(u[u > 0.05] ** -2))
    log = u[u > 0.05] ** -2
    slope = 2 * u[u > 0.05] ** -3 * s
    np.testing.assert_allclose(0.5 * log**-1.5 / s * slope, 1, rtol=1e-9)
    evidence("phi' times |h'| for |u|^p and exp(-1 / u^2)", 1.0)
    # Not with phi(s) = sqrt(s), which is right for u^2 only.
    assert (0.5 * s**-0.5 * slope).min() < 1e-3


@pytest.mark.statement("LBI-Def-1")
def test_def_1_a_function_that_has_not(evidence):
    """u^3 sin(1/u): critical points tend to zero with positive values, where (18) reads 0 >= 1."""

    def slope(u):
        return 3 * u * u * np.sin(1 / u) - u * np.cos(1 / u)

    found = []
    for n in (1, 5, 25, 125):
        c = np.pi / 2 + 2 * np.pi * n
        u = optimize.brentq(slope, 1 / (c + 0.8), 1 / (c - 0.8), xtol=1e-16)
        found.append((u, u**3 * np.sin(1 / u), slope(u)))
    evidence(critical_points=[f[0] for f in found], values=[f[1] for f in found])
    assert all(value > 0 and abs(s) < EXACT for _, value, s in found)
    assert found[-1][0] < 2e-3


@pytest.mark.statement("LBI-Def-2")
def test_def_2_analytic_on_every_line_is_not_analytic(evidence):
    """h = x y^3 / (x^2 + y^6), h(0) = 0: analytic along every line, and not continuous."""

    def h(x, y):
        return x * y**3 / (x * x + y**6)

    t = np.array([0.1, 0.01, 0.001])
    evidence(on_the_curve=h(t**3, t).tolist(), on_a_line=h(t, 2 * t).tolist())
    np.testing.assert_allclose(h(t**3, t), 0.5, rtol=1e-12)
    for m in (-2.0, 0.5, 3.0):  # On y = m x it is m^3 x^2 / (1 + m^6 x^4), a quotient without pole.
        np.testing.assert_allclose(h(t, m * t), m**3 * t**2 / (1 + m**6 * t**4), rtol=1e-12)
    assert (np.abs(h(t, 0 * t)) == 0).all() and (np.abs(h(0 * t, t)) == 0).all()
