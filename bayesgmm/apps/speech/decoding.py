"""Decoding of word sequences: the most probable path through a network of all words and silence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.extras import extra
from bayesgmm.apps.speech.calibration import tempered
from bayesgmm.apps.speech.word_models import WordModels
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

PAUSE = 0.5  # probability of silence after a word
PAUSE_STAYS = 0.9  # self-transition probability of silence; its mean duration is 0.1 s
FAINTEST = 40.0  # nats; lower limit of a state's log density relative to the best state
QUIETEST = 0.1  # fraction of frames, the quietest, that estimate the background noise
FORBIDDEN = 1e-300  # smaller transition probabilities are treated as zero


@dataclass(frozen=True)
class Decoder:
    """Decoder of word sequences: a loop of all words, with silence between them.

    Parameters
    ----------
    labels : (C,) str
    words : WordModels
    silence : WordModels
        Model with one word and one state.
    bigram : (C, C) float
        Probability that a word is followed by another; rows sum to one.
    prior : (C,) float
        Probability of each word after silence.
    exponent : float
        Exponent of the density of a frame.
    step : float
        Seconds between frames.
    """

    labels: NDArray[Any]
    words: WordModels
    silence: WordModels
    bigram: Array
    prior: Array
    exponent: float
    step: float

    def transitions(self) -> tuple[Array, Array]:
        """Compute initial weights (n,) and transition weights (n, n) of the states; silence is the last state.

        The duration of a word is a sum of S geometric variables, each at least one frame. Self-transition and leaving
        probabilities belong to the density of the frames and get the same exponent; the probabilities of words do not.
        """
        n_words, n_states = self.words.stay.shape
        size = n_words * n_states + 1
        first = np.arange(n_words) * n_states
        last = first + n_states - 1
        stay = np.append(self.words.stay.reshape(-1), PAUSE_STAYS)
        stays, leaves = stay**self.exponent, (1 - stay) ** self.exponent
        chain = np.diag(stays)
        chain[np.arange(size - 1), np.arange(1, size)] = leaves[:-1]
        chain[last, -1] = leaves[last] * PAUSE
        chain[last[:-1], last[:-1] + 1] = 0.0
        chain[np.ix_(last, first)] += leaves[last][:, None] * (1 - PAUSE) * self.bigram
        chain[-1, first] = leaves[-1] * self.prior
        begin = np.zeros(size)
        begin[first], begin[-1] = self.prior / 2, 0.5
        return begin, chain

    def log_weights(self, values: Array) -> Array:
        """Compute tempered log densities (T, n) of frames (T, D) in each state."""
        words = self.words.log_density(values).reshape(len(values), -1)
        return self.exponent * np.column_stack([words, adapted_silence(values, self.silence).log_density(values)[:, 0]])

    def ends(self) -> Array:
        """Compute final weights (n,): a word ends by leaving its last state."""
        over = np.zeros_like(self.words.stay)
        over[:, -1] = (1 - self.words.stay[:, -1]) ** self.exponent
        return np.append(over.reshape(-1), 1.0)

    def path(self, values: Array) -> NDArray[np.int64]:
        """Find the most probable state path (T,) of frames (T, D).

        References
        ----------
        .. [1] Viterbi (1967), IEEE Trans. Inf. Theory 13(2), 260-269; by librosa's ``sequence.viterbi``.
        """
        librosa = extra("librosa", "librosa")
        begin, chain = self.transitions()
        total = chain.sum(axis=1)  # librosa needs rows that sum to one; the factor is added to the frame's log weight
        log = self.log_weights(values)
        log[:-1] += np.log(total)
        log -= log.max(axis=1, keepdims=True)
        emitted = np.exp(np.maximum(log, -FAINTEST)).T
        emitted[:, -1] *= self.ends()
        path = librosa.sequence.viterbi(emitted, chain / total[:, None], p_init=begin, transition_min_prob=FORBIDDEN)
        return path.astype(np.int64)

    def transcribe(self, values: Array, start: float, stop: float) -> "pd.DataFrame":
        """Transcribe frames (T, D) between two times in seconds.

        Returns
        -------
        DataFrame
            ``start`` and ``end`` in seconds, ``label``, and its ``probability`` among all labels, given the times.
        """
        import pandas as pd

        path = self.path(values)
        n_words, n_states = self.words.stay.shape
        rows = []
        for first, end in word_segments(path, n_states):
            word = int(path[first]) // n_states
            if word == n_words:
                continue
            times = start + first * self.step, min(start + end * self.step, stop)
            with np.errstate(divide="ignore"):
                log_prior = np.log(self.prior)
            log = tempered(self.words.log_likelihood([values[first:end]]), log_prior, self.exponent)
            rows.append((*times, self.labels[word], float(np.exp(log[0, word]))))
        return pd.DataFrame(rows, columns=["start", "end", "label", "probability"])


def word_segments(path: NDArray[np.int64], n_states: int) -> list[tuple[int, int]]:
    """Divide a state path into words (first frame, end), at changes of word and returns to a first state.

    Examples
    --------
    >>> word_segments(np.array([0, 1, 1, 0, 1, 4]), n_states=2)
    [(0, 3), (3, 5), (5, 6)]
    """
    new = (path[1:] // n_states != path[:-1] // n_states) | (path[1:] < path[:-1])
    cuts = [0, *(np.flatnonzero(new) + 1).tolist(), len(path)]
    return list(pairwise(cuts))


def silence(quiet: Sequence[Array], words: WordModels, shrinkage: float) -> WordModels:
    """Estimate a model of silence with one state, from quiet frames (T_r, D) of each recording.

    Its covariance is shrunk towards the mean covariance of the words, because there may be few such frames.
    """
    rows = np.concatenate(quiet)
    target = words.covariance.mean(axis=(0, 1, 2, 3))
    mean = rows.mean(axis=0)
    covariance = ((rows - mean).T @ (rows - mean) + shrinkage * target) / (len(rows) + shrinkage)
    shape = (1, 1, 1, 1)
    return WordModels(
        np.ones(shape),
        mean.reshape(*shape, -1),
        covariance.reshape(*shape, *covariance.shape),
        np.zeros((1, 1)),
        words.standard,
        words.columns,
    )


def adapted_silence(values: Array, known: WordModels) -> WordModels:
    """Adapt the model of silence to the background noise of a recording: one state with both as components.

    The quiet frames of (T, D) are those with the lowest first cepstral coefficient, the energy. In a recording without
    pauses these are its faintest sounds, which also lie between words.
    """
    quiet = values[:, 0] <= np.quantile(values[:, 0], QUIETEST)
    own = values[quiet].mean(axis=0)[None, None, None, None]
    return replace(
        known,
        weight=np.concatenate([known.weight, known.weight], axis=3) / 2,
        mean=np.concatenate([known.mean, own], axis=3),
        covariance=np.concatenate([known.covariance, known.covariance], axis=3),
    )
