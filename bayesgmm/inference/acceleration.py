"""Fixed-point iterations that creep, made to leap: squared extrapolation with a safeguard that lets nothing fall."""

from collections.abc import Callable, Iterator

import numpy as np

from bayesgmm.errors import DegenerateComponent
from bayesgmm.sweep.stats import Array

ROUNDING = 1e-15  # a relative gain that may be rounding alone
REGULAR = 3  # gains in a row whose rates are looked at
LONGER = (
    4.0  # a leap that is taken lets the next be so many times as long, one that is taken back so many times shorter
)
SLOWEST = 0.9999  # a rate that is closer to one can't be told from it


def to_be_gained(gains: list[float]) -> tuple[float, float]:
    """What further steps will gain in all, and the factor by which gains shrink: the slowest of the last few.

    At the end of a fixed-point iteration gains shrink by a constant factor, so one small gain does not say that the end
    is near, but a few do.

    References
    ----------
    .. [1] Böhning, Dietz, Schaub, Schlattmann & Lindsay (1994), Ann. Inst. Stat. Math. 46, 373-388.

    Examples
    --------
    >>> to_be_gained([8.0, 4.0, 2.0, 1.0, 0.5])
    (0.5, 0.5)
    """
    if len(gains) <= REGULAR:
        return np.inf, SLOWEST
    last = np.array(gains[-REGULAR - 1 :])
    rate = min(float((last[1:] / np.maximum(last[:-1], np.finfo(float).tiny)).max()), SLOWEST)
    return float(last[-1]) * rate / (1 - rate), rate


def squared_steps[State](
    step: Callable[[State], tuple[float, State]],
    start: State,
    flatten: Callable[[State], Array],
    unflatten: Callable[[Array], State],
) -> Iterator[tuple[float, State]]:
    """States of ever larger value, each with its value, for as long as they are asked for.

    Two plain steps tell how fast the iteration creeps and where to; the third leaps there, as far as the leaps before
    it have earned, and is taken back if it lands lower.

    Parameters
    ----------
    step : function
        Gives the value of a state, and the state after it, whose value is no smaller.
    start : State
    flatten, unflatten : function
        A state as numbers without bounds, and back; numbers that are no state may raise ArithmeticError,
        LinAlgError or DegenerateComponent, here or in the step after.

    References
    ----------
    .. [1] Varadhan & Roland (2008), Scand. J. Stat. 35, 335-353, scheme S3.
    """
    value, following = step(start)
    yield value, start
    state, longest = start, 1.0
    while True:
        middle = following
        best, last = step(middle)
        yield best, middle
        try:
            with np.errstate(all="ignore"):
                factor, numbers = _leap(flatten(state), flatten(middle), flatten(last), longest)
                leapt = unflatten(numbers)
                value, following = step(leapt)
        except (ArithmeticError, np.linalg.LinAlgError, DegenerateComponent):
            value = -np.inf
        if value >= best:
            state, longest = leapt, max(longest, LONGER * factor)
        else:
            state, longest = last, max(1.0, longest / LONGER)
            value, following = step(last)
        yield value, state


def _leap(start: Array, middle: Array, last: Array, longest: float) -> tuple[float, Array]:
    """How far to go, in steps, and where that leads."""
    first, change = middle - start, last - 2 * middle + start
    length = np.linalg.norm(change)
    factor = min(max(1.0, float(np.linalg.norm(first) / length)), longest) if length > 0 else 1.0
    return factor, start + 2 * factor * first + factor**2 * change
