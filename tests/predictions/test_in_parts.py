"""Predictions at scale: tables of files, part by part, are those of all rows at once."""

import json
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import DataError
from bayesgmm.posterior.info import info
from bayesgmm.predictions import in_parts
from bayesgmm.predictions.in_parts import rows_for, write_in_parts
from tests.commands import run

FRAME = pd.DataFrame(make_mixture(30_000, 3, 3, seed=1).X, columns=list("abc"))
COMMANDS = ("assign", "score", "density")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("parts")
    (path / "data").mkdir()
    named = FRAME.assign(kind="text")
    for number, part in enumerate((named[:9_000], named[9_000:9_001], named[9_001:][["c", "kind", "b", "a"]])):
        part.to_parquet(path / "data" / f"{number}.parquet", row_group_size=5_000)
    FRAME.to_parquet(path / "whole.parquet")
    done = run("fit", "data/*.parquet", "-k", 3, "--method", "em", "--seed", 1, "-o", "fit.nc", cwd=path)
    assert done.returncode == 0, done.stderr
    assert "left out, not numeric: 'kind'; choose columns with --columns" in done.stderr
    assert "30,000 rows of data/*.parquet were read in parts" in done.stdout
    return path


def test_fit_in_parts_is_the_fit_of_the_table(folder):
    done = run("fit", "whole.parquet", "-k", 3, "--method", "em", "--seed", 1, "-o", "whole.nc", cwd=folder)
    assert done.returncode == 0, done.stderr
    one, other = bg.load(folder / "fit.nc"), bg.load(folder / "whole.nc")
    np.testing.assert_allclose(one["posterior"]["mean"], other["posterior"]["mean"], atol=1e-3)
    assert bg.info(one).fingerprint == bg.info(other).fingerprint


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_table_in_parts_is_that_of_all_rows(command, ending, folder):
    parts, whole = f"{command}_parts.{ending}", f"{command}_whole.{ending}"
    done = run(command, "fit.nc", "data/*.parquet", "-o", parts, "--memory", "12MiB", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"wrote {parts}: 30000 rows" in done.stdout
    assert run(command, "fit.nc", "whole.parquet", "-o", whole, cwd=folder).returncode == 0
    read = pd.read_parquet if ending == "parquet" else pd.read_csv
    pd.testing.assert_frame_equal(read(folder / parts), read(folder / whole), rtol=1e-9, atol=1e-12)


def test_the_memory_of_predictions_does_not_grow_with_the_rows(folder, tmp_path):
    fit = bg.load(folder / "fit.nc")
    rows = rows_for(fit, pd.concat([FRAME] * 20, ignore_index=True))
    tracemalloc.start()
    count = write_in_parts(fit, rows, lambda part: part * 2, tmp_path / "out.parquet", 12 * 2**20, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 600_000
    assert peak < 10 * 2**20


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_row_is_named_with_its_file_and_nothing_is_written(command, folder, tmp_path):
    bad = FRAME.copy()
    bad.loc[20_003, "b"] = np.inf
    bad.to_parquet(tmp_path / "bad.parquet", row_group_size=10_000)
    out = tmp_path / "out.parquet"
    done = run(command, folder / "fit.nc", f"{tmp_path}/*.parquet", "-o", out)
    assert done.returncode == 1
    assert "bad.parquet, row group 2: 1 value is missing or infinite: row 3, column 'b'" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.parquet"]


def test_the_output_is_not_an_input(folder):
    done = run("assign", "fit.nc", "data/*.parquet", "-o", "data/0.parquet", cwd=folder)
    assert done.returncode == 1
    assert "data/0.parquet is an input of this command" in done.stderr


def test_files_without_rows_or_columns_are_errors(folder, tmp_path):
    FRAME[:0].to_parquet(tmp_path / "empty.parquet")
    done = run("assign", folder / "fit.nc", f"{tmp_path}/*.parquet", "-o", tmp_path / "out.csv")
    assert "has no rows" in done.stderr
    FRAME[["a", "b"]].to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"there is no column 'c' in .*a.parquet"):
        rows_for(bg.load(folder / "fit.nc"), tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["score", "fit.nc", "data/*.parquet", "--fdr", "0.1"], "--fdr can't be used with a table"),
        (["assign", "fit.nc", "data/*.parquet", "--noise-columns", "a"], "--noise-columns can't be used"),
        (["assign", "fit.nc", "none/*.parquet"], "no file matches none/*.parquet"),
        (["assign", "fit.nc", "data/*.parquet", "--memory", "lots"], "--memory lots: must be a number of bytes"),
        (["assign", "fit.nc"], "this fit has no observed data: the 30,000 rows of data/*.parquet were read in parts"),
        (["assign", "fit.nc", "--memory", "1GiB"], "--memory 1GiB needs a table"),
    ],
)
def test_what_does_not_go_with_parts_is_one_message(args, message, folder):
    done = run(*args, "-o", "x.csv", cwd=folder)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (folder / "x.csv").exists()


def test_engines_for_parts_are_named_at_the_terminal(folder):
    pd.concat([FRAME] * 4).to_parquet(folder / "more.parquet")
    args = ("fit", "more.parquet", "--columns", "a,b", "-k", 3, "--memory", "2MiB", "-o", "x.nc")
    done = run(*args, "--method", "nuts", cwd=folder)
    assert done.returncode == 1
    assert "method 'nuts' can't read rows in parts" in done.stderr
    assert "--memory" in done.stderr
    assert "source(" not in done.stderr


