"""Native log densities of the priors of the covariances.

They read ``core``, the family's own roots, and are densities of the coordinates of the roots: the lower triangle row by
row, with logarithms on its diagonal.
"""

import math

import numpy as np

from bayesgmm.families.chart_kernels import LOGARITHMS
from bayesgmm.families.decomposition_kernels import place_log_sds, pull_back_log_sds, turn_of
from bayesgmm.families.rotation_kernels import uniform_rotation
from bayesgmm.priors.native_calls import Arguments, arguments, prior_density
from bayesgmm.priors.scalars import ENTRIES, log_density
from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.stats import Array

_LOG_2 = math.log(2)


@jit
def _diagonal_wishart(p: Arguments, dof: float, scale: Array) -> float:
    """Compute the log density of independent Gamma precisions."""
    value = p.params[1] * (p.core.size // scale.size)
    for t in range(p.core.size):
        j = t % scale.size
        half = 0.5 * p.core[t] ** 2 * scale[j]
        value += dof * math.log(p.core[t]) - half
        p.grad_core[t] += dof - 2 * half
        if p.extra.size:
            value += 0.5 * dof * p.extra[j]
            p.grad_extra[j] += 0.5 * dof - half
    return value


@jit
def _full_wishart(p: Arguments, dof: float, scale: Array) -> float:
    """Compute the log density of Wishart precisions, row by row of every root."""
    d, value, t = p.n_features, 0.0, 0
    for m in range(p.core.size // (d * d)):
        value += p.params[1]
        for i in range(d):
            row = m * d * d + i * d
            power = dof - d + i + 1
            value += power * math.log(p.core[row + i])
            for j in range(i + 1):
                product = 0.0
                for l in range(i + 1):
                    product += p.core[row + l] * scale[l * d + j]
                half = 0.5 * product * p.core[row + j]
                value -= half
                p.grad_core[t] -= product * (p.core[row + i] if j == i else 1.0)
                if p.extra.size:
                    p.grad_extra[j] -= half
                t += 1
            p.grad_core[t - 1] += power
            if p.extra.size:
                value += 0.5 * dof * p.extra[i]
                p.grad_extra[i] += 0.5 * dof
    return value


@prior_density
def wishart_density(call: object) -> float:
    """Compute the log density of Wishart precisions: in these coordinates, that of Bartlett's decomposition.

    It is sum_i (dof - D + i) log p_ii - tr(scale P'P) / 2. Of a family by volume, shape and orientation, it is the
    density of covariances, as a function of the coordinates: only its mode is used. params: dof, the constant of one
    component, then the scale (a matrix, or its diagonal); or, for a diagonal scale that is learned, its units and its
    priors.
    """
    p = arguments(call)
    d, dof, width = p.n_features, p.params[0], p.extra.size
    value = 0.0
    scale = p.params[2:]
    if width:
        scale = np.zeros(width if p.chart == LOGARITHMS else d * d)
        for j in range(width):
            scale[j if p.chart == LOGARITHMS else j * d + j] = math.exp(p.extra[j])
            log_prior, slope = log_density(p.params, 2 + width + j * ENTRIES, p.extra[j] + math.log(p.params[2 + j]))
            value += log_prior
            p.grad_extra[j] += slope
    if p.parts.volumes:
        value += _of_covariances(p)
    if p.chart == LOGARITHMS:
        return value + _diagonal_wishart(p, dof, scale)
    return value + _full_wishart(p, dof, scale)


@jit
def _of_covariances(p: Arguments) -> float:
    """Compute the log volume of the roots' coordinates by covariances, and add its gradient.

    With it a density of these coordinates becomes one of covariances, as for the mode under the restrictions of a
    family.
    """
    d, value = p.n_features, 0.0
    if p.chart == LOGARITHMS:
        for t in range(p.core.size):
            value += 2 * math.log(p.core[t]) - _LOG_2
            p.grad_core[t] += 2
        return value
    t = 0
    for m in range(p.core.size // (d * d)):
        for i in range(d):
            t += i
            value += (2 * d - i) * math.log(p.core[m * d * d + i * d + i]) - _LOG_2
            p.grad_core[t] += 2 * d - i
            t += 1
    return value


@jit
def invert_lower(root: Array, inverse: Array) -> None:
    """Write the inverse (D, D) of a lower-triangular matrix, given as a flat array, to ``inverse``."""
    d = inverse.shape[0]
    for j in range(d):
        for i in range(d):
            inverse[i, j] = 0.0
        inverse[j, j] = 1 / root[j * d + j]
        for i in range(j + 1, d):
            total = 0.0
            for l in range(j, i):
                total += root[i * d + l] * inverse[l, j]
            inverse[i, j] = -total / root[i * d + i]


@jit
def _add_sd_gradient(p: Arguments, root: Array, chol: Array, slopes: Array, power: float, t: int) -> int:
    """Add the gradient of one component: d log sd_i / d p_ab = -chol_ia cov_ib / sd_i^2, times ``slopes``.

    ``power`` plus the row is the power of a diagonal entry of the root. Returns the position of the next component.
    """
    d = p.n_features
    for a in range(d):
        for b in range(a + 1):
            grad = 0.0
            for i in range(a, d):
                covariance = 0.0
                for l in range(min(i, b) + 1):
                    covariance += chol[i, l] * chol[b, l]
                grad -= slopes[i] * chol[i, a] * covariance
            if a == b:
                grad = grad * root[a * d + a] + a + power
            p.grad_core[t] += grad
            t += 1
    return t


@prior_density
def lkj_density(call: object) -> float:
    """Compute the log density of LKJ correlations and standard deviations.

    params: eta, constant, units, priors of the standard deviations.
    """
    p = arguments(call)
    d, eta = p.n_features, p.params[0]
    value = 0.0
    if p.chart == LOGARITHMS:
        width = (p.params.size - 2) // (1 + ENTRIES)
        for t in range(p.core.size):
            j = t % width
            log_sd = math.log(p.params[2 + j]) - math.log(p.core[t])
            log_prior, slope = log_density(p.params, 2 + width + j * ENTRIES, log_sd)
            value += log_prior
            p.grad_core[t] -= slope
        return value
    chol, sd2, slopes = np.empty((d, d)), np.empty(d), np.empty(d)
    power = 2.0 - 2 * (d + 1) - 2 * (eta - 1)  # of the root's diagonal entries, with their row added
    t = 0
    for m in range(p.core.size // (d * d)):
        root = p.core[m * d * d : (m + 1) * d * d]
        invert_lower(root, chol)
        value += p.params[1]
        for i in range(d):
            sd2[i] = 0.0
            for l in range(i + 1):
                sd2[i] += chol[i, l] ** 2
            log_sd = 0.5 * math.log(sd2[i])
            log_root = math.log(root[i * d + i])
            log_prior, slope = log_density(p.params, 2 + d + i * ENTRIES, log_sd + math.log(p.params[2 + i]))
            # (eta - 1) log |R|; from log sd and R to the covariance; from there to the roots' coordinates
            value += log_prior - (d + 1 + 2 * (eta - 1)) * log_sd
            value += (i + power) * log_root
            slopes[i] = (slope - (d + 1 + 2 * (eta - 1))) / sd2[i]
        t = _add_sd_gradient(p, root, chol, slopes, power, t)
    return value


@jit
def _shape_density(log_sd: Array, centre: float, scale: float, ordered: bool, grad: Array) -> float:
    """Return the log density of logarithms of standard deviations about their mean; write its gradient (D,).

    Those that are ordered repel each other.
    """
    value = 0.0
    for i in range(log_sd.size):
        z = (log_sd[i] - centre) / scale
        value -= 0.5 * z * z
        grad[i] = -z / scale
        for j in range(i if ordered else 0):
            apart = log_sd[j] - log_sd[i]
            value += math.log(apart)
            grad[j] += 1 / apart
            grad[i] -= 1 / apart
    return value


@prior_density
def decomposed_density(call: object) -> float:
    """Compute the log density of volumes, shapes and uniform orientations.

    params: scale of shapes, constants of a shape and of an orientation, unit, prior of the geometric mean of standard
    deviations along the axes.
    """
    p = arguments(call)
    d, parts, v, grad, value = p.n_features, p.parts, p.coordinates, p.grad_coordinates, 0.0
    for t in range(parts.volumes):
        log_prior, slope = log_density(p.params, 4, v[t] + math.log(p.params[3]))
        value += log_prior
        grad[t] += slope
    log_sd, slopes = np.empty(d), np.empty(d)
    for m in range(parts.shapes):
        place_log_sds(v, parts, m, log_sd)
        value += p.params[1] + _shape_density(log_sd, v[m % parts.volumes], p.params[0], parts.ordered != 0, slopes)
        pull_back_log_sds(v, parts, m, slopes, grad)
        if parts.ordered:  # from differences to their logarithms
            for t in range(parts.volumes + m * (d - 1), parts.volumes + (m + 1) * (d - 1)):
                value += v[t]
                grad[t] += 1
    for m in range(parts.orientations):
        first, last = turn_of(v, d, parts, m)
        value += p.params[2] + uniform_rotation(v[first:last], d, grad[first:last])
    return value
