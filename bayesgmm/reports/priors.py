"""Descriptions of a model and of priors of weights and means: one function for each class of priors."""

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.dispatch import by_class
from bayesgmm.model import MixtureModel
from bayesgmm.priors.means import ConjugateMeans, HierarchicalMeans, MeansPrior, NormalMeans
from bayesgmm.priors.scalars import Scalar
from bayesgmm.priors.weights import (
    Dirichlet,
    DirichletProcess,
    FiniteMixture,
    PitmanYor,
    SparseDirichlet,
    StickBreaking,
    WeightsPrior,
)
from bayesgmm.reports.covariance_priors import describe_covariances
from bayesgmm.reports.descriptions import Description, scalar_columns, scalar_formula, scalar_words
from bayesgmm.reports.mathematics import number
from bayesgmm.sweep.stats import Array

SHOWN = 6  # maximum number of concentrations in a formula


def descriptions(model: MixtureModel, n_features: int) -> dict[str, Description]:
    """Describe a resolved declaration: the data, the weights, the means and the covariances.

    Examples
    --------
    >>> from bayesgmm.data.points import as_points
    >>> model = MixtureModel(2, covariance="tied").resolve(as_points([[0.0], [1.0], [5.0]]))
    >>> descriptions(model, 1)["weights"].words
    'All combinations of weights are equally probable.'
    """
    return {
        "data": _with_background(_of_data(model), model),
        "weights": describe_weights(model.weights, model.n_components),
        "means": describe_means(model.means, n_features),
        "covariances": describe_covariances(model.covariances, model.family, n_features),
    }


def _of_data(model: MixtureModel) -> Description:
    covariance = f"Σ{model.family.sharing.subscript}"
    if model.n_components == 1:
        return Description(
            "All points come from one Gaussian.", (f"x_n ∼ Normal(μ_1, {covariance.replace('k', '1')})",)
        )
    count = "K" if model.weights.draws_n_components else str(model.n_components)
    words = f"Each point comes from one of {count} Gaussians; {model.family.words}."
    formulas = f"x_n ∼ ∑_{{k = 1}}^{{{count}}} w_k Normal(μ_k, {covariance})", model.family.formula
    return Description(words, tuple(filter(None, formulas)))


def _with_background(description: Description, model: MixtureModel) -> Description:
    """Add the background of a model to a description of its data, if there is one."""
    if model.background is None:
        return description
    share = model.background.share
    words = (
        f"{description.words} A broad Gaussian in the background has {share:.3g} of the density, so that outliers do "
        "not distort the components. Its mean c and its standard deviation b in each column are fixed."
    )
    mixture = description.formulas[0].removeprefix("x_n ∼ ")
    mixed = f"x_n ∼ {number(1 - share)} {mixture} + {number(share)} Normal(c, b^2)"
    return Description(words, (mixed, *description.formulas[1:]))


def _concentration(value: Scalar | ArrayLike | None) -> tuple[str, str, list[str]]:
    """Return the concentration as a symbol, in words, and the formulas of its own prior."""
    if isinstance(value, Scalar):
        return (
            "α",
            f"The concentration α is estimated; a priori it is {scalar_words(value)}.",
            [f"α ∼ {scalar_formula(value)}"],
        )
    values = np.ravel(np.asarray(value, float))
    if np.ptp(values) == 0:
        return number(values[0]), "", []
    shown = [number(value) for value in values]
    return ", ".join(shown if len(shown) <= SHOWN else [*shown[: SHOWN - 1], "…", shown[-1]]), "", []


@by_class
def describe_weights(prior: WeightsPrior, n_components: int) -> Description:
    """Describe a prior of the weights."""
    raise NotImplementedError


@describe_weights.register
def _dirichlet(prior: Dirichlet, n_components: int) -> Description:
    symbol, words, formulas = _concentration(prior.concentration)
    if not words:
        words = _evenness(np.ravel(np.asarray(prior.concentration, float)))
    return Description(words, (f"(w_1, …, w_{{{n_components}}}) ∼ Dirichlet({symbol})", *formulas))


def _evenness(concentration: Array) -> str:
    if np.ptp(concentration) > 0:
        return "Components with a larger concentration are expected to have a larger weight."
    if concentration[0] == 1:
        return "All combinations of weights are equally probable."
    if concentration[0] < 1:
        return "A few components are expected to have most of the weight."
    return "All components are expected to have similar weights."


@describe_weights.register
def _sparse(prior: SparseDirichlet, n_components: int) -> Description:
    symbol, words, formulas = _concentration(prior.concentration)
    sparse = "The model may have more components than needed: the prior empties those that the data do not support."
    return Description(
        f"{sparse} {words}".strip(), (f"(w_1, …, w_{{{n_components}}}) ∼ Dirichlet({symbol})", *formulas)
    )


