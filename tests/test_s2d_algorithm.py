"""S2D, Algorithm 1: which neurons are split, what that costs, and what is refused.

Oracles: every subset of neurons, networks small enough for hand, and numbers that count their own
multiplications.
"""

from itertools import combinations

import numpy as np
import pytest
import strategies
from augmented import EXACT, SLOPE, change, close, pair
from by_hand import parabola, polynomial, scalar_problem
from examples import deep_problem, shallow_problem

from refgrow import growth, networks, neurons, s2d, train

FOUND = 1e-4  # constants given to four digits


# Algorithm 1 -------------------------------------------------------------------------------------


@pytest.mark.statement("S2D-Alg-1")
@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_alg_1_chooses_the_best_subset(seed, most, evidence):
    """Exhaustive: every set of at most m* neurons, each split along its own gradient or not."""
    problem = deep_problem((2, 3, 3), seed=seed, outputs=2)
    eps = 1e-3
    indices = [s2d.splitting_indices(S) for S in s2d.splitting_matrices(*problem)]
    every = [(l, j) for l, (lam, _) in enumerate(indices) for j in range(len(lam))]
    own = {(l, j): pair(l, j, indices[l][1][j]) for l, j in every}
    subsets = [c for k in range(most + 1) for c in combinations(every, k)]
    changes = {c: change(problem, [own[n] for n in c], eps) for c in subsets}
    best = min(changes, key=changes.get)
    plan = s2d.decide(*problem, most=most, size=eps)
    chosen = tuple(sorted((e.layer, e.neuron) for e in plan.edits))
    evidence(best=str(best), change=changes[best], predicted=plan.predicted())
    assert chosen == best and plan.order == 2 and plan.remainder == 4
    assert abs(plan.predicted() - changes[best]) < 1e-3 * abs(changes[best])
    # Random directions and neurons do no better.
    rng = np.random.default_rng(0)
    for _ in range(50):
        picked = rng.permutation(len(every))[:most]
        splits = []
        for l, j in (every[k] for k in picked):
            v = rng.normal(size=problem[0].arrays[l].shape[1])
            splits.append(pair(l, j, v / np.linalg.norm(v)))
        assert change(problem, splits, eps) > changes[best]
    # Negative control: the neurons with the largest indices are another set.
    worst = sorted(every, key=lambda n: -indices[n[0]][0][n[1]])[:most]
    assert changes[tuple(sorted(worst))] > changes[best]


@pytest.mark.statement("S2D-Alg-1")
@pytest.mark.parametrize("hidden", ["deep", "one layer, indices of both signs"])
def test_alg_1_threshold_and_budget(hidden, evidence):
    problem = deep_problem((2, 3, 3), seed=0, outputs=2)
    if hidden != "deep":
        problem = shallow_problem("ridge(gaussian)", m=6, d=1, loss="exponential")
    stacks = s2d.splitting_matrices(*problem)
    lam = np.sort(np.concatenate([s2d.splitting_indices(S)[0] for S in stacks]))
    negative = lam[lam < 0]
    everyone = s2d.decide(*problem, most=99)
    evidence(negative_indices=len(negative), neurons=len(lam))
    assert len(everyone.edits) == len(negative) > 2
    assert (len(negative) == len(lam)) == (hidden == "deep")
    assert abs(everyone.coefficient - negative.sum() / 2) < EXACT
    # "Smaller than" in the text, "at most" in the algorithm: at the edge itself, and beside it.
    for threshold, count in ((lam[1], 2), (lam[1] * 1.01, 1), (lam[1] * 0.99, 2), (2 * lam[0], 0)):
        assert len(s2d.decide(*problem, most=99, threshold=threshold).edits) == count
    assert "at most" in s2d.decide(*problem, threshold=2 * lam[0]).message
    for edit in everyone.edits:
        v = edit.directions[0]
        assert np.array_equal(edit.fractions, [0.5, 0.5])
        assert np.array_equal(edit.directions[1], -v) and abs(np.linalg.norm(v) - 1) < EXACT
        Sv = stacks[edit.layer][edit.neuron] @ v
        assert close(Sv, (v @ Sv) * v, EXACT)


