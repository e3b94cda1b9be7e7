"""Points that are too many for the memory: a sweep reads them part by part, and adds the statistics of the parts."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from threading import Event, Lock
from typing import ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.blocks import BackgroundRow, Blocks, Measure
from bayesgmm.sweep.latent_cells import LatentCells
from bayesgmm.sweep.layout import BLOCK, aligned
from bayesgmm.sweep.stats import Array
from bayesgmm.sweep.threads import allowed

RUN = 256  # blocks: the smallest number of successive ones that is read
NEAR = 4  # runs that are read in vain rather than skipped, which takes longer
AT_ONCE = 2  # parts that are measured at a time: more would take more memory


@dataclass(frozen=True, eq=False)
class Parts:
    """Points in parts, which stand in for ``Blocks`` where all that is wanted are sums over the points.

    ``fold`` and ``fold_each`` take them, and starts are made from their sample. Whatever needs all rows at once finds
    no such attribute here, and fails with a message that says so.

    Parameters
    ----------
    read : function
        Returns the parts, each as a function that lays it out as ``Blocks`` by a number of threads. A sweep calls it.
    n_points, n_features : int
        N and D.
    drawn : Blocks
        A random sample of the points.
    background : BackgroundRow, optional
        A fixed additional component.
    sum_of_weights : float, optional
        Sum of the row weights. Default: N.
    observed_weight : (D,) float, optional
        Sum of the weights of the rows in which each column is observed. Default: no value is missing.
    read_runs : function, optional
        From the number of a run, ``RUN`` successive blocks, to the runs from there on, in the order of the rows.
    skips : bool
        It reads no runs before that one.

    Examples
    --------
    >>> from bayesgmm.sweep.stats import Table, fold
    >>> halves = [Blocks.from_rows([[0.0], [1.0]]), Blocks.from_rows([[2.0]])]
    >>> one = Table.from_parameters([0.0], [[0.0]], [[1.0]])
    >>> fold(Parts(lambda: [lambda threads, half=half: half for half in halves], 3, 1, drawn=halves[0]), one).means()
    array([[1.]])
    """

    read: Callable[[], Iterable[Callable[[int], Blocks]]]
    n_points: int
    n_features: int
    drawn: Blocks
    background: BackgroundRow | None = None
    sum_of_weights: float | None = None
    observed_weight: Array | None = None
    read_runs: Callable[[int], Iterator[Blocks]] | None = None
    skips: bool = False
    latent: ClassVar[None] = None
    labels: ClassVar[None] = None

    def total(self, measure: Measure, threads: int) -> Array:
        """Return a sum over all points: that of the parts, in their order.

        Two threads take a part each, from its rows to its sums: together they would wait for each other twice. More
        threads help with both parts.
        """
        threads = allowed(threads)
        each = threads if threads > AT_ONCE else 1

        def measured(lay_out: Callable[[int], Blocks]) -> Array:
            return measure(replace(lay_out(each), background=self.background), each)

        return sum_of(measured, self.read(), min(threads, AT_ONCE))

    @property
    def n_blocks(self) -> int:
        """Number of blocks that they would fill."""
        return -(-self.n_points // BLOCK)

    @property
    def total_weight(self) -> float:
        """Sum of the row weights: N if there are none."""
        return float(self.n_points) if self.sum_of_weights is None else self.sum_of_weights

    @property
    def is_exact(self) -> bool:
        """True if no cell is missing."""
        return self.observed_weight is None

    @property
    def sample(self) -> Blocks:
        """Points from which starts are made: those that were drawn."""
        return replace(self.drawn, background=self.background)

    def part(self, chosen: NDArray[np.int64]) -> Blocks:
        """Return some of the blocks; blocks are numbered by the order of the rows, whatever the parts."""
        order = np.argsort(chosen, kind="stable")
        runs = [run.part(own) for run, own in self._runs_with(chosen[order])]
        found = joined(runs, len(chosen) * BLOCK, self.n_features).part(np.argsort(order))
        return replace(found, background=self.background)

    def brought(self, chosen: NDArray[np.int64]) -> Blocks:
        """Return some of the blocks in memory."""
        return self.part(chosen)

    def _runs_with(self, chosen: NDArray[np.int64]) -> Iterator[tuple[Blocks, NDArray[np.int64]]]:
        """Yield the runs that hold blocks, which are given in increasing order, with the places of these in the run."""
        assert self.read_runs is not None
        runs, first = np.unique(chosen // RUN, return_index=True)
        at, reader = 0, self.read_runs(0)
        for run, own in zip(runs.tolist(), np.split(chosen, first[1:]), strict=True):
            if self.skips and not at <= run < at + NEAR:
                at, reader = run, self.read_runs(run)
            for _ in range(at, run):
                next(reader)
            yield next(reader), own - run * RUN
            at = run + 1

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
    x, weight = aligned(n_blocks * n_features * BLOCK), np.empty(n_blocks * BLOCK)
    first, missing = 0, []
    for part in parts:
        to = first + part.n_blocks
        x[first * n_features * BLOCK : to * n_features * BLOCK] = part.x
        weight[first * BLOCK : to * BLOCK] = part.weight
        missing += [(slice(first * BLOCK, to * BLOCK), part.latent.missing)] if part.latent is not None else []
        first = to
    whole = Blocks(x, weight, n_points, n_features)
    if not missing:
        return whole
    cells = np.zeros((len(weight), n_features), dtype=bool)
    for rows, own in missing:
        cells[rows] = own
    return whole.with_latent(LatentCells(cells))


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


def sum_of[T](task: Callable[[T], Array], items: Iterable[T], threads: int) -> Array:
    """Return the sum of ``task(item)`` over items, added in their order.

    Each of several threads takes the next item as soon as it has computed the one before. It makes that item itself,
    while the others compute, so that what was read is still in its cache.

    Examples
    --------
    >>> sum_of(np.abs, [-3, 1, -2], 2)
    np.float64(6.0)
    """
    if threads == 1:
        return reduce(add, map(task, ahead(items)))
    numbered, taking, adding, stop = enumerate(items), Lock(), Lock(), Event()
    waiting: dict[int, Array] = {}
    total, added = np.zeros(()), 0

    def compute() -> None:
        nonlocal total, added
        while not stop.is_set():
            with taking:
                number, item = next(numbered, (-1, None))
            if number < 0:
                return
            own = task(item)  # type: ignore[arg-type]
            with adding:
                waiting[number] = own
                while added in waiting:
                    total, added = total + waiting.pop(added), added + 1

    with ThreadPoolExecutor(threads, thread_name_prefix="bayesgmm-parts") as pool:
        running = [pool.submit(compute) for _ in range(threads)]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # after an error, or Ctrl-C
    for one in running:
        one.result()
    return total
