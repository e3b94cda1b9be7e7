"""Reading tables from CSV and Parquet files; files that pandas would misread without an error are rejected."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.data.columns import is_numeric, select
from bayesgmm.errors import DataError
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import pandas as pd

PARQUET = {".parquet", ".pq"}


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
    frame = read_frame(path)
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
    import pandas as pd

    path = require_file(path)
    if path.suffix.lower() in PARQUET:
        yield read_frame(path)
        return
    first = True
    try:
        with pd.read_csv(path, chunksize=rows, index_col=False) as reader:
            while (frame := _next_chunk(reader)) is not None:
                if first:
                    _require_sound_csv(frame, path)
                    _require_rows(frame, path)
                first = False
                yield frame
    except pd.errors.ParserWarning:
        raise _too_many_fields(path) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read as CSV: {error}") from error


def _next_chunk(reader: "Iterator[pd.DataFrame]") -> "pd.DataFrame | None":
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return next(reader, None)


def read_frame(path: str | Path) -> "pd.DataFrame":
    """Read all columns of a CSV or Parquet file.

    Raises
    ------
    DataError
        When the file can't be read, has no rows, or does not have the format of its extension.
    """
    import pandas as pd

    path = require_file(path)
    parquet = path.suffix.lower() in PARQUET
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_parquet(path) if parquet else pd.read_csv(path, index_col=False)
    except pd.errors.ParserWarning:
        raise _too_many_fields(path) from None
    except Exception as error:  # each parser raises errors of its own
        kind = "Parquet" if parquet else "CSV"
        raise DataError(f"{path} can't be read as {kind}: {error}") from error
    if not parquet:
        _require_sound_csv(frame, path)
    _require_rows(frame, path)
    return frame


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
    for separator, word in {";": "semicolons", "\t": "tabs"}.items():
        if len(names) == 1 and separator in names[0]:
            raise DataError(f"{path} is separated by {word}, not commas; write it with commas and decimal points")
    if all(_is_number(name) for name in names) and not _count_up(names):
        raise DataError(f"{path} has no line of column names: its first line is {listing(names)}")


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
