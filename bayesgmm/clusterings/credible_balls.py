"""Which clusterings are still plausible: the ball around the optimal one that holds most of the posterior."""

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.clusterings.partition_losses import Allocations, Clustering, Loss, by_size
from bayesgmm.clusterings.partitions import allocations, drawn, merge_of, require_same_points
from bayesgmm.declared import probability
from bayesgmm.posterior.schema import points_for
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

BOUNDS = ("horizontal", "vertical_upper", "vertical_lower")


def credible_ball(fit: "xr.DataTree", best: "xr.Dataset", data: Any = None, *, ci_prob: float = 0.95) -> "xr.Dataset":
    r"""Extremes of the smallest ball around the optimal clustering that holds ``ci_prob`` of the posterior.

    .. math:: B = \{c : \ell(\hat c, c) \le \epsilon\},
              \qquad \epsilon = \min \{\epsilon : P(B_\epsilon) \ge \text{ci\_prob}\}

    Parameters
    ----------
    fit : DataTree
    best : Dataset
        What ``partition`` returned for it: its loss, draws, seed and merged components are used again.
    data : (N, D) array or DataFrame, optional
        The points that ``partition`` was given, if any.
    ci_prob : float
        Posterior probability of the ball.

    Returns
    -------
    Dataset
        ``label`` [bound, point], three clusterings in the ball: ``horizontal``, the one farthest from the best;
        ``vertical_upper``, with the fewest clusters, and ``vertical_lower``, with the most (the farthest of these,
        and of those the first draw); ``distance`` and ``n_clusters`` [bound]; ``radius``; ``draw_distance`` [draw],
        of every draw from the best. Labels have the largest cluster first.

    Raises
    ------
    DeclarationError, DataError
        When ``best`` is no partition, or one of other points.

    References
    ----------
    .. [1] Wade & Ghahramani (2018), Bayesian Anal. 13(2), 559-626.
    """
    import xarray as xr

    ci_prob = probability("ci_prob", ci_prob)
    centre, draws, loss = _drawn_again(fit, best, data)
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


def _drawn_again(fit: "xr.DataTree", best: "xr.Dataset", data: Any) -> tuple[Clustering, Allocations, Loss]:
    """The best clustering, the draws that it was found from, and its loss."""
    points = points_for(fit, data)
    require_same_points(best, points)
    told, merge = best.attrs, merge_of(best)
    posterior = drawn(fit, merge, told["posterior_draws"], len(points.values))
    clusters = None if merge is None else best["component_cluster"].values
    loss = Loss(told["loss"], told["split_cost"], told["join_cost"])
    return best["label"].values, allocations(posterior, points, told["seed"], clusters), loss


def ball_radius(distance: Array, ci_prob: float) -> float:
    """The smallest radius within which at least ``ci_prob`` of the draws lie.

    Examples
    --------
    >>> ball_radius(np.array([0.1, 0.4, 0.2, 0.3]), 0.5)
    0.2
    """
    rank = math.ceil(ci_prob * len(distance) - 1e-9)
    return float(np.sort(distance)[max(rank, 1) - 1])


def bounds(distance: Array, n_clusters: Clustering, radius: float) -> list[int]:
    """The draws farthest from the centre in the ball: of all, of those with the fewest clusters, with the most.

    Examples
    --------
    >>> bounds(np.array([0.1, 0.3, 0.2, 0.9]), np.array([2, 3, 4, 1]), 0.5)
    [1, 0, 2]
    """
    inside = distance <= radius
    fewest, most = n_clusters[inside].min(), n_clusters[inside].max()
    among = (inside, inside & (n_clusters == fewest), inside & (n_clusters == most))
    return [int(np.argmax(np.where(allowed, distance, -np.inf))) for allowed in among]
