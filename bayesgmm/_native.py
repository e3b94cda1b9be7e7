"""The log posterior as native code, so that a sampler's threads never ask for Python.

It reads a *plan*, an array of integers: sizes, addresses of arrays, and addresses of the priors' kernels, which are C
functions of one signature. A new prior needs no new compilation of the rest, and all of it is cached on disk.
"""

import math
from enum import IntEnum

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from bayesgmm._kernels import BLOCK, fold, jit, long_jit, moments_width

_LOG_2PI = math.log(2 * math.pi)
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
