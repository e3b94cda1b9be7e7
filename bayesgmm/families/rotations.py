"""Rotations of the axes of covariances: coordinates, the volume of all rotations, and draws.

A covariance does not change when an axis is turned to its opposite, or when two axes change places together with their
standard deviations. So each covariance has several rotations, which are copies of each other: coordinates are those of
a small one.

The determinant of R + diag(e) is linear in each e. So its sum over the signs e is 2^D times that for e = 0.

References
----------
.. [1] Cayley (1846), J. reine angew. Math. 32, 119-123: S and (I - S) (I + S)^-1.
.. [2] León, Massé & Rivest (2006), J. Multivariate Analysis 97(2), 412-430: the uniform measure in these numbers.
"""

import math

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array


def rotations(w: Array, n_features: int) -> Array:
    """Return rotations (..., D, D) from their coordinates w (..., D (D - 1) / 2).

    Examples
    --------
    A right angle.

    >>> rotations(np.array([np.arcsinh(1.0)]), 2).round(9) + 0.0
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    skew = _skew(w, n_features)
    return 2 * np.linalg.inv(np.eye(n_features) + skew) - np.eye(n_features)


def _skew(w: Array, n_features: int) -> Array:
    length = np.sqrt((w**2).sum(axis=-1, keepdims=True))
    factor = np.where(length > 0, np.sinh(length) / np.where(length > 0, length, 1.0), 1.0)
    skew = np.zeros((*w.shape[:-1], n_features, n_features))
    rows, columns = np.triu_indices(n_features, 1)
    skew[..., rows, columns] = factor * w
    skew[..., columns, rows] = -factor * w
    return skew


def turns(rotation: Array) -> Array:
    """Return the coordinates (..., D (D - 1) / 2) of rotations (..., D, D): the inverse of ``rotations``."""
    identity = np.eye(rotation.shape[-1])
    skew = np.linalg.solve(identity + rotation, identity - rotation)
    s = skew[..., *np.triu_indices(rotation.shape[-1], 1)]
    length = np.sqrt((s**2).sum(axis=-1, keepdims=True))
    return s * np.where(length > 0, np.arcsinh(length) / np.where(length > 0, length, 1.0), 1.0)


def log_uniform(w: Array, n_features: int) -> Array:
    """Compute the log density (...) of coordinates w (..., D (D - 1) / 2) for uniform axes, without its constant.

    It is that of uniform rotations, plus ``log_preference``.

    Examples
    --------
    >>> log_uniform(np.array([[0.0], [1.0]]), 2).round(3) + 0.0  # three times the logarithm of 1 / cosh(w)
    array([ 0.   , -1.301])
    """
    length = np.sqrt((w**2).sum(axis=-1))
    safe = np.where(length > 0, length, 1.0)
    factor = np.where(length > 0, np.sinh(length) / safe, 1.0)
    change = max(w.shape[-1] - 1, 0) * np.log(factor) + np.log(np.cosh(length))
    return np.asarray(change + n_features * _log_pivots(w, n_features))


def log_preference(w: Array, n_features: int) -> Array:
    """Compute the logarithm (...) of det(I + R) / 2, by which a rotation R is preferred to its copies.

    Copies are rotations with some axes turned to their opposites; the mean over all of them is 1.

    Examples
    --------
    >>> angles = np.array([[0.3], [0.3 - np.pi]])  # the same axes
    >>> float(np.exp(log_preference(np.arcsinh(np.tan(angles / 2)), 2)).mean().round(9))
    1.0
    """
    return _log_pivots(w, n_features) + (n_features - 1) * math.log(2)


def _log_pivots(w: Array, n_features: int) -> Array:
    """Return - log |I + S| (...)."""
    return np.asarray(-np.linalg.slogdet(np.eye(n_features) + _skew(w, n_features))[1])


def log_volume(n_features: int) -> float:
    r"""Return the logarithm of the integral of :math:`|I + S|^{-D}` over skew-symmetric matrices S.

    Examples
    --------
    >>> round(math.exp(log_volume(2)) / math.pi, 9)  # of 1 / (1 + s^2)^2
    0.5
    """
    spheres = (math.log(2) + (i + 1) / 2 * math.log(math.pi) - math.lgamma((i + 1) / 2) for i in range(1, n_features))
    return sum(spheres) - (n_features * (n_features - 1) / 2 + n_features - 1) * math.log(2)


def draw_rotations(rng: np.random.Generator, shape: tuple[int, ...], n_features: int) -> Array:
    """Draw uniform rotations (*shape, D, D)."""
    q, r = np.linalg.qr(rng.normal(size=(*shape, n_features, n_features)))
    q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    q[..., 0] *= np.linalg.det(q)[..., None]
    return q


def order_of_axes(near: Array) -> NDArray[np.intp]:
    """Return orders (..., D) of axes by which each is put at a column that it is near; the nearest pair comes first.

    Parameters
    ----------
    near : (..., D, D) float
        Positive numbers, larger if an axis (column) is nearer to a column of the data (row).
    """
    left = near.copy()
    d, flat = left.shape[-1], left.reshape(-1, *left.shape[-2:])
    order, each = np.empty((len(flat), d), dtype=np.intp), np.arange(len(flat))
    for _ in range(d):
        row, axis = np.divmod(flat.reshape(len(flat), -1).argmax(axis=1), d)
        order[each, row] = axis
        flat[each, row] = flat[each, :, axis] = -1.0
    return order.reshape(near.shape[:-1])


def turned_least(axes: Array) -> Array:
    """Return rotations R (..., D, D): matrices with orthogonal columns, some replaced by their opposites.

    det(I + R) is at least its mean over all choices, 2, so that coordinates are small: one column after the other
    takes the sign with the larger mean over the signs of the rest. The result does not depend on the signs given.
    """
    d, sign = axes.shape[-1], np.sign(np.linalg.det(axes))
    chosen = np.zeros(axes.shape[:-1])
    for j in range(d):
        mean = sign * np.linalg.det(axes + chosen[..., None] * np.eye(d))
        chosen[..., j] = 1.0
        positive = sign * np.linalg.det(axes + chosen[..., None] * np.eye(d))
        chosen[..., j] = np.where(positive >= mean, 1.0, -1.0)
    return np.asarray(axes * chosen[..., None, :])
