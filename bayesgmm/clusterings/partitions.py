"""One clustering to report: the one that is closest to the posterior, with its doubts."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.clusterings.label_draws import LEAST_DRAWS, draw_labels, enough, warn_of_weights
from bayesgmm.clusterings.merging import merged_clusters, posterior_for
from bayesgmm.clusterings.partition_losses import LOSSES, Allocations, Clustering, Loss, by_size, expected_distances
from bayesgmm.clusterings.partition_search import Search, optimal
from bayesgmm.data.points import Points
from bayesgmm.declared import positive, whole
from bayesgmm.errors import DataError, DeclarationError, choose
from bayesgmm.posterior.schema import Posterior, plain_index, points_for
from bayesgmm.predictions.densities import DRAWS
from bayesgmm.sweep.stats import responsibilities

if TYPE_CHECKING:
    import xarray as xr

RESTARTS = 16
HELD = 100_000_000  # labels, points times draws, held at a time: for more points there are fewer draws
LEAST_MOST = 10  # clusters that a partition may have, however few its draws have


def partition(
    fit: "xr.DataTree",
    data: Any = None,
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
    r"""The optimal clustering: of least posterior expected loss.

    .. math:: \hat c = \arg\min_c \frac1S \sum_s \ell(c, z^{(s)})

    over labels :math:`z^{(s)}` that are drawn from the posterior. It needs no labels that mean the same in every
    draw, and finds its own number of clusters. The search is greedy, from many starts (SALSO [1]_): it is never worse
    than what it starts from, which is the most probable components, the best draw (the best of as many as a second
    allows), and the best cuts of average and complete linkage over the probabilities of being apart.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points; those that were fitted unless told.
    loss : str
        ``'vi'``, the variation of information in bits [2]_, or ``'binder'``, the share of pairs that are wrong [3]_,
        which likes small clusters.
    merge : Dataset, optional
        From ``merge_components``: clusters are then made of its clusters, not of single components.
    max_clusters : int, optional
        At most so many clusters; unless told twice as many as a draw has, and at least 10.
    split_cost, join_cost : float
        What it costs to split what is together, and to join what is apart, where these differ.
    restarts : int
        Starts from nothing, in random order, over 1,000 draws at most; the best of them is improved over all. Of more
        than 2,000 points so many are searched, and the rest follows.
    draws : int, optional
        Posterior draws, evenly spaced; all when None. Fewer than 100 are used more than once; above 100 million
        points times draws there are fewer.
    seed : int
        Of the labels and of the search; the same seed gives the same answer on any number of threads.
    progress : bool
        Show how far it is, when it takes over two seconds.

    Returns
    -------
    Dataset
        ``label`` [point], the largest cluster first; ``expected_distance`` [point], how uncertain a
        point's cluster is: the posterior mean of the Jaccard distance between the points in its cluster here and those
        in its cluster in a draw (0: the same in every draw; near 1: others in every draw); ``size``
        [cluster]; ``expected_loss``. Attributes: ``loss``, ``n_clusters``, ``draws`` (of the labels; from
        ``posterior_draws``), ``seed``, costs.

    Warns
    -----
    FitWarning
        When rows have weights: the fit counts them, the loss does not.

    References
    ----------
    .. [1] Dahl, Johnson & Müller (2022), J. Comput. Graph. Stat. 31(4), 1189-1201.
    .. [2] Wade & Ghahramani (2018), Bayesian Anal. 13(2), 559-626.
    .. [3] Lau & Green (2007), J. Comput. Graph. Stat. 16(3), 526-558.
    """
    choose(loss, LOSSES, "loss")
    measure = Loss(loss, positive("split_cost", split_cost), positive("join_cost", join_cost))
    restarts, seed = whole("restarts", restarts, least=0), whole("seed", seed, least=0)
    points = points_for(fit, data)
    warn_of_weights("partition", points)
    posterior = drawn(fit, merge, draws, len(points.values))
    clusters = merged_clusters(merge, posterior.parameters.weight.shape[1])
    found = allocations(posterior, points, seed, clusters)
    most = min(found.n_points, max(LEAST_MOST, 2 * found.n_groups))
    most = most if max_clusters is None else min(found.n_points, whole("max_clusters", max_clusters))
    search = Search(found, measure, most, seed, os.cpu_count() or 1)
    best = by_size(optimal(search, _likely(posterior, points, clusters), restarts, progress))
    attrs = {
        "loss": loss,
        "n_clusters": int(best.max()) + 1,
        "draws": found.n_draws,
        "posterior_draws": posterior.n_draws,
        "seed": seed,
        "split_cost": measure.split_cost,
        "join_cost": measure.join_cost,
    }
    if merge is not None:
        attrs["merge_draws"] = merge.attrs["draws"]
    return _result(points, best, search, attrs, clusters, fit)


def drawn(fit: "xr.DataTree", merge: "xr.Dataset | None", draws: int | None, n_points: int) -> Posterior:
    """The draws that label so many points: evenly spaced, bounded by memory."""
    affordable = max(LEAST_DRAWS // 2, HELD // max(n_points, 1))
    return posterior_for(fit, merge, affordable if draws is None else min(whole("draws", draws), affordable))


def allocations(posterior: Posterior, points: Points, seed: int, clusters: Clustering | None) -> Allocations:
    """Labels drawn for the points, several times where draws are few; of clusters, where components are merged."""
    labels = draw_labels(enough(posterior), posterior.standard.blocks(points.values), seed)
    return Allocations.of(labels if clusters is None else clusters.astype(np.int16)[labels])


def require_same_points(best: "xr.Dataset", points: Points) -> None:
    """Refuse a partition of other points.

    Raises
    ------
    DeclarationError, DataError
    """
    if "label" not in getattr(best, "data_vars", {}) or "loss" not in best.attrs:
        raise DeclarationError(f"best={type(best).__name__}: must be what partition(fit) returned")
    if len(points.values) != best.sizes["point"] or (plain_index(points.index) != best["point"].values).any():
        raise DataError(
            f"best is a partition of {best.sizes['point']} points, not of these {len(points.values)}\n"
            "  Give credible_ball the points that partition was given, as data=...; pictures are of fitted points."
        )


def merge_of(best: "xr.Dataset") -> "xr.Dataset | None":
    """The merged components that a partition was made of, as ``merge_components`` gives them; None without."""
    if "component_cluster" not in best:
        return None
    merge = best[["component_cluster"]].rename(component_cluster="cluster").assign_coords(n_clusters=0)
    return merge.assign_attrs(draws=best.attrs["merge_draws"])


def _likely(posterior: Posterior, points: Points, clusters: Clustering | None) -> Clustering:
    """The most probable component of each point, as far as components mean the same in all draws: a place to start."""
    blocks = posterior.standard.blocks(points.values)
    label = responsibilities(blocks, posterior.tables(), os.cpu_count() or 1).argmax(axis=1)
    return label if clusters is None else clusters[label]


def _result(
    points: Points,
    best: Clustering,
    search: Search,
    attrs: dict[str, Any],
    clusters: Clustering | None,
    fit: "xr.DataTree",
) -> "xr.Dataset":
    import xarray as xr

    size = np.bincount(best)
    variables: dict[str, Any] = {
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
