"""Maximum likelihood fits in parallel, in threads or on a cluster, with progress; Ctrl-C keeps the finished ones."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.blas import one_blas_thread
from bayesgmm.declared import whole
from bayesgmm.errors import ComponentError, DeclarationError, DegenerateComponent
from bayesgmm.families.family import Family
from bayesgmm.inference import em, em_steps
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.optima import Optimum
from bayesgmm.inference.starts import from_responsibilities
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.criteria import assignment_entropy
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, fold
from bayesgmm.workers.tasks import run_on_workers

if TYPE_CHECKING:
    from distributed import Client


class Stopped(Exception):
    """Raised in a task that Ctrl-C stopped."""


@dataclass(frozen=True)
class StoppableSweep(em_steps.Sweep):
    """EM iteration that can be stopped by the event ``stop``."""

    stop: Event = field(default_factory=Event)

    def watch(self) -> None:
        """Stop if the event is set.

        Raises
        ------
        Stopped
            If ``stop`` is set.
        """
        if self.stop.is_set():
            raise Stopped


@dataclass(frozen=True)
class Maximum:
    """Maximum of the likelihood.

    Parameters
    ----------
    mixture : Mixture
    loglik : float
        Total log likelihood, in the coordinates of the blocks.
    entropy : float
        Entropy of the assignments of all points, in nats.
    n_iter : int
    converged : bool
    undiscovered : float
        As in ``Maxima``, of the search for the maximum.
    """

    mixture: Mixture
    loglik: float
    entropy: float
    n_iter: int
    converged: bool
    undiscovered: float = 0.0


def require_data(data: object, call: str) -> None:
    """Check that the first argument is data, not a model.

    Raises
    ------
    DeclarationError
        If it is a MixtureModel, the first argument of ``fit(model, data)``.

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
    """Return the given seed, or a random one.

    Raises
    ------
    DeclarationError
        If it is not a whole number of at least 0.
    """
    return int(np.random.default_rng().integers(2**31)) if seed is None else whole("seed", seed, minimum=0)


def cores_of(cores: int | None) -> int:
    """Return the given number of threads; default: the number of cores of the machine.

    Raises
    ------
    DeclarationError
        If it is not a whole number of at least 1.
    """
    return (os.cpu_count() or 1) if cores is None else whole("cores", cores)


def find_maximum(
    blocks: Blocks,
    family: Family,
    n_components: int,
    seed: int,
    n_init: int = 10,
    stop: Event | None = None,
    sweeps: int = em.SWEEPS,
    threads: int = 1,
) -> Maximum:
    """Maximise the likelihood by EM, with the result of ``method='em'`` for the same seed.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If from every start some component can't be estimated.
    Stopped
        Soon after ``stop`` is set.

    Examples
    --------
    The maximum likelihood estimate of a single Gaussian is the mean and variance of the points.

    >>> from bayesgmm.families.structures import COVARIANCES
    >>> find_maximum(Blocks.from_rows([[0.0], [2.0]]), COVARIANCES["full"], 1, seed=0).mixture.mean
    array([[1.]])
    """
    sweep = StoppableSweep(blocks, family, threads=threads, stop=stop or Event())
    return _maximum_of(sweep, em.maximise_likelihood(sweep, n_components, seed, n_init, sweeps=sweeps))


def maximum_near(
    blocks: Blocks, family: Family, shares: Sequence[Array], stop: Event | None = None, threads: int = 1
) -> Maximum:
    """Maximise the likelihood by EM from responsibilities (N, K) of other mixtures; return the best result.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If from all of them some component can't be estimated.
    Stopped
        Soon after ``stop`` is set.
    """
    sweep = StoppableSweep(blocks, family, threads=threads, stop=stop or Event())
    rows, weight = blocks.rows(), blocks.weight[: blocks.n_points]
    starts: list[Optimum] = []
    failure: ComponentError = DegenerateComponent("there is no start")
    for own in shares:
        try:
            start = em_steps.take_steps(sweep, from_responsibilities(rows, weight, own, family), em.SHORT_RUN)
            starts.append(Optimum(start.mixture, start.loglik, 1))
        except ComponentError as error:
            failure = error
    starts.sort(key=lambda start: -start.value)
    reached = em.maxima_from(sweep, starts, 1000, 1e-8)
    if not reached:
        raise failure
    return _maximum_of(sweep, em.most_credible(sweep, reached))


