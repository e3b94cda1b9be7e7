"""Loadings and noise as PyMC variables, and the covariances that they make."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from bayesgmm.data.standards import Standard
from bayesgmm.families.factor_charts import FactorChart
from bayesgmm.families.family import Family
from bayesgmm.inference.pymc_scalars import pymc_scalar
from bayesgmm.priors.multiplicative_gamma import MultiplicativeGamma, factor_chart_of
from bayesgmm.pymc_ops.distributions import Affine
from bayesgmm.sweep.stats import Array


def factor_covariances(
    prior: MultiplicativeGamma, chart: FactorChart, standard: Standard, n_components: int
) -> TensorVariable:
    """Add ``loadings``, ``noise_variance`` and ``factor_shrinkage`` to the current model; return the covariances."""
    own, d, scale = chart.restriction, standard.scale.size, standard.scale
    pm.modelcontext(None).add_coord("factor", np.arange(1, own.n_factors + 1))
    shrinkage = pm.Gamma("factor_shrinkage", prior.shapes, 1.0, dims="factor")
    unit = np.asarray(prior.scale)[:, None] * pt.cumprod(shrinkage) ** -0.5
    units = np.repeat(scale[:, None], own.n_factors, axis=1)
    transform = Affine(np.zeros_like(units), units)
    each = () if own.ties_loadings else ("component",)
    dims = (*each, "feature", "factor")
    loadings = pm.StudentT("loadings", np.float64(prior.df), mu=0.0, sigma=unit, dims=dims, default_transform=transform)
    each = () if own.ties_noise else ("component",)
    is_common = chart.shapes(n_components, d)[1][1] == 1
    dims, units = (each, scale[0] ** 2) if is_common else ((*each, "feature"), scale**2)
    noise = pymc_scalar(prior.resolved_noise, "noise_variance", -0.5, units, dims)
    noise = pt.broadcast_to(noise[..., None] if is_common else noise, (n_components, d))
    covariance = loadings @ loadings.mT + noise[:, :, None] * np.eye(d)
    return pm.Deterministic("covariance", covariance, dims=("component", "feature", "feature_bis"))


def factor_values(prior: MultiplicativeGamma, covariance: Array, family: Family) -> dict[str, Array]:
    """Return the values of the variables of ``factor_covariances`` at covariances (K, D, D)."""
    chart, (k, d, _) = factor_chart_of(family), covariance.shape
    loadings, log_precision = chart.parts(chart.coordinates(family.cores(covariance)), k, d)
    noise, own = np.exp(-2.0 * log_precision), chart.restriction
    noise = noise[:, 0] if chart.shapes(k, d)[1][1] == 1 else noise
    return {
        "loadings": loadings[0] if own.ties_loadings else loadings,
        "noise_variance": noise[0] if own.ties_noise else noise,
    }
