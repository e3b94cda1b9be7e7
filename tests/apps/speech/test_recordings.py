"""Recordings: reading files, extracting features, and errors for invalid ones."""

import itertools

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.apps import SpeechClassifier
from bayesgmm.apps.speech import audio
from bayesgmm.apps.speech import synthesis as sy
from bayesgmm.apps.speech.cepstral_features import NORMALISATIONS, FeatureSettings, extract_frames, slopes
from tests.speaking import as_file

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


@pytest.mark.parametrize(
    ("normalise", "times"),
    list(itertools.product(NORMALISATIONS, [0.01, 1e-170, 1e-300, 1e170, 1e300])),
)
def test_features_do_not_depend_on_loudness(voice, normalise, times):
    settings = FeatureSettings(8000, normalise=normalise)
    louder = audio.Recording(voice.samples * times, 8000)
    np.testing.assert_allclose(
        extract_frames(voice, settings).values,
        extract_frames(louder, settings).values,
        atol=1e-4,
    )


def test_features_do_not_depend_on_a_constant_offset(voice):
    shifted = audio.Recording(0.2 * voice.samples + 0.5, 8000)
    features, expected = (extract_frames(one, FeatureSettings(8000)).values for one in (shifted, voice))
    np.testing.assert_allclose(features, expected, atol=1e-6)


@pytest.mark.parametrize("loud", [1e-4, 1e-2])
def test_pauses_do_not_change_the_subtracted_mean(voice, loud):
    noise = loud * np.random.default_rng(0).normal(size=16000)
    longer = audio.Recording(np.concatenate([voice.samples, noise, voice.samples]), 8000)
    alone, among = (extract_frames(one, FeatureSettings(8000)) for one in (voice, longer))
    loudest = np.flatnonzero(alone.values[:, 0] > 0)
    means = [one.values[loudest, :13].mean(axis=0) for one in (among, alone)]
    np.testing.assert_allclose(*means, atol=1.0)


def test_quiet_frames_around_a_part_of_a_file_exclude_other_words(voice):
    both = audio.Recording(np.concatenate([voice.samples, np.zeros(1600), voice.samples]), 8000, stop=voice.seconds)
    features = extract_frames(both, FeatureSettings(8000))
    energy = features.quiet[:, 0] - features.silence[0]
    assert 15 < len(features.quiet) < 30  # 0.2 s
    assert energy.max() < features.speech[:, 0].mean() - features.silence[0] - 5


@pytest.mark.parametrize("rate", [8000, 11025, 22050])
def test_frames_of_a_part_have_the_right_place(rate):
    """At 11025 Hz, 0.01 s is not a whole number of samples."""
    samples = 1e-3 * np.random.default_rng(0).normal(size=21 * rate)
    samples[20 * rate : int(20.3 * rate)] *= 500
    features = extract_frames(audio.Recording(samples, rate, start=20.0, stop=20.3), FeatureSettings(rate))
    loud = np.flatnonzero(features.loud)
    assert abs(features.first - loud[0]) <= 2
    assert abs(features.last - loud[-1]) <= 3


def test_more_cepstra_than_bands_are_refused():
    assert (
        len(extract_frames(audio.Recording(np.sin(np.arange(4000.0) ** 1.1), 4000), FeatureSettings(4000, 12)).silence)
        == 24
    )
    with pytest.raises(bg.errors.DeclarationError, match="at most 12, the number of bands at 4000 Hz\n.*n_cepstra=12"):
        FeatureSettings(4000)


def test_mean_subtraction_centres_the_features(voice):
    vowel = audio.Recording(sy.speak(["AA"])[0], 8000)
    features = extract_frames(vowel, FeatureSettings(8000))
    np.testing.assert_allclose(features.values[:, :13].mean(axis=0), 0, atol=1e-9)
    off, on = (extract_frames(voice, FeatureSettings(8000, normalise=name)) for name in ("none", "mean"))
    moved = off.values - on.values
    assert abs(moved[0, 0]) > 1
    np.testing.assert_allclose(moved, np.broadcast_to(np.append(moved[0, :13], np.zeros(13)), moved.shape), atol=1e-9)
    assert len(on.values) == len(voice.samples) // 80


def test_slopes_agree_with_linear_regression():
    values = np.random.default_rng(0).normal(size=(9, 2))
    expected = np.polyfit(np.arange(-2, 3), values[2:7], 1)[0]
    np.testing.assert_allclose(slopes(values)[4], expected)


