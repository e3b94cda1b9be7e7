"""Recordings: files of sound, read and checked; every complaint has the file's name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm.apps.extras import extra
from bayesgmm.errors import DataError, warn
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

LEAST_RATE = 4000  # Hz: below it there is no second formant
FULL_SCALE = 0.95  # 8 bits and mu-law don't quite reach 1
FLAT = 0.999  # of the largest sample: what is as large as it
CLIPPED = 0.01  # share of the samples that are so large from which a recording is said to be clipped
LISTED = 10  # broken files that an error names


class BrokenRecording(DataError):
    """A recording can't be used; the message begins with its name."""


@dataclass(frozen=True)
class Recording:
    """Sound.

    Parameters
    ----------
    samples : (n,) float
        From -1 to 1.
    rate : int
        Samples a second.
    name : str
        What errors call it.
    start, stop : float
        The part of it that is meant, in seconds; all of it unless told. What is around it still says how
        loud the recording is, and how its channel colours it.

    Examples
    --------
    >>> Recording(np.zeros(8000), 8000).seconds
    1.0
    """

    samples: Array
    rate: int
    name: str = "recording"
    start: float = 0.0
    stop: float = np.inf

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate

    @property
    def is_part(self) -> bool:
        """Whether a part of it is meant."""
        return self.start > 0 or self.stop < np.inf

    @property
    def clipped(self) -> bool:
        """Whether the waves' tops are cut off: many samples are at its largest or its smallest, near full scale."""
        top, bottom = self.samples.max(), self.samples.min()
        flat = (self.samples >= FLAT * top) | (self.samples <= FLAT * bottom)
        more = flat.sum() - 2  # one top and one bottom there always are
        return bool(max(top, -bottom) >= FULL_SCALE and more > CLIPPED * len(flat))


def read(path: str | Path) -> Recording:
    """Read WAV, FLAC, OGG or MP3, of any sample format; the channels are averaged.

    Raises
    ------
    BrokenRecording
        When the file is missing, empty, damaged, no sound, silent, or holds values that are no numbers.
    """
    path = Path(path)
    if path.is_dir():
        raise BrokenRecording(f"{path}: is a folder; give the files in it")
    if not path.is_file():
        raise BrokenRecording(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise BrokenRecording(f"{path}: the file is empty")
    soundfile = extra("soundfile", "soundfile")
    try:
        samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        reason = str(error).rpartition(": ")[2].strip().rstrip(".")
        raise BrokenRecording(f"{path}: can't be read as sound ({reason}); give WAV, FLAC, OGG or MP3") from None
    return checked(Recording(samples.mean(axis=1), int(rate), str(path)))


def checked(recording: Recording) -> Recording:
    """The same recording, if it can be used at all.

    Raises
    ------
    BrokenRecording
    """
    samples, name = np.asarray(recording.samples, dtype=np.float64), recording.name
    if samples.ndim != 1 or not len(samples):
        raise BrokenRecording(f"{name}: holds no samples; give one row of numbers")
    if not np.isfinite(samples).all():
        raise BrokenRecording(f"{name}: holds samples that are not numbers")
    if not float(recording.rate).is_integer():
        raise BrokenRecording(f"{name}: has {recording.rate} samples a second; give a whole number")
    if recording.rate < LEAST_RATE:
        raise BrokenRecording(f"{name}: has {recording.rate} samples a second; speech needs at least {LEAST_RATE}")
    if not np.ptp(samples) > 0:
        raise BrokenRecording(f"{name}: is silent")
    if not 0 <= recording.start < min(recording.stop, recording.seconds):
        raise BrokenRecording(
            f"{name}: the part from {recording.start:g} to {recording.stop:g} s is not in its {recording.seconds:.3g} s"
        )
    return replace(recording, samples=samples, rate=int(recording.rate))


def recording_of(item: Any, reader: Callable[[Path], Recording] = read) -> Recording:
    """A recording from what stands for one: a path, a path with start and stop in seconds, or itself.

    Raises
    ------
    BrokenRecording
        When it can't be used.
    DataError
        When it is none of these.
    """
    if isinstance(item, Recording):
        return checked(item)
    if isinstance(item, str | Path):
        return reader(Path(item))
    match item:
        case str() | Path() as path, Real() as start, Real() as stop:
            return checked(replace(reader(Path(path)), start=float(start), stop=float(stop)))
    raise DataError(f"{item!r} is no recording; give a path, (path, start, stop) in seconds, or a Recording")


def several(items: Any) -> list[Any]:
    """Many recordings as a list.

    Raises
    ------
    DataError
        When it is one, or none.
    """
    if isinstance(items, str | Path | Recording):
        raise DataError("this is one recording; give a list of them, for example [recording]")
    found = list(items)
    if not found:
        raise DataError("there are no recordings; give at least one")
    return found


def each_sound[T, U](
    items: Iterable[T], use: Callable[[T], U], skip_broken: bool = False, advice: str = "Mend them, or leave them out."
) -> dict[int, U]:
    """What a function makes of each item, by its place; all broken recordings come in one error, with some advice.

    Raises
    ------
    BrokenRecording
        When one can't be used, unless they are skipped; when all are broken.

    Warns
    -----
    FitWarning
        When some were skipped.
    """
    good: dict[int, U] = {}
    problems: list[str] = []
    for place, item in enumerate(items):
        try:
            good[place] = use(item)
        except BrokenRecording as error:
            problems.append(str(error))
    if problems and not (skip_broken and good):
        raise _broken(problems, len(problems) + len(good), advice)
    if problems:
        warn([f"{plural(len(problems), 'recording')} of {len(problems) + len(good)} skipped\n{_lines(problems)}"])
    return good


def _broken(problems: list[str], total: int, advice: str) -> BrokenRecording:
    if total == 1:
        return BrokenRecording(problems[0])
    more = "" if len(problems) == total else f"\n  {advice}"
    return BrokenRecording(f"{plural(len(problems), 'recording')} of {total} can't be used\n{_lines(problems)}{more}")


def _lines(problems: list[str]) -> str:
    more = [] if len(problems) <= LISTED else [f"and {len(problems) - LISTED} more"]
    return "\n".join(f"  {line}" for line in [*problems[:LISTED], *more])


def warn_of_clipping(names: Iterable[str]) -> None:
    """Warn of recordings that are clipped, by their names.

    Warns
    -----
    FitWarning
    """
    if clipped := sorted(set(names)):
        more = f" and {len(clipped) - 3} more" if len(clipped) > 3 else ""
        warn([f"clipped, and hard to understand: {', '.join(clipped[:3])}{more}"])


def resampled(recording: Recording, rate: int) -> Recording:
    """The same sound with fewer samples a second (polyphase filter).

    Raises
    ------
    BrokenRecording
        When it has fewer than that to begin with: nothing can bring back what it lacks.

    Examples
    --------
    >>> len(resampled(Recording(np.sin(np.arange(441.0)), 44100), 8000).samples)
    80
    """
    if recording.rate == rate:
        return recording
    if recording.rate < rate:
        raise BrokenRecording(
            f"{recording.name}: has {recording.rate} samples a second, {rate} are needed; "
            f"train with sample_rate={recording.rate} (--rate)"
        )
    from scipy.signal import resample_poly

    common = int(np.gcd(recording.rate, rate))
    samples = resample_poly(recording.samples, rate // common, recording.rate // common)
    return replace(recording, samples=samples, rate=rate)
