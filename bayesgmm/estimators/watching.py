"""EM that is watched: what scikit-learn prints, and keeps, of every iteration."""

import time
from dataclasses import dataclass, field, replace

import numpy as np

from bayesgmm.inference import em
from bayesgmm.inference.mixtures import Mixture


@dataclass(frozen=True)
class Watched(em.Sweep):
    """A sweep that keeps the mean log likelihoods that it saw, and says so where ``verbose`` asks for it."""

    offset: float = 0.0
    verbose: int = 0
    verbose_interval: int = 10
    seen: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=lambda: [time.perf_counter()])

    def __call__(self, mixture: Mixture) -> tuple[float, Mixture]:  # noqa: D102
        loglik, following = super().__call__(mixture)
        self.seen.append(loglik / self.blocks.total_weight - self.offset)
        if self.verbose and len(self.seen) % self.verbose_interval == 0:
            self._report()
        return loglik, following

    def _report(self) -> None:
        line = f"  Iteration {len(self.seen)}"
        if self.verbose > 1:
            self.clock.append(time.perf_counter())
            change = self.seen[-1] - (self.seen[-2] if len(self.seen) > 1 else -np.inf)
            line += f"\t time lapse {self.clock[-1] - self.clock[-2]:.5f}s\t ll change {change:.5f}"
        print(line)

    def tell_end(self, converged: bool) -> None:
        """Say how it ended, where that was asked for."""
        if not self.verbose:
            return
        line = f"Initialization {'converged' if converged else 'did not converge'}."
        if self.verbose > 1:
            line += f" time lapse {time.perf_counter() - self.clock[0]:.5f}s\t lower bound {self.seen[-1]:.5f}."
        print(line)


def run(sweep: Watched, start: Mixture, max_iter: int, tol: float, last: float | None = None) -> em.EMResult:
    """EM from a start; ``last`` is the mean log likelihood where an earlier fit ended, if it goes on from one."""
    if max_iter == 0:
        return em.EMResult(start, -np.inf, 0, False)
    found = em.run(sweep, start, max_iter, tol)
    if last is not None and abs(sweep.seen[0] - last) < tol:
        found = replace(found, converged=True)
    sweep.tell_end(found.converged)
    return found
