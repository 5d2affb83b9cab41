"""TINY Prop 3.3 and appendix B.3: eigenproblem, definiteness, square roots; what is refused."""

import numpy as np
import oracles
import pytest
import scipy.linalg
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_problems import EXACT, activities, layers, mean_square, onto

from refgrow import tiny, tiny_theory

CLEAR = 1e-3  # between numbers of order one that differ
HALF = 1e-7  # directions from moments: half the digits


def moments(B, V):
    return B.T @ B / len(V), B.T @ V / len(V)


def by_root(R, inverse, N):
    """B.3's way to the best neurons: (R^+)^T N = sum lambda u v^T, alpha = R^+ u."""
    u, s, vt = np.linalg.svd(inverse.T @ N, full_matrices=False)
    return (inverse @ u).T, vt.T * s, s


@pytest.mark.statement("TINY-Prop-3.3")
@settings(max_examples=30)
@given(strategies.generators, st.integers(1, 4), st.integers(1, 4), st.data())
def test_the_eigenproblem_has_the_best_neurons(evidence, rng, q, p, data):
    B_prev, V = activities(9, q, rng, [1.0, 0.5, 2.0, 0.7]), activities(9, p, rng)
    k = data.draw(st.integers(1, min(p, q)))
    S, N = moments(B_prev, V)
    alpha, omega, values = tiny_theory.generalised_eigenproblem(S, N, k)
    lam = tiny.best_neurons(B_prev, V, k)
    evidence.worst("eigenvalue - lambda^2", float(np.abs(values - lam.strengths**2).max()))
    assert np.abs(values - lam.strengths**2).max() < EXACT
    assert np.abs(N @ (N.T @ alpha.T) - S @ alpha.T * values).max() < EXACT
    assert np.abs(omega - N.T @ alpha.T).max() < EXACT
    assert np.abs(alpha @ S @ alpha.T - np.eye(k)).max() < 1e-10
    gap = np.append(lam.strengths, 0.0)  # where lambda_k is double the last pair is a choice
    full = tiny.best_neurons(B_prev, V, p).strengths
    if k == p or gap[k - 1] - full[min(k, p - 1)] > 1e-3:
        by_both = tiny_theory.move(B_prev, alpha, omega) - tiny_theory.move(B_prev, *lam[:2])
        assert np.abs(by_both).max() < 1e-9 / max(gap[k - 1], 1e-3)
    assert abs(mean_square(V - tiny_theory.move(B_prev, alpha, omega))
               - mean_square(V) + values.sum()) < EXACT  # fmt: skip


@pytest.mark.statement("TINY-Prop-3.3")
def test_the_print_lacks_the_norm_and_the_transpose(evidence):
    rng = np.random.default_rng(3)
    B_prev, V = activities(7, 3, rng, [0.3, 1.0, 2.0]), activities(7, 2, rng)
    S, N = moments(B_prev, V)
    alpha, omega, _ = tiny_theory.generalised_eigenproblem(S, N, 1)
    unit = alpha / np.linalg.norm(alpha)
    free = mean_square(V - tiny_theory.move(B_prev, unit, N.T @ unit.T))
    best = mean_square(V - tiny_theory.move(B_prev, alpha, omega))
    evidence(norm_one_in_S=best, norm_one=free)
    assert free > best + CLEAR
    with pytest.raises(ValueError, match="matmul"):
        N @ alpha.T  # omega = N alpha as printed: (3, 2) times (3, 1)


@pytest.mark.statement("TINY-Prop-3.3")
def test_for_singular_S_every_number_is_an_eigenvalue(evidence):
    rng = np.random.default_rng(4)
    B = activities(7, 3, rng, [0.5, 1.0, 2.0])
    twice, V = np.column_stack([B, B[:, 0]]), activities(7, 2, rng)
    S, N = moments(twice, V)
    null = np.array([1.0, 0, 0, -1])
    assert (S @ null == 0).all() and (N.T @ null == 0).all()  # 0 = lambda 0
    with pytest.raises(ValueError, match="S must be positive definite"):
        tiny_theory.generalised_eigenproblem(S, N, 1)
    # QZ returns no more than an opinion on that direction; restricted to the range it is right.
    opinions = np.sort(np.abs(scipy.linalg.eigvals(N @ N.T, S)))
    lam = tiny.best_neurons(twice, V, 2).strengths
    evidence(opinions=opinions.tolist(), lambda_squared=(lam**2).tolist())
    U = np.linalg.eigh(S)[1][:, 1:]
    values = tiny_theory.generalised_eigenproblem(U.T @ S @ U, U.T @ N, 2)[2]
    assert np.abs(values - lam**2).max() < EXACT


