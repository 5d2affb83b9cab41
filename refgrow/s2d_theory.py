"""S2D section 2.3: splitting as steepest descent in the infinity-Wasserstein space.

A measure rho = sum_j w_j delta(theta_j) on the neurons' parameters is a `Shallow` network with
positive outgoing weights: f_rho(x) = E_rho[sigma(theta, x)] is its output and L[rho] its loss. So
nothing new is needed to hold a measure, and what this module adds is distances between measures,
the expansions of L around one, and a search for the best measure in a ball that does not know that
two copies are enough.

In the paper's order: `transport`, `wasserstein` (eqs 9 and 11), `moments` (Lemma A.2), `potential`
(G_rho, S_rho and what they are derivatives of), `first_order` (Thm A.3), `second_order` (Thm A.4),
`steepest_displacement` (Thm 2.5 a), `steepest_splitting` (Thm 2.5 b), `best_in_ball` (the oracle).
`bump_moments` settles when a bump of the toy network can be split (appendix B.1).

Source: S2D section 2.3, appendices A.2 and B.1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog, minimize

from refgrow import growth, losses, networks, neurons, s2d, validation
from refgrow.networks import Shallow

# HiGHS is asked to meet the marginals of a transport plan, and to price it, to 1e-10; masses below
# ten times that share of the total are not resolved.
HIGHS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
LINPROG_TOLERANCE = 1e-9

# With the least possible longest way as unit, an optimal plan costs at most 1, so a pair that costs
# this much carries less than what HiGHS resolves: it is left out, and large p stay well scaled.
DEAREST = 1e9


# Distances between measures -------------------------------------------------------------------


def transport(
    theta: Any, masses: Any, theta2: Any, masses2: Any, p: float
) -> tuple[float, np.ndarray]:
    """The least cost E |theta - theta'|^p over couplings, and a coupling that attains it.

    Parameters
    ----------
    theta, theta2 : (k, d), (l, d)
    masses, masses2 : (k,), (l,)
        Non-negative, with equal sums. Masses below 1e-9 of the sum are not resolved.
    p : float
        > 0, or infinity for the least essential supremum of |theta - theta'|.

    Returns
    -------
    cost : float
    coupling : (k, l)
        Its row sums are `masses`, its column sums `masses2`.

    Raises
    ------
    ValueError, TypeError
        For negative masses, unequal total mass, and arrays that do not fit each other.
    RuntimeError
        Where the linear program is not solved.

    Source: S2D eqs 9 and 11 (S2D-Eq-9, S2D-Eq-11). The essential supremum is the least c with
    mass zero on |theta - theta'| > c; the appendix prints >= c.
    """
    if not _is_infinite(p):
        p = validation.as_scalar(p, "p", above=0)
    longest, share, coupling = _transport(theta, masses, theta2, masses2, p)
    return (longest if _is_infinite(p) else longest**p * share), coupling


def wasserstein(theta: Any, masses: Any, theta2: Any, masses2: Any, p: float) -> float:
    """The p-Wasserstein distance of two discrete measures, p >= 1 or infinity.

    Parameters as for `transport`.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For p < 1, where the printed formula violates the triangle inequality: with p = 1/2, half
        way from one point to another costs 1/4 and the whole way 1; and as `transport` does.

    Source: S2D eq 9 (S2D-Eq-9), which allows every p > 0.
    """
    if not _is_infinite(p):
        p = validation.as_scalar(p, "p", at_least=1)
    longest, share, _ = _transport(theta, masses, theta2, masses2, p)
    # For probabilities, as the paper has them: masses of another sum are divided by it.
    total = 1.0 if _is_infinite(p) else float(np.sum(masses))
    return longest * (share / total) ** (1 / p)


def moments(theta: Any, theta2: Any, coupling: Any) -> tuple[np.ndarray, np.ndarray]:
    """How each particle's mass moves under a coupling: mean and covariance of theta' - theta.

    |mean|^2 + trace(covariance) is the conditional mean of |theta' - theta|^2, so at most the
    squared essential supremum. It is this bound on the trace that Thm 2.5 b needs; the printed one,
    on the largest eigenvalue of the covariance, would allow d times as much descent.

    Parameters
    ----------
    theta, theta2 : (k, d), (l, d)
    coupling : (k, l)
        Non-negative.

    Returns
    -------
    mean : (k, d)
    covariance : (k, d, d)
        Both given theta, and zero where theta has no mass.

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit each other, and negative masses.

    Source: S2D Lemma A.2 (S2D-Lem-A.2).
    """
    theta = validation.as_array(theta, "theta", ("k", "d"))
    theta2 = validation.as_array(theta2, "theta2", ("l", theta.shape[1]))
    coupling = validation.as_array(coupling, "coupling", (len(theta), len(theta2)))
    if (coupling < 0).any():
        raise ValueError(f"coupling must be non-negative; got {coupling.min():g}.")
    mass = coupling.sum(axis=1, keepdims=True)
    share = np.divide(coupling, mass, out=np.zeros_like(coupling), where=mass > 0)
    step = theta2 - theta[:, None]
    mean = np.einsum("kl,kld->kd", share, step)
    rest = step - mean[:, None]
    return mean, np.einsum("kl,kld,kle->kde", share, rest, rest)


# The functional and its expansions ------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Potential:
    """Psi_rho(theta) = mean of Phi'(f_rho(x)) sigma(theta, x), the first variation of L at rho.

    Moving a small mass t from theta to theta' changes L by t (Psi(theta') - Psi(theta)) + O(t^2).
    The gradient of Psi is the paper's G_rho, its Hessian the paper's S_rho, both without the
    outgoing weight: the gradient of the loss in theta_j is w_j G_rho(theta_j), and the splitting
    matrix of the neuron in its network is w_j S_rho(theta_j).

    So an atom of rho can be split with profit, in however many copies, whenever it is not a local
    minimum of Psi: leave all but a little of it where it is, and move that little downhill. For a
    convex loss the converse holds: if every atom minimises Psi on its ball, nothing in the
    infinity-Wasserstein ball is better, because L[rho'] - L[rho] >= E[Psi(theta') - Psi(theta)].

    Attributes
    ----------
    neuron : neurons.Neuron
    X : (n, d_in)
    slope : (n,)
        Phi'(f_rho(x)) / n.

    Source: S2D Thm 2.5 (S2D-Thm-2.3-potential-new).
    """

    neuron: neurons.Neuron
    X: np.ndarray
    slope: np.ndarray

    def value(self, theta: Any) -> np.ndarray:
        """Psi at the rows of theta (k, d): (k,)."""
        return self.slope @ self.neuron.value(self._checked(theta), self.X)

    def gradient(self, theta: Any) -> np.ndarray:
        """G_rho at the rows of theta (k, d): (k, d)."""
        theta = self._checked(theta)
        return self.neuron.gradient(theta, self.X, np.tile(self.slope, (len(theta), 1)))

    def hessian(self, theta: Any) -> np.ndarray:
        """S_rho at the rows of theta (k, d): (k, d, d)."""
        theta = self._checked(theta)
        return self.neuron.hessian(theta, self.X, np.tile(self.slope, (len(theta), 1)))

    def _checked(self, theta: Any) -> np.ndarray:
        d = self.neuron.parameters(self.X.shape[1])
        return validation.as_array(theta, "theta", ("k", d))


def potential(rho: Shallow, X: Any, Y: Any, loss: "str | losses.Loss") -> Potential:
    """The first variation of L at rho: see `Potential`.

    Parameters
    ----------
    rho : Shallow
        With one output and positive weights.
    X, Y, loss : as for `s2d.splitting_matrices`

    Returns
    -------
    Potential

    Raises
    ------
    ValueError, TypeError
        For a network that is no measure, and data that do not fit.

    Source: S2D Thm 2.5.
    """
    X, Y, loss = networks.check(_measure(rho), X, Y, loss)
    return Potential(rho.neuron, X, loss.slope(rho(X), Y)[:, 0] / len(X))


@dataclass(frozen=True, eq=False)
class Expansion:
    """A change of L[rho] and what the expansion says of it.

    Attributes
    ----------
    actual : float
        L[rho'] - L[rho].
    predicted : float
    reach : float
        The essential supremum of |theta' - theta| under the coupling; the remainder is O(reach^2)
        for the first-order expansion and O(reach^3) for the second-order one.

    Source: S2D Thms A.3 and A.4 (S2D-Thm-A.3, S2D-Thm-A.4).
    """

    actual: float
    predicted: float
    reach: float

    @property
    def remainder(self) -> float:
        return self.actual - self.predicted


def first_order(
    rho: Shallow, X: Any, Y: Any, loss: "str | losses.Loss", theta2: Any, coupling: Any
) -> Expansion:
    """L[rho'] - L[rho] = E[G_rho(theta) . mu(theta)] + O(reach^2), for any coupling of the two.

    Parameters
    ----------
    rho : Shallow
        With one output and positive weights.
    X, Y, loss : as for `s2d.splitting_matrices`
    theta2 : (l, d)
        The atoms of rho'.
    coupling : (m, l)
        Its row sums are rho's weights; its column sums are the masses of rho'.

    Returns
    -------
    Expansion

    Raises
    ------
    ValueError, TypeError
        For a network that is no measure, row sums that are not its weights, data that do not fit.

    Source: S2D Thm A.3 eq 12 (S2D-Thm-A.3).
    """
    after, mean, _, reach = _coupled(rho, theta2, coupling)
    G = potential(rho, X, Y, loss).gradient(rho.theta)
    predicted = float(np.einsum("m,md,md->", rho.weights, G, mean))
    return Expansion(_value(after, X, Y, loss) - _value(rho, X, Y, loss), predicted, reach)


def second_order(
    rho: Shallow, X: Any, Y: Any, loss: "str | losses.Loss", theta2: Any, coupling: Any
) -> Expansion:
    """L[rho'] - L[rho] = displacement + E tr(S_rho Sigma) / 2 + O(reach^3), for any coupling.

    The displacement is L[(I + mu)# rho] - L[rho], all particles moved by their conditional means;
    Sigma is the conditional covariance.

    Parameters, Returns and Raises as for `first_order`.

    Source: S2D Thm A.4 eq 13 (S2D-Thm-A.4).
    """
    after, mean, covariance, reach = _coupled(rho, theta2, coupling)
    S = potential(rho, X, Y, loss).hessian(rho.theta)
    before = _value(rho, X, Y, loss)
    moved = rho.with_arrays([rho.theta + mean, rho.weights])
    spread = 0.5 * float(np.einsum("m,mde,mde->", rho.weights, S, covariance))
    displacement = _value(moved, X, Y, loss) - before
    return Expansion(_value(after, X, Y, loss) - before, displacement + spread, reach)


def steepest_displacement(
    rho: Shallow, X: Any, Y: Any, loss: "str | losses.Loss", size: float
) -> tuple[Shallow, float]:
    """The best first-order move in the ball of radius size: every particle by size along -G / |G|.

    Each particle is normalised by its own gradient; a plain gradient step, scaled to fit the ball,
    gains less unless all w_i |G_i| that are not zero are equal. A particle with G = 0 stays where
    it is, though any move of it is as good to first order.

    Parameters
    ----------
    rho : Shallow
        With one output and positive weights.
    X, Y, loss : as for `s2d.splitting_matrices`
    size : float
        > 0: the radius of the ball.

    Returns
    -------
    moved : Shallow
    predicted : float
        -size * E |G_rho(theta)|, equal to the least change in the ball up to O(size^2).

    Raises
    ------
    ValueError, TypeError
        For a size that is not positive, and as `potential` does.

    Source: S2D Thm 2.5 a (S2D-Thm-2.5a).
    """
    size = validation.as_scalar(size, "size", above=0)
    G = potential(rho, X, Y, loss).gradient(rho.theta)
    norm = np.linalg.norm(G, axis=1)
    direction = np.divide(-G, norm[:, None], out=np.zeros_like(G), where=norm[:, None] > 0)
    moved = rho.with_arrays([rho.theta + size * direction, rho.weights])
    return moved, -size * float(rho.weights @ norm)


def steepest_splitting(
    rho: Shallow, X: Any, Y: Any, loss: "str | losses.Loss", size: float
) -> growth.Plan:
    """At a local minimum, the best move in the ball: split every particle with negative index.

    Where moving the particles still lowers the loss, to first or to second order, the plan is not
    the best move; it is not refused, because it does what it predicts anywhere.

    Parameters and Raises as for `steepest_displacement`.

    Returns
    -------
    growth.Plan
        It predicts (size^2 / 2) E[min(lam_min(S_rho), 0)] and keeps it up to O(size^4), for neurons
        with four bounded derivatives. At a local minimum that is the least change in the ball up to
        O(size^3); up to O(size^4) if moreover no smallest eigenvalue is 0, the negative ones are
        simple, and the loss is convex or its Hessian positive definite. With a tie three copies can
        gain more, at order size^3.

    Source: S2D Thm 2.5 b (S2D-Thm-2.5b, S2D-Thm-2.5b-order-new).
    """
    return s2d.decide(_measure(rho), X, Y, loss, most=len(rho.theta), size=size)


# The oracle -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class BallOptimum:
    """The best measure found in an infinity-Wasserstein ball.

    Attributes
    ----------
    parents : (k,)
        Which particle of rho each atom came from.
    theta, masses : (k, d), (k,)
        The atoms of rho'.
    change : float
        L[rho'] - L[rho].
    gap : float
        No measure in the ball does better than change - gap, as far as the search inside each
        ball of parameters found the least value of the potential there.
    nit : int
        Rounds.

    Source: S2D section 2.3.
    """

    parents: np.ndarray
    theta: np.ndarray
    masses: np.ndarray
    change: float
    gap: float
    nit: int


def best_in_ball(
    rho: Shallow,
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    size: float,
    *,
    candidates: int = 400,
    rounds: int = 30,
    tolerance: float = 1e-6,
    rng: Any = 0,
) -> BallOptimum:
    """Minimise L over all measures in the ball: an oracle that knows nothing of splitting.

    For a loss that is convex in the output, L is convex in the measure and the ball is a convex set
    of couplings, so the conditional-gradient method finds the global minimum and its duality gap
    proves it: L[rho''] - L[rho'] >= E[Psi(theta'') - Psi(theta')] with Psi the potential of rho'.
    Each round asks, for every particle of rho, which point within `size` has the least potential
    (candidates all over the ball, the best ones polished), adds it to the support, and optimises
    all masses and positions together.

    Parameters
    ----------
    rho : Shallow
        With one output and positive weights; few particles and few dimensions.
    X, Y : data
    loss : str or losses.Loss
        Convex.
    size : float
        The radius.
    candidates : int
        Points tried in every ball of parameters.
    rounds : int
        At most so many; it also ends when a round gains nothing.
    tolerance : float
        Stop when the gap is below tolerance times the change, or below rounding.
    rng : None, int, SeedSequence or Generator
        For the candidates.

    Returns
    -------
    BallOptimum

    Raises
    ------
    ValueError, TypeError
        For a loss that is not convex, options out of range, and what `potential` refuses.

    Source: S2D section 2.3, the definition of Delta* (S2D-Thm-2.5a, S2D-Thm-2.5b).
    """
    X, Y, loss = networks.check(_measure(rho), X, Y, loss)
    size = validation.as_scalar(size, "size", above=0)
    rounds = validation.as_integer(rounds, "rounds", at_least=1)
    tolerance = validation.as_scalar(tolerance, "tolerance", above=0)
    if not loss.convex:
        raise ValueError(f"best_in_ball needs a convex loss; {loss.name} is not.")
    before = loss.samples(rho(X), Y)
    search = _BallSearch(rho, X, Y, loss, size, _ball_points(rho, candidates, rng), before)
    m, d = rho.theta.shape
    cloud = (np.arange(m), np.zeros((m, d)), rho.weights)
    change = 0.0
    best, gap, rounding = search.downhill(*cloud)
    nit = 0
    while nit < rounds and gap > max(tolerance * abs(change), rounding):
        nit += 1
        parents, delta, masses = cloud
        wider = (
            np.concatenate([parents, np.arange(m)]),
            np.concatenate([delta, best]),
            np.concatenate([masses, np.zeros(m)]),
        )
        better = search.improve(*wider)
        if search.change(*better) >= change:
            break
        cloud, change = better, search.change(*better)
        best, gap, rounding = search.downhill(*cloud)
    parents, delta, masses = cloud
    return BallOptimum(parents, rho.theta[parents] + size * delta, masses, change, gap, nit)


@dataclass(frozen=True, eq=False)
class _BallSearch:
    """The functional over couplings, in the scaled displacements delta of norm at most one."""

    rho: Shallow
    X: np.ndarray
    Y: np.ndarray
    loss: losses.Loss
    size: float
    points: np.ndarray
    before: np.ndarray

    def output(self, parents: np.ndarray, delta: np.ndarray, masses: np.ndarray) -> np.ndarray:
        theta = self.rho.theta[parents] + self.size * delta
        return self.rho.neuron.value(theta, self.X) @ masses[:, None]

    def change(self, parents: np.ndarray, delta: np.ndarray, masses: np.ndarray) -> float:
        # Differences sample by sample lose less than a difference of two means.
        after = self.loss.samples(self.output(parents, delta, masses), self.Y)
        return float((after - self.before).mean())

    def potential(self, parents: np.ndarray, delta: np.ndarray, masses: np.ndarray) -> Potential:
        slope = self.loss.slope(self.output(parents, delta, masses), self.Y)[:, 0]
        return Potential(self.rho.neuron, self.X, slope / len(self.X))

    def downhill(
        self, parents: np.ndarray, delta: np.ndarray, masses: np.ndarray
    ) -> tuple[np.ndarray, float, float]:
        """For every particle the displacement of least potential; the duality gap; its rounding."""
        psi = self.potential(parents, delta, masses)
        best, gap, rounding = [], 0.0, 0.0
        for j, theta in enumerate(self.rho.theta):
            values = psi.value(theta + self.size * self.points)
            starts = self.points[np.argsort(values, kind="stable")[:4]]
            value, point = min((self._polish(psi, theta, v) for v in starts), key=lambda t: t[0])
            mine = parents == j
            here = psi.value(theta + self.size * delta[mine])
            gap += float(masses[mine] @ (here - value))
            rounding += float(masses[mine].sum() * np.abs(psi.slope).sum()) * 1e-15
            best.append(point)
        return np.array(best), max(gap, 0.0), rounding

    def _polish(
        self, psi: Potential, theta: np.ndarray, start: np.ndarray
    ) -> tuple[float, np.ndarray]:
        if not psi.slope.any():
            return 0.0, start  # The samples are fitted.
        # Of order one, so that SLSQP's absolute tolerance means something; not below rounding.
        scale = 1.0 / (np.abs(psi.slope).sum() * self.size**2)
        result = minimize(
            lambda v: scale * psi.value((theta + self.size * v)[None])[0], start,
            jac=lambda v: scale * self.size * psi.gradient((theta + self.size * v)[None])[0],
            method="SLSQP", constraints=[_IN_BALL],
            options={"ftol": 1e-14 + 1e-15 / self.size**2, "maxiter": 100},
        )  # fmt: skip
        point = result.x / max(1.0, np.linalg.norm(result.x))
        value, before = psi.value(theta + self.size * np.array([point, start]))
        return (value, point) if value < before else (before, start)

    def improve(
        self, parents: np.ndarray, delta: np.ndarray, masses: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masses first (a convex problem), then masses and positions together."""
        for move in (False, True):
            delta, masses = self._descend(parents, delta, masses, move)
            keep = masses > 1e-9 * self.rho.weights[parents]
            parents, delta, masses = parents[keep], delta[keep], masses[keep]
            masses = self._refilled(parents, masses)
        return parents, delta, masses

    def _refilled(self, parents: np.ndarray, masses: np.ndarray) -> np.ndarray:
        """Every particle's atoms share its weight exactly."""
        total = np.bincount(parents, masses, minlength=len(self.rho.theta))
        return masses * (self.rho.weights / total)[parents]

    def _descend(
        self, parents: np.ndarray, delta: np.ndarray, masses: np.ndarray, move: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        k, d = delta.shape
        slope = self.potential(parents, delta, masses).slope
        reference = abs(self.change(parents, delta, masses))
        scale = 1.0 / max(reference, self.size**2 * np.abs(slope).sum())

        def unpack(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return (z[k:].reshape(k, d) if move else delta), z[:k]

        def value(z: np.ndarray) -> float:
            return scale * self.change(parents, *unpack(z))

        def gradient(z: np.ndarray) -> np.ndarray:
            at, mass = unpack(z)
            psi = self.potential(parents, at, mass)
            theta = self.rho.theta[parents] + self.size * at
            if not move:
                return scale * psi.value(theta)
            by_point = self.size * mass[:, None] * psi.gradient(theta)
            return scale * np.concatenate([psi.value(theta), by_point.ravel()])

        rows = (parents[None] == np.arange(len(self.rho.theta))[:, None]).astype(float)
        rows = np.hstack([rows, np.zeros((len(rows), k * d if move else 0))])
        constraints: list[Any] = [
            {"type": "eq", "fun": lambda z: rows @ z - self.rho.weights, "jac": lambda z: rows}
        ]
        if move:
            constraints.append(_all_in_ball(k, d))
        start = np.concatenate([masses, delta.ravel()]) if move else masses
        bounds = [(0, None)] * k + [(None, None)] * (k * d if move else 0)
        result = minimize(
            value, start, jac=gradient, method="SLSQP", bounds=bounds, constraints=constraints,
            options={"ftol": 1e-15, "maxiter": 300},
        )  # fmt: skip
        after, mass = unpack(result.x)
        after = after / np.maximum(1.0, np.linalg.norm(after, axis=1, keepdims=True))
        mass = self._refilled(parents, np.maximum(mass, 0.0))
        # A line search that failed must not lose what there was.
        better = self.change(parents, after, mass) <= self.change(parents, delta, masses)
        return (after, mass) if better else (delta, masses)


_IN_BALL = {"type": "ineq", "fun": lambda v: 1 - v @ v, "jac": lambda v: -2 * v}


def _all_in_ball(k: int, d: int) -> dict[str, Any]:
    """Every one of k displacements that follow k masses has norm at most one."""

    def jac(z: np.ndarray) -> np.ndarray:
        J = np.zeros((k, k + k * d))
        for i, v in enumerate(z[k:].reshape(k, d)):
            J[i, k + i * d : k + (i + 1) * d] = -2 * v
        return J

    return {"type": "ineq", "fun": lambda z: 1 - (z[k:].reshape(k, d) ** 2).sum(axis=1), "jac": jac}


def _ball_points(rho: Shallow, candidates: int, rng: Any) -> np.ndarray:
    """Points of the unit ball, half of them on the sphere, and both directions of every axis."""
    candidates = validation.as_integer(candidates, "candidates", at_least=2)
    d = rho.theta.shape[1]
    v = validation.as_rng(rng).normal(size=(candidates, d))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    inside = v[::2] * np.linspace(0, 1, len(v[::2]))[:, None] ** (1 / d)
    return np.concatenate([np.eye(d), -np.eye(d), inside, v[1::2]])


# The toy network at a stationary point --------------------------------------------------------


@dataclass(frozen=True, eq=False)
class BumpMoments:
    """What decides whether a bump can be split: five moments of the residual under its window.

    With u = theta_1 x + theta_2, g = exp(-u^2 / 2) and r the slope of the loss in the bump's output
    (its outgoing weight inside), m_k = E[r g x^k]. Then everywhere, S = [[a, b, p], [b, c, q],
    [p, q, 0]] with

        a = theta_3 E[(u^2 - 1) r g x^2],    b = theta_3 E[(u^2 - 1) r g x],    p = -E[u r g x],
        c = theta_3 E[(u^2 - 1) r g],        q = -E[u r g],

    all of them combinations of the moments. The zero alone makes lam_min <= 0 for any neuron with
    an amplitude. Where all three parameters are stationary,

    - theta_3 not 0: p = q = 0 (they are gradients over theta_3), and c = 0, because
      u^2 - 1 = theta_1 (u x) + theta_2 (u) - 1 and each of the three averages to zero;
    - theta_3 = 0: a = b = c = 0.

    Either way lam_min = (a - sqrt(a^2 + 4 (b^2 + p^2 + q^2))) / 2, never positive. In cases:

    - theta_1 and theta_3 not 0: m_0 = m_1 = m_2 = 0, so b = theta_3 theta_1^2 m_3 and
      a = theta_3 (theta_1^2 m_4 + 2 theta_1 theta_2 m_3); lam_min < 0 unless m_3 = 0 and
      theta_3 m_4 >= 0;
    - theta_1 = 0, theta_3 not 0, a constant neuron: a = theta_3 (theta_2^2 - 1) m_2, and
      b = -theta_3 m_1 if theta_2 = 0, else b = m_1 = 0;
    - theta_3 = 0: lam_min = -|(p, q)|, with p = -(theta_1 m_2 + theta_2 m_1), q = -theta_1 m_1.

    The same holds where the outgoing weight is trained instead of theta_3 (not 0): the equations
    are the same three. With neither of them trained m_0 is free, and the block of theta_1, theta_2
    can be positive definite.

    Attributes
    ----------
    theta : (m, 3)
    moments : (m, 5)

    Source: S2D appendix B.1 (S2D-B.1-stationary).
    """

    theta: np.ndarray
    moments: np.ndarray

    @property
    def splitting_matrices(self) -> np.ndarray:
        """S of every bump, stationary or not, from its moments: (m, 3, 3)."""
        t1, t2, t3 = self.theta.T[:, :, None]
        m = self.moments
        by_u = t1 * m[:, 1:] + t2 * m[:, :-1]  # E[u r g x^k], k = 0 .. 3
        by_uu = t1 * by_u[:, 1:] + t2 * by_u[:, :-1]  # E[u^2 r g x^k], k = 0 .. 2
        c, b, a = (t3 * (by_uu - m[:, :3])).T
        q, p = -by_u[:, 0], -by_u[:, 1]
        zero = np.zeros_like(a)
        return np.array([[a, b, p], [b, c, q], [p, q, zero]]).transpose(2, 0, 1)

    @property
    def indices(self) -> np.ndarray:
        """lam_min of every bump, in closed form: (m,). At stationary points only."""
        S = self.splitting_matrices
        a, off = S[:, 0, 0], S[:, 0, 1] ** 2 + S[:, 0, 2] ** 2 + S[:, 1, 2] ** 2
        return 0.5 * (a - np.sqrt(a * a + 4 * off))


def bump_moments(network: Shallow, X: Any, Y: Any, loss: "str | losses.Loss") -> BumpMoments:
    """The moments that decide whether the bumps of a toy network can be split.

    Parameters
    ----------
    network : Shallow of neurons.bump
        Any weights, any number of outputs.
    X, Y, loss : as for `s2d.splitting_matrices`

    Returns
    -------
    BumpMoments

    Raises
    ------
    ValueError, TypeError
        For another network, and data that do not fit.

    Source: S2D appendix B.1; the question is S2D-B.1-stationary, the proof stands in docs/s2d.md.
    """
    X, Y, loss = networks.check(network, X, Y, loss)
    if not isinstance(network, Shallow) or network.neuron is not neurons.bump:
        raise ValueError("bump_moments is about a Shallow network of neurons.bump.")
    _, _, (sensitivity,) = networks.backpropagate(network, X, Y, loss)
    u = X * network.theta[:, 0] + network.theta[:, 1]
    weighted = sensitivity * np.exp(-0.5 * u * u)
    return BumpMoments(network.theta, weighted.T @ X ** np.arange(5))


# Small helpers --------------------------------------------------------------------------------


def _measure(rho: Shallow) -> Shallow:
    if not isinstance(rho, Shallow):
        raise TypeError(f"rho must be a networks.Shallow; got {type(rho).__name__}.")
    if rho.weights.ndim != 1 or (rho.weights <= 0).any():
        raise ValueError(
            "rho must have one output and positive weights, the masses of its atoms; "
            f"got weights of shape {rho.weights.shape}, the smallest {rho.weights.min():g}."
        )
    return rho


def _value(network: Shallow, X: Any, Y: Any, loss: "str | losses.Loss") -> float:
    return losses.get(loss).value(network(X), Y)


def _coupled(
    rho: Shallow, theta2: Any, coupling: Any
) -> tuple[Shallow, np.ndarray, np.ndarray, float]:
    """rho' as a network, the conditional moments, and the coupling's essential supremum."""
    mean, covariance = moments(_measure(rho).theta, theta2, coupling)
    coupling, theta2 = np.asarray(coupling, dtype=float), np.asarray(theta2, dtype=float)
    if np.abs(coupling.sum(axis=1) - rho.weights).max() > LINPROG_TOLERANCE * rho.weights.sum():
        raise ValueError("coupling must have the row sums rho.weights.")
    distance = np.linalg.norm(rho.theta[:, None] - theta2, axis=2)
    reach = float(distance[coupling > 0].max())
    return Shallow(theta2, coupling.sum(axis=0), rho.neuron), mean, covariance, reach


def _is_infinite(p: Any) -> bool:
    return isinstance(p, (float, np.floating)) and bool(p == np.inf)


def _transport(
    theta: Any, masses: Any, theta2: Any, masses2: Any, p: float
) -> tuple[float, float, np.ndarray]:
    """The least possible longest way, the least cost with it as unit, and an optimal coupling."""
    theta = validation.as_array(theta, "theta", ("k", "d"))
    theta2 = validation.as_array(theta2, "theta2", ("l", theta.shape[1]))
    masses = validation.as_array(masses, "masses", (len(theta),))
    masses2 = validation.as_array(masses2, "masses2", (len(theta2),))
    total = masses.sum()
    if (masses < 0).any() or (masses2 < 0).any() or total <= 0:
        raise ValueError("masses and masses2 must be non-negative, and not all zero.")
    if abs(total - masses2.sum()) > LINPROG_TOLERANCE * total:
        raise ValueError(
            f"masses and masses2 must have the same sum; got {total:.9g} and {masses2.sum():.9g}."
        )
    masses2 = masses2 * (total / masses2.sum())
    distance = np.linalg.norm(theta[:, None] - theta2, axis=2)
    longest, coupling = _bottleneck(distance, masses, masses2)
    if _is_infinite(p) or longest == 0:
        return longest, float(longest > 0), coupling
    with np.errstate(over="ignore"):
        cost = (distance / longest) ** p
    coupling = _cheapest(np.minimum(cost, DEAREST), cost < DEAREST, masses, masses2)
    used = coupling > 0
    return longest, float(coupling[used] @ cost[used]), coupling


def _cheapest(
    cost: np.ndarray, allowed: np.ndarray, masses: np.ndarray, masses2: np.ndarray
) -> np.ndarray:
    """The optimal transport plan for a cost matrix, over allowed pairs, by linear programming."""
    k, l = cost.shape
    rows = np.kron(np.eye(k), np.ones(l))
    columns = np.kron(np.ones(k), np.eye(l))
    result = linprog(
        cost.ravel(),
        A_eq=np.vstack([rows, columns]),
        b_eq=np.concatenate([masses, masses2]),
        bounds=np.column_stack([np.zeros(k * l), np.where(allowed.ravel(), np.inf, 0.0)]),
        method="highs",
        options=HIGHS,
    )
    if not result.success:
        raise RuntimeError(f"the transport problem was not solved: {result.message}")
    # What is left of a pair that is not used is rounding, and would count as a longest way.
    return np.where(result.x > 1e-12 * masses.sum(), result.x, 0.0).reshape(k, l)


def _bottleneck(
    distance: np.ndarray, masses: np.ndarray, masses2: np.ndarray
) -> tuple[float, np.ndarray]:
    """The least c that some coupling stays within, by bisection over the distances that occur."""
    levels = np.unique(distance)
    everywhere = np.ones_like(distance, dtype=bool)
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        beyond = (distance > levels[middle]).astype(float)
        coupling = _cheapest(beyond, everywhere, masses, masses2)
        if (coupling * beyond).sum() <= LINPROG_TOLERANCE * masses.sum():
            high = middle
        else:
            low = middle + 1
    beyond = (distance > levels[high]).astype(float)
    coupling = _cheapest(beyond, everywhere, masses, masses2)
    return float(levels[high]), np.where(beyond > 0, 0.0, coupling)
