"""The arithmetic of TINY's figures on digits: what the verdicts are computed from."""

import numpy as np
import pytest

from figures import (
    lbi_digits,
    tiny_bottleneck_map,
    tiny_digits,
    tiny_fig5_growth,
    tiny_fig8_training_time,
    tiny_fig11_strengths,
    tiny_fig13_random,
    tiny_nograd,
)
from refgrow import baselines, growth, networks, tiny, tiny_greedy, tiny_growth, train

# Small trainings with the settings of the figures, so that each takes a fraction of a second.
DATA = {"data": "rendered digits", "samples": 200, "tests": 100, "pixels": 14}
SMALL = {**DATA, "content": "", "limit": 200, "activation": "selu", "batch_size": 50, "seed": 1}
RUN = {**SMALL, "widths": [1, 1], "steps": 30, "rate": 1e-3, "every": 5}
GROWN = {**RUN, "rounds": 2, "interval": 10}
# Sums in another order.
ROUNDING = 1e-9
# A secant over 1e-6 of the size, against the slope.
SECANT = 1e-4


def images(samples=200):
    X, Y, *_ = tiny_digits.digits(*DATA.values())
    return X[:samples], Y[:samples]


def network(widths=(3, 4), seed=1):
    return tiny_digits.start(seed, 196, widths, "selu")


# ---- digits --------------------------------------------------------------------------------------


def test_small_images_are_means_of_blocks():
    whole = lbi_digits.digits("rendered digits", 200, 100)
    found = tiny_digits.digits(*DATA.values())
    assert found[0].shape == (200, 196) and found[2].shape == (100, 196)
    blocks = whole[0].reshape(200, 28, 28)
    assert found[0][7, 14 * 3 + 5] == pytest.approx(blocks[7, 6:8, 10:12].mean(), rel=ROUNDING)
    assert found[0][7, 14 * 3 + 5] != pytest.approx(blocks[7, 5:7, 10:12].mean(), rel=ROUNDING)
    np.testing.assert_array_equal(found[1], whole[1])
    np.testing.assert_array_equal(tiny_digits.digits(*DATA.values())[0], found[0])


def test_the_start_is_kaiming_normal_and_depends_on_the_seed_alone():
    one = network((300, 100))
    np.testing.assert_array_equal(one.arrays[0], network((300, 100)).arrays[0])
    assert not np.allclose(one.arrays[0], network((300, 100), seed=2).arrays[0])
    for W, inputs in zip(one.arrays, (196, 300, 100), strict=True):
        assert W[:, :-1].std() == pytest.approx((2 / inputs) ** 0.5, rel=0.1)
        assert (W[:, -1] == 0).all()


# ---- extending a layer ---------------------------------------------------------------------------


def test_as_many_neurons_as_the_rank_not_as_the_shape():
    widths, found = [1, 1], [[1, 1]]
    for _ in range(8):
        for layer in range(2):
            widths[layer] += tiny_digits.most(tiny_digits.start(0, 784, widths, "selu"), layer)
        found.append(list(widths))
    assert found == tiny_greedy.final_widths(8, count="rank").widths.tolist()
    assert found != tiny_greedy.final_widths(8).widths.tolist() and found[6] == [91, 44]


@pytest.mark.parametrize("method", tiny_digits.METHODS)
@pytest.mark.parametrize("layer", [0, 1])
def test_an_extended_layer_has_that_many_more_neurons_and_a_lower_loss(method, layer):
    (X, Y), before = images(), network((6, 5), seed=2)
    rng = np.random.default_rng(0)
    after, plan = tiny_digits.extended(before, X, Y, layer, method, rng)
    assert plan.edits
    assert after.widths[layer] == before.widths[layer] + tiny_digits.most(before, layer)
    assert after.widths[1 - layer] == before.widths[1 - layer]
    assert tiny_digits.mean_loss(after, X, Y) < tiny_digits.mean_loss(before, X, Y)