def test_silence_at_the_ends_is_not_speech(voice):
    still = np.zeros(2400)
    longer = audio.Recording(np.concatenate([still, voice.samples, still]), 8000)
    alone, among = (extract_frames(one, FeatureSettings(8000)) for one in (voice, longer))
    assert abs(among.first - alone.first - 30) <= 1
    assert abs(len(among.speech) - len(alone.speech)) <= 2


def test_features_of_absolute_silence_are_those_given(voice):
    longer = audio.Recording(np.concatenate([voice.samples, np.zeros(4000)]), 8000)
    features = extract_frames(longer, FeatureSettings(8000))
    np.testing.assert_allclose(features.values[-20], features.silence, atol=1e-4)


FORMATS = {
    "pcm16.wav": {"subtype": "PCM_16"},
    "pcm8.wav": {"subtype": "PCM_U8"},
    "pcm24.wav": {"subtype": "PCM_24"},
    "float.wav": {"subtype": "FLOAT"},
    "mulaw.wav": {"subtype": "ULAW"},
    "sound.flac": {},
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_recognised(trained, voice, tmp_path, name):
    path = as_file(tmp_path / name, voice.samples, **FORMATS[name])
    assert trained.predict([path]) == ["six"]


@pytest.mark.parametrize("rate", [11025, 16000, 44100, 48000])
def test_higher_sampling_rates_are_recognised(trained, tmp_path, rate):
    samples, _ = sy.speak(sy.WORDS["nine"], sy.Voice("man"), rate=rate, seed=8)
    assert trained.predict([as_file(tmp_path / "rate.wav", samples, rate)]) == ["nine"]


def test_two_channels_are_averaged(tmp_path):
    both = np.stack([np.linspace(-0.5, 0.5, 800), np.zeros(800)], axis=1)
    recording = audio.read(as_file(tmp_path / "two.wav", both, subtype="FLOAT"))
    np.testing.assert_allclose(recording.samples, both.mean(axis=1), atol=1e-7)


def broken_files(folder):
    """Invalid files, with a part of the message for each."""
    noise = np.random.default_rng(0).normal(size=8000) * 0.1
    files = {"missing.wav": "no such file"}
    for name, content, message in [
        ("empty.wav", b"", "empty"),
        ("text.wav", b"hello, this is not audio", "can't be read as audio"),
        ("header.wav", b"RIFF\x00\x00\x00\x00WAVEfmt ", "can't be read as audio"),
    ]:
        (folder / name).write_bytes(content)
        files[name] = message
    for name, samples, rate, message in [
        ("silent.wav", np.zeros(8000), 8000, "silent"),
        ("none.wav", np.zeros(0), 8000, "no samples"),
        ("short.wav", noise[:80], 8000, "s of speech"),
        ("slow.wav", noise, 2000, "a rate of 2000 Hz"),
        ("nan.wav", np.append(noise, np.nan), 8000, "not finite numbers"),
    ]:
        as_file(folder / name, samples, rate, subtype="FLOAT")
        files[name] = message
    return files


def test_errors_of_invalid_recordings_start_with_the_name(trained, tmp_path):
    for name, message in broken_files(tmp_path).items():
        with pytest.raises(audio.BrokenRecording, match=message) as caught:
            trained.predict([tmp_path / name])
        assert str(caught.value).startswith(str(tmp_path / name))


def test_all_invalid_files_are_listed_or_skipped(listed, tmp_path):
    bad = broken_files(tmp_path)
    paths = [*listed["path"], *(str(tmp_path / name) for name in bad)]
    labels = [*listed["label"], *["two"] * len(bad)]
    model = SpeechClassifier(n_states=5, normalise="mean", random_state=0, progress=False)
    with pytest.raises(audio.BrokenRecording, match="can't be used") as caught:
        model.fit(paths, labels)
    assert all(name in str(caught.value) for name in bad)
    assert "skip_broken=True" in str(caught.value)
    with pytest.warns(bg.FitWarning, match="skipped") as warned:
        model.set_params(skip_broken=True).fit(paths, labels)
    assert all(any(name in str(w.message) for w in warned) for name in bad)
    assert model.trained_.info["recordings"] == len(listed)


def test_clipping_gives_a_warning(listed, tmp_path):
    samples = np.clip(20 * audio.read(listed["path"][0]).samples, -1, 1)
    paths = [as_file(tmp_path / "loud.wav", samples), *listed["path"][1:]]
    with pytest.warns(bg.FitWarning, match=r"clipped.*loud\.wav"):
        SpeechClassifier(2, normalise="mean", progress=False).fit(paths, listed["label"])


@pytest.mark.parametrize("name", ["half.wav", "half.flac", "half.ogg", "half.mp3"])
def test_a_file_that_is_cut_off_is_refused(voice, tmp_path, name):
    path = tmp_path / name
    as_file(path, np.tile(0.5 * voice.samples, 4))
    assert len(audio.read(path).samples) > 0
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(audio.BrokenRecording, match=rf"{name}: .*cut off"):
        audio.read(path)


def test_the_lengths_of_a_file_that_is_cut_off_are_given(tmp_path):
    path = tmp_path / "half.wav"
    as_file(path, np.sin(np.arange(8000.0)))
    whole = path.read_bytes()
    path.write_bytes(whole[: 44 + 8000])
    with pytest.raises(audio.BrokenRecording, match=r"its header says 1\.00 s, the file has 0\.50 s"):
        audio.read(path)
    path.write_bytes(whole[: 44 + 15998])  # one sample less than the header says
    assert len(audio.read(path).samples) == 7999


def test_a_file_without_samples_is_refused(tmp_path):
    path = tmp_path / "none.wav"
    as_file(path, np.zeros(0))
    with pytest.raises(audio.BrokenRecording, match=r"none\.wav: has no samples$"):
        audio.read(path)
    as_file(path, np.sin(np.arange(8000.0)))
    path.write_bytes(path.read_bytes()[:44])
    with pytest.raises(audio.BrokenRecording, match=r"none\.wav: is cut off: its header says 16000 bytes of sound"):
        audio.read(path)


def test_a_file_of_unknown_length_is_read(tmp_path):
    """Programs that write to a pipe do not know the length; they give the largest."""
    path = tmp_path / "pipe.wav"
    as_file(path, np.sin(np.arange(8000.0)))
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 4 + whole[8:40] + b"\xff" * 4 + whole[44:])
    assert len(audio.read(path).samples) == 8000


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([], [], "no recordings"),
        ([3], ["a"], "is not a recording"),
        ([("a.wav", "0", "1")], ["a"], "is not a recording"),
        ("a.wav", ["a"], "this is one recording"),
        (["a.wav"], np.array([float("nan")], dtype=object), "missing"),
        (["a.wav"], [pytest.importorskip("pandas").NA], "missing"),
        (["a.wav", "b.wav"], ["a"], "one label for each"),
        (["a.wav"], [None], "missing"),
        (["a.wav"], [0.5], "text or whole numbers"),
    ],
)
def test_invalid_training_data_are_refused(X, y, message):
    with pytest.raises(bg.errors.DataError, match=message):
        SpeechClassifier(progress=False).fit(X, y)


