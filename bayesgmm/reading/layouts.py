"""Where the separators, the line of names and the first row of a table are, in the first lines of a text."""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from bayesgmm.reading.marks import NUMBER_MARKS
from bayesgmm.reading.numerals import Readings, readings
from bayesgmm.reading.settings import BLANKS, WORDS

SEPARATORS = (",", ";", "\t", "|")
CLOSE = 0.05  # difference in the share of numbers by which two separators can't be distinguished
NUMBERS = 0.3  # fraction of the cells that are numbers, where that decides
MANY = 0.5  # fraction of rows that must have the number of fields of the table
EVEN = 0.02  # relative difference of the steps between names that are numbers, such as wavelengths
YEARS = (1800, 2200)
SAMPLE = 200  # rows
TITLES = 50  # rows in which the names are looked for
Row = list[str]


class NoLayout(Exception):
    """No separator and line of names fit the text; its text says what was seen."""


@dataclass(frozen=True)
class Layout:
    """Layout of a table.

    Parameters
    ----------
    sep : str, optional
        Separator; None: there is one column.
    names : tuple of str
        Names of the columns as they are written; empty for columns without one.
    skip : int
        Lines of the text before the first row.
    titles : tuple of str
        Lines above the names.
    named : bool
        False if the text has no line of names; they are then made.
    row_names : bool
        The first column has no name, because it holds the names of the rows, as R writes them.
    ends : bool
        Each row ends with a separator.
    initial : bool
        Blanks follow the separators.
    """

    sep: str | None
    names: tuple[str, ...]
    skip: int = 1
    titles: tuple[str, ...] = ()
    named: bool = True
    row_names: bool = False
    ends: bool = False
    initial: bool = False

    @property
    def words(self) -> list[str]:
        """Name the separator, if it is no comma."""
        return [] if self.sep in (",", None) else [f"{WORDS.get(str(self.sep), repr(self.sep))}-separated"]

    @property
    def remarks(self) -> list[str]:
        """Describe what else differs from a plain CSV file."""
        parts = []
        if self.titles:
            lines = "1 line" if len(self.titles) == 1 else f"{len(self.titles)} lines"
            parts.append(f"skipped {lines} above the names ({self.titles[0][:40]!r})")
        if not self.named:
            last = f"x{len(self.names) - 1}"
            parts.append(f"there is no line of names, so the columns are {'x0' if last == 'x0' else f'x0 to {last}'}")
        if self.row_names:
            parts.append("the first column, which has no name, names the rows")
        if self.ends:
            parts.append("each row ends with a separator")
        return parts


@dataclass(frozen=True)
class _Candidate:
    """A separator with the rows that it gives."""

    sep: str | None
    rows: list[Row]
    lines: list[int]  # number of lines up to the end of each row
    width: int
    layout: Layout | None = None
    problem: str = ""
    number_share: float = 0.0
    regular: float = 0.0

    @property
    def is_table(self) -> bool:
        """False if a line is skipped for the sake of separators that stand in sentences."""
        if self.layout is None or not self.layout.titles or self.number_share >= NUMBERS:
            return True
        return len(self.rows[0]) == self.width  # a spreadsheet fills the lines of titles with separators


def layout_of(text: str, sep: str | None = None, decimal: str | None = None) -> Layout:
    r"""Recognise the layout of a text from its first lines.

    Raises
    ------
    NoLayout
        When two separators fit, or none with a line of names.

    Examples
    --------
    >>> layout = layout_of("Report of May\n\nage;income\n20,4;1759,38\n19,6;1430,87\n")
    >>> layout.sep, layout.names, layout.skip, layout.titles
    (';', ('age', 'income'), 3, ('Report of May',))
    """
    lines = _lines(text)
    if declared := re.fullmatch(r"sep=(.)\s*", lines[0] if lines else ""):
        inner = layout_of("".join(lines[1:]), sep or declared[1], decimal)
        return _moved(inner, 1)
    if sep is not None:
        return _required(_candidate(text, sep))
    tried = [_candidate(text, one) for one in SEPARATORS]
    good = [one for one in tried if one.layout is not None and one.regular >= MANY and one.is_table]
    if not good:
        blank = _candidate(text, BLANKS)
        is_regular = blank.layout is not None and blank.regular == 1
        good = [blank] if is_regular and blank.number_share >= NUMBERS else []
    if good:
        return _best(good)
    return _single_column(text, tried, decimal)


