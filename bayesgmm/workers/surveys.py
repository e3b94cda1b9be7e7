"""The first pass over a Dask collection, on its workers; the rows stay there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import Points
from bayesgmm.data.streams import LayOut, Stream, points_of, together, with_weights
from bayesgmm.errors import DataError
from bayesgmm.progress import counted
from bayesgmm.sources.dask_collections import part_of
from bayesgmm.sources.digests import Digest
from bayesgmm.sources.moments import Moments
from bayesgmm.sources.reservoirs import Chances, Reservoir, drawn_by
from bayesgmm.sources.rows import Part, RowSource
from bayesgmm.sources.surveys import (
    SAMPLE,
    Convert,
    columns_of,
    converted,
    known_of,
    moments_of,
    require_usable,
    sampler,
)
from bayesgmm.sources.weights import WeightedSource, unweighted
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.pieces import as_array
from bayesgmm.sweep.stats import Array
from bayesgmm.workers.layouts import Layout, Slice
from bayesgmm.workers.schedulers import ended, gathered, plain_errors, require_ready
from bayesgmm.workers.sums import Bundle, WorkerParts

if TYPE_CHECKING:
    from dask.delayed import Delayed
    from distributed import Client, Future

STEP = 2**20  # rows for which random numbers are drawn at a time


@dataclass(frozen=True)
class Survey:
    """What is known of some rows: their moments and their digest."""

    moments: Moments
    digest: Digest

    def __add__(self, other: "Survey") -> "Survey":
        return Survey(self.moments + other.moments, self.digest + other.digest)


@dataclass
class Rows:
    """The rows of all partitions, on the workers until they are laid out in blocks.

    Parameters
    ----------
    client : Client
    lazy : list of Delayed
        How the rows of each partition are computed.
    counts : list of int
        Number of rows of each partition.
    held : list of Future
        The rows on the workers; empty after they were laid out.
    """

    client: "Client"
    lazy: "list[Delayed]"
    counts: list[int]
    held: "list[Future[Any]]" = field(default_factory=list)

    def take(self, at: NDArray[np.int64]) -> Array:
        """Return some rows, given by their numbers in increasing order."""
        ends = np.cumsum(self.counts)
        wanted = np.split(at, np.searchsorted(at, ends[:-1]))
        chosen = [(rows, own - end + n) for rows, own, end, n in zip(self.held, wanted, ends, self.counts, strict=True)]
        found = [self.client.submit(np.take, rows, own, axis=0, pure=False) for rows, own in chosen if len(own)]
        return np.concatenate(gathered(self.client, found))

    def each(self) -> "Sequence[Future[Any]]":
        """Return the rows of each partition; they are computed again where they were released."""
        return self.held or self.client.compute(self.lazy)

    def bundles(self, lay_out: LayOut, n_columns: int) -> "tuple[Future[Any], ...]":
        """Lay the rows out in blocks, which stay on the workers; the rows themselves are then released."""
        client = self.client
        rows = self.each()
        layout = Layout.of(sum(self.counts), n_columns, sum(client.nthreads().values()))
        plan = layout.slices(self.counts)
        slices = iter(client.map(cut, *_columns(rows, plan), pure=False))
        pieces = [[next(slices) for _ in bundle] for bundle in plan]
        first = [number * layout.bundle // BLOCK for number in range(len(pieces))]
        bundles = client.map(laid_out, pieces, first, lay_out=lay_out, piece=layout.piece, pure=False)
        for _ in ended(client, bundles):
            pass
        self.held = []
        return tuple(bundles)


def _columns(rows: "Sequence[Future[Any]]", plan: list[list[Slice]]) -> Iterator[list[Any]]:
    each = [(rows[one.partition], one.start, one.stop) for bundle in plan for one in bundle]
    return (list(column) for column in zip(*each, strict=True))


@dataclass(frozen=True)
class WorkerStream(Stream):
    """Data on the workers of a Dask cluster, which were checked in a first pass.

    Its ``fingerprint`` does not depend on the partitions; that of the same rows in memory is another one.

    Parameters
    ----------
    name, columns, n_points, totals, centre_and_sd, low, high, sample, fingerprint, read, kept, held
        As in ``Stream``.
    rows : Rows
    """

    rows: Rows | None = None
    on_workers: ClassVar[bool] = True

    def whole(self) -> Points:
        """Bring all rows here: for those that fit into memory."""
        assert self.rows is not None
        with plain_errors(self.rows.client):
            rows = np.concatenate(gathered(self.rows.client, self.rows.held))
        return points_of(rows, self.columns, np.arange(self.n_points))

    def drawn(self, chances: Chances, size: int, seed: tuple[int, ...]) -> Reservoir:
        """Draw rows with unequal chances on the workers, as ``drawn_by`` does."""
        assert self.rows is not None
        client, first = self.rows.client, np.cumsum([0, *self.rows.counts])[:-1].tolist()
        with plain_errors(client):
            futures = client.map(drawn_on_worker, self.rows.each(), first, chances=chances, size=size, seed=seed)
            whole, *others = gathered(client, futures)
        for one in others:
            whole.join(one)
        assert isinstance(whole, Reservoir)
        return whole

    def blocks(self, lay_out: LayOut) -> WorkerParts:
        """Return the rows as parts of a sweep, laid out in blocks on the workers."""
        assert self.rows is not None
        client = self.rows.client
        with plain_errors(client):
            bundles = self.rows.bundles(lay_out, len(self.columns))
        sample = self._sample_blocks(lay_out)
        size = (self.n_points, len(self.columns))
        return WorkerParts(*size, sample, None, *self._sums, skips=True, client=client, bundles=bundles)


def survey(
    source: RowSource,
    client: "Client",
    seed: int,
    convert: Convert | None = None,
    progress: bool = False,
    gaps: bool = False,
) -> WorkerStream:
    """Check all rows on the workers, and compute what the engines need to know before they start.

    Parameters
    ----------
    source : DaskSource or WeightedSource
        With weights, one of a DaskSource.
    client : Client
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
    ClusterError
        If the workers can't be used.
    """
    require_ready(client)
    columns = columns_of(source, convert)
    with plain_errors(client):
        lazy, futures, surveys = _surveyed(source, client, Task.of(source, convert, gaps), progress)
        whole = reduce(add, surveys)
        known = known_of(whole.moments, source.name, columns)
        rows = Rows(client, lazy, [one.moments.n_rows for one in surveys], futures)
        at = drawn(whole.moments.n_rows, SAMPLE, seed)
        sample = points_of(rows.take(at), columns, at)
    return WorkerStream(source.name, columns, *known, sample, whole.digest.text(columns), _brought(source), rows=rows)


@dataclass(frozen=True)
class Task:
    """How the rows of a partition are checked.

    Parameters
    ----------
    columns, chosen : tuple of str
        All columns of a partition, and those of the values.
    weight : int, optional
        Place of the column of the weights.
    convert : function, optional
    gaps : bool
    """

    columns: tuple[str, ...]
    chosen: tuple[str, ...]
    weight: int | None
    convert: Convert | None
    gaps: bool

    @classmethod
    def of(cls, source: RowSource, convert: Convert | None, gaps: bool) -> "Task":
        """Return the task of a source."""
        at = source.at if isinstance(source, WeightedSource) else None
        return cls(unweighted(source).columns, source.columns, at, convert, gaps)


def _surveyed(
    source: RowSource, client: "Client", task: Task, progress: bool
) -> "tuple[list[Delayed], list[Future[Any]], list[Survey]]":
    """Compute the rows of each partition, which stay on the workers, and what is known of them."""
    from dask.delayed import delayed

    read, look = delayed(rows_of), delayed(survey_of)
    lazy = [read(raw, number, task) for number, raw in enumerate(unweighted(source).partitions)]
    n_columns = len(columns_of(source, task.convert))
    futures = client.compute([*lazy, *(look(rows, n_columns) for rows in lazy)])
    rows, looks = futures[: len(lazy)], futures[len(lazy) :]
    with counted("first pass", len(looks), progress) as step:
        for _ in ended(client, looks):
            step(1)
    surveys = gathered(client, looks)
    for one in surveys:
        if isinstance(one, DataError):
            _find(source, task)
            raise one
    return lazy, rows, surveys


def _find(source: RowSource, task: Task) -> None:
    """Look here for the first value that is not finite, if the rows are those of files: so its file is named.

    Raises
    ------
    DataError
        If there is one.
    """
    origin = unweighted(source).origin
    for part in () if origin is None else origin.parts(STEP):
        _checked(part, task)


def _checked(part: Part, task: Task) -> Part:
    part = part if task.weight is None else part.weighed_by(task.weight)
    return require_usable(part, task.chosen, task.gaps)


def _brought(source: RowSource) -> Callable[[int], Iterator[Array]]:
    return lambda first: (with_weights(part.values, part.weights) for part in source.parts(STEP, first))


def rows_of(partition: Any, number: int, task: Task) -> Array | DataError:
    """Return the checked rows of a partition; or what is wrong, so that the first partition with an error is named."""
    try:
        part = _checked(part_of(partition, number, task.columns), task)
        return as_array(converted(part, task.chosen, task.convert))
    except DataError as error:
        return error


def survey_of(rows: Array | DataError, n_columns: int) -> Survey | DataError:
    """Return what is known of rows; what is wrong stays as it is."""
    return rows if isinstance(rows, DataError) else Survey(moments_of(rows, n_columns), Digest.of(rows))


def drawn(n_rows: int, size: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers of a random sample of rows: the same as those of files with these rows.

    Examples
    --------
    >>> drawn(5, 10, seed=0).tolist()
    [0, 1, 2, 3, 4]
    """
    reservoir = Reservoir(size, sampler(seed))
    for first in range(0, n_rows, STEP):
        reservoir.add(np.empty((min(STEP, n_rows - first), 0)))
    return reservoir.at


def drawn_on_worker(rows: Array, first: int, chances: Chances, size: int, seed: tuple[int, ...]) -> Reservoir:
    """Draw some of the rows of a partition."""
    return drawn_by(chances, size, seed, [rows], first)


def cut(rows: Array, start: int, stop: int) -> Array:
    """Return some rows of a partition."""
    return rows[start:stop]


def laid_out(slices: Sequence[Array], first: int, lay_out: LayOut, piece: int) -> Bundle:
    """Lay the rows of slices out in blocks; the pieces are parts of one array, which lies in large pages of memory."""
    rows = slices[0] if len(slices) == 1 else np.concatenate(slices)
    if np.isnan(rows.sum()):
        rows = np.concatenate([together(rows[start : start + piece]) for start in range(0, len(rows), piece)])
    blocks = lay_out(rows, 1)
    step = piece // BLOCK
    pieces = (blocks.part(slice(start, start + step)) for start in range(0, blocks.n_blocks, step))
    return Bundle(tuple(pieces), first)
