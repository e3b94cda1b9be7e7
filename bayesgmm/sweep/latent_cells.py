"""Which cells of the points are latent: those whose values are missing, or measured with an error."""

import math
from dataclasses import dataclass

import numpy as np

from bayesgmm.sweep import latent_kernels as kernels
from bayesgmm.sweep import latent_records as records
from bayesgmm.sweep.layout import BLOCK, Array, BoolArray, IntArray

NEGLIGIBLE = 1e-20  # a variance of an error below this, in standardised coordinates, is zero
SLICE = 4096  # rows whose covariances are inverted at a time
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class LatentCells:
    """Missing cells of N points, and the errors of the measured ones.

    Parameters
    ----------
    missing : (N, D) bool
    noise : (N, D) or (N, D, D) float, optional
        Variances or covariances of the errors, in the coordinates of the points. Zero where a cell has none; not
        read where it is missing. Default: no cell has an error.
    """

    missing: BoolArray
    noise: Array | None = None

    @property
    def cells(self) -> BoolArray:
        """Latent cells (N, D)."""
        return self.missing if self.noise is None else self.missing | (self.variance > NEGLIGIBLE)

    @property
    def variance(self) -> Array:
        """Variances of the errors (N, D)."""
        if self.noise is None:
            return np.zeros(self.missing.shape)
        return self.noise if self.noise.ndim == 2 else np.diagonal(self.noise, axis1=1, axis2=2)

    def take(self, rows: IntArray | slice) -> "LatentCells":
        """Return the cells of some rows."""
        return LatentCells(self.missing[rows], None if self.noise is None else self.noise[rows])

    def padded(self, n_rows: int) -> "LatentCells":
        """Return the cells of these rows and of further ones, which have none."""
        more = n_rows - len(self.missing)
        noise = self.noise
        if noise is not None:
            noise = np.pad(noise, [(0, more)] + [(0, 0)] * (noise.ndim - 1))
        return LatentCells(np.pad(self.missing, [(0, more), (0, 0)]), noise)


def by_pattern(missing: BoolArray) -> IntArray:
    """Return an order of rows (N,): those with the same missing columns follow each other, complete ones come first.

    Blocks of rows with the same missing columns are computed several times as fast as mixed ones.

    Examples
    --------
    >>> by_pattern(np.array([[True, False], [False, False], [True, True], [True, False]]))
    array([1, 0, 3, 2])
    """
    pattern = np.ascontiguousarray(np.packbits(missing, axis=1))
    number = np.unique(pattern.view(f"V{pattern.shape[1]}").ravel(), return_inverse=True)[1]
    return np.lexsort([number, missing.sum(axis=1)])


def latent_numbers(latent: LatentCells | None) -> IntArray:
    """Return latent cells in the form that compiled code reads; empty if there are none.

    Parameters
    ----------
    latent : LatentCells or None
        Of all points of the blocks, the padding included.

    Returns
    -------
    (...,) int
        Addresses of the functions of ``latent_kernels``; numbers of memory of a component; for each block where its
        record is, or zero if it has no latent cells; and the records, as ``latent_records`` describes them. All places
        count from the start of this array.
    """
    cells = np.empty((0, 0), dtype=bool) if latent is None else latent.cells
    if latent is None or not cells.any():
        return np.empty(0, dtype=np.int64)
    n_features, n_blocks = cells.shape[1], len(cells) // BLOCK
    blocks = np.flatnonzero(cells.reshape(n_blocks, -1).any(axis=1))
    rows = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
    cells = cells[rows]
    kind, constant, precision = _precisions(latent.take(rows), cells)
    most = cells.sum(axis=1).reshape(-1, BLOCK).max(axis=1)
    each = cells.reshape(-1, BLOCK, n_features)
    union, same = each.any(axis=1), (each == each[:, :1]).all(axis=(1, 2))
    triangles = most * (most + 1) // 2
    columns_at = records.COLUMNS + union.sum(axis=1)
    rows_at = columns_at + BLOCK * most
    floats_at = rows_at + most + 1 + each.sum(axis=(1, 2))
    length = floats_at + BLOCK * (1 + {records.NO_NOISE: 0, records.VARIANCES: most}.get(kind, triangles))
    at = records.HEAD + n_blocks + np.cumsum(length) - length
    out = np.zeros(int(at[-1] + length[-1]), dtype=np.int64)
    memory = records.kept_from(n_features) + BLOCK * int((most + triangles).max())
    out[: records.HEAD] = [*(function.address for function in kernels.FUNCTIONS), memory]
    out[records.HEAD + blocks] = at
    fields = (most, union.sum(axis=1), np.full(len(at), kind), same, at + rows_at, at + floats_at)
    for place, field in enumerate(fields):
        out[at + place] = field
    block, column = np.nonzero(union)
    out[(at + records.COLUMNS)[block] + _ranks(block)] = column
    _write_cells(out, at + columns_at, at + rows_at, most, cells)
    _write_errors(out.view(np.float64), at + floats_at, cells, constant, precision)
    return out


