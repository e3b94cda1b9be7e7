"""Quick convergence checks: R-hat and ESS of label-free quantities and of components, and diagnostics of NUTS."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.findings import Finding
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.draws import sampled, size, statistic
from bayesgmm.posterior.schema import holds_points, observed, unpack
from bayesgmm.sweep.stats import Array, log_densities
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import xarray as xr

HIGH_RHAT = 1.01
ALARMING_RHAT = 1.05
LOW_ESS = 100  # a chain
LEAST_DRAWS = 4  # below, R-hat is not defined
REFERENCES = 8  # points where the density is watched
LOW_BFMI = 0.3
RARE = 0.01  # share of draws up to which divergences are a doubt, and no problem yet
Summary = tuple["xr.Dataset", "xr.Dataset"]


def convergence(fit: "xr.DataTree") -> Summary:
    """R-hat and bulk ESS of weights, means, what the priors learn, and the total log likelihood."""
    import arviz as az

    chosen = _by_component(fit)
    if (loglik := statistic(fit, "loglik")) is not None:
        chosen = chosen.assign(loglik=loglik)
    with np.errstate(invalid="ignore", divide="ignore"):  # the weight of a lone component never moves: NaN
        return az.rhat(chosen), az.ess(chosen)


def _by_component(fit: "xr.DataTree") -> "xr.Dataset":
    """Return the relabelled posterior without covariances."""
    chosen = fit["posterior"].to_dataset()
    chosen = chosen.drop_vars([name for name in chosen.data_vars if "feature_bis" in chosen[name].dims])
    parameters = aligned(fit).parameters
    for name in ("weight", "mean"):
        ordered = chosen[name].transpose("chain", "draw", "component", ...)
        chosen[name] = ordered.copy(data=getattr(parameters, name).reshape(ordered.shape))
    return chosen


def watched(fit: "xr.DataTree") -> "xr.Dataset":
    """Compute label-free quantities of each draw: the total log likelihood, and log densities at some points.

    Returns
    -------
    Dataset
        ``loglik`` [chain, draw], where the fit stores it; ``log_density`` [chain, draw, point] at up to eight
        points of the data, evenly spaced, where it holds data.
    """
    import xarray as xr

    found = {}
    if (loglik := statistic(fit, "loglik")) is not None:
        found["loglik"] = loglik
    if holds_points(fit):
        points = observed(fit)
        at = np.unique(np.linspace(0, len(points.values) - 1, REFERENCES).round().astype(int))
        values = _log_densities(fit, points.values[at]).reshape(*size(fit), len(at))
        found["log_density"] = xr.DataArray(values, dims=("chain", "draw", "point"), coords={"point": points.index[at]})
    return xr.Dataset(found)


def _log_densities(fit: "xr.DataTree", values: Array) -> Array:
    posterior = unpack(fit)
    return log_densities(posterior.standard.blocks(values), posterior.tables()) - posterior.standard.log_scale


def doubts(fit: "xr.DataTree") -> list[str]:
    """Return the findings of the quick checks that every fit runs when it ends.

    Nothing for a point estimate, or for independent draws of an approximation: what is wrong there is not in the draws.

    References
    ----------
    .. [1] Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2), 667-718.
    """
    return [str(finding) for check in (divergences, mixing) for finding in check(fit)] if sampled(fit) else []


def divergences(fit: "xr.DataTree") -> list[Finding]:
    """Divergent transitions of NUTS."""
    diverging = statistic(fit, "diverging")
    count = int(diverging.sum()) if diverging is not None else 0
    if diverging is None or not count:
        return []
    share = count / diverging.size
    every = "All" if share == 1 else f"{count} of"
    return [
        Finding(
            "doubt" if share <= RARE else "problem",
            "divergences",
            f"{every} {diverging.size} draws diverged: parts of the posterior may be missing.",
            "The posterior is sharply curved there, and the sampler's steps were too long.",
            "Try target_accept=0.95, a stronger prior, or fewer components.",
            {"count": count, "share": share},
        )
    ]


def mixing(fit: "xr.DataTree") -> list[Finding]:
    """Check R-hat and effective sample sizes."""
    draws = size(fit)[1]
    if draws < LEAST_DRAWS:
        few = f"There {'is' if draws == 1 else 'are'} only {plural(draws, 'draw')} a chain"
        what = f"{few}: too few to tell whether the chains agree."
        return [Finding("problem", "mixing", what, "No uncertainty can be read off so few.", "Draw more.")]
    why = "Averages and intervals would come out differently in another run."
    free = watched(fit)  # nothing, where a fit holds neither data nor its log likelihood
    if free.data_vars and (found := _trouble(fit, *_judged(free), why)):
        return found
    why = "They agree on the density of the data, and not on single components: what is said of those is uncertain."
    return _trouble(fit, *convergence(fit), why)


def _judged(values: "xr.Dataset") -> Summary:
    import arviz as az

    with np.errstate(invalid="ignore", divide="ignore"):
        return az.rhat(values), az.ess(values)


def _trouble(fit: "xr.DataTree", rhat: "xr.Dataset", ess: "xr.Dataset", why: str) -> list[Finding]:
    """Return a finding when R-hat is too high or the effective sample size too low."""
    chains, draws = size(fit)
    needed = min(LOW_ESS * chains, draws * chains // 4)
    (name, high), (scarce, low) = _extreme(rhat, max), _extreme(ess, min)
    problems = []
    if chains > 1 and high > HIGH_RHAT:
        problems.append(f"R-hat reaches {high:.3f} at {name} (it should stay below {HIGH_RHAT})")
    if low < needed:
        problems.append(f"the effective sample size falls to {low:.0f} at {scarce} ({needed} wanted)")
    if not problems:
        return []
    severity = "problem" if (chains > 1 and high > ALARMING_RHAT) or low < needed / 4 else "doubt"
    what = f"The chains do not agree yet: {'; '.join(problems)}."
    advice = "Try more draws, fewer components, or a stronger prior; several modes may fit these data about as well."
    return [Finding(severity, "mixing", what, why, advice, {"rhat": high, "ess": low, "at": name})]


def lone_chain(fit: "xr.DataTree") -> list[Finding]:
    """One chain can't disagree with itself."""
    if size(fit)[0] > 1:
        return []
    what = "There is only one chain, so its convergence can't be checked against others."
    why = "A chain that is stuck at one of several modes looks perfect by itself."
    return [Finding("doubt", "chains", what, why, "Draw four chains: chains=4.")]


