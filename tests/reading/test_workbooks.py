"""Excel files."""

import sys
import zipfile
from xml.sax.saxutils import escape

import pytest

import bayesgmm as bg
from bayesgmm.data.tables import read_file
from bayesgmm.errors import DataError, MissingExtra, TableWarning

NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
MAIN = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def cell(row, column, value):
    place = f'r="{chr(65 + column)}{row + 1}"'
    if isinstance(value, bool):
        return f'<c {place} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, float | int):
        return f"<c {place}><v>{value!r}</v></c>"
    kind = "e" if value.startswith("#") else "str"
    return f'<c {place} t="{kind}"><v>{escape(value)}</v></c>'


def workbook(path, **sheets):
    """Write an Excel file: sheets of rows of cells."""
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="{MAIN}.worksheet+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{MAIN}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {NS} xmlns:r="{OFFICE}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{i + 1}" r:id="r{i}"/>' for i, name in enumerate(sheets))
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="r{i}" Type="{OFFICE}/worksheet" Target="worksheets/{i}.xml"/>'
            for i in range(len(sheets))
        )
        + "</Relationships>",
    }
    for i, rows in enumerate(sheets.values()):
        lines = (
            f'<row r="{r + 1}">{"".join(cell(r, c, value) for c, value in enumerate(row) if value is not None)}</row>'
            for r, row in enumerate(rows)
        )
        parts[f"xl/worksheets/{i}.xml"] = f"<worksheet {NS}><sheetData>{''.join(lines)}</sheetData></worksheet>"
    with zipfile.ZipFile(path, "w") as file:
        for name, text in parts.items():
            file.writestr(name, f'<?xml version="1.0"?>{text}')
    return path


SALES = [
    ["Sales of May", None, None],
    [],
    ["zip", "sales", "open"],
    ["07162", 1.125, True],
    ["10115", 2.0, False],
    ["20095", "#DIV/0!", True],
    ["Total", 3.125, None],
]


def test_a_sheet_is_read_with_a_title_and_a_total(tmp_path):
    """The number 1.125 is no 1125: a sheet knows its numbers."""
    table = read_file(workbook(tmp_path / "t.xlsx", Sheet=SALES))
    assert table.values["sales"].tolist()[:2] == [1.125, 2.0]
    assert table.values["sales"].isna().tolist() == [False, False, True, True]
    assert table.texts["zip"].tolist() == ["07162", "10115", "20095", "Total"]
    assert [*table.aside] == [3]
    assert table.values["zip"].tolist()[:2] == ["07162", "10115"]


def test_a_workbook_that_is_called_csv_is_read(tmp_path):
    assert len(read_file(workbook(tmp_path / "t.csv", Sheet=SALES)).values) == 4


def test_a_sheet_is_chosen(tmp_path):
    path = workbook(tmp_path / "t.xlsx", Notes=[["see below"]], One=[["a", "b"], [1, 2]], Two=[["c", "d"], [3, 4]])
    with pytest.raises(DataError, match=r"2 sheets with a table: 'One', 'Two'\n.*sheet='One'"):
        bg.read_frame(path)
    for sheet in ("Two", 2, "2"):
        with pytest.warns(TableWarning, match="read as sheet 'Two'"):
            assert bg.read_frame(bg.TableFile(path, sheet=sheet))["c"].tolist() == [3]
    with pytest.raises(DataError, match="no sheet 'Three'; its sheets are 'Notes', 'One', 'Two'"):
        bg.read_frame(bg.TableFile(path, sheet="Three"))


def test_a_number_beside_a_text_with_a_decimal_comma_is_asked_about(tmp_path):
    table = read_file(workbook(tmp_path / "t.xlsx", Sheet=[["a", "b"], [1.125, 1], [2.375, 2], ["1.234,5", 3]]))
    assert "1 cell has a decimal comma, such as '1.234,5'" in table.why_text["a"]


@pytest.mark.parametrize(("rows", "message"), [([], "its sheet is empty"), ([["a", "b"]], "has no rows")])
def test_a_sheet_without_rows_is_refused(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        bg.read_frame(workbook(tmp_path / "t.xlsx", Sheet=rows))


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(MissingExtra, match=r"python-calamine: pip install 'bayesgmm\[excel\]'"):
        bg.read_frame(workbook(tmp_path / "t.xlsx", Sheet=SALES))
