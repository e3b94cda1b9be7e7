"""Direct maximum likelihood: the score equations are solved in unconstrained coordinates."""

import numpy as np

from bayesgmm.inference import em, em_steps
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.maxima import Maximum, highest
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.log_posterior import LogLikelihood, LogPosterior
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.sweep.stats import Array

ROUGH = 1e-6  # remaining gain in mean log likelihood after EM


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    n_init: int,
    sweeps: int,
    max_iter: int,
    tol: float,
    start: Mixture | None = None,
) -> Estimate:
    """Solve the score equations: the maximum likelihood engine. The fit has one draw. The priors are ignored.

    The search and the maximum that it chooses are those of the EM engine. L-BFGS and Newton's method make it exact.
    A likelihood with unequal covariances is unbounded, because a component can shrink onto a point. The engine
    therefore finds the highest local maximum. Starts from which a component shrinks are rejected by the rules of EM.

    Parameters
    ----------
    n_init : int
        Number of starts in each cycle of the search.
    sweeps : int
        Budget of a search: maximum number of sweeps for a start. If covariances differ, half of it is spent before on a
        first search.
    max_iter : int
        Maximum number of iterations from each start.
    tol : float
        Converged when no slope of the mean log likelihood (the log likelihood divided by N) exceeds this, in the
        unconstrained coordinates: logits, standardised means, precision roots. ``gradient`` in the fit's notes is the
        slope at the end. It may be larger for a component far narrower than the data, where rounding is the limit; it
        is then measured relative to the component's scale.
    start : Mixture, optional
        The only start. Default: ``n_init`` starts.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If from every start a component shrinks onto a point.

    References
    ----------
    .. [1] Redner & Walker (1984), SIAM Review 26(2), 195-239.
    .. [2] Day (1969), Biometrika 56(3), 463-474: the likelihood is unbounded.
    """
    likelihood = density.likelihood()
    sweep = em_steps.Sweep(density.blocks, density.model.family, threads=cores)
    mixtures = [] if start is None else [start]
    warnings: tuple[str, ...] = ()
    undiscovered = 0.0
    if not mixtures:
        progress.stage("searching for the maximum")
        optimum = em.maximise_likelihood(sweep, density.n_components, seed, n_init, max_iter, ROUGH, sweeps=sweeps)
        mixtures, undiscovered = [optimum.mixture], optimum.undiscovered
        warnings = em.search_warnings(undiscovered, sweeps, density.n_components)
    progress.stage("maximising the likelihood")
    result = maximise(likelihood, sweep, mixtures, max_iter, tol)
    q = density.coordinates(*likelihood.mixture(result.q))[None, None]
    stats = {"lp": np.array([[density(q[0, 0])[0]]]), "n_iter": np.array([[result.n_iter]])}
    notes = EngineNotes(
        maximum="likelihood", converged=result.converged, gradient=result.gradient, undiscovered=undiscovered or None
    )
    warnings = (*result.warnings("Maximum likelihood", "likelihood", density.n_components), *warnings)
    return Estimate(q, stats, warnings, notes)


def maximise(
    likelihood: LogLikelihood, sweep: em_steps.Sweep, starts: list[Mixture], max_iter: int = 500, tol: float = 1e-8
) -> Maximum:
    """Find the highest local maximum of the likelihood from these starts at which no component is degenerate.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If from every start a component shrinks onto a point.
    """

    def watch(q: Array) -> None:
        sweep(Mixture(*likelihood.mixture(q)))  # an EM step raises an error if a component is degenerate

    places = [likelihood.coordinates(start.weight, start.mean, start.core_roots) for start in starts]
    return highest(likelihood, places, max_iter, tol, watch)[0]
