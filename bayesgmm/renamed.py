"""Public names that were changed: the old ones work for two minor versions, with a warning."""

import warnings
from collections.abc import Callable
from typing import NamedTuple


class Renamed(NamedTuple):
    """What an old public name is called now.

    Parameters
    ----------
    now : str
        New name, in the same module.
    removed_in : str
        First version without the old name.
    """

    now: str
    removed_in: str


RENAMED: dict[str, Renamed] = {}
"""Old names with their module, such as ``"bayesgmm.plots.old_name": Renamed("new_name", removed_in="0.4")``."""


def old_names(module: str, public: Callable[[str], object]) -> Callable[[str], object]:
    """Return a ``__getattr__`` for a module that knows its old names.

    Parameters
    ----------
    module : str
        Full name of the module.
    public : callable
        Returns what a name of today stands for; raises ``AttributeError`` if there is none.

    Returns
    -------
    callable
        Warns of an old name, and returns what it is called now.

    Examples
    --------
    >>> import math, warnings
    >>> RENAMED["math.logarithm"] = Renamed("log", removed_in="9.0")
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     logarithm = old_names("math", vars(math).get)("logarithm")
    >>> logarithm(1.0), str(said[0].message)
    (0.0, 'math.logarithm is now math.log; the old name will be removed in version 9.0')
    >>> del RENAMED["math.logarithm"]
    """

    def named(name: str) -> object:
        old = RENAMED.get(f"{module}.{name}")
        if old is None:
            return public(name)
        message = f"{module}.{name} is now {module}.{old.now}; the old name will be removed in version {old.removed_in}"
        warnings.warn(message, FutureWarning, stacklevel=2)
        return public(old.now)

    return named


def names_of(module: str, contents: dict[str, object]) -> Callable[[str], object]:
    """Return a ``__getattr__`` for a module whose names are not imported late: ``names_of(__name__, globals())``."""

    def public(name: str) -> object:
        if name in contents:
            return contents[name]
        raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name)

    return old_names(module, public)
