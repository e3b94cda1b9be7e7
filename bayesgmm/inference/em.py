"""Expectation maximisation (EM): maximum likelihood, and starting points for the other engines."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np

from bayesgmm.checkpoints.units import once
from bayesgmm.errors import ComponentError, DegenerateComponent, choose
from bayesgmm.inference.acceleration import remaining_gain
from bayesgmm.inference.em_steps import PATIENCE, EMResult, Sweep, run, take_steps
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.exploration import KINDS, explore
from bayesgmm.inference.faults import is_suspect
from bayesgmm.inference.label_matching import matched_start
from bayesgmm.inference.mixtures import NONE, Exponents, Mixture
from bayesgmm.inference.optima import Maxima, Optimum
from bayesgmm.inference.starts import CENTRES, from_centres, sample_blocks, sample_rows
from bayesgmm.inference.weak_priors import WeakPrior
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.sweep.stats import Array, fold
from bayesgmm.wording import FEWER, advice, plural

SHORT_RUN = 20  # iterations of a short run
POLISHED = 3  # maximum number of maxima of the search that are continued until they converge
STALLED = 500  # if EM has not converged after this number of iterations, it is at a saddle, and no maximum is found
RANKING = 15.0  # the weak prior of the search changes differences of log likelihoods by less than this, in nats
MARGIN = 5.0  # a short run is dropped if this many times its estimated remaining gain would not make it the best
SEARCH, PLAIN = "search", "k-means++"  # initialisations: starts of several kinds, or of one
WEAK_PRIORS = (  # of the searches; from the third on, if all maxima under those before degenerate or are suspect
    WeakPrior(0.1),
    WeakPrior(0.01, drops_small=True),
    WeakPrior(0.003, drops_small=True),
    WeakPrior(1.0),
    WeakPrior(4.0),
)
SEARCHES = 2  # if covariances differ: under the first prior, maxima with narrow components are low
SWEEPS = 4000  # default budget of a search
RAISE = 4  # factor of the budget that is advised if a search has not settled


def short_runs(
    sweep: Sweep,
    n_components: int,
    seed: int | tuple[int, int],
    n_init: int = 10,
    max_iter: int = SHORT_RUN,
    tol: float = 1e-8,
    init: str = "k-means++",
) -> list[EMResult]:
    """Run EM for a few iterations from each of several starts; return the results, highest likelihood first.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If from every start some component can't be estimated.

    References
    ----------
    .. [1] Biernacki, Celeux & Govaert (2003), Comput. Stat. Data Anal. 41, 561-575.
    """
    rng = np.random.default_rng(seed)
    rows, weight = sample_rows(sweep.blocks, rng)
    if sweep.prior is None and sweep.floor is None:
        _require_distinct(rows, n_components)
    results: list[EMResult] = []
    failure: ComponentError | None = None
    for _ in range(n_init):
        start = from_centres(rows, weight, CENTRES[init](rows, weight, n_components, rng), sweep.family)
        start = matched_start(sweep.blocks, sweep.family, start, sweep.threads)
        try:
            results.append(take_steps(sweep, start, max_iter, tol))
        except ComponentError as error:
            failure = error
    if failure is not None and not results:
        raise failure
    return sorted(results, key=lambda result: -result.loglik)


def _require_distinct(rows: Array, n_components: int) -> None:
    distinct = 1 + int((np.diff(rows, axis=0) != 0).any(axis=1).sum())  # they are sorted
    if distinct < n_components:
        raise DegenerateComponent(
            f"{plural(distinct, 'distinct row')} can't hold {n_components} components: a "
            "component needs points that differ."
        )


def local_maxima(
    sweep: Sweep,
    n_components: int,
    seed: int | tuple[int, int],
    n_init: int = 10,
    sweeps: int = SWEEPS,
    weak: WeakPrior = WEAK_PRIORS[0],
    given: list[Mixture] | None = None,
    exponents: Exponents = NONE,
    kinds: Sequence[str] = KINDS,
) -> Maxima:
    """Search for local maxima under the prior of the sweep, or if it has none under a weak one.

    There are none if the data are degenerate for every start; ``exploration.explore`` describes the settings.
    """
    prior = weak if sweep.prior is None else sweep.prior

    def compute() -> Maxima:
        return explore(
            sweep.blocks,
            sweep.family,
            prior,
            n_components,
            seed,
            n_init=n_init,
            budget=sweeps * sweep.family.search_factor,
            exponents=exponents,
            given=given,
            threads=sweep.threads,
            watch=sweep.watch,
            kinds=kinds,
        )

    try:
        return once(compute)
    except (ComponentError, np.linalg.LinAlgError):
        return Maxima()


def maximise_likelihood(
    sweep: Sweep,
    n_components: int,
    seed: int,
    n_init: int = 10,
    max_iter: int = 1000,
    tol: float = 1e-8,
    init: str = SEARCH,
    sweeps: int = SWEEPS,
) -> EMResult:
    """Maximise the likelihood by EM, from the best start that does not degenerate.

    A maximum at which a narrow component holds few points is taken only if there is no other.
    With more than 240,000 points a sample is fitted first; EM over all points starts from its maximum.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If from every start some component can't be estimated.

    References
    ----------
    .. [1] Dempster, Laird & Rubin (1977), J. R. Stat. Soc. B 39(1), 1-38.
    """
    if sweep.prior is None and sweep.floor is None:
        _require_distinct(sample_rows(sweep.blocks, np.random.default_rng(seed))[0], n_components)
    part = sample_blocks(sweep.blocks, np.random.default_rng(seed))
    if part is not None:
        settings, own = (n_init, max_iter, 1 / part.n_points, init, sweeps), replace(sweep, blocks=part)
        with suppress(ComponentError):  # a rare component may be missing in the sample only
            result = once(lambda: maximise_likelihood(own, n_components, seed, *settings))
            return replace(run(sweep, result.mixture, max_iter, tol), undiscovered=result.undiscovered)
    reached: list[EMResult] = []
    searches = SEARCHES if sweep.family.sharing.count(n_components) > 1 else 1
    for number, weak in enumerate(WEAK_PRIORS if init == SEARCH and n_init > 1 else (), start=1):
        budget = sweeps if number >= searches else sweeps // 2
        found = local_maxima(sweep, n_components, seed, n_init, budget, weak)
        reached += maxima_from(sweep, found.optima, max_iter, tol)
        proper = [result for result in reached if not _is_suspect(sweep, result)]
        if number >= searches and any(result.converged or max_iter < STALLED for result in proper):
            break
    if reached:
        return replace(most_credible(sweep, reached), undiscovered=found.undiscovered)
    first = min(SHORT_RUN, max_iter)
    for result in short_runs(sweep, n_components, seed, n_init, first, tol, PLAIN if init == SEARCH else init):
        if result.converged or max_iter == first:
            return result
        try:
            rest = run(sweep, result.mixture, max_iter - first, tol)
        except ComponentError as error:
            failure = error
            continue
        return replace(rest, n_iter=rest.n_iter + first)
    raise failure


def maxima_from(sweep: Sweep, optima: list[Optimum], max_iter: int, tol: float) -> list[EMResult]:
    """Continue the best maxima until they converge; return those that do not degenerate.

    The search ranks maxima under a weak prior. Those that the prior may have ranked too low are continued, too.
    """
    reached: list[EMResult] = []
    for optimum in optima:
        proper = [result for result in reached if not _is_suspect(sweep, result)]
        if proper and (len(proper) >= POLISHED or optimum.value < optima[0].value - RANKING):
            break
        try:
            start = take_steps(sweep, optimum.mixture, min(SHORT_RUN, max_iter), tol, PATIENCE)
            if _falls_short(start, proper):
                continue
            reached.append(once(partial(_continued, sweep, start, max_iter, tol)))
        except ComponentError:
            continue
    return reached


def most_credible(sweep: Sweep, reached: list[EMResult]) -> EMResult:
    """Return the highest maximum that is not suspect, or if all are the highest."""
    return min(reached, key=lambda result: (_is_suspect(sweep, result), -result.loglik))


def _is_suspect(sweep: Sweep, result: EMResult) -> bool:
    return is_suspect(result.mixture, sweep.family, sweep.blocks.total_weight)


def _falls_short(start: EMResult, reached: list[EMResult]) -> bool:
    """Return True if a short run can't reach the best so far."""
    left = remaining_gain(np.diff(start.history).tolist())[0]
    return bool(reached) and start.loglik + MARGIN * left < max(result.loglik for result in reached)


