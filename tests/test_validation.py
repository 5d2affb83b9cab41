"""What is refused, in which words, and what is accepted and left as it was."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse

from refgrow import validation
from refgrow.validation import as_array, as_integer, as_labels, as_rng, as_scalar, as_symmetric

GRID = np.arange(6.0).reshape(2, 3)


def message_of(call, *arguments, **options):
    with pytest.raises((TypeError, ValueError)) as error:
        call(*arguments, **options)
    assert error.type in (TypeError, ValueError)  # no subclass: nothing leaks from NumPy
    return f"{error.type.__name__}: {error.value}"


REFUSED = [
    ([1.0, 2.0], "ValueError: X must be 2-D with shape (n, d); got shape (2,). "
                 "Use X[:, None] for one feature."),
    (3.0, "ValueError: X must be 2-D with shape (n, d); got shape ()."),
    (np.zeros((2, 3, 4)), "ValueError: X must be 2-D with shape (n, d); got shape (2, 3, 4)."),
    ([], "ValueError: X must not be empty; got shape (0,)."),
    (np.zeros((0, 3)), "ValueError: X must not be empty; got shape (0, 3)."),
    ([[1.0, np.nan]], "ValueError: X must be finite; got nan at index (0, 1)."),
    ([[1.0], [-np.inf], [np.nan]],
     "ValueError: X must be finite; got -inf at index (1, 0) and at 1 more."),
    ([[np.inf, -np.inf]], "ValueError: X must be finite; got inf at index (0, 0) and at 1 more."),
    ([[1.0], [2.0, 3.0]],
     "ValueError: X must be a rectangular array of numbers; got rows of unequal length."),
    ([["a"]], "TypeError: X must hold real numbers; got dtype <U1."),
    ([[None]], "TypeError: X must hold real numbers; got dtype object. "
        "Use np.asarray(X, dtype=float) if they are numbers."),
    (np.array([[1.0]], dtype=object), "TypeError: X must hold real numbers; got dtype object. "
        "Use np.asarray(X, dtype=float) if they are numbers."),
    ([[1j]], "TypeError: X must hold real numbers; got dtype complex128. "
             "Take the real part first."),
    ([[True]], "TypeError: X must hold real numbers; got dtype bool. Use X.astype(float)."),
    (scipy.sparse.eye(2), "TypeError: X must be a dense array; got a sparse one. "
                          "Use X.toarray()."),
    (scipy.sparse.csr_array(np.eye(2)), "TypeError: X must be a dense array; got a sparse one. "
                                        "Use X.toarray()."),
    (np.ma.masked_invalid([[np.nan]]), "TypeError: X must be a plain array; got a masked one. "
                                       "Use X.filled(...)."),
    (np.array([["2020-01-01"]], dtype="datetime64[D]"),
     "TypeError: X must hold real numbers; got dtype datetime64[D]."),
]  # fmt: skip


@pytest.mark.parametrize("value, message", REFUSED, ids=[m for _, m in REFUSED])
def test_arrays_that_are_refused(value, message):
    assert message_of(as_array, value, "X", ("n", "d")) == message


def test_a_fixed_dimension_is_named_with_its_axis_and_the_callers_hint():
    assert message_of(as_array, GRID, "theta", ("m", 2), hint="One row a neuron.") == (
        "ValueError: theta must have shape (m, 2); got shape (2, 3), where axis 1 should be 2. "
        "One row a neuron."
    )
    assert message_of(as_array, GRID, "weights", (2,)) == (
        "ValueError: weights must be 1-D with shape (2,); got shape (2, 3)."
    )


def test_the_hint_for_a_flat_array_is_the_callers_and_for_a_flat_array_only():
    def refused(value, shape):
        return message_of(as_array, value, "Y", shape, hint="One row each.", flat="Use Y[None].")

    flat = "ValueError: Y must be 2-D with shape (n, 1); got shape (3,). Use Y[None]."
    assert refused([1.0] * 3, ("n", 1)) == flat
    for value, shape in ((GRID, ("n", 1)), (GRID[None], ("n", 1)), (GRID, ("n",)), (1, ("n", 1))):
        assert refused(value, shape).endswith(" One row each.")
    assert message_of(as_array, [1.0], "Y", ("n", 1)).endswith("got shape (1,).")


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


ACCEPTED = {
    "list": GRID.tolist(),
    "tuple of tuples": tuple(map(tuple, GRID)),
    "read-only": read_only(GRID),
    "Fortran": np.asfortranarray(GRID),
    "every other column": np.repeat(GRID, 2, axis=1)[:, ::2],
    "reversed": GRID[::-1][::-1],
    "float32": GRID.astype(np.float32),
    "float16": GRID.astype(np.float16),
    "long double": GRID.astype(np.longdouble),
    "int8": GRID.astype(np.int8),
    "uint64": GRID.astype(np.uint64),
    "big-endian": GRID.astype(">f8"),
    "broadcast": np.broadcast_to(GRID, (2, 3)),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_arrays_that_are_accepted_come_back_as_the_kernels_want_them(kind):
    before = np.array(ACCEPTED[kind])
    array = as_array(ACCEPTED[kind], "X", ("n", "d"))
    np.testing.assert_array_equal(array, GRID)
    assert array.dtype == np.float64 and array.dtype.isnative and array.flags.c_contiguous
    np.testing.assert_array_equal(np.array(ACCEPTED[kind]), before)


def test_any_shape_where_any_will_do():
    assert as_array(3, "z", None).shape == ()
    assert as_array([[[1]]], "z", None).shape == (1, 1, 1)
    assert message_of(as_array, [], "z", None) == "ValueError: z must not be empty; got shape (0,)."


def test_large_numbers_whose_sum_overflows_are_finite():
    huge = np.full((2, 2), 1e308)
    np.testing.assert_array_equal(as_array(huge, "X", ("n", "d")), huge)


def test_a_frozen_copy_is_read_only_and_its_own():
    original = GRID.copy()
    kept = validation.frozen(original)
    original[:] = 0
    np.testing.assert_array_equal(kept, GRID)
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0] = 1


def test_symmetric_matrices_and_stacks():
    S = np.array([[1.0, 2.0], [2.0, -1.0]])
    np.testing.assert_array_equal(as_symmetric(S, "S"), S)
    assert as_symmetric(np.broadcast_to(S, (4, 3, 2, 2)), "S").shape == (4, 3, 2, 2)
    assert as_symmetric(np.zeros((1, 1)), "S") == 0
    as_symmetric(S + 1e-12 * np.triu(S), "S")  # rounding
    assert message_of(as_symmetric, [[0, 1], [0.5, 0]], "S") == (
        "ValueError: S must be symmetric; its largest asymmetry is 0.5. "
        "Use (S + S.swapaxes(-1, -2)) / 2 if the difference is rounding."
    )
    assert message_of(as_symmetric, np.zeros((2, 3)), "S") == (
        "ValueError: S must have shape (d, d) or (..., d, d); got shape (2, 3)."
    )
    assert "got shape (4,)" in message_of(as_symmetric, np.zeros(4), "S")
    assert "nan at index (0, 1)" in message_of(as_symmetric, [[0, np.nan], [np.nan, 0]], "S")


def test_a_large_matrix_does_not_excuse_a_small_one_in_the_same_stack():
    stack = np.array([1e12 * np.eye(2), [[0.0, 1.0], [0.0, 0.0]]])
    assert "largest asymmetry is 1." in message_of(as_symmetric, stack, "S")


def test_labels():
    for y in ([0, 2, 1], np.array([0, 2, 1], dtype=np.uint8), read_only(np.array([0, 2, 1]))):
        labels = as_labels(y, "Y", 3, 3)
        assert labels.dtype == np.int64 and labels.tolist() == [0, 2, 1]
    assert message_of(as_labels, [0, 3, -1], "Y", 3, 3) == (
        "ValueError: Y must hold labels from 0 to 2, one for each of the 3 classes; "
        "got 3 at index 1."
    )
    assert "got -1 at index 0" in message_of(as_labels, [-1], "Y", 2, 1)
    assert message_of(as_labels, [[0], [1]], "Y", 2, 2) == (
        "ValueError: Y must have shape (2,), one label a sample; got shape (2, 1). Use Y[:, 0]."
    )
    assert message_of(as_labels, [0.0, 1.0], "Y", 2, 2) == (
        "TypeError: Y must hold integer labels; got dtype float64. Use Y.astype(int)."
    )
    assert "got dtype bool" in message_of(as_labels, [True], "Y", 2, 1)
    assert "got dtype <U3" in message_of(as_labels, ["cat"], "Y", 2, 1)
    assert "sparse" in message_of(as_labels, scipy.sparse.eye(2, dtype=int), "Y", 2, 2)
    assert "unequal length" in message_of(as_labels, [[0], [0, 1]], "Y", 2, 2)


@pytest.mark.parametrize(
    "value", [2, 2.0, np.float32(2), np.int8(2), np.array(2), Fraction(2), np.float64(2)]
)
def test_numbers_that_are_accepted(value):
    assert as_scalar(value, "c", above=1, at_most=2) == 2.0
    assert type(as_scalar(value, "c")) is float


@pytest.mark.parametrize(
    "value, bounds, message",
    [
        (0, {"above": 0}, "ValueError: c must be a finite number > 0; got 0."),
        (1.5, {"at_least": 2}, "ValueError: c must be a finite number >= 2; got 1.5."),
        (1, {"at_least": 0, "below": 1},
         "ValueError: c must be a finite number >= 0 and < 1; got 1."),
        (1, {"at_most": 0}, "ValueError: c must be a finite number <= 0; got 1."),
        (np.nan, {}, "ValueError: c must be a finite number; got nan."),
        (-np.inf, {"at_most": 0}, "ValueError: c must be a finite number <= 0; got -inf."),
        (10**400, {}, "ValueError: c must be a finite number; got 1"),
        ("1", {}, "TypeError: c must be a number; got '1'."),
        (b"1", {}, "TypeError: c must be a number; got b'1'."),
        (None, {"above": 0}, "TypeError: c must be a number > 0; got None."),
        (True, {}, "TypeError: c must be a number; got True."),
        (np.True_, {}, "TypeError: c must be a number; got np.True_."),
        (1j, {}, "TypeError: c must be a number; got 1j."),
        (np.complex128(1), {}, "TypeError: c must be a number; got np.complex128(1+0j)."),
        ([1.0], {}, "TypeError: c must be a number; got [1.0]."),
        ([[1.0], [1.0, 2.0]], {}, "TypeError: c must be a number; got [[1.0], [1.0, 2.0]]."),
        (np.zeros(2), {}, "TypeError: c must be a number; got array([0., 0.])."),
    ],
)  # fmt: skip
def test_numbers_that_are_refused(value, bounds, message):
    assert message_of(as_scalar, value, "c", **bounds).startswith(message)


def test_integers():
    assert as_integer(np.int16(3), "k", at_least=3, at_most=3) == 3
    assert type(as_integer(np.int16(3), "k")) is int
    assert message_of(as_integer, 0, "k", at_least=1) == (
        "ValueError: k must be an integer >= 1; got 0."
    )
    assert message_of(as_integer, 5, "k", at_least=1, at_most=4) == (
        "ValueError: k must be an integer >= 1 and <= 4; got 5."
    )
    for value in (3.0, "3", None, True, np.float64(3), [3]):
        assert message_of(as_integer, value, "k").startswith("TypeError: k must be an integer; got")


def test_true_and_false():
    assert validation.as_bool(True, "train_weights") is True
    assert validation.as_bool(np.False_, "train_weights") is False
    for value in ("no", 0, 1, None, np.array(True), [True]):
        assert message_of(validation.as_bool, value, "train_weights") == (
            f"TypeError: train_weights must be True or False; got {value!r}."
        )


def test_generators_from_everything_the_scientific_python_spec_names():
    draws = [as_rng(seed).random() for seed in (7, np.int64(7), np.random.SeedSequence(7))]
    assert len(set(draws)) == 1
    mine = np.random.default_rng(7)
    assert as_rng(mine) is mine
    assert as_rng(None).random() != as_rng(None).random()
    for wrong in (1.5, "7", True, np.random.RandomState(7)):
        assert message_of(as_rng, wrong).startswith(
            "TypeError: rng must be None, an int, a numpy SeedSequence or a numpy Generator; got "
        )
    assert message_of(as_rng, -1) == (
        "ValueError: rng must be a non-negative integer seed; got -1."
    )


def test_unknown_names_are_answered_with_the_nearest():
    options = {"squared": 0, "logistic": 1}
    assert validation.one_of("logistic", "loss", options) == "logistic"
    assert message_of(validation.one_of, "logistics", "loss", options) == (
        "ValueError: loss must be one of logistic, squared; got 'logistics'. "
        "Did you mean 'logistic'?"
    )
    assert message_of(validation.one_of, "Squared", "loss", options).endswith("mean 'squared'?")
    assert message_of(validation.one_of, "zzz", "loss", options) == (
        "ValueError: loss must be one of logistic, squared; got 'zzz'."
    )
    assert message_of(validation.one_of, None, "loss", options) == (
        "TypeError: loss must be one of logistic, squared; got None."
    )
