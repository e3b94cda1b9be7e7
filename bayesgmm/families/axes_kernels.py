"""Axes of one covariance, and those that several have in common: rotations plane by plane; compiled."""

import math

import numpy as np

from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import Array

STILL = 1e-9  # sine of the largest rotation of a round, after which the axes count as found
ROUNDS = 200  # maximum number of rounds over all planes
SMALLEST = 1e-16  # share of the diagonal below which a number beside it is zero


@kernel
def rotate_to_common_axes(covariance: Array, n: Array, equal_volumes: bool, axes: Array, rounds: int) -> None:
    """Rotate the axes (S, D, D), columns, of S mixtures until they fit all their covariances (S, K, D, D) best.

    It takes at most some rounds over all planes. ``covariance`` must be symmetric, in the coordinates of the axes; it
    is overwritten by those of the result.
    """
    for s in range(covariance.shape[0]):
        turn_to_common_axes(covariance[s], n[s], equal_volumes, axes[s], rounds)


@jit
def turn_to_common_axes(covariance: Array, n: Array, equal_volumes: bool, axes: Array, rounds: int) -> None:
    """Rotate axes (D, D), columns, towards those that fit covariances (K, D, D) best, in at most some rounds.

    It minimises the sum of ``n log(d)`` over components and axes, where d is the variance of a component along an axis;
    with equal volumes, the logarithm of the sum of ``n |d|**(1 / D)``, |d| the product over axes. In each plane of two
    axes the best rotation has a closed form for given d: the axes of a weighted sum of the covariances. So no rotation
    raises the sum, whatever the start.

    References
    ----------
    .. [1] Flury & Gautschi (1986), SIAM J. Sci. Stat. Comput. 7(1), 169-184.
    .. [2] Browne & McNicholas (2014), Stat. Comput. 24, 203-210.
    """
    n_features, weight = covariance.shape[1], n.copy()
    for k in range(n.size if equal_volumes else 0):
        log_volume = 0.0
        for i in range(n_features):
            log_volume += math.log(covariance[k, i, i])
        weight[k] *= math.exp(log_volume / n_features)
    for _ in range(rounds):
        largest = 0.0
        for i in range(1, n_features):
            for j in range(i):
                cosine, sine = _best_rotation(covariance, weight, i, j)
                largest = max(largest, abs(sine))
                _turn_axes(axes, i, j, cosine, sine)
                for k in range(covariance.shape[0]):
                    before = covariance[k, i, i] * covariance[k, j, j]
                    _turn(covariance[k], i, j, cosine, sine)
                    if equal_volumes:
                        weight[k] *= (covariance[k, i, i] * covariance[k, j, j] / before) ** (1 / n_features)
        if not largest > STILL:
            break


@jit
def turn_to_own_axes(matrix: Array, axes: Array) -> None:
    """Make a symmetric matrix (D, D) diagonal, and write its eigenvectors to the columns of axes, by the QL algorithm.

    The eigenvalues are in ascending order.

    References
    ----------
    .. [1] Martin, Reinsch & Wilkinson (1968), Numer. Math. 11, 181-195.
    .. [2] Bowdler, Martin, Reinsch & Wilkinson (1968), Numer. Math. 11, 293-306.
    """
    d = matrix.shape[0]
    value, beside = np.empty(d), np.empty(d)
    _tridiagonalise(matrix, axes, value, beside)
    for i in range(1, d):
        beside[i - 1] = beside[i]
    beside[d - 1] = 0.0
    for first in range(d):
        for _ in range(ROUNDS):
            last = first
            while last < d - 1 and abs(beside[last]) > SMALLEST * (abs(value[last]) + abs(value[last + 1])):
                last += 1
            if last == first:
                break
            _shifted_step(axes, value, beside, first, last)
    matrix[:] = 0.0
    for i in range(d):
        matrix[i, i] = value[i]
    _sort(matrix, axes)