def _lines(text: str) -> list[str]:
    """Split a text at carriage returns and line feeds only, as parsers of tables do."""
    return io.StringIO(text, newline="").readlines()


def _moved(layout: Layout, lines: int) -> Layout:
    return replace(layout, skip=layout.skip + lines)


def _required(candidate: _Candidate) -> Layout:
    if candidate.layout is None:
        raise NoLayout(candidate.problem)
    return candidate.layout


def _best(good: list[_Candidate]) -> Layout:
    """Return the layout with the most regular rows and the most numbers.

    Raises
    ------
    NoLayout
        When two are about equal.
    """
    good = sorted(good, key=_rank, reverse=True)
    first, *others = good
    for other in others:
        if _rank(other)[:2] == _rank(first)[:2] and abs(first.number_share - other.number_share) < CLOSE:
            pair = " or ".join(f"{WORDS[str(one.sep)]}s ({one.width} columns)" for one in (first, other))
            raise NoLayout(f"its columns can be separated by {pair}\n  Say which with sep={first.sep!r}.")
    return _required(first)


def _rank(candidate: _Candidate) -> tuple[bool, float, float]:
    assert candidate.layout is not None
    return candidate.layout.named, round(candidate.regular, 1), candidate.number_share


def _single_column(text: str, tried: list[_Candidate], decimal: str | None) -> Layout:
    """Return the layout of one column.

    Raises
    ------
    NoLayout
        When most rows hold separators, so that it is another fault.
    """
    seen = [one for one in tried if one.width > 1 and one.regular >= MANY and not (decimal == "," and one.sep == ",")]
    if seen:
        first = seen[0]
        unclear = (
            f"has sentences, or a title above rows with the separator {first.sep!r}: say so with sep={first.sep!r}"
        )
        raise NoLayout(first.problem or unclear)
    return _required(_candidate(text, None))


def _candidate(text: str, sep: str | None) -> _Candidate:
    try:
        rows, lines, initial = _rows(text, sep)
    except csv.Error as error:
        return _Candidate(sep, [], [], 0, problem=str(error))
    counts = Counter(len(row) for row in rows[1:] if any(row)) or Counter(len(row) for row in rows)
    if not counts:
        return _Candidate(sep, rows, lines, 0, problem="it is empty")
    own = len(rows[0])
    width = max(counts, key=lambda n: (counts[n], n == own, n))
    if width < 2 and sep is not None and own < 2:
        return _Candidate(sep, rows, lines, width, problem=f"no row has the separator {sep!r}")
    return _laid_out(_Candidate(sep, rows, lines, width), initial, [line.rstrip("\r\n") for line in _lines(text)])


def _rows(text: str, sep: str | None) -> tuple[list[Row], list[int], bool]:
    """Split a text into rows, with the number of lines up to the end of each, and whether blanks follow separators."""
    if sep == BLANKS or sep is None:
        lines = [line.rstrip("\r\n") for line in _lines(text)[:SAMPLE]]
        rows = [_split(line) if sep == BLANKS else [_unquoted(line)] for line in lines]
        return rows, [*range(1, len(lines) + 1)], False
    initial = f'{sep} "' in text
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep, skipinitialspace=initial)
    rows, ends = [], []
    for row in reader:
        rows.append(row)
        ends.append(reader.line_num)
        if len(rows) == SAMPLE:
            break
    return rows, ends, initial


def _split(line: str) -> Row:
    """Split a line at blanks that are not between quotes."""
    return [_unquoted(field) for field in re.findall(r'"[^"]*"|\S+', line)]


def _unquoted(line: str) -> str:
    line = line.strip()
    return line[1:-1].replace('""', '"') if len(line) > 1 and line[0] == line[-1] == '"' else line


