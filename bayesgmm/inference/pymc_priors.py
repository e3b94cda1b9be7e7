"""Priors of weights, means and covariances as PyMC variables."""

import numpy as np
import pymc as pm
from pytensor.tensor.variable import TensorVariable

from bayesgmm.data.standards import Standard
from bayesgmm.dispatch import by_class
from bayesgmm.errors import DeclarationError
from bayesgmm.families.family import Family
from bayesgmm.inference.decomposed_distributions import decomposed_covariances, decomposed_values
from bayesgmm.inference.factor_distributions import factor_covariances, factor_values
from bayesgmm.inference.prior_distributions import (
    Tensor,
    conjugate_normal,
    inverse_wishart,
    lkj_covariance,
    ordered_normal,
    stick_breaking,
    with_covariance,
)
from bayesgmm.inference.pymc_scalars import pymc_scalar
from bayesgmm.priors.covariances import (
    CovariancesPrior,
    DecomposedCovariance,
    LKJCovariance,
    MultiplicativeGamma,
    WishartPrecision,
)
from bayesgmm.priors.decomposed_covariances import chart_of_parts
from bayesgmm.priors.means import ConjugateMeans, HierarchicalMeans, MeansPrior, NormalMeans
from bayesgmm.priors.multiplicative_gamma import factor_chart_of
from bayesgmm.priors.scalars import Scalar
from bayesgmm.priors.weights import Dirichlet, FiniteMixture, SparseDirichlet, StickBreaking, WeightsPrior
from bayesgmm.pymc_ops.distributions import Affine, Logits, OrderedAffine
from bayesgmm.sweep.stats import Array


def pymc_weights(prior: WeightsPrior, n_components: int) -> TensorVariable:
    """Add a resolved prior to the current PyMC model; return ``weight`` [component]."""
    given = prior.concentration
    concentration = pymc_scalar(given, "concentration", 1.0) if isinstance(given, Scalar) else given
    if n_components == 1:  # no simplex to move on
        return pm.Deterministic("weight", pm.math.ones(1), dims="component")
    return weights_given(prior, concentration, n_components)


@by_class
def weights_given(prior: WeightsPrior, concentration: Tensor, n_components: int) -> TensorVariable:
    """Add ``weight`` [component] to the current PyMC model, given one concentration or one for each component."""
    raise NotImplementedError


@weights_given.register
def _dirichlet(prior: Dirichlet | SparseDirichlet, concentration: Tensor, n_components: int) -> TensorVariable:
    each = concentration * np.ones(n_components)
    return pm.Dirichlet("weight", each, dims="component", default_transform=Logits())


@weights_given.register
def _stick_breaking(prior: StickBreaking, concentration: Tensor, n_components: int) -> TensorVariable:
    return stick_breaking("weight", concentration, prior.stick_discount, n_components)


@weights_given.register
def _finite(prior: FiniteMixture, concentration: Tensor, n_components: int) -> TensorVariable:
    raise DeclarationError(
        "a PyMC model has a fixed number of components, so it can't take FiniteMixture.\n  Use method='gibbs', or "
        "declare weights=SparseDirichlet()."
    )


@by_class
def pymc_means(prior: MeansPrior, standard: Standard, n_components: int, covariance: TensorVariable) -> TensorVariable:
    """Add a resolved prior to the current PyMC model; return ``mean`` [component, feature]."""
    raise NotImplementedError


@pymc_means.register
def _normal_means(
    prior: NormalMeans, standard: Standard, n_components: int, covariance: TensorVariable
) -> TensorVariable:
    return _normal(prior, standard, n_components, np.asarray(prior.location), np.asarray(prior.scale))


@pymc_means.register
def _conjugate_means(
    prior: ConjugateMeans, standard: Standard, n_components: int, covariance: TensorVariable
) -> TensorVariable:
    transform = Affine(standard.shift, standard.scale, ndim_supp=1)
    return conjugate_normal("mean", np.asarray(prior.location), covariance, prior.strength, transform)


