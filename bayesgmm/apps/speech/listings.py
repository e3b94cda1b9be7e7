"""Which recordings there are, and what is said in them: from a folder, or from a table of files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesgmm.data.points import is_numeric, listing
from bayesgmm.data.tables import read_frame
from bayesgmm.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class Listing:
    """What to train from.

    Parameters
    ----------
    recordings : list
        Paths, or (path, start, stop) in seconds.
    labels : list of str
    speakers : list of str, optional
        None where they are not known.
    """

    recordings: list[Any]
    labels: list[str]
    speakers: list[str] | None = None


def recordings_in(folder: str | Path) -> Listing:
    """Labels from the names of subfolders, ``LABEL/any name.wav``, or of files, ``LABEL_SPEAKER_TAKE.wav``.

    Raises
    ------
    DataError
        When there are none.
    """
    folder = Path(folder)
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SOUNDS and not p.name.startswith("."))
    if not paths:
        raise DataError(f"there are no recordings in {folder}; looked for {', '.join(SOUNDS)}")
    files: list[Any] = [str(p) for p in paths]
    if all(p.parent != folder for p in paths):
        if deep := [str(p.relative_to(folder)) for p in paths if p.parent.parent != folder]:
            raise DataError(
                f"{folder}: folders in folders, {listing(deep)}; which of them is the label?\n"
                "  Give a folder of LABEL/*.wav, or a CSV file with columns path, label and speaker."
            )
        return Listing(files, [p.parent.name for p in paths])
    names = [p.stem.split("_") for p in paths]
    if unnamed := [p.name for p, parts in zip(paths, names, strict=True) if len(parts) < 2 or not parts[0]]:
        raise DataError(
            f"{folder}: no label in the names of {listing(unnamed)}\n"
            "  Call files LABEL_SPEAKER_TAKE.wav, put them into a folder for each label, or give a CSV file with "
            "columns path and label."
        )
    speakers = [parts[1] for parts in names] if all(len(parts) > 2 for parts in names) else None
    return Listing(files, [parts[0] for parts in names], speakers)


def recordings_of(frame: "pd.DataFrame", where: str | Path) -> Listing:
    """Recordings that a table lists: columns ``path`` and ``label``; ``speaker``, ``start``, ``stop`` if it has them.

    Parameters
    ----------
    frame : DataFrame
    where : path
        The table's file: paths are taken from its folder.

    Raises
    ------
    DataError
        When a label or path is missing, or a part of a file has no start, no end, or no numbers for them.
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
    recordings: list[Any] = paths
    if times := [name for name in ("start", "stop") if name in frame.columns]:
        if len(times) < 2 or not all(is_numeric(frame[name]) for name in times):
            raise DataError(f"{where}: a part of a file needs columns start and stop, both in seconds")
        recordings = list(zip(paths, frame["start"].astype(float), frame["stop"].astype(float), strict=True))
    speakers = frame["speaker"].astype(str).tolist() if "speaker" in frame.columns else None
    return Listing(recordings, frame["label"].astype(str).tolist(), speakers)


def listed(source: str | Path) -> "Listing | pd.DataFrame":
    """What a folder or a CSV file lists; the table itself where it lists no recordings.

    Raises
    ------
    DataError
    """
    source = Path(source)
    if source.is_dir():
        return recordings_in(source)
    if source.suffix.lower() in SOUNDS:
        raise DataError(f"{source} is one recording; give a folder of them, or a CSV file with columns path and label")
    frame = read_frame(source)
    return recordings_of(frame, source) if "path" in frame.columns else frame
