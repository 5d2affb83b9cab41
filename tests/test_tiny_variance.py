"""TINY section 3.4: how the best update and the best neurons vary with the samples.

Oracles: every batch of a small population, in fractions, and Monte Carlo with seeds.
"""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from refgrow import tiny, tiny_greedy

ROUNDING = 1e-12
SIGMAS = 5  # Standard errors of a Monte Carlo mean.
HIGHER = 0.15  # Relative: what the next order in 1/n adds at the sizes used here.


def estimates(lambdas, n, q, p, noise, runs, rng):
    """The squared sines of fan-in and fan-out of the first neuron, by `tiny.best_neurons`."""
    found = []
    for _ in range(runs):
        Z, V = rng.normal(size=(n, q)), noise * rng.normal(size=(n, p))
        V[:, : len(lambdas)] += Z[:, : len(lambdas)] * lambdas
        neurons = tiny.best_neurons(Z, V, 1)
        a, o = neurons.fan_in[0], neurons.fan_out[:, 0]
        found.append([1 - a[0] ** 2 / (a @ a), 1 - o[0] ** 2])
    return np.array(found)


@pytest.mark.statement("TINY-variance")
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_moment_varies_like_one_over_n(n, evidence):
    """A population of three, and every batch of n of it."""
    B, V = np.array([[1, 0], [2, -1], [0, 3]]), np.array([[1], [-2], [1]])
    N = [Fraction(int(entry), 3) for entry in (B.T @ V).ravel()]
    total = Fraction(0)
    for batch in product(range(3), repeat=n):
        own = [Fraction(int(entry), n) for entry in (B[list(batch)].T @ V[list(batch)]).ravel()]
        total += sum((a - b) ** 2 for a, b in zip(own, N, strict=True))
    exact = float(total / 3**n)
    evidence(f"E |N_n - N|^2, n = {n}", exact)
    assert tiny_greedy.moment_error(B, V, n) == pytest.approx(exact, rel=ROUNDING)
    one = tiny_greedy.moment_error(B, V, 1)
    assert exact == pytest.approx(one / n)
    assert n == 1 or abs(exact * np.sqrt(n) / one - 1) > 0.2  # Negative control: 1/sqrt(n).


@pytest.mark.statement("TINY-variance")
def test_the_error_of_the_moment_and_its_largest_direction(evidence):
    """No signal: E |N_n| in operator norm is about (sqrt q + sqrt p) / sqrt n."""
    rng, means = np.random.default_rng(0), []
    for q, p, n in ((40, 10, 200), (40, 10, 800), (160, 10, 800), (40, 40, 800)):
        norms = [np.linalg.norm(rng.normal(size=(q, n)) @ rng.normal(size=(n, p)) / n, 2)
                 for _ in range(20)]  # fmt: skip
        mean, most = np.mean(norms), np.sqrt(max(q, p) / n)
        evidence(f"operator norm, sqrt(max / n), q, p, n = {q}, {p}, {n}",
                 f"{mean:.3f}, {most:.3f}")  # fmt: skip
        assert mean == pytest.approx((np.sqrt(q) + np.sqrt(p)) / np.sqrt(n), rel=HIGHER)
        assert most < mean < 2.2 * most
        means.append(mean)
    # Four times the samples: half the error. Negative control: not half the variance.
    assert means[0] / means[1] == pytest.approx(2, rel=0.1)
    assert (means[0] / means[1]) ** 2 > 3


