"""Arrays in ``.npy`` files, of which no more is read than is used."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bayesgmm.data.numbers import as_doubles
from bayesgmm.errors import DataError
from bayesgmm.reading.settings import TableFile
from bayesgmm.sources.rows import Part


def columns_of(file: TableFile) -> dict[str, str]:
    """Return the names of the columns, x0, x1, ...; none is missing a number."""
    return {f"x{j}": "" for j in range(_mapped(file).shape[1])}


def count_rows(file: TableFile) -> int:
    """Return the number of rows of a file."""
    return len(_mapped(file))


def parts(file: TableFile, columns: Sequence[str], rows: int, first: int = 0) -> Iterator[Part]:
    """Yield the rows of a file from a given one on, a number at a time."""
    chosen = [int(name[1:]) for name in columns]
    for start in range(first, count_rows(file), rows):  # mapped again each time: pages of a map count as memory
        values = np.array(_mapped(file)[start : start + rows, chosen])
        try:
            values = values if values.dtype == np.float32 else as_doubles(values)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{file.path}, rows {start:,} to {start + len(values) - 1:,}: {error}") from None
        yield Part(values, str(file.path), np.arange(start, start + len(values)))


def _mapped(file: TableFile) -> "np.ndarray[Any, Any]":
    """Map the array (N, D) of a file into memory."""
    try:
        array = np.load(file.path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file.path} is not a complete .npy file with numbers: {error}") from None
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise DataError(
            f"{file.path} holds an array {array.shape} of {array.dtype}; give (N, D) numbers, one row per point"
        )
    return array
