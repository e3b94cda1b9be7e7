"""Files of fits: what is damaged, hostile or too large is refused; what is read is what was saved."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.errors import FitFileError
from bayesgmm.files import in_place_of, writable

PATTERN = np.random.default_rng(0)


@pytest.fixture(scope="module")
def fit() -> xr.DataTree:
    table = {"height": PATTERN.normal(170, 8, 30), "weight": PATTERN.normal(75, 10, 30)}
    return bg.fit(bg.MixtureModel(2), table, "em", progress=False, seed=0)


@pytest.fixture(params=["fit.nc", "fit.zarr"])
def path(request, fit, tmp_path):
    return bg.save(fit, tmp_path / request.param)


def test_a_fit_is_read_as_it_was_saved(fit, path):
    back = bg.load(path)
    assert back.attrs == fit.attrs
    for name in fit.children:
        xr.testing.assert_identical(back[name].to_dataset(), fit[name].to_dataset())


def replace_bytes(path, seed):
    """Replace three bytes of a file, or of a random file of a folder."""
    rng = np.random.default_rng(seed)
    files = [file for file in sorted(path.rglob("*")) if file.is_file()] if path.is_dir() else [path]
    file = files[rng.integers(len(files))]
    content = bytearray(file.read_bytes())
    for at in rng.integers(len(content), size=3):
        content[at] ^= int(rng.integers(1, 256))
    file.write_bytes(content)


def test_changed_bytes_are_refused_or_change_nothing(fit, path, tmp_path):
    """Of 30 files each, none is read with other contents, and none raises another error."""
    refused = 0
    for seed in range(30):
        again = tmp_path / f"{seed}{path.suffix}"
        shutil.copytree(path, again) if path.is_dir() else shutil.copy(path, again)
        replace_bytes(again, seed)
        try:
            back = bg.load(again)
        except FitFileError:
            refused += 1
        else:
            for name in fit.children:
                assert back[name].to_dataset().equals(fit[name].to_dataset())
    assert refused > 10


def test_a_truncated_file_is_refused(path):
    file = path if path.is_file() else path / "posterior" / "zarr.json"
    content = file.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:size])
        with pytest.raises(FitFileError):
            bg.load(path)


EDITS = {
    "weight": (lambda v: v * 2, "a weight is not a probability"),
    "mean": (lambda v: v * np.nan, "a mean is not a finite number"),
    "covariance": (lambda v: -v, "a covariance is not symmetric and positive definite"),
}


@pytest.mark.parametrize("name", EDITS)
def test_numbers_that_are_no_mixture_are_refused(name, fit, tmp_path):
    change, message = EDITS[name]
    edited = fit.copy(deep=True)
    edited["posterior"][name] = edited["posterior"][name].copy(data=change(edited["posterior"][name].values))
    with pytest.raises(FitFileError, match=message):
        bg.load(bg.save(edited, tmp_path / "edited.nc"))


def test_facts_that_are_no_json_object_are_refused(fit, tmp_path):
    for text in ("[" * 100_000, "{", "[]", 3):
        edited = fit.copy()
        edited.attrs["bayesgmm"] = text
        with pytest.raises(FitFileError, match="damaged"):
            bg.load(bg.save(edited, tmp_path / "edited.nc"))


def links(file, tmp_path):
    yield lambda: file.__setitem__("posterior/mean", h5py.SoftLink("/posterior/weight"))
    yield lambda: file.__setitem__("secret", h5py.ExternalLink(str(tmp_path / "other.nc"), "/"))
    yield lambda: file["posterior"].create_dataset(
        "secret", (8,), "u1", external=[(str(tmp_path / "secret.txt"), 0, h5py.h5f.UNLIMITED)]
    )


@pytest.mark.parametrize("kind", range(3))
def test_links_to_other_places_are_refused(kind, fit, tmp_path):
    (tmp_path / "secret.txt").write_text("password")
    path = bg.save(fit, tmp_path / "fit.nc")
    with h5py.File(path, "a") as file:
        if kind == 0:
            del file["posterior/mean"]
        list(links(file, tmp_path))[kind]()
    with pytest.raises(FitFileError, match="is refused"):
        bg.load(path)


def test_nested_groups_and_circles_are_not_read(fit, tmp_path):
    path = bg.save(fit, tmp_path / "fit.nc")
    with h5py.File(path, "a") as file:
        file["posterior/again"] = file["/"]
        file.create_group("posterior/" + "/".join(["deep"] * 200))
    assert bg.load(path)["posterior"].sizes["component"] == 2


def test_a_file_larger_than_the_memory_is_refused(fit, tmp_path):
    path = bg.save(fit, tmp_path / "fit.nc")
    with h5py.File(path, "a") as file:
        file["posterior"].create_dataset("huge", (10**13,), "f8", chunks=(1000,))
    with pytest.raises(FitFileError, match="would need 74,506 GiB"):
        bg.load(path)


def test_zarr_codecs_that_make_objects_are_refused(fit, tmp_path):
    path = bg.save(fit, tmp_path / "fit.zarr")
    metadata = path / "posterior" / "mean" / "zarr.json"
    stored = json.loads(metadata.read_text())
    stored["codecs"].append({"name": "numcodecs.pickle", "configuration": {}})
    metadata.write_text(json.dumps(stored))
    with pytest.raises(FitFileError, match="needs the codec"):
        bg.load(path)


def test_links_in_a_zarr_store_are_refused(fit, tmp_path):
    path = bg.save(fit, tmp_path / "fit.zarr")
    (path / "posterior" / "secret").symlink_to("/etc")
    with pytest.raises(FitFileError, match="is a link"):
        bg.load(path)


def test_a_folder_that_is_no_zarr_store_is_not_replaced(fit, tmp_path):
    thesis = tmp_path / "thesis.zarr"
    thesis.mkdir()
    (thesis / "notes.txt").write_text("years of work")
    with pytest.raises(FitFileError, match="not a zarr store"):
        bg.save(fit, thesis)
    assert (thesis / "notes.txt").read_text() == "years of work"


def test_devices_and_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.nc")
    for path in (tmp_path / "pipe.nc", "/dev/null"):
        with pytest.raises(FitFileError, match="device or a pipe"):
            writable(path)


def test_links_and_permissions_are_kept(fit, tmp_path):
    bg.save(fit, tmp_path / "real.nc").chmod(0o640)
    (tmp_path / "link.nc").symlink_to("real.nc")
    bg.save(fit, tmp_path / "link.nc")
    assert (tmp_path / "link.nc").is_symlink()
    assert (tmp_path / "real.nc").stat().st_mode & 0o777 == 0o640
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.nc", "real.nc"]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with in_place_of(path) as one, in_place_of(path) as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"
