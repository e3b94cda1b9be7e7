"""Assignments and densities at points, averaged over the posterior."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.data.columns import column_names
from bayesgmm.data.points import DataLike, Points, as_points
from bayesgmm.declared import probability, whole
from bayesgmm.errors import DeclarationError
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.contamination import background, background_probability
from bayesgmm.posterior.schema import Posterior, observed, points_for, transforms_of, unpack
from bayesgmm.posterior.subsets import marginal, places
from bayesgmm.predictions.densities import DRAWS, dataset, kept, spread
from bayesgmm.predictions.lazy_answers import by_block
from bayesgmm.predictions.replication import simulate
from bayesgmm.sweep.stats import Array, responsibilities
from bayesgmm.transforms.columns import ColumnTransforms
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import xarray as xr

STEPS = {1: 200, 2: 60}  # number of columns: points of the default grid along each of them
SEEN = 5_000  # number of simulated points that determine the range of the default grid


@takes_fit
@by_block
def assignments(
    fit: FitLike,
    data: DataLike | None = None,
    *,
    noise: ArrayLike | None = None,
    draws: int | None = DRAWS,
) -> "xr.Dataset":
    r"""Compute the posterior probability that each point came from each component.

    The probabilities are the responsibilities, averaged over the posterior:

    .. math:: p_{nk} = \mathrm{E}[w_k \, \mathrm{Normal}(x_n \mid \mu_k, \Sigma_k) / p(x_n) \mid \text{data}]

    The entropy of a point's probabilities, divided by its maximum, is a measure of how uncertain its label is:

    .. math:: h_n = -\sum_k p_{nk} \log p_{nk} / \log K.

    R's mclust [1]_ reports another measure as *uncertainty*, :math:`1 - \max_k p_{nk}`. From the result of this
    function it is ``1 - answer["probability"].max("component")``. Both are 0 when a label is certain; with K equal
    probabilities the entropy is 1 and mclust's uncertainty is :math:`1 - 1/K`.

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted, with their labels if some have any.
    noise : (N, D) or (N, D, D) array, optional
        Errors of measurement of the points, as in ``fit``. Default: those of the fitted points, none of others.
    draws : int, optional
        Number of posterior draws to average over, evenly spaced; None for all.

    Returns
    -------
    Dataset
        ``probability`` [point, component], rows sum to one; ``label`` [point], the most probable component;
        ``entropy`` [point], from 0 to 1 (0 when K is 1). With a background all three are conditional on the point
        not being from the background, and ``background`` [point] is the probability that it is.
        ``assignments_table`` returns the same as a table: ``bg.assignments_table(fit)``.

    Raises
    ------
    DataError
        When the data lack a column of the fit, or hold a value that is missing or not a number.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    References
    ----------
    .. [1] Scrucca, Fop, Murphy & Raftery (2016), R Journal 8(1), 289-317.

    Examples
    --------
    Two groups, around 0 and 10. A point at 0 is certain; the point halfway is not.

    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> answer = assignments(fit, [[0.0], [5.0]])
    >>> answer["probability"].max("component").values.round(3)
    array([1. , 0.5])
    >>> answer["entropy"].values.round(3)
    array([0., 1.])
    """
    points, posterior = points_for(fit, data, noise), aligned(fit, draws)
    blocks = posterior.standard.blocks(points)
    probability = responsibilities(blocks, posterior.tables(), os.cpu_count() or 1)
    n_components = probability.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(probability > 0, probability * np.log(probability), 0.0).sum(axis=1)
    normalised = entropy / np.log(n_components) if n_components > 1 else entropy
    variables = {
        "probability": (("point", "component"), probability),
        "label": ("point", probability.argmax(axis=1)),
        "entropy": ("point", np.clip(normalised, 0.0, 1.0)),
    }
    if (behind := background(fit)) is not None:
        variables["background"] = ("point", background_probability(posterior, behind, points))
    return dataset(
        points,
        variables,
        component=fit["posterior"].coords["component"].values,
    )


@takes_fit
@by_block
def density(
    fit: FitLike,
    data: DataLike | None = None,
    *,
    columns: Sequence[str] | None = None,
    noise: ArrayLike | None = None,
    ci_prob: float = 0.9,
    draws: int | None = DRAWS,
    keep_draws: bool = False,
    progress: bool = True,
) -> "xr.Dataset":
    """Compute the posterior mean density at points, with a credible band.

    The posterior mean density is the density of the posterior predictive [1]_.

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted. With ``columns``, an array has these columns.
    columns : sequence of str, optional
        Compute the joint density of these columns; the others are integrated out. Default: all columns.
    noise : (N, D) or (N, D, D) array, optional
        Errors of measurement, as in ``fit``: the density is then that of measured values with such errors. Default:
        those of the fitted points; for others none, which gives the density of true values.
    ci_prob : float
        Probability of the equal-tailed band at each point.
    draws : int, optional
        Number of posterior draws, evenly spaced; None for all.
    keep_draws : bool
        Also return the log density of every draw. Without it, memory does not grow with the number of draws.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    Dataset
        ``density`` [point], the posterior mean, in one over the product of the columns' units; ``log_density``
        [point], its logarithm; ``band`` [point, ci_bound], with ``ci_bound`` ``lower`` and ``upper``. For a point
        estimate (one draw) the band is NaN. With ``keep_draws`` also ``log_density_draws`` [draw, point].
        ``answer[["density", "log_density"]].to_dataframe()`` and ``answer["band"].to_pandas()`` are tables, a row
        for each point.

    Raises
    ------
    DataError
        When the data do not have the columns, or the draws need more than 2 GiB.
    DeclarationError
        When ``ci_prob`` is not between 0 and 1, or ``draws`` is not positive.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    References
    ----------
    .. [1] Gelman, Carlin, Stern, Dunson, Vehtari & Rubin (2013), Bayesian Data Analysis, 3rd ed., section 1.3.

    Examples
    --------
    One Gaussian with mean 1 and standard deviation 1: the density at its mean is 0.3989.

    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(1), [[0.0], [2.0]], "em", progress=False)
    >>> density(fit, [[1.0]])["density"].values.round(4)
    array([0.3989])
    """
    ci_prob, posterior, transforms = probability("ci_prob", ci_prob), unpack(fit).thin(draws), transforms_of(fit)
    if columns is None:
        points = points_for(fit, data, noise).unlabelled()
    else:
        names = column_names(columns)
        places(transforms.names, names)  # they exist
        transforms = transforms.chosen(names)
        posterior = marginal(posterior, transforms.fitted_names)
        own = transforms.fitted_names
        points = _own_columns(fit, own) if data is None else transforms.applied(as_points(data, names).measured(noise))
    return density_answer(posterior, points, transforms, ci_prob, keep_draws, progress)


def _own_columns(fit: "xr.DataTree", names: Sequence[str]) -> Points:
    points = observed(fit)
    at = places(points.columns, names)
    return points.in_columns(at)


def log_jacobian(points: Points, transforms: ColumnTransforms) -> Array:
    """Log density in data units minus that of transformed columns (N,), at points in transformed columns."""
    return transforms.log_slope(transforms.inverse(points.values))


def density_answer(
    posterior: Posterior,
    points: Points,
    transforms: ColumnTransforms,
    ci_prob: float,
    keep_draws: bool,
    progress: bool,
) -> "xr.Dataset":
    """Answer of ``density`` and ``conditional_density``: the mean over the draws in data units, with its band."""
    summary, jacobian = spread(posterior, points, ci_prob, progress), log_jacobian(points, transforms)
    log_mean, log_band = summary.log_mean + jacobian, summary.log_band + jacobian[:, None]
    with np.errstate(over="ignore"):  # in very small units a density can overflow; its logarithm does not
        variables: dict[str, object] = {
            "density": ("point", np.exp(log_mean)),
            "log_density": ("point", log_mean),
            "band": (("point", "ci_bound"), np.exp(log_band)),
        }
    if keep_draws:
        log = kept(posterior, points, progress=progress) + jacobian
        variables["log_density_draws"] = (("draw", "point"), log)
    answer = dataset(points, variables, ci_bound=["lower", "upper"]).assign_attrs(ci_prob=ci_prob)
    return answer if posterior.n_draws > 1 else answer.assign_attrs(note="a single draw has no credible band")


def default_grid(posterior: Posterior, steps: int | None = None) -> Points:
    """Grid over nearly all of the predictive probability of one or two columns; the last column changes fastest.

    Raises
    ------
    DeclarationError
        When there are more columns, or ``steps`` is below 2.
    """
    n_columns = len(posterior.columns)
    if n_columns not in STEPS:
        raise DeclarationError(
            f"there is no default grid over {listing(posterior.columns)}: give grid=, or at most two columns"
        )
    steps = STEPS[n_columns] if steps is None else whole("steps", steps, minimum=2)
    seen = simulate(posterior, SEEN, np.random.default_rng(0))
    low, high = np.quantile(seen, [0.001, 0.999], axis=0)
    margin = 0.05 * (high - low)
    axes = np.linspace(low - margin, high + margin, steps).T
    return as_points(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, n_columns), posterior.columns)


def log_mean_density(fit: "xr.DataTree", data: DataLike | None = None, *, draws: int | None = DRAWS) -> Array:
    """(N,) logarithm of the posterior mean density, in data units: ``log_density`` of ``density``."""
    points = points_for(fit, data).unlabelled()
    return spread(unpack(fit).thin(draws), points).log_mean + log_jacobian(points, transforms_of(fit))


def mean_log_density(fit: "xr.DataTree", data: DataLike | None = None, *, draws: int | None = DRAWS) -> Array:
    """(N,) posterior mean of the log density in the columns of the fit: the score of ``anomaly_scores``."""
    return spread(unpack(fit).thin(draws), points_for(fit, data).unlabelled()).mean_log
