"""TINY section 3 as numbers: what new neurons change, at first order, and what order costs.

Two linear spaces decide everything here: the span of B, what the weights of a layer can do by
themselves, and the span of B_prev, what new neurons before it can do while they are small. The
paper measures the distance to the desired update V in both, one after the other, and reads the
change of the loss off the same numbers. That is right where the two spans are at right angles, up
to what they share, and not elsewhere. In the paper's order:

- section 2.2: `sine_example`;
- section 3.1: `projector`, `lack_of_expressivity`;
- section 3.2: `move`, what neurons change at first order; problem (4) solved in turn and at once:
  `distances`, and how far these can be apart: `principal_sines`, `least_share`;
- eq 11: `slopes_at_zero`, `first_order`, `first_order_of_update`, and what the proof drops,
  `cross_term`; `obtuse_example`, which the best neurons, added at the old weights, make worse;
- Prop 3.3: `generalised_eigenproblem`; appendix B.3: `square_root`.

Rows are samples, as in `tiny`. The paper's eta is 1: for V = -eta times the gradient, divide a
first-order change by eta. Sizes of activations are those of proofs: an (n, n) matrix is formed.

Source: TINY sections 2.2 and 3, appendices A.2 and B.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from refgrow import activations, validation
from refgrow.activations import Activation
from refgrow.networks import MLP

# A direction of B_prev this close to the span of B is in it: sines below are rounding.
SAME = 1e-10
# Eigenvalues of a second moment below this share of the largest are rounding.
ROUNDED = 1e-12
NEGATIVE = 1e-10  # of the largest, below which a negative one is no rounding
SINE_INPUTS = (0.0, 1.5, np.pi, 4.5)


# Section 2.2: the example ---------------------------------------------------------------------


def sine_example(x: Sequence[float] = SINE_INPUTS) -> tuple[MLP, np.ndarray, np.ndarray]:
    """The line y = x where y = x + 2 sin x is wanted: what cannot be improved everywhere.

    At the paper's inputs it is exact already at 0 and pi, and no model can improve it there; at the
    other two, lines can. At (1.5, 4.5, 7.5), where the errors are +, -, +, no line can.

    Parameters
    ----------
    x : sequence of float
        The inputs; the paper's by default.

    Returns
    -------
    network : MLP
        One matrix (1, 0), without a hidden layer.
    X, Y : (n, 1)

    Raises
    ------
    ValueError, TypeError
        For inputs that are not finite numbers.

    Source: TINY section 2.2, Fig 3 (TINY-Ex).
    """
    X = validation.as_array(x, "x", ("n",))[:, None]
    return MLP([np.array([[1.0, 0.0]])]), X, X + 2 * np.sin(X)


# Section 3.1: one layer by itself -------------------------------------------------------------


def projector(B: Any) -> np.ndarray:
    """On what the weights of a layer with input B can do: B (B^T B)^+ B^T.

    Parameters
    ----------
    B : (n, q)

    Returns
    -------
    (n, n)
        Orthogonal, of B's rank; P @ V is the best move `tiny.best_update` makes.

    Raises
    ------
    ValueError, TypeError
        For a B that is not a finite matrix.

    Source: TINY Prop 3.1 (TINY-Prop-3.1).
    """
    U = _basis(validation.as_array(B, "B", ("n", "q")))
    return U @ U.T


def lack_of_expressivity(B: Any, V: Any) -> float:
    """How much of the desired update a layer's own weights miss: sum of |V - B U^T|^2 at best.

    The paper's unit: a sum over samples, while the gain of eq 10 is a mean.

    Parameters
    ----------
    B : (n, q)
    V : (n, p)

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other.

    Source: TINY Def 3.1, eq 2 (TINY-Def-3.1), for one layer's weights as in eq 3.
    """
    B, V = _rows("B", B, V)
    U = _basis(B)
    return _square(V - U @ (U.T @ V))


# Section 3.2: new neurons ---------------------------------------------------------------------


def move(B_prev: Any, fan_in: Any, fan_out: Any) -> np.ndarray:
    """How new neurons move the pre-activations that read them, per unit of sigma'(0).

    sum_k (b . alpha_k) omega_k, the paper's V(theta): the first order in a factor on the fan-ins,
    the second in one on both.

    Parameters
    ----------
    B_prev : (n, q)
    fan_in : (k, q)
    fan_out : (p, k)

    Returns
    -------
    (n, p)

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other.

    Source: TINY eq 4, appendix A.2 (TINY-A.2), which forgets sigma'(0).
    """
    B_prev, fan_in, fan_out = _neurons(B_prev, fan_in, fan_out)
    return (B_prev @ fan_in.T) @ fan_out.T


class Distances(NamedTuple):
    """Means of |V - what is reached|^2 over samples, by what may move and in which order.

    Attributes
    ----------
    nothing, update, neurons : float
        Without a move; with the best update alone; with the best k neurons alone.
    update_first : float
        The paper's order: the best update, and the best neurons for what it leaves.
    neurons_first : float
        The best neurons for V, and the best update for what they leave.
    together : float
        The optimum of (4), the least of all.

    Source: TINY eq 4 and its first corollary (TINY-Cor-1).
    """

    nothing: float
    update: float
    neurons: float
    update_first: float
    neurons_first: float
    together: float


def distances(B: Any, B_prev: Any, V: Any, k: int) -> Distances:
    """Problem (4), old and new weights in turn and together.

    With P, Q the projectors on the spans of B and B_prev, and R on that of (I - P) B_prev:

    update_first = (1/n) (|V - P V|^2 - sum_{j <= k} sigma_j(Q (V - P V))^2)
    together     = (1/n) (|V - P V|^2 - sum_{j <= k} sigma_j(R V)^2)

    Whatever the neurons do inside the span of B, the old weights take back. They are equal for
    every V and k if and only if P Q = Q P.

    Parameters
    ----------
    B : (n, q)
        Input of the layer that reads the new neurons.
    B_prev : (n, q_prev)
        What the new neurons read.
    V : (n, p)
    k : int
        The number of new neurons, 1 <= k <= p.

    Returns
    -------
    Distances

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, k out of range.

    Source: TINY eqs 4, 5, 10, first corollary (TINY-Cor-1, TINY-joint-new).
    """
    B, B_prev, V = _rows("B", B, V, B_prev)
    k = validation.as_integer(k, "k", at_least=1, at_most=V.shape[1])
    U, before, own = _basis(B), _basis(B_prev), _apart(B, B_prev)[0]
    rest = V - U @ (U.T @ V)
    alone = _cut(before, V, k)
    left = V - alone
    totals = (
        _square(V),
        _square(rest),
        _square(left),
        _square(rest - _cut(before, rest, k)),
        _square(left - U @ (U.T @ left)),
        _square(rest) - _square(_cut(own, rest, k)),
    )
    return Distances(*(total / len(V) for total in totals))


def principal_sines(B: Any, B_prev: Any) -> np.ndarray:
    """The angles under which the previous layer's span leaves that of this one.

    0: a direction that the layer's own weights have too, such as the bias. 1: one that nobody can
    take back. Between: the paper's two steps are not the joint optimum.

    Parameters
    ----------
    B : (n, q)
    B_prev : (n, q_prev)

    Returns
    -------
    (r,)
        r the rank of B_prev. Falling, in [0, 1]; exactly 0 below `SAME`.

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other.

    Source: TINY first corollary (TINY-angle-new).
    """
    B, B_prev = _rows("B", B, B_prev=B_prev)
    return _apart(B, B_prev)[1]


def least_share(B: Any, B_prev: Any) -> float:
    """The share of the joint gain that one after the other is sure to have.

    sin^2 t, t the smallest principal angle that is not zero; 1 where there is none. Strength by
    strength, sin(t) mu_j <= lambda_j <= sin(T) mu_j, with mu of the joint neurons and T the largest
    angle; both ends are attained. With one angle only the two are the same: the share is sin^2 t
    for every V. It is small where a layer is nearly linear in the one before, as one of small
    neurons is if their activation is smooth.

    Parameters
    ----------
    B : (n, q)
    B_prev : (n, q_prev)

    Returns
    -------
    float
        In (0, 1].

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other.

    Source: TINY first corollary (TINY-angle-new).
    """
    sines = principal_sines(B, B_prev)
    return float(sines[sines > 0].min(initial=1.0)) ** 2


# Eq 11: the first order of the loss -----------------------------------------------------------


def slopes_at_zero(activation: "str | Activation") -> tuple[float, float]:
    """sigma'(0) from the right and from the left: different for relu and for the paper's selu.

    Parameters
    ----------
    activation : str or Activation

    Returns
    -------
    right, left : float

    Raises
    ------
    ValueError, TypeError
        For an unknown activation.

    Source: TINY section 2.1 (TINY-Ass).
    """
    sigma = activations.get(activation)
    # Derivatives at kinks are those from the left. The next number beside zero is on the right.
    right, left = sigma.derivative(np.array([np.finfo(float).smallest_subnormal, 0.0]))
    return float(left if sigma.second else right), float(left)


def first_order(
    V: Any, B_prev: Any, fan_in: Any, fan_out: Any, right: float, left: float | None = None
) -> np.ndarray:
    """What each new neuron changes in the mean loss, per unit of a small factor on its fan-in.

    -(1/n) sum_i <V_i, omega_k> sigma'(0 on z_ik's side) z_ik, z_ik = b_i . alpha_k. It needs the
    desired update itself, not what the best update leaves of it. For neurons from
    ``best_neurons(B_prev, V, k)`` and a smooth activation it is -sigma'(0) strengths^2, which is
    eq 11. With a kink the neuron and its mirror image (-alpha, -omega), the same move, differ: the
    mean of the two is that with (right + left)/2 for sigma'(0), and the worse one may be positive.

    Parameters
    ----------
    V : (n, p)
        `tiny.desired_updates` of the layer that reads the new neurons, before any other change.
    B_prev : (n, q)
    fan_in : (k, q)
    fan_out : (p, k)
    right, left : float
        sigma'(0) from the right and the left; `left` None where they are the same. sigma(0) must be
        zero, or its effect taken off the bias (`growth.Add`).

    Returns
    -------
    (k,)
        The change of the loss by all of them is the sum, up to the square of the factor.

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other.

    Source: TINY eq 11 (TINY-Prop-3.2-loss, TINY-first-order-new), with kinks (TINY-kink-new).
    """
    B_prev, fan_in, fan_out = _neurons(B_prev, fan_in, fan_out)
    V = validation.as_array(V, "V", (len(B_prev), len(fan_out)), hint="Rows are samples.")
    right = validation.as_scalar(right, "right")
    left = right if left is None else validation.as_scalar(left, "left")
    z = B_prev @ fan_in.T
    return -((V @ fan_out) * np.where(z > 0, right * z, left * z)).mean(axis=0)


def first_order_of_update(V: Any, B: Any, update: Any) -> float:
    """What a layer's own weights change in the mean loss, per unit of a small factor on `update`.

    -(1/n) <V, B update^T>, without sigma'(0); -(1/n) |P V|^2 for the best update.

    Parameters
    ----------
    V : (n, p)
    B : (n, q)
    update : (p, q)

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other.

    Source: TINY B.2, last display (TINY-Eq-dev, TINY-first-order-new).
    """
    B, V = _rows("B", B, V)
    update = validation.as_array(update, "update", (V.shape[1], B.shape[1]))
    return -_inner(V, B @ update.T) / len(V)


def cross_term(B: Any, B_prev: Any, V: Any, k: int) -> float:
    """What the proof of eq 11 drops: the best update and the best neurons are not orthogonal.

    (1/n) <P V, W>, W the move of the best k neurons for V - P V. The first-order change of the loss
    by these neurons alone is -sigma'(0) (sum strengths^2 + cross term). The bracket is never below
    -(1/8) mean |V|^2, and can be that: `obtuse_example`.

    Parameters
    ----------
    B : (n, q)
    B_prev : (n, q_prev)
    V : (n, p)
    k : int
        1 <= k <= p.

    Returns
    -------
    float
        0 for every V if and only if the spans of B and B_prev are at right angles, up to what they
        share.

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, k out of range.

    Source: TINY B.2 (TINY-B.2-cross, TINY-cross-new).
    """
    B, B_prev, V = _rows("B", B, V, B_prev)
    k = validation.as_integer(k, "k", at_least=1, at_most=V.shape[1])
    U = _basis(B)
    own = U @ (U.T @ V)
    return _inner(own, _cut(_basis(B_prev), V - own, k)) / len(V)


def _leaning(z: np.ndarray) -> np.ndarray:
    return (z * z + z) / 2


def _leaning_slope(z: np.ndarray) -> np.ndarray:
    return z + 0.5


def _leaning_second(z: np.ndarray) -> np.ndarray:
    return 1.0 + 0.0 * z


def obtuse_example() -> tuple[MLP, np.ndarray, np.ndarray]:
    """Three samples, one neuron: at the old weights the next raises the loss, and (4) is missed.

    x = (-1, 0, 1), sigma(t) = (t^2 + t)/2, one neuron sigma(x), read with weight and bias 0,
    y = (0, 1, -1), the squared loss. Best update (-3/2, 1/2), best neuron for the rest x/4, that
    is lambda^2 = 1/24; eq 11 promises -1/48, the loss rises by +1/24, per unit of the factor, and
    by -1/48 once the old weights have made the whole update, as in the paper's procedure. In turn,
    (4) ends at 1/8; together, with (-3, 1) and the neuron x, at 0.

    Returns
    -------
    network : MLP
    X, Y : (3, 1)

    Raises
    ------
    ValueError, TypeError
        As `networks.MLP` does; not for these weights.

    Source: TINY eq 11 (TINY-Prop-3.2-loss), B.2 (TINY-B.2-cross), first corollary (TINY-Cor-1).
    """
    leaning = Activation("(t^2 + t)/2", _leaning, _leaning_slope, _leaning_second)
    network = MLP([np.array([[1.0, 0.0]]), np.zeros((1, 2))], leaning)
    return network, np.array([[-1.0], [0.0], [1.0]]), np.array([[0.0], [1.0], [-1.0]])


# Prop 3.3 and appendix B.3 --------------------------------------------------------------------


def generalised_eigenproblem(S: Any, N: Any, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best neurons as eigenvectors: N N^T alpha = lambda^2 S alpha, omega = N^T alpha.

    Only for definite S: where S alpha = 0, N^T alpha = 0 too, and every number is an eigenvalue.

    Parameters
    ----------
    S : (q, q)
        B_prev^T B_prev / n, definite.
    N : (q, p)
        B_prev^T V / n.
    k : int
        1 <= k <= min(q, p).

    Returns
    -------
    alpha : (k, q)
        alpha S alpha^T = I; the eigenproblem alone leaves the norm open.
    omega : (p, k)
        Orthogonal, of norm lambda: B_prev alpha^T omega^T is the best move of rank k.
    eigenvalues : (k,)
        lambda^2, falling: the squares of `tiny.best_neurons`' strengths.

    Raises
    ------
    ValueError, TypeError
        For an S that is not symmetric, or singular to rounding; k out of range.

    Source: TINY Prop 3.3, appendix B.4 (TINY-Prop-3.3): omega = N^T alpha, where the main text
    prints N alpha.
    """
    from scipy.linalg import eigh

    S, N = _moments(S, N)
    k = validation.as_integer(k, "k", at_least=1, at_most=min(N.shape))
    scale = np.sqrt(np.maximum(S.diagonal(), np.finfo(float).tiny))
    spread = np.linalg.eigvalsh(S / np.outer(scale, scale))
    if not spread[0] > ROUNDED * spread[-1]:
        raise ValueError(
            "S must be positive definite; its smallest eigenvalue is rounding, or below. Use "
            "tiny.best_neurons_from_moments, or square_root."
        )
    q = len(S)
    values, vectors = eigh(N @ N.T, S, subset_by_index=(q - k, q - 1))
    alpha = np.ascontiguousarray(vectors[:, ::-1].T)
    return alpha, N.T @ alpha.T, values[::-1].copy()


