"""Public names as users write them, and of classes only what we wrote."""

import inspect
from typing import Any

from sphinx.application import Sphinx


def inherited(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the methods that scikit-learn's and pydantic's classes hand down: they are explained there."""
    wrapped = inspect.unwrap(thing) if callable(thing) else thing
    module = getattr(wrapped, "__module__", None) or ""
    return True if callable(thing) and not module.startswith("bayesgmm") else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-skip-member", inherited)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
