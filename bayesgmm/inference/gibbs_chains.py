"""Chains of blocked Gibbs sampling with sampled assignments, for conjugate declarations: starts, threads, order."""

import math
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from time import perf_counter
from typing import Self

import numpy as np

from bayesgmm.errors import DataError
from bayesgmm.inference import em, starts
from bayesgmm.inference.agreement import label_free
from bayesgmm.inference.conditionals import law_of
from bayesgmm.inference.draw_kernels import FINITE
from bayesgmm.inference.engine import Progress, Silent, StartedChain
from bayesgmm.inference.gibbs_kernels import Law, Schedule, gibbs_sweeps
from bayesgmm.inference.interruptions import trim
from bayesgmm.inference.laplace import bic_mass, local_modes, maxima_of_fewer
from bayesgmm.inference.overfitted_kernels import overfitted_sweeps
from bayesgmm.inference.telescoping_kernels import telescoping_sweeps
from bayesgmm.posterior.log_posterior import IntArray, LogPosterior
from bayesgmm.sweep.stats import Array

CHUNK = 0.05  # seconds of sweeps between two checks of the time and of Ctrl-C
RUN_IN = 50  # sweeps of a short run from each start
MIN_STARTS = 16  # minimum number of starts
NEAR = 10.0  # nats
LIGHTEST = 1e-6  # minimum weight of a component at a start, before all are divided by their sum
MAX_AT_START = 20  # maximum number of components at a start, where the number is drawn
_NOWHERE = np.empty((0, 0)), np.empty(0)  # draws that are not kept
SHOWN_EVERY = 0.1  # seconds between two reports of progress


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
    q, _, interrupted = sample(
        density, seed, cores, Silent(), draws=draws, tune=tune, chains=chains, thin=thin, search=search
    )
    return trim(q, {})[0] if interrupted else q


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
) -> tuple[Array, Array, bool]:
    """Run the chains in threads.

    Parameters
    ----------
    draws : int
        Number of draws of each chain, with the earlier ones.
    search : int
        Budget of the search for starts.
    earlier : (chains, E, P) float, optional
        The first draws, of the same chains: these are continued.

    Returns
    -------
    q : (chains, draws, P) float
        Coordinates of the draws; NaN for draws that Ctrl-C prevented, and for earlier ones but the last.
    loglik : (chains, draws) float
        Log likelihood of the standardised points.
    interrupted : bool

    Raises
    ------
    NotConjugate, DataError
        As in ``run``.
    """
    chain = Chains.of(density, seed, tune, thin, search)
    made = 0 if earlier is None else tune + (earlier.shape[1] - 1) * thin  # the sweep before which the last was kept
    q, loglik = np.full((chains, draws, density.size), np.nan), np.full((chains, draws), np.nan)
    states = [StartedChain(tune + (draws - 1) * thin + 1, made, tuning=earlier is None) for _ in range(chains)]
    stop = Event()

    def make(number: int) -> None:
        now = begin[number].copy()

        def sweeps(first: int, last: int) -> None:
            chain.sweeps(number, now, (first, last), q[number], loglik[number])

        in_chunks(sweeps, states[number], tune, stop)

    with ThreadPoolExecutor(cores, thread_name_prefix="bayesgmm-gibbs") as pool:
        if earlier is None:
            begin = starting_points(chain, chains, np.random.default_rng((seed, 1)), pool)
        else:
            begin = out_of_order(density, earlier[:, -1])
        interrupted = watch([pool.submit(make, number) for number in range(chains)], states, progress, stop)
    return in_order(density, q), loglik, interrupted


@dataclass(frozen=True)
class Chains:
    """Chains of one density, in its coordinates with means that are not ordered.

    Parameters
    ----------
    density : LogPosterior
    law : Law
    schedule : Schedule
    keys : (2,) int
        Keys of the random numbers.
    search : int
        Budget of the search for starts by EM: maximum number of sweeps for a start.
    splits : bool
        False if sweeps have no split-merge moves, where the number of components is only an upper bound.
    """

    density: LogPosterior
    law: Law
    schedule: Schedule
    keys: IntArray
    search: int
    splits: bool

    @classmethod
    def of(
        cls, density: LogPosterior, seed: int, tune: int, thin: int, search: int = em.SWEEPS, splits: bool = True
    ) -> Self:
        """Make it from the density that is sampled."""
        schedule = Schedule(tune, thin, _has_single_weights(density))
        keys = np.random.SeedSequence(seed).generate_state(2).astype(np.int64)
        return cls(unordered(density), law_of(density), schedule, keys, search, splits and splits_clusters(density))

    def advance(self, number: int, q: Array, span: tuple[int, int]) -> None:
        """Make the sweeps of a span of chain ``number`` from q (P,), which becomes the state after them."""
        self.sweeps(number, q, span, *_NOWHERE)

    def sweeps(self, number: int, q: Array, span: tuple[int, int], drawn: Array, loglik: Array) -> None:
        """Make the same sweeps, and keep the draws (draws, P) and their log likelihoods (draws,)."""
        names = np.array([number, *self.keys])
        self._make(self.density.blocks.native, self.law, self.schedule, names, q, *span, drawn, loglik)

    @property
    def _make(self) -> Callable[..., None]:
        """The compiled sweeps of this declaration."""
        if self.law.weights_kind == FINITE:
            return telescoping_sweeps
        return overfitted_sweeps if self.splits else gibbs_sweeps


