"""Priors: densities against scipy or closed forms, draws against densities, errors that name the reason."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import digamma as scipy_digamma

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import DeclarationError
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.priors import lkj
from bayesgmm.priors.scalars import SCALARS, log_density
from bayesgmm.priors.weight_densities import digamma
from tests.declarations import SDS

ORACLES = {
    "half_normal": (bg.HalfNormal(2.0), stats.halfnorm(scale=2)),
    "half_student_t": (bg.HalfStudentT(3.0, 1.5), None),
    "half_cauchy": (bg.HalfCauchy(0.7), stats.halfcauchy(scale=0.7)),
    "gamma": (bg.Gamma(2.0, 4.0), stats.gamma(2, scale=1 / 4)),
    "exponential": (bg.Exponential(0.5), stats.expon(scale=2)),
    "log_normal": (bg.LogNormal(0.3, 0.8), stats.lognorm(0.8, scale=np.exp(0.3))),
    "inverse_gamma": (bg.InverseGamma(2.0, 3.0), stats.invgamma(2, scale=3)),
}


def test_every_scalar_prior_has_an_oracle():
    assert set(ORACLES) == set(SCALARS)


@pytest.mark.parametrize("name", SCALARS)
def test_a_scalar_prior_equals_scipy_s_distribution(name):
    prior, oracle = ORACLES[name]
    for x in (0.01, 0.5, 1.0, 3.0, 40.0):
        value, slope = log_density(prior.params(1), 0, np.log(x))
        wanted = stats.t(3, scale=1.5).logpdf(x) + np.log(2) if oracle is None else oracle.logpdf(x)
        assert value - np.log(x) == pytest.approx(wanted, rel=1e-10)
        ahead, behind = (log_density(prior.params(1), 0, np.log(x) + e)[0] for e in (1e-6, -1e-6))
        assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-6, abs=1e-8)
    for p in (0.01, 0.5, 0.99):
        wanted = stats.t(3, scale=1.5).ppf(0.5 + p / 2) if oracle is None else oracle.ppf(p)
        assert prior.quantile(p) == pytest.approx(wanted, rel=1e-8)


def test_digamma_equals_scipy_s():
    for x in (1e-8, 1e-3, 0.3, 1.0, 2.5, 9.9, 10.1, 1e3, 1e8):
        assert digamma(x) == pytest.approx(scipy_digamma(x), rel=1e-12)


@pytest.mark.parametrize(
    "prior",
    [bg.Dirichlet(0.3), bg.SparseDirichlet(0.05), bg.DirichletProcess(1.5), bg.PitmanYor(0.7, 0.4)],
    ids=lambda prior: prior.prior,
)
def test_drawn_weights_have_the_published_mean(prior):
    """Means of 20,000 draws within 5 standard errors, 4 components: false alarm 2e-6 a prior."""
    weight, _ = prior.draw(np.random.default_rng(0), 4, 20_000)
    if hasattr(prior, "sticks"):
        a, b = prior.sticks(np.array([prior.concentration]), 4)
        stick = np.append(a / (a + b), 1.0)
        wanted = stick * np.append(1.0, np.cumprod(1 - stick[:-1]))
        assert prior.truncated_mass(None, 4) == pytest.approx(wanted[-1])
    else:
        wanted = np.full(4, 0.25)
    assert (np.abs(weight.mean(axis=0) - wanted) < 5 * weight.std(axis=0) / np.sqrt(20_000)).all()
    np.testing.assert_allclose(weight.sum(axis=1), 1)


@pytest.mark.parametrize("eta", [0.7, 1.0, 3.0])
def test_lkj_draws_and_normaliser(eta):
    """A correlation is Beta(b, b) on (-1, 1), b = eta + D / 2 - 1: Kolmogorov-Smirnov, false alarm 1e-4 each."""
    d = 4
    chol = lkj.draw_factors(np.random.default_rng(1), eta, (4000, d))
    correlation = chol @ np.swapaxes(chol, -1, -2)
    np.testing.assert_allclose(np.diagonal(correlation, axis1=-2, axis2=-1), 1)
    b = eta + d / 2 - 1
    for i, j in [(1, 0), (3, 0), (3, 2)]:
        assert stats.kstest((correlation[:, i, j] + 1) / 2, stats.beta(b, b).cdf).pvalue > 1e-4
    # with two columns the normaliser is the integral of (1 - r^2)^(eta - 1)
    ends = {"weight": "alg", "wvar": (eta - 1, eta - 1)}  # (1 + r)^(eta - 1) (1 - r)^(eta - 1)
    assert np.exp(lkj.log_normaliser(eta, 2)) == pytest.approx(quad(lambda r: 1.0, -1, 1, **ends)[0], rel=1e-9)


X = as_points(np.random.default_rng(0).normal(size=(30, 2)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (bg.MixtureModel(3, weights=bg.SparseDirichlet(2.6)), "less than 2.5, half of the 5 free parameters"),
        (bg.MixtureModel(3, weights=bg.SparseDirichlet((0.1, 0.2, 0.3))), "takes one concentration for all"),
        (bg.MixtureModel(3, weights=bg.DirichletProcess((1, 2, 3))), "takes one concentration for all"),
        (bg.MixtureModel(3, weights=bg.Dirichlet(bg.Gamma((1, 2), 3))), "a concentration is one number"),
        (bg.MixtureModel(2, means=bg.NormalMeans(ordered=True)), "ordered=True needs one column, the data have 2"),
        (bg.MixtureModel(2, means=bg.ConjugateMeans((1, 2, 3))), "ConjugateMeans location has 3 numbers for 2 columns"),
        (bg.MixtureModel(2, means=bg.HierarchicalMeans(spread=bg.HalfNormal((1, 2, 3)))), "HalfNormal sigma has 3 num"),
        (
            bg.MixtureModel(2, covariances=bg.LKJCovariance(sd=bg.HalfNormal((1, 2, 3)))),
            "HalfNormal sigma has 3 numbers",
        ),
        (bg.MixtureModel(2, "spherical", covariances=bg.LKJCovariance(sd=bg.HalfNormal((1, 2)))), "sd of spherical"),
        (
            bg.MixtureModel(2, "spherical", covariances=bg.WishartPrecision(scale=bg.Gamma(1, (1, 2)))),
            "the scale of sph",
        ),
    ],
)
def test_a_prior_that_does_not_fit_the_data_is_an_error_that_says_why(model, message):
    with pytest.raises(DeclarationError, match=message):
        model.resolve(X)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: bg.HalfNormal(-1), "sigma: must be a positive number"),
        (lambda: bg.Gamma(0, 1), "alpha: must be a positive number"),
        (lambda: bg.Exponential(float("inf")), "lam: must be a positive number"),
        (lambda: bg.LogNormal("a", 1), "mu: must be a number"),
        (lambda: bg.LKJCovariance(eta=0), "eta: must be greater than 0"),
        (lambda: bg.LKJCovariance(sd=2.0), "sd"),
        (lambda: bg.PitmanYor(1.0, 1.0), "discount: must be less than 1"),
        (lambda: bg.ConjugateMeans(strength=-1), "strength: must be greater than 0"),
        (lambda: bg.MixtureModel(2, weights=bg.NormalMeans()), "weights"),
    ],
)
def test_parameters_that_are_not_allowed_are_an_error(declare, message):
    with pytest.raises(DeclarationError, match=message):
        declare()


@pytest.mark.parametrize("spread", SDS, ids=lambda prior: type(prior).__name__)
def test_every_scalar_prior_can_be_the_prior_of_the_spread_of_the_means(spread):
    density = LogPosterior.of(bg.MixtureModel(2, means=bg.HierarchicalMeans(spread=spread)), X)
    assert np.isfinite(density(np.zeros(density.size))[0])
    assert (np.asarray(density.model.means.spread.quantile(0.5)) > 0).all()


@pytest.mark.parametrize("weights", [bg.SparseDirichlet(), bg.DirichletProcess(), bg.PitmanYor(0.8, 0.3)])
def test_expected_clusters_are_those_among_twenty_points(weights):
    """Against simulated labels, without truncation to see.  False alarm: 6e-5 each (4 standard errors)."""
    k = 400
    number = bg.elicit(bg.MixtureModel(k, weights=weights), n_points=20, draws=20_000)["probability"]
    mean = float(number @ number["n_clusters"])
    error = float(number @ (number["n_clusters"] - mean) ** 2 / 20_000) ** 0.5
    limit = 0.02 if isinstance(weights, bg.SparseDirichlet) else 0.0  # how near 400 components are to the process
    assert abs(weights.resolve(k, 5).expected_clusters(k) - mean) < 4 * error + limit


def test_no_more_clusters_are_expected_than_there_are_components():
    for weights in (bg.Dirichlet(), bg.SparseDirichlet(), bg.DirichletProcess(), bg.PitmanYor()):
        assert weights.resolve(2, 5).expected_clusters(2) == 2.0
    assert bg.Dirichlet(0.01).expected_clusters(30) == 30.0  # K is what the reader believes
