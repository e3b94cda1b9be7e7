"""Layout of the points for the compiled sweep, and the types of the arrays that compiled functions take."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LANES = 8  # doubles in one vector
BLOCK = 4 * LANES  # points: four vectors hold one feature of a block

Array = NDArray[np.float64]
SingleArray = NDArray[np.float32]
FloatArray = NDArray[np.floating[Any]]  # of either precision
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Vector = Any  # eight doubles, of ``simd``: Python never sees one
Vectors = tuple[Vector, Vector, Vector, Vector]  # one number of each point of a block
Row = Any  # the numbers of one feature, or one component, of a block: a wide vector of ``simd``


def aligned(size: int) -> Array:
    """Allocate numbers for blocks, so that no vector lies in two lines of the cache: it would take longer to load.

    Examples
    --------
    >>> aligned(3).ctypes.data % 64
    0
    """
    room = np.empty(size + LANES - 1)
    first = -(room.ctypes.data // room.itemsize) % LANES
    return room[first : first + size]
