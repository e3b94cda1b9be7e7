"""The check of a table finds ids, codes, dates, codes for missing values, and what stands out."""

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.errors import DataError
from bayesgmm.screening.missing_codes import missing_codes

RNG = np.random.default_rng(0)
N = 240
AGES, INCOMES = RNG.normal(45, 12, N).round(1), np.exp(RNG.normal(8, 0.5, N)).round(2)


@pytest.fixture
def table():
    return pd.DataFrame({"age": AGES, "income": INCOMES})


IDS = {
    "id": RNG.permutation(10**6)[:N],
    "customer_id": RNG.integers(0, 50, N) + 1000,
    "CustomerID": RNG.permutation(10**6)[:N],
    "zip": RNG.integers(10000, 99999, N),
    "sample code number": RNG.permutation(10**6)[:N],
    "speaker": np.arange(N) % 40 + 1,
    "created": 1_700_000_000 + RNG.integers(0, 10**6, N),
    "when": 1_700_000_000_000 + RNG.integers(0, 10**9, N),
    "day": [20240100 + i % 28 + 1 for i in range(N)],
    "big": 2**60 + RNG.integers(0, 2**50, N),
    "x": np.sort(RNG.permutation(300)[:N]),
}


@pytest.mark.parametrize("name", IDS)
def test_a_column_that_is_no_measurement_is_left_out_with_the_reason(table, name):
    check = bg.data_check(table.assign(**{name: IDS[name]}))
    assert check.used == ("age", "income")
    assert check.columns[2].kind in ("id", "code", "time", "date", "row number")
    assert f"column {name!r} is left out: " in " | ".join(check.words())


MEASURED = {
    "paid": RNG.integers(10, 4000, N),
    "humid": RNG.integers(10, 90, N),
    "population": RNG.permutation(10**6)[:N],
    "number of rooms": RNG.integers(1, 12, N),
    "price index": RNG.integers(90, 130, N),
    "id": RNG.normal(20, 1, N),
    "sales": 1_000_000_000 + (RNG.random(N) * 10**10).astype(int),
    "year": RNG.integers(1940, 2000, N),
}


@pytest.mark.parametrize("name", MEASURED)
def test_a_measurement_is_no_id(table, name):
    assert name in bg.data_check(table.assign(**{name: MEASURED[name]})).used


CODED = {
    "-999": (AGES, -999, 20),
    "-999 twice": (AGES, -999, 2),
    "99 for ages": (np.round(RNG.uniform(18, 80, N)), 99, 30),
    "-200": (RNG.random(N).round(3), -200, 20),
    "9999": (RNG.normal(500, 100, N), 9999, 5),
    "-9 on a scale": (RNG.integers(1, 6, N).astype(float), -9, 8),
    "1e30": (AGES, 1e30, 3),
}


@pytest.mark.parametrize("name", CODED)
def test_a_code_for_missing_values_is_missing(table, name):
    values, code, count = CODED[name]
    values = np.where(np.arange(N) < count, code, values)
    check = bg.data_check(table.assign(x=values))
    assert check.columns[2].codes.counts == {code: count}
    assert check.columns[2].missing == check.frame["x"].isna().sum() == count
    assert f"{code:g} stands for missing in {count} rows" in " | ".join(check.words())
    assert bg.data_check(table.assign(x=values), na="none").frame["x"].notna().all()
    assert check.source.texts["x"].tolist() == values.tolist()


NO_CODES = {
    "one -999": np.append(AGES, -999),
    "prices that end in nines": RNG.choice([5.0, 9.0, 19.0, 29.0, 49.0, 99.0, 199.0, 999.0], N),
    "a heavy tail": np.append(np.exp(RNG.normal(6, 2, N)), [999, 999, 9999]),
    "changes around zero": np.append(RNG.normal(0, 2, N), [-9, -9, -1, -1]),
    "percentiles": np.append(RNG.integers(1, 100, N), [99, 99]),
    "minus one among counts": np.append(RNG.integers(0, 9, N), [-1, -1]),
}


