"""Maximum a posteriori (MAP): the highest mode of the posterior, in the sampler's unconstrained coordinates."""

import numpy as np

from bayesgmm.errors import ComponentError, DegenerateComponent
from bayesgmm.inference import em
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.laplace import searched_points
from bayesgmm.inference.maxima import highest
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.stats import Array

VANISHED = -16.0  # logarithm of a spread of the means below which it counts as zero (that of the data is about one)
FAR = (-200.0, -400.0)  # two logarithms of a spread that approaches zero, at which the density is compared
LARGE = (20.0, 24.0)  # the same for a concentration that approaches infinity


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    sweeps: int,
    max_iter: int,
    tol: float,
    start: Mixture | None = None,
) -> Estimate:
    """Find the highest mode of the posterior under all priors: the MAP engine. The fit has one draw.

    The mode depends on the coordinates. This is the mode of ``lp``, the density that NUTS samples, with weights as
    logits and covariances as precision roots. It exists also for sparse weights, which have no mode on the simplex. A
    draw with a larger ``lp`` means that a higher mode was missed. In other coordinates the mode is elsewhere, and most
    of the posterior mass may lie elsewhere, too. A root is triangular, so that with full or tied covariances the order
    of the columns is a choice of coordinates: in another order the estimate differs slightly, the less the more points
    there are.

    Parameters
    ----------
    sweeps : int
        Budget of the search for starts: maximum number of sweeps.
    max_iter : int
        Maximum number of iterations from each start.
    tol : float
        Converged when no slope of the log posterior per point exceeds this.
    start : Mixture, optional
        The only start. Default: several starts.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If from every start a component shrinks onto a point, or all means move to one place. A prior with density at
        zero allows this.

    References
    ----------
    .. [1] Fraley & Raftery (2007), J. Classification 24, 155-181.
    """
    progress.stage("looking for modes")
    undiscovered = 0.0
    if start is None:
        starts, undiscovered = searched_points(density, seed, cores, sweeps)
    else:
        starts = [density.coordinates(start.weight, start.mean, start.core_roots)]
    mode, failures = highest(density, starts, max_iter, tol, lambda q: require_regular(density, q))
    stats = {"lp": np.array([[mode.value]]), "n_iter": np.array([[mode.n_iter]])}
    notes = EngineNotes(
        maximum="posterior", converged=mode.converged, gradient=mode.gradient, undiscovered=undiscovered or None
    )
    warnings = mode.warnings("The search for the mode", "posterior", density.n_components)
    missed = em.search_warnings(undiscovered, sweeps, density.n_components, "posterior density")
    warnings = (*warnings, *missed, *_failed_searches(failures), *unbounded(density, mode.q))
    return Estimate(mode.q[None, None], stats, warnings, notes)


def require_regular(density: LogPosterior, q: Array) -> None:
    """Check that no covariance is singular to working precision and that the means differ.

    Raises
    ------
    DegenerateComponent
        Otherwise.
    """
    family, k, d = density.model.family, density.n_components, density.n_features
    core_roots = density.mixture(q)[2]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        family.roots(family.cores(family.matrices(core_roots, k, d)))
    if (q[_spreads(density)] < VANISHED).any():
        raise DegenerateComponent(
            "the spread of the means is zero: under its prior the density grows without bound there.\n"
            "  Try a prior without density at zero (spread=InverseGamma(...), LogNormal), or method='nuts'."
        )


def _spreads(density: LogPosterior) -> IntArray:
    """Indices of the coordinates that are logarithms of a learned spread of the means, after those of its centre."""
    own = density.extra("means")
    return own[own.size // 2 :]


def _failed_searches(failures: list[ComponentError]) -> tuple[str, ...]:
    if not failures:
        return ()
    where = str(failures[-1]).split(":")[0]
    return (
        f"The posterior density may be unbounded: from another start, {where}. This is the highest other mode. "
        "Try covariances=WishartPrecision(...), a prior whose sd has no density at zero (LogNormal, InverseGamma), "
        "or method='nuts'.",
    )


def unbounded(density: LogPosterior, q: Array) -> tuple[str, ...]:
    """Return a warning for each hyperparameter along which the density grows without bound.

    The optimiser rarely visits two limits: equal means while their spread approaches zero, and equal weights while
    their concentration approaches infinity.
    """
    weight, mean, core_roots = density.mixture(q)
    together = density.coordinates(weight, np.broadcast_to(mean.mean(axis=0), mean.shape), core_roots)
    equal = density.coordinates(np.full_like(weight, 1 / weight.size), mean, core_roots)
    rays = [
        ("spread of the means approaches zero", together, _spreads(density), FAR),
        ("concentration of the weights grows", equal, density.extra("weights"), LARGE),
    ]
    growing = [what for what, start, moved, looks in rays if moved.size and _grows(density, start, moved, looks)]
    return tuple(
        f"The posterior density is unbounded: it grows without bound as the {what}. This is the highest other mode. "
        "Use method='nuts', or a prior that excludes this limit (InverseGamma, LogNormal)."
        for what in growing
    )


def _grows(density: LogPosterior, q: Array, moved: IntArray, looks: tuple[float, float]) -> bool:
    near, far = q.copy(), q.copy()
    near[moved], far[moved] = looks
    return density(far)[0] > density(near)[0] + 1.0
