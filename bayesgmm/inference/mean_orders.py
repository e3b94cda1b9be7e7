"""Draws with ordered means, in the coordinates of means that are not ordered, and back."""

from dataclasses import replace

import numpy as np

from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array


def unordered(density: LogPosterior) -> LogPosterior:
    """Return the density with means that are not ordered: the chains' coordinates are its own."""
    if not density.model.means.is_ordered:
        return density
    means = density.model.means.model_copy(update={"ordered": False})
    return replace(density, model=density.model.model_copy(update={"means": means}))


def out_of_order(density: LogPosterior, q: Array) -> Array:
    """Return draws (..., P) in the coordinates of means that are not ordered."""
    if not density.model.means.is_ordered:
        return q
    first = density.n_components - 1 + density.model.weights.n_extra
    q = q.copy()
    gaps = slice(first + 1, first + density.n_components)
    q[..., gaps] = np.exp(q[..., gaps])
    means = slice(first, first + density.n_components)
    q[..., means] = np.cumsum(q[..., means], axis=-1)
    return q


def in_order(density: LogPosterior, q: Array) -> Array:
    """Return draws (..., P) of one column, sorted by their means, as coordinates of ordered means.

    Where the priors treat components alike, the posterior is the same for any order, so that sorting is exact.
    """
    if not density.model.means.is_ordered:
        return q
    k = density.n_components
    model = density.model
    cuts = np.cumsum([k - 1, model.weights.n_extra, k, model.means.n_extra, density.chart.size(k, 1)])
    logits, weights_extra, mean, means_extra, roots, scales = np.split(q, cuts, axis=-1)
    order = np.argsort(mean, axis=-1)
    log_weight = np.concatenate([logits, np.zeros((*q.shape[:-1], 1))], axis=-1)
    log_weight, mean = (np.take_along_axis(values, order, axis=-1) for values in (log_weight, mean))
    own = np.take_along_axis(density.chart.own(roots, k, 1), order[..., None], axis=-2)
    roots = density.chart.with_own(roots, own, 1)
    logits = log_weight[..., :-1] - log_weight[..., -1:]
    gaps = np.log(np.maximum(np.diff(mean, axis=-1), np.finfo(float).tiny))
    return np.concatenate([logits, weights_extra, mean[..., :1], gaps, means_extra, roots, scales], axis=-1)
