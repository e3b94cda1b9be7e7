r"""Latent cells in the compiled sweep: missing values, and values that were measured with an error.

A row's latent columns l have true values :math:`z_l`; the others, e, are exact. Errors of measured cells are Gaussian
with precision W, which is zero where a cell is missing. Under a component with precision :math:`\Lambda = R^\top R`

.. math::

    \mathrm{Var}[z_l \mid x] &= C = (\Lambda_{ll} + W)^{-1}, \qquad
    \mathrm E[z_l - \mu_l \mid x] = C \bigl( W (x_l - \mu_l) - \Lambda_{le} (x_e - \mu_e) \bigr) \\
    \log p(x) &= \log N(x_e, \mathrm E z_l) - \tfrac12 \lVert x_l - \mathrm E z_l \rVert_W^2
        + \tfrac12 \log |W_{mm}| + \tfrac12 \log |C| + \tfrac{|l| - |m|}{2} \log 2\pi

with m the measured columns of l. So scores are those of the point of expectations plus a correction, and expected
moments are those of this point plus the conditional variance. The same holds for the expected natural parameters of
variational Bayes.

All rows of a block are computed together, in the lanes of four vectors, as the sweep does it.

These functions are called by their addresses, which come with the points (``NativePoints.latent``): code for exact
points stays as it is, and compiles as fast.

References
----------
.. [1] Ghahramani & Jordan (1994), Advances in Neural Information Processing Systems 6: EM with missing values.
.. [2] Bovy, Hogg & Roweis (2011), Annals of Applied Statistics 5(2B), 1657-1677: EM with errors of measurement.
"""

import math
from typing import Any

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import callback, plain_jit
from bayesgmm.sweep.kernels import add_row
from bayesgmm.sweep.latent_records import (
    COLUMNS,
    COMPONENT,
    COUNT,
    COUNTERS,
    COVARIANCES,
    FLOATS,
    HEAD,
    KIND,
    NO_NOISE,
    SAME,
    UNION,
    VARIANCES,
    Sweep,
    cell_columns,
    is_dense,
    kept_from,
    rows_with,
    scratch,
    triangle,
)
from bayesgmm.sweep.layout import BLOCK, LANES, Array, IntArray, Row

simd = Late("bayesgmm.sweep.simd")
pointers = Late("bayesgmm.sweep.pointers")
random_numbers = Late("bayesgmm.sweep.random_numbers")

UNKNOWN = 1 << 40  # length of an array behind a pointer, which nothing reads
CELLS = 1 << 20  # purpose of the random numbers of latent cells; those of assignments have lower ones
CHAIN_BITS = 20  # of the number of a chain; the component's number follows in the same counter
RUN = 8  # factors of a product that is small enough to have a logarithm
FLOAT_POINTERS = "CPointer(float64)"
latent_callback = callback(f"int64(CPointer(int64), {', '.join([FLOAT_POINTERS] * 5)}, int64, int64, int64)")
"""Decorator: compile a function of one block and one component, whose address comes with the points.

Its arguments are

latent_ : (...,) int
    As ``latent_cells.latent_numbers`` returns them.
root_ : (d * d,) or (d,) float
    Root of the component's precision; for ``draw_cells`` counters of random numbers: those of ``Sweep``, as doubles,
    and the number of the component.
centred_ : (d * BLOCK,) float
    The block's points minus the component's mean; their latent cells are replaced.
row_ : (BLOCK,) float
    A number for each point: ``expect_cells`` writes corrections of scores, the others read responsibilities.
sums_ : (moments * LANES,) float
    The component's eight-lane sums of moments, without its count, which ``add_variances`` and ``draw_cells`` change.
memory_ : (memory,) float
    What is kept for this component. ``expect_cells`` writes it for a block, and the others read it.
block, d, diagonal : int
    Number of the block, D, and 1 if the root is a diagonal.
"""


@plain_jit
def _keep_root(root: Array, d: int, diagonal: bool, memory: Array) -> None:
    """Keep the component's root and its precision, if it differs from the one that is kept.

    The precision has a further row and column of zeros, for column D, which does not exist; its diagonal, which is kept
    once more, has a one there.
    """
    size, to = d if diagonal else d * d, d * d
    diagonal_at = to + (d + 1) ** 2
    same = True
    for i in range(size):
        same &= memory[i] == root[i]
    if same:
        return
    for i in range(size):
        memory[i] = root[i]
    memory[diagonal_at + d] = 1.0
    for i in range(d):
        if diagonal:
            memory[diagonal_at + i] = root[i] * root[i]
            continue
        for j in range(i + 1):
            total = 0.0
            for l in range(i, d):
                total += root[l * d + i] * root[l * d + j]
            memory[to + i * (d + 1) + j] = memory[to + j * (d + 1) + i] = total
        memory[diagonal_at + i] = memory[to + i * (d + 2)]


