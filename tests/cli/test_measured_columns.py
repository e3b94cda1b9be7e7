"""Commands that choose the columns of a table: ids, codes and classes are left out, and one line says so."""

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from tests.commands import run

N = 60
RNG = np.random.default_rng(0)
AGE = np.where(np.arange(N) % 10 == 0, -999, RNG.integers(18, 80, N))
DATA = pd.DataFrame(
    {
        "rownames": np.arange(1, N + 1),
        "size": RNG.normal(size=N),
        "weight_kg": RNG.normal(70, 9, N),
        "group": np.arange(N) % 3 + 1,
        "name": [*"abc"] * (N // 3),
    }
)
LEFT_OUT = (
    "left out, it numbers the rows: 'rownames'; --keep rownames fits it",
    "left out, it has 3 distinct values: a class label, not a measurement: 'group'; --keep group fits it",
    "left out, not numeric: 'name'; choose columns with --columns",
)
FIT = ["fit", "data.csv", "-k", "1", "--method", "em", "-o", "fit.nc"]
COMMANDS = {
    "fit": FIT,
    "fit in parts": [*FIT, "--memory", "100MB"],
    "select": ["select", "data.csv", "-k", "1", "--covariance", "full"],
    "compare": ["compare", "data.csv", "-k", "1", "--methods", "em"],
    "coreset": ["coreset", "data.csv", "-k", "1", "--size", "40", "-o", "coreset.csv"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("measured")
    DATA.to_csv(path / "data.csv", index=False)
    DATA.assign(age=AGE).drop(columns=["rownames", "name", "group"]).to_csv(path / "coded.csv", index=False)
    return path


def columns_of(folder):
    return [str(name) for name in bg.load(folder / "fit.nc")["posterior"]["feature"].values]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_left_out_is_said_with_the_option_that_keeps_it(folder, command):
    done = run(*COMMANDS[command], cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("left out")] in (
        [*LEFT_OUT],
        [LEFT_OUT[2], *LEFT_OUT[:2]],
    )


@pytest.mark.parametrize("parts", [[], ["--memory", "100MB"]])
def test_options_choose_the_columns(folder, parts):
    cases = {
        (): ["size", "weight_kg"],
        ("--keep", "rownames,group"): ["rownames", "size", "weight_kg", "group"],
        ("--drop", "size"): ["weight_kg"],
        ("--columns", "rownames,size"): ["rownames", "size"],
        ("--columns", "size", "--keep", "rownames"): ["size", "rownames"],
    }
    for options, expected in cases.items():
        done = run(*FIT, *options, *parts, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert columns_of(folder) == expected
        assert "probably" not in done.stderr


def test_columns_with_another_meaning_are_neither_fitted_nor_named(folder):
    done = run(*FIT, "--label-column", "name", "--weight-column", "rownames", "-k", "3", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert columns_of(folder) == ["size", "weight_kg"]
    assert [line for line in done.stderr.splitlines() if line.startswith("left out")] == [LEFT_OUT[1]]


def test_answers_use_the_columns_of_the_fit(folder):
    run(*FIT, cwd=folder)
    for command in ("assign", "score", "density"):
        done = run(command, "fit.nc", "data.csv", "-o", "answer.csv", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert len(pd.read_csv(folder / "answer.csv")) == N


def test_codes_for_missing_values_are_said_and_stored(folder):
    fit = ["fit", "coded.csv", *FIT[2:]]
    done = run(*fit, cwd=folder)
    assert "column 'age': -999 stands for missing in 6 rows; --na none takes every number as a value" in done.stderr
    assert bg.load(folder / "fit.nc")["posterior"]["mean"].sel(feature="age").item() > 18
    run("density", "fit.nc", "coded.csv", "-o", "coded_density.csv", cwd=folder)
    pd.read_csv(folder / "coded.csv").replace({"age": {-999: np.nan}}).to_csv(folder / "empty.csv", index=False)
    run("density", "fit.nc", "empty.csv", "-o", "empty_density.csv", cwd=folder)
    assert (folder / "coded_density.csv").read_text() == (folder / "empty_density.csv").read_text()


def test_every_number_is_a_value_on_request(folder):
    done = run("fit", "coded.csv", *FIT[2:], "--na", "none", cwd=folder)
    assert "-999" not in done.stderr
    assert bg.load(folder / "fit.nc")["posterior"]["mean"].sel(feature="age").item() < 0


def test_codes_that_were_declared_hold_for_new_rows(folder):
    run("fit", "coded.csv", *FIT[2:], "--na", "-999,-5", cwd=folder)
    assert bg.info(bg.load(folder / "fit.nc")).missing_codes["age"] == (-999.0, -5.0)


def test_codes_in_a_table_in_parts_are_named(folder):
    fit = ["fit", "coded.csv", *FIT[2:], "--memory", "100MB"]
    done = run(*fit, cwd=folder)
    assert "column 'age': -999 in 6 rows is far from the rest: if it stands for missing, give --na -999" in done.stderr
    declared = run(*fit, "--na", "-999", cwd=folder).stderr.splitlines()
    assert declared == ["column 'age': read as missing: '-999' (6)"]
    assert bg.load(folder / "fit.nc")["posterior"]["mean"].sel(feature="age").item() > 18


def test_a_table_of_one_row_is_one_error(folder):
    DATA[["size", "weight_kg"]].head(1).to_csv(folder / "one.csv", index=False)
    done = run("fit", "one.csv", *FIT[2:], cwd=folder)
    assert (done.returncode, done.stderr) == (1, "error: one.csv has only 1 row\n")


def test_a_table_without_measurements_is_one_error(folder):
    DATA[["rownames", "name"]].to_csv(folder / "none.csv", index=False)
    for parts in ([], ["--memory", "100MB"]):
        done = run("fit", "none.csv", *FIT[2:], *parts, cwd=folder)
        assert done.returncode == 1
        assert "no column to fit" in done.stderr
