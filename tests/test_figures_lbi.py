"""The arithmetic of SplitLBI's figures: what the verdicts are computed from."""

import numpy as np
import pytest

from figures import (
    lbi_digits,
    lbi_fig1_neurons,
    lbi_fig3_convergence,
    lbi_fig4_density,
    lbi_fig5_masks,
    lbi_fig7_rewind,
    lbi_fig8_growth,
    lbi_selection,
    lbi_tab1_accuracy,
    lbi_tab6_cost,
)
from refgrow import baselines, networks, optimizers, splitlbi, splitlbi_theory, train

# Small trainings with the settings of the figures, so that each takes a fraction of a second.
SMALL = {"data": "rendered digits", "content": "", "samples": 200, "tests": 100, "batch_size": 20}
SMALL |= {"widths": [12, 8], "activation": "relu", "epochs": 3, "seed": 1}
SPARSE = {"nu": 50.0, "kappa": 1.0, "lam": 0.01, "groups": "weight", "learning_rate": 0.1}
RUN = {**SMALL, **SPARSE, "method": "SplitLBI Mom-Wd", "probe": 150, "drops": [0.5]}
# The same iterates in another order of operations, through 30 steps of a network.
REORDERED = 1e-7
# Coordinate descent to 1e-13, and the width of its grid of lambdas.
FOUND = 1e-9


def network(seed=0, widths=(12, 8)):
    return lbi_digits.start(seed, list(widths), "relu")


def kept(mask):
    return [int(part[:, :-1].sum()) for part in mask]


# ---- digits --------------------------------------------------------------------------------------


def test_digits_are_mnist_only_where_sizes_are_full_and_the_folder_is_given(monkeypatch):
    monkeypatch.setenv("REFGROW_DATA", "/somewhere")
    assert lbi_digits.source(False)[0] == "rendered digits"
    name, content, _ = lbi_digits.source(True)
    assert (
        name == "MNIST" and len(content) == 16 and "somewhere" not in str(lbi_digits.common(True))
    )
    monkeypatch.delenv("REFGROW_DATA")
    name, _, why = lbi_digits.source(True)
    assert name == "rendered digits" and "no folder of MNIST was given" in why


def test_digits_to_learn_from_are_not_those_to_test_on():
    X, labels, X_test, labels_test = lbi_digits.digits("rendered digits", 60, 40)
    assert X.shape == (60, 784) and labels.shape == (60,)
    assert X_test.shape == (40, 784) and labels_test.shape == (40,)
    assert not (X[:40] == X_test).all(axis=1).any()


def test_the_start_depends_on_the_seed_alone_and_has_the_deviation_of_he():
    one, two = network(0, (300, 100)), network(1, (300, 100))
    np.testing.assert_array_equal(one.arrays[0], network(0, (300, 100)).arrays[0])
    assert not np.allclose(one.arrays[0], two.arrays[0])
    for W, inputs in zip(one.arrays, (784, 300, 100), strict=True):
        assert W[:, :-1].std() == pytest.approx((2 / inputs) ** 0.5, rel=0.1)
        assert (W[:, -1] == 0).all()


def test_the_step_falls_to_a_tenth_at_half_and_at_three_quarters():
    rates = [lbi_digits.schedule(0.1, 8)(epoch) for epoch in range(8)]
    np.testing.assert_allclose(rates, [0.1] * 4 + [0.01] * 2 + [0.001] * 2)
    assert lbi_digits.schedule(0.1, 8, [])(7) == 0.1


def test_usual_weight_decay_is_in_the_gradient():
    pair = lbi_digits.with_decay(optimizers.gd, 0.1)
    state = pair.step(pair.init(np.array([2.0])), np.array([1.0]), 0.5)
    assert state.parameters[0] == pytest.approx(2 - 0.5 * (1 + 0.1 * 2))


def test_groups_by_neuron_leave_the_last_layer_free():
    groups = lbi_digits.groups(network(), "neuron")
    assert [len(group) for group in groups] == [784] * 12 + [12] * 8
    assert len(lbi_digits.groups(network(), "weight")) == 784 * 12 + 12 * 8 + 8 * 10


