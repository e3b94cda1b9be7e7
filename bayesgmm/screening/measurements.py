"""The columns of a table that a fit uses by default: those that the data check takes for measurements."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.columns import not_numeric, select
from bayesgmm.data.points import DataLike, Points
from bayesgmm.errors import TableWarning, warn
from bayesgmm.reading.settings import Source
from bayesgmm.screening.checks import data_check, numbers_for_missing
from bayesgmm.screening.kinds import no_measurement
from bayesgmm.screening.missing_codes import TYPICAL, MissingCodes, missing_codes
from bayesgmm.screening.names import names_a_code, names_a_numbering, names_an_id
from bayesgmm.screening.results import ColumnCheck
from bayesgmm.screening.sheets import sheet_of
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import pandas as pd

NUMBERING = frozenset({"id", "code", "row number"})
CERTAIN = frozenset({*NUMBERING, "date", "time", "class", "linear function"})  # also from the first rows of a table
TEXTS = frozenset({"text", "date", "empty"})
FIRST = 10_000  # rows that show which columns of a table in parts are measurements
SHOWN = 3  # columns that a message lists


@dataclass(frozen=True)
class Measurements:
    """Columns to fit.

    Parameters
    ----------
    frame : DataFrame
        The rows that are data; numbers that stand for missing values are missing.
    left_out : tuple of ColumnCheck
        Columns that are no measurements.
    checks : tuple of ColumnCheck
        The others.
    declared : tuple of float
        Numbers that were declared to stand for missing values.
    """

    frame: "pd.DataFrame"
    left_out: tuple[ColumnCheck, ...] = ()
    checks: tuple[ColumnCheck, ...] = ()
    declared: tuple[float, ...] = field(default=())

    @property
    def codes(self) -> dict[str, list[float]]:
        """Numbers that stand for missing values, by column."""
        if self.declared:
            return {str(name): [*self.declared] for name in self.frame.columns}
        return {c.name: [*c.codes.counts] for c in self.checks if c.codes.counts}

    def words(self) -> list[str]:
        """Say which numbers stand for missing values, or may do so: one sentence per line."""
        stripped = [replace(c, why_not="", remarks=()) for c in self.checks]
        lines = [f"column {c.name!r}: {text}" for c in stripped for text in c.words]
        if not any(c.codes.counts for c in self.checks):
            return lines
        return [*lines[:-1], f"{lines[-1]}; na='none' takes every number as a value"]


def measurements(
    data: DataLike | Source,
    columns: Sequence[str] | None = None,
    *,
    drop: Iterable[str] = (),
    keep: Iterable[str] = (),
) -> Measurements:
    """Choose the columns of a table to fit: the named ones, or those that ``data_check`` takes for measurements.

    Parameters
    ----------
    data : table, array, path or TableFile
    columns : sequence of str, optional
        Columns to use, whatever they are.
    drop : iterable of str
        Columns to leave out.
    keep : iterable of str
        Columns to use although they look like no measurements.

    Raises
    ------
    DataError
        If the table can't be read, a named column does not exist, or there is nothing to fit.

    Warns
    -----
    TableWarning
        How a file was read, where it is not a plain one.

    Examples
    --------
    >>> found = measurements({"id": [7, 3, 4, 1], "x": [1.5, 2.5, 2.0, 9.0]})
    >>> [*found.frame.columns], [column.why_not for column in found.left_out]
    (['x'], ['it is an id, by its name'])
    """
    drop, keep = [*drop], [*keep]
    if columns is not None:
        return _named([name for name in dict.fromkeys([*columns, *keep]) if name not in drop], data)
    sheet = sheet_of(data, keep)
    warn(sheet.told, TableWarning)
    check = data_check(sheet, drop=drop, keep=keep)
    texts = not_numeric(sheet.frame)
    used = [c for c in check.columns if c.is_used]
    out = [replace(c, why_not=_briefly(c, texts)) for c in check.columns if not c.is_used]
    frame = check.frame[check.source.is_data][[c.name for c in used]]
    return Measurements(frame, tuple(out), tuple(used), tuple(sheet.declared))


def _briefly(column: ColumnCheck, texts: dict[str, str]) -> str:
    """Return the reason why a column is left out; the same one for all texts."""
    return texts.get(column.name, column.why_not) if column.kind in TEXTS else column.why_not


def _named(columns: list[str], data: DataLike | Source) -> Measurements:
    sheet = sheet_of(data, columns)
    sheet.require_clear(columns)
    warn(sheet.told, TableWarning)
    select(sheet.values, columns)
    values, codes = numbers_for_missing(sheet, {name for name in map(str, sheet.values.columns) if name not in columns})
    checks = [ColumnCheck(name, "", codes=codes.get(name, MissingCodes())) for name in columns]
    return Measurements(select(values[sheet.is_data], columns), (), tuple(checks), tuple(sheet.declared))


def measurements_of_first(
    head: "pd.DataFrame", *, drop: Collection[str] = (), keep: Collection[str] = (), codes: bool = True
) -> Measurements:
    """Choose the columns of a table that is read part by part, from its first rows.

    Parameters
    ----------
    head : DataFrame
    drop, keep : collection of str
        As in ``measurements``.
    codes : bool
        Look for numbers that may stand for missing values; they are not replaced.
    """
    check = data_check(head, drop=drop, keep=keep, na=None if codes else [])
    out = tuple(c for c in check.columns if not c.is_used and c.kind in {*CERTAIN, "dropped"})
    maybe = [replace(c, codes=MissingCodes({}, c.codes.counts | c.codes.suspects)) for c in check.columns]
    used = tuple(c for c in maybe if c.name not in {one.name for one in out})
    return Measurements(head[[c.name for c in used]], out, used)


def unlikely_values(data: object, points: Points, columns: Sequence[str] | None = None) -> list[str]:
    """Say which columns of data that were given are probably no measurements, and which numbers no values.

    Only columns that have the name and the values of an id, a code or a numbering are named: a time grid may be a
    measurement.

    Parameters
    ----------
    data : object
        The data as they were given: nothing is said of points, which were checked before.
    points : Points
        The same data.
    columns : sequence of str, optional
        Columns that were chosen: only numbers that stand for missing values are then looked for.

    Examples
    --------
    >>> from bayesgmm.data.points import as_points
    >>> table = {"id": [1, 2, 3, 4, 5, 6], "x": [0.1, 0.7, 0.3, 0.9, 0.2, 0.4]}
    >>> print(*unlikely_values(table, as_points(table)))
    column 'id' is probably no measurement: it is a row number, an id or a code
      Choose the columns to fit, for example columns=['x']; with columns=, this one is fitted without this message.
    """
    if isinstance(data, Points):
        return []
    names = points.columns if columns is None else ()
    wrong = [name for j, name in enumerate(names) if _is_numbering(name, points, j)]
    return [*_on_columns(wrong, points.columns), *_on_codes(points)]


def _is_numbering(name: str, points: Points, j: int) -> bool:
    if not (names_an_id(name) or names_a_numbering(name) or names_a_code(name)):
        return False
    values = points.values[:, j]
    seen = values[np.isfinite(values)]
    return bool(seen.size and (seen == np.round(seen)).all() and no_measurement(name, values)[0] in NUMBERING)


def _on_columns(wrong: list[str], columns: Sequence[str]) -> list[str]:
    if not wrong:
        return []
    what = "is probably no measurement" if len(wrong) == 1 else "are probably no measurements"
    it = "it is a row number, an id or a code" if len(wrong) == 1 else "they are row numbers, ids or codes"
    rest = [name for name in columns if name not in wrong]
    example = f"columns={rest!r}" if 0 < len(rest) <= SHOWN else "columns=[...]"
    this = "this one is" if len(wrong) == 1 else "these are"
    return [
        f"column{'' if len(wrong) == 1 else 's'} {listing(wrong)} {what}: {it}\n"
        f"  Choose the columns to fit, for example {example}; with columns=, {this} fitted without this message."
    ]


def _on_codes(points: Points) -> list[str]:
    parts = []
    for j, name in enumerate(points.columns):
        values = points.values[:, j]
        if not values.size or not {float(np.fmin.reduce(values)), float(np.fmax.reduce(values))} & TYPICAL:
            continue
        parts += [
            f"{code:g} in {plural(count, 'row')} of {name!r}" for code, count in missing_codes(values).counts.items()
        ]
    if not parts:
        return []
    return [
        f"fitted as values, but they probably stand for missing ones: {'; '.join(parts)}\n"
        "  Replace them by NaN: data_check(data).frame is the table without them."
    ]
