"""Records of the latent cells of a block: how compiled code reads which cells are missing, or measured with an error.

A block with latent cells has a *record* in the array ``latent``: the number of latent cells of the row with most, the
number of columns with a latent cell, the kind of the errors, whether all rows have the same latent columns, where its
lists of rows and its floats are; then these columns, and the column of each latent cell: of the first of all rows, of
the second, ... A row with fewer has column D, which does not exist. The lists are the rows that have a first latent
cell, a second, ...: first where each list ends, then the rows. The floats are a constant for each row, and the
precisions of its errors, of the block's rows side by side.

A component's *memory* holds its root and its precision, scratch, and what is kept for a block: expected deviations of
the latent cells, and a triangle for each row.
"""

from collections import namedtuple

from bayesgmm.sweep.compilation import jit, plain_jit
from bayesgmm.sweep.layout import BLOCK, LANES, IntArray

EXPECT, ADD, DRAW, MEMORY, HEAD = range(5)  # places of addresses and sizes; then of the record of each block, or zero
COUNT, UNION, KIND, SAME, ROWS, FLOATS, COLUMNS = range(7)  # places in a record
NO_NOISE, VARIANCES, COVARIANCES = 0, 1, 2
Sweep = namedtuple("Sweep", "number chain key0 key1")
"""The counters of all random numbers of one sweep: its number, the chain, and two keys from the seed."""
COMPONENT, COUNTERS = 4, 5  # place of a component's number after these, and size of both together


@plain_jit
def kept_from(d: int) -> int:
    """Return where the numbers of a block begin in a component's memory."""
    return scratch(d) + 3 * (d + 1) * BLOCK


@jit
def has_latent(latent: IntArray, block: int) -> bool:
    """Return True if a block has latent cells."""
    return latent.size > 0 and latent[HEAD + block] > 0


@jit
def latent_memory(latent: IntArray, n_rows: int) -> int:
    """Return the numbers of memory for ``n_rows`` components, and a row of corrections."""
    return n_rows * latent[MEMORY] + BLOCK if latent.size > 0 else 0


@plain_jit
def scratch(d: int) -> int:
    """Return where scratch memory begins: after the root, the precision with column D, and its diagonal."""
    return -(-(d * d + (d + 1) * (d + 2)) // LANES) * LANES


@plain_jit
def triangle(a: int) -> int:
    """Return the number of entries in the first ``a`` rows of a lower triangle."""
    return a * (a + 1) // 2


@plain_jit
def is_dense(latent: IntArray, at: int, diagonal: bool) -> bool:
    """Return True if latent cells of a row depend on each other; else only diagonals of triangles are used."""
    return not diagonal or latent[at + KIND] == COVARIANCES


@plain_jit
def cell_columns(latent: IntArray, at: int) -> int:
    """Return where the columns of the latent cells of all rows begin."""
    return at + COLUMNS + latent[at + UNION]


@plain_jit
def rows_with(latent: IntArray, at: int, a: int) -> tuple[int, int]:
    """Return where the rows with a latent cell of number ``a`` begin and end."""
    ends = latent[at + ROWS]
    return latent[ends + a], latent[ends + a + 1]
