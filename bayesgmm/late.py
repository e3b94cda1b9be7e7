"""Lazy imports: modules that are imported at their first use."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class Late(ModuleType):
    """Module that is imported when one of its attributes is first read; compiled functions can use it, too.

    Parameters
    ----------
    name : str
        Full name, such as ``"scipy.special"``.

    Examples
    --------
    >>> Late("math").sqrt(4.0)
    2.0
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.modules.get(self.__name__) or import_module(self.__name__), name)
