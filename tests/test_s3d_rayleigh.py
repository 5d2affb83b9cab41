"""S3D, appendix C.3 and Computational Cost: eigenpairs by descent on the Rayleigh quotient.

The paper gives no step. What is true of v <- v - t grad R(v), v <- v / |v|: in the eigenbasis the
share of u_i is multiplied by 1 - 2 t (lam_i - R), against 1 + 2 t (R - lam_min) >= 1 for u_min.
With lam_min <= R, t < 1 / (lam_max - lam_min) makes every ratio smaller than one from any start;
beyond it the ratio of u_max at v_min itself, |1 - 2 t (lam_max - lam_min)|, is above one.
"""

import tracemalloc

import numpy as np
import oracles
import pytest
import strategies
from examples import deep_problem, shallow_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from test_s2d_algorithm import Counted, counted, products_to_reduce

from refgrow import activations, kernels, losses, networks, numerics, s2d, s3d

EXACT = 1e-12  # identities in float64 between numbers of order one
FOUND = 1e-6  # an eigenvalue after descent; its error is the square of the residual's
RATE = 0.02  # a measured rate of convergence may be off by this share


def products_with(S):
    return lambda V: np.einsum("mkl,ml->mk", S, V)


def generic(m, d, seed=0):
    return np.random.default_rng(seed).normal(size=(m, d))


def spread_spectra(m, d, seed=0):
    """Matrices of all scales with random spectra of either sign or both, no gap too small."""
    rng = np.random.default_rng(seed)
    spectra = np.linspace(-1, 1, d) + rng.uniform(-0.7, 0.7, (m, d)) / d + rng.normal(size=(m, 1))
    scales = 10.0 ** np.linspace(-3, 3, m)
    return np.array(
        [k * strategies.with_spectrum(s, rng) for k, s in zip(scales, spectra, strict=True)]
    )


def extreme(S):
    values = np.linalg.eigvalsh(S)
    return values[..., 0], values[..., -1]


# Which steps converge ----------------------------------------------------------------------------


@pytest.mark.statement("S3D-C.3-RQ")
@pytest.mark.parametrize("ascent", [False, True])
def test_c_3_a_step_is_the_gradient_of_the_quotient(ascent, evidence):
    """By the complex step, from starts of any length, with and without normalisation."""
    S = strategies.with_spectrum([-2.0, 0.5, 3.0], np.random.default_rng(0))

    def quotient(v):
        return v @ S @ v / (v @ v)

    for length in (0.1, 1.0, 30.0):
        v = length * generic(1, 3, seed=2)[0]
        for normalise in (False, True):
            at = v / np.linalg.norm(v) if normalise else v
            gradient = numerics.complex_step(quotient, at)
            after = at + (1 if ascent else -1) * 0.07 * gradient
            options = {"steps": 1, "tol": 0.0, "ascent": ascent, "normalise": normalise}
            found = s3d.rayleigh_descent(products_with(S[None]), v[None], 0.07, **options)
            error = abs(found.eigenvalues[0] - quotient(after))
            evidence.worst("error of the quotient after a step", error)
            assert error < EXACT and abs(found.history[0, 0] - quotient(v)) < EXACT
            after /= np.linalg.norm(after)
            residual = np.linalg.norm(S @ after - quotient(after) * after)
            assert abs(found.residuals[0] - residual) < EXACT


