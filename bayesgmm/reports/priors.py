"""Every prior in words and in mathematics: one function for each, found by its class."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayesgmm.dispatch import by_class
from bayesgmm.families.diagonals import Diagonals
from bayesgmm.families.forms import Form
from bayesgmm.families.squares import Squares
from bayesgmm.families.structures import Family
from bayesgmm.model import MixtureModel
from bayesgmm.priors.covariances import CovariancesPrior, LKJCovariance, WishartPrecision
from bayesgmm.priors.means import ConjugateMeans, HierarchicalMeans, MeansPrior, NormalMeans
from bayesgmm.priors.scalars import Scalar
from bayesgmm.priors.weights import Dirichlet, DirichletProcess, PitmanYor, SparseDirichlet, StickBreaking, WeightsPrior
from bayesgmm.reports.mathematics import number
from bayesgmm.sweep.stats import Array

FAMILIES = {
    "full": "each component has a covariance of its own: an ellipse of any size, shape and direction",
    "tied": "all components share one covariance: ellipses of the same size, shape and direction",
    "diag": "each component has a variance of its own in each column, and no correlations: ellipses along the axes",
    "spherical": "each component has one variance for all columns: circles",
}
SHOWN = 6  # concentrations that a formula lists
GREEK = {"sigma": "σ", "alpha": "α", "beta": "β", "nu": "ν", "mu": "μ", "lam": "λ"}


@dataclass(frozen=True)
class Saying:
    """Description of a prior.

    Parameters
    ----------
    words : str
        A sentence or two.
    formulas : tuple of str
        As ``mathml`` reads them.
    columns : dict of str to (D,) float
        Numbers that differ from column to column, by their symbol.
    """

    words: str
    formulas: tuple[str, ...]
    columns: dict[str, Array] = field(default_factory=dict)


def sayings(model: MixtureModel, n_features: int) -> dict[str, Saying]:
    """Describe a resolved declaration: the data, the weights, the means and the covariances.

    Examples
    --------
    >>> from bayesgmm.data.points import as_points
    >>> model = MixtureModel(2, covariance="tied").resolve(as_points([[0.0], [1.0], [5.0]]))
    >>> sayings(model, 1)["weights"].words
    'All ways to share out the points among the components are equally likely.'
    """
    return {
        "data": _with_background(_of_data(model), model),
        "weights": say_weights(model.weights, model.n_components),
        "means": say_means(model.means, n_features),
        "covariances": say_covariances(model.covariances, model.family, n_features),
    }


def _of_data(model: MixtureModel) -> Saying:
    covariance = f"Σ{model.family.sharing.subscript}"
    if model.n_components == 1:
        return Saying("All points come from one Gaussian.", (f"x_n ∼ Normal(μ_1, {covariance.replace('k', '1')})",))
    words = f"Each point comes from one of {model.n_components} Gaussians; {FAMILIES[model.covariance]}."
    return Saying(words, (f"x_n ∼ ∑_{{k = 1}}^{{{model.n_components}}} w_k Normal(μ_k, {covariance})",))


def _with_background(saying: Saying, model: MixtureModel) -> Saying:
    """The same with the background that the model declares, if it does; its numbers are in the card."""
    if model.background is None:
        return saying
    share = model.background.share
    words = (
        f"{saying.words} {share:.3g} of the density is left to a broad Gaussian in the background, with a fixed middle "
        "c and a fixed spread b in each column: it takes the outliers, so that they don't bend the components."
    )
    mixture = saying.formulas[0].removeprefix("x_n ∼ ")
    return Saying(words, (f"x_n ∼ {number(1 - share)} {mixture} + {number(share)} Normal(c, b^2)",))


def _is_common(value: Any) -> bool:
    """Return True if a parameter is one number, or the same in every column."""
    return bool(np.ptp(np.ravel(value)) == 0)


def _scalar_formula(prior: Scalar) -> str:
    """The name of a prior of one number, with its parameters: numbers, or symbols where they differ by column."""
    values = [
        number(float(np.ravel(value)[0])) if _is_common(value) else f"{GREEK.get(name, name)}_j"
        for name, value in prior.parameters.items()
    ]
    return f"{type(prior).__name__}({', '.join(values)})"


def _scalar_columns(prior: Scalar) -> dict[str, Array]:
    """Parameters that differ from column to column, by their symbol."""
    return {GREEK.get(n, n): np.asarray(v, float) for n, v in prior.parameters.items() if not _is_common(v)}


def _scalar_words(prior: Scalar) -> str:
    """Describe the central interval of a prior of one number; of the first column if they differ.

    Examples
    --------
    >>> from bayesgmm.priors.scalars import HalfNormal
    >>> _scalar_words(HalfNormal(1.0))
    'between 0.0627 and 1.96 with probability 0.9, and around 0.674'
    """
    lower, middle, upper = (number(float(np.ravel(prior.quantile(p))[0]), 3) for p in (0.05, 0.5, 0.95))
    first = "" if not _scalar_columns(prior) else "in the first column "
    return f"{first}between {lower} and {upper} with probability 0.9, and around {middle}"


def _concentration(told: Any) -> tuple[str, str, list[str]]:
    """The concentration in a formula, in words, and the formulas of its own prior."""
    if isinstance(told, Scalar):
        return (
            "α",
            f"The concentration α is learned; before the data it is {_scalar_words(told)}.",
            [f"α ∼ {_scalar_formula(told)}"],
        )
    values = np.ravel(np.asarray(told, float))
    if np.ptp(values) == 0:
        return number(values[0]), "", []
    shown = [number(value) for value in values]
    return ", ".join(shown if len(shown) <= SHOWN else [*shown[: SHOWN - 1], "…", shown[-1]]), "", []


@by_class
def say_weights(prior: WeightsPrior, n_components: int) -> Saying:
    """Describe a prior of the weights."""
    raise NotImplementedError


@say_weights.register
def _dirichlet(prior: Dirichlet, n_components: int) -> Saying:
    symbol, words, formulas = _concentration(prior.concentration)
    if not words:
        words = _evenness(np.ravel(np.asarray(prior.concentration, float)))
    return Saying(words, (f"(w_1, …, w_{{{n_components}}}) ∼ Dirichlet({symbol})", *formulas))


def _evenness(concentration: Array) -> str:
    if np.ptp(concentration) > 0:
        return "Components with a larger concentration are expected to hold more of the points."
    if concentration[0] == 1:
        return "All ways to share out the points among the components are equally likely."
    if concentration[0] < 1:
        return "A few components are expected to hold most of the points."
    return "Components are expected to hold about as many points as each other."


@say_weights.register
def _sparse(prior: SparseDirichlet, n_components: int) -> Saying:
    symbol, words, formulas = _concentration(prior.concentration)
    sparse = "There are more components than are needed: those that the data do not ask for are emptied."
    return Saying(f"{sparse} {words}".strip(), (f"(w_1, …, w_{{{n_components}}}) ∼ Dirichlet({symbol})", *formulas))


def _sticks(stick: str, n_components: int, told: StickBreaking, words: str) -> Saying:
    _, learned, formulas = _concentration(told.concentration)
    formula = f"w_k = β_k ∏_{{j < k}} (1 − β_j), β_k ∼ Beta({stick}), k < {n_components}"
    cut = f"It is cut off after {n_components} components; the last takes what is left."
    return Saying(" ".join(part for part in (words, cut, learned) if part), (formula, *formulas))


@say_weights.register
def _dirichlet_process(prior: DirichletProcess, n_components: int) -> Saying:
    symbol, _, _ = _concentration(prior.concentration)
    words = "A Dirichlet process: the number of clusters grows with the logarithm of the number of points."
    return _sticks(f"1, {symbol}", n_components, prior, words)


@say_weights.register
def _pitman_yor(prior: PitmanYor, n_components: int) -> Saying:
    symbol, _, _ = _concentration(prior.concentration)
    d = prior.discount
    words = f"A Pitman-Yor process: the number of clusters grows like the number of points to the power {number(d)}."
    return _sticks(f"{number(1 - d)}, {symbol} + {number(d)} k", n_components, prior, words)


def _located(location: Any, n_features: int) -> tuple[str, dict[str, Array]]:
    """A centre in a formula, and its numbers where there are several columns."""
    values = np.broadcast_to(np.asarray(location, float), (n_features,))
    return (number(values[0]), {}) if n_features == 1 else ("m_j", {"m": values})


def _scaled(scale: Any, n_features: int) -> tuple[str, dict[str, Array]]:
    values = np.broadcast_to(np.asarray(scale, float), (n_features,))
    return (number(values[0]), {}) if n_features == 1 else ("s_j", {"s": values})


@by_class
def say_means(prior: MeansPrior, n_features: int) -> Saying:
    """Describe a prior of the means."""
    raise NotImplementedError


@say_means.register
def _normal_means(prior: NormalMeans, n_features: int) -> Saying:
    (location, centres), (scale, widths) = _located(prior.location, n_features), _scaled(prior.scale, n_features)
    each = "" if n_features == 1 else ", in each column j"
    words = f"The means lie around m with standard deviation s{each}; the same for every component."
    if n_features == 1:
        words = f"The means lie around {location} with standard deviation {scale}, the same for every component."
    formulas = (f"μ_{'k' if n_features == 1 else '{k j}'} ∼ Normal({location}, {scale})",)
    return Saying(words + _ordered(prior), formulas, centres | widths)


def _ordered(prior: MeansPrior) -> str:
    return " They increase from component to component." if prior.is_ordered else ""


@say_means.register
def _conjugate_means(prior: ConjugateMeans, n_features: int) -> Saying:
    location, centres = _located(prior.location, n_features)
    words = (
        f"The means lie around {'m' if centres else location}, as far out as their component is wide: wide components "
        f"may lie further out. The prior is worth {number(prior.strength)} points."
    )
    centre = "m" if centres else location
    return Saying(words, (f"μ_k ∼ Normal({centre}, Σ_k / {number(prior.strength)})",), centres)


@say_means.register
def _hierarchical_means(prior: HierarchicalMeans, n_features: int) -> Saying:
    (location, centres), (scale, widths) = _located(prior.location, n_features), _scaled(prior.scale, n_features)
    assert prior.spread is not None
    sub = "" if n_features == 1 else "_j"
    formulas = (
        f"μ_{'k' if n_features == 1 else '{k j}'} ∼ Normal(c{sub}, t{sub})",
        f"c{sub} ∼ Normal({location}, {scale})",
        f"t{sub} ∼ {_scalar_formula(prior.spread)}",
    )
    words = (
        "The means share a centre c and a spread t that are learned from all components; before the data, the spread "
        f"is {_scalar_words(prior.spread)}."
    )
    return Saying(words + _ordered(prior), formulas, centres | widths | _scalar_columns(prior.spread))


@by_class
def say_covariances(prior: CovariancesPrior, family: Family, n_features: int) -> Saying:
    """Describe a prior of the covariances."""
    raise NotImplementedError


def _index(family: Family, n_features: int) -> str:
    """Return the index of a standard deviation: component, column, or both."""
    own = family.sharing.subscript.removeprefix("_").split()
    return " ".join([*own, *([] if family.form.n_scales(n_features) == 1 else ["j"])])


@say_covariances.register
def _wishart(prior: WishartPrecision, family: Family, n_features: int) -> Saying:
    assert prior.dof is not None
    one = family.form.n_scales(n_features) == 1
    scale, columns, learned, told = _wishart_scale(prior.scale, one)
    formula = wishart_formula(family.form, family, n_features, prior.dof, scale)
    typical = _per_column("Components are expected to have standard deviations near", prior.typical_sd())
    words = f"{typical}; the prior is worth about {number(prior.dof)} points of each component."
    return Saying(f"{words}{told}", (formula, *learned), columns)


@by_class
def wishart_formula(form: Form, family: Family, n_features: int, dof: float, scale: str) -> str:
    """Return the formula of Wishart precisions of a form of covariances."""
    raise NotImplementedError


@wishart_formula.register
def _gamma_formula(form: Diagonals, family: Family, n_features: int, dof: float, scale: str) -> str:
    of_column = scale if form.n_scales(n_features) == 1 or not scale.isalpha() else f"{scale}_{{j j}}"
    return f"σ_{{{_index(family, n_features)}}}^{{−2}} ∼ Gamma({number(dof / 2)}, {of_column} / 2)"


@wishart_formula.register
def _matrix_formula(form: Squares, family: Family, n_features: int, dof: float, scale: str) -> str:
    return f"Σ{family.sharing.subscript}^{{−1}} ∼ Wishart({number(dof)}, {scale}^{{−1}})"


def _wishart_scale(scale: Any, one: bool) -> tuple[str, dict[str, Array], tuple[str, ...], str]:
    """A scale in a formula, its numbers where there are several, and what is said of one that is learned."""
    if isinstance(scale, Scalar):
        formula = f"S{'' if one else '_{j j}'} ∼ {_scalar_formula(scale)}"
        words = f" Their scale S is learned; before the data it is {_scalar_words(scale)}."
        return "S", _scalar_columns(scale), (formula,), words
    numbers = np.asarray(scale, float)
    if numbers.size == 1:
        return number(float(numbers.ravel()[0])), {}, (), ""
    return "S", {"diagonal of S": np.diag(numbers) if numbers.ndim == 2 else numbers}, (), ""


def _per_column(before: str, values: Sequence[float] | Array) -> str:
    """A sentence with one number, or with the range of several.

    Examples
    --------
    >>> _per_column("They are near", [1.0, 2.0])
    'They are near 1 to 2 (by column)'
    """
    least, most = number(float(np.min(values)), 3), number(float(np.max(values)), 3)
    return f"{before} {least if least == most else f'{least} to {most} (by column)'}"


@say_covariances.register
def _lkj(prior: LKJCovariance, family: Family, n_features: int) -> Saying:
    assert prior.sd is not None
    sd = f"τ_{{{_index(family, n_features) or 'j'}}} ∼ {_scalar_formula(prior.sd)}"
    words = f"The standard deviation τ of a component is {_scalar_words(prior.sd)}."
    columns = _scalar_columns(prior.sd)
    if family.form.block_size(n_features) == 1:
        return Saying(words, (sd,), columns)
    k = family.sharing.subscript
    formula = f"Σ{k} = diag(τ{k}) R{k} diag(τ{k}), R{k} ∼ LKJ({number(prior.eta)})"
    uniform = "all correlation matrices are equally likely" if prior.eta == 1 else _shrinks(prior.eta)
    return Saying(f"{words} Apart from that, {uniform}.", (formula, sd), columns)


def _shrinks(eta: float) -> str:
    return "correlations are drawn towards 0" if eta > 1 else "strong correlations are expected"
