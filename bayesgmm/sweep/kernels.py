"""The sweep over the data, compiled: plain arrays in, plain arrays out.

Points come in blocks of ``BLOCK``, features outermost: ``x[block, feature, point]``, flat, because
slicing inside a loop costs more than the arithmetic. Four eight-lane vectors hold a block, so that every
inner loop runs over a whole block in registers, and everything it touches stays in the first-level cache.

A root comes as ``(K, D, D)``, lower triangular, or as ``(K, D)``, its diagonal; the two have different
sizes, which is how a kernel tells them apart (at D = 1 they are the same thing).
"""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import BLOCK as BLOCK
from bayesgmm.sweep.layout import LANES

simd = Late("bayesgmm.sweep.simd")
_L = LANES
_FLOOR = -1e300  # a score below this is as good as this one, and two of them can be subtracted


@jit
def moments_width(n_features: int, diagonal: bool) -> int:
    """How many sums one component needs: its count, then per feature s1 and a row of s2."""
    if diagonal:
        return 1 + 2 * n_features
    return (n_features + 1) * (n_features + 2) // 2


@jit
def _centre(x, at, mean, k, n_features, d):
    """d[j, p] = x[j, p] - mean[k, j]."""
    for j in range(n_features):
        m = simd.spread(mean[k * n_features + j])
        for p in range(j * BLOCK, (j + 1) * BLOCK, _L):
            simd.store(d, p, simd.load(x, at + p) - m)


@jit
def _load4(x, at):
    return (
        simd.load(x, at),
        simd.load(x, at + _L),
        simd.load(x, at + 2 * _L),
        simd.load(x, at + 3 * _L),
    )


@jit
def _store4(x, at, v0, v1, v2, v3):
    simd.store(x, at, v0)
    simd.store(x, at + _L, v1)
    simd.store(x, at + 2 * _L, v2)
    simd.store(x, at + 3 * _L, v3)


@jit
def _score_full(d, root, at, n_features, offset, a, to):
    """a[to + p] = offset - |root d_p|^2 / 2 for a lower-triangular root, two rows at a time."""
    q0 = q1 = q2 = q3 = simd.spread(0.0)
    odd = n_features % 2
    if odd:
        c = simd.spread(root[at])
        d0, d1, d2, d3 = _load4(d, 0)
        y0, y1, y2, y3 = c * d0, c * d1, c * d2, c * d3
        q0, q1, q2, q3 = y0 * y0, y1 * y1, y2 * y2, y3 * y3
    for i in range(odd, n_features, 2):
        row, next_ = at + i * n_features, at + (i + 1) * n_features
        y0 = y1 = y2 = y3 = z0 = z1 = z2 = z3 = simd.spread(0.0)
        for j in range(i + 2):  # the upper triangle is zero, so both rows may run to i + 1
            c, e = simd.spread(root[row + j]), simd.spread(root[next_ + j])
            d0, d1, d2, d3 = _load4(d, j * BLOCK)
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
def _store_scores(offset, a, to, q0, q1, q2, q3):
    half, o = simd.spread(-0.5), simd.spread(offset)
    q0, q1 = simd.fma(half, q0, o), simd.fma(half, q1, o)
    q2, q3 = simd.fma(half, q2, o), simd.fma(half, q3, o)
    _store4(a, to, q0, q1, q2, q3)


@jit
def _score_diagonal(d, root, at, n_features, offset, a, to):
    """The same for a diagonal root."""
    q0 = q1 = q2 = q3 = simd.spread(0.0)
    for j in range(n_features):
        c = simd.spread(root[at + j])
        d0, d1, d2, d3 = _load4(d, j * BLOCK)
        d0, d1, d2, d3 = c * d0, c * d1, c * d2, c * d3
        q0, q1 = simd.fma(d0, d0, q0), simd.fma(d1, d1, q1)
        q2, q3 = simd.fma(d2, d2, q2), simd.fma(d3, d3, q3)
    _store_scores(offset, a, to, q0, q1, q2, q3)


@jit
def _score_block(x, at, offset, mean, root, n_components, n_features, first, d, a):
    """Scores of one block under components ``first`` to ``first + n_components``, into a."""
    diagonal = root.size == mean.size
    for k in range(n_components):
        c = first + k
        _centre(x, at, mean, c, n_features, d)
        if diagonal:
            _score_diagonal(d, root, c * n_features, n_features, offset[c], a, k * BLOCK)
        else:
            start = c * n_features * n_features
            _score_full(d, root, start, n_features, offset[c], a, k * BLOCK)


