"""Pictures of a fit. Each is first data, an xarray object that can be tested, and then a figure."""

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm._declared import probability
from bayesgmm.data import column_names, listing
from bayesgmm.elicitation import elicit
from bayesgmm.errors import DataError, FitFileError, did_you_mean
from bayesgmm.posterior import declaration, observed, unpack
from bayesgmm.predictive import assignments as assign
from bayesgmm.stats import Array

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito (2008): told apart by every kind of colour vision. A component has its colour in every figure.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
OUTLINES = 25  # draws whose outlines are shown
CURVES = 400  # draws that a band is made from
MOST_COLUMNS = 6  # more panels than this cannot be read
RINGED = 0.1  # uncertainty from which a point gets a ring


def colour(component: int) -> str:
    """The colour of a component."""
    return COLOURS[component % len(COLOURS)]


def assignment_data(fit: "xr.DataTree", columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "xr.Dataset":
    """What ``assignments`` draws.

    Returns
    -------
    Dataset
        ``x`` [point, feature], ``label`` and ``uncertainty`` [point]; ``grid`` [feature, step], and on it
        ``marginal`` [feature, step, component] (weighted density of each component), ``band`` [feature, step, ci_bound]
        of their sum; ``outline`` [pair, draw, component, axis, angle]: ellipses that hold ``ci_prob`` of a
        component, one for each of some draws.
    """
    import xarray as xr

    ci_prob = probability("ci_prob", ci_prob)
    points, posterior = observed(fit), unpack(fit)
    chosen = _choose_columns(posterior.columns, columns)
    names = [posterior.columns[j] for j in chosen]
    x = points.values[:, chosen]
    p = posterior.thin(CURVES).parameters
    grids = np.stack([_grid(column) for column in x.T])
    curves = [
        _curves(grid, p.weight, p.mean[..., j], p.covariance[..., j, j]) for grid, j in zip(grids, chosen, strict=True)
    ]
    tail = (1 - ci_prob) / 2
    bands = [np.quantile(curve.sum(axis=1), [tail, 1 - tail], axis=0).T for curve in curves]
    few = posterior.thin(OUTLINES).parameters
    pairs = list(combinations(range(len(chosen)), 2))
    outlines = [_ellipses(few.mean, few.covariance, [chosen[a], chosen[b]], ci_prob) for a, b in pairs]
    labels = assign(fit)
    data = xr.Dataset(
        {
            "x": (("point", "feature"), x),
            "label": ("point", labels["label"].values),
            "uncertainty": ("point", labels["uncertainty"].values),
            "grid": (("feature", "step"), grids),
            "marginal": (("feature", "step", "component"), np.stack([c.mean(axis=0).T for c in curves])),
            "band": (("feature", "step", "ci_bound"), np.stack(bands)),
        },
        coords={"feature": names, "ci_bound": ["lower", "upper"], "component": labels["component"].values},
    )
    if not pairs:
        return data
    dims = ("pair", "draw", "component", "axis", "angle")
    pair_names = [f"{names[a]}, {names[b]}" for a, b in pairs]
    return data.assign(outline=(dims, np.stack(outlines))).assign_coords(pair=pair_names)


def _choose_columns(known: tuple[str, ...], wanted: Sequence[str] | None) -> list[int]:
    if wanted is None:
        return list(range(min(len(known), MOST_COLUMNS)))
    names = column_names(wanted)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, dict.fromkeys(known))
            raise DataError(f"the fit has no column {name!r}; it has {listing(known)}{hint}")
    return [known.index(name) for name in names]


def _grid(column: Array, steps: int = 200) -> Array:
    margin = 0.08 * (np.ptp(column) or 1.0)
    return np.linspace(column.min() - margin, column.max() + margin, steps)


def _curves(grid: Array, weight: Array, mean: Array, variance: Array) -> Array:
    """(S, K, steps) weighted one-dimensional densities."""
    z = (grid - mean[..., None]) / np.sqrt(variance)[..., None]
    return weight[..., None] * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi * variance)[..., None]


def _ellipses(mean: Array, covariance: Array, pair: list[int], ci_prob: float, steps: int = 73) -> Array:
    """(S, K, 2, steps) outlines in the plane of two columns."""
    from scipy.stats import chi2

    angle = np.linspace(0, 2 * np.pi, steps)
    circle = np.sqrt(chi2(2).ppf(ci_prob)) * np.stack([np.cos(angle), np.sin(angle)])
    chol = np.linalg.cholesky(covariance[..., pair, :][..., pair])
    return mean[..., pair][..., None] + chol @ circle


