"""Recordings: what is read of files, what is heard of them, what can not be used."""

import itertools

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.apps import SpeechClassifier
from bayesgmm.apps.speech import audio, cepstra
from bayesgmm.apps.speech import synthesis as sy
from tests.speaking import as_file

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


@pytest.mark.parametrize(
    ("normalise", "times"), list(itertools.product(cepstra.NORMALISATIONS, [0.01, 1e-170, 1e-300, 1e170, 1e300]))
)
def test_how_loud_a_recording_is_does_not_matter(voice, normalise, times):
    hearing = cepstra.Hearing(8000, normalise=normalise)
    louder = audio.Recording(voice.samples * times, 8000)
    np.testing.assert_allclose(cepstra.frames(voice, hearing).values, cepstra.frames(louder, hearing).values, atol=1e-4)


def test_a_constant_in_a_recording_is_not_heard(voice):
    shifted = audio.Recording(0.2 * voice.samples + 0.5, 8000)
    heard, expected = (cepstra.frames(one, cepstra.Hearing(8000)).values for one in (shifted, voice))
    np.testing.assert_allclose(heard, expected, atol=1e-6)


@pytest.mark.parametrize("loud", [1e-4, 1e-2])
def test_pauses_do_not_move_the_mean_that_is_taken_off(voice, loud):
    noise = loud * np.random.default_rng(0).normal(size=16000)
    longer = audio.Recording(np.concatenate([voice.samples, noise, voice.samples]), 8000)
    alone, among = (cepstra.frames(one, cepstra.Hearing(8000)) for one in (voice, longer))
    loudest = np.flatnonzero(alone.values[:, 0] > 0)
    means = [one.values[loudest, :13].mean(axis=0) for one in (among, alone)]
    np.testing.assert_allclose(*means, atol=1.0)


def test_what_is_quiet_around_a_part_of_a_file_is_no_other_word(voice):
    both = audio.Recording(np.concatenate([voice.samples, np.zeros(1600), voice.samples]), 8000, stop=voice.seconds)
    heard = cepstra.frames(both, cepstra.Hearing(8000))
    energy = heard.quiet[:, 0] - heard.silence[0]
    assert 15 < len(heard.quiet) < 30  # 0.2 s
    assert energy.max() < heard.speech[:, 0].mean() - heard.silence[0] - 5


@pytest.mark.parametrize("rate", [8000, 11025, 22050])
def test_frames_of_a_part_are_where_it_is_in_the_file(rate):
    """At 11025 Hz no whole number of samples lasts 0.01 s."""
    samples = 1e-3 * np.random.default_rng(0).normal(size=21 * rate)
    samples[20 * rate : int(20.3 * rate)] *= 500
    heard = cepstra.frames(audio.Recording(samples, rate, start=20.0, stop=20.3), cepstra.Hearing(rate))
    loud = np.flatnonzero(heard.loud)
    assert abs(heard.first - loud[0]) <= 2
    assert abs(heard.last - loud[-1]) <= 3


def test_more_cepstra_than_bands_are_refused():
    assert (
        len(cepstra.frames(audio.Recording(np.sin(np.arange(4000.0) ** 1.1), 4000), cepstra.Hearing(4000, 12)).silence)
        == 24
    )
    with pytest.raises(bg.errors.DeclarationError, match="4000 samples a second have 12 bands.*\n.*n_cepstra=12"):
        cepstra.Hearing(4000)


def test_a_mean_that_is_taken_off_is_gone(voice):
    vowel = audio.Recording(sy.speak(["AA"])[0], 8000)
    heard = cepstra.frames(vowel, cepstra.Hearing(8000))
    np.testing.assert_allclose(heard.values[:, :13].mean(axis=0), 0, atol=1e-9)
    off, on = (cepstra.frames(voice, cepstra.Hearing(8000, normalise=name)) for name in ("none", "mean"))
    moved = off.values - on.values
    assert abs(moved[0, 0]) > 1
    np.testing.assert_allclose(moved, np.broadcast_to(np.append(moved[0, :13], np.zeros(13)), moved.shape), atol=1e-9)
    assert len(on.values) == len(voice.samples) // 80


