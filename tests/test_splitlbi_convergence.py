"""SplitLBI section 3: both sides of the largest proven step, and what that says of networks.

Theorem 1's step is run at 0.99 and 1.01 of its edge, of the printed one and of the corrected one,
where Gamma is nonzero and where it is zero: only the former can tell them apart.
"""

import numpy as np
import pytest
import splitlbi_twin as twin
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import generators, with_spectrum

from refgrow import losses, networks, splitlbi
from refgrow import splitlbi_theory as theory

EXACT = 1e-12
AT_REST = 1e-6  # Distance to a critical point after a run, relative to its size.
INSIDE, OUTSIDE = 0.99, 1.01

PAIRS = [(1.0, 1.0), (1.0, 0.1), (1.0, 10.0), (4.0, 0.3), (4.0, 1.0), (0.3, 3.0), (10.0, 10.0)]

beyond = pytest.mark.filterwarnings("ignore:step = .* is not below:UserWarning")


# The Lipschitz constant -------------------------------------------------------------------------


@pytest.mark.statement("LBI-Lipschitz")
def test_largest_steps_at_the_ends_of_the_range_of_numbers():
    """No warning, no division by zero, and the scaling by powers of two takes no bit."""
    step = splitlbi.largest_step
    assert step(1.7e308, 1.0, 1.0) == pytest.approx(2 / 1.7e308, rel=EXACT)
    assert step(1.0, 1e-309, 1.0) == pytest.approx(1e-309, rel=EXACT)
    assert step(1.0, 1e-320, 1.0) == 1e-320 and step(1.7e308, 1e-320, 1.0) > 0
    assert step(0.0, 2e300, 1.0) == pytest.approx(2e300, rel=EXACT)
    assert step(1e10, 1e10, 1e-300) == pytest.approx(2e290, rel=1e-9)
    assert step(1.0, 1.0, 1e-320) == step(0.0, np.inf, 1.0) == np.inf
    assert step(np.float64(1.7e308), np.float64(1e-309), np.float64(1e300)) == 0
    assert theory.augmented_lipschitz(1.0, 1e-309) == np.inf
    assert theory.augmented_lipschitz(0.0, np.inf) == 0
    assert theory.printed_largest_step(0.0, np.inf, 1.0) == np.inf
    assert theory.printed_largest_step(2.0, np.inf, 1.0) == 1.0
    assert theory.quadratic_edge(1.7e308, 1e-309, 1.0, 0.9, 0.1) < 1e-308
    rng = np.random.default_rng(0)
    for h, nu, kappa in 10 ** rng.uniform(-9, 9, size=(2000, 3)):
        b = 1 / nu
        c = h + b + b
        plain = 4.0 / (c + np.hypot(h, 2 * b)) / kappa
        assert step(h, nu, kappa) == plain != np.nextafter(plain, 0)


@pytest.mark.statement("LBI-Lipschitz")
@settings(max_examples=100)
@given(generators, st.integers(1, 5), st.floats(-2, 2))
def test_lipschitz_constant_of_the_augmented_gradient(evidence, rng, p, log):
    """Over all Hessians with |H| <= Lip; sharp where Lip is an eigenvalue."""
    nu, eta = 10**log, rng.uniform(-1, 1, size=p)
    lip = np.abs(eta).max()
    H, b, one = with_spectrum(eta, rng), 1 / nu, np.eye(p)
    joint = np.block([[H + b * one, -b * one], [-b * one, b * one]])
    constant = theory.augmented_lipschitz(lip, nu)
    assert np.abs(np.linalg.eigvalsh(joint)).max() <= constant * (1 + EXACT)
    assert abs(twin.top(lip, nu) - constant) <= EXACT * constant * 10
    printed = lip + b
    assert max(printed, 2 * b) < constant < lip + 2 * b
    evidence.worst("true over printed", constant / printed)
    if eta.max() == lip:  # Negative control: the printed constant is exceeded.
        assert np.linalg.eigvalsh(joint)[-1] > printed
    assert printed < 2 / splitlbi.largest_step(lip, nu, 1.0)


