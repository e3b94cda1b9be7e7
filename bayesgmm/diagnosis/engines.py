"""Checks of what the engine reported: the quality of an approximation, and warnings during the fit."""

import math
from typing import TYPE_CHECKING

from bayesgmm.findings import Finding
from bayesgmm.posterior.criteria import HIGH_KHAT
from bayesgmm.posterior.draws import sampled
from bayesgmm.posterior.info import info
from bayesgmm.posterior.notes import GibbsComparison

if TYPE_CHECKING:
    import xarray as xr

POOR_SHARE = 0.1  # importance share below which an approximation is a problem, whatever its k-hat
GOOD_SHARE = 0.9  # importance share from which the draws of an approximation need no correction
NOTICEABLE = 0.05  # share of the posterior in a missed region that may hold an end of a 90 % interval
TOLERATED_SHIFT, TOLERATED_FACTOR = 0.12, 1.35  # of medians (0.4 standard deviations of a normal) and interval widths
TOLERATED_PROBABILITY = 0.1  # of a number of clusters
BECAUSE_RESAMPLED = "and resampling can't add regions that were never drawn"
BECAUSE_FACTORS = "because its factors are independent"


def too_narrow(khat: float, share: float, because: str) -> list[Finding]:
    """Check by importance ratios that an approximation covers the posterior.

    Pareto k-hat measures the tail of the ratios. When all ratios are near one, the tail does not matter, so k-hat is
    ignored when the importance share is large. When the share is small, the draws differ from those of the posterior
    although the tail may be light, as that of an approximation that is too narrow everywhere.

    Parameters
    ----------
    khat : float
        Pareto k-hat.
    share : float
        Importance share: the effective sample size as a share of the draws.
    because : str
        End of the sentence about the posterior that is missed: the reason.

    References
    ----------
    .. [1] Yao, Vehtari, Simpson & Gelman (2018), Proc. Mach. Learn. Res. 80, 5581-5590.
    """
    if share >= GOOD_SHARE or not (khat > HIGH_KHAT or share < POOR_SHARE):
        return []
    if khat > HIGH_KHAT:
        measure = f"Pareto k-hat {khat:.2f}; it should be below {HIGH_KHAT}"
    else:
        measure = f"importance share {share:.3f}; it should be at least {POOR_SHARE}"
    what = f"The approximation misses part of the posterior ({measure}), {because}."
    advice = "Try method='nuts' (on a sample of the rows, if they are many), fewer components, or a stronger prior."
    evidence: dict[str, object] = {"pareto_khat": khat, "importance_share": share}
    why = "Do not use its intervals: they are too narrow. Its means are more reliable."
    return [Finding("warning", "approximation", what, why, advice, evidence)]


def difference(compared: GibbsComparison) -> float:
    """Return the largest difference from a Gibbs run, as a multiple of the tolerated one.

    Examples
    --------
    >>> round(difference(GibbsComparison(shift=0.06, width=1.35**2)), 6)
    2.0
    """
    factor = abs(math.log(compared.width)) / math.log(TOLERATED_FACTOR)
    moved = (compared.n_clusters or 0.0) / TOLERATED_PROBABILITY
    return max(compared.shift / TOLERATED_SHIFT, factor, moved)


def differs(compared: GibbsComparison) -> list[Finding]:
    """Check the medians and intervals of an approximation against those of a short Gibbs run.

    They say how much the answer is wrong, and importance ratios only that it may be.
    """
    evidence: dict[str, object] = {"shift": compared.shift, "width": compared.width}
    advice = "Use method='nuts' or 'gibbs'."
    if (moved := compared.n_clusters or 0.0) > TOLERATED_PROBABILITY:
        what = (
            "The approximation differs from a short Gibbs run: the probability of a number of clusters by up to "
            f"{moved:.2f}."
        )
        why = "Do not use its number of clusters, nor its intervals."
        return [Finding("warning", "approximation", what, why, advice, {**evidence, "n_clusters": moved})]
    if difference(compared) <= 1:
        return []
    what = (
        f"The approximation differs from a short Gibbs run: medians by up to {compared.shift:.0%} of the width of a "
        f"90% interval, and such an interval is {compared.width:.2f} times as wide."
    )
    why = "Its intervals and probabilities are inexact by as much."
    return [Finding("warning", "approximation", what, why, advice, evidence)]


def missed_region(share: float | None) -> list[Finding]:
    """Check the share of the posterior in a region that a short Gibbs run has found beside the approximation."""
    if share is None or share < NOTICEABLE:
        return []
    size = "unknown probability" if math.isnan(share) else f"about {share:.0%} of the posterior"
    what = f"The approximation misses a region with {size}, which a short Gibbs run found."
    why = "Means, intervals and probabilities describe the other regions only."
    return [Finding("warning", "approximation", what, why, "Use method='nuts' or 'gibbs'.", {"missed_share": share})]


def approximation_quality(
    khat: float, share: float, because: str, missed_share: float | None, compared: GibbsComparison | None
) -> list[Finding]:
    """Check an approximation: against a Gibbs run where one has converged, else by its importance ratios.

    Parameters
    ----------
    khat, share, because
        As for ``too_narrow``.
    missed_share : float, optional
        As for ``missed_region``.
    compared : GibbsComparison, optional
    """
    missed = missed_region(missed_share)
    if compared is None:
        return [*too_narrow(khat, share, because), *missed]
    return missed or differs(compared)


def approximation(fit: "xr.DataTree") -> list[Finding]:
    """Check an approximation by what its fit stores."""
    notes = info(fit).notes
    if notes.pareto_khat is None or notes.importance_share is None:
        return []
    is_resampled = notes.resampled is not None or notes.approximation is None
    because = BECAUSE_RESAMPLED if is_resampled else BECAUSE_FACTORS
    return approximation_quality(notes.pareto_khat, notes.importance_share, because, notes.missed_share, notes.compared)


def unseen_regions(fit: "xr.DataTree") -> list[Finding]:
    """Say that draws were not compared with a Gibbs run, and why."""
    reason = info(fit).notes.not_compared
    if reason is None:
        return []
    chains = sampled(fit)
    what = f"The {'chains were' if chains else 'approximation was'} not compared with a Gibbs run: {reason}."
    why = f"{'Their' if chains else 'Its'} own draws do not show a region of the posterior that they miss."
    advice = "Compare with method='gibbs' or 'nuts', on a sample of the rows if they are many."
    if chains:
        advice = "Use at least draws=200, or compare with method='gibbs'."
    return [Finding("note", "modes" if chains else "approximation", what, why, advice, {"not_compared": reason})]


def approximation_or_note(fit: "xr.DataTree") -> list[Finding]:
    """Check an approximation by what its fit stores; a note, if all that it stores are its own importance ratios."""
    return approximation(fit) or unseen_regions(fit)


def stored_warnings(fit: "xr.DataTree", findings: list[Finding]) -> list[Finding]:
    """Return the warnings that the fit stores, except those that the findings repeat."""
    known = {str(finding) for finding in findings}
    messages = [message for message in info(fit).warnings if message not in known]
    return [Finding("warning", "warnings of the fit", message, "", "") for message in messages]
