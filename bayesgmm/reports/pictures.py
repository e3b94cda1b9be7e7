"""Figures as data URIs: SVG if it is small, else PNG."""

import base64
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from bayesgmm.plots.style import COLOURS, LITERAL, make_printable, plain_powers, settings
from bayesgmm.reports.blocks import LivePicture, Picture

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from matplotlib.backend_bases import FigureCanvasBase
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as LiveFigure

POINTS = 72.0  # units per inch of an SVG
WIDEST = 1400  # maximum width in pixels of a PNG
MANY_PANELS = 4
FEW_COLOURS = 5_000
HEAVY = 250_000  # maximum size in bytes of an SVG; larger figures become PNG
SCRIPTS = re.compile(
    r"Noto Sans (CJK|Arab|Deva|Hebr|Thai)|PingFang|Hiragino Sans|Microsoft YaHei|Yu Gothic|Malgun|WenQuan"
)
MAX_FONTS = 8
UNDER = "Under the pointer are the row, its probabilities and its values; a click in the legend hides what it names."
CHAINS = (
    "#332288",
    "#117733",
    "#CC6677",
    "#88CCEE",
    "#999933",
    "#882255",
)  # Tol (2021); different from those of the components
OF_BACKENDS = {"backend", "backend_fallback", "interactive"}  # settings that do not belong to a style
STYLE: dict[str, object] = {
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 10.0,
    "legend.fontsize": 9.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",  # looks the same if the font is missing
    "svg.hashsalt": "bayesgmm",  # the same fit gives the same bytes
}


@contextmanager
def style() -> Iterator[None]:
    """Set the style of the figures of a report, whatever the user's settings; column names are never mathematics."""
    import matplotlib as mpl
    from cycler import cycler

    usual = {name: value for name, value in mpl.rcParamsDefault.items() if name not in OF_BACKENDS}
    own: Any = STYLE | LITERAL | {"axes.prop_cycle": cycler(color=CHAINS), "font.family": _fonts()}
    with warnings.catch_warnings(), settings(usual | own):
        for known in (
            "Glyph .* missing from font",
            ".* look binary",
        ):  # missing letters are boxes; a column may have tiny units
            warnings.filterwarnings("ignore", known, UserWarning)
        yield


@cache
def _fonts() -> list[str]:
    """Return the default font, then installed fonts with the scripts that it lacks."""
    from matplotlib.font_manager import get_font_names

    return ["DejaVu Sans", *(name for name in sorted(get_font_names()) if SCRIPTS.match(name))][:MAX_FONTS]


def picture(
    draw: "Callable[[], Figure]",
    *,
    title: str,
    alt: str,
    reading: str,
    verdict: str,
    vectors: bool = True,
    live: "Callable[[], LiveFigure] | None" = None,
) -> Picture | LivePicture:
    """Draw a figure for a report.

    Parameters
    ----------
    draw : callable
        Returns the figure, drawn in the style of the report; it is closed afterwards.
    title, alt, reading, verdict : str
        Heading; description of the content, for readers who can't see it; how to read it; result for this fit.
    vectors : bool
        Try SVG first; False for figures with thousands of points.
    live : callable, optional
        Returns the same as a figure of plotly, which the report then shows instead.
    """
    if live is not None:
        return _live(live(), title, alt, reading, verdict)
    source, width, height = _drawn(draw, vectors)
    return Picture(title, source, width, height, alt, reading, verdict)


def _live(figure: "LiveFigure", title: str, alt: str, reading: str, verdict: str) -> LivePicture:
    """Return a figure of plotly as JSON in which nothing ends the script that holds it."""
    source = Markup(figure.to_json().replace("<", "\\u003c"))
    return LivePicture(title, source, int(figure.layout.height), alt, f"{reading} {UNDER}", verdict)


def _drawn(draw: "Callable[[], Figure]", vectors: bool) -> tuple[str, int, int]:
    """Return the data URI and the size in pixels of a figure in the style of the report."""
    import matplotlib.pyplot as plt

    with style():
        figure = draw()
        try:
            plain_powers(figure.axes)
            _few_ticks(figure)
            _keep_inside(figure)
            make_printable(figure)
            return _encoded(figure, vectors)
        finally:
            plt.close(figure)


