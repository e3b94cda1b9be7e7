"""Initialisation of EM: rough mixtures from a part of the data, by the methods that scikit-learn names."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bayesgmm.families.family import Family
from bayesgmm.inference.mixtures import Mixture, maximise
from bayesgmm.sweep.blocks import BackgroundRow, Blocks
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.latent_cells import LatentCells
from bayesgmm.sweep.stats import Array, Stats

SEEDING_POINTS = 20_000  # maximum number of points for a start
SAMPLE = 60_000  # number of points for a first fit, when there are many more
MIN_SPREAD = 1e-12
NEIGHBOURS = 10  # number of nearest neighbours that measure the density around a row
ROUNDING = 1e-9
RATIO = 1.4  # of successive numbers of components at starts
MAX_COMPARED = 5_000  # maximum number of rows whose neighbours are computed


def sample_rows(blocks: Blocks, rng: np.random.Generator) -> tuple[Array, Array]:
    """Sample at most SEEDING_POINTS points (M, D) of positive weight, with their weights (M,).

    Missing cells have the numbers that the blocks hold.
    """
    rows, weight, _, _ = sample_points(blocks, rng)
    return rows, weight


def sample_points(blocks: Blocks, rng: np.random.Generator) -> tuple[Array, Array, LatentCells | None, Array | None]:
    """Sample points as ``sample_rows`` does; return their latent cells and labels, too, None if there are none.

    Whole blocks are drawn without replacement. The rows are sorted, so that a start depends neither on the order of
    the rows nor on whether a row is repeated or has weight two.
    """
    blocks = blocks.sample
    max_blocks, part = SEEDING_POINTS // BLOCK, blocks
    if blocks.n_blocks > max_blocks:  # the last block may be padded
        part = blocks.part(np.sort(rng.choice(blocks.n_blocks - 1, max_blocks, replace=False)))
    rows, weight = part.rows(), part.weight[: part.n_points]
    order = np.lexsort(rows.T[::-1])
    order = order[weight[order] > 0]
    if blocks.background is not None:
        order = order[_without_isolated(rows[order], weight[order], blocks.background, rng)]
    return rows[order], weight[order], part.latent_of(order), part.labels_of(order)


def sample_blocks(blocks: Blocks, rng: np.random.Generator) -> Blocks | None:
    """Draw SAMPLE points of positive weight without replacement; None unless there are more than four times as many.

    Points that are read in parts are represented by their sample, however many there are.
    """
    held = blocks.sample
    counting = np.flatnonzero(held.weight)
    if len(counting) <= 4 * SAMPLE:
        return None if held is blocks else held
    chosen = np.sort(rng.choice(counting, SAMPLE, replace=False, shuffle=False))
    return held.take(chosen)


def _without_isolated(
    rows: Array, weight: Array, background: BackgroundRow, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return the indices of rows that are not isolated.

    Those with the fewest neighbours are isolated, a fraction of twice the background's share. Starts lie far from each
    other, so that outliers would be chosen. The rows of a small distant cluster are kept.
    """
    from scipy.spatial import KDTree

    chosen = np.arange(len(rows))
    if len(rows) > MAX_COMPARED:
        chosen = np.sort(rng.choice(len(rows), MAX_COMPARED, replace=False))
        rows, weight = rows[chosen], weight[chosen]
    count = min(NEIGHBOURS, len(rows) - 1)
    places = rows * background.root
    away, near = KDTree(places).query(places, k=range(1, count + 2))
    enough = (
        weight[near].cumsum(axis=1) > NEIGHBOURS
    )  # a row is its own first neighbour; a row of weight two counts twice
    enough_at = np.where(enough.any(axis=1), enough.argmax(axis=1), count)
    order = np.argsort(np.take_along_axis(away, enough_at[:, None], axis=1)[:, 0], kind="stable")
    kept_weight = (1 + 2 * np.expm1(background.log_rest)) * weight.sum()
    n_kept = 1 + int(np.searchsorted(weight[order].cumsum(), (1 - ROUNDING) * kept_weight))
    inside = np.sort(order[: max(len(rows) // 2, n_kept)])
    return chosen[inside]


def from_centres(rows: Array, weight: Array, centres: Array, family: Family) -> Mixture:
    """Make a mixture with equal weights at centres (K, D); each covariance covers a K-th part of the rows' volume."""
    n_components, n_features = centres.shape
    about = np.average(rows, axis=0, weights=weight)
    variance = float(np.average((rows - about) ** 2, axis=0, weights=weight).mean())
    spread = max(variance, MIN_SPREAD) / n_components ** (2 / n_features)
    root = family.spherical(n_components, n_features, spread)
    return Mixture(np.full(n_components, 1 / n_components), centres, root)


def fewer_components(n_components: int, least: int = 1) -> list[int]:
    """Return numbers of components below K, at least ``least``, for starts where K is only an upper bound.

    Examples
    --------
    >>> fewer_components(20)
    [1, 2, 3, 4, 5, 7, 9, 12, 16]
    """
    numbers, following = [], 1
    while following < n_components:
        numbers.append(following)
        following = max(following + 1, int(RATIO * following))
    return [number for number in numbers if number >= least]


def from_responsibilities(
    rows: Array, weight: Array, shares: Array, family: Family, floor: Array | None = None
) -> Mixture:
    """Compute the M step from responsibilities (M, K) of weighted rows (M, D).

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If a component can't be estimated in spite of the floor.
    """
    weighted = shares * weight[:, None]
    n = np.maximum(weight @ shares, 1e-10)
    about = weighted.T @ rows / n[:, None]
    s2 = second_moments(rows, weighted, about, family)
    return maximise(family, Stats(n, np.zeros_like(about), s2, -np.inf, about), None, floor)


def second_moments(rows: Array, shares: Array, about: Array, family: Family) -> Array:
    """Compute second moments in core shape about the mean of each component, from shares (M, K) of rows (M, D)."""
    found = []
    for own, mean in zip(np.ascontiguousarray(shares.T), about, strict=True):
        held = np.flatnonzero(own)  # in a partition each row is one component's
        found.append(family.form.second_moments(rows.take(held, axis=0) - mean, own.take(held)))
    return np.array(found)


def spread_out_centres(rows: Array, weight: Array, n_components: int, rng: np.random.Generator) -> Array:
    """Draw K points far from each other by k-means++: (K, D), the same as scikit-learn's ``kmeans_plusplus``.

    It is implemented here because the import of scikit-learn takes longer than most fits.

    References
    ----------
    .. [1] Arthur & Vassilvitskii (2007), Proc. 18th ACM-SIAM Symp. Discrete Algorithms, 1027-1035.
    """
    random = np.random.RandomState(int(rng.integers(2**31)))
    norms = np.einsum("ij,ij->i", rows, rows)
    chosen = [int(random.choice(len(rows), p=weight / weight.sum()))]
    nearest = _squared_distances(rows[chosen], rows, norms)
    total = nearest @ weight
    for _ in range(1, n_components):
        tried = random.uniform(size=2 + int(np.log(n_components))) * total
        candidates = np.searchsorted(np.cumsum(weight * nearest), tried)
        np.clip(candidates, None, len(rows) - 1, out=candidates)
        nearer = np.minimum(nearest, _squared_distances(rows[candidates], rows, norms))
        totals = nearer @ weight.reshape(-1, 1)
        best = np.argmin(totals)
        total, nearest = totals[best], nearer[best]
        chosen.append(int(candidates[best]))
    return rows[chosen]


def _squared_distances(centres: Array, rows: Array, norms: Array) -> Array:
    """Squared distances (M, N) from centres to rows, in scikit-learn's order of operations; ``norms`` of the rows."""
    distances = -2 * (centres @ rows.T)
    distances += np.einsum("ij,ij->i", centres, centres)[:, None]
    distances += norms
    return np.maximum(distances, 0.0, out=distances)


def kmeans_centres(rows: Array, weight: Array, n_components: int, rng: np.random.Generator) -> Array:
    """Compute the centres of k-means clusters (K, D)."""
    from sklearn.cluster import KMeans

    kmeans = KMeans(n_components, n_init=1, random_state=int(rng.integers(2**31)))
    return np.asarray(kmeans.fit(rows, sample_weight=weight).cluster_centers_)


def random_centres(rows: Array, weight: Array, n_components: int, rng: np.random.Generator) -> Array:
    """Draw K points at random (K, D)."""
    return rows[rng.choice(len(rows), n_components, replace=False, p=weight / weight.sum())]


def random_means(rows: Array, weight: Array, n_components: int, rng: np.random.Generator) -> Array:
    """Compute the means of the points under random responsibilities (K, D): all near the overall mean."""
    shares = rng.uniform(size=(len(rows), n_components)) * weight[:, None]
    return shares.T @ rows / shares.sum(axis=0)[:, None]


Centres = Callable[[Array, Array, int, np.random.Generator], Array]
CENTRES: dict[str, Centres] = {
    "k-means++": spread_out_centres,
    "kmeans": kmeans_centres,
    "random": random_means,
    "random_from_data": random_centres,
}
