"""Lazy imports: modules that are imported at their first use."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
            self._leave()
            known["_module"] = import_module(self.__name__)
        return getattr(known["_module"], name)

    def _leave(self) -> None:
        """Leave the places of the module, where ``postponed`` puts it, to the module itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        package, _, last = self.__name__.rpartition(".")
        if package and vars(sys.modules[package]).get(last) is self:
            delattr(sys.modules[package], last)


@contextmanager
def postponed(name: str) -> Iterator[None]:
    """Postpone the import of a module by modules that are imported in a block, until they read one of its attributes.

    Parameters
    ----------
    name : str
        Full name.

    Examples
    --------
    >>> with postponed("wave"):
    ...     import wave
    >>> wave.Error.__name__
    'Error'
    """
    if name in sys.modules:
        yield
        return
    late = sys.modules[name] = Late(name)
    package, _, last = name.rpartition(".")
    if package:  # an import binds a part in its package
        setattr(import_module(package), last, late)
    try:
        yield
    finally:
        late._leave()
