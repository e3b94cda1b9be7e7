"""Many maxima of the likelihood: each by EM, side by side in threads, counted, and stopped by Ctrl-C."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

import numpy as np
from threadpoolctl import threadpool_limits

from bayesgmm.declared import whole
from bayesgmm.errors import DeclarationError
from bayesgmm.families.structures import Family
from bayesgmm.inference import em
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.criteria import assignment_entropy
from bayesgmm.sweep.stats import Blocks, fold


class Stopped(Exception):
    """Ctrl-C came while a task was at work."""


@dataclass(frozen=True)
class StoppableSweep(em.Sweep):
    """An EM iteration that is the last one once ``stop`` is set."""

    stop: Event = field(default_factory=Event)

    def __call__(self, mixture: Mixture) -> tuple[float, Mixture]:
        """As a sweep; raises Stopped."""
        if self.stop.is_set():
            raise Stopped
        return super().__call__(mixture)


@dataclass(frozen=True)
class Maximum:
    """A maximum of the likelihood.

    Parameters
    ----------
    mixture : Mixture
    loglik : float
        Total log likelihood, in the coordinates of the blocks.
    entropy : float
        Of the assignments of all points, in nats.
    n_iter : int
    converged : bool
    """

    mixture: Mixture
    loglik: float
    entropy: float
    n_iter: int
    converged: bool


def require_data(data: object, call: str) -> None:
    """Refuse a declaration where data are expected, as ``fit(model, data)`` takes it.

    Raises
    ------
    DeclarationError

    Examples
    --------
    >>> require_data(MixtureModel(2), "select(data, n_components=[1, 2, 3])")
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DeclarationError: data is a MixtureModel: give the data first, then what to try
      For example select(data, n_components=[1, 2, 3]).
    """
    if isinstance(data, MixtureModel):
        raise DeclarationError(f"data is a MixtureModel: give the data first, then what to try\n  For example {call}.")


def seed_of(seed: int | None) -> int:
    """A seed: the one that was given, or any."""
    return int(np.random.default_rng().integers(2**31)) if seed is None else whole("seed", seed, least=0)


def cores_of(cores: int | None) -> int:
    """Threads: as many as was said, or as the machine has cores."""
    return (os.cpu_count() or 1) if cores is None else whole("cores", cores)


def find_maximum(
    blocks: Blocks, family: Family, n_components: int, seed: int, n_init: int = 10, stop: Event | None = None
) -> Maximum:
    """Maximum likelihood by EM, the one that ``method='em'`` finds for the same seed.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When every start ends in a component that can't be estimated.
    Stopped
        Soon after ``stop`` is set.

    Examples
    --------
    One Gaussian: its mean and variance are the points' own.

    >>> from bayesgmm.families.structures import COVARIANCES
    >>> find_maximum(Blocks.from_rows([[0.0], [2.0]]), COVARIANCES["full"], 1, seed=0).mixture.mean
    array([[1.]])
    """
    result = em.maximise_likelihood(StoppableSweep(blocks, family, stop=stop or Event()), n_components, seed, n_init)
    table = result.mixture.table(family)
    stats = fold(blocks, table)
    return Maximum(result.mixture, stats.loglik, assignment_entropy(stats, table), result.n_iter, result.converged)


def run_all[T](
    tasks: Sequence[Callable[[Event], T]], title: str, cores: int, progress: bool
) -> tuple[list[T | None], bool]:
    """Run tasks in threads; what is done when Ctrl-C comes is kept.

    Parameters
    ----------
    tasks : sequence of functions
        Each takes an event; once it is set they should end, with Stopped.
    title : str
        Of the progress bar.
    cores : int
        Threads.
    progress : bool
        Show the bar.

    Returns
    -------
    results : list
        In the order of the tasks; None for those that were not done.
    interrupted : bool

    Raises
    ------
    KeyboardInterrupt
        When it came before any task was done.

    Examples
    --------
    >>> run_all([lambda stop, i=i: i * i for i in range(4)], "squares", cores=2, progress=False)
    ([0, 1, 4, 9], False)
    """
    stop = Event()
    futures: list[Future[T]] = []
    # BLAS's own threads would only wait for each other, and sums round differently for another number of them.
    with (
        threadpool_limits(limits=1, user_api="blas"),
        ThreadPoolExecutor(cores, thread_name_prefix="bayesgmm-fit") as pool,
    ):
        try:
            futures.extend(pool.submit(task, stop) for task in tasks)
            _watch(futures, title, progress)
        except BaseException as error:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, KeyboardInterrupt):
                raise
    results = [_result(future) for future in futures] + [None] * (len(tasks) - len(futures))
    if stop.is_set() and all(result is None for result in results):
        raise KeyboardInterrupt
    return results, stop.is_set()


def _watch[T](futures: list[Future[T]], title: str, progress: bool) -> None:
    """Wait for all; raise what the first that fails raised."""
    with _shown(title, len(futures), progress) as step:
        for future in as_completed(futures):
            future.result()
            step()


@contextmanager
def _shown(title: str, total: int, progress: bool) -> Iterator[Callable[[], None]]:
    if not progress:
        yield lambda: None
        return
    from bayesgmm.progress import Count

    with Count(title, total) as count:
        yield count.step


def _result[T](future: Future[T]) -> T | None:
    """What a task returned; None when it was not begun, or not finished."""
    if future.cancelled() or isinstance(future.exception(), Stopped):
        return None
    return future.result()
