"""Answers: which component, how dense, how strange; each averaged over the posterior, each with its uncertainty."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm._declared import probability, whole
from bayesgmm._kernels import BLOCK
from bayesgmm.data import Points
from bayesgmm.posterior import Posterior, plain_index, points_for, unpack
from bayesgmm.relabelling import aligned
from bayesgmm.stats import Array, cholesky, log_densities, responsibilities

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 1000  # draws that an answer averages over, unless told: more change the third digit
SLICE = 2_000_000  # numbers held at a time: draws times points


def assignments(fit: "xr.DataTree", data: Any = None, *, draws: int | None = DRAWS) -> "xr.Dataset":
    r"""Which component each point came from, and how sure that is.

    .. math:: r_{nk} = \mathrm{E}[w_k \, \mathrm{Normal}(x_n \mid \mu_k, \Sigma_k) / p(x_n) \mid \text{data}]

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points; those that were fitted unless told.
    draws : int, optional
        Posterior draws to average over, evenly spaced; all when None.

    Returns
    -------
    Dataset
        ``probability`` [point, component]; ``label`` [point], the most probable component; ``uncertainty`` [point],
        the entropy of the probabilities relative to its largest value: 0 when sure, 1 when all are alike.
    """
    points, posterior = points_for(fit, data), aligned(fit, draws)
    blocks = posterior.standard.blocks(points.values)
    probability = responsibilities(blocks, posterior.tables(), _threads())
    n_components = probability.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(probability > 0, probability * np.log(probability), 0.0).sum(axis=1)
    uncertainty = entropy / np.log(n_components) if n_components > 1 else entropy
    return _dataset(
        points,
        {
            "probability": (("point", "component"), probability),
            "label": ("point", probability.argmax(axis=1)),
            "uncertainty": ("point", np.clip(uncertainty, 0.0, 1.0)),
        },
        component=fit["posterior"].coords["component"].values,
    )


def density(fit: "xr.DataTree", data: Any = None, *, ci_prob: float = 0.9, draws: int | None = DRAWS) -> "xr.Dataset":
    """Density at points, with a credible band.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Where; the points that were fitted unless told.
    ci_prob : float
        Probability of the equal-tailed band at each point.
    draws : int, optional
        Posterior draws to look at, evenly spaced; all when None.

    Returns
    -------
    Dataset
        ``density`` [point], the posterior mean, in one over the product of the columns' units; ``log_density``
        [point], its logarithm; ``band`` [point, ci_bound], where ``ci_bound`` is ``lower`` and ``upper``.
    """
    ci_prob = probability("ci_prob", ci_prob)
    points, posterior = points_for(fit, data), unpack(fit).thin(draws)
    parts = [_band(log, ci_prob) for log in _log_density_slices(posterior, points.values)]
    log_mean, band = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return _dataset(
        points,
        {
            "density": ("point", np.exp(log_mean)),
            "log_density": ("point", log_mean),
            "band": (("point", "ci_bound"), band),
        },
        ci_bound=["lower", "upper"],
    ).assign_attrs(ci_prob=ci_prob)


def _band(log: Array, ci_prob: float) -> tuple[Array, Array]:
    """Log of the mean density, (N,), and its quantiles, (N, 2), from log densities (S, N)."""
    top = log.max(axis=0)
    log_mean = top + np.log(np.exp(log - top).mean(axis=0))
    tail = (1 - ci_prob) / 2
    return log_mean, np.exp(np.quantile(log, [tail, 1 - tail], axis=0).T)


def anomaly_scores(
    fit: "xr.DataTree", data: Any = None, *, draws: int | None = DRAWS, simulated: int = 10_000, seed: int = 0
) -> "xr.Dataset":
    r"""How strange each point is.

    The score of a point is the posterior mean of its log density, :math:`s(x) = \mathrm{E}[\log p(x \mid \theta)]`;
    its p-value is the posterior predictive probability :math:`P(s(\tilde x) \le s(x))` of a point at least as
    improbable. New points from the model have uniform p-values.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points; those that were fitted unless told.
    draws : int, optional
        Posterior draws to average over, evenly spaced; all when None.
    simulated : int
        Points from the posterior predictive that all p-values are read from; none is below 1 / (simulated + 1).
    seed : int
        Of the simulation.

    Returns
    -------
    Dataset
        ``log_density`` [point], the score in data units (lower is stranger); ``p_value`` [point].

    References
    ----------
    .. [1] Box (1980), J. R. Stat. Soc. A 143(4), 383-430.
    """
    points, posterior = points_for(fit, data), unpack(fit).thin(draws)
    simulated, seed = whole("simulated", simulated), whole("seed", seed, least=0)
    score = _mean_log_density(posterior, points.values)
    rng = np.random.default_rng(seed)
    reference = np.sort(_mean_log_density(posterior, simulate(posterior, simulated, rng)))
    at_least_as_strange = np.searchsorted(reference, score, side="right")
    return _dataset(
        points,
        {"log_density": ("point", score), "p_value": ("point", (1 + at_least_as_strange) / (1 + simulated))},
    )


def simulate(posterior: Posterior, size: int, rng: np.random.Generator) -> Array:
    """(size, D) points from the posterior predictive, each from a draw of its own."""
    p = posterior.parameters
    draw = rng.integers(posterior.n_draws, size=size)
    cumulative = p.weight.cumsum(axis=1)[draw]
    component = (rng.random((size, 1)) * cumulative[:, -1:] > cumulative).sum(axis=1)
    scale = posterior.standard.scale
    chol = cholesky(p.covariance / np.outer(scale, scale))[draw, component]
    noise = np.einsum("nij,nj->ni", chol, rng.normal(size=(size, len(scale))))
    return p.mean[draw, component] + noise * scale


def _mean_log_density(posterior: Posterior, values: Array) -> Array:
    return np.concatenate([log.mean(axis=0) for log in _log_density_slices(posterior, values)])


def _log_density_slices(posterior: Posterior, values: Array) -> Iterator[Array]:
    """Log densities (S, n) in data units, for a slice of the points at a time."""
    tables = posterior.tables()
    step = max(BLOCK, SLICE // posterior.n_draws // BLOCK * BLOCK)
    for start in range(0, len(values), step):
        blocks = posterior.standard.blocks(values[start : start + step])
        yield log_densities(blocks, tables, _threads()) - posterior.standard.log_scale


def _threads() -> int:
    return os.cpu_count() or 1


def _dataset(points: Points, variables: dict[str, Any], **coords: Any) -> "xr.Dataset":
    import xarray as xr

    return xr.Dataset(variables, coords={"point": plain_index(points.index), **coords})
