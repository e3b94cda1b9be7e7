"""Priors of the mixture weights."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, override

import numpy as np
from pydantic import Field, SerializeAsAny, StrictBool, model_validator

from bayesgmm.declared import Declared, by_name
from bayesgmm.errors import DeclarationError
from bayesgmm.priors.counts import COUNTS, BetaNegativeBinomial, CountPrior
from bayesgmm.priors.native_calls import PriorDensity, arguments, prior_density
from bayesgmm.priors.scalars import Gamma, NumbersOrPrior, Scalar, log_density
from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.stats import Array

FEW = 20  # number of points among which clusters are counted, for default covariances
QUANTILES = 100  # number of quantiles that represent the prior of a concentration
LARGE = 1e9  # maximum concentration: with it, each point is a cluster of its own


@jit
def digamma(x: float) -> float:
    """Compute the derivative of the log gamma function at x > 0."""
    shifted = 0.0
    while x < 10.0:
        shifted -= 1.0 / x
        x += 1.0
    y = 1.0 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132 - y * (691 / 32760 - y / 12))))))
    return shifted + math.log(x) - 0.5 / x - series


@prior_density
def dirichlet_density(call: object) -> float:
    """Compute the Dirichlet log density; params: one concentration for each component, or the prior of a common one."""
    p = arguments(call)
    value = total = slope = 0.0
    common = p.extra.size > 0
    for k in range(p.n_components):
        alpha = math.exp(p.extra[0]) if common else p.params[k]
        value += (alpha - 1) * p.log_weight[k] - math.lgamma(alpha)
        total += alpha
        slope += p.log_weight[k] - digamma(alpha)
        p.grad_log_weight[k] += alpha - 1
    value += math.lgamma(total)
    if common:
        prior, prior_slope = log_density(p.params, 0, p.extra[0])
        value += prior
        p.grad_extra[0] += (slope + p.n_components * digamma(total)) * math.exp(p.extra[0]) + prior_slope
    return value


@prior_density
def stick_breaking_density(call: object) -> float:
    """Compute the log density of sticks Beta(1 - discount, concentration + k discount).

    params: discount, then concentration or its prior.
    """
    p = arguments(call)
    k_last = p.n_components - 1
    discount = p.params[0]
    alpha = math.exp(p.extra[0]) if p.extra.size else p.params[1]
    tail = np.empty(p.n_components)  # log of the remainder before each stick is broken off
    tail[k_last] = p.log_weight[k_last]
    for k in range(k_last - 1, -1, -1):
        top = max(tail[k + 1], p.log_weight[k])
        tail[k] = top + math.log(math.exp(tail[k + 1] - top) + math.exp(p.log_weight[k] - top))
    value = slope = 0.0
    a = 1 - discount
    for k in range(k_last):
        b = alpha + (k + 1) * discount
        value += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        value += (a - 1) * p.log_weight[k] - (a + b - 1) * tail[k] + (b - 1) * tail[k + 1]
        slope += digamma(a + b) - digamma(b) + tail[k + 1] - tail[k]
        p.grad_log_weight[k] += a - 1
        for j in range(k, p.n_components):
            p.grad_log_weight[j] -= (a + b - 1) * math.exp(p.log_weight[j] - tail[k])
            if j > k:
                p.grad_log_weight[j] += (b - 1) * math.exp(p.log_weight[j] - tail[k + 1])
    if p.extra.size:
        prior, prior_slope = log_density(p.params, 1, p.extra[0])
        value += prior
        p.grad_extra[0] += slope * alpha + prior_slope
    return value


class WeightsPrior(Declared):
    """Base class of priors of the weights; the ``concentration`` is fixed, or has a prior of its own."""

    if TYPE_CHECKING:  # a field of each subclass, in its own place
        concentration: NumbersOrPrior | None

    positive_extras: ClassVar[tuple[str, ...]] = ("concentration",)
    """Names of ``extras`` that are positive numbers; their coordinates are logarithms."""

    @property
    @abstractmethod
    def density(self) -> PriorDensity:
        """Native log density, made by ``prior_density``."""

    heaviest_first: ClassVar[bool] = False  # True where the prior expects decreasing weights
    draws_n_components: ClassVar[bool] = False
    """True if the number of components is unknown too, and ``n_components`` of the model is its maximum."""
    is_overfitted: ClassVar[bool] = False  # True where components may stay empty, so that K is only an upper bound

    def resolve(self, n_components: int, per_component: int) -> Self:
        """Return the same prior with all parameters explicit.

        Parameters
        ----------
        n_components : int
        per_component : int
            Number of free parameters of a component.

        Raises
        ------
        DeclarationError
            When it does not fit that number of components.
        """
        if isinstance(self.concentration, Scalar):
            return self.model_copy(update={"concentration": self.concentration.single("a concentration")})
        self.concentrations(n_components)
        return self

    def expected_clusters(self, n_components: int) -> float:
        """Return the number of clusters that the resolved prior expects; it scales the default of the covariances.

        Priors of K weights expect K clusters. Priors that leave components empty, for which K is only an upper bound,
        expect the mean number of different clusters among 20 points, whatever K is: clusters that hold less than a
        twentieth of all points count little.
        """
        return float(n_components)

    def log_number(self, n_components: int) -> Array:
        """Compute the log prior probabilities (K,) of 1 to K components; there are K for most priors."""
        return np.where(np.arange(1, n_components + 1) == n_components, 0.0, -np.inf)

    def concentrations(self, n_components: int) -> Array:
        """Return the fixed concentration of each component (K,).

        Raises
        ------
        DeclarationError
            When the prior has another number of concentrations.
        """
        if isinstance(self.concentration, tuple) and len(self.concentration) != n_components:
            raise DeclarationError(
                f"{type(self).__name__} has {len(self.concentration)} concentrations for {n_components} components; "
                "give one number, or one for each component"
            )
        return np.broadcast_to(np.asarray(self.concentration, dtype=np.float64), (n_components,)).copy()

    @property
    def n_extra(self) -> int:
        """Number of coordinates beyond those of the weights."""
        return int(isinstance(self.concentration, Scalar))

    def params(self, n_components: int) -> Array:
        """Return the parameters that the native density reads."""
        if isinstance(self.concentration, Scalar):
            return self.concentration.params(1)
        return self.concentrations(n_components)

    def start(self) -> Array:
        """Return starting values of the extra coordinates (n_extra,)."""
        return np.log([self.concentration.quantile(0.5)]) if isinstance(self.concentration, Scalar) else np.empty(0)

    def extras(self, q: Array) -> dict[str, Array]:
        """Return what the prior learns beyond the weights, from its coordinates (..., n_extra)."""
        return {"concentration": np.exp(q[..., 0])} if self.n_extra else {}

    def from_extras(self, extras: Mapping[str, Array]) -> Array:
        """Compute the extra coordinates (..., n_extra), at least one, of learned values: the inverse of ``extras``."""
        return np.log(extras["concentration"])[..., None]

    def draw(self, rng: np.random.Generator, n_components: int, size: int) -> tuple[Array, dict[str, Array]]:
        """Draw weights (size, K) from the resolved prior; return them and the other parameters that were drawn."""
        if not isinstance(self.concentration, Scalar):
            alpha = np.broadcast_to(self.concentrations(n_components), (size, n_components))
            return self.draw_given(rng, alpha), {}
        common = self.concentration.draw(rng, (size,))
        return self.draw_given(rng, np.repeat(common[:, None], n_components, axis=1)), {"concentration": common}

    def is_exchangeable(self) -> bool:
        """True if the density is the same for any order of the components; the prior must be resolved."""
        return True

    def log_term(self, at: int, log_weight: Array, log_tail: Array, log_rest: Array, concentration: Array) -> Array:
        """Compute the part of the log density of one position, up to a constant; for priors that are not exchangeable.

        Parameters
        ----------
        at : int
            Position of a component.
        log_weight : (...) float
            Its log weight.
        log_tail, log_rest : (...) float
            Log of the total weight of the components from this position on, and after it.
        concentration : (...) float
            Learned concentration; ignored where it is fixed.
        """
        raise NotImplementedError

    @abstractmethod
    def draw_given(self, rng: np.random.Generator, concentration: Array) -> Array:
        """Draw weights (size, K) given concentrations (size, K)."""

    def truncated_mass(self, learned: Array | None, n_components: int) -> Array | None:
        """Compute the expected mass beyond K components for learned concentrations (...), or for the fixed one.

        None for a prior of K weights.
        """
        return None


class Dirichlet(WeightsPrior):
    r"""Dirichlet prior of the weights.

    .. math:: p(w) \propto \prod_k w_k^{\alpha_k - 1}

    Parameters
    ----------
    concentration : float, tuple of float, or a prior of a positive number
        One :math:`\alpha` for all components, or one for each; or a prior such as ``Gamma(2, 4)`` of one
        :math:`\alpha` that is learned. 1 is the uniform distribution of the weights.

    Examples
    --------
    >>> Dirichlet(1.0).draw(np.random.default_rng(0), 3, size=2)[0].sum(axis=1).round(12)
    array([1., 1.])
    """

    concentration: NumbersOrPrior = 1.0
    prior: Literal["dirichlet"] = "dirichlet"

    density: ClassVar = dirichlet_density

    def is_exchangeable(self) -> bool:  # noqa: D102
        return isinstance(self.concentration, Scalar) or np.ptp(np.asarray(self.concentration)) == 0

    def log_term(  # noqa: D102
        self, at: int, log_weight: Array, log_tail: Array, log_rest: Array, concentration: Array
    ) -> Array:
        return (np.asarray(self.concentration)[at] - 1) * log_weight

    def draw_given(self, rng: np.random.Generator, concentration: Array) -> Array:  # noqa: D102
        return _draw_dirichlet(rng, concentration)


def _draw_dirichlet(rng: np.random.Generator, concentration: Array) -> Array:
    """Draw weights (size, K) by Gamma variables, in logarithms, because small concentrations would underflow."""
    # if G is Gamma(alpha + 1) and E exponential, G exp(-E / alpha) is Gamma(alpha)
    log_gamma = np.log(rng.gamma(concentration + 1)) - rng.exponential(size=concentration.shape) / concentration
    shares = np.exp(log_gamma - log_gamma.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


class SparseDirichlet(WeightsPrior):
    r"""Symmetric Dirichlet prior with a small concentration, which empties components that the data do not need.

    When there are more components than clusters, the posterior empties the others as the number of points grows, if
    the concentration is below half of the number of free parameters of a component [1]_. For a finite number of points
    it must be much smaller, or learned [2]_.

    The number of components is an upper bound: with the defaults, neither the expected number of clusters nor the
    default scale of ``WishartPrecision`` depends on it.

    Parameters
    ----------
    concentration : float or a prior of a positive number, optional
        By default ``Gamma(10, 10 * K)``, with mean 1 / K [2]_.

    References
    ----------
    .. [1] Rousseau & Mengersen (2011), J. R. Stat. Soc. B 73(5), 689-710.
    .. [2] Malsiner-Walli, Frühwirth-Schnatter & Grün (2016), Stat. Comput. 26, 303-324.

    Examples
    --------
    Four components for two clusters; a component of a full covariance in one column has 2 free parameters.

    >>> prior = SparseDirichlet().resolve(n_components=4, per_component=2)
    >>> prior.concentration
    Gamma(alpha=10.0, beta=40.0, prior='gamma')
    """

    concentration: NumbersOrPrior | None = None
    prior: Literal["sparse_dirichlet"] = "sparse_dirichlet"

    density: ClassVar = dirichlet_density
    is_overfitted: ClassVar = True

    def resolve(self, n_components: int, per_component: int) -> Self:
        """Return the same prior with all parameters explicit.

        Raises
        ------
        DeclarationError
            When the concentration is too large for Rousseau & Mengersen's condition.
        """
        _require_one(self)
        given = Gamma(10.0, 10.0 * n_components) if self.concentration is None else self.concentration
        typical = float(given.quantile(0.5)) if isinstance(given, Scalar) else float(np.max(given))
        if n_components > 1 and not typical < per_component / 2:
            raise DeclarationError(
                f"SparseDirichlet concentration {typical:g} would not empty a component that is not needed: it must be "
                f"less than {per_component / 2:g}, half of the {per_component} free parameters of a component.\n"
                "  Use Dirichlet, or a smaller concentration."
            )
        return super(SparseDirichlet, self.model_copy(update={"concentration": given})).resolve(
            n_components, per_component
        )

    def expected_clusters(self, n_components: int) -> float:
        """Return the mean number of clusters among 20 points under the Dirichlet process that this prior approaches.

        With a concentration in proportion to 1 / K and a growing K, that process has K times the concentration.
        """
        return _clusters_among_few(n_components * _typical(self.concentration), 0.0, n_components)

    def draw_given(self, rng: np.random.Generator, concentration: Array) -> Array:  # noqa: D102
        return _draw_dirichlet(rng, concentration)


def _typical(concentration: NumbersOrPrior | None) -> Array:
    """Return a fixed concentration (1,), or quantiles of its prior, at equal steps of probability."""
    if isinstance(concentration, Scalar):
        return concentration.quantile((np.arange(QUANTILES) + 0.5) / QUANTILES)
    return np.atleast_1d(np.asarray(concentration, dtype=np.float64))


def _clusters_among_few(alpha: Array, discount: float, n_components: int) -> float:
    """Compute the mean number of clusters, at most K, among FEW points of a Pitman-Yor process, averaged over alpha.

    The next of n points is in a new cluster with probability (alpha + discount times the number of clusters) /
    (alpha + n): the Chinese restaurant process.
    """
    alpha = np.minimum(alpha, LARGE)
    number = np.ones_like(alpha)
    for n in range(1, FEW):
        number += (alpha + discount * number) / (alpha + n)
    return min(float(number.mean()), float(n_components))


def _require_one(prior: WeightsPrior) -> None:
    if isinstance(prior.concentration, tuple):
        raise DeclarationError(
            f"{type(prior).__name__} takes one concentration for all components, got {prior.concentration}"
        )


class StickBreaking(WeightsPrior):
    """Base class of truncated stick-breaking priors, with sticks Beta(1 - discount, concentration + k discount)."""

    density: ClassVar = stick_breaking_density
    heaviest_first: ClassVar = True
    is_overfitted: ClassVar = True

    @property
    def stick_discount(self) -> float:
        """Discount of the sticks; 0 for a Dirichlet process."""
        return 0.0

    def is_exchangeable(self) -> bool:  # noqa: D102
        return False

    def log_term(  # noqa: D102
        self, at: int, log_weight: Array, log_tail: Array, log_rest: Array, concentration: Array
    ) -> Array:
        if np.isneginf(log_rest).all():  # the last component takes the remainder
            return np.zeros_like(log_weight)
        d, alpha = self.stick_discount, concentration if self.n_extra else np.asarray(self.concentration)
        b = alpha + (at + 1) * d
        return -d * log_weight - (b - d) * log_tail + (b - 1) * log_rest

    def resolve(self, n_components: int, per_component: int) -> Self:
        """Return the same prior with all parameters explicit.

        Raises
        ------
        DeclarationError
            When it has several concentrations.
        """
        _require_one(self)
        return super().resolve(n_components, per_component)

    def expected_clusters(self, n_components: int) -> float:
        """Return the mean number of clusters of the process, without truncation, among 20 points."""
        return _clusters_among_few(_typical(self.concentration), self.stick_discount, n_components)

    def params(self, n_components: int) -> Array:
        """Return the discount, then the concentration or its prior."""
        given = self.concentration
        return np.append(self.stick_discount, given.params(1) if isinstance(given, Scalar) else np.asarray(given))

    def sticks(self, concentration: Array, n_components: int) -> tuple[float, Array]:
        """Return both parameters of the K - 1 Beta distributions of the sticks, given concentrations (..., 1)."""
        return 1 - self.stick_discount, concentration + np.arange(1, n_components) * self.stick_discount

    def draw_given(self, rng: np.random.Generator, concentration: Array) -> Array:
        """Draw weights (size, K), stick by stick, given concentrations (size, K)."""
        a, b = self.sticks(concentration[:, :1], concentration.shape[1])
        stick = np.concatenate([rng.beta(a, b), np.ones((len(concentration), 1))], axis=1)
        left = np.concatenate([np.ones((len(stick), 1)), np.cumprod(1 - stick[:, :-1], axis=1)], axis=1)
        return stick * left

    def truncated_mass(self, learned: Array | None, n_components: int) -> Array | None:
        """Return the expected mass beyond the first K - 1 sticks, which the last component represents."""
        a, b = self.sticks(np.asarray(self.concentration if learned is None else learned)[..., None], n_components)
        return np.prod(b / (a + b), axis=-1)


class DirichletProcess(StickBreaking):
    r"""Dirichlet process prior, truncated at K components, in its stick-breaking form.

    .. math:: w_k = \beta_k \prod_{j<k} (1 - \beta_j), \qquad \beta_k \sim \mathrm{Beta}(1, \alpha)

    Parameters
    ----------
    concentration : float or a prior of a positive number
        :math:`\alpha`: the prior expects about :math:`\alpha \log(1 + N / \alpha)` clusters among N points. By
        default ``Gamma(2, 4)``.

    References
    ----------
    .. [1] Ishwaran & James (2001), J. Am. Stat. Assoc. 96(453), 161-173.
    .. [2] Escobar & West (1995), J. Am. Stat. Assoc. 90(430), 577-588: the default.

    Examples
    --------
    >>> DirichletProcess(1.0).truncated_mass(np.array(1.0), n_components=11).round(5)
    np.float64(0.00098)
    """

    concentration: NumbersOrPrior = Gamma(2.0, 4.0)
    prior: Literal["dirichlet_process"] = "dirichlet_process"


class PitmanYor(StickBreaking):
    r"""Pitman-Yor process prior, truncated at K components: it expects more small clusters than a Dirichlet process.

    .. math:: \beta_k \sim \mathrm{Beta}(1 - d, \alpha + k d)

    Parameters
    ----------
    concentration : float or a prior of a positive number
        :math:`\alpha`. By default ``Gamma(2, 4)``.
    discount : float
        d, at least 0 (a Dirichlet process) and below 1: the number of clusters grows like :math:`N^d`.

    References
    ----------
    .. [1] Pitman & Yor (1997), Annals of Probability 25(2), 855-900.
    .. [2] Ishwaran & James (2001), J. Am. Stat. Assoc. 96(453), 161-173.

    Examples
    --------
    >>> PitmanYor(1.0, discount=0.5).truncated_mass(np.array(1.0), n_components=3).round(3)
    np.float64(0.6)
    """

    concentration: NumbersOrPrior = Gamma(2.0, 4.0)
    discount: Annotated[float, Field(ge=0, lt=1)] = 0.25
    prior: Literal["pitman_yor"] = "pitman_yor"

    @property
    def stick_discount(self) -> float:  # noqa: D102
        return self.discount


class FiniteMixture(WeightsPrior):
    r"""Mixture of finite mixtures: a prior of the number of components, and Dirichlet weights given this number.

    .. math:: K \sim p(K), \qquad (w_1, \dots, w_K) \mid K \sim \mathrm{Dirichlet}(\gamma_K, \dots, \gamma_K)

    ``n_components`` of the model is the largest K; the prior of K is truncated there. Only the engine ``'gibbs'`` takes
    this prior. Its fit contains ``n_components``, the K of each draw; further components have weight 0 in that draw.

    Parameters
    ----------
    prior : Uniform, Poisson, Geometric or BetaNegativeBinomial
        Prior of K; the name of the field is ``components``. By default ``BetaNegativeBinomial(1, 4, 3)`` [1]_.
    concentration : float or a prior of a positive number
        By default 1, the uniform distribution of the weights given K.
    dynamic : bool
        False: :math:`\gamma_K` is the concentration, for any K. True: it is the concentration divided by K, so that
        the components share one concentration; a draw then may have many components that hold no points.

    References
    ----------
    .. [1] Frühwirth-Schnatter, Malsiner-Walli & Grün (2021), Bayesian Analysis 16(4), 1279-1307.
    .. [2] Miller & Harrison (2018), J. Am. Stat. Assoc. 113(521), 340-356.
    .. [3] Richardson & Green (1997), J. R. Stat. Soc. B 59(4), 731-792.

    Examples
    --------
    >>> from bayesgmm.priors.counts import Uniform
    >>> weight, drawn = FiniteMixture(Uniform(1, 3)).draw(np.random.default_rng(0), n_components=3, size=2)
    >>> drawn["n_components"], (weight > 0).sum(axis=1)
    (array([2, 1]), array([2, 1]))
    """

    components: Annotated[SerializeAsAny[CountPrior], by_name(COUNTS)] = BetaNegativeBinomial()
    concentration: NumbersOrPrior = 1.0
    dynamic: StrictBool = False
    prior: Literal["finite_mixture"] = "finite_mixture"

    draws_n_components: ClassVar = True

    if TYPE_CHECKING:

        def __init__(
            self, prior: CountPrior = ..., concentration: float | Scalar = ..., dynamic: bool = ...
        ) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _prior_of_the_number(cls, values: Any) -> Any:
        """Read ``prior=Uniform(1, 30)``, as the literature calls it, as ``components``."""
        if isinstance(values, Mapping) and isinstance(values.get("prior"), CountPrior):
            rest = {name: value for name, value in values.items() if name != "prior"}
            return rest | {"components": values["prior"]}
        return values

    @property
    def density(self) -> PriorDensity:
        """Raise an error: there is no density over a fixed number of coordinates.

        Raises
        ------
        DeclarationError
        """
        raise DeclarationError(
            "FiniteMixture has no density over a fixed number of coordinates, because the number of components changes"
        )

    @override
    def resolve(self, n_components: int, per_component: int) -> Self:
        _require_one(self)
        self.components.truncated(n_components)
        return super().resolve(n_components, per_component)

    @property
    def n_extra(self) -> int:
        """Number of coordinates beyond those of the weights: a learned concentration, and the number of components."""
        return super().n_extra + 1

    @override
    def params(self, n_components: int) -> Array:
        """Return 1 if dynamic, else 0; the concentration or the entries of its prior; the log probabilities of K."""
        given = self.concentration
        alpha = given.params(1) if isinstance(given, Scalar) else np.array([given, 0.0, 0.0], dtype=np.float64)
        return np.concatenate([[float(self.dynamic)], alpha, self.components.truncated(n_components)])

    @override
    def log_number(self, n_components: int) -> Array:
        return self.components.truncated(n_components)

    @override
    def expected_clusters(self, n_components: int) -> float:
        """Return the mean number of clusters among 20 points, as for other priors of which K is an upper bound.

        One of K components is empty with the expected n-th power of 1 - w, where its weight w has a Beta distribution.
        """
        count = np.arange(1.0, n_components + 1)
        each = self.given(_typical(self.concentration)[:, None], count)
        total = each * count
        with np.errstate(divide="ignore"):
            steps = np.log((total - each)[..., None] + np.arange(FEW)) - np.log(total[..., None] + np.arange(FEW))
        occupied = count * -np.expm1(steps.sum(axis=-1))
        return float(np.exp(self.components.truncated(n_components)) @ occupied.mean(axis=0))

    @override
    def start(self) -> Array:
        return np.append(super().start(), 1.0)

    @override
    def extras(self, q: Array) -> dict[str, Array]:
        learned = {"concentration": np.exp(q[..., 0])} if isinstance(self.concentration, Scalar) else {}
        return learned | {"n_components": q[..., -1].astype(np.int64)}

    @override
    def from_extras(self, extras: Mapping[str, Array]) -> Array:
        count = extras["n_components"].astype(np.float64)
        learned = [np.log(extras["concentration"])] if isinstance(self.concentration, Scalar) else []
        return np.stack([*learned, count], axis=-1)

    @override
    def draw(self, rng: np.random.Generator, n_components: int, size: int) -> tuple[Array, dict[str, Array]]:
        chances = np.exp(self.components.truncated(n_components))
        count = 1 + rng.choice(n_components, size=size, p=chances)
        given = self.concentration
        alpha = given.draw(rng, (size,)) if isinstance(given, Scalar) else np.full(size, given)
        weight = np.zeros((size, n_components))
        for k in np.unique(count):
            rows = np.flatnonzero(count == k)
            weight[rows, :k] = self.draw_given(rng, np.repeat(self.given(alpha[rows], k)[:, None], k, axis=1))
        return weight, ({"concentration": alpha} if isinstance(given, Scalar) else {}) | {"n_components": count}

    def given(self, concentration: Array, count: int | Array) -> Array:
        """Return the concentration of the Dirichlet distribution of K weights."""
        return concentration / count if self.dynamic else concentration + 0.0 * np.asarray(count)

    @override
    def draw_given(self, rng: np.random.Generator, concentration: Array) -> Array:
        return _draw_dirichlet(rng, concentration)


WEIGHTS: dict[str, type[WeightsPrior]] = {
    "dirichlet": Dirichlet,
    "sparse_dirichlet": SparseDirichlet,
    "dirichlet_process": DirichletProcess,
    "pitman_yor": PitmanYor,
    "finite_mixture": FiniteMixture,
}
