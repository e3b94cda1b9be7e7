"""The optimal clustering, what else is plausible, which points belong together, how many clusters there are."""

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clusterings.co_clusterings import co_clustering as probabilities
from bayesgmm.clusterings.credible_balls import credible_ball
from bayesgmm.clusterings.label_draws import n_clusters as count_clusters
from bayesgmm.clusterings.partitions import merge_of, require_same_points
from bayesgmm.clusterings.partitions import partition as best_partition
from bayesgmm.plots.style import choose_columns, colour
from bayesgmm.posterior.schema import observed
from bayesgmm.predictions.predictive import assignments

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Labels = NDArray[np.int64]
SHOWN = 1000  # points a side: more than a picture can show
RINGED = 0.25  # expected distance from which a point gets a ring
MOST_RINGS = 40
MOST_PAIRS = 3
TITLES = {
    "best": "optimal",
    "horizontal": "farthest",
    "vertical_upper": "fewest clusters",
    "vertical_lower": "most clusters",
}


def co_clustering_data(fit: "xr.DataTree", best: "xr.Dataset | None" = None, *, seed: int = 0) -> "xr.Dataset":
    """What ``co_clustering`` draws.

    Parameters
    ----------
    fit : DataTree
    best : Dataset, optional
        From ``partition``; found here unless told.
    seed : int
        Of the partition that is found here.

    Returns
    -------
    Dataset
        ``probability`` [point, point_bis] of at most 1,000 points, and their ``label`` [point], in the order of the
        labels; within a cluster the points that are surest of it come first. ``component`` [cluster], whose colour a
        cluster has.
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
    """Which component's colour each cluster has: of the component that it shares most points with."""
    import xarray as xr

    component = matched(best["label"].values, assignments(fit)["label"].values)
    return xr.Dataset({"component": ("cluster", component)}, coords={"point": np.arange(len(label))})


def matched(label: Labels, reference: Labels) -> Labels:
    """For each cluster a number of the reference, each once, so that as many points as can be have the same one.

    Examples
    --------
    >>> matched(np.array([0, 0, 0, 1, 2]), np.array([1, 1, 0, 0, 0]))
    array([1, 0, 2])
    """
    from scipy.optimize import linear_sum_assignment

    n, m = int(label.max()) + 1, int(reference.max()) + 1
    shared = np.zeros((n, n + m))
    np.add.at(shared, (label, reference), 1)
    shared[:, m:] -= 1e-6 * np.arange(1, n + 1)  # a number of its own for a cluster that finds no partner
    return linear_sum_assignment(-shared)[1]


