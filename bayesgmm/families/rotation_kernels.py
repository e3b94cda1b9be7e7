"""Rotations by Cayley's transform, their uniform measure, and gradients back to its coordinates; compiled.

The coordinates w are the numbers above the diagonal of a skew-symmetric matrix S, after a change of its length: that
of S is sinh |w|. So tails are exponential, and a sampler comes back from them.

Axes that are turned to their opposites give the same covariances. So a density of rotations R that is the uniform one
(Haar's) times det(I + R) / 2 gives uniform axes, too: the sum of det(I + R E) over the diagonal matrices E of signs
with determinant 1 is the same for all R. It prefers the smaller one of two rotations that differ by such signs, of
which the others are far away in the coordinates.
"""

import math

import numpy as np

from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.layout import Array

SHORT = 1e-4  # length of w below which series replace quotients


@jit
def lengthening(w: Array) -> tuple[float, float, float]:
    """Return r = |w|, f = sinh(r) / r, which multiplies w, and f'(r) / r."""
    total = 0.0
    for t in range(w.size):
        total += w[t] * w[t]
    r = math.sqrt(total)
    if r < SHORT:
        return r, 1 + total / 6, 1 / 3 + total / 30
    f = math.sinh(r) / r
    return r, f, (math.cosh(r) - f) / total


@jit
def half_rotation(w: Array, d: int, half: Array) -> float:
    """Write N = (I + S)^-1, of which the rotation is 2 N - I, to ``half`` (D, D); return log |I + S|.

    By elimination without pivots: the symmetric part of I + S is I, so that no pivot is below 1.
    """
    f = lengthening(w)[1]
    work, t = np.empty((d, d)), 0
    for i in range(d):
        work[i, i], half[i, i] = 1.0, 1.0
        for j in range(i + 1, d):
            work[i, j] = f * w[t]
            work[j, i] = -work[i, j]
            half[i, j] = half[j, i] = 0.0
            t += 1
    log_det = 0.0
    for i in range(d):
        pivot = work[i, i]
        log_det += math.log(pivot)
        for j in range(d):
            work[i, j] /= pivot
            half[i, j] /= pivot
        for l in range(d):
            if l != i:
                factor = work[l, i]
                for j in range(d):
                    work[l, j] -= factor * work[i, j]
                    half[l, j] -= factor * half[i, j]
    return log_det


@jit
def add_slopes(w: Array, slopes: Array, grad: Array) -> None:
    """Add the gradient in w, given that in the numbers of S, ``slopes``, of the same size."""
    _, f, bend = lengthening(w)
    along = 0.0
    for t in range(w.size):
        along += slopes[t] * w[t]
    for t in range(w.size):
        grad[t] += f * slopes[t] + bend * along * w[t]


@jit
def pull_back_rotation(w: Array, half: Array, turned: Array, grad: Array) -> None:
    """Add the gradient in w, given that in a small rotation of the axes.

    ``turned`` (D, D) is skew-symmetric; above its diagonal are the slopes in the numbers of R' dR.
    """
    d, t = half.shape[0], 0
    inner, slopes = np.empty((d, d)), np.empty(w.size)
    for i in range(d):
        for j in range(d):
            total = 0.0
            for l in range(d):
                total += half[i, l] * turned[l, j]
            inner[i, j] = total
    for i in range(d):
        for j in range(i + 1, d):
            total = 0.0
            for l in range(d):
                total += inner[i, l] * half[j, l]
            slopes[t] = -2 * total
            t += 1
    add_slopes(w, slopes, grad)


@jit
def uniform_rotation(w: Array, d: int, grad: Array) -> float:
    """Return the log density of w for uniform axes, without its constant; add its gradient."""
    if not w.size:
        return 0.0
    half, slopes, t = np.empty((d, d)), np.empty(w.size), 0
    log_det = half_rotation(w, d, half)
    for i in range(d):
        for j in range(i + 1, d):
            slopes[t] = d * (half[i, j] - half[j, i])
            t += 1
    add_slopes(w, slopes, grad)
    r, f, bend = lengthening(w)
    rise = (w.size - 1) * bend / f + (math.tanh(r) / r if r > SHORT else 1 - r * r / 3)
    for t in range(w.size):
        grad[t] += rise * w[t]
    return (w.size - 1) * math.log(f) + r + math.log1p(math.exp(-2 * r)) - math.log(2) - d * log_det
