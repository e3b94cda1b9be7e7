"""Expectation maximisation: the point estimate, and the starting point of everything else."""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from bayesgmm.errors import ComponentError, DegenerateComponent, choose
from bayesgmm.families.structures import Family
from bayesgmm.inference.acceleration import ROUNDING, to_be_gained
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.mixtures import CovariancePrior, Mixture, maximise
from bayesgmm.inference.quasi_newton import Anchor, ascend
from bayesgmm.inference.starts import CENTRES, from_centres, sample_blocks, sample_rows
from bayesgmm.posterior.info import EngineNotes
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.sweep.stats import Array, Blocks, fold
from bayesgmm.wording import plural

SHORT_RUN = 20  # iterations that a start gets to show its worth
PATIENCE = 10  # more iterations than these are better left to quasi-Newton steps
CLEAR = 1e-3  # a floor that is less than this share of every variance does not shape the maximum


@dataclass(frozen=True)
class Sweep:
    """One EM iteration over some data.

    Parameters
    ----------
    blocks : Blocks
    family : Family
    prior : CovariancePrior, optional
        Makes each M step find the mode under it.
    floor : (D,) float, optional
        Added to the variances in each M step, in the coordinates of the blocks.
    threads : int
        The answer is the same for any number.
    """

    blocks: Blocks
    family: Family
    prior: CovariancePrior | None = None
    floor: Array | None = None
    threads: int = 1

    def __call__(self, mixture: Mixture) -> tuple[float, Mixture]:
        """Total log likelihood of a mixture, in the coordinates of the blocks, and the mixture after it.

        Raises
        ------
        EmptyComponent, DegenerateComponent
            When a component can't be estimated, and neither prior nor floor helps.
        """
        stats = fold(self.blocks, mixture.table(self.family), self.threads)
        return stats.loglik, maximise(self.family, stats, self.prior, self.floor)

    def is_smooth(self, mixture: Mixture) -> bool:
        """Whether EM climbs the likelihood itself here, so that its gradient shows the way."""
        if self.prior is not None or self.family.chart is None:
            return False
        if self.floor is None:
            return True
        variance = np.diagonal(self.family.matrices(mixture.core_roots, *mixture.mean.shape), axis1=1, axis2=2)
        return bool((self.floor < CLEAR * variance).all())


@dataclass(frozen=True)
class EMResult:
    """Where EM ended.

    Parameters
    ----------
    mixture : Mixture
    loglik : float
        Total log likelihood, in the coordinates of the blocks.
    n_iter : int
        How many times EM looked at all of the data.
    converged : bool
    history : tuple of float
        Log likelihood after each step.
    """

    mixture: Mixture
    loglik: float
    n_iter: int
    converged: bool
    history: tuple[float, ...] = ()


def take_steps(
    sweep: Sweep, start: Mixture, max_iter: int = 1000, tol: float = 1e-8, patience: float = np.inf
) -> EMResult:
    """Plain EM, until what is left to gain is less than ``tol`` in mean log likelihood, or it takes too long.

    What is left is told by Aitken's extrapolation.

    Parameters
    ----------
    patience : float
        Stop where more steps than this are still to come, once gains are regular.
    """
    wanted = tol * max(1.0, sweep.blocks.total_weight)
    history: list[float] = []
    gains: list[float] = []
    mixture = start
    for iteration in range(1, max_iter + 1):
        loglik, following = sweep(mixture)
        gains += [abs(loglik - history[-1])] if history else []
        history.append(loglik)
        left, rate = to_be_gained(gains)
        if left < wanted or (gains and gains[-1] < ROUNDING * abs(loglik)):
            return EMResult(mixture, loglik, iteration, True, tuple(history))
        if left < np.inf and np.log(wanted / left) / np.log(rate) > patience:
            return EMResult(mixture, loglik, iteration, False, tuple(history))
        mixture = following
    return EMResult(mixture, history[-1], max_iter, False, tuple(history))


def run(sweep: Sweep, start: Mixture, max_iter: int = 1000, tol: float = 1e-8) -> EMResult:
    """EM until what is left to gain is less than ``tol`` in mean log likelihood; quasi-Newton steps where it is slow.

    The likelihood never falls, and each phase of quasi-Newton steps ends in one of EM, which refuses what EM refuses.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When a component can't be estimated, and neither prior nor floor helps.
    """
    found = leap(sweep, take_steps(sweep, start, max_iter, tol, PATIENCE), max_iter, tol)
    if found.converged or found.n_iter >= max_iter:
        return found
    rest = take_steps(sweep, found.mixture, max_iter - found.n_iter, tol)
    return replace(rest, n_iter=found.n_iter + rest.n_iter, history=found.history + rest.history)


def leap(sweep: Sweep, found: EMResult, max_iter: int, tol: float) -> EMResult:
    """Quasi-Newton steps from where EM came to, until they have converged or help no more."""
    phases = 0
    while not found.converged and found.n_iter + 2 < max_iter and sweep.is_smooth(found.mixture):
        try:
            further = _ascended(sweep, found, phases, max_iter, tol)
        except ComponentError:  # EM itself may still find its way
            break
        if len(further.history) == len(found.history):
            break
        found, phases = further, phases + 1
    return found


