"""Parquet files: the columns that are used, a row group at a time or less."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.numbers import as_doubles
from bayesgmm.errors import DataError, MissingExtra
from bayesgmm.reading.settings import TableFile
from bayesgmm.sources.rows import Part, without_first
from bayesgmm.sweep.pieces import Pieces

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

AGAIN = "Copy or write the file again, or leave it out."
BUFFER = 2**20  # bytes of a column that are read at a time: a row group may be larger than the memory


def columns_of(file: TableFile) -> dict[str, str]:
    """Return the names of the columns of a file; for those that are not numbers, why."""
    import pyarrow.types as kinds

    with _opened(file) as opened:
        schema = opened.schema_arrow
    labels = (schema.pandas_metadata or {}).get("index_columns", ())  # of a DataFrame: they are no data
    numeric = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal)
    return {
        field.name: "" if any(is_one(field.type) for is_one in numeric) else "not numeric"
        for field in schema
        if field.name not in labels and not field.name.startswith("__index_level_")
    }


def count_rows(file: TableFile) -> int:
    """Return the number of rows of a file."""
    with _opened(file) as opened:
        return int(opened.metadata.num_rows)


def parts(file: TableFile, columns: Sequence[str], rows: int, first: int = 0) -> Iterator[Part]:
    """Yield the rows of a file from a given one on, at most a number at a time. Row groups before it are not read."""
    with _opened(file) as opened:
        for group in range(opened.num_row_groups):
            size = int(opened.metadata.row_group(group).num_rows)
            if first < size:
                yield from without_first(_of_group(opened, group, file, columns, rows), first)
            first = max(first - size, 0)


def _of_group(
    opened: "pq.ParquetFile", group: int, file: TableFile, columns: Sequence[str], rows: int
) -> Iterator[Part]:
    """Yield the rows of a row group."""
    place, start = f"{file.path}, row group {group}", 0
    batches = opened.iter_batches(rows, row_groups=[group], columns=[*columns])
    while (batch := _next_batch(batches, place)) is not None:
        yield Part(_rows(batch, columns, place), place, range(start, start + batch.num_rows))
        start += batch.num_rows


@contextmanager
def _opened(file: TableFile) -> "Iterator[pq.ParquetFile]":
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra(
            "Parquet files can be read only with pyarrow\n  Try pip install 'bayesgmm[parquet]'."
        ) from None
    try:
        opened = pq.ParquetFile(file.path, buffer_size=BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{file.path} is not a complete Parquet file: it is damaged or cut off ({_first_line(error)})\n  {AGAIN}"
        ) from None
    with opened:
        yield opened


def _next_batch(batches: "Iterator[pa.RecordBatch]", place: str) -> "pa.RecordBatch | None":
    import pyarrow as pa

    try:
        return next(batches, None)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{place} can't be read: the file is damaged or cut off ({_first_line(error)})\n  {AGAIN}"
        ) from None


def _rows(batch: "pa.RecordBatch", columns: Sequence[str], place: str) -> Pieces:
    """Return the numbers of a batch (n, D), each column as it was read if it can be used so.

    They are of single precision if those of all columns are, which takes half of the memory.
    """
    import pyarrow as pa

    arrays = [batch.column(name) for name in columns]
    kind = np.float32 if all(one.type == pa.float32() for one in arrays) else np.float64
    found = []
    for name, array in zip(columns, arrays, strict=True):
        column = array.to_numpy(zero_copy_only=False)
        try:
            found.append(np.asarray(column if column.dtype.kind == "f" else as_doubles(column), dtype=kind))
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{place}, column {name!r}: {error}") from None
    return Pieces((tuple(found),))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
