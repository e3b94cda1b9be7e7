"""Check of NUTS by a Gibbs sampler, where the number of components is only an upper bound.

A chain of NUTS hardly changes the number of clusters: the region where one more component holds points is far away.
Chains that all stay at the same number agree, with an R-hat of 1. Split-merge moves of the Gibbs sampler change it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayesgmm.diagnosis.mixing import ALARMING_RHAT, HIGH_RHAT, NOTICEABLE
from bayesgmm.inference import conjugate_sweeps, gibbs_chains
from bayesgmm.inference.agreement import agreement, monitored, wanted_ess
from bayesgmm.inference.elbo import evaluate
from bayesgmm.inference.engine import Progress, Silent
from bayesgmm.inference.extension import Budget, Checked, Drawn, Extension, Replacing
from bayesgmm.inference.gibbs_judge import is_conjugate
from bayesgmm.inference.reconciliation import Reconciled
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import ReconciliationInfo
from bayesgmm.sweep.stats import Array

TUNE, THIN = 500, 5  # Gibbs sweeps before the first draw, and from one draw to the next
SEARCH = 500  # budget of the search for starts
WORTH = 3_000_000_000  # maximum cost of the sweeps: points x features x components x sweeps
LONGER = 4  # maximum number of draws, relative to those of the first run
CERTAIN = 3.0  # standard errors by which means must differ
OF_NUMBER = 2.0  # the same for the number of clusters, which chains of NUTS hardly change, so that theirs tells little


def can_check(density: LogPosterior, budget: Budget) -> bool:
    """Return True if the number of components is a bound, and a Gibbs sampler with split-merge moves is affordable."""
    model = density.model
    if not (budget.reconciles and model.weights.is_overfitted and is_conjugate(density)):
        return False
    return conjugate_sweeps.split_merge_period(density) > 0 and _thin(density, budget) > 0


def _thin(density: LogPosterior, budget: Budget) -> int:
    """Number of sweeps from one draw to the next; 0 if even one is too many."""
    sweeps = WORTH // (conjugate_sweeps.sweep_cost(density) * budget.chains * LONGER)
    return int(min((sweeps - TUNE) // budget.draws, THIN)) if sweeps > TUNE else 0


@dataclass(frozen=True)
class CrossCheck:
    """Comparison of a sampler's chains with those of a Gibbs sampler, in quantities that do not depend on labels.

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

    def __call__(self, drawn: Drawn, _: Replacing) -> Checked:
        """Return the draws of the Gibbs sampler if the chains disagree with each other, or with these.

        They disagree if the mean of some quantity differs by more than three standard errors (two, for the number of
        clusters) and a tenth of a posterior standard deviation. If the Gibbs sampler has not mixed well either, the
        chains are kept, with a warning.

        Raises
        ------
        KeyboardInterrupt
            If Ctrl-C comes.
        """
        self.progress.stage("checking by Gibbs sampling")
        ours = monitored(self.density, drawn.q, drawn.stats["lp"])
        judge, before = self.judge, agreement(ours)
        q, lp = judge.drawn.q, judge.drawn.stats["lp"]
        theirs = monitored(self.density, q, lp)
        apart = difference(ours, theirs, CERTAIN) or difference(ours[..., -1:], theirs[..., -1:], OF_NUMBER)
        if before.is_good(judge.wanted) and apart == 0.0:
            return Checked()
        if judge.agreement.rhat <= min(ALARMING_RHAT, max(before.rhat, HIGH_RHAT)):
            return Checked(Reconciled(q, lp, ReconciliationInfo("Gibbs sampling", before.rhat, difference=apart)))
        return Checked(warnings=(_WARNING.format(apart),) if apart else ())

    @cached_property
    def judge(self) -> Extension:
        """The chains of the Gibbs sampler; they are extended if their effective sample size is small."""
        draws, chains = self.budget.draws, self.budget.chains
        settings = {"tune": TUNE, "chains": chains, "thin": _thin(self.density, self.budget), "search": SEARCH}

        def draw(total: int, earlier: Array | None = None) -> Drawn:
            drawn = gibbs_chains.sample(
                self.density, self.seed, self.cores, Silent(), draws=total, earlier=earlier, **settings
            )
            if drawn.interrupted:
                raise KeyboardInterrupt
            new = drawn.q[:, 0 if earlier is None else earlier.shape[1] :]
            lp = evaluate([self.density] * new[..., 0].size, new.reshape(-1, self.density.size), self.cores)[0]
            return Drawn(new, {"lp": lp.reshape(new.shape[:2])})

        def more(drawn: Drawn, count: int, _: int) -> Drawn:
            return draw(drawn.draws + count, drawn.q)

        judge = Extension(self.density, draw(draws), more, LONGER * draws, wanted_ess(chains, draws))
        judge.run(Silent(), if_uncertain=True)
        return judge


def difference(one: Array, other: Array, certain: float) -> float:
    """Return the largest difference of the means of M quantities (chains, draws, M), in standard deviations.

    Differences that chance may have made (less than ``certain`` standard errors), or that no reader would notice, count
    as 0.

    Examples
    --------
    >>> one, other = np.random.default_rng(0).normal(size=(2, 4, 500, 3))
    >>> difference(one, other, 3.0), round(difference(one, other + 1.0, 3.0), 1)
    (0.0, 0.9)
    """
    pooled = np.concatenate([one.reshape(-1, one.shape[2]), other.reshape(-1, one.shape[2])]).std(axis=0)
    gap = np.abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1)))
    error = np.hypot(_standard_error(one), _standard_error(other))
    large = (gap > certain * error) & (gap > NOTICEABLE * pooled)
    return float((gap[large] / pooled[large]).max(initial=0.0))


def _standard_error(values: Array) -> Array:
    """Compute the standard errors of the means of M quantities (chains, draws, M)."""
    from arviz_stats.base.array import array_stats

    ordered = np.moveaxis(values, 2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ess = np.atleast_1d(array_stats.ess(ordered, chain_axis=1, draw_axis=2, method="mean"))
    return np.nan_to_num(values.std(axis=(0, 1)) / np.sqrt(ess))


_WARNING = (
    "A Gibbs sampler disagrees with these chains: a mean differs by {:.1f} standard deviations. Either may "
    "have missed numbers of clusters.\n  Try method='gibbs' with more draws, or fewer components."
)
