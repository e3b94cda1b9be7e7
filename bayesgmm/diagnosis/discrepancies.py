r"""Test statistics of points that are uniform under the model, and their p-values.

A posterior predictive p-value uses the data twice and is not uniform, even if the model is correct. The p-values here
are computed under *single draws* of the posterior, for which they are uniform (Johnson 2007): a draw differs from the
best fit as much as the fit to a new sample would. P-values of several draws depend on each other; ``combine`` makes one
p-value of them.

.. [1] Johnson (2007), Bayesian Analysis 2(4), 719-733.
"""

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import NDArray

from bayesgmm.diagnosis.rosenblatt import TINY
from bayesgmm.sweep.stats import Array

IntArray = NDArray[np.intp]
TAIL = 0.01  # probability of each tail
ENOUGH = 5  # minimum number of points of a component in a test of dependence
PLENTY = 10  # minimum number of points of a component in a test of its shape
DEGREES = 2  # of the polynomials in the test of dependence: higher degrees need many points


def combine(p_values: Array) -> Array:
    r"""Combine dependent p-values of S draws (S, ...) into one: their lower quartile.

    For any dependence it is at most four times too small (Rüschendorf 1982), and it was not too small in simulated fits
    of a correct model (docs/benchmarks.md). The mean, which is the posterior predictive p-value, is rarely small even
    for a wrong model, and the minimum can be small because of one unusual draw.

    References
    ----------
    .. [1] Rüschendorf (1982), Adv. Appl. Probab. 14(3), 623-632.
    .. [2] Meng (1994), Ann. Stat. 22(3), 1142-1160.

    Examples
    --------
    >>> combine(np.array([0.01, 0.02, 0.03, 0.5, 0.9]))
    np.float64(0.02)
    """
    return np.quantile(p_values, 0.25, axis=0)


