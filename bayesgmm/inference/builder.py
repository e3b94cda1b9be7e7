"""A declaration as a PyMC model: the same posterior in PyMC's own hands."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import DataLike, Standard, as_points
from bayesgmm.declared import whole
from bayesgmm.errors import warn
from bayesgmm.model import MixtureModel, as_model
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.schema import plain_index
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pymc as pm


def build_model(
    model: MixtureModel, data: DataLike, *, columns: Sequence[str] | None = None, batch_size: int | None = None
) -> "pm.Model":
    """The posterior of a declaration as a PyMC model, for any tool of PyMC's.

    Its free variables are ``weight`` [component], ``mean`` [component, feature] and ``covariance`` [component,
    feature, feature_bis] (or, for a family with fewer numbers, ``tied_covariance``, ``variance`` or ``sd``, of which
    ``covariance`` is made), and what the priors learn beyond them. The one observed variable is ``x`` [point,
    feature], a ``MvNormalMixture`` of ``bayesgmm.pymc_ops.distributions`` over the data ``data``, which ``pm.set_data``
    can exchange.
    Everything is in data units; samplers move in standardised coordinates, the same as bayesgmm's own. A trace goes
    through ``bayesgmm.assignments`` and the other answers as it is.

    Parameters
    ----------
    model : MixtureModel
    data : array or DataFrame
        (N, D), one row a point.
    columns : sequence of str, optional
        Columns of a DataFrame to use.
    batch_size : int, optional
        For ``pm.fit``: look at a random minibatch of so many points at a time. Such a model can't be sampled.

    Returns
    -------
    pymc.Model

    Raises
    ------
    DataError, DeclarationError

    Examples
    --------
    >>> pm_model = build_model(MixtureModel(2), [[0.0], [1.0], [5.0], [6.0]])
    >>> [variable.name for variable in pm_model.free_RVs]
    ['weight', 'covariance', 'mean']
    """
    import pymc as pm
    import pytensor.tensor as pt

    from bayesgmm.inference.pymc_priors import pymc_covariances, pymc_means, pymc_weights
    from bayesgmm.pymc_ops.distributions import MvNormalMixture

    points = as_points(data, columns)
    resolved = as_model(model).resolve(points)
    standard = Standard.of(points, common=resolved.family.needs_common_scale)
    warn(resolved.contradictions(points.summary))
    k, n_points = resolved.n_components, len(points.values)
    features = list(points.columns)
    coords = {"component": np.arange(k), "feature": features, "feature_bis": features}
    with pm.Model(coords=coords) as pm_model:
        weight = pymc_weights(resolved.weights, k)
        covariance = pymc_covariances(resolved.covariances, resolved.family, standard, k)
        mean = pymc_means(resolved.means, standard, k, covariance)
        if resolved.background is not None:
            weight, mean, covariance = resolved.background.append_to(weight, mean, covariance, pt.concatenate)
        if batch_size is None:
            pm_model.add_coord("point", plain_index(points.index))
            x = pm.Data("data", points.values, dims=("point", "feature"))
            MvNormalMixture("x", weight, mean, covariance, observed=x, dims=("point", "feature"))
        else:
            x = pm.Minibatch(points.values, batch_size=min(whole("batch_size", batch_size), n_points))
            MvNormalMixture("x", weight, mean, covariance, observed=x, total_size=n_points)
    return pm_model


def initial_point(
    model: MixtureModel, data: DataLike, *, columns: Sequence[str] | None = None, seed: int = 0
) -> dict[str, Array]:
    """Where the sampling of a PyMC model should start: the highest mode that short EM runs and a climb found.

    Without it PyMC starts all components in one place, and what tells them apart is its random jitter.

    Parameters
    ----------
    model, data, columns
        As for ``build_model``.
    seed : int

    Returns
    -------
    dict
        A value for each free variable of the model, in data units: ``pm.sample(initvals=..., init="adapt_diag")``, or
        ``pm.find_MAP(start=...)``.

    Examples
    --------
    >>> start = initial_point(MixtureModel(2), [[0.0], [1.0], [5.0], [6.0]])
    >>> sorted(start)
    ['covariance', 'mean', 'weight']
    """
    from bayesgmm.inference.laplace import find_mode, starting_points
    from bayesgmm.inference.pymc_priors import covariance_values

    density = LogPosterior.of(model, as_points(data, columns))
    resolved = density.model
    starts = starting_points(density, whole("seed", seed, least=0), threads=1)
    modes = [find_mode(density, start) for start in starts]
    found = density.parameters(max(modes, key=lambda q: density(q)[0]))
    covariances = covariance_values(resolved.covariances, found.covariance, resolved.family)
    values = {"mean": found.mean, **covariances, **found.extras}
    return values if resolved.n_components == 1 else {"weight": found.weight, **values}
