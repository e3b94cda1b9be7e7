r"""Losses between partitions: the variation of information and Binder's loss.

Let :math:`n_k` be the sizes of the clusters of a partition c, :math:`m_j` those of a partition z, and :math:`n_{jk}`
the number of points that two clusters have in common. Every loss here is

.. math:: \ell(c, z) = a \sum_j f(m_j) + b \sum_k f(n_k) - (a + b) \sum_{jk} f(n_{jk}), \qquad a = b = 1,

with a convex function f. :math:`x \log_2(x) / N` gives the variation of information in bits [1]_, :math:`x^2 / N^2`
gives Binder's loss [2]_, the share of pairs of points that are in the same cluster in only one of the two partitions.
Both are distances. Other costs give the two kinds of error different weights: ``a`` is the cost of separating in c two
points that are together in z, ``b`` the cost of joining two points that are apart in z.

.. [1] Meilă (2007), J. Multivar. Anal. 98(5), 873-895.
.. [2] Binder (1978), Biometrika 65(1), 31-38.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clusterings import partition_kernels
from bayesgmm.errors import choose
from bayesgmm.sweep.stats import Array
from bayesgmm.sweep.threads import run_ranges

Clustering = NDArray[np.int64]
Labels = NDArray[np.int16]


@dataclass(frozen=True)
class Allocations:
    """Partitions drawn from the posterior, in the layout of the kernels.

    Parameters
    ----------
    z : (N, S) int16
        The cluster of each point in each draw, counted from 0.
    n_groups : int
        J, the maximum number of clusters over the draws.
    size : (S, J) float
        Number of points in each cluster.
    """

    z: Labels
    n_groups: int
    size: Array

    @classmethod
    def of(cls, labels: NDArray[np.integer]) -> "Allocations":
        """Number the clusters of each draw from 0, from labels (S, N).

        Examples
        --------
        >>> Allocations.of(np.array([[5, 5, 2], [0, 1, 2]])).z
        array([[0, 0],
               [0, 1],
               [1, 2]], dtype=int16)
        """
        z = np.empty(labels.shape[::-1], np.int16)
        n_groups = int(partition_kernels.compress(labels, z))
        size = np.stack([(z == j).sum(axis=0) for j in range(n_groups)], axis=1)
        return cls(z, n_groups, size.astype(np.float64))

    @property
    def n_points(self) -> int:
        """N."""
        return self.z.shape[0]

    @property
    def n_draws(self) -> int:
        """S."""
        return self.z.shape[1]

    @property
    def n_clusters(self) -> Clustering:
        """(S,) number of clusters of each draw."""
        return (self.size > 0).sum(axis=1)

    def draw(self, s: int) -> Clustering:
        """Return the labels (N,) of draw s."""
        return self.z[:, s].astype(np.int64)

    def thin(self, draws: int) -> "Allocations":
        """Return at most ``draws`` draws, evenly spaced."""
        if draws >= self.n_draws:
            return self
        chosen = np.linspace(0, self.n_draws - 1, draws).round().astype(int)
        return Allocations.of(np.ascontiguousarray(self.z[:, chosen].T))

    def of_points(self, chosen: NDArray[np.integer]) -> "Allocations":
        """Return the same draws for some of the points."""
        return Allocations.of(np.ascontiguousarray(self.z[chosen].T))


@dataclass(frozen=True)
class Loss:
    """A loss between clusterings.

    Parameters
    ----------
    name : str
        ``'vi'`` or ``'binder'``.
    split_cost, join_cost : float
        Cost of separating two points that belong together, and of joining two that do not.
    """

    name: str = "vi"
    split_cost: float = 1.0
    join_cost: float = 1.0

    def table(self, n_points: int) -> Array:
        """Return f (N + 2,) at 0, 1, ... N + 1, times ``scale``.

        Raises
        ------
        UnknownName
            When there is no such loss.
        """
        f: Array = choose(self.name, LOSSES, "loss")(np.arange(n_points + 2.0))
        return f

    def scale(self, n_points: int) -> float:
        """Return the divisor of f: N, or its square for Binder's loss."""
        return float(n_points) ** (2 if self.name == "binder" else 1)

    def distances(self, clustering: Clustering, draws: Allocations, threads: int = 1) -> Array:
        """Compute the loss (S,) between a clustering and each draw.

        Examples
        --------
        Two clusters of two points, and one cluster of all four: one bit of information is lost.

        >>> together = Allocations.of(np.zeros((1, 4), dtype=int))
        >>> Loss("vi").distances(np.array([0, 0, 1, 1]), together)
        array([1.])
        >>> Loss("binder").distances(np.array([0, 0, 1, 1]), together)
        array([0.5])
        """
        f = self.table(draws.n_points)
        n_clusters = int(clustering.max()) + 1
        count = np.empty((draws.n_draws, draws.n_groups, n_clusters), np.int32)
        shared = np.empty(draws.n_draws)
        args = (draws.z, clustering, f)
        run_ranges(
            lambda start, stop: partition_kernels.agreement(*args, start, stop, count, shared), draws.n_draws, threads
        )
        own = f[np.bincount(clustering)].sum()
        other = f[draws.size.astype(np.int64)].sum(axis=1)
        apart = self.split_cost * other + self.join_cost * own - (self.split_cost + self.join_cost) * shared
        return np.maximum(apart, 0.0) / self.scale(draws.n_points)

    def expected(self, clustering: Clustering, draws: Allocations, threads: int = 1) -> float:
        """Compute the mean loss of a clustering over the draws."""
        return float(self.distances(clustering, draws, threads).mean())


