"""A prior that rules: how far the answers move when the prior counts for a little more, or a little less."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.diagnosis.mixing import watched
from bayesgmm.families.structures import chart_of
from bayesgmm.findings import Finding
from bayesgmm.posterior.draws import size
from bayesgmm.posterior.info import declaration
from bayesgmm.posterior.schema import unpack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

    from bayesgmm.model import MixtureModel

SENSITIVE = 0.05  # Kallioinen et al.'s limit


def log_prior(fit: "xr.DataTree") -> Array:
    """(chain, draw) log prior density of weights, means and covariances, up to a constant.

    The fit stores the log posterior in the sampler's coordinates and the log likelihood; their difference is the log
    prior there. The change of coordinates is not part of the prior and must not be scaled with it, so it is removed.
    """
    stats, posterior = fit["sample_stats"], fit["posterior"].to_dataset()
    value = (stats["lp"] - stats["loglik"]).transpose("chain", "draw").values
    p = unpack(fit).parameters
    model = declaration(fit)
    jacobian = _log_volume(model, p.weight, p.mean, p.covariance).reshape(value.shape)
    for name in (*model.weights.positive_extras, *model.means.positive_extras, *model.covariances.positive_extras):
        if name in posterior:
            learned = np.log(posterior[name].transpose("chain", "draw", ...).values)
            jacobian = jacobian + learned.reshape(*value.shape, -1).sum(axis=-1)
    return value - jacobian


def _log_volume(model: "MixtureModel", weight: Array, mean: Array, covariance: Array) -> Array:
    """(S,) log of the volume of weights, means and covariances that a unit of the sampler's coordinates takes."""
    with np.errstate(divide="ignore"):
        total = np.log(weight).sum(axis=-1)
        if model.means.is_ordered:
            total = total + np.log(np.diff(np.sort(mean[..., 0], axis=-1), axis=-1)).sum(axis=-1)
    return total + chart_of(model.family).log_volume(model.family.cores(covariance))


def quantities(fit: "xr.DataTree") -> "xr.Dataset":
    """Compute label-free quantities for the prior sensitivity check: log densities and the sorted weights."""
    import xarray as xr

    found = watched(fit).drop_vars("loglik", errors="ignore")
    weight = unpack(fit).parameters.weight.reshape(*size(fit), -1)
    if weight.shape[-1] > 1:
        ranked = -np.sort(-weight, axis=-1)
        found["largest weight"] = xr.DataArray(ranked[..., 0], dims=("chain", "draw"))
        found["smallest weight"] = xr.DataArray(ranked[..., -1], dims=("chain", "draw"))
    return found


def ruling_prior(fit: "xr.DataTree") -> list[Finding]:
    """Power-scaling sensitivity: how far each quantity moves when the prior, or the likelihood, is raised to a power.

    References
    ----------
    .. [1] Kallioinen, Paananen, Bürkner & Vehtari (2024), Stat. Comput. 34, 57.
    """
    import arviz as az
    import xarray as xr

    dims = ("chain", "draw")
    groups = {
        "posterior": quantities(fit),
        "log_prior": xr.Dataset({"prior": (dims, log_prior(fit))}),
        "log_likelihood": xr.Dataset({"x": fit["sample_stats"]["loglik"]}),
    }
    tree = xr.DataTree.from_dict(groups)
    with np.errstate(all="ignore"):
        by_prior, by_data = (az.psense(tree, group=group) for group in ("prior", "likelihood"))
    flat = {name: (np.nan_to_num(by_prior[name].values).max(), name) for name in by_prior.data_vars}
    value, name = max(flat.values())
    if not value > SENSITIVE:
        return []
    of_data = float(np.nan_to_num(by_data[name].values).max())
    weak = of_data < SENSITIVE
    told = f"sensitivity {value:.2f} of the {str(name).replace('_', ' ')}; below {SENSITIVE} is little"
    what = f"The results are sensitive to the prior ({told})."
    why = (
        "The data contain little information about it, so the prior decides."
        if weak
        else "Prior and data both influence it, perhaps in different directions; this is common with few points."
    )
    advice = "Make sure that you mean your priors (plots.prior draws them), or fit with others and compare."
    evidence = {"prior": {k: float(v) for v, k in flat.values()}, "likelihood": of_data}
    return [Finding("doubt" if weak else "note", "prior", what, why, advice, evidence)]
