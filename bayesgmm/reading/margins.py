"""Rows of a table that are no data: blank ones, units under the names, totals and remarks at the end."""

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.reading.conventions import Column, column_of
from bayesgmm.reading.numerals import readings

if TYPE_CHECKING:
    import pandas as pd

TOTAL = re.compile(
    r"(grand |sub)?totals?|sums?|summe|gesamt(summe)?|total g[ée]n[ée]ral|somme|suma|totale|totaal|mean|average|"
    r"mittelwert|moyenne|promedio|media",
    re.IGNORECASE,
)
LAST = 5  # rows at the end that may be totals or remarks
LONGEST_UNIT = 15  # letters
SAME = 1e-3  # relative difference between a total and the sum of its column


def blank_rows(cells: "pd.DataFrame") -> NDArray[np.bool_]:
    """Mask (N,) of the rows without any text."""
    blank = np.ones(len(cells), dtype=bool)
    for name in cells.columns if len(cells) else ():
        if not blank.any():
            break
        blank &= cells[name].str.strip().eq("").to_numpy(dtype=bool)
    return blank


def last_rows(cells: "pd.DataFrame") -> int:
    """Count the totals and remarks at the end of a table.

    Examples
    --------
    >>> import pandas as pd
    >>> last_rows(pd.DataFrame({"who": ["a", "b", "c", "Total"], "x": ["1", "2", "4", "7"]}))
    1
    >>> last_rows(pd.DataFrame({"who": ["Shell", "BP", "Eni", "Total"], "x": ["1", "2", "3", "4"]}))
    0
    """
    count = 0
    for at in range(len(cells) - 1, max(len(cells) - 1 - LAST, 1), -1):
        row = [str(cell).strip() for cell in cells.iloc[at]]
        filled = [cell for cell in row if cell]
        if _is_total(row, cells.iloc[:at]) or (len(row) > 1 and len(filled) == 1 and _is_remark(row, cells.iloc[:at])):
            count = len(cells) - at
        elif filled:
            break
    return count


def _is_total(row: list[str], above: "pd.DataFrame") -> bool:
    """Return True for a row that is called a total, and that has sums or nothing in its other cells."""
    named = [j for j, cell in enumerate(row) if TOTAL.fullmatch(cell.rstrip(": "))]
    if not named:
        return False
    others = [j for j, cell in enumerate(row) if cell and j not in named]
    if not others:
        return True
    return all(_summarises(row[j], above.iloc[:, j]) for j in others[:3])


def _summarises(cell: str, above: "pd.Series") -> bool:
    """Return True if a cell is the sum or the mean of the cells above it, or text where they are text."""
    column = column_of(above)
    numbers = column.plain if column.plain is not None else None
    sign = column.decimal or "."
    if numbers is None and column.readings is not None and not column.readings.neither:
        table = dict(zip(column.readings.cells, column.readings.values[sign], strict=True))
        numbers = column.texts[~column.absent].map(table)
    own = readings([cell]).values[sign][0]
    if numbers is None or np.isnan(own):
        return numbers is None and np.isnan(own)
    wanted = (float(np.sum(numbers)), float(np.mean(numbers)))
    return any(abs(own - value) <= SAME * max(abs(value), 1e-300) for value in wanted)


def _is_remark(row: list[str], above: "pd.DataFrame") -> bool:
    """Return True for a line of text in the first column where numbers stand, or that is a sentence."""
    text = row[0]
    if not text or not np.isnan(readings([text]).values["."][0]):
        return False
    return " " in text and (":" in text or len(text) > 20 or text[0] in "*#(")


def units_above(columns: dict[int, Column], first: dict[int, str]) -> list[int]:
    """Return the columns over which the first row holds units: text over numbers; none if it is a row like others.

    Parameters
    ----------
    columns : dict of int to Column
    first : dict of int to str
        The first cell of each.
    """
    numeric = [j for j, column in columns.items() if _is_numeric(column)]
    units = [j for j, column in columns.items() if column.readings and column.readings.neither == [first[j]]]
    units = [j for j in units if len(first[j]) <= LONGEST_UNIT and len(columns[j].readings.cells) > 1]  # type: ignore[union-attr]
    return units if len(units) > 1 and len(units) >= len(numeric) else []


def _is_numeric(column: Column) -> bool:
    if column.plain is not None:
        return True
    return column.readings is not None and not column.readings.neither and not column.is_code
