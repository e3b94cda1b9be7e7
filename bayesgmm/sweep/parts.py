"""Points that are too many for the memory: a sweep reads them part by part, and adds the statistics of the parts."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import ClassVar, NoReturn

from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.stats import Array, BackgroundRow, Blocks, Measure


@dataclass(frozen=True)
class Parts:
    """Points in parts, which stand in for ``Blocks`` where all that is wanted are sums over the points.

    ``fold`` and ``fold_each`` take them, and starts are made from their sample. Whatever needs all rows at once finds
    no such attribute here, and fails with a message that says so.

    Parameters
    ----------
    read : function
        Returns the parts, each as ``Blocks``; called for each sweep.
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
    >>> fold(Parts(lambda: halves, 3, 1, drawn=halves[0]), one).means()
    array([[1.]])
    """

    read: Callable[[], Iterable[Blocks]]
    n_points: int
    n_features: int
    drawn: Blocks
    background: BackgroundRow | None = None
    latent: ClassVar[None] = None
    labels: ClassVar[None] = None

    def parts(self) -> Iterator[Blocks]:
        """Return the parts."""
        return (replace(part, background=self.background) for part in self.read())

    def total(self, measure: Measure, threads: int) -> Array:
        """Return a sum over all points: that of the parts."""
        return reduce(add, (measure(part, threads) for part in self.parts()))

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
