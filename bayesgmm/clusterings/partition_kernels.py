"""Compiled kernels for partitions: losses, and the greedy search.

Draws are ``z[point, draw]``, their clusters numbered from 0 to ``n_groups - 1``. A loss is made of a convex function f
(x log2 x, or x squared) of ``count[draw, group, cluster]``, the number of points of a draw's group in a cluster.
``gain[x] = f(x + 1) - f(x)``. ``value`` holds the gain of every count, with eight clusters side by side: one vector
addition for each draw then sums the gains of a point in eight clusters.

A ``problem`` is (z, n_groups, gain, split_cost, join_cost, max_clusters). A ``state`` is (labels, count, value, size,
acc, order).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clusterings.label_draw_kernels import uniform
from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import LANES, Array, IntArray

simd = Late("bayesgmm.sweep.simd")
Search = tuple[NDArray[np.int16], int, Array, float, float, int]  # a problem
State = tuple[IntArray, NDArray[np.int32], Array, IntArray, Array, IntArray]
_L = LANES
_TOLERANCE = 1e-9  # changes of the loss times N below this are rounding errors


@kernel
def compress(labels: NDArray[np.integer[Any]], out: NDArray[np.int16]) -> int:
    """Number each draw's clusters from 0: labels[draw, point] to out[point, draw]; return their maximum number."""
    n_draws, n_points = labels.shape
    maximum = 0
    number = np.empty(labels.max() + 1, np.int64)
    for s in range(n_draws):
        number[:] = -1
        n_groups = 0
        for i in range(n_points):
            k = labels[s, i]
            if number[k] < 0:
                number[k] = n_groups
                n_groups += 1
            out[i, s] = number[k]
        maximum = max(maximum, n_groups)
    return maximum


@kernel
def tabulate(z: NDArray[np.int16], labels: IntArray, start: int, stop: int, count: NDArray[np.int32]) -> None:
    """Fill count[draw, group, cluster] for draws start to stop."""
    count[start:stop] = 0
    for i in range(z.shape[0]):
        k = labels[i]
        for s in range(start, stop):
            count[s, z[i, s], k] += 1


@kernel
def agreement(
    z: NDArray[np.int16], labels: IntArray, f: Array, start: int, stop: int, count: NDArray[np.int32], out: Array
) -> None:
    """out[draw] = sum of f over the counts, for draws start to stop."""
    tabulate(z, labels, start, stop, count)
    for s in range(start, stop):
        sum_ = 0.0
        for j in range(count.shape[1]):
            for k in range(count.shape[2]):
                sum_ += f[count[s, j, k]]
        out[s] = sum_


@kernel
def jaccard_distances(
    z: NDArray[np.int16],
    labels: IntArray,
    count: NDArray[np.int32],
    group_size: Array,
    size: Array,
    start: int,
    stop: int,
    out: Array,
) -> None:
    """Write the mean Jaccard distance of each point's cluster from its cluster in the draws: points start to stop."""
    n_draws = z.shape[1]
    for i in range(start, stop):
        sum_ = 0.0
        k = labels[i]
        for s in range(n_draws):
            j = z[i, s]
            both = count[s, j, k]
            sum_ += both / (size[k] + group_size[s, j] - both)
        out[i] = 1.0 - sum_ / n_draws


@jit
def _scan(problem: Search, state: State, i: int, used: int) -> None:
    """acc[cluster] = gain of point i in each cluster, summed over the draws."""
    z, n_groups = problem[:2]
    _, _, value, size, acc, _ = state
    width, n_draws = size.size, z.shape[1]
    even = n_draws - n_draws % 2
    for c in range(0, used, LANES):
        v = w = simd.spread(0.0)
        for s in range(0, even, 2):
            v = v + simd.load(value, (s * n_groups + z[i, s]) * width + c)
            w = w + simd.load(value, ((s + 1) * n_groups + z[i, s + 1]) * width + c)
        if even < n_draws:
            v = v + simd.load(value, (even * n_groups + z[i, even]) * width + c)
        simd.store(acc, c, v + w)


@jit
def _stay(problem: Search, state: State, i: int) -> float:
    """Return the contribution of point i to the loss (times N) in its own cluster."""
    z, n_groups, gain, split_cost, join_cost, _ = problem
    labels, count, _, size, _, _ = state
    k, width = labels[i], size.size
    sum_ = 0.0
    for s in range(z.shape[1]):
        sum_ += gain[count[(s * n_groups + z[i, s]) * width + k] - 1]
    return join_cost * gain[size[k] - 1] - (split_cost + join_cost) / z.shape[1] * sum_


@jit
def _put(problem: Search, state: State, i: int, k: int) -> None:
    """Put point i, which has no cluster, into cluster k."""
    state[0][i] = k
    _change(problem, state, i, k, 1)


