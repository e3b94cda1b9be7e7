"""The sweep over the data, compiled: plain arrays in, plain arrays out.

Points come in blocks of ``BLOCK``, features outermost: ``x[block, feature, point]``, flat, because
slicing inside a loop costs more than the arithmetic. Four eight-lane vectors hold a block, so that every
inner loop runs over a whole block in registers, and everything it touches stays in the first-level cache.

A root comes as ``(K, D, D)``, lower triangular, or as ``(K, D)``, its diagonal; the two have different
sizes, which is how a kernel tells them apart (at D = 1 they are the same thing).
"""

import math
from enum import IntEnum

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from bayesgmm import _simd as simd

_L = simd.LANES
BLOCK = 4 * _L
_FLOOR = -1e300  # a score below this is as good as this one, and two of them can be subtracted
_LOG_2PI = math.log(2 * math.pi)

jit = nb.njit(cache=True, error_model="numpy")
long_jit = nb.njit(cache=True, error_model="numpy", nogil=True)  # worth giving up the interpreter lock for


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


@long_jit
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


@long_jit
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


@long_jit
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


@long_jit
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


@jit
def unpack_roots(v, n_features, diagonal, tied, isotropic, core, root, log_det):
    """Roots from unconstrained coordinates: a row-major lower triangle with the logarithms of its diagonal.

    ``core`` takes the family's own roots (one for a tied family, one number a component for a spherical
    one), ``root`` the same for every component and feature, ``log_det`` the log determinants (K,).
    """
    n_components = log_det.size
    if diagonal:
        for t in range(v.size):
            core[t] = math.exp(v[t])
        for k in range(n_components):
            log_det[k] = 0.0
            for j in range(n_features):
                t = k if isotropic else k * n_features + j
                root[k * n_features + j] = core[t]
                log_det[k] += v[t]
        return
    square = n_features * n_features
    t = 0
    for m in range(core.size // square):
        log_det[m] = 0.0
        for i in range(n_features):
            for j in range(n_features):
                core[m * square + i * n_features + j] = 0.0
            for j in range(i):
                core[m * square + i * n_features + j] = v[t]
                t += 1
            core[m * square + i * n_features + i] = math.exp(v[t])
            log_det[m] += v[t]
            t += 1
    for k in range(n_components):
        m = 0 if tied else k
        log_det[k] = log_det[m]
        for t in range(square):
            root[k * square + t] = core[m * square + t]


@jit
def pull_back(sums, root, n_features, diagonal, tied, isotropic, n, grad_mean, grad_v):
    """Fisher's identity: the gradient of the log likelihood is linear in the statistics.

    ``sums`` is a row of ``fold`` without its first number. Writes the counts ``n``, adds to the gradients
    in the means (root' root s1) and in the coordinates of the roots (n - root s2, on and below the diagonal).
    """
    n_components = n.size
    width = sums.size // n_components
    y = np.empty(n_features)
    row = np.empty(n_features)
    for k in range(n_components):
        at = k * width
        n[k] = sums[at]
        at += 1
        if diagonal:
            for j in range(n_features):
                p2 = root[k * n_features + j] ** 2
                grad_mean[k * n_features + j] += p2 * sums[at]
                grad_v[k if isotropic else k * n_features + j] += n[k] - p2 * sums[at + 1]
                at += 2
            continue
        square = k * n_features * n_features
        t = 0 if tied else k * (n_features * (n_features + 1) // 2)
        for i in range(n_features):  # row i of root s2, from the packed lower triangle of s2
            y[i] = 0.0
            for j in range(i + 1):
                row[j] = 0.0
            for l in range(i + 1):
                p = root[square + i * n_features + l]
                start = at + l + l * (l + 1) // 2
                y[i] += p * sums[start]
                for j in range(i + 1):
                    if j <= l:
                        row[j] += p * sums[start + 1 + j]
                    else:
                        row[j] += p * sums[at + j + j * (j + 1) // 2 + 1 + l]
            for j in range(i):
                grad_v[t] -= row[j]
                t += 1
            grad_v[t] += n[k] - root[square + i * n_features + i] * row[i]
            t += 1
        for i in range(n_features):
            for j in range(i + 1):
                grad_mean[k * n_features + j] += root[square + i * n_features + j] * y[i]


# -- The log posterior as native code, so that a sampler's threads never ask for Python --

_INTS, _FLOATS = types.CPointer(types.int64), types.CPointer(types.float64)
_PRIOR = types.float64(_INTS, _FLOATS, _FLOATS, _FLOATS, _FLOATS, _FLOATS)

prior_kernel = nb.cfunc(_PRIOR, cache=True, error_model="numpy")
"""A prior's native function: ``f(shape, params, q, natural, n, grad)``; ``prior_arguments`` makes them arrays."""


@jit
def prior_arguments(shape, params, q, natural, n, grad):
    """K, D, whether roots are diagonal, then the arrays that a prior's native function was called with."""
    sizes = nb.carray(shape, 6)
    return (
        sizes[0],
        sizes[1],
        sizes[2] != 0,
        nb.carray(params, sizes[3]),
        nb.carray(q, sizes[4]),
        nb.carray(natural, sizes[5]),
        nb.carray(n, sizes[0]),
        nb.carray(grad, sizes[4]),
    )


@intrinsic
def _floats_at(typingctx, address):
    """The pointer to float64 numbers that an address is."""

    def codegen(context, builder, sig, args):
        return builder.inttoptr(args[0], ir.DoubleType().as_pointer())

    return _FLOATS(types.int64), codegen


@intrinsic
def _call_prior(typingctx, address, shape, params, q, natural, n, grad):
    """Call the prior kernel at an address."""

    def codegen(context, builder, sig, args):
        values = [
            cgutils.create_struct_proxy(kind)(context, builder, value=value).data
            for kind, value in zip(sig.args[1:], args[1:], strict=True)
        ]
        kind = ir.FunctionType(ir.DoubleType(), [value.type for value in values])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), values)

    return types.float64(types.int64, shape, params, q, natural, n, grad), codegen


class Plan(IntEnum):
    """The log posterior as integers: sizes, addresses of arrays, and addresses of prior kernels, in this order."""

    N_COMPONENTS = 0
    N_FEATURES = 1
    DIAGONAL = 2
    TIED = 3
    ISOTROPIC = 4
    N_BLOCKS = 5
    CHUNK = 6
    WEIGHTS_SIZE = 7
    CORE_SIZE = 8
    SIZE = 9
    WEIGHTS_PARAMS_SIZE = 10
    MEANS_PARAMS_SIZE = 11
    COVARIANCES_PARAMS_SIZE = 12
    X = 13
    WEIGHT = 14
    WEIGHTS_PARAMS = 15
    MEANS_PARAMS = 16
    COVARIANCES_PARAMS = 17
    CONSTANT = 18
    WEIGHTS_FORWARD = 19
    WEIGHTS_BACKWARD = 20
    MEANS_BACKWARD = 21
    COVARIANCES_BACKWARD = 22
    MODE = 23
    SPREAD = 24
    SPREAD_TRANSPOSED = 25


PLAN_SIZE = len(Plan)


@jit
def _prior(plan, kernel, params, params_size, q, natural, n, grad):
    shape = np.array(
        [plan[Plan.N_COMPONENTS], plan[Plan.N_FEATURES], plan[Plan.DIAGONAL], plan[params_size], q.size, natural.size]
    )
    values = nb.carray(_floats_at(plan[params]), plan[params_size])
    return _call_prior(plan[kernel], shape, values, q, natural, n, grad)


@long_jit
def log_posterior(plan, q, grad):
    """Log posterior density at unconstrained coordinates q, and its gradient: one fold, and what the priors add."""
    k, d = plan[Plan.N_COMPONENTS], plan[Plan.N_FEATURES]
    diagonal, tied, isotropic = plan[Plan.DIAGONAL] != 0, plan[Plan.TIED] != 0, plan[Plan.ISOTROPIC] != 0
    x = nb.carray(_floats_at(plan[Plan.X]), plan[Plan.N_BLOCKS] * d * BLOCK)
    w = nb.carray(_floats_at(plan[Plan.WEIGHT]), plan[Plan.N_BLOCKS] * BLOCK)
    core, root = np.empty(plan[Plan.CORE_SIZE]), np.empty(k * d if diagonal else k * d * d)
    log_weight, log_det, offset, n = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    n_chunks = -(-plan[Plan.N_BLOCKS] // plan[Plan.CHUNK])
    out = np.zeros((max(1, n_chunks), 1 + k * moments_width(d, diagonal)))
    a, b = plan[Plan.WEIGHTS_SIZE], plan[Plan.WEIGHTS_SIZE] + k * d
    qw, qm, qv = q[:a], q[a:b], q[b:]
    grad[:] = 0.0
    _prior(plan, Plan.WEIGHTS_FORWARD, Plan.WEIGHTS_PARAMS, Plan.WEIGHTS_PARAMS_SIZE, qw, log_weight, n, grad[:a])
    unpack_roots(qv, d, diagonal, tied, isotropic, core, root, log_det)
    for c in range(k):
        offset[c] = log_weight[c] + log_det[c] - 0.5 * d * _LOG_2PI
    fold(x, w, offset, qm, root, d, plan[Plan.CHUNK], 0, n_chunks, out)
    for c in range(1, n_chunks):
        for t in range(out.shape[1]):
            out[0, t] += out[c, t]
    pull_back(out[0, 1:], root, d, diagonal, tied, isotropic, n, grad[a:b], grad[b:])
    value = out[0, 0] + nb.carray(_floats_at(plan[Plan.CONSTANT]), 1)[0]
    value += _prior(
        plan, Plan.WEIGHTS_BACKWARD, Plan.WEIGHTS_PARAMS, Plan.WEIGHTS_PARAMS_SIZE, qw, log_weight, n, grad[:a]
    )
    value += _prior(plan, Plan.MEANS_BACKWARD, Plan.MEANS_PARAMS, Plan.MEANS_PARAMS_SIZE, qm, core, n, grad[a:b])
    value += _prior(
        plan, Plan.COVARIANCES_BACKWARD, Plan.COVARIANCES_PARAMS, Plan.COVARIANCES_PARAMS_SIZE, qv, core, n, grad[b:]
    )
    return value


@nb.cfunc(types.int64(types.uint64, _FLOATS, _FLOATS, _FLOATS, _INTS), cache=True, error_model="numpy")
def white_log_posterior(size, z_, grad_, value_, plan_):
    """What nutpie calls: the log posterior in white coordinates, ``q = mode + spread z``; not 0 says not finite."""
    plan = nb.carray(plan_, PLAN_SIZE)
    n = plan[Plan.SIZE]
    z, grad = nb.carray(z_, n), nb.carray(grad_, n)
    spread = nb.carray(_floats_at(plan[Plan.SPREAD]), (n, n))
    transposed = nb.carray(_floats_at(plan[Plan.SPREAD_TRANSPOSED]), (n, n))
    q, slope = nb.carray(_floats_at(plan[Plan.MODE]), n).copy(), np.empty(n)
    for j in range(n):  # by whole rows of the transpose, which vectorises where a dot product doesn't
        for i in range(n):
            q[i] += transposed[j, i] * z[j]
    value = log_posterior(plan, q, slope)
    grad[:] = 0.0
    for j in range(n):
        for i in range(n):
            grad[i] += spread[j, i] * slope[j]
    nb.carray(value_, 1)[0] = value
    total = value
    for i in range(n):
        total += grad[i]
    return 0 if math.isfinite(total) else 4


@nb.cfunc(types.int64(types.uint64, types.uint64, _FLOATS, _FLOATS, _INTS), cache=True)
def white_draw(size, expanded, z_, out_, plan_):
    """What nutpie stores of a draw: its white coordinates."""
    z, out = nb.carray(z_, size), nb.carray(out_, expanded)
    out[:] = z
    return 0
