"""What may be wrong with a fit, in words."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

HIGH_RHAT = 1.01
LOW_ESS = 100  # a chain
SHOWN = 3


def doubts(fit: "xr.DataTree") -> list[str]:
    """Why the draws of a fit should not be trusted as they are: what, how bad, what to try.

    Nothing for a point estimate, or for independent draws of an approximation: what is wrong there is not in the draws.

    References
    ----------
    .. [1] Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2), 667-718.
    """
    if fit["posterior"].sizes["chain"] * fit["posterior"].sizes["draw"] == 1 or approximate(fit):
        return []
    found = [_divergences(fit), _mixing(fit)]
    return [message for message in found if message]


def approximate(fit: "xr.DataTree") -> bool:
    """Whether the draws come from an approximation, independently, whose density is then known."""
    return "log_q" in fit["sample_stats"]


def convergence(fit: "xr.DataTree") -> "tuple[xr.Dataset, xr.Dataset]":
    """R-hat and bulk ESS of weights, means, what the priors learn, and the total log likelihood."""
    import arviz as az

    chosen = fit["posterior"].to_dataset()
    chosen = chosen.drop_vars([name for name in chosen.data_vars if "feature_bis" in chosen[name].dims])
    if "loglik" in fit["sample_stats"]:
        chosen = chosen.assign(loglik=fit["sample_stats"]["loglik"])
    with np.errstate(invalid="ignore", divide="ignore"):  # the weight of a lone component never moves: NaN
        return az.rhat(chosen), az.ess(chosen)


def _divergences(fit: "xr.DataTree") -> str:
    stats = fit["sample_stats"]
    count = int(stats["diverging"].sum()) if "diverging" in stats else 0
    if not count:
        return ""
    return (
        f"{count} of {stats['diverging'].size} draws diverged: parts of the posterior may be missing. "
        "Try target_accept=0.95, a stronger prior, or fewer components."
    )


def _mixing(fit: "xr.DataTree") -> str:
    chains, draws = fit["posterior"].sizes["chain"], fit["posterior"].sizes["draw"]
    if draws < 4:
        return f"only {draws} draws a chain: too few to tell whether the chains agree. Draw more."
    rhat, ess = convergence(fit)
    problems = []
    if chains > 1 and (worst := _extreme(rhat, max))[1] > HIGH_RHAT:
        problems.append(f"R-hat reaches {worst[1]:.3f} at {worst[0]} (it should stay below {HIGH_RHAT})")
    needed = min(LOW_ESS * chains, draws * chains // 4)
    if (worst := _extreme(ess, min))[1] < needed:
        problems.append(f"the effective sample size falls to {worst[1]:.0f} at {worst[0]} ({needed} wanted)")
    if not problems:
        return ""
    return (
        f"The chains do not agree yet: {'; '.join(problems)}. Try more draws, fewer components, or a stronger prior; "
        "several modes may fit these data about as well."
    )


def _extreme(values: "xr.Dataset", pick: Callable[..., Any]) -> tuple[str, float]:
    """Name and value of the most extreme entry."""
    entries = []
    for name, array in values.data_vars.items():
        for index in np.ndindex(array.shape):
            labels = ", ".join(str(array[dim].values[i]) for dim, i in zip(array.dims, index, strict=True))
            value = float(array.values[index])
            if np.isfinite(value):
                entries.append((f"{name}[{labels}]" if labels else str(name), value))
    return pick(entries, key=lambda entry: entry[1], default=("nothing", float("nan")))
