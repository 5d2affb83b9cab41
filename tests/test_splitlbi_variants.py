"""SplitLBI section 4: minibatches, momentum, weight decay; and which of many minima is found."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import splitlbi_twin as twin
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from strategies import generators, rotation

from refgrow import growth, losses, networks, neurons, optimizers, splitlbi, train
from refgrow import splitlbi_theory as theory

EXACT = 1e-12
AT_REST = 1e-6
INSIDE, OUTSIDE = 0.99, 1.01

beyond = pytest.mark.filterwarnings("ignore:step = .* is not below:UserWarning")


# Which minimiser --------------------------------------------------------------------------------


def underdetermined(seed=0, n=3, p=8):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)), 2 * rng.normal(size=n), rng


def to_the_end(X, y, state, steps=60000):
    S = X.T @ X
    run = splitlbi.run(state, S, X.T @ y, steps=steps, every=steps, gtol=1e-13)
    return run.state


@pytest.mark.compiled
@pytest.mark.statement("LBI-bias-new")
@settings(max_examples=25)
@given(generators, st.booleans(), st.booleans())
def test_limit_among_many_minimisers(evidence, rng, lasso, from_zero):
    """argmin of lam Omega_1(W) + |W|^2 / kappa - <V0 + W0 / kappa, W>, whatever nu and the step."""
    n, p = 3, 8
    X = rotation(n, rng) * rng.uniform(1, 3, size=n) @ rotation(p, rng)[:n]
    y = 2 * rng.normal(size=n)
    kappa, lam = 10 ** rng.uniform(-0.3, 1), rng.uniform(0.3, 2)
    groups = None if lasso else [np.arange(0, 4), np.arange(4, 8)]
    W0, V0 = np.zeros((2, p)) if from_zero else rng.normal(size=(2, p))
    lip = np.linalg.norm(X, 2) ** 2
    reference = None
    for nu, share in ((1.0, 0.9), (0.3, 0.99), (5.0, 0.5)):
        step = share * splitlbi.largest_step(lip, nu, kappa)
        state = splitlbi.init(W0, step=step, nu=nu, kappa=kappa, lam=lam, groups=groups, V0=V0)
        reference = theory.limit_problem(X, y, state)
        end = to_the_end(X, y, state, 600000)
        scale = 1 + np.abs(reference).max()
        error = max(np.abs(end.W - reference).max(), np.abs(end.Gamma - reference).max()) / scale
        evidence.worst("relative distance to the solution", error)
        assert error < AT_REST


@pytest.mark.compiled
@pytest.mark.statement("LBI-bias-new")
def test_limit_against_solvers_that_know_nothing(evidence):
    X, y, _ = underdetermined()
    lip = np.linalg.norm(X, 2) ** 2
    basis = optimize.linprog(np.ones(16), A_eq=np.hstack([X, -X]), b_eq=y).x
    basis = basis[:8] - basis[8:]
    counts = {}
    for kappa in (1.0, 10.0, 100.0):
        state = splitlbi.init(np.zeros(8), step=0.9 * splitlbi.largest_step(lip, 1.0, kappa),
                              nu=1.0, kappa=kappa)  # fmt: skip
        end = to_the_end(X, y, state)
        found = optimize.minimize(
            lambda z, k=kappa: z.sum() + ((z[:8] - z[8:]) ** 2).sum() / k, np.ones(16),
            bounds=[(0, None)] * 16, method="SLSQP", options=dict(ftol=1e-15, maxiter=1000),
            constraints=dict(type="eq", fun=lambda z: X @ (z[:8] - z[8:]) - y),
        ).x  # fmt: skip
        assert np.abs(found[:8] - found[8:] - end.W).max() < AT_REST
        counts[kappa] = int((end.Gamma != 0).sum())
        # Negative control: with the potential of eq 1, |W|^2 / (2 kappa), it is another point.
        halved = splitlbi.init(np.zeros(8), step=1.0, kappa=2 * kappa)
        gap = np.abs(theory.limit_problem(X, y, halved) - end.W).max()
        assert (gap > 0.01) == (kappa == 1.0)  # For large kappa both are basis pursuit.
        if kappa > 1:
            assert np.abs(end.W - basis).max() < AT_REST
    evidence(nonzeros_by_kappa=str(counts), l1_of_basis_pursuit=np.abs(basis).sum())
    assert counts == {1.0: 5, 10.0: 3, 100.0: 3}


@pytest.mark.statement("LBI-bias-new", "LBI-Thm-1")
@beyond
def test_limit_of_a_singular_quadratic_has_the_same_edge(evidence):
    X, y, _ = underdetermined()
    lip = np.linalg.norm(X, 2) ** 2
    misses = []
    for share in (INSIDE, OUTSIDE):
        state = splitlbi.init(
            np.zeros(8), step=share * splitlbi.largest_step(lip, 1.0, 1.0), nu=1.0
        )
        run = splitlbi.run(state, X.T @ X, 10 * X.T @ y, steps=6000, every=6000)
        misses.append(np.abs(X @ run.state.W - 10 * y).max())
    evidence(misses=misses)
    assert misses[0] < AT_REST and misses[1] > 1


@pytest.mark.compiled
@pytest.mark.statement("LBI-bias-new")
def test_limit_with_one_minimiser_is_dense(evidence):
    """Sparsity is then a matter of stopping early, or of steps whose sum is finite."""
    rng = np.random.default_rng(3)
    A = rng.normal(size=(6, 6))
    S, beta = A @ A.T / 6 + 0.05 * np.eye(6), rng.normal(size=6)
    beta[0] = 1e-3
    state = splitlbi.init(np.zeros(6), step=0.9 * splitlbi.largest_step(
        np.linalg.eigvalsh(S)[-1], 1.0, 1.0), nu=1.0)  # fmt: skip
    run = splitlbi.run(state, S, S @ beta, steps=400000, every=400000, gtol=1e-12)
    evidence(nonzeros=int((run.state.Gamma != 0).sum()), steps=run.nit, smallest=run.state.Gamma[0])
    assert np.abs(run.state.Gamma - beta).max() < 1e-8 and splitlbi.density(run.state) == 1
    # Steps that sum to 3: V moves by at most the sum times the largest |W - Gamma| / nu.
    for k in range(300):
        state = splitlbi.step(state, S @ (state.W - beta), 0.3 * 0.9**k)
    evidence(density_with_a_schedule=splitlbi.density(state))
    assert 0 < splitlbi.density(state) < 1
    assert np.abs(splitlbi.step(state, S @ (state.W - beta), 1e-12).V - state.V).max() < 1e-11


# Minibatches ------------------------------------------------------------------------------------


@pytest.mark.statement("LBI-Eq-11")
def test_eq_11_minibatch_steps_are_unbiased(evidence):
    """The mean of the steps over all batches of two is the full step: the coupling is exact."""
    rng = np.random.default_rng(1)
    X, y, W = rng.normal(size=(6, 3)), rng.normal(size=6), rng.normal(size=3)
    state = splitlbi.init(W, step=0.1, nu=2.0, V0=3 * rng.normal(size=3))
    batches = [(i, j) for i in range(6) for j in range(i)]
    steps = [splitlbi.step(state, X[[*b]].T @ (X[[*b]] @ W - y[[*b]]) / 2) for b in batches]
    full = splitlbi.step(state, X.T @ (X @ W - y) / 6)
    error = max(np.abs(np.mean([s.W for s in steps], axis=0) - full.W).max(),
                max(np.abs(s.V - full.V).max() for s in steps))  # fmt: skip
    evidence(difference=error)
    assert error < EXACT
    # Negative control: a coupling that is scaled with the batch's share of the data is biased.
    less = 2 / 3 * (state.W - state.Gamma) / state.nu
    scaled = [splitlbi.step(state, X[[*b]].T @ (X[[*b]] @ W - y[[*b]]) / 2 - less) for b in batches]
    assert np.abs(np.mean([s.W for s in scaled], axis=0) - full.W).max() > 1e-3


@pytest.mark.statement("LBI-Eq-11")
def test_eq_11_a_constant_step_leaves_a_noise_floor(evidence):
    """Theorem 1 does not cover minibatches: the spread falls with the step, not with time."""
    rng, floors = np.random.default_rng(2), {}
    noise = rng.normal(size=6000)
    for step in (0.2, 0.02):
        state = splitlbi.init([3.0], step=step, nu=1.0, V0=[4.0])
        tail = []
        for k in range(6000):
            state = splitlbi.step(state, state.W - 3 + noise[k])
            tail += [state.W[0]] if k > 2000 else []
        floors[step] = float(np.std(tail))
    evidence(spread_of_W_by_step=str(floors))
    assert floors[0.2] > 0.2 and 2 < floors[0.2] / floors[0.02] < 6


# Momentum ---------------------------------------------------------------------------------------


@pytest.mark.statement("LBI-Eq-12")
@beyond
@pytest.mark.parametrize("h, nu", [(1.0, 1.0), (1.0, 10.0), (4.0, 0.5), (0.3, 3.0)])
@pytest.mark.parametrize("tau", [0.5, 0.9])
def test_eq_12_both_sides_of_the_quadratic_edge(evidence, h, nu, tau):
    beta, edge = 1e8, theory.quadratic_edge(h, nu, 1.0, tau)
    ends = []
    for share in (INSIDE, OUTSIDE):
        state = splitlbi.init([beta + 0.3], V0=[beta + 1.1], step=share * edge, nu=nu, momentum=tau)
        state = splitlbi.run(state, [[h]], [h * beta], steps=4000, every=4000).state
        ends.append(abs(state.W[0] - beta))
    proven = theory.largest_momentum_step(h, nu, 1.0, tau)
    evidence(h=h, nu=nu, tau=tau, edge=edge, without_momentum=splitlbi.largest_step(h, nu, 1.0),
             proven_for_all=proven, distances=ends)  # fmt: skip
    assert ends[0] < 1e-3 and ends[1] > 1
    assert proven < splitlbi.largest_step(h, nu, 1.0) < edge


@pytest.mark.statement("LBI-Eq-12", "LBI-Eq-14")
@settings(max_examples=200)
@given(generators)
def test_eqs_12_and_14_the_edge_is_where_an_eigenvalue_reaches_minus_one(evidence, rng):
    h, nu = 10 ** rng.uniform(-3, 1), 10 ** rng.uniform(-1.5, 2)
    tau, decay, b = rng.uniform(0, 0.99), rng.choice([0, 1e-4, 1e-2, 0.3]), 1 / nu

    def radius(s):  # Of (W, s v, Gamma) -> the next, Gamma nonzero.
        a = h + b
        step = np.array(
            [[1 - decay - s * a, -tau, s * b], [s * a, tau, -s * b], [s * b, 0, 1 - s * b]]
        )
        return np.abs(np.linalg.eigvals(step)).max()

    edge = theory.quadratic_edge(h, nu, 1.0, tau, decay)
    inside = max(radius(share * edge) for share in (0.1, 0.5, 0.9, 0.999))
    evidence.worst("spectral radius inside, less one", inside - 1)
    assert inside <= 1 + 1e-10 and radius(1.001 * edge) > 1
    # The formula at t = 1 is the step without momentum.
    assert theory.quadratic_edge(h, nu, 2.0) == splitlbi.largest_step(h, nu, 2.0)


@pytest.mark.statement("LBI-Eq-12", "LBI-Eq-14")
@settings(max_examples=60)
@given(generators, st.booleans())
def test_eqs_12_and_14_proven_descent_on_non_convex_losses(evidence, rng, with_decay):
    """alpha (Lbar + r |W|^2 / 2) + t' |dW|^2 / (2 kappa) falls: decay is a ridge, less momentum.

    r = beta (1 - tau) / (kappa alpha), t' = tau (1 - beta).
    """
    nu, kappa = 10 ** rng.uniform(-1, 1.5), 10 ** rng.uniform(-1, 1)
    tau, decay = rng.uniform(0, 0.95), rng.choice([1e-3, 0.05, 0.3]) if with_decay else 0.0
    c, a, D = rng.uniform(0, 3), 3 * rng.normal(size=3), rng.uniform(0.2, 2, size=3)
    step = 0.999 * theory.largest_momentum_step(D.max() + c, nu, kappa, tau, decay)
    W, Gamma, _ = twin.iterate(
        lambda w: D * (w - a) - c * np.sin(w), 4 * rng.normal(size=3), rng.normal(size=3),
        step=step, nu=nu, kappa=kappa, steps=150, momentum=tau, decay=decay,
    )  # fmt: skip
    r = theory.effective_ridge(step, kappa, tau, decay)
    loss = 0.5 * (D * (W - a) ** 2).sum(axis=1) + c * np.cos(W).sum(axis=1) + 3 * c
    loss += ((W - Gamma) ** 2).sum(axis=1) / (2 * nu) + r / 2 * (W**2).sum(axis=1)
    moved = (np.diff(W, axis=0) ** 2).sum(axis=1)
    energy = step * loss[1:] + tau * (1 - decay) / (2 * kappa) * moved
    rise = np.diff(energy).max() / (1 + np.abs(energy).max())
    evidence.worst("largest rise", rise)
    assert rise < EXACT * 10


@pytest.mark.statement("LBI-Eq-12")
def test_eq_12_fixed_points_are_those_without_momentum(evidence):
    W, Gamma, _ = twin.iterate(lambda w: w - 3, [0.0], [0.0], step=0.1, steps=5000, momentum=0.9)
    evidence(W=W[-1, 0], Gamma=Gamma[-1, 0])
    assert abs(W[-1, 0] - 3) < AT_REST and abs(Gamma[-1, 0] - 3) < AT_REST


def lessard(x):
    """A strongly convex loss with curvatures 1 and 25 (Lessard, Recht and Packard)."""
    return np.where(x < 1, 25 * x, np.where(x < 2, x + 24, 25 * x - 24))


@pytest.mark.statement("LBI-Eq-12")
def test_eq_12_the_gap_between_the_two_bounds_is_real(evidence):
    """Momentum 4/9 and step 1/9: inside the quadratic edge, and a cycle of three."""
    nu = 10.0
    edge = theory.quadratic_edge(25.0, nu, 1.0, 4 / 9)
    proven = theory.largest_momentum_step(25.0, nu, 1.0, 4 / 9)
    ends = {}
    for step in (1 / 9, INSIDE * proven):
        W, _, _ = twin.iterate(lessard, [3.3], [0.0], step=step, nu=nu, steps=4000, momentum=4 / 9)
        ends[step] = W[-6:, 0]
    evidence(step=1 / 9, quadratic_edge=edge, proven=proven, cycle=ends[1 / 9].round(4).tolist())
    assert proven < 1 / 9 < edge
    assert np.ptp(ends[1 / 9]) > 3 and np.abs(ends[1 / 9][3:] - ends[1 / 9][:3]).max() < 1e-6
    assert np.abs(ends[INSIDE * proven]).max() < AT_REST


# Weight decay -----------------------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.statement("LBI-Eq-14")
@pytest.mark.filterwarnings("ignore:step = .* is not below:UserWarning")
def test_eq_14_ends_at_a_ridge_that_depends_on_the_step(evidence):
    ends, predicted = {}, {}
    for step in (0.1, 0.01, 0.001):
        state = splitlbi.init([0.0], step=step, nu=1.0, momentum=0.9, decay=0.01)
        state = splitlbi.run(state, [[1.0]], [3.0], steps=int(4000 / step), every=10**6).state
        ends[step] = [float(state.W[0]), float(state.Gamma[0])]
        predicted[step] = 3 / (1 + theory.effective_ridge(step, 1.0, 0.9, 0.01))
    evidence(ends=str(ends), predicted=str(predicted), coupled_decay_would_give=3 / 1.01)
    for step in ends:
        np.testing.assert_allclose(ends[step], predicted[step], atol=AT_REST)
    assert abs(predicted[0.001] - 1.5) < EXACT and abs(predicted[0.1] - 2.970297) < AT_REST
    # Not a critical point of L, as Theorem 1 would have it.
    assert abs(ends[0.001][0] - 3) == pytest.approx(1.5, abs=AT_REST)


@pytest.mark.statement("LBI-Eq-14")
@beyond
def test_eq_14_both_sides_of_the_edge_with_decay(evidence):
    h, nu, tau, decay = 1.0, 1.0, 0.5, 0.1
    edge, rows = theory.quadratic_edge(h, nu, 1.0, tau, decay), []
    for share in (INSIDE, OUTSIDE):
        target = 1e8
        r = theory.effective_ridge(share * edge, 1.0, tau, decay)
        rest = h * target / (h + r)
        state = splitlbi.init([rest + 0.3], V0=[rest + 1.1], step=share * edge, nu=nu, momentum=tau,
                              decay=decay)  # fmt: skip
        # Where the momentum is at rest.
        state.velocity[:] = -decay * rest / (share * edge)
        end = splitlbi.run(state, [[h]], [h * target], steps=3000, every=3000).state
        rows.append(abs(end.W[0] - rest))
    evidence(edge=edge, distances=rows)
    assert rows[0] < 1e-2 and rows[1] > 1


# Networks ---------------------------------------------------------------------------------------


def network_and_data(seed=0, widths=(3, 5, 4, 2)):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(b, a + 1)) for a, b in pairwise(widths)]
    return networks.MLP(weights), rng.normal(size=(30, 3)), rng.normal(size=(30, 2))


@pytest.mark.statement("LBI-Eq-11", "LBI-Eq-12", "LBI-Eq-14")
@pytest.mark.parametrize("batch", [None, 7])
def test_optimizer_is_step_after_step(batch):
    net, X, Y = network_and_data()
    groups = splitlbi.groups_of(net, "input")
    seen = []
    pair = splitlbi.optimizer(
        nu=2.0, kappa=1.5, lam=0.2, groups=groups, momentum=0.5, decay=0.01, like=net.arrays,
        watch=lambda s: seen.append(splitlbi.snapshot(s)),
    )  # fmt: skip
    fitted, history = train.fit(net, X, Y, "squared", optimizer=pair, learning_rate=0.02, steps=8,
                                batch_size=batch, rng=0)  # fmt: skip
    assert len(seen) == 9 and seen[-1].count == 8 and history.nit == 8
    state = splitlbi.init(net.arrays, step=0.02, nu=2.0, kappa=1.5, lam=0.2, groups=groups,
                          momentum=0.5, decay=0.01)  # fmt: skip
    for k, kept in enumerate(seen):
        for ours, other in zip(state.W + state.Gamma, kept.W + kept.Gamma, strict=True):
            np.testing.assert_allclose(ours, other, rtol=0, atol=EXACT)
        if batch is None and k < 8:
            _, gradients = networks.loss_and_gradient(net.with_arrays(state.W), X, Y, "squared")
            state = splitlbi.step(state, list(gradients))
        elif k < 8:
            break
    for ours, other in zip(fitted.arrays, seen[-1].W, strict=True):
        np.testing.assert_array_equal(ours, other)


def test_optimizer_warns_once_where_lipschitz_is_known():
    pair = splitlbi.optimizer(nu=1.0, lipschitz=1.0)
    assert isinstance(pair, optimizers.Optimizer) and optimizers.get(pair) == pair
    state = pair.init(np.zeros(2))
    with pytest.warns(UserWarning, match="not below 0.763932") as seen:
        state = pair.step(state, np.ones(2), 0.8)
    assert seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = pair.step(state, np.ones(2), 0.8)
        splitlbi.optimizer(nu=1.0, lipschitz=1.0).step(state, np.ones(2), 0.7)
    with pytest.raises(ValueError, match="like must hold the 2 parameters"):
        splitlbi.optimizer(like=[np.zeros(3)]).init(np.zeros(2))
    with pytest.raises(ValueError, match="kappa must be"):
        splitlbi.optimizer(kappa=0.0)
    with pytest.raises(ValueError, match="gradient must have shape"):
        pair.step(state, np.ones(3), 0.1)


@pytest.mark.parametrize("by", ["weight", "neuron", "input", "layer"])
def test_groups_of_cover_all_but_the_biases(by):
    net, _, _ = network_and_data()
    groups = splitlbi.groups_of(net, by)
    offset, biases = 0, []
    for W in net.arrays:
        index = offset + np.arange(W.size).reshape(W.shape)
        biases += index[:, -1].tolist()
        offset += W.size
    listed = np.sort(np.concatenate(groups))
    np.testing.assert_array_equal(listed, np.setdiff1d(np.arange(offset), biases))
    expected = {"weight": listed.size, "neuron": 11, "input": 12, "layer": 3}[by]
    assert len(groups) == expected
    shallow = networks.Shallow(np.ones((4, 3)), np.ones(4), neurons.ridge("tanh"))
    count = {"weight": 12, "neuron": 4, "input": 3, "layer": 1}[by]
    assert len(splitlbi.groups_of(shallow, by)) == count
    with pytest.raises(ValueError, match="Did you mean 'neuron'"):
        splitlbi.groups_of(net, "neurons")
    with pytest.raises(TypeError, match="network must be"):
        splitlbi.groups_of([1.0])
    # By neuron: rows. By input: columns.
    first = groups[0].tolist()
    assert first == {"weight": [0], "neuron": [0, 1, 2], "input": [0, 4, 8, 12, 16],
                     "layer": [4 * i + j for i in range(5) for j in range(3)]}[by]  # fmt: skip


@settings(max_examples=60)
@given(generators, st.sampled_from(["weight", "input", "neuron"]), st.floats(0, 3))
def test_support_leaves_the_projected_network_as_it_is(rng, by, lam):
    widths = rng.integers(1, 6, size=4)
    net = networks.MLP([rng.normal(size=(b, a + 1)) for a, b in pairwise(widths)])
    X = rng.normal(size=(5, widths[0]))
    start = splitlbi.init(net.arrays, step=0.1, lam=lam, groups=splitlbi.groups_of(net, by),
                          V0=[2 * rng.normal(size=W.shape) for W in net.arrays])  # fmt: skip
    plan = splitlbi.support(start)
    projected = net.with_arrays(splitlbi.project(start))
    smaller = growth.apply(projected, plan)
    assert all(isinstance(edit, growth.Prune) for edit in plan.edits)
    np.testing.assert_allclose(smaller(X), projected(X), rtol=0, atol=EXACT * 10)
    assert plan.predicted() == 0
    # Nothing more can go: every neuron kept is read by one that is kept, or is its layer's last.
    masks = [M[:, :-1] for M in (W != 0 for W in smaller.arrays)]
    for layer in range(len(masks) - 1):
        reads = masks[layer + 1]
        assert reads.any(axis=0).all() or len(masks[layer]) == 1 or not reads.any()
    # The mask is where Gamma is nonzero, the projection W there; biases stay.
    for W, M, P, G in zip(start.W, splitlbi.mask(start), splitlbi.project(start), start.Gamma,
                          strict=True):  # fmt: skip
        assert M[:, -1].all()
        np.testing.assert_array_equal(P, np.where(M, W, 0))
        np.testing.assert_array_equal(G[:, :-1] != 0, M[:, :-1])


def test_support_needs_the_matrices_of_an_mlp():
    for W0 in (np.ones(3), [np.ones(3)], [np.ones((2, 3)), np.ones((2, 5))]):
        with pytest.raises(ValueError, match="list of an MLP's matrices"):
            splitlbi.support(splitlbi.init(W0, step=0.1))
    # Nothing at all in the support: one neuron a layer stays.
    net, _, _ = network_and_data()
    plan = splitlbi.support(splitlbi.init(net.arrays, step=0.1, groups=splitlbi.groups_of(net)))
    assert growth.apply(net, plan).widths == (1, 1) and "7 of 9" in plan.message


@pytest.mark.compiled
def test_a_sparse_network_is_there_early():
    """Three inputs of ten matter: their columns enter first, while the dense weights learn."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 10))
    Y = np.tanh(X[:, :3] @ [[1.0], [-1.0], [0.5]])
    net = networks.MLP([rng.normal(size=(6, 11)) / 3, rng.normal(size=(1, 7)) / 2])
    states = []
    pair = splitlbi.optimizer(
        nu=10.0, lam=3.0, groups=splitlbi.groups_of(net, "input")[:10], like=net.arrays,
        watch=lambda s: states.append(splitlbi.snapshot(s)) if s.count % 20 == 0 else None,
    )  # fmt: skip
    fitted, history = train.fit(net, X, Y, "squared", optimizer=pair, learning_rate=0.1, steps=2000)
    path = splitlbi.path(states)
    entered = np.where(path.first_entry < 0, np.inf, path.first_entry)
    assert entered[:2].max() < entered[3:].min()
    assert losses.squared.value(fitted(X), Y) == pytest.approx(history.fun)
    stop = path.first_at(0.2)
    assert stop is not None and path.density[stop - 1] < 0.2 <= path.density[stop] < 1
