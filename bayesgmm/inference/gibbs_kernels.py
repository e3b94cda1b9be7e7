r"""Blocked Gibbs sampling of a mixture, compiled: sweeps from coordinates to coordinates.

One sweep draws, each given all others,

1. the component of every point (``assignment_kernels``); the other steps use only their counts and moments;
2. for weights that are not exchangeable: exchanges of two labels, accepted with the weights integrated out [2]_;
3. the concentration, with the weights integrated out, then the weights;
4. means and precisions: one after the other, or together where the prior of the means is conjugate;
5. the centre and spread of the means, and the scale of the covariances.

The state between sweeps is the vector of unconstrained coordinates of ``LogPosterior``, with means that are not
ordered. So a chain gives the same draws, however its sweeps are divided among calls.

References
----------
.. [1] Diebolt & Robert (1994), J. R. Stat. Soc. B 56(2), 363-375.
.. [2] Papaspiliopoulos & Roberts (2008), Biometrika 95(1), 169-186.
"""

import math

import numpy as np

from bayesgmm.families.chart_kernels import LOGARITHMS
from bayesgmm.inference.draw_kernels import POWER, STREAM_SIZE, factorise, log_gamma, normal, slice_draw, wishart_root
from bayesgmm.inference.gibbs_state_kernels import (
    CONJUGATE,
    HIERARCHICAL,
    Law,
    Schedule,
    Scratch,
    keep_draw,
    part_starts,
    read,
    restart,
    scratch_memory,
    set_law,
)
from bayesgmm.inference.weight_draw_kernels import draw_weights
from bayesgmm.priors.scalars import ENTRIES
from bayesgmm.sweep.assignment_kernels import Sweep, fold_draws
from bayesgmm.sweep.compilation import kernel, plain_jit
from bayesgmm.sweep.layout import LANES, Array, IntArray
from bayesgmm.sweep.orchestration import NativePoints, NativeTable, workspace

# -- means and precisions --


@plain_jit
def location_of(law: Law, q: Array, at: int, j: int) -> tuple[float, float]:
    """Location of the means in column j, and the inverse square of their scale; ``at``: hyperparameters in q."""
    d = law.n_features
    if law.means_kind == HIERARCHICAL:
        return q[at + j], math.exp(-2.0 * q[at + d + j])
    if law.means_kind == CONJUGATE:
        return law.means_params[j], 0.0
    return law.means_params[j], 1.0 / (law.means_params[d + j] * law.means_params[d + j])


@plain_jit
def _row_of_sums(k: int, i: int, d: int, size: int) -> int:
    """Index of the sum of column i of component k; its products with columns 0 to i follow."""
    return k * size + 1 + i + i * (i + 1) // 2


@plain_jit
def _mean_given_precision(stream: IntArray, law: Law, q: Array, at: int, k: int, memory: Scratch) -> None:
    """Draw the shift of mean k from its old value, given its precision; full and tied covariances."""
    d, size = law.n_features, memory.sums.size // law.n_components
    precision, solved = memory.first, memory.second
    core = (k % law.n_cores) * d * d
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for l in range(i, d):
                total += memory.core[core + l * d + i] * memory.core[core + l * d + j]
            precision[i * d + j] = precision[j * d + i] = total
    for i in range(d):
        location, weight = location_of(law, q, at, i)
        total = weight * (location - memory.mean[k * d + i])
        for j in range(d):
            total += precision[i * d + j] * memory.sums[_row_of_sums(k, j, d, size)]
            solved[i * d + j] = memory.counts[k] * precision[i * d + j] + (weight if i == j else 0.0)
        memory.delta[k * d + i] = total
    factorise(solved, d)
    solve_with_noise(stream, solved, d, memory.delta, k * d)


@plain_jit
def solve_with_noise(stream: IntArray, chol: Array, d: int, x: Array, at: int) -> None:
    """Replace x[at:] by (chol chol')^-1 x plus a normal vector of that covariance."""
    for i in range(d):
        for l in range(i):
            x[at + i] -= chol[i * d + l] * x[at + l]
        x[at + i] /= chol[i * d + i]
    for i in range(d):
        x[at + i] += normal(stream)
    for i in range(d - 1, -1, -1):
        for l in range(i + 1, d):
            x[at + i] -= chol[l * d + i] * x[at + l]
        x[at + i] /= chol[i * d + i]


@plain_jit
def _conjugate_shift(law: Law, k: int, j: int, s1: float, memory: Scratch) -> tuple[float, float]:
    """Shift of mean k in column j to its expected value, and that of the prior's location; conjugate means."""
    strength = law.means_params[law.n_features]
    away = law.means_params[j] - memory.mean[k * law.n_features + j]
    return (strength * away + s1) / (strength + memory.counts[k]), away


