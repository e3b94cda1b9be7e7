"""Effect of the truncation of a stick-breaking process on a fit."""

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.data.streams import Stream
from bayesgmm.labels.subsamples import evenly
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.contamination import with_background
from bayesgmm.posterior.notes import TruncationInfo
from bayesgmm.posterior.schema import Posterior
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.stats import draw_responsibilities

DRAWS = 1000
POINTS = 250


def truncation(model: MixtureModel, drawn: Posterior, points: Points | Stream) -> TruncationInfo | None:
    """Compute the effect of truncating a stick-breaking process; None for other priors.

    The integrated absolute difference between the marginal densities of N points under the truncated and the full
    process is at most 4 N times the omitted mass, and at most 2 (Ishwaran & James 2001, J. Am. Stat. Assoc. 96,
    161-173). That bound ignores the data. Given them, both processes agree on the draws in which the last stick holds
    one point or none, because such a point has a component of its own under both. The probability of the other draws
    is therefore a measure of how far the posteriors differ.

    Parameters
    ----------
    model : MixtureModel
        Resolved.
    drawn : Posterior
        Draws (S, ...) whose components are in the order of the sticks.
    points : Points or Stream
    """
    p = drawn.parameters
    mass = model.weights.truncated_mass(p.extras.get("concentration"), model.n_components)
    if mass is None:
        return None
    several = _points_of_last_stick(drawn.thin(DRAWS), model, points) > 1
    last, omitted = float(p.weight[:, -1].mean()), float(mass.mean())
    return TruncationInfo(last, omitted, min(2.0, 4 * points.total_weight * omitted), float(several.mean()))


def _points_of_last_stick(drawn: Posterior, model: MixtureModel, points: Points | Stream) -> IntArray:
    """Draw the number of points (S,) that the last stick holds."""
    rng, sample = np.random.default_rng(0), points.sample
    weight = np.ones(len(sample.values)) if sample.weights is None else sample.weights
    at = evenly(np.flatnonzero(weight > 0), POINTS)
    weight = weight[at] * points.total_weight / weight[at].sum()
    tables = with_background(drawn, model.background).tables()
    share = draw_responsibilities(drawn.standard.blocks(sample.take(at)), tables)[..., model.n_components - 1]
    represented = np.floor(weight + rng.random(share.shape)).astype(np.int64)  # a weight that is not whole is rounded
    return rng.binomial(represented, np.clip(share, 0.0, 1.0)).sum(axis=1)
