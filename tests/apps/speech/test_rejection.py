"""The answer "none of these": p-values, their calibration, tables of answers, saved models."""

import json

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.apps import SpeechClassifier
from bayesgmm.apps.speech import audio, rejection, speech_files
from bayesgmm.apps.speech.rejection import Rejection, Scored, calibrate, p_values
from bayesgmm.tree_files import write_tree
from tests.speaking import tiny_decoder

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


@pytest.fixture(scope="module")
def noises():
    """Sounds that are no words: noise, a hum, a sweep, an explosive noise."""
    rng = np.random.default_rng(0)
    time = np.arange(4000) / 8000
    shape = np.exp(-(((time - 0.25) / 0.12) ** 2))
    sounds = [
        rng.normal(size=4000),
        shape * np.sin(2 * np.pi * 300 * time),
        np.sin(2 * np.pi * (300 + 3000 * time) * time),
        rng.normal(size=4000) * np.exp(-time / 0.1),
    ]
    return [audio.Recording(0.1 * one + 1e-4 * rng.normal(size=4000), 8000, name="noise") for one in sounds]


def test_p_values_are_uniform_for_known_recordings():
    """Scores that are correlated: exactly a tenth below 0.1.  False alarm: 6e-7 (5 sd of a binomial share)."""
    rng = np.random.default_rng(0)
    mix = np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.3], [0.0, 0.0, 1.0]])
    p = [p_values(*np.split(rng.normal(size=(20, 3)) @ mix, [19]))[0] for _ in range(4000)]
    for level in (0.05, 0.1, 0.5):
        assert np.mean(np.array(p) <= level + 1e-9) == pytest.approx(level, abs=5 * np.sqrt(level * (1 - level) / 4000))


def test_one_low_score_is_enough_for_a_small_p_value():
    known = np.random.default_rng(0).normal(size=(99, 3))
    for low in range(3):
        assert p_values(known, np.where(np.arange(3) == low, -9.0, 1.0)[None])[0] <= 0.03
    assert p_values(known, np.full((1, 3), 9.0))[0] == 1


def test_scores_agree_with_their_definition():
    words = tiny_decoder(1.0).words
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 1)) for n in (4, 7)]
    within = words.covariance.mean()
    total = within + np.mean([word.var() for word in words.mean])
    scores = Scored.of(words, parts).scores()
    for part, score in zip(parts, scores, strict=True):
        best = words.log_likelihood([part]).max()
        density = [
            [multivariate_normal.pdf(x, mean, covariance) for mean, covariance in zip(means, covariances, strict=True)]
            for x in part
            for means, covariances in [(words.mean.reshape(-1, 1), words.covariance.reshape(-1, 1, 1))]
        ]
        steady = multivariate_normal.logpdf(part, part.mean(axis=0), words.covariance.mean(axis=(0, 1, 2, 3))).sum()
        expected = [best - np.log(np.mean(density, axis=1)).sum(), (best - steady) / (total / within)]
        np.testing.assert_allclose(score[:2], np.array(expected) / len(part))
        assert score[2] == pytest.approx(part.var() / total)


def test_selected_labels_and_recordings_are_scored_alone():
    words = tiny_decoder(1.0).words
    parts = [np.random.default_rng(n).normal(size=(n, 1)) for n in (4, 7, 5)]
    some = Scored.of(words, parts).only(np.array([1]), np.array([2, 0]))
    np.testing.assert_allclose(some.scores(), Scored.of(words.only(np.array([1])), [parts[2], parts[0]]).scores())


def test_calibration_compares_with_other_speakers_and_labels():
    """Speaker 1 scores below speaker 0; without its model, a label scores as low as its own held-out recordings."""
    fold, word = np.repeat([0, 1], 40), np.tile([0, 1], 40)
    rng = np.random.default_rng(0)
    known = rng.normal(size=(80, 3)) - 99.0 * fold[:, None]
    rates = calibrate(known, known, word, fold, fold).table().set_index("asked")
    assert rates.loc[0.1, "rejected"] == 0.5
    assert rates.loc[0.1, "error"] == pytest.approx(0.5)  # two groups, 0 and 1
    by_label = rng.normal(size=(80, 3)) - 99.0 * (word == 0)[:, None]
    rates = calibrate(by_label, by_label, word, fold, fold).table().set_index("asked")
    assert rates.loc[0.1, "rejected"] < 0.25
    assert rates.loc[0.1, "unknown_rejected"] == 0.5
    assert rates.loc[0.1, "unknown_error"] == pytest.approx(0.5)


