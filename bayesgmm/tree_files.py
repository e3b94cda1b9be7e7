"""Files of xarray trees: NetCDF and zarr, with a digest of their contents, and nothing in them that can do harm."""

import json
from collections.abc import Hashable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import FitFileError
from bayesgmm.files import in_place_of
from bayesgmm.memory import require_memory

if TYPE_CHECKING:
    import h5py
    import xarray as xr

DIGEST = "digest"  # attribute of the root
ZARR = ".zarr"
MAX_GROUPS = 100
MAX_READS = 20  # of a zarr store that others replace while it is read
MAX_METADATA = 2**24  # bytes of one file of metadata in a zarr store
# What zarr may call to read an array: codecs of bytes and text, none that makes Python objects
CODECS = {"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "vlen-bytes", "vlen-utf8", "zstd"}
CODECS_V2 = {"blosc", "gzip", "lz4", "vlen-bytes", "vlen-utf8", "zlib", "zstd", "shuffle", "fletcher32", "crc32"}


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
            partial.write_bytes(tree.to_netcdf(None, engine="h5netcdf"))
            return
        try:
            tree.to_zarr(partial, mode="w", consolidated=False)
        except ImportError as error:
            raise FitFileError(f"{path} can't be written: {error}\n  Try pip install 'bayesgmm[zarr]'.") from error


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
        tree = xr.DataTree.from_dict(_zarr_parts(path) if path.is_dir() else _hdf5_parts(path))
    except FitFileError:
        raise
    except Exception as error:  # each layer of the formats raises errors of its own
        raise FitFileError(f"{path} can't be read as {what}: it is damaged, or something else ({error})") from error
    stored = tree.attrs.pop(DIGEST, None)
    if stored is not None and stored != digest(tree):
        raise FitFileError(f"{path} is damaged: its contents are not those that were saved (their digest differs)")
    return tree


def _zarr_parts(path: Path) -> "dict[str, xr.Dataset]":
    """Read the root and the groups of a zarr store."""
    import xarray as xr

    parts = {}
    for group in ["/", *_zarr_groups(path)]:
        with xr.open_dataset(path, group=group, engine="zarr", consolidated=False) as opened:
            parts[group] = opened.load()
    return parts


def _hdf5_parts(path: Path) -> "dict[str, xr.Dataset]":
    """Read the root and the groups of a NetCDF file, which is opened once: another may take its place meanwhile."""
    import xarray as xr

    parts = {}
    with path.open("rb") as file:
        for group in ["/", *_hdf5_groups(file, path)]:
            file.seek(0)
            with xr.open_dataset(file, group=group, engine="h5netcdf") as opened:
                parts[group] = opened.load()
    return parts


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


def _hdf5_groups(opened: BinaryIO, path: Path) -> list[str]:
    """Names of the groups below the root, after a check that all in them is in this file, and fits into memory."""
    import h5py

    with h5py.File(opened) as file:
        _require_few(list(file), path)
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


def _require_few(names: list[str], path: Path) -> None:
    if len(names) > MAX_GROUPS:
        raise FitFileError(f"{path} is refused: it has {len(names):,} groups; at most {MAX_GROUPS} are read")


def _zarr_groups(path: Path) -> list[str]:
    """Names of the groups below the root, after a check of all metadata: no links, no codecs that make objects."""
    size = 0
    for place in path.rglob("*"):
        if place.is_symlink() or not (place.is_dir() or place.is_file()):
            raise FitFileError(f"{path} is refused: {place.name!r} in it is a link to another place")
        if place.name in ("zarr.json", ".zarray"):
            size += _array_size(_metadata(place, path), place, path)
    require_memory(size, f"{path}", FitFileError)
    groups = [place.name for place in path.iterdir() if _is_group(place, path)]
    _require_few(groups, path)
    return sorted(groups)


def _is_group(place: Path, path: Path) -> bool:
    if (place / "zarr.json").is_file():
        return _metadata(place / "zarr.json", path).get("node_type") == "group"
    return (place / ".zgroup").is_file()


def _metadata(file: Path, path: Path) -> dict[str, Any]:
    if file.stat().st_size > MAX_METADATA:
        raise FitFileError(f"{path} is refused: the metadata in {file.name} are larger than {MAX_METADATA:,} bytes")
    try:
        stored = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FitFileError(f"{path} is damaged: {file.relative_to(path)} is not JSON") from error
    return stored if isinstance(stored, dict) else {}


def _array_size(metadata: dict[str, Any], file: Path, path: Path) -> int:
    """Return the bytes of an array, at 8 for each value, after a check of the codecs that it needs; 0 for a group."""
    shape = metadata.get("shape")
    if not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
        return 0
    if "compressor" in metadata or "filters" in metadata:
        used = [metadata.get("compressor"), *(metadata.get("filters") or [])]
        wrong = [codec for codec in used if codec is not None and _codec(codec, "id") not in CODECS_V2]
    else:
        wrong = [codec for codec in _nested(metadata.get("codecs") or []) if _codec(codec, "name") not in CODECS]
    if wrong:
        raise FitFileError(f"{path} is refused: {file.parent.name!r} in it needs the codec {wrong[0]!r}")
    return 8 * int(np.prod(shape, dtype=object))


def _codec(codec: object, key: str) -> object:
    return codec.get(key) if isinstance(codec, dict) else codec


def _nested(codecs: object) -> Iterator[object]:
    """Codecs of an array, and those within them."""
    for codec in codecs if isinstance(codecs, list) else [codecs]:
        yield codec
        inner = codec.get("configuration") if isinstance(codec, dict) else None
        for key in ("codecs", "index_codecs"):
            yield from _nested((inner or {}).get(key) or []) if isinstance(inner, dict | None) else ()
