r"""A sweep that draws the component and the factors of each point, for components with few factors; compiled.

The component is drawn with the factors integrated out, and then the factors given the component,

.. math:: f_n \sim \mathrm{Normal}(z_n, (I + W^\top W)^{-1}), \qquad z_n = B^\top y_n ,

by random numbers that are a function of the seed, the chain, the sweep and the row. The sums are those of a regression
of the points on their factors: no matrix of D x D numbers is made.
"""

import math
from collections import namedtuple

from bayesgmm.late import Late
from bayesgmm.sweep.assignment_kernels import Sweep, draw_copies, draw_single
from bayesgmm.sweep.compilation import block_jit, jit, plain_jit
from bayesgmm.sweep.factor_kernels import FactorWorkspace, NativeFactors, score_factor_block
from bayesgmm.sweep.layout import BLOCK, Array
from bayesgmm.sweep.orchestration import NativePoints, count_blocks

random_numbers = Late("bayesgmm.sweep.random_numbers")

FACTORS = 1 << 30  # purpose of random numbers, as those of ``assignment_kernels``: for each copy of a row, and pair

Regression = namedtuple("Regression", "n_features n_factors s1 square factors products cross size")
"""Where the sums of one component begin: first D and q, then their places and number.

The number of points comes first, then s1 (D,) and square (D,), sums of deviations y from the mean and of their squares;
factors (q,) and products (q * q,), sums of f and of f f'; cross (q * D,), sums of f y', factor by factor.
"""


@jit
def regression_of(n_features: int, n_factors: int) -> Regression:
    """Return the places of the sums."""
    s1 = 1
    square = s1 + n_features
    factors = square + n_features
    products = factors + n_factors
    cross = products + n_factors * n_factors
    return Regression(n_features, n_factors, s1, square, factors, products, cross, cross + n_features * n_factors)


@block_jit
def add_regression(sums: Array, at: int, places: Regression, y: Array, f: Array, weight: float) -> None:
    """Add a point with deviations y (D,), factors f (the first q numbers) and a weight to the sums of one component."""
    d, q = places.n_features, places.n_factors
    sums[at] += weight
    for j in range(d):
        sums[at + places.s1 + j] += weight * y[j]
        sums[at + places.square + j] += weight * y[j] * y[j]
    for a in range(q):
        g = weight * f[a]
        sums[at + places.factors + a] += g
        for b in range(q):
            sums[at + places.products + a * q + b] += g * f[b]
        row = at + places.cross + a * d
        for j in range(d):
            sums[row + j] += g * y[j]


@block_jit
def add_noise(f: Array, inner: Array, at: int) -> None:
    """Add to f (q,) what turns standard normal numbers, in f's second half, to the covariance (I + W'W)^-1.

    ``inner[at:]`` is the lower Cholesky factor of I + W'W.
    """
    q = f.size // 2
    for a in range(q - 1, -1, -1):
        for b in range(a + 1, q):
            f[q + a] -= inner[at + b * q + a] * f[q + b]
        f[q + a] /= inner[at + a * q + a]
        f[a] += f[q + a]


@block_jit
def _draw_noise(f: Array, row: int, copy: int, sweep: Sweep) -> None:
    """Write standard normal numbers to the second half of f (2 q,), by Box and Muller."""
    q = f.size // 2
    for pair in range((q + 1) // 2):
        kind = FACTORS + copy * ((q + 1) // 2) + pair
        u, v = random_numbers.uniform_pair(row, sweep.number, sweep.chain, kind, sweep.key0, sweep.key1)
        length, angle = math.sqrt(-2.0 * math.log(u)), 2.0 * math.pi * v
        f[q + 2 * pair] = length * math.cos(angle)
        if 2 * pair + 1 < q:
            f[q + 2 * pair + 1] = length * math.sin(angle)


@plain_jit
def fold_factor_draws(
    points: NativePoints,
    table: NativeFactors,
    inner: Array,
    sweep: Sweep,
    single: bool,
    work: FactorWorkspace,
    scratch: tuple[Array, Array, Array],
    sums: Array,
) -> float:
    """Draw components and factors of all points; write the sums of the regressions, and return the log likelihood.

    Parameters
    ----------
    points, table : NativePoints, NativeFactors
        Points without latent cells and background.
    inner : (K * q * q,) float
        Lower Cholesky factors of I + W'W.
    sweep : Sweep
    single : bool
        True if all row weights are zero or one.
    work : FactorWorkspace
    scratch : three arrays
        (K,), (D,) and (2 q,) numbers.
    sums : (K * size,) float
        In the order of ``Regression``.
    """
    d, q, k = points.n_features, table.n_factors, table.n_components
    counts, y, f = scratch
    places = regression_of(d, q)
    for t in range(sums.size):
        sums[t] = 0.0
    loglik = 0.0
    for block in range(count_blocks(points)):
        score_factor_block(points, block, table, 0, work)
        if single:
            loglik += draw_single(points, block, sweep, work)  # type: ignore[arg-type]
        else:
            loglik += draw_copies(points, block, sweep, counts, work)  # type: ignore[arg-type]
        for p in range(BLOCK):
            row = block * BLOCK + p
            if points.weight[row] == 0.0:
                continue
            copy = 0
            for c in range(k):
                for _ in range(int(work.score[c * BLOCK + p])):
                    for j in range(d):
                        y[j] = points.x[(block * d + j) * BLOCK + p] - table.mean[c * d + j]
                    _draw_noise(f, row, copy, sweep)
                    for a in range(q):
                        f[a] = work.factors[(c * q + a) * BLOCK + p]
                    add_noise(f, inner, c * q * q)
                    add_regression(sums, c * places.size, places, y, f, 1.0)
                    copy += 1
    return loglik
