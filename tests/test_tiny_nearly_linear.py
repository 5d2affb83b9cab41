"""What two steps keep of the joint gain behind a nearly linear layer: the chapter's numbers."""

import numpy as np
import pytest

from refgrow import tiny, tiny_theory

SIZES = (1.0, 0.3, 0.1)
DRAWS = 200
PRINTED = 0.015  # half a unit of the last digit that the chapter prints, or more


def of_one_draw(seed, outgoing=np.tanh):
    """By size: the least share of any goal, that of one goal, the largest joint fan-in.

    One neuron of the layer that is there, and new ones that read the same two inputs.
    """
    X = np.random.default_rng(seed).normal(size=(50, 2))
    goal = np.sin(2 * X[:, :1]) + X[:, 1:] ** 2
    B_prev = np.column_stack([X, np.ones(50)])
    found = []
    for size in SIZES:
        B = np.column_stack([outgoing(B_prev @ [[size], [size / 2], [0.3 * size]]), np.ones(50)])
        d = tiny_theory.distances(B, B_prev, goal, 1)
        share = (d.update - d.update_first) / (d.update - d.together)
        fan_in = np.abs(tiny.joint_neurons(B, B_prev, goal, 1)[1]).max()
        found.append((tiny_theory.least_share(B, B_prev), share, fan_in))
    return np.array(found).T


@pytest.mark.statement("TINY-angle-new")
def test_the_draw_that_the_chapter_prints(evidence):
    least, share, fan_in = of_one_draw(1)
    evidence(least_share=least.tolist(), share=share.tolist(), joint_fan_in=fan_in.tolist())
    np.testing.assert_allclose(least, [0.0908, 0.0075, 0.00015], rtol=PRINTED)
    np.testing.assert_allclose(share, [0.44, 0.36, 0.35], rtol=PRINTED)
    np.testing.assert_allclose(fan_in, [1.63, 6.94, 50.7], rtol=PRINTED)


@pytest.mark.statement("TINY-angle-new")
def test_the_middle_of_many_draws(evidence):
    found = np.array([of_one_draw(seed) for seed in range(DRAWS)])
    middle = np.median(found, axis=0)
    evidence(**dict(zip(("least_share", "share", "fan_in"), middle.tolist(), strict=True)))
    printed = [[0.08, 0.0040, 0.000067], [0.56, 0.46, 0.44], [0.76, 4.1, 32]]
    # The standard error of a median of a normal distribution, here of the logarithms.
    error = 1.2533 * np.log(found).std(axis=0) / np.sqrt(DRAWS)
    # So that the sizes are told apart, in the least share and in the fan-in.
    apart = np.abs(np.diff(np.log(printed)))[[0, 2]].min(axis=1)
    assert (4 * error[[0, 2]].max(axis=1) < apart / 2).all()
    assert (np.abs(np.log(middle / printed)) < 4 * error + PRINTED).all()
    assert (found[:, 1] >= found[:, 0] * (1 - 1e-6)).all()
    # Negative control: relu is not linear near zero, and small weights lose nothing.
    bent = of_one_draw(1, lambda A: np.maximum(A, 0.0))[0]
    np.testing.assert_allclose(bent, bent[0], rtol=1e-6)
    assert bent[0] > 5 * middle[0, 1]
