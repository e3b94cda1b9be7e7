"""Lists of labelled recordings, from a folder or a table of files."""

import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from bayesgmm.data.columns import is_numeric
from bayesgmm.data.tables import read_frame
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.keywords import checks_keywords
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


@checks_keywords
def recordings_in(folder: str | Path, names: str | None = None) -> RecordingList:
    """List the recordings of a folder, with labels and speakers from the names of files and folders.

    Parameters
    ----------
    folder : path
    names : str, optional
        Layout of the names without extension: ``{label}``, optionally ``{speaker}``, and any other fields, which are
        ignored. For example '{take}_{label}', or '{speaker}/{label}_{take}' with a folder for each speaker. A field
        ends at the first character that follows it in the layout. Default: LABEL/name.wav if all files are in
        subfolders, else LABEL_SPEAKER_TAKE.wav.

    Returns
    -------
    RecordingList
        With ``recordings``, ``labels`` and ``speakers``, which ``SpeechClassifier.fit`` takes.

    Raises
    ------
    DataError
        If there are no recordings, a file name has no label or another layout, or subfolders are nested.
    DeclarationError
        If the layout has no label, or fields that can't be distinguished.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("01_one.wav", "02_two.wav"):
    ...         (Path(folder) / name).touch()
    ...     recordings_in(folder, names="{take}_{label}").labels
    ['one', 'two']
    """
    pattern = None if names is None else _pattern(names)
    folder = Path(folder)
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_FILES and not p.name.startswith("."))
    if not paths:
        raise DataError(f"there are no recordings in {folder}; looked for {', '.join(AUDIO_FILES)}")
    if names is not None and pattern is not None:
        return _matched(folder, paths, names, pattern)
    files: list[str] | list[tuple[str, float, float]] = [str(p) for p in paths]
    if all(p.parent != folder for p in paths):
        if deep := [str(p.relative_to(folder)) for p in paths if p.parent.parent != folder]:
            raise DataError(
                f"{folder}: nested folders, {listing(deep)}; the label is not defined\n"
                "  Give a folder of LABEL/*.wav, the layout, for example names='{speaker}/{label}/{take}', or a CSV "
                "file with columns path, label and speaker."
            )
        return RecordingList(files, [p.parent.name for p in paths])
    parts = [p.stem.split("_") for p in paths]
    if unnamed := [p.name for p, part in zip(paths, parts, strict=True) if len(part) < 2 or not part[0]]:
        raise DataError(
            f"{folder}: no label in the file names {listing(unnamed)}\n"
            "  Name files LABEL_SPEAKER_TAKE.wav, use one folder for each label, give the layout, for example "
            "names='{take}-{label}', or give a CSV file with columns path and label."
        )
    speakers = [part[1] for part in parts] if all(len(part) > 2 for part in parts) else None
    return RecordingList(files, [part[0] for part in parts], speakers)


def _pattern(names: str) -> re.Pattern[str]:
    """Convert a layout of names to a regular expression.

    Raises
    ------
    DeclarationError
        If it has no label, or fields that can't be distinguished.

    Examples
    --------
    >>> _pattern("{take}_{label}").fullmatch("01_ice_cream")["label"]
    'ice_cream'
    """
    try:
        parts = [(text, name) for text, name, _, _ in Formatter().parse(names)]
    except ValueError as error:
        raise DeclarationError(f"names={names!r}: {error}; write fields as {{label}}") from None
    fields = [name for _, name in parts if name is not None]
    if "label" not in fields or any(fields.count(name) > 1 for name in ("label", "speaker")):
        raise DeclarationError(f"names={names!r}: must have {{label}} once, and {{speaker}} at most once")
    followed = [text for text, _ in parts[1:]] + [""]
    if any(not text for (_, name), text in zip(parts[:-1], followed, strict=False) if name is not None):
        raise DeclarationError(f"names={names!r}: needs a character between two fields, for example {{take}}_{{label}}")
    expression = ""
    for (text, name), after in zip(parts, followed, strict=True):
        kind = f"(?P<{name}>" if name in ("label", "speaker") else "(?:"
        expression += re.escape(text) + ("" if name is None else f"{kind}[^/{re.escape(after[:1])}]+)")
    return re.compile(expression)


def _matched(folder: Path, paths: list[Path], names: str, pattern: re.Pattern[str]) -> RecordingList:
    """Read labels and speakers from the end of each path, with as many folders as the layout.

    Raises
    ------
    DataError
        If names have another layout.
    """
    depth = names.count("/") + 1
    found = {p: pattern.fullmatch("/".join(p.relative_to(folder).with_suffix("").parts[-depth:])) for p in paths}
    if others := [str(p.relative_to(folder)) for p, match in found.items() if match is None]:
        raise DataError(f"{folder}: {listing(others)} do not have the layout names={names!r}")
    groups = [match.groupdict() for match in found.values() if match is not None]
    speakers = [group["speaker"] for group in groups] if "speaker" in pattern.groupindex else None
    return RecordingList([str(p) for p in paths], [group["label"] for group in groups], speakers)


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


def read_recordings(source: str | Path, names: str | None = None) -> "RecordingList | pd.DataFrame":
    """Read a list of recordings from a folder or table; a table without paths is returned itself.

    Raises
    ------
    DataError
        If it is a single recording, or the folder or table can't be used, or a table is given with a layout of names.
    DeclarationError
        If the layout has no label, or fields that can't be distinguished.
    """
    source = Path(source)
    if source.is_dir():
        return recordings_in(source, names)
    if names is not None:
        raise DataError(f"{source} is not a folder; a layout of names (names={names!r}) is only for folders")
    if source.suffix.lower() in AUDIO_FILES:
        raise DataError(f"{source} is one recording; give a folder of them, or a CSV file with columns path and label")
    frame = read_frame(source)
    return recordings_of(frame, source) if "path" in frame.columns else frame
