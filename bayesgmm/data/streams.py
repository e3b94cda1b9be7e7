"""Checked data that are too many for the memory: what is known of them, and a way to read them part by part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.data.summaries import Summary
from bayesgmm.sweep.parts import Parts, ahead
from bayesgmm.sweep.stats import Array, Blocks

LayOut = Callable[[Points | Array], Blocks]


@dataclass(frozen=True)
class Stream:
    """Data that were checked in a first pass, and are read again in each sweep. It takes the place of ``Points``.

    Parameters
    ----------
    name : str
        Where the rows come from, in words.
    columns : tuple of D str
    n_points : int
        N.
    centre_and_sd : pair of (D,) float
        Mean and standard deviation of each column.
    low, high : (D,) float
        Range of each column.
    sample : Points
        A random sample of the rows, in their order.
    fingerprint : str
        Hash of all values: that of ``Points`` with the same rows.
    read : function
        Returns all rows in arrays (n, D), in their order; called for each sweep.
    held : bool
        Keep all rows in memory from the first sweep on.
    """

    name: str
    columns: tuple[str, ...]
    n_points: int
    centre_and_sd: tuple[Array, Array]
    low: Array
    high: Array
    sample: Points
    fingerprint: str
    read: Callable[[], Iterator[Array]]
    held: bool = False
    weights: ClassVar[None] = None
    noise: ClassVar[None] = None
    labels: ClassVar[None] = None
    has_gaps: ClassVar[bool] = False

    @property
    def total_weight(self) -> float:
        """Sum of the row weights: N."""
        return float(self.n_points)

    @cached_property
    def summary(self) -> Summary:
        """Range and spread of the columns, from which default priors are computed."""
        mean, sd = self.centre_and_sd
        variance = sd**2 * (self.n_points / max(self.n_points - 1, 1))
        middle = self.low / 2 + self.high / 2
        return Summary(self.columns, self.n_points, mean, middle, self.high - self.low, variance)

    @property
    def values(self) -> Array:
        """Sampled rows, for quantiles."""
        return self.sample.values

    @property
    def counted(self) -> Array:
        """Sampled rows, and the ends of the range of all."""
        return np.concatenate([self.sample.values, [self.low, self.high]])

    def parts(self, lay_out: LayOut) -> Parts:
        """Return the rows as parts of a sweep, laid out in blocks by a function."""
        reader = _Reader(self.read, lay_out, self.held)
        return Parts(reader, self.n_points, len(self.columns), lay_out(self.sample))


@dataclass(frozen=True)
class _Reader:
    """Reads rows and lays them out in blocks; called for each sweep. A thread reads ahead."""

    read: Callable[[], Iterator[Array]]
    lay_out: LayOut
    held: bool

    def __call__(self) -> Iterator[Blocks]:
        return iter(self._kept) if self.held else ahead(self._laid_out())

    @cached_property
    def _kept(self) -> list[Blocks]:
        return [*ahead(self._laid_out())]

    def _laid_out(self) -> Iterator[Blocks]:
        return (self.lay_out(rows) for rows in self.read())
