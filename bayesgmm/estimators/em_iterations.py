"""EM with the conventions of scikit-learn: convergence criterion, printed progress, history of the lower bound.

``tol`` has scikit-learn's meaning, so that results do not change with the import. Where EM is slow, quasi-Newton steps
accelerate it until the same criterion is met. The likelihood is then no lower than scikit-learn's.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bayesgmm.inference import em_steps
from bayesgmm.inference.acceleration import MAX_RATE, remaining_gain
from bayesgmm.inference.mixtures import Mixture

N_SLOW = 50  # EM counts as slow after this number of iterations, if it needs as many more
REMAINING_SHARE = 0.1
"""Quasi-Newton steps stop at this share of ``tol``, so that the next EM iteration meets the criterion."""


@dataclass(frozen=True)
class EMRun:
    """Result of one EM run.

    Parameters
    ----------
    mixture : Mixture
        Mixture after the last M step.
    bounds : tuple of float
        Mean log likelihood of each iteration before its M step, in data units.
    converged : bool
    """

    mixture: Mixture
    bounds: tuple[float, ...] = ()
    converged: bool = False

    @property
    def bound(self) -> float:
        """Last mean log likelihood; minus infinity if there is none."""
        return self.bounds[-1] if self.bounds else -np.inf


@dataclass
class Report:
    """Printed progress: none for ``verbose=0``, iterations for 1, also times and gains for 2."""

    verbose: int = 0
    interval: int = 10
    times: list[float] = field(default_factory=list)

    def start(self, number: int) -> None:
        """Report the beginning of a start."""
        self.times = [time.perf_counter()]
        if self.verbose:
            print(f"Initialization {number}")

    def iteration(self, number: int, gain: float) -> None:
        """Report the end of an iteration."""
        if not self.verbose or number % self.interval:
            return
        self.times.append(time.perf_counter())
        lapse = f"\t time lapse {self.times[-1] - self.times[-2]:.5f}s\t ll change {gain:.5f}"
        print(f"  Iteration {number}{lapse if self.verbose > 1 else ''}")

    def end(self, result: EMRun) -> None:
        """Report the end of a start."""
        if not self.verbose:
            return
        lapse = f" time lapse {time.perf_counter() - self.times[0]:.5f}s\t lower bound {result.bound:.5f}."
        end = f"Initialization {'converged' if result.converged else 'did not converge'}."
        print(end + (lapse if self.verbose > 1 else ""))


def run_em(
    sweep: em_steps.Sweep,
    start: Mixture,
    max_iter: int,
    tol: float,
    *,
    log_scale: float = 0.0,
    last: float = -np.inf,
    report: Callable[[int, float], None] = lambda number, gain: None,
) -> EMRun:
    """Run EM until the mean log likelihood changes by less than ``tol`` from one iteration to the next.

    Parameters
    ----------
    sweep : Sweep
    start : Mixture
    max_iter : int
        Maximum number of iterations.
    tol : float
        In nats.
    log_scale : float
        Log determinant of the standardisation, subtracted from log densities to convert them to data units.
    last : float
        Final mean log likelihood of an earlier fit that this one continues.
    report : callable
        Called with the number and the gain of each iteration.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If a component can't be estimated in spite of the floor.
    """
    mixture = start
    bounds: list[float] = []
    gains: list[float] = []
    while len(bounds) < max_iter:
        before = mixture
        loglik, mixture = sweep(before)
        bounds.append(loglik / sweep.blocks.total_weight - log_scale)
        gain = bounds[-1] - (bounds[-2] if len(bounds) > 1 else last)
        report(len(bounds), gain)
        if abs(gain) < tol:
            return EMRun(mixture, tuple(bounds), True)
        gains.append(abs(gain))
        if _is_slow(gains, tol) and sweep.is_smooth(mixture) and len(bounds) + 2 < max_iter:
            extrapolated = em_steps.accelerate(
                sweep, em_steps.EMResult(before, loglik, len(bounds), False), max_iter, tol * REMAINING_SHARE
            )
            mixture, gains = extrapolated.mixture, []
            bounds += [value / sweep.blocks.total_weight - log_scale for value in extrapolated.history]
    return EMRun(mixture, tuple(bounds))


def _is_slow(gains: list[float], tol: float) -> bool:
    """Return True after N_SLOW iterations if more than N_SLOW further ones are expected."""
    rate = remaining_gain(gains)[1]
    return len(gains) >= N_SLOW and rate < MAX_RATE and gains[-1] * rate**N_SLOW > tol
