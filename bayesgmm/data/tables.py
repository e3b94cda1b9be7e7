"""Reading tables from files: one way in for every function that takes a path."""

from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.data.columns import not_numeric, require_distinct, select
from bayesgmm.errors import DataError, TableWarning, warn
from bayesgmm.keywords import checks_keywords
from bayesgmm.memory import require_memory
from bayesgmm.reading.grids import read_grid
from bayesgmm.reading.settings import Source, TableFile, as_file
from bayesgmm.reading.tables import Known, ReadTable, interpreted
from bayesgmm.reading.text_files import BYTES, as_data_error, opened_text, text_chunks
from bayesgmm.reading.workbooks import is_workbook, sheet_cells
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import pandas as pd

PARQUET = {".parquet", ".pq"}


def read_table(source: Source, columns: Sequence[str] | None = None) -> "tuple[pd.DataFrame, dict[str, str]]":
    """Read the table of a file; keep the named columns, by default all numeric ones.

    Parameters
    ----------
    source : str, Path or TableFile
    columns : sequence of str, optional

    Returns
    -------
    frame : DataFrame
        The columns to use.
    dropped : dict of str to str
        Columns that were left out, each with the reason: not numeric, or without values.

    Raises
    ------
    DataError
        When the file can't be read, a named column does not exist, or no column is numeric.

    Warns
    -----
    TableWarning
        How the file was read, where it is not a plain one.
    """
    frame = read_frame(source, columns)
    if columns is not None:
        return select(frame, columns), {}
    dropped = not_numeric(frame)
    numeric = [c for c in frame.columns if str(c) not in dropped]
    if not numeric:
        raise DataError(f"{as_file(source).path} has no numeric column; its columns are {listing([*dropped])}")
    return frame[numeric], dropped


