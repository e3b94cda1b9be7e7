"""Robust fits for the estimators: they accept few rows, duplicate rows and constant columns."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm import inference
from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.data.streams import Stream
from bayesgmm.data.summaries import Summary
from bayesgmm.engines import engine_named
from bayesgmm.errors import ComponentError, DataError, DeclarationError
from bayesgmm.estimators import arguments
from bayesgmm.estimators.arguments import RandomState
from bayesgmm.inference import em, em_steps
from bayesgmm.inference.mixtures import closest_wishart
from bayesgmm.inference.populations import Climb, Population
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.info import FitInfo, annotate
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.posterior.packing import pack
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.priors.covariances import WishartPrecision
from bayesgmm.priors.multiplicative_gamma import has_loadings
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.imputation import imputed
from bayesgmm.sweep.stats import Array, Table, fold

if TYPE_CHECKING:
    import xarray as xr

MIN_VARIANCE_SHARE = 1e-9  # minimum variance of a column, as a share of the largest; as in GaussianNB


def proper(model: MixtureModel, points: Points, within: Array) -> MixtureModel:
    """Resolve the priors of means and covariances for any points, so that no component can collapse.

    Parameters
    ----------
    model : MixtureModel
    points : Points
        All points; their midrange and range set the prior of the means.
    within : (D,) float
        Variances that set the prior of the covariances; zeros are replaced by a small share of the largest.
    """
    summary = points.summary
    variance = positive_variances(within, summary.variance)
    spread = np.where(summary.range > 0, summary.range, np.sqrt(variance))
    resolved = Summary(summary.columns, summary.n_points, summary.mean, summary.midrange, spread, variance)
    covariances = model.covariances.resolve(resolved, model.family, model.n_components)
    return model.model_copy(update={"means": model.means.resolve(resolved), "covariances": covariances})


def declared(n_components: int, covariance: str, method: str) -> MixtureModel:
    """Declare a mixture whose default prior of the covariances is one that the method can use.

    ``'em'`` finds the mode under an inverse Wishart prior, whatever the structure [1]_; for factor analysers under the
    one that is closest to their default prior.

    References
    ----------
    .. [1] Fraley & Raftery (2007), J. Classification 24, 155-181.
    """
    model = MixtureModel(n_components, covariance)
    if method == "em" and not has_loadings(model.family):
        return model.model_copy(update={"covariances": WishartPrecision()})
    return model


def positive_variances(variance: Array, of_columns: Array) -> Array:
    """Return variances (D,), zeros replaced by a small share of the largest one of the columns (D,)."""
    positive = np.maximum(variance, MIN_VARIANCE_SHARE * of_columns.max())
    return np.where(positive > 0, positive, 1.0)


def fit(
    model: MixtureModel, points: Points, method: str, random_state: RandomState, settings: dict[str, Any] | None
) -> "xr.DataTree":
    """Fit by any method; 'em' maximises under the prior of the covariances, so that no component degenerates.

    Raises
    ------
    UnknownName, DeclarationError
        If the method or a setting does not exist, or a value is not valid.
    """
    engine_named(method)
    seed, given = arguments.seed_of(random_state), arguments.settings_named(settings)
    with arguments.in_own_words():
        if method == "em":
            return _most_probable(model, points, seed, given)
        return inference.fit(model, points, method, seed=seed, progress=False, **given)


def most_likely(model: MixtureModel, points: Points, seed: int, settings: dict[str, Any]) -> "xr.DataTree":
    """Maximise the likelihood by EM.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If a component can't be estimated.
    """
    with arguments.in_own_words():
        return inference.fit(model, points, "em", seed=seed, progress=False, **settings)


def _most_probable(model: MixtureModel, points: Points, seed: int, settings: dict[str, Any]) -> "xr.DataTree":
    """Find the mode under the prior of the covariances by EM; return it as a fit of one draw.

    References
    ----------
    .. [1] Fraley & Raftery (2007), J. Classification 24, 155-181.
    """
    chosen: dict[str, Any] = engine_named("em").checked(settings)
    family = model.family
    standard = _standard(points, common=family.needs_common_scale)
    prior = closest_wishart(model.covariances, standard, family)
    sweep = em_steps.Sweep(imputed(standard.blocks(points, points.weights)), family, prior, threads=os.cpu_count() or 1)
    if model.n_components == 1:
        chosen = chosen | {"n_init": 1}  # all starts have the same result
    result = _maximum(sweep, model.n_components, seed, chosen)
    mixture = result.mixture.without_empty(sweep.blocks.total_weight)
    mean = mixture.mean * standard.scale + standard.shift
    covariance = family.matrices(mixture.core_roots, *mean.shape) * np.outer(standard.scale, standard.scale)
    notes = EngineNotes(converged=result.converged, maximum="posterior")
    info = FitInfo(method="em", settings=chosen, seed=seed, notes=notes)
    fitted = Fitted(points, standard, partial(log_likelihood, sweep.blocks, standard, mixture.table(family)))
    return one_draw(fitted, model, (mixture.weight, mean, covariance), info)


def _standard(points: Points, common: bool) -> Standard:
    """Standardise points; constant columns by the spread that their prior assumes, however far from zero they are."""
    standard, variance = Standard.of(points, common), points.summary.variance
    constant = np.sqrt(positive_variances(variance, variance))
    varies = (variance > 0) | common
    return replace(standard, scale=np.where(varies, standard.scale, 2.0 ** np.round(np.log2(constant))))


def _maximum(sweep: em_steps.Sweep, n_components: int, seed: int, settings: dict[str, Any]) -> em_steps.EMResult:
    """Find the mode under the prior; with labels of rows the better one of that, and of the one near the likelihood's.

    With few labels the density under the prior may be highest where a component holds little more than its labelled
    rows: in many columns a narrow covariance has a high density, but little probability. So modes are compared by that.
    """
    found = [em.maximise_likelihood(sweep, n_components, seed, **settings)]
    if sweep.blocks.labels is not None:
        with suppress(ComponentError):  # too few rows for the likelihood alone
            start = em.maximise_likelihood(replace(sweep, prior=None), n_components, seed, **settings).mixture
            found.append(em_steps.run(sweep, start, settings["max_iter"], settings["tol"]))
    return max(found, key=lambda result: _log_mass(sweep, result))


def _log_mass(sweep: em_steps.Sweep, result: em_steps.EMResult) -> float:
    """Log posterior density in coordinates in which it is close to the probability of a mode: roots of precisions."""
    assert sweep.prior is not None
    block = sweep.family.form.block_size(sweep.blocks.n_features)
    prior = replace(sweep.prior, dof=sweep.prior.dof - block - 1 - (block - 1) / 2)
    climb = Climb(sweep.blocks, sweep.family, prior, sweep.threads)
    return float(climb.step(Population.of([result.mixture]))[0][0])


@dataclass(frozen=True)
class Fitted:
    """Data of a point estimate.

    Parameters
    ----------
    points : Points
        The data (not a copy); empty after ``forgotten``.
    standard : Standard
    score : callable
        Returns ``loglik``. It is called when that is first needed, for it takes as long as half an iteration of EM.
    """

    points: Points
    standard: Standard
    score: Callable[[], float]

    @classmethod
    def of(cls, points: Points | Stream, standard: Standard, blocks: Blocks, table: Table) -> "Fitted":
        """Return the data of an estimate with this table; those of a ``Stream`` are read once more, and not kept."""
        if isinstance(points, Stream):
            loglik = log_likelihood(blocks, standard, table)
            return cls(points.sample.forgotten(), standard, partial(float, loglik))
        return cls(points, standard, lambda: log_likelihood(standard.blocks(points, points.weights), standard, table))

    @cached_property
    def loglik(self) -> float:
        """Total log likelihood of the points under the estimate, in data units."""
        return self.score()

    def forgotten(self) -> "Fitted":
        """Return a copy without the data."""
        return replace(self, points=self.points.forgotten(), score=partial(float, self.loglik))


def log_likelihood(blocks: Blocks, standard: Standard, table: Table) -> float:
    """Compute the total log likelihood of points, in data units, under a table in their standardised coordinates."""
    return fold(blocks, table, os.cpu_count() or 1).loglik - standard.log_units(blocks)


def one_draw(fitted: Fitted, model: MixtureModel, mixture: tuple[Array, Array, Array], info: FitInfo) -> "xr.DataTree":
    """Make a fit of one draw from a mixture; its components keep their order.

    Parameters
    ----------
    fitted : Fitted
        Without data, the fit has no ``observed_data``. The log likelihood takes the place of the log posterior.
    model : MixtureModel
    mixture : (K,), (K, D) and (K, D, D) float
        Weights, means, covariances, in data units.
    info : FitInfo
        Facts about the fit; those that all such fits share are added.
    """
    points = fitted.points
    total = np.array([[fitted.loglik]])
    weight, mean, covariance = (values[None, None] for values in mixture)
    parameters = Parameters(weight, mean, covariance)
    tree = pack(points, fitted.standard, parameters, {"lp": total, "loglik": total.copy()})
    known = len(points.values) > 0
    if not known:
        del tree["observed_data"]
    complete = replace(
        info,
        model=_resolved(model, points) if known else model,
        fingerprint=points.fingerprint if known else None,
        versions={name: version(name) for name in ("bayesgmm", "numpy", "scikit-learn", "arviz")},
        relabelled="one draw needs none",
    )
    return annotate(tree, complete)


def _resolved(model: MixtureModel, points: Points) -> MixtureModel:
    """Resolve the priors if the data allow it; maximum likelihood does not need them."""
    try:
        return model.resolve(points)
    except (DataError, DeclarationError):
        return model
