"""Numbers that are copied, and rows laid out in blocks; compiled.

Points that are read part by part are laid out again in each sweep.
"""

from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import BLOCK, Array, FloatArray


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
    shift: Array,
    factor: Array,
    start: int,
    stop: int,
    x: Array,
) -> None:
    """Write ``(rows - shift) * factor`` of the blocks start to stop into ``x``, flat; zeros after the last row.

    Column j of row n is ``numbers[n * row_step + j * column_step]``; ``shift`` and ``factor`` are (D,).
    """
    d = shift.size
    for block in range(start, stop):
        first = block * BLOCK
        count = min(BLOCK, n_points - first)
        for j in range(d):
            at, to, about, times = first * row_step + j * column_step, (block * d + j) * BLOCK, shift[j], factor[j]
            for i in range(count):
                x[to + i] = (numbers[at + i * row_step] - about) * times
            for i in range(count, BLOCK):
                x[to + i] = 0.0
