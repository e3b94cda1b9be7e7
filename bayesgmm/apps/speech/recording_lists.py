"""Lists of labelled recordings, from a folder or a table of files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.data.columns import is_numeric
from bayesgmm.data.tables import read_frame
from bayesgmm.errors import DataError
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import pandas as pd

AUDIO_FILES = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class RecordingList:
    """Labelled recordings.

    Parameters
    ----------
    recordings : list
        Paths, or (path, start, stop) in seconds.
    labels : list of str
    speakers : list of str, optional
        None if unknown.
    """

    recordings: list[str] | list[tuple[str, float, float]]
    labels: list[str]
    speakers: list[str] | None = None


def recordings_in(folder: str | Path) -> RecordingList:
    """List the recordings of a folder, with labels from ``LABEL/name.wav`` or ``LABEL_SPEAKER_TAKE.wav``.

    Raises
    ------
    DataError
        If there are no recordings, a file name has no label, or subfolders are nested.
    """
    folder = Path(folder)
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_FILES and not p.name.startswith("."))
    if not paths:
        raise DataError(f"there are no recordings in {folder}; looked for {', '.join(AUDIO_FILES)}")
    files: list[str] | list[tuple[str, float, float]] = [str(p) for p in paths]
    if all(p.parent != folder for p in paths):
        if deep := [str(p.relative_to(folder)) for p in paths if p.parent.parent != folder]:
            raise DataError(
                f"{folder}: nested folders, {listing(deep)}; the label is not defined\n"
                "  Give a folder of LABEL/*.wav, or a CSV file with columns path, label and speaker."
            )
        return RecordingList(files, [p.parent.name for p in paths])
    names = [p.stem.split("_") for p in paths]
    if unnamed := [p.name for p, parts in zip(paths, names, strict=True) if len(parts) < 2 or not parts[0]]:
        raise DataError(
            f"{folder}: no label in the file names {listing(unnamed)}\n"
            "  Name files LABEL_SPEAKER_TAKE.wav, use one folder for each label, or give a CSV file with "
            "columns path and label."
        )
    speakers = [parts[1] for parts in names] if all(len(parts) > 2 for parts in names) else None
    return RecordingList(files, [parts[0] for parts in names], speakers)


def recordings_of(frame: "pd.DataFrame", where: str | Path) -> RecordingList:
    """List the recordings of a table: columns ``path`` and ``label``, optionally ``speaker``, ``start``, ``stop``.

    Parameters
    ----------
    frame : DataFrame
    where : path
        File of the table; paths are relative to its folder.

    Raises
    ------
    DataError
        If there is no column ``label``, values are missing, or only one of ``start`` and ``stop`` is given or is not
        numeric.
    """
    if "label" not in frame.columns:
        raise DataError(
            f"{where} has a column path, but no column label; it has {listing([str(name) for name in frame.columns])}"
        )
    needed = [name for name in ("path", "label", "speaker", "start", "stop") if name in frame.columns]
    if missing := [name for name in needed if frame[name].isna().any()]:
        raise DataError(f"{where} has rows without {listing(missing)}; fill or drop them")
    folder = Path(where).parent
    paths = [str(folder / str(path)) for path in frame["path"]]
    recordings: list[str] | list[tuple[str, float, float]] = paths
    if times := [name for name in ("start", "stop") if name in frame.columns]:
        if len(times) < 2 or not all(is_numeric(frame[name]) for name in times):
            raise DataError(f"{where}: a part of a file needs columns start and stop, both in seconds")
        recordings = list(zip(paths, frame["start"].astype(float), frame["stop"].astype(float), strict=True))
    speakers = frame["speaker"].astype(str).tolist() if "speaker" in frame.columns else None
    return RecordingList(recordings, frame["label"].astype(str).tolist(), speakers)


def read_recordings(source: str | Path) -> "RecordingList | pd.DataFrame":
    """Read a list of recordings from a folder or table; a table without paths is returned itself.

    Raises
    ------
    DataError
        If it is a single recording, or the folder or table can't be used.
    """
    source = Path(source)
    if source.is_dir():
        return recordings_in(source)
    if source.suffix.lower() in AUDIO_FILES:
        raise DataError(f"{source} is one recording; give a folder of them, or a CSV file with columns path and label")
    frame = read_frame(source)
    return recordings_of(frame, source) if "path" in frame.columns else frame
