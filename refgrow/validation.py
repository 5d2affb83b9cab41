"""One place where input is checked and errors are worded.

Every public function passes what it is given through these functions before any compiled code
runs. An error says which argument, what was required, what was given and how to mend it. What is
accepted is never changed: arrays come back as float64 and C-contiguous, as copies where needed.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from numbers import Real
from typing import Any

import numpy as np

# Relative asymmetry above which a "symmetric" matrix is refused: far above rounding, far below
# anything a forgotten transpose would leave.
SYMMETRY_TOLERANCE = 1e-8


def as_array(
    value: Any,
    name: str,
    shape: Sequence[str | int] | None,
    *,
    hint: str = "",
    flat: str = "",
) -> np.ndarray:
    """A finite float64 C-contiguous array of the given shape.

    Parameters
    ----------
    value : array_like
        Read-only, Fortran-ordered, non-contiguous, float32 and integer input is accepted.
    name : str
        The argument's name, for the error.
    shape : sequence of str or int, or None
        A name for every free dimension, an integer for every fixed one: ``("n", 3)``; None where
        any shape will do.
    hint : str
        How to mend a wrong shape; only the caller knows.
    flat : str
        The same for a 1-D array where rows and columns are wanted, instead of `hint`.

    Returns
    -------
    ndarray
        The array itself where it is so already, a copy otherwise.

    Raises
    ------
    TypeError
        For sparse, masked, object, string, boolean or complex input.
    ValueError
        For ragged or empty input, a wrong shape, NaN or infinity (with its index).
    """
    array = _real_array(value, name)
    if shape is None:
        return _finite(array, name)
    wanted = f"({', '.join(str(s) for s in shape)}{',' if len(shape) == 1 else ''})"
    if array.ndim != len(shape):
        if (array.ndim, len(shape)) == (1, 2):
            hint = flat or hint or ("Use X[:, None] for one feature." if name == "X" else "")
        raise ValueError(
            f"{name} must be {len(shape)}-D with shape {wanted}; got shape {array.shape}."
            + _hint(hint)
        )
    for axis, size in enumerate(shape):
        if isinstance(size, int) and array.shape[axis] != size:
            raise ValueError(
                f"{name} must have shape {wanted}; got shape {array.shape}, "
                f"where axis {axis} should be {size}." + _hint(hint)
            )
    return _finite(array, name)


def as_symmetric(S: Any, name: str) -> np.ndarray:
    """A symmetric matrix, or a stack of them: shape (d, d) or (..., d, d).

    Parameters
    ----------
    S : array_like
        Asymmetric by no more than rounding.
    name : str
        The argument's name, for the error.

    Returns
    -------
    ndarray, shape (d, d) or (..., d, d)

    Raises
    ------
    TypeError
        As `as_array` does.
    ValueError
        For a matrix that is not square, finite and symmetric.
    """
    array = _real_array(S, name)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ValueError(f"{name} must have shape (d, d) or (..., d, d); got shape {array.shape}.")
    array = _finite(array, name)
    # Each matrix of a stack against its own entries: a large one does not excuse a small one.
    gap = np.abs(array - np.swapaxes(array, -1, -2)).max(axis=(-2, -1))
    bad = gap > SYMMETRY_TOLERANCE * np.abs(array).max(axis=(-2, -1))
    if bad.any():
        raise ValueError(
            f"{name} must be symmetric; its largest asymmetry is {gap[bad].max():.3g}. "
            f"Use ({name} + {name}.swapaxes(-1, -2)) / 2 if the difference is rounding."
        )
    return array


def as_labels(y: Any, name: str, classes: int, n: int) -> np.ndarray:
    """Integer class labels 0 .. classes - 1, shape (n,).

    Parameters
    ----------
    y : array_like of int
    name : str
    classes, n : int
        How many classes and samples there are.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    TypeError
        For labels that are not integers; 1.0 is none.
    ValueError
        For another shape, and labels out of range.
    """
    array = _plain_array(y, name)
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must hold integer labels; got dtype {array.dtype}."
            + (f" Use {name}.astype(int)." if array.dtype.kind in "bf" else "")
        )
    if array.shape != (n,):
        raise ValueError(
            f"{name} must have shape ({n},), one label a sample; got shape {array.shape}."
            + (f" Use {name}[:, 0]." if array.shape == (n, 1) else "")
        )
    outside = np.flatnonzero((array < 0) | (array >= classes))
    if outside.size:
        raise ValueError(
            f"{name} must hold labels from 0 to {classes - 1}, one for each of the {classes} "
            f"classes; got {array[outside[0]]} at index {outside[0]}."
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def as_scalar(
    value: Any,
    name: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> float:
    """A finite real number within the given bounds.

    Parameters
    ----------
    value : number
    name : str
    above, at_least, below, at_most : float, optional

    Returns
    -------
    float

    Raises
    ------
    TypeError
        For what is not a real number, booleans included.
    ValueError
        For NaN, infinity, and numbers out of bounds.
    """
    wanted = _bounds(above=above, at_least=at_least, below=below, at_most=at_most)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number{wanted}; got {value!r}.")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond 1e308
        number = float("inf")
    if (
        not np.isfinite(number)
        or (above is not None and not number > above)
        or (at_least is not None and not number >= at_least)
        or (below is not None and not number < below)
        or (at_most is not None and not number <= at_most)
    ):
        raise ValueError(f"{name} must be a finite number{wanted}; got {value!r}.")
    return number


def as_integer(
    value: Any, name: str, *, at_least: int | None = None, at_most: int | None = None
) -> int:
    """An integer within the given bounds; 3.0 is refused, numpy integers are accepted.

    Parameters
    ----------
    value : int
    name : str
    at_least, at_most : int, optional

    Returns
    -------
    int

    Raises
    ------
    TypeError
        For what is not an integer, booleans included.
    ValueError
        For integers out of bounds.
    """
    wanted = _bounds(at_least=at_least, at_most=at_most)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer{wanted}; got {value!r}.")
    if (at_least is not None and value < at_least) or (at_most is not None and value > at_most):
        raise ValueError(f"{name} must be an integer{wanted}; got {value!r}.")
    return int(value)


def as_rng(rng: Any) -> np.random.Generator:
    """A NumPy generator from None, an int, a SeedSequence or a Generator (SPEC 7).

    Parameters
    ----------
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    numpy.random.Generator
        The one given, where one is.

    Raises
    ------
    TypeError, ValueError
        For anything else, and a negative seed.
    """
    if isinstance(rng, (bool, np.bool_)) or not (
        rng is None
        or isinstance(rng, (int, np.integer, np.random.SeedSequence, np.random.Generator))
    ):
        raise TypeError(
            "rng must be None, an int, a numpy SeedSequence or a numpy Generator; "
            f"got {type(rng).__name__}."
        )
    if isinstance(rng, (int, np.integer)) and rng < 0:
        raise ValueError(f"rng must be a non-negative integer seed; got {rng!r}.")
    return np.random.default_rng(rng)


def as_bool(value: Any, name: str) -> bool:
    """True or False, NumPy's included; what merely counts as true is refused.

    Parameters
    ----------
    value : bool
    name : str
        The argument's name, for the error.

    Returns
    -------
    bool

    Raises
    ------
    TypeError
        For anything else, 0, 1 and "no" included.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False; got {value!r}.")
    return bool(value)