@pytest.mark.statement("TINY-Spd")
@pytest.mark.parametrize("ones", [True, False])
def test_small_smooth_neurons_have_a_nearly_singular_second_moment(ones, evidence):
    """They are linear in the four inputs and the bias, so that seven of them are five.

    Columns of norm one: the condition number is not one of scales. Medians of 20 layers.
    """
    X = np.column_stack([np.random.default_rng(0).normal(size=(2000, 4)), np.ones(2000)])

    def condition(name, size, seed):
        H = oracles.ACTIVATIONS[name](size * X @ np.random.default_rng(seed).normal(size=(5, 7)))
        B = np.column_stack([H, np.ones(2000)]) if ones else H
        return np.linalg.cond(B / np.linalg.norm(B, axis=0)) ** 2  # of S, without its rounding

    at = {
        (name, size): np.median([condition(name, size, seed) for seed in range(20)])
        for name in ("tanh", "softplus", "selu", "relu") for size in (1.0, 0.1, 0.01, 0.001)
    }  # fmt: skip
    for name in ("tanh", "softplus", "selu", "relu"):
        row = ", ".join(f"{at[name, size]:.0e}" for size in (1.0, 0.1, 0.01, 0.001))
        evidence(f"{name}, {'with' if ones else 'without'} the ones: sizes 1 to 0.001", row)
    assert at["tanh", 1.0] < 100 and at["softplus", 1.0] < 1000
    for name in ("tanh", "softplus"):
        assert at[name, 0.01] > 1e5 * at[name, 1.0] and at[name, 0.001] > 1e11
    # Control: a kink is one at every scale. So it is with the paper's selu.
    assert max(at[name, s] for name in ("selu", "relu") for s in (0.1, 0.01, 0.001)) < 1e4


