"""The arithmetic of TINY's smaller figures: the sine, the widths, the variance, both orders."""

import numpy as np
import pytest

from figures import tiny_fig3_sine, tiny_joint, tiny_variance, tiny_widths
from refgrow import networks, tiny, tiny_theory

ROUNDING = 1e-10
DIGITS = {"data": "rendered digits", "content": "", "samples": 150}


def shares(claims):
    return [claim.share for claim in claims]


# ---- the sine ------------------------------------------------------------------------------------


def test_common_improvements_are_those_of_a_grid():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 81)] * 2)).reshape(2, -1)
    some = 0
    for _ in range(20):
        x, errors = rng.normal(size=3), rng.normal(size=3)
        best, direction = tiny_fig3_sine.improvement(x, errors)
        moved = np.sign(errors)[:, None] * (np.column_stack([x, np.ones(3)]) @ grid)
        assert max(moved.min(axis=0).max(), 0) <= best + ROUNDING
        if best > 0:
            some += 1
            lower = np.sign(errors) * (direction[0] * x + direction[1])
            assert lower.min() == pytest.approx(best)
            assert best <= moved.min(axis=0).max() + 0.1  # the grid is this fine
    assert 0 < some < 20


def test_an_exact_prediction_cannot_be_improved():
    assert tiny_fig3_sine.improvement(np.array([0.0, 2.0]), np.array([0.0, 1.0]))[0] == 0
    assert tiny_fig3_sine.improvement(np.array([2.0]), np.array([1.0]))[0] > 1  # control


def test_verdicts_on_the_sine():
    settings = tiny_fig3_sine.settings(False)
    data = tiny_fig3_sine.compute(settings, None)
    assert shares(tiny_fig3_sine.claims(data)) == [1, 0, 0, 1, 1]
    printed = data["printed"]
    np.testing.assert_allclose(printed["errors"], [0, 1.995, 0, -1.955], atol=1e-3)
    np.testing.assert_allclose(printed["desired"], 2 * printed["errors"], atol=ROUNDING)
    assert printed["lack"] == pytest.approx(19.09, abs=0.01)
    left = printed["desired"] - printed["best"]
    assert (left**2).sum() == pytest.approx(printed["lack"])
    # Each input that is wrong is improved by half of all directions, and an exact one by none.
    np.testing.assert_allclose(printed["improves"].mean(axis=1), [0, 0.5, 0, 0.5], atol=2 / 720)
    # Negative control: inputs whose errors a line has.
    both = tiny_fig3_sine.example([1.5, 4.5], 1.0)
    assert both["everywhere"] > 0 and both["lack"] < ROUNDING
    assert shares(tiny_fig3_sine.claims({**data, "repaired": both}))[-1] == 0


# ---- the widths ----------------------------------------------------------------------------------


@pytest.mark.compiled
def test_networks_grow_by_rank():
    result = tiny_widths.grown(
        seed=0, growths=2, start=[1, 1], activation="selu", size=0.1, steps=3, optimizer="adam",
        learning_rate=1e-3, batch_size=50, **DIGITS,
    )  # fmt: skip
    np.testing.assert_array_equal(result["widths"], [[1, 1], [2, 3], [5, 8]])
    # Layer 2 reads one hidden layer of 2 and 5: as many strengths, and the rest is zero.
    alive = (result["strengths"] > tiny_widths.DEAD).sum(axis=1)
    np.testing.assert_array_equal(alive, [2, 5])
    assert result["strengths"].shape == (2, 10)


def widths_data(**changes):
    def run(function, cells):
        widths = np.array([[1, 1], [2, 3], [5, 8], [13, 17], [30, 26]])
        strengths = np.repeat([[0.1] * 9 + [0.0]], 4, axis=0)
        return [{"widths": widths, "strengths": strengths} for _ in cells]

    return {**tiny_widths.compute(tiny_widths.settings(False), run), **changes}


def test_verdicts_on_the_widths():
    claims = tiny_widths.claims(widths_data())
    assert shares(claims) == [1, 0, 1, 1]
    assert set(claims[0].number["printed widths met by other rules, of 3"].values()) == {0}
    # Negative control: other widths, ten neurons and more for layer 2 at a time.
    data = widths_data()
    wrong = widths_data(widths=data["widths"] + 8 * np.arange(5)[:, None])
    assert shares(tiny_widths.claims(wrong)) == [1, 0, 0, 0]


# ---- the variance --------------------------------------------------------------------------------


def test_the_power_of_a_curve():
    n = np.array([100, 200, 400])
    assert tiny_variance.power(n, 3.0 / n) == pytest.approx(-1)
    assert tiny_variance.power(n, 3.0 / np.sqrt(n)) == pytest.approx(-0.5)


def test_shares_and_cosines():
    V = np.array([[3.0], [4.0]])
    assert tiny_variance._shares(V, V) == pytest.approx((1, 1))
    assert tiny_variance._shares(-V, V) == pytest.approx((-3, -1))
    assert tiny_variance._shares(2 * V, V) == pytest.approx((0, 1))
    assert tiny_variance._shares(np.array([[3.0], [0.0]]), V) == pytest.approx((9 / 25, 0.6))


def test_moments_of_batches_vary_as_they_should():
    rng = np.random.default_rng(0)
    B, V = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    for n in (5, 40):
        mean, error, exact = tiny_variance._moments(B, V, n, 2000, rng)
        assert abs(mean - exact) < 5 * error
        assert abs(mean - 1.3 * exact) > 5 * error  # Negative control.