@jit
def _take(problem: Search, state: State, i: int) -> None:
    """Take point i out of its cluster."""
    _change(problem, state, i, state[0][i], -1)
    state[0][i] = -1


@jit
def _change(problem: Search, state: State, i: int, k: int, by: int) -> None:
    z, n_groups, gain = problem[:3]
    _, count, value, size, _, _ = state
    size[k] += by
    for s in range(z.shape[1]):
        at = (s * n_groups + z[i, s]) * size.size + k
        count[at] += by
        value[at] = gain[count[at]]


@jit
def _used(size: IntArray) -> int:
    used = size.size
    while used > 0 and size[used - 1] == 0:
        used -= 1
    return used


@jit
def _best(problem: Search, state: State, i: int) -> tuple[int, float]:
    """Return the best cluster for point i, and the contribution of the point to the loss (times N) in it.

    A point without a cluster has the label -1. For a point that is alone in its cluster, a new cluster changes nothing.
    """
    z, _, gain, split_cost, join_cost, max_clusters = problem
    labels, size, acc = state[0], state[3], state[4]
    used, current = _used(size), labels[i]
    _scan(problem, state, i, used)
    best, lowest = -1, np.inf
    may_be_new = True
    if current >= 0:
        best, lowest, may_be_new = current, _stay(problem, state, i), size[current] > 1
    for k in range(min(used + 1, max_clusters)):
        if k == current or (size[k] == 0 and not may_be_new):
            continue
        cost = join_cost * gain[size[k]] - (split_cost + join_cost) / z.shape[1] * acc[k]
        if size[k] == 0:
            cost, may_be_new = -split_cost * gain[0], False  # all empty clusters are equal
        if cost < lowest - _TOLERANCE:
            best, lowest = k, cost
    return best, lowest


@jit
def _shuffle(order: IntArray, key: int, counter: int) -> int:
    for i in range(order.size - 1, 0, -1):
        j = int(uniform(key, counter + i) * (i + 1))
        order[i], order[j] = order[j], order[i]
    return counter + order.size


@jit
def _sweep(problem: Search, state: State, key: int, counter: int, max_sweeps: int) -> int:
    """Move every point to its best cluster, in random order, until none moves; return the next counter."""
    labels, order = state[0], state[5]
    for _ in range(max_sweeps):
        moved = False
        counter = _shuffle(order, key, counter)
        for i in order:
            k, _ = _best(problem, state, i)
            if k != labels[i]:
                _take(problem, state, i)
                _put(problem, state, i, k)
                moved = True
        if not moved:
            break
    return counter


@jit
def _dissolve(problem: Search, state: State, key: int, counter: int, cluster: int) -> int:
    """Dissolve a cluster and allocate its points again, unless that is worse; return the next counter."""
    labels, order = state[0], state[5]
    counter = _shuffle(order, key, counter)
    members = order[labels[order] == cluster]
    change = 0.0
    for i in members:
        change -= _stay(problem, state, i)
        _take(problem, state, i)
    for i in members:
        k, cost = _best(problem, state, i)
        change += cost
        _put(problem, state, i, k)
    if change > -_TOLERANCE:
        for i in members:
            _take(problem, state, i)
            _put(problem, state, i, cluster)
    return counter


@kernel
def search(
    z: NDArray[np.int16],
    n_groups: int,
    gain: Array,
    split_cost: float,
    join_cost: float,
    max_clusters: int,
    key: Any,
    max_sweeps: int,
    n_dissolved: int,
    labels: IntArray,
) -> None:
    """Improve a clustering in place until no single move improves it; points labelled -1 are allocated first.

    Sequential allocation in random order, then sweeps over all points in random orders, then clusters are dissolved and
    their points allocated again (Dahl, Johnson & Mueller 2022). The result is never worse than the start.
    """
    n_points, n_draws = z.shape
    width = (max_clusters + LANES - 1) // LANES * LANES
    cells = n_draws * n_groups * width
    count, value = np.zeros(cells, np.int32), np.full(cells, gain[0])
    size, acc, order = np.zeros(width, np.int64), np.empty(width), np.arange(n_points)
    problem = (z, n_groups, gain, split_cost, join_cost, max_clusters)
    state = (labels, count, value, size, acc, order)
    for i in range(n_points):
        if labels[i] >= 0:
            _change(problem, state, i, labels[i], 1)
    counter = _shuffle(order, key, 0)
    for i in range(n_points):
        if labels[order[i]] < 0:
            k, _ = _best(problem, state, order[i])
            _put(problem, state, order[i], k)
    counter = _sweep(problem, state, key, counter, max_sweeps)
    for _ in range(n_dissolved):
        cluster = int(uniform(key, counter) * _used(size))
        counter = _dissolve(problem, state, key, counter + 1, cluster)
    _sweep(problem, state, key, counter, max_sweeps)
