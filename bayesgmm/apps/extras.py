"""Optional libraries of the applications."""

import importlib
from types import ModuleType

from bayesgmm.errors import MissingExtra


def extra(module: str, package: str) -> ModuleType:
    """Import a module of an optional package.

    Raises
    ------
    MissingExtra
        When it is not installed; the message says how to install it.

    Examples
    --------
    >>> extra("no_such_module.inner", "no-such-package")
    Traceback (most recent call last):
        ...
    bayesgmm.errors.MissingExtra: this needs no-such-package: pip install 'bayesgmm[apps]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(f"this needs {package}: pip install 'bayesgmm[apps]'") from None
