"""Points that lie on the workers of a Dask cluster: parameters go to them, and the sums of their rows come back."""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from bayesgmm.sweep.parts import Parts
from bayesgmm.sweep.stats import Array, Blocks, Measure
from bayesgmm.workers.schedulers import gathered, plain_errors

if TYPE_CHECKING:
    from distributed import Client, Future

TOGETHER = 16  # sums that are added at a time: a power of two
EMBEDDED = 2**16  # bytes of parameters that are sent with each task; more are sent once, and passed on by the workers

_sweeps = count()
_session = uuid4().hex[:8]  # keys of tasks must differ from those of other programs on the same cluster


@dataclass(frozen=True)
class Bundle:
    """Some successive pieces of the points, on one worker.

    Parameters
    ----------
    pieces : tuple of Blocks
        All bundles but the last have the same number of pieces, a power of two.
    """

    pieces: tuple[Blocks, ...]

    def __sizeof__(self) -> int:
        """Return its memory, which Dask asks for before it moves or spills data."""
        return sum(piece.x.nbytes + piece.weight.nbytes for piece in self.pieces)


@dataclass(frozen=True)
class WorkerParts(Parts):
    """Points on the workers of a Dask cluster. A sweep is one task for each bundle; sums come back.

    The order in which sums are added is that of the pieces, whatever workers add them, and how many there are: so the
    result is the same to the last bit, also if a worker is lost and its bundles are made again.

    Parameters
    ----------
    read, n_points, n_features, drawn, background
        As in ``Parts``; ``read`` brings the pieces here, one bundle at a time.
    client : Client
    bundles : tuple of Future
        Of a ``Bundle`` each.
    """

    client: "Client | None" = None
    bundles: "tuple[Future[Any], ...]" = ()

    def total(self, measure: Measure, threads: int) -> Array:
        """Return a sum over all points; each task runs in one thread of a worker."""
        assert self.client is not None
        client, name = self.client, f"bayesgmm-{_session}-{next(_sweeps)}"
        given: Any = pickle.dumps((measure, self.background))
        with plain_errors(client):
            if len(given) > EMBEDDED:
                given = client.submit(bytes, given, key=f"{name}-parameters")
            rows = client.map(measured, self.bundles, given=given, key=_keys(f"{name}-sum", len(self.bundles)))
            while len(rows) > TOGETHER:
                groups = [rows[first : first + TOGETHER] for first in range(0, len(rows), TOGETHER)]
                name += "+"
                rows = client.map(pairwise_sum, groups, key=_keys(name, len(groups)))
            return pairwise_sum(gathered(client, rows))


def _keys(name: str, number: int) -> list[str]:
    return [f"{name}-{i}" for i in range(number)]


def measured(bundle: Bundle, given: bytes) -> Array:
    """Return the sum of a function over the pieces of a bundle: the task of a worker."""
    measure, background = pickle.loads(given)
    return pairwise_sum([measure(replace(piece, background=background), 1) for piece in bundle.pieces])


def pairwise_sum(rows: Sequence[Array]) -> Array:
    """Add neighbouring pairs of arrays, then neighbouring pairs of these sums, and so on.

    The result has the same bits if successive groups, of a number of arrays that is a power of two, are added first.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=7)
    >>> bool(pairwise_sum(rows) == pairwise_sum([pairwise_sum(rows[:4]), pairwise_sum(rows[4:])]))
    True
    """
    while len(rows) > 1:
        pairs = [one + other for one, other in zip(rows[::2], rows[1::2], strict=False)]
        rows = [*pairs, *rows[2 * len(pairs) :]]
    return rows[0]


def pieces_of(client: "Client", bundles: "Sequence[Future[Any]]", _: int = 1) -> Iterator[Blocks]:
    """Yield all pieces, brought here one bundle at a time."""
    with plain_errors(client):
        for bundle in bundles:
            yield from gathered(client, bundle).pieces
