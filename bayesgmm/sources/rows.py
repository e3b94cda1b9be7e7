"""The interface of all sources: rows in parts, which can be read again and again."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bayesgmm.declared import whole
from bayesgmm.errors import DataError
from bayesgmm.sources.reservoirs import Reservoir
from bayesgmm.sweep.pieces import Pieces
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

SOME = 2**15  # rows


@dataclass(frozen=True)
class Part:
    """Some successive rows of a source.

    Parameters
    ----------
    rows : (n, D) float, or Pieces
        In the units of the data; of single precision, if the source has no other.
    place : str
        Where they are, in words: a file, a row group. Empty for data in memory.
    index : range, or (n,) int
        Numbers of the rows in that place, from 0.
    weights : (n,) float, optional
        Number of points that each row represents. Default: 1.
    """

    rows: Array | Pieces
    place: str
    index: range | NDArray[np.int64]
    weights: Array | None = None

    @cached_property
    def values(self) -> Array:
        """The rows as an array (n, D)."""
        return np.asarray(self.rows)

    def after(self, count: int) -> "Part":
        """Return the part without a number of rows at its start."""
        weights = None if self.weights is None else self.weights[count:]
        return Part(self.rows[count:], self.place, self.index[count:], weights) if count else self

    def weighed_by(self, column: int) -> "Part":
        """Return the rows without one of their columns, which holds their weights."""
        return replace(self, rows=np.delete(self.values, column, axis=1), weights=self.values[:, column])


class RowSource(ABC):
    """Rows of numbers that are read part by part, as often as they are needed."""

    in_memory: ClassVar[bool] = False  # if so, nothing is gained where rows are kept
    weighted: ClassVar[bool] = False  # its parts have row weights

    def __array__(self, *args: object, **kwargs: object) -> Array:
        """Refuse to be all rows at a time, where rows in parts can't be used.

        Raises
        ------
        DataError
        """
        raise DataError(
            f"{self.name} is a source of rows in parts, which fits read; answers need rows in memory\n"
            "  Give its path, a table or a Dask array; for any number of rows: bayesgmm assign, score or density."
        )

    @property
    @abstractmethod
    def name(self) -> str:
        """What it reads, in words."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Names of the D columns."""

    @property
    @abstractmethod
    def n_rows(self) -> int | None:
        """Number of rows; None if it is known only after all of them are read."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Text that changes when the data may have changed."""

    @abstractmethod
    def parts(self, rows: int, first: int = 0) -> Iterator[Part]:
        """Yield rows in their order, at most a given number at a time.

        Parameters
        ----------
        rows : int
            Maximum number of rows of a part.
        first : int
            Number of the first row to read.

        Raises
        ------
        DataError
            If they can't be read, or have changed since the source was opened.
        """

    def sample(self, size: int, seed: int = 0) -> "pd.DataFrame":
        """Draw rows at random without replacement, in one pass over all of them.

        Parameters
        ----------
        size : int
            Number of rows; all rows, if there are fewer.
        seed : int
            The same seed draws the same rows.

        Returns
        -------
        DataFrame
            Rows in their order, labelled by their numbers among all rows.

        Examples
        --------
        >>> import bayesgmm as bg
        >>> bg.source(np.eye(3)).sample(2).shape
        (2, 3)
        """
        import pandas as pd

        drawn = Reservoir(whole("size", size), np.random.default_rng(whole("seed", seed, minimum=0)))
        for part in self.parts(SOME):
            drawn.add(part.values)
        return pd.DataFrame(drawn.rows, index=drawn.at, columns=[*self.columns])


def without_first(parts: Iterable[Part], count: int) -> Iterator[Part]:
    """Yield parts without a number of rows at the start.

    Examples
    --------
    >>> both = [Part(np.zeros((2, 1)), "", range(2)), Part(np.ones((2, 1)), "", range(2, 4))]
    >>> [part.index for part in without_first(both, 3)]
    [range(3, 4)]
    """
    for part in parts:
        if count < len(part.rows):
            yield part.after(count)
        count = max(count - len(part.rows), 0)


def recut(arrays: Iterable[Array | Pieces], rows: int) -> Iterator[Array | Pieces]:
    """Yield the rows of arrays (n, D) in arrays of a given number of rows; the last may have fewer.

    Sums over them then do not depend on how the rows are divided into files.

    Examples
    --------
    >>> [part[:, 0].tolist() for part in recut([np.ones((1, 1)), np.zeros((4, 1))], 2)]
    [[1.0, 0.0], [0.0, 0.0], [0.0]]
    """
    held: list[Array | Pieces] = []
    missing = rows
    for values in arrays:
        start = 0
        while len(values) - start >= missing:
            yield _one([*held, values[start : start + missing]])
            held, start, missing = [], start + missing, rows
        if start < len(values):
            held.append(values[start:])
            missing -= len(values) - start
    if held:
        yield _one(held)


def _one(rows: list[Array | Pieces]) -> Array | Pieces:
    """Return rows of several arrays as those of one, each of which is copied at most once; those in pieces are not."""
    if len(rows) == 1:
        return rows[0]
    return Pieces.joined(rows) if any(isinstance(one, Pieces) for one in rows) else np.concatenate(rows)
