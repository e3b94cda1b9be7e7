"""Synthetic speech has the requested formants, durations and seeds."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.apps.speech import synthesis as sy

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


@pytest.mark.parametrize("vowel", ["IY", "AA", "UW"])
def test_vowels_have_the_requested_formants(vowel):
    """Peaks of a linear prediction lie within 15 % of the first two formants."""
    from scipy.linalg import solve_toeplitz

    samples, _ = sy.speak([vowel] * 3, sy.Voice("man"), noise=1e-4, seed=1)
    sharp = np.append(samples[0], samples[1:] - 0.9 * samples[:-1]) * np.hamming(len(samples))
    r = np.correlate(sharp, sharp, "full")[len(sharp) - 1 : len(sharp) + 10]
    poles = np.roots(np.append(1.0, -solve_toeplitz(r[:-1], r[1:])))
    narrow = poles[(poles.imag > 0) & (np.abs(poles) > 0.85)]
    peaks = np.angle(narrow) * 8000 / (2 * np.pi)
    for formant in sy.Voice("man").formants(vowel)[1:3]:
        assert np.abs(peaks / formant - 1).min() < 0.15


def test_the_same_seed_gives_the_same_samples():
    np.testing.assert_array_equal(sy.speak(["S", "AA"], seed=1)[0], sy.speak(["S", "AA"], seed=1)[0])
    samples, segments = sy.speak(["S", "T"], seed=1)
    assert np.abs(samples).max() <= 1
    assert segments["stop"].iloc[-1] == pytest.approx(len(samples) / 8000, abs=0.01)
    with pytest.raises(bg.errors.UnknownName, match="sound='AAA'"):
        sy.speak(["AAA"])


@pytest.mark.parametrize("rate", [11025, 22050])
def test_recordings_have_the_length_of_their_segments(rate):
    samples, segments = sy.speak(["AA", "IY"] * 60, rate=rate)
    assert len(samples) / rate == pytest.approx(segments["stop"].iloc[-1], abs=0.006)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: sy.speak([]), "at least one"),
        (lambda: sy.speak(["S"], rate=0), "rate=0"),
        (lambda: sy.Voice("boy"), "talker='boy'"),
        (lambda: sy.make_recordings("nowhere", ["onne"]), "did you mean 'one'"),
        (lambda: sy.make_recordings("nowhere", speakers=0), "speakers=0"),
    ],
)
def test_invalid_arguments_are_refused(wrong, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bg.errors.DeclarationError, match=message):
        wrong()
    assert not list(tmp_path.iterdir())


def test_noise_is_finite_at_low_rates():
    for sound in (*sy.NOISES, *sy.STOPS):
        assert np.isfinite(sy.speak([sound], rate=4000)[0]).all()
