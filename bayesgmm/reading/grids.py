"""The names and the rows of a sheet of cells."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.errors import DataError
from bayesgmm.reading.layouts import SAMPLE, NoLayout, layout_of

if TYPE_CHECKING:
    import pandas as pd


def read_grid(rows: list[list[str]], path: Path) -> "tuple[tuple[str, ...], pd.DataFrame, list[str]]":
    """Find the line of names in a sheet; return the names, the cells of the rows, and what differs from a plain table.

    Raises
    ------
    DataError
        When there is none.

    Examples
    --------
    >>> names, cells, words = read_grid([["Sales of May", ""], ["shop", "sales"], ["a", "1"], ["b", "2"]], Path("t"))
    >>> names, len(cells), words
    (('shop', 'sales'), 2, ["skipped 1 line above the names ('Sales of May')"])
    """
    import pandas as pd

    written = io.StringIO()
    csv.writer(written).writerows([" ".join(cell.split()) for cell in row] for row in rows[:SAMPLE])
    try:
        layout = layout_of(written.getvalue(), ",")
    except NoLayout as problem:
        raise DataError(f"{path} {problem}") from None
    cells = pd.DataFrame(rows[layout.skip :], columns=range(len(rows[0])), dtype="str")
    return layout.names, cells.iloc[:, : len(layout.names)], layout.remarks
