"""P-values of scores among those of reference points, which are observed in the same way as the points."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import Points
from bayesgmm.posterior.schema import Posterior
from bayesgmm.predictions.densities import spread
from bayesgmm.progress import track
from bayesgmm.sweep.stats import Array

TAIL = 0.01  # fraction of the reference scores that the tail is fitted to
MIN_EACH, COMPARED = 1000, 400_000  # reference points of each pattern of missing columns, and of all together
AT_ONCE = 200_000  # reference points that are scored at a time
FIRST, FEW_LOWER = 199, 10  # reference points with which a point with errors begins, and lower ones that suffice
NOISY_DRAWS, NOISY_SLICE = 50, 200_000  # draws that score them, and simulated points at a time


def q_values(p_value: Array, *, dependent: bool = False) -> Array:
    """Compute the false discovery rates at which p-values (N,) are significant [1]_.

    Parameters
    ----------
    p_value : (N,) float
    dependent : bool
        Allow any dependence of the p-values: rates are higher by the factor 1 + 1/2 + ... + 1/N [2]_.

    References
    ----------
    .. [1] Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57(1), 289-300.
    .. [2] Benjamini & Yekutieli (2001), Ann. Stat. 29(4), 1165-1188.

    Examples
    --------
    >>> q_values(np.array([0.01, 0.5, 0.02, 0.9])).round(2)
    array([0.04, 0.67, 0.04, 0.9 ])
    """
    n = len(p_value)
    order = np.argsort(p_value)
    rate = p_value[order] * (n / np.arange(1, n + 1))
    if dependent:
        rate *= (1 / np.arange(1, n + 1)).sum()
    q_value = np.empty(n)
    q_value[order] = np.minimum(np.minimum.accumulate(rate[::-1])[::-1], 1.0)
    return q_value


def rank_p_values(score: Array, reference: Array) -> Array:
    """Compute p-values of scores among sorted reference scores; lower scores are more anomalous.

    Examples
    --------
    >>> rank_p_values(np.array([-9.0, 5.0]), np.array([0.0, 1.0, 2.0]))
    array([0.25, 1.  ])
    """
    return (1 + np.searchsorted(reference, score, side="right")) / (1 + reference.size)


def log_p_values(score: Array, reference: Array) -> Array:
    r"""Logarithms of p-values of scores, by sorted reference scores with an exponential lower tail.

    Below its maximum, a Gaussian's log density is a gamma variable, whose tail decreases almost exponentially, and
    faster the farther out. So below the lowest hundredth of the reference scores an exponential tail is used. The
    p-values there are too large rather than too small.

    Parameters
    ----------
    score : (N,) float
        Log densities of the points to test.
    reference : (M,) float
        Log densities of points simulated from the model, in increasing order.

    Returns
    -------
    (N,) float

    Examples
    --------
    One Gaussian in two dimensions: the tail is exponential, p = exp(-r^2 / 2).

    >>> reference = np.sort(np.log(np.random.default_rng(0).random(100_000)))
    >>> log_p_values(np.array([-20.0]), reference).round()
    array([-20.])
    """
    log_p = np.log(rank_p_values(score, reference))
    count = int(TAIL * reference.size)
    if count < 2:
        return log_p
    edge = reference[count]
    rate = 1 / (edge - reference[:count]).mean()
    return np.where(score < edge, np.log(TAIL) + rate * (score - edge), log_p)


def scores_at(log_p: Array, reference: Array) -> Array:
    """Compute the scores (N,) that have these logarithms of p-values: the inverse of ``log_p_values``.

    Examples
    --------
    >>> reference = np.sort(np.log(np.random.default_rng(0).random(100_000)))
    >>> scores_at(log_p_values(np.array([-20.0, -1.0]), reference), reference).round(3)
    array([-20.,  -1.])
    """
    rank = np.exp(log_p) * (1 + reference.size) - 1
    score = np.interp(rank - 0.5, np.arange(reference.size), reference)
    count = int(TAIL * reference.size)
    if count < 2:
        return score
    edge = reference[count]
    rate = 1 / (edge - reference[:count]).mean()
    return np.where(log_p < np.log(TAIL), edge + (log_p - np.log(TAIL)) / rate, score)


def comparable_scores(score_of: Callable[[Array], Array], values: Array, simulated: Callable[[], Array]) -> Array:
    """Compute scores of points, those with missing values on the scale of complete ones.

    Densities of different columns can't be compared. So a point with missing values has the score of a complete point
    that is as improbable: p-values are those among simulated points in which the same values are missing.

    Parameters
    ----------
    score_of : function
        From points (N, D), all of them complete or all of them not, to scores (N,).
    values : (N, D) float
    simulated : function
        Returns complete points (M, D) from the model; called if values are missing.
    """
    gaps = np.isnan(values)
    if not gaps.any():
        return score_of(values)
    score, others = np.empty(len(values)), simulated()
    complete, empty = np.sort(score_of(others)), gaps.all(axis=1)
    score[empty] = complete[-1]
    short, whole = np.flatnonzero(gaps.any(axis=1) & ~empty), np.flatnonzero(~gaps.any(axis=1))
    for rows in filter(len, (whole, short)):
        score[rows] = score_of(values[rows])
    for own, reference in references_by_pattern(score_of, gaps[short], others) if len(short) else ():
        score[short[own]] = scores_at(log_p_values(score[short[own]], reference), complete)
    return score


def references_by_pattern(
    score_of: Callable[[Array], Array],
    gaps: NDArray[np.bool_],
    others: Array,
    minimum: int = MIN_EACH,
    together: int = COMPARED,
) -> Iterator[tuple[NDArray[np.intp], Array]]:
    """Yield, for each pattern of missing columns, its rows, and the sorted scores of points with the same ones missing.

    Where there are many patterns, each has fewer points. Many patterns are scored at a time.

    Parameters
    ----------
    score_of : function
        From points (N, D), of several patterns, to scores (N,).
    gaps : (N, D) bool
    others : (M, D) float
        Complete points.
    minimum, together : int
        Number of points of each pattern, and of all patterns.
    """
    patterns, which = np.unique(gaps, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1])
    others = others[:: max(1, len(others) // max(minimum, together // len(patterns)))]
    step = max(1, AT_ONCE // len(others))
    for start in range(0, len(patterns), step):
        some = patterns[start : start + step]
        masked = np.where(some[:, None], np.nan, others).reshape(-1, gaps.shape[1])
        for number, score in enumerate(score_of(masked).reshape(len(some), -1), start):
            yield rows[number], np.sort(score)


def among_points(
    posterior: Posterior, points: Points, score: Array, others: Array, seed: int, progress: bool
) -> tuple[Array, int]:
    """Compute p-values of scores among those of reference points (M, D), and the number of these.

    Densities of different columns can't be compared. So a point is compared with reference points in which the same
    columns are missing: for many such patterns with fewer of them. A point that was measured with errors is compared
    with points that have errors of the same distribution.
    """
    if points.noise is not None:
        return _ranked_with_errors(posterior.thin(NOISY_DRAWS), points, others, seed, progress)
    if not points.has_gaps:
        return rank_p_values(score, np.sort(spread(posterior, others, progress=progress).mean_log)), len(others)
    p_value, count = np.empty_like(score), len(others)

    def score_of(values: Array) -> Array:
        return spread(posterior, values, progress=progress).mean_log

    for own, reference in references_by_pattern(score_of, np.isnan(points.values), others):
        p_value[own], count = rank_p_values(score[own], reference), len(reference)
    return p_value, count


def _ranked_with_errors(
    posterior: Posterior, points: Points, others: Array, seed: int, progress: bool
) -> tuple[Array, int]:
    """Compute p-values of points among reference points (M, D) with simulated errors, for each point of its own.

    First with few of them. Those points that have few lower ones get ten times as many, until all are used [1]_.

    References
    ----------
    .. [1] Besag & Clifford (1991), Biometrika 78(2), 301-304: sequential Monte Carlo p-values.
    """
    rng, p_value, rows = np.random.default_rng(seed), np.ones(len(points.values)), np.arange(len(points.values))
    size = min(FIRST, len(others))
    while rows.size:
        step = max(1, NOISY_SLICE // size)
        for start in track(range(0, len(rows), step), "p-values", progress):
            some = rows[start : start + step]
            p_value[some] = _among_measured(posterior, points.take(some), others[:size], rng)
        if size == len(others):
            break
        rows = rows[p_value[rows] <= FEW_LOWER / (1 + size)]
        size = min(10 * size, len(others))
    return p_value, len(others)


def _among_measured(posterior: Posterior, points: Points, others: Array, rng: np.random.Generator) -> Array:
    """Compute the p-value (N,) of each point among reference points (M, D) with errors like its own."""
    size = len(others)
    repeated = points.take(np.repeat(np.arange(len(points.values)), size))
    values = np.tile(others, (len(points.values), 1)) + drawn_errors(repeated, rng)
    reference = replace(repeated, values=np.where(np.isnan(repeated.values), np.nan, values))
    score = spread(posterior, points, progress=False).mean_log
    lower = spread(posterior, reference, progress=False).mean_log.reshape(-1, size) <= score[:, None]
    return (1 + lower.sum(axis=1)) / (1 + size)


def drawn_errors(points: Points, rng: np.random.Generator) -> Array:
    """Draw errors of measurement (N, D) of points that have them."""
    assert points.noise is not None
    normal = rng.standard_normal(points.values.shape)
    if points.noise.ndim == 2:
        return points.noise * normal
    value, vector = np.linalg.eigh(points.noise)
    return np.einsum("nij,nj->ni", vector * np.sqrt(np.maximum(value, 0.0))[:, None, :], normal)