@pytest.mark.statement("LBI-Lipschitz")
def test_lipschitz_numbers(evidence):
    rows = {(h, nu): theory.augmented_lipschitz(h, nu) for h, nu in [(1, 1), (1, 0.1), (5, 2)]}
    evidence(true=str(rows), printed=str({k: k[0] + 1 / k[1] for k in rows}))
    np.testing.assert_allclose(list(rows.values()), [2.618034, 20.512492, 5.549510], rtol=1e-6)
    # Of a concave loss, h = -1 at nu = 1, the print is an upper bound, and not sharp.
    concave = np.linalg.eigvalsh(np.array([[0.0, -1], [-1, 1]]))
    assert abs(np.abs(concave).max() - 1.618034) < 1e-6
    assert splitlbi.largest_step(0.0, 3.0, 2.0) == pytest.approx(1.5)
    assert splitlbi.largest_step(4.0, np.inf, 1.0) == 0.5
    assert splitlbi.largest_step(1e300, 1e-300, 1.0) > 0


# Theorem 1 on quadratics ------------------------------------------------------------------------


def distance(h, nu, kappa, step, *, order="old", steps=900, beta=1e8):
    """|W - beta| over its start, from beside the minimiser; Gamma is nonzero all along."""
    W, Gamma, _ = twin.iterate(
        lambda w: h * (w - beta), [beta + 0.3], [beta / kappa + 1.1], step=step, nu=nu,
        kappa=kappa, steps=steps, order=order,
    )  # fmt: skip
    assert (Gamma[:-1] != 0).all()
    return np.abs(W[-50:] - beta).max() / 0.3


@pytest.mark.statement("LBI-Thm-1")
@pytest.mark.parametrize("h, nu", PAIRS)
@pytest.mark.parametrize("kappa", [1.0, 5.0])
def test_thm_1_both_sides_of_both_edges(evidence, h, nu, kappa):
    ours = splitlbi.largest_step(h, nu, kappa)
    printed = theory.printed_largest_step(h, nu, kappa)
    found = {
        f"{share:g} of {name}": distance(h, nu, kappa, share * edge)
        for name, edge in (("ours", ours), ("print", printed))
        for share in (INSIDE, OUTSIDE)
    }
    evidence(edge=ours, printed=printed, distances=str({k: f"{v:.1e}" for k, v in found.items()}))
    assert found["0.99 of ours"] < 1e-3 and found["1.01 of ours"] > 1e3
    assert found["1.01 of print"] > 1e3
    assert (found["0.99 of print"] > 10) == (INSIDE * printed > ours)
    # One after the other the edge is another one, never below the print's; with Gamma nonzero it is
    # above it.
    x = h * nu
    late = nu * (x + 2) / (x + 1) if x < 2 else nu * (1 - np.sqrt((x - 2) / (x + 2)))
    assert late / kappa > printed > ours
    assert distance(h, nu, kappa, INSIDE * late / kappa, order="new") < 1e-3
    assert distance(h, nu, kappa, OUTSIDE * late / kappa, order="new") > 1e3


@pytest.mark.statement("LBI-Thm-1")
@beyond
def test_thm_1_smallest_counterexample(evidence):
    """L = (w - 3)^2 / 2, nu = kappa = 1, from zero: the print allows steps below 1."""
    ends = {}
    for step in (0.7563, 0.7716, 0.99):
        found = splitlbi.run(splitlbi.init([0.0], step=step, nu=1.0), [[1.0]], [3.0], steps=2000)
        ends[step] = (found.status, found.nit, found.state.W[0], found.state.Gamma[0])
    evidence(true_edge=splitlbi.largest_step(1.0, 1.0, 1.0), printed_edge=1.0, ends=str(ends))
    assert abs(splitlbi.largest_step(1.0, 1.0, 1.0) - (3 - 5**0.5)) < EXACT
    assert max(abs(x - 3) for x in ends[0.7563][2:]) < AT_REST
    assert max(abs(x - 3) for x in ends[0.7716][2:]) > 1  # A cycle.
    assert ends[0.99][0] == splitlbi.DIVERGED


