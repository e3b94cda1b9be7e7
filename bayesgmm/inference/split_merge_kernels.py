r"""Split-merge moves, compiled: one cluster becomes two, or two become one.

A sweep changes the number of clusters by few points at a time: it rarely finds a new cluster where there are several
columns. A split-merge move proposes a whole cluster [1]_, with weights, precisions and the number of components
integrated out:

1. it chooses a cluster to be split, or two to be merged; S is the set of their points;
2. a launch state, two components fitted to S by some iterations of EM from two of its points, depends on S alone;
3. a split draws the side of each point of S given the launch state; a merge has the probability of that as the
   probability of the reverse move;
4. the proposal is accepted by the ratio of Metropolis and Hastings.

A launch state has one shape, and a cluster of few points many: so in some moves a small cluster is grown instead
of steps 2 and 3 (``growth_kernels``).

``marginal_kernels`` has the marginal likelihood of a cluster, and ``pair_kernels`` the passes over the points.

References
----------
.. [1] Jain & Neal (2004), J. Comput. Graph. Stat. 13(1), 158-182; (2007), Bayesian Analysis 2(3), 445-472.
"""

import math

from bayesgmm.families.chart_kernels import LOGARITHMS
from bayesgmm.inference.allocation_kernels import choose_empty, first_empty, log_apart, log_together, set_prior
from bayesgmm.inference.draw_kernels import choose, log_gamma, uniforms, wishart_root
from bayesgmm.inference.gibbs_state_kernels import CONJUGATE, Law, Scratch
from bayesgmm.inference.growth_kernels import grow
from bayesgmm.inference.marginal_kernels import (
    Given,
    centre_on_points,
    core_width,
    fill_scatter,
    log_marginal,
    rate_of,
    row_of,
    typical_root,
)
from bayesgmm.inference.neighbour_kernels import chance_of_sides, draw_neighbour, weigh_neighbours
from bayesgmm.inference.number_kernels import Numbers
from bayesgmm.inference.pair_kernels import DIVIDED, GIVEN, KNOWN, SOFT, Pair, assign_sides, gather, place, relabel
from bayesgmm.sweep.compilation import jit, plain_jit
from bayesgmm.sweep.latent_records import Sweep
from bayesgmm.sweep.layout import Array, IntArray
from bayesgmm.sweep.orchestration import NativePoints

MOVES = 4  # in a sweep
GROWN = 0.4  # share of the moves in which a small cluster is grown
ITERATIONS = 12  # maximum number of iterations of EM for a launch state; in one column there are six
TIGHTEST = 1.0  # maximum log of the factor by which a root of a launch state begins larger than that of S


@plain_jit
def _launch(
    stream: IntArray,
    points: NativePoints,
    given: Given,
    pair: Pair,
    sums: Array,
    at: int,
    mean: Array,
    mean_at: int,
    sweep: Sweep,
) -> None:
    """Fit two components to the points of S, with these sums about a mean."""
    law = given.law
    d, table = law.n_features, pair.table
    half, width = table.root.size // 2, pair.sums.size // 2
    centre_on_points(given, sums, at, mean, mean_at, pair.shift)
    typical_root(given, sums, at, mean, mean_at, pair, table.root, 0)
    for side in range(1, -1, -1):
        p = choose(stream, points.n_points)
        u, _ = uniforms(stream)
        scale = math.exp(u * TIGHTEST)
        table.offset[side] = d * math.log(scale)
        for j in range(d):
            table.mean[side * d + j] = place(pair, p, d, j)
        for t in range(half):
            table.root[half * side + t] = scale * table.root[t]
    for _ in range(min(4 + 2 * d, ITERATIONS)):
        assign_sides(points, pair, SOFT, sweep, stream)
        for side in range(2):
            centre_on_points(given, pair.sums, side * width, table.mean, side * d, pair.shift)
            log_det = typical_root(given, pair.sums, side * width, table.mean, side * d, pair, table.root, side * half)
            table.offset[side] = math.log(pair.sums[side * width] + 1.0) + log_det
            for j in range(d):
                table.mean[side * d + j] += pair.shift[j]


@plain_jit
def _add_sums(law: Law, memory: Scratch, a: int, b: int, out: Array) -> None:
    """Write the sums of components a and b together, about the mean of a."""
    d, width = law.n_features, out.size
    sums, at = memory.sums, b * width
    n = sums[at]
    out[0] = sums[a * width] + n
    for i in range(d):
        row, one = row_of(law, 0, i), memory.mean[b * d + i] - memory.mean[a * d + i]
        out[row] = sums[a * width + row] + sums[at + row] + n * one
        for j in range(i if law.chart == LOGARITHMS else 0, i + 1):
            other = memory.mean[b * d + j] - memory.mean[a * d + j]
            to = row + 1 + (0 if law.chart == LOGARITHMS else j)
            cross = sums[at + row] * other + sums[at + row_of(law, 0, j)] * one + n * one * other
            out[to] = sums[a * width + to] + sums[at + to] + cross


