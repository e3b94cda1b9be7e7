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
    total_moments,
    workspace,
)

simd = Late("bayesgmm.sweep.simd")

SOFT, DIVIDED, GIVEN, KNOWN = range(4)  # how the points of S are assigned to two sides

Pair = namedtuple(
    "Pair",
    "x label rows own side table work lanes sums whole means shift drawn precision scatter distance heap near spare",
)
"""Memory of split-merge moves.

x : (rows * D,) float
    All points, with latent cells as they were drawn.
label : (rows,) float
    Component of each point.
rows : (rows,) int
    The points of S, which ``own`` has together: a pass over S takes the time of S, however many the others are.
own : NativePoints
    Memory for the points of S; ``gather`` returns those of their blocks.
side : (rows,) float
    Side of each point of S, 0 or 1.
table, work, lanes, sums
    A table of two components, and what a pass over the points needs.
whole : (sums / 2,) float
    Sums of all points of S.
means : (2 D,) float
    Shifts of the means of proposed clusters.
shift, drawn : (D,) float
    Shift of a mean from its reference: where the posterior is centred, and a draw.
precision, scatter : (D * D,) float
    Cholesky factors of the posterior precision of a mean, and of the sums of squares of a cluster.
distance, heap : (rows,) float and int
    Points of S in the order of their distances from one of them: ``growth_kernels``.
near : (K,) float
    Weights of the clusters with which one may be merged: ``neighbour_kernels``.
spare : (D,) float
"""


