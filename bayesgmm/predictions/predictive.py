"""Assignments, densities and conditional densities at points, averaged over the posterior."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.data.columns import column_names
from bayesgmm.data.numbers import LARGEST, as_doubles
from bayesgmm.data.points import DataLike, Points, as_points
from bayesgmm.declared import probability, whole
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.contamination import background, background_probability
from bayesgmm.posterior.schema import Posterior, observed, points_for, transforms_of, unpack
from bayesgmm.posterior.subsets import marginal, places
from bayesgmm.predictions.conditionals import conditional
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
    return _density(posterior, points, transforms, ci_prob, keep_draws, progress)


def _own_columns(fit: "xr.DataTree", names: Sequence[str]) -> Points:
    points = observed(fit)
    at = places(points.columns, names)
    return points.in_columns(at)


def log_jacobian(points: Points, transforms: ColumnTransforms) -> Array:
    """Log density in data units minus that of transformed columns (N,), at points in transformed columns."""
    return transforms.log_slope(transforms.inverse(points.values))


def _density(
    posterior: Posterior,
    points: Points,
    transforms: ColumnTransforms,
    ci_prob: float,
    keep_draws: bool,
    progress: bool,
) -> "xr.Dataset":
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


@takes_fit
def conditional_density(
    fit: FitLike,
    given: Mapping[str, float],
    over: str | Sequence[str],
    grid: ArrayLike | None = None,
    *,
    average: str = "predictive",
    steps: int | None = None,
    ci_prob: float = 0.9,
    draws: int | None = DRAWS,
    keep_draws: bool = False,
    progress: bool = True,
) -> "xr.Dataset":
    r"""Compute the density of some columns given the values of others, with a credible band.

    .. math:: p(x_o \mid x_g, \theta) = \sum_k w'_k \, \mathrm{Normal}(x_o \mid \mu'_k, \Sigma'_k), \qquad
              w'_k \propto w_k \, \mathrm{Normal}(x_g \mid \mu_{k,g}, \Sigma_{k,gg})

    averaged over the draws of :math:`\theta`, in one of two ways:

    - ``'predictive'``: the conditional density of a new point of which the given values are known [2]_. They are data
      too: a draw counts in proportion to the density that it gives them. The result is the posterior predictive
      density of all columns divided by that of the given ones, :math:`p(x_o, x_g \mid y) / p(x_g \mid y)`.
    - ``'posterior'``: the conditional density as a function of the parameters, :math:`\mathrm{E}[p(x_o \mid x_g,
      \theta) \mid y]`. All draws count the same: the given values are not an observation, only a place at which the
      regression of some columns on others is evaluated.

    They agree where the data are many. Columns that are neither in ``given`` nor in ``over`` are integrated out.

    Parameters
    ----------
    fit : DataTree or estimator
    given : mapping of column to number
        Values in data units, for example ``{"petal_width": 1.2}``; ``{}`` gives the marginal density of ``over``.
    over : str or sequence of str
        The column or columns of the density.
    grid : (M,) or (M, len(over)) array or DataFrame, optional
        Points. Default: 200 points along one column, or 60 along each of two (the last column changes fastest), over
        nearly all of the probability.
    average : {'predictive', 'posterior'}
        How draws are averaged.
    steps : int, optional
        Number of points of the default grid along each column.
    ci_prob : float
        Probability of the equal-tailed band at each point.
    draws : int, optional
        Number of posterior draws; None for as many as the fit has. For ``'predictive'`` they are resampled from all
        draws of the fit, so that some occur more than once.
    keep_draws : bool
        Also return the log density of every draw.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    Dataset
        As from ``density``, with the points ``x`` [point, feature]. The attributes ``given`` and ``average`` are texts.
        ``answer[["density", "log_density"]].to_dataframe()`` is a table, a row for each point.

    Raises
    ------
    DataError
        When there is no such column, a column is in ``given`` and in ``over``, or a value is not a number.
    DeclarationError
        When ``given`` is not a mapping, ``grid`` is missing for more than two columns, or a number is out of range.
    UnknownName
        When there is no such ``average``.
    FitFileError
        When ``fit`` is not a fit.

    Warns
    -----
    FitWarning
        When few draws count, because the given values are far from the data.

    References
    ----------
    .. [1] Bishop (2006), Pattern Recognition and Machine Learning, section 2.3.1: conditional Gaussians.
    .. [2] Müller, Erkanli & West (1996), Biometrika 83(1), 67-79: prediction by a mixture of the joint distribution.

    Examples
    --------
    With one component, the mode of the conditional density is on the regression line.

    >>> import bayesgmm as bg
    >>> flowers = bg.datasets.iris().drop(columns="species")
    >>> fit = bg.fit(bg.MixtureModel(1), flowers, "em", progress=False)
    >>> answer = conditional_density(fit, given={"petal_width": 1.2}, over="petal_length")
    >>> answer["x"].values[answer["density"].values.argmax()].round(1)
    array([3.8])
    """
    ci_prob, transforms = probability("ci_prob", ci_prob), transforms_of(fit)
    names = column_names([over] if isinstance(over, str) else over)
    values = _given(given, transforms.names, names)
    places(transforms.names, names)  # they exist
    own, known = transforms.chosen(names), _forward(transforms.chosen([*values]), values)
    posterior = conditional(unpack(fit), known, own.fitted_names, average, draws)
    points = default_grid(posterior, steps) if grid is None else own.applied(as_points(grid, names))
    answer = _density(posterior, points, own, ci_prob, keep_draws, progress)
    return (
        answer.assign(x=(("point", "feature"), own.inverse(points.values)))
        .assign_coords(feature=names)
        .assign_attrs(given=", ".join(f"{name} = {value:g}" for name, value in values.items()), average=average)
    )


def _forward(transforms: ColumnTransforms, values: Mapping[str, float]) -> dict[str, float]:
    """Transform the values of some columns; their names become those of the fit."""
    after = transforms.forward(np.array([*values.values()]))
    return dict(zip(transforms.fitted_names, after.tolist(), strict=True))


def _given(given: Mapping[str, float], columns: tuple[str, ...], names: list[str]) -> dict[str, float]:
    """Validate the values in ``given``.

    Raises
    ------
    DeclarationError
        When ``given`` is not a mapping.
    DataError
        When there is no such column, it is also in ``over``, or a value is not a number.
    """
    if not isinstance(given, Mapping):
        raise DeclarationError(f"given={given!r}: give values by column, for example given={{{columns[0]!r}: 1.0}}")
    values = {str(name): value for name, value in given.items()}
    places(columns, [*values])
    if both := [name for name in names if name in values]:
        raise DataError(f"{listing(both)} can't be in given and in over={listing(names)}")
    return {name: _number(name, value) for name, value in values.items()}


def _number(name: str, value: object) -> float:
    """Validate a value in ``given``: finite, and small enough to be squared.

    Raises
    ------
    DataError
        When it is not.
    """
    try:
        number = float(as_doubles(value))  # of one number; text is refused, as in tables
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= LARGEST:
        raise DataError(f"given={{{name!r}: {value!r}}}: give one number for each column, up to {LARGEST:g}")
    return number


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
