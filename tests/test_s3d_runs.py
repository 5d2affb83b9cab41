"""Section 3 of S3D in real runs: the assumptions measured afterwards, the number of splits counted.

Every run states its size in advance; that it was allowed is a result, seen from the largest C and
the least h that the run met. The activation is z^2/2 + k sin z, for which |sigma''| >= 1 - |k| on
the whole line; the quadratic and softplus are there as well.
"""

import numpy as np
import pytest

from refgrow import activations, growth, losses, networks, neurons, s2d, s3d, s3d_theory
from refgrow.networks import Shallow

pytestmark = pytest.mark.compiled  # Hundreds of splits.

# What the sample of points of a segment can miss of the largest third derivative, and rounding.
SAMPLED = 1.02

THIRD = np.arange(3) * 2 * np.pi / 3
TRIANGLE = np.column_stack([np.cos(THIRD), np.sin(THIRD)])
MIXED = np.array([[0.5], [1.0], [-0.5]])
RNG = np.random.default_rng(3)
FOUR, FOUR_Y = RNG.normal(size=(4, 3)), np.array([[1.0], [-0.5], [0.3], [-1.0]])
FOUR *= 1.7 / np.linalg.norm(FOUR, axis=1, keepdims=True)


def bent(k):
    """z^2/2 + k sin z."""
    return activations.Activation(
        f"bent({k})",
        lambda z: z * z / 2 + k * np.sin(z),
        lambda z: z + k * np.cos(z),
        lambda z: 1 - k * np.sin(z),
    )


@pytest.fixture(autouse=True)
def third_derivatives(monkeypatch):
    for k in (0.0, 0.1, 0.3):
        third = lambda z, k=k: -k * np.cos(z)  # noqa: E731
        monkeypatch.setitem(s3d_theory.THIRD_DERIVATIVES, f"bent({k})", third)


def start(d, weights, activation, at=0.0):
    act = activation if isinstance(activation, str) else bent(activation)
    return Shallow(np.full((len(weights), d), at), np.array(weights), neurons.ridge(act))


def relax(X, Y, steps=20, rate=0.3):
    """A parametric phase: gradient descent in theta that stops before the loss would rise."""

    def phase(network):
        loss, gradient = networks.loss_and_gradient(network, X, Y, "squared")
        for _ in range(steps):
            moved = network.with_arrays([network.theta - rate * gradient[0], network.weights])
            after, gradient = networks.loss_and_gradient(moved, X, Y, "squared")
            if after > loss:
                break
            network, loss = moved, after
        return network

    return phase


def judge(run, X, *, eta, size, c, copies):
    """The bounds for the constants that the run met, and whether its size was allowed."""
    known = s3d_theory.constants(run.network, X, run.bend.min())
    allowed = s3d_theory.largest_size(known, eta, run.constant.max(), c, copies)
    T, sharper = (
        bound(known, run.loss[0], eta, size, c, copies)
        for bound in (s3d_theory.splits_needed, s3d_theory.sharper_splits_needed)
    )
    return known, allowed, T, sharper


RUNS = {
    "triplets": (TRIANGLE, MIXED, start(2, [1.0], 0.0), 0.08, 3, "lightest", None),
    "quartets": (TRIANGLE, MIXED, start(2, [1.0], 0.0), 0.12, 4, "lightest", None),
    "quartets, any": (TRIANGLE, MIXED, start(2, [1.0], "quadratic"), 0.08, 4, "largest", None),
    "skew": (FOUR, FOUR_Y, start(3, [1.0], 0.3), 0.03, 4, "lightest", None),
    "phase": (FOUR, FOUR_Y, start(3, [1.0], 0.3), 0.03, 3, "lightest", relax),
    "softplus": (FOUR, FOUR_Y, start(3, [1.0], "softplus"), 0.05, 4, "lightest", relax),
}


