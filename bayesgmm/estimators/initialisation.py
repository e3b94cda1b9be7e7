"""Initialisation as in scikit-learn: the same responsibilities from the same random numbers, and their M step."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.families.family import Family
from bayesgmm.inference.mixtures import Mixture, at_least_empty, maximise
from bayesgmm.sweep.stats import Array, Stats

SLICE = 32_768  # number of rows processed together, so that the data are not copied
UNASSIGNED = -1  # label of a row that is assigned to no component

Labels = NDArray[np.int64]


def without_weightless(points: Points) -> Points:
    """Drop the rows of weight zero, which must not be drawn."""
    if points.weights is None or points.weights.all():
        return points
    kept = points.weights > 0
    return Points(points.values[kept], points.columns, points.index[kept], points.weights[kept])


def kmeans_labels(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Labels:
    """Compute the k-means cluster (N,) of each point."""
    from sklearn.cluster import KMeans

    kmeans = KMeans(n_clusters=n_components, n_init=1, random_state=random)
    return np.asarray(kmeans.fit(values, sample_weight=weight).labels_, dtype=np.int64)


def _only(rows: Labels, n_points: int) -> Labels:
    labels = np.full(n_points, UNASSIGNED, dtype=np.int64)
    labels[rows] = np.arange(rows.size)
    return labels


def spread_out_rows(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Labels:
    """Choose K points far from each other, one per component; return labels (N,), the others unassigned."""
    from sklearn.cluster import kmeans_plusplus

    rows = kmeans_plusplus(values, n_components, sample_weight=weight, random_state=random)[1]
    return _only(np.asarray(rows), len(values))


def random_rows(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Labels:
    """Choose K random points, one per component; return labels (N,), the others unassigned."""
    share = None if weight is None else weight / weight.sum()
    return _only(random.choice(len(values), size=n_components, replace=False, p=share), len(values))


def random_shares(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Array:
    """Draw random responsibilities (N, K)."""
    shares = random.uniform(size=(len(values), n_components))
    return shares / shares.sum(axis=1)[:, None]


Assign = Callable[[Array, Array | None, int, np.random.RandomState], NDArray[Any]]
ASSIGN: dict[str, Assign] = {
    "kmeans": kmeans_labels,
    "k-means++": spread_out_rows,
    "random": random_shares,
    "random_from_data": random_rows,
}


def from_assignment(
    points: Points, assigned: NDArray[Any], n_components: int, standard: Standard, family: Family, floor: Array
) -> Mixture:
    """Compute the mixture by an M step from labels (N,) or responsibilities (N, K) of points with positive weight."""
    return maximise(family, statistics(points, assigned, n_components, standard, family), None, floor)


def statistics(points: Points, assigned: NDArray[Any], n_components: int, standard: Standard, family: Family) -> Stats:
    """Compute the statistics of labels (N,) or responsibilities (N, K) of points, in standardised coordinates.

    A point that is the only one of its component has weight one.
    """
    labelled = assigned.ndim == 1
    weight = None if labelled and (assigned == UNASSIGNED).any() else points.weights

    def slices() -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(points.values), SLICE):
            rows = slice(start, start + SLICE)
            shares = assigned[rows, None] == np.arange(n_components) if labelled else assigned[rows]
            counted = shares * (1.0 if weight is None else weight[rows, None])
            yield (points.values[rows] - standard.shift) / standard.scale, counted

    n = at_least_empty(np.asarray(sum(shares.sum(axis=0) for _, shares in slices())))
    about = sum(shares.T @ x for x, shares in slices()) / n[:, None]
    s2 = np.asarray(sum(_second_moments(x, shares, about, family) for x, shares in slices()))
    return Stats(n, np.zeros_like(about), s2, -np.inf, about)


def _second_moments(x: Array, shares: Array, about: Array, family: Family) -> Array:
    """Compute second moments of one slice about the mean of each component: (K, D) or (K, D, D)."""
    own = [r > 0 for r in shares.T]  # with labels each point is one component's
    parts = zip(own, shares.T, about, strict=True)
    return np.array([family.form.second_moments(x[rows] - m, r[rows]) for rows, r, m in parts])
