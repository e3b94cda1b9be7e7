"""Input validation of arrays and DataFrames; standardisation of the points."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data.cells import RowLabels, check_cells, places
from bayesgmm.data.columns import column_names, doubles_of, require_distinct, select
from bayesgmm.data.containers import named_frame, row_labels
from bayesgmm.data.labels import Labels, as_labels
from bayesgmm.data.noise import as_noise
from bayesgmm.data.numbers import as_matrix, as_weights
from bayesgmm.data.summaries import Summary
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import SHOWN, listing, plural

if TYPE_CHECKING:
    import pandas as pd

TOGETHER, TILE = 16, 1024  # columns that are copied together, and rows: few enough to stay in the cache

type DataLike = ArrayLike | pd.DataFrame | pd.Series | Points
"""Types of data (N, D) that users can pass; ``as_points`` checks them."""


@dataclass(frozen=True)
class Points:
    """Checked data: an (N, D) array with column names and row labels.

    Parameters
    ----------
    values : (N, D) float
        In the units of the data. Finite, or NaN where a cell is missing.
    columns : tuple of D str
    index : (N,) array
        Row labels.
    weights : (N,) float, optional
        Number of points that each row represents. Default: 1.
    noise : (N, D) or (N, D, D) float, optional
        Standard errors of the values, or covariances of the errors of each row. Default: the values are exact.
    labels : Labels, optional
        Components that rows may belong to. Default: each row may belong to each component.
    """

    values: Array
    columns: tuple[str, ...]
    index: RowLabels
    weights: Array | None = None
    noise: Array | None = None
    labels: Labels | None = None

    def weighed(self, weights: ArrayLike | None) -> "Points":
        """Return the same points with row weights.

        Parameters
        ----------
        weights : (N,) array or None
            Number of points that each row represents; None: 1.

        Raises
        ------
        DataError
            When the number of weights is not N, one is negative or not finite, or all are zero.

        Examples
        --------
        >>> as_points([1.0, 5.0]).weighed([3, 1]).centre_and_sd[0]
        array([2.])
        """
        return self if weights is None else replace(self, weights=as_weights(weights, len(self.values)))

    def measured(self, noise: ArrayLike | None) -> "Points":
        """Return the same points with errors of measurement.

        Parameters
        ----------
        noise : (N, D) or (N, D, D) array, or None
            Standard errors, or covariances of the errors of each row, in the units of the data; also (D,) or one
            number, for all rows. Infinite standard errors make a value a missing one. None: the values are exact.

        Raises
        ------
        DataError
            When the shape is another one, a number is negative or missing, or a matrix is not a covariance.

        Examples
        --------
        >>> as_points([[1.0, 5.0]]).measured([0.1, 0.2]).noise
        array([[0.1, 0.2]])
        """
        if noise is None:
            return self
        errors = as_noise(noise, self.values, self.columns, self.index)
        missing = np.isinf(errors if errors.ndim == 2 else np.diagonal(errors, axis1=1, axis2=2))
        if not missing.any():
            return replace(self, noise=errors)
        return replace(
            self, values=np.where(missing, np.nan, self.values), noise=np.where(np.isinf(errors), 0.0, errors)
        )

    def labelled(self, labels: object, n_components: int) -> "Points":
        """Return the same points with labels of some rows: which of K components they may belong to.

        Parameters
        ----------
        labels : (N,) or (N, K) array, Series, DataFrame or None
            As ``as_labels`` describes; None: there are none.
        n_components : int
            K.

        Raises
        ------
        DataError
            When the shape is another one, or a label is not that of a component.

        Examples
        --------
        >>> as_points([[1.0], [5.0]]).labelled(["low", None], 2).labels.names
        ('low',)
        """
        if labels is None:
            return self
        return replace(self, labels=as_labels(labels, len(self.values), n_components, self.index))

    def unlabelled(self) -> "Points":
        """Return the same points without labels."""
        return self if self.labels is None else replace(self, labels=None)

    @property
    def error_covariances(self) -> Array:
        """Covariances of the errors (N, D, D); zero where a value is exact."""
        n_points, n_features = self.values.shape
        if self.noise is None:
            return np.zeros((n_points, n_features, n_features))
        return self.noise if self.noise.ndim == 3 else self.noise[:, :, None] ** 2 * np.eye(n_features)

    def take(self, rows: NDArray[np.integer] | slice) -> "Points":
        """Return some rows."""
        weights, noise = (None if part is None else part[rows] for part in (self.weights, self.noise))
        labels = None if self.labels is None else self.labels.take(rows)
        values, index = self.values[rows], self.index[rows]
        return replace(self, values=values, index=index, weights=weights, noise=noise, labels=labels)

    def in_columns(self, at: Sequence[int]) -> "Points":
        """Return some columns, without row weights and labels."""
        noise = self.noise
        if noise is not None:
            noise = noise[:, at] if noise.ndim == 2 else noise[:, at][:, :, at]
        return Points(self.values[:, at], tuple(self.columns[j] for j in at), self.index, noise=noise)

    def forgotten(self) -> "Points":
        """Return a copy without rows, which keeps the column names."""
        return Points(self.values[:0].copy(), self.columns, self.index[:0])

    @cached_property
    def has_gaps(self) -> bool:
        """True if cells are missing."""
        return self.values.size > 0 and bool(np.isnan(self.values.min()))

    @property
    def is_exact(self) -> bool:
        """True if no cell is missing or has an error of measurement."""
        return self.noise is None and not self.has_gaps

    def gap_words(self) -> str:
        """Return a sentence about missing values; empty if there are none.

        Examples
        --------
        >>> as_points([[1.0, float("nan")], [2.0, 3.0]], gaps=True).gap_words()
        '1 of 4 values is missing, in 1 of 2 rows; what is observed of these rows is used'
        """
        missing = np.isnan(self.values)
        count = int(missing.sum())
        if not count:
            return ""
        rows = f"in {missing.any(axis=1).sum():,} of {len(missing):,} rows; what is observed of these rows is used"
        return f"{count:,} of {missing.size:,} values {'is' if count == 1 else 'are'} missing, {rows}"

    def noise_words(self) -> str:
        """Return a sentence about errors of measurement; empty if there are none.

        Examples
        --------
        >>> as_points([[1.0, 10.0], [3.0, 20.0]]).measured([0.1, 0.0]).noise_words()
        'median standard error, as a share of the standard deviation of the measured values: 0.1 in x0, 0 in x1'
        """
        if self.noise is None:
            return ""
        error = self.noise if self.noise.ndim == 2 else np.sqrt(np.diagonal(self.noise, axis1=1, axis2=2))
        sd = self.centre_and_sd[1]
        share = np.median(error, axis=0) / np.where(sd > 0, sd, 1.0)
        each = [f"{part:.2g} in {name}" for name, part in zip(self.columns, share, strict=True)]
        shown = ", ".join(each[:SHOWN]) + (f" and {len(each) - SHOWN} more" if len(each) > SHOWN else "")
        return f"median standard error, as a share of the standard deviation of the measured values: {shown}"

    def exact(self, what: str) -> "Points":
        """Return these points; raise DataError, which begins with ``what``, if they have errors of measurement."""
        if self.noise is not None:
            raise DataError(f"{what} does not allow for errors of measurement, and these points have them (noise=)")
        return self

    def complete(self, what: str) -> "Points":
        """Return these points.

        Parameters
        ----------
        what : str
            Beginning of the error message: who needs complete points.

        Raises
        ------
        DataError
            When a cell is missing, or there are errors of measurement.
        """
        if self.exact(what).has_gaps:
            raise DataError(f"{what} needs complete rows\n  {places(self.values, self.columns, self.index)}")
        return self

    @property
    def sample(self) -> "Points":
        """Points that are in memory: all of them."""
        return self

    @property
    def counts(self) -> NDArray[np.intp] | slice:
        """Rows whose weight is not zero."""
        return slice(None) if self.weights is None or (self.weights > 0).all() else np.flatnonzero(self.weights > 0)

    @property
    def counted(self) -> Array:
        """Values of the rows whose weight is not zero."""
        return self.values[self.counts]

    @cached_property
    def total_weight(self) -> float:
        """Sum of the row weights: N when the rows have no weights."""
        return float(len(self.values) if self.weights is None else self.weights.sum())

    @cached_property
    def fingerprint(self) -> str:
        """Hash of values, weights and column names: two fits with the same hash were made from the same data."""
        digest = hashlib.blake2b("\0".join(self.columns).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.values))
        for part in (self.weights, self.noise, None if self.labels is None else self.labels.plausible):
            digest.update(b"" if part is None else np.ascontiguousarray(part))
        return digest.hexdigest()

    @property
    def empty_columns(self) -> list[str]:
        """Columns that have no values."""
        if not self.has_gaps:
            return []
        return [name for name, lacks in zip(self.columns, np.isnan(self.values).all(axis=0), strict=True) if lacks]

    @cached_property
    def centre_and_sd(self) -> tuple[Array, Array]:
        """Mean (D,) and standard deviation (D,) of the columns.

        Raises
        ------
        DataError
            When a column has no values.
        """
        if empty := self.empty_columns:
            what = plural(len(empty), "column has", "columns have")
            raise DataError(f"{what} no values: {listing(empty)}\n  Leave them out with columns=.")
        centre, sd = np.array([_centre_and_sd(column, self.weights) for column in _columns(self.values)]).T
        return centre, sd

    @cached_property
    def summary(self) -> Summary:
        """Range and spread of the columns, from which default priors are computed."""
        mean, sd = self.centre_and_sd
        low, high = np.nanmin(self.counted, axis=0), np.nanmax(self.counted, axis=0)
        count = self.total_weight
        variance = sd**2 * (count / (count - 1) if count >= 2 else 1)  # weights may be shares that sum to one
        return Summary(self.columns, len(self.counted), mean, low / 2 + high / 2, high - low, variance)


def n_rows(points: Points | Array) -> int:
    """Return N."""
    return len(points.values if isinstance(points, Points) else points)


def taken(points: Points | Array, rows: NDArray[np.integer] | slice) -> Points | Array:
    """Return some rows of points, or of an array."""
    return points.take(rows) if isinstance(points, Points) else points[rows]


def _columns(values: Array) -> Iterator[Array]:
    """Make a copy of each column, in memory that the next columns use again."""
    n_points, n_features = values.shape
    room = np.empty((min(TOGETHER, n_features), n_points))
    for j in range(0, n_features, TOGETHER):
        some = values[:, j : j + TOGETHER].T
        copies = room[: len(some)]
        for i in range(0, n_points, TILE):
            copies[:, i : i + TILE] = some[:, i : i + TILE]
        yield from copies


def _centre_and_sd(column: Array, weights: Array | None) -> tuple[float, float]:
    """Compute mean and standard deviation of what is observed of a column; no copy of the whole data is needed."""
    if np.isnan(column.sum()):
        observed = ~np.isnan(column)
        column, weights = column[observed], None if weights is None else weights[observed]
    if weights is not None:
        column, weights = column[weights > 0], weights[weights > 0]
    centre = float(np.average(column, weights=weights))
    deviation = column - centre
    size = float(np.abs(deviation).max())
    if not size > 0:
        return centre, 0.0
    deviation /= size  # squares of very small values would underflow
    return centre, size * float(np.sqrt(np.average(np.square(deviation, out=deviation), weights=weights)))


def per_column(value: float | Sequence[float] | Array, columns: Sequence[str], what: str) -> Array:
    """Expand one number, or one for each column, to an array (D,).

    Parameters
    ----------
    value : float or sequence of float
    columns : sequence of str
    what : str
        Description of the numbers, for the error message.

    Raises
    ------
    DeclarationError
        When the number of values is neither 1 nor D.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.ndim > 1 or (array.ndim == 1 and array.size != len(columns)):
        raise DeclarationError(
            f"{what} has {array.size} numbers for {len(columns)} columns ({listing(columns)}); "
            "give one number, or one for each column"
        )
    return np.broadcast_to(array, (len(columns),)).copy()


