r"""Marginal likelihood of a cluster, compiled.

It is known where the prior of the means is conjugate. Otherwise it is estimated: the likelihood given the mean, times
the prior density of the mean, divided by the density of a Student distribution close to its posterior, from which means
of new clusters are drawn.

``pair`` is the memory of ``pair_kernels``; sums of moments are those of ``sweep``, about a reference mean.
"""

import math
from collections import namedtuple

from bayesgmm.families.chart_kernels import LOGARITHMS
from bayesgmm.inference.draw_kernels import factorise, log_gamma, normal
from bayesgmm.inference.gibbs_kernels import location_of
from bayesgmm.inference.gibbs_state_kernels import CONJUGATE, Law
from bayesgmm.inference.pair_kernels import Pair
from bayesgmm.sweep.compilation import plain_jit
from bayesgmm.sweep.layout import Array, IntArray

FIT_STEPS = 2  # for the Student distribution of a mean
_TINY = 1e-10  # points: a component of a launch state may lose all

Given = namedtuple("Given", "law q means_at scales_at")
"""Priors of means and precisions, with the coordinates and the places in them of their hyperparameters."""


@plain_jit
def row_of(law: Law, at: int, i: int) -> int:
    """Place of the sum of column i in the sums at ``at``; those of squares or products follow."""
    return at + 1 + (2 * i if law.chart == LOGARITHMS else i + i * (i + 1) // 2)


@plain_jit
def prior_scale(given: Given, i: int, j: int) -> float:
    """Entry of the scale of the Wishart prior; full covariances."""
    law = given.law
    if law.scale_extra > 0:
        return math.exp(given.q[given.scales_at + i]) if i == j else 0.0
    return law.covariances_params[2 + i * law.n_features + j]


@plain_jit
def prior_rate(given: Given, w: int) -> float:
    """Rate of the prior of the precision of a group of columns; diagonal covariances."""
    law = given.law
    return math.exp(given.q[given.scales_at + w]) if law.scale_extra > 0 else law.covariances_params[2 + w]


@plain_jit
def fill_scatter(given: Given, sums: Array, at: int, mean: Array, mean_at: int, shift: Array, out: Array) -> float:
    """Write the sums of squares about a shifted mean, and the prior's scale, and factorise; return the log det."""
    law = given.law
    d, strength = law.n_features, law.means_params[law.n_features] if law.means_kind == CONJUGATE else 0.0
    for i in range(d):
        row, a = row_of(law, at, i), shift[i]
        away = a + mean[mean_at + i] - law.means_params[i]
        for j in range(i + 1):
            b, t = shift[j], sums[row_of(law, at, j)]
            value = prior_scale(given, i, j) + sums[row + 1 + j] - sums[row] * b - a * t + sums[at] * a * b
            out[i * d + j] = value + strength * away * (b + mean[mean_at + j] - law.means_params[j])
    factorise(out, d)
    return _log_det(out, d)


@plain_jit
def _log_det(chol: Array, d: int) -> float:
    """Log determinant of a matrix with this Cholesky factor."""
    value = 0.0
    for i in range(d):
        value += 2.0 * math.log(chol[i * d + i])
    return value


@plain_jit
def rate_of(given: Given, sums: Array, at: int, mean: Array, mean_at: int, shift: Array, w: int) -> float:
    """Sum of squares of a group of columns about a shifted mean, and the prior's scale; diagonal covariances."""
    law = given.law
    d, width = law.n_features, core_width(law)
    strength = law.means_params[d] if law.means_kind == CONJUGATE else 0.0
    value = prior_rate(given, w)
    for j in range(w, d, width):
        row, a = row_of(law, at, j), shift[j]
        away = a + mean[mean_at + j] - law.means_params[j]
        value += sums[row + 1] - 2.0 * a * sums[row] + sums[at] * a * a + strength * away * away
    return value


@plain_jit
def core_width(law: Law) -> int:
    """Number of different diagonal entries of a root: the number of features, or 1 for spherical covariances."""
    if law.scale_extra > 0:
        return law.scale_extra
    return min(law.covariances_params.size - 2, law.n_features)


@plain_jit
def typical_root(
    given: Given, sums: Array, at: int, mean: Array, mean_at: int, pair: Pair, root: Array, root_at: int
) -> float:
    """Write the root of a typical precision of a cluster, about ``pair.shift``; return its log determinant."""
    law, shift = given.law, pair.shift
    d, n = law.n_features, sums[at]
    if law.chart == LOGARITHMS:
        width, log_det = core_width(law), 0.0
        size = d // width
        for w in range(width):
            rate = rate_of(given, sums, at, mean, mean_at, shift, w)
            typical = (law.covariances_params[0] + (max(n, 1.0) - 1.0) * size) / rate
            log_det += 0.5 * size * math.log(typical)
            for j in range(w, d, width):
                root[root_at + j] = math.sqrt(typical)
        return log_det
    scale = math.sqrt(law.covariances_params[0] + max(n, 1.0) - d)
    log_det = -0.5 * fill_scatter(given, sums, at, mean, mean_at, shift, pair.scatter)
    _invert(pair.scatter, d, scale, root, root_at)
    return log_det + d * math.log(scale)


@plain_jit
def squared_length(law: Law, root: Array, y: Array) -> float:
    """Squared length of the product of a root, the first of these, and y (D,): a squared Mahalanobis distance."""
    d, diagonal, value = law.n_features, law.chart == LOGARITHMS, 0.0
    for i in range(d):
        total = 0.0
        for j in range(i if diagonal else 0, i + 1):
            total += root[i if diagonal else i * d + j] * y[j]
        value += total * total
    return value


@plain_jit
def centre_on_points(given: Given, sums: Array, at: int, mean: Array, mean_at: int, shift: Array) -> None:
    """Write the shift to the mean of a cluster's points; for conjugate means, to the centre of the posterior."""
    law, n = given.law, sums[at]
    strength = law.means_params[law.n_features] if law.means_kind == CONJUGATE else 0.0
    for i in range(law.n_features):
        prior = strength * (law.means_params[i] - mean[mean_at + i]) if strength > 0.0 else 0.0
        shift[i] = (sums[row_of(law, at, i)] + prior) / max(n + strength, _TINY)


@plain_jit
def approximate(given: Given, sums: Array, at: int, mean: Array, mean_at: int, pair: Pair) -> None:
    """Approximate the posterior of a mean given the sums of a cluster.

    It writes ``pair.shift`` and ``pair.precision``, the centre and the precision of the mean (its Cholesky factor, or
    its diagonal), and the root of a typical precision of the points, the table's first.
    """
    law, root = given.law, pair.table.root
    centre_on_points(given, sums, at, mean, mean_at, pair.shift)
    for _ in range(1 if law.means_kind == CONJUGATE else FIT_STEPS):
        typical_root(given, sums, at, mean, mean_at, pair, root, 0)
        if law.means_kind != CONJUGATE:
            if law.chart == LOGARITHMS:
                _centre_columns(given, sums, at, mean, mean_at, pair, root)
            else:
                _centre(given, sums, at, mean, mean_at, pair, root)


@plain_jit
def _centre_columns(given: Given, sums: Array, at: int, mean: Array, mean_at: int, pair: Pair, root: Array) -> None:
    """Write centre and precision of a mean given the root of the precision of its points; diagonal covariances."""
    law, shift = given.law, pair.shift
    for j in range(law.n_features):
        location, weight = location_of(law, given.q, given.means_at, j)
        typical = root[j] * root[j]
        pair.precision[j] = sums[at] * typical + weight
        shift[j] = typical * sums[row_of(law, at, j)] + weight * (location - mean[mean_at + j])
        shift[j] /= pair.precision[j]


@plain_jit
def _invert(chol: Array, d: int, scale: float, root: Array, root_at: int) -> None:
    """Write ``scale`` times the inverse of a lower triangle."""
    for i in range(d):
        for j in range(d):
            root[root_at + i * d + j] = 0.0
        for j in range(i + 1):
            total = scale if i == j else 0.0
            for l in range(j, i):
                total -= chol[i * d + l] * root[root_at + l * d + j]
            root[root_at + i * d + j] = total / chol[i * d + i]


@plain_jit
def _centre(given: Given, sums: Array, at: int, mean: Array, mean_at: int, pair: Pair, root: Array) -> None:
    """Write centre and precision of a mean given the root of the precision of its points; full covariances."""
    law = given.law
    d, shift, precision = law.n_features, pair.shift, pair.precision
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for l in range(i, d):
                total += root[l * d + i] * root[l * d + j]
            precision[i * d + j] = precision[j * d + i] = total
    for i in range(d):
        location, weight = location_of(law, given.q, given.means_at, i)
        shift[i] = weight * (location - mean[mean_at + i])
        for j in range(d):
            shift[i] += precision[i * d + j] * sums[row_of(law, at, j)]
    for i in range(d):
        _, weight = location_of(law, given.q, given.means_at, i)
        for j in range(i + 1):
            precision[i * d + j] *= sums[at]
        precision[i * d + i] += weight
    factorise(precision, d)
    for i in range(d):
        for l in range(i):
            shift[i] -= precision[i * d + l] * shift[l]
        shift[i] /= precision[i * d + i]
    for i in range(d - 1, -1, -1):
        for l in range(i + 1, d):
            shift[i] -= precision[l * d + i] * shift[l]
        shift[i] /= precision[i * d + i]


@plain_jit
def _student(stream: IntArray, dof: float, pair: Pair, d: int, first: int, step: int, chol: bool, drawn: bool) -> float:
    """Log density of ``pair.drawn`` in columns first, first + step, ... under a Student distribution about the shift.

    With ``drawn`` it is drawn first. ``chol`` is True if the precision is a Cholesky factor, and not a diagonal.
    """
    shift, precision, out = pair.shift, pair.precision, pair.drawn
    size = (d - first + step - 1) // step
    if drawn:
        scale = math.sqrt(0.5 * dof) * math.exp(-0.5 * log_gamma(stream, 0.5 * dof))
        for i in range(d - 1, -1, -1):
            if i % step == first:
                out[i] = scale * normal(stream)
                if chol:
                    for l in range(i + 1, d):
                        out[i] -= precision[l * d + i] * (out[l] - shift[l])
                    out[i] = shift[i] + out[i] / precision[i * d + i]
                else:
                    out[i] = shift[i] + out[i] / math.sqrt(precision[i])
    value = math.lgamma(0.5 * (dof + size)) - math.lgamma(0.5 * dof) - 0.5 * size * math.log(dof * math.pi)
    squares = 0.0
    for i in range(first, d, step):
        if chol:
            total = 0.0
            for l in range(i, d):
                total += precision[l * d + i] * (out[l] - shift[l])
            squares += total * total
            value += math.log(precision[i * d + i])
        else:
            squares += precision[i] * (out[i] - shift[i]) * (out[i] - shift[i])
            value += 0.5 * math.log(precision[i])
    return value - 0.5 * (dof + size) * math.log1p(squares / dof)


@plain_jit
def log_marginal(
    stream: IntArray, given: Given, sums: Array, at: int, mean: Array, mean_at: int, pair: Pair, drawn: bool
) -> float:
    """Log marginal likelihood of a cluster, up to a factor for each point; for means that are not conjugate, estimated.

    The estimate is that given the mean at ``pair.drawn``, its shift; with ``drawn`` it is drawn first.
    """
    law = given.law
    d, n, dof = law.n_features, sums[at], law.covariances_params[0]
    conjugate, diagonal = law.means_kind == CONJUGATE, law.chart == LOGARITHMS
    approximate(given, sums, at, mean, mean_at, pair)
    value = 0.0
    if conjugate:
        for i in range(d):
            pair.drawn[i] = pair.shift[i]
        value = 0.5 * d * math.log(law.means_params[d] / (law.means_params[d] + n))
    elif not diagonal:
        value = -_student(stream, dof + n - d, pair, d, 0, 1, True, drawn)
    if not conjugate and diagonal:
        width = core_width(law)
        for w in range(width):
            value -= _student(stream, dof + (n - 1.0) * (d // width), pair, d, w, width, False, drawn)
    if not conjugate:
        for i in range(d):
            location, weight = location_of(law, given.q, given.means_at, i)
            away = pair.drawn[i] + mean[mean_at + i] - location
            value += 0.5 * (math.log(weight / (2.0 * math.pi)) - weight * away * away)
    if diagonal:
        width = core_width(law)
        for w in range(width):
            size = n * (d // width)
            rate = rate_of(given, sums, at, mean, mean_at, pair.drawn, w)
            value += math.lgamma(0.5 * (dof + size)) - math.lgamma(0.5 * dof)
            value += 0.5 * dof * math.log(prior_rate(given, w)) - 0.5 * (dof + size) * math.log(rate)
        return value
    value -= 0.5 * (dof + n) * fill_scatter(given, sums, at, mean, mean_at, pair.drawn, pair.scatter)
    for i in range(d):
        value += math.lgamma(0.5 * (dof + n - i)) - math.lgamma(0.5 * (dof - i))
    return value + 0.5 * dof * _log_det_of_prior(given, pair)


@plain_jit
def _log_det_of_prior(given: Given, pair: Pair) -> float:
    """Log determinant of the scale of the Wishart prior."""
    law = given.law
    d, value = law.n_features, 0.0
    if law.scale_extra > 0:
        for i in range(d):
            value += given.q[given.scales_at + i]
        return value
    for t in range(d * d):
        pair.scatter[t] = law.covariances_params[2 + t]
    factorise(pair.scatter, d)
    return _log_det(pair.scatter, d)
