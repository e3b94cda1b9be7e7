"""Co-clustering: the posterior probability that two points came from the same component, for every pair of points."""

import os
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.blas import one_blas_thread
from bayesgmm.clusterings.merge_paths import Groups
from bayesgmm.clusterings.merging import merged_clusters, posterior_for
from bayesgmm.data.points import DataLike
from bayesgmm.declared import whole
from bayesgmm.errors import warn
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.packing import plain_index
from bayesgmm.posterior.schema import Posterior, points_for
from bayesgmm.predictions.densities import DRAWS
from bayesgmm.progress import track
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Table, draw_responsibilities
from bayesgmm.sweep.threads import run_ranges

if TYPE_CHECKING:
    import xarray as xr

Matrix = NDArray[np.float32]
MAX_POINTS = 20_000  # maximum by default: the matrix takes 1.6 GB
TILE = 1024  # points on each side of a tile: it stays in the cache
SLAB = 4_000_000  # responsibilities in memory at a time
MIN_RESPONSIBILITY = 1e-12  # smaller responsibilities are set to 0: their products underflow, which is slow


@takes_fit
def co_clustering(
    fit: FitLike,
    data: DataLike | None = None,
    *,
    merge: "xr.Dataset | None" = None,
    max_points: int | None = MAX_POINTS,
    draws: int | None = DRAWS,
    progress: bool = True,
) -> "xr.Dataset":
    r"""Compute the posterior probability that two points came from the same component, for every pair of points.

    .. math:: P_{ij} = \frac1S \sum_s \sum_k r^{(s)}_{ik} r^{(s)}_{jk} \quad (i \ne j), \qquad P_{ii} = 1

    Given the parameters, labels are independent, so the products of the responsibilities :math:`r^{(s)}` are averaged
    exactly and no labels are drawn. The result does not depend on how components are numbered.

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    merge : Dataset, optional
        From ``merge_components``: the probability that two points are in the same cluster of merged components.
    max_points : int, optional
        Maximum number of points; with more, an evenly spaced subset is used. None for all. The matrix takes 4 bytes for
        each pair: 1.6 GB for 20,000 points.
    draws : int, optional
        Number of posterior draws to average over, evenly spaced; None for all.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    Dataset
        ``probability`` [point, point_bis], float32, symmetric, 1 on the diagonal. Attributes: ``draws``, the number of
        draws, and ``n_points``, the number of points before a subset was taken.
        ``answer["probability"].to_pandas()`` is a table.

    Raises
    ------
    DataError
        When the data do not have the columns of the fit.
    DeclarationError
        When ``merge`` is not from ``merge_components`` for this fit, or a number is not positive.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    Warns
    -----
    FitWarning
        When there are more points than ``max_points``.

    References
    ----------
    .. [1] Gelfand & Smith (1990), J. Am. Stat. Assoc. 85(410), 398-409.

    Examples
    --------
    Two groups, around 0 and 10. The point halfway is in the component of each of them with probability 1/2.

    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> co_clustering(fit, [[0.0], [1.0], [5.0], [10.0]])["probability"].values.round(2)
    array([[1. , 1. , 0.5, 0. ],
           [1. , 1. , 0.5, 0. ],
           [0.5, 0.5, 1. , 0.5],
           [0. , 0. , 0.5, 1. ]], dtype=float32)
    """
    import xarray as xr

    points, posterior = points_for(fit, data), posterior_for(fit, merge, draws)
    n_points = len(points.values)
    chosen = np.arange(n_points)
    if max_points is not None and n_points > whole("max_points", max_points):
        chosen = np.linspace(0, n_points - 1, int(max_points)).round().astype(int)
        warn([f"co_clustering uses {len(chosen)} of {n_points} points, evenly spaced; max_points=None takes all."])
    clusters = merged_clusters(merge, posterior.parameters.weight.shape[1])
    blocks = posterior.standard.blocks(points.take(chosen))
    index = plain_index(points.index)[chosen]
    return xr.Dataset(
        {"probability": (("point", "point_bis"), pair_probabilities(posterior, blocks, clusters, progress=progress))},
        coords={"point": index, "point_bis": index},
        attrs={"draws": posterior.n_draws, "n_points": n_points},
    )


def pair_probabilities(
    posterior: Posterior,
    blocks: Blocks,
    clusters: Groups | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> Matrix:
    """Compute the co-clustering probabilities (N, N), for a group of draws and a tile of the upper triangle at a time.

    Each thread multiplies its own tiles, so that the result does not depend on the number of threads.
    """
    tables, n_points = posterior.tables(), blocks.n_points
    cores = threads or os.cpu_count() or 1
    out = np.zeros((n_points, n_points), np.float32)
    step = max(1, SLAB // (n_points * tables.offset.shape[1]))
    edges = range(0, n_points, TILE)
    tiles = [(slice(a, a + TILE), slice(b, b + TILE)) for a in edges for b in edges if a <= b]
    with one_blas_thread():
        for start in track(range(0, posterior.n_draws, step), "co-clustering", progress):
            slab = Table(*(value[start : start + step] for value in (tables.offset, tables.mean, tables.root)))
            rows = _rows(draw_responsibilities(blocks, slab, cores), clusters)
            run_ranges(partial(_add, out, rows, tiles), len(tiles), cores)
    run_ranges(partial(_finish, out, posterior.n_draws, tiles), len(tiles), cores)
    np.fill_diagonal(out, 1.0)
    return out


def _rows(share: NDArray[np.float64], clusters: Groups | None) -> Matrix:
    """Reshape responsibilities (S, N, K) to (N, S K); those of merged components are summed."""
    if clusters is not None:
        share = share @ (clusters[:, None] == np.arange(clusters.max() + 1)).astype(np.float64)
    share[share < MIN_RESPONSIBILITY] = 0.0
    return share.transpose(1, 0, 2).reshape(share.shape[1], -1).astype(np.float32)


def _add(out: Matrix, rows: Matrix, tiles: list[tuple[slice, slice]], first: int, last: int) -> None:
    product = np.empty((TILE, TILE), np.float32)  # allocated once: allocation takes longer than the arithmetic
    for a, b in tiles[first:last]:
        left, right = rows[a], rows[b]
        part = product[: len(left), : len(right)]
        out[a, b] += np.matmul(left, right.T, out=part)


def _finish(out: Matrix, n_draws: int, tiles: list[tuple[slice, slice]], first: int, last: int) -> None:
    """Divide the sums by the number of draws, and copy the upper triangle to the lower one."""
    for a, b in tiles[first:last]:
        out[a, b] = np.minimum(out[a, b] / np.float32(n_draws), 1.0)
        if a != b:
            out[b, a] = out[a, b].T
