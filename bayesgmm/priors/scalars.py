"""Priors of one positive number: a standard deviation, a concentration, a scale. PyMC's names and parameters."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BeforeValidator, SerializeAsAny
from scipy import special

from bayesgmm.data.points import per_column
from bayesgmm.declared import Declared, Numbers, PositiveNumbers, Row, by_name, read_positive, read_prior, read_scale
from bayesgmm.errors import DeclarationError
from bayesgmm.sweep.kernels import jit
from bayesgmm.sweep.stats import Array

ENTRIES = 3  # numbers that describe one prior to native code: which, and its two parameters
_NORMAL, _STUDENT, _GAMMA, _LOG_NORMAL, _INVERSE_GAMMA = range(5)


@jit
def log_density(params: Any, at: int, log_x: float) -> tuple[float, float]:
    """Log density of log x under the prior whose entries start at ``at``, and its slope in log x."""
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


class Scalar(Declared):
    """A prior of one positive number, or of one a column: then parameters may differ by column."""

    kind: ClassVar[int]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by PyMC's names for them."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "prior"}

    @abstractmethod
    def entries(self) -> tuple[Any, Any]:
        """The two parameters that native code sees."""

    @abstractmethod
    def quantile(self, p: ArrayLike) -> Array:
        """The value below which a share p of the prior lies."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Numbers from the prior; the last axis is that of the columns when there are several."""
        return self.quantile(rng.uniform(np.finfo(float).tiny, 1.0, size=shape))

    def per_column(self, columns: tuple[str, ...]) -> Self:
        """The same prior with one explicit number a column in every parameter."""
        name = type(self).__name__
        each = {field: per_column(value, columns, f"{name} {field}") for field, value in self.parameters.items()}
        return type(self)(**{field: tuple(value.tolist()) for field, value in each.items()})

    def single(self, what: str) -> Self:
        """The prior itself, which must be about one number; an error names what it is the prior of."""
        if any(np.size(value) > 1 for value in self.parameters.values()):
            raise DeclarationError(f"{what} is one number: {type(self).__name__} can't have several parameters for it")
        return type(self)(**{field: np.ravel(value)[0] for field, value in self.parameters.items()})

    @property
    def is_per_column(self) -> bool:
        """Whether its parameters come as one number a column."""
        return any(isinstance(value, tuple) for value in self.parameters.values())

    @property
    def width(self) -> int:
        """How many columns it tells apart: 1 when its parameters are single numbers."""
        return max(np.size(value) for value in self.parameters.values())

    def params(self, count: int) -> Array:
        """(count * ENTRIES,) what ``log_density`` reads, prior by prior."""
        a, b = (np.broadcast_to(np.asarray(value, dtype=np.float64), (count,)) for value in self.entries())
        return np.column_stack([np.full(count, float(self.kind)), a, b]).ravel()


class HalfNormal(Scalar):
    r"""Half-normal: :math:`p(x) \propto \exp(-x^2 / 2\sigma^2)`.

    Parameters
    ----------
    sigma : float or tuple of float

    Examples
    --------
    >>> HalfNormal(2.0).quantile(0.5).round(3)
    np.float64(1.349)
    """

    sigma: PositiveNumbers
    prior: Literal["half_normal"] = "half_normal"
    kind: ClassVar = _NORMAL

    def entries(self) -> tuple[Any, Any]:  # noqa: D102
        return 0.0, self.sigma

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return special.ndtri(0.5 + 0.5 * np.asarray(p)) * np.asarray(self.sigma)


class HalfStudentT(Scalar):
    r"""Half Student-t: :math:`p(x) \propto (1 + x^2 / \nu\sigma^2)^{-(\nu + 1) / 2}`.

    Parameters
    ----------
    nu : float or tuple of float
        Degrees of freedom.
    sigma : float or tuple of float

    References
    ----------
    .. [1] Gelman (2006), Bayesian Analysis 1(3), 515-534.
    """

    nu: PositiveNumbers
    sigma: PositiveNumbers = 1.0
    prior: Literal["half_student_t"] = "half_student_t"
    kind: ClassVar = _STUDENT

    def entries(self) -> tuple[Any, Any]:  # noqa: D102
        return self.nu, self.sigma

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return special.stdtrit(np.asarray(self.nu), 0.5 + 0.5 * np.asarray(p)) * np.asarray(self.sigma)


class HalfCauchy(Scalar):
    r"""Half-Cauchy: :math:`p(x) \propto 1 / (1 + x^2 / \beta^2)`.

    Parameters
    ----------
    beta : float or tuple of float
        Its median.

    References
    ----------
    .. [1] Gelman (2006), Bayesian Analysis 1(3), 515-534.
    """

    beta: PositiveNumbers
    prior: Literal["half_cauchy"] = "half_cauchy"
    kind: ClassVar = _STUDENT

    def entries(self) -> tuple[Any, Any]:  # noqa: D102
        return 1.0, self.beta

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return np.tan(0.5 * np.pi * np.asarray(p)) * np.asarray(self.beta)


class Gamma(Scalar):
    r"""Gamma with mean alpha / beta: :math:`p(x) \propto x^{\alpha - 1} \exp(-\beta x)`.

    Parameters
    ----------
    alpha, beta : float or tuple of float
        Shape and rate.
    """

    alpha: PositiveNumbers
    beta: PositiveNumbers
    prior: Literal["gamma"] = "gamma"
    kind: ClassVar = _GAMMA

    def entries(self) -> tuple[Any, Any]:  # noqa: D102
        return self.alpha, self.beta

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return np.maximum(special.gammaincinv(self.alpha, p), np.finfo(float).tiny) / self.beta


class Exponential(Scalar):
    r"""Exponential with mean 1 / lam: :math:`p(x) \propto \exp(-\lambda x)`.

    Parameters
    ----------
    lam : float or tuple of float
        Rate.
    """

    lam: PositiveNumbers
    prior: Literal["exponential"] = "exponential"
    kind: ClassVar = _GAMMA

    def entries(self) -> tuple[Any, Any]:  # noqa: D102
        return 1.0, self.lam

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return -np.log1p(-np.asarray(p)) / self.lam


class LogNormal(Scalar):
    r"""Log-normal: the logarithm is Normal(mu, sigma).

    Parameters
    ----------
    mu : float or tuple of float
        Logarithm of the median.
    sigma : float or tuple of float
    """

    mu: Numbers
    sigma: PositiveNumbers
    prior: Literal["log_normal"] = "log_normal"
    kind: ClassVar = _LOG_NORMAL

    def entries(self) -> tuple[Any, Any]:  # noqa: D102
        return self.mu, self.sigma

    def quantile(self, p: ArrayLike) -> Array:  # noqa: D102
        return np.exp(self.mu + np.multiply(special.ndtri(p), self.sigma))


class InverseGamma(Scalar):
    r"""Inverse Gamma: :math:`p(x) \propto x^{-\alpha - 1} \exp(-\beta / x)`.

    Parameters
    ----------
    alpha, beta : float or tuple of float
        Shape and scale.
    """

    alpha: PositiveNumbers
    beta: PositiveNumbers
    prior: Literal["inverse_gamma"] = "inverse_gamma"
    kind: ClassVar = _INVERSE_GAMMA

    def entries(self) -> tuple[Any, Any]:  # noqa: D102
        return self.alpha, self.beta

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


def _or_prior(value: Any, read: Callable[[Any], Any]) -> Any:
    return read_prior(value, SCALARS) if isinstance(value, Mapping | Scalar) else read(value)
