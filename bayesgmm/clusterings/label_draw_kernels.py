"""Labels drawn from responsibilities, compiled.

The random number of a draw and a point is a hash of the seed and of both their numbers (SplitMix64: Steele, Lea &
Flood 2014), so that labels depend neither on the thread that draws them nor on the order in which they are drawn.
"""

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import BLOCK, Array, IntArray
from bayesgmm.sweep.orchestration import NativePoints, NativeTable, Workspace, assign_block, count_blocks, workspace

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@jit
def uniform(key: int, counter: int) -> float:
    """Return the random number in [0, 1) of a key (uint64) and a counter."""
    z = key + np.uint64(counter + 1) * _STEP
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@jit
def _draw_block(
    points: NativePoints,
    block: int,
    table: NativeTable,
    draw: int,
    key: int,
    one: Array,
    work: Workspace,
    label: IntArray,
) -> None:
    """Draw a component for each point of a block under one draw; a background is component K."""
    assign_block(points, block, table, draw, one, 0, work)
    a, counter = work.score, draw * points.n_points + block * BLOCK
    for p in range(BLOCK):
        target, sum_ = uniform(key, counter + p), 0.0
        for k in range(a.size // BLOCK):
            share = a[k * BLOCK + p]
            if share > 0:
                label[p] = k  # stays if rounding errors leave the sum below the target
            sum_ += share
            if sum_ > target:
                break


@kernel
def draw_labels(
    points: NativePoints, table: NativeTable, key: int, start: int, stop: int, out: NDArray[np.int16]
) -> None:
    """Draw a component for every point under draws start to stop: out[draw, point]."""
    work, one, label = workspace(points, table), np.ones(BLOCK), np.zeros(BLOCK, np.int64)
    for s in range(start, stop):
        for b in range(count_blocks(points)):
            _draw_block(points, b, table, s, key, one, work, label)
            for p in range(min(BLOCK, points.n_points - b * BLOCK)):
                out[s, b * BLOCK + p] = label[p]


@kernel
def count_labels(points: NativePoints, table: NativeTable, key: int, start: int, stop: int, out: IntArray) -> None:
    """Count the points of each component for draws start to stop: out[draw, component].

    The labels are those of ``draw_labels``. The background is not a component: its points are not counted.
    """
    work, one, label = workspace(points, table), np.ones(BLOCK), np.zeros(BLOCK, np.int64)
    for s in range(start, stop):
        for b in range(count_blocks(points)):
            _draw_block(points, b, table, s, key, one, work, label)
            for p in range(min(BLOCK, points.n_points - b * BLOCK)):
                if label[p] < table.n_components:
                    out[s, label[p]] += 1