def as_points(data: DataLike, columns: Sequence[str] | None = None, gaps: bool = False) -> Points:
    """Check data, and add names of columns and labels of rows.

    Parameters
    ----------
    data : array, table, nested list or path
        (N, D) numbers; (N,) is one column. The columns of an array are called ``x0, x1, ...`` by default. Tables are
        those of pandas, polars, pyarrow and xarray, dicts of columns, and CSV and Parquet files.
    columns : sequence of str, optional
        For a table the columns to use, for an array their names.
    gaps : bool
        Accept missing cells.

    Raises
    ------
    DataError
        When the data can't be used; the message names the place, and says what to do.

    Examples
    --------
    >>> as_points([1.0, 2.0, 4.0]).values.shape
    (3, 1)
    >>> as_points([[1.0, float("nan")]])
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DataError: 1 value is missing or infinite: row 0, column 'x1'
      Drop or impute those rows first, for example X.dropna().
    """
    if isinstance(data, Points):
        return data
    if columns is not None:
        columns = column_names(columns)
    frame = named_frame(data, columns)
    if frame is not None:
        require_distinct([str(c) for c in frame.columns])
        frame = select(frame, columns).infer_objects()
        names, index = [str(c) for c in frame.columns], frame.index.to_numpy()
        values = doubles_of(frame)
    else:
        values = as_matrix(data)
        names = [f"x{j}" for j in range(values.shape[1])] if columns is None else [str(c) for c in columns]
        index = row_labels(data, len(values))
    check_cells(values, names, index, gaps)
    return Points(values, tuple(names), index)
