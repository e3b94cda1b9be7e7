"""Fits with a background: draws of the whole density, and the probability that a point is from the background."""

import os
from typing import TYPE_CHECKING

from bayesgmm.data.points import Points
from bayesgmm.posterior.info import info
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior, unpack
from bayesgmm.priors.backgrounds import Background
from bayesgmm.sweep.stats import Array, responsibilities

if TYPE_CHECKING:
    import xarray as xr


def background(fit: "xr.DataTree") -> Background | None:
    """Return the resolved background of a fit's model; None if there is none."""
    model = info(fit).model
    return None if model is None else model.background


def as_modelled(fit: "xr.DataTree") -> Posterior:
    """Return the draws of the whole density that was fitted: a background is its last component.

    Log likelihoods and predictions use these draws; assignments and other answers about the clusters use ``unpack``,
    which leaves the background out.
    """
    return with_background(unpack(fit), background(fit))


def with_background(posterior: Posterior, declared: Background | None) -> Posterior:
    """Return draws (S, K) and a background as draws of K + 1 components; the same draws where there is none."""
    if declared is None:
        return posterior
    p = posterior.parameters
    joined = Parameters(*declared.append_to(p.weight, p.mean, p.covariance))
    return Posterior(joined, posterior.columns, posterior.standard)


def background_probability(posterior: Posterior, declared: Background, points: Points) -> Array:
    """Compute the probability (N,) that each point came from the background, averaged over the draws."""
    blocks = posterior.standard.blocks(points)
    return responsibilities(blocks, with_background(posterior, declared).tables(), os.cpu_count() or 1)[:, -1]
