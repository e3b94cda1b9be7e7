r"""Covariance families: a structure, which restricts the covariances, and a chart, which gives them coordinates.

A structure defines how covariances are shared (``sharing``), their form (``forms``) and further restrictions. EM needs
only the structure. Engines that work in unconstrained coordinates also need a chart (``charts``). A family may have no
chart; these engines then refuse it by name.

A family stores its covariances and roots in *core shape*: one per component or one for all, each a matrix, a diagonal
or a number. ``expand`` converts roots to the form that a table of components needs.

In the names of [1]_ a covariance is :math:`\Sigma_k = \lambda_k D_k A_k D_k^\top`: volume, orientation, shape. Three
letters say for volume, shape and orientation whether each is free (V), equal for all components (E), or the identity
(I). The families here have free numbers of their own; ``decompositions`` has the others.

References
----------
.. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.
.. [2] Fraley & Raftery (2002), J. Am. Stat. Assoc. 97(458), 611-631.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bayesgmm.errors import DeclarationError, choose
from bayesgmm.families import decompositions
from bayesgmm.families.charts import Chart, Logarithms, RootChart, Triangles
from bayesgmm.families.diagonals import Diagonals, Multiples
from bayesgmm.families.factors import FactorAnalysers
from bayesgmm.families.family import Family
from bayesgmm.families.sharing import OneEach, OneForAll
from bayesgmm.families.squares import Squares


@dataclass(frozen=True)
class Full(Family):
    r"""Each component has its own covariance: any volume, shape and orientation (VVV in [1]_).

    .. math:: \Sigma_k, \qquad K D (D + 1) / 2 \text{ free parameters}

    References
    ----------
    .. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> Full().size(n_components=3, n_features=2)
    9
    """

    name: ClassVar = "full"
    mclust: ClassVar = "VVV"
    words: ClassVar = "each component has its own covariance matrix: an ellipse of any size, shape and direction"
    sharing: ClassVar = OneEach()
    form: ClassVar = Squares()
    chart: ClassVar = Triangles(OneEach())


@dataclass(frozen=True)
class Tied(Family):
    r"""One covariance for all components: equal volume, shape and orientation (EEE in [1]_).

    .. math:: \Sigma_k = \Sigma, \qquad D (D + 1) / 2 \text{ free parameters}

    References
    ----------
    .. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> Tied().size(n_components=3, n_features=2)
    3
    """

    name: ClassVar = "tied"
    mclust: ClassVar = "EEE"
    words: ClassVar = "all components share one covariance matrix: ellipses of the same size, shape and direction"
    sharing: ClassVar = OneForAll()
    form: ClassVar = Squares()
    chart: ClassVar = Triangles(OneForAll())


@dataclass(frozen=True)
class Diagonal(Family):
    r"""Each component has its own variance in each column, and no correlations (VVI in [1]_).

    .. math:: \Sigma_k = \mathrm{diag}(\sigma_{k1}^2, \dots, \sigma_{kD}^2), \qquad K D \text{ free parameters}

    References
    ----------
    .. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> Diagonal().size(n_components=3, n_features=2)
    6
    """

    name: ClassVar = "diag"
    mclust: ClassVar = "VVI"
    words: ClassVar = "each component has its own variance in each column and no correlations: ellipses along the axes"
    sharing: ClassVar = OneEach()
    form: ClassVar = Diagonals()
    chart: ClassVar = Logarithms(OneEach(), Diagonals())


@dataclass(frozen=True)
class Spherical(Family):
    r"""A variance for each component, the same in all columns: only the volume varies (VII in [1]_).

    .. math:: \Sigma_k = \sigma_k^2 I, \qquad K \text{ free parameters}

    References
    ----------
    .. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> Spherical().size(n_components=3, n_features=2)
    3
    """

    name: ClassVar = "spherical"
    mclust: ClassVar = "VII"
    words: ClassVar = "each component has its own variance, the same in all columns: circles"
    sharing: ClassVar = OneEach()
    form: ClassVar = Multiples()
    chart: ClassVar = Logarithms(OneEach(), Multiples())
    needs_common_scale: ClassVar = True


@dataclass(frozen=True)
class TiedDiagonal(Family):
    r"""One diagonal covariance for all components: equal volume and shape, along the axes (EEI in [1]_).

    .. math:: \Sigma_k = \mathrm{diag}(\sigma_1^2, \dots, \sigma_D^2), \qquad D \text{ free parameters}

    References
    ----------
    .. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> TiedDiagonal().size(n_components=3, n_features=2)
    2
    """

    name: ClassVar = "EEI"
    mclust: ClassVar = "EEI"
    words: ClassVar = (
        "all components have the same variance in each column and no correlations: equal ellipses along the axes"
    )
    sharing: ClassVar = OneForAll()
    form: ClassVar = Diagonals()
    chart: ClassVar = Logarithms(OneForAll(), Diagonals())


@dataclass(frozen=True)
class TiedSpherical(Family):
    r"""One variance for all components and columns: the model behind k-means (EII in [1]_).

    .. math:: \Sigma_k = \sigma^2 I, \qquad 1 \text{ free parameter}

    References
    ----------
    .. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> TiedSpherical().size(n_components=3, n_features=2)
    1
    """

    name: ClassVar = "EII"
    mclust: ClassVar = "EII"
    words: ClassVar = "all components have one variance, the same in all columns: equal circles"
    sharing: ClassVar = OneForAll()
    form: ClassVar = Multiples()
    chart: ClassVar = Logarithms(OneForAll(), Multiples())
    needs_common_scale: ClassVar = True


FAMILIES = (Full(), Tied(), Diagonal(), Spherical(), TiedSpherical(), TiedDiagonal(), *decompositions.FAMILIES)
COVARIANCES: dict[str, Family] = {family.name: family for family in FAMILIES}
SPELLED = {"factors:2": FactorAnalysers(2)}  # an example of these names, for messages
ALL = "all"  # in place of a list of families: each of them


def family_named(name: object, argument: str = "covariance") -> Family:
    """Return the family of a name: scikit-learn's word, mclust's three letters, or 'factors:q'; or ``FactorAnalysers``.

    Raises
    ------
    UnknownName
        When there is none.

    Examples
    --------
    >>> family_named("VVV").name, family_named("EEV").name, family_named(FactorAnalysers(2)).name
    ('full', 'EEV', 'factors:2')
    """
    return FactorAnalysers.named(name) or choose(name, families_by_name() | SPELLED, argument)


def families_by_name() -> dict[str, Family]:
    """Return the families by all of their names."""
    return COVARIANCES | {family.mclust: family for family in COVARIANCES.values() if family.mclust}


type Named = str | FactorAnalysers
"""Covariance family, by name or as a value."""


def families_named(covariance: Named | Sequence[Named], argument: str = "covariance", every: str = ALL) -> list[str]:
    """Return the names of the families to try, each once, by the names of ``family_named``, or all of them.

    Parameters
    ----------
    covariance : str, FactorAnalysers, or a sequence of them
    argument : str
        Name of the argument, for an error message.
    every : str
        Name of all families.

    Raises
    ------
    UnknownName
        When there is no such family.
    DeclarationError
        When there is none.

    Examples
    --------
    >>> families_named(["VVV", "full", "diag"])
    ['full', 'diag']
    >>> len(families_named("all")), families_named(["factors:1", FactorAnalysers(2)])
    (14, ['factors:1', 'factors:2'])
    """
    names = [covariance] if isinstance(covariance, str | FactorAnalysers) else [*covariance]
    if not names:
        raise DeclarationError(f"{argument}=(): give at least one family, for example 'full'")
    known = {every: [*COVARIANCES], **{name: [family.name] for name, family in (families_by_name() | SPELLED).items()}}
    found = ([own.name] if (own := FactorAnalysers.named(name)) else choose(name, known, argument) for name in names)
    return [*dict.fromkeys(one for some in found for one in some)]


def distinct_families(names: Sequence[str], n_components: int, n_features: int) -> dict[str, str]:
    """Return for each family the first one of the list that is the same model of K components and D features.

    Examples
    --------
    >>> distinct_families(["full", "tied", "EII"], n_components=1, n_features=2)
    {'full': 'full', 'tied': 'full', 'EII': 'EII'}
    """
    signature = {name: family_named(name).signature(n_components, n_features) for name in names}
    first = {signature[name]: name for name in reversed(names)}
    return {name: first[signature[name]] for name in names}


def without_chart(family: Family) -> dict[str, str]:
    """Return the part of a family that has no unconstrained coordinates, with an alternative to declare.

    Empty if the family has a chart, as those of this module do.

    Examples
    --------
    >>> without_chart(COVARIANCES["tied"])
    {}
    """
    if family.chart is not None:
        return {}
    charted = (repr(name) for name, other in COVARIANCES.items() if other.chart is not None)
    return {f"covariance={family.name!r}": f"covariance={' or '.join(charted)}"}


def chart_of(family: Family) -> Chart:
    """Return the chart of a family.

    Raises
    ------
    DeclarationError
        When it has none.
    """
    if family.chart is None:
        what, instead = next(iter(without_chart(family).items()))
        raise DeclarationError(
            f"{what} has no unconstrained coordinates and no prior: only method='em' can fit it, without standard "
            f"errors\n  For more, declare {instead}."
        )
    return family.chart


def root_chart_of(family: Family) -> RootChart:
    """Return the chart of a family without restrictions beside the form of its covariances.

    Raises
    ------
    DeclarationError
        When it has no chart.
    """
    chart = chart_of(family)
    assert isinstance(chart, RootChart), "callers ask for families without further restrictions"
    return chart
