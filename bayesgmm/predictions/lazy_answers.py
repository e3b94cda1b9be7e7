"""Answers about Dask collections: lazy, block by block."""

from collections.abc import Callable
from functools import partial, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import DataLike
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.posterior.schema import transforms_of, unpack
from bayesgmm.sources.dask_collections import DaskSource, has_columns, is_dask, open_dask, part_of
from bayesgmm.sweep.threads import one_thread

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesgmm.sweep.stats import Array

WHOLE = ("noise", "fdr", "keep_draws")  # arguments that need all rows at once

Answer = Callable[..., "xr.Dataset"]


def by_block[F: Callable[..., Any]](function: F) -> F:
    """Let a function of a fit and rows take a Dask collection: its answer is lazy, and computed block by block.

    That about an array is a Dataset of Dask arrays, without the coordinate ``point``; that about a DataFrame (or about
    an array whose chunks have unknown sizes) is a Dask DataFrame with a column for each number of a row.
    """

    @wraps(function)
    def answered(fit: "xr.DataTree", data: DataLike | None = None, **settings: Any) -> Any:
        if not is_dask(data):
            return function(fit, data, **settings)
        if wrong := [f"{name}=" for name in WHOLE if settings.get(name) not in (None, False)]:
            raise DeclarationError(
                f"{' and '.join(wrong)} can't be used with a Dask collection, whose blocks are answered one by one\n"
                "  Give rows in memory."
            )
        rows = open_dask(data, settings.get("columns") or transforms_of(fit).names)
        quiet = {"progress": False} if "progress" in signature(function).parameters else {}
        return _lazily(partial(_of_rows, function, settings | quiet), fit, rows)

    return answered  # type: ignore[return-value]


def _of_rows(
    function: Answer, settings: dict[str, Any], fit: "xr.DataTree", values: "Array", columns: tuple[str, ...]
) -> "xr.Dataset":
    """Answer about some rows in one thread: other threads have blocks of their own."""
    import pandas as pd

    with one_thread():
        return function(fit, pd.DataFrame(values, columns=[*columns]), **settings)


def _lazily(answer: Answer, fit: "xr.DataTree", rows: DaskSource) -> Any:
    from dask.delayed import delayed

    mean = unpack(fit).parameters.mean[0, 0]
    example = answer(fit, transforms_of(fit).inverse(mean[None])[:, _places(fit, rows)], rows.columns)
    held = delayed(fit)
    known = not has_columns(rows.collection) and not np.isnan(rows.collection.shape[0])
    if not known:
        return _frame(answer, held, rows, example)
    answers = [
        delayed(_block)(answer, held, part, number, rows.columns, example)
        for number, part in enumerate(rows.partitions)
    ]
    return _dataset(answers, rows.collection.chunks[0], example)


def _places(fit: "xr.DataTree", rows: DaskSource) -> list[int]:
    names = transforms_of(fit).names
    return [names.index(name) for name in rows.columns]


def _block(
    answer: Answer, fit: "xr.DataTree", block: Any, number: int, columns: tuple[str, ...], example: "xr.Dataset"
) -> "xr.Dataset":
    """Answer about a block; the message of an error names it."""
    part = part_of(block, number, columns)
    if not len(part.values):
        return example.isel(point=slice(0))
    try:
        return answer(fit, part.values, columns)
    except DataError as error:
        raise DataError(f"{part.place}: {error}") from None


def _dataset(answers: list[Any], counts: tuple[int, ...], example: "xr.Dataset") -> "xr.Dataset":
    """Return a Dataset of Dask arrays: the variables of the example, joined along the points."""
    import dask.array as da
    import xarray as xr
    from dask.delayed import delayed

    variables = {}
    for name, variable in example.data_vars.items():
        dims = variable.dims
        at, read = dims.index("point"), delayed(_variable)
        shapes = [(*variable.shape[:at], n, *variable.shape[at + 1 :]) for n in counts]
        blocks = [
            da.from_delayed(read(one, name), shape, variable.dtype) for one, shape in zip(answers, shapes, strict=True)
        ]
        variables[name] = (dims, da.concatenate(blocks, axis=at))
    others = {name: coord for name, coord in example.coords.items() if "point" not in coord.dims}
    return xr.Dataset(variables, coords=others, attrs=example.attrs)


def _variable(answer: "xr.Dataset", name: str) -> Any:
    return answer[name].values


def _frame(answer: Answer, fit: Any, rows: DaskSource, example: "xr.Dataset") -> Any:
    """Return a Dask DataFrame of the answers about each partition, with its index."""
    import dask.dataframe as dd
    from dask.delayed import delayed

    parts = [
        delayed(_table_of_block)(answer, fit, part, number, rows.columns, example)
        for number, part in enumerate(rows.partitions)
    ]
    index = rows.collection._meta.index if has_columns(rows.collection) else None
    meta = as_table(example)[:0]
    return dd.from_delayed(parts, meta=meta if index is None else meta.set_index(index), verify_meta=False)


def _table_of_block(
    answer: Answer, fit: "xr.DataTree", block: Any, number: int, columns: tuple[str, ...], example: "xr.Dataset"
) -> "pd.DataFrame":
    table = as_table(_block(answer, fit, block, number, columns, example))
    return table.set_index(block.index) if hasattr(block, "index") else table


def as_table(answer: "xr.Dataset") -> "pd.DataFrame":
    """Return an answer as a table with a row for each point; where a variable has several, so many columns."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for name, variable in answer.data_vars.items():
        if variable.dims == ("point",):
            columns[str(name)] = variable.values
        else:
            (other,) = (dim for dim in variable.dims if dim != "point")
            each = variable.transpose("point", other)
            columns |= {f"{name}_{coord}": each.values[:, j] for j, coord in enumerate(answer[other].values)}
    return pd.DataFrame(columns)
