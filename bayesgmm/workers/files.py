"""Files that the workers of a cluster read themselves: each needs the same paths."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.data.tables import PARQUET
from bayesgmm.sources.dask_collections import DaskSource
from bayesgmm.sources.file_sources import FileSource
from bayesgmm.sources.rows import Part

if TYPE_CHECKING:
    import pandas as pd

SIZE = "128MiB"  # of Parquet files that a partition holds, about
STEP = 2**18  # rows of other files that are converted at a time


def on_workers(source: FileSource) -> DaskSource:
    """Return files as a Dask collection, which workers read: parts of Parquet files, or others as a whole."""
    import dask.dataframe as dd
    import pandas as pd
    from dask.delayed import delayed

    columns = [*source.columns]
    files = [replace(file, path=Path(file.path).absolute()) for file in source.files]
    if all(Path(file.path).suffix.lower() in PARQUET for file in files):
        paths = [str(file.path) for file in files]
        data = dd.read_parquet(paths, columns=columns, index=False, split_row_groups="adaptive", blocksize=SIZE)
    else:
        each = [
            replace(source, files=(file,), stamps=(stamp,)) for file, stamp in zip(files, source.stamps, strict=True)
        ]
        data = dd.from_delayed([delayed(_read)(one) for one in each], meta=pd.DataFrame(columns=columns, dtype=float))
    return DaskSource(data, source.columns, source.name, source)


def _read(source: FileSource) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    parts: list[Part] = [*source.parts(STEP)]
    values = np.concatenate([np.empty((0, len(source.columns))), *(part.values for part in parts)])
    return pd.DataFrame(values, columns=[*source.columns])
