"""Compiled sweeps for relabelling: the cost of every label for every draw, and mean responsibilities over the draws.

Responsibilities of all points under all draws would fill the memory (4,000 draws of 10 components for 10,000 points are
3.2 GB), so they are computed a block at a time and summed at once.
"""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.kernels import BLOCK, _load4, _responsibilities, _score_block
from bayesgmm.sweep.layout import LANES

simd = Late("bayesgmm.sweep.simd")
_L = LANES
_TINY = 1e-300


@jit
def _add_products(a, target, at, n_components, sums):
    """Add Σ_p target[k, p] a[j, p] of one block to the eight-lane sums of label k and component j."""
    for j in range(n_components):
        r0, r1, r2, r3 = _load4(a, j * BLOCK)
        for k in range(n_components):
            t0, t1, t2, t3 = _load4(target, at + k * BLOCK)
            to = (k * n_components + j) * _L
            sum_ = simd.fma(r1, t1, simd.fma(r0, t0, simd.load(sums, to)))
            simd.store(sums, to, simd.fma(r3, t3, simd.fma(r2, t2, sum_)))


@kernel
def label_costs(x, w, offset, mean, root, target, n_components, n_features, start, stop, out):
    """out[draw, label, component] = Σ_n w_n target[n, label] r_n,component for draws start to stop.

    ``target[block, label, point]`` is laid out like the responsibilities.
    """
    n_blocks = w.size // BLOCK
    d, a = np.empty(n_features * BLOCK), np.empty(n_components * BLOCK)
    sums = np.empty(n_components * n_components * _L)
    for s in range(start, stop):
        sums[:] = 0.0
        for b in range(n_blocks):
            at = b * n_features * BLOCK
            _score_block(x, at, offset, mean, root, n_components, n_features, s * n_components, d, a)
            _responsibilities(a, n_components, w, b * BLOCK)
            _add_products(a, target, b * n_components * BLOCK, n_components, sums)
        for t in range(n_components * n_components):
            out[s * n_components * n_components + t] = simd.total(simd.load(sums, t * _L))


@kernel
def named_responsibilities(x, w, offset, mean, root, order, n_components, n_features, start, stop, out, squares):
    """out[block, label, point] = mean over draws of the responsibilities, for blocks start to stop.

    Label k of draw s is its component ``order[s * n_components + k]``. squares[block, label] is the mean over draws of
    the sum over points of ``w`` times the squared responsibility.
    """
    n_draws = offset.size // n_components
    d, a = np.empty(n_features * BLOCK), np.empty(n_components * BLOCK)
    share = np.full(BLOCK, 1.0 / n_draws)
    for b in range(start, stop):
        for s in range(n_draws):
            first = s * n_components
            at = b * n_features * BLOCK
            _score_block(x, at, offset, mean, root, n_components, n_features, first, d, a)
            _responsibilities(a, n_components, share, 0)
            for k in range(n_components):
                to = (b * n_components + k) * BLOCK
                named = order[first + k] * BLOCK
                square = simd.spread(0.0)
                for p in range(0, BLOCK, _L):
                    r = simd.load(a, named + p)
                    simd.store(out, to + p, simd.load(out, to + p) + r)
                    square = simd.fma(simd.load(w, b * BLOCK + p) * r, r, square)
                squares[b * n_components + k] += simd.total(square) * n_draws


@jit
def _log_absent(a, n_components, w, at, sums):
    """Add Σ_p w_p log(1 - r_kp) of one block to the eight-lane sums of component k."""
    one, tiny = simd.spread(1.0), simd.spread(_TINY)
    for k in range(n_components):
        sum_ = simd.load(sums, k * _L)
        for p in range(0, BLOCK, _L):
            absent = simd.larger(one - simd.load(a, k * BLOCK + p), tiny)
            sum_ = simd.fma(simd.load(w, at + p), simd.log(absent), sum_)
        simd.store(sums, k * _L, sum_)


@kernel
def log_empty(x, w, offset, mean, root, n_components, n_features, start, stop, out):
    """out[draw, component]: log probability that none of the points came from it, for draws start to stop."""
    n_blocks = w.size // BLOCK
    d, a = np.empty(n_features * BLOCK), np.empty(n_components * BLOCK)
    one, sums = np.ones(BLOCK), np.empty(n_components * _L)
    for s in range(start, stop):
        sums[:] = 0.0
        for b in range(n_blocks):
            at = b * n_features * BLOCK
            _score_block(x, at, offset, mean, root, n_components, n_features, s * n_components, d, a)
            _responsibilities(a, n_components, one, 0)
            _log_absent(a, n_components, w, b * BLOCK, sums)
        for k in range(n_components):
            out[s * n_components + k] = simd.total(simd.load(sums, k * _L))


@kernel
def log_likelihoods(x, w, offset, mean, root, n_components, n_features, start, stop, out):
    """out[draw] = Σ_n w_n log p(x_n) for draws start to stop."""
    d, a = np.empty(n_features * BLOCK), np.empty(n_components * BLOCK)
    for s in range(start, stop):
        out[s] = 0.0
        for b in range(w.size // BLOCK):
            at = b * n_features * BLOCK
            _score_block(x, at, offset, mean, root, n_components, n_features, s * n_components, d, a)
            out[s] += _responsibilities(a, n_components, w, b * BLOCK)