def _laid_out(candidate: _Candidate, initial: bool, lines: list[str]) -> _Candidate:
    """Find the line of names: the first one with a text for each column, followed by rows."""
    rows, width, sep = candidate.rows, candidate.width, candidate.sep
    body = [row for row in rows[1:] if len(row) == width and any(row)]
    ends = len(body) > 1 and all(not row[-1].strip() for row in body) and width > 2
    for at, row in enumerate(rows[:TITLES]):
        names = _names(row, width, rows[at + 1 :], ends)
        if names is None or (at > 0 and not _is_named_below(names, rows[at + 1 :])):
            continue
        row_names = bool(names) and len(names) == len(row) + 1
        titles = [line for line in lines[: candidate.lines[at - 1] if at else 0] if line.strip(' ,;\t|"')]
        rest = [one for one in rows[at + 1 :] if any(cell.strip() for cell in one)]
        layout = Layout(
            sep,
            tuple(names),
            candidate.lines[at],
            tuple(title.strip(' ,;\t|"') for title in titles),
            row_names=row_names,
            ends=ends and len(names) == width - 1,
            initial=initial,
        )
        return _judged(replace(candidate, layout=layout), rest)
    return _without_names(candidate, initial)


def _is_named_below(names: Row, after: list[Row]) -> bool:
    """Return True if a row under others surely holds names: none of them is a number but a year, and rows follow."""
    numbers = [name for name in names if _is_bare_number(name)]
    return any(map(any, after)) and len(numbers) < len(names) and (not numbers or _are_years(numbers))


def _names(row: Row, width: int, after: list[Row], ends: bool) -> Row | None:
    """Return the names of a row; None if it holds none for the columns of the rows after it."""
    row = [cell.strip() for cell in row]
    if row and row[0].startswith(("#", "%")) and len(row) in (width, width + 1):  # names in a comment
        first = row[0][1:].strip()
        row = [first, *row[1:]] if first else row[1:]
    while len(row) > width and not row[-1]:
        row = row[:-1]
    body = [one for one in after if len(one) == width and any(one)]
    wide = width - 1 if ends and len(row) == width - 1 else width
    if len(row) == width - 1 and not ends and _holds_row_names([one[0] for one in body], row):
        row = ["", *row]
    if len(row) != wide or not _may_be_names(row, body) or _is_data(row, body):
        return None
    return row


def _may_be_names(row: Row, body: list[Row]) -> bool:
    """Return True if every column has a name, except the first, or one of many, or those that are empty."""
    empty = [j for j, cell in enumerate(row) if not cell and any(one[j].strip() for one in body)]
    return any(row) and (not empty or (len(empty) == 1 and (empty == [0] or len(row) > 2)))


def _holds_row_names(first: list[str], names: Row) -> bool:
    """Return True if a column without a name counts the rows or names each of them."""
    if len(first) < 3 or any(_is_number(name) for name in names):
        return False
    if all(cell.isdecimal() for cell in first):
        return first[0] in "01" and all(int(b) == int(a) + 1 for a, b in pairwise(first))
    return len({*first}) == len(first) and not any(_is_number(cell) for cell in first)


def _is_data(row: Row, body: list[Row]) -> bool:
    """Return True if a row is no line of names, but holds numbers as the rows after it do."""
    numeric = [j for j, cell in enumerate(row) if _is_bare_number(cell)]
    if not numeric or not (body or len(numeric) == len(row)):
        return False
    over = [j for j in range(len(row)) if body and all(_is_number(one[j]) or _is_mark(one[j]) for one in body)]
    if any(row[j] and j not in numeric and not _is_mark(row[j]) and not _is_number(row[j]) for j in over):
        return False  # a text over numbers is a name
    below = [j for j in numeric if j in over]
    return bool(below or not body) and not _evenly_spaced([row[j] for j in (below or numeric)])