@pytest.mark.statement("LBI-Thm-1")
def test_thm_1_with_gamma_zero_the_print_is_what_one_sees(evidence):
    """Where Gamma = 0 both orders have the edge 2 / (kappa (h + 1 / nu)): a test there is blind."""
    for order in ("old", "new"):
        sizes = {}
        for share in (INSIDE, OUTSIDE):
            W, Gamma, _ = twin.iterate(
                lambda w: 1.0 * w, [1e-9], [0.0], step=share * theory.printed_largest_step(1, 1, 1),
                steps=500, order=order,
            )  # fmt: skip
            assert not Gamma.any()
            sizes[share] = abs(W[-1, 0]) / 1e-9
        evidence(f"growth, order {order}", str(sizes))
        assert sizes[INSIDE] < 1e-3 and sizes[OUTSIDE] > 1e3


@pytest.mark.compiled
@pytest.mark.statement("LBI-Thm-1")
@beyond
@settings(max_examples=60)
@given(generators, st.integers(1, 5), st.booleans())
def test_thm_1_random_quadratics_and_groups(evidence, rng, p, lasso):
    spectrum = rng.uniform(0.2, 3, size=p)
    S, beta = with_spectrum(spectrum, rng), 4 * rng.normal(size=p)
    nu, kappa = 10 ** rng.uniform(-1, 1, size=2)
    groups = None if lasso else [np.arange(p)[::2], np.arange(p)[1::2]][: min(p, 2)]
    edge = splitlbi.largest_step(spectrum.max(), nu, kappa)
    constants = dict(nu=nu, kappa=kappa, groups=groups)
    state = splitlbi.init(5 * rng.normal(size=p), V0=rng.normal(size=p), step=INSIDE * edge,
                          **constants)  # fmt: skip
    found = splitlbi.run(state, S, S @ beta, steps=100000, every=100000, gtol=1e-9)
    assert found.status == splitlbi.STATIONARY
    error = max(np.abs(found.state.W - beta).max(), np.abs(found.state.Gamma - beta).max())
    evidence.worst("distance to the minimiser at 0.99", error / (1 + np.abs(beta).max()))
    assert error < AT_REST * (1 + np.abs(beta).max())
    # Sharp for the lasso: along the top eigenvector, with all of Gamma nonzero.
    far = 1e8 * np.where(beta > 0, 1.0, -1.0)
    if lasso:
        state = splitlbi.init(far + 0.3 * rng.normal(size=p), V0=far / kappa + 1.1 * np.sign(far),
                              step=OUTSIDE * edge, **constants)  # fmt: skip
        found = splitlbi.run(state, S, S @ far, steps=600, every=600)
        gone = np.abs(found.state.W - far).max() / np.abs(state.W - far).max()
        assert gone > 100


@pytest.mark.compiled
@pytest.mark.statement("LBI-Thm-1")
@beyond
def test_thm_1_groups_may_survive_a_little_more(evidence):
    """The edge with the Jacobian of the group's prox: the bound only where it is radial."""
    h, nu = np.array([2.0, 0.1]), 1.0
    bound = splitlbi.largest_step(2.0, nu, 1.0)
    for beta in ([5.0, 0.0], [0.0, 5.0], [0.0, 0.5], [5.0, 5.0]):
        r = np.linalg.norm(beta)
        u = np.array(beta) / r
        roots = r**0.5 / (r + 1) ** 0.5 * (np.eye(2) - np.outer(u, u)) + np.outer(u, u)
        joint = np.block([[np.diag(h + 1), -roots], [-roots, roots @ roots]])
        edge = 2 / np.linalg.eigvalsh(joint)[-1]
        ends = []
        for share in (INSIDE, OUTSIDE):
            state = splitlbi.init(np.array(beta) + 1e-3, V0=np.array(beta) + u, step=share * edge,
                                  nu=nu, groups=[[0, 1]])  # fmt: skip
            state = splitlbi.run(state, np.diag(h), h * beta, steps=20000, every=20000).state
            ends.append(np.abs(state.W - beta).max())
        evidence(f"beta = {beta}: edge, bound, distances", [edge, bound, *ends])
        assert edge >= bound * (1 - EXACT) and ends[0] < AT_REST and ends[1] > 1e-2
        assert (edge < bound * 1.001) == (beta == [5.0, 0.0])


# Theorems 1 and 2 beyond convexity --------------------------------------------------------------


def cosine(c):
    """L' of (w - pi)^2 / 2 + c cos w: minimum at pi with curvature 1 + c, concave elsewhere."""
    return lambda w: w - np.pi - c * np.sin(w)


