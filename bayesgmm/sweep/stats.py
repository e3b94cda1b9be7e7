r"""Tables that score points, and the sufficient statistics that a sweep returns.

.. math:: a_{nk} = o_k - \tfrac12 \lVert R_k (x_n - m_k) \rVert^2, \qquad r_{nk} = \mathrm{softmax}_k\, a_{nk}

``R_k`` (``root``) is the lower-triangular factor of a precision, :math:`\Lambda_k = R_k^\top R_k`, the inverse of
the Cholesky factor of the covariance. Moments are taken about the table's own means, so that a tight
component far from the origin loses no digits. ``orchestration`` holds the compiled sweep.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.checkpoints.units import once
from bayesgmm.sweep import orchestration
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.labelled_kernels import fold_labelled_chunks
from bayesgmm.sweep.layout import Array as Array
from bayesgmm.sweep.orchestration import NativeTable
from bayesgmm.sweep.threads import enough_threads, run_ranges, run_rows

LOG_2PI = math.log(2 * math.pi)
KEPT_SWEEP = 20_000  # points x components; a sweep over fewer is so quick that no checkpoint keeps it


@dataclass(frozen=True)
class Table:
    """K components that score points, or a stack of S such tables.

    Parameters
    ----------
    offset : (..., K) float
        Log weight plus the log normaliser of the Gaussian.
    mean : (..., K, D) float
        Centres.
    root : (..., K, D, D) or (..., K, D) float
        Lower-triangular factors of the precisions, or their diagonals.
    """

    offset: Array
    mean: Array
    root: Array

    @classmethod
    def from_parameters(cls, log_weight: ArrayLike, mean: ArrayLike, root: ArrayLike) -> "Table":
        """Make the table of a mixture from its log weights (K,), means (K, D) and precision roots.

        Examples
        --------
        >>> Table.from_parameters([0.0], [[0.0]], [[1.0]]).offset.round(4)
        array([-0.9189])
        """
        log_weight, mean, root = (np.asarray(v, dtype=np.float64) for v in (log_weight, mean, root))
        diagonal = root if root.ndim == mean.ndim else np.diagonal(root, axis1=-2, axis2=-1)
        offset = log_weight + np.log(diagonal).sum(-1) - 0.5 * mean.shape[-1] * LOG_2PI
        return cls(offset, mean, np.ascontiguousarray(root))

    def draw(self, number: int) -> "Table":
        """Return one of a stack of tables, as a stack of one."""
        one = slice(number, number + 1)
        return replace(self, offset=self.offset[one], mean=self.mean[one], root=self.root[one])

    def suited(self, blocks: Blocks) -> "Table":
        """Return the table that ``fold`` uses for these points: this one."""
        return self

    def fold_rows(self, blocks: Blocks, span: int, size: int, threads: int) -> Array:
        """Compute rows of sums, each of ``span`` chunks under one table (``orchestration.fold_chunks``)."""
        points, native = blocks.native, self.native
        out = np.empty((size, orchestration.count_sums(native.n_components, blocks.n_features, self.is_diagonal)))
        threads = _enough(threads, blocks, self)
        run_rows(lambda taken: orchestration.fold_chunks(points, native, span, taken, out), size, threads)
        return out

    def unpack(self, row: Array, about: Array) -> "Stats":
        """Read a row of sums of moments about (K, D)."""
        return unpack_stats(row, about, self.is_diagonal)

    def squared_lengths(self, s2: Array) -> Array:
        """Compute the sums of squared Mahalanobis distances of each component (K,) from second moments."""
        if s2.ndim == 2:
            return np.asarray((self.root**2 * s2).sum(axis=1))
        return np.einsum("kij,kjl,kil->k", self.root, s2, self.root)

    @property
    def is_diagonal(self) -> bool:
        """True if the roots are diagonals."""
        return self.root.ndim == self.mean.ndim

    @cached_property
    def native(self) -> NativeTable:
        """The table in the form that compiled code reads: arrays of one type, so that a kernel is compiled once."""
        offset, mean, root = (
            np.require(v, requirements=("C", "W")).reshape(-1) for v in (self.offset, self.mean, self.root)
        )
        return NativeTable(offset, mean, root, self.mean.shape[-2])


@dataclass(frozen=True)
class Stats:
    """Sufficient statistics of weighted, softly assigned points. Statistics of several sets of points can be added.

    Parameters
    ----------
    n : (K,) float
        Expected number of points of each component: the sum of its responsibilities.
    s1 : (K, D) float
        Sum of ``x - about``.
    s2 : (K, D, D) or (K, D) float
        Sum of ``(x - about)(x - about)'``, or of its diagonal.
    loglik : float
        Log likelihood of the points under the table.
    about : (K, D) float
        The table's means.
    """

    n: Array
    s1: Array
    s2: Array
    loglik: float
    about: Array

    def __add__(self, other: "Stats") -> "Stats":
        if not np.array_equal(self.about, other.about):
            raise ValueError("statistics of different tables can't be added; fold with the same means")
        loglik = self.loglik + other.loglik
        return Stats(self.n + other.n, self.s1 + other.s1, self.s2 + other.s2, loglik, self.about)

    def means(self) -> Array:
        """Compute the weighted mean (K, D) of each component's points."""
        return self.about + self.s1 / self.n[:, None]

    def scatter(self) -> Array:
        """Compute the sum of squares about each component's mean: (K, D, D), or its diagonal (K, D)."""
        shift = self.s1 / self.n[:, None]
        if self.s2.ndim == 2:
            return self.s2 - self.s1 * shift
        return self.s2 - self.s1[:, :, None] * shift[:, None, :]


