"""What ArviZ's predictive checks take: replicated data, log likelihoods, and draws from the prior."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.comparison import _pointwise
from bayesgmm.data import Points
from bayesgmm.elicitation import prior_predictive
from bayesgmm.log_posterior import Parameters
from bayesgmm.model import MixtureModel
from bayesgmm.posterior import Posterior
from bayesgmm.stats import Array, cholesky

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 1000  # that checks look at


def thinned(posterior: Posterior, chains: int) -> tuple[Posterior, int]:
    """At most 1,000 draws, as many of each chain, and how many of each."""
    per_chain = posterior.n_draws // chains
    kept = min(per_chain, max(1, DRAWS // chains))
    chosen = np.linspace(0, per_chain - 1, kept).round().astype(int)
    rows = (np.arange(chains)[:, None] * per_chain + chosen).ravel()
    p = posterior.parameters
    return Posterior(
        Parameters(p.weight[rows], p.mean[rows], p.covariance[rows]), posterior.columns, posterior.standard
    ), kept


def replicated(posterior: Posterior, n_points: int, seed: int = 0) -> Array:
    """(S, N, D) a data set from each draw."""
    rng = np.random.default_rng(seed)
    p = posterior.parameters
    n_draws, n_components, n_features = p.mean.shape
    edges = p.weight.cumsum(axis=1)
    chance = rng.random((n_draws, n_points, 1)) * edges[:, None, -1:]
    component = (chance > edges[:, None]).sum(axis=2)
    noise = rng.normal(size=(n_draws, n_points, n_features))
    chol = cholesky(p.covariance)
    out = np.empty_like(noise)
    for k in range(n_components):
        of = component == k
        draw = np.nonzero(of)[0]
        out[of] = p.mean[draw, k] + np.einsum("nij,nj->ni", chol[draw, k], noise[of])
    return out


def predictive_tree(posterior: Posterior, points: Points, chains: int, columns: list[int]) -> "xr.DataTree":
    """Data, replicates and log likelihoods of some columns: variables ``q0``, ``q1``, ... [chain, draw, point]."""
    import xarray as xr

    few, kept = thinned(posterior, chains)
    shape = (chains, kept, len(points.values))
    log = np.concatenate(list(_pointwise(few, points)), axis=1).reshape(shape)
    new = replicated(few, len(points.values))
    dims = ("chain", "draw", "point")
    groups: dict[str, Any] = {
        "observed_data": {f"q{i}": ("point", points.values[:, j]) for i, j in enumerate(columns)},
        "posterior_predictive": {f"q{i}": (dims, new[..., j].reshape(shape)) for i, j in enumerate(columns)},
        "log_likelihood": {f"q{i}": (dims, log) for i in range(len(columns))},
    }
    draws = {"chain": np.arange(chains), "draw": np.arange(kept)}
    datasets = {name: xr.Dataset(values) for name, values in groups.items()}
    for name in ("posterior_predictive", "log_likelihood"):
        datasets[name] = datasets[name].assign_coords(draws)
    datasets["posterior"] = xr.Dataset({"weight": (("chain", "draw"), few.parameters.weight[:, 0].reshape(shape[:2]))})
    return xr.DataTree.from_dict(datasets)


def prior_draws(model: MixtureModel, points: Points, draws: int = DRAWS) -> "xr.Dataset":
    """Mixtures from the resolved prior."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # priors and data may contradict each other: the fit has said so
        tree = prior_predictive(model, points.values[: max(model.n_components, 2)], draws, points=1)
    return tree["prior"].to_dataset()
