"""Declarations that variational Bayes takes, and its ascents on a small sample, for tests that run over all of them."""

import itertools

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.inference import ascent_runs
from bayesgmm.inference.coordinate_ascent import Ascent
from bayesgmm.inference.starts import CENTRES, from_centres, sample_rows
from bayesgmm.posterior.log_posterior import LogPosterior

SAMPLE = make_mixture(n_points=200, n_features=2, n_components=3, overlap=0.1, seed=1)
FAMILIES = ["full", "tied", "diag", "spherical"]
MEANS = {"normal": bg.NormalMeans((0.0, 1.0), (4.0, 3.0)), "conjugate": bg.ConjugateMeans(0.5, 0.3)}
WEIGHTS = {
    "dirichlet": bg.Dirichlet((1.0, 2.0, 0.5)),
    "dirichlet, learned": bg.Dirichlet(bg.HalfCauchy(1.0)),
    "sparse": bg.SparseDirichlet(),
    "process": bg.DirichletProcess(2.0),
    "process, learned": bg.DirichletProcess(),
    "pitman yor": bg.PitmanYor(1.0, 0.3),
    "pitman yor, learned": bg.PitmanYor(),
}
SCALE = bg.WishartPrecision(5.0, np.eye(2) + 0.3)
EVERY = list(itertools.product(FAMILIES, MEANS, WEIGHTS))
every_declaration = pytest.mark.parametrize(("family", "means", "weights"), EVERY)
every_component = pytest.mark.parametrize(("family", "means"), list(itertools.product(FAMILIES, MEANS)))


def make_ascent(family="full", means="normal", weights="dirichlet", x=SAMPLE.X, k=3, covariances=SCALE):
    model = bg.MixtureModel(k, family, WEIGHTS[weights], MEANS[means], covariances)
    return Ascent(LogPosterior.of(model, as_points(x)))


def start_of(ascent, seed=0):
    rng = np.random.default_rng(seed)
    rows, weight = sample_rows(ascent.density.blocks, rng)
    centres = CENTRES["k-means++"](rows, weight, ascent.density.n_components, rng)
    return ascent.first(from_centres(rows, weight, centres, ascent.density.model.family))


def converged(ascent, tol=1e-10, start=None):
    reached = ascent_runs.ascend(ascent, start or start_of(ascent), 20_000, tol)
    assert reached.converged
    return reached