ANYTHING = ("bump", "particle(0.8)", "distance", "ridge(tanh)", "ridge(sine)", "mlp")


@pytest.mark.statement("S2D-Alg-1")
@pytest.mark.parametrize("name", ANYTHING)
def test_alg_1_rounding_is_not_split(name, evidence):
    # A fit perfect but for the last bit of the targets: S is rounding throughout.
    rng = np.random.default_rng(0)
    split, missed, kept = 0, 0, 0
    for _ in range(20):
        d = 1 if name == "bump" else 2
        X = rng.normal(size=(20, d))
        if name == "mlp":
            shapes = ((3, 3), (4, 4), (2, 5))
            net = networks.MLP([rng.normal(size=shape) for shape in shapes], "tanh")
        else:
            theta = rng.normal(size=(3, 3 if name == "bump" else 2))
            net = networks.Shallow(theta, rng.normal(size=3), strategies.family(name))
        F = net(X)
        last_bit = np.nextafter(F, F + rng.normal(size=F.shape))
        [*stacks] = s2d.splitting_matrices(net, X, last_bit, "squared")
        assert min(s2d.splitting_indices(S)[0].min() for S in stacks) < 0
        split += len(s2d.decide(net, X, last_bit, "squared").edits)
        # Residuals of 1e-9 are no rounding: what is negative is split.
        near = F + 1e-9 * rng.normal(size=F.shape)
        stacks = s2d.splitting_matrices(net, X, near, "squared")
        if min(s2d.splitting_indices(S)[0].min() for S in stacks) < -1e-11:
            kept += 1
            missed += not s2d.decide(net, X, near, "squared").edits
    evidence(split_for_nothing=split, missed=missed)
    assert split == 0 and missed == 0 and kept > 10


@pytest.mark.statement("S2D-Alg-1")
def test_alg_1_an_index_of_zero_is_not_split(evidence):
    # With lambda* = 0 the print splits at lam_min = 0, for nothing: here the fit is perfect, S = 0.
    net, X, _, loss = shallow_problem("bump")
    plan = s2d.decide(net, X, net(X), loss, most=2)
    evidence("message of the plan", plan.message)
    assert plan.edits == () and plan.coefficient == 0 and plan.predicted() == 0
    assert plan.message == "No neuron's splitting index is negative: none is split."
    [S] = s2d.splitting_matrices(net, X, net(X), loss)
    assert not S.any()
    # Zero up to the rounding of an eigenvalue; and negative, however little.
    rng = np.random.default_rng(0)
    for d in (2, 5, 40):
        for _ in range(20):
            spectrum = np.concatenate([[0.0], rng.random(d - 1)])
            assert s2d.best_split(strategies.with_spectrum(spectrum, rng)).gain == 0
            spectrum[0] = -1e-9
            gain = s2d.best_split(strategies.with_spectrum(spectrum, rng)).gain
            assert abs(gain + 1e-9) < 1e-14
    # The bump's five-sample minimum: S = diag(4.8, 0, 0), the zeros being sums that cancel.
    x = np.arange(-2.0, 3.0)
    y = np.exp(-(x**2) / 2) - np.array([1, -4, 6, -4, 1]) * np.exp(x**2 / 2)
    stuck = networks.Shallow([[1.0, 0.0, 1.0]], [1.0], neurons.bump)
    [[S]] = s2d.splitting_matrices(stuck, x[:, None], y[:, None], "squared")
    assert close(S, np.diag([4.8, 0, 0]), EXACT)
    assert s2d.decide(stuck, x[:, None], y[:, None], "squared").edits == ()
    # And so the loop of growing ends with a status, not with an error.
    _, history = train.fit_and_grow(net, X, net(X), loss, decide=s2d.decide, growths=3, steps=0)
    assert history.status == train.NOTHING_TO_GROW and history.plans == ()
    assert history.message == plan.message