@pytest.mark.statement("S3D-Thm-3.4", "S3D-Ass-3.3", "S3D-Ass-3.1")
@pytest.mark.parametrize("name", RUNS)
def test_runs_that_meet_the_assumptions_end_in_time(name, evidence):
    X, Y, network, size, copies, pick, phase = RUNS[name]
    c, eta = 3.0, 0.02 if X is TRIANGLE else 0.2
    parametric = None if phase is None else phase(X, Y)
    # h of the run is not known in advance: a first guess, verified below.
    bend = {"softplus": 0.1}.get(name, 0.5)
    run = s3d_theory.descend(
        network, X, Y, eta=eta, size=size, c=c, copies=copies, bend=bend, pick=pick,
        parametric=parametric,
    )  # fmt: skip
    known, allowed, T, sharper = judge(run, X, eta=eta, size=size, c=c, copies=copies)
    evidence(f"{name}: splits, T, sharper T", f"{run.nit}, {T:g}, {sharper:g}")
    evidence(f"{name}: T / splits", T / max(run.nit, 1))
    evidence(f"{name}: size, allowed", f"{size:g}, {allowed:.3g}")
    evidence(f"{name}: C of the splits", f"{run.constant.min():.3g} .. {run.constant.max():.3g}")
    evidence(f"{name}: h, largest |w|", f"{known.bend:.3g}, {np.abs(run.network.weights).max():g}")
    assert run.success and run.status == 0 and run.fun <= eta
    assert size <= allowed and known.bend >= bend and run.weight.min() >= 1
    assert 0 < run.nit <= sharper <= T
    assert len(run.network.theta) <= (copies - 1) * T + 1
    assert (run.radius >= known.rho_0(eta)).all()
    # Negative control: a hundredth of T is not enough.
    assert T / 100 < run.nit or name == "softplus"


@pytest.mark.statement("S3D-Thm-3.4", "S3D-Ass-3.1")
@pytest.mark.parametrize("name", ["triplets", "quartets", "skew"])
def test_every_split_of_a_run_gains_what_is_certain(name, evidence):
    X, Y, network, size, copies, pick, _ = RUNS[name]
    c, eta = 3.0, 0.02 if X is TRIANGLE else 0.2
    run = s3d_theory.descend(network, X, Y, eta=eta, size=size, c=c, copies=copies, pick=pick)
    known, _, _, _ = judge(run, X, eta=eta, size=size, c=c, copies=copies)
    change = np.diff(run.loss)
    taylor = 0.5 * size**2 * run.gain
    certain = size**2 * s3d_theory.kappa(c, copies) * known.rho_0(eta) / 4
    assert (change <= taylor + SAMPLED * run.constant * size**3 + 1e-14).all()
    assert (change <= -certain).all()
    evidence(f"{name}: least decrease over the certain one", float((-change).min() / certain))
    evidence(f"{name}: remainder over C eps^3, largest",
             float(((change - taylor) / (run.constant * size**3)).max()))  # fmt: skip
    # Lemma 3.2 along the run: rho >= |w| (2 L / alpha)^(1/2).
    floor = run.weight * np.sqrt(2 * run.loss[:-1] / known.alpha)
    assert (run.radius >= floor * (1 - 1e-9)).all()
    assert not (-change >= 100 * certain).all()  # Negative control.


@pytest.mark.statement("S3D-Ass-3.1", "S3D-Ass-3.3")
def test_the_bend_of_a_run_is_the_least_before_and_after_a_phase():
    # sigma'' = 1 - 0.3 sin z, at z = pi/2, and at -pi/2 after a phase that lowers the loss.
    X, Y, network = np.ones((1, 1)), np.array([[0.5]]), start(1, [1.0], 0.3, at=np.pi / 2)

    def phase(sign):
        return lambda net: net.with_arrays([sign * net.theta, net.weights])

    options = {"eta": 0.01, "size": 0.01, "most": 0}
    still, moved = (s3d_theory.descend(network, X, Y, parametric=p, **options)
                    for p in (phase(1), phase(-1)))  # fmt: skip
    assert moved.loss[0] < still.loss[0]
    assert still.bend.tolist() == moved.bend.tolist() == [pytest.approx(0.7)]
    # The other way round too: below the target, the phase from -pi/2 to pi/2 lowers the loss.
    back = s3d_theory.descend(moved.network, X, Y + 5, parametric=phase(-1), **options)
    assert back.loss[0] < losses.squared.value(moved.network(X), Y + 5)
    assert back.bend.tolist() == [pytest.approx(0.7)]
    assert s3d_theory.constants(moved.network, X).bend == pytest.approx(1.3)


# Where an assumption fails ----------------------------------------------------------------------


