"""Draws of single numbers and of Wishart matrices, compiled, from counter-based random numbers.

A ``stream`` (5,) int is the position in the sequence of random numbers, which every draw moves on, then the sweep,
the chain and two keys.
"""

import math

from bayesgmm.late import Late
from bayesgmm.priors.scalars import log_density
from bayesgmm.sweep.assignment_kernels import PARAMETERS
from bayesgmm.sweep.compilation import plain_jit
from bayesgmm.sweep.layout import Array, IntArray

random_numbers = Late("bayesgmm.sweep.random_numbers")

POSITION, SWEEP, CHAIN, KEY0, KEY1 = range(5)
STREAM_SIZE = 5
DIRICHLET, STICKS, POWER = range(3)  # what a positive number is the parameter of
FINITE = 3  # weights whose number is drawn too
_STEP = 1.0  # width of a slice sampler's first interval, in logarithms
_MAX_STEPS = 60
_SMALLEST = 1e-12


@plain_jit
def uniforms(stream: IntArray) -> tuple[float, float]:
    """Draw two uniform numbers, above 0 and at most 1."""
    pair = random_numbers.uniform_pair(
        stream[POSITION], stream[SWEEP], stream[CHAIN], PARAMETERS, stream[KEY0], stream[KEY1]
    )
    stream[POSITION] += 1
    return pair


@plain_jit
def choose(stream: IntArray, count: int) -> int:
    """Draw one of the numbers 0 to count - 1."""
    u, _ = uniforms(stream)
    return min(int(u * count), count - 1)


@plain_jit
def normal(stream: IntArray) -> float:
    """Draw a standard normal number, by Box and Muller."""
    u, v = uniforms(stream)
    return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)


@plain_jit
def log_gamma(stream: IntArray, shape: float) -> float:
    """Draw the logarithm of a Gamma(shape, 1) number: for small shapes the number itself would be zero.

    Marsaglia & Tsang (2000), ACM Trans. Math. Softw. 26(3), 363-372.
    """
    d = shape - 1.0 / 3.0 if shape >= 1.0 else shape + 2.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(stream)
        u, v = uniforms(stream)
        t = 1.0 + c * x
        if t <= 0.0:
            continue
        t = t * t * t
        if math.log(u) < 0.5 * x * x + d - d * t + d * math.log(t):
            log_draw = math.log(d * t)
            return log_draw if shape >= 1.0 else log_draw + math.log(v) / shape


@plain_jit
def log_dirichlet(stream: IntArray, alpha: Array, out: Array) -> None:
    """Draw the logarithms of Dirichlet weights (K,); the first K numbers of ``alpha`` are used."""
    top = -math.inf
    for k in range(out.size):
        out[k] = log_gamma(stream, alpha[k])
        top = max(top, out[k])
    total = 0.0
    for k in range(out.size):
        total += math.exp(out[k] - top)
    log_total = top + math.log(total)
    for k in range(out.size):
        out[k] -= log_total


@plain_jit
def log_beta(stream: IntArray, a: float, b: float) -> tuple[float, float]:
    """Draw the logarithms of a Beta(a, b) number and of its complement."""
    x, y = log_gamma(stream, a), log_gamma(stream, b)
    top = max(x, y)
    log_total = top + math.log(math.exp(x - top) + math.exp(y - top))
    return x - log_total, y - log_total


@plain_jit
def factorise(matrix: Array, d: int) -> None:
    """Replace the lower triangle of a positive definite matrix (D * D,) by its Cholesky factor."""
    for i in range(d):
        for j in range(i + 1):
            total = matrix[i * d + j]
            for l in range(j):
                total -= matrix[i * d + l] * matrix[j * d + l]
            if i == j:  # rounding may take the last digits of a tight component
                matrix[i * d + i] = math.sqrt(max(total, 1e-15 * abs(matrix[i * d + i]), 1e-300))
            else:
                matrix[i * d + j] = total / matrix[j * d + j]


