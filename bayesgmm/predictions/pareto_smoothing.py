"""Pareto-smoothed importance sampling (PSIS), as ArviZ computes it, without the imports of ArviZ."""

import math

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array

Flags = NDArray[np.bool_]
SHORTEST = 5  # minimum number of weights in the tail
PRIOR_SCALE, PRIOR_SIZE, PRIOR_SHAPE = 3, 10, 0.5  # weak priors of the scale and of the shape
TOGETHER = 200  # number of points whose weights are smoothed at the same time
NEGLIGIBLE = 10 * np.finfo(float).eps


def pareto_smoothed(log_ratio: Array, relative_size: float = 1.0) -> tuple[Array, Array, Flags]:
    """Smooth the largest importance weights by quantiles of a generalised Pareto distribution fitted to them.

    Parameters
    ----------
    log_ratio : (N, S) float
        Logs of the importance ratios of S draws, for each of N points.
    relative_size : float
        Effective sample size of the draws, divided by their number.

    Returns
    -------
    log_weight : (N, S) float
        Logs of the weights, which sum to one for each point. NaN if the fit fails.
    khat : (N,) float
        Shapes of the distributions, k-hat; NaN if a quarter of the tail is equal, so that weights are not smoothed.
    fits : (N,) bool
        False where the tail has fewer than five weights, or all are equal; weights are then not smoothed.

    References
    ----------
    .. [1] Vehtari, Simpson, Gelman, Yao & Gabry (2024), J. Mach. Learn. Res. 25(72), 1-58.
    .. [2] Zhang & Stephens (2009), Technometrics 51(3), 316-325.

    Examples
    --------
    >>> log_ratio = np.random.default_rng(0).standard_normal((3, 400))
    >>> log_weight, khat, fits = pareto_smoothed(log_ratio)
    >>> np.exp(log_weight).sum(axis=1).round(9), khat.round(1), fits
    (array([1., 1., 1.]), array([0.3, 0.3, 0.4]), array([ True,  True,  True]))
    """
    if not len(log_ratio):
        return log_ratio, np.empty(0), np.empty(0, dtype=bool)
    parts = range(0, len(log_ratio), TOGETHER)
    done = [_smoothed(log_ratio[start : start + TOGETHER], relative_size) for start in parts]
    log_weight, khat, fits = (np.concatenate(of_parts) for of_parts in zip(*done, strict=True))
    return log_weight, khat, fits


@np.errstate(all="ignore")  # weights of zero and equal weights are seen in the results
def _smoothed(log_ratio: Array, relative_size: float) -> tuple[Array, Array, Flags]:
    from scipy.special import logsumexp

    log_weight = log_ratio - log_ratio.max(axis=1, keepdims=True)
    order = np.argsort(log_weight, axis=1)
    size = tail_size(order.shape[1], relative_size)
    tail = order[:, order.shape[1] - size :]
    logs = np.take_along_axis(log_weight, tail, axis=1)
    if size < SHORTEST:
        shape, fits = np.full(len(logs), np.nan), np.zeros(len(logs), dtype=bool)
    else:
        fits = ~(np.abs(logs[:, -1] - logs[:, 0]) < np.finfo(float).tiny)
        before = order[:, order.shape[1] - size - 1, None]
        cutoff = np.exp(np.take_along_axis(log_weight, before, axis=1))
        shape, scale = fitted_pareto(np.exp(logs) - cutoff)
        smooth = np.fmin(np.log(cutoff + _pareto_quantiles(size, shape, scale)), logs[:, -1:])
        smooth[~(scale > 0)] = np.nan
        is_smooth = fits & np.isfinite(shape)
        np.put_along_axis(log_weight, tail, np.where(is_smooth[:, None], smooth, logs), axis=1)
    return log_weight - logsumexp(log_weight, axis=1, keepdims=True), shape, fits


def tail_size(n_draws: int, relative_size: float = 1.0) -> int:
    """Return the number of largest weights that are smoothed."""
    large = n_draws * relative_size > 225
    return math.floor(3 * (n_draws / relative_size) ** 0.5) if large else n_draws // 5


def fitted_pareto(tail: Array) -> tuple[Array, Array]:
    """Estimate shapes and scales (N,) of generalised Pareto distributions from sorted values (N, M) [2]_.

    They are posterior means; NaN where a quarter of the values is equal.
    """
    from scipy.special import logsumexp

    n = tail.shape[1]
    quartile = tail[:, int((n / 4 + 0.5) - 1)]
    number = 30 + int(n**0.5)
    slope = 1 - np.sqrt(number / (np.arange(1, number + 1, dtype=float) - 0.5))
    slope = slope / (PRIOR_SCALE * quartile[:, None]) + 1 / tail[:, -1:]
    shapes = np.log1p(-slope[:, :, None] * tail[:, None]).mean(axis=2)
    loglik = n * (np.log(-slope / shapes) - shapes - 1)
    weight = np.exp(loglik - logsumexp(loglik, axis=1, keepdims=True))
    weight = np.where(weight >= NEGLIGIBLE, weight, 0.0)
    centre = np.sum(slope * (weight / weight.sum(axis=1, keepdims=True)), axis=1)
    shape = np.log1p(-centre[:, None] * tail).mean(axis=1)
    is_flat = quartile <= tail[:, 0]
    regular = np.where(np.isnan(shape), np.inf, (n * shape + PRIOR_SIZE * PRIOR_SHAPE) / (n + PRIOR_SIZE))
    return np.where(is_flat, np.nan, regular), np.where(is_flat, np.nan, -shape / centre)


def _pareto_quantiles(size: int, shape: Array, scale: Array) -> Array:
    """Return quantiles (N, size) above the threshold."""
    probability = np.arange(0.5, size) / size
    at, shape, scale = np.log1p(-probability), shape[:, None], scale[:, None]
    return scale * np.where(shape == 0, -at, np.expm1(-shape * at) / np.where(shape == 0, 1.0, shape))
