r"""What a mixture hears: mel-frequency cepstra of short frames, and how they change.

.. math:: c_{ti} = \sum_m \cos\!\left(\tfrac{\pi i}{M} (m + \tfrac12)\right)
          \log\left(\frac{E_{tm}}{\bar E} + \varepsilon\right)

with :math:`E_{tm}` the energy of frame t in the m-th band of the mel scale and :math:`\bar E` the mean over all of
the speech: how loud a recording is does not matter, and what is fainter than :math:`\varepsilon` (noise) is not heard.
"""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from bayesgmm.apps.audio import BrokenRecording, Recording, resampled
from bayesgmm.apps.extras import extra
from bayesgmm.stats import Array

HOP, WINDOW = 0.010, 0.025  # seconds
PREEMPHASIS = 0.97
LOWEST, HIGHEST = 100.0, 0.925  # Hz, and a share of half the sample rate: what the bands cover
MELS_A_BAND = 110.0
WIDTH = 5  # frames that a slope is taken over
NORMALISATIONS = {"none": "as they are", "mean": "less the recording's mean: its channel and its speaker's habits"}


@dataclass(frozen=True)
class Hearing:
    """How a recording becomes cepstra.

    Parameters
    ----------
    rate : int
        Samples a second; more than these are thrown away.
    n_cepstra : int
        How many cosines the spectrum's shape is told by.
    normalise : {'mean', 'none'}
        Whether the mean over the speech is taken off.
    floor : float
        Energy that counts as nothing, as a share of the mean.
    quiet : float
        dB below the loudest frame from which the ends of a recording are no speech.
    """

    rate: int
    n_cepstra: int = 13
    normalise: str = "mean"
    floor: float = 1e-3
    quiet: float = 35.0

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features."""
        return (*(f"c{i}" for i in range(self.n_cepstra)), *(f"slope_c{i}" for i in range(self.n_cepstra)))

    def plain(self) -> dict[str, Any]:
        """As plain values, for a file."""
        return asdict(self)


@dataclass(frozen=True)
class Frames:
    """The frames of a recording.

    Parameters
    ----------
    values : (T, D) float
        Cepstra and their slopes.
    silence : (D,) float
        What absolute silence looks like in this recording.
    first, last : int
        Where the speech begins, and where it is over.
    """

    values: Array
    silence: Array
    first: int
    last: int

    @property
    def speech(self) -> Array:
        """(T', D) the frames from the first that is not quiet to the last."""
        return self.values[self.first : self.last]

    @property
    def quiet(self) -> Array:
        """(T'', D) the frames before and after it, and one of absolute silence."""
        return np.concatenate([self.values[: self.first], self.values[self.last :], self.silence[None]])


def frames(recording: Recording, hearing: Hearing, least: int = 1) -> Frames:
    """Cepstra of a recording, 100 frames a second; of the part of it that is meant.

    Parameters
    ----------
    recording : Recording
    hearing : Hearing
    least : int
        Frames of speech that are needed.

    Raises
    ------
    BrokenRecording
        When there is less speech than that, or too few samples a second.

    References
    ----------
    .. [1] Davis & Mermelstein (1980), IEEE Trans. Acoust. Speech Signal Process. 28(4), 357-366.
    .. [2] Furui (1981), IEEE Trans. Acoust. Speech Signal Process. 29(2), 254-272: slopes, and the mean taken off.
    """
    energy = _band_energies(resampled(recording, hearing.rate))
    loud = _loud(energy.sum(axis=1), hearing.quiet)
    first, last = _part(recording, len(energy), loud)
    if last - first < least:
        raise BrokenRecording(
            f"{recording.name}: has {(last - first) * HOP:.2f} s of speech; at least {least * HOP:.2f} s are needed"
        )
    mean = energy[loud].mean()
    values = _cosines(energy / mean, hearing)
    silence = _cosines(np.zeros((1, energy.shape[1])), hearing)
    if hearing.normalise == "mean":
        centre = values[loud.argmax() : _end(loud)].mean(axis=0)
        values, silence = values - centre, silence - centre
    still = np.append(silence[0], np.zeros(hearing.n_cepstra))
    return Frames(np.concatenate([values, slopes(values)], axis=1), still, first, last)


def _cosines(energy: Array, hearing: Hearing) -> Array:
    return dct(np.log(energy + hearing.floor), axis=1, norm="ortho")[:, : hearing.n_cepstra]


def _loud(power: Array, quiet: float) -> NDArray[np.bool_]:
    return power > power.max() * 10 ** (-quiet / 10)


def _end(flags: NDArray[np.bool_]) -> int:
    return len(flags) - int(flags[::-1].argmax())


def _part(recording: Recording, n_frames: int, loud: NDArray[np.bool_]) -> tuple[int, int]:
    """First frame and end of what is meant: the part that was told, or all from the first loud frame to the last."""
    if recording.start > 0 or recording.stop < np.inf:
        return round(recording.start / HOP), int(min(round(min(recording.stop, 1e9) / HOP), n_frames))
    return int(loud.argmax()), _end(loud)


def slopes(values: Array) -> Array:
    """(T, D) how fast each column rises at each row: least squares lines over five rows; ends are held.

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


def _band_energies(recording: Recording) -> Array:
    """(T, M) energy in the bands."""
    librosa = extra("librosa", "librosa")
    rate, samples = recording.rate, recording.samples
    window = round(WINDOW * rate)
    size = 1 << (window - 1).bit_length()
    sharp = np.append(samples[0], samples[1:] - PREEMPHASIS * samples[:-1])
    hop = round(HOP * rate)
    short = sharp if len(sharp) >= size else np.pad(sharp, (0, size - len(sharp)))
    spectrum = librosa.stft(short, n_fft=size, win_length=window, hop_length=hop, window="hamming", center=True)
    n_frames = max(1, len(samples) // hop)
    return np.asarray((bands(rate, size) @ (np.abs(spectrum) ** 2)).T[:n_frames], dtype=np.float64)


@cache
def bands(rate: int, size: int) -> Array:
    """(M, size // 2 + 1) triangles that are evenly spaced on the mel scale; as many as fit."""
    librosa = extra("librosa", "librosa")
    top = HIGHEST * rate / 2
    low, high = (float(v) for v in librosa.hz_to_mel(np.array([LOWEST, top]), htk=True))
    n_bands = round((high - low) / MELS_A_BAND)
    return np.asarray(
        librosa.filters.mel(sr=rate, n_fft=size, n_mels=n_bands, fmin=LOWEST, fmax=top, htk=True, norm=None), np.float64
    )
