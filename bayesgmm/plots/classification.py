"""Plots of the classes of points in two columns, with mclust's names: classification, uncertainty, boundaries."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.declared import probability
from bayesgmm.errors import DataError
from bayesgmm.labels.relabelling import aligned
from bayesgmm.plots.clusters import ellipses
from bayesgmm.plots.columns import show_columns, write_note
from bayesgmm.plots.panels import (
    component_marks,
    despine,
    draw_points,
    new_panel,
    place_legend,
    root_of,
)
from bayesgmm.plots.style import (
    colour,
    grey,
    grid,
    literal,
    marker,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import observed
from bayesgmm.posterior.subsets import marginal
from bayesgmm.predictions.predictive import assignments
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS = 120  # number of grid points along each column
DRAWS = 100  # maximum number of draws for the borders
COLUMNS = 2
LARGEST = 90.0  # area of the marker of a point between two components, in square points
SMALLEST = 3.0  # of a point that is certain


@takes_fit
def classification_data(fit: FitLike, columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "xr.Dataset":
    """Compute the data of ``classification`` and ``uncertainty``.

    Parameters
    ----------
    fit, columns, ci_prob
        As for ``classification``.

    Returns
    -------
    Dataset
        ``x`` [point, feature], two columns; ``label`` and ``uncertainty`` [point], one minus the largest probability;
        ``weight`` [component]; ``ellipse`` [component, axis, angle].

    Raises
    ------
    DataError
        When there is no such column, or there are not two.
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0], [8.0, 9.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> classification_data(fit)["label"].values
    array([0, 0, 0, 1, 1, 1])
    """
    ci_prob = probability("ci_prob", ci_prob)
    points, posterior = observed(fit), aligned(fit)
    shown = show_columns(posterior.columns, columns, posterior.parameters, COLUMNS)
    if len(shown.columns) != COLUMNS:
        count = len(shown.columns)
        raise DataError(f"this plot shows two columns, and there {'is' if count == 1 else 'are'} {count}")
    names = [posterior.columns[j] for j in shown.columns]
    data = classes(points.values[:, shown.columns], marginal(posterior, names).parameters, assignments(fit), ci_prob)
    return data.assign_coords(feature=names).assign_attrs(note=shown.note)


def classes(x: Array, p: Parameters, answer: "xr.Dataset", ci_prob: float) -> "xr.Dataset":
    """Return points (N, 2) with their labels from ``assignments``, and the ellipses of the mixture of two columns."""
    import xarray as xr

    outline = ellipses(p.mean.mean(axis=0), p.covariance.mean(axis=0), [0, 1], ci_prob)
    return xr.Dataset(
        {
            "x": (("point", "feature"), x),
            "label": ("point", answer["label"].values),
            "uncertainty": ("point", 1 - answer["probability"].values.max(axis=1)),
            "weight": ("component", p.weight.mean(axis=0)),
            "ellipse": (("component", "axis", "angle"), outline),
        },
        coords={"component": answer["component"].values},
    )


@takes_fit
@literal
def classification(
    fit: FitLike, columns: Sequence[str] | None = None, ci_prob: float = 0.9, *, ax: "Axes | None" = None
) -> "Figure":
    """Plot the most probable component of each point in two columns, with an ellipse for each component.

    Parameters
    ----------
    fit : DataTree or estimator
    columns : sequence of str, optional
        Two columns. Default: those in which the components differ most.
    ci_prob : float
        Probability of the ellipses.
    ax : Axes, optional
        Panel to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    DataError, DeclarationError, FitFileError
        As for ``classification_data``.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0], [8.0, 9.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = classification(fit)
    >>> figure.axes[0].get_xlabel()
    'x0'
    >>> plt.close(figure)
    """
    data = classification_data(fit, columns, ci_prob)
    axis = new_panel((6.0, 4.8), ax)
    draw_points(axis, data["x"].values, data["label"].values, alpha=0.85, zorder=2)
    _draw_ellipses(axis, data)
    return finished(axis, data, own=ax is None)


@takes_fit
@literal
def uncertainty(
    fit: FitLike, columns: Sequence[str] | None = None, ci_prob: float = 0.9, *, ax: "Axes | None" = None
) -> "Figure":
    """Plot the uncertainty of each point's component: the larger a point, the less certain.

    The uncertainty is one minus the probability of the most probable component, averaged over the posterior.

    Parameters
    ----------
    fit, columns, ci_prob, ax
        As for ``classification``.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    DataError, DeclarationError, FitFileError
        As for ``classification_data``.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0], [8.0, 9.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = uncertainty(fit)
    >>> figure.axes[0].get_ylabel()
    'x1'
    >>> plt.close(figure)
    """
    data = classification_data(fit, columns, ci_prob)
    axis = new_panel((6.0, 4.8), ax)
    x, label = data["x"].values, data["label"].values
    area = SMALLEST + (LARGEST - SMALLEST) * 2 * data["uncertainty"].values
    for k in np.unique(label).tolist():
        own = label == k
        axis.scatter(x[own, 0], x[own, 1], s=area[own], color=colour(k), marker=marker(k), lw=0, alpha=0.6, zorder=2)
    _draw_ellipses(axis, data)
    return finished(axis, data, own=ax is None)


@takes_fit
def boundary_data(fit: FitLike, columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "xr.Dataset":
    """Compute the data of ``boundaries``.

    Parameters
    ----------
    fit, columns, ci_prob
        As for ``boundaries``.

    Returns
    -------
    Dataset
        That of ``classification_data``, and ``region`` [up, across], the most probable component of a new point with
        these values in the two columns; ``agreement`` [up, across], the share of the draws in which it is that one.

    Raises
    ------
    DataError, DeclarationError, FitFileError
        As for ``classification_data``.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0], [8.0, 9.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> region = boundary_data(fit)["region"].values
    >>> int(region[0, 0]), int(region[-1, -1])
    (0, 1)
    """
    data = classification_data(fit, columns, ci_prob)
    names = data["feature"].values.tolist()
    return with_regions(data, marginal(aligned(fit, DRAWS), names).parameters)


def with_regions(data: "xr.Dataset", p: Parameters) -> "xr.Dataset":
    """Add the decision regions of the components to what ``classes`` returns, from draws of the mixture."""
    across, up = (grid(column, STEPS) for column in data["x"].values.T)
    cells = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    total, votes = np.zeros((len(cells), p.weight.shape[1])), np.zeros((len(cells), p.weight.shape[1]))
    for s in range(len(p.weight)):
        probabilities = _probabilities(cells, p, s)
        total += probabilities
        votes[np.arange(len(cells)), probabilities.argmax(axis=1)] += 1
    region = total.argmax(axis=1)
    agreement = votes[np.arange(len(cells)), region] / len(p.weight)
    dims, shape = ("up", "across"), (STEPS, STEPS)
    return data.assign(region=(dims, region.reshape(shape)), agreement=(dims, agreement.reshape(shape))).assign_coords(
        across=across, up=up
    )


def _probabilities(x: Array, p: Parameters, s: int) -> Array:
    """(N, K) probabilities of the components in one draw."""
    from scipy.special import softmax
    from scipy.stats import multivariate_normal

    log_density = [
        multivariate_normal(mean, covariance).logpdf(x)
        for mean, covariance in zip(p.mean[s], p.covariance[s], strict=True)
    ]
    with np.errstate(divide="ignore"):  # the weight of a component may be zero
        return softmax(np.stack(log_density, axis=1) + np.log(p.weight[s]), axis=1)


@takes_fit
@literal
def boundaries(
    fit: FitLike, columns: Sequence[str] | None = None, ci_prob: float = 0.9, *, ax: "Axes | None" = None
) -> "Figure":
    """Plot the decision regions of the components in two columns, with the credible region of their borders.

    A region has the colour of the component that is most probable for a new point of which only these two columns are
    known. In the hatched area, less than ``ci_prob`` of the draws agree on the component: the border passes
    somewhere there.

    Parameters
    ----------
    fit, columns, ax
        As for ``classification``.
    ci_prob : float
        Share of the draws that must agree on a component, and the probability of the ellipses.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    DataError, DeclarationError, FitFileError
        As for ``classification_data``.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0], [8.0, 9.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = boundaries(fit)
    >>> figure.axes[0].get_xlabel()
    'x0'
    >>> plt.close(figure)
    """
    return draw_regions(boundary_data(fit, columns, ci_prob), ci_prob, ax)


def draw_regions(data: "xr.Dataset", ci_prob: float, ax: "Axes | None") -> "Figure":
    """Draw what ``with_regions`` returns: regions, hatched where less than ``ci_prob`` of the draws agree; points."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    axis = new_panel((6.4, 5.0), ax)
    across, up, region = data["across"].values, data["up"].values, data["region"].values
    colours = ListedColormap([colour(k) for k in range(data.sizes["component"])])
    axis.pcolormesh(across, up, region, cmap=colours, vmin=-0.5, vmax=colours.N - 0.5, alpha=0.22, lw=0, zorder=0)
    for k in np.unique(region):
        axis.contour(across, up, region == k, levels=[0.5], colors=grey(0.25), linewidths=0.9, zorder=1)
    unsure = data["agreement"].values < ci_prob
    if unsure.any():
        axis.contourf(across, up, unsure, levels=[0.5, 1.5], colors="none", hatches=["//////"], zorder=1)
    draw_points(axis, data["x"].values, data["label"].values, alpha=0.85, zorder=2)
    label = f"less than {ci_prob:.0%} of the draws agree"
    more = [Patch(facecolor="none", edgecolor=grey(0.2), hatch="//////", label=label)] if unsure.any() else []
    return finished(axis, data, own=ax is None, more=more)


def _draw_ellipses(axis: "Axes", data: "xr.Dataset") -> None:
    for k, ellipse in enumerate(data["ellipse"].values):
        axis.plot(*ellipse, color=colour(k), lw=1.4, zorder=3)


def finished(axis: "Axes", data: "xr.Dataset", own: bool, more: "Sequence[Artist]" = ()) -> "Figure":
    """Label the axes, draw the legend, and write the note into a figure of its own; return the figure."""
    labels = [str(name) for name in data["feature"].values]
    axis.set(**dict(zip(("xlabel", "ylabel"), labels, strict=False)))
    despine(axis)
    marks = component_marks(data, range(data.sizes["component"]), ls="", ms=5)
    place_legend(axis, own, [*marks, *more])
    figure = root_of(axis)
    if own:
        write_note(figure, data)
    return figure
