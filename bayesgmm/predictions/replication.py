"""Simulation of points and data sets from the posterior predictive."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.declared import whole
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.packing import plain_index
from bayesgmm.posterior.schema import Posterior, observed, transforms_of
from bayesgmm.posterior.subsets import thinned
from bayesgmm.predictions.densities import SLICE, require_room
from bayesgmm.progress import track
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.stats import Array
from bayesgmm.transforms.columns import ColumnTransforms

if TYPE_CHECKING:
    import xarray as xr

REPLICATES = 200  # default number of data sets: tail probabilities are accurate to one or two percent
AT_ONCE = 50_000  # points simulated at a time


@takes_fit
def posterior_predictive(
    fit: FitLike, draws: int | None = REPLICATES, *, size: int | None = None, seed: int = 0, progress: bool = True
) -> "xr.DataTree":
    r"""Simulate data sets from the posterior predictive, one from each of some draws [1]_.

    .. math:: \tilde x_n^{(s)} \sim \sum_k w_k^{(s)} \, \mathrm{Normal}(\mu_k^{(s)}, \Sigma_k^{(s)}),
              \quad n = 1 \dots N

    Parameters
    ----------
    fit : DataTree or estimator
    draws : int, optional
        Number of data sets. Their draws are evenly spaced, the same number from each chain; None for all draws.
    size : int, optional
        Number of points in each data set. Default: the number of points that were fitted.
    seed : int
        The same seed gives the same data sets.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    DataTree
        A copy of the fit with a group ``posterior_predictive``: ``x`` [chain, draw, point, feature], in data units.
        If the fit has transforms, so is ``observed_data`` of the copy. ArviZ's predictive
        checks (``az.plot_ppc_dist``) can use it.

    Raises
    ------
    DataError
        When the data sets need more than 2 GiB of memory.
    DeclarationError
        When ``draws`` or ``size`` is not positive, or ``seed`` is negative.
    FitFileError
        When ``fit`` is not a fit, or holds no data and ``size`` is not given.

    References
    ----------
    .. [1] Gelman, Meng & Stern (1996), Stat. Sinica 6(4), 733-760.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(1), [[0.0], [1.0], [2.0]], "em", progress=False)
    >>> posterior_predictive(fit, size=5)["posterior_predictive"]["x"].sizes
    Frozen({'chain': 1, 'draw': 1, 'point': 5, 'feature': 1})
    """
    tree, transforms = replicated(fit, draws, size, seed, progress), transforms_of(fit)
    if transforms.changed:
        for group in {"posterior_predictive", "observed_data"} & set(tree.children):
            tree[group] = _in_data_units(tree[group].to_dataset(), transforms)
    return tree


def _in_data_units(data: "xr.Dataset", transforms: ColumnTransforms) -> "xr.DataTree":
    import xarray as xr

    x = data["x"].transpose(..., "feature")
    return xr.DataTree(data.assign(x=(x.dims, transforms.inverse(x.values))).assign_coords(feature=[*transforms.names]))


def replicated(
    fit: "xr.DataTree", draws: int | None, size: int | None = None, seed: int = 0, progress: bool = True
) -> "xr.DataTree":
    """Return the result of ``posterior_predictive`` in the columns of the fit."""
    import xarray as xr

    few = thinned(fit, draws)
    index = np.arange(whole("size", size)) if size is not None else observed(fit).index
    posterior = as_modelled(few)
    n_features = len(posterior.columns)
    what = f"{posterior.n_draws} data sets of {len(index)} points"
    require_room(8 * posterior.n_draws * len(index) * n_features, what)
    x = np.concatenate(list(replicates(posterior, len(index), seed, progress)))
    of = few["posterior"]
    shape = of.sizes["chain"], of.sizes["draw"], len(index), n_features
    coords = {
        "chain": of["chain"].values,
        "draw": of["draw"].values,
        "point": plain_index(index),
        "feature": list(posterior.columns),
    }
    tree = fit.copy()
    data = xr.Dataset({"x": (("chain", "draw", "point", "feature"), x.reshape(shape))}, coords=coords)
    tree["posterior_predictive"] = xr.DataTree(data)
    return tree


def replicates(posterior: Posterior, n_points: int, seed: int = 0, progress: bool = True) -> Iterator[Array]:
    """Yield one data set from each draw, a few draws at a time: (b, n_points, D), about 2 million numbers.

    The data set of a draw depends only on the seed and the position of the draw.

    Raises
    ------
    DeclarationError
        When the seed is negative, or the number of points is not positive.
    """
    seed, n_points = whole("seed", seed, minimum=0), whole("n_points", n_points)
    scale = posterior.standard.scale
    chol = cholesky(posterior.parameters.covariance / np.outer(scale, scale))
    step = max(1, SLICE // (n_points * len(scale)))
    starts = range(0, posterior.n_draws, step)
    for start in track(starts, "data sets", progress):
        draws = range(start, min(start + step, posterior.n_draws))
        yield np.stack([_replicate(posterior, chol[s], s, n_points, np.random.default_rng((seed, s))) for s in draws])


def _replicate(posterior: Posterior, chol: Array, s: int, n_points: int, rng: np.random.Generator) -> Array:
    """Simulate a data set (n_points, D) from draw s."""
    weight, mean = posterior.parameters.weight[s], posterior.parameters.mean[s]
    component = rng.choice(len(weight), size=n_points, p=weight / weight.sum())
    x = rng.normal(size=(n_points, mean.shape[1]))
    for k in range(len(weight)):
        x[component == k] = mean[k] + (x[component == k] @ chol[k].T) * posterior.standard.scale
    return x


def simulate(posterior: Posterior, size: int, rng: np.random.Generator) -> Array:
    """Simulate points (size, D) from the posterior predictive, each from a random draw."""
    return simulate_labelled(posterior, size, rng)[0]


def simulate_labelled(posterior: Posterior, size: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.intp]]:
    """Simulate points (size, D) from the posterior predictive, with the component (size,) of each."""
    scale = posterior.standard.scale
    chol = cholesky(posterior.parameters.covariance / np.outer(scale, scale))
    cumulative = posterior.parameters.weight.cumsum(axis=1)
    parts = [
        _labelled(posterior, chol, cumulative, min(AT_ONCE, size - start), rng) for start in range(0, size, AT_ONCE)
    ]
    return np.concatenate([x for x, _ in parts]), np.concatenate([component for _, component in parts])


def _labelled(
    posterior: Posterior, chol: Array, cumulative: Array, size: int, rng: np.random.Generator
) -> tuple[Array, NDArray[np.intp]]:
    draw = rng.integers(posterior.n_draws, size=size)
    component = (rng.random((size, 1)) * cumulative[draw, -1:] > cumulative[draw]).sum(axis=1)
    noise = np.einsum("nij,nj->ni", chol[draw, component], rng.normal(size=(size, chol.shape[-1])))
    return posterior.parameters.mean[draw, component] + noise * posterior.standard.scale, component
