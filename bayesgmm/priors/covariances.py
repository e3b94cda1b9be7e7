"""Priors of the covariances, in the units of the data."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np

from bayesgmm.data.standards import Standard
from bayesgmm.data.summaries import Summary
from bayesgmm.declared import Positive, Row
from bayesgmm.errors import DeclarationError
from bayesgmm.families.family import Family
from bayesgmm.families.squares import is_positive_definite
from bayesgmm.priors import lkj
from bayesgmm.priors.covariance_densities import lkj_density, wishart_density
from bayesgmm.priors.covariance_priors import CovariancesPrior as CovariancesPrior
from bayesgmm.priors.decomposed_covariances import DecomposedCovariance as DecomposedCovariance
from bayesgmm.priors.multiplicative_gamma import MultiplicativeGamma as MultiplicativeGamma
from bayesgmm.priors.multiplicative_gamma import require_no_loadings
from bayesgmm.priors.scalars import AnyScalar, HalfNormal, Scalar, ScaleOrPrior
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing

_LOG_2 = math.log(2)


def _log_multigamma(a: float, d: int) -> float:
    """Logarithm of the multivariate gamma function, without scipy, whose import takes longer than a small fit."""
    return d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma(a - j / 2) for j in range(d))


class WishartPrecision(CovariancesPrior):
    r"""Wishart prior of the precisions, which is an inverse Wishart prior of the covariances.

    .. math:: \Sigma_k^{-1} \sim \mathrm{Wishart}(\text{dof}, \text{scale}^{-1}), \qquad
              \mathrm{E}[\Sigma_k] = \text{scale} / (\text{dof} - D - 1)

    For a diagonal covariance it is the one-dimensional case for each column (a Gamma prior of each precision), for a
    spherical one the one-dimensional case for its single precision. For VEI, EVI, VEE, EVE, VVE, EEV, VEV and EVV only
    ``method="map"`` takes it: it finds the mode under the inverse Wishart density of each covariance, where these are
    restricted [3]_ [4]_.

    Parameters
    ----------
    dof : float, optional
        Degrees of freedom, more than D - 1 (more than 0 for diag and spherical): about the number of points of each
        component to which the prior is equivalent. By default D + 2, and 3 for diag and spherical, which is D + 2 of
        one column.
    scale : float, tuple of float, tuple of tuples, or a prior of a positive number, optional
        In squared data units: a number (times the identity), a diagonal, or a matrix; or a prior of the diagonal, for
        example ``Gamma(0.2, 5 / range**2)`` with ``dof=4`` [2]_: then the components share a scale that is learned
        (``covariance_scale`` in the fit). By default the variances of the columns divided by :math:`C^2`, where C is
        the number of clusters that the prior of the weights expects: K under ``Dirichlet``, which is the choice of [1]_
        for one column, used for each column. (Their choice for several columns contains the correlations *between* the
        clusters; on the iris data it merges two species.) Under ``SparseDirichlet``, ``DirichletProcess`` and
        ``PitmanYor``, K is only an upper bound, and C is the prior mean of the number of clusters among 20 points: 3.6,
        2.4 and 4.0 at the default concentrations, whatever K is.

    References
    ----------
    .. [1] Fraley & Raftery (2007), J. Classification 24, 155-181.
    .. [2] Richardson & Green (1997), J. R. Stat. Soc. B 59(4), 731-792.
    .. [3] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.
    .. [4] Fraley & Raftery (2007), as [1]_: the mode in place of the maximum of the likelihood.

    Examples
    --------
    >>> WishartPrecision(dof=4, scale=2.0).plain()
    {'dof': 4.0, 'scale': 2.0, 'prior': 'wishart'}
    """

    dof: Positive | None = None
    scale: ScaleOrPrior | None = None
    prior: Literal["wishart"] = "wishart"

    density: ClassVar = wishart_density
    positive_extras: ClassVar = ("covariance_scale",)

    @property
    def keeps_regular(self) -> bool:
        """True: a Wishart density of precisions falls exponentially as a covariance becomes singular."""
        return True

    def require_family(self, family: Family) -> None:  # noqa: D102
        require_no_loadings("WishartPrecision", family)

    def resolve(self, data: Summary, family: Family, n_clusters: float) -> Self:  # noqa: D102
        self.require_family(family)
        width = family.form.block_size(len(data.columns))
        dof = width + 2.0 if self.dof is None else self.dof
        minimum = width - 1
        if not dof > minimum:
            raise DeclarationError(
                f"WishartPrecision dof={dof:g} is too small for {family.name!r} covariances of "
                f"{len(data.columns)} columns: it must be more than {minimum}"
            )
        return self.model_copy(update={"dof": dof, "scale": self._resolved_scale(data, family, n_clusters)})

    def _resolved_scale(self, data: Summary, family: Family, n_clusters: float) -> object:
        if isinstance(self.scale, Scalar):
            return _for_family(self.scale, data, family, "the scale of spherical covariances")
        if self.scale is None:
            data.varied_range()
            return _plain(_as_family(np.diag(data.variance) / n_clusters**2, family))
        return _plain(_as_family(self._own_scale(data), family))

    def _own_scale(self, data: Summary) -> Array:
        n_features = len(data.columns)
        scale = np.asarray(self.scale, dtype=np.float64)
        if scale.ndim == 0:
            scale = np.full(n_features, scale)
        if scale.shape not in {(n_features,), (n_features, n_features)}:
            raise DeclarationError(
                f"WishartPrecision scale has shape {scale.shape} for {n_features} columns ({listing(data.columns)}); "
                "give a number, a diagonal, or a matrix"
            )
        matrix = np.diag(scale) if scale.ndim == 1 else scale
        if not (np.allclose(matrix, matrix.T) and is_positive_definite(matrix)):
            raise DeclarationError("WishartPrecision scale must be a symmetric, positive definite matrix")
        return matrix

    def only_mode(self, family: Family) -> str:  # noqa: D102
        return "" if family.is_conjugate else f"WishartPrecision of covariance={family.name!r}"

    @property
    def resolved_dof(self) -> float:
        """Degrees of freedom of a prior that is resolved."""
        assert self.dof is not None
        return self.dof

    @property
    def n_extra(self) -> int:  # noqa: D102
        return self.scale.width if isinstance(self.scale, Scalar) else 0

    def core_scale(self, standard: Standard) -> Array:
        """Return the resolved, fixed scale in standardised coordinates: (D, D), (D,) or (1,)."""
        scale = np.atleast_1d(np.asarray(self.scale, dtype=np.float64))
        if scale.ndim == 2:
            return scale / np.outer(standard.scale, standard.scale)
        return scale / standard.scale[: scale.size] ** 2

    def params(self, standard: Standard, family: Family) -> Array:  # noqa: D102
        d, dof = family.form.block_size(standard.scale.size), self.resolved_dof
        one = d * _LOG_2 - _log_multigamma(dof / 2, d) - 0.5 * dof * d * _LOG_2
        if isinstance(self.scale, Scalar):
            width = self.n_extra
            constant = one * (width // d)
            return np.concatenate([[dof, constant], standard.scale[:width] ** 2, self.scale.params(width)])
        scale = self.core_scale(standard)
        if scale.ndim == 2:
            constant = one + dof * np.log(np.diagonal(np.linalg.cholesky(scale))).sum()
        else:
            constant = one * scale.size + 0.5 * dof * np.log(scale).sum()
        return np.concatenate([[dof, constant], scale.ravel()])

    def start(self, core_roots: Array) -> Array:
        """Return the log of the scale for which these roots are typical."""
        if not self.n_extra:
            return np.empty(0)
        precision = (core_roots**2).sum(axis=-2) if core_roots.ndim == 3 else core_roots**2
        return np.log(self.resolved_dof / precision.mean(axis=0))

    def extras(self, q: Array, standard: Standard) -> dict[str, Array]:  # noqa: D102
        if not isinstance(self.scale, Scalar):
            return {}
        scale = np.exp(q) * standard.scale[: self.n_extra] ** 2
        return {"covariance_scale": scale if self.scale.is_per_column else scale[..., 0]}

    def from_extras(self, extras: Mapping[str, Array], standard: Standard) -> Array:  # noqa: D102
        scale = extras["covariance_scale"]
        if isinstance(self.scale, Scalar) and not self.scale.is_per_column:
            scale = scale[..., None]
        return np.log(scale / standard.scale[: self.n_extra] ** 2)

    def draw(  # noqa: D102
        self, rng: np.random.Generator, family: Family, shape: tuple[int, int, int]
    ) -> tuple[Array, dict[str, Array]]:
        self.require_distribution(family)
        size, k, d = shape
        extras: dict[str, Array] = {}
        if isinstance(self.scale, Scalar):
            scale = self.scale.draw(rng, (size, self.n_extra))
            extras = {"covariance_scale": scale if self.scale.is_per_column else scale[..., 0]}
            scale = scale[:, None]
        else:
            scale = np.atleast_1d(np.asarray(self.scale, dtype=np.float64))
        core = family.form.draw_inverse_wishart(rng, self.resolved_dof, scale, (size, family.sharing.count(k), d))
        return family.as_matrices(core, k, d), extras

    def typical_sd(self) -> Array:  # noqa: D102
        scale = self.scale.quantile(np.full(self.n_extra, 0.5)) if isinstance(self.scale, Scalar) else self.scale
        array = np.atleast_1d(np.asarray(scale, dtype=np.float64))
        return np.sqrt((np.diagonal(array) if array.ndim == 2 else array) / self.resolved_dof)


class LKJCovariance(CovariancesPrior):
    r"""Independent priors of standard deviations and correlations; the correlations have an LKJ prior.

    .. math:: \Sigma_k = \mathrm{diag}(s_k) R_k \, \mathrm{diag}(s_k), \qquad p(R_k) \propto |R_k|^{\eta - 1}, \qquad
              s_{kj} \sim \text{sd}

    Diagonal and spherical covariances have no correlations; for them ``eta`` has no effect.

    Parameters
    ----------
    eta : float
        1 is uniform over correlation matrices; larger values shrink the correlations towards 0.
    sd : a prior of a positive number, optional
        Prior of the standard deviations, in data units: ``HalfNormal``, ``HalfCauchy``, ``HalfStudentT``,
        ``Exponential``, ``LogNormal``, ``Gamma`` or ``InverseGamma``. Each parameter is one number, or one for each
        column.
        By default ``HalfNormal`` with the standard deviation of each column.

    References
    ----------
    .. [1] Lewandowski, Kurowicka & Joe (2009), J. Multivariate Analysis 100(9), 1989-2001.
    .. [2] Barnard, McCulloch & Meng (2000), Statistica Sinica 10, 1281-1311.

    Examples
    --------
    >>> LKJCovariance(2.0, HalfNormal(1.5)).plain()
    {'eta': 2.0, 'sd': {'sigma': 1.5, 'prior': 'half_normal'}, 'prior': 'lkj'}
    """

    eta: Positive = 1.0
    sd: AnyScalar | None = None
    prior: Literal["lkj"] = "lkj"

    cites: ClassVar = "lewandowski2009"
    density: ClassVar = lkj_density

    def require_family(self, family: Family) -> None:  # noqa: D102
        require_no_loadings("LKJCovariance", family)
        if not family.is_conjugate:
            raise DeclarationError(
                f"LKJCovariance has no restrictions of volume, shape and orientation, and covariance={family.name!r} "
                "has some\n  Use covariances=DecomposedCovariance(), or covariance='full'."
            )

    def resolve(self, data: Summary, family: Family, n_clusters: float) -> Self:  # noqa: D102
        self.require_family(family)
        if self.sd is None:
            data.varied_range()
            sigma = np.sqrt(family.form.pooled(data.variance))
            return self.model_copy(update={"sd": HalfNormal(_row(sigma))})
        return self.model_copy(update={"sd": _for_family(self.sd, data, family, "the sd of spherical covariances")})

    @property
    def resolved_sd(self) -> Scalar:
        """Prior of the standard deviations of a prior that is resolved."""
        assert self.sd is not None
        return self.sd

    def params(self, standard: Standard, family: Family) -> Array:  # noqa: D102
        width = self.resolved_sd.width
        constant = -lkj.log_normaliser(self.eta, family.form.block_size(width))
        return np.concatenate([[self.eta, constant], standard.scale[:width], self.resolved_sd.params(width)])

    def draw(  # noqa: D102
        self, rng: np.random.Generator, family: Family, shape: tuple[int, int, int]
    ) -> tuple[Array, dict[str, Array]]:
        size, k, d = shape
        count = family.sharing.count(k)
        sd = self.resolved_sd.draw(rng, (size, count, self.resolved_sd.width))
        core = family.form.from_sd(sd, lambda: lkj.draw_factors(rng, self.eta, (size, count, d)))
        return family.as_matrices(core, k, d), {}

    def typical_sd(self) -> Array:  # noqa: D102
        return self.resolved_sd.quantile(np.full(self.resolved_sd.width, 0.5))


def _for_family(prior: Scalar, data: Summary, family: Family, what: str) -> Scalar:
    columns = family.form.columns_apart(data.columns)
    return prior.per_column(columns) if columns else prior.single(what)


def _as_family(matrix: Array, family: Family) -> Array:
    return family.form.squeezed(family.form.from_matrices(matrix))


def _row(values: Array | float) -> float | Row:
    return tuple(np.asarray(values).tolist()) if np.ndim(values) else float(values)


def _plain(value: Array) -> object:
    """Convert an array to what pydantic accepts: float, tuple, tuple of tuples."""
    return tuple(_plain(v) for v in value) if np.ndim(value) else float(value)


COVARIANCE_PRIORS: dict[str, type[CovariancesPrior]] = {
    "wishart": WishartPrecision,
    "lkj": LKJCovariance,
    "decomposed": DecomposedCovariance,
    "multiplicative_gamma": MultiplicativeGamma,
}
