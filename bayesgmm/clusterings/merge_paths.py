"""The path of mergers from all components to one cluster, by entropy or by valleys."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import NDArray

from bayesgmm.clusterings.valleys import Connections, saddles
from bayesgmm.sweep.stats import Array

Groups = NDArray[np.int64]


@dataclass(frozen=True)
class Path:
    """All mergers, from one cluster (row 0) to M, the number of components that hold points.

    Parameters
    ----------
    clusters : (M, K) int
        Cluster of each component; cluster 0 is the largest.
    second : (M,) float
        Number of points in the second largest cluster; 0 if there is one cluster.
    entropy : (M,) float
    overlap, saddle : (M,) float
        The largest between components of the two clusters that were merged last; NaN at M clusters.
    n_merged : (M,) float
        Number of points in all mergers so far; 0 before the first merger.
    n_points : float
    """

    clusters: Groups
    second: Array
    entropy: Array
    overlap: Array
    saddle: Array
    n_merged: Array
    n_points: float

    @property
    def n_clusters(self) -> Array:
        """(M,) 1 to M."""
        return np.arange(1.0, len(self.entropy) + 1)


def merge_path(share: Array, weight: Array | None = None, x: Array | None = None, minimum: float | None = None) -> Path:
    """Merge clusters step by step.

    Each step makes the merger that decreases the entropy most; with a minimum, that of ``Connections.next_merger``.

    Parameters
    ----------
    share : (N, K) float
        Probability of each component for each point.
    weight : (N,) float, optional
        Number of points that a row represents.
    x : (N, D) float, optional
        Points; without them no saddles are computed.
    minimum : float, optional
        Saddle of clusters that are connected.

    Examples
    --------
    The first two components have equal responsibilities for two points, the third has a point of its own.

    >>> merge_path(np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])).clusters[1]
    array([0, 0, 1])
    """
    weight = np.ones(len(share)) if weight is None else weight
    groups = [[k] for k in range(share.shape[1])]
    parts = [share[:, k] for k in range(share.shape[1])]
    _merge_empty(groups, parts, weight)
    links = _connections(groups, parts, weight, x, share.shape[1])
    drop, overlap = _pairs(parts, weight, _drop), _pairs(parts, weight, _overlap)
    steps = [(_numbered(groups, parts, weight), _second(parts, weight), entropy(parts, weight), np.nan, np.nan, 0.0)]
    while len(groups) > 1:
        if minimum is None:
            a, b = (int(i) for i in np.unravel_index(np.argmax(drop), drop.shape))
        else:
            a, b, _ = links.next_merger(groups, minimum)
        measured, n_points = float(overlap[a, b]), float(weight @ (parts[a] + parts[b]))
        saddle = links.between(groups[a], groups[b])
        _join(groups, parts, a, b)
        closest = np.delete(np.maximum(overlap[a], overlap[b]), b)
        drop, overlap = (np.delete(np.delete(pairs, b, axis=0), b, axis=1) for pairs in (drop, overlap))
        overlap[a], overlap[:, a] = closest, closest
        for other in range(len(parts)):
            if other != a and minimum is None:
                drop[a, other] = drop[other, a] = _drop(parts[a], parts[other], weight)
        state = _numbered(groups, parts, weight), _second(parts, weight), entropy(parts, weight)
        steps.append((*state, measured, saddle, steps[-1][-1] + n_points))
    clusters, *curves = zip(*reversed(steps), strict=True)
    second, entropies, overlaps, depth, n_merged = (np.array(curve) for curve in curves)
    return Path(np.stack(clusters), second, entropies, overlaps, depth, n_merged, float(weight.sum()))


def _connections(
    groups: list[list[int]], parts: list[Array], weight: Array, x: Array | None, n_components: int
) -> Connections:
    """Return the saddles of the components; those that were merged because they are empty have the same."""
    size, saddle = np.zeros(n_components), np.full((n_components, n_components), np.nan)
    between = np.full((len(parts), len(parts)), np.nan)
    if x is not None:
        between = saddles(x, np.stack(parts, axis=1) * weight[:, None])
    for i, one in enumerate(groups):
        size[one] = weight @ parts[i]
        for j, other in enumerate(groups):
            saddle[np.ix_(one, other)] = between[i, j]
    return Connections(saddle, size)


def _second(parts: list[Array], weight: Array) -> float:
    return float(np.sort([0.0, *(weight @ part for part in parts)])[-2]) if len(parts) > 1 else 0.0


def _merge_empty(groups: list[list[int]], parts: list[Array], weight: Array) -> None:
    """Merge components that hold less than one point, each with the component that it overlaps most."""
    while len(parts) > 1:
        size = [float(weight @ part) for part in parts]
        k = int(np.argmin(size))
        if size[k] >= 1:
            return
        drop = [-np.inf if j == k else _drop(parts[j], parts[k], weight) for j in range(len(parts))]
        _join(groups, parts, int(np.argmax(drop)), k)


def _join(groups: list[list[int]], parts: list[Array], a: int, b: int) -> None:
    parts[a] = parts[a] + parts[b]
    groups[a] = groups[a] + groups[b]
    del parts[b], groups[b]


def _drop(a: Array, b: Array, weight: Array) -> float:
    """Decrease of the entropy when two clusters are merged."""
    return float(weight @ (scipy.special.xlogy(a + b, a + b) - scipy.special.xlogy(a, a) - scipy.special.xlogy(b, b)))


def _overlap(a: Array, b: Array, weight: Array) -> float:
    """Decrease of the entropy divided by its maximum, which equal components reach (Jensen's inequality)."""
    n_a, n_b = weight @ a, weight @ b
    maximum = scipy.special.xlogy(n_a + n_b, n_a + n_b) - scipy.special.xlogy(n_a, n_a) - scipy.special.xlogy(n_b, n_b)
    return float(np.clip(_drop(a, b, weight) / maximum, 0.0, 1.0)) if maximum > 0 else 0.0


def _pairs(parts: list[Array], weight: Array, measure: Callable[[Array, Array, Array], float]) -> Array:
    """(K, K) measure of every pair; minus infinity on the diagonal."""
    out = np.full((len(parts), len(parts)), -np.inf)
    for a in range(len(parts)):
        for b in range(a):
            out[a, b] = out[b, a] = measure(parts[a], parts[b], weight)
    return out


def entropy(parts: list[Array], weight: Array) -> float:
    """Return the entropy of the probabilities of clusters, each (N,), summed over the points."""
    return max(0.0, -sum(float(weight @ scipy.special.xlogy(part, part)) for part in parts))


def _numbered(groups: list[list[int]], parts: list[Array], weight: Array) -> Groups:
    """Return the cluster of each component; cluster 0 is the largest."""
    by_size = np.argsort([-float(weight @ part) for part in parts], kind="stable")
    number = np.empty(sum(map(len, groups)), np.int64)
    for new, old in enumerate(by_size):
        number[groups[old]] = new
    return number
