"""Columns that are determined, exactly or nearly, by other columns."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import pandas as pd

ROUNDING = 1e-14  # relative spread below which a column is constant
OWN = 1e-9  # fraction of a column's variance that the columns before it must leave unexplained
NEARLY = 0.005  # fraction of its variance below which a column is nearly determined by all others
MAX_COLUMNS = 500


def numbers_of(frame: "pd.DataFrame") -> Array:
    """Values (N, D), NaN where one is missing."""
    return frame.to_numpy(np.float64, na_value=np.nan)


def finite(frame: "pd.DataFrame") -> NDArray[np.bool_]:
    """Mask (N, D) of the values that are finite numbers."""
    return np.isfinite(numbers_of(frame))


def _complete(frame: "pd.DataFrame") -> Array:
    """Values of the rows without missing or infinite ones."""
    return numbers_of(frame)[finite(frame).all(axis=1)]


def determined(frame: "pd.DataFrame") -> dict[str, str]:
    """Find columns that are linear combinations of earlier ones, for which no density exists; with the reason."""
    x = _complete(frame)
    if len(x) <= x.shape[1]:
        return {}
    x, flat = _angles(x)
    names, kept, reasons = [str(name) for name in frame.columns], list[int](), dict[str, str]()
    for j, name in enumerate(names):
        if flat[j]:  # in the rows without missing values; others may differ
            continue
        share = np.linalg.lstsq(x[:, kept], x[:, j], rcond=None)[0]
        if ((x[:, j] - x[:, kept] @ share) ** 2).sum() > OWN:
            kept.append(j)
            continue
        by = [names[i] for i, part in zip(kept, share, strict=True) if abs(part) > np.sqrt(OWN)]
        reasons[name] = f"it is a linear function of {listing(by)}"
    return reasons


def nearly_determined(frame: "pd.DataFrame") -> dict[str, float]:
    """Fraction of the variance of each column that the others determine, where it is almost all of it.

    Examples
    --------
    >>> import pandas as pd
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> table = pd.DataFrame({"a": x[:, 0], "b": x[:, 0] + 0.01 * x[:, 1], "c": x[:, 1] ** 2})
    >>> [*nearly_determined(table)]
    ['a', 'b']
    """
    x = _complete(frame)
    if not 1 < x.shape[1] <= MAX_COLUMNS or len(x) <= 2 * x.shape[1]:
        return {}
    x, flat = _angles(x)
    if flat.any():
        return {}
    try:
        own = 1 / np.diagonal(np.linalg.inv(x.T @ x))
    except np.linalg.LinAlgError:
        return {}
    return {str(name): 1 - part for name, part in zip(frame.columns, own, strict=True) if OWN < part < NEARLY}


def _angles(x: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return D rows whose columns have the angles of the centred columns, and a mask of the constant ones."""
    x = x / np.abs(x).max(axis=0).clip(np.finfo(float).tiny)
    x = x - x.mean(axis=0)
    spread = np.sqrt((x**2).sum(axis=0))
    flat = spread <= ROUNDING
    return np.linalg.qr(x / np.where(flat, 1.0, spread), mode="r"), flat
