"""The Gibbs engine: blocked Gibbs sampling with sampled assignments, for conjugate declarations."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event
from time import perf_counter

import numpy as np

from bayesgmm.errors import DataError
from bayesgmm.inference import starts
from bayesgmm.inference.conditionals import law_of
from bayesgmm.inference.engine import Estimate, Progress, Silent
from bayesgmm.inference.gibbs_kernels import Schedule, gibbs_sweeps
from bayesgmm.inference.interruptions import trim
from bayesgmm.posterior.info import EngineNotes
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

CHUNK = 0.05  # seconds of sweeps between two looks at the clock and at Ctrl-C
SHOWN_EVERY = 0.1  # seconds between two reports of progress


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int,
    tune: int,
    chains: int,
    thin: int,
) -> Estimate:
    r"""Sample from the posterior by blocked Gibbs sampling: the Gibbs engine.

    A sweep draws the component of each point, and then the parameters given the components. It costs little more than
    one evaluation of the density, but successive draws are correlated: where components overlap, more than those of
    NUTS. Chains start in different places: far apart, near the overall mean, with one component that holds most points.

    Parameters
    ----------
    draws : int
        Number of draws of each chain that are kept.
    tune : int
        Number of sweeps of each chain before the first draw.
    chains : int
        Number of chains.
    thin : int
        Number of sweeps from one draw to the next.

    Raises
    ------
    DataError
        If row weights are not whole numbers.
    SamplingError
        If Ctrl-C comes before the first draw after tuning.

    References
    ----------
    .. [1] Diebolt & Robert (1994), J. R. Stat. Soc. B 56(2), 363-375.
    .. [2] Ishwaran & James (2001), J. Am. Stat. Assoc. 96(453), 161-173: truncated stick-breaking.
    """
    progress.stage("sampling")
    q, loglik, interrupted = sample(density, seed, cores, progress, draws=draws, tune=tune, chains=chains, thin=thin)
    stats, warnings = {"lp": loglik}, ()
    if interrupted:
        q, stats = trim(q, stats)
        warnings = (f"Interrupted: kept {q.shape[1]} of {draws} draws of {len(q)} of {chains} chains.",)
    units = density.blocks.total_weight * density.standard.log_scale
    lp = stats["lp"] - units + np.apply_along_axis(density.log_prior, -1, q)
    return Estimate(q, {"lp": lp}, warnings, EngineNotes(interrupted=interrupted))


def run(
    density: LogPosterior, seed: int, cores: int, *, draws: int, tune: int, chains: int, thin: int = 1
) -> Array:
    """Draw coordinates (chains, draws, P) from the posterior, for an engine that needs a few quickly.

    Parameters
    ----------
    density : LogPosterior
    seed, cores : int
    draws, tune, chains, thin : int
        As for ``fit``.

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
    q, loglik, interrupted = sample(density, seed, cores, Silent(), draws=draws, tune=tune, chains=chains, thin=thin)
    return trim(q, {})[0] if interrupted else q


@dataclass
class ChainState:
    """Progress of a chain, in the words of ``progress.Bars``."""

    total_draws: int
    finished_draws: int = 0
    tuning: bool = True
    divergences: int = 0


def sample(
    density: LogPosterior, seed: int, cores: int, progress: Progress, *, draws: int, tune: int, chains: int, thin: int
) -> tuple[Array, Array, bool]:
    """Run the chains in threads.

    Returns
    -------
    q : (chains, draws, P) float
        Coordinates of the draws; NaN for draws that Ctrl-C prevented.
    loglik : (chains, draws) float
        Log likelihood of the standardised points.
    interrupted : bool

    Raises
    ------
    NotConjugate, DataError
        As ``run``.
    """
    law, unordered = law_of(density), _unordered(density)
    schedule = Schedule(tune, thin, _has_single_weights(density))
    keys = np.random.SeedSequence(seed).generate_state(2)
    q, loglik = np.full((chains, draws, density.size), np.nan), np.full((chains, draws), np.nan)
    states = [ChainState(tune + (draws - 1) * thin + 1) for _ in range(chains)]
    stop = Event()

    def chain(number: int) -> None:
        names = np.array([number, *keys], dtype=np.int64)
        now = start(unordered, number, np.random.default_rng((seed, number)))

        def sweeps(first: int, last: int) -> None:
            gibbs_sweeps(density.blocks.native, law, schedule, names, now, first, last, q[number], loglik[number])

        _in_chunks(sweeps, states[number], tune, stop)

    interrupted = _in_threads(chain, states, cores, progress, stop)
    return (_in_order(density, q) if density.model.means.is_ordered else q), loglik, interrupted


