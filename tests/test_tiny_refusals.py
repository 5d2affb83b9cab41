"""What TINY's functions say where they cannot answer."""

import warnings

import numpy as np
import pytest

from refgrow import networks, tiny


@pytest.mark.parametrize("cutoff", [None, 1e-8])
@pytest.mark.parametrize("find", [tiny.best_update, lambda *a, **b: tiny.best_neurons(*a, 1, **b)])
def test_weights_that_overflow_are_refused_without_a_warning(find, cutoff):
    B, V = np.full((3, 2), 1e-170), np.full((3, 2), 1e160)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="the regression on the activations overflows"):
            find(B, V, cutoff=cutoff)
        assert np.isfinite(find(B, 1e-100 * V, cutoff=cutoff)[0]).all()


def test_without_a_hidden_layer_none_can_grow():
    network, ones = networks.MLP([np.ones((1, 2))]), np.ones((3, 1))
    for layer in (0, 2):
        with pytest.raises(ValueError, match=rf"layer {layer} cannot grow: .* no hidden layer"):
            tiny.decide(network, ones, ones, "squared", layer=layer)
    with pytest.raises(ValueError, match=r"layer must be an integer >= 0; got -1"):
        tiny.decide(network, ones, ones, "squared", layer=-1)
    for layer in ("all", "bottleneck"):
        assert tiny.decide(network, ones, ones, "squared", layer=layer).edits == ()
    deeper = networks.MLP([np.ones((1, 2))] * 2, "tanh")
    with pytest.raises(ValueError, match=r"layer must be an integer >= 0 and <= 0; got 1"):
        tiny.decide(deeper, ones, ones, "squared", layer=1)
