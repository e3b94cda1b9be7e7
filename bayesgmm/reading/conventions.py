"""What the text of a column means: numbers by which decimal sign, missing values, truth values, codes, or text."""

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.reading.marks import DEFAULT_MARKS, NUMBER_MARKS
from bayesgmm.reading.numerals import GAPS, OTHER, Readings, readings
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd

UNCLEAR = r"[+-]?[1-9]\d{0,2}\.\d{3}"  # 1.234: a decimal point, or a point between thousands
CODE = r"0\d+"  # leading zeros: postcodes and customer numbers
MAX_DIGITS = 19  # an integer with that many is no number
TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Column:
    """The cells of a column, by what they can mean.

    Parameters
    ----------
    texts : (N,) Series of str
        Cells without blanks at their ends.
    absent : (N,) bool
        Empty cells, and marks for missing values.
    plain : (N,) Series, optional
        The numbers, where a program would read them so and nothing else is possible.
    has_points : bool
        Some of these have a decimal point.
    readings : Readings, optional
        Else: what the distinct cells mean.
    is_code : bool
        Integers, some with leading zeros.
    """

    texts: "pd.Series"
    absent: "pd.Series"
    plain: "pd.Series | None" = None
    has_points: bool = False
    readings: Readings | None = None
    is_code: bool = False

    @property
    def decimal(self) -> str | None:
        """The decimal sign that the cells alone allow; None if both or none."""
        if self.has_points:
            return "."
        if self.readings is None or self.readings.neither or self.is_code:
            return None
        point, comma = (bool(self.readings.only(sign)) for sign in (".", ","))
        return None if point == comma else "." if point else ","

    @property
    def unclear(self) -> list[str]:
        """Cells that differ by the decimal sign, if all cells are numbers by both."""
        both = self.readings
        if both is None or both.neither or both.only(".") or both.only(","):
            return []
        return both.unclear

    @property
    def looks_grouped(self) -> bool:
        """True if numbers below 1000 have no sign in them: so do thousands, and decimals rarely."""
        if self.readings is None:
            return False
        whole = [cell.lstrip("+-") for cell in self.readings.cells if cell.lstrip("+-").isdecimal()]
        return bool(whole) and max(map(len, whole)) <= 3


def column_of(cells: "pd.Series", na: Collection[str] = ()) -> Column:
    """Examine the cells of a column."""
    texts = cells.str.strip()
    absent = texts.eq("") | texts.isin(NUMBER_MARKS | set(na))
    present = texts[~absent]
    if not len(present):
        return Column(texts, absent)
    if (present.str.fullmatch(CODE).any() or present.str.len().max() >= MAX_DIGITS) and _are_codes(present):
        return Column(texts, absent, readings=readings(list(present.unique())), is_code=True)
    numbers = _as_numbers(present)
    if not numbers.isna().any() and numbers.dtype != object:
        dotted = present.str.contains(".", regex=False)
        if not dotted.any() or not present[dotted].str.fullmatch(UNCLEAR).all():
            return Column(texts, absent, numbers, bool(dotted.any()))
    return Column(texts, absent, readings=readings(list(present.unique())))


def _are_codes(texts: "pd.Series") -> bool:
    """Return True for integers of which some have leading zeros, or more digits than a number holds."""
    return bool(texts.str.fullmatch(r"\d+").all())


def _as_numbers(texts: "pd.Series") -> "pd.Series":
    """Convert texts to numbers as pandas does, quicker where they are in Arrow's memory; NaN for what is none."""
    import pandas as pd

    if hasattr(texts.array, "__arrow_array__") and not texts.str.contains("x", regex=False).any():  # 0x10 is no number
        import pyarrow as pa
        import pyarrow.compute as pc

        column = pa.chunked_array(pa.array(texts.array))
        for kind in (pa.int64(), pa.float64()):
            with suppress(pa.ArrowInvalid):
                return pd.Series(pc.cast(column, kind).to_numpy(), index=texts.index)
    numbers = pd.to_numeric(texts.astype(object), errors="coerce")
    return _to_the_last_digit(numbers, texts) if numbers.dtype == float else numbers


def _to_the_last_digit(numbers: "pd.Series", texts: "pd.Series") -> "pd.Series":
    """Return the nearest numbers to the texts; those of pandas 2 can be off by one in the last binary digit."""
    found = numbers.notna()
    return numbers.mask(found, texts.where(found, "nan").to_numpy(object).astype(float))


@dataclass(frozen=True)
class Meaning:
    """A column as it is used.

    Parameters
    ----------
    values : (N,) Series
        Numbers with NaN where one is missing, truth values, or text.
    decimal : str, optional
        Decimal sign, where it makes a difference.
    affix : str
        Currency or unit that was removed from each cell.
    why_text : str
        For a column of which most cells are numbers: why it is text.
    marks : dict of str to int
        Texts that were read as missing values, beside empty cells and the marks that every program knows.
    grouped : str
        Example of a number whose thousands are separated.
    """

    values: "pd.Series"
    decimal: str | None = None
    affix: str = ""
    why_text: str = ""
    marks: dict[str, int] = field(default_factory=dict)
    grouped: str = ""