def test_without_a_method_rows_in_parts_are_fitted_by_variational_bayes_at_the_terminal(folder):
    pd.concat([FRAME] * 4).to_parquet(folder / "more.parquet")
    args = ("fit", "more.parquet", "--columns", "a,b", "-k", 3, "--memory", "2MiB", "-o", "vb.nc")
    done = run(*args, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the method is 'vb'") == 1
    assert info(bg.load(folder / "vb.nc")).method == "vb"


def test_the_sizes_of_components_come_from_the_weights(folder):
    done = run("--json", "fit", "data/*.parquet", "-k", 3, "--method", "em", "--seed", 1, "-o", "j.nc", cwd=folder)
    sizes = json.loads(done.stdout)["points"]
    whole = bg.assignments(bg.load(folder / "fit.nc"), FRAME)["probability"].sum("point")
    np.testing.assert_allclose(sizes, whole, rtol=1e-4)


KILLED = """
import os, signal, sys
import bayesgmm.predictions.in_parts as in_parts
from bayesgmm.cli import main

answered, left = in_parts._answered, [3]

def deadly(*given):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return answered(*given)

in_parts._answered = deadly
main()
"""


def test_what_is_kept_is_joined_when_all_parts_are_there(folder, tmp_path, monkeypatch):
    """A run that is killed soon, again and again, gets further: it does not write first what earlier ones kept."""
    fit = bg.load(folder / "fit.nc")
    given = (fit, rows_for(fit, folder / "whole.parquet"))
    rest = (tmp_path / "out.csv", 12 * 2**20, tmp_path, False)
    left: list[int] = []

    def answer(part):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return part

    def joined(*given, **settings):
        raise AssertionError("parts were joined")

    monkeypatch.setattr(in_parts, "append_csv", joined)
    for number in range(1, 3):
        left.append(number)
        with pytest.raises(KeyboardInterrupt):
            write_in_parts(*given, answer, *rest)
        assert len([*tmp_path.glob("rows_*.parquet")]) == number
    monkeypatch.undo()
    assert write_in_parts(*given, lambda part: part, *rest) == len(FRAME)
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "out.csv", index_col=0), FRAME)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_killed_command_goes_on_where_it_was(ending, folder, tmp_path):
    options = [
        "fit.nc",
        "data/*.parquet",
        "-o",
        f"killed.{ending}",
        "--memory",
        "12MiB",
        "--checkpoint",
        tmp_path / "run",
    ]
    for expected, number in ((-signal.SIGKILL, 0), (-signal.SIGKILL, 2), (0, 4)):
        lines = KILLED if expected else KILLED.replace("[3]", "[0]")
        command = [sys.executable, "-c", lines, "assign", *map(str, options)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == expected, done.stderr
        assert (folder / f"killed.{ending}").exists() == (expected == 0)
        kept = sorted((tmp_path / "run").glob("rows_*.parquet"))
        assert len(kept) > number
        assert ("rows of it were saved" in done.stderr) == (number > 0)
    assert (
        run("assign", "fit.nc", "data/*.parquet", "-o", f"at_once.{ending}", "--memory", "12MiB", cwd=folder).returncode
        == 0
    )
    read = pd.read_parquet if ending == "parquet" else pd.read_csv
    pd.testing.assert_frame_equal(read(folder / f"killed.{ending}"), read(folder / f"at_once.{ending}"))


def test_a_checkpoint_of_another_table_is_refused(folder, tmp_path):
    at = ["--memory", "12MiB", "--checkpoint", tmp_path / "run"]
    assert run("assign", "fit.nc", "whole.parquet", "-o", tmp_path / "a.csv", *at, cwd=folder).returncode == 0
    for command, data, why in (
        ("assign", "data/*.parquet", "other data"),
        ("score", "whole.parquet", "the answers of assign (here score)"),
    ):
        done = run(command, "fit.nc", data, "-o", tmp_path / "b.csv", *at, cwd=folder)
        assert f"run is the checkpoint of another table, with {why}" in " ".join(done.stderr.split())
    done = run("assign", "fit.nc", "whole.parquet", "-o", tmp_path / "b.csv", *at[2:], cwd=folder)
    assert "--checkpoint is for a table that is read in parts: give --memory, too" in done.stderr


def test_a_calibration_table_that_changed_is_another_table(folder, tmp_path):
    regular, output = tmp_path / "regular.csv", tmp_path / "a.csv"
    at = ["--memory", "12MiB", "--checkpoint", tmp_path / "run", "--calibration", regular]
    for rows, expected in ((100, 0), (200, 1)):
        FRAME[:rows].to_csv(regular, index=False)
        done = run("score", "fit.nc", "whole.parquet", "-o", output, *at, cwd=folder)
        assert done.returncode == expected, done.stderr
    assert "run is the checkpoint of another table, with another calibration" in " ".join(done.stderr.split())


def test_a_damaged_part_of_a_table_is_named(folder, tmp_path):
    at = ["--memory", "12MiB", "--checkpoint", tmp_path]
    command = ["assign", "fit.nc", "whole.parquet", "-o", tmp_path / "a.csv", *at]
    assert run(*command, cwd=folder).returncode == 0
    part = sorted(tmp_path.glob("rows_*.parquet"))[1]
    part.write_bytes(part.read_bytes()[:100])
    done = run(*command, cwd=folder)
    assert done.returncode == 1
    assert f"{part.name} is damaged" in " ".join(done.stderr.split())
