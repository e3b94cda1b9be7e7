"""P-values corrected by those of all rows, and sentences on whether they hold."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from bayesgmm.apps.tables.tails import NEAR, SMALL, Tail
from bayesgmm.priors.backgrounds import QUARTILES_APART
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

MIN_P_VALUES = 200  # p-values needed to estimate the empirical null
MIDDLING = (1e-7, 0.005)  # range of p-values that distant anomalies do not have
FALSE_ALARMS = 0.02
LOWEST = -690.0  # logarithm of the smallest p-value, 1e-300: none is 0


@dataclass(frozen=True)
class EmpiricalNull:
    r"""Distribution of the good points' z-scores, estimated from the central half of all points, and their tail.

    With :math:`z = \Phi^{-1}(p)`, the z-scores of good points are standard normal if the model is correct. The
    quartiles of all z-scores estimate their actual centre and spread [1]_. Their tail can be heavier still: components
    that fit the middle of a group do not change how its tails go on. So p-values below 0.1 are those of a generalised
    Pareto tail (see ``Tail``). P-values can only become larger; with few points they are not changed.

    Parameters
    ----------
    middle, spread : float
        Mean and standard deviation of z; at most 0 and at least 1.
    scale, shape : float
        Of the tail; 1 and 0 if the model's is right.

    References
    ----------
    .. [1] Efron (2004), J. Am. Stat. Assoc. 99(465), 96-104.

    Examples
    --------
    >>> EmpiricalNull.of(np.log((np.arange(999) + 1) / 1000))  # doctest: +ELLIPSIS
    EmpiricalNull(middle=0.0, spread=1.0, scale=1.0..., shape=0.0)
    """

    middle: float = 0.0
    spread: float = 1.0
    scale: float = 1.0
    shape: float = 0.0

    @classmethod
    def of(cls, log_p: Array) -> Self:
        """Estimate from the logarithms (N,) of p-values."""
        if len(log_p) < MIN_P_VALUES:
            return cls()
        low, middle, high = np.quantile(_z(log_p), [0.25, 0.5, 0.75])
        null = cls(min(0.0, round(float(middle), 9)), max(1.0, float(high - low) / QUARTILES_APART))
        tail = Tail.of(null.centred(log_p))
        return replace(null, scale=tail.scale, shape=tail.shape)

    @cached_property
    def tail(self) -> Tail:
        """The tail."""
        return Tail(self.scale, self.shape)

    def centred(self, log_p: Array) -> Array:
        """Logarithms (N,) of p-values, corrected for the centre and the spread of the z-scores."""
        from scipy.special import log_ndtr

        return np.asarray(np.maximum(log_p, log_ndtr((_z(log_p) - self.middle) / self.spread)))

    def p_values(self, log_p: Array) -> Array:
        """Corrected p-values (N,)."""
        return np.exp(np.maximum(self.tail.log_p(self.centred(log_p)), LOWEST))

    def without_tail(self, p_value: Array) -> Array:
        """Corrected p-values (N,) as they would be without the correction of the tail."""
        return np.exp(self.tail.before(np.log(p_value)))


def _z(log_p: Array) -> Array:
    from scipy.special import ndtri_exp

    return np.asarray(ndtri_exp(np.minimum(log_p, -1e-12)))


NORMAL = EmpiricalNull()


def heavy_tail(p_value: Array, null: EmpiricalNull = NORMAL) -> str:
    """Say that more p-values (N,) are small than the model allows, apart from distant ones; empty if that is not so.

    Distant anomalies have smaller p-values, or lie apart from the tail. So an excess here means that the tail of all
    rows is heavier than the model's. P-values that the null corrected for its tail are counted without that: how the
    tail goes on is not known, and a false discovery rate may not hold.

    Examples
    --------
    >>> regular = (np.arange(1000) + 0.5) / 1000
    >>> heavy_tail(regular), heavy_tail(regular**2)[:21]
    ('', '71 of 1000 rows have ')
    """
    from scipy.stats import binom

    low, high = MIDDLING
    p_value = null.without_tail(p_value)
    count, between = int(((p_value > low) & (p_value <= high)).sum()), f"from {low:g} to {high:g}"
    if binom.sf(count - 1, len(p_value), high - low) > FALSE_ALARMS:
        if not null.shape:
            return ""
        count, between = int((p_value <= high).sum()), f"of at most {high:g}"
    return (
        f"{count} of {len(p_value)} rows have p-values {between} by the model, where {len(p_value) * high:.1f} are "
        "expected: the rows, or the groups that they form, have heavier tails than the model, or there are many mild "
        "anomalies. The p-values are larger for that reason, but the false discovery rate may not hold."
    )


def calibration_words(p_value: Array, null: EmpiricalNull = NORMAL) -> str:
    """Say whether as many p-values (N,) are small, but not very small, as are expected of regular rows.

    If they are, p-values and false discovery rates hold, even where the model does not describe the rows in full.

    Examples
    --------
    >>> regular = (np.arange(1000) + 0.5) / 1000
    >>> calibration_words(regular)
    'p-values are as expected: 99 of 1,000 rows have one from 0.0005 to 0.1, where 99.5 are expected'
    >>> calibration_words(np.append(0.05, np.linspace(0.2, 1, 99)))[:35]
    'p-values are larger than necessary,'
    """
    from scipy.stats import binom

    if heavier := heavy_tail(p_value, null):
        return f"use the p-values with care: {heavier}"
    low, high = NEAR, SMALL
    count, n = int(((p_value > low) & (p_value <= high)).sum()), len(p_value)
    verb, expected = "has" if count == 1 else "have", f"{n * (high - low):,.1f}"
    numbers = f"{count:,} of {plural(n, 'row')} {verb} one from {low:g} to {high:g}, where {expected} are expected"
    if binom.cdf(count, n, high - low) > FALSE_ALARMS:
        return f"p-values are as expected: {numbers}"
    return f"p-values are larger than necessary, so mild anomalies may be missed: {numbers}"