def meaning(column: Column, decimal: str, numeric: bool = False, forced: bool = False) -> Meaning:
    """Interpret a column by a decimal sign.

    Parameters
    ----------
    column : Column
    decimal : str
    numeric : bool
        Numbers with leading zeros are numbers.
    forced : bool
        Besides, what is no number is missing.
    """
    if column.absent.all():
        return Meaning(column.texts.where(~column.absent).astype(object) if not forced else _numbers(column, {}))
    if column.plain is not None:
        return Meaning(_filled(column, column.plain), ".", marks=_marks(column))
    both = column.readings
    assert both is not None
    truth = _truth(column)
    if truth is not None:
        return Meaning(truth)
    table = dict(zip(both.cells, both.values[decimal], strict=True))
    why = "" if forced else _why_text(column, both, decimal)
    if why or (column.is_code and not (numeric or forced)):
        return Meaning(_as_text(column), why_text=why)
    whole = not any(decimal in cell for cell in both.cells)
    grouped = next((cell for cell in both.cells if re.search(rf"\d[{re.escape(OTHER[decimal])}{GAPS}]\d", cell)), "")
    affix = next((affix for affix in both.affixes if affix), "")
    values = _numbers(column, table)
    return Meaning(_integers(values) if whole else values, decimal, affix, "", _marks(column), grouped)


def _numbers(column: Column, table: dict[str, Any]) -> "pd.Series":
    """Replace the cells by their numbers; those that are none are NaN."""
    return column.texts.where(~column.absent).astype(object).map(table).astype(np.float64)


def _filled(column: Column, numbers: "pd.Series") -> "pd.Series":
    return numbers if len(numbers) == len(column.texts) else numbers.astype(np.float64).reindex(column.texts.index)


def _integers(values: "pd.Series") -> "pd.Series":
    whole = values.notna().all() and (values == values.round()).all() and values.abs().max() < 2**53
    return values.astype(np.int64) if whole else values


def _as_text(column: Column) -> "pd.Series":
    empty = column.texts.eq("") | column.texts.isin(DEFAULT_MARKS)
    return column.texts.where(~empty)


def _marks(column: Column) -> dict[str, int]:
    odd = column.texts[column.absent & column.texts.ne("") & ~column.texts.isin(DEFAULT_MARKS)]
    return {str(mark): int(count) for mark, count in odd.value_counts().items()}


def _truth(column: Column) -> "pd.Series | None":
    assert column.readings is not None
    if {cell.lower() for cell in column.readings.cells} <= set(TRUTH):
        values = column.texts.str.lower().map(TRUTH)
        return values.astype(bool) if not column.absent.any() else values.astype("boolean")
    return None


def _why_text(column: Column, both: Readings, decimal: str) -> str:
    """Give the reason why a column of numbers can't be read as numbers; empty if it can, or is no such column."""
    wrong = [cell for cell, value in zip(both.cells, both.values[decimal], strict=True) if np.isnan(value)]
    if len(wrong) == len(both.cells):
        return "it is text"
    if wrong:
        other = {*both.only(OTHER[decimal])}
        if other and not both.neither:
            return _two_signs(column, wrong, decimal)
        return f"it is text in {_where(column, wrong)}"
    return _mixed_units(column, both)


def _mixed_units(column: Column, both: Readings) -> str:
    named = sorted({affix for affix in both.affixes if affix})
    if len(named) > 1:
        return f"its units differ: {', '.join(map(repr, named[:4]))}"
    bare = [cell for cell, affix in zip(both.cells, both.affixes, strict=True) if not affix]
    if named and bare and not _is_money(named[0]):
        return f"some of its cells have the unit {named[0]!r}, others none, such as {bare[0]!r}"
    return ""


def _is_money(affix: str) -> bool:
    return affix in "$€£¥₹" or (len(affix) == 3 and affix.isupper())


def _two_signs(column: Column, cells: Sequence[str], decimal: str) -> str:
    count = int(column.texts.isin(cells).sum())
    own, other = ("point", "comma") if decimal == "." else ("comma", "point")
    have = plural(count, "cell has", "cells have")
    return f"{have} a decimal {other}, such as {cells[0]!r}, the others a {own}"


def _where(column: Column, cells: Sequence[str]) -> str:
    at = np.flatnonzero(column.texts.isin(cells))
    example = column.texts.iloc[at[0]]
    return f"{len(at)} of {len(column.texts)} rows, such as {example!r} in row {column.texts.index[at[0]]}"