def arrange(figure: "Figure", titles: Sequence[str] = ()) -> "Figure":
    """Set the titles of a figure of ArviZ's panels, and a layout in which labels do not overlap.

    The tight layout measures the texts once, the constrained one twice; but only that one leaves room for a legend.
    """
    figure.set_layout_engine("constrained" if figure.legends else "tight")
    panels = [axis for axis in figure.axes if axis.get_visible() and axis.has_data()]
    for axis, title in zip(panels, titles, strict=False):
        axis.set_title(title, fontsize=9.5)
    return figure


def _save(figure: "Figure", stream: io.BytesIO, canvas: "type[FigureCanvasBase]", **settings: Any) -> None:
    """Save a figure."""
    canvas(figure)  # which measures text as it is drawn later
    _lay_out(figure, POINTS)
    figure.savefig(stream, **settings)


def _lay_out(figure: "Figure", resolution: float) -> None:
    """Place the panels of a figure.

    With ``bbox_inches="tight"`` or a layout engine, matplotlib would draw it twice, the first time for its size only.
    """
    figure.set_dpi(resolution)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def _few_ticks(figure: "Figure") -> None:
    """Draw few ticks: most of the time of a figure is that of its ticks.

    Where there are many panels, an axis has at most five. A logarithmic axis has none between those with a number.
    """
    from matplotlib.ticker import AutoLocator, NullLocator

    panels = [panel for panel in figure.axes if panel.get_visible()]
    for axis in (axis for panel in panels for axis in (panel.xaxis, panel.yaxis)):
        axis.set_minor_locator(NullLocator())
        if len(panels) >= MANY_PANELS and isinstance(locator := axis.get_major_locator(), AutoLocator):
            locator.set_params(nbins=4)


def _keep_inside(figure: "Figure") -> None:
    """Let the layout leave no room for what is inside the panels, or not there: to measure it takes long.

    That is what is drawn, the edges of the panels, which are measured as the panels, and empty labels.
    """
    for panel in figure.axes:
        for artist in (*panel.lines, *panel.collections, *panel.patches, *panel.images, *panel.spines.values()):
            artist.set_in_layout(False)
        for axis in (panel.xaxis, panel.yaxis):
            if not axis.get_label_text():
                axis.set_label_coords(0.5, 0.5)  # else matplotlib measures all numbers of the axis to find its place


class _TooLong(Exception):
    """An SVG is larger than HEAVY."""


class _Limited(io.BytesIO):
    """Stream that stops the writing of an SVG which is too large: the rest would not be used."""

    def write(self, content: "ReadableBuffer", /) -> int:
        written = super().write(content)
        if self.tell() > HEAVY:
            raise _TooLong
        return written


def _encoded(figure: "Figure", vectors: bool) -> tuple[str, int, int]:
    """Return the data URI and the size in pixels."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    if vectors:
        with suppress(_TooLong):
            text = _Limited()
            _save(figure, text, FigureCanvasSVG, format="svg", metadata={"Date": None, "Creator": None})
            width, height = _svg_size(text.getvalue())
            return _uri("image/svg+xml", text.getvalue()), width, height
    resolution = min(200.0, WIDEST / figure.get_size_inches()[0])
    dots, across, down = _dots(figure, resolution)
    scale = 96 / resolution
    return _uri("image/png", dots), round(across * scale), round(down * scale)


def _dots(figure: "Figure", resolution: float) -> tuple[bytes, int, int]:
    """Return a PNG with a palette of 256 colours, a third of the size of a full-colour one, and its size in pixels.

    The palette is computed from the figure: a fixed palette has only a dozen greys. The one that keeps the most colours
    takes long where there are many, in points that overlap; there, a coarser one looks the same.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(figure)
    small = io.BytesIO()
    _lay_out(figure, resolution)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    is_simple = image.getcolors(FEW_COLOURS) is not None
    palette = Image.Quantize.MAXCOVERAGE if is_simple else Image.Quantize.FASTOCTREE
    image.quantize(256, palette, dither=Image.Dither.NONE).save(small, format="png")
    return small.getvalue(), *image.size


def _svg_size(text: bytes) -> tuple[int, int]:
    """Return width and height in pixels; matplotlib writes points."""
    sizes = re.search(rb'<svg[^>]*?\bheight="([\d.]+)pt"', text), re.search(rb'<svg[^>]*?\bwidth="([\d.]+)pt"', text)
    height, width = (round(float(match[1]) * 96 / 72) if match else 0 for match in sizes)
    return width, height


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def component_colour(k: int) -> str:
    """Return the colour of a component, the same in all figures."""
    return COLOURS[k % len(COLOURS)]
