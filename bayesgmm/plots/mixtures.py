"""A mixture by pairs of columns: its components, where their means may be, and the density that they make."""

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.declared import probability
from bayesgmm.labels.relabelling import aligned
from bayesgmm.plots.clusters import assignment_data, draw_marginal, ellipses
from bayesgmm.plots.densities import held_by
from bayesgmm.plots.panels import component_marks, label_axes, pair_number
from bayesgmm.plots.style import colour
from bayesgmm.posterior.schema import Posterior
from bayesgmm.posterior.subsets import marginal
from bayesgmm.predictions.densities import spread
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INNER = 0.5  # probability of the inner ellipses and contours
COARSE = 4  # every so many steps of a margin's grid, in two dimensions
AVERAGED = 100  # draws that a density in two dimensions is averaged over
MEANS = 400  # draws of a mean that are shown


def pairs_data(fit: "xr.DataTree", columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "xr.Dataset":
    """What ``pairs`` draws: all of ``assignment_data``, and for two columns or more what is in the plane of each pair.

    Returns
    -------
    Dataset
        ``ellipse`` [pair, level, component, axis, angle], of the posterior mean components, that hold 50 % and
        ``ci_prob`` of them; ``centre`` [mean_draw, component, feature], means of some draws; ``region`` [pair,
        component, axis, angle], the ellipse of their shape that holds ``ci_prob`` of them, NaN where there are too few
        draws; ``density`` [pair, up, across], the posterior predictive one on ``coarse`` [feature, across]; ``height``
        [pair, level], above which it holds 50 % and ``ci_prob`` of new points.
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
    """(len(y), len(x)) posterior mean density of two columns."""
    at = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return np.exp(spread(posterior, at, progress=False).log_mean).reshape(len(y), len(x))


def region(draws: Array, level: float, steps: int = 73) -> Array:
    """(2, steps) the ellipse of the draws' own shape that holds a share of the draws (S, 2); NaN for a few draws.

    Its radius is a quantile of the draws' Mahalanobis distances, so that it needs no normal posterior.
    """
    if len(draws) < 10:
        return np.full((2, steps), np.nan)
    centre, sd = draws.mean(axis=0), draws.std(axis=0)
    if not (sd > 0).all():
        return np.full((2, steps), np.nan)
    z = (draws - centre) / sd  # columns in very different units are no thin ellipse
    covariance = np.cov(z.T)
    if not np.linalg.eigvalsh(covariance)[0] > 1e-14:
        return np.full((2, steps), np.nan)
    chol = np.linalg.cholesky(covariance)
    distance = np.linalg.norm(np.linalg.solve(chol, z.T), axis=0)
    angle = np.linspace(0, 2 * np.pi, steps)
    outline = np.quantile(distance, level) * (chol @ np.stack([np.cos(angle), np.sin(angle)]))
    return centre[:, None] + sd[:, None] * outline


def pairs(fit: "xr.DataTree", columns: Sequence[str] | None = None, ci_prob: float = 0.9) -> "Figure":
    """The components by pairs of columns: what they hold, where their means may be, and the density that they make.

    Below the diagonal: points in the colour of their component; the posterior mean components, as ellipses that hold
    50 % and ``ci_prob`` of one, and thin ones for each of 25 draws. Above it: contours of the posterior predictive
    density that hold as much of a new point, draws of the means, and the regions that hold ``ci_prob`` of them. On it:
    each column's data and components, and a credible band of the density.

    Parameters
    ----------
    fit : DataTree
    columns : sequence of str, optional
        Columns to show; the first six unless told.
    ci_prob : float
        Probability of outer ellipses, contours, regions and bands.
    """
    import matplotlib.pyplot as plt

    ci_prob = probability("ci_prob", ci_prob)
    data = pairs_data(fit, columns, ci_prob)
    d = data.sizes["feature"]
    size = 2.4 * d + 0.6 if d > 1 else 6.5
    figure, axes = plt.subplots(d, d, figsize=(size, size + 0.5 if d > 1 else 4.2), squeeze=False, layout="constrained")
    for row in range(d):
        for column in range(d):
            axis = axes[row, column]
            if column == row:
                draw_marginal(axis, data, row)
            else:
                (_draw_components if column < row else _draw_density)(axis, data, row, column)
                axis.set_xlim(data["grid"].values[column][[0, -1]])
                axis.set_ylim(data["grid"].values[row][[0, -1]])
                axis.spines[["top", "right"]].set_visible(False)
            label_axes(axis, data, row, column)
            if column == d - 1 and row < column:
                _label_right(axis, data, row)
    _legend(figure, data, ci_prob)
    return figure


def _draw_components(axis: "Axes", data: "xr.Dataset", row: int, column: int) -> None:
    pair = pair_number(data.sizes["feature"], row, column)
    x, colours = data["x"].values, [colour(k) for k in data["label"].values]
    axis.scatter(x[:, column], x[:, row], s=float(np.clip(1500 / len(x), 1, 12)), c=colours, lw=0, alpha=0.6, zorder=1)
    for k in range(data.sizes["component"]):
        for outline in data["outline"].values[pair, :, k]:
            axis.plot(*outline, color=colour(k), lw=0.4, alpha=0.25, zorder=2)
        for ellipse, width in zip(data["ellipse"].values[pair, :, k], (1.0, 1.6), strict=True):
            axis.plot(*ellipse, color=colour(k), lw=width, zorder=3)


def _draw_density(axis: "Axes", data: "xr.Dataset", row: int, column: int) -> None:
    """Above the diagonal the later column is across: the density is laid on its side."""
    pair = pair_number(data.sizes["feature"], row, column)
    coarse, density = data["coarse"].values, data["density"].values[pair].T
    heights = data["height"].values[pair][::-1]
    if heights[0] < heights[1] < density.max():
        axis.contourf(
            coarse[column], coarse[row], density, levels=[*heights, density.max()], colors=["0.9", "0.78"], zorder=0
        )
    centres, regions = data["centre"].values, data["region"].values[pair][:, ::-1]
    lone = len(centres) == 1
    for k in range(data.sizes["component"]):
        mark: dict[str, Any] = {"marker": "+", "s": 60, "lw": 1.5} if lone else {"marker": ".", "s": 3, "lw": 0}
        axis.scatter(centres[:, k, column], centres[:, k, row], color=colour(k), alpha=1 if lone else 0.5, **mark)
        axis.plot(*regions[k], color=colour(k), lw=1.2)


def _label_right(axis: "Axes", data: "xr.Dataset", row: int) -> None:
    """A row above the diagonal is named at its right end: on its left is a margin, whose heights are densities."""
    axis.yaxis.tick_right()
    axis.yaxis.set_label_position("right")
    axis.tick_params(labelright=True)
    axis.spines["left"].set_visible(False)
    axis.spines["right"].set_visible(True)
    axis.set_ylabel(data["feature"].values[row])


def _legend(figure: "Figure", data: "xr.Dataset", ci_prob: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    counts = np.bincount(data["label"].values, minlength=data.sizes["component"])
    names, held = data["component"].values, np.flatnonzero(counts).tolist()
    marks: list[Any] = list(component_marks(data, held, lw=1.6, ms=4))
    if len(held) < len(names):
        marks.append(Line2D([], [], ls="", label=f"and {len(names) - len(held)} more, most probable for no point"))
    if data.sizes["feature"] > 1:
        marks += [
            Patch(color="0.78", label=f"where {INNER:.0%} of new points fall"),
            Patch(color="0.9", label=f"where {ci_prob:.0%} of them fall"),
        ]
    columns = min(len(marks), 3 if data.sizes["feature"] > 2 else 2)
    figure.legend(handles=marks, loc="outside upper center", ncols=columns, frameon=False)
