"""A table in a file is read as it was meant, or an error asks; it is never misread in silence."""

import csv
import gzip
import io
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayesgmm as bg
from bayesgmm.data.tables import read_chunks, read_file
from bayesgmm.errors import DataError, DeclarationError, TableWarning
from bayesgmm.reading.conventions import _as_numbers
from bayesgmm.reading.encodings import encoding_of
from bayesgmm.reading.settings import default_settings


def grouped(value, digits, decimal, gap):
    """A number as a spreadsheet shows it."""
    return f"{value:,.{digits}f}".replace(",", "_").replace(".", decimal).replace("_", gap)


def written(columns, sep, lines=(), end="\n"):
    """A text of columns, each with its cells as text."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sep, lineterminator=end)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return end.join([*lines, ""]) + text.getvalue() if lines else text.getvalue()


@pytest.mark.parametrize("kind", ["object", "string[python]", "str"])
def test_a_number_is_read_to_its_last_digit_however_pandas_keeps_texts(kind):
    """The conversion of pandas 2 is off by one in the last binary digit for some."""
    numbers = np.random.default_rng(0).normal(170, 8, 500)
    texts = pd.Series([repr(float(number)) for number in numbers], dtype=kind)
    np.testing.assert_array_equal(_as_numbers(texts), numbers)
    texts[3], numbers[3] = "?", np.nan
    np.testing.assert_array_equal(_as_numbers(texts), numbers)


def put(folder, text, name="t.csv", encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


@st.composite
def files(draw):
    """Numbers, and a file that holds them by one of the conventions of the world."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    sep, decimal = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(".,"))
    gap = draw(st.sampled_from(["", "", ",", ".", " ", "\u00a0", "\u202f", "'"]))
    places = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    has_semicolons = sep == ";" and len(places) > 1
    if gap == decimal or (gap == "." and not has_semicolons and not any(places)):
        gap = ""  # 1.234 everywhere in a file without semicolons is what every program reads: 1.234
    rows, numbers, columns = draw(st.integers(3, 40)), {}, {}
    for j, digits in enumerate(places):
        size = 10.0 ** draw(st.integers(0, 6))
        values = (rng.normal(size=rows) * size).round(digits)
        numbers[f"c{j}"] = values + 0.0
        sign = draw(st.sampled_from(["-", "\u2212"]))
        columns[f"c{j}"] = [grouped(value, digits, decimal, gap).replace("-", sign) for value in values]
    titles = draw(st.sampled_from([(), ("Report of May",), ("Report of May", "", "by the office")]))
    titles = titles if len(places) > 1 else ()  # a title above one column is like its name
    text = written(columns, sep, titles, draw(st.sampled_from(["\n", "\r\n", "\r"])))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return numbers, text.encode(encoding)


@settings(max_examples=150, deadline=None)
@given(files())
def test_a_file_of_any_convention_is_read_right_or_refused(tmp_path_factory, drawn):
    numbers, content = drawn
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(content)
    try:
        table = read_file(path)
        table.require_clear()
    except DataError:
        return
    for name, values in numbers.items():
        if name in table.why_text:
            continue
        np.testing.assert_allclose(table.values[name].to_numpy(float), values, rtol=1e-12, atol=1e-12)


def test_points_in_one_column_and_commas_in_another_are_not_guessed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('c0,c1\n1.257,"1,049"\n-1.321,"-5,357"\n6.404,"3,616"\n')
    with pytest.raises(DataError, match=r"column 'c0': '1\.257' can be 1\.257 or 1257"):
        read_file(path).require_clear()


