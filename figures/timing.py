"""How the benchmarks measure: the best of several runs, ways compared in turn, one thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

import numpy as np

from refgrow import data

Work = Callable[[], object]


def times(ways: Mapping[str, Work], seconds: float = 1.0, least: int = 3) -> dict[str, float]:
    """The shortest time of each way to do the same work, in seconds.

    The ways take turns, so that a disturbance of the machine falls on all of them, for about
    `seconds` each and at least `least` times. The first round warms caches and does not count.
    """
    for work in ways.values():
        work()
    found = dict.fromkeys(ways, np.inf)
    rounds, spent = 0, 0.0
    while rounds < least or spent < seconds * len(ways):
        for name, work in ways.items():
            began = time.perf_counter()
            work()
            taken = time.perf_counter() - began
            found[name] = min(found[name], taken)
            spent += taken
        rounds += 1
    return found


def product_rate(size: int = 1500) -> float:
    """Flops a second of `A @ A` at this size: what the machine gives a matrix product."""
    A = np.random.default_rng(0).normal(size=(size, size))
    return 2 * size**3 / times({"A @ A": lambda: A @ A})["A @ A"]


def slope(sizes: np.ndarray, taken: np.ndarray) -> float:
    """The power with which time grows, from the upper half of the sizes."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(taken[half:]), 1)[0])


def folder() -> str:
    """The folder of the digits, empty where it is not given or is another."""
    given = os.environ.get("REFGROW_DATA", "")
    if not given:
        return ""
    try:
        data.mnist(given, samples=1)
    except FileNotFoundError:
        return ""
    return given