@jit
def _logsumexp(a, n_components, p):
    """Log of the summed exponentials of eight points, whose exponentials replace the scores.

    Returns the logarithm and the reciprocal of the sum of what was stored.
    """
    top = simd.spread(_FLOOR)
    for k in range(n_components):
        top = simd.larger(top, simd.load(a, k * BLOCK + p))
    summed = simd.spread(0.0)
    for k in range(n_components):
        e = simd.exp(simd.load(a, k * BLOCK + p) - top)
        simd.store(a, k * BLOCK + p, e)
        summed = summed + e
    return top + simd.log(summed), simd.spread(1.0) / summed


@jit
def _responsibilities(a, n_components, w, at):
    """Turn a block's scores into weighted responsibilities; return its weighted log likelihood."""
    loglik = simd.spread(0.0)
    for p in range(0, BLOCK, _L):
        logsum, scale = _logsumexp(a, n_components, p)
        weight = simd.load(w, at + p)
        loglik = simd.fma(weight, logsum, loglik)
        scale = scale * weight
        for k in range(n_components):
            simd.store(a, k * BLOCK + p, simd.load(a, k * BLOCK + p) * scale)
    return simd.total(loglik)


@jit
def _dot(r0, r1, r2, r3, d, at, sum_):
    d0, d1, d2, d3 = _load4(d, at)
    sum_ = simd.fma(r1, d1, simd.fma(r0, d0, sum_))
    return simd.fma(r3, d3, simd.fma(r2, d2, sum_))


@jit
def _add(sums, at, v0, v1, v2, v3):
    simd.store(sums, at, simd.load(sums, at) + ((v0 + v1) + (v2 + v3)))


@jit
def _moments_full(d, r0, r1, r2, r3, n_features, sums, t):
    """Row by row, add Σ r d_i and Σ r d_i d_j (j <= i) to the eight-lane sums at t."""
    odd = n_features % 2
    if odd:
        d0, d1, d2, d3 = _load4(d, 0)
        y0, y1, y2, y3 = r0 * d0, r1 * d1, r2 * d2, r3 * d3
        _add(sums, t, y0, y1, y2, y3)
        simd.store(sums, t + _L, _dot(y0, y1, y2, y3, d, 0, simd.load(sums, t + _L)))
        t += 2 * _L
    for i in range(odd, n_features, 2):
        d0, d1, d2, d3 = _load4(d, i * BLOCK)
        y0, y1, y2, y3 = r0 * d0, r1 * d1, r2 * d2, r3 * d3
        d0, d1, d2, d3 = _load4(d, (i + 1) * BLOCK)
        z0, z1, z2, z3 = r0 * d0, r1 * d1, r2 * d2, r3 * d3
        u = t + (i + 2) * _L
        _add(sums, t, y0, y1, y2, y3)
        _add(sums, u, z0, z1, z2, z3)
        for j in range(i + 1):
            t += _L
            u += _L
            d0, d1, d2, d3 = _load4(d, j * BLOCK)
            y = simd.fma(y1, d1, simd.fma(y0, d0, simd.load(sums, t)))
            z = simd.fma(z1, d1, simd.fma(z0, d0, simd.load(sums, u)))
            simd.store(sums, t, simd.fma(y3, d3, simd.fma(y2, d2, y)))
            simd.store(sums, u, simd.fma(z3, d3, simd.fma(z2, d2, z)))
        u += _L
        last = _dot(z0, z1, z2, z3, d, (i + 1) * BLOCK, simd.load(sums, u))
        simd.store(sums, u, last)
        t = u + _L


@jit
def _moments_diagonal(d, r0, r1, r2, r3, n_features, sums, t):
    """Feature by feature, add Σ r d_i and Σ r d_i^2 to the eight-lane sums at t."""
    for i in range(n_features):
        d0, d1, d2, d3 = _load4(d, i * BLOCK)
        y0, y1, y2, y3 = r0 * d0, r1 * d1, r2 * d2, r3 * d3
        _add(sums, t, y0, y1, y2, y3)
        simd.store(sums, t + _L, _dot(y0, y1, y2, y3, d, i * BLOCK, simd.load(sums, t + _L)))
        t += 2 * _L


