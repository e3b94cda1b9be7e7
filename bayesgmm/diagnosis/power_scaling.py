"""Sensitivity of a posterior to powers of its prior or of its likelihood: the numbers of ArviZ, without its imports."""

import numpy as np

from bayesgmm.posterior.chain_statistics import tail_ess
from bayesgmm.predictions.pareto_smoothing import pareto_smoothed
from bayesgmm.sweep.stats import Array

POWERS = (0.99, 1.01)


def sensitivities(values: Array, log_density: Array) -> Array:
    """Compute how fast distributions change with the power of one part of the posterior density.

    The change is the cumulative Jensen-Shannon distance, for a power near one, divided by the base-2 logarithm of the
    power.

    Parameters
    ----------
    values : (S, M) float
        Draws of M quantities.
    log_density : (S,) float
        Log of the prior density, or of the likelihood, of each draw.

    Returns
    -------
    (M,) float
        NaN for a constant.

    References
    ----------
    .. [1] Kallioinen, Paananen, Bürkner & Vehtari (2024), Stat. Comput. 34, 57.

    Examples
    --------
    The mean of a normal distribution with a wide prior, and with one as narrow as the likelihood.

    >>> draws = np.random.default_rng(0).standard_normal((2000, 1))
    >>> sensitivities(draws, -0.5 * (draws[:, 0] / 100) ** 2).round(2)
    array([0.])
    >>> sensitivities(draws, -0.25 * draws[:, 0] ** 2).round(2)
    array([0.05])
    """
    order = np.argsort(values, axis=0)
    width = np.diff(np.take_along_axis(values, order, axis=0), axis=0)
    relative = float(tail_ess(log_density[None, :, None])[0]) / len(log_density)
    sides = []
    for power in POWERS:
        weight = _weights((power - 1) * log_density, relative)[order]
        change = np.maximum(_distance(weight, width), _distance(weight[::-1], width[::-1]))
        sides.append(change / abs(np.log2(power)))
    return np.asarray(sum(sides) / 2)


def _weights(log_ratio: Array, relative_size: float) -> Array:
    """Return importance weights (S,), which sum to one, smoothed where their tail can be fitted."""
    weight = np.exp(pareto_smoothed(log_ratio[None], relative_size)[0][0])
    return np.asarray(weight / weight.sum())


def _distance(weight: Array, width: Array) -> Array:
    """Compute the cumulative Jensen-Shannon distance (M,) of sorted draws, equal weights against weights (S, M).

    Their distribution functions differ on intervals of a width (S - 1, M).
    """
    n = len(weight)
    p = np.linspace(1 / n, 1 - 1 / n, n - 1)[:, None]
    q = np.cumsum(weight / weight.sum(axis=0), axis=0)[:-1]
    middle = np.log2((p + q) / 2)
    of_p, of_q = (width * p).sum(axis=0), (width * q).sum(axis=0)
    shift = 0.5 / np.log(2) * (of_q - of_p)
    from_p = (width * p * (np.log2(p) - middle)).sum(axis=0) + shift
    from_q = (width * q * (np.log2(np.where(q > 0, q, 1.0)) - middle)).sum(axis=0) - shift
    return np.asarray(np.sqrt((np.maximum(from_p, 0) + np.maximum(from_q, 0)) / (of_p + of_q)))
