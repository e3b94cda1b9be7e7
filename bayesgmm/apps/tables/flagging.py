"""Files judged a chunk at a time, and what was called written as it comes, in memory for one chunk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.apps.tables.anomalies import Anomalies, flagged, judge
from bayesgmm.apps.tables.columns import free_name
from bayesgmm.apps.tables.novelty import with_expected
from bayesgmm.data.tables import read_chunks, read_frame
from bayesgmm.errors import DeclarationError
from bayesgmm.files import in_place_of, writable

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

CHUNK = 50_000  # rows
SHOWN = 10  # rows that are kept to be shown


@dataclass(frozen=True)
class Count:
    """What was judged.

    Parameters
    ----------
    rows, judged, called : int
        All rows, those without missing values, and those that are called.
    strangest : DataFrame
        A few of those that are called: ``p_value``, ``component``, ``reason``.
    """

    rows: int
    judged: int
    called: int
    strangest: "pd.DataFrame"


def judge_file(
    tree: "xr.DataTree",
    path: str | Path,
    *,
    fdr: float | None = None,
    alpha: float | None = None,
    top: int | None = None,
    chunk: int = CHUNK,
) -> Iterator[Anomalies]:
    """Judge the rows of a CSV file so many at a time; those of Parquet, and for ``top``, all at once.

    A false discovery rate holds in each chunk.
    """
    tree = with_expected(tree)  # not for each chunk
    for frame in [read_frame(path)] if top is not None else read_chunks(path, chunk):
        yield judge(tree, frame, fdr=fdr, alpha=alpha, top=top)


def write_flagged(found: Iterable[Anomalies], path: str | Path, everything: bool = False) -> Count:
    """Write the rows that are called, with the table's own columns and the reasons; or every row.

    All of it is written, or nothing.

    Parameters
    ----------
    found : iterable of Anomalies
        One after the other: of a whole table, or of its chunks.
    path : str or Path
        A .csv file.
    everything : bool
        Every row, in the order of the table, in place of those that are called.

    Raises
    ------
    FitFileError
        When it can't be written.
    """
    path = writable(path, ".csv")
    n_rows = n_judged = n_called = 0
    shown: list[pd.DataFrame] = []
    with in_place_of(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        for i, part in enumerate(found):
            called = part.flagged
            written = flagged(part.rows, part.table, every=True) if everything else called
            written.to_csv(file, header=i == 0, index_label=free_name("row", written.columns))
            n_rows += len(part.rows)
            n_judged += int(part.table.complete.sum())
            n_called += len(called)
            shown = [_strangest([*shown, part.rows[part.rows["anomaly"]]])]
        if not shown:
            raise DeclarationError("there was no table to judge")
    return Count(n_rows, n_judged, n_called, shown[0][["p_value", "component", "reason"]])


def _strangest(parts: "list[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    filled = [part for part in parts if len(part)]
    if not filled:
        return parts[-1]
    return pd.concat(filled).sort_values(["p_value", "log_density"], kind="stable").head(SHOWN)
