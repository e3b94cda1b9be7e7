"""Dask arrays and DataFrames as sources: a partition is read after the other, or all of them on their workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.columns import column_names, doubles_of, is_numeric, require_distinct, select
from bayesgmm.data.numbers import as_matrix
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.sources.rows import Part, RowSource, without_first
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    from dask.delayed import Delayed


def is_dask(data: object) -> bool:
    """Return True for a Dask array, DataFrame or Series, without importing Dask."""
    of_dask = any(kind.__module__.partition(".")[0] in ("dask", "dask_expr") for kind in type(data).__mro__)
    return of_dask and hasattr(data, "to_delayed") and not hasattr(data, "foldby")


def has_columns(collection: Any) -> bool:
    """Return True for a Dask DataFrame or Series, which names its columns; False for an array."""
    return hasattr(collection, "map_partitions")


@dataclass(frozen=True, repr=False)
class DaskSource(RowSource):
    """Rows of a Dask collection.

    Parameters
    ----------
    collection : dask Array or DataFrame
    chosen : tuple of str
        Columns.
    given : str
        Where the rows come from, in words. Default: the kind of collection.
    origin : RowSource, optional
        The files that the collection reads: an error names the place in them.
    """

    collection: Any
    chosen: tuple[str, ...]
    given: str = ""
    origin: RowSource | None = None

    def __repr__(self) -> str:
        """Return what it reads, and the columns."""
        return f"DaskSource({self.name}, columns {listing(self.chosen)})"

    @property
    def name(self) -> str:
        """Where the rows come from; or the kind of collection, and its number of partitions."""
        if self.given:
            return self.given
        kind = "DataFrame" if has_columns(self.collection) else "array"
        return f"a Dask {kind} ({plural(len(self.partitions), 'partition')})"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.chosen

    @property
    def n_rows(self) -> int | None:
        """Number of rows; None if the collection does not know it."""
        n_rows = self.collection.shape[0]
        return n_rows if isinstance(n_rows, int) else None

    @property
    def fingerprint(self) -> str:
        """Dask's token of the collection."""
        from dask.base import tokenize

        token: str = tokenize(self.collection)
        return token

    @cached_property
    def partitions(self) -> "list[Delayed]":
        """Partitions, not yet computed, in the order of the rows."""
        return np.ravel(self.collection.to_delayed()).tolist()

    def parts(self, rows: int, first: int = 0) -> Iterator[Part]:
        """Yield the rows; one partition at a time is computed, by the scheduler that Dask is set to."""
        skipped, left = 0, first
        lengths: tuple[int, ...] = self.collection.chunks[0] if self.n_rows is not None else ()
        for length in lengths:
            if left < length:
                break
            skipped, left = skipped + 1, left - length
        return without_first(self._all(rows, skipped), left)

    def _all(self, rows: int, skipped: int) -> Iterator[Part]:
        for number, partition in enumerate(self.partitions[skipped:], skipped):
            whole = part_of(partition.compute(), number, self.columns)
            for start in range(0, len(whole.values), rows):
                one = slice(start, start + rows)
                yield Part(whole.values[one], whole.place, whole.index[one])


def open_dask(data: Any, columns: Sequence[str] | None = None) -> DaskSource:
    """Open a Dask collection as a source, after a check that its columns hold numbers.

    Raises
    ------
    DataError
        If it is no table, or a column does not exist or is not numeric.
    """
    if has_columns(data):
        return _of_frame(data.to_frame() if data.ndim == 1 else data, columns)
    if data.ndim not in (1, 2):
        raise DataError(f"the Dask array has shape {data.shape}; give (N, D), one row per point")
    table = data[:, None] if data.ndim == 1 else data.rechunk({1: -1})
    width = table.shape[1]
    names = [f"x{j}" for j in range(width)] if columns is None else column_names(columns)
    if len(names) != width:
        raise DeclarationError(f"columns={[*names]}: the Dask array has {width} columns; give a name for each")
    return DaskSource(table, tuple(names))


def _of_frame(data: Any, columns: Sequence[str] | None) -> DaskSource:
    empty = data._meta
    require_distinct([str(name) for name in empty.columns])
    chosen = select(empty, None if columns is None else column_names(columns))
    if wrong := [str(name) for name in chosen if not is_numeric(chosen[name])]:
        numeric = [str(name) for name in empty if is_numeric(empty[name])]
        what = plural(len(wrong), "column is", "columns are")
        raise DataError(
            f"{what} not numeric: {listing(wrong)}\n  Choose the columns to use, for example columns={numeric}."
        )
    return DaskSource(data[[*chosen.columns]], tuple(str(name) for name in chosen))


def part_of(partition: Any, number: int, columns: Sequence[str]) -> Part:
    """Return the rows of a partition, whose columns are found by their names if it has any.

    Raises
    ------
    DataError
        If it lacks a column, or holds anything else than numbers; the message names the partition.
    """
    place = f"partition {number}"
    try:
        values = doubles_of(select(partition, columns)) if hasattr(partition, "columns") else as_matrix(partition)
        if values.shape[1] != len(columns):
            raise DataError(f"it has {values.shape[1]} columns; needed are {listing(columns)}")
    except DataError as error:
        raise DataError(f"{place}: {error}") from None
    return Part(values, place, range(len(values)))
