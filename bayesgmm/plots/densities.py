"""Plot of the density, with its posterior uncertainty."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import as_points
from bayesgmm.declared import probability
from bayesgmm.errors import DataError
from bayesgmm.labels.relabelling import aligned
from bayesgmm.plots.backends import is_interactive
from bayesgmm.plots.columns import show_columns, write_note
from bayesgmm.plots.panels import (
    despine,
    draw_histogram,
    draw_legend,
    label_height,
    pair_number,
    root_of,
    row_weights,
    triangle,
)
from bayesgmm.plots.style import (
    COLOURS,
    HELD,
    OUTLINES,
    TINTS,
    colour,
    curves,
    grey,
    grid,
    held_by,
    literal,
    marker_area,
    tint,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import Posterior, holds_points, observed
from bayesgmm.posterior.subsets import marginal, places
from bayesgmm.predictions.conditionals import conditional
from bayesgmm.predictions.densities import DRAWS, kept, spread
from bayesgmm.predictions.predictive import default_grid
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

STEPS = 60  # number of grid points along each of two columns
MAX_SHOWN = 5_000  # maximum number of points in a panel


@takes_fit
def density_data(
    fit: FitLike,
    columns: Sequence[str] | None = None,
    given: Mapping[str, float] | None = None,
    ci_prob: float = 0.9,
) -> "xr.Dataset":
    """Compute the data of ``density``.

    Parameters
    ----------
    fit, columns, given, ci_prob
        As for ``density``.

    Returns
    -------
    Dataset
        ``x`` [point, feature] and ``row_weight`` [point], the data (not with ``given``); ``grid`` [feature, step], and
        on it ``density`` [feature, step], ``band`` [feature, step, ci_bound] and ``component_density``
        [feature, step, component]; for each pair of columns ``place`` [pair, axis, cell], ``pair_density`` [pair, cell,
        cell_bis] (the first column of the pair along ``cell``), and ``pair_draws`` [pair, draw, cell, cell_bis] of some
        draws. Densities are in one over the product of the columns' units.

    Raises
    ------
    DataError
        When there is no such column, or all columns are given.
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> data = density_data(fit)
    >>> bool(data["density"].max() > data["component_density"].max() * 0.99)
    True
    """
    import xarray as xr

    ci_prob, posterior = probability("ci_prob", ci_prob), aligned(fit, None if given else DRAWS)
    given = {str(name): float(value) for name, value in (given or {}).items()}
    posterior, note = _conditional(posterior, given, columns)
    points = observed(fit) if holds_points(fit) and not given else None
    x = None if points is None else points.values[:, places(points.columns, posterior.columns)]
    grids = np.stack([_axis(posterior, j, x) for j in range(len(posterior.columns))])
    data = _marginals(posterior, grids, ci_prob)
    if points is not None and x is not None:
        weight = row_weights(points.weights, len(x))
        data = data.assign(x=(("point", "feature"), x), row_weight=("point", weight))
    pairs = list(combinations(range(len(posterior.columns)), 2))
    if pairs:
        data = xr.merge([data, _pairs(posterior, grids, pairs)])
    values = ", ".join(f"{name} = {value:g}" for name, value in given.items())
    return data.assign_attrs(ci_prob=ci_prob, given=values, note=note)


def _conditional(posterior: Posterior, given: dict[str, float], columns: Sequence[str] | None) -> tuple[Posterior, str]:
    """Return the posterior of the columns to show, given the values of others, and a note about the choice.

    Raises
    ------
    DataError
        When there is no such column, or all columns are given.
    """
    places(posterior.columns, [*given])
    free = tuple(name for name in posterior.columns if name not in given)
    if not free:
        raise DataError(f"all columns are given ({', '.join(given)}): there is no column left to draw")
    rest = conditional(posterior, given, free, "predictive", DRAWS)
    shown = show_columns(free, columns, rest.parameters)
    return marginal(rest, [free[j] for j in shown.columns]), shown.note


def _axis(posterior: Posterior, j: int, x: Array | None) -> Array:
    """Make a grid along a column, over the data or over nearly all of the probability."""
    if x is not None:
        return grid(x[:, j])
    return default_grid(marginal(posterior, [posterior.columns[j]])).values[:, 0]


def _marginals(posterior: Posterior, grids: Array, ci_prob: float) -> "xr.Dataset":
    import xarray as xr

    p = posterior.parameters
    spreads = [
        spread(marginal(posterior, [name]), at[:, None], ci_prob)
        for name, at in zip(posterior.columns, grids, strict=True)
    ]
    lines = [curves(at, p.weight, p.mean[..., j], p.covariance[..., j, j]).mean(axis=0).T for j, at in enumerate(grids)]
    return xr.Dataset(
        {
            "grid": (("feature", "step"), grids),
            "density": (("feature", "step"), np.exp([of.log_mean for of in spreads])),
            "band": (("feature", "step", "ci_bound"), np.exp([of.log_band for of in spreads])),
            "component_density": (("feature", "step", "component"), np.stack(lines)),
        },
        coords={"feature": list(posterior.columns), "ci_bound": ["lower", "upper"]},
    )


def _pairs(posterior: Posterior, grids: Array, pairs: list[tuple[int, int]]) -> "xr.Dataset":
    import xarray as xr

    names = posterior.columns
    coarse = np.stack([np.linspace(at[0], at[-1], STEPS) for at in grids])
    means, draws = [], []
    for a, b in pairs:
        of_pair = marginal(posterior, [names[a], names[b]])
        cells = np.stack(np.meshgrid(coarse[a], coarse[b], indexing="ij"), axis=-1).reshape(-1, 2)
        points = as_points(cells, of_pair.columns).values
        means.append(np.exp(spread(of_pair, points).log_mean).reshape(STEPS, STEPS))
        draws.append(np.exp(kept(of_pair.thin(OUTLINES), points)).reshape(-1, STEPS, STEPS))
    return xr.Dataset(
        {
            "place": (("pair", "axis", "cell"), np.stack([coarse[[a, b]] for a, b in pairs])),
            "pair_density": (("pair", "cell", "cell_bis"), np.stack(means)),
            "pair_draws": (("pair", "draw", "cell", "cell_bis"), np.stack(draws)),
        },
        coords={"pair": [f"{names[a]}, {names[b]}" for a, b in pairs]},
    )


@takes_fit
@literal
def density(
    fit: FitLike,
    columns: Sequence[str] | None = None,
    given: Mapping[str, float] | None = None,
    ci_prob: float = 0.9,
    *,
    backend: str = "matplotlib",
    figure: "Figure | SubFigure | None" = None,
) -> Any:
    """Plot the density with its posterior uncertainty, for each column and each pair of columns.

    On the diagonal, each column: a histogram of the data, the posterior mean density with its credible band, and its
    components. Below, each pair: shaded regions contain 50, 80 and 95 % of the probability. Each thin line is the edge
    of the 95 % region in one of 25 draws: where the lines scatter, the edge is uncertain.

    Parameters
    ----------
    fit : DataTree or estimator
    columns : sequence of str, optional
        Columns to show. Default: the six in which the components differ most.
    given : mapping of column to number, optional
        Values of other columns, in data units: plot the conditional densities of a new point with these values, as
        ``conditional_density`` does.
    ci_prob : float
        Probability of the band.
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
    DataError, DeclarationError, FitFileError
        As for ``density_data``.
    MissingExtra
        When plotly is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = density(fit)
    >>> len(figure.axes)
    1
    >>> plt.close(figure)
    """
    if is_interactive(backend, figure):
        from bayesgmm.plots import interactive

        return interactive.draw_density(fit, density_data(fit, columns, given, ci_prob))
    return draw_density(density_data(fit, columns, given, ci_prob), figure)


def draw_density(data: "xr.Dataset", figure: "Figure | SubFigure | None" = None) -> "Figure":
    """Draw the data of ``density``."""
    figure = triangle(data, _draw_marginal, _draw_pair, figure)
    _legend(figure, data)
    write_note(figure, data)
    return root_of(figure)


def _draw_marginal(axis: "Axes", data: "xr.Dataset", j: int) -> None:
    at = data["grid"].values[j]
    if "x" in data:
        draw_histogram(axis, data, j)
        if data.sizes["feature"] == 1:
            axis.plot(
                data["x"].values[:, 0],
                np.zeros(data.sizes["point"]),
                "|",
                color=grey(0.3),
                ms=9,
                mew=0.7,
                clip_on=False,
            )
    for k in range(data.sizes["component"]):
        axis.plot(at, data["component_density"].values[j, :, k], color=colour(k), lw=1.2, ls="--", zorder=5)
    axis.fill_between(at, *data["band"].values[j].T, color=grey(0.3), alpha=0.35, lw=0, zorder=3)
    axis.plot(at, data["density"].values[j], color=grey(0.0), lw=1.6, zorder=4)
    axis.set_ylim(bottom=0)
    axis.set_xlim(at[0], at[-1])
    label_height(axis, alone=data.sizes["feature"] == 1)


def _draw_pair(axis: "Axes", data: "xr.Dataset", row: int, column: int) -> None:
    from matplotlib.collections import LineCollection

    pair = pair_number(data.sizes["feature"], row, column)
    across, up = data["place"].values[pair]
    mean = data["pair_density"].values[pair].T
    levels = np.unique([*held_by(mean, HELD), mean.max() * (1 + 1e-9)])
    shades = [tint(COLOURS[0], level) for level in TINTS[-(len(levels) - 1) :]]
    axis.contourf(across, up, mean, levels=levels, colors=shades, zorder=0)
    edges = [line for draw in data["pair_draws"].values[pair] for line in _edges(across, up, draw)]
    axis.add_collection(LineCollection(edges, colors=COLOURS[0], lw=0.4, alpha=0.45))
    if "x" in data:
        shown = np.linspace(0, data.sizes["point"] - 1, min(data.sizes["point"], MAX_SHOWN)).astype(int)
        x = data["x"].values[shown]
        area = marker_area(len(x), total=900, minimum=0.5, maximum=8)
        axis.scatter(x[:, column], x[:, row], s=area, color=grey(0.15), lw=0, alpha=0.8, zorder=3)
    despine(axis)


def _edges(across: Array, up: Array, density: Array) -> list[Array]:
    """Return the edges (points, 2) of the region that contains 95 % of a density (across, up)."""
    from contourpy import contour_generator

    lines: Any = contour_generator(across, up, density.T).lines(float(held_by(density, HELD[-1:])[0]))
    return list(lines)


def _legend(figure: "Figure | SubFigure", data: "xr.Dataset") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks: list[Line2D | Patch] = [Line2D([], [], color=grey(0.0), lw=1.6, label="density, posterior mean")]
    if np.isfinite(data["band"].values).all():
        marks.append(Patch(color=grey(0.3), alpha=0.35, lw=0, label=f"{data.attrs['ci_prob']:.0%} credible band"))
    marks.append(Line2D([], [], color=grey(0.4), lw=1, ls="--", label="components"))
    if data.sizes["feature"] > 1:
        shares = zip(TINTS[::-1], HELD, strict=True)
        marks += [
            Patch(color=tint(COLOURS[0], level), lw=0, label=f"{share:.0%} of the probability")
            for level, share in shares
        ]
        if data.sizes["draw"] > 1:
            marks.append(Line2D([], [], color=COLOURS[0], lw=0.6, label="edge of 95 % in one draw"))
    draw_legend(figure, data, marks, ncols=3, title=f"given {data.attrs['given']}" if data.attrs["given"] else None)