@pytest.mark.statement("S3D-C.3-RQ")
@pytest.mark.parametrize("ascent", [False, True])
def test_c_3_converges_below_the_edge_and_not_above(ascent, evidence):
    S = spread_spectra(12, 6)
    low, high = extreme(S)
    edge = s3d.largest_rayleigh_step(low, high)
    assert np.allclose(edge * (high - low), 1, rtol=EXACT, atol=0)
    wanted, radius = high if ascent else low, np.abs([low, high]).max(axis=0)

    def error(factor):
        found = s3d.rayleigh_descent(
            products_with(S), generic(12, 6), factor * edge, steps=1500, tol=1e-8, ascent=ascent
        )
        return np.abs(found.eigenvalues - wanted) / radius, found

    for factor in (0.05, 0.3, 0.9, 0.99):
        errors, found = error(factor)
        evidence(f"error at {factor} of the edge", errors.max())
        assert errors.max() < FOUND and found.success and found.status == 0
        assert (found.residuals <= 1e-8 * radius).all()
    for factor in (1.01, 1.2, 3.0):
        errors, found = error(factor)
        evidence(f"smallest error at {factor} of the edge", errors.min())
        # Nobody arrives: of every matrix the wanted vector repels.
        assert errors.min() > 1e-4 and not found.success and found.status == 1
        assert found.nit == 1500 and found.message == "All steps were taken."


@pytest.mark.statement("S3D-C.3-RQ")
def test_c_3_the_wanted_vector_attracts_and_repels(evidence):
    # By hand: diag(0, 1) and (1, s): a step t takes s to (1 - 2 t) s, up to s^3.
    for t in (0.2, 0.9, 1.1):
        found = s3d.rayleigh_descent(
            products_with(np.diag([0.0, 1.0])[None]), [[1.0, 1e-4]], t, steps=1, tol=0.0
        )
        assert abs(found.vectors[0, 1] / found.vectors[0, 0] - (1 - 2 * t) * 1e-4) < 1e-11
    spectrum = np.array([-2.0, 0.5, 1.0, 3.0])
    S, edge = np.diag(spectrum)[None], 1 / 5
    for factor in (0.9, 0.99, 1.01, 1.1):
        t, share = factor * edge, 1e-6
        start = np.array([[1.0, 0.0, 0.0, share]])
        found = s3d.rayleigh_descent(products_with(S), start, t, steps=5, tol=0.0)
        v = found.vectors[0]
        growth = abs(v[3] / v[0] / share) ** (1 / 5)
        evidence(f"growth of the share of v_max at {factor} of the edge", growth)
        assert abs(growth - abs(1 - 2 * t * 5)) < 1e-9
        assert (growth < 1) == (factor < 1)
    # Above it, the end is a swing between two vectors: with only u_min and u_max the ratio of the
    # shares is (1 - tau (1 - s)) / (1 + tau s), tau = 2 t (lam_max - lam_min) and s the square of
    # the share of u_max, and that is -1 at s = 1/2 - 1/tau.
    tau = 2.4
    found = s3d.rayleigh_descent(
        products_with(S), [[1.0, 0.0, 0.0, 1e-3]], tau / 10, steps=500, tol=0.0
    )
    share = found.vectors[0, 3] ** 2
    evidence("share of v_max above the edge", share)
    evidence("its prediction", 0.5 - 1 / tau)
    assert abs(share - (0.5 - 1 / tau)) < EXACT and abs(found.vectors[0, 1]) < EXACT
    # At it, the ratio is (1 - 2 s) / (1 + 2 s): it converges still, but as slowly as 1 / sqrt(8 k).
    found = s3d.rayleigh_descent(
        products_with(S), [[1.0, 0.0, 0.0, 0.3]], edge, steps=4000, tol=0.0
    )
    tangent = abs(found.vectors[0, 3] / found.vectors[0, 0])
    evidence("tangent after 4000 steps at the edge, times sqrt(8 k)", tangent * np.sqrt(8 * 4000))
    assert abs(tangent * np.sqrt(8 * 4000) - 1) < 0.01
    # The other eigenvectors repel below the edge as well: only v_min is an end.
    for k in (1, 2, 3):
        start = np.zeros((1, 4))
        start[0, [k, 0]] = 1.0, 1e-6
        found = s3d.rayleigh_descent(products_with(S), start, 0.9 * edge, tol=1e-10)
        assert found.history[0, 0] == pytest.approx(spectrum[k]) and found.success
        assert abs(found.eigenvalues[0] + 2) < EXACT


