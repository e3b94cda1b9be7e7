"""Input for ArviZ's predictive checks: replicated data, leave-one-out transforms, and draws from the prior."""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.diagnosis.rosenblatt import rosenblatt, unrounded
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.draws import approximate
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import observed
from bayesgmm.predictions.densities import kept
from bayesgmm.predictions.elicitation import prior_predictive
from bayesgmm.predictions.pareto_smoothing import pareto_smoothed
from bayesgmm.predictions.replication import replicated
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 1000  # maximum number of draws for the checks
TOGETHER = 50  # points for which the distribution functions of all draws are computed at once


def predictive_tree(fit: "xr.DataTree", columns: list[int]) -> "xr.DataTree":
    """Return data and replicated data of some columns: ``q0``, ``q1``, ... [chain, draw, point]."""
    import xarray as xr

    draws = min(DRAWS, fit["posterior"].sizes["chain"] * fit["posterior"].sizes["draw"])
    new = replicated(fit, draws, progress=False)["posterior_predictive"].to_dataset()["x"]
    x = fit["observed_data"].to_dataset()["x"]

    def each(values: "xr.DataArray") -> "xr.Dataset":
        chosen = {f"q{i}": values.isel(feature=j, drop=True) for i, j in enumerate(columns)}
        return xr.Dataset(chosen).drop_vars(["point"], errors="ignore")

    return xr.DataTree.from_dict({"observed_data": each(x), "posterior_predictive": each(new)})


def transformed(fit: "xr.DataTree", columns: list[int]) -> "xr.Dataset":
    """Compute the leave-one-out probability integral transform [1]_ of each point: ``q0``, ``q1``, ... [point].

    That of a draw is the distribution function of its mixture at the point, which is exact. The weight of a draw is one
    over the likelihood of the point; draws of an approximation are also weighted by the density of the posterior over
    that of the approximation. Values of rounded columns are spread evenly over their rounding steps.

    References
    ----------
    .. [1] Gelfand, Dey & Chang (1992), in Bayesian Statistics 4, 147-167.
    """
    import xarray as xr

    points, posterior = observed(fit), as_modelled(fit)
    draws = posterior.thin(DRAWS)
    log_ratio = -kept(draws, points, progress=False)
    if approximate(fit) and info(fit).notes.resampled is None:
        stats = fit["sample_stats"].to_dataset()
        chosen = np.linspace(0, posterior.n_draws - 1, draws.n_draws).round().astype(int)
        log_ratio += (stats["lp"] - stats["log_q"]).values.ravel()[chosen, None]
    weight, x = smoothed(log_ratio), unrounded(points.values)
    parts = [slice(start, start + TOGETHER) for start in range(0, len(x), TOGETHER)]

    def mean(column: int) -> Array:
        below = (rosenblatt(x[part], draws.parameters, [column])[..., 0] for part in parts)
        return np.concatenate([(weight[:, part] * u).sum(axis=0) for part, u in zip(parts, below, strict=True)])

    return xr.Dataset({f"q{i}": ("point", mean(column)) for i, column in enumerate(columns)})


def smoothed(log_ratio: Array) -> Array:
    """Return importance weights (S, N) that sum to one over the draws, smoothed where their tail can be fitted.

    Parameters
    ----------
    log_ratio : (S, N) float
        Logs of the importance ratios of each point.
    """
    weight = np.exp(log_ratio - log_ratio.max(axis=0))
    weight /= weight.sum(axis=0)
    log_weight, _, fits = pareto_smoothed(log_ratio.T)
    is_smooth = fits & np.isfinite(log_weight).all(axis=1)  # not where all large ratios are equal
    weight[:, is_smooth] = np.exp(log_weight[is_smooth].T)
    return weight


def prior_draws(model: MixtureModel, points: Points, draws: int = DRAWS) -> "xr.Dataset":
    """Draw mixtures from the resolved prior."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit has already warned if priors and data contradict each other
        tree = prior_predictive(model, points.values[: max(model.n_components, 2)], draws, points=1)
    return tree["prior"].to_dataset()