@checks_keywords
def read_frame(source: Source, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    r"""Read the table of a file.

    Parameters
    ----------
    source : str, Path or TableFile
    columns : sequence of str, optional
        Columns to keep, in the order of the file. If one is missing, all are returned. Default: all.

    Returns
    -------
    DataFrame
        Numbers where a column holds numbers, else text. Blank rows, totals and units are left out; the labels of the
        rows are their positions in the file.

    Raises
    ------
    DataError
        When the file can't be read, has no rows, does not have the format of its extension, can be read in two ways,
        or needs more memory than the machine has.

    Warns
    -----
    TableWarning
        How the file was read, where it is not a plain one.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "plain.csv")
    ...     _ = path.write_text("x,y\n1.5,2\n2.5,3\n")
    ...     read_frame(path)["x"].tolist()
    [1.5, 2.5]
    """
    table = read_file(source, columns, numeric=columns or ())
    named = [str(name) for name in columns or ()]
    table.require_clear(named or None)
    warn(table.told, TableWarning)
    frame = _kept(table.frame, columns)
    _require_rows(frame, as_file(source).path)
    return frame


def read_file(
    source: Source,
    columns: Sequence[str] | None = None,
    *,
    numeric: Collection[str] = (),
    forced: Collection[str] = (),
) -> ReadTable:
    """Read the table of a file: numbers, texts as they are written, and how they were read.

    Parameters
    ----------
    source : str, Path or TableFile
    columns : sequence of str, optional
        Columns that will be used: a Parquet file need not be read beyond them.
    numeric : collection of str
        Columns in which leading zeros make no code.
    forced : collection of str
        Columns in which a cell that is no number is missing.

    Raises
    ------
    DataError
        When the file can't be read, or has no rows.
    """
    file = as_file(source)
    path = require_file(file.path)
    if path.suffix.lower() in PARQUET:
        return _read_parquet(path, columns)
    if is_workbook(path):
        table = _read_workbook(file, numeric, forced)
    else:
        (table,) = _text_tables(file, None, numeric, forced)
    _require_rows(table.frame, path)
    return table


def read_first(source: Source, rows: int) -> "pd.DataFrame":
    """Read the first rows of a text file.

    Raises
    ------
    DataError
        When the file can't be read, or has no rows.

    Warns
    -----
    TableWarning
        How the file was read, where it is not a plain one.
    """
    with closing(read_chunks(source, rows)) as chunks:
        table = next(chunks)
    warn(table.told, TableWarning)
    return table.frame


def read_chunks(source: Source, rows: int, forced: Collection[str] = ()) -> Generator[ReadTable]:
    """Read all columns of a text file, a given number of rows at a time; other files at once.

    Parameters
    ----------
    source : str, Path or TableFile
    rows : int
    forced : collection of str
        Columns in which a cell that is no number is missing.

    Raises
    ------
    DataError
        When the file can't be read, has no rows, or does not have the format of its extension.
    """
    file = as_file(source)
    path = require_file(file.path)
    if path.suffix.lower() in PARQUET or is_workbook(path):
        yield read_file(file, forced=forced)
        return
    yield from _text_tables(file, rows, forced=forced)


def _text_tables(
    file: TableFile, rows: int | None, numeric: Collection[str] = (), forced: Collection[str] = ()
) -> Generator[ReadTable]:
    """Read a text file in parts; what the first part shows about a column holds for the others."""
    text = opened_text(file)
    names, path = text.layout.names, text.path
    _require_names(names)
    known = Known(text.layout.sep, file.decimal, file.missing, numeric=numeric, forced=forced, ends=False)
    parts, first = text_chunks(text, rows), True
    part = next(parts, None)
    if part is None:
        raise DataError(f"{path} has no rows")
    while part is not None:
        following = next(parts, None)
        table = interpreted(part, names, replace(known, ends=following is None))
        if first:
            _require_rows(table.frame, path)
            known = replace(known, decimals=table.decimals, forced={*forced, *table.decimals})
            table = table.introduced(path.name, text.words, text.layout.remarks)
        first, part = False, following
        yield table


def _read_workbook(file: TableFile, numeric: Collection[str], forced: Collection[str]) -> ReadTable:
    path = Path(file.path)
    sheet, rows, typed, others = sheet_cells(file)
    names, cells, words = read_grid(rows, path)
    _require_names(names)
    decimals = {names[j]: "." for j in typed if j < len(names)}
    table = interpreted(cells, names, Known(",", file.decimal, file.missing, decimals, numeric, forced))
    return table.introduced(path.name, [f"sheet {sheet!r}"] if others else [], words)


def _read_parquet(path: Path, columns: Sequence[str] | None) -> ReadTable:
    import pandas as pd

    with as_data_error(path, "Parquet"):
        frame = pd.read_parquet(path, columns=_parquet_columns(path, columns))
    _require_rows(frame, path)
    return ReadTable(frame, frame)


def _kept(frame: "pd.DataFrame", columns: Sequence[str] | None) -> "pd.DataFrame":
    """Return the named columns in the order of the table; all columns if one is missing, or None is given."""
    names = [str(name) for name in frame.columns]
    if columns is None or not set(map(str, columns)) <= set(names):
        return frame
    return frame[[name for name in frame.columns if str(name) in set(map(str, columns))]]


def _parquet_columns(path: Path, columns: Sequence[str] | None) -> list[str] | None:
    """Return the columns of a Parquet file to read, after a check that they fit into memory."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]
        chosen = None if columns is None or not {*columns} <= {*names} else [n for n in names if n in {*columns}]
        rows = file.metadata.num_rows
    require_distinct(names)
    require_memory(BYTES * rows * len(names if chosen is None else chosen), str(path), DataError)
    return chosen


def require_file(path: str | Path) -> Path:
    """Check that a file exists; return its path.

    Raises
    ------
    DataError
    """
    path = Path(path)
    if not path.is_file():
        several = (
            "" if not has_magic(str(path)) else "\n  Several files are read by fit(model, pattern, 'em') and source."
        )
        raise DataError(f"there is no file {path}{several}")
    return path


def _require_rows(frame: "pd.DataFrame", path: str | Path) -> None:
    if frame.empty:
        raise DataError(f"{path} has no rows")


def _require_names(names: Sequence[str]) -> None:
    require_distinct([name for name in names if name])
