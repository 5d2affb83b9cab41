"""Proof tools: three ways to check a derivative or an order of approximation.

- `complex_step`: derivatives exact to rounding, where a formula is complex-safe;
- `central_difference`: where it is not;
- `taylor_slope`: the order at which a remainder vanishes, fitted over the clean window, where the
  remainder is neither rounding nor still far from its limit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrow import validation

STEP = 1e-30  # The complex step has no cancellation, so it can be as small as one likes.
FEWEST_HALVINGS = 4  # A slope over fewer is no evidence.


def complex_step(f: Callable[[np.ndarray], Any], x: Any) -> np.ndarray:
    """The Jacobian of f at x, exact to rounding, for f built of complex-safe formulas.

    f(x + i h) = f(x) + i h f'(x) - O(h^2): the imaginary part over h is the derivative without any
    difference of close numbers.

    Parameters
    ----------
    f : callable
        Takes a complex array of x's shape, returns a complex array or number.
    x : array_like, any shape

    Returns
    -------
    (*f(x).shape, *x.shape)

    Raises
    ------
    TypeError
        Where f returns real numbers: it dropped the imaginary part, and the derivative with it.
    """
    x = validation.as_array(x, "x", None)
    columns = []
    for index in np.ndindex(x.shape):
        shifted = x.astype(complex)
        shifted[index] += 1j * STEP
        value = np.asarray(f(shifted))
        if value.dtype.kind != "c":
            raise TypeError(
                f"f must return complex numbers for complex input; got dtype {value.dtype}. "
                "Use central_difference for a formula that is not complex-safe."
            )
        columns.append(value.imag / STEP)
    return _jacobian(columns, x.shape)


def central_difference(f: Callable[[np.ndarray], Any], x: Any, step: float = 6e-6) -> np.ndarray:
    """The Jacobian of f at x by central differences, error of order step^2 + 1e-16 / step.

    The default step balances the two for a first derivative of a function of order one, and gives
    about ten digits. Shapes as in `complex_step`.

    Parameters
    ----------
    f : callable
        Takes a float array of x's shape, returns an array or a number.
    x : array_like, any shape
    step : float
        > 0, absolute.

    Returns
    -------
    (*f(x).shape, *x.shape)

    Raises
    ------
    ValueError, TypeError
        For a step that is not positive, or too small to change x.
    """
    step = validation.as_scalar(step, "step", above=0)
    x = validation.as_array(x, "x", None)
    columns = []
    for index in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[index] += step
        behind[index] -= step
        # Divided by the difference as it was rounded, not as it was meant.
        width = ahead[index] - behind[index]
        if width == 0:
            raise ValueError(
                f"step must be large enough to change x; got {step:g} where x is {x[index]:g}."
            )
        columns.append((np.asarray(f(ahead)) - np.asarray(f(behind))) / width)
    return _jacobian(columns, x.shape)


def _jacobian(columns: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(columns, axis=-1).reshape((*columns[0].shape, *shape))


@dataclass(frozen=True, eq=False)
class Slope:
    """The order of a remainder and the window it was fitted on.

    Attributes
    ----------
    order : float
        The slope of log |remainder| over log size; NaN when no order can be read off.
    sizes, remainders : (k,)
        The clean window, empty when there is none.
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
    flatness: float = 0.1,
) -> Slope:
    """The order at which a remainder vanishes: halve the size, fit the slope where it is clean.

    Each halving has a local order log2 |r(s) / r(s / 2)|. The window starts at the smallest size
    whose remainder stands clear of rounding and grows towards larger sizes while all its local
    orders agree. It is anchored at the small end because that is where the limit is: a remainder
    a s^2 + b s^3 with a small looks like s^3 at first, over more halvings than are left for s^2.

    Parameters
    ----------
    remainder : callable
        size -> actual minus predicted.
    scale : float
        > 0: the magnitude of the numbers whose difference the remainder is (the loss, say).
        Rounding is taken as 4 eps times it, and a remainder is clear of it from a hundred times
        that on. Too small a scale brings rounding into the window, and no order is found.
    largest : float
        The first size, > 0.
    halvings : int
        How often it is halved, >= 4.
    flatness : float
        > 0: the most by which the local orders of the window may differ.

    Returns
    -------
    Slope
        With ``order = nan`` when fewer than four halvings are clean: a remainder that is zero to
        rounding, or still changing its slope, has no order to report.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.
    """
    scale = validation.as_scalar(scale, "scale", above=0)
    largest = validation.as_scalar(largest, "largest", above=0)
    halvings = validation.as_integer(halvings, "halvings", at_least=FEWEST_HALVINGS)
    flatness = validation.as_scalar(flatness, "flatness", above=0)
    sizes = largest * 0.5 ** np.arange(halvings + 1)
    values = np.abs([float(remainder(float(size))) for size in sizes])
    clear = np.isfinite(values) & (values > 400.0 * np.finfo(float).eps * scale)
    end = int(np.flatnonzero(clear)[-1]) if clear.any() else 0
    start = end
    local: list[float] = []
    while start > 0 and clear[start - 1]:
        local.append(float(np.log2(values[start - 1] / values[start])))
        if max(local) - min(local) > flatness:
            break
        start -= 1
    if end - start < FEWEST_HALVINGS:
        return Slope(float("nan"), sizes[:0], values[:0], 0)
    window = slice(start, end + 1)
    order = np.polyfit(np.log(sizes[window]), np.log(values[window]), 1)[0]
    return Slope(float(order), sizes[window], values[window], end - start)
