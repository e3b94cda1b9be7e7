"""Greedy search for the partition with the minimum expected loss, from many starts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clusterings import partition_kernels
from bayesgmm.clusterings.partition_losses import Allocations, Clustering, Loss
from bayesgmm.clusterings.random_keys import key_of
from bayesgmm.progress import Count
from bayesgmm.sweep.stats import Array
from bayesgmm.sweep.threads import enough_threads, run_ranges

SWEEPS = 100  # maximum number of sweeps over all points; a few are enough
N_DISSOLVED = 10  # number of clusters that are dissolved and allocated again
MAX_SEARCHED = 2_000  # maximum number of points in a full search; with more, a subset is searched first
RESTART_DRAWS = 1_000  # maximum number of draws for the random starts; the best is improved over all draws
MAX_COMPARED = 250_000_000  # maximum of points times draws times candidates in ``best_draw``: half a second


@dataclass(frozen=True)
class Search:
    """Draws, a loss, and the settings of a search.

    Parameters
    ----------
    draws : Allocations
    loss : Loss
    max_clusters : int
        Maximum number of clusters.
    seed, threads : int
    """

    draws: Allocations
    loss: Loss
    max_clusters: int
    seed: int
    threads: int

    def improve(self, starts: list[Clustering], count: Count | None = None) -> Clustering:
        """Improve each start by greedy search and return the best result; -1 marks points that have no cluster yet."""
        improved = [start.copy() for start in starts]
        gain = np.diff(self.loss.table(self.draws.n_points))
        costs = (self.loss.split_cost, self.loss.join_cost)
        keys = [key_of(self.seed) ^ np.uint64(i << 40) for i in range(len(starts))]

        def search(first: int, last: int) -> None:
            for i in range(first, last):
                partition_kernels.search(
                    self.draws.z,
                    self.draws.n_groups,
                    gain,
                    *costs,
                    self.max_clusters,
                    keys[i],
                    SWEEPS,
                    N_DISSOLVED,
                    improved[i],
                )
                if count is not None:
                    count.step()

        run_ranges(search, len(starts), self.threads)
        return self.best([_numbered(one) for one in improved])

    def best(self, clusterings: list[Clustering]) -> Clustering:
        """Return the clustering with the minimum expected loss."""
        return clusterings[int(np.argmin(self.losses(clusterings)))]

    def losses(self, clusterings: Sequence[Clustering]) -> Array:
        """Compute the expected loss of each clustering: many in each thread, or one with all threads."""
        each = enough_threads(self.threads, self.draws.n_points * self.draws.n_draws)
        out = np.empty(len(clusterings))

        def rate(first: int, last: int) -> None:
            for i in range(first, last):
                out[i] = self.loss.expected(clusterings[i], self.draws, each)

        run_ranges(rate, len(clusterings), self.threads if each == 1 else 1)
        return out

    def of_points(self, chosen: NDArray[np.integer]) -> "Search":
        """Return the same search over some of the points."""
        return Search(self.draws.of_points(chosen), self.loss, self.max_clusters, self.seed, self.threads)

    def over(self, draws: int) -> "Search":
        """Return the same search over at most ``draws`` draws."""
        return Search(self.draws.thin(draws), self.loss, self.max_clusters, self.seed, self.threads)


def optimal(search: Search, likely: Clustering, restarts: int, progress: bool = True) -> Clustering:
    """Search from the best draw, the most probable labels, hierarchical clusterings, and random starts.

    Parameters
    ----------
    search : Search
    likely : (N,) int
        Initial labels, for example the most probable components.
    restarts : int
        Number of random starts: all points are allocated one after the other, in random order.

    Notes
    -----
    Random starts use at most 1,000 draws; the best of them and the other starts are then improved over all draws. With
    more than 2,000 points, a subset of 2,000, evenly spaced, is searched first; the other points are allocated to its
    clusters, and then all points may change their cluster. The best draw and ``likely`` are improved in the same way.
    """
    n_points = search.draws.n_points
    own = [_numbered(likely), best_draw(search)]
    own = [one for one in own if one.max() < search.max_clusters] or [np.zeros(n_points, np.int64)]
    unallocated = np.full(n_points, -1)
    if n_points > MAX_SEARCHED:
        chosen = np.linspace(0, n_points - 1, MAX_SEARCHED).round().astype(int)
        part = search.of_points(chosen)
        unallocated[chosen] = _searched(part, [_numbered(one[chosen]) for one in own], restarts, progress)
        return search.improve([*own, unallocated])
    return _searched(search, own, restarts, progress)


def _searched(search: Search, own: list[Clustering], restarts: int, progress: bool) -> Clustering:
    starts = [*own, *hierarchical(search)]
    if restarts > 0:
        starts.append(_random_starts(search.over(RESTART_DRAWS), restarts, progress))
    return search.improve(starts)


def _random_starts(search: Search, restarts: int, progress: bool) -> Clustering:
    starts = [np.full(search.draws.n_points, -1)] * restarts
    if not progress:
        return search.improve(starts)
    with Count("searching partitions", restarts) as count:
        return search.improve(starts, count)


def best_draw(search: Search) -> Clustering:
    """Return the draw with the minimum expected loss.

    If that takes too long, candidates are first ranked by their expected loss over a subset of the draws.
    """
    draws = search.draws
    affordable = max(20, MAX_COMPARED // (draws.n_points * draws.n_draws))
    chosen = np.sort(np.unique(draws.z, axis=1, return_index=True)[1])  # each partition once
    if len(chosen) > affordable:
        rough = search.over(affordable).losses([draws.draw(s) for s in chosen])
        chosen = np.sort(chosen[np.argsort(rough, kind="stable")[:affordable]])
    return search.best([draws.draw(s) for s in chosen])


def together(draws: Allocations) -> Array:
    """Compute the share (N, N) of the draws in which two points are together. It is exact: the same on any machine."""
    n_points = draws.n_points
    counts = np.zeros((n_points, n_points), np.float32)
    step = max(1, 20_000_000 // (n_points * draws.n_groups))
    for start in range(0, draws.n_draws, step):
        z = draws.z[:, start : start + step]
        hot = (z[:, :, None] == np.arange(draws.n_groups, dtype=np.int16)).reshape(n_points, -1).astype(np.float32)
        counts += hot @ hot.T
    return counts.astype(np.float64) / draws.n_draws


def hierarchical(search: Search) -> list[Clustering]:
    """Return the best cuts of average and of complete linkage; the distance is one minus the co-clustering."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    n_points = search.draws.n_points
    if n_points < 2:
        return []
    apart = squareform(1 - together(search.draws), checks=False)
    largest = min(search.max_clusters, n_points)
    trees = [linkage(apart, method) for method in ("average", "complete")]
    cuts = [[fcluster(tree, k, "maxclust").astype(np.int64) - 1 for k in range(1, largest + 1)] for tree in trees]
    return [search.best(of_tree) for of_tree in cuts]


def _numbered(clustering: Clustering) -> Clustering:
    return np.unique(clustering, return_inverse=True)[1].astype(np.int64)
