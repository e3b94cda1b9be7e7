"""Stick-breaking priors of the mixture weights: truncated Dirichlet and Pitman-Yor processes."""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from bayesgmm.priors.scalars import Gamma, NumbersOrPrior, Scalar
from bayesgmm.priors.weight_densities import stick_breaking_density
from bayesgmm.priors.weight_priors import WeightsPrior, clusters_among_few, require_one, typical_concentrations
from bayesgmm.sweep.stats import Array


class StickBreaking(WeightsPrior):
    """Base class of truncated stick-breaking priors, with sticks Beta(1 - discount, concentration + k discount)."""

    density: ClassVar = stick_breaking_density
    heaviest_first: ClassVar = True
    is_overfitted: ClassVar = True
    cites: ClassVar = "ishwaran2001"

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
        require_one(self)
        return super().resolve(n_components, per_component)

    def expected_clusters(self, n_components: int) -> float:
        """Return the mean number of clusters of the process, without truncation, among 20 points."""
        return clusters_among_few(typical_concentrations(self.concentration), self.stick_discount, n_components)

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