def square_root(S: Any) -> tuple[np.ndarray, np.ndarray]:
    """A triangular R with R^T R = S for semi-definite S, and its pseudo-inverse.

    With S = U Sigma U^T and sqrt(Sigma) U^T = Q R. The singular value decomposition
    (R^+)^T N = sum_k lambda_k u_k v_k^T gives the best neurons, alpha_k = R^+ u_k and
    omega_k = lambda_k v_k, as the Cholesky factor does for definite S, which R^T then is.
    Eigenvalues at rounding are set to zero before roots are taken of them: a root of 1e-16 is 1e-8,
    and would be inverted.

    Parameters
    ----------
    S : (q, q)
        Symmetric positive semi-definite.

    Returns
    -------
    R : (q, q)
        Upper triangular, with a diagonal >= 0.
    inverse : (q, q)
        R^+.

    Raises
    ------
    ValueError, TypeError
        For an S that is not symmetric and semi-definite.

    Source: TINY appendix B.3 (TINY-B.3), which does not say that R is singular.
    """
    S = validation.as_symmetric(S, "S")
    if S.ndim != 2:
        raise ValueError(f"S must be one matrix of shape (q, q); got shape {S.shape}.")
    values, U = (each[..., ::-1] for each in np.linalg.eigh(S))
    if values[-1] < -NEGATIVE * max(values[0], 0.0) or values[0] < 0:
        raise ValueError(
            f"S must be positive semi-definite; its eigenvalues reach {values[-1]:.3g}."
        )
    kept = values > ROUNDED * values[0]
    root = np.sqrt(np.where(kept, values, 0.0))
    Q, R = np.linalg.qr(root[:, None] * U.T)
    signs = np.where(R.diagonal() < 0, -1.0, 1.0)
    inverse = (U * np.divide(1.0, root, out=np.zeros_like(root), where=kept)) @ (Q * signs)
    return signs[:, None] * R, inverse