def holm(p_values: Array) -> Array:
    """Correct p-values for their number (Holm 1979), which controls the probability of any false alarm.

    Examples
    --------
    >>> holm(np.array([0.01, 0.5, 0.02])).round(2)
    array([0.03, 0.5 , 0.04])
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * (len(p_values) - np.arange(len(p_values))))
    out = np.empty(len(p_values))
    out[order] = np.minimum(stepped, 1.0)
    return out


def evenness(uniform: Array) -> Array:
    r"""Compute the p-value of the Anderson-Darling test of uniformity, which is sensitive in the tails too.

    .. math:: A^2 = -N - \frac1N \sum_i (2i - 1) \left[ \log u_{(i)} + \log(1 - u_{(N+1-i)}) \right]

    Parameters
    ----------
    uniform : (..., N) float

    Returns
    -------
    (...) float

    References
    ----------
    .. [1] Marsaglia & Marsaglia (2004), J. Stat. Softw. 9(2), 1-5: the limit for large N.
    """
    u = np.sort(np.clip(uniform, TINY, 1 - TINY), axis=-1)
    n = u.shape[-1]
    odd = 2 * np.arange(1, n + 1) - 1
    squared = -n - (odd * (np.log(u) + np.log1p(-u[..., ::-1]))).mean(axis=-1)
    return anderson_darling_tail(np.maximum(squared, 1e-3))


def anderson_darling_tail(z: Array) -> Array:
    """Compute P(A² > z) for a large number of points, to 2e-6; its tail is extrapolated exponentially.

    Examples
    --------
    The critical values at 5 % and 1 % from tables.

    >>> anderson_darling_tail(np.array([2.492, 3.878])).round(4)
    array([0.05, 0.01])
    """
    low, high = np.minimum(z, 2.0), np.maximum(z, 2.0)
    series = np.polyval([0.00168691, -0.011672, 0.0347962, -0.0649821, 0.247105, 2.00012], low)
    below = 1 - np.exp(-1.2337141 / low) / np.sqrt(low) * series
    exponent = np.polyval([-0.0003146, 0.008056, -0.082433, 0.43424, -2.30695, 1.0776], np.minimum(high, LAST))
    above = -np.expm1(-np.exp(exponent - np.maximum(high - LAST, 0.0)))
    return np.where(z < 2, below, above)


LAST = 8.0  # from here, the exponential tail is used and not Marsaglia's polynomial


def tails(uniform: Array) -> Array:
    """Compute the exact p-value of the number of values below 0.01 or above 0.99, too many or too few.

    Parameters
    ----------
    uniform : (..., N) float

    Examples
    --------
    Two of a hundred are expected there, and nine are observed.

    >>> tails(np.concatenate([np.full(91, 0.5), np.full(9, 0.999)])).round(4)
    np.float64(0.0004)
    """
    outside = ((uniform < TAIL) | (uniform > 1 - TAIL)).sum(axis=-1).astype(float)
    return _two_sided(outside, uniform.shape[-1], 2 * TAIL)


def _two_sided(count: Array, n_points: int, share: float) -> Array:
    """Compute the two-sided p-value of a binomial count: twice that of the smaller side."""
    fewer = scipy.special.bdtr(count, n_points, share)
    more = np.where(count > 0, scipy.special.bdtrc(np.maximum(count - 1, 0), n_points, share), 1.0)
    return np.minimum(1.0, 2 * np.minimum(fewer, more))


def dependence(first: Array, second: Array) -> Array:
    r"""Compute the p-value of Neyman's smooth test that pairs of numbers are independent and the second is uniform.

    .. math:: T = \frac1N \sum_{p=0}^2 \sum_{q=1}^2 \Big( \sum_n P_p(u_n) P_q(v_n) \Big)^2 \sim \chi^2_6

    with orthonormal Legendre polynomials on the unit interval.

    Parameters
    ----------
    first, second : (..., N) float

    References
    ----------
    .. [1] Neyman (1937), Skand. Aktuarietidskr. 20, 149-199.
    """
    u, v = (np.stack(_legendre(values, DEGREES)) for values in (first, second))
    sums = np.einsum("p...n,q...n->pq...", u, v[1:])
    return scipy.special.chdtrc((DEGREES + 1) * DEGREES, (sums**2).sum(axis=(0, 1)) / first.shape[-1])


def within(first: Array, second: Array, label: IntArray, n_components: int) -> Array:
    r"""Compute the p-value of a test that pairs of uniform numbers are independent within each component.

    .. math:: T = \sum_k \frac{1}{n_k} \Big( \sum_{n: z_n = k} P_1(u_n) P_1(v_n) \Big)^2 \sim \chi^2_K

    over the components with at least five points.

    Parameters
    ----------
    first, second : (S, N) float
        Distribution function of each point's own component.
    label : (S, N) int
        Components, drawn given the points and the mixture, so that points and labels have their joint distribution.
    n_components : int
    """
    held = label[..., None] == np.arange(n_components)
    count = held.sum(axis=-2)
    product = 3 * (2 * first - 1) * (2 * second - 1)
    sums = (held * product[..., None]).sum(axis=-2)
    enough = count >= ENOUGH
    statistic = np.where(enough, sums**2 / np.maximum(count, 1), 0.0).sum(axis=-1)
    return scipy.special.chdtrc(np.maximum(enough.sum(axis=-1), 1), statistic)


def shape(deviation: Array, label: IntArray, n_components: int) -> Array:
    r"""Compute the p-value of a test that points are Gaussian around the means of their components.

    .. math:: T = \sum_k \frac{1}{n_k} \sum_{a=1}^2 \Big( \sum_{n: z_n = k} f_a(e_n) \Big)^2 \sim \chi^2_{2K}

    over the components with at least ten points. Small errors of a mean or a standard deviation, which every draw has,
    hardly change T (see ``shapes``), so T measures the shape: skewness, and tails that are too heavy or too light.

    Parameters
    ----------
    deviation : (S, N) float
        Deviation from the mean of the point's own component, in standard deviations.
    label : (S, N) int
        Components, drawn given the points and the mixture.
    n_components : int

    References
    ----------
    .. [1] Neyman (1937), Skand. Aktuarietidskr. 20, 149-199.
    """
    held = label[..., None] == np.arange(n_components)
    count = held.sum(axis=-2)
    sums = np.einsum("asn,snk->ask", shapes(deviation), held)
    enough = count >= PLENTY
    statistic = np.where(enough, (sums**2).sum(axis=0) / np.maximum(count, 1), 0.0).sum(axis=-1)
    return scipy.special.chdtrc(len(sums) * np.maximum(enough.sum(axis=-1), 1), statistic)


def shapes(deviation: Array) -> Array:
    r"""(2, ...) two bounded functions of :math:`e`, one odd and one even, that are orthonormal for Gaussian :math:`e`.

    They are linear combinations of the Legendre polynomials of :math:`\Phi(e)` of degrees 1 and 3, and 2 and 4, that
    are orthogonal to :math:`e` and :math:`e^2`, so that their means stay zero under a small shift or scaling of e.
    """
    nodes, weight = np.polynomial.hermite_e.hermegauss(60)
    known, weight = _legendre(scipy.special.ndtr(nodes), 4), weight / weight.sum()
    values, out = _legendre(scipy.special.ndtr(deviation), 4), []
    for low, high, power in ((1, 3, 1), (2, 4, 2)):
        a, b = (float(weight @ (known[degree] * nodes**power)) for degree in (low, high))
        out.append((b * values[low] - a * values[high]) / np.hypot(a, b))
    return np.stack(out)


def either(one: Array, other: Array) -> Array:
    """Combine the p-values of two tests (Bonferroni): twice the smaller."""
    return np.minimum(1.0, 2 * np.minimum(one, other))


def _legendre(u: Array, highest: int) -> list[Array]:
    """Return the orthonormal Legendre polynomials on the unit interval, of degrees 0 to ``highest``."""
    return [np.sqrt(2 * degree + 1) * scipy.special.eval_legendre(degree, 2 * u - 1) for degree in range(highest + 1)]
