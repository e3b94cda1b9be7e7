"""Axes that several covariances have in common: rotations plane by plane; compiled."""

import math

from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import Array

STILL = 1e-9  # sine of the largest rotation of a round, after which the axes count as found
ROUNDS = 200  # maximum number of rounds over all planes


@kernel
def rotate_to_common_axes(covariance: Array, n: Array, equal_volumes: bool, axes: Array) -> None:
    """Rotate the axes (S, D, D), columns, of S mixtures until they fit all their covariances (S, K, D, D) best.

    It minimises the sum of ``n log(d)`` over components and axes, where d is the variance of a component along an axis;
    with equal volumes, the logarithm of the sum of ``n |d|**(1 / D)``, |d| the product over axes. In each plane of two
    axes the best rotation has a closed form for given d: the axes of a weighted sum of the covariances. So no rotation
    raises the sum, whatever the start. ``covariance`` must be symmetric; it is overwritten by the covariances in the
    coordinates of the axes.

    References
    ----------
    .. [1] Flury & Gautschi (1986), SIAM J. Sci. Stat. Comput. 7(1), 169-184.
    .. [2] Browne & McNicholas (2014), Stat. Comput. 24, 203-210.
    """
    n_features = covariance.shape[2]
    for s in range(covariance.shape[0]):
        for _ in range(ROUNDS):
            largest = 0.0
            for i in range(1, n_features):
                for j in range(i):
                    cosine, sine = _best_rotation(covariance[s], n[s], equal_volumes, i, j)
                    largest = max(largest, abs(sine))
                    _turn(covariance[s], axes[s], i, j, cosine, sine)
            if not largest > STILL:
                break


@jit
def _best_rotation(covariance: Array, n: Array, equal_volumes: bool, i: int, j: int) -> tuple[float, float]:
    """Cosine and sine of the rotation of axes i and j, for the present variances along the axes."""
    n_features = covariance.shape[1]
    across = between = 0.0  # of the sum of the covariances in the plane, weighted by differences of precisions
    for k in range(covariance.shape[0]):
        weight = n[k]
        if equal_volumes:
            log_volume = 0.0
            for t in range(n_features):
                log_volume += math.log(covariance[k, t, t])
            weight *= math.exp(log_volume / n_features)
        weight *= 1 / covariance[k, i, i] - 1 / covariance[k, j, j]
        across += weight * (covariance[k, i, i] - covariance[k, j, j])
        between += weight * covariance[k, i, j]
    angle = 0.5 * math.atan2(-2 * between, max(0.0, -across))  # of at most 45 degrees: no axis changes its number
    return math.cos(angle), math.sin(angle)


@jit
def _turn(covariance: Array, axes: Array, i: int, j: int, cosine: float, sine: float) -> None:
    """Replace axes i and j by their rotation, and the covariances by those in the new coordinates."""
    n_features = covariance.shape[1]
    for t in range(n_features):
        a, b = axes[t, i], axes[t, j]
        axes[t, i], axes[t, j] = cosine * a + sine * b, cosine * b - sine * a
    for k in range(covariance.shape[0]):
        for t in range(n_features):
            a, b = covariance[k, t, i], covariance[k, t, j]
            covariance[k, t, i], covariance[k, t, j] = cosine * a + sine * b, cosine * b - sine * a
        for t in range(n_features):
            a, b = covariance[k, i, t], covariance[k, j, t]
            covariance[k, i, t], covariance[k, j, t] = cosine * a + sine * b, cosine * b - sine * a
