"""Reading tables from CSV and Parquet files; files that pandas would misread without an error are rejected."""

import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bayesgmm.data.columns import is_numeric, require_distinct, select
from bayesgmm.errors import DataError
from bayesgmm.memory import require_memory
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import pandas as pd

PARQUET = {".parquet", ".pq"}
ROWS = 100_000  # read at a time where only some columns are kept
BUFFER = 2**20  # bytes
LONGEST = 2**28  # bytes of a line
BYTES = 16  # of a number: parsers hold parts of a table, and then the whole
COUNTED = re.compile(r"(.*)\.\d+")  # pandas renames a second column a to a.1


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> "tuple[pd.DataFrame, list[str]]":
    """Read a CSV or Parquet file; keep the named columns, by default all numeric ones.

    Parameters
    ----------
    path : str or Path
    columns : sequence of str, optional

    Returns
    -------
    frame : DataFrame
        The columns to use.
    dropped : list of str
        Columns that were left out because they are not numeric.

    Raises
    ------
    DataError
        When the file can't be read, a named column does not exist, or no column is numeric.
    """
    frame = read_frame(path, columns)
    if columns is not None:
        return select(frame, columns), []
    numeric = [c for c in frame.columns if is_numeric(frame[c])]
    dropped = [str(c) for c in frame.columns if c not in numeric]
    if not numeric:
        raise DataError(f"{path} has no numeric column; its columns are {listing(dropped)}")
    return frame[numeric], dropped


def read_chunks(path: str | Path, rows: int) -> "Iterator[pd.DataFrame]":
    """Read all columns of a CSV file, a given number of rows at a time; a Parquet file at once.

    Raises
    ------
    DataError
        When the file can't be read, has no rows, or does not have the format of its extension.
    """
    path = require_file(path)
    if path.suffix.lower() in PARQUET:
        yield read_frame(path)
        return
    with _as_data_error(path, "CSV"), _opened_csv(path) as text:
        yield from _csv_chunks(text, path, rows)


def read_frame(path: str | Path, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Read a CSV or Parquet file.

    Parameters
    ----------
    path : str or Path
    columns : sequence of str, optional
        Columns to keep in memory, in the order of the file. If one is missing, all are returned. Default: all.

    Raises
    ------
    DataError
        When the file can't be read, has no rows, does not have the format of its extension, or needs more memory than
        the machine has.
    """
    import pandas as pd

    path = require_file(path)
    if path.suffix.lower() in PARQUET:
        with _as_data_error(path, "Parquet"):
            frame = pd.read_parquet(path, columns=_parquet_columns(path, columns))
    else:
        with _as_data_error(path, "CSV"), _opened_csv(path) as text:
            chunks = _csv_chunks(text, path, None if columns is None else ROWS)
            frame = pd.concat([_kept(chunk, columns) for chunk in chunks])
    _require_rows(frame, path)
    return frame


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


@contextmanager
def _as_data_error(path: Path, kind: str) -> Iterator[None]:
    """Convert the errors of a parser; each raises errors of its own."""
    import pandas as pd

    try:
        yield
    except DataError:
        raise
    except pd.errors.ParserWarning:
        raise _too_many_fields(path) from None
    except Exception as error:
        raise DataError(f"{path} can't be read as {kind}: {error}") from error


@contextmanager
def _opened_csv(path: Path) -> "Iterator[BinaryIO]":
    """Open a CSV file, also a compressed one; what does not fit into memory raises DataError while it is read."""
    from pandas.io.common import get_handle

    with get_handle(path, "rb", compression="infer", is_text=False) as handles:
        yield BufferedReader(_Bounded(handles.handle, path), BUFFER)


class _Bounded(RawIOBase):
    """Bytes of a CSV file. A few kilobytes of a compressed file may hold more numbers than the memory."""

    def __init__(self, file: Any, path: Path) -> None:
        self._file, self._path, self._fields, self._line = file, path, 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        self._fields += content.count(b",") + content.count(b"\n")
        last = content.rfind(b"\n")
        self._line = self._line + len(content) if last < 0 else len(content) - last
        if self._line > LONGEST:
            raise DataError(f"{self._path} is not a table: it has a line of more than {LONGEST:,} bytes")
        require_memory(BYTES * self._fields, str(self._path), DataError)
        return len(content)


def _csv_chunks(text: "BinaryIO", path: Path, rows: int | None) -> "Iterator[pd.DataFrame]":
    """Read a number of rows at a time; None: all at once."""
    import pandas as pd

    with pd.read_csv(text, chunksize=rows or sys.maxsize, index_col=False) as reader:
        first = True
        while (frame := _next_chunk(reader)) is not None:
            if first:
                _require_sound_csv(frame, path)
                _require_rows(frame, path)
            first = False
            yield frame


def _next_chunk(reader: "Iterator[pd.DataFrame]") -> "pd.DataFrame | None":
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return next(reader, None)


def require_file(path: str | Path) -> Path:
    """Check that a file exists; return its path.

    Raises
    ------
    DataError
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    return path


def _require_rows(frame: "pd.DataFrame", path: Path) -> None:
    if frame.empty:
        raise DataError(f"{path} has no rows")


def _too_many_fields(path: Path) -> DataError:
    return DataError(
        f"{path} has more fields in its rows than names in its first line\n"
        "  Look for a missing name, a comma at the end of each row, or decimal commas."
    )


def _require_sound_csv(frame: "pd.DataFrame", path: Path) -> None:
    """Raise DataError for a CSV file that pandas misreads without an error."""
    names = [str(c) for c in frame.columns]
    if any((match := COUNTED.fullmatch(name)) and match[1] in names for name in names):
        require_distinct(_first_line(path))
    for separator, word in {";": "semicolons", "\t": "tabs"}.items():
        if len(names) == 1 and separator in names[0]:
            raise DataError(f"{path} is separated by {word}, not commas; write it with commas and decimal points")
    if all(_is_number(name) for name in names) and not _count_up(names):
        raise DataError(f"{path} has no line of column names: its first line is {listing(names)}")


def _first_line(path: Path) -> list[str]:
    """Return the names in the first line of a CSV file as they are written."""
    import pandas as pd

    with _opened_csv(path) as text:
        first = pd.read_csv(text, header=None, nrows=1, dtype=str, keep_default_na=False)
    return first.iloc[0].tolist()


def _count_up(names: Sequence[str]) -> bool:
    """Return True if the names are consecutive whole numbers, such as years, and not a row of data.

    Examples
    --------
    >>> _count_up(["0", "1", "2"]), _count_up(["2023", "2024"]), _count_up(["5", "3", "1"]), _count_up(["7"])
    (True, True, False, False)
    """
    if not all(name.isdecimal() for name in names) or (len(names) == 1 and names != ["0"]):
        return False
    return all(int(after) == int(before) + 1 for before, after in pairwise(names))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
