r"""Transforms from the coordinates of loadings and noise to roots, and of gradients back; compiled.

The coordinates are the loadings, (L, D, q) numbers row by row, and then the logarithms of the noise's precision roots,
:math:`-\tfrac12 \log \psi`, (M, D) or (M,) numbers. L and M are K, or 1 where they are tied.
"""

import math
from collections import namedtuple

import numpy as np

from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.layout import Array

FACTORS = 2  # code of the chart without restrictions; the restrictions are added
TIED_LOADINGS, TIED_NOISE, ISOTROPIC = 1, 2, 4

Layout = namedtuple("Layout", "n_factors loadings noises width first")
"""Layout of the coordinates: q, L, M, numbers of one noise, and where the noise begins."""


@jit
def layout_of(chart: int, n_components: int, n_features: int, size: int) -> Layout:
    """Return the layout of ``size`` coordinates."""
    code = chart - FACTORS
    loadings = 1 if code & TIED_LOADINGS else n_components
    noises = 1 if code & TIED_NOISE else n_components
    width = 1 if code & ISOTROPIC else n_features
    first = size - noises * width
    return Layout(first // (loadings * n_features), loadings, noises, width, first)


@jit
def factor_core(v: Array, n_features: int, layout: Layout, k: int, core: Array, inner: Array) -> float:
    """Write the roots (D, q + 1) of component k to ``core``; return their log determinant.

    ``inner`` (q * q,) becomes the lower Cholesky factor of I + W'W.
    """
    d, q = n_features, layout.n_factors
    loadings_at = (k % layout.loadings) * d * q
    noise_at = layout.first + (k % layout.noises) * layout.width
    value = 0.0
    for a in range(q * q):
        inner[a] = 0.0
    for j in range(d):
        log_precision = v[noise_at + j % layout.width]
        precision, at = math.exp(log_precision), (k * d + j) * (q + 1)
        value += log_precision
        for a in range(q):
            core[at + a] = v[loadings_at + j * q + a] * precision
        core[at + q] = precision
        for a in range(q):
            for b in range(a + 1):
                inner[a * q + b] += core[at + a] * core[at + b]
    for a in range(q):
        inner[a * q + a] += 1.0
        for b in range(a + 1):
            total = inner[a * q + b]
            for c in range(b):
                total -= inner[a * q + c] * inner[b * q + c]
            inner[a * q + b] = math.sqrt(total) if a == b else total / inner[b * q + b]
        value -= math.log(inner[a * q + a])
    return value


@jit
def unpack_factors(v: Array, n_features: int, chart: int, core: Array, root: Array, log_det: Array) -> None:
    """Compute roots from coordinates, as ``unpack_roots``; ``root`` may be empty, where no table is needed.

    The triangular root of a component is the inverse of the Cholesky factor of its covariance.
    """
    d, layout = n_features, layout_of(chart, log_det.size, n_features, v.size)
    q = layout.n_factors
    inner = np.empty(q * q)
    for k in range(log_det.size):
        log_det[k] = factor_core(v, d, layout, k, core, inner)
        if root.size > 0:
            _dense_root(core, k * d * (q + 1), d, q, root, k * d * d)


@jit
def _dense_root(core: Array, at: int, d: int, q: int, root: Array, to: int) -> None:
    """Write the lower-triangular root of (I + W W')^-1, times the precision roots.

    Row by row: what the columns before leave of a column is the solution of a regression on them, of which the factors
    given these columns are all that is needed. With G the covariance of the factors given columns before j, and g = G
    w_j, the variance left is 1 + w_j g.
    """
    given = np.zeros((q, q))  # covariance of the factors, given the columns so far
    expected = np.zeros((q, d))  # their expectations, as linear functions of the columns so far
    gain = np.empty(q)
    for a in range(q):
        given[a, a] = 1.0
    for j in range(d):
        left = 1.0
        for a in range(q):
            gain[a] = 0.0
            for b in range(q):
                gain[a] += given[a, b] * core[at + j * (q + 1) + b]
            left += core[at + j * (q + 1) + a] * gain[a]
        scale = 1.0 / math.sqrt(left)
        for i in range(d):
            root[to + j * d + i] = 0.0
        root[to + j * d + j] = scale
        for i in range(j):
            total = 0.0
            for a in range(q):
                total += core[at + j * (q + 1) + a] * expected[a, i]
            root[to + j * d + i] = -scale * total
        for a in range(q):
            for i in range(j):
                expected[a, i] += gain[a] * scale * root[to + j * d + i]
            expected[a, j] = gain[a] * scale * scale
            for b in range(q):
                given[a, b] -= gain[a] * gain[b] * scale * scale
        for i in range(j + 1):
            root[to + j * d + i] *= core[at + i * (q + 1) + q]


@jit
def pull_back_factors(
    sums: Array, root: Array, v: Array, n_features: int, chart: int, n: Array, grad_mean: Array, grad_v: Array
) -> None:
    """Compute gradients in the means and in the coordinates, as ``pull_back``.

    With P the precision, the gradient in the covariance is A / 2, A = P s2 P - n P: that in the loadings is A Lambda,
    and in the logarithms of the noise's precision roots -diag(A) psi.
    """
    d, layout = n_features, layout_of(chart, n.size, n_features, v.size)
    q, stride = layout.n_factors, sums.size // n.size
    precision, half, slope = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    for k in range(n.size):
        at, square = k * stride, k * d * d
        n[k] = sums[at]
        for i in range(d):
            for j in range(i + 1):
                total = 0.0
                for l in range(i, d):
                    total += root[square + l * d + i] * root[square + l * d + j]
                precision[i, j] = precision[j, i] = total
        for i in range(d):
            for j in range(d):
                total = 0.0
                for l in range(d):
                    low, high = min(l, j), max(l, j)
                    total += precision[i, l] * sums[at + 2 + high + high * (high + 1) // 2 + low]
                half[i, j] = total
            for l in range(d):
                grad_mean[k * d + i] += precision[i, l] * sums[at + 1 + l + l * (l + 1) // 2]
        for i in range(d):
            for j in range(d):
                total = -n[k] * precision[i, j]
                for l in range(d):
                    total += half[i, l] * precision[l, j]
                slope[i, j] = total
        loadings_at = (k % layout.loadings) * d * q
        noise_at = layout.first + (k % layout.noises) * layout.width
        for j in range(d):
            t = noise_at + j % layout.width
            grad_v[t] -= slope[j, j] * math.exp(-2.0 * v[t])
            for a in range(q):
                total = 0.0
                for i in range(d):
                    total += slope[j, i] * v[loadings_at + i * q + a]
                grad_v[loadings_at + j * q + a] += total


@jit
def log_normal_factors(
    v: Array, core: Array, chart: int, k: int, away: Array, strength: float, grad: Array, at: int, grad_v: Array
) -> float:
    """Log density of ``away`` (D,) ~ Normal(0, covariance of component k / strength), up to a constant.

    It adds the gradient in ``away`` to ``grad[at:]``, and that in the coordinates to ``grad_v``. As in
    ``pull_back_factors``, with A = strength P away away' P - P.
    """
    d = away.size
    layout = layout_of(chart, grad.size // d, d, v.size)
    q = layout.n_factors
    inner, z, b, solved = np.empty(q * q), np.zeros(q), np.empty((d, q)), np.empty(d)
    value = factor_core(v, d, layout, k, core, inner)
    for j in range(d):  # projection W (I + W'W)^-1, and the expected factors
        root = (k * d + j) * (q + 1)
        for a in range(q):
            b[j, a] = core[root + a]
            for c in range(a):
                b[j, a] -= inner[a * q + c] * b[j, c]
            b[j, a] /= inner[a * q + a]
        for a in range(q - 1, -1, -1):
            for c in range(a + 1, q):
                b[j, a] -= inner[c * q + a] * b[j, c]
            b[j, a] /= inner[a * q + a]
            z[a] += b[j, a] * core[root + q] * away[j]
    along = np.zeros(q)  # loadings' P away
    loadings_at, noise_at = (k % layout.loadings) * d * q, layout.first + (k % layout.noises) * layout.width
    for j in range(d):
        root = (k * d + j) * (q + 1)
        left = core[root + q] * away[j]
        for a in range(q):
            left -= core[root + a] * z[a]
        solved[j] = core[root + q] * left
        value -= 0.5 * strength * solved[j] * away[j]
        grad[at + j] -= strength * solved[j]
        for a in range(q):
            along[a] += solved[j] * v[loadings_at + j * q + a]
    for j in range(d):
        root, t = (k * d + j) * (q + 1), noise_at + j % layout.width
        own = 1.0
        for a in range(q):
            own -= core[root + a] * b[j, a]
            grad_v[loadings_at + j * q + a] += strength * solved[j] * along[a] - core[root + q] * b[j, a]
        grad_v[t] += own - strength * (solved[j] / core[root + q]) ** 2
    return value
