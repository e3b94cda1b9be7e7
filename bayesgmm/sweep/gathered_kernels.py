"""Points of a component that are gathered from several blocks, compiled.

In many columns most responsibilities are practically zero: few points of a block have a share in a component. They are
gathered until they fill a block of their own, so that moments are computed of them alone. What is left out is less than
the rounding errors.
"""

from collections import namedtuple

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import block_jit, jit
from bayesgmm.sweep.layout import BLOCK, LANES, Array

simd = Late("bayesgmm.sweep.simd")

FEW = 12  # points of a block: to gather more takes longer than to compute the moments of all
NEGLIGIBLE = 1e-24  # responsibility of a point of weight one that changes no moment
SMALLEST = 2.3e-308  # a normal number

Gathered = namedtuple("Gathered", "share place count")
"""Points whose moments are not yet added.

share : (K * 2 * BLOCK,) float
    Their responsibilities, component by component: there is room for those of one more block.
place : (K * 2 * BLOCK,) int
    Index of the first number of each in ``NativePoints.x``.
count : (K,) int
    Number of points of each component.
"""


@jit
def gathered_memory(n_components: int) -> Gathered:
    """Allocate the memory."""
    room = n_components * 2 * BLOCK
    return Gathered(np.zeros(room), np.zeros(room, np.int64), np.zeros(n_components, np.int64))


@block_jit
def few_share(share: Array, at: int, weight: Array, first: int) -> bool:
    """Return whether few points of a block have a share in a component; ``weight[first:]`` are their weights."""
    count = simd.spread(0.0)
    for p in range(0, BLOCK, LANES):
        limit = simd.fma(simd.load(weight, first + p), simd.spread(NEGLIGIBLE), simd.spread(SMALLEST))
        count = count + simd.below(simd.load(share, at + p), limit)
    return simd.total(count) >= BLOCK - FEW


@block_jit
def gather(share: Array, at: int, weight: Array, first: int, base: int, gathered: Gathered, k: int) -> None:
    """Gather the points of a block, which begins at ``x[base]``, that have a share in component k."""
    to = k * 2 * BLOCK
    end = to + gathered.count[k]
    for p in range(BLOCK):  # the next point overwrites one without a share: there is no branch to be guessed
        gathered.share[end], gathered.place[end] = share[at + p], base + p
        end += not share[at + p] < NEGLIGIBLE * weight[first + p] + SMALLEST
    gathered.count[k] = end - to


@block_jit
def take_gathered(x: Array, n_features: int, mean: Array, start: int, gathered: Gathered, k: int, d: Array) -> int:
    """Write a block of gathered points, less a mean; return where their responsibilities begin.

    Where points are missing for a whole block, those that were taken before fill it, with responsibilities of zero.
    """
    to = k * 2 * BLOCK
    for p in range(to + gathered.count[k], to + BLOCK):
        gathered.share[p] = 0.0
    for j in range(n_features):
        m = simd.spread(mean[start + j])
        for p in range(0, BLOCK, LANES):
            simd.store(d, j * BLOCK + p, simd.gather(x, j * BLOCK, gathered.place, to + p) - m)
    return to


@block_jit
def keep_rest(gathered: Gathered, k: int) -> None:
    """Keep the points beyond one block, after it has been taken."""
    to = k * 2 * BLOCK
    gathered.count[k] = max(0, gathered.count[k] - BLOCK)
    for p in range(to, to + gathered.count[k]):
        gathered.share[p], gathered.place[p] = gathered.share[p + BLOCK], gathered.place[p + BLOCK]
