"""The first pass over a source: checks, moments, a random sample and a digest of all rows."""

import hashlib
from collections.abc import Callable, Iterator
from itertools import repeat

import numpy as np

from bayesgmm.data.points import Points, not_finite, require_range
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
        checked = map(require_finite, parts, repeat(source.columns)) if check else parts
        return recut((convert(Points(part.values, source.columns, part.index)).values for part in checked), rows)

    columns = convert(Points(np.empty((0, len(source.columns))), source.columns, np.arange(0))).columns
    moments, sample = Moments.of(np.empty((0, len(columns)))), Reservoir(SAMPLE, sampler(seed))
    digest = hashlib.blake2b("\0".join(columns).encode(), digest_size=16)
    with counted("first pass", source.n_rows, progress) as step:
        for values in ahead(read(check=True)):
            digest.update(np.ascontiguousarray(values))
            moments += Moments.of(values)
            sample.add(values)
            step(len(values))
    if not moments.count:
        raise DataError(f"{source.name} has no rows")
    require_range(moments.low, moments.high, columns)
    drawn = Points(sample.rows, columns, sample.at)
    held = 8 * moments.count * (len(columns) + 1) <= memory
    known = (moments.count, (moments.mean, moments.sd), moments.low, moments.high)
    return Stream(source.name, columns, *known, drawn, digest.hexdigest(), read, held)


def sampler(seed: int) -> np.random.Generator:
    """Return the generator of the random numbers that draw the sample, row by row."""
    return np.random.default_rng((seed, 18))


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


def require_finite(part: Part, columns: tuple[str, ...]) -> Part:
    """Return a part, after a check that its values are finite."""
    if not np.isfinite(part.values.sum()) and not np.isfinite(part.values).all():
        place = f"{part.place}: " if part.place else ""
        raise DataError(place + not_finite(part.values, columns, part.index))
    return part
