"""SplitLBI as a library: the compiled run, states and shapes, stopping, warnings, refusals."""

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from splitlbi_problems import problems, walk
from strategies import generators

from refgrow import sparse_steps, splitlbi
from refgrow import splitlbi_theory as theory

EXACT = 1e-12  # Identities over some tens of steps with numbers of order one.


@settings(max_examples=40)
@given(problems(momentum=True), st.integers(1, 7))
def test_run_is_step_after_step(problem, every):
    state, S, beta = problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = splitlbi.run(state, S, S @ beta, steps=20, every=every)
    states = walk(state, S, beta, 20)
    scale = 1 + np.abs(beta).max() + max(np.abs(s.W).max() + np.abs(s.V).max() for s in states)
    recorded = splitlbi.path([states[k] for k in sorted({*range(0, 20, every), 20})])
    np.testing.assert_array_equal(found.path.steps, recorded.steps)
    for name in ("W", "Gamma", "V", "density"):
        ours, other = getattr(found.path, name), getattr(recorded, name)
        np.testing.assert_allclose(ours, other, rtol=0, atol=EXACT * scale)
    whole = splitlbi.path(states)
    # What is not recorded is not known: an entry is seen at the next record.
    for early, late in zip(whole.first_entry, recorded.first_entry, strict=True):
        assert late == -1 or (late >= early >= 0 and late in recorded.steps)
        if early >= 0 and (whole.last_exit == -1).all():
            assert late == recorded.steps[recorded.steps >= early][0]
    np.testing.assert_array_equal(found.path.first_entry, whole.first_entry)
    np.testing.assert_array_equal(found.path.last_exit, whole.last_exit)
    assert found.nit == found.state.count == 20 and found.success
    # A run in two parts is one run.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        half = splitlbi.run(state, S, S @ beta, steps=9).state
        again = splitlbi.run(half, S, S @ beta, steps=11).state
    np.testing.assert_allclose(again.W, found.state.W, rtol=0, atol=EXACT * scale)
    np.testing.assert_allclose(again.V, found.state.V, rtol=0, atol=EXACT * scale)


def test_run_stops_where_it_is_told_to():
    state = splitlbi.init(np.zeros(3), step=0.3, nu=1.0)
    S, b = np.eye(3), np.array([3.0, 1.0, 0.2])
    half = splitlbi.run(state, S, b, steps=1000, density=0.6)
    assert half.status == splitlbi.DENSE and half.success
    assert splitlbi.density(half.state) == half.path.density[-1] == 2 / 3
    assert half.path.first_at(0.6) == len(half.path.steps) - 1 and half.path.first_at(1.0) is None
    np.testing.assert_array_equal(splitlbi.mask(half.state), [True, True, False])
    np.testing.assert_array_equal(splitlbi.project(half.state) != 0, [True, True, False])
    # Free entries do not count.
    part = splitlbi.init(np.zeros(3), step=0.3, nu=1.0, groups=[[0], [2]])
    found = splitlbi.run(part, S, b, steps=1000, density=0.5)
    assert splitlbi.density(found.state) == found.path.density[-1] == 0.5
    still = splitlbi.run(state, S, b, steps=5000, gtol=1e-10)
    assert still.status == splitlbi.STATIONARY and still.nit < 5000
    assert np.abs(still.state.W - b).max() < 1e-9
    short = splitlbi.run(state, S, b, steps=5, gtol=1e-10)
    assert short.status == splitlbi.STEPS_TAKEN and not short.success and short.nit == 5
    assert splitlbi.run(state, S, b, steps=0).path.steps.tolist() == [0]