def test_directions_of_batches_come_near_the_truth():
    rng = np.random.default_rng(1)
    B = rng.normal(size=(4000, 4)) * [1, 5, 0.2, 1]  # coordinates of unequal size do not count
    V = B @ rng.normal(size=(4, 3)) * 0.3 + 0.1 * rng.normal(size=(4000, 3))
    few = tiny_variance._sines(B, V, 200, 60, np.random.default_rng(2))
    many = tiny_variance._sines(B, V, 3200, 60, np.random.default_rng(2))
    for side in range(2):
        assert 8 < few[0][side] / many[0][side] < 32
        assert few[1][side] / many[1][side] == pytest.approx(16)
        assert 0.5 < many[0][side] / many[1][side] < 2


def variance_data(power_n=-1.0, power_q=1.0):
    """Data of the figure in which variances are powers."""
    sizes, inputs = np.array([400, 800]), np.array([10, 40])
    formula = inputs[:, None, None] ** power_q * sizes[None, :, None] ** power_n * np.ones(2)
    batches = np.array([100, 200])
    sines = np.repeat(1.0 * batches[None, :, None, None] ** power_n, 2, axis=3)
    return {
        "inputs": inputs.tolist(), "sizes": sizes.tolist(), "batches": batches.tolist(),
        "tried": [100], "outputs": 10, "mean": formula, "error": formula, "formula": formula,
        "moments": np.broadcast_to([1.0, 0.1, 1.2], (1, 2, 2, 3)),
        "sines": np.repeat(sines, 2, axis=2),
        "shares": np.array([[[1.0, 1.0, -0.5, 0.2]]]),
    }  # fmt: skip


def test_verdicts_on_the_variance():
    assert shares(tiny_variance.claims(variance_data())) == [0, 1, 0, 1, 1, 1, 0, 1]
    # Negative control: what the paper prints.
    printed = variance_data(-0.5, 0.5)
    printed["formula"] = printed["formula"] * 2
    printed["moments"] = np.broadcast_to([1.0, 0.01, 1.2], (1, 2, 2, 3))
    printed["shares"] = -printed["shares"]
    assert shares(tiny_variance.claims(printed)) == [1, 0, 1, 0, 0, 1, 1, 0]


# ---- one after the other, or together ------------------------------------------------------------


def test_gains_are_the_distances_of_theory():
    rng = np.random.default_rng(0)
    B_prev = np.column_stack([rng.normal(size=(60, 4)), np.ones(60)])
    B = np.column_stack([np.tanh(B_prev @ rng.normal(size=(5, 3))), np.ones(60)])
    V = rng.normal(size=(60, 4))
    for k in (1, 3):
        gains, sizes = tiny_joint.both(B, B_prev, V, k)
        found = tiny_theory.distances(B, B_prev, V, k)
        unit = found.nothing
        assert gains[0] == pytest.approx((found.update - found.update_first) / unit)
        assert gains[1] == pytest.approx((found.update - found.together) / unit)
        assert gains[0] < gains[1] and sizes[0] < sizes[1]


@pytest.mark.compiled
def test_both_orders_are_compared_while_a_network_grows():
    result = tiny_joint.compared(
        seed=0, tests=60, start=[1, 1], activation="tanh", growths=2, most=2, steps=3,
        optimizer="adam", learning_rate=1e-3, batch_size=50, **DIGITS,
    )  # fmt: skip
    assert result["gains"].shape == result["sizes"].shape == (4, 2)
    assert result["decreases"].shape == (4, 3, 2) and result["sines"].shape == (2,)
    assert (result["gains"][:, 0] <= result["gains"][:, 1] * (1 + tiny_joint.ROUNDING)).all()
    assert (result["decreases"][:, :, 0] >= 0).all()  # the line search accepts nothing else
    assert ((result["sines"] > 0) & (result["sines"] <= 1)).all()


def joint_data(first=0.4, joint=1.0, taken=(0.3, 0.1, 0.35)):
    decreases = np.stack([[taken, taken]] * 2, axis=-1)
    gains = np.array([[[first, joint]] * 2])
    return {"tanh": {"gains": gains, "sizes": gains, "decreases": decreases[:1],
                     "sines": np.array([[0.1]])}}  # fmt: skip


def test_verdicts_on_both_orders():
    assert shares(tiny_joint.claims(joint_data())) == [1, 0, 1, 0, 0, 0]
    better = joint_data(first=0.6, taken=(0.3, 0.32, 0.35))
    assert shares(tiny_joint.claims(better)) == [1, 1, 1, 1, 0, 1]
    wrong = joint_data(first=1.1, taken=(0.3, 0.4, 0.35))  # Negative control: no optimum.
    assert shares(tiny_joint.claims(wrong)) == [0, 1, 0, 1, 1, 1]


def test_shares_of_a_joint_gain_of_zero():
    gains = np.array([[[0.0, 0.0], [0.2, 0.4]]])
    np.testing.assert_array_equal(tiny_joint.kept({"gains": gains}), [[1.0, 0.5]])


def test_strengths_are_relative_to_the_desired_update():
    rng = np.random.default_rng(0)
    network = networks.MLP(
        [rng.normal(size=shape) for shape in ((3, 5), (2, 4), (4, 3))], activation="selu"
    )
    X, labels = rng.normal(size=(40, 4)), rng.integers(4, size=40)
    found = tiny_widths._strengths(network, X, labels, "softmax_cross_entropy")
    V = tiny.desired_updates(network, X, labels, "softmax_cross_entropy")[2]
    inputs = network.forward(X).inputs
    lost = tiny_theory.distances(inputs[2], inputs[1], V, 4)
    assert (found**2).sum() == pytest.approx((lost.update - lost.update_first) / lost.nothing)
    assert found[-1] < tiny_widths.DEAD < found[0]