@pytest.mark.compiled
def test_a_training_is_looked_at_from_its_start_on():
    result = lbi_digits.trained(**RUN)
    X, labels, X_test, labels_test = lbi_digits.digits("rendered digits", 200, 100)
    start = network(1)
    assert result["test"][0] == networks.accuracy(start, X_test, labels_test)
    assert result["train"][0] == networks.accuracy(start, X[:150], labels[:150])
    np.testing.assert_allclose(
        result["norms"][0], np.linalg.norm(start.arrays[0][:, :-1], axis=1), rtol=1e-12
    )
    assert result["density"][0] == 0 and 0 < result["density"][-1] < 1
    assert len(result["loss"]) == 4 and result["loss"][-1] < result["loss"][0]
    sizes = np.array([784 * 12, 12 * 8, 8 * 10])
    by_layer = result["layers"] @ sizes / sizes.sum()
    np.testing.assert_allclose(by_layer, result["density"], rtol=1e-12)
    shown = result["shown"]
    assert (np.diff(result["norms"][-1][shown]) <= 0).all() and result["filters"].shape == (12, 784)


@pytest.mark.compiled
def test_the_accuracy_on_the_support_is_that_of_the_masked_network():
    states = []
    start = network(1)
    X, labels, X_test, labels_test = lbi_digits.digits("rendered digits", 200, 100)
    trained, _ = train.fit_epochs(
        start, X, labels, lbi_digits.LOSS, epochs=3,
        optimizer=lbi_digits.optimizer(start, RUN["method"], RUN),
        learning_rate=lbi_digits.schedule(0.1, 3, [0.5]), batch_size=20,
        rng=lbi_digits.seed_for("digits", "batches", 1), watch=lambda e, n, s: states.append(s),
    )  # fmt: skip
    result = lbi_digits.trained(**RUN)
    projected = start.with_arrays(splitlbi.project(states[-1]))
    assert result["sparse"][-1] == networks.accuracy(projected, X_test, labels_test)
    assert result["test"][-1] == networks.accuracy(trained, X_test, labels_test)
    assert result["density"][-1] == splitlbi.density(states[-1])


@pytest.mark.compiled
def test_kappa_at_fixed_kappa_alpha_is_lambda():
    by_kappa = lbi_digits.trained(**{**RUN, "kappa": 4.0, "learning_rate": 0.025})
    by_lambda = lbi_digits.trained(**{**RUN, "lam": 0.04})
    np.testing.assert_allclose(by_kappa["loss"], by_lambda["loss"], rtol=REORDERED)
    np.testing.assert_array_equal(by_kappa["selected"], by_lambda["selected"])
    assert lbi_digits.trained(**RUN)["density"][-1] > 2 * by_lambda["density"][-1]


@pytest.mark.compiled
def test_methods_differ_and_only_l1_makes_weights_zero():
    ends = {}
    for method in ("SGD", "SGD l1", "SGD Mom", "SGD Mom-Wd", "Adam", "AdaGrad"):
        result = lbi_digits.trained(**{**RUN, "method": method, "learning_rate": 0.01})
        assert "sparse" not in result
        assert (result["density"][-1] < 1) == (method == "SGD l1")
        ends[method] = result["loss"][-1]
    assert len(set(ends.values())) == 6


def test_cells_have_the_settings_that_are_recorded():
    settings = lbi_digits.ablation_settings(True)
    asked = lbi_digits.ablations(settings)
    shared = lbi_digits.passed(settings)
    for cells in asked.values():
        assert [cell["seed"] for cell in cells] == settings["seeds"].value
        assert all(shared.items() <= cell.items() for cell in cells)
    assert asked["kappa = 1"] == asked["nu = 100"]
    for value in settings["kappas"].value:
        cell = asked[f"kappa = {value:g}"][0]
        assert cell["kappa"] * cell["learning_rate"] == pytest.approx(0.1)
    # Runs of SGD know nothing of SplitLBI's constants, so that all figures share them.
    assert not {"nu", "kappa", "lam", "groups"} & set(asked["SGD"][0])


