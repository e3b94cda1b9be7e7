"""The arithmetic of one block of points, compiled: plain arrays in, plain arrays out.

Points come in blocks of ``BLOCK``, features outermost: ``x[block, feature, point]``, flat, because slicing inside a
loop costs more than the arithmetic. Four eight-lane vectors hold a block, so that every inner loop processes a whole
block in registers, and its data stay in the first-level cache.

Only ``orchestration`` calls these functions; functions that read points call ``orchestration``.
"""

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.layout import BLOCK as BLOCK
from bayesgmm.sweep.layout import LANES, Array, FloatArray, Row, Vector, Vectors

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
        simd.store(d, j * BLOCK, centred_row(x, at, mean, start, j))


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
def centred_row(x: Array, at: int, mean: Array, start: int, j: int) -> Row:
    """Return ``x[j, p] - mean[start + j]`` for the block that begins at ``x[at]``."""
    return simd.load_row(x, at + j * BLOCK) - simd.spread_row(mean[start + j])


@jit
def score_full(
    x: Array,
    at: int,
    mean: Array,
    start: int,
    root: Array,
    root_at: int,
    n_features: int,
    offset: float,
    d: Array,
    a: Array,
    to: int,
) -> None:
    """a[to + p] = offset - |root (x_p - mean)|^2 / 2 for a lower-triangular root, two rows at a time; d is scratch."""
    q = simd.spread_row(0.0)
    odd = n_features % 2
    if odd:
        first = centred_row(x, at, mean, start, 0)
        y = simd.spread_row(root[root_at]) * first
        q = y * y
        if n_features > 1:
            simd.store(d, 0, first)
    for i in range(odd, n_features, 2):
        row, next_ = root_at + i * n_features, root_at + (i + 1) * n_features
        first, second = centred_row(x, at, mean, start, i), centred_row(x, at, mean, start, i + 1)
        y, z = simd.spread_row(root[row + i]) * first, simd.spread_row(root[next_ + i]) * first
        z = simd.fma(simd.spread_row(root[next_ + i + 1]), second, z)
        if i + 2 < n_features:  # later rows need them
            simd.store(d, i * BLOCK, first)
            simd.store(d, (i + 1) * BLOCK, second)
        for j in range(i):
            earlier = simd.load_row(d, j * BLOCK)
            y = simd.fma(simd.spread_row(root[row + j]), earlier, y)
            z = simd.fma(simd.spread_row(root[next_ + j]), earlier, z)
        q = simd.fma(z, z, simd.fma(y, y, q))
    store_scores(offset, a, to, q)


@jit
def store_scores(offset: float, a: Array, to: int, q: Row) -> None:
    """a[to + p] = offset - q_p / 2."""
    simd.store(a, to, simd.fma(simd.spread_row(-0.5), q, simd.spread_row(offset)))


@jit
def score_diagonal(
    x: Array,
    at: int,
    mean: Array,
    start: int,
    root: Array,
    root_at: int,
    n_features: int,
    offset: float,
    a: Array,
    to: int,
) -> None:
    """a[to + p] = offset - |root (x_p - mean)|^2 / 2 for a diagonal root."""
    q = simd.spread_row(0.0)
    for j in range(n_features):
        y = simd.spread_row(root[root_at + j]) * centred_row(x, at, mean, start, j)
        q = simd.fma(y, y, q)
    store_scores(offset, a, to, q)


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
    top, summed = simd.spread(_FLOOR), simd.spread(0.0)
    for k in range(n_components):
        top = simd.larger(top, simd.load(a, k * BLOCK + p))
    for k in range(n_components):
        e = simd.exp(simd.load(a, k * BLOCK + p) - top)
        simd.store(a, k * BLOCK + p, e)
        summed = summed + e
    return top + simd.log(summed), simd.spread(1.0) / summed