def test_a_run_beyond_the_proven_step_warns_and_keeps_its_last_finite_state():
    state = splitlbi.init([0.0], step=0.99, nu=1.0)
    with pytest.warns(UserWarning, match=r"step = 0.99 is not below 0.763932, the largest") as seen:
        found = splitlbi.run(state, [[1.0]], [3.0], steps=10**4)
    assert seen[0].filename == __file__
    assert found.status == splitlbi.DIVERGED and not found.success and 0 < found.nit < 10**4
    assert np.isfinite(found.state.W).all() and np.isfinite(found.state.V).all()
    assert abs(found.state.W[0]) > 1e100 and found.state.count == found.path.steps[-1] == found.nit
    assert np.isfinite(found.path.W).all() and "smaller step" in found.message
    # The bound itself is not proven, the number below it is.
    bound = splitlbi.largest_step(1.0, 1.0, 1.0)
    with pytest.warns(UserWarning, match="is not below"):
        splitlbi.run(splitlbi.init([0.0], step=bound, nu=1.0), [[1.0]], [3.0], steps=1)
    below = splitlbi.init([0.0], step=np.nextafter(bound, 0), nu=1.0)
    splitlbi.run(below, [[1.0]], [3.0], steps=1)
    # Momentum halves what is proven; below it there is no warning (which would be an error here).
    for tau, decay in ((0.5, 0.0), (0.9, 0.01)):
        edge = theory.largest_momentum_step(1.0, 1.0, 1.0, tau, decay)
        for share in (0.99, 1.01):
            state = splitlbi.init([0.0], step=share * edge, nu=1.0, momentum=tau, decay=decay)
            if share < 1:
                splitlbi.run(state, [[1.0]], [3.0], steps=3)
            else:
                with pytest.warns(UserWarning, match="largest one proven"):
                    splitlbi.run(state, [[1.0]], [3.0], steps=3)


@pytest.mark.filterwarnings("ignore:step = .* is not below:UserWarning")
@pytest.mark.parametrize(
    "W0, groups, step, kappa, S, b",
    [
        ([0.0, 0.0], [[0, 1]], 0.99, 1.0, np.eye(2), [3.0, 1.0]),  # squares overflow long before
        ([0.0, 0.0], [[0, 1]], 0.099, 10.0, np.eye(2), [3.0, 1.0]),
        ([0.0, 0.0], None, 1e3, 1.0, np.diag([1.0, 50.0]), [1.0, 1.0]),
        ([0.0], None, 1e200, 1.0, [[1.0]], [3.0]),  # the second step is minus infinity
        ([0.0, 0.0, 1.0], [[2, 0]], 1e3, 1.0, np.diag([1.0, 50.0, 2.0]), [1.0, 1.0, 0.0]),
    ],
)
def test_a_run_that_diverges_ends_at_its_last_finite_iterate(W0, groups, step, kappa, S, b):
    S, b = np.asarray(S), np.asarray(b)
    state = splitlbi.init(W0, step=step, nu=1.0, kappa=kappa, groups=groups)
    found = splitlbi.run(state, S, b, steps=10**5)
    assert found.status == splitlbi.DIVERGED and 0 < found.nit == found.state.count < 10**5
    for what in ("W", "V", "Gamma", "velocity"):
        assert np.isfinite(getattr(found.state, what)).all(), what
    for what in ("W", "V", "Gamma", "density"):
        assert np.isfinite(getattr(found.path, what)).all(), what
    # The size of an iterate makes no group leave.
    assert found.path.last_exit.max() < 50
    assert splitlbi.density(found.state) == found.path.density[-1] == (found.nit > 1)
    # It is the last one: the next is not finite, and no earlier one was kept.
    for _ in range(found.nit):
        state = splitlbi.step(state, S @ state.W - b)
    for what in ("W", "V", "velocity"):
        ours, other = getattr(found.state, what), getattr(state, what)
        np.testing.assert_allclose(ours, other, rtol=1e-6)
    with np.errstate(over="ignore", invalid="ignore"):
        after = splitlbi.step(state, S @ state.W - b)
        sizes = [np.abs(getattr(after, what)).sum() for what in ("W", "V", "velocity")]
        assert not sum(sizes) + kappa * sizes[1] < np.inf


