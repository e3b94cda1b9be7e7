"""CSV and other text files, a number of rows at a time."""

from collections.abc import Iterator, Sequence

from bayesgmm.data.columns import doubles_of, not_numeric, select
from bayesgmm.data.tables import read_chunks, read_first
from bayesgmm.errors import DataError
from bayesgmm.reading.settings import TableFile
from bayesgmm.sources.rows import Part, without_first

TEXTS = 8  # the cells as texts take so many times the memory of the numbers
SEEN = 10_000  # rows that show which columns hold numbers


def columns_of(file: TableFile) -> dict[str, str]:
    """Return the names of the columns of a file; for those whose first rows are not numbers, why."""
    frame = read_first(file, SEEN)
    reasons = not_numeric(frame)
    return {str(name): reasons.get(str(name), "") for name in frame}


def count_rows(file: TableFile) -> None:
    """Return None: the rows of a text are counted when they are read."""


def parts(file: TableFile, columns: Sequence[str], rows: int, first: int = 0) -> Iterator[Part]:
    """Yield the rows of a file from a given one on, a number at a time. Those before it are read, too."""
    return without_first(_all(file, columns, rows), first)


def _all(file: TableFile, columns: Sequence[str], rows: int) -> Iterator[Part]:
    for table in read_chunks(file, max(rows // TEXTS, 1)):
        table.require_clear([*columns])
        frame = select(table.frame, columns)
        try:
            yield Part(doubles_of(frame), str(file.path), frame.index.to_numpy())
        except DataError as error:
            raise DataError(f"{file.path}: {error}") from None
