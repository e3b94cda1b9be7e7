r"""The sweep for components with few factors, compiled: no matrix of D x D numbers is made.

With standardised deviations y = (x - mean) / sd of the noise, and loadings W in these units, a component's score needs
the expected factors z of a point and what they leave of it:

.. math:: z = B^\top y, \quad B = W (I + W^\top W)^{-1}, \qquad
    y^\top (I + W W^\top)^{-1} y = \lVert y - W z \rVert^2 + \lVert z \rVert^2

The right side is a sum of squares, so that no digits are lost where the noise is small.
"""

from collections import namedtuple

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import block_jit, jit, kernel
from bayesgmm.sweep.kernels import add_product, add_row, centred_row, normalise, store_scores
from bayesgmm.sweep.layout import BLOCK, LANES, Array, IntArray
from bayesgmm.sweep.orchestration import NativePoints, add_labels, chunk_size, count_blocks, count_chunks

simd = Late("bayesgmm.sweep.simd")

NativeFactors = namedtuple("NativeFactors", "offset mean precision loadings projection n_components n_factors")
"""A table of components with factors as compiled code reads it, or S tables one after another.

offset : (S K,) float
mean : (S K D,) float
precision : (S K D,) float
    Reciprocal standard deviations of the noise.
loadings, projection : (S K q D,) float
    W and B, factor by factor.
n_components, n_factors : int
    K and q.
"""

FactorWorkspace = namedtuple("FactorWorkspace", "centred score factors")
"""Scratch memory for one block: ``centred`` (D * BLOCK,), ``score`` (K * BLOCK,), ``factors`` (K * q * BLOCK,)."""


@jit
def factor_moments_width(n_features: int, n_factors: int) -> int:
    """Return the number of sums of one component: its count, then for each feature s1, s2 and a product per factor."""
    return 1 + n_features * (2 + n_factors)


@block_jit
def _standardise(points: NativePoints, block: int, table: NativeFactors, component: int, y: Array) -> None:
    """y[j, p] = (x[j, p] - mean[j]) * precision[j] for one block and one component."""
    d = points.n_features
    at, first = block * d * BLOCK, component * d
    for j in range(d):
        distance = centred_row(points.x, at, table.mean, first, j)
        simd.store(y, j * BLOCK, distance * simd.spread_row(table.precision[first + j]))


@block_jit
def _expect_factors(y: Array, d: int, table: NativeFactors, component: int, z: Array, to: int) -> None:
    """z[a, p] = sum_j B[j, a] y[j, p], two factors at a time."""
    q = table.n_factors
    first = component * q * d
    for a in range(0, q - 1, 2):
        row, next_ = first + a * d, first + (a + 1) * d
        u = v = simd.spread_row(0.0)
        for j in range(d):
            y_j = simd.load_row(y, j * BLOCK)
            u = simd.fma(simd.spread_row(table.projection[row + j]), y_j, u)
            v = simd.fma(simd.spread_row(table.projection[next_ + j]), y_j, v)
        simd.store(z, to + a * BLOCK, u)
        simd.store(z, to + (a + 1) * BLOCK, v)
    if q % 2:
        row = first + (q - 1) * d
        u = simd.spread_row(0.0)
        for j in range(d):
            u = simd.fma(simd.spread_row(table.projection[row + j]), simd.load_row(y, j * BLOCK), u)
        simd.store(z, to + (q - 1) * BLOCK, u)


@block_jit
def _score(y: Array, d: int, table: NativeFactors, component: int, z: Array, at: int, score: Array, to: int) -> None:
    """score[p] = offset - (|y - W z|^2 + |z|^2) / 2."""
    q = table.n_factors
    first = component * q * d
    s = simd.spread_row(0.0)
    for a in range(q):
        z_a = simd.load_row(z, at + a * BLOCK)
        s = simd.fma(z_a, z_a, s)
    for j in range(d):
        rest = simd.load_row(y, j * BLOCK)
        for a in range(q):
            w = simd.spread_row(-table.loadings[first + a * d + j])
            rest = simd.fma(w, simd.load_row(z, at + a * BLOCK), rest)
        s = simd.fma(rest, rest, s)
    store_scores(table.offset[component], score, to, s)


