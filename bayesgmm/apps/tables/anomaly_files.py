"""Anomalies of large files, read and written in chunks: the memory needed is that of one chunk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.apps.tables.columns import free_name
from bayesgmm.apps.tables.flagging import Rule
from bayesgmm.apps.tables.judging import Anomalies, flagged, judged_table, usable_table_for
from bayesgmm.apps.tables.p_values import with_expected
from bayesgmm.data.tables import read_chunks, read_file
from bayesgmm.errors import DeclarationError, TableWarning, warn
from bayesgmm.files import append_csv, in_place_of, writable
from bayesgmm.posterior.schema import transforms_of
from bayesgmm.reading.settings import Source

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

CHUNK = 50_000  # rows
SHOWN = 10  # flagged rows to print


@dataclass(frozen=True)
class FlagCounts:
    """Number of rows of a table that were read, judged and flagged.

    Parameters
    ----------
    rows, judged, flagged : int
        All rows, those without missing values, and the flagged ones.
    first : DataFrame
        The flagged rows with the smallest p-values: ``p_value``, ``component``, ``reason``.
    """

    rows: int
    judged: int
    flagged: int
    first: "pd.DataFrame"


def judge_file(
    tree: "xr.DataTree",
    path: Source,
    *,
    fdr: float | None = None,
    alpha: float | None = None,
    top: int | None = None,
    contamination: float | None = None,
    chunk: int = CHUNK,
) -> Iterator[Anomalies]:
    """Flag anomalous rows of a CSV file in chunks.

    Of a Parquet file, or by ``top`` or ``contamination``, all rows are read at once.

    The false discovery rate is controlled in each chunk separately.

    Parameters
    ----------
    tree : DataTree
    path : str, Path or TableFile
    fdr, alpha, top, contamination : float, float, int, float, optional
        As in ``find_anomalies``.
    chunk : int
        Rows per chunk.

    Yields
    ------
    Anomalies
        One for each chunk.

    Raises
    ------
    DataError
        If the file can't be read, or lacks a column of the fit.
    DeclarationError
        If more than one of ``fdr``, ``alpha``, ``top`` and ``contamination`` is given, or a value is out of range.
    """
    tree = with_expected(tree)  # simulated once, not for each chunk
    names, rule = [*transforms_of(tree).names], Rule.of(fdr, alpha, top, contamination)
    for i, sheet in enumerate([read_file(path, forced=names)] if rule.ranks else read_chunks(path, chunk, names)):
        warn(sheet.words if i == 0 else (), TableWarning)
        yield judged_table(tree, usable_table_for(tree, sheet), rule)


def write_flagged(parts: Iterable[Anomalies], path: str | Path, everything: bool = False) -> FlagCounts:
    """Write the flagged rows with the table's own columns and the reasons, or every row.

    The file is complete or, after an error, not written at all.

    Parameters
    ----------
    parts : iterable of Anomalies
        Anomalies of a table, or of each of its chunks.
    path : str or Path
        A .csv file.
    everything : bool
        Write every row, in the order of the table, instead of the flagged ones.

    Raises
    ------
    DeclarationError
        If ``parts`` is empty.
    FitFileError
        If the file can't be written.
    """
    path = writable(path, ".csv")
    n_rows = n_judged = n_flagged = 0
    shown: list[pd.DataFrame] = []
    with in_place_of(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        for i, part in enumerate(parts):
            anomalies = part.flagged
            written = flagged(part.rows, part.table, every=True) if everything else anomalies
            append_csv(written, file, header=i == 0, index_label=free_name("row", written.columns))
            n_rows += len(part.rows)
            n_judged += int(part.table.known.sum())
            n_flagged += len(anomalies)
            shown = [_most_anomalous([*shown, part.rows[part.rows["anomaly"]]])]
        if not shown:
            raise DeclarationError("there is no table to judge")
    return FlagCounts(n_rows, n_judged, n_flagged, shown[0][["p_value", "component", "reason"]])


def _most_anomalous(parts: "list[pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    filled = [part for part in parts if len(part)]
    if not filled:
        return parts[-1]
    return pd.concat(filled).sort_values(["p_value", "log_density"], kind="stable").head(SHOWN)