@pytest.mark.statement("S2D-Alg-1")
def test_alg_1_ties_and_smallest_sizes():
    # Equal neurons: the first is split, and the last may take its place without loss or gain.
    net, X, Y, loss = shallow_problem("ridge(tanh)", m=1, seed=1)
    twins = networks.Shallow(np.tile(net.theta, (3, 1)), np.full(3, net.weights[0] / 3), net.neuron)
    lam, v = s2d.splitting_indices(s2d.splitting_matrices(twins, X, Y, loss)[0])
    assert close(lam[0], lam[2], EXACT) and lam[0] < 0
    changes = [change((twins, X, Y, loss), [pair(0, j, v[j])], 0.01) for j in range(3)]
    assert close(changes[0], changes[2], EXACT)
    # An exact tie of indices, Phi(s) = s and the same parameter twice: the earlier one.
    fall = parabola(-1.0, slope=0.0)
    tied = s2d.decide(*scalar_problem(fall, [0.5, 0.5, 0.5]), most=2)
    assert [e.neuron for e in tied.edits] == [0, 1]
    # A tie within a neuron, S = -I: any unit direction has the same gain.
    best = s2d.best_split(-np.eye(3))
    assert best.gain == -1 and abs(np.linalg.norm(best.directions[0]) - 1) < EXACT
    # One neuron, one sample, one dimension.
    one = networks.Shallow([[0.5]], [1.0], neurons.ridge("quadratic"))
    plan = s2d.decide(one, [[1.0]], [[1.0]], "squared")
    assert plan.edits[0].directions.tolist() == [[1.0], [-1.0]]
    assert close(plan.coefficient, 0.5 * (0.25 - 1.0) * 2.0, EXACT)
    # No hidden layer: nothing to split, which is an answer.
    assert s2d.decide(networks.MLP([np.ones((1, 3))]), np.ones((2, 2)), np.ones((2, 1)),
                      "squared").edits == ()  # fmt: skip


@pytest.mark.statement("S2D-Alg-1b")
def test_alg_1_unequal_weights(evidence):
    # sigma = theta^3/6, Phi(s) = s: S_rho = theta exactly. Particles at -1 and -2 of weights 0.9
    # and 0.1: S_rho, without the weight, ranks the second first; the gains are 0.45 and 0.1 eps^2.
    cubic = polynomial([0, 0, 0, 1 / 6])
    problem = scalar_problem(cubic, [-1.0, -2.0], weights=[0.9, 0.1])
    [S] = s2d.splitting_matrices(*problem)
    printed = S[:, 0, 0] / problem[0].weights
    changes = [change(problem, [pair(0, j, [1.0])], 0.1) for j in (0, 1)]
    evidence(printed_indices=printed, changes=changes)
    assert close(printed, [-1, -2], EXACT) and close(changes, [-0.0045, -0.001], EXACT)
    [edit] = s2d.decide(*problem).edits
    assert edit.neuron == 0 and printed[0] > printed[1]
    # The same in MMD, at a stable point: 3/8 of the sample at each of +-0.45, 1/8 at 100 +- 0.9.
    points = np.array([0.45] * 3 + [-0.45] * 3 + [100.9, 99.1])[:, None]
    theta, weights = np.array([[0.0], [100.0]]), np.array([0.75, 0.25])
    assert np.abs(s2d.mmd_gradient(theta, weights, points, 1.0)).max() < EXACT
    matrices = s2d.mmd_splitting_matrices(theta, weights, points, 1.0)[:, 0, 0]
    printed = matrices / weights
    before = s2d.mmd_squared(theta, weights, points, 1.0)
    changes = []
    for j in (0, 1):
        copies = np.vstack([theta, theta[[j]] - 0.05])
        copies[j] += 0.05
        shared = np.append(weights, weights[j] / 2)
        shared[j] /= 2
        changes.append(s2d.mmd_squared(copies, shared, points, 1.0) - before)
    evidence(printed_indices=printed, changes=changes)
    assert np.abs(printed - [-0.4189, -0.4366]).max() < FOUND
    # Stable: the second derivatives 2 w^2 + w lam, the self term being constant, are positive.
    assert np.abs(2 * weights**2 + matrices - [0.811, 0.0158]).max() < 1e-3
    assert np.abs(np.array(changes) - [-3.90e-4, -1.36e-4]).max() < 1e-6
    problem = s2d.mmd_regression(points, 1.0, lowest=-1, highest=101)
    net = networks.Shallow(theta, weights, problem.neuron)
    [edit] = s2d.decide(net, problem.X, problem.Y, "squared").edits
    assert edit.neuron == 0


