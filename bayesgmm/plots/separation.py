"""Plot of clusters in the two columns that separate them best."""

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import NDArray

from bayesgmm.errors import DataError
from bayesgmm.keywords import checks_keywords
from bayesgmm.plots.panels import (
    despine,
    legend_below,
    new_panel,
    root_of,
)
from bayesgmm.plots.style import (
    colour,
    grey,
    literal,
    marker,
    marker_area,
)
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Labels = NDArray[np.int64]
CANDIDATES = 8  # columns of which all pairs are compared
COMPARED = 1_500  # maximum number of rows for the comparison
DRAWN = 4_000  # maximum number of rows that are drawn
NEIGHBOURS = 11  # rows that vote for the cluster of a row
RINGED = 0.25  # expected distance from which a row gets a ring
FRAME = 0.005  # quantile of a column at which the frame ends
SKEWED = 20.0  # ratio of high to low quantiles from which an axis is logarithmic
LEGEND_AREA = 28.0  # of the markers in the legend, in square points
LEGEND = 42  # maximum length of a name


@checks_keywords
def separation_data(rows: "pd.DataFrame", label: object, expected_distance: object) -> "xr.Dataset":
    """Compute the data of ``separation``.

    Parameters
    ----------
    rows : (N, D) DataFrame
        Numeric columns.
    label : (N,) int
        Cluster of each row.
    expected_distance : (N,) float
        Uncertainty of each row's cluster, from 0 to 1.

    Returns
    -------
    Dataset
        ``x`` [point, feature], the one or two columns, of the rows that have values there; ``label`` and ``uncertain``
        [point]. Attribute ``right``: the
        share of rows whose cluster is that of most of their neighbours in these columns, averaged over the clusters.

    Raises
    ------
    DataError
        When there are no rows.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"a": [0.0, 9.0, 1.0, 8.0], "b": [0.0, 0.1, 9.0, 9.1], "c": 1.0})
    >>> separation_data(rows, [0, 0, 1, 1], np.zeros(4))["feature"].values.tolist()
    ['a', 'b']
    """
    import xarray as xr

    label, distance = np.asarray(label), np.asarray(expected_distance, np.float64)
    if not len(rows):
        raise DataError("there are no rows to draw")
    x = rows.to_numpy(np.float64)
    chosen, right = best_columns(x, label)
    seen = ~np.isnan(x[:, chosen]).any(axis=1)
    x, label, distance = x[seen], label[seen], distance[seen]
    return xr.Dataset(
        {
            "x": (("point", "feature"), x[:, chosen]),
            "label": ("point", label),
            "uncertain": ("point", distance >= RINGED),
        },
        coords={"feature": [str(rows.columns[j]) for j in chosen]},
        attrs={"right": right},
    )


