"""Every kind of file that is read, damaged: refused with an error of this package, or read as it was saved.

A sample of the damages; ``--every-combination`` makes a hundred of each kind.
"""

import faulthandler
import gzip
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.apps.images.image_input import read_image
from bayesgmm.apps.speech import audio, speech_files
from bayesgmm.apps.speech.formants import read_tokens
from bayesgmm.apps.speech.recording_lists import RecordingList, read_recordings
from bayesgmm.cards.card import load_card
from bayesgmm.data.points import as_points
from bayesgmm.errors import BayesGMMError, FitFileError
from bayesgmm.tree_files import netcdf_files
from tests.speaking import as_file, tiny_decoder

pytest.importorskip("soundfile")
FEW, MANY = 2, 100  # files with each kind of damage
LONGEST = 120  # seconds to read one of them
ENDLESS = np.random.default_rng([3, 10])  # with zeros where this says, HDF5 does not return from a fit
RNG = np.random.default_rng(0)
CARD = """
title = "Two"
[mixture]
n_components = 2
[mixture.weights]
prior = "dirichlet"
concentration = 2.0
[data]
dataset = "iris"
columns = ["petal_width", "sepal_width"]
[expect]
clusters = [2, 2]
[[intervals]]
quantity = "mean"
component = 0
column = "petal_width"
value = 1.7
"""


def table() -> pd.DataFrame:
    return pd.DataFrame({"height": RNG.normal(170, 8, 40), "weight": RNG.normal(75, 10, 40)})


def a_fit() -> xr.DataTree:
    return bg.fit(bg.MixtureModel(2), table(), "em", progress=False, seed=0)


def a_speech_model() -> speech_files.SpeechModel:
    d = tiny_decoder(1.0)
    words = replace(d.words, stay=np.full((2, 2), 0.5))
    return speech_files.SpeechModel(np.array(["a", "b"]), words, d.prior, 1.0, d.bigram, info={"log": False})


def a_list(path: Path) -> None:
    pd.DataFrame({"path": ["a.wav", "b.wav"], "label": ["one", "two"]}).to_csv(path, index=False)


def read_list(path: Path) -> object:
    """A table without paths is one of formants."""
    found = read_recordings(path)
    return found if isinstance(found, RecordingList) else read_tokens(found)


def a_picture(path: Path) -> None:
    from PIL import Image

    Image.fromarray(RNG.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)


