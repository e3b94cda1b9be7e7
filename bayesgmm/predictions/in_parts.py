"""Answers about the rows of a source, part by part, into a table on disk: any number of rows in bounded memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.checkpoints.runs import opened
from bayesgmm.data.tables import PARQUET
from bayesgmm.errors import CheckpointError, CheckpointWarning, DataError, warn
from bayesgmm.files import append_csv, in_place_of
from bayesgmm.posterior.schema import require_numbers, transforms_of
from bayesgmm.progress import counted
from bayesgmm.reading.settings import is_source
from bayesgmm.sources.file_sources import FileSource, columns_of, is_pattern
from bayesgmm.sources.opening import source
from bayesgmm.sources.rows import Part, RowSource
from bayesgmm.sources.surveys import rows_within
from bayesgmm.sweep.parts import ahead
from bayesgmm.tree_files import digest

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

ANSWERS = 8  # numbers of an answer for each row, beside one for each component

Answer = Callable[["pd.DataFrame"], "pd.DataFrame"]
Write = Callable[["pd.DataFrame"], None]


def rows_for(fit: "xr.DataTree", data: object) -> RowSource:
    """Open data as a source with the columns of a fit, in data units.

    Raises
    ------
    DataError
        If they can't be read, or a column is not numeric.
    """
    names = transforms_of(fit).names
    if is_source(data) or is_pattern(data):
        require_numbers(names, columns_of(data))  # type: ignore[arg-type]
    return source(data, names)


def write_in_parts(
    fit: "xr.DataTree",
    rows: RowSource,
    answer: Answer,
    output: Path,
    memory: int,
    folder: Path | None = None,
    progress: bool = True,
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
    folder : Path, optional
        Where each part of the table is kept, so that the work goes on from there after a kill.
    progress : bool
        Show a progress bar.

    Raises
    ------
    DataError
        If a row can't be used; the message names its file.
    CheckpointError
        If a part in the folder is damaged.
    """
    width = len(rows.columns) + 2 * fit["posterior"].sizes["component"] + ANSWERS
    size, count = rows_within(memory, width), 0
    writing = _parquet(output) if output.suffix.lower() in PARQUET else _csv(output)
    with writing as write:
        if folder is None:
            frames = _answers(rows, answer, size, 0)
        else:  # join the parts when all are there: each run after a kill computes from its start
            _keep_missing(rows, answer, size, folder, progress)
            frames = _kept(folder)
        with counted("rows" if folder is None else "rows joined", rows.n_rows, progress) as step:
            for frame in frames:
                write(frame)
                count += len(frame)
                step(len(frame))
        if not count:
            raise DataError(f"{rows.name} has no rows")
    return count


@contextmanager
def kept_in(folder: Path | None, fit: "xr.DataTree", rows: FileSource, options: dict[str, object]) -> Iterator[None]:
    """Lock a folder for the parts of a table, and say how much of it is there; None: nothing is kept.

    Parameters
    ----------
    folder : Path, optional
    fit : DataTree
    rows : FileSource
    options : dict
        What the answers depend on beside fit and rows.

    Raises
    ------
    CheckpointError
        If another process uses the folder, or it holds parts of another table.
    FitFileError
        If the folder can't be written.

    Warns
    -----
    CheckpointWarning
        If there are parts.
    """
    if folder is None:
        yield
        return
    with opened(folder) as saved:
        saved.require(
            {"bayesgmm": version("bayesgmm"), "data": rows.fingerprint, "fit": digest(fit), **options}, "table"
        )
        if count := _count_kept(folder):
            warn([f"The table goes on from {folder}, where {count:,} rows of it were saved."], CheckpointWarning)
        yield


def _answers(rows: RowSource, answer: Answer, size: int, first: int) -> "Iterator[pd.DataFrame]":
    """Yield the parts of the table from a row on."""
    for part in ahead(rows.parts(size, first)):
        frame = _answered(part, rows, answer, first)
        yield frame
        first += len(frame)


def _keep_missing(rows: RowSource, answer: Answer, size: int, folder: Path, progress: bool) -> None:
    """Compute the parts of the table that are not in a folder, and keep each of them there."""
    first = _count_kept(folder)
    with counted("rows", rows.n_rows, progress) as step:
        step(first)
        for frame in _answers(rows, answer, size, first):
            if len(frame):
                with in_place_of(_path(folder, first)) as partial:
                    frame.to_parquet(partial)
            first += len(frame)
            step(len(frame))


def _count_kept(folder: Path) -> int:
    """Return the number of rows that an earlier process left."""
    return sum(map(len, _kept(folder, columns=[])))


def _kept(folder: Path, columns: list[str] | None = None) -> "Iterator[pd.DataFrame]":
    """Yield the parts that an earlier process left, from the first row on."""
    import pandas as pd

    first = 0
    while (path := _path(folder, first)).exists():
        try:
            frame = pd.read_parquet(path, columns=columns)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged: {error}\n  Remove it: its rows are computed again.") from None
        yield frame
        first += len(frame)


def _path(folder: Path, first: int) -> Path:
    return folder / f"rows_{first:012d}.parquet"


def _answered(part: Part, rows: RowSource, answer: Answer, first: int) -> "pd.DataFrame":
    import pandas as pd

    try:  # rows are named as in their file, as in the error of a fit; in the table by their numbers
        answers = answer(pd.DataFrame(part.values, columns=[*rows.columns], index=part.index))
    except DataError as error:
        raise DataError(f"{part.place}: {error}" if part.place else str(error)) from None
    return answers.set_axis(pd.RangeIndex(first, first + len(answers), name=answers.index.name))


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