def test_where_no_size_of_the_neurons_lowers_the_loss_old_weights_still_move(monkeypatch):
    """One rule for the best and for random neurons."""
    (X, Y), before = images(), network()
    update = tiny_digits.best_update_plan(before, X, Y, 2)
    moved = growth.apply(before, update, tiny_digits.searched(before, update, X, Y))
    draw = baselines.random_neurons

    def uphill(*args, **options):
        plan = draw(*args, **options)
        (add,) = plan.edits
        other = growth.Add(add.layer, add.fan_in, -1e3 * add.fan_out)
        return growth.Plan((other,), 1.0, 1.0, 1, 2)

    def refused(method, seed=0):
        return tiny_digits.extended(before, X, Y, 1, method, np.random.default_rng(seed))

    monkeypatch.setattr(baselines, "random_neurons", uphill)
    after, plan = refused(tiny_digits.RANDOM)
    expected = growth.apply(before, plan)
    assert [type(edit) for edit in plan.edits] == [growth.Move]
    for one, two, three in zip(after.arrays, moved.arrays, expected.arrays, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(one, three)
    after, plan = refused(tiny_digits.RANDOM_FIXED)
    assert after is before and plan.edits == ()
    # The best neurons do help here: a search that finds nothing takes the place of the real one.
    search = tiny._amplitude

    def without_neurons(activity, loss, moves, adds, *rest):
        return 0.0 if adds else search(activity, loss, moves, adds, *rest)

    monkeypatch.setattr(tiny, "_amplitude", without_neurons)
    after, plan = refused(tiny_digits.BEST)
    assert [type(edit) for edit in plan.edits] == [growth.Move]
    for one, two in zip(after.arrays, moved.arrays, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-9)
    assert tiny_digits.mean_loss(after, X, Y) < tiny_digits.mean_loss(before, X, Y)
    after, plan = refused(tiny_digits.BEST_FIXED)
    assert after is before and plan.edits == ()


@pytest.mark.parametrize("method", [*tiny_digits.OLD_WEIGHTS, tiny_digits.RANDOM])
def test_the_cutoff_reaches_the_neurons_and_the_old_weights(method):
    (X, Y), before = images(), network((6, 5), seed=2)
    norms = [
        sum(np.linalg.norm(W) for W in tiny_digits.extended(
            before, X, Y, 0, method, np.random.default_rng(0), cutoff)[0].arrays)
        for cutoff in (None, 0.2)
    ]  # fmt: skip
    assert norms[1] < norms[0]


def test_old_weights_stay_where_they_are_said_to():
    (X, Y), before = images(), network()
    for method in tiny_digits.METHODS:
        after, _ = tiny_digits.extended(before, X, Y, 0, method, np.random.default_rng(0))
        same = np.array_equal(after.arrays[1][:, :3], before.arrays[1][:, :3])
        assert same == (method in (tiny_digits.BEST_FIXED, tiny_digits.RANDOM_FIXED))


def test_strengths_are_those_of_the_best_neurons_for_what_old_weights_leave():
    (X, Y), net = images(), network((6, 5))
    _, plan = tiny_digits.extended(net, X, Y, 1, tiny_digits.BEST, None)
    found = tiny_growth.strengths(net, plan, X)
    inputs, V = net.forward(X).inputs, tiny.desired_updates(net, X, Y, tiny_digits.LOSS)[2]
    rest = V - inputs[2] @ tiny.best_update(inputs[2], V).T
    expected = tiny.best_neurons(inputs[1], rest, len(found)).strengths
    np.testing.assert_allclose(found, expected, rtol=ROUNDING)
    # Negative control: without the projection.
    assert not np.allclose(found, tiny.best_neurons(inputs[1], V, len(found)).strengths, rtol=0.01)
    nothing = growth.Plan((), 1.0, 0.0, 1, 2)
    assert tiny_growth.strengths(net, nothing, X).size == 0


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_best_update_alone_lowers_the_loss_as_it_says(layer):
    (X, Y), net = images(), network((6, 5))
    plan = tiny_digits.best_update_plan(net, X, Y, layer)
    losses = [tiny_digits.mean_loss(growth.apply(net, plan, s), X, Y) for s in (0.0, 1e-6)]
    assert (losses[1] - losses[0]) / 1e-6 == pytest.approx(plan.coefficient, rel=SECANT)
    assert plan.coefficient < 0


def test_the_search_is_that_of_the_whole_network():
    (X, Y), net = images(), network((6, 5))
    _, add = tiny_digits.extended(net, X, Y, 0, tiny_digits.RANDOM_FIXED, np.random.default_rng(3))
    for plan in (add, tiny_digits.best_update_plan(net, X, Y, 1)):
        size = tiny_digits.searched(net, plan, X, Y)
        whole = tiny.amplitude(
            lambda s, p=plan: tiny_digits.mean_loss(growth.apply(net, p, s), X, Y)
        )
        assert size == pytest.approx(whole, rel=ROUNDING) and size > 0
    # Negative control: the way up has no size.
    (move,) = plan.edits
    up = growth.Plan((growth.Move(1, -move.direction),), 1.0, 1.0, 1, 2)
    assert tiny_digits.searched(net, up, X, Y) == 0
    with pytest.raises(TypeError, match="one Move or one Add"):
        tiny_digits.searched(net, growth.Plan((growth.Prune(0, (1,)),), 1.0, 0.0, 0, 1), X, Y)


# ---- trainings -----------------------------------------------------------------------------------


@pytest.mark.compiled
def test_a_training_without_rounds_is_that_of_fit():
    result = tiny_digits.trained(**{**RUN, "widths": [3, 4]})
    X, Y, X_test, Y_test = tiny_digits.digits(*DATA.values())
    rng = np.random.default_rng(tiny_digits.seed_for("TINY digits", "batches", 1))
    fitted, _ = train.fit(network(), X, Y, tiny_digits.LOSS, steps=30, learning_rate=1e-3,
                          batch_size=50, rng=rng)  # fmt: skip
    assert result["test"][-1] == networks.accuracy(fitted, X_test, Y_test)
    assert result["loss"][-1] == tiny_digits.mean_loss(fitted, X, Y)
    assert result["steps"].tolist() == [0, 5, 10, 15, 20, 25, 30]
    assert (np.diff(result["seconds"]) > 0).all() and result["widths"].tolist() == [[3, 4]]


@pytest.mark.compiled
def test_every_layer_is_extended_in_turn_after_an_interval():
    result = tiny_digits.trained(**GROWN, mapped=True)
    assert result["steps"].tolist() == [0, 5, 10, 10, 15, 20, 20, 25, 30]
    assert (np.diff(result["seconds"]) > 0).all()
    np.testing.assert_array_equal(result["widths"][1] - result["widths"][0], result["neurons"][0])
    np.testing.assert_array_equal(result["widths"][2] - result["widths"][1], result["neurons"][1])
    assert (result["after"] <= result["before"]).all() and result["after"].shape == (2, 2)
    assert result["drawn"].tolist() == [[100, 100], [200, 200]]  # of 1400 and 316
    fewer = tiny_digits.trained(**{**GROWN, "limit": 150})
    assert fewer["drawn"].tolist() == [[100, 100], [150, 150]]
    assert result["largest"].shape == (2, 2) and (result["largest"] >= result["mean"]).all()
    desired, reachable, lack, neurons = np.moveaxis(result["bottlenecks"], -1, 0)
    assert desired.shape == (3, 3)
    np.testing.assert_allclose(reachable + lack, desired, rtol=ROUNDING)
    assert (neurons <= lack).all() and (neurons[:, 0] == 0).all()


@pytest.mark.compiled
def test_without_an_interval_networks_are_extended_and_trained_afterwards():
    result = tiny_digits.trained(**{**GROWN, "interval": 0, "estimation": "all", "limit": 10**6})
    assert result["steps"].tolist() == [0, 0, 0, 5, 10, 15, 20, 25, 30]
    assert (result["drawn"] == 200).all()
    # Nothing happens between the layers, nor between the rounds.
    assert result["before"][0, 1] == result["after"][0, 0]
    assert result["before"][1, 0] == result["after"][0, 1]


# ---- looks ---------------------------------------------------------------------------------------


def runs(tests, steps=(0, 10, 20), seconds=(0.0, 1.0, 2.0), **more):
    """Results with these accuracies by seed."""
    return [
        {"test": np.array(row), "steps": np.array(steps), "seconds": np.array(seconds),
         "loss": 1 - np.array(row), **more}
        for row in tests
    ]  # fmt: skip


def test_seconds_are_medians_of_stretches():
    results = runs([[0, 0, 0]] * 3)
    results[0]["seconds"] = np.array([0.0, 50.0, 51.0])  # disturbed once
    np.testing.assert_allclose(tiny_digits.clock(results), [0, 1, 2])
    assert tiny_digits.by_seed(results, "seconds").mean(axis=0)[1] > 10  # what a mean would say


def test_accuracies_at_a_step_and_at_a_time():
    results = runs([[0.0, 0.4, 0.5, 0.9]], steps=(0, 10, 10, 20), seconds=(0.0, 1.0, 3.0, 4.0))
    assert tiny_digits.at_step(results, 10) == [0.5]  # the later look: the network has grown
    assert tiny_digits.at_step(results, 19) == [0.5] and tiny_digits.at_step(results, 20) == [0.9]
    assert tiny_digits.at_time(results, 2.0) == pytest.approx([0.45])
    assert tiny_digits.at_time(results, 9.0) == [0.9]


def test_figures_share_their_trainings():
    def seen(module):
        asked = []

        def run(function, cells):
            asked.extend(cells)
            return [tiny_digits.trained(**{**c, **DATA, "batch_size": 50, "steps": 4, "every": 2,
                                           "rounds": min(c["rounds"], 1), "interval": 1})
                    for c in cells]  # fmt: skip

        settings = dict(module.settings(False))
        settings["seeds"] = type(settings["seeds"])([0], "ours")
        data = module.compute(settings, run)
        return asked, data

    (one, _), (two, _), (three, _) = map(
        seen, (tiny_fig5_growth, tiny_fig8_training_time, tiny_fig11_strengths)
    )
    assert one[0] in two and [cell["cutoff"] for cell in three] == [tiny_growth.STABLE, None]
    assert one[0]["cutoff"] == three[0]["cutoff"]
    assert one[1]["rounds"] == 0 and one[1]["widths"] != [1, 1] and one[2]["widths"] == [100, 100]
    assert one[1]["steps"] == 2 * one[0]["steps"] and one[2]["steps"] == one[0]["steps"]


# ---- verdicts ------------------------------------------------------------------------------------


def shares(claims):
    return [claim.share for claim in claims]


def fig5(growth=0.9, same=0.9, large=0.9, slow=1.0):
    """Growth takes `slow` times as long; at half its time the others are as good as at the end."""
    steps = {"steps": (0, 10, 20), "widths": np.array([[1, 1], [5, 4]])}
    arms = {
        "growth": runs([[0, growth / 2, growth]] * 2, seconds=(0.0, slow, 2 * slow), **steps),
        "same widths": runs([[0, same, same]] * 2, **steps),
        "large": runs([[0, large, large]] * 2, seconds=(0.0, 3.0, 6.0), **steps),
    }
    return {"found": {6: arms}, "steps": 20}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [1, 0, 1, 0, 1, 0, 1, 0, 1]),
        ({"growth": 0.895}, [1, 0, 1, 0, 1, 0, 1, 1, 1]),
        ({"growth": 0.88}, [0, 0, 0, 0, 0, 0, 1, 1, 1]),
        ({"growth": 0.95}, [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ({"growth": 0.95, "slow": 2.0}, [1, 1, 0, 0, 1, 1, 0, 0, 1]),
        ({"slow": 4.0}, [1, 0, 0, 0, 1, 0, 0, 0, 0]),
    ],
)
def test_verdicts_on_growth(given, expected):
    claims = tiny_fig5_growth.claims(fig5(**given))
    # Against the same widths by step (similar, better), by time, against the large one; the time.
    if not given or given.get("growth") in (0.895, 0.88):
        # The large network has come to two thirds of its accuracy by then.
        expected = [*expected[:6], 1, 1, expected[8]]
    assert shares(claims) == expected


