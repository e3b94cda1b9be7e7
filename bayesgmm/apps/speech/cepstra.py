r"""What a mixture hears: mel-frequency cepstra of short frames, and how they change.

.. math:: c_{ti} = \sqrt{\tfrac{2 - [i = 0]}{M}} \sum_{m=0}^{M-1}
          \cos\!\left(\tfrac{\pi i}{M} (m + \tfrac12)\right) \log\left(\frac{E_{tm}}{\bar E} + \varepsilon\right)

with :math:`E_{tm}` the energy of frame t in the m-th of M bands of the mel scale and :math:`\bar E` the mean over what
is spoken: how loud a recording is does not matter, and what is fainter than :math:`\varepsilon` (noise) is not heard.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from bayesgmm.apps.extras import extra
from bayesgmm.apps.speech.audio import BrokenRecording, Recording, resampled
from bayesgmm.errors import DeclarationError
from bayesgmm.sweep.stats import Array

HOP, WINDOW = 0.010, 0.025  # seconds, to the nearest sample
PREEMPHASIS = 0.97
LOWEST, HIGHEST = 100.0, 0.925  # Hz, and a share of half the sample rate: what the bands cover
MELS_A_BAND = 110.0
FAINTEST = 0.05  # share of the frames that tell how loud the room is: 3 dB above it something is said
CLEAR = 20.0  # dB below the loudest frame: no room is louder
WIDTH = 5  # frames that a slope is taken over
NORMALISATIONS = {"none": "as they are", "mean": "less the mean of its speech: its channel and its speaker's habits"}


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
        Whether the mean over what is spoken is taken off: frames that are neither quiet nor as faint as the room.
    floor : float
        Energy that counts as nothing, as a share of the mean.
    quiet : float
        dB below the loudest frame from which a frame is quiet: no speech at the ends of a recording, a pause within.

    Raises
    ------
    DeclarationError
        When there are more cepstra than bands: few samples a second have few.
    """

    rate: int
    n_cepstra: int = 13
    normalise: str = "mean"
    floor: float = 1e-3
    quiet: float = 35.0

    def __post_init__(self) -> None:
        most = _n_bands(self.rate)
        if self.n_cepstra > most:
            raise DeclarationError(
                f"n_cepstra={self.n_cepstra}: {self.rate} samples a second have {most} bands, and no more cepstra\n"
                f"  Try n_cepstra={most}, or recordings with more samples a second."
            )

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return round(HOP * self.rate)

    @property
    def step(self) -> float:
        """Seconds from one frame to the next: not quite ``HOP`` where that is no whole number of samples."""
        return self.hop / self.rate

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features."""
        return (*(f"c{i}" for i in range(self.n_cepstra)), *(f"slope_c{i}" for i in range(self.n_cepstra)))


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
    loud : (T,) bool
        Which frames are not quiet.
    """

    values: Array
    silence: Array
    first: int
    last: int
    loud: NDArray[np.bool_]

    @property
    def speech(self) -> Array:
        """(T', D) the frames from the first that is not quiet to the last."""
        return self.values[self.first : self.last]

    @property
    def quiet(self) -> Array:
        """(T'', D) the quiet frames before and after it, and one of absolute silence."""
        wanted = ~self.loud  # around a part of a file, there are other words
        wanted[self.first : self.last] = False
        return np.concatenate([self.values[wanted], self.silence[None]])


def frames(recording: Recording, hearing: Hearing, least: int = 1) -> Frames:
    """Cepstra of a recording, a frame each ``hearing.step`` seconds; of the part of it that is meant.

    Parameters
    ----------
    recording : Recording
    hearing : Hearing
    least : int
        Frames of speech that are needed.

    Raises
    ------
    BrokenRecording
        When there is less speech than that, none at all, or too few samples a second.

    References
    ----------
    .. [1] Davis & Mermelstein (1980), IEEE Trans. Acoust. Speech Signal Process. 28(4), 357-366.
    .. [2] Furui (1981), IEEE Trans. Acoust. Speech Signal Process. 29(2), 254-272: slopes, and the mean taken off.
    """
    energy = _band_energies(resampled(recording, hearing.rate), hearing.hop)
    loud = _loud(energy.sum(axis=1), hearing.quiet)
    if not loud.any():
        raise BrokenRecording(f"{recording.name}: is silent")
    first, last = _part(recording, hearing.step, loud)
    if last - first < least:
        has, needed = ((last - first) * hearing.step, least * hearing.step)
        raise BrokenRecording(f"{recording.name}: has {has:.2f} s of speech; at least {needed:.2f} s are needed")
    spoken = loud & _above_room(energy.sum(axis=1))
    mean = energy[spoken].mean()
    values = _cosines(energy / mean, hearing)
    silence = _cosines(np.zeros((1, energy.shape[1])), hearing)
    if hearing.normalise == "mean":
        centre = values[spoken].mean(axis=0)  # pauses would make a sentence with many another voice
        values, silence = values - centre, silence - centre
    still = np.append(silence[0], np.zeros(hearing.n_cepstra))
    return Frames(np.concatenate([values, slopes(values)], axis=1), still, first, last, loud)


def _cosines(energy: Array, hearing: Hearing) -> Array:
    return dct(np.log(energy + hearing.floor), axis=1, norm="ortho")[:, : hearing.n_cepstra]


def _loud(power: Array, quiet: float) -> NDArray[np.bool_]:
    return power > power.max() * 10 ** (-quiet / 10)


def _above_room(power: Array) -> NDArray[np.bool_]:
    """Frames that are louder than the faintest; where none is faint, than 20 dB below the loudest."""
    return power > min(2 * np.quantile(power, FAINTEST), power.max() * 10 ** (-CLEAR / 10))


def _part(recording: Recording, step: float, loud: NDArray[np.bool_]) -> tuple[int, int]:
    """First frame and end of what is meant: the part that was told, or all from the first loud frame to the last."""
    if recording.is_part:
        return round(recording.start / step), min(round(min(recording.stop, recording.seconds) / step), len(loud))
    return int(loud.argmax()), len(loud) - int(loud[::-1].argmax())


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


def _band_energies(recording: Recording, hop: int) -> Array:
    """(T, M) energy in the bands; scaled first, so that no square overflows or vanishes, and without a constant."""
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
    """As many bands as fit, one each ``MELS_A_BAND``."""
    return round((_mels(HIGHEST * rate / 2) - _mels(LOWEST)) / MELS_A_BAND)


@cache
def bands(rate: int, size: int) -> Array:
    """(M, size // 2 + 1) triangles that are evenly spaced on the mel scale; as many as fit."""
    librosa = extra("librosa", "librosa")
    told = {"n_mels": _n_bands(rate), "fmin": LOWEST, "fmax": HIGHEST * rate / 2, "htk": True, "norm": None}
    return np.asarray(librosa.filters.mel(sr=rate, n_fft=size, **told), np.float64)