def _sticks(stick: str, n_components: int, prior: StickBreaking, words: str) -> Description:
    _, estimated, formulas = _concentration(prior.concentration)
    formula = f"w_k = β_k ∏_{{j < k}} (1 − β_j), β_k ∼ Beta({stick}), k < {n_components}"
    cut = f"It is truncated at {n_components} components; the last has the remaining weight."
    return Description(" ".join(part for part in (words, cut, estimated) if part), (formula, *formulas))


@describe_weights.register
def _dirichlet_process(prior: DirichletProcess, n_components: int) -> Description:
    symbol, _, _ = _concentration(prior.concentration)
    words = "A Dirichlet process: the number of clusters grows with the logarithm of the number of points."
    return _sticks(f"1, {symbol}", n_components, prior, words)


@describe_weights.register
def _pitman_yor(prior: PitmanYor, n_components: int) -> Description:
    symbol, _, _ = _concentration(prior.concentration)
    d = prior.discount
    words = f"A Pitman-Yor process: the number of clusters grows like the number of points to the power {number(d)}."
    return _sticks(f"{number(1 - d)}, {symbol} + {number(d)} k", n_components, prior, words)


@describe_weights.register
def _finite(prior: FiniteMixture, n_components: int) -> Description:
    symbol, estimated, formulas = _concentration(prior.concentration)
    words = f"The number of components K is unknown, and at most {n_components}; given K, the weights are Dirichlet."
    number_of = f"K ∼ {prior.components.formula.format(**dict(prior.components))}, K ≤ {n_components}"
    given = f"{symbol} / K" if prior.dynamic else symbol
    return Description(f"{words} {estimated}".strip(), (number_of, f"(w_1, …, w_K) ∼ Dirichlet({given})", *formulas))


def _located(location: ArrayLike | None, n_features: int) -> tuple[str, dict[str, Array]]:
    """Return a centre for a formula, and its values if there are several columns."""
    values = np.broadcast_to(np.asarray(location, float), (n_features,))
    return (number(values[0]), {}) if n_features == 1 else ("m_j", {"m": values})


def _scaled(scale: ArrayLike | None, n_features: int) -> tuple[str, dict[str, Array]]:
    """Return a scale for a formula, and its values if there are several columns."""
    values = np.broadcast_to(np.asarray(scale, float), (n_features,))
    return (number(values[0]), {}) if n_features == 1 else ("s_j", {"s": values})


@by_class
def describe_means(prior: MeansPrior, n_features: int) -> Description:
    """Describe a prior of the means."""
    raise NotImplementedError


@describe_means.register
def _normal_means(prior: NormalMeans, n_features: int) -> Description:
    (location, centres), (scale, widths) = _located(prior.location, n_features), _scaled(prior.scale, n_features)
    each = "" if n_features == 1 else ", in each column j"
    words = f"The means are normal around m with standard deviation s{each}; the same for every component."
    if n_features == 1:
        words = f"The means are normal around {location} with standard deviation {scale}, the same for every component."
    formulas = (f"μ_{'k' if n_features == 1 else '{k j}'} ∼ Normal({location}, {scale})",)
    return Description(words + _ordered(prior), formulas, centres | widths)


def _ordered(prior: MeansPrior) -> str:
    return " They increase from component to component." if prior.is_ordered else ""


@describe_means.register
def _conjugate_means(prior: ConjugateMeans, n_features: int) -> Description:
    location, centres = _located(prior.location, n_features)
    words = (
        f"The means are normal around {'m' if centres else location}, with a covariance proportional to that of their "
        f"component. The prior counts as {number(prior.strength)} points."
    )
    centre = "m" if centres else location
    return Description(words, (f"μ_k ∼ Normal({centre}, Σ_k / {number(prior.strength)})",), centres)


@describe_means.register
def _hierarchical_means(prior: HierarchicalMeans, n_features: int) -> Description:
    (location, centres), (scale, widths) = _located(prior.location, n_features), _scaled(prior.scale, n_features)
    assert prior.spread is not None
    sub = "" if n_features == 1 else "_j"
    formulas = (
        f"μ_{'k' if n_features == 1 else '{k j}'} ∼ Normal(c{sub}, t{sub})",
        f"c{sub} ∼ Normal({location}, {scale})",
        f"t{sub} ∼ {scalar_formula(prior.spread)}",
    )
    words = (
        "The means are normal around a common centre c with standard deviation t, which are estimated from all "
        f"components; a priori, t is {scalar_words(prior.spread)}."
    )
    return Description(words + _ordered(prior), formulas, centres | widths | scalar_columns(prior.spread))
