"""Modules that are imported when something of theirs is first used."""

from importlib import import_module
from types import ModuleType
from typing import Any


class Late(ModuleType):
    """A module that is imported at the first look at one of its names; compiled functions may use it too.

    Parameters
    ----------
    name : str
        The whole name, such as ``"scipy.special"``.

    Examples
    --------
    >>> Late("math").sqrt(4.0)
    2.0
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)
