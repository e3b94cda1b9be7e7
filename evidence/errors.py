"""Monte Carlo errors, as the tables show them."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def share(hits: int, trials: int) -> str:
    """Format a share with its exact 95 % interval (Clopper-Pearson).

    Examples
    --------
    >>> share(0, 100)
    '0 [0, 0.0362]'
    """
    found = stats.binomtest(hits, trials).proportion_ci(0.95)
    return f"{hits / trials:.3g} [{found.low:.3g}, {found.high:.3g}]"


def estimate(value: float, error: float, digits: int = 3) -> str:
    """Format an estimate with its standard error.

    Examples
    --------
    >>> estimate(0.12345, 0.004)
    '0.123 ± 0.004'
    """
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def mean(values: Sequence[float]) -> str | None:
    """Format the mean of independent values with its standard error; None if there are none.

    Examples
    --------
    >>> mean([0.0, 1.0]), mean([0.5]), mean([])
    ('0.500 ± 0.500', '0.500', None)
    """
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else None
    return estimate(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values))))
