"""A mixture in the coordinates of the blocks, and the M step of EM."""

from dataclasses import dataclass, replace

import numpy as np

from bayesgmm.data.standards import Standard
from bayesgmm.dispatch import by_class
from bayesgmm.families.family import Family
from bayesgmm.priors.covariances import (
    CovariancesPrior,
    DecomposedCovariance,
    LKJCovariance,
    MultiplicativeGamma,
    WishartPrecision,
)
from bayesgmm.priors.dirichlet import Dirichlet
from bayesgmm.priors.scalars import Scalar
from bayesgmm.priors.weight_priors import WeightsPrior
from bayesgmm.sweep.stats import Array, Stats, Table

EMPTY = 1e-10  # a component with at most this number of points is empty


@dataclass(frozen=True)
class Mixture:
    """A mixture in the coordinates of the blocks: weights (K,), means (K, D), roots in core shape."""

    weight: Array
    mean: Array
    core_roots: Array

    def table(self, family: Family) -> Table:
        """Make the table that scores points under this mixture."""
        with np.errstate(divide="ignore"):  # the log weight of an empty component is minus infinity
            log_weight = np.log(self.weight)
        return family.table(log_weight, self.mean, self.core_roots)

    def without_empty(self, total: float) -> "Mixture":
        """Return the mixture with weight zero for components that hold no point of a total number of points."""
        holds = self.weight * total > EMPTY * min(1.0, total) * (1 + 1e-6)
        return self if holds.all() else replace(self, weight=self.weight * holds / (self.weight @ holds))

    def among(self, n_components: int, family: Family) -> "Mixture":
        """Return the mixture with empty components appended, K in total, at the mean of its first one."""
        count = n_components - len(self.weight)
        weight = np.concatenate([self.weight, np.zeros(count)])
        mean = np.concatenate([self.mean, np.repeat(self.mean[:1], count, axis=0)])
        more = family.sharing.count(n_components) - len(self.core_roots)
        return Mixture(weight, mean, np.concatenate([self.core_roots, np.repeat(self.core_roots[:1], more, axis=0)]))


@dataclass(frozen=True)
class CovariancePrior:
    """Inverse Wishart prior of each covariance, in the coordinates of the blocks."""

    dof: float
    scale: Array


@by_class
def closest_wishart(prior: CovariancesPrior, standard: Standard, family: Family) -> CovariancePrior:
    """Return an inverse Wishart that approximates a resolved prior, so that covariances have a closed-form mode."""
    raise NotImplementedError


@closest_wishart.register
def _wishart(prior: WishartPrecision, standard: Standard, family: Family) -> CovariancePrior:
    """Return the prior itself, with a learned scale at the upper quartile of its prior."""
    if not isinstance(prior.scale, Scalar):
        return CovariancePrior(prior.resolved_dof, prior.core_scale(standard))
    scale = prior.scale.quantile(np.full(prior.n_extra, 0.75)) / standard.scale[: prior.n_extra] ** 2
    return CovariancePrior(prior.resolved_dof, family.form.from_variances(scale))


@closest_wishart.register
def _lkj(prior: LKJCovariance, standard: Standard, family: Family) -> CovariancePrior:
    """Return an inverse Wishart whose mode has the median standard deviations of the prior."""
    return _with_mode(prior.typical_sd() / standard.scale[: prior.resolved_sd.width], family)


@closest_wishart.register
def _decomposed(prior: DecomposedCovariance, standard: Standard, family: Family) -> CovariancePrior:
    """Return an inverse Wishart whose mode has the median volume of the prior, and round shapes."""
    return _with_mode(prior.typical_sd() / standard.scale, family)


@closest_wishart.register
def _multiplicative_gamma(prior: MultiplicativeGamma, standard: Standard, family: Family) -> CovariancePrior:
    """Return an inverse Wishart whose mode has typical variances, and no correlations."""
    return _with_mode(prior.typical_sd() / standard.scale, family)


def _with_mode(sd: Array, family: Family) -> CovariancePrior:
    """Return an inverse Wishart of few degrees of freedom, whose mode has these standard deviations."""
    block = family.form.block_size(sd.size)
    return CovariancePrior(block + 2.0, family.form.from_variances((block + 2.0 + block + 1.0) * sd**2))


@by_class
def weight_exponent(prior: WeightsPrior) -> float:
    """Return the exponent of each weight in the prior density of weights as logits, or zero if it is learned."""
    raise NotImplementedError


@weight_exponent.register
def _any(prior: WeightsPrior) -> float:
    return 0.0


@weight_exponent.register
def _dirichlet(prior: Dirichlet) -> float:
    concentration = prior.concentration
    return float(np.max(concentration)) if prior.is_exchangeable() and not isinstance(concentration, Scalar) else 0.0


@dataclass(frozen=True)
class Exponents:
    """Exponents in the density of a mixture's coordinates beside those of an inverse Wishart prior.

    Parameters
    ----------
    weight : float
        That of each weight.
    pivots : (B,) float
        Those of the diagonal of a triangular root, as differences from their mean; B is its number of rows.
    """

    weight: float
    pivots: Array

    @classmethod
    def of_coordinates(cls, prior: WeightsPrior, block: int) -> "Exponents":
        """Return those in the sampler's coordinates: weights as logits, and the roots of Bartlett's decomposition."""
        return cls(weight_exponent(prior), np.arange(block, dtype=np.float64) - (block - 1) / 2)


NONE = Exponents(0.0, np.zeros(1))


def at_least_empty(counts: Array) -> Array:
    """Replace the number of points of an empty component, 0, by a tiny one, so that its moments are defined.

    Counts (K,) may be sums of row weights of any scale.
    """
    return np.maximum(counts, EMPTY * min(1.0, counts.sum()))


def maximise(
    family: Family,
    stats: Stats,
    prior: CovariancePrior | None = None,
    floor: Array | None = None,
    before: Array | None = None,
) -> Mixture:
    """Compute the M step: the mixture that maximises the expected log likelihood, or posterior, of the statistics.

    Parameters
    ----------
    family : Family
    stats : Stats
    prior : CovariancePrior, optional
        Prior of the covariances, for the mode of the posterior.
    floor : (D,) float, optional
        Added to the variances, so that no component is degenerate.
    before : roots in core shape, optional
        Those of the mixture that made the statistics.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If a component can't be estimated in spite of the prior and the floor.
    """
    if prior is not None or floor is not None:  # with a tiny weight, the mean of an empty component does not change
        stats = replace(stats, n=at_least_empty(stats.n))
    dof, scale = (0.0, None) if prior is None else (prior.dof, prior.scale)
    core = family.maximise(stats, dof, scale, floor=floor, before=before)
    # covariances that a floor keeps positive are accepted, however small
    limits = {} if floor is None or not floor.any() else {"vanishing": 0.0, "singular": 0.0}
    roots = family.roots(core, **limits)
    return Mixture(stats.n / stats.n.sum(), stats.means(), roots)
