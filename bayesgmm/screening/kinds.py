"""The kind of a column: a measurement, or an id, a code, a date, a class."""

import re
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.columns import is_numeric
from bayesgmm.screening.names import names_a_code, names_a_numbering, names_a_time, names_an_id
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

MAX_MISSING = 0.5  # fraction of missing values above which a column is left out
FEW_VALUES = 5  # maximum number of distinct values of a class label, if each occurs often
OFTEN = 10  # average number of occurrences
MIN_ROWS = 4  # needed to recognise a column that numbers the rows
MIN_IDS = 20  # rows needed to recognise other ids
DENSE = 1.5  # largest range of integers, per row, of a numbering with gaps
NEARLY_ALL = 0.9  # fraction of distinct values of an id
EXACT = 2**53
SECONDS = (9.4e8, 2.05e9)  # since 1970: the years 1999 to 2034
MONTHS = "jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez"
DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ]\d{1,2}:\d{2}.*)?|\d{1,2}[-/. ]\d{1,2}[-/. ]\d{2,4}( \d{1,2}:\d{2}.*)?"
    rf"|\d{{1,2}}[-. ]+({MONTHS})\w*[-. ]+\d{{2,4}}|({MONTHS})\w*[-. ]+(\d{{1,2}},? +)?\d{{2,4}}"
    r"|\d{1,2}:\d{2}(:\d{2}.*)?",
    re.IGNORECASE,
)


def unfit(column: "pd.Series") -> tuple[str, str]:
    """Return the kind and the reason of a column that can't be used; two empty texts if it can."""
    if not is_numeric(column):
        text = column.dtype == object or str(column.dtype).startswith("str")
        if str(column.dtype).startswith(("datetime", "timedelta")):
            return "date", f"it holds {column.dtype}, not numbers"
        return text_kind(column) if text else ("text", f"it holds {column.dtype}, not numbers")
    values = column.to_numpy(np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    if not values.size:
        return "empty", "it has no values"
    return ("constant", "it is constant") if values.min() == values.max() else ("", "")


def text_kind(column: "pd.Series") -> tuple[str, str]:
    """Describe the text in a column, with an example: dates, a mark for missing values, a unit."""
    import pandas as pd

    present = column.dropna()
    if not len(present):
        return "empty", "it has no values"
    if all(DATE.fullmatch(str(value).strip()) for value in present.iloc[:200]):
        return "date", f"it holds dates or times, such as {present.iloc[0]!r}"
    wrong = present[pd.to_numeric(present, errors="coerce").isna()]
    if not len(wrong):
        return "text", "its numbers are stored as text"
    part = "" if len(wrong) == len(present) else f" in {len(wrong)} of {len(column)} rows"
    return "text", f"it is text{part}, such as {wrong.iloc[0]!r}"


def no_measurement(name: str, values: Array) -> tuple[str, str]:
    """Return the kind and the reason of a column of numbers that is no measurement; two empty texts if it may be one.

    Parameters
    ----------
    name : str
    values : (N,) float
        NaN where a value is missing.
    """
    missing = 1 - np.isfinite(values).mean()
    if missing > MAX_MISSING:
        return "mostly missing", f"{missing:.0%} of its values are missing"
    ordered = np.sort(values)  # once: this is most of the time of a long table
    steps = np.diff(ordered)
    if len(values) >= MIN_ROWS and (steps == steps[0]).all():
        return "row number", "it numbers the rows"
    present = ordered[np.isfinite(ordered)]
    distinct = present[np.append(True, np.diff(present) > 0)] if present.size else present
    if (present == np.round(present)).all():
        kind, why = _integer_kind(name, present, distinct)
        if kind:
            return kind, why
    if len(distinct) <= FEW_VALUES and len(values) >= OFTEN * len(distinct):
        return "class", f"it has {len(distinct)} distinct values: a class label, not a measurement"
    return "", ""


def _integer_kind(name: str, present: Array, distinct: Array) -> tuple[str, str]:
    n, low, high = len(present), present[0], present[-1]
    if names_an_id(name):
        return "id", "it is an id, by its name"
    if names_a_code(name):
        return "code", "it is a code, by its name"
    if max(-low, high) > EXACT:
        return "id", "its integers are beyond 2**53"
    if _are_dates(distinct):
        return "date", f"it holds dates, such as {low:.0f}"
    if _are_seconds(low, high, names_a_time(name)):
        return "time", "it holds times: seconds or milliseconds since 1970"
    if n < MIN_IDS:
        return "", ""
    if len(distinct) == n and high - low < DENSE * n:
        return "row number", "it numbers the rows, with gaps"
    counts = low in (0, 1) and len(distinct) >= 10 and high - low == len(distinct) - 1
    if names_a_numbering(name) and (len(distinct) >= NEARLY_ALL * n or counts):
        return "id", "it is a numbering, by its name and values"
    return "", ""


def _are_seconds(low: float, high: float, is_named: bool) -> bool:
    for unit in (1.0, 1e3, 1e6, 1e9):
        first, last = unit * SECONDS[0], unit * SECONDS[1]
        if first <= low and high <= last and (is_named or high - low < high / 2):
            return True
    return is_named and low >= 1e8 and high <= SECONDS[1]


def _are_dates(distinct: Array) -> bool:
    """Return True for integers such as 20240131."""
    if len(distinct) < MIN_ROWS or distinct[0] < 19000101 or distinct[-1] > 20991231:
        return False
    month, day = distinct // 100 % 100, distinct % 100
    return bool(((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())
