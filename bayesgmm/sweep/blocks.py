"""Points in blocks, as a sweep reads them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import ArrayLike, NDArray

from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.latent_cells import LatentCells, latent_numbers
from bayesgmm.sweep.layout import Array, FloatArray, aligned
from bayesgmm.sweep.layout_kernels import lay_out
from bayesgmm.sweep.orchestration import NativePoints
from bayesgmm.sweep.pieces import Pieces
from bayesgmm.sweep.threads import enough_threads, run_ranges

AS_PRODUCTS = 16  # multiplications that take as long as to lay out a number


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


@dataclass(frozen=True, eq=False)
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
        threads: int = 1,
    ) -> "Blocks":
        """Lay out ``(rows - shift) / scale``.

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
        threads : int
            Number of threads; the result does not depend on it.

        Examples
        --------
        >>> Blocks.from_rows([[1.0, 2.0], [3.0, 4.0]]).rows()
        array([[1., 2.],
               [3., 4.]])
        """
        rows = np.asarray(rows, dtype=np.float64)
        n_points, n_features = rows.shape
        x = laid_out(rows, shift, scale, threads)
        weight = np.zeros(max(1, -(-n_points // BLOCK)) * BLOCK)
        weight[:n_points] = 1.0 if weights is None else weights
        latent = None
        if noise is not None or np.isnan(x.sum()):
            latent = _latent(rows, noise, scale)
            latent = latent.padded(weight.size) if latent.cells.any() else None
            x = np.nan_to_num(x)
        return cls(x, weight, n_points, n_features, latent=latent)

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

    @property
    def is_exact(self) -> bool:
        """True if no cell is missing or has an error of measurement."""
        return self.latent is None

    @property
    def observed_weight(self) -> Array | None:
        """Sum of the weights of the rows in which each column is observed (D,); None if all cells are exact."""
        return None if self.latent is None else self.weight[: self.n_points] @ self.observed()

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

    def brought(self, chosen: NDArray[np.int64]) -> "Blocks":
        """Return a copy of some of the blocks in memory."""
        return self.part(chosen)

    def scaled(self, ratio: float) -> "Blocks":
        """Return the same points with their weights multiplied by a number."""
        return replace(self, weight=self.weight * ratio)

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


def laid_out(rows: FloatArray | Pieces, shift: Array | float, scale: Array | float, threads: int = 1) -> Array:
    """Lay out ``(rows - shift) / scale``, for rows (N, D) in any order of memory, without a second copy.

    Returns
    -------
    (n_blocks * D * BLOCK,) float
        Blocks, flat; the last one is padded with zeros.
    """
    n_points, d = rows.shape
    n_blocks = max(1, -(-n_points // BLOCK))
    x, about, factor = aligned(n_blocks * d * BLOCK), np.full(d, shift), np.full(d, 1 / scale)
    x[(n_blocks - 1) * d * BLOCK :] = 0.0
    if not isinstance(rows, Pieces):
        _lay_out(rows, 0, about, factor, 0, x, threads)
        return x
    first = 0
    for piece in rows.pieces:
        for j, column in enumerate(piece):
            _lay_out(column[:, None], first, about[j : j + 1], factor[j : j + 1], j, x, threads, d)
        first += len(piece[0])
    return x


def _lay_out(
    rows: FloatArray,
    first: int,
    shift: Array,
    factor: Array,
    column: int,
    x: Array,
    threads: int,
    width: int | None = None,
) -> None:
    """Write ``(rows - shift) * factor`` into blocks of a number of columns, from a row and a column on."""
    if rows.size == 0:
        return
    if any(step < 0 or step % rows.itemsize for step in rows.strides):
        rows = rows.copy()
    (n_points, d), (row_step, column_step) = rows.shape, (step // rows.itemsize for step in rows.strides)
    span = 1 + (n_points - 1) * row_step + (d - 1) * column_step
    numbers = as_strided(rows, (span,), (rows.itemsize,), writeable=False)
    args = (numbers, row_step, column_step, n_points, first, shift, factor, column, width or d)
    start, stop = first // BLOCK, -(-(first + n_points) // BLOCK)
    threads = enough_threads(threads, AS_PRODUCTS * rows.size)
    run_ranges(lambda low, high: lay_out(*args, start + low, start + high, x), stop - start, threads)


def _latent(rows: Array, noise: ArrayLike | None, scale: Array | float) -> LatentCells:
    """Return the missing cells (NaN) of rows, and their errors in standardised coordinates."""
    if noise is None:
        return LatentCells(np.isnan(rows))
    noise, missing = np.asarray(noise, dtype=np.float64), np.isnan(rows)
    scales = np.broadcast_to(scale, rows.shape[1])
    return LatentCells(missing, noise / (scales**2 if noise.ndim == 2 else np.outer(scales, scales)))


type Measure = Callable[[Blocks, int], Array]
"""From points and a number of threads to sums over the points."""
