"""Check of chains by a short Gibbs run: a region with a few per cent of the posterior that no chain has visited.

Chains that all stay in the bulk of the posterior agree, with an R-hat of 1. A Gibbs sampler moves otherwise. Its short
run is no judge of means, but draws that are beyond nearly all draws of these chains show where to look.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayesgmm.diagnosis.engines import NOTICEABLE
from bayesgmm.inference import independence_chains
from bayesgmm.inference.agreement import monitored
from bayesgmm.inference.engine import Progress
from bayesgmm.inference.extension import Budget, Checked, Drawn, Replacing
from bayesgmm.inference.gibbs_judge import THIN, TUNE, is_judge, log_densities, max_sweeps, short_run
from bayesgmm.inference.missed_regions import (
    MAX_SIZE,
    BoolArray,
    are_apart,
    draws_of_run,
    elsewhere,
    probability_elsewhere,
)
from bayesgmm.inference.reconciliation import Reconciled, weigh_regions
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

DRAWS = 1000  # minimum number of each chain of the Gibbs run
AFFORDABLE = 4  # chains whose sweeps must be affordable; all chains have fewer sweeps between draws if need be
TAIL = 0.005  # share of the draws of NUTS on each side that are left out of its range
SMALL = 0.005  # mass of a region from which there is a second run
SLOW = 200  # effective number of draws of the run below which the posterior has directions in which chains are slow
MANY = 0.03  # share of Gibbs draws outside this range, or mass of another region, from which the chains are reconciled


def can_check(density: LogPosterior, budget: Budget) -> bool:
    """Return True if the chains can be reconciled by Gibbs sampling, and the check takes a fraction of a second."""
    if not budget.reconciles or density.model.weights.is_overfitted or density.size > MAX_SIZE:
        return False
    if max_sweeps(density, AFFORDABLE) < TUNE + draws_of_run(density, DRAWS) * THIN:
        return False
    return independence_chains.is_affordable(density, budget.chains, budget.draws)


@dataclass(frozen=True)
class TailCheck:
    """Comparison of the range of a sampler's chains with a short Gibbs run.

    Parameters
    ----------
    density : LogPosterior
        One for which ``can_check`` is true.
    budget : Budget
    seed, cores : int
    progress : Progress
    """

    density: LogPosterior
    budget: Budget
    seed: int
    cores: int
    progress: Progress

    def __call__(self, drawn: Drawn, replacing: Replacing) -> Checked:
        """Return draws that cover the tails, or another region, if the chains may have missed one.

        If there is another region, and all chains seldom move, they are combined by the masses of the regions: those of
        the sampler, of the judge, and of a longer run.

        If no such draws can be made, chains that have missed a twentieth, or a region of unknown mass, are kept, with a
        warning.
        """
        q, lp = drawn.q, drawn.stats["lp"]
        self.progress.stage("checking by Gibbs sampling")
        known, judge = monitored(self.density, q, lp), self.judge
        apart = np.array([elsewhere(known.reshape(-1, known.shape[-1]), values) for values in judge.values])
        stayed = judge.values[~apart.any(axis=1)]
        share, is_slow = (share_outside(known, stayed), not is_judge(stayed, SLOW)) if len(stayed) else (0.0, False)
        probability, weighted = self._probability(q, lp, apart), None
        if probability is None or probability > SMALL:
            weighted = self._weighted(drawn)
        outside_heaviest = 1 - max(weighted.info.probabilities or (1.0,)) if weighted else 0.0
        share = max(share, probability or 0.0, outside_heaviest)
        is_known = probability is not None or weighted is not None
        if share <= MANY and not is_slow and is_known:
            return Checked()
        if found := weighted or replacing():
            return Checked(replace(found, info=replace(found.info, missed=share)))
        if share > NOTICEABLE:
            return Checked(warnings=(_WARNING.format(share),))
        return Checked(warnings=() if is_known else (_UNKNOWN,))

    def _probability(self, q: Array, lp: Array, apart: BoolArray) -> float | None:
        """Estimate the probability of the heaviest region in which parts of the judge's chains are; None if unknown."""
        judge = self.judge
        return probability_elsewhere(self.density, (q[0], lp[0]), judge.q, judge.lp, apart, self.seed, self.cores)

    def _weighted(self, drawn: Drawn) -> Reconciled | None:
        """Combine the chains with those of the judge, and of a longer run from other starts, by the regions' masses."""
        pools = [(drawn.q, drawn.stats["lp"]), (self.judge.q, self.judge.lp)]
        return weigh_regions(self.density, pools, self.budget.draws, self.seed, self.cores)

    @cached_property
    def judge(self) -> "Judge":
        """The short Gibbs run."""
        q, lp = short_run(self.density, draws_of_run(self.density, DRAWS), self.seed, self.cores)
        return Judge(q, lp, monitored(self.density, q, lp))


@dataclass(frozen=True)
class StartCheck:
    """Check of Gibbs chains that are compared with another run only if one has left a region for good.

    Chains start in regions that short runs have found. Such a region may have much of the posterior, and all chains may
    leave it while they are tuned.

    Parameters
    ----------
    check : TailCheck
        The comparison.
    begun : (chains, T, P) float
        States of the short runs at whose ends the chains started.
    """

    check: TailCheck
    begun: Array

    def __call__(self, drawn: Drawn, replacing: Replacing) -> Checked:
        """Compare the draws if the states of some run are outside their range."""
        density = self.check.density
        known = monitored(density, drawn.q, drawn.stats["lp"])
        begun = monitored(density, self.begun, log_densities(density, self.begun, self.check.cores))
        every = known.reshape(-1, known.shape[-1])
        return self.check(drawn, replacing) if any(are_apart(every, one) for one in begun) else Checked()


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


def share_outside(known: Array, values: Array) -> float:
    """Return the share of values (chains, draws, M) outside the range of known ones, in the quantity that tells best.

    Examples
    --------
    >>> known, same = np.random.default_rng(0).normal(size=(2, 4, 500, 3))
    >>> share_outside(known, same) < 0.05 < share_outside(known, 2 * same)
    True
    """
    low, high = np.quantile(known, [TAIL, 1 - TAIL], axis=(0, 1))
    return float(((values < low) | (values > high)).mean(axis=(0, 1)).max())


_ADVICE = (
    "\n  Try method='gibbs', or another seed; the higher log evidence (bg.evidence in Python) is that of the fit "
    "with the heavier region."
)
_WARNING = "A short Gibbs run has {:.0%} of the posterior where these chains have no draws." + _ADVICE
_UNKNOWN = "A short Gibbs run has found another region of the posterior, and its probability is unknown." + _ADVICE
