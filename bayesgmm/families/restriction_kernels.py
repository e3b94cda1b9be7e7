"""Covariances restricted to a family: along axes, in common axes, or proportional; compiled, for few columns."""

import math
from typing import Any

import numpy as np

from bayesgmm.families.axes_kernels import turn_to_common_axes, turn_to_own_axes
from bayesgmm.families.decomposition_kernels import place_root
from bayesgmm.late import Late
from bayesgmm.sweep.compilation import callback, jit
from bayesgmm.sweep.layout import Array

pointers = Late("bayesgmm.sweep.pointers")

EQUAL, VARIABLE, IDENTITY = 0, 1, 2  # letters of a family: E, V, I
SETTLED = 1e-12  # relative change of the volumes at which an iteration has converged
STEPS = 500  # maximum number of steps of such an iteration
TURNS = 3  # rounds of an M step towards common axes: EM only needs that no step lowers the likelihood


@jit
def add_up(values: Array) -> float:
    """Return the sum. Numba's own needs its compiler's functions also where compiled code is read."""
    total = 0.0
    for value in values:
        total += value
    return total


@callback("int64(CPointer(int64), CPointer(float64), CPointer(float64), CPointer(float64), CPointer(float64))")
def restrict_covariances(numbers_: Any, core_: Any, n_: Any, limits_: Any, root_: Any) -> Any:
    """Write the roots of restricted covariances, as ``restricted_roots``; return 0 if one is not regular.

    The numbers are M, D, and the letters of the family; the limits are ``vanishing`` and ``singular``.
    """
    count, d, volume, shape, orientation = pointers.carray(numbers_, 5)
    vanishing, singular = pointers.carray(limits_, 2)
    core, n = pointers.carray(core_, (count, d, d)), pointers.carray(n_, count)
    root = pointers.carray(root_, count * d * d)
    if orientation != VARIABLE and shape != VARIABLE:
        return int(_proportional(core, n, vanishing, singular, root))
    return int(_along_axes(core, n, volume, shape, orientation == VARIABLE, vanishing, singular, root))


@callback("int64(CPointer(int64), CPointer(float64), CPointer(float64), CPointer(float64), CPointer(float64))")
def restrict_variances(numbers_: Any, variances_: Any, n_: Any, limits_: Any, root_: Any) -> Any:
    """Restrict variances (K, D) in place; the numbers are K, D, and the letters of volume and shape."""
    count, d, volume, shape, _ = pointers.carray(numbers_, 5)
    restrict_spectra(pointers.carray(variances_, (count, d)), pointers.carray(n_, count), volume, shape)
    return 1


@jit
def _along_axes(
    core: Array, n: Array, volume: int, shape: int, own: bool, vanishing: float, singular: float, root: Array
) -> bool:
    """Write the roots of covariances that are restricted along their own axes, or have common ones."""
    count, d = core.shape[0], core.shape[1]
    variances, each = np.empty((count, d)), np.empty((count if own else 1, d, d))
    if own:
        for m in range(count):
            turn_to_own_axes(core[m], each[m])
    else:
        _common_axes(root, count, each[0])
        for m in range(count):
            _in_axes(core[m], each[0])
        turn_to_common_axes(core, n, volume == EQUAL, each[0], TURNS)
    for m in range(count):
        for i in range(d):
            variances[m, i] = core[m, i, i]
            if not variances[m, i] > 0.0:
                return False
    restrict_spectra(variances, n, volume, shape)
    log_sd, basis = np.empty(d), np.empty((d, d))
    for m in range(count):
        for i in range(d):
            log_sd[i] = 0.5 * math.log(variances[m, i])
        turned, to = each[m % each.shape[0]], root[m * d * d : (m + 1) * d * d].reshape((d, d))
        place_root(log_sd, turned, to, basis)
        for i in range(d):
            variance = 0.0
            for t in range(d):
                variance += variances[m, t] * turned[i, t] ** 2
            if not (variance > vanishing and 1 / to[i, i] ** 2 > singular * variance):
                return False
    return True


@jit
def _common_axes(root: Array, count: int, axes: Array) -> None:
    """Write the axes (D, D) that the precisions of roots have in common: those of a sum with unequal weights."""
    d = axes.shape[0]
    total, precision = np.zeros((d, d)), np.empty((d, d))
    for m in range(count):
        trace = 0.0
        for i in range(d):
            for j in range(i + 1):
                inner = 0.0
                for t in range(i, d):
                    inner += root[m * d * d + t * d + i] * root[m * d * d + t * d + j]
                precision[i, j] = precision[j, i] = inner
            trace += precision[i, i]
        factor = math.exp(-m) / trace
        for i in range(d):
            for j in range(d):
                total[i, j] += factor * precision[i, j]
    turn_to_own_axes(total, axes)