@block_jit
def _add_moments(y: Array, d: int, q: int, z: Array, at: int, score: Array, own: int, sums: Array, t: int) -> None:
    """Add the count, and for each feature Σ r y, Σ r y^2 and Σ r y z_a, to the eight-lane sums at t."""
    r = simd.load_row(score, own)
    add_row(sums, t, r)
    t += LANES
    for j in range(d):
        y_j = simd.load_row(y, j * BLOCK)
        share = r * y_j
        add_row(sums, t, share)
        add_product(sums, t + LANES, share, y_j)
        t += 2 * LANES
        for a in range(q):
            add_product(sums, t, share, simd.load_row(z, at + a * BLOCK))
            t += LANES


@jit
def factor_workspace(points: NativePoints, table: NativeFactors) -> FactorWorkspace:
    """Allocate the scratch memory for the blocks of these points under this table."""
    d, k = points.n_features, table.n_components
    return FactorWorkspace(np.empty(d * BLOCK), np.empty(k * BLOCK), np.empty(k * table.n_factors * BLOCK))


@block_jit
def score_factor_block(
    points: NativePoints, block: int, table: NativeFactors, draw: int, work: FactorWorkspace
) -> None:
    """Score one block under one table: ``work.score[component, point]``, and the expected factors of its points."""
    d, q, k = points.n_features, table.n_factors, table.n_components
    for c in range(k):
        _standardise(points, block, table, draw * k + c, work.centred)
        _expect_factors(work.centred, d, table, draw * k + c, work.factors, c * q * BLOCK)
        _score(work.centred, d, table, draw * k + c, work.factors, c * q * BLOCK, work.score, c * BLOCK)
        if points.labels.size > 0:
            add_labels(points, block, c, work.score, c * BLOCK)


@block_jit
def _fold_block(
    points: NativePoints, block: int, table: NativeFactors, draw: int, work: FactorWorkspace, sums: Array
) -> float:
    """Add the moments of one block to the eight-lane sums; return its weighted log likelihood."""
    d, q, k = points.n_features, table.n_factors, table.n_components
    width = factor_moments_width(d, q) * LANES
    score_factor_block(points, block, table, draw, work)
    loglik = normalise(work.score, k, points.weight, block * BLOCK)
    for c in range(k):
        if k > 1:
            _standardise(points, block, table, draw * k + c, work.centred)
        _add_moments(work.centred, d, q, work.factors, c * q * BLOCK, work.score, c * BLOCK, sums, c * width)
    return loglik


@kernel
def fold_factor_chunks(points: NativePoints, table: NativeFactors, span: int, taken: IntArray, out: Array) -> None:
    """Fold points without latent cells, labels or background, as ``orchestration.fold_chunks`` does.

    A row is the log likelihood, then for each component n, and for each feature the sums of y, y^2 and y z_a. A row
    depends only on its chunks, so the sum of the rows is the same for any number of threads.
    """
    n_blocks, n_sums = count_blocks(points), out.shape[1] - 1
    chunk, n_rows = chunk_size(n_blocks), count_chunks(n_blocks) // span
    work = factor_workspace(points, table)
    sums = np.empty(n_sums * LANES)
    row = simd.take_next(taken)
    while row < len(out):
        draw, first = row // n_rows, row % n_rows * span
        for t in range(n_sums + 1):
            out[row, t] = 0.0
        for c in range(first, first + span):
            sums[:] = 0.0
            for block in range(c * chunk, min((c + 1) * chunk, n_blocks)):
                out[row, 0] += _fold_block(points, block, table, draw, work, sums)
            for t in range(n_sums):
                out[row, t + 1] += simd.total(simd.load(sums, t * LANES))
        row = simd.take_next(taken)
