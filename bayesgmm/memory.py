"""Memory: a request that can't be met is refused before it is made."""

import ctypes
import os
import re
import sys
from collections.abc import Callable

from bayesgmm.errors import BayesGMMError, DeclarationError

GIB = 2**30
UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
SIZE = re.compile(r"\s*([\d_]*\.?\d+)\s*([a-z]*)\s*", re.IGNORECASE)


def as_bytes(name: str, size: object) -> int:
    """Return an amount of memory in bytes.

    Parameters
    ----------
    name : str
        Name of the argument, for the error message.
    size : int or str
        Number of bytes, or a number with a unit: ``'500 MB'``, ``'1GiB'``.

    Raises
    ------
    DeclarationError
        If it is neither.

    Examples
    --------
    >>> as_bytes("memory", "1.5GiB")
    1610612736
    """
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    found = SIZE.fullmatch(size) if isinstance(size, str) else None
    if not found or (found[2] or "b").lower() not in UNITS or not float(found[1]) > 0:
        raise DeclarationError(f"{name}={size!r}: must be a number of bytes, or a size such as '500MB' or '1GiB'")
    return int(float(found[1]) * UNITS[(found[2] or "b").lower()])


def in_words(n_bytes: int) -> str:
    """Return an amount of memory as ``as_bytes`` reads it, rounded up.

    Examples
    --------
    >>> in_words(2**30), in_words(5_000_000)
    ('1GiB', '5MiB')
    """
    unit, size = next(
        ((name, UNITS[name.lower()]) for name in ("GiB", "MiB", "KiB") if n_bytes >= UNITS[name.lower()]), ("B", 1)
    )
    return f"{-(-n_bytes // size)}{unit}"


def require_memory(n_bytes: int, what: str, error: type[BayesGMMError] = DeclarationError) -> None:
    """Raise an error if something needs more memory than the machine has.

    Parameters
    ----------
    n_bytes : int
    what : str
        What needs the memory, for the error message.
    error : type
        Class of the error.

    Raises
    ------
    BayesGMMError
        Of the given class.

    Examples
    --------
    >>> require_memory(2**60, "draws=10**12")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DeclarationError: draws=10**12 would need 1,073,741,824 GiB of memory; ...
    """
    machine = total_memory()
    if n_bytes > machine:
        raise error(f"{what} would need {n_bytes / GIB:,.0f} GiB of memory; this machine has {machine / GIB:,.0f}")


def total_memory() -> int:
    """Return the memory of the machine in bytes; where the system does not say, 2^40."""
    try:
        if sys.platform == "win32":
            return _memory_of_windows(ctypes.windll.kernel32.GlobalMemoryStatusEx)
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**40


def _memory_of_windows(fill: Callable[[object], int]) -> int:
    """Return what Windows' function tells, which fills in a MEMORYSTATUSEX: two short numbers, then seven long ones."""
    status = (ctypes.c_uint64 * 8)(ctypes.sizeof(ctypes.c_uint64) * 8)  # the first short number is the size of it all
    if not fill(ctypes.byref(status)):
        raise OSError("Windows does not tell its memory")
    return status[1]
