"""The theory of SplitLBI: its flow, its limits, what it selects, and why it converges.

In the paper's order:

- section 2, the flow (1) and its limits: `flow` on diagonal quadratic losses, in closed form;
  `mirror_limit` for nu to zero; for kappa to infinity `split_hessian` and `inverse_scale_space`;
- section 2, model selection: `irrepresentable`, at any nu and kappa;
- section 3, the forms of one step: `bregman_step` and `bregman_objective` (6), `prox_step` (16);
- section 3 and appendix A, convergence: `penalty`, `conjugate`, `subgradient`, `augmented`,
  `lyapunov` (9, 10), `augmented_lipschitz`, `descent_rate`, `error_bound`, `printed_largest_step`;
- the limit of a run where the loss has many minimisers: `limit_problem`;
- section 4, momentum and weight decay: `largest_momentum_step`, `quadratic_edge`,
  `effective_ridge`.

One fact explains most of the others. p = (W / kappa, V) is a subgradient of
Psi = Omega(Gamma) + |P|^2 / (2 kappa) at P = (W, Gamma), and one step is
p <- p - alpha grad Lbar(P) with P = grad Psi*(p), which is Lipschitz in p. That is true where both
blocks are updated from the old iterate, and so is what follows, unless it says otherwise.

Source: SplitLBI sections 2 to 4, appendix A.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from refgrow import sparse_steps, splitlbi, validation
from refgrow.splitlbi import State

# A coordinate that is this close to the box, relative to lam, has reached it: events that fall
# together on paper are apart by rounding.
TIE = 1e-10

# What sums of some tens of products may be off by, relative to the norms of their factors.
ROUNDING = 1e-14

# How far beyond the dual ball rounding may carry a subgradient, relative to lam.
BALL_TOLERANCE = 1e-9


# Section 2: the flow --------------------------------------------------------------------------


class Point(NamedTuple):
    """Where the flow is at one time.

    Attributes
    ----------
    W, Gamma, V : arrays of one shape

    Source: SplitLBI eq 1 (LBI-Eq-1).
    """

    W: np.ndarray
    Gamma: np.ndarray
    V: np.ndarray


def flow(
    h: Any,
    beta: Any,
    time: float,
    *,
    nu: float,
    kappa: float,
    lam: float = 1.0,
    W0: Any = 0.0,
    V0: Any = 0.0,
) -> Point:
    """The path that small steps follow, in closed form: when a weight enters, and how it grows.

    The differential inclusion (1) for L = sum_i h_i (W_i - beta_i)^2 / 2 and the lasso. For finite
    kappa it is an ordinary differential equation with a Lipschitz right side, linear in
    (W, Z = kappa V) as long as Gamma_i does not become zero or nonzero; the times at which it does
    are roots of a monotone function, found to rounding.

    Parameters
    ----------
    h, beta : array_like
        Curvatures h >= 0 and minimisers; they broadcast with W0 and V0.
    time : float
        >= 0. A step of size alpha is a time alpha.
    nu, kappa : float
        > 0.
    lam : float
        >= 0.
    W0, V0 : array_like

    Returns
    -------
    Point

    Raises
    ------
    ValueError, TypeError
        For numbers out of range, and shapes that do not broadcast.

    Source: SplitLBI eq 1 (LBI-Eq-1).
    """
    h, beta, W0, V0 = _coordinates(h=h, beta=beta, W0=W0, V0=V0)
    time = validation.as_scalar(time, "time", at_least=0)
    nu = validation.as_scalar(nu, "nu", above=0)
    kappa = validation.as_scalar(kappa, "kappa", above=0)
    lam = validation.as_scalar(lam, "lam", at_least=0)
    ends = np.array(
        [
            _flow_of_one(*one, kappa * time, nu, kappa * lam)
            for one in zip(h.ravel(), beta.ravel(), W0.ravel(), kappa * V0.ravel(), strict=True)
        ]
    )
    W, Z = ends[:, 0].reshape(h.shape), ends[:, 1].reshape(h.shape)
    return Point(W, Z - np.clip(Z, -kappa * lam, kappa * lam), Z / kappa)


def _coordinates(**values: Any) -> list[np.ndarray]:
    """h, beta, W0 and V0, broadcast."""
    arrays = [validation.as_array(value, name, None) for name, value in values.items()]
    if (arrays[0] < 0).any():
        raise ValueError(f"h must be >= 0, curvatures of a convex loss; got {arrays[0].min()}.")
    try:
        return list(np.broadcast_arrays(*arrays))
    except ValueError:
        shapes = ", ".join(f"{name} {a.shape}" for name, a in zip(values, arrays, strict=True))
        raise ValueError(f"{', '.join(values)} must broadcast; got the shapes {shapes}.") from None


def _flow_of_one(
    h: float, beta: float, W: float, Z: float, left: float, nu: float, theta: float
) -> tuple[float, float]:
    """(W, Z) after the time `left` in units of 1 / kappa, piece after piece."""
    sign = _side(h * beta, W, Z, theta)
    while left > 0:
        ends, runs = _piece(h, beta, W, Z, nu, theta, sign)
        hit = None
        for a, b, way in runs:
            # Z is monotone here: outside the box only the way in ends the piece, inside both do.
            if not way or way == sign:
                continue
            wall, b = theta * (sign if sign else way), min(b, left)
            if a < left and way * _beyond(b, ends, wall) > 0:
                hit = _crossing(a, b, ends, wall, way)
                break
        if hit is None:
            W, Z = ends(left)
            return float(W), float(Z)
        # On the edge Z' = W / nu. Which way it crosses is known; W may tell otherwise by rounding.
        W, Z, left = way * max(way * float(ends(hit)[0]), 0.0), wall, left - hit
        sign = way if sign == 0 else 0
    return W, Z


def _crossing(a: float, b: float, ends: Any, wall: float, way: int) -> float:
    if way * _beyond(a, ends, wall) >= 0:  # It starts on the edge, up to rounding.
        return a
    return float(optimize.brentq(_beyond, a, b, (ends, wall), xtol=1e-15, rtol=1e-15, maxiter=999))


def _beyond(s: float, ends: Any, wall: float) -> float:
    return float(ends(s)[1] - wall)


def _side(force: float, W: float, Z: float, theta: float) -> int:
    """0 where Gamma is zero and stays so, otherwise its sign; on the edge, W or its force tells."""
    if abs(Z) != theta:
        return 0 if abs(Z) < theta else int(np.sign(Z))
    edge = np.sign(Z) if Z else np.sign(W if W else force)
    outward = edge * (W if W else force) > 0
    return int(edge) if outward else 0


def _piece(
    h: float, beta: float, W: float, Z: float, nu: float, theta: float, sign: int
) -> tuple[Any, list[tuple[float, float, int]]]:
    """(W, Z) as a function of time while Gamma's sign is this one, and how Z runs: from when to
    when, and which way. Its speed (W - Gamma) / nu is a sum of two exponentials: one turn at most.
    """
    b = 1 / nu
    if sign == 0:
        a = h + b
        rest, off = h * beta / a, W - h * beta / a

        def inside(s: float) -> np.ndarray:
            return np.array(
                [rest + off * np.exp(-a * s), Z + b * (rest * s - off * np.expm1(-a * s) / a)]
            )

        return inside, _runs(rest, off, a)
    # (W, Gamma) - beta decays along the eigenvectors of [[h + b, -b], [-b, b]].
    rates, vectors = np.linalg.eigh(np.array([[h + b, -b], [-b, b]]))
    weights = vectors.T @ np.array([W - beta, Z - sign * theta - beta])
    # The two parts of W - Gamma from it and its change at the start, exact where W = Gamma.
    speed = W - (Z - sign * theta)
    change, gap = h * (beta - W) - 2 * b * speed, rates[1] - rates[0]
    slow, fast = (rates[1] * speed + change) / gap, -(rates[0] * speed + change) / gap

    def outside(s: float) -> np.ndarray:
        return np.array([beta, beta + sign * theta]) + vectors @ (np.exp(-rates * s) * weights)

    return outside, _runs(slow, fast, gap)


def _runs(slow: float, fast: float, gap: float) -> list[tuple[float, float, int]]:
    """Where slow + fast exp(-gap s) has one sign, and which."""
    if slow * fast < 0:
        turn = np.log(-fast / slow) / gap
        # A turn this early is a speed of zero at the start, up to rounding.
        if gap * turn > TIE:
            return [(0.0, turn, int(np.sign(fast))), (turn, np.inf, int(np.sign(slow)))]
        return [(0.0, np.inf, int(np.sign(slow)))]
    return [(0.0, np.inf, int(np.sign(slow + fast)))]


def mirror_limit(
    h: Any,
    beta: Any,
    time: float,
    *,
    kappa: float,
    lam: float = 1.0,
    W0: Any = 0.0,
    V0: Any = 0.0,
) -> np.ndarray:
    """Gamma when the coupling is infinitely strong: sparse mirror descent, with half the kappa.

    As nu tends to zero, W - Gamma tends to zero at any time > 0, and W / kappa + V obeys
    d/dt (W / kappa + V) = -grad L. With W = Gamma that is mirror descent of lam |Gamma|_1
    + |Gamma|^2 / kappa, not / (2 kappa), started from the dual point V0 + W0 / kappa.

    Parameters
    ----------
    h, beta, time, kappa, lam, W0, V0 : as for `flow`

    Returns
    -------
    ndarray
        Gamma, and W.

    Raises
    ------
    ValueError, TypeError
        For numbers out of range, and shapes that do not broadcast.

    Source: SplitLBI section 2 (LBI-small-nu).
    """
    h, beta, W0, V0 = _coordinates(h=h, beta=beta, W0=W0, V0=V0)
    time = validation.as_scalar(time, "time", at_least=0)
    kappa = validation.as_scalar(kappa, "kappa", above=0)
    lam = validation.as_scalar(lam, "lam", at_least=0)
    ends = [
        _mirror_of_one(*one, time, kappa / 2, lam)
        for one in zip(h.ravel(), beta.ravel(), (V0 + W0 / kappa).ravel(), strict=True)
    ]
    return np.array(ends).reshape(h.shape)


def _mirror_of_one(h: float, beta: float, U: float, left: float, half: float, lam: float) -> float:
    rate, speed = half * h, h * beta
    Gamma = half * (U - np.clip(U, -lam, lam))
    if Gamma and beta * Gamma <= 0:  # It shrinks to zero first.
        if not h or not beta:
            return float(Gamma * np.exp(-rate * left))
        until = np.log1p(-Gamma / beta) / rate
        if left <= until:
            return float(beta + (Gamma - beta) * np.exp(-rate * left))
        left, Gamma, U = left - until, 0.0, float(np.sign(Gamma)) * lam
    if not Gamma:
        if not speed:
            return 0.0
        until = (lam - np.sign(speed) * U) / abs(speed)
        if left <= until:
            return 0.0
        left -= until
    return float(beta + (Gamma - beta) * np.exp(-rate * left))


def split_hessian(Sigma: Any, nu: float) -> np.ndarray:
    """What the sparse twin sees of the loss: A = Sigma (I + nu Sigma)^-1.

    For kappa to infinity W is always at the minimiser of the augmented loss given Gamma, and V
    follows dV/dt = A (beta - Gamma): inverse scale space with A in place of the Hessian Sigma. As
    nu grows, nu A tends to the identity where Sigma is invertible, and to the projector on the
    range of Sigma where it is not.

    Parameters
    ----------
    Sigma : (p, p)
        Symmetric, positive semi-definite.
    nu : float
        >= 0; 0 is no splitting.

    Returns
    -------
    (p, p)

    Raises
    ------
    ValueError, TypeError
        For a matrix that is not symmetric or has a negative eigenvalue, and nu < 0.

    Source: SplitLBI section 2 (LBI-selection).
    """
    Sigma = _semidefinite(Sigma)
    nu = validation.as_scalar(nu, "nu", at_least=0)
    A = np.linalg.solve(np.eye(len(Sigma)) + nu * Sigma, Sigma)
    return (A + A.T) / 2


def _semidefinite(Sigma: Any) -> np.ndarray:
    Sigma = validation.as_array(validation.as_symmetric(Sigma, "Sigma"), "Sigma", ("p", "p"))
    values = np.linalg.eigvalsh(Sigma)
    if values[0] < -validation.SYMMETRY_TOLERANCE * np.abs(values).max():
        raise ValueError(
            "Sigma must be positive semi-definite, the Hessian of a convex loss; its least "
            f"eigenvalue is {values[0]:.3g}."
        )
    return Sigma


class ScaleSpace(NamedTuple):
    """A path that is piecewise constant in Gamma and piecewise linear in V.

    Attributes
    ----------
    times : (k,)
        When Gamma changes; the first is 0.
    Gamma : (k, p)
        From that time on.
    V : (k, p)
        At that time.
    complete : bool
        Whether the path ends there, where nothing moves any more; False where `most` cut it.

    Source: SplitLBI section 2 (LBI-selection).
    """

    times: np.ndarray
    Gamma: np.ndarray
    V: np.ndarray
    complete: bool


def inverse_scale_space(
    Sigma: Any, beta: Any, nu: float = 0.0, *, lam: float = 1.0, most: int = 100
) -> ScaleSpace:
    """The exact path at kappa = infinity: which coefficients enter, in which order, and leave.

    Between events V moves in a straight line, at the speed A (beta - Gamma) of `split_hessian`.
    When coordinates reach the box, Gamma jumps to the minimiser of
    (beta - Gamma)^T A (beta - Gamma) over the Gamma with the signs of V that are supported where
    |V| = lam. Of many, where Sigma is singular there, to the one of least norm, as the iteration
    from zero does for kappa to infinity: of two identical columns none is ahead of the other.

    Parameters
    ----------
    Sigma : (p, p)
        The Hessian X^T X / n, positive semi-definite.
    beta : (p,)
        A minimiser of the loss.
    nu : float
        >= 0; 0 is plain inverse scale space.
    lam : float
        > 0.
    most : int
        Events at most. A path that has more ends early, with `complete` False.

    Returns
    -------
    ScaleSpace

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    Source: SplitLBI section 2 (LBI-selection, LBI-box, LBI-order).
    """
    A, Sigma = split_hessian(Sigma, nu), _semidefinite(Sigma)
    beta = validation.as_array(beta, "beta", (len(A),))
    lam = validation.as_scalar(lam, "lam", above=0)
    most = validation.as_integer(most, "most", at_least=1)
    values, vectors = np.linalg.eigh(A)
    root = (vectors * np.sqrt(np.maximum(values, 0))).T
    t, V, Gamma = 0.0, np.zeros_like(beta), np.zeros_like(beta)
    path = [(t, Gamma, V)]
    rest = TIE * np.abs(A @ beta).max()
    while True:
        speed = A @ (beta - Gamma)
        # On the box either Gamma is nonzero and V rests, or V leaves it for the other side.
        inward = (np.abs(V) < lam * (1 - TIE)) | (speed * V < 0)
        moving = (np.abs(speed) > rest) & inward
        complete = not moving.any()
        if complete or len(path) > most:
            break
        waits = (np.sign(speed) * lam - V)[moving] / speed[moving]
        t, V = t + waits.min(), V + waits.min() * speed
        active = np.flatnonzero(np.abs(V) >= lam * (1 - TIE))
        signs = np.sign(V[active])
        V[active] = signs * lam
        Gamma = np.zeros_like(beta)
        sizes = optimize.nnls(root[:, active] * signs, root @ beta)[0]
        curvature = Sigma[np.ix_(active, active)] * np.outer(signs, signs)
        sizes = sparse_steps.least(sizes, curvature)
        Gamma[active] = signs * np.where(sizes > TIE * sizes.max(), sizes, 0.0)
        path.append((t, Gamma, V))
    times, Gammas, Vs = zip(*path, strict=True)
    return ScaleSpace(np.array(times), np.array(Gammas), np.array(Vs), complete)


def irrepresentable(
    Sigma: Any,
    support: Any,
    signs: Any,
    nu: float = 0.0,
    *,
    kappa: float = np.inf,
    magnitudes: Any = None,
) -> float:
    """Whether a false variable enters: no, at the end of the path, only if this is at most one.

    |A_cS A_SS^-1 s|_inf with A of `split_hessian`, S the support, s its signs, c the rest. At
    nu = 0 it is the Lasso's irrepresentable condition; as nu grows it tends to zero like 1 / nu,
    though not always from the start. At finite kappa, W0 = 0 and lam = 1, s becomes
    s + 2 beta_S / kappa.

    Parameters
    ----------
    Sigma : (p, p)
        Positive semi-definite, and definite on the support.
    support : list of int
        Where the minimiser of the loss is nonzero; each index once.
    signs : (|S|,)
        +1 or -1.
    nu : float
        >= 0.
    kappa : float
        > 0; finite ones need `magnitudes`.
    magnitudes : (|S|,), optional
        |beta_S|, in units of lam.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    Source: SplitLBI section 2 (LBI-IRR, LBI-selection).
    """
    A, Sigma = split_hessian(Sigma, nu), _semidefinite(Sigma)
    index = _support(support, len(A))
    signs = validation.as_array(signs, "signs", (len(index),))
    if not (np.abs(signs) == 1).all():
        raise ValueError(f"signs must be +1 or -1; got {signs}.")
    pull = signs
    if kappa != np.inf:
        kappa = validation.as_scalar(kappa, "kappa", above=0)
        if magnitudes is None:
            raise ValueError("magnitudes must be given where kappa is finite.")
        size = validation.as_array(magnitudes, "magnitudes", (len(index),))
        if (size < 0).any():
            raise ValueError(f"magnitudes must be >= 0; got {size.min()}.")
        pull = signs * (1 + 2 * size / kappa)
    values = np.linalg.eigvalsh(Sigma[np.ix_(index, index)])
    if not values[0] > sparse_steps.KERNEL * values[-1]:
        raise ValueError(
            "Sigma must be positive definite on the support, whose coefficients are otherwise not "
            f"determined; its eigenvalues there are from {values[0]:.3g} to {values[-1]:.3g}."
        )
    others = np.setdiff1d(np.arange(len(A)), index)
    if not len(others):
        return 0.0
    pushed = A[np.ix_(others, index)] @ np.linalg.solve(A[np.ix_(index, index)], pull)
    return float(np.abs(pushed).max())


def _support(support: Any, p: int) -> np.ndarray:
    index = np.asarray(support)
    if index.ndim != 1 or not index.size:
        raise ValueError(
            "support must be a list of at least one index; "
            f"got {'none' if index.ndim == 1 else repr(support)}."
        )
    if index.dtype.kind not in "iu":
        raise TypeError(f"support must hold integer indices; got dtype {index.dtype}.")
    if index.min() < 0 or index.max() >= p:
        wrong = index[(index < 0) | (index >= p)][0]
        raise ValueError(f"support must hold indices from 0 to {p - 1}; got {wrong}.")
    if len(np.unique(index)) < len(index):
        raise ValueError(f"support must hold each index once; got {index.tolist()}.")
    return index


# Section 3: one step, in its other forms ------------------------------------------------------


def bregman_step(state: State, gradient: Any) -> tuple[np.ndarray, np.ndarray]:
    """One step as a linearised Bregman iteration: gradient descent in the dual point.

    p = (W / kappa, V) moves by -alpha grad Lbar, and P = (W, Gamma) is the gradient of Psi* at p.

    Parameters
    ----------
    state : State
        Without momentum and decay.
    gradient : array like W
        Of the loss.

    Returns
    -------
    W, Gamma : (N,)

    Raises
    ------
    ValueError, TypeError
        For a state with momentum or decay.

    Source: SplitLBI eqs 6 to 8 (LBI-Eq-6).
    """
    pull, g = _blocks(state, gradient)
    p = state.parameters / state.kappa - state.step * g
    q = state.dual - state.step * pull
    return state.kappa * p, state.kappa * _shrunk(state, q)


def bregman_objective(state: State, gradient: Any, W: Any, Gamma: Any) -> float:
    """What the step minimises: <P - P_k, alpha grad Lbar(P_k)> + B_Psi(P, P_k).

    Parameters
    ----------
    state, gradient : as for `bregman_step`
    W, Gamma : (N,)
        The candidate P.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As `bregman_step` does.

    Source: SplitLBI eqs 6 to 8 (LBI-Eq-6).
    """
    pull, g = _blocks(state, gradient)
    W = validation.as_array(W, "W", g.shape)
    Gamma = validation.as_array(Gamma, "Gamma", g.shape)
    old = _gamma(state)
    dW, dG = W - state.parameters, Gamma - old

    def psi(w: np.ndarray, gamma: np.ndarray) -> float:
        return _penalty(state, gamma) + float(w @ w + gamma @ gamma) / (2 * state.kappa)

    divergence = psi(W, Gamma) - psi(state.parameters, old)
    divergence -= float(state.parameters @ dW / state.kappa + state.dual @ dG)
    return state.step * float(g @ dW + pull @ dG) + divergence


def prox_step(state: State, gradient: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step in the variables (W, Gamma, g): eq 16, the form of the appendix.

    Gamma' = prox of kappa Omega at Gamma + kappa (g - alpha grad_Gamma), and
    g' = g - (Gamma' - Gamma + kappa alpha grad_Gamma) / kappa.

    Parameters
    ----------
    state, gradient : as for `bregman_step`

    Returns
    -------
    W, Gamma, g : (N,)

    Raises
    ------
    ValueError, TypeError
        As `bregman_step` does.

    Source: SplitLBI eqs 15, 16 (LBI-Eq-15).
    """
    pull, slope = _blocks(state, gradient)
    kappa, alpha, Gamma, g = state.kappa, state.step, _gamma(state), subgradient(state)
    inside = Gamma + kappa * (g - alpha * pull)
    new = sparse_steps.shrunk(inside, state._partition, kappa * state.lam)
    W = state.parameters - kappa * alpha * slope
    return W, new, g - (new - Gamma + kappa * alpha * pull) / kappa


