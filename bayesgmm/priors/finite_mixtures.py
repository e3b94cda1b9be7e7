"""Mixtures of finite mixtures: a prior of the weights and of their number."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, override

import numpy as np
from pydantic import SerializeAsAny, StrictBool, model_validator

from bayesgmm.declared import by_name
from bayesgmm.errors import DeclarationError
from bayesgmm.priors.counts import COUNTS, BetaNegativeBinomial, CountPrior
from bayesgmm.priors.native_calls import PriorDensity
from bayesgmm.priors.scalars import NumbersOrPrior, Scalar
from bayesgmm.priors.weight_priors import FEW, WeightsPrior, draw_dirichlet, require_one, typical_concentrations
from bayesgmm.sweep.stats import Array


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
    cites: ClassVar = "fruhwirth2021"

    if TYPE_CHECKING:

        def __init__(
            self, prior: CountPrior = ..., concentration: float | Scalar = ..., dynamic: bool = ...
        ) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _prior_of_the_number(cls, values: object) -> object:
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
        require_one(self)
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
        each = self.given(typical_concentrations(self.concentration)[:, None], count)
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
        return draw_dirichlet(rng, concentration)