@plain_jit
def wishart_root(stream: IntArray, dof: float, chol: Array, d: int, root: Array, at: int) -> None:
    """Draw the lower-triangular root P (at ``root[at]``) of a precision P'P ~ Wishart(dof, (chol chol')^-1).

    By Bartlett's decomposition P = B chol^-1, where B has normal numbers below its diagonal and on it the square roots
    of chi-squared numbers with dof - D + i degrees of freedom, i = 1 to D.
    """
    for i in range(d):
        row = at + i * d
        for j in range(d):
            root[row + j] = 0.0
        for j in range(i):
            root[row + j] = normal(stream)
        root[row + i] = math.exp(0.5 * (math.log(2.0) + log_gamma(stream, 0.5 * (dof - d + i + 1))))
        for j in range(i, -1, -1):
            for l in range(j + 1, i + 1):
                root[row + j] -= root[row + l] * chol[l * d + j]
            root[row + j] /= chol[j * d + j]


@plain_jit
def log_concentration_density(kind: float, alpha: float, discount: float, counts: Array) -> float:
    """Log probability of counts (K,) given a concentration, with the weights integrated out, up to a constant."""
    value, total = 0.0, 0.0
    last = counts.size - 1
    if kind == DIRICHLET:
        for k in range(counts.size):
            total += counts[k]
            if counts[k] > 0.0:
                value += math.lgamma(alpha + counts[k]) - math.lgamma(alpha)
        return value + math.lgamma(counts.size * alpha) - math.lgamma(counts.size * alpha + total)
    rest = counts[last]
    for k in range(last - 1, -1, -1):
        value += log_stick(k, alpha, discount, counts[k], rest)
        rest += counts[k]
    return value


@plain_jit
def log_stick(k: int, alpha: float, discount: float, count: float, rest: float) -> float:
    """Log probability that of all points from component k on, ``count`` are in it: its stick is integrated out."""
    if count + rest == 0.0:
        return 0.0
    a, b = 1.0 - discount, alpha + (k + 1) * discount
    value = math.lgamma(a + b) - math.lgamma(b) + math.lgamma(b + rest)
    return value + math.lgamma(a + count) - math.lgamma(a) - math.lgamma(a + b + count + rest)


@plain_jit
def _log_target(law: Array, counts: Array, params: Array, log_x: float) -> float:
    """Log density of log x: a prior, and what x is the parameter of. ``law``: kind, entries' place, shift, a, b, c."""
    kind = law[0]
    value = log_density(params, int(law[1]), log_x + law[2])[0]
    if kind == POWER:
        return value + law[3] * log_x - law[4] * math.exp(law[5] * log_x)
    return value + log_concentration_density(kind, math.exp(log_x), law[3], counts)


@plain_jit
def slice_draw(stream: IntArray, law: Array, counts: Array, params: Array, log_x: float) -> float:
    """Move the logarithm of a positive number by one step of slice sampling.

    Parameters
    ----------
    law : (6,) float
        Kind, place of the prior's entries in ``params``, and the log of the prior's unit. Then the discount for
        ``DIRICHLET`` and ``STICKS``; or a, b, c of the factor x^a exp(-b x^c) for ``POWER``.
    counts : (K,) float
        Points of each component, for the first two kinds.
    params : array
        Parameters of the prior.

    References
    ----------
    .. [1] Neal (2003), Annals of Statistics 31(3), 705-767.
    """
    u, v = uniforms(stream)
    level = _log_target(law, counts, params, log_x) + math.log(u)
    low = log_x - v * _STEP
    high = low + _STEP
    for _ in range(_MAX_STEPS):
        if not _log_target(law, counts, params, low) > level:
            break
        low -= _STEP
    for _ in range(_MAX_STEPS):
        if not _log_target(law, counts, params, high) > level:
            break
        high += _STEP
    while high - low > _SMALLEST:
        u, v = uniforms(stream)
        tried = low + u * (high - low)
        if _log_target(law, counts, params, tried) > level:
            return tried
        if tried < log_x:
            low = tried
        else:
            high = tried
    return log_x