# Section 3 and appendix A: convergence --------------------------------------------------------


def penalty(Gamma: Any, groups: Any, lam: float) -> float:
    """Omega = lam sum_g |Gamma_g|_2: what a sparse network costs.

    Parameters
    ----------
    Gamma, groups, lam : as for `splitlbi.prox`

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As `splitlbi.prox` does.

    Source: SplitLBI section 2 (LBI-Eq-5-group).
    """
    flat, _ = sparse_steps.flatten(Gamma, "Gamma")
    parts = sparse_steps.partition(groups, flat.size, gaps=False)
    lam = validation.as_scalar(lam, "lam", at_least=0)
    with np.errstate(over="ignore"):
        return lam * float(sparse_steps.norms(flat, parts).sum())


def conjugate(g: Any, groups: Any, lam: float) -> float:
    """Omega*: zero where every group of g has norm at most lam, infinite elsewhere.

    Parameters
    ----------
    g, groups, lam : as for `splitlbi.prox`

    Returns
    -------
    float
        0 or inf; a relative excess of 1e-9 is taken for rounding.

    Raises
    ------
    ValueError, TypeError
        As `splitlbi.prox` does.

    Source: SplitLBI appendix A.1 (LBI-conjugate), which prints max_g |g_g|_2, the dual norm.
    """
    flat, _ = sparse_steps.flatten(g, "g")
    parts = sparse_steps.partition(groups, flat.size, gaps=False)
    lam = validation.as_scalar(lam, "lam", at_least=0)
    return 0.0 if sparse_steps.norms(flat, parts).max() <= lam * (1 + BALL_TOLERANCE) else np.inf


