r"""A small cluster that grows from one point, for split-merge moves; compiled.

The points of S are assigned one after the other, those nearest to the first one first. Each joins the small cluster
with odds that are the ratio of two densities, times that of two sizes: the density of a point given those that have
joined, with mean and precision integrated out, and that under a normal distribution fitted to S. A random factor, which
is the same for all points, makes some clusters larger than others. Where many points, one after the other, have not
joined, the cluster is complete, and no further point is asked.

So the shape of the cluster is settled while it grows, and one proposal reaches all shapes that few points may have: it
is the sequential allocation of Dahl [1]_, for the smaller part alone.

References
----------
.. [1] Dahl (2005), Sequentially-allocated merge-split sampler for conjugate and nonconjugate Dirichlet process mixture
   models, Technical Report, Texas A&M University.
"""

import math

from bayesgmm.families.chart_kernels import LOGARITHMS
from bayesgmm.inference.draw_kernels import choose, factorise, uniforms
from bayesgmm.inference.gibbs_state_kernels import Law
from bayesgmm.inference.marginal_kernels import (
    Given,
    centre_on_points,
    core_width,
    prior_rate,
    prior_scale,
    squared_length,
    typical_root,
)
from bayesgmm.inference.pair_kernels import Pair, place
from bayesgmm.sweep.compilation import plain_jit
from bayesgmm.sweep.layout import Array, IntArray
from bayesgmm.sweep.orchestration import NativePoints

MAX_BONUS = 4.0  # maximum log of the random factor of the odds
PATIENCE = 32  # number of points, one after the other, that have not joined, after which the cluster is complete


@plain_jit
def _first_point(stream: IntArray, pair: Pair, part: int, size: int) -> int:
    """Draw a point from which the small cluster grows: one of S, or of those that are given in it."""
    left = choose(stream, part if part > 0 else size)
    if part == 0:
        return left
    for p in range(size):
        if pair.side[p] > 0.0:
            if left == 0:
                return p
            left -= 1
    return 0