@plain_jit
def _move_mean(law: Law, memory: Scratch, c: int, shift: Array) -> None:
    """Move the mean of component c, about which its sums are taken; sums of squares and products first."""
    d, sums, at = law.n_features, memory.sums, c * (memory.sums.size // law.n_components)
    for i in range(d):
        row, a = row_of(law, at, i), shift[i]
        for j in range(i if law.chart == LOGARITHMS else 0, i + 1):
            b, s, t = shift[j], sums[row], sums[row_of(law, at, j)] + (sums[at] * shift[j] if j < i else 0.0)
            sums[row + 1 + (0 if law.chart == LOGARITHMS else j)] += sums[at] * a * b - s * b - a * t
        sums[row] -= sums[at] * a
        memory.mean[c * d + i] += a


@plain_jit
def _draw_precision(stream: IntArray, given: Given, memory: Scratch, c: int, pair: Pair) -> None:
    """Draw the precision of component c given its mean, at ``pair.drawn`` from its reference."""
    law = given.law
    d, width = law.n_features, memory.sums.size // law.n_components
    if law.means_kind == CONJUGATE:
        return  # the next draw does not depend on it
    if law.chart == LOGARITHMS:
        for w in range(core_width(law)):
            rate = rate_of(given, memory.sums, c * width, memory.mean, c * d, pair.drawn, w)
            dof = law.covariances_params[0] + memory.sums[c * width] * (d // core_width(law))
            precision = math.exp(log_gamma(stream, 0.5 * dof) - math.log(0.5 * rate))
            memory.core[c * core_width(law) + w] = math.sqrt(precision)
        return
    fill_scatter(given, memory.sums, c * width, memory.mean, c * d, pair.drawn, pair.scatter)
    dof = law.covariances_params[0] + memory.sums[c * width]
    wishart_root(stream, dof, pair.scatter, d, memory.core, c * d * d)


@plain_jit
def _count(counts: Array, fewest: float) -> int:
    """Number of components that hold at least ``fewest`` points."""
    number = 0
    for c in range(counts.size):
        number += counts[c] >= fewest
    return number


@plain_jit
def _pick(stream: IntArray, counts: Array, fewest: float) -> int:
    """Draw a component that holds at least ``fewest`` points; -1 if there is none."""
    number = _count(counts, fewest)
    if number < 1:
        return -1
    left = choose(stream, number)
    for c in range(counts.size):
        if counts[c] >= fewest:
            if left == 0:
                return c
            left -= 1
    return -1


@plain_jit
def _own_marginal(stream: IntArray, given: Given, memory: Scratch, c: int, pair: Pair) -> float:
    """Log marginal likelihood of a cluster of the state, given its mean."""
    law = given.law
    d, width = law.n_features, memory.sums.size // law.n_components
    for i in range(d):
        pair.drawn[i] = 0.0
    return log_marginal(stream, given, memory.sums, c * width, memory.mean, c * d, pair, False)


@plain_jit
def _write_part(law: Law, memory: Scratch, pair: Pair, side: int, c: int) -> None:
    """Write one side of a proposed split to component c, with its mean as the reference of its sums."""
    d, width = law.n_features, pair.whole.size
    for t in range(width):
        memory.sums[c * width + t] = pair.sums[side * width + t]
    for j in range(d):
        memory.mean[c * d + j] = pair.table.mean[side * d + j]
        pair.drawn[j] = pair.means[side * d + j]


@plain_jit
def _log_sides(
    stream: IntArray,
    points: NativePoints,
    given: Given,
    pair: Pair,
    grown: bool,
    sums: Array,
    at: int,
    mean: Array,
    mean_at: int,
    part: int,
    sweep: Sweep,
) -> float:
    """Assign the points of S to two sides; return the log probability of that.

    A number of points, ``part``, is given on the second side; if it is 0, the sides are drawn.
    """
    if grown:
        value = grow(stream, points, given, pair, sums, at, mean, mean_at, part)
        if part == 0:
            assign_sides(points, pair, KNOWN, sweep, stream)
        return value
    _launch(stream, points, given, pair, sums, at, mean, mean_at, sweep)
    return assign_sides(points, pair, GIVEN if part > 0 else DIVIDED, sweep, stream)


@plain_jit
def _log_parts(stream: IntArray, given: Given, pair: Pair) -> float:
    """Log marginal likelihood of the two sides of a proposed split, with means that are drawn."""
    value, d, width = 0.0, given.law.n_features, pair.whole.size
    for side in range(2):
        value += log_marginal(stream, given, pair.sums, side * width, pair.table.mean, side * d, pair, True)
        for j in range(d):
            pair.means[side * d + j] = pair.drawn[j]
    return value


@plain_jit
def propose_split(
    stream: IntArray,
    points: NativePoints,
    given: Given,
    memory: Scratch,
    sweep: Sweep,
    pair: Pair,
    grown: bool,
    log_alpha: float,
    numbers: Numbers,
) -> None:
    """Propose to split a cluster of at least two points."""
    law, counts, width = given.law, memory.counts, pair.whole.size
    d, occupied = law.n_features, _count(counts, 1.0)
    c = _pick(stream, counts, 2.0)
    if c < 0 or first_empty(counts) < 0:
        return
    whole, ways = counts[c], _count(counts, 2.0)
    before = log_together(law, log_alpha, counts, occupied, numbers) + _own_marginal(stream, given, memory, c, pair)
    own = gather(points, pair, c, c)
    log_sides = _log_sides(stream, own, given, pair, grown, memory.sums, c * width, memory.mean, c * d, 0, sweep)
    gain = -math.inf
    if pair.sums[0] > 0.0 and pair.sums[width] > 0.0:
        counts[c] = pair.sums[0]
        gain = log_apart(law, log_alpha, counts, occupied, pair.sums[width], numbers) - before - log_sides
        gain += _log_parts(stream, given, pair) + math.log(ways / (occupied + 1.0))
    u, _ = uniforms(stream)
    gain -= math.log(u)
    if gain > 0.0:  # a logarithm of a probability is at most 0
        gain += math.log(chance_of_sides(given, memory, pair, c))
    if gain > 0.0:
        new = choose_empty(stream, law, counts, numbers)
        counts[new] = pair.sums[width]
        relabel(pair, own.n_points, c, new)
        for side in range(2):
            to = c if side == 0 else new
            _write_part(law, memory, pair, side, to)
            _draw_precision(stream, given, memory, to, pair)
            _move_mean(law, memory, to, pair.drawn)
        return
    counts[c] = whole


@plain_jit
def propose_merge(
    stream: IntArray,
    points: NativePoints,
    given: Given,
    memory: Scratch,
    sweep: Sweep,
    pair: Pair,
    grown: bool,
    log_alpha: float,
    numbers: Numbers,
) -> None:
    """Propose to merge two clusters."""
    law, counts, width = given.law, memory.counts, pair.whole.size
    d, occupied = law.n_features, _count(counts, 1.0)
    if occupied < 2:
        return
    b = _pick(stream, counts, 1.0)
    total = weigh_neighbours(given, memory, pair, b, memory.sums, b * width, memory.mean, b * d)
    a = draw_neighbour(stream, pair, total)
    chance = pair.near[a] / total
    n, m = counts[a], counts[b]
    before = _own_marginal(stream, given, memory, a, pair) + _own_marginal(stream, given, memory, b, pair)
    counts[b] = 0.0
    before += log_apart(law, log_alpha, counts, occupied - 1, m, numbers)
    counts[a] = n + m
    _add_sums(law, memory, a, b, pair.whole)
    gain = log_together(law, log_alpha, counts, occupied - 1, numbers) - before
    gain += log_marginal(stream, given, pair.whole, 0, memory.mean, a * d, pair, True)
    for j in range(d):
        pair.means[j] = pair.drawn[j]
    u, _ = uniforms(stream)
    gain += math.log(occupied / (_count(counts, 2.0) * chance)) - math.log(u)
    if gain > 0.0:  # the log probability of the sides is at most 0
        own = gather(points, pair, a, b)
        gain += _log_sides(stream, own, given, pair, grown, pair.whole, 0, memory.mean, a * d, int(m), sweep)
    if not gain > 0.0:
        counts[a], counts[b] = n, m
        return
    for t in range(width):
        memory.sums[a * width + t], memory.sums[b * width + t] = pair.whole[t], 0.0
    for j in range(d):
        pair.drawn[j] = pair.means[j]
    _draw_precision(stream, given, memory, a, pair)
    _move_mean(law, memory, a, pair.drawn)
    relabel(pair, int(n + m), a, a)


@jit
def split_and_merge(
    stream: IntArray,
    points: NativePoints,
    law: Law,
    q: Array,
    starts: tuple[int, int, int],
    memory: Scratch,
    sweep: Sweep,
    pair: Pair,
    log_alpha: float,
    numbers: Numbers,
) -> None:
    """Propose to split a cluster or to merge two, each with probability 1/2.

    Parameters
    ----------
    stream, points, law, q, memory, sweep, numbers
        As in the kernels that call it, after a sweep of assignments: ``memory.sums``, ``memory.counts`` and the
        labels ``pair.label`` belong together.
    starts : (3,) int
        Places in q of the means, the roots, and the scales.
    pair : Pair
    log_alpha : float
        Log of the concentration.
    """
    given = Given(law, q, starts[0] + memory.mean.size, starts[2])
    set_prior(law, log_alpha, memory.counts, numbers)
    for _ in range(MOVES):
        u, v = uniforms(stream)
        if u < 0.5:
            propose_split(stream, points, given, memory, sweep, pair, v < GROWN, log_alpha, numbers)
        else:
            propose_merge(stream, points, given, memory, sweep, pair, v < GROWN, log_alpha, numbers)
