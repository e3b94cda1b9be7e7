"""Panels of figures, and what several plots draw in them: points, outlines, histograms, legends."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import DeclarationError
from bayesgmm.plots.style import (
    colour,
    grey,
    marker,
    marker_area,
)
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import in_short, plural, share

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

Labels = NDArray[np.integer]


class Mark(TypedDict, total=False):
    """Appearance of a marker or a line, by matplotlib's names."""

    alpha: float
    lw: float
    ls: str
    ms: float
    zorder: float


class Arrangement(TypedDict, total=False):
    """Arrangement of panels, by matplotlib's names."""

    sharex: Literal["none", "all", "row", "col"]
    sharey: Literal["none", "all", "row", "col"]
    width_ratios: Sequence[float]


def pair_number(n_features: int, one: int, other: int) -> int:
    """Return the index of a pair of columns in the order of ``itertools.combinations``.

    Examples
    --------
    >>> pair_number(3, 2, 0)
    1
    """
    return list(combinations(range(n_features), 2)).index((min(one, other), max(one, other)))


def triangle(
    data: "xr.Dataset",
    draw_column: "Callable[[Axes, xr.Dataset, int], None]",
    draw_pair: "Callable[[Axes, xr.Dataset, int, int], None]",
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Draw a panel for each column and, below these, a panel for each pair (row, column); return what holds them."""
    d = data.sizes["feature"]
    figure, axes = new_panels((d, d), (2.6 * d, 2.6 * d) if d > 1 else (6.5, 4.2), figure)
    for row, column in np.ndindex(d, d):
        axis: Axes = axes.item(row, column)
        if column > row:
            axis.set_visible(False)
        elif column == row:
            draw_column(axis, data, row)
        else:
            draw_pair(axis, data, row, column)
            axis.sharex(axes.item(column, column))
        label_axes(axis, data, row, column)
    return figure


def panel_grid(
    count: int, width: float, height: float, figure: "Figure | SubFigure | None" = None
) -> "tuple[Figure | SubFigure, list[Axes]]":
    """Make a number of panels of a size in inches, at most three in a row; in a given figure, the largest that fit."""
    across = min(count, 3)
    if figure is not None and (held := _size_of(figure)):
        across = max(range(1, across + 1), key=lambda n: _shrunk(held, (-(-count // n), n), (width, height)))
    down = -(-count // across)
    figure, axes = new_panels((down, across), (max(width * across, 5.5), height * down), figure)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, axes.flat[:count].tolist()


def _size_of(figure: "Figure | SubFigure") -> tuple[float, float] | None:
    """Return width and height in inches of a figure, or of a part of one; None of what is no figure."""
    box, dpi = getattr(figure, "bbox", None), getattr(figure, "dpi", None)
    return None if box is None or dpi is None else (box.width / dpi, box.height / dpi)


def _shrunk(held: tuple[float, float], shape: tuple[int, int], size: tuple[float, float]) -> float:
    """Return the size of panels in rows and columns as a share of the size (width, height) that they should have."""
    return min(1.0, held[0] / shape[1] / size[0], held[1] / shape[0] / size[1])


def font_size(axis: "Axes", width: float, height: float, smallest: float = 0.5) -> float:
    """Return the font size of a panel of ``panel_grid``: smaller where it has less room than width and height."""
    import matplotlib as mpl

    grid, part = axis.get_gridspec(), axis.figure
    held = None if part is None else _size_of(part)
    share = 1.0 if held is None or grid is None else _shrunk(held, (grid.nrows, grid.ncols), (width, height))
    return float(mpl.rcParams["font.size"]) * max(share, smallest)


def new_panels(
    shape: tuple[int, int],
    size: tuple[float, float],
    figure: "Figure | SubFigure | None" = None,
    **arrangement: Unpack[Arrangement],
) -> "tuple[Figure | SubFigure, NDArray[Any]]":
    """Make rows and columns of panels, in a new figure of a size in inches or in the empty one that was given.

    Raises
    ------
    DeclarationError
        When what was given is no figure, or holds panels.
    """
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure, SubFigure

    if figure is None:
        figure = plt.figure(figsize=size, layout="constrained")
    elif not isinstance(figure, Figure | SubFigure):
        raise DeclarationError(
            f"figure={in_short(figure)}: must be a matplotlib Figure, or a part of one\n"
            "  For example figure.subfigures(1, 2)[0]."
        )
    elif figure.axes or figure.subfigs or figure.get_suptitle():
        held = "parts" if figure.subfigs else plural(len(figure.axes), "panel") if figure.axes else "a title"
        raise DeclarationError(
            f"figure= holds {held}; this plot has panels of its own\n"
            "  Give an empty figure, or a part of one: figure.subfigures(1, 2)[0]."
        )
    return figure, figure.subplots(*shape, squeeze=False, **arrangement)


def new_panel(size: tuple[float, float], ax: "Axes | None" = None) -> "Axes":
    """Return the panel to draw in: the one that was given, or that of a new figure of a size in inches.

    Raises
    ------
    DeclarationError
        When what was given is no panel, or one with polar or other coordinates.
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        return plt.subplots(figsize=size, layout="constrained")[1]
    if not isinstance(ax, Axes) or ax.name != "rectilinear":
        raise DeclarationError(
            f"ax={in_short(ax)}: must be matplotlib Axes with straight axes\n  For example plt.subplots()[1]."
        )
    return ax


def place_legend(axis: "Axes", own: bool, marks: "Sequence[Artist] | None" = None) -> None:
    """Draw the legend of a panel: beside it in a figure of its own, else inside, because others may stand beside it."""
    place: dict[str, Any] = {"loc": "best", "fontsize": "small"}
    if own:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False}
    axis.legend(**place, **({} if marks is None else {"handles": marks}))


