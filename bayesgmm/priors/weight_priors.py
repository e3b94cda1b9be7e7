"""What the priors of the mixture weights have in common: their base class, draws, numbers of clusters."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from bayesgmm.declared import Declared
from bayesgmm.errors import DeclarationError
from bayesgmm.priors.native_calls import PriorDensity
from bayesgmm.priors.scalars import NumbersOrPrior, Scalar
from bayesgmm.sweep.stats import Array

FEW = 20  # number of points among which clusters are counted, for default covariances
QUANTILES = 100  # number of quantiles that represent the prior of a concentration
LARGE = 1e9  # maximum concentration: with it, each point is a cluster of its own


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
    cites: ClassVar[str] = ""  # the key of the work that introduced it, in ``references``
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


def draw_dirichlet(rng: np.random.Generator, concentration: Array) -> Array:
    """Draw weights (size, K) by Gamma variables, in logarithms, because small concentrations would underflow."""
    # if G is Gamma(alpha + 1) and E exponential, G exp(-E / alpha) is Gamma(alpha)
    log_gamma = np.log(rng.gamma(concentration + 1)) - rng.exponential(size=concentration.shape) / concentration
    shares = np.exp(log_gamma - log_gamma.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def typical_concentrations(concentration: NumbersOrPrior | None) -> Array:
    """Return a fixed concentration (1,), or quantiles of its prior, at equal steps of probability."""
    if isinstance(concentration, Scalar):
        return concentration.quantile((np.arange(QUANTILES) + 0.5) / QUANTILES)
    return np.atleast_1d(np.asarray(concentration, dtype=np.float64))


def clusters_among_few(alpha: Array, discount: float, n_components: int) -> float:
    """Compute the mean number of clusters, at most K, among FEW points of a Pitman-Yor process, averaged over alpha.

    The next of n points is in a new cluster with probability (alpha + discount times the number of clusters) /
    (alpha + n): the Chinese restaurant process.
    """
    alpha = np.minimum(alpha, LARGE)
    number = np.ones_like(alpha)
    for n in range(1, FEW):
        number += (alpha + discount * number) / (alpha + n)
    return min(float(number.mean()), float(n_components))


def require_one(prior: WeightsPrior) -> None:
    """Check that a prior has one concentration for all components.

    Raises
    ------
    DeclarationError
        If it has several.
    """
    if isinstance(prior.concentration, tuple):
        raise DeclarationError(
            f"{type(prior).__name__} takes one concentration for all components, got {prior.concentration}"
        )
