"""Public names as users write them, and of classes only what we wrote."""

import inspect
import re
from typing import Any

from sphinx.application import Sphinx


def signature(app: Sphinx, what: str, name: str, thing: Any, *rest: Any) -> tuple[str, str] | None:
    """``Dirichlet(concentration=1.0)``, not what pydantic makes of it."""
    from bayesgmm.declared import Declared

    if what != "class" or not issubclass(thing, Declared):
        return None
    shown = [
        field if rules.is_required() else f"{field}={without_kinds(repr(rules.get_default(call_default_factory=True)))}"
        for field, rules in thing.model_fields.items()
        if field != "prior"  # in Python the class says which it is
    ]
    return f"({', '.join(shown)})", ""


def without_kinds(text: str) -> str:
    """A declaration as it is written in Python: ``prior=`` is only for files.

    Examples
    --------
    >>> without_kinds("Gamma(alpha=2.0, beta=4.0, prior='gamma')")
    'Gamma(alpha=2.0, beta=4.0)'
    """
    return re.sub(r",? ?prior='\w+'", "", text)


def inherited(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the methods that scikit-learn's and pydantic's classes hand down: they are explained there."""
    wrapped = inspect.unwrap(thing) if callable(thing) else thing
    module = getattr(wrapped, "__module__", None) or ""
    return True if callable(thing) and not module.startswith("bayesgmm") else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-skip-member", inherited)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
