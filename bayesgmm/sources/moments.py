"""Number, mean, spread and range of rows, which can be added: over the parts of files, over machines."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayesgmm.sweep.stats import Array


@dataclass(frozen=True)
class Moments:
    """Number, mean, sum of squares about it, and range of rows; those of two sets of rows can be added.

    Parameters
    ----------
    count : int
        Number of rows.
    mean : (D,) float
    squares : (D,) float
        Sum of squares about the mean, in units of the squared half range, so that squares stay finite.
    low, high : (D,) float

    Examples
    --------
    >>> whole = Moments.of(np.array([[0.0], [1.0]])) + Moments.of(np.array([[5.0]]))
    >>> whole.count, whole.mean, whole.high
    (3, array([2.]), array([5.]))
    """

    count: int
    mean: Array
    squares: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, values: Array) -> Self:
        """Return the moments of rows (n, D)."""
        n_rows, n_features = values.shape
        if not n_rows:
            zero, infinite = np.zeros(n_features), np.full(n_features, np.inf)
            return cls(0, zero, zero, infinite, -infinite)
        mean, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
        half = high / 2 - low / 2
        squares = (((values - mean) / np.where(half > 0, half, 1.0)) ** 2).sum(axis=0)
        return cls(n_rows, mean, squares, low, high)

    def __add__(self, other: "Moments") -> "Moments":
        if not self.count or not other.count:
            return self if self.count else other
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        half, total, step = high / 2 - low / 2, self.count + other.count, other.mean - self.mean
        unit = np.where(half > 0, half, 1.0)
        squares = (step / unit) ** 2 * (self.count * other.count / total)
        for one in (self, other):
            squares = squares + one.squares * (one.half_range / unit) ** 2
        return Moments(total, self.mean + step * (other.count / total), squares, low, high)

    @property
    def half_range(self) -> Array:
        """Half of the range (D,)."""
        half: Array = self.high / 2 - self.low / 2
        return half

    @property
    def sd(self) -> Array:
        """Standard deviation (D,); zero for a constant column."""
        return self.half_range * np.sqrt(self.squares / self.count)