def subgradient(state: State) -> np.ndarray:
    """g = V - Gamma / kappa, a subgradient of the penalty at Gamma.

    Parameters
    ----------
    state : State
        All of whose entries are in groups.

    Returns
    -------
    (N,)

    Raises
    ------
    ValueError, TypeError
        For a state with free entries.

    Source: SplitLBI section 3 (LBI-Eq-9).
    """
    return _checked(state).dual - _gamma(state) / state.kappa


def augmented(state: State, value: float) -> float:
    """Lbar = L(W) + |W - Gamma|^2 / (2 nu), from the value of the loss.

    Parameters
    ----------
    state : State
    value : float
        L(W).

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For a state with free entries.

    Source: SplitLBI eq 2 (LBI-Eq-2).
    """
    value = validation.as_scalar(value, "value")
    gap = _checked(state).parameters - _gamma(state)
    return value + float(gap @ gap) / (2 * state.nu)


def lyapunov(previous: State, state: State, value: float) -> float:
    """F, which falls at every proven step: alpha Lbar plus a Bregman distance of the penalty.

    F = alpha Lbar(W, Gamma) + Omega(Gamma) + Omega*(g) - <Gamma, g>, with the g of the previous
    state: alpha Lbar(P_k) + B_Omega(Gamma_k, Gamma_k-1).

    Parameters
    ----------
    previous, state : State
        One step apart.
    value : float
        The loss at the later one.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For states with free entries.

    Source: SplitLBI eqs 9, 10 (LBI-Eq-9), with the conjugate as in `conjugate`.
    """
    g, Gamma = subgradient(previous), _gamma(state)
    outside = sparse_steps.norms(g, state._partition).max() > state.lam * (1 + BALL_TOLERANCE)
    distance = np.inf if outside else _penalty(state, Gamma) - float(Gamma @ g)
    return state.step * augmented(state, value) + distance


