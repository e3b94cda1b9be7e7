"""ArviZ, imported for figures without what only takes time: half of its import is about documentation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from bayesgmm.late import postponed

DECORATORS = "scipy._lib._array_api"  # where SciPy parses the documentation of a function to add a note to it


def arviz() -> Any:
    """Return ArviZ.

    It looks for NumPyro, and where that is not installed, it reads the source of all callers for an error message.
    SciPy's distributions, which it imports, parse their documentation.
    """
    with postponed("jax"), postponed("numpyro"), suppress(Exception), _unparsed():
        return import_module("arviz")
    return import_module("arviz")  # another SciPy


@contextmanager
def _unparsed() -> Iterator[None]:
    """Let SciPy import functions in a block with their documentation as it is, without its note on other arrays."""
    try:
        decorators: Any = import_module(DECORATORS)
        parsed = decorators.FunctionDoc
    except (ImportError, AttributeError):  # another version of SciPy
        yield
        return
    decorators.FunctionDoc = Documentation
    try:
        yield
    finally:
        decorators.FunctionDoc = parsed


class Documentation(dict[str, list[str]]):
    """The documentation of a function, which takes notes and shows none; it begins with a line for the signature."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(Notes=[])
        self._text = function.__doc__ or ""

    def __str__(self) -> str:
        return f"\n{self._text}"
