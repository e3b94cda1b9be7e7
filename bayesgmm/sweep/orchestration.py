r"""The sweep, compiled: a table scores points a block at a time, and every answer is a sum over these scores.

.. math:: a_{nk} = o_k - \tfrac12 \lVert R_k (x_n - m_k) \rVert^2

All functions that read points use this module: EM and VB (``fold_chunks``), native log posterior and PyTensor Ops
(``fold_points``), responsibilities and densities, label draws and relabelling (``assign_block``,
``log_density_block``). Two values describe what a sweep reads: ``NativePoints`` and ``NativeTable``. Only three
functions depend on how a point is observed, so an extension of the likelihood changes only these:

=================== ============================== ===============================================
extension           field of its own               function that reads it
=================== ============================== ===============================================
background          ``points.background``          ``score_block``: one more row of scores
labels              ``points.labels``              ``score_block``: their logarithms are added
tempering           ``table`` with a temperature   ``score_block``: scales the distances
missing values,     ``points.latent``              ``score_block``: density of what was measured;
measurement errors                                 ``add_moments``: expected moments of true values
=================== ============================== ===============================================

All but tempering are fields of the points; ``latent_kernels`` computes missing values and errors. Points in several
parts (files, machines) need no change here: the sums of the parts are added (``stats.fold``).

A table's root is (K, D, D), lower triangular, or (K, D), its diagonal; compiled code
distinguishes them by their size (for D = 1 they are the same).
"""

from collections import namedtuple

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import block_jit, jit, kernel, plain_jit
from bayesgmm.sweep.gathered_kernels import few_share, gather, gathered_memory, keep_rest, take_gathered
from bayesgmm.sweep.kernels import (
    add_row,
    centre,
    logsumexp,
    moments_diagonal,
    moments_full,
    moments_width,
    normalise,
    score_diagonal,
    score_full,
)
from bayesgmm.sweep.latent_records import ADD, COMPONENT, COUNTERS, DRAW, EXPECT, MEMORY, has_latent, latent_memory
from bayesgmm.sweep.layout import BLOCK, LANES, Array, IntArray

simd = Late("bayesgmm.sweep.simd")
pointers = Late("bayesgmm.sweep.pointers")

MIN_CHUNK = 256  # blocks: enough work to start a thread for
MAX_CHUNKS = 64  # limits the memory of the partial sums for any N
WIDE = 16  # columns from which it saves time to gather the points of each component
LOG_REST, OFFSET, MEAN = 0, 1, 2  # index of the first number of a background's mean; its root follows the mean

NativePoints = namedtuple("NativePoints", "x weight background latent labels n_points n_features")
"""Points as compiled code reads them.

x : (n_blocks * D * BLOCK,) float
    ``x[block, feature, point]``, flat, the last block padded.
weight : (n_blocks * BLOCK,) float
    Row weights; zero for the padding.
background : (2 + 2 D,) float, or (0,)
    Parameters of a fixed additional component: log of the total share of the others, offset, mean, diagonal of the
    root. Empty if there is none.
latent : (...,) int, or (0,)
    Cells that are missing, or measured with an error (``latent_cells.latent_numbers``). Missing ones have any number in
    ``x``. Empty if there are none.
labels : (n_blocks * (L + 1) * BLOCK,) float, or (0,)
    ``labels[block, component, point]``, flat: logarithms of the plausibilities of the first L components for each
    point; the last row is that of all others, the background among them. Empty if there are none.
n_points, n_features : int
    N and D.
"""

NativeTable = namedtuple("NativeTable", "offset mean root n_components")
"""A table as compiled code reads it, or S tables one after another.

offset : (S K,) float
mean : (S K D,) float
root : (S K D D,) or (S K D,) float
n_components : int
    K.
"""

Workspace = namedtuple("Workspace", "centred origin score latent counters gathered")
"""Scratch memory for one block.

``centred`` (D * BLOCK,), ``score`` (rows * BLOCK,), a row for each component, and ``latent``, the memory of
``latent_kernels`` for each component, then a row of corrections; (0,) for points without latent cells. ``counters``
(5,): the counters of random numbers for latent cells that are drawn. ``gathered``: points of earlier blocks whose
moments are not yet added (``gathered_kernels``).
"""


@block_jit
def count_blocks(points: NativePoints) -> int:
    """Return the number of blocks."""
    return points.weight.size // BLOCK


