"""Arguments that a function does not have: the error says what to write instead."""

from collections.abc import Callable, Mapping
from functools import cache, wraps
from inspect import Parameter, signature
from typing import Any

from bayesgmm.errors import UnknownArgument, allowed, instead_of

CHECKED = "checks_keywords"  # attribute of a decorated function


def refuse_unknown(function: Callable[..., Any], given: Mapping[str, object]) -> None:
    """Refuse arguments that a function does not have.

    Parameters
    ----------
    function : function
    given : mapping
        Arguments by their names.

    Raises
    ------
    UnknownArgument
        With the arguments that there are, and what to write instead: an argument of a similar spelling, or the one that
        scikit-learn, PyMC and mclust call so.

    Examples
    --------
    >>> def split(data: list[float], seed: int = 0) -> None: ...
    >>> refuse_unknown(split, {"seed": 1})
    >>> refuse_unknown(split, {"random_state": 1})
    Traceback (most recent call last):
        ...
    bayesgmm.errors.UnknownArgument: split() has no argument 'random_state'; write seed=1
      It has 'data', 'seed'.
    """
    known = _names(function)
    if known is None:
        return
    for name in given:
        if name not in known:
            instead = instead_of(name, known)
            has = f"has {allowed(known)}" if known else "takes no arguments"
            raise UnknownArgument(f"{_title(function)}() has no argument {name!r}{instead}\n  It {has}.")


def _title(function: Callable[..., Any]) -> str:
    """Return the name by which a function is called: of a class, if it makes its objects."""
    return function.__qualname__.removesuffix(".__init__").rpartition(".")[2]


@cache
def _names(function: Callable[..., Any]) -> dict[str, None] | None:
    """Return the names of the arguments of a function, without the object that it makes; None if it takes any."""
    parameters = list(signature(function).parameters.values())
    if any(parameter.kind == Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    makes_objects = function.__qualname__.endswith(".__init__")
    return dict.fromkeys(parameter.name for parameter in parameters[makes_objects:])


def checks_keywords[F: Callable[..., Any]](function: F) -> F:
    """Let a public function or class answer an argument that it does not have with what to write instead.

    Examples
    --------
    >>> @checks_keywords
    ... def split(data: list[float], seed: int = 0) -> int:
    ...     return seed
    >>> split([], seed=1)
    1
    >>> split([], seeds=1)
    Traceback (most recent call last):
        ...
    bayesgmm.errors.UnknownArgument: split() has no argument 'seeds'; did you mean 'seed'?
      It has 'data', 'seed'.
    """
    if isinstance(function, type):  # a dataclass, whose __init__ is nowhere to be decorated
        function.__init__ = checks_keywords(function.__init__)  # type: ignore[misc]
        return function

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        refuse_unknown(function, kwargs)
        return function(*args, **kwargs)

    setattr(checked, CHECKED, True)
    return checked  # type: ignore[return-value]
