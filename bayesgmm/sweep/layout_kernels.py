"""Numbers that are copied, and rows laid out in blocks; compiled.

Points that are read part by part are laid out again in each sweep.
"""

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import BLOCK, Array, FloatArray

simd = Late("bayesgmm.sweep.simd")


@jit
def copy_to(source: Array, to: Array) -> None:
    """Copy numbers. An assignment of a slice would compile the text of its error, too, with functions of strings."""
    for i in range(source.size):
        to[i] = source[i]


@kernel
def lay_out(
    numbers: FloatArray,
    row_step: int,
    column_step: int,
    n_points: int,
    first: int,
    shift: Array,
    factor: Array,
    column: int,
    width: int,
    start: int,
    stop: int,
    x: Array,
) -> None:
    """Write ``(rows - shift) * factor`` of some rows and columns into the blocks start to stop of ``x``, flat.

    Column j of row n is ``numbers[n * row_step + j * column_step]``; ``shift`` and ``factor`` have a number for each
    column. The rows are those of the blocks from ``first`` on, the columns those from ``column`` on, of ``width``.
    """
    for block in range(start, stop):
        begin = block * BLOCK - first
        low, high = max(-begin, 0), min(BLOCK, n_points - begin)
        for j in range(shift.size):
            at, to = begin * row_step + j * column_step, (block * width + column + j) * BLOCK
            about, times = shift[j], factor[j]
            if row_step == 1 and high - low == BLOCK:  # as files have columns: a row of the block at a time
                row = simd.load_row(numbers, at) - simd.spread_row(about)
                simd.store(x, to, row * simd.spread_row(times))
            else:
                for i in range(low, high):
                    x[to + i] = (numbers[at + i * row_step] - about) * times
