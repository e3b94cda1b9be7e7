"""What scikit-learn's parameters of a Bayesian mixture declare."""

from typing import Any

from bayesgmm.data.points import Points
from bayesgmm.declared import positive
from bayesgmm.errors import choose
from bayesgmm.estimators import arguments
from bayesgmm.families.structures import Family
from bayesgmm.model import MixtureModel
from bayesgmm.priors.covariances import WishartPrecision
from bayesgmm.priors.means import ConjugateMeans
from bayesgmm.priors.weights import Dirichlet, DirichletProcess, WeightsPrior

WEIGHTS: dict[str, type[WeightsPrior]] = {
    "dirichlet_process": DirichletProcess,
    "dirichlet_distribution": Dirichlet,
}


def declared(estimator: Any, points: Points) -> MixtureModel:
    """The declaration that an estimator's parameters stand for; sets its attributes ``*_prior_``."""
    family, n_features = arguments.family_of(estimator.covariance_type), points.values.shape[1]
    kind = choose(estimator.weight_concentration_prior_type, WEIGHTS, "weight_concentration_prior_type")
    concentration = _number(estimator, "weight_concentration_prior", 1.0 / estimator.n_components)
    strength = _number(estimator, "mean_precision_prior", 1.0)
    dof = _number(estimator, "degrees_of_freedom_prior", float(n_features))
    location = points.centre_and_sd[0]
    if estimator.mean_prior is not None:
        location = arguments.numbers("mean_prior", estimator.mean_prior, (n_features,), "one number a feature")
    scale = _covariance_prior(estimator, points, family)
    estimator.weight_concentration_prior_, estimator.mean_precision_prior_ = concentration, strength
    estimator.mean_prior_, estimator.degrees_of_freedom_prior_ = location, dof
    estimator.covariance_prior_ = scale
    means, covariances = ConjugateMeans(tuple(location), strength), WishartPrecision(dof, scale)
    return MixtureModel(estimator.n_components, family.name, kind(concentration), means, covariances)


def _covariance_prior(estimator: Any, points: Points, family: Family) -> Any:
    told = estimator.covariance_prior
    if told is None:
        return arguments.spread(points, family, estimator.reg_covar)
    shape = family.form.squeezed(family.form.identity(points.values.shape[1])).shape
    if not shape:
        return positive("covariance_prior", told)
    return arguments.numbers("covariance_prior", told, shape, f"what one of {family.name!r} covariances has")


def _number(estimator: Any, name: str, default: float) -> float:
    value = getattr(estimator, name)
    return default if value is None else positive(name, value)
