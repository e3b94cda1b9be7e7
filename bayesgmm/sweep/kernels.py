"""The arithmetic of one block of points, compiled: plain arrays in, plain arrays out.

Points come in blocks of ``BLOCK``, features outermost: ``x[block, feature, point]``, flat, because slicing inside a
loop costs more than the arithmetic. Four eight-lane vectors hold a block, so that every inner loop processes a whole
block in registers, and its data stay in the first-level cache.

Only ``orchestration`` calls these functions; functions that read points call ``orchestration``.
"""

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.layout import BLOCK as BLOCK
from bayesgmm.sweep.layout import LANES, Array, FloatArray, Vector, Vectors

simd = Late("bayesgmm.sweep.simd")
_FLOOR = -1e300  # lower scores are set to this, so that the difference of two scores is finite


@jit
def moments_width(n_features: int, diagonal: bool) -> int:
    """Return the number of sums of one component: its count, then per feature s1 and a row of s2."""
    if diagonal:
        return 1 + 2 * n_features
    return (n_features + 1) * (n_features + 2) // 2


@jit
def centre(x: Array, at: int, mean: Array, start: int, n_features: int, d: Array) -> None:
    """d[j, p] = x[j, p] - mean[start + j], for the block that begins at ``x[at]``."""
    for j in range(n_features):
        m = simd.spread(mean[start + j])
        for p in range(j * BLOCK, (j + 1) * BLOCK, LANES):
            simd.store(d, p, simd.load(x, at + p) - m)


@jit
def load4(x: FloatArray, at: int) -> Vectors:
    """Load a block's row that begins at ``x[at]``."""
    return (simd.load(x, at), simd.load(x, at + LANES), simd.load(x, at + 2 * LANES), simd.load(x, at + 3 * LANES))


@jit
def store4(x: FloatArray, at: int, v0: Vector, v1: Vector, v2: Vector, v3: Vector) -> None:
    """Store a block's row, to begin at ``x[at]``."""
    simd.store(x, at, v0)
    simd.store(x, at + LANES, v1)
    simd.store(x, at + 2 * LANES, v2)
    simd.store(x, at + 3 * LANES, v3)


@jit
def spread4(number: float) -> Vectors:
    """Return a block's row of equal numbers."""
    return simd.spread(number), simd.spread(number), simd.spread(number), simd.spread(number)


@jit
def add4(x: Vectors, y: Vectors) -> Vectors:
    """Add two rows of a block."""
    (a, b, c, d), (e, f, g, h) = x, y
    return a + e, b + f, c + g, d + h


@jit
def mul4(x: Vectors, y: Vectors) -> Vectors:
    """Multiply two rows of a block."""
    (a, b, c, d), (e, f, g, h) = x, y
    return a * e, b * f, c * g, d * h


@jit
def fma4(x: Vectors, y: Vectors, z: Vectors) -> Vectors:
    """Compute ``x * y + z`` for rows of a block."""
    (a, b, c, d), (e, f, g, h), (i, j, k, l) = x, y, z
    return simd.fma(a, e, i), simd.fma(b, f, j), simd.fma(c, g, k), simd.fma(d, h, l)


