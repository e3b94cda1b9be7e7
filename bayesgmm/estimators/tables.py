"""Tables given to the estimators, as scikit-learn's checks take them; rows that are not in memory are brought there."""

from datetime import date, timedelta

import numpy as np

from bayesgmm.data.columns import doubles_of
from bayesgmm.data.containers import is_sparse, named_frame
from bayesgmm.data.numbers import as_matrix, unmasked
from bayesgmm.data.points import DataLike
from bayesgmm.data.streams import Stream
from bayesgmm.errors import DeclarationError
from bayesgmm.memory import in_words
from bayesgmm.sources.dask_collections import is_dask
from bayesgmm.sources.opening import source
from bayesgmm.sources.rows import RowSource
from bayesgmm.workers import streams

READ_BY_NUMPY = "USTMmiu"  # kinds that numpy converts to doubles without a word: text, dates, durations, integers
NO_NUMBERS = (str, bytes, int, date, timedelta, np.datetime64, np.timedelta64)  # the same in lists and object arrays


def checked(X: DataLike) -> object:
    """Return a table as a DataFrame of doubles with its names, masked values as NaN; anything else as it is.

    The rows of a source or of a Dask collection are brought into memory.

    Raises
    ------
    DeclarationError
        If they do not fit there.
    """
    if is_sparse(X):
        return X  # scikit-learn says what to do
    if is_read_in_parts(X):
        X = _brought(X)
    frame = named_frame(X)
    if frame is None:
        plain = unmasked(X)
        _require_numbers(plain)
        return plain
    import pandas as pd

    return pd.DataFrame(doubles_of(frame.infer_objects()), frame.index, frame.columns)


def is_read_in_parts(X: object) -> bool:
    """Return True for a source, and for a Dask collection."""
    return isinstance(X, RowSource) or is_dask(X)


def _brought(X: DataLike) -> DataLike:
    """Bring rows into memory that are read in parts: an array, or a DataFrame if the columns have names."""
    rows = source(X)
    points = streams.read_rows(rows, None, None, 0, progress=False)
    if isinstance(points, Stream):
        raise DeclarationError(
            f"{points.n_points:,} rows take {streams.needed(points)} of memory; this estimator brings at most "
            f"{in_words(streams.MEMORY)} there\n"
            "  Use GaussianMixture, BayesianGaussianMixture.partial_fit or fit(model, X, 'vb'), which read rows in "
            "parts, or a sample of the rows."
        )
    if points.columns == tuple(f"x{j}" for j in range(len(points.columns))):
        return points.values
    import pandas as pd

    return pd.DataFrame(points.values, columns=[*points.columns])


def _require_numbers(plain: object) -> None:
    """Raise DataError for text, dates and inexact integers, which scikit-learn would convert; it checks all else."""
    try:
        raw = np.asarray(plain)
    except (TypeError, ValueError):  # of several lengths
        return
    kind = raw.dtype.kind
    if kind in READ_BY_NUMPY or (kind == "O" and any(isinstance(value, NO_NUMBERS) for value in raw.flat)):
        as_matrix(raw if raw.ndim else raw[None])
