"""k-means, compiled: distances to candidates for centres, and steps of Lloyd's algorithm.

In a step each point goes to the nearest centre, whose points are summed.
"""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
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
    labels: Array,
    sums: Array,
    changed: IntArray,
) -> None:
    """Write the nearest centre of each point of the chunks start to stop, and update the sums of each centre's points.

    ``x`` and ``weight`` are those of blocks; ``centres`` (K D,) and half their squared lengths (K,); ``labels`` has one
    number for each row, with the padding, -1 for a row that has no centre yet; ``sums``, flat, has for each chunk and
    centre the number of points of positive weight, their weight, and D sums: points that change their centre are taken
    from one and added to the other, since most do not change; ``changed`` counts these for each chunk.
    """
    k, d, width = half_norms.size, n_features, n_features + 2
    n_blocks = weight.size // BLOCK
    nearest = np.empty(BLOCK)
    for chunk in range(start, stop):
        own = sums[chunk * k * width : (chunk + 1) * k * width]
        changed[chunk] = 0
        for block in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n_blocks)):
            base, first = block * d * BLOCK, block * BLOCK
            t0 = t1 = t2 = t3 = simd.spread(-np.inf)
            i0 = i1 = i2 = i3 = simd.spread(0.0)
            for c in range(0, k, 2):  # two at once: each number of a point is loaded for both
                other = min(c + 1, k - 1)
                s0 = s1 = s2 = s3 = simd.spread(-half_norms[c])
                r0 = r1 = r2 = r3 = simd.spread(-half_norms[other])
                for j in range(d):
                    m, n = simd.spread(centres[c * d + j]), simd.spread(centres[other * d + j])
                    d0, d1, d2, d3 = load4(x, base + j * BLOCK)
                    s0, s1, s2, s3 = simd.fma(m, d0, s0), simd.fma(m, d1, s1), simd.fma(m, d2, s2), simd.fma(m, d3, s3)
                    r0, r1, r2, r3 = simd.fma(n, d0, r0), simd.fma(n, d1, r1), simd.fma(n, d2, r2), simd.fma(n, d3, r3)
                here = simd.spread(float(c))
                i0, i1 = simd.fma(simd.below(t0, s0), here - i0, i0), simd.fma(simd.below(t1, s1), here - i1, i1)
                i2, i3 = simd.fma(simd.below(t2, s2), here - i2, i2), simd.fma(simd.below(t3, s3), here - i3, i3)
                t0, t1, t2, t3 = simd.larger(t0, s0), simd.larger(t1, s1), simd.larger(t2, s2), simd.larger(t3, s3)
                here = simd.spread(float(other))
                i0, i1 = simd.fma(simd.below(t0, r0), here - i0, i0), simd.fma(simd.below(t1, r1), here - i1, i1)
                i2, i3 = simd.fma(simd.below(t2, r2), here - i2, i2), simd.fma(simd.below(t3, r3), here - i3, i3)
                t0, t1, t2, t3 = simd.larger(t0, r0), simd.larger(t1, r1), simd.larger(t2, r2), simd.larger(t3, r3)
            store4(nearest, 0, i0, i1, i2, i3)
            for p in range(BLOCK):
                if nearest[p] != labels[first + p]:
                    changed[chunk] += 1
                    if labels[first + p] >= 0:
                        add_point(own, int(labels[first + p]) * width, -1.0, weight[first + p], x, base + p, d)
                    add_point(own, int(nearest[p]) * width, 1.0, weight[first + p], x, base + p, d)
                    labels[first + p] = nearest[p]


@jit
def add_point(sums: Array, to: int, sign: float, weight: float, x: Array, at: int, n_features: int) -> None:
    """Add a point to the sums of a centre, or take it from them."""
    w = sign * weight
    if weight > 0:
        sums[to] += sign
    sums[to + 1] += w
    for j in range(n_features):
        sums[to + 2 + j] += w * x[at + j * BLOCK]


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
    total = np.empty(m * LANES)
    for chunk in range(start, stop):
        total[:] = 0.0
        for block in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n_blocks)):
            base, first = block * d * BLOCK, block * BLOCK
            w0, w1, w2, w3 = load4(weight, first)
            for c in range(m):
                a0 = a1 = a2 = a3 = simd.spread(0.0)
                for j in range(d):
                    centre = simd.spread(candidates[c * d + j])
                    v0, v1, v2, v3 = load4(x, base + j * BLOCK)
                    a0, a1 = simd.fma(v0 - centre, centre - v0, a0), simd.fma(v1 - centre, centre - v1, a1)
                    a2, a3 = simd.fma(v2 - centre, centre - v2, a2), simd.fma(v3 - centre, centre - v3, a3)
                n0, n1, n2, n3 = load4(nearest, first)
                a0, a1, a2, a3 = simd.larger(a0, n0), simd.larger(a1, n1), simd.larger(a2, n2), simd.larger(a3, n3)
                store4(out, c * size + first, a0, a1, a2, a3)
                own = simd.fma(w0, a0, simd.load(total, c * LANES))
                simd.store(total, c * LANES, simd.fma(w3, a3, simd.fma(w2, a2, simd.fma(w1, a1, own))))
        for c in range(m):
            sums[chunk * m + c] = simd.total(simd.load(total, c * LANES))