# Cost --------------------------------------------------------------------------------------------


class Counted:
    """A number that counts the multiplications it takes part in."""

    count = 0

    def __init__(self, value):
        self.value = float(value)

    def __float__(self):
        return self.value

    def _with(self, other, operation, products=0):
        Counted.count += products
        return Counted(operation(self.value, float(other)))

    def __add__(self, other):
        return self._with(other, float.__add__)

    def __sub__(self, other):
        return self._with(other, float.__sub__)

    def __mul__(self, other):
        return self._with(other, float.__mul__, 1)

    def __truediv__(self, other):
        return self._with(other, float.__truediv__, 1)

    def __pow__(self, other):
        return self._with(other, float.__pow__, 1)

    def exp(self):
        return Counted(np.exp(self.value))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other):
        return Counted(float(other) - self.value)


def counted(array):
    return np.vectorize(Counted, otypes=[object])(array)


def products_to_form(m, n, d):
    """Multiplications of refgrow's own formula for m particles' matrices over n samples."""
    rng = np.random.default_rng(0)
    theta, X, C = (counted(rng.normal(size=s)) for s in ((m, d), (n, d), (m, n)))
    Counted.count = 0
    neurons.particle(1.0).hessian(theta, X, C)
    return Counted.count


def products_to_reduce(d):
    """Multiplications of Householder's tridiagonalisation, the bulk of an eigenproblem."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(d, d))
    A = counted(A + A.T)
    Counted.count = 0
    for k in range(d - 2):
        x = A[k + 1 :, k]
        v = x.copy()
        norm = np.sqrt(float((x * x).sum()))
        v[0] = v[0] + np.copysign(norm, float(v[0]))
        v = v * (1 / np.sqrt(float((v * v).sum())))
        p = A[k + 1 :, k + 1 :] @ v
        q = (p - v * (v * p).sum()) * 2.0
        A[k + 1 :, k + 1 :] = A[k + 1 :, k + 1 :] - np.outer(v, q) - np.outer(q, v)
    return Counted.count


@pytest.mark.statement("S2D-Cost")
def test_cost_is_dominated_by_the_data(evidence):
    # Forming: m n d^2, linear in neurons and in samples, quadratic in parameters.
    assert products_to_form(4, 4, 8) == 2 * products_to_form(2, 4, 8)
    four, eight, twelve = (products_to_form(1, n, 8) for n in (4, 8, 12))
    order = np.log2(products_to_form(1, 2, 48) / products_to_form(1, 2, 24))
    evidence(products_a_sample=(eight - four) / 4, order_in_d_of_forming=order)
    assert twelve - eight == eight - four and 8**2 <= (eight - four) / 4 <= 8**2 + 3 * 8
    assert abs(order - 2) < SLOPE
    # The eigenproblem: d^3, once, whatever the number of samples.
    order = np.log2(products_to_reduce(48) / products_to_reduce(24))
    evidence(order_in_d_of_the_eigenproblem=order)
    assert abs(order - 3) < SLOPE
    # So "n d^3" leaves out what costs most as soon as there are more samples than parameters: one
    # neuron of one parameter has no eigenproblem at all, and n products at least.
    assert products_to_form(1, 100, 1) >= 100 and products_to_reduce(1) == 0
    forming, reducing = products_to_form(1, 64, 8), products_to_reduce(8)
    evidence(forming_64_samples_of_8=forming, reducing_8=reducing)
    assert forming > 4 * reducing
    # The eigenproblem of the whole Hessian, N = 4 neurons x 8: about 4^2 times the four small ones.
    ratio = products_to_reduce(32) / (4 * reducing)
    evidence(whole_over_small=ratio)
    assert 12 < ratio < 24


# Errors ------------------------------------------------------------------------------------------


def test_refusals():
    problem = shallow_problem("bump")
    net, X, Y, loss = problem
    for options, message in (
        ({"most": 0}, "most must be an integer >= 1"),
        ({"threshold": 0.1}, "threshold must be a finite number <= 0"),
        ({"size": 0.0}, "size must be a finite number > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            s2d.decide(*problem, **options)
    with pytest.raises(TypeError, match=r"networks\.Shallow or networks\.MLP"):
        s2d.decide(None, X, Y, loss)
    with pytest.raises(ValueError, match="Y"):
        s2d.splitting_matrices(net, X, Y[:, 0], loss)
    with pytest.raises(ValueError, match="symmetric"):
        s2d.splitting_indices([[0.0, 1.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="S must"):
        s2d.best_split(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="layer must be below 1"):
        s2d.decompose(*problem, [pair(1, 0, np.ones(3))], 0.1)
    with pytest.raises(ValueError, match="neuron must be below 2"):
        s2d.decompose(*problem, [pair(0, 2, np.ones(3))], 0.1)
    with pytest.raises(ValueError, match="named twice"):
        s2d.decompose(*problem, [pair(0, 0, np.ones(3))] * 2, 0.1)
    with pytest.raises(TypeError, match=r"growth\.Split; got Prune"):
        s2d.decompose(*problem, [growth.Prune(0, (0,))], 0.1)
    with pytest.raises(ValueError, match="weights"):
        s2d.mmd_squared([[0.0]], [1.0, 2.0], [[0.0]], 1.0)
    with pytest.raises(ValueError, match="points must"):
        s2d.mmd_squared([[0.0]], [1.0], [[0.0, 1.0]], 1.0)
    with pytest.raises(ValueError, match="bandwidth must be a finite number > 0"):
        s2d.mmd_splitting_matrices([[0.0]], [1.0], [[0.0]], 0.0)
    with pytest.raises(ValueError, match="highest must be a finite number > 5"):
        s2d.mmd_regression([[0.0]], 1.0, lowest=5, highest=3)


@pytest.mark.parametrize("kind", ["bump", "ridge", "deep"])
def test_numbers_that_overflow_are_laid_to_the_network_and_the_data(kind):
    X, Y = np.array([[0.5], [1.0]]), np.zeros((2, 1))
    net = {
        "bump": networks.Shallow(np.ones((2, 3)), np.full(2, 1e308), neurons.bump),
        "ridge": networks.Shallow(np.ones((2, 1)), np.full(2, 1e308), neurons.ridge("tanh")),
        "deep": networks.MLP([np.ones((2, 2)), np.full((1, 3), 1e308)]),
    }[kind]
    mend = r" overflows at this network and these data\. Rescale X, Y or the network's weights\."
    for function in (s2d.decide, s2d.splitting_matrices):
        with pytest.raises(ValueError, match="^the gradient of the loss" + mend):
            function(net, X, Y, "squared")
    if kind != "bump":
        # Only the matrix overflows, which has the square of X.
        tame = net.with_arrays([1e-160 * net.arrays[0], np.ones_like(net.arrays[1])])
        with pytest.raises(ValueError, match="^a splitting matrix" + mend):
            s2d.decide(tame, X * 1e160, Y, "squared")
