r"""Missing values in the compiled sweep: a block's missing cells are filled by their expectations.

With :math:`\Lambda = R^\top R` and a point split in observed and missing columns, o and m, under one component

.. math::

    \mathrm E[x_m - \mu_m \mid x_o] &= -\Lambda_{mm}^{-1} \Lambda_{mo} (x_o - \mu_o), \qquad
    \mathrm{Var}[x_m \mid x_o] = \Lambda_{mm}^{-1} \\
    \log N(x_o) &= \log N(x_o, \mathrm E[x_m \mid x_o]) + \tfrac{|m|}{2} \log 2\pi - \tfrac12 \log |\Lambda_{mm}|

So scores are those of the filled point plus a correction, and expected moments are those of the filled point plus the
conditional variance. The same holds for the expected natural parameters of variational Bayes.

What depends only on a component and a *pattern*, a set of missing columns, is computed once for a sweep and kept, for
the patterns that occur most often (``SLOTS``). It is computed again when the component's root has changed.

These functions are called by their addresses, which come with the points (``NativePoints.gaps``): code for points
without missing values stays as it is, and compiles as fast.

References
----------
.. [1] Ghahramani & Jordan (1994), Advances in Neural Information Processing Systems 6: EM with missing values.
"""

import math
from collections import namedtuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import callback, jit, plain_jit
from bayesgmm.sweep.layout import BLOCK, LANES

pointers = Late("bayesgmm.sweep.pointers")
random_numbers = Late("bayesgmm.sweep.random_numbers")

FILL, ADD, DRAW = 0, 1, 2  # places of the addresses
N_PATTERNS, MEMORY, HEAD = 3, 4, 5  # number of patterns, numbers of memory for each component, and what follows them
SLOTS = 256  # maximum number of patterns whose numbers are kept
KEPT = 100_000  # maximum of these numbers, for each component
STAMP, CORRECTION, WEIGHTS = 0, 1, 2  # numbers of a pattern: when it was computed, correction, weights of the others
UNKNOWN = 1 << 40  # length of an array behind a pointer, which nothing reads
CELLS = 1 << 20  # purpose of the random numbers of missing cells; those of assignments have lower ones
NEGLIGIBLE = 1e-30  # a responsibility below this adds nothing to any sum
_LOG_2PI = math.log(2 * math.pi)
Sweep = namedtuple("Sweep", "number chain key0 key1")
"""The counters of all random numbers of one sweep: its number, the chain, and two keys from the seed."""

FLOATS = "CPointer(float64)"
gap_callback = callback(f"int64(CPointer(int64), {', '.join([FLOATS] * 6)}, int64, int64, int64)")
"""Decorator: compile a function of one block and one component, whose address comes with the points.

Its arguments are

gaps_ : (...,) int
    As ``gap_numbers`` returns them.
root_ : (d * d,) or (d,) float
    Root of the component's precision.
centred_ : (d * BLOCK,) float
    The block's points minus the component's mean; their missing cells are filled.
row_ : (BLOCK,) float
    A number for each point: ``fill_gaps`` writes corrections of scores, the others read responsibilities.
sums_ : (moments * LANES,) float
    The component's eight-lane sums of moments, without its count, which ``add_gap_moments`` changes; for ``draw_gaps``
    four counters of random numbers, as doubles: ``Sweep``.
memory_ : (memory,) float
    What is kept for this component.
filled_ : (d * BLOCK,) float
    The filled cells, which ``fill_gaps`` writes and the others read.
block, d, diagonal : int
    Number of the block, D, and 1 if the root is a diagonal.
"""


