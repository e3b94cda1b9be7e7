"""Which cells of the points are latent: those whose values are missing, or measured with an error."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep import latent_kernels as kernels
from bayesgmm.sweep.layout import BLOCK

NEGLIGIBLE = 1e-20  # a variance of an error below this, in standardised coordinates, is zero
SLICE = 4096  # rows whose covariances are inverted at a time
LOG_2PI = math.log(2 * math.pi)

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


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
        record is, or zero if it has no latent cells; and the records, as ``latent_kernels`` describes them. All places
        count from the start of this array.
    """
    cells = np.empty((0, 0), dtype=bool) if latent is None else latent.cells
    if latent is None or not cells.any():
        return np.empty(0, dtype=np.int64)
    n_features, count = cells.shape[1], cells.sum(axis=1)
    blocks = np.flatnonzero(count.reshape(-1, BLOCK).any(axis=1))
    rows = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
    cells, count = cells[rows], count[rows]
    most = count.reshape(-1, BLOCK).max(axis=1)
    each = cells.reshape(-1, BLOCK, n_features)
    union, same = each.any(axis=1), (each == each[:, :1]).all(axis=(1, 2))
    kind, constant, precision = _precisions(latent.take(rows), cells)
    width = {kernels.NO_NOISE: 0 * most, kernels.VARIANCES: most}.get(kind, most * (most + 1) // 2)
    columns_at = kernels.COLUMNS + union.sum(axis=1)
    rows_at = columns_at + BLOCK * most
    floats_at = rows_at + most + 1 + cells.reshape(len(blocks), -1).sum(axis=1)
    n_blocks = len(latent.missing) // BLOCK
    ends = kernels.HEAD + n_blocks + np.cumsum(floats_at + BLOCK * (1 + width))
    at = ends - (floats_at + BLOCK * (1 + width))
    out = np.zeros(int(ends[-1]), dtype=np.int64)
    memory = kernels.kept_from(n_features) + BLOCK * int((most + most * (most + 1) // 2).max())
    out[: kernels.HEAD] = [*(function.address for function in kernels.FUNCTIONS), memory]
    out[kernels.HEAD + blocks] = at
    for place, field in enumerate((most, union.sum(axis=1), np.full(len(at), kind), same, at + rows_at, at + floats_at)):
        out[at + place] = field
    block, column = np.nonzero(union)
    out[(at + kernels.COLUMNS)[block] + _ranks(block)] = column
    row, column = np.nonzero(cells)
    cell, lane, block = _ranks(row), row % BLOCK, row // BLOCK
    _fill(out, at + columns_at, BLOCK * most, n_features)
    out[(at + columns_at)[block] + cell * BLOCK + lane] = column
    _write_lists(out, at + rows_at, most, np.stack([block, cell, lane]))
    floats, first = out.view(np.float64), at + floats_at
    floats[first[:, None] + np.arange(BLOCK)] = constant.reshape(-1, BLOCK)
    if kind == kernels.VARIANCES:
        floats[first[block] + (1 + cell) * BLOCK + lane] = precision[row, column]
    elif kind == kernels.COVARIANCES:
        begin = np.searchsorted(row, row)
        for other in range(int(most.max())):
            chosen = cell >= other
            second = column[begin[chosen] + other]
            place = cell[chosen] * (cell[chosen] + 1) // 2 + other
            to = first[block[chosen]] + (1 + place) * BLOCK + lane[chosen]
            floats[to] = precision[row[chosen], column[chosen], second]
    return out


def _ranks(group: IntArray) -> IntArray:
    """Return the number of each entry in its group, of groups that follow each other."""
    return np.arange(len(group)) - np.searchsorted(group, group)


def _fill(out: IntArray, starts: IntArray, counts: IntArray, value: int) -> None:
    """Write a value to several ranges of an array."""
    part = np.repeat(np.arange(len(starts)), counts)
    out[starts[part] + _ranks(part)] = value


def _write_lists(out: IntArray, at: IntArray, most: IntArray, entries: IntArray) -> None:
    """Write for each block where the lists of rows end that have a first latent cell, a second, ...; and the lists.

    ``entries`` (3, ...) are the blocks of all latent cells, their numbers in their rows, and their rows.
    """
    block, cell, lane = entries[:, np.lexsort([entries[2], entries[1], entries[0]])]
    place = at[block] + most[block] + 1 + _ranks(block)
    out[place] = lane
    out[at] = at + most + 1
    last = np.append((block[1:] != block[:-1]) | (cell[1:] != cell[:-1]), True)
    out[at[block[last]] + cell[last] + 1] = place[last] + 1


def _precisions(latent: LatentCells, cells: BoolArray) -> tuple[int, Array, Array]:
    """Return the kind of the errors, a constant for each row, and the precisions of the errors of its measured cells.

    The constant is half the log determinant of the precision, and the powers of two pi. Precisions of other cells
    are zero.
    """
    measured, noise = cells & ~latent.missing, latent.noise
    constant = 0.5 * LOG_2PI * (cells & latent.missing).sum(axis=1)
    if noise is None:
        return kernels.NO_NOISE, constant, np.empty((0, 0))
    if noise.ndim == 2:
        precision = np.divide(1.0, noise, where=measured, out=np.zeros(noise.shape))
        constant += 0.5 * np.log(precision, where=measured, out=np.zeros(noise.shape)).sum(axis=1)
        return kernels.VARIANCES, constant, precision
    precision, identity = np.empty(noise.shape), np.eye(cells.shape[1])
    for start in range(0, len(noise), SLICE):
        part = slice(start, start + SLICE)
        both = measured[part, :, None] & measured[part, None, :]
        inverse = np.linalg.inv(np.where(both, noise[part], identity))
        constant[part] += 0.5 * np.linalg.slogdet(inverse)[1]
        precision[part] = np.where(both, inverse, 0.0)
    return kernels.COVARIANCES, constant, precision
