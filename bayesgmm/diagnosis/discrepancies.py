r"""Statistics of points that are uniform under the model, and their p-values.

The posterior predictive p-value uses the data twice, and is then far from uniform. Under *one draw* of the posterior
each p-value here is uniform (Johnson 2007): a draw is as far from the best fit as a fresh sample of the data would be.
The draws' p-values depend on each other; ``combine`` makes one of them.

.. [1] Johnson (2007), Bayesian Analysis 2(4), 719-733.
"""

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import NDArray

from bayesgmm.diagnosis.rosenblatt import TINY
from bayesgmm.sweep.stats import Array

IntArray = NDArray[np.intp]
TAIL = 0.01  # of each end that counts as the tail
ENOUGH = 5  # points of a component that a test looks at
PLENTY = 10  # points of a component whose shape is looked at
DEGREES = 2  # of the polynomials that look for dependence: the tails of higher ones need many points


def combine(p_values: Array) -> Array:
    r"""One p-value from those of S draws (S, ...), which depend on each other: their lower quartile.

    However they depend on each other, it is at most four times too low (Rüschendorf 1982); in simulated fits of the
    right model it was not too low at all (docs/benchmarks.md). The mean, which is the posterior predictive p-value,
    hardly ever gets small, and the smallest follows a single odd draw.

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
    """P-values that are corrected for how many there are (Holm 1979): the chance of any false alarm is held.

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
    r"""P-value of Anderson and Darling's test that numbers are uniform: it looks at the ends as hard as at the middle.

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
    """P(A² > z) for many points, to 2e-6; beyond that as its exponential tail goes on.

    Examples
    --------
    The 5 % and 1 % points of the tables.

    >>> anderson_darling_tail(np.array([2.492, 3.878])).round(4)
    array([0.05, 0.01])
    """
    low, high = np.minimum(z, 2.0), np.maximum(z, 2.0)
    series = np.polyval([0.00168691, -0.011672, 0.0347962, -0.0649821, 0.247105, 2.00012], low)
    below = 1 - np.exp(-1.2337141 / low) / np.sqrt(low) * series
    exponent = np.polyval([-0.0003146, 0.008056, -0.082433, 0.43424, -2.30695, 1.0776], np.minimum(high, LAST))
    above = -np.expm1(-np.exp(exponent - np.maximum(high - LAST, 0.0)))
    return np.where(z < 2, below, above)


LAST = 8.0  # where Marsaglia's polynomial is left for the exponential tail


def tails(uniform: Array) -> Array:
    """P-value of how many numbers lie in the lowest or highest hundredth, too many or too few; exact.

    Parameters
    ----------
    uniform : (..., N) float

    Examples
    --------
    Two of a hundred are expected out there, and nine are found.

    >>> tails(np.concatenate([np.full(91, 0.5), np.full(9, 0.999)])).round(4)
    np.float64(0.0004)
    """
    outside = ((uniform < TAIL) | (uniform > 1 - TAIL)).sum(axis=-1).astype(float)
    return _two_sided(outside, uniform.shape[-1], 2 * TAIL)


def _two_sided(count: Array, n_points: int, share: float) -> Array:
    """P-value of a binomial count, twice the smaller side."""
    fewer = scipy.special.bdtr(count, n_points, share)
    more = np.where(count > 0, scipy.special.bdtrc(np.maximum(count - 1, 0), n_points, share), 1.0)
    return np.minimum(1.0, 2 * np.minimum(fewer, more))


def dependence(first: Array, second: Array) -> Array:
    r"""P-value of Neyman's smooth test that pairs of uniform numbers depend on each other, or the second is uneven.

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
    r"""P-value of a test that pairs of uniform numbers of the same component depend on each other.

    .. math:: T = \sum_k \frac{1}{n_k} \Big( \sum_{n: z_n = k} P_1(u_n) P_1(v_n) \Big)^2 \sim \chi^2_K

    over the components that hold at least five points.

    Parameters
    ----------
    first, second : (S, N) float
        Each point's place in its own component.
    label : (S, N) int
        The components, drawn given points and mixture: then point and label come from the model together.
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
    r"""P-value of a test that points lie about their components' means as a Gaussian's do.

    .. math:: T = \sum_k \frac{1}{n_k} \sum_{a=1}^2 \Big( \sum_{n: z_n = k} f_a(e_n) \Big)^2 \sim \chi^2_{2K}

    over the components that hold at least ten points. An error in a mean or a standard deviation, which every draw has,
    hardly moves T (see ``shapes``), and what is left is the shape: skew, heavy or cut-off tails.

    Parameters
    ----------
    deviation : (S, N) float
        From the mean of the point's own component, in its standard deviations.
    label : (S, N) int
        The components, drawn given points and mixture.
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
    r"""(2, ...) an odd and an even function of :math:`e`, bounded, that for a Gaussian :math:`e` are orthonormal.

    They are mixtures of the Legendre polynomials of :math:`\Phi(e)` of degrees 1 and 3, and 2 and 4, that have nothing
    in common with :math:`e` and :math:`e^2`, so that a small shift or stretch of e leaves their means at zero.
    """
    nodes, weight = np.polynomial.hermite_e.hermegauss(60)
    known, weight = _legendre(scipy.special.ndtr(nodes), 4), weight / weight.sum()
    values, out = _legendre(scipy.special.ndtr(deviation), 4), []
    for low, high, power in ((1, 3, 1), (2, 4, 2)):
        a, b = (float(weight @ (known[degree] * nodes**power)) for degree in (low, high))
        out.append((b * values[low] - a * values[high]) / np.hypot(a, b))
    return np.stack(out)


def either(one: Array, other: Array) -> Array:
    """One p-value from those of two tests of the same: twice the smaller."""
    return np.minimum(1.0, 2 * np.minimum(one, other))


def _legendre(u: Array, highest: int) -> list[Array]:
    """Orthonormal polynomials on the unit interval, of degrees 0 to ``highest``."""
    return [np.sqrt(2 * degree + 1) * scipy.special.eval_legendre(degree, 2 * u - 1) for degree in range(highest + 1)]