@pytest.mark.filterwarnings("ignore:step = .* is not below:UserWarning")
@pytest.mark.parametrize("groups", [None, [[0]]])
def test_an_iterate_whose_gamma_alone_overflows_is_not_kept(groups):
    # The coupling cancels the gradient: W stays, V becomes 5e307, and kappa V has no number.
    state = splitlbi.init([1e10], step=5e297, nu=1.0, kappa=10.0, groups=groups)
    found = splitlbi.run(state, [[1.0]], [2e10], steps=5)
    assert found.status == splitlbi.DIVERGED and found.nit == 0
    assert np.isfinite(found.path.Gamma).all() and found.state.Gamma[0] == 0
    after = splitlbi.run(replace(state, kappa=1.0), [[1.0]], [2e10], steps=1).state
    assert after.V[0] == 5e307 and after.W[0] == 1e10


def test_a_run_follows_a_schedule_of_steps():
    S, b, rng = np.diag([1.0, 2.0]), np.array([3.0, -1.0]), np.random.default_rng(0)
    start = splitlbi.init([0.5, -1.0], step=0.3, nu=1.0, groups=[[0, 1]], momentum=0.3, decay=0.01)
    schedule = rng.uniform(0.01, 0.2, size=40)
    found = splitlbi.run(start, S, b, steps=40, schedule=schedule)
    states = [start]
    for alpha in schedule:
        states.append(splitlbi.step(states[-1], S @ states[-1].W - b, alpha))
    for what in ("W", "V", "Gamma"):
        expected = [getattr(state, what) for state in states]
        np.testing.assert_allclose(getattr(found.path, what), expected, rtol=0, atol=EXACT)
    assert found.state.step == 0.3 and found.path.first_entry[0] > 0
    # Negative control: in another order it is another path; a constant schedule is the plain run.
    other = splitlbi.run(start, S, b, steps=40, schedule=schedule[::-1])
    assert np.abs(other.path.V[20] - found.path.V[20]).max() > 1e-2
    plain, constant = (
        splitlbi.run(start, S, b, steps=40, schedule=rates) for rates in (None, [0.3] * 40)
    )
    np.testing.assert_array_equal(plain.path.W, constant.path.W)
    # The largest of the schedule is what must be proven.
    with pytest.warns(UserWarning, match="step = 0.9 is not below"):
        splitlbi.run(start, S, b, steps=3, schedule=[0.1, 0.9, 0.1])
    with pytest.raises(ValueError, match=r"schedule must have shape \(3,\); .* size for each step"):
        splitlbi.run(start, S, b, steps=3, schedule=[0.1, 0.1])
    with pytest.raises(ValueError, match=r"schedule must be > 0; got 0\.0 at index 1"):
        splitlbi.run(start, S, b, steps=3, schedule=[0.1, 0.0, 0.1])


@pytest.mark.parametrize("every", [1, 3])
def test_records_that_outgrow_their_room_are_those_of_one_run(monkeypatch, every):
    Sigma = np.array([[1, 0, 0.6], [0, 1, 0.6], [0.6, 0.6, 1]])
    step = 0.5 * splitlbi.largest_step(1.85, 0.3, 20.0)
    state = splitlbi.init(np.zeros(3), nu=0.3, kappa=20.0, step=step, groups=[[0], [1], [2]])
    whole = splitlbi.run(state, Sigma, Sigma @ [1.0, 1.0, -0.02], steps=1500, every=every)
    assert whole.path.last_exit[2] > whole.path.first_entry[2] > 0  # one leaves on the way
    schedule = np.full(1500, step)
    # The third is full just before the step at which it leaves.
    for room in (1, 100, 3 * (int(whole.path.last_exit[2]) - 1)):
        monkeypatch.setattr(sparse_steps, "RECORDS", room)
        parts = splitlbi.run(
            state, Sigma, Sigma @ [1.0, 1.0, -0.02], steps=1500, every=every, schedule=schedule
        )
        for what in ("steps", "W", "V", "Gamma", "density", "first_entry", "last_exit"):
            np.testing.assert_array_equal(getattr(parts.path, what), getattr(whole.path, what))
        assert parts.nit == whole.nit and parts.status == whole.status


