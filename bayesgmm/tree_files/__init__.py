"""Files of xarray trees: NetCDF and zarr, with a digest of their contents, and nothing in them that can do harm."""

import json
import sys
from collections.abc import Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import FitFileError
from bayesgmm.files import in_place_of
from bayesgmm.tree_files import netcdf_files, zarr_stores
from bayesgmm.wording import alternatives

if TYPE_CHECKING:
    import xarray as xr

DIGEST = "digest"  # attribute of the root
ZARR = ".zarr"
ENDINGS = (".nc", ZARR)  # NetCDF and zarr
MAX_READS = 20  # of a zarr store that others replace while it is read


def write_tree(tree: "xr.DataTree", path: Path) -> None:
    """Write a tree with a digest of its contents: as zarr if the path ends so, else as NetCDF.

    NetCDF is made in memory first: a full disk must not meet an open HDF5 file, which ends the process later.

    Raises
    ------
    FitFileError
        If the file can't be written.
    """
    tree = tree.copy()
    tree.attrs = {**tree.attrs, DIGEST: digest(tree)}
    with in_place_of(path) as partial:
        if path.suffix.lower() != ZARR:
            with _without_cluster():
                content = tree.to_netcdf(None, engine="h5netcdf")
            netcdf_files.write_sealed(content, partial)
            return
        try:
            tree.to_zarr(partial, mode="w", consolidated=False)
        except ImportError as error:
            raise FitFileError(f"{path} can't be written: {error}\n  Try pip install 'bayesgmm[zarr]'.") from error


def _without_cluster() -> AbstractContextManager[object]:
    """Return a context in which xarray does not use a Dask client: it would ask its scheduler for a lock, and fail."""
    if sys.modules.get("dask") is None:
        return nullcontext()
    import dask

    return dask.config.set(scheduler="synchronous")


def read_tree(path: str | Path, what: str) -> "xr.DataTree":
    """Read a tree: its root and the groups below it, not the groups in those.

    Parameters
    ----------
    path : str or Path
    what : str
        What the file should be, for error messages.

    Raises
    ------
    FitFileError
        If the file does not exist, can't be read, is damaged, is too large for the memory, or refers to other files.
    """
    path = Path(path)
    if not path.exists():
        raise FitFileError(f"there is no file {path}")
    if not path.is_file() and not path.is_dir():
        raise FitFileError(f"{path} can't be read as {what}: it is a device or a pipe")
    for _ in range(MAX_READS - 1):
        before = _identity(path)
        try:
            return _read(path, what)
        except FitFileError:
            if _identity(path) == before:
                raise
    return _read(path, what)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file or folder from one that replaces it: its number and the time of its last change."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_ctime_ns


def _read(path: Path, what: str) -> "xr.DataTree":
    """Read a tree once; see ``read_tree``."""
    import xarray as xr

    try:
        tree = xr.DataTree.from_dict((zarr_stores if path.is_dir() else netcdf_files).read_parts(path))
        stored = tree.attrs.pop(DIGEST, None)
        is_whole = stored is None or stored == digest(tree)
    except FitFileError:
        raise
    except Exception as error:  # each layer of the formats raises errors of its own
        if path.suffix and path.suffix.lower() not in ENDINGS:
            raise FitFileError(
                f"{path} is not {what}: its name ends in {path.suffix}\n"
                f"  Give {what} first, a file that ends in {alternatives(ENDINGS)}, and then the table."
            ) from None
        raise FitFileError(f"{path} can't be read as {what}: it is damaged, or something else ({error})") from error
    if not is_whole:
        raise FitFileError(f"{path} is damaged: its contents are not those that were saved (their digest differs)")
    return tree


def digest(tree: "xr.DataTree") -> str:
    """Hash of the contents of the root and its groups: names, dimensions, numbers, texts and attributes."""
    of = blake2b(digest_size=16)
    for part in _contents(tree):
        of.update(part)
    return of.hexdigest()


def _contents(tree: "xr.DataTree") -> Iterator[bytes]:
    for node in [tree, *(tree.children[name] for name in sorted(tree.children))]:
        data = node.to_dataset(inherit=False)
        yield _text(node.name, _plain({**data.attrs, DIGEST: ""}))
        for name in sorted(data.variables, key=str):
            variable = data.variables[name]
            yield _text(name, variable.dims, variable.shape, _plain(variable.attrs))
            yield _bytes(variable.values)


def _text(*parts: object) -> bytes:
    return json.dumps(parts, default=str).encode(errors="surrogatepass")


def _plain(attributes: Mapping[Hashable, object]) -> list[tuple[str, bytes]]:
    """Attributes in a form that does not depend on the types in which a format stores them."""
    return sorted((str(name), _bytes(np.asarray(value)).hex()) for name, value in attributes.items())  # type: ignore[misc]


def _bytes(values: NDArray[np.generic]) -> bytes:
    """Bytes of numbers as doubles, of dates as nanoseconds, of everything else as text."""
    if values.dtype.kind in "biuf":
        numbers = np.ascontiguousarray(values, dtype="<f8")
        return np.where(np.isnan(numbers), np.nan, numbers).tobytes()
    if values.dtype.kind in "mM":
        return np.ascontiguousarray(values.astype(f"{values.dtype.kind}8[ns]"), dtype="<i8").tobytes()
    return "\0".join(map(str, values.ravel())).encode(errors="surrogatepass")
