"""Reading the cells of text files with separators, as text."""

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, RawIOBase, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bayesgmm.errors import DataError
from bayesgmm.memory import require_memory
from bayesgmm.reading.encodings import UTF8, encoding_of
from bayesgmm.reading.layouts import Layout, NoLayout, layout_of
from bayesgmm.reading.settings import BLANKS, TableFile

if TYPE_CHECKING:
    import pandas as pd

BUFFER = 2**20  # bytes
LONGEST = 2**28  # bytes of a line
BYTES = 16  # of a number: parsers hold parts of a table, and then the whole
ABSENT = "\x1f"  # a separator that occurs in no text, for tables of one column
FIELDS = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")


@dataclass(frozen=True)
class TextFile:
    """A text file whose encoding and layout are recognised.

    Parameters
    ----------
    file : TableFile
    encoding : str
    layout : Layout
    """

    file: TableFile
    encoding: str
    layout: Layout

    @property
    def path(self) -> Path:
        """Path of the file."""
        return Path(self.file.path)

    @property
    def words(self) -> list[str]:
        """Name the separator and the encoding, if they are not those of a plain CSV file."""
        other = [] if self.encoding in UTF8 else [f"{self.encoding}-encoded"]
        return [*self.layout.words, *other]


def opened_text(file: TableFile) -> TextFile:
    """Recognise the encoding and the layout of a text file.

    Raises
    ------
    DataError
        When it can't be read, or can be read in two ways.
    """
    path = Path(file.path)
    with as_data_error(path, "CSV"):
        encoding = file.encoding or _encoding(path)
        with _bytes(path, file.sep) as raw:
            text = _sample(raw, encoding, path)
        if not text.strip():
            raise DataError(f"{path} can't be read as CSV: it is empty")
        try:
            return TextFile(file, encoding, layout_of(text, file.sep, file.decimal))
        except NoLayout as problem:
            start = "" if str(problem).startswith("has ") else "can't be read as CSV: "
            raise DataError(f"{path} {start}{problem}") from None


def text_chunks(text: TextFile, rows: int | None = None) -> "Iterator[pd.DataFrame]":
    """Read the cells as text, a number of rows at a time; None: all at once. Columns are numbered.

    Raises
    ------
    DataError
        When it can't be read.
    """
    import pandas as pd

    layout, path = text.layout, text.path
    with as_data_error(path, "CSV", layout.skip), _bytes(path, layout.sep, whole=rows is None) as raw:
        decoded = TextIOWrapper(raw, encoding=text.encoding, newline="")
        for _ in range(layout.skip):
            decoded.readline()
        width = len(layout.names) + layout.ends
        reader = pd.read_csv(
            decoded,
            sep=r"\s+" if layout.sep == BLANKS else layout.sep or ABSENT,
            header=None,
            names=range(width),
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,
            skipinitialspace=layout.initial,
            index_col=False,
            chunksize=rows or sys.maxsize,
        )
        with reader:
            while (chunk := _next_chunk(reader)) is not None:
                yield chunk.iloc[:, : len(layout.names)]


def _next_chunk(reader: "Iterator[pd.DataFrame]") -> "pd.DataFrame | None":
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return next(reader, None)


@contextmanager
def as_data_error(path: Path, kind: str, skipped: int = 0) -> Iterator[None]:
    """Convert the errors of a parser; each raises errors of its own."""
    import pandas as pd

    try:
        yield
    except DataError:
        raise
    except pd.errors.ParserWarning:
        raise DataError(
            f"{path} has more fields in its rows than names in its first line\n"
            "  Look for a missing name, a comma at the end of each row, or decimal commas (decimal=',')."
        ) from None
    except UnicodeError as error:
        raise DataError(f"{path} can't be read as {kind}: {error}\n  Give its encoding (encoding='...').") from None
    except Exception as error:
        if counted := FIELDS.search(str(error)):
            wanted, line, seen = map(int, counted.groups())
            line += skipped
            raise DataError(f"{path} can't be read as {kind}: line {line} has {seen} fields, not {wanted}") from None
        raise DataError(f"{path} can't be read as {kind}: {error}") from error


@contextmanager
def _bytes(path: Path, sep: str | None, whole: bool = True) -> "Iterator[BufferedReader]":
    """Open a file, also a compressed one; what is read as a whole and does not fit into memory raises DataError."""
    from pandas.io.common import get_handle

    with get_handle(path, "rb", compression="infer", is_text=False) as handles:
        yield BufferedReader(_Bounded(handles.handle, path, (sep or ",").encode(), whole), BUFFER)


class _Bounded(RawIOBase):
    """Bytes of a text file. A few kilobytes of a compressed file may hold more numbers than the memory."""

    def __init__(self, file: Any, path: Path, sep: bytes, whole: bool) -> None:
        self._file, self._path, self._sep, self._whole = file, path, sep, whole
        self._fields = self._line = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        self._fields += content.count(self._sep) + content.count(b"\n")
        last = content.rfind(b"\n") if b"\n" in content else content.rfind(b"\r")
        self._line = self._line + len(content) if last < 0 else len(content) - last
        if self._line > LONGEST:
            raise DataError(f"{self._path} is not a table: it has a line of more than {LONGEST:,} bytes")
        if self._whole:
            require_memory(BYTES * self._fields, str(self._path), DataError)
        return len(content)


def _encoding(path: Path) -> str:
    with _bytes(path, None) as raw:
        return encoding_of(iter(lambda: raw.read(BUFFER), b""), str(path))


def _sample(raw: BinaryIO, encoding: str, path: Path) -> str:
    """Read the first lines; the last one is dropped if it may be cut."""
    decoded = TextIOWrapper(raw, encoding=encoding, newline="")
    text, more = "", decoded.read(BUFFER // 4)
    while more:
        text += more
        if len(text.splitlines()) > 2:
            break
        more = decoded.read(BUFFER)
    if decoded.read(1):
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
    decoded.detach()
    return text