@pytest.mark.statement("LBI-Thm-1")
@pytest.mark.parametrize("c", [2.0, 4.0])
@pytest.mark.parametrize("nu", [0.2, 1.0, 5.0])
def test_thm_1_non_convex(evidence, c, nu):
    ends = {}
    for name, edge in (("ours", splitlbi.largest_step(1 + c, nu, 1.0)),
                       ("print", theory.printed_largest_step(1 + c, nu, 1.0))):  # fmt: skip
        for share in (INSIDE, OUTSIDE):
            W, Gamma, _ = twin.iterate(
                cosine(c), [np.pi + 0.01], [np.pi + 1.0], step=share * edge, nu=nu, steps=3000
            )
            ends[f"{share:g} of {name}"] = max(abs(W[-1, 0] - np.pi), abs(Gamma[-1, 0] - np.pi))
    evidence(ends=str({k: f"{v:.1e}" for k, v in ends.items()}))
    assert ends["0.99 of ours"] < AT_REST and ends["1.01 of ours"] > 0.01
    assert (ends["0.99 of print"] > 0.01) == (nu < 5)


def bumpy(rng):
    """A random non-convex loss with bounded level sets: value, slope, Lip, dimension."""
    p, c = rng.integers(1, 5), rng.uniform(0, 2)
    a, D = 3 * rng.uniform(-1, 1, size=p), rng.uniform(0.2, 2, size=p)
    H = with_spectrum(D, rng)
    return (
        lambda w: 0.5 * (w - a) @ H @ (w - a) + c * np.cos(w).sum() + c * p,
        lambda w: H @ (w - a) - c * np.sin(w),
        D.max() + c,
        int(p),
    )


@pytest.mark.statement("LBI-Thm-1", "LBI-Thm-2", "LBI-any-init")
@settings(max_examples=25)
@given(generators, st.booleans())
def test_thms_1_and_2_where_runs_end(evidence, rng, lasso):
    """From any W0, V0 and even an inconsistent Gamma_0: W = Gamma, grad L = 0, g in dOmega."""
    value, slope, lip, p = bumpy(rng)
    nu, kappa = 10 ** rng.uniform(-0.5, 0.5, size=2)
    prox = twin.lasso if lasso else twin.group([np.arange(p)])
    W, Gamma, V = twin.iterate(
        slope, 5 * rng.normal(size=p), 3 * rng.normal(size=p), Gamma=5 * rng.normal(size=p),
        step=INSIDE * splitlbi.largest_step(lip, nu, kappa), nu=nu, kappa=kappa, prox=prox,
        steps=5000,
    )  # fmt: skip
    rest = max(np.abs(W[-1] - Gamma[-1]).max(), np.abs(slope(W[-1])).max())
    evidence.worst("largest |W - Gamma| or |grad L| at the end", rest)
    assert rest < 1e-5
    g = V[-1] - Gamma[-1] / kappa
    sizes = np.abs(g) if lasso else np.array([np.linalg.norm(g)])
    assert sizes.max() <= 1 + EXACT * 1e3
    # The augmented loss falls at every step but the first.
    every = np.array([value(w) + ((w - x) ** 2).sum() / (2 * nu)
                      for w, x in zip(W[1:300], Gamma[1:300], strict=True)])  # fmt: skip
    assert (np.diff(every) <= EXACT * 10 * (1 + every[0])).all()
    # Finite length: the second half of the path is short.
    steps = np.linalg.norm(np.diff(W, axis=0), axis=1)
    assert steps[2500:].sum() < 1e-3 * (1 + steps.sum())


@pytest.mark.statement("LBI-any-init")
def test_any_init_an_inconsistent_gamma_costs_one_step(evidence):
    W, Gamma, _ = twin.iterate(lambda w: w - 3, [1.0], [0.0], Gamma=[1.0], step=0.1, steps=2000)
    augmented = ((W - 3) ** 2 / 2 + (W - Gamma) ** 2 / 2)[:, 0]
    evidence(augmented_loss=augmented[:4].tolist())
    assert augmented[1] > augmented[0] + 0.3 and (np.diff(augmented[1:]) <= EXACT).all()
    assert abs(W[-1, 0] - 3) < AT_REST and abs(Gamma[-1, 0] - 3) < AT_REST


