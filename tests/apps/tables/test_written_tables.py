"""Tables that are written keep every row and column of the file, each cell as it came."""

import csv

import numpy as np
import pandas as pd
import pytest

from bayesgmm.apps import cluster_table, find_anomalies
from bayesgmm.apps.tables.anomaly_files import judge_file, write_flagged
from bayesgmm.errors import DataError, TableWarning
from tests.commands import run

RNG = np.random.default_rng(0)
QUIET = {"progress": False, "seed": 0}


@pytest.fixture
def cells():
    """A file as people bring it: codes, decimal commas, marks, a blank row, codes for missing values, a total."""
    age = np.append(RNG.normal(30, 2, 30), RNG.normal(70, 2, 30)).round(1)
    rows = [[f"{i:05d}", f"{x}".replace(".", ","), "x;y" if i % 2 else "NA", "1,50"] for i, x in enumerate(age)]
    rows[3][1], rows[4][1], rows[5] = "n.a.", "-999", ["", "", "", ""]
    rows[6][1] = "-999"
    for i, row in enumerate(rows):
        row[3] = row[3] and f"{RNG.normal(5):.3f}".replace(".", ",") if i != 5 else ""
    return [["zip", "age", "note", "ratio"], *rows, ["Total", "", "", ""]]


@pytest.fixture
def path(cells, tmp_path):
    with (tmp_path / "t.csv").open("w", newline="", encoding="cp1252") as file:
        csv.writer(file, delimiter=";").writerows(cells)
    return tmp_path / "t.csv"


def test_clusters_are_written_beside_the_cells_as_they_came(path, cells):
    found = cluster_table(path, n_components=2, covariance="tied", method="em", progress=False)
    table = found.with_table()
    assert [*table.columns[:4]] == cells[0]
    assert table.iloc[:, :4].to_numpy().tolist() == cells[1:]
    assert np.flatnonzero(found.rows["cluster"].isna()).tolist() == [5, 60]
    said = " | ".join(found.words())
    assert "semicolon-separated, decimal comma" in said
    assert "'age': -999 stands for missing in 2 rows" in said
    assert "3 of 118 values are missing, in 3 of 59 rows" in said


def test_anomalies_are_written_beside_the_cells_as_they_came(path, cells, tmp_path):
    tree = find_anomalies(path, n_components=1, method="em", **QUIET).fit
    with pytest.warns(TableWarning):
        write_flagged(judge_file(tree, path, chunk=20), tmp_path / "out.csv", everything=True)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert [row[1:5] for row in csv.reader(file)] == cells


def test_codes_of_the_training_table_are_missing_in_new_rows():
    train = pd.DataFrame({"x": RNG.normal(size=80), "y": RNG.normal(size=80)})
    new = train.head(9).copy()
    train.loc[:3, "x"] = -999.0
    new.loc[2, "x"] = -999.0
    found = find_anomalies(train, new, n_components=1, method="em", alpha=0.05, **QUIET)
    assert np.flatnonzero(found.table.rows["x"].isna()).tolist() == [2]


def test_a_table_of_one_row_is_refused():
    with pytest.raises(DataError, match="only 1 row"):
        cluster_table(pd.DataFrame({"a": [1.0], "b": [2.0]}))


@pytest.mark.parametrize("work", [cluster_table, find_anomalies])
def test_more_columns_than_rows_are_refused(work):
    with pytest.raises(DataError, match=r"40 rows are too few for 50 columns and their correlations\n.*'diag'"):
        work(RNG.normal(size=(40, 50)))


def test_commands_read_by_the_options(tmp_path):
    (tmp_path / "t.csv").write_text("x;y\n" + "".join(f"1.{i + 100};2.{i * i % 7 + 100}\n" for i in range(20)))
    command = ["fit", "t.csv", "-k", "1", "--method", "em", "-o", "fit.nc"]
    asked = run(*command, cwd=tmp_path)
    assert asked.returncode == 1
    assert "can be 1.100 or 1100 (also 'y')" in asked.stderr
    assert asked.stderr.count("Say which: --decimal . for the former, --decimal , for the latter.") == 1
    done = run(*command, "--decimal", ",", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "t.csv: read as semicolon-separated, decimal comma\n" in done.stderr
    assert "'1.100' is read as 1100" in done.stderr
    wrong = run(*command, "--decimal", ";", cwd=tmp_path)
    assert wrong.returncode == 1
    assert "must be '.' or ','" in wrong.stderr
