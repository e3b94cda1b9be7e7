"""Check of parallel tempering: how often states have travelled between the prior and the posterior."""

from typing import TYPE_CHECKING

from bayesgmm.findings import Finding
from bayesgmm.posterior.info import info
from bayesgmm.posterior.notes import TemperingInfo
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import xarray as xr

MIN_TRIPS = 10  # round trips, over all chains


def round_trips(fit: "xr.DataTree") -> list[Finding]:
    """Check that states have made round trips between the prior and the posterior."""
    ladder = info(fit).notes.tempering
    return few_round_trips(ladder) if ladder else []


def few_round_trips(ladder: TemperingInfo) -> list[Finding]:
    """Return a finding if there were few round trips.

    Examples
    --------
    >>> few_round_trips(TemperingInfo((0.0, 1.0), (0.4,), 3, 50.0, -12.3, 0.5))[0].what
    'Parallel tempering made 3 round trips between the prior and the posterior (at least 10 are needed).'
    """
    count = ladder.round_trips
    if count >= MIN_TRIPS:
        return []
    made = plural(count, "round trip") if count else "no round trip"
    what = f"Parallel tempering made {made} between the prior and the posterior (at least {MIN_TRIPS} are needed)."
    why = "Modes may be missing, or have the wrong probability; the error of the log evidence may be too small."
    return [Finding("warning", "tempering", what, why, "Use more draws, or a larger thin.", {"round_trips": count})]
