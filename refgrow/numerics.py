"""Proof tools: three ways to check a derivative or an order of approximation.

- `complex_step`: derivatives exact to rounding, where a formula is complex-safe;
- `central_difference`: where it is not;
- `taylor_slope`: the order at which a remainder vanishes, fitted over the clean window, where the
  remainder is neither rounding nor still far from its limit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refgrow import validation

STEP = 1e-30  # The complex step has no cancellation, so it can be as small as one likes.


def complex_step(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """The Jacobian of f at x, exact to rounding, for f built of complex-safe formulas.

    f(x + i h) = f(x) + i h f'(x) - O(h^2): the imaginary part over h is the derivative without any
    difference of close numbers.

    Parameters
    ----------
    f : callable
        Takes an array of x's shape (complex), returns an array or a number.
    x : array, any shape

    Returns
    -------
    (*f(x).shape, *x.shape)
    """
    x = np.asarray(x, dtype=float)
    columns = []
    for index in np.ndindex(x.shape):
        shifted = x.astype(complex)
        shifted[index] += 1j * STEP
        columns.append(np.imag(f(shifted)) / STEP)
    return np.moveaxis(np.array(columns), 0, -1).reshape(*np.shape(columns[0]), *x.shape)


def central_difference(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: float = 6e-6
) -> np.ndarray:
    """The Jacobian of f at x by central differences, error of order step^2 + 1e-16 / step.

    The default step balances the two for a first derivative of a function of order one, and gives
    about ten digits. Shapes as in `complex_step`.
    """
    step = validation.as_scalar(step, "step", above=0)
    x = np.asarray(x, dtype=float)
    columns = []
    for index in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[index] += step
        behind[index] -= step
        # Divided by the difference as it was rounded, not as it was meant.
        width = ahead[index] - behind[index]
        columns.append((np.asarray(f(ahead)) - np.asarray(f(behind))) / width)
    return np.moveaxis(np.array(columns), 0, -1).reshape(*np.shape(columns[0]), *x.shape)


@dataclass(frozen=True)
class Slope:
    """The order of a remainder and the window it was fitted on.

    Attributes
    ----------
    order : float
        The slope of log |remainder| over log size; NaN when the window is too short.
    sizes, remainders : (k,)
        The clean window.
    halvings : int
        The number of clean halvings, k - 1.
    """

    order: float
    sizes: np.ndarray
    remainders: np.ndarray
    halvings: int


def taylor_slope(
    remainder: Callable[[float], float],
    *,
    scale: float,
    largest: float = 0.5,
    halvings: int = 24,
    flatness: float = 0.05,
) -> Slope:
    """The order at which a remainder vanishes: halve the size, fit the slope where it is clean.

    Each halving gives a local order log2 |r(s) / r(s / 2)|. A size belongs to the clean window when
    its remainder is at least a hundred times the rounding of the numbers it was computed from, and
    the window is the longest run in which neighbouring local orders differ by less than `flatness`.

    Parameters
    ----------
    remainder : callable
        size -> actual minus predicted.
    scale : float
        The magnitude of the numbers whose difference the remainder is (the loss, say): rounding is
        taken as 4 eps times it.
    largest : float
        The first size.
    halvings : int
        How often it is halved.
    flatness : float
        How much neighbouring local orders may differ inside the window.

    Returns
    -------
    Slope
        With ``order = nan`` when fewer than two halvings are clean: a remainder that is zero to
        rounding has no order.
    """
    scale = validation.as_scalar(scale, "scale", above=0)
    sizes = largest * 0.5 ** np.arange(halvings + 1)
    values = np.abs([float(remainder(size)) for size in sizes])
    floor = 400.0 * np.finfo(float).eps * scale
    clean = values > floor
    with np.errstate(divide="ignore", invalid="ignore"):
        local = np.log2(values[:-1] / values[1:])
    usable = clean[:-1] & clean[1:] & np.isfinite(local)
    best, start = (0, 0), None
    for k in range(halvings):
        joins = start is not None and usable[k] and abs(local[k] - local[k - 1]) < flatness
        if not joins:
            start = k if usable[k] else None
        # Ties go to the smaller sizes, which are closer to the limit.
        if start is not None and k + 1 - start >= best[1] - best[0]:
            best = (start, k + 1)
    count = best[1] - best[0]
    window = slice(best[0], best[1] + 1)
    if count < 2:
        return Slope(float("nan"), sizes[:0], values[:0], 0)
    order = np.polyfit(np.log(sizes[window]), np.log(values[window]), 1)[0]
    return Slope(float(order), sizes[window], values[window], count)
