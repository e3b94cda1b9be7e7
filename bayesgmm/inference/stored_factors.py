"""Loadings and noise of draws, as a fit stores them: with label switching and rotations of the factors undone."""

import numpy as np

from bayesgmm.families.factor_charts import FactorChart
from bayesgmm.labels.factor_rotations import aligned
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.packing import FACTORS, Groups
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.stats import Array

EACH = ("chain", "draw", "component", "feature")


def factor_groups(density: LogPosterior, q: Array, order: IntArray) -> Groups:
    """Return the group with loadings and noise of draws (chains, draws, P); nothing for other families.

    Parameters
    ----------
    density : LogPosterior
    q : (chains, draws, P) float
    order : (S, K) int
        Component of each label in each draw.
    """
    chart = density.model.family.chart
    if not isinstance(chart, FactorChart) or not q.shape[-1]:
        return {}
    chains, draws = q.shape[:2]
    k, d, scale = density.n_components, density.n_features, density.standard.scale
    loadings, log_precision = chart.parts(q.reshape(-1, q.shape[-1])[:, density.roots], k, d)
    every = np.broadcast_to(np.exp(-2.0 * log_precision), (len(order), k, d)) * scale**2
    noise = np.take_along_axis(every, order[..., None], axis=1)
    if loadings.shape[1] > 1:
        loadings = np.take_along_axis(loadings, order[..., None, None], axis=1)
    loadings = loadings * scale[:, None]
    spread = np.sqrt(((loadings**2).sum(axis=-1) + noise[:, : loadings.shape[1]]).mean(axis=0))
    turned = np.stack([aligned(loadings[:, g], spread[g]) for g in range(loadings.shape[1])], axis=1)
    turned = np.broadcast_to(turned, (len(order), k, *turned.shape[2:]))
    return {
        FACTORS: {
            "loadings": ((*EACH, "factor"), turned.reshape(chains, draws, *turned.shape[1:])),
            "noise": (EACH, noise.reshape(chains, draws, k, d)),
            "chain": ("chain", np.arange(chains)),
            "draw": ("draw", np.arange(draws)),
        }
    }