@jit
def score_full(d: Array, root: Array, at: int, n_features: int, offset: float, a: Array, to: int) -> None:
    """a[to + p] = offset - |root d_p|^2 / 2 for a lower-triangular root, two rows at a time."""
    q0 = q1 = q2 = q3 = simd.spread(0.0)
    odd = n_features % 2
    if odd:
        c = simd.spread(root[at])
        d0, d1, d2, d3 = load4(d, 0)
        y0, y1, y2, y3 = c * d0, c * d1, c * d2, c * d3
        q0, q1, q2, q3 = y0 * y0, y1 * y1, y2 * y2, y3 * y3
    for i in range(odd, n_features, 2):
        row, next_ = at + i * n_features, at + (i + 1) * n_features
        y0 = y1 = y2 = y3 = z0 = z1 = z2 = z3 = simd.spread(0.0)
        for j in range(i + 2):  # the upper triangle is zero, so both rows may end at i + 1
            c, e = simd.spread(root[row + j]), simd.spread(root[next_ + j])
            d0, d1, d2, d3 = load4(d, j * BLOCK)
            y0, y1 = simd.fma(c, d0, y0), simd.fma(c, d1, y1)
            y2, y3 = simd.fma(c, d2, y2), simd.fma(c, d3, y3)
            z0, z1 = simd.fma(e, d0, z0), simd.fma(e, d1, z1)
            z2, z3 = simd.fma(e, d2, z2), simd.fma(e, d3, z3)
        q0, q1 = simd.fma(y0, y0, q0), simd.fma(y1, y1, q1)
        q2, q3 = simd.fma(y2, y2, q2), simd.fma(y3, y3, q3)
        q0, q1 = simd.fma(z0, z0, q0), simd.fma(z1, z1, q1)
        q2, q3 = simd.fma(z2, z2, q2), simd.fma(z3, z3, q3)
    _store_scores(offset, a, to, q0, q1, q2, q3)


@jit
def _store_scores(offset: float, a: Array, to: int, q0: Vector, q1: Vector, q2: Vector, q3: Vector) -> None:
    half, o = simd.spread(-0.5), simd.spread(offset)
    q0, q1 = simd.fma(half, q0, o), simd.fma(half, q1, o)
    q2, q3 = simd.fma(half, q2, o), simd.fma(half, q3, o)
    store4(a, to, q0, q1, q2, q3)


@jit
def score_diagonal(d: Array, root: Array, at: int, n_features: int, offset: float, a: Array, to: int) -> None:
    """a[to + p] = offset - |root d_p|^2 / 2 for a diagonal root."""
    q0 = q1 = q2 = q3 = simd.spread(0.0)
    for j in range(n_features):
        c = simd.spread(root[at + j])
        d0, d1, d2, d3 = load4(d, j * BLOCK)
        d0, d1, d2, d3 = c * d0, c * d1, c * d2, c * d3
        q0, q1 = simd.fma(d0, d0, q0), simd.fma(d1, d1, q1)
        q2, q3 = simd.fma(d2, d2, q2), simd.fma(d3, d3, q3)
    _store_scores(offset, a, to, q0, q1, q2, q3)


@jit
def exponentials(a: Array, n_components: int, p: int) -> tuple[Vector, Vector]:
    """Replace the scores of eight points by their exponentials, divided by the largest; return it and their sum."""
    top = simd.spread(_FLOOR)
    for k in range(n_components):
        top = simd.larger(top, simd.load(a, k * BLOCK + p))
    summed = simd.spread(0.0)
    for k in range(n_components):
        e = simd.exp(simd.load(a, k * BLOCK + p) - top)
        simd.store(a, k * BLOCK + p, e)
        summed = summed + e
    return top, summed


@jit
def logsumexp(a: Array, n_components: int, p: int) -> tuple[Vector, Vector]:
    """Replace the scores of eight points by their exponentials, divided by the largest.

    Returns
    -------
    logsum : vector
        Logarithm of the summed exponentials of the scores.
    scale : vector
        Reciprocal of the sum of what was stored.
    """
    top, summed = exponentials(a, n_components, p)
    return top + simd.log(summed), simd.spread(1.0) / summed


@jit
def normalise(a: Array, n_components: int, w: Array, at: int) -> float:
    """Turn a block's scores into responsibilities, times the weights w; return its weighted log likelihood.

    Where all weights are 0 or 1, the logarithm of a product takes the place of four logarithms.
    """
    loglik, product = simd.spread(0.0), simd.spread(1.0)
    one, plain = simd.spread(1.0), has_plain_weights(w, at)
    for p in range(0, BLOCK, LANES):
        top, summed = exponentials(a, n_components, p)
        weight = simd.load(w, at + p)
        loglik = simd.fma(weight, top, loglik)
        if plain:
            product = product * simd.fma(weight, summed - one, one)
        else:
            loglik = simd.fma(weight, simd.log(summed), loglik)
        scale = weight / summed
        for k in range(n_components):
            simd.store(a, k * BLOCK + p, simd.load(a, k * BLOCK + p) * scale)
    return simd.total(loglik + simd.log(product))


