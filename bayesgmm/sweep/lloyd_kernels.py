"""k-means, compiled: distances to candidates for centres, and steps of Lloyd's algorithm.

In a step each point goes to the nearest centre, whose points are summed. Distances are computed in single precision
first, in half the time and from half the memory; where their rounding could decide, again in double precision.
"""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.kernels import BLOCK, load4, store4
from bayesgmm.sweep.layout import LANES, Array, IntArray, SingleArray, Vector

simd = Late("bayesgmm.sweep.simd")
CHUNK = 64  # blocks whose sums are added first: so the sums do not depend on the number of threads
ROUNDING = 2.0**-24  # of single precision, relative
LARGEST, SMALLEST = 1e18, 1e-15  # lengths whose squares single precision holds, with its relative rounding error


@kernel
def assign_nearest(
    rows: Array,
    about: Array,
    x: Array,
    single: SingleArray,
    reach: Array,
    weight: Array,
    centres: Array,
    half_norms: Array,
    start: int,
    stop: int,
    labels: SingleArray,
    sums: Array,
    changed: IntArray,
) -> None:
    """Write the nearest centre of each point of the chunks start to stop, and update the sums of each centre's points.

    ``rows``, flat (N D,), less ``about`` (D,) are ``x`` in blocks, with their ``weight``. ``single`` is a copy of ``x``
    in single precision, and ``reach`` a length that no point of a block exceeds: infinite for a block that has not been
    copied yet, which is done here. ``centres`` (K D,) and half their squared lengths (K,); ``labels`` has one number
    for each row, with the padding, -1 for a row that has no centre yet; ``sums``, flat, has for each chunk and centre
    the number of points of positive weight, their weight, and D sums: points that change their centre are taken from
    one and added to the other, since most do not change; ``changed`` counts these for each chunk.
    """
    k, d, width = half_norms.size, about.size, about.size + 2
    n_points, n_blocks = rows.size // d, weight.size // BLOCK
    near, near_half = np.empty(k * d, np.float32), np.empty(k, np.float32)
    nearest, gap, farthest = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32), SMALLEST
    for c in range(k):
        near_half[c], farthest = half_norms[c], max(farthest, np.sqrt(2 * half_norms[c]))
        for j in range(c * d, (c + 1) * d):
            near[j] = centres[j]
    for chunk in range(start, stop):
        own = sums[chunk * k * width : (chunk + 1) * k * width]
        changed[chunk] = 0
        for block in range(chunk * CHUNK, min((chunk + 1) * CHUNK, n_blocks)):
            base, first = block * d * BLOCK, block * BLOCK
            if reach[block] == np.inf:
                reach[block] = copy_block(x, base, d, single)
            error = np.float32(2 * (d + 8) * ROUNDING * (reach[block] + farthest) * farthest)
            if max(reach[block], farthest) > LARGEST:
                error = np.float32(np.inf)
            if not find_nearest(single, base, near, near_half, d, error, nearest, gap):
                for p in range(BLOCK):
                    if not gap[p] > error:
                        nearest[p] = nearest_centre(x, base + p, centres, half_norms, d)
            alike = True
            for p in range(0, BLOCK, LANES):
                alike &= simd.all_equal(simd.load(nearest, p), simd.load(labels, first + p))
            for p in range(0 if alike else BLOCK):  # most points stay
                i, now = first + p, nearest[p]
                if now != labels[i] and i < n_points:
                    changed[chunk] += 1
                    if labels[i] >= 0:
                        add_point(own, int(labels[i]) * width, -1.0, weight[i], rows, i * d, about)
                    add_point(own, int(now) * width, 1.0, weight[i], rows, i * d, about)
                    labels[i] = now


