r"""Split-merge moves, compiled: one cluster becomes two, or two become one.

A sweep changes the number of clusters by few points at a time: it rarely finds a new cluster where there are several
columns. A split-merge move proposes a whole cluster [1]_, with weights, precisions and the number of components
integrated out:

1. it chooses a cluster to be split, or two to be merged; S is the set of their points;
2. a launch state, two components fitted to S by some iterations of EM from two of its points, depends on S alone;
3. a split draws the side of each point of S given the launch state; a merge has the probability of that as the
   probability of the reverse move;
4. the proposal is accepted by the ratio of Metropolis and Hastings.

The marginal likelihood of a cluster is known where the prior of the means is conjugate. Otherwise it is that given the
mean, times the prior density of the mean, divided by the density of a Student distribution close to its posterior, from
which means of new clusters are drawn.

References
----------
.. [1] Jain & Neal (2004), J. Comput. Graph. Stat. 13(1), 158-182; (2007), Bayesian Analysis 2(3), 445-472.
"""

import math
from collections import namedtuple

import numpy as np

from bayesgmm.families.chart_kernels import LOGARITHMS
from bayesgmm.inference.allocation_kernels import choose_empty, first_empty, log_apart, log_together, set_prior
from bayesgmm.inference.draw_kernels import factorise, log_gamma, normal, uniforms, wishart_root
from bayesgmm.inference.gibbs_kernels import CONJUGATE, location_of
from bayesgmm.late import Late
from bayesgmm.sweep.assignment_kernels import draw_copies, draw_single
from bayesgmm.sweep.compilation import block_jit, jit, plain_jit
from bayesgmm.sweep.kernels import moments_width, normalise
from bayesgmm.sweep.layout import BLOCK, LANES
from bayesgmm.sweep.orchestration import (
    NativePoints,
    NativeTable,
    add_moments,
    count_blocks,
    score_block,
    workspace,
)

simd = Late("bayesgmm.sweep.simd")

DRAWN, SOFT, DIVIDED, GIVEN = range(4)  # how points are assigned in a pass
MOVES = 4  # in a sweep
ITERATIONS = 6  # of EM for a launch state
TIGHTEST = 1.0  # maximum log of the factor by which a root of a launch state begins larger than that of S
FIT_STEPS = 2  # for the Student distribution of a mean
_TINY = 1e-10  # points: a component of a launch state may lose all

Given = namedtuple("Given", "law q means_at scales_at")
"""Priors of means and precisions, with the coordinates and the places in them of their hyperparameters."""

Pair = namedtuple("Pair", "points table work lanes sums whole label means shift drawn precision scatter")
"""Memory of split-merge moves.

points : NativePoints
    The points, with weights that are zero outside S.
table, work, lanes, sums
    A table of two components, and what a pass over the points needs.
whole : (sums / 2,) float
    Sums of all points of S.
label : (rows,) float
    Component of each point.
means : (2 D,) float
    Shifts of the means of proposed clusters.
shift, drawn : (D,) float
    Shift of a mean from its reference: where the posterior is centred, and a draw.
precision, scatter : (D * D,) float
    Cholesky factors of the posterior precision of a mean, and of the sums of squares of a cluster.
"""