X = [23.5, 1200.25, -3.0, 41.0, 1999.75]
POINT, COMMA = [f"{x}" for x in X], [f"{x}".replace(".", ",") for x in X]
LARGE = ["1,234.50", "950.00", "12,000.00", "1.00", "2.00"]
READ = {
    "semicolons": ("x;y\n1.5;2\n2.5;3\n", {}, [1.5, 2.5], "semicolon-separated"),
    "decimal commas": (written({"x": COMMA, "y": COMMA}, ";"), {}, X, "semicolon-separated, decimal comma"),
    "tabs": (written({"x": POINT, "y": POINT}, "\t"), {}, X, "tab-separated"),
    "tab at the end of rows": ("x\ty\n1.5\t2\t\n2.5\t3\t\n", {}, [1.5, 2.5], "each row ends with a separator"),
    "spaces": ("   x      y\n 1.5   2.5\n-2.5  13.5\n", {}, [1.5, -2.5], "space-separated"),
    "R's row names": ('"x" "y"\n"1" 1.5 2\n"2" 2.5 3\n"3" 3.5 1\n', {}, [1.5, 2.5, 3.5], "names the rows"),
    "no line of names": ("1.5,2\n2.5,3\n", {}, [1.5, 2.5], "the columns are x0 to x1"),
    "names in a comment": ("# x y\n1.5 2\n2.5 3\n", {}, [1.5, 2.5], "space-separated"),
    "titles": ("Sales\nin May;;\n\nx;y;z\n1,5;2;3\n2,5;3;4\n", {}, [1.5, 2.5], "skipped 2 lines above the names"),
    "sep=": ("sep=;\nx;y\n1.5;2\n2.5;3\n", {}, [1.5, 2.5], "semicolon-separated"),
    "thousands": (written({"x": LARGE}, ","), {}, [1234.5, 950, 12000, 1, 2], "'1,234.50' is read as 1234.5"),
    "thousands in a file with decimal commas": (
        written({"x": ["1.234", "2.345", "6.000"], "y": ["0,5", "1,5", "2,5"]}, ";"),
        {},
        [1234, 2345, 6000],
        "'1.234' is read as 1234",
    ),
    "decimals in a file with decimal points": (
        written({"x": ["1.234", "2.345", "6.000"], "y": ["0.5", "1.5", "2.5"]}, ";"),
        {},
        [1.234, 2.345, 6],
        "semicolon-separated",
    ),
    "zeros before the point": ("x;y\n\u22120.123;a\n1.234;b\n", {}, [-0.123, 1.234], "semicolon-separated"),
    "a declared decimal sign": ("x;y\n1.234;a\n2.345;b\n", {"decimal": ","}, [1234, 2345], "is read as 1234"),
    "one column of decimal commas": ("x\n1,5\n2,5\n", {"decimal": ","}, [1.5, 2.5], "decimal comma"),
    "a declared separator": ("x:y\n1.5:2\n2.5:3\n", {"sep": ":"}, [1.5, 2.5], "':'-separated"),
    "dollars": ("x,y\n$1.50,2\n($2.50),3\n", {}, [1.5, -2.5], "'$' is removed"),
    "percent": ("x,y\n15.5%,2\n2.5%,3\n", {}, [15.5, 2.5], "'%' is removed"),
    "kilograms": ("x,y\n15.5 kg,2\n2.5 kg,3\n", {}, [15.5, 2.5], "'kg' is removed"),
    "units under the names": ("x,y\ns,kg\n1.5,2\n2.5,3\n", {}, [np.nan, 1.5, 2.5], "row 0 left out: units (s, kg)"),
    "a total": ("x,y\n1.5,2\n2.5,3\nTotal,\n", {}, [1.5, 2.5, np.nan], "row 2 left out: 'Total'"),
    "a total of numbers": (
        "n,x\na,1.5\nb,2.5\nSum,4.0\n,\nSource: the office\n",
        {},
        [1.5, 2.5, np.nan, np.nan, np.nan],
        "row 2 left out: 'Sum'",
    ),
    "blank rows": ("x,y\n1.5,2\n,\n2.5,3\n\n\n", {}, [1.5, np.nan, 2.5], "1 row left out: blank"),
    "marks": ("x,y\n?,2\n1.5,3\nn.a.,1\nNA,1\n", {}, [np.nan, 1.5, np.nan, np.nan], "'?' (1), 'n.a.' (1)"),
    "declared marks": ("x,y\n<1,2\n1.5,3\n-9,1\n", {"na": ["<1", -9]}, [np.nan, 1.5, np.nan], "'<1' (1), '-9' (1)"),
}