SCRIPTS = {
    "1": lbi_fig1_neurons,
    "3": lbi_fig3_convergence,
    "4": lbi_fig4_density,
    "5": lbi_fig5_masks,
    "7": lbi_fig7_rewind,
    "8": lbi_fig8_growth,
    "Table 1": lbi_tab1_accuracy,
}
# In which figures the full run has what the paper has there: sections 4 to 4.4, appendix D.
AS_THE_PAPER = {
    "data": {"1", "7", "Table 1"},
    "widths": {"7"},
    "batch_size": set(SCRIPTS),
    "rate": set(SCRIPTS) - {"1"},
    "drops": {"3", "4"},
    "seeds": {"3", "4", "5", "8"},
    "epochs": set(),
}


@pytest.mark.parametrize("name", AS_THE_PAPER)
def test_settings_are_marked_as_the_papers_where_they_are(name, monkeypatch):
    monkeypatch.setenv("REFGROW_DATA", "/somewhere")
    found = {figure: script.settings(True)[name] for figure, script in SCRIPTS.items()}
    theirs = {figure for figure, setting in found.items() if setting.source == "paper"}
    assert theirs == AS_THE_PAPER[name]
    assert all(setting.why for setting in found.values())
    monkeypatch.delenv("REFGROW_DATA")
    if name == "data":  # digits from fonts are never the paper's
        assert {script.settings(True)[name].source for script in SCRIPTS.values()} == {"ours"}


def test_fig_1_is_run_at_the_papers_default_too():
    for full in (False, True):
        settings = lbi_fig1_neurons.settings(full)
        asked = {}

        def run(function, cells, asked=asked):
            asked.update({(c.get("nu"), c.get("lam"), c["seed"]): c for c in cells})
            return [c.get("nu") for c in cells]

        data = lbi_fig1_neurons.compute(settings, run)
        seeds = settings["seeds"].value
        assert data["SplitLBI"] == {"10": [10.0] * len(seeds), "100": [100.0] * len(seeds)}
        assert data["SGD"] == [None] * len(seeds)
        for nu, lam in zip(settings["nus"].value, settings["lams"].value, strict=True):
            for seed in seeds:
                cell = asked[nu, lam, seed]
                assert cell["kappa"] * cell["learning_rate"] == pytest.approx(0.1)
                assert cell["kappa"] == 10 and cell["groups"] == "neuron"


def test_results_are_sorted_by_name_and_seed():
    asked = {"a": [{"x": 1}, {"x": 2}], "b": [{"x": 3}]}
    found = lbi_digits.results(lambda function, cells: [c["x"] for c in cells], asked)
    assert found == {"a": [1, 2], "b": [3]}


# ---- masks ---------------------------------------------------------------------------------------


@pytest.fixture
def like():
    """A mask of some weights."""
    return baselines.random_mask(network(), 0.2, rng=0)


def test_masks_of_weights_keep_as_many(like):
    big = lbi_digits.largest(network(3), like, "weight")
    assert sum(kept(big)) == sum(kept(like)) and kept(big) != kept(like)
    threshold = min(np.abs(W[:, :-1])[m[:, :-1]].min() for W, m in
                    zip(network(3).arrays, big, strict=True) if m[:, :-1].any())  # fmt: skip
    for W, m in zip(network(3).arrays, big, strict=True):
        assert (np.abs(W[:, :-1])[~m[:, :-1]] <= threshold).all() and m[:, -1].all()
    layers = lbi_digits.largest_by_layer(network(3), like)
    assert kept(layers) == kept(like)
    for W, m in zip(network(3).arrays, layers, strict=True):
        sizes = np.abs(W[:, :-1])
        assert sizes[m[:, :-1]].min() >= sizes[~m[:, :-1]].max()
    random = lbi_digits.at_random(network(3), like, "weight", 1)
    assert kept(random) == kept(like) and not (random[0] == like[0]).all()


