"""The comparison of all methods: that it is fair, and what its verdicts are computed from."""

import numpy as np
import pytest

from figures import comparison, comparison_cells, style
from refgrow import growth, losses, tiny, tiny_growth, train

RBF = {
    "data": "RBF", "loss": "squared", "samples": 60, "tests": 40, "batch_size": None,
    "widths": [2, 3, 4], "steps": 6, "spread": 1.5, "biases": 1.5,
    "path": {"width": 8, "targets": [3, 4], "nu": 5.0, "lam": 0.02, "step": 0.05, "steps": 12},
}  # fmt: skip
DIGITS = {
    **RBF, "data": "rendered digits", "content": "", "loss": "softmax_cross_entropy", "pooled": 4,
    "batch_size": 20, "widths": [2, 4], "steps": 30, "spread": 1.0, "biases": 0.0,
    "path": {"width": 8, "targets": [3, 4], "nu": 5.0, "lam": 0.1, "step": 0.02, "steps": 40},
}  # fmt: skip
UNTIMED = tuple(c for c in comparison_cells.COLUMNS if c not in ("seconds", "deciding"))


def run(task, method, seed=0):
    return comparison_cells.run(task=task, method=method, seed=seed, learning_rate=0.02)


# ---- fairness ------------------------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.parametrize("task", [RBF, DIGITS], ids=["RBF", "digits"])
def test_growing_networks_start_alike_and_grow_alike(task):
    results = {method: run(task, method) for method in comparison_cells.GROWING}
    first = results["S2D"]
    for result in results.values():
        # The first phase is the same; each growth adds as many, to the widths that are asked for.
        for name in ("loss", "test loss", "parameters"):
            assert result[name][0] == first[name][0]
        assert result["width"].tolist() == task["widths"]
        assert (np.diff(result["seconds"]) > 0).all()
        assert result["deciding"][0] == 0 and (result["deciding"][1:] > 0).all()
        assert (result["deciding"] <= result["seconds"]).all()
    lasts = [result["loss"][-1] for result in results.values()]
    assert len(set(lasts)) == len(lasts)  # they are different methods


@pytest.mark.compiled
def test_all_take_the_same_number_of_steps(monkeypatch):
    taken = []
    fit = train.fit

    def counting(*arguments, **options):
        taken.append(options["steps"])
        return fit(*arguments, **options)

    monkeypatch.setattr(train, "fit", counting)
    total = RBF["steps"] * len(RBF["widths"])
    for method in (*comparison_cells.GROWING, comparison_cells.FIXED):
        taken.clear()
        run(RBF, method)
        assert sum(taken) - 1 == total, method  # less the step that loads compiled loops
    taken.clear()
    result = run(RBF, comparison_cells.PRUNING)
    assert taken[:2] == [1, RBF["path"]["steps"]] and len(taken) == 2 + len(result["loss"])
    assert all(total - RBF["path"]["steps"] <= steps < total for steps in taken[2:])


@pytest.mark.compiled
@pytest.mark.parametrize("method", ["S3D", "TINY", "TINY, cutoff", "random", "SplitLBI"])
def test_the_same_seed_gives_the_same_losses(method):
    once, again, other = run(RBF, method), run(RBF, method), run(RBF, method, seed=1)
    for name in UNTIMED:
        np.testing.assert_array_equal(once[name], again[name])
    assert other["loss"].tolist() != once["loss"].tolist()


@pytest.mark.compiled
@pytest.mark.parametrize("task", [RBF, DIGITS], ids=["RBF", "digits"])
def test_supports_have_at_most_the_widths_asked_for(task):
    result = run(task, comparison_cells.PRUNING)
    assert 0 < len(result["width"]) <= 2
    assert (result["width"] <= task["path"]["targets"][-len(result["width"]) :]).all()
    assert (result["largest weight"] > 0).all()


def test_a_path_that_finds_nothing_leaves_no_row():
    task = {**RBF, "path": {**RBF["path"], "lam": 1e3}}
    result = run(task, comparison_cells.PRUNING)
    assert set(result) == set(comparison_cells.COLUMNS) and len(result["loss"]) == 0
    assert comparison.ends([result]).tolist() == [np.inf]


# ---- sizes ---------------------------------------------------------------------------------------


