"""Synthetic speech with known labels and times, by a source and the formants of a vocal tract.

A pulse train or noise is filtered by resonators at the formants (Klatt 1980). Vowels have the mean formants measured by
Peterson & Barney. The result is for tests and teaching; it does not sound natural.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.apps.extras import extra
from bayesgmm.datasets.formants import FORMANTS as VOWELS
from bayesgmm.datasets.formants import TALKERS
from bayesgmm.declared import whole
from bayesgmm.errors import DeclarationError, choose
from bayesgmm.files import in_place_of, made_folder
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

NOISES = {"S": (3400.0, 500.0), "SH": (2300.0, 500.0), "F": (2000.0, 3000.0)}  # centre and half width of a band, Hz
NASALS = {"M": (250.0, 1000.0, 2200.0), "N": (250.0, 1600.0, 2500.0)}  # approximate formants (Fujimura 1962)
STOPS = {"T": (3300.0, 1500.0), "K": (1700.0, 700.0), "P": (800.0, 700.0)}  # centre and half width of the burst, Hz
WORDS = {
    "zero": ("S", "IH", "ER", "AO"),
    "one": ("UW", "AH", "N"),
    "two": ("T", "UW"),
    "three": ("F", "ER", "IY"),
    "four": ("F", "AO", "ER"),
    "five": ("F", "AA", "IY", "F"),
    "six": ("S", "IH", "K", "S"),
    "seven": ("S", "EH", "F", "AH", "N"),
    "eight": ("EH", "IY", "T"),
    "nine": ("N", "AA", "IY", "N"),
}
SECONDS = {"vowel": 0.14, "noise": 0.11, "nasal": 0.09, "stop": 0.08}
BANDWIDTHS = (60.0, 90.0, 150.0)  # Hz, of the formants
STEP = 0.005  # seconds between updates of the formants, rounded to samples
MIN_RATE = 4000  # Hz
GLIDE = 0.04  # seconds of the transition between sounds


@dataclass(frozen=True)
class Voice:
    """Voice of a speaker.

    Parameters
    ----------
    talker : {'man', 'woman', 'child'}
    tract, pitch, pace : float
        Factors of the formants, the pitch and the durations.
    slope : float
        Coefficient of the low-pass filter of the source, between 0 and 1.

    Raises
    ------
    UnknownName
        If ``talker`` is unknown.

    Examples
    --------
    >>> Voice("man", pitch=2.0).formants("IY")
    (272.0, 270.0, 2290.0, 3010.0)
    """

    talker: str = "man"
    tract: float = 1.0
    pitch: float = 1.0
    pace: float = 1.0
    slope: float = 0.9

    def __post_init__(self) -> None:
        choose(self.talker, dict.fromkeys(TALKERS), "talker")

    def formants(self, sound: str) -> tuple[float, ...]:
        """Pitch and three formants of a voiced sound, in Hz. Raises KeyError for a sound without a voice."""
        place = TALKERS.index(self.talker)
        pitch = VOWELS["AH"][place][0] if sound in NASALS else VOWELS[sound][place][0]
        own = NASALS[sound] if sound in NASALS else VOWELS[sound][place][1:]
        return pitch * self.pitch, *(f * self.tract for f in own)

    @classmethod
    def at_random(cls, rng: np.random.Generator, talker: str | None = None) -> "Voice":
        """Draw the voice of a random speaker, of one kind or of any."""
        kind = TALKERS[rng.integers(3)] if talker is None else talker
        tract, pitch, pace = np.exp(rng.normal(0.0, (0.04, 0.1, 0.1)))
        return cls(kind, float(tract), float(pitch), float(pace), float(rng.uniform(0.85, 0.95)))


def kind_of(sound: str) -> str:
    """Return the kind of a sound: vowel, noise, nasal or stop.

    Raises
    ------
    UnknownName
        If there is no such sound.

    Examples
    --------
    >>> kind_of("IY"), kind_of("S")
    ('vowel', 'noise')
    """
    kinds = {"vowel": list(VOWELS), "noise": list(NOISES), "nasal": list(NASALS), "stop": list(STOPS)}
    return choose(sound, {name: kind for kind, names in kinds.items() for name in names}, "sound")


def speak(
    sounds: Sequence[str], voice: Voice | None = None, *, rate: int = 8000, noise: float = 0.003, seed: int = 0
) -> tuple[Array, "pd.DataFrame"]:
    """Synthesise a sequence of sounds.

    Parameters
    ----------
    sounds : sequence of str
        Names of ``VOWELS``, ``NOISES``, ``NASALS`` and ``STOPS``.
    voice : Voice, optional
    rate : int
        Sampling rate in Hz.
    noise : float
        Standard deviation of the background noise, as a fraction of full scale.
    seed : int
        Seed of the durations, the formants and the noise.

    Returns
    -------
    samples : (n,) float
        From -1 to 1.
    segments : DataFrame
        ``label``, ``start`` and ``stop`` in seconds.

    Raises
    ------
    DeclarationError
        If a sound is unknown, ``sounds`` is empty, or the rate is below 4000 Hz.

    References
    ----------
    .. [1] Klatt (1980), J. Acoust. Soc. Am. 67(3), 971-995.

    Examples
    --------
    >>> samples, segments = speak(["S", "IY"])
    >>> segments["label"].tolist()
    ['S', 'IY']
    """
    import pandas as pd

    if not len(sounds):
        raise DeclarationError("sounds is empty; give at least one, for example ['S', 'IY']")
    rate = whole("rate", rate, minimum=MIN_RATE)
    voice, rng = voice or Voice(), np.random.default_rng(seed)
    seconds = [SECONDS[kind_of(s)] * voice.pace * float(np.exp(rng.normal(0, 0.15))) for s in sounds]
    stops = np.cumsum(seconds)
    samples = _voiced(sounds, stops, voice, rate, rng) + _noises(sounds, stops, rate, rng)
    samples = 0.7 * samples / np.abs(samples).max() + noise * rng.normal(size=len(samples))
    segments = pd.DataFrame({"label": list(sounds), "start": [0.0, *stops[:-1]], "stop": stops})
    return np.clip(samples, -1, 1), segments


def _voiced(sounds: Sequence[str], stops: Array, voice: Voice, rate: int, rng: np.random.Generator) -> Array:
    """Synthesise the voiced part: pulses, filtered by resonators with moving frequencies."""
    from scipy.signal import lfilter

    step = round(STEP * rate)
    at = np.arange(0.0, stops[-1], step / rate)
    track, loud = _tracks(sounds, stops, at, voice, rng)
    pitch = np.repeat(track[:, 0], step) * (1 + 0.01 * rng.normal(size=len(at) * step).cumsum() / np.sqrt(rate))
    pulses = np.diff(np.floor((pitch / rate).cumsum()), prepend=0.0)
    source = lfilter([1.0], [1.0, -voice.slope], pulses) * np.repeat(loud, step)
    for formant, bandwidth in enumerate(BANDWIDTHS, start=1):
        source = _resonate(source, track[:, formant], bandwidth, rate, step)
    return source


def _resonate(source: Array, hertz: Array, bandwidth: float, rate: int, step: int) -> Array:
    """Filter by a resonator with two poles, updated every ``step`` samples; its gain at 0 Hz is one."""
    from scipy.signal import lfilter

    radius = np.exp(-np.pi * bandwidth / rate)
    state, out = np.zeros(2), np.empty_like(source)
    for i, frequency in enumerate(np.minimum(hertz, 0.48 * rate)):
        poles = np.array([1.0, -2 * radius * np.cos(2 * np.pi * frequency / rate), radius**2])
        part = slice(i * step, (i + 1) * step)
        out[part], state = lfilter([poles.sum()], poles, source[part], zi=state)
    return out


def _tracks(
    sounds: Sequence[str], stops: Array, at: Array, voice: Voice, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Compute pitch and formants (n, 4) at given times, with transitions between sounds, and the loudness (n,)."""
    which = np.minimum(np.searchsorted(stops, at, side="right"), len(sounds) - 1)
    kinds = [kind_of(sound) for sound in sounds]
    targets = np.full((len(sounds), 4), np.nan)
    for i, sound in enumerate(sounds):
        if kinds[i] in {"vowel", "nasal"}:
            targets[i] = np.array(voice.formants(sound)) * np.exp(rng.normal(0, 0.03, 4))
    voiced = ~np.isnan(targets[:, 0])
    if not voiced.any():
        return np.tile([100.0, 500.0, 1500.0, 2500.0], (len(at), 1)), np.zeros(len(at))
    nearest = np.array(
        [np.flatnonzero(voiced)[np.abs(np.flatnonzero(voiced) - i).argmin()] for i in range(len(sounds))]
    )
    loud = np.array([{"vowel": 1.0, "nasal": 0.5}.get(kind, 0.0) for kind in kinds])
    return _smooth(targets[nearest[which]]), _smooth(loud[which][:, None], 0.01)[:, 0]