def augmented_lipschitz(lipschitz: float, nu: float) -> float:
    """Lambda, the Lipschitz constant of the gradient of the augmented loss, and its top curvature.

    (h + 2/nu + sqrt(h^2 + 4/nu^2)) / 2: the larger eigenvalue of [[h + 1/nu, -1/nu],
    [-1/nu, 1/nu]].

    Parameters
    ----------
    lipschitz, nu : as for `splitlbi.largest_step`

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For numbers out of range.

    Source: SplitLBI appendix A.3 (LBI-Lipschitz), which prints lipschitz + 1/nu.
    """
    bound = splitlbi.largest_step(lipschitz, nu, 1.0)
    return 2 / bound if bound else np.inf


def printed_largest_step(lipschitz: float, nu: float, kappa: float) -> float:
    """The step of Theorem 1 as printed, 2 / (kappa (lipschitz + 1/nu)), for comparison.

    Parameters, Returns and Raises as for `augmented_lipschitz`, and kappa.

    Source: SplitLBI Thm 1 (LBI-Thm-1). See `splitlbi.largest_step`.
    """
    splitlbi.largest_step(lipschitz, nu, kappa)
    bottom = float(kappa) * (float(lipschitz) + 1 / float(nu))
    return 2 / bottom if bottom else np.inf