@plain_jit
def _gather(array: Array, base: int, latent: IntArray, first: int) -> Row:
    """Load numbers at places that differ from row to row."""
    return simd.join(
        simd.gather(array, base, latent, first),
        simd.gather(array, base, latent, first + LANES),
        simd.gather(array, base, latent, first + 2 * LANES),
        simd.gather(array, base, latent, first + 3 * LANES),
    )


@plain_jit
def _gather_rows(array: Array, base: int, latent: IntArray, first: int) -> Row:
    """Load each row's number of a column that it chooses."""
    return simd.join(
        simd.gather_rows(array, base, BLOCK, latent, first),
        simd.gather_rows(array, base + LANES, BLOCK, latent, first + LANES),
        simd.gather_rows(array, base + 2 * LANES, BLOCK, latent, first + 2 * LANES),
        simd.gather_rows(array, base + 3 * LANES, BLOCK, latent, first + 3 * LANES),
    )


@plain_jit
def _gather_pairs(array: Array, base: int, width: int, latent: IntArray, first: int, second: int) -> Row:
    """Load the entry of a matrix in each row's own row and column."""
    return simd.join(
        simd.gather_pairs(array, base, width, latent, first, second),
        simd.gather_pairs(array, base, width, latent, first + LANES, second + LANES),
        simd.gather_pairs(array, base, width, latent, first + 2 * LANES, second + 2 * LANES),
        simd.gather_pairs(array, base, width, latent, first + 3 * LANES, second + 3 * LANES),
    )


@plain_jit
def _separate(latent: IntArray, at: int, d: int, centred: Array, memory: Array, exact: int, kept: int) -> None:
    """Copy the deviations of the block's exact cells, with zeros for latent ones, and those of the latent cells."""
    for j in range(d):
        simd.store(memory, exact + j * BLOCK, simd.load_row(centred, j * BLOCK))
    simd.store(memory, exact + d * BLOCK, simd.spread_row(0.0))
    for a in range(latent[at + COUNT]):
        first, to = cell_columns(latent, at) + a * BLOCK, kept + a * BLOCK
        if latent[at + SAME] > 0:
            place = exact + latent[first] * BLOCK
            simd.store(memory, to, simd.load_row(memory, place))
            simd.store(memory, place, simd.spread_row(0.0))
        else:
            simd.store(memory, to, _gather_rows(memory, exact, latent, first))
            start, stop = rows_with(latent, at, a)
            for r in range(start, stop):
                memory[exact + latent[first + latent[r]] * BLOCK + latent[r]] = 0.0


@plain_jit
def _pull_of_exact(latent: IntArray, at: int, d: int, memory: Array, exact: int, to: int) -> None:
    """Write the precision times the exact deviations, of columns with latent cells, to ``memory[to:]``."""
    for u in range(latent[at + UNION]):
        column, total = latent[at + COLUMNS + u], simd.spread_row(0.0)
        row = d * d + column * (d + 1)
        for j in range(d):
            total = simd.fma(simd.spread_row(memory[row + j]), simd.load_row(memory, exact + j * BLOCK), total)
        simd.store(memory, to + column * BLOCK, total)
    simd.store(memory, to + d * BLOCK, simd.spread_row(0.0))


@plain_jit
def _conditional_precision(latent: IntArray, floats: Array, at: int, a: int, b: int, d: int, memory: Array) -> Row:
    """Return an entry of the precision of the latent cells, given what was measured."""
    columns, noise = cell_columns(latent, at), latent[at + FLOATS] + BLOCK
    first, second = columns + a * BLOCK, columns + b * BLOCK
    if latent[at + SAME] > 0:
        i, j = latent[first], latent[second]
        value = simd.spread_row(memory[d * d + ((d + 1) ** 2 + i if a == b else i * (d + 1) + j)])
    elif a == b:
        value = _gather(memory, d * d + (d + 1) ** 2, latent, first)
    else:
        value = _gather_pairs(memory, d * d, d + 1, latent, first, second)
    if latent[at + KIND] == COVARIANCES:
        value = value + simd.load_row(floats, noise + (triangle(a) + b) * BLOCK)
    elif latent[at + KIND] == VARIANCES and a == b:
        value = value + simd.load_row(floats, noise + a * BLOCK)
    return value


