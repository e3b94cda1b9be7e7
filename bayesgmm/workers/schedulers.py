"""The Dask cluster that is in use: which one, whether it can be used, and its errors in plain words."""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bayesgmm.checkpoints.units import is_kept
from bayesgmm.errors import ClusterError, MissingExtra
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 10.0  # seconds to wait for a scheduler, and for its first worker
ABSENCE = 120.0  # seconds to wait for workers after all were lost, unless Dask is set to another time
TIMEOUT = "distributed.scheduler.no-workers-timeout"  # Dask's setting of it, by default none
LOOK = 1.0  # seconds between two looks at the workers


def active_client() -> "Client | None":
    """Return the user's Dask client; None if there is none. Does not import Dask."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


@contextmanager
def connected(address: str) -> "Iterator[Client]":
    """Connect to a scheduler; its workers are used in this context.

    Raises
    ------
    ClusterError
        If there is none, or its workers can't be used.
    MissingExtra
        If Dask is not installed.
    """
    try:
        import dask
        from distributed import Client
    except ImportError:
        raise MissingExtra("a Dask cluster can be used only with Dask\n  Try pip install 'bayesgmm[dask]'.") from None
    before = active_client()
    with dask.config.set(scheduler=dask.config.get("scheduler", None)):  # a client that fails leaves itself as default,
        try:
            client = Client(address, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            if (failed := active_client()) is not None and failed is not before:  # and as the one that is in use
                failed.close()
            raise ClusterError(
                f"there is no Dask scheduler at {address} ({_short(error)})\n"
                "  Start one with dask scheduler, and workers with dask worker ADDRESS."
            ) from None
        with _without_log(), client:
            require_ready(client)
            yield client


@contextmanager
def _without_log() -> Iterator[None]:
    """Keep the client's log, with its tracebacks, from the terminal: what it says is raised as an error, too."""
    log = logging.getLogger("distributed.client")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def require_ready(client: "Client") -> None:
    """Check that a cluster has workers, each with this version of the package.

    Raises
    ------
    ClusterError
        If it has none, or they have another version; the message names them.
    """
    with plain_errors(client):
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise ClusterError(
                f"the Dask scheduler {_address(client)} has no workers\n  Start some with dask worker ADDRESS."
            ) from None
        except ValueError as error:  # of an address that no protocol knows: this client was never connected
            raise ClusterError(
                f"the Dask client that is in use has no scheduler ({_short(error)})\n"
                "  Close it, client.close(), or connect to a scheduler that is running."
            ) from None
        found = client.run(_asker(), on_error="return")
    own = version("bayesgmm")
    others = {where: what for where, what in found.items() if what != own}
    if others:
        each = [f"{where} has {what if isinstance(what, str) else _short(what)}" for where, what in others.items()]
        raise ClusterError(
            f"{plural(len(others), 'worker lacks', 'workers lack')} bayesgmm {own}: {'; '.join(each[:3])}\n"
            "  Install the same version on all workers."
        )


def _asker() -> Callable[[], str]:
    """Return a function that is sent as a whole, so that it also runs where the package is not installed."""

    def installed() -> str:
        from importlib.metadata import version

        return version("bayesgmm")

    return installed


@contextmanager
def plain_errors(client: "Client") -> Iterator[None]:
    """Raise errors of the cluster as ClusterError, in plain words.

    Raises
    ------
    ClusterError
    """
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError
    from distributed.scheduler import NoWorkerError

    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"{error.allowed_failures + 1} workers died in turn while they worked on the same rows: their memory may "
            "be too small for a partition\n  Use smaller partitions, or workers with more memory."
        ) from None
    except NoWorkerError as error:
        raise ClusterError(_deserted(client, error.timeout)) from None
    except (CancelledError, CommClosedError, TimeoutError, OSError) as error:
        raise ClusterError(_lost(client, error)) from None


def gathered(client: "Client", futures: Any) -> Any:
    """Wait for the results of futures, and return them.

    Raises
    ------
    ClusterError
        If the cluster has no workers for too long.
    """
    return _awaited(client, lambda: client.gather(futures, asynchronous=True))


def ended(client: "Client", futures: "Iterable[Future[Any]]") -> "Iterator[Future[Any]]":
    """Yield futures as they end, those that fail, too.

    Raises
    ------
    ClusterError
        If the cluster has no workers for too long.
    """
    from distributed import as_completed

    waiting = as_completed(futures, loop=client.loop)
    while not waiting.is_empty():
        yield _awaited(client, waiting.__anext__)


def _awaited[T](client: "Client", result: Callable[[], Awaitable[T]]) -> T:
    """Wait for a result of the cluster, as long as it has workers: a task of a cluster without any waits for ever."""
    found: T = client.sync(_watched, client, result, _absence())
    return found


async def _watched[T](client: "Client", result: Callable[[], Awaitable[T]], absence: float) -> T:
    waiting, seen = asyncio.ensure_future(result()), time.monotonic()
    try:
        while not (await asyncio.wait({waiting}, timeout=min(LOOK, absence)))[0]:
            workers: Any = ()
            with suppress(OSError):  # of a scheduler that is lost: the result says so
                workers = await client.nthreads()
            now = time.monotonic()
            if workers:
                seen = now
            elif now - seen > absence:
                raise ClusterError(_deserted(client, absence))
        return waiting.result()
    finally:
        waiting.cancel()


def _absence() -> float:
    """Return the seconds to wait for workers after all were lost."""
    import dask
    from dask.utils import parse_timedelta

    given = dask.config.get(TIMEOUT, None)
    return ABSENCE if given is None else float(parse_timedelta(given))


def _deserted(client: "Client", absence: float) -> str:
    return (
        f"the Dask scheduler {_address(client)} has had no workers for {absence:g} seconds\n"
        f"  Start some and fit again; if yours take longer to start, set Dask's {TIMEOUT}."
    )


def _lost(client: "Client", error: Exception) -> str:
    reason = str(getattr(error, "reason", ""))
    if client.status != "running" or "scheduler" in reason or _own_address(client) in str(error):
        goes_on = ", with the same checkpoint: the fit goes on from there" if is_kept() else ""
        return (
            f"the connection to the Dask scheduler {_address(client)} was lost, so the fit can't go on\n"
            f"  Start the scheduler and its workers again, and fit again{goes_on}."
        )
    return (
        f"rows on the workers were lost, and can't be computed again ({_short(error)})\n"
        "  Make the Dask collection from files, or from data that the client holds, and fit again."
    )


def _address(client: "Client") -> str:
    return listing([_own_address(client)])


def _own_address(client: "Client") -> str:
    scheduler: Any = client.scheduler
    return str(scheduler.address) if scheduler is not None else "that was in use"


def _short(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
