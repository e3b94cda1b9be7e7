"""Reading the cells of Excel and OpenDocument sheets, as text."""

from datetime import date, datetime, time  # noqa: F401
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from bayesgmm.errors import DataError, MissingExtra
from bayesgmm.reading.settings import TableFile
from bayesgmm.wording import listing

WORKBOOKS = {".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"}
ZIPPED, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # first bytes
MIN_ROWS = 2  # of a sheet that may be a table: names and a row
type Grid = list[list[str]]


def is_workbook(path: Path) -> bool:
    """Return True for a workbook by its name, or by its contents if it is called .csv or .txt."""
    if path.suffix.lower() in WORKBOOKS:
        return True
    if path.suffix.lower() not in (".csv", ".txt", ".tsv"):
        return False
    with path.open("rb") as file:
        start = file.read(8)
    return start.startswith((ZIPPED, OLE))


def sheet_cells(file: TableFile) -> "tuple[str, Grid, set[int], list[str]]":
    """Read the cells of a sheet.

    Returns
    -------
    sheet : str
        Its name.
    rows : list of list of str
    typed : set of int
        Columns with numbers that have decimals, so that their decimal sign is known.
    others : list of str
        Names of the other sheets.

    Raises
    ------
    DataError
        When it can't be read, there is no such sheet, or several hold a table.
    MissingExtra
        When the library is not installed.
    """
    from bayesgmm.reading.text_files import as_data_error

    path = Path(file.path)
    workbooks = _library(path)
    with as_data_error(path, "a workbook"):
        book = workbooks.from_path(str(path))
        names = list(book.sheet_names)
        if file.sheet is not None:
            name = _named(file.sheet, names, path)
            return name, *_texts(book.get_sheet_by_name(name).to_python()), [one for one in names if one != name]
        sheets = {name: book.get_sheet_by_name(name).to_python() for name in names}
    filled = [name for name, rows in sheets.items() if rows]
    tables = [name for name in filled if _is_table(sheets[name])] or filled[:1]
    if not tables:
        raise DataError(f"{path} has no table: {'its sheet is' if len(names) == 1 else 'its sheets are'} empty")
    if len(tables) > 1:
        raise DataError(
            f"{path} has {len(tables)} sheets with a table: {listing(tables)}\n  Choose one with sheet={tables[0]!r}."
        )
    return tables[0], *_texts(sheets[tables[0]]), [one for one in names if one != tables[0]]


def _library(path: Path) -> Any:
    try:
        from python_calamine import CalamineWorkbook
    except ImportError:
        raise MissingExtra(
            f"{path} is a workbook; reading it needs python-calamine: pip install 'bayesgmm[excel]'"
        ) from None
    return CalamineWorkbook


def _named(sheet: str | int, names: list[str], path: Path) -> str:
    if sheet in names:
        return str(sheet)
    if str(sheet).isdecimal() and int(sheet) < len(names):
        return names[int(sheet)]
    raise DataError(f"{path} has no sheet {sheet!r}; its sheets are {listing(names)}")


def _is_table(rows: list[list[object]]) -> bool:
    filled = [row for row in rows if any(cell not in ("", None) for cell in row)]
    if len(filled) < MIN_ROWS:
        return False
    return any(isinstance(cell, Real) for row in filled for cell in row) or all(len(row) > 1 for row in filled)


def _texts(rows: list[list[object]]) -> tuple[Grid, set[int]]:
    typed = {j for row in rows for j, cell in enumerate(row) if isinstance(cell, float) and not cell.is_integer()}
    return [[_text(cell) for cell in row] for row in rows], typed


def _text(cell: object) -> str:
    """Write a cell as text.

    Examples
    --------
    >>> _text(5.0), _text(0.1), _text(True), _text(date(2024, 1, 31)), _text(None)
    ('5', '0.1', 'TRUE', '2024-01-31', '')
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, Integral) or (isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53):
        return str(int(cell))
    if isinstance(cell, datetime) and cell.time() == time(0):
        return cell.date().isoformat()
    return cell.isoformat(sep=" ") if isinstance(cell, datetime) else str(cell)