@jit
def normalise(a: Array, n_components: int, w: Array, at: int) -> float:
    """Turn a block's scores into responsibilities, times the weights w; return its weighted log likelihood.

    Where all weights are 0 or 1, the logarithm of a product takes the place of four logarithms.
    """
    top, summed, weight = simd.spread_row(_FLOOR), simd.spread_row(0.0), simd.load_row(w, at)
    for k in range(n_components):
        top = simd.larger(top, simd.load_row(a, k * BLOCK))
    for k in range(n_components):
        e = simd.exp(simd.load_row(a, k * BLOCK) - top)
        simd.store(a, k * BLOCK, e)
        summed = summed + e
    loglik = sum_parts(weight * top)
    if are_plain_weights(weight):
        one = simd.spread_row(1.0)
        s0, s1, s2, s3 = simd.parts(simd.fma(weight, summed - one, one))
        loglik = loglik + simd.log((s0 * s1) * (s2 * s3))
    else:
        for p in range(0, BLOCK, LANES):
            total = simd.spread(0.0)
            for k in range(n_components):
                total = total + simd.load(a, k * BLOCK + p)
            loglik = simd.fma(simd.load(w, at + p), simd.log(total), loglik)
    scale = weight / summed
    for k in range(n_components):
        simd.store(a, k * BLOCK, simd.load_row(a, k * BLOCK) * scale)
    return simd.total(loglik)


@jit
def sum_parts(row: Row) -> Vector:
    """Add up the vectors of a row."""
    a, b, c, d = simd.parts(row)
    return (a + b) + (c + d)


@jit
def are_plain_weights(weight: Row) -> bool:
    """Return whether all weights of a block are 0 or 1."""
    away = weight * weight - weight
    return simd.all_equal(sum_parts(away * away), simd.spread(0.0))


@jit
def add_row(sums: Array, at: int, row: Row) -> None:
    """Add a block's row to the eight-lane sums at ``at``."""
    simd.store(sums, at, simd.load(sums, at) + sum_parts(row))


@jit
def add_product(sums: Array, at: int, x: Row, y: Row) -> None:
    """Add the product of two of a block's rows to the eight-lane sums at ``at``."""
    (x0, x1, x2, x3), (y0, y1, y2, y3) = simd.parts(x), simd.parts(y)
    sum_ = simd.fma(x1, y1, simd.fma(x0, y0, simd.load(sums, at)))
    simd.store(sums, at, simd.fma(x3, y3, simd.fma(x2, y2, sum_)))


@jit
def moments_full(
    x: Array, at: int, mean: Array, start: int, r: Row, n_features: int, d: Array, sums: Array, t: int
) -> None:
    """Add Σ r d_i and Σ r d_i d_j (j <= i), with d = x - mean, to the eight-lane sums at t, two rows at a time."""
    odd = n_features % 2
    if odd:
        first = centred_row(x, at, mean, start, 0)
        y = r * first
        add_row(sums, t, y)
        add_product(sums, t + LANES, y, first)
        t += 2 * LANES
        if n_features > 1:
            simd.store(d, 0, first)
    for i in range(odd, n_features, 2):
        first, second = centred_row(x, at, mean, start, i), centred_row(x, at, mean, start, i + 1)
        y, z = r * first, r * second
        u = t + (i + 2) * LANES
        last = u + (i + 2) * LANES
        add_row(sums, t, y)
        add_row(sums, u, z)
        add_product(sums, u - LANES, y, first)
        add_product(sums, last - LANES, z, first)
        add_product(sums, last, z, second)
        if i + 2 < n_features:  # later rows need them
            simd.store(d, i * BLOCK, first)
            simd.store(d, (i + 1) * BLOCK, second)
        for j in range(i):
            t += LANES
            u += LANES
            earlier = simd.load_row(d, j * BLOCK)
            add_product(sums, t, y, earlier)
            add_product(sums, u, z, earlier)
        t = last + LANES


@jit
def moments_diagonal(x: Array, at: int, mean: Array, start: int, r: Row, n_features: int, sums: Array, t: int) -> None:
    """Add Σ r d_i and Σ r d_i^2, with d = x - mean, to the eight-lane sums at t, feature by feature."""
    for i in range(n_features):
        first = centred_row(x, at, mean, start, i)
        y = r * first
        add_row(sums, t, y)
        add_product(sums, t + LANES, y, first)
        t += 2 * LANES