def _write_cells(out: IntArray, columns_at: IntArray, rows_at: IntArray, most: IntArray, cells: BoolArray) -> None:
    """Write the columns of latent cells, and the lists of rows that have a first one, a second, ..."""
    part = np.repeat(np.arange(len(most)), BLOCK * most)
    out[columns_at[part] + _ranks(part)] = cells.shape[1]
    row, column = np.nonzero(cells)
    cell, block, lane = _ranks(row), row // BLOCK, row % BLOCK
    out[columns_at[block] + cell * BLOCK + lane] = column
    order = np.lexsort([lane, cell, block])
    block, cell = block[order], cell[order]
    place = rows_at[block] + most[block] + 1 + _ranks(block)
    out[place] = lane[order]
    out[rows_at] = rows_at + most + 1
    last = np.append((block[1:] != block[:-1]) | (cell[1:] != cell[:-1]), True)
    out[rows_at[block[last]] + cell[last] + 1] = place[last] + 1


def _write_errors(floats: Array, at: IntArray, cells: BoolArray, constant: Array, precision: Array) -> None:
    """Write a constant for each row, and the precisions of the errors of its latent cells."""
    floats[at[:, None] + np.arange(BLOCK)] = constant.reshape(-1, BLOCK)
    row, column = np.nonzero(cells)
    cell, to = _ranks(row), at[row // BLOCK] + BLOCK + row % BLOCK
    if precision.ndim == 2 and precision.size:
        floats[to + cell * BLOCK] = precision[row, column]
    elif precision.ndim == 3:
        first = np.searchsorted(row, row)
        for other in range(int(cell.max()) + 1):
            own = cell >= other
            place = cell[own] * (cell[own] + 1) // 2 + other
            floats[to[own] + place * BLOCK] = precision[row[own], column[own], column[first[own] + other]]


def _ranks(group: IntArray) -> IntArray:
    """Return the number of each entry in its group, of groups that follow each other."""
    return np.arange(len(group)) - np.searchsorted(group, group)


def _precisions(latent: LatentCells, cells: BoolArray) -> tuple[int, Array, Array]:
    """Return the kind of the errors, a constant for each row, and the precisions of the errors of its measured cells.

    The constant is half the log determinant of the precision, and the powers of two pi. Precisions of other cells
    are zero.
    """
    measured, noise = cells & ~latent.missing, latent.noise
    constant: Array = 0.5 * LOG_2PI * (cells & latent.missing).sum(axis=1).astype(np.float64)
    if noise is None:
        return records.NO_NOISE, constant, np.empty((0, 0))
    if noise.ndim == 2:
        precision = np.divide(1.0, noise, where=measured, out=np.zeros(noise.shape))
        constant += 0.5 * np.log(precision, where=measured, out=np.zeros(noise.shape)).sum(axis=1)
        return records.VARIANCES, constant, precision
    precision, identity = np.empty(noise.shape), np.eye(cells.shape[1])
    for start in range(0, len(noise), SLICE):
        part = slice(start, start + SLICE)
        both = measured[part, :, None] & measured[part, None, :]
        inverse = np.linalg.inv(np.where(both, noise[part], identity))
        constant[part] += 0.5 * np.linalg.slogdet(inverse)[1]
        precision[part] = np.where(both, inverse, 0.0)
    return records.COVARIANCES, constant, precision