@pytest.mark.parametrize("name", NO_CODES)
def test_values_of_a_column_are_no_codes(name):
    assert missing_codes(np.asarray(NO_CODES[name], float)).counts == {}


def test_a_single_code_is_asked_about(table):
    table.loc[3, "age"] = -999
    check = bg.data_check(table)
    assert "if it stands for missing, give na='-999'" in " | ".join(check.words())
    assert bg.data_check(table, na=-999).frame["age"].isna().sum() == 1


def test_a_code_of_one_column_is_one_of_the_others(table):
    """In the second column -200 is not far enough on its own."""
    table["sensor"], table["other"] = RNG.normal(1500, 400, N), RNG.random(N)
    table.loc[:2, ["sensor"]] = -200.0
    assert not bg.data_check(table).columns[2].codes.counts
    table.loc[:9, ["other"]] = -200.0
    assert bg.data_check(table).columns[2].codes.counts == {-200.0: 3}


def test_options_change_what_is_used(table):
    table = table.assign(id=IDS["id"], sex=np.arange(N) % 2)
    assert bg.data_check(table).used == ("age", "income")
    assert bg.data_check(table, keep="sex").used == ("age", "income", "sex")
    assert bg.data_check(table, drop=["age"]).left_out["age"] == "it is dropped"
    assert bg.data_check(table, id="income").left_out["income"] == "it is an id"
    chosen = bg.data_check(table, ["sex", "age"])
    assert (chosen.used, chosen.left_out) == (("age", "sex"), {})
    with pytest.raises(DataError, match="no column 'agee'.*did you mean 'age'"):
        bg.data_check(table, drop="agee")
    with pytest.raises(DataError, match="column 'who' can't be used: it is text"):
        bg.data_check(table.assign(who="a"), keep="who")


def test_what_stands_out_is_said(table):
    table = table.assign(
        spent=np.where(np.arange(N) < 80, 0.0, INCOMES),
        baths=np.arange(N) % 7,
        skewed=INCOMES**4,
        twice=table["age"] + 0.1 * RNG.normal(size=N),
        when=pd.Series([f"{d:02d}.01.2024" for d in range(1, 29)]).sample(N, replace=True, random_state=0).tolist(),
    )
    said = {c.name: "; ".join(c.words) for c in bg.data_check(pd.concat([table, table.head(7)])).columns}
    assert said["spent"] == "35 % are exactly 0"
    assert said["baths"] == "whole numbers with 7 distinct values"
    assert said["skewed"].startswith("skewed to the right")
    assert "determined by the other columns" in said["twice"]
    assert said["when"].startswith("it holds dates")
    check = bg.data_check(pd.concat([table, table.head(7)]))
    assert "7 rows repeat an earlier row in every column" in check.words()
    assert check.table.loc["baths", ["kind", "used", "distinct", "maximum"]].tolist() == ["whole numbers", True, 7, 6]


def test_a_check_is_printed_within_80_columns(table, tmp_path):
    table = table.assign(id=IDS["id"], **{f"a column with a long name {i}": i for i in range(9)})
    table.to_csv(tmp_path / "t.csv", index=False, sep=";")
    lines = str(bg.data_check(tmp_path / "t.csv")).splitlines()
    assert lines[:2] == ["240 rows, 12 columns, 2 used", "t.csv: read as semicolon-separated"]
    assert max(map(len, lines[:-1])) <= 80
    assert "id" in bg.data_check(table)._repr_html_()


def test_a_parquet_file_is_checked(table, tmp_path):
    table.assign(id=IDS["id"]).to_parquet(tmp_path / "t.parquet")
    assert bg.data_check(tmp_path / "t.parquet", keep="id").used == ("age", "income", "id")
    assert bg.data_check(str(tmp_path / "t.parquet")).used == ("age", "income")


def test_rows_that_are_no_data_are_not_counted(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1.5,2\n,\n2.5,3\n4.5,1\nTotal,6\n")
    check = bg.data_check(tmp_path / "t.csv")
    assert check.heading == "3 rows, 2 columns, 2 used"
    assert [c.missing for c in check.columns] == [0, 0]
