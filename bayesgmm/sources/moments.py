"""Number, mean, spread and range of rows, which can be added: over the parts of files, over machines."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayesgmm.sweep.stats import Array


@dataclass(frozen=True)
class Moments:
    """Number, mean, sum of squares about it, and range of weighted rows; those of two sets of rows can be added.

    Values that are missing and rows of weight zero add nothing.

    Parameters
    ----------
    n_rows, n_counted, n_gaps : int
        Number of rows: all, those of positive weight, and those with a missing value.
    weight : float
        Sum of the row weights.
    observed : (D,) float
        Sum of the weights of the rows in which each column is observed.
    mean : (D,) float
    squares : (D,) float
        Sum of squares about the mean, in units of the squared half range, so that squares stay finite.
    low, high : (D,) float

    Examples
    --------
    >>> whole = Moments.of(np.array([[0.0], [1.0]])) + Moments.of(np.array([[5.0], [np.nan]]))
    >>> whole.n_rows, whole.observed, whole.mean, whole.high
    (4, array([3.]), array([2.]), array([5.]))
    """

    n_rows: int
    n_counted: int
    n_gaps: int
    weight: float
    observed: Array
    mean: Array
    squares: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, values: Array, weights: Array | None = None) -> Self:
        """Return the moments of rows (n, D), with row weights (n,), by default 1."""
        n_rows, n_features = values.shape
        if not n_rows:
            zero, infinite = np.zeros(n_features), np.full(n_features, np.inf)
            return cls(0, 0, 0, 0.0, zero, zero, zero, infinite, -infinite)
        if weights is not None or np.isnan(values.sum()):
            return cls._of_some(values, np.ones(n_rows) if weights is None else np.asarray(weights, dtype=np.float64))
        mean, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
        squares = (((values - mean) / _positive(high / 2 - low / 2)) ** 2).sum(axis=0)
        weight = float(n_rows)
        return cls(n_rows, n_rows, 0, weight, np.full(n_features, weight), mean, squares, low, high)

    @classmethod
    def _of_some(cls, values: Array, weights: Array) -> Self:
        """Return the moments of rows of which some values are missing, or that have weights."""
        missing, counts = np.isnan(values), weights > 0
        there = ~missing & counts[:, None]
        each = np.where(there, weights[:, None], 0.0)
        observed, filled = each.sum(axis=0), np.where(there, values, 0.0)
        mean = (each * filled).sum(axis=0) / _positive(observed)
        low, high = np.where(there, values, np.inf).min(axis=0), np.where(there, values, -np.inf).max(axis=0)
        half = _half(observed, low, high)
        squares = (each * ((filled - mean) / _positive(half)) ** 2).sum(axis=0)
        n_gaps = int(missing.any(axis=1).sum())
        return cls(len(values), int(counts.sum()), n_gaps, float(weights.sum()), observed, mean, squares, low, high)

    def __add__(self, other: "Moments") -> "Moments":
        if not self.n_rows or not other.n_rows:
            return self if self.n_rows else other
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        observed, step = self.observed + other.observed, other.mean - self.mean
        share, both = other.observed / _positive(observed), (self.observed > 0) & (other.observed > 0)
        unit = _positive(_half(observed, low, high))
        squares = np.where(both, (step / unit) ** 2 * (self.observed * share), 0.0)
        for one in (self, other):
            squares = squares + one.squares * (one.half_range / unit) ** 2
        counts = (
            self.n_rows + other.n_rows,
            self.n_counted + other.n_counted,
            self.n_gaps + other.n_gaps,
            self.weight + other.weight,
        )
        return Moments(*counts, observed, self.mean + step * share, squares, low, high)

    @property
    def half_range(self) -> Array:
        """Half of the range (D,); zero for a column without values."""
        return _half(self.observed, self.low, self.high)

    @property
    def sd(self) -> Array:
        """Standard deviation (D,); zero for a constant column."""
        return self.half_range * np.sqrt(self.squares / _positive(self.observed))


def _half(observed: Array, low: Array, high: Array) -> Array:
    return np.where(observed > 0, high, 0.0) / 2 - np.where(observed > 0, low, 0.0) / 2


def _positive(values: Array) -> Array:
    """Return values (D,) to divide by: 1 in place of 0."""
    return np.where(values > 0, values, 1.0)
