"""Panels of a figure: single columns on the diagonal, pairs of columns below it."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.plots.style import colour
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


def pair_number(n_features: int, one: int, other: int) -> int:
    """Index of a pair of columns in the order of ``itertools.combinations``.

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
) -> "Figure":
    """Draw a figure with a panel for each column and, below these, a panel for each pair (row, column)."""
    import matplotlib.pyplot as plt

    d = data.sizes["feature"]
    size = (2.6 * d, 2.6 * d) if d > 1 else (6.5, 4.2)
    figure, axes = plt.subplots(d, d, figsize=size, squeeze=False, layout="constrained")
    for row, column in np.ndindex(d, d):
        axis: Any = axes[row, column]
        if column > row:
            axis.set_visible(False)
        elif column == row:
            draw_column(axis, data, row)
        else:
            draw_pair(axis, data, row, column)
            axis.sharex(axes[column, column])
        label_axes(axis, data, row, column)
    return figure


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
    edges = np.histogram_bin_edges(x[weight > 0], bins="auto")
    axis.hist(x, edges.tolist(), weights=weight, density=True, color="0.89", zorder=0)


def row_weights(weights: Array | None, n_points: int) -> Array:
    """(N,) row weights; ones without weights."""
    return np.ones(n_points) if weights is None else weights


def component_marks(data: "xr.Dataset", chosen: Sequence[int], **mark: Any) -> "list[Line2D]":
    """Legend entries of some components, in their colours, with the number of points of each."""
    from matplotlib.lines import Line2D

    counts = np.bincount(data["label"].values, minlength=data.sizes["component"])
    names = data["component"].values
    words = [f"component {names[k]} ({plural(counts[k], 'point')})" for k in chosen]
    return [
        Line2D([], [], marker="o", color=colour(k), label=text, **mark) for k, text in zip(chosen, words, strict=True)
    ]