def splits_clusters(density: LogPosterior) -> bool:
    """Return True if the number of components is only an upper bound, and sweeps have split-merge moves.

    These are for components with covariances of their own, and for rows of weight one.
    """
    own = density.model.family.sharing.count(density.n_components) > 1
    return density.model.weights.is_overfitted and own and bool((density.blocks.weight <= 1).all())


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


def starting_points(chain: Chains, chains: int, rng: np.random.Generator, pool: Executor) -> Array:
    """Return coordinates (chains, P) at which chains start.

    Short runs are made from starts of different kinds, and from maxima that the search by EM finds: among many columns
    that say nothing, no other start may reach the clusters. Those that reach a log mass within ``NEAR`` nats of the
    highest, plus its variation within one mode, are good starts. A run that ends far below is in a region that a chain
    would take very long to leave. Of the good starts, the most different ones are used: if there are several modes,
    chains start in each, and R-hat shows it. (With starts chosen at random, the four chains of a fit of three
    components to the iris data all started in the same mode for one seed in three.)

    Where the number of components is only an upper bound, or drawn, starts have 1, 2, 3, 4, 5, 7, 9, ... components
    that hold points, because surplus ones empty slowly. Where it is a bound, for each number there is one start at a
    maximum that EM finds.
    """
    density = chain.density
    rows, weight = starts.sample_rows(density.blocks, rng)
    if chain.law.weights_kind == FINITE:
        q = _finite_starts(density, rows, weight, rng)
    else:
        q = _fixed_starts(chain, chains, rows, weight, rng)
    value, size = np.array(list(pool.map(partial(_run_in, chain), q, range(chains, chains + len(q))))).T
    good = np.flatnonzero(value >= value.max() - NEAR - 3 * math.sqrt(size[value.argmax()]))
    chosen = good[_most_different(_features(density, q[good]), int(value[good].argmax()), chains)]
    return q[chosen[np.arange(chains) % len(chosen)]]