@plain_jit
def _factorise(latent: IntArray, floats: Array, at: int, d: int, dense: bool, memory: Array, factor: int) -> Row:
    """Keep the inverse Cholesky factor of the precision of the latent cells; return its log determinant.

    It is lower-triangular. Where it is not dense, only its diagonal is written and read.
    """
    count, minus = latent[at + COUNT], simd.spread_row(-1.0)
    log_determinant, product = simd.spread_row(0.0), simd.spread_row(1.0)
    for a in range(count):
        row = factor + triangle(a) * BLOCK
        for b in range(0 if dense else a, a + 1):
            value = _conditional_precision(latent, floats, at, a, b, d, memory)
            column = factor + triangle(b) * BLOCK
            for c in range(0 if dense else b, b):
                left = minus * simd.load_row(memory, row + c * BLOCK)
                value = simd.fma(left, simd.load_row(memory, column + c * BLOCK), value)
            if a == b:
                value = simd.spread_row(1.0) / simd.sqrt(value)
                product = product * value
            else:
                value = value * simd.load_row(memory, column + b * BLOCK)
            simd.store(memory, row + b * BLOCK, value)
        if a % RUN == RUN - 1 or a == count - 1:
            log_determinant, product = log_determinant + simd.log(product), simd.spread_row(1.0)
    for b in range(count if dense else 0):
        for a in range(b + 1, count):
            row, total = factor + triangle(a) * BLOCK, simd.spread_row(0.0)
            for c in range(b, a):
                other = simd.load_row(memory, factor + (triangle(c) + b) * BLOCK)
                total = simd.fma(simd.load_row(memory, row + c * BLOCK), other, total)
            simd.store(memory, row + b * BLOCK, minus * total * simd.load_row(memory, row + a * BLOCK))
    return log_determinant


@plain_jit
def _noise_times(latent: IntArray, floats: Array, at: int, a: int, memory: Array, of: int) -> Row:
    """Return an entry of the precision of the errors times the vectors at ``memory[of:]``."""
    noise = latent[at + FLOATS] + BLOCK
    if latent[at + KIND] == VARIANCES:
        return simd.load_row(floats, noise + a * BLOCK) * simd.load_row(memory, of + a * BLOCK)
    total = simd.spread_row(0.0)
    for b in range(latent[at + COUNT]):
        place = triangle(a) + b if b <= a else triangle(b) + a
        total = simd.fma(simd.load_row(floats, noise + place * BLOCK), simd.load_row(memory, of + b * BLOCK), total)
    return total


@plain_jit
def _solve(count: int, dense: bool, memory: Array, factor: int, spare: int) -> None:
    """Replace the vectors at ``memory[spare:]`` by their products with the inverse of the precision."""
    for i in range(count):  # the factor times them, from the last on, in place
        a, total = count - 1 - i, simd.spread_row(0.0)
        for b in range(0 if dense else a, a + 1):
            entry = simd.load_row(memory, factor + (triangle(a) + b) * BLOCK)
            total = simd.fma(entry, simd.load_row(memory, spare + b * BLOCK), total)
        simd.store(memory, spare + a * BLOCK, total)
    for a in range(count):  # and its transpose times that
        total = simd.spread_row(0.0)
        for b in range(a, count if dense else a + 1):
            entry = simd.load_row(memory, factor + (triangle(b) + a) * BLOCK)
            total = simd.fma(entry, simd.load_row(memory, spare + b * BLOCK), total)
        simd.store(memory, spare + a * BLOCK, total)


@plain_jit
def _expectations(
    latent: IntArray,
    floats: Array,
    at: int,
    dense: bool,
    has_pull: bool,
    memory: Array,
    pull: int,
    spare: int,
    kept: int,
) -> Row:
    """Keep the expected deviations of latent cells in place of those that were measured.

    Returns the squared distances of the measured values from their expectations.
    """
    count, distance, minus = latent[at + COUNT], simd.spread_row(0.0), simd.spread_row(-1.0)
    noisy = latent[at + KIND] != NO_NOISE
    for a in range(count):
        value = simd.spread_row(0.0)
        first = cell_columns(latent, at) + a * BLOCK
        if has_pull and latent[at + SAME] > 0:
            value = minus * simd.load_row(memory, pull + latent[first] * BLOCK)
        elif has_pull:
            value = minus * _gather_rows(memory, pull, latent, first)
        if noisy:
            value = value + _noise_times(latent, floats, at, a, memory, kept)
        simd.store(memory, spare + a * BLOCK, value)
    _solve(count, dense, memory, kept + count * BLOCK, spare)
    for a in range(count):
        expected, measured = simd.load_row(memory, spare + a * BLOCK), simd.load_row(memory, kept + a * BLOCK)
        simd.store(memory, spare + a * BLOCK, simd.fma(minus, expected, measured))
        simd.store(memory, kept + a * BLOCK, expected)
    for a in range(count if noisy else 0):
        away = simd.load_row(memory, spare + a * BLOCK)
        distance = simd.fma(_noise_times(latent, floats, at, a, memory, spare), away, distance)
    return distance


