"""From the cells of a file to a table: numbers for the analysis, and the texts as they came for what is written."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import DataError
from bayesgmm.reading.conventions import CODE, MAX_DIGITS, Column, Meaning, column_of, meaning
from bayesgmm.reading.margins import blank_rows, last_rows, units_above
from bayesgmm.reading.numerals import readings
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import pandas as pd

COMMA_SEPARATORS = (";",)  # used where the comma is the decimal sign
MADE = "Unnamed: {}"  # name of a column that has none


@dataclass(frozen=True)
class ReadTable:
    """A table that was read from a file.

    Parameters
    ----------
    values : DataFrame
        All rows; columns of numbers as numbers, the others as text.
    texts : DataFrame
        The same cells and names as they are written in the file.
    aside : dict of int to str
        Positions of the rows that are no data, each with what it is; all their values are missing.
    words : tuple of str
        How the file was read, where it is not a plain file with commas and decimal points.
    why_text : dict of str to str
        Columns that are text although most of their cells are numbers, or with leading zeros, each with the reason.
    unclear : dict of str to str
        Columns that can be read in two ways, each with what to do.
    decimals : dict of str to str
        Decimal sign of each column, where it makes a difference.
    pointed : frozenset of str
        Columns with decimal points.
    na : tuple, optional
        Values for missing ones that were declared.
    """

    values: "pd.DataFrame"
    texts: "pd.DataFrame"
    aside: dict[int, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    why_text: dict[str, str] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    decimals: dict[str, str] = field(default_factory=dict)
    pointed: frozenset[str] = frozenset()
    na: tuple[str | float, ...] | None = None

    @property
    def is_data(self) -> NDArray[np.bool_]:
        """Mask (N,) of the rows that are data."""
        mask = np.ones(len(self.values), dtype=bool)
        mask[list(self.aside)] = False
        return mask

    @property
    def declared(self) -> list[float]:
        """Numbers that were declared to stand for missing values."""
        return [number for value in self.na or () if (number := _as_number(value)) is not None]

    @property
    def frame(self) -> "pd.DataFrame":
        """The rows that are data; their labels are their positions in the file."""
        return self.values[self.is_data] if self.aside else self.values

    @property
    def told(self) -> list[str]:
        """How the file was read, and why columns that look like numbers are text: one sentence per line."""
        return [*self.words, *(f"column {name!r}: {why}" for name, why in self.why_text.items())]

    def introduced(self, name: str, how: Collection[str], more: Collection[str] = ()) -> "ReadTable":
        """Return the table with a first line on the name of the file, how it was read, and what else was seen."""
        commas = sorted(column for column, sign in self.decimals.items() if sign == ",")
        points = [column for column, sign in self.decimals.items() if sign == "." and column in self.pointed]
        parts = [*how]
        if commas:
            parts.append(f"decimal comma in {listing(commas)}" if points else "decimal comma")
        clauses = [f"read as {', '.join(parts)}"] if parts else []
        said = "; ".join([*clauses, *more])
        return replace(self, words=(f"{name}: {said}", *self.words)) if said else self

    def require_clear(self, columns: Collection[str] | None = None) -> None:
        """Raise DataError for columns that can be read in two ways; only the named ones, if names are given."""
        asked = {name: why for name, why in self.unclear.items() if columns is None or name in columns}
        if asked:
            first, *others = asked
            what, advice = asked[first].split("\n")
            also = f" (also {listing(others)})" if others else ""
            raise DataError(f"{what}{also}\n{advice}")


@dataclass(frozen=True)
class Known:
    """What is known about a table before its cells are interpreted.

    Parameters
    ----------
    sep : str, optional
        Separator of the file.
    decimal : str, optional
        Decimal sign that was declared.
    na : tuple, optional
        Values for missing ones that were declared.
    decimals : mapping of str to str
        Decimal signs of single columns.
    numeric : collection of str
        Columns in which leading zeros make no code.
    forced : collection of str
        Columns in which a cell that is no number is missing.
    ends : bool
        The last rows are the end of the table.
    """

    sep: str | None = ","
    decimal: str | None = None
    na: tuple[str | float, ...] | None = None
    decimals: Mapping[str, str] = field(default_factory=dict)
    numeric: Collection[str] = ()
    forced: Collection[str] = ()
    ends: bool = True


def interpreted(cells: "pd.DataFrame", names: tuple[str, ...], known: Known) -> ReadTable:
    """Interpret the cells of a table.

    Parameters
    ----------
    cells : (N, D) DataFrame of str
    names : tuple of D str
        As they are written; an empty one for a column without a name.
    known : Known
    """
    blank = blank_rows(cells)
    if known.ends and blank.any():
        end = len(blank) - int(np.argmin(blank[::-1])) if not blank.all() else 0
        cells, blank = cells.iloc[:end], blank[:end]
    aside = dict.fromkeys(np.flatnonzero(blank).tolist(), "blank")
    if known.ends:
        aside |= _totals(cells, blank)
    used = [name or MADE.format(j) for j, name in enumerate(names)]
    columns = _columns(cells, aside, known)
    aside |= _units(cells, columns, aside, known)
    signs, unclear = _signs(columns, used, known)
    meanings = {
        j: meaning(column, signs[j], used[j] in known.numeric, used[j] in known.forced) for j, column in columns.items()
    }
    meanings = {j: _without(one, known.na) for j, one in meanings.items()}
    return ReadTable(
        _joined(meanings, used, cells.index),
        cells.set_axis(list(names), axis=1),
        aside,
        tuple(_words(meanings, used, aside, cells)),
        {used[j]: why for j in columns if (why := _why_text(columns[j], meanings[j], used[j], known))},
        unclear,
        {used[j]: one.decimal for j, one in meanings.items() if one.decimal},
        frozenset(used[j] for j, column in columns.items() if column.decimal == "."),
        known.na,
    )


def _totals(cells: "pd.DataFrame", blank: NDArray[np.bool_]) -> dict[int, str]:
    filled = np.flatnonzero(~blank)
    count = last_rows(cells.iloc[filled]) if len(filled) > 2 else 0
    return {at: _first_text(cells, at) for at in filled[len(filled) - count :].tolist()}


def _first_text(cells: "pd.DataFrame", at: int) -> str:
    return repr(next(text for cell in cells.iloc[at] if (text := str(cell).strip()))[:40])


def _columns(cells: "pd.DataFrame", aside: Collection[int], known: Known) -> dict[int, Column]:
    rows = cells.drop(index=cells.index[list(aside)]) if aside else cells
    marks = [str(value) for value in known.na or ()]
    return {j: column_of(rows.iloc[:, j], marks) for j in range(rows.shape[1])}


def _units(cells: "pd.DataFrame", columns: dict[int, Column], aside: Collection[int], known: Known) -> dict[int, str]:
    """Find a line of units under the names; the columns are examined again without it."""
    if not len(cells) or cells.index[0] != 0 or 0 in aside:
        return {}
    first = {j: str(cells.iloc[0, j]).strip() for j in columns}
    over = units_above(columns, first)
    if not over:
        return {}
    columns |= _columns(cells, {0, *aside}, known)
    return {0: f"units ({', '.join(first[j] for j in over[:3])})"}


def _signs(columns: dict[int, Column], names: list[str], known: Known) -> tuple[dict[int, str], dict[str, str]]:
    """Decide the decimal sign of each column; also the columns for which both are possible, each with the question."""
    own = {j: sign for j, column in columns.items() if (sign := known.decimals.get(names[j]) or column.decimal)}
    usual = known.decimal or _common(own.values())
    custom = {j: sign for j, column in columns.items() if column.unclear and (sign := _by_custom(column, known.sep))}
    if len({"." in cell for column in columns.values() for cell in column.unclear}) > 1:
        custom = {}  # 1.257 in one column and 1,049 in another: either may be the decimal sign
    usual = usual or (None if own else _common(custom.values()))
    signs = {j: own.get(j) or usual or custom.get(j) or "." for j in columns}
    asked = [j for j, column in columns.items() if column.unclear and not (own.get(j) or usual or custom.get(j))]
    if len({*own.values()}) > 1 and not known.decimal:
        asked = [j for j, column in columns.items() if column.unclear and j not in own]
    return signs, {names[j]: _question(names[j], columns[j].unclear[0]) for j in asked}


def _common(signs: Iterable[str]) -> str | None:
    """Return the sign that all columns have; None if they differ, or there are none."""
    return signs.pop() if len(signs := {*signs}) == 1 else None


def _by_custom(column: Column, sep: str | None) -> str | None:
    """Return the decimal sign of a column without any clear number, in a file without one; None if both are usual."""
    points = {"." in cell for cell in column.unclear}
    if len(points) > 1 or sep in COMMA_SEPARATORS:
        return None
    if points == {True}:
        return None if column.looks_grouped else "."
    return "." if column.looks_grouped else None


def _question(name: str, cell: str) -> str:
    digits = cell.replace(".", "").replace(",", "")
    point, whole = ("decimal=','", "decimal='.'") if "," in cell else ("decimal='.'", "decimal=','")
    return (
        f"column {name!r}: {cell!r} can be {cell.replace(',', '.')} or {digits}\n"
        f"  Say which: {point} for the former, {whole} for the latter."
    )


def _without(one: Meaning, na: tuple[str | float, ...] | None) -> Meaning:
    """Replace the numbers, or texts of a column of text, that stand for missing values."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_bool_dtype(one.values.dtype):
        return one
    is_text = not is_numeric_dtype(one.values.dtype)
    codes = [code for value in na or () if (code := str(value) if is_text else _as_number(value)) is not None]
    counts = {f"{code}" if is_text else f"{code:g}": int((one.values == code).sum()) for code in codes}
    if not any(counts.values()):
        return one
    marks = one.marks | {code: count for code, count in counts.items() if count}
    values = one.values if is_text else one.values.astype(np.float64)
    return replace(one, values=values.mask(one.values.isin(codes)), marks=marks)


