"""The Dask cluster that is in use: which one, whether it can be used, and its errors in plain words."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bayesgmm.errors import ClusterError, MissingExtra
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 10.0  # seconds to wait for a scheduler, and for its first worker


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
        with client:
            require_ready(client)
            yield client


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

    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"{error.allowed_failures + 1} workers died in turn while they worked on the same rows: their memory may "
            "be too small for a partition\n  Use smaller partitions, or workers with more memory."
        ) from None
    except (CancelledError, CommClosedError, TimeoutError, OSError) as error:
        raise ClusterError(_lost(client, error)) from None


def _lost(client: "Client", error: Exception) -> str:
    reason = getattr(error, "reason", "")
    if client.status != "running" or "scheduler" in str(reason):
        return (
            f"the connection to the Dask scheduler {_address(client)} was lost, so the fit can't go on\n"
            "  Start the scheduler and its workers again, and fit again."
        )
    return (
        f"rows on the workers were lost, and can't be computed again ({_short(error)})\n"
        "  Make the Dask collection from files, or from data that the client holds, and fit again."
    )


def _address(client: "Client") -> str:
    scheduler: Any = client.scheduler
    return listing([scheduler.address if scheduler is not None else "that was in use"])


def _short(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
