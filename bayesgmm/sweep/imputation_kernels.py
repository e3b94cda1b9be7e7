"""Latent cells replaced by their expectations, or by draws, compiled."""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.latent_kernels import add_draw, variance_of
from bayesgmm.sweep.latent_records import COUNT, HEAD, MEMORY, Sweep, cell_columns, is_dense, kept_from
from bayesgmm.sweep.layout import BLOCK, Array
from bayesgmm.sweep.orchestration import (
    NativePoints,
    NativeTable,
    Workspace,
    assign_block,
    count_draws,
    is_diagonal,
    workspace,
)

random_numbers = Late("bayesgmm.sweep.random_numbers")
NEGLIGIBLE = 1e-30  # a responsibility below this adds nothing to any mean


@jit
def _memory(points: NativePoints, row: int, work: Workspace) -> Array:
    """Return what is kept for a component."""
    size = points.latent[MEMORY]
    return work.latent[row * size : (row + 1) * size]


@jit
def _total(score: Array, k: int, p: int) -> float:
    """Return the total responsibility of the components for a point; a background has the rest."""
    total = 0.0
    for c in range(k):
        total += score[c * BLOCK + p]
    return total


@kernel
def add_expectations(
    points: NativePoints, table: NativeTable, start: int, stop: int, mean: Array, second: Array
) -> None:
    """Add each latent cell's expectation, and second moments, of the blocks start to stop, averaged over draws.

    ``mean`` is laid out as ``points.x``. So is ``second``, if it has only the squares; or it has the lower triangle of
    second moments in place of the features: those of a latent cell and an exact one are not added. A background is
    left out: the components share its responsibility.
    """
    k, latent, n_draws = table.n_components, points.latent, count_draws(table)
    work, one = workspace(points, table), np.ones(BLOCK)
    for block in range(start, stop):
        for draw in range(n_draws if latent[HEAD + block] > 0 else 0):
            assign_block(points, block, table, draw, one, 0, work)
            for c in range(k):
                memory = _memory(points, c, work)
                for p in range(BLOCK):
                    share = work.score[c * BLOCK + p] / _total(work.score, k, p) / n_draws
                    if share > NEGLIGIBLE:
                        _add_row(points, table, draw * k + c, block, p, share, memory, mean, second)


@jit
def _add_row(
    points: NativePoints,
    table: NativeTable,
    c: int,
    block: int,
    p: int,
    share: float,
    memory: Array,
    mean: Array,
    second: Array,
) -> None:
    """Add the moments of one row's latent cells under one component, times its share."""
    d, latent = points.n_features, points.latent
    at, width = latent[HEAD + block], second.size // points.weight.size
    dense, columns, kept = is_dense(latent, at, is_diagonal(table)), cell_columns(latent, at) + p, kept_from(d) + p
    for a in range(latent[at + COUNT]):
        i = latent[columns + a * BLOCK]
        if i == d:
            break
        value = table.mean[c * d + i] + memory[kept + a * BLOCK]
        mean[(block * d + i) * BLOCK + p] += share * value
        for b in range(a if width == d else 0, a + 1):
            j = latent[columns + b * BLOCK]
            moment = value * (table.mean[c * d + j] + memory[kept + b * BLOCK])
            moment += variance_of(latent, at, p, a, b, d, dense, memory)
            place = i if width == d else i * (i + 1) // 2 + j
            second[(block * width + place) * BLOCK + p] += share * moment


@kernel
def draw_cells(points: NativePoints, table: NativeTable, sweep: Sweep, start: int, stop: int, out: Array) -> None:
    """Replace the latent cells of the blocks start to stop by one draw from their distribution under a table.

    ``out`` is laid out as ``points.x``; the component of each row is drawn first.
    """
    d, k, latent, diagonal = points.n_features, table.n_components, points.latent, is_diagonal(table)
    work, one = workspace(points, table), np.ones(BLOCK)
    for block in range(start, stop):
        at = latent[HEAD + block]
        if at == 0:
            continue
        assign_block(points, block, table, 0, one, 0, work)
        dense, columns = is_dense(latent, at, diagonal), cell_columns(latent, at)
        for p in range(BLOCK):
            if latent[columns + p] == d:
                continue
            row = block * BLOCK + p
            c = _component(work.score, k, p, row, sweep)
            memory = _memory(points, c, work)
            add_draw(latent, at, p, d, dense, row, sweep, 0, 1.0, memory, kept_from(d) + p, BLOCK)
            for a in range(latent[at + COUNT]):
                i = latent[columns + a * BLOCK + p]
                if i < d:
                    out[(block * d + i) * BLOCK + p] = table.mean[c * d + i] + memory[kept_from(d) + a * BLOCK + p]


@jit
def _component(score: Array, k: int, p: int, row: int, sweep: Sweep) -> int:
    """Draw a row's component from its responsibilities, those of the components alone."""
    u, _ = random_numbers.uniform_pair(row, sweep.number, sweep.chain, 0, sweep.key0, sweep.key1)
    left, chosen = u * _total(score, k, p), k - 1
    for c in range(k):
        left -= score[c * BLOCK + p]
        if left <= 0.0:
            chosen = c
            break
    return chosen
