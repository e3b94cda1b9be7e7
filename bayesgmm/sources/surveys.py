"""The first pass over a source: checks, moments, a random sample and a digest of all rows."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from bayesgmm.data.cells import not_finite, require_range
from bayesgmm.data.points import Points
from bayesgmm.data.streams import Stream
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.memory import in_words
from bayesgmm.progress import counted
from bayesgmm.sources.moments import Moments
from bayesgmm.sources.reservoirs import Reservoir
from bayesgmm.sources.rows import Part, RowSource, recut
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.parts import ahead
from bayesgmm.sweep.stats import Array

SAMPLE = 60_000  # rows from which starts are made
SMALLEST, LARGEST = 256 * BLOCK, 4096 * BLOCK  # rows of a part
NUMBERS = 2**19  # in a part, if the memory suffices: few enough to stay in the cache
COPIES = 9  # of a part: it is read, converted and laid out, while the one before is in use and the next one waits

INCOMPLETE = (
    "Rows that are read in parts need all their values: leave these rows or columns out, or read the table as a whole, "
    "without memory=; missing values are then allowed."
)

Convert = Callable[[Points], Points]


def stream(source: RowSource, memory: int, seed: int, convert: Convert | None = None, progress: bool = False) -> Stream:
    """Read all rows once: check them, and compute what the engines need to know before they start.

    Parameters
    ----------
    source : RowSource
    memory : int
        Bytes that the rows may take at a time. As many rows as that suffices for are kept, as they were read.
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

    def read(first: int, check: bool = False) -> Iterator[Array]:
        parts = source.parts(rows, first)
        checked = map(require_finite, parts, repeat(source.columns)) if check else parts
        return recut((converted(part, source.columns, convert).values for part in checked), rows)

    columns = converted(Part(np.empty((0, len(source.columns))), "", np.arange(0)), source.columns, convert).columns
    kept = _Kept(0 if source.in_memory else memory - COPIES * 8 * rows * len(columns))
    moments, sample = Moments.of(np.empty((0, len(columns)))), Reservoir(SAMPLE, sampler(seed))
    digest = hashlib.blake2b("\0".join(columns).encode(), digest_size=16)
    with counted("first pass", source.n_rows, progress) as step:
        for part in ahead(read(0, check=True)):
            kept.add(part)
            values = np.asarray(part, dtype=np.float64)
            digest.update(np.ascontiguousarray(values))
            moments += Moments.of(values)
            sample.add(values)
            step(len(values))
    if not moments.count:
        raise DataError(f"{source.name} has no rows")
    require_range(moments.low, moments.high, columns)
    drawn = Points(sample.rows, columns, sample.at)
    needed = memory_for(moments.count, len(columns))
    held = needed <= memory
    known = (moments.count, (moments.mean, moments.sd), moments.low, moments.high)
    first = kept.prefix(beside=needed if held else 0, skips=source.n_rows is not None)
    return Stream(source.name, columns, *known, drawn, digest.hexdigest(), read, first, held)


def converted(part: Part, columns: tuple[str, ...], convert: Convert | None) -> Points:
    """Return a part in the columns that are fitted."""
    if convert is None:
        return Points(part.values, columns, part.index)
    return convert(Points(np.asarray(part.values, dtype=np.float64), columns, part.index))


def sampler(seed: int) -> np.random.Generator:
    """Return the generator of the random numbers that draw the sample, row by row."""
    return np.random.default_rng((seed, 18))


@dataclass
class _Kept:
    """The first rows of a source, as many as a number of bytes suffices for.

    Parameters
    ----------
    room : int
        Number of bytes.
    """

    room: int
    arrays: list[Array] = field(default_factory=list)
    size: int = 0

    def add(self, rows: Array) -> None:
        """Keep rows, if there is room for them and for all before them."""
        self.size += rows.nbytes
        if self.size <= self.room:
            self.arrays.append(rows if rows.base is None else rows.copy("K"))  # a view may hold more in memory

    def prefix(self, beside: int, skips: bool) -> tuple[Array, ...]:
        """Return the kept rows, or none if they save nothing.

        Parameters
        ----------
        beside : int
            Number of bytes that are needed besides.
        skips : bool
            The source can start to read behind them.
        """
        own = sum(one.nbytes for one in self.arrays)
        useful = own + beside <= self.room and (skips or own == self.size)
        return tuple(self.arrays) if useful else ()


def memory_for(n_rows: int, n_columns: int) -> int:
    """Return the number of bytes that rows take in memory during a fit, each with its weight."""
    return 8 * n_rows * (n_columns + 1)


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
    rows = max(min(wanted, memory // (2 * each)), SMALLEST) // BLOCK * BLOCK  # half is for rows that are kept
    if rows * each > memory:
        raise DeclarationError(
            f"memory={in_words(memory)!r} is too small for one block of {SMALLEST:,} rows with {n_columns} columns\n"
            f"  Give at least {in_words(SMALLEST * each)!r}."
        )
    return rows


def require_finite(part: Part, columns: tuple[str, ...]) -> Part:
    """Return a part, after a check that its values are finite."""
    if not np.isfinite(part.values.sum()) and not np.isfinite(part.values).all():
        place = f"{part.place}: " if part.place else ""
        raise DataError(place + not_finite(part.values, columns, part.index, INCOMPLETE))
    return part
