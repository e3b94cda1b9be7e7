"""What a declaration believes before any fit: data that it would expect, and how many clusters."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import Standard, as_points
from bayesgmm.declared import whole
from bayesgmm.errors import DeclarationError, warn
from bayesgmm.model import MixtureModel, as_model
from bayesgmm.posterior import schema
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.sweep.stats import Array, cholesky

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

MOST_POINTS = 1000  # of a simulated data set, unless told: more show nothing more


def prior_predictive(
    model: MixtureModel,
    data: Any,
    draws: int = 500,
    *,
    columns: "Sequence[str] | None" = None,
    points: int | None = None,
    seed: int = 0,
) -> "xr.DataTree":
    """Mixtures from the prior, and a data set from each: look before you fit.

    Parameters
    ----------
    model : MixtureModel
    data : array or DataFrame
        (N, D): what the declaration leaves open is resolved from them. They are not fitted.
    draws : int
        S, how many mixtures and data sets.
    columns : sequence of str, optional
        Columns of a DataFrame to use.
    points : int, optional
        Points of a simulated data set; as many as the data have unless told, and no more than 1,000.
    seed : int

    Returns
    -------
    DataTree
        ``prior`` with ``weight``, ``mean``, ``covariance`` and what the priors learn beyond them;
        ``prior_predictive`` with ``x`` [chain, draw, point, feature]; ``observed_data``. In data units.

    Warns
    -----
    FitWarning
        When priors and data differ in scale by orders of magnitude.

    Examples
    --------
    >>> tree = prior_predictive(MixtureModel(2), [[0.0], [1.0], [5.0]], draws=10)
    >>> tree["prior_predictive"]["x"].shape
    (1, 10, 3, 1)
    """
    as_model(model)
    checked = as_points(data, columns)
    draws = whole("draws", draws)
    count = min(len(checked.values), MOST_POINTS) if points is None else whole("points", points)
    rng = np.random.default_rng(whole("seed", seed, least=0))
    resolved = model.resolve(checked)
    warn(resolved.contradictions(checked.summary))
    parameters, simulated = _drawn(resolved, rng, draws, count, len(checked.columns))
    standard = Standard.of(checked, common=resolved.family.isotropic)
    tree = schema.pack_prior(checked, standard, parameters, simulated)
    return schema.annotate(tree, {"model": resolved.plain(), "seed": seed, "fingerprint": checked.fingerprint})


def _drawn(
    model: MixtureModel, rng: np.random.Generator, draws: int, count: int, n_features: int
) -> tuple[Parameters, Array]:
    """Mixtures and data sets from the prior; a prior that draws what no computer can hold is refused."""
    try:
        with np.errstate(all="ignore"):
            parameters = draw(model, rng, draws, n_features)
            simulated = simulate(parameters, rng, count)
    except (np.linalg.LinAlgError, ValueError):
        simulated = np.full(1, np.nan)
    if not np.isfinite(simulated).all():
        raise DeclarationError(
            "the prior draws weights or covariances that are singular or infinite: it is too wide.\n"
            "  Try a larger dof (WishartPrecision), a larger eta (LKJCovariance), or priors of standard deviations and "
            "concentrations that keep away from zero and infinity."
        )
    return parameters, simulated


def draw(model: MixtureModel, rng: np.random.Generator, size: int, n_features: int) -> Parameters:
    """Mixtures (size, ...) from the priors of a resolved model, in data units."""
    k = model.n_components
    weight, of_weights = model.weights.draw(rng, k, size)
    covariance, of_covariances = model.covariances.draw(rng, model.family, (size, k, n_features))
    mean, of_means = model.means.draw(rng, k, size, covariance)
    return Parameters(weight, mean, covariance, of_weights | of_means | of_covariances)


def simulate(parameters: Parameters, rng: np.random.Generator, count: int) -> Array:
    """(S, count, D) points, a data set from each of the mixtures (S, ...)."""
    cumulative = parameters.weight.cumsum(axis=1)
    size, d = len(cumulative), parameters.mean.shape[-1]
    chosen = (rng.random((size, count, 1)) * cumulative[:, None, -1:] > cumulative[:, None]).sum(axis=-1)
    chol = cholesky(parameters.covariance)
    row = np.arange(size)[:, None]
    noise = np.einsum("snij,snj->sni", chol[row, chosen], rng.normal(size=(size, count, d)))
    return parameters.mean[row, chosen] + noise


def elicit(model: MixtureModel, n_points: int, *, draws: int = 10_000, seed: int = 0) -> "xr.Dataset":
    """What the prior of the weights says about the number of clusters among N points.

    A component that holds no point is no cluster. Simulated: weights from the prior, then N labels.

    Parameters
    ----------
    model : MixtureModel
        Of which only the weights and the number of components count.
    n_points : int
        N.
    draws : int
        Simulations; the probabilities have a Monte Carlo error of at most 0.5 / sqrt(draws).
    seed : int

    Returns
    -------
    Dataset
        ``probability`` [n_clusters], of 1 to K clusters; ``weight`` [rank], the expected weights, largest first.

    References
    ----------
    .. [1] Frühwirth-Schnatter, Malsiner-Walli & Grün (2021), Bayesian Analysis 16(4), 1279-1307.

    Examples
    --------
    >>> elicit(MixtureModel(1), n_points=10)["probability"].values
    array([1.])
    """
    import xarray as xr

    n_points, draws, k = whole("n_points", n_points), whole("draws", draws), as_model(model).n_components
    rng = np.random.default_rng(whole("seed", seed, least=0))
    with np.errstate(all="ignore"):
        weight, _ = model.weights.resolve(k, per_component=2**31).draw(rng, k, draws)
    if not np.isfinite(weight).all():
        raise DeclarationError("the prior draws concentrations that are zero or infinite: it is too wide; narrow it")
    occupied = (rng.multinomial(n_points, weight) > 0).sum(axis=1)
    return xr.Dataset(
        {
            "probability": ("n_clusters", np.bincount(occupied, minlength=k + 1)[1:] / draws),
            "weight": ("rank", np.sort(weight, axis=1)[:, ::-1].mean(axis=0)),
        },
        coords={"n_clusters": np.arange(1, k + 1), "rank": np.arange(k)},
        attrs={"n_points": n_points},
    )
