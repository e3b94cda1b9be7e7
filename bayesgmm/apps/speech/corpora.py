"""Training data: labelled recordings, their validation and their features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.apps.speech import audio
from bayesgmm.apps.speech.cepstral_features import FeatureSettings, Frames, extract_frames
from bayesgmm.errors import DataError
from bayesgmm.estimators import arguments
from bayesgmm.progress import track
from bayesgmm.sweep.stats import Array

SKIP = "Fix or remove them, or skip them: skip_broken=True."
TOUCHING = 0.1  # seconds; maximum gap between consecutive parts of a file
MAX_RATE = 16_000  # Hz; default maximum of the sampling rate of features


@dataclass(frozen=True)
class Corpus:
    """Training recordings, or the errors of invalid ones, with their labels, groups and weights."""

    recordings: list[Any]
    labels: NDArray[Any]
    groups: NDArray[Any]
    weight: Array
    rate: int

    def only(self, rows: Sequence[int]) -> "Corpus":
        """Select recordings by index."""
        chosen = np.asarray(rows, dtype=np.intp)
        recordings = [self.recordings[r] for r in rows]
        return Corpus(recordings, self.labels[chosen], self.groups[chosen], self.weight[chosen], self.rate)


def corpus_of(
    items: list[object], y: ArrayLike, groups: ArrayLike | None, sample_weight: ArrayLike | None, rate: int | None
) -> Corpus:
    """Read training data.

    Invalid recordings are kept as errors, which ``extract_features`` reports together with those that are too short.

    Raises
    ------
    DataError
        If an item is not a recording, or labels, groups or weights do not match the recordings.
    """
    labels = _as_labels("y", y, len(items))
    given_groups = None if groups is None else _as_labels("groups", groups, len(items))
    weight = np.ones(len(items)) if sample_weight is None else _as_weight(sample_weight, len(items))
    rows = [row for row in range(len(items)) if weight[row] > 0]
    reader = cache(audio.read)
    recordings = [_opened(items[row], reader) for row in rows]
    names = [_default_group(items[row], one, row) for one, row in zip(recordings, rows, strict=True)]
    rates = [one.rate for one in recordings if isinstance(one, audio.Recording)]
    own = np.array(names) if given_groups is None else given_groups[rows]
    return Corpus(recordings, labels[rows], own, weight[rows], rate or min([MAX_RATE, *rates]))


def _opened(item: object, reader: "Callable[[Path], audio.Recording]") -> "audio.Recording | audio.BrokenRecording":
    try:
        return audio.recording_of(item, reader)
    except audio.BrokenRecording as error:
        return error


def _default_group(item: object, recording: object, place: int) -> str:
    """Default group of a recording for held-out evaluation: all parts of its file; without a file, it alone."""
    if isinstance(item, audio.Recording) or not isinstance(recording, audio.Recording):
        return f"recording {place}"
    return recording.name


def _as_labels(name: str, values: object, count: int) -> NDArray[Any]:
    """Convert labels to an array of text or whole numbers.

    Raises
    ------
    DataError
        If labels are missing, of another type, or not one for each recording.
    """
    import pandas as pd

    labels = np.asarray(values)
    if labels.dtype.kind == "O":
        if pd.isna(labels).any():
            raise DataError(f"{name} has missing values; give a label for each recording")
        labels = np.array(labels.tolist())  # text or numbers
    if labels.shape != (count,):
        raise DataError(f"{name} has shape {labels.shape} for {count} recordings; give one label for each")
    if labels.dtype.kind not in "iuUb":
        raise DataError(f"{name} has values of type {labels.dtype}; labels are text or whole numbers")
    return labels.astype(np.int64) if labels.dtype.kind == "b" else labels


def _as_weight(sample_weight: ArrayLike | None, count: int) -> Array:
    """Convert weights to an array.

    Raises
    ------
    DataError
        If weights are negative, all zero, or not one for each recording.
    """
    weight = arguments.numbers("sample_weight", sample_weight, (count,), "a weight for each recording")
    if (weight < 0).any() or not weight.sum() > 0:
        raise DataError("sample_weight must not be negative, and positive for at least one recording")
    return weight


def extract_features(
    corpus: Corpus,
    candidates: list[FeatureSettings],
    minimum: int,
    skip: bool,
    skipped: list[str] | None = None,
) -> tuple[Corpus, list[list[Frames]]]:
    """Extract the features of all recordings, with each of several settings.

    Parameters
    ----------
    corpus : Corpus
    candidates : list of FeatureSettings
    minimum : int
        Minimum number of speech frames.
    skip : bool
        Skip invalid recordings with a warning.
    skipped : list of str, optional
        Gets the names of the skipped recordings, each with the reason.

    Returns
    -------
    corpus : Corpus
        Without the skipped recordings.
    features : list of list of Frames
        For each of the settings, the frames of each recording.

    Raises
    ------
    BrokenRecording
        If recordings are invalid or too short, and not skipped.
    """

    def extract(one: Any) -> list[Frames]:
        if isinstance(one, audio.BrokenRecording):
            raise one
        return [extract_frames(one, feature_settings, minimum) for feature_settings in candidates]

    good = audio.each_recording(track(corpus.recordings, "extracting features"), extract, skip, SKIP, skipped)
    features = [[every[h] for every in good.values()] for h in range(len(candidates))]
    return corpus.only(list(good)), features


def bigram(corpus: Corpus, word: NDArray[np.intp], prior: Array) -> Array:
    """Estimate the probability (C, C) that a label follows another, from consecutive parts of files and the prior."""
    order = sorted(range(len(word)), key=lambda r: (id(corpus.recordings[r].samples), corpus.recordings[r].start))
    count = np.tile(prior, (len(prior), 1))
    for before, after in pairwise(order):
        one, other = corpus.recordings[before], corpus.recordings[after]
        if one.samples is other.samples and abs(one.stop - other.start) < TOUCHING:
            count[word[before], word[after]] += min(corpus.weight[before], corpus.weight[after])
    return count / count.sum(axis=1, keepdims=True)
