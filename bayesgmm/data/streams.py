"""Checked data that are too many for the memory: what is known of them, and a way to read them part by part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import ClassVar

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.data.summaries import Summary
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.parts import Parts, ahead, joined
from bayesgmm.sweep.stats import Array

LayOut = Callable[[Array, int], Blocks]


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
        Returns the rows from a given number on in arrays (n, D), in their order; called for each sweep.
    kept : tuple of (n, D) arrays
        The first of these arrays, as they were read: as many as the memory suffices for.
    held : bool
        The memory suffices for all rows.
    """

    name: str
    columns: tuple[str, ...]
    n_points: int
    centre_and_sd: tuple[Array, Array]
    low: Array
    high: Array
    sample: Points
    fingerprint: str
    read: Callable[[int], Iterator[Array]]
    kept: tuple[Array, ...] = ()
    held: bool = False
    weights: ClassVar[None] = None
    noise: ClassVar[None] = None
    labels: ClassVar[None] = None
    has_gaps: ClassVar[bool] = False
    on_workers: ClassVar[bool] = False  # if so, several sweeps at a time take no memory here

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

    def arrays(self) -> Iterator[Array]:
        """Read all rows again, in arrays (n, D), in their order; a thread reads ahead."""
        first = sum(map(len, self.kept))
        return chain(self.kept, ahead(self.read(first)) if first < self.n_points else ())

    def whole(self) -> Points:
        """Read all rows again, and return them: for those that fit into memory."""
        rows = np.empty((self.n_points, len(self.columns)))
        first = 0
        for part in self.arrays():
            rows[first : first + len(part)] = part
            first += len(part)
        return Points(rows, self.columns, np.arange(self.n_points))

    def blocks(self, lay_out: LayOut) -> Blocks | Parts:
        """Return the rows in the blocks of a sweep if the memory suffices for all, else as parts that are read in each.

        Parameters
        ----------
        lay_out : function
            Makes blocks of rows, by a number of threads.
        """
        reader = _Reader(self.arrays, lay_out)
        if self.held:
            return joined(reader(1), self.n_points, len(self.columns))
        return Parts(reader, self.n_points, len(self.columns), lay_out(self.sample.values, 1))


@dataclass(frozen=True)
class _Reader:
    """Reads rows, and lays them out in blocks; called for each sweep."""

    arrays: Callable[[], Iterator[Array]]
    lay_out: LayOut

    def __call__(self, threads: int) -> Iterator[Blocks]:
        return (self.lay_out(rows, threads) for rows in self.arrays())
