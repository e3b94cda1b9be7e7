"""Recordings: audio files are read and validated; errors start with the name of the file."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from bayesgmm.apps.extras import extra
from bayesgmm.errors import DataError, warn
from bayesgmm.memory import require_memory
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

MIN_RATE = 4000  # Hz; lower rates lose the second formant
FULL_SCALE = 0.95  # 8-bit and mu-law samples do not reach 1
FLAT = 0.999  # samples above this fraction of the largest count as equal to it
CLIPPED = 0.01  # fraction of such samples from which a recording is clipped
LISTED = 10  # maximum number of invalid files in a message
LOST = 0.01  # seconds; a file that lacks less than one frame is complete
ESTIMATED = 0.1  # fraction; the header of an MP3 file may only estimate its length
UNKNOWN_SIZE = 0x7FFFF000  # bytes; programs that write to a pipe give larger sizes
DATA_SIZE = re.compile(r"^data *: (\d+) \(should be (\d+)\)", re.MULTILINE)  # in the log of libsndfile
LOST_SYNC = "flac decoder lost sync"
NO_END = "without an End-Of-Stream flag"  # in the same log


class BrokenRecording(DataError):
    """Error for a recording that can't be used; the message starts with its name."""


@dataclass(frozen=True)
class Recording:
    """Recording with its sampling rate.

    Parameters
    ----------
    samples : (n,) float
        Samples from -1 to 1.
    rate : int
        Samples per second (Hz).
    name : str
        Name in messages.
    start, stop : float
        Part to use, in seconds; default all of it. The rest is still used to measure loudness and to remove the
        channel.

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
        """Duration in seconds."""
        return len(self.samples) / self.rate

    @property
    def is_part(self) -> bool:
        """True if only a part is used."""
        return self.start > 0 or self.stop < np.inf

    @property
    def clipped(self) -> bool:
        """True if many samples equal the largest or smallest one, near full scale."""
        top, bottom = self.samples.max(), self.samples.min()
        flat = (self.samples >= FLAT * top) | (self.samples <= FLAT * bottom)
        count = flat.sum() - 2  # one maximum and one minimum always exist
        return bool(max(top, -bottom) >= FULL_SCALE and count > CLIPPED * len(flat))


def read(path: str | Path) -> Recording:
    """Read a WAV, FLAC, OGG or MP3 file of any sample format; channels are averaged.

    Raises
    ------
    BrokenRecording
        If the file is missing, empty, damaged, cut off or not audio, or the recording has no samples, is silent or has
        values that are not finite.
    MissingExtra
        If soundfile is not installed.
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
        size = soundfile.info(path)
        require_memory(16 * size.frames * size.channels, f"{path}:", BrokenRecording)
        samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        reason = str(error).rpartition(": ")[2].strip().rstrip(".")
        reason = "damaged or cut off" if reason in ("", LOST_SYNC) else reason
        raise BrokenRecording(f"{path}: can't be read as audio ({reason}); give WAV, FLAC, OGG or MP3") from None
    _require_whole(path, size, len(samples))
    if not len(samples):
        raise BrokenRecording(f"{path}: has no samples")
    return checked(Recording(samples.mean(axis=1), int(rate), str(path)))


def _require_whole(path: Path, size: Any, n_samples: int) -> None:
    """Raise BrokenRecording if a file has fewer samples than its header says, or its last page is missing."""
    if NO_END in size.extra_info:
        raise BrokenRecording(f"{path}: is cut off: the end of the stream is missing")
    given, tolerated = size.frames, ESTIMATED * size.frames if size.format == "MP3" else LOST * size.samplerate
    if (sizes := DATA_SIZE.search(size.extra_info)) and int(sizes[1]) < UNKNOWN_SIZE:
        given = round(int(sizes[1]) / max(1, int(sizes[2])) * size.frames) if size.frames else int(sizes[1])
    if given - n_samples > tolerated:
        seconds = f"{given / size.samplerate:.2f} s" if size.frames else f"{given} bytes of sound"
        raise BrokenRecording(
            f"{path}: is cut off: its header says {seconds}, the file has {n_samples / size.samplerate:.2f} s"
        )


