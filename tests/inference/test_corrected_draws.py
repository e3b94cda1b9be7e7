"""Importance resampling from a fitted mixture: draws of the posterior, its evidence, and refusals."""

import numpy as np
import pytest
from scipy.stats import multivariate_t

from bayesgmm.data.points import as_points
from bayesgmm.errors import PoorProposal
from bayesgmm.inference import gibbs_chains, mixture_proposals
from bayesgmm.inference.agreement import label_free
from bayesgmm.inference.corrected_draws import corrected_draws
from bayesgmm.inference.mixture_proposals import StudentMixture, choose_size, proposal_from_chains
from bayesgmm.posterior.log_posterior import LogPosterior
from tests.model_selection.test_evidence import POINTS, PRIORS, conjugate, enumerated


@pytest.fixture(scope="module", params=PRIORS[1:3], ids=str)
def pilot(request):
    """A prior that treats components differently, six points, and draws by Gibbs sampling."""
    density = LogPosterior.of(conjugate(2, request.param), as_points(POINTS))
    return request.param, density, gibbs_chains.run(density, 1, 1, draws=1500, tune=100, chains=2, thin=5)


def test_resampled_draws_are_draws_of_the_posterior(pilot):
    """Evidence and means of label-free quantities: 5 standard errors."""
    prior, density, q = pilot
    found = corrected_draws(proposal_from_chains(density, q, 1), 2, 600, seed=2, target=1000)
    assert abs(found.log_evidence - enumerated(prior, 2)) < 5 * found.log_evidence_se < 0.3
    assert found.effective >= 1000
    np.testing.assert_allclose(found.lp[0, :5], [density.value(one) for one in found.q[0, :5]])
    one, other = (label_free(density, at, np.zeros(at.shape[:2]))[..., 1:] for at in (q, found.q))
    error = other.std(axis=(0, 1)) * np.sqrt(2 / 700)
    assert (abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1))) < 5 * error).all()
    first = density.mixture(found.q.reshape(-1, density.size))[0][:, 0]  # labels are drawn again, from the prior
    assert first.mean() == pytest.approx(density.mixture(q.reshape(-1, density.size))[0][:, 0].mean(), abs=0.06)


def test_the_density_of_a_student_mixture_is_that_of_scipy():
    rng = np.random.default_rng(3)
    chol = np.tril(rng.normal(size=(2, 3, 3))) + 2 * np.eye(3)
    mixture = StudentMixture(np.log([0.3, 0.7]), rng.normal(size=(2, 3)), chol, dof=5.0)
    q = rng.normal(size=(4, 3))
    each = [multivariate_t(m, c @ c.T, df=5.0).pdf(q) for m, c in zip(mixture.mean, chol, strict=True)]
    np.testing.assert_allclose(mixture.log_density(q), np.log(0.3 * each[0] + 0.7 * each[1]), rtol=1e-12)


def test_no_more_components_are_tried_than_the_draws_determine(monkeypatch):
    """In 120 coordinates, each of ten components would have 300 draws for 7,380 numbers."""
    tried, fit = [], mixture_proposals.fit_mixture
    monkeypatch.setattr(
        mixture_proposals, "fit_mixture", lambda q, size, *more: tried.append(size.n_components) or fit(q, size, *more)
    )
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(3500, 120)) * rng.choice([1.0, 10.0], size=(3500, 1))
    assert choose_size(draws[:3000], draws[3000:], 0)[0].n_components == 3
    assert set(tried) == {1, 3}


def test_a_poor_proposal_is_refused_with_the_reason(pilot):
    _, density, q = pilot
    proposal = proposal_from_chains(density, q, 1)
    with pytest.raises(PoorProposal, match="500 draws of the proposal have the effective size"):
        corrected_draws(proposal, 2, 100, seed=2, target=1000, budget=500)
    with pytest.raises(PoorProposal, match="far from the posterior|heavy tail"):
        corrected_draws(proposal_from_chains(density, q + 6.0, 1), 2, 100, seed=2)
