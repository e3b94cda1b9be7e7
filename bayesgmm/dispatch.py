"""Functions with one implementation for each class, for example of a prior."""

from collections.abc import Callable
from functools import singledispatch, wraps
from typing import TYPE_CHECKING, Any

from bayesgmm.errors import MissingImplementation

if TYPE_CHECKING:
    from functools import _SingleDispatchCallable

FUNCTIONS: "list[_SingleDispatchCallable[Any]]" = []
"""Every function that ``by_class`` has made in a module that is imported."""


def by_class[R](function: Callable[..., R]) -> "_SingleDispatchCallable[R]":
    """Make a function that has one implementation for each class of its first argument.

    This is ``functools.singledispatch`` with a named error where an implementation is missing. The decorated function
    gives the name, the signature and the docstring; its body is not run. ``register`` adds an implementation. A class
    without an implementation of its own takes that of its nearest parent class.

    Parameters
    ----------
    function : function

    Returns
    -------
    function
        It raises MissingImplementation for a class that has no implementation.

    Examples
    --------
    >>> @by_class
    ... def size(value: object) -> int:
    ...     raise NotImplementedError
    >>> @size.register
    ... def _(value: str) -> int:
    ...     return len(value)
    >>> size("abc")
    3
    >>> size(3.0)
    Traceback (most recent call last):
        ...
    bayesgmm.errors.MissingImplementation: float has no implementation of 'size' (in bayesgmm.dispatch).
      Add one there, decorated with @size.register.
    """

    @wraps(function)
    def missing(value: object, *args: object, **kwargs: object) -> R:
        name = function.__name__
        raise MissingImplementation(
            f"{type(value).__name__} has no implementation of {name!r} (in {function.__module__}).\n"
            f"  Add one there, decorated with @{name}.register."
        )

    dispatched = singledispatch(missing)
    FUNCTIONS.append(dispatched)
    return dispatched
