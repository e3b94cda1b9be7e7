"""Which columns and rows of a table can be used, and one clear word about each that can't."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data import is_numeric, listing, select
from bayesgmm.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

MOST_MISSING = 0.5  # share of missing values from which a column says too little
ALIKE = 1 - 1e-9  # squared correlation of columns that say the same
FEW_VALUES = 5  # distinct values that make a class, not a measurement, where each comes often
OFTEN = 10
LEAST_ROWS = 4  # from which columns can be told apart by their values


@dataclass(frozen=True)
class Usable:
    """The part of a table that a mixture can be fitted to.

    Parameters
    ----------
    frame : DataFrame
        All rows and columns, as they came.
    columns : tuple of str
        Those that are used.
    left_out : dict of str to str
        The others, each with the reason.
    complete : (N,) bool
        Rows without a missing value in the columns that are used.
    """

    frame: "pd.DataFrame"
    columns: tuple[str, ...]
    left_out: dict[str, str]
    complete: Any

    @property
    def rows(self) -> "pd.DataFrame":
        """The rows and columns to fit."""
        return select(self.frame, self.columns)[self.complete]

    @property
    def n_incomplete(self) -> int:
        """Rows that are left out."""
        return int((~self.complete).sum())

    def words(self) -> list[str]:
        """What was left out and why, a line each."""
        said = [f"column {name!r} is left out: {why}" for name, why in self.left_out.items()]
        if self.n_incomplete:
            rows = "1 row is" if self.n_incomplete == 1 else f"{self.n_incomplete} rows are"
            said.append(f"{rows} left out: a value is missing or infinite")
        return said


def usable(data: Any, columns: Sequence[str] | None = None) -> Usable:
    """Choose the columns of measurements, and the rows without missing values.

    Columns that are named are used, whatever they look like, as long as they can be.

    Raises
    ------
    DataError
        When nothing is left, or a column that was named can't be used.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"id": [1, 2, 3, 4], "x": [0.5, 2.0, None, 1.0], "flat": 7.0, "who": list("abcd")})
    >>> for line in usable(table).words():
    ...     print(line)
    column 'id' is left out: it numbers the rows
    column 'flat' is left out: it has one value throughout
    column 'who' is left out: it is text
    1 row is left out: a value is missing or infinite
    """
    import pandas as pd

    frame = data if hasattr(data, "columns") else pd.DataFrame(np.asarray(data))
    frame = frame.rename(columns=str if hasattr(data, "columns") else lambda j: f"x{j}")
    if frame.empty:
        raise DataError("the table has no rows")
    chosen, left_out = [str(c) for c in frame.columns], {}
    if columns is not None:
        chosen = [str(c) for c in select(frame, columns).columns]
    for name in chosen:
        why = _unfit(frame[name]) or ("" if columns is not None else _no_measurement(frame[name]))
        if why:
            left_out[name] = why
    if columns is not None and left_out:
        raise DataError("; ".join(f"column {name!r} can't be used: {why}" for name, why in left_out.items()))
    used = [name for name in chosen if name not in left_out]
    for name, twin in _twins(frame[used]).items():
        left_out[name] = f"it says the same as {twin!r}"
    used = [name for name in used if name not in left_out]
    if not used:
        raise DataError(f"no column can be used: {'; '.join(f'{name!r}: {why}' for name, why in left_out.items())}")
    complete = np.isfinite(frame[used].to_numpy(np.float64, na_value=np.nan)).all(axis=1)
    if not complete.any():
        raise DataError(f"every row lacks a value in one of {listing(used)}; choose other columns")
    return Usable(frame, tuple(used), left_out, complete)


def _unfit(column: "pd.Series") -> str:
    """Why a column can't be used at all."""
    if not is_numeric(column):
        return "it is text" if column.dtype == object or str(column.dtype).startswith("str") else f"{column.dtype}"
    values = column.to_numpy(np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    if not values.size:
        return "it has no values"
    return "it has one value throughout" if np.ptp(values) == 0 else ""


def _no_measurement(column: "pd.Series") -> str:
    """Why a column is not used unless it is named."""
    values = column.to_numpy(np.float64, na_value=np.nan)
    missing = 1 - np.isfinite(values).mean()
    if missing > MOST_MISSING:
        return f"{missing:.0%} of its values are missing"
    steps = np.diff(values)
    if len(values) >= LEAST_ROWS and (steps == steps[0]).all():
        return "it numbers the rows"
    distinct = len(np.unique(values[np.isfinite(values)]))
    if distinct <= FEW_VALUES and len(values) >= OFTEN * distinct:
        return f"it has {distinct} values only: a class, no measurement"
    return ""


def _twins(frame: "pd.DataFrame") -> dict[str, str]:
    """Columns that are a multiple of one before them, and of which."""
    correlation = frame.corr().to_numpy() ** 2 if len(frame) >= LEAST_ROWS else np.zeros((frame.shape[1],) * 2)
    names = [str(name) for name in frame.columns]
    found: dict[str, str] = {}
    for i, name in enumerate(names):
        twins = [names[j] for j in range(i) if correlation[i, j] > ALIKE and names[j] not in found]
        if twins:
            found[name] = twins[0]
    return found
