"""Pareto-smoothed importance sampling (PSIS), as ArviZ computes it, without the imports of ArviZ."""

import math

import numpy as np

from bayesgmm.sweep.stats import Array

SHORTEST = 5  # minimum number of weights in the tail
PRIOR_SCALE, PRIOR_SIZE, PRIOR_SHAPE = 3, 10, 0.5  # weak priors of the scale and of the shape
NEGLIGIBLE = 10 * np.finfo(float).eps


def pareto_smoothed(log_ratio: Array) -> tuple[Array, float]:
    """Smooth the largest importance weights by quantiles of a generalised Pareto distribution fitted to them.

    Parameters
    ----------
    log_ratio : (S,) float
        Logs of the importance ratios.

    Returns
    -------
    log_weight : (S,) float
        Logs of the weights, which sum to one. NaN if the fit fails.
    khat : float
        Shape of the distribution, k-hat; NaN if the weights are far from one, as a quarter of the tail is equal.

    Raises
    ------
    ValueError
        If the tail has fewer than five weights, or all are equal.

    References
    ----------
    .. [1] Vehtari, Simpson, Gelman, Yao & Gabry (2024), J. Mach. Learn. Res. 25(72), 1-58.
    .. [2] Zhang & Stephens (2009), Technometrics 51(3), 316-325.

    Examples
    --------
    >>> log_ratio = np.random.default_rng(0).standard_normal(400)
    >>> log_weight, khat = pareto_smoothed(log_ratio)
    >>> print(np.exp(log_weight).sum().round(9), round(khat, 1))
    1.0 0.3
    """
    from scipy.special import logsumexp

    log_weight = log_ratio - np.max(log_ratio)
    order = np.argsort(log_weight)
    size = tail_size(len(log_weight))
    tail = order[len(order) - size :]
    highest = log_weight[tail[-1]] if size else 0.0
    if size < SHORTEST or abs(highest - log_weight[tail[0]]) < np.finfo(float).tiny:
        raise ValueError("the largest weights are fewer than five, or all are equal")
    cutoff = np.exp(log_weight[order[len(order) - size - 1]])
    shape, scale = fitted_pareto(np.exp(log_weight[tail]) - cutoff)
    if np.isfinite(shape):
        smooth = np.log(cutoff + _pareto_quantiles(size, shape, scale))
        smooth[smooth > highest] = highest
        log_weight[tail] = smooth
    return log_weight - logsumexp(log_weight), shape


def tail_size(n_draws: int) -> int:
    """Return the number of largest weights that are smoothed."""
    return math.floor(3 * n_draws**0.5) if n_draws > 225 else n_draws // 5


def fitted_pareto(tail: Array) -> tuple[float, float]:
    """Estimate shape and scale of a generalised Pareto distribution from sorted values (M,): posterior means [2]_."""
    from scipy.special import logsumexp

    n = len(tail)
    quartile = tail[int((n / 4 + 0.5) - 1)]
    if quartile <= tail[0]:
        return np.nan, np.nan
    number = 30 + int(n**0.5)
    slope = 1 - np.sqrt(number / (np.arange(1, number + 1, dtype=float) - 0.5))
    slope = slope / (PRIOR_SCALE * quartile) + 1 / tail[-1]
    shapes = np.log1p(-slope[:, None] * tail).mean(axis=1)
    loglik = n * (np.log(-slope / shapes) - shapes - 1)
    weight = np.exp(loglik - logsumexp(loglik))
    weight, slope = weight[weight >= NEGLIGIBLE], slope[weight >= NEGLIGIBLE]
    centre = np.sum(slope * (weight / weight.sum()))
    shape = np.log1p(-centre * tail).mean()
    if np.isnan(shape):
        return np.inf, np.nan
    return float((n * shape + PRIOR_SIZE * PRIOR_SHAPE) / (n + PRIOR_SIZE)), float(-shape / centre)


def _pareto_quantiles(size: int, shape: float, scale: float) -> Array:
    probability = np.arange(0.5, size) / size
    if scale <= 0:
        return np.full(size, np.nan)
    if shape == 0:
        return -scale * np.log1p(-probability)
    return scale * np.expm1(-shape * np.log1p(-probability)) / shape
