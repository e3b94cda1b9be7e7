"""Prior predictive simulation, and the prior of the number of clusters."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import DataLike, as_points
from bayesgmm.data.standards import Standard
from bayesgmm.declared import whole
from bayesgmm.errors import DeclarationError, warn
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel, as_model
from bayesgmm.posterior.info import FitInfo, annotate
from bayesgmm.posterior.packing import pack_prior
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

MAX_POINTS = 1000  # default maximum number of points in a simulated data set


@checks_keywords
def prior_predictive(
    model: MixtureModel,
    data: DataLike,
    draws: int = 500,
    *,
    columns: "Sequence[str] | None" = None,
    points: int | None = None,
    seed: int = 0,
) -> "xr.DataTree":
    """Simulate mixtures from the prior, and a data set from each.

    Look at them before the fit (``plots.prior``): priors are reasonable when the simulated data are plausible [1]_.

    Parameters
    ----------
    model : MixtureModel
    data : array or DataFrame
        (N, D). Parameters of the priors that are not declared are chosen from the data. The data are not fitted.
    draws : int
        S, the number of mixtures and of data sets.
    columns : sequence of str, optional
        Columns of a DataFrame to use.
    points : int, optional
        Number of points in a simulated data set. Default: the number of rows of the data, up to 1,000.
    seed : int
        The same seed gives the same draws.

    Returns
    -------
    DataTree
        ``prior`` with ``weight`` [chain, draw, component], ``mean`` [.., component, feature], ``covariance`` [..,
        component, feature, feature_bis] and the parameters of hierarchical priors; ``prior_predictive`` with ``x``
        [chain, draw, point, feature]; ``observed_data``. In data units.

    Raises
    ------
    DeclarationError
        When the model is not a ``MixtureModel``, a number is out of range, or the prior is so wide that draws from it
        are singular or infinite.
    DataError
        When the data can't be used: missing values, no such column.

    Warns
    -----
    FitWarning
        When priors and data differ in scale by orders of magnitude.

    References
    ----------
    .. [1] Gabry, Simpson, Vehtari, Betancourt & Gelman (2019), J. R. Stat. Soc. A 182(2), 389-402.

    Examples
    --------
    >>> tree = prior_predictive(MixtureModel(2), [[0.0], [1.0], [5.0]], draws=10)
    >>> tree["prior_predictive"]["x"].shape
    (1, 10, 3, 1)
    """
    as_model(model).require_distribution()
    checked = as_points(data, columns, gaps=True)
    draws = whole("draws", draws)
    count = min(len(checked.values), MAX_POINTS) if points is None else whole("points", points)
    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    resolved = model.resolve(checked)
    warn(resolved.contradictions(checked.summary))
    parameters, simulated = _drawn(resolved, rng, draws, count, len(checked.columns))
    standard = Standard.of(checked, common=resolved.family.needs_common_scale)
    tree = pack_prior(checked, standard, parameters, simulated)
    return annotate(tree, FitInfo(model=resolved, seed=seed, fingerprint=checked.fingerprint))


def _drawn(
    model: MixtureModel, rng: np.random.Generator, draws: int, count: int, n_features: int
) -> tuple[Parameters, Array]:
    """Draw mixtures and data sets from the prior.

    Raises
    ------
    DeclarationError
        When a draw is singular, infinite, or not a number.
    """
    try:
        with np.errstate(all="ignore"):
            parameters = draw(model, rng, draws, n_features)
            simulated = simulate(parameters, rng, count)
    except (np.linalg.LinAlgError, ValueError):
        simulated = np.full(1, np.nan)
    if not np.isfinite(simulated).all():
        raise DeclarationError(
            "draws from the prior have singular or infinite weights or covariances: the prior is too wide.\n"
            "  Try a larger dof (WishartPrecision), a larger eta (LKJCovariance), or narrower priors of standard "
            "deviations and concentrations."
        )
    return parameters, simulated


def draw(model: MixtureModel, rng: np.random.Generator, size: int, n_features: int) -> Parameters:
    """Draw mixtures (size, ...) from the priors of a resolved model, in data units."""
    k = model.n_components
    weight, of_weights = model.weights.draw(rng, k, size)
    covariance, of_covariances = model.covariances.draw(rng, model.family, (size, k, n_features))
    mean, of_means = model.means.draw(rng, k, size, covariance)
    return Parameters(weight, mean, covariance, of_weights | of_means | of_covariances)


def simulate(parameters: Parameters, rng: np.random.Generator, count: int) -> Array:
    """Simulate points (S, count, D), a data set from each mixture (S, ...)."""
    cumulative = parameters.weight.cumsum(axis=1)
    size, d = len(cumulative), parameters.mean.shape[-1]
    chosen = (rng.random((size, count, 1)) * cumulative[:, None, -1:] > cumulative[:, None]).sum(axis=-1)
    chol = cholesky(parameters.covariance)
    row = np.arange(size)[:, None]
    noise = np.einsum("snij,snj->sni", chol[row, chosen], rng.normal(size=(size, count, d)))
    return parameters.mean[row, chosen] + noise


@checks_keywords
def elicit(model: MixtureModel, n_points: int, *, draws: int = 10_000, seed: int = 0) -> "xr.Dataset":
    """Compute the prior distribution of the number of clusters among N points.

    A cluster is a component that holds at least one point [1]_. Weights are simulated from their prior, and then N
    labels from the weights.

    Parameters
    ----------
    model : MixtureModel
        Only its prior of the weights and its number of components are used.
    n_points : int
        N, the number of points.
    draws : int
        Number of simulations. The standard error of a probability is at most 0.5 / sqrt(draws).
    seed : int
        The same seed gives the same result.

    Returns
    -------
    Dataset
        ``probability`` [n_clusters], for 1 to K clusters; ``weight`` [rank], the expected weights in decreasing order.
        ``components`` [n_clusters], the prior of an unknown number of components, for ``FiniteMixture``.
        ``answer["probability"].to_series()`` is a table.

    Raises
    ------
    DeclarationError
        When the model is not a ``MixtureModel``, a number is out of range, or the prior is so wide that draws from it
        are infinite.

    References
    ----------
    .. [1] Frühwirth-Schnatter, Malsiner-Walli & Grün (2021), Bayesian Analysis 16(4), 1279-1307.

    Examples
    --------
    With two components and a uniform prior of the weights, ten points are all in one component with probability 2/11.

    >>> from bayesgmm import Dirichlet
    >>> elicit(MixtureModel(2, weights=Dirichlet(1.0)), n_points=10)["probability"].values.round(2)
    array([0.18, 0.82])
    """
    import xarray as xr

    n_points, draws, k = whole("n_points", n_points), whole("draws", draws), as_model(model).n_components
    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    with np.errstate(all="ignore"):
        weight, _ = model.weights.resolve(k, per_component=2**31).draw(rng, k, draws)
    if not np.isfinite(weight).all():
        raise DeclarationError(
            "draws from the prior of the concentration are zero or infinite: the prior is too wide; narrow it"
        )
    number = model.weights.log_number(k)
    components = {"components": ("n_clusters", np.exp(number))} if model.weights.draws_n_components else {}
    occupied = (rng.multinomial(n_points, weight) > 0).sum(axis=1)
    return xr.Dataset(
        {
            "probability": ("n_clusters", np.bincount(occupied, minlength=k + 1)[1:] / draws),
            "weight": ("rank", np.sort(weight, axis=1)[:, ::-1].mean(axis=0)),
            **components,
        },
        coords={"n_clusters": np.arange(1, k + 1), "rank": np.arange(k)},
        attrs={"n_points": n_points},
    )
