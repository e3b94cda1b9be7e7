"""Points of two components, compiled: their memory, and passes over the points that assign them and keep the labels."""

import math
from collections import namedtuple

import numpy as np

from bayesgmm.families.chart_kernels import LOGARITHMS
from bayesgmm.inference.draw_kernels import uniforms
from bayesgmm.inference.gibbs_state_kernels import Law
from bayesgmm.late import Late
from bayesgmm.sweep.assignment_kernels import draw_copies, draw_single, set_counters
from bayesgmm.sweep.compilation import block_jit, jit, plain_jit
from bayesgmm.sweep.kernels import moments_width, normalise
from bayesgmm.sweep.latent_records import (
    COUNT,
    DRAW,
    HEAD,
    MEMORY,
    Sweep,
    cell_columns,
    has_latent,
    kept_from,
    rows_with,
)
from bayesgmm.sweep.layout import BLOCK, LANES, Array, IntArray
from bayesgmm.sweep.orchestration import (
    NativePoints,
    NativeTable,
    Workspace,
    add_moments,
    count_blocks,
    score_block,
    workspace,
)

simd = Late("bayesgmm.sweep.simd")

DRAWN, SOFT, DIVIDED, GIVEN, KNOWN = range(5)  # how points are assigned in a pass

Pair = namedtuple(
    "Pair", "points table work lanes sums whole label means shift drawn precision scatter distance density rows spare"
)
"""Memory of split-merge moves.

points : NativePoints
    The points, with latent cells as they were drawn, and with weights that are zero outside S.
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
distance, density, rows : (rows,) float, float and int
    Points of S in the order of their distances from one of them: ``growth_kernels``.
spare : (D,) float
"""


@jit
def pair_memory(points: NativePoints, law: Law) -> Pair:
    """Allocate the memory of split-merge moves."""
    d, diagonal = law.n_features, law.chart == LOGARITHMS
    weight, none, exact = np.zeros(points.weight.size), np.zeros(0), np.zeros(0, dtype=np.int64)
    x = points.x.copy() if points.latent.size > 0 else points.x
    own = NativePoints(x, weight, none, exact, none, points.n_points, points.n_features)
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
        np.zeros(points.weight.size),
        np.zeros(points.weight.size),
        np.zeros(points.weight.size, dtype=np.int64),
        np.zeros(d),
    )


@plain_jit
def place(pair: Pair, p: int, d: int, j: int) -> float:
    """Column j of point p."""
    return pair.points.x[((p // BLOCK) * d + j) * BLOCK + p % BLOCK]


@block_jit
def _write_labels(score: Array, n_rows: int, label: Array, at: int) -> None:
    """Write the numbers of the components to which a block's points are assigned."""
    for p in range(0, BLOCK, LANES):
        number = simd.spread(0.0)
        for k in range(1, n_rows):
            number = simd.fma(simd.spread(float(k)), simd.load(score, k * BLOCK + p), number)
        simd.store(label, at + p, number)


@plain_jit
def _write_drawn(points: NativePoints, block: int, table: NativeTable, work: Workspace, label: Array, x: Array) -> None:
    """Write a block's latent cells as they were drawn, each point's under its own component, the background's never."""
    latent, d = points.latent, points.n_features
    at = latent[HEAD + block]
    for a in range(latent[at + COUNT]):
        start, stop = rows_with(latent, at, a)
        columns, kept = cell_columns(latent, at) + a * BLOCK, kept_from(d) + a * BLOCK
        for r in range(start, stop):
            p = latent[r]
            column, k = latent[columns + p], int(label[block * BLOCK + p])
            if k < table.n_components:
                drawn = work.latent[k * latent[MEMORY] + kept + p]
                x[(block * d + column) * BLOCK + p] = table.mean[k * d + column] + drawn


@plain_jit
def _divide(
    score: Array, weight: Array, at: int, given: bool, label: Array, first: int, second: int, stream: IntArray
) -> float:
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
def _write_known(score: Array, weight: Array, at: int, label: Array, first: int) -> None:
    """Assign a block's points to two sides by their labels."""
    for p in range(BLOCK):
        left = weight[at + p] if label[at + p] == first else 0.0
        score[p], score[BLOCK + p] = left, weight[at + p] - left


@plain_jit
def assign(
    points: NativePoints,
    table: NativeTable,
    mode: int,
    sweep: Sweep,
    single: bool,
    work: Workspace,
    counts: Array,
    lanes: Array,
    sums: Array,
    pair: Pair,
    first: int,
    second: int,
    stream: IntArray,
) -> float:
    """Assign all points; write the sums of their moments, and return their log likelihood or log probability.

    Parameters
    ----------
    points, table : NativePoints, NativeTable
    mode : int
        ``DRAWN`` from all components, as ``fold_draws``, with their labels and latent cells; ``SOFT`` to two by
        responsibilities; ``DIVIDED`` between two at random, or as ``GIVEN`` by the labels; as ``KNOWN`` by the labels,
        without a probability.
    sweep : Sweep
    single : bool
        True if all row weights are zero or one.
    work, counts, lanes : Workspace, (rows,) and (sums * LANES,) float
        Scratch memory.
    sums : (sums,) float
    pair : Pair
        Its labels and its points' latent cells are written.
    first, second : int
        Labels of the two sides.
    stream : (5,) int
        Random numbers.
    """
    label = pair.label
    set_counters(sweep, work)
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
        elif mode == KNOWN:
            _write_known(work.score, points.weight, block * BLOCK, label, first)
        else:
            given = mode == GIVEN
            value += _divide(work.score, points.weight, block * BLOCK, given, label, first, second, stream)
        add_moments(points, block, table, 0, work, lanes, DRAW)
        if mode == DRAWN and single and has_latent(points.latent, block):
            _write_drawn(points, block, table, work, label, pair.points.x)
    for t in range(sums.size):
        sums[t] = simd.total(simd.load(lanes, t * LANES))
    return value