def _fixed_starts(chain: Chains, chains: int, rows: Array, weight: Array, rng: np.random.Generator) -> Array:
    """Return coordinates (S, P) of starts with a fixed number of components."""
    density = chain.density
    sizes = [density.n_components]
    if density.model.weights.is_overfitted:
        sizes += starts.fewer_components(density.n_components)
    count = max(MIN_STARTS, 4 * chains, len(_KINDS) * len(sizes))
    turns = [(kind, sizes[kind // len(_KINDS) % len(sizes)]) for kind in range(count)]
    begun = [_start(density, rows, weight, kind, occupied, rng) for kind, occupied in turns]
    search = maxima_of_fewer if density.model.weights.is_overfitted else local_modes
    maxima = search(density, int(rng.integers(2**31)), 1, chain.search)[:count]
    begun += [density.coordinates(_positive(one.weight), one.mean, one.core_roots) for one in maxima]
    return np.array(begun)


def _finite_starts(density: LogPosterior, rows: Array, weight: Array, rng: np.random.Generator) -> Array:
    """Return coordinates (S, P) of starts with different numbers of components, two of each."""
    largest = min(density.n_components, MAX_AT_START, max(1, len(rows) // 2))
    turns = enumerate(np.repeat([*starts.fewer_components(largest), largest], 2).tolist())
    return np.array([_finite_start(density, rows, weight, kind, count, rng) for kind, count in turns])


def _features(density: LogPosterior, q: Array) -> Array:
    """Return quantities (S, M) of draws (S, P) that do not depend on labels, in standard deviations."""
    values = label_free(density, q[None], np.zeros((1, len(q))))[0]
    spread = values.std(axis=0)
    return values[:, spread > 0] / spread[spread > 0]


def _most_different(features: Array, first: int, count: int) -> IntArray:
    """Choose rows (at most ``count``) of features (S, M): after the first, always the farthest from those chosen.

    References
    ----------
    .. [1] Gonzalez (1985), Theor. Comput. Sci. 38, 293-306.

    Examples
    --------
    >>> _most_different(np.array([[0.0], [0.1], [5.0], [9.0]]), first=0, count=3)
    array([0, 3, 2])
    """
    chosen, nearest = [first], np.full(len(features), np.inf)
    while len(chosen) < min(count, len(features)):
        nearest = np.minimum(nearest, np.abs(features - features[chosen[-1]]).max(axis=1, initial=0.0))
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)


def _run_in(chain: Chains, q: Array, number: int) -> tuple[float, int]:
    """Make a short run from q (P,), which becomes its end; return the ``bic_mass`` there."""
    chain.advance(number, q, (0, RUN_IN))
    return bic_mass(chain.density, q)


def _start(
    density: LogPosterior, rows: Array, weight: Array, kind: int, occupied: int, rng: np.random.Generator
) -> Array:
    """Return the coordinates (P,) of a start; the kinds take turns, and all but ``occupied`` components are empty."""
    centres, equal = _KINDS[kind % len(_KINDS)]
    k, family = density.n_components, density.model.family
    mixture = starts.from_centres(rows, weight, centres(rows, weight, occupied, rng), family)
    shares = mixture.weight if equal else rng.dirichlet(np.full(occupied, 0.5)) + LIGHTEST
    if occupied < k:
        mixture, shares = mixture.among(k, family), _positive(np.append(shares, np.zeros(k - occupied)))
    return density.coordinates(shares / shares.sum(), mixture.mean, mixture.core_roots)


def _positive(weight: Array) -> Array:
    """Return weights of which none is zero."""
    weight = weight + LIGHTEST
    return weight / weight.sum()


def _finite_start(
    density: LogPosterior, rows: Array, weight: Array, kind: int, count: int, rng: np.random.Generator
) -> Array:
    """Return coordinates (P,) with ``count`` components, which come last; the others have no weight."""
    k = density.n_components
    centres, equal = _KINDS[kind % len(_KINDS)]
    mixture = starts.from_centres(rows, weight, centres(rows, weight, count, rng), density.model.family)
    again = (np.arange(k) - k) % count
    sharing = density.model.family.sharing
    cores = mixture.core_roots if sharing.count(k) == 1 else mixture.core_roots[again]
    q = density.coordinates(np.full(k, 1.0 / k), mixture.mean[again], cores)
    shares = mixture.weight if equal else rng.dirichlet(np.full(count, 0.5)) + LIGHTEST
    q[: k - 1] = -np.inf
    q[k - count : k - 1] = np.log(shares[:-1] / shares[-1])
    q[k - 2 + density.model.weights.n_extra] = count
    return q


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


def unordered(density: LogPosterior) -> LogPosterior:
    """Return the density with means that are not ordered: the chains' coordinates are its own."""
    if not density.model.means.is_ordered:
        return density
    means = density.model.means.model_copy(update={"ordered": False})
    return replace(density, model=density.model.model_copy(update={"means": means}))


def out_of_order(density: LogPosterior, q: Array) -> Array:
    """Return draws (..., P) in the coordinates of means that are not ordered."""
    if not density.model.means.is_ordered:
        return q
    first = density.n_components - 1 + density.model.weights.n_extra
    q = q.copy()
    gaps = slice(first + 1, first + density.n_components)
    q[..., gaps] = np.exp(q[..., gaps])
    means = slice(first, first + density.n_components)
    q[..., means] = np.cumsum(q[..., means], axis=-1)
    return q


def in_order(density: LogPosterior, q: Array) -> Array:
    """Return draws (..., P) of one column, sorted by their means, as coordinates of ordered means.

    Where the priors treat components alike, the posterior is the same for any order, so that sorting is exact.
    """
    if not density.model.means.is_ordered:
        return q
    k = density.n_components
    model = density.model
    cuts = np.cumsum([k - 1, model.weights.n_extra, k, model.means.n_extra, density.chart.size(k, 1)])
    logits, weights_extra, mean, means_extra, roots, scales = np.split(q, cuts, axis=-1)
    order = np.argsort(mean, axis=-1)
    log_weight = np.concatenate([logits, np.zeros((*q.shape[:-1], 1))], axis=-1)
    log_weight, mean = (np.take_along_axis(values, order, axis=-1) for values in (log_weight, mean))
    if model.family.sharing.count(k) > 1:
        roots = np.take_along_axis(roots, order, axis=-1)
    logits = log_weight[..., :-1] - log_weight[..., -1:]
    gaps = np.log(np.maximum(np.diff(mean, axis=-1), np.finfo(float).tiny))
    return np.concatenate([logits, weights_extra, mean[..., :1], gaps, means_extra, roots, scales], axis=-1)
