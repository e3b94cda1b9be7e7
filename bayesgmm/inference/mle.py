"""Direct maximum likelihood: the score equations, solved in unconstrained coordinates."""

import numpy as np

from bayesgmm.inference import em
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.laplace import SAME
from bayesgmm.inference.maxima import Maximum, highest
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.info import EngineNotes
from bayesgmm.posterior.log_posterior import LogLikelihood, LogPosterior
from bayesgmm.sweep.stats import Array


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    n_init: int,
    max_iter: int,
    tol: float,
    start: Mixture | None = None,
) -> Estimate:
    """The maximum likelihood engine: one draw, where no slope of the log likelihood is left. It ignores the priors.

    Short EM runs, L-BFGS from each place where they ended, and Newton from the highest. A likelihood of unequal
    covariances has no largest value (a component can shrink onto a point): what is sought is its highest maximum, and
    climbs that shrink a component are given up, by EM's own rules.

    Parameters
    ----------
    n_init : int
        Starts.
    max_iter : int
        Iterations of each climb, at most.
    tol : float
        Stop when no slope of the mean log likelihood (that is, of the log likelihood divided by N) exceeds this, in
        the unconstrained coordinates: logits, standardised means, precision roots. The slope reached is ``gradient``
        in the fit's notes; that of a component far tighter than the data may end larger, at the precision of the
        sum over the points, and then counts by the component's own width.

    start : Mixture, optional
        In place of all others.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When every climb shrinks a component.

    References
    ----------
    .. [1] Redner & Walker (1984), SIAM Review 26(2), 195-239.
    .. [2] Day (1969), Biometrika 56(3), 463-474: the likelihood is unbounded.
    """
    likelihood = density.likelihood()
    sweep = em.Sweep(density.blocks, density.model.family, threads=cores)
    mixtures = [] if start is None else [start]
    if not mixtures:
        progress.stage("short EM runs")
        runs = em.short_runs(sweep, density.n_components, seed, n_init)
        mixtures = [run.mixture for i, run in enumerate(runs) if _differs(run, runs[:i])]
    progress.stage("climbing the likelihood")
    result = maximise(likelihood, sweep, mixtures, max_iter, tol)
    q = density.coordinates(*likelihood.mixture(result.q))[None, None]
    stats = {"lp": np.array([[density(q[0, 0])[0]]]), "n_iter": np.array([[result.n_iter]])}
    notes = EngineNotes(maximum="likelihood", converged=result.converged, gradient=result.gradient)
    return Estimate(q, stats, result.warnings("Maximum likelihood", "likelihood"), notes)


def _differs(run: em.EMResult, others: list[em.EMResult]) -> bool:
    return all(abs(run.loglik - other.loglik) > SAME for other in others)


def maximise(
    likelihood: LogLikelihood, sweep: em.Sweep, starts: list[Mixture], max_iter: int = 500, tol: float = 1e-8
) -> Maximum:
    """The highest maximum that climbs from these starts reach without shrinking a component.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When every climb shrinks one.
    """

    def watch(q: Array) -> None:
        sweep(Mixture(*likelihood.mixture(q)))  # one EM step tells what each component has to stand on

    places = [likelihood.coordinates(start.weight, start.mean, start.core_roots) for start in starts]
    return highest(likelihood, places, max_iter, tol, watch)[0]
