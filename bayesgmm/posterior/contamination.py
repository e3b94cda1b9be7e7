"""Fits with a background: the draws of all that made the points, and which points are the background's."""

import os
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.posterior.info import info
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior, unpack
from bayesgmm.priors.backgrounds import Background
from bayesgmm.sweep.stats import Array, responsibilities

if TYPE_CHECKING:
    import xarray as xr


def background(fit: "xr.DataTree") -> Background | None:
    """The background that a fit was declared with, resolved; None without."""
    model = info(fit).model
    return None if model is None else model.background


def as_modelled(fit: "xr.DataTree") -> Posterior:
    """The draws of the whole density that was fitted: with a background, it is one more component, the last.

    What asks how likely the data are reads these; what asks about the good points reads ``unpack``, without it.
    """
    return behind(unpack(fit), background(fit))


def behind(posterior: Posterior, declared: Background | None) -> Posterior:
    """Draws (S, K) and a background as draws of K + 1 components; the same draws where there is none."""
    if declared is None:
        return posterior
    p, share, (location, scale) = posterior.parameters, declared.share, declared.numbers()
    s, _, d = p.mean.shape
    weight = np.concatenate([(1 - share) * p.weight, np.full((s, 1), share)], axis=1)
    mean = np.concatenate([p.mean, np.broadcast_to(location, (s, 1, d))], axis=1)
    own = np.broadcast_to(np.diag(np.square(scale)), (s, 1, d, d))
    covariance = np.concatenate([p.covariance, own], axis=1)
    return Posterior(Parameters(weight, mean, covariance), posterior.columns, posterior.standard)


def background_probability(posterior: Posterior, declared: Background, values: Array) -> Array:
    """(N,) probability that each point is the background's, averaged over the draws."""
    blocks = posterior.standard.blocks(values)
    return responsibilities(blocks, behind(posterior, declared).tables(), os.cpu_count() or 1)[:, -1]
