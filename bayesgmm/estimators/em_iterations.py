"""EM by scikit-learn's rules: when it stops, what it prints, what it keeps of every iteration.

Here a ``tol`` means what it means to scikit-learn, so that a script that changes its import keeps its results. Where EM
creeps, quasi-Newton steps take it to where the same rule ends it: no lower than scikit-learn's end, and much sooner.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bayesgmm.inference import em
from bayesgmm.inference.acceleration import MAX_RATE, remaining_gain
from bayesgmm.inference.mixtures import Mixture

N_SLOW = 50  # iterations, and as many foreseen, from which EM is said to creep
REMAINING_SHARE = 0.1  # the share of ``tol`` that leaps leave to be gained, so that the next iteration ends it


@dataclass(frozen=True)
class EMRun:
    """Where EM ended.

    Parameters
    ----------
    mixture : Mixture
        After the last M step.
    bounds : tuple of float
        Mean log likelihood at every iteration, in data units, before its M step.
    converged : bool
    """

    mixture: Mixture
    bounds: tuple[float, ...] = ()
    converged: bool = False

    @property
    def bound(self) -> float:
        """The last of them; minus infinity before any."""
        return self.bounds[-1] if self.bounds else -np.inf


@dataclass
class Report:
    """Prints what ``verbose`` asks for: nothing, the iterations, or their times and gains too."""

    verbose: int = 0
    interval: int = 10
    times: list[float] = field(default_factory=list)

    def start(self, number: int) -> None:
        """A start begins."""
        self.times = [time.perf_counter()]
        if self.verbose:
            print(f"Initialization {number}")

    def iteration(self, number: int, gain: float) -> None:
        """An iteration is over."""
        if not self.verbose or number % self.interval:
            return
        self.times.append(time.perf_counter())
        lapse = f"\t time lapse {self.times[-1] - self.times[-2]:.5f}s\t ll change {gain:.5f}"
        print(f"  Iteration {number}{lapse if self.verbose > 1 else ''}")

    def end(self, result: EMRun) -> None:
        """A start is over."""
        if not self.verbose:
            return
        lapse = f" time lapse {time.perf_counter() - self.times[0]:.5f}s\t lower bound {result.bound:.5f}."
        end = f"Initialization {'converged' if result.converged else 'did not converge'}."
        print(end + (lapse if self.verbose > 1 else ""))


def run_em(
    sweep: em.Sweep,
    start: Mixture,
    max_iter: int,
    tol: float,
    *,
    log_scale: float = 0.0,
    last: float = -np.inf,
    report: Callable[[int, float], None] = lambda number, gain: None,
) -> EMRun:
    """EM until the mean log likelihood changes by less than ``tol`` from one iteration to the next.

    Parameters
    ----------
    log_scale : float
        What a log density in the coordinates of the blocks is too large by.
    last : float
        The mean log likelihood where an earlier fit ended, when this one goes on from there.
    tell : callable
        Gets the number of each iteration and its gain.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When a component can't be estimated, and no floor helps.
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
            extrapolated = em.accelerate(
                sweep, em.EMResult(before, loglik, len(bounds), False), max_iter, tol * REMAINING_SHARE
            )
            mixture, gains = extrapolated.mixture, []
            bounds += [value / sweep.blocks.total_weight - log_scale for value in extrapolated.history]
    return EMRun(mixture, tuple(bounds))


def _is_slow(gains: list[float], tol: float) -> bool:
    """Whether SLOW iterations were made, and more than SLOW further ones are foreseen."""
    rate = remaining_gain(gains)[1]
    return len(gains) >= N_SLOW and rate < MAX_RATE and gains[-1] * rate**N_SLOW > tol