@plain_jit
def _add_scatter(law: Law, k: int, memory: Scratch, scatter: Array) -> None:
    """Add the squares of component k's points about its new mean to a lower triangle; those of a conjugate prior too.

    For conjugate means, the shift is that to the expected mean, and the prior counts as points at its location.
    """
    d, size, delta = law.n_features, memory.sums.size // law.n_components, memory.delta
    strength = law.means_params[d] if law.means_kind == CONJUGATE else 0.0
    for i in range(d):
        row = _row_of_sums(k, i, d, size)
        a, s = delta[k * d + i], memory.sums[row]
        away = a + memory.mean[k * d + i] - law.means_params[i] if strength > 0.0 else 0.0
        for j in range(i + 1):
            b, t = delta[k * d + j], memory.sums[_row_of_sums(k, j, d, size)]
            scatter[i * d + j] += memory.sums[row + 1 + j] - s * b - a * t + memory.counts[k] * a * b
            if strength > 0.0:
                scatter[i * d + j] += strength * away * (b + memory.mean[k * d + j] - law.means_params[j])


@plain_jit
def draw_full(stream: IntArray, law: Law, q: Array, means_at: int, scales_at: int, memory: Scratch) -> None:
    """Draw means and full or tied precisions: ``memory.delta``, the shifts of the means, and ``memory.core``."""
    k, d, size = law.n_components, law.n_features, memory.sums.size // law.n_components
    conjugate = law.means_kind == CONJUGATE
    for c in range(k):
        if conjugate:
            for j in range(d):
                s1 = memory.sums[_row_of_sums(c, j, d, size)]
                memory.delta[c * d + j], _ = _conjugate_shift(law, c, j, s1, memory)
        else:
            _mean_given_precision(stream, law, q, means_at, c, memory)
    for m in range(law.n_cores):
        dof, scatter = law.covariances_params[0], memory.first
        for i in range(d):
            for j in range(i + 1):
                if law.scale_extra > 0:
                    scatter[i * d + j] = math.exp(q[scales_at + i]) if i == j else 0.0
                else:
                    scatter[i * d + j] = law.covariances_params[2 + i * d + j]
        for c in range(m, k, law.n_cores):
            dof += memory.counts[c]
            _add_scatter(law, c, memory, scatter)
        factorise(scatter, d)
        wishart_root(stream, dof, scatter, d, memory.core, m * d * d)
    if conjugate:
        for c in range(k):
            add_conjugate_noise(stream, law, c, memory)


@plain_jit
def add_conjugate_noise(stream: IntArray, law: Law, k: int, memory: Scratch) -> None:
    """Add to the shift of mean k a normal vector of covariance (P'P)^-1 / (strength + n)."""
    d, y, root = law.n_features, memory.vector, (k % law.n_cores) * law.n_features * law.n_features
    scale = 1.0 / math.sqrt(law.means_params[d] + memory.counts[k])
    for i in range(d):
        y[i] = normal(stream)
        for l in range(i):
            y[i] -= memory.core[root + i * d + l] * y[l]
        y[i] /= memory.core[root + i * d + i]
        memory.delta[k * d + i] += scale * y[i]


@plain_jit
def draw_diagonal(stream: IntArray, law: Law, q: Array, means_at: int, scales_at: int, memory: Scratch) -> None:
    """Draw means and precisions of diagonal and spherical covariances; as ``draw_full``."""
    k, d, delta = law.n_components, law.n_features, memory.delta
    width = memory.core.size // law.n_cores
    conjugate = law.means_kind == CONJUGATE
    strength = law.means_params[d] if conjugate else 0.0
    for m in range(law.n_cores):
        for w in range(width):
            dof, core = law.covariances_params[0], m * width + w
            rate = math.exp(q[scales_at + w]) if law.scale_extra > 0 else law.covariances_params[2 + w]
            for c in range(m, k, law.n_cores):
                for j in range(w, d, width):
                    at = (c * d + j) * 2 + c + 1  # one count for each component, two sums for each feature
                    n, s1, s2 = memory.counts[c], memory.sums[at], memory.sums[at + 1]
                    if conjugate:
                        shift, away = _conjugate_shift(law, c, j, s1, memory)
                        rate += strength * (shift - away) * (shift - away)
                    else:
                        location, weight = location_of(law, q, means_at, j)
                        precision = memory.core[core] * memory.core[core]
                        shift = precision * s1 + weight * (location - memory.mean[c * d + j])
                        total = n * precision + weight
                        shift = shift / total + normal(stream) / math.sqrt(total)
                    delta[c * d + j] = shift
                    rate += s2 - 2.0 * shift * s1 + n * shift * shift
                    dof += n
            memory.core[core] = math.exp(0.5 * (log_gamma(stream, 0.5 * dof) - math.log(0.5 * rate)))
            if conjugate:
                for c in range(m, k, law.n_cores):
                    for j in range(w, d, width):
                        sd = 1.0 / (memory.core[core] * math.sqrt(strength + memory.counts[c]))
                        delta[c * d + j] += sd * normal(stream)


