r"""Chains of states that are gone through from left to right: how probable frames are, and which state each is in.

A recording starts in the first state, stays in state s for another frame with probability :math:`p_s`, and is over when
it leaves the last:

.. math:: \alpha_{t+1,s} = e_{t+1,s} \left(\alpha_{ts}\, p_s + \alpha_{t,s-1}\, (1 - p_{s-1})\right), \qquad
          P(x) = \alpha_{TS} (1 - p_S)

All recordings are taken a frame at a time, side by side, so that the loop is as long as the longest of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array


@dataclass(frozen=True)
class Padded:
    """Recordings side by side.

    Parameters
    ----------
    values : (R, T, S) float
        Log density of each frame in each state, of R recordings; the shorter ones are padded.
    lengths : (R,) int
        How many frames each has.
    """

    values: Array
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, parts: Sequence[Array]) -> "Padded":
        """Recordings of (T_r, S) each."""
        lengths = np.array([len(part) for part in parts])
        values = np.zeros((len(parts), int(lengths.max()), parts[0].shape[1]))
        for r, part in enumerate(parts):
            values[r, : len(part)] = part
        return cls(values, lengths)

    def ends(self, time: int) -> NDArray[np.bool_]:
        """(R,) whether this is the last frame of each."""
        return self.lengths == time + 1


def _forward(emitted: Padded, stay: Array) -> Array:
    """(R, T, S) log probability of the frames so far, and of the state after them."""
    values = emitted.values
    with np.errstate(divide="ignore"):
        log_stay, log_leave = np.log(stay), np.log1p(-stay)
    ahead = np.full_like(values, -np.inf)
    ahead[:, 0, 0] = values[:, 0, 0]
    for t in range(1, values.shape[1]):
        before = ahead[:, t - 1]
        ahead[:, t, 0] = before[:, 0] + log_stay[0]
        ahead[:, t, 1:] = np.logaddexp(before[:, 1:] + log_stay[1:], before[:, :-1] + log_leave[:-1])
        ahead[:, t] += values[:, t]
    return ahead


def log_probability(emitted: Padded, stay: Array) -> Array:
    """(R,) log probability of whole recordings; minus infinity for one that is shorter than the chain.

    Parameters
    ----------
    emitted : Padded
    stay : (S,) float
        Probability of another frame in each state.

    Examples
    --------
    Two frames, two states, one way through: the first is left at once, and so is the second.

    >>> two = Padded.of([np.log([[0.5, 0.1], [0.1, 0.5]])])
    >>> np.exp(log_probability(two, np.array([0.2, 0.6]))).round(3)
    array([0.08])
    """
    ahead = _forward(emitted, stay)
    rows = np.arange(len(emitted.lengths))
    return ahead[rows, emitted.lengths - 1, -1] + np.log1p(-stay[-1])


def occupancies(emitted: Padded, stay: Array) -> tuple[Array, Array]:
    """Probability that a frame is in a state, given the whole recording (Baum et al. 1970).

    Parameters
    ----------
    emitted : Padded
        None shorter than the chain.
    stay : (S,) float

    Returns
    -------
    occupancy : (R, T, S) float
        Rows of frames that exist sum to one; others are zero.
    loglik : (R,) float
        Log probability of each recording.
    """
    ahead, behind = _forward(emitted, stay), _backward(emitted, stay)
    loglik = behind[:, 0, 0] + emitted.values[:, 0, 0]
    exists = np.arange(ahead.shape[1]) < emitted.lengths[:, None]
    occupancy = np.exp(np.where(exists[:, :, None], ahead + behind - loglik[:, None, None], -np.inf))
    return occupancy, loglik


def _backward(emitted: Padded, stay: Array) -> Array:
    """(R, T, S) log probability of the frames to come, given the state."""
    values = emitted.values
    with np.errstate(divide="ignore"):
        log_stay, log_leave = np.log(stay), np.log1p(-stay)
    behind = np.full_like(values, -np.inf)
    for t in range(values.shape[1] - 1, -1, -1):
        if t + 1 < values.shape[1]:
            after = behind[:, t + 1] + values[:, t + 1]
            behind[:, t, :-1] = np.logaddexp(after[:, :-1] + log_stay[:-1], after[:, 1:] + log_leave[:-1])
            behind[:, t, -1] = after[:, -1] + log_stay[-1]
        behind[emitted.ends(t), t, -1] = log_leave[-1]
    return behind


def evenly(lengths: NDArray[np.int64], n_states: int) -> Array:
    """(R, T, S) frames shared out evenly among the states, to begin with.

    Examples
    --------
    >>> evenly(np.array([4]), 2).argmax(axis=2)
    array([[0, 0, 1, 1]])
    """
    time = np.arange(int(lengths.max()))
    state = np.minimum(time * n_states // lengths[:, None], n_states - 1)
    exists = time < lengths[:, None]
    return np.where(exists[:, :, None], np.eye(n_states)[state], 0.0)
