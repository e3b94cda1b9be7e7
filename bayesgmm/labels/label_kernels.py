"""Compiled sweeps for relabelling: the cost of every label for every draw, and mean responsibilities over the draws.

Responsibilities of all points under all draws take too much memory (3.2 GB for 4,000 draws of 10 components and 10,000
points), so they are computed block by block and summed immediately.
"""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.kernels import load4
from bayesgmm.sweep.layout import BLOCK, LANES, Array, IntArray
from bayesgmm.sweep.orchestration import NativePoints, NativeTable, assign_block, count_blocks, count_draws, workspace

simd = Late("bayesgmm.sweep.simd")
_TINY = 1e-300


@jit
def _add_products(a: Array, target: Array, at: int, n_components: int, sums: Array) -> None:
    """Add Σ_p target[k, p] a[j, p] of one block to the eight-lane sums of label k and component j."""
    for j in range(n_components):
        r0, r1, r2, r3 = load4(a, j * BLOCK)
        for k in range(n_components):
            t0, t1, t2, t3 = load4(target, at + k * BLOCK)
            to = (k * n_components + j) * LANES
            sum_ = simd.fma(r1, t1, simd.fma(r0, t0, simd.load(sums, to)))
            simd.store(sums, to, simd.fma(r3, t3, simd.fma(r2, t2, sum_)))


@kernel
def label_costs(points: NativePoints, table: NativeTable, target: Array, start: int, stop: int, out: Array) -> None:
    """out[draw, label, component] = Σ_n w_n target[n, label] r_n,component for draws start to stop.

    ``target[block, label, point]`` is laid out like the responsibilities.
    """
    n_components, work = table.n_components, workspace(points, table)
    sums = np.empty(n_components * n_components * LANES)
    for s in range(start, stop):
        sums[:] = 0.0
        for b in range(count_blocks(points)):
            assign_block(points, b, table, s, points.weight, b * BLOCK, work)
            _add_products(work.score, target, b * n_components * BLOCK, n_components, sums)
        for t in range(n_components * n_components):
            out[s * n_components * n_components + t] = simd.total(simd.load(sums, t * LANES))


@kernel
def mean_responsibilities(
    points: NativePoints, table: NativeTable, order: IntArray, start: int, stop: int, out: Array, squares: Array
) -> None:
    """out[block, label, point] = mean over draws of the responsibilities, for blocks start to stop.

    Label k of draw s is its component ``order[s * n_components + k]``. squares[block, label] is the mean over draws of
    the sum over points of weight times the squared responsibility.
    """
    n_draws, n_components, w = count_draws(table), table.n_components, points.weight
    work, share = workspace(points, table), np.full(BLOCK, 1.0 / n_draws)
    a = work.score
    for b in range(start, stop):
        for s in range(n_draws):
            first = s * n_components
            assign_block(points, b, table, s, share, 0, work)
            for k in range(n_components):
                to = (b * n_components + k) * BLOCK
                named = order[first + k] * BLOCK
                square = simd.spread(0.0)
                for p in range(0, BLOCK, LANES):
                    r = simd.load(a, named + p)
                    simd.store(out, to + p, simd.load(out, to + p) + r)
                    square = simd.fma(simd.load(w, b * BLOCK + p) * r, r, square)
                squares[b * n_components + k] += simd.total(square) * n_draws


@jit
def _log_absent(a: Array, n_components: int, w: Array, at: int, sums: Array) -> None:
    """Add Σ_p w_p log(1 - r_kp) of one block to the eight-lane sums of component k."""
    one, tiny = simd.spread(1.0), simd.spread(_TINY)
    for k in range(n_components):
        sum_ = simd.load(sums, k * LANES)
        for p in range(0, BLOCK, LANES):
            absent = simd.larger(one - simd.load(a, k * BLOCK + p), tiny)
            sum_ = simd.fma(simd.load(w, at + p), simd.log(absent), sum_)
        simd.store(sums, k * LANES, sum_)


@kernel
def log_empty(points: NativePoints, table: NativeTable, start: int, stop: int, out: Array) -> None:
    """out[draw, component]: log probability that none of the points came from it, for draws start to stop."""
    n_components, work = table.n_components, workspace(points, table)
    one, sums = np.ones(BLOCK), np.empty(n_components * LANES)
    for s in range(start, stop):
        sums[:] = 0.0
        for b in range(count_blocks(points)):
            assign_block(points, b, table, s, one, 0, work)
            _log_absent(work.score, n_components, points.weight, b * BLOCK, sums)
        for k in range(n_components):
            out[s * n_components + k] = simd.total(simd.load(sums, k * LANES))


@kernel
def log_likelihoods(points: NativePoints, table: NativeTable, start: int, stop: int, out: Array) -> None:
    """out[draw] = Σ_n w_n log p(x_n) for draws start to stop."""
    work = workspace(points, table)
    for s in range(start, stop):
        out[s] = 0.0
        for b in range(count_blocks(points)):
            out[s] += assign_block(points, b, table, s, points.weight, b * BLOCK, work)
