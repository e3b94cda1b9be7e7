"""Files as a source: one, several, or all that match a pattern; kinds by the ending of their names."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from glob import glob, has_magic
from itertools import takewhile
from pathlib import Path

from bayesgmm.data.columns import column_names, require_distinct
from bayesgmm.data.tables import PARQUET, require_file
from bayesgmm.errors import DataError, allowed, did_you_mean
from bayesgmm.reading.settings import TableFile, as_file
from bayesgmm.reading.workbooks import is_workbook
from bayesgmm.sources import array_files, parquet, texts
from bayesgmm.sources.array_files import ZARR
from bayesgmm.sources.rows import Part, RowSource, without_first
from bayesgmm.wording import listing, plural

Stamp = tuple[int, int]
NEARBY = 5  # maximum number of names that a message lists


@dataclass(frozen=True)
class Format:
    """How files of a kind are read.

    Parameters
    ----------
    columns_of : function
        From a file to the names of its columns, each with the reason if it can't be used as numbers.
    count_rows : function
        From a file to its number of rows; None if that is not known before they are read.
    parts : function
        From a file, names of columns, a number of rows and the first row to parts of at most that number.
    """

    columns_of: Callable[[TableFile], dict[str, str]]
    count_rows: Callable[[TableFile], int | None]
    parts: Callable[[TableFile, Sequence[str], int, int], Iterator[Part]]


FORMATS = {
    **dict.fromkeys(sorted(PARQUET), Format(parquet.columns_of, parquet.count_rows, parquet.parts)),
    **dict.fromkeys((".npy", ZARR), Format(array_files.columns_of, array_files.count_rows, array_files.parts)),
}
TEXT = Format(texts.columns_of, texts.count_rows, texts.parts)


def format_of(file: TableFile) -> Format:
    """Return the format of a file, by the ending of its name: text, if it has no other.

    Raises
    ------
    DataError
        If it is an Excel file, which can't be read in parts.
    """
    path = Path(file.path)
    if is_workbook(path):
        raise DataError(f"{path} can't be read in parts\n  Save the sheet as .csv or .parquet, or read it as a whole.")
    return FORMATS.get(path.suffix.lower(), TEXT)


def is_pattern(data: object) -> bool:
    """Return True for a pattern of file names, for a folder, and for a list of paths.

    Examples
    --------
    >>> is_pattern("measurements/*.parquet"), is_pattern("flowers.csv")
    (True, False)
    """
    if isinstance(data, list | tuple):
        return bool(data) and all(isinstance(one, str | Path | TableFile) for one in data)
    if not isinstance(data, str | Path):
        return False
    return Path(data).is_dir() or (has_magic(str(data)) and not Path(data).exists())


def files_of(data: "str | Path | TableFile | Sequence[str | Path | TableFile]") -> tuple[TableFile, ...]:
    """Return the files that a path, a folder, a pattern, or several of them name, those of a pattern by name.

    Raises
    ------
    DataError
        If a pattern matches nothing, a folder has no file that can be read, or a file does not exist.
    """
    if isinstance(data, list | tuple):
        return tuple(file for one in data for file in files_of(one))
    if isinstance(data, TableFile):
        require_file(Path(data.path))
        return (as_file(data),)
    path = Path(str(data))
    if _is_zarr(path):
        paths = [path]
    elif path.is_dir():
        paths = sorted(one for one in path.iterdir() if one.suffix.lower() in FORMATS or one.suffix.lower() == ".csv")
        if not paths:
            raise DataError(f"the folder {path} has no files that end in .csv, {', '.join(FORMATS)}")
    elif is_pattern(data):
        matching = [Path(name) for name in glob(str(data), recursive=True)]
        paths = sorted(one for one in matching if one.is_file() or _is_zarr(one))
        if not paths:
            raise DataError(f"no file matches {data}\n  {_nearby(str(data))}")
    else:
        paths = [require_file(path)]
    return tuple(as_file(one) for one in paths)


def _nearby(pattern: str) -> str:
    """Return a sentence about the last folder that a pattern names: what is there that the pattern does not match."""
    named = [*takewhile(lambda part: not has_magic(part), Path(pattern).parent.parts)]
    folder = Path(*named)
    if not folder.is_dir():
        return f"There is no folder {str(folder)!r} here, in {Path.cwd()}."
    there = sorted(one.name for one in folder.iterdir())
    more = f" and {len(there) - NEARBY} more" if len(there) > NEARBY else ""
    return (
        f"The folder {str(folder)!r} holds {', '.join(there[:NEARBY])}{more}."
        if there
        else f"The folder {str(folder)!r} is empty."
    )


def _is_zarr(path: Path) -> bool:
    """Return True for a folder that is one array."""
    return path.suffix.lower() == ZARR and path.is_dir()


@dataclass(frozen=True, repr=False)
class FileSource(RowSource):
    """Rows of files with the same columns, in the order of the files.

    Parameters
    ----------
    given : str
        The path or the pattern, as it was given.
    files : tuple of TableFile
    stamps : tuple
        Size and time of the last change of each file when the source was opened.
    chosen : tuple of str
        Columns.
    """

    given: str
    files: tuple[TableFile, ...]
    stamps: tuple[Stamp, ...]
    chosen: tuple[str, ...]

    def __repr__(self) -> str:
        """Return where the rows come from, and their columns."""
        return f"FileSource({self.given!r}: {plural(len(self.files), 'file')}, columns {listing(self.chosen)})"

    @property
    def name(self) -> str:
        """The path or the pattern, as it was given."""
        return self.given

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.chosen

    @cached_property
    def n_rows(self) -> int | None:
        """Number of rows; None for texts, whose rows are counted when they are read."""
        counts = [format_of(file).count_rows(file) for file in self.files]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    @property
    def fingerprint(self) -> str:
        """Hash of the names, sizes and times of change of all files."""
        text = repr([(str(file.path), *stamp) for file, stamp in zip(self.files, self.stamps, strict=True)])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def parts(self, rows: int, first: int = 0) -> Iterator[Part]:
        """Yield rows of the files; raise DataError for a file that has changed since the source was opened."""
        if self.n_rows is None:
            return without_first(self._from(rows, 0), first)
        return self._from(rows, first)

    def _from(self, rows: int, first: int) -> Iterator[Part]:
        for file, stamp in zip(self.files, self.stamps, strict=True):
            _require_unchanged(file, stamp)
            skipped = min(first, format_of(file).count_rows(file) or 0) if first else 0
            yield from format_of(file).parts(file, self.columns, rows, skipped)
            first -= skipped
            _require_unchanged(file, stamp)


def _stamp(file: TableFile) -> Stamp:
    path = Path(file.path)
    all_files = [one.stat() for one in (path.rglob("*") if _is_zarr(path) else [path])]
    return sum(status.st_size for status in all_files), max(status.st_mtime_ns for status in all_files)


def _require_unchanged(file: TableFile, stamp: Stamp) -> None:
    try:
        same = _stamp(file) == stamp
    except OSError:
        raise DataError(f"{file.path} is gone: the files must stay as they are until the fit is done") from None
    if not same:
        raise DataError(
            f"{file.path} has changed while it was in use: the files must stay as they are until the fit is done"
        )


def columns_of(data: "str | Path | TableFile | Sequence[str | Path | TableFile]") -> dict[str, str]:
    """Return the columns of the first of several files; for those that can't be used as numbers, why."""
    first = files_of(data)[0]
    return format_of(first).columns_of(first)


