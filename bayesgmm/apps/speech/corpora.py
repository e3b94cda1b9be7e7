"""Recordings with labels: what a model is trained from, read, checked and heard."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.speech import audio
from bayesgmm.apps.speech.cepstra import Frames, Hearing, frames
from bayesgmm.errors import DataError
from bayesgmm.estimators import arguments
from bayesgmm.progress import track
from bayesgmm.sweep.stats import Array

SKIP = "Mend or remove them, or leave them out: skip_broken=True (--skip-broken)."
TOUCHING = 0.1  # seconds between parts of a file of which one follows the other
MOST_RATE = 16_000  # Hz: unless told, what recordings are brought down to


@dataclass(frozen=True)
class Corpus:
    """Recordings to learn from, or why they can't be; with a label, a group and a weight for each."""

    recordings: list[Any]
    labels: NDArray
    groups: NDArray
    weight: Array
    rate: int

    def only(self, rows: Sequence[int]) -> "Corpus":
        """A part of them."""
        chosen = np.asarray(rows, dtype=np.intp)
        recordings = [self.recordings[r] for r in rows]
        return Corpus(recordings, self.labels[chosen], self.groups[chosen], self.weight[chosen], self.rate)


def corpus_of(items: list[Any], y: Any, groups: Any, sample_weight: Any, rate: int | None) -> Corpus:
    """Read what a model is trained from; what is broken is said by ``hear``, together with what is too short.

    Raises
    ------
    DataError
        When labels, groups or weights don't go with the recordings.
    """
    labels = _as_labels("y", y, len(items))
    together = None if groups is None else _as_labels("groups", groups, len(items))
    weight = np.ones(len(items)) if sample_weight is None else _as_weight(sample_weight, len(items))
    rows = [row for row in range(len(items)) if weight[row] > 0]
    reader = cache(audio.read)
    opened = [_opened(items[row], reader) for row in rows]
    names = [_own_name(items[row], one, row) for one, row in zip(opened, rows, strict=True)]
    rates = [one.rate for one in opened if isinstance(one, audio.Recording)]
    own = np.array(names) if together is None else together[rows]
    return Corpus(opened, labels[rows], own, weight[rows], rate or min([MOST_RATE, *rates]))


def _opened(item: Any, reader: Any) -> "audio.Recording | audio.BrokenRecording":
    try:
        return audio.recording_of(item, reader)
    except audio.BrokenRecording as error:
        return error


def _own_name(item: Any, recording: Any, place: int) -> str:
    """What a recording is held out with: all parts of its file; one that has no file is alone."""
    if isinstance(item, audio.Recording) or not isinstance(recording, audio.Recording):
        return f"recording {place}"
    return recording.name


def _as_labels(name: str, values: Any, count: int) -> NDArray:
    import pandas as pd

    labels = np.asarray(values)
    if labels.dtype.kind == "O":
        if pd.isna(labels).any():
            raise DataError(f"{name} holds missing values; give a label for each recording")
        labels = np.array(labels.tolist())  # text, or numbers, as they are
    if labels.shape != (count,):
        raise DataError(f"{name} has shape {labels.shape} for {count} recordings; give one label for each")
    if labels.dtype.kind not in "iuUb":
        raise DataError(f"{name} holds values of type {labels.dtype}; labels are text or whole numbers")
    return labels.astype(np.int64) if labels.dtype.kind == "b" else labels


def _as_weight(sample_weight: Any, count: int) -> Array:
    weight = arguments.numbers("sample_weight", sample_weight, (count,), "how many recordings each stands for")
    if (weight < 0).any() or not weight.sum() > 0:
        raise DataError("sample_weight must be 0 or more, and more than 0 for some")
    return weight


def hear(
    corpus: Corpus, hearings: list[Hearing], least: int, skip: bool, progress: bool = True
) -> tuple[Corpus, list[list[Frames]]]:
    """Frames of all recordings by each hearing; those that are broken or too short are an error, or left out.

    Raises
    ------
    BrokenRecording
    """

    def listen(one: Any) -> list[Frames]:
        if isinstance(one, audio.BrokenRecording):
            raise one
        return [frames(one, hearing, least) for hearing in hearings]

    good = audio.each_sound(track(corpus.recordings, "listening", progress), listen, skip, SKIP)
    heard = [[every[h] for every in good.values()] for h in range(len(hearings))]
    return corpus.only(list(good)), heard


def follows(corpus: Corpus, word: NDArray[np.intp], prior: Array) -> Array:
    """(C, C) how probable it is that a label follows another: counted where parts of a file touch, else the prior."""
    order = sorted(range(len(word)), key=lambda r: (id(corpus.recordings[r].samples), corpus.recordings[r].start))
    count = np.tile(prior, (len(prior), 1))
    for before, after in pairwise(order):
        one, other = corpus.recordings[before], corpus.recordings[after]
        if one.samples is other.samples and abs(one.stop - other.start) < TOUCHING:
            count[word[before], word[after]] += min(corpus.weight[before], corpus.weight[after])
    return count / count.sum(axis=1, keepdims=True)