def _as_number(value: str | float) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _joined(meanings: dict[int, Meaning], names: list[str], index: "pd.Index") -> "pd.DataFrame":
    import pandas as pd

    columns = [_extended(one.values, index) for one in meanings.values()]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=index)
    return frame.set_axis(names, axis=1)


def _extended(values: "pd.Series", index: "pd.Index") -> "pd.Series":
    """Return a column with missing values in the rows that are no data."""
    if len(values) == len(index):
        return values
    return (values.astype("boolean") if values.dtype == bool else values).reindex(index)


def _why_text(column: Column, one: Meaning, name: str, known: Known) -> str:
    if column.is_code and one.decimal is None:
        return _code(column)
    if not one.why_text or one.why_text == "it is text":
        return ""
    wrong = column.readings.neither[:1] if column.readings else []
    few = column.readings is not None and len(column.readings.neither) < len(column.readings.cells) / 2
    if not few:
        return ""
    return one.why_text + (f"; na=[{wrong[0]!r}] reads such cells as missing" if wrong else "")


def _code(column: Column) -> str:
    cells = column.texts[~column.absent]
    zeros = cells[cells.str.fullmatch(CODE)]
    if len(zeros):
        return f"it is a code: it has leading zeros, such as {zeros.iloc[0]!r}"
    return f"it is a code: it has more digits than a number, such as {cells[cells.str.len() >= MAX_DIGITS].iloc[0]!r}"


def _words(meanings: dict[int, Meaning], names: list[str], aside: dict[int, str], cells: "pd.DataFrame") -> list[str]:
    """Describe how the cells were read, where that is not evident."""
    lines = []
    for what, at in _by_kind(aside).items():
        where = plural(len(at), "row") if what == "blank" else f"row {cells.index[at[0]]}"
        lines.append(f"{where} left out: {what}")
    for j, one in meanings.items():
        if one.grouped:
            number = readings([one.grouped]).values[one.decimal or "."][0]
            lines.append(f"column {names[j]!r}: thousands are separated, {one.grouped!r} is read as {number:.15g}")
        if one.affix:
            lines.append(f"column {names[j]!r}: {one.affix!r} is removed from its numbers")
        if one.marks:
            marks = ", ".join(f"{mark!r} ({count})" for mark, count in [*one.marks.items()][:5])
            lines.append(f"column {names[j]!r}: read as missing: {marks}")
    return lines


def _by_kind(aside: dict[int, str]) -> dict[str, list[int]]:
    kinds: dict[str, list[int]] = {}
    for at, what in sorted(aside.items()):
        kinds.setdefault(what, []).append(at)
    return kinds
