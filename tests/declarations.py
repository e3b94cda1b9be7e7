"""Declarations of every registered prior, for tests that run over all of them."""

import numpy as np

import bayesgmm as bg
from bayesgmm.priors.weights import WEIGHTS

SDS = (
    bg.HalfNormal(2.0),
    bg.HalfStudentT(3.0, 1.5),
    bg.HalfCauchy(1.0),
    bg.Gamma(2.0, 4.0),
    bg.Exponential(0.5),
    bg.LogNormal(0.3, 0.8),
    bg.InverseGamma(2.0, 3.0),
)


FIXED = {name: kind for name, kind in WEIGHTS.items() if not kind.draws_n_components}
"""Priors of a fixed number of weights, which all engines take; the others are tested in ``test_telescoping``."""


# One that is not here fails test_every_prior_is_tested.
def weight_priors(k):
    return [
        bg.Dirichlet(tuple(1.0 + 0.5 * i for i in range(k))),
        bg.Dirichlet(bg.Gamma(2.0, 4.0)),
        bg.SparseDirichlet(),
        bg.DirichletProcess(2.0),
        bg.DirichletProcess(bg.HalfCauchy(1.0)),
        bg.PitmanYor(bg.Gamma(2.0, 4.0), 0.3),
    ]


def mean_priors(d):
    ordered = [bg.NormalMeans(ordered=True), bg.HierarchicalMeans(ordered=True)] if d == 1 else []
    return [
        bg.NormalMeans(tuple(range(d)), tuple(1.0 + i for i in range(d))),
        bg.ConjugateMeans(0.5, 0.3),
        bg.HierarchicalMeans(1.0, 2.0, bg.InverseGamma(2.0, tuple(3.0 + i for i in range(d)))),
        *ordered,
    ]


def decomposed_priors():
    """Priors of families by volume, shape and orientation."""
    return [bg.DecomposedCovariance(), bg.DecomposedCovariance(bg.InverseGamma(4.0, 3.0), shape=0.8)]


def factor_priors():
    """Priors of factor analysers."""
    return [bg.MultiplicativeGamma(), bg.MultiplicativeGamma((2.5, 3.0), 4.0, 2.0, bg.InverseGamma(3.0, 4.0))]


def covariance_priors(d):
    """Priors of the other families."""
    return [
        bg.WishartPrecision(d + 1.5, np.eye(d) + 0.3),
        bg.WishartPrecision(scale=bg.Gamma(0.7, 0.5)),
        *(bg.LKJCovariance(2.5, sd) for sd in SDS),
    ]
