"""Axes of one covariance, and those that several have in common: rotations plane by plane; compiled."""

import math

from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.layout import Array

STILL = 1e-9  # sine of the largest rotation of a round, after which the axes count as found
ROUNDS = 200  # maximum number of rounds over all planes
SMALLEST = 1e-15  # a correlation that is smaller does not turn the axes of a matrix


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
    """Make a symmetric matrix (D, D) diagonal, and write its eigenvectors to the columns of axes: Jacobi's algorithm.

    The eigenvalues are in ascending order.

    References
    ----------
    .. [1] Golub & Van Loan (2013), Matrix Computations, section 8.5.
    """
    d = matrix.shape[0]
    axes[:] = 0.0
    for i in range(d):
        axes[i, i] = 1.0
    for _ in range(ROUNDS):
        turned = False
        for i in range(1, d):
            for j in range(i):
                between = matrix[i, j]
                if not abs(between) > SMALLEST * math.sqrt(abs(matrix[i, i] * matrix[j, j])):
                    continue
                turned = True
                ratio = (matrix[j, j] - matrix[i, i]) / (2 * between)
                tangent = 1 / (abs(ratio) + math.sqrt(1 + ratio * ratio))
                tangent = -tangent if ratio >= 0 else tangent
                cosine = 1 / math.sqrt(1 + tangent * tangent)
                _turn(matrix, i, j, cosine, tangent * cosine)
                _turn_axes(axes, i, j, cosine, tangent * cosine)
                matrix[i, j] = matrix[j, i] = 0.0
        if not turned:
            break
    _sort(matrix, axes)


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