def _continued(sweep: Sweep, start: EMResult, max_iter: int, tol: float) -> EMResult:
    if start.converged or start.n_iter >= max_iter:
        return start
    rest = run(sweep, start.mixture, max_iter - start.n_iter, tol)
    return replace(rest, n_iter=rest.n_iter + start.n_iter, history=start.history + rest.history)


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    n_init: int,
    init: str,
    sweeps: int,
    max_iter: int,
    tol: float,
    start: Mixture | None = None,
) -> Estimate:
    """Maximise the likelihood by EM: the EM engine. The fit has one draw. The priors are ignored.

    Parameters
    ----------
    n_init : int
        Number of starts; of each cycle of the search.
    init : str
        Initialisation: ``'search'`` (starts of several kinds, in cycles), or starts of one kind as in scikit-learn:
        ``'k-means++'``, ``'kmeans'``, ``'random'`` or ``'random_from_data'``.
    sweeps : int
        Budget of a search: maximum number of sweeps for a start. If covariances differ, half of it is spent before on a
        first search.
    max_iter : int
        Maximum number of passes over all data.
    tol : float
        Converged when the remaining gain in mean log likelihood is less than this.
    start : Mixture, optional
        The only start. Default: the best of ``n_init`` starts.

    Raises
    ------
    UnknownName
        If ``init`` is not one of the five.
    EmptyComponent, DegenerateComponent
        If from every start some component can't be estimated.
    """
    choose(init, dict.fromkeys((SEARCH, *CENTRES)), "init")
    progress.stage("EM")
    sweep = Sweep(density.blocks, density.model.family, threads=cores)
    if start is None:
        result = maximise_likelihood(sweep, density.n_components, seed, n_init, max_iter, tol, init, sweeps)
    else:
        result = run(sweep, start, max_iter, tol)
    warnings = search_warnings(result.undiscovered, sweeps, density.n_components)
    if not result.converged:
        attempts = advice(density.n_components, "a larger max_iter", FEWER)
        warnings = (f"EM stopped after {max_iter} iterations before it converged. {attempts}", *warnings)
    loglik = fold(density.blocks, result.mixture.table(density.model.family), cores).loglik - density.log_units
    stats = {"loglik": np.array([[loglik]]), "n_iter": np.array([[result.n_iter]])}
    notes = EngineNotes(converged=result.converged, maximum="likelihood", undiscovered=result.undiscovered or None)
    return Estimate(np.empty((1, 1, 0)), stats, warnings, notes, parameters=_parameters(density, result.mixture))


def search_warnings(undiscovered: float, sweeps: int, n_components: int, what: str = "likelihood") -> tuple[str, ...]:
    """Warn if the search may have missed a higher maximum: another seed then often ends at another one."""
    if not undiscovered:
        return ()
    return (
        f"A higher maximum of the {what} may exist: no start of the search led to the best one that was found, and "
        f"about {undiscovered:.0%} of further starts would lead to others that are not known. "
        f"{advice(n_components, f'sweeps={RAISE * sweeps}', FEWER)}",
    )


def _parameters(density: LogPosterior, mixture: Mixture) -> Parameters:
    """Return the mixture in data units, (1, 1, ...), with its components in the order that the priors require."""
    order = density.model.order(mixture.weight, mixture.mean)
    core_roots = density.model.family.sharing.reordered(mixture.core_roots, order)
    return density.in_data_units(
        mixture.weight[order][None, None], mixture.mean[order][None, None], core_roots[None, None]
    )
