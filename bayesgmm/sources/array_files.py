"""Arrays in ``.npy`` files and in ``.zarr`` folders, of which no more is read than is used."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm.data.numbers import as_doubles
from bayesgmm.errors import DataError, MissingExtra
from bayesgmm.reading.settings import TableFile
from bayesgmm.sources.rows import Part

ZARR = ".zarr"


def columns_of(file: TableFile) -> dict[str, str]:
    """Return the names of the columns, x0, x1, ...; none is missing a number."""
    shape = _opened(file).shape
    return {f"x{j}": "" for j in range(shape[1] if len(shape) == 2 else 1)}


def count_rows(file: TableFile) -> int:
    """Return the number of rows of a file."""
    return int(_opened(file).shape[0])


def parts(file: TableFile, columns: Sequence[str], rows: int, first: int = 0) -> Iterator[Part]:
    """Yield the rows of a file from a given one on, a number at a time."""
    chosen = [int(name[1:]) for name in columns]
    for start in range(first, count_rows(file), rows):
        array = _opened(file)  # opened again each time: pages of a file that is mapped count as memory
        try:
            values = np.array(array[start : start + rows])  # of a zarr array, this reads its chunks
            values = (values if values.ndim == 2 else values[:, None])[:, chosen]
            values = values if values.dtype == np.float32 else as_doubles(values)
        except (TypeError, ValueError, OverflowError, OSError, RuntimeError) as error:  # the last: a damaged chunk
            last = min(start + rows, array.shape[0]) - 1
            raise DataError(f"{file.path}, rows {start:,} to {last:,}: {error}") from None
        yield Part(values, str(file.path), range(start, start + len(values)))


def _opened(file: TableFile) -> Any:
    """Open the array (N, D) of a file; its rows are read when they are asked for."""
    path = Path(file.path)
    try:
        array = _zarr(path) if path.suffix.lower() == ZARR else np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is not a complete {path.suffix} file with an array of numbers: {error}") from None
    if len(array.shape) not in (1, 2) or array.dtype.kind not in "biuf":
        raise DataError(f"{path} holds an array {array.shape} of {array.dtype}; give (N, D) numbers, one row per point")
    return array


def _zarr(path: Path) -> Any:
    try:
        import zarr
    except ImportError:
        raise MissingExtra(f"{path} can be read only with zarr\n  Try pip install 'bayesgmm[zarr]'.") from None
    return zarr.open_array(path, mode="r")