def product(w):
    """The slope of (u w - 1)^2 / 2: one hidden linear neuron."""
    return np.array([w[1], w[0]]) * (w[0] * w[1] - 1)


@pytest.mark.statement("LBI-any-init")
def test_any_init_is_false_for_networks(evidence):
    """No global Lipschitz constant: a fixed step converges from here and diverges from there."""
    near, far = (
        twin.iterate(product, start, [0.0, 0.0], step=0.1, nu=10.0, steps=4000)[0]
        for start in ([3.0, 1.5], [10.0, 5.0])
    )
    evidence(near_end=near[-1].tolist(), far_sizes=np.abs(far[:5]).max(axis=1).tolist())
    assert abs(near[-1].prod() - 1) < AT_REST
    assert len(far) < 10 and np.abs(far[-1]).max() > 1e12


@pytest.mark.statement("LBI-any-init", "LBI-Cor-1")
def test_any_init_repaired_by_a_step_from_the_start(evidence):
    """With weight decay in the loss: Lip on a ball that the run cannot leave."""
    ridge, nu = 0.5, 10.0
    for start in ([3.0, 1.5], [10.0, 5.0], [-6.0, 4.0]):
        start = np.array(start)

        def value(w):
            return 0.5 * (w[0] * w[1] - 1) ** 2 + ridge / 2 * w @ w

        level = value(start) + start @ start / (2 * nu)  # Gamma_0 = 0.
        radius = np.sqrt(2 * level / ridge)  # |W| on the level set of the augmented loss.
        push = radius**3 + radius + ridge * radius + np.sqrt(2 * level / nu)
        cap = 1 / push  # So that a step moves W by at most one.
        lip = 2 * (radius + 1) ** 2 + 1 + ridge  # Of the Hessian on the larger ball.
        step = INSIDE * min(cap, splitlbi.largest_step(lip, nu, 1.0))
        W, Gamma, _ = twin.iterate(
            lambda w: product(w) + ridge * w, start, [0.0, 0.0], step=step, nu=nu, steps=4000
        )
        augmented = [value(w) + ((w - x) ** 2).sum() / (2 * nu)
                     for w, x in zip(W, Gamma, strict=True)]  # fmt: skip
        evidence(f"from {start.tolist()}: step, loss", [step, augmented[0], augmented[-1]])
        assert (np.diff(augmented) <= EXACT * (1 + level)).all()
        assert np.linalg.norm(W, axis=1).max() <= radius and augmented[-1] < 0.5 * augmented[0]


@pytest.mark.statement("LBI-Cor-1")
def test_cor_1_separable_data_have_no_limit(evidence):
    """log(1 + e^-w): W grows like the logarithm of the steps; there is no critical point."""
    for name, slope in (
        ("logistic", lambda w: -1 / (1 + np.exp(w))),
        ("exponential", lambda w: -np.exp(-w)),
    ):
        W, _, _ = twin.iterate(slope, [0.0], [0.0], step=0.5, steps=20000)
        ends = [W[k, 0] for k in (200, 2000, 20000)]
        evidence(f"{name}, W after 200, 2000, 20000 steps", ends)
        assert np.abs(np.diff(ends) - np.log(10)).max() < 0.1
    # With the ridge that Corollary 1 does not have, it converges.
    W, Gamma, _ = twin.iterate(
        lambda w: -1 / (1 + np.exp(w)) + 0.1 * w, [0.0], [0.0], step=0.5, steps=2000
    )
    assert abs(W[-1, 0] - Gamma[-1, 0]) < AT_REST and np.abs(np.diff(W[-10:, 0])).max() < 1e-9


# Assumption 1 and Remark 1 ----------------------------------------------------------------------


