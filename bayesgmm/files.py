"""Output files: checked before the computation starts, and written completely or not at all."""

import csv
import ctypes
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TextIO

from bayesgmm.errors import FitFileError
from bayesgmm.keywords import checks_keywords

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

HERE, RENAME_EXCHANGE = -100, 2  # of Linux: paths are relative to the current folder; exchange them
RUN = tuple("=+-@\t\r＝＋－＠")  # a spreadsheet runs what starts so; full-width forms too
NO_TEXT = ["number", "bool", "datetime", "timedelta"]  # kinds of columns that a spreadsheet can't run
_guards: ContextVar[bool] = ContextVar("guards", default=False)


def writable(path: str | Path, *endings: str) -> Path:
    """Check that a file can be written to a path; return the path.

    Parameters
    ----------
    path : str or Path
    endings : str
        Allowed file name extensions; default all.

    Raises
    ------
    FitFileError
        When the extension is not allowed, the path is a folder other than a zarr store, or a device or pipe, or its
        folder does not exist or is read-only.
    """
    path = Path(path)
    if endings and path.suffix.lower() not in endings:
        *most, last = endings
        raise FitFileError(f"{path} must end in {', '.join(most)}{' or ' if most else ''}{last}")
    if not path.parent.is_dir():
        raise FitFileError(f"{path} can't be written: there is no folder {path.parent}")
    if path.is_dir() and not (path.suffix.lower() == ".zarr" and _is_store(path)):
        what = "a folder" if path.suffix.lower() != ".zarr" else "a folder with other files, not a zarr store"
        raise FitFileError(f"{path} can't be written: it is {what}")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FitFileError(f"{path} can't be written: it is a device or a pipe, not a file")
    folder = Path(os.path.realpath(path)).parent  # a new file is made there, and then renamed
    if not folder.is_dir():
        raise FitFileError(f"{path} can't be written: it is a link into {folder}, which does not exist")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise FitFileError(f"{path} can't be written: permission denied")
    return path


def _is_store(folder: Path) -> bool:
    """Return True for a zarr store of any version, or an empty folder."""
    return not any(folder.iterdir()) or any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def writable_folder(folder: str | Path, names: Iterable[str] = ()) -> Path:
    """Check that files with these names can be written into a folder, which may not exist yet; return the folder.

    Raises
    ------
    FitFileError
        When it is a file, one of its parents is a file, or it is read-only.
    """
    folder = Path(folder)
    above = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if above == folder and not folder.is_dir():
        raise FitFileError(f"{folder} is a file; give the name of a folder")
    if not above.is_dir():
        raise FitFileError(f"{folder} can't be created: {above} is a file")
    if not os.access(above, os.W_OK):
        raise FitFileError(f"{folder} can't be written: permission denied")
    for name in names if above == folder else ():
        writable(folder / name)
    return folder