def test_the_error_of_a_share_is_never_zero():
    assert rejection._rate(np.zeros(10, bool), np.arange(10))[1] == pytest.approx(np.sqrt(1 / 12 * 11 / 12 / 10))
    flag = np.random.default_rng(0).random(4000) < 0.3
    assert rejection._rate(flag, np.arange(4000))[1] == pytest.approx(np.sqrt(0.21 / 4000), rel=0.05)


def test_held_out_recordings_are_scored_without_their_own_label(trained):
    rates = trained.rejection_.set_index("asked")
    assert len(trained.trained_.rejection.scores) == len(trained.held_out_)
    assert (rates["unknown_rejected"] > rates["rejected"]).all()
    assert (rates["error"] > 0).all()
    assert rates["rejected"].is_monotonic_increasing


def test_sounds_that_are_no_words_are_rejected(trained, listed, noises):
    answers = trained.recognise([*listed["path"], *noises], reject=0.1)
    assert (answers["label"][-4:] == "none").all()
    assert (answers["label"][:-4] == listed["label"].to_numpy()).mean() > 0.9
    assert set(answers["closest"]) <= set(trained.classes_)
    assert (answers["label"] == "none").equals(answers["known"] <= 0.1)
    same = trained.recognise(noises)
    assert same["label"].tolist() == trained.predict(noises).tolist() == answers["closest"][-4:].tolist()
    np.testing.assert_allclose(same.filter(like="probability_"), trained.predict_proba(noises))


def test_the_share_of_rejected_recordings_is_validated(trained, listed):
    with pytest.raises(bg.errors.DataError, match=r"needs at least 999 held-out recordings, .* 48\n.*reject=0\.021"):
        trained.recognise(listed["path"][:1], reject=0.001)
    assert len(trained.recognise(listed["path"][:1], reject=0.021))
    with pytest.raises(bg.errors.DeclarationError, match="between 0 and 1"):
        trained.recognise(listed["path"][:1], reject=1.0)


def test_a_saved_model_rejects_the_same_recordings(trained, noises, tmp_path):
    again = SpeechClassifier.load(trained.save(tmp_path / "m"))
    assert again.recognise(noises, reject=0.1).equals(trained.recognise(noises, reject=0.1))
    assert again.rejection_.equals(trained.rejection_)


def test_models_of_earlier_versions_do_not_reject(trained, listed, tmp_path):
    tree = speech_files.to_tree(trained.trained_)
    del tree["rejection"]
    write_tree(tree, tmp_path / "old")
    old = SpeechClassifier.load(tmp_path / "old")
    assert "known" not in old.recognise(listed["path"][:2])
    with pytest.raises(bg.errors.DataError, match="earlier version.*\n.*Train it again"):
        old.recognise(listed["path"][:2], reject=0.1)


@pytest.mark.parametrize("change", [lambda v: v * np.nan, lambda v: v[:, :2], lambda v: v + 2])
def test_damaged_calibrations_are_refused(trained, tmp_path, change):
    tree = speech_files.to_tree(trained.trained_)
    part = tree["rejection"].to_dataset()
    name, dims = ("rate", ("level", "rate_kind")) if change(np.ones((1, 3))).max() > 2 else ("score", ("held_out", "k"))
    tree["rejection"] = part.drop_vars(name).assign({name: (dims, change(part[name].values))})
    if dims[1] == "k":
        tree["rejection"] = tree["rejection"].to_dataset().rename(k="kind")
    write_tree(tree, tmp_path / "odd")
    assert json.loads(tree.attrs["bayesgmm"])
    with pytest.raises(bg.errors.FitFileError, match="damaged speech model"):
        speech_files.load(tmp_path / "odd")


def test_broken_recordings_are_skipped_if_asked(trained, listed):
    mixed = [listed["path"][0], "none.wav", listed["path"][1]]
    with pytest.warns(bg.FitWarning, match=r"1 recording of 3 skipped\n  none\.wav: there is no such file"):
        answers = trained.recognise(mixed, skip_broken=True)
    assert answers.index.tolist() == [listed["path"][0], listed["path"][1]]
    assert answers.attrs["skipped"] == ["none.wav: there is no such file"]
    with pytest.raises(audio.BrokenRecording, match=r"none\.wav[\s\S]*skip_broken=True"):
        trained.recognise(mixed)


def test_labels_keep_their_type_without_rejection(trained, listed):
    assert trained.recognise(listed["path"][:1])["label"].tolist() == ["one"]
    assert isinstance(trained.trained_.rejection, Rejection)
