"""Credible balls: the smallest ball around the optimal partition with a given posterior probability."""

import math
import os
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.clusterings.partition_losses import Allocations, Clustering, Loss, by_size
from bayesgmm.clusterings.partitions import allocations, drawn, merge_of, require_same_points
from bayesgmm.data.points import DataLike
from bayesgmm.declared import probability
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import points_for
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

BOUNDS = ("horizontal", "vertical_upper", "vertical_lower")


@takes_fit
def credible_ball(
    fit: FitLike, best: "xr.Dataset", data: DataLike | None = None, *, ci_prob: float = 0.95
) -> "xr.Dataset":
    r"""Compute the credible ball of a partition, and the partitions at its bounds.

    The ball is the smallest one around the optimal partition with posterior probability ``ci_prob`` [1]_:

    .. math:: B = \{c : \ell(\hat c, c) \le \epsilon\},
              \qquad \epsilon = \min \{\epsilon : P(B_\epsilon) \ge \text{ci\_prob}\}

    Parameters
    ----------
    fit : DataTree or estimator
    best : Dataset
        The result of ``partition``. Its loss, draws, seed and merged components are used again.
    data : (N, D) array or DataFrame, optional
        The same points as for ``partition``. Default: the points that were fitted.
    ci_prob : float
        Posterior probability of the ball.

    Returns
    -------
    Dataset
        ``label`` [bound, point], three partitions in the ball: ``horizontal``, the one farthest from the optimal one;
        ``vertical_upper``, the farthest of those with the fewest clusters; ``vertical_lower``, the farthest of those
        with the most clusters (the first draw if several are equally far); ``distance`` and ``n_clusters``
        [bound]; ``radius``; ``draw_distance`` [draw], the distance of every draw from the optimal partition. Distances
        are in the units of the loss (bits for ``'vi'``). Cluster 0 is the largest.
        ``answer["label"].to_pandas().T`` is a table, a row for each point.

    Raises
    ------
    DeclarationError
        When ``best`` is not from ``partition``, or ``ci_prob`` is not between 0 and 1.
    DataError
        When ``best`` is a partition of other points.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    References
    ----------
    .. [1] Wade & Ghahramani (2018), Bayesian Anal. 13(2), 559-626.

    Examples
    --------
    Two groups that are far apart have one plausible partition.

    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [9.0], [10.0], [11.0], [12.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> ball = credible_ball(fit, bg.partition(fit, progress=False))
    >>> float(ball["radius"]), ball["n_clusters"].values
    (0.0, array([2, 2, 2]))
    """
    import xarray as xr

    ci_prob = probability("ci_prob", ci_prob)
    centre, draws, loss = _same_draws(fit, best, data)
    distance = loss.distances(centre, draws, os.cpu_count() or 1)
    radius = ball_radius(distance, ci_prob)
    chosen = bounds(distance, draws.n_clusters, radius)
    return xr.Dataset(
        {
            "label": (("bound", "point"), np.stack([by_size(draws.draw(s)) for s in chosen])),
            "distance": ("bound", distance[chosen]),
            "n_clusters": ("bound", draws.n_clusters[chosen]),
            "radius": radius,
            "draw_distance": ("draw", distance),
        },
        coords={"bound": list(BOUNDS), "point": best["point"].values, "draw": np.arange(len(distance))},
        attrs={"loss": loss.name, "ci_prob": ci_prob},
    )


def _same_draws(fit: "xr.DataTree", best: "xr.Dataset", data: DataLike | None) -> tuple[Clustering, Allocations, Loss]:
    """Return the optimal partition, the draws of labels that it was computed from, and its loss."""
    points = points_for(fit, data)
    require_same_points(best, points)
    settings, merge = best.attrs, merge_of(best)
    posterior = drawn(fit, merge, settings["posterior_draws"], len(points.values))
    clusters = None if merge is None else best["component_cluster"].values
    loss = Loss(settings["loss"], settings["split_cost"], settings["join_cost"])
    return best["label"].values, allocations(posterior, points, settings["seed"], clusters), loss


def ball_radius(distance: Array, ci_prob: float) -> float:
    """Compute the smallest radius of a ball that contains at least the share ``ci_prob`` of the draws.

    Examples
    --------
    >>> ball_radius(np.array([0.1, 0.4, 0.2, 0.3]), 0.5)
    0.2
    """
    rank = math.ceil(ci_prob * len(distance) - 1e-9)
    return float(np.sort(distance)[max(rank, 1) - 1])


def bounds(distance: Array, n_clusters: Clustering, radius: float) -> list[int]:
    """Return the draws in the ball farthest from its centre: of all, of those with fewest, and with most clusters.

    Examples
    --------
    >>> bounds(np.array([0.1, 0.3, 0.2, 0.9]), np.array([2, 3, 4, 1]), 0.5)
    [1, 0, 2]
    """
    inside = distance <= radius
    fewest, most = n_clusters[inside].min(), n_clusters[inside].max()
    among = (inside, inside & (n_clusters == fewest), inside & (n_clusters == most))
    return [int(np.argmax(np.where(allowed, distance, -np.inf))) for allowed in among]