@jit
def pair_memory(points: NativePoints, law: Law) -> Pair:
    """Allocate the memory of split-merge moves."""
    d, diagonal = law.n_features, law.chart == LOGARITHMS
    size, none, exact = points.weight.size, np.zeros(0), np.zeros(0, dtype=np.int64)
    x = points.x.copy() if points.latent.size > 0 else points.x
    own = NativePoints(np.zeros(x.size), np.zeros(size), none, exact, none, points.n_points, points.n_features)
    table = NativeTable(np.zeros(2), np.zeros(2 * d), np.zeros(2 * d if diagonal else 2 * d * d), 2)
    sums = np.zeros(2 * moments_width(d, diagonal))
    return Pair(
        x,
        np.zeros(size),
        np.zeros(size, dtype=np.int64),
        own,
        np.zeros(size),
        table,
        workspace(own, table),
        np.empty(sums.size * LANES),
        sums,
        np.zeros(sums.size // 2),
        np.zeros(2 * d),
        np.zeros(d),
        np.zeros(d),
        np.zeros(d * d),
        np.zeros(d * d),
        np.zeros(size),
        np.zeros(size, dtype=np.int64),
        np.zeros(law.n_components),
        np.zeros(d),
    )


@plain_jit
def place(pair: Pair, p: int, d: int, j: int) -> float:
    """Column j of point p of S."""
    return pair.own.x[((p // BLOCK) * d + j) * BLOCK + p % BLOCK]


@plain_jit
def gather(points: NativePoints, pair: Pair, a: int, b: int) -> NativePoints:
    """Return the points S of components a and b, with those of b on the second side."""
    own, rows, x, d, size = pair.own, pair.rows, pair.x, points.n_features, 0
    for p in range(points.weight.size):
        label = pair.label[p]
        if points.weight[p] > 0.0 and label in (a, b):
            rows[size], own.weight[size], pair.side[size] = p, 1.0, 0.0 if label == a else 1.0
            at, to = (p // BLOCK) * d * BLOCK + p % BLOCK, (size // BLOCK) * d * BLOCK + size % BLOCK
            for j in range(d):
                own.x[to + j * BLOCK] = x[at + j * BLOCK]
            size += 1
    whole = (size + BLOCK - 1) // BLOCK * BLOCK
    for p in range(size, whole):
        own.weight[p] = 0.0
    return NativePoints(own.x, own.weight[:whole], own.background, own.latent, own.labels, size, d)


@plain_jit
def relabel(pair: Pair, size: int, first: int, second: int) -> None:
    """Give the points of S the labels of their sides."""
    for p in range(size):
        pair.label[pair.rows[p]] = second if pair.side[p] > 0.0 else first


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
def _divide(score: Array, weight: Array, at: int, given: bool, side: Array, stream: IntArray) -> float:
    """Assign a block's points to two sides, ``given`` or drawn; return the log probability of that."""
    value = 0.0
    for p in range(BLOCK):
        left = right = 0.0
        if weight[at + p] > 0.0:
            ahead = score[p] - score[BLOCK + p]
            log_left, log_right = -math.log1p(math.exp(-ahead)), -math.log1p(math.exp(ahead))
            if not given:
                u, _ = uniforms(stream)
                side[at + p] = 0.0 if math.log(u) < log_left else 1.0
            right = side[at + p]
            left = 1.0 - right
            value += log_right if right > 0.0 else log_left
        score[p], score[BLOCK + p] = left, right
    return value


@plain_jit
def _write_known(score: Array, weight: Array, at: int, side: Array) -> None:
    """Assign a block's points to the sides that they are on."""
    for p in range(BLOCK):
        right = weight[at + p] * side[at + p]
        score[p], score[BLOCK + p] = weight[at + p] - right, right


@plain_jit
def assign_sides(points: NativePoints, pair: Pair, mode: int, sweep: Sweep, stream: IntArray) -> float:
    """Assign the points of S to two sides; return the log probability of that, and write the sums of each side.

    Parameters
    ----------
    points : NativePoints
        Those of ``gather``.
    pair : Pair
    mode : int
        ``SOFT`` by responsibilities, which returns the log likelihood; ``DIVIDED`` at random; as ``GIVEN`` by the
        sides, without sums; as ``KNOWN`` by the sides, without a probability.
    sweep : Sweep
    stream : (5,) int
        Random numbers.
    """
    table, work, lanes, value = pair.table, pair.work, pair.lanes, 0.0
    set_counters(sweep, work)
    for t in range(lanes.size):
        lanes[t] = 0.0
    for block in range(count_blocks(points)):
        at = block * BLOCK
        if mode != KNOWN:
            score_block(points, block, table, 0, work)
        if mode == SOFT:
            value += normalise(work.score, 2, points.weight, at)
        elif mode == KNOWN:
            _write_known(work.score, points.weight, at, pair.side)
        else:
            value += _divide(work.score, points.weight, at, mode == GIVEN, pair.side, stream)
        if mode != GIVEN:
            add_moments(points, block, table, 0, work, lanes, DRAW)
    pair.sums[:] = 0.0
    total_moments(points, table, 0, work, lanes, pair.sums)
    return value


@plain_jit
def assign_all(
    points: NativePoints,
    table: NativeTable,
    sweep: Sweep,
    single: bool,
    work: Workspace,
    counts: Array,
    lanes: Array,
    sums: Array,
    pair: Pair,
) -> float:
    """Draw the components of all points, as ``fold_draws``; write the sums of their moments; return the log likelihood.

    Parameters
    ----------
    points, table : NativePoints, NativeTable
    sweep : Sweep
    single : bool
        True if all row weights are zero or one.
    work, counts, lanes : Workspace, (rows,) and (sums * LANES,) float
        Scratch memory.
    sums : (sums,) float
    pair : Pair
        Its labels and its points' latent cells are written.
    """
    label, value = pair.label, 0.0
    set_counters(sweep, work)
    for t in range(lanes.size):
        lanes[t] = 0.0
    for block in range(count_blocks(points)):
        score_block(points, block, table, 0, work)
        if single:
            value += draw_single(points, block, sweep, work)
            _write_labels(work.score, work.score.size // BLOCK, label, block * BLOCK)
        else:
            value += draw_copies(points, block, sweep, counts, work)
        add_moments(points, block, table, 0, work, lanes, DRAW)
        if single and has_latent(points.latent, block):
            _write_drawn(points, block, table, work, label, pair.x)
    sums[:] = 0.0
    total_moments(points, table, 0, work, lanes, sums)
    return value
