r"""Points in blocks, tables that score them, and the sufficient statistics that a sweep returns.

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
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.latent_cells import LatentCells, latent_numbers
from bayesgmm.sweep.layout import Array as Array
from bayesgmm.sweep.orchestration import NativePoints, NativeTable
from bayesgmm.sweep.threads import enough_threads, run_ranges

LOG_2PI = math.log(2 * math.pi)
KEPT_SWEEP = 20_000  # points x components; a sweep over fewer is so quick that no checkpoint keeps it
SLICE = 2**15  # numbers that are laid out at a time: few enough to stay in the cache


@dataclass(frozen=True)
class Blocks:
    """Points in blocks, features outermost: the data of a sweep.

    Parameters
    ----------
    x : (n_blocks * D * BLOCK,) float
        ``x[block, feature, point]``, flat; the last block is padded with zeros.
    weight : (n_blocks * BLOCK,) float
        Row weights; zero for the padding.
    n_points, n_features : int
        N and D.
    background : BackgroundRow, optional
        A fixed additional component.
    latent : LatentCells, optional
        Missing cells, and errors of measurement, of all rows with the padding. Where a cell is missing, ``x`` has any
        finite number. Default: all cells are exact.
    labels : (n_blocks * BLOCK, L + 1) float, optional
        Logarithms of the plausibilities of the first L components for each row, and of each other one; zero for the
        padding. They are added to the scores. Default: all components are equally plausible.
    """

    x: Array
    weight: Array
    n_points: int
    n_features: int
    background: "BackgroundRow | None" = None
    latent: LatentCells | None = None
    labels: Array | None = None

    @classmethod
    def from_rows(
        cls,
        rows: ArrayLike,
        weights: ArrayLike | None = None,
        shift: Array | float = 0.0,
        scale: Array | float = 1.0,
        noise: ArrayLike | None = None,
    ) -> "Blocks":
        """Lay out ``(rows - shift) / scale``, one slice at a time, so that no second copy is made.

        Parameters
        ----------
        rows : (N, D) float
            Points. A cell that is missing is NaN; in the blocks it has the value ``shift``.
        weights : (N,) float, optional
            Number of points that each row represents. Default: 1.
        shift, scale : number or (D,) float
            Shift and scale of the coordinates of the blocks.
        noise : (N, D) or (N, D, D) float, optional
            Variances or covariances of the errors of measurement, in the units of the rows. Default: none.

        Examples
        --------
        >>> Blocks.from_rows([[1.0, 2.0], [3.0, 4.0]]).rows()
        array([[1., 2.],
               [3., 4.]])
        """
        rows = np.asarray(rows, dtype=np.float64)
        n_points, n_features = rows.shape
        n_blocks = max(1, -(-n_points // BLOCK))
        x = np.zeros((n_blocks, n_features, BLOCK))
        weight = np.zeros(n_blocks * BLOCK)
        weight[:n_points] = 1.0 if weights is None else weights
        step = max(1, SLICE // (BLOCK * max(1, n_features))) * BLOCK
        for start in range(0, n_points, step):
            part = rows[start : start + step] - shift
            part /= scale
            whole = len(part) // BLOCK
            first = start // BLOCK
            blocks = part[: whole * BLOCK].reshape(whole, BLOCK, n_features)
            x[first : first + whole] = blocks.transpose(0, 2, 1)
            last = part[whole * BLOCK :]
            if len(last):
                x[first + whole, :, : len(last)] = last.T
        latent = None
        if noise is not None or np.isnan(x.sum()):
            latent = _latent(rows, noise, scale)
            latent = latent.padded(n_blocks * BLOCK) if latent.cells.any() else None
            x = np.nan_to_num(x)
        return cls(x.reshape(-1), weight, n_points, n_features, latent=latent)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return self.weight.size // BLOCK

    @cached_property
    def native(self) -> NativePoints:
        """The points in the form that compiled code reads."""
        background = np.empty(0) if self.background is None else self.background.numbers()
        latent = latent_numbers(self.latent)
        labels = np.empty(0)
        if self.labels is not None:
            labels = np.ascontiguousarray(self.labels.reshape(self.n_blocks, BLOCK, -1).swapaxes(1, 2)).reshape(-1)
        return NativePoints(self.x, self.weight, background, latent, labels, self.n_points, self.n_features)

    @cached_property
    def total_weight(self) -> float:
        """Sum of the row weights: N if there are none."""
        return float(self.weight.sum())

    def total(self, measure: "Measure", threads: int) -> Array:
        """Return a sum over the points: a function of blocks that adds up over parts, here of all of them at once."""
        return measure(self, threads)

    @property
    def sample(self) -> "Blocks":
        """Points from which starts are made: all of them."""
        return self

    def observed(self) -> NDArray[np.bool_]:
        """Return which cells (N, D) are observed, with or without an error."""
        if self.latent is None:
            return np.ones((self.n_points, self.n_features), dtype=bool)
        return ~self.latent.missing[: self.n_points]

    def exact(self) -> NDArray[np.bool_]:
        """Return which cells (N, D) are neither missing nor have an error."""
        return self.observed() if self.latent is None else ~self.latent.cells[: self.n_points]

    def part(self, chosen: NDArray[np.int64] | slice) -> "Blocks":
        """Return some of the blocks: a copy, or for a slice a view."""
        x = self.x.reshape(self.n_blocks, -1)[chosen].reshape(-1)
        weight = self.weight.reshape(self.n_blocks, -1)[chosen].reshape(-1)
        rows = np.arange(self.n_blocks * BLOCK).reshape(-1, BLOCK)[chosen].ravel()
        latent = None if self.latent is None else self.latent.take(rows)
        return replace(self, x=x, weight=weight, n_points=weight.size, latent=latent, labels=self.labels_of(rows))

    def with_latent(self, latent: LatentCells | None) -> "Blocks":
        """Return the same points with other latent cells, those of N rows."""
        return replace(self, latent=None if latent is None else latent.padded(self.n_blocks * BLOCK))

    def latent_of(self, rows: NDArray[np.int64]) -> LatentCells | None:
        """Return the latent cells of some rows; None if all cells are exact."""
        return None if self.latent is None else self.latent.take(rows)

    def with_labels(self, labels: Array | None) -> "Blocks":
        """Return the same points with log plausibilities (N, L + 1) of the components."""
        if labels is None:
            return replace(self, labels=None)
        return replace(self, labels=np.pad(labels, [(0, self.n_blocks * BLOCK - len(labels)), (0, 0)]))

    def labels_of(self, rows: NDArray[np.int64]) -> Array | None:
        """Return the log plausibilities (M, L + 1) of the components for some rows; None if there are no labels."""
        return None if self.labels is None else self.labels[rows]

    def take(self, rows: NDArray[np.int64]) -> "Blocks":
        """Return a copy of some of the points."""
        x = self.x.reshape(self.n_blocks, self.n_features, BLOCK)
        part = Blocks.from_rows(x[rows // BLOCK, :, rows % BLOCK], self.weight[rows])
        part = part.with_latent(self.latent_of(rows)).with_labels(self.labels_of(rows))
        return replace(part, background=self.background)

    def laid_out(self, cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return cells of all rows, with the padding, laid out as ``x``."""
        return cells.reshape(-1, BLOCK, self.n_features).transpose(0, 2, 1).reshape(-1)

    def rows(self) -> Array:
        """Return the points (N, D), one in each row; missing cells have the numbers that the blocks hold."""
        x = self.x.reshape(self.n_blocks, self.n_features, BLOCK)
        return x.transpose(0, 2, 1).reshape(-1, self.n_features)[: self.n_points].copy()


