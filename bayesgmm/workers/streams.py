"""The first pass over a source: here, or on the workers of the cluster that is in use."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bayesgmm.data.points import Points
from bayesgmm.data.streams import Stream
from bayesgmm.errors import DeclarationError
from bayesgmm.memory import GIB, as_bytes, in_words
from bayesgmm.sources.dask_collections import DaskSource, is_dask
from bayesgmm.sources.opening import source
from bayesgmm.sources.reservoirs import Chances, Reservoir, drawn_by
from bayesgmm.sources.rows import RowSource
from bayesgmm.sources.surveys import Convert, memory_for, stream
from bayesgmm.sources.weights import unweighted
from bayesgmm.workers.schedulers import active_client
from bayesgmm.workers.surveys import WorkerStream, survey

if TYPE_CHECKING:
    from distributed import Client

MEMORY = GIB  # bytes of rows in memory at a time, by default


def read_rows(
    data: object,
    columns: Sequence[str] | None,
    memory: int | str | None,
    seed: int,
    progress: bool,
    weight: str | None = None,
    gaps: bool = False,
) -> Points | Stream:
    """Check data that are read in parts; return all rows where the memory suffices for them, else a stream.

    Parameters
    ----------
    data, columns
        As in ``source``.
    memory : int or str, optional
        Memory that rows may take. Default: ``MEMORY``.
    seed : int
        Seed of the sample of a stream.
    progress : bool
        Show a progress bar.
    weight, gaps
        As in ``source`` and ``streamed``.

    Raises
    ------
    DataError, DeclarationError, ClusterError
        As ``source`` and ``streamed``.
    """
    room = room_for_rows(memory)
    read = streamed(source(data, columns, weight), room, seed, progress=progress, gaps=gaps)
    return read.whole() if memory_for(read.n_points, len(read.columns)) <= room else read


def client_of(data: object) -> "Client | None":
    """Return the client that is in use, if these are data of Dask; else None."""
    of_dask = isinstance(data, RowSource) and isinstance(unweighted(data), DaskSource)
    return active_client() if of_dask or is_dask(data) else None


def needed(rows: Stream) -> str:
    """Return the memory that suffices for all rows, in words."""
    return in_words(memory_for(rows.n_points, len(rows.columns)))


def room_for_rows(memory: int | str | None) -> int:
    """Return a number of bytes for rows, as it was given or by default."""
    return MEMORY if memory is None else as_bytes("memory", memory)


def streamed(
    rows: RowSource,
    memory: int,
    seed: int,
    convert: Convert | None = None,
    progress: bool = False,
    gaps: bool = False,
) -> Stream:
    """Check all rows; those of a Dask collection on its workers, if there is a client.

    Parameters
    ----------
    rows : RowSource
    memory : int
        Bytes that rows may take at a time on this machine.
    seed : int
        Seed of the sample.
    convert : function, optional
        From points in the columns of the source to those that are fitted.
    progress : bool
        Show a progress bar.
    gaps : bool
        Accept missing values, and row weights.

    Raises
    ------
    DataError, DeclarationError, ClusterError
        As ``stream`` and ``survey``; also if rows have weights, which would be ignored.
    """
    if rows.weighted and not gaps:
        raise DeclarationError(
            "row weights can't be used here\n"
            "  Open the source without weight=, or fit a mixture: fit(model, source, method='em')."
        )
    if (client := client_of(rows)) is not None:
        return survey(rows, client, seed, convert, progress, gaps)
    return stream(rows, memory, seed, convert, progress, gaps)


def drawn(rows: Stream, chances: Chances, size: int, seed: tuple[int, ...]) -> Reservoir:
    """Draw rows with unequal chances, in one pass: here, or on the workers that hold them; the same in both.

    Parameters
    ----------
    rows, chances, size, seed
        As in ``drawn_by``.

    Raises
    ------
    ClusterError
        If rows on workers are lost.
    """
    if isinstance(rows, WorkerStream):
        return rows.drawn(chances, size, seed)
    return drawn_by(chances, size, seed, rows.arrays())
