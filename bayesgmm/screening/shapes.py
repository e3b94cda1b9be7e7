"""What stands out in the values of a column: spikes, few values, skewness, heavy tails."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array

MIN_ROWS = 50  # for statements on shape
SPIKE = 0.1  # fraction of rows with the same value
ZEROS = 0.05
OFTENER = 5  # than the second most frequent value
MAX_FEW = 12  # distinct values
SKEWED = 2.0  # skewness
HEAVY = 2.0  # the range of the central 98 %, in units of that of a Gaussian with the same quartiles
GAUSSIAN = 3.449  # range of the central 98 % of a Gaussian, in interquartile ranges


def remarks_on(values: Array) -> list[str]:
    """Describe what stands out.

    Examples
    --------
    >>> remarks_on(np.exp(2 * np.random.default_rng(0).normal(size=500)))
    ['skewed to the right (skewness 12.2)']
    >>> remarks_on(np.append(np.zeros(20), np.arange(1.0, 100)))
    ['17 % are exactly 0']
    """
    x = values[np.isfinite(values)]
    if len(x) < MIN_ROWS:
        return []
    number, count = np.unique(x, return_counts=True)
    if len(number) <= MAX_FEW:
        what = "whole numbers" if (number == np.round(number)).all() else "numbers"
        return [f"{what} with {len(number)} distinct values"]
    return [*_spike(number, count), *_shape(x)]


def _spike(number: Array, count: NDArray[np.integer[Any]]) -> list[str]:
    at = int(np.argmax(count))
    share, second = count[at] / count.sum(), np.partition(count, -2)[-2]
    if share >= (ZEROS if number[at] == 0 else SPIKE) and count[at] >= OFTENER * second:
        return [f"{100 * share:.0f} % are exactly {number[at]:g}"]
    return []


def _shape(x: Array) -> list[str]:
    scale = np.abs(x - x.mean()).max()
    z = (x - x.mean()) / scale
    skewness = float((z**3).mean() / (z**2).mean() ** 1.5)
    if abs(skewness) > SKEWED:
        return [f"skewed to the {'right' if skewness > 0 else 'left'} (skewness {skewness:.1f})"]
    low, first, third, high = np.quantile(x, [0.01, 0.25, 0.75, 0.99])
    if third > first and (high - low) / (third - first) > HEAVY * GAUSSIAN:
        return ["heavy tails"]
    return []
