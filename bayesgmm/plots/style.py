"""What all pictures share: colours, columns, grids, curves."""

from collections.abc import Sequence

import numpy as np

from bayesgmm.data.points import column_names, listing
from bayesgmm.errors import DataError, did_you_mean
from bayesgmm.sweep.stats import Array

# Okabe & Ito (2008): told apart by every kind of colour vision. A component has its colour in every figure.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
OUTLINES = 25  # draws whose outlines are shown
MOST_COLUMNS = 6  # more panels than this cannot be read


def colour(component: int) -> str:
    """The colour of a component."""
    return COLOURS[component % len(COLOURS)]


def choose_columns(known: tuple[str, ...], wanted: Sequence[str] | None) -> list[int]:
    """Where the columns that one wants to see are among those there are; the first few unless told."""
    if wanted is None:
        return list(range(min(len(known), MOST_COLUMNS)))
    names = column_names(wanted)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, dict.fromkeys(known))
            raise DataError(f"the fit has no column {name!r}; it has {listing(known)}{hint}")
    return [known.index(name) for name in names]


def grid(values: Array, steps: int = 200) -> Array:
    """(steps,) points along an axis, a little beyond the values on both sides."""
    margin = 0.08 * (np.ptp(values) or 1.0)
    return np.linspace(values.min() - margin, values.max() + margin, steps)


def curves(at: Array, weight: Array, mean: Array, variance: Array) -> Array:
    """(S, K, steps) weighted one-dimensional densities."""
    z = (at - mean[..., None]) / np.sqrt(variance)[..., None]
    return weight[..., None] * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi * variance)[..., None]