def test_one_label_is_not_enough(listed):
    with pytest.raises(bg.errors.DataError, match="two labels"):
        SpeechClassifier(progress=False).fit(listed["path"][:4], ["a"] * 4)


def test_a_recording_with_a_lower_rate_is_refused(trained, tmp_path):
    samples, _ = sy.speak(["AA"], rate=6000)
    with pytest.raises(audio.BrokenRecording, match=r"low\.wav: has a rate of 6000 Hz, 8000 Hz are needed"):
        trained.predict([as_file(tmp_path / "low.wav", samples, 6000)])


@pytest.mark.parametrize(
    ("rate", "message"), [(8000.5, "whole number"), (float("nan"), "whole number"), (100, "at least")]
)
def test_an_invalid_rate_is_refused(rate, message):
    with pytest.raises(audio.BrokenRecording, match=message):
        audio.checked(audio.Recording(np.sin(np.arange(9.0)), rate))


def test_a_single_recording_is_refused_where_a_list_is_needed(trained, listed):
    for one in (listed["path"][0], audio.read(listed["path"][0])):
        with pytest.raises(bg.errors.DataError, match="give a list"):
            trained.predict(one)


def test_recognition_errors_do_not_advise_to_skip(trained, listed):
    with pytest.raises(audio.BrokenRecording, match="1 recording of 2") as caught:
        trained.predict([listed["path"][0], "none.wav"])
    assert "skip" not in str(caught.value)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "ULAW"])
def test_clipping_is_detected_in_every_format(trained, listed, tmp_path, subtype):
    whole = audio.read(listed["path"][0]).samples
    path = as_file(tmp_path / "loud.wav", np.clip(20 * whole, -1, 1), subtype=subtype)
    with pytest.warns(bg.FitWarning, match=r"clipped.*loud\.wav"):
        trained.predict([path])
    with pytest.warns(bg.FitWarning, match=r"clipped.*loud\.wav"):
        trained.transcribe(path)
    assert not audio.read(as_file(tmp_path / "good.wav", whole, subtype=subtype)).clipped