@pytest.mark.statement("TINY-variance")
@pytest.mark.parametrize(
    ("lambdas", "n", "q", "p", "noise"),
    [([1, 0.5], 1500, 4, 3, 0.3), ([1, 0.6, 0.3], 2000, 6, 8, 0.5), ([1, 0.5], 2000, 3, 2, 0.0),
     ([1.0], 1000, 12, 2, 1.0)],
)  # fmt: skip
def test_directions_vary_as_predicted(lambdas, n, q, p, noise, evidence):
    runs = 250
    sines = estimates(lambdas, n, q, p, noise, runs, np.random.default_rng(q + p))
    errors = sines.std(axis=0) / np.sqrt(runs)
    for side, dimension, mean, error in zip(("in", "out"), (q, p), sines.mean(axis=0), errors,
                                            strict=True):  # fmt: skip
        formula = tiny_greedy.direction_error(
            lambdas, 0, n, dimension=dimension, side=side, noise=noise
        )
        evidence(f"fan-{side}: Monte Carlo, formula", f"{mean:.3g} +- {error:.2g}, {formula:.3g}")
        assert abs(mean - formula) <= SIGMAS * error + HIGHER * formula
        # Negative control: v is what varies, not only S: the print's max(q, p) / n.
        if noise == 0:
            assert mean < 0.5 * max(q, p) / n


@pytest.mark.statement("TINY-variance")
def test_the_second_moment_varies_too(evidence):
    """Without noise in v the directions still vary: the terms that come from S are all there is."""
    sines = estimates([2, 1.4], 2000, 3, 2, 0.05, 250, np.random.default_rng(1)).mean(axis=0)
    for side, mean, dimension in (("in", sines[0], 3), ("out", sines[1], 2)):
        with_S = tiny_greedy.direction_error([2, 1.4], 0, 2000, dimension=dimension, side=side,
                                             noise=0.05)  # fmt: skip
        without = with_S - tiny_greedy.direction_error([2, 1.4], 0, 2000, dimension=dimension,
                                                       side=side)  # fmt: skip
        evidence(f"fan-{side}: Monte Carlo, with S, S taken as known",
                 f"{mean:.2g}, {with_S:.2g}, {without:.2g}")  # fmt: skip
        assert 0.7 < mean / with_S < 1.4
        assert mean > 20 * without  # Negative control.


@pytest.mark.statement("TINY-variance")
def test_each_side_varies_with_its_own_dimension(evidence):
    """Not with the larger of the two: 32 inputs more leave the fan-out where it is."""
    rng = np.random.default_rng(2)
    few = estimates([1, 0.5], 1500, 4, 4, 0.5, 120, rng).mean(axis=0)
    many = estimates([1, 0.5], 1500, 36, 4, 0.5, 120, rng).mean(axis=0)
    evidence("fan-in, fan-out: q = 4, q = 36", f"{few.round(5)}, {many.round(5)}")
    assert many[0] > 5 * few[0]
    assert 0.6 < many[1] / few[1] < 1.7

    def formula(q, side):
        dimension = q if side == "in" else 4
        return tiny_greedy.direction_error([1, 0.5], 0, 1500, dimension=dimension, side=side,
                                           noise=0.5)  # fmt: skip

    assert formula(36, "in") > 5 * formula(4, "in") and formula(36, "out") == formula(4, "out")


@pytest.mark.statement("TINY-variance")
def test_the_squared_error_falls_like_one_over_n_and_not_at_all_with_a_tie(evidence):
    rng, sizes = np.random.default_rng(3), (200, 800, 3200)
    apart = [estimates([1, 0.5], n, 3, 3, 0.5, 150, rng)[:, 0].mean() for n in sizes]
    tied = [estimates([1, 1], n, 3, 3, 0.5, 150, rng)[:, 0].mean() for n in sizes]
    slope = np.polyfit(np.log(sizes), np.log(apart), 1)[0]
    evidence("slope in n; with a tie, n = 200, 800, 3200",
             f"{slope:.2f}; {', '.join(f'{s:.2f}' for s in tied)}")  # fmt: skip
    assert abs(slope + 1) < 0.2
    assert abs(slope + 0.5) > 0.2  # Negative control: the print's sqrt(N).
    assert np.allclose(tied, 0.5, atol=0.12)
    with pytest.raises(ValueError, match="tie"):
        tiny_greedy.direction_error([1, 1], 0, 200, dimension=3, side="in")


