r"""How far two clusterings are apart, and a clustering from the posterior: the losses that a partition is optimal for.

With :math:`n_k` the sizes of the clusters of one, :math:`m_j` those of the other and :math:`n_{jk}` the points that
both have in common, every loss here is

.. math:: \ell(c, z) = a \sum_j f(m_j) + b \sum_k f(n_k) - (a + b) \sum_{jk} f(n_{jk}), \qquad a = b = 1,

with a convex f: :math:`x \log_2(x) / N` is the variation of information in bits [1]_, :math:`x^2 / N^2` Binder's loss
[2]_, the share of pairs of points that are together in one of the two alone. Both are distances. Other costs weigh
the two kinds of error: ``a`` is what it costs to split in c what is together in z, ``b`` to join what is apart.

.. [1] Meilă (2007), J. Multivar. Anal. 98(5), 873-895.
.. [2] Binder (1978), Biometrika 65(1), 31-38.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clusterings import partition_kernels
from bayesgmm.clusterings.label_draws import Labels
from bayesgmm.errors import choose
from bayesgmm.sweep.stats import Array, run_ranges

Clustering = NDArray[np.int64]


@dataclass(frozen=True)
class Allocations:
    """Clusterings drawn from the posterior, as the kernels read them.

    Parameters
    ----------
    z : (N, S) int16
        The cluster of each point in each draw, counted from 0.
    n_groups : int
        J, the most clusters that a draw has.
    size : (S, J) float
        How many points each holds.
    """

    z: Labels
    n_groups: int
    size: Array

    @classmethod
    def of(cls, labels: NDArray[np.integer]) -> "Allocations":
        """Number the clusters of draws (S, N) from 0.

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
        """(S,) how many clusters each draw has."""
        return (self.size > 0).sum(axis=1)

    def draw(self, s: int) -> Clustering:
        """(N,) one of them."""
        return self.z[:, s].astype(np.int64)

    def thin(self, draws: int) -> "Allocations":
        """At most so many of the draws, evenly spaced."""
        if draws >= self.n_draws:
            return self
        chosen = np.linspace(0, self.n_draws - 1, draws).round().astype(int)
        return Allocations.of(np.ascontiguousarray(self.z[:, chosen].T))

    def of_points(self, chosen: NDArray[np.integer]) -> "Allocations":
        """The same draws of some points alone."""
        return Allocations.of(np.ascontiguousarray(self.z[chosen].T))


@dataclass(frozen=True)
class Loss:
    """A loss between clusterings.

    Parameters
    ----------
    name : str
        ``'vi'`` or ``'binder'``.
    split_cost, join_cost : float
        What it costs to split what is together, and to join what is apart.
    """

    name: str = "vi"
    split_cost: float = 1.0
    join_cost: float = 1.0

    def table(self, n_points: int) -> Array:
        """(N + 2,) f of 0, 1, ... N + 1, times N (or its square, whichever the loss is divided by)."""
        f: Array = choose(self.name, LOSSES, "loss")(np.arange(n_points + 2.0))
        return f

    def scale(self, n_points: int) -> float:
        """What f is divided by."""
        return float(n_points) ** (2 if self.name == "binder" else 1)

    def distances(self, clustering: Clustering, draws: Allocations, threads: int = 1) -> Array:
        """(S,) how far a clustering is from each draw.

        Examples
        --------
        Two pairs against all four together: one bit a point is lost.

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
        """The posterior expected loss of a clustering, over the draws."""
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
        0 for a point whose cluster is the same in every draw, near 1 where its cluster is another in every draw.

    Examples
    --------
    The last point is with the others in one of two draws.

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
    """Number clusters from 0, the largest first; of two as large, the one with the earlier point.

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
