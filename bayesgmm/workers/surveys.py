"""The first pass over a Dask collection, on its workers; the rows stay there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.cells import require_range
from bayesgmm.data.points import Points
from bayesgmm.data.streams import LayOut, Stream
from bayesgmm.errors import DataError
from bayesgmm.progress import counted
from bayesgmm.sources.dask_collections import DaskSource, part_of
from bayesgmm.sources.digests import Digest
from bayesgmm.sources.moments import Moments
from bayesgmm.sources.reservoirs import Chances, Reservoir, drawn_by
from bayesgmm.sources.rows import Part
from bayesgmm.sources.surveys import SAMPLE, Convert, converted, require_finite, sampler
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.stats import Array
from bayesgmm.workers.layouts import Layout, Slice
from bayesgmm.workers.schedulers import ended, gathered, plain_errors, require_ready
from bayesgmm.workers.sums import Bundle, WorkerParts, pieces_of

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
        bundles = client.map(laid_out, pieces, lay_out=lay_out, piece=layout.piece, pure=False)
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
    name, columns, n_points, centre_and_sd, low, high, sample, fingerprint, read, kept, held
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
        return Points(rows, self.columns, np.arange(self.n_points))

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
        sample = lay_out(self.sample.values, 1)
        read = partial(pieces_of, client, bundles)
        return WorkerParts(read, self.n_points, len(self.columns), sample, None, client, bundles)


def survey(
    source: DaskSource, client: "Client", seed: int, convert: Convert | None = None, progress: bool = False
) -> WorkerStream:
    """Check all rows on the workers, and compute what the engines need to know before they start.

    Parameters
    ----------
    source : DaskSource
    client : Client
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
    ClusterError
        If the workers can't be used.
    """
    require_ready(client)
    columns = converted(Part(np.empty((0, len(source.columns))), "", np.arange(0)), source.columns, convert).columns
    with plain_errors(client):
        lazy, futures, surveys = _surveyed(source, client, convert, progress)
        whole = reduce(add, surveys)
        if not whole.moments.count:
            raise DataError(f"{source.name} has no rows")
        require_range(whole.moments.low, whole.moments.high, columns)
        rows = Rows(client, lazy, [one.moments.count for one in surveys], futures)
        at = drawn(whole.moments.count, SAMPLE, seed)
        sample = Points(rows.take(at), columns, at)
    moments = whole.moments
    known = (moments.count, (moments.mean, moments.sd), moments.low, moments.high)
    return WorkerStream(source.name, columns, *known, sample, whole.digest.text(columns), _brought(source), rows=rows)


def _surveyed(
    source: DaskSource, client: "Client", convert: Convert | None, progress: bool
) -> "tuple[list[Delayed], list[Future[Any]], list[Survey]]":
    """Compute the rows of each partition, which stay on the workers, and what is known of them."""
    from dask.delayed import delayed

    read, look = delayed(rows_of), delayed(survey_of)
    lazy = [read(raw, number, source.columns, convert) for number, raw in enumerate(source.partitions)]
    futures = client.compute([*lazy, *map(look, lazy)])
    rows, looks = futures[: len(lazy)], futures[len(lazy) :]
    with counted("first pass", len(looks), progress) as step:
        for _ in ended(client, looks):
            step(1)
    surveys = gathered(client, looks)
    for one in surveys:
        if isinstance(one, DataError):
            _find(source)
            raise one
    return lazy, rows, surveys


def _find(source: DaskSource) -> None:
    """Look here for the first value that is not finite, if the rows are those of files: so its file is named.

    Raises
    ------
    DataError
        If there is one.
    """
    for part in () if source.origin is None else source.origin.parts(STEP):
        require_finite(part, source.columns)


def _brought(source: DaskSource) -> Callable[[int], Iterator[Array]]:
    return lambda first: (part.values for part in source.parts(STEP, first))


def rows_of(partition: Any, number: int, columns: tuple[str, ...], convert: Convert | None) -> Array | DataError:
    """Return the checked rows of a partition; or what is wrong, so that the first partition with an error is named."""
    try:
        part = require_finite(part_of(partition, number, columns), columns)
        return converted(part, columns, convert).values
    except DataError as error:
        return error


def survey_of(rows: Array | DataError) -> Survey | DataError:
    """Return what is known of rows; what is wrong stays as it is."""
    return rows if isinstance(rows, DataError) else Survey(Moments.of(rows), Digest.of(rows))


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


def laid_out(slices: Sequence[Array], lay_out: LayOut, piece: int) -> Bundle:
    """Lay the rows of slices out in blocks; the pieces are parts of one array, which lies in large pages of memory."""
    blocks = lay_out(slices[0] if len(slices) == 1 else np.concatenate(slices), 1)
    step = piece // BLOCK
    return Bundle(tuple(blocks.part(slice(first, first + step)) for first in range(0, blocks.n_blocks, step)))
