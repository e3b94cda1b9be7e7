"""Acceleration of slow fixed-point iterations: squared extrapolation (SQUAREM) with a safeguard, so no value falls."""

from collections.abc import Callable, Iterator

import numpy as np

from bayesgmm.errors import DegenerateComponent
from bayesgmm.sweep.stats import Array

ROUNDING = 1e-15  # relative gain that may be rounding error alone
N_GAINS = 3  # number of recent gains from which the rate is estimated
GROWTH = 4.0  # a success multiplies the maximum length of an extrapolation by this, a failure divides it
MAX_RATE = 0.9999  # rates closer to one can't be distinguished from one


def remaining_gain(gains: list[float]) -> tuple[float, float]:
    """Estimate the total gain of all further steps, and the rate at which gains shrink, by Aitken's extrapolation.

    Near the end of a fixed-point iteration gains shrink at a constant rate. The rate is the slowest of the last three,
    because one small gain alone does not show convergence.

    Returns
    -------
    gain : float
        Infinity when there are fewer than four gains.
    rate : float
        At most 0.9999.

    References
    ----------
    .. [1] Böhning, Dietz, Schaub, Schlattmann & Lindsay (1994), Ann. Inst. Stat. Math. 46, 373-388.

    Examples
    --------
    >>> remaining_gain([8.0, 4.0, 2.0, 1.0, 0.5])
    (0.5, 0.5)
    """
    if len(gains) <= N_GAINS:
        return np.inf, MAX_RATE
    last = np.array(gains[-N_GAINS - 1 :])
    rate = min(float((last[1:] / np.maximum(last[:-1], np.finfo(float).tiny)).max()), MAX_RATE)
    return float(last[-1]) * rate / (1 - rate), rate


def squarem[State](
    step: Callable[[State], tuple[float, State]],
    start: State,
    flatten: Callable[[State], Array],
    unflatten: Callable[[Array], State],
) -> Iterator[tuple[float, State]]:
    """Iterate a step with squared extrapolation (SQUAREM) without end; yield each state with its value.

    Two plain steps estimate the rate and direction of convergence, and the third extrapolates. Its maximum length
    grows with each success. An extrapolation that lowers the value is rejected.

    Parameters
    ----------
    step : function
        Returns the value of a state, and the next state, whose value is no smaller.
    start : State
    flatten, unflatten : function
        Convert a state to unconstrained numbers and back. Numbers that are no valid state may raise ArithmeticError,
        LinAlgError or DegenerateComponent, here or in the next step.

    Yields
    ------
    value : float
    state : State

    References
    ----------
    .. [1] Varadhan & Roland (2008), Scand. J. Stat. 35, 335-353, scheme S3.
    """
    value, following = step(start)
    yield value, start
    state, max_factor = start, 1.0
    while True:
        middle = following
        best, last = step(middle)
        yield best, middle
        try:
            with np.errstate(all="ignore"):
                factor, numbers = _extrapolate(flatten(state), flatten(middle), flatten(last), max_factor)
                extrapolated = unflatten(numbers)
                value, following = step(extrapolated)
        except (ArithmeticError, np.linalg.LinAlgError, DegenerateComponent):
            value = -np.inf
        if value >= best:
            state, max_factor = extrapolated, max(max_factor, GROWTH * factor)
        else:
            state, max_factor = last, max(1.0, max_factor / GROWTH)
            value, following = step(last)
        yield value, state


def _extrapolate(start: Array, middle: Array, last: Array, max_factor: float) -> tuple[float, Array]:
    """Return the length of the extrapolation, in steps, and the point that it leads to."""
    first, change = middle - start, last - 2 * middle + start
    length = np.linalg.norm(change)
    factor = min(max(1.0, float(np.linalg.norm(first) / length)), max_factor) if length > 0 else 1.0
    return factor, start + 2 * factor * first + factor**2 * change
