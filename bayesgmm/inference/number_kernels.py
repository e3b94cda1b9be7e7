"""Probability of a partition with an unknown number of components, and draws of that number, compiled."""

import math
from collections import namedtuple

import numpy as np

from bayesgmm.inference.draw_kernels import uniforms
from bayesgmm.sweep.compilation import jit, plain_jit
from bayesgmm.sweep.layout import Array, IntArray

DYNAMIC, CONCENTRATION, LOG_MASS = 0, 1, 4  # where the parameters of the weights begin

Numbers = namedtuple("Numbers", "chance given log_factorial")
"""Memory of the probabilities of the numbers of components.

chance : (K,) float
    Probabilities of the numbers 1 to K given a partition, divided by the largest.
given : (K,) float
    Logarithms of their factors that do not depend on the partition.
log_factorial : (K + 1,) float
"""


@jit
def number_memory(k: int) -> Numbers:
    """Allocate this memory for K components at most."""
    log_factorial = np.zeros(k + 1)
    for n in range(1, k + 1):
        log_factorial[n] = log_factorial[n - 1] + math.log(n)
    return Numbers(np.zeros(k), np.zeros(k), log_factorial)


@plain_jit
def set_concentration(params: Array, log_alpha: float, counts: Array, numbers: Numbers) -> None:
    """Write the factors that do not depend on the partition, given the concentration; there are sum(counts) points."""
    alpha, total = math.exp(log_alpha), 0.0
    for c in range(counts.size):
        total += counts[c]
    for n in range(1, numbers.given.size + 1):
        all_of_them = alpha if params[DYNAMIC] > 0.0 else alpha * n
        value = params[LOG_MASS + n - 1] + numbers.log_factorial[n]
        numbers.given[n - 1] = value + math.lgamma(all_of_them) - math.lgamma(all_of_them + total)


@plain_jit
def _log_sizes(alpha: float, counts: Array) -> float:
    """Log of the product of Gamma(alpha + n) / Gamma(alpha) over the components that hold points."""
    value, one = 0.0, math.lgamma(alpha)
    for c in range(counts.size):
        if counts[c] > 0.0:
            value += math.lgamma(alpha + counts[c]) - one
    return value


@plain_jit
def _weigh_numbers(params: Array, log_alpha: float, counts: Array, occupied: int, numbers: Numbers) -> float:
    """Write to ``numbers.chance`` the probabilities of each number of components and a partition.

    Returns
    -------
    float
        Logarithm of the largest, by which they are divided, but for a factor that depends on the partition alone where
        the concentration does not depend on the number.
    """
    chance, k, alpha = numbers.chance, numbers.chance.size, math.exp(log_alpha)
    top, fewest = -math.inf, max(occupied, 1)
    for n in range(fewest, k + 1):
        value = numbers.given[n - 1] - numbers.log_factorial[n - occupied]
        if params[DYNAMIC] > 0.0:
            value += _log_sizes(alpha / n, counts)
        chance[n - 1] = value
        top = max(top, value)
    for n in range(fewest, k + 1):
        chance[n - 1] = math.exp(chance[n - 1] - top)
    return top


@plain_jit
def log_partition(params: Array, log_alpha: float, counts: Array, occupied: int, numbers: Numbers) -> float:
    """Log probability of a partition with these sizes; the number of components is summed out."""
    value, whole = _weigh_numbers(params, log_alpha, counts, occupied, numbers), 0.0
    if not params[DYNAMIC] > 0.0:
        value += _log_sizes(math.exp(log_alpha), counts)
    for n in range(max(occupied, 1), numbers.chance.size + 1):
        whole += numbers.chance[n - 1]
    return value + math.log(whole)


@plain_jit
def draw_number(
    stream: IntArray, params: Array, log_alpha: float, counts: Array, occupied: int, numbers: Numbers
) -> int:
    """Draw the number of components given the sizes ``counts`` of the clusters, of which ``occupied`` hold points."""
    k, fewest, whole = numbers.chance.size, max(occupied, 1), 0.0
    _weigh_numbers(params, log_alpha, counts, occupied, numbers)
    for n in range(fewest, k + 1):
        whole += numbers.chance[n - 1]
    u, _ = uniforms(stream)
    left = u * whole
    for n in range(fewest, k + 1):
        left -= numbers.chance[n - 1]
        if left <= 0.0:
            return n
    return k
