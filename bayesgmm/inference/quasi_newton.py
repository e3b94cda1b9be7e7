"""Quasi-Newton acceleration of EM, in coordinates in which the complete data have unit information.

Where components overlap, EM converges slowly: each step closes the same small share of the gap. In these coordinates an
EM step is almost a gradient step, and L-BFGS adds the curvature that EM lacks.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.blas import one_blas_thread
from bayesgmm.families.family import Changes, Family
from bayesgmm.families.structures import root_chart_of
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.parameters import softmax
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, fold

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

MEMORY = 10  # number of steps in the memory of L-BFGS
PHASE = 50  # maximum number of steps before the coordinates are recomputed
TRUST = (
    0.03  # slope tolerance, relative to the slope of a gap of ``tol`` where EM is fast; where slow, slopes are smaller
)


@dataclass(frozen=True)
class Anchor:
    """Coordinates z of mixtures around a given one, in which the complete data have unit information.

    Parameters
    ----------
    blocks : Blocks
    family : Family
    mixture : Mixture
        Mixture at z = 0.
    n : (K,) float
        Number of points in each component.
    threads : int
        Number of threads.
    """

    blocks: Blocks
    family: Family
    mixture: Mixture
    n: Array
    threads: int

    @cached_property
    def changes(self) -> Changes:
        """Coordinates of changes of the roots."""
        return self.family.changes or root_chart_of(self.family)

    @property
    def size(self) -> int:
        """Number of coordinates: K log weights, K D means, and those of the roots."""
        k, d = self.mixture.mean.shape
        return k + k * d + self.changes.size(k, d)

    def _parts(self, z: Array) -> tuple[Array, Array, Array]:
        """Changes of the log weights (K,), of the means (K, D) in standard deviations, and of the roots."""
        k, d = self.mixture.mean.shape
        log_weight, mean, root = np.split(z, [k, k + k * d])
        return log_weight / np.sqrt(self.n), mean.reshape(k, d) / np.sqrt(self.n)[:, None], root / self._root_scale

    @property
    def _root_scale(self) -> Array:
        return np.sqrt(self.changes.information(self.n, self.mixture.mean.shape[1]))

    def __call__(self, z: Array) -> Mixture:
        """Return the mixture at z (size,)."""
        start, family = self.mixture, self.family
        k, d = start.mean.shape
        log_weight, steps, v = self._parts(z)
        mean = start.mean + family.stretch(start.core_roots, steps)
        roots = self.changes.changed(v, start.core_roots, k, d)
        return Mixture(softmax(np.log(start.weight) + log_weight), mean, roots)

    def bounds(self) -> Array | None:
        """Return the largest allowed z (size,); None if there are no limits."""
        most = self.changes.most(self.mixture.core_roots)
        return (
            None if most is None else np.concatenate([np.full(self.size - most.size, np.inf), most * self._root_scale])
        )

    def downhill(self, z: Array) -> tuple[float, Array]:
        """Return minus the log likelihood at z (size,) and its gradient, by Fisher's identity."""
        start, family = self.mixture, self.family
        mixture = self(z)
        if not all(np.isfinite(part).all() for part in (mixture.weight, mixture.mean, mixture.core_roots)):
            return np.inf, np.zeros_like(z)
        stats = fold(self.blocks, mixture.table(family), self.threads)
        if not np.isfinite(stats.loglik):
            return np.inf, np.zeros_like(z)
        by_mean = family.stretch_transposed(start.core_roots, family.precision_times(mixture.core_roots, stats.s1))
        by_root = self.changes.gradient(stats, mixture.core_roots, start.core_roots)
        by_weight = stats.n - stats.n.sum() * mixture.weight
        root_n = np.sqrt(self.n)
        grad = [by_weight / root_n, (by_mean / root_n[:, None]).ravel(), by_root / self._root_scale]
        return -stats.loglik, -np.concatenate(grad)


@dataclass(frozen=True)
class PhaseResult:
    """Result of a phase of quasi-Newton steps.

    Parameters
    ----------
    mixture : Mixture
    loglik : float
    gap : float
        Expected remaining gain, by the quadratic approximation of L-BFGS, in nats.
    evaluations : int
    history : list of float
        Log likelihood after each step.
    """

    mixture: Mixture
    loglik: float
    gap: float
    evaluations: int
    history: list[float]


def ascend(anchor: Anchor, gap: float, phase: int, max_evaluations: int) -> PhaseResult:
    """Take at most PHASE quasi-Newton steps from the anchor, until the estimated gap to the maximum is below ``gap``.

    The line search ensures that each step increases the likelihood.

    Parameters
    ----------
    anchor : Anchor
    gap : float
        In total log likelihood, in nats.
    phase : int
        Number of earlier phases. Each phase has a smaller tolerance, so that the last one confirms convergence.
    max_evaluations : int
        Maximum number of evaluations; a line search that exceeds it is finished.

    References
    ----------
    .. [1] Lange (1995), Statistica Sinica 5, 1-18.
    .. [2] Jamshidian & Jennrich (1997), J. R. Stat. Soc. B 59(3), 569-587.
    """
    history: list[float] = []

    def note(intermediate_result: "OptimizeResult") -> None:
        history.append(-float(intermediate_result.fun))

    options = {
        "maxcor": MEMORY,
        "maxiter": PHASE,
        "maxfun": max_evaluations,
        "gtol": TRUST / 3**phase * np.sqrt(2 * gap / anchor.size),
        "ftol": 0.0,
    }
    most = anchor.bounds()
    with np.errstate(over="ignore", invalid="ignore"), one_blas_thread():
        result = scipy.optimize.minimize(
            anchor.downhill,
            np.zeros(anchor.size),
            jac=True,
            method="L-BFGS-B",
            bounds=None if most is None else [(None, None if limit == np.inf else limit) for limit in most],
            callback=note,
            options=options,
        )
    slope = result.jac if most is None else np.where(result.x < most, result.jac, np.maximum(result.jac, 0.0))
    remaining = 0.5 * float(slope @ result.hess_inv(slope))
    return PhaseResult(anchor(result.x), -float(result.fun), remaining, result.nfev, history)