def open_files(
    data: "str | Path | TableFile | Sequence[str | Path | TableFile]", columns: Sequence[str] | None = None
) -> FileSource:
    """Open files as a source, after a check that all of them have the columns.

    Raises
    ------
    DataError
        If there are none, one can't be read, or one lacks a column that the first has.
    """
    files = files_of(data)
    stamps = tuple(map(_stamp, files))
    known = [format_of(file).columns_of(file) for file in files]
    chosen = _chosen(known[0], columns, files[0])
    for file, own in zip(files[1:], known[1:], strict=True):
        _require_columns(file, own, files[0], chosen)
        if columns is None and (more := [name for name in own if name not in known[0]]):
            raise DataError(
                f"{file.path} has other columns than {files[0].path}: {listing(more)} besides\n"
                f"  Choose the columns, for example columns={[*chosen]}."
            )
    given = data if not isinstance(data, list | tuple) else f"{plural(len(files), 'file')} from {files[0].path}"
    return FileSource(str(given.path if isinstance(given, TableFile) else given), files, stamps, chosen)


def _chosen(known: Mapping[str, str], columns: Sequence[str] | None, file: TableFile) -> tuple[str, ...]:
    """Return the columns to use, all by default, after a check that they hold numbers."""
    require_distinct([*known])
    names = [*known] if columns is None else column_names(columns)
    for name in names:
        if name not in known:
            there = f"{allowed(known)}{did_you_mean(name, known)}"
            raise DataError(f"there is no column {name!r} in {file.path}; the columns are {there}")
    _require_numbers(file, known, names)
    return tuple(names)


def _require_columns(file: TableFile, known: Mapping[str, str], first: TableFile, chosen: Sequence[str]) -> None:
    if missing := [name for name in chosen if name not in known]:
        shared = [name for name in chosen if name in known]
        choose = f"Choose columns that all files have, for example columns={shared}, or leave" if shared else "Leave"
        raise DataError(
            f"{file.path} has other columns than {first.path}: "
            f"it lacks {listing(missing)}; it has {listing([*known])}\n  {choose} this file out."
        )
    _require_numbers(file, known, chosen)


def _require_numbers(file: TableFile, known: Mapping[str, str], chosen: Sequence[str]) -> None:
    if wrong := [f"column {name!r} of {file.path} is {known[name]}" for name in chosen if known[name]]:
        numeric = [name for name, why in known.items() if not why]
        choose = f"Choose the columns to use, for example columns={numeric}." if numeric else "None of its columns is."
        raise DataError(f"{'; '.join(wrong[:3])}\n  {choose}")
