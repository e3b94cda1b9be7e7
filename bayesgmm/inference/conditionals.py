"""Priors as Gibbs sampling reads them: the kinds of their conditional distributions, where they have one."""

from collections.abc import Callable

import numpy as np

from bayesgmm.dispatch import by_class
from bayesgmm.errors import NotConjugate
from bayesgmm.families.structures import COVARIANCES, chart_of
from bayesgmm.inference.draw_kernels import DIRICHLET, FINITE, STICKS
from bayesgmm.inference.gibbs_state_kernels import CONJUGATE, HIERARCHICAL, NORMAL, Law
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.priors.covariances import (
    CovariancesPrior,
    DecomposedCovariance,
    LKJCovariance,
    MultiplicativeGamma,
    WishartPrecision,
)
from bayesgmm.priors.means import ConjugateMeans, HierarchicalMeans, MeansPrior, NormalMeans
from bayesgmm.priors.weights import Dirichlet, FiniteMixture, SparseDirichlet, StickBreaking, WeightsPrior


@by_class
def weights_kind(prior: WeightsPrior) -> int:
    """Return the kind of the conditional distribution of the weights given counts.

    Raises
    ------
    NotConjugate
        If the prior has none that can be drawn from.
    """
    raise NotImplementedError


@weights_kind.register
def _dirichlet(prior: Dirichlet | SparseDirichlet) -> int:
    return DIRICHLET


@weights_kind.register
def _sticks(prior: StickBreaking) -> int:
    return STICKS


@weights_kind.register
def _finite(prior: FiniteMixture) -> int:
    return FINITE


@by_class
def means_kind(prior: MeansPrior) -> int:
    """Return the kind of the conditional distribution of the means given assignments and precisions.

    Raises
    ------
    NotConjugate
        If the prior has none that can be drawn from.
    """
    raise NotImplementedError


@means_kind.register
def _normal(prior: NormalMeans) -> int:
    return NORMAL


@means_kind.register
def _conjugate(prior: ConjugateMeans) -> int:
    return CONJUGATE


@means_kind.register
def _hierarchical(prior: HierarchicalMeans) -> int:
    return HIERARCHICAL


@by_class
def require_wishart(prior: CovariancesPrior) -> None:
    """Check that covariances can be drawn: that precisions given assignments and means have a Wishart distribution.

    Loadings given the factors, too, have a normal one, and the noise an inverse gamma one.

    Raises
    ------
    NotConjugate
        If they have not.
    """
    raise NotImplementedError


@require_wishart.register
def _wishart(prior: WishartPrecision) -> None:
    return None


@require_wishart.register
def _multiplicative_gamma(prior: MultiplicativeGamma) -> None:
    return None


@require_wishart.register
def _lkj(prior: LKJCovariance) -> None:
    raise NotConjugate("LKJCovariance", "covariances=WishartPrecision(...)")


@require_wishart.register
def _decomposed(prior: DecomposedCovariance) -> None:
    raise NotConjugate("DecomposedCovariance", "covariance='full' with covariances=WishartPrecision(...)")


def exchangeable(prior: WeightsPrior) -> bool:
    """Return True if the weights have the same distribution in any order.

    Examples
    --------
    >>> exchangeable(Dirichlet(1.0)), exchangeable(Dirichlet((1.0, 2.0)))
    (True, False)
    """
    given = prior.concentration
    return weights_kind(prior) == DIRICHLET and not (isinstance(given, tuple) and len(set(given)) > 1)


def _require_exchangeable(model: MixtureModel) -> None:
    """Check that ordering the means is a relabelling, which leaves the distribution of the weights as it is."""
    if model.means.is_ordered and not exchangeable(model.weights):
        raise NotConjugate(
            f"ordered means with {type(model.weights).__name__}",
            "weights=Dirichlet(1.0), or means without ordered=True",
        )


def without_drawn_structure(model: MixtureModel) -> dict[str, str]:
    """Return the covariance structure if Gibbs sampling can't draw it, with alternatives."""
    if model.family.has_conditionals:
        return {}
    names = (repr(name) for name, family in COVARIANCES.items() if family.has_conditionals)
    return {f"covariance={model.covariance!r}": f"covariance={' or '.join(names)}"}


def _require_fixed_number_of_factors(model: MixtureModel) -> None:
    """Check that factor analysers have a fixed number of components."""
    if model.weights.draws_n_components and not model.family.is_conjugate:
        raise NotConjugate(
            f"{type(model.weights).__name__} with factor analysers", "weights=SparseDirichlet(), or covariance='full'"
        )


def without_conditionals(model: MixtureModel) -> dict[str, str]:
    """Return the parts of a declaration that Gibbs sampling can't draw, each with an alternative.

    Examples
    --------
    >>> without_conditionals(MixtureModel(2, covariances=LKJCovariance()))
    {'LKJCovariance': 'covariances=WishartPrecision(...)'}
    """
    refused = without_drawn_structure(model)
    required: list[Callable[[], object]] = [
        lambda: weights_kind(model.weights),
        lambda: means_kind(model.means),
        *([lambda: require_wishart(model.covariances)] if model.family.is_conjugate else []),
        lambda: _require_exchangeable(model),
        lambda: _require_fixed_number_of_factors(model),
    ]
    for require in required:
        try:
            require()
        except NotConjugate as error:
            refused[error.what] = error.instead
    return refused


def law_of(density: LogPosterior) -> Law:
    """Return the priors of a log posterior as compiled code reads them.

    Raises
    ------
    NotConjugate
        If some prior has no conditional distribution that can be drawn from.
    """
    model, standard = density.model, density.standard
    k, d = density.n_components, density.n_features
    for what, instead in without_conditionals(model).items():
        raise NotConjugate(what, instead)
    params = (
        model.weights.params(k),
        model.means.params(standard),
        model.covariances.params(standard, model.family),
    )
    return Law(
        k,
        d,
        chart_of(model.family).plan(k, d)["chart"],
        model.family.sharing.count(k),
        weights_kind(model.weights),
        exchangeable(model.weights) or density.blocks.labels is not None,  # if True, no labels are exchanged
        model.weights.n_extra,
        means_kind(model.means),
        model.means.n_extra,
        model.covariances.n_extra,
        *(np.ascontiguousarray(values) for values in params),
    )
