"""Selecting the columns and rows of a table that can be used, with a reason for each that can't."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.columns import column_names, is_numeric, require_distinct, select
from bayesgmm.data.containers import named_frame, row_labels
from bayesgmm.data.numbers import as_matrix
from bayesgmm.data.points import DataLike
from bayesgmm.errors import DataError
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import pandas as pd

MAX_MISSING = 0.5  # fraction of missing values above which a column is left out
ROUNDING = 1e-14  # relative spread below which a column is constant
OWN = 1e-9  # fraction of a column's variance that the columns before it must leave unexplained
FEW_VALUES = 5  # maximum number of distinct values of a class label, if each occurs often
OFTEN = 10  # average number of occurrences
MIN_ROWS = 4  # needed to recognise a column that numbers the rows


@dataclass(frozen=True)
class UsableTable:
    """Table with its usable columns and rows.

    Parameters
    ----------
    frame : DataFrame
        All rows and columns of the input.
    columns : tuple of str
        Columns to fit.
    left_out : dict of str to str
        The other columns, each with the reason.
    complete : (N,) bool
        Rows without missing values in ``columns``.
    """

    frame: "pd.DataFrame"
    columns: tuple[str, ...]
    left_out: dict[str, str]
    complete: NDArray[np.bool_]

    @property
    def rows(self) -> "pd.DataFrame":
        """Rows and columns to fit."""
        return select(self.frame, self.columns)[self.complete]

    @property
    def n_incomplete(self) -> int:
        """Number of rows that are left out."""
        return int((~self.complete).sum())

    def words(self) -> list[str]:
        """Describe each column that is left out, and the number of rows, one per line."""
        lines = [f"column {name!r} is left out: {why}" for name, why in self.left_out.items()]
        if self.n_incomplete:
            rows = "1 row is" if self.n_incomplete == 1 else f"{self.n_incomplete} rows are"
            lines.append(f"{rows} left out: a value is missing or infinite")
        return lines


def as_frame(data: DataLike, names: Sequence[str] | None = None) -> "pd.DataFrame":
    """Convert a table to a DataFrame with distinct column names; the default names for an array are ``x0, x1, ...``.

    Raises
    ------
    DataError
        If it is not a table, two columns have the same name, or the number of columns is not that of ``names``.

    Examples
    --------
    >>> list(as_frame([[1.0, 2.0], [3.0, 4.0]]).columns)
    ['x0', 'x1']
    """
    import pandas as pd

    frame = named_frame(data)
    if frame is None:
        values = as_matrix(data)
        if names is not None and len(names) != values.shape[1]:
            raise DataError(f"the table has {values.shape[1]} columns; those of the fit are {listing(names)}")
        names = names or [f"x{j}" for j in range(values.shape[1])]
        frame = pd.DataFrame(values, columns=names, index=row_labels(data, len(values)))
    require_distinct([str(name) for name in frame.columns])
    return frame.rename(columns=str).infer_objects()


def beside(table: "pd.DataFrame", answers: "pd.DataFrame") -> "pd.DataFrame":
    """Join a table with result columns; a result whose name is already used gets a longer name.

    Examples
    --------
    >>> import pandas as pd
    >>> list(beside(pd.DataFrame({"x": [1.0], "cluster": ["b"]}), pd.DataFrame({"cluster": [0]})).columns)
    ['x', 'cluster', 'cluster_of_row']
    """
    import pandas as pd

    names = {name: free_name(name, table.columns) for name in answers.columns}
    both = [table.reset_index(drop=True), answers.rename(columns=names).reset_index(drop=True)]
    return pd.concat(both, axis=1).set_axis(table.index)


def free_name(name: str, taken: Collection[str]) -> str:
    """Extend a column name until it is not among the names in use."""
    while name in taken:
        name += "_of_row"
    return name


def usable_table(data: DataLike, columns: Sequence[str] | None = None) -> UsableTable:
    """Select the columns that hold measurements, and the rows without missing values.

    Named columns are always used, unless they are a linear combination of columns named before.

    Raises
    ------
    DataError
        If the table is empty, no column or no row can be used, or a named column can't be used.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"id": [1, 2, 3, 4], "x": [0.5, 2.0, None, 1.0], "flat": 7.0, "who": list("abcd")})
    >>> for line in usable_table(table).words():
    ...     print(line)
    column 'id' is left out: it numbers the rows
    column 'flat' is left out: it is constant
    column 'who' is left out: it is text, such as 'a'
    1 row is left out: a value is missing or infinite
    """
    frame = as_frame(data)
    if frame.empty:
        raise DataError("the table has no rows")
    chosen, left_out = [str(c) for c in frame.columns], {}
    if columns is not None:
        chosen = [str(c) for c in select(frame, column_names(columns)).columns]
    for name in chosen:
        why = _unfit(frame[name]) or ("" if columns is not None else _no_measurement(frame[name]))
        if why:
            left_out[name] = why
    if columns is not None and left_out:
        raise DataError("; ".join(f"column {name!r} can't be used: {why}" for name, why in left_out.items()))
    used = [name for name in chosen if name not in left_out]
    left_out |= _determined(frame[used])
    used = [name for name in used if name not in left_out]
    if not used:
        raise DataError(f"no column can be used: {'; '.join(f'{name!r}: {why}' for name, why in left_out.items())}")
    complete = complete_rows(frame[used])
    if not complete.any():
        raise DataError(f"every row lacks a value in one of {listing(used)}; choose other columns")
    return UsableTable(frame, tuple(used), left_out, complete)


def complete_rows(frame: "pd.DataFrame") -> NDArray[np.bool_]:
    """Mask (N,) of the rows in which every value is a finite number."""
    return np.isfinite(frame.to_numpy(np.float64, na_value=np.nan)).all(axis=1)


def _unfit(column: "pd.Series") -> str:
    """Give the reason why a column can't be used; empty if it can."""
    if not is_numeric(column):
        text = column.dtype == object or str(column.dtype).startswith("str")
        return _text(column) if text else f"it holds {column.dtype}, not numbers"
    values = column.to_numpy(np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    if not values.size:
        return "it has no values"
    return "it is constant" if values.min() == values.max() else ""


def _text(column: "pd.Series") -> str:
    """Describe the text in a column, with an example: a mark for missing values, a decimal comma, a unit."""
    import pandas as pd

    present = column.dropna()
    wrong = present[pd.to_numeric(present, errors="coerce").isna()]
    if not len(present):
        return "it has no values"
    if not len(wrong):
        return "its numbers are stored as text"
    part = "" if len(wrong) == len(present) else f" in {len(wrong)} of {len(column)} rows"
    return f"it is text{part}, such as {wrong.iloc[0]!r}"


def _no_measurement(column: "pd.Series") -> str:
    """Give the reason why a column is not a measurement; empty if it may be. Named columns are used nevertheless."""
    values = column.to_numpy(np.float64, na_value=np.nan)
    missing = 1 - np.isfinite(values).mean()
    values = np.sort(values)
    if missing > MAX_MISSING:
        return f"{missing:.0%} of its values are missing"
    steps = np.diff(values)
    if len(values) >= MIN_ROWS and (steps == steps[0]).all():
        return "it numbers the rows"
    distinct = 1 + np.count_nonzero(np.diff(values[np.isfinite(values)]))
    if distinct <= FEW_VALUES and len(values) >= OFTEN * distinct:
        return f"it has {distinct} distinct values: a class label, not a measurement"
    return ""


def _determined(frame: "pd.DataFrame") -> dict[str, str]:
    """Find columns that are linear combinations of earlier ones, for which no density exists; with the reason."""
    x = frame.to_numpy(np.float64, na_value=np.nan)[complete_rows(frame)]
    if len(x) <= x.shape[1]:
        return {}
    x = x / np.abs(x).max(axis=0).clip(np.finfo(float).tiny)
    x = x - x.mean(axis=0)
    spread = np.sqrt((x**2).sum(axis=0))
    flat = spread <= ROUNDING
    x = np.linalg.qr(x / np.where(flat, 1.0, spread), mode="r")  # the same angles in D rows
    names, kept, reasons = [str(name) for name in frame.columns], list[int](), dict[str, str]()
    for j, name in enumerate(names):
        if flat[j]:
            reasons[name] = "it is constant in the rows without missing values"
            continue
        share = np.linalg.lstsq(x[:, kept], x[:, j], rcond=None)[0]
        if ((x[:, j] - x[:, kept] @ share) ** 2).sum() > OWN:
            kept.append(j)
            continue
        by = [names[i] for i, part in zip(kept, share, strict=True) if abs(part) > np.sqrt(OWN)]
        reasons[name] = f"it is a linear function of {listing(by)}"
    return reasons
