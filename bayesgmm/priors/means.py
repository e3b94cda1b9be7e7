"""Priors of the means of the components, in the units of the data."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np

from bayesgmm.data.points import per_column
from bayesgmm.data.standards import Standard
from bayesgmm.data.summaries import Summary
from bayesgmm.declared import Declared, Numbers, Positive, PositiveNumbers, Row
from bayesgmm.errors import DeclarationError
from bayesgmm.families.chart_kernels import LOGARITHMS
from bayesgmm.families.factor_chart_kernels import FACTORS, log_normal_factors
from bayesgmm.priors.native_calls import PriorDensity, arguments, prior_density
from bayesgmm.priors.scalars import ENTRIES, AnyScalar, InverseGamma, Scalar, log_density
from bayesgmm.sweep.stats import LOG_2PI, Array
from bayesgmm.wording import listing

_LOG_2PI = LOG_2PI


@prior_density
def normal_density(call: object) -> float:
    """Compute the log density of independent normal means; params: locations, scales."""
    p = arguments(call)
    value = 0.0
    for t in range(p.mean.size):
        j = t % p.n_features
        scale = p.params[p.n_features + j]
        z = (p.mean[t] - p.params[j]) / scale
        value -= 0.5 * (z * z + _LOG_2PI) + math.log(scale)
        p.grad_mean[t] -= z / scale
    return value


@prior_density
def conjugate_density(call: object) -> float:
    """Compute the log density of normal means with the component's covariance divided by a strength.

    params: locations, strength.
    """
    p = arguments(call)
    d, strength = p.n_features, p.params[p.n_features]
    per_core = p.core.size // p.n_cores
    y = np.empty(d)
    value = 0.0
    for k in range(p.n_components):
        m = k % p.n_cores
        value += 0.5 * d * (math.log(strength) - _LOG_2PI)
        if p.chart == LOGARITHMS:
            for j in range(d):
                t = m * per_core + j % per_core
                r = p.core[t]
                z = r * (p.mean[k * d + j] - p.params[j])
                value += math.log(r) - 0.5 * strength * z * z
                p.grad_mean[k * d + j] -= strength * r * z
                p.grad_core[t] += 1 - strength * z * z
            continue
        if p.chart >= FACTORS:
            for j in range(d):
                y[j] = p.mean[k * d + j] - p.params[j]
            v, grad_v = p.coordinates, p.grad_coordinates
            value += log_normal_factors(v, p.core, p.chart, k, y, strength, p.grad_mean, k * d, grad_v)
            continue
        t = m * (d * (d + 1) // 2)
        for i in range(d):
            row = m * d * d + i * d
            y[i] = 0.0
            for j in range(i + 1):
                y[i] += p.core[row + j] * (p.mean[k * d + j] - p.params[j])
            value += math.log(p.core[row + i]) - 0.5 * strength * y[i] * y[i]
            for j in range(i + 1):
                slope = -strength * y[i] * (p.mean[k * d + j] - p.params[j])
                p.grad_core[t] += slope * p.core[row + i] + 1 if i == j else slope
                p.grad_mean[k * d + j] -= strength * y[i] * p.core[row + j]
                t += 1
    return value


@prior_density
def hierarchical_density(call: object) -> float:
    """Compute the log density of normal means with a learned centre and spread.

    params: locations, scales, units, and the priors of the spreads.
    """
    p = arguments(call)
    d = p.n_features
    value = 0.0
    for j in range(d):
        centre, log_spread, scale = p.extra[j], p.extra[d + j], p.params[d + j]
        z = (centre - p.params[j]) / scale
        log_prior, slope = log_density(p.params, 3 * d + j * ENTRIES, log_spread + math.log(p.params[2 * d + j]))
        value += log_prior - 0.5 * (z * z + _LOG_2PI) - math.log(scale)
        p.grad_extra[j] -= z / scale
        p.grad_extra[d + j] += slope
        spread = math.exp(log_spread)
        for t in range(j, p.mean.size, d):
            z = (p.mean[t] - centre) / spread
            value -= 0.5 * (z * z + _LOG_2PI) + log_spread
            p.grad_mean[t] -= z / spread
            p.grad_extra[j] += z / spread
            p.grad_extra[d + j] += z * z - 1
    return value


class MeansPrior(Declared):
    """Base class of priors of the means."""

    location: Numbers | None

    cites: ClassVar[str] = ""  # the key of the work that introduced it, in ``references``
    positive_extras: ClassVar[tuple[str, ...]] = ()
    """Names of ``extras`` that are positive numbers; their coordinates are logarithms."""

    @property
    @abstractmethod
    def density(self) -> PriorDensity:
        """Native log density, made by ``prior_density``."""

    @abstractmethod
    def resolve(self, data: Summary) -> Self:
        """Return the same prior with one explicit number for each column.

        Raises
        ------
        DeclarationError
            When it does not fit the columns.
        DataError
            When a default can't be computed, because a column is constant.
        """

    @property
    def is_ordered(self) -> bool:
        """True where the means increase from component to component."""
        return False

    @property
    def n_extra(self) -> int:
        """Number of coordinates beyond those of the means; the prior must be resolved."""
        return 0

    @abstractmethod
    def params(self, standard: Standard) -> Array:
        """Return what the native density reads, in standardised coordinates; the prior must be resolved."""

    def start(self, mean: Array, standard: Standard) -> Array:
        """Return starting values of the extra coordinates (n_extra,), given standardised means (K, D)."""
        return np.empty(0)

    def extras(self, q: Array, standard: Standard) -> dict[str, Array]:
        """Return what the prior learns beyond the means, in data units, from its coordinates (..., n_extra)."""
        return {}

    def from_extras(self, extras: Mapping[str, Array], standard: Standard) -> Array:
        """Compute the extra coordinates (..., n_extra) of learned values in data units: the inverse of ``extras``."""
        raise NotImplementedError

    @abstractmethod
    def draw(
        self, rng: np.random.Generator, n_components: int, size: int, covariance: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Draw means from the resolved prior.

        Parameters
        ----------
        rng : Generator
        n_components, size : int
        covariance : (size, K, D, D) float
            In data units.

        Returns
        -------
        mean : (size, K, D) float
            In data units.
        extras : dict of str to array
            Other parameters that were drawn.
        """

    @abstractmethod
    def width(self) -> Array:
        """Return standard deviations (D,) of the means under the resolved prior, in data units; NaN if it has none."""

    def _located(self, data: Summary, default: Array) -> tuple[float, ...]:
        location = default if self.location is None else self.location
        return tuple(per_column(location, data.columns, f"{type(self).__name__} location").tolist())

    def _in_order(self, mean: Array) -> Array:
        return np.sort(mean, axis=-2) if self.is_ordered else mean

    def _check_order(self, data: Summary) -> None:
        if self.is_ordered and len(data.columns) > 1:
            raise DeclarationError(
                f"ordered=True needs one column, the data have {len(data.columns)} ({listing(data.columns)}): points "
                "with several columns have no order.\n  Leave it out: fits are relabelled in any case."
            )