@plain_jit
def _sift(pair: Pair, at: int, size: int) -> None:
    """Move an entry of the list down, so that it is nearer than those below it in the binary heap."""
    distance, rows = pair.distance, pair.heap
    key, row = distance[at], rows[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and distance[child + 1] < distance[child]:
            child += 1
        if distance[child] >= key:
            break
        distance[at], rows[at] = distance[child], rows[child]
        at = child
    distance[at], rows[at] = key, row


@plain_jit
def _list_distances(law: Law, pair: Pair, n_points: int, first: int) -> int:
    """List the other points of S in a heap: squared distances from one of them, by the root of component 0."""
    d, y, size = law.n_features, pair.spare, 0
    for p in range(n_points):
        if p == first:
            continue
        for i in range(d):
            y[i] = place(pair, p, d, i) - place(pair, first, d, i)
        pair.distance[size], pair.heap[size] = squared_length(law, pair.table.root, y), p
        size += 1
    for at in range(size // 2 - 1, -1, -1):
        _sift(pair, at, size)
    return size


@plain_jit
def _pop(pair: Pair, size: int) -> int:
    """Remove the nearest of the listed points, and return it."""
    nearest = pair.heap[0]
    pair.distance[0], pair.heap[0] = pair.distance[size - 1], pair.heap[size - 1]
    _sift(pair, 0, size - 1)
    return nearest


@plain_jit
def _log_normal(law: Law, pair: Pair, p: int, log_det: float) -> float:
    """Log density of a point under the table's component 0, but for the factor of all normal densities."""
    d, y = law.n_features, pair.spare
    for i in range(d):
        y[i] = place(pair, p, d, i) - pair.table.mean[i]
    return log_det - 0.5 * squared_length(law, pair.table.root, y)


@plain_jit
def _begin(given: Given, pair: Pair, first: int) -> None:
    """Begin a cluster with one point: its mean, component 1 of the table, and the prior's sums of squares."""
    law = given.law
    d = law.n_features
    for j in range(d):
        pair.table.mean[d + j] = place(pair, first, d, j)
    if law.chart == LOGARITHMS:
        for w in range(core_width(law)):
            pair.scatter[w] = prior_rate(given, w)
        return
    for i in range(d):
        for j in range(i + 1):
            pair.scatter[i * d + j] = prior_scale(given, i, j)
    factorise(pair.scatter, d)


@plain_jit
def _normalisation(law: Law, pair: Pair, n: float) -> float:
    """Log of the factor of the density of a point given n others, relative to that of a normal density."""
    d, dof, scatter = law.n_features, law.covariances_params[0], pair.scatter
    value = 0.5 * d * math.log(2.0 * n / (n + 1.0))
    if law.chart == LOGARITHMS:
        width = core_width(law)
        size = d // width
        for w in range(width):
            value -= 0.5 * size * math.log(scatter[w])
        return value + width * (math.lgamma(0.5 * (dof + n * size)) - math.lgamma(0.5 * (dof + (n - 1.0) * size)))
    for i in range(d):
        value -= math.log(scatter[i * d + i])
    return value + math.lgamma(0.5 * (dof + n)) - math.lgamma(0.5 * (dof + n - d))


@plain_jit
def _log_student(law: Law, pair: Pair, n: float, p: int) -> float:
    """Log density of a point given n others, but for its normalisation: a Student distribution about their mean."""
    d, dof, scatter, y = law.n_features, law.covariances_params[0], pair.scatter, pair.spare
    share, value = n / (n + 1.0), 0.0
    for i in range(d):
        y[i] = place(pair, p, d, i) - pair.table.mean[d + i]
    if law.chart == LOGARITHMS:
        width = core_width(law)
        for w in range(width):
            squares = 0.0
            for j in range(w, d, width):
                squares += y[j] * y[j]
            value -= 0.5 * (dof + n * (d // width)) * math.log1p(share * squares / scatter[w])
        return value
    squares = 0.0
    for i in range(d):
        for j in range(i):
            y[i] -= scatter[i * d + j] * y[j]
        y[i] /= scatter[i * d + i]
        squares += y[i] * y[i]
    return -0.5 * (dof + n) * math.log1p(share * squares)


@plain_jit
def _join(law: Law, pair: Pair, n: float, p: int) -> None:
    """Add a point to a cluster of n others: its mean, and its sums of squares or their Cholesky factor."""
    d, scatter, y, mean = law.n_features, pair.scatter, pair.spare, pair.table.mean
    for i in range(d):
        away = place(pair, p, d, i) - mean[d + i]
        y[i] = math.sqrt(n / (n + 1.0)) * away
        mean[d + i] += away / (n + 1.0)
    if law.chart == LOGARITHMS:
        for j in range(d):
            scatter[j % core_width(law)] += y[j] * y[j]
        return
    for j in range(d):
        old = scatter[j * d + j]
        new = math.sqrt(old * old + y[j] * y[j])
        cosine, sine = old / new, y[j] / new
        scatter[j * d + j] = new
        for i in range(j + 1, d):
            below = scatter[i * d + j]
            scatter[i * d + j] = cosine * below + sine * y[i]
            y[i] = cosine * y[i] - sine * below


@plain_jit
def grow(
    stream: IntArray,
    points: NativePoints,
    given: Given,
    pair: Pair,
    sums: Array,
    at: int,
    mean: Array,
    mean_at: int,
    part: int,
) -> float:
    """Divide S between a small cluster and the rest, at random or as given; return the log probability of that.

    The odds of the choice of the first point, in this move and in the reverse one, are part of it.

    Parameters
    ----------
    stream : (5,) int
    points : NativePoints
        S, by ``gather``.
    given : Given
    pair : Pair
        Its sides are written, and the table's means: those of S and of the small cluster.
    sums, at, mean, mean_at
        The sums of S and where they begin, and the mean that they are taken about.
    part : int
        Number of points that are given in the small cluster, the second side; 0 if it is drawn.
    """
    law, side, size = given.law, pair.side, points.n_points
    centre_on_points(given, sums, at, mean, mean_at, pair.shift)
    log_det = typical_root(given, sums, at, mean, mean_at, pair, pair.table.root, 0)
    for j in range(law.n_features):
        pair.table.mean[j] = mean[mean_at + j] + pair.shift[j]
    start = _first_point(stream, pair, part, size)
    left = _list_distances(law, pair, size, start)
    _begin(given, pair, start)
    u, _ = uniforms(stream)
    side[start] = 1.0
    n, value, refused, factor = 1.0, 0.0, 0, MAX_BONUS * u + _normalisation(law, pair, 1.0)
    while left > 0 and refused < PATIENCE:
        p = _pop(pair, left)
        left -= 1
        ahead = factor + _log_student(law, pair, n, p) - _log_normal(law, pair, p, log_det) + math.log(n / (size - n))
        log_in, log_out = -math.log1p(math.exp(-ahead)), -math.log1p(math.exp(ahead))
        joins = side[p] > 0.0
        if part == 0:
            v, _ = uniforms(stream)
            joins = math.log(v) < log_in
        if joins:
            side[p] = 1.0
            _join(law, pair, n, p)
            n, refused, value = n + 1.0, 0, value + log_in
            factor = MAX_BONUS * u + _normalisation(law, pair, n)
        else:
            refused, value = refused + 1, value + log_out
    if n < part:
        return -math.inf  # it would have ended before
    return value + math.log(n / size)
