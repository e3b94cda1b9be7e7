"""Seeds of the parts of a run."""

import numpy as np


def another_seed(*parts: int) -> int:
    """Return a seed that a seed and the numbers of a part determine.

    Examples
    --------
    >>> another_seed(0, 1) == another_seed(0, 1), another_seed(0, 1) == another_seed(0, 2)
    (True, False)
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
