"""The check of a table: what each column is, whether it is used, and what stands out in it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.columns import column_names, is_numeric, select
from bayesgmm.data.points import DataLike
from bayesgmm.errors import DataError
from bayesgmm.keywords import checks_keywords
from bayesgmm.reading.settings import Source, TableFile, is_source
from bayesgmm.reading.tables import ReadTable
from bayesgmm.screening.dependence import determined, nearly_determined
from bayesgmm.screening.kinds import no_measurement, unfit
from bayesgmm.screening.missing_codes import MissingCodes, missing_codes
from bayesgmm.screening.results import IDS, NOT_CHOSEN, ColumnCheck, DataCheck
from bayesgmm.screening.shapes import remarks_on
from bayesgmm.screening.sheets import sheet_of

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.sweep.stats import Array

MEASUREMENT, INTEGERS = "measurement", "whole numbers"
NO_CODES = frozenset({"id", "code", "row number", "date", "time"})  # kinds without codes for missing values


@checks_keywords
def data_check(
    data: DataLike | Source | ReadTable,
    columns: Sequence[str] | None = None,
    *,
    drop: str | Iterable[str] = (),
    id: str | Iterable[str] = (),  # noqa: A002
    keep: str | Iterable[str] = (),
    na: str | float | Sequence[str | float] | None = None,
) -> DataCheck:
    """Check a table before it is used: the kind of each column, missing values and codes for them, and what stands out.

    Columns that are no measurements are left out: text, ids, dates, class labels, constants. A number such as -999 is
    taken as a code for missing values where it is far from all other values of its column, or much more frequent.
    ``cluster_table`` and ``find_anomalies`` use this check.

    Parameters
    ----------
    data : table, array, path or TableFile
        (N, D) table.
    columns : sequence of str, optional
        Columns to use, whatever they are; default all measurements.
    drop : str or iterable of str
        Columns to leave out.
    id : str or iterable of str
        Columns that identify the rows; they are left out.
    keep : str or iterable of str
        Columns to use although they look like no measurements.
    na : str, float, or sequence of them, optional
        Values that stand for missing ones. No others are then looked for; ``na=[]`` or ``'none'``: there are none.

    Returns
    -------
    DataCheck
        ``print`` shows it as a table; ``.table`` is a DataFrame with one row per column, ``.words()`` a list of
        sentences.

    Raises
    ------
    DataError
        If the table can't be read or has no rows, a named column does not exist, or one of ``columns`` or ``keep``
        can't be used.

    Examples
    --------
    >>> ages = [23.5, 31.2, 44.0, 28.9, 51.3, 38.8, 62.1, 47.6, 29.4, 35.0, -999.0, -999.0]
    >>> check = data_check({"customer_id": range(100, 124, 2), "age": ages, "city": [*"abcabcabcabc"]})
    >>> check.used, check.left_out
    (('age',), {'customer_id': 'it numbers the rows', 'city': "it is text, such as 'a'"})
    >>> check.columns[1].codes.counts
    {-999.0: 2}
    """
    dropped, ids, kept = _names(drop), _names(id), _names(keep)
    sheet = _sheet(data, na, [*(columns or ()), *kept])
    if sheet.values.empty:
        raise DataError("the table has no rows")
    named = None if columns is None else _chosen(sheet.values, columns)
    for names in (dropped, ids, kept):
        select(sheet.values, names)
    others = [name for name in sheet.values.columns if named is not None and name not in [*named, *kept]]
    left_out = dict.fromkeys(others, ("other", NOT_CHOSEN)) | dict.fromkeys(dropped, ("dropped", "it is dropped"))
    left_out |= dict.fromkeys(ids, ("id", "it is an id"))
    frame, codes = numbers_for_missing(sheet, left_out)
    wanted = [*(named or ()), *kept]
    checks = [_checked(frame, name, sheet, left_out, wanted) for name in frame.columns]
    _require_fit(checks, wanted, left_out)
    sheet.require_clear([c.name for c in checks if c.is_used])
    checks = _with_dependence(frame, checks)
    checks = [replace(c, codes=codes.get(c.name, MissingCodes())) for c in checks]
    return DataCheck(tuple(checks), frame, sheet, _duplicates(sheet, checks))


def _names(given: str | Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else [str(name) for name in given]


def _sheet(data: "DataLike | Source | ReadTable", na: object, numeric: Collection[str]) -> ReadTable:
    """Read the data with the declared values for missing ones."""
    if na is None:
        return sheet_of(data, numeric)
    file = TableFile("", na=na)  # type: ignore[arg-type]
    if is_source(data):
        file = replace(data, na=file.na) if isinstance(data, TableFile) else TableFile(data, na=file.na)
        return sheet_of(file, numeric)
    sheet = sheet_of(data)
    marks = file.missing or ()
    numbers = [number for value in marks if (number := _number(value)) is not None]
    marked = sheet.values.isin([*numbers, *map(str, marks)])
    return replace(sheet, values=sheet.values.mask(marked) if marked.any(axis=None) else sheet.values, na=marks)


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except ValueError:
        return None


def _chosen(frame: "pd.DataFrame", columns: Sequence[str]) -> list[str]:
    return [str(c) for c in select(frame, column_names(columns)).columns]


def numbers_for_missing(sheet: ReadTable, out: Collection[str]) -> "tuple[pd.DataFrame, dict[str, MissingCodes]]":
    """Replace codes for missing values; those that were found in one column need not be as far in another."""
    if sheet.na is not None:
        return sheet.values, {}
    numbers = {name: x for name in sheet.values.columns if (x := _coded(sheet, name)) is not None and name not in out}
    first = {name: missing_codes(x) for name, x in numbers.items()}
    everywhere = {code for found in first.values() for code in found.counts}
    found = {name: missing_codes(x, everywhere) if everywhere else first[name] for name, x in numbers.items()}
    found = {name: one for name, one in found.items() if one.counts or one.suspects}
    changed = {name: sheet.values[name].mask(sheet.values[name].isin([*one.counts])) for name, one in found.items()}
    return (sheet.values.assign(**changed) if changed else sheet.values), found


def _coded(sheet: ReadTable, name: str) -> "Array | None":
    """Return the numbers of a column that may hold codes for missing values."""
    column = sheet.values[name]
    if not is_numeric(column) or column.dtype == bool:
        return None
    values = column.to_numpy(np.float64, na_value=np.nan)
    return None if no_measurement(name, values)[0] in NO_CODES else values


def _checked(
    frame: "pd.DataFrame",
    name: str,
    sheet: ReadTable,
    left_out: dict[str, tuple[str, str]],
    wanted: list[str],
) -> ColumnCheck:
    column = frame[name][sheet.is_data]
    missing = int(column.isna().sum())
    if name in left_out:
        return ColumnCheck(name, *left_out[name], missing)
    kind, why = unfit(column)
    if why:
        why = sheet.why_text.get(name, why)
        kind = "code" if why.startswith("it is a code") else kind
        return ColumnCheck(name, kind, why, missing)
    values = column.to_numpy(np.float64, na_value=np.nan)
    kind, why = no_measurement(name, values)
    why = "" if name in wanted else why
    whole = bool((values[np.isfinite(values)] % 1 == 0).all())
    remarks = () if why else tuple(remarks_on(values))
    return ColumnCheck(name, kind or (INTEGERS if whole else MEASUREMENT), why, missing, remarks=remarks)


def _require_fit(checks: list[ColumnCheck], wanted: list[str], left_out: Collection[str]) -> None:
    """Raise DataError when a column that was asked for can't be used."""
    wrong = [c for c in checks if c.name in wanted and c.name not in left_out and not c.is_used]
    if wrong:
        raise DataError("; ".join(f"column {c.name!r} can't be used: {c.why_not}" for c in wrong))


def _with_dependence(frame: "pd.DataFrame", checks: list[ColumnCheck]) -> list[ColumnCheck]:
    used = [c.name for c in checks if c.is_used]
    exactly = determined(frame[used]) if used else {}
    rest = [name for name in used if name not in exactly]
    nearly = nearly_determined(frame[rest]) if rest else {}
    answer = []
    for check in checks:
        if check.name in exactly:
            check = replace(check, kind="linear function", why_not=exactly[check.name], remarks=())
        elif check.name in nearly:
            share = f"{100 * nearly[check.name]:.1f} % determined by the other columns"
            check = replace(check, remarks=(*check.remarks, share))
        answer.append(check)
    return answer


def _duplicates(sheet: ReadTable, checks: list[ColumnCheck]) -> int:
    """Count the rows that repeat an earlier one, apart from ids."""
    names = [c.name for c in checks if c.kind not in IDS]
    return int(sheet.frame[names].duplicated().sum()) if names else 0