# What they share ------------------------------------------------------------------------------


def _basis(A: np.ndarray) -> np.ndarray:
    """Orthonormal, of the span of A's columns; columns count alike, whatever their scale."""
    norms = np.linalg.norm(A, axis=0)
    U, s, _ = np.linalg.svd(A[:, norms > 0] / norms[norms > 0], full_matrices=False)
    return U[:, s > max(A.shape) * np.finfo(float).eps * s.max(initial=0.0)]


def _apart(B: np.ndarray, B_prev: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A basis of the span of (I - P) B_prev, and the sines between B_prev's span and B's."""
    U, rest = _basis(B), _basis(B_prev)
    own, sines, _ = np.linalg.svd(rest - U @ (U.T @ rest), full_matrices=False)
    return own[:, sines > SAME], np.where(sines > SAME, np.minimum(sines, 1.0), 0.0)


def _cut(U: np.ndarray, V: np.ndarray, k: int) -> np.ndarray:
    """The projection of V on the span of U, cut to its k largest singular values."""
    left, s, right = np.linalg.svd(U.T @ V, full_matrices=False)
    return U @ ((left[:, :k] * s[:k]) @ right[:k])


def _inner(A: np.ndarray, B: np.ndarray) -> float:
    return float(np.vdot(A, B))


def _square(A: np.ndarray) -> float:
    return _inner(A, A)


def _rows(name: str, B: Any, V: Any = None, B_prev: Any = None) -> list[np.ndarray]:
    """B, B_prev and V, those given, as matrices with one row a sample."""
    B = validation.as_array(B, name, ("n", "q"), flat=f"Use {name}[:, None] for one column.")
    others = [("B_prev", B_prev), ("V", V)]
    return [B] + [
        validation.as_array(A, other, (len(B), "p"), hint="Rows are samples.")
        for other, A in others
        if A is not None
    ]


def _neurons(B_prev: Any, fan_in: Any, fan_out: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    B_prev = validation.as_array(B_prev, "B_prev", ("n", "q"))
    fan_in = validation.as_array(
        fan_in, "fan_in", ("k", B_prev.shape[1]), flat="Use fan_in[None] for one neuron."
    )
    fan_out = validation.as_array(
        fan_out, "fan_out", ("p", len(fan_in)), hint="One column a neuron."
    )
    return B_prev, fan_in, fan_out


def _moments(S: Any, N: Any) -> tuple[np.ndarray, np.ndarray]:
    S = validation.as_symmetric(S, "S")
    if S.ndim != 2:
        raise ValueError(f"S must be one matrix of shape (q, q); got shape {S.shape}.")
    return S, validation.as_array(N, "N", (len(S), "p"), hint="S and N have one row an input.")
