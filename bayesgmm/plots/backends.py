"""The libraries that draw plots: matplotlib, and for some plots plotly, whose figures are interactive."""

from collections.abc import Callable
from importlib.util import find_spec
from inspect import signature
from typing import Any

from bayesgmm.errors import DeclarationError, MissingExtra, choose

BACKENDS = {"matplotlib": False, "plotly": True}  # is it interactive?
INTERACTIVE = ("anomalies", "assignments", "density", "pairs")  # plots that plotly draws, too


def is_interactive(backend: str, figure: object = None) -> bool:
    """Return True if plotly is to draw a plot.

    Parameters
    ----------
    backend : str
        Argument of the plot.
    figure : object
        What the user gave to draw in; a figure of plotly is always a new one.

    Raises
    ------
    UnknownName
        When there is no such backend.
    DeclarationError
        When a figure was given.
    MissingExtra
        When plotly is not installed.

    Examples
    --------
    >>> is_interactive("matplotlib")
    False
    """
    if not choose(backend, BACKENDS, "backend"):
        return False
    if figure is not None:
        raise DeclarationError(
            "figure= can't be used with backend='plotly', which returns a new figure\n  Leave one of the two out."
        )
    require_plotly()
    return True


def require_plotly() -> None:
    """Check that plotly is installed.

    Raises
    ------
    MissingExtra
        When it is not.
    """
    if find_spec("plotly") is None:
        raise MissingExtra("interactive plots need plotly: pip install 'bayesgmm[plotly]'")


def refuse_backend(draw: Callable[..., Any], given: object) -> None:
    """Refuse the argument ``backend`` of a plot that has none, except for the one that draws it.

    Raises
    ------
    UnknownName
        When there is no such backend.
    DeclarationError
        When the plot can't be drawn by it.
    """
    if "backend" not in signature(draw).parameters and choose(given, BACKENDS, "backend"):
        raise DeclarationError(
            f"backend={given!r}: plots.{draw.__name__} is drawn by matplotlib only\n  plotly draws plots."
            f"{', plots.'.join(INTERACTIVE)}."
        )