@pytest.mark.compiled
@pytest.mark.parametrize("method", [m for m in comparison_cells.GROWING if m != "GradMax"])
def test_sizes_lower_the_loss_and_gradmax_changes_nothing(method):
    X, Y, *_ = comparison_cells.problem(RBF, 3)
    network, loss = comparison_cells.start(RBF, 3, 3), losses.get("squared")
    before = loss.value(network(X), Y)
    plan = comparison_cells.decision(method, 1, np.random.default_rng(0))(network, X, Y, loss)
    assert loss.value(growth.apply(network, plan)(X), Y) < before
    still = comparison_cells.decision("GradMax", 1, np.random.default_rng(0))(network, X, Y, loss)
    assert loss.value(growth.apply(network, still)(X), Y) == pytest.approx(before, rel=1e-12)


def test_where_no_size_helps_the_neurons_are_added_all_the_same():
    X, Y, *_ = comparison_cells.problem(RBF, 0)
    network, loss = comparison_cells.start(RBF, 0, 2), losses.get("squared")
    uphill = growth.Plan((growth.Add(0, [[1.0, 0.0]], [[0.0]]),), 0.01, 0.0, 1, 2)
    found = comparison_cells._searched(lambda *_: uphill)(network, X, Y, loss)
    assert found.size == 0.01 and growth.apply(network, found).widths == (3,)
    with_move = growth.Plan((growth.Move(1, [[0.0, 0.0, 0.0]]), *uphill.edits), 0.01, 0.0, 1, 2)
    found = comparison_cells._searched(lambda *_: with_move)(network, X, Y, loss)
    assert [type(edit) for edit in found.edits] == [growth.Add]
    downhill = growth.Plan((growth.Move(1, [[0.0, 0.0, (Y - network(X)).mean()]]),), 0.01, 0, 1, 2)
    found = comparison_cells._searched(lambda *_: downhill)(network, X, Y, loss)
    assert found.edits == downhill.edits and found.size == pytest.approx(1, abs=0.05)
    nothing = growth.Plan((), 0.01, 0.0, 1, 2)
    assert comparison_cells._searched(lambda *_: nothing)(network, X, Y, loss) is nothing


def test_tiny_adds_small_neurons_without_a_move_where_no_amplitude_helps():
    small = growth.Plan((growth.Add(0, [[1.0, 0.0]], [[1.0]]),), 0.01, -1.0, 1, 2)
    alone = (growth.Move(1, [[1.0, 0.0]]),)
    for edits in ((), alone):
        asked = []

        def decide(*_, asked=asked, edits=edits, **options):
            asked.append(options)
            return growth.Plan(edits, 1.0, 0.0, 1, 2) if options.get("line_search") else small

        assert comparison_cells._always(decide)(None, None, None, None) is small
        assert asked == [{"line_search": True}, {"old_weights": "fixed"}]


def test_the_cutoff_is_the_one_that_is_stated_and_bounds_the_move():
    stated = comparison.settings(True)["cutoff"].value
    assert stated == {"TINY": None, "TINY, cutoff": tiny_growth.STABLE} and tiny_growth.STABLE > 0
    X, Y, *_ = comparison_cells.problem(RBF, 2)
    network, loss = comparison_cells.start(RBF, 2, 6), losses.get("squared")
    hidden = np.tanh(X @ network.arrays[0][:, :-1].T + network.arrays[0][:, -1])
    B = np.column_stack([hidden, np.ones(len(X))])
    # A solution without singular values below cutoff * |B| is at most |V| / (cutoff * |B|).
    bound = np.linalg.norm(Y - network(X)) / tiny_growth.STABLE / np.linalg.norm(B, 2)
    for method, cutoff in stated.items():
        plan = comparison_cells.decision(method, 1, np.random.default_rng(0))(network, X, Y, loss)
        direct = tiny.decide(network, X, Y, loss, layer=0, most=1, line_search=True, cutoff=cutoff)
        [move] = [edit.direction for edit in plan.edits if isinstance(edit, growth.Move)]
        [same] = [edit.direction for edit in direct.edits if isinstance(edit, growth.Move)]
        np.testing.assert_array_equal(move, same)
        assert (plan.size * np.linalg.norm(move) > bound) == (method == "TINY")


# ---- data ----------------------------------------------------------------------------------------


def test_pixels_are_pooled_by_means():
    X = np.arange(2 * 784, dtype=float).reshape(2, 784)
    pooled = comparison_cells._pooled(X, 2)
    assert pooled.shape == (2, 196)
    assert (
        pooled[0, 0] == np.mean([0, 1, 28, 29]) and pooled[1, -1] == X[1, [-1, -2, -29, -30]].mean()
    )
    np.testing.assert_array_equal(comparison_cells._pooled(X, 1), X)


