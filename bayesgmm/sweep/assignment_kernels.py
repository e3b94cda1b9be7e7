r"""A sweep that draws the component of each point in place of averaging over components, compiled.

.. math:: P(z_n = k) \propto e^{a_{nk}}, \qquad n_k = \sum_n 1[z_n = k]

The random number of a point is a function of the seed, the chain, the sweep and the point's row, so that draws
depend neither on threads nor on chunks. A row of weight w represents w points, and each of them has its own draw.
"""

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import block_jit, plain_jit
from bayesgmm.sweep.kernels import logsumexp
from bayesgmm.sweep.latent_records import DRAW
from bayesgmm.sweep.latent_records import Sweep as Sweep
from bayesgmm.sweep.layout import BLOCK, LANES, Array, Vector
from bayesgmm.sweep.orchestration import (
    NativePoints,
    NativeTable,
    Workspace,
    add_moments,
    count_blocks,
    score_block,
    total_moments,
)

simd = Late("bayesgmm.sweep.simd")
random_numbers = Late("bayesgmm.sweep.random_numbers")

ASSIGNMENTS, PARAMETERS, COPIES = 0, 1, 2  # purposes of random numbers: one of the counters, so that all numbers differ


@block_jit
def _draw_lanes(score: Array, n_rows: int, p: int, uniform: Vector, weight: Array, at: int) -> Vector:
    """Replace the scores of eight points by one for the drawn component and zero elsewhere; return log likelihoods."""
    logsum, scale = logsumexp(score, n_rows, p)
    w = simd.load(weight, at + p)
    one = simd.spread(1.0)
    below = before = simd.spread(0.0)
    for k in range(n_rows - 1):
        below = simd.fma(simd.load(score, k * BLOCK + p), scale, below)
        reached = simd.below(uniform, below)
        simd.store(score, k * BLOCK + p, (reached - before) * w)
        before = reached
    simd.store(score, (n_rows - 1) * BLOCK + p, (one - before) * w)
    return logsum * w


@block_jit
def set_counters(sweep: Sweep, work: Workspace) -> None:
    """Give the counters of random numbers to the functions that draw latent cells."""
    counters = work.counters
    counters[0], counters[1], counters[2], counters[3] = sweep.number, sweep.chain, sweep.key0, sweep.key1


@block_jit
def draw_single(points: NativePoints, block: int, sweep: Sweep, work: Workspace) -> float:
    """Draw one component for each point of a block, whose weights are zero or one; return their log likelihood."""
    n_rows, at = work.score.size // BLOCK, block * BLOCK
    loglik = simd.spread(0.0)
    for half in range(2):
        u, v = random_numbers.uniform_lanes(
            2 * block + half, sweep.number, sweep.chain, ASSIGNMENTS, sweep.key0, sweep.key1
        )
        p = half * 2 * LANES
        loglik = loglik + _draw_lanes(work.score, n_rows, p, u, points.weight, at)
        loglik = loglik + _draw_lanes(work.score, n_rows, p + LANES, v, points.weight, at)
    return simd.total(loglik)


@block_jit
def draw_copies(points: NativePoints, block: int, sweep: Sweep, counts: Array, work: Workspace) -> float:
    """Draw a component for each of the points that the rows of a block represent; return their log likelihood."""
    score, n_rows = work.score, work.score.size // BLOCK
    loglik = simd.spread(0.0)
    for p in range(0, BLOCK, LANES):
        logsum, scale = logsumexp(score, n_rows, p)
        loglik = simd.fma(logsum, simd.load(points.weight, block * BLOCK + p), loglik)
        for k in range(n_rows):
            simd.store(score, k * BLOCK + p, simd.load(score, k * BLOCK + p) * scale)
    for p in range(BLOCK):
        for k in range(n_rows):
            counts[k] = 0.0
        row = block * BLOCK + p
        for copy in range(int(points.weight[row])):
            u, _ = random_numbers.uniform_pair(row, sweep.number, sweep.chain, COPIES + copy, sweep.key0, sweep.key1)
            k = 0
            while k < n_rows - 1 and u > score[k * BLOCK + p]:
                u -= score[k * BLOCK + p]
                k += 1
            counts[k] += 1.0
        for k in range(n_rows):
            score[k * BLOCK + p] = counts[k]
    return simd.total(loglik)


@plain_jit
def fold_draws(
    points: NativePoints,
    table: NativeTable,
    sweep: Sweep,
    single: bool,
    work: Workspace,
    counts: Array,
    lanes: Array,
    sums: Array,
) -> float:
    """Draw the components of all points; write the sums of their moments, and return their log likelihood.

    Parameters
    ----------
    points, table : NativePoints, NativeTable
    sweep : Sweep
    single : bool
        True if all row weights are zero or one.
    work, counts, lanes : Workspace, (rows,) and (sums * LANES,) float
        Scratch memory.
    sums : (sums,) float
        As a row of ``orchestration.fold_chunks`` without its first number. The background has none.
    """
    set_counters(sweep, work)
    for t in range(lanes.size):
        lanes[t] = 0.0
    sums[:] = 0.0
    loglik = 0.0
    for block in range(count_blocks(points)):
        score_block(points, block, table, 0, work)
        if single:
            loglik += draw_single(points, block, sweep, work)
        else:
            loglik += draw_copies(points, block, sweep, counts, work)
        add_moments(points, block, table, 0, work, lanes, DRAW)
    total_moments(points, table, 0, work, lanes, sums)
    return loglik
