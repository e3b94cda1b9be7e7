"""Selecting the columns and rows of messy tables."""

import numpy as np
import pandas as pd
import pytest

from bayesgmm.apps import find_anomalies, judge
from bayesgmm.apps.tables.columns import as_frame, beside, usable_table
from bayesgmm.data.tables import read_chunks, read_frame
from bayesgmm.errors import DataError, FitWarning

QUIET = {"progress": False, "seed": 0}


@pytest.fixture
def table():
    return pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["east", "north"])


def test_each_unusable_column_gets_a_reason(table):
    rows = np.arange(60)
    table = table.assign(
        id=rows,
        shuffled=np.random.default_rng(1).permutation(rows) + 7000,
        kind="a",
        flat=1.0,
        twin=table["east"] * 2 + 1,
        rest=100 - table["east"] - table["north"],
        sex=rows % 2,
        day=pd.date_range("2020", periods=60),
        none=None,
    )
    table.loc[7, "north"] = np.nan
    table["mostly"] = np.where(rows < 40, np.nan, table["east"] ** 2)
    table["marked"] = np.where(rows == 3, "?", table["east"].astype(str))
    table["as_text"] = table["east"].astype(str)
    selected = usable_table(table)
    assert selected.columns == ("east", "north")
    assert selected.left_out == {
        "id": "it numbers the rows",
        "shuffled": "it numbers the rows",
        "kind": "it is text, such as 'a'",
        "flat": "it is constant",
        "twin": "it is a linear function of 'east'",
        "rest": "it is a linear function of 'east', 'north'",
        "sex": "it has 2 distinct values: a class label, not a measurement",
        "day": "it holds datetime64[us], not numbers",
        "none": "it has no values",
        "mostly": "67% of its values are missing",
        "marked": "it is text in 1 of 60 rows, such as '?'",
        "as_text": "its numbers are stored as text",
    }
    assert selected.words()[-1] == "1 of 120 values is missing, in 1 of 60 rows; what is observed of these rows is used"
    assert selected.n_empty == 0


def test_rows_without_values_are_left_out_and_infinite_values_are_missing(table):
    table.loc[3] = np.nan
    table.loc[5, "north"] = np.inf
    selected = usable_table(table)
    assert np.flatnonzero(~selected.known).tolist() == [3]
    assert np.isnan(selected.rows.loc[5, "north"])
    assert selected.words_on_rows() == [
        "1 of 118 values is missing, in 1 of 59 rows; what is observed of these rows is used",
        "1 infinite value is taken as missing",
        "1 row has no values and is left out",
    ]


def test_named_columns_are_used_or_refused():
    table = pd.DataFrame({"x": np.arange(30.0), "sex": [0, 1] * 15, "who": ["a"] * 30})
    assert usable_table(table, ["x", "sex"]).columns == ("x", "sex")
    with pytest.raises(DataError, match="column 'who' can't be used: it is text"):
        usable_table(table, ["x", "who"])
    with pytest.raises(DataError, match="no column can be used: 'who': it is text"):
        usable_table(table[["who"]])
    with pytest.raises(DataError, match="give a list of names"):
        usable_table(table, "x")


def test_invalid_tables_are_refused():
    with pytest.raises(DataError, match="more than one is called 'a'"):
        usable_table(pd.DataFrame(np.eye(3), columns=["a", "b", "a"]))
    with pytest.raises(DataError, match="more than one is called '1'"):
        usable_table(pd.DataFrame(np.eye(2), columns=[1, "1"]))
    for wrong in (np.zeros((3, 2, 1)), None, [["a", "b"]]):
        with pytest.raises(DataError):
            usable_table(wrong)
    with pytest.raises(DataError, match="the table has 1 column; those of the fit are 'x0', 'x1'"):
        as_frame(np.zeros((3, 1)), ["x0", "x1"])
    assert list(as_frame(pd.Series([1.0, 2.0], name="speed")).columns) == ["speed"]


def test_columns_with_few_common_rows_are_not_duplicates(table):
    """Two common rows always lie on a line."""
    rows = np.arange(60)
    table = table.assign(p=np.where(rows < 29, np.nan, table["east"] ** 2))
    table = table.assign(q=np.where(rows >= 31, np.nan, table["north"] ** 2))
    assert usable_table(table).columns == ("east", "north", "p", "q")


def test_columns_far_from_zero_are_not_mistaken_for_duplicates(table):
    """Timestamps with noise and rounded sums carry information of their own."""
    table = table.assign(time=1.7e9 + 1e3 * table["east"], rounded=(100 - table["east"] - table["north"]).round(2))
    noisy = table.assign(time=table["time"] + np.random.default_rng(2).normal(size=60))
    assert set(usable_table(table).left_out) == {"time"}
    assert not usable_table(noisy).left_out


def test_result_columns_do_not_overwrite_columns():
    table = pd.DataFrame({"p_value": [1.0], "p_value_of_row": [2.0]}, index=[7])
    both = beside(table, pd.DataFrame({"p_value": [0.5], "reason": ["r"]}))
    assert list(both.columns) == ["p_value", "p_value_of_row", "p_value_of_row_of_row", "reason"]
    assert both.loc[7].tolist() == [1.0, 2.0, 0.5, "r"]


@pytest.mark.parametrize("width", [1, 3])
def test_new_rows_with_another_number_of_columns_are_refused(width):
    x = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(DataError, match=f"the table has {width} columns?; those of the fit are 'x0', 'x1'"):
        find_anomalies(x, np.zeros((4, width)), n_components=1, **QUIET)


def test_nullable_integer_columns_are_used(table):
    table = table.round(3).assign(count=pd.array([None, *range(0, 118, 2)], dtype="Int64"))
    table.loc[5, "count"] = 9
    with pytest.warns(FitWarning, match="no row can be flagged"):
        found = find_anomalies(table, table.head(9), n_components=1, **QUIET)
    assert found.table.columns == ("east", "north", "count")
    assert not found.rows["p_value"].isna().any()


@pytest.mark.parametrize("reader", [read_frame, lambda path: next(read_chunks(path, 10))])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2,3\n4,5,6\n", "more fields in its rows than names"),
        ("a,b\n", "has no rows"),
        ("", "can't be read as CSV"),
        ("5,3\n2,3\n", "has no line of column names"),
    ],
)
def test_invalid_files_are_refused_whole_and_in_chunks(tmp_path, reader, text, words):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        reader(tmp_path / "table.csv")


@pytest.mark.parametrize("names", [[f"state {i}" for i in range(60)], [*range(1, 61)]], ids=["text", "numbers"])
def test_a_first_column_without_a_name_labels_the_rows(table, names, tmp_path):
    """As R writes row names, and pandas an index."""
    path = tmp_path / "states.csv"
    table.loc[7, "north"] = 50.0
    table.set_axis(names).to_csv(path)
    found = find_anomalies(path, n_components=1, **QUIET)
    assert found.flagged.index.tolist() == [names[7]]
    assert judge(found.fit, path).flagged.index.tolist() == [names[7]]
    assert [*found.flagged.columns[:3]] == ["", "east", "north"]  # as in the file
    assert usable_table(path, ["east"]).rows.index.tolist() == names


def test_rows_whose_first_column_repeats_a_value_have_their_positions(table, tmp_path):
    path = tmp_path / "kinds.csv"
    table.set_axis(["a", "b"] * 30).to_csv(path)
    assert usable_table(path).rows.index.tolist() == [*range(60)]