@pytest.mark.statement("LBI-Ass-1")
@pytest.mark.parametrize("activation", ["relu", "identity", "tanh", "sigmoid", "softplus"])
def test_ass_1_networks_with_a_trained_hidden_layer_violate_a_and_b(evidence, activation):
    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(20, 2)), rng.normal(size=(20, 1))
    first, second = rng.normal(size=(4, 3)), rng.normal(size=(1, 5))

    def loss(*weights):
        return losses.squared.value(networks.MLP(list(weights), activation)(X), Y)

    # (b): a ray to infinity on which the loss does not rise.
    ray = []
    for t in (1.0, 10.0, 1e4):
        if activation in ("relu", "identity"):
            out = np.hstack([second[:, :-1] / t, second[:, -1:]])
            ray.append(loss(t * first, out))
        else:
            ray.append(loss(t * first, np.zeros((1, 5))))
    evidence(loss_on_a_ray=ray)
    assert max(ray) - min(ray) < 1e-9 * (1 + max(ray))
    # (a): the curvature in the first layer grows like the square of the second.
    e = 1e-4 * np.eye(4, 3, k=0)
    curves = [
        (loss(first + e, c * second) - 2 * loss(first, c * second) + loss(first - e, c * second))
        / 1e-8 for c in (10.0, 100.0, 1000.0)
    ]  # fmt: skip
    evidence(curvature=curves)
    growth = np.abs(curves[2] / curves[1])
    assert 50 < growth < 200


@pytest.mark.statement("LBI-Ass-1")
def test_ass_1_without_a_hidden_layer(evidence):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(20, 2))
    noisy = rng.integers(2, size=20)
    separable = (X[:, 0] > 0).astype(int)

    def value(W, loss, y):
        return losses.get(loss).value(networks.MLP([W])(X), y)

    # Logistic: bounded level sets iff the classes overlap.
    away = np.array([[1.0, 0.0, 0.0]])
    overlapping = [value(t * away, "logistic", noisy) for t in (1.0, 10.0, 100.0)]
    separated = [value(t * away, "logistic", separable) for t in (1.0, 10.0, 100.0)]
    evidence(overlapping=overlapping, separated=separated)
    assert (np.diff(overlapping) > 0).all() and (np.diff(separated) < 0).all()
    # Softmax: shift invariance, so never.
    W = rng.normal(size=(3, 3))
    labels = rng.integers(3, size=20)
    shifted = W + 1e6 * np.ones((3, 1)) * np.array([0, 0, 1.0])
    gap = value(shifted, "softmax_cross_entropy", labels) - value(
        W, "softmax_cross_entropy", labels
    )
    assert abs(gap) < 1e-8
    # Least squares: iff the columns are independent.
    for n, bounded in ((20, True), (1, False)):
        singular = np.linalg.svd(np.hstack([X[:n], np.ones((n, 1))]), compute_uv=False)
        assert (len(singular) == 3 and singular[-1] > 0.1) == bounded


@pytest.mark.statement("LBI-Rem-1")
@given(generators, st.integers(1, 6), st.floats(-1, 1))
def test_rem_1_subgradients_of_the_norms_are_bounded(evidence, rng, p, log):
    lam = 10**log
    for groups in (None, [np.arange(p)]):
        state = splitlbi.init(np.zeros(p), step=0.1, lam=lam, groups=groups,
                              V0=10 ** rng.uniform(-2, 2) * rng.normal(size=p))  # fmt: skip
        g = theory.subgradient(state)
        bound = lam * (np.sqrt(p) if groups is None else 1)
        evidence.worst("|g| over its bound", np.linalg.norm(g) / bound)
        assert np.linalg.norm(g) <= bound * (1 + 1e-9)
        # It is one: Omega(X) >= Omega(Gamma) + <g, X - Gamma>.
        for other in 3 * rng.normal(size=(20, p)):
            less = theory.penalty(state.Gamma, groups, lam) + g @ (other - state.Gamma)
            scale = 1 + np.abs(state.Gamma).max() * p * lam
            assert theory.penalty(other, groups, lam) >= less - EXACT * 100 * scale


@pytest.mark.statement("LBI-Rem-1")
def test_rem_1_differentiable_penalties_must_be_convex(evidence):
    """Omega(x) = -x^2 is continuously differentiable, and its proximal map does not exist."""
    V, G = 1.0, np.array([1.0, 10.0, 100.0])
    values = 0.5 * (G - V) ** 2 - G**2
    evidence(objective_at_1_10_100=values.tolist())
    assert (np.diff(values) < 0).all() and values[-1] < -1000
    # And finite: the subgradients of an indicator are unbounded at the edge of its set.
    for size in (1.0, 1e3, 1e6):
        assert min(size * (1.0 - x) for x in np.linspace(0, 1, 11)) >= 0