def one_of(value: Any, name: str, options: Iterable[str]) -> str:
    """One of the named options; an unknown name is answered with the nearest.

    Parameters
    ----------
    value : str
    name : str
    options : iterable of str

    Returns
    -------
    str

    Raises
    ------
    TypeError, ValueError
        For what is not a string, and an unknown name.
    """
    names = sorted(options)
    if isinstance(value, str) and value in names:
        return value
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(names)}; got {value!r}.")
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.4)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(names)}; got {value!r}.{suggestion}")


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only copy, for a record to keep: later changes of the original do not reach it.

    Parameters
    ----------
    array : ndarray, any shape

    Returns
    -------
    ndarray
    """
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def by_constructor(record: Any) -> tuple[type, tuple[Any, ...]]:
    """What a record's `__reduce__` returns, so that pickle and copy build it as a caller would.

    Otherwise the arrays of the copy would be writable: NumPy's pickles forget the flag.

    Parameters
    ----------
    record : dataclass instance

    Returns
    -------
    type, tuple
    """
    return type(record), tuple(getattr(record, field.name) for field in fields(record))


def _plain_array(value: Any, name: str) -> np.ndarray:
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise TypeError(f"{name} must be a dense array; got a sparse one. Use {name}.toarray().")
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain array; got a masked one. Use {name}.filled(...).")
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name} must be a rectangular array of numbers; got rows of unequal length."
        ) from None


def _real_array(value: Any, name: str) -> np.ndarray:
    array = _plain_array(value, name)
    if array.dtype.kind not in "iuf":
        mend = {
            "c": " Take the real part first.",
            "b": f" Use {name}.astype(float).",
            "O": f" Use np.asarray({name}, dtype=float) if they are numbers.",
        }
        raise TypeError(
            f"{name} must hold real numbers; got dtype {array.dtype}."
            + mend.get(array.dtype.kind, "")
        )
    if array.size == 0:
        raise ValueError(f"{name} must not be empty; got shape {array.shape}.")
    # Not ascontiguousarray, which makes a number an array of one.
    return np.asarray(array, dtype=np.float64, order="C")


def _finite(array: np.ndarray, name: str) -> np.ndarray:
    # The sum is finite when every entry is: one pass without a temporary, the usual case.
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()
    if not np.isfinite(total):
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            index = tuple(int(i) for i in bad[0])
            where = index[0] if len(index) == 1 else index
            raise ValueError(
                f"{name} must be finite; got {array[index]} at index {where}"
                + (f" and at {len(bad) - 1} more." if len(bad) > 1 else ".")
            )
    return array


def _hint(hint: str) -> str:
    return f" {hint}" if hint else ""


def _bounds(
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> str:
    parts = [
        f"{sign} {bound:g}"
        for sign, bound in ((">", above), (">=", at_least), ("<", below), ("<=", at_most))
        if bound is not None
    ]
    return " " + " and ".join(parts) if parts else ""
