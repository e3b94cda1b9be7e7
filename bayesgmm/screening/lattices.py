"""Rounded columns: the step of their values, and values spread within the rounding."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array

NEARLY_ALL = 0.9  # share of the values that are multiples of the step, apart from a common remainder
FINE = 0.001  # finest step of a rounded column, in standard deviations
COARSE = 0.25  # step from which a column by itself can hold a component of a single value
STEPS = (1.0, 2.0, 2.5, 5.0)  # times a power of ten
MAX_FEW = 12  # distinct values, which are spread even if they have no common step
MAX_DISTINCT = 0.5  # number of distinct values of a rounded column, as a share of the rows
MIN_ROWS = 20
ROUNDING = 1e-6  # of a step, or of the spread if that is less


@dataclass(frozen=True)
class Lattice:
    """The rounding of a column.

    Parameters
    ----------
    step : float
        Distance of neighbouring values, in data units; 0 for few values without a common step.
    width : (N,) float
        Length of the interval around each value that was rounded to it; 0 for values that are not rounded.
    is_coarse : bool
        True if the step is at least a quarter of the standard deviation, or if there are only few values.
    """

    step: float
    width: Array
    is_coarse: bool

    def spread_out(self, values: Array, rng: np.random.Generator) -> Array:
        """Draw each value (N,) uniformly from the interval that was rounded to it."""
        return values + self.width * rng.uniform(-0.5, 0.5, len(values))

    @property
    def words(self) -> str:
        """Description, in a few words."""
        return f"rounded to {self.step:g}" if self.step else "few values"


def lattice_of(x: Array) -> Lattice | None:
    """Find the rounding of a column in which values are repeated: a narrow Gaussian could fit a single one.

    One column needs a coarse rounding for that. Rows can also have the same values in several finely rounded columns.

    Parameters
    ----------
    x : (N,) float
        Without missing values.

    Returns
    -------
    Lattice or None
        The coarsest step of which nine tenths of the values are multiples, apart from a common remainder (prices that
        end in .99), from a thousandth of the standard deviation; of few distinct values, from a quarter of it. None if
        more than half of the values are distinct.

    Examples
    --------
    >>> lattice_of(np.random.default_rng(0).poisson(3, 500).astype(float)).step
    1.0
    >>> lattice_of(np.random.default_rng(0).normal(size=500)) is None
    True
    """
    if len(x) < MIN_ROWS or x.min() == x.max():
        return None
    distinct, at, count = np.unique(x, return_inverse=True, return_counts=True)
    if len(distinct) > MAX_DISTINCT * len(x):
        return None
    others = count.copy()
    others[np.argmax(count)] = 0  # many zeros are no rounding
    spread, are_few = _spread(x), len(distinct) <= MAX_FEW
    for step in _steps((COARSE if are_few else FINE) * spread, float(x.max() - x.min())):
        held = _on(distinct, count, step, ROUNDING * min(step, spread))
        if others[held].sum() >= NEARLY_ALL * others.sum() > 0:
            return Lattice(step, np.where(held, step, 0.0)[at], step >= COARSE * spread)
    if not are_few:
        return None
    gaps = np.diff(distinct)
    nearest = np.minimum(np.append(gaps, np.inf), np.append(np.inf, gaps))
    return Lattice(0.0, nearest[at], is_coarse=True)


def _spread(x: Array) -> float:
    """Standard deviation, of the central 90 % if that is less: some values may be absurd."""
    low, high = np.quantile(x, [0.05, 0.95])
    return float(min(x.std(), (high - low) / 3.29)) or float(x.std())


def _steps(finest: float, coarsest: float) -> list[float]:
    """Round steps in a range, the coarsest first."""
    powers = range(int(np.floor(np.log10(finest))) - 1, int(np.ceil(np.log10(coarsest))) + 1)
    steps = {float(f"{step:g}e{power}") for power in powers for step in STEPS}
    return sorted((step for step in steps if finest <= step <= coarsest), reverse=True)


def _on(x: Array, count: NDArray[np.intp], step: float, tolerance: float) -> NDArray[np.bool_]:
    """True for distinct values (n,) that have the most frequent remainder, within a tolerance."""
    remainder = np.mod(x, step)
    kinds, kind = np.unique(np.round(remainder / tolerance), return_inverse=True)
    most = kinds[np.argmax(np.bincount(kind, count))]
    away = np.abs(remainder - tolerance * most)
    return np.asarray(np.minimum(away, step - away) <= 2 * tolerance)