def test_slopes_are_those_of_straight_lines():
    values = np.random.default_rng(0).normal(size=(9, 2))
    expected = np.polyfit(np.arange(-2, 3), values[2:7], 1)[0]
    np.testing.assert_allclose(cepstra.slopes(values)[4], expected)


def test_silence_at_the_ends_is_no_speech(voice):
    still = np.zeros(2400)
    longer = audio.Recording(np.concatenate([still, voice.samples, still]), 8000)
    alone, among = (cepstra.frames(one, cepstra.Hearing(8000)) for one in (voice, longer))
    assert abs(among.first - alone.first - 30) <= 1
    assert abs(len(among.speech) - len(alone.speech)) <= 2


def test_absolute_silence_is_what_it_is_said_to_look_like(voice):
    longer = audio.Recording(np.concatenate([voice.samples, np.zeros(4000)]), 8000)
    heard = cepstra.frames(longer, cepstra.Hearing(8000))
    np.testing.assert_allclose(heard.values[-20], heard.silence, atol=1e-4)


FORMATS = {
    "pcm16.wav": {"subtype": "PCM_16"},
    "pcm8.wav": {"subtype": "PCM_U8"},
    "pcm24.wav": {"subtype": "PCM_24"},
    "float.wav": {"subtype": "FLOAT"},
    "mulaw.wav": {"subtype": "ULAW"},
    "sound.flac": {},
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_heard_alike(trained, voice, tmp_path, name):
    path = as_file(tmp_path / name, voice.samples, **FORMATS[name])
    assert trained.predict([path]) == ["six"]


@pytest.mark.parametrize("rate", [11025, 16000, 44100, 48000])
def test_more_samples_a_second_do_no_harm(trained, tmp_path, rate):
    samples, _ = sy.speak(sy.WORDS["nine"], sy.Voice("man"), rate=rate, seed=8)
    assert trained.predict([as_file(tmp_path / "rate.wav", samples, rate)]) == ["nine"]


def test_two_channels_are_averaged(tmp_path):
    both = np.stack([np.linspace(-0.5, 0.5, 800), np.zeros(800)], axis=1)
    heard = audio.read(as_file(tmp_path / "two.wav", both, subtype="FLOAT"))
    np.testing.assert_allclose(heard.samples, both.mean(axis=1), atol=1e-7)


def broken_files(folder):
    """Files that are no use, and what is wrong with each."""
    noise = np.random.default_rng(0).normal(size=8000) * 0.1
    files = {"missing.wav": "no such file"}
    for name, content, said in [
        ("empty.wav", b"", "empty"),
        ("text.wav", b"hello, this is no sound", "can't be read as sound"),
        ("header.wav", b"RIFF\x00\x00\x00\x00WAVEfmt ", "can't be read as sound"),
    ]:
        (folder / name).write_bytes(content)
        files[name] = said
    for name, samples, rate, said in [
        ("silent.wav", np.zeros(8000), 8000, "silent"),
        ("none.wav", np.zeros(0), 8000, "no samples"),
        ("short.wav", noise[:80], 8000, "s of speech"),
        ("slow.wav", noise, 2000, "samples a second"),
        ("nan.wav", np.append(noise, np.nan), 8000, "not numbers"),
    ]:
        as_file(folder / name, samples, rate, subtype="FLOAT")
        files[name] = said
    return files


def test_what_is_broken_says_so_and_has_its_name(trained, tmp_path):
    for name, said in broken_files(tmp_path).items():
        with pytest.raises(audio.BrokenRecording, match=said) as caught:
            trained.predict([tmp_path / name])
        assert str(caught.value).startswith(str(tmp_path / name))


def test_all_broken_files_come_in_one_error_or_are_skipped(listed, tmp_path):
    bad = broken_files(tmp_path)
    paths = [*listed["path"], *(str(tmp_path / name) for name in bad)]
    labels = [*listed["label"], *["two"] * len(bad)]
    model = SpeechClassifier(n_states=5, normalise="mean", random_state=0, progress=False)
    with pytest.raises(audio.BrokenRecording, match="can't be used") as caught:
        model.fit(paths, labels)
    assert all(name in str(caught.value) for name in bad)
    assert "--skip-broken" in str(caught.value)
    with pytest.warns(bg.FitWarning, match="skipped") as warned:
        model.set_params(skip_broken=True).fit(paths, labels)
    assert all(any(name in str(w.message) for w in warned) for name in bad)
    assert model.trained_.info["recordings"] == len(listed)


def test_clipping_is_said_and_half_of_a_file_that_broke_off_is_heard(listed, tmp_path):
    samples = np.clip(20 * audio.read(listed["path"][0]).samples, -1, 1)
    paths = [as_file(tmp_path / "loud.wav", samples), *listed["path"][1:]]
    with pytest.warns(bg.FitWarning, match=r"clipped.*loud\.wav"):
        SpeechClassifier(2, normalise="mean", progress=False).fit(paths, listed["label"])
    whole = (tmp_path / "loud.wav").read_bytes()
    (tmp_path / "half.wav").write_bytes(whole[: len(whole) // 2])
    assert 0 < len(audio.read(tmp_path / "half.wav").samples) <= len(samples)


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        ([], [], "no recordings"),
        ([3], ["a"], "is no recording"),
        ([("a.wav", "0", "1")], ["a"], "is no recording"),
        ("a.wav", ["a"], "this is one recording"),
        (["a.wav"], np.array([float("nan")], dtype=object), "missing"),
        (["a.wav"], [pytest.importorskip("pandas").NA], "missing"),
        (["a.wav", "b.wav"], ["a"], "one label for each"),
        (["a.wav"], [None], "missing"),
        (["a.wav"], [0.5], "text or whole numbers"),
    ],
)
def test_what_is_no_training_set_says_so(X, y, said):
    with pytest.raises(bg.errors.DataError, match=said):
        SpeechClassifier(progress=False).fit(X, y)


def test_one_label_is_not_enough(listed):
    with pytest.raises(bg.errors.DataError, match="two labels"):
        SpeechClassifier(progress=False).fit(listed["path"][:4], ["a"] * 4)


def test_a_recording_that_lacks_the_upper_bands_is_refused(trained, tmp_path):
    samples, _ = sy.speak(["AA"], rate=6000)
    with pytest.raises(audio.BrokenRecording, match=r"low\.wav: has 6000 samples a second, 8000 are needed"):
        trained.predict([as_file(tmp_path / "low.wav", samples, 6000)])


@pytest.mark.parametrize(
    ("rate", "said"), [(8000.5, "whole number"), (float("nan"), "whole number"), (100, "at least")]
)
def test_a_rate_that_can_not_be_is_refused(rate, said):
    with pytest.raises(audio.BrokenRecording, match=said):
        audio.checked(audio.Recording(np.sin(np.arange(9.0)), rate))


def test_one_recording_in_place_of_many_says_so(trained, listed):
    for one in (listed["path"][0], audio.read(listed["path"][0])):
        with pytest.raises(bg.errors.DataError, match="give a list"):
            trained.predict(one)


def test_what_can_not_be_recognised_is_not_told_to_be_skipped(trained, listed):
    with pytest.raises(audio.BrokenRecording, match="1 recording of 2") as caught:
        trained.predict([listed["path"][0], "none.wav"])
    assert "skip" not in str(caught.value)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "ULAW"])
def test_clipping_is_seen_in_every_format(trained, listed, tmp_path, subtype):
    whole = audio.read(listed["path"][0]).samples
    path = as_file(tmp_path / "loud.wav", np.clip(20 * whole, -1, 1), subtype=subtype)
    with pytest.warns(bg.FitWarning, match=r"clipped.*loud\.wav"):
        trained.predict([path])
    with pytest.warns(bg.FitWarning, match=r"clipped.*loud\.wav"):
        trained.transcribe(path)
    assert not audio.read(as_file(tmp_path / "good.wav", whole, subtype=subtype)).clipped
