"""Candidate transforms of a column, with parameters estimated by maximum likelihood."""

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.sweep.stats import Array
from bayesgmm.transforms.curves import Arcsinh, Curve, Power

POWERS = (-1.0, 3.0)  # range of the estimated power
SHIFT = 0.25  # of a column that is not positive: its minimum becomes this share of the distance to its median
HALF = 0.5  # the formula of a power begins at this share of the smallest shifted value
OVERFLOW = 710.0  # more than the logarithm of any number
TINY = 1e-12  # but at no less than this share of the median


def candidates(x: Array, lowest: float | None = None) -> dict[str, Curve]:
    """Estimate one transform of each kind for a column, in the order of increasing complexity.

    Each is the transform after which the column is most nearly Gaussian; the logarithm has no estimated number.

    Parameters
    ----------
    x : (N,) float
        Not constant.
    lowest : float, optional
        Smallest value that the transforms are made for. Default: that of ``x``.

    Examples
    --------
    >>> x = np.exp(np.random.default_rng(0).normal(size=1000))
    >>> round(candidates(x)["power"].power, 1)
    0.0
    """
    low = float(x.min()) if lowest is None else lowest
    shift = _shift(x, low)
    start = float(max(HALF * (low + shift), TINY * np.median(x + shift)))
    power = _power(x + shift)
    curves: dict[str, Curve] = {"log": Power(power=0.0, start=start, shift=shift)}
    curves["power"] = Power(power=power, start=start, shift=shift)
    curves["arcsinh"] = _arcsinh(x)
    return curves


def _shift(x: Array, low: float) -> float:
    """Constant that makes a column positive: 0 for a positive one."""
    middle = float(np.median(x))
    if low > 0:
        return 0.0
    return -low + SHIFT * (middle - low if middle > low else float(x.std()))


def _power(u: Array) -> float:
    """Power of Box and Cox with the highest likelihood, to two decimals.

    Values whose geometric mean is 1 have no Jacobian, so the likelihood is highest where the deviation is smallest.
    """
    from scipy.optimize import minimize_scalar

    scaled = u / np.exp(np.log(u).mean())

    def deviance(power: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            value = np.log(scipy.special.boxcox(scaled, power).std())
        return float(value) if np.isfinite(value) else OVERFLOW

    found = minimize_scalar(deviance, bounds=POWERS, method="bounded")
    return round(float(found.x), 2) + 0.0


def _arcsinh(x: Array) -> Arcsinh:
    """Arcsinh after which the column is most nearly Gaussian: the maximum likelihood of Johnson's SU distribution."""
    from scipy.optimize import minimize

    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
    unit = float(high - low) or float(x.std())
    y = (x - middle) / unit

    def deviance(at: Array) -> float:
        centre, scale = at[0], np.exp(at[1])
        away = (y - centre) / scale
        return float(np.log(np.arcsinh(away).std()) + at[1] + 0.5 * np.log1p(away**2).mean())

    limits = [(-50.0, 50.0), (np.log(0.02), np.log(50.0))]
    found = minimize(deviance, [0.0, 0.0], method="Nelder-Mead", bounds=limits, options={"xatol": 1e-3, "fatol": 1e-6})
    return Arcsinh(centre=float(middle + unit * found.x[0]), scale=float(unit * np.exp(found.x[1])))
