"""Compiled summaries of the densities of points over all draws of a posterior.

Only the log densities of one block of points under every draw are in memory (``BLOCK`` times S numbers), so memory does
not grow with the number of points, and the numbers stay in the cache.
"""

import math

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import BLOCK, LANES, Array
from bayesgmm.sweep.orchestration import NativePoints, NativeTable, count_draws, log_density_block, workspace

simd = Late("bayesgmm.sweep.simd")


@jit
def _sift_down(heap: Array, size: int, i: int, value: float) -> None:
    """Replace the i-th element of a max-heap, and sift it down."""
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
def lower_quantile(values: Array, sign: float, rank: int, fraction: float, heap: Array) -> float:
    """Compute the quantile at position ``rank + fraction`` (from 0) of the sorted ``sign * values``, interpolated.

    A max-heap holds the ``rank + 2`` smallest values so far. Most values are larger than all of them and cost only one
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
def _mean_and_log_mean(logs: Array, n_draws: int, p: int, out: Array, to: int) -> None:
    """Compute the mean of the log densities and the log of the mean density, for eight points."""
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
def _lay_apart(logs: Array, n_draws: int, apart: Array) -> None:
    """Transpose, so that each point is contiguous: ``apart[point * n_draws + draw]``; a few cache lines at a time."""
    for start in range(0, n_draws, LANES):
        stop = min(start + LANES, n_draws)
        for p in range(BLOCK):
            for s in range(start, stop):
                apart[p * n_draws + s] = logs[s * BLOCK + p]


@kernel
def sum_up(points: NativePoints, table: NativeTable, tail: float, start: int, stop: int, out: Array) -> None:
    """Summarise log densities over draws, for the points of blocks start to stop: out[block, summary, point].

    The summaries are the mean of the log density, the log of the mean density, and, if ``tail`` is positive, the
    quantiles of the log density at ``tail`` and 1 - ``tail`` (otherwise these are not changed).
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
