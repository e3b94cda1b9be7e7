r"""M step of mclust's fourteen families: from a row of sums to weights, means and roots of precisions; compiled.

It computes what ``Family.maximise`` and ``Family.roots`` do, for few columns: its matrix functions are plain loops. The
roots are in the shape of a table, (K, D, D) or (K, D), also where all components share one.
"""

import math
from collections import namedtuple

import numpy as np

from bayesgmm.families.restriction_kernels import EQUAL, IDENTITY, VARIABLE, add_up, root_of
from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.layout import Array
from bayesgmm.sweep.layout_kernels import copy_to

pointers = Late("bayesgmm.sweep.pointers")

ROUNDING = 1e-9  # by which a number of points may fall short
EMPTY = 1e-10  # number of points of an empty component, so that its moments are defined

Rules = namedtuple(
    "Rules",
    "volume shape orientation added scale floor needed needed_together vanishing singular weight pivots restricting",
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
restricting : int
    Address of ``restrict_covariances`` or, of diagonal ones, ``restrict_variances``, which few structures need: they
    are compiled for these alone. 0 for others.
"""


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
            for i in range(d):
                variances[k, i] = trace
        power[k] += rules.added
        for i in range(d):
            if rules.scale.size:
                variances[k, i] += rules.scale[i % rules.scale.size]
            variances[k, i] /= power[k]
        if rules.floor.size:
            for i in range(d):
                variances[k, i] += add_up(rules.floor) / rules.floor.size if repeats > 1 else rules.floor[i]
    if count > 1:
        restricted_variances(variances, power, rules)
    for k in range(k_all):
        for i in range(d):
            variance = variances[k % count, i]
            if not variance > rules.vanishing:
                return False
            root[k * d + i] = 1 / math.sqrt(variance)
    return True


@jit
def restricted_variances(variances: Array, n: Array, rules: Rules) -> None:
    """Replace variances (K, D) by those of the family that are closest."""
    if rules.restricting == 0:
        return
    numbers, limits = np.empty(5, np.int64), np.empty(0)
    numbers[0], numbers[1] = variances.shape
    numbers[2], numbers[3] = rules.volume, rules.shape
    pointers.call_on_arrays(rules.restricting, numbers, variances, n, limits, limits)


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
            copy_to(root[: d * d], root[k * d * d :])
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
    if count == 1 or rules.restricting == 0:
        regular = True
        for m in range(count):
            to = root[m * d * d : (m + 1) * d * d].reshape((d, d))
            regular &= root_of(core[m], rules.vanishing, rules.singular, to)
        return regular
    numbers, limits = np.empty(5, np.int64), np.empty(2)
    numbers[0], numbers[1], numbers[2], numbers[3] = count, d, rules.volume, rules.shape
    numbers[4] = rules.orientation
    limits[0], limits[1] = rules.vanishing, rules.singular
    return pointers.call_on_arrays(rules.restricting, numbers, core, n, limits, root) != 0