@pytest.mark.statement("S3D-Thm-3.4")
@pytest.mark.parametrize("c", [2.0, 2.9, 3.0])
def test_below_three_no_neuron_of_weight_one_is_left(c, evidence):
    # d = n = 1, f < y: the positive triplet has weights (c+1)/4, (c+1)/4, -(c-1)/2.
    network, X, Y = start(1, [1.0], 0.0), np.ones((1, 1)), np.ones((1, 1))
    eta, size = 0.05, 0.1
    run = s3d_theory.descend(network, X, Y, eta=eta, size=size, c=c, copies=3, pick="lightest")
    _, allowed, T, _ = judge(run, X, eta=eta, size=size, c=c, copies=3)
    evidence(f"c = {c}: splits, T, last loss", f"{run.nit}, {T:g}, {run.fun:.4g}")
    assert size <= allowed
    assert (run.status == 0) == (c >= 3)
    if c < 3:
        assert run.status == 2 and run.nit == 1 < T and run.fun > 5 * eta


@pytest.mark.statement("S3D-Thm-3.4", "S3D-Ass-3.1")
@pytest.mark.parametrize("case", ["lambda_X = 0", "h = 0"])
def test_where_errors_hide_the_algorithm_stops_at_once(case, evidence):
    if case == "h = 0":
        network, X, Y = start(1, [1.0], "sine"), np.ones((1, 1)), np.ones((1, 1))
    else:  # More samples than d (d + 1) / 2 = 1.
        network, X, Y = start(1, [1.0], 0.0), np.array([[1.0], [-1.0]]), np.array([[1.0], [-1.0]])
    run = s3d_theory.descend(network, X, Y, eta=0.1, size=0.1)
    evidence(f"{case}: splits, loss", f"{run.nit}, {run.fun:g}")
    assert run.status == 2 and run.nit == 0 and run.fun == 0.5


@pytest.mark.statement("S3D-Thm-3.4", "S3D-Ass-3.3")
def test_a_size_that_is_too_large_never_arrives(evidence):
    network, X, Y = start(1, [1.0], 0.0), np.ones((1, 1)), np.ones((1, 1))
    eta = 0.01
    for size, arrives in ((0.1, True), (1.1, False)):
        run = s3d_theory.descend(network, X, Y, eta=eta, size=size, pick="lightest", most=150)
        _, allowed, T, _ = judge(run, X, eta=eta, size=size, c=3.0, copies=3)
        evidence(f"size {size}: allowed, splits, T", f"{allowed:.3g}, {run.nit}, {T:g}")
        evidence(f"size {size}: least loss", run.loss.min())
        assert (size <= allowed) == arrives
        assert (run.success and run.nit <= T) == arrives
        assert arrives or (T < run.nit and run.loss.min() > eta)


@pytest.mark.statement("S3D-Ass-3.1", "S3D-Ass-3.3", "S3D-Thm-3.4")
def test_for_the_heaviest_neuron_no_size_may_satisfy_the_assumption(evidence):
    # d = n = 1, y < 0, triplets. The heaviest neuron is always the copy at rest, whose weight
    # doubles. C grows like w^2, so eps^2 <= sqrt(eta) 4^-(K-1) / 2 for K splits, which lower the
    # error by at most sqrt(eta) / 4. From e_0 > (sqrt(2) + 1/4) sqrt(eta) no size is allowed. (One
    # sample: the largest radius is the heaviest neuron's.)
    eta, found = 0.1, {}
    X, network = np.ones((1, 1)), start(1, [1.0], 0.0)
    for share in (1.65, 1.67):
        Y = np.array([[-share * np.sqrt(eta)]])
        for size in np.geomspace(0.1, 1.0, 120):
            run = s3d_theory.descend(network, X, Y, eta=eta, size=size, most=20)
            if run.success:
                _, allowed, _, _ = judge(run, X, eta=eta, size=size, c=3.0, copies=3)
                found[share] = max(found.get(share, 0.0), allowed / size)
                assert (run.weight == 2.0 ** np.arange(run.nit)).all()
        evidence(f"e_0 = {share} sqrt(eta): largest allowed size / size", found[share])
    assert found[1.67] < 1 <= found[1.65]