def test_masks_of_neurons_keep_as_many():
    rows = [np.arange(12) < 5, np.arange(8) < 3]
    like = lbi_digits.of_neurons(tuple(np.ones_like(W, bool) for W in network().arrays), rows)
    assert kept(like) == [5 * 784, 3 * 12, 80] and all(part[:, -1].all() for part in like)
    big = lbi_digits.largest(network(3), like, "neuron")
    norms = [np.linalg.norm(W[:, :-1], axis=1) for W in network(3).arrays[:2]]
    inside = [part[:, 0] for part in big[:2]]
    assert sum(map(sum, inside)) == 8
    chosen = np.concatenate([n[i] for n, i in zip(norms, inside, strict=True)])
    others = np.concatenate([n[~i] for n, i in zip(norms, inside, strict=True)])
    assert chosen.min() >= others.max()
    random = lbi_digits.at_random(network(3), like, "neuron", 1)
    assert kept(random) == kept(like) and not (random[0] == like[0]).all()
    assert lbi_digits.share(like) == sum(kept(like)) / (784 * 12 + 12 * 8 + 80)


@pytest.mark.compiled
@pytest.mark.parametrize("by", ["weight", "neuron"])
def test_tickets_are_retrained_masks(by, monkeypatch):
    seen = []
    masked = baselines.masked

    def spy(network, mask):
        seen.append((network, mask))
        return masked(network, mask)

    monkeypatch.setattr(baselines, "masked", spy)
    lam = 0.01 if by == "weight" else 0.02
    cell = {**SMALL, **SPARSE, "lam": lam, "groups": by, "method": "SplitLBI Mom-Wd"}
    result = lbi_digits.tickets(stops=[2, 3], **cell)
    assert len(seen) == 2 * len(lbi_digits.MASKS)
    for (origin, _), name in zip(seen, 2 * lbi_digits.MASKS, strict=True):
        back = np.array_equal(origin.arrays[0], network(1).arrays[0])
        assert back == (name != "one-shot pruning")  # which alone keeps what it has learnt
    for k in (0, 5):  # with the ticket's weights
        for ticket, pruned in zip(seen[k + 2][1], seen[k + 3][1], strict=True):
            np.testing.assert_array_equal(ticket, pruned)
    for k in range(2):
        sizes = [sum(kept(mask)) for _, mask in seen[5 * k : 5 * k + 5]]
        if by == "weight":
            assert len(set(sizes)) == 1
        assert result["shares"][k] == sizes[0] / (784 * 12 + 12 * 8 + 80)
    assert len(result["density"]) == 4 and result["density"][0] == 0
    if by == "neuron":  # as many neurons in all, and random ones as many in each layer
        rows = [[part[:, 0].sum() for part in mask[:2]] for _, mask in seen]
        for k in (0, 5):
            assert len({sum(row) for row in rows[k : k + 5]}) == 1
            assert rows[k] == rows[k + 4] and sizes[0] == sizes[4]
    if by == "weight":
        np.testing.assert_allclose(result["density"][2:], result["shares"], rtol=1e-12)
    assert all(result[name].shape == (2,) for name in lbi_digits.MASKS)


@pytest.mark.compiled
def test_rewinding_tunes_the_last_support_from_earlier_weights(monkeypatch):
    seen = []
    masked = baselines.masked

    def spy(network, mask):
        seen.append((network, mask))
        return masked(network, mask)

    monkeypatch.setattr(baselines, "masked", spy)
    cell = {key: value for key, value in {**SMALL, **SPARSE}.items()}
    result = lbi_digits.rewind(starts=[0, 2, 3], **cell)
    # Projected; tuned by SplitLBI and by SGD from three epochs; SGD's own.
    assert len(seen) == 1 + 2 * 3 + 1
    support = seen[0][1]
    for _, mask in seen[:-1]:
        assert all((a == b).all() for a, b in zip(mask, support, strict=True))
    starts = [net.arrays[0] for net, _ in seen[1:4]]
    np.testing.assert_array_equal(starts[0], network(1).arrays[0])
    np.testing.assert_array_equal(starts[2], seen[0][0].arrays[0])
    assert not np.allclose(starts[1], starts[2])
    assert kept(seen[-1][1]) == kept(support)
    assert result["share"] == lbi_digits.share(support)
    assert result["tuned"].shape == result["tuned by SGD"].shape == (3,)


