r"""Blocked Gibbs sampling of factor analysers, compiled: sweeps from coordinates to coordinates.

One sweep draws, each given all others,

1. the component of every point, with its factors integrated out, and then its factors (``factor_draw_kernels``);
2. concentration and weights;
3. the precisions of single loadings, which turn their t distribution into a normal one;
4. loadings and means together, column by column: the regression of the points on their factors;
5. the noise;
6. the means again, together with the factors of their points;
7. the deltas of the multiplicative gamma process; then factors are exchanged;
8. the centre and spread of the means.

The state between sweeps is the vector of unconstrained coordinates of ``LogPosterior``, as in ``gibbs_kernels``; what
step 3 draws is forgotten. Under ``ConjugateMeans``, the prior of a mean is equivalent to a point of the weight
``strength`` at its location, which has factors, too.

References
----------
.. [1] Ghosh & Dunson (2009), J. Comput. Graph. Stat. 18(2), 306-320: normal loadings with random precisions.
.. [2] Bhattacharya & Dunson (2011), Biometrika 98(2), 291-306: the conditional distributions of the process.
.. [3] Liu & Sabatti (2000), Biometrika 87(2), 353-369: draws along the orbits of a group.
"""

import math
from collections import namedtuple

import numpy as np

from bayesgmm.families.factor_chart_kernels import Layout, factor_core, layout_of
from bayesgmm.inference.draw_kernels import STREAM_SIZE, factorise, log_gamma, normal, uniforms
from bayesgmm.inference.gibbs_kernels import draw_centre_and_spread, location_of, solve_with_noise
from bayesgmm.inference.gibbs_state_kernels import (
    CONJUGATE,
    HIERARCHICAL,
    LOG_2PI,
    Law,
    Schedule,
    keep_draw,
    part_starts,
    restart,
)
from bayesgmm.inference.weight_draw_kernels import draw_weights
from bayesgmm.priors.loadings_densities import Places, places_of
from bayesgmm.priors.scalars import ENTRIES
from bayesgmm.sweep.assignment_kernels import Sweep
from bayesgmm.sweep.compilation import jit, kernel, plain_jit
from bayesgmm.sweep.coordinate_kernels import log_softmax
from bayesgmm.sweep.factor_draw_kernels import Regression, add_noise, add_regression, fold_factor_draws, regression_of
from bayesgmm.sweep.factor_kernels import NativeFactors, factor_workspace
from bayesgmm.sweep.layout import Array, IntArray
from bayesgmm.sweep.orchestration import NativePoints

FactorScratch = namedtuple(
    "FactorScratch",
    "log_weight mean core counts vector law sums offset precision loadings projection inner local linear square "
    "deviation factors shift",
)
"""Memory of one chain: as ``Scratch``, and the table; precisions of single loadings; one column's regression."""


@jit
def factor_scratch(law: Law, layout: Layout) -> FactorScratch:
    """Allocate the memory of one chain."""
    k, d, q = law.n_components, law.n_features, layout.n_factors
    return FactorScratch(
        np.zeros(k),
        np.zeros(k * d),
        np.zeros(k * d * (q + 1)),
        np.zeros(k),
        np.zeros(k + d),
        np.zeros(6),
        np.zeros(k * regression_of(d, q).size),
        np.zeros(k),
        np.zeros(k * d),
        np.zeros(k * q * d),
        np.zeros(k * q * d),
        np.zeros(k * q * q),
        np.zeros(layout.loadings * d * q),
        np.zeros(q),
        np.zeros(q * q),
        np.zeros(d),
        np.zeros(2 * q),
        np.zeros(k * d),
    )


@jit
def _read(law: Law, layout: Layout, q_: Array, starts: tuple[int, int, int], memory: FactorScratch) -> None:
    """Write the mixture at coordinates to the memory: its roots, and the table that scores points."""
    k, d, q = law.n_components, law.n_features, layout.n_factors
    log_softmax(q_[: k - 1], memory.log_weight)
    for t in range(k * d):
        memory.mean[t] = q_[starts[0] + t]
    inner = memory.inner[: q * q]
    for c in range(k - 1, -1, -1):  # the factor of the first one is made in place
        log_det = factor_core(q_[starts[1] : starts[2]], d, layout, c, memory.core, inner)
        memory.offset[c] = memory.log_weight[c] + log_det - 0.5 * d * LOG_2PI
        for t in range(q * q):
            memory.inner[c * q * q + t] = inner[t]
    for c in range(k):
        _write_table(memory, c, d, q)