@pytest.mark.statement("S3D-Ass-3.1", "S3D-Ass-3.3", "S3D-Thm-3.4")
@pytest.mark.parametrize("first, eta, splits", [(2.0, 1.0, 6), (10.0, 0.1, 243), (2.0, 0.01, 150)])
def test_for_the_lightest_neuron_the_same_assumption_holds(first, eta, splits, evidence):
    # The same network. From the second split on two copies have the weight -1; eq 9 splits them
    # into -1, -1 and 1. C stays at 2 eps, so eps^2 = sqrt(eta) / 8 is allowed for ever.
    X, Y, network = np.ones((1, 1)), np.array([[-first]]), start(1, [1.0], 0.0)
    size = float(np.sqrt(np.sqrt(eta) / 8)) * (1 - 1e-9)
    run = s3d_theory.descend(network, X, Y, eta=eta, size=size, pick="lightest", most=2000)
    _, allowed, T, _ = judge(run, X, eta=eta, size=size, c=3.0, copies=3)
    evidence(f"e_0 = {first:g}, eta = {eta:g}: splits, T", f"{run.nit}, {T:g}")
    evidence(f"e_0 = {first:g}, eta = {eta:g}: allowed size / size", allowed / size)
    assert run.success and run.nit == splits <= T and size <= allowed
    assert run.weight[:2].tolist() == [1, 2] and (run.weight[2:] == 1).all()
    assert run.constant.max() <= SAMPLED * 2 * size
    # Negative control: the heaviest neuron each time, at the same size.
    heavy = s3d_theory.descend(network, X, Y, eta=eta, size=size, most=20)
    assert size > 10 * judge(heavy, X, eta=eta, size=size, c=3.0, copies=3)[1]


@pytest.mark.statement("S3D-Thm-3.4", "S3D-Ass-3.1")
def test_any_neuron_is_too_many_for_c_above_three(evidence):
    # Splitting the heaviest every time multiplies weights by (c + 1) / 4 and more: the loss is
    # infinite in the end, for every size tried. The lightest neurons keep the run in hand.
    network, eta, c = start(2, [1.0], "quadratic"), 0.02, 5.0
    for size in (0.1, 0.05, 0.03, 0.01):
        run = s3d_theory.descend(
            network, TRIANGLE, MIXED, eta=eta, size=size, c=c, copies=3, pick="largest", most=300
        )
        _, _, T, _ = judge(run, TRIANGLE, eta=eta, size=size, c=c, copies=3)
        evidence(f"size {size}: splits, T, status", f"{run.nit}, {T:g}, {run.message}")
        assert run.status == 3 and run.nit < T and run.fun > 1e10
    for size in (0.1, 0.03):
        run = s3d_theory.descend(
            network, TRIANGLE, MIXED, eta=eta, size=size, c=c, copies=3, pick="lightest"
        )
        assert run.success


# Without waste ----------------------------------------------------------------------------------


@pytest.mark.statement("S3D-rate", "S3D-rate-even-new")
@pytest.mark.parametrize("activation", [0.0, 0.3])
def test_quartets_of_their_own_size_need_a_logarithmic_number(activation, evidence):
    # Each split takes the size sqrt(kappa rho / (4 C_4)); C_4 is the largest of the run.
    network, c, copies = start(2, [1.0], activation), 3.0, 4
    known = s3d_theory.constants(network, TRIANGLE, 1 - activation)
    C, counts, etas = 0.3, [], (1e-2, 1e-4, 1e-6)
    first, splits, largest = losses.squared.value(network(TRIANGLE), MIXED), 0, 0.0
    assert first > etas[0]
    for eta in etas:
        while losses.squared.value(network(TRIANGLE), MIXED) > eta:
            S = s2d.splitting_matrices(network, TRIANGLE, MIXED, "squared")[0]
            unit = np.flatnonzero(np.isclose(np.abs(network.weights), 1))
            radius = np.abs(np.linalg.eigvalsh(S[unit])).max(axis=1)
            j = unit[np.argmax(radius)]
            size = float(np.sqrt(s3d_theory.kappa(c, copies) * radius.max() / (4 * C)))
            scheme = s3d.best_scheme(S[j], c, copies)
            split = growth.Split(0, int(j), scheme.weights, scheme.directions)
            largest = max(largest, s3d_theory.even_constant(network, split, TRIANGLE, MIXED, size))
            network = growth.apply(network, growth.Plan((split,), size, 0.0, 2, 4))
            splits += 1
        counts.append(splits)
        T = s3d_theory.even_splits_needed(known, first, eta, C, c, copies)
        evidence(f"k = {activation}, eta = {eta:g}: splits, T", f"{splits}, {T:g}")
        assert splits <= T
    evidence(f"k = {activation}: largest C_4 of the run", largest)
    assert largest <= C
    # Logarithmic in eta: two more decades cost no more than twice the first two.
    assert counts[2] - counts[1] <= 2 * (counts[1] - counts[0]) + 1
    # Theorem 3.4 at its own largest size: C = 4 C_4 eps along an even split.
    fixed = np.sqrt(s3d_theory.largest_size(known, etas[-1], 4 * C, c, copies))
    printed = s3d_theory.splits_needed(known, first, etas[-1], float(fixed), c, copies)
    evidence(f"k = {activation}: Theorem 3.4's T at 1e-6", printed)
    assert printed > 1000 * T


