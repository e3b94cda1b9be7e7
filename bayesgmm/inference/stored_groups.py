"""Groups that a fit stores on request, for functions of ArviZ: pointwise log likelihoods, and draws from the prior."""

import warnings
from typing import TYPE_CHECKING

from bayesgmm.diagnosis.priors import log_prior
from bayesgmm.errors import DataError, FitWarning, warn
from bayesgmm.posterior.info import declaration, info
from bayesgmm.posterior.schema import observed
from bayesgmm.predictions.elicitation import prior_predictive
from bayesgmm.predictions.log_likelihoods import log_likelihood

if TYPE_CHECKING:
    import xarray as xr

PRIOR_DRAWS = 1000


def with_log_likelihood(fit: "xr.DataTree", progress: bool) -> "xr.DataTree":
    """Return the fit with the group ``log_likelihood``; without it, and with a warning, where it is too large.

    Warns
    -----
    FitWarning
    """
    try:
        return log_likelihood(fit, progress=progress)
    except DataError as error:
        warn([f"The log likelihoods are not stored: {error}"])
        return fit


def with_prior(fit: "xr.DataTree", seed: int) -> "xr.DataTree":
    """Return the fit with draws from its prior, and with the log prior of its own draws if these are sampled.

    The groups are ``prior``, ``prior_predictive`` and ``log_prior``, for weights, means and covariances, up to a
    constant.
    """
    import xarray as xr

    model = declaration(fit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the fit has warned of the same priors
        drawn = prior_predictive(model, observed(fit), PRIOR_DRAWS, seed=seed)
    components = fit["posterior"].coords["component"].values
    fit["prior"] = xr.DataTree(drawn["prior"].to_dataset().assign_coords(component=components))
    fit["prior_predictive"] = xr.DataTree(drawn["prior_predictive"].to_dataset())
    stats = fit["sample_stats"].to_dataset()
    if info(fit).notes.maximum is None and {"lp", "loglik"} <= set(stats):
        coords = {name: fit["posterior"].coords[name].values for name in ("chain", "draw")}
        values = xr.Dataset({"prior": (("chain", "draw"), log_prior(fit))}, coords=coords)
        fit["log_prior"] = xr.DataTree(values)
    return fit
