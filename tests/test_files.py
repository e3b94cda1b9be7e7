"""Output files: checked before the work, and written completely or not at all."""

import os

import pytest

from bayesgmm.errors import FitFileError
from bayesgmm.files import in_place_of, made_folder, writable, writable_folder


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


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "fit.zarr"
    for name in ("old", "new"):
        with in_place_of(path) as partial:
            partial.mkdir()
            (partial / name).write_text("")
    assert [file.name for file in path.iterdir()] == ["new"]
