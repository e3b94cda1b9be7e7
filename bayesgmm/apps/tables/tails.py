"""The tail of p-values: how slowly the surprise -log p of regular rows falls off, beside distant anomalies."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayesgmm.sweep.stats import Array

SMALL = 0.1  # p-value at which the tail begins
MIN_TAIL = 20  # p-values below that from which the tail is estimated
NEAR = 0.0005  # p-value at which its near part ends, in which there are few anomalies
LONGEST = 9.0  # largest scale
HEAVIEST = 0.4  # largest shape: that of a t distribution with 5 degrees of freedom under a Gaussian
EVIDENT = 4.2  # twice the gain in log likelihood that a positive shape must give: one in fifty by chance
FAR = 0.001  # p-value below which anomalies are more than such a tail has
UNUSUAL = 0.01  # probability of so few p-values in the tail, from which on some are missing
TOO_MANY = 0.005  # probability of so many p-values below that in the tail, from which on they are anomalies
APART = 1.6  # rows are apart from the tail if their surprise is this many times that of the next one
ANOMALOUS = 0.05  # share of rows that can lie apart, or half of the tail
RARE = 0.01  # and if regular rows leave so wide a gap with this probability
LOG_RATES = (-9.0, 5.0)  # range of the logarithm of shape / scale


@dataclass(frozen=True)
class Tail:
    r"""Generalised Pareto distribution of the surprise :math:`s = -\log p` beyond that of a p-value of 0.1.

    .. math:: P(s > t \mid p < 0.1) = \left(1 + \xi \frac{t - \log 10}{\sigma}\right)^{-1 / \xi}

    Uniform p-values have an exponential tail, with scale 1 and shape 0. If the rows have heavier tails than the model,
    the surprise decreases as a power [1]_.

    Parameters
    ----------
    scale : float
    shape : float
        0 for an exponential tail.

    References
    ----------
    .. [1] Pickands (1975), Ann. Stat. 3(1), 119-131.

    Examples
    --------
    >>> Tail(scale=1.0, shape=0.5).log_p(np.log([0.5, 0.1, 1e-9])).round(2).tolist()
    [-0.69, -2.3, -6.95]
    """

    scale: float = 1.0
    shape: float = 0.0

    @classmethod
    def of(cls, log_p: Array) -> Self:
        """Estimate from the logarithms (N,) of p-values.

        A few anomalies have much smaller p-values than all regular rows: those beyond a gap that regular rows hardly
        ever leave are not counted. The scale, at least that of uniform p-values, has the highest likelihood of the
        p-values from 0.0005 to 0.1. If clearly fewer than a tenth of the rows are below 0.1, because anomalies have
        widened the model, the missing ones count as at 0.1. A positive shape needs evidence, and is at most that of a t
        distribution with five degrees of freedom under a Gaussian: if there are more rows far out than such a tail
        has, they are anomalies.
        """
        from scipy.stats import binom

        beyond = np.sort(np.log(SMALL) - log_p[log_p < np.log(SMALL)])
        if len(beyond) < MIN_TAIL:
            return cls()
        regular = beyond[: len(beyond) - _n_apart(beyond, len(log_p))]
        (_, shape), gain = _fitted(regular)
        usual = int(binom.ppf(UNUSUAL, len(log_p), SMALL))
        missing = max(0, usual - len(beyond))  # a tail with too few rows is not too heavy
        near = np.concatenate([np.zeros(missing), regular[regular < np.log(SMALL / NEAR)]])
        heavy = cls(_scale(near, min(shape, HEAVIEST)), min(shape, HEAVIEST)) if gain > EVIDENT else cls()
        if heavy.shape and not heavy._has_too_many(regular, len(log_p)):
            return heavy
        return cls(_scale(near, 0.0))

    def _has_too_many(self, beyond: Array, n_rows: int) -> bool:
        """True if more rows are far out than this tail has."""
        from scipy.stats import binom

        far = np.log(SMALL / FAR)
        expected = SMALL * np.exp(self._log_survival(np.array(far)))
        return bool(binom.sf((beyond > far).sum() - 1, n_rows, expected) < TOO_MANY)

    def log_p(self, log_p: Array) -> Array:
        """Logarithms (N,) of the p-values, corrected for the tail: never smaller."""
        beyond = np.maximum(np.log(SMALL) - log_p, 0.0)
        return np.maximum(log_p, np.where(beyond > 0, np.log(SMALL) + self._log_survival(beyond), log_p))

    def before(self, log_p: Array) -> Array:
        """Logarithms (N,) of p-values as they were before they were corrected: the inverse of ``log_p``."""
        beyond = np.maximum(np.log(SMALL) - log_p, 0.0)
        away = beyond * self.scale
        if self.shape:
            away = np.expm1(np.minimum(self.shape * beyond, 600.0)) * self.scale / self.shape
        return np.minimum(log_p, np.where(beyond > 0, np.log(SMALL) - away, log_p))

    def _log_survival(self, beyond: Array) -> Array:
        if not self.shape:
            return -beyond / self.scale
        return -np.log1p(self.shape * beyond / self.scale) / self.shape


def _scale(near: Array, shape: float) -> float:
    """Scale of a tail from its near part (N,), which is cut off at a p-value of 0.0005: from 1 to 9."""
    from scipy.optimize import minimize_scalar

    end = np.array(np.log(SMALL / NEAR))

    def loss(log_scale: float) -> float:
        tail = Tail(float(np.exp(log_scale)), shape)
        inside = log_scale + np.log(-np.expm1(tail._log_survival(end)))
        return float(len(near) * inside - (1 + shape) * tail._log_survival(near).sum())

    return float(np.exp(minimize_scalar(loss, bounds=(0.0, np.log(LONGEST)), method="bounded").x))


def _n_apart(beyond: Array, n_rows: int) -> int:
    """Number of the largest values, of those in increasing order (N,), that lie apart from the others."""
    n = len(beyond)
    surprise = beyond - np.log(SMALL)
    for at in (np.flatnonzero(surprise[1:] > APART * surprise[:-1]) + 1).tolist():
        count = n - at
        if count > max(n // 2, ANOMALOUS * n_rows):
            continue
        (scale, shape), _ = _fitted(beyond[:at], count)
        first, last = Tail(scale, shape)._log_survival(beyond[[at - 1, at]])
        if count * (last - first) < np.log(RARE):
            return int(count)
    return 0


def _fitted(beyond: Array, n_more: int = 0) -> tuple[tuple[float, float], float]:
    """Scale and shape, and twice the gain in log likelihood over an exponential tail.

    Parameters
    ----------
    beyond : (N,) float
        In increasing order.
    n_more : int
        Number of other values that are known to be larger than all of these.

    References
    ----------
    .. [1] Grimshaw (1993), Technometrics 35(2), 185-191: the likelihood as a function of shape / scale alone.
    """
    from scipy.optimize import minimize_scalar

    n = len(beyond)

    def shape_and_loss(log_rate: float) -> tuple[float, float]:
        log = np.log1p(np.exp(log_rate) * beyond)
        shape = (log.sum() + n_more * log[-1]) / n
        return float(shape), float(log.sum() + n + n * (np.log(shape) - log_rate))

    scale = float(beyond.sum() + n_more * beyond[-1]) / n
    exponential = n + n * np.log(scale)
    best = minimize_scalar(lambda at: shape_and_loss(at)[1], bounds=LOG_RATES, method="bounded").x
    shape, loss = shape_and_loss(best)
    if loss >= exponential:
        return (scale, 0.0), 0.0
    return (shape / float(np.exp(best)), shape), 2 * (exponential - loss)
