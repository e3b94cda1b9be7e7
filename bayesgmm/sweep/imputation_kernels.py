"""Missing cells filled by their expectations, or by draws, compiled."""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.gap_kernels import HEAD, MEMORY, NEGLIGIBLE, WEIGHTS, add_noise, block_rows, prepared
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.orchestration import assign_block, count_draws, is_diagonal, workspace

random_numbers = Late("bayesgmm.sweep.random_numbers")


@jit
def _memory(points, row, work):
    """Return what is kept for a component, and its filled cells of the last block."""
    d = points.n_features
    size = points.gaps[MEMORY]
    at = row * (size + d * BLOCK)
    return work.gap[at : at + size], work.gap[at + size : at + size + d * BLOCK]


@kernel
def expect_cells(points, table, start, stop, mean, square):
    """Add each missing cell's expectation, and that of its square, of the blocks start to stop, averaged over draws.

    Both are laid out as ``points.x``. A background is left out: the components share its responsibility.
    """
    d, k, gaps, diagonal = points.n_features, table.n_components, points.gaps, is_diagonal(table)
    n_draws, work, one = count_draws(table), workspace(points, table), np.ones(BLOCK)
    for block in range(start, stop):
        first_record, last_record = block_rows(gaps, block)
        for draw in range(n_draws if first_record < last_record else 0):
            assign_block(points, block, table, draw, one, 0, work)
            for c in range(k):
                memory, filled = _memory(points, c, work)
                at = 0
                for record in range(first_record, last_record, 2):
                    p, pattern = gaps[record], gaps[record + 1]
                    first = gaps[HEAD + pattern]
                    count = gaps[HEAD + pattern + 1] - first
                    total = 0.0
                    for other in range(k):
                        total += work.score[other * BLOCK + p]
                    share = work.score[c * BLOCK + p] / total / n_draws
                    if share > NEGLIGIBLE:
                        _, _, own = prepared(gaps, pattern, d, diagonal, memory)
                        variance = own + WEIGHTS + count * (d + count)
                        for a in range(count):
                            column = gaps[first + a]
                            value = table.mean[(draw * k + c) * d + column] + filled[at + a]
                            to = (block * d + column) * BLOCK + p
                            mean[to] += share * value
                            square[to] += share * (value * value + memory[variance + a * (a + 1) // 2 + a])
                    at += count


@kernel
def draw_cells(points, table, sweep, start, stop, out):
    """Replace the missing cells of the blocks start to stop by one draw from the predictive distribution of a table.

    ``out`` is laid out as ``points.x``; the component of each row is drawn first.
    """
    d, k, gaps, diagonal = points.n_features, table.n_components, points.gaps, is_diagonal(table)
    work, one, cells = workspace(points, table), np.ones(BLOCK), np.empty(d)
    for block in range(start, stop):
        first_record, last_record = block_rows(gaps, block)
        if first_record < last_record:
            assign_block(points, block, table, 0, one, 0, work)
        at = 0
        for record in range(first_record, last_record, 2):
            p, pattern = gaps[record], gaps[record + 1]
            row = block * BLOCK + p
            c = _component(work.score, k, p, row, sweep)
            memory, filled = _memory(points, c, work)
            first, count, own = prepared(gaps, pattern, d, diagonal, memory)
            for a in range(count):
                cells[a] = table.mean[c * d + gaps[first + a]] + filled[at + a]
            add_noise(gaps, first, count, d, own, row, sweep, memory, cells, 0)
            for a in range(count):
                out[(block * d + gaps[first + a]) * BLOCK + p] = cells[a]
            at += count


@jit
def _component(score, k, p, row, sweep):
    """Draw a row's component from its responsibilities, those of the components alone."""
    total = 0.0
    for c in range(k):
        total += score[c * BLOCK + p]
    u, _ = random_numbers.uniform_pair(row, sweep.number, sweep.chain, 0, sweep.key0, sweep.key1)
    left, chosen = u * total, k - 1
    for c in range(k):
        left -= score[c * BLOCK + p]
        if left <= 0.0:
            chosen = c
            break
    return chosen
