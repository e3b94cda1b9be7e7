"""Descriptions of priors of covariances: one function for each class of priors."""

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.dispatch import by_class
from bayesgmm.families.diagonals import Diagonals
from bayesgmm.families.family import Family
from bayesgmm.families.forms import Form
from bayesgmm.families.squares import Squares
from bayesgmm.priors.covariances import (
    CovariancesPrior,
    DecomposedCovariance,
    LKJCovariance,
    MultiplicativeGamma,
    WishartPrecision,
)
from bayesgmm.priors.decomposed_covariances import chart_of_parts
from bayesgmm.priors.multiplicative_gamma import factor_chart_of
from bayesgmm.priors.scalars import Scalar
from bayesgmm.priors.shapes import draw_shapes
from bayesgmm.reports.descriptions import Description, per_column, scalar_columns, scalar_formula, scalar_words
from bayesgmm.reports.mathematics import number
from bayesgmm.sweep.stats import Array


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
    typical = per_column("Within a component, the prior expects standard deviations near", prior.typical_sd())
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
        formula = f"S{'' if one else '_{j j}'} ∼ {scalar_formula(scale)}"
        words = f" The scale S is estimated; a priori it is {scalar_words(scale)}."
        return "S", scalar_columns(scale), (formula,), words
    numbers = np.asarray(scale, float)
    if numbers.size == 1:
        return number(float(numbers.ravel()[0])), {}, (), ""
    return "S", {"diagonal of S": np.diag(numbers) if numbers.ndim == 2 else numbers}, (), ""


@describe_covariances.register
def _lkj(prior: LKJCovariance, family: Family, n_features: int) -> Description:
    assert prior.sd is not None
    sd = f"τ_{{{_index(family, n_features) or 'j'}}} ∼ {scalar_formula(prior.sd)}"
    words = f"The standard deviation τ of a component is, a priori, {scalar_words(prior.sd)}."
    columns = scalar_columns(prior.sd)
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
    formulas = [f"{volume}^{{1 / 2}} ∼ {scalar_formula(prior.resolved_sd)}"]
    words = (
        "The volume λ is the square of the geometric mean of the standard deviations of a component along its axes; "
        f"this mean is, a priori, {scalar_words(prior.resolved_sd)}."
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
        f"ψ{f'_{{{noise}}}' if noise else ''} ∼ {scalar_formula(prior.resolved_noise)}",
    )
    words = (
        "The scale of the loadings is estimated for each factor, and expected to decrease from factor to factor: "
        "factors that are not needed have loadings close to zero. The variance of the noise is, a priori, "
        f"{scalar_words(prior.resolved_noise)}."
    )
    return Description(words, formulas, {"s": np.asarray(prior.scale), **scalar_columns(prior.resolved_noise)})