def _ascended(sweep: Sweep, found: EMResult, phase: int, max_iter: int, tol: float) -> EMResult:
    """A phase of quasi-Newton steps; over when it thinks the gap small, and has itself gained less than that."""
    wanted = tol * max(1.0, sweep.blocks.total_weight)
    n = fold(sweep.blocks, found.mixture.table(sweep.family), sweep.threads).n
    anchor = Anchor(sweep.blocks, sweep.family, found.mixture, np.maximum(n, 1.0), sweep.threads)
    reached = ascend(anchor, wanted, phase, max_iter - found.n_iter - 2)
    loglik, _ = sweep(reached.mixture)
    over = reached.gap < wanted and loglik - found.loglik < wanted
    n_iter = found.n_iter + reached.evaluations + 2
    return EMResult(reached.mixture, loglik, n_iter, over, (*found.history, *reached.history))


def short_runs(
    sweep: Sweep,
    n_components: int,
    seed: int | tuple[int, int],
    n_init: int = 10,
    max_iter: int = SHORT_RUN,
    tol: float = 1e-8,
    init: str = "k-means++",
) -> list[EMResult]:
    """Short EM runs, each from its own start, best first.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When every start ends in a component that can't be estimated.

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
            "component needs points that differ.\n  Try fewer components, or a method with priors, such as 'nuts'."
        )


def climb(
    sweep: Sweep,
    n_components: int,
    seed: int,
    n_init: int = 10,
    max_iter: int = 1000,
    tol: float = 1e-8,
    init: str = "k-means++",
) -> EMResult:
    """Maximum likelihood by EM, from the best short run that does not degenerate.

    Of very many points a sample is climbed first: all of them are looked at only from its maximum on.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When every start ends in a component that can't be estimated.

    References
    ----------
    .. [1] Dempster, Laird & Rubin (1977), J. R. Stat. Soc. B 39(1), 1-38.
    """
    part = sample_blocks(sweep.blocks, np.random.default_rng(seed))
    if part is not None:
        with suppress(ComponentError):  # what is rare may be missing in the sample, and be there in all of the data
            found = climb(replace(sweep, blocks=part), n_components, seed, n_init, max_iter, 1 / part.n_points, init)
            return run(sweep, found.mixture, max_iter, tol)
    first = min(SHORT_RUN, max_iter)
    for result in short_runs(sweep, n_components, seed, n_init, first, tol, init):
        if result.converged or max_iter == first:
            return result
        try:
            rest = run(sweep, result.mixture, max_iter - first, tol)
        except ComponentError as error:
            failure = error
            continue
        return replace(rest, n_iter=rest.n_iter + first)
    raise failure


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    n_init: int,
    init: str,
    max_iter: int,
    tol: float,
    start: Mixture | None = None,
) -> Estimate:
    """The EM engine: one draw, the maximum of the likelihood. It does not look at the priors.

    Parameters
    ----------
    n_init : int
        Starts.
    init : str
        How they are found: ``'k-means++'``, ``'kmeans'``, ``'random'`` or ``'random_from_data'``, as in scikit-learn.
    max_iter : int
        Times that all of the data are looked at, at most.
    tol : float
        Stop when less than this is left to be gained in mean log likelihood.
    start : Mixture, optional
        In place of all others.
    """
    choose(init, CENTRES, "init")
    progress.stage("EM")
    sweep = Sweep(density.blocks, density.model.family, threads=cores)
    if start is None:
        found = climb(sweep, density.n_components, seed, n_init, max_iter, tol, init)
    else:
        found = run(sweep, start, max_iter, tol)
    warnings: tuple[str, ...] = ()
    if not found.converged:
        message = f"EM stopped after {max_iter} iterations before it converged."
        warnings = (f"{message} Try a larger max_iter or fewer components.",)
    estimate = _without_coordinates if density.model.family.chart is None else _with_coordinates
    q, lp, parameters = estimate(density, found.mixture, cores)
    stats = {"lp": np.array([[lp]]), "n_iter": np.array([[found.n_iter]])}
    notes = EngineNotes(converged=found.converged, maximum="likelihood")
    return Estimate(q[None, None], stats, warnings, notes, parameters=parameters)


Point = tuple[Array, float, Parameters | None]  # coordinates, log posterior, and parameters without coordinates


def _with_coordinates(density: LogPosterior, mixture: Mixture, threads: int) -> Point:
    q = density.coordinates(mixture.weight, mixture.mean, mixture.core_roots)
    return q, density.value(q), None


def _without_coordinates(density: LogPosterior, mixture: Mixture, threads: int) -> Point:
    """Of a family without a chart: the log likelihood stands for the log posterior."""
    loglik = fold(density.blocks, mixture.table(density.model.family), threads).loglik
    loglik -= density.blocks.total_weight * density.standard.log_scale
    one = density.in_data_units(mixture.weight[None, None], mixture.mean[None, None], mixture.core_roots[None, None])
    return np.empty(0), loglik, one
