"""Zarr stores: their metadata are checked before an array is read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.errors import FitFileError
from bayesgmm.memory import require_memory
from bayesgmm.tree_files.limits import require_few

if TYPE_CHECKING:
    import xarray as xr

MAX_METADATA = 2**24  # bytes of one file of metadata
# What zarr may call to read an array: codecs of bytes and text, none that makes Python objects
CODECS = {"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "vlen-bytes", "vlen-utf8", "zstd"}
CODECS_V2 = {"blosc", "gzip", "lz4", "vlen-bytes", "vlen-utf8", "zlib", "zstd", "shuffle", "fletcher32", "crc32"}


def read_parts(path: Path) -> "dict[str, xr.Dataset]":
    """Read the root and the groups of a zarr store."""
    import xarray as xr

    parts = {}
    for group in ["/", *_groups(path)]:
        with xr.open_dataset(path, group=group, engine="zarr", consolidated=False) as opened:
            parts[group] = opened.load()
    return parts


def _groups(path: Path) -> list[str]:
    """Names of the groups below the root, after a check of all metadata: no links, no codecs that make objects."""
    size = 0
    for place in path.rglob("*"):
        if place.is_symlink() or not (place.is_dir() or place.is_file()):
            raise FitFileError(f"{path} is refused: {place.name!r} in it is a link to another place")
        if place.name in ("zarr.json", ".zarray"):
            size += _array_size(_metadata(place, path), place, path)
    require_memory(size, f"{path}", FitFileError)
    groups = [place.name for place in path.iterdir() if _is_group(place, path)]
    require_few(groups, path)
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