class NormalMeans(MeansPrior):
    r"""Independent normal prior of the means, the same for every component.

    .. math:: \mu_{kj} \sim \mathrm{Normal}(\text{location}_j, \text{scale}_j)

    Parameters
    ----------
    location : float or tuple of float, optional
        Prior mean, one number or one for each column, in the column's units. By default the midpoint of the column's
        range.
    scale : float or tuple of float, optional
        Prior standard deviation, in the column's units. By default the column's range.
    ordered : bool
        For one column: the means of the components increase.

    References
    ----------
    .. [1] Richardson & Green (1997), J. R. Stat. Soc. B 59(4), 731-792: the defaults.

    Examples
    --------
    >>> NormalMeans(0.0, 2.5).scale
    2.5
    """

    location: Numbers | None = None
    scale: PositiveNumbers | None = None
    ordered: bool = False
    prior: Literal["normal"] = "normal"

    density: ClassVar = normal_density

    @property
    def is_ordered(self) -> bool:  # noqa: D102
        return self.ordered

    def resolve(self, data: Summary) -> Self:  # noqa: D102
        self._check_order(data)
        scale = _positive(self.scale, data, "NormalMeans scale")
        return self.model_copy(update={"location": self._located(data, data.midrange), "scale": scale})

    def params(self, standard: Standard) -> Array:  # noqa: D102
        location, scale = np.asarray(self.location), np.asarray(self.scale)
        return np.concatenate([(location - standard.shift) / standard.scale, scale / standard.scale])

    def draw(  # noqa: D102
        self, rng: np.random.Generator, n_components: int, size: int, covariance: Array
    ) -> tuple[Array, dict[str, Array]]:
        location, scale = np.asarray(self.location), np.asarray(self.scale)
        return self._in_order(rng.normal(location, scale, size=(size, n_components, location.size))), {}

    def width(self) -> Array:  # noqa: D102
        return np.asarray(self.scale)


class ConjugateMeans(MeansPrior):
    r"""Normal prior of the means whose covariance is proportional to that of the component.

    .. math:: \mu_k \sim \mathrm{Normal}(\text{location}, \Sigma_k / \text{strength})

    The mean of a wide component may lie further from the location. With Wishart precisions this is the conjugate prior
    of a component.

    Parameters
    ----------
    location : float or tuple of float, optional
        Prior mean, in data units. By default the mean of each column.
    strength : float
        Number of points to which the prior is equivalent.

    References
    ----------
    .. [1] Fraley & Raftery (2007), J. Classification 24, 155-181: the defaults.

    Examples
    --------
    >>> ConjugateMeans(0.0).strength
    0.01
    """

    location: Numbers | None = None
    strength: Positive = 0.01
    prior: Literal["conjugate"] = "conjugate"

    density: ClassVar = conjugate_density

    def resolve(self, data: Summary) -> Self:  # noqa: D102
        return self.model_copy(update={"location": self._located(data, data.mean)})

    def params(self, standard: Standard) -> Array:  # noqa: D102
        return np.append((np.asarray(self.location) - standard.shift) / standard.scale, self.strength)

    def draw(  # noqa: D102
        self, rng: np.random.Generator, n_components: int, size: int, covariance: Array
    ) -> tuple[Array, dict[str, Array]]:
        noise = rng.normal(size=covariance.shape[:-1])
        chol = np.linalg.cholesky(covariance)
        return np.asarray(self.location) + np.einsum("skij,skj->ski", chol, noise) / math.sqrt(self.strength), {}

    def width(self) -> Array:  # noqa: D102
        return np.full(np.asarray(self.location).size, np.nan)  # it depends on the covariance