# ---- verdicts ------------------------------------------------------------------------------------


def test_apart_is_the_share_of_pairs():
    rng = np.random.default_rng(0)
    norms, selected = rng.normal(size=30), rng.random(30) < 0.4
    pairs = [a > b for a in norms[selected] for b in norms[~selected]]
    assert lbi_fig1_neurons.apart(norms, selected) == pytest.approx(np.mean(pairs))
    assert lbi_fig1_neurons.apart(norms, np.ones(30, bool)) is None


def test_the_share_selected_early():
    selected = np.zeros((9, 4), bool)
    selected[3:, 0] = selected[5:, 1] = selected[4, 3] = True
    assert lbi_fig1_neurons._early({"selected": selected}) == 0.5


def test_verdicts_on_neurons():
    def one(norms, selected, test):
        rows = np.array([[False, False], selected])
        return {"norms": np.array([[1.0, 1.0], norms]), "selected": rows,
                "test": np.array([0.1, test]), "sparse": np.array([0.1, test])}  # fmt: skip

    sgd = one([2.0, 1.0], [True, True], 0.95)
    good, bad = one([1.0, 0.1], [True, False], 0.945), one([1.0, 0.1], [True, True], 0.93)
    claims = lbi_fig1_neurons.claims({"SplitLBI": {"10": [bad], "100": [good]}, "SGD": [sgd]})
    told = {claim.claim: claim.reproduced for claim in claims}
    assert len(told) == 8 and all(claim.depends_on for claim in claims)
    some, large, accuracy = "SplitLBI selects", "the selected neurons", "without sacrificing"
    for start in (some, large, accuracy):
        found = {claim[-3:]: held for claim, held in told.items() if claim.startswith(start)}
        assert found == {" 10": False, "100": True}


def test_what_settles():
    falls = np.array([2.0, 1, 0.5, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0])
    late = np.array([2.0, 1, 0.5, 0.3, 0.2, 0.1, 0.0, 0.5, 0.0])
    assert lbi_fig3_convergence.settles(np.array([falls, late])).tolist() == [True, False]


def test_settings_of_the_ablations_are_counted_once():
    data = {"kappas": [1.0, 2.0], "nus": [10.0, 100.0]}
    assert lbi_fig3_convergence.labels(data) == ["kappa = 2", "nu = 10", "nu = 100"]


def ablated(**ends):
    """Data of Fig 4 with the same values all along, for two starts."""
    data = {"kappas": [1.0, 2.0], "nus": [100.0, 200.0], "SGD": np.full((2, 9), 0.9)}
    for what in lbi_fig4_density.WHATS:
        data[what] = {}
        for label, value in ends[what].items():
            data[what][label] = np.full((2, 9), value)
        data[what]["kappa = 1"] = data[what]["nu = 100"]
    return data


def test_verdicts_on_density_and_accuracy():
    claims = lbi_fig4_density.claims(
        ablated(
            density={"nu = 100": 0.4, "nu = 200": 0.2, "kappa = 2": 0.5},
            sparse={"nu = 100": 0.895, "nu = 200": 0.5, "kappa = 2": 0.91},
            test={"nu = 100": 0.9, "nu = 200": 0.8, "kappa = 2": 0.905},
        )
    )
    verdicts = {claim.claim: claim.share for claim in claims}
    assert list(verdicts.values()) == [
        2 / 3,  # close to W: not at nu = 200
        1.0,  # moderately sparse and comparable to SGD
        1.0, 0.0, 0.0, 1.0,  # density grows with kappa, falls with nu
        0.0, 0.0, 0.0, 0.0,  # kappa = 1 is not the best, of W and on the support
        0.0,  # no sparse network by nu beats SGD
        1.0, 0.0, 0.0,  # robust to kappa, not to nu, which has the larger effect
    ]  # fmt: skip
    assert {claim.statement for claim in claims} == set(lbi_fig4_density.STATEMENTS)