@plain_jit
def _write_table(memory: FactorScratch, c: int, d: int, q: int) -> None:
    """Write loadings W and projection W (I + W'W)^-1 of one component, factor by factor, from its roots."""
    x, inner = memory.linear, c * q * q
    for j in range(d):
        at = (c * d + j) * (q + 1)
        memory.precision[c * d + j] = memory.core[at + q]
        for a in range(q):
            x[a] = memory.core[at + a]
            memory.loadings[(c * q + a) * d + j] = x[a]
        for a in range(q):
            for b in range(a):
                x[a] -= memory.inner[inner + a * q + b] * x[b]
            x[a] /= memory.inner[inner + a * q + a]
        for a in range(q - 1, -1, -1):
            for b in range(a + 1, q):
                x[a] -= memory.inner[inner + b * q + a] * x[b]
            x[a] /= memory.inner[inner + a * q + a]
        for a in range(q):
            memory.projection[(c * q + a) * d + j] = x[a]


@plain_jit
def _add_prior_points(stream: IntArray, law: Law, layout: Layout, memory: FactorScratch) -> None:
    """Add a point at the prior's location of each mean, with factors: conjugate means."""
    k, d, q = law.n_components, law.n_features, layout.n_factors
    places, strength = regression_of(d, q), law.means_params[law.n_features]
    y, f = memory.deviation, memory.factors
    for c in range(k):
        for j in range(d):
            y[j] = law.means_params[j] - memory.mean[c * d + j]
        for a in range(q):
            f[q + a] = normal(stream) / math.sqrt(strength)
            f[a] = 0.0
            for j in range(d):
                f[a] += memory.projection[(c * q + a) * d + j] * y[j] * memory.precision[c * d + j]
        add_noise(f, memory.inner, c * q * q)
        add_regression(memory.sums, c * places.size, places, y, f, strength)


@plain_jit
def _draw_local(
    stream: IntArray, law: Law, layout: Layout, at: Places, q_: Array, delta: int, memory: FactorScratch
) -> None:
    """Draw the precision of each loading given its value, and multiply it by those of its factor and column."""
    d, q, df = law.n_features, layout.n_factors, law.covariances_params[0]
    for g in range(layout.loadings):
        for j in range(d):
            core, scale = (g * d + j) * (q + 1), law.covariances_params[at.scales + j]
            total = 0.0
            for h in range(q):
                total += q_[delta + h]
                unit = math.exp(total) / (scale * scale)
                loading = memory.core[core + h] / memory.core[core + q]
                rate = 0.5 * (df + unit * loading * loading)
                memory.local[(g * d + j) * q + h] = unit * math.exp(log_gamma(stream, 0.5 * (df + 1))) / rate


@plain_jit
def _draw_loadings(
    stream: IntArray, law: Law, layout: Layout, q_: Array, starts: tuple[int, int, int], memory: FactorScratch
) -> None:
    """Draw loadings with the means integrated out, and then the shifts of the means, column by column."""
    k, d, q = law.n_components, law.n_features, layout.n_factors
    places, means_at = regression_of(d, q), starts[0] + law.n_components * law.n_features
    square, linear, sums = memory.square, memory.linear, memory.sums
    for g in range(layout.loadings):
        for j in range(d):
            for a in range(q):
                linear[a] = 0.0
                for b in range(q):
                    square[a * q + b] = memory.local[(g * d + j) * q + a] if a == b else 0.0
            location, weight = location_of(law, q_, means_at, j)
            for c in range(g, k, layout.loadings):
                at, precision = c * places.size, memory.precision[c * d + j] * memory.precision[c * d + j]
                known = sums[at] * precision + weight
                pull = sums[at + places.s1 + j] * precision + weight * (location - memory.mean[c * d + j])
                for a in range(q):
                    f = precision * sums[at + places.factors + a]
                    linear[a] += precision * sums[at + places.cross + a * d + j] - f * pull / known
                    for b in range(q):
                        both = precision * sums[at + places.products + a * q + b]
                        square[a * q + b] += both - f * precision * sums[at + places.factors + b] / known
            factorise(square, q)
            solve_with_noise(stream, square, q, linear, 0)
            for a in range(q):
                q_[starts[1] + (g * d + j) * q + a] = linear[a]
            for c in range(g, k, layout.loadings):
                at, precision = c * places.size, memory.precision[c * d + j] * memory.precision[c * d + j]
                known = sums[at] * precision + weight
                pull = sums[at + places.s1 + j] * precision + weight * (location - memory.mean[c * d + j])
                for a in range(q):
                    pull -= precision * sums[at + places.factors + a] * linear[a]
                memory.shift[c * d + j] = pull / known + normal(stream) / math.sqrt(known)


