"""Transforms from the coordinates of a chart to roots, and of gradients back to coordinates; compiled.

``chart`` is a chart's code. ``n_cores`` is the number of different roots: one for each component, or one for all.
"""

import math

from bayesgmm.families.factor_chart_kernels import FACTORS, pull_back_factors, unpack_factors
from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.coordinate_kernels import pull_back_triangles
from bayesgmm.sweep.layout import Array

TRIANGLES, LOGARITHMS = 0, 1  # codes of the charts


@jit
def unpack_roots(v: Array, n_features: int, chart: int, n_cores: int, core: Array, root: Array, log_det: Array) -> None:
    """Compute roots from coordinates ``v``.

    It writes the family's roots ``core``, flat; ``root``, the roots of all components in the form of a table; and
    their log determinants ``log_det`` (K,).
    """
    if chart >= FACTORS:
        unpack_factors(v, n_features, chart, core, root, log_det)
    else:
        unpack_plain(v, n_features, chart, n_cores, core, root, log_det)


@jit
def unpack_plain(v: Array, n_features: int, chart: int, n_cores: int, core: Array, root: Array, log_det: Array) -> None:
    """Do the same for the charts that are not of factor analysers."""
    if chart == LOGARITHMS:
        _unpack_logarithms(v, n_features, n_cores, core, root, log_det)
    else:
        _unpack_triangles(v, n_features, n_cores, core, root, log_det)


@jit
def pull_back(
    sums: Array,
    root: Array,
    v: Array,
    n_features: int,
    chart: int,
    n_cores: int,
    n: Array,
    grad_mean: Array,
    grad_v: Array,
) -> None:
    """Compute gradients in the means and in the coordinates ``v``, from a row of ``fold`` without its first number.

    It writes the counts ``n`` (K,), and adds to the gradients.
    """
    if chart >= FACTORS:
        pull_back_factors(sums, root, v, n_features, chart, n, grad_mean, grad_v)
    else:
        pull_back_plain(sums, root, n_features, chart, n_cores, n, grad_mean, grad_v)


@jit
def pull_back_plain(
    sums: Array, root: Array, n_features: int, chart: int, n_cores: int, n: Array, grad_mean: Array, grad_v: Array
) -> None:
    """Do the same for the charts that are not of factor analysers: ``v`` is not needed."""
    if chart == LOGARITHMS:
        _pull_back_logarithms(sums, root, n_features, n_cores, n, grad_mean, grad_v)
    else:
        pull_back_triangles(sums, root, n_features, n_cores, n, grad_mean, grad_v)


@jit
def _unpack_logarithms(v: Array, n_features: int, n_cores: int, core: Array, root: Array, log_det: Array) -> None:
    width = v.size // n_cores  # numbers of one root: one per feature, or one for all
    for t in range(v.size):
        core[t] = math.exp(v[t])
    for k in range(log_det.size):
        log_det[k] = 0.0
        for j in range(n_features):
            t = (k % n_cores) * width + j % width
            root[k * n_features + j] = core[t]
            log_det[k] += v[t]


@jit
def _unpack_triangles(v: Array, n_features: int, n_cores: int, core: Array, root: Array, log_det: Array) -> None:
    """Unpack roots from row-major lower triangles with the logarithms of their diagonals."""
    square = n_features * n_features
    t = 0
    for m in range(n_cores):
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
    for k in range(log_det.size):
        m = k % n_cores
        log_det[k] = log_det[m]
        for t in range(square):
            root[k * square + t] = core[m * square + t]


@jit
def _pull_back_logarithms(
    sums: Array, root: Array, n_features: int, n_cores: int, n: Array, grad_mean: Array, grad_v: Array
) -> None:
    stride = sums.size // n.size
    width = grad_v.size // n_cores
    for k in range(n.size):
        at = k * stride
        n[k] = sums[at]
        at += 1
        for j in range(n_features):
            p2 = root[k * n_features + j] ** 2
            grad_mean[k * n_features + j] += p2 * sums[at]
            grad_v[(k % n_cores) * width + j % width] += n[k] - p2 * sums[at + 1]
            at += 2
