"""Chains of blocked Gibbs sampling with sampled assignments, for conjugate declarations, in threads."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from time import perf_counter
from typing import NamedTuple

import numpy as np

from bayesgmm.checkpoints.units import Trail, once, trail
from bayesgmm.inference import em
from bayesgmm.inference.conjugate_sweeps import Chains
from bayesgmm.inference.engine import Progress, Silent, StartedChain
from bayesgmm.inference.gibbs_starts import starting_runs
from bayesgmm.inference.interruptions import trim
from bayesgmm.inference.mean_orders import in_order, out_of_order
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

SAVED_EVERY = 1.0  # seconds between two parts of a chain that a checkpoint keeps
CHUNK = 0.05  # seconds of sweeps between two checks of the time and of Ctrl-C
SHOWN_EVERY = 0.1  # seconds between two reports of progress


class Sample(NamedTuple):
    """Draws of chains.

    Parameters
    ----------
    q : (chains, draws, P) float
        Coordinates of the draws; NaN for draws that Ctrl-C prevented, and for earlier ones but the last.
    loglik : (chains, draws) float
        Log likelihood of the standardised points.
    interrupted : bool
    begun : (chains, T, P) float, optional
        States of the short runs at whose ends the chains started; None if earlier draws were continued.
    """

    q: Array
    loglik: Array
    interrupted: bool
    begun: Array | None


class Part(NamedTuple):
    """A part of a chain that a checkpoint keeps.

    Parameters
    ----------
    end : int
        Number of sweeps before its end.
    state : (P,) float
        State of the chain there.
    q : (n, P) float
    loglik : (n,) float
        Its draws, and their log likelihoods.
    """

    end: int
    state: Array
    q: Array
    loglik: Array


class ChainRun:
    """A chain on its way.

    Parameters
    ----------
    chain : Chains
    number : int
    draws : int
        Number of draws.
    state : StartedChain
        How far it is.
    """

    def __init__(self, chain: Chains, number: int, draws: int, state: StartedChain) -> None:
        self.chain, self.number, self.state = chain, number, state
        self.q, self.loglik = np.full((draws, chain.density.size), np.nan), np.full(draws, np.nan)

    def begin(self, q: Array, parts: list[Part]) -> None:
        """Start from q (P,), or after the last of the parts that were kept."""
        self.now = q.copy()
        for part in parts:
            kept = self._drawn(self.state.finished_draws, part.end)
            self.q[kept], self.loglik[kept], self.now = part.q, part.loglik, part.state
            self._reached(part.end)

    def finish(self, stop: Event, left: Trail, share: int) -> None:
        """Make all sweeps that are left, and leave parts; ``share`` chains run at once."""
        self._saved, self._began = self.state.finished_draws, perf_counter()

        def sweeps(first: int, last: int) -> None:
            self.chain.sweeps(self.number, self.now, (first, last), self.q, self.loglik)
            if (seconds := perf_counter() - self._began) > SAVED_EVERY:
                kept = self._drawn(self._saved, last)
                left.add(self.number, Part(last, self.now, self.q[kept], self.loglik[kept]), seconds / share)
                self._saved, self._began = last, perf_counter()

        in_chunks(sweeps, self.state, self.chain.schedule.tune, stop)

    def _drawn(self, first: int, last: int) -> slice:
        """Return which draws the sweeps of a span made."""
        tune, thin = self.chain.schedule.tune, self.chain.schedule.thin
        return slice(*(max(0, -(-(sweep - tune) // thin)) for sweep in (first, last)))

    def _reached(self, end: int) -> None:
        self.state.finished_draws, self.state.tuning = end, end < self.chain.schedule.tune


def run(
    density: LogPosterior,
    seed: int,
    cores: int,
    *,
    draws: int,
    tune: int,
    chains: int,
    thin: int = 1,
    search: int = em.SWEEPS,
    earlier: Array | None = None,
) -> Array:
    """Draw coordinates (chains, draws, P) from the posterior, for an engine that needs a few draws quickly.

    Parameters
    ----------
    density : LogPosterior
    seed, cores : int
    draws, tune, chains, thin : int
        As for ``fit``.
    search : int
        Budget of the search for starts.
    earlier : (chains, E, P) float, optional
        As for ``sample``.

    Raises
    ------
    NotConjugate
        If a prior has no conditional distribution that can be drawn from.
    DataError
        If row weights are not whole numbers.
    SamplingError
        If Ctrl-C comes before the first draw after tuning.

    Examples
    --------
    >>> from bayesgmm.data.points import as_points
    >>> from bayesgmm.model import MixtureModel
    >>> density = LogPosterior.of(MixtureModel(2), as_points([0.0, 1.0, 10.0, 11.0]))
    >>> run(density, seed=1, cores=1, draws=5, tune=10, chains=2).shape
    (2, 5, 5)
    """
    settings = {"draws": draws, "tune": tune, "chains": chains, "thin": thin, "search": search}
    drawn = sample(density, seed, cores, Silent(), **settings, earlier=earlier)
    return trim(drawn.q, {})[0] if drawn.interrupted else drawn.q


def sample(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int,
    tune: int,
    chains: int,
    thin: int,
    search: int = em.SWEEPS,
    earlier: Array | None = None,
) -> Sample:
    """Run the chains in threads.

    Parameters
    ----------
    draws : int
        Number of draws of each chain, with the earlier ones.
    search : int
        Budget of the search for starts.
    earlier : (chains, E, P) float, optional
        The first draws, of the same chains: these are continued.

    Raises
    ------
    NotConjugate, DataError
        As in ``run``.
    """
    chain = Chains.of(density, seed, tune, thin, search)
    made = 0 if earlier is None else tune + (earlier.shape[1] - 1) * thin  # the sweep before which the last was kept
    end = tune + (draws - 1) * thin + 1

    def compute() -> Sample:
        runs = [ChainRun(chain, number, draws, StartedChain(end, made, made < tune)) for number in range(chains)]
        stop = Event()
        with ThreadPoolExecutor(cores, thread_name_prefix="bayesgmm-gibbs") as pool:
            if earlier is None:
                begun = once(lambda: starting_runs(chain, chains, np.random.default_rng((seed, 1)), pool))
            else:
                begun = out_of_order(density, earlier[:, -1])[None]
            left = trail()
            share = min(cores, chains)
            for run, q in zip(runs, begun[-1], strict=True):
                run.begin(q, left.parts(run.number))
            futures = [pool.submit(run.finish, stop, left, share) for run in runs]
            interrupted = watch(futures, [run.state for run in runs], progress, stop)
        q, loglik = np.stack([run.q for run in runs]), np.stack([run.loglik for run in runs])
        known = in_order(density, begun.swapaxes(0, 1)) if earlier is None else None
        return Sample(in_order(density, q), loglik, interrupted, known)

    return once(compute)


def in_chunks(
    sweeps: Callable[[int, int], None], state: StartedChain, tune: int, stop: Event, end: int | None = None
) -> None:
    """Make the sweeps of a chain before ``end``, or all, in chunks of about ``CHUNK`` seconds, until stopped."""
    size, end = 1, state.total_draws if end is None else end
    while state.finished_draws < end and not stop.is_set():
        first = state.finished_draws
        last = min(first + size, end)
        began = perf_counter()
        sweeps(first, last)
        state.finished_draws, state.tuning = last, last < tune
        size = max(1, size // 2) if perf_counter() - began > CHUNK else 2 * size


def watch(chains: list[Future[None]], states: list[StartedChain], progress: Progress, stop: Event) -> bool:
    """Wait for all chains and report their progress; return True if Ctrl-C stopped them."""
    interrupted, waiting = False, set(chains)
    while waiting:
        try:
            waiting = wait(waiting, SHOWN_EVERY).not_done
            progress.chains(states)
        except KeyboardInterrupt:
            interrupted = True
            stop.set()
    for chain in chains:
        chain.result()
    return interrupted
