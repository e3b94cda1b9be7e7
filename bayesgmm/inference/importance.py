"""Importance ratios of posterior and approximation: quality of the approximation, and importance resampling."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.diagnosis.engines import BECAUSE_RESAMPLED, GOOD_SHARE, approximation_quality, too_narrow
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import GibbsComparison, ResamplingInfo
from bayesgmm.sweep.stats import Array

IntArray = NDArray[np.intp]

EXACT = 1e-6  # log ratios that differ by less than this count as equal: the approximation is exact
MIN_ASSESSED = 200  # minimum number of draws to assess an approximation
PLENTY = 4  # proposals per kept draw, times the inverse importance share: most kept draws are then distinct
PROPOSALS_WORTH = 3_000_000_000  # maximum cost of resampling: points x features x components x proposals
MAX_NUMBERS = 2**25  # maximum size of the proposals: a quarter of a gigabyte
FEW_EFFECTIVE = 100  # effective number of kept draws below which a warning is given
MAX_PROPOSALS = 20  # maximum number of proposals per kept draw


@dataclass(frozen=True)
class Draws:
    """Draws of an approximation.

    Parameters
    ----------
    q : (M, P) float
    lp, log_q : (M,) float
        Log density there of the posterior, up to a constant, and of the approximation.
    """

    q: Array
    lp: Array
    log_q: Array

    def __len__(self) -> int:
        return len(self.q)

    @property
    def log_ratio(self) -> Array:
        """(M,) log importance ratios."""
        return self.lp - self.log_q

    def take(self, chosen: IntArray | slice) -> "Draws":
        """Select some of the draws."""
        return Draws(self.q[chosen], self.lp[chosen], self.log_q[chosen])

    def __add__(self, other: "Draws") -> "Draws":
        return Draws(
            np.concatenate([self.q, other.q]),
            np.concatenate([self.lp, other.lp]),
            np.concatenate([self.log_q, other.log_q]),
        )


def smooth(log_ratio: Array) -> tuple[Array, float]:
    """Pareto-smooth importance weights (PSIS); return the weights (M,), which sum to one, and Pareto k-hat.

    The largest ratios are replaced by quantiles of a fitted Pareto distribution. This reduces their variance and adds
    a small bias.

    References
    ----------
    .. [1] Vehtari, Simpson, Gelman, Yao & Gabry (2024), J. Mach. Learn. Res. 25(72), 1-58.

    Examples
    --------
    >>> smooth(np.zeros(4))
    (array([0.25, 0.25, 0.25, 0.25]), 0.0)
    """
    from arviz_stats.base.array import array_stats

    log_ratio = _certain(log_ratio)
    if not log_ratio.max() > -np.inf:
        return np.full(len(log_ratio), 1 / len(log_ratio)), np.inf
    weight, khat = np.exp(log_ratio - log_ratio.max()), 0.0
    if log_ratio.max() - log_ratio.min() > EXACT:
        with np.errstate(all="ignore"):
            log_weight, fitted = array_stats.psislw(-log_ratio)
        khat = (
            float(fitted) if np.isfinite(fitted) else np.inf
        )  # with all weight on one or two draws there is no tail to fit
        weight = np.exp(log_weight) if np.isfinite(log_weight).any() and not np.isnan(log_weight).any() else weight
    return weight / weight.sum(), khat


@dataclass(frozen=True)
class Assessment:
    """Quality of an approximation.

    Parameters
    ----------
    elbo, elbo_se : float
        Evidence lower bound and its standard error, in nats.
    pareto_khat : float
        Shape of the tail of the importance ratios; the approximation is reliable below 0.7.
    importance_share : float
        Effective sample size of the importance weights, as a share of the draws.
    """

    elbo: float
    elbo_se: float
    pareto_khat: float
    importance_share: float


def assess(log_ratio: Array) -> Assessment:
    """Assess an approximation by the log ratios (M,) of posterior and approximation at draws of the approximation.

    References
    ----------
    .. [1] Yao, Vehtari, Simpson & Gelman (2018), Proc. Mach. Learn. Res. 80, 5581-5590.
    .. [2] Vehtari, Simpson, Gelman, Yao & Gabry (2024), J. Mach. Learn. Res. 25(72), 1-58.

    Examples
    --------
    >>> assess(np.zeros(1000)).importance_share
    1.0
    """
    log_ratio = _certain(log_ratio)
    with np.errstate(invalid="ignore"):
        error = float(log_ratio.std(ddof=1) / np.sqrt(len(log_ratio)))
    return Assessment(float(log_ratio.mean()), error, smooth(log_ratio)[1], importance_share(log_ratio))


def importance_share(log_ratio: Array) -> float:
    """Compute the effective sample size of importance weights, as a share of the draws, from their logarithms (M,).

    Examples
    --------
    >>> importance_share(np.log([1.0, 1.0, 1e-9, 1e-9])).__round__(6)
    0.5
    """
    if not (top := log_ratio.max()) > -np.inf:
        return 0.0
    weight = np.exp(log_ratio - top)
    return float(weight.sum() ** 2 / (weight**2).sum() / len(weight))


def log_evidence(log_ratio: Array) -> tuple[float, float]:
    """Compute the log of the mean importance ratio and its standard error, from log ratios (M,) at proposals.

    With normalised proposals it is the log of the integral of the target: the log evidence.

    Examples
    --------
    >>> log_evidence(np.full(100, -3.0))
    (-3.0, 0.0)
    """
    log_ratio = _certain(log_ratio)
    if not (top := log_ratio.max()) > -np.inf:
        return -np.inf, np.inf
    weight = np.exp(log_ratio - top)
    error = weight.std(ddof=1) / (weight.mean() * np.sqrt(len(weight)))
    return float(top + np.log(weight.mean())), float(error)


def quality_warnings(khat: float, share: float, because: str) -> list[str]:
    """Return warnings about an approximation that is too narrow, by its Pareto k-hat and importance share."""
    return [str(finding) for finding in too_narrow(khat, share, because)]


def _certain(log_ratio: Array) -> Array:
    """Replace undefined log ratios by minus infinity: a draw without posterior density has weight zero."""
    return np.where(np.isnan(log_ratio), -np.inf, log_ratio)


def resample(weight: Array, draws: int, rng: np.random.Generator) -> IntArray:
    """Systematic resampling: return the indices of the kept draws, in random order.

    Each draw is kept as often as its weight requires, rounded down or up, so that repeats are as few as possible and
    expectations are unbiased. (Sampling without replacement has no repeats, but gives the draws of largest weight too
    little, so that intervals are too narrow.)

    References
    ----------
    .. [1] Kitagawa (1996), J. Comput. Graph. Stat. 5(1), 1-25.

    Examples
    --------
    >>> np.sort(resample(np.array([0.5, 0.0, 0.25, 0.25]), 4, np.random.default_rng(0)))
    array([0, 0, 2, 3])
    """
    steps = np.cumsum(weight)
    at = (rng.uniform() + np.arange(draws)) / draws * steps[-1]
    return rng.permutation(np.minimum(np.searchsorted(steps, at, side="right"), len(weight) - 1))


def effective(chosen: IntArray) -> float:
    """Compute the effective number of distinct draws among the kept ones, which contain repeats.

    Examples
    --------
    >>> effective(np.array([1, 2, 3])), effective(np.array([1, 1]))
    (3.0, 1.0)
    """
    counts = np.unique(chosen, return_counts=True)[1]
    return float(len(chosen) ** 2 / (counts**2).sum())


def wanted(share: float, draws: int) -> int:
    """Compute the number of proposals needed for ``draws`` kept draws at an importance share."""
    return min(int(np.ceil(PLENTY * draws / share)), MAX_PROPOSALS * draws)


@dataclass(frozen=True)
class Kept:
    """Diagnostics of the importance ratios of all proposals.

    Parameters
    ----------
    pareto_khat, importance_share : float
    resampled : ResamplingInfo, optional
        None without resampling.
    missed_share : float, optional
        Share of the posterior in a region without draws; None if none was looked for.
    compared : GibbsComparison, optional
        None if no Gibbs run has converged.
    not_compared : str, optional
        Reason why there is no comparison.
    """

    pareto_khat: float
    importance_share: float
    resampled: ResamplingInfo | None = None
    missed_share: float | None = None
    compared: GibbsComparison | None = None
    not_compared: str | None = None


def keep(
    assessed: Draws, draws: int, affordable: int, propose: Callable[[int], Draws], rng: np.random.Generator
) -> tuple[Draws, Kept]:
    """Select the draws that a fit keeps: those already assessed if they are good, else resampled from more proposals.

    Parameters
    ----------
    assessed : Draws
        Assessed draws, at least ``draws``.
    draws : int
        Number of draws to keep.
    affordable : int
        Maximum total number of proposals.
    propose : function
        Returns the given number of new draws. Ctrl-C stops after those made so far.
    rng : Generator

    Returns
    -------
    Draws, Kept
        With the Pareto k-hat and importance share of all proposals.

    References
    ----------
    .. [1] Rubin (1987), J. Am. Stat. Assoc. 82(398), 543-546.
    .. [2] Zhang, Carpenter, Gelman & Vehtari (2022), J. Mach. Learn. Res. 23(306), 1-49.
    """
    assessment = assess(assessed.log_ratio)
    if (share := assessment.importance_share) >= GOOD_SHARE:
        return assessed.take(slice(draws)), Kept(assessment.pareto_khat, share)
    proposals = assessed
    try:
        while (missing := min(wanted(share, draws), affordable) - len(proposals)) > 0:
            proposals += propose(min(missing, len(assessed)))
    except KeyboardInterrupt:
        pass
    chosen = resample(smooth(proposals.log_ratio)[0], draws, rng)
    resampled = ResamplingInfo(len(proposals), len(np.unique(chosen)), effective(chosen))
    assessment = assess(proposals.log_ratio)
    return proposals.take(chosen), Kept(assessment.pareto_khat, assessment.importance_share, resampled)


def resampling_warnings(assessment: Kept, draws: int) -> list[str]:
    """Return warnings about kept draws: too narrow, in one region of several, or too few effective ones."""
    resampled = assessment.resampled
    khat, share = assessment.pareto_khat, assessment.importance_share
    found = approximation_quality(khat, share, BECAUSE_RESAMPLED, assessment.missed_share, assessment.compared)
    messages = [str(finding) for finding in found]
    if resampled and resampled.effective < (needed := min(FEW_EFFECTIVE, draws / 2)):
        messages.append(
            f"The {draws} draws, resampled from {resampled.proposals} of the approximation, have an effective sample "
            f"size of only {resampled.effective:.0f} ({needed:.0f} wanted). Their intervals are imprecise. "
            "Try method='nuts' (on a sample of the rows, if they are many), or more draws."
        )
    return messages


def affordable(density: LogPosterior) -> int:
    """Maximum total number of proposals."""
    return min(PROPOSALS_WORTH // density.sweep_cost, MAX_NUMBERS // density.size)