def test_a_run_until_stationary_needs_no_room_for_all_its_steps():
    state = splitlbi.init(np.zeros(3), step=0.3, nu=1.0)
    options = {"gtol": 1e-10}
    far = splitlbi.run(state, np.eye(3), [3.0, 1.0, 0.2], steps=10**12, **options)
    near = splitlbi.run(state, np.eye(3), [3.0, 1.0, 0.2], steps=5000, every=10**30, **options)
    assert far.status == splitlbi.STATIONARY and far.nit == near.nit
    assert len(far.path.steps) == far.nit + 1 and near.path.steps.tolist() == [0, near.nit]


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=3),
       generators)  # fmt: skip
def test_lists_of_arrays_are_one_vector(shapes, rng):
    parts = [rng.normal(size=shape) for shape in shapes if shape] or [rng.normal(size=2)]
    grads = [rng.normal(size=part.shape) for part in parts]
    flat = np.concatenate([p.ravel() for p in parts])
    groups = [np.arange(len(flat))[::2]] if len(flat) > 1 else None
    state = splitlbi.init(parts, step=0.1, groups=groups, V0=[3 * p for p in parts], momentum=0.5)
    plain = splitlbi.init(flat, step=0.1, groups=groups, V0=3 * flat, momentum=0.5)
    for _ in range(3):
        state = splitlbi.step(state, grads)
        plain = splitlbi.step(plain, np.concatenate([g.ravel() for g in grads]))
    for name in ("W", "V", "Gamma"):
        arrays = getattr(state, name)
        assert [a.shape for a in arrays] == [p.shape for p in parts]
        np.testing.assert_array_equal(
            np.concatenate([a.ravel() for a in arrays]), getattr(plain, name)
        )
    assert [m.dtype for m in splitlbi.mask(state)] == [bool] * len(parts)
    if groups is not None:  # Free entries: momentum descent, no coupling, Gamma = W.
        free = np.setdiff1d(np.arange(len(flat)), groups[0])
        g = np.concatenate([g.ravel() for g in grads])[free]
        expected = flat[free] - 0.1 * (g + 1.5 * g + 1.75 * g)
        np.testing.assert_allclose(plain.W[free], expected, rtol=0, atol=EXACT)
        np.testing.assert_array_equal(plain.Gamma[free], plain.W[free])
        assert splitlbi.mask(plain)[free].all()


@settings(max_examples=40)
@given(generators, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2))
def test_groups_of_one_size_are_rows_of_an_array(rng, number, size, free):
    n = number * size + free
    rows = rng.permutation(n)[: number * size].reshape(number, size)
    V, W0 = 2 * rng.normal(size=n), rng.normal(size=n)
    one, two = (
        splitlbi.init(W0, step=0.3, lam=0.5, groups=groups, V0=V) for groups in (rows, list(rows))
    )
    rows[:] = 0  # the state has its own
    for _ in range(5):
        g = rng.normal(size=n)
        one, two = splitlbi.step(one, g), splitlbi.step(two, g)
        for what in ("W", "V", "Gamma"):
            np.testing.assert_array_equal(getattr(one, what), getattr(two, what))
        np.testing.assert_array_equal(splitlbi.mask(one), splitlbi.mask(two))
    np.testing.assert_array_equal(np.stack(two.groups), one.groups)
    again = splitlbi.init(W0, step=0.3, lam=0.5, groups=one.groups, V0=V)
    assert splitlbi.density(again) == splitlbi.density(splitlbi.init(
        W0, step=0.3, lam=0.5, groups=two.groups, V0=V))  # fmt: skip