@plain_jit
def _residual(
    layout: Layout, q_: Array, roots_at: int, places: Regression, memory: FactorScratch, c: int, d: int, j: int
) -> float:
    """Sum of squares that means and factors leave of column j of component c."""
    q, at, sums = layout.n_factors, c * places.size, memory.sums
    loadings, shift = roots_at + ((c % layout.loadings) * d + j) * q, memory.shift[c * d + j]
    total = sums[at + places.square + j] - 2.0 * shift * sums[at + places.s1 + j] + sums[at] * shift * shift
    for a in range(q):
        along = shift * sums[at + places.factors + a] - sums[at + places.cross + a * d + j]
        total += 2.0 * q_[loadings + a] * along
        for b in range(q):
            total += q_[loadings + a] * q_[loadings + b] * sums[at + places.products + a * q + b]
    return max(total, 0.0)


@plain_jit
def _draw_noise(
    stream: IntArray, law: Law, layout: Layout, at: Places, q_: Array, roots_at: int, memory: FactorScratch
) -> None:
    """Draw the variances of the noise, and write the logarithms of their precision roots."""
    k, d, params = law.n_components, law.n_features, law.covariances_params
    places, more = regression_of(d, layout.n_factors), 1.0 if law.means_kind == CONJUGATE else 0.0
    for m in range(layout.noises):
        for w in range(layout.width):
            entries = at.noise + w * ENTRIES
            shape, rate = params[entries + 1], params[entries + 2] / params[at.units + w]
            for c in range(m, k, layout.noises):
                for j in range(w, d, layout.width):
                    shape += 0.5 * (memory.counts[c] + more)
                    rate += 0.5 * _residual(layout, q_, roots_at, places, memory, c, d, j)
            log_precision = log_gamma(stream, shape) - math.log(rate)
            q_[roots_at + layout.first + m * layout.width + w] = 0.5 * log_precision


@plain_jit
def _draw_deltas(
    stream: IntArray,
    law: Law,
    layout: Layout,
    at: Places,
    q_: Array,
    starts: tuple[int, int, int],
    memory: FactorScratch,
) -> None:
    """Draw the deltas, one after the other, given the loadings and their own precisions."""
    d, q, delta = law.n_features, layout.n_factors, starts[2]
    squares = memory.linear
    total = 0.0
    for h in range(q):  # of the loadings of each factor, in units of their own precisions
        total += q_[delta + h]
        squares[h] = 0.0
        for g in range(layout.loadings):
            for j in range(d):
                t = (g * d + j) * q + h
                squares[h] += memory.local[t] * q_[starts[1] + t] * q_[starts[1] + t]
        squares[h] *= math.exp(-total)
    for l in range(q):
        rate, total = 1.0, 0.0
        for h in range(q):
            total += 0.0 if h == l else q_[delta + h]
            if h >= l:
                rate += 0.5 * math.exp(total) * squares[h]
        shape = law.covariances_params[at.shapes + l] + 0.5 * layout.loadings * d * (q - l)
        q_[delta + l] = log_gamma(stream, shape) - math.log(rate)


@plain_jit
def _log_delta(a: float, log_delta: float) -> float:
    """Log density of the logarithm of a Gamma(a, 1) number, up to a constant."""
    return a * log_delta - math.exp(log_delta)


@plain_jit
def _exchange_factors(
    stream: IntArray, law: Law, layout: Layout, at: Places, q_: Array, starts: tuple[int, int, int]
) -> None:
    """Propose to exchange each factor and the next one, with their scales, in all components.

    The likelihood and the density of the loadings given the scales do not change, only that of the deltas. Without it,
    chains differ for very long in the order of the factors.
    """
    d, q, delta, params = law.n_features, layout.n_factors, starts[2], law.covariances_params
    for h in range(q - 1):
        own, ratio = q_[delta + h], q_[delta + h + 1]
        change = _log_delta(params[at.shapes + h], own + ratio) - _log_delta(params[at.shapes + h], own)
        change += _log_delta(params[at.shapes + h + 1], -ratio) - _log_delta(params[at.shapes + h + 1], ratio)
        if h + 2 < q:
            after = q_[delta + h + 2]
            change += _log_delta(params[at.shapes + h + 2], after + ratio)
            change -= _log_delta(params[at.shapes + h + 2], after)
        u, _ = uniforms(stream)
        if math.log(u) < change:
            q_[delta + h], q_[delta + h + 1] = own + ratio, -ratio
            if h + 2 < q:
                q_[delta + h + 2] += ratio
            for t in range(starts[1] + h, starts[1] + layout.loadings * d * q, q):
                q_[t], q_[t + 1] = q_[t + 1], q_[t]