@plain_jit
def _replace(latent: IntArray, at: int, centred: Array, memory: Array, kept: int) -> None:
    """Replace the latent cells of a block by what is kept."""
    for a in range(latent[at + COUNT]):
        first, own = cell_columns(latent, at) + a * BLOCK, kept + a * BLOCK
        if latent[at + SAME] > 0:
            simd.store(centred, latent[first] * BLOCK, simd.load_row(memory, own))
            continue
        start, stop = rows_with(latent, at, a)
        for r in range(start, stop):
            p = latent[r]
            centred[latent[first + p] * BLOCK + p] = memory[own + p]


@latent_callback
def expect_cells(
    latent_: Any, root_: Any, centred_: Any, row_: Any, sums_: Any, memory_: Any, block: int, d: int, diagonal_: int
) -> int:
    """Replace the latent cells of one block by their expectations; write what is to be added to its scores."""
    latent, root = pointers.carray(latent_, UNKNOWN), pointers.carray(root_, UNKNOWN)
    floats = pointers.carray(pointers.as_floats(latent_), UNKNOWN)
    centred, row = pointers.carray(centred_, UNKNOWN), pointers.carray(row_, BLOCK)
    memory, diagonal, at = pointers.carray(memory_, UNKNOWN), diagonal_ != 0, latent[HEAD + block]
    exact, kept = scratch(d), kept_from(d)
    pull, spare = exact + (d + 1) * BLOCK, exact + 2 * (d + 1) * BLOCK
    dense = is_dense(latent, at, diagonal)
    _keep_root(root, d, diagonal, memory)
    _separate(latent, at, d, centred, memory, exact, kept)
    has_pull = not diagonal and (latent[at + SAME] == 0 or latent[at + COUNT] < d)
    if has_pull:
        _pull_of_exact(latent, at, d, memory, exact, pull)
    log_determinant = _factorise(latent, floats, at, d, dense, memory, kept + latent[at + COUNT] * BLOCK)
    distance = _expectations(latent, floats, at, dense, has_pull, memory, pull, spare, kept)
    correction = simd.fma(simd.spread_row(-0.5), distance, log_determinant)
    simd.store(row, 0, correction + simd.load_row(floats, latent[at + FLOATS]))
    _replace(latent, at, centred, memory, kept)
    return 0


@plain_jit
def variance_of(latent: IntArray, at: int, p: int, a: int, b: int, d: int, dense: bool, memory: Array) -> float:
    """Return an entry of the conditional covariance of a row's latent cells, b <= a."""
    count, total = latent[at + COUNT], 0.0
    factor = kept_from(d) + count * BLOCK + p
    for c in range(a, count if dense else a + 1):
        row = factor + triangle(c) * BLOCK
        if dense or a == b:
            total += memory[row + a * BLOCK] * memory[row + b * BLOCK]
    return total


@plain_jit
def _moment(i: int, j: int, diagonal: bool) -> int:
    """Return the place among a component's moments, without its count, of the second moment of features j <= i."""
    return 2 * i + 1 if diagonal else i + triangle(i) + 1 + j


@latent_callback
def add_variances(
    latent_: Any, root_: Any, centred_: Any, row_: Any, sums_: Any, memory_: Any, block: int, d: int, diagonal_: int
) -> int:
    """Replace the latent cells of one block by their expectations; add their conditional covariances to the sums."""
    latent, memory = pointers.carray(latent_, UNKNOWN), pointers.carray(memory_, UNKNOWN)
    centred, row = pointers.carray(centred_, UNKNOWN), pointers.carray(row_, BLOCK)
    sums, diagonal, at = pointers.carray(sums_, UNKNOWN), diagonal_ != 0, latent[HEAD + block]
    spare, kept, dense, columns = scratch(d), kept_from(d), is_dense(latent, at, diagonal), cell_columns(latent, at)
    count = latent[at + COUNT]
    factor, share = kept + count * BLOCK, simd.load_row(row, 0)
    _replace(latent, at, centred, memory, kept)
    for a in range(count):
        start, stop = rows_with(latent, at, a)
        for b in range(a if diagonal or not dense else 0, a + 1):
            total = simd.spread_row(0.0)
            for c in range(a, count if dense else a + 1):
                at_a, at_b = (triangle(c) + a) * BLOCK, (triangle(c) + b) * BLOCK
                total = simd.fma(simd.load_row(memory, factor + at_a), simd.load_row(memory, factor + at_b), total)
            total = total * share
            first, second = columns + a * BLOCK, columns + b * BLOCK
            if latent[at + SAME] > 0:
                add_row(sums, _moment(latent[first], latent[second], diagonal) * LANES, total)
                continue
            simd.store(memory, spare, total)
            for r in range(start, stop):
                p = latent[r]
                to = _moment(latent[first + p], latent[second + p], diagonal) * LANES
                sums[to + p % LANES] += memory[spare + p]
    return 0