def _smooth(values: Array, seconds: float = GLIDE) -> Array:
    """Compute running means of each column."""
    width = max(1, round(seconds / STEP) | 1)
    held = np.pad(values, ((width // 2, width // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, np.full(width, 1 / width), mode="valid") for column in held.T], axis=1)


def _noises(sounds: Sequence[str], stops: Array, rate: int, rng: np.random.Generator) -> Array:
    """Synthesise the unvoiced part: fricative noise, and bursts at the end of stops."""
    from scipy.signal import butter, sosfilt

    step = round(STEP * rate)
    out = np.zeros(len(np.arange(0.0, stops[-1], step / rate)) * step)
    for i, sound in enumerate(sounds):
        kind = kind_of(sound)
        if kind not in {"noise", "stop"}:
            continue
        middle, width = (NOISES | STOPS)[sound]
        start, stop = (int(t * rate) for t in (0.0 if i == 0 else stops[i - 1], stops[i]))
        if kind == "stop":
            start = stop - min(stop - start, round(0.025 * rate))
        edges = np.clip([middle - width, middle + width], 50, [0.4 * rate, 0.48 * rate])
        hiss = sosfilt(butter(2, edges, "bandpass", fs=rate, output="sos"), rng.normal(size=max(stop - start, 1)))
        strength = {"S": 0.6, "SH": 0.7, "F": 0.15}.get(sound, 0.8)
        part = out[start:stop]
        part += strength * (hiss * np.hanning(len(hiss) + 2)[1:-1] / hiss.std())[: len(part)]
    return out


def make_recordings(
    folder: str | Path,
    words: Sequence[str] | None = None,
    *,
    speakers: int = 3,
    takes: int = 6,
    rate: int = 8000,
    seed: int = 0,
) -> "pd.DataFrame":
    """Write synthetic recordings: a WAV file for each take of each word by each speaker.

    Parameters
    ----------
    folder : path
        Created if it does not exist.
    words : sequence of str, optional
        Names of ``WORDS``, ``VOWELS``, ``NOISES``, ``NASALS`` or ``STOPS``; default the ten words.
    speakers, takes : int
        Number of speakers, and of repetitions of each word by each.
    rate : int
        Sampling rate in Hz.
    seed : int

    Returns
    -------
    DataFrame
        ``path``, ``label``, ``speaker``; saved as CSV, ``bayesgmm speech train`` reads it.

    Raises
    ------
    DeclarationError
        If a word is unknown, or there is less than one speaker or take.
    FitFileError
        If the folder can't be written.
    MissingExtra
        If soundfile is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     make_recordings(folder, ["one", "two"], speakers=1, takes=1)["label"].tolist()
    ['one', 'two']
    """
    import pandas as pd

    soundfile = extra("soundfile", "soundfile")
    whole("speakers", speakers)
    whole("takes", takes)
    chosen = list(WORDS) if words is None else list(words)
    for word in chosen:
        choose(word, dict.fromkeys([*WORDS, *VOWELS, *NOISES, *NASALS, *STOPS]), "word")
    folder = made_folder(folder)
    rows = []
    for label, speaker, take, samples in takes_of(chosen, speakers, takes, rate, seed):
        path = folder / f"{label}_{speaker}_{take}.wav"
        sound = BytesIO()
        soundfile.write(sound, samples, rate, subtype="PCM_16", format="WAV")
        with in_place_of(path) as partial:
            partial.write_bytes(sound.getvalue())
        rows.append((str(path), label, speaker))
    return pd.DataFrame(rows, columns=["path", "label", "speaker"])


def takes_of(
    words: Sequence[str], speakers: int, takes: int, rate: int, seed: int
) -> Iterator[tuple[str, str, int, Array]]:
    """Generate label, speaker, take and samples (n,) of each recording."""
    rng = np.random.default_rng(seed)
    voices = [Voice.at_random(rng, TALKERS[s % 3]) for s in range(speakers)]
    for s, voice in enumerate(voices):
        for word in words:
            for take in range(takes):
                sounds = WORDS.get(word, (word,))
                yield word, f"speaker{s}", take, speak(sounds, voice, rate=rate, seed=int(rng.integers(2**31)))[0]
