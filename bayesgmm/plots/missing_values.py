"""Plots of missing values: which columns are missing together, and imputed values with their uncertainty."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import DataLike
from bayesgmm.errors import DataError
from bayesgmm.plots.columns import named_columns, show_columns, write_note
from bayesgmm.plots.panels import (
    despine,
    new_panels,
    panel_grid,
    root_of,
)
from bayesgmm.plots.style import (
    COLOURS,
    grey,
    literal,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import points_for
from bayesgmm.predictions.imputations import impute
from bayesgmm.wording import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

PATTERNS = 15  # maximum number of patterns that are shown
IMPUTED = 60  # maximum number of imputed values of a column that are shown
DRAWS = 400  # imputations for the intervals
MISSING, OBSERVED = COLOURS[5], 0.85  # a colour, and a grey


@takes_fit
def missing_data(fit: FitLike, data: DataLike | None = None) -> "xr.Dataset":
    """Compute the data of ``missing``.

    Parameters
    ----------
    fit, data
        As for ``missing``.

    Returns
    -------
    Dataset
        ``missing`` [pattern, feature], the columns that are missing together; ``count`` [pattern], the number of rows
        with each pattern, in decreasing order; ``total`` [feature], the number of missing values of each column.

    Raises
    ------
    DataError
        When no value is missing, or the data do not have the columns of the fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[0.0, 1.0], [1.0, np.nan], [3.0, np.nan], [4.0, 6.0], [5.0, 5.0]]
    >>> fit = bg.fit(bg.MixtureModel(1), x, "em", progress=False)
    >>> missing_data(fit)["count"].values
    array([3, 2])
    """
    import xarray as xr

    points = points_for(fit, data)
    _require_gaps(points.has_gaps)
    cells = np.isnan(points.values)
    patterns, counts = np.unique(cells, axis=0, return_counts=True)
    order = np.lexsort([patterns.sum(axis=1), -counts])
    return xr.Dataset(
        {
            "missing": (("pattern", "feature"), patterns[order]),
            "count": ("pattern", counts[order]),
            "total": ("feature", cells.sum(axis=0)),
        },
        coords={"feature": list(points.columns)},
    )


@takes_fit
@literal
def missing(fit: FitLike, data: DataLike | None = None, *, figure: "Figure | SubFigure | None" = None) -> "Figure":
    """Plot which columns are missing together, and how often.

    Each row of the figure is a pattern: the columns that are missing in the same rows of the data. At most 15 patterns
    are shown, the most frequent first.

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    figure : Figure or SubFigure, optional
        Empty figure, or part of one, to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panels.

    Raises
    ------
    DataError
        When no value is missing, or the data do not have the columns of the fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(2), bg.datasets.iris(missing=0.1).drop(columns="species"), "em", progress=False)
    >>> figure = missing(fit)
    """
    return draw_missing(missing_data(fit, data), figure)


def draw_missing(found: "xr.Dataset", figure: "Figure | SubFigure | None" = None) -> "Figure":
    """Draw the data of ``missing``."""
    n_patterns, total = found.sizes["pattern"], int(found["count"].sum())
    shown = found.isel(pattern=slice(PATTERNS))
    height, width = shown.sizes["pattern"], found.sizes["feature"]
    size = (max(5.5, 0.7 * width + 3.5), 1.6 + 0.32 * height)
    figure, ((grid, bars),) = new_panels((1, 2), size, figure, width_ratios=(max(width, 3), 3), sharey="row")
    i, j = np.nonzero(shown["missing"].values)
    every = np.argwhere(np.ones((height, width)))
    grid.scatter(every[:, 1], every[:, 0], s=90, marker="s", color=grey(OBSERVED))
    grid.scatter(j, i, s=90, marker="s", color=MISSING)
    names = [f"{name}\n{int(n):,}" for name, n in zip(found["feature"].values, found["total"].values, strict=True)]
    grid.set_xticks(np.arange(width), names, rotation=90 if width > 6 else 0)
    grid.set_yticks([])
    grid.invert_yaxis()
    grid.set_title("missing columns, and values", fontsize="medium", loc="left")
    grid.spines[["top", "right", "left", "bottom"]].set_visible(False)
    counts = shown["count"].values
    bars.barh(np.arange(height), counts, color=grey(0.6))
    for place, count in enumerate(counts):
        bars.annotate(f" {count:,}", (count, place), va="center", fontsize="small")
    more = "" if n_patterns <= PATTERNS else f"; {n_patterns - PATTERNS} more patterns are not shown"
    bars.set_title(f"rows, of {total:,}{more}", fontsize="medium", loc="left")
    bars.margins(x=0.15)
    despine(bars)
    return root_of(figure)


@takes_fit
def imputation_data(
    fit: FitLike, data: DataLike | None = None, columns: "Sequence[str] | None" = None, *, seed: int = 0
) -> "xr.Dataset":
    """Compute the data of ``imputations``.

    Parameters
    ----------
    fit, data, columns, seed
        As for ``imputations``.

    Returns
    -------
    Dataset
        For each missing value: ``row`` [cell], ``column`` [cell], ``mean`` [cell], and ``interval`` [cell, level,
        ci_bound], equal-tailed, at levels 0.5 and 0.9; sorted by column and mean. ``x`` [point, feature], the data.

    Raises
    ------
    DataError
        When no value is missing, or the data do not have the columns.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[0.0, 0.1], [1.0, 0.9], [2.0, 2.1], [3.0, 2.9], [4.0, 4.0], [5.0, np.nan]]
    >>> fit = bg.fit(bg.MixtureModel(1), x, "em", progress=False)
    >>> imputation_data(fit)["mean"].values.round(1)
    array([4.9])
    """
    import xarray as xr

    answer = impute(fit, data, DRAWS, seed=seed)
    cells, levels = answer["missing"].values, (0.5, 0.9)
    _require_gaps(bool(cells.any()))
    names = tuple(map(str, answer["feature"].values))
    lacking = [j for j in range(len(names)) if cells[:, j].any()]
    shown = show_columns(tuple(names[j] for j in lacking), None)
    asked = [lacking[j] for j in shown.columns] if columns is None else named_columns(names, columns)
    chosen = [j for j in asked if j in lacking]
    row, column = np.nonzero(cells[:, chosen])
    column = np.array(chosen)[column]
    mean = answer["mean"].values[row, column]
    order = np.lexsort([mean, column])
    row, column, mean = row[order], column[order], mean[order]
    tails = [[(1 - level) / 2, (1 + level) / 2] for level in levels]
    bounds = np.quantile(answer["draws"].values[:, row, column], tails, axis=0)
    seen = np.where(cells, np.nan, answer["draws"].values[0])
    return xr.Dataset(
        {
            "row": ("cell", answer["point"].values[row]),
            "column": ("cell", np.array(names)[column]),
            "mean": ("cell", mean),
            "interval": (("cell", "level", "ci_bound"), bounds.transpose(2, 0, 1)),
            "x": (("point", "feature"), seen),
        },
        coords={"level": [*levels], "ci_bound": ["lower", "upper"], "feature": list(names)},
        attrs={"note": f"{shown.note} with missing values" if shown.note and columns is None else ""},
    )


@takes_fit
@literal
def imputations(
    fit: FitLike,
    data: DataLike | None = None,
    columns: "Sequence[str] | None" = None,
    *,
    seed: int = 0,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure":
    """Plot imputed values with 50 % and 90 % intervals, beside the observed values of their column.

    A panel for each column with missing values; at most 60 of them are shown, evenly spaced in the order of their
    means. Short marks at the edge are the observed values: an interval as wide as these tells nothing.

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    columns : sequence of str, optional
        Columns to show. Default: the first six with missing values.
    seed : int
        Seed of the imputations.
    figure : Figure or SubFigure, optional
        Empty figure, or part of one, to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panels.

    Raises
    ------
    DataError
        When no value is missing, or the data do not have the columns.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(2), bg.datasets.iris(missing=0.1).drop(columns="species"), "em", progress=False)
    >>> figure = imputations(fit, columns=["petal_length"])
    """
    found = imputation_data(fit, data, columns, seed=seed)
    names = list(dict.fromkeys(found["column"].values.tolist()))
    figure, axes = panel_grid(len(names), 3.2, 3.0, figure)
    for axis, name in zip(axes, names, strict=True):
        _draw_column(axis, found.isel(cell=found["column"].values == name), name)
    write_note(figure, found)
    return root_of(figure)


def _draw_column(axis: "Axes", found: "xr.Dataset", name: str) -> None:
    """Draw the imputed values of one column."""
    count = found.sizes["cell"]
    shown = found.isel(cell=np.unique(np.linspace(0, count - 1, min(count, IMPUTED)).round().astype(int)))
    place, bounds = np.arange(shown.sizes["cell"]), shown["interval"].values
    for level, width in ((1, 1.0), (0, 3.0)):
        axis.vlines(place, bounds[:, level, 0], bounds[:, level, 1], color=COLOURS[0], lw=width)
    axis.plot(place, shown["mean"].values, "o", color=COLOURS[5], ms=3)
    seen = found["x"].sel(feature=name).values
    edge = -0.04 * max(len(place), 10) - 0.5
    axis.plot(np.full(seen.size, edge), seen, "_", color=grey(0.4), ms=8, alpha=0.4)
    axis.set_xticks([])
    axis.set_title(name, fontsize="medium")
    axis.set_xlabel(plural(count, "missing value") + (f", {len(place)} shown" if len(place) < count else ""))
    despine(axis)


def _require_gaps(has_gaps: bool) -> None:
    """Raise DataError if no value is missing."""
    if not has_gaps:
        raise DataError("no value is missing")