def _evenly_spaced(cells: list[str]) -> bool:
    """Return True if numbers are names: years, wavelengths, positions.

    Examples
    --------
    >>> _evenly_spaced(["2023", "2024"]), _evenly_spaced(["0"]), _evenly_spaced(["5", "3"]), _evenly_spaced(["7"])
    (True, True, False, False)
    >>> _evenly_spaced(["400.5", "401.0", "401.5", "402.0"]), _evenly_spaced(["0.5", "1.5"])
    (True, False)
    """
    values = readings(cells).values["."]
    if np.isnan(values).any():
        return False
    steps = np.diff(values)
    if all(cell.isdecimal() for cell in cells):
        counted = bool((steps == 1).all()) and (len(cells) > 1 or cells == ["0"])
        return counted or _are_years(cells) or (len(cells) > 3 and steps[0] > 0 and bool((steps == steps[0]).all()))
    return len(cells) > 3 and steps[0] > 0 and bool(np.allclose(steps, steps[0], rtol=EVEN))


def _are_years(cells: list[str]) -> bool:
    values = [int(cell) for cell in cells if cell.isdecimal()]
    increase = all(after > before for before, after in pairwise(values))
    return len(values) == len(cells) > 1 and increase and YEARS[0] <= values[0] and values[-1] <= YEARS[1]


def _without_names(candidate: _Candidate, initial: bool) -> _Candidate:
    """Name the columns x0, x1, ... where the first line is surely a row; else say what is wrong."""
    rows, width = candidate.rows, candidate.width
    regular = sum(len(row) == width for row in rows if any(row)) / max(1, sum(any(row) for row in rows))
    first = next((row for row in rows if any(row)), [])
    if len(first) != width:
        problem = _wrong_width(len(first), width, rows.index(first) + 1, candidate.sep)
        return replace(candidate, problem=problem, regular=regular)
    if not _surely_row([cell.strip() for cell in first]):
        shown = ", ".join(repr(cell) for cell in first[:5]) + (f" and {width - 5} more" if width > 5 else "")
        problem = (
            f"has no line of column names: its first line is {shown}\n"
            "  Write names above; names that are numbers need a letter in front."
        )
        return replace(candidate, problem=problem, regular=regular)
    names = tuple(f"x{j}" for j in range(width))
    layout = Layout(candidate.sep, names, 0, named=False, initial=initial)
    return _judged(replace(candidate, layout=layout), [row for row in rows if any(row)])


def _surely_row(first: Row) -> bool:
    """Return True if a number in a row has decimals: names hardly have."""
    both: Readings = readings(first)
    return any(
        cell and not cell.isdecimal() and not (np.isnan(point) and np.isnan(comma))
        for cell, point, comma in zip(first, both.values["."], both.values[","], strict=True)
    )


def _wrong_width(first: int, width: int, line: int, sep: str | None) -> str:
    if first < width:
        return (
            f"has more fields in its rows than names in its first line ({width} and {first})\n"
            "  Look for a missing name, a comma at the end of each row, or decimal commas (decimal=',')."
        )
    return f"has {first} fields in line {line}, but {width} in most rows"


def _judged(candidate: _Candidate, rest: list[Row]) -> _Candidate:
    width = candidate.width
    regular = [row for row in rest if len(row) == width]
    cells = [cell.strip() for row in regular[:50] for cell in row if cell.strip()]
    both = readings(list(dict.fromkeys(cells)))
    known = {
        cell
        for cell, a, b in zip(both.cells, both.values["."], both.values[","], strict=True)
        if a == a or b == b or cell in NUMBER_MARKS
    }
    share = sum(cell in known for cell in cells) / max(1, len(cells))
    return replace(candidate, number_share=share, regular=len(regular) / max(1, len(rest)))


def _is_number(cell: str) -> bool:
    both = readings([cell.strip()])
    return not (np.isnan(both.values["."][0]) and np.isnan(both.values[","][0]))


def _is_bare_number(cell: str) -> bool:
    """Return True for a number without a unit: 5 mg may be a name."""
    return _is_number(cell) and not readings([cell.strip()]).affixes[0]


def _is_mark(cell: str) -> bool:
    return not cell.strip() or cell.strip() in NUMBER_MARKS
