"""The optimal partition: the one with the minimum posterior expected loss."""

import os
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.clusterings.label_draws import MIN_DRAWS, draw_labels, repeated, warn_of_weights
from bayesgmm.clusterings.merging import merged_clusters, posterior_for
from bayesgmm.clusterings.partition_losses import LOSSES, Allocations, Clustering, Loss, by_size, expected_distances
from bayesgmm.clusterings.partition_search import Search, optimal
from bayesgmm.data.points import DataLike, Points
from bayesgmm.declared import positive, whole
from bayesgmm.errors import DataError, DeclarationError, choose
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.packing import plain_index
from bayesgmm.posterior.schema import Posterior, points_for
from bayesgmm.predictions.densities import DRAWS
from bayesgmm.sweep.stats import responsibilities

if TYPE_CHECKING:
    import xarray as xr

RESTARTS = 16  # number of random starts
MAX_LABELS = 100_000_000  # maximum of points times draws in memory: with more points there are fewer draws
MIN_LIMIT = 10  # minimum of the default of ``max_clusters``


@takes_fit
def partition(
    fit: FitLike,
    data: DataLike | None = None,
    *,
    loss: str = "vi",
    merge: "xr.Dataset | None" = None,
    max_clusters: int | None = None,
    split_cost: float = 1.0,
    join_cost: float = 1.0,
    restarts: int = RESTARTS,
    draws: int | None = DRAWS,
    seed: int = 0,
    progress: bool = True,
) -> "xr.Dataset":
    r"""Compute the optimal partition of the points: the one with the minimum posterior expected loss.

    .. math:: \hat c = \arg\min_c \frac1S \sum_s \ell(c, z^{(s)}),

    with labels :math:`z^{(s)}` drawn from the posterior. It does not depend on how components are numbered, and the
    number of clusters is part of the result. The search is greedy, from several starts (SALSO [1]_): the most probable
    components, the draw with the smallest expected loss, the best cuts of average and complete linkage, and random
    starts. The result is never worse than a start.

    ``expected_distance`` measures how uncertain the cluster of a point is. It is the posterior mean of the Jaccard
    distance between :math:`C_i`, the set of points in its cluster here, and :math:`Z_i`, that set in a draw:

    .. math:: d_i = \mathrm{E}\left[1 - \frac{|C_i \cap Z_i|}{|C_i \cup Z_i|}\right].

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    loss : str
        ``'vi'``, the variation of information in bits [2]_, or ``'binder'``, the share of pairs of points on which two
        partitions disagree [3]_, which tends to give more and smaller clusters.
    merge : Dataset, optional
        From ``merge_components``: labels are then those of its clusters, not of single components.
    max_clusters : int, optional
        Maximum number of clusters. Default: twice the maximum over the draws, but at least 10.
    split_cost, join_cost : float
        Cost of separating two points that belong together, and of joining two that do not.
    restarts : int
        Number of random starts. They use at most 1,000 draws; the best is then improved over all draws. With more than
        2,000 points, a subset of 2,000 is searched first.
    draws : int, optional
        Number of posterior draws, evenly spaced; None for all. Fewer than 100 are used more than once. Points times
        draws are limited to 100 million.
    seed : int
        Seed of the labels and of the search. The result does not depend on the number of threads.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    Dataset
        ``label`` [point], the cluster, 0 for the largest; ``expected_distance`` [point], from 0 (the same cluster in
        every draw) to nearly 1 (a different cluster in every draw); ``size`` [cluster], the number of points;
        ``expected_loss``, in bits for ``'vi'``. Attributes: ``loss``, ``n_clusters``, ``draws`` (the number of draws
        of the labels, from ``posterior_draws`` posterior draws), ``seed``, ``split_cost``, ``join_cost``.
        ``answer[["label", "expected_distance"]].to_dataframe()`` is a table, a row for each point.

    Raises
    ------
    UnknownName
        When there is no such loss.
    DeclarationError
        When a number is out of range, or ``merge`` is not from ``merge_components`` for this fit.
    DataError
        When the data do not have the columns of the fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    Warns
    -----
    FitWarning
        When rows have weights: the fit uses them, the loss does not.

    References
    ----------
    .. [1] Dahl, Johnson & Müller (2022), J. Comput. Graph. Stat. 31(4), 1189-1201.
    .. [2] Wade & Ghahramani (2018), Bayesian Anal. 13(2), 559-626.
    .. [3] Lau & Green (2007), J. Comput. Graph. Stat. 16(3), 526-558.

    Examples
    --------
    Two groups, and a point halfway that is in the cluster of each of them in half of the draws.

    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> best = partition(fit, [[-1.0], [0.0], [1.0], [5.0], [10.0], [11.0]], progress=False)
    >>> int(best["expected_distance"].values.argmax())
    3
    >>> partition(fit, progress=False)["label"].values
    array([0, 0, 0, 1, 1, 1])
    """
    choose(loss, LOSSES, "loss")
    measure = Loss(loss, positive("split_cost", split_cost), positive("join_cost", join_cost))
    restarts, seed = whole("restarts", restarts, minimum=0), whole("seed", seed, minimum=0)
    points = points_for(fit, data)
    warn_of_weights("partition", points)
    posterior = drawn(fit, merge, draws, len(points.values))
    clusters = merged_clusters(merge, posterior.parameters.weight.shape[1])
    labels = allocations(posterior, points, seed, clusters)
    limit = max(MIN_LIMIT, 2 * labels.n_groups) if max_clusters is None else whole("max_clusters", max_clusters)
    search = Search(labels, measure, min(labels.n_points, limit), seed, os.cpu_count() or 1)
    best = by_size(optimal(search, _likely(posterior, points, clusters), restarts, progress))
    attrs = {
        "loss": loss,
        "n_clusters": int(best.max()) + 1,
        "draws": labels.n_draws,
        "posterior_draws": posterior.n_draws,
        "seed": seed,
        "split_cost": measure.split_cost,
        "join_cost": measure.join_cost,
    }
    if merge is not None:
        attrs["merge_draws"] = merge.attrs["draws"]
    return _result(points, best, search, attrs, clusters, fit)


