"""EM by scikit-learn's rules: when it stops, what it prints, what it keeps of every iteration.

``inference.em.run`` is quicker where EM is slow, and stops when little is left to gain. Here a ``tol`` means what it
means to scikit-learn, so that a script that changes its import keeps its results, whatever its ``tol``.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bayesgmm.inference.em import Sweep
from bayesgmm.inference.mixtures import Mixture


@dataclass(frozen=True)
class Climbed:
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

    def end(self, climbed: Climbed) -> None:
        """A start is over."""
        if not self.verbose:
            return
        lapse = f" time lapse {time.perf_counter() - self.times[0]:.5f}s\t lower bound {climbed.bound:.5f}."
        end = f"Initialization {'converged' if climbed.converged else 'did not converge'}."
        print(end + (lapse if self.verbose > 1 else ""))


def climb(
    sweep: Sweep,
    start: Mixture,
    max_iter: int,
    tol: float,
    *,
    log_scale: float = 0.0,
    last: float = -np.inf,
    tell: Callable[[int, float], None] = lambda number, gain: None,
) -> Climbed:
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
    mixture, bounds = start, []
    for number in range(1, max_iter + 1):
        loglik, mixture = sweep(mixture)
        bounds.append(loglik / sweep.blocks.total_weight - log_scale)
        gain = bounds[-1] - (bounds[-2] if number > 1 else last)
        tell(number, gain)
        if abs(gain) < tol:
            return Climbed(mixture, tuple(bounds), True)
    return Climbed(mixture, tuple(bounds))
