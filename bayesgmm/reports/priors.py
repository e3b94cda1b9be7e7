"""Descriptions of the priors in words and formulas: one function for each class of priors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.dispatch import by_class
from bayesgmm.families.diagonals import Diagonals
from bayesgmm.families.family import Family
from bayesgmm.families.forms import Form
from bayesgmm.families.squares import Squares
from bayesgmm.model import MixtureModel
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
from bayesgmm.priors.shapes import draw_shapes
from bayesgmm.priors.weights import (
    Dirichlet,
    DirichletProcess,
    FiniteMixture,
    PitmanYor,
    SparseDirichlet,
    StickBreaking,
    WeightsPrior,
)
from bayesgmm.reports.mathematics import number
from bayesgmm.sweep.stats import Array

SHOWN = 6  # maximum number of concentrations in a formula
GREEK = {"sigma": "σ", "alpha": "α", "beta": "β", "nu": "ν", "mu": "μ", "lam": "λ"}


@dataclass(frozen=True)
class Description:
    """Description of a part of the model: the data, or a prior.

    Parameters
    ----------
    words : str
        One or two sentences.
    formulas : tuple of str
        Formulas in the notation of ``mathml``.
    columns : dict of str to (D,) float
        Parameters that differ by column, by their symbol.
    """

    words: str
    formulas: tuple[str, ...]
    columns: dict[str, Array] = field(default_factory=dict)


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


def _is_common(value: ArrayLike) -> bool:
    """Return True if a parameter is one number, or the same in all columns."""
    return bool(np.ptp(np.ravel(value)) == 0)


def _scalar_formula(prior: Scalar) -> str:
    """Return the name of a scalar prior with its parameters: numbers, or symbols if they differ by column."""
    values = [
        number(float(np.ravel(value)[0])) if _is_common(value) else f"{GREEK.get(name, name)}_j"
        for name, value in prior.parameters.items()
    ]
    return f"{type(prior).__name__}({', '.join(values)})"


def _scalar_columns(prior: Scalar) -> dict[str, Array]:
    """Return the parameters that differ by column, by their symbol."""
    return {GREEK.get(n, n): np.asarray(v, float) for n, v in prior.parameters.items() if not _is_common(v)}


def _scalar_words(prior: Scalar) -> str:
    """Describe the central 90 % interval and the median of a scalar prior; of the first column if they differ.

    Examples
    --------
    >>> from bayesgmm.priors.scalars import HalfNormal
    >>> _scalar_words(HalfNormal(1.0))
    'between 0.0627 and 1.96 with probability 0.9, with median 0.674'
    """
    lower, middle, upper = (number(float(np.ravel(prior.quantile(p))[0]), 3) for p in (0.05, 0.5, 0.95))
    first = "" if not _scalar_columns(prior) else "in the first column "
    return f"{first}between {lower} and {upper} with probability 0.9, with median {middle}"


def _concentration(value: Scalar | ArrayLike | None) -> tuple[str, str, list[str]]:
    """Return the concentration as a symbol, in words, and the formulas of its own prior."""
    if isinstance(value, Scalar):
        return (
            "α",
            f"The concentration α is estimated; a priori it is {_scalar_words(value)}.",
            [f"α ∼ {_scalar_formula(value)}"],
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
        f"t{sub} ∼ {_scalar_formula(prior.spread)}",
    )
    words = (
        "The means are normal around a common centre c with standard deviation t, which are estimated from all "
        f"components; a priori, t is {_scalar_words(prior.spread)}."
    )
    return Description(words + _ordered(prior), formulas, centres | widths | _scalar_columns(prior.spread))


@by_class
def describe_covariances(prior: CovariancesPrior, family: Family, n_features: int) -> Description:
    """Describe a prior of the covariances."""
    raise NotImplementedError


def _index(family: Family, n_features: int) -> str:
    """Return the index of a standard deviation: component, column, or both."""
    own = family.sharing.subscript.removeprefix("_").split()
    return " ".join([*own, *([] if family.form.n_scales(n_features) == 1 else ["j"])])


@describe_covariances.register
def _wishart(prior: WishartPrecision, family: Family, n_features: int) -> Description:
    assert prior.dof is not None
    one = family.form.n_scales(n_features) == 1
    scale, columns, formulas, of_scale = _wishart_scale(prior.scale, one)
    formula = wishart_formula(family.form, family, n_features, prior.dof, scale)
    typical = _per_column("Within a component, the prior expects standard deviations near", prior.typical_sd())
    words = f"{typical}. It counts as about {number(prior.dof)} points per component."
    return Description(f"{words}{of_scale}", (formula, *formulas), columns)


@by_class
def wishart_formula(form: Form, family: Family, n_features: int, dof: float, scale: str) -> str:
    """Return the formula of Wishart precisions of a form of covariances."""
    raise NotImplementedError


@wishart_formula.register
def _gamma_formula(form: Diagonals, family: Family, n_features: int, dof: float, scale: str) -> str:
    of_column = scale if form.n_scales(n_features) == 1 or not scale.isalpha() else f"{scale}_{{j j}}"
    index = _index(family, n_features)
    return f"σ{f'_{{{index}}}' if index else ''}^{{−2}} ∼ Gamma({number(dof / 2)}, {of_column} / 2)"


@wishart_formula.register
def _matrix_formula(form: Squares, family: Family, n_features: int, dof: float, scale: str) -> str:
    return f"Σ{family.sharing.subscript}^{{−1}} ∼ Wishart({number(dof)}, {scale}^{{−1}})"


def _wishart_scale(scale: Scalar | ArrayLike | None, one: bool) -> tuple[str, dict[str, Array], tuple[str, ...], str]:
    """Return a scale for a formula, its values if there are several, and formulas and words if it is estimated."""
    if isinstance(scale, Scalar):
        formula = f"S{'' if one else '_{j j}'} ∼ {_scalar_formula(scale)}"
        words = f" The scale S is estimated; a priori it is {_scalar_words(scale)}."
        return "S", _scalar_columns(scale), (formula,), words
    numbers = np.asarray(scale, float)
    if numbers.size == 1:
        return number(float(numbers.ravel()[0])), {}, (), ""
    return "S", {"diagonal of S": np.diag(numbers) if numbers.ndim == 2 else numbers}, (), ""


def _per_column(before: str, values: Sequence[float] | Array) -> str:
    """Complete a sentence with one number, or with the range of several.

    Examples
    --------
    >>> _per_column("They are near", [1.0, 2.0])
    'They are near 1 to 2 (by column)'
    """
    least, most = number(float(np.min(values)), 3), number(float(np.max(values)), 3)
    return f"{before} {least if least == most else f'{least} to {most} (by column)'}"


@describe_covariances.register
def _lkj(prior: LKJCovariance, family: Family, n_features: int) -> Description:
    assert prior.sd is not None
    sd = f"τ_{{{_index(family, n_features) or 'j'}}} ∼ {_scalar_formula(prior.sd)}"
    words = f"The standard deviation τ of a component is, a priori, {_scalar_words(prior.sd)}."
    columns = _scalar_columns(prior.sd)
    if family.form.block_size(n_features) == 1:
        return Description(words, (sd,), columns)
    k = family.sharing.subscript
    formula = f"Σ{k} = diag(τ{k}) R{k} diag(τ{k}), R{k} ∼ LKJ({number(prior.eta)})"
    return Description(f"{words} {_correlation_words(prior.eta)}", (formula, sd), columns)


def _correlation_words(eta: float) -> str:
    if eta == 1:
        return "All correlation matrices are equally probable."
    return "Correlations are shrunk towards 0." if eta > 1 else "Strong correlations are expected."


@describe_covariances.register
def _decomposed(prior: DecomposedCovariance, family: Family, n_features: int) -> Description:
    chart = chart_of_parts(family)
    volume, shape, axes = (
        f"{s}{'_k' if letter == 'V' else ''}" for s, letter in zip("λAD", chart.letters, strict=True)
    )
    formulas = [f"{volume}^{{1 / 2}} ∼ {_scalar_formula(prior.resolved_sd)}"]
    words = (
        "The volume λ is the square of the geometric mean of the standard deviations of a component along its axes; "
        f"this mean is, a priori, {_scalar_words(prior.resolved_sd)}."
    )
    if n_features == 1:
        return Description(words, tuple(formulas))
    pairs = "∏_{i < j} |a_i − a_j| " if chart.ordered else ""
    formulas.append(f"log {shape} = 2 diag(a), p(a) ∝ {pairs}exp(−{number(0.5 / prior.shape**2)} |a|^2)")
    lower, upper = (number(ratio, 3) for ratio in _ratios_of_axes(prior, chart.ordered, n_features))
    words = (
        f"{words} The largest standard deviation along an axis is {lower} to {upper} times the smallest one, with "
        "probability 0.9."
    )
    if chart.letters[2] != "I":
        formulas.append(f"{axes} ∼ Uniform(rotations)")
        words = f"{words} All directions of the axes are equally probable."
    ratios = prior.ratios()
    if np.ptp(ratios) > 0:
        return Description(f"{words} All this holds for columns divided by a scale c.", tuple(formulas), {"c": ratios})
    return Description(words, tuple(formulas))


def _ratios_of_axes(prior: DecomposedCovariance, ordered: bool, n_features: int) -> Array:
    """Return quantiles of the ratio of the largest to the smallest standard deviation along an axis, by 4,000 draws."""
    drawn = draw_shapes(np.random.default_rng(0), prior.shape, (4000,), n_features, ordered)
    return np.exp(np.quantile(np.ptp(drawn, axis=1), [0.05, 0.95]))


@describe_covariances.register
def _multiplicative_gamma(prior: MultiplicativeGamma, family: Family, n_features: int) -> Description:
    chart = factor_chart_of(family)
    own, by_column = chart.restriction, chart.shapes(1, n_features)[1][1] > 1
    loading = f"λ_{{{'' if own.ties_loadings else 'k '}j h}}"
    noise = "".join((" k" * (not own.ties_noise), " j" * by_column)).strip()
    shapes = prior.shapes
    same = shapes.size > 1 and np.ptp(shapes[1:]) == 0
    later = [f"δ_h ∼ Gamma({number(shapes[1])}, 1) for h > 1"] if same else []
    each = [] if same else [f"δ_{h} ∼ Gamma({number(a)}, 1)" for h, a in enumerate(shapes[1:], 2)]
    formulas = (
        f"{loading} ∼ t_{{{number(prior.df)}}}(0, s_j / τ_h^{{1 / 2}}), τ_h = ∏_{{l ≤ h}} δ_l",
        f"δ_1 ∼ Gamma({number(shapes[0])}, 1)",
        *later,
        *each,
        f"ψ{f'_{{{noise}}}' if noise else ''} ∼ {_scalar_formula(prior.resolved_noise)}",
    )
    words = (
        "The scale of the loadings is estimated for each factor, and expected to decrease from factor to factor: "
        "factors that are not needed have loadings close to zero. The variance of the noise is, a priori, "
        f"{_scalar_words(prior.resolved_noise)}."
    )
    return Description(words, formulas, {"s": np.asarray(prior.scale), **_scalar_columns(prior.resolved_noise)})