def drawn(fit: "xr.DataTree", merge: "xr.Dataset | None", draws: int | None, n_points: int) -> Posterior:
    """Return the posterior draws from which labels are drawn: evenly spaced, and no more than memory can hold.

    Raises
    ------
    DeclarationError
        When ``draws`` is not positive, or ``merge`` is not for this fit.
    """
    affordable = max(MIN_DRAWS // 2, MAX_LABELS // max(n_points, 1))
    return posterior_for(fit, merge, affordable if draws is None else min(whole("draws", draws), affordable))


def allocations(posterior: Posterior, points: Points, seed: int, clusters: Clustering | None) -> Allocations:
    """Draw labels (of merged clusters, if given) for the points, several from each posterior draw if these are few."""
    labels = draw_labels(repeated(posterior), posterior.standard.blocks(points), seed)
    return Allocations.of(labels if clusters is None else clusters.astype(np.int16)[labels])


def require_same_points(best: "xr.Dataset", points: Points) -> None:
    """Raise an error unless ``best`` is a partition of these points.

    Raises
    ------
    DeclarationError
        When ``best`` is not from ``partition``.
    DataError
        When it is a partition of other points.
    """
    if "label" not in getattr(best, "data_vars", {}) or "loss" not in best.attrs:
        raise DeclarationError(f"best={type(best).__name__}: must be what partition(fit) returned")
    if len(points.values) != best.sizes["point"] or (plain_index(points.index) != best["point"].values).any():
        raise DataError(
            f"best is a partition of {best.sizes['point']} points, not of these {len(points.values)}\n"
            "  Give credible_ball the same points as partition, data=...; plots are of the points that were fitted."
        )


def merge_of(best: "xr.Dataset") -> "xr.Dataset | None":
    """Return the merged components of a partition, as ``merge_components`` does; None if none were merged."""
    if "component_cluster" not in best:
        return None
    merge = best[["component_cluster"]].rename(component_cluster="cluster").assign_coords(n_clusters=0)
    return merge.assign_attrs(draws=best.attrs["merge_draws"])


def _likely(posterior: Posterior, points: Points, clusters: Clustering | None) -> Clustering:
    """Return the most probable component of each point: a start of the search, for which relabelling is not needed."""
    blocks = posterior.standard.blocks(points)
    label = responsibilities(blocks, posterior.tables(), os.cpu_count() or 1).argmax(axis=1)
    return label if clusters is None else clusters[label]


def _result(
    points: Points,
    best: Clustering,
    search: Search,
    attrs: dict[str, object],
    clusters: Clustering | None,
    fit: "xr.DataTree",
) -> "xr.Dataset":
    import xarray as xr

    size = np.bincount(best)
    variables: dict[str, object] = {
        "label": ("point", best),
        "expected_distance": ("point", expected_distances(best, search.draws, search.threads)),
        "size": ("cluster", size),
        "expected_loss": search.loss.expected(best, search.draws, search.threads),
    }
    coords = {"point": plain_index(points.index), "cluster": np.arange(len(size))}
    if clusters is not None:
        variables["component_cluster"] = ("component", clusters)
        coords["component"] = fit["posterior"].coords["component"].values
    return xr.Dataset(variables, coords=coords, attrs=attrs)