def test_verdicts_on_masks():
    found = {name: np.array([[0.9, 0.8]]) for name in lbi_digits.MASKS}
    found |= {"shares": np.array([[0.1, 0.2]]), "dense": np.array([0.905])}
    found["lottery ticket"] = np.array([[0.905, 0.9]])
    found["one-shot pruning"] = np.array([[0.92, 0.8]])
    found["random"] = np.array([[0.5, 0.9]])
    claims = lbi_fig5_masks._claims("masks", found, lbi_fig5_masks.DEPENDS["weight"])
    shares = [claim.share for claim in claims]
    # Comparable and better: its largest weights, ticket, one-shot pruning, random; dense.
    assert shares == [1, 0, 0.5, 0, 0.5, 0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("full", [False, True])
def test_late_masks_are_asked_for_beside_the_early_ones_which_stay_the_same(full):
    asked = []

    def run(function, cells):
        asked.extend(cells)
        one = {name: np.full(len(cells[-1]["stops"]), 0.9) for name in lbi_digits.MASKS}
        one |= {"dense": 0.95, "sparse": 0.9}
        return [{**one, "shares": np.full(len(cell["stops"]), 0.1)} for cell in cells]

    settings = lbi_fig5_masks.settings(full)
    data = lbi_fig5_masks.compute(settings, run)
    early = lbi_digits.ticket_cells(lbi_digits.ticket_settings(full))  # Fig 8's, which is shared
    early = [cell for cells in early.values() for cell in cells]
    assert asked[: len(early)] == early
    late, weights = asked[len(early) :], [cell for cell in early if cell["groups"] == "weight"]
    assert [cell["seed"] for cell in late] == settings["seeds"].value
    for cell, other in zip(late, weights, strict=True):
        changed = {name for name in other if other[name] != cell[name]}
        assert cell.keys() == other.keys() and changed == {"lam", "stops"}
        assert cell["lam"] == settings["late"].value["lam"] > other["lam"]
    told = [claim.claim for claim in lbi_fig5_masks.claims(data)]
    start = f"late masks of weights, lambda = {late[0]['lam']:g}, retrained, are "
    assert len(set(told)) == len(told) == 27
    assert [claim.startswith(start) for claim in told] == [False] * 18 + [True] * 9


def test_every_claim_on_masks_says_what_it_depends_on():
    rivals = {*lbi_digits.MASKS[1:], "dense"}
    assert set(lbi_fig5_masks.DEPENDS) == {"weight", "neuron", lbi_fig5_masks.LATE}
    assert all(set(texts) == rivals for texts in lbi_fig5_masks.DEPENDS.values())


def test_verdicts_on_rewinding():
    data = {"starts": [0, 3, 10], "tuned": np.array([[0.8, 0.85, 0.9]]), "full": np.array([0.9])}
    data |= {"tuned by SGD": data["tuned"], "dense": data["full"], "projected": data["full"]}
    data |= {"SGD lottery": np.array([0.86]), "share": np.array([0.05])}
    data |= {"layers": np.array([[0.1, 0.2, 0.3]])}
    shares = [claim.share for claim in lbi_fig7_rewind.claims(data)]
    assert shares == [0.5, 1, 1, 0.5, 1]


@pytest.mark.compiled
def test_the_time_of_a_batch():
    taken = lbi_tab6_cost.cost(
        batch_size=8, seconds=0.01, epochs=2, widths=[12, 8], activation="relu"
    )
    assert set(taken) == set(lbi_tab6_cost.METHODS)
    data = {"sizes": [8], "seconds": {"SGD Mom": [2.0], "SplitLBI Mom": [2.2], "Adam": [3.0]}}
    assert [claim.share for claim in lbi_tab6_cost.claims(data)] == [1, 1, 0]


# ---- selection -----------------------------------------------------------------------------------


def test_the_conditions_of_the_designs():
    for rho in (0.45, 0.6):
        assert lbi_selection.irr(lbi_selection.design(rho), 0.0) == pytest.approx(2 * rho)
    edge = lbi_selection.from_which_nu(0.6)
    assert edge == pytest.approx(5 / 7)
    assert lbi_selection.irr(lbi_selection.design(0.6), edge) == pytest.approx(1)
    irr = [splitlbi_theory.irrepresentable(lbi_selection.not_weaker(), [0], [1.0], nu)
           for nu in (0.0, 0.1, 10.0)]  # fmt: skip
    np.testing.assert_allclose(irr, [0.95, 1.0709, 0.55], atol=5e-3)
    assert np.linalg.eigvalsh(lbi_selection.not_weaker())[0] > 0


@pytest.mark.parametrize("draw", range(12))
def test_whether_the_lasso_meets_the_truth_is_what_its_path_says(draw):
    S, beta = lbi_selection.sample(0.55, 60, draw)
    top = np.abs(S @ beta).max()
    lams = np.geomspace(top, 1e-4 * top, 400)
    path = lbi_selection.lasso(S, beta, lams)
    for x, lam in zip(path, lams, strict=True):  # the conditions of optimality
        slope = S @ (x - beta)
        assert (np.abs(slope) <= lam + FOUND).all()
        np.testing.assert_allclose(slope[x != 0], -lam * np.sign(x[x != 0]), atol=FOUND)
    signs = np.where(np.abs(path) > FOUND, np.sign(path), 0)
    met = (signs == np.sign(lbi_selection.TRUTH)).all(axis=1).any()
    assert lbi_selection.lasso_meets(S, beta) == met


def test_the_draws_of_that_test_are_of_both_kinds():
    met = [lbi_selection.lasso_meets(*lbi_selection.sample(0.55, 60, draw)) for draw in range(12)]
    assert any(met) and not all(met)


def test_linearised_bregman_ends_near_the_steps_of_inverse_scale_space():
    S, kappa, alpha = lbi_selection.design(0.6), 500.0, 5e-4
    found = lbi_selection.bregman(S, lbi_selection.TRUTH, kappa, 6000, alpha)
    exact = splitlbi_theory.inverse_scale_space(S, lbi_selection.TRUTH, 0.0)
    for time, Gamma in ((1.2, exact.Gamma[1]), (3.0, exact.Gamma[-1])):
        np.testing.assert_allclose(found[int(time / alpha)], Gamma, atol=0.02)


@pytest.mark.compiled
def test_paths_start_at_zero_and_are_scaled_to_the_first_entry():
    S = lbi_selection.design(0.45)
    for at, values in lbi_selection.paths(S, lbi_selection.TRUTH, 10.0, 100.0).values():
        assert (values[0] == 0).all() and len(at) == len(values)
        entered = at[np.abs(values).max(axis=1) > 0][0]
        assert entered == pytest.approx(1, abs=0.05)


@pytest.mark.compiled
def test_the_iteration_at_large_kappa_meets_what_the_exact_path_meets():
    # Near nu*, where some draws meet the truth and others do not.
    cell = {"rho": 0.6, "samples": 200, "draws": 8}
    met = lbi_selection.iterated(**cell, nu=0.7, kappas=[1.0, 1000.0])["met"]
    exact = lbi_selection.draws(**cell, nus=[0.7])["split"][:, 0]
    np.testing.assert_array_equal(met[:, 1], exact)
    assert exact.any() and not exact.all() and met[:, 0].sum() < exact.sum()


def test_meeting_the_truth_and_false_variables():
    S = lbi_selection.design(0.6)
    assert lbi_selection.meets(S, lbi_selection.TRUTH, 0.0) == (True, True)
    assert lbi_selection.meets(S, lbi_selection.TRUTH, 10.0) == (True, False)
