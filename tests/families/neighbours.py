"""Covariances near given ones in the same family, by volume, shape and orientation, whatever its coordinates are."""

import numpy as np
from scipy.linalg import expm


def near(letters, covariance, rng, step):
    """Covariances (K, D, D) of a family in mclust's letters, each part of them changed by random steps."""
    k, d = covariance.shape[:2]
    volume, shape, orientation = (times(letter, k) for letter in letters)
    variance, axes = np.linalg.eigh(covariance)
    if letters[2] == "I":  # the axes are the columns, whatever the order of the variances
        variance, axes = np.diagonal(covariance, axis1=1, axis2=2), np.broadcast_to(np.eye(d), covariance.shape)
    change = step * rng.normal(size=(k, d))[shape[:, None], np.arange(d)] * (letters[1] != "I")
    change = change - change.mean(axis=1, keepdims=True) + step * rng.normal(size=k)[volume][:, None]
    changed = (axes * (variance * np.exp(change))[:, None, :]) @ np.swapaxes(axes, 1, 2)
    turns = step * rng.normal(size=(k, d, d)) * (letters[2] != "I")
    turns = np.array([expm(one - one.T) for one in turns])[orientation]
    return turns @ changed @ np.swapaxes(turns, 1, 2)


def times(letter, k):
    """Number (K,) of the random step that each component takes: its own, or that of the first one."""
    return np.arange(k) if letter == "V" else np.zeros(k, dtype=int)
