"""The first pass over a source: here, or on the workers of the cluster that is in use."""

from bayesgmm.data.streams import Stream
from bayesgmm.sources.dask_collections import DaskSource
from bayesgmm.sources.rows import RowSource
from bayesgmm.sources.surveys import Convert, stream
from bayesgmm.workers.schedulers import active_client
from bayesgmm.workers.surveys import survey


def streamed(rows: RowSource, memory: int, seed: int, convert: Convert | None = None, progress: bool = False) -> Stream:
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

    Raises
    ------
    DataError, DeclarationError, ClusterError
        As ``stream`` and ``survey``.
    """
    if isinstance(rows, DaskSource) and (client := active_client()) is not None:
        return survey(rows, client, seed, convert, progress)
    return stream(rows, memory, seed, convert, progress)
