"""EM's slow end made fast: quasi-Newton steps in coordinates in which the complete data have unit information.

Where components overlap, EM creeps: each step closes the same small share of the gap. In these coordinates an EM step
is very nearly a step along the gradient, so what L-BFGS learns of the curvature is just what EM lacks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its parts are imported when they are used
from threadpoolctl import threadpool_limits

from bayesgmm.families.charts import Chart
from bayesgmm.families.structures import Family, chart_of
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.sweep.stats import Array, Blocks, fold

MEMORY = 10  # steps that L-BFGS remembers
PHASE = 50  # steps before the coordinates are made anew
TRUST = 0.03  # share of the slope that a gap of ``tol`` has where EM is fast: where it is slow, slopes are smaller


@dataclass(frozen=True)
class Anchor:
    """Coordinates z of mixtures around one: in each, some point's worth of complete data has unit information.

    Parameters
    ----------
    blocks : Blocks
    family : Family
    mixture : Mixture
        At z = 0.
    n : (K,) float
        Points that its components hold.
    threads : int
    """

    blocks: Blocks
    family: Family
    mixture: Mixture
    n: Array
    threads: int

    @property
    def chart(self) -> Chart:
        """Coordinates of the roots."""
        return chart_of(self.family)

    @property
    def size(self) -> int:
        """How many coordinates: K log weights, K D means, and those of the roots."""
        k, d = self.mixture.mean.shape
        return k + k * d + self.chart.size(k, d)

    def _parts(self, z: Array) -> tuple[Array, Array, Array]:
        """Changes of the log weights (K,), of the means (K, D) in standard deviations, and of the roots."""
        k, d = self.mixture.mean.shape
        log_weight, mean, root = np.split(z, [k, k + k * d])
        return log_weight / np.sqrt(self.n), mean.reshape(k, d) / np.sqrt(self.n)[:, None], root / self._root_scale

    @property
    def _root_scale(self) -> Array:
        return np.sqrt(self.chart.information(self.n, self.mixture.mean.shape[1]))

    def __call__(self, z: Array) -> Mixture:
        """The mixture at z (size,)."""
        start, family = self.mixture, self.family
        k, d = start.mean.shape
        log_weight, steps, v = self._parts(z)
        mean = start.mean + family.stretch(start.core_roots, steps)
        roots = self.chart.compose(self.chart.core_roots(v, k, d), start.core_roots)
        return Mixture(scipy.special.softmax(np.log(start.weight) + log_weight), mean, roots)

    def downhill(self, z: Array) -> tuple[float, Array]:
        """Minus the log likelihood at z, and its gradient: linear in the statistics (Fisher's identity)."""
        start, family = self.mixture, self.family
        mixture = self(z)
        if not all(np.isfinite(part).all() for part in (mixture.weight, mixture.mean, mixture.core_roots)):
            return np.inf, np.zeros_like(z)
        stats = fold(self.blocks, mixture.table(family), self.threads)
        if not np.isfinite(stats.loglik):
            return np.inf, np.zeros_like(z)
        by_mean = family.stretch_transposed(start.core_roots, family.precision_times(mixture.core_roots, stats.s1))
        by_root = self.chart.gradient(stats, mixture.core_roots, start.core_roots)
        by_weight = stats.n - stats.n.sum() * mixture.weight
        root_n = np.sqrt(self.n)
        grad = [by_weight / root_n, (by_mean / root_n[:, None]).ravel(), by_root / self._root_scale]
        return -stats.loglik, -np.concatenate(grad)


@dataclass(frozen=True)
class PhaseResult:
    """Where a phase of quasi-Newton steps ended.

    Parameters
    ----------
    mixture : Mixture
    loglik : float
    gap : float
        What is still to be gained, by the quadratic that L-BFGS has learnt.
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
    """At most PHASE steps up from the anchor, or until the gap to the maximum is thought to be smaller than ``gap``.

    Every step gains: the line search sees to it.

    Parameters
    ----------
    anchor : Anchor
    gap : float
        In total log likelihood.
    phase : int
        How many went before: each looks closer, so that the last can confirm what those before it said.
    most : int
        Evaluations, at most (the line search that crosses it is finished).

    References
    ----------
    .. [1] Lange (1995), Statistica Sinica 5, 1-18.
    .. [2] Jamshidian & Jennrich (1997), J. R. Stat. Soc. B 59(3), 569-587.
    """
    history: list[float] = []

    def note(intermediate_result: Any) -> None:
        history.append(-float(intermediate_result.fun))

    options = {
        "maxcor": MEMORY,
        "maxiter": PHASE,
        "maxfun": max_evaluations,
        "gtol": TRUST / 3**phase * np.sqrt(2 * gap / anchor.size),
        "ftol": 0.0,
    }
    with np.errstate(over="ignore", invalid="ignore"), threadpool_limits(limits=1, user_api="blas"):
        result = scipy.optimize.minimize(
            anchor.downhill, np.zeros(anchor.size), jac=True, method="L-BFGS-B", callback=note, options=options
        )
    remaining = 0.5 * float(result.jac @ result.hess_inv(result.jac))
    return PhaseResult(anchor(result.x), -float(result.fun), remaining, result.nfev, history)
