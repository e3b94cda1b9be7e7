"""The first pass over a source: checks, moments, a random sample and a digest of all rows."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from bayesgmm.data.points import Points, not_finite, require_range
from bayesgmm.data.streams import Stream
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.memory import in_words
from bayesgmm.progress import counted
from bayesgmm.sources.reservoirs import Reservoir
from bayesgmm.sources.rows import Part, RowSource, recut
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.parts import ahead
from bayesgmm.sweep.stats import Array

SAMPLE = 60_000  # rows from which starts are made
SMALLEST, LARGEST = 256 * BLOCK, 4096 * BLOCK  # rows of a part
NUMBERS = 2**19  # in a part, if the memory suffices: few enough to stay in the cache
COPIES = 9  # of a part: it is read, converted and laid out, while the one before is in use and the next one waits

Convert = Callable[[Points], Points]


def stream(
    source: RowSource, memory: int, seed: int, convert: Convert = lambda points: points, progress: bool = False
) -> Stream:
    """Read all rows once: check them, and compute what the engines need to know before they start.

    Parameters
    ----------
    source : RowSource
    memory : int
        Bytes that the rows may take at a time. If they suffice for all rows, these are read only once more.
    seed : int
        Seed of the sample.
    convert : function, optional
        From points in the columns of the source to those that are fitted, for example their logarithms.
    progress : bool
        Show a progress bar.

    Raises
    ------
    DataError
        If there are no rows, or a value is missing, infinite or too large.
    DeclarationError
        If the memory is too small.
    """
    rows = rows_within(memory, len(source.columns))

    def read(check: bool = False) -> Iterator[Array]:
        parts = source.parts(rows)
        checked = map(_checked, parts, repeat(source.columns)) if check else parts
        return recut((convert(Points(part.values, source.columns, part.index)).values for part in checked), rows)

    columns = convert(Points(np.empty((0, len(source.columns))), source.columns, np.arange(0))).columns
    moments, sample = _Moments(), Reservoir(SAMPLE, np.random.default_rng((seed, 18)))
    digest = hashlib.blake2b("\0".join(columns).encode(), digest_size=16)
    with counted("first pass", source.n_rows, progress) as step:
        for values in ahead(read(check=True)):
            digest.update(np.ascontiguousarray(values))
            moments.add(values)
            sample.add(values)
            step(len(values))
    if not moments.count:
        raise DataError(f"{source.name} has no rows")
    require_range(moments.low, moments.high, columns)
    drawn = Points(sample.rows, columns, sample.at)
    held = 8 * moments.count * (len(columns) + 1) <= memory
    known = (moments.count, (moments.mean, moments.sd), moments.low, moments.high)
    return Stream(source.name, columns, *known, drawn, digest.hexdigest(), read, held)


def rows_within(memory: int, n_columns: int) -> int:
    """Return the number of rows of a part, so that those in memory at a time take at most that number of bytes.

    Raises
    ------
    DeclarationError
        If the smallest part needs more.

    Examples
    --------
    >>> rows_within(2**30, 4)
    131072
    """
    each = 8 * COPIES * n_columns
    wanted = min(max(NUMBERS // n_columns, SMALLEST), LARGEST)
    rows = min(wanted, memory // each) // BLOCK * BLOCK
    if rows < SMALLEST:
        raise DeclarationError(
            f"memory={in_words(memory)!r} is too small for one block of {SMALLEST:,} rows with {n_columns} columns\n"
            f"  Give at least {in_words(SMALLEST * each)!r}."
        )
    return rows


def _checked(part: Part, columns: tuple[str, ...]) -> Part:
    """Return a part, after a check that its values are finite."""
    if not np.isfinite(part.values.sum()) and not np.isfinite(part.values).all():
        place = f"{part.place}: " if part.place else ""
        raise DataError(place + not_finite(part.values, columns, part.index))
    return part


@dataclass
class _Moments:
    """Number, mean, sum of squares about it and range of the rows so far, in a unit that keeps squares finite."""

    count: int = 0
    mean: Array = field(default_factory=lambda: np.zeros(1))
    squares: Array = field(default_factory=lambda: np.zeros(1))
    low: Array = field(default_factory=lambda: np.full(1, np.inf))
    high: Array = field(default_factory=lambda: np.full(1, -np.inf))
    unit: Array = field(default_factory=lambda: np.ones(1))

    def add(self, values: Array) -> None:
        """Add rows (n, D), n > 0."""
        mean, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
        if not self.count:
            size = high / 2 - low / 2
            self.unit = np.where(size > 0, size, 1.0)
        squares = (((values - mean) / self.unit) ** 2).sum(axis=0)
        total, step = self.count + len(values), mean - self.mean
        self.squares = self.squares + squares + (step / self.unit) ** 2 * (self.count * len(values) / total)
        self.mean = self.mean + step * (len(values) / total)
        self.low, self.high, self.count = np.minimum(self.low, low), np.maximum(self.high, high), total

    @property
    def sd(self) -> Array:
        """Standard deviation (D,); zero for a constant column."""
        return np.where(self.high > self.low, self.unit * np.sqrt(self.squares / self.count), 0.0)
