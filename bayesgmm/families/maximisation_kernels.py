r"""M step of mclust's fourteen families: from a row of sums to weights, means and roots of precisions; compiled.

It computes what ``Family.maximise`` and ``Family.roots`` do, for few columns: its matrix functions are plain loops. The
roots are in the shape of a table, (K, D, D) or (K, D), also where all components share one.
"""

import math
from collections import namedtuple

import numpy as np

from bayesgmm.families.axes_kernels import turn_to_common_axes, turn_to_own_axes
from bayesgmm.families.decomposition_kernels import place_root
from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.layout import Array

EQUAL, VARIABLE, IDENTITY = 0, 1, 2  # letters of a family: E, V, I
SETTLED = 1e-12  # relative change of the volumes at which an iteration has converged
STEPS = 500  # maximum number of steps of such an iteration
TURNS = 3  # rounds of an M step towards common axes: EM only needs that no step lowers the likelihood
ROUNDING = 1e-9  # by which a number of points may fall short
EMPTY = 1e-10  # number of points of an empty component, so that its moments are defined

Rules = namedtuple(
    "Rules", "volume shape orientation added scale floor needed needed_together vanishing singular weight pivots"
)
"""Rules of an M step.

volume, shape, orientation : int
    Letters of the family.
added : float
    Exponent of each covariance in its prior density, twice; zero without a prior.
scale : (D * D,), (D,), (1,) or (0,) float
    Of the prior, one covariance in core shape, flat; (0,) without a prior.
floor : (D,) or (0,) float
    Added to the variances.
needed, needed_together : float
    Minimum number of points of each component, and of all.
vanishing, singular : float
    Minimum of a variance, and of the share of a column's variance that the columns before it leave.
weight : float
    Exponent of each weight in the density that is maximised.
pivots : (B,) float
    Exponents of the diagonal of a root, as differences from their mean.
"""


@jit
def add_up(values: Array) -> float:
    """Return the sum. Numba's own needs its compiler's functions also where compiled code is read."""
    total = 0.0
    for value in values:
        total += value
    return total


@jit
def is_one_for_all(rules: Rules) -> bool:
    """Return True if all components share one covariance."""
    return rules.volume == EQUAL and rules.shape != VARIABLE and rules.orientation != VARIABLE


