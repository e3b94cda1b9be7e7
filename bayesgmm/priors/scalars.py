"""Priors of one positive number, such as a standard deviation, with PyMC's names and parameters."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BeforeValidator, SerializeAsAny

from bayesgmm.data.points import per_column
from bayesgmm.declared import Declared, Numbers, PositiveNumbers, Row, by_name, read_named, read_positive, read_scale
from bayesgmm.errors import DeclarationError
from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.stats import Array

special = Late("scipy.special")
ENTRIES = 3  # numbers that describe one prior to native code: kind and two parameters
_NORMAL, _STUDENT, _GAMMA, _LOG_NORMAL, _INVERSE_GAMMA = range(5)


@jit
def log_density(params: Array, at: int, log_x: float) -> tuple[float, float]:
    """Compute the log density of log x, and its derivative, under the prior whose entries start at ``at``."""
    kind, a, b = params[at], params[at + 1], params[at + 2]
    x = math.exp(log_x)
    if kind == _NORMAL:
        z2 = (x / b) ** 2
        return math.log(2 / b) - 0.5 * math.log(2 * math.pi) - 0.5 * z2 + log_x, 1 - z2
    if kind == _STUDENT:
        z2 = (x / b) ** 2
        constant = math.lgamma((a + 1) / 2) - math.lgamma(a / 2) - 0.5 * math.log(a * math.pi) + math.log(2 / b)
        return constant - 0.5 * (a + 1) * math.log1p(z2 / a) + log_x, 1 - (a + 1) * z2 / (a + z2)
    if kind == _GAMMA:
        return a * math.log(b) - math.lgamma(a) + a * log_x - b * x, a - b * x
    if kind == _LOG_NORMAL:
        z = (log_x - a) / b
        return -0.5 * z * z - math.log(b) - 0.5 * math.log(2 * math.pi), -z / b
    return a * math.log(b) - math.lgamma(a) - a * log_x - b / x, -a + b / x


@kernel
def log_densities(params: Array, log_x: Array) -> Array:
    """Compute log densities (G,) of log x (G,) under the prior whose entries are the first of ``params``."""
    values = np.empty(log_x.size)
    for i in range(log_x.size):
        values[i] = log_density(params, 0, log_x[i])[0]
    return values


class Scalar(Declared):
    """Base class of priors of a positive number, or of one number for each column.

    A parameter is one number, or a tuple with one number for each column.
    """

    native: ClassVar[tuple[int, str | float, str | float]]
    """What ``log_density`` reads: the kind of density and its two parameters, each the name of a field or a number."""

    excludes_zero: ClassVar[bool] = False
    """True if the density falls to 0 faster than any power as the number approaches 0."""

    @property
    def parameters(self) -> dict[str, float | Row]:
        """Parameters by PyMC's names."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "prior"}

    @abstractmethod
    def quantile(self, p: ArrayLike) -> Array:
        """Compute quantiles at probabilities p."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Draw numbers of a shape; its last axis is that of the columns when there are several."""
        return self.quantile(rng.uniform(np.finfo(float).tiny, 1.0, size=shape))

    def per_column(self, columns: tuple[str, ...]) -> Self:
        """Return the same prior with one number for each column in every parameter.

        Raises
        ------
        DeclarationError
            When a parameter has another number of columns.
        """
        name = type(self).__name__
        each = {field: per_column(value, columns, f"{name} {field}") for field, value in self.parameters.items()}
        return type(self)(**{field: tuple(value.tolist()) for field, value in each.items()})

    def single(self, what: str) -> Self:
        """Return the same prior after checking that it is a prior of one number.

        Raises
        ------
        DeclarationError
            When a parameter differs by column; ``what`` names the quantity in the message.
        """
        if any(np.size(value) > 1 for value in self.parameters.values()):
            raise DeclarationError(f"{what} is one number: {type(self).__name__} can't have several parameters for it")
        return type(self)(**{field: np.ravel(value)[0] for field, value in self.parameters.items()})

    @property
    def is_per_column(self) -> bool:
        """True if a parameter has one number for each column."""
        return any(isinstance(value, tuple) for value in self.parameters.values())

    @property
    def width(self) -> int:
        """Number of columns in its parameters: 1 when all of them are single numbers."""
        return max(np.size(value) for value in self.parameters.values())

    def params(self, count: int) -> Array:
        """Return the entries (count * ENTRIES,) that ``log_density`` reads, one prior after the other."""
        kind, *parameters = self.native
        values = (getattr(self, value) if isinstance(value, str) else value for value in parameters)
        entries = [np.broadcast_to(np.asarray(value, dtype=np.float64), (count,)) for value in (kind, *values)]
        return np.column_stack(entries).ravel()


class HalfNormal(Scalar):
    r"""Half-normal distribution, :math:`p(x) \propto \exp(-x^2 / 2\sigma^2)`.

    Parameters
    ----------
    sigma : float or tuple of float
        Scale: the standard deviation of the normal distribution before it is folded at 0.

    Examples
    --------
    >>> HalfNormal(2.0).quantile(0.5).round(3)
    np.float64(1.349)
    """

    sigma: PositiveNumbers
    prior: Literal["half_normal"] = "half_normal"
    native: ClassVar = (_NORMAL, 0.0, "sigma")

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return special.ndtri(0.5 + 0.5 * np.asarray(p)) * np.asarray(self.sigma)


