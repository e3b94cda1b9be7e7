"""Missing values of points, imputed from the posterior predictive."""

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.data.points import DataLike, Points
from bayesgmm.declared import whole
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import Posterior, points_for, transforms_of, unpack
from bayesgmm.predictions.densities import DRAWS, dataset, require_room
from bayesgmm.sweep.imputation import as_rows, drawn, expected
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

SUMMARISED = 400  # imputations that are summarised where columns are transformed: their moments have no closed form


@takes_fit
def impute(
    fit: FitLike,
    data: DataLike | None = None,
    draws: int = 20,
    *,
    noise: ArrayLike | None = None,
    seed: int = 0,
) -> "xr.Dataset":
    r"""Impute missing values from the posterior predictive, given what is observed of each row.

    An imputation draws the parameters, a component of the row, and the missing values together, so that they vary as
    they would and keep the correlations of the columns [1]_.

    .. math:: p(x_m \mid x_o) = \frac1S \sum_s \sum_k r_k^{(s)}(x_o) \,
              \mathrm{Normal}\bigl(x_m \mid \mu_{m \mid o}^{(s, k)}, \Sigma_{m \mid o}^{(s, k)}\bigr)

    That is right if values are missing at random: whether a value is missing may depend on what is observed, and not on
    the value itself [2]_.

    Parameters
    ----------
    fit : DataTree or estimator
    data : array or DataFrame, optional
        (N, D) points, NaN where a value is missing. Default: the points that were fitted.
    draws : int
        M, the number of imputations.
    noise : (N, D) or (N, D, D) array, optional
        Errors of measurement of the data, as in ``fit``. Measured values stay as they are: ``deconvolve`` estimates
        what they were before the errors.
    seed : int
        The same seed gives the same imputations.

    Returns
    -------
    Dataset
        ``mean`` and ``sd`` [point, feature], of each missing value given what is observed of its row (an observed value
        has itself, and 0); ``draws`` [imputation, point, feature], the completed data; ``missing`` [point, feature].
        All in the units of the data.
        ``answer["draws"].sel(imputation=0).to_pandas()`` is a completed table, ``answer["mean"].to_pandas()`` the
        means.

    Raises
    ------
    DataError
        When the data do not have the columns of the fit, or the imputations need more than 2 GiB.
    DeclarationError
        When ``draws`` is not positive, or ``seed`` is negative.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    References
    ----------
    .. [1] Rubin (1987), Multiple Imputation for Nonresponse in Surveys, Wiley.
    .. [2] Little & Rubin (2019), Statistical Analysis with Missing Data, 3rd edition, Wiley.

    Examples
    --------
    Two columns that are nearly equal; the second value of the last row is missing.

    >>> import bayesgmm as bg
    >>> x = [[0.0, 0.1], [1.0, 0.9], [2.0, 2.1], [3.0, 2.9], [4.0, 4.0], [5.0, np.nan]]
    >>> fit = bg.fit(bg.MixtureModel(1), x, "em", progress=False)
    >>> bg.impute(fit)["mean"].values[-1].round(1)
    array([5. , 4.9])
    """
    points, posterior = points_for(fit, data, noise), unpack(fit)
    draws, seed, transforms = whole("draws", draws), whole("seed", seed, minimum=0), transforms_of(fit)
    count = max(draws, SUMMARISED) if transforms.changed else draws
    require_room(8 * count * points.values.size, f"{count} imputations of {len(points.values)} points")
    values = transforms.inverse(points.values) if transforms.changed else points.values
    completed = latent_draws(posterior, points, count, seed)
    if points.noise is not None:
        completed = np.where(np.isnan(values), completed, values)
    if transforms.changed:
        completed = np.where(np.isnan(values), transforms.inverse(completed), values)
        mean, sd = completed.mean(axis=0), completed.std(axis=0)
    else:
        mean, sd = expectations(posterior.thin(DRAWS), points)
    each = ("point", "feature")
    variables: dict[str, object] = {
        "mean": (each, mean),
        "sd": (each, np.where(np.isnan(values), sd, 0.0)),
        "draws": (("imputation", *each), completed[:draws]),
        "missing": (each, np.isnan(values)),
    }
    return dataset(points, variables, feature=list(transforms.names if transforms.changed else points.columns))


def expectations(posterior: Posterior, points: Points) -> tuple[Array, Array]:
    """Compute means and standard deviations (N, D) of missing values given what is observed of each row.

    An observed value is its own mean, with standard deviation 0.
    """
    if not points.has_gaps:
        return points.values, np.zeros_like(points.values)
    mean, variance = latent_moments(posterior, points)
    observed = ~np.isnan(points.values)
    return np.where(observed, points.values, mean), np.where(observed, 0.0, np.sqrt(np.maximum(variance, 0.0)))


def latent_moments(posterior: Posterior, points: Points, cross: bool = False) -> tuple[Array, Array]:
    """Compute means (N, D) of true values, and variances (N, D) or with ``cross`` covariances (N, D, D), in data units.

    Those of exact values are the values, and zero.
    """
    standard, d = posterior.standard, points.values.shape[1]
    blocks = standard.blocks(points)
    place = np.tril_indices(d) if cross else (np.arange(d), np.arange(d))
    mean, variance = (
        np.where(np.isnan(points.values), 0.0, points.values),
        np.zeros((len(points.values), len(place[0]))),
    )
    if blocks.latent is not None:
        centred, each = expected(blocks, posterior.tables(), os.cpu_count() or 1, cross)
        mean = np.where(blocks.exact(), mean, as_rows(blocks, centred) * standard.scale + standard.shift)
        variance = each.transpose(0, 2, 1).reshape(-1, len(place[0]))[: len(mean)]
    variance = variance * (standard.scale[place[0]] * standard.scale[place[1]])
    if not cross:
        return mean, variance
    covariance = np.zeros((len(mean), d, d))
    covariance[:, place[0], place[1]] = covariance[:, place[1], place[0]] = variance
    return mean, covariance


def latent_draws(posterior: Posterior, points: Points, count: int, seed: int) -> Array:
    """Draw true values (count, N, D), each from another draw of the posterior where there are enough."""
    blocks, standard = posterior.standard.blocks(points), posterior.standard
    if blocks.latent is None:
        return np.repeat(points.values[None], count, axis=0)
    tables, exact = posterior.tables(), blocks.exact()
    first, second = np.random.SeedSequence(seed).generate_state(2).tolist()
    out = np.empty((count, *points.values.shape))
    for number, place in enumerate(np.linspace(0, posterior.n_draws - 1, count).round().astype(int)):
        x = as_rows(blocks, drawn(blocks, tables.draw(int(place)), number, (first, second), os.cpu_count() or 1))
        out[number] = np.where(exact, points.values, x * standard.scale + standard.shift)
    return out