@jit
def count_chunks(n_blocks: int) -> int:
    """Return the number of chunks: it depends on N alone, so that no sum depends on the number of threads."""
    return -(-n_blocks // chunk_size(n_blocks))


@jit
def chunk_size(n_blocks: int) -> int:
    """Return the number of blocks of a chunk."""
    return max(MIN_CHUNK, -(-n_blocks // MAX_CHUNKS))


@block_jit
def count_draws(table: NativeTable) -> int:
    """Return the number of tables in a stack."""
    return table.offset.size // table.n_components


@jit
def workspace(points: NativePoints, table: NativeTable) -> Workspace:
    """Allocate the scratch memory for the blocks of these points under this table."""
    rows, d = table.n_components + (points.background.size > 0), points.n_features
    latent = np.zeros(latent_memory(points.latent, rows))
    gathered = gathered_memory(table.n_components)
    return Workspace(np.empty(d * BLOCK), np.zeros(d), np.empty(rows * BLOCK), latent, np.zeros(COUNTERS), gathered)


@block_jit
def is_diagonal(table: NativeTable) -> bool:
    """Return True if a table's roots are diagonals: (K, D) in place of (K, D, D)."""
    return table.root.size == table.mean.size


@block_jit
def _expect_block(
    points: NativePoints, block: int, root: Array, root_at: int, diagonal: bool, row: int, work: Workspace
) -> None:
    """Replace the latent cells of a block by expectations under one component; write the corrections of its scores."""
    memory, at, where = work.latent, row * points.latent[MEMORY], (block, points.n_features, int(diagonal))
    last = memory.size - BLOCK
    pointers.call_on_block(
        points.latent, EXPECT, root, root_at, work.centred, memory, last, memory, 0, memory, at, where
    )


@block_jit
def _add_variances(
    points: NativePoints,
    block: int,
    root: Array,
    root_at: int,
    diagonal: bool,
    row: int,
    sums: Array,
    work: Workspace,
    how: int,
) -> None:
    """Replace the latent cells of a block under one component: by expectations, adding variances, or by draws."""
    d, score, at = points.n_features, work.score, row * points.latent[MEMORY]
    latent, centred, memory, where = points.latent, work.centred, work.latent, (block, d, int(diagonal))
    to = (row * moments_width(d, diagonal) + 1) * LANES
    if how == ADD:
        pointers.call_on_block(latent, ADD, root, root_at, centred, score, row * BLOCK, sums, to, memory, at, where)
    else:
        counters = work.counters
        counters[COMPONENT] = float(row)
        pointers.call_on_block(latent, DRAW, counters, 0, centred, score, row * BLOCK, sums, to, memory, at, where)


@block_jit
def _correct(work: Workspace, to: int) -> None:
    """Add the corrections of a block's latent cells to the scores of one component."""
    last = work.latent.size - BLOCK
    for p in range(0, BLOCK, LANES):
        simd.store(work.score, to + p, simd.load(work.score, to + p) + simd.load(work.latent, last + p))


@block_jit
def add_labels(points: NativePoints, block: int, component: int, score: Array, to: int) -> None:
    """Add the logarithms of the plausibilities of one component to its scores."""
    rows = points.labels.size // points.weight.size
    at = (block * rows + min(component, rows - 1)) * BLOCK
    for p in range(0, BLOCK, LANES):
        simd.store(score, to + p, simd.load(score, to + p) + simd.load(points.labels, at + p))


@block_jit
def score_block(points: NativePoints, block: int, table: NativeTable, draw: int, work: Workspace) -> None:
    """Score one block under one table: ``work.score[component, point]``, the background's row last."""
    d, k, background = points.n_features, table.n_components, points.background
    at, first, diagonal = block * d * BLOCK, draw * k, is_diagonal(table)
    log_rest, latent = background[LOG_REST] if background.size > 0 else 0.0, has_latent(points.latent, block)
    for c in range(first, first + k):
        x, x_at, mean, mean_at = points.x, at, table.mean, c * d
        offset, to = table.offset[c] + log_rest, (c - first) * BLOCK
        root_at = c * d if diagonal else c * d * d
        if latent:
            centre(x, at, mean, mean_at, d, work.centred)
            _expect_block(points, block, table.root, root_at, diagonal, c - first, work)
            x, x_at, mean, mean_at = work.centred, 0, work.origin, 0
        if diagonal:
            score_diagonal(x, x_at, mean, mean_at, table.root, root_at, d, offset, work.score, to)
        else:
            score_full(x, x_at, mean, mean_at, table.root, root_at, d, offset, work.centred, work.score, to)
        if latent:
            _correct(work, to)
        if points.labels.size > 0:
            add_labels(points, block, c - first, work.score, to)
    if background.size > 0:
        x, x_at, mean, mean_at = points.x, at, background, MEAN
        if latent:
            centre(x, at, mean, mean_at, d, work.centred)
            _expect_block(points, block, background, MEAN + d, True, k, work)
            x, x_at, mean, mean_at = work.centred, 0, work.origin, 0
        score_diagonal(x, x_at, mean, mean_at, background, MEAN + d, d, background[OFFSET], work.score, k * BLOCK)
        if latent:
            _correct(work, k * BLOCK)
        if points.labels.size > 0:  # a row with a label is none of the background's
            add_labels(points, block, points.labels.size // points.weight.size - 1, work.score, k * BLOCK)


@block_jit
def assign_block(
    points: NativePoints, block: int, table: NativeTable, draw: int, weight: Array, at: int, work: Workspace
) -> float:
    """Turn one block's scores into responsibilities times ``weight[at:]``; return its weighted log likelihood."""
    score_block(points, block, table, draw, work)
    return normalise(work.score, work.score.size // BLOCK, weight, at)


@block_jit
def log_density_block(
    points: NativePoints, block: int, table: NativeTable, draw: int, work: Workspace, out: Array, to: int
) -> None:
    """Write the log densities of one block's points to ``out[to:]``."""
    score_block(points, block, table, draw, work)
    for p in range(0, BLOCK, LANES):
        logsum, _ = logsumexp(work.score, work.score.size // BLOCK, p)
        simd.store(out, to + p, logsum)


@block_jit
def add_moments(
    points: NativePoints, block: int, table: NativeTable, draw: int, work: Workspace, sums: Array, how: int = ADD
) -> None:
    """Add one block's moments about the means to the eight-lane sums; ``work.score`` holds its responsibilities.

    Latent cells have their conditional moments, or are drawn if ``how`` is ``DRAW``. Points of a component that has few
    of the block are gathered; ``total_moments`` adds the last ones.
    """
    d, n_components, diagonal, at = points.n_features, table.n_components, is_diagonal(table), block * BLOCK
    latent = has_latent(points.latent, block)
    gathers = d >= WIDE and not diagonal and not latent
    for k in range(n_components):
        c = draw * n_components + k
        if gathers and few_share(work.score, k * BLOCK, points.weight, at):
            gather(work.score, k * BLOCK, points.weight, at, at * d, work.gathered, k)
            if work.gathered.count[k] >= BLOCK:
                _add_gathered(points, table, c, k, work, sums)
            continue
        x, x_at, mean, mean_at = points.x, at * d, table.mean, c * d
        if latent:
            centre(x, x_at, mean, mean_at, d, work.centred)
            _add_variances(points, block, table.root, c * d if diagonal else c * d * d, diagonal, k, sums, work, how)
            x, x_at, mean, mean_at = work.centred, 0, work.origin, 0
        _add_centred(x, x_at, mean, mean_at, work.score, k * BLOCK, d, diagonal, k, work.centred, sums)


@block_jit
def _add_centred(
    x: Array,
    x_at: int,
    mean: Array,
    mean_at: int,
    share: Array,
    at: int,
    n_features: int,
    diagonal: bool,
    k: int,
    d: Array,
    sums: Array,
) -> None:
    """Add the moments of a block of points, less the mean, with responsibilities ``share[at:]`` in component k."""
    t = k * moments_width(n_features, diagonal) * LANES
    r = simd.load_row(share, at)
    add_row(sums, t, r)
    if diagonal:
        moments_diagonal(x, x_at, mean, mean_at, r, n_features, sums, t + LANES)
    else:
        moments_full(x, x_at, mean, mean_at, r, n_features, d, sums, t + LANES)


@plain_jit
def _add_gathered(points: NativePoints, table: NativeTable, c: int, k: int, work: Workspace, sums: Array) -> None:
    """Add the moments of gathered points of component k, row c of the table: of as many as fill a block."""
    d, gathered = points.n_features, work.gathered
    at = take_gathered(points.x, d, table.mean, c * d, gathered, k, work.centred)
    _add_centred(work.centred, 0, work.origin, 0, gathered.share, at, d, False, k, work.centred, sums)
    keep_rest(gathered, k)


@plain_jit
def total_moments(
    points: NativePoints, table: NativeTable, draw: int, work: Workspace, lanes: Array, sums: Array, first: int = 0
) -> None:
    """Add the moments of points that are still gathered; add the eight-lane sums to ``sums[first:]``."""
    for k in range(table.n_components):
        if work.gathered.count[k] > 0:
            _add_gathered(points, table, draw * table.n_components + k, k, work, lanes)
    for t in range(lanes.size // LANES):
        sums[first + t] += simd.total(simd.load(lanes, t * LANES))


@jit
def count_sums(n_components: int, n_features: int, diagonal: bool) -> int:
    """Return the length of a row of sums: the log likelihood, and the moments of K components."""
    return 1 + n_components * moments_width(n_features, diagonal)


@block_jit
def _fold_blocks(
    points: NativePoints, table: NativeTable, draw: int, start: int, stop: int, work: Workspace, sums: Array
) -> float:
    """Add the moments of blocks start to stop to the eight-lane sums; return their log likelihood."""
    loglik = 0.0
    for block in range(start, stop):
        loglik += assign_block(points, block, table, draw, points.weight, block * BLOCK, work)
        add_moments(points, block, table, draw, work, sums)
    return loglik


@kernel
def fold_chunks(points: NativePoints, table: NativeTable, span: int, taken: IntArray, out: Array) -> None:
    """Fold the points under each of a stack of tables, into the rows of ``out`` (rows, sums) that are not taken yet.

    A row sums ``span`` chunks under one table: first the rows of the first table, then of the second, and so on.

    A row is the log likelihood, then for each component n, and for each feature i: s1_i and s2_ij, j <= i (or s2_ii
    alone), moments about the component's mean. A background has responsibilities but no moments. A row depends only on
    its chunks, whatever threads there are. They share ``taken`` (1,), the number of rows taken: a late one takes fewer.
    """
    n_blocks, n_sums = count_blocks(points), out.shape[1] - 1
    chunk, n_rows = chunk_size(n_blocks), count_chunks(n_blocks) // span
    work, sums = workspace(points, table), np.empty(n_sums * LANES)
    row = simd.take_next(taken)
    while row < len(out):
        draw, first = row // n_rows, row % n_rows * span
        for t in range(n_sums + 1):
            out[row, t] = 0.0
        for c in range(first, first + span):
            sums[:] = 0.0
            out[row, 0] += _fold_blocks(points, table, draw, c * chunk, min((c + 1) * chunk, n_blocks), work, sums)
            total_moments(points, table, draw, work, sums, out[row], 1)
        row = simd.take_next(taken)


@jit
def fold_points(points: NativePoints, table: NativeTable) -> Array:
    """Fold all points under one table; return their row of sums."""
    out = np.empty((1, count_sums(table.n_components, points.n_features, is_diagonal(table))))
    fold_chunks(points, table, count_chunks(count_blocks(points)), np.zeros(1, np.int64), out)
    return out[0]


@kernel
def average_responsibilities(points: NativePoints, table: NativeTable, start: int, stop: int, out: Array) -> None:
    """Compute the mean over draws of the responsibilities of blocks start to stop: out[block, component, point]."""
    n_draws, size = count_draws(table), table.n_components * BLOCK
    work, share = workspace(points, table), np.full(BLOCK, 1.0 / n_draws)
    score = work.score
    for block in range(start, stop):
        to = block * size
        for draw in range(n_draws):
            assign_block(points, block, table, draw, share, 0, work)
            for p in range(0, size, LANES):
                simd.store(out, to + p, simd.load(out, to + p) + simd.load(score, p))


@kernel
def draw_responsibilities(points: NativePoints, table: NativeTable, start: int, stop: int, out: Array) -> None:
    """Compute responsibilities of all points under draws start to stop: out[draw, block, component, point]."""
    n_blocks, size = count_blocks(points), table.n_components * BLOCK
    work, one = workspace(points, table), np.ones(BLOCK)
    score = work.score
    for draw in range(start, stop):
        for block in range(n_blocks):
            assign_block(points, block, table, draw, one, 0, work)
            to = (draw * n_blocks + block) * size
            for p in range(0, size, LANES):  # a slice would add a second of compilation, for its error message
                simd.store(out, to + p, simd.load(score, p))


@kernel
def log_densities(points: NativePoints, table: NativeTable, start: int, stop: int, out: Array) -> None:
    """Compute log densities of the points of blocks start to stop under every draw: out[block, draw, point]."""
    n_draws, work = count_draws(table), workspace(points, table)
    for block in range(start, stop):
        for draw in range(n_draws):
            log_density_block(points, block, table, draw, work, out, (block * n_draws + draw) * BLOCK)
