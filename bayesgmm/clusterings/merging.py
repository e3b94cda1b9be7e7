"""Merging of components into clusters, which need not be Gaussian."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.clusterings.merge_paths import Groups, Path, entropy, merge_path
from bayesgmm.data.points import DataLike
from bayesgmm.declared import probability
from bayesgmm.errors import DeclarationError, choose
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.packing import plain_index
from bayesgmm.posterior.schema import Posterior, points_for, unpack
from bayesgmm.predictions.densities import DRAWS
from bayesgmm.predictions.imputations import expectations
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, Table, draw_responsibilities, responsibilities

if TYPE_CHECKING:
    import xarray as xr

BAND_DRAWS = 200  # maximum number of draws for the band of the entropy
MIN_BAND_DRAWS = 20
SLICE = 10_000_000  # responsibilities in memory at a time
SADDLE = 0.65  # minimum saddle for a merger
SMALL = 15.0  # with fewer points a cluster is called small, or with fewer than 5 % of the points,
SMALL_SHARE, TINY_SHARE = 0.05, 0.01  # and always with fewer than 1 %
VALLEY = "valley"
OVERLAP = 0.05  # minimum overlap for a merger: that of two equal spherical Gaussians 4.5 sd apart


@takes_fit
def merge_components(
    fit: FitLike,
    data: DataLike | None = None,
    *,
    rule: str = "valley",
    saddle: float = SADDLE,
    overlap: float | None = None,
    ci_prob: float = 0.9,
    draws: int | None = DRAWS,
) -> "xr.Dataset":
    r"""Merge components into clusters that are separated by valleys of the density.

    Several Gaussians are needed for one ring or crescent, and there is no valley between neighbours. Between two
    clusters that nearly touch, the density falls, although components overlap. So the points of each pair of components
    are projected on the direction that separates the two best, and the saddle is the smallest density between them as
    a share of the lower peak [1]_. Mergers are made as long as there is a pair with a saddle of at least ``saddle``.
    Further mergers take the smallest cluster first, so that no level of the path is a large cluster and an outlier.

    The other rules merge as Baudry et al. [2]_ do: each step makes the merger that decreases the entropy most.

    .. math:: E(k) = -\sum_n \sum_{c=1}^{k} t_{nc} \log t_{nc},
              \qquad t_{nc} = \sum_{j \in c} \mathrm{E}[r_{nj} \mid \text{data}]

    The paper takes the number of clusters from the elbow of this curve: the point that two straight lines share, fitted
    by least squares. An elbow always exists, even if no two components overlap. ``'overlap'`` stops before the first
    merger of two clusters whose components do not overlap. The overlap of two components is the decrease of the entropy
    when they are merged, divided by the largest possible decrease: 0 for components that are far apart, 1 for equal
    components. Clusters that touch are merged by these rules, and a level may be a large cluster and an outlier.

    Components with an expected number of points below one are merged first, each with the component that it overlaps
    most; the curve starts after that.

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    rule : str
        Rule for the mergers and the number of clusters: ``'valley'``; ``'overlap'``; ``'elbow'``, the elbow of the
        entropy against the number of clusters; ``'elbow_points'``, the elbow of the entropy against the number of
        points that were merged so far, which the paper recommends for components of different sizes (a cluster of many
        components in a chain can hide it, because its points are counted in every merger).
    saddle : float
        Minimum saddle for a merger by ``'valley'``, from 0 to 1.
    overlap : float
        Minimum overlap for a merger by ``'overlap'``, from 0 to 1; it selects that rule. Default of the rule: 0.05.
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
        mean probabilities); ``overlap`` and ``saddle`` [n_clusters], the largest between components of the two
        clusters that were merged last; ``n_merged`` [n_clusters], the number of points in all mergers so far.
        If by ``'valley'`` all clusters but one are small, the choice is one cluster. Attributes: ``n_clusters``,
        the choice, ``rule``, ``draws``, ``ci_prob``. Pass the result to ``partition``, ``co_clustering`` and
        ``n_clusters`` as ``merge``, as it is or after ``.sel(n_clusters=2)``.
        ``answer[["entropy", "overlap"]].to_dataframe()`` is a table, a row for each number.

    Raises
    ------
    UnknownName
        When there is no such rule.
    DeclarationError
        When ``saddle``, ``overlap`` or ``ci_prob`` is not between 0 and 1, or ``draws`` is not positive.
    DataError
        When the data do not have the columns of the fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    References
    ----------
    .. [1] Hennig (2010), Adv. Data Anal. Classif. 4(1), 3-34: merging by valleys between Gaussian components.
    .. [2] Baudry, Raftery, Celeux, Lo & Gottardo (2010), J. Comput. Graph. Stat. 19(2), 332-353.

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

    rule = "overlap" if overlap is not None and rule == VALLEY else rule
    choice, minimum = choose(rule, RULES, "rule"), probability("overlap", OVERLAP if overlap is None else overlap)
    saddle = probability("saddle", saddle)
    ci_prob = probability("ci_prob", ci_prob)
    points, posterior = points_for(fit, data), aligned(fit, draws)
    blocks = posterior.standard.blocks(points)
    share = responsibilities(blocks, posterior.tables(), os.cpu_count() or 1)
    path = merge_path(share, points.weights, expectations(posterior, points)[0], saddle if rule == VALLEY else None)
    tail = (1 - ci_prob) / 2
    entropies = _draws_entropies(posterior.thin(_band_draws(share)), blocks, path.clusters, points.weights)
    at = ("n_clusters",)
    return xr.Dataset(
        {
            "cluster": ((*at, "component"), path.clusters),
            "label": ((*at, "point"), np.stack([_merged(share, c).argmax(axis=1) for c in path.clusters])),
            "entropy": (at, path.entropy),
            "band": ((*at, "ci_bound"), np.quantile(entropies, [tail, 1 - tail], axis=0).T),
            "overlap": (at, path.overlap),
            "saddle": (at, path.saddle),
            "n_merged": (at, path.n_merged),
        },
        coords={
            "n_clusters": np.arange(1, len(path.clusters) + 1),
            "component": fit["posterior"].coords["component"].values,
            "point": plain_index(points.index),
            "ci_bound": ["lower", "upper"],
        },
        attrs={
            "n_clusters": choice(path, saddle if rule == VALLEY else minimum),
            "rule": rule,
            "draws": posterior.n_draws,
            "ci_prob": ci_prob,
        },
    )


