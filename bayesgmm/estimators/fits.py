"""Fits for estimators that are given what they get: few rows, copies of rows, columns that never change."""

import os
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm import inference
from bayesgmm.data.points import Points, Standard, Summary
from bayesgmm.engines import engine_named
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.estimators import arguments
from bayesgmm.estimators.arguments import RandomState
from bayesgmm.inference import em
from bayesgmm.inference.mixtures import closest_wishart
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.info import EngineNotes, FitInfo, annotate
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import pack
from bayesgmm.sweep.stats import Array, fold

if TYPE_CHECKING:
    import xarray as xr

LEAST_SHARE = 1e-9  # of the largest variance: what a column counts for that never changes; GaussianNB's share


def proper(model: MixtureModel, points: Points, within: Array) -> MixtureModel:
    """The declaration with every prior that keeps a component from collapsing as numbers, whatever the points are.

    Parameters
    ----------
    model : MixtureModel
    points : Points
        All that there are; their middle and range set the priors of means.
    within : (D,) float
        Variances that set those of covariances; where they vanish, a trace of the largest.
    """
    told = points.summary
    variance = np.maximum(within, LEAST_SHARE * told.variance.max())
    variance = np.where(variance > 0, variance, 1.0)
    spread = np.where(told.range > 0, told.range, np.sqrt(variance))
    summary = Summary(told.columns, told.n_points, told.mean, told.midrange, spread, variance)
    covariances = model.covariances.resolve(summary, model.family, model.n_components)
    return model.model_copy(update={"means": model.means.resolve(summary), "covariances": covariances})


def fit(
    model: MixtureModel, points: Points, method: str, random_state: RandomState, settings: dict[str, Any] | None
) -> "xr.DataTree":
    """A fit by any method; 'em' is here held by the covariances' prior, so that it never fails.

    Raises
    ------
    DeclarationError
        For a method, or a setting, that does not exist.
    """
    engine_named(method)
    seed, told = arguments.seed_of(random_state), arguments.settings_named(settings)
    if method == "em":
        return _most_probable(model, points, seed, told)
    return inference.fit(model, points, method, seed=seed, progress=False, **told)


def _most_probable(model: MixtureModel, points: Points, seed: int, settings: dict[str, Any]) -> "xr.DataTree":
    """EM to the mode under the covariances' prior, as a posterior of one draw.

    References
    ----------
    .. [1] Fraley & Raftery (2007), J. Classification 24, 155-181.
    """
    chosen: dict[str, Any] = engine_named("em").checked(settings)
    family = model.family
    standard = Standard.of(points, common=family.needs_common_scale)
    prior = closest_wishart(model.covariances, standard, family)
    sweep = em.Sweep(standard.blocks(points.values, points.weights), family, prior, threads=os.cpu_count() or 1)
    if model.n_components == 1:
        chosen = chosen | {"n_init": 1}  # all starts end in one place
    found = em.maximise_likelihood(sweep, model.n_components, seed, **chosen)
    mixture = found.mixture
    mean = mixture.mean * standard.scale + standard.shift
    covariance = family.matrices(mixture.core_roots, *mean.shape) * np.outer(standard.scale, standard.scale)
    notes = EngineNotes(converged=found.converged, maximum="posterior")
    info = FitInfo(method="em", settings=chosen, seed=seed, notes=notes)
    loglik = fold(sweep.blocks, mixture.table(family), sweep.threads).loglik
    fitted = Fitted(points, standard, loglik - sweep.blocks.total_weight * standard.log_scale)
    return one_draw(fitted, model, (mixture.weight, mean, covariance), info)


@dataclass(frozen=True)
class Fitted:
    """What a point estimate was made from.

    Parameters
    ----------
    points : Points
        The data (not a copy); none of them once they are forgotten.
    standard : Standard
    loglik : float
        Total log likelihood of the points under the estimate, in data units.
    """

    points: Points
    standard: Standard
    loglik: float

    def forgotten(self) -> "Fitted":
        """The same without the data."""
        return replace(self, points=self.points.forgotten())


def one_draw(fitted: Fitted, model: MixtureModel, mixture: tuple[Array, Array, Array], info: FitInfo) -> "xr.DataTree":
    """A mixture as a fit; its components keep their order.

    Parameters
    ----------
    fitted : Fitted
        Without data, the fit holds no ``observed_data``. With no prior looked at, the log likelihood stands for the log
        posterior, too.
    model : MixtureModel
    mixture : (K,), (K, D) and (K, D, D) float
        Weights, means, covariances, in data units.
    info : FitInfo
        How it was made, beyond what is the same for all.
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
    """With every number explicit where the data can set them: maximum likelihood asks for none."""
    try:
        return model.resolve(points)
    except (DataError, DeclarationError):
        return model
