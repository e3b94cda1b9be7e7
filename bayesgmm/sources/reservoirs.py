"""A random sample of rows that are read once, part by part."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array


@dataclass
class Reservoir:
    """A random sample of rows of unknown number: those with the smallest of independent random numbers.

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
    limit: float = 1.0
    rows: Array = field(default_factory=lambda: np.empty((0, 0)))
    key: Array = field(default_factory=lambda: np.empty(0))
    at: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def add(self, values: Array) -> None:
        """Add rows (n, D); those of the sample stay in their order."""
        key = self.rng.random(len(values))
        new = np.flatnonzero(key < self.limit)
        rows = values[new] if not self.seen else np.concatenate([self.rows, values[new]])
        key, at = np.concatenate([self.key, key[new]]), np.concatenate([self.at, self.seen + new])
        if len(key) > self.size:
            kept = np.sort(np.argpartition(key, self.size)[: self.size])
            rows, key, at = rows[kept], key[kept], at[kept]
            self.limit = float(key.max())
        self.rows, self.key, self.at, self.seen = rows, key, at, self.seen + len(values)
