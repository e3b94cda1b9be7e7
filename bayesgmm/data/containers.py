"""Tables with named columns, whatever holds them: pandas, polars, Arrow, xarray, dicts, structured arrays, files."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.columns import require_distinct
from bayesgmm.data.numbers import unmasked
from bayesgmm.errors import DataError
from bayesgmm.reading.settings import is_source

if TYPE_CHECKING:
    import narwhals as nw
    import pandas as pd

ARROW = ("__arrow_c_stream__", "__dataframe__")  # protocols by which libraries exchange tables
PLAIN = (np.ndarray, np.generic, list, tuple, range, int, float, complex, bytes)  # they name no columns


def named_frame(data: object, columns: Sequence[str] | None = None) -> "pd.DataFrame | None":
    """Return a container that names its columns as a DataFrame; None if it names none.

    Parameters
    ----------
    data : object
        pandas DataFrame, or Series with a name; polars DataFrame, LazyFrame or Series; pyarrow Table; xarray Dataset,
        or DataArray with labelled columns; mapping of name to column; structured array; any table with the Arrow or
        the dataframe interchange protocol; path of a CSV, Parquet or Excel file, or
        a ``TableFile``.
    columns : sequence of str, optional
        Columns that will be used: a file or a lazy frame need not be read beyond them. If one is missing, all are
        returned. Default: all.

    Raises
    ------
    DataError
        If it is such a container, but not a table of columns of the same length; if it is a sparse matrix, or a file
        that can't be read.

    Examples
    --------
    >>> named_frame({"height": [170.0, 181.0], "weight": [60.0, 75.0]}).shape
    (2, 2)
    >>> named_frame([[1.0, 2.0]]) is None
    True
    """
    if isinstance(data, np.ndarray) and data.dtype.names:
        return _of_mapping({name: data[name] for name in data.dtype.names})
    if data is None or isinstance(data, PLAIN):
        return None
    if is_source(data):
        from bayesgmm.data.tables import read_frame

        return read_frame(data, columns)
    if isinstance(data, Mapping) and not _is_from(data, "xarray"):
        return _of_mapping(data)
    if is_sparse(data):
        raise DataError("the data are a sparse matrix; give X.toarray()")
    if _is_from(data, "xarray"):
        return _of_xarray(data)
    return _of_pandas(data) if _is_from(data, "pandas") else _of_narwhals(data, columns)


def is_sparse(data: object) -> bool:
    """Return True for scipy's sparse matrices and arrays."""
    return _is_from(data, "scipy") and hasattr(data, "toarray")


def _is_from(data: object, library: str) -> bool:
    """Return True if an object's class, or one that it is derived from, is of a library, without importing it."""
    return any(kind.__module__.partition(".")[0] == library for kind in type(data).__mro__)


def _of_pandas(data: object) -> "pd.DataFrame | None":
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    return data.to_frame() if isinstance(data, pd.Series) and data.name is not None else None


def _of_mapping(data: "Mapping[Hashable, object]", index: "pd.Index | None" = None) -> "pd.DataFrame":
    import pandas as pd

    require_distinct([str(name) for name in data])
    columns = {name: unmasked(values) for name, values in data.items()}
    lengths = {name: np.shape(values) for name, values in columns.items()}
    if any(len(shape) != 1 for shape in lengths.values()) or len({*lengths.values()}) > 1:
        shown = ", ".join(f"{name!r} {shape}" for name, shape in [*lengths.items()][:5])
        raise DataError(f"the columns of the table must be of one length; their shapes are {shown}")
    return pd.DataFrame({name: np.asarray(values) for name, values in columns.items()}, index=index)


