"""Output files: checked before the work, and written completely or not at all."""

import csv
import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesgmm
from bayesgmm.errors import FitFileError
from bayesgmm.files import guarded_csv, in_place_of, made_folder, writable, writable_folder, write_csv
from tests.commands import run


def test_a_file_name_must_have_an_allowed_ending(tmp_path):
    assert writable(tmp_path / "a.CSV", ".csv", ".pq").name == "a.CSV"
    with pytest.raises(FitFileError, match=r"b\.txt must end in \.csv, \.parquet or \.pq"):
        writable("b.txt", ".csv", ".parquet", ".pq")
    with pytest.raises(FitFileError, match=r"b\.txt must end in \.csv$"):
        writable("b.txt", ".csv")


def test_a_path_that_can_not_be_written_is_an_error(tmp_path):
    with pytest.raises(FitFileError, match="there is no folder"):
        writable(tmp_path / "no" / "a.csv")
    with pytest.raises(FitFileError, match="it is a folder"):
        writable(tmp_path)


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path):
    deep = tmp_path / "one" / "two"
    assert writable_folder(deep, ["a.csv"]) == deep
    assert not deep.parent.exists()
    assert made_folder(deep).is_dir()
    (deep / "a.csv").mkdir()
    with pytest.raises(FitFileError, match=r"a\.csv can't be written: it is a folder"):
        made_folder(deep, ["a.csv"])
    (tmp_path / "file").write_text("")
    with pytest.raises(FitFileError, match="file is a file; give the name of a folder"):
        made_folder(tmp_path / "file")
    with pytest.raises(FitFileError, match="file is a file$"):
        made_folder(tmp_path / "file" / "in")


def test_missing_permission_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    for refused in (lambda: writable(tmp_path / "a.csv"), lambda: made_folder(tmp_path / "in")):
        with pytest.raises(FitFileError, match="permission denied"):
            refused()


def fail_halfway(path, failure):
    with in_place_of(path) as partial:
        partial.write_text("new")
        raise failure


def test_a_file_is_replaced_completely_or_not_at_all(tmp_path):
    path = tmp_path / "a.csv"
    with in_place_of(path) as partial:
        partial.write_text("old")
    for failure, raised in [(OSError(28, "No space left on device"), FitFileError), (ValueError("x"), ValueError)]:
        with pytest.raises(raised):
            fail_halfway(path, failure)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]
    with in_place_of(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"


def test_a_file_is_on_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    """Windows refuses to flush a file that is open for reading only."""
    flushed = []

    def fsync(opened):
        status = os.fstat(opened)
        if stat.S_ISREG(status.st_mode):
            os.write(opened, b"")  # fails if it is open for reading only
            flushed.append((tmp_path / "t.csv").exists())

    monkeypatch.setattr(os, "fsync", fsync)
    with in_place_of(tmp_path / "t.csv") as partial:
        partial.write_text("new")
    assert flushed == [False]


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "fit.zarr"
    for name in ("old", "new"):
        with in_place_of(path) as partial:
            partial.mkdir()
            (partial / name).write_text("")
    assert [file.name for file in path.iterdir()] == ["new"]


def test_a_guarded_csv_runs_nothing_in_a_spreadsheet(tmp_path):
    frame = pd.DataFrame(
        {"@a": ["=1+1", "-5", "+x"], "n": [-1, 2, 3], "-k": pd.Categorical(["\ty", "\rz", "plain"])},
        index=pd.Index(["=r", "s", "－t"], name="+i"),
    )
    write_csv(frame, tmp_path / "plain.csv")
    with guarded_csv():
        write_csv(frame, tmp_path / "guarded.csv")
    assert (tmp_path / "plain.csv").read_text(encoding="utf-8").startswith("+i,@a,n,-k\n=r,=1+1,-1,")
    with (tmp_path / "guarded.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["'+i", "'@a", "n", "'-k"],
        ["'=r", "'=1+1", "-1", "'\ty"],
        ["s", "-5", "2", "'\rz"],
        ["'－t", "'+x", "3", "plain"],
    ]


def test_at_the_terminal_the_guard_is_an_option(tmp_path):
    good = np.random.default_rng(0).normal(size=(60, 2))
    table = pd.DataFrame(good, columns=["=a", "b"]).assign(note="@run")
    table.to_csv(tmp_path / "d.csv", index=False)
    asked = ["anomalies", tmp_path / "d.csv", "-o", tmp_path / "out.csv", "-k", 1, "--background", 0.1, "--all"]
    for option, first in ((["--guard-csv"], "row,'=a,b,note"), ([], "row,=a,b,note")):
        assert run(*asked, *option).returncode == 0
        assert (tmp_path / "out.csv").read_text().startswith(first)


def test_every_csv_is_written_where_the_guard_is():
    """A direct call of ``to_csv`` would ignore ``guarded_csv``."""
    sources = Path(bayesgmm.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if ".to_csv(" in path.read_text(encoding="utf-8")] == ["files.py"]
