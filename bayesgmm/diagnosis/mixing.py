"""Quick convergence checks: R-hat and ESS of label-free quantities and of components, and diagnostics of NUTS."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import Points
from bayesgmm.findings import Finding
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.chain_statistics import MIN_DRAWS, bfmi, of_dataset
from bayesgmm.posterior.draws import components, number_varies, sampled, size, statistic
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import holds_points, observed, unpack
from bayesgmm.sweep.stats import Array, log_densities
from bayesgmm.wording import FEWER, advice, plural

if TYPE_CHECKING:
    import xarray as xr

HIGH_RHAT = 1.01
ALARMING_RHAT = 1.05  # above it: a problem, not a warning
LOW_ESS = 100  # per chain
REFERENCES = 8  # number of points at which the density is monitored
LOW_BFMI = 0.3
RARE = 0.01  # share of draws up to which divergences are no problem by themselves
NOTICEABLE = 0.1  # standard deviations by which a mean may move before a reader would notice
Summary = tuple["xr.Dataset", "xr.Dataset"]


def convergence(fit: "xr.DataTree") -> Summary:
    """Compute R-hat and bulk ESS of all that a report shows of a posterior.

    That is the weights, means, standard deviations and hyperparameters, and the total log likelihood.
    """
    chosen = _by_component(fit)
    if (loglik := statistic(fit, "loglik")) is not None:
        chosen = chosen.assign(loglik=loglik)
    return rhat_and_ess(chosen)


def _by_component(fit: "xr.DataTree") -> "xr.Dataset":
    """Return the relabelled posterior, with standard deviations in place of covariances."""
    chosen = fit["posterior"].to_dataset()
    chosen = chosen.drop_vars([name for name in chosen.data_vars if "feature_bis" in chosen[name].dims])
    p = aligned(fit).parameters
    weight, mean = (chosen[name].transpose("chain", "draw", "component", ...) for name in ("weight", "mean"))
    sd = np.sqrt(np.diagonal(p.covariance, axis1=-2, axis2=-1))
    return chosen.assign(
        weight=weight.copy(data=p.weight.reshape(weight.shape)),
        mean=mean.copy(data=p.mean.reshape(mean.shape)),
        sd=mean.copy(data=sd.reshape(mean.shape)),
    )


def monitored(fit: "xr.DataTree") -> "xr.Dataset":
    """Compute label-free quantities of each draw: the total log likelihood, and log densities at some points.

    Returns
    -------
    Dataset
        ``loglik`` [chain, draw], if the fit stores it; ``log_density`` [chain, draw, point] at up to eight evenly
        spaced points of the data, if the fit contains its data; ``n_components`` [chain, draw], if it is unknown.
    """
    import xarray as xr

    quantities = {}
    if (loglik := statistic(fit, "loglik")) is not None:
        quantities["loglik"] = loglik
    if holds_points(fit):
        points = observed(fit)
        at = np.unique(np.linspace(0, len(points.values) - 1, REFERENCES).round().astype(int))
        values = _log_densities(fit, points.take(at)).reshape(*size(fit), len(at))
        coords = {"point": points.index[at]}
        quantities["log_density"] = xr.DataArray(values, dims=("chain", "draw", "point"), coords=coords)
    if number_varies(fit):
        quantities["n_components"] = fit["posterior"]["n_components"].astype(float)
    return xr.Dataset(quantities)


def _log_densities(fit: "xr.DataTree", points: Points) -> Array:
    posterior = unpack(fit)
    blocks = posterior.standard.blocks(points)
    return log_densities(blocks, posterior.tables()) - posterior.standard.log_scales(blocks)


def fit_warnings(fit: "xr.DataTree") -> list[str]:
    """Return the problems and warnings of the quick checks that run at the end of every fit, as text.

    What changes no conclusion is a note, which ``diagnose`` shows. Empty for a point estimate and for independent draws
    from an approximation, which have no chains to check.

    References
    ----------
    .. [1] Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2), 667-718.
    """
    findings = [finding for check in (divergences, mixing) for finding in check(fit)] if sampled(fit) else []
    return [str(finding) for finding in findings if finding.severity != "note"]


def divergences(fit: "xr.DataTree") -> list[Finding]:
    """Check for divergent transitions of NUTS: how many there are, and how far the results move without them."""
    diverging = statistic(fit, "diverging")
    count = int(diverging.sum()) if diverging is not None else 0
    if diverging is None or not count:
        return []
    share, moved = count / diverging.size, _change_without(fit, diverging)
    every = "All" if share == 1 else f"{count} of"
    severity = "problem" if share > RARE else "warning" if moved > NOTICEABLE else "note"
    return [
        Finding(
            severity,
            "divergences",
            f"{every} {diverging.size} transitions diverged: parts of the posterior may be missing.",
            "The step size of the sampler was too large where the posterior is strongly curved.",
            advice(components(fit), "target_accept=0.95", "a stronger prior", FEWER),
            {"count": count, "share": share, "change": moved},
        )
    ]


def _change_without(fit: "xr.DataTree", diverging: "xr.DataArray") -> float:
    """Largest change of the mean of a label-free quantity without the divergent draws, in standard deviations."""
    changes = [0.0]
    for values in monitored(fit).data_vars.values():
        kept = values.where(~diverging.astype(bool))
        change = abs(kept.mean(["chain", "draw"]) - values.mean(["chain", "draw"])) / values.std(["chain", "draw"])
        changes.append(float(change.max()))
    return float(np.nanmax(changes))


def mixing(fit: "xr.DataTree") -> list[Finding]:
    """Check R-hat and effective sample sizes."""
    return _mixing(fit) + _replaced(fit) + _extended(fit)


def _extended(fit: "xr.DataTree") -> list[Finding]:
    """Return a note if the engine made more draws than were asked for."""
    if not (extended := info(fit).notes.extended):
        return []
    what = f"The run was extended from {extended.asked} to {extended.draws} draws of each chain."
    why = "The effective sample size was small before."
    return [Finding("note", "mixing", what, why, "", {"asked": extended.asked, "draws": extended.draws})]


def _replaced(fit: "xr.DataTree") -> list[Finding]:
    """Return a note if the engine's own chains disagreed, or missed something, and their draws were replaced."""
    if not (replaced := info(fit).notes.reconciled):
        return []
    high, by = f"{replaced.rhat:.2f}", replaced.by
    what = f"The chains disagreed (R-hat {high}), and were replaced: the draws come from {by}."
    if replaced.difference:
        moved = f"a mean by {replaced.difference:.1f} standard deviations"
        what = f"The chains differed from Gibbs sampling ({moved}), and were replaced: the draws come from {by}."
    if replaced.missed is not None:
        where = f"about {replaced.missed:.1%}, by a short Gibbs run"
        what = f"The chains may have missed a part of the posterior ({where}): the draws come from {by}."
    why = "They visit all regions that the chains have found, each as often as it is probable."
    if by == "Gibbs sampling":
        why = "Gibbs sampling moves whole clusters, which the replaced chains hardly did, and its own chains agree."
    if replaced.probabilities is not None:
        each = " and ".join(f"{one:.2f}" for one in replaced.probabilities)
        error = f"standard error {replaced.probability_error:.2g}"
        why = f"No chain moves between the regions. By their masses their probabilities are {each} ({error})."
    return [Finding("note", "mixing", what, why, "", {"rhat": replaced.rhat})]


