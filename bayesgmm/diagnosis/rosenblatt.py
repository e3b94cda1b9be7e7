"""Rosenblatt's transform: it turns points of a Gaussian mixture into independent uniform numbers."""

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.posterior.parameters import Parameters
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.stats import LOG_2PI, Array

TINY = 1e-16  # smallest difference from 1 that a double can represent
TIED = 0.5  # share of rows with a repeated value from which a column counts as rounded


def rosenblatt(x: Array, parameters: Parameters, columns: list[int] | None = None) -> Array:
    r"""Compute the conditional distribution function of each column, given the columns before it, at the points.

    .. math:: u_{nd} = P(X_d \le x_{nd} \mid X_1 = x_{n1} \dots X_{d-1} = x_{n,d-1})
              = \sum_k w_{nk}^{(d)} \, \Phi(e_{nkd}), \qquad
              w_{nk}^{(d+1)} \propto w_{nk}^{(d)} \, \varphi(e_{nkd}) / l_{kdd}

    where :math:`e_{nk} = L_k^{-1} (x_n - \mu_k)` and :math:`L_k` is the Cholesky factor of :math:`\Sigma_k`. Under the
    mixture from which the points came, all :math:`u_{nd}` are independent and uniform.

    Parameters
    ----------
    x : (N, D) or (S, N, D) float
        Points, in data units; different ones for each mixture if they have three dimensions.
    parameters : Parameters
        S mixtures.
    columns : list of int, optional
        Columns, in this order; all others are integrated out. Default: all.

    Returns
    -------
    (S, N, d) float

    References
    ----------
    .. [1] Rosenblatt (1952), Ann. Math. Stat. 23(3), 470-472.

    Examples
    --------
    A point in the middle of both columns, and one that is high only for its first column.

    >>> lone = Parameters(np.ones((1, 1)), np.zeros((1, 1, 2)), np.array([[[[1.0, 0.8], [0.8, 1.0]]]]))
    >>> rosenblatt(np.array([[0.0, 0.0], [1.0, 0.8]]), lone).round(3)
    array([[[0.5  , 0.5  ],
            [0.841, 0.5  ]]])
    """
    chosen = list(range(x.shape[-1])) if columns is None else columns
    mean = parameters.mean[..., chosen]
    chol = cholesky(parameters.covariance[..., chosen, :][..., chosen])
    with np.errstate(divide="ignore"):
        log_weight = np.log(parameters.weight)[..., None]  # (S, K, N): sums over a short last axis are slow
    out = np.empty((len(mean), x.shape[-2], len(chosen)))
    errors: list[Array] = []
    for d, column in enumerate(chosen):
        known = sum((chol[:, :, d, j, None] * errors[j] for j in range(d)), start=np.zeros(1))
        error = (x[..., None, :, column] - mean[..., d, None] - known) / chol[:, :, d, d, None]
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        out[..., d] = (weight * scipy.special.ndtr(error)).sum(axis=1) / weight.sum(axis=1)
        if d + 1 < len(chosen):
            log_weight = log_weight - 0.5 * (error**2 + LOG_2PI) - np.log(chol[:, :, d, d, None])
            errors.append(error)
    return np.clip(out, 0.0, 1.0)


def distances(uniform: Array) -> Array:
    r"""Compute the distribution function of :math:`\sum_d z_{nd}^2`, a distance of each point, uniform under the model.

    Parameters
    ----------
    uniform : (..., N, D) float
        From ``rosenblatt``.

    Returns
    -------
    (..., N) float
        Near 0 at the centre, near 1 far from it.
    """
    z = scipy.special.ndtri(np.clip(uniform, TINY, 1 - TINY))
    return scipy.special.gammainc(uniform.shape[-1] / 2, (z**2).sum(axis=-1) / 2)


def unrounded(x: Array, seed: int = 0) -> Array:
    """Spread the values of rounded columns of points (N, D) evenly over their rounding steps; NaN stays NaN.

    Rounding is then not reported as a misfit of the model.
    """
    steps = np.array([rounded_to(column[~np.isnan(column)]) for column in x.T])
    return x + steps * (np.random.default_rng(seed).random(x.shape) - 0.5)


def rounded_to(column: Array) -> float:
    """Return the step to which a column was rounded; 0 if most of its values are different.

    Examples
    --------
    >>> rounded_to(np.array([1.0, 1.5, 1.5, 2.0, 2.0, 1.0])), rounded_to(np.array([1.0, 1.1, 1.3, 1.7]))
    (0.5, 0.0)
    """
    values, counts = np.unique(column, return_counts=True)
    if len(values) < 2 or counts[counts > 1].sum() < TIED * len(column):
        return 0.0
    return float(np.median(np.diff(values)))
