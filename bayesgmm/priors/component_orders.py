"""Sum of a density of weights over all orders of the components, for priors that treat components differently."""

import math

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.priors.weights import WeightsPrior
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.stats import Array

MAX_COMPONENTS = 10  # maximum number of components whose orders are summed: time and memory grow as 2^K
WORTH = 2**22  # maximum number of subsets times draws at a time
SMALLEST = -700.0  # minimum of a log weight, so that no sum of weights is zero


def log_orders(prior: WeightsPrior, log_weight: Array, concentration: Array) -> Array:
    """Compute the log of the sum of a prior's density over all K! orders of the components, relative to the given one.

    The density is a product of one term for each position. A term depends on the component at that position and on the
    set of the components before it, so that the sum runs over subsets, not over orders.

    Parameters
    ----------
    prior : WeightsPrior
        Resolved.
    log_weight : (S, K) float
    concentration : (S,) float
        Learned concentrations; ignored where the prior has a fixed one.

    Returns
    -------
    (S,) float

    Examples
    --------
    >>> from bayesgmm.priors.weights import Dirichlet
    >>> np.exp(log_orders(Dirichlet(1.0), np.log([[0.5, 0.3, 0.2]]), np.ones(1))).round(6)
    array([6.])
    >>> np.exp(log_orders(Dirichlet((2.0, 1.0)), np.log([[0.8, 0.2]]), np.ones(1))).round(6)
    array([1.25])
    """
    size, k = log_weight.shape
    if prior.is_exchangeable():
        return np.full(size, math.lgamma(k + 1))
    log_weight = np.maximum(log_weight, SMALLEST)
    step = max(1, WORTH // 2**k)
    parts = [slice(start, start + step) for start in range(0, size, step)]
    every = [_sums(prior, log_weight[part].T, concentration[part])[0][-1] for part in parts]
    return np.concatenate([np.empty(0), *every]) - _of_given_order(prior, log_weight, concentration)


def draw_orders(prior: WeightsPrior, log_weight: Array, concentration: Array, rng: np.random.Generator) -> IntArray:
    """Draw an order of the components for each draw, with probability in proportion to the prior's density.

    Parameters
    ----------
    prior, log_weight, concentration
        As for ``log_orders``.
    rng : Generator

    Returns
    -------
    (S, K) int
        Entry k is the component at position k.
    """
    if prior.is_exchangeable():
        return rng.permuted(np.tile(np.arange(log_weight.shape[1]), (len(log_weight), 1)), axis=1)
    size, k = log_weight.shape
    log_weight = np.maximum(log_weight, SMALLEST)
    step = max(1, WORTH // 2**k)
    parts = [slice(start, start + step) for start in range(0, size, step)]
    drawn = [_drawn(prior, log_weight[part].T, concentration[part], rng) for part in parts]
    return np.concatenate([np.empty((0, k), dtype=np.int64), *drawn])


def _of_given_order(prior: WeightsPrior, log_weight: Array, concentration: Array) -> Array:
    """Log density of the given order, as ``_sums`` counts it: (S,)."""
    tail = np.logaddexp.accumulate(log_weight[:, ::-1], axis=1)[:, ::-1]
    tail = np.concatenate([tail, np.full((len(tail), 1), -np.inf)], axis=1)
    positions = range(log_weight.shape[1])
    terms = [prior.log_term(k, log_weight[:, k], tail[:, k], tail[:, k + 1], concentration) for k in positions]
    return np.asarray(np.sum(terms, axis=0))


def _sums(prior: WeightsPrior, log_weight: Array, concentration: Array) -> tuple[Array, Array]:
    """Sum over the orders of each subset of components at the first positions; log weight outside it: (2^K, S) each."""
    k, size = log_weight.shape
    subsets = np.arange(2**k)
    counts, rest = np.bitwise_count(subsets), _log_rest(log_weight)
    sums = np.full((2**k, size), -np.inf)
    sums[0] = 0.0
    for at in range(k):
        for j in range(k):
            before = subsets[(counts == at) & (subsets >> j & 1 == 0)]
            after = before | 1 << j
            term = prior.log_term(at, log_weight[j], rest[before], rest[after], concentration)
            sums[after] = np.logaddexp(sums[after], sums[before] + term)
    return sums, rest


def _log_rest(log_weight: Array) -> Array:
    """Log of the total weight outside each subset of components (2^K, S)."""
    k, size = log_weight.shape
    rest = np.full((2**k, size), -np.inf)
    for subset in range(2**k - 1):
        outside = [j for j in range(k) if not subset >> j & 1]
        rest[subset] = scipy.special.logsumexp(log_weight[outside], axis=0)
    return rest


def _drawn(prior: WeightsPrior, log_weight: Array, concentration: Array, rng: np.random.Generator) -> IntArray:
    """Draw orders (S, K), from the last position to the first."""
    k, size = log_weight.shape
    sums, rest = _sums(prior, log_weight, concentration)
    order, placed = np.empty((size, k), dtype=np.int64), np.full(size, 2**k - 1)
    for at in range(k - 1, -1, -1):
        log_share = np.full((k, size), -np.inf)
        for j in range(k):
            of = np.flatnonzero(placed >> j & 1)
            after, before = placed[of], placed[of] & ~(1 << j)
            own = prior.log_term(at, log_weight[j, of], rest[before, of], rest[after, of], concentration[of])
            log_share[j, of] = sums[before, of] + own
        order[:, at] = (log_share + rng.gumbel(size=(k, size))).argmax(axis=0)
        placed &= ~(1 << order[:, at])
    return order