def descent_rate(step: float, lipschitz: float, nu: float, kappa: float) -> float:
    """rho: F falls by at least rho |P_k+1 - P_k|^2 a step, rho = 1/kappa - alpha Lambda / 2.

    Parameters
    ----------
    step : float
        > 0.
    lipschitz, nu, kappa : as for `splitlbi.largest_step`

    Returns
    -------
    float
        Positive exactly for steps below `splitlbi.largest_step`.

    Raises
    ------
    ValueError, TypeError
        For numbers out of range.

    Source: SplitLBI Lemma A.4 (LBI-Lem-A.4), which prints lipschitz + 1/nu for Lambda and has the
    subgradient in the norm.
    """
    step = validation.as_scalar(step, "step", above=0)
    kappa = validation.as_scalar(kappa, "kappa", above=0)
    return 1 / kappa - step * augmented_lipschitz(lipschitz, nu) / 2


def error_bound(step: float, lipschitz: float, nu: float, kappa: float) -> tuple[float, float]:
    """rho_1: F has a subgradient of norm at most rho_1 |P_k+1 - P_k| at the new iterate.

    Parameters
    ----------
    step, lipschitz, nu, kappa : as for `descent_rate`

    Returns
    -------
    printed, sharper : float
        2/kappa + 1 + alpha (lipschitz + 2/nu), and sqrt((1/kappa + alpha lipschitz)^2 + 1).

    Raises
    ------
    ValueError, TypeError
        For numbers out of range.

    Source: SplitLBI Lemma A.5 (LBI-Lem-A.5).
    """
    descent_rate(step, lipschitz, nu, kappa)
    printed = 2 / kappa + 1 + step * (lipschitz + 2 / nu)
    return printed, float(np.hypot(1 / kappa + step * lipschitz, 1.0))