@pytest.mark.statement("S3D-rate")
@pytest.mark.parametrize("d", [4, 8, 16])
def test_orthonormal_samples_need_splits_in_proportion_to_their_number(d, evidence):
    # S = w E[(f - y) x x^T] has the samples as eigenvectors, and the errors of samples that no
    # neuron has met are their targets, all different: a split meets two new ones at most, and
    # gradient descent none. The unit vectors, because a long phase would make rounding grow.
    X, Y, eta, c = np.eye(d), np.linspace(1, 2, d)[:, None], 1 / 8, 3.0
    network, least = start(d, [1.0], 0.0), 3 * d / 8
    known, first = s3d_theory.constants(network, X), losses.squared.value(network(X), Y)
    # The order is the same for every d; the theorem's number is not.
    assert (known.samples / (known.inputs * eta)) ** 1.5 == pytest.approx(8**1.5)
    size = float(np.sqrt(np.sqrt(eta) / 8))  # The largest allowed: C = 2 eps / d.
    phase = relax(X, Y, steps=200, rate=1.0)
    for eps, copies, parametric in ((size, 3, None), (size, 3, phase), (size, 4, phase),
                                    (1.0, 3, None), (1.2, 3, None), (1.2, 4, None)):  # fmt: skip
        run = s3d_theory.descend(
            network, X, Y, eta=eta, size=eps, c=c, copies=copies, pick="lightest",
            parametric=parametric,
        )  # fmt: skip
        how = f"d = {d}, m = {copies}, size {eps:.2g}{', with phases' if parametric else ''}"
        _, allowed, T, _ = judge(run, X, eta=eta, size=eps, c=c, copies=copies)
        evidence(f"{how}: splits, at least, T", f"{run.nit}, {least}, {T:g}")
        assert run.success and run.nit >= least
        met = (np.abs(run.network.theta) > 1e-12).any(axis=0).sum()
        assert 3 * d / 4 <= met <= 2 * run.nit
        if parametric is None and eps == size:
            assert size <= allowed * SAMPLED and run.nit <= T
            assert T == pytest.approx(4 * d * (first - eta) / eps**2 * np.sqrt(8), abs=1)
    # Negative control: a start that is orthogonal to no sample needs no split at all.
    tilted = s3d_theory.descend(
        start(d, [1.0], 0.0, at=0.1), X, Y, eta=eta, size=size, parametric=phase
    )
    assert tilted.success and tilted.nit < least


# Theorem B.1 and Lemma B.2 ----------------------------------------------------------------------


@pytest.mark.statement("S3D-Thm-B.1")
@pytest.mark.parametrize("x, enough", [(2.0, False), (0.5, True)])
def test_the_printed_number_of_binary_splits(x, enough, evidence):
    # d = n = 1, z^2/2, c = 3: kappa_2 = 1/2, lambda_X = x^4, h = 1. C = x^4 eps / 2 for |w| = 1.
    X, Y, c, eta = np.array([[x]]), np.array([[2.0]]), 3.0, 1.0
    known = s3d_theory.constants(start(1, [1.0], 0.0), X)
    size = float(np.sqrt(s3d_theory.largest_size(known, eta, x**4 / 2, c, 2)))
    printed = int(s3d_theory.printed_binary_splits(known, 2.0, eta, size, c))
    T = int(s3d_theory.splits_needed(known, 2.0, eta, size, c, 2))
    evidence(f"x = {x}: size, printed T, needed T", f"{size:g}, {printed}, {T}")
    network = start(1, [1.0] * min(printed, T), 0.0)
    run = s3d_theory.descend(
        network, X, Y, eta=eta, size=size, c=c, copies=2, pick="lightest", most=printed
    )
    _, allowed, _, _ = judge(run, X, eta=eta, size=size, c=c, copies=2)
    assert size <= allowed * (1 + 1e-12)
    evidence(f"x = {x}: splits, loss", f"{run.nit}, {run.fun:.4g}")
    assert run.success == enough
    if enough:
        assert printed > 60 * T and run.nit <= T
    else:  # One neuron and one split, says the print: f = x^2 eps^2 / 2 = 1/8.
        assert printed == 1 and np.isclose(run.fun, (2 - 1 / 8) ** 2 / 2)
        assert s3d_theory.descend(
            start(1, [1.0] * T, 0.0), X, Y, eta=eta, size=size, c=c, copies=2, most=T
        ).success