@jit
def _tridiagonalise(matrix: Array, axes: Array, value: Array, beside: Array) -> None:
    """Write a tridiagonal matrix, its diagonal and what is left of it, and the axes in which it is the matrix."""
    d = matrix.shape[0]
    axes[:] = matrix
    for i in range(d - 1, 0, -1):
        scale = length = 0.0
        for t in range(i):
            scale += abs(axes[i, t])
        if i == 1 or scale == 0.0:
            beside[i], value[i] = axes[i, i - 1], 0.0
            continue
        for t in range(i):
            axes[i, t] /= scale
            length += axes[i, t] ** 2
        pivot = axes[i, i - 1]
        root = -math.copysign(math.sqrt(length), pivot)
        beside[i] = scale * root
        length -= pivot * root
        axes[i, i - 1] = pivot - root
        along = 0.0
        for j in range(i):
            axes[j, i] = axes[i, j] / length
            total = 0.0
            for t in range(j + 1):
                total += axes[j, t] * axes[i, t]
            for t in range(j + 1, i):
                total += axes[t, j] * axes[i, t]
            beside[j] = total / length
            along += beside[j] * axes[i, j]
        half = along / (2 * length)
        for j in range(i):
            beside[j] -= half * axes[i, j]
            for t in range(j + 1):
                axes[j, t] -= axes[i, j] * beside[t] + beside[j] * axes[i, t]
        value[i] = length
    beside[0] = 0.0
    value[0] = 0.0
    for i in range(d):
        if value[i] != 0.0:
            for j in range(i):
                total = 0.0
                for t in range(i):
                    total += axes[i, t] * axes[t, j]
                for t in range(i):
                    axes[t, j] -= total * axes[t, i]
        value[i], axes[i, i] = axes[i, i], 1.0
        for t in range(i):
            axes[i, t] = axes[t, i] = 0.0


@jit
def _shifted_step(axes: Array, value: Array, beside: Array, first: int, last: int) -> None:
    """Make a QL step with an implicit shift in a part of a tridiagonal matrix; turn the axes."""
    bend = (value[first + 1] - value[first]) / (2 * beside[first])
    g = value[last] - value[first] + beside[first] / (bend + math.copysign(math.sqrt(1 + bend * bend), bend))
    sine, cosine, shift = 1.0, 1.0, 0.0
    for i in range(last - 1, first - 1, -1):
        f, b = sine * beside[i], cosine * beside[i]
        r = math.sqrt(f * f + g * g)
        beside[i + 1] = r
        if r == 0.0:
            value[i + 1] -= shift
            beside[last] = 0.0
            return
        sine, cosine = f / r, g / r
        g = value[i + 1] - shift
        r = (value[i] - g) * sine + 2 * cosine * b
        shift = sine * r
        value[i + 1] = g + shift
        g = cosine * r - b
        for t in range(axes.shape[0]):
            a, c = axes[t, i], axes[t, i + 1]
            axes[t, i], axes[t, i + 1] = cosine * a - sine * c, sine * a + cosine * c
    value[first] -= shift
    beside[first], beside[last] = g, 0.0


@jit
def _sort(matrix: Array, axes: Array) -> None:
    """Sort the diagonal of a diagonal matrix in ascending order, and its axes."""
    d = matrix.shape[0]
    for i in range(d):
        least = i
        for j in range(i + 1, d):
            if matrix[j, j] < matrix[least, least]:
                least = j
        if least == i:
            continue
        matrix[i, i], matrix[least, least] = matrix[least, least], matrix[i, i]
        for t in range(d):
            axes[t, i], axes[t, least] = axes[t, least], axes[t, i]


@jit
def _best_rotation(covariance: Array, weight: Array, i: int, j: int) -> tuple[float, float]:
    """Cosine and sine of the rotation of axes i and j, for the present variances along the axes."""
    across = between = 0.0  # of the sum of the covariances in the plane, weighted by differences of precisions
    for k in range(covariance.shape[0]):
        factor = weight[k] * (1 / covariance[k, i, i] - 1 / covariance[k, j, j])
        across += factor * (covariance[k, i, i] - covariance[k, j, j])
        between += factor * covariance[k, i, j]
    angle = 0.5 * math.atan2(-2 * between, max(0.0, -across))  # of at most 45 degrees: no axis changes its number
    return math.cos(angle), math.sin(angle)


@jit
def _turn_axes(axes: Array, i: int, j: int, cosine: float, sine: float) -> None:
    """Replace the columns i and j of axes by their rotation."""
    for t in range(axes.shape[0]):
        a, b = axes[t, i], axes[t, j]
        axes[t, i], axes[t, j] = cosine * a + sine * b, cosine * b - sine * a


@jit
def _turn(matrix: Array, i: int, j: int, cosine: float, sine: float) -> None:
    """Replace a symmetric matrix by the same in the coordinates of turned axes."""
    first, second, between = matrix[i, i], matrix[j, j], matrix[i, j]
    for t in range(matrix.shape[0]):
        a, b = matrix[t, i], matrix[t, j]
        matrix[t, i] = matrix[i, t] = cosine * a + sine * b
        matrix[t, j] = matrix[j, t] = cosine * b - sine * a
    crossed = 2 * cosine * sine * between
    matrix[i, i] = cosine * cosine * first + crossed + sine * sine * second
    matrix[j, j] = sine * sine * first - crossed + cosine * cosine * second
    matrix[i, j] = matrix[j, i] = cosine * sine * (second - first) + (cosine * cosine - sine * sine) * between