NAMED = {
    "percentiles": "id,50,75,90\n1,2,3,4\n2,3,4,5\n",
    "years": "city,2010,2015,2020\nA,1,2,3\nB,1,2,3\n",
    "wavelengths": "400.5,401.0,401.5,402.0\n1,2,3,4\n",
    "units in names": "0 mg,5 mg,20 mg\n1,2,3\n",
    "an index without a name": ",x\n0,1\n1,2\n",
    "a text": "name\nJohn Smith\nJane Doe\n",
}


@pytest.mark.parametrize("name", NAMED)
def test_numbers_and_texts_in_the_first_line_are_names(tmp_path, name):
    text = NAMED[name]
    table = read_file(put(tmp_path, text))
    assert list(table.texts.columns) == text.splitlines()[0].split(",")
    assert len(table.texts) == len(text.splitlines()) - 1


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_and_what_was_recognised_is_said(tmp_path, name):
    text, given_settings, values, said = READ[name]
    table = read_file(bg.TableFile(put(tmp_path, text), **given_settings))
    table.require_clear()
    column = "x" if "x" in table.values else "x0"
    np.testing.assert_array_equal(table.values[column].to_numpy(float), values)
    assert said in " | ".join(table.words)


ASKED = {
    "points with semicolons": (
        "x;y\n1.234;a\n2.345;b\n",
        r"'1.234' can be 1.234 or 1234\n.*decimal='\.' for the former",
    ),
    "quoted commas": ('x,y\n"1,234",a\n"2,345",b\n', r"'1,234' can be 1.234 or 1234\n.*decimal=',' for the former"),
    "two separators": ("a;b|c\n1;2|3\n4;5|6\n", "can be separated by .*\n.*sep="),
    "decimal commas in one column": ("x\n1,5\n2,5\n", "more fields in its rows than names.*\n.*decimal=','"),
    "names that may be a row": ("5,3\n2,3\n", "no line of column names: its first line is '5', '3'"),
    "names that may be a row of few": ("name,1,5\nA,2,3\nB,4,5\n", "no line of column names"),
    "sentences": ("name\nSmith, John\nDoe, Jane\n", "a title above rows with the separator ','.*sep=','"),
    "nothing": ("\n\n", "it is empty"),
    "names alone": ("a,b\n", "has no rows"),
    "a ragged row": ("a,b\n1,2\n3,4,5\n6,7\n", "line 3 has 3 fields, not 2"),
    "a web page": ("<!DOCTYPE html>", "it is a web page"),
    "not that encoding": ("é,b\n1,2\n", "give its encoding|Give its encoding"),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_file_with_two_readings_is_asked_about(tmp_path, name):
    text, message = ASKED[name]
    path = put(tmp_path, text, encoding="cp1252")
    with pytest.raises(DataError, match=message):
        bg.read_frame(bg.TableFile(path, encoding="utf-8") if "encoding" in name else path)


def test_a_column_with_a_few_texts_is_text_and_the_cells_are_named(tmp_path):
    cells = ["<0.5" if i == 700 else f"{i / 7:.3f}" for i in range(1000)]
    path = put(tmp_path, written({"x": cells, "y": POINT * 200, "z": ["1.5"] * 999 + ["1,5"]}, ";"))
    with pytest.warns(TableWarning) as said:
        frame = bg.read_frame(path)
    assert [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes] == [False, True, False]
    text = " | ".join(str(one.message) for one in said)
    assert "column 'x': it is text in 1 of 1000 rows, such as '<0.5' in row 700" in text
    assert "column 'z': 1 cell has a decimal comma, such as '1,5', the others a point" in text


def test_leading_zeros_are_kept_but_a_named_column_is_a_number(tmp_path):
    path = put(tmp_path, "zip,x\n07162,1.5\n10115,2.5\n")
    with pytest.warns(TableWarning, match="leading zeros"):
        assert bg.read_frame(path)["zip"].tolist() == ["07162", "10115"]
    assert bg.read_frame(path, ["zip"])["zip"].tolist() == [7162, 10115]
    many = put(tmp_path, "card,x\n49016000000000000001,1.5\n49016000000000000002,2.5\n")
    with pytest.warns(TableWarning, match="more digits than a number, such as '49016000000000000001'"):
        assert bg.read_frame(many)["card"].tolist() == ["49016000000000000001", "49016000000000000002"]


def test_the_cells_are_kept_as_they_are_written(tmp_path):
    columns = {"id": ["0001", "02", "3"], " x ": ["1.50", "NA", "1e3"], "": ["a", "", " b "]}
    table = read_file(put(tmp_path, written(columns, ",")))
    assert [table.texts.iloc[:, j].tolist() for j in range(3)] == list(columns.values())
    assert list(table.texts.columns) == ["id", "x", ""]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Âge,revenu €\n20.5,1\n30.5,2\n"),
        ("cp1251", "возраст,доход\nМосква,1\nКазань,2\n"),
        ("shift_jis", "年齢,収入\n東京都,1\n大阪府,2\n"),
        ("utf-16", "größe,x\n1.5,2\n2.5,3\n"),
        ("utf-16-le", "size,x\n1.5,2\n2.5,3\n"),
        ("utf-8-sig", "größe,x\n1.5,2\n2.5,3\n"),
    ],
)
def test_encodings_are_recognised(tmp_path, encoding, text):
    path = put(tmp_path, text, encoding=encoding)
    assert list(read_file(path).values.columns) == text.splitlines()[0].split(",")
    assert list(read_file(bg.TableFile(path, encoding=encoding)).values.columns) == text.splitlines()[0].split(",")


