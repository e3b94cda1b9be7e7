"""Checks of the values of a table: they are finite, or missing where that is allowed, and can be squared."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.columns import require_distinct
from bayesgmm.data.numbers import LARGEST
from bayesgmm.errors import DataError
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import SHOWN, listing, plural

if TYPE_CHECKING:
    import pandas as pd

WIDE = 512  # numbers that are reduced together

type RowLabels = NDArray[Any] | pd.Index


def check_cells(values: Array, names: Sequence[str], index: RowLabels, gaps: bool) -> None:
    """Check the values (N, D) of a table with these columns and row labels.

    Raises
    ------
    DataError
        When there are no rows or columns, names of columns are repeated or too few, or a value can't be used;
        missing ones can with ``gaps``.
    """
    n_points, n_features = values.shape
    if len(names) != n_features:
        raise DataError(f"{len(names)} column names were given for {n_features} columns")
    require_distinct(names)
    if n_features == 0:
        raise DataError("the data have no columns")
    if n_points == 0:
        raise DataError(f"the data have no rows (columns: {listing(names)})")
    low, high = of_columns(np.minimum, values), of_columns(np.maximum, values)
    if not (np.isfinite(low) & np.isfinite(high)).all():
        if not gaps or np.isinf(values).any():
            raise DataError(not_finite(values, names, index))
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    require_range(low, high, names)


def of_columns(reduce: np.ufunc, values: Array) -> Array:
    """Reduce each column of values (N, D), by a ufunc for which the order of the rows does not matter.

    Many rows are taken together as one first: numpy takes long for rows of few numbers.

    Examples
    --------
    >>> of_columns(np.maximum, np.array([[1.0, 5.0], [3.0, 2.0]]))
    array([3., 5.])
    """
    n_points, n_features = values.shape
    together = max(1, WIDE // n_features)
    whole = n_points // together * together
    if together == 1 or not whole or not values.flags.c_contiguous:
        return np.asarray(reduce.reduce(values))
    wide = reduce.reduce(values[:whole].reshape(-1, together * n_features)).reshape(together, n_features)
    return np.asarray(reduce.reduce(np.concatenate([wide, values[whole:]])))


def require_range(low: Array, high: Array, names: Sequence[str]) -> None:
    """Check that values between ``low`` (D,) and ``high`` (D,) can be squared.

    Raises
    ------
    DataError
        When they are too large, or differ by too little.
    """
    spread = high / 2 - low / 2
    extreme = (np.maximum(high, -low) > LARGEST) | ((spread > 0) & (spread < 1 / LARGEST))
    if extreme.any():
        wrong = [name for name, bad in zip(names, extreme, strict=True) if bad]
        raise DataError(
            f"{plural(len(wrong), 'column')} {listing(wrong)}: values beyond {LARGEST:g}, or that "
            f"differ by less than {1 / LARGEST:g}, can't be squared\n  Change the units, for example X / X.std()."
        )


def not_finite(
    values: Array,
    names: Sequence[str],
    index: RowLabels,
    advice: str = "Drop or impute those rows first, for example X.dropna().",
) -> str:
    """Return an error message that names the first cells that are missing or infinite."""
    return f"{places(values, names, index)}\n  {advice}"


def places(values: Array, names: Sequence[str], index: RowLabels) -> str:
    """Return a sentence that names the first cells that are missing or infinite."""
    rows, columns = np.nonzero(~np.isfinite(values))
    places = [f"row {index[i]}, column {names[j]!r}" for i, j in zip(rows[:SHOWN], columns[:SHOWN], strict=True)]
    more = f" and {rows.size - SHOWN} more" if rows.size > SHOWN else ""
    return f"{plural(rows.size, 'value is', 'values are')} missing or infinite: {'; '.join(places)}{more}"
