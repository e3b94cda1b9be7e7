"""Numbers that stand for missing values, such as -999."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from bayesgmm.sweep.stats import Array

NINES = [float("9" * digits) for digits in range(2, 9)]
FRACTIONS = [99.9, 999.9, 9999.9, 99999.9, 99.99, 999.99, 9999.99]
LOWER = [98.0, 97.0, 96.0, 88.0, 77.0, 998.0, 997.0, 996.0, 888.0, 777.0, 9998.0, 9997.0, 9996.0, 8888.0, 7777.0]
MACHINE = [2147483647.0, 32767.0, 65535.0, 32768.0, 2147483648.0, 1e20, 1e30, 1e35, 1e36, 1e37]
TYPICAL = frozenset([*NINES, *FRACTIONS, *LOWER, *MACHINE]) | {
    -value for value in [*NINES, *FRACTIONS, *LOWER, *MACHINE, 200.0, 9.0, 8.0, 7.0, 1.0]
}
MIN_REST = 10  # other values
FAR = 1.0  # distance from the rest, in units of its 5 % to 95 % range
NEAR = 0.2
OFTEN = 5  # occurrences
OFTENER = 3  # times that it occurs more often than any other value


@dataclass(frozen=True)
class MissingCodes:
    """Numbers in a column that stand for missing values.

    Parameters
    ----------
    counts : dict of float to int
        Codes, each with the number of rows.
    suspects : dict of float to int
        Values that may be codes.
    """

    counts: dict[float, int] = field(default_factory=dict)
    suspects: dict[float, int] = field(default_factory=dict)


def missing_codes(values: Array, elsewhere: Collection[float] = ()) -> MissingCodes:
    """Find the codes for missing values of a column.

    A code is a number that is often used as one, beyond all other values, and far from them or very frequent.

    Parameters
    ----------
    values : (N,) float
        NaN where a value is missing.
    elsewhere : collection of float
        Codes of other columns of the table: they need not be as far.

    Examples
    --------
    >>> ages = np.append(np.linspace(18, 80, 100), [-999, -999])
    >>> missing_codes(ages).counts
    {-999.0: 2}
    >>> missing_codes(np.append(np.linspace(18, 80, 100), [99])).counts
    {}
    """
    present = values[np.isfinite(values)]
    number, count = np.unique(present, return_counts=True)
    typical = np.array([value in TYPICAL for value in number.tolist()], dtype=bool)
    if (~typical).sum() < 2 or count[~typical].sum() < MIN_REST:
        return MissingCodes()
    codes, suspects = {}, {}
    rest = _Rest.of(number[~typical], count[~typical])
    for value, times in zip(number[typical].tolist(), count[typical].tolist(), strict=True):
        gap = rest.distance(value)
        if _is_code(value, times, gap, rest) or (value in elsewhere and gap >= NEAR and times > 1):
            codes[value] = times
        elif gap >= FAR and not (value < 0 and rest.continues_to(value)):
            suspects[value] = times
    suspects |= _spikes(number[~typical], count[~typical])
    return MissingCodes(codes, suspects)


@dataclass(frozen=True)
class _Rest:
    """The other values of a column: smallest, largest, 5 % to 95 % range, most occurrences, how many differ, step."""

    low: float
    high: float
    spread: float
    top: int
    distinct: int
    step: float

    @classmethod
    def of(cls, number: Array, count: Array) -> "_Rest":
        share = np.cumsum(count) / count.sum()
        spread = number[np.searchsorted(share, 0.95)] - number[np.searchsorted(share, 0.05)]
        step = float(np.diff(number).min()) if len(number) > 1 else np.inf
        spread = float(spread or number[-1] - number[0] or 1.0)
        return cls(number[0], number[-1], spread, int(count.max()), len(number), step)

    def continues_to(self, value: float) -> bool:
        """Return True for the number that is one step below the others, as -1 in the answers -1, 0, 1."""
        return value == self.low - self.step

    def distance(self, value: float) -> float:
        """Distance beyond the smallest or the largest value, in units of the range; 0 between them."""
        return float(max(self.low - value, value - self.high, 0.0) / self.spread)


def _is_code(value: float, times: int, gap: float, rest: _Rest) -> bool:
    if -10 < value < 0 and (rest.low < 0 or gap < FAR or rest.continues_to(value)):
        return False
    if value > 0 and rest.distinct < MIN_REST:  # a price, or an answer on a scale
        return False
    if gap >= FAR:
        return times > 1
    return gap >= NEAR and times >= max(OFTEN, OFTENER * rest.top)


def _spikes(number: Array, count: Array) -> dict[float, int]:
    """Find the frequent values at the ends that are far from all others, whatever they are."""
    found: dict[float, int] = {}
    for at in (0, -1):
        others = np.delete(np.arange(len(number)), at)
        if len(others) < MIN_REST or count[others].sum() < MIN_REST:
            continue
        rest = _Rest.of(number[others], count[others])
        if count[at] >= max(OFTEN, OFTENER * rest.top) and rest.distance(number[at]) >= FAR:
            found[float(number[at])] = int(count[at])
    return found
