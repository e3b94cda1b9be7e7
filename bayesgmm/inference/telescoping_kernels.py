r"""Telescoping sampler of a mixture with an unknown number of components, compiled.

One sweep draws [1]_

1. the component of every point, given K components, and then a split of one cluster or a merger of two
   (``split_merge_kernels``), except where components share their covariance or rows represent several points;
2. the parameters of the components that hold points, and the hyperparameters given these;
3. K given the partition: the weights and the components without points are integrated out;
4. the concentration given the partition and K, by slice sampling;
5. the parameters of the K - K+ other components from their prior, and the weights.

The state between sweeps is a vector as that of ``gibbs_kernels``, for the largest number of components. The K
components of the state come last. The logits of the others are minus infinity, so that their weights are 0; their
parameters are draws from the prior where the state is kept as a draw. The last hyperparameter of the weights is K.

References
----------
.. [1] Frühwirth-Schnatter, Malsiner-Walli & Grün (2021), Bayesian Analysis 16(4), 1279-1307: algorithm 1.
"""

import math

import numpy as np

from bayesgmm.families.chart_kernels import LOGARITHMS
from bayesgmm.inference.draw_kernels import DIRICHLET, STREAM_SIZE, log_dirichlet, normal, slice_draw
from bayesgmm.inference.gibbs_kernels import (
    add_conjugate_noise,
    draw_centre_and_spread,
    draw_diagonal,
    draw_full,
    draw_scales,
    location_of,
    write_components,
)
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
from bayesgmm.inference.number_kernels import (
    CONCENTRATION,
    DYNAMIC,
    Numbers,
    draw_number,
    number_memory,
    set_concentration,
)
from bayesgmm.inference.pair_kernels import Pair, assign_all, pair_memory
from bayesgmm.inference.split_merge_kernels import split_and_merge
from bayesgmm.inference.weight_draw_kernels import exchange
from bayesgmm.sweep.assignment_kernels import Sweep
from bayesgmm.sweep.compilation import jit, kernel, plain_jit
from bayesgmm.sweep.layout import BLOCK, LANES, Array, IntArray
from bayesgmm.sweep.orchestration import NativePoints, NativeTable, Workspace, workspace


@jit
def _part_of_law(law: Law, count: int) -> Law:
    """Return the priors of some of the components alone."""
    return Law(
        count,
        law.n_features,
        law.chart,
        count if law.n_cores > 1 else 1,
        law.weights_kind,
        law.exchangeable,
        law.weights_extra,
        law.means_kind,
        law.means_extra,
        law.scale_extra,
        law.weights_params,
        law.means_params,
        law.covariances_params,
    )


@jit
def _part(law: Law, memory: Scratch, first: int, last: int) -> Scratch:
    """Return the memory of components first to last alone; a root that all share belongs to every part.

    Like all that calls it, it counts references: a ``plain_jit`` function must not return arrays.
    """
    k, d = law.n_components, law.n_features
    root, core, sums = memory.root.size // k, memory.core.size // law.n_cores, memory.sums.size // k
    cores = memory.core
    if law.n_cores > 1:
        cores = memory.core[first * core : last * core]
    return Scratch(
        memory.log_weight[first:last],
        memory.mean[first * d : last * d],
        cores,
        memory.root[first * root : last * root],
        memory.log_det[first:last],
        memory.offset[first:last],
        memory.counts[first:last],
        memory.delta[first * d : last * d],
        memory.first,
        memory.second,
        memory.vector,
        memory.law,
        memory.sums[first * sums : last * sums],
    )


@plain_jit
def _write_counts(law: Law, memory: Scratch, first: int) -> None:
    """Write the numbers of points; components before ``first`` hold none."""
    k, width = law.n_components, memory.sums.size // law.n_components
    for c in range(k):
        if c < first:
            for t in range(width):
                memory.sums[c * width + t] = 0.0
        memory.counts[c] = memory.sums[c * width]