@plain_jit
def _translate_means(
    stream: IntArray, law: Law, layout: Layout, q_: Array, starts: tuple[int, int, int], memory: FactorScratch
) -> None:
    """Move each mean by loadings times c, and the factors of its points by -c: the residuals stay as they are.

    c is drawn from its conditional distribution [3]_. Means and factors of points that say much about their factors
    change only slowly given each other. The factors are not used any more in this sweep.
    """
    k, d, q = law.n_components, law.n_features, layout.n_factors
    places, means_at = regression_of(d, q), starts[0] + law.n_components * law.n_features
    square, linear = memory.square, memory.linear
    for c in range(k):
        at, loadings = c * places.size, starts[1] + (c % layout.loadings) * d * q
        for a in range(q):
            linear[a] = memory.sums[at + places.factors + a]
            for b in range(q):
                square[a * q + b] = memory.sums[at] if a == b else 0.0
        for j in range(d):
            location, weight = location_of(law, q_, means_at, j)
            pull = weight * (location - memory.mean[c * d + j] - memory.shift[c * d + j])
            for a in range(q):
                linear[a] += q_[loadings + j * q + a] * pull
                for b in range(q):
                    square[a * q + b] += weight * q_[loadings + j * q + a] * q_[loadings + j * q + b]
        factorise(square, q)
        solve_with_noise(stream, square, q, linear, 0)
        for j in range(d):
            for a in range(q):
                memory.shift[c * d + j] += q_[loadings + j * q + a] * linear[a]


@plain_jit
def _draw_parameters(
    stream: IntArray, law: Law, layout: Layout, q_: Array, starts: tuple[int, int, int], memory: FactorScratch
) -> None:
    """Draw everything but components and factors of the points, given their sums; write it to the coordinates."""
    k, d, q = law.n_components, law.n_features, layout.n_factors
    at, size = places_of(q, d, layout.width), regression_of(d, q).size
    for c in range(k):
        memory.counts[c] = memory.sums[c * size]
    if law.means_kind == CONJUGATE:
        _add_prior_points(stream, law, layout, memory)
    draw_weights(stream, law, q_, memory)  # type: ignore[arg-type]
    for c in range(k):  # labels may have been exchanged
        for j in range(d):
            memory.precision[c * d + j] = memory.core[(c * d + j) * (q + 1) + q]
    _draw_local(stream, law, layout, at, q_, starts[2], memory)
    _draw_loadings(stream, law, layout, q_, starts, memory)
    _draw_noise(stream, law, layout, at, q_, starts[1], memory)
    _translate_means(stream, law, layout, q_, starts, memory)
    _draw_deltas(stream, law, layout, at, q_, starts, memory)
    _exchange_factors(stream, law, layout, at, q_, starts)
    for t in range(k * d):
        memory.mean[t] += memory.shift[t]
        q_[starts[0] + t] = memory.mean[t]
    if law.means_kind == HIERARCHICAL:
        draw_centre_and_spread(stream, law, q_, starts[0] + k * d, memory)  # type: ignore[arg-type]


@kernel
def factor_sweeps(
    points: NativePoints,
    law: Law,
    schedule: Schedule,
    chain: IntArray,
    q: Array,
    first: int,
    last: int,
    drawn: Array,
    logliks: Array,
) -> None:
    """Make the sweeps first to last of one chain, as ``gibbs_sweeps``, for factor analysers."""
    starts = part_starts(law, q.size)
    layout = layout_of(law.chart, law.n_components, law.n_features, starts[2] - starts[1])
    memory = factor_scratch(law, layout)
    table = NativeFactors(
        memory.offset,
        memory.mean,
        memory.precision,
        memory.loadings,
        memory.projection,
        law.n_components,
        layout.n_factors,
    )
    work = factor_workspace(points, table)
    scratch = memory.vector[: law.n_components], memory.deviation, memory.factors
    stream = np.zeros(STREAM_SIZE, dtype=np.int64)
    for number in range(first, last):
        _read(law, layout, q, starts, memory)
        sweep = Sweep(number, chain[0], chain[1], chain[2])
        loglik = fold_factor_draws(points, table, memory.inner, sweep, schedule.single, work, scratch, memory.sums)
        keep_draw(schedule, number, q, loglik, drawn, logliks)
        restart(stream, number, chain)
        _draw_parameters(stream, law, layout, q, starts, memory)
