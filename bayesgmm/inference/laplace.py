"""Where the posterior's mass is, and coordinates that make it round there.

What NUTS samples in, and what variational inference starts from.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.errors import SamplingError
from bayesgmm.inference import em
from bayesgmm.inference.engine import Progress
from bayesgmm.inference.mixtures import Mixture, closest_wishart
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

HESSIAN_LIMIT = 3000  # coordinates: beyond it the Hessian costs more than anybody would wait for
MANY = 300  # coordinates: beyond it only the highest mode gets a Hessian
SAME = 0.5  # two places whose log densities differ by less are taken for one
STEP = 1e-4  # of the differences: the gradient is exact, the coordinates are of order one
MIN_CURVATURE = 1e-2  # a flatter direction than this is left to the sampler's own adaptation
MIN_STARTS, MAX_STARTS = 10, 50  # a mode that is never started near is never found
CLEAR_MAJORITY = 8  # of the fewest starts in one place: no more are needed
STARTS_WORTH = 5_000_000  # points times features times components that the starts together may cost


@dataclass(frozen=True)
class Whitening:
    """``q = mode + spread z``: in z the posterior is near a standard normal.

    Parameters
    ----------
    mode : (P,) float
    spread : (P, P) float
    log_mass : float
        Laplace's approximation to the log of the posterior mass around the mode, up to a constant.
    repaired : int
        Directions whose curvature was not positive, or too flat, and was replaced.
    """

    mode: Array
    spread: Array
    log_mass: float
    repaired: int

    def __call__(self, z: Array) -> Array:
        """Coordinates (..., P) from white ones."""
        return self.mode + z @ self.spread.T


def find_mode(density: Callable[[Array], tuple[float, Array]], start: Array) -> Array:
    """Climb from ``start`` to a mode of the log posterior by L-BFGS."""

    def downhill(q: Array) -> tuple[float, Array]:
        value, grad = density(q)
        return (-value, -grad) if np.isfinite(value) else (np.inf, np.zeros_like(grad))

    with np.errstate(over="ignore", invalid="ignore"):
        options = {"maxiter": 500, "maxcor": 20}
        found = scipy.optimize.minimize(downhill, start, jac=True, method="L-BFGS-B", options=options)
    return found.x


def hessian(density: LogPosterior, q: Array, steps: float | Array = STEP) -> Array:
    """(P, P) second derivatives, by central differences of the analytic gradient; one step, or one a coordinate."""
    rows = np.empty((q.size, q.size))
    for i, size in enumerate(np.broadcast_to(steps, q.shape)):
        step = np.zeros_like(q)
        step[i] = size
        rows[i] = (density(q + step)[1] - density(q - step)[1]) / (2 * size)
    return (rows + rows.T) / 2


def whiten(density: LogPosterior, mode: Array) -> Whitening:
    """The linear map that makes the posterior round at its mode.

    Directions that curve the wrong way take the size of their curvature, flat ones the least that we allow.
    """
    curvature, directions = np.linalg.eigh(-hessian(density, mode))
    repaired = np.maximum(np.abs(curvature), MIN_CURVATURE)
    changed = int((curvature < MIN_CURVATURE).sum())
    log_mass = density(mode)[0] - 0.5 * float(np.log(repaired).sum())
    return Whitening(mode, directions / np.sqrt(repaired), log_mass, changed)


def starting_points(density: LogPosterior, seed: int, threads: int) -> list[Array]:
    """Where short EM runs under the covariance prior end, each place once, in the sampler's coordinates.

    When most of the first few starts end in the same place, the others are not needed.
    """
    runs = _short_runs(density, MIN_STARTS, (seed, 0), threads)
    agreeing = sum(abs(run.loglik - runs[0].loglik) < SAME for run in runs)
    cost = density.blocks.n_points * density.n_features * density.n_components
    more = min(STARTS_WORTH // cost, MAX_STARTS) - MIN_STARTS
    if agreeing < CLEAR_MAJORITY and more > 0:
        runs = sorted(runs + _short_runs(density, more, (seed, 1), threads), key=lambda run: -run.loglik)
    distinct = [run for i, run in enumerate(runs) if all(abs(run.loglik - other.loglik) > SAME for other in runs[:i])]
    return [_coordinates(density, run.mixture) for run in distinct]


def _short_runs(density: LogPosterior, n_init: int, seed: tuple[int, int], threads: int) -> list[em.EMResult]:
    model = density.model
    prior = closest_wishart(model.covariances, density.standard, model.family)
    sweep = em.Sweep(density.blocks, model.family, prior, threads=threads)
    return em.short_runs(sweep, density.n_components, seed, n_init, tol=1e-5)


def _coordinates(density: LogPosterior, mixture: Mixture) -> Array:
    weight = np.maximum(mixture.weight, 1e-3 / mixture.weight.size)  # an empty component has no logit
    return density.coordinates(weight / weight.sum(), mixture.mean, mixture.core_roots)


def heaviest_mode(density: LogPosterior, starts: list[Array]) -> Whitening:
    """Climb from every start; of the modes take the one with most posterior mass, by Laplace's approximation.

    The highest mode is not always where the mass is: it can be a narrow peak.
    """
    modes = sorted((find_mode(density, start) for start in starts), key=lambda q: -density(q)[0])
    heights = [density(q)[0] for q in modes]
    distinct = [q for i, q in enumerate(modes) if i == 0 or heights[i - 1] - heights[i] > SAME]
    if density.size > MANY:
        distinct = distinct[:1]
    return max((whiten(density, q) for q in distinct), key=lambda w: w.log_mass)


def whiten_at_mode(density: LogPosterior, seed: int, cores: int, progress: Progress) -> Whitening:
    """Coordinates in which the posterior is near a standard normal at its heaviest mode.

    Raises
    ------
    SamplingError
        When there are too many coordinates for a Hessian.
    """
    if density.size > HESSIAN_LIMIT:
        raise SamplingError(
            f"the posterior has {density.size} coordinates, too many for this method (the limit is "
            f"{HESSIAN_LIMIT}).\n  Try covariance='diag' or 'tied', fewer components, or fewer columns."
        )
    progress.stage("looking for the mode")
    return heaviest_mode(density, starting_points(density, seed, cores))
