"""Plots of partitions: co-clustering, the optimal partition and its credible ball."""

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clusterings.co_clusterings import co_clustering as probabilities
from bayesgmm.clusterings.credible_balls import credible_ball
from bayesgmm.clusterings.partitions import merge_of, require_same_points
from bayesgmm.clusterings.partitions import partition as best_partition
from bayesgmm.labels.relabelling import aligned
from bayesgmm.plots.columns import show_columns, write_note
from bayesgmm.plots.panels import (
    despine,
    draw_points,
    draw_rings,
    new_panel,
    new_panels,
    root_of,
)
from bayesgmm.plots.style import (
    colour,
    literal,
    marker_area,
    shades,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import observed
from bayesgmm.predictions.predictive import assignments
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Labels = NDArray[np.int64]
SHOWN = 1000  # maximum number of points on each side of a matrix
RINGED = 0.25  # expected distance from which a point gets a ring
MAX_RINGS = 40  # maximum number of points with a ring
MAX_PAIRS = 3  # maximum number of pairs of columns
MAX_SHOWN = 3  # default maximum number of columns
TITLES = {
    "best": "optimal",
    "horizontal": "farthest",
    "vertical_upper": "fewest clusters",
    "vertical_lower": "most clusters",
}


@takes_fit
def co_clustering_data(fit: FitLike, best: "xr.Dataset | None" = None, *, seed: int = 0) -> "xr.Dataset":
    """Compute the data of ``co_clustering``.

    Parameters
    ----------
    fit : DataTree or estimator
    best : Dataset, optional
        From ``partition``. Default: computed here.
    seed : int
        Seed of the partition that is computed here.

    Returns
    -------
    Dataset
        ``probability`` [point, point_bis] of at most 1,000 points, and their ``label`` [point], in the order of the
        labels; within a cluster, points with the highest probabilities come first. ``component`` [cluster], the
        component whose colour the cluster has.

    Raises
    ------
    DeclarationError
        When ``best`` is not from ``partition``.
    DataError
        When ``best`` is a partition of other points.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> co_clustering_data(fit)["label"].values
    array([0, 0, 0, 0, 1, 1, 1])
    """
    best = best_partition(fit, seed=seed) if best is None else best
    points = observed(fit)
    require_same_points(best, points)
    n_points = len(points.values)
    chosen = np.linspace(0, n_points - 1, min(n_points, SHOWN)).round().astype(int)
    matrix = probabilities(fit, points.values[chosen], merge=merge_of(best), progress=False)["probability"].values
    label = best["label"].values[chosen]
    inside = (matrix * (label[:, None] == label)).sum(axis=1)
    order = np.lexsort((-inside, label))
    return _coloured(fit, best, label[order]).assign(
        probability=(("point", "point_bis"), matrix[np.ix_(order, order)]), label=("point", label[order])
    )


def _coloured(fit: "xr.DataTree", best: "xr.Dataset", label: Labels) -> "xr.Dataset":
    """Match each cluster to the component with which it shares most points, and give it that component's colour."""
    import xarray as xr

    component = matched(best["label"].values, assignments(fit)["label"].values)
    return xr.Dataset({"component": ("cluster", component)}, coords={"point": np.arange(len(label))})


def matched(label: Labels, reference: Labels) -> Labels:
    """Match each cluster to a label of the reference, each once, so that most points have equal labels.

    Examples
    --------
    >>> matched(np.array([0, 0, 0, 1, 2]), np.array([1, 1, 0, 0, 0]))
    array([1, 0, 2])
    """
    from scipy.optimize import linear_sum_assignment

    n, m = int(label.max()) + 1, int(reference.max()) + 1
    shared = np.zeros((n, n + m))
    np.add.at(shared, (label, reference), 1)
    shared[:, m:] -= 1e-6 * np.arange(1, n + 1)  # a cluster without a partner gets a number of its own
    return linear_sum_assignment(-shared)[1]


@takes_fit
@literal
def co_clustering(
    fit: FitLike, best: "xr.Dataset | None" = None, *, seed: int = 0, ax: "Axes | None" = None
) -> "Figure":
    """Plot the co-clustering probabilities of all pairs of points, ordered by the optimal partition.

    A cluster that is certain is a black square. Grey areas between two squares mean that their points may be in one
    cluster. The bars along the sides have the colours of the clusters.

    Parameters
    ----------
    fit : DataTree or estimator
    best : Dataset, optional
        From ``partition``. Default: computed here.
    seed : int
        Seed of the partition that is computed here.
    ax : Axes, optional
        Panel to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    DeclarationError
        When ``best`` is not from ``partition``.
    DataError
        When ``best`` is a partition of other points.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = co_clustering(fit)
    >>> figure.axes[0].get_xlabel()
    '7 points, by cluster'
    >>> plt.close(figure)
    """
    return draw_co_clustering(co_clustering_data(fit, best, seed=seed), ax)


def draw_co_clustering(data: "xr.Dataset", ax: "Axes | None" = None) -> "Figure":
    """Draw the data of ``co_clustering``."""
    from matplotlib.colors import ListedColormap

    label, n = data["label"].values, data.sizes["point"]
    axis = new_panel((6.4, 5.4), ax)
    figure = root_of(axis)
    image = axis.imshow(data["probability"].values, cmap=shades(), vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(image, ax=axis, shrink=0.8, label="co-clustering probability")
    bar.outline.set_visible(False)
    colours = ListedColormap([colour(k) for k in data["component"].values])
    for rectangle, values in (((-0.045, 0, 0.03, 1), label[:, None]), ((0, 1.015, 1, 0.03), label[None])):
        side = axis.inset_axes(rectangle)
        side.imshow(values, cmap=colours, vmin=-0.5, vmax=colours.N - 0.5, aspect="auto", interpolation="nearest")
        side.set_axis_off()
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_xlabel(f"{n} points, by cluster")
    return figure


@takes_fit
def partition_data(
    fit: FitLike,
    best: "xr.Dataset | None" = None,
    columns: Sequence[str] | None = None,
    *,
    ci_prob: float = 0.95,
    seed: int = 0,
) -> "xr.Dataset":
    """Compute the data of ``partition``.

    Parameters
    ----------
    fit, best, columns, ci_prob, seed
        As for ``partition``.

    Returns
    -------
    Dataset
        ``x`` [point, feature]; ``expected_distance`` [point]; ``label`` [clustering, point], of the optimal partition
        and the three bounds of its credible ball, numbered so that colours
        agree with those of the components; ``n_clusters`` and ``distance`` [clustering], from the optimal partition;
        ``same_as`` [clustering], the number of the first equal partition.
        Attribute ``radius``: that of the ball.

    Raises
    ------
    DeclarationError
        When ``best`` is not from ``partition``, or ``ci_prob`` is not between 0 and 1.
    DataError
        When ``best`` is a partition of other points, or there is no such column.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> partition_data(fit)["n_clusters"].values
    array([2, 2, 2, 2])
    """
    import xarray as xr

    best = best_partition(fit, seed=seed) if best is None else best
    points, ball = observed(fit), credible_ball(fit, best, ci_prob=ci_prob)
    shown = show_columns(points.columns, columns, aligned(fit).parameters, MAX_SHOWN)
    chosen = shown.columns
    own = matched(best["label"].values, assignments(fit)["label"].values)[best["label"].values]
    labels = [own, *(matched(one, own)[one] for one in ball["label"].values)]
    first = [next(j for j in range(len(labels)) if np.array_equal(labels[j], one)) for one in labels]
    return xr.Dataset(
        {
            "x": (("point", "feature"), points.values[:, chosen]),
            "expected_distance": ("point", best["expected_distance"].values),
            "label": (("clustering", "point"), np.stack(labels)),
            "n_clusters": ("clustering", [best.attrs["n_clusters"], *ball["n_clusters"].values]),
            "distance": ("clustering", [0.0, *ball["distance"].values]),
            "same_as": ("clustering", first),
        },
        coords={"feature": [points.columns[j] for j in chosen], "clustering": ["best", *ball["bound"].values]},
        attrs={"loss": best.attrs["loss"], "ci_prob": ci_prob, "radius": float(ball["radius"]), "note": shown.note},
    )


@takes_fit
@literal
def partition(
    fit: FitLike,
    best: "xr.Dataset | None" = None,
    columns: Sequence[str] | None = None,
    *,
    ci_prob: float = 0.95,
    seed: int = 0,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure":
    """Plot the optimal partition, and the partitions at the bounds of its credible ball.

    A row of panels for each pair of columns. The first panel of a row is the optimal partition, with a ring around
    the points whose expected distance is above 0.25 (at most 40 points). A single column is drawn as a histogram,
    stacked by cluster. Partitions that are equal share a panel.

    Parameters
    ----------
    fit : DataTree or estimator
    best : Dataset, optional
        From ``partition``. Default: computed here.
    columns : sequence of str, optional
        Columns to show. Default: the three in which the components differ most.
    ci_prob : float
        Posterior probability of the ball.
    seed : int
        Seed of the partition that is computed here.
    figure : Figure or SubFigure, optional
        Empty figure, or part of one, to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panels.

    Raises
    ------
    DeclarationError
        When ``best`` is not from ``partition``, or ``ci_prob`` is not between 0 and 1.
    DataError
        When ``best`` is a partition of other points, or there is no such column.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = partition(fit)
    >>> figure.axes[0].get_xlabel()
    'x0'
    >>> plt.close(figure)
    """
    return draw_partition(partition_data(fit, best, columns, ci_prob=ci_prob, seed=seed), figure)


def draw_partition(data: "xr.Dataset", figure: "Figure | SubFigure | None" = None) -> "Figure":
    """Draw the data of ``partition``."""
    pairs: Sequence[tuple[int, ...]] = list(combinations(range(data.sizes["feature"]), 2))[:MAX_PAIRS]
    pairs = pairs or [(0,)]
    different = np.unique(data["same_as"].values).tolist()
    across = len(different)
    size = (2.9 * across, 0.6 + 2.6 * len(pairs))
    figure, axes = new_panels((len(pairs), across), size, figure, sharex="row", sharey="row")
    for row, column in np.ndindex(len(pairs), across):
        axis: Axes = axes.item(row, column)
        (_draw_stack if data.sizes["feature"] == 1 else _draw_pair)(axis, data, pairs[row], different[column])
        despine(axis)
        if row == 0:
            equal = data.isel(clustering=data["same_as"].values == different[column])
            axis.set_title(_title(equal), fontsize="medium", loc="left")
    write_note(figure, data)
    return root_of(figure)


def _title(equal: "xr.Dataset") -> str:
    """Return the title of a panel, which shows one or more clusterings that are equal."""
    names = [TITLES[str(name)] for name in equal["clustering"].values]
    title = f"{',\n'.join(names)}: {plural(int(equal['n_clusters'][0]), 'cluster')}"
    if names[0] == TITLES["best"]:
        return title
    unit = " bits" if equal.attrs["loss"] == "vi" else ""
    return f"{title},\n{float(equal['distance'][0]):.2f}{unit} away"


def _draw_pair(axis: "Axes", data: "xr.Dataset", pair: tuple[int, ...], column: int) -> None:
    xy, distance = data["x"].values[:, pair], data["expected_distance"].values
    draw_points(axis, xy, data["label"].values[column], alpha=0.85)
    if column == 0:
        ringed = np.argsort(-distance, kind="stable")[:MAX_RINGS]
        ringed = ringed[distance[ringed] > RINGED]
        draw_rings(axis, xy[ringed], 60 * distance[ringed] + marker_area(len(xy)), lw=0.7)
        axis.set_ylabel(str(data["feature"].values[pair[1]]))
    axis.set_xlabel(str(data["feature"].values[pair[0]]))


def _draw_stack(axis: "Axes", data: "xr.Dataset", pair: tuple[int, ...], column: int) -> None:
    x, label = data["x"].values[:, 0], data["label"].values[column]
    edges = np.histogram_bin_edges(x, bins=min(40, max(10, len(x) // 3)))
    numbers = np.unique(label)
    axis.hist([x[label == k] for k in numbers], edges.tolist(), stacked=True, color=[colour(k) for k in numbers])
    axis.set_xlabel(str(data["feature"].values[0]))
    if column == 0:
        axis.set_ylabel("points")
