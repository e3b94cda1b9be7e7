"""NetCDF files: sealed with a digest of their bytes, so that a damaged file is refused before it is opened.

HDF5 may not return from a damaged file, or may end the process: a digest of the contents would come too late. A seal
follows the last byte of the HDF5 file, where no reader of NetCDF looks.
"""

import os
import subprocess
import sys
from collections.abc import Buffer, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bayesgmm.errors import FitFileError
from bayesgmm.memory import require_memory
from bayesgmm.tree_files.limits import require_few

if TYPE_CHECKING:
    import h5py
    import xarray as xr

MARK = b"\nbayesgmm blake2b "  # a seal is this and a digest in hexadecimal digits
DIGEST_SIZE = 16
SEAL_SIZE = len(MARK) + 2 * DIGEST_SIZE
SIGNATURE = b"\x89HDF\r\n\x1a\n"  # at the start, or after a block of the user
PIECE = 2**20  # bytes that are read at once
PATIENCE, RATE = 20.0, 10e6  # a file without a seal is opened in this many seconds, and a second for so many bytes
TRIAL = "import sys; from bayesgmm.tree_files.netcdf_files import parts; parts(sys.stdin.buffer, sys.argv[1])"


def write_sealed(content: Buffer, path: Path) -> None:
    """Write the bytes of a NetCDF file, and a seal after them."""
    with path.open("wb") as file:
        file.write(content)
        file.write(MARK + blake2b(content, digest_size=DIGEST_SIZE).hexdigest().encode())


def read_parts(path: Path) -> "dict[str, xr.Dataset]":
    """Read the root and the groups of a NetCDF file, which is opened once: another may take its place meanwhile.

    A file without a seal is one of another program, or of an earlier version of this one: it is read in another process
    first.

    Raises
    ------
    FitFileError
        If the seal does not fit the bytes before it, or a file without a seal can't be read in reasonable time.
    """
    with path.open("rb") as file:
        if not _is_sealed(file, path) and _is_hdf5(file):
            _try_elsewhere(file, path)
        return parts(file, str(path))


def parts(file: BinaryIO, name: str) -> "dict[str, xr.Dataset]":
    """Read the root and the groups of an opened file; its name is for error messages."""
    import xarray as xr

    found = {}
    for group in ["/", *_groups(file, Path(name))]:
        file.seek(0)
        with xr.open_dataset(file, group=group, engine="h5netcdf") as opened:
            found[group] = opened.load()
    return found


def _is_sealed(file: BinaryIO, path: Path) -> bool:
    """Return True if a file ends with its seal, False if it has none; raise FitFileError for a wrong one."""
    start = max(file.seek(0, os.SEEK_END) - 2 * SEAL_SIZE, 0)
    file.seek(start)
    end = file.read()
    at = end.rfind(MARK)
    if at < 0:
        return False
    remaining = start + at
    file.seek(0)
    digest = blake2b(digest_size=DIGEST_SIZE)
    while piece := file.read(min(PIECE, remaining)):
        digest.update(piece)
        remaining -= len(piece)
    if end[at:] != MARK + digest.hexdigest().encode():
        raise FitFileError(f"{path} is damaged: its contents are not those that were saved (their digest differs)")
    return True


def _is_hdf5(file: BinaryIO) -> bool:
    """Return True if HDF5 would go on to read a file."""
    file.seek(0)
    return SIGNATURE in file.read(PIECE)


def _try_elsewhere(file: BinaryIO, path: Path) -> None:
    """Read a file in another process; raise FitFileError if that does not end in time, or if the process crashes.

    Any other error is left to the reader in this process, who says more.
    """
    limit = PATIENCE + file.seek(0, os.SEEK_END) / RATE
    file.seek(0)
    places = os.pathsep.join(place or os.curdir for place in sys.path)
    try:
        tried = subprocess.run(
            [sys.executable, "-c", TRIAL, str(path)],
            stdin=file,
            capture_output=True,
            timeout=limit,
            env={**os.environ, "PYTHONPATH": places},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FitFileError(f"{path} is damaged: HDF5 has not read it in {limit:.0f} seconds") from error
    if not 0 <= tried.returncode <= 255:  # a signal, or an exception code of Windows
        raise FitFileError(f"{path} is damaged: a process that reads it crashes")


def _groups(opened: BinaryIO, path: Path) -> list[str]:
    """Names of the groups below the root, after a check that all in them is in this file, and fits into memory."""
    import h5py

    with h5py.File(opened) as file:
        require_few(list(file), path)
        groups = [name for name in file if isinstance(_own(file, name, path), h5py.Group)]
        datasets = [item for place in [file, *(file[name] for name in groups)] for item in _datasets(place, path)]
        require_memory(sum(item.size * item.dtype.itemsize for item in datasets), f"{path}", FitFileError)
    return groups


def _datasets(group: "h5py.Group", path: Path) -> "Iterator[h5py.Dataset]":
    import h5py

    for name in group:
        item = _own(group, name, path)
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise FitFileError(f"{path} is refused: its variable {name!r} refers to another file")
            yield item


def _own(group: "h5py.Group", name: str, path: Path) -> object:
    """Return what a name of a group stands for; links to other places are refused."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise FitFileError(f"{path} is refused: {name!r} in it is a link to another place")
    return group[name]