@pytest.mark.statement("S3D-Thm-B.1", "S3D-B.1-remark")
@pytest.mark.parametrize(
    "copies, c, size, X, Y",
    [
        (2, 3.0, 0.25, TRIANGLE, MIXED),
        (3, 1.3, 0.15, np.ones((1, 1)), np.ones((1, 1))),
        (4, 2.0, 0.15, TRIANGLE, MIXED),
    ],
    ids=["binary", "triplets", "quartets"],
)
def test_runs_from_many_neurons_of_weight_one(copies, c, size, X, Y, evidence):
    d, first = X.shape[1], float((Y**2).mean()) / 2  # theta = 0 and sigma(0) = 0.
    eta = 0.6 * first
    known = s3d_theory.constants(start(d, [1.0], 0.0), X)
    T = int(s3d_theory.splits_needed(known, first, eta, size, c, copies))
    network = start(d, [(-1.0) ** i for i in range(T)], 0.0)
    run = s3d_theory.descend(
        network, X, Y, eta=eta, size=size, c=c, copies=copies, pick="lightest", most=T
    )
    _, allowed, _, sharper = judge(run, X, eta=eta, size=size, c=c, copies=copies)
    evidence(f"m = {copies}, c = {c}: splits, T, sharper T", f"{run.nit}, {T}, {sharper:g}")
    evidence(f"m = {copies}, c = {c}: size, allowed", f"{size}, {allowed:.3g}")
    assert size <= allowed and run.success and run.nit <= sharper <= T
    assert len(run.network.theta) <= T + (copies - 1) * T
    # From one neuron it stops: the offspring of a positive split are too light.
    few = s3d_theory.descend(
        start(d, [1.0], 0.0), X, Y, eta=eta, size=size, c=c, copies=copies, most=T
    )
    assert few.status == 2 and few.nit < run.nit


@pytest.mark.statement("S3D-Lem-B.2", "S3D-Thm-B.1", "S3D-Ass-3.1")
@pytest.mark.parametrize("k", [0.0, 0.1])
def test_a_run_whose_every_constant_is_known_before_it_starts(k, evidence):
    # Split neurons of |w| = 1 only, each once: C depends on the others through the loss alone, so
    # size, m_0 and T follow from the data, sigma and eta. No circle.
    X, Y, c, r = np.array([[1.0]]), np.array([[2.0]]), 3.0, 0.1
    # |sigma'(z)| <= |z| + k, and |z| <= r r_D.
    ell = s3d_theory.initial_loss_bound(X, Y, 2 * r + k, r)
    eta = ell / 2
    known = s3d_theory.constants(start(1, [1.0], k), X, 1 - k)

    def allowed(size):
        C = s3d_theory.constant_bound(X, ell, 1.0, size, c, 1 + k, k)
        return s3d_theory.largest_size(known, eta, C, c, 2)

    size = 1.0
    while size > allowed(size):
        size *= 0.98
    needed = int(s3d_theory.initial_neurons(known, ell, eta, size, c))
    printed = int(s3d_theory.printed_initial_neurons(known, ell, eta, size, c))
    network = start(1, np.ones(needed), k, at=r / needed)
    first = losses.squared.value(network(X), Y)
    run = s3d_theory.descend(
        network, X, Y, eta=eta, size=size, c=c, copies=2, bend=1 - k, pick="lightest", most=needed
    )
    evidence(f"k = {k}: ell_0, L_0, eta", f"{ell:.4g}, {first:.4g}, {eta:.4g}")
    evidence(
        f"k = {k}: size, m_0, printed m_0, splits", f"{size:.3g}, {needed}, {printed}, {run.nit}"
    )
    before = s3d_theory.constant_bound(X, ell, 1.0, size, c, 1 + k, k)
    evidence(f"k = {k}: C bound / measured", before / run.constant.max())
    assert first <= ell and run.success and run.nit <= needed
    assert size <= judge(run, X, eta=eta, size=size, c=c, copies=2)[1]
    assert run.bend.min() >= 1 - k - 1e-12
    # The printed m_0 makes no T: it promises fewer neurons than the splits that T allows.
    assert printed < s3d_theory.splits_needed(known, first, eta, size, c, 2) / 10