@jit
def _in_axes(matrix: Array, axes: Array) -> None:
    """Replace a symmetric matrix (D, D) by axes' matrix axes."""
    d = matrix.shape[0]
    half = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            total = 0.0
            for t in range(d):
                total += matrix[i, t] * axes[t, j]
            half[i, j] = total
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for t in range(d):
                total += axes[t, i] * half[t, j]
            matrix[i, j] = matrix[j, i] = total


@jit
def _proportional(core: Array, n: Array, vanishing: float, singular: float, root: Array) -> bool:
    """Write the roots of proportional covariances: volumes and the common matrix in turn."""
    count, d = core.shape[0], core.shape[1]
    volume, total = np.empty(count), add_up(n)
    common, inverse = np.empty((d, d)), np.empty((d, d))
    for m in range(count):
        volume[m] = 0.0
        for i in range(d):
            volume[m] += core[m, i, i] / d
    for _ in range(STEPS):
        common[:] = 0.0
        for m in range(count):
            factor = n[m] / total / volume[m]
            for i in range(d):
                for j in range(d):
                    common[i, j] += factor * core[m, i, j]
        if not root_of(common, vanishing, singular, inverse):
            return False
        moved = False
        for m in range(count):
            now = _distance(core[m], inverse) / d
            moved |= abs(now - volume[m]) > SETTLED * now
            volume[m] = now
        if not moved:
            break
    for m in range(count):
        for i in range(d):
            for j in range(d):
                root[m * d * d + i * d + j] = inverse[i, j] / math.sqrt(volume[m])
    return True


@jit
def _distance(matrix: Array, root: Array) -> float:
    """Return the trace of ``root matrix root'``."""
    d, total = matrix.shape[0], 0.0
    for i in range(d):
        for j in range(i + 1):
            inner = 0.0
            for t in range(i + 1):
                inner += matrix[j, t] * root[i, t]
            total += root[i, j] * inner
    return total


@jit
def restrict_spectra(variances: Array, n: Array, volume: int, shape: int) -> None:
    """Restrict variances (K, D) along axes to equal volumes (geometric means), equal shapes, or both."""
    k_all, d = variances.shape
    total = add_up(n)
    if volume == VARIABLE and shape == VARIABLE:
        return
    if volume == VARIABLE:
        _equal_shapes(variances, n, total)
        return
    if shape == VARIABLE:
        volumes, pooled = np.empty(k_all), 0.0
        for k in range(k_all):
            log_volume = 0.0
            for i in range(d):
                log_volume += math.log(max(variances[k, i], 1e-300))
            volumes[k] = math.exp(log_volume / d)
            pooled += n[k] / total * volumes[k]
        for k in range(k_all):
            for i in range(d):
                variances[k, i] *= pooled / volumes[k]
        return
    for i in range(d):
        pooled = 0.0
        for k in range(k_all):
            pooled += n[k] / total * variances[k, i]
        for k in range(k_all):
            variances[k, i] = pooled


@jit
def _equal_shapes(variances: Array, n: Array, total: float) -> None:
    """Make variances (K, D) proportional: volumes and shape in turn, by Sinkhorn's algorithm."""
    k_all, d = variances.shape
    volume, shape = np.empty(k_all), np.empty(d)
    for k in range(k_all):
        volume[k] = add_up(variances[k]) / variances.shape[1]
    for _ in range(STEPS):
        shape[:] = 0.0
        for k in range(k_all):
            factor = n[k] / total / volume[k]
            for i in range(d):
                shape[i] += factor * variances[k, i]
        moved = False
        for k in range(k_all):
            now = 0.0
            for i in range(d):
                now += variances[k, i] / shape[i]
            now /= d
            moved |= abs(now - volume[k]) > SETTLED * now
            volume[k] = now
        if not moved:
            break
    for k in range(k_all):
        for i in range(d):
            variances[k, i] = volume[k] * shape[i]


@jit
def root_of(matrix: Array, vanishing: float, singular: float, root: Array) -> bool:
    """Write the root of a covariance, the inverse of its Cholesky factor; False if it is not regular."""
    d = matrix.shape[0]
    for i in range(d):
        variance = matrix[i, i]
        for j in range(i + 1):
            total = matrix[i, j]
            for t in range(j):
                total -= matrix[i, t] * matrix[j, t]  # the factor replaces the lower triangle
            if j < i:
                matrix[i, j] = total / matrix[j, j]
            elif variance > vanishing and total > singular * variance and total > 0.0:
                matrix[i, i] = math.sqrt(total)
            else:
                return False
    for i in range(d):
        root[i, i] = 1 / matrix[i, i]
        for j in range(i):
            total = 0.0
            for t in range(j, i):
                total -= matrix[i, t] * root[t, j]
            root[i, j], root[j, i] = total * root[i, i], 0.0
    return True