@plain_jit
def _sort_out(law: Law, memory: Scratch) -> int:
    """Move the components that hold points to the end; return their number."""
    k, d, width = law.n_components, law.n_features, memory.sums.size // law.n_components
    to = k - 1
    for c in range(k - 1, -1, -1):
        if memory.counts[c] > 0.0:
            if c != to:
                exchange(memory.counts, 1, c, to)
                exchange(memory.mean, d, c, to)
                exchange(memory.sums, width, c, to)
                if law.n_cores > 1:
                    exchange(memory.core, memory.core.size // k, c, to)
            to -= 1
    return k - 1 - to


@jit
def _draw_components(
    stream: IntArray, law: Law, q: Array, means_at: int, scales_at: int, memory: Scratch, first: int, last: int
) -> None:
    """Draw means and precisions of components first to last, which have roots of their own or are all components."""
    if last <= first:
        return
    part_law, part = _part_of_law(law, last - first), _part(law, memory, first, last)
    if law.chart == LOGARITHMS:
        draw_diagonal(stream, part_law, q, means_at, scales_at, part)
    else:
        draw_full(stream, part_law, q, means_at, scales_at, part)
    _move(part)


@plain_jit
def _move(memory: Scratch) -> None:
    """Move the means by their shifts."""
    for i in range(memory.mean.size):
        memory.mean[i] += memory.delta[i]
        memory.delta[i] = 0.0


@plain_jit
def _draw_means_from_prior(
    stream: IntArray, law: Law, q: Array, means_at: int, memory: Scratch, first: int, last: int
) -> None:
    """Draw the means of components first to last, which hold no points, given the precisions."""
    d, width = law.n_features, memory.core.size // law.n_cores
    for c in range(first, last):
        for j in range(d):
            place, weight = location_of(law, q, means_at, j)
            memory.delta[c * d + j] = place - memory.mean[c * d + j]
            if law.means_kind != CONJUGATE:
                memory.delta[c * d + j] += normal(stream) / math.sqrt(weight)
            elif law.chart == LOGARITHMS:
                root = memory.core[(c % law.n_cores) * width + j % width]
                memory.delta[c * d + j] += normal(stream) / (root * math.sqrt(law.means_params[d]))
        if law.means_kind == CONJUGATE and law.chart != LOGARITHMS:
            add_conjugate_noise(stream, law, c, memory)
    _move(memory)


@plain_jit
def _draw_concentration(stream: IntArray, law: Law, q: Array, memory: Scratch, count: int) -> None:
    """Draw the concentration given the sizes of the clusters and the number of components."""
    k, params = law.n_components, law.weights_params
    shift = math.log(float(count)) if params[DYNAMIC] > 0.0 else 0.0
    set_law(memory.law, DIRICHLET, CONCENTRATION, shift, 0.0, 0.0, 0.0)
    q[k - 1] = shift + slice_draw(stream, memory.law, memory.counts[k - count :], params, q[k - 1] - shift)


@plain_jit
def _draw_weights(stream: IntArray, law: Law, q: Array, memory: Scratch, log_alpha: float, count: int) -> None:
    """Draw the weights of the last ``count`` components; the others have none."""
    k, first = law.n_components, law.n_components - count
    each = math.exp(log_alpha)
    if law.weights_params[DYNAMIC] > 0.0:
        each /= count
    for c in range(count):
        memory.vector[c] = memory.counts[first + c] + each
    log_weight = memory.log_weight[first:]
    log_dirichlet(stream, memory.vector, log_weight)
    for c in range(k - 1):
        q[c] = -math.inf if c < first else log_weight[c - first] - log_weight[count - 1]


@plain_jit
def _log_concentration(law: Law, q: Array) -> float:
    """Log of the concentration."""
    return q[law.n_components - 1] if law.weights_extra > 1 else math.log(law.weights_params[CONCENTRATION])


@jit
def draw_finite(
    stream: IntArray, law: Law, q: Array, starts: tuple[int, int, int], memory: Scratch, numbers: Numbers, kept: bool
) -> None:
    """Draw everything but the assignments, given the sums of their moments; write it to the coordinates q.

    ``kept`` is True if the state will be a draw: then components beyond K are drawn too.
    """
    k, n_place = law.n_components, starts[0] - 1
    means_at, scales_at = starts[0] + memory.mean.size, starts[2]
    occupied = _sort_out(law, memory)
    shared = law.n_cores == 1
    _draw_components(stream, law, q, means_at, scales_at, memory, 0 if shared else k - occupied, k)
    filled_law, filled = _part_of_law(law, occupied), _part(law, memory, k - occupied, k)
    if law.means_kind == HIERARCHICAL:
        draw_centre_and_spread(stream, filled_law, q, means_at, filled)
    if law.scale_extra > 0:
        draw_scales(stream, filled_law, q, scales_at, filled)
    learned, log_alpha = law.weights_extra > 1, _log_concentration(law, q)
    set_concentration(law.weights_params, log_alpha, filled.counts, numbers)
    count = draw_number(stream, law.weights_params, log_alpha, filled.counts, occupied, numbers)
    if learned:
        _draw_concentration(stream, law, q, memory, count)
        log_alpha = q[k - 1]
    first = 0 if kept else k - count
    if shared:
        _draw_means_from_prior(stream, law, q, means_at, memory, first, k - occupied)
    else:
        _draw_components(stream, law, q, means_at, scales_at, memory, first, k - occupied)
    _draw_weights(stream, law, q, memory, log_alpha, count)
    q[n_place] = count
    write_components(law, q, starts, memory)


@jit
def _assign_active(
    points: NativePoints,
    law: Law,
    sweep: Sweep,
    single: bool,
    count: int,
    memory: Scratch,
    whole: Workspace,
    draws: Array,
    lanes: Array,
    pair: Pair,
) -> float:
    """Assign the points to the last ``count`` components, which are in the state; return their log likelihood."""
    k = law.n_components
    active = _part(law, memory, k - count, k)
    table = NativeTable(active.offset, active.mean, active.root, count)
    others = whole.score.size // BLOCK - k  # a background
    work = Workspace(
        whole.centred,
        whole.origin,
        whole.score[: (count + others) * BLOCK],
        whole.latent,
        whole.counters,
        whole.gathered,
    )
    lanes = lanes[: active.sums.size * LANES]
    return assign_all(points, table, sweep, single, work, draws, lanes, active.sums, pair)


@kernel
def telescoping_sweeps(
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
    k, starts = law.n_components, part_starts(law, q.size)
    memory, numbers, pair = scratch_memory(law, starts[2] - starts[1]), number_memory(k), pair_memory(points, law)
    whole = workspace(points, NativeTable(memory.offset, memory.mean, memory.root, k))
    lanes, draws = np.empty(memory.sums.size * LANES), np.empty(whole.score.size)
    stream = np.zeros(STREAM_SIZE, dtype=np.int64)
    for number in range(first, last):
        count = int(q[starts[0] - 1])
        read(law, q, starts, memory)
        sweep = Sweep(number, chain[0], chain[1], chain[2])
        loglik = _assign_active(points, law, sweep, schedule.single, count, memory, whole, draws, lanes, pair)
        keep_draw(schedule, number, q, loglik, drawn, logliks)
        restart(stream, number, chain)
        _write_counts(law, memory, k - count)
        if schedule.single and law.n_cores > 1:
            for p in range(pair.label.size):
                pair.label[p] += k - count
            log_alpha = _log_concentration(law, q)
            split_and_merge(stream, points, law, q, starts, memory, sweep, pair, log_alpha, numbers)
        after = number + 1 - schedule.tune
        draw_finite(stream, law, q, starts, memory, numbers, after >= 0 and after % schedule.thin == 0)
