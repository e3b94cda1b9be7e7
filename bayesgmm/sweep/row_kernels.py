"""The sweep over rows of data, and small matrix functions, compiled: the code of the PyTensor Ops.

They hold no lock and start no threads.
"""

import math
from typing import Any

import numba as nb
import numpy as np

from bayesgmm.sweep.coordinate_kernels import pull_back_triangles
from bayesgmm.sweep.kernels import BLOCK, moments_width
from bayesgmm.sweep.orchestration import NativePoints, NativeTable, count_blocks, fold_points, log_densities

_LOG_2PI = math.log(2 * math.pi)
_CHUNK = 64  # blocks that are laid out at a time: they fit into the second-level cache

# Not numba's disk cache, which would ignore a change in the files above: PyTensor's cache has their hash.
_jit = nb.njit(error_model="numpy", nogil=True)


@_jit
def _check_shapes(x: Any, row_weight: Any, log_weight: Any, mean: Any, root: Any) -> Any:
    """Check that shapes agree, because the functions below read without checking."""
    k, d = mean.shape
    if x.shape[1] != d or root.shape != (k, d, d):
        raise ValueError("points, means and covariances have different numbers of features or components")
    if log_weight.size != k or row_weight.size != x.shape[0]:
        raise ValueError("weights have another length than points or components")


@_jit
def _table(log_weight: Any, mean: Any, root: Any) -> Any:
    """Return the table of a mixture, and whether it is a density."""
    n_components, n_features = mean.shape
    offset = np.empty(n_components)
    flat_mean, flat_root = np.empty(n_components * n_features), np.empty(n_components * n_features * n_features)
    checked = 0.0
    proper = True
    for k in range(n_components):
        offset[k] = log_weight[k] - 0.5 * n_features * _LOG_2PI
        proper &= log_weight[k] < math.inf
        for i in range(n_features):
            flat_mean[k * n_features + i] = mean[k, i]
            checked += 0.0 * mean[k, i]
            for j in range(n_features):
                p = root[k, i, j] if j <= i else 0.0
                flat_root[(k * n_features + i) * n_features + j] = p
                checked += 0.0 * p
            proper &= root[k, i, i] > 0.0
            offset[k] += math.log(root[k, i, i])
    proper &= checked == 0.0  # infinity or NaN times zero is NaN
    return NativeTable(offset, flat_mean, flat_root, n_components), proper


