"""Both ends of every neuron's spectrum, against decompositions of naive matrices."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from strategies import generators, rotation

from refgrow import kernels

# In spectral radii. Two decompositions of matrices up to 300 x 300, formed in different order.
ROUNDING = 1e-12
# v_min against v_max; promised.
PARALLEL = 1e-8
# Unit vectors.
UNIT = 1e-13
TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10)


def naive_matrices(C, X):
    return np.einsum("jl,la,lb->jab", C, X, X)


WAYS = {
    # Nothing is formed, however small, until it fails; every step there is may be taken.
    "matrix-free": {
        "_STACKED": 1,
        "_LEAST_STEPS": 0,
        "_JUDGED": 10**9,
        "_MOST_STEPS": 10**9,
        "_LOOPED": 0,
    },
    # Given up after three steps, so that most are redone.
    "fallback": {"_STACKED": 1, "_LEAST_STEPS": 0, "_MOST_STEPS": 3},
    # Given up as soon as it may be.
    "impatient": {"_STACKED": 1, "_LEAST_STEPS": 0, "_JUDGED": 4, "_PACKING": 1e9, "_LOOP": 1e9},
    "reduction": {"_STACKED": 1, "_LEAST_STEPS": np.inf},
    "stack": {"_STACKED": 1000},
    "few at a time": {
        "_STACKED": 1,
        "_LEAST_STEPS": 0,
        "_BASIS": 1,
        "_MATRICES": 1,
        "_SAMPLES": 20,
    },
    "as it comes": {},
}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    take(monkeypatch, request.param)
    return request.param


def take(patch, name):
    for constant, value in WAYS[name].items():
        patch.setattr(kernels, constant, value)


def formed_by(patch):
    """A list that will hold how many matrices were formed, call by call."""
    formed, grams = [], kernels._grams
    patch.setattr(kernels, "_grams", lambda C, X: formed.append(len(C)) or grams(C, X))
    return formed


def assert_extreme(found, C, X, tol):
    """Residuals within tol spectral radii and eigenvalues that are the extreme ones."""
    lam_min, v_min, lam_max, v_max = found
    m, d = len(C), X.shape[1]
    assert lam_min.shape == lam_max.shape == (m,) and v_min.shape == v_max.shape == (m, d)
    S = naive_matrices(C, X)
    values = np.linalg.eigvalsh(S)
    radius, aim = np.abs(values).max(axis=1), max(tol, ROUNDING)
    for lam, v, true in ((lam_min, v_min, values[:, 0]), (lam_max, v_max, values[:, -1])):
        residual = np.linalg.norm(np.einsum("jab,jb->ja", S, v) - lam[:, None] * v, axis=1)
        assert (residual <= aim * radius).all()
        assert (np.abs(lam - true) <= aim * radius).all()
        assert (np.abs(np.linalg.norm(v, axis=1) - 1) <= UNIT).all()
        size = np.abs(v)
        first = (size > 1e-8 * size.max(axis=1, keepdims=True)).argmax(axis=1)
        assert (v[np.arange(m), first] > 0).all()
    if d > 1:
        assert (np.abs((v_min * v_max).sum(axis=1)) <= PARALLEL).all()


def of_spectra(spectra, Q):
    """C and X with S_j = Q diag(spectra[j]) Q^T, realised exactly: samples are eigenvectors."""
    return np.array(spectra, dtype=float), np.ascontiguousarray(Q.T)


# ------------------------------------------------------------------ the promise


@st.composite
def layers(draw):
    m, n, d = (draw(st.integers(1, largest)) for largest in (5, 30, 30))
    rng = draw(generators)
    C, X = rng.normal(size=(m, n)), rng.normal(size=(n, d))
    kind = draw(st.sampled_from(["mixed", "positive", "negative", "often zero", "one sample"]))
    if kind in ("positive", "negative"):
        C = np.abs(C) * (1 if kind == "positive" else -1)
    elif kind == "often zero":
        C[rng.random((m, n)) < 0.8] = 0
        X[:, rng.random(d) < 0.5] = 0
    elif kind == "one sample":
        C[:, 1:] = 0
    return C * 10.0 ** rng.integers(-8, 9, size=(m, 1)), X


@given(layers(), st.sampled_from(list(WAYS)), st.sampled_from(TOLERANCES))
def test_extremes_of_any_layer(layer, way, tol):
    with pytest.MonkeyPatch.context() as patch:
        take(patch, way)
        assert_extreme(kernels.extreme_eigenpairs(*layer, tol), *layer, tol)


EIGENVALUES = (-1.0, -1.0 + 1e-9, 0.0, 1e-7, 1.0 - 1e-10, 1.0)  # ties and clusters


@given(
    st.lists(st.lists(st.sampled_from(EIGENVALUES), min_size=1, max_size=8), max_size=4),
    st.integers(8, 30),
    generators,
    st.sampled_from(list(WAYS)),
    st.sampled_from(TOLERANCES),
)  # fmt: skip
def test_extremes_of_any_spectrum(few, d, rng, way, tol):
    # Every spectrum of up to eight values, repeated to fill d: ties, clusters, zeros, points.
    filled = [np.resize(values, d) for values in [[0.0], *few]]
    C, X = of_spectra(filled, rotation(d, rng))
    with pytest.MonkeyPatch.context() as patch:
        take(patch, way)
        assert_extreme(kernels.extreme_eigenpairs(C, X, tol), C, X, tol)


def hard_spectra(d, tol):
    """Spectra with something to be missed: behind a cluster, just beyond it, or in a point."""
    half, rng = d // 2, np.random.default_rng(5)
    near_one, near_zero = np.full(half, 1 - 20 * tol), np.zeros(d - half - 2)
    upper, lower = np.linspace(0.5, 1, half), 1e-7 * np.linspace(0, 1, d - half)
    return {
        "hidden by two tolerances": np.r_[1, np.zeros(d - 2), -2 * tol],
        "hidden at both ends": np.r_[1, near_one, near_zero, -20 * tol],
        "hidden by a thousandth": np.r_[-1, np.zeros(d - 2), 1e-3],
        "clustered": np.r_[1, 1 - 1e-10, rng.uniform(-0.5, 0.5, d - 4), 1e-10 - 0.9, -0.9],
        "repeated": np.r_[np.ones(5), np.zeros(d - 10), -np.ones(5)],
        "two points": np.r_[np.ones(half), -np.ones(d - half)],
        "a point": np.ones(d),
        "nearly a point": 1 + 1e-9 * rng.normal(size=d),
        "a small cloud": 1 + 1e-5 * rng.normal(size=d),
        "rank one": np.r_[-1, np.zeros(d - 1)],
        "even": np.linspace(-1, 1, d),
        "crowded ends": np.cos(np.linspace(0, np.pi, d)),
        "geometric": 2.0 ** -np.arange(d),
        "definite, crowded at zero": np.r_[upper, lower],
        "noise beside one": np.r_[1, 1e-12 * rng.normal(size=d - 1)],
    }  # fmt: skip


@pytest.mark.statement("S3D-C.3-Sv")
@pytest.mark.parametrize("tol", (*TOLERANCES, 1e-13))
def test_extremes_of_hard_spectra(way, tol, evidence):
    d, rng = 40, np.random.default_rng(6)
    C, X = of_spectra(list(hard_spectra(d, tol).values()), rotation(d, rng))
    assert_extreme(kernels.extreme_eigenpairs(C, X, tol), C, X, tol)
    for c in C[:6]:  # alone, where no other neuron's progress keeps it going or stops it
        assert_extreme(kernels.extreme_eigenpairs([c], X, tol), c[None], X, tol)
    assert_extreme(kernels.extreme_eigenpairs(C, np.eye(d), tol), C, np.eye(d), tol)
    evidence(f"{len(C)} hard spectra within {tol}, {way}")


def test_a_small_residual_alone_would_not_find_the_extreme(monkeypatch):
    # Negative control: without the bound on what can hide behind a small residual it does hide.
    d, tol = 100, 1e-4
    take(monkeypatch, "matrix-free")
    C, X = of_spectra([hard_spectra(d, tol)["hidden by two tolerances"]],
                      rotation(d, np.random.default_rng(6)))  # fmt: skip
    assert_extreme(kernels.extreme_eigenpairs(C, X, tol), C, X, tol)
    monkeypatch.setattr(kernels, "_OVERLAP", np.inf)
    with pytest.raises(AssertionError):
        assert_extreme(kernels.extreme_eigenpairs(C, X, tol), C, X, tol)


def gaps_and_bounds(spectrum, rng):
    """Step by step: how far the lowest Ritz value is above the lowest eigenvalue, and the bound."""
    d = len(spectrum)
    C, X = of_spectra([spectrum], rotation(d, rng))
    Q = np.empty((1, d, d))
    Q[:, 0] = start = kernels._start(d)
    alpha, beta, theta, z = (
        np.zeros((1, d)),
        np.zeros((1, d)),
        np.zeros((1, 2)),
        np.zeros((1, 2, d)),
    )
    one, lowest = np.zeros(1, np.int64), np.argmin(spectrum)
    for k in range(d - 1):
        W = kernels._products_with(C, X, Q[:, k].copy())
        kernels._lanczos_step(W, one, k, Q, alpha, beta)
        kernels._ends_of_tridiagonals(alpha, beta, one, k + 1, theta, z)
        residual, share = beta[0, k] * abs(z[0, 0, k]), abs(z[0, 0, 0])
        yield theta[0, 0] - spectrum[lowest], residual * share / abs(X[lowest] @ start)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=15, unique=True), generators)
def test_what_can_be_missed_is_bounded(spectrum, rng):
    for gap, bound in gaps_and_bounds(np.array(spectrum), rng):
        if bound > 1e-6:  # below, the bound's own rounding shows
            assert gap <= bound * (1 + 1e-6)


def test_a_smaller_bound_would_not_hold(evidence):
    # Negative control, and how sharp the bound is.
    used = [
        gap / bound
        for seed in range(20)
        for gap, bound in gaps_and_bounds(np.r_[-1e-3, 1, np.zeros(8)], np.random.default_rng(seed))
        if bound > 1e-6
    ]
    assert 0.9 < max(used) <= 1 + 1e-6
    evidence(f"theta - lam is up to {max(used):.3f} of the bound")


@pytest.mark.parametrize("overlap, found", [(2.0, True), (1.0, True), (0.0, False)])
def test_only_what_is_orthogonal_to_the_start_can_hide(monkeypatch, overlap, found, evidence):
    # The docstring's limit, on both sides: the lowest eigenvector has `overlap` times the least
    # share of the start that the bound allows for, 0.01 / sqrt(d); none of it is never seen.
    d, tol = 60, 1e-6
    take(monkeypatch, "matrix-free")
    rng, start = np.random.default_rng(7), kernels._start(d)
    aside = rng.normal(size=d)
    aside -= start * (start @ aside)
    share = overlap * kernels._OVERLAP / np.sqrt(d)
    hidden = share * start + np.sqrt(1 - share**2) * aside / np.linalg.norm(aside)
    Q = np.linalg.qr(np.column_stack([hidden, rng.normal(size=(d, d - 1))]))[0]
    C, X = of_spectra([np.r_[-20 * tol, 1, np.zeros(d - 2)]], Q)
    lam_min = kernels.extreme_eigenpairs(C, X, tol)[0][0]
    assert (abs(lam_min + 20 * tol) <= tol) == found
    evidence(f"overlap {overlap}: lam_min {lam_min:.3g}, true {-20 * tol:.3g}")


def test_the_start_is_fixed_and_hides_no_feature():
    for d in (1, 2, 3, 64, 785, 5000):
        start = kernels._start(d)
        np.testing.assert_array_equal(start, kernels._start(d))
        assert abs(np.linalg.norm(start) - 1) <= UNIT
        size = np.abs(start)
        assert size.max() <= 2 * size.min()
    # Nor a constant, a wave or a pair of neighbours: as much as of a random direction.
    k = np.arange(5000)
    for period in (np.inf, 2, 28, 28.5, 784):
        for wave in (np.cos(2 * np.pi * k / period), np.cos(np.pi / 4 + 2 * np.pi * k / period)):
            assert 1e-2 < abs(wave @ start) / np.linalg.norm(wave) * np.sqrt(len(k)) < 5


def test_a_rare_feature_with_a_large_weight_is_found(way):
    rng = np.random.default_rng(8)
    X = rng.normal(size=(60, 40))
    X[:, 30:] = 0
    X[7, 33], X[9, 38] = 3.0, 1e-3  # features of one sample each, beyond and below all others
    C = rng.normal(size=(4, 60))
    C[:, 7] = [-1e4, 1e4, 1.0, 0.0]
    C[2:, 9] = -1e8
    assert_extreme(kernels.extreme_eigenpairs(C, X), C, X, 1e-8)


def test_wrong_extremes_are_noticed():
    # Negative control: each wrong answer fails the same check.
    rng = np.random.default_rng(9)
    C, X = rng.normal(size=(3, 40)), rng.normal(size=(40, 12))
    a, u, b, v = kernels.extreme_eigenpairs(C, X)
    assert_extreme((a, u, b, v), C, X, 1e-8)
    values, vectors = np.linalg.eigh(naive_matrices(C, X))
    inner = vectors[:, :, 1] * np.sign(vectors[:, :1, 1])
    for wrong in (
        (b, v, a, u),
        (a, -u, b, v),
        (a, 2 * u, b, v),
        (a + 1e-6, u, b, v),
        (values[:, 1], inner, b, v),  # an eigenpair, not the extreme one
        (a, u, np.abs(b) + 1, v),
        (a, np.roll(u, 1, axis=0), b, v),
    ):
        with pytest.raises(AssertionError):
            assert_extreme(wrong, C, X, 1e-8)


# ------------------------------------------------------------------ the ways


def test_each_way_is_the_one_meant():
    rng = np.random.default_rng(10)
    C, X = rng.normal(size=(6, 60)), rng.normal(size=(60, 40)) / np.arange(1, 41)
    expected = {"matrix-free": 0, "fallback": 6, "impatient": 6, "reduction": 6, "stack": 6}
    for name, number in expected.items():
        with pytest.MonkeyPatch.context() as patch:
            take(patch, name)
            formed = formed_by(patch)
            kernels.extreme_eigenpairs(C, X, 1e-6)
            assert sum(formed) == number, name


def test_the_residual_is_checked_and_what_fails_is_redone(monkeypatch):
    take(monkeypatch, "matrix-free")
    rng = np.random.default_rng(11)
    C, X = rng.normal(size=(5, 60)), rng.normal(size=(60, 20))
    verify = kernels._verify

    def spoiled(C, X, tol, pair, there):
        pair[0, 2] += 3e-9 * pair[1, 2]  # as if rounding had spoiled one neuron's vector
        return verify(C, X, tol, pair, there)

    monkeypatch.setattr(kernels, "_verify", spoiled)
    formed = formed_by(monkeypatch)
    assert_extreme(kernels.extreme_eigenpairs(C, X, 1e-10), C, X, 1e-10)
    assert formed == [1]
    assert_extreme(kernels.extreme_eigenpairs(C, X, 1e-8), C, X, 1e-8)
    assert formed == [1]  # the same is good enough here


def test_a_reduction_that_fails_is_decomposed(monkeypatch):
    take(monkeypatch, "reduction")
    rng = np.random.default_rng(12)
    C, X = rng.normal(size=(3, 50)), rng.normal(size=(50, 20))
    ends = kernels._ends_of_tridiagonals

    def spoiled(alpha, beta, rows, k, theta, z):
        ends(alpha, beta, rows, k, theta, z)
        z[0, 0, 0] += 1e-6

    monkeypatch.setattr(kernels, "_ends_of_tridiagonals", spoiled)
    assert_extreme(kernels.extreme_eigenpairs(C, X, 1e-8), C, X, 1e-12)


@pytest.mark.statement("S3D-C.3-Sv")
@pytest.mark.parametrize("m", [1, 3, 4, 9])
def test_products_need_no_matrix(m, evidence, monkeypatch):
    rng = np.random.default_rng(13)
    C, X, V = rng.normal(size=(m, 70)), rng.normal(size=(70, 11)), rng.normal(size=(m, 11))
    S = naive_matrices(C, X)
    scale = np.abs(S).max() * np.sqrt(11) * np.linalg.norm(V, axis=1).max()
    for numbers, looped in ((2**17, 0), (100, 0), (1, 0), (1, 100)):
        monkeypatch.setattr(kernels, "_SAMPLES", numbers)
        monkeypatch.setattr(kernels, "_LOOPED", looped)
        gap = np.abs(kernels._products_with(C, X, V) - np.einsum("jab,jb->ja", S, V)).max()
        assert gap <= 1e-13 * scale
        assert np.abs(kernels._products_with(C, X, -V) - np.einsum("jab,jb->ja", S, V)).max() > 1e-3
    evidence(f"X^T (C[j] * (X v)) is S_j v to {gap / scale:.1e}, {m} neurons at once")


def test_the_basis_stays_orthonormal_and_reduces_the_matrix():
    # Until long after both ends have converged. The next direction is a small remainder there:
    # taken once, the shares of the basis leave one that is not orthogonal to it.
    d, rng = 60, np.random.default_rng(25)
    C, X = of_spectra([(-1.0) ** np.arange(d) * 2.0 ** -np.arange(d)] * 3, rotation(d, rng))
    Q, alpha, beta = np.empty((3, d, d)), np.zeros((3, d)), np.zeros((3, d))
    Q[:, 0] = kernels._start(d)
    for k in range(30):
        W = kernels._products_with(C[[0, 2]], X, Q[[0, 2], k])
        kernels._lanczos_step(W, np.array([0, 2]), k, Q, alpha, beta)
    S = naive_matrices(C, X)
    for j in (0, 2):
        basis = Q[j, :30]
        T = np.diag(alpha[j, :30]) + np.diag(beta[j, :29], 1) + np.diag(beta[j, :29], -1)
        assert np.abs(basis @ basis.T - np.eye(30)).max() <= 1e-15 * 10
        assert np.abs(basis @ S[j] @ basis.T - T).max() <= 1e-14 * 10
    assert (alpha[1] == 0).all()


def test_tridiagonal_matrices_have_these_ends():
    rng = np.random.default_rng(14)
    for k in (1, 2, 3, 10, 40):
        alpha, beta = rng.normal(size=(6, 40)), np.abs(rng.normal(size=(6, 40)))
        beta[1] *= 1e-9  # nearly in pieces
        beta[2, ::3] = 0.0  # in pieces
        alpha[3], beta[3] = 0.0, 0.0
        alpha[4], beta[4] = np.abs(np.arange(40) - 20.0), 1.0  # Wilkinson's: pairs of neighbours
        theta, z = np.zeros((6, 2)), np.zeros((6, 2, 40))
        kernels._ends_of_tridiagonals(alpha, beta, np.arange(5), k, theta, z)
        for j in range(5):
            beside = beta[j, : k - 1]
            T = np.diag(alpha[j, :k]) + np.diag(beside, 1) + np.diag(beside, -1)
            values = np.linalg.eigvalsh(T)
            scale = max(np.abs(values).max(), 1e-200)
            assert np.abs(theta[j] - values[[0, -1]]).max() <= 1e-14 * scale
            for end in range(2):
                v = z[j, end, :k]
                assert np.linalg.norm(T @ v - theta[j, end] * v) <= 1e-14 * scale
                assert abs(np.linalg.norm(v) - 1) <= UNIT
        assert (theta[5] == 0).all() and (z[5] == 0).all()  # not asked for


def test_tiny_components_of_their_eigenvectors_are_exact():
    # Products of thirty ratios: a decomposition knows them to 1e-16, this to their last digits.
    alpha, beta = np.zeros((1, 30)), np.full((1, 30), 1e-3)
    alpha[0, 0] = -1.0
    theta, z = np.zeros((1, 2)), np.zeros((1, 2, 30))
    kernels._ends_of_tridiagonals(alpha, beta, np.zeros(1, np.int64), 30, theta, z)
    np.testing.assert_allclose(z[0, 0, 1:6] / z[0, 0, :5], -1e-3, rtol=1e-5)
    assert 0 < abs(z[0, 0, 29]) < 1e-86


# ------------------------------------------------------------------ the cost


@pytest.mark.compiled
@pytest.mark.statement("S3D-Cost")
def test_few_products_do_at_large_d(monkeypatch, evidence):
    """The corrected cost: O(m n d) a product in place of O(m n d^2 + m d^3), and few are needed."""
    m, n, numbers = 8, 600, {}
    products = kernels._products_with

    def counted(C, X, V):
        numbers[X.shape[1]] += len(V) / m
        return products(C, X, V)

    monkeypatch.setattr(kernels, "_products_with", counted)
    for d in (200, 400, 800):
        numbers[d] = 0.0
        rng = np.random.default_rng(15)
        C, X = rng.normal(size=(m, n)), rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -0.5
        formed = formed_by(monkeypatch)
        kernels.extreme_eigenpairs(C, X, 1e-6)
        assert not formed
    assert max(numbers.values()) < 40 < min(numbers) / 4  # 4 n d a product, n d^2 a matrix
    assert numbers[800] < 2 * numbers[200]
    evidence(products_a_neuron={d: round(number, 1) for d, number in numbers.items()})


@pytest.mark.compiled
@pytest.mark.statement("S3D-Cost")
@pytest.mark.parametrize(
    "m, n, d", [(32, 500, 785), (300, 400, 300), (3000, 50, 20), (60, 100, 120), (2, 100, 1500)]
)
def test_buffers_of_the_eigenpairs_stay_below_50_megabytes(m, n, d, evidence):
    rng = np.random.default_rng(16)
    C, X = rng.normal(size=(m, n)), rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -0.5
    kernels.extreme_eigenpairs(C[:2, :5], X[:5], 1e-6)  # compilation is not what is measured
    tracemalloc.start()
    try:
        found = kernels.extreme_eigenpairs(C, X, 1e-6)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    result = sum(A.nbytes for A in found)
    assert result < peak < result + C.nbytes + 50e6  # the first: NumPy is traced at all
    evidence(
        f"(m, n, d) = {(m, n, d)}: {(peak - result) / 1e6:.0f} MB, matrices {8e-6 * m * d * d:.0f}"
    )


@pytest.mark.compiled
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_extremes_at_ordinary_sizes(decay):
    rng = np.random.default_rng(17)
    for m, n, d in ((3, 300, 300), (20, 400, 128), (40, 1000, 30), (9, 60, 250), (1, 2000, 200)):
        C, X = rng.normal(size=(m, n)), rng.normal(size=(n, d)) * np.arange(1, d + 1) ** -decay
        C[0] = 0 if m > 1 else C[0]
        X[:, :: int(rng.integers(2, 9))] *= rng.integers(2)
        S = kernels.weighted_grams(C, X)
        values = np.linalg.eigvalsh(S)
        radius = np.abs(values).max(axis=1)
        for tol in TOLERANCES:
            lam_min, v_min, lam_max, v_max = kernels.extreme_eigenpairs(C, X, tol)
            for lam, v, true in ((lam_min, v_min, values[:, 0]), (lam_max, v_max, values[:, -1])):
                residual = np.linalg.norm((S @ v[..., None])[..., 0] - lam[:, None] * v, axis=1)
                assert (residual <= max(tol, ROUNDING) * radius).all()
                assert (np.abs(lam - true) <= max(tol, ROUNDING) * radius).all()


# ------------------------------------------------------------------ input


def test_zero_matrices_have_orthogonal_directions(way):
    rng = np.random.default_rng(18)
    C, X = rng.normal(size=(3, 12)), rng.normal(size=(12, 6))
    C[1] = 0
    cancels, one_feature = [[1.0, -1.0]], [[3.0, 0.0, 0.0]] * 2
    for given_C, given_X in (
        (C, X), (0 * C, X), (C, 0 * X), (cancels, np.ones((2, 6))), (cancels, np.array(one_feature))
    ):  # fmt: skip
        given_C = np.asarray(given_C)
        found = kernels.extreme_eigenpairs(given_C, given_X)
        S = naive_matrices(given_C, given_X)
        for j in np.flatnonzero(~S.any(axis=(1, 2))):
            assert found[0][j] == found[2][j] == 0
            assert abs(found[1][j] @ found[3][j]) <= PARALLEL
        assert_extreme(found, given_C, given_X, 1e-8)


def test_one_feature_and_one_sample(way):
    lam_min, v_min, lam_max, v_max = kernels.extreme_eigenpairs([[-4.0], [0.5]], [[3.0]])
    np.testing.assert_allclose([lam_min, lam_max], [[-36.0, 4.5]] * 2, rtol=1e-15)
    assert (v_min == 1).all() and (v_max == 1).all()
    lam_min, v_min, lam_max, v_max = kernels.extreme_eigenpairs([[-2.0]], [[0.0, 3.0]])
    np.testing.assert_allclose([lam_min, lam_max], [[-18.0], [0.0]], rtol=1e-15)
    np.testing.assert_allclose([v_min, v_max], [[[0, 1]], [[1, 0]]], atol=1e-15)


def test_zero_is_an_end_where_features_are_always_zero(way):
    # Definite matrices on the other features: zero is the lowest, or the highest.
    rng = np.random.default_rng(19)
    X = rng.normal(size=(90, 30))
    X[:, [2, 5, 6, 20]] = 0
    C = 1e-3 * np.abs(rng.normal(size=(4, 90))) * np.array([[1], [-1], [1], [-1]])
    found = kernels.extreme_eigenpairs(C, X)
    assert_extreme(found, C, X, 1e-8)
    assert np.abs(np.r_[found[0][[0, 2]], found[2][[1, 3]]]).max() <= ROUNDING
    assert 0.01 < found[2][0] < 1 and -1 < found[0][1] < -0.01


def test_neurons_of_any_scale_stand_beside_each_other(way):
    rng = np.random.default_rng(20)
    C, X = rng.normal(size=(6, 40)), rng.normal(size=(40, 30))
    C[0] = 0
    power = np.array([0, -500, 500, -60, 60, 990])
    plain = kernels.extreme_eigenpairs(C, X, 1e-10)
    for of_X in (0, 2, -300, 300, -500, -520):
        if power.max() + 2 * of_X > 1000 or power.min() + 2 * of_X < -1000:
            power = np.clip(power, -980 - 2 * of_X, 980 - 2 * of_X)
        power = np.clip(power, -1000, 1000)
        scaled = kernels.extreme_eigenpairs(np.ldexp(C, power[:, None]), np.ldexp(X, of_X), 1e-10)
        S = naive_matrices(C, X)
        radius = np.abs(np.linalg.eigvalsh(S)).max(axis=1)
        for end in (0, 2):
            lam = np.ldexp(scaled[end], -power - 2 * of_X)
            assert (np.abs(lam - plain[end]) <= 1e-10 * radius).all()
            v = scaled[end + 1]
            residual = np.linalg.norm(np.einsum("jab,jb->ja", S, v) - lam[:, None] * v, axis=1)
            assert (residual <= 1e-10 * radius).all()


def test_directions_are_right_where_eigenvalues_are_too_small_to_be(way):
    rng = np.random.default_rng(24)
    C, X = rng.normal(size=(3, 40)), rng.normal(size=(40, 20))
    tiny = kernels.extreme_eigenpairs(np.ldexp(C, -1000), np.ldexp(X, -30), 1e-10)
    S = naive_matrices(C, X)
    for v in (tiny[1], tiny[3]):
        product = np.einsum("jab,jb->ja", S, v)
        lam = (product * v).sum(axis=1)
        residual = np.linalg.norm(product - lam[:, None] * v, axis=1)
        assert (residual <= 1e-10 * np.abs(np.linalg.eigvalsh(S)).max(axis=1)).all()


@pytest.mark.parametrize("d", [3, 40])
def test_overflow_is_refused(d):
    rng = np.random.default_rng(21)
    C, X = rng.normal(size=(2, 50)), rng.normal(size=(50, d))
    with pytest.raises(ValueError, match=r"C and X are too large.*Scale them down"):
        kernels.extreme_eigenpairs(1e300 * C, 1e10 * X)
    assert np.isfinite(kernels.extreme_eigenpairs(1e300 * C, X)[0]).all()


def test_input_of_any_real_layout_is_left_alone(way):
    rng = np.random.default_rng(22)
    C = rng.integers(-4, 5, size=(4, 12)).astype(float)
    X = rng.integers(-3, 4, size=(12, 5)).astype(float)
    for convert in (
        np.asfortranarray,
        lambda A: A.astype(np.float32),
        lambda A: A.astype(np.int64),
        lambda A: A.tolist(),
        lambda A: np.repeat(np.repeat(A, 2, axis=0), 3, axis=1)[::2, ::3],
        lambda A: A[::-1, ::-1].copy()[::-1, ::-1],
    ):
        given_C, given_X = convert(C), convert(X)
        for A in (given_C, given_X):
            if isinstance(A, np.ndarray):
                A.flags.writeable = False
        found = kernels.extreme_eigenpairs(given_C, given_X)
        assert_extreme(found, C, X, 1e-8)
        assert all(A.dtype == np.float64 for A in found)
        np.testing.assert_array_equal(given_C, C)
        np.testing.assert_array_equal(given_X, X)


def test_the_same_input_gives_the_same_bits(way):
    rng = np.random.default_rng(23)
    C, X = rng.normal(size=(5, 40)), rng.normal(size=(40, 15))
    first, again = kernels.extreme_eigenpairs(C, X), kernels.extreme_eigenpairs(C, X)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


ONES = np.ones((5, 2))


@pytest.mark.parametrize(
    "C, X, tol, error, message",
    [
        (np.ones((2, 5)), np.ones(5), 1e-8, ValueError, r"X must be 2-D .*\(5,\).*X\[:, None\]"),
        (np.ones(5), ONES, 1e-8, ValueError, r"C must be 2-D .*\(5,\)"),
        (np.ones((2, 4)), ONES, 1e-8, ValueError, r"C must .*\(2, 4\).*5 rows of X"),
        (np.ones((0, 5)), ONES, 1e-8, ValueError, r"C must not be empty"),
        (np.ones((2, 5)), np.ones((5, 0)), 1e-8, ValueError, r"X must not be empty"),
        (np.full((1, 5), np.nan), ONES, 1e-8, ValueError, r"C must be finite"),
        (np.ones((1, 5)), np.inf * ONES, 1e-8, ValueError, r"X must be finite"),
        (np.ones((1, 5)) * 1j, ONES, 1e-8, TypeError, r"C must hold real numbers"),
        (np.ones((1, 5)), sparse.eye(5), 1e-8, TypeError, r"X must be a dense array"),
        (np.ones((1, 5)), ONES, 0.0, ValueError, r"tol must be .*1e-13.*got 0.0"),
        (np.ones((1, 5)), ONES, 1e-14, ValueError, r"tol must be .*got 1e-14"),
        (np.ones((1, 5)), ONES, -1e-6, ValueError, r"tol must be .*got -1e-06"),
        (np.ones((1, 5)), ONES, 1.0, ValueError, r"tol must be .*< 1; got 1.0"),
        (np.ones((1, 5)), ONES, np.nan, ValueError, r"tol must be .*got nan"),
        (np.ones((1, 5)), ONES, "1e-8", TypeError, r"tol must be a number.*'1e-8'"),
        (np.ones((1, 5)), ONES, True, TypeError, r"tol must be a number.*True"),
    ],
)
def test_wrong_input_is_refused(C, X, tol, error, message):
    with pytest.raises(error, match=message):
        kernels.extreme_eigenpairs(C, X, tol)


def test_the_sign_of_a_vector_is_its_first_entry_beyond_rounding():
    vectors = np.array([[[-1e-9, -1.0, 2.0], [1e-7, -3.0, 0.0]], [[0, 0, -2.0], [0, 0, 0]]])
    kept = vectors.copy()
    expected = [[[1e-9, 1.0, -2.0], [1e-7, -3.0, 0.0]], [[0, 0, 2.0], [0, 0, 0]]]
    np.testing.assert_array_equal(kernels.signed(vectors), expected)
    np.testing.assert_array_equal(kernels.signed(vectors[0, 0]), expected[0][0])
    np.testing.assert_array_equal(vectors, kept)
