"""The columns and rows of a table that can be used, with a reason for each that can't."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.columns import select
from bayesgmm.data.points import DataLike, as_points
from bayesgmm.errors import DataError
from bayesgmm.families.structures import family_named
from bayesgmm.reading.settings import Source
from bayesgmm.reading.tables import MADE, ReadTable
from bayesgmm.screening.checks import data_check
from bayesgmm.screening.dependence import finite, numbers_of
from bayesgmm.screening.results import DataCheck
from bayesgmm.screening.sheets import as_frame
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UsableTable", "as_frame", "beside", "finite", "free_name", "require_rows", "row_labels", "usable_table"]


@dataclass(frozen=True)
class UsableTable:
    """Table with its usable columns and rows.

    Parameters
    ----------
    frame : DataFrame
        All rows and columns of the input, as numbers where they are. A first column without a name that is different in
        each row, as R and pandas write it, labels the rows.
    columns : tuple of str
        Columns to fit.
    left_out : dict of str to str
        The other columns, each with the reason.
    known : (N,) bool
        Rows with a value in ``columns``; the others are left out.
    written : DataFrame
        The same rows and columns as they came, for tables that are written.
    check : DataCheck, optional
        The check of the table; None for a table whose columns are those of a fit.
    """

    frame: "pd.DataFrame"
    columns: tuple[str, ...]
    left_out: dict[str, str]
    known: NDArray[np.bool_]
    written: "pd.DataFrame"
    check: DataCheck | None = None

    @cached_property
    def rows(self) -> "pd.DataFrame":
        """Rows and columns to fit; NaN where a value is missing or infinite."""
        import pandas as pd

        rows = select(self.frame, self.columns)[self.known]
        seen = finite(rows)
        if seen.all():
            return rows
        return pd.DataFrame(np.where(seen, numbers_of(rows), np.nan), rows.index, rows.columns)

    @property
    def codes(self) -> dict[str, list[float]]:
        """Numbers that stand for missing values, by column."""
        return {} if self.check is None else self.check.codes

    @property
    def n_infinite(self) -> int:
        """Number of infinite values in the rows."""
        return int(np.isinf(numbers_of(select(self.frame, self.columns)[self.known])).sum())

    @property
    def n_empty(self) -> int:
        """Number of rows that are left out because every value is missing."""
        aside = len(self.check.source.aside) if self.check is not None else 0
        return int((~self.known).sum()) - aside

    def words(self) -> list[str]:
        """Describe how the table was read, what is left out and stands out, and the missing values, one per line."""
        return [*([] if self.check is None else self.check.words()), *self.words_on_rows()]

    def words_on_rows(self) -> list[str]:
        """Say how many values are missing, and how many rows have none and are left out: one sentence per line."""
        empty = plural(self.n_empty, "row has no values and is", "rows have no values and are")
        infinite = plural(self.n_infinite, "infinite value is", "infinite values are")
        return [
            *filter(None, [as_points(self.rows, gaps=True).gap_words()]),
            *([f"{infinite} taken as missing"] if self.n_infinite else []),
            *([f"{empty} left out"] if self.n_empty else []),
        ]


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


def require_rows(table: UsableTable, families: Iterable[str]) -> None:
    """Check that there are more rows than columns, where covariances between columns are estimated.

    Raises
    ------
    DataError
    """
    n_rows, n_columns = table.rows.shape
    if n_rows <= n_columns and any(family_named(name).needs_all_directions for name in families):
        raise DataError(
            f"{plural(n_rows, 'row is', 'rows are')} too few for {plural(n_columns, 'column')} and their correlations\n"
            "  Choose fewer columns, or covariance='diag' or 'factors:1'."
        )


def usable_table(
    data: DataLike | Source | DataCheck, columns: Sequence[str] | None = None, **settings: Any
) -> UsableTable:
    """Select the columns that hold measurements, and the rows with values.

    Named columns are always used, unless they are a linear combination of columns named before.

    Parameters
    ----------
    data : table, array, path, TableFile or DataCheck
    columns : sequence of str, optional
    settings
        ``drop``, ``id``, ``keep``, ``na``, as in ``data_check``.

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
    keep='id' uses a column that is left out; drop='x' leaves a column out
    1 row has no values and is left out
    """
    check = data if isinstance(data, DataCheck) else data_check(data, columns, **settings)
    used = check.used
    if check.source.is_data.sum() == 1:
        raise DataError("the table has only 1 row")
    if not used:
        why = "; ".join(f"{name!r}: {reason}" for name, reason in check.left_out.items())
        raise DataError(f"no column can be used: {why}")
    known = finite(check.frame[list(used)]).any(axis=1) & check.source.is_data
    labels = row_labels(check.source)
    written = check.source.texts.set_axis(labels)
    return UsableTable(check.frame.set_axis(labels), used, check.left_out, known, written, check)


def row_labels(source: ReadTable) -> "pd.Index":
    """Labels (N,) of the rows: a first column without a name, as R and pandas write it, if each row has its own.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"Unnamed: 0": ["Alabama", "Alaska"], "murder": [13.2, 10.0]})
    >>> row_labels(ReadTable(frame, frame)).tolist()
    ['Alabama', 'Alaska']
    """
    import pandas as pd

    frame = source.values
    if not len(frame.columns) or frame.columns[0] != MADE.format(0) or not isinstance(frame.index, pd.RangeIndex):
        return frame.index
    first, is_data = frame.iloc[:, 0], source.is_data
    if first[is_data].isna().any() or first[is_data].duplicated().any():
        return frame.index
    return pd.Index([own if one else at for own, one, at in zip(first, is_data, frame.index, strict=True)])