def energy(fit: "xr.DataTree") -> list[Finding]:
    """Check the energy transitions of Hamiltonian Monte Carlo (BFMI).

    References
    ----------
    .. [1] Betancourt (2016), arXiv:1604.00695.
    """
    values = statistic(fit, "energy")
    if values is None or values.sizes["draw"] < LEAST_DRAWS:
        return []
    import arviz as az

    with np.errstate(invalid="ignore", divide="ignore"):
        fractions = np.atleast_1d(az.bfmi(values.to_dataset(name="energy"))["energy"].values)
    low = np.flatnonzero(fractions < LOW_BFMI)
    if not low.size:
        return []
    bfmi = f"BFMI {fractions.min():.2f}; it should stay above {LOW_BFMI}"
    what = f"The energy of {chains_named(low)} changes too slowly ({bfmi})."
    why = "The sampler moves slowly between the centre and the tails of the posterior, and intervals may be too narrow."
    advice = "Try more draws, a stronger prior, or fewer components."
    return [Finding("doubt", "energy", what, why, advice, {"bfmi": fractions.tolist()})]


def tree_depth(fit: "xr.DataTree") -> list[Finding]:
    """Trajectories of NUTS that were cut short."""
    reached = statistic(fit, "reached_max_treedepth", "maxdepth_reached")
    share = float(reached.mean()) if reached is not None else 0.0
    if not share > RARE:
        return []
    what = f"{share:.0%} of the trajectories were cut short at the largest tree depth."
    why = "The draws are not wrong, but each moves less far than it should: fewer are independent."
    return [Finding("note", "tree depth", what, why, "Try a stronger prior, or fewer components.", {"share": share})]


def chains_named(which: Any) -> str:
    """Chains as a sentence names them."""
    names = ", ".join(str(one) for one in which)
    return f"chain {names}" if len(which) == 1 else f"chains {names}"


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
