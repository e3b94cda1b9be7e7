"""Points that lie on the workers of a Dask cluster: parameters go to them, and the sums of their rows come back."""

import asyncio
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.blocks import Blocks, Measure
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.parts import Parts, joined
from bayesgmm.sweep.stats import Array
from bayesgmm.workers.schedulers import gathered, plain_errors

if TYPE_CHECKING:
    from distributed import Client, Future

TOGETHER = 16  # sums that are added at a time: a power of two
ASKED = 64  # bundles whose sums workers are asked for; those of more are tasks, which the workers also add up
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
    first : int
        Number of its first block among those of all bundles.
    """

    pieces: tuple[Blocks, ...]
    first: int = 0

    def __sizeof__(self) -> int:
        """Return its memory, which Dask asks for before it moves or spills data."""
        return sum(piece.x.nbytes + piece.weight.nbytes for piece in self.pieces)


@dataclass(frozen=True)
class WorkerParts(Parts):
    """Points on the workers of a Dask cluster. A sweep asks each worker for the sums of its bundles.

    That is one message to each worker. Where bundles are many, or are no longer where they were, a sweep is one task
    for each bundle: the scheduler then has those that were lost made again.

    The order in which sums are added is that of the pieces, whatever workers add them, and how many there are: so the
    result is the same to the last bit, also if a worker is lost and its bundles are made again.

    Parameters
    ----------
    n_points, n_features, drawn, background
        As in ``Parts``.
    client : Client
    bundles : tuple of Future
        Of a ``Bundle`` each.
    places : dict
        Keys of the bundles of each worker, by its address; empty if that is to be asked for.
    chosen : (M,) int, optional
        Blocks that are used. Default: all.
    factor : float
        Number by which all weights are multiplied.
    """

    read: None = field(init=False, default=None)  # type: ignore[assignment]  # workers sum them: none is brought here
    client: "Client | None" = None
    bundles: "tuple[Future[Any], ...]" = ()
    places: dict[str, list[Any]] = field(default_factory=dict)
    chosen: NDArray[np.int64] | None = None
    factor: float = 1.0

    def total(self, measure: Measure, threads: int) -> Array:
        """Return a sum over all points; that of a bundle is computed in one thread of a worker."""
        assert self.client is not None
        client, name = self.client, f"bayesgmm-{_session}-{next(_sweeps)}"
        given: Any = pickle.dumps((measure, self.background, self.chosen, self.factor))
        with plain_errors(client):
            if (asked := self._asked(client, given)) is not None:
                return pairwise_sum(asked)
            if len(given) > EMBEDDED:
                given = client.submit(bytes, given, key=f"{name}-parameters")
            rows = client.map(measured, self.bundles, given=given, key=_keys(f"{name}-sum", len(self.bundles)))
            while len(rows) > TOGETHER:
                groups = [rows[first : first + TOGETHER] for first in range(0, len(rows), TOGETHER)]
                name += "+"
                rows = client.map(pairwise_sum, groups, key=_keys(name, len(groups)))
            return pairwise_sum(gathered(client, rows))

    def part(self, chosen: NDArray[np.int64]) -> Self:  # type: ignore[override]
        """Return some of the blocks; they stay on the workers."""
        own = chosen if self.chosen is None else self.chosen[chosen]
        return replace(self, chosen=own, n_points=len(own) * BLOCK)

    def scaled(self, ratio: float) -> Self:
        """Return the same points with their weights multiplied by a number."""
        return replace(self, factor=self.factor * ratio)

    def brought(self, chosen: NDArray[np.int64]) -> Blocks:
        """Return some of the blocks, brought here."""
        assert self.client is not None
        order = np.argsort(chosen, kind="stable")
        with plain_errors(self.client):
            own = self.client.map(blocks_of, self.bundles, chosen=chosen[order], pure=False)
            found = [blocks for blocks in gathered(self.client, own) if blocks is not None]
        whole = joined(found, len(chosen) * BLOCK, self.n_features).part(np.argsort(order))
        return replace(whole, background=self.background)

    def _asked(self, client: "Client", given: bytes) -> list[Array] | None:
        """Return the sums of all bundles from the workers that have them; None if one can't answer."""
        if len(self.bundles) > ASKED:
            return None
        places = dict(self.places) or _places(client, self.bundles)
        if sum(map(len, places.values())) < len(self.bundles):
            return None
        answers = client.run(summed_here, given, places, workers=[*places], on_error="return")
        found: dict[Any, Array] = {}
        for answer in answers.values():
            if not isinstance(answer, dict):  # an error, of a worker that was lost, or None
                self.places.clear()
                return None
            found |= answer
        self.places.update(places)
        return [found[bundle.key] for bundle in self.bundles]


def _places(client: "Client", bundles: "Sequence[Future[Any]]") -> dict[str, list[Any]]:
    places: dict[str, list[Any]] = {}
    for key, holders in client.who_has([*bundles]).items():
        for holder in holders[:1]:
            places.setdefault(holder, []).append(key)
    return places


async def summed_here(given: bytes, places: dict[str, list[Any]], dask_worker: Any) -> dict[Any, Array] | None:
    """Return the sums of the bundles of a worker by their keys, computed in its threads; None if it lacks one."""
    own = places[dask_worker.contact_address]
    if any(key not in dask_worker.data for key in own):
        return None
    run, pool = asyncio.get_running_loop().run_in_executor, dask_worker.executors["default"]
    sums = await asyncio.gather(*(run(pool, measured, dask_worker.data[key], given) for key in own))
    return dict(zip(own, sums, strict=True))


def _keys(name: str, number: int) -> list[str]:
    return [f"{name}-{i}" for i in range(number)]


def measured(bundle: Bundle, given: bytes) -> Array:
    """Return the sum of a function over the pieces of a bundle: the task of a worker."""
    measure, background, chosen, factor = pickle.loads(given)
    pieces = bundle.pieces if chosen is None else _chosen(bundle, chosen, factor)
    return pairwise_sum([measure(replace(piece, background=background), 1) for piece in pieces])


def _chosen(bundle: Bundle, chosen: NDArray[np.int64], factor: float) -> list[Blocks]:
    """Return the chosen blocks of each piece; where there are none, the first one with weight zero."""
    return [
        piece.part(own).scaled(factor) if len(own) else piece.part(slice(0, 1)).scaled(0.0)
        for piece, own in _places_in(bundle, chosen)
    ]


def _places_in(bundle: Bundle, chosen: NDArray[np.int64]) -> Iterator[tuple[Blocks, NDArray[np.int64]]]:
    """Yield each piece of a bundle with the places in it of the chosen blocks."""
    first = bundle.first
    for piece in bundle.pieces:
        yield piece, chosen[(chosen >= first) & (chosen < first + piece.n_blocks)] - first
        first += piece.n_blocks


def blocks_of(bundle: Bundle, chosen: NDArray[np.int64]) -> Blocks | None:
    """Return the chosen blocks of a bundle, given in increasing order; None if there are none."""
    found = [piece.part(own) for piece, own in _places_in(bundle, chosen) if len(own)]
    return joined(found, sum(blocks.n_points for blocks in found), found[0].n_features) if found else None


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
