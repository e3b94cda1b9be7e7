"""P-values of scores among those of reference points, which are observed in the same way as the points."""

from dataclasses import replace

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.posterior.schema import Posterior
from bayesgmm.predictions.densities import spread
from bayesgmm.progress import track
from bayesgmm.sweep.stats import Array

MIN_EACH, COMPARED = 1000, 400_000  # reference points of each pattern of missing columns, and of all together
FIRST, FEW_LOWER = 199, 10  # reference points with which a point with errors begins, and lower ones that suffice
NOISY_DRAWS, NOISY_SLICE = 50, 200_000  # draws that score them, and simulated points at a time


def rank_p_values(score: Array, reference: Array) -> Array:
    """Compute p-values of scores among sorted reference scores; lower scores are more anomalous.

    Examples
    --------
    >>> rank_p_values(np.array([-9.0, 5.0]), np.array([0.0, 1.0, 2.0]))
    array([0.25, 1.  ])
    """
    return (1 + np.searchsorted(reference, score, side="right")) / (1 + reference.size)


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
    patterns, which = np.unique(np.isnan(points.values), axis=0, return_inverse=True)
    others = others[: max(MIN_EACH, COMPARED // len(patterns))]
    p_value = np.empty_like(score)
    for number in track(range(len(patterns)), "p-values", progress):
        reference = spread(posterior, np.where(patterns[number], np.nan, others), progress=False).mean_log
        own = which == number
        p_value[own] = rank_p_values(score[own], np.sort(reference))
    return p_value, len(others)


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
