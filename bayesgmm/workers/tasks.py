"""Fits that a Dask cluster makes, each on one of its workers."""

import pickle
from collections.abc import Callable, Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

from bayesgmm.blas import one_blas_thread
from bayesgmm.workers.schedulers import ended, gathered, plain_errors, require_ready

if TYPE_CHECKING:
    from distributed import Client, Future


def run_on_workers[T](
    client: "Client", function: Callable[..., T], calls: Sequence[tuple[Any, ...]], step: Callable[[int], None]
) -> tuple[list[T | None], bool]:
    """Call a function with several lists of arguments on the workers; Ctrl-C keeps the results that are there.

    Parameters
    ----------
    client : Client
    function : function
        It takes the arguments and an event, as a task of threads does. What it holds is sent to each worker once.
    calls : sequence of tuple
        The arguments of each call.
    step : function
        Called with the number of calls that have ended since the last time.

    Returns
    -------
    results : list
        In the order of the calls; None for those that did not finish.
    interrupted : bool

    Raises
    ------
    ClusterError
        If the workers can't be used, or the connection is lost.
    Exception
        The first error of a call.
    """
    import dask

    require_ready(client)
    futures: list[Future[Any]] = []
    with plain_errors(client):
        try:
            with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):  # it is sent only once
                sent = client.submit(pickle.loads, pickle.dumps(function), pure=False)  # made again if a worker is lost
            futures = [client.submit(called, sent, call, pure=False) for call in calls]
            for future in ended(client, futures):
                future.result()
                step(1)
        except KeyboardInterrupt:
            results = [future.result() if future.status == "finished" else None for future in futures]
            client.cancel(futures)
            return results + [None] * (len(calls) - len(results)), True
        except BaseException:
            client.cancel(futures)
            raise
        return gathered(client, futures), False


def called[T](function: Callable[..., T], call: tuple[Any, ...]) -> T:
    """Call a function: the task of a worker."""
    with one_blas_thread():  # as in threads: more would change the rounding of sums
        return function(*call, Event())
