"""PyMC models: the posterior of a MixtureModel for the tools of PyMC."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.data.points import DataLike, as_points
from bayesgmm.data.standards import Standard
from bayesgmm.declared import whole
from bayesgmm.errors import DeclarationError, warn
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel, as_model
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.packing import plain_index
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pymc as pm


@checks_keywords
def build_model(
    model: MixtureModel,
    data: DataLike,
    *,
    columns: Sequence[str] | None = None,
    noise: ArrayLike | None = None,
    labels: object = None,
    batch_size: int | None = None,
) -> "pm.Model":
    """Build a PyMC model with the same posterior as a MixtureModel, for any tool of PyMC.

    Its free variables are ``weight`` [component], ``mean`` [component, feature] and ``covariance`` [component,
    feature, feature_bis] (or, for a family with fewer numbers, ``tied_covariance``, ``variance``, ``tied_variance``
    or ``sd``, of which ``covariance`` is made), and the hyperparameters that the priors learn. The one observed
    variable is ``x`` [point, feature], a ``MvNormalMixture`` of ``bayesgmm.pymc_ops.distributions`` over the data
    ``data``, which ``pm.set_data`` can exchange.
    All variables are in data units. Samplers work in standardised coordinates, the same as those of bayesgmm. A trace
    is a valid input of ``bayesgmm.assignments`` and the other functions of fits.

    Parameters
    ----------
    model : MixtureModel
    data : array or DataFrame
        (N, D), one point per row.
    columns : sequence of str, optional
        Columns of a DataFrame to use. Default: all.
    noise : (N, D) or (N, D, D) array, optional
        Errors of measurement, as in ``fit``. With them, with missing values or with labels, the one observed variable
        is a ``CustomDist`` over fixed data, which is slower.
    labels : (N,) or (N, K) array, Series or DataFrame, optional
        Known components of rows, as in ``fit``.
    batch_size : int, optional
        For ``pm.fit``: number of points in a random minibatch. Such a model can't be sampled. Default: all points.

    Returns
    -------
    pymc.Model

    Raises
    ------
    DataError, DeclarationError
        If the data or ``batch_size`` are not valid, or the model does not fit the data.

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

    as_model(model).require_distribution()
    points = as_points(data, columns, gaps=True).measured(noise).labelled(labels, as_model(model).n_components)
    if batch_size is not None and points.complete("batch_size=").labels is not None:
        raise DeclarationError("batch_size= can't be combined with labels=\n  Leave one of them out.")
    resolved = as_model(model).resolve(points)
    standard = Standard.of(points, common=resolved.family.needs_common_scale)
    warn(resolved.contradictions(points.summary))
    k, n_points = resolved.n_components, len(points.values)
    features, names = list(points.columns), np.arange(k)
    if points.labels is not None:
        resolved.require_labels()
        names = points.labels.component_names(k)
    coords = {"component": names, "feature": features, "feature_bis": features}
    with pm.Model(coords=coords) as pm_model:
        weight = pymc_weights(resolved.weights, k)
        covariance = pymc_covariances(resolved.covariances, resolved.family, standard, k)
        mean = pymc_means(resolved.means, standard, k, covariance)
        if resolved.background is not None:
            weight, mean, covariance = resolved.background.append_to(weight, mean, covariance, pt.concatenate)
        if not points.is_exact or points.labels is not None:
            from bayesgmm.pymc_ops.measured import measured_mixture

            pm_model.add_coord("point", plain_index(points.index))
            if points.noise is not None:  # so that a trace holds it
                pm.Data("noise", points.noise, dims=("point", "feature", "feature_bis")[: points.noise.ndim])
            if points.labels is not None:
                pm_model.add_coord("labelled", points.labels.columns)
                pm.Data("plausibility", points.labels.plausible, dims=("point", "labelled"))
            n_parts = k + (resolved.background is not None)
            labels = points.labels
            plausible = np.ones((n_points, n_parts)) if labels is None else labels.of_components(n_parts)
            known = points.values, points.error_covariances, plausible
            measured_mixture("x", weight, mean, covariance, *known, ("point", "feature"))
        elif batch_size is None:
            pm_model.add_coord("point", plain_index(points.index))
            x = pm.Data("data", points.values, dims=("point", "feature"))
            MvNormalMixture("x", weight, mean, covariance, observed=x, dims=("point", "feature"))
        else:
            x = pm.Minibatch(points.values, batch_size=min(whole("batch_size", batch_size), n_points))
            MvNormalMixture("x", weight, mean, covariance, observed=x, total_size=n_points)
    return pm_model


@checks_keywords
def initial_point(
    model: MixtureModel,
    data: DataLike,
    *,
    columns: Sequence[str] | None = None,
    noise: ArrayLike | None = None,
    labels: object = None,
    seed: int = 0,
) -> dict[str, Array]:
    """Find initial values for a PyMC model: the highest mode from several short EM runs.

    PyMC's default starts all components at the same point, so that only random jitter separates them.

    Parameters
    ----------
    model, data, columns, noise, labels
        As for ``build_model``.
    seed : int
        The same seed gives the same values.

    Returns
    -------
    dict
        A value for each free variable of the model, in data units, for ``pm.sample(initvals=..., init="adapt_diag")``
        or ``pm.find_MAP(start=...)``.

    Raises
    ------
    DataError, DeclarationError
        If the data or ``seed`` are not valid, or the model does not fit the data.
    ComponentError
        If from every start some component can't be estimated.

    Examples
    --------
    >>> start = initial_point(MixtureModel(2), [[0.0], [1.0], [5.0], [6.0]])
    >>> sorted(start)
    ['covariance', 'mean', 'weight']
    """
    from bayesgmm.inference.laplace import find_mode, starting_points
    from bayesgmm.inference.pymc_priors import covariance_values

    points = as_points(data, columns, gaps=True).measured(noise).labelled(labels, as_model(model).n_components)
    density = LogPosterior.of(model, points)
    resolved = density.model
    starts = starting_points(density, whole("seed", seed, minimum=0), threads=1)
    modes = [find_mode(density, start) for start in starts]
    mode = density.parameters(max(modes, key=lambda q: density(q)[0]))
    covariances = covariance_values(resolved.covariances, mode.covariance, resolved.family)
    values = {"mean": mode.mean, **covariances, **mode.extras}
    return values if resolved.n_components == 1 else {"weight": mode.weight, **values}
