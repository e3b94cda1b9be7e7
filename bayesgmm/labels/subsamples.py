"""Stratified subsamples of the points: the same number from each component, weighted to represent all points."""

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, Table, responsibilities

SLICE = 65_536  # points scored at a time

Rows = NDArray[np.int64]


def stratified_subsample(points: Points, standard: Standard, table: Table, size: int | None) -> tuple[Rows, Blocks]:
    """Draw a subsample stratified by component, and weight it so that it represents all points.

    From each component the same number of points is taken, evenly spaced, so that even a component of ten points in a
    million is represented. Weighted sums over the subsample estimate sums over all points.

    Parameters
    ----------
    points : Points
        N points.
    standard : Standard
    table : Table
        K components.
    size : int, optional
        Approximate size of the subsample. All N points when None, or when N is no larger.

    Returns
    -------
    rows : (n,) int
        Rows of the subsample, in increasing order.
    blocks : Blocks
        Its points, standardised, with their weights.
    """
    weight = np.ones(len(points.values)) if points.weights is None else points.weights
    rows = np.arange(len(weight))
    if size is not None and size < len(rows):
        label = _labels(points, standard, table)
        rows, weight = _stratified(label, weight, size)
    return rows, standard.blocks(points.take(rows), weight)


def _stratified(label: NDArray[np.int16], weight: Array, size: int) -> tuple[Rows, Array]:
    """Return rows from each stratum, and the number of points that each represents.

    Examples
    --------
    >>> _stratified(np.array([0, 0, 0, 0, 1, 1], dtype=np.int16), np.ones(6), 4)
    (array([0, 3, 4, 5]), array([2., 2., 1., 1.]))
    """
    present = np.unique(label[weight > 0])
    each = -(-size // len(present))
    strata = [evenly(np.flatnonzero((label == k) & (weight > 0)), each) for k in present]
    shares = [weight[label == k].sum() / weight[rows].sum() for k, rows in zip(present, strata, strict=True)]
    rows = np.concatenate(strata)
    represented = weight[rows] * np.repeat(shares, [len(part) for part in strata])
    order = np.argsort(rows)
    return rows[order], represented[order]


def evenly(rows: Rows, size: int) -> Rows:
    """Return at most ``size`` of some rows, evenly spaced."""
    return rows if len(rows) <= size else rows[np.linspace(0, len(rows) - 1, size).round().astype(int)]


def _labels(points: Points, standard: Standard, table: Table) -> NDArray[np.int16]:
    """Return the most probable component (N,) of every point."""
    starts = range(0, len(points.values), SLICE)
    slices = (standard.blocks(points.take(slice(start, start + SLICE))) for start in starts)
    return np.concatenate([responsibilities(part, table).argmax(axis=1).astype(np.int16) for part in slices])
