"""ArviZ, imported for figures without libraries that it only looks for."""

from importlib import import_module
from typing import Any

from bayesgmm.late import postponed


def arviz() -> Any:
    """Return ArviZ.

    It looks for NumPyro, and where that is not installed, it reads the source of all callers for an error message.
    """
    with postponed("jax"), postponed("numpyro"):
        return import_module("arviz")
