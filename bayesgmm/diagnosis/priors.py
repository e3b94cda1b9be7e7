"""Prior sensitivity: how much the results change when the prior is made a little stronger or weaker."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.standards import Standard
from bayesgmm.diagnosis.mixing import monitored
from bayesgmm.diagnosis.power_scaling import sensitivities
from bayesgmm.families.charts import RootChart
from bayesgmm.families.factor_charts import FactorChart
from bayesgmm.families.structures import chart_of
from bayesgmm.findings import Finding
from bayesgmm.posterior.draws import size
from bayesgmm.posterior.info import declaration
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.packing import DIMS, FACTORS
from bayesgmm.posterior.schema import unpack
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

    from bayesgmm.model import MixtureModel

SENSITIVE = 0.05  # limit of Kallioinen et al.


def log_prior(fit: "xr.DataTree") -> Array:
    """(chain, draw) log prior density of weights, means and covariances, up to a constant.

    The fit stores the log posterior in the sampler's coordinates and the log likelihood; their difference is the log
    prior there. The change of coordinates is not part of the prior and must not be scaled with it, so it is removed.
    """
    stats, posterior = fit["sample_stats"], fit["posterior"].to_dataset()
    value = (stats["lp"] - stats["loglik"]).transpose("chain", "draw").values
    p = unpack(fit).parameters
    model = declaration(fit)
    learned = {
        str(name): values.transpose("chain", "draw", ...).values.reshape(value.size, *values.shape[2:])
        for name, values in posterior.data_vars.items()
        if name not in DIMS
    }
    jacobian, chart = _log_volume(model, p.weight, p.mean), chart_of(model.family)
    if isinstance(chart, RootChart):
        jacobian = jacobian + chart.log_root_volume(model.family.cores(p.covariance))
    elif isinstance(chart, FactorChart):  # coordinates of loadings are the loadings, and the fit stores the noise
        noise = fit[FACTORS]["noise"].transpose("chain", "draw", "component", "feature").values
        of_noise, counts = noise.reshape(value.size, *noise.shape[2:]), chart.shapes(*noise.shape[2:])[1]
        jacobian = jacobian + np.log(of_noise[:, : counts[0], : counts[1]]).sum(axis=(-1, -2))
    else:  # of several rotations that give a covariance, the fit does not store which one was drawn
        density = _without_data(model, p.mean.shape[-1])
        q = density.positions(replace(p, extras=learned))
        value = np.array([density.log_prior(one) for one in q]).reshape(value.shape)
        jacobian = jacobian + chart.log_volume(q[:, density.roots], *p.mean.shape[1:])
    for name in (*model.weights.positive_extras, *model.means.positive_extras, *model.covariances.positive_extras):
        if name in learned:
            jacobian = jacobian + np.log(learned[name]).reshape(value.size, -1).sum(axis=-1)
    return value - jacobian.reshape(value.shape)


def _without_data(model: "MixtureModel", n_features: int) -> LogPosterior:
    """Return the log posterior without points, in data units."""
    standard = Standard(np.zeros(n_features), np.ones(n_features))
    return LogPosterior(model, Blocks.from_rows(np.empty((0, n_features))), standard)


def _log_volume(model: "MixtureModel", weight: Array, mean: Array) -> Array:
    """(S,) log Jacobian determinant of weights and means by the sampler's coordinates."""
    with np.errstate(divide="ignore"):
        total = np.log(weight).sum(axis=-1)
        if model.means.is_ordered:
            total = total + np.log(np.diff(np.sort(mean[..., 0], axis=-1), axis=-1)).sum(axis=-1)
    return np.asarray(total)


def quantities(fit: "xr.DataTree") -> "xr.Dataset":
    """Compute label-free quantities for the prior sensitivity check: log densities and the sorted weights."""
    import xarray as xr

    values = monitored(fit).drop_vars("loglik", errors="ignore")
    weight = unpack(fit).parameters.weight.reshape(*size(fit), -1)
    if weight.shape[-1] > 1:
        ranked = -np.sort(-weight, axis=-1)
        values["largest weight"] = xr.DataArray(ranked[..., 0], dims=("chain", "draw"))
        values["smallest weight"] = xr.DataArray(ranked[..., -1], dims=("chain", "draw"))
    return values


def prior_sensitivity(fit: "xr.DataTree") -> list[Finding]:
    """Check the sensitivity to the prior by power scaling: raise the prior, and the likelihood, to powers near 1.

    References
    ----------
    .. [1] Kallioinen, Paananen, Bürkner & Vehtari (2024), Stat. Comput. 34, 57.
    """
    draws = {name: one.transpose("chain", "draw", ...) for name, one in quantities(fit).items()}
    values = [one.values.reshape(one.sizes["chain"] * one.sizes["draw"], -1) for one in draws.values()]
    loglik = fit["sample_stats"]["loglik"].transpose("chain", "draw").values
    with np.errstate(all="ignore"):
        by_prior, by_data = (
            dict(zip(draws, (np.nan_to_num(sensitivities(one, log.ravel())).max() for one in values), strict=True))
            for log in (log_prior(fit), loglik)
        )
    flat = {name: (one, name) for name, one in by_prior.items()}
    value, name = max(flat.values())
    if not value > SENSITIVE:
        return []
    of_data = float(by_data[name])
    weak = of_data < SENSITIVE
    of = str(name).replace("_", " ")
    what = f"The results are sensitive to the prior (sensitivity {value:.2f} for the {of}; up to {SENSITIVE} is low)."
    why = (
        "The data contain little information about this quantity, so the prior determines it."
        if weak
        else "Prior and data both influence this quantity. This is common with few points."
    )
    advice = "Check that the priors are what you intend (plots.prior shows them), or compare fits with other priors."
    evidence = {"prior": {k: float(v) for v, k in flat.values()}, "likelihood": of_data}
    return [Finding("warning" if weak else "note", "prior", what, why, advice, evidence)]
