"""What each kernel of a page runs first: a warning shows its kind and its text, not the path of a temporary file."""

import warnings


def shown(message, category, filename, lineno, line=None):  # noqa: ANN001, ANN201
    """A warning as text, in place of ``warnings.formatwarning``."""
    return f"{category.__name__}: {message}\n"


warnings.formatwarning = shown