@pytest.mark.statement("S3D-C.3-RQ")
@settings(max_examples=40)
@given(
    strategies.symmetric_matrices(strategies.spectra(largest=6)),
    strategies.generators,
    st.sampled_from([0.1, 0.5, 0.9, 0.999]),
    st.booleans(),
)
def test_c_3_every_step_below_the_edge_helps(evidence, drawn, rng, factor, ascent):
    """From any start the quotient falls, and the shares of the others shrink, at every step.

    |1 - 2 t (lam_i - R)| is above one for lam_i < R and below one for lam_i > R, as
    lam_i - R < 1 / t: the lower half gains on the upper one.
    """
    S, spectrum = drawn
    spread = spectrum[-1] - spectrum[0]
    edge = s3d.largest_rayleigh_step(spectrum[0], spectrum[-1])
    if not spread > 1e-3:
        return
    _, vectors = np.linalg.eigh(-S if ascent else S)
    order = -spectrum[::-1] if ascent else spectrum
    V = rng.normal(size=(1, len(S))) * 10.0 ** rng.uniform(-6, 6)
    share = np.inf
    for _ in range(8):
        found = s3d.rayleigh_descent(
            products_with(S[None]), V, factor * edge, steps=1, tol=0.0, ascent=ascent
        )
        fall = found.history[-1, 0] - found.history[0, 0]
        assert (-fall if ascent else fall) <= 1e-10 * np.abs(spectrum).max()
        # All eigenvectors of the smallest eigenvalue count as the wanted ones.
        parts = (found.vectors @ vectors)[0] ** 2
        wanted = order - order[0] <= 1e-9 * spread
        others = parts[~wanted].sum() / max(parts[wanted].sum(), 1e-300)
        if others < 1e-20:
            break
        evidence.worst("growth of the others' share in a step", others / share)
        assert others <= share * (1 + 1e-6)
        V, share = found.vectors, others