def _latent(rows: Array, noise: ArrayLike | None, scale: Array | float) -> LatentCells:
    """Return the missing cells (NaN) of rows, and their errors in standardised coordinates."""
    if noise is None:
        return LatentCells(np.isnan(rows))
    noise, missing = np.asarray(noise, dtype=np.float64), np.isnan(rows)
    scales = np.broadcast_to(scale, rows.shape[1])
    return LatentCells(missing, noise / (scales**2 if noise.ndim == 2 else np.outer(scales, scales)))


type Measure = Callable[[Blocks, int], Array]
"""From points and a number of threads to sums over the points."""


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
        points, native, diagonal = blocks.native, self.native, self.root.ndim == self.mean.ndim
        out = np.empty((size, orchestration.count_sums(native.n_components, blocks.n_features, diagonal)))
        threads = _enough(threads, blocks, self)
        run_ranges(lambda start, stop: orchestration.fold_chunks(points, native, span, start, stop, out), size, threads)
        return out

    def unpack(self, row: Array, about: Array) -> "Stats":
        """Read a row of sums of moments about (K, D)."""
        return unpack_stats(row, about, self.root.ndim == self.mean.ndim)

    def squared_lengths(self, s2: Array) -> Array:
        """Compute the sums of squared Mahalanobis distances of each component (K,) from second moments."""
        if s2.ndim == 2:
            return np.asarray((self.root**2 * s2).sum(axis=1))
        return np.einsum("kij,kjl,kil->k", self.root, s2, self.root)

    @cached_property
    def native(self) -> NativeTable:
        """The table in the form that compiled code reads: arrays of one type, so that a kernel is compiled once."""
        offset, mean, root = (
            np.require(v, requirements=("C", "W")).reshape(-1) for v in (self.offset, self.mean, self.root)
        )
        return NativeTable(offset, mean, root, self.mean.shape[-2])


@dataclass(frozen=True)
class BackgroundRow:
    """A background as the last row of any table: a fixed Gaussian with a fixed share.

    Parameters
    ----------
    log_rest : float
        Log of the total share of the components.
    offset : float
        Log of its own share plus the log normaliser.
    mean, root : (D,) float
        In the coordinates of the blocks; ``root`` is the diagonal of the root of its precision.
    """

    log_rest: float
    offset: float
    mean: Array
    root: Array

    def numbers(self) -> Array:
        """Return its numbers (2 + 2 D,) in the order in which ``orchestration.score_block`` reads them."""
        return np.concatenate([[self.log_rest, self.offset], self.mean, self.root])


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
        Rows sum to one; with a background, to one minus the probability of the background.

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
