"""Recordings with labels: what a model is trained from, read, checked and heard."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps import audio
from bayesgmm.apps.cepstra import Frames, Hearing, frames
from bayesgmm.errors import DataError
from bayesgmm.estimators import arguments
from bayesgmm.stats import Array

TOUCHING = 0.1  # seconds between parts of a file of which one follows the other
MOST_RATE = 16_000  # Hz: unless told, what recordings are brought down to


@dataclass(frozen=True)
class Corpus:
    """Recordings to learn from, with a label, a group and a weight for each."""

    recordings: list[audio.Recording]
    labels: NDArray
    groups: NDArray
    weight: Array
    rate: int

    def only(self, rows: Sequence[int]) -> "Corpus":
        """A part of them."""
        chosen = np.asarray(rows, dtype=np.intp)
        recordings = [self.recordings[r] for r in rows]
        return Corpus(recordings, self.labels[chosen], self.groups[chosen], self.weight[chosen], self.rate)


def corpus_of(items: list[Any], y: Any, groups: Any, sample_weight: Any, rate: int | None, skip: bool) -> Corpus:
    """Read and check what a model is trained from.

    Raises
    ------
    DataError
        When labels, groups or weights don't go with the recordings; BrokenRecording when those can't be used.
    """
    labels = _as_labels("y", y, len(items))
    together = None if groups is None else _as_labels("groups", groups, len(items))
    weight = np.ones(len(items)) if sample_weight is None else _as_weight(sample_weight, len(items))
    counted = [i for i in range(len(items)) if weight[i] > 0]
    reader = cache(audio.read)

    def read(place: int) -> audio.Recording:
        item = items[place]
        if isinstance(item, tuple | list) and len(item) == 3:
            return audio.checked(replace(reader(Path(item[0])), start=float(item[1]), stop=float(item[2])))
        return audio.recording_of(item)

    good = audio.each_sound(counted, read, skip)
    rows = [counted[place] for place in good]
    recordings = list(good.values())
    names = np.array([_own_name(items[r], one, r) for one, r in zip(recordings, rows, strict=True)])
    return Corpus(
        recordings,
        labels[rows],
        names if together is None else together[rows],
        weight[rows],
        rate or min(MOST_RATE, *(one.rate for one in recordings)),
    )


def _own_name(item: Any, recording: audio.Recording, place: int) -> str:
    """What a recording is held out with: all parts of its file; one that has no file is alone."""
    return f"{recording.name} {place}" if isinstance(item, audio.Recording) else recording.name


def _as_labels(name: str, values: Any, count: int) -> NDArray:
    labels = np.asarray(values)
    if labels.dtype.kind == "O":
        if any(value is None or value != value for value in labels.reshape(-1)):
            raise DataError(f"{name} holds missing values; give a label for each recording")
        labels = np.array([str(value) for value in labels.reshape(-1)]).reshape(labels.shape)
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


def hear(corpus: Corpus, hearings: list[Hearing], least: int, skip: bool) -> tuple[Corpus, list[list[Frames]]]:
    """Frames of all recordings by each hearing; without those that are too short, where such are skipped."""
    good = audio.each_sound(corpus.recordings, lambda one: [frames(one, hearing, least) for hearing in hearings], skip)
    heard = [[all_[h] for all_ in good.values()] for h in range(len(hearings))]
    return corpus.only(list(good)), heard


def follows(corpus: Corpus, word: NDArray[np.intp], prior: Array) -> Array:
    """(C, C) how probable it is that a label follows another: counted where parts of files touch, else the prior."""
    order = sorted(range(len(word)), key=lambda r: (corpus.recordings[r].name, corpus.recordings[r].start))
    count = np.tile(prior, (len(prior), 1))
    for before, after in pairwise(order):
        one, other = corpus.recordings[before], corpus.recordings[after]
        if one.name == other.name and abs(one.stop - other.start) < TOUCHING:
            count[word[before], word[after]] += 1
    return count / count.sum(axis=1, keepdims=True)
