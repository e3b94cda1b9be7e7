"""Weak priors of the covariances, under which a search for maxima of the likelihood stays away from degenerate ones."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.families.family import Family
from bayesgmm.inference.mixtures import CovariancePrior
from bayesgmm.inference.proposals import Rows

RIDGE = 1e-6  # added to the variances of the prior, as a share of each


@dataclass(frozen=True)
class WeakPrior:
    """Prior under which each component holds a number of points more, spread like all points.

    Parameters
    ----------
    points : float
    drops_small : bool
        True if mixtures are dropped when a component holds hardly more points than its covariance needs. Where most
        maxima under a weak prior are regular by that prior only, the others are found so.

    References
    ----------
    .. [1] Chen & Tan (2009), J. Multivariate Anal. 100(7), 1367-1383.
    """

    points: float
    drops_small: bool = False

    def of(self, family: Family, rows: Rows) -> CovariancePrior:
        """Return the prior for some rows."""
        covariance = rows.covariance + np.diag(RIDGE * np.diagonal(rows.covariance) + np.finfo(float).tiny)
        n_features = len(covariance)
        weight = family.form.repeats(n_features) * self.points
        dof = weight - family.form.block_size(n_features) - 1
        return CovariancePrior(dof, weight * family.form.from_matrices(covariance))
