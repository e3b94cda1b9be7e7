"""Dirichlet priors of the mixture weights."""

from typing import ClassVar, Literal, Self

import numpy as np

from bayesgmm.errors import DeclarationError
from bayesgmm.priors.scalars import Gamma, NumbersOrPrior, Scalar
from bayesgmm.priors.weight_densities import dirichlet_density
from bayesgmm.priors.weight_priors import (
    WeightsPrior,
    clusters_among_few,
    draw_dirichlet,
    require_one,
    typical_concentrations,
)
from bayesgmm.sweep.stats import Array


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
        return draw_dirichlet(rng, concentration)


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
    Gamma(alpha=10.0, beta=40.0)
    """

    concentration: NumbersOrPrior | None = None
    prior: Literal["sparse_dirichlet"] = "sparse_dirichlet"

    density: ClassVar = dirichlet_density
    is_overfitted: ClassVar = True
    cites: ClassVar = "malsiner2016"

    def resolve(self, n_components: int, per_component: int) -> Self:
        """Return the same prior with all parameters explicit.

        Raises
        ------
        DeclarationError
            When the concentration is too large for Rousseau & Mengersen's condition.
        """
        require_one(self)
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
        return clusters_among_few(n_components * typical_concentrations(self.concentration), 0.0, n_components)

    def draw_given(self, rng: np.random.Generator, concentration: Array) -> Array:  # noqa: D102
        return draw_dirichlet(rng, concentration)