def test_each_number_of_rounds_has_its_own_starts_and_large_network():
    asked = []

    def run(function, cells):
        asked.append([(cell["seed"], cell["rounds"], cell["widths"], cell["steps"])
                      for cell in cells])  # fmt: skip
        return [{"widths": np.array([[1, 1], [5, 4]])} for _ in cells]

    data = tiny_fig5_growth.compute(tiny_fig5_growth.settings(True), run)
    assert list(data["found"]) == [8, 6, 15]
    for place, (rounds, starts, large) in enumerate(((8, 20, 500), (6, 20, 500), (15, 3, 1000))):
        grown, same, wide = asked[3 * place : 3 * place + 3]
        assert grown == [(seed, rounds, [1, 1], 2500) for seed in range(starts)]
        assert same == [(seed, 0, [5, 4], 7500) for seed in range(starts)]
        assert wide == [(seed, 0, [large, large], 2500) for seed in range(starts)]


def test_growing_is_told_from_training():
    results = runs([[0, 0, 0, 0]], steps=(0, 10, 10, 20), seconds=(0.0, 1.0, 5.0, 6.5))
    assert tiny_fig5_growth._training(results) == [2.5]


def test_verdicts_on_the_time_between_rounds():
    def data(*rows, widths=([5, 4], [5, 4])):
        found = {
            interval: runs([row], steps=(0, 2 * interval, 40), widths=np.array([[1, 1], w]))
            for interval, row, w in zip((5, 10), rows, widths, strict=True)
        }
        return {"found": found, "rounds": 2, "rate": 1e-3}

    judged = tiny_fig8_training_time.claims
    assert shares(judged(data([0, 0.3, 0.8], [0, 0.4, 0.81]))) == [1, 1, 1]
    assert shares(judged(data([0, 0.5, 0.8], [0, 0.4, 0.83]))) == [0, 0, 1]
    other = data([0, 0.3, 0.8], [0, 0.4, 0.81], widths=([5, 4], [5, 3]))
    assert shares(judged(other)) == [1, 1, 0]


