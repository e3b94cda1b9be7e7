"""Prior of factor analysers, which shrinks the loadings of factors that are not needed, in the units of the data."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np

from bayesgmm.data.points import per_column
from bayesgmm.data.standards import Standard
from bayesgmm.data.summaries import Summary
from bayesgmm.declared import PerFactor, Positive, PositiveNumbers
from bayesgmm.errors import DeclarationError
from bayesgmm.families.factor_charts import FactorChart
from bayesgmm.families.family import Family
from bayesgmm.priors.covariance_priors import CovariancesPrior
from bayesgmm.priors.loadings_densities import multiplicative_gamma_density
from bayesgmm.priors.native_calls import PriorDensity
from bayesgmm.priors.scalars import InverseGamma
from bayesgmm.sweep.stats import Array

NOISE_SHAPE = 2.5  # of the default prior of the noise: a variance may well be a quarter of its mean, or twice it
NOISE_SHARE = 0.5  # its mean, as a share of the square of the scale


class MultiplicativeGamma(CovariancesPrior):
    r"""Multiplicative gamma process prior of loadings, and inverse gamma prior of the noise, of factor analysers.

    .. math:: \lambda_{kjh} \sim t_{\text{df}}(0, s_j / \sqrt{\tau_h}), \qquad
              \tau_h = \prod_{l = 1}^h \delta_l, \quad \delta_l \sim \mathrm{Gamma}(a_l, 1), \qquad
              \psi_{kj} \sim \text{noise}

    It is the default prior of factor analysers. The scale of the loadings decreases from factor to factor, if the
    later shapes are more than 2 or so [2]_: factors that are not needed have loadings close to zero, so that the
    number of factors is an upper bound. The t distribution, a normal one whose precision is learned for each loading,
    allows for single large loadings. The scales :math:`1 / \sqrt{\tau_h}` are learned, and are those of all components
    (``factor_shrinkage`` in the fit are the :math:`\delta`).

    Parameters
    ----------
    a : float or tuple of float
        Shapes of :math:`\delta_1, \delta_2, \dots`; the last number is that of all further ones.
    df : float
        Degrees of freedom of the t distribution.
    scale : float or tuple of float, optional
        Scale s of the loadings in each column, in data units. By default the standard deviations of the columns divided
        by the number C of clusters that the prior of the weights expects (see ``WishartPrecision``).
    noise : InverseGamma, optional
        Prior of the variances of the noise, in squared data units. By default ``InverseGamma(2.5, 0.75 * scale**2)``,
        whose mean is half the square of the scale. For isotropic noise, the mean over the columns.

    References
    ----------
    .. [1] Bhattacharya & Dunson (2011), Biometrika 98(2), 291-306.
    .. [2] Durante (2017), Statistics & Probability Letters 122, 198-204: on the shapes.
    .. [3] Murphy, Viroli & Gormley (2020), Bayesian Analysis 15(3), 937-963: in mixtures, where each component has its
       own :math:`\tau`.

    Examples
    --------
    >>> MultiplicativeGamma(df=4).plain()
    {'a': (2.1, 3.1), 'df': 4.0, 'prior': 'multiplicative_gamma'}
    """

    a: PerFactor = (2.1, 3.1)
    df: Positive = 3.0
    scale: PositiveNumbers | None = None
    noise: InverseGamma | None = None
    prior: Literal["multiplicative_gamma"] = "multiplicative_gamma"

    cites: ClassVar = "bhattacharya2011"
    density: ClassVar[PriorDensity] = multiplicative_gamma_density
    positive_extras: ClassVar = ("factor_shrinkage",)

    @property
    def keeps_regular(self) -> bool:
        """True: an inverse gamma density falls exponentially as the noise vanishes."""
        return True

    def require_family(self, family: Family) -> None:  # noqa: D102
        factor_chart_of(family)

    def resolve(self, data: Summary, family: Family, n_clusters: float) -> Self:  # noqa: D102
        chart = factor_chart_of(family)
        given, q = np.atleast_1d(np.asarray(self.a, dtype=np.float64)), chart.restriction.n_factors
        shapes = given[np.minimum(np.arange(q), given.size - 1)]
        if self.scale is None:
            data.varied_range()
        scale = np.sqrt(data.variance) / n_clusters if self.scale is None else self.scale
        each = per_column(scale, data.columns, "MultiplicativeGamma scale")
        noise, is_common = self.noise, chart.shapes(1, len(data.columns))[1][1] == 1
        if noise is None:
            square = np.asarray([(each**2).mean()]) if is_common else each**2
            rates = (NOISE_SHAPE - 1) * NOISE_SHARE * square
            noise = InverseGamma(NOISE_SHAPE, tuple(rates.tolist()) if rates.size > 1 else float(rates[0]))
        noise = noise.single("isotropic noise") if is_common else noise.per_column(data.columns)
        values = {"a": tuple(shapes.tolist()), "scale": tuple(each.tolist()), "noise": noise}
        return self.model_copy(update=values)

    @property
    def shapes(self) -> Array:
        """Shapes (q,) of a prior that is resolved."""
        return np.atleast_1d(np.asarray(self.a, dtype=np.float64))

    @property
    def resolved_noise(self) -> InverseGamma:
        """Prior of the noise of a prior that is resolved."""
        assert self.noise is not None
        return self.noise

    @property
    def n_extra(self) -> int:  # noqa: D102
        return self.shapes.size

    def params(self, standard: Standard, family: Family) -> Array:  # noqa: D102
        noise, own = self.resolved_noise, np.asarray(self.scale) / standard.scale
        units = standard.scale[: noise.width] ** 2
        return np.concatenate([[self.df, noise.width], self.shapes, own, units, noise.params(noise.width)])

    def start(self, core_roots: Array) -> Array:
        """Return zeros: all scales are one."""
        return np.zeros(self.n_extra)

    def extras(self, q: Array, standard: Standard) -> dict[str, Array]:  # noqa: D102
        return {"factor_shrinkage": np.exp(q)}

    def from_extras(self, extras: Mapping[str, Array], standard: Standard) -> Array:  # noqa: D102
        return np.log(extras["factor_shrinkage"])

    def draw(  # noqa: D102
        self, rng: np.random.Generator, family: Family, shape: tuple[int, int, int]
    ) -> tuple[Array, dict[str, Array]]:
        size, k, d = shape
        loadings, noise, shrinkage = self.draw_parts(rng, family, shape)
        covariance = loadings @ np.swapaxes(loadings, -1, -2) + noise[..., None] * np.eye(d)
        return np.broadcast_to(covariance, (size, k, d, d)).copy(), {"factor_shrinkage": shrinkage}

    def draw_parts(
        self, rng: np.random.Generator, family: Family, shape: tuple[int, int, int]
    ) -> tuple[Array, Array, Array]:
        """Draw loadings (size, L, D, q), variances of the noise (size, M, D) and deltas (size, q)."""
        size, k, d = shape
        of_loadings, of_noise = factor_chart_of(family).shapes(k, d)
        shrinkage = rng.gamma(self.shapes, size=(size, self.n_extra))
        unit = np.asarray(self.scale)[:, None] / np.sqrt(np.cumprod(shrinkage, axis=1))[:, None, None]
        loadings = rng.standard_t(self.df, size=(size, *of_loadings)) * unit
        noise = self.resolved_noise.draw(rng, (size, *of_noise))
        return loadings, np.broadcast_to(noise, (*noise.shape[:-1], d)), shrinkage

    def typical_sd(self) -> Array:
        """Return standard deviations at the median of the noise and of the factors' precisions, without later ones."""
        noise = self.resolved_noise.quantile(np.full(self.resolved_noise.width, 0.5))
        return np.sqrt(noise + np.asarray(self.scale) ** 2 / self.shapes[0])


def has_loadings(family: Family) -> bool:
    """True for factor analysers, whose covariances are loadings and noise."""
    return isinstance(family.chart, FactorChart)


def factor_chart_of(family: Family) -> FactorChart:
    """Return the coordinates of factor analysers.

    Raises
    ------
    DeclarationError
        When the family is another one.
    """
    if not isinstance(family.chart, FactorChart):
        raise DeclarationError(
            f"MultiplicativeGamma is a prior of loadings and noise; {family.name!r} covariances have none\n"
            "  Leave covariances= out for the default prior, or declare covariance=FactorAnalysers(2)."
        )
    return family.chart


def require_no_loadings(prior: str, family: Family) -> None:
    """Check that a prior of whole covariances is not that of factor analysers.

    Raises
    ------
    DeclarationError
        When it is.
    """
    if has_loadings(family):
        raise DeclarationError(
            f"{prior} is not a prior of loadings and noise, of which covariance={family.name!r} is made\n"
            "  Use covariances=MultiplicativeGamma(), the default of factor analysers."
        )
