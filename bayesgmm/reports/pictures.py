"""Figures as data URIs: vectors where they are small, dots on a light ground where they are not."""

import base64
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from bayesgmm.plots.style import COLOURS
from bayesgmm.reports.blocks import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST = 1700  # dots across
HEAVY = 250_000  # bytes of vectors from which dots are lighter
SCRIPTS = re.compile(
    r"Noto Sans (CJK|Arab|Deva|Hebr|Thai)|PingFang|Hiragino Sans|Microsoft YaHei|Yu Gothic|Malgun|WenQuan"
)
MOST_FONTS = 8
CHAINS = ("#332288", "#117733", "#CC6677", "#88CCEE", "#999933", "#882255")  # Tol (2021): not those of the components
STYLE: dict[str, Any] = {
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 10.0,
    "legend.fontsize": 9.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "text.usetex": False,
    "text.parse_math": False,  # a column called $x_1$ is no formula
    "svg.fonttype": "path",  # it looks alike where the font is missing
    "svg.hashsalt": "bayesgmm",  # the same fit gives the same bytes
}


@contextmanager
def style() -> Iterator[None]:
    """Figures of a report: one look, whatever the user's settings; names are never read as mathematics."""
    import matplotlib as mpl
    from cycler import cycler

    with mpl.rc_context(), warnings.catch_warnings():
        for known in ("Glyph .* missing from font", ".* look binary"):  # a box in a picture; a column in tiny units
            warnings.filterwarnings("ignore", known, UserWarning)
        mpl.rcdefaults()
        settings: Any = STYLE | {"axes.prop_cycle": cycler(color=CHAINS), "font.family": _fonts()}
        mpl.rcParams.update(settings)
        yield


@cache
def _fonts() -> list[str]:
    """The plain font, then those of this machine that have the letters that it lacks."""
    from matplotlib.font_manager import get_font_names

    return ["DejaVu Sans", *(name for name in sorted(get_font_names()) if SCRIPTS.match(name))][:MOST_FONTS]


def picture(
    draw: "Callable[[], Figure]", *, title: str, alt: str, reading: str, verdict: str, vectors: bool = True
) -> Picture:
    """A figure as part of a report.

    Parameters
    ----------
    draw : callable
        Makes the figure, in the report's style; it is closed afterwards.
    title, alt, reading, verdict : str
        Its heading; what is seen, for who can't see it; how to read it; what it says of this fit.
    vectors : bool
        Whether to try vectors: not where thousands of points are drawn.
    """
    import matplotlib.pyplot as plt

    with style():
        figure = draw()
        try:
            _plain_powers(figure)
            source, width, height = _encoded(figure, vectors)
        finally:
            plt.close(figure)
    return Picture(title, source, width, height, alt, reading, verdict)


def _plain_powers(figure: "Figure") -> None:
    """Logarithmic axes say 0.01: powers of ten would be mathematics, which the names of columns forbid."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for panel in figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            if axis.get_scale() == "log":
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axis.set_minor_formatter(NullFormatter())


def arrange(figure: "Figure", titles: Sequence[str] = ()) -> "Figure":
    """A figure of ArviZ's so that its labels don't lie on each other, its panels under these titles."""
    figure.set_layout_engine("constrained")
    panels = [axis for axis in figure.axes if axis.get_visible() and axis.has_data()]
    for axis, title in zip(panels, titles, strict=False):
        axis.set_title(title, fontsize=9.5)
    return figure


def _encoded(figure: "Figure", vectors: bool) -> tuple[str, int, int]:
    """The data URI, and the size in pixels that it is meant for."""
    if vectors:
        text = io.BytesIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
        if len(text.getvalue()) <= HEAVY:
            width, height = _svg_size(text.getvalue())
            return _uri("image/svg+xml", text.getvalue()), width, height
    resolution = min(200.0, WIDEST / figure.get_size_inches()[0])
    dots, across, down = _dots(figure, resolution)
    scale = 96 / resolution
    return _uri("image/png", dots), round(across * scale), round(down * scale)


def _dots(figure: "Figure", resolution: float) -> tuple[bytes, int, int]:
    """A picture of dots in 256 colours, a third of the bytes of all colours, and its size.

    The palette covers what is there: one for all colours has a dozen greys.
    """
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=resolution, bbox_inches="tight", pil_kwargs={"compress_level": 1})
    with Image.open(full) as image:
        palette = Image.Quantize.MAXCOVERAGE
        image.convert("RGB").quantize(256, palette, dither=Image.Dither.NONE).save(small, format="png")
        return small.getvalue(), *image.size


def _svg_size(text: bytes) -> tuple[int, int]:
    """Width and height in pixels; matplotlib writes points."""
    found = re.search(rb'<svg[^>]*?\bheight="([\d.]+)pt"', text), re.search(rb'<svg[^>]*?\bwidth="([\d.]+)pt"', text)
    height, width = (round(float(match[1]) * 96 / 72) if match else 0 for match in found)
    return width, height


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def component_colour(k: int) -> str:
    """The colour that a component has in every picture."""
    return COLOURS[k % len(COLOURS)]
