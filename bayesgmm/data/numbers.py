"""Conversion of arrays and lists to finite doubles: text, dates, complex and masked values, integers beyond 2**53."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.errors import DataError
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing, plural

LARGEST = 1e152  # squares of smaller values, and sums of them, stay finite
EXACT = 2**53  # doubles represent all integers up to here exactly
NO_NUMBERS = "cSUTVMm"  # numpy's kinds of complex numbers, text, records, dates and durations


def as_matrix(data: object) -> Array:
    """Convert an array or a nested list to (N, D) numbers; (N,) is one column, masked values become NaN.

    Raises
    ------
    DataError
        When it is not a table of numbers.
    """
    try:
        values = as_doubles(data)
        if values.ndim == 0:
            raise TypeError("it is a single value")
    except DataError:  # of an object that says itself what to give
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"the data are not a table of numbers ({error})\n"
            "  Give an (N, D) array or a DataFrame with one row per point."
        ) from None
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise DataError(f"the data have shape {values.shape}; give (N, D), one row per point")
    return values


def as_doubles(data: object) -> Array:
    """Convert to an array of doubles, without a copy if it is one; masked and missing values become NaN.

    Raises
    ------
    TypeError, ValueError, OverflowError
        When it holds anything else than real numbers, or integers that doubles can't hold exactly.
    """
    raw = np.asarray(unmasked(data))
    if raw.dtype.kind in NO_NUMBERS:
        raise TypeError(f"its type is {raw.dtype}")
    if raw.dtype == object:
        raw = _of_objects(raw)
    _require_exact(raw)
    return raw.astype(np.float64, copy=False)


def _of_objects(raw: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Replace what stands for a missing value; refuse what numpy would read as a number, but is none."""
    present = np.array([value is not None and type(value).__name__ not in ("NAType", "NaTType") for value in raw.flat])
    wrong = [value for value, there in zip(raw.flat, present, strict=True) if there and not _is_number(value)]
    if wrong:
        text = all(isinstance(value, str | bytes) for value in wrong)
        raise TypeError(f"it contains {'text' if text else type(wrong[0]).__name__}: {listing(wrong)}")
    lost = [value for value in raw.flat if isinstance(value, int) and _is_lost(value)]
    if lost:
        raise ValueError(_inexact(lost))
    return np.where(present.reshape(raw.shape), raw, np.nan)


def _is_number(value: object) -> bool:
    """Return True for real numbers, also those of the decimal and fractions modules, and of numpy."""
    return hasattr(value, "__float__") and not isinstance(value, complex | np.complexfloating | np.ndarray)


def _require_exact(raw: "np.ndarray[Any, Any]") -> None:
    if raw.dtype.kind not in "iu" or raw.dtype.itemsize < 8 or not raw.size:
        return
    if int(raw.max()) <= EXACT and int(raw.min()) >= -EXACT:
        return
    large = raw[(raw > EXACT) | (raw < -EXACT)]
    lost = [value for value in large.tolist() if _is_lost(value)]
    if lost:
        raise ValueError(_inexact(lost))


def _is_lost(value: int) -> bool:
    return abs(value) > EXACT and int(float(value)) != value


def _inexact(lost: Sequence[int]) -> str:
    numbers = plural(len(lost), "integer is", "integers are")
    return f"{numbers} beyond 2**53, where doubles are not exact, such as {lost[0]}"


def unmasked(data: object) -> Any:
    """Return numbers of which some are masked with NaN in these places; anything else as it is.

    Examples
    --------
    >>> unmasked(np.ma.array([1, 2], mask=[False, True]))
    array([ 1., nan])
    """
    if isinstance(data, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in data):
        data = np.ma.array(data)
    if not isinstance(data, np.ma.MaskedArray):
        return data
    if not np.ma.is_masked(data) or data.dtype.kind not in "biuf":
        return data.data
    return np.ma.asarray(data, dtype=np.float64).filled(np.nan)


def wrong_weights(weights: Array, index: "range | np.ndarray[Any, Any]") -> str:
    """Return an error message that names the first of some rows whose weight is not allowed; empty if all are."""
    wrong = np.flatnonzero(~((weights >= 0) & (weights < LARGEST)))
    if not wrong.size:
        return ""
    return (
        f"{plural(wrong.size, 'row has a weight that is', 'rows have weights that are')} not allowed: "
        f"row {index[wrong[0]]} has {weights[wrong[0]]:g}\n"
        f"  A weight is the number of points of a row: give numbers from 0 to {LARGEST:g}."
    )


def as_weights(weights: ArrayLike, n_points: int) -> Array:
    """Validate row weights; return a copy (N,).

    Raises
    ------
    DataError
        When the number of weights is not N, one is negative or not finite, or all are zero.
    """
    if isinstance(weights, str):
        raise DataError(
            f"sample_weight is a name, {weights!r}, and these rows are in memory\n"
            f"  Give the numbers, for example table[{weights!r}], and leave that column out of the data."
        )
    try:
        array = as_doubles(weights)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"sample_weight is not a list of numbers ({error})\n  Give one number per row, {n_points} in all."
        ) from None
    if array.ndim == 0:
        array = np.full(n_points, array)
    if array.shape != (n_points,):
        raise DataError(f"sample_weight has shape {array.shape} for {n_points} rows; give one number per row")
    if words := wrong_weights(array, np.arange(n_points)):
        raise DataError(words)
    if not array.any():
        raise DataError("all rows have weight zero, so there are no points to fit")
    return array.copy()