def _mixing(fit: "xr.DataTree") -> list[Finding]:
    draws = size(fit)[1]
    if draws < MIN_DRAWS:
        few = f"There {'is' if draws == 1 else 'are'} only {plural(draws, 'draw')} per chain"
        what = f"{few}, which is too few to check convergence."
        why = "Means and intervals from so few draws are not reliable."
        return [Finding("problem", "mixing", what, why, "Use more draws, for example draws=1000.")]
    why = "Means and intervals would be different in another run."
    free = monitored(fit)  # empty if the fit stores neither its data nor the log likelihood
    if free.data_vars and (findings := _findings(fit, *rhat_and_ess(free), "problem", why)):
        return findings
    if number_varies(fit):  # a single component is not in every draw
        return []
    why = "The chains agree on the density of the data, but not on single components: results for these are uncertain."
    return _findings(fit, *convergence(fit), "warning", why)


def rhat_and_ess(values: "xr.Dataset") -> Summary:
    """Compute R-hat and bulk ESS of some quantities."""
    return of_dataset(values)


def _findings(fit: "xr.DataTree", rhat: "xr.Dataset", ess: "xr.Dataset", severity: str, why: str) -> list[Finding]:
    """Return a finding when R-hat is too high or the effective sample size too low.

    It has the given severity if means are known no better than to a tenth of a posterior standard deviation: R-hat
    above 1.05, or an effective size below 100. Otherwise it is a note.
    """
    chains, draws = size(fit)
    needed = min(LOW_ESS * chains, draws * chains // 4)
    (name, high), (scarce, low) = extreme(rhat, max), extreme(ess, min)
    problems = []
    if chains > 1 and high > HIGH_RHAT:
        problems.append(f"R-hat is {high:.3f} for {name} (it should be below {HIGH_RHAT})")
    if low < needed:
        problems.append(f"the effective sample size is {low:.0f} for {scarce} (it should be at least {needed})")
    if not problems:
        return []
    if not ((chains > 1 and high > ALARMING_RHAT) or low < needed / 4):
        severity = "note"
    what = f"The chains have not mixed well: {'; '.join(problems)}."
    attempts = advice(components(fit), "more draws", FEWER, "a stronger prior")
    attempts += " The posterior may have several modes."
    if info(fit).notes.interrupted:
        attempts = "The fit was interrupted. Let it finish: chains that have not mixed well are continued or replaced."
    return [Finding(severity, "mixing", what, why, attempts, {"rhat": high, "ess": low, "at": name})]


def single_chain(fit: "xr.DataTree") -> list[Finding]:
    """Check that there is more than one chain."""
    if size(fit)[0] > 1:
        return []
    what = "There is only one chain, so convergence can't be checked by comparing chains."
    why = "A single chain that stays in one of several modes looks as if it had converged."
    return [Finding("warning", "chains", what, why, "Use four chains: chains=4.")]


def energy(fit: "xr.DataTree") -> list[Finding]:
    """Check the energy transitions of Hamiltonian Monte Carlo (BFMI)."""
    values = statistic(fit, "energy")
    if values is None or values.sizes["draw"] < MIN_DRAWS:
        return []
    fractions = bfmi(values.transpose("chain", "draw").values)
    low = np.flatnonzero(fractions < LOW_BFMI)
    if not low.size:
        return []
    ratio = f"BFMI {fractions.min():.2f}; it should be above {LOW_BFMI}"
    what = f"The energy of {chains_named(low)} changes too slowly ({ratio})."
    why = "The sampler moves slowly between the centre and the tails of the posterior, so intervals may be too narrow."
    attempts = advice(components(fit), "more draws", "a stronger prior", FEWER)
    return [Finding("warning", "energy", what, why, attempts, {"bfmi": fractions.tolist()})]


def tree_depth(fit: "xr.DataTree") -> list[Finding]:
    """Check for trajectories of NUTS that were stopped at the maximum tree depth."""
    reached = statistic(fit, "reached_max_treedepth", "maxdepth_reached")
    share = float(reached.mean()) if reached is not None else 0.0
    if not share > RARE:
        return []
    what = f"{share:.0%} of the trajectories were stopped at the maximum tree depth."
    why = "The draws are valid, but successive draws are more correlated, so the effective sample size is smaller."
    attempts = advice(components(fit), "a stronger prior", FEWER)
    return [Finding("note", "tree depth", what, why, attempts, {"share": share})]


def chains_named(which: Sequence[int] | NDArray[np.integer]) -> str:
    """Return chains as a sentence names them."""
    names = ", ".join(str(one) for one in which)
    return f"chain {names}" if len(which) == 1 else f"chains {names}"


def extreme(values: "xr.Dataset", pick: Callable[..., tuple[str, float]]) -> tuple[str, float]:
    """Return the name and the value of the most extreme entry."""
    entries = []
    for name, array in values.data_vars.items():
        for index in np.ndindex(array.shape):
            labels = ", ".join(str(array[dim].values[i]) for dim, i in zip(array.dims, index, strict=True))
            value = float(array.values[index])
            if np.isfinite(value):
                entries.append((f"{name}[{labels}]" if labels else str(name), value))
    return pick(entries, key=lambda entry: entry[1], default=("nothing", float("nan")))
