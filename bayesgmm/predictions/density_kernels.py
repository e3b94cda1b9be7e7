"""Densities of points under all draws of a posterior, summed up while they are in the cache, compiled.

Of a block of points the log densities under every draw are held at once (``BLOCK`` times S numbers) and nothing more,
so memory does not grow with the number of points.
"""

import math

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import BLOCK, LANES
from bayesgmm.sweep.orchestration import count_draws, log_density_block, workspace

simd = Late("bayesgmm.sweep.simd")


@jit
def _sift_down(heap, size, i, value):
    """Put a value where the i-th of a heap was, and let it sink below what is larger."""
    child = 2 * i + 1
    while child < size:
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= value:
            break
        heap[i] = heap[child]
        i = child
        child = 2 * i + 1
    heap[i] = value


@jit
def lower_quantile(values, sign, rank, fraction, heap):
    """Quantile ``rank + fraction`` (counted from 0) of ``sign * values``, linear between neighbours.

    A heap holds the ``rank + 2`` smallest seen so far; a value that is larger than all of them, as most are, costs one
    comparison.
    """
    size = rank + 2
    for i in range(size):
        heap[i] = sign * values[i]
    for i in range(size // 2 - 1, -1, -1):
        _sift_down(heap, size, i, heap[i])
    top = heap[0]
    for i in range(size, values.size):
        value = sign * values[i]
        if value < top:
            _sift_down(heap, size, 0, value)
            top = heap[0]
    below = heap[1]
    if size > 2 and heap[2] > below:
        below = heap[2]
    return below + fraction * (top - below)


@jit
def _mean_and_log_mean(logs, n_draws, p, out, to):
    """Of eight points: the mean of the log densities, and the log of the mean density."""
    top, summed = simd.load(logs, p), simd.spread(0.0)
    for s in range(n_draws):
        log = simd.load(logs, s * BLOCK + p)
        top = simd.larger(top, log)
        summed = summed + log
    total = simd.spread(0.0)
    for s in range(n_draws):
        total = total + simd.exp(simd.load(logs, s * BLOCK + p) - top)
    share = simd.spread(1.0 / n_draws)
    simd.store(out, to + p, summed * share)
    simd.store(out, to + BLOCK + p, top + simd.log(total * share))


@jit
def _lay_apart(logs, n_draws, apart):
    """The same numbers point by point: ``apart[point * n_draws + draw]``, few lines of the cache at a time."""
    for start in range(0, n_draws, LANES):
        stop = min(start + LANES, n_draws)
        for p in range(BLOCK):
            for s in range(start, stop):
                apart[p * n_draws + s] = logs[s * BLOCK + p]


@kernel
def sum_up(points, table, tail, start, stop, out):
    """Summarise log densities over draws, of the points of blocks start to stop: out[block, what, point].

    ``what`` is the mean of the log density, the log of the mean density, and with a positive ``tail`` the quantiles of
    the log density that leave out so much on either side (else they stay as they are).
    """
    n_draws, work = count_draws(table), workspace(points, table)
    logs, apart, heap = np.empty(n_draws * BLOCK), np.empty(n_draws * BLOCK), np.empty(n_draws + 2)
    at_rank = (n_draws - 1) * tail
    rank = math.floor(at_rank)
    for b in range(start, stop):
        for s in range(n_draws):
            log_density_block(points, b, table, s, work, logs, s * BLOCK)
        to = b * 4 * BLOCK
        for p in range(0, BLOCK, LANES):
            _mean_and_log_mean(logs, n_draws, p, out, to)
        if tail > 0.0 and n_draws > 1:
            _lay_apart(logs, n_draws, apart)
            for p in range(BLOCK):
                of_point = apart[p * n_draws : (p + 1) * n_draws]
                out[to + 2 * BLOCK + p] = lower_quantile(of_point, 1.0, rank, at_rank - rank, heap)
                out[to + 3 * BLOCK + p] = -lower_quantile(of_point, -1.0, rank, at_rank - rank, heap)