def _by_valley(path: Path, minimum: float) -> int:
    """Number of clusters before the first merger across a valley; one if all clusters but the largest are small."""
    chosen = len(path.entropy)
    while chosen > 1 and path.saddle[chosen - 2] >= minimum:
        chosen -= 1
    return chosen if path.second[chosen - 1] >= small(path.n_points) else 1


def small(n_points: float) -> float:
    """Return the number of points below which a cluster is small: 15 or 5 % of the points, but at least 1 %.

    Examples
    --------
    >>> small(100), small(1_000), small(10_000)
    (5.0, 15.0, 100.0)
    """
    return max(min(SMALL, SMALL_SHARE * n_points), TINY_SHARE * n_points)


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
    VALLEY: _by_valley,
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


def _band_draws(share: Array) -> int:
    return int(np.clip(SLICE // share.size, MIN_BAND_DRAWS, BAND_DRAWS))


def _draws_entropies(posterior: Posterior, blocks: Blocks, clusters: Groups, weight: Array | None) -> Array:
    """(S, M) entropy of the responsibilities of every draw, for each number of clusters."""
    weight = np.ones(blocks.n_points) if weight is None else weight
    tables = posterior.tables()
    step = max(1, SLICE // (blocks.n_points * tables.offset.shape[1]))
    rows: list[Array] = []
    for start in range(0, posterior.n_draws, step):
        part = Table(*(value[start : start + step] for value in (tables.offset, tables.mean, tables.root)))
        share = draw_responsibilities(blocks, part, os.cpu_count() or 1)
        rows += [np.array([entropy(list(_merged(s, c).T), weight) for c in clusters]) for s in share]
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
