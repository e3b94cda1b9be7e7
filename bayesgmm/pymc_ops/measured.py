"""Mixture of multivariate normals for rows with missing values, errors or labels, as a PyMC variable."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from bayesgmm.sweep.stats import LOG_2PI, Array

__all__ = ["measured_mixture"]


def measured_mixture(
    name: str,
    weight: TensorVariable,
    mean: TensorVariable,
    covariance: TensorVariable,
    values: Array,
    noise: Array,
    plausible: Array,
    dims: Sequence[str],
) -> TensorVariable:
    r"""Register observed points of a mixture: what was measured of each, with its errors.

    .. math:: p(x_n) = \sum_k t_{nk} w_k \, \mathrm{N}(x_{no}; m_{ko}, \Sigma_{koo} + S_{noo})

    with o the observed columns of a row, and t the plausibilities of components that labels give. All numbers are
    arrays of PyTensor, so that every tool of PyMC works; one covariance for each row and component makes it slower than
    the engines of this package.

    Parameters
    ----------
    name : str
    weight, mean, covariance : (K,), (K, D) and (K, D, D) tensor
    values : (N, D) float
        Measured values, NaN where one is missing, in the units of the parameters.
    noise : (N, D, D) float
        Covariances of their errors.
    plausible : (N, K) float
        Plausibilities of the components.
    dims : sequence of str
        Names of the two dimensions.

    Returns
    -------
    (N, D) tensor
        Its observed values have zero where a value is missing; replicated data have no missing values.
    """
    observed = ~np.isnan(values)
    return pm.CustomDist(
        name,
        weight,
        mean,
        covariance,
        logp=partial(_log_density, observed=observed, noise=noise, plausible=plausible),
        random=partial(_replicated, noise=noise, plausible=plausible),
        signature="(k),(k,d),(k,d,d)->(d)",
        observed=np.where(observed, values, 0.0),
        dims=tuple(dims),
    )


def _log_density(
    value: TensorVariable,
    weight: TensorVariable,
    mean: TensorVariable,
    covariance: TensorVariable,
    observed: np.ndarray,
    noise: Array,
    plausible: Array,
) -> TensorVariable:
    """Compute the log density (N,); a missing column is replaced by an independent one with variance one."""
    both = (observed[:, :, None] & observed[:, None, :])[:, None]
    alone = ((~observed)[:, :, None] * np.eye(observed.shape[1]))[:, None]
    together = pt.where(both, covariance[None] + noise[:, None], alone)
    away = pt.where(observed[:, None], value[:, None] - mean[None], 0.0)
    chol = pt.linalg.cholesky(together)
    scaled = pt.linalg.solve_triangular(chol, away[..., None], lower=True)[..., 0]
    log_root = pt.log(pt.diagonal(chol, axis1=-2, axis2=-1)).sum(-1)
    constant = 0.5 * LOG_2PI * observed.sum(axis=1)
    with np.errstate(divide="ignore"):
        chance = pt.log(weight) + np.log(plausible)
    return pt.logsumexp(chance - 0.5 * (scaled**2).sum(-1) - log_root, axis=-1) - constant


def _replicated(
    weight: Array,
    mean: Array,
    covariance: Array,
    noise: Array,
    plausible: Array,
    rng: np.random.Generator,
    size: tuple[int, ...],
) -> Array:
    """Draw points (N, D) with errors and labels like those of the data; PyMC adds leading axes to the parameters."""
    weight, mean = weight.reshape(-1, weight.shape[-1])[0], mean.reshape(-1, *mean.shape[-2:])[0]
    covariance = covariance.reshape(-1, *covariance.shape[-3:])[0]
    share = np.cumsum(weight * plausible, axis=1)
    component = (rng.random((len(noise), 1)) * share[:, -1:] > share).sum(axis=1)
    chol = np.linalg.cholesky(covariance[component] + noise)
    return mean[component] + np.einsum("nij,nj->ni", chol, rng.standard_normal((len(noise), mean.shape[1])))
