"""Checks of what the engine reported when it made the fit."""

from typing import TYPE_CHECKING

from bayesgmm.findings import Finding
from bayesgmm.posterior.criteria import HIGH_KHAT
from bayesgmm.posterior.info import info

if TYPE_CHECKING:
    import xarray as xr

GOOD_SHARE = 0.9  # of the draws that as many draws of the posterior are worth: they need no correction
BECAUSE_RESAMPLED = "and resampling can't bring back what was never drawn"
BECAUSE_FACTORS = "as independent factors do"


def too_narrow(khat: float, share: float, because: str) -> list[Finding]:
    """Check by importance ratios that an approximation covers the posterior.

    k-hat sees the ratios' shape and not their size: where all are near one, it has nothing to tell.

    Parameters
    ----------
    khat : float
        Pareto k-hat.
    share : float
        Importance share: the effective sample size as a share of the draws.
    because : str
        Why such an approximation does.

    References
    ----------
    .. [1] Yao, Vehtari, Simpson & Gelman (2018), Proc. Mach. Learn. Res. 80, 5581-5590.
    """
    if not khat > HIGH_KHAT or share >= GOOD_SHARE:
        return []
    what = (
        f"The approximation misses part of the posterior (Pareto k-hat {khat:.2f}; it should stay below {HIGH_KHAT}), "
        f"{because}."
    )
    advice = "Try method='nuts', fewer components, or a stronger prior."
    evidence: dict[str, object] = {"pareto_khat": khat, "importance_share": share}
    why = "Trust its means more than its intervals."
    return [Finding("doubt", "approximation", what, why, advice, evidence)]


def approximation(fit: "xr.DataTree") -> list[Finding]:
    """``too_narrow`` of what the fit stores, where it is an approximation."""
    notes = info(fit).notes
    if notes.pareto_khat is None or notes.importance_share is None:
        return []
    because = BECAUSE_RESAMPLED if notes.approximation is None else BECAUSE_FACTORS
    return too_narrow(notes.pareto_khat, notes.importance_share, because)


def said(fit: "xr.DataTree", found: list[Finding]) -> list[Finding]:
    """Return the warnings of the fit, except those that the checks repeat."""
    known = {str(finding) for finding in found}
    messages = [message for message in info(fit).warnings if message not in known]
    return [Finding("doubt", "said when fitted", message, "", "") for message in messages]