@jit
def find_nearest(
    x: SingleArray,
    base: int,
    centres: SingleArray,
    half_norms: SingleArray,
    n_features: int,
    error: np.float32,
    nearest: SingleArray,
    gap: SingleArray,
) -> bool:
    """Write the nearest centre of each of a block's points; return whether each is so by more than an error.

    A point's score for a centre is their product, less half the squared length of the centre: it is largest for the
    nearest one. ``gap`` is how much larger it is than the next.
    """
    k, d, low = half_norms.size, n_features, simd.spread(np.float32(-np.inf))
    t0 = t1 = t2 = t3 = u0 = u1 = u2 = u3 = low
    i0 = i1 = i2 = i3 = simd.spread(np.float32(0))
    for c in range(0, k, 2):  # two at once: each number of a point is loaded for both
        other = min(c + 1, k - 1)
        s0 = s1 = s2 = s3 = simd.spread(-half_norms[c])
        r0 = r1 = r2 = r3 = simd.spread(-half_norms[other]) if c < other else low
        for j in range(d):
            m, n = simd.spread(centres[c * d + j]), simd.spread(centres[other * d + j])
            d0, d1, d2, d3 = load4(x, base + j * BLOCK)
            s0, s1, s2, s3 = simd.fma(m, d0, s0), simd.fma(m, d1, s1), simd.fma(m, d2, s2), simd.fma(m, d3, s3)
            r0, r1, r2, r3 = simd.fma(n, d0, r0), simd.fma(n, d1, r1), simd.fma(n, d2, r2), simd.fma(n, d3, r3)
        here, there = simd.spread(np.float32(c)), simd.spread(np.float32(other))
        t0, u0, i0 = two_best(two_best((t0, u0, i0), s0, here), r0, there)
        t1, u1, i1 = two_best(two_best((t1, u1, i1), s1, here), r1, there)
        t2, u2, i2 = two_best(two_best((t2, u2, i2), s2, here), r2, there)
        t3, u3, i3 = two_best(two_best((t3, u3, i3), s3, here), r3, there)
    store4(nearest, 0, i0, i1, i2, i3)
    store4(gap, 0, t0 - u0, t1 - u1, t2 - u2, t3 - u3)
    least = simd.smaller(simd.smaller(t0 - u0, t1 - u1), simd.smaller(t2 - u2, t3 - u3))
    return simd.all_above(least, simd.spread(error))


@jit
def nearest_centre(x: Array, at: int, centres: Array, half_norms: Array, n_features: int) -> int:
    """Return the nearest centre of the point whose numbers begin at ``x[at]``, in double precision."""
    nearest, top = 0, -np.inf
    for c in range(half_norms.size):
        score = -half_norms[c]
        for j in range(n_features):
            score += centres[c * n_features + j] * x[at + j * BLOCK]
        if score > top:
            nearest, top = c, score
    return nearest


@jit
def two_best(best: tuple[Vector, Vector, Vector], score: Vector, here: Vector) -> tuple[Vector, Vector, Vector]:
    """Return the largest score, the second largest, and where the largest is, after one more score."""
    top, second, where = best
    second = simd.larger(second, simd.smaller(top, score))
    return simd.larger(top, score), second, simd.where_below(top, score, here, where)


@jit
def copy_block(x: Array, base: int, n_features: int, single: SingleArray) -> float:
    """Copy a block to single precision; return a length that no point of it exceeds."""
    n0 = n1 = n2 = n3 = simd.spread(0.0)
    for at in range(base, base + n_features * BLOCK, BLOCK):
        d0, d1, d2, d3 = load4(x, at)
        store4(single, at, d0, d1, d2, d3)
        n0, n1, n2, n3 = simd.fma(d0, d0, n0), simd.fma(d1, d1, n1), simd.fma(d2, d2, n2), simd.fma(d3, d3, n3)
    return np.sqrt(simd.total(simd.larger(simd.larger(n0, n1), simd.larger(n2, n3))))  # at most three times as long


@jit
def add_point(sums: Array, to: int, sign: float, weight: float, rows: Array, at: int, about: Array) -> None:
    """Add a point to the sums of a centre, or take it from them. It is read as a row: a block's would lie scattered."""
    w = sign * weight
    if weight > 0:
        sums[to] += sign
    sums[to + 1] += w
    for j in range(about.size):
        sums[to + 2 + j] += w * (rows[at + j] - about[j])


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
