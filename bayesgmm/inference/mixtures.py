"""One mixture in the coordinates of the blocks, and the M step that makes it from statistics."""

from dataclasses import dataclass, replace

import numpy as np

from bayesgmm.data.points import Standard
from bayesgmm.dispatch import by_class
from bayesgmm.families.structures import Family
from bayesgmm.priors.covariances import CovariancesPrior, LKJCovariance, WishartPrecision
from bayesgmm.priors.scalars import Scalar
from bayesgmm.sweep.stats import Array, Stats, Table


@dataclass(frozen=True)
class Mixture:
    """One mixture in the coordinates of the blocks: weights (K,), means (K, D), roots in core shape."""

    weight: Array
    mean: Array
    core_roots: Array

    def table(self, family: Family) -> Table:
        """The table that scores points under this mixture."""
        with np.errstate(divide="ignore"):  # a component without weight takes no point
            log_weight = np.log(self.weight)
        return Table.from_parameters(log_weight, self.mean, family.expand(self.core_roots, *self.mean.shape))


@dataclass(frozen=True)
class CovariancePrior:
    """An inverse Wishart on each covariance, in the coordinates of the blocks."""

    dof: float
    scale: Array


@by_class
def closest_wishart(prior: CovariancesPrior, standard: Standard, family: Family) -> CovariancePrior:
    """Return an inverse Wishart that is like a resolved prior, so that a covariance has a closed-form mode."""
    raise NotImplementedError


@closest_wishart.register
def _wishart(prior: WishartPrecision, standard: Standard, family: Family) -> CovariancePrior:
    """The prior itself; a scale that is learned stands at the upper quartile of its own prior."""
    if not isinstance(prior.scale, Scalar):
        return CovariancePrior(prior.resolved_dof, prior.core_scale(standard))
    scale = prior.scale.quantile(np.full(prior.n_extra, 0.75)) / standard.scale[: prior.n_extra] ** 2
    return CovariancePrior(prior.resolved_dof, family.form.from_variances(scale))


@closest_wishart.register
def _lkj(prior: LKJCovariance, standard: Standard, family: Family) -> CovariancePrior:
    """A Wishart with its mode at the median standard deviations."""
    width = prior.resolved_sd.width
    variance = (prior.typical_sd() / standard.scale[:width]) ** 2
    block = family.form.block_size(width)
    return CovariancePrior(block + 2.0, family.form.from_variances((block + 2.0 + block + 1.0) * variance))


def maximise(family: Family, stats: Stats, prior: CovariancePrior | None = None, floor: Array | None = None) -> Mixture:
    """The M step: the mixture that explains the statistics best.

    Parameters
    ----------
    family : Family
    stats : Stats
    prior : CovariancePrior, optional
        Its mode is then what is maximised.
    floor : (D,) float, optional
        Is added to the variances, so that no component is too small.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When a component can't be estimated, and neither prior nor floor helps.
    """
    if prior is None and floor is None:
        core = family.maximise(stats)
    else:  # a trace of a point keeps an empty component where it is
        stats = replace(stats, n=np.maximum(stats.n, 1e-10))
        core = family.moments(stats) if prior is None else family.maximise(stats, prior.dof, prior.scale)
    if floor is None or not floor.any():
        roots = family.roots(core)
    else:  # what the floor holds up is no accident, however small
        roots = family.roots(family.widen(core, floor), vanishing=0.0, singular=0.0)
    return Mixture(stats.n / stats.n.sum(), stats.means(), roots)
