"""Where EM starts: rough mixtures from a part of the data, by scikit-learn's names for how they are found."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bayesgmm.families.structures import Family
from bayesgmm.inference.mixtures import Mixture, maximise
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.stats import Array, BackgroundRow, Blocks, Stats

SEEDING_POINTS = 20_000  # a start looks at no more points than these
SAMPLE = 60_000  # points that show where the maximum is, when there are many more
MIN_SPREAD = 1e-12
NEIGHBOURS = 10  # of a row, by which it is told whether others are near
ROUNDING = 1e-9
CROWDED = 5_000  # rows whose neighbours are looked for, at most


def sample_rows(blocks: Blocks, rng: np.random.Generator) -> tuple[Array, Array]:
    """(M, D) at most SEEDING_POINTS points that count, whole blocks drawn without replacement, and their weights (M,).

    They are sorted, so that neither the order of the rows nor writing one twice, in place of giving it weight two,
    changes what a start makes of them.
    """
    n_blocks, wanted = blocks.n_blocks, SEEDING_POINTS // BLOCK
    if n_blocks <= wanted:
        rows, weight = blocks.rows(), blocks.weight[: blocks.n_points]
    else:
        chosen = np.sort(rng.choice(n_blocks - 1, wanted, replace=False))  # the last block may be padded
        x = blocks.x.reshape(n_blocks, blocks.n_features, BLOCK)[chosen]
        rows = x.transpose(0, 2, 1).reshape(-1, blocks.n_features)
        weight = blocks.weight.reshape(n_blocks, BLOCK)[chosen].reshape(-1)
    order = np.lexsort(rows.T[::-1])
    order = order[weight[order] > 0]
    rows, weight = rows[order], weight[order]
    return (rows, weight) if blocks.background is None else _crowded(rows, weight, blocks.background, rng)


def sample_blocks(blocks: Blocks, rng: np.random.Generator) -> Blocks | None:
    """SAMPLE points that count, drawn without replacement; None where that would be no fourth of them."""
    counting = np.flatnonzero(blocks.weight)
    if len(counting) <= 4 * SAMPLE:
        return None
    chosen = np.sort(rng.choice(counting, SAMPLE, replace=False, shuffle=False))
    x = blocks.x.reshape(blocks.n_blocks, blocks.n_features, BLOCK)
    part = Blocks.from_rows(x[chosen // BLOCK, :, chosen % BLOCK], blocks.weight[chosen])
    return replace(part, background=blocks.background)


def _crowded(rows: Array, weight: Array, background: BackgroundRow, rng: np.random.Generator) -> tuple[Array, Array]:
    """Without the rows that have the fewest others around them: twice the background's share.

    Starts are found far from each other, so that each would be an outlier. A small cluster far away is crowded.
    """
    from scipy.spatial import KDTree

    if len(rows) > CROWDED:
        chosen = np.sort(rng.choice(len(rows), CROWDED, replace=False))
        rows, weight = rows[chosen], weight[chosen]
    count = min(NEIGHBOURS, len(rows) - 1)
    places = rows * background.root
    away, near = KDTree(places).query(places, k=range(1, count + 2))
    enough = weight[near].cumsum(axis=1) > NEIGHBOURS  # a row is its own first neighbour; one of weight two is two
    reached = np.where(enough.any(axis=1), enough.argmax(axis=1), count)
    order = np.argsort(np.take_along_axis(away, reached[:, None], axis=1)[:, 0], kind="stable")
    wanted = (1 + 2 * np.expm1(background.log_rest)) * weight.sum()
    most = 1 + int(np.searchsorted(weight[order].cumsum(), (1 - ROUNDING) * wanted))
    inside = np.sort(order[: max(len(rows) // 2, most)])
    return rows[inside], weight[inside]


def from_centres(rows: Array, weight: Array, centres: Array, family: Family) -> Mixture:
    """Equal weights at centres (K, D), every covariance a K-th part of the spread of the rows (M, D)."""
    n_components, n_features = centres.shape
    about = np.average(rows, axis=0, weights=weight)
    variance = float(np.average((rows - about) ** 2, axis=0, weights=weight).mean())
    spread = max(variance, MIN_SPREAD) / n_components ** (2 / n_features)
    root = family.identity(n_components, n_features) / np.sqrt(spread)
    return Mixture(np.full(n_components, 1 / n_components), centres, root)


def from_responsibilities(
    rows: Array, weight: Array, shares: Array, family: Family, floor: Array | None = None
) -> Mixture:
    """The M step of responsibilities (M, K) of weighted rows (M, D)."""
    weighted = shares * weight[:, None]
    n = np.maximum(weighted.sum(axis=0), 1e-10)
    about = weighted.T @ rows / n[:, None]
    s2 = np.array([family.form.second_moments(rows - m, r) for r, m in zip(weighted.T, about, strict=True)])
    return maximise(family, Stats(n, np.zeros_like(about), s2, -np.inf, about), None, floor)


def spread_out_centres(rows: Array, weight: Array, n_components: int, rng: np.random.Generator) -> Array:
    """(K, D) points far from each other: the very ones that scikit-learn's ``kmeans_plusplus`` picks.

    Written out, since importing scikit-learn takes longer than most fits.

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
    """(M, N) from each centre to each row, in the order of operations that scikit-learn has; ``norms`` of the rows."""
    distances = -2 * (centres @ rows.T)
    distances += np.einsum("ij,ij->i", centres, centres)[:, None]
    distances += norms
    return np.maximum(distances, 0.0, out=distances)


def kmeans_centres(rows: Array, weight: Array, n_components: int, rng: np.random.Generator) -> Array:
    """(K, D) the centres of k-means clusters."""
    from sklearn.cluster import KMeans

    kmeans = KMeans(n_components, n_init=1, random_state=int(rng.integers(2**31)))
    return np.asarray(kmeans.fit(rows, sample_weight=weight).cluster_centers_)


def random_centres(rows: Array, weight: Array, n_components: int, rng: np.random.Generator) -> Array:
    """(K, D) points drawn at random."""
    return rows[rng.choice(len(rows), n_components, replace=False, p=weight / weight.sum())]


def random_means(rows: Array, weight: Array, n_components: int, rng: np.random.Generator) -> Array:
    """(K, D) the means of the points under random responsibilities: all near the middle."""
    shares = rng.uniform(size=(len(rows), n_components)) * weight[:, None]
    return shares.T @ rows / shares.sum(axis=0)[:, None]


Centres = Callable[[Array, Array, int, np.random.Generator], Array]
CENTRES: dict[str, Centres] = {
    "k-means++": spread_out_centres,
    "kmeans": kmeans_centres,
    "random": random_means,
    "random_from_data": random_centres,
}
