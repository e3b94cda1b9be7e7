"""What chains are compared by."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayesgmm import MixtureModel
from bayesgmm.data.points import as_points
from bayesgmm.inference.agreement import REFERENCES, label_free
from bayesgmm.posterior.log_posterior import LogPosterior


@pytest.mark.parametrize("noise", [0.0, 0.6])
def test_chains_are_compared_by_the_density_of_what_is_observed(noise):
    """Missing cells have some number in the blocks; a density at this number changes with what no row says."""
    rng = np.random.default_rng(3)
    x = rng.normal([0.0, 5.0, -2.0], size=(REFERENCES, 3))
    x[rng.random(x.shape) < 0.3] = np.nan
    points = as_points(x, gaps=True).measured(np.full(x.shape, noise) if noise else None)
    density = LogPosterior.of(MixtureModel(2), points)
    q = 0.3 * rng.normal(size=(1, 2, density.size))
    found = label_free(density, q, np.zeros((1, 2)))[0, :, 3:]
    rows, observed, scale = density.blocks.rows(), density.blocks.observed(), density.standard.scale
    for one, draw in zip(q[0], found, strict=True):
        weight, mean, roots = density.mixture(one)
        covariance = np.linalg.inv(np.swapaxes(roots, 1, 2) @ roots) + np.diag((noise / scale) ** 2)
        for row, seen, value in zip(rows, observed, draw, strict=True):
            parts = [
                w * multivariate_normal(m[seen], c[np.ix_(seen, seen)]).pdf(row[seen])
                for w, m, c in zip(weight, mean, covariance, strict=True)
            ]
            assert value == pytest.approx(np.log(sum(parts)), rel=1e-9)
