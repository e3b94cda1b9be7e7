"""Labels: layouts of file names, answers no better than guessing, a label for nearly every recording."""

import warnings

import numpy as np
import pytest
from scipy.stats import binomtest

import bayesgmm as bg
from bayesgmm.apps import SpeechClassifier, recordings_in
from bayesgmm.apps.speech import label_checks

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


@pytest.mark.parametrize("n_right", [0, 3, 9, 12])
def test_guessing_is_tested_by_the_binomial_distribution(n_right):
    label = np.array(list("aaaabbbbcccc"))
    answer = np.where(np.arange(12) < n_right, label, "d")
    share, p_value = label_checks.guessing(label, answer)
    assert share == pytest.approx(1 / 3)
    assert p_value == pytest.approx(binomtest(n_right, 12, 1 / 3, "greater").pvalue)


def test_answers_at_chance_give_a_warning_with_the_labels():
    label = np.repeat(["one", "two"], 10)
    with pytest.warns(bg.FitWarning, match=r"10 of 20 .*'one' \(50\.0%; .*5%\)\n  2 labels: 'one', 'two'\. .*names='"):
        label_checks.warn_of_guessing(label, np.full(20, "one"))
    with pytest.warns(bg.FitWarning, match=r"0 of 20 .*\(0\.0%\)"):
        label_checks.warn_of_guessing(label, label[::-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        label_checks.warn_of_guessing(label, label)
        label_checks.warn_of_guessing(label[8:12], label[8:12][::-1])  # four correct answers would not show it
        label_checks.warn_of_guessing([], [])


def test_labels_of_single_recordings_give_a_warning():
    with pytest.warns(
        bg.FitWarning, match=r"6 labels for 7 recordings: .*'0', '1', '2', '3', '4' and 1 more\n.*names="
    ):
        label_checks.warn_of_own_labels(list("0123455"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        label_checks.warn_of_own_labels(list("01234567012"))  # three of eight labels have two
        label_checks.warn_of_own_labels(list("abc"))


def test_training_with_numbers_of_takes_as_labels_gives_a_warning(listed):
    takes = np.arange(len(listed)) % 4  # of each word
    with pytest.warns(bg.FitWarning, match=r"not better than .*\n  4 labels: 0, 1, 2, 3"):
        SpeechClassifier(2, normalise="mean", random_state=0, progress=False).fit(listed["path"], takes)


def test_single_labels_are_reported_before_training(listed, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesgmm.apps.speech.classifier.extract_features", stop)
    with (
        pytest.warns(bg.FitWarning, match="nearly every recording has a label of its own"),
        pytest.raises(KeyboardInterrupt),
    ):
        SpeechClassifier(progress=False).fit(listed["path"], np.arange(len(listed)))


LAYOUTS = {
    "{take}_{label}": ("01_ice_cream.wav", "ice_cream", None),
    "{label}-{speaker}": ("ice_cream-ann.wav", "ice_cream", "ann"),
    "{speaker}/{label}_{take}": ("ann/one_1.wav", "one", "ann"),
    "{speaker}/{label}/{}": ("all/ann/one/1.wav", "one", "ann"),
    "rec {label} ({take})": ("rec one (1).wav", "one", None),
    "{date}.{label}": ("2020.one.wav", "one", None),
}


@pytest.mark.parametrize("names", LAYOUTS)
def test_labels_are_read_by_a_layout(tmp_path, names):
    path, label, speaker = LAYOUTS[names]
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    found = recordings_in(tmp_path, names)
    assert (found.recordings, found.labels) == ([str(tmp_path / path)], [label])
    assert found.speakers == (None if speaker is None else [speaker])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("{take}", "must have {label}"),
        ("{label}_{label}", "must have {label} once"),
        ("{take}{label}", "a character between"),
        ("{label", "write fields as {label}"),
        ("{label}_{take}_{more}", "'01_one.wav' do not have the layout names="),
    ],
)
def test_wrong_layouts_are_refused(tmp_path, names, message):
    (tmp_path / "01_one.wav").touch()
    with pytest.raises(bg.BayesGMMError, match=message):
        recordings_in(tmp_path, names)
