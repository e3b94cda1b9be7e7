"""Numbers that stand for missing values: a fit stores them, and they are missing in new data, too."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.posterior.info import annotate, info

if TYPE_CHECKING:
    import xarray as xr


def with_missing_codes(fit: "xr.DataTree", codes: Mapping[str, Sequence[float]]) -> "xr.DataTree":
    """Return a copy of a fit that stores which numbers stand for missing values; the fit itself, if none do.

    Parameters
    ----------
    fit : DataTree
    codes : mapping of str to sequence of float
        By column, in data units.
    """
    stored = {name: tuple(map(float, numbers)) for name, numbers in codes.items() if len(numbers)}
    return annotate(fit.copy(), replace(info(fit), missing_codes=stored)) if stored else fit


def decoded(fit: "xr.DataTree", points: Points) -> Points:
    """Return new points in data units without the numbers that stand for missing values: these cells are missing.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> from bayesgmm.data.points import as_points
    >>> fit = bg.fit(bg.MixtureModel(1), {"age": [20.0, 31.0, 44.0]}, "em", seed=1, progress=False)
    >>> decoded(with_missing_codes(fit, {"age": [-999]}), as_points({"age": [28.0, -999.0]})).values
    array([[28.],
           [nan]])
    """
    codes = info(fit).missing_codes
    columns = [(j, codes[name]) for j, name in enumerate(points.columns) if name in codes]
    masks = [(j, np.isin(points.values[:, j], numbers)) for j, numbers in columns]
    if not any(mask.any() for _, mask in masks):
        return points
    values = points.values.copy()
    for j, mask in masks:
        values[mask, j] = np.nan
    return replace(points, values=values)
