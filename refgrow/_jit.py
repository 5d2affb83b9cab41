"""Compile by assignment: `_grams = jit(_grams_py)`.

The plain function stays beside the compiled one: it can be read, stepped through in a debugger and
changed by a test, and with the environment variable NUMBA_DISABLE_JIT=1 it is what runs.

The machine code is kept on disk, in `__pycache__` or where NUMBA_CACHE_DIR points. It is renewed
when the file of the function changes, and not when a function it calls in another file does:
kernels that call each other stand in one module.
"""

from collections.abc import Callable
from typing import Any

import numba


def jit(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """The function compiled on its first call, and from the disk's copy in the next process.

    Parameters
    ----------
    function : callable
        A plain function of float64 arrays and scalars.
    **options
        Options of `numba.njit`. Unless they say otherwise, division by zero gives inf as in NumPy
        and other Python threads run meanwhile.

    Returns
    -------
    callable
        Where no cache can be written (a read-only installation without a home directory) every
        process compiles for itself: some seconds at the first call, the same results.

    Raises
    ------
    ValueError
        For `fastmath=True`, which assumes that no number is NaN or infinite: a loop compiled that
        way cannot see that it diverged. Name the flags needed, such as {"reassoc", "contract"}.
    """
    if options.get("fastmath") is True:
        raise ValueError(
            "fastmath must be a set of flags; got True, which breaks checks for NaN. "
            "Use {'reassoc', 'contract'} where sums may be reordered."
        )
    options = {"error_model": "numpy", "nogil": True, **options}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # Numba looks for a writable folder at once, and found none.
        return numba.njit(function, **options)
