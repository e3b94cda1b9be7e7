"""Coordinates of volume, shape and orientation, and of the roots that these make; compiled.

The coordinates of a decomposed family are, for each volume the logarithm of the geometric mean of the standard
deviations along the axes; for each shape D - 1 numbers; for each orientation D (D - 1) / 2 numbers of a rotation
(``rotation_kernels``). The numbers of a shape are contrasts of the logarithms of the standard deviations or, where
these are ordered, the logarithms of the differences of successive ones. There is one of each for all components or one
for each; of orientations also none. The inner coordinates are those of the roots without the restrictions.
"""

import math
from collections import namedtuple

import numpy as np

from bayesgmm.families.rotation_kernels import half_rotation, pull_back_rotation
from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.layout import Array

Parts = namedtuple("Parts", "volumes shapes orientations ordered")
"""Numbers of different volumes, shapes and orientations; no volume: the coordinates are the inner ones.

``ordered`` is 1 if the standard deviations along the axes decrease.
"""


@jit
def place_log_sds(v: Array, parts: Parts, k: int, log_sd: Array) -> None:
    """Write the logarithms of the standard deviations of component k along its axes (D,)."""
    d = log_sd.size
    at = parts.volumes + (k % parts.shapes) * (d - 1)
    log_sd[:] = v[k % parts.volumes]
    for i in range(1, d):
        if parts.ordered:
            step = math.exp(v[at + i - 1])
            for j in range(d):
                log_sd[j] += step * (d - i if j < i else -i) / d
            continue
        step = v[at + i - 1] / math.sqrt(i * (i + 1.0))
        for j in range(i):
            log_sd[j] += step
        log_sd[i] -= i * step


@jit
def pull_back_log_sds(v: Array, parts: Parts, k: int, grad_log_sd: Array, grad: Array) -> None:
    """Add the gradient in the coordinates of volumes and shapes, given that in the logarithms of component k."""
    d, total, before = grad_log_sd.size, 0.0, 0.0
    at = parts.volumes + (k % parts.shapes) * (d - 1)
    for i in range(d):
        total += grad_log_sd[i]
    grad[k % parts.volumes] += total
    for i in range(1, d):
        before += grad_log_sd[i - 1]
        if parts.ordered:
            grad[at + i - 1] += math.exp(v[at + i - 1]) * (before - total * i / d)
        else:
            grad[at + i - 1] += (before - i * grad_log_sd[i]) / math.sqrt(i * (i + 1.0))


@jit
def turn_of(v: Array, d: int, parts: Parts, k: int) -> tuple[int, int]:
    """Return where the coordinates of the orientation of component k begin and end."""
    size = d * (d - 1) // 2
    first = parts.volumes + parts.shapes * (d - 1) + (k % parts.orientations) * size
    return first, first + size


@jit
def place_axes(v: Array, d: int, parts: Parts, reference: Array, k: int, half: Array, axes: Array) -> None:
    """Write the axes of component k, the columns of ``axes`` (D, D): a reference, turned by the coordinates.

    Without a reference it is the identity. ``half`` (D, D) is written for ``pull_back_rotation``.
    """
    first, last = turn_of(v, d, parts, k)
    half_rotation(v[first:last], d, half)
    at = (k % parts.orientations) * d * d
    for i in range(d):
        for j in range(d):
            axes[i, j] = 2 * half[i, j] - (1.0 if i == j else 0.0)
            if reference.size:
                axes[i, j] = -reference[at + i * d + j]
                for l in range(d):
                    axes[i, j] += 2 * reference[at + i * d + l] * half[l, j]


@jit
def place_root(log_sd: Array, axes: Array, root: Array, basis: Array) -> None:
    """Write the lower-triangular root of the precision with these axes, from its last row up.

    The precision is B'B, where row i of B is axis i divided by its standard deviation, and B = ``basis``' root with an
    orthogonal ``basis`` (D, D), which is written, too: its rows are found by Gram and Schmidt's method.
    """
    d = log_sd.size
    left = np.empty((d, d))
    for i in range(d):
        precision = math.exp(-log_sd[i])
        for j in range(d):
            left[i, j] = precision * axes[j, i]
    for i in range(d - 1, -1, -1):
        total = 0.0
        for l in range(d):
            total += left[l, i] * left[l, i]
        root[i, i] = math.sqrt(total)
        for l in range(d):
            basis[i, l] = left[l, i] / root[i, i]
        for j in range(i):
            total = 0.0
            for l in range(d):
                total += basis[i, l] * left[l, j]
            root[i, j], root[j, i] = total, 0.0
            for l in range(d):
                left[l, j] -= total * basis[i, l]


