"""Maximum a posteriori: the highest mode of the posterior, in the sampler's unconstrained coordinates."""

import numpy as np

from bayesgmm.errors import ComponentError, DegenerateComponent
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.laplace import starting_points
from bayesgmm.inference.maxima import highest
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.info import EngineNotes
from bayesgmm.posterior.log_posterior import IntArray, LogPosterior
from bayesgmm.sweep.stats import Array

VANISHED = -16.0  # logarithm of a spread of the means, where the data's is of order one, from which it is none
FAR = (-200.0, -400.0)  # logarithms of a spread that two looks at it, on its way to zero, are taken from
LARGE = (20.0, 24.0)  # logarithms of a concentration, on its way to infinity


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    max_iter: int,
    tol: float,
    start: Mixture | None = None,
) -> Estimate:
    """The maximum a posteriori engine: one draw, the highest mode of the posterior under all of the priors.

    A mode depends on the coordinates. This one is that of the density in which NUTS moves (``lp``), weights as logits
    and covariances as roots, so that it exists where sparse weights have none on the simplex, and a draw
    above it would mean that a higher mode was missed. It is not the mode in any other coordinates, nor where most of
    the posterior's mass has to be.

    Parameters
    ----------
    max_iter : int
        Iterations of each climb, at most.
    tol : float
        Stop when no slope of the log posterior, divided by the number of points, exceeds this.
    start : Mixture, optional
        In place of all others.

    Raises
    ------
    DegenerateComponent
        When every climb shrinks a component onto a point, or all means to one place: a prior that does not keep away
        from zero lets it.

    References
    ----------
    .. [1] Fraley & Raftery (2007), J. Classification 24, 155-181.
    """
    progress.stage("looking for modes")
    if start is None:
        starts = starting_points(density, seed, cores)
    else:
        starts = [density.coordinates(start.weight, start.mean, start.core_roots)]
    found, failures = highest(density, starts, max_iter, tol, lambda q: require_regular(density, q))
    stats = {"lp": np.array([[found.value]]), "n_iter": np.array([[found.n_iter]])}
    notes = EngineNotes(maximum="posterior", converged=found.converged, gradient=found.gradient)
    doubts = (*found.doubts("The search for the mode", "posterior"), *_given_up(failures), *unbounded(density, found.q))
    return Estimate(found.q[None, None], stats, doubts, notes)


def require_regular(density: LogPosterior, q: Array) -> None:
    """Raise DegenerateComponent where a covariance is singular to working precision, or all means are in one place."""
    family, k, d = density.model.family, density.n_components, density.n_features
    core_roots = density.mixture(q)[2]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        family.roots(family.cores(family.matrices(core_roots, k, d)))
    if (q[_spreads(density)] < VANISHED).any():
        raise DegenerateComponent(
            "the spread of the means is zero: its prior lets the density grow without bound there.\n"
            "  Try a prior that keeps away from zero (spread=InverseGamma(...), LogNormal), or method='nuts'."
        )


def _spreads(density: LogPosterior) -> IntArray:
    """Which coordinates are the logarithms of a learned spread of the means: they follow its centre."""
    own = density.extra("means")
    return own[own.size // 2 :]


def _given_up(failures: list[ComponentError]) -> tuple[str, ...]:
    if not failures:
        return ()
    where = str(failures[-1]).split(":")[0]
    return (
        f"The posterior density may have no largest value: another climb ended where {where}. This is the highest mode "
        "beside that. Try covariances=WishartPrecision(...), a prior whose sd keeps away from zero (LogNormal, "
        "InverseGamma), or method='nuts'.",
    )


def unbounded(density: LogPosterior, q: Array) -> tuple[str, ...]:
    """Where a prior that is learned lets the density grow without bound; the mode is then the highest beside that.

    Two places are seldom looked at by a climb: all means in one place while their spread goes to zero, and all weights
    equal while their concentration goes to infinity.
    """
    weight, mean, core_roots = density.mixture(q)
    together = density.coordinates(weight, np.broadcast_to(mean.mean(axis=0), mean.shape), core_roots)
    equal = density.coordinates(np.full_like(weight, 1 / weight.size), mean, core_roots)
    rays = [
        ("spread of the means goes to zero", together, _spreads(density), FAR),
        ("concentration of the weights grows", equal, density.extra("weights"), LARGE),
    ]
    growing = [what for what, start, moved, looks in rays if moved.size and _grows(density, start, moved, looks)]
    return tuple(
        f"The posterior density has no largest value: it grows without bound as the {what}. This is the highest mode "
        "beside that. For what is learned use method='nuts', or a prior that keeps away from there (InverseGamma, "
        "LogNormal)."
        for what in growing
    )


def _grows(density: LogPosterior, q: Array, moved: IntArray, looks: tuple[float, float]) -> bool:
    near, far = q.copy(), q.copy()
    near[moved], far[moved] = looks
    return density(far)[0] > density(near)[0] + 1.0