@settings(max_examples=40)
@given(generators, st.integers(2, 6))
def test_groups_of_one_entry_are_the_lasso_to_the_last_bit(rng, n):
    W0, V0 = rng.normal(size=n), 2 * rng.normal(size=n)
    free = n  # one entry more, that no group lists
    lasso = splitlbi.init(W0, step=0.3, lam=0.5, V0=V0, momentum=0.5, decay=0.01)
    single, pair = (
        splitlbi.init(np.append(W0, 1.0), step=0.3, lam=0.5, V0=np.append(V0, 0.0), groups=groups,
                      momentum=0.5, decay=0.01)
        for groups in (np.arange(n)[:, None], [np.arange(n)])
    )  # fmt: skip
    for _ in range(10):
        g = rng.normal(size=n)
        lasso = splitlbi.step(lasso, g)
        single, pair = (splitlbi.step(state, np.append(g, 1.0)) for state in (single, pair))
        for what in ("W", "V", "Gamma"):
            np.testing.assert_array_equal(getattr(single, what)[:n], getattr(lasso, what))
        np.testing.assert_array_equal(splitlbi.mask(single)[:n], splitlbi.mask(lasso))
        # What a step takes for Gamma is what the state shows.
        assert splitlbi.density(single) == np.mean(lasso.Gamma != 0)
        assert splitlbi.mask(single)[free] and single.Gamma[free] == single.W[free]
    assert not np.array_equal(pair.Gamma[:n], lasso.Gamma) or not lasso.Gamma.any()


def test_states_are_records():
    W0 = np.array([1.0, 2.0])
    state = splitlbi.init(W0, step=0.1, groups=[[1, 0]])
    W0[:] = 9
    np.testing.assert_array_equal(state.W, [1, 2])
    after = splitlbi.step(state, np.ones(2))
    np.testing.assert_array_equal(state.W, [1, 2])
    assert state.count == 0 and after.count == 1
    with pytest.raises(ValueError, match="read-only"):
        after.W[0] = 1
    copy = pickle.loads(pickle.dumps(after))
    np.testing.assert_array_equal(copy.W, after.W)
    np.testing.assert_array_equal(splitlbi.step(copy, np.ones(2)).V,
                                  splitlbi.step(after, np.ones(2)).V)  # fmt: skip
    kept = splitlbi.snapshot(after)
    after.parameters[:] = 0
    assert (kept.W != 0).all()
    # Nested lists of numbers are an array.
    assert splitlbi.init([[1, 2], [3, 4]], step=1).W.shape == (2, 2)
    assert len(splitlbi.init([np.ones(2), [3.0, 4.0]], step=1).W) == 2
    # Float32, integers, Fortran order and read-only input are accepted.
    odd = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    odd.flags.writeable = False
    np.testing.assert_array_equal(splitlbi.init(odd, step=1).W, odd)


def test_path_takes_another_step_but_no_other_constant():
    changed = splitlbi.optimizer(nu=1.0).step(splitlbi.init([0.0], step=0.1, nu=1.0), [1.0], 0.05)
    assert changed.step == 0.05
    found = splitlbi.path([splitlbi.init([0.0], step=0.1, nu=1.0), changed])
    assert found.steps.tolist() == [0, 1]