@jit
def maximise(sums: Array, d: int, rules: Rules, weight: Array, mean: Array, root: Array) -> bool:
    """Overwrite a mixture by that of the M step; return False if it is not regular.

    Parameters
    ----------
    sums : row of sums about the means of the mixture, as ``orchestration.fold_chunks`` writes it
    weight, mean, root : (K,), (K * D,), (K * D * D,) or (K * D,) float
        Of the mixture that made the sums.
    """
    k_all, regularised = weight.size, rules.scale.size + rules.floor.size > 0
    width, n, total = (sums.size - 1) // k_all, np.empty(k_all), 0.0
    for k in range(k_all):
        n[k] = sums[1 + k * width]
        total += n[k]
    if not regularised:
        if not total >= rules.needed_together - ROUNDING:
            return False
        for k in range(k_all):
            if not (n[k] > 0.0 and n[k] >= rules.needed - ROUNDING):
                return False
    for k in range(k_all):
        n[k] = max(n[k], EMPTY * min(1.0, total))
    if rules.orientation == IDENTITY:
        regular = _diagonals(sums, d, rules, n, root)
    else:
        regular = _squares(sums, d, rules, n, root)
    whole = 0.0
    for k in range(k_all):
        at = 1 + k * width
        for i in range(d):
            place = at + 1 + (2 * i if rules.orientation == IDENTITY else i + i * (i + 1) // 2)
            mean[k * d + i] += sums[place] / n[k]
        whole += n[k] + rules.weight
    for k in range(k_all):
        weight[k] = (n[k] + rules.weight) / whole
    return regular


@jit
def _diagonals(sums: Array, d: int, rules: Rules, n: Array, root: Array) -> bool:
    """Write the roots of diagonal covariances."""
    k_all, width = n.size, 1 + 2 * d
    repeats = d if rules.shape == IDENTITY else 1
    variances, power = np.empty((k_all, d)), np.empty(k_all)
    for k in range(k_all):
        power[k] = repeats * n[k]
        for i in range(d):
            at = 2 + k * width + 2 * i
            variances[k, i] = sums[at + 1] - sums[at] * sums[at] / n[k]
    if is_one_for_all(rules):
        for k in range(1, k_all):
            power[0] += power[k]
            for i in range(d):
                variances[0, i] += variances[k, i]
    count = 1 if is_one_for_all(rules) else k_all
    for k in range(count):
        if repeats > 1:
            trace = 0.0
            for i in range(d):
                trace += variances[k, i]
            variances[k, :] = trace
        power[k] += rules.added
        for i in range(d):
            if rules.scale.size:
                variances[k, i] += rules.scale[i % rules.scale.size]
            variances[k, i] /= power[k]
        if rules.floor.size:
            for i in range(d):
                variances[k, i] += add_up(rules.floor) / rules.floor.size if repeats > 1 else rules.floor[i]
    if count > 1 and rules.shape != IDENTITY:
        restrict_spectra(variances, power, rules.volume, rules.shape)
    elif count > 1 and rules.volume == EQUAL:
        restrict_spectra(variances, power, EQUAL, EQUAL)
    for k in range(k_all):
        for i in range(d):
            variance = variances[k % count, i]
            if not variance > rules.vanishing:
                return False
            root[k * d + i] = 1 / math.sqrt(variance)
    return True


@jit
def restrict_spectra(variances: Array, n: Array, volume: int, shape: int) -> None:
    """Restrict variances (K, D) along axes to equal volumes (geometric means), equal shapes, or both."""
    k_all, d = variances.shape
    total = add_up(n)
    if volume == VARIABLE and shape == VARIABLE:
        return
    if volume == VARIABLE:
        _equal_shapes(variances, n / total)
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
        variances[:, i] = pooled


@jit
def _equal_shapes(variances: Array, share: Array) -> None:
    """Make variances (K, D) proportional: volumes and shape in turn, by Sinkhorn's algorithm."""
    k_all, d = variances.shape
    volume, shape = np.empty(k_all), np.empty(d)
    for k in range(k_all):
        volume[k] = add_up(variances[k]) / variances.shape[1]
    for _ in range(STEPS):
        shape[:] = 0.0
        for k in range(k_all):
            factor = share[k] / volume[k]
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
def _squares(sums: Array, d: int, rules: Rules, n: Array, root: Array) -> bool:
    """Write the roots of covariances with correlations."""
    k_all, width, shared = n.size, (d + 1) * (d + 2) // 2, is_one_for_all(rules)
    count = 1 if shared else k_all
    core, power = np.zeros((count, d, d)), np.zeros(count)
    for k in range(k_all):
        m, at = k % count, 1 + k * width
        power[m] += n[k]
        for i in range(d):
            row = at + 1 + i + i * (i + 1) // 2
            for j in range(i + 1):
                other = at + 1 + j + j * (j + 1) // 2
                core[m, i, j] += sums[row + 1 + j] - sums[row] * sums[other] / n[k]
    for m in range(count):
        power[m] += rules.added
        for i in range(d):
            for j in range(i + 1):
                if rules.scale.size:
                    core[m, i, j] += rules.scale[i * d + j]
                core[m, i, j] /= power[m]
                core[m, j, i] = core[m, i, j]
            if rules.floor.size:
                core[m, i, i] += rules.floor[i]
            if not core[m, i, i] > rules.vanishing:
                return False
    if not restricted_roots(core, power, rules, root):
        return False
    for k in range(k_all):
        m = k % count
        if shared and k:
            root[k * d * d : (k + 1) * d * d] = root[: d * d]
        elif rules.pivots.size > 1:
            for i in range(d):
                factor = math.sqrt(1 + rules.pivots[i] / power[m])
                for j in range(i + 1):
                    root[k * d * d + i * d + j] *= factor
    return True


@jit
def restricted_roots(core: Array, n: Array, rules: Rules, root: Array) -> bool:
    """Write the roots of the covariances of the family that are closest to unrestricted ones (M, D, D).

    ``root`` holds roots whose common axes the search for axes starts from, if the family has common axes; ``core`` is
    overwritten. Returns False if a covariance is not regular.
    """
    count, d = core.shape[0], core.shape[1]
    own, shape = rules.orientation == VARIABLE, rules.shape == VARIABLE
    axes = np.empty((d, d))
    if count == 1 or (own and shape and rules.volume == VARIABLE):
        regular = True
        for m in range(count):
            regular &= _root_of(core[m], rules, root[m * d * d : (m + 1) * d * d].reshape((d, d)))
        return regular
    if not own and not shape:
        return _proportional(core, n, rules, root)
    variances, each = np.empty((count, d)), np.empty((count if own else 1, d, d))
    if own:
        for m in range(count):
            turn_to_own_axes(core[m], each[m])
    else:
        _common_axes(root, count, axes)
        each[0] = axes
        for m in range(count):
            _in_axes(core[m], axes)
        turn_to_common_axes(core, n, rules.volume == EQUAL, each[0], TURNS)
    for m in range(count):
        for i in range(d):
            variances[m, i] = core[m, i, i]
            if not variances[m, i] > 0.0:
                return False
    restrict_spectra(variances, n, rules.volume, rules.shape)
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
            if not (variance > rules.vanishing and 1 / to[i, i] ** 2 > rules.singular * variance):
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
        total += math.exp(-m) / trace * precision
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
def _root_of(matrix: Array, rules: Rules, root: Array) -> bool:
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
            elif variance > rules.vanishing and total > rules.singular * variance and total > 0.0:
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


@jit
def _proportional(core: Array, n: Array, rules: Rules, root: Array) -> bool:
    """Write the roots of proportional covariances: volumes and the common matrix in turn."""
    count, d = core.shape[0], core.shape[1]
    volume, share = np.empty(count), n / add_up(n)
    common, inverse = np.empty((d, d)), np.empty((d, d))
    for m in range(count):
        volume[m] = 0.0
        for i in range(d):
            volume[m] += core[m, i, i] / d
    for _ in range(STEPS):
        common[:] = 0.0
        for m in range(count):
            common += share[m] / volume[m] * core[m]
        if not _root_of(common, rules, inverse):
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