@jit
def _fold_chunk(x, w, offset, mean, root, n_features, start, stop, d, a, sums):
    """Fold blocks start to stop into sums (eight lanes a number); return the log likelihood."""
    n_components = offset.size
    diagonal = root.size == mean.size
    width = moments_width(n_features, diagonal) * _L
    loglik = 0.0
    for b in range(start, stop):
        at = b * n_features * BLOCK
        _score_block(x, at, offset, mean, root, n_components, n_features, 0, d, a)
        loglik += _responsibilities(a, n_components, w, b * BLOCK)
        for k in range(n_components):
            _centre(x, at, mean, k, n_features, d)
            r0, r1, r2, r3 = _load4(a, k * BLOCK)
            _add(sums, k * width, r0, r1, r2, r3)
            if diagonal:
                _moments_diagonal(d, r0, r1, r2, r3, n_features, sums, k * width + _L)
            else:
                _moments_full(d, r0, r1, r2, r3, n_features, sums, k * width + _L)
    return loglik


@kernel
def fold(x, w, offset, mean, root, n_features, chunk, start, stop, out):
    """Fold chunks start to stop, of ``chunk`` blocks each, a row of ``out`` for each chunk.

    A row is the log likelihood, then per component n, and per feature i: s1_i and s2_ij, j <= i (or
    s2_ii alone), moments about the component's mean. Rows depend on nothing but their own chunk, so
    whoever adds them in order gets the same answer from any number of threads.
    """
    n_components = offset.size
    n_blocks = w.size // BLOCK
    d, a = np.empty(n_features * BLOCK), np.empty(n_components * BLOCK)
    sums = np.empty((out.shape[1] - 1) * _L)
    for c in range(start, stop):
        sums[:] = 0.0
        last = min((c + 1) * chunk, n_blocks)
        out[c, 0] = _fold_chunk(x, w, offset, mean, root, n_features, c * chunk, last, d, a, sums)
        for t in range(out.shape[1] - 1):
            out[c, t + 1] = simd.total(simd.load(sums, t * _L))


@kernel
def average_responsibilities(x, offset, mean, root, n_components, n_features, start, stop, out):
    """Mean over draws of the responsibilities of blocks start to stop: out[block, component, point].

    The tables of all draws stand one after another in offset, mean and root.
    """
    n_draws = offset.size // n_components
    d, a = np.empty(n_features * BLOCK), np.empty(n_components * BLOCK)
    share = np.full(BLOCK, 1.0 / n_draws)
    for b in range(start, stop):
        to = b * n_components * BLOCK
        for s in range(n_draws):
            first = s * n_components
            at = b * n_features * BLOCK
            _score_block(x, at, offset, mean, root, n_components, n_features, first, d, a)
            _responsibilities(a, n_components, share, 0)
            for p in range(0, n_components * BLOCK, _L):
                simd.store(out, to + p, simd.load(out, to + p) + simd.load(a, p))


@kernel
def draw_responsibilities(x, offset, mean, root, n_components, n_features, start, stop, out):
    """Responsibilities of all blocks under draws start to stop: out[draw, block, component, point]."""
    n_blocks = x.size // (n_features * BLOCK)
    d, a = np.empty(n_features * BLOCK), np.empty(n_components * BLOCK)
    one = np.ones(BLOCK)
    for s in range(start, stop):
        for b in range(n_blocks):
            at = b * n_features * BLOCK
            _score_block(x, at, offset, mean, root, n_components, n_features, s * n_components, d, a)
            _responsibilities(a, n_components, one, 0)
            to = (s * n_blocks + b) * n_components * BLOCK
            out[to : to + a.size] = a


@kernel
def log_densities(x, offset, mean, root, n_components, n_features, start, stop, out):
    """Log density of the points of blocks start to stop under every draw: out[block, draw, point]."""
    n_draws = offset.size // n_components
    d, a = np.empty(n_features * BLOCK), np.empty(n_components * BLOCK)
    for b in range(start, stop):
        for s in range(n_draws):
            first = s * n_components
            at = b * n_features * BLOCK
            _score_block(x, at, offset, mean, root, n_components, n_features, first, d, a)
            to = (b * n_draws + s) * BLOCK
            for p in range(0, BLOCK, _L):
                logsum, _ = _logsumexp(a, n_components, p)
                simd.store(out, to + p, logsum)