def gap_numbers(missing: NDArray[np.bool_], n_features: int) -> NDArray[np.int64]:
    """Return missing cells in the form that compiled code reads; empty if there are none.

    Parameters
    ----------
    missing : (n_blocks * D * BLOCK,) bool
        Laid out as the points are.
    n_features : int

    Returns
    -------
    (...,) int
        Addresses of ``fill_gaps``, ``add_gap_moments`` and ``draw_gaps``; number of patterns; numbers of memory for a
        component;
        for each pattern where its columns begin, and for the last where they end; where its numbers are in the memory;
        for each block where its rows begin, and for the last where they end; all columns; and for each row with
        missing cells its place in the block and its pattern. All places count from the start of this array, or of the
        memory.
    """
    rows = missing.reshape(-1, n_features, BLOCK).transpose(0, 2, 1).reshape(-1, n_features)
    at = np.flatnonzero(rows.any(axis=1))
    if not at.size:
        return np.empty(0, dtype=np.int64)
    codes = np.ascontiguousarray(np.packbits(rows[at], axis=1))
    _, first, pattern, counts = np.unique(
        codes.view(f"V{codes.shape[1]}").ravel(), return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    patterns, rank = rows[at[first[order]]], np.argsort(order)
    sizes = patterns.sum(axis=1)
    needs = WEIGHTS + sizes * (n_features + 2 * sizes)
    ends = 1 + 2 * n_features**2 + np.cumsum(needs)
    kept = (np.arange(len(needs)) < SLOTS) & (ends < KEPT) & (counts[order] > 1)
    shared = max([1 + 2 * n_features**2, *ends[kept][-1:].tolist()])  # of the others: computed again for each row
    memory = shared + WEIGHTS + 3 * n_features**2
    n_patterns, n_blocks = len(sizes), len(rows) // BLOCK
    columns_at = HEAD + 2 * n_patterns + 1 + n_blocks + 1 + np.concatenate([[0], np.cumsum(sizes)])
    slots = np.where(kept, ends - needs, -shared)
    rows_at = columns_at[-1] + 2 * np.searchsorted(at, np.arange(n_blocks + 1) * BLOCK)
    together = np.lexsort([rank[pattern], at // BLOCK])  # rows of one pattern follow each other in a block
    records = np.stack([at % BLOCK, rank[pattern]], axis=1)[together].ravel()
    addresses = [fill_gaps.address, add_gap_moments.address, draw_gaps.address, n_patterns, memory]
    return np.concatenate([addresses, columns_at, slots, rows_at, np.nonzero(patterns)[1], records]).astype(np.int64)


@jit
def block_rows(gaps, block):
    """Return where the records of a block's rows begin and end."""
    at = HEAD + 2 * gaps[N_PATTERNS] + 1 + block
    return gaps[at], gaps[at + 1]


@jit
def has_rows(gaps, block):
    """Return True if a block has missing cells."""
    if gaps.size == 0:
        return False
    start, stop = block_rows(gaps, block)
    return start < stop


@jit
def gap_memory(gaps, n_rows, d):
    """Return the numbers of memory for ``n_rows`` components: what is kept, filled cells, and a row of corrections."""
    return n_rows * (gaps[MEMORY] + d * BLOCK) + BLOCK if gaps.size > 0 else 0


@plain_jit
def _keep_root(root, d, diagonal, memory):
    """Keep the component's root and precision, if they differ from those that are kept; forget the patterns then."""
    size = d if diagonal else d * d
    same = True
    for i in range(size):
        same &= memory[1 + i] == root[i]
    if same:
        return
    memory[0] += 1.0
    for i in range(size):
        memory[1 + i] = root[i]
    if not diagonal:
        to = 1 + d * d
        for i in range(d):
            for j in range(i + 1):
                total = 0.0
                for l in range(i, d):
                    total += root[l * d + i] * root[l * d + j]
                memory[to + i * d + j] = memory[to + j * d + i] = total


@plain_jit
def _prepare(gaps, first, count, d, diagonal, at, memory):
    """Compute what a pattern needs: the correction, weights of observed columns, the inverse factor of its precision.

    With the precision's Cholesky factor L of the missing columns: the weights are minus the solution of
    ``L L' weights = precision[missing, observed]``, and the conditional covariance is ``inverse(L)' inverse(L)``,
    whose lower triangle is kept, too.
    """
    weights, inverse = at + WEIGHTS, at + WEIGHTS + count * d
    memory[at + STAMP], memory[at + CORRECTION] = memory[0], 0.5 * count * _LOG_2PI
    for t in range(weights, inverse + 2 * count * count):
        memory[t] = 0.0
    if diagonal:
        for a in range(count):
            r = memory[1 + gaps[first + a]]
            memory[at + CORRECTION] -= math.log(r)
            memory[inverse + a * count + a] = 1.0 / r
            memory[inverse + count * count + a * (a + 1) // 2 + a] = 1.0 / (r * r)
        return
    _factorise(gaps, first, count, d, inverse, memory)
    for a in range(count):
        memory[at + CORRECTION] += math.log(memory[inverse + a * count + a])
    precision = 1 + d * d
    for a in range(count):  # weights = -inverse' (inverse precision[missing])
        for b in range(a + 1):
            c = memory[inverse + a * count + b]
            row = precision + gaps[first + b] * d
            for j in range(d):
                memory[weights + a * d + j] -= c * memory[row + j]
    for a in range(count):
        for j in range(d):
            total = 0.0
            for b in range(a, count):
                total += memory[inverse + b * count + a] * memory[weights + b * d + j]
            memory[weights + a * d + j] = total
    variance = inverse + count * count
    for a in range(count):
        for b in range(a + 1):
            for c in range(a, count):
                memory[variance] += memory[inverse + c * count + a] * memory[inverse + c * count + b]
            variance += 1
    for a in range(count):  # a missing cell has no weight
        for b in range(count):
            memory[weights + a * d + gaps[first + b]] = 0.0


@plain_jit
def _factorise(gaps, first, count, d, to, memory):
    """Write the inverse Cholesky factor of the missing columns' precision, lower-triangular, to ``memory[to:]``."""
    precision = 1 + d * d
    for a in range(count):
        row = precision + gaps[first + a] * d
        for b in range(a + 1):
            total = memory[row + gaps[first + b]]
            for c in range(b):
                total -= memory[to + a * count + c] * memory[to + b * count + c]
            if a == b:
                memory[to + a * count + a] = math.sqrt(total)
            else:
                memory[to + a * count + b] = total / memory[to + b * count + b]
    for b in range(count):
        memory[to + b * count + b] = 1.0 / memory[to + b * count + b]
        for a in range(b + 1, count):
            total = 0.0
            for c in range(b, a):
                total -= memory[to + a * count + c] * memory[to + c * count + b]
            memory[to + a * count + b] = total / memory[to + a * count + a]


@plain_jit
def prepared(gaps, pattern, d, diagonal, memory):
    """Return where a pattern's columns begin, their number, and where its numbers are; compute them if necessary."""
    first = gaps[HEAD + pattern]
    count, at = gaps[HEAD + pattern + 1] - first, gaps[HEAD + gaps[N_PATTERNS] + 1 + pattern]
    if at < 0:
        at = -at
        _prepare(gaps, first, count, d, diagonal, at, memory)
    elif memory[at + STAMP] != memory[0]:
        _prepare(gaps, first, count, d, diagonal, at, memory)
    return first, count, at


@gap_callback
def fill_gaps(gaps_, root_, centred_, row_, sums_, memory_, filled_, block, d, diagonal_):
    """Fill the missing cells of one block; write what is to be added to its scores."""
    gaps, root = pointers.carray(gaps_, UNKNOWN), pointers.carray(root_, UNKNOWN)
    centred, row = pointers.carray(centred_, UNKNOWN), pointers.carray(row_, BLOCK)
    memory, filled = pointers.carray(memory_, UNKNOWN), pointers.carray(filled_, UNKNOWN)
    diagonal, to = diagonal_ != 0, 0
    _keep_root(root, d, diagonal, memory)
    row[:] = 0.0
    start, stop = block_rows(gaps, block)
    for record in range(start, stop, 2):
        p = gaps[record]
        first, count, at = prepared(gaps, gaps[record + 1], d, diagonal, memory)
        row[p] = memory[at + CORRECTION]
        for a in range(count):
            total = 0.0
            if not diagonal:
                weights = at + WEIGHTS + a * d
                for j in range(d):
                    total += memory[weights + j] * centred[j * BLOCK + p]
            filled[to] = total
            to += 1
        for a in range(count):
            centred[gaps[first + a] * BLOCK + p] = filled[to - count + a]
    return 0


@plain_jit
def _add_variances(gaps, first, count, d, diagonal, at, share, sums, memory):
    """Add a row's conditional covariances, times its responsibility, to the sums of a component."""
    variance = at + WEIGHTS + count * (d + count)
    for a in range(count):
        i = gaps[first + a]
        if diagonal:
            sums[(2 * i + 1) * LANES] += share * memory[variance + a * (a + 1) // 2 + a]
            continue
        place = 1 + i + i * (i + 1) // 2  # of the second moments of feature i
        for b in range(a + 1):
            sums[(place + gaps[first + b]) * LANES] += share * memory[variance]
            variance += 1


@gap_callback
def add_gap_moments(gaps_, root_, centred_, row_, sums_, memory_, filled_, block, d, diagonal_):
    """Copy the filled cells of one block, which ``fill_gaps`` has written; add their conditional covariances."""
    gaps, memory = pointers.carray(gaps_, UNKNOWN), pointers.carray(memory_, UNKNOWN)
    centred, row = pointers.carray(centred_, UNKNOWN), pointers.carray(row_, BLOCK)
    sums, filled = pointers.carray(sums_, UNKNOWN), pointers.carray(filled_, UNKNOWN)
    diagonal, at = diagonal_ != 0, 0
    start, stop = block_rows(gaps, block)
    for record in range(start, stop, 2):
        p, pattern = gaps[record], gaps[record + 1]
        first = gaps[HEAD + pattern]
        count = gaps[HEAD + pattern + 1] - first
        for a in range(count):
            centred[gaps[first + a] * BLOCK + p] = filled[at + a]
        at += count
        if row[p] > NEGLIGIBLE:
            _, _, own = prepared(gaps, pattern, d, diagonal, memory)
            _add_variances(gaps, first, count, d, diagonal, own, row[p], sums, memory)
    return 0


@plain_jit
def add_noise(gaps, first, count, d, at, row, sweep, memory, cells, to):
    """Add a draw from the conditional distribution about its mean to a row's filled cells, ``cells[to:]``."""
    inverse, spare = at + WEIGHTS + count * d, 0.0
    for a in range(count):
        if a % 2 == 0:
            kind = CELLS + a // 2
            u, v = random_numbers.uniform_pair(row, sweep.number, sweep.chain, kind, sweep.key0, sweep.key1)
            radius = math.sqrt(-2.0 * math.log(u))
            normal, spare = radius * math.cos(2.0 * math.pi * v), radius * math.sin(2.0 * math.pi * v)
        else:
            normal = spare
        for b in range(a + 1):
            cells[to + b] += memory[inverse + a * count + b] * normal


@gap_callback
def draw_gaps(gaps_, root_, centred_, row_, counters_, memory_, filled_, block, d, diagonal_):
    """Replace the missing cells of the points of a component by draws, given what is observed."""
    gaps, memory = pointers.carray(gaps_, UNKNOWN), pointers.carray(memory_, UNKNOWN)
    centred, row = pointers.carray(centred_, UNKNOWN), pointers.carray(row_, BLOCK)
    filled, counters = pointers.carray(filled_, UNKNOWN), pointers.carray(counters_, 4)
    sweep = Sweep(int(counters[0]), int(counters[1]), int(counters[2]), int(counters[3]))
    diagonal, at = diagonal_ != 0, 0
    start, stop = block_rows(gaps, block)
    for record in range(start, stop, 2):
        p, pattern = gaps[record], gaps[record + 1]
        first = gaps[HEAD + pattern]
        count = gaps[HEAD + pattern + 1] - first
        if row[p] > 0.0:
            _, _, own = prepared(gaps, pattern, d, diagonal, memory)
            add_noise(gaps, first, count, d, own, block * BLOCK + p, sweep, memory, filled, at)
        for a in range(count):
            centred[gaps[first + a] * BLOCK + p] = filled[at + a]
        at += count
    return 0