def _maximum_of(sweep: em_steps.Sweep, result: em_steps.EMResult) -> Maximum:
    table = result.mixture.table(sweep.family)
    stats = fold(sweep.blocks, table, sweep.threads)
    entropy = assignment_entropy(stats, table, sweep.blocks)
    return Maximum(result.mixture, stats.loglik, entropy, result.n_iter, result.converged, result.undiscovered)


def run_all[T](
    function: Callable[..., T],
    calls: Sequence[tuple[Any, ...]],
    title: str,
    cores: int,
    progress: bool,
    names: Sequence[str] = (),
    client: "Client | None" = None,
) -> tuple[list[T | None], bool]:
    """Call a function with several lists of arguments, in threads or on a cluster; Ctrl-C keeps what has finished.

    Parameters
    ----------
    function : function
        It takes the arguments and an event, and raises Stopped soon after the event is set.
    calls : sequence of tuple
        The arguments of each call.
    title : str
        Title of the progress bar.
    cores : int
        Number of threads.
    progress : bool
        Show a progress bar.
    names : sequence of str
        What each call tries; the progress bar shows the next one.
    client : Client, optional
        Of the cluster whose workers make the calls. Default: threads of this process.

    Returns
    -------
    results : list
        Results in the order of the calls; None for those that did not finish.
    interrupted : bool

    Raises
    ------
    KeyboardInterrupt
        If it comes before any call has finished.
    ClusterError
        If the cluster can't be used, or the connection is lost.
    Exception
        The first error of a call.

    Examples
    --------
    >>> run_all(lambda i, stop: i * i, [(0,), (1,), (2,), (3,)], "squares", cores=2, progress=False)
    ([0, 1, 4, 9], False)
    """
    with _shown(title, len(calls), progress, names) as step:
        if client is None:
            results, interrupted = _in_threads(function, calls, cores, step)
        else:
            results, interrupted = run_on_workers(client, function, calls, step)
    if interrupted and all(result is None for result in results):
        raise KeyboardInterrupt
    return results, interrupted


def _in_threads[T](
    function: Callable[..., T], calls: Sequence[tuple[Any, ...]], cores: int, step: Callable[[int], None]
) -> tuple[list[T | None], bool]:
    stop = Event()
    futures: list[Future[T]] = []
    # one BLAS thread: more would compete with the tasks, and their number would change the rounding of sums
    with (
        one_blas_thread(),
        ThreadPoolExecutor(cores, thread_name_prefix="bayesgmm-fit") as pool,
    ):
        try:
            futures.extend(pool.submit(function, *call, stop) for call in calls)
            for future in as_completed(futures):
                future.result()
                step(1)
        except BaseException as error:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, KeyboardInterrupt):
                raise
    return [_result(future) for future in futures] + [None] * (len(calls) - len(futures)), stop.is_set()


@contextmanager
def _shown(title: str, total: int, progress: bool, names: Sequence[str]) -> Iterator[Callable[[int], None]]:
    """Show a progress bar, and what is tried next."""
    if not progress:
        yield lambda number: None
        return
    from bayesgmm.progress import Count

    following = iter(names[1:])
    with Count(title, total) as count:
        yield lambda number: count.step(next(following, ""), number)


def _result[T](future: Future[T]) -> T | None:
    """Return the result of a task; None if it did not finish."""
    if future.cancelled() or isinstance(future.exception(), Stopped):
        return None
    return future.result()
