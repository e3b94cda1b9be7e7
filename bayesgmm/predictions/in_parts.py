"""Answers about the rows of a source, part by part, into a table on disk: any number of rows in bounded memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.data.tables import PARQUET
from bayesgmm.errors import DataError
from bayesgmm.files import append_csv, in_place_of
from bayesgmm.posterior.schema import transforms_of
from bayesgmm.progress import counted
from bayesgmm.sources.opening import source
from bayesgmm.sources.rows import Part, RowSource
from bayesgmm.sources.surveys import rows_within
from bayesgmm.sweep.parts import ahead

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

ANSWERS = 8  # numbers of an answer for each row, beside one for each component

Answer = Callable[["pd.DataFrame"], "pd.DataFrame"]
Write = Callable[["pd.DataFrame"], None]


def rows_for(fit: "xr.DataTree", data: object) -> RowSource:
    """Open data as a source with the columns of a fit, in data units."""
    return source(data, transforms_of(fit).names)


def write_in_parts(
    fit: "xr.DataTree", rows: RowSource, answer: Answer, output: Path, memory: int, progress: bool = True
) -> int:
    """Write the answers about all rows of a source to a table, one part after another; return the number of rows.

    Parameters
    ----------
    fit : DataTree
    rows : RowSource
    answer : function
        From rows in the columns of the fit, labelled by their numbers, to a table with a row for each.
    output : Path
        Ends in .csv, or .parquet or .pq. It is written completely or not at all.
    memory : int
        Bytes that rows and answers may take at a time.
    progress : bool
        Show a progress bar.

    Raises
    ------
    DataError
        If a row can't be used; the message names its file.
    """
    width = len(rows.columns) + 2 * fit["posterior"].sizes["component"] + ANSWERS
    size, count = rows_within(memory, width), 0
    writing = _parquet(output) if output.suffix.lower() in PARQUET else _csv(output)
    with writing as write, counted("rows", rows.n_rows, progress) as step:
        for part in ahead(rows.parts(size)):
            write(_answered(part, rows, answer, count))
            count += len(part.values)
            step(len(part.values))
        if not count:
            raise DataError(f"{rows.name} has no rows")
    return count


def _answered(part: Part, rows: RowSource, answer: Answer, first: int) -> "pd.DataFrame":
    import pandas as pd

    index = pd.RangeIndex(first, first + len(part.values))
    try:
        return answer(pd.DataFrame(part.values, columns=[*rows.columns], index=index))
    except DataError as error:
        raise DataError(f"{part.place}: {error}" if part.place else str(error)) from None


@contextmanager
def _parquet(output: Path) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with in_place_of(output) as partial:
        writers: list[pq.ParquetWriter] = []

        def write(frame: "pd.DataFrame") -> None:
            table = pa.Table.from_pandas(frame, preserve_index=True)
            if not writers:
                writers.append(pq.ParquetWriter(partial, table.schema))
            writers[0].write_table(table.cast(writers[0].schema))

        try:
            yield write
        finally:
            for writer in writers:
                writer.close()


@contextmanager
def _csv(output: Path) -> Iterator[Write]:
    with in_place_of(output) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        yield lambda frame: append_csv(frame, file, header=file.tell() == 0)
