"""Files of speech models: saving and loading, damaged files, other versions."""

import json

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.apps import SpeechClassifier
from bayesgmm.apps.speech import speech_files
from bayesgmm.tree_files import write_tree
from tests.speaking import FEW

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


def test_a_loaded_model_gives_the_same_predictions(trained, listed, tmp_path):
    again = SpeechClassifier.load(trained.save(tmp_path / "speaker.model"))
    np.testing.assert_array_equal(again.predict_log_proba(listed["path"]), trained.predict_log_proba(listed["path"]))
    assert again.predict(listed["path"][:1]).dtype == trained.predict(listed["path"][:1]).dtype
    assert again.get_params()["n_states"] == 5
    assert again.transcribe(listed["path"][0]).equals(trained.transcribe(listed["path"][0]))
    assert [p.name for p in tmp_path.iterdir()] == ["speaker.model"]


def test_numpy_numbers_are_saved_as_parameters(listed, tmp_path):
    model = SpeechClassifier(np.int64(2), 1.0, settings={"n_init": np.int64(3)}, normalise="mean", progress=False)
    model.fit(listed["path"], listed["label"])
    again = SpeechClassifier.load(model.save(tmp_path / "m"))
    assert again.get_params()["n_states"] == 2
    assert again.get_params()["settings"] == {"n_init": 3}


@pytest.mark.parametrize("dtype", [int, object])
def test_integer_labels_are_kept(listed, tmp_path, dtype):
    numbers = listed["label"].map(FEW.index).astype(dtype)
    model = SpeechClassifier(2, normalise="mean", progress=False).fit(listed["path"], numbers)
    again = SpeechClassifier.load(model.save(tmp_path / "m"))
    assert again.classes_.tolist() == [0, 1, 2, 3]
    assert again.classes_.dtype == model.classes_.dtype


def test_files_without_a_speech_model_are_refused(trained, iris, tmp_path):
    one = bg.fit(bg.MixtureModel(2), iris.drop(columns="species"), "em", seed=0, progress=False)
    bg.save(one, tmp_path / "fit.nc")
    with pytest.raises(bg.errors.FitFileError, match="a fit of one mixture"):
        SpeechClassifier.load(tmp_path / "fit.nc")
    path = trained.save(tmp_path / "good.nc")
    with pytest.raises(bg.errors.FitFileError, match="is not a fit"):
        bg.load(path)
    for cut in (0, path.stat().st_size // 2):
        (tmp_path / "cut").write_bytes(path.read_bytes()[:cut])
        with pytest.raises(bg.errors.FitFileError, match="damaged"):
            SpeechClassifier.load(tmp_path / "cut")
    with pytest.raises(bg.errors.FitFileError, match="no file"):
        SpeechClassifier.load(tmp_path / "absent")
    with pytest.raises(bg.errors.FitFileError, match="no folder"):
        trained.save(tmp_path / "absent" / "m")


def test_a_later_schema_and_a_missing_variable_are_refused(trained, tmp_path):
    tree = speech_files.to_tree(trained.trained_)
    metadata = json.loads(tree.attrs["bayesgmm"])
    tree.attrs["bayesgmm"] = json.dumps(metadata | {"schema": 99})
    write_tree(tree, tmp_path / "later")
    with pytest.raises(bg.errors.FitFileError, match="upgrade"):
        SpeechClassifier.load(tmp_path / "later")
    tree.attrs["bayesgmm"] = json.dumps(metadata)
    tree["posterior"] = tree["posterior"].to_dataset().drop_vars("stay")
    write_tree(tree, tmp_path / "lost")
    with pytest.raises(bg.errors.FitFileError, match="damaged speech model"):
        SpeechClassifier.load(tmp_path / "lost")


@pytest.mark.parametrize(
    "metadata",
    [
        {"schema": "2"},
        {"info": None},
        {"exponent": float("nan")},
        {"exponent": None},
        {"hearing": {"rate": 8000, "n_cepstra": 5}},
        {"hearing": {"rate": 8000, "ears": 2}},
        {"hearing": {"rate": 0}},
        {"hearing": {"rate": 8000, "normalise": "loudly"}},
        {"hearing": {"rate": 8000, "floor": -1.0}},
        {"hearing": None, "info": {}},
        {"exponent": 0.0},
        {"info": {"parameters": []}},
    ],
)
def test_invalid_metadata_are_refused(trained, tmp_path, metadata):
    tree = speech_files.to_tree(trained.trained_)
    tree.attrs["bayesgmm"] = json.dumps(json.loads(tree.attrs["bayesgmm"]) | metadata)
    write_tree(tree, tmp_path / "odd")
    with pytest.raises(bg.errors.FitFileError, match="damaged speech model"):
        SpeechClassifier.load(tmp_path / "odd")


def test_values_that_are_not_finite_are_refused(trained, tmp_path):
    tree = speech_files.to_tree(trained.trained_)
    tree["posterior"] = tree["posterior"].to_dataset().map(lambda values: values.where(values.name != "mean"))
    write_tree(tree, tmp_path / "odd")
    with pytest.raises(bg.errors.FitFileError, match="mean has values that are not finite numbers"):
        SpeechClassifier.load(tmp_path / "odd")


EDITS = {
    "prior": (lambda v: v * -1, "the probabilities of the labels"),
    "follows": (lambda v: v + 1, "the probabilities of the next label"),
    "stay": (lambda v: v * 0 + 5, "a probability to stay in a state is not from 0 to 1"),
    "weight": (lambda v: v * 2, "a weight is not a probability"),
    "covariance": (lambda v: -v, "a covariance is not symmetric and positive definite"),
    "scale": (lambda v: v * 0, "a scale is not a positive number"),
    "shift": (lambda v: v * np.nan, "a scale is not a positive number"),
    "label_bis": (lambda v: v[::-1], "label and label_bis differ"),
    "label": (lambda v: np.repeat(v[:1], len(v)), "two labels are equal|label and label_bis differ"),
    "feature": (lambda v: v[::-1], "feature and feature_bis differ"),
}


@pytest.mark.parametrize("name", EDITS)
def test_numbers_that_are_no_speech_model_are_refused(name, trained, tmp_path):
    change, message = EDITS[name]
    tree = speech_files.to_tree(trained.trained_)
    group = "constant_data" if name in ("scale", "shift") else "posterior"
    part = tree[group].to_dataset()
    changed = change(part[name].values)
    whole = (
        part.assign_coords({name: changed}) if name in part.coords else part.assign({name: (part[name].dims, changed)})
    )
    tree[group] = xr.DataTree(whole)
    write_tree(tree, tmp_path / "edited")
    with pytest.raises(bg.errors.FitFileError, match=f"damaged speech model: .*({message})"):
        speech_files.load(tmp_path / "edited")


def test_facts_of_a_speech_model_nested_too_deep_are_refused(trained, tmp_path):
    tree = speech_files.to_tree(trained.trained_)
    tree.attrs["bayesgmm"] = "[" * 100_000
    write_tree(tree, tmp_path / "deep")
    with pytest.raises(bg.errors.FitFileError, match="is not a speech model"):
        speech_files.load(tmp_path / "deep")


def test_unknown_parameters_in_a_file_are_ignored(trained, listed, tmp_path):
    tree = speech_files.to_tree(trained.trained_)
    metadata = json.loads(tree.attrs["bayesgmm"])
    metadata["info"]["parameters"]["of_later"] = 1
    tree.attrs["bayesgmm"] = json.dumps(metadata)
    write_tree(tree, tmp_path / "later")
    assert SpeechClassifier.load(tmp_path / "later").predict(listed["path"][:1]) == ["one"]