def limit_problem(
    X: Any,
    y: Any,
    start: State,
    *,
    tol: float = 1e-12,
    steps: int = 200,
) -> np.ndarray:
    """Which of many minimisers a run ends at: the sparsest one, up to 1 / kappa.

    For L = |X W - y|^2 / 2 with y in the range of X, the limit of W and of Gamma is the minimiser
    of lam Omega_1(W) + |W|^2 / kappa - <V0 + W0 / kappa, W> over {X W = y}, whatever nu and the
    (proven) step. From W0 = 0 and for large kappa that is basis pursuit. Solved here through its
    dual, by Newton's method on a piecewise quadratic function, with no iteration of SplitLBI.

    Parameters
    ----------
    X : (n, N)
        Of full row rank.
    y : (n,)
    start : State
        W0, V0, kappa, lam and the groups; without momentum and decay.
    tol : float
        On |X W - y|, relative to |y|; what rounding leaves is accepted.
    steps : int
        Newton steps at most.

    Returns
    -------
    (N,)

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, and where Newton's method does not get there.

    Source: SplitLBI section 3, its forms 6 to 8; not in the paper (LBI-bias-new).
    """
    state = _plain(start, "the limit")
    X = validation.as_array(X, "X", ("n", state.parameters.size))
    y = validation.as_array(y, "y", (len(X),))
    q, half = state.dual + state.parameters / state.kappa, state.kappa / 2

    def primal(z: np.ndarray) -> np.ndarray:
        return half * _shrunk(state, q + X.T @ z)

    def dual(z: np.ndarray) -> float:
        W = primal(z)
        return float(W @ W) / (2 * half) - float(y @ z)

    def miss(z: np.ndarray) -> float:
        return float(np.linalg.norm(X @ primal(z) - y))

    z, size = np.zeros(len(y)), float(np.linalg.norm(X))
    for _ in range(steps):
        residual, here = X @ primal(z) - y, miss(z)
        products = half * size * (float(np.linalg.norm(q)) + size * float(np.linalg.norm(z)))
        if here <= tol * max(float(np.linalg.norm(y)), 1.0) or here <= ROUNDING * products:
            return primal(z)
        curvature = half * X @ _jacobian(state, q + X.T @ z) @ X.T
        # A little of the identity: no curvature while too few groups are active.
        try:
            move = -np.linalg.solve(curvature + 1e-10 * here * np.eye(len(y)), residual)
        except np.linalg.LinAlgError:
            break
        slope, length = float(residual @ move), 1.0
        # Close to the end the dual's values differ by less than rounding; the residual still tells.
        while length > 1e-14 and not (
            dual(z + length * move) <= dual(z) + 1e-4 * length * slope
            or miss(z + length * move) < here / 2
        ):
            length /= 2
        z = z + length * move
    raise ValueError(
        "X and y must have a W with X W = y, and X full row rank; Newton's method stopped at a "
        f"residual of {miss(z):.3g}."
    )