def variables(tree: xr.DataTree) -> list[xr.Dataset]:
    return [tree[name].to_dataset() for name in sorted(tree.children)]


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it is made and read, whether a changed number is noticed, and whether to read it is slow."""

    make: Callable[[Path], object]
    read: Callable[[Path], Any]
    checked: bool = False
    slow: bool = False


def without_seal(path: Path) -> Path:
    """Write a fit as an earlier version did."""
    bg.save(a_fit(), path)
    path.write_bytes(path.read_bytes()[: -netcdf_files.SEAL_SIZE])
    return path


KINDS = {
    "fit.nc": Kind(lambda path: bg.save(a_fit(), path), lambda path: variables(bg.load(path)), True, slow=True),
    "fit.earlier.nc": Kind(without_seal, lambda path: variables(bg.load(path)), True, slow=True),
    "fit.zarr": Kind(lambda path: bg.save(a_fit(), path), lambda path: variables(bg.load(path)), True),
    "speech.nc": Kind(
        lambda path: speech_files.save(a_speech_model(), path),
        lambda path: variables(speech_files.to_tree(speech_files.load(path))),
        True,
        slow=True,
    ),
    "card.toml": Kind(lambda path: path.write_text(CARD), lambda path: load_card(path).plain()),
    "table.csv": Kind(lambda path: table().to_csv(path, index=False), as_points),
    "table.csv.gz": Kind(lambda path: path.write_bytes(gzip.compress(table().to_csv().encode(), mtime=0)), as_points),
    "table.parquet": Kind(lambda path: table().to_parquet(path), as_points),
    "list.csv": Kind(a_list, read_list),
    "sound.wav": Kind(lambda path: as_file(path, RNG.normal(0, 0.1, 4000)), audio.read),
    "sound.flac": Kind(lambda path: as_file(path, RNG.normal(0, 0.1, 4000)), audio.read),
    "picture.png": Kind(a_picture, read_image),
    "picture.tif": Kind(a_picture, read_image),
}


def three_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(len(content), size=3):
        changed[at] ^= int(rng.integers(1, 256))
    return bytes(changed)


def truncated(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def a_gap(content: bytes, rng: np.random.Generator) -> bytes:
    start, size = rng.integers(len(content)), rng.integers(1, 200)
    return content[:start] + content[start + size :]


def zeros(content: bytes, rng: np.random.Generator) -> bytes:
    start, size = int(rng.integers(len(content))), int(rng.integers(1, 200))
    return content[:start] + bytes(len(content[start : start + size])) + content[start + size :]


def moved(content: bytes, rng: np.random.Generator) -> bytes:
    start, size = int(rng.integers(len(content))), int(rng.integers(1, 200))
    return content[:start] + content[start + size :] + content[start : start + size]


DAMAGES = (three_bytes, truncated, a_gap, zeros, moved)


def part_of(path: Path, rng: np.random.Generator) -> Path:
    """The file, or one of the files of a folder."""
    files = [file for file in sorted(path.rglob("*")) if file.is_file()] if path.is_dir() else [path]
    return files[rng.integers(len(files))]


def copied(path: Path, place: Path) -> Path:
    if place.is_dir():
        shutil.rmtree(place)
    return Path(shutil.copytree(path, place) if path.is_dir() else shutil.copy(path, place))


def same(one: Any, other: Any) -> bool:
    return all(a.identical(b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def whole(request, tmp_path) -> Path:
    path = tmp_path / request.param
    KINDS[request.param].make(path)
    return path


@pytest.mark.filterwarnings("ignore")  # of libraries, about what is odd in a damaged file
@pytest.mark.parametrize("whole", KINDS, indirect=True)
def test_a_damaged_file_is_refused_or_read_as_it_was_saved(whole, tmp_path, request):
    """Where a file has a digest, it is never read with other numbers; no other error than ours is raised."""
    kind = KINDS[whole.name]
    every = request.config.getoption("--every-combination")
    count = MANY if every else FEW // 2 if kind.slow else FEW
    right, refused = kind.read(whole), 0
    (tmp_path / "damaged").mkdir()
    for number, damage in enumerate(DAMAGES):
        for seed in range(count):
            rng = np.random.default_rng([number, seed])
            bad = copied(whole, tmp_path / "damaged" / whole.name)
            file = part_of(bad, rng)
            file.write_bytes(damage(file.read_bytes(), rng))
            faulthandler.dump_traceback_later(LONGEST, exit=True)  # native code can't be interrupted otherwise
            try:
                read = kind.read(bad)
            except BayesGMMError:
                refused += 1
            else:
                assert not kind.checked or same(read, right), f"{damage.__name__}, seed {seed}"
            finally:
                faulthandler.cancel_dump_traceback_later()
    print(f"\n{whole.name}: {refused} of {count * len(DAMAGES)} refused")


def test_a_file_that_hdf5_does_not_return_from_is_refused(tmp_path, monkeypatch):
    """With a seal it is not opened; without one, another process is stopped that opens it."""
    path = tmp_path / "fit.nc"
    bg.save(a_fit(), path)
    path.write_bytes(
        zeros(path.read_bytes()[: -netcdf_files.SEAL_SIZE], ENDLESS) + path.read_bytes()[-netcdf_files.SEAL_SIZE :]
    )
    with pytest.raises(FitFileError, match="their digest differs"):
        bg.load(path)
    path.write_bytes(path.read_bytes()[: -netcdf_files.SEAL_SIZE])
    monkeypatch.setattr(netcdf_files, "PATIENCE", 2.0)
    with pytest.raises(FitFileError, match="damaged: HDF5 has not read it in 2 seconds"):
        bg.load(path)


def test_a_file_that_ends_the_process_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(netcdf_files, "TRIAL", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(FitFileError, match="damaged: a process that reads it crashes"):
        bg.load(without_seal(tmp_path / "fit.nc"))


def place(what: str, path: Path) -> None:
    """Put something else where a file should be."""
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "link to nothing":
        path.symlink_to(path.with_name("nothing"))
    elif what == "link to itself":
        path.symlink_to(path)
    else:
        path.write_bytes(b"\0" * 1000 if what == "zeros" else b"")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", ["folder", "pipe", "device", "link to nothing", "link to itself", "zeros", "empty"])
def test_what_is_no_file_is_refused(what, tmp_path):
    """A pipe that nobody writes to and a device without end would keep a reader waiting."""
    for name, kind in KINDS.items():
        path = tmp_path / name
        place(what, path)
        with pytest.raises(BayesGMMError, match=r"\S"):
            kind.read(path)


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_another_kind_is_refused(tmp_path):
    """Under the name of each kind, the contents of each other; tables and lists are both CSV."""
    files = {name: tmp_path / name for name in KINDS if name != "fit.zarr"}
    for name, path in files.items():
        KINDS[name].make(path)
    for name in files:
        for content in files:
            if {name, content} <= {"table.csv", "list.csv", "table.csv.gz"} or name.partition(".")[0] == (
                content.partition(".")[0]
            ):
                continue
            disguised = tmp_path / f"x.{name.partition('.')[2]}"
            shutil.copy(files[content], disguised)
            with pytest.raises(BayesGMMError, match=r"\S"):
                KINDS[name].read(disguised)