def test_an_encoding_may_show_late():
    assert encoding_of([b"a,b\n" * 1000, "1,é\n".encode("cp1252")], "t") == "cp1252"
    assert encoding_of([b"a,b\n", "é".encode()[:1], "é".encode()[1:]], "t") == "utf-8"


def test_parts_of_a_file_are_read_as_the_first_one_shows(tmp_path):
    """Later parts of decimal commas may have no decimals; a word in a number's column is missing."""
    cells = ["0,5"] * 10 + ["1.234"] * 9 + ["word"]
    path = put(tmp_path, written({"x": cells, "y": ["a"] * 20}, ";"))
    parts = list(read_chunks(path, 10))
    assert len(parts) == 2
    assert parts[1].values["x"].tolist()[:9] == [1234.0] * 9
    assert np.isnan(parts[1].values["x"].iloc[-1])


def test_settings_hold_for_every_file_of_a_block(tmp_path):
    path = put(tmp_path, "x;y\n1.234;a\n2.345;b\n")
    with default_settings(decimal=","), warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        assert bg.read_frame(path)["x"].tolist() == [1234, 2345]
        assert bg.read_frame(bg.TableFile(path, decimal="."))["x"].tolist() == [1.234, 2.345]


@pytest.mark.parametrize(
    "wrong", [{"sep": "ab"}, {"decimal": ";"}, {"sep": ",", "decimal": ","}, {"encoding": "utf-9"}, {"sep": "a"}]
)
def test_settings_that_are_not_allowed_are_refused(wrong):
    with pytest.raises(DeclarationError, match=next(iter(wrong))):
        bg.TableFile("t.csv", **wrong)


def test_compressed_files_are_read(tmp_path):
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write("x;y\n1,5;2\n2,5;3\n")
    assert read_file(tmp_path / "t.csv.gz").values["x"].tolist() == [1.5, 2.5]


def test_a_plain_file_is_read_without_a_word(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, None], "c": ["x", "y"], "d": [True, False]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(bg.read_frame(tmp_path / "t.csv"), frame)