# Section 4: momentum and weight decay ---------------------------------------------------------


def largest_momentum_step(
    lipschitz: float, nu: float, kappa: float, momentum: float = 0.0, decay: float = 0.0
) -> float:
    """The largest step that is proven with momentum and decay, for any loss of that curvature.

    4 t / (kappa (c + sqrt(c^2 - 4 t b h))) with b = 1/nu, c = h + b + t b and
    t = 1 - tau + beta (3 tau - 1) / 2. Smaller than without momentum, and that is no weakness of
    the proof: there are convex losses that cycle between this step and `quadratic_edge`.

    Parameters
    ----------
    lipschitz, nu, kappa : as for `splitlbi.largest_step`
    momentum, decay : float
        In [0, 1).

    Returns
    -------
    float
        `splitlbi.largest_step` without both.

    Raises
    ------
    ValueError, TypeError
        For numbers out of range.

    Source: SplitLBI eqs 12 to 14 (LBI-Eq-12, LBI-Eq-14), for which the paper proves nothing.
    """
    splitlbi.largest_step(lipschitz, nu, kappa)
    momentum = validation.as_scalar(momentum, "momentum", at_least=0, below=1)
    decay = validation.as_scalar(decay, "decay", at_least=0, below=1)
    return splitlbi._proven(float(lipschitz), float(nu), float(kappa), momentum, decay)