def test_verdicts_on_strengths():
    def arm(last, test, loss):
        falls = np.array([1.0, 0.5, last])[None, :, None] * np.ones((2, 1, 2))
        share = np.concatenate([0.5 * falls[..., :1], falls[..., 1:]], axis=2)
        return {"mean": falls, "largest": falls, "share": share, "drawn": np.full((2, 3, 2), 100.0),
                "test": np.array(test), "loss": np.array(loss)}  # fmt: skip

    good = arm(0.05, [[0.1, 0.5, 0.8, 0.805]] * 2, [[2.0, 1.0, 0.5, 0.1]] * 2)
    mixed = arm(
        0.2,
        [[0.1, 0.5, 0.8, 0.805], [0.1, 0.5, 0.8, 0.9]],
        [[2.0, 1.0, 0.5, 0.1], [2.0, 1.0, 0.1, 9.0]],
    )
    data = {"found": {"cut": mixed, "exact": good}, "judged": 2}
    # Means and the largest do not fall; too much is left; the accuracy still grows for one of two;
    # one run of two ends higher than it was.
    expected = [0, 0, 0, 0, 0, 0, 0.5, 0.5]
    assert shares(tiny_fig11_strengths.claims(data)) == [*expected, 1, 1, 1, 1, 1, 0, 1, 0]
    blown = arm(0.05, [[0.1, 0.5, 0.8, 0.2]] * 2, [[2.0, 1.0, 0.5, 100.0]] * 2)
    data = {"found": {"cut": good, "exact": blown}, "judged": 2}
    # Layer 1: 0.025 of what is desired; layer 2: 0.05, a twentieth.
    assert shares(tiny_fig11_strengths.claims(data)) == [1, 1, 1, 1, 1, 0, 1, 1] + [
        1, 1, 1, 1, 1, 0, 1, 1]  # fmt: skip


