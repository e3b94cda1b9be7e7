"""Conditional distributions of some columns given values of others, averaged over the posterior."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import choose, warn
from bayesgmm.posterior.parameters import Parameters, softmax
from bayesgmm.posterior.schema import Posterior
from bayesgmm.posterior.subsets import condition, marginal
from bayesgmm.predictions.densities import kept
from bayesgmm.sweep.stats import Array

AVERAGES = {
    "predictive": "over the posterior given the data and the given values",
    "posterior": "over the posterior given the data",
}
FEW_EFFECTIVE = 50  # effective number of draws below which a warning is given


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
