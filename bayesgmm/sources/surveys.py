"""The first pass over a source: checks, moments, a random sample and a digest of all rows."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.cells import not_finite, require_range
from bayesgmm.data.numbers import wrong_weights
from bayesgmm.data.points import Points
from bayesgmm.data.streams import Stream, Totals, points_of, with_weights
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.memory import in_words
from bayesgmm.progress import counted
from bayesgmm.sources.moments import Moments
from bayesgmm.sources.reservoirs import Reservoir
from bayesgmm.sources.rows import Part, RowSource, recut
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.parts import RUN, ahead
from bayesgmm.sweep.pieces import Pieces, as_array
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing, plural

SAMPLE = 60_000  # rows from which starts are made
SMALLEST, LARGEST = RUN * BLOCK, 4096 * BLOCK  # rows of a part
NUMBERS = 2**19  # in a part, if the memory suffices: few enough to stay in the cache
LINE = 64  # bytes: kept rows begin at their multiples
SLAB = 2**26  # bytes in which rows are kept: so many at a time are given back to the system when they are not needed
COPIES = 10  # of a part: it is read, converted and laid out, while two before are in use and two others wait

COMPLETE = "Leave these rows or columns out: all values are needed here."
FINITE = "Leave these rows or columns out; missing values are allowed, infinite ones are not."

Convert = Callable[[Points], Points]
Known = tuple[int, Totals, tuple[Array, Array], Array, Array]


def stream(
    source: RowSource,
    memory: int,
    seed: int,
    convert: Convert | None = None,
    progress: bool = False,
    gaps: bool = False,
) -> Stream:
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
    gaps : bool
        Accept missing values.

    Raises
    ------
    DataError
        If there are no rows, or a value or a row weight can't be used.
    DeclarationError
        If the memory is too small.
    """
    rows = rows_within(memory, len(source.columns) + source.weighted)

    def read(first: int, size: int = rows, check: bool = False) -> Iterator[Array | Pieces]:
        parts = source.parts(size, first)
        checked = map(require_usable, parts, repeat(source.columns), repeat(gaps)) if check else parts
        return recut((converted(part, source.columns, convert) for part in checked), size)

    columns = columns_of(source, convert)
    kept = _Kept(0 if source.in_memory else memory - COPIES * 8 * rows * len(columns))
    d = len(columns)
    moments, sample = Moments.of(np.empty((0, d))), Reservoir(SAMPLE, sampler(seed))
    digest = hashlib.blake2b("\0".join(columns).encode(), digest_size=16)
    with counted("first pass", source.n_rows, progress) as step:
        for part in ahead(map(as_array, read(0, check=True))):
            kept.add(part)
            values = np.asarray(part, dtype=np.float64)
            digest.update(np.ascontiguousarray(values))
            moments += moments_of(values, d)
            sample.add(values)
            step(len(values))
    known = known_of(moments, source.name, columns)
    drawn = points_of(sample.rows, columns, sample.at)
    needed = memory_for(moments.n_rows, d)
    held = needed <= memory
    skips = source.n_rows is not None
    first = kept.prefix(beside=needed if held else 0, skips=skips)
    return Stream(source.name, columns, *known, drawn, digest.hexdigest(), read, first, held, skips)


def known_of(moments: Moments, name: str, columns: tuple[str, ...]) -> Known:
    """Return what a stream knows of its rows.

    Raises
    ------
    DataError
        If there are none, a column has no values, or its values can't be squared.
    """
    if not moments.n_rows:
        raise DataError(f"{name} has no rows")
    if not moments.n_counted:
        raise DataError("all rows have weight zero, so there are no points to fit")
    if empty := [one for one, weight in zip(columns, moments.observed, strict=True) if not weight > 0]:
        what = plural(len(empty), "column has", "columns have")
        raise DataError(f"{what} no values: {listing(empty)}\n  Leave them out with columns=.")
    require_range(moments.low, moments.high, columns)
    totals = Totals(moments.n_counted, moments.n_gaps, moments.weight, moments.observed)
    return moments.n_rows, totals, (moments.mean, moments.sd), moments.low, moments.high


def moments_of(rows: Array, n_columns: int) -> Moments:
    """Return the moments of rows, which may have a further column of weights."""
    return Moments.of(rows[:, :n_columns], rows[:, n_columns] if rows.shape[1] > n_columns else None)


def columns_of(source: RowSource, convert: Convert | None) -> tuple[str, ...]:
    """Return the names of the columns that are fitted."""
    none = Points(np.empty((0, len(source.columns))), source.columns, np.arange(0))
    return none.columns if convert is None else convert(none).columns


def converted(part: Part, columns: tuple[str, ...], convert: Convert | None) -> Array | Pieces:
    """Return the rows of a part in the columns that are fitted, with their weights: as they are, if they can be so."""
    if convert is None and part.weights is None:
        return part.rows
    values = part.values
    if convert is not None:
        values = convert(Points(np.asarray(values, dtype=np.float64), columns, np.asarray(part.index))).values
    return with_weights(values, part.weights)


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
    _slab: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))  # what is left of the last one

    def add(self, rows: Array) -> None:
        """Keep rows, if there is room for them and for all before them."""
        self.size += rows.nbytes
        if self.size <= self.room:
            self.arrays.append(self._copied(rows))

    def _copied(self, rows: Array) -> Array:
        """Return a copy of rows in a slab: the memory of many arrays, among others, would stay with the process."""
        if self._slab.size < rows.nbytes:
            self._slab = np.empty(max(min(SLAB, self.room), rows.nbytes), np.uint8)
        flat = self._slab[: rows.nbytes].view(rows.dtype)
        copy = flat.reshape(rows.shape[::-1]).T if rows.flags.f_contiguous else flat.reshape(rows.shape)
        copy[...] = rows
        self._slab = self._slab[-(-rows.nbytes // LINE) * LINE :]
        return copy

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
    """Return the memory that suffices to keep rows during a fit, each with its weight, and to read one block.

    Examples
    --------
    >>> memory_for(10**6, 4), memory_for(1, 4) == 8 * COPIES * SMALLEST * 4
    (40000000, True)
    """
    return max(8 * n_rows * (n_columns + 1), 8 * COPIES * SMALLEST * n_columns)


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


def require_usable(part: Part, columns: tuple[str, ...], gaps: bool) -> Part:
    """Return a part, after a check that its values are finite, or missing where that is allowed, and its weights too.

    Raises
    ------
    DataError
        The message names the first of them that is not.
    """
    values, place = part.values, f"{part.place}: " if part.place else ""
    if not np.isfinite(values.sum()) and not np.isfinite(values).all():
        if not gaps:
            raise DataError(place + not_finite(values, columns, part.index, COMPLETE))
        if np.isinf(values).any():
            wrong = not_finite(np.where(np.isnan(values), 0.0, values), columns, part.index, FINITE)
            raise DataError(place + wrong.replace("missing or infinite", "infinite", 1))
    if part.weights is not None and (words := wrong_weights(part.weights, part.index)):
        raise DataError(place + words)
    return part
