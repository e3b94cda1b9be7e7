"""Plot of the assignments: points by component, and the posterior uncertainty of the components."""

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.declared import probability
from bayesgmm.labels.relabelling import aligned
from bayesgmm.plots.backends import is_interactive
from bayesgmm.plots.columns import show_columns, write_note
from bayesgmm.plots.panels import (
    component_marks,
    despine,
    draw_histogram,
    draw_legend,
    draw_outlines,
    draw_points,
    draw_rings,
    label_height,
    pair_number,
    root_of,
    row_weights,
    triangle,
)
from bayesgmm.plots.style import (
    OUTLINES,
    colour,
    curves,
    grey,
    grid,
    interval,
    literal,
    marker_area,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import observed
from bayesgmm.predictions.predictive import assignments as assign
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

CURVES = 400  # maximum number of draws for a band
RINGED = 0.1  # entropy from which a point gets a ring


@takes_fit
def assignment_data(fit: FitLike, columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "xr.Dataset":
    """Compute the data of ``assignments``.

    Parameters
    ----------
    fit : DataTree or estimator
    columns : sequence of str, optional
        Columns. Default: the six in which the components differ most.
    ci_prob : float
        Probability of intervals, bands and ellipses.

    Returns
    -------
    Dataset
        ``x`` [point, feature], ``row_weight``, ``label`` and ``entropy`` [point]; ``weight`` [component], posterior
        means; ``grid`` [feature, step], and on it ``marginal`` [feature, step, component] (weighted density of each
        component) and ``band`` [feature, step, ci_bound] of their sum; ``outline`` [pair, draw, component, axis,
        angle]: ellipses that contain ``ci_prob`` of a component, for each of some draws.

    Raises
    ------
    DataError
        When there is no such column.
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> assignment_data(fit)["label"].values
    array([0, 0, 0, 0, 1, 1, 1])
    """
    import xarray as xr

    ci_prob = probability("ci_prob", ci_prob)
    points, posterior = observed(fit), aligned(fit)
    shown = show_columns(posterior.columns, columns, posterior.parameters)
    chosen = shown.columns
    names = [posterior.columns[j] for j in chosen]
    x = points.values[:, chosen]
    p = posterior.thin(CURVES).parameters
    grids = np.stack([grid(column) for column in x.T])
    lines = [curves(at, p.weight, p.mean[..., j], p.covariance[..., j, j]) for at, j in zip(grids, chosen, strict=True)]
    bands = [interval(curve.sum(axis=1), ci_prob) for curve in lines]
    few = posterior.thin(OUTLINES).parameters
    pairs = list(combinations(range(len(chosen)), 2))
    outlines = [ellipses(few.mean, few.covariance, [chosen[a], chosen[b]], ci_prob) for a, b in pairs]
    labels = assign(fit)
    data = xr.Dataset(
        {
            "x": (("point", "feature"), x),
            "row_weight": ("point", row_weights(points.weights, len(x))),
            "label": ("point", labels["label"].values),
            "entropy": ("point", labels["entropy"].values),
            "weight": ("component", posterior.parameters.weight.mean(axis=0)),
            "grid": (("feature", "step"), grids),
            "marginal": (("feature", "step", "component"), np.stack([c.mean(axis=0).T for c in lines])),
            "band": (("feature", "step", "ci_bound"), np.stack(bands)),
        },
        coords={"feature": names, "ci_bound": ["lower", "upper"], "component": labels["component"].values},
        attrs={"note": shown.note},
    )
    if not pairs:
        return data
    dims = ("pair", "draw", "component", "axis", "angle")
    pair_names = [f"{names[a]}, {names[b]}" for a, b in pairs]
    return data.assign(outline=(dims, np.stack(outlines))).assign_coords(pair=pair_names)


def ellipses(mean: Array, covariance: Array, pair: list[int], ci_prob: float, steps: int = 73) -> Array:
    """(S, K, 2, steps) ellipses in the plane of two columns that contain ``ci_prob`` of each component."""
    angle = np.linspace(0, 2 * np.pi, steps)
    circle = np.sqrt(-2 * np.log1p(-ci_prob)) * np.stack([np.cos(angle), np.sin(angle)])
    chol = cholesky(covariance[..., pair, :][..., pair])
    return mean[..., pair][..., None] + chol @ circle


@takes_fit
@literal
def assignments(
    fit: FitLike,
    columns: Sequence[str] | None = None,
    ci_prob: float = 0.9,
    *,
    backend: str = "matplotlib",
    figure: "Figure | SubFigure | None" = None,
) -> Any:
    """Plot the points by component, with rings around uncertain points, and the components in some draws.

    Below the diagonal, each pair of columns: points in the colour of their most probable component. The size of a ring
    grows with the entropy of the label. Thin ellipses contain ``ci_prob`` of a component, for each of 25 draws: where
    they scatter, the component is uncertain. On the diagonal, each column: the data, the components, and a credible
    band of the density. A single column has a rug of its points.

    Parameters
    ----------
    fit : DataTree or estimator
    columns : sequence of str, optional
        Columns to show. Default: the six in which the components differ most.
    ci_prob : float
        Probability of the ellipses and of the band.
    backend : {"matplotlib", "plotly"}
        With plotly, the figure is interactive: under the pointer are the row, its probabilities, and its values.
    figure : Figure or SubFigure, optional
        Empty figure, or part of one, to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panels; with plotly, a ``plotly.graph_objects.Figure``.

    Raises
    ------
    DataError
        When there is no such column.
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit, or holds no data.
    MissingExtra
        When plotly is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = assignments(fit)
    >>> len(figure.axes)
    1
    >>> plt.close(figure)
    """
    interactive = is_interactive(backend, figure)
    data = assignment_data(fit, columns, ci_prob)
    if interactive:
        from bayesgmm.plots.interactive import draw_assignments

        return draw_assignments(fit, data)
    figure = triangle(data, draw_marginal, _draw_pair, figure)
    _legend(figure, data)
    write_note(figure, data)
    return root_of(figure)


def draw_marginal(axis: "Axes", data: "xr.Dataset", j: int) -> None:
    """Draw one column: the data, the components, a credible band of the density."""
    grid = data["grid"].values[j]
    draw_histogram(axis, data, j)
    axis.fill_between(grid, *data["band"].values[j].T, color=grey(0.35), alpha=0.35, lw=0)
    for k in range(data.sizes["component"]):
        axis.plot(grid, data["marginal"].values[j, :, k], color=colour(k), lw=1.6)
    if data.sizes["feature"] == 1:
        _draw_rug(axis, data)
    axis.set_ylim(bottom=0)
    label_height(axis, alone=data.sizes["feature"] == 1)


def _draw_rug(axis: "Axes", data: "xr.Dataset") -> None:
    """Draw the points of a single column along the bottom."""
    colours = [colour(k) for k in data["label"].values]
    height = np.full(data.sizes["point"], 0.02)
    axis.scatter(
        data["x"].values[:, 0], height, c=colours, marker="|", s=60, lw=0.8, transform=axis.get_xaxis_transform()
    )


def _draw_pair(axis: "Axes", data: "xr.Dataset", row: int, column: int) -> None:
    pair = pair_number(data.sizes["feature"], row, column)
    xy, entropy = data["x"].values[:, [column, row]], data["entropy"].values
    draw_outlines(axis, data, pair, lw=0.5, alpha=0.35, zorder=1)
    draw_points(axis, xy, data["label"].values, alpha=0.85, zorder=2)
    ringed = entropy > RINGED
    draw_rings(axis, xy[ringed], 90 * entropy[ringed] + marker_area(len(xy)), lw=0.8, zorder=3)
    despine(axis)


def _legend(figure: "Figure | SubFigure", data: "xr.Dataset") -> None:
    from matplotlib.lines import Line2D

    marks = component_marks(data, range(data.sizes["component"]), ls="-", lw=1)
    if data.sizes["feature"] > 1:
        marks.append(Line2D([], [], marker="o", ls="", mfc="none", mec=grey(0.15), ms=8, label="uncertain label"))
    draw_legend(figure, data, marks, ncols=2)
