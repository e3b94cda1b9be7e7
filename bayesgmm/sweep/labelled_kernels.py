"""Sums of points whose components are known, compiled."""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import kernel
from bayesgmm.sweep.layout import BLOCK, LANES, Array, IntArray
from bayesgmm.sweep.orchestration import (
    NativePoints,
    NativeTable,
    add_moments,
    chunk_size,
    count_blocks,
    total_moments,
    workspace,
)

simd = Late("bayesgmm.sweep.simd")


@kernel
def fold_labelled_chunks(
    points: NativePoints, table: NativeTable, label: IntArray, taken: IntArray, out: Array
) -> None:
    """Sum points with labels, into rows of ``out``, one for each chunk, as ``orchestration.fold_chunks`` does.

    ``label`` has the component of each row, with the padding: -1 for none. The log likelihoods are zero.
    """
    n_blocks, n_sums = count_blocks(points), out.shape[1] - 1
    chunk, work, sums = chunk_size(n_blocks), workspace(points, table), np.empty(n_sums * LANES)
    row = simd.take_next(taken)
    while row < len(out):
        sums[:] = 0.0
        for t in range(n_sums + 1):
            out[row, t] = 0.0
        for block in range(row * chunk, min((row + 1) * chunk, n_blocks)):
            work.score[:] = 0.0
            for p in range(BLOCK):
                component = label[block * BLOCK + p]
                if component >= 0:
                    work.score[component * BLOCK + p] = points.weight[block * BLOCK + p]
            add_moments(points, block, table, 0, work, sums)
        total_moments(points, table, 0, work, sums, out[row], 1)
        row = simd.take_next(taken)