def test_what_all_neurons_of_a_layer_reach_is_a_sum():
    """Two rounds, two layers: the share is that of all neurons, not of one in the middle."""
    one = {
        "mean": np.array([[0.2, 0.1], [0.01, 0.0]]),
        "largest": np.array([[0.4, 0.1], [0.02, 0.0]]),
        "neurons": np.array([[3, 4], [5, 0]]),
        "desired": np.array([[1.0, 2.0], [0.5, 0.25]]),
        "drawn": np.array([[100, 100], [200, 200]]),
        "steps": np.array([0, 5, 5, 5, 10, 10, 10, 15]),
        "test": np.arange(8) / 10, "loss": 1 - np.arange(8) / 10,
        "widths": np.array([[1, 1], [4, 5], [9, 5]]),
    }  # fmt: skip
    two = {**one, "desired": 1.5 * one["desired"], "test": one["test"] / 2}
    found = tiny_fig11_strengths._arm([one, two], [5, 10, 20])
    share = [[0.6, 0.2], [0.1, 0.0]]
    np.testing.assert_allclose(found["share"], [share, np.array(share) / 1.5], rtol=ROUNDING)
    np.testing.assert_array_equal(found["mean"], [one["mean"]] * 2)
    np.testing.assert_array_equal(found["largest"], [one["largest"]] * 2)
    # The first look of a round's step is that before the round; past the end, the last one.
    np.testing.assert_allclose(found["test"], [[0.1, 0.4, 0.7], [0.05, 0.2, 0.35]])
    np.testing.assert_allclose(found["loss"], [[0.9, 0.6, 0.3]] * 2)
    np.testing.assert_array_equal(found["widths"], one["widths"])
    # 0.1 and 0.067 of what is desired: means would be 0.02 and 0.013, and the verdict another one.
    judged = [
        claim for claim in tiny_fig11_strengths._claims(found, 1, "cut")
        if "no linear correlation is left: the neurons of hidden layer 1" in claim.claim
    ]  # fmt: skip
    assert shares(judged) == [0]