@_jit
def _lay_out(x: Any, d: Any, row_weight: Any, start: Any, blocks: Any, weights: Any) -> Any:
    """Lay out rows from ``start`` in blocks, as many as fit; return these points.

    ``Blocks.from_rows`` does this in NumPy: a shared compiled function is not slower, but takes 0.5 s to compile at the
    first fit on a machine.
    """
    n = row_weight.size
    n_blocks = min(_CHUNK, -(-(n - start) // BLOCK))
    for b in range(n_blocks):
        first = start + b * BLOCK
        size = min(BLOCK, n - first)
        for j in range(d):
            at = (b * d + j) * BLOCK
            for p in range(size):
                blocks[at + p] = x[(first + p) * d + j]
            for p in range(size, BLOCK):
                blocks[at + p] = 0.0
    size = min(n_blocks * BLOCK, n - start)
    weights[:size] = row_weight[start : start + size]
    weights[size:] = 0.0
    x_, weight = blocks[: n_blocks * d * BLOCK], weights[: n_blocks * BLOCK]
    return NativePoints(x_, weight, np.empty(0), np.empty(0, dtype=np.int64), np.empty(0), size, d)


@_jit
def fold_rows(x: Any, row_weight: Any, log_weight: Any, mean: Any, root: Any) -> Any:
    """Compute the weighted log likelihood of rows and its gradients; -inf and zeros if the parameters are not valid."""
    k, d = mean.shape
    _check_shapes(x, row_weight, log_weight, mean, root)
    n, d_mean, d_root, d_packed = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d)), np.zeros(k * d * (d + 1) // 2)
    table, proper = _table(log_weight, mean, root)
    if not proper:
        return np.array(-np.inf), n, d_mean, d_root
    blocks, weights = np.empty(_CHUNK * BLOCK * d), np.empty(_CHUNK * BLOCK)
    sums = np.zeros(1 + k * moments_width(d, False))
    rows = np.ascontiguousarray(x).reshape(-1)
    for start in range(0, x.shape[0], _CHUNK * BLOCK):
        sums += fold_points(_lay_out(rows, d, row_weight, start, blocks, weights), table)
    pull_back_triangles(sums[1:], table.root, d, n.size, n, d_mean.reshape(-1), d_packed)
    t = 0
    for c in range(k):
        for i in range(d):
            for j in range(i + 1):
                d_root[c, i, j] = d_packed[t]
                t += 1
            d_root[c, i, i] /= root[c, i, i]
    return np.array(sums[0]), n, d_mean, d_root


@_jit
def score_rows(x: Any, log_weight: Any, mean: Any, root: Any) -> Any:
    """Compute the log density of each row."""
    d = mean.shape[1]
    result = np.full(x.shape[0], -np.inf)
    _check_shapes(x, result, log_weight, mean, root)
    table, proper = _table(log_weight, mean, root)
    if not proper:
        return result
    blocks, weights = np.empty(_CHUNK * BLOCK * d), np.empty(_CHUNK * BLOCK)
    out = np.empty(_CHUNK * BLOCK)
    rows = np.ascontiguousarray(x).reshape(-1)
    for start in range(0, x.shape[0], _CHUNK * BLOCK):
        points = _lay_out(rows, d, result, start, blocks, weights)
        log_densities(points, table, 0, count_blocks(points), out)
        result[start : start + points.n_points] = out[: points.n_points]
    return result


@_jit
def _invert_root(root: Any, inverse: Any) -> Any:
    """Compute the inverse of a lower-triangular matrix."""
    d = root.shape[0]
    for j in range(d):
        for i in range(j):
            inverse[i, j] = 0.0
        inverse[j, j] = 1.0 / root[j, j]
        for i in range(j + 1, d):
            total = 0.0
            for l in range(j, i):
                total += root[i, l] * inverse[l, j]
            inverse[i, j] = -total / root[i, i]


@_jit
def precision_roots(cov: Any) -> Any:
    """Compute Cholesky factors of the symmetric parts, then their inverses; NaN where that fails."""
    k, d = cov.shape[0], cov.shape[1]
    roots, chol = np.empty((k, d, d)), np.zeros((d, d))
    for c in range(k):
        proper = True
        for i in range(d):
            for j in range(i + 1):
                total = 0.5 * (cov[c, i, j] + cov[c, j, i])
                for l in range(j):
                    total -= chol[i, l] * chol[j, l]
                if i == j:
                    proper &= total > 0.0
                    chol[i, i] = math.sqrt(total) if total > 0.0 else math.nan
                else:
                    chol[i, j] = total / chol[j, j]
        _invert_root(chol, roots[c])
        if not proper:
            roots[c] = math.nan
    return roots


@_jit
def covariances_of_roots(root: Any) -> Any:
    """Compute the inverse of P'P."""
    k, d = root.shape[0], root.shape[1]
    cov, chol = np.empty((k, d, d)), np.empty((d, d))
    for c in range(k):
        _invert_root(root[c], chol)
        for i in range(d):
            for j in range(i + 1):
                total = 0.0
                for l in range(j + 1):
                    total += chol[i, l] * chol[j, l]
                cov[c, i, j] = cov[c, j, i] = total
    return cov


@_jit
def pull_back_precision_roots(root: Any, cotangent: Any) -> Any:
    """Compute the gradient by dP = -Φ(P dS P') P, where Φ is the lower triangle with half its diagonal."""
    k, d = root.shape[0], root.shape[1]
    out, inner, half = np.empty((k, d, d)), np.empty((d, d)), np.empty((d, d))
    for c in range(k):
        p, g = root[c], cotangent[c]
        for i in range(d):
            for j in range(i + 1):
                total = 0.0
                for l in range(j + 1):
                    total += g[i, l] * p[j, l]
                inner[i, j] = total if j < i else 0.5 * total
        for i in range(d):
            for j in range(d):
                half[i, j] = 0.0
                for l in range(j, i + 1):
                    half[i, j] += inner[i, l] * p[l, j]
        for i in range(d):
            for j in range(d):
                total = 0.0
                for l in range(d):
                    total += p[l, i] * half[l, j]
                inner[i, j] = total
        for i in range(d):
            for j in range(d):
                out[c, i, j] = -0.5 * (inner[i, j] + inner[j, i])
    return out


@_jit
def unpack_roots(packed: Any, scale: Any) -> Any:
    """Convert rows of lower triangles with logarithms on the diagonal to roots, with columns divided by ``scale``."""
    k, d = packed.shape[0], scale.size
    root = np.zeros((k, d, d))
    for c in range(k):
        t = 0
        for i in range(d):
            for j in range(i + 1):
                root[c, i, j] = (math.exp(packed[c, t]) if i == j else packed[c, t]) / scale[j]
                t += 1
    return root


@_jit
def pull_back_unpacked(packed: Any, scale: Any, root: Any, cotangent: Any) -> Any:
    """Convert a cotangent of the roots to one of the coordinates."""
    k, d = packed.shape[0], scale.size
    out = np.empty(packed.shape)
    for c in range(k):
        t = 0
        for i in range(d):
            for j in range(i + 1):
                out[c, t] = cotangent[c, i, j] * (root[c, i, i] if i == j else 1.0 / scale[j])
                t += 1
    return out