def made_folder(folder: str | Path, names: Iterable[str] = ()) -> Path:
    """Check a folder as ``writable_folder`` does, and create it if it does not exist; return the folder.

    Raises
    ------
    FitFileError
        When files can't be written into it, or it can't be created.
    """
    folder = writable_folder(folder, names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FitFileError(f"{folder} can't be created: {error.strerror or error}") from error
    return folder


@contextmanager
def in_place_of(path: Path) -> Iterator[Path]:
    """Write a file or a zarr folder completely or not at all: yield a temporary path, renamed to ``path`` at the end.

    The temporary path is new and in the same folder, so that no other process writes there. It is on disk before it is
    renamed, and a folder that it replaces is moved aside first. After an error it is removed, and what was at ``path``
    is unchanged. A link stays a link, and the permissions of a file stay as they were.

    Raises
    ------
    FitFileError
        When the operating system reports an error, for example a full disk.
    """
    target = Path(os.path.realpath(path))
    try:
        with TemporaryDirectory(prefix=f".{target.stem}.", dir=target.parent) as folder:
            partial = Path(folder, target.name)
            yield partial
            _to_disk(partial)
            if target.is_dir():
                _exchange(partial, target, Path(folder, "replaced"))
            else:
                partial.chmod(_mode(target, partial))
                partial.replace(target)
            _to_disk(target.parent, whole=False)
    except OSError as error:
        raise FitFileError(f"{path} can't be written: {error.strerror or error}") from error


def _exchange(new: Path, target: Path, aside: Path) -> None:
    """Move one folder to the place of another, which is moved aside; put it back if that fails."""
    if _swapped(new, target):
        return
    target.rename(aside)
    try:
        new.rename(target)
    except BaseException:
        aside.rename(target)
        raise


def _swapped(one: Path, other: Path) -> bool:
    """Exchange two folders, so that at no moment one is missing; False where the system can't: only Linux can."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    return exchange is not None and exchange(HERE, os.fsencode(one), HERE, os.fsencode(other), RENAME_EXCHANGE) == 0


def _mode(target: Path, partial: Path) -> int:
    """Return the permissions of the file that is replaced, else those of a new file."""
    return stat.S_IMODE((target if target.exists() else partial).stat().st_mode)


def _to_disk(path: Path, whole: bool = True) -> None:
    """Wait until a file, or a folder with or without all that is in it, is on disk."""
    for inner in sorted(path.rglob("*")) if whole and path.is_dir() else ():
        _to_disk(inner, whole=False)
    if os.name == "nt" and path.is_dir():
        return  # Windows can't open folders
    opened = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes only what can be written
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_csv(frame: "pd.DataFrame", path: Path, *, index: bool = True) -> None:
    """Write a table completely or not at all, as ``in_place_of`` does; see also ``guarded_csv``."""
    with in_place_of(path) as partial:
        append_csv(frame, partial, index=index)


def write_parquet(frame: "pd.DataFrame", path: Path, *, index: bool = True) -> None:
    """Write a table as Parquet completely or not at all, as ``in_place_of`` does."""
    with in_place_of(path) as partial:
        frame.to_parquet(partial, index=index)


def append_csv(frame: "pd.DataFrame", file: "Path | TextIO", **settings: Any) -> None:
    """Write a table to a path or an open file, with pandas' settings; see also ``guarded_csv``."""
    if _guards.get():
        frame = _guarded(frame)
        if _has_carriage_return(frame):  # Python 3.12 leaves such a text bare: its rest would begin a row
            settings = {"quoting": csv.QUOTE_NONNUMERIC} | settings
    frame.to_csv(file, **settings)


@checks_keywords
@contextmanager
def guarded_csv() -> Iterator[None]:
    r"""Write CSV files in which a spreadsheet runs nothing, while a block runs.

    A spreadsheet runs a cell that starts with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return as a formula, also
    one of a table from elsewhere, of which bayesgmm repeats the texts and the names of the columns. Inside the block,
    such texts are written with an apostrophe in front [1]_. Numbers are unchanged. At the terminal the same is
    ``--guard-csv``.

    Returns
    -------
    context manager

    References
    ----------
    .. [1] OWASP, CSV Injection, https://owasp.org/www-community/attacks/CSV_Injection

    Examples
    --------
    >>> import tempfile, pandas as pd
    >>> with tempfile.TemporaryDirectory() as folder, guarded_csv():
    ...     path = Path(folder, "table.csv")
    ...     write_csv(pd.DataFrame({"=1+1": ["@SUM(A1)", "-2", "plain"]}), path, index=False)
    ...     print(path.read_text().split())
    ["'=1+1", "'@SUM(A1)", '-2', 'plain']
    """
    token = _guards.set(True)
    try:
        yield
    finally:
        _guards.reset(token)


def _guarded(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return a copy whose texts, also those of headers and row labels, run nothing."""
    texts = frame.select_dtypes(exclude=NO_TEXT).columns
    positions = [i for i, name in enumerate(frame.columns) if name in texts]
    copy = frame.copy()
    for i in positions:
        copy.isetitem(i, frame.iloc[:, i].astype(object).map(_harmless))
    copy.columns = frame.columns.map(_harmless)
    copy.index = frame.index.map(_harmless)
    copy.index.names = [_harmless(name) for name in frame.index.names]
    return copy


def _has_carriage_return(frame: "pd.DataFrame") -> bool:
    texts = (frame.columns, frame.index, *(column for _, column in frame.select_dtypes(exclude=NO_TEXT).items()))
    return any("\r" in value for values in texts for value in values if isinstance(value, str))


def _harmless(value: object) -> object:
    """Put an apostrophe before a text that a spreadsheet would run; texts that are numbers stay."""
    if not isinstance(value, str) or not value.startswith(RUN) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_picture(picture: "Figure", path: Path, dpi: int = 150) -> None:
    """Write a figure completely or not at all, as ``in_place_of`` does."""
    with in_place_of(path) as partial:
        picture.savefig(partial, dpi=dpi)
