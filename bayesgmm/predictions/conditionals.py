"""Conditional distributions of some columns given values of others, averaged over the posterior."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data.columns import column_names
from bayesgmm.data.numbers import LARGEST, as_doubles
from bayesgmm.data.points import as_points
from bayesgmm.declared import probability
from bayesgmm.errors import DataError, DeclarationError, choose, warn
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.parameters import Parameters, softmax
from bayesgmm.posterior.schema import Posterior, transforms_of, unpack
from bayesgmm.posterior.subsets import condition, marginal, places
from bayesgmm.predictions.densities import DRAWS, kept
from bayesgmm.predictions.predictive import default_grid, density_answer
from bayesgmm.sweep.stats import Array
from bayesgmm.transforms.columns import ColumnTransforms
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import xarray as xr

AVERAGES = {
    "predictive": "over the posterior given the data and the given values",
    "posterior": "over the posterior given the data",
}
FEW_EFFECTIVE = 50  # effective number of draws below which a warning is given


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
    answer = density_answer(posterior, points, own, ci_prob, keep_draws, progress)
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


def conditional(
    posterior: Posterior, given: Mapping[str, float], names: Sequence[str], average: str, draws: int | None
) -> Posterior:
    """Compute the draws of the conditional distribution of some columns, whose plain mean is the wanted average.

    Parameters
    ----------
    posterior : Posterior
    given : mapping of column to number
    names : sequence of str
        Columns of the conditional distribution.
    average : str
        A key of ``AVERAGES``. For ``'predictive'`` the draws are resampled in proportion to the density of the given
        values, so that some occur more than once.
    draws : int, optional
        Maximum number of draws; None for all.

    Raises
    ------
    UnknownName
        If there is no such average.
    DataError
        If there is no such column, or a value is too far from all components.
    """
    choose(average, AVERAGES, "average")
    if average == "posterior" or not given or posterior.n_draws == 1:
        return condition(posterior.thin(draws), given, names)
    part = marginal(posterior, [*given])
    log = kept(part, np.array([[*given.values()]]), progress=False)[:, 0]
    finite = bool(np.isfinite(log).any())
    weight = softmax(log if finite else np.zeros(len(log)))
    _warn_of_few(1 / float(np.square(weight).sum()) if finite else 0.0, len(weight), given)
    n_draws = posterior.thin(draws).n_draws
    p = posterior.parameters
    at = in_proportion(weight, n_draws)
    taken = Parameters(p.weight[at], p.mean[at], p.covariance[at])
    return condition(replace(posterior, parameters=taken), given, names)


def in_proportion(weight: Array, size: int) -> NDArray[np.intp]:
    """Indices (size,), in order: each as often as its weight (S,) requires, rounded up or down.

    References
    ----------
    .. [1] Kitagawa (1996), J. Comput. Graph. Stat. 5(1), 1-25: systematic resampling, here from the middle of each
       stratum.

    Examples
    --------
    >>> in_proportion(np.array([0.5, 0.0, 0.25, 0.25]), 4)
    array([0, 0, 2, 3])
    """
    steps = np.cumsum(weight)
    at = (np.arange(size) + 0.5) / size * steps[-1]
    return np.minimum(np.searchsorted(steps, at, side="right"), len(weight) - 1)


def _warn_of_few(effective: float, n_draws: int, given: Mapping[str, float]) -> None:
    """Warn when few draws have most of the weight: the given values are far from the data."""
    if effective < FEW_EFFECTIVE < n_draws:
        where = ", ".join(f"{name} = {value:g}" for name, value in given.items())
        warn(
            [
                f"Given {where}, only {effective:.0f} of {n_draws} posterior draws count: these values are far from "
                "the data, and the conditional density is imprecise. Take more draws in the fit, or "
                "average='posterior'."
            ]
        )
