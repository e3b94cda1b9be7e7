"""Arguments that a function does not have: the error says what to write instead."""

from collections.abc import Callable, Mapping
from functools import cache, wraps
from inspect import Parameter, isfunction, signature
from typing import Any

from bayesgmm.errors import UnknownArgument, allowed, instead_of
from bayesgmm.synonyms import written_here

CHECKED = "checks_keywords"  # attribute of a decorated function
OWNERS = ("self", "cls")  # first parameters of methods


def refuse_unknown(function: Callable[..., Any], given: Mapping[str, object], owner: type | None = None) -> None:
    """Refuse arguments that a function does not have.

    Parameters
    ----------
    function : function
    given : mapping
        Arguments by their names.
    owner : class, optional
        Class of the object whose method the function is: it may have the argument instead.

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
    for name, value in given.items():
        if name not in known:
            instead = _of_owner(name, known, owner) or instead_of(name, known, value)
            has = f"has {allowed(known)}" if known else "takes no arguments"
            raise UnknownArgument(f"{_title(function)}() has no argument {name!r}{instead}\n  It {has}.")


def _of_owner(name: str, known: Mapping[str, object], owner: type | None) -> str:
    """Return where an argument belongs that the class of an object has, and its method has not; or ``""``."""
    theirs = (_names(owner.__init__) if owner else None) or {}  # type: ignore[misc]
    here = name if name in theirs else written_here(name, theirs)
    if owner is None or not here or written_here(name, known):
        return ""
    return f"; give it to {owner.__name__}({here if '=' in here else f'{here}=...'})"


def _title(function: Callable[..., Any]) -> str:
    """Return the name by which a function is called: of a class, if it makes its objects."""
    return function.__qualname__.removesuffix(".__init__").rpartition(".")[2]


@cache
def _names(function: Callable[..., Any]) -> dict[str, None] | None:
    """Return the names of the arguments of a function, without the object that it belongs to; None if it takes any."""
    parameters = signature(function).parameters.values()
    if any(parameter.kind == Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return dict.fromkeys(parameter.name for parameter in parameters if parameter.name not in OWNERS)


def checks_keywords[F: Callable[..., Any]](function: F) -> F:
    """Let a public function, or each method of a class, answer an argument that it lacks with what to write instead.

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
    if isinstance(function, type):
        for name, method in [*vars(function).items()]:
            if isfunction(method) and (name == "__init__" or name[0] != "_"):
                setattr(function, name, checks_keywords(method))
        return function
    is_method = next(iter(signature(function).parameters), None) in OWNERS and function.__name__ != "__init__"

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            refuse_unknown(function, kwargs, type(args[0]) if is_method and args else None)
        return function(*args, **kwargs)

    setattr(checked, CHECKED, True)
    return checked  # type: ignore[return-value]
