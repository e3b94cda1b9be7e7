"""Folder for files that only this user may change, where the user's own folders can't be written."""

import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from getpass import getuser
from pathlib import Path


@cache
def temporary_folder() -> Path:
    """Return a folder that no other user can write to, because the code in it will be executed.

    If possible it is the same for all processes of a user, so that each function is compiled only once.

    Raises
    ------
    OSError
        If no temporary folder can be written.
    """
    folder = Path(tempfile.gettempdir()) / f"bayesgmm-{_user()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        ours = not hasattr(os, "getuid") or status.st_uid == os.getuid()
        others = status.st_mode & 0o022 and os.name != "nt"  # Windows has no such bits, and a folder for each user
        if ours and not folder.is_symlink() and not others and os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="bayesgmm-"))


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError, ImportError):  # a user id without a name, as in a container
        return str(os.getuid()) if hasattr(os, "getuid") else "user"


def provide_matplotlib_folder() -> None:
    """Name a temporary folder for matplotlib's settings and list of fonts, if its own can't be written.

    Otherwise every process prints two warnings, and searches for fonts for seconds. Nothing happens if the variable
    MPLCONFIGDIR is set, or no folder can be written.
    """
    if "MPLCONFIGDIR" in os.environ:
        return
    with suppress(OSError):
        if not _own_folders_can_be_written():
            os.environ["MPLCONFIGDIR"] = str(temporary_folder() / "matplotlib")


def _own_folders_can_be_written() -> bool:
    try:
        return all(map(_writable, _matplotlib_folders()))
    except (OSError, RuntimeError):  # there is no home
        return False


def _matplotlib_folders() -> list[Path]:
    """Return the folders that matplotlib writes to: of its settings and of its list of fonts."""
    if not sys.platform.startswith(("linux", "freebsd")):
        return [Path.home() / ".matplotlib"]
    kinds = {"XDG_CONFIG_HOME": ".config", "XDG_CACHE_HOME": ".cache"}
    return [Path(os.environ.get(name) or Path.home() / folder) / "matplotlib" for name, folder in kinds.items()]


def _writable(folder: Path) -> bool:
    """Return True if a folder can be written, or made."""
    above = next(place for place in (folder, *folder.parents) if place.exists())
    return above.is_dir() and os.access(above, os.W_OK)
