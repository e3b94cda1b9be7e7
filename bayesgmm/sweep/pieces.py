"""Rows as their columns, in pieces: as files have them, before anything is copied."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bayesgmm.sweep.layout import Array, FloatArray


@dataclass(frozen=True, eq=False)
class Pieces:
    """Rows (n, D) of numbers, of which each column of each piece is an array of its own.

    A sweep lays them out in blocks as they are. Whatever else needs them, takes them as an array: ``np.asarray`` makes
    one, column by column.

    Parameters
    ----------
    pieces : tuple of tuples of D arrays (m,)
        The columns of successive rows, all of them of single or all of double precision.

    Examples
    --------
    >>> rows = Pieces(((np.array([0.0, 1.0]), np.array([5.0, 6.0])),))
    >>> np.asarray(Pieces.joined([rows[1:], rows]))
    array([[1., 6.],
           [0., 5.],
           [1., 6.]])
    """

    pieces: tuple[tuple[FloatArray, ...], ...]

    @classmethod
    def joined(cls, rows: "Iterable[Pieces | FloatArray]") -> "Pieces":
        """Return several rows as one, in their order."""
        return cls((*chain.from_iterable(one.pieces if isinstance(one, Pieces) else (tuple(one.T),) for one in rows),))

    @property
    def shape(self) -> tuple[int, int]:
        """N and D."""
        return len(self), len(self.pieces[0])

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """Single or double precision."""
        return np.result_type(*(piece[0] for piece in self.pieces))

    def __len__(self) -> int:
        return sum(len(piece[0]) for piece in self.pieces)

    def __getitem__(self, rows: slice) -> "Pieces":
        """Return successive rows, without a copy."""
        start, stop, _ = rows.indices(len(self))
        chosen, first = [], 0
        for piece in self.pieces:
            size = len(piece[0])
            own = slice(max(start - first, 0), max(min(stop - first, size), 0))
            chosen += [tuple(column[own] for column in piece)] if own.start < own.stop else []
            first += size
        return Pieces((*chosen,) or (tuple(column[:0] for column in self.pieces[0]),))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[np.floating]:
        """Return them as an array (n, D), each column contiguous.

        Raises
        ------
        ValueError
            If it must not be a copy.
        """
        if copy is False:
            raise ValueError("rows whose columns are arrays of their own become one array by a copy")
        rows, first = np.empty(self.shape, self.dtype if dtype is None else dtype, order="F"), 0
        for piece in self.pieces:
            for j, column in enumerate(piece):
                rows[first : first + len(column), j] = column
            first += len(piece[0])
        return rows


def as_array(rows: Array | Pieces) -> Array:
    """Return rows (n, D) as an array: as it is, or a copy of pieces. Single precision stays so."""
    return np.asarray(rows)
