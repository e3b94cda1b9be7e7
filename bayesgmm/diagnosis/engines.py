"""Checks of what the engine reported: the quality of an approximation, and warnings during the fit."""

from typing import TYPE_CHECKING

from bayesgmm.findings import Finding
from bayesgmm.posterior.criteria import HIGH_KHAT
from bayesgmm.posterior.info import info

if TYPE_CHECKING:
    import xarray as xr

GOOD_SHARE = 0.9  # importance share from which the draws of an approximation need no correction
BECAUSE_RESAMPLED = "and resampling can't add regions that were never drawn"
BECAUSE_FACTORS = "because its factors are independent"


def too_narrow(khat: float, share: float, because: str) -> list[Finding]:
    """Check by importance ratios that an approximation covers the posterior.

    Pareto k-hat measures the tail of the ratios. When all ratios are near one, the tail does not matter, so k-hat is
    ignored when the importance share is large.

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
    if not khat > HIGH_KHAT or share >= GOOD_SHARE:
        return []
    what = (
        f"The approximation misses part of the posterior (Pareto k-hat {khat:.2f}; it should be below {HIGH_KHAT}), "
        f"{because}."
    )
    advice = "Try method='nuts', fewer components, or a stronger prior."
    evidence: dict[str, object] = {"pareto_khat": khat, "importance_share": share}
    why = "Its means are more reliable than its intervals."
    return [Finding("warning", "approximation", what, why, advice, evidence)]


def approximation(fit: "xr.DataTree") -> list[Finding]:
    """Check an approximation by the importance ratios that the fit stores."""
    notes = info(fit).notes
    if notes.pareto_khat is None or notes.importance_share is None:
        return []
    because = BECAUSE_RESAMPLED if notes.approximation is None else BECAUSE_FACTORS
    return too_narrow(notes.pareto_khat, notes.importance_share, because)


def stored_warnings(fit: "xr.DataTree", findings: list[Finding]) -> list[Finding]:
    """Return the warnings that the fit stores, except those that the findings repeat."""
    known = {str(finding) for finding in findings}
    messages = [message for message in info(fit).warnings if message not in known]
    return [Finding("warning", "warnings of the fit", message, "", "") for message in messages]