def test_verdicts_on_random_neurons():
    def arm(grown, end, seconds=2.0):
        results = runs([[0.1, grown, end]], steps=(0, 0, 10), seconds=(0.0, 1.0, seconds))
        return {"results": results, "rounds": 1}

    names = tiny_digits.METHODS
    arms = [arm(0.6, 0.8), arm(0.5, 0.9), arm(0.5, 0.7), arm(0.4, 0.9), arm(0.55, 0.6)]
    found = dict(zip(names, arms, strict=True))
    # Best, with old weights moved and left: loss, accuracy, after training, at equal time.
    expected = [1, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert shares(tiny_fig13_random.claims({"found": found})) == expected
    found[names[3]] = arm(0.4, 0.9, seconds=20.0)  # slow: by then half-way from 0.4
    expected[3] = 1
    assert shares(tiny_fig13_random.claims({"found": found})) == expected


def test_verdicts_on_additions():
    def result(before, after, test):
        widths = np.array([[1, 1], [2, 3]])
        return {"before": np.array(before), "after": np.array(after), "widths": widths,
                "test": np.array([0.1, test]), "loss": np.array([2.0, after[0][1]]),
                "steps": np.array([0, 0])}  # fmt: skip

    good = [result([[2.0, 1.5]], [[1.5, 1.0]], 0.85)]
    stuck = [result([[2.0, 1.5]], [[1.5, 1.5]], 0.7)]
    fixed = runs([[0.1, 0.9]], steps=(0, 10), seconds=(0.0, 1.0))
    fixed[0]["loss"] = np.array([2.0, 1.2])
    data = {"found": {tiny_nograd.ADDED: good, tiny_nograd.UPDATED: stuck}, "fixed": fixed}
    assert tiny_nograd.losses(good).tolist() == [[2.0, 1.5, 1.0]]
    assert shares(tiny_nograd.claims(data)) == [1, 1, 1, 0.5, 0, 0]


def test_verdicts_on_bottlenecks():
    # By round, layer and part: desired, reachable, lack, by neurons.
    start = [[1, 1.0, 0.0, 0], [1, 0.1, 0.9, 0.8], [2, 0.8, 1.2, 0.1]]
    end = [[1, 1.0, 0.0, 0], [1, 0.1, 0.9, 0.09], [4, 2.4, 1.6, 0.1]]
    data = {"parts": np.array([[start, end]]), "widths": np.array([[1, 1], [9, 9]])}
    assert tiny_bottleneck_map.shares(data)["lack"][0, 1, 2] == pytest.approx(0.4)
    assert shares(tiny_bottleneck_map.claims(data)) == [1, 1, 1, 1]
    data["parts"] = data["parts"][:, ::-1]  # the other way round
    assert shares(tiny_bottleneck_map.claims(data)) == [0, 0, 1, 0]
    # Ahead at the start and in the end, or at one of the two only.
    ahead = [[1, 1.0, 0.0, 0], [1, 0.1, 0.9, 0.09], [4, 2.4, 1.6, 0.01]]
    behind = [[1, 1.0, 0.0, 0], [1, 0.1, 0.9, 0.01], [4, 2.4, 1.6, 0.36]]
    for ends, expected in (((ahead, ahead), 1), ((ahead, behind), 0), ((behind, ahead), 0)):
        data["parts"] = np.array([ends])
        assert shares(tiny_bottleneck_map.claims(data))[2] == expected
    # By seed: one of two.
    data["parts"] = np.array([[ahead, ahead], [ahead, behind]])
    assert shares(tiny_bottleneck_map.claims(data))[2] == 0.5