@jit
def has_plain_weights(w: Array, at: int) -> bool:
    """Return whether all weights of a block are 0 or 1."""
    away = simd.spread(0.0)
    for p in range(at, at + BLOCK, LANES):
        weight = simd.load(w, p)
        distance = weight * weight - weight
        away = simd.fma(distance, distance, away)
    return simd.total(away) == 0.0


@jit
def dot(r0: Vector, r1: Vector, r2: Vector, r3: Vector, d: Array, at: int, sum_: Vector) -> Vector:
    """Add the product of a block's row and the row of d at ``at`` to a sum, eight lanes wide."""
    d0, d1, d2, d3 = load4(d, at)
    sum_ = simd.fma(r1, d1, simd.fma(r0, d0, sum_))
    return simd.fma(r3, d3, simd.fma(r2, d2, sum_))


@jit
def add_lanes(sums: Array, at: int, v0: Vector, v1: Vector, v2: Vector, v3: Vector) -> None:
    """Add a block's row, eight lanes wide, to the sums at ``at``."""
    simd.store(sums, at, simd.load(sums, at) + ((v0 + v1) + (v2 + v3)))


@jit
def moments_full(
    d: Array, r0: Vector, r1: Vector, r2: Vector, r3: Vector, n_features: int, sums: Array, t: int
) -> None:
    """Add Σ r d_i and Σ r d_i d_j (j <= i) to the eight-lane sums at t, row by row."""
    odd = n_features % 2
    if odd:
        d0, d1, d2, d3 = load4(d, 0)
        y0, y1, y2, y3 = r0 * d0, r1 * d1, r2 * d2, r3 * d3
        add_lanes(sums, t, y0, y1, y2, y3)
        simd.store(sums, t + LANES, dot(y0, y1, y2, y3, d, 0, simd.load(sums, t + LANES)))
        t += 2 * LANES
    for i in range(odd, n_features, 2):
        d0, d1, d2, d3 = load4(d, i * BLOCK)
        y0, y1, y2, y3 = r0 * d0, r1 * d1, r2 * d2, r3 * d3
        d0, d1, d2, d3 = load4(d, (i + 1) * BLOCK)
        z0, z1, z2, z3 = r0 * d0, r1 * d1, r2 * d2, r3 * d3
        u = t + (i + 2) * LANES
        add_lanes(sums, t, y0, y1, y2, y3)
        add_lanes(sums, u, z0, z1, z2, z3)
        for j in range(i + 1):
            t += LANES
            u += LANES
            d0, d1, d2, d3 = load4(d, j * BLOCK)
            y = simd.fma(y1, d1, simd.fma(y0, d0, simd.load(sums, t)))
            z = simd.fma(z1, d1, simd.fma(z0, d0, simd.load(sums, u)))
            simd.store(sums, t, simd.fma(y3, d3, simd.fma(y2, d2, y)))
            simd.store(sums, u, simd.fma(z3, d3, simd.fma(z2, d2, z)))
        u += LANES
        last = dot(z0, z1, z2, z3, d, (i + 1) * BLOCK, simd.load(sums, u))
        simd.store(sums, u, last)
        t = u + LANES


@jit
def moments_diagonal(
    d: Array, r0: Vector, r1: Vector, r2: Vector, r3: Vector, n_features: int, sums: Array, t: int
) -> None:
    """Add Σ r d_i and Σ r d_i^2 to the eight-lane sums at t, feature by feature."""
    for i in range(n_features):
        d0, d1, d2, d3 = load4(d, i * BLOCK)
        y0, y1, y2, y3 = r0 * d0, r1 * d1, r2 * d2, r3 * d3
        add_lanes(sums, t, y0, y1, y2, y3)
        simd.store(sums, t + LANES, dot(y0, y1, y2, y3, d, i * BLOCK, simd.load(sums, t + LANES)))
        t += 2 * LANES
