"""k-means, compiled: distances to candidates for centres, and steps of Lloyd's algorithm.

In a step each point goes to the nearest centre, whose points are summed.
"""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import kernel
from bayesgmm.sweep.kernels import BLOCK, load4, store4
from bayesgmm.sweep.layout import LANES, Array, IntArray

simd = Late("bayesgmm.sweep.simd")
CHUNK = 64  # blocks whose sums are added first: so the sums do not depend on the number of threads


@kernel
def assign_nearest(
    x: Array,
    weight: Array,
    centres: Array,
    half_norms: Array,
    n_features: int,
    start: int,
    stop: int,
    labels: IntArray,
    sums: Array,
) -> None:
    """Write the nearest centre of each point of the chunks start to stop, and the sums of the points of each centre.

    ``x`` and ``weight`` are those of blocks; ``centres`` (K D,) and half their squared lengths (K,); ``labels`` has one
    number for each row, with the padding; ``sums``, flat, has for each chunk and centre the weight and D sums.
    """
    k, d, width = half_norms.size, n_features, n_features + 1
    n_blocks = weight.size // BLOCK
    score = np.empty(k * BLOCK)
    for chunk in range(start, stop):
        own = sums[chunk * k * width : (chunk + 1) * k * width]
        own[:] = 0.0
        for block in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n_blocks)):
            base, first = block * d * BLOCK, block * BLOCK
            for c in range(k):
                s0 = s1 = s2 = s3 = simd.spread(-half_norms[c])
                for j in range(d):
                    m = simd.spread(centres[c * d + j])
                    d0, d1, d2, d3 = load4(x, base + j * BLOCK)
                    s0, s1, s2, s3 = simd.fma(m, d0, s0), simd.fma(m, d1, s1), simd.fma(m, d2, s2), simd.fma(m, d3, s3)
                store4(score, c * BLOCK, s0, s1, s2, s3)
            for p in range(BLOCK):
                best, top = 0, score[p]
                for c in range(1, k):
                    if score[c * BLOCK + p] > top:
                        best, top = c, score[c * BLOCK + p]
                labels[first + p] = best
                w = weight[first + p]
                own[best * width] += w
                for j in range(d):
                    own[best * width + 1 + j] += w * x[base + j * BLOCK + p]


@kernel
def nearer_distances(
    x: Array,
    weight: Array,
    candidates: Array,
    n_features: int,
    start: int,
    stop: int,
    nearest: Array,
    out: Array,
    sums: Array,
) -> None:
    """Write minus the squared distance of each point to each candidate, or to the nearest centre if that is nearer.

    ``x`` and ``weight`` are those of blocks; ``candidates``, flat (M D,); ``nearest`` has minus the squared distance of
    each row, with the padding, to the nearest centre; ``out``, flat, has a row of such for each candidate; ``sums``,
    flat, has the weighted sums of each chunk start to stop and candidate.
    """
    d, size, n_blocks = n_features, weight.size, weight.size // BLOCK
    m = candidates.size // d
    for chunk in range(start, stop):
        for c in range(m):
            total = simd.spread(0.0)
            for block in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n_blocks)):
                base, first = block * d * BLOCK, block * BLOCK
                for p in range(0, BLOCK, LANES):
                    away = simd.spread(0.0)
                    for j in range(d):
                        v, centre = simd.load(x, base + j * BLOCK + p), simd.spread(candidates[c * d + j])
                        away = simd.fma(v - centre, centre - v, away)
                    away = simd.larger(away, simd.load(nearest, first + p))
                    simd.store(out, c * size + first + p, away)
                    total = simd.fma(simd.load(weight, first + p), away, total)
            sums[chunk * m + c] = simd.total(total)