def unpack_stats(row: Array, about: Array, diagonal: bool) -> Stats:
    """Read a row of sums that ``orchestration.fold_chunks`` writes, of moments about (K, D)."""
    n_components, n_features = about.shape
    sums = row[1:].reshape(n_components, -1)
    if diagonal:
        pairs = sums[:, 1:].reshape(n_components, n_features, 2)
        return Stats(sums[:, 0], pairs[:, :, 0], pairs[:, :, 1], float(row[0]), about)
    first, second = _places(n_features)
    s2 = sums.take(second, axis=1).reshape(n_components, n_features, n_features)
    return Stats(sums[:, 0], sums.take(first, axis=1), s2, float(row[0]), about)


@cache
def _places(n_features: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places in a row of sums: of first moments (D,), and of the matrix of second moments (D * D,)."""
    features = np.arange(n_features)
    first = 1 + features + features * (features + 1) // 2
    row, column = np.maximum.outer(features, features), np.minimum.outer(features, features)
    return first, (first[row] + 1 + column).ravel()


def _enough(threads: int, blocks: Blocks, tables: Table) -> int:
    """Return the number of threads for a sweep."""
    n_features = blocks.n_features
    return enough_threads(threads, blocks.n_points * tables.offset.size * n_features * (n_features + 2))


def fold(blocks: Blocks, table: Table, threads: int = 1) -> Stats:
    """Compute the sums of responsibilities and moments, and the log likelihood of all points.

    A background (``blocks.background``) has responsibilities, too, but no statistics. The statistics of points in
    several parts (``Parts``) are added.

    Parameters
    ----------
    blocks : Blocks
        Points, in the coordinates of ``table.mean``.
    table : Table
        K components.
    threads : int
        Number of threads. The result is the same, to the last bit, for any number.

    Examples
    --------
    Two unit bumps at 0 and 4; the point halfway is shared.

    >>> bumps = Table.from_parameters(np.log([0.5, 0.5]), [[0.0], [4.0]], [[1.0], [1.0]])
    >>> fold(Blocks.from_rows([[0.0], [2.0], [4.0]]), bumps).n.round(2)
    array([1.5, 1.5])
    """
    table = table.suited(blocks)
    return table.unpack(fold_sums(blocks, table, threads), table.mean)


def fold_sums(blocks: Blocks, table: Table, threads: int = 1) -> Array:
    """Compute the statistics of ``fold`` as one row of sums, which ``unpack_stats`` reads."""
    compute = partial(blocks.total, partial(_sums, table=table), threads)
    if blocks.n_points * table.offset.size < KEPT_SWEEP:
        return compute()
    return once(compute, table.offset, table.mean, table.root)


def _sums(blocks: Blocks, threads: int, table: Table) -> Array:
    row: Array = table.fold_rows(blocks, 1, orchestration.count_chunks(blocks.n_blocks), threads).sum(axis=0)
    return row


def fold_labelled(blocks: Blocks, table: Table, labels: NDArray[np.int64], threads: int = 1) -> Stats:
    """Compute the sums of points that belong to one component each; their log likelihood is not computed.

    Parameters
    ----------
    blocks : Blocks
        Points, in the coordinates of ``table.mean``.
    table : Table
        K components: only their means count, and whether their roots are diagonals.
    labels : (N,) int
        Component of each point; -1 for none.
    threads : int
        Number of threads. The result is the same, to the last bit, for any number.

    Examples
    --------
    >>> origin = Table(np.zeros(2), np.zeros((2, 1)), np.ones((2, 1, 1)))
    >>> fold_labelled(Blocks.from_rows([[0.0], [2.0], [4.0]]), origin, np.array([0, 1, 1])).means()
    array([[0.],
           [3.]])
    """
    label, points, native = np.full(blocks.weight.size, -1), blocks.native, table.native
    label[: blocks.n_points] = labels
    size = orchestration.count_chunks(blocks.n_blocks)
    out = np.empty((size, orchestration.count_sums(native.n_components, blocks.n_features, table.is_diagonal)))
    threads = _enough(threads, blocks, table)
    run_rows(lambda taken: fold_labelled_chunks(points, native, label, taken, out), size, threads)
    return table.unpack(out.sum(axis=0), table.mean)


def fold_each(blocks: Blocks, tables: Table, threads: int = 1) -> tuple[Array, Stats]:
    """Compute the statistics of the points under each of S tables.

    Parameters
    ----------
    blocks : Blocks
        Points, in the coordinates of ``tables.mean``.
    tables : Table
        A stack of S tables of K components.
    threads : int
        Number of threads. The result is the same, to the last bit, for any number.

    Returns
    -------
    loglik : (S,) float
        Log likelihood of the points under each table.
    stats : Stats
        Statistics of all S K components, table by table; its ``loglik`` is the sum.

    Examples
    --------
    >>> twice = Table.from_parameters([[0.0], [0.0]], [[[0.0]], [[1.0]]], [[[1.0]], [[1.0]]])
    >>> fold_each(Blocks.from_rows([[0.0], [2.0]]), twice)[1].means()
    array([[1.],
           [1.]])
    """
    tables = tables.suited(blocks)
    rows = blocks.total(partial(_sums_each, tables=tables), threads)
    row = np.concatenate([[rows[:, 0].sum()], rows[:, 1:].reshape(-1)])
    return rows[:, 0], tables.unpack(row, tables.mean.reshape(-1, blocks.n_features))


def _sums_each(blocks: Blocks, threads: int, tables: Table) -> Array:
    """Compute the statistics under each of S tables: a row of sums for each."""
    return tables.fold_rows(blocks, orchestration.count_chunks(blocks.n_blocks), len(tables.mean), threads)


def responsibilities(blocks: Blocks, tables: Table, threads: int = 1) -> Array:
    r"""Probability that each point came from each component, averaged over a stack of tables.

    .. math:: r_{nk} = \frac1S \sum_s \mathrm{softmax}_k\, a^{(s)}_{nk}

    Parameters
    ----------
    blocks : Blocks
        N points.
    tables : Table
        S tables in one, with a leading axis of draws; or a single table.

    Returns
    -------
    (N, K) float
        From 0 to 1. Rows sum to one; with a background, to one minus the probability of the background.

    References
    ----------
    .. [1] Dempster, Laird & Rubin (1977), J. R. Stat. Soc. B 39(1), 1-38.

    Examples
    --------
    >>> bumps = Table.from_parameters(np.log([0.5, 0.5]), [[0.0], [4.0]], [[1.0], [1.0]])
    >>> responsibilities(Blocks.from_rows([[0.0], [2.0]]), bumps).round(3)
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    n_components = tables.mean.shape[-2]
    out = np.zeros((blocks.n_blocks, n_components, BLOCK))
    _run(orchestration.average_responsibilities, blocks, tables, blocks.n_blocks, threads, out)
    np.minimum(out, 1.0, out=out)  # a sum over draws has rounding errors
    return out.transpose(0, 2, 1).reshape(-1, n_components)[: blocks.n_points]


def _run(kernel: Callable[..., None], blocks: Blocks, tables: Table, size: int, threads: int, out: Array) -> None:
    """Fill ``out`` by a compiled function over a number of blocks or draws."""
    points, native, flat = blocks.native, tables.native, out.reshape(-1)
    threads = _enough(threads, blocks, tables)
    run_ranges(lambda start, stop: kernel(points, native, start, stop, flat), size, threads)


def draw_responsibilities(blocks: Blocks, tables: Table, threads: int = 1) -> Array:
    """Probability that each point came from each component, under each of a stack of tables.

    Returns
    -------
    (S, N, K) float
        All of them are in memory: for few points.
    """
    n_draws, n_components = tables.offset.shape
    out = np.empty((n_draws, blocks.n_blocks, n_components, BLOCK))
    _run(orchestration.draw_responsibilities, blocks, tables, n_draws, threads, out)
    return out.transpose(0, 1, 3, 2).reshape(n_draws, -1, n_components)[:, : blocks.n_points]


def log_densities(blocks: Blocks, tables: Table, threads: int = 1) -> Array:
    """Log density of each point under each of a stack of tables.

    Returns
    -------
    (S, N) float
        In the coordinates of the blocks, the background's density included; S = 1 for a single table.
    """
    n_draws = tables.offset.size // tables.mean.shape[-2]
    out = np.empty((blocks.n_blocks, n_draws, BLOCK))
    _run(orchestration.log_densities, blocks, tables, blocks.n_blocks, threads, out)
    return out.transpose(1, 0, 2).reshape(n_draws, -1)[:, : blocks.n_points]
