"""Estimators and rows that are not in memory: sources, which are read part by part, and Dask collections."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.data.points import DataLike
from bayesgmm.data.streams import Stream
from bayesgmm.estimators.arguments import RandomState, seed_of
from bayesgmm.estimators.tables import is_read_in_parts
from bayesgmm.memory import GIB
from bayesgmm.sources.dask_collections import is_dask, open_dask, part_of
from bayesgmm.sources.opening import source, weight_column
from bayesgmm.sweep.stats import Array
from bayesgmm.sweep.threads import one_thread
from bayesgmm.workers.streams import streamed

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

BATCH = 2**16  # rows


def rows_of(
    estimator: "BaseEstimator", X: DataLike, sample_weight: ArrayLike | None, random_state: RandomState
) -> Stream:
    """Check rows in a first pass; set the names and the number of the features.

    Raises
    ------
    DataError, ClusterError
        If they can't be used.
    DeclarationError
        If row weights are no column.
    """
    import pandas as pd
    from sklearn.utils.validation import validate_data

    found = streamed(source(X, weight=weight_column(sample_weight)), GIB, seed_of(random_state), gaps=True)
    sample: Any = found.sample.values
    if found.columns != tuple(f"x{j}" for j in range(len(found.columns))):
        sample = pd.DataFrame(sample, columns=[*found.columns])
    validate_data(estimator, sample, ensure_all_finite=False, ensure_min_samples=2)
    return found


def batch_by_batch[F: Callable[..., Any]](partial_fit: F) -> F:
    """Let ``partial_fit`` take a source or a Dask collection: its rows are batches, one after another."""

    @wraps(partial_fit)
    def fitted(self: "BaseEstimator", X: DataLike, y: object = None, sample_weight: ArrayLike | None = None) -> Any:
        if not is_read_in_parts(X):
            return partial_fit(self, X, y, sample_weight)
        for part in source(X, weight=weight_column(sample_weight)).parts(BATCH):
            if len(part.values):
                partial_fit(self, part.values, sample_weight=part.weights)
        return self

    return fitted  # type: ignore[return-value]


def by_block[F: Callable[..., Any]](method: F) -> F:
    """Let a method that answers about rows take a Dask collection: the answer is a Dask array, block by block."""

    @wraps(method)
    def answered(self: "BaseEstimator", X: DataLike) -> Any:
        if not is_dask(X):
            return method(self, X)
        import dask.array as da
        from dask.delayed import delayed

        names = getattr(self, "feature_names_in_", None)
        rows = open_dask(X, None if names is None else [*names])
        example = _of_block(method, self, np.asarray(self.means_)[:1], 0, rows.columns)
        counts = rows.collection.chunks[0] if hasattr(rows.collection, "chunks") else (np.nan,) * len(rows.partitions)
        held = delayed(self)
        blocks = [
            da.from_delayed(
                delayed(_of_block)(method, held, block, number, rows.columns), (n, *example.shape[1:]), example.dtype
            )
            for number, (block, n) in enumerate(zip(rows.partitions, counts, strict=True))
        ]
        return da.concatenate(blocks, allow_unknown_chunksizes=True)

    return answered  # type: ignore[return-value]


def _of_block(
    method: Callable[..., Array], estimator: "BaseEstimator", block: Any, number: int, columns: tuple[str, ...]
) -> Array:
    import pandas as pd

    values: Any = part_of(block, number, columns).values
    named = hasattr(estimator, "feature_names_in_")
    empty = not len(values)
    values = np.zeros((1, len(columns))) if empty else values
    with one_thread():
        answer = method(estimator, pd.DataFrame(values, columns=[*columns]) if named else values)
    return answer[:0] if empty else answer