def assignments(fit: "xr.DataTree", columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "Figure":
    """Points by cluster, doubtful ones ringed, with the posterior's own doubt about where the clusters are.

    Below the diagonal, each pair of columns: points in the colour of their most probable component, with a ring that
    grows with the uncertainty of its label; thin outlines hold ``ci_prob`` of a component, one for each of 25 draws.
    On the diagonal, each column: the data, the components, and a credible band of the density. A lone column gets a
    rug of its points.

    Parameters
    ----------
    fit : DataTree
    columns : sequence of str, optional
        Columns to show; the first six unless told.
    ci_prob : float
        Probability that outlines hold, and of the band.
    """
    import matplotlib.pyplot as plt

    data = assignment_data(fit, columns, ci_prob)
    d = data.sizes["feature"]
    size = 2.6 * d if d > 1 else 6.5
    figure, axes = plt.subplots(d, d, figsize=(size, size if d > 1 else 4.2), squeeze=False, layout="constrained")
    for row in range(d):
        for column in range(d):
            axis = axes[row, column]
            if column > row:
                axis.set_visible(False)
            elif column == row:
                _draw_marginal(axis, data, row)
            else:
                _draw_pair(axis, data, row, column)
                axis.sharex(axes[column, column])
            _label_axes(axis, data, row, column)
    _legend(figure, data)
    return figure


def _draw_marginal(axis: "Axes", data: "xr.Dataset", j: int) -> None:
    grid = data["grid"].values[j]
    axis.hist(data["x"].values[:, j], bins="auto", density=True, color="0.88", zorder=0)
    axis.fill_between(grid, *data["band"].values[j].T, color="0.35", alpha=0.35, lw=0)
    for k in range(data.sizes["component"]):
        axis.plot(grid, data["marginal"].values[j, :, k], color=colour(k), lw=1.6)
    if data.sizes["feature"] == 1:
        _draw_rug(axis, data)
    axis.set_ylim(bottom=0)
    axis.set_yticks([])
    axis.spines[["left", "top", "right"]].set_visible(False)


def _draw_rug(axis: "Axes", data: "xr.Dataset") -> None:
    """The points of a lone column, along the bottom."""
    colours = [colour(k) for k in data["label"].values]
    height = np.full(data.sizes["point"], 0.02)
    axis.scatter(
        data["x"].values[:, 0], height, c=colours, marker="|", s=60, lw=0.8, transform=axis.get_xaxis_transform()
    )


def _draw_pair(axis: "Axes", data: "xr.Dataset", row: int, column: int) -> None:
    d = data.sizes["feature"]
    pair = list(combinations(range(d), 2)).index((column, row))
    for k in range(data.sizes["component"]):
        for outline in data["outline"].values[pair, :, k]:
            axis.plot(*outline, color=colour(k), lw=0.5, alpha=0.35, zorder=1)
    x, y = data["x"].values[:, column], data["x"].values[:, row]
    colours = [colour(k) for k in data["label"].values]
    doubt = data["uncertainty"].values
    crowd = float(np.clip(1500 / len(x), 1, 12))
    axis.scatter(x, y, s=crowd, c=colours, lw=0, alpha=0.85, zorder=2)
    ringed = doubt > RINGED
    axis.scatter(
        x[ringed], y[ringed], s=90 * doubt[ringed] + crowd, facecolors="none", edgecolors="0.15", lw=0.8, zorder=3
    )
    axis.spines[["top", "right"]].set_visible(False)


def _label_axes(axis: "Axes", data: "xr.Dataset", row: int, column: int) -> None:
    names, last = data["feature"].values, data.sizes["feature"] - 1
    if row == last:
        axis.set_xlabel(names[column])
    else:
        axis.tick_params(labelbottom=False)
    if column == 0 and row > 0:
        axis.set_ylabel(names[row])
    elif column != row:
        axis.tick_params(labelleft=False)


def _legend(figure: "Figure", data: "xr.Dataset") -> None:
    from matplotlib.lines import Line2D

    counts = np.bincount(data["label"].values, minlength=data.sizes["component"])
    marks: list[Any] = [
        Line2D([], [], marker="o", ls="-", lw=1, color=colour(k), label=f"component {name} ({counts[k]} points)")
        for k, name in enumerate(data["component"].values)
    ]
    if data.sizes["feature"] > 1:
        ring = Line2D([], [], marker="o", ls="", mfc="none", mec="0.15", ms=8, label="uncertain label")
        figure.legend(handles=[*marks, ring], loc="upper right", frameon=False, bbox_to_anchor=(0.98, 0.98))
    else:
        figure.legend(handles=marks, loc="outside upper center", ncols=2, frameon=False)


def prior_data(tree: "xr.DataTree", columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "xr.Dataset":
    """What ``prior`` draws.

    Returns
    -------
    Dataset
        ``x`` [point, feature], the data; ``grid`` [feature, step], wide enough for both; ``curve`` [feature, draw,
        step], densities of some mixtures from the prior; ``band`` [feature, ci_bound], between which the prior expects
        ``ci_prob`` of new points; ``probability`` [n_clusters], of how many components hold a point.
    """
    import xarray as xr

    if "prior_predictive" not in getattr(tree, "children", {}):
        raise FitFileError("there is no prior to draw here; give what prior_predictive returned")
    ci_prob = probability("ci_prob", ci_prob)
    names = observed(tree).columns
    chosen = _choose_columns(names, columns)
    x = observed(tree).values[:, chosen]
    simulated = tree["prior_predictive"].to_dataset()["x"].values.reshape(-1, len(names))[:, chosen]
    tail = (1 - ci_prob) / 2
    bands = np.quantile(simulated, [tail, 1 - tail], axis=0).T
    edges = np.stack([np.minimum(bands[:, 0], x.min(axis=0)), np.maximum(bands[:, 1], x.max(axis=0))], axis=1)
    grids = np.stack([_grid(edge) for edge in edges])
    some = tree["prior"].to_dataset().isel(chain=0, draw=slice(OUTLINES))
    weight, mean, covariance = (some[name].values for name in ("weight", "mean", "covariance"))
    curves = [
        _curves(grid, weight, mean[..., j], covariance[..., j, j]).sum(axis=1)
        for grid, j in zip(grids, chosen, strict=True)
    ]
    clusters = elicit(declaration(tree), len(x))["probability"]
    return xr.Dataset(
        {
            "x": (("point", "feature"), x),
            "grid": (("feature", "step"), grids),
            "curve": (("feature", "draw", "step"), np.stack(curves)),
            "band": (("feature", "ci_bound"), bands),
            "probability": ("n_clusters", clusters.values),
        },
        coords={
            "feature": [names[j] for j in chosen],
            "ci_bound": ["lower", "upper"],
            "n_clusters": clusters["n_clusters"].values,
        },
        attrs={"ci_prob": ci_prob},
    )


def prior(tree: "xr.DataTree", columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "Figure":
    """What the priors expect, beside the data, before any fit.

    A panel a column: the data (grey), the densities of 25 mixtures from the prior, and a bar under the range where
    the prior expects ``ci_prob`` of new points. The last panel: how many clusters it expects among as many points.

    Parameters
    ----------
    tree : DataTree
        From ``prior_predictive``.
    columns : sequence of str, optional
        Columns to show; the first six unless told.
    ci_prob : float
    """
    import matplotlib.pyplot as plt

    data = prior_data(tree, columns, ci_prob)
    panels = data.sizes["feature"] + 1
    across = min(panels, 3)
    down = -(-panels // across)
    figure, axes = plt.subplots(down, across, figsize=(4.0 * across, 2.9 * down), squeeze=False, layout="constrained")
    for j, axis in enumerate(axes.flat[: panels - 1]):
        _draw_prior(axis, data, j)
    _draw_clusters(axes.flat[panels - 1], data)
    for axis in axes.flat[panels:]:
        axis.set_visible(False)
    return figure


def _draw_prior(axis: "Axes", data: "xr.Dataset", j: int) -> None:
    grid, curves = data["grid"].values[j], data["curve"].values[j]
    heights, edges = np.histogram(data["x"].values[:, j], bins="auto", density=True)
    axis.stairs(heights, edges, fill=True, color="0.6", label="data")
    lines = axis.plot(grid, curves.T, color=COLOURS[0], lw=0.7, alpha=0.4)
    lines[0].set_label("mixtures from the prior")
    # a spike in one mixture must not flatten the rest
    axis.set_ylim(0, 1.15 * max(heights.max(), np.quantile(curves.max(axis=1), 0.8)))
    axis.hlines(0, *data["band"].values[j], color=COLOURS[5], lw=6, label=f"{data.attrs['ci_prob']:.0%} of new points")
    axis.set_xlabel(str(data["feature"].values[j]))
    axis.set_yticks([])
    axis.spines[["left", "top", "right"]].set_visible(False)
    if j == 0:
        axis.legend(frameon=False, fontsize="small")


def _draw_clusters(axis: "Axes", data: "xr.Dataset") -> None:
    axis.bar(data["n_clusters"].values, data["probability"].values, color=COLOURS[0])
    axis.set_xlabel(f"clusters among {data.sizes['point']} points")
    axis.set_ylabel("prior probability")
    axis.locator_params(axis="x", integer=True)
    axis.spines[["top", "right"]].set_visible(False)