@jit
def pair_memory(points, law):
    """Allocate the memory of split-merge moves."""
    d, diagonal = law.n_features, law.chart == LOGARITHMS
    own = NativePoints(points.x, np.zeros(points.weight.size), np.zeros(0), points.n_points, points.n_features)
    table = NativeTable(np.zeros(2), np.zeros(2 * d), np.zeros(2 * d if diagonal else 2 * d * d), 2)
    sums = np.zeros(2 * moments_width(d, diagonal))
    return Pair(
        own,
        table,
        workspace(own, table),
        np.empty(sums.size * LANES),
        sums,
        np.zeros(sums.size // 2),
        np.zeros(points.weight.size),
        np.zeros(2 * d),
        np.zeros(d),
        np.zeros(d),
        np.zeros(d * d),
        np.zeros(d * d),
    )


# -- passes over the points --


@block_jit
def _write_labels(score, n_rows, label, at):
    """Write the numbers of the components to which a block's points are assigned."""
    for p in range(0, BLOCK, LANES):
        number = simd.spread(0.0)
        for k in range(1, n_rows):
            number = simd.fma(simd.spread(float(k)), simd.load(score, k * BLOCK + p), number)
        simd.store(label, at + p, number)


@plain_jit
def _divide(score, weight, at, given, label, first, second, stream):
    """Assign a block's points to two sides, ``given`` by their labels or drawn; return the log probability of that."""
    value = 0.0
    for p in range(BLOCK):
        left = right = 0.0
        if weight[at + p] > 0.0:
            ahead = score[p] - score[BLOCK + p]
            log_left, log_right = -math.log1p(math.exp(-ahead)), -math.log1p(math.exp(ahead))
            if given:
                is_left = label[at + p] == first
            else:
                u, _ = uniforms(stream)
                is_left = math.log(u) < log_left
                label[at + p] = first if is_left else second
            if is_left:
                left, value = weight[at + p], value + log_left
            else:
                right, value = weight[at + p], value + log_right
        score[p], score[BLOCK + p] = left, right
    return value


@plain_jit
def assign(points, table, mode, sweep, single, work, counts, lanes, sums, label, first, second, stream):
    """Assign all points; write the sums of their moments, and return their log likelihood or log probability.

    Parameters
    ----------
    points, table : NativePoints, NativeTable
    mode : int
        ``DRAWN`` from all components, as ``fold_draws``, with their labels; ``SOFT`` to two by responsibilities;
        ``DIVIDED`` between two at random, or as ``GIVEN`` by the labels.
    sweep : Sweep
    single : bool
        True if all row weights are zero or one.
    work, counts, lanes : Workspace, (rows,) and (sums * LANES,) float
        Scratch memory.
    sums, label : (sums,) and (rows,) float
    first, second : int
        Labels of the two sides.
    stream : (5,) int
        Random numbers.
    """
    for t in range(lanes.size):
        lanes[t] = 0.0
    value = 0.0
    for block in range(count_blocks(points)):
        score_block(points, block, table, 0, work)
        if mode == SOFT:
            value += normalise(work.score, 2, points.weight, block * BLOCK)
        elif mode == DRAWN:
            if single:
                value += draw_single(points, block, sweep, work)
                _write_labels(work.score, work.score.size // BLOCK, label, block * BLOCK)
            else:
                value += draw_copies(points, block, sweep, counts, work)
        else:
            given = mode == GIVEN
            value += _divide(work.score, points.weight, block * BLOCK, given, label, first, second, stream)
        add_moments(points, block, table, 0, work, lanes)
    for t in range(sums.size):
        sums[t] = simd.total(simd.load(lanes, t * LANES))
    return value


# -- marginal likelihood of a cluster --


@plain_jit
def _row(law, at, i):
    """Place of the sum of column i in the sums at ``at``; those of squares or products follow."""
    return at + 1 + (2 * i if law.chart == LOGARITHMS else i + i * (i + 1) // 2)


@plain_jit
def _fill_scatter(given, sums, at, mean, mean_at, shift, out):
    """Write the sums of squares about a shifted mean, and the prior's scale, and factorise; return the log det."""
    law = given.law
    d, strength = law.n_features, law.means_params[law.n_features] if law.means_kind == CONJUGATE else 0.0
    for i in range(d):
        row, a = _row(law, at, i), shift[i]
        away = a + mean[mean_at + i] - law.means_params[i]
        for j in range(i + 1):
            b, t = shift[j], sums[_row(law, at, j)]
            if law.scale_extra > 0:
                value = math.exp(given.q[given.scales_at + i]) if i == j else 0.0
            else:
                value = law.covariances_params[2 + i * d + j]
            value += sums[row + 1 + j] - sums[row] * b - a * t + sums[at] * a * b
            out[i * d + j] = value + strength * away * (b + mean[mean_at + j] - law.means_params[j])
    factorise(out, d)
    return _log_det(out, d)


@plain_jit
def _log_det(chol, d):
    """Log determinant of a matrix with this Cholesky factor."""
    value = 0.0
    for i in range(d):
        value += 2.0 * math.log(chol[i * d + i])
    return value


@plain_jit
def _rate(given, sums, at, mean, mean_at, shift, w):
    """Sum of squares of a group of columns about a shifted mean, and the prior's scale; diagonal covariances."""
    law = given.law
    d, width = law.n_features, _width(law)
    strength = law.means_params[d] if law.means_kind == CONJUGATE else 0.0
    value = math.exp(given.q[given.scales_at + w]) if law.scale_extra > 0 else law.covariances_params[2 + w]
    for j in range(w, d, width):
        row, a = _row(law, at, j), shift[j]
        away = a + mean[mean_at + j] - law.means_params[j]
        value += sums[row + 1] - 2.0 * a * sums[row] + sums[at] * a * a + strength * away * away
    return value


@plain_jit
def _width(law):
    """Number of different diagonal entries of a root: the number of features, or 1 for spherical covariances."""
    if law.scale_extra > 0:
        return law.scale_extra
    return min(law.covariances_params.size - 2, law.n_features)


@plain_jit
def _approximate(given, sums, at, mean, mean_at, steps, pair, root, root_at):
    """Approximate the posterior of a mean and a precision given the sums of a cluster.

    It writes ``pair.shift`` and ``pair.precision``, the centre and the precision of the mean (its Cholesky factor, or
    its diagonal), and the root of a typical precision. Returns the log determinant of that root.
    """
    law = given.law
    d, n, log_det = law.n_features, sums[at], 0.0
    conjugate, shift = law.means_kind == CONJUGATE, pair.shift
    for i in range(d):
        shift[i] = sums[_row(law, at, i)] / max(n, _TINY)
        if conjugate:
            strength = law.means_params[d]
            shift[i] = sums[_row(law, at, i)] + strength * (law.means_params[i] - mean[mean_at + i])
            shift[i] /= strength + n
    for _ in range(1 if conjugate else steps):
        if law.chart == LOGARITHMS:
            log_det = 0.0
            width = _width(law)
            for w in range(width):
                size = d // width
                rate = _rate(given, sums, at, mean, mean_at, shift, w)
                typical = (law.covariances_params[0] + (max(n, 1.0) - 1.0) * size) / rate
                for j in range(w, d, width):
                    root[root_at + j] = math.sqrt(typical)
                    log_det += 0.5 * math.log(typical)
                    if not conjugate:
                        location, weight = location_of(law, given.q, given.means_at, j)
                        pair.precision[j] = n * typical + weight
                        shift[j] = typical * sums[_row(law, at, j)] + weight * (location - mean[mean_at + j])
                        shift[j] /= pair.precision[j]
        else:
            scale = math.sqrt(law.covariances_params[0] + max(n, 1.0) - d)
            log_det = -0.5 * _fill_scatter(given, sums, at, mean, mean_at, shift, pair.scatter)
            log_det += d * math.log(scale)
            _invert(pair.scatter, d, scale, root, root_at)
            if not conjugate:
                _centre(given, sums, at, mean, mean_at, pair, root, root_at)
    return log_det


@plain_jit
def _invert(chol, d, scale, root, root_at):
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
def _centre(given, sums, at, mean, mean_at, pair, root, root_at):
    """Write centre and precision of a mean given the root of the precision of its points; full covariances."""
    law = given.law
    d, shift, precision = law.n_features, pair.shift, pair.precision
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for l in range(i, d):
                total += root[root_at + l * d + i] * root[root_at + l * d + j]
            precision[i * d + j] = precision[j * d + i] = total
    for i in range(d):
        location, weight = location_of(law, given.q, given.means_at, i)
        shift[i] = weight * (location - mean[mean_at + i])
        for j in range(d):
            shift[i] += precision[i * d + j] * sums[_row(law, at, j)]
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
def _student(stream, dof, pair, d, first, step, chol, drawn):
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
def _log_marginal(stream, given, sums, at, mean, mean_at, pair, drawn):
    """Log marginal likelihood of a cluster, up to a factor for each point; for means that are not conjugate, estimated.

    The estimate is that given the mean at ``pair.drawn``, its shift; with ``drawn`` it is drawn first.
    """
    law = given.law
    d, n, dof = law.n_features, sums[at], law.covariances_params[0]
    conjugate, diagonal = law.means_kind == CONJUGATE, law.chart == LOGARITHMS
    _approximate(given, sums, at, mean, mean_at, FIT_STEPS, pair, pair.table.root, 0)
    value = 0.0
    if conjugate:
        for i in range(d):
            pair.drawn[i] = pair.shift[i]
        value = 0.5 * d * math.log(law.means_params[d] / (law.means_params[d] + n))
    elif not diagonal:
        value = -_student(stream, dof + n - d, pair, d, 0, 1, True, drawn)
    if not conjugate and diagonal:
        width = _width(law)
        for w in range(width):
            value -= _student(stream, dof + (n - 1.0) * (d // width), pair, d, w, width, False, drawn)
    if not conjugate:
        for i in range(d):
            location, weight = location_of(law, given.q, given.means_at, i)
            away = pair.drawn[i] + mean[mean_at + i] - location
            value += 0.5 * (math.log(weight / (2.0 * math.pi)) - weight * away * away)
    if diagonal:
        width = _width(law)
        for w in range(width):
            size = n * (d // width)
            prior = math.exp(given.q[given.scales_at + w]) if law.scale_extra > 0 else law.covariances_params[2 + w]
            rate = _rate(given, sums, at, mean, mean_at, pair.drawn, w)
            value += math.lgamma(0.5 * (dof + size)) - math.lgamma(0.5 * dof)
            value += 0.5 * dof * math.log(prior) - 0.5 * (dof + size) * math.log(rate)
        return value
    value -= 0.5 * (dof + n) * _fill_scatter(given, sums, at, mean, mean_at, pair.drawn, pair.scatter)
    for i in range(d):
        value += math.lgamma(0.5 * (dof + n - i)) - math.lgamma(0.5 * (dof - i))
    return value + 0.5 * dof * _log_det_of_prior(given, pair)


@plain_jit
def _log_det_of_prior(given, pair):
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


# -- moves --


@plain_jit
def _choose(stream, count):
    """Draw one of the numbers 0 to count - 1."""
    u, _ = uniforms(stream)
    return min(int(u * count), count - 1)


@plain_jit
def _mark(points, pair, a, b):
    """Give weight to the points of components a and b alone; return their number."""
    count, weight = 0, pair.points.weight
    for p in range(weight.size):
        inside = points.weight[p] > 0.0 and (pair.label[p] == a or pair.label[p] == b)
        weight[p] = 1.0 if inside else 0.0
        count += inside
    return count


@plain_jit
def _find(pair, number):
    """Return the row of the ``number``-th point of S."""
    weight = pair.points.weight
    for p in range(weight.size):
        if weight[p] > 0.0:
            if number == 0:
                return p
            number -= 1
    return 0


@plain_jit
def _place(pair, p, d, j):
    """Column j of point p."""
    return pair.points.x[((p // BLOCK) * d + j) * BLOCK + p % BLOCK]


@plain_jit
def _launch(stream, given, pair, sums, at, mean, mean_at, size, sweep):
    """Fit two components to the points of S, of which there are ``size``, with these sums about a mean."""
    law = given.law
    d, table = law.n_features, pair.table
    half, width = table.root.size // 2, pair.sums.size // 2
    _approximate(given, sums, at, mean, mean_at, 1, pair, table.root, 0)
    for side in range(1, -1, -1):
        p = _find(pair, _choose(stream, size))
        u, _ = uniforms(stream)
        scale = math.exp(u * TIGHTEST)
        table.offset[side] = d * math.log(scale)
        for j in range(d):
            table.mean[side * d + j] = _place(pair, p, d, j)
        for t in range(half):
            table.root[half * side + t] = scale * table.root[t]
    for _ in range(ITERATIONS):
        assign(
            pair.points, table, SOFT, sweep, True, pair.work, pair.sums, pair.lanes, pair.sums, pair.label, 0, 0, stream
        )
        for side in range(2):
            n = pair.sums[side * width]
            log_det = _approximate(
                given, pair.sums, side * width, table.mean, side * d, 1, pair, table.root, side * half
            )
            table.offset[side] = math.log(n + 1.0) + log_det
            for j in range(d):
                table.mean[side * d + j] += pair.shift[j]


@plain_jit
def _add_sums(law, memory, a, b, out):
    """Write the sums of components a and b together, about the mean of a."""
    d, width = law.n_features, out.size
    sums, at = memory.sums, b * width
    n = sums[at]
    out[0] = sums[a * width] + n
    for i in range(d):
        row, one = _row(law, 0, i), memory.mean[b * d + i] - memory.mean[a * d + i]
        out[row] = sums[a * width + row] + sums[at + row] + n * one
        for j in range(i if law.chart == LOGARITHMS else 0, i + 1):
            other = memory.mean[b * d + j] - memory.mean[a * d + j]
            to = row + 1 + (0 if law.chart == LOGARITHMS else j)
            cross = sums[at + row] * other + sums[at + _row(law, 0, j)] * one + n * one * other
            out[to] = sums[a * width + to] + sums[at + to] + cross


@plain_jit
def _move_mean(law, memory, c, shift):
    """Move the mean of component c, about which its sums are taken; sums of squares and products first."""
    d, sums, at = law.n_features, memory.sums, c * (memory.sums.size // law.n_components)
    for i in range(d):
        row, a = _row(law, at, i), shift[i]
        for j in range(i if law.chart == LOGARITHMS else 0, i + 1):
            b, s, t = shift[j], sums[row], sums[_row(law, at, j)] + (sums[at] * shift[j] if j < i else 0.0)
            sums[row + 1 + (0 if law.chart == LOGARITHMS else j)] += sums[at] * a * b - s * b - a * t
        sums[row] -= sums[at] * a
        memory.mean[c * d + i] += a


@plain_jit
def _draw_precision(stream, given, memory, c, pair):
    """Draw the precision of component c given its mean, at ``pair.drawn`` from its reference."""
    law = given.law
    d, width = law.n_features, memory.sums.size // law.n_components
    if law.means_kind == CONJUGATE:
        return  # the next draw does not depend on it
    if law.chart == LOGARITHMS:
        for w in range(_width(law)):
            rate = _rate(given, memory.sums, c * width, memory.mean, c * d, pair.drawn, w)
            dof = law.covariances_params[0] + memory.sums[c * width] * (d // _width(law))
            precision = math.exp(log_gamma(stream, 0.5 * dof) - math.log(0.5 * rate))
            memory.core[c * _width(law) + w] = math.sqrt(precision)
        return
    _fill_scatter(given, memory.sums, c * width, memory.mean, c * d, pair.drawn, pair.scatter)
    dof = law.covariances_params[0] + memory.sums[c * width]
    wishart_root(stream, dof, pair.scatter, d, memory.core, c * d * d)


@plain_jit
def _count(counts, fewest):
    """Number of components that hold at least ``fewest`` points."""
    number = 0
    for c in range(counts.size):
        number += counts[c] >= fewest
    return number


@plain_jit
def _pick(stream, counts, fewest, but):
    """Draw a component that holds at least ``fewest`` points, but not ``but``; -1 if there is none."""
    number = _count(counts, fewest)
    if but >= 0:
        number -= 1
    if number < 1:
        return -1
    left = _choose(stream, number)
    for c in range(counts.size):
        if counts[c] >= fewest and c != but:
            if left == 0:
                return c
            left -= 1
    return -1


@plain_jit
def _own_marginal(stream, given, memory, c, pair):
    """Log marginal likelihood of a cluster of the state, given its mean."""
    law = given.law
    d, width = law.n_features, memory.sums.size // law.n_components
    for i in range(d):
        pair.drawn[i] = 0.0
    return _log_marginal(stream, given, memory.sums, c * width, memory.mean, c * d, pair, False)


@plain_jit
def _write_part(law, memory, pair, side, c):
    """Write one side of a proposed split to component c, with its mean as the reference of its sums."""
    d, width = law.n_features, pair.whole.size
    for t in range(width):
        memory.sums[c * width + t] = pair.sums[side * width + t]
    for j in range(d):
        memory.mean[c * d + j] = pair.table.mean[side * d + j]
        pair.drawn[j] = pair.means[side * d + j]


@plain_jit
def _log_sides(stream, given, pair, mode, sums, at, mean, mean_at, size, sweep, first, second):
    """Assign the points of S to two sides; return the log probability of that given a launch state."""
    _launch(stream, given, pair, sums, at, mean, mean_at, size, sweep)
    work, lanes, parts = pair.work, pair.lanes, pair.sums
    return assign(
        pair.points, pair.table, mode, sweep, True, work, parts, lanes, parts, pair.label, first, second, stream
    )


@plain_jit
def _log_parts(stream, given, pair):
    """Log marginal likelihood of the two sides of a proposed split, with means that are drawn."""
    value, d, width = 0.0, given.law.n_features, pair.whole.size
    for side in range(2):
        value += _log_marginal(stream, given, pair.sums, side * width, pair.table.mean, side * d, pair, True)
        for j in range(d):
            pair.means[side * d + j] = pair.drawn[j]
    return value


@plain_jit
def _rename(pair, old, new):
    """Give the points of one component the label of another."""
    for p in range(pair.label.size):
        if pair.label[p] == old:
            pair.label[p] = new


@plain_jit
def propose_split(stream, points, given, memory, sweep, pair, log_alpha, numbers):
    """Propose to split a cluster of at least two points."""
    law, counts, width = given.law, memory.counts, pair.whole.size
    d, occupied = law.n_features, _count(counts, 1.0)
    c, free = _pick(stream, counts, 2.0, -1), first_empty(counts)
    if c < 0 or free < 0:
        return
    whole, ways = counts[c], _count(counts, 2.0)
    before = log_together(law, log_alpha, counts, occupied, numbers) + _own_marginal(stream, given, memory, c, pair)
    size = _mark(points, pair, c, c)
    log_sides = _log_sides(
        stream, given, pair, DIVIDED, memory.sums, c * width, memory.mean, c * d, size, sweep, c, free
    )
    gain = -math.inf
    if pair.sums[0] > 0.0 and pair.sums[width] > 0.0:
        counts[c] = pair.sums[0]
        gain = log_apart(law, log_alpha, counts, occupied, pair.sums[width], numbers) - before - log_sides
        gain += _log_parts(stream, given, pair) + math.log(ways / (occupied * (occupied + 1.0)))
    u, _ = uniforms(stream)
    if math.log(u) < gain:
        new = choose_empty(stream, law, counts, numbers)
        counts[new] = pair.sums[width]
        _rename(pair, free, new)
        for side in range(2):
            to = c if side == 0 else new
            _write_part(law, memory, pair, side, to)
            _draw_precision(stream, given, memory, to, pair)
            _move_mean(law, memory, to, pair.drawn)
        return
    counts[c] = whole
    _rename(pair, free, c)


@plain_jit
def propose_merge(stream, points, given, memory, sweep, pair, log_alpha, numbers):
    """Propose to merge two clusters."""
    law, counts, width = given.law, memory.counts, pair.whole.size
    d, occupied = law.n_features, _count(counts, 1.0)
    if occupied < 2:
        return
    a = _pick(stream, counts, 1.0, -1)
    b = _pick(stream, counts, 1.0, a)
    n, m = counts[a], counts[b]
    before = _own_marginal(stream, given, memory, a, pair) + _own_marginal(stream, given, memory, b, pair)
    counts[b] = 0.0
    before += log_apart(law, log_alpha, counts, occupied - 1, m, numbers)
    counts[a] = n + m
    _add_sums(law, memory, a, b, pair.whole)
    gain = log_together(law, log_alpha, counts, occupied - 1, numbers) - before
    gain += _log_marginal(stream, given, pair.whole, 0, memory.mean, a * d, pair, True)
    for j in range(d):
        pair.means[j] = pair.drawn[j]
    u, _ = uniforms(stream)
    gain += math.log(occupied * (occupied - 1.0) / _count(counts, 2.0)) - math.log(u)
    if gain > 0.0:  # the log probability of the sides is at most 0
        size = _mark(points, pair, a, b)
        gain += _log_sides(stream, given, pair, GIVEN, pair.whole, 0, memory.mean, a * d, size, sweep, a, b)
    if not gain > 0.0:
        counts[a], counts[b] = n, m
        return
    for t in range(width):
        memory.sums[a * width + t], memory.sums[b * width + t] = pair.whole[t], 0.0
    for j in range(d):
        pair.drawn[j] = pair.means[j]
    _draw_precision(stream, given, memory, a, pair)
    _move_mean(law, memory, a, pair.drawn)
    _rename(pair, b, a)


@jit
def split_and_merge(stream, points, law, q, starts, memory, sweep, pair, log_alpha, numbers):
    """Propose to split a cluster or to merge two, each with probability 1/2.

    Parameters
    ----------
    stream, points, law, q, memory, sweep, numbers
        As in the kernels that call it, after a sweep of assignments: ``memory.sums``, ``memory.counts`` and the
        labels ``pair.label`` belong together.
    starts : (3,) int
        Places in q of the means, the roots, and the scales.
    pair : Pair
    log_alpha : float
        Log of the concentration.
    """
    given = Given(law, q, starts[0] + memory.mean.size, starts[2])
    set_prior(law, log_alpha, memory.counts, numbers)
    for _ in range(MOVES):
        u, _ = uniforms(stream)
        if u < 0.5:
            propose_split(stream, points, given, memory, sweep, pair, log_alpha, numbers)
        else:
            propose_merge(stream, points, given, memory, sweep, pair, log_alpha, numbers)