def legend_below(axis: "Axes", own: bool) -> "Legend":
    """Draw the legend of a panel: below it in a figure of its own, else inside."""
    if own:
        return root_of(axis).legend(frameon=False, loc="outside lower left", ncols=2, fontsize="small")
    return axis.legend(fontsize="small")


def root_of(part: "Axes | Figure | SubFigure") -> "Figure":
    """Return the figure of a panel, or of a part of a figure."""
    figure = part.get_figure(root=True)
    assert figure is not None
    return figure


def despine(axis: "Axes") -> None:
    """Remove the top and right edges of a panel."""
    axis.spines[["top", "right"]].set_visible(False)


def label_height(axis: "Axes", alone: bool) -> None:
    """Label a density; beside panels of other columns, whose units are others, it has no scale."""
    despine(axis)
    if alone:
        axis.set_ylabel("density")
    else:
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)


def label_axes(axis: "Axes", data: "xr.Dataset", row: int, column: int) -> None:
    """Label the axes of the left and bottom panels only."""
    names, last = data["feature"].values, data.sizes["feature"] - 1
    if row == last:
        axis.set_xlabel(names[column])
    else:
        axis.tick_params(labelbottom=False)
    if column == 0 and row > 0:
        axis.set_ylabel(names[row])
    elif column != row:
        axis.tick_params(labelleft=False)


def draw_histogram(axis: "Axes", data: "xr.Dataset", j: int) -> None:
    """Draw a histogram of a column as a density, with row weights."""
    x, weight = data["x"].values[:, j], data["row_weight"].values
    x, weight = x[~np.isnan(x)], weight[~np.isnan(x)]
    edges = np.histogram_bin_edges(x[weight > 0], bins="auto")
    axis.hist(x, edges.tolist(), weights=weight, density=True, color=grey(0.89), zorder=0)


def draw_points(axis: "Axes", xy: Array, label: Labels, **mark: Unpack[Mark]) -> None:
    """Draw points (N, 2) with the colours and markers of their labels (N,)."""
    area = marker_area(len(xy))
    for k in np.unique(label).tolist():
        own = xy[label == k]
        axis.scatter(own[:, 0], own[:, 1], s=area, color=colour(k), marker=marker(k), lw=0, **mark)


def draw_rings(axis: "Axes", xy: Array, area: Array, **mark: Unpack[Mark]) -> None:
    """Draw rings with areas (N,), in square points, around points (N, 2)."""
    axis.scatter(xy[:, 0], xy[:, 1], s=area, facecolors="none", edgecolors=grey(0.15), **mark)


def draw_outlines(axis: "Axes", data: "xr.Dataset", pair: int, **mark: Unpack[Mark]) -> None:
    """Draw the outlines of each component in some draws, for a pair of columns."""
    from matplotlib.collections import LineCollection

    outlines = np.moveaxis(data["outline"].values[pair], 1, 0)  # (component, draw, axis, angle)
    colours = [colour(k) for k, of_component in enumerate(outlines) for _ in of_component]
    lines = outlines.reshape(-1, *outlines.shape[2:]).swapaxes(1, 2)
    axis.add_collection(LineCollection(list(lines), colors=colours, **mark))
    axis.autoscale_view()


def draw_legend(
    figure: "Figure | SubFigure",
    data: "xr.Dataset",
    marks: "Sequence[Artist]",
    ncols: int,
    title: str | None = None,
) -> None:
    """Draw the legend of ``triangle``: in its empty corner, or above a single panel in columns."""
    draw = partial(figure.legend, handles=marks, frameon=False, title=title)
    if data.sizes["feature"] > 1:
        draw(loc="upper right", bbox_to_anchor=(0.98, 0.98))
    else:
        draw(loc="outside upper center", ncols=ncols)


def row_weights(weights: Array | None, n_points: int) -> Array:
    """Return row weights (N,); ones if there are none."""
    return np.ones(n_points) if weights is None else weights


def component_marks(data: "xr.Dataset", chosen: Sequence[int], **mark: Unpack[Mark]) -> "list[Line2D]":
    """Make legend entries of some components, in their colours, with the weight of each.

    A weight is that of the fit, also where only some of its points are drawn.
    """
    from matplotlib.lines import Line2D

    names, weight = data["component"].values, data["weight"].values
    words = [f"component {names[k]} ({share(float(weight[k]))})" for k in chosen]
    named = zip(chosen, words, strict=True)
    return [Line2D([], [], marker=marker(k), color=colour(k), label=text, **mark) for k, text in named]
