"""Corrected draws of an approximation: exact where the posterior is known, and wider than the factors."""

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_t

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import FitWarning
from bayesgmm.inference.corrections import DOF, laplace_proposal
from bayesgmm.inference.importance import assess
from bayesgmm.inference.laplace import find_mode
from bayesgmm.posterior.info import info
from bayesgmm.posterior.log_posterior import LogPosterior


def overlapping(seed, n_points=200):
    """Two unit Gaussians whose centres are 3 standard deviations apart."""
    rng = np.random.default_rng(seed)
    label = rng.random(n_points) < 0.4
    return rng.normal(size=(n_points, 2)) + 3.0 * label[:, None] * [1, 0]


def fitted(x, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(bg.MixtureModel(2), x, "vb", seed=0, progress=False, **settings)


@pytest.fixture(scope="module")
def proposal():
    density = LogPosterior.of(bg.MixtureModel(2), as_points(overlapping(3)))
    start = density.coordinates(np.array([0.5, 0.5]), np.array([[-1.0, 0.0], [1.0, 0.0]]), np.stack([np.eye(2)] * 2))
    return laplace_proposal(density, find_mode(density, start), 0, 1)


def test_the_density_of_a_student_proposal_matches_scipy(proposal):
    draws = proposal(50)
    spread = proposal.whitening.spread
    oracle = multivariate_t(proposal.whitening.mode, spread @ spread.T, df=DOF)
    np.testing.assert_allclose(draws.log_q, oracle.logpdf(draws.q), rtol=1e-8)
    np.testing.assert_allclose(draws.lp, [proposal.density(q)[0] for q in draws.q])


def test_the_weights_of_student_proposals_are_even_enough_to_resample(proposal):
    assert assess(proposal(2000).log_ratio).importance_share > 0.02


def test_a_corrected_fit_is_wider_than_its_factors_and_says_where_its_draws_come_from():
    """Weights of overlapping components: independent factors make their intervals less than 0.8 times as wide."""
    fit = fitted(overlapping(3), draws=1000)
    notes = info(fit).notes
    assert notes.resampled is not None
    assert notes.approximation == "a Student distribution around the mode"
    assert notes.resampled.effective > 100
    long_run = bg.fit(bg.MixtureModel(2), overlapping(3), "nuts", seed=0, progress=False)
    sd, right = (float(f["posterior"]["weight"][..., 0].std()) for f in (fit, long_run))
    assert sd == pytest.approx(right, rel=0.25)


def test_separated_components_need_no_correction():
    x = overlapping(3)
    x[:, 0] += np.where(x[:, 0] > 1.5, 40, 0)
    assert info(fitted(x)).notes.importance_share > 0.9
    assert info(fitted(x)).notes.resampled is None
