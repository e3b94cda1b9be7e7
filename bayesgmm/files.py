"""Output files: checked before the computation starts, and written completely or not at all."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bayesgmm.errors import FitFileError


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
        When the extension is not allowed, the path is a folder, or its folder does not exist or is read-only.
    """
    path = Path(path)
    if endings and path.suffix.lower() not in endings:
        *most, last = endings
        raise FitFileError(f"{path} must end in {', '.join(most)}{' or ' if most else ''}{last}")
    if not path.parent.is_dir():
        raise FitFileError(f"{path} can't be written: there is no folder {path.parent}")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise FitFileError(f"{path} can't be written: it is a folder")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise FitFileError(f"{path} can't be written: permission denied")
    return path


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
    """Write a file completely or not at all: yield a temporary path, and rename it to ``path`` at the end.

    After an error the temporary file is removed, and an earlier file at ``path`` is unchanged.

    Raises
    ------
    FitFileError
        When the operating system reports an error, for example a full disk.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        if partial.is_dir() and path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    except OSError as error:
        raise FitFileError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)
