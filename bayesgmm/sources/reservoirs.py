"""A random sample of rows that are read once, part by part."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array


@dataclass
class Reservoir:
    """A random sample of rows of unknown number: those with the smallest of independent random numbers.

    The random number of a row is uniform; where chances are given, it is divided by the chance of the row.

    Parameters
    ----------
    size : int
        Maximum number of rows of the sample.
    rng : Generator
    seen : int
        Number of rows so far.
    limit : float
        Rows with a larger random number are not in the sample.
    rows : (M, D) float
        The sample so far.
    key : (M,) float
        Their random numbers.
    at : (M,) int
        Their numbers among all rows.

    References
    ----------
    .. [1] Vitter (1985), ACM Trans. Math. Softw. 11(1), 37-57.
    .. [2] Duffield, Lund & Thorup (2007), J. ACM 54(6), 32: with chances (priority sampling).

    Examples
    --------
    >>> reservoir = Reservoir(2, np.random.default_rng(0))
    >>> for part in np.arange(6.0).reshape(2, 3, 1):
    ...     reservoir.add(part)
    >>> len(reservoir.rows), reservoir.seen
    (2, 6)
    """

    size: int
    rng: np.random.Generator
    seen: int = 0
    limit: float = np.inf
    rows: Array = field(default_factory=lambda: np.empty((0, 0)))
    key: Array = field(default_factory=lambda: np.empty(0))
    at: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def add(self, values: Array, chance: Array | None = None) -> None:
        """Add rows (n, D), with positive chances (n,) to be in the sample; those of the sample stay in their order."""
        key = self.rng.random(len(values))
        key = key if chance is None else key / chance
        self._keep(values, key, self.seen + np.arange(len(values)))
        self.seen += len(values)

    def join(self, other: "Reservoir") -> None:
        """Add the sample of the rows that follow."""
        self._keep(other.rows, other.key, self.seen + other.at)
        self.seen += other.seen

    def _keep(self, rows: Array, key: Array, at: NDArray[np.int64]) -> None:
        new = np.flatnonzero(key < self.limit)
        rows = rows[new] if not len(self.rows) else np.concatenate([self.rows, rows[new]])
        key, at = np.concatenate([self.key, key[new]]), np.concatenate([self.at, at[new]])
        if len(key) > self.size:
            kept = np.sort(np.argpartition(key, self.size)[: self.size])
            rows, key, at = rows[kept], key[kept], at[kept]
            self.limit = float(key.max())
        self.rows, self.key, self.at = rows, key, at


Chances = Callable[[Array], Array]


def drawn_by(chances: Chances, size: int, seed: tuple[int, ...], parts: Iterable[Array], first: int = 0) -> Reservoir:
    """Draw rows with unequal chances, in one pass.

    Parameters
    ----------
    chances : function
        From rows (n, D) to their chances (n,), up to a factor.
    size : int
        Number of rows of the sample.
    seed : tuple of int
    parts : iterable of (n, D) float
    first : int
        Number of the first row. The random number of a row depends on the seed and its number alone: so samples of
        successive rows can be drawn apart and joined.

    Examples
    --------
    >>> rows = np.arange(9.0).reshape(-1, 1)
    >>> whole = drawn_by(np.ravel, 2, (0,), [rows + 1])
    >>> halves = [drawn_by(np.ravel, 2, (0,), [part + 1], first) for part, first in ((rows[:4], 0), (rows[4:], 4))]
    >>> halves[0].join(halves[1])
    >>> bool((halves[0].at == whole.at).all())
    True
    """
    numbers = np.random.PCG64(seed)
    numbers.advance(first)  # one step for each row
    drawn = Reservoir(size, np.random.Generator(numbers))
    for part in parts:
        drawn.add(part, chances(part))
    return drawn
