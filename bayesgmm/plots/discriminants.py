"""A plot of the directions in which the clusters differ most."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.clusterings.discriminants import discriminant_plane as directions_of
from bayesgmm.labels.relabelling import aligned
from bayesgmm.plots.classification import DRAWS, classes, draw_regions, finished, with_regions
from bayesgmm.plots.panels import (
    new_panel,
)
from bayesgmm.plots.style import (
    colour,
    curves,
    grid,
    interval,
    literal,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.predictions.predictive import assignments
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import share

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED = 3  # maximum number of columns in the label of an axis
MINUS = "\N{MINUS SIGN}"
NAMED = 0.3  # minimum loading of a column in the label of an axis, relative to the largest


@takes_fit
def discriminant_plane_data(fit: FitLike, ci_prob: float = 0.9) -> "xr.Dataset":
    """Compute the data of ``discriminant_plane``.

    Parameters
    ----------
    fit, ci_prob
        As for ``discriminant_plane``.

    Returns
    -------
    Dataset
        ``x`` [point, feature], coordinates along the first two directions, which ``feature`` describes; ``label`` and
        ``uncertainty`` [point]; ``weight`` [component]. With two directions also what ``boundary_data`` returns. With
        one direction ``at`` [step], and there ``density`` [component, step] of each component times its weight, and
        ``band`` [component, step, ci_bound].

    Raises
    ------
    DeclarationError
        When the fit has one component, all components have the same mean, or ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [9.0, 0.0], [9.0, 1.0], [10.0, 0.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> discriminant_plane_data(fit)["label"].values
    array([0, 0, 0, 1, 1, 1])
    """
    answer = directions_of(fit, ci_prob=ci_prob)
    plane, labels = answer.isel(direction=slice(2)), assignments(fit)
    x, p = plane["coordinates"].values, _projected(aligned(fit, DRAWS).parameters, plane)
    one = plane.sizes["direction"] == 1
    data = _on_line(x, p, labels, ci_prob) if one else with_regions(classes(x, p, labels, ci_prob), p)
    count = answer.sizes["direction"]
    note = f"the first 2 of {count} directions" if count > 2 else ""
    return data.assign_coords(feature=_described(plane)).assign_attrs(note=note)


def _projected(p: Parameters, plane: "xr.Dataset") -> Parameters:
    """Return the mixture of the coordinates along some directions."""
    vector = plane["direction_vector"].values
    mean = (p.mean - plane["center"].values) @ vector.T
    return Parameters(p.weight, mean, vector @ p.covariance @ vector.T)


def _on_line(x: Array, p: Parameters, labels: "xr.Dataset", ci_prob: float) -> "xr.Dataset":
    """Return coordinates (N, 1) with their labels, and the densities of the components along the one direction."""
    import xarray as xr

    at = grid(x[:, 0])
    each = curves(at, p.weight, p.mean[..., 0], p.covariance[..., 0, 0])
    return xr.Dataset(
        {
            "x": (("point", "feature"), x),
            "label": ("point", labels["label"].values),
            "uncertainty": ("point", 1 - labels["probability"].values.max(axis=1)),
            "weight": ("component", p.weight.mean(axis=0)),
            "density": (("component", "step"), each.mean(axis=0)),
            "band": (("component", "step", "ci_bound"), interval(each, ci_prob)),
        },
        coords={"component": labels["component"].values, "at": ("step", at), "ci_bound": ["lower", "upper"]},
    )


def _described(plane: "xr.Dataset") -> list[str]:
    """Describe each direction: its number, its share, and the columns with the largest loadings, with their signs."""
    texts = []
    for number, part, loading in zip(plane["direction"].values, plane["share"], plane["loading"].values, strict=True):
        order = np.argsort(-np.abs(loading), kind="stable")[:MAX_NAMED]
        large = [j for j in order if abs(loading[j]) >= NAMED * abs(loading).max()]
        names = [f"{'' if loading[j] > 0 else MINUS}{plane['feature'].values[j]}" for j in large]
        texts.append(f"direction {number} ({share(float(part))}): {', '.join(names)}")
    return texts


@takes_fit
@literal
def discriminant_plane(fit: FitLike, ci_prob: float = 0.9, *, ax: "Axes | None" = None) -> "Figure":
    """Plot the points in the two directions in which the clusters differ most, with the regions of the components.

    The label of an axis has the share of the direction in the sum of the eigenvalues, and the columns with the largest
    loadings, with their signs. A region has the colour of the component that is most probable for a new point of which
    only these two coordinates are known; in the hatched area less than ``ci_prob`` of the draws agree. Two clusters
    differ in one direction: then the plot shows the points along it as a histogram, and the density of each component
    with a band.

    Parameters
    ----------
    fit : DataTree or estimator
        With at least two components.
    ci_prob : float
        Share of the draws that must agree on a component, and the probability of the bands.
    ax : Axes, optional
        Panel to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    DeclarationError, FitFileError
        As for ``discriminant_plane_data``.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [9.0, 0.0], [9.0, 1.0], [10.0, 0.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = discriminant_plane(fit)
    >>> figure.axes[0].get_ylabel()
    'density'
    >>> plt.close(figure)
    """
    data = discriminant_plane_data(fit, ci_prob)
    return _draw_line(data, ax) if data.sizes["feature"] == 1 else draw_regions(data, ci_prob, ax)


def _draw_line(data: "xr.Dataset", ax: "Axes | None") -> "Figure":
    """Draw a histogram of the points by component, and the density of each component with its band."""
    axis = new_panel((6.4, 4.2), ax)
    x, label, at = data["x"].values[:, 0], data["label"].values, data["at"].values
    edges = np.histogram_bin_edges(x, bins="auto")
    for k, (line, band) in enumerate(zip(data["density"].values, data["band"].values, strict=True)):
        own = x[label == k]
        axis.hist(
            own, edges.tolist(), weights=np.full(len(own), 1 / len(x) / np.diff(edges)[0]), color=colour(k), alpha=0.25
        )
        axis.fill_between(at, *band.T, color=colour(k), alpha=0.3, lw=0)
        axis.plot(at, line, color=colour(k), lw=1.6)
    axis.set_ylabel("density")
    return finished(axis, data, own=ax is None)
