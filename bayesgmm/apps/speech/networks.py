"""Which words were said, and when: the most probable way through a network in which any word may follow any other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.extras import extra
from bayesgmm.apps.speech.calibration import tempered
from bayesgmm.apps.speech.word_models import Words
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

PAUSE = 0.5  # probability of silence after a word
PAUSE_STAYS = 0.9  # and of another frame of it: 0.1 s on average
FAINTEST = 40.0  # nats below a frame's best state: no frame rules a state out for good
QUIETEST = 0.1  # share of a recording's frames that say what its pauses sound like
FORBIDDEN = 1e-300  # transitions that are less probable do not exist


@dataclass(frozen=True)
class Network:
    """Words in a loop, with silence between them.

    Parameters
    ----------
    labels : (C,) str
    words : Words
    silence : Words
        One word of one state.
    follows : (C, C) float
        Probability that a word is followed by another; rows sum to one.
    prior : (C,) float
        Probability of a word after silence.
    exponent : float
        Of the density of a frame.
    step : float
        Seconds from one frame to the next.
    """

    labels: NDArray
    words: Words
    silence: Words
    follows: Array
    prior: Array
    exponent: float
    step: float

    def transitions(self) -> tuple[Array, Array]:
        """Weights of the states to begin with (n,), and of a state after another (n, n); silence is the last.

        A word takes as long as its states do: the sum of S geometric times, none less than a frame. How long it takes
        belongs to the density of its frames, and has the same exponent; which word it is does not.
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
        chain[np.ix_(last, first)] += leaves[last][:, None] * (1 - PAUSE) * self.follows
        chain[-1, first] = leaves[-1] * self.prior
        begin = np.zeros(size)
        begin[first], begin[-1] = self.prior / 2, 0.5
        return begin, chain

    def log_weights(self, values: Array) -> Array:
        """(T, n) logarithm of what frames (T, D) weigh in each state."""
        words = self.words.log_density(values).reshape(len(values), -1)
        return self.exponent * np.column_stack([words, silence_in(values, self.silence).log_density(values)[:, 0]])

    def ends(self) -> Array:
        """(n,) weight of a state to be the last: a word is over when it leaves its last state."""
        over = np.zeros_like(self.words.stay)
        over[:, -1] = (1 - self.words.stay[:, -1]) ** self.exponent
        return np.append(over.reshape(-1), 1.0)

    def path(self, values: Array) -> NDArray[np.int64]:
        """(T,) the state of each frame (T, D) on the most probable way.

        References
        ----------
        .. [1] Viterbi (1967), IEEE Trans. Inf. Theory 13(2), 260-269; by librosa's ``sequence.viterbi``.
        """
        librosa = extra("librosa", "librosa")
        begin, chain = self.transitions()
        total = chain.sum(axis=1)  # librosa wants rows that sum to one: what that takes is given back with the frame
        log = self.log_weights(values)
        log[:-1] += np.log(total)
        log -= log.max(axis=1, keepdims=True)
        emitted = np.exp(np.maximum(log, -FAINTEST)).T
        emitted[:, -1] *= self.ends()
        path = librosa.sequence.viterbi(emitted, chain / total[:, None], p_init=begin, transition_min_prob=FORBIDDEN)
        return path.astype(np.int64)

    def transcribe(self, values: Array, start: float, stop: float) -> "pd.DataFrame":
        """Words in their order, of frames (T, D) between two times in seconds.

        Returns
        -------
        DataFrame
            ``start`` and ``end`` in seconds, ``label``, and its ``probability``: among all labels, were the times
            known.
        """
        import pandas as pd

        path = self.path(values)
        n_words, n_states = self.words.stay.shape
        rows = []
        for first, end in stretches(path, n_states):
            word = int(path[first]) // n_states
            if word == n_words:
                continue
            times = start + first * self.step, min(start + end * self.step, stop)
            with np.errstate(divide="ignore"):
                log_prior = np.log(self.prior)
            log = tempered(self.words.log_likelihood([values[first:end]]), log_prior, self.exponent)
            rows.append((*times, self.labels[word], float(np.exp(log[0, word]))))
        return pd.DataFrame(rows, columns=["start", "end", "label", "probability"])


def stretches(path: NDArray[np.int64], n_states: int) -> list[tuple[int, int]]:
    """First frame and end of each word on a path: a new one begins with another word, or with its own first state.

    Examples
    --------
    >>> stretches(np.array([0, 1, 1, 0, 1, 4]), n_states=2)
    [(0, 3), (3, 5), (5, 6)]
    """
    new = (path[1:] // n_states != path[:-1] // n_states) | (path[1:] < path[:-1])
    cuts = [0, *(np.flatnonzero(new) + 1).tolist(), len(path)]
    return list(pairwise(cuts))


def silence(quiet: Sequence[Array], words: Words, shrinkage: float) -> Words:
    """One state for what is no speech, from quiet frames, (T_r, D) of each recording.

    Its covariance is shrunk to the mean of the words': there may be hardly any such frames.
    """
    rows = np.concatenate(quiet)
    about = words.covariance.mean(axis=(0, 1, 2, 3))
    mean = rows.mean(axis=0)
    covariance = ((rows - mean).T @ (rows - mean) + shrinkage * about) / (len(rows) + shrinkage)
    shape = (1, 1, 1, 1)
    return Words(
        np.ones(shape),
        mean.reshape(*shape, -1),
        covariance.reshape(*shape, *covariance.shape),
        np.zeros((1, 1)),
        words.standard,
        words.columns,
    )


def silence_in(values: Array, known: Words) -> Words:
    """The silence that is known, or that of a recording, as one state: no room is as quiet as another.

    What is quiet in frames (T, D) is told by their first cepstrum, the energy; a recording without a pause has its
    faintest sounds there, which lie between words, too.
    """
    faint = values[:, 0] <= np.quantile(values[:, 0], QUIETEST)
    own = values[faint].mean(axis=0)[None, None, None, None]
    return replace(
        known,
        weight=np.concatenate([known.weight, known.weight], axis=3) / 2,
        mean=np.concatenate([known.mean, own], axis=3),
        covariance=np.concatenate([known.covariance, known.covariance], axis=3),
    )
