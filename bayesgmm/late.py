"""Lazy imports: modules that are imported at their first use."""

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
        known = self.__dict__  # not sys.modules: there a module is before its import has ended, in another thread
        if "_module" not in known:
            known["_module"] = import_module(self.__name__)
        return getattr(known["_module"], name)