def _of_xarray(data: object) -> "pd.DataFrame | None":
    """Return the variables of a Dataset over one dimension, or an array's columns if strings label them."""
    import xarray as xr

    if isinstance(data, xr.Dataset):
        dims = {variable.dims for variable in data.data_vars.values()}
        if len(dims) != 1 or len(next(iter(dims))) != 1:
            shown = ", ".join(f"{name!r} {variable.dims}" for name, variable in [*data.data_vars.items()][:5])
            raise DataError(f"the variables of the Dataset must have one dimension in common; they have {shown}")
        (dim,) = dims.pop()
        return _of_mapping({name: variable.values for name, variable in data.data_vars.items()}, data.indexes.get(dim))
    if not isinstance(data, xr.DataArray):
        raise DataError(f"the data are a {type(data).__name__}; give a Dataset, a DataArray or a table")
    if data.ndim == 1 and data.name is not None:
        return _of_mapping({data.name: data.values}, data.indexes.get(data.dims[0]))
    labelled = [dim for dim in data.dims if dim in data.coords and data.coords[dim].dtype.kind in "UOT"]
    columns = [dim for dim in labelled if dim == data.dims[-1]] or labelled
    if data.ndim != 2 or not columns:
        return None
    names = [str(name) for name in data.coords[columns[0]].values]
    require_distinct(names)
    rows = data.transpose(..., columns[0])
    return _of_mapping(dict(zip(names, rows.values.T, strict=True)), rows.indexes.get(rows.dims[0]))


def _of_narwhals(data: Any, columns: Sequence[str] | None = None) -> "pd.DataFrame | None":
    """Return a table of any library that narwhals knows, or that has one of the protocols."""
    import narwhals as nw

    frame = nw.from_native(data, allow_series=True, pass_through=True)
    if frame is data:
        return _of_protocol(data)
    if isinstance(frame, nw.LazyFrame):
        if columns and {*columns} <= {*frame.collect_schema().names()}:
            frame = frame.select(*columns)
        frame = frame.collect()
    if isinstance(frame, nw.Series):
        if not frame.name:
            return None
        frame = frame.to_frame()
    return _of_mapping({name: _column(frame[name]) for name in frame.columns})


def _column(series: "nw.Series[Any]") -> NDArray[np.generic]:
    """Return a column as numpy holds it; missing numbers are NaN."""
    import narwhals as nw

    numeric = series.dtype.is_numeric() or series.dtype == nw.Boolean
    if numeric and (series.null_count() or series.dtype.is_decimal()):
        series = series.cast(nw.Float64)
    return series.to_numpy()


def _of_protocol(data: object) -> "pd.DataFrame | None":
    """Read a table by the Arrow or the dataframe interchange protocol; return None if it has neither."""
    if not any(hasattr(data, protocol) for protocol in ARROW):
        return None
    try:
        import pyarrow as pa
        from pyarrow.interchange import from_dataframe
    except ImportError:
        raise DataError(
            f"a {type(data).__name__} can be read only with pyarrow\n"
            "  Try pip install 'bayesgmm[parquet]', or give a pandas DataFrame."
        ) from None
    try:
        table = pa.table(data) if hasattr(data, ARROW[0]) else from_dataframe(data)
    except Exception as error:  # each library raises errors of its own
        raise DataError(f"the {type(data).__name__} can't be read as a table: {error}") from error
    return _of_narwhals(table)


def row_labels(data: object, n_rows: int) -> object:
    """Return the labels (N,) of the rows of a container without names: those of a Series, or 0, 1, 2, ..."""
    index = getattr(data, "index", None)
    labels = None if index is None or callable(index) else np.asarray(index)
    return labels if labels is not None and labels.shape == (n_rows,) else np.arange(n_rows)


def require_row_order(what: str, data: object, index: "NDArray[Any] | pd.Index") -> None:
    """Check that a table of pandas with the row labels of the data has them in their order.

    Its values would else go to other rows, unseen.

    Raises
    ------
    DataError
        When they are in another order. The message names ``what``.
    """
    labels = getattr(data, "index", None)
    if labels is None or callable(labels):
        return
    own, others = [*index], [*labels]
    if own != others and len(own) == len(others) and {*own} == {*others}:
        raise DataError(
            f"{what} has the row labels of the data in another order\n"
            f"  Give {what}.loc[X.index], or {what}.to_numpy() if its rows are those of the data."
        )
