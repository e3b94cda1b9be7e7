r"""Features of speech: mel-frequency cepstral coefficients (MFCC) of short frames, and their slopes.

.. math:: c_{ti} = \sqrt{\tfrac{2 - [i = 0]}{M}} \sum_{m=0}^{M-1}
          \cos\!\left(\tfrac{\pi i}{M} (m + \tfrac12)\right) \log\left(\frac{E_{tm}}{\bar E} + \varepsilon\right)

with :math:`E_{tm}` the energy of frame t in the m-th of M bands of the mel scale and :math:`\bar E` the mean over the
speech. The features do not depend on loudness, and energies far below :math:`\varepsilon \bar E` (noise) have no
effect.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from bayesgmm.apps.extras import extra
from bayesgmm.apps.speech.audio import MIN_RATE, BrokenRecording, Recording, resampled
from bayesgmm.declared import positive, whole
from bayesgmm.errors import DeclarationError, choose
from bayesgmm.sweep.stats import Array

HOP, WINDOW = 0.010, 0.025  # seconds, rounded to samples
PREEMPHASIS = 0.97
LOWEST, HIGHEST = 100.0, 0.925  # Hz, and a fraction of half the sampling rate: range of the bands
MELS_PER_BAND = 110.0
FAINTEST = 0.05  # quantile of frame energy that estimates the background noise; speech is at least 3 dB louder
CLEAR = 20.0  # dB below the loudest frame; upper limit of the background noise
WIDTH = 5  # frames in the regression for a slope
NORMALISATIONS = {"none": "no normalisation", "mean": "subtract the mean of the speech frames (channel, speaker)"}


@dataclass(frozen=True)
class FeatureSettings:
    """Settings of the feature extraction.

    Parameters
    ----------
    rate : int
        Sampling rate in Hz; recordings are resampled to it.
    n_cepstra : int
        Number of cepstral coefficients.
    normalise : {'mean', 'none'}
        Cepstral mean subtraction, with the mean over frames that are neither quiet nor background noise.
    floor : float
        Constant added to energies, as a fraction of the mean energy.
    quiet : float
        Threshold in dB below the loudest frame. Quieter frames are silence at the ends of a recording, and pauses
        within it.

    Raises
    ------
    DeclarationError
        If a value is out of range, or there are more cepstra than frequency bands, whose number depends on the rate.
    """

    rate: int
    n_cepstra: int = 13
    normalise: str = "mean"
    floor: float = 1e-3
    quiet: float = 35.0

    def __post_init__(self) -> None:
        whole("rate", self.rate, minimum=MIN_RATE)
        whole("n_cepstra", self.n_cepstra)
        choose(self.normalise, NORMALISATIONS, "normalise")
        positive("floor", self.floor)
        positive("quiet", self.quiet)
        n_bands = _n_bands(self.rate)
        if self.n_cepstra > n_bands:
            raise DeclarationError(
                f"n_cepstra={self.n_cepstra}: must be at most {n_bands}, the number of bands at {self.rate} Hz\n"
                f"  Try n_cepstra={n_bands}, or recordings with a higher rate."
            )

    @property
    def hop(self) -> int:
        """Number of samples between frames."""
        return round(HOP * self.rate)

    @property
    def step(self) -> float:
        """Seconds between frames: ``HOP``, rounded to a whole number of samples."""
        return self.hop / self.rate

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features."""
        return (*(f"c{i}" for i in range(self.n_cepstra)), *(f"slope_c{i}" for i in range(self.n_cepstra)))


@dataclass(frozen=True)
class Frames:
    """Features of the frames of a recording.

    Parameters
    ----------
    values : (T, D) float
        Cepstral coefficients and their slopes.
    silence : (D,) float
        Features of absolute silence in this recording.
    first, last : int
        First frame of the speech, and the frame after the last.
    loud : (T,) bool
        Frames that are not quiet.
    """

    values: Array
    silence: Array
    first: int
    last: int
    loud: NDArray[np.bool_]

    @property
    def speech(self) -> Array:
        """Frames (T', D) from the first to the last that is not quiet, or those of the part to use."""
        return self.values[self.first : self.last]

    @property
    def quiet(self) -> Array:
        """Quiet frames (T'', D) outside the speech, and one frame of absolute silence."""
        outside = ~self.loud  # loud frames outside a part of a file belong to other words
        outside[self.first : self.last] = False
        return np.concatenate([self.values[outside], self.silence[None]])


