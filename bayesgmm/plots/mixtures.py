"""Plot of a mixture by pairs of columns: components, credible regions of their means, and the density."""

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.declared import probability
from bayesgmm.labels.relabelling import aligned
from bayesgmm.plots.backends import is_interactive
from bayesgmm.plots.clusters import assignment_data, draw_marginal, ellipses
from bayesgmm.plots.columns import write_note
from bayesgmm.plots.panels import (
    component_marks,
    despine,
    draw_outlines,
    draw_points,
    label_axes,
    new_panels,
    pair_number,
    root_of,
)
from bayesgmm.plots.style import (
    colour,
    grey,
    held_by,
    literal,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import Posterior
from bayesgmm.posterior.subsets import marginal
from bayesgmm.predictions.densities import spread
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

INNER = 0.5  # probability of the inner ellipses and contours
COARSE = 4  # thinning of the grid of a column, in two dimensions
AVERAGED = 100  # number of draws for a density in two dimensions
MEANS = 400  # maximum number of draws of a mean in the plot


@takes_fit
def pairs_data(fit: FitLike, columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "xr.Dataset":
    """Compute the data of ``pairs``: those of ``assignment_data``, and more for each pair of columns.

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
        ``ellipse`` [pair, level, component, axis, angle], ellipses that contain 50 % and ``ci_prob`` of each
        posterior mean component; ``centre`` [mean_draw, component, feature], means in some draws; ``region`` [pair,
        component, axis, angle], the ellipse that contains ``ci_prob`` of these draws, NaN with too few draws;
        ``density`` [pair, up, across], posterior predictive, on ``coarse`` [feature, across]; ``height`` [pair, level],
        above which it contains 50 % and ``ci_prob`` of new points.

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
    >>> pairs_data(fit)["marginal"].dims
    ('feature', 'step', 'component')
    """
    data = assignment_data(fit, columns, ci_prob)
    if "pair" not in data.dims:
        return data
    posterior = aligned(fit, MEANS)
    p, chosen = posterior.parameters, [posterior.columns.index(name) for name in data["feature"].values]
    some = posterior.thin(AVERAGED)
    coarse = data["grid"].values[:, ::COARSE]
    places = list(combinations(range(len(chosen)), 2))
    planes = [[chosen[a], chosen[b]] for a, b in places]
    mean, covariance = p.mean.mean(axis=0), p.covariance.mean(axis=0)
    levels = [INNER, ci_prob]
    shapes = [[ellipses(mean, covariance, plane, level) for level in levels] for plane in planes]
    names = data["feature"].values.tolist()
    heights = [_plane_density(coarse[a], coarse[b], marginal(some, [names[a], names[b]])) for a, b in places]
    return data.assign(
        ellipse=(("pair", "level", "component", "axis", "angle"), np.array(shapes)),
        centre=(("mean_draw", "component", "feature"), p.mean[..., chosen]),
        region=(
            ("pair", "component", "axis", "angle"),
            np.array([[region(p.mean[:, k][:, plane], ci_prob) for k in range(p.mean.shape[1])] for plane in planes]),
        ),
        coarse=(("feature", "across"), coarse),
        density=(("pair", "up", "across"), np.array(heights)),
        height=(("pair", "level"), np.array([held_by(h, levels) for h in heights])),
    ).assign_coords(level=levels)


def _plane_density(x: Array, y: Array, posterior: Posterior) -> Array:
    """Compute the posterior mean density of two columns (len(y), len(x))."""
    at = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return np.exp(spread(posterior, at, progress=False).log_mean).reshape(len(y), len(x))


def region(draws: Array, level: float, steps: int = 73) -> Array:
    """Compute the ellipse (2, steps) that contains a share of the draws (S, 2); NaN with few draws.

    Its shape is the covariance of the draws, its radius a quantile of their Mahalanobis distances. The posterior is not
    assumed to be normal.
    """
    if len(draws) < 10:
        return np.full((2, steps), np.nan)
    centre, sd = draws.mean(axis=0), draws.std(axis=0)
    if not (sd > 0).all():
        return np.full((2, steps), np.nan)
    z = (draws - centre) / sd  # standardised, because columns can have very different units
    covariance = np.cov(z.T)
    if not np.linalg.eigvalsh(covariance)[0] > 1e-14:
        return np.full((2, steps), np.nan)
    chol = np.linalg.cholesky(covariance)
    distance = np.linalg.norm(np.linalg.solve(chol, z.T), axis=0)
    angle = np.linspace(0, 2 * np.pi, steps)
    outline = np.quantile(distance, level) * (chol @ np.stack([np.cos(angle), np.sin(angle)]))
    return centre[:, None] + sd[:, None] * outline


@takes_fit
@literal
def pairs(
    fit: FitLike,
    columns: Sequence[str] | None = None,
    ci_prob: float = 0.9,
    *,
    backend: str = "matplotlib",
    figure: "Figure | SubFigure | None" = None,
) -> Any:
    """Plot the mixture by pairs of columns: components, credible regions of their means, and the density.

    Below the diagonal: points in the colour of their component, the posterior mean components as ellipses that contain
    50 % and ``ci_prob`` of each, and thin ellipses for each of 25 draws. Above the diagonal: contours of the posterior
    predictive density that contain the same shares of new points, draws of the means, and regions that contain
    ``ci_prob`` of these draws. On the diagonal: the data of each column, the components, and a credible band of the
    density.

    Parameters
    ----------
    fit : DataTree or estimator
    columns : sequence of str, optional
        Columns to show. Default: the six in which the components differ most.
    ci_prob : float
        Probability of the outer ellipses and contours, the regions, and the bands.
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
    >>> figure = pairs(fit)
    >>> len(figure.axes)
    1
    >>> plt.close(figure)
    """
    ci_prob = probability("ci_prob", ci_prob)
    if is_interactive(backend, figure):
        from bayesgmm.plots import interactive

        return interactive.draw_pairs(fit, pairs_data(fit, columns, ci_prob))
    return draw_pairs(pairs_data(fit, columns, ci_prob), ci_prob, figure)


def draw_pairs(data: "xr.Dataset", ci_prob: float, figure: "Figure | SubFigure | None" = None) -> "Figure":
    """Draw the data of ``pairs``."""
    d = data.sizes["feature"]
    size = 2.4 * d + 0.6 if d > 1 else 6.5
    figure, axes = new_panels((d, d), (size, size + 0.5 if d > 1 else 4.2), figure)
    for row, column in np.ndindex(d, d):
        axis: Axes = axes.item(row, column)
        if column == row:
            draw_marginal(axis, data, row)
        else:
            (_draw_components if column < row else _draw_density)(axis, data, row, column)
            axis.set_xlim(*data["grid"].values[column][[0, -1]])
            axis.set_ylim(*data["grid"].values[row][[0, -1]])
            despine(axis)
        label_axes(axis, data, row, column)
        if column == d - 1 and row < column:
            _label_right(axis, data, row)
    _legend(figure, data, ci_prob)
    write_note(figure, data)
    return root_of(figure)


def _draw_components(axis: "Axes", data: "xr.Dataset", row: int, column: int) -> None:
    pair = pair_number(data.sizes["feature"], row, column)
    draw_points(axis, data["x"].values[:, [column, row]], data["label"].values, alpha=0.6, zorder=1)
    draw_outlines(axis, data, pair, lw=0.4, alpha=0.25, zorder=2)
    for k in range(data.sizes["component"]):
        for ellipse, width in zip(data["ellipse"].values[pair, :, k], (1.0, 1.6), strict=True):
            axis.plot(*ellipse, color=colour(k), lw=width, zorder=3)


def _draw_density(axis: "Axes", data: "xr.Dataset", row: int, column: int) -> None:
    """Draw the density above the diagonal, transposed: the later column is on the horizontal axis."""
    pair = pair_number(data.sizes["feature"], row, column)
    coarse, density = data["coarse"].values, data["density"].values[pair].T
    heights = data["height"].values[pair][::-1]
    if heights[0] < heights[1] < density.max():
        axis.contourf(
            coarse[column],
            coarse[row],
            density,
            levels=[*heights, density.max()],
            colors=[grey(0.9), grey(0.78)],
            zorder=0,
        )
    centres, regions = data["centre"].values, data["region"].values[pair][:, ::-1]
    for k in range(data.sizes["component"]):
        x, y = centres[:, k, column], centres[:, k, row]
        if len(centres) == 1:
            axis.scatter(x, y, color=colour(k), marker="+", s=60, lw=1.5)
        else:
            axis.scatter(x, y, color=colour(k), marker=".", s=3, lw=0, alpha=0.5)
        axis.plot(*regions[k], color=colour(k), lw=1.2)


def _label_right(axis: "Axes", data: "xr.Dataset", row: int) -> None:
    """Label a row above the diagonal on its right: on its left is a panel of the diagonal, with densities."""
    axis.yaxis.tick_right()
    axis.yaxis.set_label_position("right")
    axis.tick_params(labelright=True)
    axis.spines["left"].set_visible(False)
    axis.spines["right"].set_visible(True)
    axis.set_ylabel(data["feature"].values[row])


def _legend(figure: "Figure | SubFigure", data: "xr.Dataset", ci_prob: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    counts = np.bincount(data["label"].values, minlength=data.sizes["component"])
    names, held = data["component"].values, np.flatnonzero(counts).tolist()
    marks: list[Line2D | Patch] = list(component_marks(data, held, lw=1.6, ms=4))
    if len(held) < len(names):
        marks.append(
            Line2D([], [], ls="", label=f"and {len(names) - len(held)} more, most probable for none of these points")
        )
    if data.sizes["feature"] > 1:
        marks += [
            Patch(color=grey(0.78), label=f"{INNER:.0%} of new points"),
            Patch(color=grey(0.9), label=f"{ci_prob:.0%} of new points"),
        ]
    columns = min(len(marks), 3 if data.sizes["feature"] > 2 else 2)
    figure.legend(handles=marks, loc="outside upper center", ncols=columns, frameon=False)
