r"""Gibbs sampling of a mixture with split-merge moves, compiled.

A sweep is that of ``gibbs_kernels``. Some sweeps have split-merge moves after their first step: an empty component has
a tiny weight, and one that holds points empties one point at a time, so that sweeps alone rarely change the number of
clusters. Components that share their covariance have no moves.
"""

import math

import numpy as np

from bayesgmm.inference.draw_kernels import STREAM_SIZE
from bayesgmm.inference.gibbs_kernels import draw_parameters
from bayesgmm.inference.gibbs_state_kernels import Law, Schedule, keep_draw, part_starts, read, restart, scratch_memory
from bayesgmm.inference.number_kernels import number_memory
from bayesgmm.inference.pair_kernels import assign_all, pair_memory
from bayesgmm.inference.split_merge_kernels import split_and_merge
from bayesgmm.inference.weight_draw_kernels import concentration_of
from bayesgmm.sweep.assignment_kernels import Sweep
from bayesgmm.sweep.compilation import kernel
from bayesgmm.sweep.layout import LANES, Array, IntArray
from bayesgmm.sweep.orchestration import NativePoints, NativeTable, workspace


@kernel
def split_merge_sweeps(
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
    """Make the sweeps first to last of one chain, as ``gibbs_sweeps`` does; all row weights are zero or one.

    The sweeps 0, ``schedule.period``, ``2 * schedule.period``, ... have moves.
    """
    k, starts = law.n_components, part_starts(law, q.size)
    memory, numbers, pair = scratch_memory(law, starts[2] - starts[1]), number_memory(k), pair_memory(points, law)
    table = NativeTable(memory.offset, memory.mean, memory.root, k)
    work, lanes = workspace(points, table), np.empty(memory.sums.size * LANES)
    draws, width = np.empty(work.score.size), memory.sums.size // k
    stream = np.zeros(STREAM_SIZE, dtype=np.int64)
    for number in range(first, last):
        read(law, q, starts, memory)
        sweep = Sweep(number, chain[0], chain[1], chain[2])
        loglik = assign_all(points, table, sweep, schedule.single, work, draws, lanes, memory.sums, pair)
        keep_draw(schedule, number, q, loglik, drawn, logliks)
        restart(stream, number, chain)
        if number % schedule.period == 0:
            for c in range(k):
                memory.counts[c] = memory.sums[c * width]
            log_alpha = math.log(concentration_of(law, q))
            split_and_merge(stream, points, law, q, starts, memory, sweep, pair, log_alpha, numbers)
        draw_parameters(stream, law, q, starts, memory)