START, OTHER = splitlbi.init([1.0], step=0.1), splitlbi.init([1.0], step=0.1, nu=3.0)
AFTER = splitlbi.step(START, [1.0])


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: splitlbi.prox([1.0, 2.0], [[0]], 1.0), ValueError, "cover all 2 .* index 1"),
        (lambda: splitlbi.prox([1.0, 2.0], [[0, 1], [1]], 1.0), ValueError, "overlap; .* index 1"),
        (lambda: splitlbi.prox([1.0, 2.0], [[0, 0], [1]], 1.0), ValueError, "overlap"),
        (lambda: splitlbi.prox([1.0, 2.0], [[0, 2]], 1.0), ValueError, "0 to 1; got 2 in group 0"),
        (lambda: splitlbi.prox([1.0, 2.0], [[0, -1]], 1.0), ValueError, "got -1"),
        (lambda: splitlbi.prox([1.0, 2.0], [[0, 1], []], 1.0), TypeError, r"groups\[1\] .* dtype"),
        (lambda: splitlbi.prox([1.0], [], 1.0), ValueError, "at least one group"),
        (lambda: splitlbi.prox([1.0, 2.0], np.array([[0], [2]]), 1.0), ValueError, "2 in group 1"),
        (lambda: splitlbi.prox([1.0, 2.0], np.array([[0], [0]]), 1.0), ValueError, "overlap"),
        (lambda: splitlbi.prox([1.0], np.zeros((1, 0), int), 1.0), ValueError, "not be empty"),
        (lambda: splitlbi.prox([1.0], np.zeros((1, 1)), 1.0), TypeError, "dtype float64"),
        (lambda: splitlbi.prox([1.0], "lasso", 1.0), TypeError, "None or a list"),
        (lambda: splitlbi.prox([1.0], [[0.0]], 1.0), TypeError, "integer indices; got dtype"),
        (lambda: splitlbi.prox([1.0], 3, 1.0), TypeError, "None or a list of arrays"),
        (lambda: splitlbi.prox([np.nan], None, 1.0), ValueError, "V must be finite"),
        (lambda: splitlbi.prox([1.0], None, -1.0), ValueError, "lam must be .* >= 0"),
        (lambda: splitlbi.init([1.0], step=0.0), ValueError, "step must be .* > 0"),
        (lambda: splitlbi.init([1.0], step=1.0, nu=0.0), ValueError, "nu must be .* > 0"),
        (lambda: splitlbi.init([1.0], step=1.0, kappa=-1.0), ValueError, "kappa must be .* > 0"),
        (lambda: splitlbi.init([1.0], step=1.0, momentum=1.0), ValueError, "momentum .* < 1"),
        (lambda: splitlbi.init([1.0], step=1.0, decay=1.0), ValueError, "decay .* < 1"),
        (lambda: splitlbi.init([1j], step=1.0), TypeError, "real numbers"),
        (lambda: splitlbi.init([], step=1.0), ValueError, "W0 must not be empty"),
        (lambda: splitlbi.init([[1.0], [1.0, 2.0]], step=1.0), ValueError, "rectangular"),
        (lambda: splitlbi.init([1.0], step=1.0, V0=[1.0, 2.0]), ValueError, "V0 must have"),
        (lambda: splitlbi.step(splitlbi.init([1.0], step=1.0), [1.0, 2.0]), ValueError, "gradient"),
        (lambda: splitlbi.step(splitlbi.init([1.0], step=1.0), [np.inf]), ValueError, "finite"),
        (lambda: splitlbi.step(splitlbi.init([1.0], step=1.0), [1.0], 0.0), ValueError, "step"),
        (lambda: splitlbi.step([1.0], [1.0]), TypeError, "splitlbi.State"),
        (lambda: splitlbi.mask(3), TypeError, "splitlbi.State"),
        (lambda: splitlbi.path([]), ValueError, "at least one"),
        (lambda: splitlbi.path(3), TypeError, "list of states"),
        (lambda: splitlbi.path([AFTER, START]), ValueError, "order .* step 0 after one of step 1"),
        (lambda: splitlbi.path([START, START]), ValueError, "order of their training"),
        (lambda: splitlbi.path([START, splitlbi.step(OTHER, [1.0])]), ValueError, "different nu"),
        (lambda: splitlbi.optimizer(watch=3), TypeError,
         r"watch must be a function \(state\); got 3"),
        (lambda: splitlbi.path([splitlbi.init([1.0], step=1.0), splitlbi.init([1.0, 2], step=1)]),
         ValueError, "one training"),
        (lambda: splitlbi.largest_step(-1.0, 1.0, 1.0), ValueError, "lipschitz"),
        (lambda: splitlbi.largest_step(1.0, 0.0, 1.0), ValueError, "nu must be"),
        (lambda: splitlbi.largest_step(1.0, np.nan, 1.0), ValueError, "nu must be"),
        (lambda: splitlbi.largest_step(1.0, 1.0, 0.0), ValueError, "kappa must be"),
        (lambda: splitlbi.run(splitlbi.init([1.0], step=0.1), [[1.0, 0], [0, 1]], [1.0], steps=1),
         ValueError, "S must have shape"),
        (lambda: splitlbi.run(splitlbi.init([1.0], step=0.1), [[1.0]], [1.0], steps=1, density=0),
         ValueError, "density"),
        (lambda: theory.flow(-1.0, 1.0, 1.0, nu=1.0, kappa=1.0), ValueError, "h must be >= 0"),
        (lambda: theory.irrepresentable(np.eye(2), [0], [2.0]), ValueError, "signs must be"),
        (lambda: theory.irrepresentable(np.eye(2), [0], [1.0], kappa=2.0), ValueError, "magnitud"),
        (lambda: theory.subgradient(splitlbi.init([1.0, 2], step=1, groups=[[0]])), ValueError,
         "free entries"),
        (lambda: theory.prox_step(splitlbi.init([1.0], step=1, momentum=0.5), [1.0]), ValueError,
         "without momentum"),
        (lambda: theory.limit_problem([[1.0], [1.0]], [1.0, 2.0], splitlbi.init([1.0], step=1)),
         ValueError, "full row rank"),
        (lambda: theory.limit_problem([[1.0, 0], [1, 0]], [1.0, 1.0],
                                      splitlbi.init([0.0, 0], step=1)),
         ValueError, "full row rank"),
        (lambda: theory.limit_problem([[1.0]], [1.0], splitlbi.init([0.0], step=1, momentum=0.9)),
         ValueError, "limit is without momentum and decay; got momentum = 0.9, decay = 0"),
        (lambda: theory.limit_problem([[1.0]], [1.0], splitlbi.init([0.0], step=1, decay=0.1)),
         ValueError, "got momentum = 0, decay = 0.1"),
        (lambda: theory.split_hessian(np.diag([1.0, -1.0]), 1.0), ValueError, "semi-definite"),
        (lambda: theory.split_hessian(np.diag([1.0, -0.3]), 1.0), ValueError, "eigenvalue is -0.3"),
        (lambda: theory.inverse_scale_space(np.diag([1.0, -0.3]), [1.0, 1.0]), ValueError,
         "semi-definite"),
        (lambda: theory.irrepresentable(np.diag([1.0, -5.0]), [0], [1.0]), ValueError,
         "Sigma must be positive semi-definite"),
        (lambda: theory.irrepresentable(np.ones((3, 3)), [0, 1], [1.0, 1.0]), ValueError,
         "Sigma must be positive definite on the support"),
        (lambda: theory.irrepresentable(np.eye(3), [0, 0], [1.0, 1.0]), ValueError,
         r"each index once; got \[0, 0\]"),
        (lambda: theory.irrepresentable(np.eye(3), 0, [1.0]), ValueError, "support must be a list"),
        (lambda: theory.irrepresentable(np.eye(3), [], []), ValueError, "one index; got none"),
        (lambda: theory.irrepresentable(np.eye(3), [3], [1.0]), ValueError, "0 to 2; got 3"),
        (lambda: theory.irrepresentable(np.eye(3), [0.0], [1.0]), TypeError, "integer indices"),
        (lambda: theory.irrepresentable(np.eye(2), [0], [1.0], kappa=2.0, magnitudes=[-1.0]),
         ValueError, "magnitudes must be >= 0; got -1.0"),
        (lambda: theory.mirror_limit(-1.0, 1.0, 1.0, kappa=1.0), ValueError, "h must be >= 0"),
        (lambda: theory.flow([1.0, 2.0], [1.0, 2.0, 3.0], 1.0, nu=1.0, kappa=1.0), ValueError,
         r"h, beta, W0, V0 must broadcast; got the shapes h \(2,\), beta \(3,\)"),
        (lambda: theory.mirror_limit([1.0, 2.0], 1.0, 1.0, kappa=1.0, V0=np.ones(3)), ValueError,
         r"must broadcast; .* V0 \(3,\)"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