class HalfStudentT(Scalar):
    r"""Half Student-t distribution, :math:`p(x) \propto (1 + x^2 / \nu\sigma^2)^{-(\nu + 1) / 2}`.

    Parameters
    ----------
    nu : float or tuple of float
        Degrees of freedom.
    sigma : float or tuple of float
        Scale.

    References
    ----------
    .. [1] Gelman (2006), Bayesian Analysis 1(3), 515-534.

    Examples
    --------
    >>> HalfStudentT(nu=3.0).quantile(0.5).round(3)
    np.float64(0.765)
    """

    nu: PositiveNumbers
    sigma: PositiveNumbers = 1.0
    prior: Literal["half_student_t"] = "half_student_t"
    native: ClassVar = (_STUDENT, "nu", "sigma")

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return special.stdtrit(np.asarray(self.nu), 0.5 + 0.5 * np.asarray(p)) * np.asarray(self.sigma)


class HalfCauchy(Scalar):
    r"""Half-Cauchy distribution, :math:`p(x) \propto 1 / (1 + x^2 / \beta^2)`.

    Parameters
    ----------
    beta : float or tuple of float
        Scale, which is the median.

    References
    ----------
    .. [1] Gelman (2006), Bayesian Analysis 1(3), 515-534.

    Examples
    --------
    >>> HalfCauchy(2.0).quantile(0.5).round(3)
    np.float64(2.0)
    """

    beta: PositiveNumbers
    prior: Literal["half_cauchy"] = "half_cauchy"
    native: ClassVar = (_STUDENT, 1.0, "beta")

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return np.tan(0.5 * np.pi * np.asarray(p)) * np.asarray(self.beta)


class Gamma(Scalar):
    r"""Gamma distribution with mean alpha / beta, :math:`p(x) \propto x^{\alpha - 1} \exp(-\beta x)`.

    Parameters
    ----------
    alpha, beta : float or tuple of float
        Shape and rate.

    Examples
    --------
    >>> Gamma(alpha=1.0, beta=2.0).quantile(0.5).round(3)
    np.float64(0.347)
    """

    alpha: PositiveNumbers
    beta: PositiveNumbers
    prior: Literal["gamma"] = "gamma"
    native: ClassVar = (_GAMMA, "alpha", "beta")

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return np.maximum(special.gammaincinv(self.alpha, p), np.finfo(float).tiny) / self.beta


class Exponential(Scalar):
    r"""Exponential distribution with mean 1 / lam, :math:`p(x) \propto \exp(-\lambda x)`.

    Parameters
    ----------
    lam : float or tuple of float
        Rate.

    Examples
    --------
    >>> Exponential(2.0).quantile(0.5).round(3)
    np.float64(0.347)
    """

    lam: PositiveNumbers
    prior: Literal["exponential"] = "exponential"
    native: ClassVar = (_GAMMA, 1.0, "lam")

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return -np.log1p(-np.asarray(p)) / self.lam


class LogNormal(Scalar):
    r"""Log-normal distribution: the logarithm is Normal(mu, sigma).

    Parameters
    ----------
    mu : float or tuple of float
        Logarithm of the median.
    sigma : float or tuple of float
        Standard deviation of the logarithm.

    Examples
    --------
    >>> LogNormal(mu=0.0, sigma=1.0).quantile(0.5).round(3)
    np.float64(1.0)
    """

    mu: Numbers
    sigma: PositiveNumbers
    prior: Literal["log_normal"] = "log_normal"
    excludes_zero: ClassVar = True
    native: ClassVar = (_LOG_NORMAL, "mu", "sigma")

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return np.exp(self.mu + np.multiply(special.ndtri(p), self.sigma))


class InverseGamma(Scalar):
    r"""Inverse Gamma distribution with mean beta / (alpha - 1), :math:`p(x) \propto x^{-\alpha - 1} \exp(-\beta / x)`.

    Parameters
    ----------
    alpha, beta : float or tuple of float
        Shape and scale.

    Examples
    --------
    >>> InverseGamma(alpha=2.0, beta=3.0).quantile(0.5).round(3)
    np.float64(1.787)
    """

    alpha: PositiveNumbers
    beta: PositiveNumbers
    prior: Literal["inverse_gamma"] = "inverse_gamma"
    excludes_zero: ClassVar = True
    native: ClassVar = (_INVERSE_GAMMA, "alpha", "beta")

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return self.beta / special.gammainccinv(self.alpha, p)


SCALARS: dict[str, type[Scalar]] = {
    "half_normal": HalfNormal,
    "half_student_t": HalfStudentT,
    "half_cauchy": HalfCauchy,
    "gamma": Gamma,
    "exponential": Exponential,
    "log_normal": LogNormal,
    "inverse_gamma": InverseGamma,
}

AnyScalar = Annotated[SerializeAsAny[Scalar], by_name(SCALARS)]
NumbersOrPrior = Annotated[
    SerializeAsAny[Scalar] | float | Row, BeforeValidator(lambda value: _or_prior(value, read_positive))
]
ScaleOrPrior = Annotated[
    SerializeAsAny[Scalar] | float | Row | tuple[Row, ...], BeforeValidator(lambda value: _or_prior(value, read_scale))
]


def _or_prior(value: object, read: Callable[[object], object]) -> object:
    return read_named(value, SCALARS) if isinstance(value, Mapping | Scalar) else read(value)