@pytest.mark.statement("S3D-Lem-B.2")
def test_the_printed_initial_neurons_are_used_up(evidence):
    # d = n = 1, x = 3, z^2/2: sizes as large as allowed; printed ell_0 and m_0 leave the loss up.
    x, y, c, r = 3.0, 3.0, 3.0, 0.01
    X, Y, eta = np.array([[x]]), np.array([[y]]), 1.0
    known = s3d_theory.constants(start(1, [1.0], 0.0), X)
    size = float(np.sqrt(s3d_theory.largest_size(known, eta, x**4 / 2, c, 2)))
    ell = s3d_theory.printed_initial_loss_bound(X, Y, r * x, r)
    printed = int(s3d_theory.printed_initial_neurons(known, ell, eta, size, c))
    true = s3d_theory.initial_loss_bound(X, Y, r * x, r)
    needed = int(s3d_theory.initial_neurons(known, true, eta, size, c))
    runs = {}
    for name, m in (("printed", printed), ("needed", needed)):
        network = start(1, np.ones(m), 0.0, at=r / m)
        runs[name] = s3d_theory.descend(
            network, X, Y, eta=eta, size=size, c=c, copies=2, pick="lightest", most=m
        )
        evidence(f"{name} m_0 = {m}: splits, loss", f"{runs[name].nit}, {runs[name].fun:.4g}")
    assert ell < 4.4 < losses.squared.value(network(X), Y) <= true
    assert runs["needed"].success
    assert not runs["printed"].success


# The driver -------------------------------------------------------------------------------------


def test_a_parametric_phase_may_not_change_weights_or_raise_the_loss():
    network = start(2, [1.0], 0.0)
    heavier = network.with_arrays([network.theta, 2 * network.weights])
    worse = network.with_arrays([network.theta + 3, network.weights])
    for result, message in ((heavier, "weights"), (worse, "raise the loss"), (None, "weights")):
        with pytest.raises(ValueError, match=message):
            s3d_theory.descend(
                network, TRIANGLE, MIXED, eta=0.02, size=0.1, parametric=lambda n, out=result: out
            )


def test_which_neuron_is_split():
    network = start(2, [1.0, -3.0, 0.5], 0.0)
    for pick, weight in (("largest", 3.0), ("smallest", 1.0), ("lightest", 1.0)):
        run = s3d_theory.descend(network, TRIANGLE, MIXED, eta=0.02, size=0.1, most=1, pick=pick)
        assert run.weight == [weight]
    # A flat lighter neuron and a bent heavier one.
    flat = network.with_arrays([np.array([[0.0, 0], [0.5, 1.0]]), np.array([2.0, 1.0])])
    for pick, weight in (("smallest", 2.0), ("largest", 1.0), ("lightest", 1.0)):
        sine = Shallow(flat.theta + 0.1, flat.weights, neurons.ridge("sine"))
        run = s3d_theory.descend(
            sine, TRIANGLE, MIXED, eta=0.02, size=0.1, most=1, pick=pick, bend=1e-6
        )
        assert run.weight == [weight]
    # An h larger than the network's makes a rho_0 that no neuron has.
    none = s3d_theory.descend(network, TRIANGLE, MIXED, eta=0.02, size=0.1, bend=100.0)
    assert none.status == 2 and none.nit == 0 and "rho_0" in none.message


def test_a_run_can_be_told_to_stop():
    network = start(2, [1.0], 0.0)
    run = s3d_theory.descend(network, TRIANGLE, MIXED, eta=0.02, size=0.1, most=2)
    assert (run.nit, run.status, len(run.loss), len(run.gain)) == (2, 1, 3, 2)
    none = s3d_theory.descend(network, TRIANGLE, MIXED, eta=10.0, size=0.1)
    assert none.nit == 0 and none.success and none.network is network
