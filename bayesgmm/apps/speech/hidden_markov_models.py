r"""Left-to-right hidden Markov models: log probabilities of recordings, and posterior state probabilities of frames.

A recording starts in the first state, stays in state s with probability :math:`p_s` from frame to frame, and ends by
leaving the last state:

.. math:: \alpha_{t+1,s} = e_{t+1,s} \left(\alpha_{ts}\, p_s + \alpha_{t,s-1}\, (1 - p_{s-1})\right), \qquad
          P(x) = \alpha_{TS} (1 - p_S)

All recordings are processed together, one frame at a time, so that the loop has the length of the longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array


@dataclass(frozen=True)
class Padded:
    """Log densities of R recordings, padded to the same length.

    Parameters
    ----------
    values : (R, T, S) float
        Log density of each frame in each state.
    lengths : (R,) int
        Number of frames of each recording.
    """

    values: Array
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, parts: Sequence[Array]) -> "Padded":
        """Pad recordings of (T_r, S) each."""
        lengths = np.array([len(part) for part in parts])
        values = np.zeros((len(parts), int(lengths.max()), parts[0].shape[1]))
        for r, part in enumerate(parts):
            values[r, : len(part)] = part
        return cls(values, lengths)

    def ends(self, time: int) -> NDArray[np.bool_]:
        """Mask (R,) of the recordings whose last frame this is."""
        return self.lengths == time + 1


def _forward(emitted: Padded, stay: Array) -> Array:
    """Log forward probabilities (R, T, S) of the frames up to each one, and its state."""
    values = emitted.values
    with np.errstate(divide="ignore"):
        log_stay, log_leave = np.log(stay), np.log1p(-stay)
    forward = np.full_like(values, -np.inf)
    forward[:, 0, 0] = values[:, 0, 0]
    for t in range(1, values.shape[1]):
        previous = forward[:, t - 1]
        forward[:, t, 0] = previous[:, 0] + log_stay[0]
        forward[:, t, 1:] = np.logaddexp(previous[:, 1:] + log_stay[1:], previous[:, :-1] + log_leave[:-1])
        forward[:, t] += values[:, t]
    return forward


def log_probability(emitted: Padded, stay: Array) -> Array:
    """Compute log probabilities (R,) of recordings; minus infinity for one with fewer frames than states.

    Parameters
    ----------
    emitted : Padded
    stay : (S,) float
        Self-transition probability of each state.

    Examples
    --------
    Two frames and two states allow one path, which leaves each state after one frame.

    >>> two = Padded.of([np.log([[0.5, 0.1], [0.1, 0.5]])])
    >>> np.exp(log_probability(two, np.array([0.2, 0.6]))).round(3)
    array([0.08])
    """
    forward = _forward(emitted, stay)
    rows = np.arange(len(emitted.lengths))
    return forward[rows, emitted.lengths - 1, -1] + np.log1p(-stay[-1])


def occupancies(emitted: Padded, stay: Array) -> tuple[Array, Array]:
    """Compute posterior state probabilities of frames, by the forward-backward algorithm (Baum et al. 1970).

    Parameters
    ----------
    emitted : Padded
        Each recording has at least S frames.
    stay : (S,) float

    Returns
    -------
    occupancy : (R, T, S) float
        Sums to one over states; zero for padding.
    loglik : (R,) float
        Log probability of each recording.
    """
    forward, backward = _forward(emitted, stay), _backward(emitted, stay)
    loglik = backward[:, 0, 0] + emitted.values[:, 0, 0]
    exists = np.arange(forward.shape[1]) < emitted.lengths[:, None]
    occupancy = np.exp(np.where(exists[:, :, None], forward + backward - loglik[:, None, None], -np.inf))
    return occupancy, loglik


def _backward(emitted: Padded, stay: Array) -> Array:
    """Log backward probabilities (R, T, S) of the later frames, given the state."""
    values = emitted.values
    with np.errstate(divide="ignore"):
        log_stay, log_leave = np.log(stay), np.log1p(-stay)
    backward = np.full_like(values, -np.inf)
    for t in range(values.shape[1] - 1, -1, -1):
        if t + 1 < values.shape[1]:
            following = backward[:, t + 1] + values[:, t + 1]
            backward[:, t, :-1] = np.logaddexp(following[:, :-1] + log_stay[:-1], following[:, 1:] + log_leave[:-1])
            backward[:, t, -1] = following[:, -1] + log_stay[-1]
        backward[emitted.ends(t), t, -1] = log_leave[-1]
    return backward


def uniform_occupancies(lengths: NDArray[np.int64], n_states: int) -> Array:
    """Initial occupancies (R, T, S): the frames are divided evenly among the states.

    Examples
    --------
    >>> uniform_occupancies(np.array([4]), 2).argmax(axis=2)
    array([[0, 0, 1, 1]])
    """
    time = np.arange(int(lengths.max()))
    state = np.minimum(time * n_states // lengths[:, None], n_states - 1)
    exists = time < lengths[:, None]
    return np.where(exists[:, :, None], np.eye(n_states)[state], 0.0)
