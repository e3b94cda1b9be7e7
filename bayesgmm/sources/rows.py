"""The interface of all sources: rows in parts, which can be read again and again."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.declared import whole
from bayesgmm.sources.reservoirs import Reservoir
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

SOME = 2**15  # rows


@dataclass(frozen=True)
class Part:
    """Some successive rows of a source.

    Parameters
    ----------
    values : (n, D) float
        In the units of the data.
    place : str
        Where they are, in words: a file, a row group. Empty for data in memory.
    index : (n,) int
        Numbers of the rows in that place, from 0.
    """

    values: Array
    place: str
    index: NDArray[np.int64]


class RowSource(ABC):
    """Rows of numbers that are read part by part, as often as they are needed."""

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
    def parts(self, rows: int) -> Iterator[Part]:
        """Yield all rows in their order, at most a given number at a time.

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


def recut(arrays: Iterable[Array], rows: int) -> Iterator[Array]:
    """Yield the rows of arrays (n, D) in arrays of a given number of rows; the last may have fewer.

    Sums over them then do not depend on how the rows are divided into files.

    Examples
    --------
    >>> [part[:, 0].tolist() for part in recut([np.ones((1, 1)), np.zeros((4, 1))], 2)]
    [[1.0, 0.0], [0.0, 0.0], [0.0]]
    """
    held: list[Array] = []
    for values in arrays:
        held.append(values)
        while sum(map(len, held)) >= rows:
            joined = held[0] if len(held) == 1 else np.concatenate(held)
            yield joined[:rows]
            held = [joined[rows:]]
    if sum(map(len, held)):
        yield held[0] if len(held) == 1 else np.concatenate(held)
