"""Sufficient statistics of points with labels, compiled: each point counts for one component alone."""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.kernels import BLOCK, add_lanes, load4, moments_diagonal, moments_full, moments_width
from bayesgmm.sweep.layout import LANES, Array, IntArray
from bayesgmm.sweep.orchestration import chunk_size

simd = Late("bayesgmm.sweep.simd")


@kernel
def fold_labels(
    rows: Array, weight: Array, labels: IntArray, about: Array, diagonal: bool, start: int, stop: int, out: Array
) -> None:
    """Fold the chunks start to stop of rows; a row of ``out`` (chunks, sums) is one of ``orchestration.fold_chunks``.

    ``rows`` are flat (N D,), with weights (N,) and labels (N,): a component, or -1 for none. Moments are about the
    points ``about``, flat (K D,). The points of a component are laid out as a block when there are enough of them. The
    log likelihood, the first sum, is zero.
    """
    n, d = labels.size, rows.size // labels.size
    k, width, size = about.size // d, moments_width(d, diagonal), chunk_size(-(-n // BLOCK)) * BLOCK
    sums, block, share = np.empty(k * width * LANES), np.empty(d * BLOCK), np.empty(BLOCK)
    waiting, counts, places = np.empty(k * BLOCK, np.int64), np.empty(k, np.int64), np.empty(BLOCK, np.int64)
    for chunk in range(start, stop):
        sums[:], counts[:] = 0.0, 0
        last = min((chunk + 1) * size, n)
        for i in range(chunk * size, last + k):  # after the last row, what waits is folded, component by component
            c = labels[i] if i < last else i - last
            if i < last and c >= 0:
                waiting[c * BLOCK + counts[c]] = i
                counts[c] += 1
            if c >= 0 and (counts[c] == BLOCK or (i >= last and counts[c] > 0)):
                for p in range(BLOCK):
                    row = waiting[c * BLOCK + min(p, counts[c] - 1)]
                    places[p], share[p] = row * d, weight[row] if p < counts[c] else 0.0
                counts[c] = 0
                lay_out_rows(rows, places, about, c * d, d, block)
                r0, r1, r2, r3 = load4(share, 0)
                to = c * width * LANES
                add_lanes(sums, to, r0, r1, r2, r3)
                if diagonal:
                    moments_diagonal(block, r0, r1, r2, r3, d, sums, to + LANES)
                else:
                    moments_full(block, r0, r1, r2, r3, d, sums, to + LANES)
        out[chunk, 0] = 0.0
        for t in range(k * width):
            out[chunk, t + 1] = simd.total(simd.load(sums, t * LANES))


@jit
def lay_out_rows(rows: Array, places: IntArray, about: Array, at: int, n_features: int, block: Array) -> None:
    """Lay out the rows that begin at 32 places as a block, less the point ``about[at:]``."""
    for p in range(0, BLOCK, LANES):
        for j in range(n_features):
            simd.store(block, j * BLOCK + p, simd.gather(rows, j, places, p) - simd.spread(about[at + j]))
