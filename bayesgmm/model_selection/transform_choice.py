"""Choosing the transform of each column by BIC, together with the number of components of the column's mixture."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import DataLike, Points, as_points
from bayesgmm.errors import ComponentError, DataError, choose
from bayesgmm.families.structures import families_named, family_named
from bayesgmm.inference.em import short_runs
from bayesgmm.inference.em_steps import Sweep
from bayesgmm.keywords import checks_keywords
from bayesgmm.posterior.criteria import n_parameters
from bayesgmm.screening.lattices import lattice_of
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array
from bayesgmm.transforms.columns import ColumnTransforms
from bayesgmm.transforms.curves import Curve
from bayesgmm.transforms.estimates import candidates

if TYPE_CHECKING:
    import pandas as pd

MAX_COMPONENTS = 5  # of the mixture of one column
MAX_ROWS = 2_000  # a sample of them is enough to choose
MIN_ROWS = 50  # with fewer, no transform is chosen
MIN_GAIN = 10.0  # in BIC, for which a column is transformed: very strong evidence (Kass & Raftery 1995)
N_INIT = 3
FEW = 0.01  # share of the values that may be left out at each end: those that are far from all others
SPIKE = 0.05  # share of one value in a column, above which it is no evidence for a transform
MAX_ITER = 100
TOLERANCE = 1e-4  # in mean log likelihood
FAMILIES = ("full", "tied")
NONE, AUTO = "none", "auto"
KINDS = {AUTO: "by evidence", NONE: "none", **dict.fromkeys(("log", "power", "arcsinh"), "for each column")}

type Transform = str | ColumnTransforms


@checks_keywords
def choose_transforms(
    data: DataLike,
    transform: Transform = AUTO,
    *,
    covariance: str | Sequence[str] = FAMILIES,
    min_gain: float = MIN_GAIN,
    seed: int = 0,
) -> ColumnTransforms:
    r"""Choose a transform of each column to a scale on which a Gaussian mixture fits: log, power or arcsinh.

    Each column is fitted by mixtures of 1 to 5 components, as it is and after each transform. The BIC of the density
    in data units is compared: with :math:`z = T(x)`

    .. math:: \mathrm{BIC} = -2 \sum_n [\log p(z_n) + \log T'(x_n)] + m \log N

    where m counts the parameters of the mixture and of the transform. So a column that is skewed because it has
    separated clusters is not transformed: as many components without a transform describe it as well. Nor is one with
    outliers, if a broad component describes them better than heavy tails do.

    Parameters
    ----------
    data : (N, D) array or DataFrame
    transform : {'auto', 'none', 'log', 'power', 'arcsinh'} or ColumnTransforms
        ``'auto'`` chooses; the other words are for every column. A declared value is returned.
    covariance : str or sequence of str
        Covariance families of the mixture that will be fitted. With tied covariances the components of a column have
        the same spread, otherwise each its own.
    min_gain : float
        How much lower the BIC must be for a column to be transformed.
    seed : int

    Returns
    -------
    ColumnTransforms
        For ``fit(..., transform=)``.

    Raises
    ------
    DataError
        If the data can't be used.
    UnknownName
        If there is no such transform.

    References
    ----------
    .. [1] Box & Cox (1964), J. R. Stat. Soc. B 26(2), 211-252.
    .. [2] Zhu & Melnykov (2018), Comput. Stat. Data Anal. 121, 190-208: mixtures of transformed components.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = {"income": np.exp(rng.normal(size=500)), "age": rng.normal(40, 9, size=500)}
    >>> choose_transforms(table).fitted_names
    ('log(income)', 'age')
    """
    if isinstance(transform, ColumnTransforms):
        return transform
    choose(transform, KINDS, "transform")
    points = as_points(data, gaps=True)
    families = _families(covariance)
    columns = _observed(points)
    return ColumnTransforms({name: _chosen(x, transform, families, min_gain, seed) for name, x in columns})


@checks_keywords
def transform_table(data: DataLike, *, covariance: str | Sequence[str] = FAMILIES, seed: int = 0) -> "pd.DataFrame":
    """Compute the BIC of each column without and with each transform, as ``choose_transforms`` compares them.

    Parameters
    ----------
    data : (N, D) array or DataFrame
    covariance : str or sequence of str
        Covariance families, as in ``choose_transforms``.
    seed : int

    Returns
    -------
    DataFrame
        One row for each column and transform: ``column``, ``transform``, ``n_components``, ``bic``, in data units.

    Raises
    ------
    DataError
        If the data can't be used.
    DeclarationError, UnknownName
        If there is no family, or no such family.

    Examples
    --------
    >>> table = transform_table({"income": np.exp(np.random.default_rng(0).normal(size=500))})
    >>> table.sort_values("bic")["transform"].iloc[0]
    'log'
    """
    import pandas as pd

    points, families = as_points(data, gaps=True), _families(covariance)
    rows = [
        {"column": name, "transform": kind, "n_components": k, "bic": bic}
        for name, x in _observed(points)
        for kind, _, k, bic in _tried(x, families, seed)
    ]
    return pd.DataFrame(rows, columns=["column", "transform", "n_components", "bic"])


def _observed(points: Points) -> Iterator[tuple[str, Array]]:
    """Yield the name and the values of each column, without missing ones."""
    for name, x in zip(points.columns, points.values.T, strict=True):
        seen = x[~np.isnan(x)]
        if not seen.size:
            raise DataError(f"1 column has no values: {name!r}\n  Leave it out.")
        yield name, seen


def _families(covariance: str | Sequence[str]) -> list[str]:
    """Families of one column: with the same variance for all components, or one for each.

    In one column ``'full'`` is the same as ``'diag'``, which takes less time.
    """
    equal = [family_named(name).size_per_component(1) == 0 for name in families_named(covariance)]
    return list(dict.fromkeys("tied" if one else "diag" for one in equal))


def _chosen(x: Array, transform: str, families: Sequence[str], min_gain: float, seed: int) -> Curve | None:
    if transform == NONE or x.min() == x.max():
        return None
    if transform != AUTO:
        return candidates(x)[transform]
    tried = [*_tried(x, families, seed)]
    (_, _, _, untransformed), best = tried[0], min(tried, key=lambda one: one[-1])
    return best[1] if best[-1] <= untransformed - min_gain else None


def _tried(x: Array, families: Sequence[str], seed: int) -> Iterator[tuple[str, Curve | None, int, float]]:
    """Yield kind, curve, number of components and BIC of a column, untransformed first."""
    column, x = x, _evidence(x, np.random.default_rng((seed, 13)))
    can_choose = len(x) >= MIN_ROWS and x.min() < x.max()
    curves: dict[str, Curve | None] = {NONE: None, **(candidates(x, min(column.min(), x.min())) if can_choose else {})}
    for kind, curve in curves.items():
        yield kind, curve, *_lowest_bic(x, curve, families, seed)


def _evidence(x: Array, rng: np.random.Generator) -> Array:
    """Sample of a column without repeated values, at which a slope of any height would be taken as evidence.

    Rounded values are spread within the rounding, and a very frequent value, such as 0, is left out. So are a few
    values far from all others: one wrong value would be evidence for heavy tails.
    """
    if (lattice := lattice_of(x)) is not None:
        x = lattice.spread_out(x, rng)
    number, count = np.unique(x, return_counts=True)
    if count.max() > SPIKE * len(x):
        x = x[x != number[np.argmax(count)]]
    x = -_without_isolated(-_without_isolated(x))
    return x if len(x) <= MAX_ROWS else rng.choice(x, MAX_ROWS, replace=False)


def _without_isolated(x: Array) -> Array:
    """Return the values (N,) without a few that are farther above all others than these are from each other.

    Examples
    --------
    >>> _without_isolated(np.array([1.0, 2.0, 3.0, 9.0])), _without_isolated(np.array([1.0, 2.0, 3.0, 4.5]))
    (array([1., 2., 3.]), array([1. , 2. , 3. , 4.5]))
    """
    upper = np.sort(x)[-max(1, int(FEW * len(x))) - 1 :]
    below, above = upper[:-1], upper[1:]
    rest = below - x.min(initial=np.inf)
    far = (rest > 0) & (above - below > rest)
    return x[x < above[np.argmax(far)]] if far.any() else x


def _lowest_bic(x: Array, curve: Curve | None, families: Sequence[str], seed: int) -> tuple[int, float]:
    """Number of components and BIC, in data units, of the best mixture of a column after a transform."""
    if not len(x) or x.min() == x.max():
        return 1, np.inf
    z = x if curve is None else curve.forward(x)
    jacobian = -len(x) * np.log(z.std()) + (0.0 if curve is None else curve.log_slope(x).sum())
    extra = 0 if curve is None else curve.n_parameters
    blocks = Blocks.from_rows(((z - z.mean()) / z.std())[:, None])
    fitted = [found for name in families for found in _mixtures(blocks, name, seed)]
    bics = [(k, -2 * (loglik + jacobian) + (size + extra) * np.log(len(x))) for k, size, loglik in fitted]
    k, bic = min(bics, key=lambda one: one[1], default=(0, np.inf))
    return k, float(bic)


def _mixtures(blocks: Blocks, name: str, seed: int) -> Iterator[tuple[int, int, float]]:
    """Yield number of components, number of parameters and log likelihood, until the BIC increases."""
    family: Any = family_named(name)
    best = np.inf
    for k in range(1, MAX_COMPONENTS + 1):
        try:
            found = short_runs(Sweep(blocks, family), k, seed, N_INIT, MAX_ITER, TOLERANCE)[0]
        except ComponentError:
            continue
        size = n_parameters(family, k, 1)
        bic = -2 * found.loglik + size * np.log(blocks.total_weight)
        yield k, size, found.loglik
        if bic > best:
            return
        best = bic
