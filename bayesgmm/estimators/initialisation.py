"""Initialisation as in scikit-learn, for its families with the same random numbers: responsibilities, and an M step."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.cells import of_columns
from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.families.family import Family
from bayesgmm.inference.mixtures import Mixture, at_least_empty, maximise
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.lloyd_kernels import CHUNK, assign_nearest, nearer_distances
from bayesgmm.sweep.stats import Array, Stats, Table, fold_labelled
from bayesgmm.sweep.threads import enough_threads, run_ranges

MAX_ITER, TOL = 300, 1e-4  # of k-means, those of scikit-learn
SLICE = 32_768  # number of rows processed together, so that the data are not copied
SKLEARN = ("full", "tied", "diag", "spherical")  # families whose start is scikit-learn's
UNASSIGNED = -1  # label of a row that is assigned to no component

Labels = NDArray[np.int64]


def without_weightless(points: Points) -> Points:
    """Drop the rows of weight zero, which must not be drawn."""
    if points.weights is None or points.weights.all():
        return points
    kept = points.weights > 0
    return Points(points.values[kept], points.columns, points.index[kept], points.weights[kept])


def kmeans_labels(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Labels:
    """Compute the k-means cluster (N,) of each point: that of scikit-learn's ``KMeans`` with the same random numbers.

    The first centres and Lloyd's iterations are those of compiled code, which takes less time. Where a cluster becomes
    empty, scikit-learn moves its centre, so that it makes the whole fit.
    """
    from sklearn.cluster import KMeans

    state = random.get_state()
    about = of_columns(np.add, values) / len(values)
    blocks = Blocks.from_rows(values, weight, about, threads=os.cpu_count() or 1)
    centres = values[spread_out(blocks, n_components, random)] - about
    variance = np.einsum("i,i->", blocks.x, blocks.x) / values.size  # not by BLAS: its threads would wait for others
    labels = nearest_labels(values, about, blocks, centres, TOL * float(variance))
    if labels is not None:
        return labels
    random.set_state(state)
    kmeans = KMeans(n_clusters=n_components, n_init=1, random_state=random)
    return np.asarray(kmeans.fit(values, sample_weight=weight).labels_, dtype=np.int64)


def flat_rows(values: Array) -> Array:
    """Return rows (N, D) one after another (N D,), in the one type of array that kernels are compiled for."""
    return np.require(values, np.float64, ("C", "W")).reshape(-1)


def spread_out(blocks: Blocks, n_components: int, random: np.random.RandomState) -> list[int]:
    """Choose K points far from each other by k-means++: those of scikit-learn's ``kmeans_plusplus``.

    References
    ----------
    .. [1] Arthur & Vassilvitskii (2007), Proc. 18th ACM-SIAM Symp. Discrete Algorithms, 1027-1035.
    """
    n, d, x, weight = blocks.n_points, blocks.n_features, blocks.x, blocks.weight
    n_chunks, own = -(-blocks.n_blocks // CHUNK), weight[:n]
    nearest, tries = np.full(len(weight), -np.inf), 2 + int(np.log(n_components))
    room = np.empty((2, tries * len(weight)))  # for the distances of this step, and those of the last one

    def nearer(rows: Labels, step: int) -> tuple[Array, Array]:
        """Return distances (M, N) to the nearer of each row and the centres so far, negated, and weighted sums (M,)."""
        candidates = x.reshape(-1, d, BLOCK)[rows // BLOCK, :, rows % BLOCK].reshape(-1)
        out, sums = room[step % 2, : len(rows) * len(weight)], np.empty(n_chunks * len(rows))
        threads = enough_threads(os.cpu_count() or 1, n * d * len(rows))
        args = (x, weight, candidates, d)
        run_ranges(lambda a, b: nearer_distances(*args, a, b, nearest, out, sums), n_chunks, threads)
        return out.reshape(len(rows), -1), sums.reshape(n_chunks, -1).sum(axis=0)

    chosen = [int(random.choice(n, p=own / own.sum()))]
    (nearest,), (total,) = nearer(np.array(chosen), 0)
    for step in range(1, n_components):
        tried = random.uniform(size=tries) * -total
        candidates = np.minimum(np.searchsorted(np.cumsum(-own * nearest[:n]), tried), n - 1)
        distances, totals = nearer(candidates, step)
        best = int(np.argmax(totals))
        nearest, total = distances[best], totals[best]
        chosen.append(int(candidates[best]))
    return chosen


def nearest_labels(values: Array, about: Array, blocks: Blocks, centres: Array, tol: float) -> Labels | None:
    """Compute clusters (N,) of points (N, D) by Lloyd's algorithm; None if one becomes empty.

    ``blocks`` and centres (K, D) are less the point ``about`` (D,). It ends when no point changes its cluster, or when
    the squared shifts of the centres sum up to at most ``tol``.

    References
    ----------
    .. [1] Lloyd (1982), IEEE Trans. Inf. Theory 28(2), 129-137.
    """
    (k, d), n_chunks = centres.shape, -(-blocks.n_blocks // CHUNK)
    threads = enough_threads(os.cpu_count() or 1, blocks.n_points * k * d)
    labels, sums = np.full(len(blocks.weight), -1, np.float32), np.zeros(n_chunks * k * (d + 2))
    single, reach = np.empty(len(blocks.x), np.float32), np.full(blocks.n_blocks, np.inf)
    points = (flat_rows(values), about, blocks.x, single, reach, blocks.weight)
    changed = np.empty(n_chunks, dtype=np.int64)

    def assign(centres: Array) -> Array:
        flat, half = np.ascontiguousarray(centres).reshape(-1), np.square(centres).sum(axis=1) / 2
        run_ranges(lambda a, b: assign_nearest(*points, flat, half, a, b, labels, sums, changed), n_chunks, threads)
        return np.asarray(sums.reshape(n_chunks, k, d + 2).sum(axis=0))

    for _ in range(MAX_ITER):
        total = assign(centres)
        if not (total[:, 0] > 0).all():
            return None
        if not changed.any():
            break
        moved = total[:, 2:] / total[:, 1:2]
        shift, centres = float(np.square(moved - centres).sum()), moved
        if shift <= tol:
            assign(centres)
            break
    else:
        assign(centres)
    return labels[: blocks.n_points].astype(np.int64)


def _only(rows: Labels, n_points: int) -> Labels:
    labels = np.full(n_points, UNASSIGNED, dtype=np.int64)
    labels[rows] = np.arange(rows.size)
    return labels


def spread_out_rows(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Labels:
    """Choose K points far from each other, one per component; return labels (N,), the others unassigned."""
    from sklearn.cluster import kmeans_plusplus

    rows = kmeans_plusplus(values, n_components, sample_weight=weight, random_state=random)[1]
    return _only(np.asarray(rows), len(values))


def random_rows(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Labels:
    """Choose K random points, one per component; return labels (N,), the others unassigned."""
    share = None if weight is None else weight / weight.sum()
    return _only(random.choice(len(values), size=n_components, replace=False, p=share), len(values))


def random_shares(values: Array, weight: Array | None, n_components: int, random: np.random.RandomState) -> Array:
    """Draw random responsibilities (N, K)."""
    shares = random.uniform(size=(len(values), n_components))
    return shares / shares.sum(axis=1)[:, None]


Assign = Callable[[Array, Array | None, int, np.random.RandomState], NDArray[Any]]
ASSIGN: dict[str, Assign] = {
    "kmeans": kmeans_labels,
    "k-means++": spread_out_rows,
    "random": random_shares,
    "random_from_data": random_rows,
}


def assign(
    init_params: str,
    points: Points,
    n_components: int,
    random: np.random.RandomState,
    standard: Standard,
    family: Family,
) -> NDArray[Any]:
    """Compute labels (N,) or responsibilities (N, K) of points with positive weight.

    Distances are in data units for the families that scikit-learn has, as there. For the other ones they are in the
    coordinates of the fit: a column of large numbers does not decide alone.
    """
    values = points.values if family.name in SKLEARN else (points.values - standard.shift) / standard.scale
    return ASSIGN[init_params](values, points.weights, n_components, random)


def from_assignment(
    points: Points, assigned: NDArray[Any], n_components: int, standard: Standard, family: Family, floor: Array
) -> Mixture:
    """Compute the mixture by an M step from labels (N,) or responsibilities (N, K) of points with positive weight."""
    return maximise(family, statistics(points, assigned, n_components, standard, family), None, floor)


def statistics(points: Points, assigned: NDArray[Any], n_components: int, standard: Standard, family: Family) -> Stats:
    """Compute the statistics of labels (N,) or responsibilities (N, K) of points, in standardised coordinates.

    A point that is the only one of its component has weight one.
    """
    if assigned.ndim == 1:
        alone = bool((assigned == UNASSIGNED).any())
        return of_labels(points.values, None if alone else points.weights, assigned, n_components, standard, family)
    return _of_shares(points.values, points.weights, assigned, standard, family)


def of_labels(
    values: Array, weight: Array | None, labels: Labels, n_components: int, standard: Standard, family: Family
) -> Stats:
    """Compute the statistics of labels (N,) of points (N, D), with weights (N,), in two sweeps.

    The first one finds the means about which the second one squares.
    """
    if (labels == UNASSIGNED).any():
        rows = np.flatnonzero(labels != UNASSIGNED)
        values, labels, weight = values[rows], labels[rows], None if weight is None else weight[rows]
    d, threads = values.shape[1], os.cpu_count() or 1
    blocks = Blocks.from_rows(values, weight, standard.shift, standard.scale, threads=threads)
    offset, about = np.zeros(n_components), np.zeros((n_components, d))
    found = fold_labelled(blocks, Table(offset, about, np.ones((n_components, d))), labels, threads)
    n = at_least_empty(found.n)
    about = found.s1 / n[:, None]
    root = np.ones((n_components, *family.form.table_shape(d)))
    s2 = fold_labelled(blocks, Table(offset, about, root), labels, threads).s2
    return Stats(n, np.zeros_like(about), s2, -np.inf, about)


def _of_shares(values: Array, weight: Array | None, shares: Array, standard: Standard, family: Family) -> Stats:
    """Compute the statistics of responsibilities (N, K) of points (N, D), with weights (N,)."""
    n_components = shares.shape[1]

    def parts() -> Iterator[tuple[int, Array, Array]]:
        """Make for each slice and component the rows with a share in it, standardised, and their weights in it."""
        for start in range(0, len(values), SLICE):
            rows = slice(start, start + SLICE)
            x, shares_here = values[rows], shares[rows]
            for k, share in enumerate(shares_here.T if weight is None else shares_here.T * weight[rows]):
                own = np.flatnonzero(shares_here[:, k] > 0)
                yield k, (x[own] - standard.shift) / standard.scale, share[own]

    n, s1 = np.zeros(n_components), np.zeros((n_components, values.shape[1]))
    for k, x, share in parts():
        n[k] += share.sum()
        s1[k] += share @ x
    n = at_least_empty(n)
    about = s1 / n[:, None]
    s2 = [0.0 * family.form.second_moments(about[:1], n[:1])] * n_components
    for k, x, share in parts():
        s2[k] = s2[k] + family.form.second_moments(x - about[k], share)
    return Stats(n, np.zeros_like(about), np.array(s2), -np.inf, about)
