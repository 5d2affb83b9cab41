"""States and quadratic problems for the tests of SplitLBI, and walks along them."""

import numpy as np
import splitlbi_twin as twin
from hypothesis import strategies as st
from strategies import generators, with_spectrum

from refgrow import splitlbi

logs = st.floats(-1, 1)  # of kappa, nu and lam, to base 10


@st.composite
def partitions(draw, most=8):
    """(n, groups): None for the lasso, or a random partition in random order."""
    n, rng = draw(st.integers(1, most)), draw(generators)
    if draw(st.booleans()):
        return n, None
    order = rng.permutation(n)
    cuts = sorted(draw(st.sets(st.integers(1, n - 1), max_size=n - 1))) if n > 1 else []
    groups = np.split(order, cuts)
    return n, groups


@st.composite
def problems(draw, momentum=False):
    """A state with random constants and a quadratic loss, its step inside the proven ones."""
    (n, groups), rng = draw(partitions()), draw(generators)
    nu, kappa, lam = (10 ** draw(logs) for _ in range(3))
    spectrum = rng.uniform(0.1, 3, size=n)
    tau, decay = (draw(st.sampled_from([0.0, 0.5, 0.9])), 0.01) if momentum else (0.0, 0.0)
    step = draw(st.floats(0.05, 0.95)) * splitlbi.largest_step(spectrum.max(), nu, kappa)
    state = splitlbi.init(
        3 * rng.normal(size=n), step=step, nu=nu, kappa=kappa, lam=lam, groups=groups,
        V0=lam * rng.normal(size=n), momentum=tau, decay=decay,
    )  # fmt: skip
    return state, with_spectrum(spectrum, rng), 3 * rng.normal(size=n)


def prox_of(state):
    if state.groups is None:
        return lambda V: twin.lasso(V, state.lam)
    return twin.group(state.groups, state.lam)


def walk(state, S, beta, steps):
    """The states from `step`, on the quadratic loss around beta."""
    states = [state]
    for _ in range(steps):
        states.append(splitlbi.step(states[-1], S @ (states[-1].W - beta)))
    return states
