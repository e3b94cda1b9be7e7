"""Transcripts: order and times of words, pauses, parts of files."""

import numpy as np
import pytest

from bayesgmm.apps import SpeechClassifier
from bayesgmm.apps.speech import audio, decoding
from bayesgmm.apps.speech import synthesis as sy
from tests.speaking import as_file, tiny_decoder

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


def test_words_are_transcribed_in_order_with_their_times(trained):
    voice, rng = sy.Voice("woman"), np.random.default_rng(0)
    spoken = ["two", "nine", "six"]
    parts, starts, time = [], [], 0.0
    for i, word in enumerate(spoken):
        samples, _ = sy.speak(sy.WORDS[word], voice, seed=i)
        starts.append(time)
        parts += [samples, 0.003 * rng.normal(size=1600)]
        time += len(samples) / 8000 + 0.2
    answer = trained.transcribe(audio.Recording(np.concatenate(parts), 8000))
    assert answer["label"].tolist() == spoken
    np.testing.assert_allclose(answer["start"], starts, atol=0.08)
    assert ((answer["probability"] > 0.5) & (answer["probability"] <= 1)).all()


def test_parts_of_files_train_sounds_and_label_transitions(tmp_path):
    items, labels = [], []
    for i in range(6):
        samples, segments = sy.speak(["S", "IY", "S", "AA"] * 2, sy.Voice(sy.TALKERS[i % 3]), seed=i)
        path = as_file(tmp_path / f"{i}.wav", samples)
        items += [(path, row.start, row.stop) for row in segments.itertuples()]
        labels += segments["label"].tolist()
    model = SpeechClassifier(3, random_state=0, progress=False).fit(items, labels)
    after = dict(zip(model.classes_, model.trained_.bigram, strict=True))
    assert after["IY"][2] > 0.9  # IY is followed by S
    np.testing.assert_allclose(model.trained_.bigram.sum(axis=1), 1)
    samples, segments = sy.speak(["AA", "S", "IY", "S"], sy.Voice("man"), seed=50)
    answer = model.transcribe(audio.Recording(samples, 8000))
    assert answer["label"].tolist() == segments["label"].tolist()
    np.testing.assert_allclose(answer["end"], segments["stop"], atol=0.06)


def sentence_of(words, gap, noise):
    """Words of a woman with pauses and background noise, and their start times."""
    voice, rng = sy.Voice("woman"), np.random.default_rng(0)
    parts, starts, time = [], [], 0.0
    for i, word in enumerate(words):
        samples, _ = sy.speak(sy.WORDS[word], voice, noise=0, seed=i)
        starts.append(time)
        parts += [samples, np.zeros(round(gap * 8000))]
        time += len(samples) / 8000 + gap
    samples = np.concatenate(parts)
    return audio.Recording(samples + noise * rng.normal(size=len(samples)), 8000), starts


def test_long_pauses_with_noise_are_not_words(trained):
    spoken = ["two", "nine", "six", "two", "one"]
    for noise in (0.0005, 0.02):
        recording, starts = sentence_of(spoken, 1.0, noise)
        answer = trained.transcribe(recording)
        assert answer["label"].tolist() == spoken
        np.testing.assert_allclose(answer["start"], starts, atol=0.1)


def test_silence_is_adapted_to_the_recording():
    decoder = tiny_decoder(0.5)
    known = decoder.silence
    values = np.append(np.full(6, -9.0), np.linspace(3, 5, 50))[:, None]
    at = np.array([[-9.0], [0.0], [4.0]])
    both = np.logaddexp(known.log_density(at), known.log_density(at + 9)) - np.log(2)
    own = decoding.adapted_silence(values, known)
    np.testing.assert_allclose(own.log_density(at), both)
    np.testing.assert_allclose(decoder.log_weights(values)[:, -1], 0.5 * own.log_density(values)[:, 0, 0])


def test_a_part_of_a_recording_is_transcribed_alone(trained):
    from dataclasses import replace

    recording, starts = sentence_of(["two", "nine", "six", "one"], 0.2, 0.003)
    answer = trained.transcribe(replace(recording, start=starts[1] - 0.05, stop=starts[3] - 0.05))
    assert answer["label"].tolist() == ["nine", "six"]
    np.testing.assert_allclose(answer["start"], starts[1:3], atol=0.1)
    assert (answer["end"] <= starts[3]).all()


def test_label_transitions_are_counted_within_one_file_by_weight():
    from bayesgmm.apps.speech.corpora import bigram, corpus_of

    one, other = (np.random.default_rng(i).normal(size=8000) for i in (0, 1))
    parts = [audio.Recording(one, 8000, start=0, stop=0.5), audio.Recording(one, 8000, start=0.5, stop=1)]
    parts += [audio.Recording(other, 8000, start=0.5, stop=1)]  # another recording with the same name
    corpus = corpus_of(parts, ["a", "b", "a"], None, [3.0, 3, 1], None)
    expected = [[0.5 / 4, 3.5 / 4], [0.5, 0.5]]
    np.testing.assert_allclose(bigram(corpus, np.array([0, 1, 0]), np.array([0.5, 0.5])), expected)


def test_a_part_outside_its_file_is_refused(listed):
    with pytest.raises(audio.BrokenRecording, match="is not in its"):
        audio.recording_of((listed["path"][0], 50, 60))