def quadratic_edge(
    h: float, nu: float, kappa: float, momentum: float = 0.0, decay: float = 0.0
) -> float:
    """The step at which a quadratic loss of top curvature h becomes unstable, Gamma nonzero.

    The formula of `largest_momentum_step` with t = (1 + tau) (1 - beta / 2): momentum raises it.

    Parameters
    ----------
    h : float
        >= 0.
    nu, kappa, momentum, decay : as for `largest_momentum_step`

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For numbers out of range.

    Source: SplitLBI eqs 12 to 14 (LBI-Eq-12, LBI-Eq-14).
    """
    largest_momentum_step(h, nu, kappa, momentum, decay)
    return splitlbi._edge(float(h), float(nu), (1 + momentum) * (1 - decay / 2), float(kappa))


def effective_ridge(step: float, kappa: float, momentum: float, decay: float) -> float:
    """r such that runs with decay end at critical points of L + r |W|^2 / 2.

    r = beta (1 - tau) / (kappa alpha): it depends on the step. A schedule that divides the step by
    ten multiplies the ridge by ten.

    Parameters
    ----------
    step, kappa : float
        > 0.
    momentum, decay : float
        In [0, 1).

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For numbers out of range.

    Source: SplitLBI eq 14 (LBI-Eq-14).
    """
    step = validation.as_scalar(step, "step", above=0)
    kappa = validation.as_scalar(kappa, "kappa", above=0)
    momentum = validation.as_scalar(momentum, "momentum", at_least=0, below=1)
    decay = validation.as_scalar(decay, "decay", at_least=0, below=1)
    return decay * (1 - momentum) / (kappa * step)


# Shared -----------------------------------------------------------------------------------------


def _checked(state: State) -> State:
    state = splitlbi._as_state(state)
    if (state._partition.labels == sparse_steps.FREE).any():
        raise ValueError("the theory needs every entry in a group; the state has free entries.")
    return state


def _plain(state: State, what: str) -> State:
    state = _checked(state)
    if state.momentum or state.decay:
        raise ValueError(
            f"{what} is without momentum and decay; "
            f"got momentum = {state.momentum:g}, decay = {state.decay:g}."
        )
    return state


def _blocks(state: State, gradient: Any) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of Lbar with respect to Gamma and W."""
    state = _plain(state, "this form of the step")
    g, shapes = sparse_steps.flatten(gradient, "gradient")
    if shapes != state.shapes:
        raise ValueError(f"gradient must have the shape of W, {state.shapes}; got {shapes}.")
    pull = (_gamma(state) - state.parameters) / state.nu
    return pull, g - pull


def _gamma(state: State) -> np.ndarray:
    return splitlbi._gamma(state, state.parameters, state.dual)


def _shrunk(state: State, V: np.ndarray) -> np.ndarray:
    return sparse_steps.shrunk(V, state._partition, state.lam)


def _penalty(state: State, Gamma: np.ndarray) -> float:
    return state.lam * float(sparse_steps.norms(Gamma, state._partition).sum())


def _jacobian(state: State, V: np.ndarray) -> np.ndarray:
    """Of the prox: on an active group u u^T + (1 - lam / |V|) (I - u u^T), u = V / |V|."""
    parts = state._partition
    labels = parts.labels if len(parts.labels) else np.arange(len(V))
    norms = sparse_steps.norms(V, parts)[labels]
    active = norms > state.lam
    safe = np.where(active, norms, 1.0)
    keep = np.where(active, 1 - state.lam / safe, 0.0)
    together = (labels[:, None] == labels) & active[:, None] & active
    u = V / safe
    return np.diag(keep) + together * np.outer(u, u) * (1 - keep)