def _information(x: Array) -> Array:
    return x * np.log2(np.maximum(x, 1.0))


LOSSES: dict[str, Callable[[Array], Array]] = {"vi": _information, "binder": np.square}


def expected_distances(clustering: Clustering, draws: Allocations, threads: int = 1) -> Array:
    r"""Posterior mean of the Jaccard distance between each point's cluster and its cluster in a draw.

    .. math:: d_i = \mathrm{E}\left[1 - \frac{|C_i \cap Z_i|}{|C_i \cup Z_i|}\right],

    where :math:`C_i` is the set of points in the cluster of point i, and :math:`Z_i` the set of points in its cluster
    in a draw. Both sets contain point i.

    Parameters
    ----------
    clustering : (N,) int
    draws : Allocations
    threads : int

    Returns
    -------
    (N,) float
        0 for a point whose cluster is the same in every draw, near 1 if its cluster is different in every draw.

    Examples
    --------
    The last point is in the cluster of the others in one of two draws.

    >>> draws = Allocations.of(np.array([[0, 0, 0], [0, 0, 1]]))
    >>> expected_distances(np.array([0, 0, 0]), draws).round(3)
    array([0.167, 0.167, 0.333])
    """
    n_clusters = int(clustering.max()) + 1
    count = np.empty((draws.n_draws, draws.n_groups, n_clusters), np.int32)
    run_ranges(
        lambda start, stop: partition_kernels.tabulate(draws.z, clustering, start, stop, count), draws.n_draws, threads
    )
    size, out = np.bincount(clustering).astype(np.float64), np.empty(draws.n_points)
    args = (draws.z, clustering, count, draws.size, size)
    run_ranges(
        lambda start, stop: partition_kernels.jaccard_distances(*args, start, stop, out), draws.n_points, threads
    )
    return np.clip(out, 0.0, 1.0)


def by_size(clustering: NDArray[np.integer]) -> Clustering:
    """Number clusters from 0, the largest first; for equal sizes, the one with the earlier point first.

    Examples
    --------
    >>> by_size(np.array([7, 3, 3]))
    array([1, 0, 0])
    """
    _, first, inverse, size = np.unique(clustering, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -size))
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    return number[inverse]