@pytest.mark.statement("TINY-Spd")
def test_second_moments_above_the_first_layer_may_be_singular():
    """A dead relu; a neuron twice; fewer samples than columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    dead = np.column_stack([np.maximum(X[:, 0] - 100, 0), np.ones(300)])
    assert np.linalg.matrix_rank(dead.T @ dead) == 1
    twice = np.column_stack([np.tanh(X[:, :2]), np.tanh(X[:, 0])])
    assert np.linalg.matrix_rank(twice.T @ twice) == 2
    W, b = rng.normal(size=(4, 8)), rng.normal(size=8)
    for samples, rank in ((6, 6), (300, 9)):  # The second is the control: generic, and many.
        B = np.column_stack([np.tanh(X[:samples] @ W + b), np.ones(samples)])
        assert np.linalg.matrix_rank(B.T @ B) == rank


@pytest.mark.statement("TINY-B.3")
@settings(max_examples=40)
@given(layers())
def test_the_square_root_of_a_semi_definite_S(evidence, problem):
    _, B_prev, V = problem
    S, N = moments(B_prev, V)
    R, inverse = tiny_theory.square_root(S)
    scale = 1 + np.abs(S).max()
    evidence.worst("R^T R - S", float(np.abs(R.T @ R - S).max()))
    assert np.abs(R.T @ R - S).max() < EXACT * scale
    assert np.abs(np.tril(R, -1)).max() < EXACT * scale and (R.diagonal() >= 0).all()
    for A, B in ((R, inverse), (inverse, R)):  # Moore and Penrose
        assert np.abs(A @ B @ A - A).max() < 1e-9 * (1 + np.abs(A).max())
        assert np.abs(A @ B - (A @ B).T).max() < 1e-9
    alpha, omega, s = by_root(R, inverse, N)
    lam = tiny.best_neurons(B_prev, V, V.shape[1]).strengths
    count = min(len(s), len(lam))
    assert np.abs(s[:count] - lam[:count]).max() < HALF
    best = mean_square(V - onto(B_prev) @ V)
    assert abs(mean_square(V - tiny_theory.move(B_prev, alpha, omega)) - best) < HALF * scale


@pytest.mark.statement("TINY-B.3")
def test_for_definite_S_it_is_the_Cholesky_factor():
    S = strategies.with_spectrum([0.5, 1.0, 3.0], np.random.default_rng(0))
    R, inverse = tiny_theory.square_root(S)
    assert np.abs(R.T - np.linalg.cholesky(S)).max() < EXACT
    assert np.abs(inverse - np.linalg.inv(R)).max() < EXACT


@pytest.mark.statement("TINY-B.3")
def test_as_printed_the_root_of_rounding_is_inverted(evidence):
    """Rank 10 of 30, p = 15: sqrt(1e-16) = 1e-8 looks like a direction, and gives neurons."""
    rng = np.random.default_rng(0)
    B_prev = rng.normal(size=(200, 10)) @ rng.normal(size=(10, 30))
    V = rng.normal(size=(200, 15))
    S, N = moments(B_prev, V)
    U, sigma, Vt = np.linalg.svd(S)
    # U = V on the range; on the null space LAPACK's two are different bases.
    assert np.abs(U[:, :10] - Vt[:10].T).max() < EXACT
    printed = np.linalg.qr(np.sqrt(sigma)[:, None] * U.T)[1]
    assert np.abs(printed.T @ printed - S).max() < EXACT * sigma[0]  # as R^T R = S it is right
    spurious = by_root(printed, np.linalg.pinv(printed, rcond=1e-15), N)
    ours = by_root(*tiny_theory.square_root(S), N)
    largest = [np.abs(alpha[10:15]).max() for alpha in (spurious[0], ours[0])]
    evidence(fan_in_beyond_the_rank=largest, true_fan_ins=np.abs(ours[0][:10]).max())
    assert spurious[2][10] > 1e-10 and largest[0] > 1e3  # Control: the default cutoff of pinv.
    assert ours[2][10] < 1e-14 and largest[1] < 1
    lam = tiny.best_neurons(B_prev, V, 15).strengths
    assert np.abs(ours[2][:15] - lam).max() < 1e-10
    # The printed chain has a U too many: U sqrt(Sigma) Q^-T Q^-1 U sqrt(Sigma) U^T is not S.
    chain = U * np.sqrt(sigma) @ U * np.sqrt(sigma) @ U.T
    assert np.abs(chain - S).max() > 1


# What is refused ------------------------------------------------------------------------------

B, V, S = np.ones((4, 2)), np.arange(8.0).reshape(4, 2), np.eye(2)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: tiny_theory.distances(B, B[:3], V, 1), r"B_prev must have shape \(4, p\)"),
        (lambda: tiny_theory.distances(B, B, V, 3), "k must be an integer"),
        (lambda: tiny_theory.cross_term(B, B, V[:, 0], 1), "V must be 2-D"),
        (lambda: tiny_theory.lack_of_expressivity(B[:, 0], V), r"Use B\[:, None\]"),
        (lambda: tiny_theory.projector([[np.nan]]), "B must be finite"),
        (lambda: tiny_theory.move(B, np.ones((1, 3)), np.ones((2, 1))), "fan_in must have shape"),
        (lambda: tiny_theory.move(B, S, np.ones((2, 3))), "fan_out must have shape"),
        (lambda: tiny_theory.first_order(V[:3], B, S, S, 1.0), "V must have shape"),
        (lambda: tiny_theory.first_order(V, B, S, S, np.inf), "right must be a finite number"),
        (lambda: tiny_theory.first_order_of_update(V, B, np.ones((2, 3))), "update must have"),
        (lambda: tiny_theory.square_root(-S), "S must be positive semi-definite"),
        (lambda: tiny_theory.square_root([[1.0, 2], [0, 1]]), "S must be symmetric"),
        (lambda: tiny_theory.square_root(np.ones((2, 1, 1))), "S must be one matrix"),
        (lambda: tiny_theory.generalised_eigenproblem(0 * S, S, 1), "positive definite"),
        (lambda: tiny_theory.generalised_eigenproblem(S, V, 1), "N must have shape"),
        (lambda: tiny_theory.slopes_at_zero("tahn"), "Did you mean 'tanh'"),
        (lambda: tiny_theory.sine_example([[1.0]]), "x must be 1-D"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_layers_of_zeros_have_no_span():
    zero = np.zeros((4, 2))
    assert (tiny_theory.projector(zero) == 0).all()
    assert tiny_theory.principal_sines(B, zero).size == 0
    assert tiny_theory.least_share(B, zero) == 1
    found = tiny_theory.distances(zero, zero, V, 1)
    assert np.allclose(found, mean_square(V)) and tiny_theory.cross_term(zero, B, V, 1) == 0
    R, inverse = tiny_theory.square_root(0 * S)
    assert (R == 0).all() and (inverse == 0).all()
