"""Where scikit-learn's EM starts: its own responsibilities, drawn in its own order, and their M step."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import Points, Standard
from bayesgmm.families.structures import Family
from bayesgmm.inference.mixtures import Mixture, maximise
from bayesgmm.sweep.stats import Array, Stats

SLICE = 32_768  # rows that are looked at together: no second copy of the data is made
UNASSIGNED = -1  # the label of a row that belongs to no component

Labels = NDArray[np.int64]


def without_weightless(points: Points) -> Points:
    """The rows that count: a row of weight zero is no row, and must not be drawn."""
    if points.weights is None or points.weights.all():
        return points
    kept = points.weights > 0
    return Points(points.values[kept], points.columns, points.index[kept], points.weights[kept])


def kmeans_labels(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Labels:
    """(N,) the k-means cluster of each point."""
    from sklearn.cluster import KMeans

    kmeans = KMeans(n_clusters=n_components, n_init=1, random_state=random)
    return np.asarray(kmeans.fit(values, sample_weight=weight).labels_, dtype=np.int64)


def _only(rows: Labels, n_points: int) -> Labels:
    labels = np.full(n_points, UNASSIGNED, dtype=np.int64)
    labels[rows] = np.arange(rows.size)
    return labels


def spread_out_rows(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Labels:
    """(N,) K points far from each other, one a component; the others belong nowhere."""
    from sklearn.cluster import kmeans_plusplus

    rows = kmeans_plusplus(values, n_components, sample_weight=weight, random_state=random)[1]
    return _only(np.asarray(rows), len(values))


def random_rows(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Labels:
    """(N,) K random points, one a component; the others belong nowhere."""
    share = None if weight is None else weight / weight.sum()
    return _only(random.choice(len(values), size=n_components, replace=False, p=share), len(values))


def random_shares(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Array:
    """(N, K) random responsibilities."""
    shares = random.uniform(size=(len(values), n_components))
    return shares / shares.sum(axis=1)[:, None]


Assign = Callable[[Array, Array | None, int, np.random.RandomState], NDArray]
ASSIGN: dict[str, Assign] = {
    "kmeans": kmeans_labels,
    "k-means++": spread_out_rows,
    "random": random_shares,
    "random_from_data": random_rows,
}


def from_assignment(
    points: Points, assigned: NDArray, n_components: int, standard: Standard, family: Family, floor: Array
) -> Mixture:
    """The M step of labels (N,) or responsibilities (N, K) of the points that count."""
    return maximise(family, statistics(points, assigned, n_components, standard, family), None, floor)


def statistics(points: Points, assigned: NDArray, n_components: int, standard: Standard, family: Family) -> Stats:
    """What labels (N,) or responsibilities (N, K) of the points that count add up to, in standardised coordinates.

    Points that stand alone for their component count once, whatever their weight.
    """
    labelled = assigned.ndim == 1
    weight = None if labelled and (assigned == UNASSIGNED).any() else points.weights

    def slices() -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(points.values), SLICE):
            rows = slice(start, start + SLICE)
            shares = assigned[rows, None] == np.arange(n_components) if labelled else assigned[rows]
            counted = shares * (1.0 if weight is None else weight[rows, None])
            yield (points.values[rows] - standard.shift) / standard.scale, counted

    n = np.maximum(sum(shares.sum(axis=0) for _, shares in slices()), 1e-10)
    about = sum(shares.T @ x for x, shares in slices()) / n[:, None]
    s2 = np.asarray(sum(_second_moments(x, shares, about, family) for x, shares in slices()))
    return Stats(n, np.zeros_like(about), s2, -np.inf, about)


def _second_moments(x: Array, shares: Array, about: Array, family: Family) -> Array:
    """Of one slice, about each component's mean: (K, D) or (K, D, D)."""
    own = [r > 0 for r in shares.T]  # with labels each point is one component's
    parts = zip(own, shares.T, about, strict=True)
    return np.array([family.form.second_moments(x[rows] - m, r[rows]) for rows, r, m in parts])
