"""Priors of the number of components of a mixture: distributions of a whole number that is at least 1."""

import math
from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, StrictInt, model_validator

from bayesgmm.declared import Declared, Positive, no_boolean
from bayesgmm.errors import DeclarationError
from bayesgmm.late import Late
from bayesgmm.sweep.stats import Array

special = Late("scipy.special")


def _plain_integer(value: object) -> object:
    """Convert numpy's integers."""
    return int(value) if isinstance(value, np.integer) else value


Whole = Annotated[StrictInt, BeforeValidator(no_boolean), BeforeValidator(_plain_integer), Field(ge=1)]


class CountPrior(Declared):
    """Base class of priors of the number of components."""

    formula: ClassVar[str]
    """The distribution in words, for reports."""

    @abstractmethod
    def log_mass(self, count: Array) -> Array:
        """Compute the log probabilities of numbers of components, at least 1, before any truncation."""

    def truncated(self, n_components: int) -> Array:
        """Compute the log probabilities (K,) of 1 to K components, given that there are at most K.

        Raises
        ------
        DeclarationError
            If all of them are zero.
        """
        with np.errstate(divide="ignore"):
            values = self.log_mass(np.arange(1.0, n_components + 1))
        if not np.isfinite(values).any():
            raise DeclarationError(
                f"{type(self).__name__} gives no number of components up to n_components={n_components} any "
                "probability.\n  Use a larger n_components, or another prior."
            )
        finite = values[np.isfinite(values)]
        top = finite.max()
        log_total: float = top + math.log(np.exp(finite - top).sum())
        return values - log_total

    def beyond(self, n_components: int) -> float:
        """Compute the probability of more than K components, which a truncation at K cuts off."""
        return max(0.0, 1.0 - float(np.exp(self.log_mass(np.arange(1.0, n_components + 1))).sum()))


class Uniform(CountPrior):
    r"""Uniform distribution of a number of components.

    .. math:: p(K) = \frac{1}{\text{upper} - \text{lower} + 1}, \qquad \text{lower} \le K \le \text{upper}

    Parameters
    ----------
    lower, upper : int
        Smallest and largest number, at least 1.

    References
    ----------
    .. [1] Richardson & Green (1997), J. R. Stat. Soc. B 59(4), 731-792: Uniform(1, 30).

    Examples
    --------
    >>> np.exp(Uniform(1, 4).truncated(n_components=4))
    array([0.25, 0.25, 0.25, 0.25])
    """

    lower: Whole
    upper: Whole
    prior: Literal["uniform"] = "uniform"
    formula: ClassVar = "Uniform({lower}, {upper})"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lower > self.upper:
            raise ValueError(f"lower={self.lower} is more than upper={self.upper}")
        return self

    def log_mass(self, count: Array) -> Array:  # noqa: D102
        inside = (count >= self.lower) & (count <= self.upper)
        return np.where(inside, -math.log(self.upper - self.lower + 1), -np.inf)


class Poisson(CountPrior):
    r"""Poisson distribution of the number of components minus 1.

    .. math:: p(K) = \frac{\mu^{K - 1} e^{-\mu}}{(K - 1)!}

    Parameters
    ----------
    mu : float
        Expected number of components minus 1.

    References
    ----------
    .. [1] Nobile (2004), Annals of Statistics 32(5), 2044-2073.

    Examples
    --------
    >>> np.exp(Poisson(1.0).log_mass(np.array([1.0, 2.0, 3.0]))).round(3)
    array([0.368, 0.368, 0.184])
    """

    mu: Positive
    prior: Literal["poisson"] = "poisson"
    formula: ClassVar = "1 + Poisson({mu:g})"

    def log_mass(self, count: Array) -> Array:  # noqa: D102
        values: Array = (count - 1) * math.log(self.mu) - self.mu - special.gammaln(count)
        return values


class Geometric(CountPrior):
    r"""Geometric distribution of the number of components.

    .. math:: p(K) = p (1 - p)^{K - 1}

    Parameters
    ----------
    p : float
        Probability of a single component, between 0 and 1. The expected number of components is 1 / p.

    References
    ----------
    .. [1] Miller & Harrison (2018), J. Am. Stat. Assoc. 113(521), 340-356.

    Examples
    --------
    >>> np.exp(Geometric(0.5).log_mass(np.array([1.0, 2.0, 3.0])))
    array([0.5  , 0.25 , 0.125])
    """

    p: Annotated[float, BeforeValidator(no_boolean), Field(gt=0, lt=1)]
    prior: Literal["geometric"] = "geometric"
    formula: ClassVar = "Geometric({p:g})"

    def log_mass(self, count: Array) -> Array:  # noqa: D102
        return math.log(self.p) + (count - 1) * math.log1p(-self.p)


class BetaNegativeBinomial(CountPrior):
    r"""Beta-negative-binomial distribution of the number of components minus 1.

    .. math:: p(K) = \frac{\Gamma(\alpha + K - 1)}{\Gamma(\alpha) \Gamma(K)} \, \frac{B(\alpha + a, K - 1 + b)}{B(a, b)}

    A Poisson distribution of K - 1 whose rate has a Gamma distribution with a learned scale. With (1, 4, 3) most of the
    probability is on few components, but the tail is heavy, so that many are possible [1]_.

    Parameters
    ----------
    alpha, a, b : float
        The expected number of components is 1 + alpha b / (a - 1), for a above 1.

    References
    ----------
    .. [1] Frühwirth-Schnatter, Malsiner-Walli & Grün (2021), Bayesian Analysis 16(4), 1279-1307.

    Examples
    --------
    >>> np.exp(BetaNegativeBinomial(1, 4, 3).log_mass(np.array([1.0, 2.0, 3.0]))).round(3)
    array([0.571, 0.214, 0.095])
    """

    alpha: Positive = 1.0
    a: Positive = 4.0
    b: Positive = 3.0
    prior: Literal["beta_negative_binomial"] = "beta_negative_binomial"
    formula: ClassVar = "1 + BetaNegativeBinomial({alpha:g}, {a:g}, {b:g})"

    def log_mass(self, count: Array) -> Array:  # noqa: D102
        orders = special.gammaln(self.alpha + count - 1) - special.gammaln(self.alpha) - special.gammaln(count)
        mixed = special.betaln(self.alpha + self.a, count - 1 + self.b) - special.betaln(self.a, self.b)
        values: Array = orders + mixed
        return values


COUNTS: dict[str, type[CountPrior]] = {
    "uniform": Uniform,
    "poisson": Poisson,
    "geometric": Geometric,
    "beta_negative_binomial": BetaNegativeBinomial,
}