class HierarchicalMeans(MeansPrior):
    r"""Hierarchical normal prior of the means: their centre and spread are learned from all components.

    .. math:: \mu_{kj} \sim \mathrm{Normal}(m_j, s_j), \qquad
              m_j \sim \mathrm{Normal}(\text{location}_j, \text{scale}_j), \qquad s_j \sim \text{spread}

    The fit contains ``mean_centre`` and ``mean_spread``.

    Parameters
    ----------
    location, scale : float or tuple of float, optional
        Prior mean and standard deviation of the centre, in data units. By default midpoint and range of each column.
    spread : a prior of a positive number, optional
        Prior of the standard deviation of the means. By default ``InverseGamma(2, range / 2)``: its mean is half of the
        column's range, and its density is 0 at 0.
    ordered : bool
        For one column: the means of the components increase.

    References
    ----------
    .. [1] Richardson & Green (1997), J. R. Stat. Soc. B 59(4), 731-792.
    .. [2] Gelman (2006), Bayesian Analysis 1(3), 515-534.

    Examples
    --------
    >>> HierarchicalMeans(spread=InverseGamma(2.0, 5.0)).spread.beta
    5.0
    """

    location: Numbers | None = None
    scale: PositiveNumbers | None = None
    spread: AnyScalar | None = None
    ordered: bool = False
    prior: Literal["hierarchical"] = "hierarchical"

    density: ClassVar = hierarchical_density
    positive_extras: ClassVar = ("mean_spread",)

    @property
    def is_ordered(self) -> bool:  # noqa: D102
        return self.ordered

    def resolve(self, data: Summary) -> Self:  # noqa: D102
        self._check_order(data)
        scale = _positive(self.scale, data, "HierarchicalMeans scale")
        if self.spread is None:
            spread: Scalar = InverseGamma(2.0, tuple((data.varied_range() / 2).tolist()))
        else:
            spread = self.spread.per_column(data.columns)
        explicit = {"location": self._located(data, data.midrange), "scale": scale, "spread": spread}
        return self.model_copy(update=explicit)

    @property
    def n_extra(self) -> int:  # noqa: D102
        return 2 * np.asarray(self.location).size

    @property
    def resolved_spread(self) -> Scalar:
        """Prior of the spread of a prior that is resolved."""
        assert self.spread is not None
        return self.spread

    def params(self, standard: Standard) -> Array:  # noqa: D102
        location = (np.asarray(self.location) - standard.shift) / standard.scale
        scale = np.asarray(self.scale) / standard.scale
        return np.concatenate([location, scale, standard.scale, self.resolved_spread.params(location.size)])

    def start(self, mean: Array, standard: Standard) -> Array:
        """Return the average of the means, and the log of the median of the spread's prior."""
        return np.concatenate([mean.mean(axis=0), np.log(self.resolved_spread.quantile(0.5) / standard.scale)])

    def extras(self, q: Array, standard: Standard) -> dict[str, Array]:  # noqa: D102
        d = q.shape[-1] // 2
        centre = q[..., :d] * standard.scale + standard.shift
        return {"mean_centre": centre, "mean_spread": np.exp(q[..., d:]) * standard.scale}

    def from_extras(self, extras: Mapping[str, Array], standard: Standard) -> Array:  # noqa: D102
        centre = (extras["mean_centre"] - standard.shift) / standard.scale
        return np.concatenate([centre, np.log(extras["mean_spread"] / standard.scale)], axis=-1)

    def draw(  # noqa: D102
        self, rng: np.random.Generator, n_components: int, size: int, covariance: Array
    ) -> tuple[Array, dict[str, Array]]:
        location, scale = np.asarray(self.location), np.asarray(self.scale)
        centre = rng.normal(location, scale, size=(size, location.size))
        spread = self.resolved_spread.draw(rng, centre.shape)
        mean = rng.normal(centre[:, None], spread[:, None], size=(size, n_components, location.size))
        return self._in_order(mean), {"mean_centre": centre, "mean_spread": spread}

    def width(self) -> Array:  # noqa: D102
        return np.hypot(np.asarray(self.scale), self.resolved_spread.quantile(0.5))


def _positive(value: float | Row | None, data: Summary, what: str) -> tuple[float, ...]:
    """Return one positive number for each column: those declared, or the ranges of the columns."""
    numbers = data.varied_range() if value is None else per_column(value, data.columns, what)
    return tuple(numbers.tolist())


MEANS: dict[str, type[MeansPrior]] = {
    "normal": NormalMeans,
    "conjugate": ConjugateMeans,
    "hierarchical": HierarchicalMeans,
}