@pymc_means.register
def _hierarchical_means(
    prior: HierarchicalMeans, standard: Standard, n_components: int, covariance: TensorVariable
) -> TensorVariable:
    location, scale = np.asarray(prior.location), np.asarray(prior.scale)
    transform = Affine(standard.shift, standard.scale)
    centre = pm.Normal("mean_centre", location, scale, dims="feature", default_transform=transform)
    spread = pymc_scalar(prior.resolved_spread, "mean_spread", 1.0, standard.scale, ("feature",))
    return _normal(prior, standard, n_components, centre, spread)


def _normal(prior: MeansPrior, standard: Standard, n_components: int, mu: Tensor, sigma: Tensor) -> TensorVariable:
    """Independent normal means, in increasing order where the prior asks for it."""
    if prior.is_ordered:
        return ordered_normal("mean", mu, sigma, OrderedAffine(standard.shift, standard.scale), n_components)
    transform = Affine(standard.shift, standard.scale)
    return pm.Normal("mean", mu, sigma, dims=("component", "feature"), default_transform=transform)


def pymc_covariances(prior: CovariancesPrior, family: Family, standard: Standard, n_components: int) -> TensorVariable:
    """Add a resolved prior to the current PyMC model; return ``covariance`` [component, feature, feature_bis]."""
    return with_covariance(family_covariances(prior, family, standard, n_components), family, n_components)


@by_class
def family_covariances(
    prior: CovariancesPrior, family: Family, standard: Standard, n_components: int
) -> TensorVariable:
    """Add the family's own covariances (``family.dims``) to the current PyMC model."""
    raise NotImplementedError


@family_covariances.register
def _wishart(prior: WishartPrecision, family: Family, standard: Standard, n_components: int) -> TensorVariable:
    if isinstance(prior.scale, Scalar):
        unit = family.form.pooled(standard.scale**2)
        scale = pymc_scalar(prior.scale, "covariance_scale", 1.0, unit, family.form.scale_axes)
    else:
        scale = np.asarray(prior.scale)
    return inverse_wishart(family.form, family, prior.resolved_dof, scale, standard.scale)


@family_covariances.register
def _lkj(prior: LKJCovariance, family: Family, standard: Standard, n_components: int) -> TensorVariable:
    return lkj_covariance(family.form, family, prior.eta, prior.resolved_sd, standard.scale)


@family_covariances.register
def _decomposed(prior: DecomposedCovariance, family: Family, standard: Standard, n_components: int) -> TensorVariable:
    return decomposed_covariances(prior, chart_of_parts(family), standard, n_components)


@family_covariances.register
def _factors(prior: MultiplicativeGamma, family: Family, standard: Standard, n_components: int) -> TensorVariable:
    return factor_covariances(prior, factor_chart_of(family), standard, n_components)


@by_class
def covariance_values(prior: CovariancesPrior, covariance: Array, family: Family) -> dict[str, Array]:
    """Return the value of the free variable that ``family_covariances`` adds, by its name, at covariances (K, D, D)."""
    raise NotImplementedError


@covariance_values.register
def _wishart_values(prior: WishartPrecision, covariance: Array, family: Family) -> dict[str, Array]:
    return {family.variable: family.squeezed(family.cores(covariance))}


@covariance_values.register
def _lkj_values(prior: LKJCovariance, covariance: Array, family: Family) -> dict[str, Array]:
    name, core = family.form.by_sd(family.variable, family.cores(covariance))
    return {name: family.squeezed(core)}


@covariance_values.register
def _decomposed_values(prior: DecomposedCovariance, covariance: Array, family: Family) -> dict[str, Array]:
    return decomposed_values(prior, chart_of_parts(family), covariance)


@covariance_values.register
def _factor_values(prior: MultiplicativeGamma, covariance: Array, family: Family) -> dict[str, Array]:
    return factor_values(prior, covariance, family)
