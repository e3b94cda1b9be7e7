"""Probability of a partition with an unknown number of components, and draws of that number, compiled."""

import math

from bayesgmm.inference.draw_kernels import uniforms
from bayesgmm.sweep.compilation import plain_jit

DYNAMIC, CONCENTRATION, LOG_MASS = 0, 1, 4  # where the parameters of the weights begin


@plain_jit
def _log_sizes(alpha, counts):
    """Log of the product of Gamma(alpha + n) / Gamma(alpha) over the components that hold points."""
    value, one = 0.0, math.lgamma(alpha)
    for c in range(counts.size):
        if counts[c] > 0.0:
            value += math.lgamma(alpha + counts[c]) - one
    return value


@plain_jit
def _weigh_numbers(params, log_alpha, counts, occupied, chance):
    """Write to ``chance`` (K,) the probabilities of each number of components and a partition, divided by the largest.

    Returns
    -------
    float
        Logarithm of the largest, but for a factor that depends on the partition alone where the concentration does not
        depend on the number.
    """
    k, alpha, total = chance.size, math.exp(log_alpha), 0.0
    dynamic = params[DYNAMIC] > 0.0
    for c in range(counts.size):
        total += counts[c]
    top, fewest = -math.inf, max(occupied, 1)
    for n in range(fewest, k + 1):
        each = alpha / n if dynamic else alpha
        value = params[LOG_MASS + n - 1] + math.lgamma(n + 1.0) - math.lgamma(n - occupied + 1.0)
        value += math.lgamma(each * n) - math.lgamma(each * n + total)
        if dynamic:
            value += _log_sizes(each, counts)
        chance[n - 1] = value
        top = max(top, value)
    for n in range(fewest, k + 1):
        chance[n - 1] = math.exp(chance[n - 1] - top)
    return top


@plain_jit
def log_partition(params, log_alpha, counts, occupied, chance):
    """Log probability of a partition with these sizes; the number of components is summed out."""
    value, whole = _weigh_numbers(params, log_alpha, counts, occupied, chance), 0.0
    if not params[DYNAMIC] > 0.0:
        value += _log_sizes(math.exp(log_alpha), counts)
    for n in range(max(occupied, 1), chance.size + 1):
        whole += chance[n - 1]
    return value + math.log(whole)


@plain_jit
def draw_number(stream, params, log_alpha, counts, occupied, chance):
    """Draw the number of components given the sizes ``counts`` of the clusters, of which ``occupied`` hold points."""
    k, fewest, whole = chance.size, max(occupied, 1), 0.0
    _weigh_numbers(params, log_alpha, counts, occupied, chance)
    for n in range(fewest, k + 1):
        whole += chance[n - 1]
    u, _ = uniforms(stream)
    left = u * whole
    for n in range(fewest, k + 1):
        left -= chance[n - 1]
        if left <= 0.0:
            return n
    return k
