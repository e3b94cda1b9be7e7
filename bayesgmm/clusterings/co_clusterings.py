"""The probability that two points belong together, for every pair of points."""

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bayesgmm.clusterings.merging import Groups, merged_clusters, posterior_for
from bayesgmm.declared import whole
from bayesgmm.errors import warn
from bayesgmm.posterior.schema import Posterior, plain_index, points_for
from bayesgmm.predictions.densities import DRAWS
from bayesgmm.progress import track
from bayesgmm.sweep.stats import Blocks, Table, draw_responsibilities, run_ranges

if TYPE_CHECKING:
    import xarray as xr

Matrix = NDArray[np.float32]
MOST_POINTS = 20_000  # whose matrix takes 1.6 GB
TILE = 1024  # points: a tile of the matrix, and its product, stay in the cache
SLAB = 4_000_000  # responsibilities that are laid out at a time
LEAST = 1e-12  # of a responsibility: products of smaller ones underflow, which processors are slow at


def co_clustering(
    fit: "xr.DataTree",
    data: Any = None,
    *,
    merge: "xr.Dataset | None" = None,
    max_points: int | None = MOST_POINTS,
    draws: int | None = DRAWS,
    progress: bool = True,
) -> "xr.Dataset":
    r"""How probable it is that two points came from the same component.

    .. math:: P_{ij} = \frac1S \sum_s \sum_k r^{(s)}_{ik} r^{(s)}_{jk} \quad (i \ne j), \qquad P_{ii} = 1

    Given the parameters, labels are independent, so that their products are averaged exactly and no label is drawn.
    It does not matter how components are numbered.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points; those that were fitted unless told.
    merge : Dataset, optional
        From ``merge_components``: the same cluster counts, not the same component.
    max_points : int, optional
        Of more points so many, evenly spaced; all when None. The matrix takes 4 bytes a pair: 1.6 GB for 20,000 points.
    draws : int, optional
        Posterior draws to average over, evenly spaced; all when None.
    progress : bool
        Show how far it is, when it takes over two seconds.

    Returns
    -------
    Dataset
        ``probability`` [point, point_bis], float32. Attributes: ``draws``, and ``n_points``, of how many points these
        are.

    Warns
    -----
    FitWarning
        When there are more points than ``max_points``.

    References
    ----------
    .. [1] Gelfand & Smith (1990), J. Am. Stat. Assoc. 85(410), 398-409.
    """
    import xarray as xr

    points, posterior = points_for(fit, data), posterior_for(fit, merge, draws)
    n_points = len(points.values)
    chosen = np.arange(n_points)
    if max_points is not None and n_points > whole("max_points", max_points):
        chosen = np.linspace(0, n_points - 1, int(max_points)).round().astype(int)
        warn([f"co_clustering is of {len(chosen)} of {n_points} points, evenly spaced; max_points=None takes all."])
    clusters = merged_clusters(merge, posterior.parameters.weight.shape[1])
    blocks = posterior.standard.blocks(points.values[chosen])
    index = plain_index(points.index)[chosen]
    return xr.Dataset(
        {"probability": (("point", "point_bis"), together(posterior, blocks, clusters, progress=progress))},
        coords={"point": index, "point_bis": index},
        attrs={"draws": posterior.n_draws, "n_points": n_points},
    )


def together(
    posterior: Posterior,
    blocks: Blocks,
    clusters: Groups | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> Matrix:
    """(N, N) probabilities of being together; a slab of draws and a tile of the upper triangle at a time.

    Each thread multiplies its own tiles, so that the answer does not depend on how many there are.
    """
    tables, n_points = posterior.tables(), blocks.n_points
    cores = threads or os.cpu_count() or 1
    out = np.zeros((n_points, n_points), np.float32)
    step = max(1, SLAB // (n_points * tables.offset.shape[1]))
    edges = range(0, n_points, TILE)
    tiles = [(slice(a, a + TILE), slice(b, b + TILE)) for a in edges for b in edges if a <= b]
    with threadpool_limits(limits=1, user_api="blas"):
        for start in track(range(0, posterior.n_draws, step), "co-clustering", progress):
            slab = Table(*(value[start : start + step] for value in (tables.offset, tables.mean, tables.root)))
            rows = _rows(draw_responsibilities(blocks, slab, cores), clusters)
            run_ranges(partial(_add, out, rows, tiles), len(tiles), cores)
    run_ranges(partial(_finish, out, posterior.n_draws, tiles), len(tiles), cores)
    np.fill_diagonal(out, 1.0)
    return out


def _rows(share: NDArray[np.float64], clusters: Groups | None) -> Matrix:
    """(N, S K) responsibilities (S, N, K) side by side, those of merged components added up."""
    if clusters is not None:
        share = share @ (clusters[:, None] == np.arange(clusters.max() + 1)).astype(np.float64)
    share[share < LEAST] = 0.0
    return share.transpose(1, 0, 2).reshape(share.shape[1], -1).astype(np.float32)


def _add(out: Matrix, rows: Matrix, tiles: list[tuple[slice, slice]], first: int, last: int) -> None:
    product = np.empty((TILE, TILE), np.float32)  # once: fresh memory costs more than the arithmetic
    for a, b in tiles[first:last]:
        left, right = rows[a], rows[b]
        part = product[: len(left), : len(right)]
        out[a, b] += np.matmul(left, right.T, out=part)


def _finish(out: Matrix, n_draws: int, tiles: list[tuple[slice, slice]], first: int, last: int) -> None:
    """Sums become means, and the lower triangle the mirror of the upper one."""
    for a, b in tiles[first:last]:
        out[a, b] = np.minimum(out[a, b] / np.float32(n_draws), 1.0)
        if a != b:
            out[b, a] = out[a, b].T
