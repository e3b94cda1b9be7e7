"""Layout of the points for the compiled sweep."""

LANES = 8  # doubles in one vector
BLOCK = 4 * LANES  # points: four vectors hold one feature of a block
