"""Checks of errors of measurement: standard errors, or covariances of the errors of each row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data.columns import doubles_of
from bayesgmm.data.containers import named_frame, require_row_order
from bayesgmm.data.numbers import as_doubles
from bayesgmm.errors import DataError
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import pandas as pd

TOO_LARGE = 1000  # times the range of a column: such standard errors are in other units, or stand for something else
ASYMMETRY = 1e-8  # of a covariance matrix, relative to its diagonal
SINGULAR = 1e-12  # smallest eigenvalue of a correlation matrix


def as_noise(noise: ArrayLike, values: Array, columns: Sequence[str], index: "NDArray[Any] | pd.Index[Any]") -> Array:
    """Check errors of measurement.

    Parameters
    ----------
    noise : number, (D,), (N, D) or (N, D, D) array, Series, mapping or DataFrame
        Standard errors, or covariances. A DataFrame has the columns of the data, or other names in the same order; a
        Series or mapping with one number for each column is read by name.
    values : (N, D) float
        The measured values, NaN where one is missing; its error is not read.
    columns : sequence of D str
    index : (N,) array
        Row labels.

    Returns
    -------
    (N, D) or (N, D, D) float
        Zero where a value is missing. Standard errors may be infinite.

    Raises
    ------
    DataError
        When the shape is another one, a number is negative, missing, or far larger than the range of its column, or a
        matrix is not a covariance; when a DataFrame has the row labels of the data in another order.
    """
    given = _as_array(noise, values, columns, index)
    missing = np.isnan(values)
    if given.ndim == 3:
        return _covariances(given, missing, index)
    given = np.where(missing, 0.0, given)
    with np.errstate(invalid="ignore"):
        spread = np.nanmax(values, axis=0, initial=-np.inf) - np.nanmin(values, axis=0, initial=np.inf)
        far = np.isfinite(given) & (spread > 0) & (given > TOO_LARGE * spread)
    faults = (
        (given < 0, "negative", "A standard error is zero or more."),
        (np.isnan(given), "missing", "Give 0 where a value is exact, and inf where it says nothing."),
        (far, f"larger than {TOO_LARGE} times the range of the column", "Are they in the units of the data?"),
    )
    for wrong, what, advice in faults:
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            count = plural(int(wrong.sum()), "standard error is", "standard errors are")
            place = f"row {index[i]}, column {columns[j]!r} has {given[i, j]:g}"
            raise DataError(f"noise: {count} {what}: {place}\n  {advice}")
    return given


def _by_name(noise: Any, columns: Sequence[str]) -> Any:
    """Return the numbers of a mapping or Series from names to numbers in the order of the columns, others as they are.

    Examples
    --------
    >>> _by_name({"b": 0.2, "a": 0.1}, ["a", "b"])
    [0.1, 0.2]
    """
    if not isinstance(noise, Mapping) and type(noise).__name__ != "Series":
        return noise
    if len(noise) != len(columns) or not hasattr(noise, "items"):
        return noise
    numbers = {str(name): number for name, number in noise.items()}
    if numbers.keys() != {*columns} or any(np.ndim(number) for number in numbers.values()):
        return noise
    return [numbers[name] for name in columns]


def _as_array(noise: ArrayLike, values: Array, columns: Sequence[str], index: "NDArray[Any] | pd.Index[Any]") -> Array:
    """Return an array (N, D) or (N, D, D)."""
    n_points, n_features = values.shape
    _require_no_names(noise)
    noise = _by_name(noise, columns)
    frame = named_frame(noise, None)
    if frame is not None:
        require_row_order("noise", noise, index)
        names = [str(name) for name in frame.columns]
        frame = frame[[*columns]] if set(columns) <= set(names) else frame
    given = _numbers(noise) if frame is None else _numbers_of(frame)
    if given.shape == (n_points,) and n_features == 1:
        given = given[:, None]
    if given.ndim < 2 and given.shape in ((), (n_features,)):
        given = np.broadcast_to(given, values.shape).copy()
    if given.ndim == 2 and given.shape[0] == n_points and given.shape[1] != n_features:
        many = plural(given.shape[1], "column")
        raise DataError(f"noise has {many} for {plural(n_features, 'column')} of data: one for each, in their order")
    if given.shape not in (values.shape, (*values.shape, n_features)):
        raise DataError(
            f"noise has shape {given.shape} for data of shape {values.shape}\n"
            f"  Give standard errors {values.shape} or ({n_features},), or covariances {(*values.shape, n_features)}."
        )
    return given


def _require_no_names(noise: Any) -> None:
    """Raise DataError for names of columns in place of their numbers; a text with a suffix is the path of a table."""
    names = [noise] if isinstance(noise, str) and not Path(noise).suffix else noise
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        raise DataError(
            f"noise is text, {listing(names)}, and not numbers\n"
            f"  For columns of a table give the columns: noise=table[{[*names]}]; at the terminal --noise-columns."
        )


def _numbers(noise: ArrayLike) -> Array:
    """Return an array of numbers."""
    try:
        if np.asarray(noise).dtype == bool:
            raise TypeError("it is True or False")
        return as_doubles(noise)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"noise is not an array of numbers ({error})") from None


def _numbers_of(frame: "pd.DataFrame") -> Array:
    """Return the numbers of a table."""
    try:
        return doubles_of(frame.infer_objects())
    except DataError as error:
        raise DataError(f"noise: {str(error).splitlines()[0]}") from None


def _covariances(given: Array, missing: NDArray[np.bool_], index: "NDArray[Any] | pd.Index[Any]") -> Array:
    """Return covariances of errors, zero where a value is missing."""
    given = np.where(missing[:, :, None] | missing[:, None, :], 0.0, given)
    sd = np.sqrt(np.maximum(np.diagonal(given, axis1=1, axis2=2), 0.0))
    unit = np.where(sd > 0, sd, 1.0)
    with np.errstate(invalid="ignore"):
        correlation = given / unit[:, :, None] / unit[:, None, :]
    finite = np.isfinite(correlation).all(axis=(1, 2))
    correlation[~finite] = np.eye(given.shape[1])
    symmetric = (np.abs(correlation - correlation.transpose(0, 2, 1)) < ASYMMETRY).all(axis=(1, 2))
    diagonal = np.diagonal(correlation, axis1=1, axis2=2)
    exact = diagonal == 0  # such a value has no error, so its errors have no covariance with others
    alone = ((correlation == 0).all(axis=2) | ~exact).all(axis=1)
    positive = np.linalg.eigvalsh(correlation + exact[:, :, None] * np.eye(given.shape[1]))[:, 0] > SINGULAR
    wrong = np.flatnonzero(~(finite & symmetric & alone & positive))
    if wrong.size:
        count = plural(wrong.size, "matrix is", "matrices are")
        raise DataError(
            f"noise: {count} not the covariance of errors: row{'s' if wrong.size > 1 else ''} "
            f"{listing([index[i] for i in wrong])}\n"
            "  It must be finite, symmetric and positive definite; a value without an error has a row of zeros."
        )
    return given
