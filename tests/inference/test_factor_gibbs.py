"""Gibbs sampling of factor analysers: its conditional distributions, its random numbers, and the posterior."""

import itertools
import math
import warnings

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DataError, DeclarationError, FitWarning
from bayesgmm.inference.conditionals import law_of
from bayesgmm.inference.factor_gibbs_kernels import factor_sweeps
from bayesgmm.inference.gibbs_state_kernels import Schedule
from tests.declarations import mean_priors, weight_priors
from tests.inference.test_gibbs import KEYS, Prior

D, N = 5, 9
FAMILIES = [
    bg.FactorAnalysers(2, loadings=loadings, noise=noise, isotropic=isotropic)
    for loadings, noise, isotropic in itertools.product(("free", "tied"), ("free", "tied"), (False, True))
]


def declarations():
    """Every restriction with every prior of the means; weights and shapes of the process take turns."""
    for turn, (family, means) in enumerate(itertools.product(FAMILIES, mean_priors(D))):
        noise = bg.InverseGamma(3.0, 4.0)
        prior = bg.MultiplicativeGamma((2.5, 3.0), df=3.0 + turn % 2, scale=2.0, noise=noise)
        yield bg.MixtureModel(2, family, weight_priors(2)[turn % 6], means, prior)


DECLARATIONS = list(declarations())


class FactorPrior(Prior):
    """Draws of mixtures of factor analysers and points from their joint distribution."""

    def draw(self, n_features=D):
        model, k, rng = self.model, self.model.n_components, self.rng
        weight, w = model.weights.draw(rng, k, 1)
        loadings, noise, shrinkage = model.covariances.draw_parts(rng, model.family, (1, k, n_features))
        covariance = loadings @ np.swapaxes(loadings, -1, -2) + noise[..., None] * np.eye(n_features)
        covariance = np.broadcast_to(covariance, (1, k, n_features, n_features))
        mean, m = model.means.draw(rng, k, 1, covariance)
        label = np.searchsorted(weight[0].cumsum(), rng.uniform(size=self.n_points) * weight[0].sum())
        chol = np.linalg.cholesky(covariance[0])
        x = mean[0][label] + np.einsum("nij,nj->ni", chol[label], rng.normal(size=(self.n_points, n_features)))
        density, scale = self.density(x), self.standard.scale
        chart = density.chart
        log_weight, log_root = np.log(np.maximum(weight[0], 1e-300)), np.log(scale) - 0.5 * np.log(noise[0])
        own = chart.joined(loadings[0] / scale[:, None], log_root[:, : chart.shapes(k, n_features)[1][1]])
        parts = [
            log_weight[:-1] - log_weight[-1],
            self._extra("weights", w),
            ((mean[0] - self.standard.shift) / scale).ravel(),
            self._extra("means", m),
            own,
            model.covariances.from_extras({"factor_shrinkage": shrinkage[0]}, self.standard),
        ]
        return density, np.concatenate([np.asarray(part, dtype=float).ravel() for part in parts])


def sweeps(density, q, count, chain=0, single=True):
    now, drawn, loglik = q.copy(), np.empty((1, q.size)), np.empty(1)
    names = np.array([chain, *KEYS])
    law, schedule = law_of(density), Schedule(0, 1, single, 0)
    factor_sweeps(density.blocks.native, law, schedule, names, now, 0, count, drawn, loglik)
    return now, loglik[0]


def functions_of(density, q):
    """What does not change when factors are rotated: all but the loadings, and the covariances; and the density."""
    p, roots = density.parameters(q), density.roots
    chart, k = density.chart, density.n_components
    loadings, noise = chart.parts(q[roots], k, D)
    covariance = p.covariance[:, *np.triu_indices(D)].ravel()
    return [
        *q[: roots.start],
        *noise.ravel(),
        *q[roots.stop :],
        *covariance,
        *(loadings**2).sum(axis=1).ravel(),
        density.value(q),
    ]


def joint_z(model, count=600, n_sweeps=5, seed=11):
    """z scores of changes of functions of mixture and points by sweeps: none, if they leave the joint distribution."""
    prior, before, after = FactorPrior(model, D, N, seed), [], []
    for chain in range(count):
        density, q = prior.draw()
        moved, _ = sweeps(density, q, n_sweeps, chain)
        before.append(functions_of(density, q))
        after.append(functions_of(density, moved))
    before, after = np.array(before), np.array(after)
    middle, width = np.median(before, axis=0), np.subtract(*np.quantile(before, [0.8, 0.2], axis=0)) + 1e-12
    first, last = (np.tanh((values - middle) / width) for values in (before, after))
    difference = np.concatenate([last - first, last**2 - first**2], axis=1)
    varied = difference.std(axis=0) > 1e-9
    return difference.mean(axis=0)[varied] / (difference.std(axis=0)[varied] / math.sqrt(count))


@pytest.mark.parametrize("model", DECLARATIONS, ids=[f"{m.covariance}-{m.means.prior}" for m in DECLARATIONS])
def test_sweeps_leave_the_joint_distribution_of_mixture_and_points_as_it_is(model):
    """Geweke (2004), with independent replicates.  5.5 standard errors: 4e-8 a function, 1e-4 for all declarations."""
    z = joint_z(model)
    assert abs(z).max() < 5.5, abs(z).max()
