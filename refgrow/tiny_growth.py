"""TINY, section 4 and appendix C: networks that grow while they train, from widths [1, 1].

    train -> extend layer 1 -> extend layer 2 -> ... -> train -> ... -> train

In each round every hidden layer in turn gets its K-update (`tiny.decide` with line search),
estimated on samples drawn anew, the more of them the wider the network. A layer for which nothing
is found, or nothing that lowers the loss, is passed over; where only the move of old weights lowers
it, they move and no neuron is added.

The print leaves open what happens after many rounds. The less is left to close, the smaller are the
new neurons, and exact solutions read them with weights of the inverse size. That lowers the loss,
on new samples too, until the layer below moves: Adam moves every weight by about its rate, hundreds
of times such a neuron's fan-in, and the large weights read something else. Neurons that have moved
alike are alike, so that the next exact solutions are large weights that cancel, too. `cutoff` is
the remedy, ours; the paper's solution is `cutoff=None`.

Source: TINY section 4, appendix C
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrow import (
    _chain,
    activations,
    growth,
    losses,
    networks,
    tiny,
    tiny_greedy,
    train,
    validation,
)
from refgrow.networks import MLP
from refgrow.toy_training import DIVERGED, STEPS_TAKEN

STABLE = 0.01  # a cutoff with which many rounds go well
ESTIMATIONS = ("printed", "proportional", "all")
Extend = Callable[..., tuple[MLP, growth.Plan]]


@dataclass(frozen=True, eq=False)
class Growth:
    """What happened in a network's growth, round by round and layer by layer.

    Attributes
    ----------
    widths : (rounds + 1, L)
        The start included; those before the start too where an earlier record was continued.
    drawn : (rounds, L)
        Samples that each K-update was estimated on.
    before, after : (rounds, L)
        The loss on these samples before and after the layer was extended.
    desired : (rounds, L)
        The mean of |V|^2 there, for the layer that reads the new neurons.
    strengths : tuple of tuple of (k,)
        Of the neurons that were added; empty where a layer got none.
    bottlenecks : tuple of tuple of tiny.Bottleneck
        Before each round and at the end, on samples drawn as for the widest estimate; empty unless
        asked for.
    loss : (nit + phases,)
        As in `train.History`: of the batch before each step, of all samples at a phase's end.
    nit : int
        Steps taken.
    training, deciding : tuple of float
        Seconds of each phase of training, and of each round.
    success : bool
    status : int
        1 all rounds done, 2 diverged: the network is the last one that was finite, and where that
        was within a round, the one that the round began with.
    message : str

    Source: TINY section 4, appendix C (TINY-Fig-5, TINY-Fig-11, TINY-batch).
    """

    widths: np.ndarray
    drawn: np.ndarray
    before: np.ndarray
    after: np.ndarray
    desired: np.ndarray
    strengths: tuple[tuple[np.ndarray, ...], ...]
    bottlenecks: tuple[tuple[tiny.Bottleneck, ...], ...]
    loss: np.ndarray
    nit: int
    training: tuple[float, ...]
    deciding: tuple[float, ...]
    success: bool
    status: int
    message: str


def grow(
    network: MLP,
    X: Any,
    Y: Any,
    loss: "str | losses.Loss",
    *,
    rounds: int,
    steps: "int | Callable[[int], int]" = 50,
    optimizer: Any = "adam",
    learning_rate: float = 1e-4,
    batch_size: int | None = 100,
    estimation: str = "printed",
    first: float = 100.0,
    limit: int | None = None,
    most: "int | Callable[[MLP, int], int] | None" = None,
    threshold: float = 0.0,
    old_weights: str = "sequential",
    cutoff: float | None = None,
    extend: Extend | None = None,
    map_bottlenecks: bool = False,
    earlier: Growth | None = None,
    watch: train.Watch | None = None,
    watch_every: int = 100,
    clock: Callable[[], float] = time.perf_counter,
    rng: Any = None,
    estimation_rng: Any = None,
) -> tuple[MLP, Growth]:
    """Train a network and extend its hidden layers in turn, round after round.

    Parameters
    ----------
    network : MLP
        With hidden layers, of any widths; the paper's have one neuron each.
    X, Y, loss : as for `networks.check`
    rounds : int
        >= 0: how often every hidden layer is extended.
    steps : int or callable
        >= 0, of training before each round, and after the last; or a function of the phase, counted
        from 0, of which there is one more than rounds. It is asked for all phases at the start.
    optimizer, learning_rate, batch_size
        As for `train.fit`. The optimizer starts anew in every phase.
    estimation : {"printed", "proportional", "all"}
        How many samples a layer is estimated on. "printed", as the paper prints it: `first`, and
        after every round sqrt(max(width below, width above)) times as many as before, soon the
        limit. "proportional": `first` times that maximum over what it was at the start, which keeps
        the error of the moment where it was. "all": as many as `limit` allows, whatever `first` is.
        The first two are rules of `tiny_greedy.batch_schedule`, whose "afresh" is not offered here.
    first : float
        > 0: how many in the first round.
    limit : int, optional
        >= 1: how many at most; never more than there are.
    most : int or callable, optional
        Neurons for one layer at most, or a function (network, layer) that says so; as many as the
        rank by default.
    threshold, old_weights, cutoff
        As for `tiny.decide`. A cutoff of 0.01 keeps many rounds stable; the paper has none.
    extend : callable, optional
        Another way to extend a layer: ``extend(network, X, Y, layer, rng) -> network, plan``, for
        instance by random neurons; a plan without edits passes it over.
    map_bottlenecks : bool
        Whether to record `tiny.bottlenecks`; their time is not counted.
    earlier : Growth, optional
        The record of a run that this one continues: its widths count for the estimates' sizes.
    watch, watch_every
        As for `train.fit_and_grow`: a phase starts with the network that has just grown. Without a
        watch its interval is looked at, and not used.
    clock : callable
        Seconds are those of this clock; `time.process_time` for the processor's.
    rng : None, int, SeedSequence or Generator
        For the minibatches.
    estimation_rng : None, int, SeedSequence or Generator
        For the samples of the estimates, and for `extend`; the same as `rng` by default.

    Returns
    -------
    network, Growth

    Raises
    ------
    ValueError, TypeError
        For options out of range, data that do not fit, and networks without hidden layers.

    Source: TINY section 4, appendix C (TINY-Fig-5, TINY-batch). The paper counts 0.05 seconds
    between rounds, not steps.
    """
    if not isinstance(network, MLP) or not network.widths:
        raise TypeError(f"grow needs an MLP with a hidden layer; got {network!r}.")
    networks.check(network, X, Y, loss)
    X, Y = np.asarray(X, dtype=float), np.asarray(Y)
    rounds = validation.as_integer(rounds, "rounds", at_least=0)
    estimation = validation.one_of(estimation, "estimation", ESTIMATIONS)
    first = validation.as_scalar(first, "first", above=0)
    limit = len(X) if limit is None else validation.as_integer(limit, "limit", at_least=1)
    watch_every = validation.as_integer(watch_every, "watch_every", at_least=1)
    lengths = [
        validation.as_integer(steps(phase), f"steps({phase})", at_least=0)
        if callable(steps)
        else validation.as_integer(steps, "steps", at_least=0)
        for phase in range(rounds + 1)
    ]
    _check(network, threshold, old_weights, cutoff, most, map_bottlenecks, earlier)
    for name, given in (("extend", extend), ("watch", watch), ("clock", clock)):
        if not (callable(given) or (given is None and name != "clock")):
            raise TypeError(f"{name} must be a function; got {given!r}.")
    if extend is None:
        _chain.slopes_at_zero(network, activations.get(network.activation))
        options = {"threshold": threshold, "old_weights": old_weights, "cutoff": cutoff}
        extend = _k_update(loss, most, options)
    batches = validation.as_rng(rng)
    draws = batches if estimation_rng is None else validation.as_rng(estimation_rng)
    timed = _Timed(clock, watch)
    run = _Run(X, Y, losses.get(loss), min(limit, len(X)), estimation, first, draws)
    run.widths += [network.widths] if earlier is None else earlier.widths.tolist()
    for number in range(rounds + 1):
        timed.go()
        network, phase = train.fit(
            network, X, Y, loss, steps=lengths[number],
            optimizer=optimizer, learning_rate=learning_rate, batch_size=batch_size, rng=batches,
            watch=None if watch is None else timed.look, watch_every=watch_every,
        )  # fmt: skip
        timed.steps += phase.nit
        run.training.append(timed.lap())
        run.phases.append(phase)
        run.status = phase.status
        if run.status == DIVERGED or (map_bottlenecks and not run.map(network)) or number == rounds:
            break
        whole = network
        for layer in range(len(network.widths)):
            rows = run.rows(layer, network)
            before = run.activity(network, rows)
            if before is None:
                network = whole  # as the record has it
                break
            timed.go()
            grown, plan = extend(network, X[rows], Y[rows], layer, draws)
            timed.stop()
            run.note(network, grown, plan, rows, layer, before)
            network = grown
        passed = timed.lap()
        if run.status == DIVERGED:
            break
        run.deciding.append(passed)
        run.widths.append(network.widths)
    return network, run.record()


def strengths(network: MLP, plan: growth.Plan, X: Any) -> np.ndarray:
    """The lambda_k of a plan's neurons: the root mean square of what they add, at size one.

    Parameters
    ----------
    network : MLP
        Before the plan.
    plan : growth.Plan
        With one addition, or none.
    X : (n, d_in)

    Returns
    -------
    (k,)
        Empty where the plan adds nothing.

    Raises
    ------
    ValueError, TypeError
        For an X that does not fit, a plan that is not for this network, and several additions.

    Source: TINY Prop 3.2 (TINY-Prop-3.2-weights), Figs 11 and 12 (TINY-Fig-11).
    """
    if not isinstance(network, MLP):
        raise TypeError(f"network must be an MLP; got {type(network).__name__}.")
    growth.apply(network, plan, 0.0)  # It says what does not fit.
    adds = sum(isinstance(edit, growth.Add) for edit in plan.edits)
    if adds > 1:
        raise ValueError(
            f"plan must have one addition, or none; got {adds}. Use a plan for one layer at a time."
        )
    return _strengths(network, plan, network.forward(X).inputs)


# Helpers --------------------------------------------------------------------------------------


def _check(
    network: MLP, threshold: Any, old_weights: Any, cutoff: Any, most: Any, map_bottlenecks: Any,
    earlier: Any,
) -> None:  # fmt: skip
    """Before any training, not only where the first layer is extended."""
    validation.as_scalar(threshold, "threshold", at_least=0)
    validation.one_of(old_weights, "old_weights", ("sequential", "joint", "fixed"))
    if cutoff is not None:
        validation.as_scalar(cutoff, "cutoff", at_least=0, below=1)
    if most is not None and not callable(most):
        validation.as_integer(most, "most", at_least=1)
    validation.as_bool(map_bottlenecks, "map_bottlenecks")
    if earlier is None:
        return
    if not isinstance(earlier, Growth):
        raise TypeError(f"earlier must be a Growth; got {type(earlier).__name__}.")
    if tuple(earlier.widths[-1].tolist()) != tuple(network.widths):
        raise ValueError(
            f"earlier must end with this network's widths {list(network.widths)}; it ends with "
            f"{earlier.widths[-1].tolist()}."
        )


def _strengths(network: MLP, plan: growth.Plan, inputs: Sequence[np.ndarray]) -> np.ndarray:
    slopes = activations.get(network.activation).derivative(np.array([0.0, 1e-300]))
    for edit in plan.edits:
        if isinstance(edit, growth.Add):
            z = inputs[edit.layer] @ edit.fan_in.T
            size = np.sqrt((z**2).mean(axis=0) * (edit.fan_out**2).sum(axis=0))
            return np.asarray(slopes.mean() * size)
    return np.zeros(0)


def _k_update(loss: Any, most: Any, options: dict[str, Any]) -> Extend:
    def extend(
        network: MLP, X: np.ndarray, Y: np.ndarray, layer: int, rng: Any
    ) -> tuple[MLP, growth.Plan]:
        k = most(network, layer) if callable(most) else most
        plan = tiny.decide(
            network, X, Y, loss, layer=layer, most=k, line_search=True, size=1.0, **options
        )
        return (growth.apply(network, plan) if plan.edits else network), plan

    return extend


class _Timed:
    """A clock that stands still while somebody looks, and counts steps through all phases."""

    def __init__(self, clock: Callable[[], float], watch: train.Watch | None) -> None:
        self._clock, self._watch = clock, watch
        self._since: float | None = None
        self._lap = 0.0
        self.steps, self.seconds = 0, 0.0

    def go(self) -> None:
        self._since = self._clock()

    def stop(self) -> None:
        if self._since is not None:
            self.seconds += self._clock() - self._since
        self._since = None

    def lap(self) -> float:
        """Stops, and says how much there was since the last time."""
        self.stop()
        passed, self._lap = self.seconds - self._lap, self.seconds
        return passed

    def look(self, step: int, network: Any, _: float) -> None:
        self.stop()
        if self._watch is not None:
            self._watch(self.steps + step, network, self.seconds)
        self.go()


class _Run:
    """What is known so far of a growth, and the samples that its estimates draw."""

    def __init__(
        self, X: np.ndarray, Y: np.ndarray, loss: losses.Loss, limit: int, estimation: str,
        first: float, draws: np.random.Generator,
    ) -> None:  # fmt: skip
        self._X, self._Y, self._loss, self._draws = X, Y, loss, draws
        self._estimation, self._first, self._limit = estimation, first, limit
        self.widths: list[Sequence[int]] = []
        self.phases: list[train.History] = []
        self.training: list[float] = []
        self.deciding: list[float] = []
        self.status = STEPS_TAKEN
        self._bottlenecks: list[tuple[tiny.Bottleneck, ...]] = []
        self._found: list[tuple[float, ...]] = []
        self._strengths: list[np.ndarray] = []

    def rows(self, layer: int | None, network: MLP) -> np.ndarray:
        """The samples to estimate a layer on; without one, as many as for the widest estimate."""
        sizes = np.full(len(network.widths), float(self._limit))
        if self._estimation != "all":
            sizes = tiny_greedy.batch_schedule(
                self.widths, inputs=self._X.shape[1], outputs=len(network.arrays[-1]),
                start=self._first, rule=self._estimation, limit=self._limit,
            )[-1]  # fmt: skip
        size = max(int(sizes.max() if layer is None else sizes[layer]), 1)
        return np.sort(self._draws.permutation(len(self._X))[:size])

    def activity(self, network: MLP, rows: np.ndarray) -> _chain.Activity | None:
        """The network on these samples; None, and diverged, where its derivatives overflow."""
        try:
            return _chain.activity(network, self._X[rows], self._Y[rows], self._loss)
        except ValueError:  # The data have been checked: nothing else is left.
            self.status = DIVERGED
            return None

    def map(self, network: MLP) -> bool:
        rows = self.rows(None, network)
        if self.activity(network, rows) is not None:
            found = tiny.bottlenecks(network, self._X[rows], self._Y[rows], self._loss)
            self._bottlenecks.append(found)
        return self.status != DIVERGED

    def note(
        self, network: MLP, grown: MLP, plan: growth.Plan, rows: np.ndarray, layer: int,
        before: _chain.Activity,
    ) -> None:  # fmt: skip
        X, Y, V = self._X[rows], self._Y[rows], before.goals[layer + 1]

        def value(network: MLP) -> float:
            return float(self._loss.samples(network(X), Y).mean())

        desired = float((V**2).sum()) / len(V)
        self._found.append((len(rows), value(network), value(grown), desired))
        self._strengths.append(_strengths(network, plan, before.inputs))

    def record(self) -> Growth:
        hidden = len(self.widths[0])
        rounds = len(self._found) // hidden  # One that was broken off is not counted.
        found = np.array(self._found[: rounds * hidden]).reshape(rounds, hidden, 4)
        drawn, before, after, desired = np.moveaxis(found, -1, 0)
        message = "All rounds are done."
        if self.status == DIVERGED:
            message = (
                f"It diverged after {rounds} rounds; the last finite network is kept. Use a "
                "smaller learning rate, or a cutoff."
            )
        return Growth(
            widths=np.array(self.widths),
            drawn=drawn.astype(int),
            before=before,
            after=after,
            desired=desired,
            strengths=tuple(
                tuple(self._strengths[k * hidden : (k + 1) * hidden]) for k in range(rounds)
            ),
            bottlenecks=tuple(self._bottlenecks),
            loss=np.concatenate([phase.loss for phase in self.phases]),
            nit=sum(phase.nit for phase in self.phases),
            training=tuple(self.training),
            deciding=tuple(self.deciding),
            success=self.status != DIVERGED,
            status=self.status,
            message=message,
        )
