"""Memory: a request that can't be met is refused before it is made."""

import os

from bayesgmm.errors import BayesGMMError, DeclarationError

GIB = 2**30


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
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**40