def _in_chunks(sweeps: Callable[[int, int], None], state: ChainState, tune: int, stop: Event) -> None:
    """Make all sweeps of a chain, in chunks of about ``CHUNK`` seconds, until it is done or stopped."""
    size = 1
    while state.finished_draws < state.total_draws and not stop.is_set():
        first = state.finished_draws
        last = min(first + size, state.total_draws)
        began = perf_counter()
        sweeps(first, last)
        state.finished_draws, state.tuning = last, last < tune
        size = max(1, size // 2) if perf_counter() - began > CHUNK else 2 * size


def _in_threads(
    chain: Callable[[int], None], states: list[ChainState], cores: int, progress: Progress, stop: Event
) -> bool:
    """Run all chains and report their progress; return True if Ctrl-C stopped them."""
    interrupted = False
    with ThreadPoolExecutor(min(cores, len(states)), thread_name_prefix="bayesgmm-gibbs") as pool:
        waiting = {pool.submit(chain, number) for number in range(len(states))}
        futures = list(waiting)
        while waiting:
            try:
                waiting = wait(waiting, SHOWN_EVERY).not_done
                progress.chains(states)
            except KeyboardInterrupt:
                interrupted = True
                stop.set()
    for future in futures:
        future.result()
    return interrupted


def _has_single_weights(density: LogPosterior) -> bool:
    """Return True if all row weights are zero or one.

    Raises
    ------
    DataError
        If some are not whole numbers.
    """
    weight = density.blocks.weight
    if (weight % 1 != 0).any():
        raise DataError(
            "sample_weight has numbers that are not whole: Gibbs sampling assigns each of the points that a row "
            "stands for.\n  Use whole numbers, or method='nuts'."
        )
    return bool((weight <= 1).all())


# -- starts --


def start(density: LogPosterior, number: int, rng: np.random.Generator) -> Array:
    """Return the coordinates (P,) at which a chain starts; the kinds of starts take turns.

    Parameters
    ----------
    density : LogPosterior
        With means that are not ordered.
    number : int
        Of the chain.
    rng : Generator
    """
    rows, weight = starts.sample_rows(density.blocks, rng)
    centres, equal = _KINDS[number % len(_KINDS)]
    k = density.n_components
    mixture = starts.from_centres(rows, weight, centres(rows, weight, k, rng), density.model.family)
    shares = mixture.weight if equal else rng.dirichlet(np.full(k, 0.5)) + 1e-6
    return density.coordinates(shares / shares.sum(), mixture.mean, mixture.core_roots)


def _random_rows(rows: Array, weight: Array, n_components: int, rng: np.random.Generator) -> Array:
    """Draw K points with replacement (K, D): there may be fewer than K."""
    return rows[rng.choice(len(rows), n_components, p=weight / weight.sum())]


_KINDS: tuple[tuple[starts.Centres, bool], ...] = (
    (starts.spread_out_centres, True),
    (_random_rows, False),
    (starts.random_means, True),
    (_random_rows, True),
)
"""Kinds of starts: where the centres are, and whether the weights are equal."""


# -- ordered means --


def _unordered(density: LogPosterior) -> LogPosterior:
    """Return the density with means that are not ordered: the chains' coordinates are its own."""
    if not density.model.means.is_ordered:
        return density
    means = density.model.means.model_copy(update={"ordered": False})
    return replace(density, model=density.model.model_copy(update={"means": means}))


def _in_order(density: LogPosterior, q: Array) -> Array:
    """Return draws (..., P) of one column, sorted by their means, as coordinates of ordered means.

    Components whose order says nothing else have the same posterior in any order, so that to sort them is exact.
    """
    k = density.n_components
    cuts = np.cumsum([k - 1, density.model.weights.n_extra, k, density.model.means.n_extra])
    chart, model = density.chart, density.model
    cuts = [*cuts, cuts[-1] + chart.size(k, 1)]
    logits, weights_extra, mean, means_extra, roots, scales = np.split(q, cuts, axis=-1)
    order = np.argsort(mean, axis=-1)
    log_weight = np.concatenate([logits, np.zeros((*q.shape[:-1], 1))], axis=-1)
    log_weight, mean = (np.take_along_axis(values, order, axis=-1) for values in (log_weight, mean))
    if model.family.sharing.count(k) > 1:
        roots = np.take_along_axis(roots, order, axis=-1)
    logits = log_weight[..., :-1] - log_weight[..., -1:]
    gaps = np.log(np.maximum(np.diff(mean, axis=-1), np.finfo(float).tiny))
    return np.concatenate([logits, weights_extra, mean[..., :1], gaps, means_extra, roots, scales], axis=-1)
