"""Input for ArviZ's predictive checks: replicated data, log likelihoods, and draws from the prior."""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.draws import approximate
from bayesgmm.posterior.info import info
from bayesgmm.predictions.elicitation import prior_predictive
from bayesgmm.predictions.log_likelihoods import log_likelihood
from bayesgmm.predictions.replication import replicated

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 1000  # maximum number of draws for the checks


def predictive_tree(fit: "xr.DataTree", columns: list[int]) -> "xr.DataTree":
    """Return data, replicated data and log likelihoods of some columns: ``q0``, ``q1``, ... [chain, draw, point]."""
    import xarray as xr

    draws = min(DRAWS, fit["posterior"].sizes["chain"] * fit["posterior"].sizes["draw"])
    new = replicated(fit, draws, progress=False)["posterior_predictive"].to_dataset()["x"]
    cut = log_likelihood(fit, draws, progress=False)
    log = cut["log_likelihood"].to_dataset()["x"]
    x = fit["observed_data"].to_dataset()["x"]

    def each(values: "xr.DataArray") -> "xr.Dataset":
        chosen = {f"q{i}": values.isel(feature=j, drop=True) for i, j in enumerate(columns)}
        return xr.Dataset(chosen).drop_vars(["point"], errors="ignore")

    same = log.drop_vars(["point"], errors="ignore")
    groups = {
        "observed_data": each(x),
        "posterior_predictive": each(new),
        "log_likelihood": xr.Dataset({f"q{i}": same for i in range(len(columns))}),
    }
    first = fit["posterior"].to_dataset()["weight"].isel(component=0, drop=True)
    kept = np.linspace(0, first.sizes["draw"] - 1, same.sizes["draw"]).round().astype(int)
    groups["posterior"] = xr.Dataset({"weight": first.isel(draw=kept)})
    if approximate(fit) and info(fit).notes.resampled is None:
        groups["sample_stats"] = cut["sample_stats"].to_dataset()[["lp", "log_q"]]
    return xr.DataTree.from_dict(groups)


def transformed(tree: "xr.DataTree") -> "xr.Dataset":
    """Compute ArviZ's LOO-PIT, with smoothed weights that are the same for all columns.

    The weight of a draw is one over the likelihood of the point; draws of an approximation are also weighted by the
    density of the posterior over that of the approximation. ``psislw`` takes minus the log weights.
    """
    import arviz_stats as az
    import xarray as xr

    log, r_eff = tree["log_likelihood"].to_dataset(), 1.0
    minus = log["q0"]
    if "sample_stats" in tree.children:
        stats = tree["sample_stats"].to_dataset()
        minus = minus - stats["lp"] + stats["log_q"]
    elif minus.sizes["chain"] > 1:
        weight = tree["posterior"].to_dataset()["weight"]
        r_eff = float(az.ess(weight, method="mean")) / weight.size
    smooth, khat = minus.azstats.psislw(r_eff=r_eff, dim=["chain", "draw"])
    weights, khats = (xr.Dataset(dict.fromkeys(log.data_vars, one)) for one in (smooth, khat))
    return az.loo_pit(tree, log_weights=weights, pareto_k=khats, pareto_pit=True)


def prior_draws(model: MixtureModel, points: Points, draws: int = DRAWS) -> "xr.Dataset":
    """Draw mixtures from the resolved prior."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit has already warned if priors and data contradict each other
        tree = prior_predictive(model, points.values[: max(model.n_components, 2)], draws, points=1)
    return tree["prior"].to_dataset()
