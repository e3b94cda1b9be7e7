"""Numbers that are copied, and rows laid out in blocks; compiled.

Points that are read part by part are laid out again in each sweep.
"""

from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import BLOCK, Array


@jit
def copy_to(source: Array, to: Array) -> None:
    """Copy numbers. An assignment of a slice would compile the text of its error, too, with functions of strings."""
    for i in range(source.size):
        to[i] = source[i]


@kernel
def lay_out(rows: Array, shift: Array, factor: Array, start: int, stop: int, x: Array) -> None:
    """Write ``(rows - shift) * factor`` of the blocks start to stop into ``x``, flat; zeros after the last row.

    ``rows`` (N, D) may be of single precision; ``shift`` and ``factor`` are (D,).
    """
    n_points, d = rows.shape
    for block in range(start, stop):
        first = block * BLOCK
        count = min(BLOCK, n_points - first)
        for j in range(d):
            to = (block * d + j) * BLOCK
            column, out, about, times = rows[first : first + count, j], x[to : to + BLOCK], shift[j], factor[j]
            for i in range(count):  # over slices, from 0: only then it is done in vectors
                out[i] = (column[i] - about) * times
            out[count:] = 0.0
