"""Names of columns, and the numbers in the columns of a DataFrame."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.numbers import as_doubles
from bayesgmm.errors import DataError, allowed, did_you_mean
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import pandas as pd


def column_names(columns: object) -> list[str]:
    """Validate an argument that names columns; return the names as text.

    Raises
    ------
    DataError
        When it is a single string, has no order, is empty, or has a name twice.
    """
    if isinstance(columns, str | bytes | Set) or not isinstance(columns, Iterable):
        raise DataError(f"columns={columns!r}: give a list of names, for example columns=[{columns!r}]")
    names = [str(name) for name in columns]
    if not names:
        raise DataError("columns=[]: name at least one column")
    require_distinct(names)
    return names


def select(frame: "pd.DataFrame", columns: Sequence[str] | None) -> "pd.DataFrame":
    """Return the named columns of a DataFrame; all of them by default.

    Raises
    ------
    DataError
        When a column does not exist.
    """
    if columns is None:
        return frame
    known = {str(c): c for c in frame.columns}
    require_columns(columns, known)
    return frame[[known[str(name)] for name in columns]]


def require_columns(names: Iterable[object], known: Mapping[str, object]) -> None:
    """Raise DataError when a name is not that of a column; the keys of ``known`` are the columns."""
    for name in names:
        if str(name) not in known:
            raise DataError(
                f"there is no column {str(name)!r}; the columns are {allowed(known)}{did_you_mean(str(name), known)}"
            )


def is_numeric(column: "pd.Series") -> bool:
    """Return True if a column holds real numbers."""
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(column.dtype) and not is_complex_dtype(column.dtype))


def not_numeric(frame: "pd.DataFrame") -> dict[str, str]:
    """Return the columns that can't be used as numbers, each with the reason.

    Examples
    --------
    >>> import pandas as pd
    >>> not_numeric(pd.DataFrame({"size": [1.5, 2.5], "kind": ["a", "b"], "empty": [None, None]}))
    {'kind': 'not numeric', 'empty': 'without values'}
    """
    return {
        str(name): "not numeric" if column.notna().any() else "without values"
        for name, column in frame.items()
        if not is_numeric(column)
    }


def doubles_of(frame: "pd.DataFrame") -> Array:
    """Return the numbers (N, D) of a DataFrame; missing values are NaN.

    Raises
    ------
    DataError
        When a column holds anything else than real numbers, or integers that doubles can't hold exactly.
    """
    if wrong := not_numeric(frame):
        reasons = [
            f"{plural(len(names), 'column is', 'columns are')} {why}: {listing(names)}"
            for why in dict.fromkeys(wrong.values())
            if (names := [name for name in wrong if wrong[name] == why])
        ]
        numeric = [str(name) for name in frame if str(name) not in wrong]
        raise DataError(
            "; ".join(reasons) + "\n"
            f"  Choose the columns to use, for example columns={numeric or '[...]'} or X.select_dtypes('number')."
        )
    for name in frame.columns:
        if frame[name].dtype.kind in "iu":
            _require_exact(frame[name], str(name))
    return frame.to_numpy(dtype=np.float64, na_value=np.nan)


def _require_exact(column: "pd.Series", name: str) -> None:
    try:
        as_doubles(column.dropna().to_numpy())
    except ValueError as error:
        raise DataError(f"column {name!r}: {error}\n  Subtract the smallest value, or leave the column out.") from None


def require_distinct(names: Sequence[str]) -> None:
    """Raise DataError when two columns have the same name, or when files and terminals can't hold a name."""
    for name in names:
        if "\0" in name or any(0xD800 <= ord(letter) < 0xE000 for letter in name):
            raise DataError(f"column name {name!r} holds a character that files can't store; rename the column")
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise DataError(f"column names must differ; more than one is called {listing(twice)}")