@plain_jit
def add_draw(
    latent: IntArray,
    at: int,
    p: int,
    d: int,
    dense: bool,
    row: int,
    sweep: Sweep,
    copy: int,
    scale: float,
    memory: Array,
    to: int,
    step: int,
) -> None:
    """Add a draw from the conditional distribution of a row's cells about its mean, times a scale, to ``memory[to:]``.

    The number of the ``copy`` is a counter of the random numbers; ``step`` is the distance from cell to cell.
    """
    count, spare = latent[at + COUNT], 0.0
    factor, columns = kept_from(d) + p + count * BLOCK, cell_columns(latent, at) + p
    for a in range(count):
        if latent[columns + a * BLOCK] == d:
            break
        if a % 2 == 0:
            kind = CELLS + copy * ((d + 1) // 2) + a // 2
            u, v = random_numbers.uniform_pair(row, sweep.number, sweep.chain, kind, sweep.key0, sweep.key1)
            radius = scale * math.sqrt(-2.0 * math.log(u))
            normal, spare = radius * math.cos(2.0 * math.pi * v), radius * math.sin(2.0 * math.pi * v)
        else:
            normal = spare
        for b in range(0 if dense else a, a + 1):
            memory[to + b * step] += memory[factor + (triangle(a) + b) * BLOCK] * normal


@plain_jit
def _add_scatter(
    latent: IntArray,
    at: int,
    p: int,
    d: int,
    diagonal: bool,
    dense: bool,
    row: int,
    sweep: Sweep,
    copies: int,
    memory: Array,
    sums: Array,
) -> None:
    """Add to the sums the squares of the cells of several points of a row about their mean, which are drawn."""
    spare, columns = scratch(d), cell_columns(latent, at) + p
    for copy in range(1, copies):
        for a in range(d):
            memory[spare + a] = 0.0
        add_draw(latent, at, p, d, dense, row, sweep, copy, 1.0, memory, spare, 1)
        for a in range(latent[at + COUNT]):
            i = latent[columns + a * BLOCK]
            if i == d:
                break
            for b in range(a if diagonal else 0, a + 1):
                to = _moment(i, latent[columns + b * BLOCK], diagonal) * LANES
                sums[to + p % LANES] += memory[spare + a] * memory[spare + b]


@latent_callback
def draw_cells(
    latent_: Any, counters_: Any, centred_: Any, row_: Any, sums_: Any, memory_: Any, block: int, d: int, diagonal_: int
) -> int:
    """Replace the latent cells of the points of a component by draws, given what is measured.

    A row's number is that of its points in the component. All have their own cells: their mean replaces the row's, and
    what their squares are about it is added to the sums. It has as many degrees of freedom as there are points but one.
    """
    latent, memory = pointers.carray(latent_, UNKNOWN), pointers.carray(memory_, UNKNOWN)
    centred, row, sums = (
        pointers.carray(centred_, UNKNOWN),
        pointers.carray(row_, BLOCK),
        pointers.carray(sums_, UNKNOWN),
    )
    counters, diagonal, at = pointers.carray(counters_, COUNTERS), diagonal_ != 0, latent[HEAD + block]
    chain = int(counters[1]) + (int(counters[COMPONENT]) << CHAIN_BITS)
    sweep = Sweep(int(counters[0]), chain, int(counters[2]), int(counters[3]))
    dense, kept = is_dense(latent, at, diagonal), kept_from(d)
    for p in range(BLOCK):
        if row[p] > 0.0:
            n, scale = block * BLOCK + p, 1.0 / math.sqrt(row[p])
            add_draw(latent, at, p, d, dense, n, sweep, 0, scale, memory, kept + p, BLOCK)
            _add_scatter(latent, at, p, d, diagonal, dense, n, sweep, int(row[p]), memory, sums)
    _replace(latent, at, centred, memory, kept)
    return 0


FUNCTIONS = expect_cells, add_variances, draw_cells  # at the places EXPECT, ADD, DRAW
