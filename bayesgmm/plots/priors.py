"""Plot of the prior predictive distribution, with the data."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.declared import probability
from bayesgmm.errors import FitFileError
from bayesgmm.keywords import checks_keywords
from bayesgmm.plots.columns import show_columns, write_note
from bayesgmm.plots.panels import (
    despine,
    panel_grid,
    root_of,
)
from bayesgmm.plots.style import (
    COLOURS,
    OUTLINES,
    curves,
    grey,
    grid,
    interval,
    literal,
)
from bayesgmm.posterior.info import declaration
from bayesgmm.posterior.schema import observed
from bayesgmm.predictions.elicitation import elicit

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


@checks_keywords
def prior_data(tree: "xr.DataTree", columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "xr.Dataset":
    """Compute the data of ``prior``.

    Parameters
    ----------
    tree, columns, ci_prob
        As for ``prior``.

    Returns
    -------
    Dataset
        ``x`` [point, feature], the data; ``grid`` [feature, step], over the data and the simulations; ``curve``
        [feature, draw, step], densities of some mixtures from the prior; ``band`` [feature, ci_bound], the prior
        predictive interval of ``ci_prob`` of new points; ``probability`` [n_clusters], of the number of components that
        hold a point.

    Raises
    ------
    FitFileError
        When ``tree`` is not from ``prior_predictive``.
    DataError
        When there is no such column.
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> tree = bg.prior_predictive(bg.MixtureModel(2), [[0.0], [1.0], [5.0]], draws=50, seed=1)
    >>> prior_data(tree)["n_clusters"].values
    array([1, 2])
    """
    import xarray as xr

    if "prior_predictive" not in getattr(tree, "children", {}):
        raise FitFileError("this is not a result of prior_predictive")
    ci_prob = probability("ci_prob", ci_prob)
    names = observed(tree).columns
    shown = show_columns(names, columns)
    chosen = shown.columns
    x = observed(tree).values[:, chosen]
    simulated = tree["prior_predictive"].to_dataset()["x"].values.reshape(-1, len(names))[:, chosen]
    bands = interval(simulated, ci_prob)
    edges = np.stack([np.minimum(bands[:, 0], x.min(axis=0)), np.maximum(bands[:, 1], x.max(axis=0))], axis=1)
    grids = np.stack([grid(edge) for edge in edges])
    some = tree["prior"].to_dataset().isel(chain=0, draw=slice(OUTLINES))
    weight, mean, covariance = (some[name].values for name in ("weight", "mean", "covariance"))
    lines = [
        curves(at, weight, mean[..., j], covariance[..., j, j]).sum(axis=1) for at, j in zip(grids, chosen, strict=True)
    ]
    clusters = elicit(declaration(tree), len(x))["probability"]
    return xr.Dataset(
        {
            "x": (("point", "feature"), x),
            "grid": (("feature", "step"), grids),
            "curve": (("feature", "draw", "step"), np.stack(lines)),
            "band": (("feature", "ci_bound"), bands),
            "probability": ("n_clusters", clusters.values),
        },
        coords={
            "feature": [names[j] for j in chosen],
            "ci_bound": ["lower", "upper"],
            "n_clusters": clusters["n_clusters"].values,
        },
        attrs={"ci_prob": ci_prob, "note": shown.note},
    )


@literal
def prior(
    tree: "xr.DataTree",
    columns: Sequence[str] | None = None,
    ci_prob: float = 0.9,
    *,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure":
    """Plot the prior predictive distribution, with the data, before any fit.

    A panel for each column: the data (grey), the densities of 25 mixtures from the prior, and a bar for the prior
    predictive interval of ``ci_prob`` of new points. Last panel: the prior of the number of clusters in a sample
    of as many points as the data have.

    Parameters
    ----------
    tree : DataTree
        From ``prior_predictive``.
    columns : sequence of str, optional
        Columns to show. Default: the first six.
    ci_prob : float
        Probability of the prior predictive interval.
    figure : Figure or SubFigure, optional
        Empty figure, or part of one, to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panels.

    Raises
    ------
    FitFileError
        When ``tree`` is not from ``prior_predictive``.
    DataError
        When there is no such column.
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> tree = bg.prior_predictive(bg.MixtureModel(2), [[0.0], [1.0], [5.0]], draws=50, seed=1)
    >>> figure = prior(tree)
    >>> figure.axes[0].get_xlabel()
    'x0'
    >>> plt.close(figure)
    """
    data = prior_data(tree, columns, ci_prob)
    figure, axes = panel_grid(data.sizes["feature"] + 1, 4.0, 2.9, figure)
    for j, axis in enumerate(axes[:-1]):
        _draw_prior(axis, data, j)
    _draw_clusters(axes[-1], data)
    write_note(figure, data)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False)
    return root_of(figure)


def _draw_prior(axis: "Axes", data: "xr.Dataset", j: int) -> None:
    at, lines = data["grid"].values[j], data["curve"].values[j]
    heights, edges = np.histogram(data["x"].values[:, j], bins="auto", density=True)
    axis.stairs(heights, edges, fill=True, color=grey(0.6), label="data")
    drawn = axis.plot(at, lines.T, color=COLOURS[0], lw=0.7, alpha=0.4)
    drawn[0].set_label("mixtures from the prior")
    # a narrow peak in one mixture must neither leave the frame nor flatten the others
    axis.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    axis.set_ylim(0, 1.1 * max(heights.max(), lines.max()))
    axis.hlines(0, *data["band"].values[j], color=COLOURS[5], lw=6, label=f"{data.attrs['ci_prob']:.0%} of new points")
    axis.set_xlabel(str(data["feature"].values[j]))
    axis.set_ylabel("density (square-root scale)")
    axis.locator_params(axis="y", nbins=4)
    despine(axis)


def _draw_clusters(axis: "Axes", data: "xr.Dataset") -> None:
    axis.bar(data["n_clusters"].values, data["probability"].values, color=COLOURS[0])
    axis.set_xlabel(f"clusters among {data.sizes['point']} points")
    axis.set_ylabel("prior probability")
    axis.locator_params(axis="x", integer=True)
    despine(axis)
