"""Check of NUTS by a short Gibbs run: a region with a few per cent of the posterior that no chain has visited.

Chains that all stay in the bulk of the posterior agree, with an R-hat of 1. A Gibbs sampler moves otherwise. Its short
run is no judge of means, but draws that are beyond nearly all draws of NUTS show where to look.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayesgmm.diagnosis.mixing import NOTICEABLE
from bayesgmm.inference import independence_chains
from bayesgmm.inference.agreement import monitored
from bayesgmm.inference.engine import Progress
from bayesgmm.inference.extension import Budget, Checked, Drawn
from bayesgmm.inference.gibbs_judge import THIN, TUNE, max_sweeps, short_run
from bayesgmm.inference.missed_regions import MAX_SIZE
from bayesgmm.inference.reconciliation import reconcile
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

DRAWS = 1000  # of each chain of the Gibbs run
TAIL = 0.005  # share of the draws of NUTS on each side that are left out of its range
ELSEWHERE = 0.5  # share of a chain's draws outside from which it is in another mode: the mode's mass has decided on it
MANY = 0.03  # share of Gibbs draws outside this range, in one quantity, from which the chains are reconciled


def can_check(density: LogPosterior, budget: Budget) -> bool:
    """Return True if the chains can be reconciled by Gibbs sampling, and the check takes a fraction of a second."""
    if not budget.reconciles or density.model.weights.is_overfitted or density.size > MAX_SIZE:
        return False
    if max_sweeps(density) < TUNE + DRAWS * THIN:
        return False
    return independence_chains.is_affordable(density, budget.chains, budget.draws)


@dataclass(frozen=True)
class TailCheck:
    """Comparison of the range of a sampler's chains with a short Gibbs run.

    Parameters
    ----------
    density : LogPosterior
        One for which ``can_check`` is true.
    seed, cores : int
    progress : Progress
    """

    density: LogPosterior
    seed: int
    cores: int
    progress: Progress

    def __call__(self, drawn: Drawn) -> Checked:
        """Return draws that cover the tails, if the chains have missed one.

        If no such draws can be made, chains that have missed a twentieth are kept, with a warning.
        """
        q, lp = drawn.q, drawn.stats["lp"]
        self.progress.stage("checking by Gibbs sampling")
        share = share_outside(monitored(self.density, q, lp), self.judge)
        if share <= MANY:
            return Checked()
        if found := reconcile(self.density, q, lp, self.seed, self.cores, self.progress, if_good=True):
            return Checked(replace(found, info=replace(found.info, missed=share)))
        return Checked(warnings=(_WARNING.format(share),) if share > NOTICEABLE else ())

    @cached_property
    def judge(self) -> Array:
        """Label-free quantities (chains, draws, M) of a short Gibbs run."""
        return monitored(self.density, *short_run(self.density, DRAWS, self.seed, self.cores))


def share_outside(known: Array, values: Array) -> float:
    """Return the largest share of values (chains, draws, M) outside the range of known ones (chains, draws, M).

    Examples
    --------
    >>> known, same = np.random.default_rng(0).normal(size=(2, 4, 500, 3))
    >>> share_outside(known, same) < 0.02 < share_outside(known, 2 * same)
    True
    """
    low, high = np.quantile(known, [TAIL, 1 - TAIL], axis=(0, 1))
    outside = ((values < low) | (values > high)).mean(axis=1)
    stays = outside.max(axis=1) < ELSEWHERE
    return float(outside[stays].mean(axis=0).max()) if stays.any() else 0.0


_WARNING = (
    "A short Gibbs run has {:.0%} of its draws where these chains have none: they may have missed a part of the "
    "posterior.\n  Try method='gibbs', or more draws."
)
