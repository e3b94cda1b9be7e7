"""Starts of Gibbs chains, in every region with much of the posterior that short runs find."""

import math
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

import numpy as np

from bayesgmm.inference import conjugate_sweeps, starts
from bayesgmm.inference.agreement import label_free
from bayesgmm.inference.conjugate_sweeps import Chains
from bayesgmm.inference.draw_kernels import FINITE
from bayesgmm.inference.label_matching import matched_start
from bayesgmm.inference.laplace import bic_mass, local_modes, maxima_of_fewer, maximum_of_fewer
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.priors.multiplicative_gamma import has_loadings
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.stats import Array, log_densities

RUN_IN = 50  # sweeps of a short run from each start
LONGER, LAST = 8, 4  # number of further such runs for factor analysers, and of those whose ends are averaged
CONTINUED = 50_000_000  # maximum cost of the further runs otherwise: points x features x components x sweeps
DIGITS = 6  # decimals of a start at a maximum
MIN_STARTS = 16  # minimum number of starts
NEAR = 10.0  # nats
OUTLIERS = 2  # starts with a component at an outlying point
LIGHTEST = 1e-6  # minimum weight of a component at a start, before all are divided by their sum
MAX_AT_START = 20  # maximum number of components at a start, where the number is drawn


def starting_points(chain: Chains, chains: int, rng: np.random.Generator, pool: Executor) -> Array:
    """Return coordinates (chains, P) at which chains start: the ends of ``starting_runs``."""
    return starting_runs(chain, chains, rng, pool)[-1]


def starting_runs(chain: Chains, chains: int, rng: np.random.Generator, pool: Executor) -> Array:
    """Return states (T, chains, P) of the short runs at whose ends chains start, ``RUN_IN`` sweeps apart.

    Short runs are made from starts of different kinds, and from maxima that the search by EM finds: among many columns
    that say nothing, no other start may reach the clusters. Those that reach a log mass within ``NEAR`` nats of the
    highest, plus its variation within one mode, are good starts. A run that ends far below is in a region that a chain
    would take very long to leave. Of the good starts, the most different ones are used: if there are several modes,
    chains start in each, and R-hat shows it. (With starts chosen at random, the four chains of a fit of three
    components to the iris data all started in the same mode for one seed in three.)

    Where K is fixed, good runs go on, and are compared by averages: two draws of one region may differ as much as draws
    of two regions. (Six columns of wine, K = 3, have two regions with much mass. When single draws were compared, four
    chains started in both for 14 of 24 seeds.) Factor analysers have so many parameters that the variation within a
    mode hides differences between regions: their good runs go on longer, and are judged by averages, too.

    Where the number of components is only an upper bound, or drawn, starts have 1, 2, 3, 4, 5, 7, 9, ... components
    that hold points, because surplus ones empty slowly. Where it is a bound, for each number there is one start at a
    maximum that EM finds. Where it is fixed, there are starts with a component at an outlying point.
    """
    density = chain.density
    rows, weight = starts.sample_rows(density.blocks, rng)
    if chain.law.weights_kind == FINITE:
        q = _finite_starts(density, rows, weight, rng)
    else:
        q = _fixed_starts(chain, chains, rows, weight, rng)
    value, size = np.array(list(pool.map(partial(_run_in, chain), q, range(chains, chains + len(q))))).T
    good = np.flatnonzero(value >= value.max() - NEAR - 3 * math.sqrt(size[value.argmax()]))
    ends = q[good][None]
    if chain.law.weights_kind != FINITE and not density.model.weights.is_overfitted and _is_worth(chain, len(good)):
        ends = np.stack(list(pool.map(partial(_run_longer, chain), q[good], (chains + good).tolist())), axis=1)
        if has_loadings(density.model.family):
            value[good], error = _mean_value(density, ends)
            near = value[good] >= value[good].max() - NEAR - 3 * error
            good, ends = good[near], ends[:, near]
    chosen = _most_different(_features(density, ends), int(value[good].argmax()), chains)
    return ends[:, chosen[np.arange(chains) % len(chosen)]]