def test_targets_are_of_unit_variance_and_differ_by_seed():
    X, Y, X_test, Y_test = comparison_cells.problem(RBF, 0)
    assert (X.shape, Y.shape, X_test.shape) == ((60, 1), (60, 1), (40, 1))
    together = np.concatenate([Y, Y_test])
    assert together.mean() == pytest.approx(0, abs=1e-12) and together.std() == pytest.approx(1)
    assert not np.allclose(Y, comparison_cells.problem(RBF, 1)[1])
    one, other = (comparison_cells.problem(DIGITS, seed)[0] for seed in (0, 1))
    assert one is other


# ---- verdicts ------------------------------------------------------------------------------------


def result(loss, seconds=1.0, deciding=0.1, width=8):
    last = {"loss": loss, "test loss": 2 * loss, "width": width, "parameters": 3 * width,
            "accuracy": 0.5, "largest weight": 1.0, "seconds": seconds}  # fmt: skip
    found = {name: np.array([1.0, value]) for name, value in last.items()}
    return {**found, "deciding": np.array([0.0, deciding])}


def compared(**losses_of):
    """Data of the figure with one seed; methods not named end at loss 0.5."""
    runs = {m: [result(losses_of.get(m, 0.5))] for m in comparison_cells.METHODS}
    return {"task": {"rates": dict.fromkeys(runs, 0.01), "runs": runs}}


def test_verdicts_of_the_comparison():
    def shares(data):
        return [claim.share for claim in comparison.claims(data)]

    data = compared(TINY=0.1, fixed=0.3, SplitLBI=0.4)
    assert shares(data) == [1, 6 / 7, 1, 1, 1, 1, 0, 0, *[0] * 6]
    data = compared(TINY=0.6, S3D=0.7, SplitLBI=0.6, fixed=0.1)  # Negative control: all turned.
    runs = data["task"]["runs"]
    runs["S2D"] = [result(0.5, deciding=0.2)]
    runs["fixed"] = [result(0.1, seconds=2.0)]
    assert shares(data) == [0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 1]
    assert {claim.statement for claim in comparison.claims(data)} == set(comparison.STATEMENTS)


def test_verdicts_on_the_cutoff():
    def shares(data):
        return [claim.share for claim in comparison.claims(data)][-6:]

    data = compared(**{"TINY, cutoff": 0.1, "random": 0.2, "GradMax": 0.05, "TINY": 0.3})
    assert shares(data) == [1, 0, 1] * 2
    for kept in data["task"]["runs"]["TINY, cutoff"]:
        kept["test loss"] = np.array([1.0, 0.5])  # of the others: twice their loss on samples
    assert shares(data) == [1, 0, 1, 0, 0, 1]


def test_the_best_rate_of_each_method_is_taken():
    def fake(function, cells):
        loss = {0.006: 0.3, 0.02: 0.2, 0.06: 0.4, 0.003: 0.3, 0.01: 0.2, 0.03: 0.1}
        return [result(loss[cell["learning_rate"]]) for cell in cells]

    data = comparison.compute(comparison.settings(True), fake)
    rates = [set(found["rates"].values()) for found in data.values()]
    assert rates == [{0.02}, {0.03}]
    for found in data.values():
        assert set(found["runs"]) == set(comparison_cells.METHODS)
        assert all(len(runs) == 10 for runs in found["runs"].values())


def test_all_methods_have_a_look_and_measured_seconds_stand_apart():
    assert set(comparison.LOOKS) == set(comparison_cells.METHODS)
    tables = comparison.tables(compared())
    assert "seconds" in tables["measured"][0] and "seconds" not in tables["losses"][0]
    assert all(len(row) == len(head) for head, rows in tables.values() for row in rows)
    assert "seconds" in comparison.summary(compared())


def drawn(**losses_of):
    """The panels of the figure, as methods and limits."""
    with style.applied():
        return comparison.plot(compared(**losses_of) | {"other": compared()["task"]}).axes


def test_who_leaves_a_panel_is_named_and_the_others_fill_it():
    axes = drawn(**{"TINY": 1e8, "random, with update": 1e3, "fixed": 0.01})
    for axis in axes[:3]:  # all start at 1
        assert axis.get_title() == "above: TINY; random, with update"
        low, high = axis.get_ylim()
        assert high == 2 and 0.001 < low < 0.01
    for axis in (*axes[3:], *drawn(TINY=0.9)[:3]):  # at most 1.8 on tests: nobody leaves
        assert axis.get_title() == "" and axis.get_autoscaley_on()


def test_cells_are_told_all_they_depend_on():
    asked = []
    comparison.compute(
        comparison.settings(False),
        lambda function, cells: asked.extend(cells) or [result(0.5)] * len(cells),
    )
    assert len(asked) == 2 * 5 * len(comparison_cells.METHODS)
    assert all(set(cell) == {"task", "method", "seed", "learning_rate"} for cell in asked)
