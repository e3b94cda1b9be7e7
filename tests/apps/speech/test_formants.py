"""Recognition of sounds from tables of formants."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.apps import SpeechClassifier
from bayesgmm.apps.speech import formants, speech_files
from bayesgmm.apps.speech import synthesis as sy
from tests.speaking import a_table

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


def test_speakers_define_the_held_out_rows_and_are_not_a_formant():
    frame = a_table()
    tokens = formants.read_tokens(frame, "vowel")
    assert tokens.columns == ("f1", "f2")
    np.testing.assert_allclose(tokens.values, np.log(frame[["f1", "f2"]]))
    assert formants.read_tokens(frame, "vowel", ["speaker", "f1"]).columns == ("speaker", "f1")
    held = formants.evaluate_table(tokens, random_state=0)
    assert held.index.tolist() == list(range(len(frame)))
    one_each = tokens_with(tokens, labels=np.array([f"{s}" for s in frame["speaker"]]))
    assert not len(formants.evaluate_table(one_each, random_state=0))  # no other speaker has this label
    assert (held["label"] == held["answer"]).mean() > 0.9
    kept = tokens_with(tokens, values=tokens.values[8:], labels=tokens.labels[8:], groups=tokens.groups[8:])
    few = tokens_with(tokens, groups=np.where(frame["speaker"] == 0, "new", "old"))
    _, classifier = formants.train_table(kept, random_state=0)
    expected = classifier.predict_proba(tokens.values[:8]).max(axis=1)
    np.testing.assert_allclose(formants.evaluate_table(few, random_state=0)["probability"][:8], expected)


def tokens_with(tokens, **changes):
    from dataclasses import replace

    return replace(tokens, **changes)


def test_invalid_tables_are_refused():
    frame = a_table(2)
    for column in ("vowel", "speaker"):
        with pytest.raises(bg.errors.DataError, match=f"rows without '{column}'"):
            formants.read_tokens(frame.assign(**{column: frame[column].where(frame.index > 0)}), "vowel")
    with pytest.raises(bg.errors.DataError, match="all rows have the label 'a'"):
        formants.train_table(formants.read_tokens(frame[frame["vowel"] == "a"], "vowel"))


def test_a_saved_model_of_formants_predicts_as_the_classifier(tmp_path):
    import pandas as pd

    rng = np.random.default_rng(0)
    rows = [
        (name, *(np.array(means[1:]) * np.exp(rng.normal(0, 0.08, 3))))
        for name, talkers in sy.VOWELS.items()
        for means in talkers
        for _ in range(24 if name == "IY" else 6)
    ]
    frame = pd.DataFrame(rows, columns=["vowel", "f1", "f2", "f3"])
    model, classifier = formants.train_table(formants.read_tokens(frame, "vowel"), n_components=2, random_state=0)
    again = speech_files.load(speech_files.save(model, tmp_path / "vowels.model"))
    expected = classifier.predict_proba(np.log(frame[["f1", "f2", "f3"]].to_numpy()))
    np.testing.assert_allclose(formants.recognise_table(again, frame), expected, atol=1e-9)
    assert (expected.argmax(axis=1) == np.searchsorted(model.labels, frame["vowel"])).mean() > 0.7
    with pytest.raises(bg.errors.DataError, match="lacks 'f3'"):
        formants.recognise_table(again, frame[["f1", "f2"]])
    with pytest.raises(bg.errors.DataError, match="did you mean 'vowel'"):
        formants.read_tokens(frame, "vowels")
    with pytest.raises(bg.errors.DataError, match="of a table"):
        SpeechClassifier.load(tmp_path / "vowels.model")