@plain_jit
def write_components(law: Law, q: Array, starts: tuple[int, int, int], memory: Scratch) -> None:
    """Write means and roots to the coordinates q."""
    d, t = law.n_features, starts[1]
    for i in range(memory.mean.size):
        memory.mean[i] += memory.delta[i]
        q[starts[0] + i] = memory.mean[i]
    if law.chart == LOGARITHMS:
        for i in range(memory.core.size):
            q[t + i] = math.log(memory.core[i])
        return
    for m in range(law.n_cores):
        for i in range(d):
            for j in range(i):
                q[t] = memory.core[(m * d + i) * d + j]
                t += 1
            q[t] = math.log(memory.core[(m * d + i) * d + i])
            t += 1


# -- hyperparameters --


@plain_jit
def draw_centre_and_spread(stream: IntArray, law: Law, q: Array, at: int, memory: Scratch) -> None:
    """Draw the centres of the means given their spreads, and then the spreads."""
    k, d, params = law.n_components, law.n_features, law.means_params
    for j in range(d):
        prior, own = 1.0 / (params[d + j] * params[d + j]), math.exp(-2.0 * q[at + d + j])
        total = 0.0
        for c in range(k):
            total += memory.mean[c * d + j]
        precision = prior + k * own
        centre = (prior * params[j] + own * total) / precision + normal(stream) / math.sqrt(precision)
        q[at + j] = centre
        squares = 0.0
        for c in range(k):
            away = memory.mean[c * d + j] - centre
            squares += away * away
        set_law(memory.law, POWER, 3 * d + j * ENTRIES, math.log(params[2 * d + j]), -float(k), 0.5 * squares, -2.0)
        q[at + d + j] = slice_draw(stream, memory.law, memory.counts, params, q[at + d + j])


@plain_jit
def draw_scales(stream: IntArray, law: Law, q: Array, at: int, memory: Scratch) -> None:
    """Draw the scales of the Wishart prior given the precisions."""
    width, d, params = law.scale_extra, law.n_features, law.covariances_params
    for j in range(width):
        squares = 0.0  # of column j of all roots: the diagonal of the precisions
        for t in range(j, memory.core.size, width if law.chart == LOGARITHMS else d):
            squares += memory.core[t] * memory.core[t]
        power = 0.5 * params[0] * law.n_cores
        set_law(memory.law, POWER, 2 + width + j * ENTRIES, math.log(params[2 + j]), power, 0.5 * squares, 1.0)
        q[at + j] = slice_draw(stream, memory.law, memory.counts, params, q[at + j])


@plain_jit
def draw_components(stream: IntArray, law: Law, q: Array, starts: tuple[int, int, int], memory: Scratch) -> None:
    """Draw means, precisions and their hyperparameters, given counts and moments; write them to the coordinates q."""
    means_at, scales_at = starts[0] + memory.mean.size, starts[2]
    if law.chart == LOGARITHMS:
        draw_diagonal(stream, law, q, means_at, scales_at, memory)
    else:
        draw_full(stream, law, q, means_at, scales_at, memory)
    write_components(law, q, starts, memory)
    if law.means_kind == HIERARCHICAL:
        draw_centre_and_spread(stream, law, q, means_at, memory)
    if law.scale_extra > 0:
        draw_scales(stream, law, q, scales_at, memory)


@plain_jit
def draw_parameters(stream: IntArray, law: Law, q: Array, starts: tuple[int, int, int], memory: Scratch) -> None:
    """Draw everything but the assignments, given the sums of their moments; write it to the coordinates q."""
    k = law.n_components
    for c in range(k):
        memory.counts[c] = memory.sums[c * (memory.sums.size // k)]
    draw_weights(stream, law, q, memory)
    draw_components(stream, law, q, starts, memory)


@kernel
def gibbs_sweeps(
    points: NativePoints,
    law: Law,
    schedule: Schedule,
    chain: IntArray,
    q: Array,
    first: int,
    last: int,
    drawn: Array,
    logliks: Array,
) -> None:
    """Make the sweeps first to last of one chain, from coordinates q (P,), which become those after the last.

    Parameters
    ----------
    points : NativePoints
    law : Law
    schedule : Schedule
    chain : (3,) int
        Number of the chain, and two keys.
    q : (P,) float
    first, last : int
        Sweeps count from 0; the state before sweep ``tune + thin * i`` is draw i.
    drawn, logliks : (draws, P) and (draws,) float
        Draws, and the log likelihoods of the points as the sweep sees them.
    """
    starts = part_starts(law, q.size)
    memory = scratch_memory(law, starts[2] - starts[1])
    table = NativeTable(memory.offset, memory.mean, memory.root, law.n_components)
    work, lanes = workspace(points, table), np.empty(memory.sums.size * LANES)
    draws = np.empty(work.score.size)
    stream = np.zeros(STREAM_SIZE, dtype=np.int64)
    for number in range(first, last):
        read(law, q, starts, memory)
        sweep = Sweep(number, chain[0], chain[1], chain[2])
        loglik = fold_draws(points, table, sweep, schedule.single, work, draws, lanes, memory.sums)
        keep_draw(schedule, number, q, loglik, drawn, logliks)
        restart(stream, number, chain)
        draw_parameters(stream, law, q, starts, memory)