@jit
def place_inner(v: Array, d: int, parts: Parts, metric: Array, reference: Array, inner: Array) -> None:
    """Write the inner coordinates: logarithms of diagonal roots, or triangles with logarithms on their diagonal.

    ``metric`` (D,) multiplies the columns of the roots; ``reference`` are the axes that are turned.
    """
    log_sd, half, axes = np.empty(d), np.empty((d, d)), np.empty((d, d))
    root, basis = np.empty((d, d)), np.empty((d, d))
    if not parts.orientations:
        for k in range(inner.size // d):
            place_log_sds(v, parts, k, log_sd)
            for j in range(d):
                inner[k * d + j] = math.log(metric[j]) - log_sd[j]
        return
    t = 0
    for k in range(2 * inner.size // (d * (d + 1))):
        place_log_sds(v, parts, k, log_sd)
        place_axes(v, d, parts, reference, k, half, axes)
        place_root(log_sd, axes, root, basis)
        for i in range(d):
            for j in range(i):
                inner[t] = root[i, j] * metric[j]
                t += 1
            inner[t] = math.log(root[i, i] * metric[i])
            t += 1


@jit
def pull_back_inner(
    v: Array, d: int, parts: Parts, metric: Array, reference: Array, grad_inner: Array, grad: Array
) -> None:
    """Add the gradient in the coordinates v, given that in the inner coordinates."""
    log_sd, half, grad_log_sd = np.empty(d), np.empty((d, d)), np.empty(d)
    axes, root, basis, turned = np.empty((d, d)), np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    if not parts.orientations:
        for k in range(grad_inner.size // d):
            for j in range(d):
                grad_log_sd[j] = -grad_inner[k * d + j]
            pull_back_log_sds(v, parts, k, grad_log_sd, grad)
        return
    width = d * (d + 1) // 2
    for k in range(grad_inner.size // width):
        place_log_sds(v, parts, k, log_sd)
        first, last = turn_of(v, d, parts, k)
        place_axes(v, d, parts, reference, k, half, axes)
        place_root(log_sd, axes, root, basis)
        _turn_slopes(grad_inner[k * width : (k + 1) * width], root, metric, basis, turned)
        for i in range(d):
            grad_log_sd[i] = -turned[i, i]
            turned[i, i] = 0.0
            for j in range(i):  # a rotation of two axes changes nothing where their standard deviations are equal
                ratio = math.exp(log_sd[i] - log_sd[j])
                slope = turned[i, j] * (1 / ratio - ratio)
                turned[i, j], turned[j, i] = -slope, slope
        pull_back_log_sds(v, parts, k, grad_log_sd, grad)
        pull_back_rotation(v[first:last], half, turned, grad[first:last])


@jit
def _turn_slopes(slopes: Array, root: Array, metric: Array, basis: Array, out: Array) -> None:
    """Write basis' T basis (D, D) to ``out``.

    T is symmetric, with the lower triangle of G root', where G is the gradient in the root.
    """
    d = metric.size
    symmetric, inner = np.empty((d, d)), np.empty((d, d))
    for i in range(d):
        row = i * (i + 1) // 2
        for j in range(i + 1):
            total = 0.0
            for l in range(j + 1):
                if l < i:
                    total += slopes[row + l] * metric[l] * root[j, l]
                else:  # the slope in a logarithm
                    total += slopes[row + l]
            symmetric[i, j] = symmetric[j, i] = total
    for i in range(d):
        for j in range(d):
            total = 0.0
            for l in range(d):
                total += symmetric[i, l] * basis[l, j]
            inner[i, j] = total
    for i in range(d):
        for j in range(d):
            total = 0.0
            for l in range(d):
                total += basis[l, i] * inner[l, j]
            out[i, j] = total