def checked(recording: Recording) -> Recording:
    """Validate a recording.

    Raises
    ------
    BrokenRecording
        If it is empty or silent, has values that are not finite or an invalid rate, or the part to use is outside it.
    """
    samples, name = np.asarray(recording.samples, dtype=np.float64), recording.name
    if samples.ndim != 1 or not len(samples):
        raise BrokenRecording(f"{name}: has no samples; give a one-dimensional array")
    if not np.isfinite(samples).all():
        raise BrokenRecording(f"{name}: has samples that are not finite numbers")
    if not float(recording.rate).is_integer():
        raise BrokenRecording(f"{name}: has a rate of {recording.rate} Hz; give a whole number")
    if recording.rate < MIN_RATE:
        raise BrokenRecording(f"{name}: has a rate of {recording.rate} Hz; speech needs at least {MIN_RATE} Hz")
    if not np.ptp(samples) > 0:
        raise BrokenRecording(f"{name}: is silent")
    if not 0 <= recording.start < min(recording.stop, recording.seconds):
        raise BrokenRecording(
            f"{name}: the part from {recording.start:g} to {recording.stop:g} s is not in its {recording.seconds:.3g} s"
        )
    return replace(recording, samples=samples, rate=int(recording.rate))


def recording_of(item: object, reader: Callable[[Path], Recording] = read) -> Recording:
    """Read a recording from a path, a path with start and stop in seconds, or a Recording.

    Raises
    ------
    BrokenRecording
        If it can't be used.
    DataError
        If it is none of these.
    """
    if isinstance(item, Recording):
        return checked(item)
    if isinstance(item, str | Path):
        return reader(Path(item))
    match item:
        case str() | Path() as path, Real() as start, Real() as stop:
            return checked(replace(reader(Path(path)), start=float(start), stop=float(stop)))
    raise DataError(f"{item!r} is not a recording; give a path, (path, start, stop) in seconds, or a Recording")


def recording_list(items: object) -> list[object]:
    """Convert recordings to a list.

    Raises
    ------
    DataError
        If it is a single recording, or empty.
    """
    if isinstance(items, str | Path | Recording):
        raise DataError("this is one recording; give a list of them, for example [recording]")
    recordings = list(items) if isinstance(items, Iterable) else [items]
    if not recordings:
        raise DataError("there are no recordings; give at least one")
    return recordings


def each_recording[T, U](
    items: Iterable[T],
    use: Callable[[T], U],
    skip_broken: bool = False,
    advice: str = "Fix them, or leave them out.",
    skipped: list[str] | None = None,
) -> dict[int, U]:
    """Apply a function to each item; all invalid recordings are reported in one error.

    Parameters
    ----------
    items : iterable
    use : function
        May raise BrokenRecording.
    skip_broken : bool
        Skip invalid recordings with a warning.
    advice : str
        Last line of the error.
    skipped : list of str, optional
        Gets the names of the skipped recordings, each with the reason.

    Returns
    -------
    dict of int
        Results by the index of the item.

    Raises
    ------
    BrokenRecording
        If a recording can't be used and is not skipped, or all are invalid.

    Warns
    -----
    FitWarning
        If recordings were skipped.
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
    if skipped is not None:
        skipped += problems
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
    """Warn about clipped recordings, by their names.

    Warns
    -----
    FitWarning
        If there are any.
    """
    if clipped := sorted(set(names)):
        more = f" and {len(clipped) - 3} more" if len(clipped) > 3 else ""
        warn([f"clipped, recognition is less reliable: {', '.join(clipped[:3])}{more}"])


def resampled(recording: Recording, rate: int) -> Recording:
    """Reduce the sampling rate of a recording, with a polyphase filter.

    Raises
    ------
    BrokenRecording
        If its rate is lower: the high frequencies are missing.

    Examples
    --------
    >>> len(resampled(Recording(np.sin(np.arange(441.0)), 44100), 8000).samples)
    80
    """
    if recording.rate == rate:
        return recording
    if recording.rate < rate:
        raise BrokenRecording(
            f"{recording.name}: has a rate of {recording.rate} Hz, {rate} Hz are needed; "
            f"train with sample_rate={recording.rate} (--rate)"
        )
    from scipy.signal import resample_poly

    common = int(np.gcd(recording.rate, rate))
    samples = resample_poly(recording.samples, rate // common, recording.rate // common)
    return replace(recording, samples=samples, rate=rate)
