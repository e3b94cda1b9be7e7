"""Checked data that are too many for the memory: what is known of them, and a way to read them part by part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import Points
from bayesgmm.data.summaries import Summary
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.imputation import imputed
from bayesgmm.sweep.latent_cells import by_pattern
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.parts import RUN, Parts, ahead, joined
from bayesgmm.sweep.pieces import Pieces, as_array
from bayesgmm.sweep.stats import Array

LayOut = Callable[[Array | Pieces, int], Blocks]


@dataclass(frozen=True)
class Totals:
    """What a first pass counts.

    Parameters
    ----------
    counted : int
        Rows whose weight is not zero.
    gaps : int
        Rows with a missing value.
    weight : float
        Sum of the row weights.
    observed : (D,) float
        Sum of the weights of the rows in which each column is observed.
    """

    counted: int
    gaps: int
    weight: float
    observed: Array


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
    totals : Totals
    centre_and_sd : pair of (D,) float
        Mean and standard deviation of each column.
    low, high : (D,) float
        Range of each column.
    sample : Points
        A random sample of the rows, in their order.
    fingerprint : str
        Hash of all values: that of ``Points`` with the same rows, if they have no weights.
    read : function
        Returns the rows from a given number on in arrays (n, D), or ``Pieces``, in their order; called for each sweep.
        A second argument is the number of rows of an array. Row weights are a further, last column (n, D + 1), see
        ``with_weights``.
    kept : tuple of (n, D) arrays
        The first of these arrays, as they were read: as many as the memory suffices for.
    held : bool
        The memory suffices for all rows.
    skips : bool
        Rows can be read without those before them.
    """

    name: str
    columns: tuple[str, ...]
    n_points: int
    totals: Totals
    centre_and_sd: tuple[Array, Array]
    low: Array
    high: Array
    sample: Points
    fingerprint: str
    read: Callable[..., Iterator[Array | Pieces]]
    kept: tuple[Array, ...] = ()
    held: bool = False
    skips: bool = False
    noise: ClassVar[None] = None
    labels: ClassVar[None] = None
    on_workers: ClassVar[bool] = False  # if so, several sweeps at a time take no memory here

    @property
    def total_weight(self) -> float:
        """Sum of the row weights: N when the rows have no weights."""
        return self.totals.weight

    @property
    def weights(self) -> Array | None:
        """Row weights of the sample; None if there are none."""
        return self.sample.weights

    @property
    def has_gaps(self) -> bool:
        """True if cells are missing."""
        return self.totals.gaps > 0

    @cached_property
    def summary(self) -> Summary:
        """Range and spread of the columns, from which default priors are computed."""
        mean, sd = self.centre_and_sd
        count = self.total_weight
        variance = sd**2 * (count / (count - 1) if count >= 2 else 1)
        middle = self.low / 2 + self.high / 2
        return Summary(self.columns, self.totals.counted, mean, middle, self.high - self.low, variance)

    @property
    def values(self) -> Array:
        """Sampled rows, for quantiles."""
        return self.sample.values

    @property
    def counted(self) -> Array:
        """Sampled rows, and the ends of the range of all."""
        return np.concatenate([self.sample.counted, [self.low, self.high]])

    def arrays(self) -> Iterator[Array]:
        """Read all rows again, in arrays (n, D), in their order; a thread reads ahead."""
        return map(as_array, ahead(self.pieces()))

    def pieces(self) -> Iterator[Array | Pieces]:
        """Read all rows again, in their order, as the source has them."""
        first = sum(map(len, self.kept))
        return chain(self.kept, self.read(first) if first < self.n_points else ())

    def whole(self) -> Points:
        """Read all rows again, and return them: for those that fit into memory."""
        rows = np.empty((self.n_points, len(self.columns) + (self.weights is not None)))
        first = 0
        for part in self.pieces():
            rows[first : first + len(part)] = part
            first += len(part)
        return points_of(rows, self.columns, np.arange(self.n_points))

    def blocks(self, lay_out: LayOut) -> Blocks | Parts:
        """Return the rows in the blocks of a sweep if the memory suffices for all, else as parts that are read in each.

        Parameters
        ----------
        lay_out : function
            Makes blocks of rows, by a number of threads.
        """
        reader = _Reader(self, lay_out)
        if self.held:
            return joined((make(1) for make in reader()), self.n_points, len(self.columns))
        sample, size = self._sample_blocks(lay_out), (self.n_points, len(self.columns))
        return Parts(reader, *size, sample, None, *self._sums, read_runs=reader.runs, skips=self.skips)

    def runs(self, first: int) -> Iterator[Array | Pieces]:
        """Read the rows again from a run on, in arrays of the rows of a run."""
        return self.read(first * RUN * BLOCK, RUN * BLOCK)

    def _sample_blocks(self, lay_out: LayOut) -> Blocks:
        """Return the sample in blocks; its missing values are guessed, for starts."""
        return imputed(lay_out(together(with_weights(self.sample.values, self.sample.weights)), 1))

    @property
    def _sums(self) -> tuple[float, Array | None]:
        """Sum of the row weights; and in each column of those whose value is observed, None if all are."""
        return self.totals.weight, self.totals.observed if self.has_gaps else None


@dataclass(frozen=True)
class _Reader:
    """Reads rows, and lays them out in blocks; called for each sweep."""

    stream: Stream
    lay_out: LayOut

    def __call__(self) -> Iterator[Callable[[int], Blocks]]:
        return (partial(self._part, rows) for rows in self.stream.pieces())

    def _part(self, rows: Array | Pieces, threads: int) -> Blocks:
        return self.lay_out(together(as_array(rows)) if self.stream.has_gaps else rows, threads)

    def runs(self, first: int) -> Iterator[Blocks]:
        """Read runs; rows stay in their order, whatever values are missing."""
        return (self.lay_out(rows, 1) for rows in self.stream.runs(first))


def with_weights(values: Array, weights: Array | None) -> Array:
    """Return rows (n, D) with their weights, if there are any, as a further column."""
    if weights is None:
        return values
    n_rows, n_features = values.shape
    rows = np.empty((n_rows, n_features + 1), dtype=np.result_type(values, weights), order="F")
    rows[:, :n_features], rows[:, n_features] = values, weights
    return rows


def points_of(rows: Array, columns: tuple[str, ...], index: NDArray[np.int64]) -> Points:
    """Return rows, which may have a further column of weights, as points."""
    d = len(columns)
    return Points(rows[:, :d], columns, index, rows[:, d] if rows.shape[1] > d else None)


def together(rows: Array) -> Array:
    """Return rows in an order in which those with the same missing values follow each other: they are computed faster.

    Examples
    --------
    >>> together(np.array([[np.nan], [1.0], [2.0]])).ravel()
    array([ 1.,  2., nan])
    """
    if not np.isnan(rows.sum()):
        return rows
    missing = np.isnan(rows)
    return rows[by_pattern(missing)] if missing.any() else rows
