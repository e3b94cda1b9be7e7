"""Values as bytes and back: numbers, texts, arrays, and the package's own dataclasses of them. Nothing is run."""

import json
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import CheckpointError

PACKAGE = "bayesgmm."
HEADER = 8  # bytes of the length of the header


def encoded(value: object) -> bytes:
    """Return a value as bytes: a header of JSON, then the numbers of its arrays.

    Raises
    ------
    TypeError
        If a part of it is of a type that can't be stored.
    """
    arrays: list[bytes] = []
    header = json.dumps(_plain(value, arrays)).encode()
    return b"".join([len(header).to_bytes(HEADER, "little"), header, *arrays])


def decoded(stored: bytes) -> Any:
    """Return the value that ``encoded`` returned as bytes, to the last bit.

    Raises
    ------
    CheckpointError
        If the bytes hold something else.

    Examples
    --------
    >>> decoded(encoded((1, [0.5, None], {"x": np.arange(3)})))
    (1, [0.5, None], {'x': array([0, 1, 2])})
    """
    start = HEADER + int.from_bytes(stored[:HEADER], "little")
    try:
        return _value(json.loads(stored[HEADER:start]), memoryview(stored)[start:])
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(f"a stored value can't be read: {error}") from error


def _plain(value: Any, arrays: list[bytes]) -> Any:
    """Return a value in JSON's own types, and append the bytes of its arrays to a list."""
    if isinstance(value, np.generic):  # before floats, which some of them are
        return {"scalar": _plain(np.asarray(value), arrays)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_plain(item, arrays) for item in value]
    if isinstance(value, np.ndarray):
        return _plain_array(value, arrays)
    if isinstance(value, Mapping):
        return {"mapping": [[_plain(key, arrays), _plain(item, arrays)] for key, item in value.items()]}
    if type(value) is tuple:
        return {"tuple": [_plain(item, arrays) for item in value]}
    if names := _names(type(value)):
        return {"class": _address(type(value)), "parts": [_plain(getattr(value, name), arrays) for name in names]}
    raise TypeError(f"a {type(value).__name__} can't be stored in a checkpoint")


def _plain_array(array: NDArray[Any], arrays: list[bytes]) -> dict[str, Any]:
    """Describe an array. Its order in memory is kept, because the rounding of a product may depend on it."""
    if array.dtype.hasobject:
        raise TypeError("an array of objects can't be stored in a checkpoint")
    turned = array.flags.f_contiguous and not array.flags.c_contiguous
    arrays.append((array.T if turned else array).tobytes())
    at = sum(map(len, arrays[:-1]))
    return {"array": array.dtype.str, "shape": array.shape, "at": at, "turned": turned}


def _value(plain: Any, arrays: memoryview) -> Any:
    if isinstance(plain, list):
        return [_value(item, arrays) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if "array" in plain:
        return _array(plain, arrays)
    if "scalar" in plain:
        return _array(plain["scalar"], arrays)[()]
    if "mapping" in plain:
        return {_value(key, arrays): _value(item, arrays) for key, item in plain["mapping"]}
    if "tuple" in plain:
        return tuple(_value(item, arrays) for item in plain["tuple"])
    parts = [_value(item, arrays) for item in plain["parts"]]
    kind = _class(plain["class"])
    return kind(**dict(zip(_names(kind), parts, strict=True)))


def _array(plain: dict[str, Any], arrays: memoryview) -> NDArray[Any]:
    shape, dtype = tuple(plain["shape"]), np.dtype(plain["array"])
    flat = np.frombuffer(arrays, dtype, count=prod(shape), offset=plain["at"]) if prod(shape) else np.empty(0, dtype)
    return (flat.reshape(shape[::-1]).T if plain["turned"] else flat.reshape(shape)).copy(order="K")


def _names(kind: type) -> tuple[str, ...]:
    """Return the fields of a dataclass or a named tuple; nothing for other types."""
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind) if field.init)
    return getattr(kind, "_fields", ())


def _address(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(address: str) -> type:
    """Return a class by its place: one of this package that is in use, made of fields. Nothing is imported for it."""
    module, _, name = address.partition(":")
    kind = getattr(sys.modules[module], name) if module.startswith(PACKAGE) else None
    if not isinstance(kind, type) or not _names(kind):
        raise TypeError(f"{address} is not a class of stored values")
    return kind