def best_columns(x: Array, label: Labels) -> tuple[list[int], float]:
    """Return the two columns in which rows are closest to rows of their own cluster, and how often they are.

    Parameters
    ----------
    x : (N, D) float
    label : (N,) int
    """
    step = max(1, len(x) // COMPARED)
    x, label = _scaled(x)[::step], label[::step]
    if x.shape[1] == 1:
        return [0], _right(x, label)
    columns = sorted(np.argsort(-_spread_of_clusters(x, label), kind="stable")[:CANDIDATES].tolist())
    right = {pair: _right(x[:, pair], label) for pair in combinations(columns, 2)}
    best = max(right, key=lambda pair: right[pair])
    return list(best), right[best]


def _scaled(x: Array) -> Array:
    """Replace values by their normal scores, so that outliers and skewness do not matter."""
    rank = scipy.stats.rankdata(x, axis=0, nan_policy="omit")
    return scipy.stats.norm.ppf(rank / ((~np.isnan(x)).sum(axis=0) + 1))


def _spread_of_clusters(x: Array, label: Labels) -> Array:
    """(D,) share of the variance of each column that lies between clusters."""
    share = np.zeros(x.shape[1])
    for j, column in enumerate(x.T):
        seen = ~np.isnan(column)
        own, column = label[seen], column[seen]
        between = np.zeros_like(column)
        for k in np.unique(own):
            between[own == k] = column[own == k].mean()
        share[j] = between.var() / max(column.var(), 1e-300)
    return share


def _right(x: Array, label: Labels) -> float:
    seen = ~np.isnan(x).any(axis=1)
    x, label = x[seen], label[seen]
    if len(x) < 2:
        return 0.0
    count = min(NEIGHBOURS, len(x) - 1) + 1
    near = scipy.spatial.cKDTree(x).query(x, count)[1].reshape(len(x), -1)[:, 1:]
    own = (label[near] == label[:, None]).mean(axis=1)
    return float(np.mean([own[label == k].mean() for k in np.unique(label)]))


@literal
def separation(
    rows: "pd.DataFrame",
    label: object,
    expected_distance: object,
    names: "Sequence[str] | None" = None,
    *,
    ax: "Axes | None" = None,
) -> "Figure":
    """Plot clusters in the two columns that separate them best; rows whose cluster is uncertain are ringed.

    Axes of skewed columns are logarithmic. The frame leaves out the most extreme half percent of each column's values;
    a note says how many rows lie outside.

    Parameters
    ----------
    rows : (N, D) DataFrame
        Numeric columns. A single one is drawn as a histogram. A row that lacks a value in the columns that are drawn is
        left out.
    label : (N,) int
        Cluster of each row.
    expected_distance : (N,) float
        Uncertainty of each row's cluster, from 0 to 1.
    names : sequence of str, optional
        Name of each cluster, for the legend.
    ax : Axes, optional
        Panel to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    DataError
        When there are no rows.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"a": [0.0, 9.0, 1.0, 8.0], "b": [0.0, 0.1, 9.0, 9.1]})
    >>> figure = separation(rows, [0, 0, 1, 1], np.zeros(4))
    >>> figure.axes[0].get_ylabel()
    'b'
    >>> plt.close(figure)
    """
    from matplotlib.collections import PathCollection

    data = separation_data(rows, label, expected_distance)
    lines = 1 + len(np.unique(data["label"].values)) // 2
    axis = new_panel((7.6, 4.8 + 0.22 * lines), ax)
    (_draw_pair if data.sizes["feature"] == 2 else _draw_histogram)(axis, data, names)
    despine(axis)
    legend = legend_below(axis, own=ax is None)
    for mark in legend.legend_handles:
        if isinstance(mark, PathCollection):
            mark.set_sizes([LEGEND_AREA])
    return root_of(axis)


def _draw_pair(axis: "Axes", data: "xr.Dataset", names: "Sequence[str] | None") -> None:
    n = data.sizes["point"]
    shown = data.isel(point=np.linspace(0, n - 1, min(n, DRAWN)).round().astype(int))
    x, label = shown["x"].values, shown["label"].values
    area = marker_area(len(x), total=8_000, minimum=9, maximum=26)
    for k in np.unique(label):
        own = x[label == k]
        axis.scatter(
            own[:, 0],
            own[:, 1],
            s=area,
            c=colour(int(k)),
            marker=marker(int(k)),
            lw=0,
            alpha=0.8,
            label=_legend(data, k, names),
        )
    uncertain = shown["uncertain"].values
    if uncertain.any():
        axis.scatter(
            x[uncertain, 0],
            x[uncertain, 1],
            s=2.6 * area + 12,
            facecolors="none",
            edgecolors=grey(0.1),
            lw=0.8,
            label=f"uncertain cluster ({plural(int(data['uncertain'].sum()), 'row')})",
        )
    outside = np.zeros(n, bool)
    for j, name in enumerate(data["feature"].values):
        outside |= _frame(axis, "xy"[j], data["x"].values[:, j])
        getattr(axis, f"set_{'xy'[j]}label")(str(name))
    if outside.any():
        note = f"{plural(int(outside.sum()), 'row lies', 'rows lie')} outside the frame"
        axis.set_title(note, fontsize="small", color=grey(0.35), loc="right")


def _legend(data: "xr.Dataset", cluster: int, names: "Sequence[str] | None") -> str:
    size = plural(int((data["label"].values == cluster).sum()), "row")
    name = "" if names is None else f": {names[int(cluster)]}"
    cut = name if len(name) <= LEGEND else f"{name[: LEGEND - 1]}…"
    return f"{cluster}{cut} ({size})"


def _frame(axis: "Axes", which: str, x: Array) -> NDArray[np.bool_]:
    """Set the limits and the scale of an axis; return which values lie outside."""
    low, middle, high = np.quantile(x, [FRAME, 0.5, 1 - FRAME])
    if x.min() > 0 and high > SKEWED * low and high - middle > 4 * (middle - low):
        getattr(axis, f"set_{which}scale")("log")
        return np.zeros(len(x), bool)
    margin = 0.25 * (high - low) or 1.0
    inside = (x >= low - margin) & (x <= high + margin)
    ends, edge = np.array([x[inside].min(), x[inside].max()]), 0.04 * (np.ptp(x[inside]) or 1.0)
    getattr(axis, f"set_{which}lim")(ends[0] - edge, ends[1] + edge)
    return ~inside


def _draw_histogram(axis: "Axes", data: "xr.Dataset", names: "Sequence[str] | None") -> None:
    x, label = data["x"].values[:, 0], data["label"].values
    outside = _frame(axis, "x", x)
    edges = np.histogram_bin_edges(x[~outside], bins=min(60, max(10, len(x) // 5)))
    clusters = np.unique(label)
    axis.hist(
        [x[label == k] for k in clusters],
        edges.tolist(),
        stacked=True,
        color=[colour(int(k)) for k in clusters],
        label=[_legend(data, k, names) for k in clusters],
    )
    uncertain = x[data["uncertain"].values]
    if uncertain.size:
        label_of = f"uncertain cluster ({plural(uncertain.size, 'row')})"
        axis.plot(uncertain, np.zeros(uncertain.size), "|", color=grey(0.1), ms=12, label=label_of)
    axis.set_xlabel(str(data["feature"].values[0]))
    axis.set_ylabel("rows")
