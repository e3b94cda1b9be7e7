"""Colours, markers, text, grids, curves and intervals of all plots."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.keywords import CHECKED, refuse_unknown
from bayesgmm.plots.backends import refuse_backend
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import printable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

# Okabe & Ito (2008): safe for all kinds of colour vision. A component has the same colour in every figure.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
INK = COLOURS[-1]
MARKERS = "osD^v<>PX"  # of components, and of whatever else has their colours
OUTLINES = 25  # number of draws with outlines
HELD = (0.5, 0.8, 0.95)  # probabilities of the regions of a density
TINTS = (0.84, 0.61, 0.31)  # of these regions, from the outside
LITERAL: dict[Any, object] = {
    "text.parse_math": False,
    "text.usetex": False,
    "axes.formatter.use_mathtext": False,
}  # matplotlib's settings by which all text is drawn as it is


def literal[**P, F](draw: Callable[P, F]) -> Callable[P, F]:
    """Make a plot draw all text as it is: names of columns and rows may hold ``$``, which would start a formula.

    With ``ax=`` or ``figure=``, the rest of the figure is the user's own, and is left as it is. A figure of plotly has
    such texts already.
    """

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> F:
        if "backend" in kwargs:
            refuse_backend(draw, kwargs["backend"])
        refuse_unknown(draw, kwargs)
        if kwargs.get("backend", "matplotlib") != "matplotlib":
            return draw(*args, **kwargs)
        ax, part = (kwargs.get(name) for name in ("ax", "figure"))
        others = [panel for panel in getattr(getattr(ax, "figure", None), "axes", ()) if panel is not ax]
        with settings(LITERAL):
            figure: Any = draw(*args, **kwargs)
        drawn_in: Any = figure if part is None else part
        panels = [panel for panel in drawn_in.axes if panel not in others]
        plain_powers(panels)
        for artist in [drawn_in] if ax is None else panels:
            make_printable(artist)
        return figure

    setattr(drawn, CHECKED, True)
    return drawn


@contextmanager
def settings(values: Mapping[Any, object]) -> Iterator[None]:
    """Change some of matplotlib's settings, and restore these only.

    ``rc_context`` would restore all of them, also what a backend sets when it starts at the first figure: a notebook
    would then show no further figure.
    """
    import matplotlib as mpl

    before = {name: mpl.rcParams[name] for name in values}
    mpl.rcParams.update(values)
    try:
        yield
    finally:
        mpl.rcParams.update(before)


def make_printable(artist: "Artist") -> None:
    """Escape the characters of the texts in a figure that would change the direction of what follows.

    An axis makes its ticks when it is asked for them, which takes longer than all else here: its texts are its label
    and those that its formatter was given.
    """
    from matplotlib.axis import Axis
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter

    if isinstance(artist, Axis):
        make_printable(artist.label)
        formatter = artist.get_major_formatter()
        if isinstance(formatter, FixedFormatter):
            formatter.seq = [printable(text) for text in formatter.seq]
        return
    if isinstance(artist, Text):
        artist.set_text(printable(artist.get_text()))
    for child in artist.get_children():
        make_printable(child)


def plain_powers(panels: "Sequence[Axes]") -> None:
    """Label logarithmic axes as 0.01: powers of ten would need formulas, which are off because of names."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for panel in panels:
        for axis in (panel.xaxis, panel.yaxis):
            if axis.get_scale() == "log":
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axis.set_minor_formatter(NullFormatter())


def colour(component: int) -> str:
    """Return the colour of a component; black is that of text, which can be seen on a dark background, too."""
    chosen = COLOURS[component % len(COLOURS)]
    return grey(0.0) if chosen == INK else chosen


def marker(component: int) -> str:
    """Return the marker of a component; there is one more than there are colours, so that pairs repeat late."""
    return MARKERS[component % len(MARKERS)]


def towards_text() -> str:
    """Return how colours change towards that of text: ``'darker'``, or ``'lighter'`` on a dark background."""
    import matplotlib as mpl
    from matplotlib.colors import to_rgb

    text, panel = (sum(to_rgb(mpl.rcParams[name])) for name in ("text.color", "axes.facecolor"))
    return "darker" if text <= panel else "lighter"


def grey(level: float) -> str:
    """Return a shade between the colours of text (0) and of the panels (1) in the user's style.

    With matplotlib's default style it is the grey of this level; on a dark background light and dark change places.

    Examples
    --------
    >>> grey(0.0), grey(1.0), grey(0.2)
    ('#000000', '#ffffff', '#333333')
    """
    import matplotlib as mpl

    return tint(mpl.rcParams["text.color"], level)


def tint(of: Any, level: float) -> str:
    """Return a shade between a colour (0) and that of the panels (1) in the user's style.

    Examples
    --------
    >>> tint("#000000", 0.2), tint("#0072B2", 1.0)
    ('#333333', '#ffffff')
    """
    import matplotlib as mpl
    from matplotlib.colors import to_hex, to_rgb

    own, paper = np.array(to_rgb(of)), np.array(to_rgb(mpl.rcParams["axes.facecolor"]))
    return to_hex(own + level * (paper - own))


def shades(lightest: float = 1.0, darkest: float = 0.0) -> "Colormap":
    """Return a map from 0 to 1 between two greys, as those of ``grey``."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", [grey(lightest), grey(darkest)])


def grid(values: Array, steps: int = 200) -> Array:
    """Return a grid (steps,) over the values that are not missing, with a margin on both sides."""
    values = values[~np.isnan(values)]
    margin = 0.08 * (np.ptp(values) or 1.0)
    return np.linspace(values.min() - margin, values.max() + margin, steps)


def curves(at: Array, weight: Array, mean: Array, variance: Array) -> Array:
    """Compute weighted one-dimensional densities (S, K, steps)."""
    z = (at - mean[..., None]) / np.sqrt(variance)[..., None]
    return weight[..., None] * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi * variance)[..., None]


def interval(values: Array, level: float) -> Array:
    """Compute the equal-tailed interval (..., 2) of the values over the first axis.

    Examples
    --------
    >>> interval(np.arange(101.0), 0.9)
    array([ 5., 95.])
    """
    tail = (1 - level) / 2
    return np.moveaxis(np.quantile(values, [tail, 1 - tail], axis=0), 0, -1)


def held_by(values: Array, shares: Sequence[float]) -> Array:
    """Compute levels of a density on a regular grid: the cells above each level contain a share of the total.

    Examples
    --------
    >>> held_by(np.array([[4.0, 3.0], [2.0, 1.0]]), [0.4, 0.7])
    array([4., 3.])
    """
    ordered = np.sort(values, axis=None)[::-1]
    total = ordered.cumsum() / ordered.sum()
    return np.array([ordered[np.searchsorted(total, share * (1 - 1e-12))] for share in shares])


def marker_area(n_points: int, total: float = 1500, minimum: float = 1, maximum: float = 12) -> float:
    """Return the area of the markers of points, in square typographic points: smaller if there are many.

    Examples
    --------
    >>> marker_area(10), marker_area(500), marker_area(10_000)
    (12.0, 3.0, 1.0)
    """
    return float(np.clip(total / n_points, minimum, maximum))
