"""True values of points that were measured with errors."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.data.points import DataLike
from bayesgmm.declared import whole
from bayesgmm.errors import DataError
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import points_for, unpack
from bayesgmm.predictions.densities import DRAWS, dataset, require_room
from bayesgmm.predictions.imputations import latent_draws, latent_moments

if TYPE_CHECKING:
    import xarray as xr


@takes_fit
def deconvolve(
    fit: FitLike,
    data: DataLike | None = None,
    draws: int = 20,
    *,
    noise: ArrayLike | None = None,
    seed: int = 0,
) -> "xr.Dataset":
    r"""Estimate the true values of points that were measured with errors.

    A measured value is the true value plus a Gaussian error with known covariance :math:`S_n`, and true values follow
    the mixture (extreme deconvolution [1]_). Given the measurement, a true value lies between it and the centres of
    the components, the nearer to these the larger the error:

    .. math:: p(z_n \mid x_n) \propto \frac1S \sum_s \sum_k w_k^{(s)} \,
              \mathrm{Normal}(z_n \mid \mu_k^{(s)}, \Sigma_k^{(s)}) \, \mathrm{Normal}(x_n \mid z_n, S_n)

    Parameters
    ----------
    fit : DataTree or estimator
    data : array or DataFrame, optional
        (N, D) measured points. Default: the points that were fitted, with their errors.
    draws : int
        M, the number of draws of the true values.
    noise : (N, D) or (N, D, D) array, optional
        Standard errors, or covariances of the errors, as in ``fit``.
    seed : int
        The same seed gives the same draws.

    Returns
    -------
    Dataset
        ``mean`` and ``sd`` [point, feature] of the true values, ``covariance`` [point, feature, feature_bis], and
        ``draws`` [draw, point, feature], all in the units of the data. An exact value has itself, and 0. A missing
        value is estimated from the others of its row, as by ``impute``.
        ``answer["mean"].to_pandas()`` is a table.

    Raises
    ------
    DataError
        When the data do not have the columns of the fit, there are no errors, or the draws need more than 2 GiB.
    DeclarationError
        When ``draws`` is not positive, or ``seed`` is negative.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    References
    ----------
    .. [1] Bovy, Hogg & Roweis (2011), Annals of Applied Statistics 5(2B), 1657-1677.

    Examples
    --------
    The standard error of the last value is large: the best estimate is near the mean of all.

    >>> import bayesgmm as bg
    >>> x, sd = [[-1.0], [0.0], [1.0], [9.0]], [[0.0], [0.0], [0.0], [20.0]]
    >>> fit = bg.fit(bg.MixtureModel(1), x, "em", noise=sd, progress=False)
    >>> deconvolve(fit)["mean"].values.ravel().round(1)
    array([-1.,  0.,  1.,  0.])
    """
    points, posterior = points_for(fit, data, noise), unpack(fit)
    draws, seed = whole("draws", draws), whole("seed", seed, minimum=0)
    if points.noise is None:
        what = "the fit has" if data is None else "the data have"
        raise DataError(f"{what} no errors of measurement\n  Give their standard errors with noise=.")
    n_points, n_features = points.values.shape
    require_room(8 * n_points * n_features * (draws + n_features), f"{draws} draws of {n_points} points")
    mean, covariance = latent_moments(posterior.thin(DRAWS), points, cross=True)
    sd = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0))
    each, features = ("point", "feature"), list(points.columns)
    variables: dict[str, object] = {
        "mean": (each, mean),
        "sd": (each, sd),
        "covariance": ((*each, "feature_bis"), covariance),
        "draws": (("draw", *each), latent_draws(posterior, points, draws, seed)),
    }
    return dataset(points, variables, feature=features, feature_bis=features)