def _fixed_starts(chain: Chains, chains: int, rows: Array, weight: Array, rng: np.random.Generator) -> Array:
    """Return coordinates (S, P) of starts with a fixed number of components."""
    density, is_bound = chain.density, chain.density.model.weights.is_overfitted
    sizes = [density.n_components]
    if is_bound:
        sizes += starts.fewer_components(density.n_components, density.n_labelled)
    count = max(MIN_STARTS, 4 * chains, len(_KINDS) * len(sizes))
    turns = [(kind, sizes[kind // len(_KINDS) % len(sizes)]) for kind in range(count)]
    begun = [_start(density, rows, weight, kind, occupied, rng) for kind, occupied in turns]
    search, seed = maxima_of_fewer if is_bound else local_modes, int(rng.integers(2**31))
    maxima = search(density, seed, 1, chain.search)[:count]
    if chain.schedule.period and not is_bound:
        maxima += _with_outliers(density, seed, chain.search)
    found = [density.coordinates(_positive(one.weight), one.mean, one.core_roots) for one in maxima]
    if has_loadings(density.model.family):  # the last digits of a search vary with where arrays lie in memory
        found = [np.round(q, DIGITS) for q in found]
    return np.array([*begun, *found])


def _with_outliers(density: LogPosterior, seed: int, search: int) -> list[Mixture]:
    """Return maxima of K - 1 components, with a last component at each of the points that are the least probable there.

    Such a region may have much of the posterior, where the prior fits an outlying point better than a cluster does.
    """
    made, rows = [], density.blocks.rows()
    if density.n_labelled == density.n_components:  # no component is free to take an outlier
        return []
    for one in maximum_of_fewer(density, density.n_components - 1, seed, 1, search):
        logs = log_densities(density.blocks, one.table(density.model.family))[0][: len(rows)]
        for outlier in rows[np.argsort(logs)[:OUTLIERS]]:
            mean, weight = one.mean.copy(), one.weight.copy()
            mean[-1], weight[-1] = outlier, OUTLIERS / len(rows)
            made.append(replace(one, mean=mean, weight=weight / weight.sum()))
    return made


def _finite_starts(density: LogPosterior, rows: Array, weight: Array, rng: np.random.Generator) -> Array:
    """Return coordinates (S, P) of starts with different numbers of components, two of each."""
    largest = min(density.n_components, MAX_AT_START, max(1, len(rows) // 2))
    turns = enumerate(np.repeat([*starts.fewer_components(largest), largest], 2).tolist())
    return np.array([_finite_start(density, rows, weight, kind, count, rng) for kind, count in turns])


def _is_worth(chain: Chains, count: int) -> bool:
    """Return True if a number of runs go on: those of factor analysers, and others where that takes little time."""
    if has_loadings(chain.density.model.family):
        return True
    return count * LAST * RUN_IN * conjugate_sweeps.sweep_cost(chain.density) <= CONTINUED


def _features(density: LogPosterior, q: Array) -> Array:
    """Return means (S, M) over T draws (T, S, P) of quantities that do not depend on labels.

    Their unit is the median standard deviation within runs, as some move between regions; if there is one draw of each,
    that between runs.
    """
    values = label_free(density, q, np.zeros(q.shape[:2]))
    mean = values.mean(axis=0)
    spread = np.median(values.std(axis=0, ddof=1), axis=0) if len(q) > 1 else mean.std(axis=0)
    return mean[:, spread > 0] / spread[spread > 0]


def _mean_value(density: LogPosterior, q: Array) -> tuple[Array, float]:
    """Return the mean log posterior (S,) over T draws (T, S, P) of S runs, and the standard error of the highest."""
    values = np.array([[density.value(one) for one in draw] for draw in q])
    mean = values.mean(axis=0)
    return mean, float(values[:, mean.argmax()].std(ddof=1)) / math.sqrt(len(values))


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
        nearest = np.minimum(nearest, ((features - features[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)


def _run_in(chain: Chains, q: Array, number: int) -> tuple[float, int]:
    """Make a short run from q (P,), which becomes its end; return the ``bic_mass`` there."""
    chain.advance(number, q, (0, RUN_IN))
    return bic_mass(chain.density, q)


def _run_longer(chain: Chains, q: Array, number: int) -> Array:
    """Continue a short run from q (P,); return the states (T, P) at the ends of its last parts."""
    q, ends, parts = q.copy(), [], LONGER if has_loadings(chain.density.model.family) else LAST
    for part in range(1, parts + 1):
        chain.advance(number, q, (part * RUN_IN, (part + 1) * RUN_IN))
        ends.append(q.copy())
    return np.array(ends[-LAST:])


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
    start = Mixture(shares / shares.sum(), mixture.mean, mixture.core_roots)
    start = matched_start(density.blocks, family, start)
    return density.coordinates(start.weight, start.mean, start.core_roots)


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
