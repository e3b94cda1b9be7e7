"""Expectation maximisation: the point estimate, and the starting point of everything else."""

from dataclasses import dataclass, replace

import numpy as np

from bayesgmm.errors import ComponentError
from bayesgmm.families import Family
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.mixtures import CovariancePrior, Mixture, maximise
from bayesgmm.inference.starts import CENTRES, from_centres, sample_rows
from bayesgmm.log_posterior import LogPosterior
from bayesgmm.stats import Array, Blocks, fold

SHORT_RUN = 20  # iterations that a start gets to show its worth


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
    """

    mixture: Mixture
    loglik: float
    n_iter: int
    converged: bool


def run(sweep: Sweep, start: Mixture, max_iter: int = 1000, tol: float = 1e-8) -> EMResult:
    """Iterate until the mean log likelihood gains less than ``tol``."""
    mixture, best = start, -np.inf
    for iteration in range(1, max_iter + 1):
        loglik, following = sweep(mixture)
        if abs(loglik - best) < tol * max(1.0, sweep.blocks.total_weight):
            return EMResult(mixture, loglik, iteration, True)
        best, mixture = loglik, following
    return EMResult(mixture, best, max_iter, False)


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
    results: list[EMResult] = []
    failure: ComponentError | None = None
    for _ in range(n_init):
        start = from_centres(rows, weight, CENTRES[init](rows, weight, n_components, rng), sweep.family)
        try:
            results.append(run(sweep, start, max_iter, tol))
        except ComponentError as error:
            failure = error
    if failure is not None and not results:
        raise failure
    return sorted(results, key=lambda result: -result.loglik)


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

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When every start ends in a component that can't be estimated.

    References
    ----------
    .. [1] Dempster, Laird & Rubin (1977), J. R. Stat. Soc. B 39(1), 1-38.
    """
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
    n_init: int = 10,
    max_iter: int = 1000,
    tol: float = 1e-8,
) -> Estimate:
    """The EM engine: one draw, the maximum of the likelihood. It does not look at the priors.

    Parameters
    ----------
    n_init : int
        Starts.
    max_iter : int
        Iterations, at most.
    tol : float
        Stop when an iteration gains less than this in mean log likelihood.
    """
    progress.stage("EM")
    sweep = Sweep(density.blocks, density.model.family, threads=cores)
    found = climb(sweep, density.n_components, seed, n_init, max_iter, tol)
    mixture = found.mixture
    q = density.coordinates(mixture.weight, mixture.mean, mixture.core_roots)[None, None]
    warnings: tuple[str, ...] = ()
    if not found.converged:
        message = f"EM stopped after {max_iter} iterations before it converged."
        warnings = (f"{message} Try a larger max_iter or fewer components.",)
    stats = {"lp": np.array([[density(q[0, 0])[0]]]), "n_iter": np.array([[found.n_iter]])}
    return Estimate(q, stats, warnings, {"converged": found.converged, "maximum": "likelihood"})
