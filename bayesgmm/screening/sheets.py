"""Any data as a table that was read: values, the cells as they came, and how they were read."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from bayesgmm.data.columns import require_distinct
from bayesgmm.data.containers import named_frame, row_labels
from bayesgmm.data.numbers import as_matrix
from bayesgmm.data.points import DataLike
from bayesgmm.data.tables import read_file
from bayesgmm.errors import DataError
from bayesgmm.reading.settings import Source, is_source
from bayesgmm.reading.tables import ReadTable
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import pandas as pd


def sheet_of(
    data: "DataLike | Source | ReadTable",
    numeric: Collection[str] = (),
    *,
    forced: Collection[str] = (),
    names: Sequence[str] | None = None,
) -> ReadTable:
    """Return data of any kind as a table with distinct names.

    Parameters
    ----------
    data : table, array, path, TableFile or ReadTable
    numeric : collection of str
        Columns of a file in which leading zeros make no code.
    forced : collection of str
        Columns of a file in which a cell that is no number is missing.
    names : sequence of str, optional
        Names for the columns of an array.

    Raises
    ------
    DataError
        If it is not a table, or a file that can't be read.
    """
    if isinstance(data, ReadTable):
        return data
    if is_source(data):
        return read_file(data, numeric=numeric, forced=forced)
    frame = as_frame(data, names)
    return ReadTable(frame.infer_objects(), frame)


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
            columns = plural(values.shape[1], "column")
            raise DataError(f"the table has {columns}; those of the fit are {listing(names)}")
        names = names or [f"x{j}" for j in range(values.shape[1])]
        frame = pd.DataFrame(values, columns=names, index=row_labels(data, len(values)))
    require_distinct([str(name) for name in frame.columns])
    return frame.rename(columns=str)