def co_clustering(fit: "xr.DataTree", best: "xr.Dataset | None" = None, *, seed: int = 0) -> "Figure":
    """The probability of being together for every pair of points, ordered by the optimal partition.

    A sure cluster is a black square; grey between two squares says that their points may belong together. The bars
    along the sides are the clusters.

    Parameters
    ----------
    fit : DataTree
    best : Dataset, optional
        From ``partition``; found here unless told.
    seed : int
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap

    data = co_clustering_data(fit, best, seed=seed)
    label, n = data["label"].values, data.sizes["point"]
    figure, axis = plt.subplots(figsize=(6.4, 5.4), layout="constrained")
    image = axis.imshow(data["probability"].values, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(image, ax=axis, shrink=0.8, label="probability of being together")
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


def partition_data(
    fit: "xr.DataTree",
    best: "xr.Dataset | None" = None,
    columns: Sequence[str] | None = None,
    *,
    ci_prob: float = 0.95,
    seed: int = 0,
) -> "xr.Dataset":
    """What ``partition`` draws.

    Returns
    -------
    Dataset
        ``x`` [point, feature]; ``expected_distance`` [point]; ``label`` [clustering, point], of the optimal clustering
        and the three bounds of its credible ball, numbered so that colours agree: as components, and as the optimal
        clustering; ``n_clusters`` and ``distance`` [clustering] from the optimal one.
    """
    import xarray as xr

    best = best_partition(fit, seed=seed) if best is None else best
    points, ball = observed(fit), credible_ball(fit, best, ci_prob=ci_prob)
    chosen = choose_columns(points.columns, columns)
    own = matched(best["label"].values, assignments(fit)["label"].values)[best["label"].values]
    labels = [own, *(matched(one, own)[one] for one in ball["label"].values)]
    return xr.Dataset(
        {
            "x": (("point", "feature"), points.values[:, chosen]),
            "expected_distance": ("point", best["expected_distance"].values),
            "label": (("clustering", "point"), np.stack(labels)),
            "n_clusters": ("clustering", [best.attrs["n_clusters"], *ball["n_clusters"].values]),
            "distance": ("clustering", [0.0, *ball["distance"].values]),
        },
        coords={"feature": [points.columns[j] for j in chosen], "clustering": ["best", *ball["bound"].values]},
        attrs={"loss": best.attrs["loss"], "ci_prob": ci_prob},
    )


def partition(
    fit: "xr.DataTree",
    best: "xr.Dataset | None" = None,
    columns: Sequence[str] | None = None,
    *,
    ci_prob: float = 0.95,
    seed: int = 0,
) -> "Figure":
    """The optimal clustering, and beside it the extremes of its credible ball: clusterings that are still plausible.

    A row for each pair of columns; the first column of panels is the optimal clustering, with a ring around the
    points (at most 40) with the largest expected distance, from 0.25. A lone column is drawn as a histogram, stacked
    by cluster.

    Parameters
    ----------
    fit : DataTree
    best : Dataset, optional
        From ``partition``; found here unless told.
    columns : sequence of str, optional
        Columns to show; the first three unless told.
    ci_prob : float
        Of the ball.
    seed : int
    """
    import matplotlib.pyplot as plt

    data = partition_data(fit, best, columns, ci_prob=ci_prob, seed=seed)
    pairs: Sequence[tuple[int, ...]] = list(combinations(range(data.sizes["feature"]), 2))[:MOST_PAIRS]
    pairs = pairs or [(0,)]
    across = data.sizes["clustering"]
    size = (2.9 * across, 0.6 + 2.6 * len(pairs))
    figure, axes = plt.subplots(
        len(pairs), across, figsize=size, squeeze=False, layout="constrained", sharex="row", sharey="row"
    )
    for row, pair in enumerate(pairs):
        for column in range(across):
            axis = axes[row, column]
            (_draw_stack if len(pair) == 1 else _draw_points)(axis, data, pair, column)
            axis.spines[["top", "right"]].set_visible(False)
            if row == 0:
                axis.set_title(_title(data.isel(clustering=column)), fontsize="medium", loc="left")
    return figure


def _title(one: "xr.Dataset") -> str:
    name, count = str(one["clustering"].values), int(one["n_clusters"])
    clusters = f"{count} cluster{'s' if count > 1 else ''}"
    unit = " bits" if one.attrs["loss"] == "vi" else ""
    away = f"{float(one['distance']):.2f}{unit} away"
    return f"{TITLES[name]}: {clusters}" if name == "best" else f"{TITLES[name]}: {clusters},\n{away}"


def _draw_points(axis: "Axes", data: "xr.Dataset", pair: tuple[int, ...], column: int) -> None:
    x, y = data["x"].values[:, pair].T
    label, distance = data["label"].values[column], data["expected_distance"].values
    crowd = float(np.clip(1500 / len(x), 1, 12))
    axis.scatter(x, y, s=crowd, c=[colour(k) for k in label], lw=0, alpha=0.85)
    if column == 0:
        ringed = np.argsort(-distance, kind="stable")[:MOST_RINGS]
        ringed = ringed[distance[ringed] > RINGED]
        rings: dict[str, Any] = {"facecolors": "none", "edgecolors": "0.15", "lw": 0.7}
        axis.scatter(x[ringed], y[ringed], s=60 * distance[ringed] + crowd, **rings)
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


def n_clusters_data(fit: "xr.DataTree", merge: "xr.Dataset | None" = None, *, seed: int = 0) -> "xr.Dataset":
    """What ``n_clusters`` draws: ``probability`` [n_clusters], without the improbable ends."""
    chance = count_clusters(fit, merge=merge, seed=seed)
    there = np.flatnonzero(chance.values > 0)
    first, last = max(there[0] - 1, 0), min(there[-1] + 2, len(chance))
    return chance.isel(n_clusters=slice(first, last)).to_dataset()


def n_clusters(fit: "xr.DataTree", merge: "xr.Dataset | None" = None, *, seed: int = 0) -> "Figure":
    """How many clusters the data have: the posterior of the number of occupied components, as bars.

    Parameters
    ----------
    fit : DataTree
    merge : Dataset, optional
        From ``merge_components``: count its clusters.
    seed : int
    """
    import matplotlib.pyplot as plt

    data = n_clusters_data(fit, merge, seed=seed)
    figure, axis = plt.subplots(figsize=(5.0, 3.4), layout="constrained")
    bars = axis.bar(data["n_clusters"].values, data["probability"].values, color="0.45", width=0.7)
    axis.bar_label(bars, [f"{p:.2f}" if p >= 0.005 else "" for p in data["probability"].values], fontsize="small")
    axis.set_xticks(data["n_clusters"].values)
    axis.set_xlabel("occupied components" if merge is None else "occupied clusters")
    axis.set_ylabel("posterior probability")
    axis.set_ylim(0, 1.08 * float(data["probability"].max()))
    axis.spines[["top", "right"]].set_visible(False)
    return figure
