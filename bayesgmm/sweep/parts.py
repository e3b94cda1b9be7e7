"""Points that are too many for the memory: a sweep reads them part by part, and adds the statistics of the parts."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import ClassVar, NoReturn

import numpy as np

from bayesgmm.sweep.blocks import BackgroundRow, Blocks, Measure
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.stats import Array


@dataclass(frozen=True)
class Parts:
    """Points in parts, which stand in for ``Blocks`` where all that is wanted are sums over the points.

    ``fold`` and ``fold_each`` take them, and starts are made from their sample. Whatever needs all rows at once finds
    no such attribute here, and fails with a message that says so.

    Parameters
    ----------
    read : function
        Returns the parts, each as ``Blocks``, which it may lay out by a number of threads; called for each sweep.
    n_points, n_features : int
        N and D.
    drawn : Blocks
        A random sample of the points.
    background : BackgroundRow, optional
        A fixed additional component.

    Examples
    --------
    >>> from bayesgmm.sweep.stats import Table, fold
    >>> halves = [Blocks.from_rows([[0.0], [1.0]]), Blocks.from_rows([[2.0]])]
    >>> one = Table.from_parameters([0.0], [[0.0]], [[1.0]])
    >>> fold(Parts(lambda threads: halves, 3, 1, drawn=halves[0]), one).means()
    array([[1.]])
    """

    read: Callable[[int], Iterable[Blocks]]
    n_points: int
    n_features: int
    drawn: Blocks
    background: BackgroundRow | None = None
    latent: ClassVar[None] = None
    labels: ClassVar[None] = None

    def parts(self, threads: int = 1) -> Iterator[Blocks]:
        """Return the parts, laid out by a number of threads."""
        return (replace(part, background=self.background) for part in self.read(threads))

    def total(self, measure: Measure, threads: int) -> Array:
        """Return a sum over all points: that of the parts."""
        return reduce(add, (measure(part, threads) for part in self.parts(threads)))

    @property
    def n_blocks(self) -> int:
        """Number of blocks that they would fill."""
        return -(-self.n_points // BLOCK)

    @property
    def total_weight(self) -> float:
        """Sum of the row weights: N."""
        return float(self.n_points)

    @property
    def sample(self) -> Blocks:
        """Points from which starts are made: those that were drawn."""
        return replace(self.drawn, background=self.background)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"points that are read in parts have no {name!r}: that needs all rows in memory")


def joined(parts: Iterable[Blocks], n_points: int, n_features: int) -> Blocks:
    """Return the points of several parts in the blocks of one; all parts but the last have whole blocks.

    Parameters
    ----------
    parts : iterable of Blocks
    n_points, n_features : int
        N, of all parts together, and D.

    Examples
    --------
    >>> joined([Blocks.from_rows(np.zeros((32, 1))), Blocks.from_rows([[5.0]])], 33, 1).rows()[-2:]
    array([[0.],
           [5.]])
    """
    n_blocks = max(1, -(-n_points // BLOCK))
    x, weight = np.empty(n_blocks * n_features * BLOCK), np.empty(n_blocks * BLOCK)
    first = 0
    for part in parts:
        to = first + part.n_blocks
        x[first * n_features * BLOCK : to * n_features * BLOCK] = part.x
        weight[first * BLOCK : to * BLOCK] = part.weight
        first = to
    return Blocks(x, weight, n_points, n_features)


_END = object()


def ahead[T](items: Iterable[T]) -> Iterator[T]:
    """Yield items; a thread makes the next one while one is in use.

    Examples
    --------
    >>> list(ahead(i * i for i in range(4)))
    [0, 1, 4, 9]
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="bayesgmm-read") as pool:
        following = pool.submit(next, iterator, _END)
        while (item := following.result()) is not _END:
            following = pool.submit(next, iterator, _END)
            yield item  # type: ignore[misc]
