"""A table as text for a terminal of 80 characters per line."""

import textwrap
from collections.abc import Sequence

WIDTH = 80
MAX_NAME = 24  # characters of a cell, but the last of a row
MIN_LAST = 20


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out the cells of rows in columns; the last cell is wrapped.

    Examples
    --------
    >>> for line in text_table([("name", "remarks"), ("id", "numbers the rows")]):
    ...     print(line)
    name  remarks
    id    numbers the rows
    """
    widths = [min(MAX_NAME, max(map(len, column))) for column in list(zip(*rows, strict=True))[:-1]]
    return [line for row in rows for line in _lines(row, widths)]


def _lines(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    start = "".join(f"{cell[:width]:{width}}  " for cell, width in zip(row[:-1], widths, strict=True))
    parts = textwrap.wrap(row[-1], max(MIN_LAST, WIDTH - len(start))) or [""]
    return [(start + parts[0]).rstrip(), *(" " * len(start) + part for part in parts[1:])]
