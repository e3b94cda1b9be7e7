"""Check of NUTS by a short Gibbs run: a region with a few per cent of the posterior that no chain has visited.

Chains that all stay in the bulk of the posterior agree, with an R-hat of 1. A Gibbs sampler moves otherwise. Its short
run is no judge of means, but draws that are beyond nearly all draws of NUTS show where to look.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayesgmm.diagnosis.mixing import NOTICEABLE
from bayesgmm.inference import independence_chains
from bayesgmm.inference.agreement import monitored
from bayesgmm.inference.engine import Progress
from bayesgmm.inference.extension import Budget, Checked, Drawn
from bayesgmm.inference.gibbs_judge import THIN, TUNE, is_judge, max_sweeps, short_run
from bayesgmm.inference.missed_regions import IMPRECISE, MAX_SIZE, region_mass
from bayesgmm.inference.reconciliation import reconcile
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

BoolArray = NDArray[np.bool_]

DRAWS = 1000  # of each chain of the Gibbs run
TAIL = 0.005  # share of the draws of NUTS on each side that are left out of its range
SLOW = 200  # effective number of draws of the run below which the posterior has directions in which chains are slow
ELSEWHERE = 0.5  # share of a chain's draws outside from which it is in another region: the region's mass is estimated
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
        """Return draws that cover the tails, or another region, if the chains may have missed one.

        If no such draws can be made, chains that have missed a twentieth are kept, with a warning.
        """
        q, lp = drawn.q, drawn.stats["lp"]
        self.progress.stage("checking by Gibbs sampling")
        outside = outside_by_chain(monitored(self.density, q, lp), self.judge.values)
        is_elsewhere = outside.max(axis=1) > ELSEWHERE
        share, is_slow = 0.0, False
        if not is_elsewhere.all():
            share = float(outside[~is_elsewhere].mean(axis=0).max())
            is_slow = not is_judge(self.judge.values[~is_elsewhere], SLOW)
        if share <= MANY and is_elsewhere.any():
            share = max(share, self._probability(q, lp, is_elsewhere))
        if share <= MANY and not is_slow:
            return Checked()
        if found := reconcile(self.density, q, lp, self.seed, self.cores, self.progress, if_good=True):
            return Checked(replace(found, info=replace(found.info, missed=share)))
        return Checked(warnings=(_WARNING.format(share),) if share > NOTICEABLE else ())

    def _probability(self, q: Array, lp: Array, is_elsewhere: BoolArray) -> float:
        """Estimate the probability of the region in which the highest of some chains of the judge is.

        It is 0 if it can't be estimated, as that of a chain that has not stayed in one region.
        """
        highest = np.flatnonzero(is_elsewhere)[self.judge.lp[is_elsewhere].max(axis=1).argmax()]
        own = region_mass(self.density, q[0], lp[0], self.seed, self.cores)
        other = region_mass(self.density, self.judge.q[highest], self.judge.lp[highest], self.seed, self.cores)
        if own is None or other is None or max(own.se, other.se) > IMPRECISE:
            return 0.0
        return float(1 / (1 + np.exp(own.log_evidence - other.log_evidence)))

    @cached_property
    def judge(self) -> "Judge":
        """The short Gibbs run."""
        q, lp = short_run(self.density, DRAWS, self.seed, self.cores)
        return Judge(q, lp, monitored(self.density, q, lp))


@dataclass(frozen=True)
class Judge:
    """Draws of a Gibbs run.

    Parameters
    ----------
    q : (chains, draws, P) float
    lp : (chains, draws) float
        Log posterior densities.
    values : (chains, draws, M) float
        Label-free quantities.
    """

    q: Array
    lp: Array
    values: Array


def outside_by_chain(known: Array, values: Array) -> Array:
    """Return the share (chains, M) of values (chains, draws, M) outside the range of known ones (chains, draws, M).

    Examples
    --------
    >>> known, same = np.random.default_rng(0).normal(size=(2, 4, 500, 3))
    >>> bool(outside_by_chain(known, same).max() < 0.05 < outside_by_chain(known, 2 * same).min())
    True
    """
    low, high = np.quantile(known, [TAIL, 1 - TAIL], axis=(0, 1))
    return np.asarray(((values < low) | (values > high)).mean(axis=1))


_WARNING = (
    "A short Gibbs run has {:.0%} of the posterior where these chains have no draws.\n  Try method='gibbs' with "
    "tempering='parallel', or more draws."
)