@pytest.mark.statement("TINY-variance")
def test_below_the_number_of_inputs_more_samples_are_worse(evidence):
    rng, q, runs = np.random.default_rng(4), 6, 4000
    values = {}
    for n in (1, 2, 3, 12, 24, 60):
        inverse = np.linalg.pinv(rng.normal(size=(runs, n, q)))
        updates = (inverse @ rng.normal(size=(runs, n, 1)))[..., 0]
        squares = (updates**2).sum(axis=1)
        values[n] = squares.mean()
        formula = tiny_greedy.update_variance(n, q)
        error = squares.std() / np.sqrt(runs)
        evidence(f"noise in the update, n = {n}, q = 6", f"{values[n]:.3f}, formula {formula:.3f}")
        assert abs(values[n] - formula) <= SIGMAS * error
    assert values[1] < values[2] < values[3]
    assert values[12] > values[24] > values[60]  # Negative control: above q it falls.
    assert [tiny_greedy.update_variance(n, q) for n in (5, 6, 7)] == [np.inf] * 3
    assert tiny_greedy.update_variance(6, 6, 0) == 0
    assert tiny_greedy.update_variance(12, 6, 2) == 4 * tiny_greedy.update_variance(12, 6)


@pytest.mark.statement("TINY-variance")
def test_the_first_fan_ins_of_the_paper_explain_their_batch_alone(evidence):
    """n = 100 samples of 785 inputs: nothing is left in the batch, nothing is gained outside.

    The regression of layer 1's new fan-ins. Expected outside, to first order in the ratio:
    1 - ((1 - n/q) + s^2 n / (q - n - 1) + s^2) / (1 + s^2), s = 1 here.
    """
    rng, inside, outside, true, runs = np.random.default_rng(5), [], [], [], 60
    for _ in range(runs):
        w = rng.normal(size=785) / np.sqrt(785)
        Z, test = rng.normal(size=(100, 785)), rng.normal(size=(500, 785))
        v, out = Z @ w + rng.normal(size=100), test @ w + rng.normal(size=500)
        a, o, _ = tiny.best_neurons(Z, v[:, None], 1)
        fan_in = a[0] * o[0, 0]
        inside.append(1 - ((v - Z @ fan_in) ** 2).sum() / (v @ v))
        outside.append(1 - ((out - test @ fan_in) ** 2).sum() / (out @ out))
        true.append(1 - ((out - test @ w) ** 2).sum() / (out @ out))
    mean, error = np.mean(outside), np.std(outside) / np.sqrt(runs)
    expected = 1 - (1 - 100 / 785 + tiny_greedy.update_variance(100, 785) + 1) / 2
    evidence("explained inside the batch, outside, expected; the truth is 0.5",
             f"{np.min(inside):.3f}, {mean:.3f} +- {error:.3f}, {expected:.3f}")  # fmt: skip
    assert np.min(inside) == pytest.approx(1)
    assert expected == pytest.approx(-0.0094, abs=1e-4) and abs(mean - expected) < SIGMAS * error
    assert 0.45 < np.mean(true) < 0.55  # Negative control.
    # The update that goes with them reads a neuron and the ones: 100 samples are many.
    assert tiny_greedy.update_variance(100, 2) < 0.03


@pytest.mark.parametrize(
    "options",
    [{"strengths": [1, 2]}, {"strengths": [1, -1]}, {"k": 2}, {"n": 0}, {"dimension": 1},
     {"side": "left"}, {"noise": -1.0}, {"strengths": [1, 0], "k": 1}],
)  # fmt: skip
def test_refusals(options):
    given = {"strengths": [1, 0.5], "k": 0, "n": 10, "dimension": 3, "side": "in"} | options
    with pytest.raises(ValueError):
        tiny_greedy.direction_error(given.pop("strengths"), given.pop("k"), given.pop("n"), **given)
