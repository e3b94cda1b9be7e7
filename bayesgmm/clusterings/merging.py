"""Merging of overlapping components into clusters, which need not be Gaussian."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import NDArray

from bayesgmm.data.points import DataLike
from bayesgmm.declared import probability
from bayesgmm.errors import DeclarationError, choose
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.schema import Posterior, plain_index, points_for, unpack
from bayesgmm.predictions.densities import DRAWS
from bayesgmm.sweep.stats import Array, Blocks, Table, draw_responsibilities, responsibilities

if TYPE_CHECKING:
    import xarray as xr

Groups = NDArray[np.int64]
BAND_DRAWS = 200  # number of draws for the band of the entropy
SLICE = 10_000_000  # responsibilities in memory at a time
OVERLAP = 0.05  # minimum overlap for a merger: that of two equal spherical Gaussians 4.5 sd apart


def merge_components(
    fit: "xr.DataTree",
    data: DataLike | None = None,
    *,
    rule: str = "overlap",
    overlap: float = OVERLAP,
    ci_prob: float = 0.9,
    draws: int | None = DRAWS,
) -> "xr.Dataset":
    r"""Merge overlapping components into clusters. Each step makes the merger that decreases the entropy most [1]_.

    .. math:: E(k) = -\sum_n \sum_{c=1}^{k} t_{nc} \log t_{nc},
              \qquad t_{nc} = \sum_{j \in c} \mathrm{E}[r_{nj} \mid \text{data}]

    The paper takes the number of clusters from the elbow of this curve: the point that two straight lines share, fitted
    by least squares. An elbow always exists, even if no two components overlap. The default rule is therefore
    different: merging stops before the first merger of two clusters whose components do not overlap. The overlap of two
    components is the decrease of the entropy when they are merged, divided by the largest possible decrease: 0 for
    components that are far apart, 1 for equal components. Overlapping components are not always one group in the
    subject matter: look at the result.

    Components with an expected number of points below one are merged first, each with the component that it overlaps
    most; the curve starts after that.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    rule : str
        Rule for the number of clusters: ``'overlap'``; ``'elbow'``, the elbow of the entropy against the number of
        clusters; ``'elbow_points'``, the elbow of the entropy against the number of points that were merged so far,
        which the paper recommends for components of different sizes (a cluster of many components in a chain can hide
        it, because its points are counted in every merger).
    overlap : float
        Minimum overlap for a merger by ``'overlap'``, from 0 to 1.
    ci_prob : float
        Probability of the band of the entropy over the draws.
    draws : int, optional
        Number of posterior draws to average over, evenly spaced; None for all.

    Returns
    -------
    Dataset
        For each ``n_clusters``: ``cluster`` [n_clusters, component], the cluster of each component, 0 for the largest;
        ``label`` [n_clusters, point]; ``entropy`` [n_clusters], in nats, the sum over the points; ``band``
        [n_clusters, ci_bound], quantiles of the entropies of single draws (these are smaller than the entropy of the
        mean probabilities); ``overlap`` [n_clusters], the largest between components of the two clusters that were
        merged last; ``n_merged`` [n_clusters], the number of points in all mergers so far. Attributes: ``n_clusters``,
        the choice, ``rule``, ``draws``, ``ci_prob``. Pass the result to ``partition``, ``co_clustering`` and
        ``n_clusters`` as ``merge``, as it is or after ``.sel(n_clusters=2)``.

    Raises
    ------
    UnknownName
        When there is no such rule.
    DeclarationError
        When ``overlap`` or ``ci_prob`` is not between 0 and 1, or ``draws`` is not positive.
    DataError
        When the data do not have the columns of the fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    References
    ----------
    .. [1] Baudry, Raftery, Celeux, Lo & Gottardo (2010), J. Comput. Graph. Stat. 19(2), 332-353.

    Examples
    --------
    Two components that are far apart are not merged.

    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [9.0], [10.0], [11.0], [12.0]]
    >>> merged = merge_components(bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False))
    >>> merged.attrs["n_clusters"], merged["overlap"].values.round(3)
    (2, array([ 0., nan]))
    """
    import xarray as xr

    choice = choose(rule, RULES, "rule")
    overlap, ci_prob = probability("overlap", overlap), probability("ci_prob", ci_prob)
    points, posterior = points_for(fit, data), aligned(fit, draws)
    blocks = posterior.standard.blocks(points.values)
    share = responsibilities(blocks, posterior.tables(), os.cpu_count() or 1)
    path = merge_path(share, points.weights)
    tail = (1 - ci_prob) / 2
    entropies = _draws_entropies(posterior.thin(BAND_DRAWS), blocks, path.clusters, points.weights)
    at = ("n_clusters",)
    return xr.Dataset(
        {
            "cluster": ((*at, "component"), path.clusters),
            "label": ((*at, "point"), np.stack([_merged(share, c).argmax(axis=1) for c in path.clusters])),
            "entropy": (at, path.entropy),
            "band": ((*at, "ci_bound"), np.quantile(entropies, [tail, 1 - tail], axis=0).T),
            "overlap": (at, path.overlap),
            "n_merged": (at, path.n_merged),
        },
        coords={
            "n_clusters": np.arange(1, len(path.clusters) + 1),
            "component": fit["posterior"].coords["component"].values,
            "point": plain_index(points.index),
            "ci_bound": ["lower", "upper"],
        },
        attrs={
            "n_clusters": choice(path, overlap),
            "rule": rule,
            "draws": posterior.n_draws,
            "ci_prob": ci_prob,
        },
    )


@dataclass(frozen=True)
class Path:
    """All mergers, from one cluster (row 0) to M, the number of components that hold points.

    Parameters
    ----------
    clusters : (M, K) int
        Cluster of each component; cluster 0 is the largest.
    entropy : (M,) float
    overlap : (M,) float
        The largest overlap between components of the two clusters that were merged last; NaN before the first merger.
    n_merged : (M,) float
        Number of points in all mergers so far; 0 before the first merger.
    """

    clusters: Groups
    entropy: Array
    overlap: Array
    n_merged: Array

    @property
    def n_clusters(self) -> Array:
        """(M,) 1 to M."""
        return np.arange(1.0, len(self.entropy) + 1)


def merge_path(share: Array, weight: Array | None = None) -> Path:
    """Merge clusters step by step. Each step makes the merger that decreases the entropy most.

    Parameters
    ----------
    share : (N, K) float
        Probability of each component for each point.
    weight : (N,) float, optional
        Number of points that a row represents.

    Examples
    --------
    The first two components have equal responsibilities for two points, the third has a point of its own.

    >>> merge_path(np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])).clusters[1]
    array([0, 0, 1])
    """
    weight = np.ones(len(share)) if weight is None else weight
    groups = [[k] for k in range(share.shape[1])]
    parts = [share[:, k] for k in range(share.shape[1])]
    _merge_empty(groups, parts, weight)
    drop = _pairs(parts, weight, _drop)
    overlap = _pairs(parts, weight, _overlap)
    steps = [(_numbered(groups, parts, weight), _entropy(parts, weight), np.nan, 0.0)]
    while len(groups) > 1:
        a, b = (int(i) for i in np.unravel_index(np.argmax(drop), drop.shape))
        at_merger, n_points = float(overlap[a, b]), float(weight @ (parts[a] + parts[b]))
        _join(groups, parts, a, b)
        closest = np.delete(np.maximum(overlap[a], overlap[b]), b)
        drop, overlap = (np.delete(np.delete(pairs, b, axis=0), b, axis=1) for pairs in (drop, overlap))
        overlap[a], overlap[:, a] = closest, closest
        for other in range(len(parts)):
            if other != a:
                drop[a, other] = drop[other, a] = _drop(parts[a], parts[other], weight)
        entropy = _entropy(parts, weight)
        steps.append((_numbered(groups, parts, weight), entropy, at_merger, steps[-1][3] + n_points))
    clusters, entropies, overlaps, n_merged = zip(*reversed(steps), strict=True)
    return Path(np.stack(clusters), np.array(entropies), np.array(overlaps), np.array(n_merged))


def _merge_empty(groups: list[list[int]], parts: list[Array], weight: Array) -> None:
    """Merge components that hold less than one point, each with the component that it overlaps most."""
    while len(parts) > 1:
        size = [float(weight @ part) for part in parts]
        k = int(np.argmin(size))
        if size[k] >= 1:
            return
        drop = [-np.inf if j == k else _drop(parts[j], parts[k], weight) for j in range(len(parts))]
        _join(groups, parts, int(np.argmax(drop)), k)


def _join(groups: list[list[int]], parts: list[Array], a: int, b: int) -> None:
    parts[a] = parts[a] + parts[b]
    groups[a] = groups[a] + groups[b]
    del parts[b], groups[b]


def _drop(a: Array, b: Array, weight: Array) -> float:
    """Decrease of the entropy when two clusters are merged."""
    return float(weight @ (scipy.special.xlogy(a + b, a + b) - scipy.special.xlogy(a, a) - scipy.special.xlogy(b, b)))


def _overlap(a: Array, b: Array, weight: Array) -> float:
    """Decrease of the entropy divided by its maximum, which equal components reach (Jensen's inequality)."""
    n_a, n_b = weight @ a, weight @ b
    maximum = scipy.special.xlogy(n_a + n_b, n_a + n_b) - scipy.special.xlogy(n_a, n_a) - scipy.special.xlogy(n_b, n_b)
    return float(np.clip(_drop(a, b, weight) / maximum, 0.0, 1.0)) if maximum > 0 else 0.0


def _pairs(parts: list[Array], weight: Array, measure: Callable[[Array, Array, Array], float]) -> Array:
    """(K, K) measure of every pair; minus infinity on the diagonal."""
    out = np.full((len(parts), len(parts)), -np.inf)
    for a in range(len(parts)):
        for b in range(a):
            out[a, b] = out[b, a] = measure(parts[a], parts[b], weight)
    return out


def _entropy(parts: list[Array], weight: Array) -> float:
    return max(0.0, -sum(float(weight @ scipy.special.xlogy(part, part)) for part in parts))


def _numbered(groups: list[list[int]], parts: list[Array], weight: Array) -> Groups:
    """Return the cluster of each component; cluster 0 is the largest."""
    by_size = np.argsort([-float(weight @ part) for part in parts], kind="stable")
    number = np.empty(sum(map(len, groups)), np.int64)
    for new, old in enumerate(by_size):
        number[groups[old]] = new
    return number


def _by_overlap(path: Path, minimum: float) -> int:
    """Number of clusters before the first merger whose overlap is below the minimum."""
    chosen = len(path.entropy)
    while chosen > 1 and path.overlap[chosen - 2] >= minimum:
        chosen -= 1
    return chosen


def elbow(at: Array, entropy: Array) -> int:
    """Number of clusters at the elbow: the point shared by the two lines that fit the curve best. M if M is below 3.

    Parameters
    ----------
    at, entropy : (M,) float
        The curve, for 1 to M clusters.

    Examples
    --------
    The curve is steep from five clusters to three, and flat from three to one.

    >>> elbow(np.arange(5.0), np.array([0.0, 1.0, 2.0, 20.0, 38.0]))
    3
    """
    if len(entropy) < 3:
        return len(entropy)
    misfit = [_misfit(at[:c], entropy[:c]) + _misfit(at[c - 1 :], entropy[c - 1 :]) for c in range(2, len(entropy))]
    return 2 + int(np.argmin(misfit))


RULES: dict[str, Callable[[Path, float], int]] = {
    "overlap": _by_overlap,
    "elbow": lambda path, minimum: elbow(path.n_clusters, path.entropy),
    "elbow_points": lambda path, minimum: elbow(path.n_merged, path.entropy),
}


def line(x: Array, y: Array) -> Array:
    """(2,) intercept and slope of the least-squares line."""
    return np.linalg.lstsq(np.stack([np.ones_like(x), x], axis=1), y)[0]


def _misfit(x: Array, y: Array) -> float:
    intercept, slope = line(x, y)
    return float(((y - intercept - slope * x) ** 2).sum())


def _draws_entropies(posterior: Posterior, blocks: Blocks, clusters: Groups, weight: Array | None) -> Array:
    """(S, M) entropy of the responsibilities of every draw, for each number of clusters."""
    weight = np.ones(blocks.n_points) if weight is None else weight
    tables = posterior.tables()
    step = max(1, SLICE // (blocks.n_points * tables.offset.shape[1]))
    rows: list[Array] = []
    for start in range(0, posterior.n_draws, step):
        part = Table(*(value[start : start + step] for value in (tables.offset, tables.mean, tables.root)))
        share = draw_responsibilities(blocks, part, os.cpu_count() or 1)
        rows += [np.array([_entropy(list(_merged(s, c).T), weight) for c in clusters]) for s in share]
    return np.stack(rows)


def _merged(share: Array, clusters: Groups) -> Array:
    """(N, n_clusters) probabilities of clusters, from (N, K) of components."""
    return share @ (clusters[:, None] == np.arange(clusters.max() + 1)).astype(float)


def merged_clusters(merge: "xr.Dataset | None", n_components: int) -> Groups | None:
    """Return the cluster (K,) of each component in ``merge``; None if nothing is merged.

    Raises
    ------
    DeclarationError
        When ``merge`` is not from ``merge_components``, or is for another number of components.
    """
    if merge is None:
        return None
    if "cluster" not in getattr(merge, "data_vars", {}) or "n_clusters" not in merge.coords:
        raise DeclarationError(f"merge={type(merge).__name__}: must be what merge_components(fit) returned")
    cluster = merge["cluster"]
    if "n_clusters" in cluster.dims:
        cluster = cluster.sel(n_clusters=merge.attrs["n_clusters"])
    if cluster.shape != (n_components,):
        raise DeclarationError(
            f"merge was made for {merge.sizes['component']} components, the fit has {n_components}; "
            "give what merge_components returned for this fit"
        )
    return cluster.values.astype(np.int64)


def posterior_for(fit: "xr.DataTree", merge: "xr.Dataset | None", draws: int | None) -> Posterior:
    """Return the draws of a fit; if components are merged, with the labels that ``merge_components`` used.

    Raises
    ------
    DeclarationError
        When ``merge`` is not for this fit, or ``draws`` is not positive.
    """
    if merge is None:
        return unpack(fit).thin(draws)
    merged_clusters(merge, fit["posterior"].sizes["component"])
    return aligned(fit, merge.attrs.get("draws")).thin(draws)