def extract_frames(recording: Recording, settings: FeatureSettings, minimum: int = 1) -> Frames:
    """Extract the features of a recording, one frame every ``settings.step`` seconds.

    Parameters
    ----------
    recording : Recording
    settings : FeatureSettings
    minimum : int
        Minimum number of speech frames.

    Raises
    ------
    BrokenRecording
        If the recording is silent, has fewer speech frames, or its sampling rate is too low.

    References
    ----------
    .. [1] Davis & Mermelstein (1980), IEEE Trans. Acoust. Speech Signal Process. 28(4), 357-366.
    .. [2] Furui (1981), IEEE Trans. Acoust. Speech Signal Process. 29(2), 254-272: slopes, and mean subtraction.
    """
    energy = _band_energies(resampled(recording, settings.rate), settings.hop)
    loud = _loud(energy.sum(axis=1), settings.quiet)
    if not loud.any():
        raise BrokenRecording(f"{recording.name}: is silent")
    first, last = _part(recording, settings.step, loud)
    if last - first < minimum:
        has, needed = ((last - first) * settings.step, minimum * settings.step)
        raise BrokenRecording(f"{recording.name}: has {has:.2f} s of speech; at least {needed:.2f} s are needed")
    spoken = loud & _above_room(energy.sum(axis=1))
    mean = energy[spoken].mean()
    values = _cosines(energy / mean, settings)
    silence = _cosines(np.zeros((1, energy.shape[1])), settings)
    if settings.normalise == "mean":
        centre = values[spoken].mean(axis=0)  # without pauses, whose number differs between recordings
        values, silence = values - centre, silence - centre
    quiet = np.append(silence[0], np.zeros(settings.n_cepstra))
    return Frames(np.concatenate([values, slopes(values)], axis=1), quiet, first, last, loud)


def _cosines(energy: Array, settings: FeatureSettings) -> Array:
    return dct(np.log(energy + settings.floor), axis=1, norm="ortho")[:, : settings.n_cepstra]


def _loud(power: Array, quiet: float) -> NDArray[np.bool_]:
    return power > power.max() * 10 ** (-quiet / 10)


def _above_room(power: Array) -> NDArray[np.bool_]:
    """Mask of frames above the background noise: 3 dB above the faint frames, or 20 dB below the loudest if lower."""
    return power > min(2 * np.quantile(power, FAINTEST), power.max() * 10 ** (-CLEAR / 10))


def _part(recording: Recording, step: float, loud: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first frame and the end: those of the part to use, or from the first to the last loud frame."""
    if recording.is_part:
        return round(recording.start / step), min(round(min(recording.stop, recording.seconds) / step), len(loud))
    return int(loud.argmax()), len(loud) - int(loud[::-1].argmax())


def slopes(values: Array) -> Array:
    """Compute slopes (T, D) by linear regression over five rows; the first and last rows are repeated at the ends.

    Examples
    --------
    >>> slopes(np.arange(5.0)[:, None]).T.round(1)
    array([[0.5, 0.8, 1. , 0.8, 0.5]])
    """
    half = WIDTH // 2
    held = np.pad(values, ((half, half), (0, 0)), mode="edge")
    step = np.arange(-half, half + 1)
    total = sum(i * held[half + i : half + i + len(values)] for i in step)
    return np.asarray(total / (step @ step))


def _band_energies(recording: Recording, hop: int) -> Array:
    """Energies (T, M) in the bands, of samples scaled to avoid overflow and centred."""
    librosa = extra("librosa", "librosa")
    rate, samples = recording.rate, recording.samples / np.abs(recording.samples).max()
    samples -= samples.mean()
    window = round(WINDOW * rate)
    size = 1 << (window - 1).bit_length()
    sharp = np.append(samples[0], samples[1:] - PREEMPHASIS * samples[:-1])
    short = sharp if len(sharp) >= size else np.pad(sharp, (0, size - len(sharp)))
    spectrum = librosa.stft(short, n_fft=size, win_length=window, hop_length=hop, window="hamming", center=True)
    n_frames = max(1, len(samples) // hop)
    return np.asarray((bands(rate, size) @ (np.abs(spectrum) ** 2)).T[:n_frames], dtype=np.float64)


def _mels(hertz: float) -> float:
    return 2595 * float(np.log10(1 + hertz / 700))


def _n_bands(rate: int) -> int:
    """Number of bands of width ``MELS_PER_BAND`` in the range."""
    return round((_mels(HIGHEST * rate / 2) - _mels(LOWEST)) / MELS_PER_BAND)


@cache
def bands(rate: int, size: int) -> Array:
    """Triangular filters (M, size // 2 + 1), evenly spaced on the mel scale."""
    librosa = extra("librosa", "librosa")
    options = {"n_mels": _n_bands(rate), "fmin": LOWEST, "fmax": HIGHEST * rate / 2, "htk": True, "norm": None}
    return np.asarray(librosa.filters.mel(sr=rate, n_fft=size, **options), np.float64)
