"""``source``: one way in for all data that are read part by part."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bayesgmm.data.points import as_points
from bayesgmm.errors import DeclarationError
from bayesgmm.keywords import checks_keywords
from bayesgmm.reading.settings import TableFile, is_source
from bayesgmm.sources.arrays import MemorySource
from bayesgmm.sources.dask_collections import is_dask, open_dask
from bayesgmm.sources.file_sources import is_pattern, open_files
from bayesgmm.sources.rows import RowSource
from bayesgmm.sources.weights import WeightedSource
from bayesgmm.wording import listing


@checks_keywords
def source(data: object, columns: Sequence[str] | None = None, weight: str | None = None) -> RowSource:
    """Open data that are read part by part, and need not fit into memory.

    Parameters
    ----------
    data : str, Path, TableFile, list of paths, Dask collection, array or table
        A file or a folder of files; a pattern, ``'measurements/*.parquet'``; several of them. Their formats are
        Parquet, ``.npy``, ``.zarr``, CSV and other texts. Or a Dask array or DataFrame; or an array or a table in
        memory.
    columns : sequence of str, optional
        Columns to use. Those of files are found by their names, in any order. Default: all.
    weight : str, optional
        Column with the number of points that each row stands for; it is none of the values. Default: 1 for each row.

    Returns
    -------
    RowSource
        With ``columns``, ``n_rows`` and ``parts``; ``fit`` takes it as data.

    Raises
    ------
    DataError
        If no file matches, a file is damaged or cut off, a column is not numeric, or the files have different columns.

    Examples
    --------
    >>> [part.values.tolist() for part in source([[1.0], [2.0], [3.0]]).parts(2)]
    [[[1.0], [2.0]], [[3.0]]]
    >>> source({"x": [1.0, 5.0], "w": [3.0, 1.0]}, weight="w").columns
    ('x',)
    """
    if weight is not None and not (isinstance(data, WeightedSource) and data.weight == weight):
        if columns is not None and weight not in (columns := [*columns]):
            columns = [*columns, weight]
        return WeightedSource(source(data, columns), weight)
    if isinstance(data, RowSource):
        if columns is not None and tuple(columns) != data.columns:
            raise DeclarationError(
                f"this source has the columns {listing(data.columns)}: choose them where it is opened"
            )
        return data
    if is_source(data) or is_pattern(data):
        return open_files(data, columns)  # type: ignore[arg-type]
    if is_dask(data):
        return open_dask(data, columns)
    return MemorySource(as_points(data, columns, gaps=True))


def is_read_in_parts(data: object) -> bool:
    """Return True for data that are read part by part by default: sources, patterns, several files, Dask's."""
    return isinstance(data, RowSource) or is_dask(data) or is_pattern(data) or _is_numpy_file(data)


def require_no_values_for_rows(given: Mapping[str, object]) -> None:
    """Check that no argument has a value for each row, where rows are read in parts.

    Raises
    ------
    DeclarationError
        If one is not None.
    """
    if wrong := [f"{name}=" for name, value in given.items() if value is not None]:
        raise DeclarationError(
            f"{' and '.join(wrong)} can't be used with rows that are read in parts\n"
            "  Read them as a whole, without memory=, for example as a DataFrame."
        )


def weight_column(sample_weight: object) -> str | None:
    """Return the name of the column of the weights of rows that are read in parts; None if they have none.

    Raises
    ------
    DeclarationError
        If it is no name.
    """
    if sample_weight is None or isinstance(sample_weight, str):
        return sample_weight
    raise DeclarationError(
        "sample_weight has a value for each row, and rows that are read in parts have their weights in a column\n"
        "  Give its name, for example sample_weight='weight'; or read the rows as a whole, without memory=."
    )


def _is_numpy_file(data: object) -> bool:
    """Return True for the path of a ``.npy`` file, which is no table."""
    path = data.path if isinstance(data, TableFile) else data
    return isinstance(path, str | Path) and Path(path).suffix.lower() == ".npy"