@pytest.mark.statement("S3D-C.3-RQ")
def test_c_3_rate_follows_the_gap(evidence):
    """Near the end the distance shrinks by max |1 - 2 t (lam_i - lam_min)| a step."""
    for gap in (0.5, 0.1, 0.02):
        spectrum = np.array([-1.0, -1.0 + gap, 0.2, 1.0])
        S = strategies.with_spectrum(spectrum, np.random.default_rng(1))[None]
        t = 0.5 * s3d.largest_rayleigh_step(-1.0, 1.0)
        steps = int(8 / (2 * t * gap))
        found = s3d.rayleigh_descent(products_with(S), generic(1, 4), t, steps=steps, tol=0.0)
        above = found.history[steps // 2 :, 0] + 1.0
        above = above[above > 1e-12]
        rate = (above[-1] / above[0]) ** (0.5 / (len(above) - 1))  # the quotient errs by the square
        expected = 1 - 2 * t * gap
        evidence(f"rate at gap {gap}, and the prediction", (round(rate, 4), round(expected, 4)))
        assert abs(np.log(rate) / np.log(expected) - 1) < RATE
    # The steps to a tolerance grow as one over the gap; a tenth of the gap, ten times the steps.
    counts = []
    for gap in (0.1, 0.01):
        S = np.diag([-1.0, -1.0 + gap, 1.0])[None]
        found = s3d.rayleigh_descent(
            products_with(S), np.ones((1, 3)), 0.25, steps=20_000, tol=1e-6
        )
        assert found.success
        counts.append(found.nit)
    evidence(steps_at_gaps_of_a_tenth_and_a_hundredth=counts)
    assert 7 < counts[1] / counts[0] < 13


@pytest.mark.statement("S3D-C.3-RQ")
def test_c_3_ties_clusters_and_zero(evidence):
    S = np.array(
        [
            np.diag([-1.0, -1.0, 0.5, 1.0]),  # a tie
            np.diag([-1.0, -1.0 + 1e-7, 0.5, 1.0]),  # a cluster
            2.0 * np.eye(4),
            -2.0 * np.eye(4),
            np.zeros((4, 4)),
        ]
    )
    low, high = extreme(S)
    edge = s3d.largest_rayleigh_step(low, high)
    assert np.isinf(edge[2:]).all()  # every vector is an eigenvector
    steps = np.where(np.isinf(edge), 1.0, 0.9 * edge)
    start = generic(5, 4)
    found = s3d.rayleigh_descent(products_with(S), start, steps, tol=1e-7)
    evidence(errors=(found.eigenvalues - low).tolist(), nit=found.nit)
    assert found.success and np.abs(found.eigenvalues - low).max() < 1e-6
    # With a tie, the end is the projection of the start on the eigenspace.
    projected = start[0] * [1, 1, 0, 0] / np.linalg.norm(start[0, :2])
    assert np.abs(found.vectors[0] - np.sign(projected[0]) * projected).max() < 1e-6
    alone = s3d.rayleigh_descent(products_with(S[2:]), start[2:], 1.0)
    assert alone.nit <= 1 and alone.success


@pytest.mark.statement("S3D-C.3-RQ")
def test_c_3_without_normalisation_any_step_converges(evidence):
    S = np.diag([-2.0, 0.5, 1.0, 3.0])[None]
    edge, start = 1 / 5, generic(1, 4)
    seen = []

    def watched(V):
        seen.append(np.linalg.norm(V))
        return products_with(S)(V)

    for factor in (0.5, 2.0, 20.0):
        seen.clear()
        found = s3d.rayleigh_descent(
            watched, start, factor * edge, steps=20_000, tol=1e-7, normalise=False
        )
        evidence(
            f"steps, and growth of |v|, at {factor} of the edge", (found.nit, seen[-1] / seen[0])
        )
        assert found.success and abs(found.eigenvalues[0] + 2) < FOUND
        assert (np.diff(seen) >= -EXACT * seen[-1]).all() and seen[-1] > seen[0]
        assert abs(np.linalg.norm(found.vectors[0]) - 1) < EXACT
        # |v|^2 grows until the step is below the edge in the sense of the normalised descent.
        assert factor * edge / seen[-1] ** 2 < edge
    # Negative control: normalised, the larger steps do not converge.
    found = s3d.rayleigh_descent(products_with(S), start, 2 * edge, steps=5000, tol=1e-7)
    assert not found.success and found.eigenvalues[0] > -1.9


@pytest.mark.statement("S3D-C.3-RQ")
def test_c_3_without_normalisation_any_step_of_any_matrix_converges(evidence):
    """Steps of 0.1 to 100 times the edge; normalised, those beyond it do not arrive."""
    S = spread_spectra(60, 5, seed=3)
    low, high = extreme(S)
    radius = np.abs([low, high]).max(axis=0)
    rng = np.random.default_rng(4)
    start = rng.normal(size=(60, 5))
    factors = np.concatenate([np.geomspace(0.1, 100, 40), 1.01 * np.ones(20)])
    beyond = factors > 1
    steps = factors * s3d.largest_rayleigh_step(low, high)
    # |v| grows to sqrt(factor) about, so the number of steps does not depend on the factor.
    for ascent, wanted in ((False, low), (True, high)):
        free, tied = (
            s3d.rayleigh_descent(
                products_with(S), start, steps, steps=4000, tol=1e-8,
                ascent=ascent, normalise=normalise,
            )
            for normalise in (False, True)
        )  # fmt: skip
        assert free.success and (np.abs(free.eigenvalues - wanted) <= FOUND * radius).all()
        errors = np.abs(tied.eigenvalues - wanted) / radius
        evidence("steps without normalisation, of 4000", free.nit)
        evidence("least error beyond the edge and largest below it, normalised",
                 (errors[beyond].min(), errors[~beyond].max()))  # fmt: skip
        assert errors[beyond].min() > 1e-4 and errors[~beyond].max() < FOUND


@pytest.mark.statement("S3D-C.3-RQ")
@pytest.mark.parametrize("ascent", [False, True])
def test_c_3_a_wanted_eigenvalue_of_zero_ends_the_descent(ascent, evidence):
    """The tolerance is a share of the largest quotient so far: one of zero would never do."""
    spectrum = np.array([0.0, 1.0, 3.0]) * (-1 if ascent else 1)
    rng = np.random.default_rng(0)
    S = np.array([np.diag(spectrum), strategies.with_spectrum(spectrum, rng)])
    found = s3d.rayleigh_descent(
        products_with(S), generic(2, 3), 0.25, steps=500, tol=1e-6, ascent=ascent
    )
    evidence(nit=found.nit, eigenvalues=found.eigenvalues.tolist())
    assert found.success and found.nit < 500 and np.abs(found.eigenvalues).max() < 1e-11
    # The scale is there from the first step on, and each neuron has its own.
    largest = np.abs(found.history).max(axis=0)
    assert (largest > 0.1).all() and (found.residuals <= 1e-6 * largest).all()
    # Negative control: against the last quotient the residuals are large.
    assert (found.residuals > np.abs(found.eigenvalues)).all()
    scaled = np.array([[[1.0]], [[1e-3]]]) * S[:1]
    both = s3d.rayleigh_descent(products_with(scaled), generic(1, 3).repeat(2, axis=0),
                                [0.25, 250.0], steps=500, tol=1e-6, ascent=ascent)  # fmt: skip
    assert both.success and np.isclose(*(both.residuals * [1, 1e3]), rtol=1e-6, atol=0)


def test_the_largest_step_does_not_overflow():
    assert s3d.largest_rayleigh_step(-1e308, 1e308) == pytest.approx(5e-309, rel=1e-9, abs=0)
    assert s3d.largest_rayleigh_step(1e308, 1e308) == np.inf
    assert s3d.largest_rayleigh_step(-1e-300, 3e-300) == pytest.approx(2.5e299)
    assert s3d.largest_rayleigh_step([-1.0, -2.0], 2.0).tolist() == [1 / 3, 0.25]


@pytest.mark.statement("S3D-C.3-RQ")
def test_c_3_a_start_without_the_wanted_vector_does_not_find_it(evidence):
    S = np.diag([-3.0, -1.0, 0.5, 2.0])[None]
    found = s3d.rayleigh_descent(products_with(S), [[0.0, 1.0, 1.0, 1.0]], 0.15)
    evidence(eigenvalue_found=found.eigenvalues[0], smallest=-3.0)
    assert found.success and abs(found.eigenvalues[0] + 1) < FOUND and found.vectors[0, 0] == 0
    # An eigenvector is the worst of starts: it is an end that no descent leaves.
    still = s3d.rayleigh_descent(products_with(S), [[0.0, 0.0, 0.0, 5.0]], 0.15)
    assert still.nit == 0 and still.success and still.eigenvalues[0] == 2
    # A millionth of the wanted vector is enough.
    found = s3d.rayleigh_descent(products_with(S), [[1e-6, 1.0, 1.0, 1.0]], 0.15)
    assert abs(found.eigenvalues[0] + 3) < FOUND
    # The kernel that growing uses starts with an entry for every feature.
    X = np.eye(4)
    low, *_ = kernels.extreme_eigenpairs(np.array([[-3.0, -1.0, 0.5, 2.0]]), X)
    assert abs(low[0] + 3) < EXACT


@pytest.mark.statement("S3D-C.3-RQ")
@pytest.mark.parametrize("kind", ["tanh", "deep"])
def test_c_3_agrees_with_eigh_on_networks(kind, evidence):
    """Both ends of all neurons of a layer at once, by products alone."""
    case = shallow_problem("ridge(tanh)", m=5, d=4, n=20, outputs=2)
    if kind == "deep":
        case = deep_problem((2, 4, 3), n=20, seed=1)
    for (C, X), S in zip(weights_and_inputs(*case), s2d.splitting_matrices(*case), strict=True):
        low, high = extreme(S)
        t = 0.9 * s3d.largest_rayleigh_step(low, high)
        for ascent, wanted in ((False, low), (True, high)):
            found = s3d.rayleigh_descent(
                lambda V, C=C, X=X: s3d.splitting_products(C, X, V),
                generic(*S.shape[:2]), t, steps=5000, tol=1e-5, ascent=ascent,
            )  # fmt: skip
            error = (np.abs(found.eigenvalues - wanted) / np.abs([low, high]).max(axis=0)).max()
            evidence.worst("largest error, relative to the spectral radius", error)
            assert found.success and error < FOUND
            assert found.history.shape == (found.nit + 1, len(S))
            assert np.abs(np.linalg.norm(found.vectors, axis=1) - 1).max() < EXACT
            Sv = np.einsum("mkl,ml->mk", S, found.vectors)
            residuals = np.linalg.norm(Sv - found.eigenvalues[:, None] * found.vectors, axis=1)
            assert np.abs(residuals - found.residuals).max() < EXACT


def test_refusals():
    S = np.eye(2)[None]
    good = products_with(S)
    for arguments, options, message in (
        ((good, [[0.0, 0.0]], 0.1), {}, "start must have no row of zeros; row 0 is zero"),
        ((good, [1.0, 0.0], 0.1), {}, r"start must be 2-D with shape \(m, d\)"),
        ((good, [[1.0, 0.0]], 0.0), {}, "step must be above 0; got 0"),
        ((good, [[1.0, 0.0]], [-0.1]), {}, "step must be above 0; got -0.1"),
        ((good, [[1.0, 0.0]], np.inf), {}, "step must be finite"),
        ((good, [[1.0, 0.0]], [0.1, 0.1]), {}, "step"),
        ((good, [[1.0, 0.0]], 0.1), {"steps": -1}, "steps must be an integer >= 0"),
        ((good, [[1.0, 0.0]], 0.1), {"tol": -1.0}, "tol must be a finite number >= 0"),
        ((lambda V: V[:, :1], [[1.0, 0.0]], 0.1), {}, r"product\(V\) must have shape \(1, 2\)"),
        ((lambda V: V * np.nan, [[1.0, 0.0]], 0.1), {}, r"product\(V\) must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            s3d.rayleigh_descent(*arguments, **options)
    for options in ({"ascent": "up"}, {"normalise": 2.0}):
        with pytest.raises(TypeError, match=next(iter(options))):
            s3d.rayleigh_descent(good, [[1.0, 0.0]], 0.1, **options)
    with pytest.raises(ValueError, match="lam_min must not be above lam_max; got 2 and 1"):
        s3d.largest_rayleigh_step([0.0, 2.0], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"C must have shape \(m, 3\)"):
        s3d.splitting_products(np.ones((2, 4)), np.ones((3, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"V must have shape \(2, 2\)"):
        s3d.splitting_products(np.ones((2, 3)), np.ones((3, 2)), np.ones((3, 2)))


def test_the_start_is_left_alone():
    start = generic(2, 3)
    copy = start.copy()
    start.flags.writeable = False
    s3d.rayleigh_descent(products_with(spread_spectra(2, 3)), start, 1e-4, steps=3)
    assert np.array_equal(start, copy)


# Products with a vector --------------------------------------------------------------------------


def weights_and_inputs(network, X, Y, loss):
    """C and X of `splitting_products`, layer by layer: S_j = X^T diag(c_j) X."""
    trace, _, of_slope = networks.backpropagate(network, X, Y, losses.get(loss))
    activation = (
        network.neuron.activation if isinstance(network, networks.Shallow) else network.activation
    )
    bend = activations.second_derivative(activations.get(activation), "this test")
    pairs = []
    for Z, H, slope in zip(trace.states, trace.inputs, of_slope, strict=False):
        if isinstance(network, networks.Shallow):
            Z, H = X @ network.theta.T, X
        pairs.append(((slope * bend(Z)).T, H))
    return pairs


@pytest.mark.statement("S3D-C.3-Sv")
@pytest.mark.parametrize("m, n, d", [(1, 1, 1), (3, 5, 2), (2, 3, 9), (4, 40, 17)])
def test_c_3_products_are_those_of_the_formed_matrices(m, n, d, evidence):
    rng = np.random.default_rng(m)
    C, X, V = rng.normal(size=(m, n)), rng.normal(size=(n, d)), rng.normal(size=(m, d))
    naive = np.zeros((m, d))
    for j in range(m):
        for l in range(n):
            naive[j] += C[j, l] * X[l] * sum(X[l][k] * V[j][k] for k in range(d))
    formed = np.einsum("mkl,ml->mk", kernels.weighted_grams(C, X), V)
    products = s3d.splitting_products(C, X, V)
    error = max(np.abs(products - naive).max(), np.abs(products - formed).max())
    evidence(largest_error=error)
    assert error <= EXACT * n * d
    # Negative control: without the weights, or with another neuron's vector.
    assert np.abs(s3d.splitting_products(np.ones_like(C), X, V) - naive).max() > 1e-3
    assert m == 1 or np.abs(s3d.splitting_products(C, X, V[::-1]) - naive).max() > 1e-3


@pytest.mark.statement("S3D-C.3-Sv")
@settings(max_examples=25)
@given(
    strategies.problems(
        strategies.shallow_networks(families=strategies.RIDGES) | strategies.mlps(depths=(2, 4))
    ),
    strategies.generators,
)
def test_c_3_products_of_any_network(evidence, problem, rng):
    stacks = s2d.splitting_matrices(*problem)
    for (C, X), S in zip(weights_and_inputs(*problem), stacks, strict=True):
        V = rng.normal(size=S.shape[:2])
        error = np.abs(s3d.splitting_products(C, X, V) - np.einsum("mkl,ml->mk", S, V)).max()
        size = max(1.0, np.abs(C).max() * np.abs(X).max() ** 2 * len(X))
        evidence.worst("largest error, relative to its terms", error / size)
        assert error <= EXACT * size * S.shape[1]


@pytest.mark.statement("S3D-C.3-Sv")
def test_c_3_products_by_differentiation(evidence):
    """As the paper has it: S_j v_j is the derivative of the slope along v_j, at fixed Phi'.

    With F(u) = sum_j mean_l Phi'_j(x_l) sigma((theta_j + u_j) . x_l) and Phi' frozen, S_j is the
    Hessian of F, so that one derivative along v for all neurons together gives every S_j v_j: the
    blocks between neurons are zero. The complex step needs no second derivative by hand.
    """
    network, X, Y, loss = shallow_problem("ridge(tanh)", m=3, d=2, n=7)
    sensitivity = (network(X) - Y) * network.weights / len(X)  # (n, m)
    V = generic(3, 2)

    def slope(size):
        Z = X @ (network.theta + size * V).T
        return (sensitivity * (1 - oracles.ACTIVATIONS["tanh"](Z) ** 2)).T @ X

    traced = slope(1e-30j).imag / 1e-30
    [(C, H)] = weights_and_inputs(network, X, Y, loss)
    error = np.abs(s3d.splitting_products(C, H, V) - traced).max()
    evidence(largest_error=error)
    assert error < EXACT
    # Negative control: the derivative of the gradient of the loss, Phi' not frozen, is the Hessian.
    direction = [V, np.zeros_like(network.weights)]
    hessian = networks.hessian_product(network, X, Y, loss, direction)[0]
    assert np.abs(hessian - traced).max() > 1e-2


# Computational cost ------------------------------------------------------------------------------


def products_counted(monkeypatch, m, n, d):
    """Multiplications of one call of `splitting_products`."""
    rng = np.random.default_rng(0)
    C, X, V = (counted(rng.normal(size=s)) for s in ((m, n), (n, d), (m, d)))
    with monkeypatch.context() as patch:
        patch.setattr(s3d.validation, "as_array", lambda array, *_: array)
        Counted.count = 0
        s3d.splitting_products(C, X, V)
    return Counted.count


@pytest.mark.statement("S3D-Cost")
def test_cost_of_a_product_of_all_neurons(monkeypatch, evidence):
    """2 m n d + m n multiplications: linear in d for each sample, not quadratic."""
    for m, n, d in ((1, 1, 1), (2, 3, 5), (4, 6, 8), (3, 9, 2)):
        assert products_counted(monkeypatch, m, n, d) == 2 * m * n * d + m * n
    evidence(for_2_neurons_3_samples_5_parameters=products_counted(monkeypatch, 2, 3, 5))
    # One neuron with one parameter and 100 samples: m d^2 is one.
    assert products_counted(monkeypatch, 1, 100, 1) == 300
    # O(m d^2) without the number of samples is a bound neither above nor below: it is passed as
    # soon as n > d, and far from reached for a few samples.
    assert products_counted(monkeypatch, 2, 64, 4) > 10 * 2 * 4**2
    assert products_counted(monkeypatch, 2, 1, 64) < 0.1 * 2 * 64**2


@pytest.mark.statement("S3D-Cost")
def test_cost_the_exact_way_is_cubic_once_formed(evidence):
    # At larger d it is 3 within a tenth: S2D-Cost.
    order = np.log2(products_to_reduce(24) / products_to_reduce(12))
    evidence(order_in_d_of_the_eigenproblem=order)
    assert abs(order - 3) < 0.25


@pytest.mark.statement("S3D-Cost")
def test_cost_depends_on_the_gap(monkeypatch, evidence):
    """Descent needs about spread / gap steps; each costs as much as the pass over the data."""
    d = 16
    dense = products_to_reduce(d) + d * d * (d + 1) // 2  # n = d samples: forming, and Householder
    step = products_counted(monkeypatch, 1, d, d)
    multiples = {}
    for gap in (1.0, 0.1, 0.01):
        spectrum = np.linspace(0.0, 1.0, d)
        spectrum[0], spectrum[1] = -1.0, -1.0 + gap
        S = strategies.with_spectrum(spectrum, np.random.default_rng(0))[None]
        t = 0.5 * s3d.largest_rayleigh_step(-1.0, 1.0)
        found = s3d.rayleigh_descent(products_with(S), np.ones((1, d)), t, steps=9999, tol=1e-4)
        assert found.success
        multiples[gap] = found.nit * step / dense
    evidence("multiplications of descent over those of the exact way, by gap",
             {gap: round(m, 2) for gap, m in multiples.items()})  # fmt: skip
    assert multiples[0.01] > 5 * multiples[0.1] and multiples[0.01] > 10


@pytest.mark.statement("S3D-Cost")
def test_cost_in_space(evidence):
    """No array of d^2 numbers: m n + m d at a time, where the matrices are m d^2."""
    m, n, d = 4, 50, 600
    rng = np.random.default_rng(0)
    C, X, V = rng.normal(size=(m, n)), rng.normal(size=(n, d)), rng.normal(size=(m, d))

    def peak(function, *arguments):
        tracemalloc.start()
        function(*arguments)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    descent = peak(
        lambda: s3d.rayleigh_descent(lambda V: s3d.splitting_products(C, X, V), V, 1e-4, steps=3)
    )
    formed = peak(kernels.weighted_grams, C, X)
    evidence(bytes_of_descent=descent, bytes_of_the_matrices=8 * m * d * d)
    assert descent < 8 * (8 * m * d + 4 * m * n) + 20_000  # objects of Python
    # Negative control: forming them is seen.
    assert formed >= 8 * m * d * d > 50 * descent
